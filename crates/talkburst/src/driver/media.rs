//! The sockets of a client for speech and talk burst control.

use std::io;
use std::net::{IpAddr, SocketAddr};

use poc::media::Stream;
use sip::transport::Transport;
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
    pub(super) fn local(&self, stream: Stream) -> io::Result<SocketAddr> {
        self.socket(stream).local_addr()
    }

    /// Waits for a datagram; how long it is, and where it is from.
    pub(super) async fn receive(&self, buffer: &mut [u8; 2048]) -> io::Result<(Stream, usize, SocketAddr)> {
        let readable = |stream| async move { self.socket(stream).readable().await.map(|()| stream) };
        loop {
            let stream = tokio::select! {
                stream = readable(Stream::Control) => stream?,
                stream = readable(Stream::Speech) => stream?,
            };
            match self.socket(stream).try_recv_from(buffer) {
                Ok((length, remote)) => return Ok((stream, length, remote)),
                // Nobody listens where the last datagram went: that is no failure of this socket.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused
                    ) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a datagram. One that cannot leave is lost: speech that is late is of no use, and control is said again.
    pub(super) fn send(&self, from: Stream, to: SocketAddr, bytes: &[u8]) {
        let _ = self.socket(from).try_send_to(bytes, to);
    }

    fn socket(&self, stream: Stream) -> &UdpSocket {
        match stream {
            Stream::Speech => &self.speech,
            Stream::Control => &self.control,
        }
    }
}
