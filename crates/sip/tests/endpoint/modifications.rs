//! Re-INVITEs: they change a session, and giving one up never ends it (I10, R20, C61, T21).

use sip::message::Name;
use sip::usage::{End, Party};
use sip::{Command, Event, Message, Misuse, SessionId};

use crate::wire::*;

/// We invited, the peer accepted, over a proxy that stays in the path.
fn established() -> (Wire, SessionId, Message) {
    let mut wire = Wire::new();
    let session = wire.invite();
    let invite = wire.one();
    let lines = "Record-Route: <sip:p1.example;lr>\r\nContact: <sip:ben@ben.example>\r\n";
    wire.receive(&response(&invite, 200, "p1", lines));
    let ack = wire.one();
    wire.events();
    (wire, session, ack)
}

/// The peer invited and we accepted.
fn answered() -> (Wire, SessionId, Request, Message) {
    let mut wire = Wire::new();
    let invite = Request::invite("inv");
    wire.receive(&invite.text());
    let session = wire.invited();
    wire.accept(session).expect("alerting");
    let ok = wire.one();
    wire.receive(&invite.within(&ok, "ACK", 7).text());
    wire.events();
    (wire, session, invite, ok)
}

/// The peer's re-INVITE.
fn again(invite: &Request, ok: &Message, number: u32) -> Request {
    let lines = "Contact: <sip:ben@ben.example>\r\nContent-Type: application/sdp\r\n";
    Request { body: OFFER.into(), ..invite.within(ok, "INVITE", number).with(lines) }
}

/// The peer's request in a dialog that we made.
fn from_peer(ours: &Message, method: &'static str, number: u32) -> Request {
    Request {
        from_tag: to_tag(ours).expect("a tag"),
        to_tag: from_tag(ours),
        call_id: text(ours, Name::CallId).into(),
        number,
        ..Request::invite(&format!("peer{method}{number}")).follow(method)
    }
}

fn modification_end(events: &[Event]) -> (End, Party, Option<u16>) {
    let [Event::ModificationEnded { end, by, status, .. }] = events else { panic!("{events:?}") };
    (*end, *by, *status)
}

fn leave(mut wire: Wire, session: SessionId) {
    wire.leave(session).expect("established");
    let bye = wire.one();
    wire.receive(&response(&bye, 200, "", ""));
    assert_eq!(wire.ended(), Some((End::Left, Party::Local, None)));
    wire.finish();
}

/// R20, C61, T21: our re-INVITE, given up at each moment; the session lives and can be left afterwards.
#[test]
fn giving_up_a_re_invite_leaves_the_session_alone() {
    for (status, is_silent) in [(487, false), (200, false), (486, false), (408, false), (0, true)] {
        let (mut wire, session, _) = established();
        wire.modify(session).unwrap();
        let invite = wire.one();
        assert_eq!(to_tag(&invite).as_deref(), Some("p1"));
        assert_eq!(text(&invite, Name::CSeq), "2 INVITE");
        wire.cancel(session).unwrap();
        wire.quiet();
        wire.answer(&invite, 100, "");
        let cancel = wire.one();
        // 14.2: the To of the CANCEL of a re-INVITE has the tag of the dialog.
        assert_eq!((word(&cancel).as_str(), to_tag(&cancel).as_deref()), ("CANCEL", Some("p1")));
        wire.answer(&cancel, 200, "");
        if is_silent {
            wire.advance(T1_64);
            assert_eq!(modification_end(&wire.events()), (End::Cancelled, Party::Local, None));
        } else {
            wire.answer(&invite, status, "");
            assert_eq!(wire.words(), ["ACK"], "{status}: no BYE");
            assert_eq!(modification_end(&wire.events()), (End::Cancelled, Party::Local, Some(status)));
        }
        leave(wire, session);
    }
}

