//! Requests of ours outside of any dialog.

use bytes::Bytes;
use sip::message::{Body, Method, Name};
use sip::transport::{ConnectionId, Target, Transport};
use sip::usage::End;
use sip::{Command, Credentials, Event, Input, Invite, Message, Misuse, Request, RequestId};

use crate::wire::*;

const ID: RequestId = RequestId(7);
const SECOND: &str = "192.0.2.10:5060";

fn target(transport: Transport, text: &str) -> Target {
    Target { transport, remote: address(text) }
}

fn options() -> Request {
    Request {
        id: ID,
        method: Method::Options,
        uri: Bytes::from_static(b"sip:ben@192.0.2.9"),
        from: Bytes::from_static(b"<sip:anna@example.com>"),
        to: Bytes::from_static(b"<sip:ben@example.com>"),
        targets: vec![target(Transport::Udp, PEER), target(Transport::Udp, SECOND)],
        routes: Vec::new(),
        headers: headers(&[(Name::Accept, "application/sdp")]),
        body: None,
        call_id: None,
        cseq: None,
        contact: None,
        hops: None,
    }
}

fn ask(wire: &mut Wire, request: Request) -> Result<(), Misuse> {
    wire.command(Command::Request(Box::new(request)))
}

/// The one answer since the last question.
fn answered(wire: &mut Wire) -> (RequestId, Option<u16>, Option<End>) {
    let mut events = wire.events();
    assert_eq!(events.len(), 1, "{events:?}");
    let Event::Answered { request, response, end } = events.remove(0) else { panic!("not answered") };
    (request, response.as_ref().and_then(Message::status), end)
}

/// RFC 3261 §8.1.1.6; RFC 7332 §5: who passes something on says how far it may still go.
#[test]
fn a_request_and_an_invite_may_have_fewer_hops_in_each_attempt() {
    let mut wire = Wire::new();
    wire.hops = "12";
    ask(&mut wire, Request { hops: Some(12), ..options() }).unwrap();
    let first = wire.one();
    wire.answer(&first, 503, "p1");
    assert_eq!([&first, &wire.one()].map(Message::hops), [Some(12); 2]);
    let session = wire.invite_with(Invite { hops: Some(12), ..invitation() });
    let invite = wire.one();
    assert_eq!(invite.hops(), Some(12));
    wire.answer(&invite, 180, "p1");
    wire.cancel(session).unwrap();
    assert_eq!(wire.one().hops(), Some(70), "a CANCEL goes one hop");
    wire.finish();
}

#[test]
fn options_and_message_are_sent_and_answered_once() {
    for method in [Method::Options, Method::Message] {
        let mut wire = Wire::new();
        let body = (method == Method::Message).then(|| Body {
            content_type: Bytes::from_static(b"text/plain"),
            bytes: Bytes::from_static(b"hello"),
        });
        ask(&mut wire, Request { method, body: body.clone(), ..options() }).unwrap();
        let request = wire.one();
        assert_eq!(request.method(), Some(method));
        assert_eq!(text(&request, Name::CSeq), format!("1 {}", method.as_str()));
        assert_eq!(request.body(), body.map(|body| body.bytes).unwrap_or_default());
        assert!(to_tag(&request).is_none() && !from_tag(&request).is_empty());
        wire.answer(&request, 100, "");
        wire.quiet();
        for _ in 0..2 {
            wire.answer(&request, 200, "p1");
        }
        assert_eq!(answered(&mut wire), (ID, Some(200), None));
        assert!(wire.finish().is_empty());
    }
}

/// The Call-ID and the number may continue what was before; a challenge adds one.
#[test]
fn a_challenged_request_is_sent_again_with_credentials() {
    let mut wire = Wire::with(|config| {
        config.credentials = vec![Credentials {
            realm: Some(Bytes::from_static(b"core")),
            username: Bytes::from_static(b"anna"),
            secret: Bytes::from_static(b"secret"),
        }];
    });
    let call_id = Some(Bytes::from_static(b"mine@here"));
    ask(&mut wire, Request { method: Method::Register, call_id, cseq: Some(41), ..options() }).unwrap();
    let first = wire.one();
    assert_eq!((text(&first, Name::CallId), text(&first, Name::CSeq)), ("mine@here", "41 REGISTER"));
    let challenge = "WWW-Authenticate: Digest realm=\"core\", nonce=\"n1\", qop=\"auth\"\r\n";
    wire.receive(&response(&first, 401, "p1", challenge));
    let second = wire.one();
    assert_eq!((text(&second, Name::CallId), text(&second, Name::CSeq)), ("mine@here", "42 REGISTER"));
    assert_eq!(text(&first, Name::From), text(&second, Name::From));
    assert_ne!(branch(&first), branch(&second));
    assert!(text(&second, Name::Authorization).contains("nonce=\"n1\""));
    wire.receive(&response(&second, 401, "p1", &challenge.replace("n1", "n2")));
    assert_eq!(wire.words(), [""; 0]);
    assert_eq!(answered(&mut wire), (ID, Some(401), None));
    wire.finish();
}

