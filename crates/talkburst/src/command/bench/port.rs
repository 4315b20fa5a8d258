//! A socket of the generator: the one that the server has.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use bytes::Bytes;
use sip::message::Message;

use crate::serve::{Datagrams, Inbox};

/// Octets that may wait in the kernel, each way.
const BUFFER: usize = 4 * 1024 * 1024;

/// A socket with what has come.
pub(super) struct Port {
    pub(super) local: SocketAddr,
    datagrams: Datagrams,
    inbox: Inbox,
}

impl Port {
    /// A free port at this address. Without `has_runs` each datagram is one for the kernel too.
    pub(super) fn open(at: SocketAddr, has_runs: bool) -> io::Result<Self> {
        let socket = UdpSocket::from(open_socket(at)?);
        let local = socket.local_addr()?;
        let datagrams =
            if has_runs { Datagrams::new(local, socket)? } else { Datagrams::without_runs(local, socket)? };
        Ok(Self { local, datagrams, inbox: Inbox::new() })
    }

    /// Waits for something to come.
    pub(super) async fn readable(&self) -> io::Result<()> {
        std::future::poll_fn(|context| self.datagrams.poll_readable(context)).await
    }

    /// Takes what has come, up to a batch.
    pub(super) fn receive(&mut self, mut take: impl FnMut(SocketAddr, &Message)) -> io::Result<()> {
        self.datagrams.receive(&mut self.inbox)?;
        while let Some((path, bytes)) = self.inbox.next() {
            // What is no message is none for us.
            if let Ok(message) = Message::parse(bytes) {
                take(path.remote, &message);
            }
        }
        Ok(())
    }

    /// Sends these, and what waits.
    pub(super) async fn send(&mut self, to: SocketAddr, messages: impl Iterator<Item = Bytes>) {
        for bytes in messages {
            self.datagrams.send(to, bytes).await;
        }
        self.datagrams.flush().await;
    }
}

/// A socket with room in the kernel.
pub(super) fn open_socket(at: SocketAddr) -> io::Result<socket2::Socket> {
    let domain = socket2::Domain::for_address(at);
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
    // Less than asked for is no failure.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    Ok(socket)
}
