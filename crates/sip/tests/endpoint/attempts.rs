//! Another attempt of an INVITE, a re-INVITE or a BYE: challenges and further targets; and none after the wish.

use bytes::Bytes;
use sip::message::Name;
use sip::transport::{ConnectionId, Path, Target, Transport};
use sip::usage::{End, Party};
use sip::{Command, Config, Credentials, Event, Headers, Input, Invite, Message, Misuse, SessionId};

use crate::wire::*;

const SECOND: &str = "192.0.2.10:5060";
const THIRD: &str = "192.0.2.11:5060";
const PROXY: &str = "Proxy-Authenticate: Digest realm=\"core\", nonce=\"n1\", qop=\"auth\"\r\n";

fn knows(config: &mut Config) {
    config.credentials = vec![Credentials {
        realm: None,
        username: Bytes::from_static(b"anna"),
        secret: Bytes::from_static(b"secret"),
    }];
}

fn target(text: &str) -> Target {
    Target { transport: Transport::Udp, remote: address(text) }
}

fn extra() -> Headers {
    headers(&[(Name::PPreferredIdentity, "<sip:anna@example.com>"), (Name::Supported, "timer")])
}

/// An INVITE with a route, and the endpoint that has credentials for it.
fn calling() -> (Wire, SessionId, Message) {
    let mut wire = Wire::with(knows);
    let routes = vec![Bytes::from_static(b"<sip:192.0.2.9;lr>")];
    let session = wire.invite_with(Invite { routes, headers: extra(), ..invitation() });
    let invite = wire.one();
    (wire, session, invite)
}

/// The INVITE has been challenged, after a 100 as proxies send it, and has left again.
fn challenged() -> (Wire, SessionId, Message, Message) {
    let (mut wire, session, first) = calling();
    wire.answer(&first, 100, "");
    wire.receive(&response(&first, 407, "p0", PROXY));
    let sent = wire.sent();
    assert_eq!(sent.iter().map(word).collect::<Vec<_>>(), ["ACK", "INVITE"]);
    assert_eq!(branch(&sent[0]), branch(&first), "the ACK is that of the first");
    assert_eq!(wire.events(), []);
    let second = sent[1].clone();
    (wire, session, first, second)
}

fn is_answered(message: &Message, nonce: &str, count: &str) -> bool {
    let line = text(message, Name::ProxyAuthorization);
    line.contains(&format!("nonce=\"{nonce}\"")) && line.contains(&format!("nc={count}"))
}

fn tried(targets: &[&str]) -> (Wire, SessionId, Message) {
    let mut wire = Wire::new();
    let targets = targets.iter().map(|text| target(text)).collect();
    let session = wire.invite_with(Invite { targets, ..invitation() });
    let invite = wire.one();
    (wire, session, invite)
}

/// RFC 3261 §22.2, §22.3: the same INVITE with credentials, the next number and a branch of its own.
#[test]
fn a_challenged_invite_leaves_again_with_credentials() {
    let (mut wire, _, first, second) = challenged();
    assert_ne!(branch(&first), branch(&second));
    assert_eq!((text(&first, Name::CSeq), text(&second, Name::CSeq)), ("1 INVITE", "2 INVITE"));
    let same = [
        Name::From,
        Name::To,
        Name::CallId,
        Name::Route,
        Name::Contact,
        Name::PPreferredIdentity,
        Name::Supported,
        Name::ContentType,
    ];
    for name in same {
        assert_eq!(text(&first, name), text(&second, name));
        assert!(!text(&second, name).is_empty());
    }
    assert_eq!((uri(&first), first.body()), (uri(&second), second.body()));
    assert!(is_answered(&second, "n1", "00000001"));
    assert!(text(&second, Name::ProxyAuthorization).contains("uri=\"sip:ben@192.0.2.9\""));
    wire.answer(&second, 486, "p1");
    assert_eq!(wire.words(), ["ACK"]);
    assert_eq!(wire.ended(), Some((End::Rejected, Party::Remote, Some(486))));
    assert!(wire.finish().is_empty());
}

