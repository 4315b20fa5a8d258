//! CANCEL at a proxy: RFC 3261 §16.10, §9; cancel-cases groups A, B, D and E.

use sip::message::Name;

use crate::wire::*;

/// An INVITE for ben, who is registered at `at`, and its copies.
fn invited(wire: &mut Wire, at: &[&'static str]) -> (Request, Vec<Sent>) {
    for at in at {
        wire.register("ben", at, "");
    }
    let invite = Request::invite();
    wire.send(&invite);
    let forwarded = wire.sent();
    assert_eq!(forwarded.len(), at.len());
    (invite, forwarded)
}

/// I6, C49, C72: 200 to the CANCEL at once; the 487 comes from whoever rang.
#[test]
fn a_cancel_while_it_rings_is_200_and_then_487() {
    let mut wire = Wire::new();
    let (invite, forwarded) = invited(&mut wire, &[BEN]);
    wire.answer(&forwarded[0], 180);
    let ringing = wire.one().message;
    wire.send(&invite.cancel());
    let sent = wire.sent();
    assert_eq!(sent.iter().map(|sent| word(&sent.message)).collect::<Vec<_>>(), ["200 CANCEL", "CANCEL"]);
    assert_ne!(to_tag(&sent[0].message), to_tag(&ringing), "the core is another party than who rings");
    wire.answer(&sent[1], 200);
    wire.answer(&forwarded[0], 487);
    let sent = wire.sent();
    assert_eq!(sent.iter().map(|sent| word(&sent.message)).collect::<Vec<_>>(), ["ACK", "487 INVITE"]);
    wire.send(&invite.ack(&sent[1].message));
    wire.nothing();
    wire.finish();
}

/// RFC 3326: the reason goes on, as it came.
#[test]
fn the_reason_of_a_cancel_is_passed_on() {
    let mut wire = Wire::new();
    let (invite, forwarded) = invited(&mut wire, &[BEN, BEN_2]);
    wire.answer(&forwarded[0], 180);
    wire.sent();
    let reason = "RELEASE_CAUSE;cause=1;text=\"User ends call\"";
    wire.send(&invite.cancel().with(&format!("Reason: {reason}\r\nReason: SIP;cause=487\r\n")));
    let cancel = wire.sent().pop().unwrap();
    assert_eq!(text(&cancel.message, Name::Reason), format!("{reason}, SIP;cause=487"));
    wire.answer(&forwarded[1], 100);
    let cancel = wire.one();
    assert_eq!(word(&cancel.message), "CANCEL", "a later 1xx brings the same");
    assert_eq!(text(&cancel.message, Name::Reason), format!("{reason}, SIP;cause=487"));
    wire.finish();
}

/// C25, C26: nobody said anything. The inviter hears 487 at once, the INVITE decays, and what still answers is cancelled
/// with its first word; a 2xx goes to the inviter, who acknowledges and leaves.
#[test]
fn a_cancel_to_somebody_mute_is_487_at_once_and_meets_their_first_word() {
    let mut wire = Wire::new();
    let (invite, forwarded) = invited(&mut wire, &[BEN]);
    wire.send(&invite.cancel());
    assert_eq!(wire.words(), ["200 CANCEL", "487 INVITE"]);
    wire.advance(ms(5_000));
    assert!(
        wire.words().iter().all(|word| word == "INVITE" || word == "487 INVITE"),
        "no CANCEL before a 1xx"
    );
    wire.answer(&forwarded[0], 180);
    assert_eq!(wire.words(), ["CANCEL"]);
    wire.answer(&forwarded[0], 487);
    assert_eq!(wire.words(), ["ACK"]);
    wire.finish();

    let mut wire = Wire::new();
    let (invite, forwarded) = invited(&mut wire, &[BEN]);
    wire.send(&invite.cancel());
    wire.sent();
    wire.answer(&forwarded[0], 200);
    assert_eq!(wire.words(), ["200 INVITE"]);
    wire.finish();
}

/// R9, I11: one CANCEL, each branch its own with its own branch parameter, one 487. C05, C06, C16 in `wire`.
#[test]
fn one_cancel_cancels_every_branch_and_one_487_comes_back() {
    let mut wire = Wire::new();
    let (invite, forwarded) = invited(&mut wire, &[BEN, BEN_2, BEN_3]);
    wire.answer(&forwarded[0], 180);
    wire.answer(&forwarded[2], 100);
    wire.sent();
    wire.send(&invite.cancel());
    let sent = wire.sent();
    assert_eq!(
        sent.iter().map(|sent| word(&sent.message)).collect::<Vec<_>>(),
        ["200 CANCEL", "CANCEL", "CANCEL"]
    );
    assert_eq!(branch(&sent[1].message), branch(&forwarded[0].message));
    assert_eq!(branch(&sent[2].message), branch(&forwarded[2].message));
    wire.answer(&forwarded[0], 487);
    assert_eq!(wire.words(), ["ACK"]);
    wire.answer(&forwarded[2], 487);
    assert_eq!(wire.words(), ["ACK", "487 INVITE"]);
    wire.finish();
}

/// C40, T24: whoever accepts after the CANCEL does so to the inviter, each of them.
#[test]
fn every_2xx_after_the_cancel_is_passed_on() {
    let mut wire = Wire::new();
    let (invite, forwarded) = invited(&mut wire, &[BEN, BEN_2, BEN_3]);
    for forwarded in &forwarded {
        wire.answer(forwarded, 180);
    }
    wire.send(&invite.cancel());
    wire.sent();
    for (number, forwarded) in (2..).zip(&forwarded) {
        wire.answer(forwarded, 200);
        let answer = wire.one().message;
        assert_eq!(word(&answer), "200 INVITE");
        // C41: the inviter reaches each of them to leave.
        wire.send(&invite.within(&answer, "ACK", 1));
        wire.send(&invite.within(&answer, "BYE", number));
        let sent = wire.sent();
        assert!(sent.iter().all(|sent| sent.path.remote == forwarded.path.remote));
        assert_eq!(sent.len(), 2);
    }
    wire.finish();
}

/// C66, C40: whoever would have been tried next is not.
#[test]
fn after_the_cancel_no_further_target_is_tried() {
    for answered in 0..3 {
        let mut wire = Wire::new();
        for (at, q) in [(BEN, "0.9"), (BEN_2, "0.5"), (BEN_3, "0.1")] {
            wire.register("ben", at, &format!(";q={q}"));
        }
        let invite = Request::invite();
        wire.send(&invite);
        for _ in 0..answered {
            let forwarded = wire.sent().pop().unwrap();
            wire.answer(&forwarded, 480);
        }
        let forwarded = wire.sent().pop().unwrap();
        wire.answer(&forwarded, 180);
        wire.send(&invite.cancel());
        assert_eq!(wire.words(), ["180 INVITE", "200 CANCEL", "CANCEL"]);
        wire.answer(&forwarded, 486);
        assert_eq!(wire.words(), ["ACK", "487 INVITE"], "C50: whoever cancels hears 487");
        wire.finish();
    }
}

/// C53, C54, I8: copies of the CANCEL meet its own transaction.
#[test]
fn each_copy_of_the_cancel_gets_the_same_200_and_nothing_else() {
    let mut wire = Wire::new();
    let (invite, forwarded) = invited(&mut wire, &[BEN]);
    wire.answer(&forwarded[0], 180);
    wire.sent();
    for place in 0..3 {
        wire.send(&invite.cancel());
        let expected = if place == 0 { vec!["200 CANCEL", "CANCEL"] } else { vec!["200 CANCEL"] };
        assert_eq!(wire.words(), expected);
        wire.advance(ms(5));
    }
    wire.finish();
}

/// C57: a To tag, as some devices add it, does not make it a request within a dialog.
#[test]
fn a_cancel_with_a_to_tag_still_cancels() {
    let mut wire = Wire::new();
    let (invite, forwarded) = invited(&mut wire, &[BEN]);
    wire.answer(&forwarded[0], 180);
    let ringing = wire.one().message;
    wire.send(&Request { to: text(&ringing, Name::To).into(), ..invite.cancel() });
    assert_eq!(wire.words(), ["200 CANCEL", "CANCEL"]);
    wire.finish();
}

/// I7, C52: what matches nothing has no effect; nothing is kept of it.
#[test]
fn a_cancel_that_matches_nothing_is_481() {
    let mut wire = Wire::new();
    let (invite, forwarded) = invited(&mut wire, &[BEN]);
    wire.answer(&forwarded[0], 180);
    wire.sent();
    let elsewhere = Request { at: ANNA, ..invite.cancel() };
    // From somebody else, who knows the whole INVITE.
    wire.receive(udp(ANNA), &invite.cancel().text());
    assert_eq!(wire.words(), ["481 CANCEL"]);
    wire.receive(udp(ANNA), &elsewhere.text());
    assert_eq!(wire.words(), ["481 CANCEL"]);
    // The right Call-ID and another branch.
    wire.send(&Request { branch: "another".into(), ..invite.cancel() });
    assert_eq!(wire.words(), ["481 CANCEL"]);
    assert_eq!(wire.core.counters().unmatched_cancels, 3);
    wire.send(&invite.cancel());
    assert_eq!(wire.words(), ["200 CANCEL", "CANCEL"], "the right one still has its effect");
    wire.finish();
}

/// T16, §22.1: no CANCEL is challenged, whatever it carries.
#[test]
fn a_cancel_is_never_challenged_nor_refused_for_an_extension() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    let invite = wire.send_proven(&Request::new("INVITE", "anna", ANNA, "ben"), "anna");
    let forwarded = wire.one();
    wire.answer(&forwarded, 180);
    wire.sent();
    wire.send(&invite.cancel().with("Require: x\r\nProxy-Require: y\r\n"));
    assert_eq!(wire.words(), ["200 CANCEL", "CANCEL"]);
    wire.finish();
}

