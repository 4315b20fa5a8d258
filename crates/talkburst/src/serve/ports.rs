//! One port for all shards, at each address that is listened on: every shard has a UDP socket and a TCP listener of its own
//! there, and the kernel spreads what comes.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::Bytes;
use sip::transport::Transport;
use socket2::{Domain, Protocol, Type};
use tokio::net::{TcpListener, TcpStream};

use super::datagrams::{Datagrams, Inbox};
use super::settings::Listening;
use crate::driver::{Occupied, Sockets};

/// Octets that may wait in the kernel, each way: a burst must fit while the thread is at work. The system may allow less.
const BUFFER: usize = 4 * 1024 * 1024;

/// Connections that may wait for being accepted.
const BACKLOG: i32 = 1024;

/// Sockets of one shard at one address, before its thread runs.
pub(crate) struct Ports {
    bind: SocketAddr,
    udp: std::net::UdpSocket,
    tcp: std::net::TcpListener,
}

/// An address that cannot be listened on.
pub(crate) struct Unusable {
    pub(crate) address: SocketAddr,
    pub(crate) occupied: Occupied,
}

/// Opens the sockets of `shards` shards; port 0 stands for one that is free. For each shard its sockets come back, and the
/// listeners with the ports that they have.
pub(crate) async fn open(
    listeners: &[Listening],
    shards: u8,
) -> Result<(Vec<Vec<Ports>>, Vec<Listening>), Unusable> {
    let (mut all, mut bound) = (Vec::new(), Vec::new());
    all.resize_with(usize::from(shards), Vec::new);
    for &Listening { bind: address, mut advertised } in listeners {
        let unusable = |occupied| Unusable { address, occupied };
        // Sockets that share a port would share it with another server too. This one does not, and tells if there is any.
        let bind = Sockets::open(address, None).await.map_err(unusable)?.bind;
        for ports in &mut all {
            ports.push(Ports::open(bind, shards > 1).map_err(unusable)?);
        }
        if advertised.port() == 0 {
            advertised.set_port(bind.port());
        }
        bound.push(Listening { bind, advertised });
    }
    Ok((all, bound))
}

impl Ports {
    fn open(address: SocketAddr, is_shared: bool) -> Result<Self, Occupied> {
        let occupied = |transport| move |error| Occupied { transport, error };
        let udp = udp(address, is_shared).map_err(occupied(Transport::Udp))?;
        let tcp = tcp(address, is_shared).map_err(occupied(Transport::Tcp))?;
        Ok(Self { bind: address, udp, tcp })
    }

    /// The sockets, for the runtime that this is called in.
    pub(crate) fn into_tokio(self) -> io::Result<Socket> {
        let (udp, tcp) = (Datagrams::new(self.bind, self.udp)?, TcpListener::from_std(self.tcp)?);
        Ok(Socket { bind: self.bind, udp, tcp })
    }
}

/// Sockets of one shard at one address.
pub(crate) struct Socket {
    pub(crate) bind: SocketAddr,
    pub(crate) udp: Datagrams,
    pub(crate) tcp: TcpListener,
}

/// A connection that somebody has opened, and the address that it came to.
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) remote: SocketAddr,
    pub(crate) bind: SocketAddr,
}

/// The sockets of a shard.
pub(crate) struct Network {
    sockets: Vec<Socket>,
    /// Which has its turn first: one that is never silent keeps no other from being heard.
    turn: usize,
}

impl Network {
    pub(crate) fn new(sockets: Vec<Socket>) -> Self {
        Self { sockets, turn: 0 }
    }

    /// At which socket there are datagrams; else the task of `context` is woken once there are.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.first(|socket| socket.udp.poll_readable(context)).map_ok(|(place, ())| place)
    }

    /// Receives a batch there.
    pub(crate) fn receive(&mut self, place: usize, inbox: &mut Inbox) -> io::Result<()> {
        self.turn = place + 1;
        self.sockets[place].udp.receive(inbox)
    }

    /// Who connects; else the task of `context` is woken once somebody does.
    pub(crate) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        self.first(|socket| socket.tcp.poll_accept(context)).map_ok(|(place, (stream, remote))| Accepted {
            stream,
            remote,
            bind: self.sockets[place].bind,
        })
    }

    /// The first that is ready, from the one on whose turn it is.
    fn first<T>(&self, mut poll: impl FnMut(&Socket) -> Poll<io::Result<T>>) -> Poll<io::Result<(usize, T)>> {
        let count = self.sockets.len();
        for place in (0..count).map(|place| (place + self.turn) % count) {
            if let Poll::Ready(ready) = poll(&self.sockets[place]) {
                return Poll::Ready(ready.map(|ready| (place, ready)));
            }
        }
        Poll::Pending
    }

    /// Sends a datagram with the next [`Self::flush`], from the address that it is from.
    pub(crate) async fn send(&mut self, local: SocketAddr, remote: SocketAddr, bytes: Bytes) {
        let mut places = self.sockets.iter().map(|socket| socket.bind);
        let place = places.clone().position(|bind| bind == local);
        let place = place.or_else(|| places.position(|bind| bind.is_ipv4() == remote.is_ipv4()));
        // Without a way of that family it is lost, as it is without a route.
        if let Some(socket) = place.and_then(|place| self.sockets.get_mut(place)) {
            socket.udp.send(remote, bytes).await;
        }
    }

    /// Sends what waits.
    pub(crate) async fn flush(&mut self) {
        for socket in &mut self.sockets {
            socket.udp.flush().await;
        }
    }
}

