//! The calls of Linux.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrIn, SockaddrIn6,
    SockaddrLike, SockaddrStorage, recvmmsg, sendmmsg, sendmsg, setsockopt, sockopt,
};

use super::{RECEIVED_MAX, Received};
use crate::serve::outbox::{Leaving, RUN_MAX};

/// Whether a call can send a run.
pub(super) const HAS_RUNS: bool = true;

/// Lets the kernel join what it receives, if it can.
pub(super) fn prepare(socket: &UdpSocket) {
    // Without it nothing is joined, and all is received all the same.
    let _ = setsockopt(socket, sockopt::UdpGroSegment, &true);
}

/// What receiving needs each time.
pub(super) struct Receiver {
    headers: MultiHeaders<SockaddrStorage>,
    /// Whether the kernel joins what it receives, and says so.
    is_told: bool,
}

impl Receiver {
    pub(super) fn new(is_told: bool) -> Self {
        Self { headers: headers(is_told), is_told }
    }

    /// Receives a batch into rooms of that length, and tells each: `None` where one cannot be read.
    pub(super) fn receive(
        &mut self,
        socket: &UdpSocket,
        (buffer, room): (&mut [u8], usize),
        mut tell: impl FnMut(Option<Received>),
    ) -> io::Result<()> {
        if self.is_told {
            // New each time: the kernel writes into them how much room for control data it has used, and would find no more.
            self.headers = headers(true);
        }
        let mut rooms = buffer.chunks_exact_mut(room);
        let mut slices = [(); RECEIVED_MAX].map(|()| [IoSliceMut::new(rooms.next().unwrap_or_default())]);
        let flags = MsgFlags::MSG_DONTWAIT;
        for each in recvmmsg(socket.as_raw_fd(), &mut self.headers, &mut slices, flags, None)? {
            tell(read(&each));
        }
        Ok(())
    }
}

fn headers(is_told: bool) -> MultiHeaders<SockaddrStorage> {
    MultiHeaders::preallocate(RECEIVED_MAX, is_told.then(|| cmsg_space!(i32)))
}

/// `None` for what was cut, and for a sender without an address.
fn read(received: &RecvMsg<'_, '_, SockaddrStorage>) -> Option<Received> {
    if received.flags.contains(MsgFlags::MSG_TRUNC) {
        return None;
    }
    let address = received.address?;
    let remote = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
        (Some(address), _) => SocketAddr::V4(SocketAddrV4::from(*address)),
        (None, Some(address)) => SocketAddr::V6(SocketAddrV6::from(*address)),
        (None, None) => return None,
    };
    // Where control data was cut it is not known what the kernel has joined.
    let mut joined = None;
    for control in received.cmsgs().ok()? {
        if let ControlMessageOwned::UdpGroSegments(segment) = control {
            joined = usize::try_from(segment).ok();
        }
    }
    Some(Received { remote, length: received.bytes, segment: joined })
}

/// What sending needs each time: addresses of the socket's family, since any address at all takes eight times as much.
pub(super) enum Sender {
    V4(MultiHeaders<SockaddrIn>),
    V6(MultiHeaders<SockaddrIn6>),
}

impl Sender {
    /// For a socket that is bound to this address.
    pub(super) fn new(bind: SocketAddr) -> Self {
        match bind {
            SocketAddr::V4(_) => Self::V4(MultiHeaders::preallocate(RUN_MAX, None)),
            SocketAddr::V6(_) => Self::V6(MultiHeaders::preallocate(RUN_MAX, None)),
        }
    }

    /// Sends datagrams of one length to one peer.
    pub(super) fn run(&self, socket: &UdpSocket, run: &[Leaving]) -> io::Result<usize> {
        let Some(first) = run.first() else { return Ok(0) };
        let segment = u16::try_from(first.bytes.len()).map_err(|_| Errno::EINVAL)?;
        let mut slices = [IoSlice::new(&[]); RUN_MAX];
        for (slice, each) in slices.iter_mut().zip(run) {
            *slice = IoSlice::new(&each.bytes);
        }
        let (slices, to) = (&slices[..run.len().min(RUN_MAX)], SockaddrStorage::from(first.remote));
        let control = [ControlMessage::UdpGsoSegments(&segment)];
        sendmsg(socket.as_raw_fd(), slices, &control, MsgFlags::MSG_DONTWAIT, Some(&to))?;
        Ok(run.len())
    }

    /// Sends these, each by itself, and says how many of the first ones; fails if that is none.
    pub(super) fn singles(&mut self, socket: &UdpSocket, singles: &[Leaving]) -> io::Result<usize> {
        self.each(socket, singles.iter().map(|each| (each.remote, &each.bytes[..])))
    }

    /// Sends the same octets to each of these, and says to how many of the first ones; fails if that is none.
    pub(super) fn copies(
        &mut self,
        socket: &UdpSocket,
        bytes: &[u8],
        to: &[SocketAddr],
    ) -> io::Result<usize> {
        self.each(socket, to.iter().map(|to| (*to, bytes)))
    }

    /// Sends to each of these what is for it, and says to how many of the first ones; fails if that is none. An address of the other
    /// family is none.
    pub(super) fn each<'a>(
        &mut self,
        socket: &UdpSocket,
        all: impl ExactSizeIterator<Item = (SocketAddr, &'a [u8])>,
    ) -> io::Result<usize> {
        match self {
            Self::V4(headers) => send_each(socket, headers, all, |to| match to {
                SocketAddr::V4(to) => Some(SockaddrIn::from(to)),
                SocketAddr::V6(_) => None,
            }),
            Self::V6(headers) => send_each(socket, headers, all, |to| match to {
                SocketAddr::V6(to) => Some(SockaddrIn6::from(to)),
                SocketAddr::V4(_) => None,
            }),
        }
    }
}

fn send_each<'a, S: SockaddrLike + Copy>(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<S>,
    all: impl ExactSizeIterator<Item = (SocketAddr, &'a [u8])>,
    address: impl Fn(SocketAddr) -> Option<S>,
) -> io::Result<usize> {
    let count = all.len().min(RUN_MAX);
    let (mut slices, mut remotes) = ([[IoSlice::new(&[])]; RUN_MAX], [None; RUN_MAX]);
    for ((slice, remote), (to, bytes)) in slices.iter_mut().zip(&mut remotes).zip(all) {
        *slice = [IoSlice::new(bytes)];
        *remote = address(to);
    }
    let (slices, remotes, flags) = (&slices[..count], &remotes[..count], MsgFlags::MSG_DONTWAIT);
    if let ([slice], [Some(to)]) = (slices, remotes) {
        return sendmsg(socket.as_raw_fd(), slice, &[], flags, Some(to)).map(|_| 1).map_err(io::Error::from);
    }
    Ok(sendmmsg(socket.as_raw_fd(), headers, slices, remotes, [], flags)?.count())
}

/// Whether a run could not be sent because it is one.
pub(super) fn refuses_runs(error: &io::Error) -> bool {
    let codes = [Errno::EINVAL, Errno::EIO, Errno::EMSGSIZE, Errno::EOPNOTSUPP];
    error.raw_os_error().is_some_and(|code| codes.contains(&Errno::from_raw(code)))
}

/// Whether the device cannot do it, whatever the length.
pub(super) fn is_of_device(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::EIO as i32)
}
