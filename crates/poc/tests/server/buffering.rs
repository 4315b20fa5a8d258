//! What is said before anybody has accepted: kept, heard by those who come, and by nobody after a cancel (user-plane digest 10.6).

use poc::media::Stream;
use poc::server::Config;
use poc::talk_burst::Message;
use sip::Message as Sip;

use crate::stage::{Call, Stage, ms};
use crate::talking::{Talking, request, rtp, sdp, speech_of, words};

const ANNA: &str = "sip:anna@home1.example";
const BEN: &str = "sip:ben@home1.example";
const CARA: &str = "sip:cara@home1.example";

/// Anna (1) is answered early: Ben (2) is still being asked.
fn early() -> (Stage, Call, Sip) {
    early_with(|_| {})
}

/// The same at a server that has been told this besides.
pub(crate) fn early_with(change: impl FnOnce(&mut Config)) -> (Stage, Call, Sip) {
    let mut stage = Stage::with(|config| {
        config.early_answer = true;
        change(config);
    });
    let call = Call::originating(ANNA, BEN).with_body(&sdp(1));
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer_saying(&ben, 183, "P-Answer-State: Unconfirmed\r\n", "");
    let ok = stage.established(&call);
    (stage, call, ok)
}

/// Ben and Cara (3) are still being asked.
fn early_of_three() -> Stage {
    let mut stage = Stage::with(|config| config.early_answer = true);
    let call = Call::listing(ANNA, &[BEN, CARA]);
    let body = call.body().replace("192.0.2.77", "192.0.2.1");
    stage.invite(&call.clone().with_body(&body));
    let ben = stage.leg("ben");
    stage.answer_saying(&ben, 183, "P-Answer-State: Unconfirmed\r\n", "");
    stage.established(&call);
    assert_eq!(words(&stage.heard()), [(1, "Talk Burst Granted")]);
    stage
}

fn accepts(stage: &mut Stage, user: &str, place: u8) {
    let leg = stage.leg(user);
    stage.answer_saying(&leg, 200, "", &sdp(place));
}

/// Anna says so many packets, from this number on, each 20 ms after the other.
fn speaks(stage: &mut Stage, numbers: std::ops::Range<u16>) {
    for number in numbers {
        stage.speak(1, number);
        stage.pass(ms(20));
    }
}

/// What is heard in a span, and after how many milliseconds.
fn hears(stage: &mut Stage, span: u64) -> Vec<(u64, u8, String)> {
    let mut heard = Vec::new();
    for after in 0..span {
        heard.extend(stage.heard().into_iter().map(|(place, text)| (after, place, text)));
        stage.pass(ms(1));
    }
    heard
}

fn brief(heard: &[(u64, u8, String)]) -> Vec<(u64, u8, &str)> {
    heard.iter().map(|(after, place, text)| (*after, *place, text.as_str())).collect()
}

#[test]
fn the_first_words_are_heard_in_order_and_spacing_and_then_the_state() {
    let (mut stage, call, ok) = early();
    assert_eq!(words(&stage.heard()), [(1, "Talk Burst Granted")]);
    stage.pass(ms(100));
    speaks(&mut stage, 1..3);
    stage.pass(ms(30));
    stage.speak(1, 3);
    stage.say(1, Message::Release { last: Some(3) });
    assert_eq!(words(&stage.heard()), [(1, "Talk Burst Idle")]);
    stage.pass(ms(300));
    assert_eq!(stage.census().buffered, 3);
    accepts(&mut stage, "ben", 2);
    let heard = hears(&mut stage, 200);
    assert_eq!(
        brief(&heard),
        [
            (0, 2, "Talk Burst Taken"),
            (0, 2, "speech 1"),
            (20, 2, "speech 2"),
            (70, 2, "speech 3"),
            (70, 2, "Talk Burst Idle"),
        ]
    );
    assert_eq!(stage.census().buffered, 0);
    stage.bye(&call, &ok);
    let ben = stage.leg("ben");
    stage.answer_all(&ben, "BYE", 200);
    stage.ends_with(1);
}

