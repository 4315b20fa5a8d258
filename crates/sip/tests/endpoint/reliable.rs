//! Reliable provisional responses: RFC 3262, and what a CANCEL does to them (R12, R13, R15, T25, C60).

use sip::message::Name;
use sip::transport::ConnectionId;
use sip::usage::{End, Party};
use sip::{Command, Event, Message, Misuse, Reliability, SessionId};

use crate::wire::*;

const REQUIRED: &str = "Require: 100rel\r\n";

/// We are invited by somebody who wants our provisional responses to be reliable.
fn required() -> (Wire, SessionId, Request) {
    let mut wire = Wire::new();
    let invite = Request::invite("inv").with(REQUIRED);
    wire.receive(&invite.text());
    let session = wire.invited();
    (wire, session, invite)
}

/// The same, and it rings there.
fn ringing() -> (Wire, SessionId, Request, Message) {
    let (mut wire, session, invite) = required();
    wire.ring(session);
    let ringing = wire.one();
    (wire, session, invite, ringing)
}

fn describe(wire: &mut Wire, session: SessionId) {
    let progress = Command::Progress { session, status: 183, headers: Vec::new(), body: sdp() };
    wire.command(progress).expect("alerting");
}

fn rseq(response: &Message) -> u32 {
    response.number(Name::RSeq).expect("a number").expect("it is reliable")
}

/// The PRACK for `response`, with number `number`.
fn prack(invite: &Request, response: &Message, number: u32) -> Request {
    let rack = format!("RAck: {} {} INVITE\r\n", rseq(response), invite.number);
    invite.within(response, "PRACK", number).with(&rack)
}

/// A 1xx that the peer sends reliably.
fn reliably(invite: &Message, status: u16, tag: &str, number: u32) -> String {
    response(invite, status, tag, &format!("{CONTACT}{REQUIRED}RSeq: {number}\r\n"))
}

// The side that is invited.

/// §3: Require, RSeq, Contact; sent again from T1 without a cap until the PRACK; a second PRACK matches nothing.
#[test]
fn an_invite_that_requires_it_gets_its_ringing_reliably() {
    let (mut wire, session, invite, ringing) = ringing();
    assert_eq!((word(&ringing).as_str(), text(&ringing, Name::Require)), ("180 INVITE", "100rel"));
    assert!((1..1 << 31).contains(&rseq(&ringing)) && ringing.value(Name::Contact).is_some());
    assert!(ringing.lists(Name::Allow, b"PRACK") && ringing.lists(Name::Allow, b"UPDATE"));
    wire.advance(ms(3600));
    let copies = wire.log();
    let times: Vec<_> = copies.iter().map(|sent| sent.at).collect();
    assert_eq!(times, [ms(500), ms(1500), ms(3500)]);
    assert!(copies.iter().all(|sent| sent.message == ringing));
    wire.receive(&prack(&invite, &ringing, 8).text());
    assert_eq!(wire.words(), ["200 PRACK"]);
    assert!(matches!(wire.events()[..], [Event::ProgressAcknowledged { .. }]));
    wire.advance(T1_64);
    wire.quiet();
    wire.receive(&prack(&invite, &ringing, 9).text());
    assert_eq!(wire.words(), ["481 PRACK"]);
    wire.refuse(session, 480).unwrap();
    wire.finish();
}

/// §3: whoever does not know of it gets no reliable response, and whoever only supports it if the settings say so.
#[test]
fn an_invite_gets_reliable_responses_as_the_settings_say() {
    let supported = "Supported: 100rel\r\n";
    for (policy, lines, is_reliable) in [
        (Reliability::WhenRequired, "", false),
        (Reliability::WhenRequired, supported, false),
        (Reliability::WhenSupported, "", false),
        (Reliability::WhenSupported, supported, true),
        (Reliability::WhenSupported, REQUIRED, true),
        (Reliability::Never, supported, false),
    ] {
        let mut wire = Wire::with(|config| config.reliability = policy);
        wire.receive(&Request::invite("inv").with(lines).text());
        let session = wire.invited();
        wire.ring(session);
        assert_eq!(wire.one().value(Name::RSeq).is_some(), is_reliable, "{policy:?} {lines}");
        wire.refuse(session, 480).unwrap();
        wire.finish();
    }
    let mut wire = Wire::with(|config| config.reliability = Reliability::Never);
    wire.receive(&Request::invite("inv").with(REQUIRED).text());
    let refusal = wire.one();
    assert_eq!((word(&refusal).as_str(), text(&refusal, Name::Unsupported)), ("420 INVITE", "100rel"));
    wire.invite();
    assert_eq!(text(&wire.one(), Name::Supported), "timer");
    wire.finish();
}

