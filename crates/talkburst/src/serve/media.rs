//! The sockets of speech and talk burst control of a shard: a pair of ports for each of [`Config::ports`](poc::server::Config::ports).
//!
//! What is received is copied into a buffer that is used again once nobody needs what is in it, and a packet of speech for many is
//! one call for up to 64 of them, all with the same octets: a packet costs no allocation.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use poc::media::Stream;
use poc::server::{MediaPort, MediaTransmit, Ports};
use sip::transport::Transport;
use tokio::net::UdpSocket;

use super::datagrams::{Datagrams, Inbox};
use super::ports::{self, Unusable};
use crate::driver::{Occupied, neighbours};

/// Octets that are received before the buffer is looked at again.
const ROOM: usize = 256 * 1024;

/// Where media are received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MediaSettings {
    /// The first port; those of all shards follow it. 0: any that are free.
    pub(crate) first_port: u16,
    /// Pairs of ports that each shard has.
    pub(crate) pairs: u16,
}

/// The sockets of one shard, before its thread runs.
pub(crate) struct MediaPorts {
    sockets: Vec<std::net::UdpSocket>,
    pub(crate) ports: Vec<Ports>,
}

impl MediaPorts {
    /// Opens the pairs of a shard.
    pub(crate) fn open(settings: &MediaSettings, address: SocketAddr, shard: u8) -> Result<Self, Unusable> {
        let (mut sockets, mut ports) = (Vec::new(), Vec::new());
        for pair in 0..settings.pairs {
            let [speech, control] = match settings.first_port {
                0 => any(address)?,
                first => {
                    let before = u32::from(shard) * u32::from(settings.pairs) + u32::from(pair);
                    // Beyond the last port nothing can be opened, and that is told.
                    let port = u16::try_from(u32::from(first) + 2 * before).unwrap_or(u16::MAX);
                    at(address, port)?
                }
            };
            let port = |socket: &std::net::UdpSocket| socket.local_addr().map(|local| local.port());
            let unusable = |error| Unusable { address, occupied: occupied(error) };
            ports.push(Ports {
                speech: port(&speech).map_err(unusable)?,
                control: port(&control).map_err(unusable)?,
            });
            sockets.extend([speech, control]);
        }
        Ok(Self { sockets, ports })
    }

    /// The sockets, for the runtime that this is called in.
    pub(crate) fn into_tokio(self) -> io::Result<MediaNetwork> {
        let open = |socket: std::net::UdpSocket| {
            let local = socket.local_addr()?;
            Ok(Datagrams::without_runs(local, UdpSocket::from_std(socket)?))
        };
        let sockets = self.sockets.into_iter().map(open).collect::<io::Result<_>>()?;
        Ok(MediaNetwork { sockets, turn: 0, room: BytesMut::new(), waiting: None })
    }
}

fn occupied(error: io::Error) -> Occupied {
    Occupied { transport: Transport::Udp, error }
}

/// Speech at a port, its RTCP and talk burst control at the next one (RFC 3550 §11).
fn at(address: SocketAddr, port: u16) -> Result<[std::net::UdpSocket; 2], Unusable> {
    let open = |port| {
        let address = SocketAddr::new(address.ip(), port);
        ports::udp(address, false).map_err(|error| Unusable { address, occupied: occupied(error) })
    };
    Ok([open(port)?, open(port.saturating_add(1))?])
}

/// The same at ports that are free.
fn any(address: SocketAddr) -> Result<[std::net::UdpSocket; 2], Unusable> {
    let open = |port| ports::udp(SocketAddr::new(address.ip(), port), false);
    neighbours(open).map_err(|error| Unusable { address, occupied: occupied(error) })
}

/// The sockets of a shard.
pub(crate) struct MediaNetwork {
    sockets: Vec<Datagrams>,
    /// Which has its turn first.
    turn: usize,
    room: BytesMut,
    /// Talk burst control that is the same for several, until they are together.
    waiting: Option<Waiting>,
}

struct Waiting {
    from: MediaPort,
    to: Vec<SocketAddr>,
    bytes: Bytes,
}

fn place(port: MediaPort) -> usize {
    2 * usize::from(port.pair) + port.stream as usize
}

fn port(place: usize) -> MediaPort {
    let stream = if place.is_multiple_of(2) { Stream::Speech } else { Stream::Control };
    MediaPort { pair: u16::try_from(place / 2).unwrap_or(u16::MAX), stream }
}

impl MediaNetwork {
    /// Waits for datagrams, and says at which socket.
    pub(crate) async fn readable(&self) -> io::Result<usize> {
        poll_fn(|context| ports::first(&self.sockets, self.turn, |socket| socket.poll_readable(context)))
            .await
            .map(|(place, ())| place)
    }

    /// Receives a batch there.
    pub(crate) fn receive(&mut self, place: usize, inbox: &mut Inbox) -> io::Result<MediaPort> {
        self.turn = place + 1;
        self.sockets[place].receive(inbox)?;
        Ok(port(place))
    }

    /// The next datagram of the batch.
    pub(crate) fn next(&mut self, inbox: &mut Inbox) -> Option<(SocketAddr, Bytes)> {
        let (remote, octets) = inbox.next_octets()?;
        if self.room.capacity() < octets.len() {
            self.room.reserve(ROOM);
        }
        self.room.extend_from_slice(octets);
        Some((remote, self.room.split().freeze()))
    }

    /// Sends this, or puts it to others that are the same.
    pub(crate) fn send(&mut self, transmit: MediaTransmit) {
        match transmit {
            MediaTransmit::Speech { from, to, head, tail } => {
                self.flush();
                self.copies(from, &head, &tail, &to);
            }
            MediaTransmit::Control { from, to, bytes } => {
                // One message for many is one buffer.
                let is_same = |waiting: &Waiting| {
                    waiting.from == from && waiting.bytes.as_ptr() == bytes.as_ptr() && waiting.bytes == bytes
                };
                if let Some(waiting) = self.waiting.as_mut().filter(|waiting| is_same(waiting)) {
                    return waiting.to.push(to);
                }
                let mut others = self.flush();
                others.push(to);
                self.waiting = Some(Waiting { from, to: others, bytes });
            }
        }
    }

    /// Sends what waits; the room of its list comes back.
    pub(crate) fn flush(&mut self) -> Vec<SocketAddr> {
        let Some(Waiting { from, mut to, bytes }) = self.waiting.take() else { return Vec::new() };
        self.copies(from, &[], &bytes, &to);
        to.clear();
        to
    }

    /// What the kernel has no room for is lost: speech that comes late is of no use, and control is said again.
    fn copies(&mut self, from: MediaPort, head: &[u8], tail: &[u8], to: &[SocketAddr]) {
        let Some(socket) = self.sockets.get_mut(place(from)) else { return };
        socket.send_copies(head, tail, to);
    }
}
