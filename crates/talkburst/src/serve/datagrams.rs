//! A UDP socket of a shard: many datagrams a call, each way.
//!
//! On Linux one call receives a batch, in which the kernel may have joined datagrams of one sender (UDP_GRO), and one call
//! sends a run of equal length (UDP_SEGMENT) or a batch of single ones. Elsewhere each takes a call.

#[cfg(target_os = "linux")]
#[path = "datagrams/linux.rs"]
mod system;
#[cfg(not(target_os = "linux"))]
#[path = "datagrams/plain.rs"]
mod system;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};

use bytes::Bytes;
use sip::transport::{Path, Transport};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::outbox::{Leaving, Outbox, Together, sent_together};

/// Calls for a batch return so many buffers at most.
pub(crate) const RECEIVED_MAX: usize = 32;

/// No datagram is longer, nor is what the kernel joins.
const ROOM: usize = 65_536;

/// What a segment may have on every way: IPv6 carries 1,280 octets (RFC 8200 §5), 48 of them headers.
const SEGMENT_ALWAYS: usize = 1_232;

/// No datagram of media is longer: more than one frame on any link without fragments.
const ROOM_OF_MEDIA: usize = 2048;

/// What has been received and not taken yet, of any socket of one shard.
pub(crate) struct Inbox {
    buffer: Vec<u8>,
    /// Octets for each datagram, or for what the kernel has joined.
    room: usize,
    pieces: Vec<Piece>,
    taken: usize,
}

/// A datagram in the buffer.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Piece {
    local: SocketAddr,
    remote: SocketAddr,
    begin: usize,
    end: usize,
}

/// What one buffer holds.
struct Received {
    remote: SocketAddr,
    length: usize,
    /// How long each datagram in it is, if the kernel has joined several: only the last may be shorter.
    segment: Option<usize>,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self::with_room(ROOM)
    }

    /// The same for media: what is longer is dropped.
    pub(crate) fn of_media() -> Self {
        Self::with_room(ROOM_OF_MEDIA)
    }

    fn with_room(room: usize) -> Self {
        Self { buffer: vec![0; RECEIVED_MAX * room], room, pieces: Vec::new(), taken: 0 }
    }

    /// Whether there is something to take.
    pub(crate) fn is_empty(&self) -> bool {
        self.taken == self.pieces.len()
    }

    /// Whether as much came as can be taken at once: there may be more then.
    pub(crate) fn is_full(&self) -> bool {
        self.pieces.len() >= RECEIVED_MAX
    }

    /// The next datagram. It is copied: what a transaction keeps of it must not keep the buffer.
    pub(crate) fn next(&mut self) -> Option<(Path, Bytes)> {
        let Piece { local, .. } = *self.pieces.get(self.taken)?;
        let (remote, octets) = self.next_octets()?;
        let path = Path { transport: Transport::Udp, local, remote, connection: None };
        Some((path, Bytes::copy_from_slice(octets)))
    }

    /// The same, not copied yet.
    pub(crate) fn next_octets(&mut self) -> Option<(SocketAddr, &[u8])> {
        let Piece { remote, begin, end, .. } = *self.pieces.get(self.taken)?;
        self.taken += 1;
        Some((remote, &self.buffer[begin..end]))
    }

    fn put(&mut self, number: usize, local: SocketAddr, received: &Received) {
        let Received { remote, length, segment } = *received;
        let (begin, segment) = (number * self.room, segment.filter(|segment| *segment > 0).unwrap_or(length));
        // An empty datagram says nothing.
        for from in (0..length.min(self.room)).step_by(segment.max(1)) {
            let end = (from + segment).min(length).min(self.room);
            self.pieces.push(Piece { local, remote, begin: begin + from, end: begin + end });
        }
    }
}

/// A UDP socket, and what leaves by it. It is waited for as one to be read: if it were one to be written too, all that has left it
/// would wake its thread once more.
pub(crate) struct Datagrams {
    bind: SocketAddr,
    socket: AsyncFd<UdpSocket>,
    outbox: Outbox,
    /// Octets that one datagram of a run may have; 0 if there are no runs.
    segment_max: usize,
    sender: system::Sender,
    receiver: system::Receiver,
}

impl Datagrams {
    /// Takes a socket that is bound to this address and never blocks.
    pub(crate) fn new(bind: SocketAddr, socket: UdpSocket) -> io::Result<Self> {
        system::prepare(&socket);
        let segment_max = if system::HAS_RUNS { ROOM } else { 0 };
        let receiver = system::Receiver::new(system::HAS_RUNS);
        Ok(Self { segment_max, receiver, ..Self::without_runs(bind, socket)? })
    }

    /// The same, and the kernel joins nothing, neither way.
    pub(crate) fn without_runs(bind: SocketAddr, socket: UdpSocket) -> io::Result<Self> {
        let (sender, receiver) = (system::Sender::new(bind), system::Receiver::new(false));
        let socket = watched(socket, Interest::READABLE)?;
        Ok(Self { bind, socket, outbox: Outbox::default(), segment_max: 0, sender, receiver })
    }

