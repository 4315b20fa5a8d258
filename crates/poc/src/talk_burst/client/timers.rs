//! How long the client waits: user-plane digest 8.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sip::Instant;

/// Timers and counters of a client. A counter says how often a message is sent, the first time included.
///
/// T10 by C10 and T11 by C11 stay below 6 seconds each (user-plane digest 8.2). T12 is not here: it comes with the Revoke.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timers {
    /// After a Release that has no effect.
    pub t10_release: Duration,
    /// Releases.
    pub c10_release: u8,
    /// After a Request that is not answered.
    pub t11_request: Duration,
    /// Requests.
    pub c11_request: u8,
    /// After speech, or who speaks, with nothing behind it: the talk burst is over. As long as T1 of the server.
    pub t13_end_of_rtp: Duration,
    /// After a Queue Status Request that is not answered.
    pub t14_queue_status: Duration,
    /// Queue Status Requests.
    pub c14_queue_status: u8,
    /// How long a talk burst out of the queue waits for its user, who does not press (row c32).
    pub grant_wait: Duration,
    /// How long before the end of its time the user who speaks is warned.
    pub warning: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            t10_release: Duration::from_secs(1),
            c10_release: 3,
            t11_request: Duration::from_secs(1),
            c11_request: 3,
            t13_end_of_rtp: Duration::from_secs(4),
            t14_queue_status: Duration::from_secs(1),
            c14_queue_status: 3,
            grant_wait: Duration::from_secs(2),
            warning: Duration::from_secs(5),
        }
    }
}

/// A moment that comes: no timer is shorter than a millisecond, so that it is later than `now`.
pub(super) fn after(now: Instant, timer: Duration) -> Instant {
    now + timer.max(Duration::from_millis(1))
}
