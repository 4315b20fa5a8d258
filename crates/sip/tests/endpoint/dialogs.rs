//! Dialogs: routes, targets, forks, and the ACK that a 2xx waits for. RFC 3261 §12, §13, §15.

use bytes::Bytes;
use sip::message::Name;
use sip::usage::{End, Party};
use sip::{Command, Event, Invite, Message, Misuse, SessionId};

use crate::wire::*;

fn established(lines: &str) -> (Wire, SessionId, Message) {
    let mut wire = Wire::new();
    let session = wire.invite();
    let invite = wire.one();
    wire.receive(&response(&invite, 200, "p1", lines));
    let ack = wire.one();
    assert!(matches!(wire.events()[..], [Event::Established { .. }]));
    (wire, session, ack)
}

const ROUTED: &str =
    "Record-Route: <sip:p2.example;lr>, <sip:p1.example;lr>\r\nContact: <sip:ben@198.51.100.4:5066>\r\n";

/// §12.1.2, §12.2.1.1: the inviter takes the routes in reverse; the Request-URI is the remote target.
#[test]
fn an_inviter_follows_the_routes_in_reverse() {
    let (mut wire, session, ack) = established(ROUTED);
    wire.leave(session).unwrap();
    let bye = wire.one();
    for message in [&ack, &bye] {
        assert_eq!(values(message, Name::Route), ["<sip:p1.example;lr>", "<sip:p2.example;lr>"]);
        assert_eq!(uri(message), "sip:ben@198.51.100.4:5066");
    }
    wire.finish();
}

/// §12.1.1: the invited side takes them in order, and repeats them in its 2xx.
#[test]
fn an_invited_side_follows_the_routes_in_order() {
    let mut wire = Wire::new();
    let lines = "Record-Route: <sip:p2.example;lr>\r\nRecord-Route: <sip:p1.example;lr>\r\n";
    let invite = Request::invite("inv").with(lines);
    wire.receive(&invite.text());
    let session = wire.invited();
    wire.accept(session).unwrap();
    let ok = wire.one();
    let routes = ["<sip:p2.example;lr>", "<sip:p1.example;lr>"];
    assert_eq!(values(&ok, Name::RecordRoute), routes);
    wire.receive(&invite.within(&ok, "ACK", 7).text());
    wire.leave(session).unwrap();
    let bye = wire.one();
    assert_eq!(values(&bye, Name::Route), routes);
    assert_eq!(uri(&bye), "sip:ben@ben.example");
    wire.finish();
}

/// §12.2.1.1: a strict router becomes the Request-URI, and the target the last Route; C14: once, also in the CANCEL.
#[test]
fn a_strict_router_becomes_the_request_uri() {
    let lines = "Record-Route: <sip:p2.example;lr>, <sip:p1.example>\r\nContact: <sip:ben@ben.example>\r\n";
    let (mut wire, session, ack) = established(lines);
    let routes = ["<sip:p2.example;lr>", "<sip:ben@ben.example>"];
    assert_eq!((uri(&ack), values(&ack, Name::Route)), ("sip:p1.example", routes.map(String::from).to_vec()));
    wire.modify(session).unwrap();
    let change = wire.one();
    wire.answer(&change, 100, "");
    wire.cancel(session).unwrap();
    let cancel = wire.one();
    assert_eq!((uri(&cancel), values(&cancel, Name::Route)), (uri(&change), values(&change, Name::Route)));
    assert_eq!(uri(&cancel), "sip:p1.example");
    wire.answer(&change, 487, "");
    let failure = wire.one();
    assert_eq!((uri(&failure), values(&failure, Name::Route)), (uri(&change), values(&change, Name::Route)));
    wire.leave(session).unwrap();
    wire.finish();
}

