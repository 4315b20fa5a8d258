//! REFER in a pre-established session: digest 7.2 and 14.8.

use poc::server::SessionType;
use sip::message::Name;
use sip::usage::End;

use crate::ready::{Ready, is_held, names_session, ready};
use crate::stage::{Call, FACTORY, SDP, ms, text};

const ERIK: &str = "sip:erik@home2.example";
const PATROL: &str = "sip:patrol@home2.example;session=prearranged";
const SESSION: &str = "sip:0001010000ps420000000000@home2.example;session=prearranged";
const FOCUS: &str =
    "<sip:0001010000ps420000000000@home2.example;session=prearranged>;+g.poc.talkburst;isfocus";
const BEN: &str = "sip:ben@home1.example";

#[test]
fn a_refer_to_a_user_begins_a_session_of_two_and_its_progress_is_told() {
    let mut ready = ready();
    ready.refer(ERIK);
    assert_eq!(ready.heard(), ["200 REFER", "NOTIFY 100"]);
    let leg = ready.stage.leg_to(FACTORY);
    assert_eq!(text(&leg, Name::PAssertedIdentity), "<sip:ben@home1.example>");
    assert_eq!(text(&leg, Name::Require), "recipient-list-invite");
    assert_eq!(leg.value(Name::Route), None, "new to the core");
    let body = String::from_utf8_lossy(leg.body()).into_owned();
    assert!(body.contains("<entry uri=\"sip:erik@home2.example\""), "{body}");
    assert!(body.contains("m=audio 45200 RTP/AVP 97"), "our media: {body}");
    ready.stage.answer_as(&leg, 180, FOCUS, "");
    assert_eq!(ready.heard(), ["NOTIFY 180"]);
    ready.stage.answer_as(&leg, 200, FOCUS, "P-Answer-State: Unconfirmed\r\n");
    let last = ready.stage.response(&ready.dialog, "NOTIFY");
    let told = String::from_utf8_lossy(last.body()).into_owned();
    assert!(told.starts_with("SIP/2.0 200 OK\r\n"), "{told}");
    assert!(told.contains("P-Answer-State: Unconfirmed\r\n"), "{told}");
    assert!(told.contains(&format!("Contact: <{SESSION}>")), "the session identity: {told}");
    assert_eq!(text(&last, Name::SubscriptionState), "terminated;reason=noresource");
    ready.stage.answer(&last, 200);
    assert_eq!(ready.stage.seen(&leg), ["INVITE", "ACK"]);
    ready.give_up(SESSION);
    assert_eq!(ready.heard(), ["200 REFER"]);
    assert_eq!(ready.stage.seen(&leg), ["BYE"]);
    ready.ends_with(1);
}

#[test]
fn a_refer_to_a_list_begins_a_session_of_several() {
    let mut ready = ready();
    let list = "<?xml version=\"1.0\"?><resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>\
        <entry uri=\"sip:erik@home2.example\"/><entry uri=\"sip:cara@home1.example\"/></list></resource-lists>";
    let lines = "Require: multiple-refer\r\nContent-Type: application/resource-lists+xml\r\n\
        Content-Disposition: recipient-list\r\nContent-ID: <l1@ben>\r\n";
    ready.refer_saying("cid:l1@ben", lines, list);
    assert_eq!(ready.heard(), ["200 REFER", "NOTIFY 100"]);
    let leg = ready.stage.leg_to(FACTORY);
    let body = String::from_utf8_lossy(leg.body()).into_owned();
    assert!(body.contains("sip:erik@home2.example") && body.contains("sip:cara@home1.example"), "{body}");
    ready.stage.answer(&leg, 180);
    ready.heard();
    ready.stage.seen(&leg);
    ready.give_up(FACTORY);
    assert_eq!(ready.heard(), ["200 REFER", "NOTIFY 487, the last"]);
    assert_eq!(ready.stage.seen(&leg), ["CANCEL"]);
    ready.stage.answer(&leg, 487);
    ready.ends_with(1);
}

