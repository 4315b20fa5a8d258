//! Drives one PoC Client: sockets, connections and the clock on one side, the client's five verbs on the other.
//!
//! [`Driver::wait`] can be given up at any moment and loses nothing; [`Driver::handle`] takes what it returned. Between
//! the two stands whatever else the program waits for.

pub(crate) mod connection;
mod media;
mod sockets;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use poc::client::MediaTransmit;
use poc::media::Stream;
use poc::{Client, Event, Input};
use sip::message::NameAddr;
use sip::transport::{ConnectionId, Path, Target, Transmit, Transport};
use sip::{Duration, Instant, Misuse};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc::{Receiver, Sender};

pub(crate) use self::media::{MediaSockets, neighbours};
pub(crate) use self::sockets::{Occupied, Sockets, address_towards, unspecified};

use self::connection::{Connection, Report, Reported};
use crate::clock::Clock;
#[cfg(unix)]
use crate::journal::{Input as Kept, Keeper, Said};
use crate::record::{Recorder, Way};

/// Connections that peers may have open at once. Beyond it a further one is closed at once.
const ACCEPTED_MAX: usize = 64;

/// Connections that we may have open at once. Beyond it a further one is refused.
const OPENED_MAX: usize = 64;

/// How long no connection is accepted after that has failed: it would only fail again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A client, its sockets and its connections.
pub(crate) struct Driver {
    clock: Clock,
    client: Client,
    bind: SocketAddr,
    udp: Option<UdpSocket>,
    tcp: Option<TcpListener>,
    media: MediaSockets,
    accept_after: Option<Instant>,
    connections: BTreeMap<ConnectionId, Connection>,
    accepted: u32,
    reports: Receiver<Reported>,
    reporter: Sender<Reported>,
    buffer: Vec<u8>,
    media_buffer: Box<[u8; 2048]>,
    events: VecDeque<Event>,
    /// What went over the wire.
    pub(crate) recorder: Recorder,
    /// What goes in and comes out is kept.
    #[cfg(unix)]
    journal: Option<Journal>,
}

/// A journal, and who writes it.
#[cfg(unix)]
type Journal = (Keeper, std::thread::JoinHandle<()>);

/// Something that happened outside.
pub(crate) struct Happening(What);

enum What {
    Datagram { remote: SocketAddr, bytes: Bytes },
    Media { stream: Stream, remote: SocketAddr, bytes: Bytes },
    Accepted(TcpStream, SocketAddr),
    NotAccepted,
    Reported(Reported),
    Due,
}

impl Driver {
    /// Drives `client` by way of `sockets`.
    pub(crate) fn new(
        clock: Clock,
        client: Client,
        sockets: Sockets,
        media: MediaSockets,
        recorder: Recorder,
    ) -> Self {
        let (reporter, reports) = connection::reports();
        Self {
            clock,
            client,
            bind: sockets.bind,
            udp: sockets.udp,
            tcp: sockets.tcp,
            media,
            accept_after: None,
            connections: BTreeMap::new(),
            accepted: 0,
            reports,
            reporter,
            buffer: vec![0; 65_536],
            media_buffer: Box::new([0; 2048]),
            events: VecDeque::new(),
            recorder,
            #[cfg(unix)]
            journal: None,
        }
    }

    /// From now on it is kept what goes in and comes out.
    #[cfg(unix)]
    pub(crate) fn keep(&mut self, journal: Journal) {
        self.client.keep_inputs();
        self.journal = Some(journal);
    }

    /// Waits for something to happen.
    pub(crate) async fn wait(&mut self) -> io::Result<Happening> {
        let (clock, due) = (self.clock, self.client.poll_timeout());
        let what = tokio::select! {
            received = receive(self.udp.as_ref(), &mut self.buffer) => {
                let (length, remote) = received?;
                What::Datagram { remote, bytes: Bytes::copy_from_slice(&self.buffer[..length]) }
            }
            received = self.media.receive(&mut self.media_buffer[..]) => {
                let (stream, length, remote) = received?;
                What::Media { stream, remote, bytes: Bytes::copy_from_slice(&self.media_buffer[..length]) }
            }
            accepted = accept(self.tcp.as_ref(), clock, self.accept_after) => match accepted {
                Ok((stream, remote)) => What::Accepted(stream, remote),
                Err(_) => What::NotAccepted,
            },
            // Never closed: the driver has a sender itself.
            Some(reported) = self.reports.recv() => What::Reported(reported),
            () = clock.until(due) => What::Due,
        };
        Ok(Happening(what))
    }

