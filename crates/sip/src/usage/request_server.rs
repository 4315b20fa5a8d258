//! A request of a peer outside of any dialog, other than INVITE, as its user sees it: RFC 4320.
//!
//! ```text
//!             answer   timer
//! Silent      gone     Trying +100
//! Trying      gone     gone +500
//! ```
//!
//! The peer gives up after 64*T1 (timer F) and takes nothing that comes later (RFC 4320 §2). Half of that is the user's.

use crate::time::Instant;
use crate::transaction::timer::{Resend, Timers};

/// One request that waits for its user. An answer consumes it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RequestServer {
    state: State,
}

/// See the table at the top of this file.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "trying_at: when 100 is due; give_up_at: when the user has waited too long")]
pub enum State {
    Silent { trying_at: Instant, give_up_at: Instant },
    Trying { give_up_at: Instant },
}

/// What is to be done now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Send 100.
    Try,
    /// Send 500: nobody answers.
    GiveUp,
}

impl RequestServer {
    /// A request has been received.
    pub fn new(now: Instant, timers: &Timers) -> Self {
        // RFC 4320 §4.1: not before, and no later than, timer E of the peer is reset to T2.
        let mut resend = Resend::first(now, timers);
        while 2 * resend.interval < timers.t2 {
            resend = resend.next(resend.at, timers.t2);
        }
        let give_up_at = now + timers.t1_64() / 2;
        Self { state: State::Silent { trying_at: resend.at, give_up_at } }
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What is due.
    pub fn handle_timeout(&mut self, now: Instant) -> Action {
        match self.state {
            State::Silent { give_up_at, .. } | State::Trying { give_up_at } if give_up_at <= now => {
                Action::GiveUp
            }
            State::Silent { trying_at, give_up_at } if trying_at <= now => {
                self.state = State::Trying { give_up_at };
                Action::Try
            }
            State::Silent { .. } | State::Trying { .. } => Action::Nothing,
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub fn deadline(&self) -> Instant {
        match self.state {
            State::Silent { trying_at, give_up_at } => trying_at.min(give_up_at),
            State::Trying { give_up_at } => give_up_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;
    use crate::usage::fixture::at;

    #[test]
    fn a_100_is_due_when_timer_e_reaches_t2_and_a_500_at_half_of_timer_f() {
        let mut machine = RequestServer::new(at(0), &Timers::default());
        assert_eq!(machine.handle_timeout(at(3499)), Action::Nothing);
        assert_eq!((machine.deadline(), machine.handle_timeout(at(3500))), (at(3500), Action::Try));
        assert_eq!(machine.handle_timeout(at(3500)), Action::Nothing);
        assert_eq!(machine.handle_timeout(at(15_999)), Action::Nothing);
        assert_eq!((machine.deadline(), machine.handle_timeout(at(16_000))), (at(16_000), Action::GiveUp));
    }

    #[test]
    fn a_100_is_not_due_behind_the_500() {
        let timers = Timers { t1: Duration::from_millis(2), t2: Duration::from_secs(4), ..Timers::default() };
        let mut machine = RequestServer::new(at(0), &timers);
        assert_eq!((machine.deadline(), machine.handle_timeout(at(64))), (at(64), Action::GiveUp));
    }
}
