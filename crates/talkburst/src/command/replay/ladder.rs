//! A replay as a ladder: a machine and those who speak with it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use poc::media::Stream;
use poc::server::MediaPort;
use sim::ladder::{Fate, Party, Role, Trace, told};
use sip::transport::{ConnectionId, Frame, Framer, Path, Transmit};
use sip::{Duration, Instant};

use super::machine::Output;
use crate::journal::{Config, Input};
use crate::serve::shard::{self, Outgoing};

/// Columns that there is room for, besides the machine.
const PEERS_MAX: usize = 6;

/// What happened to one machine.
pub(super) struct Ladder {
    name: String,
    own: SocketAddr,
    role: Role,
    peers: Vec<SocketAddr>,
    /// What of each stream is not a whole message yet.
    framers: BTreeMap<ConnectionId, Framer>,
    lines: Vec<(Instant, Line)>,
}

enum Line {
    Message { from: SocketAddr, to: SocketAddr, bytes: bytes::Bytes },
    Media { from: SocketAddr, to: SocketAddr, stream: Stream, bytes: bytes::Bytes },
    Note(String),
}

impl Ladder {
    pub(super) fn new(machine: u8, config: &Config) -> Self {
        let (name, listeners, role) = match config {
            Config::Client(config) => ("client".to_owned(), &config.sip.listeners, Role::Client),
            Config::Shard(config) if config.is_behind => {
                (format!("shard {machine}"), &config.server.sip.listeners, Role::Server)
            }
            Config::Shard(config) => (format!("shard {machine}"), &config.core.listeners, Role::Core),
        };
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let own = listeners.first().map_or(nowhere, |listener| listener.bind);
        Self { name, own, role, peers: Vec::new(), framers: BTreeMap::new(), lines: Vec::new() }
    }

    fn meet(&mut self, peer: SocketAddr) {
        if !self.peers.contains(&peer) && self.peers.len() < PEERS_MAX {
            self.peers.push(peer);
        }
    }

    fn message(&mut self, at: Instant, from: SocketAddr, to: SocketAddr, bytes: &bytes::Bytes) {
        self.meet(if from == self.own { to } else { from });
        self.lines.push((at, Line::Message { from, to, bytes: bytes.clone() }));
    }

    /// A stream brings several messages at once, or a part of one.
    fn stream(&mut self, at: Instant, path: &Path, bytes: &bytes::Bytes) {
        let Some(connection) = path.connection else { return };
        let framer = self.framers.entry(connection).or_insert_with(|| Framer::new(connection));
        framer.push(bytes);
        let mut whole = Vec::new();
        while let Some(frame) = framer.next_frame() {
            match frame {
                Frame::Message(bytes) => whole.push(bytes),
                Frame::Ping | Frame::Pong => {}
                Frame::Fault(_) => break,
            }
        }
        for bytes in whole {
            self.message(at, path.remote, self.own, &bytes);
        }
    }

    fn media(&mut self, at: Instant, ends: (SocketAddr, SocketAddr), stream: Stream, bytes: bytes::Bytes) {
        self.lines.push((at, Line::Media { from: ends.0, to: ends.1, stream, bytes }));
    }

    pub(super) fn input(&mut self, at: Instant, input: &Input) {
        match input {
            Input::Client(poc::Input::Stream { path, bytes }) => self.stream(at, path, bytes),
            Input::Client(poc::Input::Datagram { path, bytes })
            | Input::Shard(shard::Input::Message { path, bytes }) => {
                self.message(at, path.remote, self.own, bytes);
            }
            Input::Client(poc::Input::Media { stream, remote, bytes })
            | Input::Shard(shard::Input::Media { at: MediaPort { stream, .. }, remote, bytes }) => {
                self.media(at, (*remote, self.own), *stream, bytes.clone());
            }
            Input::Client(poc::Input::Command(command)) => {
                let text = format!("{command:?}");
                let word = text.split([' ', '{', '(']).next().unwrap_or_default().to_owned();
                // Speech is shown as it leaves.
                if word != "Speak" {
                    self.lines.push((at, Line::Note(format!("command: {word}"))));
                }
            }
            Input::Client(_) | Input::Shard(_) => {}
        }
    }

    pub(super) fn output(&mut self, at: Instant, output: &Output) {
        match output {
            Output::Message(transmit) | Output::Outgoing(Outgoing::Network(transmit)) => {
                self.message(at, self.own, transmit.path.remote, &transmit.bytes);
            }
            Output::ClientMedia(media) => {
                self.media(at, (self.own, media.to), media.from, media.bytes.clone());
            }
            Output::Media(media) => {
                let (from, to, bytes) = media.clone().into_datagrams();
                for to in to {
                    self.media(at, (self.own, to), from.stream, bytes.clone());
                }
            }
            Output::ClientEvent(event) => {
                self.lines.extend(told(event).map(|text| (at, Line::Note(text))));
            }
            Output::Outgoing(Outgoing::Shard { .. }) | Output::Recording(_) | Output::Event(_) => {}
        }
    }

    pub(super) fn render(&self) -> String {
        let party = |name: String, address, role| Party { name, address, role };
        let peers = self.peers.iter().map(|peer| party(peer.to_string(), *peer, Role::Client));
        let own = party(self.name.clone(), self.own, self.role);
        let mut trace = Trace::between(std::iter::once(own).chain(peers).collect());
        // Media have other ports: who is meant is known if nobody else has the address.
        let column = |address: SocketAddr| {
            let mut same = (0..self.peers.len()).filter(|place| self.peers[*place].ip() == address.ip());
            match (address == self.own, same.next(), same.next()) {
                (true, ..) => Some(0),
                (false, Some(place), None) => Some(place + 1),
                (false, ..) => None,
            }
        };
        for (at, line) in &self.lines {
            match line {
                Line::Message { from, to, bytes } => {
                    let transport = sip::transport::Transport::Udp;
                    let path = Path { transport, local: *from, remote: *to, connection: None };
                    trace.message_with(
                        *at,
                        &Transmit { path, bytes: bytes.clone() },
                        Fate::Arrives(Duration::ZERO),
                    );
                }
                Line::Media { from, to, stream, bytes } => {
                    if let Some(ends) = column(*from).zip(column(*to)) {
                        trace.media(*at, ends, *stream, bytes, Fate::Arrives(Duration::ZERO));
                    }
                }
                Line::Note(text) => trace.note(*at, 0, text.clone()),
            }
        }
        trace.render()
    }
}