/// §3: one at a time, numbered without gaps.
#[test]
fn a_second_response_waits_for_the_prack_of_the_first() {
    let (mut wire, session, invite, first) = ringing();
    for status in [181, 182] {
        let progress = Command::Progress { session, status, headers: Vec::new(), body: None };
        wire.command(progress).unwrap();
    }
    wire.quiet();
    wire.receive(&prack(&invite, &first, 8).text());
    let [second, answer] = &wire.sent()[..] else { panic!("two") };
    let (second, answer) = if word(second) == "200 PRACK" { (answer, second) } else { (second, answer) };
    assert_eq!((word(second).as_str(), word(answer).as_str()), ("181 INVITE", "200 PRACK"));
    assert_eq!(rseq(second), rseq(&first) + 1);
    wire.advance(ms(500));
    assert_eq!(wire.one(), *second);
    wire.receive(&prack(&invite, second, 9).text());
    let last = wire.sent().pop().unwrap();
    assert_eq!((word(&last).as_str(), rseq(&last)), ("182 INVITE", rseq(&first) + 2));
    // No more than a few may wait.
    let refused = (0..20).any(|_| {
        let progress = Command::Progress { session, status: 180, headers: Vec::new(), body: None };
        wire.command(progress) == Err(Misuse::Busy)
    });
    assert!(refused);
    wire.refuse(session, 480).unwrap();
    wire.finish();
}

/// §3: 64*T1 without a PRACK: 5xx to the INVITE.
#[test]
fn without_a_prack_the_invite_is_refused() {
    let (mut wire, _, invite, _) = ringing();
    wire.advance(T1_64);
    let refusal = wire.sent().pop().unwrap();
    assert_eq!(word(&refusal), "504 INVITE");
    assert_eq!(wire.ended(), Some((End::NotAcknowledged, Party::Remote, Some(504))));
    wire.receive(&invite.ack(&refusal).text());
    wire.finish();
}

/// §3, §7.2: what matches no response, or nothing at all.
#[test]
fn a_prack_that_matches_nothing_is_481() {
    let (mut wire, session, invite, ringing) = ringing();
    let number = rseq(&ringing);
    for (rack, status) in [
        (format!("RAck: {} 7 INVITE\r\n", number + 1), 481),
        (format!("RAck: {number} 6 INVITE\r\n"), 481),
        (format!("RAck: {number} 7 UPDATE\r\n"), 481),
        (format!("RAck: {number} 7\r\n"), 400),
        (String::new(), 400),
    ] {
        let number = 10 + u32::try_from(rack.len()).unwrap() + u32::from(status == 400) * 100;
        wire.receive(&invite.within(&ringing, "PRACK", number).with(&rack).text());
        assert_eq!(wire.words(), [format!("{status} PRACK")], "{rack}");
    }
    let stranger = Request { to_tag: "nobody".into(), ..prack(&invite, &ringing, 300) };
    wire.receive(&stranger.text());
    assert_eq!(wire.words(), ["481 PRACK"]);
    wire.receive(&prack(&invite, &ringing, 5).text());
    assert_eq!(wire.words(), ["500 PRACK"], "RFC 3261 §12.2.2: out of order");
    wire.receive(&Request { method: "PRACK", ..Request::invite("x") }.with("RAck: 1 7 INVITE\r\n").text());
    assert_eq!(wire.words(), ["481 PRACK"], "without a dialog");
    assert!(wire.events().is_empty());
    wire.refuse(session, 480).unwrap();
    wire.finish();
}

/// §3, §5: a 2xx waits for the PRACK of a description, and not for another.
#[test]
fn a_2xx_waits_for_the_prack_of_a_description() {
    let (mut wire, session, _) = required();
    wire.ring(session);
    wire.sent();
    wire.accept(session).unwrap();
    assert_eq!(wire.words(), ["200 INVITE"]);
    wire.finish();

    let (mut wire, session, invite) = required();
    describe(&mut wire, session);
    let described = wire.one();
    assert!(!described.body().is_empty());
    let accept = Command::Accept { session, headers: Vec::new(), body: None };
    wire.command(accept.clone()).unwrap();
    wire.quiet();
    assert_eq!(wire.command(accept), Err(Misuse::NothingToAnswer), "once");
    wire.receive(&prack(&invite, &described, 8).text());
    let sent = wire.sent();
    let mut words: Vec<_> = sent.iter().map(word).collect();
    words.sort();
    assert_eq!(words, ["200 INVITE", "200 PRACK"]);
    let ok = sent.iter().find(|message| word(message) == "200 INVITE").unwrap();
    wire.receive(&invite.within(ok, "ACK", 7).text());
    assert!(matches!(wire.events()[..], [Event::ProgressAcknowledged { .. }, Event::Acknowledged { .. }]));
    wire.leave(session).unwrap();
    wire.finish();
}

