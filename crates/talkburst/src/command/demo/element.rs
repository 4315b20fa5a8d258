//! What takes part in a scene: a machine that ships, where it is, and its socket if it has one.

use std::io;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use poc::media::Stream;
use poc::server::MediaPort;
use poc::{Client, Server};
use sim::ladder::{Party, Role};
use sip::Instant;
use sip::transport::{Path, Transmit};
use sipcore::Core;
use tokio::net::UdpSocket;

use super::super::Failure;
use crate::driver::MediaSockets;

/// One of those between whom messages go.
pub(super) struct Element {
    pub(super) name: &'static str,
    pub(super) machine: Machine,
    /// Where it is: of its socket, or of its place inside.
    pub(super) address: SocketAddr,
    /// `None` for what is reached inside only.
    pub(super) socket: Option<UdpSocket>,
    /// Its sockets of speech and talk burst control, if it has any.
    pub(super) media: Option<MediaSockets>,
}

/// A datagram of speech or talk burst control that is to leave.
pub(super) struct Media {
    pub(super) from: Stream,
    pub(super) to: Vec<SocketAddr>,
    pub(super) bytes: Bytes,
}

/// The machine of an element.
pub(super) enum Machine {
    Client(Box<Client>),
    Core(Box<Core>),
    Server(Box<Server>),
}

impl Element {
    /// Its column in the ladder.
    pub(super) fn party(&self) -> Party {
        let role = match &self.machine {
            Machine::Client(_) => Role::Client,
            Machine::Core(_) => Role::Core,
            Machine::Server(_) => Role::Server,
        };
        Party { name: self.name.to_owned(), address: self.address, role }
    }
}

impl Machine {
    /// A message arrived.
    pub(super) fn handle_message(&mut self, now: Instant, path: Path, bytes: Bytes) {
        match self {
            Self::Client(client) => {
                let done = client.handle_input(now, poc::Input::Datagram { path, bytes });
                debug_assert!(done.is_ok(), "only commands are refused");
            }
            Self::Core(core) => core.handle_input(now, sipcore::Input::Datagram { path, bytes }),
            Self::Server(server) => server.handle_input(now, poc::server::Input::Datagram { path, bytes }),
        }
    }

    /// A datagram of speech or talk burst control arrived.
    pub(super) fn handle_media(&mut self, now: Instant, stream: Stream, remote: SocketAddr, bytes: Bytes) {
        match self {
            Self::Client(client) => {
                let done = client.handle_input(now, poc::Input::Media { stream, remote, bytes });
                debug_assert!(done.is_ok(), "only commands are refused");
            }
            Self::Server(server) => {
                let at = MediaPort { pair: 0, stream };
                server.handle_input(now, poc::server::Input::Media { at, remote, bytes });
            }
            Self::Core(_) => {}
        }
    }

    pub(super) fn poll_media(&mut self) -> Option<Media> {
        match self {
            Self::Client(client) => client.poll_media().map(|media| {
                let (from, to, bytes) = (media.from, vec![media.to], media.bytes);
                Media { from, to, bytes }
            }),
            Self::Server(server) => server.poll_media().map(|media| {
                let (from, to, bytes) = media.into_datagrams();
                Media { from: from.stream, to, bytes }
            }),
            Self::Core(_) => None,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Client(client) => client.handle_timeout(now),
            Self::Core(core) => core.handle_timeout(now),
            Self::Server(server) => server.handle_timeout(now),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Client(client) => client.poll_timeout(),
            Self::Core(core) => core.poll_timeout(),
            Self::Server(server) => server.poll_timeout(),
        }
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Transmit> {
        match self {
            Self::Client(client) => client.poll_transmit(),
            Self::Core(core) => core.poll_transmit(),
            Self::Server(server) => server.poll_transmit(),
        }
    }
}

/// A socket on a port that is free.
pub(super) async fn socket(ip: IpAddr) -> Result<(UdpSocket, SocketAddr), Failure> {
    let failed = |error| Failure::Socket(ip.to_string(), error);
    let socket = UdpSocket::bind(SocketAddr::new(ip, 0)).await.map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    Ok((socket, address))
}

/// What identifiers are drawn from.
pub(super) fn seed() -> Result<[u8; 32], Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| Failure::Network(io::Error::other(error)))?;
    Ok(seed)
}
