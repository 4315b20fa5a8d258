//! What happened to speech and talk bursts, counted.

use crate::talk_burst::controlling::{Ending, Told};
use crate::talk_burst::{DenyReason, Revoke};

/// What happened to datagrams of media, and to talk bursts.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct MediaCounters {
    /// Packets of speech that came from a holder.
    pub speech: u64,
    /// Copies of those that were sent.
    pub copies: u64,
    /// Packets of speech of somebody who may not speak.
    pub gated: u64,
    /// Packets of a holder whose timestamps jump.
    pub jumped: u64,
    /// Datagrams that were passed on between a client and the session beyond its pre-established session.
    pub relayed: u64,
    /// Datagrams of nobody who takes part.
    pub strangers: u64,
    /// Datagrams that are not what they should be.
    pub malformed: u64,
    /// TBCP messages that came.
    pub heard: u64,
    /// TBCP messages that were sent.
    pub told: u64,
    /// Participants who were found at another address than they had announced.
    pub latched: u64,
    /// Talk bursts that were granted.
    pub granted: u64,
    /// Requests that wait.
    pub queued: u64,
    /// Requests that were denied, by reason.
    pub denied: [u64; DENIALS.len()],
    /// Talk bursts that were revoked, by reason.
    pub revoked: [u64; REVOKES.len()],
    /// How talk bursts were over.
    pub ended: [u64; ENDINGS.len()],
    /// Participants who never said that they had heard.
    pub unproven: u64,
    /// Participants who are gone, and of whom nothing has come.
    pub unlatched: u64,
}

/// Why requests are denied, as it is shown.
pub const DENIALS: [&str; 6] = ["taken", "server-error", "only-one", "retry-after", "listen-only", "unknown"];

/// Why talk bursts are revoked, as it is shown.
pub const REVOKES: [&str; 5] = ["only-one", "too-long", "not-permitted", "pre-empted", "unknown"];

/// How talk bursts are over, as it is shown.
pub const ENDINGS: [&str; 4] = ["released", "silent", "revoked", "left"];

impl MediaCounters {
    /// The machine of a session has told this.
    pub(super) fn note(&mut self, told: Told) {
        match told {
            Told::Granted { .. } => self.granted += 1,
            Told::Queued { .. } => self.queued += 1,
            Told::Denied { reason, .. } => {
                let place = match reason {
                    DenyReason::Taken => 0,
                    DenyReason::ServerError => 1,
                    DenyReason::OnlyOne => 2,
                    DenyReason::RetryAfter => 3,
                    DenyReason::ListenOnly => 4,
                    DenyReason::Unknown(_) => 5,
                };
                self.denied[place] += 1;
            }
            Told::Revoked { revoke, .. } => {
                let place = match revoke {
                    Revoke::OnlyOne => 0,
                    Revoke::TooLong { .. } => 1,
                    Revoke::NotPermitted => 2,
                    Revoke::PreEmpted => 3,
                    Revoke::Unknown { .. } => 4,
                };
                self.revoked[place] += 1;
            }
            Told::Ended { ending, .. } => {
                let place = match ending {
                    Ending::Released => 0,
                    Ending::Silent => 1,
                    Ending::Revoked => 2,
                    Ending::Left => 3,
                };
                self.ended[place] += 1;
            }
            Told::Unproven { .. } => self.unproven += 1,
            Told::Idle | Told::Inactive => {}
        }
    }
}
