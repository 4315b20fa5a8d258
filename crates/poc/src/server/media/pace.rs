//! Whether the timestamps of a talk burst go on as its sequence numbers and the time do (RFC 3550 §5.1, user-plane digest 10.1).
//!
//! ```text
//!            in step                 out of step            goes on from the one that was out of step
//! nothing    heard, is the last      -                      -
//! a last     heard, is the last      dropped, is astray     heard, is the last
//! ```
//!
//! A timestamp that jumps would put what is said into another place of what the listeners play. Who has begun to count anew, and
//! goes on so, loses one packet.

use std::time::Duration;

use sip::Instant;

/// So much may have waited somewhere, and come at once.
const LATE_MAX: Duration = Duration::from_secs(10);

/// User-plane digest 10.4: the longest packet.
const PACKET_MAX: Duration = Duration::from_millis(400);

/// The numbers of a packet of speech.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Numbers {
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
}

/// How a talk burst has gone on so far.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(in super::super) struct Pace {
    last: Option<Step>,
    astray: Option<Step>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Step {
    numbers: Numbers,
    at: Instant,
}

impl Pace {
    /// Whether a packet is out of step with those that were heard. `clock`: samples a second.
    pub(super) fn is_left_by(&mut self, now: Instant, clock: u32, numbers: Numbers) -> bool {
        let goes_on = |step: Step| step.way_to(numbers) > 0 && step.leads_to(now, clock, numbers);
        let is_in_step = self.last.is_none_or(|last| last.leads_to(now, clock, numbers));
        if is_in_step || self.astray.is_some_and(goes_on) {
            return false;
        }
        self.astray = Some(Step { numbers, at: now });
        true
    }

    /// A packet is heard.
    pub(super) fn hear(&mut self, now: Instant, numbers: Numbers) {
        if self.last.is_none_or(|last| last.way_to(numbers) > 0 || last.numbers.ssrc != numbers.ssrc) {
            *self = Self { last: Some(Step { numbers, at: now }), astray: None };
        }
    }
}

impl Step {
    /// Packets from this one on; less than nothing: it is an older one. Modulo 2^16.
    fn way_to(self, numbers: Numbers) -> i64 {
        i64::from(numbers.sequence.wrapping_sub(self.numbers.sequence).cast_signed())
    }

    fn leads_to(self, now: Instant, clock: u32, numbers: Numbers) -> bool {
        if numbers.ssrc != self.numbers.ssrc {
            return true; // of another source: not for this to say
        }
        let samples =
            |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX) * i64::from(clock) / 1000;
        let way = self.way_to(numbers);
        let advance = i64::from(numbers.timestamp.wrapping_sub(self.numbers.timestamp).cast_signed());
        let most = samples(now.saturating_since(self.at) + LATE_MAX) + way.abs() * samples(PACKET_MAX);
        match way {
            0 => advance == 0,
            1.. => (0..=most).contains(&advance),
            ..0 => (-most..=0).contains(&advance),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: u32 = 8000;
    const NONE: [usize; 0] = [];

    /// The talk burst hears of packets, each 20 ms after the one before; which of them are dropped?
    fn dropped(packets: &[(u16, u32)]) -> Vec<usize> {
        let (mut pace, mut now) = (Pace::default(), Instant::START);
        let mut dropped = Vec::new();
        for (place, (sequence, timestamp)) in packets.iter().enumerate() {
            now = now + Duration::from_millis(20);
            let numbers = Numbers { ssrc: 7, sequence: *sequence, timestamp: *timestamp };
            match pace.is_left_by(now, CLOCK, numbers) {
                true => dropped.push(place),
                false => pace.hear(now, numbers),
            }
        }
        dropped
    }

    #[test]
    fn what_goes_on_is_heard_round_the_end_of_both_numbers_and_in_whatever_order() {
        let first = (u16::MAX, u32::MAX - 100);
        assert_eq!(dropped(&[first, (0, 59), (2, 379), (1, 219), (2, 379), (3, 539)]), NONE);
    }

    #[test]
    fn a_timestamp_that_jumps_is_dropped_and_those_behind_it_are_heard() {
        for jump in [10_000_000, u32::MAX / 2, 0_u32.wrapping_sub(1600), u32::MAX / 2 + 9000] {
            assert_eq!(dropped(&[(1, 1600), (2, jump), (3, 1920), (4, 2080)]), [1], "{jump}");
        }
        // The same number with another time.
        assert_eq!(dropped(&[(1, 1600), (1, 1760), (2, 1760)]), [1]);
        // An older packet that would be of later.
        assert_eq!(dropped(&[(2, 1760), (1, 1920), (3, 1920)]), [1]);
    }

    #[test]
    fn who_counts_anew_loses_one_packet() {
        assert_eq!(dropped(&[(1, 1600), (2, 9_000_000), (3, 9_000_160), (4, 9_000_320)]), [1]);
        // Twice the same is no way to go on.
        assert_eq!(dropped(&[(1, 1600), (2, 9_000_000), (2, 9_000_000), (3, 1920)]), [1, 2]);
    }

    #[test]
    fn a_pause_is_as_long_as_the_time_that_has_passed_or_what_may_have_been_late() {
        let samples = |seconds: u32| 1600 + CLOCK * seconds;
        assert_eq!(dropped(&[(1, 1600), (2, samples(10))]), NONE);
        assert_eq!(dropped(&[(1, 1600), (2, samples(11))]), [1]);
        let (mut pace, now) = (Pace::default(), Instant::START);
        pace.hear(now, Numbers { ssrc: 7, sequence: 1, timestamp: 1600 });
        let numbers = Numbers { ssrc: 7, sequence: 2, timestamp: samples(25) };
        assert!(!pace.is_left_by(now + Duration::from_secs(25), CLOCK, numbers));
    }

    #[test]
    fn speech_of_another_source_is_not_judged() {
        let mut pace = Pace::default();
        pace.hear(Instant::START, Numbers { ssrc: 7, sequence: 1, timestamp: 1600 });
        assert!(!pace.is_left_by(
            Instant::START,
            CLOCK,
            Numbers { ssrc: 8, sequence: 9, timestamp: 9_000_000 }
        ));
    }
}
