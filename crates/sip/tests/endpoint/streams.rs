//! TCP: the CANCEL stays on the connection of its INVITE, whoever opened it, and what happens when that is lost.

use bytes::Bytes;
use sip::message::{Body, Name};
use sip::transport::{ConnectionId, Listener, Target, Transport};
use sip::usage::{End, Party};
use sip::{Command, Event, Input, Invite, Message, Misuse, SessionId};

use crate::wire::*;

const FIRST: ConnectionId = ConnectionId::Opened(1);

fn over_tcp() -> Invite {
    Invite { targets: vec![Target { transport: Transport::Tcp, remote: address(PEER) }], ..invitation() }
}

/// A multipart INVITE that is longer than 1300 octets, to a peer that is named with UDP.
fn long() -> Invite {
    let bytes = Bytes::from("x".repeat(1300));
    Invite {
        body: Some(Body { content_type: Bytes::from_static(b"multipart/mixed;boundary=b"), bytes }),
        ..invitation()
    }
}

fn lose(wire: &mut Wire, connection: ConnectionId) {
    wire.input(Input::ConnectionLost { connection }).expect("only commands are refused");
}

fn refuse(wire: &mut Wire, connection: ConnectionId) {
    wire.input(Input::ConnectionRefused { connection }).expect("only commands are refused");
}

fn invite(wire: &mut Wire, invite: Invite) -> (SessionId, Message, sip::transport::Path) {
    let session = wire.invite_with(invite);
    let sent = wire.log().remove(0);
    (session, sent.message, sent.path)
}

/// C18, T10, 14.2: the CANCEL leaves on the connection of its INVITE; on TCP nothing is retransmitted.
#[test]
fn the_cancel_of_an_invite_over_tcp_stays_on_its_connection() {
    let mut wire = Wire::new();
    let (session, request, path) = invite(&mut wire, over_tcp());
    assert_eq!(path, tcp(PEER, FIRST));
    assert!(text(&request, Name::Via).starts_with("SIP/2.0/TCP "));
    assert!(text(&request, Name::Contact).contains(";transport=tcp"));
    wire.receive_on(path, &response(&request, 180, "p1", CONTACT));
    wire.cancel(session).unwrap();
    let log = wire.log();
    assert_eq!((word(&log[0].message).as_str(), log[0].path), ("CANCEL", path));
    wire.advance(ms(20_000));
    assert!(wire.sent().is_empty(), "timers A and E are for UDP");
    wire.receive_on(path, &response(&request, 487, "p1", ""));
    let ack = wire.log().remove(0);
    assert_eq!((word(&ack.message).as_str(), ack.path), ("ACK", path));
    wire.finish();
}

/// What one shard has opened the others know by its number, so it is found from everywhere.
#[test]
fn what_a_shard_opens_is_numbered_as_its_own() {
    let mut wire = Wire::with(|config| config.owner.shard = 3);
    let (_, request, path) = invite(&mut wire, over_tcp());
    assert_eq!(path.connection.map(sip::connection::shard_of), Some(3));
    wire.receive_on(path, &response(&request, 486, "p1", ""));
    wire.log();
    wire.finish();
}

/// C13, T10, RFC 3261 §18.1.1: longer than 1300 octets: TCP, and the CANCEL on that connection.
#[test]
fn an_invite_that_is_too_long_for_udp_leaves_by_tcp_and_so_does_its_cancel() {
    let mut wire = Wire::new();
    let (session, request, path) = invite(&mut wire, long());
    assert_eq!(path, tcp(PEER, FIRST));
    wire.receive_on(path, &response(&request, 100, "", ""));
    wire.cancel(session).unwrap();
    assert_eq!(wire.log()[0].path, path);
    wire.receive_on(path, &response(&request, 200, "p1", CONTACT));
    let log = wire.log();
    assert_eq!(log.iter().map(|sent| word(&sent.message)).collect::<Vec<_>>(), ["ACK", "BYE"]);
    assert!(log.iter().all(|sent| sent.path == path));
    wire.finish();
}

