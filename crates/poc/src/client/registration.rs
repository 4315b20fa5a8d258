//! The registration of a PoC Client: one binding, kept until the user wants it no more. RFC 3261 §10.2, digest 5.
//!
//! ```text
//!               register         deregister        network changed  2xx               423              refusal         failure, silence   deadline
//! Idle          Registering +R   Idle !            -                -                 -                -               -                  -
//! Registering   -                LeaveWaiting      Registering +R   Registered !      Registering +R   Idle !          Waiting !          -
//! Registered    -                Leaving +0        Registering +R   -                 -                -               -                  Registering +R
//! Waiting       Registering +R   Leaving +0        Registering +R   -                 -                -               -                  Registering +R
//! LeaveWaiting  busy             -                 -                Leaving +0        Leaving +0       Leaving +0      Leaving +0         Idle !
//! Leaving       busy             -                 -                Idle !            Idle !           Idle !          Idle !             Idle !
//! ```
//!
//! +R: a REGISTER leaves; +0: one that removes the binding; !: the user is told. `Registering`, `LeaveWaiting` and `Leaving`
//! have one REGISTER out, the others none (§10.2: no other before its final response).
//! A 423 is answered once, by asking for as long as it wants; another one is a refusal. Where no binding can stand (Waiting,
//! LeaveWaiting) there is nothing to remove: Idle ! instead of Leaving +0.

use sip::{Duration, Identifiers, Instant, Misuse};

use super::retry::wait_after;

/// Seconds of the longest registration that a 423 can make us ask for: the 600,000 of the IMS, and a little (digest 5).
pub(super) const EXPIRES_MAX: u32 = 604_800;

/// However short a registration was granted for, it is not refreshed earlier than this: a peer must not set our pace.
const PACE: Duration = Duration::from_secs(10);

/// 423 responses in a row that are answered.
const RAISES_MAX: u8 = 1;

/// The registration of one PoC Address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct RegistrationClient {
    /// Seconds to ask for.
    expires: u32,
    /// How long the end of it may take: 64*T1.
    guard: Duration,
    state: State,
}

/// See the table at the top of this file. `bound_until`: until then a binding of ours may stand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum State {
    Idle,
    Registering { failures: u32, raises: u8, bound_until: Option<Instant> },
    Registered { refresh_at: Instant, bound_until: Instant },
    Waiting { retry_at: Instant, failures: u32, bound_until: Option<Instant> },
    LeaveWaiting { give_up_at: Instant, bound_until: Option<Instant> },
    Leaving { give_up_at: Instant },
}

/// What is to be done now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    Nothing,
    /// Send a REGISTER that asks for so many seconds.
    Register {
        expires: u32,
    },
}

/// What the user must know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Told {
    Registered {
        expires: Duration,
    },
    /// It is tried again after `retry_in`, or not at all.
    Failed {
        status: Option<u16>,
        retry_in: Option<Duration>,
    },
    /// It is over. `status`: the answer to the REGISTER that removed the binding, if there was one.
    Deregistered {
        status: Option<u16>,
    },
}

/// What a machine answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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

impl From<Action> for Step {
    fn from(action: Action) -> Self {
        Self { action, told: None }
    }
}

impl RegistrationClient {
    /// Nobody has asked yet. `guard`: 64*T1.
    pub(super) fn new(expires: Duration, guard: Duration) -> Self {
        let expires = u32::try_from(expires.as_secs()).unwrap_or(EXPIRES_MAX).clamp(1, EXPIRES_MAX);
        Self { expires, guard, state: State::Idle }
    }

    /// The user wants to be registered.
    pub(super) fn register(&mut self) -> Result<Step, Misuse> {
        match self.state {
            State::Idle => Ok(self.ask(0, 0, None)),
            State::Waiting { failures, bound_until, .. } => Ok(self.ask(failures, 0, bound_until)),
            State::Registering { .. } | State::Registered { .. } => Ok(NOTHING),
            State::LeaveWaiting { .. } | State::Leaving { .. } => Err(Misuse::Busy),
        }
    }

    /// The user wants to be registered no more.
    pub(super) fn deregister(&mut self, now: Instant) -> Step {
        let give_up_at = now + self.guard;
        match self.state {
            State::Idle => Told::Deregistered { status: None }.into(),
            State::Registering { bound_until, .. } => {
                self.state = State::LeaveWaiting { give_up_at, bound_until };
                NOTHING
            }
            State::Registered { bound_until, .. } => self.leave(now, give_up_at, Some(bound_until), None),
            State::Waiting { bound_until, .. } => self.leave(now, give_up_at, bound_until, None),
            State::LeaveWaiting { .. } | State::Leaving { .. } => NOTHING,
        }
    }

    /// The way to the registrar is another one: a REGISTER that is out has lost it, and counts as timed out.
    pub(super) fn handle_network_change(&mut self) -> Step {
        match self.state {
            State::Registering { bound_until, .. } | State::Waiting { bound_until, .. } => {
                self.ask(0, 0, bound_until)
            }
            State::Registered { bound_until, .. } => self.ask(0, 0, Some(bound_until)),
            State::Idle | State::LeaveWaiting { .. } | State::Leaving { .. } => NOTHING,
        }
    }

