//! Digests of all that a machine has said so far, by kind: each kind in its order.

use std::net::{IpAddr, SocketAddr};

use poc::client::MediaTransmit as ClientMedia;
use poc::server::{MediaTransmit, Recording};
use serde::{Deserialize, Serialize};
use sip::hash::Keyed;
use sip::transport::{Path, Transmit};

use crate::serve::shard::{Event, Outgoing};

/// Of everything that a machine has said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Digests {
    pub(crate) messages: Digest,
    pub(crate) media: Digest,
    pub(crate) events: Digest,
    pub(crate) recordings: Digest,
}

/// How much there was of a kind, and a hash of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Digest {
    pub(crate) count: u64,
    hash: u64,
}

impl Digest {
    fn add(&mut self, parts: &[&[u8]]) {
        let before = self.hash.to_le_bytes();
        let mut all: [&[u8]; 6] = [&[]; 6];
        all[0] = &before;
        all[1..=parts.len()].copy_from_slice(parts);
        self.hash = Keyed::new(*b"what a machine..").key(&all[..=parts.len()]).leading();
        self.count += 1;
    }
}

/// What a machine says.
pub(crate) enum Said<'a> {
    Message(&'a Transmit),
    Outgoing(&'a Outgoing),
    Media(&'a MediaTransmit),
    ClientMedia(&'a ClientMedia),
    Recording(&'a Recording),
    Event(&'a Event),
    ClientEvent(&'a poc::Event),
}

impl Digests {
    fn message(&mut self, transmit: &Transmit) {
        self.messages.add(&[&way(&transmit.path), &transmit.bytes]);
    }

    /// The machine says this.
    pub(crate) fn add(&mut self, said: &Said<'_>) {
        match said {
            Said::Message(transmit) => self.message(transmit),
            Said::Outgoing(Outgoing::Network(transmit)) => self.message(transmit),
            Said::Outgoing(Outgoing::Shard { to, hop }) => {
                self.messages.add(&[&[*to, hop.to as u8], &way(&hop.path), &hop.bytes]);
            }
            Said::Media(MediaTransmit::Control { from, to, bytes }) => {
                self.media.add(&[&from.pair.to_le_bytes(), &[from.stream as u8], &octets(*to), bytes]);
            }
            // As if each had been sent by itself.
            Said::Media(MediaTransmit::Announcement { from, to, bytes }) => {
                for to in to.iter() {
                    self.media.add(&[&from.pair.to_le_bytes(), &[from.stream as u8], &octets(to), bytes]);
                }
            }
            Said::Media(MediaTransmit::Speech { from, to, head, tail }) => {
                let to: Vec<u8> = to.iter().flat_map(|to| octets(*to)).collect();
                self.media.add(&[&from.pair.to_le_bytes(), &[from.stream as u8], &to, head, tail]);
            }
            Said::ClientMedia(media) => {
                self.media.add(&[&[media.from as u8], &octets(media.to), &media.bytes]);
            }
            Said::Recording(recording) => self.recordings.add(&[format!("{recording:?}").as_bytes()]),
            Said::Event(event) => self.events.add(&[format!("{event:?}").as_bytes()]),
            Said::ClientEvent(event) => self.events.add(&[format!("{event:?}").as_bytes()]),
        }
    }
}

fn way(path: &Path) -> Vec<u8> {
    let mut way = octets(path.local).to_vec();
    way.extend(octets(path.remote));
    way.extend(path.transport.as_str().as_bytes());
    way
}

/// An address of either family.
fn octets(address: SocketAddr) -> [u8; 18] {
    let mut octets = [0; 18];
    match address.ip() {
        IpAddr::V4(ip) => octets[..4].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => octets[..16].copy_from_slice(&ip.octets()),
    }
    octets[16..].copy_from_slice(&address.port().to_le_bytes());
    octets
}
