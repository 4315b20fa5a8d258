//! The Participating PoC Function of the invited user: digest 10.2 and the tables of 14.5, row by row.

use sip::message::Name;
use sip::usage::End;

use crate::stage::{Call, SDP, Stage, T1_64, ms, text};

const ANNA: &str = "sip:anna@home2.example";
const BEN: &str = "sip:ben@home1.example";

fn ben_is_invited() -> (Stage, Call) {
    let mut stage = Stage::new();
    let call = Call::terminating(ANNA, BEN);
    stage.invite(&call);
    (stage, call)
}

/// Ben answers by himself, and the Controlling PoC Function has been told so.
fn ben_answers_automatically() -> (Stage, Call) {
    let mut stage = Stage::new();
    stage.publish_only("ben", "automatic");
    let call = Call::terminating(ANNA, BEN);
    stage.invite(&call);
    (stage, call)
}

#[test]
fn an_invitation_reaches_the_client_by_way_of_the_core() {
    let (mut stage, call) = ben_is_invited();
    let ben = stage.leg("ben");
    assert_eq!(text(&ben, Name::Route), "<sip:192.0.2.1:5060;lr;odi=term>", "what is behind the way here");
    assert_eq!(text(&ben, Name::AnswerMode), "Manual");
    assert_eq!(ben.value(Name::PrivAnswerMode), None);
    assert_eq!(text(&ben, Name::PAssertedIdentity), "<sip:anna@home2.example>");
    let contact = text(&ben, Name::Contact);
    assert!(
        contact.contains(";session=1-1;identity=ps77%40192.0.2.66>") && contact.ends_with(";isfocus"),
        "{contact}"
    );
    assert_eq!(ben.body(), SDP.as_bytes(), "the offer is passed on as it is");
    stage.answer(&ben, 180);
    assert_eq!(stage.told(&call), ["180 INVITE"]);
    stage.answer(&ben, 200);
    let ok = stage.established(&call);
    assert_eq!(ok.body(), SDP.as_bytes());
    assert_eq!(ok.value(Name::PAnswerState), None);
    stage.bye(&call, &ok);
    stage.answer_all(&ben, "BYE", 200);
    stage.ends_with(1);
    assert_eq!(stage.records[0].end, End::Released);
}

/// RFC 7332 §5: two that pass an INVITE on to each other come to an end.
#[test]
fn an_invitation_that_is_passed_on_has_one_hop_less_and_none_is_483() {
    let mut stage = Stage::new();
    let call = Call::terminating(ANNA, BEN);
    stage.receive(&call.invite().replace("Max-Forwards: 69", "Max-Forwards: 1"));
    assert_eq!(stage.leg("ben").hops(), Some(0));
    let call = call.again();
    stage.receive(&call.invite().replace("Max-Forwards: 69", "Max-Forwards: 0"));
    assert_eq!(stage.told(&call), ["483 INVITE"]);
    assert_eq!(stage.records[0].status, Some(483));
}

#[test]
fn an_automatic_answer_is_announced_at_once_and_confirmed() {
    let (mut stage, call) = ben_answers_automatically();
    let ben = stage.leg("ben");
    assert_eq!(text(&ben, Name::AnswerMode), "Auto");
    let progress = stage.response(&call, "183 INVITE");
    assert_eq!((text(&progress, Name::PAnswerState), progress.body().len()), ("Unconfirmed", 0));
    stage.answer(&ben, 200);
    let ok = stage.established(&call);
    assert_eq!(text(&ok, Name::PAnswerState), "Confirmed");
}

// Digest 14.5, the first table.

#[test]
fn row_1_a_cancel_that_meets_a_refusal_by_a_check_has_no_effect() {
    let mut stage = Stage::new();
    let call = Call::terminating(ANNA, "sip:nobody@home1.example");
    stage.invite(&call);
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["404 INVITE", "200 CANCEL"]);
    stage.ends_with(1);
}

#[test]
fn row_2_pending_and_calling_the_cancel_waits_for_a_1xx() {
    let (mut stage, call) = ben_is_invited();
    let ben = stage.leg("ben");
    stage.seen(&ben);
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["200 CANCEL", "487 INVITE"]);
    assert!(stage.seen(&ben).is_empty());
    stage.answer(&ben, 180);
    assert_eq!(stage.seen(&ben), ["CANCEL"]);
    stage.ends_with(1);
}

#[test]
fn row_3_pending_and_proceeding_the_cancel_is_passed_on_with_its_reason() {
    let (mut stage, call) = ben_is_invited();
    let ben = stage.leg("ben");
    stage.answer(&ben, 180);
    stage.seen(&ben);
    stage.told(&call);
    stage.cancel_saying(&call, "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n");
    assert_eq!(stage.told(&call), ["200 CANCEL", "487 INVITE"]);
    let seen = stage.seen_whole(&ben);
    assert_eq!(text(&seen[0], Name::Reason), "SIP;cause=200;text=\"Call completed elsewhere\"", "C88");
    stage.ends_with(1);
}