#[test]
fn who_comes_while_somebody_speaks_hears_all_of_it_so_much_later() {
    let (mut stage, ..) = early();
    stage.heard();
    speaks(&mut stage, 1..3);
    stage.pass(ms(460));
    accepts(&mut stage, "ben", 2);
    speaks(&mut stage, 3..5);
    stage.say(1, Message::Release { last: Some(4) });
    let heard = stage.heard();
    assert_eq!(
        words(&heard),
        [(2, "Talk Burst Taken"), (2, "speech 1"), (2, "speech 2"), (1, "Talk Burst Idle")],
        "the talker does not wait for who is late"
    );
    let heard = hears(&mut stage, 800);
    assert_eq!(brief(&heard), [(460, 2, "speech 3"), (480, 2, "speech 4"), (480, 2, "Talk Burst Idle")]);
    stage.say(1, request());
    stage.heard();
    stage.speak(1, 5);
    assert_eq!(words(&stage.heard()), [(2, "speech 5")], "and is not late any more");
}

#[test]
fn a_pause_between_talk_bursts_makes_good_what_was_late() {
    let (mut stage, ..) = early();
    speaks(&mut stage, 1..3);
    stage.pass(ms(100));
    accepts(&mut stage, "ben", 2);
    stage.heard();
    stage.say(1, Message::Release { last: Some(2) });
    stage.say(1, request());
    stage.speak(1, 3);
    assert_eq!(words(&stage.heard()), [(1, "Talk Burst Idle"), (1, "Talk Burst Granted")]);
    let heard = hears(&mut stage, 100);
    assert_eq!(brief(&heard), [(20, 2, "speech 2"), (20, 2, "Talk Burst Taken"), (20, 2, "speech 3")]);
}

#[test]
fn the_second_who_comes_hears_the_first_words_too() {
    let mut stage = early_of_three();
    speaks(&mut stage, 1..3);
    accepts(&mut stage, "ben", 2);
    speaks(&mut stage, 3..4);
    stage.heard();
    accepts(&mut stage, "cara", 3);
    stage.say(1, Message::Release { last: Some(3) });
    let heard = hears(&mut stage, 200);
    let of = |place| -> Vec<_> {
        heard.iter().filter(|each| each.1 == place).map(|each| (each.0, &each.2[..])).collect()
    };
    assert_eq!(of(2), [(20, "speech 3"), (20, "Talk Burst Idle")]);
    let cara = [
        (0, "Talk Burst Taken"),
        (0, "speech 1"),
        (20, "speech 2"),
        (40, "speech 3"),
        (40, "Talk Burst Idle"),
    ];
    assert_eq!(of(3), cara);
    assert_eq!(stage.census().buffered, 0);
}

#[test]
fn who_comes_when_the_first_words_were_heard_and_are_over_hears_no_old_ones() {
    let mut stage = early_of_three();
    speaks(&mut stage, 1..3);
    accepts(&mut stage, "ben", 2);
    stage.say(1, Message::Release { last: Some(2) });
    stage.pass(ms(500));
    assert_eq!(stage.census().buffered, 0);
    stage.heard();
    accepts(&mut stage, "cara", 3);
    assert_eq!(words(&stage.heard()), [(3, "Talk Burst Idle")]);
    stage.say(1, request());
    stage.heard();
    stage.speak(1, 3);
    assert_eq!(words(&stage.heard()), [(2, "speech 3"), (3, "speech 3")]);
}

#[test]
fn who_is_granted_the_talk_burst_listens_no_more() {
    let (mut stage, ..) = early();
    speaks(&mut stage, 1..9);
    accepts(&mut stage, "ben", 2);
    stage.say(1, Message::Release { last: Some(8) });
    stage.heard();
    stage.say(2, request());
    assert_eq!(words(&stage.heard()), [(2, "Talk Burst Granted"), (1, "Talk Burst Taken")]);
    stage.speak(2, 1);
    assert_eq!(words(&stage.heard()), [(1, "speech 1")]);
    stage.pass(ms(500));
    assert!(stage.heard().is_empty());
    assert_eq!(stage.census().buffered, 0);
}

