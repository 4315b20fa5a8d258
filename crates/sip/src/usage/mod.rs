//! What makes a dialog or lives in one (RFC 5057): the INVITE usage, seen from both sides.
//!
//! Beside it: what makes its provisional responses reliable, what keeps its session from being forgotten, a request
//! outside of any dialog that waits for its user, and the subscription usage.
//!
//! These machines hold no identifiers, and no bytes but responses that wait for their ACK or PRACK: they say what is to
//! be done, and the endpoint does it.

#[cfg(test)]
mod fixture;
pub mod invite_client;
pub mod invite_server;
pub mod reliable;
pub mod request_server;
pub mod session_timer;
pub mod subscription;

use serde::{Deserialize, Serialize};

/// What an INVITE is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// It begins a session.
    Session,
    /// It changes an established session (a re-INVITE, RFC 3261 §14). Its end is never the session's end just because
    /// somebody cancelled it.
    Modification,
}

/// How a session, or a modification of one, came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The inviter gave up before a final response was known to it.
    Cancelled,
    /// The invited side answered with 300-699.
    Rejected,
    /// The invited side let the invitation lapse: its Expires ran out there (RFC 3261 §13.3.1).
    Expired,
    /// Nobody answered.
    TimedOut,
    /// The request could not be sent, or its connection was lost.
    TransportFailed,
    /// A 2xx was never acknowledged (§13.3.1.4), or a reliable 1xx (RFC 3262 §3).
    NotAcknowledged,
    /// The local side sent BYE.
    Left,
    /// The peer sent BYE.
    Released,
    /// The peer does not know the session any more: 481 or 408 within it (§12.2.1.2), or nobody refreshed it in time
    /// (RFC 4028 §10).
    Lost,
}

/// Who caused an end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    /// This side: its user, or a rule that its user has set.
    Local,
    /// The other side, or something on the way to it.
    Remote,
}
