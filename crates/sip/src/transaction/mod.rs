//! The four transaction machines of RFC 3261 §17 with RFC 6026, one file each.
//!
//! A machine is an enum of states and the message it was made for. It writes what it sends to the endpoint's
//! [`Outbox`] and returns what its owner must know. A deadline is a field of the state that waits for it.

pub mod client;
#[cfg(test)]
mod fixture;
pub mod invite_client;
pub mod invite_server;
pub mod key;
pub mod server;
pub mod timer;

use std::collections::VecDeque;

use bytes::Bytes;

use crate::transport::{Path, Transmit};

/// What is to be sent, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outbox(VecDeque<Transmit>);

impl Outbox {
    /// Queues `bytes`.
    pub fn send(&mut self, path: Path, bytes: Bytes) {
        self.0.push_back(Transmit { path, bytes });
    }

    /// Whether everything was taken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The oldest that was not taken yet.
    pub fn take(&mut self) -> Option<Transmit> {
        self.0.pop_front()
    }
}
