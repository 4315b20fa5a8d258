//! The clock of this machine, as the machines want it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
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
        Timer {
            clock: self,
            sleep: Box::pin(tokio::time::sleep_until(self.begun.into())),
            at: None,
            is_set: false,
        }
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
    is_set: bool,
}

impl Timer {
    /// From now on it is due at `at`, or never; whether that is another moment than before.
    pub(crate) fn set(&mut self, at: Option<Instant>) -> bool {
        let is_other = self.at != at;
        if is_other {
            self.at = at;
            // What the clock will never show is never due.
            let moment = at.and_then(|at| self.clock.begun.checked_add(at.since_start()));
            self.is_set = moment.is_some();
            if let Some(moment) = moment {
                self.sleep.as_mut().reset(moment.into());
            }
        }
        is_other
    }

    /// Whether it is due; else the task of `context` is woken once it is.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_set { self.sleep.as_mut().poll(context) } else { Poll::Pending }
    }
}

/// The time since the Unix epoch, for capture files.
pub(crate) fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