#[test]
fn a_refer_to_a_group_or_to_a_session_calls_that_and_takes_a_slot() {
    for target in [PATROL, SESSION] {
        let mut ready = ready();
        ready.refer(target);
        assert_eq!(ready.heard(), ["200 REFER", "NOTIFY 100"]);
        let leg = ready.stage.leg_to(target);
        assert_eq!(text(&leg, Name::ContentType), "application/sdp");
        assert_eq!(ready.stage.sessions_of("ben"), 1);
        ready.stage.answer_as(&leg, 200, FOCUS, "");
        assert_eq!(ready.heard(), ["NOTIFY 200, the last"]);
        ready.stage.seen(&leg);
        ready.give_up(target);
        assert_eq!(ready.heard(), ["200 REFER"]);
        assert_eq!(ready.stage.seen(&leg), ["BYE"]);
        assert_eq!(ready.stage.sessions_of("ben"), 0);
        ready.ends_with(1);
    }
}

#[test]
fn a_refer_that_cannot_be_followed_is_refused_and_calls_nobody() {
    let too_many = "Content-Type: application/resource-lists+xml\r\nRequire: multiple-refer\r\n";
    let list = |count: usize| {
        let entries: String = (0..count).map(|nth| format!("<entry uri=\"sip:u{nth}@h\"/>")).collect();
        format!(
            "<resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>{entries}</list></resource-lists>"
        )
    };
    for (target, lines, body, status) in [
        ("tel:+491234", "", String::new(), 404),
        ("cid:l1", "", String::new(), 400),
        ("cid:l1", too_many, list(0), 404),
        ("cid:l1", too_many, list(33), 486),
        ("sip:erik@home2.example;method=INFO", "", String::new(), 400),
        ("sip:erik@home2.example;method=BYE", "", String::new(), 404),
        (ERIK, "P-Asserted-Identity: <sip:cara@home1.example>\r\n", String::new(), 403),
    ] {
        let mut ready = ready();
        ready.refer_saying(target, lines, &body);
        assert_eq!(ready.heard(), [format!("{status} REFER")], "{target}");
        assert_eq!(ready.stage.invites_to(FACTORY), 0);
        ready.ends_with(0);
    }
    let mut ready = ready();
    ready.stage.change("ben", |user| user.sessions_max = 0);
    ready.refer(ERIK);
    assert_eq!(ready.heard(), ["486 REFER"], "no slot");
}

/// One PoC Session at a time; for another one the client has another dialog.
#[test]
fn a_refer_while_the_dialog_is_in_use_is_486_and_while_something_crosses_it_491() {
    let mut ready = ready();
    ready.refer(PATROL);
    ready.heard();
    ready.refer(ERIK);
    assert_eq!(ready.heard(), ["486 REFER"]);
    let leg = ready.stage.leg_to(PATROL);
    ready.stage.answer_as(&leg, 200, FOCUS, "");
    ready.heard();
    ready.refer(ERIK);
    assert_eq!(ready.heard(), ["486 REFER"]);
    ready.stage.leg_sends(&leg, "BYE", 9, "", "");
    let told = ready.reinvite();
    ready.refer(ERIK);
    assert_eq!(ready.heard(), ["491 REFER"]);
    ready.stage.answer(&told, 200);
    ready.heard();
    let call = Call::terminating(ERIK, BEN);
    ready.stage.invite(&call);
    ready.reinvite();
    ready.refer(ERIK);
    assert_eq!(ready.heard(), ["491 REFER"]);
}

#[test]
fn a_failure_is_told_and_the_dialog_can_be_used_again() {
    for (said, told) in [(404, 404), (480, 480), (486, 486), (488, 488), (487, 480), (503, 500)] {
        let mut ready = ready();
        ready.refer(PATROL);
        ready.heard();
        let leg = ready.stage.leg_to(PATROL);
        ready.stage.answer(&leg, said);
        assert_eq!(ready.heard(), [format!("NOTIFY {told}, the last")]);
        assert_eq!(ready.stage.sessions_of("ben"), 0);
        ready.ends_with(1);
    }
}

