//! The binary, from outside: what goes by way of a server, which a socket plays.
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod program;

use std::net::SocketAddr;
use std::time::Duration;

use program::{Peer, Program, end, kinds, run, scratch};
use serde_json::Value;
use sip::Message;
use sip::message::Name;

/// What a server says to a REGISTER.
const GRANTED: &str = "Expires: 3600\r\nService-Route: <sip:orig@home.test;lr>\r\nContent-Length: 0\r\n\r\n";

const PUBLISHED: &str = "SIP-ETag: one\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n";

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 45202 RTP/AVP 97\r\n\
    a=rtpmap:97 AMR/8000\r\na=fmtp:97 octet-align=1\r\nm=application 25465 udp TBCP\r\na=fmtp:TBCP queuing=0\r\n";

/// The next request, which has this method.
fn expect(peer: &Peer, method: &str) -> (Message, SocketAddr) {
    let (request, from) = peer.request();
    assert_eq!(String::from_utf8_lossy(request.method_text()), method);
    (request, from)
}

fn value(message: &Message, name: Name) -> String {
    String::from_utf8(message.value(name).unwrap_or_default().to_vec()).unwrap()
}

/// Takes the REGISTER and the PUBLISH of a program that begins; returns the latter.
fn take_in(peer: &Peer) -> Message {
    let (register, from) = expect(peer, "REGISTER");
    // Who waits for invitations takes group advertisements too, and says so.
    let contact = value(&register, Name::Contact).replace(";+g.poc.groupad", "");
    assert!(contact.ends_with(";+g.poc.talkburst;expires=3600"), "{contact}");
    peer.answer_with(&register, from, 200, GRANTED);
    let (publish, from) = expect(peer, "PUBLISH");
    peer.answer_with(&publish, from, 200, PUBLISHED);
    publish
}

/// Takes the two that end it.
fn let_go(peer: &Peer) {
    let (publish, from) = expect(peer, "PUBLISH");
    assert_eq!(
        (value(&publish, Name::Expires), value(&publish, Name::SipIfMatch)),
        ("0".into(), "one".into())
    );
    peer.answer_with(&publish, from, 200, PUBLISHED);
    let (register, from) = expect(peer, "REGISTER");
    assert!(value(&register, Name::Contact).ends_with(";expires=0"));
    peer.answer(&register, from, 200);
}

fn call(address: SocketAddr, arguments: &[&str]) -> Program {
    let server = address.to_string();
    Program::start(&[&["call", "ben", "--user", "anna@home.test", "--server", &server], arguments].concat())
}

fn answer(address: SocketAddr, arguments: &[&str]) -> Program {
    let server = address.to_string();
    let listen =
        ["answer", "--listen", "127.0.0.1:0", "--user", "ben", "--domain", "home.test", "--server", &server];
    Program::start(&[&listen, arguments].concat())
}

/// An INVITE that the server sends to the client that is registered at `to`.
fn invite(peer: &Peer, to: SocketAddr, lines: &str) -> Message {
    let address = peer.socket.local_addr().unwrap();
    let text = format!(
        "INVITE sip:ben@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bKserver1\r\nMax-Forwards: 70\r\n\
         From: <sip:anna@home.test>;tag=a1\r\nTo: <sip:ben@home.test>\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:ps1@{address};session=1-1>;+g.poc.talkburst;isfocus\r\n{lines}Content-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{SDP}",
        SDP.len()
    );
    peer.socket.send_to(text.as_bytes(), to).unwrap();
    Message::parse(text.into_bytes().into()).unwrap()
}

fn status(peer: &Peer) -> Option<u16> {
    peer.request().0.status()
}

fn names(events: &[Value]) -> Vec<&str> {
    kinds(events)
}

