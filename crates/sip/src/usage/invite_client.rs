//! The INVITE usage of the side that invites. The wish to cancel lives here, and nowhere else.
//!
//! Names U1 to U4 and the rules are those of digest 14.3.
//!
//! ```text
//!                    cancel              1xx            2xx                   300-699     timer B, error  guard
//! Calling       U1   CancelWaiting       Proceeding     Answered +ACK         Finished    GivenUp         -
//! CancelWaiting U1c  -                   Cancelling +C  Withdrawn +ACK +BYE   Finished    GivenUp         -
//! Proceeding    U2   Cancelling +C       -              Answered +ACK         Finished    -               -
//! Cancelling    U2c  -                   -              Withdrawn +ACK +BYE   Finished    -               GivenUp
//! Answered      U3   too late            -              +ACK +BYE (a fork)    -           -               -
//! Withdrawn     U4   too late            -              +ACK +BYE             -           -               -
//! GivenUp       U4   too late            +C once        Withdrawn +ACK +BYE   Finished    -               -
//! Finished      U4   too late            -              +ACK +BYE (a fork)    -           -               -
//! ```
//!
//! +C: the CANCEL leaves. The limit, while it runs (U1, U2), does what the user's cancel does.
//! In a modification (a re-INVITE) every +BYE is left out: the session goes on.
//! Another attempt (a challenge, another target) may follow from U1 and U2, before the wish only: see
//! [`InviteClient::next_attempt`].

use super::{End, Party, Scope};
use crate::guard::Guard;
use crate::time::{Duration, Instant};

/// One INVITE of ours, as its user sees it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct InviteClient {
    scope: Scope,
    /// 64*T1.
    guard: Duration,
    state: State,
}

/// See the table at the top of this file.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(
    missing_docs,
    reason = "limit_at: when the invitation is cancelled for its user; give_up_at: the guard"
)]
pub enum State {
    Calling { limit_at: Option<Instant> },
    CancelWaiting,
    Proceeding { limit_at: Option<Instant> },
    Cancelling { give_up_at: Instant },
    Answered,
    Withdrawn,
    GivenUp { cancel_sent: bool },
    Finished,
}

/// What is to be done now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Send the CANCEL: this is the only place that asks for it.
    SendCancel,
    /// ACK the 2xx; its dialog is the session from now on, or the modification holds.
    Establish,
    /// ACK the 2xx and leave its dialog with BYE: nobody wants it.
    AcknowledgeAndLeave,
    /// ACK the 2xx, and nothing else.
    Acknowledge,
    /// Stop waiting for a final response.
    Abandon,
}

/// How an INVITE ended for its user: told once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Outcome {
    /// How.
    pub end: End,
    /// Who caused it.
    pub by: Party,
    /// The final response that settled it; `None` if there was none.
    pub status: Option<u16>,
}

/// One step of the machine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Step {
    /// To be done.
    pub action: Action,
    /// To be told.
    pub outcome: Option<Outcome>,
}

/// A final response has been seen: what is left is to leave (RFC 3261 §9.1, §15).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLate;

impl Step {
    const NOTHING: Self = Self { action: Action::Nothing, outcome: None };

    const fn act(action: Action) -> Self {
        Self { action, outcome: None }
    }

    const fn cancelled(action: Action, status: Option<u16>) -> Self {
        Self { action, outcome: Some(Outcome { end: End::Cancelled, by: Party::Local, status }) }
    }
}

