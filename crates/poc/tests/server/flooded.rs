//! Media that are not as they should be: gated, counted, and nothing else changes.

use std::net::SocketAddr;

use bytes::Bytes;
use poc::media::Stream;
use poc::talk_burst::{Message, Packet};
use rtp_types::RtpPacketBuilder;

use crate::stage::{Stage, ms};
use crate::talking::{Talking, chat, control_of, frame, request, rtp, speech_of, words};

/// Anna speaks: packets 1 and 2.
fn anna_speaks() -> Stage {
    let mut stage = chat();
    stage.say(1, request());
    stage.speak(1, 1);
    stage.speak(1, 2);
    stage.heard();
    stage
}

fn rtp_at(timestamp: u32, sequence: u16) -> Bytes {
    let speech = frame();
    let packet = RtpPacketBuilder::<&[u8], &[u8]>::new()
        .payload_type(97)
        .sequence_number(sequence)
        .timestamp(timestamp)
        .ssrc(1)
        .payload(&speech[..]);
    Bytes::from(packet.write_vec().expect("a packet"))
}

/// What she says next is heard, and the talk burst ends as any other.
fn anna_goes_on(mut stage: Stage) {
    stage.speak(1, 3);
    assert_eq!(words(&stage.heard()), [(2, "speech 3"), (3, "speech 3"), (4, "speech 3")]);
    stage.say(1, Message::Release { last: Some(3) });
    assert_eq!(words(&stage.heard()), [1, 2, 3, 4].map(|place| (place, "Talk Burst Idle")));
    assert_eq!(stage.server.media_counters().speech, 3);
}

#[test]
fn a_timestamp_that_jumps_is_heard_by_nobody_and_counted() {
    let mut stage = anna_speaks();
    for (count, timestamp) in (1..).zip([1 << 30, u32::MAX, 0]) {
        stage.media(0, Stream::Speech, speech_of(1), rtp_at(timestamp, 3));
        assert_eq!(stage.heard(), []);
        assert_eq!(stage.server.media_counters().jumped, count);
    }
    anna_goes_on(stage);
}

/// T1 counts what is heard.
#[test]
fn timestamps_that_jump_keep_no_talk_burst() {
    let mut stage = anna_speaks();
    for number in 0..41_u32 {
        stage.media(0, Stream::Speech, speech_of(1), rtp_at(number << 30, 3));
        stage.pass(ms(100));
    }
    let heard = stage.heard();
    let idle = heard.iter().filter(|(_, said)| said == "Talk Burst Idle").map(|(place, _)| *place);
    assert_eq!(idle.collect::<Vec<_>>(), [1, 2, 3, 4], "{heard:?}");
}

/// Each talk burst may begin anywhere.
#[test]
fn the_timestamps_of_another_talk_burst_are_not_those_of_the_one_before() {
    let mut stage = anna_speaks();
    stage.say(1, Message::Release { last: Some(2) });
    stage.say(1, request());
    stage.heard();
    stage.media(0, Stream::Speech, speech_of(1), rtp_at(1 << 30, 3));
    assert_eq!(stage.heard().len(), 3);
    assert_eq!(stage.server.media_counters().jumped, 0);
}

#[test]
fn speech_of_another_source_in_a_talk_burst_is_heard_by_nobody_and_counted() {
    let mut stage = anna_speaks();
    for sequence in 3..10 {
        stage.media(0, Stream::Speech, speech_of(1), rtp(9, sequence, 97, &frame()));
    }
    assert_eq!(stage.heard(), []);
    assert_eq!(stage.server.media_counters().gated, 7);
    // Nor does it end the talk burst in its own name.
    let release = Packet { ssrc: 9, message: Message::Release { last: None } }.write().unwrap();
    stage.media(0, Stream::Control, control_of(1), release);
    assert_eq!(stage.heard(), []);
    anna_goes_on(stage);
}

#[test]
fn a_flood_without_a_grant_is_counted_and_answered_once() {
    let mut stage = anna_speaks();
    for sequence in 0..1000 {
        stage.speak(2, sequence);
    }
    assert_eq!(words(&stage.heard()), [(2, "Talk Burst Revoke")], "u12, u50");
    assert_eq!(stage.server.media_counters().gated, 1000);
    anna_goes_on(stage);
}

#[test]
fn talk_burst_control_that_is_cut_off_too_long_or_from_elsewhere_is_counted() {
    let mut stage = anna_speaks();
    let release = Packet { ssrc: 1, message: Message::Release { last: None } }.write().unwrap();
    let malformed = (4..release.len()).map(|length| release.slice(..length));
    let malformed: Vec<_> =
        malformed.chain([Bytes::from(vec![0x80; 65_507]), Bytes::from(vec![0; 65_507])]).collect();
    let count = malformed.len() as u64;
    for bytes in malformed {
        stage.media(0, Stream::Control, control_of(1), bytes);
    }
    assert_eq!(stage.server.media_counters().malformed, count);
    // A datagram of as many octets that begins as one of hers, and goes on with nothing.
    let whole = [&rtp(1, 3, 97, &frame())[..], &vec![0; 65_507]].concat();
    stage.media(0, Stream::Speech, speech_of(1), Bytes::from(whole));
    assert_eq!(stage.server.media_counters().malformed, count + 1);
    for from in ["198.51.100.7:40002", "192.0.2.9:40002"] {
        let from: SocketAddr = from.parse().unwrap();
        stage.media(0, Stream::Control, from, release.clone());
    }
    assert_eq!(stage.server.media_counters().strangers, 2);
    assert_eq!(stage.heard(), []);
    anna_goes_on(stage);
}

/// User-plane digest 4.6, 10.5: a sender's report behind its Release, in whatever company.
#[test]
fn reports_behind_a_release_are_no_offence_and_change_nothing() {
    let mut stage = anna_speaks();
    stage.say(1, Message::Release { last: Some(2) });
    stage.heard();
    let report = [&[0x80, 200, 0, 6, 0, 0, 0, 1][..], &[0; 20]].concat();
    let description = [0x81, 202, 0, 2, 0, 0, 0, 1, 1, 1, b'a', 0];
    let receiver = [0x80, 201, 0, 1, 0, 0, 0, 1];
    let bye = [0x81, 203, 0, 1, 0, 0, 0, 1];
    for bytes in
        [&report[..], &[&report[..], &description].concat(), &receiver, &[&receiver[..], &bye].concat()]
    {
        stage.media(0, Stream::Control, control_of(1), Bytes::copy_from_slice(bytes));
        assert_eq!(stage.heard(), []);
    }
    let counters = stage.server.media_counters();
    assert_eq!((counters.malformed, counters.gated, counters.strangers), (0, 0, 0));
    stage.say(2, request());
    assert_eq!(stage.heard().len(), 4, "the talk burst is free");
}
