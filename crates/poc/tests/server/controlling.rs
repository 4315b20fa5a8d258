//! The Controlling PoC Function: digest 10.3, 10.4, 14.6 step 3, row by row.

use sip::message::Name;
use sip::usage::End;

use crate::stage::{Call, SDP, SET_UP_LIMIT, Stage, T1_64, ms, text};

const ANNA: &str = "sip:anna@home1.example";
const BEN: &str = "sip:ben@home1.example";
const CARA: &str = "sip:cara@home1.example";
const DAN: &str = "sip:dan@home1.example";

fn anna_invites_ben() -> (Stage, Call) {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, BEN);
    stage.invite(&call);
    (stage, call)
}

#[test]
fn a_1_1_session_is_invited_answered_and_left() {
    let (mut stage, call) = anna_invites_ben();
    let ben = stage.leg("ben");
    assert_eq!(stage.seen(&ben), ["INVITE"]);
    stage.answer(&ben, 180);
    assert_eq!(stage.told(&call), ["180 INVITE"]);
    stage.answer(&ben, 180);
    assert!(stage.told(&call).is_empty(), "the inviter is told once that it rings");
    stage.answer(&ben, 200);
    let ok = stage.established(&call);
    assert_eq!(ok.value(Name::PAnswerState), None);
    assert_eq!(stage.seen(&ben), ["ACK"]);
    stage.bye(&call, &ok);
    assert_eq!(stage.told(&call), ["200 BYE"]);
    stage.answer_all(&ben, "BYE", 200);
    stage.ends_with(1);
    assert_eq!(stage.records[0].end, End::Released);
}

/// Digest 8.5: what the invited side learns of the session.
#[test]
fn the_invite_of_a_member_names_the_inviter_and_the_focus() {
    let (stage, _) = anna_invites_ben();
    let ben = stage.leg("ben");
    assert_eq!(text(&ben, Name::To), "<sip:ben@home1.example>");
    assert!(text(&ben, Name::From).starts_with("<sip:anna@home1.example>;tag="));
    assert_eq!(text(&ben, Name::PAssertedIdentity), "<sip:anna@home1.example>");
    assert_eq!(text(&ben, Name::AcceptContact), "*;+g.poc.talkburst;require;explicit");
    let contact = text(&ben, Name::Contact);
    assert!(contact.contains(";session=1-1>") && contact.ends_with(";+g.poc.talkburst;isfocus"), "{contact}");
    assert!(text(&ben, Name::UserAgent).starts_with("PoC-serv/OMA1.0 "));
    let body = String::from_utf8_lossy(ben.body()).into_owned();
    assert!(body.contains("m=audio 45200 RTP/AVP 97") && body.contains("c=IN IP4 192.0.2.10"), "{body}");
    assert!(body.contains("m=application 25463 udp TBCP"), "{body}");
}

#[test]
fn the_answer_to_the_inviter_is_the_session_identity_and_the_media_of_the_server() {
    let (mut stage, call) = anna_invites_ben();
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    let ok = stage.established(&call);
    let contact = text(&ok, Name::Contact);
    assert!(contact.contains(";session=1-1>") && contact.ends_with(";isfocus"), "{contact}");
    assert!(String::from_utf8_lossy(ok.body()).contains("m=audio 45200 RTP/AVP 97"));
}

/// Digest 11: an inviter who wants to be anonymous is so to the members, not to their servers.
#[test]
fn an_anonymous_inviter_stands_in_no_from() {
    let mut stage = Stage::new();
    stage.invite(&Call::originating(ANNA, BEN).with("Privacy: id\r\n"));
    let ben = stage.leg("ben");
    assert!(text(&ben, Name::From).starts_with("\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag="));
    assert_eq!(text(&ben, Name::Privacy), "id");
    assert_eq!(text(&ben, Name::PAssertedIdentity), "<sip:anna@home1.example>");
}