/// The limit is exact, and without a TCP listener a long INVITE leaves by UDP after all.
#[test]
fn the_length_decides_and_so_does_the_listener() {
    let mut wire = Wire::new();
    let (_, request, _) = invite(&mut wire, long());
    let over = request.bytes().len();
    let mut exact = Wire::with(|config| config.datagram_max = over);
    let (_, _, path) = invite(&mut exact, long());
    assert_eq!(path, udp(PEER));
    let mut alone = Wire::with(|config| config.listeners.truncate(1));
    let (_, _, path) = invite(&mut alone, long());
    assert_eq!(path, udp(PEER));
    for wire in [wire, exact, alone] {
        wire.finish();
    }
}

/// §18.1.1: refused TCP: the same INVITE leaves by UDP with a Via of its own, and the CANCEL is that of the second attempt (C17).
#[test]
fn a_refused_connection_falls_back_to_udp() {
    let mut wire = Wire::new();
    let (session, first, _) = invite(&mut wire, long());
    refuse(&mut wire, FIRST);
    let sent = wire.log().remove(0);
    assert_eq!(sent.path, udp(PEER));
    let second = sent.message;
    assert!(text(&second, Name::Via).starts_with("SIP/2.0/UDP ") && branch(&first) != branch(&second));
    assert!(!text(&second, Name::Contact).contains("tcp"));
    for name in [Name::From, Name::To, Name::CallId, Name::CSeq] {
        assert_eq!(text(&first, name), text(&second, name));
    }
    assert_eq!(first.body(), second.body());
    // A response to the attempt that never left is none.
    wire.answer(&first, 180, "p1");
    assert_eq!(wire.events(), []);
    wire.answer(&second, 180, "p1");
    wire.cancel(session).unwrap();
    let cancel = wire.one();
    assert_eq!(branch(&cancel), branch(&second));
    wire.answer(&second, 487, "p1");
    assert_eq!(wire.words(), ["ACK"]);
    wire.finish();
}

/// I3: no second attempt after the wish.
#[test]
fn a_refused_connection_does_not_fall_back_after_the_wish() {
    let mut wire = Wire::new();
    let (session, ..) = invite(&mut wire, long());
    wire.cancel(session).unwrap();
    refuse(&mut wire, FIRST);
    assert_eq!(wire.words(), [""; 0]);
    assert_eq!(wire.ended(), Some((End::Cancelled, Party::Local, None)));
    assert!(wire.finish().is_empty());
}

/// U1/transport error and U1c/transport error: without a way to fall back it is over.
#[test]
fn a_refused_connection_ends_an_invite_that_wanted_tcp() {
    for is_wanted in [true, false] {
        let mut wire = Wire::new();
        let (session, ..) = invite(&mut wire, over_tcp());
        if !is_wanted {
            wire.cancel(session).unwrap();
        }
        refuse(&mut wire, FIRST);
        let expected = match is_wanted {
            true => (End::TransportFailed, Party::Remote, None),
            false => (End::Cancelled, Party::Local, None),
        };
        assert_eq!(wire.ended(), Some(expected));
        assert_eq!(wire.cancel(session), Err(Misuse::TooLate));
        assert!(wire.finish().is_empty());
    }
}

/// R30: connection lost while cancelling: T-guard, for a final response that comes another way, and then a way to the peer
/// that is open.
#[test]
fn a_connection_that_is_lost_while_cancelling_leaves_the_guard() {
    for is_answered in [true, false] {
        let mut wire = Wire::new();
        let (session, request, path) = invite(&mut wire, over_tcp());
        wire.receive_on(path, &response(&request, 180, "p1", CONTACT));
        wire.events();
        wire.cancel(session).unwrap();
        assert_eq!(wire.words(), ["CANCEL"]);
        lose(&mut wire, FIRST);
        wire.quiet();
        wire.advance(ms(10_000));
        wire.quiet();
        if is_answered {
            let other = tcp("192.0.2.9:41000", ConnectionId::Accepted(3));
            wire.receive_on(other, &response(&request, 200, "p1", CONTACT));
            let log = wire.log();
            assert_eq!(log.iter().map(|sent| word(&sent.message)).collect::<Vec<_>>(), ["ACK", "BYE"]);
            assert!(log.iter().all(|sent| sent.path == tcp(PEER, ConnectionId::Opened(2))));
            assert_eq!(wire.ended(), Some((End::Cancelled, Party::Local, Some(200))));
        } else {
            wire.advance(ms(22_000));
            assert_eq!(wire.ended(), Some((End::Cancelled, Party::Local, None)));
        }
        wire.finish();
    }
}

