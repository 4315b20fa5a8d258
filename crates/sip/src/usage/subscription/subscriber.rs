//! The side that subscribes: RFC 6665 §4.1.
//!
//! ```text
//!                      2xx       NOTIFY          last NOTIFY   fatal answer   other answer   unsubscribe          timer
//! Subscribing          (span)    Subscribed      gone          gone           gone           UnsubscribeWaiting   N: gone
//! UnsubscribeWaiting   -         Unsubscribing+0 gone          gone           gone           -                    N: gone
//! Subscribed           (span)    (span)          gone          gone           -              Unsubscribing +0     Refreshing +S
//! Refreshing           (span)    Subscribed      gone          gone           Subscribed     Unsubscribing +0     N, end: gone
//! Expiring             (span)    (span)          gone          gone           -              Unsubscribing +0     end: gone
//! Unsubscribing        -         -               gone          gone           gone           -                    N: gone
//! ```
//!
//! +S: SUBSCRIBE leaves, +0: SUBSCRIBE with Expires 0. Timer N is 64*T1. (span): the subscription stands for the span that is
//! named, and is refreshed before it ends; `Expiring`: too little is left for that. An Expires of 0 from the beginning fetches:
//! the first NOTIFY is the last. A REFER begins a subscription like a SUBSCRIBE (RFC 3515 §2.4.4); with a 2xx to it that makes
//! none it is gone, whatever the state.

use super::{Outcome, Standing, is_fatal};
use crate::time::{Duration, Instant};
use crate::usage::End;

/// The least span that is worth a refresh.
const REFRESH_MIN: Duration = Duration::from_secs(2);

/// How long before the end a long subscription is refreshed; a short one is after half of it.
const REFRESH_BEFORE: Duration = Duration::from_secs(600);

/// One subscription of ours.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Subscriber {
    /// What every SUBSCRIBE asks for: the peer may grant less (§4.1.2.1).
    asked: Duration,
    /// Timer N.
    guard: Duration,
    state: State,
}

/// See the table at the top of this file.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "give_up_at: timer N; span: what was granted so far")]
pub enum State {
    Subscribing { give_up_at: Instant, span: Duration },
    UnsubscribeWaiting { give_up_at: Instant },
    Subscribed { refresh_at: Instant, expires_at: Instant },
    Refreshing { give_up_at: Instant, expires_at: Instant },
    Expiring { expires_at: Instant },
    Unsubscribing { give_up_at: Instant },
    Over,
}

/// What is to be done now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Send SUBSCRIBE in the dialog.
    Refresh,
    /// Send SUBSCRIBE with Expires 0 in the dialog.
    Unsubscribe,
    /// Tell the user the end: nothing is left.
    End(Outcome),
}

