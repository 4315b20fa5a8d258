//! How a PoC Session ended, for its user (digest 14.10).

use std::fmt;

use bytes::Bytes;
use sip::message::Valued;
use sip::usage::{End, Party};
use sip::{Duration, Instant};

/// Which side of a session this client is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// It sent the INVITE.
    Inviter,
    /// It received the INVITE.
    Invited,
}

/// When what happened, on the clock that drives the client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Timing {
    /// The INVITE was sent or received.
    pub begun: Instant,
    /// The user gave up.
    pub cancelled: Option<Instant>,
    /// The INVITE was accepted.
    pub answered: Option<Instant>,
    /// The user was told the end.
    pub ended: Instant,
}

impl Timing {
    pub(super) fn begun(now: Instant) -> Self {
        Self { begun: now, cancelled: None, answered: None, ended: now }
    }

    /// From the wish to the end that the user was told.
    pub fn cancelling(&self) -> Option<Duration> {
        self.cancelled.map(|cancelled| self.ended - cancelled)
    }
}

/// How a session ended: cause, evidence and timing.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Outcome {
    /// Which side we were.
    pub role: Role,
    /// How.
    pub end: End,
    /// Who caused it.
    pub by: Party,
    /// The final response to the INVITE that settled it; `None` if none came.
    pub status: Option<u16>,
    /// The value of Reason in the message that ended it.
    pub reason: Option<Bytes>,
    /// When.
    pub timing: Timing,
}

impl Outcome {
    /// Whether the user missed an invitation: it went away before the user answered, and nobody else of the same user
    /// has answered it (`SIP;cause=200`, RFC 3326 §3.1).
    pub fn is_missed(&self) -> bool {
        let unanswered = matches!(self.end, End::Cancelled | End::Expired);
        self.role == Role::Invited && unanswered && !self.is_completed_elsewhere()
    }

    /// Whether another terminal of the same user answered.
    pub fn is_completed_elsewhere(&self) -> bool {
        self.reason_cause(b"SIP").as_deref() == Some(b"200")
    }

    /// The cause that Reason gives for `protocol`.
    pub fn reason_cause(&self, protocol: &[u8]) -> Option<Bytes> {
        let reason = self.reason.as_ref()?;
        let found = Valued::list(reason).find(|each| each.value.eq_ignore_ascii_case(protocol))?;
        found.parameters.value(b"cause").map(|cause| reason.slice_ref(cause))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.end, self.role, self.by) {
            (End::Cancelled, Role::Inviter, _) => "cancelled",
            (End::Cancelled, Role::Invited, _) if self.is_completed_elsewhere() => "answered elsewhere",
            (End::Cancelled | End::Expired, Role::Invited, _) => "missed invitation",
            (End::Rejected, Role::Invited, _) => "refused",
            (End::Rejected, Role::Inviter, _) if self.status == Some(486) => "busy",
            (End::Rejected, Role::Inviter, _) => "not accepted",
            (End::Expired, Role::Inviter, _) => "no answer in time",
            (End::TimedOut, ..) => "no answer from the network",
            (End::TransportFailed, ..) => "could not be sent",
            (End::NotAcknowledged, ..) => "the inviter did not confirm",
            (End::Left | End::Released, ..) => "ended",
            (End::Lost, ..) => "session lost",
        })
    }
}