/// §13.2.2.4: the ACK for a 2xx has the number and the credentials of the INVITE; §22.3: so has every further request, with the
/// next count.
#[test]
fn what_follows_in_the_dialog_carries_the_credentials() {
    let (mut wire, session, _, second) = challenged();
    wire.answer(&second, 200, "p1");
    let ack = wire.one();
    assert_eq!(text(&ack, Name::CSeq), "2 ACK");
    assert_eq!(text(&ack, Name::ProxyAuthorization), text(&second, Name::ProxyAuthorization));
    wire.modify(session).unwrap();
    let offer = wire.one();
    assert_eq!(text(&offer, Name::CSeq), "3 INVITE");
    assert!(is_answered(&offer, "n1", "00000002"));
    wire.answer(&offer, 200, "p1");
    wire.sent();
    wire.leave(session).unwrap();
    let bye = wire.one();
    assert_eq!(text(&bye, Name::CSeq), "4 BYE");
    assert!(is_answered(&bye, "n1", "00000003"));
    wire.answer(&bye, 200, "");
    assert_eq!(wire.ended(), Some((End::Left, Party::Local, None)));
    wire.finish();
}

/// §22.2: credentials that were refused are not sent again, unless the nonce only was stale; and that has an end.
#[test]
fn credentials_that_are_refused_are_not_tried_again() {
    let (mut wire, _, _, second) = challenged();
    wire.receive(&response(&second, 407, "p1", &PROXY.replace("n1", "n2")));
    assert_eq!(wire.words(), ["ACK"]);
    assert_eq!(wire.ended(), Some((End::Rejected, Party::Remote, Some(407))));
    assert!(wire.finish().is_empty());

    let (mut wire, _, _, mut last) = challenged();
    for attempt in 3..=5 {
        let stale = PROXY.replace("n1", &format!("n{attempt}")).replace("\r\n", ", stale=true\r\n");
        wire.receive(&response(&last, 407, "p1", &stale));
        last = wire.sent().pop().unwrap();
        assert_eq!(text(&last, Name::CSeq), format!("{attempt} INVITE"));
        assert_eq!(
            values(&last, Name::ProxyAuthorization).iter().filter(|v| v.starts_with("Digest")).count(),
            1
        );
    }
    wire.receive(&response(&last, 407, "p1", &PROXY.replace("\r\n", ", stale=true\r\n")));
    assert_eq!(wire.words(), ["ACK"]);
    assert_eq!(wire.ended(), Some((End::Rejected, Party::Remote, Some(407))));
    assert!(wire.finish().is_empty());
}

/// §22.3: two proxies, one after the other.
#[test]
fn each_realm_on_the_way_is_answered() {
    let (mut wire, session, _, second) = challenged();
    let www = "WWW-Authenticate: Digest realm=\"home\", nonce=\"h1\", algorithm=SHA-256, qop=\"auth\"\r\n";
    wire.receive(&response(&second, 401, "p1", www));
    let third = wire.sent().pop().unwrap();
    assert_eq!(text(&third, Name::CSeq), "3 INVITE");
    assert!(is_answered(&third, "n1", "00000002"));
    assert!(text(&third, Name::Authorization).contains("realm=\"home\", nonce=\"h1\""));
    wire.answer(&third, 180, "p1");
    wire.cancel(session).unwrap();
    assert_eq!(text(&wire.one(), Name::CSeq), "3 CANCEL");
    wire.answer(&third, 487, "p1");
    wire.sent();
    wire.finish();
}

#[test]
fn a_challenge_without_credentials_or_without_a_challenge_is_the_end() {
    let (mut wire, _, invite) = tried(&[PEER]);
    wire.receive(&response(&invite, 407, "p1", PROXY));
    assert_eq!(wire.words(), ["ACK"]);
    assert_eq!(wire.ended(), Some((End::Rejected, Party::Remote, Some(407))));
    wire.finish();
    for lines in ["", "Proxy-Authenticate: Basic realm=\"core\"\r\n", "Proxy-Authenticate: Digest \u{1}\r\n"]
    {
        let (mut wire, _, invite) = calling();
        wire.receive(&response(&invite, 407, "p1", lines));
        assert_eq!(wire.words(), ["ACK"], "{lines}");
        assert_eq!(wire.ended(), Some((End::Rejected, Party::Remote, Some(407))));
        wire.finish();
    }
}