    /// A 2xx to our REGISTER: the binding stands for so many seconds.
    pub(super) fn handle_success(&mut self, now: Instant, granted: u32, chance: &mut Identifiers) -> Step {
        match self.state {
            // §10.3 step 8: nothing that was granted for no time is a binding.
            State::Registering { .. } if granted == 0 => self.handle_failure(now, Some(200), None, chance),
            State::Registering { .. } => {
                let expires = Duration::from_secs(granted.min(EXPIRES_MAX).into());
                let refresh_at = now + before_the_end(expires).max(PACE);
                self.state = State::Registered { refresh_at, bound_until: now + expires };
                Told::Registered { expires }.into()
            }
            State::LeaveWaiting { give_up_at, .. } => {
                let bound_until = now + Duration::from_secs(granted.into());
                self.leave(now, give_up_at, Some(bound_until), None)
            }
            State::Leaving { .. } => self.end(Some(200)),
            State::Idle | State::Registered { .. } | State::Waiting { .. } => NOTHING,
        }
    }

    /// A 423: the registrar wants at least `least` seconds.
    pub(super) fn handle_too_brief(&mut self, now: Instant, least: Option<u32>) -> Step {
        match (&self.state, least) {
            (&State::Registering { failures, raises, bound_until }, Some(least))
                if raises < RAISES_MAX && (self.expires + 1..=EXPIRES_MAX).contains(&least) =>
            {
                self.expires = least;
                self.ask(failures, raises + 1, bound_until)
            }
            (
                State::Idle
                | State::Registering { .. }
                | State::Registered { .. }
                | State::Waiting { .. }
                | State::LeaveWaiting { .. }
                | State::Leaving { .. },
                _,
            ) => self.handle_refusal(now, 423),
        }
    }

    /// A final response that asking again would only meet again: 401, 403, 404 and their like.
    pub(super) fn handle_refusal(&mut self, now: Instant, status: u16) -> Step {
        match self.state {
            State::Registering { .. } => {
                self.state = State::Idle;
                Told::Failed { status: Some(status), retry_in: None }.into()
            }
            State::LeaveWaiting { give_up_at, bound_until } => {
                self.leave(now, give_up_at, bound_until, Some(status))
            }
            State::Leaving { .. } => self.end(Some(status)),
            State::Idle | State::Registered { .. } | State::Waiting { .. } => NOTHING,
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
        // Of what nobody answered we cannot tell whether it was done.
        let asked_until = now + Duration::from_secs(self.expires.into());
        let bound = |bound_until: Option<Instant>| match status {
            Some(_) => bound_until,
            None => bound_until.max(Some(asked_until)),
        };
        match self.state {
            State::Registering { failures, bound_until, .. } => {
                let failures = failures.saturating_add(1);
                let wait = wait_after(failures, retry_after, chance);
                let bound_until = bound(bound_until);
                self.state = State::Waiting { retry_at: now + wait, failures, bound_until };
                Told::Failed { status, retry_in: Some(wait) }.into()
            }
            State::LeaveWaiting { give_up_at, bound_until } => {
                self.leave(now, give_up_at, bound(bound_until), status)
            }
            State::Leaving { .. } => self.end(status),
            State::Idle | State::Registered { .. } | State::Waiting { .. } => NOTHING,
        }
    }

    /// The deadline of the state, if it has come.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Step {
        if self.deadline().is_none_or(|at| at > now) {
            return NOTHING;
        }
        match self.state {
            State::Registered { bound_until, .. } => self.ask(0, 0, Some(bound_until)),
            State::Waiting { failures, bound_until, .. } => self.ask(failures, 0, bound_until),
            State::LeaveWaiting { .. } | State::Leaving { .. } => self.end(None),
            State::Idle | State::Registering { .. } => NOTHING,
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Registered { refresh_at, .. } => Some(refresh_at),
            State::Waiting { retry_at, .. } => Some(retry_at),
            State::LeaveWaiting { give_up_at, .. } | State::Leaving { give_up_at } => Some(give_up_at),
            State::Idle | State::Registering { .. } => None,
        }
    }

    /// Seconds that the next REGISTER asks for.
    pub(super) fn expires(&self) -> u32 {
        self.expires
    }

    /// Whether the binding stands, as far as the last answer says.
    pub(super) fn is_registered(&self) -> bool {
        match self.state {
            State::Registered { .. } => true,
            State::Registering { bound_until, .. } | State::Waiting { bound_until, .. } => {
                bound_until.is_some()
            }
            State::Idle | State::LeaveWaiting { .. } | State::Leaving { .. } => false,
        }
    }

    /// Whether there is neither a registration nor somebody who wants one.
    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    fn ask(&mut self, failures: u32, raises: u8, bound_until: Option<Instant>) -> Step {
        self.state = State::Registering { failures, raises, bound_until };
        Action::Register { expires: self.expires }.into()
    }

    /// Removes the binding, if one may stand.
    fn leave(
        &mut self,
        now: Instant,
        give_up_at: Instant,
        bound_until: Option<Instant>,
        status: Option<u16>,
    ) -> Step {
        if bound_until.is_none_or(|until| until <= now) {
            return self.end(status);
        }
        self.state = State::Leaving { give_up_at };
        Action::Register { expires: 0 }.into() // §10.2.2
    }

    fn end(&mut self, status: Option<u16>) -> Step {
        self.state = State::Idle;
        Told::Deregistered { status }.into()
    }
}

/// When a registration for so long is refreshed: early enough for another try, late enough not to be a burden.
fn before_the_end(expires: Duration) -> Duration {
    const MARGIN: Duration = Duration::from_secs(600);
    if expires > 2 * MARGIN { expires - MARGIN } else { expires / 2 }
}

#[cfg(test)]
mod tests;