pub(super) fn udp(address: SocketAddr, is_shared: bool) -> io::Result<std::net::UdpSocket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // Less than asked for is no failure.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    prepare(&socket, address, is_shared)?;
    Ok(socket.into())
}

fn tcp(address: SocketAddr, is_shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    prepare(&socket, address, is_shared)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn prepare(socket: &socket2::Socket, address: SocketAddr, is_shared: bool) -> io::Result<()> {
    socket.set_reuse_port(is_shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::net::UdpSocket;

    use super::*;
    use crate::store::fixture::block_on;

    fn listeners(free: &[&str]) -> Vec<Listening> {
        let listening = |bind: SocketAddr| Listening { bind, advertised: bind };
        free.iter().map(|free| listening(free.parse().unwrap())).collect()
    }

    /// The sockets of one shard, and their addresses.
    async fn network(free: &[&str]) -> (Network, Vec<SocketAddr>) {
        let (mut all, bound) = open(&listeners(free), 1).await.ok().unwrap();
        let sockets = all.remove(0).into_iter().map(|ports| ports.into_tokio().unwrap()).collect();
        (Network::new(sockets), bound.into_iter().map(|each| each.bind).collect())
    }

    #[test]
    fn all_shards_have_one_port_and_nobody_else_has() {
        block_on(async {
            let free = listeners(&["127.0.0.1:0", "[::1]:0"]);
            for shards in [1, 4] {
                let (all, bound) = open(&free, shards).await.ok().unwrap();
                assert_eq!(all.len(), usize::from(shards));
                assert!(bound.iter().all(|each| each.bind.port() != 0 && each.advertised == each.bind));
                let binds: Vec<_> = bound.iter().map(|each| each.bind).collect();
                for ports in &all {
                    let of = |local: fn(&Ports) -> SocketAddr| ports.iter().map(local).collect::<Vec<_>>();
                    assert_eq!(of(|each| each.udp.local_addr().unwrap()), binds);
                    assert_eq!(of(|each| each.tcp.local_addr().unwrap()), binds);
                }
                let second = open(&bound[1..], shards).await.err().unwrap();
                assert_eq!(second.occupied.error.kind(), io::ErrorKind::AddrInUse, "{shards}");
                assert_eq!(second.address, binds[1]);
            }
        });
    }

    #[test]
    fn what_is_sent_leaves_by_the_socket_that_it_is_from_or_by_one_of_the_family() {
        block_on(async {
            let (mut network, bound) = network(&["127.0.0.1:0", "127.0.0.1:0", "[::1]:0"]).await;
            // Nobody listens there any more.
            let gone = "192.0.2.1:5060".parse().unwrap();
            for (peer, ways) in [
                ("127.0.0.1:0", [(bound[1], bound[1]), (bound[0], bound[0]), (gone, bound[0])]),
                ("[::1]:0", [(bound[2], bound[2]), (gone, bound[2]), (gone, bound[2])]),
            ] {
                let peer = UdpSocket::bind(peer).await.unwrap();
                for (local, from) in ways {
                    network.send(local, peer.local_addr().unwrap(), Bytes::from_static(b"x")).await;
                    network.flush().await;
                    assert_eq!(peer.recv_from(&mut [0; 8]).await.unwrap().1, from);
                }
            }
        });
    }

    #[test]
    fn a_socket_that_is_never_silent_keeps_no_other_from_being_heard() {
        block_on(async {
            let ((mut network, bound), mut inbox) =
                (network(&["127.0.0.1:0", "[::1]:0"]).await, Inbox::new());
            let peers = ["127.0.0.1:0", "[::1]:0"].map(|free| std::net::UdpSocket::bind(free).unwrap());
            let mut heard = Vec::new();
            for _ in 0..4 {
                for (peer, bind) in peers.iter().zip(&bound) {
                    // More than a batch, so that there is still something when the other's turn has come.
                    (0..40).for_each(|_| assert_eq!(peer.send_to(b"x", bind).unwrap(), 1));
                }
                let place = poll_fn(|context| network.poll_readable(context)).await.unwrap();
                network.receive(place, &mut inbox).unwrap();
                heard.push(inbox.next().unwrap().0.local);
            }
            assert_eq!(heard, [bound[0], bound[1], bound[0], bound[1]]);
        });
    }
}