/// Case 16, RFC 3841 §9.1: what is to become of terminals that lose is said where they fork.
#[test]
fn what_the_inviter_wants_of_forking_reaches_the_core_of_the_invited_user() {
    let mut stage = Stage::new();
    stage.invite(&Call::originating(ANNA, BEN).with("Request-Disposition: no-cancel\r\n"));
    assert_eq!(text(&stage.leg("ben"), Name::RequestDisposition), "no-cancel");
    let mut stage = Stage::new();
    stage.invite(&Call::terminating(ANNA, BEN).with("Request-Disposition: no-cancel\r\n"));
    assert_eq!(text(&stage.leg("ben"), Name::RequestDisposition), "no-cancel");
}

#[test]
fn the_factory_with_one_entry_is_a_1_1_session_and_with_two_an_ad_hoc_one() {
    let mut stage = Stage::new();
    stage.invite(&Call::listing(ANNA, &[BEN]));
    assert!(text(&stage.leg("ben"), Name::Contact).contains(";session=1-1>"));
    stage.invite(&Call::listing(ANNA, &[CARA, DAN]).again());
    assert!(text(&stage.leg("cara"), Name::Contact).contains(";session=adhoc>"));
    assert!(text(&stage.leg("dan"), Name::Contact).contains(";session=adhoc>"));
}

/// Digest 10.3 step 4, RFC 5364 §4.
#[test]
fn nobody_is_invited_twice_and_the_inviter_not_at_all() {
    let mut stage = Stage::new();
    stage.invite(&Call::listing(ANNA, &[BEN, "sip:ben@HOME1.example;transport=tcp", ANNA, CARA]));
    assert_eq!((stage.invites_of("ben"), stage.invites_of("cara"), stage.invites_of("anna")), (1, 1, 0));
}

/// Digest 12.3 and 10.3 step 10.
#[test]
fn the_failure_of_the_only_leg_is_that_of_a_1_1_session() {
    for (status, told) in [(486, "486 INVITE"), (480, "480 INVITE"), (603, "603 INVITE"), (404, "404 INVITE")]
    {
        let (mut stage, call) = anna_invites_ben();
        let ben = stage.leg("ben");
        stage.answer(&ben, status);
        assert_eq!(stage.told(&call), [told]);
        stage.ends_with(1);
        assert_eq!(stage.records[0].end, End::Rejected);
    }
}

/// Digest 12.3, 14.5 last rows: 487 would say that the inviter gave up, and a challenge concerns one hop.
#[test]
fn what_concerns_one_leg_alone_is_480_to_the_inviter() {
    for (status, told) in [
        (487, "480 INVITE"),
        (401, "480 INVITE"),
        (407, "480 INVITE"),
        (302, "480 INVITE"),
        (503, "500 INVITE"),
    ] {
        let (mut stage, call) = anna_invites_ben();
        let ben = stage.leg("ben");
        stage.answer(&ben, status);
        assert_eq!(stage.told(&call), [told], "{status}");
        stage.ends_with(1);
    }
}

#[test]
fn the_best_failure_of_a_group_is_486_only_if_all_are_busy() {
    for (statuses, told) in [
        ([486, 486], "486 INVITE"),
        ([486, 480], "480 INVITE"),
        ([603, 486], "480 INVITE"),
        ([603, 600], "603 INVITE"),
    ] {
        let mut stage = Stage::new();
        let call = Call::listing(ANNA, &[BEN, CARA]);
        stage.invite(&call);
        for (user, status) in ["ben", "cara"].into_iter().zip(statuses) {
            let leg = stage.leg(user);
            stage.answer(&leg, status);
        }
        assert_eq!(stage.told(&call), [told], "{statuses:?}");
        stage.ends_with(1);
    }
}

// Digest 14.6 step 3.

#[test]
fn row_1_an_entry_that_was_not_invited_yet_is_discarded() {
    let (mut stage, call) = anna_invites_ben();
    let already = stage.invites_of("ben");
    stage.cancel(&call);
    stage.pass(8 * T1_64);
    assert_eq!(stage.invites_of("ben"), already + 6, "the INVITE goes on until timer B, and no other begins");
    stage.ends_with(1);
}

