//! Speech on its way to the ear: packets as they come, in the order and rhythm in which they were spoken (user-plane digest 10.1).
//!
//! ```text
//! spoken    1 2 3 4 5 6
//! comes       1   3 2 4 5     6       late, in another order, one not at all
//! heard           1 2 3 4 5 . 6       so much later that most are there in time; what is missing is concealed
//! ```
//!
//! How much later is decided anew for each talk burst, by how the packets before it came. Within a talk burst it only grows: where
//! nothing is there in time the listener waits, and hears what comes then. One who hears half a second later misses nothing, for nobody
//! answers while another speaks.

mod rhythm;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use sip::{Duration, Instant};

use self::rhythm::Rhythm;
use crate::client::Speech;

/// What a listener is told once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// How much later the first talk burst is heard than it comes.
    pub delay_at_first: Duration,
    /// How much later any is heard at least.
    pub delay_min: Duration,
    /// The same at most: what comes later is not heard.
    pub delay_max: Duration,
}

impl Default for Settings {
    /// 60 ms at first; 40 to 500 ms.
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self { delay_at_first: ms(60), delay_min: ms(40), delay_max: ms(500) }
    }
}

/// Packets that wait to be heard, at most; more than any delay holds.
const WAITING_MAX: usize = 256;

/// The longest span within a talk burst in which nothing is said: two packets that are further apart are not of one.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// What is heard next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Playing {
    /// A packet.
    Speech(Bytes),
    /// So many samples that never came, or not in time: something is to be heard that sounds like what was before.
    Missing {
        /// So many.
        samples: u32,
    },
    /// So many samples for which nothing was said.
    Silence {
        /// So many.
        samples: u32,
    },
}

/// What became of the packets, since the beginning.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// Packets that came.
    pub received: u64,
    /// Packets that were heard.
    pub heard: u64,
    /// Packets that came after others that were spoken later.
    pub reordered: u64,
    /// Packets that were there already.
    pub doubled: u64,
    /// Packets that came when it was too late to hear them.
    pub late: u64,
    /// Packets that were never there when they were to be heard; those that came late are among them.
    pub missing: u64,
    /// Samples that were concealed because packets were missing.
    pub concealed: u64,
    /// Samples for which was waited, and which were concealed, because nothing was there.
    pub waited: u64,
    /// Speakers, and beginnings of talk bursts, for which everything began anew.
    pub beginnings: u64,
    /// Those of which something has been heard.
    pub begun: u64,
}

/// What a listener hears of one session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Playout {
    settings: Settings,
    /// Samples a second.
    clock: u32,
    rhythm: Rhythm,
    /// The talk burst that is heard, and the one that has begun before that is over.
    bursts: VecDeque<Burst>,
    counters: Counters,
}

/// One talk burst.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Burst {
    ssrc: u32,
    /// The timestamp of the first packet that came: places are counted from there, in samples.
    base: u32,
    /// When what has place 0 is heard.
    begins: Instant,
    /// How much later than it came that is.
    delay: Duration,
    /// The place of what is heard next.
    next: i64,
    /// Whether any of it has been heard.
    is_heard: bool,
    /// The sequence number of what was heard last.
    last: Option<u16>,
    /// Samples of a packet.
    step: u32,
    waiting: BTreeMap<i64, Waiting>,
    /// The place of what came last.
    newest: i64,
    /// Nothing more comes.
    is_over: bool,
    /// Everything that is there has been heard, and too long ago: the next packet begins anew.
    is_dry: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Waiting {
    sequence: u16,
    samples: u32,
    payload: Bytes,
}

impl Playout {
    /// Nothing has come yet. `clock`: samples a second, above 0.
    pub fn new(settings: Settings, clock: u32) -> Self {
        let rhythm = Rhythm::new(settings.delay_at_first);
        Self { settings, clock: clock.max(1), rhythm, bursts: VecDeque::new(), counters: Counters::default() }
    }

    /// What became of the packets.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// How much later than it comes the present talk burst is heard; `None`: there is none.
    pub fn delay(&self) -> Option<Duration> {
        self.bursts.front().map(|burst| burst.delay)
    }

