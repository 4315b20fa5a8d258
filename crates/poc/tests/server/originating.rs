//! The Participating PoC Function of an inviter: digest 10.1 and the first table of 14.5, row by row.

use sip::Message;
use sip::message::Name;
use sip::usage::End;

use crate::stage::{Call, SDP, Stage, T1_64, text};

const ANNA: &str = "sip:anna@home1.example";
const PATROL: &str = "sip:patrol@home2.example;session=prearranged";
/// What the Controlling PoC Function says of itself.
const FOCUS: &str = "<sip:000000ps42@home2.example;session=prearranged>;+g.poc.talkburst;isfocus";

fn anna_calls_the_patrol() -> (Stage, Call, Message) {
    anna_calls(&Call::originating(ANNA, PATROL))
}

fn anna_calls(call: &Call) -> (Stage, Call, Message) {
    let mut stage = Stage::new();
    stage.invite(call);
    let leg = stage.leg_to(PATROL);
    stage.seen(&leg);
    (stage, call.clone(), leg)
}

/// The session stands.
fn established() -> (Stage, Call, Message, Message) {
    let (mut stage, call, leg) = anna_calls_the_patrol();
    stage.answer_as(&leg, 200, FOCUS, "");
    let ok = stage.established(&call);
    stage.seen(&leg);
    (stage, call, ok, leg)
}

#[test]
fn an_invite_for_a_group_goes_on_by_way_of_the_core_in_a_dialog_of_its_own() {
    let call = Call::originating(ANNA, PATROL).with(
        "Referred-By: <sip:boss@home1.example>\r\nAnswer-Mode: Auto\r\nPriv-Answer-Mode: Auto;require\r\n\
         Resource-Priority: poc.2\r\nRequest-Disposition: no-cancel\r\n",
    );
    let (mut stage, call, leg) = anna_calls(&call);
    assert_ne!(text(&leg, Name::CallId), call.call_id);
    assert_eq!(text(&leg, Name::Route), "<sip:192.0.2.1:5060;lr;odi=orig>", "what is behind the way here");
    assert_eq!(text(&leg, Name::PAssertedIdentity), "<sip:anna@home1.example>");
    assert!(text(&leg, Name::From).starts_with("<sip:anna@home1.example>;tag="));
    assert_eq!(text(&leg, Name::AcceptContact), "*;+g.poc.talkburst;require;explicit");
    assert_eq!(text(&leg, Name::ReferredBy), "<sip:boss@home1.example>");
    assert_eq!((text(&leg, Name::AnswerMode), text(&leg, Name::PrivAnswerMode)), ("Auto", "Auto;require"));
    assert_eq!(text(&leg, Name::ResourcePriority), "poc.2");
    assert_eq!(text(&leg, Name::RequestDisposition), "no-cancel");
    assert!(!text(&leg, Name::Contact).contains("isfocus"), "no focus towards the focus");
    assert_eq!(leg.body(), SDP.as_bytes());
    stage.answer_as(&leg, 200, FOCUS, "");
    let ok = stage.established(&call);
    assert_eq!(ok.body(), SDP.as_bytes());
    stage.bye(&call, &ok);
    stage.answer_all(&leg, "BYE", 200);
    stage.ends_with(1);
    let record = &stage.records[0];
    assert_eq!(record.function, poc::server::Function::Participating);
    assert_eq!((record.inviter.as_ref(), record.end), (ANNA.as_bytes(), End::Released));
    assert_eq!(record.session_type, Some(poc::server::SessionType::PreArranged));
    assert_eq!(record.group.as_ref(), b"sip:patrol@home2.example");
    assert_eq!(record.invitations[0].invited.as_ref(), b"sip:patrol@home2.example");
}

/// Digest 11: the next server is told who calls, the called are told nobody.
#[test]
fn an_anonymous_inviter_is_asserted_and_not_named() {
    let call = Call::originating(ANNA, PATROL).with("Privacy: id\r\n");
    let (_, _, leg) = anna_calls(&call);
    assert!(text(&leg, Name::From).contains("anonymous.invalid"));
    assert_eq!(text(&leg, Name::Privacy), "id");
    assert_eq!(text(&leg, Name::PAssertedIdentity), "<sip:anna@home1.example>");
}

