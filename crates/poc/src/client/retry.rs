//! How long a client waits after a failure before it asks again: RFC 5626 §4.5.

use sip::{Duration, Identifiers};

/// The base-time if every way has failed.
const BASE: Duration = Duration::from_secs(30);

/// The max-time.
const MAX: Duration = Duration::from_secs(1800);

/// The longest wait that a peer may ask for.
const ASKED_MAX: Duration = Duration::from_secs(3600);

/// The wait after so many failures in a row: between half and all of an upper bound that grows with each, and not less
/// than Retry-After.
pub(super) fn wait_after(failures: u32, asked: Option<Duration>, chance: &mut Identifiers) -> Duration {
    let bound = BASE.saturating_mul(2_u32.saturating_pow(failures)).min(MAX);
    let half = bound / 2;
    let share = half * chance.below(1001) / 1000;
    (half + share).max(asked.unwrap_or_default().min(ASKED_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(failures: u32, asked: Option<u64>) -> (u64, u64) {
        let mut chance = Identifiers::new(sip::Owner::default(), [1; 32]);
        let asked = asked.map(Duration::from_secs);
        let waits = (0..500).map(|_| wait_after(failures, asked, &mut chance).as_secs()).collect::<Vec<_>>();
        (waits.iter().min().copied().unwrap(), waits.iter().max().copied().unwrap())
    }

    fn assert_between(half: u64, bound: u64, (least, most): (u64, u64)) {
        assert!((half..half + half / 10).contains(&least), "{least} s");
        assert!((bound - bound / 10..=bound).contains(&most), "{most} s");
    }

    /// RFC 5626 §4.5: the first retry comes between 30 and 60 s after the failure.
    #[test]
    fn the_wait_grows_with_each_failure_and_has_a_share_of_chance() {
        assert_between(30, 60, waits(1, None));
        assert_between(120, 240, waits(3, None));
        assert_between(900, 1800, waits(6, None));
        assert_between(900, 1800, waits(u32::MAX, None));
    }

    #[test]
    fn retry_after_makes_it_longer_within_bounds() {
        assert_between(30, 60, waits(1, Some(10)));
        assert_eq!(waits(1, Some(600)), (600, 600));
        assert_eq!(waits(1, Some(1_000_000)), (3600, 3600));
    }
}