    /// Hands to the client what happened, and sends what it has to say.
    pub(crate) async fn handle(&mut self, happening: Happening) {
        match happening.0 {
            What::Datagram { remote, bytes } => {
                self.recorder.datagram(self.clock.now(), Way::In, self.bind, remote, &bytes);
                let path = Path { transport: Transport::Udp, local: self.bind, remote, connection: None };
                self.hand_in(Input::Datagram { path, bytes });
            }
            What::Media { stream, remote, bytes } => {
                if let Ok(local) = self.media.local(stream) {
                    self.recorder.media(self.clock.now(), Way::In, (local, remote), stream, &bytes);
                }
                self.hand_in(Input::Media { stream, remote, bytes });
            }
            What::Accepted(stream, remote) => self.accept(stream, remote),
            What::NotAccepted => self.accept_after = Some(self.clock.now() + ACCEPT_PAUSE),
            What::Reported((connection, report)) => self.handle_report(connection, report),
            What::Due => self.hand_in(Input::Timeout),
        }
        self.settle().await;
    }

    /// The user does something; the ladder calls it `what`, unless the client has nothing to do with it.
    pub(crate) async fn press<T>(
        &mut self,
        what: Option<&str>,
        key: impl FnOnce(&mut Client, Instant) -> Result<T, Misuse>,
    ) -> Result<T, Misuse> {
        let now = self.clock.now();
        let done = key(&mut self.client, now);
        if let (Ok(_), Some(what)) = (&done, what) {
            self.recorder.note(now, what);
        }
        self.settle().await;
        done
    }