#[test]
fn an_invite_that_runs_out_is_487_and_the_client_hears_that_nobody_answered() {
    let mut stage = Stage::new();
    let call = Call::terminating(ANNA, BEN).with("Expires: 10\r\n");
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 180);
    stage.seen(&ben);
    stage.pass(ms(10_100));
    assert!(stage.told(&call).contains(&"487 INVITE".to_owned()));
    let seen = stage.seen_whole(&ben);
    assert_eq!(text(&seen[0], Name::Reason), "SIP;cause=408;text=\"No answer\"", "digest 14.9");
    assert_eq!(seen.len(), 1, "{seen:?}");
}

#[test]
fn row_4_a_2xx_behind_the_cancel_is_acknowledged_and_left() {
    let (mut stage, call) = ben_is_invited();
    let ben = stage.leg("ben");
    stage.answer(&ben, 180);
    stage.seen(&ben);
    stage.cancel(&call);
    stage.answer(&ben, 200);
    assert_eq!(stage.seen(&ben), ["CANCEL", "ACK", "BYE"]);
    assert_eq!(stage.told(&call), ["180 INVITE", "200 CANCEL", "487 INVITE"]);
    stage.ends_with(1);
}

#[test]
fn row_5_a_cancel_behind_the_2xx_has_no_effect_and_the_bye_ends_both() {
    let (mut stage, call) = ben_is_invited();
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    let ok = stage.established(&call);
    stage.seen(&ben);
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["200 CANCEL"]);
    assert!(stage.seen(&ben).is_empty());
    stage.bye(&call, &ok);
    assert_eq!(stage.seen(&ben), ["BYE"]);
    stage.ends_with(1);
}

#[test]
fn row_9_a_487_that_nobody_asked_for_is_480() {
    let (mut stage, call) = ben_is_invited();
    let ben = stage.leg("ben");
    stage.answer(&ben, 180);
    stage.answer(&ben, 487);
    assert_eq!(stage.told(&call), ["180 INVITE", "480 INVITE"]);
    stage.ends_with(1);
}

#[test]
fn row_10_what_the_client_says_to_the_cancelled_invite_reaches_nobody() {
    for status in [487, 486, 603] {
        let (mut stage, call) = ben_is_invited();
        let ben = stage.leg("ben");
        stage.answer(&ben, 180);
        stage.cancel(&call);
        stage.told(&call);
        stage.seen(&ben);
        stage.answer(&ben, status);
        assert_eq!(stage.seen(&ben), ["ACK"]);
        assert!(stage.told(&call).is_empty());
        stage.ends_with(1);
    }
}

#[test]
fn row_11_a_client_that_never_ends_is_given_up_after_the_guard() {
    let (mut stage, call) = ben_is_invited();
    let ben = stage.leg("ben");
    stage.answer(&ben, 180);
    stage.cancel(&call);
    stage.pass(T1_64 + ms(1));
    assert_eq!(stage.records.len(), 1);
    stage.seen(&ben);
    stage.answer(&ben, 200);
    assert_eq!(stage.seen(&ben), ["ACK", "BYE"], "the tombstone leaves what comes late");
    stage.ends_with(1);
}

// Digest 14.5, the second table.

#[test]
fn on_demand_manual_ringing_the_client_is_cancelled() {
    let (mut stage, call) = ben_is_invited();
    let ben = stage.leg("ben");
    stage.answer(&ben, 180);
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["180 INVITE", "200 CANCEL", "487 INVITE"]);
    assert!(stage.seen(&ben).contains(&"CANCEL".to_owned()));
    stage.ends_with(1);
}

/// 183 is not final, so it is still pending.
#[test]
fn on_demand_automatic_behind_a_183_unconfirmed_the_client_is_cancelled() {
    let (mut stage, call) = ben_answers_automatically();
    let ben = stage.leg("ben");
    stage.answer(&ben, 100);
    stage.seen(&ben);
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["183 INVITE", "200 CANCEL", "487 INVITE"]);
    assert_eq!(stage.seen(&ben), ["CANCEL"]);
    stage.answer(&ben, 200);
    assert_eq!(stage.seen(&ben), ["ACK", "BYE"], "and if its 200 crosses, it is left");
    stage.ends_with(1);
}

// Slots.

/// T22, case 15.
#[test]
fn t22_a_cancelled_invitation_makes_room_at_once() {
    let (mut stage, call) = ben_is_invited();
    let ben = stage.leg("ben");
    stage.answer(&ben, 180);
    assert_eq!(stage.sessions_of("ben"), 1);
    let second = call.again();
    stage.invite(&second);
    assert_eq!(stage.told(&second), ["486 INVITE"], "one session at a time");
    stage.cancel(&call);
    assert_eq!(stage.sessions_of("ben"), 0, "although the client has not answered its CANCEL");
    let third = second.again();
    stage.invite(&third);
    assert!(stage.told(&third).is_empty());
    assert_eq!(stage.invites_of("ben"), 2);
    stage.cancel(&third);
    stage.ends_with(3);
}

