//! The probe's own sockets: datagrams, and connections with their framing.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::Bytes;
use sip::transport::{ConnectionId, Frame, Framer, Transport};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::super::session::arguments::IpPort;
use super::call::PORT;

/// Connections of one end: a target that floods is cut off.
const CONNECTIONS_MAX: usize = 64;

/// How often a port is looked for that both transports have free.
const PORTS_TRIED: usize = 16;

/// Octets that are read at a time.
const CHUNK: usize = 65_536;

/// Where a message goes, or came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Way {
    pub(super) transport: Transport,
    pub(super) at: SocketAddr,
}

impl Way {
    pub(super) const fn new(transport: Transport, at: SocketAddr) -> Self {
        Self { transport, at }
    }

    /// To an address that somebody typed, with the port of SIP unless there is one.
    pub(super) fn typed(transport: Transport, at: IpPort) -> Self {
        Self::new(transport, at.or_port(PORT))
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} over {}", self.at, self.transport)
    }
}

/// A connection of an end, opened by either side.
struct Connection {
    /// `None` when it has been closed.
    stream: Option<TcpStream>,
    peer: SocketAddr,
    framer: Framer,
}

/// One end of the probe.
pub(super) struct End {
    socket: UdpSocket,
    listener: TcpListener,
    pub(super) at: SocketAddr,
    /// Where speech and talk burst control would go; nobody reads there.
    pub(super) media: [std::net::UdpSocket; 2],
    /// Its place in the ladder.
    pub(super) place: usize,
    connections: Vec<Connection>,
}

/// What has come.
pub(super) enum Arrived {
    /// A message, and the number of its connection: 0 is none.
    Message { from: Way, connection: usize, bytes: Bytes },
    /// What cannot be cut into messages, or an error of the connection; it is closed.
    Broken(String),
    /// A connection was opened or closed.
    Connection,
}

impl End {
    /// Binds everything; `at` with port 0 is a port that is free. Must be called within a runtime.
    pub(super) fn open(at: SocketAddr, place: usize) -> io::Result<Self> {
        let (socket, listener) = bind(at)?;
        let media = || std::net::UdpSocket::bind((at.ip(), 0));
        let at = socket.local_addr()?;
        Ok(Self { socket, listener, at, media: [media()?, media()?], place, connections: Vec::new() })
    }

    /// Sends octets, by a connection if the way is one: the one that there is, or a new one.
    pub(super) async fn say(&mut self, to: Way, octets: &[u8]) -> io::Result<()> {
        if !to.transport.has_connections() {
            return self.socket.send_to(octets, to.at).await.map(drop);
        }
        let is_usable = |each: &Connection| each.peer == to.at && each.stream.is_some();
        let place = match self.connections.iter().rposition(is_usable) {
            Some(place) => place,
            None => {
                let stream = TcpStream::connect(to.at).await?;
                self.connected(stream, to.at, ConnectionId::Opened(0))
            }
        };
        match &mut self.connections[place].stream {
            Some(stream) => stream.write_all(octets).await,
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn connected(&mut self, stream: TcpStream, peer: SocketAddr, id: ConnectionId) -> usize {
        // Nagle's algorithm would put into one segment what a case wants in two.
        let _ = stream.set_nodelay(true);
        let framer = Framer::new(id);
        self.connections.push(Connection { stream: Some(stream), peer, framer });
        self.connections.len() - 1
    }

    /// Closes all connections.
    pub(super) fn hang_up(&mut self) {
        for each in &mut self.connections {
            each.stream = None;
        }
    }

    /// The next thing that comes.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut Vec<u8>,
    ) -> Poll<io::Result<Arrived>> {
        buffer.resize(CHUNK, 0);
        let mut space = ReadBuf::new(buffer);
        if let Poll::Ready(arrived) = self.socket.poll_recv_from(context, &mut space) {
            let bytes = Bytes::copy_from_slice(space.filled());
            let message = |at| Arrived::Message { from: Way::new(Transport::Udp, at), connection: 0, bytes };
            return Poll::Ready(arrived.map(message));
        }
        if self.connections.len() < CONNECTIONS_MAX
            && let Poll::Ready(accepted) = self.listener.poll_accept(context)
        {
            let (stream, peer) = accepted?;
            self.connected(stream, peer, ConnectionId::Accepted(0));
            return Poll::Ready(Ok(Arrived::Connection));
        }
        for (place, each) in self.connections.iter_mut().enumerate() {
            if let Poll::Ready(arrived) = each.poll(context, buffer, place + 1) {
                return Poll::Ready(Ok(arrived));
            }
        }
        Poll::Pending
    }
}

impl Connection {
    fn poll(&mut self, context: &mut Context<'_>, buffer: &mut [u8], number: usize) -> Poll<Arrived> {
        loop {
            match self.framer.next_frame() {
                Some(Frame::Message(bytes)) => {
                    let from = Way::new(Transport::Tcp, self.peer);
                    return Poll::Ready(Arrived::Message { from, connection: number, bytes });
                }
                Some(Frame::Ping | Frame::Pong) => continue,
                Some(Frame::Fault(fault)) => {
                    self.stream = None;
                    return Poll::Ready(Arrived::Broken(format!("a stream that cannot be cut: {fault:?}")));
                }
                None => {}
            }
            let Some(stream) = &mut self.stream else { return Poll::Pending };
            let mut space = ReadBuf::new(buffer);
            match std::task::ready!(std::pin::Pin::new(stream).poll_read(context, &mut space)) {
                Ok(()) if !space.filled().is_empty() => self.framer.push(space.filled()),
                // Its end, or its reset: either way it is over.
                Ok(()) | Err(_) => {
                    self.stream = None;
                    return Poll::Ready(Arrived::Connection);
                }
            }
        }
    }
}

/// A port that both transports have.
fn bind(at: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut tried = 0;
    loop {
        tried += 1;
        let socket = std::net::UdpSocket::bind(at)?;
        match std::net::TcpListener::bind(socket.local_addr()?) {
            Ok(listener) => {
                listener.set_nonblocking(true)?;
                return Ok((nonblocking(socket)?, TcpListener::from_std(listener)?));
            }
            Err(error) if at.port() != 0 || tried == PORTS_TRIED => return Err(error),
            Err(_) => {}
        }
    }
}

fn nonblocking(socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}
