//! What a user agent server owes everybody: RFC 3261 §8.2, §17.2, and the torture messages of RFC 4475 and RFC 5118.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use sip::message::{Method, Name};
use sip::usage::{End, Party};
use sip::{Command, Event, Input, Instant, Message};

use crate::wire::*;

/// §17.2.1: 100 after 200 ms unless the user is quicker, and for a copy of the INVITE before.
#[test]
fn a_slow_user_sends_100_after_200_ms() {
    let mut wire = Wire::new();
    let invite = Request::invite("inv").with("Timestamp: 54\r\n");
    wire.receive(&invite.text());
    let session = wire.invited();
    wire.advance(ms(199));
    wire.quiet();
    wire.advance(ms(1));
    let trying = wire.one();
    assert_eq!((trying.status(), to_tag(&trying), text(&trying, Name::Timestamp)), (Some(100), None, "54"));
    wire.receive(&invite.text());
    assert_eq!(wire.one().bytes(), trying.bytes());
    wire.ring(session);
    let ringing = wire.one();
    wire.receive(&invite.text());
    assert_eq!(wire.one().bytes(), ringing.bytes());
    wire.advance(ms(5000));
    wire.quiet();
    wire.refuse(session, 480).unwrap();
    wire.finish();

    let mut wire = Wire::new();
    wire.receive(&invite.text());
    let session = wire.invited();
    wire.ring(session);
    wire.advance(ms(1000));
    assert_eq!(wire.words(), ["180 INVITE"]);
    wire.refuse(session, 480).unwrap();
    wire.finish();
}

/// §8.2.2.2: the same INVITE over two ways: 482 to the second; C62.
#[test]
fn an_invite_that_comes_twice_over_two_ways_is_482() {
    let mut wire = Wire::new();
    let first = Request::invite("one");
    wire.receive(&first.text());
    let session = wire.invited();
    let second = Request { via: first.via.replace("one", "two"), ..first.clone() };
    wire.receive(&second.text());
    assert_eq!(wire.words(), ["482 INVITE"]);
    assert_eq!(wire.events(), []);
    wire.refuse(session, 480).unwrap();
    wire.finish();
}

/// §12.2.2, §15.1.2: what belongs to no dialog is 481, whatever its method; an ACK is never answered.
#[test]
fn requests_of_no_dialog_are_481() {
    let mut wire = Wire::new();
    for method in ["BYE", "INVITE", "OPTIONS", "INFO", "UPDATE", "PRACK", "REFER", "NOTIFY"] {
        wire.receive(&Request { to_tag: "none".into(), ..Request::invite(method).follow(method) }.text());
        assert_eq!(wire.words(), [format!("481 {method}")]);
    }
    wire.receive(&Request::invite("bare").follow("BYE").text());
    assert_eq!(wire.words(), ["481 BYE"]);
    wire.receive(&Request::invite("ack").follow("ACK").text());
    wire.quiet();
    wire.finish();
}

/// §8.2.1 to §8.2.3, §11.2: the methods, schemes, extensions, bodies and answers that are not known here, each with its header.
#[test]
fn what_is_not_known_is_refused_by_its_own_status() {
    let cases = [
        (Request::invite("a").follow("REGISTER"), 405, Name::Allow),
        (Request::invite("b").follow("MESSAGE"), 405, Name::Allow),
        (Request::invite("c").follow("WEIRD"), 501, Name::Allow),
        (Request::invite("d").follow("OPTIONS"), 200, Name::Allow),
        (Request { uri: "tel:+1".into(), ..Request::invite("e") }, 416, Name::Via),
        (Request::invite("f").with("Require: x, y\r\n"), 420, Name::Unsupported),
        (Request { lines: "Content-Type: text/x\r\n".into(), ..Request::invite("g") }, 415, Name::Accept),
        (Request::invite("h").with("Content-Encoding: gzip\r\n"), 415, Name::AcceptEncoding),
        (Request::invite("i").with("Accept: text/x\r\n"), 406, Name::Accept),
        (Request::invite("j").with("Expires: soon\r\n"), 400, Name::Via),
        (Request::invite("k").follow("OPTIONS").with("Require: x\r\n"), 420, Name::Unsupported),
    ];
    let mut wire = Wire::new();
    for (request, status, header) in cases {
        wire.receive(&request.text());
        let answer = wire.one();
        assert_eq!(answer.status(), Some(status), "{answer:?}");
        assert!(answer.value(header).is_some() && to_tag(&answer).is_some(), "{answer:?}");
        if status == 420 {
            assert!(text(&answer, Name::Unsupported).starts_with('x'));
        }
        // Copies get the same answer.
        wire.receive(&request.text());
        assert_eq!(wire.one().bytes(), answer.bytes());
    }
    assert_eq!(wire.events(), []);
    wire.finish();
}