#[test]
fn a_re_invite_has_the_lines_that_its_user_adds() {
    let (mut wire, session, _) = established();
    let asserted = |value| headers(&[(Name::PAssertedIdentity, value)]);
    let modify = |headers| Command::Modify { session, headers, body: sdp() };
    assert_eq!(wire.command(modify(asserted("<sip:a@b>\r\nVia: x"))), Err(Misuse::HeaderLine));
    assert_eq!(wire.command(modify(headers(&[(Name::Contact, "<sip:a@b>")]))), Err(Misuse::HeaderLine));
    wire.quiet();
    wire.command(modify(asserted("<sip:cara@example.com>"))).unwrap();
    let invite = wire.one();
    assert_eq!(text(&invite, Name::PAssertedIdentity), "<sip:cara@example.com>");
    wire.answer(&invite, 200, "");
    wire.sent();
    wire.events();
    leave(wire, session);
}

/// R20, 14.4: the peer's re-INVITE, cancelled by the peer: 200 and 487, and the session lives.
#[test]
fn a_re_invite_that_is_cancelled_leaves_the_session_alone() {
    let (mut wire, session, invite, ok) = answered();
    let change = again(&invite, &ok, 8);
    wire.receive(&change.text());
    assert!(matches!(wire.events()[..], [Event::ModificationOffered { .. }]));
    wire.receive(&change.cancel().text());
    let sent = wire.sent();
    assert_eq!(sent.iter().map(word).collect::<Vec<_>>(), ["200 CANCEL", "487 INVITE"]);
    assert_eq!(modification_end(&wire.events()), (End::Cancelled, Party::Remote, Some(487)));
    wire.receive(&change.ack(&sent[1]).text());
    // C60: the next change goes through.
    let next = again(&invite, &ok, 9);
    wire.receive(&next.text());
    wire.events();
    wire.accept(session).unwrap();
    let ok = wire.one();
    wire.receive(&invite.within(&ok, "ACK", 9).text());
    assert!(matches!(wire.events()[..], [Event::Acknowledged { .. }]));
    leave(wire, session);
}

/// §12.2.1.1, §13.2.2.4: the ACK for the 2xx of a re-INVITE passes the route set of the dialog, although that 2xx names none.
#[test]
fn the_ack_of_a_re_invite_takes_the_routes_of_the_dialog() {
    let (mut wire, session, first_ack) = established();
    wire.modify(session).unwrap();
    let invite = wire.one();
    assert_eq!(values(&invite, Name::Route), ["<sip:p1.example;lr>"]);
    wire.receive(&response(&invite, 200, "", "Contact: <sip:ben@new.example>\r\n"));
    let ack = wire.one();
    assert_eq!(values(&ack, Name::Route), values(&first_ack, Name::Route));
    assert_eq!((uri(&ack), text(&ack, Name::CSeq)), ("sip:ben@new.example", "2 ACK"));
    assert!(matches!(wire.events()[..], [Event::Modified { .. }]));
    wire.receive(&response(&invite, 200, "", CONTACT));
    assert_eq!(wire.one().bytes(), ack.bytes(), "a copy of the 2xx");
    // §12.2.1.2: the target was refreshed.
    wire.leave(session).unwrap();
    let bye = wire.one();
    assert_eq!((uri(&bye), text(&bye, Name::CSeq)), ("sip:ben@new.example", "3 BYE"));
    wire.receive(&response(&bye, 200, "", ""));
    wire.finish();
}

/// §12.2.1.2: a 2xx refreshes the target, also if it crosses our CANCEL.
#[test]
fn a_2xx_that_crosses_the_cancel_of_a_re_invite_refreshes_the_target() {
    let (mut wire, session, _) = established();
    wire.modify(session).unwrap();
    let invite = wire.one();
    wire.answer(&invite, 100, "");
    wire.cancel(session).unwrap();
    wire.sent();
    wire.receive(&response(&invite, 200, "", "Contact: <sip:ben@new.example>\r\n"));
    assert_eq!(wire.words(), ["ACK"]);
    wire.leave(session).unwrap();
    assert_eq!(uri(&wire.one()), "sip:ben@new.example");
    wire.finish();
}

