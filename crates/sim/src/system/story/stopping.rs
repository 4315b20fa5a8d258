//! Stories of networks that are told to stop while users call each other.

use sip::{Duration, Instant};

use super::{Planned, Teller};

/// Whether a network was told to stop, and what has become of that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stopped {
    Never,
    /// Somebody may ring yet, or hold a session.
    Releasing {
        since: Instant,
    },
    /// Nothing was waited for any more.
    Settled,
}

/// What a server waits for at most if no message is lost, besides the way: a CANCEL that meets no INVITE is forgotten after 64*T1.
const GUARD: Duration = Duration::from_secs(32);

impl Teller {
    /// One network stops amid all that, and most often the other soon after it.
    pub(super) fn plan_stops(&mut self) {
        let first = self.chance.below(2) as usize;
        let longest = self.chance.pick(&[2_000, 8_000, 20_000]);
        let at = self.begun + self.chance.span(Duration::from_millis(longest));
        self.plan_stop(at, first);
        if self.chance.happens(700) {
            let longest = self.chance.pick(&[0, 200, 5_000]);
            let later = self.chance.span(Duration::from_millis(longest));
            self.plan_stop(at + later, 1 - first);
        }
    }

    fn plan_stop(&mut self, at: Instant, home: usize) {
        // No client has this place, so nobody who dies takes it along.
        let place = self.system.elements.len();
        self.plan(at, place, Planned::Stop(home));
    }

    pub(super) fn stop(&mut self, home: usize) {
        self.system.stop(home);
        self.stopped[home] = Stopped::Releasing { since: self.system.now };
        self.last_deed = self.system.now;
        if self.is_stopped() {
            self.plan.clear();
        }
        self.watch_stops();
    }

    /// Whether both networks were told to stop.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.iter().all(|stopped| *stopped != Stopped::Never)
    }

    /// A server that was told to stop waits for nobody longer than the way takes, if no message is lost and nobody dies.
    pub(super) fn watch_stops(&mut self) {
        for home in 0..2 {
            let Stopped::Releasing { since } = self.stopped[home] else { continue };
            if self.system.is_settled(home) {
                self.stopped[home] = Stopped::Settled;
                continue;
            }
            let watch = &self.system.watch;
            let longest = watch.longest_hop.map(|hop| GUARD + hop * (2 * watch.hops));
            let lasted = self.system.now - since;
            assert!(longest.is_none_or(|longest| lasted <= longest), "a server waits for {lasted:?}: {home}");
        }
    }
}
