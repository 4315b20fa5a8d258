//! Where the procedures meet: further attempts, reliable provisional responses, UPDATE and session timers, with CANCEL and
//! BYE among them.

use bytes::Bytes;
use sip::message::{Body, Name};
use sip::transport::{Target, Transport};
use sip::usage::{End, Party};
use sip::{Command, Config, Credentials, Duration, Input, Invite, Reliability, SessionId};

use crate::wire::*;

const SECOND: &str = "192.0.2.10:5060";
const RELIABLE: &str = "Require: 100rel\r\nRSeq: 11\r\n";
const TIMED: &str =
    "Require: timer\r\nSupported: timer\r\nSession-Expires: 90;refresher=uac\r\nAllow: UPDATE\r\n";

fn asked(nonce: &str) -> String {
    format!("WWW-Authenticate: Digest realm=\"core\", nonce=\"{nonce}\", qop=\"auth\"\r\n")
}

fn configure(config: &mut Config) {
    let (username, secret) = (Bytes::from_static(b"anna"), Bytes::from_static(b"secret"));
    config.credentials = vec![Credentials { realm: None, username, secret }];
    config.session_expires = Some(Duration::from_secs(90));
    config.reliability = Reliability::WhenSupported;
}

fn twice() -> Invite {
    let target = |text| Target { transport: Transport::Udp, remote: address(text) };
    Invite { targets: vec![target(PEER), target(SECOND)], ..invitation() }
}

/// An established session that we keep alive with UPDATE.
fn established() -> (Wire, SessionId) {
    let mut wire = Wire::with(configure);
    let session = wire.invite();
    let invite = wire.one();
    wire.receive(&response(&invite, 200, "p1", &format!("{CONTACT}{TIMED}")));
    assert_eq!(wire.words(), ["ACK"]);
    wire.events();
    (wire, session)
}

/// I5, R13, C17: what an attempt created that gave way stays with its own target.
#[test]
fn a_late_reliable_1xx_of_an_earlier_attempt_is_acknowledged_where_it_came_from() {
    let mut wire = Wire::new();
    let session = wire.invite_with(twice());
    let first = wire.one();
    wire.advance(T1_64);
    let log = wire.log();
    assert_eq!(log.last().unwrap().path, udp(SECOND));
    wire.receive(&response(&first, 183, "p1", &format!("{CONTACT}{RELIABLE}")));
    let log = wire.log();
    let ways: Vec<_> = log.iter().map(|sent| (word(&sent.message), sent.path)).collect();
    assert_eq!(ways, [("CANCEL".into(), udp(PEER)), ("PRACK".into(), udp(PEER))]);
    assert_eq!(wire.events(), []);
    wire.cancel(session).unwrap();
    wire.finish();
}

/// RFC 3262 §3, RFC 3261 §22.2: a server with a nonce for each request took the credentials of the INVITE, as its 183 proves.
#[test]
fn a_challenged_prack_leaves_again_though_the_invite_has_no_final_response() {
    let mut wire = Wire::with(configure);
    let session = wire.invite();
    let first = wire.one();
    wire.receive(&response(&first, 401, "p1", &asked("n1")));
    let second = wire.sent().pop().unwrap();
    wire.receive(&response(&second, 183, "p1", &format!("{CONTACT}{RELIABLE}")));
    let prack = wire.one();
    wire.receive(&response(&prack, 401, "p1", &asked("n2")));
    let again = wire.one();
    assert_eq!((word(&again), text(&again, Name::RAck)), ("PRACK".into(), "11 2 INVITE"));
    assert!(text(&again, Name::Authorization).contains("nonce=\"n2\""));
    wire.receive(&response(&again, 401, "p1", &asked("n3")));
    assert_eq!(wire.words(), [""; 0], "those were just refused");
    wire.cancel(session).unwrap();
    assert_eq!(wire.words(), ["CANCEL"]);
    wire.answer(&second, 487, "p1");
    assert_eq!(wire.words(), ["ACK"]);
    assert_eq!(wire.ended(), Some((End::Cancelled, Party::Local, Some(487))));
    wire.finish();
}