/// A 2xx that waits can still be taken back, by either side, or fail with its 1xx.
#[test]
fn a_2xx_that_waits_is_undecided() {
    for way in 0..3 {
        let (mut wire, session, invite) = required();
        describe(&mut wire, session);
        let described = wire.one();
        wire.accept(session).unwrap();
        let (word_of_it, end) = match way {
            0 => {
                wire.receive(&invite.cancel().text());
                ("487 INVITE", (End::Cancelled, Party::Remote, Some(487)))
            }
            1 => {
                wire.refuse(session, 603).unwrap();
                ("603 INVITE", (End::Rejected, Party::Local, Some(603)))
            }
            _ => {
                wire.advance(T1_64);
                ("504 INVITE", (End::NotAcknowledged, Party::Remote, Some(504)))
            }
        };
        assert_eq!(wire.words().last().unwrap(), word_of_it);
        assert_eq!(wire.ended(), Some(end));
        wire.receive(&prack(&invite, &described, 8).text());
        assert_eq!(wire.words(), ["200 PRACK"], "and no 2xx to the INVITE");
        wire.finish();
    }
}

/// R12, R14, T25, C60: a reliable 1xx, CANCEL, 487, PRACK and ACK in every order.
#[test]
fn a_cancel_while_a_reliable_1xx_is_outstanding_is_487_at_once() {
    let orders = [["CANCEL", "PRACK", "ACK"], ["CANCEL", "ACK", "PRACK"], ["PRACK", "CANCEL", "ACK"]];
    for describes in [true, false] {
        for order in orders {
            let (mut wire, session, invite) = required();
            if describes {
                describe(&mut wire, session)
            } else {
                wire.ring(session)
            }
            let outstanding = wire.one();
            // Another waits behind it: it must never leave once the INVITE is decided.
            wire.ring(session);
            let mut refusal = None;
            for step in order {
                match step {
                    "CANCEL" => {
                        wire.receive(&invite.cancel().text());
                        let sent = wire.sent();
                        let words: Vec<_> = sent.iter().map(word).collect();
                        assert_eq!(words, ["200 CANCEL", "487 INVITE"]);
                        refusal = sent.into_iter().last();
                        assert_eq!(wire.ended(), Some((End::Cancelled, Party::Remote, Some(487))));
                    }
                    "PRACK" => {
                        wire.receive(&prack(&invite, &outstanding, 8).text());
                        let words = wire.words();
                        assert!(words.contains(&"200 PRACK".to_owned()), "{order:?}: {words:?}");
                        assert_eq!(words.len(), if refusal.is_some() { 1 } else { 2 });
                        // Once; and another number matches nothing.
                        wire.receive(&prack(&invite, &outstanding, 9).text());
                        assert_eq!(wire.words(), ["481 PRACK"]);
                    }
                    _ => {
                        wire.receive(&invite.ack(refusal.as_ref().expect("after the 487")).text());
                        wire.quiet();
                    }
                }
            }
            // R14: the early dialog is dead for everything else.
            for (method, number) in
                [("UPDATE", 20), ("INFO", 21), ("OPTIONS", 22), ("BYE", 23), ("INVITE", 24)]
            {
                wire.receive(&invite.within(&outstanding, method, number).text());
                assert_eq!(wire.words(), [format!("481 {method}")], "{order:?}");
            }
            wire.advance(T1_64);
            assert!(!wire.words().contains(&"180 INVITE".to_owned()));
            wire.finish();
        }
    }
}

/// R15, §9.1 of RFC 3261: a CANCEL of a PRACK is answered and has no effect.
/// §3: 2xx to a PRACK that matches, also over a hop whose ACK ends the transaction at once; and nothing is left of it.
#[test]
fn a_prack_behind_the_ack_of_the_487_is_answered_over_tcp_too() {
    let path = tcp("192.0.2.9:41000", ConnectionId::Accepted(3));
    let mut wire = Wire::new();
    let over_tcp = |mut request: Request| {
        request.via = request.via.replace("/UDP", "/TCP");
        request
    };
    let invite = over_tcp(Request::invite("inv").with(REQUIRED));
    wire.receive_on(path, &invite.text());
    let session = wire.invited();
    wire.ring(session);
    let ringing = wire.one();
    wire.receive_on(path, &invite.cancel().text());
    let refusal = wire.sent().pop().expect("a 487");
    wire.receive_on(path, &invite.ack(&refusal).text());
    wire.events();
    wire.advance(ms(4900));
    wire.quiet();
    wire.receive_on(path, &invite.text());
    wire.quiet();
    wire.receive_on(path, &prack(&invite, &ringing, 8).text());
    wire.receive_on(path, &prack(&invite, &ringing, 9).text());
    assert_eq!(wire.words(), ["200 PRACK", "481 PRACK"]);
    wire.quiet();
    wire.advance(ms(100));
    assert_eq!(wire.endpoint.poll_timeout(), None, "all is gone");
    wire.finish();
}

