//! The sockets that a client listens on.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sip::transport::{Listener, Transport};
use tokio::net::{TcpListener, UdpSocket};

/// Tries for a port that is free for both transports.
const TRIES: usize = 32;

/// UDP and TCP at one address; at least one of them.
pub(crate) struct Sockets {
    pub(super) udp: Option<UdpSocket>,
    pub(super) tcp: Option<TcpListener>,
    /// The address of both.
    pub(crate) bind: SocketAddr,
}

/// An address that cannot be listened on.
pub(crate) struct Occupied {
    pub(crate) transport: Transport,
    pub(crate) error: io::Error,
}

impl Sockets {
    /// Listens on `address` with UDP, TCP, or both on the same port. Port 0 stands for one that is free.
    pub(crate) async fn open(address: SocketAddr, only: Option<Transport>) -> Result<Self, Occupied> {
        let (with_udp, with_tcp) = (only != Some(Transport::Tcp), only != Some(Transport::Udp));
        let mut tries = 0;
        loop {
            tries += 1;
            match bind(address, with_udp, with_tcp).await {
                // The port that was free for UDP is not for TCP: another one may be.
                Err(Occupied { transport: Transport::Tcp, error })
                    if with_udp
                        && address.port() == 0
                        && tries < TRIES
                        && error.kind() == io::ErrorKind::AddrInUse => {}
                other => return other,
            }
        }
    }

    /// What the endpoint is told about them.
    pub(crate) fn listeners(&self, advertised: SocketAddr) -> Vec<Listener> {
        let listener = |transport| Listener { transport, bind: self.bind, advertised };
        let udp = self.udp.as_ref().map(|_| listener(Transport::Udp));
        udp.into_iter().chain(self.tcp.as_ref().map(|_| listener(Transport::Tcp))).collect()
    }
}

async fn bind(address: SocketAddr, with_udp: bool, with_tcp: bool) -> Result<Sockets, Occupied> {
    let occupied = |transport| move |error| Occupied { transport, error };
    let mut bound = address;
    let udp = if with_udp {
        let socket = UdpSocket::bind(address).await.map_err(occupied(Transport::Udp))?;
        bound = socket.local_addr().map_err(occupied(Transport::Udp))?;
        Some(socket)
    } else {
        None
    };
    let tcp = if with_tcp {
        let listener = TcpListener::bind(bound).await.map_err(occupied(Transport::Tcp))?;
        bound = listener.local_addr().map_err(occupied(Transport::Tcp))?;
        Some(listener)
    } else {
        None
    };
    Ok(Sockets { udp, tcp, bind: bound })
}

/// Any address of the family of `other`.
pub(crate) fn unspecified(other: IpAddr) -> IpAddr {
    match other {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// The address that this machine has towards `remote`. A connected UDP socket knows it, and nothing is sent.
pub(crate) fn address_towards(remote: SocketAddr) -> io::Result<IpAddr> {
    let socket = std::net::UdpSocket::bind((unspecified(remote.ip()), 0))?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}