/// Case 1 of the founding list: at each moment the cancel of an answered INVITE is a BYE, and nobody hears a ghost first syllable.
#[test]
fn nobody_hears_a_ghost_first_syllable() {
    for moment in 0..4 {
        let (mut stage, call, ok) = early();
        let ben = stage.leg("ben");
        stage.heard();
        if moment > 0 {
            speaks(&mut stage, 1..9);
        }
        if moment == 2 {
            stage.say(1, Message::Release { last: Some(8) });
            stage.heard();
        }
        if moment == 3 {
            accepts(&mut stage, "ben", 2);
            assert_eq!(words(&stage.heard()), [(2, "Talk Burst Taken"), (2, "speech 1")]);
        }
        stage.bye(&call, &ok);
        assert_eq!(stage.census().buffered, 0, "at moment {moment}");
        if moment < 3 {
            // The 200 that crosses the CANCEL.
            accepts(&mut stage, "ben", 2);
        }
        stage.speak(1, 9);
        assert!(hears(&mut stage, 400).is_empty(), "at moment {moment}");
        stage.answer_all(&ben, "BYE", 200);
        stage.ends_with(1);
    }
}

#[test]
fn if_nobody_comes_who_speaks_is_revoked_and_the_session_ends() {
    let (mut stage, call, _) = early();
    speaks(&mut stage, 1..3);
    stage.heard();
    let ben = stage.leg("ben");
    stage.answer(&ben, 486);
    assert_eq!(words(&stage.heard()), [(1, "Talk Burst Revoke")]);
    assert_eq!((stage.census().buffered, stage.server.media_counters().revoked[0]), (0, 1));
    let bye = stage.response(&call, "BYE");
    stage.answer(&bye, 200);
    assert!(hears(&mut stage, 100).is_empty());
    stage.ends_with(1);
}

#[test]
fn no_more_is_kept_than_t2_and_whoever_says_more_is_revoked() {
    let mut stage = Stage::with(|config| {
        config.early_answer = true;
        config.talk_bursts.t2_stop_talking = ms(1000);
        config.talk_bursts.drain = ms(1);
    });
    let call = Call::originating(ANNA, BEN).with_body(&sdp(1));
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer_saying(&ben, 183, "P-Answer-State: Unconfirmed\r\n", "");
    // Two talk bursts, neither of which is too long.
    speaks(&mut stage, 1..31);
    stage.say(1, Message::Release { last: Some(30) });
    stage.say(1, request());
    stage.heard();
    speaks(&mut stage, 31..60);
    assert_eq!(words(&stage.heard()), [(1, "Talk Burst Revoke")]);
    assert_eq!((stage.census().buffered, stage.server.media_counters().revoked[1]), (50, 1));
    accepts(&mut stage, "ben", 2);
    stage.say(1, Message::Release { last: Some(60) });
    let heard = hears(&mut stage, 2000);
    let speech: Vec<_> = heard.iter().filter(|(.., text)| text.starts_with("speech")).collect();
    assert_eq!(speech.len(), 50, "the first words are not the ones that are lost");
    assert_eq!(speech[0].2, "speech 1");
}

#[test]
fn no_more_is_kept_than_there_is_room_for() {
    let mut stage = Stage::with(|config| config.early_answer = true);
    let call = Call::originating(ANNA, BEN).with_body(&sdp(1));
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer_saying(&ben, 183, "P-Answer-State: Unconfirmed\r\n", "");
    stage.heard();
    // Twelve frames in each packet.
    let frames = [vec![0xf0], vec![0x84; 11], vec![0x04], vec![0x55; 12 * 12]].concat();
    let mut kept = 0;
    for number in 0..4000 {
        stage.media(0, Stream::Speech, speech_of(1), rtp(1, number, 97, &frames));
        kept = stage.census().buffered.max(kept);
        stage.pass(ms(1));
    }
    assert_eq!(stage.server.media_counters().malformed, 0);
    assert_eq!(words(&stage.heard())[0], (1, "Talk Burst Revoke"));
    assert!((2000..3000).contains(&kept), "{kept}");
}
