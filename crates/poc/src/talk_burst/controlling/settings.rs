//! The timers and counters of the controlling function: user-plane digest 8, 6.1, 6.2, 6.4, 6.5.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::talk_burst::{Revoke, StopTalking};

/// What the talk bursts of all PoC Sessions have in common. A span of 0 counts as a millisecond.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// T1, end of RTP media: a talk burst is over if nothing is heard of it for so long.
    pub t1_end_of_rtp: Duration,
    /// T2, stop talking: the longest talk burst, from its first packet. Beyond 65,534 s the client is told that it has no end.
    pub t2_stop_talking: Duration,
    /// T3, stop talking grace: how long whoever is revoked may go on.
    pub t3_grace: Duration,
    /// The same if somebody else waits to speak: shorter than the client of who waits repeats its request.
    pub t3_grace_pre_empted: Duration,
    /// T4, inactivity: how long nobody speaks before that is told, again and again.
    pub t4_inactivity: Duration,
    /// T7: after so long Talk Burst Idle is repeated.
    pub t7_idle: Duration,
    /// T8: after so long Talk Burst Revoke is repeated.
    pub t8_revoke: Duration,
    /// T9, retry-after: how long whoever has spoken too long may not ask again; 0: no time. In whole seconds.
    pub t9_retry_after: Duration,
    /// T20: after so long Talk Burst Granted is repeated to who has waited in the queue.
    pub t20_granted: Duration,
    /// C7: how often Talk Burst Idle is sent.
    pub c7_idle: u8,
    /// C20: how often Talk Burst Granted is sent to who has waited in the queue.
    pub c20_granted: u8,
    /// After so long the first Talk Burst Taken is repeated to who has not acknowledged it.
    pub taken_repeat: Duration,
    /// How often it is sent.
    pub taken_sends: u8,
    /// How long the last packets of a talk burst may take to arrive after its Talk Burst Release.
    pub drain: Duration,
    /// Whoever has spoken without permission is silent for so long before that is forgotten.
    pub unpermitted_quiet: Duration,
    /// Requests that wait in a session.
    pub queue_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            t1_end_of_rtp: seconds(4),
            t2_stop_talking: seconds(30),
            t3_grace: seconds(3),
            t3_grace_pre_empted: seconds(1),
            t4_inactivity: seconds(30),
            t7_idle: seconds(1),
            t8_revoke: seconds(1),
            t9_retry_after: seconds(5),
            t20_granted: seconds(1),
            c7_idle: 3,
            c20_granted: 3,
            taken_repeat: seconds(1),
            taken_sends: 3,
            drain: Duration::from_millis(200),
            unpermitted_quiet: seconds(2),
            queue_max: 32,
        }
    }
}

impl Settings {
    /// User-plane digest 4.3: what is left of T2. Never more than that, for whoever talks longer is revoked.
    pub(super) fn stop_talking(&self, left: Duration) -> StopTalking {
        match u16::try_from(left.as_secs()) {
            Ok(u16::MAX) | Err(_) => StopTalking::Infinite,
            // 0 would mean that it is not told.
            Ok(left) => StopTalking::Seconds(left.max(1)),
        }
    }

    /// User-plane digest 6.3: T9 as it is told.
    pub(super) fn too_long(&self) -> Revoke {
        let retry_after = u16::try_from(self.t9_retry_after.as_secs()).unwrap_or(u16::MAX);
        Revoke::TooLong { retry_after }
    }

    /// User-plane digest 6, pre-emption timing: T3 by the reason.
    pub(super) const fn grace(&self, revoke: Revoke) -> Duration {
        match revoke {
            Revoke::PreEmpted => self.t3_grace_pre_empted,
            Revoke::OnlyOne | Revoke::TooLong { .. } | Revoke::NotPermitted | Revoke::Unknown { .. } => {
                self.t3_grace
            }
        }
    }
}