#[test]
fn row_2_a_leg_that_is_calling_gets_its_cancel_at_the_first_1xx() {
    let (mut stage, call) = anna_invites_ben();
    let ben = stage.leg("ben");
    stage.seen(&ben);
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["200 CANCEL", "487 INVITE"]);
    assert!(stage.seen(&ben).is_empty(), "no CANCEL before a 1xx");
    stage.answer(&ben, 100);
    assert_eq!(stage.seen(&ben), ["CANCEL"]);
    stage.answer(&ben, 487);
    assert_eq!(stage.seen(&ben), ["ACK"]);
    stage.ends_with(1);
}

#[test]
fn row_2_a_leg_that_is_calling_and_accepts_is_acknowledged_and_left() {
    let (mut stage, call) = anna_invites_ben();
    let ben = stage.leg("ben");
    stage.seen(&ben);
    stage.cancel(&call);
    stage.answer(&ben, 200);
    assert_eq!(stage.seen(&ben), ["ACK", "BYE"]);
    assert_eq!(stage.told(&call), ["200 CANCEL", "487 INVITE"]);
    stage.ends_with(1);
}

#[test]
fn row_2_a_leg_that_is_calling_and_refuses_is_over() {
    let (mut stage, call) = anna_invites_ben();
    let ben = stage.leg("ben");
    stage.seen(&ben);
    stage.cancel(&call);
    stage.answer(&ben, 486);
    assert_eq!(stage.seen(&ben), ["ACK"]);
    assert_eq!(stage.told(&call), ["200 CANCEL", "487 INVITE"]);
    stage.ends_with(1);
}

#[test]
fn row_2_a_leg_that_is_calling_and_stays_silent_ends_with_timer_b() {
    let (mut stage, call) = anna_invites_ben();
    stage.cancel(&call);
    stage.pass(T1_64 + ms(1));
    assert_eq!(stage.records.len(), 1, "closed with timer B");
    stage.ends_with(1);
}

#[test]
fn row_3_a_leg_that_is_ringing_is_cancelled_with_the_reason_of_the_inviter() {
    for status in [180, 183] {
        let (mut stage, call) = anna_invites_ben();
        let ben = stage.leg("ben");
        stage.answer(&ben, status);
        stage.seen(&ben);
        stage.cancel_saying(&call, "Reason: RELEASE_CAUSE;cause=1;text=\"User ends call\"\r\n");
        let seen = stage.seen_whole(&ben);
        assert_eq!(seen.len(), 1);
        assert_eq!(text(&seen[0], Name::Reason), "RELEASE_CAUSE;cause=1;text=\"User ends call\"");
        assert_eq!(seen[0].uri_text(), ben.uri_text());
        assert_eq!(text(&seen[0], Name::Via), text(&ben, Name::Via));
        stage.answer(&seen[0], 200);
        stage.answer(&ben, 487);
        assert_eq!(stage.seen(&ben), ["ACK"]);
        stage.ends_with(1);
        assert_eq!(stage.records[0].end, End::Cancelled);
    }
}

#[test]
fn row_3_a_2xx_that_crosses_the_cancel_of_a_leg_is_acknowledged_and_left() {
    let (mut stage, call) = anna_invites_ben();
    let ben = stage.leg("ben");
    stage.answer(&ben, 180);
    stage.cancel(&call);
    stage.seen(&ben);
    stage.answer(&ben, 200);
    assert_eq!(stage.seen(&ben), ["ACK", "BYE"]);
    stage.answer(&ben, 200);
    assert_eq!(stage.seen(&ben), ["ACK"], "each copy is acknowledged, and left once");
    stage.ends_with(1);
}

#[test]
fn row_3_a_leg_that_never_ends_is_given_up_after_the_guard_and_a_late_2xx_is_left() {
    let (mut stage, call) = anna_invites_ben();
    let ben = stage.leg("ben");
    stage.answer(&ben, 180);
    stage.cancel(&call);
    stage.pass(T1_64 + ms(1));
    assert_eq!(stage.records.len(), 1);
    stage.seen(&ben);
    stage.answer(&ben, 200);
    assert_eq!(stage.seen(&ben), ["ACK", "BYE"]);
    stage.ends_with(1);
}