/// The media of the session beyond must be those of the dialog.
#[test]
fn an_answer_of_no_use_is_488_and_left() {
    let mut ready = ready();
    ready.refer(PATROL);
    ready.heard();
    let leg = ready.stage.leg_to(PATROL);
    ready.stage.answer_saying(&leg, 200, "", "v=0\r\n");
    assert_eq!(ready.heard(), ["NOTIFY 488, the last"]);
    assert_eq!(ready.stage.seen(&leg), ["INVITE", "ACK", "BYE"]);
    ready.ends_with(1);
}

/// Case 8, digest 14.8: the same as a CANCEL of an INVITE, as often as one likes.
#[test]
fn case_8_what_a_refer_asked_for_is_taken_back_by_another_and_the_dialog_stays() {
    let mut ready = ready();
    for round in 1..=3 {
        ready.refer(PATROL);
        ready.heard();
        let leg = ready.stage.leg_to(PATROL);
        ready.stage.seen(&leg);
        ready.give_up(PATROL);
        assert_eq!(ready.heard(), ["200 REFER", "NOTIFY 487, the last"]);
        assert_eq!(ready.stage.sessions_of("ben"), 0, "at once");
        assert!(ready.stage.seen(&leg).is_empty(), "no CANCEL before a 1xx");
        ready.stage.answer(&leg, 100);
        assert_eq!(ready.stage.seen(&leg), ["CANCEL"]);
        ready.stage.answer(&leg, 487);
        assert_eq!(ready.stage.seen(&leg), ["ACK"]);
        assert!(ready.heard().is_empty());
        assert_eq!(ready.stage.records.len(), round);
        let record = &ready.stage.records[round - 1];
        assert_eq!((record.end, record.status, record.answered), (End::Cancelled, Some(487), None));
        assert_eq!(record.session_type, Some(SessionType::PreArranged));
    }
    ready.ends_with(3);
}

#[test]
fn case_8_a_2xx_that_crosses_the_refer_is_acknowledged_and_left() {
    let mut ready = ready();
    ready.refer(PATROL);
    ready.heard();
    let leg = ready.stage.leg_to(PATROL);
    ready.stage.answer(&leg, 100);
    ready.stage.seen(&leg);
    ready.give_up(PATROL);
    ready.heard();
    ready.stage.answer_as(&leg, 200, FOCUS, "");
    assert_eq!(ready.stage.seen(&leg), ["CANCEL", "ACK", "BYE"]);
    assert!(ready.heard().is_empty());
    ready.ends_with(1);
}

#[test]
fn case_8_a_refer_behind_the_2xx_leaves_the_session() {
    let mut ready = ready();
    ready.refer(PATROL);
    ready.heard();
    let leg = ready.stage.leg_to(PATROL);
    ready.stage.answer_as(&leg, 200, FOCUS, "");
    ready.stage.seen(&leg);
    ready.give_up(PATROL);
    assert_eq!(ready.stage.seen(&leg), ["BYE"]);
    ready.heard();
    ready.ends_with(1);
}

/// It crosses the end of the session, or the failure: what the client wants is so already. Of anything else there is nothing to
/// give up.
#[test]
fn case_8_what_has_ended_in_the_meantime_may_be_given_up() {
    for is_answered in [false, true] {
        let mut ready = ready();
        ready.refer(PATROL);
        ready.heard();
        let leg = ready.stage.leg_to(PATROL);
        ready.stage.answer_as(&leg, if is_answered { 200 } else { 480 }, FOCUS, "");
        ready.heard();
        if is_answered {
            ready.stage.leg_sends(&leg, "BYE", 9, "", "");
            let told = ready.reinvite();
            ready.give_up(SESSION);
            assert_eq!(ready.heard(), ["200 REFER"]);
            ready.stage.answer(&told, 200);
            ready.heard();
        }
        ready.give_up(PATROL);
        assert_eq!(ready.heard(), ["200 REFER"]);
        ready.give_up(ERIK);
        assert_eq!(ready.heard(), ["404 REFER"]);
        ready.ends_with(1);
    }
}