/// C69, C84: nothing was kept of an INVITE that was challenged, so its CANCEL meets nothing.
#[test]
fn the_cancel_of_a_challenged_invite_leaves_nothing_behind() {
    let mut wire = Wire::new();
    let invite = Request::new("INVITE", "anna", ANNA, "ben");
    wire.send(&invite);
    wire.send(&invite.cancel());
    assert_eq!(wire.words(), ["407 INVITE", "481 CANCEL"]);
    assert!(wire.core.is_empty());
    wire.finish();
}

/// R4: a final response has gone back: 200, and no effect.
#[test]
fn a_cancel_after_the_final_response_has_no_effect() {
    for status in [200, 486] {
        let mut wire = Wire::new();
        let (invite, forwarded) = invited(&mut wire, &[BEN]);
        wire.answer(&forwarded[0], status);
        wire.sent();
        wire.send(&invite.cancel());
        assert_eq!(wire.words(), ["200 CANCEL"]);
        wire.finish();
    }
}

/// C12: the way of the INVITE counts, whatever the directory says by now.
#[test]
fn a_cancel_goes_where_its_invite_went() {
    let mut wire = Wire::new();
    let (invite, forwarded) = invited(&mut wire, &[BEN]);
    wire.answer(&forwarded[0], 180);
    wire.sent();
    let line = format!("Contact: <sip:ben@{BEN}>;expires=0, <sip:ben@{BEN_2}>\r\n");
    wire.register_on(udp(BEN), "ben", BEN_2, &line);
    wire.send(&invite.cancel());
    let cancel = wire.sent().pop().unwrap();
    assert_eq!((word(&cancel.message), cancel.to()), ("CANCEL".into(), BEN.into()));
    wire.finish();
}

