//! The side that is invited and cancelled: digest 14.4, row by row.

use bytes::Bytes;
use sip::message::{Body, Name};
use sip::usage::{End, Party};
use sip::{Command, Duration, Event, Message, Misuse, SessionId};

use crate::wire::*;

/// V1: the INVITE is here and nothing is decided.
fn alerting() -> (Wire, SessionId, Request) {
    let mut wire = Wire::new();
    let invite = Request::invite("inv");
    wire.receive(&invite.text());
    let session = wire.invited();
    wire.ring(session);
    assert_eq!(wire.words(), ["180 INVITE"]);
    (wire, session, invite)
}

/// V2: the 2xx is out, without its ACK.
fn accepted() -> (Wire, SessionId, Request, Message) {
    let (mut wire, session, invite) = alerting();
    wire.accept(session).expect("alerting");
    let ok = wire.one();
    assert_eq!(word(&ok), "200 INVITE");
    (wire, session, invite, ok)
}

/// V3: the ACK is in.
fn confirmed() -> (Wire, SessionId, Request, Message) {
    let (mut wire, session, invite, ok) = accepted();
    wire.receive(&invite.within(&ok, "ACK", 7).text());
    assert!(matches!(wire.events()[..], [Event::Acknowledged { .. }]));
    (wire, session, invite, ok)
}

/// V5: the 487 is out, without its ACK.
fn cancelled() -> (Wire, SessionId, Request, Message) {
    let (mut wire, session, invite) = alerting();
    wire.receive(&invite.cancel().text());
    let mut sent = wire.sent();
    assert_eq!(sent.iter().map(word).collect::<Vec<_>>(), ["200 CANCEL", "487 INVITE"]);
    assert_eq!(wire.ended(), Some((End::Cancelled, Party::Remote, Some(487))));
    (wire, session, invite, sent.remove(1))
}

/// none/CANCEL, T14, C52, R2, R22: 481, and no effect: the INVITE that it overtook rings.
#[test]
fn a_cancel_without_an_invite_is_481_and_has_no_effect() {
    let mut wire = Wire::new();
    let invite = Request::invite("inv");
    wire.receive(&invite.cancel().text());
    let refusal = wire.one();
    assert_eq!(word(&refusal), "481 CANCEL");
    assert!(to_tag(&refusal).is_some());
    wire.receive(&invite.text());
    let session = wire.invited();
    wire.refuse(session, 480).unwrap();
    wire.finish();
}

