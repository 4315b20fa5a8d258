//! MESSAGE: digest 9.8 and 11.

use poc::server::{Access, Who};
use sip::Message;
use sip::message::Name;

use crate::stage::{Call, Stage, T1_64, text, word};

const ANNA: &str = "sip:anna@home1.example";
const BEN: &str = "sip:ben@home1.example";
const CARA: &str = "sip:cara@home1.example";
const ERIK: &str = "sip:erik@home2.example";
const PATROL: &str = "sip:patrol@home1.example";
const ADVERTISEMENT: &str = "application/vnd.poc.group-advertisement+xml";

/// Anna wants to be called back.
fn alert(role: &str, to: &str) -> Call {
    let sender = if role == "orig" { ANNA } else { ERIK };
    Call::messaging(role, sender, to, "text/plain", "call me")
}

fn advertisement(role: &str, sender: &str, to: &str) -> Call {
    Call::messaging(role, sender, to, ADVERTISEMENT, "<group/>")
        .replacing("+g.poc.talkburst", "+g.poc.groupad")
}

fn sent(stage: &mut Stage, call: &Call) -> Vec<Message> {
    stage.receive(&call.message());
    stage.messages()
}

/// The answer to what goes no further.
fn refused(stage: &mut Stage, call: &Call) -> String {
    let passed = sent(stage, call);
    assert!(passed.is_empty(), "{passed:?}");
    stage.told(call).concat()
}

// The server of the sender.

#[test]
fn an_alert_of_a_user_goes_on_by_way_of_the_core_and_its_answer_comes_back() {
    for status in [200, 202, 403, 404, 480] {
        let mut stage = Stage::new();
        let call = alert("orig", ERIK).with("Subject: soon\r\n");
        let passed = sent(&mut stage, &call);
        assert_eq!(passed.len(), 1);
        let passed = &passed[0];
        assert_eq!(passed.uri_text(), ERIK.as_bytes());
        assert_ne!(text(passed, Name::CallId), call.call_id);
        assert_eq!(text(passed, Name::Route), "<sip:192.0.2.1:5060;lr;odi=orig>");
        assert_eq!(text(passed, Name::PAssertedIdentity), "<sip:anna@home1.example>");
        assert_eq!(text(passed, Name::AcceptContact), "*;+g.poc.talkburst;require;explicit");
        assert_eq!((text(passed, Name::ContentType), passed.body()), ("text/plain", &b"call me"[..]));
        assert_eq!(text(passed, Name::Subject), "soon");
        assert!(stage.told(&call).is_empty(), "it waits for the answer");
        stage.answer(passed, status);
        assert_eq!(stage.told(&call), [format!("{status} MESSAGE")]);
        stage.ends_with(0);
    }
}

/// Digest 12.3: what concerns one hop is not the sender's.
#[test]
fn what_concerns_the_hop_alone_reaches_no_sender() {
    for (said, told) in [(401, 480), (408, 480), (487, 480), (302, 480), (503, 500)] {
        let mut stage = Stage::new();
        let call = alert("orig", ERIK);
        let passed = sent(&mut stage, &call);
        stage.answer(&passed[0], said);
        assert_eq!(stage.told(&call), [format!("{told} MESSAGE")]);
    }
}

#[test]
fn who_is_not_served_sends_no_alert() {
    let mut stage = Stage::new();
    let call = Call::messaging("orig", "sip:nobody@home1.example", ERIK, "text/plain", "call me");
    assert_eq!(refused(&mut stage, &call), "403 MESSAGE");
    assert_eq!(stage.counters().refused, 1);
    stage.ends_with(0);
}

#[test]
fn an_alert_that_nobody_answers_is_answered_and_forgotten() {
    let mut stage = Stage::new();
    let call = alert("orig", ERIK);
    sent(&mut stage, &call);
    stage.pass(T1_64);
    let told = stage.told(&call);
    assert_eq!(told.last().map(String::as_str), Some("500 MESSAGE"), "{told:?}");
    stage.ends_with(0);
}

// The server of the user.

#[test]
fn an_alert_for_a_user_reaches_the_terminals_by_way_of_the_core() {
    let mut stage = Stage::new();
    let call = alert("term", BEN);
    let passed = sent(&mut stage, &call);
    assert_eq!(passed[0].uri_text(), BEN.as_bytes());
    assert_eq!(text(&passed[0], Name::Route), "<sip:192.0.2.1:5060;lr;odi=term>");
    stage.answer(&passed[0], 200);
    assert_eq!(stage.told(&call), ["200 MESSAGE"]);
    stage.ends_with(0);
}

