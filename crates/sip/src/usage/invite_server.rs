//! The INVITE usage of the side that is invited.
//!
//! Names V1 to V5 and the rules are those of digest 14.4. The CANCEL itself is answered by the endpoint.
//!
//! ```text
//!                 accept     refuse    CANCEL        ACK          BYE           leave         timer
//! Alerting   V1   Accepted   Refused   Cancelled     -            Cancelled     -             Expires: Cancelled +487; +1xx
//! Accepted   V2   -          -         no effect     Confirmed    Finished      LeaveWaiting  resend; 64*T1: +BYE
//! LeaveWaiting    -          -         no effect     +BYE         Finished      -             resend; 64*T1: +BYE
//! Confirmed  V3   -          -         no effect     -            -             -             -
//! Refused    V4   -          -         no effect     -            -             -             -
//! Cancelled  V5   -          -         no effect     -            -             -             -
//! Finished        -          -         no effect     -            -             -             -
//! ```

use std::sync::Arc;

use bytes::Bytes;

use crate::guard::Guard;
use crate::time::{Duration, Instant};
use crate::transaction::timer::{Resend, Timers};

/// One INVITE of a peer, as its user sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InviteServer {
    timers: Arc<Timers>,
    state: State,
}

/// See the table at the top of this file.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "expires_at: when the invitation lapses; remind: when the 1xx is due again")]
pub enum State {
    Alerting { expires_at: Option<Instant>, remind: Option<Resend> },
    Accepted(Box<AckWait>),
    LeaveWaiting(Box<AckWait>),
    Confirmed,
    Refused,
    Cancelled,
    Finished,
}

/// RFC 3261 §13.3.1.4: the 2xx is sent again, over any transport, until its ACK comes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AckWait {
    /// The 2xx.
    pub response: Bytes,
    resend: Resend,
    give_up_at: Instant,
}

/// What is to be done now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Send the 2xx again.
    Resend(Bytes),
    /// The ACK has come: the user's session is established.
    Establish,
    /// Send BYE: the user asked for it before the ACK came.
    Leave,
    /// Send BYE: no ACK came.
    GiveUp,
    /// Send 487: the invitation lapsed (§13.3.1).
    Lapse,
    /// Say the last 1xx again: proxies give up on an INVITE that nobody speaks of (§13.3.1.1).
    Remind,
}

impl InviteServer {
    /// An INVITE has been received; it lapses after `expires`, if that is given.
    pub fn new(now: Instant, expires: Option<Duration>, timers: Arc<Timers>) -> Self {
        let expires_at = expires.map(|expires| now + expires);
        Self { timers, state: State::Alerting { expires_at, remind: None } }
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Whether the user has not decided yet.
    pub fn is_alerting(&self) -> bool {
        matches!(self.state, State::Alerting { .. })
    }

    /// Whether the user has not said anything yet.
    pub fn is_silent(&self) -> bool {
        matches!(self.state, State::Alerting { remind: None, .. })
    }

    /// Whether a 2xx has been sent and its ACK has not come.
    pub fn is_unacknowledged(&self) -> bool {
        matches!(self.state, State::Accepted(_) | State::LeaveWaiting(_))
    }

    /// A 1xx other than 100 has been sent. It is said again after each `interval`.
    pub fn progress(&mut self, now: Instant, interval: Duration) {
        if let State::Alerting { remind, .. } = &mut self.state {
            *remind = Some(Resend { at: now + interval, interval });
        }
    }

    /// The user accepted and `response`, a 2xx, has been sent.
    pub fn accept(&mut self, now: Instant, response: Bytes) {
        debug_assert!(self.is_alerting(), "one final response");
        let (resend, give_up_at) = (Resend::first(now, &self.timers), now + self.timers.t1_64());
        self.state = State::Accepted(Box::new(AckWait { response, resend, give_up_at }));
    }

    /// A 300-699 of the user has been sent.
    pub fn refuse(&mut self) {
        debug_assert!(self.is_alerting(), "one final response");
        self.state = State::Refused;
    }

    /// The peer gave up: by CANCEL, or by BYE in the early dialog. Returns whether that had an effect: only while
    /// nothing was decided (§9.2, PoC CP 6.2.X.1 step 2).
    pub fn cancel(&mut self) -> bool {
        match self.state {
            State::Alerting { .. } => {
                self.state = State::Cancelled;
                true
            }
            State::Accepted(_) if Guard::NoEffectAfterFinal.is_off() => true,
            State::Accepted(_)
            | State::LeaveWaiting(_)
            | State::Confirmed
            | State::Refused
            | State::Cancelled
            | State::Finished => false,
        }
    }

    /// The ACK for the 2xx.
    pub fn handle_ack(&mut self) -> Action {
        match self.state {
            State::Accepted(_) => {
                self.state = State::Confirmed;
                Action::Establish
            }
            State::LeaveWaiting(_) => {
                self.state = State::Finished;
                Action::Leave
            }
            State::Alerting { .. }
            | State::Confirmed
            | State::Refused
            | State::Cancelled
            | State::Finished => Action::Nothing,
        }
    }

    /// BYE before the ACK, or another end of the session: the 2xx is not sent again.
    pub fn finish(&mut self) {
        if self.is_unacknowledged() {
            self.state = State::Finished;
        }
    }

    /// The user leaves before the ACK has come. §15: no BYE before the ACK or the end of the transaction.
    pub fn leave(&mut self) {
        if let State::Accepted(wait) = &self.state {
            self.state = State::LeaveWaiting(wait.clone());
        }
    }

    /// The expiry, the retransmission of the 2xx or its end, whichever has come.
    pub fn handle_timeout(&mut self, now: Instant) -> Action {
        match &mut self.state {
            State::Alerting { expires_at: Some(at), .. } if *at <= now => {
                self.state = State::Cancelled;
                Action::Lapse
            }
            State::Alerting { remind: Some(remind), .. } if remind.at <= now => {
                *remind = remind.next(now, remind.interval);
                Action::Remind
            }
            State::Accepted(wait) if wait.give_up_at <= now => {
                self.state = State::Finished;
                if Guard::UnacknowledgedIsLeft.is_off() {
                    return Action::Nothing;
                }
                Action::GiveUp
            }
            State::LeaveWaiting(wait) if wait.give_up_at <= now => {
                self.state = State::Finished;
                Action::Leave
            }
            State::Accepted(wait) | State::LeaveWaiting(wait) if wait.resend.at <= now => {
                wait.resend = wait.resend.next(now, self.timers.t2);
                if Guard::SuccessIsSentAgain.is_off() {
                    return Action::Nothing;
                }
                Action::Resend(wait.response.clone())
            }
            State::Alerting { .. }
            | State::Accepted(_)
            | State::LeaveWaiting(_)
            | State::Confirmed
            | State::Refused
            | State::Cancelled
            | State::Finished => Action::Nothing,
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Alerting { expires_at, remind } => {
                expires_at.iter().copied().chain(remind.map(|remind| remind.at)).min()
            }
            State::Accepted(wait) | State::LeaveWaiting(wait) => Some(wait.resend.at.min(wait.give_up_at)),
            State::Confirmed | State::Refused | State::Cancelled | State::Finished => None,
        }
    }
}

#[cfg(test)]
mod tests;