/// C08, C29, T5, I3, R4: whatever a final response asks for, after the wish nothing new is sent; before a 1xx and behind a CANCEL.
#[test]
fn after_the_wish_a_challenge_and_a_503_start_nothing() {
    let www = PROXY.replace("Proxy", "WWW");
    for (status, lines) in [(407, PROXY), (401, &www), (503, "")] {
        for provisional in [false, true] {
            let mut wire = Wire::with(knows);
            let targets = vec![target(PEER), target(SECOND)];
            let session = wire.invite_with(Invite { targets, ..invitation() });
            let invite = wire.one();
            if provisional {
                wire.answer(&invite, 100, "");
            }
            wire.cancel(session).unwrap();
            assert_eq!(wire.words().len(), usize::from(provisional));
            wire.receive(&response(&invite, status, "p1", lines));
            assert_eq!(wire.words(), ["ACK"], "{status}");
            assert_eq!(wire.ended(), Some((End::Cancelled, Party::Local, Some(status))));
            assert!(wire.finish().iter().all(|message| word(message) == "CANCEL"));
        }
    }
}

/// C17, I3: nor does silence.
#[test]
fn after_the_wish_silence_starts_nothing() {
    let (mut wire, session, _) = tried(&[PEER, SECOND]);
    wire.cancel(session).unwrap();
    wire.advance(T1_64);
    assert!(wire.log().iter().all(|sent| sent.path == udp(PEER)));
    assert_eq!(wire.ended(), Some((End::Cancelled, Party::Local, None)));
    assert!(wire.finish().is_empty());
}

/// T11, R23, C08, C09, C12: the CANCEL has branch, number and way of the second INVITE; the first gets none.
#[test]
fn the_cancel_after_a_challenge_is_that_of_the_second_invite() {
    for waits in [false, true] {
        let (mut wire, session, first, second) = challenged();
        if waits {
            wire.cancel(session).unwrap();
            wire.quiet();
        }
        wire.answer(&second, 180, "p1");
        if !waits {
            wire.cancel(session).unwrap();
        }
        let cancel = wire.one();
        assert_eq!((branch(&cancel), text(&cancel, Name::CSeq)), (branch(&second), "2 CANCEL"));
        assert!(cancel.value(Name::ProxyAuthorization).is_none());
        // A copy of the 407 is acknowledged again, and asks for nothing.
        wire.receive(&response(&first, 407, "p0", PROXY));
        let ack = wire.one();
        assert_eq!((branch(&ack), text(&ack, Name::CSeq)), (branch(&first), "1 ACK"));
        wire.answer(&second, 487, "p1");
        assert_eq!(text(&wire.one(), Name::CSeq), "2 ACK");
        assert_eq!(wire.ended(), Some((End::Cancelled, Party::Local, Some(487))));
        wire.finish();
    }
}

/// R24, §22.1: nobody answers a challenge to a CANCEL; the guard ends it.
#[test]
fn a_challenge_to_the_cancel_is_not_answered() {
    let (mut wire, session, _, second) = challenged();
    wire.answer(&second, 180, "p1");
    wire.cancel(session).unwrap();
    let cancel = wire.one();
    wire.events();
    wire.receive(&response(&cancel, 401, "p1", &PROXY.replace("Proxy", "WWW")));
    wire.quiet();
    wire.advance(T1_64);
    assert!(wire.sent().is_empty());
    assert_eq!(wire.ended(), Some((End::Cancelled, Party::Local, None)));
    wire.finish();
}

/// RFC 3261 §13.2.1: Expires is said once and runs on; I3 besides.
#[test]
fn the_limit_runs_on_over_the_attempts() {
    let mut wire = Wire::with(knows);
    let expires = Some(ms(10_000));
    let expires_headers = headers(&[(Name::Reason, "SIP;cause=408")]);
    wire.invite_with(Invite { expires, expires_headers, ..invitation() });
    let first = wire.one();
    wire.advance(ms(9_000));
    wire.sent();
    wire.receive(&response(&first, 407, "p0", PROXY));
    let second = wire.sent().pop().unwrap();
    wire.answer(&second, 180, "p1");
    wire.advance(ms(1_000));
    let cancel = wire.log().remove(0);
    assert_eq!((word(&cancel.message).as_str(), cancel.at), ("CANCEL", ms(10_000)));
    assert_eq!(branch(&cancel.message), branch(&second));
    assert_eq!(text(&cancel.message, Name::Reason), "SIP;cause=408");
    wire.answer(&second, 487, "p1");
    wire.sent();
    wire.finish();
}