/// §20.11: a body whose handling is optional is no reason to refuse.
#[test]
fn an_optional_body_of_a_strange_type_is_ignored() {
    for (disposition, is_taken) in [("handling=optional", true), ("handling=required", false), ("x=y", false)]
    {
        let lines = format!(
            "{CONTACT}Content-Type: text/x\r\nContent-Encoding: gzip\r\nContent-Disposition: render;{disposition}\r\n"
        );
        let mut wire = Wire::new();
        wire.receive(&Request { lines, ..Request::invite("a") }.text());
        if is_taken {
            let session = wire.invited();
            wire.refuse(session, 480).unwrap();
        } else {
            assert_eq!(wire.words(), ["415 INVITE"], "{disposition}");
        }
        wire.finish();
    }
}

/// §18.2.1, §18.2.2, RFC 3581: where the answer goes.
#[test]
fn answers_go_to_the_source_and_to_the_port_that_is_asked_for() {
    for (via, from, to) in [
        ("SIP/2.0/UDP 10.0.0.1:6000;branch=z9hG4bKa;rport", "192.0.2.9:4444", "192.0.2.9:4444"),
        ("SIP/2.0/UDP 10.0.0.1:6000;branch=z9hG4bKa", "192.0.2.9:4444", "192.0.2.9:6000"),
        ("SIP/2.0/UDP ben.example;branch=z9hG4bKa", "192.0.2.9:4444", "192.0.2.9:5060"),
        ("SIP/2.0/UDP 10.0.0.1;maddr=203.0.113.9;branch=z9hG4bKa", "192.0.2.9:4444", "192.0.2.9:5060"),
    ] {
        let mut wire = Wire::new();
        wire.receive_on(
            udp(from),
            &Request { via: via.into(), ..Request::invite("a").follow("OPTIONS") }.text(),
        );
        let log = wire.log();
        assert_eq!(log[0].path, udp(to), "{via}");
        assert_eq!(log[0].message.via().unwrap().parameters.value(b"received"), Some(&b"192.0.2.9"[..]));
        wire.finish();
    }
}

/// A full endpoint: 503 with Retry-After, and nothing is kept; what is under way goes on, CANCEL too (I14, item 13).
#[test]
fn a_full_endpoint_answers_503_and_keeps_nothing() {
    let mut wire = Wire::with(|config| config.transactions_max = 2);
    let invites = ["one", "two", "three"].map(Request::invite);
    wire.receive(&invites[0].text());
    let first = wire.invited();
    wire.receive(&invites[1].text());
    let second = wire.invited();
    let before = wire.endpoint.canonical(sip::Instant::START, &[]);
    for _ in 0..2 {
        wire.receive(&invites[2].text());
        let answer = wire.one();
        assert_eq!((answer.status(), text(&answer, Name::RetryAfter)), (Some(503), "5"));
        wire.receive(&invites[2].ack(&answer).text());
        wire.quiet();
    }
    assert_eq!(wire.endpoint.canonical(sip::Instant::START, &[]), before);
    wire.receive(&invites[0].cancel().text());
    assert_eq!(wire.words(), ["200 CANCEL", "487 INVITE"]);
    assert_eq!(wire.ended(), Some((End::Cancelled, Party::Remote, Some(487))));
    assert!(wire.leave(first).is_err());
    wire.refuse(second, 480).unwrap();
    wire.finish();
}

