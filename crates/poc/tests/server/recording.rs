//! What is said, as whoever records it is told.

use poc::amr::Format;
use poc::media::Encoding;
use poc::server::{GroupKind, Recording};
use poc::talk_burst::Message;

use crate::buffering::early_with;
use crate::stage::{Call, Stage, group_of, ms};
use crate::talking::{Talking, frame, request, rtp, sdp};

const ANNA: &str = "sip:anna@home1.example";
const BEN: &str = "sip:ben@home1.example";
const FIELD: &str = "sip:field@home1.example";

fn recording() -> Stage {
    Stage::with(|config| config.is_recording = true)
}

fn chat() -> Stage {
    joined(recording())
}

/// Anna (1) and Ben (2) have joined a chat group.
fn joined(mut stage: Stage) -> Stage {
    stage.put_group(group_of(FIELD, GroupKind::Chat, &[ANNA, BEN]));
    for (place, user) in (1..).zip([ANNA, BEN]) {
        let call = Call::to_group(user, FIELD).with_body(&sdp(place));
        stage.invite(&call);
        stage.established(&call);
    }
    stage
}

/// What has been recorded since the last time, in words.
fn recorded(stage: &mut Stage) -> Vec<String> {
    let all = std::iter::from_fn(|| stage.server.poll_recording());
    all.map(|recording| match recording {
        Recording::Begins(beginning) => {
            let talker = String::from_utf8_lossy(&beginning.talker).into_owned();
            format!("{} begins: {talker}", beginning.burst)
        }
        Recording::Speech { burst, bytes } => {
            format!("{burst}: {}", u16::from_be_bytes([bytes[2], bytes[3]]))
        }
        Recording::Ends { burst, ending, is_heard, .. } => {
            format!("{burst} ends: {ending:?}{}", if is_heard { "" } else { ", unheard" })
        }
    })
    .collect()
}

/// Ben is still being asked.
fn early() -> (Stage, Call, sip::Message) {
    early_with(|config| config.is_recording = true)
}

#[test]
fn each_talk_burst_is_told_from_its_first_packet_to_its_end() {
    let mut stage = chat();
    stage.say(1, request());
    assert_eq!(recorded(&mut stage), Vec::<String>::new(), "nothing has been said");
    stage.speak(1, 1);
    stage.speak(2, 7);
    stage.speak(1, 2);
    stage.say(1, Message::Release { last: Some(2) });
    stage.say(2, request());
    stage.speak(2, 8);
    stage.pass(ms(5000));
    assert_eq!(
        recorded(&mut stage),
        [
            "1 begins: sip:anna@home1.example",
            "1: 1",
            "1: 2",
            "1 ends: Released",
            "2 begins: sip:ben@home1.example",
            "2: 8",
            "2 ends: Silent",
        ],
        "and nothing of who may not speak"
    );
}

#[test]
fn a_beginning_says_who_speaks_where_and_in_what() {
    let mut stage = chat();
    stage.say(1, request());
    stage.pass(ms(300));
    stage.speak(1, 1);
    let Some(Recording::Begins(beginning)) = stage.server.poll_recording() else { panic!("it begins") };
    assert_eq!((&beginning.talker[..], &beginning.group[..]), (ANNA.as_bytes(), FIELD.as_bytes()));
    assert!(beginning.session.starts_with(b"sip:"), "{:?}", beginning.session);
    assert_eq!(beginning.encoding, Encoding::Amr(Format { is_wide: false, is_octet_aligned: true }));
    assert!(beginning.at.since_start() >= ms(300), "{:?}", beginning.at);
    let spoken = rtp(1, 1, 97, &frame());
    assert_eq!(stage.server.poll_recording(), Some(Recording::Speech { burst: 1, bytes: spoken }));
}

#[test]
fn nothing_is_told_where_nobody_records() {
    let mut stage = joined(Stage::new());
    stage.say(1, request());
    stage.speak(1, 1);
    assert_eq!(recorded(&mut stage), Vec::<String>::new());
    assert_eq!(stage.server.media_counters().speech, 1);
}

#[test]
fn whoever_leaves_while_speaking_ends_the_recording() {
    let mut stage = recording();
    let call = Call::originating(ANNA, BEN).with_body(&sdp(1));
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer_saying(&ben, 200, "", &sdp(2));
    let ok = stage.established(&call);
    stage.speak(1, 1);
    stage.bye(&call, &ok);
    assert_eq!(recorded(&mut stage), ["1 begins: sip:anna@home1.example", "1: 1", "1 ends: Left"]);
    stage.answer_all(&ben, "BYE", 200);
    stage.ends_with(1);
}

#[test]
fn what_is_kept_for_those_who_come_is_over_once_they_have_come() {
    let (mut stage, ..) = early();
    stage.speak(1, 1);
    stage.say(1, Message::Release { last: Some(1) });
    assert_eq!(recorded(&mut stage), ["1 begins: sip:anna@home1.example", "1: 1"]);
    let ben = stage.leg("ben");
    stage.answer_saying(&ben, 200, "", &sdp(2));
    stage.pass(ms(100));
    assert_eq!(recorded(&mut stage), ["1 ends: Released"]);
}

/// Case 7 of the founding list: what was kept is heard by nobody, and is not to remain anywhere.
#[test]
fn what_a_cancelled_inviter_has_said_is_told_to_be_unheard() {
    let (mut stage, call, ok) = early();
    stage.speak(1, 1);
    stage.say(1, Message::Release { last: Some(1) });
    stage.say(1, request());
    stage.speak(1, 2);
    stage.bye(&call, &ok);
    assert_eq!(
        recorded(&mut stage),
        [
            "1 begins: sip:anna@home1.example",
            "1: 1",
            "2 begins: sip:anna@home1.example",
            "2: 2",
            "1 ends: Released, unheard",
            "2 ends: Left, unheard",
        ]
    );
}
