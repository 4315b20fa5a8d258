//! An element of a system: whichever machine it is, it has the same five verbs.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use poc::Client;
use poc::media::Stream;
use poc::server::{MediaPort, MediaTransmit, Record, Server};
use sip::Instant;
use sip::transport::{Path, Transmit, Transport};
use sipcore::Core;

use super::build::{PAIRS, ports_of};
use crate::monitor::system::Kind;

/// An element and its place in the network.
#[derive(Clone, Debug)]
pub struct Element {
    /// Its name in ladders.
    pub name: String,
    /// Where it is reached.
    pub address: SocketAddr,
    /// The machine that ships.
    pub machine: Machine,
}

/// The machines that there are.
#[derive(Clone, Debug)]
pub enum Machine {
    /// A PoC Client.
    Client(Box<Client>),
    /// A SIP/IP core.
    Core(Box<Core>),
    /// A PoC Server.
    Server(Box<Server>),
    /// Nobody, any more: what is sent here is lost.
    Gone,
}

/// The number of a port: servers have all, clients those of the first pair.
fn number_of(MediaPort { pair, stream }: MediaPort) -> u16 {
    let ports = ports_of(pair);
    match stream {
        Stream::Speech => ports.speech,
        Stream::Control => ports.control,
    }
}

/// The port of this number.
pub(crate) fn media_port_of(number: u16) -> Option<MediaPort> {
    let place = number.checked_sub(ports_of(0).speech).filter(|place| *place < 2 * PAIRS)?;
    Some(MediaPort { pair: place / 2, stream: Stream::ALL[usize::from(place % 2)] })
}

/// What an element tells those who run it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    /// Its user.
    User(poc::Event),
    /// Its operator.
    Closed(Box<Record>),
}

impl Machine {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Client(_) | Self::Gone => Kind::Client,
            Self::Core(_) => Kind::Core,
            Self::Server(_) => Kind::Server,
        }
    }

    pub(crate) fn handle_datagram(&mut self, now: Instant, path: Path, bytes: Bytes) {
        match self {
            Self::Client(client) => {
                let handled = client.handle_input(now, poc::Input::Datagram { path, bytes });
                assert_eq!(handled, Ok(None), "no peer is a misuse");
            }
            Self::Core(core) => core.handle_input(now, sipcore::Input::Datagram { path, bytes }),
            Self::Server(server) => server.handle_input(now, poc::server::Input::Datagram { path, bytes }),
            Self::Gone => {}
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Client(client) => client.handle_timeout(now),
            Self::Core(core) => core.handle_timeout(now),
            Self::Server(server) => server.handle_timeout(now),
            Self::Gone => {}
        }
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        match self {
            Self::Client(client) => client.poll_transmit(),
            Self::Core(core) => core.poll_transmit(),
            Self::Server(server) => server.poll_transmit(),
            Self::Gone => None,
        }
    }

    /// A datagram of speech or talk burst control, at this port.
    pub(crate) fn handle_media(&mut self, now: Instant, at: MediaPort, remote: SocketAddr, bytes: Bytes) {
        match self {
            Self::Client(client) => {
                let stream = at.stream;
                let handled = client.handle_input(now, poc::Input::Media { stream, remote, bytes });
                assert_eq!(handled, Ok(None), "no peer is a misuse");
            }
            Self::Server(server) => {
                server.handle_input(now, poc::server::Input::Media { at, remote, bytes });
            }
            Self::Core(_) | Self::Gone => {}
        }
    }

    /// What is to be sent of speech and talk burst control, by the element at this address.
    pub(crate) fn poll_media(&mut self, ip: IpAddr) -> Vec<Transmit> {
        let transmit = |from, remote, bytes| Transmit {
            path: Path {
                transport: Transport::Udp,
                local: SocketAddr::new(ip, number_of(from)),
                remote,
                connection: None,
            },
            bytes,
        };
        match self {
            Self::Client(client) => {
                let polled = client.poll_media().into_iter();
                let from = |stream| MediaPort { pair: 0, stream };
                polled.map(|media| transmit(from(media.from), media.to, media.bytes)).collect()
            }
            Self::Server(server) => {
                let polled = server.poll_media().map(MediaTransmit::into_datagrams).into_iter();
                let each = polled.flat_map(|(from, to, bytes)| {
                    to.into_iter().map(move |to| transmit(from, to, bytes.clone()))
                });
                each.collect()
            }
            Self::Core(_) | Self::Gone => Vec::new(),
        }
    }

    pub(crate) fn poll_event(&mut self) -> Option<Told> {
        match self {
            Self::Client(client) => client.poll_event().map(Told::User),
            Self::Core(core) => loop {
                match core.poll_event()? {
                    sipcore::Event::BindingsChanged { .. } => {}
                    sipcore::Event::Disconnect { .. } => panic!("there are no streams here"),
                }
            },
            Self::Server(server) => match server.poll_event()? {
                poc::server::Event::Closed(record) => Some(Told::Closed(record)),
                poc::server::Event::Disconnect { .. } => panic!("there are no streams here"),
            },
            Self::Gone => None,
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Client(client) => client.poll_timeout(),
            Self::Core(core) => core.poll_timeout(),
            Self::Server(server) => server.poll_timeout(),
            Self::Gone => None,
        }
    }

    /// Whether nothing remains of any session, and nothing is under way. Registrations may stand.
    pub(crate) fn is_at_rest(&self) -> bool {
        match self {
            Self::Client(client) => client.is_at_rest(),
            Self::Core(_) | Self::Server(_) | Self::Gone => self.is_empty(),
        }
    }

    /// Its state, to be made canonical.
    pub(crate) fn view(&self) -> String {
        match self {
            Self::Client(client) => client.view(),
            Self::Core(core) => core.view(),
            Self::Server(server) => server.view(),
            Self::Gone => String::new(),
        }
    }

    /// Whether nothing remains of any session. Registrations may stand.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Client(client) => client.is_empty(),
            Self::Core(core) => core.is_empty(),
            Self::Server(server) => server.is_empty(),
            Self::Gone => true,
        }
    }
}
