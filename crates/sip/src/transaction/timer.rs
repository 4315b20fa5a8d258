//! The timers of RFC 3261 table 4, and what a retransmission needs.

use serde::{Deserialize, Serialize};

use crate::time::{Duration, Instant};

/// The base values from which every timer A to M is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Timers {
    /// Estimate of the round trip.
    pub t1: Duration,
    /// Longest interval between retransmissions of a non-INVITE request or of a response to an INVITE.
    pub t2: Duration,
    /// How long a message may stay in the network.
    pub t4: Duration,
}

impl Default for Timers {
    /// RFC 3261 table 4.
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

impl Timers {
    /// 64*T1: timers B, D, F, H, J (unreliable), L, M, and the guard of RFC 3261 §9.1.
    pub fn t1_64(&self) -> Duration {
        64 * self.t1
    }
}

/// The next retransmission of something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resend {
    /// When.
    pub at: Instant,
    /// How long after the one before.
    pub interval: Duration,
}

impl Resend {
    /// The first retransmission, T1 after `now`.
    pub fn first(now: Instant, timers: &Timers) -> Self {
        Self { at: now + timers.t1, interval: timers.t1 }
    }

    /// The one after this: twice the interval, at most `limit`.
    #[must_use]
    pub fn next(self, now: Instant, limit: Duration) -> Self {
        let interval = (2 * self.interval).min(limit);
        Self { at: now + interval, interval }
    }
}
