//! Defects of other stacks (C01 to C90), each by the scenario that would have caught it, where no row of a table does.
//! Elsewhere: C01 C08 C22 C24 C26 C28 C29 C36 C37 C38 C40 C42 C45 C52 C64 C77 `cancelling`; C41 C46 C49 C50 C53 C54 C58 C88
//! C89 C90 `cancelled`; C05 C10 C20 `wire`; C13 C17 C18 `streams`; C14 `dialogs`; C56 C57 `matching`; C61 `modifications`.

use bytes::Bytes;
use sip::message::Name;
use sip::usage::{End, Party};
use sip::{Command, Event, Invite, Message, Misuse};

use crate::wire::*;

/// C01, C02, C04, C05, C16, C20, item 1 and T9, for many INVITEs: `wire` compares each CANCEL with its INVITE, line by line.
#[test]
fn the_cancel_of_every_invite_is_that_of_its_invite() {
    let long = "a".repeat(700);
    let everything = headers(&[
        (Name::Require, "100rel"),
        (Name::ProxyRequire, "sec-agree"),
        (Name::Supported, "timer"),
        (Name::PPreferredIdentity, "<sip:anna@example.com>"),
        (Name::AcceptContact, "*;+g.poc.talkburst"),
        (Name::Authorization, "Digest username=\"a\""),
        (Name::ProxyAuthorization, "Digest username=\"a\""),
        (Name::Privacy, "id"),
    ]);
    let address = |text: String| Bytes::from(text);
    let invites = [
        invitation(),
        Invite { body: None, ..invitation() }, // C30: without an offer
        Invite { headers: everything, ..invitation() },
        Invite { to: address("sip:ben@example.com;x=y".into()), ..invitation() },
        Invite {
            to: address("\"B, \\\"x\\\" <sip:no@where>\" <sip:ben@example.com;user=phone>".into()),
            ..invitation()
        },
        Invite { from: address("<sips:anna%20b@[2001:db8::1]:5070>".into()), ..invitation() },
        Invite { uri: address(format!("sip:{long}@192.0.2.9;transport=udp;x=%41")), ..invitation() },
        Invite {
            routes: vec![
                address("<sip:p1.example;lr>".into()),
                address("\"P\" <sip:p2.example;lr>;x=y".into()),
            ],
            ..invitation()
        },
    ];
    for (place, invite) in invites.into_iter().enumerate() {
        for status in [100, 180, 183] {
            let mut wire = Wire::with(|config| config.seed = [u8::try_from(place).unwrap(); 32]);
            let session = wire.invite_with(invite.clone());
            let sent = wire.one();
            wire.answer(&sent, status, if status == 100 { "" } else { "p1" });
            let reason = headers(&[(Name::Reason, "RELEASE_CAUSE;cause=1;text=\"User ends call\"")]);
            wire.command(Command::Cancel { session, headers: reason }).unwrap();
            let cancel = wire.one();
            assert_eq!(word(&cancel), "CANCEL", "{place}");
            // 14.9: what the user says stands in it.
            assert!(text(&cancel, Name::Reason).starts_with("RELEASE_CAUSE"));
            wire.finish();
        }
    }
}

/// 14.9: of several wishes the first Reason counts: the CANCEL is the one that left, or is to leave.
#[test]
fn the_reason_of_the_first_wish_counts() {
    let mut wire = Wire::new();
    let session = wire.invite();
    let invite = wire.one();
    for reason in ["SIP;cause=1", "SIP;cause=2"] {
        wire.command(Command::Cancel { session, headers: headers(&[(Name::Reason, reason)]) }).unwrap();
    }
    wire.answer(&invite, 100, "");
    assert_eq!(text(&wire.one(), Name::Reason), "SIP;cause=1");
    wire.finish();
}