/// RFC 4028 §6: 422 is an answer to what may set a session timer.
#[test]
fn a_422_to_a_bye_is_its_end() {
    let (mut wire, session) = established();
    wire.leave(session).unwrap();
    let bye = wire.one();
    wire.receive(&response(&bye, 422, "", "Min-SE: 1000\r\n"));
    assert_eq!(wire.words(), [""; 0]);
    assert_eq!(wire.ended(), Some((End::Left, Party::Local, None)));
    wire.finish();
}

/// I3 in a session: after BYE nothing of ours starts anew in its dialog.
#[test]
fn a_refresh_that_is_challenged_after_the_bye_is_not_sent_again() {
    for (status, lines) in [(401, asked("n1")), (422, "Min-SE: 1000\r\n".to_owned())] {
        let (mut wire, session) = established();
        wire.advance(Duration::from_secs(45));
        let update = wire.one();
        assert_eq!(word(&update), "UPDATE");
        wire.leave(session).unwrap();
        assert_eq!(wire.words(), ["BYE"]);
        wire.receive(&response(&update, status, "p1", &lines));
        assert_eq!(wire.words(), [""; 0]);
        wire.finish();
    }
}

/// I3 in a session: a re-INVITE whose connection is refused after the BYE does not leave by UDP.
#[test]
fn a_re_invite_does_not_fall_back_to_udp_after_the_bye() {
    let (mut wire, session) = established();
    let bytes = Bytes::from(format!("v=0\r\n{}", "a=x\r\n".repeat(300)));
    let body = Some(Body { content_type: Bytes::from_static(b"application/sdp"), bytes });
    wire.command(Command::Modify { session, body }).unwrap();
    let sent = wire.log();
    let connection = sent[0].path.connection.unwrap();
    wire.leave(session).unwrap();
    wire.sent();
    wire.input(Input::ConnectionRefused { connection }).unwrap();
    assert!(!wire.words().contains(&"INVITE".to_owned()));
    wire.finish();
}

/// A refresh re-INVITE is none of the user's: it cannot be cancelled, and leaving ends it with the session (I9, I10).
#[test]
fn a_refresh_re_invite_that_crosses_the_end_leaves_nothing_behind() {
    for by_peer in [false, true] {
        let mut wire = Wire::with(configure);
        let session = wire.invite();
        let invite = wire.one();
        let lines = format!("{CONTACT}{TIMED}").replace("Allow: UPDATE", "Allow: INVITE");
        wire.receive(&response(&invite, 200, "p1", &lines));
        wire.sent();
        wire.events();
        wire.advance(Duration::from_secs(45));
        let refresh = wire.one();
        assert_eq!(word(&refresh), "INVITE");
        assert_eq!(wire.cancel(session), Err(sip::Misuse::TooLate));
        wire.answer(&refresh, 100, "");
        if by_peer {
            let bye = Request {
                from_tag: "p1".into(),
                to_tag: from_tag(&invite),
                call_id: text(&invite, Name::CallId).into(),
                ..Request::invite("bye").follow("BYE")
            };
            wire.receive(&bye.text());
            assert_eq!(wire.words(), ["200 BYE", "CANCEL"]);
            assert_eq!(wire.ended(), Some((End::Released, Party::Remote, None)));
        } else {
            wire.leave(session).unwrap();
            let bye = wire.one();
            wire.answer(&bye, 200, "");
            assert_eq!(wire.words(), ["CANCEL"]);
            assert_eq!(wire.ended(), Some((End::Left, Party::Local, None)));
        }
        wire.answer(&refresh, 200, "p1");
        assert_eq!(wire.words(), ["ACK"]);
        wire.quiet();
        wire.finish();
    }
}
