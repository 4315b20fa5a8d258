//! Requests of the peer outside of any dialog that the user answers.

use bytes::Bytes;
use sip::message::{Body, Method, Name};
use sip::{Command, Event, Message, Misuse, Owner, ReceivedId};

use crate::wire::*;

fn wire() -> Wire {
    Wire::with(|config| config.methods = vec![Method::Message, Method::Publish, Method::Options])
}

/// A MESSAGE with a body of a type that no INVITE may have.
fn message(branch: &str) -> Request {
    let body = "hello".into();
    Request { body, ..Request::invite(branch).follow("MESSAGE") }.with("Content-Type: text/plain\r\n")
}

fn respond(wire: &mut Wire, request: ReceivedId, status: u16) -> Result<(), Misuse> {
    wire.command(Command::Respond { request, status, headers: Vec::new(), body: None })
}

/// The one request since the last question.
#[track_caller]
fn requested(wire: &mut Wire) -> (ReceivedId, Message) {
    let mut events = wire.events();
    assert_eq!(events.len(), 1, "{events:?}");
    let Event::Requested { request, message } = events.remove(0) else { panic!("not requested") };
    (request, message)
}

#[test]
fn a_message_reaches_the_user_and_is_answered_once() {
    let mut wire = wire();
    let request = message("m");
    wire.receive(&request.text());
    let (id, told) = requested(&mut wire);
    assert_eq!((told.method(), told.body()), (Some(Method::Message), &b"hello"[..]));
    wire.receive(&request.text());
    wire.quiet();
    let body =
        Some(Body { content_type: Bytes::from_static(b"text/plain"), bytes: Bytes::from_static(b"well") });
    let headers = headers(&[(Name::SipEtag, "e1")]);
    wire.command(Command::Respond { request: id, status: 202, headers, body }).unwrap();
    let answer = wire.one();
    assert_eq!((word(&answer), answer.body()), ("202 MESSAGE".into(), &b"well"[..]));
    assert_eq!((text(&answer, Name::SipEtag), answer.value(Name::Contact)), ("e1", None));
    wire.receive(&request.text());
    assert_eq!(wire.one().bytes(), answer.bytes());
    assert_eq!(respond(&mut wire, id, 200), Err(Misuse::NothingToAnswer));
    wire.advance(T1_64);
    wire.quiet();
    wire.finish();
}

/// RFC 3261 §8.2.1: Allow says what is taken; what is not stays 405.
#[test]
fn only_the_methods_that_are_configured_reach_the_user() {
    let mut wire = wire();
    let publish = Request::invite("p").follow("PUBLISH").with("Event: poc-settings\r\n");
    wire.receive(&publish.text());
    let (id, _) = requested(&mut wire);
    respond(&mut wire, id, 200).unwrap();
    assert_eq!(wire.words(), ["200 PUBLISH"]);
    wire.receive(&Request::invite("r").follow("REGISTER").text());
    let refused = wire.one();
    assert_eq!(word(&refused), "405 REGISTER");
    let allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, MESSAGE, PUBLISH";
    assert_eq!(text(&refused, Name::Allow), allow);
    wire.receive(&Request::invite("i").text());
    let session = wire.invited();
    wire.accept(session).unwrap();
    let ok = wire.one();
    assert_eq!(text(&ok, Name::Allow), allow);
    let within = Request::invite("i").within(&ok, "MESSAGE", 8);
    wire.receive(&within.text());
    let refused = wire.one();
    assert_eq!((word(&refused), values(&refused, Name::Allow).len()), ("405 MESSAGE".into(), 8));
    wire.receive(&Request { to_tag: "unknown".into(), ..message("x") }.text());
    assert_eq!(wire.words(), ["481 MESSAGE"]);
    wire.quiet();
    wire.finish();
}

/// RFC 4320 §4.1, §4.2.
#[test]
fn a_request_that_nobody_answers_is_100_and_then_500() {
    let mut wire = wire();
    wire.receive(&message("m").text());
    let (id, _) = requested(&mut wire);
    assert!(!wire.endpoint.is_settled());
    wire.advance(ms(3499));
    wire.quiet();
    wire.advance(ms(1));
    let trying = wire.one();
    assert_eq!((word(&trying), to_tag(&trying)), ("100 MESSAGE".into(), None));
    wire.advance(ms(12_499));
    wire.quiet();
    wire.advance(ms(1));
    assert_eq!(wire.words(), ["500 MESSAGE"]);
    assert!(wire.endpoint.is_settled());
    assert_eq!(respond(&mut wire, id, 200), Err(Misuse::NothingToAnswer));
    wire.finish();
}

/// R21: 200 to the CANCEL, and the request goes on.
#[test]
fn a_cancel_of_a_message_has_no_effect() {
    let mut wire = wire();
    let request = message("m");
    wire.receive(&request.text());
    let (id, _) = requested(&mut wire);
    wire.receive(&request.cancel().text());
    let cancelled = wire.one();
    assert_eq!(word(&cancelled), "200 CANCEL");
    assert_eq!(wire.events(), []);
    respond(&mut wire, id, 200).unwrap();
    let answer = wire.one();
    assert_eq!((word(&answer), to_tag(&answer)), ("200 MESSAGE".into(), to_tag(&cancelled)));
    wire.finish();
}

#[test]
fn no_more_requests_wait_than_there_is_room_for() {
    let mut wire = Wire::with(|config| {
        config.methods = vec![Method::Message];
        config.received_max = 1;
    });
    wire.receive(&message("one").text());
    let (id, _) = requested(&mut wire);
    wire.receive(&message("two").text());
    let refused = wire.one();
    assert_eq!((word(&refused), text(&refused, Name::RetryAfter)), ("503 MESSAGE".into(), "5"));
    wire.quiet();
    respond(&mut wire, id, 200).unwrap();
    wire.receive(&message("two").text());
    requested(&mut wire);
    wire.finish();
}

/// §8.2.2.2.
#[test]
fn a_message_that_comes_twice_over_two_ways_is_482() {
    let mut wire = wire();
    let first = message("one");
    wire.receive(&first.text());
    requested(&mut wire);
    wire.receive(&Request { via: first.via.replace("one", "two"), ..first }.text());
    assert_eq!(wire.words(), ["482 MESSAGE"]);
    wire.quiet();
    wire.finish();
}

#[test]
fn an_answer_that_cannot_be_sent_is_refused_and_changes_nothing() {
    let mut wire = wire();
    wire.receive(&message("m").text());
    let (id, _) = requested(&mut wire);
    for status in [100, 199, 408, 700] {
        assert_eq!(respond(&mut wire, id, status), Err(Misuse::Status));
    }
    let headers = headers(&[(Name::Contact, "<sip:a@b>")]);
    let refused = wire.command(Command::Respond { request: id, status: 200, headers, body: None });
    assert_eq!(refused, Err(Misuse::HeaderLine));
    wire.quiet();
    respond(&mut wire, id, 200).unwrap();
    wire.finish();
}

/// Seam 5.
#[test]
fn a_request_that_waits_shows_in_the_canonical_view() {
    let views = ["a", "b"].map(|tag| {
        let mut wire = wire();
        let request = Request { from_tag: tag.into(), ..message("m") };
        wire.receive(&request.text());
        requested(&mut wire);
        let view = wire.endpoint.canonical(sip::Instant::at(wire.now), &[Owner::default()]);
        wire.finish();
        view
    });
    assert_ne!(views[0], views[1]);
    assert!(!views[0].as_str().contains('\u{2}'));
}
