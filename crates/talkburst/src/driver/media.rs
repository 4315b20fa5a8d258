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

/// Speech at a port, its RTCP and talk burst control at the next one (RFC 3550 §11).
pub(crate) struct MediaSockets {
    speech: UdpSocket,
    control: UdpSocket,
}

impl MediaSockets {
    /// Opens two ports that are free.
    pub(crate) async fn open(ip: IpAddr) -> Result<Self, Occupied> {
        let occupied = |error| Occupied { transport: Transport::Udp, error };
        let mut last = io::ErrorKind::AddrInUse.into();
        for _ in 0..TRIES {
            let speech = UdpSocket::bind(SocketAddr::new(ip, 0)).await.map_err(occupied)?;
            let port = speech.local_addr().map_err(occupied)?.port();
            let Some(next) = port.checked_add(1).filter(|_| port.is_multiple_of(2)) else { continue };
            match UdpSocket::bind(SocketAddr::new(ip, next)).await {
                Ok(control) => return Ok(Self { speech, control }),
                Err(error) => last = error,
            }
        }
        Err(occupied(last))
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