#[test]
fn row_4_a_leg_that_has_accepted_is_left_when_another_ends_the_session() {
    let mut stage = Stage::new();
    let call = Call::listing(ANNA, &[BEN, CARA]);
    stage.invite(&call);
    let (ben, cara) = (stage.leg("ben"), stage.leg("cara"));
    stage.answer(&ben, 200);
    stage.answer(&cara, 180);
    let ok = stage.established(&call);
    stage.seen(&ben);
    stage.seen(&cara);
    stage.within(&call, &ok, "BYE", 8, "Reason: RELEASE_CAUSE;cause=1;text=\"User ends call\"\r\n", "");
    let bye = stage.seen_whole(&ben);
    assert_eq!(text(&bye[0], Name::Reason), "RELEASE_CAUSE;cause=1;text=\"User ends call\"");
    assert_eq!(
        stage.seen(&cara),
        ["CANCEL"],
        "one is left is too few, and who still rings must not land in an empty session"
    );
    stage.ends_with(1);
}

#[test]
fn row_5_a_leg_that_has_failed_is_left_alone() {
    let mut stage = Stage::new();
    let call = Call::listing(ANNA, &[BEN, CARA]);
    stage.invite(&call);
    let (ben, cara) = (stage.leg("ben"), stage.leg("cara"));
    stage.answer(&ben, 486);
    stage.answer(&cara, 180);
    stage.seen(&ben);
    stage.seen(&cara);
    stage.cancel(&call);
    assert!(stage.seen(&ben).is_empty(), "C73: no CANCEL to a leg that has ended");
    assert_eq!(stage.seen(&cara), ["CANCEL"]);
    stage.ends_with(1);
}

/// T17, R27: four members in the four states.
#[test]
fn an_inviter_who_cancels_leaves_nobody_ringing_and_nobody_connected() {
    let mut stage = Stage::new();
    let call = Call::listing(ANNA, &[BEN, CARA, DAN, "sip:eva@home1.example"]);
    stage.invite(&call);
    let legs @ [ben, cara, dan, eva] = &["ben", "cara", "dan", "eva"].map(|user| stage.leg(user));
    stage.answer(ben, 180);
    stage.answer(dan, 100);
    stage.answer(eva, 486);
    for leg in legs {
        stage.seen(leg);
    }
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["180 INVITE", "200 CANCEL", "487 INVITE"]);
    stage.answer(dan, 200); // in flight when the CANCEL left
    stage.answer(cara, 100); // nothing had come from Cara
    assert_eq!(stage.seen(ben), ["CANCEL"]);
    assert_eq!(stage.seen(cara), ["CANCEL"]);
    assert_eq!(stage.seen(dan), ["CANCEL", "ACK", "BYE"]);
    assert!(stage.seen(eva).is_empty());
    stage.ends_with(1);
    assert_eq!(stage.records[0].invitations.len(), 4);
}

// Digest 10.4.

/// R19, T20 for one.
#[test]
fn nobody_who_answers_is_cancelled_with_408_and_the_inviter_told_480() {
    let (mut stage, call) = anna_invites_ben();
    let ben = stage.leg("ben");
    stage.answer(&ben, 180);
    stage.seen(&ben);
    stage.pass(SET_UP_LIMIT);
    let seen = stage.seen_whole(&ben);
    assert_eq!(text(&seen[0], Name::Reason), "SIP;cause=408;text=\"No answer\"");
    stage.answer(&ben, 487);
    assert_eq!(stage.told(&call), ["180 INVITE", "480 INVITE"]);
    stage.ends_with(1);
}

