//! The publication of the PoC service settings. RFC 3903 §4, RFC 4354, digest 6.
//!
//! ```text
//!                publish          remove          2xx              412              423            489             refusal    failure, silence  deadline
//! Idle           Publishing +I    Idle !          -                -                -              -               -          -                 -
//! Publishing     ChangeWaiting    RemoveWaiting   Published !      Publishing +I    Publishing +   Unsupported !   Idle !     Waiting !         -
//! ChangeWaiting  -                RemoveWaiting   Publishing +M    Publishing +I    Publishing +   Unsupported !   Idle !     Waiting !         -
//! Published      Publishing +M    Removing +0     -                -                -              -               -          -                 Publishing +F
//! Waiting        Publishing +     Removing +0     -                -                -              -               -          -                 Publishing +
//! RemoveWaiting  -                -               Removing +0      Idle !           Removing +0    Unsupported !   Removing +0  Removing +0     Idle !
//! Removing       -                -               Idle !           Idle !           Idle !         Unsupported !   Idle !     Idle !            Idle !
//! Unsupported    -                Unsupported !   -                -                -              -               -          -                 -
//! ```
//!
//! +I: an initial PUBLISH leaves, with a body; +M: a modifying one, with a body and the tag; +F: a refreshing one, with the
//! tag; +: +M if there is a tag, +I if not; +0: one that removes; !: the user is told. `Publishing`, `ChangeWaiting`,
//! `RemoveWaiting` and `Removing` have one PUBLISH out, the others none: the tag that the next one needs comes with its answer.
//! A 412 to an initial PUBLISH, and a second 423, are refusals. Without a tag there is nothing to remove: Idle !.

use bytes::Bytes;
use sip::{Duration, Identifiers, Instant};

use super::registration::EXPIRES_MAX;
use super::retry::wait_after;

/// However short a publication was granted for, it is not refreshed earlier than this.
const PACE: Duration = Duration::from_secs(10);

/// 423 responses in a row that are answered.
const RAISES_MAX: u8 = 1;

/// The publication of one terminal's settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PublicationClient {
    /// Seconds to ask for.
    expires: u32,
    /// How long the end of it may take: 64*T1.
    guard: Duration,
    state: State,
}

/// See the table at the top of this file. `tag`: the entity-tag of what is published (RFC 3903 §4.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum State {
    Idle,
    Publishing { attempt: Attempt },
    ChangeWaiting { attempt: Attempt },
    Published { tag: Option<Bytes>, refresh_at: Instant },
    Waiting { tag: Option<Bytes>, failures: u32, retry_at: Instant },
    RemoveWaiting { tag: Option<Bytes>, give_up_at: Instant },
    Removing { give_up_at: Instant },
    Unsupported,
}

/// A PUBLISH that is out, and what came before it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Attempt {
    tag: Option<Bytes>,
    failures: u32,
    raises: u8,
}

/// What is to be done now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Action {
    Nothing,
    /// Send a PUBLISH.
    Publish {
        tag: Option<Bytes>,
        has_body: bool,
        expires: u32,
    },
}

/// What the user must know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Told {
    Published,
    /// It is tried again after `retry_in`, or not at all.
    Failed {
        status: Option<u16>,
        retry_in: Option<Duration>,
    },
    /// Nothing is published any more.
    Removed,
}

/// What a machine answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Step {
    pub(super) action: Action,
    pub(super) told: Option<Told>,
}

const NOTHING: Step = Step { action: Action::Nothing, told: None };

impl From<Told> for Step {
    fn from(told: Told) -> Self {
        Self { action: Action::Nothing, told: Some(told) }
    }
}

impl PublicationClient {
    /// Nothing is published yet. `guard`: 64*T1.
    pub(super) fn new(expires: Duration, guard: Duration) -> Self {
        let expires = u32::try_from(expires.as_secs()).unwrap_or(EXPIRES_MAX).clamp(1, EXPIRES_MAX);
        Self { expires, guard, state: State::Idle }
    }

