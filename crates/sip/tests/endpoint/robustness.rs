//! What a hostile or broken peer, or a careless user, may send: never a panic, never more than a bounded answer, never a
//! session that nobody can end.

use bytes::Bytes;
use sip::message::Name;
use sip::usage::{End, Party};
use sip::{Command, Event, Input, Invite, Misuse};

use crate::wire::*;

fn record_routes(count: usize) -> String {
    (0..count).map(|hop| format!("Record-Route: <sip:p{hop}.example;lr>\r\n")).collect()
}

/// I9: a 2xx of which no dialog can be made ends the invitation: nobody waits for ever, whether it was wanted or not.
#[test]
fn a_2xx_that_makes_no_dialog_is_the_end_of_the_invitation() {
    let contacts = ["Contact: *\r\n".to_owned(), record_routes(240), record_routes(65)];
    for lines in contacts {
        for is_wanted in [true, false] {
            let mut wire = Wire::new();
            let session = wire.invite();
            let invite = wire.one();
            wire.answer(&invite, 100, "");
            if !is_wanted {
                wire.cancel(session).unwrap();
            }
            wire.receive(&response(&invite, 200, "p1", &lines));
            let expected =
                if is_wanted { (End::Rejected, Party::Remote) } else { (End::Cancelled, Party::Local) };
            let ended = wire.ended().map(|(end, by, _)| (end, by));
            assert_eq!(ended, Some(expected));
            wire.finish();
        }
    }
}

/// I9: a peer that names more early dialogs than there is room for is still answered when it accepts in another one.
#[test]
fn a_2xx_finds_room_among_too_many_early_dialogs() {
    let mut wire = Wire::with(|config| config.forks_max = 4);
    let session = wire.invite();
    let invite = wire.one();
    for fork in 0..50 {
        wire.answer(&invite, 180, &format!("f{fork}"));
    }
    wire.events();
    wire.answer(&invite, 200, "p1");
    assert_eq!(wire.words(), ["ACK"]);
    assert!(matches!(wire.events()[..], [Event::Established { .. }]));
    wire.leave(session).unwrap();
    let bye = wire.one();
    wire.answer(&bye, 200, "");
    wire.finish();
}

/// The same after the wish; more forks that accept than there is room for are ignored, without a panic.
#[test]
fn too_many_forks_are_ignored() {
    let mut wire = Wire::with(|config| config.forks_max = 4);
    let session = wire.invite();
    let invite = wire.one();
    wire.answer(&invite, 180, "p1");
    wire.cancel(session).unwrap();
    wire.sent();
    for fork in 0..50 {
        wire.answer(&invite, 200, &format!("f{fork}"));
    }
    let words = wire.words();
    assert_eq!(words.iter().filter(|word| *word == "BYE").count(), 4);
    assert!(wire.ended().is_some());
    wire.finish();
}

/// A route set of 64 is followed, in ACK, re-INVITE, CANCEL and BYE; a longer one in an INVITE is refused.
#[test]
fn a_route_set_has_a_bound() {
    let mut wire = Wire::new();
    let session = wire.invite();
    let invite = wire.one();
    wire.receive(&response(&invite, 200, "p1", &(record_routes(64) + CONTACT)));
    let ack = wire.one();
    assert_eq!(values(&ack, Name::Route).len(), 64);
    assert_eq!(values(&ack, Name::Route)[0], "<sip:p63.example;lr>");
    wire.modify(session).unwrap();
    let change = wire.one();
    wire.answer(&change, 100, "");
    let reasons = headers(&[(Name::Reason, "SIP;cause=200")]);
    wire.command(Command::Cancel { session, headers: reasons }).unwrap();
    assert_eq!(wire.words(), ["CANCEL"]);
    wire.answer(&change, 487, "");
    wire.leave(session).unwrap();
    assert_eq!(wire.words(), ["ACK", "BYE"]);
    wire.finish();

    for count in [65, 240] {
        let mut wire = Wire::new();
        wire.receive(&Request::invite("inv").with(&record_routes(count)).text());
        assert_eq!(wire.words(), ["400 INVITE"]);
        assert_eq!(wire.events(), []);
        wire.finish();
    }
}