/// C06: of two sessions through one endpoint each CANCEL belongs to its own, on the inviting and on the invited side.
#[test]
fn the_legs_of_a_back_to_back_agent_do_not_mix() {
    let mut wire = Wire::new();
    let incoming = Request { number: 41, ..Request::invite("a-leg") };
    wire.receive(&incoming.text());
    let a_leg = wire.invited();
    let b_leg = wire.invite();
    let invite = wire.one();
    wire.answer(&invite, 180, "p1");
    wire.events();
    wire.receive(&incoming.cancel().text());
    assert_eq!(wire.words(), ["200 CANCEL", "487 INVITE"]);
    assert!(matches!(wire.events()[..], [Event::Ended { session, .. }] if session == a_leg));
    wire.cancel(b_leg).unwrap();
    let cancel = wire.one();
    assert_eq!((text(&cancel, Name::CSeq), branch(&cancel)), ("1 CANCEL", branch(&invite)));
    wire.answer(&invite, 487, "p1");
    assert!(matches!(wire.events()[..], [Event::Ended { session, .. }] if session == b_leg));
    wire.finish();
}

/// C32, C33, C34: in every state before a final response the wish has its effect; after it the caller is told to leave.
#[test]
fn a_wish_has_its_effect_in_every_state_before_the_final_response() {
    for early in [&[][..], &[(100, "")], &[(100, ""), (183, "p1")], &[(180, "p1"), (180, "p2"), (183, "p1")]]
    {
        let mut wire = Wire::new();
        let session = wire.invite();
        let invite = wire.one();
        for (status, tag) in early {
            wire.answer(&invite, *status, tag);
        }
        wire.events();
        assert_eq!(wire.leave(session), Err(Misuse::NotEstablished));
        wire.cancel(session).unwrap();
        wire.answer(&invite, 200, "p1");
        let words = wire.words();
        assert_eq!(words.iter().filter(|word| *word == "CANCEL").count(), usize::from(!early.is_empty()));
        assert!(words.ends_with(&["ACK".into(), "BYE".into()]), "{words:?}");
        assert_eq!(wire.ended(), Some((End::Cancelled, Party::Local, Some(200))));
        wire.finish();
    }
}

/// C44, C48, C82, item 12, I4, I9: every order of what can happen to both kinds of INVITE; `wire` checks the invariants.
#[test]
fn every_order_of_events_keeps_the_invariants() {
    const STEPS: usize = 5;
    const KINDS: usize = 8;
    for order in 0..KINDS.pow(STEPS as u32) {
        let mut wire = Wire::new();
        let session = wire.invite();
        let invite = wire.one();
        let mut rest = order;
        let mut cancel: Option<Message> = None;
        let mut is_over = false;
        for _ in 0..STEPS {
            match rest % KINDS {
                0 => drop(wire.cancel(session)),
                1 => wire.answer(&invite, 100, ""),
                2 => wire.answer(&invite, 180, "p1"),
                3 => wire.answer(&invite, 200, "p1"),
                4 => wire.answer(&invite, 200, "p2"),
                5 => wire.answer(&invite, 487, "p1"),
                6 => wire.advance(T1_64),
                _ => match &cancel {
                    Some(cancel) => wire.answer(cancel, 481, ""),
                    None => drop(wire.leave(session)),
                },
            }
            rest /= KINDS;
            cancel = wire.sent().into_iter().find(|message| word(message) == "CANCEL").or(cancel);
            is_over |= wire.ended().is_some();
        }
        if !is_over && wire.leave(session).is_err() {
            let _ = wire.cancel(session);
        }
        wire.finish();
    }
    for order in 0..KINDS.pow(STEPS as u32) {
        let mut wire = Wire::new();
        let invite = Request::invite("inv");
        wire.receive(&invite.text());
        let session = wire.invited();
        wire.ring(session);
        let ringing = wire.one();
        let mut rest = order;
        for _ in 0..STEPS {
            match rest % KINDS {
                0 => wire.receive(&invite.cancel().text()),
                1 => drop(wire.accept(session)),
                2 => drop(wire.refuse(session, 486)),
                3 => wire.receive(&invite.within(&ringing, "ACK", 7).text()),
                4 => wire.receive(&invite.within(&ringing, "BYE", 8).text()),
                5 => wire.receive(&invite.ack(&ringing).text()),
                6 => wire.advance(ms(33_000)),
                _ => drop(wire.leave(session)),
            }
            rest /= KINDS;
        }
        let _ = wire.refuse(session, 480);
        let _ = wire.leave(session);
        wire.finish();
    }
}