/// Digest 8.5: a dialog of our own, but a focus of the same kind of session that names who is the focus.
#[test]
fn the_inviter_learns_the_session_identity_from_the_first_response_that_has_it() {
    for first in [180, 200] {
        let (mut stage, call, leg) = anna_calls_the_patrol();
        stage.answer_as(&leg, first, FOCUS, "");
        let response = stage.response(&call, &format!("{first} INVITE"));
        let contact = response.addresses(Name::Contact).next().unwrap().unwrap();
        let uri = std::str::from_utf8(contact.uri).unwrap();
        assert!(
            uri.contains("192.0.2.10") && !uri.contains("000000ps42@"),
            "our Contact in our dialog: {uri}"
        );
        assert!(contact.parameters.has(b"isfocus"));
        assert_eq!(
            poc::session_identity(uri.as_bytes()).as_deref(),
            Some(&b"sip:000000ps42@home2.example;session=prearranged"[..])
        );
    }
}

/// RFC 3261 §12.1.1: a 1xx without Contact makes no dialog. The inviter could not be told a better one later.
#[test]
fn a_1xx_that_names_no_focus_is_not_passed_on() {
    let (mut stage, call, leg) = anna_calls_the_patrol();
    stage.answer_as(&leg, 183, "", "");
    assert!(stage.told(&call).is_empty());
    stage.answer_as(&leg, 180, FOCUS, "");
    assert_eq!(stage.told(&call), ["180 INVITE"]);
}

/// Digest 7.4: the header field in a 1xx is for servers, in the 200 it is for the inviter.
#[test]
fn the_answer_state_reaches_the_inviter_in_the_200_only() {
    let (mut stage, call, leg) = anna_calls_the_patrol();
    stage.answer_as(&leg, 183, FOCUS, "P-Answer-State: Unconfirmed\r\n");
    assert_eq!(stage.response(&call, "183 INVITE").value(Name::PAnswerState), None);
    stage.answer_as(&leg, 200, FOCUS, "P-Answer-State: Unconfirmed\r\n");
    assert_eq!(text(&stage.established(&call), Name::PAnswerState), "Unconfirmed");
}

// Digest 10.1: the checks.

#[test]
fn who_is_not_served_may_not_call_a_group() {
    let mut stage = Stage::new();
    let call = Call::originating("sip:nobody@home1.example", PATROL);
    stage.invite(&call);
    assert_eq!(stage.told(&call), ["403 INVITE"]);
    assert_eq!((stage.invites_to(PATROL), stage.counters().refused), (0, 1));
    stage.ends_with(1);
}

#[test]
fn an_inviter_with_all_slots_taken_is_486() {
    let mut stage = Stage::new();
    stage.change("anna", |user| user.sessions_max = 1);
    let first = Call::originating(ANNA, PATROL);
    stage.invite(&first);
    assert_eq!(stage.sessions_of("anna"), 1);
    let second = first.again();
    stage.invite(&second);
    assert_eq!(stage.told(&second), ["486 INVITE"]);
    stage.cancel(&first);
    stage.ends_with(2);
}

#[test]
fn an_invite_that_has_come_as_far_as_it_may_is_483() {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, PATROL);
    stage.receive(&call.invite().replace("Max-Forwards: 69", "Max-Forwards: 0"));
    assert_eq!(stage.told(&call), ["483 INVITE"]);
    assert_eq!(stage.invites_to(PATROL), 0);
}

#[test]
fn an_invite_without_an_offer_is_488() {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, PATROL).without("Content-Type").with_body("");
    stage.invite(&call);
    assert_eq!(stage.told(&call), ["488 INVITE"]);
}

// Digest 14.5, the first table.

/// C65: no check waits, so the CANCEL finds it refused or sent.
#[test]
fn originating_row_1_a_cancel_that_meets_a_refusal_by_a_check_has_no_effect() {
    let mut stage = Stage::new();
    let call = Call::originating("sip:nobody@home1.example", PATROL);
    stage.receive_together(&[call.invite(), call.cancel()]);
    assert_eq!(stage.told(&call), ["403 INVITE", "200 CANCEL"]);
    assert_eq!(stage.invites_to(PATROL), 0);
    stage.ends_with(1);
}

#[test]
fn originating_row_2_pending_and_calling_the_cancel_waits_for_a_1xx() {
    let (mut stage, call, leg) = anna_calls_the_patrol();
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["200 CANCEL", "487 INVITE"]);
    assert!(stage.seen(&leg).is_empty());
    stage.answer(&leg, 100);
    assert_eq!(stage.seen(&leg), ["CANCEL"]);
    stage.answer(&leg, 487);
    stage.ends_with(1);
}

