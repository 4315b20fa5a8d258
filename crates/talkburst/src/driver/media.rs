//! The sockets of a client for speech and talk burst control.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use poc::media::Stream;
use sip::transport::Transport;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use super::Occupied;

/// How often two neighbouring ports are looked for that are free.
const TRIES: usize = 64;

/// Two sockets at ports that are free, an even one and the next (RFC 3550 §11). `open` is given 0 for any port.
pub(crate) fn neighbours(
    open: impl Fn(u16) -> io::Result<std::net::UdpSocket>,
) -> io::Result<[std::net::UdpSocket; 2]> {
    let mut last = io::ErrorKind::AddrInUse.into();
    for _ in 0..TRIES {
        let even = open(0)?;
        let port = even.local_addr()?.port();
        // The port behind an even one is a port.
        if !port.is_multiple_of(2) {
            continue;
        }
        match open(port + 1) {
            Ok(odd) => return Ok([even, odd]),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Speech at a port, its RTCP and talk burst control at the next one (RFC 3550 §11).
pub(crate) struct MediaSockets {
    speech: UdpSocket,
    control: UdpSocket,
}

impl MediaSockets {
    /// Opens two ports that are free.
    pub(crate) fn open(ip: IpAddr) -> Result<Self, Occupied> {
        let open = |port| {
            let socket = std::net::UdpSocket::bind(SocketAddr::new(ip, port))?;
            socket.set_nonblocking(true).map(|()| socket)
        };
        let opened = neighbours(open).and_then(|[speech, control]| {
            Ok(Self { speech: UdpSocket::from_std(speech)?, control: UdpSocket::from_std(control)? })
        });
        opened.map_err(|error| Occupied { transport: Transport::Udp, error })
    }

    /// The port of each stream.
    pub(crate) fn port(&self, stream: Stream) -> u16 {
        self.local(stream).map_or(0, |local| local.port())
    }

    /// The address of each stream.
    pub(crate) fn local(&self, stream: Stream) -> io::Result<SocketAddr> {
        self.socket(stream).local_addr()
    }

    /// Waits for a datagram; how long it is, and where it is from.
    pub(crate) async fn receive(&self, buffer: &mut [u8]) -> io::Result<(Stream, usize, SocketAddr)> {
        poll_fn(|context| self.poll_receive(context, buffer)).await
    }

    /// The same; else the task of `context` is woken once there is one.
    pub(crate) fn poll_receive(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(Stream, usize, SocketAddr)>> {
        // Who may speak is known before what is said.
        for stream in [Stream::Control, Stream::Speech] {
            let mut space = ReadBuf::new(buffer);
            if let Poll::Ready(received) = self.socket(stream).poll_recv_from(context, &mut space) {
                return Poll::Ready(received.map(|remote| (stream, space.filled().len(), remote)));
            }
        }
        Poll::Pending
    }

    /// Sends a datagram. One that cannot leave is lost: speech that is late is of no use, and control is said again.
    pub(crate) fn send(&self, from: Stream, to: SocketAddr, bytes: &[u8]) {
        let _ = self.socket(from).try_send_to(bytes, to);
    }

    fn socket(&self, stream: Stream) -> &UdpSocket {
        match stream {
            Stream::Speech => &self.speech,
            Stream::Control => &self.control,
        }
    }
}
