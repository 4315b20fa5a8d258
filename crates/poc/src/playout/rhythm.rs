//! How regularly packets come: of how many of them how much later than the quickest.

use sip::Duration;

/// What is told apart.
const BUCKET: Duration = Duration::from_millis(5);

/// So many of those; what is later counts as the last.
const BUCKETS: usize = 100;

/// Of a hundred packets, how many are to be there in time.
const IN_TIME: u64 = 98;

/// What counts of the talk bursts before, of two each time.
const REMEMBERED: u64 = 1;

/// Packets of which the spread is known: before that, the first guess counts.
const KNOWN: u64 = 20;

/// What is known of the packets so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Rhythm {
    at_first: Duration,
    counts: [u64; BUCKETS],
    /// The shortest way in this talk burst: when a packet came, less when it was spoken, both since moments that nobody knows.
    shortest: Option<i128>,
}

impl Rhythm {
    pub(super) fn new(at_first: Duration) -> Self {
        Self { at_first, counts: [0; BUCKETS], shortest: None }
    }

    /// A talk burst begins: its clock is another one, and what was before counts half.
    pub(super) fn begin(&mut self) {
        self.shortest = None;
        if self.counts.iter().sum::<u64>() > KNOWN * 50 {
            self.counts.iter_mut().for_each(|count| *count = *count * REMEMBERED / 2);
        }
    }

    /// A packet came then that was spoken so long after the first.
    pub(super) fn note(&mut self, came: Duration, spoken: Duration) {
        let way = came.as_nanos().cast_signed() - spoken.as_nanos().cast_signed();
        let shortest = *self.shortest.get_or_insert(way);
        self.shortest = Some(shortest.min(way));
        let longer = u128::try_from(way - shortest).unwrap_or(0);
        let bucket = usize::try_from(longer / BUCKET.as_nanos()).unwrap_or(BUCKETS).min(BUCKETS - 1);
        self.counts[bucket] += 1;
    }

    /// How much later than the quickest almost all packets come.
    pub(super) fn spread(&self) -> Duration {
        let total: u64 = self.counts.iter().sum();
        if total < KNOWN {
            return self.at_first;
        }
        let mut so_far = 0;
        let within = self.counts.iter().take_while(|count| {
            let before = so_far;
            so_far += **count;
            before * 100 < total * IN_TIME
        });
        BUCKET * u32::try_from(within.count()).unwrap_or(0)
    }
}
