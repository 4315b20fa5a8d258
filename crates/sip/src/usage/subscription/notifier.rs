//! The side that is subscribed to: RFC 6665 §4.2.
//!
//! ```text
//!                 admit   SUBSCRIBE  notify             last notify       answer            fatal answer   timer
//! Asked           Idle    -          -                  -                 -                 -              +100; +500 gone
//! Idle            -       (term)     Notifying +N       Ending +N         -                 -              Ending +N
//! Notifying       -       (term)     NotifyWaiting      EndWaiting        Idle              gone           EndWaiting
//! NotifyWaiting   -       (term)     -                  EndWaiting        Notifying +N      gone           EndWaiting
//! EndWaiting      -       481        -                  -                 Ending +N         gone           -
//! Ending          -       481        -                  -                 gone              gone           -
//! ```
//!
//! +N: a NOTIFY leaves; one at a time, so that none overtakes another. What waits is the user's last word: what it replaces is
//! never sent. (term): the subscription stands longer, or, with an Expires of 0, until one more NOTIFY, which is the last.

use super::{Outcome, is_fatal};
use crate::time::{Duration, Instant};
use crate::transaction::timer::Timers;
use crate::usage::End;
use crate::usage::request_server::{self, RequestServer};

/// One subscription of a peer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Notifier {
    /// How long the user has for the NOTIFY that an Expires of 0 asks for.
    patience: Duration,
    state: State,
}

/// See the table at the top of this file.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the states are named in the table")]
pub enum State {
    Asked(RequestServer),
    Idle(Term),
    Notifying(Term),
    NotifyWaiting(Term),
    EndWaiting,
    Ending,
    Over,
}

/// How long a subscription stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Term {
    /// Until then, unless it is refreshed.
    Until(Instant),
    /// For one more NOTIFY, which leaves without the user if it has not come by then.
    Once(Instant),
}

/// What is to be done now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Send 100 to the SUBSCRIBE.
    Try,
    /// Send 500 to the SUBSCRIBE: nobody decided. Nothing is left.
    GiveUp,
    /// Send the NOTIFY that the user gave.
    Notify,
    /// Keep it until the one under way is answered.
    Keep,
    /// The same two for a NOTIFY that says that the time is over: the user gave none.
    NotifyTimeout,
    /// See [`Action::NotifyTimeout`].
    KeepTimeout,
    /// Nothing is left.
    Remove,
}

/// One step of the machine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Step {
    /// To be done.
    pub action: Action,
    /// To be told.
    pub outcome: Option<Outcome>,
}

impl Step {
    const fn act(action: Action) -> Self {
        Self { action, outcome: None }
    }
}

/// The subscription is not there, or not any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotStanding;