#[test]
fn a_prack_cannot_be_cancelled() {
    let (mut wire, session, invite, ringing) = ringing();
    let prack = prack(&invite, &ringing, 8);
    wire.receive(&prack.text());
    assert_eq!(wire.words(), ["200 PRACK"]);
    wire.receive(&prack.cancel().text());
    assert_eq!(wire.words(), ["200 CANCEL"]);
    assert!(matches!(wire.events()[..], [Event::ProgressAcknowledged { .. }]));
    wire.refuse(session, 480).unwrap();
    wire.finish();
}

/// §5: an offer in a PRACK is answered in its 2xx, and before the 2xx to the INVITE.
#[test]
fn an_offer_in_a_prack_is_answered_in_its_2xx() {
    let (mut wire, session, invite) = required();
    describe(&mut wire, session);
    let described = wire.one();
    wire.accept(session).unwrap();
    let lines = "Content-Type: application/sdp\r\n";
    let offer = Request { body: OFFER.into(), ..prack(&invite, &described, 8).with(lines) };
    wire.receive(&offer.text());
    wire.sent();
    let events = wire.events();
    assert!(matches!(events[..], [Event::ProgressAcknowledged { .. }, Event::ModificationOffered { .. }]));
    wire.accept(session).unwrap();
    let sent = wire.sent();
    assert_eq!(sent.iter().map(word).collect::<Vec<_>>(), ["200 PRACK", "200 INVITE"]);
    assert!(!sent[0].body().is_empty());
    wire.finish();
}

/// RFC 3261 §13.3.1.1: a 1xx every minute; RFC 3262 §3: a reliable one every two and a half, with a number of its own.
#[test]
fn ringing_is_said_again_while_nobody_answers() {
    let mut wire = Wire::new();
    wire.receive(&Request::invite("inv").text());
    let session = wire.invited();
    wire.ring(session);
    let ringing = wire.one();
    wire.advance(ms(130_000));
    let log = wire.log();
    assert_eq!(log.iter().map(|sent| sent.at).collect::<Vec<_>>(), [ms(60_000), ms(120_000)]);
    assert!(log.iter().all(|sent| sent.message == ringing));
    wire.refuse(session, 480).unwrap();
    wire.finish();

    let (mut wire, session, invite, ringing) = self::ringing();
    wire.receive(&prack(&invite, &ringing, 8).text());
    wire.sent();
    wire.advance(ms(150_000));
    let again = wire.one();
    assert_eq!((word(&again).as_str(), rseq(&again)), ("180 INVITE", rseq(&ringing) + 1));
    wire.receive(&prack(&invite, &again, 9).text());
    wire.refuse(session, 480).unwrap();
    wire.finish();
}

// The side that invites.

/// §4: one PRACK for each number and dialog; copies and what is out of order get none and are not told.
#[test]
fn each_reliable_response_in_order_is_acknowledged_once() {
    let mut wire = Wire::new();
    let session = wire.invite();
    let invite = wire.one();
    assert!(invite.lists(Name::Supported, b"100rel"));
    wire.receive(&reliably(&invite, 183, "p1", 900));
    let prack = wire.one();
    assert_eq!((text(&prack, Name::RAck), text(&prack, Name::CSeq)), ("900 1 INVITE", "2 PRACK"));
    assert_eq!((uri(&prack), to_tag(&prack).as_deref()), ("sip:ben@ben.example", Some("p1")));
    assert_eq!(wire.events().len(), 1);
    for (status, number) in [(183, 900), (180, 902), (180, 899)] {
        wire.receive(&reliably(&invite, status, "p1", number));
        wire.quiet();
    }
    wire.receive(&reliably(&invite, 180, "p1", 901));
    let next = wire.one();
    assert_eq!((text(&next, Name::RAck), text(&next, Name::CSeq)), ("901 1 INVITE", "3 PRACK"));
    // Another fork has numbers of its own.
    wire.receive(&reliably(&invite, 180, "p2", 5));
    let fork = wire.one();
    assert_eq!((text(&fork, Name::RAck), text(&fork, Name::CSeq)), ("5 1 INVITE", "2 PRACK"));
    // §4: a 100 is never reliable, whatever it says; what has no tag makes no dialog.
    wire.receive(&reliably(&invite, 100, "p1", 902));
    wire.receive(&response(&invite, 180, "p1", CONTACT));
    assert_eq!(wire.words(), [""; 0]);
    for request in [&prack, &next, &fork] {
        wire.answer(request, 200, "");
    }
    wire.receive(&response(&invite, 200, "p1", CONTACT));
    let ack = wire.one();
    assert_eq!(text(&ack, Name::CSeq), "1 ACK");
    wire.leave(session).unwrap();
    assert_eq!(text(&wire.one(), Name::CSeq), "4 BYE", "one count for PRACK and BYE");
    wire.receive(&reliably(&invite, 180, "p2", 6));
    assert_eq!(wire.words(), [""; 0], "§4: after the final response nobody waits for it");
    wire.finish();
}