/// 14.2, §17.1.1.3: Route of the INVITE in its CANCEL and in the ACK of its failure.
#[test]
fn the_routes_of_an_invite_stand_in_its_cancel_and_ack() {
    let mut wire = Wire::new();
    let routes = vec![Bytes::from_static(b"<sip:p1.example;lr>"), Bytes::from_static(b"<sip:p2.example;lr>")];
    let session = wire.invite_with(Invite { routes, ..invitation() });
    let invite = wire.one();
    wire.answer(&invite, 180, "p1");
    wire.cancel(session).unwrap();
    let cancel = wire.one();
    wire.answer(&invite, 487, "p1");
    for message in [cancel, wire.one()] {
        assert_eq!(values(&message, Name::Route), ["<sip:p1.example;lr>", "<sip:p2.example;lr>"]);
    }
    wire.finish();
}

/// §12.2.1.1, RFC 3263 §4: requests go to the address that the dialog names, else the way of the INVITE.
#[test]
fn requests_go_where_the_dialog_says() {
    for (lines, remote) in [
        ("Contact: <sip:ben@198.51.100.4:5066>\r\n", "198.51.100.4:5066"),
        ("Contact: <sip:ben@ben.example>\r\n", PEER),
        ("", PEER),
        ("Record-Route: <sip:203.0.113.1;lr>\r\nContact: <sip:ben@198.51.100.4>\r\n", "203.0.113.1:5060"),
    ] {
        let mut wire = Wire::new();
        let session = wire.invite();
        let invite = wire.one();
        wire.receive(&response(&invite, 200, "p1", lines));
        wire.leave(session).unwrap();
        let log = wire.log();
        assert_eq!(log.iter().map(|sent| word(&sent.message)).collect::<Vec<_>>(), ["ACK", "BYE"]);
        assert!(log.iter().all(|sent| sent.path == udp(remote)), "{lines}");
        wire.finish();
    }
}

/// §13.2.2.4: of several forks the first 2xx is the session, each other is acknowledged and left once, in its own dialog.
#[test]
fn of_several_forks_the_first_is_the_session() {
    let mut wire = Wire::new();
    let session = wire.invite();
    let invite = wire.one();
    for tag in ["p1", "p2", "p3"] {
        wire.answer(&invite, 180, tag);
    }
    wire.events();
    wire.answer(&invite, 200, "p2");
    assert_eq!(to_tag(&wire.one()).as_deref(), Some("p2"));
    wire.answer(&invite, 200, "p3");
    let sent = wire.sent();
    assert_eq!(sent.iter().map(word).collect::<Vec<_>>(), ["ACK", "BYE"]);
    assert!(sent.iter().all(|message| to_tag(message).as_deref() == Some("p3")));
    wire.answer(&sent[1], 200, "");
    wire.answer(&invite, 200, "p3");
    wire.answer(&invite, 200, "p2");
    assert_eq!(wire.words(), ["ACK", "ACK"]);
    assert!(matches!(wire.events()[..], [Event::Established { .. }]));
    wire.leave(session).unwrap();
    let bye = wire.one();
    assert_eq!(to_tag(&bye).as_deref(), Some("p2"));
    wire.answer(&bye, 200, "");
    assert_eq!(wire.ended(), Some((End::Left, Party::Local, None)));
    wire.finish();
}

/// §15: no BYE before the ACK: leaving waits for it, or for its absence.
#[test]
fn leaving_before_the_ack_waits_for_it() {
    for is_acknowledged in [true, false] {
        let mut wire = Wire::new();
        let invite = Request::invite("inv");
        wire.receive(&invite.text());
        let session = wire.invited();
        assert_eq!(wire.leave(session), Err(Misuse::NotEstablished));
        wire.accept(session).unwrap();
        let ok = wire.one();
        wire.leave(session).unwrap();
        wire.leave(session).unwrap();
        wire.quiet();
        if is_acknowledged {
            wire.advance(ms(700));
            assert_eq!(wire.words(), ["200 INVITE"]);
            wire.receive(&invite.within(&ok, "ACK", 7).text());
        } else {
            wire.advance(T1_64);
        }
        let bye = wire.sent().pop().unwrap();
        assert_eq!(word(&bye), "BYE");
        wire.receive(&response(&bye, 200, "", ""));
        assert_eq!(wire.ended(), Some((End::Left, Party::Local, None)));
        wire.finish();
    }
}

