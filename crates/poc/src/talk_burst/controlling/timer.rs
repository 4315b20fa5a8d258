//! Deadlines that the machines have in common.

use std::time::Duration;

use sip::Instant;

/// A timer of 0 would run out in the moment in which it is started, again and again.
const SPAN_MIN: Duration = Duration::from_millis(1);

/// The moment so much later.
pub(super) fn after(now: Instant, span: Duration) -> Instant {
    now + span.max(SPAN_MIN)
}

/// A message that is sent again until something comes of it, and how often it has been sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Repeat {
    pub(super) at: Instant,
    sends: u8,
}

impl Repeat {
    /// It has been sent now; `None` if that was all.
    pub(super) fn first(now: Instant, every: Duration, sends_max: u8) -> Option<Self> {
        (sends_max > 1).then(|| Self { at: after(now, every), sends: 1 })
    }

    /// It has been sent once more.
    pub(super) fn next(self, now: Instant, every: Duration, sends_max: u8) -> Option<Self> {
        let sends = self.sends.saturating_add(1);
        (sends < sends_max).then(|| Self { at: after(now, every), sends })
    }
}

/// A timer that each packet restarts. It is looked at when it would have run out without them, so that a packet moves no deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Silence {
    heard_at: Instant,
    look_at: Instant,
}

impl Silence {
    pub(super) fn begin(now: Instant, limit: Duration) -> Self {
        Self { heard_at: now, look_at: after(now, limit) }
    }

    pub(super) const fn hear(&mut self, now: Instant) {
        self.heard_at = now;
    }

    /// Whether nothing was heard for so long.
    pub(super) fn has_lasted(&mut self, now: Instant, limit: Duration) -> bool {
        if now < self.look_at {
            return false;
        }
        self.look_at = after(self.heard_at, limit);
        self.look_at <= now
    }

    /// When to look.
    pub(super) const fn deadline(&self) -> Instant {
        self.look_at
    }
}
