//! What the client has come to: user-plane digest 5.1.

use std::fmt;
use std::time::Duration;

use sip::Instant;

use super::super::message::{Message, NtpTimestamp, Priority, StopTalking};

/// See the table at the top of `client/mod.rs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// C0.
    StartStop,
    /// C1.
    NoPermission,
    /// C2, T11 and its counter.
    PendingRequest { request: Request, resend_at: Instant, sends: u8 },
    /// C3. `last`: the sequence number of the last RTP packet.
    HasPermission { limit: Limit, last: Option<u16> },
    /// C4, T10 and its counter. `next`: the user has pressed again meanwhile.
    PendingRelease { last: Option<u16>, resend_at: Instant, sends: u8, next: Option<Request> },
    /// C5.
    Queued { held: Held },
    /// C5, T14 and its counter.
    QueuedAsking { held: Held, resend_at: Instant, sends: u8 },
    /// C5, granted, and the user does not press.
    QueuedGranted { limit: Limit, release_at: Instant },
    /// C6.
    Releasing,
}

impl State {
    /// When it is over by itself.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match *self {
            Self::PendingRequest { resend_at, .. }
            | Self::PendingRelease { resend_at, .. }
            | Self::QueuedAsking { resend_at, .. } => Some(resend_at),
            Self::HasPermission { limit: Limit::Seconds { stop_at, warn_at, .. }, .. } => {
                Some(warn_at.unwrap_or(stop_at))
            }
            Self::QueuedGranted { release_at, .. } => Some(release_at),
            Self::HasPermission { limit: Limit::Unknown | Limit::Infinite, .. }
            | Self::StartStop
            | Self::NoPermission
            | Self::Queued { .. }
            | Self::Releasing => None,
        }
    }
}

/// The name of the state, as user-plane digest 5.1 has it.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StartStop => "Start-stop",
            Self::NoPermission => "U: has no permission",
            Self::PendingRequest { .. } => "U: pending TB_Request",
            Self::HasPermission { .. } => "U: has permission",
            Self::PendingRelease { .. } => "U: pending TB_Release",
            Self::Queued { .. } | Self::QueuedAsking { .. } | Self::QueuedGranted { .. } => {
                "U: queued TB_Request"
            }
            Self::Releasing => "Releasing",
        })
    }
}

/// Whether the user holds the button.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Held {
    Pressed,
    /// The INVITE counts as the request.
    NotPressed,
}

/// One press: each time that it is sent it is the same (user-plane digest 5.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Request {
    pub(super) priority: Option<Priority>,
    pub(super) timestamp: Option<NtpTimestamp>,
    pub(super) held: Held,
}

impl Request {
    pub(super) const IMPLICIT: Self = Self { priority: None, timestamp: None, held: Held::NotPressed };

    pub(super) fn message(self) -> Message {
        Message::Request { priority: self.priority, timestamp: self.timestamp }
    }
}

/// For how long the user may speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Limit {
    Unknown,
    Seconds {
        seconds: u16,
        stop_at: Instant,
        /// `None`: the user was warned, or there is no time to.
        warn_at: Option<Instant>,
    },
    Infinite,
}

impl Limit {
    pub(super) fn new(now: Instant, stop_talking: StopTalking, warning: Duration) -> Self {
        match stop_talking {
            StopTalking::Unknown => Self::Unknown,
            StopTalking::Infinite => Self::Infinite,
            StopTalking::Seconds(seconds) => {
                let all = Duration::from_secs(seconds.into());
                let warn_at = all.checked_sub(warning).filter(|after| !after.is_zero() && !warning.is_zero());
                Self::Seconds { seconds, stop_at: now + all, warn_at: warn_at.map(|after| now + after) }
            }
        }
    }

    /// Row c23: whether the same told again is more than this. Anything is more than what is not known.
    pub(super) fn is_less_than(self, told: StopTalking) -> bool {
        match (self, told) {
            (_, StopTalking::Unknown) | (Self::Infinite, _) => false,
            (Self::Unknown, StopTalking::Seconds(_) | StopTalking::Infinite)
            | (Self::Seconds { .. }, StopTalking::Infinite) => true,
            (Self::Seconds { seconds, .. }, StopTalking::Seconds(told)) => seconds < told,
        }
    }
}

/// Whether somebody else is heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hearing {
    Nobody,
    /// As the server said and the user was told.
    Idle,
    /// T13.
    Somebody {
        until: Instant,
    },
}