/// R28: over TCP timer J is zero; a duplicate of a CANCEL has no effect, whatever its answer.
#[test]
fn a_duplicate_of_a_cancel_over_tcp_has_no_effect() {
    let mut wire = Wire::new();
    let path = tcp("192.0.2.9:40000", ConnectionId::Accepted(1));
    let mut invite = Request::invite("inv");
    invite.via = invite.via.replace("UDP", "TCP");
    let burst = invite.text() + &invite.cancel().text();
    // Cut anywhere, as streams are.
    let (begin, end) = burst.split_at(burst.len() - 40);
    wire.receive_on(path, begin);
    wire.receive_on(path, end);
    let sent = wire.log();
    assert_eq!(sent.iter().map(|sent| word(&sent.message)).collect::<Vec<_>>(), ["200 CANCEL", "487 INVITE"]);
    assert!(sent.iter().all(|sent| sent.path == path));
    assert!(matches!(wire.events()[..], [Event::Invited { .. }, Event::Ended { .. }]));
    wire.receive_on(path, &invite.cancel().text());
    assert_eq!(wire.sent().len(), 1);
    wire.receive_on(path, &invite.ack(&sent[1].message).text());
    wire.receive_on(path, &invite.cancel().text());
    assert_eq!(wire.words(), ["481 CANCEL"]);
    assert_eq!(wire.events(), []);
    wire.finish();
}

/// 14.4 matching: a CANCEL on another connection than its INVITE, or beside it by UDP, is 481.
#[test]
fn a_cancel_on_another_connection_is_481() {
    let mut wire = Wire::new();
    let path = |number| tcp("192.0.2.9:40000", ConnectionId::Accepted(number));
    let mut invite = Request::invite("inv");
    invite.via = invite.via.replace("UDP", "TCP");
    wire.receive_on(path(1), &invite.text());
    let session = wire.invited();
    wire.receive_on(path(2), &invite.cancel().text());
    assert_eq!(wire.words(), ["481 CANCEL"]);
    wire.receive_on(udp(PEER), &invite.cancel().text());
    assert_eq!(wire.words(), ["481 CANCEL"]);
    assert_eq!(wire.events(), []);
    wire.refuse(session, 480).unwrap();
    wire.finish();
}

/// A stream that cannot be read any more is given back to the driver; RFC 5626 pings do not disturb it.
#[test]
fn a_broken_stream_is_closed() {
    let mut wire = Wire::new();
    let path = tcp("192.0.2.9:40000", ConnectionId::Accepted(1));
    wire.receive_on(path, "\r\n\r\n");
    wire.receive_on(path, "OPTIONS sip:a@b SIP/2.0\r\nTo: b\r\n\r\n");
    assert_eq!(wire.events(), [Event::Disconnect { connection: ConnectionId::Accepted(1) }]);
    lose(&mut wire, ConnectionId::Accepted(1));
    wire.finish();
}

/// §18.1.1 holds for a re-INVITE too; §14.1: what happens to its connection leaves the session as it was.
#[test]
fn a_long_reinvite_goes_by_tcp_and_comes_back_to_udp_when_that_is_refused() {
    let mut wire = Wire::new();
    let session = wire.invite();
    let invite = wire.one();
    wire.receive(&response(&invite, 200, "p1", "Contact: <sip:ben@192.0.2.9>\r\n"));
    wire.one();
    wire.events();
    let body = Some(Body {
        content_type: Bytes::from_static(b"application/sdp"),
        bytes: Bytes::from("x".repeat(1300)),
    });
    wire.command(Command::Modify { session, headers: Vec::new(), body: body.clone() }).unwrap();
    let by_tcp = wire.log().remove(0);
    assert_eq!(by_tcp.path, tcp(PEER, FIRST));
    refuse(&mut wire, FIRST);
    let by_udp = wire.log().remove(0);
    assert_eq!((by_udp.path, word(&by_udp.message).as_str()), (udp(PEER), "INVITE"));
    assert_ne!(branch(&by_udp.message), branch(&by_tcp.message));
    wire.receive(&response(&by_udp.message, 200, "p1", CONTACT));
    wire.sent();
    assert!(matches!(wire.events()[..], [Event::Modified { .. }]));
    wire.leave(session).unwrap();
    let bye = wire.one();
    wire.answer(&bye, 200, "");
    wire.events();
    wire.finish();
}

