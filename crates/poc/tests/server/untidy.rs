//! What a peer writes that is legal but rare, or wrong: it must not keep anybody ringing or connected.

use poc::server::Side;
use sip::message::Name;

use crate::stage::{Call, SDP, Stage, text};

const ANNA: &str = "sip:anna@home1.example";
const BEN: &str = "sip:ben@home1.example";

/// Reasons that do not fit into a line of ours: one that is folded (RFC 3261 §7.3.1), one that is none, one that is too long.
fn reasons() -> [String; 3] {
    let long = format!("SIP;cause=480;text=\"{}\"", "x".repeat(9000));
    ["SIP;cause=480;\r\n text=\"gone\"".to_owned(), "a b c".to_owned(), long]
}

#[test]
fn whatever_reason_an_inviter_gives_the_member_stops_ringing() {
    for reason in reasons() {
        let mut stage = Stage::new();
        let call = Call::originating(ANNA, BEN);
        stage.invite(&call);
        let ben = stage.leg("ben");
        stage.answer(&ben, 180);
        stage.seen(&ben);
        stage.cancel_saying(&call, &format!("Reason: {reason}\r\n"));
        assert_eq!(stage.seen(&ben), ["CANCEL"], "{reason:.40}");
        stage.ends_with(1);
    }
}

#[test]
fn whatever_reason_an_inviter_gives_the_member_does_not_stay_connected() {
    for reason in reasons() {
        let mut stage = Stage::new();
        let call = Call::originating(ANNA, BEN);
        stage.invite(&call);
        let ben = stage.leg("ben");
        stage.answer(&ben, 200);
        let ok = stage.established(&call);
        stage.seen(&ben);
        stage.within(&call, &ok, "BYE", 8, &format!("Reason: {reason}\r\n"), "");
        assert_eq!(stage.seen(&ben), ["BYE"], "{reason:.40}");
        stage.ends_with(1);
    }
}

#[test]
fn whatever_reason_a_client_gives_the_controlling_side_does_not_stay_connected() {
    for reason in reasons() {
        let mut stage = Stage::new();
        let call = Call::terminating(ANNA, BEN);
        stage.invite(&call);
        let ben = stage.leg("ben");
        stage.answer(&ben, 200);
        stage.established(&call);
        stage.leg_sends(&ben, "BYE", 1, &format!("Reason: {reason}\r\n"), "");
        assert_eq!(stage.told(&call), ["BYE"], "{reason:.40}");
        stage.ends_with(1);
    }
}

/// RFC 3261 §7.3.1: a fold is a blank.
#[test]
fn a_reason_that_is_folded_is_passed_on_as_one_line() {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, BEN);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 180);
    stage.seen(&ben);
    stage.cancel_saying(&call, "Reason: SIP;cause=480;\r\n  text=\"gone\"\r\n");
    let seen = stage.seen_whole(&ben);
    assert_eq!(text(&seen[0], Name::Reason), "SIP;cause=480; text=\"gone\"");
}

#[test]
fn an_invite_with_folded_lines_is_passed_on_by_both_functions() {
    for call in [Call::originating(ANNA, BEN), Call::terminating(ANNA, BEN)] {
        let mut stage = Stage::new();
        stage.invite(&call.with("Referred-By: <sip:dan@home1.example>;\r\n x=y\r\n"));
        let ben = stage.leg("ben");
        assert_eq!(text(&ben, Name::ReferredBy), "<sip:dan@home1.example>; x=y");
    }
}

#[test]
fn an_answer_with_a_folded_content_type_reaches_the_controlling_side() {
    let call = Call::terminating(ANNA, BEN);
    let mut stage = Stage::new();
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer_typed(&ben, "application/sdp;\r\n x=y", SDP);
    let ok = stage.established(&call);
    assert_eq!(text(&ok, Name::ContentType), "application/sdp; x=y");
}

#[test]
fn an_answer_that_cannot_be_passed_on_is_left_and_the_controlling_side_told_488() {
    let call = Call::terminating(ANNA, BEN);
    let mut stage = Stage::new();
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.seen(&ben);
    stage.answer_typed(&ben, "sdp", SDP);
    assert_eq!(stage.seen(&ben), ["ACK", "BYE"]);
    stage.response(&call, "488 INVITE");
    stage.ends_with(1);
    assert_eq!((stage.records[0].status, stage.records[0].by), (Some(488), Side::Invited));
}

#[test]
fn another_answer_that_cannot_be_passed_on_is_no_answer_to_the_offer() {
    let call = Call::terminating(ANNA, BEN);
    let mut stage = Stage::new();
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    let ok = stage.established(&call);
    stage.seen(&ben);
    stage.within(
        &call,
        &ok,
        "INVITE",
        8,
        "Contact: <sip:ps77@192.0.2.66>\r\nContent-Type: application/sdp\r\n",
        SDP,
    );
    let offer = stage.seen_whole(&ben).pop().expect("a re-INVITE");
    stage.answer_typed(&offer, "sdp", SDP);
    stage.response(&call, "488 INVITE");
}

/// Its answer would stand in an ACK, which does not reach the other side: nobody is left with half an agreement.
#[test]
fn an_invite_without_an_offer_is_488_at_the_participating_side() {
    let call = Call::terminating(ANNA, BEN).without("Content-Type").with_body("");
    let mut stage = Stage::new();
    stage.invite(&call);
    assert_eq!(stage.told(&call), ["488 INVITE"]);
    assert_eq!(stage.invites_of("ben"), 0);
    let call = Call::terminating(ANNA, BEN).again();
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    let ok = stage.established(&call);
    stage.seen(&ben);
    stage.within(&call, &ok, "INVITE", 8, "Contact: <sip:ps77@192.0.2.66>\r\n", "");
    stage.response(&call, "488 INVITE");
    assert!(stage.seen(&ben).is_empty());
}

/// Digest 11: neither who calls itself nobody nor who asks for privacy is named, by whatever header field.
#[test]
fn an_anonymous_inviter_is_named_nowhere() {
    let anonymous = "sip:anonymous@anonymous.invalid";
    let privately = |call: Call| call.with("Privacy: id\r\nReferred-By: <sip:anna@home1.example>\r\n");
    let from_nobody = |call: Call| call.replacing(anonymous, ANNA);
    for call in [
        privately(Call::originating(ANNA, BEN)),
        privately(Call::terminating(ANNA, BEN)),
        from_nobody(Call::originating(anonymous, BEN)),
        from_nobody(Call::terminating(anonymous, BEN)),
    ] {
        let mut stage = Stage::new();
        stage.invite(&call);
        let ben = stage.leg("ben");
        // To the trusted core only, which takes it out (RFC 3325 §7).
        assert_eq!(text(&ben, Name::Privacy), "id");
        let named = ben.headers().filter(|each| each.value.windows(4).any(|part| part == b"anna"));
        assert_eq!(named.map(|each| each.name).collect::<Vec<_>>(), [Name::PAssertedIdentity]);
    }
}
