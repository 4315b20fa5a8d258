//! Time as the machines know it: a span since the start, handed in by whoever drives them.

use std::fmt;
use std::ops::{Add, Sub};
pub use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment, as the time since the driver's start. Never read from a clock here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Instant(Duration);

impl Instant {
    /// The driver's start.
    pub const START: Self = Self(Duration::ZERO);

    /// The moment that lies `since_start` after the driver's start.
    pub const fn at(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// How long after the driver's start this moment lies.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// The span from `earlier` to this moment, zero if `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0 + span)
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.0 - earlier.0
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            // For the canonical view, which makes it relative.
            let mark = crate::endpoint::TIME_MARK;
            return write!(f, "{mark}{}{mark}", self.0.as_nanos());
        }
        write!(f, "{:.3}s", self.0.as_secs_f64())
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
