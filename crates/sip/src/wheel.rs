//! Deadlines of many machines, at a flat cost from a thousand to a million: a hierarchical timing wheel.
//!
//! Six levels of 64 slots; a slot of the lowest is one millisecond. Arming, disarming and moving are O(1); a deadline
//! is moved at most five times before it is due. [`Wheel::next`] may name a moment before the earliest deadline (the
//! start of a coarse slot), never one after it.

use slab::Slab;

use crate::time::{Duration, Instant};

const LEVELS: usize = 6;
const SLOTS: usize = 64;

/// An armed deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimerId(u32);

#[derive(Clone, Debug)]
struct Entry<K> {
    key: K,
    tick: u64,
    /// Level and slot.
    place: (u8, u8),
    previous: u32,
    next: u32,
}

/// Stands where there is no entry: [`Option`] would double what an entry takes.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Slot {
    first: u32,
    last: u32,
}

const EMPTY: Slot = Slot { first: NONE, last: NONE };

/// Armed deadlines, each with the key of its owner.
#[derive(Clone, Debug)]
pub struct Wheel<K> {
    /// Every tick up to and including this one has been taken.
    now: u64,
    entries: Slab<Entry<K>>,
    slots: Vec<[Slot; SLOTS]>,
    occupied: [u64; LEVELS],
}

/// The tick at or after `at`: a deadline is never taken early.
fn tick_of(at: Instant) -> u64 {
    at.since_start().as_micros().div_ceil(1000) as u64
}

impl<K: Copy> Default for Wheel<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Copy> Wheel<K> {
    /// A wheel on which nothing is armed.
    pub fn new() -> Self {
        Self { now: 0, entries: Slab::new(), slots: vec![[EMPTY; SLOTS]; LEVELS], occupied: [0; LEVELS] }
    }

    /// Arms a deadline at `at`, or just after the last moment given to [`Wheel::take`] if that is later.
    pub fn arm(&mut self, key: K, at: Instant) -> TimerId {
        let tick = tick_of(at).max(self.now + 1);
        let entry = Entry { key, tick, place: (0, 0), previous: NONE, next: NONE };
        let id = u32::try_from(self.entries.insert(entry)).expect("fewer than 2^32 deadlines");
        self.link(id);
        TimerId(id)
    }

    /// Disarms a deadline that has not been taken.
    pub fn disarm(&mut self, timer: TimerId) {
        self.unlink(timer.0);
        self.entries.remove(timer.0 as usize);
    }

    /// A moment at or before the earliest deadline, and later than the last one given to [`Wheel::take`].
    pub fn next(&self) -> Option<Instant> {
        let tick = (0..LEVELS).filter_map(|level| self.next_tick(level)).min()?;
        Some(Instant::at(Duration::from_millis(tick)))
    }

    /// Takes one key whose deadline has come by `at`, in order of deadline, then of arming. Call until `None`.
    pub fn take(&mut self, at: Instant) -> Option<K> {
        let until = (at.since_start().as_micros() / 1000) as u64;
        loop {
            // The earliest; among equals the coarsest, so that its entries are in place before the finest is taken.
            let slots = (0..LEVELS).filter_map(|level| Some((self.next_tick(level)?, level)));
            let earliest = slots.min_by_key(|(tick, level)| (*tick, LEVELS - level));
            let Some((tick, level)) = earliest.filter(|(tick, _)| *tick <= until) else {
                self.now = self.now.max(until);
                return None;
            };
            self.now = self.now.max(tick.saturating_sub(1));
            let index = slot_index(tick, level);
            while let id = self.slots[level][index].first
                && id != NONE
            {
                self.unlink(id);
                if level == 0 {
                    return Some(self.entries.remove(id as usize).key);
                }
                self.link(id);
            }
        }
    }

    /// Whether nothing is armed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The tick at which the first occupied slot of `level` begins.
    fn next_tick(&self, level: usize) -> Option<u64> {
        let shift = 6 * level as u32;
        let from = (self.now + 1) >> shift;
        let turned = self.occupied[level].rotate_right((from % SLOTS as u64) as u32);
        if turned == 0 {
            return None;
        }
        let slot = from + u64::from(turned.trailing_zeros());
        Some((slot << shift).max(self.now + 1))
    }

