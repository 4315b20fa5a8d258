//! The race catalogue, digest 14.7, between two endpoints whose messages are lost, delayed and reordered by hand.
//! Rows with a test elsewhere: R1 R4 R7 R8 R24 `cancelling`, R5 R6 R14 R18 `cancelled`, R20 `modifications`, R21 `matching`,
//! R28 R30 `streams`.

use sip::message::Name;
use sip::usage::{End, Party};
use sip::{Event, Message, SessionId};

use crate::wire::*;

/// Carries `message` from one endpoint to the other.
fn carry(message: &Message, to: &mut Wire) {
    to.receive_octets(udp(PEER), message.bytes().clone());
}

/// Both ends of an invitation that rings. Either sees the other at [`PEER`].
fn ringing() -> (Wire, SessionId, Wire, SessionId, Message) {
    let (mut caller, mut callee) = (Wire::new(), Wire::with(|config| config.seed = [9; 32]));
    let calling = caller.invite();
    let invite = caller.one();
    carry(&invite, &mut callee);
    let called = callee.invited();
    callee.ring(called);
    carry(&callee.one(), &mut caller);
    caller.events();
    (caller, calling, callee, called, invite)
}

/// Lets both talk, losing what `lose` says, for 64*T1 and more. Returns what the caller and the callee said.
fn talk(
    caller: &mut Wire,
    callee: &mut Wire,
    lose: &mut dyn FnMut(&Message) -> bool,
) -> (Vec<String>, Vec<String>) {
    let mut said = (Vec::new(), Vec::new());
    for _ in 0..100 {
        loop {
            let (down, up) = (caller.sent(), callee.sent());
            if down.is_empty() && up.is_empty() {
                break;
            }
            said.0.extend(down.iter().map(word));
            said.1.extend(up.iter().map(word));
            for message in down.iter().filter(|message| !lose(message)) {
                carry(message, callee);
            }
            for message in up.iter().filter(|message| !lose(message)) {
                carry(message, caller);
            }
        }
        caller.advance(ms(500));
        callee.advance(ms(500));
    }
    said
}

fn count(said: &[String], what: &str) -> usize {
    said.iter().filter(|each| *each == what).count()
}

/// R2, R22: a CANCEL that overtakes its INVITE, or meets a server that restarted, is 481 and has no effect: the guard ends it.
#[test]
fn a_cancel_that_meets_a_server_that_knows_nothing_waits_for_the_guard() {
    let (mut caller, calling, callee, _, _) = ringing();
    drop_open(callee);
    let mut restarted = Wire::with(|config| config.seed = [3; 32]);
    caller.cancel(calling).unwrap();
    let said = talk(&mut caller, &mut restarted, &mut |_| false);
    assert_eq!((said.0, said.1), (vec!["CANCEL".to_owned()], vec!["481 CANCEL".to_owned()]));
    assert_eq!(caller.ended(), Some((End::Cancelled, Party::Local, None)));
    caller.finish();
    restarted.finish();
}

/// A server that dies: its state is gone, nobody finishes it.
fn drop_open(mut wire: Wire) {
    let session = wire.events().is_empty();
    assert!(session);
    std::mem::forget(wire);
}

/// R3, R25 in SIP terms: CANCEL and 2xx cross on the wire: 200 to the CANCEL, ACK, one BYE.
#[test]
fn a_cancel_that_crosses_the_2xx_ends_with_one_bye() {
    let (mut caller, calling, mut callee, called, _) = ringing();
    callee.accept(called).unwrap();
    caller.cancel(calling).unwrap();
    let said = talk(&mut caller, &mut callee, &mut |_| false);
    assert_eq!(said.0, ["CANCEL", "ACK", "BYE"]);
    assert_eq!(said.1, ["200 INVITE", "200 CANCEL", "200 BYE"]);
    assert_eq!(caller.ended(), Some((End::Cancelled, Party::Local, Some(200))));
    assert_eq!(callee.ended(), Some((End::Released, Party::Remote, None)));
    caller.finish();
    callee.finish();
}