/// §12.2.2: an ACK with another number than the 2xx stops nothing.
#[test]
fn an_ack_of_another_number_is_ignored() {
    let mut wire = Wire::new();
    let invite = Request::invite("inv");
    wire.receive(&invite.text());
    let session = wire.invited();
    wire.accept(session).unwrap();
    let ok = wire.one();
    wire.receive(&invite.within(&ok, "ACK", 8).text());
    wire.quiet();
    wire.advance(ms(500));
    assert_eq!(wire.words(), ["200 INVITE"]);
    wire.receive(&invite.within(&ok, "ACK", 7).text());
    assert!(matches!(wire.events()[..], [Event::Acknowledged { .. }]));
    wire.leave(session).unwrap();
    wire.finish();
}

/// §15.1.2: BYE of the peer: 200 and the end; a copy is 200 again, and what comes later is 481.
#[test]
fn a_bye_of_the_peer_ends_the_session() {
    let (mut wire, _, ack) = established(CONTACT);
    let bye = Request {
        from_tag: "p1".into(),
        to_tag: from_tag(&ack),
        call_id: text(&ack, Name::CallId).into(),
        ..Request::invite("bye").follow("BYE").with("Reason: SIP;cause=480\r\n")
    };
    wire.receive(&bye.text());
    wire.receive(&bye.text());
    assert_eq!(wire.words(), ["200 BYE", "200 BYE"]);
    let events = wire.events();
    let [Event::Ended { end: End::Released, by: Party::Remote, reason: Some(reason), .. }] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(&reason[..], b"SIP;cause=480");
    wire.advance(ms(70_000));
    wire.receive(&Request { number: 9, via: bye.via.replace("bye", "bye2"), ..bye }.text());
    assert_eq!(wire.words(), ["481 BYE"]);
    wire.finish();
}

/// §15.1.1, RFC 5407 §3.2: both leave at once: 200 on both sides.
#[test]
fn byes_that_cross_end_the_session_once() {
    let (mut wire, session, ack) = established(CONTACT);
    wire.leave(session).unwrap();
    let ours = wire.one();
    let theirs = Request {
        from_tag: "p1".into(),
        to_tag: from_tag(&ack),
        call_id: text(&ack, Name::CallId).into(),
        ..Request::invite("bye").follow("BYE")
    };
    wire.receive(&theirs.text());
    assert_eq!(wire.words(), ["200 BYE"]);
    wire.answer(&ours, 481, "");
    assert_eq!(wire.ended(), Some((End::Left, Party::Local, None)));
    wire.finish();
}

/// §15: the Reason that the user gave stands in the BYE that had to wait.
#[test]
fn a_leave_that_waits_for_the_ack_keeps_its_reason() {
    let mut wire = Wire::new();
    let invite = Request::invite("inv");
    wire.receive(&invite.text());
    let session = wire.invited();
    wire.accept(session).unwrap();
    let ok = wire.one();
    let leave = Command::Leave { session, headers: headers(&[(Name::Reason, "SIP;cause=488")]) };
    wire.command(leave).unwrap();
    wire.receive(&invite.within(&ok, "ACK", 7).text());
    let bye = wire.one();
    assert_eq!((word(&bye).as_str(), text(&bye, Name::Reason)), ("BYE", "SIP;cause=488"));
    wire.receive(&response(&bye, 200, "", ""));
    wire.events();
    wire.finish();
}

/// §15.1.1: only the answer to the user's own BYE is the end that the user waits for, not that to a declined fork's.
#[test]
fn the_answer_to_a_forks_bye_does_not_end_the_wait_for_ours() {
    let mut wire = Wire::new();
    let session = wire.invite();
    let invite = wire.one();
    wire.answer(&invite, 200, "p1");
    wire.one();
    wire.answer(&invite, 200, "p2");
    let declined = wire.sent().pop().unwrap();
    wire.events();
    wire.leave(session).unwrap();
    let ours = wire.one();
    wire.answer(&declined, 200, "");
    assert_eq!(wire.ended(), None);
    wire.answer(&ours, 200, "");
    assert_eq!(wire.ended(), Some((End::Left, Party::Local, None)));
    wire.finish();
}