#[test]
fn a_user_who_takes_several_sessions_at_once_gets_several() {
    let mut stage = Stage::new();
    let settings = "<am-settings><answer-mode>manual</answer-mode></am-settings><sss-settings><simultaneous-sessions-support active=\"true\"/></sss-settings>";
    stage.publish_only_saying("ben", settings);
    stage.change("ben", |user| user.sessions_max = 2);
    let first = Call::terminating(ANNA, BEN);
    let calls = [first.clone(), first.again(), first.again().again()];
    for call in &calls {
        stage.invite(call);
    }
    assert!(stage.told(&calls[0]).is_empty() && stage.told(&calls[1]).is_empty());
    assert_eq!(stage.told(&calls[2]), ["486 INVITE"]);
}

// Within a session.

fn established() -> (Stage, Call, sip::Message, sip::Message) {
    let (mut stage, call) = ben_is_invited();
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    let ok = stage.established(&call);
    stage.seen(&ben);
    (stage, call, ok, ben)
}

const MEDIA: &str = "Contact: <sip:ps77@192.0.2.66>\r\nContent-Type: application/sdp\r\n";

#[test]
fn an_offer_of_other_media_is_passed_on_and_so_is_the_answer() {
    let (mut stage, call, ok, ben) = established();
    stage.within(&call, &ok, "INVITE", 8, MEDIA, "v=0\r\no=offer\r\n");
    let offered = stage.seen_whole(&ben);
    assert_eq!(offered[0].body(), b"v=0\r\no=offer\r\n");
    stage.answer_saying(&offered[0], 200, "", "v=0\r\no=answer\r\n");
    let answer = stage.response(&call, "200 INVITE");
    assert_eq!(answer.body(), b"v=0\r\no=answer\r\n");
}

/// C61, I10.
#[test]
fn a_modification_that_is_cancelled_is_cancelled_on_the_other_leg_and_the_session_goes_on() {
    let (mut stage, call, ok, ben) = established();
    stage.within(&call, &ok, "INVITE", 8, MEDIA, SDP);
    let reinvite = stage.seen_whole(&ben).remove(0);
    stage.answer(&reinvite, 100);
    let branch = format!("{}INVITE8", "termanna");
    stage.cancel_within(&call, &ok, &branch, 8);
    assert_eq!(stage.told(&call), ["200 CANCEL", "487 INVITE"]);
    assert_eq!(stage.seen(&ben), ["CANCEL"]);
    stage.answer(&reinvite, 487);
    assert_eq!(stage.seen(&ben), ["ACK"]);
    assert_eq!(stage.sessions_of("ben"), 1, "the session goes on");
    stage.within(&call, &ok, "BYE", 9, "", "");
    assert_eq!(stage.seen(&ben), ["BYE"]);
    stage.ends_with(1);
}

/// The BYE must not be taken for the end of the modification alone.
#[test]
fn a_bye_while_a_modification_is_under_way_ends_both_legs() {
    let (mut stage, call, ok, ben) = established();
    stage.within(&call, &ok, "INVITE", 8, MEDIA, SDP);
    let reinvite = stage.seen_whole(&ben).remove(0);
    stage.answer(&reinvite, 100);
    stage.within(&call, &ok, "BYE", 9, "", "");
    assert_eq!(stage.seen(&ben), ["BYE"]);
    stage.answer(&reinvite, 487);
    stage.ends_with(1);
}

#[test]
fn a_modification_that_is_refused_is_refused_on_the_other_leg() {
    let (mut stage, call, ok, ben) = established();
    stage.within(&call, &ok, "INVITE", 8, MEDIA, SDP);
    let reinvite = stage.seen_whole(&ben).remove(0);
    stage.answer(&reinvite, 488);
    assert_eq!(stage.told(&call), ["488 INVITE"]);
    assert_eq!(stage.sessions_of("ben"), 1);
}

#[test]
fn modifications_that_cross_are_refused_491() {
    let (mut stage, call, ok, ben) = established();
    stage.within(&call, &ok, "INVITE", 8, MEDIA, SDP);
    stage.seen(&ben);
    stage.leg_sends(&ben, "INVITE", 9, MEDIA, SDP);
    assert_eq!(stage.seen(&ben), ["491 INVITE"]);
}

#[test]
fn the_bye_of_the_client_ends_both_legs_with_its_reason() {
    let (mut stage, call, _, ben) = established();
    stage.leg_sends(&ben, "BYE", 9, "Reason: RELEASE_CAUSE;cause=3\r\n", "");
    assert_eq!(stage.seen(&ben), ["200 BYE"]);
    let bye = stage.response(&call, "BYE");
    assert_eq!(text(&bye, Name::Reason), "RELEASE_CAUSE;cause=3");
    stage.answer(&bye, 200);
    stage.ends_with(1);
}

#[test]
fn a_client_that_rings_for_ever_is_cancelled_at_last() {
    let (mut stage, call) = ben_is_invited();
    let ben = stage.leg("ben");
    stage.answer(&ben, 180);
    stage.seen(&ben);
    stage.pass(sip::Duration::from_secs(170));
    assert!(stage.seen(&ben).contains(&"CANCEL".to_owned()));
    stage.answer(&ben, 487);
    assert!(stage.told(&call).contains(&"480 INVITE".to_owned()));
    stage.ends_with(1);
}
