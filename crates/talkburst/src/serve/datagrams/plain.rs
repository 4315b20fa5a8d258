//! One datagram a call, as every system can.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use super::{RECEIVED_MAX, Received};
use crate::serve::outbox::Leaving;

/// Whether a call can send a run.
pub(super) const HAS_RUNS: bool = false;

/// Nothing to prepare.
pub(super) fn prepare(_: &UdpSocket) {}

/// What receiving needs each time.
pub(super) struct Receiver;

impl Receiver {
    pub(super) fn new(_: bool) -> Self {
        Self
    }

    /// Receives a batch into rooms of that length, and tells each.
    pub(super) fn receive(
        &mut self,
        socket: &UdpSocket,
        (buffer, room): (&mut [u8], usize),
        mut tell: impl FnMut(Option<Received>),
    ) -> io::Result<()> {
        for (room, number) in buffer.chunks_exact_mut(room).zip(0..RECEIVED_MAX) {
            match socket.recv_from(room) {
                Ok((length, remote)) => tell(Some(Received { remote, length, segment: None })),
                Err(error) if number == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(())
    }
}

/// What sending needs each time.
pub(super) struct Sender;

impl Sender {
    pub(super) fn new(_: SocketAddr) -> Self {
        Self
    }

    /// There are no runs.
    pub(super) fn run(&self, _: &UdpSocket, _: &[Leaving]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Sends the first of these.
    pub(super) fn singles(&mut self, socket: &UdpSocket, singles: &[Leaving]) -> io::Result<usize> {
        let Some(first) = singles.first() else { return Ok(0) };
        socket.send_to(&first.bytes, first.remote).map(|_| 1)
    }

    /// Sends the same octets to the first of these.
    pub(super) fn copies(
        &mut self,
        socket: &UdpSocket,
        bytes: &[u8],
        to: &[SocketAddr],
    ) -> io::Result<usize> {
        let Some(first) = to.first() else { return Ok(0) };
        socket.send_to(bytes, *first).map(|_| 1)
    }

    /// Sends to the first of these what is for it.
    pub(super) fn each<'a>(
        &mut self,
        socket: &UdpSocket,
        mut all: impl ExactSizeIterator<Item = (SocketAddr, &'a [u8])>,
    ) -> io::Result<usize> {
        let Some((to, bytes)) = all.next() else { return Ok(0) };
        socket.send_to(bytes, to).map(|_| 1)
    }
}

/// Whether a run could not be sent because it is one.
pub(super) fn refuses_runs(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
}

/// Whether the device cannot do it, whatever the length.
pub(super) fn is_of_device(_: &io::Error) -> bool {
    true
}