#[test]
fn t20_when_the_time_is_up_two_are_cancelled_and_the_session_goes_on_with_two() {
    let mut stage = Stage::new();
    let call = Call::listing(ANNA, &[BEN, CARA, DAN]);
    stage.invite(&call);
    let (ben, cara, dan) = (stage.leg("ben"), stage.leg("cara"), stage.leg("dan"));
    for leg in [&ben, &cara, &dan] {
        stage.answer(leg, 180);
    }
    stage.answer(&ben, 200);
    let ok = stage.established(&call);
    for leg in [&ben, &cara, &dan] {
        stage.seen(leg);
    }
    stage.pass(SET_UP_LIMIT);
    for leg in [&cara, &dan] {
        let seen = stage.seen_whole(leg);
        assert_eq!(text(&seen[0], Name::Reason), "SIP;cause=408;text=\"No answer\"");
        stage.answer(leg, 487);
    }
    assert!(stage.seen(&ben).is_empty(), "Ben talks on");
    assert!(stage.told(&call).is_empty());
    stage.bye(&call, &ok);
    assert_eq!(stage.seen(&ben), ["BYE"]);
    stage.ends_with(1);
}

// Digest 7.5, 10.3 step 11: early answer.

fn early() -> (Stage, Call) {
    let mut stage = Stage::with(|config| config.early_answer = true);
    let call = Call::originating(ANNA, BEN);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer_saying(&ben, 183, "P-Answer-State: Unconfirmed\r\n", "");
    (stage, call)
}

#[test]
fn a_183_unconfirmed_is_a_200_unconfirmed_to_the_inviter_if_that_is_allowed() {
    let (mut stage, call) = early();
    let ok = stage.established(&call);
    assert_eq!(text(&ok, Name::PAnswerState), "Unconfirmed");
    let (mut stage, call) = anna_invites_ben();
    let ben = stage.leg("ben");
    stage.answer_saying(&ben, 183, "P-Answer-State: Unconfirmed\r\n", "");
    assert!(stage.told(&call).is_empty(), "and nothing if it is not");
}

