//! How many requests of one source are refused without keeping state: token buckets in a table of fixed size.
//!
//! Sources that meet in a place of the table share its bucket. The table is keyed, so nobody can aim at a place.

use std::net::IpAddr;

use sip::hash::Keyed;
use sip::{Duration, Instant};

use crate::face::Rate;

const PLACES: usize = 1024;

#[derive(Clone, Debug)]
pub(crate) struct Buckets {
    rate: Rate,
    /// When the bucket of each place will be full again, if nothing more is taken.
    full_at: Vec<Instant>,
}

impl Buckets {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, full_at: vec![Instant::START; PLACES] }
    }

    /// The buckets that are not full, by place.
    pub(crate) fn taken(&self, now: Instant) -> Vec<(usize, Instant)> {
        self.full_at.iter().copied().enumerate().filter(|(_, at)| *at > now).collect()
    }

    /// Takes a token for `source`; false if there is none.
    pub(crate) fn take(&mut self, keyed: &Keyed, now: Instant, source: IpAddr) -> bool {
        let key = match source {
            IpAddr::V4(ip) => keyed.key(&[b"source", &ip.octets()]),
            IpAddr::V6(ip) => keyed.key(&[b"source", &ip.octets()]),
        };
        let full_at = &mut self.full_at[key.place(PLACES)];
        let token = Duration::from_secs(1) / self.rate.per_second.max(1);
        let next = (*full_at).max(now) + token;
        let may = next.saturating_since(now) <= token * self.rate.burst;
        if may {
            *full_at = next;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let keyed = Keyed::new([1; 16]);
        let mut buckets = Buckets::new(Rate { per_second: 10, burst: 3 });
        let source = IpAddr::from([192, 0, 2, 1]);
        let mut taken = |ms| {
            let now = Instant::at(Duration::from_millis(ms));
            std::iter::repeat_with(|| buckets.take(&keyed, now, source)).take(20).filter(|may| *may).count()
        };
        assert_eq!((taken(0), taken(99), taken(100), taken(1000)), (3, 0, 1, 3));
        let other = buckets.take(&keyed, Instant::at(Duration::from_secs(1)), IpAddr::from([192, 0, 2, 2]));
        assert!(other, "another source has another bucket");
    }
}