/// R4: CANCEL and a refusal cross: the refusal stands, and no 487 follows.
#[test]
fn a_cancel_that_crosses_a_refusal_ends_with_the_refusal() {
    let (mut caller, calling, mut callee, called, _) = ringing();
    callee.refuse(called, 486).unwrap();
    caller.cancel(calling).unwrap();
    let said = talk(&mut caller, &mut callee, &mut |_| false);
    assert_eq!((count(&said.1, "486 INVITE"), count(&said.1, "487 INVITE")), (1, 0));
    assert_eq!(caller.ended(), Some((End::Cancelled, Party::Local, Some(486))));
    caller.finish();
    callee.finish();
}

/// R5, R6, R7, every single and double loss around a CANCEL: the caller is told once, and both sides are empty in the end.
#[test]
fn every_pair_of_losses_around_a_cancel_heals() {
    let kinds = ["CANCEL", "200 CANCEL", "487 INVITE", "ACK"];
    for first in kinds {
        for second in kinds {
            let (mut caller, calling, mut callee, _, _) = ringing();
            caller.cancel(calling).unwrap();
            let mut losses = vec![first, second];
            let mut lose = |message: &Message| {
                let place = losses.iter().position(|loss| *loss == word(message));
                place.map(|place| losses.remove(place)).is_some()
            };
            talk(&mut caller, &mut callee, &mut lose);
            assert_eq!(caller.ended(), Some((End::Cancelled, Party::Local, Some(487))), "{first}, {second}");
            assert_eq!(callee.ended(), Some((End::Cancelled, Party::Remote, Some(487))), "{first}, {second}");
            caller.finish();
            callee.finish();
        }
    }
}

/// R3 with every pair of losses around a 2xx that crosses a CANCEL (C37, C38, I5).
#[test]
fn every_pair_of_losses_around_a_crossing_2xx_heals() {
    let kinds = ["CANCEL", "200 CANCEL", "200 INVITE", "ACK", "BYE", "200 BYE"];
    for first in kinds {
        for second in kinds {
            let (mut caller, calling, mut callee, called, _) = ringing();
            callee.accept(called).unwrap();
            caller.cancel(calling).unwrap();
            let mut losses = vec![first, second];
            let mut lose = |message: &Message| {
                let place = losses.iter().position(|loss| *loss == word(message));
                place.map(|place| losses.remove(place)).is_some()
            };
            talk(&mut caller, &mut callee, &mut lose);
            assert_eq!(caller.ended(), Some((End::Cancelled, Party::Local, Some(200))), "{first}, {second}");
            assert_eq!(callee.ended(), Some((End::Released, Party::Remote, None)), "{first}, {second}");
            caller.finish();
            callee.finish();
        }
    }
}

/// R7, R8: the way down is dead for good: the caller ends with the guard, and the callee by its user.
#[test]
fn a_dead_way_down_ends_with_the_guard() {
    let (mut caller, calling, mut callee, called, _) = ringing();
    caller.cancel(calling).unwrap();
    talk(&mut caller, &mut callee, &mut |message| message.method().is_some());
    assert_eq!(caller.ended(), Some((End::Cancelled, Party::Local, None)));
    assert_eq!(callee.ended(), None);
    callee.refuse(called, 480).unwrap();
    caller.finish();
    callee.finish();
}

/// R16, RFC 5407 §3.1.3: BYE in the early dialog from the inviter: 200, the INVITE 487, and a CANCEL beside it 200.
#[test]
fn a_bye_in_the_early_dialog_ends_the_invitation() {
    let mut wire = Wire::new();
    let invite = Request::invite("inv");
    wire.receive(&invite.text());
    let session = wire.invited();
    wire.ring(session);
    let ringing = wire.one();
    wire.receive(&invite.within(&ringing, "BYE", 8).text());
    assert_eq!(wire.words(), ["200 BYE", "487 INVITE"]);
    assert_eq!(wire.ended(), Some((End::Cancelled, Party::Remote, Some(487))));
    wire.receive(&invite.cancel().text());
    assert_eq!(wire.words(), ["200 CANCEL"]);
    assert_eq!(wire.events(), []);
    wire.finish();
}

