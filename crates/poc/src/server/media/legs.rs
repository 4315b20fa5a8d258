//! Where each participant is heard and told: its ports here, and its addresses there (user-plane digest 10.1, 10.7).

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use sip::hash::{Keyed, Table};
use slab::Slab;

use super::{MediaPort, Ports};
use crate::media::{Encoding, Stream};
use crate::sdp::{self, Direction};

/// Legs behind one host that are looked at when something comes from another of its ports.
const BEHIND_HOST_MAX: usize = 16;

/// The media of one participant.
#[derive(Clone, Debug)]
pub(in super::super) struct MediaLeg {
    /// Whose.
    pub(in super::super) of: Owner,
    /// Its ports here.
    pub(in super::super) pair: u16,
    /// What was agreed, once it was.
    pub(in super::super) agreed: Option<Agreed>,
    /// The synchronization source of what it sends; 0: nothing has come.
    pub(in super::super) ssrc: u32,
    address: Bytes,
}

/// Where what comes from a leg goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Owner {
    /// A participant of a PoC Session that is controlled here.
    Participant {
        /// The session.
        place: usize,
        /// Whose.
        key: usize,
    },
    /// The client of a pre-established session: the session beyond hears it.
    Client(usize),
    /// The session beyond a pre-established session: the client hears it.
    Beyond(usize),
}

/// What was agreed with one participant.
#[derive(Clone, Debug)]
pub(in super::super) struct Agreed {
    /// Where it receives speech.
    pub(in super::super) speech: SocketAddr,
    /// Where it receives talk burst control, if it does.
    pub(in super::super) control: Option<SocketAddr>,
    /// The payload number of speech to it.
    pub(in super::super) payload: u8,
    /// The payload number of speech from it.
    pub(in super::super) payload_here: u8,
    /// What speech is coded in.
    pub(in super::super) encoding: Encoding,
    /// Samples a second.
    pub(super) clock: u32,
    /// Whether it hears.
    pub(in super::super) hears: bool,
    /// Whether anything has come from it on each stream.
    is_latched: [bool; 2],
    /// What it has announced.
    host: IpAddr,
}

impl Agreed {
    /// What a description of the participant amounts to; speech comes from it with `payload_here`.
    pub(in super::super) fn new(media: &sdp::Media, payload_here: u8) -> Self {
        let hears = matches!(media.direction, Direction::SendRecv | Direction::SendOnly);
        Self {
            speech: media.audio,
            control: media.control,
            payload: media.codec.payload,
            payload_here,
            encoding: Encoding::of(&media.codec),
            clock: media.codec.clock,
            hears,
            is_latched: [false; 2],
            host: media.audio.ip(),
        }
    }

    fn remote(&self, stream: Stream) -> Option<SocketAddr> {
        match stream {
            Stream::Speech => Some(self.speech),
            Stream::Control => self.control,
        }
    }
}

/// Who has sent something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sender {
    /// This leg, from where it was heard before, or announced to be.
    Known(usize),
    /// This leg, from another port of its host: true once it has proven to be it.
    Unproven(usize),
}

/// All legs that have media.
#[derive(Clone, Debug)]
pub(in super::super) struct Legs {
    legs: Slab<MediaLeg>,
    /// By port here and address there.
    by_remote: Table<usize>,
    /// By port here and announced host.
    by_host: BTreeSet<(MediaPort, IpAddr, usize)>,
    /// The pairs that each PoC Address uses, and for how many legs.
    in_use: BTreeMap<(Bytes, u16), usize>,
    keyed: Keyed,
    pairs: u16,
    /// Legs that took part and are gone, and of which nothing has come.
    pub(super) unlatched: u64,
}

impl Legs {
    /// What decides how it goes on: the tables are derived.
    pub(super) fn state(&self) -> impl std::fmt::Debug {
        (&self.legs, &self.in_use)
    }

    pub(super) fn new(secret: [u8; 16], ports: &[Ports]) -> Self {
        Self {
            legs: Slab::new(),
            by_remote: Table::default(),
            by_host: BTreeSet::new(),
            in_use: BTreeMap::new(),
            keyed: Keyed::new(secret),
            pairs: u16::try_from(ports.len()).unwrap_or(u16::MAX),
            unlatched: 0,
        }
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        self.legs.is_empty() && self.by_remote.is_empty() && self.by_host.is_empty() && self.in_use.is_empty()
    }

    pub(in super::super) fn get(&self, leg: usize) -> Option<&MediaLeg> {
        self.legs.get(leg)
    }

    pub(super) fn get_mut(&mut self, leg: usize) -> Option<&mut MediaLeg> {
        self.legs.get_mut(leg)
    }

    /// Ports for another leg of this PoC Address: one terminal that is in two sessions with one socket is told apart by them.
    pub(in super::super) fn open(&mut self, address: &Bytes, of: Owner) -> usize {
        let is_free = |pair: &u16| !self.in_use.contains_key(&(address.clone(), *pair));
        let pair = (0..self.pairs).find(is_free).unwrap_or_default();
        *self.in_use.entry((address.clone(), pair)).or_default() += 1;
        self.legs.insert(MediaLeg { of, pair, agreed: None, ssrc: 0, address: address.clone() })
    }

