//! What a source gets that has proved nothing: one answer to one datagram at most, to where it came from, at most 512 octets
//! longer, said once. So the core is of no use to whoever wants to drown somebody else.

use bytes::Bytes;
use proptest::prelude::*;
use sip::Instant;
use sipcore::Input;

use crate::wire::*;

/// What an answer may be longer than what it answers.
const LONGER_MAX: usize = 512;
const STRANGER: &str = "203.0.113.9:5060";

fn any_request() -> impl Strategy<Value = String> {
    let method = prop::sample::select(vec![
        "INVITE",
        "CANCEL",
        "BYE",
        "ACK",
        "OPTIONS",
        "REGISTER",
        "PUBLISH",
        "SUBSCRIBE",
        "NOTIFY",
        "REFER",
        "MESSAGE",
        "UPDATE",
        "PRACK",
        "INFO",
        "X",
    ]);
    let uri = prop::sample::select(vec![
        "sip:ben@poc.example",
        "sip:nobody@poc.example",
        "sip:poc.example",
        "sip:192.0.2.1",
        "sip:ben@elsewhere.example",
        "sip:watch@poc.example;session=chat",
        "tel:+15551234",
        "x:y",
    ]);
    let from =
        prop::sample::select(vec!["sip:anna@poc.example", "sip:ben@poc.example", "sip:x@y.example", "x"]);
    let line = prop_oneof![
        Just("Require: x\r\n".to_owned()),
        Just("Proxy-Require: x\r\n".to_owned()),
        Just("Max-Forwards: 0\r\n".to_owned()),
        Just("Event: reg\r\n".to_owned()),
        Just("Event: presence\r\n".to_owned()),
        Just("Expires: 1\r\n".to_owned()),
        Just("Route: <sip:192.0.2.1;lr>\r\n".to_owned()),
        Just("Route: <sip:198.51.100.7;lr>\r\n".to_owned()),
        Just("Contact: *\r\n".to_owned()),
        Just("Contact: <sip:anna@203.0.113.9>;expires=60\r\n".to_owned()),
        Just("Via: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKup\r\n".to_owned()),
        Just("Accept-Contact: *;+g.poc.talkburst;require;explicit\r\n".to_owned()),
        Just("Authorization: Digest username=\"anna\", realm=\"poc.example\", nonce=\"n\", uri=\"u\", response=\"r\"\r\n".to_owned()),
        Just("Proxy-Authorization: Basic x\r\n".to_owned()),
        (1_usize..400).prop_map(|length| format!("Record-Route: <sip:{}@x;lr>\r\n", "r".repeat(length))),
        (1_usize..400).prop_map(|length| format!("Subject: {}\r\n", "s".repeat(length))),
    ];
    let lines = prop::collection::vec(line, 0..8).prop_map(|lines| lines.concat());
    let sent_by = prop::sample::select(vec!["203.0.113.9", "198.51.100.66:7777", "victim.example"]);
    (method, uri, from, lines, sent_by, prop::bool::ANY, 0_u8..3).prop_map(
        |(method, uri, from, lines, sent_by, has_tag, rport)| {
            let tag = if has_tag { ";tag=t" } else { "" };
            let rport = ["", ";rport", ";maddr=198.51.100.66"][usize::from(rport)];
            format!(
                "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {sent_by};branch=z9hG4bKx{rport}\r\nFrom: <{from}>;tag=f\r\n\
                 To: <{uri}>{tag}\r\nCall-ID: c\r\nCSeq: 1 {method}\r\n{lines}Content-Length: 0\r\n\r\n"
            )
        },
    )
}

/// A core with everything that somebody could aim at, and nothing on the way.
fn wire() -> Wire {
    let mut wire = Wire::with_server();
    wire.is_lenient = true;
    wire.register("ben", BEN, "");
    wire.advance(4 * T1_64);
    wire
}

/// Sends it, and for as long as anything could be said again looks at what leaves.
fn answered(mut wire: Wire, octets: &[u8]) {
    let bytes = Bytes::copy_from_slice(octets);
    wire.core.handle_input(Instant::at(wire.now), Input::Datagram { path: udp(STRANGER), bytes });
    // What is odd in a request is odd in its refusal, too: nobody else reads it.
    let answers: Vec<_> = std::iter::from_fn(|| wire.core.poll_transmit()).collect();
    assert!(answers.len() <= 1, "{answers:?}");
    for answer in &answers {
        assert_eq!(answer.path.remote.ip(), address(STRANGER).ip());
        assert!(answer.bytes.starts_with(b"SIP/2.0 ") || &answer.bytes[..] == b"\r\n", "{answer:?}");
        let length = answer.bytes.len();
        assert!(length <= octets.len() + LONGER_MAX, "{length} octets for {}: {answer:?}", octets.len());
    }
    wire.advance(4 * T1_64);
    assert!(wire.sent().is_empty(), "nothing is said again");
    wire.finish();
}

proptest! {
    #[test]
    fn whoever_has_proved_nothing_gets_one_short_answer_once(request in any_request()) {
        answered(wire(), request.as_bytes());
    }

    #[test]
    fn whatever_octets_come_there_is_one_short_answer_once(
        request in any_request(),
        at in any::<prop::sample::Index>(),
        octets in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let mut sent = request.into_bytes();
        let at = at.index(sent.len());
        let end = (at + octets.len()).min(sent.len());
        sent.splice(at..end, octets);
        answered(wire(), &sent);
    }

    #[test]
    fn junk_gets_no_answer_that_is_longer(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        answered(wire(), &octets);
    }
}