/// RFC 3263 §4.3, C12, C17: 503 and silence lead to the next target, with another branch only; the CANCEL goes there.
#[test]
fn a_503_and_silence_lead_to_the_next_target() {
    let (mut wire, session, first) = tried(&[PEER, SECOND, THIRD]);
    wire.receive(&response(&first, 503, "p0", "Retry-After: 9\r\n"));
    let sent = wire.log();
    assert_eq!(sent.iter().map(|sent| word(&sent.message)).collect::<Vec<_>>(), ["ACK", "INVITE"]);
    assert_eq!((sent[0].path, sent[1].path), (udp(PEER), udp(SECOND)));
    let second = sent[1].message.clone();
    assert_ne!(branch(&first), branch(&second));
    for name in [Name::From, Name::To, Name::CallId, Name::CSeq, Name::Contact] {
        assert_eq!(text(&first, name), text(&second, name));
    }
    assert_eq!(first.body(), second.body());
    wire.advance(T1_64);
    let third = wire.log().pop().unwrap();
    assert_eq!((third.path, word(&third.message).as_str()), (udp(THIRD), "INVITE"));
    assert_eq!(wire.events(), []);
    wire.answer(&third.message, 180, "p3");
    assert!(matches!(wire.events()[..], [Event::Progress { .. }]));
    wire.cancel(session).unwrap();
    let cancel = wire.log().remove(0);
    assert_eq!((cancel.path, branch(&cancel.message)), (udp(THIRD), branch(&third.message)));
    wire.answer(&third.message, 487, "p3");
    wire.sent();
    assert_eq!(wire.ended(), Some((End::Cancelled, Party::Local, Some(487))));
    wire.finish();
}

#[test]
fn the_last_target_decides() {
    let (mut wire, _, first) = tried(&[PEER, SECOND]);
    wire.answer(&first, 503, "p0");
    let second = wire.sent().pop().unwrap();
    wire.answer(&second, 503, "p0");
    assert_eq!(wire.words(), ["ACK"]);
    assert_eq!(wire.ended(), Some((End::Rejected, Party::Remote, Some(503))));
    wire.finish();
    let (mut wire, _, _) = tried(&[PEER, SECOND]);
    wire.advance(2 * T1_64);
    assert_eq!(wire.ended(), Some((End::TimedOut, Party::Remote, None)));
    wire.finish();
    // Another refusal is not for the next target to judge; a redirection is not followed.
    for status in [302, 486, 500, 504, 600] {
        let (mut wire, _, first) = tried(&[PEER, SECOND]);
        wire.answer(&first, status, "p0");
        assert_eq!(wire.words(), ["ACK"]);
        assert_eq!(wire.ended(), Some((End::Rejected, Party::Remote, Some(status))));
        assert!(wire.finish().is_empty());
    }
}

/// RFC 3261 §9.1: what comes late to the attempt that was given up is ended where it came from, and disturbs nobody.
#[test]
fn what_comes_late_to_an_attempt_that_was_given_up_is_ended() {
    let (mut wire, session, first) = tried(&[PEER, SECOND]);
    wire.advance(T1_64);
    let second = wire.log().pop().unwrap();
    assert_eq!(second.path, udp(SECOND));
    for _ in 0..2 {
        wire.answer(&first, 180, "p1");
    }
    let cancel = wire.log();
    assert_eq!(cancel.len(), 1, "once");
    assert_eq!((cancel[0].path, branch(&cancel[0].message)), (udp(PEER), branch(&first)));
    assert_eq!(wire.events(), []);
    wire.answer(&second.message, 200, "p2");
    assert_eq!(wire.log()[0].path, udp(SECOND));
    assert!(matches!(wire.events()[..], [Event::Established { .. }]));
    wire.answer(&first, 200, "p1");
    let late = wire.log();
    assert_eq!(late.iter().map(|sent| word(&sent.message)).collect::<Vec<_>>(), ["ACK", "BYE"]);
    assert!(late.iter().all(|sent| sent.path == udp(PEER)), "the way of the first");
    assert_eq!(wire.events(), []);
    wire.answer(&late[1].message, 200, "");
    wire.leave(session).unwrap();
    let bye = wire.log().remove(0);
    assert_eq!((bye.path, to_tag(&bye.message).as_deref()), (udp(SECOND), Some("p2")));
    wire.answer(&bye.message, 200, "");
    assert_eq!(wire.ended(), Some((End::Left, Party::Local, None)));
    wire.finish();
}