    /// The settings are to be published, or have changed.
    pub(super) fn publish(&mut self) -> Step {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => self.ask(Attempt { tag: None, failures: 0, raises: 0 }),
            State::Published { tag, .. } => self.ask(Attempt { tag, failures: 0, raises: 0 }),
            State::Waiting { tag, failures, .. } => self.ask(Attempt { tag, failures, raises: 0 }),
            State::Publishing { attempt } => self.stay(State::ChangeWaiting { attempt }),
            other @ (State::ChangeWaiting { .. }
            | State::RemoveWaiting { .. }
            | State::Removing { .. }
            | State::Unsupported) => self.stay(other),
        }
    }

    /// Nothing is to be published any more.
    pub(super) fn remove(&mut self, now: Instant) -> Step {
        let give_up_at = now + self.guard;
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => Told::Removed.into(),
            State::Publishing { attempt } | State::ChangeWaiting { attempt } => {
                self.stay(State::RemoveWaiting { tag: attempt.tag, give_up_at })
            }
            State::Published { tag, .. } | State::Waiting { tag, .. } => self.remove_tag(tag, give_up_at),
            State::Unsupported => {
                self.state = State::Unsupported;
                Told::Removed.into()
            }
            other @ (State::RemoveWaiting { .. } | State::Removing { .. }) => self.stay(other),
        }
    }

    /// The registration was refused: what is published lapses, for who is not registered cannot refresh it.
    pub(super) fn forget(&mut self) {
        if self.state != State::Unsupported {
            self.state = State::Idle;
        }
    }

    /// A 2xx to our PUBLISH: the settings are published for so many seconds under this tag.
    pub(super) fn handle_success(&mut self, now: Instant, tag: Option<Bytes>, granted: Option<u32>) -> Step {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Publishing { .. } => {
                let granted = granted.unwrap_or(self.expires).min(EXPIRES_MAX);
                let refresh_at = now + Duration::from_secs(u64::from(granted) / 2).max(PACE);
                self.state = State::Published { tag, refresh_at };
                Told::Published.into()
            }
            State::ChangeWaiting { .. } => self.ask(Attempt { tag, failures: 0, raises: 0 }),
            State::RemoveWaiting { give_up_at, .. } => self.remove_tag(tag, give_up_at),
            State::Removing { .. } => Told::Removed.into(),
            other @ (State::Idle | State::Published { .. } | State::Waiting { .. } | State::Unsupported) => {
                self.stay(other)
            }
        }
    }

    /// A 412: what the tag names is gone (RFC 3903 §5: publish initially again).
    pub(super) fn handle_stale(&mut self) -> Step {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Publishing { attempt } | State::ChangeWaiting { attempt } if attempt.tag.is_some() => {
                self.ask(Attempt { tag: None, ..attempt })
            }
            State::Publishing { .. } | State::ChangeWaiting { .. } => refused(412),
            State::RemoveWaiting { .. } | State::Removing { .. } => Told::Removed.into(),
            other @ (State::Idle | State::Published { .. } | State::Waiting { .. } | State::Unsupported) => {
                self.stay(other)
            }
        }
    }

    /// A 423: the server wants at least `least` seconds.
    pub(super) fn handle_too_brief(&mut self, least: Option<u32>) -> Step {
        let raised = least.filter(|least| (self.expires + 1..=EXPIRES_MAX).contains(least));
        match (std::mem::replace(&mut self.state, State::Idle), raised) {
            (State::Publishing { attempt } | State::ChangeWaiting { attempt }, Some(least))
                if attempt.raises < RAISES_MAX =>
            {
                self.expires = least;
                self.ask(Attempt { raises: attempt.raises + 1, ..attempt })
            }
            (
                state @ (State::Idle
                | State::Publishing { .. }
                | State::ChangeWaiting { .. }
                | State::Published { .. }
                | State::Waiting { .. }
                | State::RemoveWaiting { .. }
                | State::Removing { .. }
                | State::Unsupported),
                _,
            ) => {
                self.state = state;
                self.handle_refusal(423)
            }
        }
    }

    /// A final response that asking again would only meet again.
    ///
    /// 489: the server does not have the package, and is not asked again at all (digest 6).
    pub(super) fn handle_refusal(&mut self, status: u16) -> Step {
        let after = if status == 489 { State::Unsupported } else { State::Idle };
        match std::mem::replace(&mut self.state, after) {
            State::Publishing { .. } | State::ChangeWaiting { .. } => refused(status),
            State::RemoveWaiting { tag, give_up_at } if status != 489 => self.remove_tag(tag, give_up_at),
            State::RemoveWaiting { .. } | State::Removing { .. } => Told::Removed.into(),
            other @ (State::Idle | State::Published { .. } | State::Waiting { .. } | State::Unsupported) => {
                self.stay(other)
            }
        }
    }

    /// A final response that another time may not come; none at all if `status` is `None`.
    pub(super) fn handle_failure(
        &mut self,
        now: Instant,
        status: Option<u16>,
        retry_after: Option<Duration>,
        chance: &mut Identifiers,
    ) -> Step {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Publishing { attempt } | State::ChangeWaiting { attempt } => {
                let failures = attempt.failures.saturating_add(1);
                let wait = wait_after(failures, retry_after, chance);
                self.state = State::Waiting { tag: attempt.tag, failures, retry_at: now + wait };
                Told::Failed { status, retry_in: Some(wait) }.into()
            }
            State::RemoveWaiting { tag, give_up_at } => self.remove_tag(tag, give_up_at),
            State::Removing { .. } => Told::Removed.into(),
            other @ (State::Idle | State::Published { .. } | State::Waiting { .. } | State::Unsupported) => {
                self.stay(other)
            }
        }
    }

    /// The deadline of the state, if it has come.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Step {
        if self.deadline().is_none_or(|at| at > now) {
            return NOTHING;
        }
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Published { tag, .. } => {
                let has_body = tag.is_none(); // RFC 3903 §4.3: a refresh has none
                self.ask_with(Attempt { tag, failures: 0, raises: 0 }, has_body)
            }
            State::Waiting { tag, failures, .. } => self.ask(Attempt { tag, failures, raises: 0 }),
            State::RemoveWaiting { .. } | State::Removing { .. } => Told::Removed.into(),
            other @ (State::Idle
            | State::Publishing { .. }
            | State::ChangeWaiting { .. }
            | State::Unsupported) => self.stay(other),
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Published { refresh_at, .. } => Some(refresh_at),
            State::Waiting { retry_at, .. } => Some(retry_at),
            State::RemoveWaiting { give_up_at, .. } | State::Removing { give_up_at } => Some(give_up_at),
            State::Idle | State::Publishing { .. } | State::ChangeWaiting { .. } | State::Unsupported => None,
        }
    }

    /// Whether nothing is published and nobody wants it to be.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle | State::Unsupported)
    }

    /// Whether it is being removed.
    pub(super) fn is_ending(&self) -> bool {
        matches!(self.state, State::RemoveWaiting { .. } | State::Removing { .. })
    }

    fn ask(&mut self, attempt: Attempt) -> Step {
        self.ask_with(attempt, true)
    }

    fn ask_with(&mut self, attempt: Attempt, has_body: bool) -> Step {
        let action = Action::Publish { tag: attempt.tag.clone(), has_body, expires: self.expires };
        self.state = State::Publishing { attempt };
        Step { action, told: None }
    }

    /// RFC 3903 §4.5.
    fn remove_tag(&mut self, tag: Option<Bytes>, give_up_at: Instant) -> Step {
        if tag.is_none() {
            return Told::Removed.into();
        }
        self.state = State::Removing { give_up_at };
        Step { action: Action::Publish { tag, has_body: false, expires: 0 }, told: None }
    }

    fn stay(&mut self, state: State) -> Step {
        self.state = state;
        NOTHING
    }
}

/// It is not tried again by itself.
fn refused(status: u16) -> Step {
    Told::Failed { status: Some(status), retry_in: None }.into()
}

#[cfg(test)]
mod tests;