/// C76, C77, R7, R8: whoever rang says nothing any more, to the CANCEL or to the INVITE.
#[test]
fn a_branch_that_never_ends_is_given_up_after_64_t1() {
    for answers_cancel in [false, true] {
        let mut wire = Wire::new();
        let (invite, forwarded) = invited(&mut wire, &[BEN]);
        wire.answer(&forwarded[0], 180);
        wire.send(&invite.cancel());
        let cancel = wire.sent().pop().unwrap();
        if answers_cancel {
            wire.answer(&cancel, 200);
        }
        wire.advance(T1_64);
        let words = wire.words();
        assert_eq!(words.iter().filter(|word| *word == "487 INVITE").count(), 1, "{words:?}");
        wire.finish();
    }
}

/// C05: two proxies in a row; each hop's CANCEL has the branch of that hop's INVITE.
#[test]
fn through_two_proxies_each_hop_has_its_own_branch() {
    let (mut first, mut second) = (Wire::new(), Wire::with(|config| config.seed = [8; 32]));
    first.register_on(udp(BEN), "ben", BEN, "Contact: <sip:ben@192.0.2.100:5060>\r\n");
    second.register("ben", BEN_2, "");
    let invite = Request::invite();
    first.send(&invite);
    let between = first.one();
    let as_text = |sent: &Sent| {
        let text = String::from_utf8(sent.message.bytes().to_vec()).unwrap();
        text.replace("sip:ben@192.0.2.100:5060", "sip:ben@poc.example").replace(";loop=", ";x=")
    };
    let back = udp(PEER);
    second.receive(back, &as_text(&between));
    let last = second.one();
    assert_ne!(branch(&last.message), branch(&between.message));
    second.answer(&last, 180);
    let ringing = second.one();
    first.receive(between.path, std::str::from_utf8(ringing.message.bytes()).unwrap());
    first.send(&invite.cancel());
    let cancel = first.sent().pop().unwrap();
    assert_eq!(branch(&cancel.message), branch(&between.message));
    second.receive(back, &as_text(&cancel));
    let cancel = second.sent().pop().unwrap();
    assert_eq!((word(&cancel.message), branch(&cancel.message)), ("CANCEL".into(), branch(&last.message)));
    first.finish();
    second.finish();
}
