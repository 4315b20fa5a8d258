//! UPDATE, INFO and OPTIONS within a dialog: RFC 3311, RFC 6086, RFC 3261 §12.2.2 (R14).

#![expect(clippy::unwrap_used, reason = "a helper that fails is the failure of its test")]

use sip::message::Name;
use sip::usage::{End, Party};
use sip::{Command, Event, Message, Misuse, SessionId};

use crate::wire::*;

const NEW_CONTACT: &str = "Contact: <sip:ben@new.example>\r\n";

/// We are invited, and it rings.
fn ringing() -> (Wire, SessionId, Request, Message) {
    let mut wire = Wire::new();
    let invite = Request::invite("inv");
    wire.receive(&invite.text());
    let session = wire.invited();
    wire.ring(session);
    let ringing = wire.one();
    (wire, session, invite, ringing)
}

/// We accepted.
fn answered() -> (Wire, SessionId, Request, Message) {
    let (mut wire, session, invite, _) = ringing();
    wire.accept(session).unwrap();
    let ok = wire.one();
    wire.receive(&invite.within(&ok, "ACK", 7).text());
    wire.events();
    (wire, session, invite, ok)
}

fn update(invite: &Request, ours: &Message, number: u32) -> Request {
    invite.within(ours, "UPDATE", number).with(NEW_CONTACT)
}

fn offer(invite: &Request, ours: &Message, number: u32) -> Request {
    let lines = "Content-Type: application/sdp\r\n";
    Request { body: OFFER.into(), ..update(invite, ours, number).with(lines) }
}

/// The peer's request in the dialog that `ours`, an ACK or a PRACK, was sent in.
fn from_peer(ours: &Message, method: &'static str, number: u32) -> Request {
    Request {
        from_tag: to_tag(ours).expect("a tag"),
        to_tag: from_tag(ours),
        call_id: text(ours, Name::CallId).into(),
        number,
        ..Request::invite(&format!("peer{method}{number}")).follow(method)
    }
}

fn offer_of_peer(ours: &Message, number: u32) -> Request {
    let lines = "Contact: <sip:ben@new.example>\r\nContent-Type: application/sdp\r\n";
    Request { body: OFFER.into(), ..from_peer(ours, "UPDATE", number).with(lines) }
}

fn is_offered(wire: &mut Wire) -> bool {
    matches!(wire.events()[..], [Event::ModificationOffered { .. }])
}

/// §5.2: nothing is offered: 200 at once, with Contact; the target is refreshed (RFC 3261 §12.2.2), and an order is kept.
#[test]
fn an_update_without_an_offer_is_answered_at_once() {
    let (mut wire, session, invite, ok) = answered();
    wire.receive(&update(&invite, &ok, 8).text());
    let answer = wire.one();
    assert_eq!(word(&answer), "200 UPDATE");
    assert!(answer.value(Name::Contact).is_some() && answer.lists(Name::Allow, b"UPDATE"));
    assert_eq!(wire.events(), []);
    wire.receive(&Request { branch: "old".into(), ..update(&invite, &ok, 8) }.text());
    assert_eq!(wire.words(), ["200 UPDATE"], "a copy");
    wire.receive(&invite.within(&ok, "UPDATE", 6).with(CONTACT).text());
    assert_eq!(wire.words(), ["500 UPDATE"], "out of order");
    wire.leave(session).unwrap();
    assert_eq!(uri(&wire.one()), "sip:ben@new.example");
    wire.finish();
}

/// §5.2: an offer is its user's to answer, with the commands that answer a re-INVITE.
#[test]
fn an_update_with_an_offer_is_answered_by_its_user() {
    let (mut wire, session, invite, ok) = answered();
    wire.receive(&offer(&invite, &ok, 8).text());
    wire.receive(&offer(&invite, &ok, 8).text());
    assert_eq!(wire.words(), [""; 0], "a copy of what waits");
    assert!(is_offered(&mut wire));
    assert_eq!(wire.modify(session), Err(Misuse::Busy));
    wire.accept(session).unwrap();
    let answer = wire.one();
    assert_eq!((word(&answer).as_str(), answer.body()), ("200 UPDATE", OFFER.as_bytes()));
    assert_eq!(wire.accept(session), Err(Misuse::NothingToAnswer));

    wire.receive(&offer(&invite, &ok, 9).text());
    assert!(is_offered(&mut wire));
    assert_eq!(wire.refuse(session, 200), Err(Misuse::Status));
    wire.refuse(session, 488).unwrap();
    assert_eq!(wire.words(), ["488 UPDATE"]);
    wire.receive(&Request { lines: "Content-Type: text/x\r\n".into(), ..offer(&invite, &ok, 10) }.text());
    assert_eq!(wire.words(), ["415 UPDATE"]);
    assert_eq!(wire.events(), []);
    wire.leave(session).unwrap();
    assert_eq!(uri(&wire.one()), "sip:ben@new.example");
    wire.finish();
}