    /// Ports towards a session beyond. Several such sessions are with one PoC Server, at one address of it, so only the ports here tell
    /// them apart: `None` if each pair has one. From the last on, for the first are where that server may be, which may be this one.
    pub(in super::super) fn open_beyond(&mut self, of: Owner) -> Option<usize> {
        let address = Bytes::new(); // of nobody
        let is_free = |pair: &u16| !self.in_use.contains_key(&(address.clone(), *pair));
        let pair = (0..self.pairs).rev().find(is_free)?;
        self.in_use.insert((address.clone(), pair), 1);
        Some(self.legs.insert(MediaLeg { of, pair, agreed: None, ssrc: 0, address }))
    }

    /// Says where the participant is.
    pub(in super::super) fn connect(&mut self, leg: usize, agreed: Agreed) {
        self.part(leg);
        let Some(media) = self.legs.get_mut(leg) else { return };
        let pair = media.pair;
        let agreed = media.agreed.insert(agreed);
        let host = agreed.host;
        for stream in Stream::ALL {
            let Some(remote) = agreed.remote(stream) else { continue };
            let at = MediaPort { pair, stream };
            // Who was there first stays: nobody takes another's speech by announcing its address.
            self.by_remote.entry(key(&self.keyed, at, remote)).or_insert(leg);
            self.by_host.insert((at, host, leg));
        }
    }

    /// Nothing comes from the participant any more, and nothing goes to it.
    pub(in super::super) fn disconnect(&mut self, leg: usize) {
        if self.part(leg) && self.legs.get(leg).is_some_and(|media| media.ssrc == 0) {
            self.unlatched += 1;
        }
    }

    /// Whether anything was agreed.
    fn part(&mut self, leg: usize) -> bool {
        let Some(media) = self.legs.get_mut(leg) else { return false };
        let pair = media.pair;
        let Some(agreed) = media.agreed.take() else { return false };
        for stream in Stream::ALL {
            let at = MediaPort { pair, stream };
            self.by_host.remove(&(at, agreed.host, leg));
            if let Some(remote) = agreed.remote(stream) {
                self.forget(at, remote, leg);
            }
        }
        true
    }

    /// The leg is over.
    pub(in super::super) fn close(&mut self, leg: usize) {
        self.disconnect(leg);
        let Some(MediaLeg { address, pair, .. }) = self.legs.try_remove(leg) else { return };
        if let Entry::Occupied(mut used) = self.in_use.entry((address, pair)) {
            *used.get_mut() -= 1;
            if *used.get() == 0 {
                used.remove();
            }
        }
    }

    fn forget(&mut self, at: MediaPort, remote: SocketAddr, leg: usize) {
        let key = key(&self.keyed, at, remote);
        if self.by_remote.get(&key) == Some(&leg) {
            self.by_remote.remove(&key);
        }
    }

    /// Whose a datagram is that came here from there.
    pub(super) fn sender(&self, at: MediaPort, remote: SocketAddr) -> Option<Sender> {
        if let Some(leg) = self.by_remote.get(&key(&self.keyed, at, remote)) {
            return Some(Sender::Known(*leg));
        }
        let behind = || {
            let range = (at, remote.ip(), 0)..=(at, remote.ip(), usize::MAX);
            self.by_host.range(range).map(|(.., leg)| *leg).take(BEHIND_HOST_MAX)
        };
        let is_silent = |leg: &usize| {
            let agreed = self.legs[*leg].agreed.as_ref();
            agreed.is_some_and(|agreed| !agreed.is_latched[at.stream as usize])
        };
        let mut silent = behind().filter(is_silent);
        match (silent.next(), silent.next()) {
            (Some(leg), None) => Some(Sender::Unproven(leg)),
            (None | Some(_), _) => None,
        }
    }

    /// The leg of that host whose synchronization source this is: only talk burst control proves that (user-plane digest 10.7).
    pub(super) fn moved(&self, at: MediaPort, remote: SocketAddr, ssrc: u32) -> Option<usize> {
        let range = (at, remote.ip(), 0)..=(at, remote.ip(), usize::MAX);
        let behind = self.by_host.range(range).map(|(.., leg)| *leg).take(BEHIND_HOST_MAX);
        behind.into_iter().find(|leg| ssrc != 0 && self.legs[*leg].ssrc == ssrc)
    }

    /// What comes from there is that leg's from now on, and what goes to it goes there. True if that is news.
    pub(super) fn latch(&mut self, leg: usize, at: MediaPort, remote: SocketAddr) -> bool {
        let Some(agreed) = self.legs.get_mut(leg).and_then(|media| media.agreed.as_mut()) else {
            return false;
        };
        agreed.is_latched[at.stream as usize] = true;
        let place = match at.stream {
            Stream::Speech => &mut agreed.speech,
            Stream::Control => match &mut agreed.control {
                Some(control) => control,
                None => return false,
            },
        };
        if *place == remote {
            return false;
        }
        let before = std::mem::replace(place, remote);
        self.forget(at, before, leg);
        self.by_remote.insert(key(&self.keyed, at, remote), leg);
        true
    }
}

fn key(keyed: &Keyed, at: MediaPort, remote: SocketAddr) -> sip::hash::Key {
    let [pair, port] = [at.pair, remote.port()].map(u16::to_be_bytes);
    let here = [pair[0], pair[1], at.stream as u8, port[0], port[1]];
    match remote.ip() {
        IpAddr::V4(ip) => keyed.key(&[&here, &ip.octets()]),
        IpAddr::V6(ip) => keyed.key(&[&here, &ip.octets()]),
    }
}

#[cfg(test)]
mod tests;
