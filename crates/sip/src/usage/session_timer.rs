//! Session timers: RFC 4028. What both sides agree on, and the machine that keeps it.
//!
//! ```text
//!              half of the interval   2xx to a refresh   other answer       end nears
//! Refreshing   Asking +refresh        Refreshing         -                  +BYE
//! Asking       -                      Refreshing         Refreshing, once   +BYE
//! Watching     -                      Watching           -                  +BYE
//! ```
//!
//! `Refreshing` and `Asking`: the local side refreshes. `Watching`: the peer does, or the local side has tried in
//! vain. A 2xx to a refresh of either side begins anew, so it makes a new machine.

use crate::message::{Message, Name};
use crate::time::{Duration, Instant};

/// The smallest interval that anybody may want (§5).
pub const FLOOR: Duration = Duration::from_secs(90);

/// Which side of a refresh request keeps the session alive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refresher {
    /// The side that sent the request.
    Uac,
    /// The side that answered it.
    Uas,
}

impl Refresher {
    /// The value of the parameter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uac => "uac",
            Self::Uas => "uas",
        }
    }
}

/// What a message says about the session timer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Terms {
    /// Session-Expires.
    pub interval: Option<Duration>,
    /// Its refresher parameter.
    pub refresher: Option<Refresher>,
    /// Min-SE.
    pub min_se: Option<Duration>,
    /// Whether the sender supports session timers.
    pub is_supported: bool,
}

impl Terms {
    /// What `message` says.
    pub fn of(message: &Message) -> Self {
        let expires = message.valued(Name::SessionExpires).next().and_then(Result::ok);
        let interval = expires.and_then(|expires| expires.number());
        let refresher = match expires.and_then(|expires| expires.parameters.value(b"refresher")) {
            Some(side) if side.eq_ignore_ascii_case(b"uac") => Some(Refresher::Uac),
            Some(side) if side.eq_ignore_ascii_case(b"uas") => Some(Refresher::Uas),
            Some(_) | None => None,
        };
        Self {
            interval: interval.map(|seconds| Duration::from_secs(seconds.into())),
            refresher,
            min_se: min_se_of(message),
            is_supported: message.lists(Name::Supported, b"timer"),
        }
    }

    /// §9: whether the receiver of a request refuses it with 422: the interval is below its `min_se`. Who does not
    /// support session timers would not understand a 422.
    pub fn is_too_small(&self, min_se: Duration) -> bool {
        self.is_supported && self.interval.is_some_and(|interval| interval < min_se)
    }

    /// §9, table 2: what the 2xx to a request with these terms says, if the receiver itself would like `own`.
    pub fn answered(&self, own: Option<Duration>) -> Option<Agreement> {
        let wanted = own.filter(|_| self.is_supported).map(|own| own.max(self.min_se.unwrap_or(FLOOR)));
        let interval = self.interval.or(wanted)?;
        let refresher = match (self.is_supported, self.refresher) {
            (true, Some(refresher)) => refresher,
            (true, None) => Refresher::Uac,
            (false, _) => Refresher::Uas,
        };
        Some(Agreement { interval, refresher })
    }

    /// §7.2: what a 2xx with these terms means to the sender of a request that asked for `own`.
    pub fn agreed(&self, own: Option<Duration>) -> Option<Agreement> {
        match self.interval {
            Some(interval) => {
                Some(Agreement { interval, refresher: self.refresher.unwrap_or(Refresher::Uac) })
            }
            // The peer does not know session timers: ours is for our own benefit, and we refresh.
            None => own.map(|interval| Agreement { interval, refresher: Refresher::Uac }),
        }
    }
}

/// The Min-SE of a message: after a 422 the least that the next request may ask for (§7.3).
pub fn min_se_of(message: &Message) -> Option<Duration> {
    let least = message.valued(Name::MinSe).next()?.ok()?.number()?;
    Some(Duration::from_secs(least.into()))
}

/// What a 2xx fixes for the session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Agreement {
    /// After which the session is over unless it is refreshed.
    pub interval: Duration,
    /// Who refreshes.
    pub refresher: Refresher,
}

/// The session timer of one dialog.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SessionTimer {
    interval: Duration,
    is_refresher: bool,
    /// When BYE is sent: slightly before the session expires (§10).
    leave_at: Instant,
    state: State,
}

/// See the table at the top of this file.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "refresh_at: the deadline; is_last: the refresh was refused before")]
pub enum State {
    Refreshing { refresh_at: Instant, is_last: bool },
    Asking { is_last: bool },
    Watching,
}

/// What is to be done now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Send a refresh.
    Refresh,
    /// Send BYE: nobody refreshed the session.
    Leave,
}

impl SessionTimer {
    /// A 2xx to a refresh request has been sent or received. An interval that nobody may ask for counts as the
    /// smallest: a peer must not set our pace (§11.1).
    pub fn new(now: Instant, interval: Duration, is_refresher: bool) -> Self {
        let span = interval.max(FLOOR);
        let state = if is_refresher {
            State::Refreshing { refresh_at: now + span / 2, is_last: false } // §9, §7.2: half of it
        } else {
            State::Watching
        };
        let margin = Duration::from_secs(32).min(span / 3); // §10
        Self { interval, is_refresher, leave_at: now + (span - margin), state }
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The interval that was agreed on.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Whether the local side refreshes.
    pub fn is_refresher(&self) -> bool {
        self.is_refresher
    }

    /// The refresh was answered, neither with 2xx nor with 408 or 481. It is tried once more (§10: not continuously).
    pub fn handle_refusal(&mut self, now: Instant) {
        match self.state {
            State::Asking { is_last: false } => self.refresh_later(now, true),
            State::Asking { is_last: true } => self.state = State::Watching,
            State::Refreshing { .. } | State::Watching => {}
        }
    }

    /// The refresh could not be sent yet: another change of the session is under way.
    pub fn postpone(&mut self, now: Instant) {
        match self.state {
            State::Asking { is_last } => self.refresh_later(now, is_last),
            State::Refreshing { .. } | State::Watching => {}
        }
    }

    /// The refresh, or the end, whichever has come.
    pub fn handle_timeout(&mut self, now: Instant) -> Action {
        if self.leave_at <= now {
            return Action::Leave;
        }
        match self.state {
            State::Refreshing { refresh_at, is_last } if refresh_at <= now => {
                self.state = State::Asking { is_last };
                Action::Refresh
            }
            State::Refreshing { .. } | State::Asking { .. } | State::Watching => Action::Nothing,
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub fn deadline(&self) -> Instant {
        match self.state {
            State::Refreshing { refresh_at, .. } => refresh_at.min(self.leave_at),
            State::Asking { .. } | State::Watching => self.leave_at,
        }
    }

    /// In the middle of what remains.
    fn refresh_later(&mut self, now: Instant, is_last: bool) {
        let wait = self.leave_at.saturating_since(now) / 2;
        self.state = if wait < Duration::from_secs(1) {
            State::Watching
        } else {
            State::Refreshing { refresh_at: now + wait, is_last }
        };
    }
}

#[cfg(test)]
mod tests;