/// RFC 3261 §12.2.2: what is refused refreshes nothing.
#[test]
fn a_refused_update_leaves_the_target_alone() {
    let (mut wire, session, invite, ok) = answered();
    wire.receive(&offer(&invite, &ok, 8).text());
    wire.events();
    wire.refuse(session, 488).unwrap();
    wire.sent();
    wire.leave(session).unwrap();
    assert_eq!(uri(&wire.one()), "sip:ben@ben.example");
    wire.finish();
}

/// §5.2: a user that must think first: 504.
#[test]
fn an_update_that_nobody_answers_is_504() {
    let (mut wire, session, invite, ok) = answered();
    wire.receive(&offer(&invite, &ok, 8).text());
    wire.events();
    wire.advance(ms(4000));
    assert_eq!(wire.words(), ["504 UPDATE"]);
    let events = wire.events();
    assert!(
        matches!(events[..], [Event::ModificationEnded { end: End::TimedOut, status: Some(504), .. }]),
        "{events:?}"
    );
    assert_eq!(wire.accept(session), Err(Misuse::NothingToAnswer));
    wire.leave(session).unwrap();
    wire.finish();
}

/// §5.2: an UPDATE, or an INVITE, while an UPDATE waits: 500 with Retry-After.
#[test]
fn a_second_offer_while_one_waits_is_500_with_retry_after() {
    let (mut wire, session, invite, ok) = answered();
    wire.receive(&offer(&invite, &ok, 8).text());
    wire.events();
    let lines = "Contact: <sip:ben@ben.example>\r\nContent-Type: application/sdp\r\n";
    let again = Request { body: OFFER.into(), ..invite.within(&ok, "INVITE", 11).with(lines) };
    for request in [offer(&invite, &ok, 9), update(&invite, &ok, 10), again] {
        wire.receive(&request.text());
        let refusal = wire.one();
        assert_eq!(refusal.status(), Some(500), "{refusal:?}");
        assert!(refusal.number(Name::RetryAfter).unwrap().unwrap() <= 10);
    }
    wire.accept(session).unwrap();
    wire.leave(session).unwrap();
    wire.finish();
}

/// §5.2: glare: 491 while our own offer waits; and 500 while we have one to answer. Without an offer there is no glare.
#[test]
fn crossing_offers_are_refused() {
    let (mut wire, session, invite, ok) = answered();
    wire.modify(session).unwrap();
    wire.sent();
    wire.receive(&offer(&invite, &ok, 8).text());
    assert_eq!(wire.words(), ["491 UPDATE"]);
    wire.receive(&update(&invite, &ok, 9).text());
    assert_eq!(wire.words(), ["200 UPDATE"]);
    wire.leave(session).unwrap();
    wire.finish();

    let (mut wire, session, invite, ringing) = ringing();
    wire.receive(&offer(&invite, &ringing, 8).text());
    let refusal = wire.one();
    assert_eq!(word(&refusal), "500 UPDATE");
    assert!(refusal.value(Name::RetryAfter).is_some());
    wire.receive(&update(&invite, &ringing, 9).text());
    assert_eq!(wire.words(), ["200 UPDATE"]);
    wire.accept(session).unwrap();
    wire.finish();
}

