//! Connections and the streams in them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::hash::{Keyed, Table};
use crate::transport::{ConnectionId, Frame, Framer, Path, Transport};

/// The connections that carry, or are asked to carry, our messages.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    last: u32,
    /// Connections that we opened, by transport and peer, for reuse.
    opened: Table<ConnectionId>,
    by_id: BTreeMap<ConnectionId, Connection>,
}

#[derive(Clone, Debug)]
struct Connection {
    framer: Framer,
    /// Client transactions whose request went this way.
    requests: BTreeSet<usize>,
    opened_as: Option<crate::hash::Key>,
}

impl Connections {
    /// The connection to `remote` that we opened, or a new number that asks the driver to open one.
    pub fn to(&mut self, keyed: &Keyed, transport: Transport, remote: SocketAddr) -> ConnectionId {
        let key = keyed.key(&[b"connection", transport.as_str().as_bytes(), remote.to_string().as_bytes()]);
        if let Some(id) = self.opened.get(&key) {
            return *id;
        }
        self.last += 1;
        let id = ConnectionId::Opened(self.last);
        self.opened.insert(key, id);
        self.entry(id).opened_as = Some(key);
        id
    }

    /// Whether `id` has not been lost.
    pub fn has(&self, id: ConnectionId) -> bool {
        self.by_id.contains_key(&id)
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