    /// A packet came, and holds so many samples.
    pub fn put(&mut self, now: Instant, speech: &Speech, samples: u32) {
        self.counters.received += 1;
        if samples == 0 {
            return;
        }
        let far = i64::from(self.clock) * SILENCE_MAX.as_secs().cast_signed();
        let found = self.bursts.iter().rposition(|burst| burst.has(speech, far));
        let burst = match found {
            Some(burst) => burst,
            None => self.begin(now, speech, samples),
        };
        let burst = &mut self.bursts[burst];
        let place = burst.place_of(speech.timestamp);
        self.rhythm.note(now.since_start(), span(place, self.clock));
        if place < burst.next && !burst.is_heard {
            // It was overtaken by the first that came.
            burst.next = place;
        }
        if place < burst.next || burst.waiting.len() >= WAITING_MAX {
            self.counters.late += 1;
            return;
        }
        if burst.waiting.contains_key(&place) {
            self.counters.doubled += 1;
            return;
        }
        self.counters.reordered += u64::from(place < burst.newest);
        burst.newest = burst.newest.max(place);
        burst.step = samples;
        let waiting = Waiting { sequence: speech.sequence, samples, payload: speech.payload.clone() };
        burst.waiting.insert(place, waiting);
    }

    /// The talk burst is over: what has come is heard, and then nothing more.
    pub fn end(&mut self) {
        self.bursts.iter_mut().for_each(|burst| burst.is_over = true);
    }

    /// What is heard now; call again until there is nothing.
    pub fn take(&mut self, now: Instant) -> Option<Playing> {
        let (clock, delay_max) = (self.clock, self.settings.delay_max);
        // Who spoke before is heard to the end.
        while self.bursts.len() > 1 && self.bursts[0].waiting.is_empty() {
            self.bursts.pop_front();
        }
        let burst = self.bursts.front_mut().filter(|burst| !burst.is_dry && burst.due(clock) <= now)?;
        self.counters.begun += u64::from(!std::mem::replace(&mut burst.is_heard, true));
        let Some((place, waiting)) =
            burst.waiting.first_key_value().map(|(place, waiting)| (*place, waiting))
        else {
            if burst.is_over || burst.delay >= delay_max {
                burst.is_dry = true;
                return None;
            }
            // Nothing is lost yet: it is heard later.
            let samples = burst.step;
            let wait = span(i64::from(samples), clock);
            (burst.begins, burst.delay) = (burst.begins + wait, burst.delay + wait);
            self.counters.waited += u64::from(samples);
            return Some(Playing::Missing { samples });
        };
        if place > burst.next {
            let samples = u32::try_from(place - burst.next).unwrap_or(u32::MAX).min(burst.step);
            let was_sent = burst.last.is_none_or(|last| last.wrapping_add(1) != waiting.sequence);
            burst.next += i64::from(samples);
            if !was_sent {
                return Some(Playing::Silence { samples });
            }
            self.counters.missing += 1;
            self.counters.concealed += u64::from(samples);
            return Some(Playing::Missing { samples });
        }
        let Waiting { sequence, samples, payload } = burst.waiting.pop_first()?.1;
        burst.last = Some(sequence);
        burst.next = place + i64::from(samples);
        self.counters.heard += 1;
        Some(Playing::Speech(payload))
    }

    /// When something is heard next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.bursts.front().filter(|burst| !burst.is_dry).map(|burst| burst.due(self.clock))
    }

    /// Everything begins anew with this packet; which talk burst that is.
    fn begin(&mut self, now: Instant, speech: &Speech, samples: u32) -> usize {
        self.counters.beginnings += 1;
        let (least, most) = (self.settings.delay_min, self.settings.delay_max);
        self.rhythm.begin();
        // The next packet comes one packet later, whatever the way does.
        let delay = (self.rhythm.spread() + span(i64::from(samples), self.clock)).clamp(least, most);
        self.end();
        self.bursts.retain(|burst| !burst.waiting.is_empty());
        self.bursts.truncate(1);
        self.bursts.push_back(Burst {
            ssrc: speech.ssrc,
            base: speech.timestamp,
            begins: now + delay,
            delay,
            next: 0,
            is_heard: false,
            last: None,
            step: samples,
            waiting: BTreeMap::new(),
            newest: 0,
            is_over: false,
            is_dry: false,
        });
        self.bursts.len() - 1
    }
}

impl Burst {
    /// Whether a packet is of it.
    fn has(&self, speech: &Speech, far: i64) -> bool {
        let after = self.place_of(speech.timestamp) - self.newest;
        self.ssrc == speech.ssrc && after.abs() <= far && (after <= 0 || !(self.is_over || self.is_dry))
    }

    fn place_of(&self, timestamp: u32) -> i64 {
        i64::from(timestamp.wrapping_sub(self.base).cast_signed())
    }

    fn due(&self, clock: u32) -> Instant {
        self.begins + span(self.next, clock)
    }
}

/// How long so many samples take; none if they are before the beginning.
fn span(samples: i64, clock: u32) -> Duration {
    let samples = u64::try_from(samples).unwrap_or(0);
    Duration::from_nanos(samples.saturating_mul(1_000_000_000) / u64::from(clock))
}

#[cfg(test)]
mod tests;