#[test]
fn a_call_registers_publishes_goes_the_way_of_the_service_route_and_leaves_nothing_behind() {
    let (peer, address) = Peer::open();
    let call = call(address, &["--override", "--cancel-after", "1s"]);
    take_in(&peer);
    let (invite, from) = expect(&peer, "INVITE");
    assert_eq!(String::from_utf8_lossy(invite.uri_text()), "sip:ben@home.test");
    assert_eq!(value(&invite, Name::Route), "<sip:orig@home.test;lr>");
    assert_eq!(value(&invite, Name::PrivAnswerMode), "Auto");
    peer.answer(&invite, from, 180);
    let (cancel, _) = expect(&peer, "CANCEL");
    assert_eq!(value(&cancel, Name::Route), value(&invite, Name::Route));
    peer.answer(&cancel, from, 200);
    peer.answer(&invite, from, 487);
    expect(&peer, "ACK");
    let_go(&peer);
    let (code, events, said) = call.exit();
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert_eq!(end(&events), ("cancelled", "local", Some(487)));
    let expected = [
        "listening",
        "registered",
        "calling",
        "published",
        "progress",
        "cancelling",
        "ended",
        "deregistered",
    ];
    let mut found = names(&events);
    found.sort_by_key(|name| expected.iter().position(|each| each == name));
    assert_eq!(found, expected, "the server decides how early it is published");
    assert_eq!(events[1]["user"], "sip:anna@home.test");
    assert_eq!(events[1]["seconds"], 3600);
    assert_eq!(events.last().unwrap()["status"], 200);
}

#[test]
fn by_way_of_a_factory_the_invited_user_stands_in_a_list() {
    let (peer, address) = Peer::open();
    let call = call(address, &["--factory", "poc-factory@home.test"]);
    take_in(&peer);
    let (invite, from) = expect(&peer, "INVITE");
    assert_eq!(String::from_utf8_lossy(invite.uri_text()), "sip:poc-factory@home.test");
    assert!(String::from_utf8_lossy(invite.body()).contains("<entry uri=\"sip:ben@home.test\"/>"));
    peer.answer(&invite, from, 480);
    expect(&peer, "ACK");
    let_go(&peer);
    assert_eq!(call.exit().0, Some(5));
}

const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"home.test\", nonce=\"n1\", algorithm=SHA-256\r\n\
    Content-Length: 0\r\n\r\n";

#[test]
fn a_registrar_that_asks_for_a_password_gets_an_answer() {
    let file = scratch("registering-password");
    std::fs::write(&file, "secret\n").unwrap();
    let (peer, address) = Peer::open();
    let answer = answer(address, &["--password-file", file.to_str().unwrap()]);
    let (register, from) = expect(&peer, "REGISTER");
    peer.answer_with(&register, from, 401, CHALLENGE);
    let (register, from) = expect(&peer, "REGISTER");
    assert!(value(&register, Name::Authorization).contains("username=\"ben\""));
    // Refused all the same: once, and not again.
    peer.answer_with(&register, from, 401, &CHALLENGE.replace("n1", "n2"));
    let (code, events, said) = answer.exit();
    std::fs::remove_file(file).unwrap();
    assert_eq!((code, names(&events)), (Some(7), vec!["listening", "registration-failed"]));
    assert_eq!((&events[1]["status"], &events[1]["seconds_to_retry"]), (&Value::from(401), &Value::Null));
    assert!(said.contains("failed to register: 401"), "{said}");
    assert_eq!(peer.methods_within(Duration::from_millis(50)), Vec::<String>::new());
}