/// What the user may add to a message is bounded, and what would break a message apart is refused: nothing has changed.
#[test]
fn a_careless_user_is_refused() {
    let mut wire = Wire::new();
    let route = || Bytes::from_static(b"<sip:p.example;lr>");
    let bad_route = |text: &'static [u8]| Invite { routes: vec![Bytes::from_static(text)], ..invitation() };
    let long = "x".repeat(9000);
    let reason = |text: &str| headers(&[(Name::Subject, text)]);
    let mut broken = invitation();
    broken.body.as_mut().unwrap().content_type = Bytes::from_static(b"text/plain\r\nSubject: x");
    let cases = [
        (Invite { routes: vec![route(); 65], ..invitation() }, Misuse::TooLong),
        (
            Invite { routes: vec![Bytes::from(format!("<sip:{long}.example;lr>"))], ..invitation() },
            Misuse::TooLong,
        ),
        (bad_route(b"nonsense"), Misuse::Address),
        (bad_route(b"<sip:a@b;lr>\r\nSubject: x"), Misuse::Address),
        (Invite { headers: reason(&long), ..invitation() }, Misuse::TooLong),
        (Invite { headers: vec![(Name::Subject, Bytes::new()); 300], ..invitation() }, Misuse::TooLong),
        (Invite { expires_headers: reason(&long), ..invitation() }, Misuse::TooLong),
        (Invite { headers: reason("a\r\nb"), ..invitation() }, Misuse::HeaderLine),
        (Invite { headers: headers(&[(Name::Expires, "soon")]), ..invitation() }, Misuse::HeaderLine),
        (
            Invite { headers: headers(&[(Name::Expires, "1"), (Name::Expires, "2")]), ..invitation() },
            Misuse::HeaderLine,
        ),
        (
            Invite { headers: headers(&[(Name::Expires, "1")]), expires: Some(ms(5000)), ..invitation() },
            Misuse::HeaderLine,
        ),
        (broken, Misuse::HeaderLine),
    ];
    for (place, (invite, misuse)) in cases.into_iter().enumerate() {
        let result = wire.input(Input::Command(Command::Invite(Box::new(invite))));
        assert_eq!(result, Err(misuse), "{place}");
        wire.quiet();
    }
    assert!(wire.endpoint.is_empty());
    // And in the other commands.
    let session = wire.invite();
    let invite = wire.one();
    wire.answer(&invite, 180, "p1");
    for headers in [reason(&long), vec![(Name::Reason, Bytes::new()); 300]] {
        assert_eq!(wire.command(Command::Cancel { session, headers }), Err(Misuse::TooLong));
    }
    for name in [Name::Require, Name::ProxyRequire] {
        let headers = headers(&[(name, "x")]);
        assert_eq!(wire.command(Command::Cancel { session, headers }), Err(Misuse::HeaderLine), "C20");
    }
    assert_eq!(wire.words(), [""; 0]);
    wire.cancel(session).unwrap();
    wire.finish();
}

/// The CANCEL of the longest INVITE that leaves, with the longest headers that a user may add.
#[test]
fn the_cancel_of_a_very_long_invite_is_written() {
    let mut wire = Wire::new();
    let wide = |text: &str, length| Bytes::from(text.replace('#', &"x".repeat(length)));
    let session = wire.invite_with(Invite {
        to: wide("<sip:ben@#.example>", 30_000),
        uri: wide("sip:ben@#.example", 27_000),
        ..invitation()
    });
    let invite = wire.one();
    wire.receive_on(wire_path(&invite), &response(&invite, 100, "", ""));
    let reason = "y".repeat(8000);
    wire.command(Command::Cancel { session, headers: headers(&[(Name::Reason, &reason)]) }).unwrap();
    assert_eq!(wire.words(), ["CANCEL"]);
    wire.finish();
}

fn wire_path(_invite: &sip::Message) -> sip::transport::Path {
    tcp(PEER, sip::transport::ConnectionId::Opened(1))
}