    fn link(&mut self, id: u32) {
        let tick = self.entries[id as usize].tick;
        let base = self.now + 1;
        // The lowest level in whose current turn the tick lies.
        let level =
            (0..LEVELS - 1).find(|level| (tick >> (6 * level)) - (base >> (6 * level)) < SLOTS as u64);
        let level = level.unwrap_or(LEVELS - 1);
        // Beyond the last level's reach (two years) the entry waits in its furthest slot and is linked again there.
        let shift = 6 * level as u32;
        let reach = ((base >> shift) + SLOTS as u64 - 1) << shift;
        let index = slot_index(tick.min(reach), level);
        let slot = &mut self.slots[level][index];
        let last = std::mem::replace(&mut slot.last, id);
        match last {
            NONE => slot.first = id,
            last => self.entries[last as usize].next = id,
        }
        let entry = &mut self.entries[id as usize];
        (entry.place, entry.previous, entry.next) = ((level as u8, index as u8), last, NONE);
        self.occupied[level] |= 1 << index;
    }

    fn unlink(&mut self, id: u32) {
        let Entry { place: (level, index), previous, next, .. } = self.entries[id as usize];
        let (level, index) = (usize::from(level), usize::from(index));
        match previous {
            NONE => self.slots[level][index].first = next,
            previous => self.entries[previous as usize].next = next,
        }
        match next {
            NONE => self.slots[level][index].last = previous,
            next => self.entries[next as usize].previous = previous,
        }
        if self.slots[level][index].first == NONE {
            self.occupied[level] &= !(1 << index);
        }
    }
}

fn slot_index(tick: u64, level: usize) -> usize {
    ((tick >> (6 * level)) % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn ms(value: u64) -> Instant {
        Instant::at(Duration::from_millis(value))
    }

    proptest! {
        /// The reference is an ordered set of (deadline, order of arming).
        #[test]
        fn the_wheel_agrees_with_an_ordered_set(
            steps in prop::collection::vec((0u8..4, 0u64..200_000_000, 0u64..90_000), 1..200)
        ) {
            let (mut wheel, mut model, mut armed) = (Wheel::new(), BTreeSet::new(), Vec::new());
            let mut now = 0;
            for (order, (what, far, near)) in steps.into_iter().enumerate() {
                match what {
                    0 | 1 => {
                        let at = if what == 0 { now + near } else { now + far };
                        model.insert((at.max(now + 1), order));
                        armed.push((order, at.max(now + 1), wheel.arm(order, ms(at))));
                    }
                    2 if !armed.is_empty() => {
                        let (order, at, id) = armed.swap_remove(far as usize % armed.len());
                        wheel.disarm(id);
                        model.remove(&(at, order));
                    }
                    _ => {
                        now += near;
                        let due: Vec<_> = std::iter::from_fn(|| wheel.take(ms(now))).collect();
                        let expected: Vec<_> = model.iter().take_while(|(at, _)| *at <= now).copied().collect();
                        let mut got = due.clone();
                        got.sort_unstable();
                        let mut wanted: Vec<_> = expected.iter().map(|(_, order)| *order).collect();
                        wanted.sort_unstable();
                        prop_assert_eq!(got, wanted);
                        for pair in expected {
                            model.remove(&pair);
                        }
                        armed.retain(|(order, ..)| !due.contains(order));
                    }
                }
                let first = model.first().map(|(at, _)| ms(*at));
                prop_assert_eq!(wheel.next().is_some(), first.is_some());
                prop_assert!(wheel.next() <= first);
                prop_assert!(wheel.next().is_none_or(|next| next > ms(now)));
                prop_assert_eq!(wheel.is_empty(), model.is_empty());
            }
        }
    }

    #[test]
    fn a_deadline_between_two_ticks_is_not_taken_early() {
        let mut wheel = Wheel::new();
        wheel.arm('a', Instant::at(Duration::from_micros(1500)));
        assert_eq!(wheel.take(Instant::at(Duration::from_micros(1999))), None);
        assert_eq!(wheel.take(ms(2)), Some('a'));
        assert_eq!(wheel.take(ms(2)), None);
    }
}