#[test]
fn an_answering_client_publishes_how_it_answers_and_is_cancelled_by_way_of_the_server() {
    let (peer, address) = Peer::open();
    let mut answer = answer(address, &["--manual", "--once"]);
    let publish = take_in(&peer);
    assert_eq!(String::from_utf8_lossy(publish.uri_text()), "sip:ben@home.test");
    assert!(String::from_utf8_lossy(publish.body()).contains("<answer-mode>manual</answer-mode>"));
    let to = answer.until("listening")["udp"].as_str().unwrap().parse().unwrap();
    answer.until("published");
    // Nobody trusts an INVITE that comes from anywhere.
    invite(&peer, to, "Answer-Mode: Auto\r\n");
    assert_eq!(status(&peer), Some(180));
    let cancel = format!(
        "CANCEL sip:ben@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bKserver1\r\nMax-Forwards: 70\r\n\
         From: <sip:anna@home.test>;tag=a1\r\nTo: <sip:ben@home.test>\r\nCall-ID: c1\r\nCSeq: 1 CANCEL\r\n\
         Content-Length: 0\r\n\r\n"
    );
    peer.socket.send_to(cancel.as_bytes(), to).unwrap();
    assert_eq!([status(&peer), status(&peer)], [Some(200), Some(487)]);
    let ack = cancel.replace("CANCEL", "ACK");
    peer.socket.send_to(ack.as_bytes(), to).unwrap();
    // Copies of the 487 may have left before the ACK.
    let (publish, from) = loop {
        let (message, from) = peer.request();
        if message.status().is_none() {
            break (message, from);
        }
    };
    peer.answer_with(&publish, from, 200, PUBLISHED);
    let (register, from) = expect(&peer, "REGISTER");
    peer.answer(&register, from, 200);
    let (code, events, _) = answer.exit();
    assert_eq!((code, end(&events)), (Some(0), ("cancelled", "remote", Some(487))));
}

#[test]
fn a_server_that_is_trusted_makes_a_manual_client_answer() {
    let (peer, address) = Peer::open();
    let mut answer = answer(address, &["--manual", "--trust-server"]);
    take_in(&peer);
    let to = answer.until("listening")["udp"].as_str().unwrap().parse().unwrap();
    answer.until("published");
    // As a PoC Server writes it: without the feature tag nobody has checked who may override.
    let accept_contact = "Accept-Contact: *;+g.poc.talkburst;require;explicit\r\n";
    invite(&peer, to, &format!("Priv-Answer-Mode: Auto;require\r\n{accept_contact}"));
    assert_eq!(status(&peer), Some(200));
    assert_eq!(answer.until("invited")["answer_mode"], "automatic");
}

#[test]
fn a_registrar_that_is_silent_ends_a_call_and_not_an_answering_client() {
    let (peer, address) = Peer::open();
    let call = call(address, &["--t1", "5ms"]);
    let (code, events, said) = call.exit();
    assert_eq!(code, Some(7));
    assert_eq!(names(&events), ["listening", "registration-failed", "deregistered"]);
    assert!(said.contains("failed to register: no answer"), "{said}");
    let methods = peer.methods_within(Duration::from_millis(50));
    assert!(methods.iter().all(|method| method == "REGISTER"), "{methods:?}");

    let mut answer = answer(address, &["--t1", "5ms"]);
    assert!(answer.until("registration-failed")["seconds_to_retry"].as_u64() >= Some(30));
    answer.signal("INT");
    let (code, events, _) = answer.exit();
    assert_eq!((code, *names(&events).last().unwrap()), (Some(0), "deregistered"));
    assert_eq!(events.last().unwrap()["status"], Value::Null, "it may stand still");
}

/// The end is waited for 16*T1.
#[test]
fn a_server_that_falls_silent_does_not_hold_the_end_up_for_long() {
    let (peer, address) = Peer::open();
    let mut answer = answer(address, &["--t1", "10ms"]);
    take_in(&peer);
    answer.until("published");
    answer.signal("INT");
    let begun = std::time::Instant::now();
    assert_eq!(answer.exit().0, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    for arguments in [
        &["call", "ben", "--server", "127.0.0.1"][..],
        &["call", "ben", "--user", "anna@a", "--server", "127.0.0.1", "--proxy", "127.0.0.1"],
        &["call", "ben", "--user", "anna@a", "--domain", "b"],
        &["call", "ben", "--user", "anna@a", "--factory", "sip:f@a"],
        &["answer", "--trust-server"],
        &["answer", "--user", "anna@a", "--server", "sips:b"],
        &["call", "ben", "--user", "anna", "--domain", "a b", "--server", "127.0.0.1"],
    ] {
        let (code, _, said) = run(arguments);
        assert!(matches!(code, Some(2 | 4)), "{arguments:?}: {code:?} {said}");
    }
}