    /// What the user must know next.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Where UDP is received, and where TCP.
    pub(crate) fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        (self.udp.as_ref().map(|_| self.bind), self.tcp.as_ref().map(|_| self.bind))
    }

    /// T1 of the client.
    pub(crate) fn t1(&self) -> Duration {
        self.client.config().sip.timers.t1
    }

    /// The URI of the client's user.
    pub(crate) fn user(&self) -> String {
        let address = &self.client.config().address;
        let uri = NameAddr::parse(address).map_or(&address[..], |address| address.uri);
        String::from_utf8_lossy(uri).into_owned()
    }

    /// Where the client registers.
    pub(crate) fn home(&self) -> Option<Target> {
        self.client.config().registration.as_ref()?.targets.first().copied()
    }

    /// Whether nothing is waited for any more.
    pub(crate) fn is_settled(&self) -> bool {
        self.client.is_settled()
    }

    /// Whether nothing remains of any session.
    pub(crate) fn is_empty(&self) -> bool {
        self.client.is_empty()
    }

    /// Sends what connections have still to send, for as long as `patience` at most, and closes them.
    pub(crate) async fn close(self, patience: Duration) -> Recorder {
        let tasks: Vec<_> = self.connections.into_values().map(Connection::finish).collect();
        // Nobody reads reports any more.
        drop(self.reports);
        let all = async {
            for task in tasks {
                let _ = task.await;
            }
        };
        let _ = tokio::time::timeout(patience, all).await;
        #[cfg(unix)]
        if let Some((keeper, thread)) = self.journal {
            drop(keeper);
            // What made it panic has been told by the panic.
            let _ = thread.join();
        }
        self.recorder
    }

    fn hand_in(&mut self, input: Input) {
        let done = self.client.handle_input(self.clock.now(), input);
        debug_assert!(done.is_ok(), "only commands are refused");
    }

    fn accept(&mut self, stream: TcpStream, remote: SocketAddr) {
        let is_accepted = |id: &&ConnectionId| matches!(id, ConnectionId::Accepted(_));
        if self.connections.keys().filter(is_accepted).count() >= ACCEPTED_MAX {
            return;
        }
        self.accepted = self.accepted.wrapping_add(1);
        let id = ConnectionId::Accepted(self.accepted);
        let connection = Connection::accept(id, stream, remote, self.reporter.clone());
        self.connections.insert(id, connection);
    }

    fn handle_report(&mut self, id: ConnectionId, report: Report) {
        // A connection that was closed here may have had more to say.
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match report {
            Report::Connected { local } => {
                connection.local = Some(local);
                self.recorder.opened(id, local, connection.remote);
            }
            Report::Refused => {
                self.connections.remove(&id);
                self.hand_in(Input::ConnectionRefused { connection: id });
            }
            Report::Received(bytes) => {
                let (local, remote) = (connection.local, connection.remote);
                self.recorder.stream(self.clock.now(), Way::In, id, (local, remote), &bytes);
                let path = Path { transport: Transport::Tcp, local: self.bind, remote, connection: Some(id) };
                self.hand_in(Input::Stream { path, bytes });
            }
            Report::Lost => self.drop_connection(id),
        }
    }

    /// Closes a connection, if it is not closed yet, and tells the client.
    fn drop_connection(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.remove(&id) {
            self.recorder.closed(id);
            connection.abort();
            self.hand_in(Input::ConnectionLost { connection: id });
        }
    }

    /// Drains the client: transmits first, then events.
    async fn settle(&mut self) {
        self.drain().await;
        #[cfg(unix)]
        if let Some((keeper, _)) = &mut self.journal {
            for (at, input) in self.client.take_inputs() {
                keeper.input(at, || Kept::Client(input));
            }
            keeper.settled();
        }
    }

    async fn drain(&mut self) {
        loop {
            while let Some(transmit) = self.client.poll_transmit() {
                #[cfg(unix)]
                self.said(&Said::Message(&transmit));
                self.send(transmit).await;
            }
            while let Some(media) = self.client.poll_media() {
                #[cfg(unix)]
                self.said(&Said::ClientMedia(&media));
                let MediaTransmit { from, to, bytes } = media;
                if let Ok(local) = self.media.local(from) {
                    self.recorder.media(self.clock.now(), Way::Out, (local, to), from, &bytes);
                }
                self.media.send(from, to, &bytes);
            }
            let event = self.client.poll_event();
            #[cfg(unix)]
            if let Some(event) = &event {
                self.said(&Said::ClientEvent(event));
            }
            match event {
                // What follows may be something to send.
                Some(Event::Disconnect { connection }) => self.drop_connection(connection),
                Some(event) => self.events.push_back(event),
                None => return,
            }
        }
    }

    /// The client has said this.
    #[cfg(unix)]
    fn said(&mut self, said: &Said<'_>) {
        if let Some((keeper, _)) = &mut self.journal {
            keeper.said(said);
        }
    }

    async fn send(&mut self, transmit: Transmit) {
        let Transmit { path, bytes } = transmit;
        match path.connection {
            None => {
                self.recorder.datagram(self.clock.now(), Way::Out, path.local, path.remote, &bytes);
                if let Some(socket) = &self.udp {
                    // A datagram that cannot leave is one that is lost: it is sent again, or its timer ends it.
                    let _ = socket.send_to(&bytes, path.remote).await;
                }
            }
            Some(id) => self.send_on(id, path, bytes),
        }
    }

    fn send_on(&mut self, id: ConnectionId, path: Path, bytes: Bytes) {
        if !self.connections.contains_key(&id) && !self.open(id, path) {
            return;
        }
        let Some(connection) = self.connections.get(&id) else { return };
        let ends = (connection.local, connection.remote);
        match connection.send(bytes.clone()) {
            Ok(()) => self.recorder.stream(self.clock.now(), Way::Out, id, ends, &bytes),
            Err(connection::Congested) => self.drop_connection(id),
        }
    }

    /// Opens the connection that the client asks for. An accepted one that is gone cannot be opened again.
    fn open(&mut self, id: ConnectionId, path: Path) -> bool {
        let ConnectionId::Opened(_) = id else { return false };
        let is_opened = |id: &&ConnectionId| matches!(id, ConnectionId::Opened(_));
        if self.connections.keys().filter(is_opened).count() >= OPENED_MAX {
            self.hand_in(Input::ConnectionRefused { connection: id });
            return false;
        }
        let connection = Connection::open(id, path.local, path.remote, self.reporter.clone());
        self.connections.insert(id, connection);
        true
    }
}

async fn receive(socket: Option<&UdpSocket>, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    match socket {
        Some(socket) => socket.recv_from(buffer).await,
        None => std::future::pending().await,
    }
}

async fn accept(
    listener: Option<&TcpListener>,
    clock: Clock,
    after: Option<Instant>,
) -> io::Result<(TcpStream, SocketAddr)> {
    let Some(listener) = listener else { return std::future::pending().await };
    if after.is_some() {
        clock.until(after).await;
    }
    listener.accept().await
}