impl InviteClient {
    /// The INVITE has been sent. After `limit`, if there is one, it is cancelled as if the user had given up
    /// (Expires: RFC 3261 §13.2.1).
    pub fn new(now: Instant, scope: Scope, limit: Option<Duration>, guard: Duration) -> Self {
        Self { scope, guard, state: State::Calling { limit_at: limit.map(|limit| now + limit) } }
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What the INVITE is about.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Whether no final response is known and nobody has given up waiting for one.
    pub fn is_pending(&self) -> bool {
        match self.state {
            State::Calling { .. }
            | State::CancelWaiting
            | State::Proceeding { .. }
            | State::Cancelling { .. } => true,
            State::Answered | State::Withdrawn | State::GivenUp { .. } | State::Finished => false,
        }
    }

    /// Whether the user gave up, or nobody waits any more, and no failure has settled it: no new attempt may start.
    pub fn is_unwanted(&self) -> bool {
        match self.state {
            State::CancelWaiting | State::Cancelling { .. } | State::Withdrawn | State::GivenUp { .. } => {
                true
            }
            State::Calling { .. } | State::Proceeding { .. } | State::Answered | State::Finished => false,
        }
    }

    /// The usage of another attempt, which takes the place of this one: a challenge is answered, or another target is
    /// tried. The limit runs on. `None` if no attempt may follow: after the wish never (digest I3, 14.3).
    ///
    /// This one then ends as [`handle_failure`](Self::handle_failure) or [`handle_silence`](Self::handle_silence) says, so
    /// that what comes late to it is acknowledged and left, or cancelled; its outcome is not told.
    pub fn next_attempt(&self) -> Option<Self> {
        match self.state {
            State::Calling { limit_at } | State::Proceeding { limit_at } => {
                Some(Self { state: State::Calling { limit_at }, ..self.clone() })
            }
            State::CancelWaiting | State::Cancelling { .. } if Guard::NoAttemptAfterWish.is_off() => {
                Some(Self { state: State::Calling { limit_at: None }, ..self.clone() })
            }
            State::CancelWaiting
            | State::Cancelling { .. }
            | State::Answered
            | State::Withdrawn
            | State::GivenUp { .. }
            | State::Finished => None,
        }
    }

    /// The user gives up. Asking again changes nothing.
    ///
    /// # Errors
    /// [`TooLate`] once a final response is known: the session, if there is one, is left with BYE instead.
    pub fn cancel(&mut self, now: Instant) -> Result<Action, TooLate> {
        match self.state {
            State::Calling { .. } if Guard::WaitsForProvisional.is_off() => Ok(self.send_cancel(now)),
            State::Proceeding { .. } if Guard::CancelsProceeding.is_off() => Ok(Action::Nothing),
            State::Answered if Guard::TooLateAfterFinal.is_off() => Ok(self.send_cancel(now)),
            State::Calling { .. } => {
                self.state = State::CancelWaiting; // RFC 3261 §9.1: no CANCEL before a provisional response.
                Ok(Action::Nothing)
            }
            State::Proceeding { .. } => Ok(self.send_cancel(now)), // PoC CP 6.1.X.1 step 1
            State::CancelWaiting | State::Cancelling { .. } => Ok(Action::Nothing),
            State::Answered | State::Withdrawn | State::GivenUp { .. } | State::Finished => Err(TooLate),
        }
    }

    /// A 1xx: 100 counts (RFC 3261 §9.1).
    pub fn handle_provisional(&mut self, now: Instant) -> Action {
        match self.state {
            State::Calling { limit_at } => {
                self.state = State::Proceeding { limit_at };
                Action::Nothing
            }
            State::CancelWaiting if Guard::LeavesOnProvisional.is_off() => Action::Nothing,
            State::CancelWaiting => self.send_cancel(now),
            State::Cancelling { .. } if Guard::OneCancel.is_off() => Action::SendCancel,
            State::GivenUp { .. } if Guard::LateProvisionalIsCancelled.is_off() => Action::Nothing,
            // The peer was told nothing yet and still asks its user.
            State::GivenUp { cancel_sent: false } => {
                self.state = State::GivenUp { cancel_sent: true };
                Action::SendCancel
            }
            State::Proceeding { .. }
            | State::Cancelling { .. }
            | State::Answered
            | State::Withdrawn
            | State::GivenUp { cancel_sent: true }
            | State::Finished => Action::Nothing,
        }
    }

    /// The limit begins anew, as timer C of a proxy does with each 1xx but 100 (RFC 3261 §16.7 step 2). A limit that there is
    /// not, or that has come, changes nothing.
    pub fn renew_limit(&mut self, now: Instant, limit: Duration) {
        match &mut self.state {
            State::Calling { limit_at: Some(at) } | State::Proceeding { limit_at: Some(at) } => {
                *at = now + limit
            }
            State::Calling { limit_at: None }
            | State::Proceeding { limit_at: None }
            | State::CancelWaiting
            | State::Cancelling { .. }
            | State::Answered
            | State::Withdrawn
            | State::GivenUp { .. }
            | State::Finished => {}
        }
    }

    /// The first 2xx of a dialog; its retransmissions are acknowledged without asking here.
    pub fn handle_success(&mut self, status: u16) -> Step {
        match self.state {
            State::Calling { .. } | State::Proceeding { .. } => self.establish(),
            State::CancelWaiting if Guard::WaitingSuccessIsLeft.is_off() => self.establish(),
            State::Cancelling { .. } if Guard::CrossingSuccessIsLeft.is_off() => self.establish(),
            // PoC CP 6.1.X.1: cancelling was not successful, so the session is left as in 6.1.6.1.
            State::CancelWaiting | State::Cancelling { .. } => {
                self.state = State::Withdrawn;
                Step::cancelled(self.decline(), Some(status))
            }
            State::GivenUp { .. } if Guard::LateSuccessIsLeft.is_off() => Step::act(Action::Acknowledge),
            State::GivenUp { .. } => {
                self.state = State::Withdrawn; // a final response is known: no CANCEL any more
                Step::act(self.decline())
            }
            State::Answered | State::Withdrawn | State::Finished if Guard::OtherForkIsLeft.is_off() => {
                Step::act(Action::Acknowledge)
            }
            // RFC 3261 §13.2.2.4: the 2xx of another fork.
            State::Answered | State::Withdrawn | State::Finished => Step::act(self.decline()),
        }
    }

    /// The 300-699 that ended the transaction, which acknowledged it. A challenge, a redirection or a 503 that comes
    /// after the wish starts nothing new: it is the end like any other.
    pub fn handle_failure(&mut self, status: u16) -> Step {
        match self.state {
            State::Calling { .. } | State::Proceeding { .. } => {
                self.state = State::Finished;
                let outcome = Outcome { end: End::Rejected, by: Party::Remote, status: Some(status) };
                Step { action: Action::Nothing, outcome: Some(outcome) }
            }
            State::CancelWaiting | State::Cancelling { .. }
                if Guard::FailureAfterWishIsCancelled.is_off() =>
            {
                self.state = State::Finished;
                let outcome = Outcome { end: End::Rejected, by: Party::Remote, status: Some(status) };
                Step { action: Action::Nothing, outcome: Some(outcome) }
            }
            State::CancelWaiting | State::Cancelling { .. } => {
                self.state = State::Finished;
                Step::cancelled(Action::Nothing, Some(status))
            }
            State::GivenUp { .. } => {
                self.state = State::Finished; // a final response is known: no CANCEL any more
                Step::NOTHING
            }
            State::Answered | State::Withdrawn | State::Finished => Step::NOTHING,
        }
    }

    /// Timer B, or a transport failure (`end`), of the INVITE transaction: nothing has come back.
    pub fn handle_silence(&mut self, end: End) -> Step {
        match self.state {
            State::Calling { .. } => {
                self.state = State::GivenUp { cancel_sent: false };
                let outcome = Outcome { end, by: Party::Remote, status: None };
                Step { action: Action::Nothing, outcome: Some(outcome) }
            }
            State::CancelWaiting if Guard::SilenceAfterWishIsCancelled.is_off() => {
                self.state = State::GivenUp { cancel_sent: false };
                let outcome = Outcome { end, by: Party::Remote, status: None };
                Step { action: Action::Nothing, outcome: Some(outcome) }
            }
            State::CancelWaiting => {
                self.state = State::GivenUp { cancel_sent: false };
                Step::cancelled(Action::Nothing, None)
            }
            State::Proceeding { .. }
            | State::Cancelling { .. }
            | State::Answered
            | State::Withdrawn
            | State::GivenUp { .. }
            | State::Finished => Step::NOTHING,
        }
    }

    /// The limit or the guard, whichever has come.
    pub fn handle_timeout(&mut self, now: Instant) -> Step {
        if Guard::LimitCancels.is_off()
            && matches!(self.state, State::Calling { .. } | State::Proceeding { .. })
        {
            return Step::NOTHING;
        }
        match self.state {
            State::Cancelling { .. } if Guard::GuardExpires.is_off() => Step::NOTHING,
            State::Calling { limit_at: Some(at) } | State::Proceeding { limit_at: Some(at) } if at <= now => {
                Step::act(self.cancel(now).unwrap_or(Action::Nothing))
            }
            // RFC 3261 §9.1: 64*T1 after the CANCEL the invitation counts as cancelled.
            State::Cancelling { give_up_at } if give_up_at <= now => {
                self.state = State::GivenUp { cancel_sent: true };
                Step::cancelled(Action::Abandon, None)
            }
            State::Calling { .. }
            | State::CancelWaiting
            | State::Proceeding { .. }
            | State::Cancelling { .. }
            | State::Answered
            | State::Withdrawn
            | State::GivenUp { .. }
            | State::Finished => Step::NOTHING,
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Calling { .. } | State::Proceeding { .. } if Guard::LimitCancels.is_off() => None,
            State::Cancelling { .. } if Guard::GuardExpires.is_off() => None,
            State::Calling { limit_at } | State::Proceeding { limit_at } => limit_at,
            State::Cancelling { give_up_at } => Some(give_up_at),
            State::CancelWaiting
            | State::Answered
            | State::Withdrawn
            | State::GivenUp { .. }
            | State::Finished => None,
        }
    }

    fn establish(&mut self) -> Step {
        self.state = State::Answered;
        Step::act(Action::Establish)
    }

    fn send_cancel(&mut self, now: Instant) -> Action {
        self.state = State::Cancelling { give_up_at: now + self.guard };
        Action::SendCancel
    }

    /// What becomes of a 2xx that nobody wants.
    fn decline(&self) -> Action {
        match self.scope {
            Scope::Session => Action::AcknowledgeAndLeave,
            Scope::Modification => Action::Acknowledge, // §14.1: the session goes on
        }
    }
}

#[cfg(test)]
mod tests;