/// Requests and responses at the limits of what is read: no panic, and at most two messages in answer to one.
#[test]
fn messages_at_the_limits_are_answered_within_bounds() {
    let mut wire = Wire::new();
    let many = |name: &str, count: usize| -> String {
        (0..count).map(|_| format!("{name}: <sip:a@b>\r\n")).collect()
    };
    let vias = |count: usize| "Via: SIP/2.0/UDP a.example;branch=z9hG4bKx\r\n".repeat(count);
    let one_line = format!("Via: {}SIP/2.0/UDP a\r\n", "SIP/2.0/UDP a,".repeat(4000));
    let long = "l".repeat(64_000);
    let lines = [
        many("Record-Route", 245),
        many("Route", 245),
        vias(245),
        one_line,
        format!("Record-Route: {}<sip:a@b>\r\n", "<sip:a@b>,".repeat(6000)),
        format!("Subject: {long}\r\n"),
        format!("Contact: <sip:{long}@b>\r\n"),
        format!("X-Other: {}\r\n", "\u{0}".repeat(60_000)),
        format!("Require: {}x\r\n", "x,".repeat(30_000)),
        format!("Accept: {}\r\n", ";".repeat(60_000)),
        format!("Reason: {}\r\n", "(".repeat(60_000)),
        "Expires: 4294967295\r\n".into(),
        "Contact: *\r\n".into(),
        "Content-Length: 5\r\n".into(),
    ];
    let mut bare = Request::invite("limit");
    bare.lines = String::new();
    bare.body = String::new();
    for (place, lines) in lines.iter().enumerate() {
        for method in ["INVITE", "CANCEL", "ACK", "BYE", "OPTIONS", "REGISTER", "WEIRD"] {
            let mut request = bare.follow(method).with(lines);
            request.via = request.via.replace("limit", &format!("limit{place}{method}"));
            request.call_id = format!("limit{place}{method}");
            wire.receive(&request.text());
            assert!(wire.sent().len() <= 1, "{place} {method}");
            wire.receive(&request.cancel().text());
            assert!(wire.sent().len() <= 2, "{place} {method}");
        }
    }
    wire.events();
    // As responses to an INVITE of ours, at every moment.
    for (place, lines) in lines.iter().enumerate() {
        for status in [100, 180, 200, 299, 300, 487, 699] {
            let session = wire.invite();
            let invite = wire.one();
            wire.receive(&response(&invite, status, "p1", lines));
            wire.receive(&response(&invite, status, "p1", &(CONTACT.to_owned() + lines)));
            let _ = wire.cancel(session);
            let _ = wire.modify(session);
            let _ = wire.leave(session);
            wire.receive(&response(&invite, 487, "p1", lines));
            assert!(wire.sent().len() <= 6, "{place} {status}");
            wire.events();
        }
    }
    wire.finish();
}

/// §8.2.7: CANCELs that match nothing leave nothing behind once there is no room.
#[test]
fn a_flood_of_cancels_is_bounded() {
    let mut wire = Wire::with(|config| config.transactions_max = 10);
    for number in 0..100 {
        wire.receive(&Request::invite(&format!("flood{number}")).cancel().text());
        assert_eq!(wire.words(), ["481 CANCEL"]);
    }
    assert!(wire.endpoint.is_empty());
    wire.finish();
}

/// The gate before a user: an ACK that no user may see is not shown.
#[test]
fn a_malformed_ack_is_not_shown() {
    let mut wire = Wire::new();
    let invite = Request::invite("inv");
    wire.receive(&invite.text());
    let session = wire.invited();
    wire.accept(session).unwrap();
    let ok = wire.one();
    wire.receive(&invite.within(&ok, "ACK", 7).with("Content-Length: 99\r\n").text());
    wire.quiet();
    wire.receive(&invite.within(&ok, "ACK", 7).text());
    assert!(matches!(wire.events()[..], [Event::Acknowledged { .. }]));
    wire.leave(session).unwrap();
    wire.finish();
}

/// RFC 3261 §7.3.1: a refusal of a request that repeats what stands once does not repeat it.
#[test]
fn a_request_with_lines_too_many_is_refused_with_its_first_ones() {
    let doubled = "From: <sip:x@example.com>;tag=x\r\nCall-ID: other\r\nCSeq: 9 CANCEL\r\n";
    let mut wire = Wire::new();
    wire.receive(&Request::invite("j").with(doubled).text());
    let refusal = wire.one();
    assert_eq!((refusal.status(), refusal.validate()), (Some(400), Ok(())));
    assert_eq!(text(&refusal, Name::CSeq), "7 INVITE");
    wire.finish();
}