/// RFC 3263 §4.3: a transport that fails leads on, and Via and Contact tell the next one.
#[test]
fn a_transport_failure_leads_to_the_next_target() {
    for refused in [true, false] {
        let mut wire = Wire::new();
        let tcp = Target { transport: Transport::Tcp, remote: address(PEER) };
        let session = wire.invite_with(Invite { targets: vec![tcp, target(SECOND)], ..invitation() });
        let first = wire.log().remove(0);
        let connection = first.path.connection.unwrap_or(ConnectionId::Opened(0));
        let lost = if refused {
            Input::ConnectionRefused { connection }
        } else {
            Input::ConnectionLost { connection }
        };
        wire.input(lost).unwrap();
        let second = wire.log().remove(0);
        assert_eq!(second.path, Path { connection: None, ..udp(SECOND) });
        assert!(text(&second.message, Name::Via).starts_with("SIP/2.0/UDP "));
        assert!(!text(&second.message, Name::Contact).contains("tcp"));
        wire.answer(&second.message, 200, "p1");
        assert_eq!(wire.words(), ["ACK"]);
        wire.leave(session).unwrap();
        let bye = wire.one();
        wire.answer(&bye, 200, "");
        wire.finish();
    }
}

/// §22.2 within a dialog: a BYE and a re-INVITE are sent once more; a number is never used twice.
#[test]
fn requests_in_a_dialog_are_challenged_too() {
    let mut wire = Wire::with(knows);
    let session = wire.invite();
    let invite = wire.one();
    wire.answer(&invite, 200, "p1");
    wire.sent();
    wire.modify(session).unwrap();
    let offer = wire.one();
    wire.receive(&response(&offer, 407, "p1", PROXY));
    let again = wire.sent().pop().unwrap();
    assert_eq!((text(&offer, Name::CSeq), text(&again, Name::CSeq)), ("2 INVITE", "3 INVITE"));
    assert!(is_answered(&again, "n1", "00000001") && again.body() == offer.body());
    wire.answer(&again, 200, "p1");
    wire.sent();
    wire.events();
    wire.leave(session).unwrap();
    let bye = wire.one();
    // The proxy has forgotten its nonce and does not say so.
    wire.receive(&response(&bye, 407, "p1", &PROXY.replace("n1", "n2")));
    let again = wire.one();
    assert_eq!((text(&bye, Name::CSeq), text(&again, Name::CSeq)), ("4 BYE", "5 BYE"));
    assert!(is_answered(&again, "n2", "00000001"));
    assert_eq!(wire.ended(), None);
    wire.receive(&response(&again, 407, "p1", &PROXY.replace("n1", "n3")));
    assert_eq!(wire.ended(), Some((End::Left, Party::Local, None)));
    assert!(wire.finish().is_empty());
}

/// I3 allows it: what ends a session that nobody wants is challenged like anything else.
#[test]
fn the_bye_to_an_unwanted_2xx_is_challenged_and_sent_again() {
    let (mut wire, session, _, second) = challenged();
    wire.cancel(session).unwrap();
    wire.answer(&second, 200, "p1");
    let bye = wire.sent().pop().unwrap();
    assert_eq!(text(&bye, Name::CSeq), "3 BYE");
    wire.receive(&response(&bye, 407, "p1", &PROXY.replace("\"n1\"", "\"n2\", stale=true")));
    let again = wire.one();
    assert_eq!(text(&again, Name::CSeq), "4 BYE");
    wire.answer(&again, 200, "");
    assert_eq!(wire.ended(), Some((End::Cancelled, Party::Local, Some(200))));
    wire.finish();
}

/// A re-INVITE that is cancelled, or whose session is left, has no second attempt.
#[test]
fn after_the_wish_a_challenged_modification_is_the_end_of_it() {
    for leaves in [false, true] {
        let mut wire = Wire::with(knows);
        let session = wire.invite();
        let invite = wire.one();
        wire.answer(&invite, 200, "p1");
        wire.sent();
        wire.modify(session).unwrap();
        let offer = wire.one();
        wire.events();
        if leaves { wire.leave(session) } else { wire.cancel(session) }.unwrap();
        wire.sent();
        wire.receive(&response(&offer, 407, "p1", PROXY));
        assert_eq!(wire.words(), ["ACK"]);
        wire.events();
        if !leaves {
            wire.leave(session).unwrap();
        }
        wire.advance(T1_64);
        wire.sent();
        wire.events();
        wire.finish();
    }
}