    /// Whether something can be received; else the task of `context` is woken once it can.
    pub(crate) fn poll_readable(
        &self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        self.socket.poll_read_ready(context).map_ok(|mut ready| ready.retain_ready())
    }

    /// Receives what there is, up to a batch, once all of the last one has been taken.
    pub(crate) fn receive(&mut self, inbox: &mut Inbox) -> io::Result<()> {
        inbox.pieces.clear();
        inbox.taken = 0;
        let mut count = 0;
        let mut buffer = std::mem::take(&mut inbox.buffer);
        let (receiver, bind, room) = (&mut self.receiver, self.bind, inbox.room);
        let received = self.socket.try_io(Interest::READABLE, |socket| {
            receiver.receive(socket, (&mut buffer, room), |received| {
                if let Some(received) = received {
                    inbox.put(count, bind, &received);
                }
                count += 1;
            })?;
            // Less than a batch: nothing more is there, and the next call would only be told so.
            if count < RECEIVED_MAX { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        inbox.buffer = buffer;
        match received {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Sends this with the next [`Self::flush`], or now if too much waits.
    pub(crate) async fn send(&mut self, remote: SocketAddr, bytes: Bytes) {
        self.outbox.push(remote, bytes, self.segment_max);
        if self.outbox.is_full() {
            self.flush().await;
        }
    }

    /// Sends what waits. A datagram that cannot leave is one that is lost: it is sent again, or its timer ends it.
    pub(crate) async fn flush(&mut self) {
        let leaving = self.outbox.take();
        let mut rest = leaving.as_slice();
        while !rest.is_empty() {
            let sent = match sent_together(rest) {
                Together::Run(count) => {
                    let run = &rest[..count];
                    match send_all(self.socket.get_ref(), |socket| self.sender.run(socket, run)).await {
                        Err(error) if system::refuses_runs(&error) => {
                            // 1. Too long for this way, or the kernel or the device cannot do it at all.
                            let length = run[0].bytes.len();
                            let is_long = length > SEGMENT_ALWAYS && !system::is_of_device(&error);
                            self.segment_max = if is_long { length - 1 } else { 0 };
                            // 2. Each by itself.
                            send_singles(self.socket.get_ref(), &mut self.sender, run).await;
                        }
                        Ok(_) | Err(_) => {}
                    }
                    count
                }
                Together::Singles(count) => {
                    send_singles(self.socket.get_ref(), &mut self.sender, &rest[..count]).await;
                    count
                }
            };
            rest = &rest[sent..];
        }
    }
}

impl Datagrams {
    /// Sends the same octets to each of these now, and says how many are lost since the kernel has no room for them. Those who come
    /// after one that cannot be sent to have their turn all the same.
    pub(crate) fn send_copies(&mut self, bytes: &[u8], to: &[SocketAddr]) -> usize {
        let (socket, sender) = (self.socket.get_ref(), &mut self.sender);
        send_now(to, |rest| sender.copies(socket, bytes, rest))
    }

    /// The same, to each what is for it: one of these texts.
    pub(crate) fn send_each(&mut self, all: &[(SocketAddr, usize)], texts: &[Bytes]) -> usize {
        let (socket, sender) = (self.socket.get_ref(), &mut self.sender);
        send_now(all, |rest| sender.each(socket, rest.iter().map(|(to, text)| (*to, &texts[*text][..]))))
    }
}

/// Sends all of these by calls that say how many of the first ones they have sent.
fn send_now<T>(mut rest: &[T], mut send: impl FnMut(&[T]) -> io::Result<usize>) -> usize {
    while !rest.is_empty() {
        match send(rest) {
            Ok(count) => rest = &rest[count.clamp(1, rest.len())..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return rest.len(),
            Err(_) => rest = &rest[1..],
        }
    }
    0
}

/// Sends these, each in a datagram of its own, and leaves out those that cannot leave.
async fn send_singles(socket: &UdpSocket, sender: &mut system::Sender, mut singles: &[Leaving]) {
    while !singles.is_empty() {
        let sent = send_all(socket, |socket| sender.singles(socket, singles)).await.unwrap_or(1);
        singles = &singles[sent.clamp(1, singles.len())..];
    }
}

/// Calls `send` until the kernel has room for it.
async fn send_all(
    socket: &UdpSocket,
    mut send: impl FnMut(&UdpSocket) -> io::Result<usize>,
) -> io::Result<usize> {
    loop {
        match send(socket) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // By another name, since the socket is waited for as one to be read.
                let other = socket.as_fd().try_clone_to_owned()?;
                let _ = watched(other, Interest::WRITABLE)?.writable().await?;
            }
            other => return other,
        }
    }
}

/// For the runtime that this is called in, and for nothing but this.
#[expect(
    deprecated,
    reason = "what has taken its place is unsafe; what is handed in here owns its descriptor and keeps it"
)]
fn watched<T: AsRawFd>(socket: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(socket, interest)
}

#[cfg(test)]
mod tests;
