use proptest::prelude::*;

use super::*;

const CLOCK: u32 = 8000;
const SAMPLES: u32 = 160;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn at(count: u64) -> Instant {
    Instant::at(ms(count))
}

/// A packet of a speaker, by its number: spoken 20 ms after the one before.
fn speech(ssrc: u32, number: u16) -> Speech {
    Speech {
        ssrc,
        sequence: 65_500u16.wrapping_add(number),
        timestamp: (u32::MAX - 1000).wrapping_add(u32::from(number) * SAMPLES),
        is_first: number == 0,
        payload: Bytes::copy_from_slice(&number.to_be_bytes()),
    }
}

fn playout() -> Playout {
    Playout::new(Settings::default(), CLOCK)
}

/// What is heard of these packets, each by its number with the moment at which it comes, in milliseconds: a line for each, `.` for
/// what is missing and `_` for silence.
fn hears(playout: &mut Playout, coming: &[(u64, Speech)]) -> Vec<(u64, String)> {
    let mut coming = coming.to_vec();
    coming.sort_by_key(|(at, _)| *at);
    let (mut coming, mut heard) = (coming.into_iter().peekable(), Vec::new());
    let last = 10_000;
    for now in 0..last {
        while let Some((_, speech)) = coming.next_if(|(at, _)| *at <= now) {
            playout.put(at(now), &speech, SAMPLES);
        }
        while let Some(playing) = playout.take(at(now)) {
            let text = match playing {
                Playing::Speech(payload) => u16::from_be_bytes([payload[0], payload[1]]).to_string(),
                Playing::Missing { .. } => ".".to_owned(),
                Playing::Silence { .. } => "_".to_owned(),
            };
            heard.push((now, text));
        }
        if coming.peek().is_none() {
            playout.end();
        }
    }
    heard
}

fn words(heard: &[(u64, String)]) -> String {
    heard.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(" ")
}

fn in_time(numbers: std::ops::Range<u16>) -> Vec<(u64, Speech)> {
    numbers.map(|number| (u64::from(number) * 20, speech(7, number))).collect()
}

#[test]
fn packets_are_heard_in_their_rhythm_so_much_later() {
    let mut playout = playout();
    let heard = hears(&mut playout, &in_time(0..5));
    let expected: Vec<_> = (0..5).map(|number| (80 + number * 20, number.to_string())).collect();
    assert_eq!(heard, expected, "60 ms, and a packet");
    let Counters { received, heard, beginnings, missing, waited, .. } = playout.counters();
    assert_eq!((received, heard, beginnings, missing, waited), (5, 5, 1, 0, 0));
}

#[test]
fn packets_that_overtake_each_other_and_come_twice_are_heard_in_order_and_once() {
    let mut playout = playout();
    let coming: Vec<_> = [(0, 1), (1, 0), (40, 3), (45, 3), (50, 2), (60, 4)]
        .map(|(at, number)| (at, speech(7, number)))
        .to_vec();
    assert_eq!(words(&hears(&mut playout, &coming)), "0 1 2 3 4");
    let counters = playout.counters();
    assert_eq!((counters.reordered, counters.doubled, counters.late), (2, 1, 0));
}

#[test]
fn what_is_lost_is_concealed_and_costs_no_time() {
    let mut playout = playout();
    let mut coming = in_time(0..10);
    coming.retain(|(_, speech)| ![65_503, 65_506, 65_507].contains(&speech.sequence));
    let heard = hears(&mut playout, &coming);
    assert_eq!(words(&heard), "0 1 2 . 4 5 . . 8 9");
    assert_eq!(heard.last().map(|(at, _)| *at), Some(80 + 9 * 20));
    let counters = playout.counters();
    assert_eq!((counters.missing, counters.concealed), (3, 480));
}

#[test]
fn what_was_not_said_is_silence_and_nothing_is_missing() {
    let mut playout = playout();
    let mut coming = in_time(0..8);
    // The speaker is silent for 40 ms: the numbers go on, the time too.
    coming.retain(|(_, speech)| ![65_503, 65_504].contains(&speech.sequence));
    coming.iter_mut().skip(3).for_each(|(_, speech)| speech.sequence -= 2);
    assert_eq!(words(&hears(&mut playout, &coming)), "0 1 2 _ _ 5 6 7");
    assert_eq!(playout.counters().missing, 0);
}