/// §14.1, §14.2: glare: 491 to the peer, and for 491 from the peer a wait that depends on who owns the Call-ID.
#[test]
fn crossing_re_invites_are_refused_491_on_both_sides() {
    let (mut wire, session, ack) = established();
    wire.modify(session).unwrap();
    let invite = wire.one();
    wire.receive(&from_peer(&ack, "INVITE", 1).with(CONTACT).text());
    assert_eq!(wire.words(), ["491 INVITE"]);
    wire.answer(&invite, 491, "");
    let events = wire.events();
    let [Event::ModificationEnded { end: End::Rejected, status: Some(491), retry_after: Some(wait), .. }] =
        events[..]
    else {
        panic!("{events:?}")
    };
    assert!((ms(2100)..=ms(4000)).contains(&wait), "{wait:?}");
    wire.sent();
    leave(wire, session);

    let (mut wire, session, _, _) = answered();
    wire.modify(session).unwrap();
    let invite = wire.one();
    wire.answer(&invite, 491, "");
    wire.sent();
    let events = wire.events();
    let [Event::ModificationEnded { retry_after: Some(wait), .. }] = events[..] else { panic!("{events:?}") };
    assert!(wait <= ms(2000), "{wait:?}");
    leave(wire, session);
}

/// §14.2: a second INVITE while the first waits is 500 with Retry-After, in the session and in its early dialog.
#[test]
fn a_second_invite_while_one_waits_is_500_with_retry_after() {
    let (mut wire, session, invite, ok) = answered();
    wire.receive(&again(&invite, &ok, 8).text());
    wire.receive(&again(&invite, &ok, 9).text());
    let refusal = wire.one();
    assert_eq!(word(&refusal), "500 INVITE");
    assert!(refusal.number(Name::RetryAfter).unwrap().unwrap() <= 10);
    wire.refuse(session, 488).unwrap();
    wire.sent();
    assert_eq!(wire.events().len(), 1);
    wire.leave(session).unwrap();
    wire.finish();

    let mut wire = Wire::new();
    let invite = Request::invite("inv");
    wire.receive(&invite.text());
    let session = wire.invited();
    wire.ring(session);
    let ringing = wire.one();
    wire.receive(&again(&invite, &ringing, 8).text());
    let refusal = wire.one();
    assert_eq!(word(&refusal), "500 INVITE");
    assert!(refusal.value(Name::RetryAfter).is_some());
    wire.refuse(session, 480).unwrap();
    wire.finish();
}

/// §12.2.2: a lower number is out of order: 500, and no effect.
#[test]
fn a_lower_number_is_500() {
    let (mut wire, session, invite, ok) = answered();
    for (method, number) in [("INVITE", 7), ("BYE", 6), ("INVITE", 3)] {
        wire.receive(&invite.within(&ok, method, number).text());
        assert_eq!(wire.words(), [format!("500 {method}")]);
    }
    assert_eq!(wire.events(), []);
    leave(wire, session);
}

/// §12.2.1.2: 481, 408 and silence mean that the peer does not know the session: it is left.
#[test]
fn a_peer_that_lost_the_session_ends_it() {
    for status in [Some(481), Some(408), None] {
        let (mut wire, session, _) = established();
        wire.modify(session).unwrap();
        let invite = wire.one();
        match status {
            Some(status) => wire.answer(&invite, status, ""),
            None => wire.advance(T1_64),
        }
        assert_eq!(wire.words().last().map(String::as_str), Some("BYE"));
        assert_eq!(wire.ended(), Some((End::Lost, Party::Remote, status)));
        wire.finish();
    }
}

