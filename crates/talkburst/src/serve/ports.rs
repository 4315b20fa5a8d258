//! One port for all shards: each has a UDP socket and a TCP listener of its own there, and the kernel spreads what comes.

use std::io;
use std::net::SocketAddr;

use sip::transport::Transport;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

use crate::driver::{Occupied, Sockets};

/// Octets that may wait in the kernel, each way: a burst must fit while the thread is at work. The system may allow less.
const BUFFER: usize = 4 * 1024 * 1024;

/// Connections that may wait for being accepted.
const BACKLOG: i32 = 1024;

/// Sockets of one shard, before its thread runs.
pub(crate) struct Ports {
    udp: std::net::UdpSocket,
    tcp: std::net::TcpListener,
}

/// Opens the sockets of `shards` shards at `address`; port 0 stands for one that is free. Their address comes back besides.
pub(crate) async fn open(address: SocketAddr, shards: u8) -> Result<(Vec<Ports>, SocketAddr), Occupied> {
    // Sockets that share a port would share it with another server too. This one does not, and tells if there is any.
    let bind = Sockets::open(address, None).await?.bind;
    let ports = (0..shards).map(|_| Ports::open(bind, shards > 1)).collect::<Result<_, _>>()?;
    Ok((ports, bind))
}

impl Ports {
    fn open(address: SocketAddr, is_shared: bool) -> Result<Self, Occupied> {
        let occupied = |transport| move |error| Occupied { transport, error };
        let udp = udp(address, is_shared).map_err(occupied(Transport::Udp))?;
        let tcp = tcp(address, is_shared).map_err(occupied(Transport::Tcp))?;
        Ok(Self { udp, tcp })
    }

    /// The sockets, for the runtime that this is called in.
    pub(crate) fn into_tokio(self) -> io::Result<(UdpSocket, TcpListener)> {
        Ok((UdpSocket::from_std(self.udp)?, TcpListener::from_std(self.tcp)?))
    }
}

fn udp(address: SocketAddr, is_shared: bool) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // Less than asked for is no failure.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    prepare(&socket, address, is_shared)?;
    Ok(socket.into())
}

fn tcp(address: SocketAddr, is_shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    prepare(&socket, address, is_shared)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn prepare(socket: &Socket, address: SocketAddr, is_shared: bool) -> io::Result<()> {
    socket.set_reuse_port(is_shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::block_on;

    #[test]
    fn all_shards_have_one_port_and_nobody_else_has() {
        block_on(async {
            let free = "127.0.0.1:0".parse().unwrap();
            for shards in [1, 4] {
                let (ports, bind) = open(free, shards).await.ok().unwrap();
                assert_eq!(ports.len(), usize::from(shards));
                assert_ne!(bind.port(), 0);
                for each in &ports {
                    assert_eq!(each.udp.local_addr().unwrap(), bind);
                    assert_eq!(each.tcp.local_addr().unwrap(), bind);
                }
                let second = open(bind, shards).await.err().unwrap();
                assert_eq!(second.error.kind(), io::ErrorKind::AddrInUse, "{shards}");
            }
        });
    }
}