#[test]
fn originating_row_3_pending_and_proceeding_the_cancel_is_passed_on_with_its_reason() {
    let (mut stage, call, leg) = anna_calls_the_patrol();
    stage.answer_as(&leg, 180, FOCUS, "");
    stage.told(&call);
    stage.cancel_saying(&call, "Reason: RELEASE_CAUSE;cause=1;text=\"User ends call\"\r\n");
    assert_eq!(stage.told(&call), ["200 CANCEL", "487 INVITE"]);
    let seen = stage.seen_whole(&leg);
    assert_eq!(text(&seen[0], Name::Reason), "RELEASE_CAUSE;cause=1;text=\"User ends call\"");
    stage.ends_with(1);
    let record = &stage.records[0];
    assert_eq!((record.end, record.status, record.answered), (End::Cancelled, Some(487), None));
}

#[test]
fn originating_row_4_a_2xx_behind_the_cancel_is_acknowledged_and_left() {
    let (mut stage, call, leg) = anna_calls_the_patrol();
    stage.answer_as(&leg, 180, FOCUS, "");
    stage.cancel(&call);
    stage.answer_as(&leg, 200, FOCUS, "");
    assert_eq!(stage.seen(&leg), ["CANCEL", "ACK", "BYE"]);
    assert_eq!(stage.told(&call), ["180 INVITE", "200 CANCEL", "487 INVITE"]);
    stage.ends_with(1);
}

#[test]
fn originating_row_5_a_cancel_behind_the_2xx_has_no_effect_and_the_bye_ends_both() {
    let (mut stage, call, ok, leg) = established();
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["200 CANCEL"]);
    assert!(stage.seen(&leg).is_empty());
    stage.bye(&call, &ok);
    assert_eq!(stage.seen(&leg), ["BYE"]);
    stage.ends_with(1);
}

/// This function never answers on its own: a 200 (Unconfirmed) of the Controlling PoC Function is an answer like any other.
#[test]
fn originating_row_6_a_cancel_behind_a_200_unconfirmed_has_no_effect() {
    let (mut stage, call, leg) = anna_calls_the_patrol();
    stage.answer_as(&leg, 200, FOCUS, "P-Answer-State: Unconfirmed\r\n");
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["200 INVITE", "200 CANCEL"]);
    assert_eq!(stage.seen(&leg), ["ACK"]);
    assert_eq!(stage.sessions_of("anna"), 1);
    stage.ends_with(1);
}

#[test]
fn originating_rows_7_and_8_the_bye_behind_a_200_unconfirmed_leaves_the_controlling_function() {
    let (mut stage, call, leg) = anna_calls_the_patrol();
    stage.answer_as(&leg, 200, FOCUS, "P-Answer-State: Unconfirmed\r\n");
    let ok = stage.established(&call);
    stage.seen(&leg);
    stage.bye(&call, &ok);
    assert_eq!(stage.told(&call), ["200 BYE"]);
    assert_eq!(stage.seen(&leg), ["BYE"]);
    assert_eq!(stage.sessions_of("anna"), 0);
    stage.ends_with(1);
}

#[test]
fn originating_row_9_a_487_that_nobody_asked_for_is_480() {
    let (mut stage, call, leg) = anna_calls_the_patrol();
    stage.answer_as(&leg, 180, FOCUS, "");
    stage.answer(&leg, 487);
    assert_eq!(stage.told(&call), ["180 INVITE", "480 INVITE"]);
    stage.ends_with(1);
}

#[test]
fn originating_row_10_what_is_said_to_the_cancelled_invite_reaches_nobody() {
    for status in [487, 486, 404] {
        let (mut stage, call, leg) = anna_calls_the_patrol();
        stage.answer_as(&leg, 180, FOCUS, "");
        stage.cancel(&call);
        stage.told(&call);
        stage.seen(&leg);
        stage.answer(&leg, status);
        assert_eq!(stage.seen(&leg), ["ACK"]);
        assert!(stage.told(&call).is_empty());
        stage.ends_with(1);
    }
}