/// C14, §8.1.2, §12.2.1.1: a first route that is a strict router becomes the Request-URI, once; the CANCEL has what the INVITE has.
#[test]
fn a_strict_router_in_the_users_route_is_swapped_once() {
    let mut wire = Wire::with(knows);
    let routes = [&b"<sip:strict.example>"[..], b"<sip:loose.example;lr>"].map(Bytes::from_static).to_vec();
    let session = wire.invite_with(Invite { routes, ..invitation() });
    let first = wire.one();
    let check = |message: &Message| {
        assert_eq!(uri(message), "sip:strict.example");
        assert_eq!(values(message, Name::Route), ["<sip:loose.example;lr>", "<sip:ben@192.0.2.9>"]);
    };
    check(&first);
    wire.receive(&response(&first, 407, "p0", PROXY));
    let second = wire.sent().pop().unwrap();
    check(&second);
    assert!(text(&second, Name::ProxyAuthorization).contains("uri=\"sip:strict.example\""));
    wire.answer(&second, 180, "p1");
    wire.cancel(session).unwrap();
    check(&wire.one());
    wire.answer(&second, 487, "p1");
    check(&wire.one());
    assert_eq!(wire.cancel(session), Err(Misuse::TooLate));
    wire.finish();
}

/// I14, §12.2.1.1: a next hop that is a name is asked for once; nothing waits for the answer, which requests follow from then on.
#[test]
fn a_name_in_a_dialog_is_looked_up_by_the_user() {
    let (mut wire, session, invite) = tried(&[PEER]);
    let targets = vec![target(SECOND), target(THIRD)];
    let located = Command::Located { session, targets };
    assert_eq!(wire.command(located.clone()), Err(Misuse::NotEstablished));
    wire.answer(&invite, 200, "p1");
    assert_eq!(wire.names, [&b"sip:ben@ben.example"[..]]);
    wire.modify(session).unwrap();
    let offer = wire.log().pop().unwrap();
    assert_eq!(offer.path, udp(PEER), "the way of the INVITE");
    wire.answer(&offer.message, 200, "p1");
    wire.sent();
    let nowhere = Command::Located { session, targets: Vec::new() };
    assert_eq!(wire.command(nowhere), Err(Misuse::NoTarget));
    wire.command(located.clone()).unwrap();
    assert_eq!(wire.names.len(), 1, "once");
    wire.leave(session).unwrap();
    let bye = wire.log().remove(0);
    assert_eq!(bye.path, udp(SECOND));
    wire.answer(&bye.message, 200, "");
    assert_eq!(wire.command(located), Err(Misuse::NoSession));
    wire.finish();
}

/// An address needs no look-up, and the answer to one does not outrank it; a new name makes the answer void.
#[test]
fn a_located_name_counts_for_that_name_only() {
    let (mut wire, session, invite) = tried(&[PEER]);
    wire.receive(&response(&invite, 200, "p1", "Contact: <sip:ben@192.0.2.9>\r\n"));
    wire.sent();
    assert!(wire.names.is_empty());
    wire.command(Command::Located { session, targets: vec![target(SECOND)] }).unwrap();
    wire.modify(session).unwrap();
    let offer = wire.log().remove(0);
    assert_eq!(offer.path, udp(PEER));
    wire.receive(&response(&offer.message, 200, "p1", "Contact: <sip:ben@other.example>\r\n"));
    wire.sent();
    wire.leave(session).unwrap();
    let bye = wire.log().remove(0);
    assert_eq!(bye.path, udp(PEER));
    wire.answer(&bye.message, 200, "");
    wire.finish();
}

/// The side that was invited asks likewise.
#[test]
fn the_invited_side_asks_for_a_name_when_it_accepts() {
    let mut wire = Wire::new();
    let invite = Request::invite("1");
    wire.receive(&invite.text());
    let session = wire.invited();
    assert!(wire.names.is_empty());
    wire.accept(session).unwrap();
    assert_eq!(wire.names, [&b"sip:ben@ben.example"[..]]);
    let answer = wire.sent().pop().unwrap();
    wire.receive(&invite.within(&answer, "ACK", 7).text());
    wire.command(Command::Located { session, targets: vec![target(SECOND)] }).unwrap();
    wire.leave(session).unwrap();
    let bye = wire.log().remove(0);
    assert_eq!(bye.path, udp(SECOND));
    wire.answer(&bye.message, 200, "");
    wire.events();
    wire.finish();
}
