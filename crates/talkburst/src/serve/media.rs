//! The sockets of speech and talk burst control of a shard: a pair of ports for each of [`Config::ports`](poc::server::Config::ports).
//!
//! What is received is copied into a buffer that is used again once nobody needs what is in it, and a packet of speech for many is
//! one call for up to 64 of them, all with the same octets: a packet costs no allocation. A grant leaves at once; other talk burst
//! control leaves together, at the end of a turn, and never before what was for the same participant before.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use poc::media::Stream;
use poc::server::{MediaPort, MediaTransmit, Ports};
use sip::transport::Transport;

use super::datagrams::{Datagrams, Inbox};
use super::ports::{self, Unusable};
use crate::driver::{Occupied, neighbours};

/// Octets that are received before the buffer is looked at again.
const ROOM: usize = 256 * 1024;

/// Messages of talk burst control that wait at most until a turn is over: a grant would wait for them to be sent.
const WAITING_MAX: usize = 4096;

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
            Datagrams::without_runs(local, socket)
        };
        let sockets = self.sockets.into_iter().map(open).collect::<io::Result<_>>()?;
        Ok(MediaNetwork::new(sockets))
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
    /// The octets of a copy.
    copy: Vec<u8>,
    /// Talk burst control from one port, until it is sent together.
    waiting: Vec<(SocketAddr, usize)>,
    /// What it says: the numbers are those of these.
    texts: Vec<Bytes>,
    waiting_from: MediaPort,
    /// Datagrams for which the kernel had no room.
    lost: usize,
}

fn place(port: MediaPort) -> usize {
    2 * usize::from(port.pair) + port.stream as usize
}

fn port(place: usize) -> MediaPort {
    let stream = if place.is_multiple_of(2) { Stream::Speech } else { Stream::Control };
    MediaPort { pair: u16::try_from(place / 2).unwrap_or(u16::MAX), stream }
}

impl MediaNetwork {
    fn new(sockets: Vec<Datagrams>) -> Self {
        Self {
            sockets,
            turn: 0,
            room: BytesMut::new(),
            copy: Vec::new(),
            waiting: Vec::new(),
            texts: Vec::new(),
            waiting_from: port(0),
            lost: 0,
        }
    }

    /// At which socket there are datagrams, of those that have this one of so many bells; else the task of `context` is woken once
    /// there are.
    pub(crate) fn poll_readable(
        &self,
        bell: usize,
        bells: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let places = (bell..self.sockets.len()).step_by(bells);
        let (after, before) =
            (places.clone().filter(|place| *place >= self.turn), places.filter(|place| *place < self.turn));
        for place in after.chain(before) {
            if let Poll::Ready(ready) = self.sockets[place].poll_readable(context) {
                return Poll::Ready(ready.map(|()| place));
            }
        }
        Poll::Pending
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

    /// Sends this, or puts it to other talk burst control. True if it is a grant: it has left.
    pub(crate) fn send(&mut self, transmit: MediaTransmit) -> bool {
        let is_grant = transmit.is_grant();
        match transmit {
            MediaTransmit::Speech { from, to, head, tail } => {
                self.flush();
                self.copy.clear();
                self.copy.extend_from_slice(&head);
                self.copy.extend_from_slice(&tail);
                if let Some(socket) = self.sockets.get_mut(place(from)) {
                    self.lost += socket.send_copies(&self.copy, &to);
                }
            }
            MediaTransmit::Control { from, to, bytes } => {
                if is_grant && !self.waiting.iter().any(|(other, _)| *other == to) {
                    if let Some(socket) = self.sockets.get_mut(place(from)) {
                        self.lost += socket.send_each(&[(to, 0)], std::slice::from_ref(&bytes));
                    }
                    return true;
                }
                self.put(from, bytes, [to]);
                if is_grant {
                    self.flush();
                }
            }
            MediaTransmit::Announcement { from, to, bytes } => self.put(from, bytes, to.iter()),
        }
        is_grant
    }

    /// Puts this to what waits.
    fn put(&mut self, from: MediaPort, bytes: Bytes, to: impl IntoIterator<Item = SocketAddr>) {
        if self.waiting_from != from || self.waiting.len() >= WAITING_MAX {
            self.flush();
        }
        self.waiting_from = from;
        let text = self.texts.len();
        self.texts.push(bytes);
        self.waiting.extend(to.into_iter().map(|to| (to, text)));
    }

    /// Whether nothing waits for [`Self::flush`].
    pub(crate) fn is_flushed(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Sends what waits. What the kernel has no room for is lost: speech that comes late is of no use, and control is said again.
    pub(crate) fn flush(&mut self) {
        if let Some(socket) =
            self.sockets.get_mut(place(self.waiting_from)).filter(|_| !self.waiting.is_empty())
        {
            self.lost += socket.send_each(&self.waiting, &self.texts);
        }
        self.waiting.clear();
        self.texts.clear();
    }

    /// How many were lost since the last call.
    pub(crate) fn take_lost(&mut self) -> usize {
        std::mem::take(&mut self.lost)
    }
}

#[cfg(test)]
mod tests;
