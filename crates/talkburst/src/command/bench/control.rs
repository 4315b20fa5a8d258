//! Talk burst control of many legs at few sockets: each leg has an address of its own, for all of 127.0.0.0/8 is this machine.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, BorrowedFd};

use bytes::Bytes;
use nix::cmsg_space;
use nix::libc::{in_addr, in_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use poc::talk_burst::{Acknowledgement, Message, Packet};

use super::port::open_socket;

/// Sockets; each has every so manieth leg.
const SOCKETS: usize = 64;

/// The address of the first legs.
const FIRST: u32 = u32::from_be_bytes([127, 64, 0, 1]);

/// Legs that there can be.
pub(super) const LEGS_MAX: usize = 100_000;

/// No message of the server is longer.
const ROOM: usize = 2048;

/// The sockets.
pub(super) struct Control {
    sockets: Vec<UdpSocket>,
    ports: Vec<u16>,
}

/// What a message of the server is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Said {
    Granted,
    Denied,
    /// Taken; whether it is to be acknowledged.
    Taken(bool),
    Other,
}

impl Said {
    fn of(bytes: &[u8]) -> Option<Self> {
        let is_ours = bytes.get(1) == Some(&204) && bytes.get(8..12) == Some(b"PoC1");
        // User-plane digest 4.1: the subtypes.
        is_ours.then(|| match bytes[0] & 0x1f {
            1 => Self::Granted,
            2 => Self::Taken(false),
            0x12 => Self::Taken(true),
            3 => Self::Denied,
            _ => Self::Other,
        })
    }
}

/// The synchronization source of a leg.
pub(super) fn source(leg: usize) -> u32 {
    u32::try_from(leg).unwrap_or_default() + 1
}

/// The octets of a message of a leg.
pub(super) fn octets(leg: usize, message: Message) -> Bytes {
    Packet { ssrc: source(leg), message }.write().unwrap_or_default()
}

impl Control {
    pub(super) fn open() -> io::Result<Self> {
        let open = || {
            let socket = UdpSocket::from(open_socket(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?);
            // At which of the addresses something has come.
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
            Ok(socket)
        };
        let sockets = (0..SOCKETS).map(|_| open()).collect::<io::Result<Vec<_>>>()?;
        let port = |socket: &UdpSocket| socket.local_addr().map(|local| local.port());
        let ports = sockets.iter().map(port).collect::<io::Result<_>>()?;
        Ok(Self { sockets, ports })
    }

    /// What is to be waited for.
    pub(super) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(std::os::fd::AsFd::as_fd)
    }

    /// Where a leg is.
    pub(super) fn address(&self, leg: usize) -> SocketAddr {
        let behind = u32::try_from(leg / SOCKETS).unwrap_or_default();
        SocketAddr::from((Ipv4Addr::from(FIRST + behind), self.ports[leg % SOCKETS]))
    }

    /// Says something.
    pub(super) fn send(&self, leg: usize, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let SocketAddr::V4(own) = self.address(leg) else { return Ok(()) };
        let none = in_addr { s_addr: 0 };
        let source = in_addr { s_addr: u32::from_ne_bytes(own.ip().octets()) };
        let from = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: none };
        let (slices, to) = ([IoSlice::new(bytes)], SockaddrStorage::from(to));
        let control = [ControlMessage::Ipv4PacketInfo(&from)];
        let socket = &self.sockets[leg % SOCKETS];
        sendmsg(socket.as_raw_fd(), &slices, &control, MsgFlags::MSG_DONTWAIT, Some(&to))?;
        Ok(())
    }

    /// Takes what has come at one socket: for which leg, and what.
    pub(super) fn receive(&self, place: usize, mut take: impl FnMut(usize, Said)) -> io::Result<()> {
        let (mut room, mut control) = ([0; ROOM], cmsg_space!(in_pktinfo));
        loop {
            let mut slices = [IoSliceMut::new(&mut room)];
            let socket = self.sockets[place].as_raw_fd();
            let received = recvmsg::<()>(socket, &mut slices, Some(&mut control), MsgFlags::MSG_DONTWAIT);
            let (length, address) = match received {
                Ok(received) => {
                    let at = received.cmsgs()?.find_map(|each| {
                        let ControlMessageOwned::Ipv4PacketInfo(at) = each else { return None };
                        Some(at.ipi_addr.s_addr)
                    });
                    (received.bytes, at)
                }
                Err(error) if io::Error::from(error).kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let (Some(address), Some(said)) = (address, Said::of(&room[..length])) else { continue };
            let behind = u32::from_be_bytes(address.to_ne_bytes()).wrapping_sub(FIRST);
            take(behind as usize * SOCKETS + place, said);
        }
    }

    /// The same, and what is to be acknowledged is: at `at`.
    pub(super) fn answer(
        &self,
        place: usize,
        at: impl Fn(usize) -> SocketAddr,
        mut take: impl FnMut(usize, Said),
    ) -> io::Result<u64> {
        let mut answered = 0;
        self.receive(place, |leg, said| {
            if said == Said::Taken(true) {
                let bytes = octets(leg, Message::Acknowledgement(Acknowledgement::Taken));
                answered += u64::from(self.send(leg, at(leg), &bytes).is_ok());
            }
            take(leg, said);
        })?;
        Ok(answered)
    }

    /// Throws away what has come.
    pub(super) fn discard(&self) {
        for place in 0..SOCKETS {
            let _ = self.receive(place, |_, _| {});
        }
    }
}