#[test]
fn originating_row_11_who_never_ends_is_given_up_after_the_guard() {
    let (mut stage, call, leg) = anna_calls_the_patrol();
    stage.answer_as(&leg, 180, FOCUS, "");
    stage.cancel(&call);
    stage.pass(T1_64 + crate::stage::ms(1));
    assert_eq!(stage.records.len(), 1);
    stage.seen(&leg);
    stage.answer_as(&leg, 200, FOCUS, "");
    assert_eq!(stage.seen(&leg), ["ACK", "BYE"], "the tombstone leaves what comes late");
    stage.ends_with(1);
}

/// T22, case 6: of a chat group whose join was given up nothing is left either.
#[test]
fn t22_an_inviter_who_gave_up_may_call_again_at_once() {
    let mut stage = Stage::new();
    stage.change("anna", |user| user.sessions_max = 1);
    let call = Call::originating(ANNA, PATROL);
    stage.invite(&call);
    let leg = stage.leg_to(PATROL);
    stage.answer_as(&leg, 180, FOCUS, "");
    stage.cancel(&call);
    assert_eq!(stage.sessions_of("anna"), 0, "although the other side has not answered its CANCEL");
    let second = call.again();
    stage.invite(&second);
    assert!(stage.told(&second).is_empty());
    assert_eq!(stage.invites_to(PATROL), 2);
    stage.cancel(&second);
    stage.ends_with(2);
}

// What the Controlling PoC Function says.

#[test]
fn a_refusal_of_the_controlling_function_reaches_the_inviter() {
    for (said, told) in [(403, 403), (404, 404), (480, 480), (486, 486), (488, 488), (408, 480), (503, 500)] {
        let (mut stage, call, leg) = anna_calls_the_patrol();
        stage.answer(&leg, said);
        assert_eq!(stage.told(&call), [format!("{told} INVITE")]);
        assert_eq!(stage.sessions_of("anna"), 0);
        stage.ends_with(1);
    }
}

/// Digest 12.2.
#[test]
fn the_text_of_a_refusal_reaches_the_inviter() {
    let (mut stage, call, leg) = anna_calls_the_patrol();
    stage.answer_saying(&leg, 403, "Warning: 399 home2.example \"too many participants\"\r\n", "");
    let refused = stage.response(&call, "403 INVITE");
    assert_eq!(text(&refused, Name::Warning), "399 home2.example \"too many participants\"");
}

#[test]
fn the_release_by_the_controlling_function_reaches_the_inviter_with_its_reason() {
    let (mut stage, call, _, leg) = established();
    stage.leg_sends(&leg, "BYE", 9, "Reason: SIP;cause=480\r\n", "");
    let bye = stage.response(&call, "BYE");
    assert_eq!(text(&bye, Name::Reason), "SIP;cause=480");
    stage.answer(&bye, 200);
    stage.ends_with(1);
}

#[test]
fn who_is_served_no_more_is_cut_off_from_what_others_control() {
    let (mut stage, call, _, leg) = established();
    stage.remove("anna");
    assert_eq!(stage.seen(&leg), ["BYE"]);
    assert_eq!(stage.told(&call), ["BYE"]);
    let (mut stage, call, leg) = anna_calls_the_patrol();
    stage.answer_as(&leg, 180, FOCUS, "");
    stage.told(&call);
    stage.remove("anna");
    assert_eq!(stage.seen(&leg), ["CANCEL"]);
    assert_eq!(stage.told(&call), ["403 INVITE"]);
    stage.ends_with(1);
}

/// C61, I10.
#[test]
fn a_modification_of_the_inviter_that_is_cancelled_changes_nothing() {
    let (mut stage, call, ok, leg) = established();
    let media = "Contact: <sip:anna@192.0.2.77>\r\nContent-Type: application/sdp\r\n";
    stage.within(&call, &ok, "INVITE", 8, media, SDP);
    let reinvite = stage.seen_whole(&leg).remove(0);
    stage.answer(&reinvite, 100);
    stage.cancel_within(&call, &ok, "origannaINVITE8", 8);
    assert_eq!(stage.told(&call), ["200 CANCEL", "487 INVITE"]);
    assert_eq!(stage.seen(&leg), ["CANCEL"]);
    stage.answer(&reinvite, 487);
    assert_eq!(stage.sessions_of("anna"), 1, "the session goes on");
    stage.within(&call, &ok, "BYE", 9, "", "");
    assert_eq!(stage.seen(&leg), ["ACK", "BYE"]);
    stage.ends_with(1);
}
