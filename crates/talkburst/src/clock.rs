//! The clock of this machine, as the machines want it.

use std::time::{SystemTime, UNIX_EPOCH};

use sip::{Duration, Instant};

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

    /// Sleeps until `at`; for ever if there is no such moment.
    pub(crate) async fn until(self, at: Option<Instant>) {
        match at.and_then(|at| self.begun.checked_add(at.since_start())) {
            Some(at) => tokio::time::sleep_until(at.into()).await,
            None => std::future::pending().await,
        }
    }
}

/// The time since the Unix epoch, for capture files.
pub(crate) fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