/// §5.1, §5.2: in an early dialog, once the first offer was answered reliably: on both sides.
#[test]
fn an_early_dialog_can_be_updated_after_its_answer() {
    let mut wire = Wire::new();
    let required = Request::invite("inv").with("Require: 100rel\r\n");
    wire.receive(&required.text());
    let session = wire.invited();
    let described = Command::Progress { session, status: 183, headers: Vec::new(), body: sdp() };
    wire.command(described).unwrap();
    let described = wire.one();
    let rack = format!("RAck: {} 7 INVITE\r\n", text(&described, Name::RSeq));
    wire.receive(&required.within(&described, "PRACK", 8).with(&rack).text());
    wire.sent();
    wire.events();
    wire.receive(&offer(&required, &described, 9).text());
    assert!(is_offered(&mut wire));
    wire.accept(session).unwrap();
    assert_eq!(wire.words(), ["200 UPDATE"], "it answers the UPDATE, not the INVITE");
    wire.accept(session).unwrap();
    assert_eq!(wire.words(), ["200 INVITE"]);
    wire.finish();

    let mut wire = Wire::new();
    let session = wire.invite();
    let invite = wire.one();
    let lines = format!("{CONTACT}Require: 100rel\r\nRSeq: 1\r\n");
    wire.receive(&response(&invite, 183, "p1", &lines));
    let prack = wire.one();
    wire.receive(&offer_of_peer(&prack, 1).text());
    assert_eq!(wire.words(), ["491 UPDATE"], "our offer has no answer yet");
    let described = response(&invite, 183, "p1", &lines.replace("RSeq: 1", "RSeq: 2"));
    let body = format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{OFFER}", OFFER.len());
    wire.receive(&described.replace("Content-Length: 0\r\n\r\n", &body));
    wire.sent();
    wire.events();
    wire.receive(&offer_of_peer(&prack, 2).text());
    assert!(is_offered(&mut wire));
    wire.accept(session).unwrap();
    assert_eq!(wire.words(), ["200 UPDATE"]);
    wire.receive(&response(&invite, 200, "p1", ""));
    assert_eq!(uri(&wire.one()), "sip:ben@new.example", "the ACK goes to the refreshed target");
    wire.receive(&from_peer(&prack, "OPTIONS", 2).text());
    assert_eq!(wire.words(), ["500 OPTIONS"], "the order of the early dialog goes on");
    wire.leave(session).unwrap();
    wire.finish();
}

/// R14: an UPDATE that waits when its INVITE gets 487, or its session ends, ends on its own; new ones are 481.
#[test]
fn an_update_that_waits_when_its_session_ends_is_answered() {
    let (mut wire, session, invite, ok) = answered();
    wire.receive(&offer(&invite, &ok, 8).text());
    wire.events();
    wire.leave(session).unwrap();
    assert_eq!(wire.words(), ["487 UPDATE", "BYE"]);
    wire.receive(&update(&invite, &ok, 9).text());
    assert_eq!(wire.words(), ["481 UPDATE"]);
    wire.finish();

    let (mut wire, _, invite, ok) = answered();
    wire.receive(&offer(&invite, &ok, 8).text());
    wire.events();
    wire.receive(&invite.within(&ok, "BYE", 9).text());
    assert_eq!(wire.words(), ["200 BYE", "487 UPDATE"]);
    assert_eq!(wire.ended(), Some((End::Released, Party::Remote, None)));
    wire.finish();

    let mut wire = Wire::new();
    let required = Request::invite("inv").with("Require: 100rel\r\n");
    wire.receive(&required.text());
    let session = wire.invited();
    wire.command(Command::Progress { session, status: 183, headers: Vec::new(), body: sdp() }).unwrap();
    let described = wire.one();
    wire.receive(&offer(&required, &described, 8).text());
    assert!(is_offered(&mut wire));
    wire.receive(&required.cancel().text());
    assert_eq!(wire.words(), ["200 CANCEL", "487 INVITE", "487 UPDATE"]);
    assert_eq!(wire.ended(), Some((End::Cancelled, Party::Remote, Some(487))));
    wire.receive(&update(&required, &described, 9).text());
    assert_eq!(wire.words(), ["481 UPDATE"]);
    wire.finish();
}