impl Subscriber {
    /// The initial SUBSCRIBE has been sent; it asks for `asked`. `guard` is 64*T1.
    pub fn new(now: Instant, asked: Duration, guard: Duration) -> Self {
        Self { asked, guard, state: State::Subscribing { give_up_at: now + guard, span: asked } }
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What every SUBSCRIBE asks for.
    pub fn asked(&self) -> Duration {
        self.asked
    }

    /// Whether the user wants nothing more.
    pub fn is_unwanted(&self) -> bool {
        match self.state {
            State::UnsubscribeWaiting { .. } | State::Unsubscribing { .. } | State::Over => true,
            State::Subscribing { .. }
            | State::Subscribed { .. }
            | State::Refreshing { .. }
            | State::Expiring { .. } => false,
        }
    }

    /// Whether another SUBSCRIBE may be sent for one that was challenged, or whose target did not answer.
    pub fn may_try_again(&self) -> bool {
        match self.state {
            State::Subscribing { .. } | State::Refreshing { .. } | State::Unsubscribing { .. } => true,
            State::UnsubscribeWaiting { .. }
            | State::Subscribed { .. }
            | State::Expiring { .. }
            | State::Over => false,
        }
    }

    /// A 2xx to a SUBSCRIBE, which grants a span (§4.1.2.1: less than was asked for, never more).
    pub fn handle_success(&mut self, now: Instant, granted: Option<Duration>) {
        let Some(granted) = granted.map(|granted| granted.min(self.asked)) else { return };
        match &mut self.state {
            State::Subscribing { span, .. } => *span = granted,
            State::Refreshing { expires_at, .. } => *expires_at = now + granted,
            State::Subscribed { .. } | State::Expiring { .. } => self.stand(now, granted),
            State::UnsubscribeWaiting { .. } | State::Unsubscribing { .. } | State::Over => {}
        }
    }

    /// A 2xx to a REFER that says that there is no subscription (RFC 4488 §4).
    pub fn release(&mut self, status: u16) -> Action {
        match self.state {
            State::Subscribing { .. }
            | State::Subscribed { .. }
            | State::Refreshing { .. }
            | State::Expiring { .. } => self.end(Outcome::remote(End::Released, Some(status))),
            State::UnsubscribeWaiting { .. } | State::Unsubscribing { .. } => {
                self.end(Outcome::local(End::Left, Some(status)))
            }
            State::Over => Action::Nothing,
        }
    }

    /// A 300-699 to a SUBSCRIBE or a REFER.
    pub fn handle_failure(&mut self, now: Instant, status: u16) -> Action {
        match self.state {
            State::Subscribing { .. } => self.end(Outcome::remote(End::Rejected, Some(status))),
            State::UnsubscribeWaiting { .. } => self.end(Outcome::local(End::Cancelled, Some(status))),
            State::Subscribed { .. } | State::Refreshing { .. } | State::Expiring { .. }
                if is_fatal(status) =>
            {
                self.end(Outcome::remote(End::Lost, Some(status)))
            }
            State::Refreshing { expires_at, .. } => self.stand_on(now, expires_at),
            State::Unsubscribing { .. } => self.end(Outcome::local(End::Left, Some(status))),
            State::Subscribed { .. } | State::Expiring { .. } | State::Over => Action::Nothing,
        }
    }

    /// Nothing came back to a SUBSCRIBE: timer F, or a transport failure (`end`).
    pub fn handle_silence(&mut self, now: Instant, end: End) -> Action {
        match self.state {
            State::Subscribing { .. } => self.end(Outcome::remote(end, None)),
            State::UnsubscribeWaiting { .. } => self.end(Outcome::local(End::Cancelled, None)),
            // §4.1.2.2: timer F is as long as timer N. Any other failure leaves the subscription as long as it stands.
            State::Refreshing { .. } if end == End::TimedOut => self.end(Outcome::remote(End::Lost, None)),
            State::Refreshing { expires_at, .. } => self.stand_on(now, expires_at),
            State::Unsubscribing { .. } => self.end(Outcome::local(End::Left, None)),
            State::Subscribed { .. } | State::Expiring { .. } | State::Over => Action::Nothing,
        }
    }

    /// A NOTIFY, in order.
    pub fn handle_notify(&mut self, now: Instant, standing: Standing) -> Action {
        match (&self.state, standing) {
            (State::Subscribing { span, .. }, Standing::Lasting(told)) => {
                let span = told.unwrap_or(*span).min(self.asked);
                self.stand(now, span);
                Action::Nothing
            }
            (State::UnsubscribeWaiting { .. }, Standing::Lasting(_)) => self.leave(now),
            (State::Refreshing { expires_at, .. }, Standing::Lasting(told)) => {
                let span = told.unwrap_or(expires_at.saturating_since(now)).min(self.asked);
                self.stand(now, span);
                Action::Nothing
            }
            // §4.2.2: it may shorten the subscription, and never lengthens it. What is told in whole seconds is less by
            // up to one.
            (
                State::Subscribed { expires_at, .. } | State::Expiring { expires_at },
                Standing::Lasting(Some(told)),
            ) if now + told + Duration::from_secs(1) < *expires_at => {
                self.stand(now, told);
                Action::Nothing
            }
            (
                State::Subscribed { .. } | State::Expiring { .. } | State::Unsubscribing { .. },
                Standing::Lasting(_),
            ) => Action::Nothing,
            // What was fetched is whole with its only NOTIFY (§4.4.3).
            (State::Subscribing { .. }, Standing::Terminated) if self.asked.is_zero() => {
                self.end(Outcome::local(End::Left, None))
            }
            (
                State::Subscribing { .. }
                | State::Subscribed { .. }
                | State::Refreshing { .. }
                | State::Expiring { .. },
                Standing::Terminated,
            ) => self.end(Outcome::remote(End::Released, None)),
            (State::UnsubscribeWaiting { .. } | State::Unsubscribing { .. }, Standing::Terminated) => {
                self.end(Outcome::local(End::Left, None))
            }
            (State::Over, _) => Action::Nothing,
        }
    }

    /// The user wants nothing more. Asking again changes nothing.
    pub fn unsubscribe(&mut self, now: Instant) -> Action {
        match self.state {
            // There is no dialog yet in which it could be said.
            State::Subscribing { give_up_at, .. } => {
                self.state = State::UnsubscribeWaiting { give_up_at };
                Action::Nothing
            }
            State::Subscribed { .. } | State::Refreshing { .. } | State::Expiring { .. } => self.leave(now),
            State::UnsubscribeWaiting { .. } | State::Unsubscribing { .. } | State::Over => Action::Nothing,
        }
    }

    /// Timer N, a refresh, or the end of what was granted, whichever has come.
    pub fn handle_timeout(&mut self, now: Instant) -> Action {
        match self.state {
            // §4.1.2.4: no NOTIFY came.
            State::Subscribing { give_up_at, .. } if give_up_at <= now => {
                self.end(Outcome::remote(End::TimedOut, None))
            }
            State::UnsubscribeWaiting { give_up_at } if give_up_at <= now => {
                self.end(Outcome::local(End::Cancelled, None))
            }
            State::Subscribed { expires_at, .. }
            | State::Refreshing { expires_at, .. }
            | State::Expiring { expires_at }
                if expires_at <= now =>
            {
                self.end(Outcome::remote(End::Expired, None))
            }
            State::Subscribed { refresh_at, expires_at } if refresh_at <= now => {
                self.state = State::Refreshing { give_up_at: now + self.guard, expires_at };
                Action::Refresh
            }
            State::Refreshing { give_up_at, .. } if give_up_at <= now => {
                self.end(Outcome::remote(End::Lost, None)) // §4.1.2.2
            }
            State::Unsubscribing { give_up_at } if give_up_at <= now => {
                self.end(Outcome::local(End::Left, None))
            }
            State::Subscribing { .. }
            | State::UnsubscribeWaiting { .. }
            | State::Subscribed { .. }
            | State::Refreshing { .. }
            | State::Expiring { .. }
            | State::Unsubscribing { .. }
            | State::Over => Action::Nothing,
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Subscribing { give_up_at, .. }
            | State::UnsubscribeWaiting { give_up_at }
            | State::Unsubscribing { give_up_at } => Some(give_up_at),
            State::Subscribed { refresh_at, expires_at } => Some(refresh_at.min(expires_at)),
            State::Refreshing { give_up_at, expires_at } => Some(give_up_at.min(expires_at)),
            State::Expiring { expires_at } => Some(expires_at),
            State::Over => None,
        }
    }

    /// It stands for `span`.
    fn stand(&mut self, now: Instant, span: Duration) {
        let expires_at = now + span;
        let wait = if span > 2 * REFRESH_BEFORE { span.saturating_sub(REFRESH_BEFORE) } else { span / 2 };
        self.state = if span < REFRESH_MIN {
            State::Expiring { expires_at }
        } else {
            State::Subscribed { refresh_at: now + wait, expires_at }
        };
    }

    /// A refresh has failed, and it stands until `expires_at` all the same.
    fn stand_on(&mut self, now: Instant, expires_at: Instant) -> Action {
        self.stand(now, expires_at.saturating_since(now));
        Action::Nothing
    }

    fn leave(&mut self, now: Instant) -> Action {
        self.state = State::Unsubscribing { give_up_at: now + self.guard };
        Action::Unsubscribe
    }

    fn end(&mut self, outcome: Outcome) -> Action {
        self.state = State::Over;
        Action::End(outcome)
    }
}