#[test]
fn where_nothing_is_there_in_time_the_listener_waits_and_misses_nothing() {
    let mut playout = playout();
    let mut coming = in_time(0..10);
    coming.iter_mut().skip(4).for_each(|(at, _)| *at += 100);
    let heard = hears(&mut playout, &coming);
    assert_eq!(words(&heard), "0 1 2 3 . 4 5 6 7 8 9");
    let counters = playout.counters();
    assert_eq!((counters.waited, counters.missing, counters.late), (160, 0, 0));
}

#[test]
fn nobody_waits_longer_than_the_greatest_delay() {
    let mut playout = playout();
    let mut coming = in_time(0..3);
    coming.push((1900, speech(7, 3)));
    let heard = hears(&mut playout, &coming);
    assert_eq!(playout.counters().waited / 8, 420, "from 80 ms to 500 ms");
    assert_eq!(heard.last(), Some(&(1980, "3".to_owned())), "and what comes then begins anew");
    assert_eq!(playout.counters().beginnings, 2);
}

#[test]
fn another_speaker_begins_anew_and_the_first_is_heard_to_the_end() {
    let mut playout = playout();
    let mut coming = in_time(0..3);
    coming.extend((0..3).map(|number| (60 + u64::from(number) * 20, speech(9, number + 20_000))));
    assert_eq!(words(&hears(&mut playout, &coming)), "0 1 2 20000 20001 20002");
    let counters = playout.counters();
    assert_eq!(
        (counters.beginnings, counters.missing, counters.late),
        (2, 0, 0),
        "and nothing is lost between"
    );
}

#[test]
fn the_delay_of_a_talk_burst_is_that_of_the_packets_before_it() {
    let delay = |spread: u64| {
        let mut playout = playout();
        let burst = (0..200u16)
            .map(|number| (u64::from(number) * 20 + u64::from(number % 7) * spread / 6, speech(7, number)));
        hears(&mut playout, &burst.collect::<Vec<_>>());
        playout.put(at(20_000), &speech(8, 0), SAMPLES);
        playout.delay().map(|delay| delay.as_millis())
    };
    assert_eq!([0, 30, 120, 5000].map(delay), [Some(40), Some(55), Some(145), Some(500)]);
}

#[test]
fn a_speaker_whose_clock_jumps_is_heard_from_there() {
    let mut playout = playout();
    let mut coming = in_time(0..3);
    let jumped = |number| Speech { timestamp: 5_000_000 + u32::from(number) * SAMPLES, ..speech(7, number) };
    coming.extend((3..6).map(|number| (u64::from(number) * 20, jumped(number))));
    assert_eq!(words(&hears(&mut playout, &coming)), "0 1 2 3 4 5");
}

proptest! {
    #[test]
    fn whatever_comes_no_packet_is_heard_twice_or_out_of_order_and_memory_is_bounded(
        coming in prop::collection::vec((0..3000u64, 0..3u32, any::<u16>(), any::<bool>()), 0..600),
        ends in prop::collection::vec(0..3000u64, 0..4),
    ) {
        let mut playout = playout();
        let mut coming = coming;
        coming.sort_unstable_by_key(|(at, ..)| *at);
        let mut coming = coming.into_iter().peekable();
        let mut heard = 0u64;
        for now in 0..3600 {
            while let Some((_, ssrc, number, is_near)) = coming.next_if(|(at, ..)| *at <= now) {
                let number = if is_near { (now / 20) as u16 + number % 8 } else { number };
                playout.put(at(now), &speech(ssrc, number), SAMPLES);
            }
            if ends.contains(&now) {
                playout.end();
            }
            let mut at_once = 0;
            while let Some(playing) = playout.take(at(now)) {
                heard += u64::from(matches!(playing, Playing::Speech(_)));
                at_once += 1;
                prop_assert!(at_once < 20_000, "it comes to an end");
            }
            prop_assert!(playout.bursts.len() <= 2);
            prop_assert!(playout.bursts.iter().all(|burst| burst.waiting.len() <= WAITING_MAX));
        }
        let counters = playout.counters();
        prop_assert_eq!(counters.heard, heard);
        prop_assert!(heard + counters.doubled + counters.late <= counters.received);
    }
}