/// R17: the callee must not send BYE in an early dialog; if it does nothing is lost: the invitation goes on elsewhere.
#[test]
fn a_bye_of_the_callee_in_an_early_dialog_does_not_end_the_invitation() {
    let mut wire = Wire::new();
    let session = wire.invite();
    let invite = wire.one();
    wire.answer(&invite, 180, "p1");
    wire.answer(&invite, 180, "p2");
    wire.events();
    let bye = Request {
        from_tag: "p1".into(),
        to_tag: from_tag(&invite),
        call_id: text(&invite, Name::CallId).into(),
        ..Request::invite("bye").follow("BYE")
    };
    wire.receive(&bye.text());
    assert_eq!(wire.words(), ["200 BYE"]);
    assert_eq!(wire.events(), []);
    wire.answer(&invite, 200, "p2");
    assert_eq!(wire.words(), ["ACK"]);
    assert!(matches!(wire.events()[..], [Event::Established { .. }]));
    wire.leave(session).unwrap();
    wire.finish();
}

/// R17, R3: a BYE that overtakes its 2xx: the 2xx is acknowledged, nothing is left a second time, and the user is told once.
#[test]
fn a_bye_that_overtakes_its_2xx_ends_the_session() {
    for is_wanted in [true, false] {
        let mut wire = Wire::new();
        let session = wire.invite();
        let invite = wire.one();
        wire.answer(&invite, 180, "p1");
        if !is_wanted {
            wire.cancel(session).unwrap();
        }
        wire.sent();
        wire.events();
        let bye = Request {
            from_tag: "p1".into(),
            to_tag: from_tag(&invite),
            call_id: text(&invite, Name::CallId).into(),
            ..Request::invite("bye").follow("BYE")
        };
        wire.receive(&bye.text());
        wire.answer(&invite, 200, "p1");
        assert_eq!(wire.words(), ["200 BYE", "ACK"]);
        let expected = match is_wanted {
            true => (End::Released, Party::Remote, Some(200)),
            false => (End::Cancelled, Party::Local, Some(200)),
        };
        assert_eq!(wire.ended(), Some(expected));
        wire.finish();
    }
}

/// R18: both sides run out of time together: 487 and CANCEL cross, with one result.
#[test]
fn an_expiry_on_both_sides_has_one_result() {
    let (mut caller, mut callee) = (Wire::new(), Wire::with(|config| config.seed = [9; 32]));
    caller.invite_with(sip::Invite { expires: Some(ms(3000)), ..invitation() });
    carry(&caller.one(), &mut callee);
    let called = callee.invited();
    callee.ring(called);
    carry(&callee.one(), &mut caller);
    caller.events();
    caller.advance(ms(3000));
    callee.advance(ms(3000));
    talk(&mut caller, &mut callee, &mut |_| false);
    assert_eq!(caller.ended(), Some((End::Cancelled, Party::Local, Some(487))));
    assert_eq!(callee.ended().map(|(end, ..)| end), Some(End::Expired));
    caller.finish();
    callee.finish();
}

/// R23 in part: a CANCEL for an INVITE that was refused with 407 is a no-op for the one that followed it.
#[test]
fn a_cancel_of_the_old_branch_does_not_touch_the_new_invite() {
    let mut wire = Wire::new();
    let first = Request::invite("first");
    wire.receive(&first.text());
    let refused = wire.invited();
    wire.refuse(refused, 407).unwrap();
    let challenge = wire.one();
    wire.receive(&first.ack(&challenge).text());
    wire.events();
    let second = Request { call_id: first.call_id.clone(), number: 8, ..Request::invite("second") };
    wire.receive(&second.text());
    let session = wire.invited();
    wire.receive(&first.cancel().text());
    assert_eq!(wire.words(), ["200 CANCEL"]);
    assert_eq!(wire.events(), []);
    wire.receive(&second.cancel().text());
    assert_eq!(wire.words(), ["200 CANCEL", "487 INVITE"]);
    assert!(matches!(wire.events()[..], [Event::Ended { session: ended, .. }] if ended == session));
    wire.finish();
}
