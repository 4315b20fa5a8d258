//! The connections of a thread: what comes over them, and how they end.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use sip::connection::NUMBER_BITS;
use sip::transport::{ConnectionId, Frame, Framer, Path, Transmit, Transport};
use sip::{Duration, Instant};

use super::super::ports::Accepted;
use super::super::shard::Input;
use super::{Order, Run};
use crate::driver::connection::{Congested, Connection, Report};

/// Connections that peers may have open with one shard. Beyond it a further one is closed at once.
const ACCEPTED_MAX: usize = 1024;

/// Connections that one shard may have opened. Beyond it a further one is refused.
const OPENED_MAX: usize = 1024;

/// How long a peer that has connected may say nothing.
const SILENCE_MAX: Duration = Duration::from_secs(32);

/// A connection, and what of it is not a whole message yet.
pub(super) struct Open {
    pub(super) connection: Connection,
    /// The address that is listened on, for what comes over it.
    bind: SocketAddr,
    framer: Framer,
    /// When it is closed if nothing whole has come by then.
    silent_until: Option<Instant>,
}

impl Run {
    pub(super) fn accept(&mut self, Accepted { stream, remote, bind }: Accepted) {
        if self.connections.len() - self.opened >= ACCEPTED_MAX {
            return;
        }
        let id = self.draw_number();
        let path = path_of(id, bind, remote);
        if !self.worker.shard.hears(&path) {
            return;
        }
        let connection = Connection::accept(id, stream, remote, self.reporter.clone());
        let silent_until = self.worker.clock.now() + SILENCE_MAX;
        self.silent.insert((silent_until, id));
        let framer = Framer::new(id);
        self.connections.insert(id, Open { connection, bind, framer, silent_until: Some(silent_until) });
        self.hand_in(Input::Accepted { path });
    }

    pub(super) fn handle_report(&mut self, id: ConnectionId, report: Report) {
        // A connection that was closed here may have had more to say.
        let Some(open) = self.connections.get_mut(&id) else { return };
        match report {
            Report::Connected { local } => open.connection.local = Some(local),
            Report::Refused => {
                self.forget(id);
                self.hand_in(Input::ConnectionRefused { connection: id });
            }
            Report::Received(bytes) => {
                open.framer.push(&bytes);
                self.read(id);
            }
            Report::Lost => self.lose(id),
        }
    }

    /// Takes the whole messages of a connection.
    fn read(&mut self, id: ConnectionId) {
        while let Some(open) = self.connections.get_mut(&id) {
            let Some(frame) = open.framer.next_frame() else { return };
            match frame {
                Frame::Message(bytes) => {
                    if let Some(at) = open.silent_until.take() {
                        self.silent.remove(&(at, id));
                    }
                    let path = path_of(id, open.bind, open.connection.remote);
                    self.hand_in(Input::Message { path, bytes });
                }
                // RFC 5626 §3.5.1.
                Frame::Ping => {
                    if open.connection.send(Bytes::from_static(b"\r\n")).is_err() {
                        self.lose(id);
                    }
                }
                Frame::Pong => {}
                Frame::Fault(_) => self.lose(id),
            }
        }
    }

    /// Closes connections on which nothing whole has come in time: they take the place of others.
    pub(super) fn close_silent(&mut self) {
        let now = self.worker.clock.now();
        while let Some((_, id)) = self.silent.first().copied().filter(|(at, _)| *at <= now) {
            self.lose(id);
        }
    }

    pub(super) fn send_on_connection(&mut self, Transmit { path, bytes }: Transmit) {
        let open = path.connection.and_then(|id| Some((id, self.connections.get(&id)?)));
        match open.map(|(id, open)| (id, open.connection.send(bytes))) {
            Some((_, Ok(()))) => {}
            Some((id, Err(Congested))) => self.lose(id),
            None => drop(self.worker.dropped.unsent.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Opens the connection that the core asks for. An accepted one that is gone cannot be opened again.
    pub(super) fn open(&mut self, id: ConnectionId, path: Path) -> bool {
        let ConnectionId::Opened(_) = id else {
            self.worker.dropped.unsent.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        if self.opened >= OPENED_MAX {
            self.hand_in(Input::ConnectionRefused { connection: id });
            return false;
        }
        let connection = Connection::open(id, path.local, path.remote, self.reporter.clone());
        self.opened += 1;
        let (bind, framer) = (path.local, Framer::new(id));
        self.connections.insert(id, Open { connection, bind, framer, silent_until: None });
        true
    }

    /// Closes a connection, and tells all shards.
    fn lose(&mut self, id: ConnectionId) {
        let Some(open) = self.forget(id) else { return };
        open.connection.abort();
        self.hand_in(Input::ConnectionLost { connection: id });
        for (number, neighbour) in self.worker.neighbours.iter().enumerate() {
            if number != usize::from(self.worker.number) {
                // A shard that has stopped misses nothing.
                drop(neighbour.orders.send(Order::Lost(id)));
            }
        }
    }

    fn forget(&mut self, id: ConnectionId) -> Option<Open> {
        let open = self.connections.remove(&id)?;
        if let Some(at) = open.silent_until {
            self.silent.remove(&(at, id));
        }
        self.opened -= usize::from(matches!(id, ConnectionId::Opened(_)));
        Some(open)
    }

    /// A name that no accepted connection has, with the shard in front, as the core has it in those that it asks for.
    fn draw_number(&mut self) -> ConnectionId {
        loop {
            self.numbered = (self.numbered + 1) % (1 << NUMBER_BITS);
            let id = ConnectionId::Accepted(u32::from(self.worker.number) << NUMBER_BITS | self.numbered);
            if !self.connections.contains_key(&id) {
                return id;
            }
        }
    }
}

fn path_of(id: ConnectionId, bind: SocketAddr, remote: SocketAddr) -> Path {
    Path { transport: Transport::Tcp, local: bind, remote, connection: Some(id) }
}