#[test]
fn an_alert_for_nobody_is_404_and_for_who_is_not_there_480() {
    let mut stage = Stage::new();
    assert_eq!(refused(&mut stage, &alert("term", "sip:nobody@home1.example")), "404 MESSAGE");
    assert_eq!(refused(&mut stage, &alert("term", ANNA).again()), "480 MESSAGE", "no settings");
    stage.ends_with(0);
}

#[test]
fn the_rules_of_a_user_count_for_alerts_and_advertisements() {
    for call in [alert("term", BEN), advertisement("term", ERIK, BEN)] {
        let mut stage = Stage::new();
        stage.change("ben", |user| user.access = Access::Reject);
        assert_eq!(refused(&mut stage, &call), "403 MESSAGE");
        let mut stage = Stage::new();
        stage.change("ben", |user| user.refuses_anonymous = true);
        let call = call.with("Privacy: id\r\n");
        assert_eq!(refused(&mut stage, &call), "403 MESSAGE");
    }
}

#[test]
fn who_bars_alerts_gets_advertisements_all_the_same() {
    let mut stage = Stage::new();
    let barred = "<am-settings><answer-mode>manual</answer-mode></am-settings>\
        <ipab-settings><incoming-personal-alert-barring active=\"true\"/></ipab-settings>";
    stage.publish_only_saying("ben", barred);
    assert_eq!(refused(&mut stage, &alert("term", BEN)), "480 MESSAGE");
    let passed = sent(&mut stage, &advertisement("term", ERIK, BEN).again());
    assert_eq!((passed.len(), text(&passed[0], Name::ContentType)), (1, ADVERTISEMENT));
    assert_eq!(text(&passed[0], Name::AcceptContact), "*;+g.poc.groupad;require;explicit");
    assert_eq!(passed[0].body(), b"<group/>");
}

#[test]
fn an_anonymous_sender_stands_in_no_from() {
    let mut stage = Stage::new();
    let passed = sent(&mut stage, &alert("term", BEN).with("Privacy: id\r\n"));
    assert!(text(&passed[0], Name::From).contains("anonymous.invalid"));
    assert_eq!(text(&passed[0], Name::Privacy), "id");
}

// The server of a group.

fn patrol() -> Stage {
    let mut stage = Stage::new();
    stage.host("dogs", &[CARA, ERIK, PATROL], |_| {});
    stage.host("patrol", &[ANNA, BEN, BEN, CARA, "sip:dogs@home1.example"], |_| {});
    stage
}

#[test]
fn an_advertisement_to_a_group_reaches_each_member_once_and_not_its_sender() {
    let mut stage = patrol();
    let call = advertisement("term", ANNA, PATROL);
    let passed = sent(&mut stage, &call);
    assert_eq!(stage.told(&call), ["202 MESSAGE"], "at once");
    let receivers: Vec<_> = passed.iter().map(|message| message.uri_text().to_vec()).collect();
    assert_eq!(receivers, [BEN, CARA, ERIK].map(|uri| uri.as_bytes().to_vec()));
    for message in &passed {
        assert_eq!(text(message, Name::PAssertedIdentity), "<sip:anna@home1.example>");
        assert_eq!(message.value(Name::Route), None, "each is new to the core");
        assert_eq!(message.body(), b"<group/>");
    }
    for (message, status) in passed.iter().zip([200, 480, 603]) {
        stage.answer(message, status);
    }
    assert!(stage.told(&call).is_empty(), "what becomes of the copies nobody asks");
    stage.ends_with(0);
}

#[test]
fn who_may_not_join_a_group_tells_it_nothing() {
    let mut stage = patrol();
    let stranger = advertisement("term", "sip:mallory@home2.example", PATROL);
    assert_eq!(refused(&mut stage, &stranger), "403 MESSAGE");
    stage.host("patrol", &[ANNA, BEN], |group| group.joins = Who::Anybody);
    let passed = sent(&mut stage, &stranger.again());
    assert_eq!(passed.len(), 2);
    stage.host("patrol", &[ANNA, BEN], |group| group.is_enabled = false);
    assert_eq!(refused(&mut stage, &advertisement("term", ANNA, PATROL).again()), "403 MESSAGE");
}