#[test]
fn the_bye_of_the_client_ends_the_dialog_and_what_it_is_used_for() {
    for is_answered in [false, true] {
        let mut ready = ready();
        ready.refer(PATROL);
        ready.heard();
        let leg = ready.stage.leg_to(PATROL);
        ready.stage.answer_as(&leg, if is_answered { 200 } else { 180 }, FOCUS, "");
        ready.heard();
        ready.stage.seen(&leg);
        ready.within("BYE", "", "");
        assert!(ready.stage.told(&ready.dialog).contains(&"200 BYE".to_owned()));
        assert_eq!(ready.stage.seen(&leg), [if is_answered { "BYE" } else { "CANCEL" }]);
        assert_eq!(ready.stage.sessions_of("ben"), 0);
        ready.stage.answer(&leg, 487);
        ready.stage.ends_with(2);
    }
}

/// Without talk burst control: by a re-INVITE.
#[test]
fn the_client_is_told_that_the_session_has_ended_and_the_dialog_stays() {
    let mut ready = ready();
    ready.refer(PATROL);
    ready.heard();
    let leg = ready.stage.leg_to(PATROL);
    ready.stage.answer_as(&leg, 200, FOCUS, "");
    ready.heard();
    ready.stage.seen(&leg);
    ready.stage.leg_sends(&leg, "BYE", 9, "", "");
    assert_eq!(ready.stage.seen(&leg), ["200 BYE"]);
    assert_eq!(ready.stage.sessions_of("ben"), 0);
    let told = ready.reinvite();
    assert!(is_held(&told), "on hold until the next use");
    assert_eq!(names_session(&told), None);
    ready.stage.answer(&told, 200);
    assert_eq!(ready.heard(), ["ACK"]);
    ready.ends_with(1);
}

/// RFC 3261 §14.1: the two cross, and one waits.
#[test]
fn a_client_that_cannot_be_told_just_now_is_told_a_moment_later() {
    let mut ready = ready();
    ready.refer(PATROL);
    ready.heard();
    let leg = ready.stage.leg_to(PATROL);
    ready.stage.answer_as(&leg, 200, FOCUS, "");
    ready.heard();
    ready.stage.leg_sends(&leg, "BYE", 9, "", "");
    let told = ready.reinvite();
    ready.stage.answer(&told, 491);
    assert_eq!(ready.heard(), ["ACK"]);
    // Who has not made the dialog waits for up to two seconds.
    let is_told = |ready: &mut Ready| {
        ready.stage.pass(ms(100));
        ready.stage.told_whole(&ready.dialog).pop()
    };
    let again = (0..21).find_map(|_| is_told(&mut ready)).expect("the client is told");
    assert!(is_held(&again));
    ready.stage.answer(&again, 200);
    assert_eq!(ready.heard(), ["ACK"]);
    ready.ends_with(1);
}

#[test]
fn a_modification_by_the_session_beyond_is_answered_by_the_server() {
    let mut ready = ready();
    ready.refer(PATROL);
    ready.heard();
    let leg = ready.stage.leg_to(PATROL);
    ready.stage.answer_as(&leg, 200, FOCUS, "");
    ready.heard();
    ready.stage.seen(&leg);
    let media = format!("Contact: {FOCUS}\r\nContent-Type: application/sdp\r\n");
    ready.stage.leg_sends(&leg, "INVITE", 9, &media, SDP);
    assert_eq!(ready.stage.seen(&leg), ["200 INVITE"]);
    assert!(ready.heard().is_empty());
}