/// One offer at a time, whatever it comes in; and each request gets its one answer.
#[test]
fn a_prack_with_an_offer_waits_for_no_update() {
    let mut wire = Wire::new();
    let required = Request::invite("inv").with("Require: 100rel\r\n");
    wire.receive(&required.text());
    let session = wire.invited();
    wire.command(Command::Progress { session, status: 183, headers: Vec::new(), body: sdp() }).unwrap();
    let described = wire.one();
    wire.receive(&offer(&required, &described, 8).text());
    assert!(is_offered(&mut wire));
    let lines =
        format!("RAck: {} 7 INVITE\r\nContent-Type: application/sdp\r\n", text(&described, Name::RSeq));
    let prack = required.within(&described, "PRACK", 9).with(&lines);
    wire.receive(&Request { body: OFFER.into(), ..prack }.text());
    assert_eq!(wire.words(), ["500 PRACK"]);
    wire.accept(session).unwrap();
    assert_eq!(wire.words(), ["200 UPDATE"]);
    wire.refuse(session, 480).unwrap();
    wire.finish();
}

/// §5.2, RFC 6086 §4.2.2: nothing without a dialog, or in one that was declined.
#[test]
fn what_belongs_to_a_dialog_is_481_without_one() {
    let mut wire = Wire::new();
    for method in ["UPDATE", "INFO", "PRACK"] {
        let request = Request { method, ..Request::invite(method) }.with("RAck: 1 7 INVITE\r\n");
        wire.receive(&request.text());
        assert_eq!(wire.words(), [format!("481 {method}")]);
    }
    let session = wire.invite();
    let invite = wire.one();
    wire.answer(&invite, 200, "p1");
    wire.sent();
    wire.answer(&invite, 200, "p2");
    let declined = wire.sent().pop().expect("a BYE");
    for (number, method) in ["UPDATE", "INFO"].into_iter().enumerate() {
        let number = u32::try_from(number).unwrap() + 1;
        wire.receive(&from_peer(&declined, method, number).with(CONTACT).text());
        assert_eq!(wire.words(), [format!("481 {method}")]);
    }
    wire.leave(session).unwrap();
    wire.finish();
}

/// RFC 6086 §4.2.2: no Info Package is known here, an empty INFO is fine, and a body is for nobody.
#[test]
fn an_info_is_answered_by_what_it_holds() {
    let (mut wire, session, invite, ok) = answered();
    wire.receive(&invite.within(&ok, "INFO", 8).text());
    assert_eq!(wire.words(), ["200 INFO"]);
    let package = "Info-Package: dtmf\r\nContent-Type: application/dtmf-relay\r\n";
    wire.receive(&Request { body: "x".into(), ..invite.within(&ok, "INFO", 9).with(package) }.text());
    let refusal = wire.one();
    assert_eq!((word(&refusal).as_str(), refusal.value(Name::RecvInfo)), ("469 INFO", Some(&b""[..])));
    let body = "Content-Type: application/dtmf-relay\r\n";
    wire.receive(&Request { body: "x".into(), ..invite.within(&ok, "INFO", 10).with(body) }.text());
    let refusal = wire.one();
    assert_eq!((word(&refusal).as_str(), refusal.value(Name::Accept)), ("415 INFO", Some(&b""[..])));
    assert_eq!(wire.events(), []);
    wire.leave(session).unwrap();
    wire.finish();
}

/// RFC 3261 §12.2.2: every request within a dialog is in order, or 500; and §11.2: OPTIONS tells what is supported.
#[test]
fn every_request_within_a_dialog_keeps_the_order() {
    let (mut wire, session, invite, ok) = answered();
    wire.receive(&invite.within(&ok, "OPTIONS", 20).text());
    let options = wire.one();
    assert_eq!(text(&options, Name::Supported), "100rel, timer");
    assert!(options.lists(Name::Allow, b"INFO"));
    for method in ["OPTIONS", "INFO", "UPDATE", "MESSAGE", "NOTIFY", "REFER"] {
        wire.receive(&invite.within(&ok, method, 20).text());
        let refusal = wire.words();
        let expected = if method == "OPTIONS" { "200" } else { "500" }; // the first is a copy
        assert_eq!(refusal, [format!("{expected} {method}")]);
    }
    wire.receive(&invite.within(&ok, "MESSAGE", 21).text());
    assert_eq!(wire.words(), ["405 MESSAGE"]);
    wire.receive(&invite.within(&ok, "INFO", 21).text());
    assert_eq!(wire.words(), ["500 INFO"]);
    wire.leave(session).unwrap();
    wire.finish();
}
