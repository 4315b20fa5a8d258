//! The requests that wait: user-plane digest 6.2.

use crate::talk_burst::{NtpTimestamp, Position, Priority};

/// Who waits. In the order in which they are granted, one entry a participant.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Queue(Vec<Entry>);

/// A request that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) key: usize,
    pub(super) priority: Priority,
    /// When the user asked, if the client says so and that was agreed.
    pub(super) timestamp: Option<NtpTimestamp>,
    /// Whether somebody is revoked for it (g27): then it stays the first.
    is_pre_emptor: bool,
}

impl Entry {
    pub(super) const fn new(key: usize, priority: Priority, timestamp: Option<NtpTimestamp>) -> Self {
        Self { key, priority, timestamp, is_pre_emptor: false }
    }

    /// The higher priority goes first; of equal ones the earlier timestamp, and the earlier arrival if either has none.
    fn overtakes(&self, other: &Self) -> bool {
        if other.is_pre_emptor || self.priority != other.priority {
            return !other.is_pre_emptor && self.priority > other.priority;
        }
        match (self.timestamp, other.timestamp) {
            // RFC 3550 §4: the seconds begin again with 0 in 2036, so the nearer way round the circle counts.
            (Some(own), Some(others)) => own.0.wrapping_sub(others.0) > u64::MAX / 2,
            (Some(_) | None, _) => false,
        }
    }
}

impl Queue {
    /// Puts an entry where it belongs: from behind, it passes all that it overtakes.
    pub(super) fn insert(&mut self, entry: Entry) {
        let at = self.0.iter().rposition(|other| !entry.overtakes(other)).map_or(0, |other| other + 1);
        self.0.insert(at, entry);
    }

    /// g27: before all others.
    pub(super) fn insert_pre_emptor(&mut self, entry: Entry) {
        self.remove(entry.key);
        self.0.insert(0, Entry { is_pre_emptor: true, ..entry });
    }

    /// A further request of who waits makes no further entry; it may raise the priority. Whether somebody of this key waits.
    pub(super) fn raise(&mut self, key: usize, priority: Priority) -> bool {
        let Some(at) = self.0.iter().position(|entry| entry.key == key) else { return false };
        if self.0[at].priority < priority {
            let entry = self.0.remove(at);
            self.insert(Entry { priority, ..entry });
        }
        true
    }

    /// The next to be granted.
    pub(super) fn take_first(&mut self) -> Option<Entry> {
        if self.0.is_empty() {
            return None;
        }
        let first = self.0.remove(0);
        self.shrink();
        Some(first)
    }

    pub(super) fn remove(&mut self, key: usize) {
        self.0.retain(|entry| entry.key != key);
        self.shrink();
    }

    /// Few sessions have a queue at any moment: those without one keep nothing for it.
    fn shrink(&mut self) {
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// User-plane digest 4.10: 1 is next to be granted.
    pub(super) fn position_of(&self, key: usize) -> (Priority, Position) {
        let Some(at) = self.0.iter().position(|entry| entry.key == key) else {
            return (Priority::None, Position::NotQueued);
        };
        let place = u16::try_from(at + 1).ok().filter(|place| *place < u16::MAX);
        (self.0[at].priority, place.map_or(Position::Unknown, Position::Place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(entries: &[(usize, Priority, Option<u64>)]) -> Vec<usize> {
        let mut queue = Queue::default();
        for (key, priority, timestamp) in entries {
            queue.insert(Entry::new(*key, *priority, timestamp.map(NtpTimestamp)));
        }
        std::iter::from_fn(|| queue.take_first()).map(|entry| entry.key).collect()
    }

    #[test]
    fn the_higher_priority_goes_first_and_of_equal_ones_the_first_that_came() {
        use Priority::{High, Normal, PreEmptive};
        let entries =
            [(1, Normal, None), (2, High, None), (3, Normal, None), (4, PreEmptive, None), (5, High, None)];
        assert_eq!(queue(&entries), [4, 2, 5, 1, 3]);
    }

    #[test]
    fn of_equal_priorities_the_earlier_press_goes_first_where_both_tell_it() {
        use Priority::{High, Normal};
        assert_eq!(queue(&[(1, Normal, Some(30)), (2, Normal, Some(10)), (3, Normal, Some(20))]), [2, 3, 1]);
        assert_eq!(queue(&[(1, Normal, Some(30)), (2, Normal, None), (3, Normal, Some(20))]), [1, 2, 3]);
        assert_eq!(queue(&[(1, High, Some(30)), (2, Normal, Some(10))]), [1, 2]);
    }

    #[test]
    fn the_seconds_may_begin_again_between_two_presses() {
        use Priority::Normal;
        assert_eq!(queue(&[(1, Normal, Some(5)), (2, Normal, Some(u64::MAX - 5))]), [2, 1]);
    }

    #[test]
    fn nobody_overtakes_who_is_waited_for() {
        let mut queue = Queue::default();
        queue.insert_pre_emptor(Entry::new(1, Priority::PreEmptive, Some(NtpTimestamp(30))));
        queue.insert(Entry::new(2, Priority::PreEmptive, Some(NtpTimestamp(10))));
        assert_eq!(queue.position_of(1), (Priority::PreEmptive, Position::Place(1)));
    }

    #[test]
    fn a_further_request_raises_the_priority_and_never_lowers_it() {
        let mut queue = Queue::default();
        queue.insert(Entry::new(1, Priority::Normal, None));
        queue.insert(Entry::new(2, Priority::Normal, None));
        assert!(
            queue.raise(2, Priority::High)
                && queue.raise(2, Priority::Normal)
                && !queue.raise(3, Priority::High)
        );
        assert_eq!(queue.len(), 2);
        assert_eq!(queue.position_of(2), (Priority::High, Position::Place(1)));
        assert_eq!(queue.position_of(3), (Priority::None, Position::NotQueued));
    }
}