#[test]
fn a_group_that_wants_names_is_told_nothing_by_nobody() {
    let mut stage = patrol();
    stage.host("patrol", &[ANNA, BEN], |group| group.admits_anonymous = false);
    let call = advertisement("term", ANNA, PATROL).with("Privacy: id\r\n");
    assert_eq!(refused(&mut stage, &call), "403 MESSAGE");
}

#[test]
fn a_group_has_no_more_copies_than_participants() {
    let mut stage = Stage::new();
    stage.host("patrol", &[ANNA, BEN, CARA, ERIK], |group| group.participants_max = 2);
    assert_eq!(sent(&mut stage, &advertisement("term", ANNA, PATROL)).len(), 2);
}

/// RFC 7332 §3; and groups that contain each other, on two servers, come to an end at once.
#[test]
fn a_message_has_one_hop_less_and_a_copy_is_copied_no_more() {
    let mut stage = patrol();
    let relayed = sent(&mut stage, &alert("term", BEN));
    assert_eq!(relayed[0].hops(), Some(68));
    let call = alert("term", BEN).again();
    stage.receive(&call.message().replace("Max-Forwards: 69", "Max-Forwards: 0"));
    assert_eq!(stage.told(&call), ["483 MESSAGE"]);
    let copy = sent(&mut stage, &advertisement("term", ANNA, PATROL)).remove(0);
    let came_back = format!("Max-Forwards: {}", copy.hops().unwrap());
    let call = advertisement("term", ANNA, PATROL).again();
    stage.receive(&call.message().replace("Max-Forwards: 69", &came_back));
    assert_eq!(stage.told(&call), ["483 MESSAGE"]);
    assert!(stage.messages().is_empty());
}

/// What one sender causes is bounded.
#[test]
fn with_too_much_under_way_a_message_is_503_and_there_is_room_again_behind_an_answer() {
    let mut stage = Stage::with(|config| config.messages_max = 2);
    stage.host("patrol", &[ANNA, BEN, CARA, ERIK], |_| {});
    let first = alert("term", BEN);
    let passed = sent(&mut stage, &first);
    let group = advertisement("term", ANNA, PATROL);
    assert_eq!(refused(&mut stage, &group), "503 MESSAGE");
    let second = sent(&mut stage, &first.again());
    assert_eq!(second.len(), 1);
    let third = first.again().again();
    stage.receive(&third.message());
    assert_eq!(text(&stage.response(&third, "503 MESSAGE"), Name::RetryAfter), "5");
    stage.answer(&passed[0], 200);
    assert_eq!(sent(&mut stage, &third.again()).len(), 1);
    stage.ends_with(0);
}

// CANCEL.

/// R21: a CANCEL of one has no effect, and none is ever sent.
#[test]
fn r21_a_message_cannot_be_cancelled() {
    let mut stage = Stage::new();
    let call = alert("term", BEN);
    let passed = sent(&mut stage, &call);
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["200 CANCEL"]);
    assert!(stage.seen(&passed[0]).is_empty(), "nothing follows it");
    stage.answer(&passed[0], 200);
    assert_eq!(stage.told(&call), ["200 MESSAGE"]);
    stage.ends_with(0);
}

/// Case 14: whichever comes first, each has its own end.
#[test]
fn case_14_a_message_that_races_the_cancel_of_the_session_that_it_announced_is_told_all_the_same() {
    for message_first in [true, false] {
        let mut stage = Stage::new();
        let call = Call::terminating(ERIK, BEN);
        stage.receive_together(&[call.invite()]);
        let ben = stage.leg("ben");
        stage.answer(&ben, 180);
        stage.told(&call);
        stage.seen(&ben);
        let announced = advertisement("term", ERIK, BEN).with("Subject: now\r\n").again();
        let mut pieces = [announced.message(), call.cancel()];
        if !message_first {
            pieces.reverse();
        }
        stage.receive_together(&pieces);
        assert_eq!(stage.told(&call), ["200 CANCEL", "487 INVITE"]);
        assert_eq!(stage.seen(&ben), ["CANCEL"]);
        let passed = stage.messages();
        assert_eq!(passed.iter().map(word).collect::<Vec<_>>(), ["MESSAGE"]);
        stage.answer(&passed[0], 200);
        assert_eq!(stage.told(&announced), ["200 MESSAGE"]);
        stage.ends_with(1);
    }
}
