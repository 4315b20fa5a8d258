//! Connections and the streams in them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::hash::{Keyed, Table};
use crate::transport::{ConnectionId, Frame, Framer, Path, Transport};

/// Bits of the number of a connection below those of its shard.
pub const NUMBER_BITS: u32 = 24;

/// The connections that carry, or are asked to carry, our messages.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    /// The upper bits of the numbers: what one shard has opened is known to all by its number.
    shard: u8,
    last: u32,
    /// Connections that we opened, by transport and peer, for reuse.
    opened: Table<ConnectionId>,
    by_id: BTreeMap<ConnectionId, Connection>,
}

/// The shard that has a connection.
pub const fn shard_of(id: ConnectionId) -> u8 {
    let (ConnectionId::Opened(number) | ConnectionId::Accepted(number)) = id;
    (number >> NUMBER_BITS) as u8
}

#[derive(Clone, Debug)]
struct Connection {
    framer: Framer,
    /// Client transactions whose request went this way.
    requests: BTreeSet<usize>,
    opened_as: Option<crate::hash::Key>,
}

impl Connections {
    /// Those of a shard.
    pub fn of(shard: u8) -> Self {
        Self { shard, ..Self::default() }
    }

    /// The connection to `remote` that we opened, or a new number that asks the driver to open one.
    pub fn to(&mut self, keyed: &Keyed, transport: Transport, remote: SocketAddr) -> ConnectionId {
        let key = keyed.key(&[b"connection", transport.as_str().as_bytes(), remote.to_string().as_bytes()]);
        if let Some(id) = self.opened.get(&key) {
            return *id;
        }
        self.last = (self.last + 1) % (1 << NUMBER_BITS);
        let id = ConnectionId::Opened(u32::from(self.shard) << NUMBER_BITS | self.last);
        self.opened.insert(key, id);
        self.entry(id).opened_as = Some(key);
        id
    }

    /// Whether `id` has not been lost.
    pub fn has(&self, id: ConnectionId) -> bool {
        self.by_id.contains_key(&id)
    }

    /// Whether `id` is known to be lost. Of what another shard has, that one knows.
    pub fn is_gone(&self, id: ConnectionId) -> bool {
        shard_of(id) == self.shard && !self.has(id)
    }

    /// Takes what arrived on `path` and returns the frames that it completes.
    pub fn receive(&mut self, path: &Path, bytes: &[u8]) -> Vec<Frame> {
        let Some(id) = path.connection else { return Vec::new() };
        let framer = &mut self.entry(id).framer;
        framer.push(bytes);
        std::iter::from_fn(|| framer.next_frame()).collect()
    }

    /// Remembers that the request of `transaction` went this way.
    pub fn carries(&mut self, path: &Path, transaction: usize) {
        if let Some(connection) = path.connection.and_then(|id| self.by_id.get_mut(&id)) {
            connection.requests.insert(transaction);
        }
    }

    /// The transaction is gone.
    pub fn forget(&mut self, path: &Path, transaction: usize) {
        if let Some(connection) = path.connection.and_then(|id| self.by_id.get_mut(&id)) {
            connection.requests.remove(&transaction);
        }
    }

    /// The connection is gone. Returns the client transactions whose request went this way.
    pub fn lose(&mut self, id: ConnectionId) -> BTreeSet<usize> {
        let Some(connection) = self.by_id.remove(&id) else { return BTreeSet::new() };
        if let Some(key) = connection.opened_as {
            self.opened.remove(&key);
        }
        connection.requests
    }

    fn entry(&mut self, id: ConnectionId) -> &mut Connection {
        self.by_id.entry(id).or_insert_with(|| Connection {
            framer: Framer::new(id),
            requests: BTreeSet::new(),
            opened_as: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shard_numbers_what_it_opens_in_its_own_range() {
        let keyed = Keyed::new([1; 16]);
        let remote = |port| SocketAddr::from(([192, 0, 2, 1], port));
        let mut connections = Connections::of(3);
        let one = connections.to(&keyed, Transport::Tcp, remote(1));
        assert_eq!(one, ConnectionId::Opened(0x0300_0001));
        assert_eq!(connections.to(&keyed, Transport::Tcp, remote(1)), one);
        connections.last = (1 << NUMBER_BITS) - 2;
        assert_eq!(connections.to(&keyed, Transport::Tcp, remote(2)), ConnectionId::Opened(0x03ff_ffff));
        assert_eq!(connections.to(&keyed, Transport::Tcp, remote(3)), ConnectionId::Opened(0x0300_0000));
    }

    #[test]
    fn of_a_connection_that_another_shard_has_nobody_else_knows_that_it_is_gone() {
        let connections = Connections::of(3);
        assert!(connections.is_gone(ConnectionId::Accepted(0x0300_0001)));
        assert!(!connections.is_gone(ConnectionId::Accepted(0x0200_0001)));
    }
}