#[test]
fn an_early_answer_that_is_confirmed_is_an_established_session() {
    let (mut stage, call) = early();
    stage.established(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    assert!(stage.told(&call).is_empty());
    stage.leg_sends(&ben, "BYE", 9, "", "");
    let bye = stage.response(&call, "BYE");
    assert_eq!(bye.value(Name::Reason), None, "Ben left, nobody refused");
    stage.answer(&bye, 200);
    stage.ends_with(1);
    assert_eq!(stage.records[0].end, End::Released);
}

/// T19, flow of 14.12.
#[test]
fn t19_a_bye_after_an_early_answer_cancels_who_is_pending() {
    let (mut stage, call) = early();
    let ok = stage.established(&call);
    let ben = stage.leg("ben");
    stage.seen(&ben);
    stage.bye(&call, &ok);
    assert_eq!(stage.told(&call), ["200 BYE"]);
    assert_eq!(stage.seen(&ben), ["CANCEL"]);
    stage.answer(&ben, 487);
    stage.ends_with(1);
}

/// R26, case 1.
#[test]
fn a_200_that_crosses_the_bye_after_an_early_answer_is_acknowledged_and_left() {
    let (mut stage, call) = early();
    let ok = stage.established(&call);
    let ben = stage.leg("ben");
    stage.seen(&ben);
    stage.bye(&call, &ok);
    stage.answer(&ben, 200);
    assert_eq!(stage.seen(&ben), ["CANCEL", "ACK", "BYE"]);
    stage.ends_with(1);
}

#[test]
fn an_early_answer_that_nobody_keeps_is_left_with_the_reason() {
    let (mut stage, call) = early();
    stage.established(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 486);
    let bye = stage.response(&call, "BYE");
    assert_eq!(text(&bye, Name::Reason), "SIP;cause=486;text=\"Busy Here\"");
    stage.answer(&bye, 200);
    stage.ends_with(1);
}

#[test]
fn an_early_answer_waits_for_its_ack_before_it_is_taken_back() {
    let (mut stage, call) = early();
    let ok = stage.response(&call, "200 INVITE");
    let ben = stage.leg("ben");
    stage.answer(&ben, 480);
    assert!(stage.told(&call).is_empty(), "RFC 3261 §15: no BYE before the ACK");
    stage.ack(&call, &ok);
    assert_eq!(stage.told(&call), ["BYE"]);
    stage.ends_with(1);
}

// The end of a session.

#[test]
fn the_bye_of_a_member_ends_a_1_1_session() {
    let (mut stage, call) = anna_invites_ben();
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    stage.established(&call);
    stage.seen(&ben);
    stage.leg_sends(&ben, "BYE", 9, "", "");
    assert_eq!(stage.seen(&ben), ["200 BYE"]);
    assert_eq!(stage.told(&call), ["BYE"]);
    stage.ends_with(1);
}

/// Q4.
#[test]
fn an_ad_hoc_session_goes_on_with_two_when_its_inviter_leaves() {
    let mut stage = Stage::new();
    let call = Call::listing(ANNA, &[BEN, CARA]);
    stage.invite(&call);
    let (ben, cara) = (stage.leg("ben"), stage.leg("cara"));
    stage.answer(&ben, 200);
    let ok = stage.established(&call);
    stage.answer(&cara, 200);
    stage.seen(&ben);
    stage.seen(&cara);
    stage.bye(&call, &ok);
    assert!(stage.seen(&ben).is_empty() && stage.seen(&cara).is_empty());
    assert_eq!(stage.sessions_of("anna"), 0);
    stage.leg_sends(&ben, "BYE", 9, "", "");
    assert_eq!(stage.seen(&cara), ["BYE"], "one alone is no session");
    stage.ends_with(1);
}

#[test]
fn an_inviter_who_never_acknowledges_is_left_and_so_is_the_member() {
    let (mut stage, call) = anna_invites_ben();
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    stage.seen(&ben);
    stage.pass(T1_64 + ms(1));
    assert!(stage.told(&call).contains(&"BYE".to_owned()));
    assert!(stage.seen(&ben).contains(&"BYE".to_owned()));
    stage.ends_with(1);
}

// Media.

#[test]
fn an_answer_that_cannot_be_used_is_acknowledged_and_left_and_the_inviter_told_488() {
    let (mut stage, call) = anna_invites_ben();
    let ben = stage.leg("ben");
    stage.answer_saying(&ben, 200, "", "v=0\r\no=- 1 1 IN IP4 192.0.2.88\r\ns=-\r\nt=0 0\r\n");
    let seen = stage.seen_whole(&ben);
    assert_eq!(text(&seen[2], Name::Reason), "SIP;cause=488;text=\"Not Acceptable Here\"");
    stage.answer(&seen[2], 200);
    assert_eq!(stage.told(&call), ["488 INVITE"]);
    stage.ends_with(1);
}

#[test]
fn a_participant_that_offers_other_media_is_answered_and_nobody_else_asked() {
    let (mut stage, call) = anna_invites_ben();
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    let ok = stage.established(&call);
    stage.seen(&ben);
    let hold = format!("{SDP}a=inactive\r\n").replace("o=- 7 1", "o=- 7 2");
    let lines = "Contact: <sip:anna@192.0.2.77>\r\nContent-Type: application/sdp\r\n";
    stage.within(&call, &ok, "INVITE", 8, lines, &hold);
    let answer = stage.response(&call, "200 INVITE");
    assert!(String::from_utf8_lossy(answer.body()).contains("m=audio 45200"));
    assert!(stage.seen(&ben).is_empty());
}

/// C61, I10.
#[test]
fn a_bad_offer_within_a_session_leaves_the_session_alone() {
    let (mut stage, call) = anna_invites_ben();
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    let ok = stage.established(&call);
    stage.seen(&ben);
    let lines = "Contact: <sip:anna@192.0.2.77>\r\nContent-Type: application/sdp\r\n";
    stage.within(&call, &ok, "INVITE", 8, lines, "v=0\r\n");
    assert_eq!(stage.told(&call), ["488 INVITE"]);
    assert!(stage.seen(&ben).is_empty());
    assert_eq!(stage.sessions_of("anna"), 1);
}