/// Via and Contact tell what peers can reach; the socket's own address stays in the path.
#[test]
fn a_listener_is_known_to_peers_by_its_advertised_address() {
    let mut wire = Wire::with(|config| {
        let at = |bind: &str, advertised: &str| Listener {
            transport: Transport::Udp,
            bind: address(bind),
            advertised: address(advertised),
        };
        config.listeners =
            vec![at("[2001:db8::1]:5060", "[2001:db8::f]:5080"), at(OURS, "198.51.100.7:5070")];
    });
    let (session, request, path) = invite(&mut wire, invitation());
    assert_eq!(path.local, address(OURS));
    assert!(text(&request, Name::Via).starts_with("SIP/2.0/UDP 198.51.100.7:5070;"));
    assert!(text(&request, Name::Contact).contains("@198.51.100.7:5070>"));
    let six = Target { transport: Transport::Udp, remote: address("[2001:db8::9]:5060") };
    let (other, request, path) = invite(&mut wire, Invite { targets: vec![six], ..invitation() });
    assert_eq!(path.local, address("[2001:db8::1]:5060"));
    assert!(text(&request, Name::Via).starts_with("SIP/2.0/UDP [2001:db8::f]:5080;"));
    for session in [session, other] {
        wire.cancel(session).unwrap();
    }
    wire.advance(ms(32_000));
    wire.sent();
    wire.events();
    wire.finish();
}

/// §18.1.1: a connection that was open may have carried the INVITE: no second one leaves, which would ring beside it.
#[test]
fn a_connection_that_is_lost_after_it_was_open_does_not_fall_back() {
    let mut wire = Wire::new();
    let (_, _, path) = invite(&mut wire, long());
    lose(&mut wire, path.connection.expect("TCP"));
    assert!(wire.sent().is_empty());
    assert_eq!(wire.ended(), Some((End::TransportFailed, Party::Remote, None)));
    wire.finish();
}

/// R30, §18.1.1: the CANCEL of an INVITE whose connection was lost goes to the same peer over a new one.
#[test]
fn a_cancel_whose_connection_was_lost_opens_another_to_the_same_peer() {
    let mut wire = Wire::new();
    let (session, request, path) = invite(&mut wire, over_tcp());
    wire.receive_on(path, &response(&request, 180, "p1", CONTACT));
    lose(&mut wire, FIRST);
    wire.cancel(session).unwrap();
    let cancel = wire.log().remove(0);
    assert_eq!(word(&cancel.message), "CANCEL");
    assert_eq!((cancel.path.remote, cancel.path.connection), (path.remote, Some(ConnectionId::Opened(2))));
    wire.receive_on(cancel.path, &response(&request, 487, "p1", ""));
    wire.sent();
    assert_eq!(wire.ended(), Some((End::Cancelled, Party::Local, Some(487))));
    wire.finish();
}

/// §17.1.1.2, §17.1.4: after the fall-back timer A runs as for any INVITE by UDP; a request without one has failed.
#[test]
fn what_was_refused_is_retransmitted_by_udp_or_has_failed() {
    let mut wire = Wire::new();
    let (session, _, path) = invite(&mut wire, long());
    refuse(&mut wire, path.connection.expect("TCP"));
    assert_eq!(wire.words(), ["INVITE"]);
    wire.advance(ms(500));
    assert_eq!(wire.words(), ["INVITE"]);
    wire.cancel(session).unwrap();
    wire.advance(ms(31_500));
    wire.sent();
    wire.events();
    wire.finish();

    let mut wire = Wire::new();
    let (session, request, path) = invite(&mut wire, over_tcp());
    wire.receive_on(
        path,
        &response(&request, 200, "p1", "Contact: <sip:ben@192.0.2.9:5070;transport=tcp>\r\n"),
    );
    wire.sent();
    wire.events();
    wire.leave(session).unwrap();
    let bye = wire.log().remove(0);
    refuse(&mut wire, bye.path.connection.expect("TCP"));
    assert_eq!(wire.ended(), Some((End::Left, Party::Local, None)));
    wire.finish();
}