/// §8.1.3.3, §17.1.3, §18.1.2: responses that are for somebody else.
#[test]
fn stray_responses_are_dropped() {
    let mut wire = Wire::new();
    let session = wire.invite();
    let invite = wire.one();
    let ok = response(&invite, 200, "p1", CONTACT);
    wire.receive(&ok.replacen("Via: ", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKother\r\nVia: ", 1));
    wire.receive(&ok.replace("z9hG4bK", "z9hG4bK0"));
    wire.receive(&ok.replace("1 INVITE", "1 BYE"));
    wire.receive(&ok.replacen("From: ", "From: \"", 1));
    let mut two_vias = ok.replacen("From: ", "Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bKx\r\nFrom: ", 1);
    wire.receive(&two_vias);
    two_vias.clear();
    wire.quiet();
    wire.cancel(session).unwrap();
    wire.finish();
}

/// RFC 4475, RFC 5118: what a user agent server answers to each message of the corpus, as `expectations.tsv` has it.
#[test]
fn the_torture_messages_are_answered_as_the_rfcs_ask() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture");
    let table = fs::read_to_string(folder.join("expectations.tsv")).expect("the table of expectations");
    for line in table.lines().skip(1) {
        let columns: Vec<_> = line.split('\t').collect();
        let [file, kind, verdict, statuses, ..] = columns[..] else { panic!("{line}") };
        let octets = Bytes::from(fs::read(folder.join(file)).expect("the corpus is part of the repository"));
        let listed: Vec<u16> = statuses.split('|').filter_map(|status| status.parse().ok()).collect();
        let (answers, is_invited) = answers_to(&octets);
        let message = Message::parse(octets.clone());
        let begins = |message: &Message| message.is(Method::Invite) && to_tag(message).is_none();
        let is_invite = message.is_ok_and(|message| message.validate().is_ok() && begins(&message));
        if kind == "response" {
            assert_eq!((answers, is_invited), (vec![], false), "{file}");
            continue;
        }
        match (verdict, element(file)) {
            (_, Some(status)) => assert_eq!(answers, [status], "{file}"),
            ("reject", _) => {
                assert!(
                    !is_invited && answers.len() == 1 && listed.contains(&answers[0]),
                    "{file}: {answers:?}"
                );
            }
            ("either", _) if !is_invited => assert_eq!(answers.len(), 1, "{file}"),
            _ if is_invite => assert!(is_invited && answers.is_empty(), "{file}: {answers:?}"),
            _ => assert!(!is_invited && answers.len() == 1 && answers[0] != 400, "{file}: {answers:?}"),
        }
    }
}

/// What this element, a user agent server without registrar, answers; and the messages of which no way back can be read.
fn element(file: &str) -> Option<u16> {
    let (_, name) = file.split_once('/').expect("a folder");
    Some(match name.trim_end_matches(".dat") {
        "intmeth" | "esc02" => 501,
        "unkscm" | "novelsc" => 416,
        "unksm2" | "regaut01" | "cparam01" | "cparam02" | "regescrt" => 405,
        "bext01" => 420,
        "invut" => 415,
        "sdp01" => 406,
        "zeromf" => 200,
        _ => return None,
    })
}

/// The statuses of what is sent in answer to one datagram, and whether it reached the user.
fn answers_to(octets: &Bytes) -> (Vec<u16>, bool) {
    let mut wire = Wire::new();
    let at = Instant::at(wire.now);
    let input = Input::Datagram { path: udp(PEER), bytes: octets.clone() };
    wire.endpoint.handle_input(at, input).expect("only commands are refused");
    let sent = std::iter::from_fn(|| wire.endpoint.poll_transmit());
    let answers =
        sent.map(|sent| Message::parse(sent.bytes).expect("ours").status().expect("a response")).collect();
    let mut is_invited = false;
    while let Some(event) = wire.endpoint.poll_event() {
        let Event::Invited { session, .. } = event else { continue };
        is_invited = true;
        let refuse = Command::Refuse { session, status: 480, headers: Vec::new(), body: None };
        wire.endpoint.handle_input(at, Input::Command(refuse)).expect("alerting");
    }
    while wire.endpoint.poll_transmit().is_some() || wire.endpoint.poll_event().is_some() {}
    wire.finish_unread();
    (answers, is_invited)
}

/// I14 for what ends a session: a BYE is taken even where there is no room for a transaction.
#[test]
fn a_full_endpoint_still_takes_a_bye() {
    let mut wire = Wire::with(|config| config.transactions_max = 1);
    let invite = Request::invite("inv");
    wire.receive(&invite.text());
    let session = wire.invited();
    wire.accept(session).unwrap();
    let ok = wire.one();
    wire.receive(&invite.within(&ok, "ACK", 7).text());
    wire.events();
    wire.receive(&Request::invite("other").text());
    assert_eq!(wire.words(), ["503 INVITE"]);
    wire.receive(&invite.within(&ok, "BYE", 8).text());
    assert_eq!(wire.words(), ["200 BYE"]);
    assert_eq!(wire.ended(), Some((End::Released, Party::Remote, None)));
    wire.finish();
}