/// R13: a reliable 1xx that comes after the wish is acknowledged all the same, and a 481 to that proves nothing.
#[test]
fn a_reliable_response_after_the_wish_is_acknowledged_too() {
    let mut wire = Wire::new();
    let session = wire.invite();
    let invite = wire.one();
    wire.cancel(session).unwrap();
    wire.receive(&reliably(&invite, 183, "p1", 10));
    let sent = wire.sent();
    let mut words: Vec<_> = sent.iter().map(word).collect();
    words.sort();
    assert_eq!(words, ["CANCEL", "PRACK"]);
    wire.receive(&reliably(&invite, 180, "p1", 11));
    let late = wire.one();
    assert_eq!(text(&late, Name::RAck), "11 1 INVITE");
    for request in sent.iter().chain([&late]) {
        wire.answer(request, if word(request) == "PRACK" { 481 } else { 200 }, "");
    }
    assert!(wire.ended().is_none(), "nothing of that is the end");
    wire.answer(&invite, 487, "p1");
    assert_eq!(wire.ended(), Some((End::Cancelled, Party::Local, Some(487))));
    wire.finish();
}

/// R13: nobody waits any more, but the peer does not know that.
#[test]
fn a_reliable_response_to_an_invitation_that_was_given_up_is_acknowledged() {
    let mut wire = Wire::new();
    let session = wire.invite();
    let invite = wire.one();
    wire.answer(&invite, 180, "p1");
    wire.cancel(session).unwrap();
    wire.advance(T1_64);
    assert_eq!(wire.ended(), Some((End::Cancelled, Party::Local, None)));
    wire.sent();
    wire.receive(&reliably(&invite, 180, "p1", 3));
    assert_eq!(wire.words(), ["PRACK"]);
    wire.finish();
}

/// A PRACK needs room like everything else: without it the response has not come, and may come again.
#[test]
fn without_room_for_a_prack_the_response_has_not_come() {
    let mut wire = Wire::with(|config| config.transactions_max = 2);
    wire.invite();
    let invite = wire.one();
    wire.receive(&reliably(&invite, 180, "p1", 1));
    let first = wire.one();
    wire.receive(&reliably(&invite, 180, "p1", 2));
    assert_eq!(wire.words(), [""; 0]);
    assert_eq!(wire.events().len(), 1);
    wire.answer(&first, 200, "");
    wire.advance(ms(6000));
    wire.sent();
    wire.receive(&reliably(&invite, 180, "p1", 2));
    assert_eq!(text(&wire.one(), Name::RAck), "2 1 INVITE");
    wire.answer(&invite, 480, "p1");
    wire.finish();
}

/// A PRACK within a re-INVITE counts in the session's dialog.
#[test]
fn a_reliable_response_to_a_re_invite_is_acknowledged_in_the_session() {
    let mut wire = Wire::new();
    let session = wire.invite();
    let invite = wire.one();
    wire.answer(&invite, 200, "p1");
    wire.sent();
    wire.modify(session).unwrap();
    let change = wire.one();
    wire.receive(&reliably(&change, 183, "p1", 1));
    let prack = wire.one();
    assert_eq!((text(&prack, Name::RAck), text(&prack, Name::CSeq)), ("1 2 INVITE", "3 PRACK"));
    wire.answer(&prack, 200, "");
    wire.answer(&change, 200, "p1");
    assert_eq!(text(&wire.one(), Name::CSeq), "2 ACK");
    wire.leave(session).unwrap();
    assert_eq!(text(&wire.one(), Name::CSeq), "4 BYE");
    wire.finish();
}
