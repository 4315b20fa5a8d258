//! Which INVITE a CANCEL is for (I7): RFC 3261 §9.2, §17.2.3 and digest 14.4.

use sip::usage::End;
use sip::{Event, SessionId};

use crate::wire::*;

fn alerting(strict_flow: bool) -> (Wire, SessionId, Request) {
    let mut wire = Wire::with(|config| config.strict_flow = strict_flow);
    let invite = Request::invite("inv");
    wire.receive(&invite.text());
    let session = wire.invited();
    wire.ring(session);
    wire.sent();
    (wire, session, invite)
}

fn is_cancelled(mut wire: Wire) {
    let words = wire.words();
    assert_eq!(words, ["200 CANCEL", "487 INVITE"]);
    assert!(matches!(wire.events()[..], [Event::Ended { end: End::Cancelled, .. }]));
    wire.finish();
}

fn is_untouched(mut wire: Wire, session: SessionId) {
    assert_eq!(wire.words(), ["481 CANCEL"]);
    assert_eq!(wire.events(), []);
    wire.refuse(session, 480).expect("alerting");
    assert_eq!(wire.words(), ["480 INVITE"]);
    wire.finish();
}

/// C56: the peer learned its public address in between: same branch and flow, another sent-by.
#[test]
fn another_sent_by_on_the_same_flow_still_cancels() {
    let (mut wire, _, invite) = alerting(false);
    let mut cancel = invite.cancel();
    cancel.via = cancel.via.replace(PEER, "198.51.100.7:6000");
    wire.receive(&cancel.text());
    is_cancelled(wire);
}

/// 14.4 authentication: another source with the same branch and sent-by has no effect.
#[test]
fn the_same_branch_from_another_source_is_481() {
    for source in ["192.0.2.66:5060", "203.0.113.5:5060"] {
        let (mut wire, session, invite) = alerting(false);
        wire.receive_on(udp(source), &invite.cancel().text());
        is_untouched(wire, session);
    }
}

/// And another sent-by from another source.
#[test]
fn a_guessed_branch_from_another_source_is_481() {
    let (mut wire, session, invite) = alerting(false);
    let mut cancel = invite.cancel();
    cancel.via = cancel.via.replace(PEER, "203.0.113.5:5060");
    wire.receive_on(udp("203.0.113.5:5060"), &cancel.text());
    is_untouched(wire, session);
}

/// Another UDP port of the same address is the same peer behind a careless socket, unless the settings are strict.
#[test]
fn another_port_counts_only_if_strict() {
    let (mut wire, _, invite) = alerting(false);
    wire.receive_on(udp("192.0.2.9:6060"), &invite.cancel().text());
    is_cancelled(wire);
    let (mut wire, session, invite) = alerting(true);
    wire.receive_on(udp("192.0.2.9:6060"), &invite.cancel().text());
    is_untouched(wire, session);
    let (mut wire, _, invite) = alerting(true);
    wire.receive(&invite.cancel().text());
    is_cancelled(wire);
}

/// C57: a To tag in the CANCEL of a first INVITE.
#[test]
fn a_to_tag_in_the_cancel_does_not_matter() {
    let (mut wire, _, invite) = alerting(false);
    wire.receive(&Request { to_tag: "made-up".into(), ..invite.cancel() }.text());
    is_cancelled(wire);
}

/// T16, RFC 3261 §22.1, 14.2 leniency: never 401, 407, 420, 421, 494 or 415.
#[test]
fn nothing_in_a_cancel_is_required_or_refused() {
    for lines in [
        "Require: 100rel\r\n",
        "Proxy-Require: nothing-supports-this\r\n",
        "Require: a\r\nProxy-Require: b\r\nSecurity-Verify: tls\r\n",
        "Authorization: NoOneKnowsThis x=y\r\n",
        "Content-Type: application/unknown\r\n",
        "Accept: text/none\r\nExpires: 0\r\nContact: <sip:x@y>\r\n",
    ] {
        let (mut wire, _, invite) = alerting(false);
        wire.receive(&Request { body: "body".into(), ..invite.cancel().with(lines) }.text());
        is_cancelled(wire);
    }
}