/// §12.2.1.2, RFC 5057 §5.1 (8): 481 says that the dialog is gone, also to a re-INVITE that was given up.
#[test]
fn a_481_to_a_cancelled_re_invite_ends_the_session() {
    let (mut wire, session, _) = established();
    wire.modify(session).unwrap();
    let invite = wire.one();
    wire.answer(&invite, 100, "");
    wire.cancel(session).unwrap();
    wire.sent();
    wire.answer(&invite, 481, "");
    assert_eq!(wire.words(), ["ACK", "BYE"]);
    assert_eq!(wire.ended(), Some((End::Lost, Party::Remote, Some(481))));
    wire.finish();
}

/// I4, I9: a re-INVITE that waits when the session ends keeps nothing alive, and says nothing after the end.
#[test]
fn a_re_invite_of_ours_does_not_outlive_its_session() {
    for has_progress in [true, false] {
        for answer in [None, Some(200), Some(481), Some(487)] {
            for peer_leaves in [true, false] {
                let (mut wire, session, ack) = established();
                wire.modify(session).unwrap();
                let invite = wire.one();
                if has_progress {
                    wire.answer(&invite, 100, "");
                }
                if peer_leaves {
                    wire.receive(&from_peer(&ack, "BYE", 1).text());
                    assert_eq!(wire.ended(), Some((End::Released, Party::Remote, None)));
                } else {
                    wire.leave(session).unwrap();
                }
                assert_eq!(wire.modify(session), Err(Misuse::NotEstablished));
                let byes = wire.words().iter().filter(|word| *word == "BYE").count();
                assert_eq!(byes, usize::from(!peer_leaves));
                if let Some(status) = answer {
                    wire.answer(&invite, status, "");
                }
                assert!(!wire.finish().iter().any(|message| word(message) == "BYE" && peer_leaves));
            }
        }
    }
}

/// §15.1.2: an INVITE of the peer that waits when we leave, or the peer, is answered 487.
#[test]
fn a_re_invite_of_the_peer_that_waits_is_487_when_the_session_ends() {
    let (mut wire, session, invite, ok) = answered();
    wire.receive(&again(&invite, &ok, 8).text());
    wire.leave(session).unwrap();
    assert_eq!(wire.words(), ["487 INVITE", "BYE"]);
    wire.finish();
    let (mut wire, _, invite, ok) = answered();
    wire.receive(&again(&invite, &ok, 8).text());
    wire.events();
    wire.receive(&invite.within(&ok, "BYE", 9).text());
    assert_eq!(wire.words(), ["200 BYE", "487 INVITE"]);
    assert_eq!(wire.ended(), Some((End::Released, Party::Remote, None)));
    wire.finish();
}

/// §12.2.2: a fork that was declined changes nothing in the session that another fork has.
#[test]
fn a_re_invite_of_a_declined_fork_is_481() {
    let mut wire = Wire::new();
    let session = wire.invite();
    let invite = wire.one();
    wire.receive(&response(&invite, 200, "p1", "Contact: <sip:ben@ben.example>\r\n"));
    let ack = wire.one();
    wire.events();
    wire.receive(&response(&invite, 200, "p2", "Contact: <sip:eve@eve.example>\r\n"));
    let declined = wire.sent().pop().expect("a BYE");
    wire.receive(&response(&declined, 200, "", ""));
    let again = Request { body: OFFER.into(), ..from_peer(&declined, "INVITE", 90) };
    wire.receive(&again.with("Contact: <sip:eve@eve.example>\r\nContent-Type: application/sdp\r\n").text());
    assert_eq!(wire.words(), ["481 INVITE"]);
    assert!(wire.events().is_empty());
    let again = from_peer(&ack, "INVITE", 2);
    wire.receive(
        &Request { body: OFFER.into(), ..again }
            .with("Contact: <sip:ben@ben.example>\r\nContent-Type: application/sdp\r\n")
            .text(),
    );
    assert!(
        matches!(wire.events()[..], [Event::ModificationOffered { .. }]),
        "its own numbers are untouched"
    );
    wire.refuse(session, 488).expect("offered");
    wire.sent();
    leave(wire, session);
}