/// RFC 3263 §4.3.
#[test]
fn a_503_and_silence_lead_to_the_next_target() {
    let mut wire = Wire::new();
    ask(&mut wire, options()).unwrap();
    let first = wire.one();
    wire.answer(&first, 503, "p1");
    let second = wire.log().remove(0);
    assert_eq!(second.path, udp(SECOND));
    assert_eq!(text(&second.message, Name::CSeq), text(&first, Name::CSeq));
    assert_ne!(branch(&second.message), branch(&first));
    wire.advance(T1_64);
    assert_eq!(answered(&mut wire), (ID, None, Some(End::TimedOut)));
    wire.sent();
    assert!(wire.finish().is_empty());

    let mut wire = Wire::new();
    ask(&mut wire, options()).unwrap();
    wire.advance(T1_64);
    assert_eq!(wire.log().pop().unwrap().path, udp(SECOND));
    wire.finish();
}

#[test]
fn a_transport_that_fails_is_told_when_nothing_is_left() {
    let mut wire = Wire::new();
    ask(&mut wire, Request { targets: vec![target(Transport::Tcp, PEER)], ..options() }).unwrap();
    wire.one();
    wire.input(Input::ConnectionRefused { connection: ConnectionId::Opened(1) }).unwrap();
    assert_eq!(answered(&mut wire), (ID, None, Some(End::TransportFailed)));
    wire.finish();
}

/// §18.1.1: TCP for what is long, and UDP after all if that is refused.
#[test]
fn a_long_request_goes_by_tcp_and_comes_back_to_udp_when_that_is_refused() {
    let mut wire = Wire::new();
    let body =
        Some(Body { content_type: Bytes::from_static(b"text/plain"), bytes: Bytes::from("x".repeat(1300)) });
    ask(&mut wire, Request { method: Method::Message, body, ..options() }).unwrap();
    assert_eq!(wire.log()[0].path.transport, Transport::Tcp);
    wire.input(Input::ConnectionRefused { connection: ConnectionId::Opened(1) }).unwrap();
    let by_udp = wire.log().remove(0);
    assert_eq!(by_udp.path, udp(PEER));
    wire.answer(&by_udp.message, 200, "p1");
    assert_eq!(answered(&mut wire), (ID, Some(200), None));
    wire.finish();
}

#[test]
fn what_cannot_be_asked_for_is_refused_and_changes_nothing() {
    let mut wire = Wire::new();
    for method in [Method::Invite, Method::Ack, Method::Cancel, Method::Bye, Method::Other] {
        assert_eq!(ask(&mut wire, Request { method, ..options() }), Err(Misuse::Method));
    }
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    for (request, misuse) in [
        (Request { targets: Vec::new(), ..options() }, Misuse::NoTarget),
        (Request { targets: vec![target(Transport::Tls, PEER)], ..options() }, Misuse::NoListener),
        (Request { uri: bytes("sip:a@b?x=y"), ..options() }, Misuse::Address),
        (Request { uri: bytes("sip:a@b\r\n"), ..options() }, Misuse::Address),
        (Request { from: bytes("<sip:a@b>;tag=1"), ..options() }, Misuse::Address),
        (Request { call_id: Some(bytes("a b")), ..options() }, Misuse::HeaderLine),
        (Request { cseq: Some(u32::MAX), ..options() }, Misuse::HeaderLine),
        (Request { headers: headers(&[(Name::Via, "x")]), ..options() }, Misuse::HeaderLine),
        (Request { contact: Some(bytes("expires=1")), ..options() }, Misuse::HeaderLine),
        (Request { contact: Some(bytes(";a=b\r\nVia: x")), ..options() }, Misuse::HeaderLine),
        (Request { contact: Some(bytes(";a, <sip:b@c>")), ..options() }, Misuse::HeaderLine),
    ] {
        assert_eq!(ask(&mut wire, request), Err(misuse));
    }
    assert!(wire.endpoint.is_empty());
    wire.quiet();
    ask(&mut wire, options()).unwrap();
    assert_eq!(ask(&mut wire, options()), Err(Misuse::Busy));
    let request = wire.one();
    wire.answer(&request, 404, "p1");
    assert_eq!(answered(&mut wire), (ID, Some(404), None));
    assert_eq!(ask(&mut wire, options()), Ok(()), "the name is free again");
    let request = wire.one();
    wire.answer(&request, 200, "p1");
    wire.finish();
}

/// §10.2: each registration, and what is asked otherwise, comes from the same Contact; on each way its address.
#[test]
fn a_register_names_a_contact_that_stays_the_same() {
    let mut wire = Wire::new();
    let contact = Some(Bytes::from_static(b";+g.poc.talkburst;expires=3600"));
    let targets = vec![target(Transport::Tcp, SECOND), target(Transport::Udp, PEER)];
    ask(&mut wire, Request { method: Method::Register, contact: contact.clone(), targets, ..options() })
        .unwrap();
    let first = wire.one();
    let (user, rest) = text(&first, Name::Contact).split_once('@').unwrap();
    assert_eq!(rest, "192.0.2.1:5060;transport=tcp>;+g.poc.talkburst;expires=3600");
    wire.input(Input::ConnectionRefused { connection: ConnectionId::Opened(1) }).unwrap();
    let second = wire.one();
    let expected = format!("{user}@192.0.2.1:5060>;+g.poc.talkburst;expires=3600");
    assert_eq!(text(&second, Name::Contact), expected);
    wire.answer(&second, 200, "p1");
    ask(&mut wire, Request { id: RequestId(8), contact: Some(Bytes::new()), ..options() }).unwrap();
    let third = wire.one();
    assert_eq!(text(&third, Name::Contact), format!("{user}@192.0.2.1:5060>"));
    ask(&mut wire, Request { id: RequestId(9), ..options() }).unwrap();
    assert_eq!(wire.one().value(Name::Contact), None);
    wire.finish();
}
