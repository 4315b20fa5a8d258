//! What the tests of the usages share: a clock, and a way to wake a machine that proves its deadlines.

use std::fmt::Debug;

use super::invite_client::{self, InviteClient};
use super::invite_server::{self, InviteServer};
use super::reliable::{self, ReliableServer};
use super::subscription::notifier::{self, Notifier};
use super::subscription::subscriber::{self, Subscriber};
use crate::time::{Duration, Instant};

/// `ms` milliseconds after the start.
pub(super) fn at(ms: u64) -> Instant {
    Instant::at(Duration::from_millis(ms))
}

/// How long until `deadline`.
pub(super) fn wait(now: Instant, deadline: Instant) -> String {
    format!("{:?}", deadline - now)
}

/// A usage as far as its deadlines go.
pub(super) trait Machine: Clone + PartialEq + Debug {
    /// What a timeout has to say.
    type Told: PartialEq + Debug;
    /// What it says if there is nothing to say.
    const NOTHING: Self::Told;

    fn deadline(&self) -> Option<Instant>;
    fn handle_timeout(&mut self, now: Instant) -> Self::Told;
}

impl Machine for InviteClient {
    type Told = invite_client::Step;
    const NOTHING: Self::Told = invite_client::Step { action: invite_client::Action::Nothing, outcome: None };

    fn deadline(&self) -> Option<Instant> {
        self.deadline()
    }

    fn handle_timeout(&mut self, now: Instant) -> Self::Told {
        self.handle_timeout(now)
    }
}

impl Machine for InviteServer {
    type Told = invite_server::Action;
    const NOTHING: Self::Told = invite_server::Action::Nothing;

    fn deadline(&self) -> Option<Instant> {
        self.deadline()
    }

    fn handle_timeout(&mut self, now: Instant) -> Self::Told {
        self.handle_timeout(now)
    }
}

impl Machine for ReliableServer {
    type Told = reliable::Action;
    const NOTHING: Self::Told = reliable::Action::Nothing;

    fn deadline(&self) -> Option<Instant> {
        self.deadline()
    }

    fn handle_timeout(&mut self, now: Instant) -> Self::Told {
        self.handle_timeout(now)
    }
}

impl Machine for Subscriber {
    type Told = subscriber::Action;
    const NOTHING: Self::Told = subscriber::Action::Nothing;

    fn deadline(&self) -> Option<Instant> {
        self.deadline()
    }

    fn handle_timeout(&mut self, now: Instant) -> Self::Told {
        self.handle_timeout(now)
    }
}

impl Machine for Notifier {
    type Told = notifier::Step;
    const NOTHING: Self::Told = notifier::Step { action: notifier::Action::Nothing, outcome: None };

    fn deadline(&self) -> Option<Instant> {
        self.deadline()
    }

    fn handle_timeout(&mut self, now: Instant) -> Self::Told {
        self.handle_timeout(now)
    }
}

/// Wakes a machine at its deadline, which must be `ms`. A call just before does nothing, an extra one does nothing,
/// and the next deadline lies later.
pub(super) fn wake<M: Machine>(machine: &mut M, ms: u64) -> M::Told {
    assert_eq!(machine.deadline(), Some(at(ms)));
    assert_idle_at(machine, Instant::at(at(ms).since_start() - Duration::from_nanos(1)));
    let told = machine.handle_timeout(at(ms));
    assert_idle_at(machine, at(ms));
    assert!(machine.deadline().is_none_or(|next| next > at(ms)), "{machine:?}");
    told
}

/// Asserts that `handle_timeout` does nothing at `now`.
pub(super) fn assert_idle_at<M: Machine>(machine: &M, now: Instant) {
    let mut after = machine.clone();
    assert_eq!(after.handle_timeout(now), M::NOTHING);
    assert_eq!(&after, machine);
}

/// Asserts that the machine waits for nothing and that nothing comes.
pub(super) fn assert_waits_for_no_timer<M: Machine>(machine: &M) {
    assert_eq!(machine.deadline(), None);
    assert_idle_at(machine, at(3_600_000));
}
