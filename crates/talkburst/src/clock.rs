//! The clock of this machine, as the machines want it.

use std::pin::Pin;
use std::time::{SystemTime, UNIX_EPOCH};

use sip::{Duration, Instant};
use tokio::time::Sleep;

/// Moments since the program began.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    begun: std::time::Instant,
}

impl Clock {
    /// A clock that begins now.
    pub(crate) fn start() -> Self {
        Self { begun: std::time::Instant::now() }
    }

    /// The time since the start; never runs back.
    pub(crate) fn now(&self) -> Instant {
        Instant::at(self.begun.elapsed())
    }

    /// A timer, for the runtime that this is called in.
    pub(crate) fn timer(self) -> Timer {
        Timer { clock: self, sleep: Box::pin(tokio::time::sleep_until(self.begun.into())), at: None }
    }

    /// Sleeps until `at`; for ever if there is no such moment.
    pub(crate) async fn until(self, at: Option<Instant>) {
        match at.and_then(|at| self.begun.checked_add(at.since_start())) {
            Some(at) => tokio::time::sleep_until(at.into()).await,
            None => std::future::pending().await,
        }
    }
}

/// What waits for one moment after another.
pub(crate) struct Timer {
    clock: Clock,
    /// Asks nothing of the runtime as long as the moment is the same.
    sleep: Pin<Box<Sleep>>,
    at: Option<Instant>,
}

impl Timer {
    /// Sleeps until `at`, as [`Clock::until`]; what was waited for before is forgotten.
    pub(crate) async fn until(&mut self, at: Option<Instant>) {
        let moment = at.and_then(|at| self.clock.begun.checked_add(at.since_start()));
        let Some(moment) = moment else { return std::future::pending().await };
        if self.at != at {
            self.at = at;
            self.sleep.as_mut().reset(moment.into());
        }
        self.sleep.as_mut().await;
    }
}

/// The time since the Unix epoch, for capture files.
pub(crate) fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
