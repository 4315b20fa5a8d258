//! What is bad, too much, or nobody's: a documented answer, a counter, and nothing else changes.

use sip::message::Name;
use sipcore::{Command, Input, Load, Rate, shard_of};

use crate::wire::*;

/// Beyond the limit: 503, and nothing is kept.
#[test]
fn a_full_core_answers_503_and_keeps_nothing() {
    let mut wire = Wire::with(|config| config.transactions_max = 4);
    wire.register("ben", BEN, "");
    wire.advance(T1_64);
    for place in 0..2 {
        wire.send(&Request { branch: format!("in{place}"), ..Request::invite() });
    }
    wire.sent();
    let before = wire.core.poll_timeout();
    wire.send(&Request { branch: "over".into(), ..Request::invite() });
    let refusal = wire.one().message;
    assert_eq!((word(&refusal).as_str(), text(&refusal, Name::RetryAfter)), ("503 INVITE", "5"));
    assert_eq!(wire.core.counters().overloaded, 1);
    assert_eq!(wire.core.poll_timeout(), before);
    // A CANCEL is answered all the same.
    wire.send(&Request { branch: "in0".into(), ..Request::invite() }.cancel());
    assert!(wire.words().contains(&"200 CANCEL".to_owned()));
    wire.finish();
}

/// What has begun comes to its end: its copies, its CANCEL, its responses, and what comes from inside.
#[test]
fn a_core_with_too_much_to_do_begins_nothing_new_and_goes_on_with_what_has_begun() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    wire.advance(T1_64);
    let begun = Request { branch: "begun".into(), ..Request::invite() };
    wire.send(&begun);
    let forwarded = wire.one();
    wire.input(Input::Command(Command::SetLoad(Load::Full)));
    let before = wire.core.poll_timeout();
    let late = Request { branch: "late".into(), ..Request::invite() };
    wire.send(&late);
    let refusal = wire.one().message;
    assert_eq!((word(&refusal).as_str(), text(&refusal, Name::RetryAfter)), ("503 INVITE", "5"));
    assert_eq!((wire.core.counters().overloaded, wire.core.poll_timeout()), (1, before), "nothing is kept");
    wire.send(&begun);
    assert_eq!(wire.words(), ["100 INVITE"], "a copy is a copy");
    wire.answer(&forwarded, 180);
    assert_eq!(wire.words(), ["180 INVITE"]);
    wire.send(&begun.cancel());
    assert!(wire.words().contains(&"CANCEL".to_owned()));
    wire.register("anna", ANNA, "");
    wire.input(Input::Command(Command::SetLoad(Load::Usual)));
    wire.send(&Request { branch: "later".into(), ..Request::invite() });
    assert!(wire.words().contains(&"INVITE".to_owned()));
    wire.finish();
}

/// One source gets no more refusals than its rate allows; another one its own.
#[test]
fn refusals_of_one_source_are_limited() {
    let mut wire = Wire::with(|config| config.refusals = Rate { per_second: 10, burst: 5 });
    for place in 0..20 {
        wire.send(&Request { branch: format!("{place}"), ..Request::new("INVITE", "anna", ANNA, "ben") });
    }
    assert_eq!(wire.words().len(), 5);
    assert_eq!(wire.core.counters().limited, 15);
    wire.send(&Request::new("INVITE", "ben", BEN, "anna"));
    assert_eq!(wire.words(), ["407 INVITE"]);
    wire.advance(ms(100));
    wire.send(&Request { branch: "later".into(), ..Request::new("INVITE", "anna", ANNA, "ben") });
    assert_eq!(wire.words(), ["407 INVITE"]);
    wire.finish();
}