/// I7: another branch is another INVITE, even if all else is equal; so is another case of it.
#[test]
fn another_branch_is_481() {
    for branch in ["z9hG4bKinw", "z9hG4bKINV", "z9hG4bKinv1"] {
        let (mut wire, session, invite) = alerting(false);
        let mut cancel = invite.cancel();
        cancel.via = cancel.via.replace("z9hG4bKinv", branch);
        wire.receive(&cancel.text());
        is_untouched(wire, session);
    }
}

/// §17.2.3: without the cookie the fields of RFC 2543 decide.
#[test]
fn a_peer_that_predates_rfc_3261_can_cancel() {
    for via in [format!("SIP/2.0/UDP {PEER}"), format!("SIP/2.0/UDP {PEER};branch=1")] {
        let old = |change: &dyn Fn(&mut Request)| {
            let mut wire = Wire::new();
            let mut invite = Request { via: via.clone(), ..Request::invite("inv") };
            wire.receive(&invite.text());
            let session = wire.invited();
            change(&mut invite);
            wire.receive(&invite.cancel().text());
            (wire, session)
        };
        is_cancelled(old(&|_| {}).0);
        let other_call = old(&|invite| invite.call_id = "another".into());
        let other_number = old(&|invite| invite.number = 8);
        let other_tag = old(&|invite| invite.from_tag = "other".into());
        for (wire, session) in [other_call, other_number, other_tag] {
            is_untouched(wire, session);
        }
    }
}

/// Two INVITEs of one call ring side by side (forked on the way): each CANCEL ends its own.
#[test]
fn each_cancel_ends_its_own_invite() {
    let mut wire = Wire::new();
    let (one, two) = (Request::invite("one"), Request::invite("two"));
    wire.receive(&one.text());
    let first = wire.invited();
    wire.receive(&two.text());
    let second = wire.invited();
    wire.receive(&two.cancel().text());
    let events = wire.events();
    assert!(matches!(events[..], [Event::Ended { session, .. }] if session == second));
    assert_eq!(wire.words(), ["200 CANCEL", "487 INVITE"]);
    wire.accept(first).unwrap();
    let ok = wire.one();
    wire.receive(&one.within(&ok, "ACK", 7).text());
    wire.leave(first).unwrap();
    wire.finish();
}

/// R21, §9.2: a CANCEL for anything but an INVITE: 200 if the transaction exists, and no effect.
#[test]
fn a_cancel_for_another_request_has_no_effect() {
    let mut wire = Wire::new();
    for method in ["OPTIONS", "MESSAGE", "REFER", "PUBLISH", "SUBSCRIBE", "BYE"] {
        let mut request = Request::invite(method).follow(method);
        wire.receive(&request.text());
        assert_eq!(wire.sent().len(), 1);
        wire.receive(&request.cancel().text());
        assert_eq!(wire.words(), ["200 CANCEL"], "{method}");
        request.via = request.via.replace("z9hG4bK", "z9hG4bKother");
        wire.receive(&request.cancel().text());
        assert_eq!(wire.words(), ["481 CANCEL"], "{method}");
    }
    assert_eq!(wire.events(), []);
    wire.finish();
}

/// §8.2.2: what ends something does not fail for a header field that nobody needs.
#[test]
fn a_cancel_and_a_bye_with_an_odd_reason_are_taken() {
    let odd = "Reason: SIP;cause=200;text=Call completed elsewhere\r\n";
    let mut wire = Wire::new();
    let invite = Request::invite("inv");
    wire.receive(&invite.text());
    wire.invited();
    wire.receive(&invite.cancel().with(odd).text());
    assert_eq!(wire.words(), ["200 CANCEL", "487 INVITE"]);
    wire.events();
    wire.finish();

    let mut wire = Wire::new();
    let session = wire.invite();
    let invite = wire.one();
    wire.receive(&response(&invite, 180, "p1", CONTACT));
    wire.events();
    wire.cancel(session).unwrap();
    wire.one();
    wire.receive(&response(&invite, 487, "p1", odd));
    assert_eq!(wire.words(), ["ACK"]);
    wire.events();
    wire.finish();
}
