//! INVITE server transaction: RFC 3261 §17.2.1, Figure 7, with RFC 6026 §7.1.
//!
//! ```text
//!              INVITE again   1xx          2xx        300-699     ACK         timer
//! Proceeding   +response      Proceeding   Accepted   Completed   -           200 ms: +100
//! Accepted     -              -            +2xx       -           (to user)   L: Absorbing
//! Completed    +response      -            -          -           Confirmed   G: +response, H: Absorbing
//! Confirmed    -              -            -          -           -           I: gone
//! Absorbing    -              -            -          -           -           T4: gone
//! ```
//!
//! `Absorbing` is beyond the figures. An inviter that hears nothing sends its INVITE again until its timer B, which may
//! be after our timer L or H, and that copy may be under way for T4: it must not ring like a new call. A transaction that a PRACK
//! may still be under way for is there for it as long ([`InviteServer::absorb`]).

use std::sync::Arc;

use bytes::Bytes;

use super::Outbox;
use super::timer::{Resend, Timers};
use crate::guard::Guard;
use crate::time::{Duration, Instant};
use crate::transport::Path;

/// §17.2.1: a 100 leaves unless the user answers within this span.
pub const TRYING_AFTER: Duration = Duration::from_millis(200);

/// An INVITE of a peer and what it was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InviteServer {
    path: Path,
    timers: Arc<Timers>,
    state: State,
}

/// See the table at the top of this file. In `Proceeding`, `response` is the last 1xx of the user; until there is one,
/// `trying` waits to leave.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the fields are responses and the deadlines of the timers named beside them")]
pub enum State {
    Proceeding { response: Option<Bytes>, trying: Option<(Bytes, Instant)> },
    Accepted { until: Instant }, // timer L
    Completed { response: Bytes, resend: Option<Resend>, give_up_at: Instant }, // timers G, H
    Confirmed { until: Instant }, // timer I
    Absorbing { until: Instant },
    Terminated,
}

/// What the user of the transaction must know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    /// An ACK for a 2xx.
    Acknowledged,
}

impl InviteServer {
    /// An INVITE arrived; its responses go to `path`. `trying` is the 100 to send if the user is slow.
    pub fn start(now: Instant, path: Path, timers: Arc<Timers>, trying: Bytes) -> Self {
        let trying = Some((trying, now + TRYING_AFTER));
        Self { path, timers, state: State::Proceeding { response: None, trying } }
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The way back to the inviter.
    pub fn path(&self) -> Path {
        self.path
    }

    /// Whether no final response has been given yet: what decides whether a CANCEL still has an effect (§9.2).
    pub fn is_undecided(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }

    /// Whether the transaction is over by RFC 6026 and only keeps late copies of its INVITE from ringing.
    pub fn is_absorbing(&self) -> bool {
        matches!(self.state, State::Absorbing { .. })
    }

    /// The INVITE arrived again.
    pub fn handle_invite(&mut self, out: &mut Outbox) {
        match &mut self.state {
            State::Completed { .. } if Guard::InviteCopyIsAnsweredAgain.is_off() => {}
            State::Proceeding { response: Some(response), .. } | State::Completed { response, .. } => {
                out.send(self.path, response.clone());
            }
            State::Proceeding { response, trying } => {
                if let Some((trying, _)) = trying.take() {
                    out.send(self.path, trying.clone());
                    *response = Some(trying);
                }
            }
            State::Accepted { .. }
            | State::Confirmed { .. }
            | State::Absorbing { .. }
            | State::Terminated => {}
        }
    }

    /// An ACK arrived on this transaction's branch.
    pub fn handle_ack(&mut self, now: Instant) -> Option<Output> {
        match self.state {
            State::Completed { .. } if Guard::AckEndsFailure.is_off() => None,
            State::Completed { .. } => {
                self.state = if self.path.transport.is_reliable() {
                    State::Terminated
                } else {
                    State::Confirmed { until: now + self.timers.t4 }
                };
                None
            }
            State::Accepted { .. } => Some(Output::Acknowledged),
            State::Proceeding { .. }
            | State::Confirmed { .. }
            | State::Absorbing { .. }
            | State::Terminated => None,
        }
    }

    /// Keeps a transaction over a reliable hop that its ACK has ended: what the peer sent before that may still come.
    pub fn absorb(&mut self, now: Instant) {
        if self.state == State::Terminated {
            self.state = State::Absorbing { until: now + self.timers.t4 };
        }
    }

    /// Sends a response of the user. Returns whether it was sent: the first final one decides, and later ones other
    /// than a resent 2xx are discarded.
    pub fn respond(&mut self, now: Instant, status: u16, response: Bytes, out: &mut Outbox) -> bool {
        let give_up_at = now + self.timers.t1_64();
        match (&self.state, status) {
            (State::Proceeding { .. }, 100..=199) => {
                self.state = State::Proceeding { response: Some(response.clone()), trying: None };
            }
            (State::Proceeding { .. }, 200..=299) => self.state = State::Accepted { until: give_up_at },
            (State::Accepted { .. }, 200..=299) => {}
            (State::Proceeding { .. }, _) => {
                let resend = (!self.path.transport.is_reliable()).then(|| Resend::first(now, &self.timers));
                self.state = State::Completed { response: response.clone(), resend, give_up_at };
            }
            (
                State::Accepted { .. }
                | State::Completed { .. }
                | State::Confirmed { .. }
                | State::Absorbing { .. }
                | State::Terminated,
                _,
            ) => {
                return false;
            }
        }
        out.send(self.path, response);
        true
    }

    /// The 100, and timers G, H, I and L, whichever has come.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        match &mut self.state {
            State::Proceeding { trying: Some((_, at)), .. } if *at <= now => self.handle_invite(out),
            State::Completed { give_up_at: until, .. } | State::Accepted { until } if *until <= now => {
                let is_brief = self.path.transport.is_reliable() || Guard::LateCopiesAreAbsorbed.is_off();
                self.state = if is_brief {
                    State::Terminated
                } else {
                    State::Absorbing { until: now + self.timers.t4 }
                };
            }
            State::Confirmed { until } | State::Absorbing { until } if *until <= now => {
                self.state = State::Terminated;
            }
            State::Completed { response, resend: Some(resend), .. } if resend.at <= now => {
                *resend = resend.next(now, self.timers.t2);
                out.send(self.path, response.clone());
            }
            State::Proceeding { .. }
            | State::Completed { .. }
            | State::Confirmed { .. }
            | State::Accepted { .. }
            | State::Absorbing { .. }
            | State::Terminated => {}
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Proceeding { trying, .. } => trying.as_ref().map(|(_, at)| *at),
            State::Completed { resend, give_up_at, .. } => {
                Some(resend.map_or(*give_up_at, |resend| resend.at.min(*give_up_at)))
            }
            State::Confirmed { until } | State::Accepted { until } | State::Absorbing { until } => {
                Some(*until)
            }
            State::Terminated => None,
        }
    }
}

#[cfg(test)]
mod tests;