/// V1/CANCEL, T12, C49, C50, C64, seed C5 and C6, I6, item 8, item 10: 200 to the CANCEL, then 487 to the INVITE, with one To
/// tag that the 180 had already; the user is told, and not asked.
#[test]
fn a_cancel_while_alerting_is_answered_200_and_the_invite_487() {
    let mut wire = Wire::new();
    let invite = Request::invite("inv");
    wire.receive(&invite.text());
    let session = wire.invited();
    wire.ring(session);
    let ringing = wire.one();
    wire.receive(&invite.cancel().with("Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n").text());
    let sent = wire.sent();
    assert_eq!(sent.iter().map(word).collect::<Vec<_>>(), ["200 CANCEL", "487 INVITE"]);
    assert!(sent.iter().all(|message| to_tag(message) == to_tag(&ringing)));
    // V1/CANCEL with Reason, C88, C89, C90, R10: the user learns why.
    let events = wire.events();
    let [Event::Ended { end, by, status, reason, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!((*end, *by, *status), (End::Cancelled, Party::Remote, Some(487)));
    assert_eq!(reason.as_deref(), Some(&b"SIP;cause=200;text=\"Call completed elsewhere\""[..]));
    wire.finish();
}

/// Item 10, C58, C65: INVITE and CANCEL in one burst, before the user has said anything.
#[test]
fn a_cancel_right_behind_its_invite_ends_it() {
    let mut wire = Wire::new();
    let invite = Request::invite("inv");
    wire.receive(&invite.text());
    wire.receive(&invite.cancel().text());
    assert_eq!(wire.words(), ["200 CANCEL", "487 INVITE"]);
    assert!(matches!(wire.events()[..], [Event::Invited { .. }, Event::Ended { end: End::Cancelled, .. }]));
    wire.finish();
}

/// V1/user refuses: the code that the user chose, and the end.
#[test]
fn a_refusal_is_the_end() {
    let (mut wire, session, invite) = alerting();
    wire.refuse(session, 480).unwrap();
    let refusal = wire.one();
    assert_eq!(word(&refusal), "480 INVITE");
    assert_eq!(wire.ended(), Some((End::Rejected, Party::Local, Some(480))));
    wire.receive(&invite.ack(&refusal).text());
    assert!(wire.finish().is_empty());
}

/// RFC 5318 §6: it may say in a body whom it is about.
#[test]
fn a_refusal_may_have_a_body() {
    let (mut wire, session, invite) = alerting();
    let body = |kind| {
        let kind = Bytes::from_static(kind);
        Some(Body { content_type: kind, bytes: Bytes::from_static(b"<resource-lists/>") })
    };
    let refuse = |body| Command::Refuse { session, status: 403, headers: Vec::new(), body };
    assert_eq!(wire.command(refuse(body(b"a/b\r\nVia: x"))), Err(Misuse::HeaderLine));
    wire.quiet();
    wire.command(refuse(body(b"application/resource-lists+xml"))).unwrap();
    let refusal = wire.one();
    assert_eq!((word(&refusal).as_str(), refusal.body()), ("403 INVITE", &b"<resource-lists/>"[..]));
    assert_eq!(text(&refusal, Name::ContentType), "application/resource-lists+xml");
    assert_eq!(wire.ended(), Some((End::Rejected, Party::Local, Some(403))));
    wire.receive(&invite.ack(&refusal).text());
    wire.finish();
}

/// V1/accepts while CANCEL is processed, PoC case 2: whoever is first with a final response wins.
#[test]
fn of_accept_and_cancel_the_first_wins() {
    let (mut wire, session, _, _) = cancelled();
    assert_eq!(wire.accept(session), Err(Misuse::NothingToAnswer));
    assert_eq!(wire.refuse(session, 486), Err(Misuse::NothingToAnswer));
    let ring = Command::Progress { session, status: 180, headers: Vec::new(), body: None };
    assert_eq!(wire.command(ring), Err(Misuse::NothingToAnswer));
    wire.quiet();
    wire.finish();
}

/// V2/CANCEL, T13, C46, R3, item 11: 200 to the CANCEL and nothing else; the BYE that follows, before any ACK, ends it.
#[test]
fn a_cancel_after_the_2xx_has_no_effect_and_the_bye_ends_it() {
    let (mut wire, _, invite, ok) = accepted();
    wire.receive(&invite.cancel().text());
    let answer = wire.one();
    assert_eq!((word(&answer).as_str(), to_tag(&answer)), ("200 CANCEL", to_tag(&ok)));
    assert_eq!(wire.events(), []);
    // V2/BYE before ACK.
    wire.receive(&invite.within(&ok, "BYE", 8).text());
    assert_eq!(wire.words(), ["200 BYE"]);
    assert_eq!(wire.ended(), Some((End::Released, Party::Remote, None)));
    // The ACK that comes late is absorbed, and the 2xx is not sent again.
    wire.receive(&invite.within(&ok, "ACK", 7).text());
    wire.quiet();
    assert!(wire.finish().is_empty());
}

/// V2/no ACK within 64*T1, item 12, C41, RFC 3261 §13.3.1.4: the 2xx is sent again from T1 to T2, then BYE.
#[test]
fn a_2xx_without_ack_is_sent_again_and_then_left() {
    let (mut wire, _, _, ok) = accepted();
    let from = wire.now;
    wire.advance(T1_64);
    let mut log = wire.log();
    let bye = log.pop().unwrap();
    assert_eq!((word(&bye.message).as_str(), bye.at - from), ("BYE", T1_64));
    assert!(log.iter().all(|sent| sent.message.bytes() == ok.bytes()));
    let spans: Vec<_> = log.iter().map(|sent| sent.at - from).collect();
    assert_eq!(spans, [500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500].map(ms));
    assert_eq!(wire.ended(), Some((End::NotAcknowledged, Party::Remote, Some(200))));
    wire.finish();
}

/// V3/CANCEL within timer L of the 2xx: 200, no effect. V3/CANCEL later: 481, no effect.
#[test]
fn a_cancel_after_the_ack_has_no_effect() {
    let (mut wire, session, invite, ok) = confirmed();
    wire.advance(Duration::from_secs(10));
    wire.receive(&invite.cancel().text());
    assert_eq!(wire.words(), ["200 CANCEL"]);
    wire.advance(Duration::from_secs(60));
    wire.receive(&invite.cancel().text());
    assert_eq!(wire.words(), ["481 CANCEL"]);
    assert_eq!(wire.events(), []);
    wire.leave(session).unwrap();
    let bye = wire.one();
    assert_eq!(to_tag(&bye), Some(invite.from_tag.clone()));
    assert_eq!(Some(from_tag(&bye)), to_tag(&ok));
    wire.receive(&response(&bye, 200, "", ""));
    assert_eq!(wire.ended(), Some((End::Left, Party::Local, None)));
    wire.finish();
}

/// V4/CANCEL, R4, item 11: 200, no effect, no 487.
#[test]
fn a_cancel_after_a_refusal_has_no_effect() {
    let (mut wire, session, invite) = alerting();
    wire.refuse(session, 486).unwrap();
    let refusal = wire.one();
    wire.events();
    wire.receive(&invite.cancel().text());
    let answer = wire.one();
    assert_eq!((word(&answer).as_str(), to_tag(&answer)), ("200 CANCEL", to_tag(&refusal)));
    wire.quiet();
    wire.finish();
}

/// V5/CANCEL retransmitted, T15, R5, C53, C54, I8, item 11: the cached 200 each time, one 487, one event.
#[test]
fn each_copy_of_the_cancel_gets_the_same_200_and_nothing_else() {
    let (mut wire, _, invite, _) = cancelled();
    let mut first = None;
    for _ in 0..3 {
        wire.advance(ms(3));
        wire.receive(&invite.cancel().text());
        let answer = wire.one();
        assert_eq!(word(&answer), "200 CANCEL");
        assert_eq!(first.get_or_insert(answer.clone()).bytes(), answer.bytes());
    }
    assert_eq!(wire.events(), []);
    wire.finish();
}

/// V5/INVITE retransmitted, V5/ACK, V5/timer G, item 9, R6: the 487 is sent again for copies and by timer until the ACK.
#[test]
fn the_487_is_sent_again_until_its_ack() {
    let (mut wire, _, invite, terminated) = cancelled();
    wire.receive(&invite.text());
    assert_eq!(wire.one().bytes(), terminated.bytes());
    wire.advance(ms(2000));
    assert_eq!(wire.words(), ["487 INVITE", "487 INVITE"]);
    wire.receive(&invite.ack(&terminated).text());
    wire.quiet();
    wire.receive(&invite.ack(&terminated).text());
    wire.receive(&invite.text());
    wire.quiet();
    assert!(wire.finish().is_empty());
}

/// V5/timer H, R6: 64*T1 without ACK: gone, and nothing is said any more.
#[test]
fn a_487_without_ack_is_given_up() {
    let (mut wire, _, _, _) = cancelled();
    let from = wire.now;
    wire.advance(T1_64 + ms(20_000));
    let spans: Vec<_> = wire.log().iter().map(|sent| sent.at - from).collect();
    assert_eq!(spans, [500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500].map(ms));
    assert_eq!(wire.events(), []);
    wire.finish();
}

/// V1/inviter vanished is up to the user; V1/Expires, R18: 487 and the end.
#[test]
fn an_invitation_lapses_after_its_expires() {
    let mut wire = Wire::new();
    let invite = Request::invite("inv").with("Expires: 3\r\n");
    wire.receive(&invite.text());
    let session = wire.invited();
    wire.ring(session);
    wire.advance(ms(2_990));
    wire.sent();
    assert_eq!(wire.ended(), None);
    wire.advance(ms(20));
    assert_eq!(wire.words(), ["487 INVITE"]);
    assert_eq!(wire.ended(), Some((End::Expired, Party::Remote, Some(487))));
    wire.receive(&invite.cancel().text());
    assert_eq!(wire.words(), ["200 CANCEL"]);
    wire.finish();
}

/// Item 12: no ghost call from copies of an INVITE that was decided, while they can be under way.
#[test]
fn a_copy_of_a_decided_invite_never_rings() {
    for decide in [200, 486] {
        let (mut wire, session, invite) = alerting();
        match decide {
            200 => wire.accept(session).unwrap(),
            _ => wire.refuse(session, decide).unwrap(),
        }
        wire.events();
        for _ in 0..36 {
            wire.advance(Duration::from_secs(1));
            wire.receive(&invite.text());
            assert!(!wire.events().iter().any(|event| matches!(event, Event::Invited { .. })));
        }
        wire.finish();
    }
}

/// Item 12, over TCP: the 2xx is retransmitted end to end, and given up with BYE just the same (RFC 3261 §13.3.1.4).
#[test]
fn a_2xx_over_tcp_without_ack_is_sent_again_and_then_left() {
    let mut wire = Wire::new();
    let path = tcp("192.0.2.9:40000", sip::transport::ConnectionId::Accepted(1));
    let mut invite = Request::invite("inv");
    invite.via = invite.via.replace("UDP", "TCP");
    wire.receive_on(path, &invite.text());
    let session = wire.invited();
    wire.accept(session).unwrap();
    wire.sent();
    wire.advance(T1_64);
    let words = wire.words();
    assert_eq!((words.len(), words.last().map(String::as_str)), (11, Some("BYE")), "{words:?}");
    assert_eq!(wire.ended(), Some((End::NotAcknowledged, Party::Remote, Some(200))));
    wire.finish();
}

/// §12.3, R14: the 487 ends the early dialog: what comes in it afterwards is 481, and has its own end.
#[test]
fn what_comes_in_an_early_dialog_after_its_487_is_481() {
    let (mut wire, _, invite, terminated) = cancelled();
    for method in ["BYE", "OPTIONS", "UPDATE", "PRACK", "INVITE"] {
        wire.receive(&invite.within(&terminated, method, 8).text());
        assert_eq!(wire.words(), [format!("481 {method}")]);
    }
    assert_eq!(wire.events(), []);
    wire.finish();
}

/// The headers of what is sent: the 200 to a CANCEL has no Contact, and a 487 none either (RFC 3261 tables 2 and 3).
#[test]
fn the_answers_to_a_cancel_carry_no_contact() {
    let (mut wire, _, invite, terminated) = cancelled();
    wire.receive(&invite.cancel().text());
    let answer = wire.one();
    assert!(answer.value(Name::Contact).is_none() && terminated.value(Name::Contact).is_none());
    assert_eq!(text(&answer, Name::CSeq), "7 CANCEL");
    wire.finish();
}