impl Notifier {
    /// A SUBSCRIBE has been received that waits for its user.
    pub fn new(now: Instant, timers: &Timers) -> Self {
        Self { patience: timers.t2, state: State::Asked(RequestServer::new(now, timers)) }
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Whether the SUBSCRIBE waits for its user.
    pub fn is_asked(&self) -> bool {
        matches!(self.state, State::Asked(_))
    }

    /// Whether the user was told the end of it.
    pub fn is_ending(&self) -> bool {
        match self.state {
            State::EndWaiting | State::Ending | State::Over => true,
            State::Asked(_) | State::Idle(_) | State::Notifying(_) | State::NotifyWaiting(_) => false,
        }
    }

    /// How long it stands, and whether there is more than one NOTIFY to come.
    fn term(&self) -> Option<Term> {
        match self.state {
            State::Idle(term) | State::Notifying(term) | State::NotifyWaiting(term) => Some(term),
            State::Asked(_) | State::EndWaiting | State::Ending | State::Over => None,
        }
    }

    /// What is left of it: `None` if the next NOTIFY is the last.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        match self.term()? {
            Term::Until(expires_at) => Some(expires_at.saturating_since(now)),
            Term::Once(_) => None,
        }
    }

    /// The user accepted the SUBSCRIBE for `span`; or a SUBSCRIBE has come that makes it stand so long from now on. Whether
    /// that is so.
    pub fn admit(&mut self, now: Instant, span: Duration) -> bool {
        let term = if span.is_zero() { Term::Once(now + self.patience) } else { Term::Until(now + span) };
        match &mut self.state {
            State::Asked(_) => self.state = State::Idle(term),
            State::Idle(each) | State::Notifying(each) | State::NotifyWaiting(each) => *each = term,
            State::EndWaiting | State::Ending | State::Over => return false,
        }
        true
    }

    /// The user has something to say; `is_last` if it is the last.
    ///
    /// # Errors
    /// [`NotStanding`] if there is nobody to say it to.
    pub fn notify(&mut self, is_last: bool) -> Result<Step, NotStanding> {
        let term = self.term().ok_or(NotStanding)?;
        let outcome = match term {
            Term::Once(_) => Some(Outcome::remote(End::Released, None)),
            Term::Until(_) if is_last => Some(Outcome::local(End::Left, None)),
            Term::Until(_) => None,
        };
        let is_idle = matches!(self.state, State::Idle(_));
        self.state = match (outcome, is_idle) {
            (None, true) => State::Notifying(term),
            (None, false) => State::NotifyWaiting(term),
            (Some(_), true) => State::Ending,
            (Some(_), false) => State::EndWaiting,
        };
        Ok(Step { action: if is_idle { Action::Notify } else { Action::Keep }, outcome })
    }

    /// The final response to a NOTIFY; `None` if there was none (§4.2.2).
    pub fn handle_answer(&mut self, status: Option<u16>) -> Step {
        // A 408 is a proxy's word for silence.
        let is_fatal = status.is_none_or(|status| is_fatal(status) || status == 408);
        match self.state {
            State::Notifying(_) | State::NotifyWaiting(_) if is_fatal => {
                self.state = State::Over;
                Step { action: Action::Remove, outcome: Some(Outcome::remote(End::Lost, status)) }
            }
            State::EndWaiting if is_fatal => self.remove(),
            State::Notifying(term) => {
                self.state = State::Idle(term);
                Step::act(Action::Nothing)
            }
            State::NotifyWaiting(term) => {
                self.state = State::Notifying(term);
                Step::act(Action::Notify)
            }
            State::EndWaiting => {
                self.state = State::Ending;
                Step::act(Action::Notify)
            }
            State::Ending => self.remove(),
            State::Asked(_) | State::Idle(_) | State::Over => Step::act(Action::Nothing),
        }
    }

    /// What is due.
    pub fn handle_timeout(&mut self, now: Instant) -> Step {
        if let State::Asked(patience) = &mut self.state {
            return Step::act(match patience.handle_timeout(now) {
                request_server::Action::Nothing => Action::Nothing,
                request_server::Action::Try => Action::Try,
                request_server::Action::GiveUp => {
                    self.state = State::Over;
                    Action::GiveUp
                }
            });
        }
        let outcome = match self.term() {
            // §4.2.1.4: nobody refreshed it.
            Some(Term::Until(at)) if at <= now => Outcome::remote(End::Expired, None),
            Some(Term::Once(at)) if at <= now => Outcome::remote(End::Released, None),
            Some(_) | None => return Step::act(Action::Nothing),
        };
        let is_idle = matches!(self.state, State::Idle(_));
        self.state = if is_idle { State::Ending } else { State::EndWaiting };
        let action = if is_idle { Action::NotifyTimeout } else { Action::KeepTimeout };
        Step { action, outcome: Some(outcome) }
    }

    /// When to call [`Self::handle_timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        match (&self.state, self.term()) {
            (State::Asked(patience), _) => Some(patience.deadline()),
            (_, Some(Term::Until(at) | Term::Once(at))) => Some(at),
            (
                State::Idle(_)
                | State::Notifying(_)
                | State::NotifyWaiting(_)
                | State::EndWaiting
                | State::Ending
                | State::Over,
                None,
            ) => None,
        }
    }

    fn remove(&mut self) -> Step {
        self.state = State::Over;
        Step::act(Action::Remove)
    }
}