#[test]
fn what_cannot_be_read_is_400_or_nothing() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    wire.advance(T1_64);
    let good = Request::invite().text();
    for (place, (from, to, expected)) in [
        ("Max-Forwards: 70", "Max-Forwards: x", vec!["400 INVITE"]),
        ("From: ", "Frm: ", vec!["400 INVITE"]),
        ("SIP/2.0\r\nVia", "SIP/3.0\r\nVia", vec!["505 INVITE"]),
        ("Call-ID: ", "Route: sip:x\r\nCall-ID: ", vec!["400 INVITE"]),
        ("Via: ", "X: ", vec![]),
        ("sip:ben@poc.example SIP", "tel:+15550100 SIP", vec!["416 INVITE"]),
    ]
    .into_iter()
    .enumerate()
    {
        let bad = good.replacen(from, to, 1).replace("branch=z9hG4bK", &format!("branch=z9hG4bK{place}"));
        assert_ne!(bad, good);
        wire.receive(udp(PEER), &bad);
        assert_eq!(wire.words(), expected, "{to}");
        assert!(wire.core.is_empty());
    }
    wire.receive(udp(PEER), "\r\n\r\n");
    wire.receive(udp(PEER), "junk");
    wire.nothing();
    assert_eq!(wire.core.counters().malformed, 6);
    wire.finish();
}

/// §16.3 item 1: what nobody here needs goes on as it is.
#[test]
fn what_is_odd_and_not_needed_is_passed_on_as_it_is() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    wire.is_lenient = true;
    let lines = "Date: yesterday\r\nX-Odd: \"\r\nReason: ;;\r\nSession-Expires: soon\r\n";
    wire.send(&Request::invite().with(lines));
    let sent = wire.one().message;
    let sent = String::from_utf8_lossy(sent.bytes()).into_owned();
    assert!(sent.starts_with("INVITE") && sent.contains(lines), "{sent}");
    wire.finish();
}

/// RFC 6026 §7.2: responses and ACKs that belong to nothing go nowhere.
#[test]
fn what_belongs_to_nothing_goes_nowhere() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    let invite = Request::invite();
    wire.send(&invite);
    let forwarded = wire.one();
    let stray =
        response(&forwarded.message, 200, "t", "").replace(&branch(&forwarded.message), "z9hG4bKother");
    wire.receive(udp(BEN), &stray);
    wire.send(&Request { branch: "stray".into(), ..invite.follow("ACK") });
    wire.nothing();
    assert_eq!(wire.core.counters().stray, 2);
    wire.answer(&forwarded, 486);
    wire.finish();
}

/// A header part of the largest size goes on, or is refused; nothing breaks.
#[test]
fn the_largest_message_is_passed_on_or_refused() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    for octets in [60_000, 64_500, 65_000, 65_200] {
        let long = format!("Subject: {}\r\n", "x".repeat(octets));
        let invite = Request { branch: format!("long{octets}"), ..Request::invite() }.with(&long);
        wire.receive(udp(PEER), &invite.text());
        let words = wire.words();
        assert!(words == ["INVITE"] || words == ["500 INVITE"] || words.is_empty(), "{octets} {words:?}");
    }
    wire.finish();
}

/// Everything of one user is on one shard, and a CANCEL and an ACK where their INVITE is.
#[test]
fn a_message_finds_its_shard() {
    let mut config = sipcore::Config::new("poc.example".into(), Vec::new(), [7; 32]);
    config.shards = 16;
    let shard = |request: &Request| shard_of(&config, &sip::Message::parse(request.text().into()).unwrap());
    let invite = Request::new("INVITE", "anna", ANNA, "ben");
    let of_ben = shard(&invite);
    assert_eq!(shard(&invite.cancel()), of_ben);
    assert_eq!(shard(&register("ben", BEN, "")), of_ben);
    assert_eq!(shard(&Request::new("INVITE", "ben", BEN, "poc-factory")), of_ben);
    assert_eq!(shard(&Request { uri: "sip:%62en@poc.example".into(), ..invite.clone() }), of_ben);
    let users = (0..50).map(|user| shard(&Request::new("INVITE", "anna", ANNA, &format!("user{user}"))));
    assert!(users.collect::<std::collections::BTreeSet<_>>().len() > 10);
    // A response finds the shard that made its branch.
    let owner = sip::Owner { node: 0, shard: 5 };
    let branch = sip::Identifiers::new(owner, [1; 32]).draw();
    let text = format!("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{branch}\r\n\r\n");
    assert_eq!(shard_of(&config, &sip::Message::parse(text.into()).unwrap()), 5);
}
