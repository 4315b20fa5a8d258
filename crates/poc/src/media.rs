//! What the media of a PoC Session come and go by.

use serde::{Deserialize, Serialize};

/// What is received on a port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Stream {
    /// RTP.
    Speech,
    /// RTCP, talk burst control in it.
    Control,
}

impl Stream {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Speech, Self::Control];
}

/// Octets of a datagram that only keeps a way open, at most (user-plane digest 10.7).
pub(crate) const KEEP_ALIVE_MAX: usize = 3;
