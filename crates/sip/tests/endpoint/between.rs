//! Where the procedures meet: further attempts, reliable provisional responses, UPDATE and session timers, with CANCEL and
//! BYE among them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sip::message::{Body, Method, Name};
use sip::transport::{ConnectionId, Target, Transport};
use sip::usage::{End, Party};
use sip::{Command, Config, Credentials, Duration, Event, Input, Invite, Message, Reliability, SessionId};

use crate::orders::Dice;
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

/// C40, RFC 3261 §22.2: each dialog is left, though the BYEs are challenged at once and with different nonces: what refuses one
/// of them says nothing of credentials that it did not carry.
#[test]
fn every_bye_is_sent_again_when_all_are_challenged_at_once() {
    for nonces in [["n1", "n2"], ["n1", "n1"]] {
        let mut wire = Wire::with(configure);
        let session = wire.invite();
        let invite = wire.one();
        wire.answer(&invite, 100, "");
        wire.cancel(session).unwrap();
        wire.answer(&invite, 200, "p1");
        wire.answer(&invite, 200, "p2");
        let byes: Vec<_> = wire.sent().into_iter().filter(|message| message.is(Method::Bye)).collect();
        assert_eq!(byes.len(), 2);
        let mut counts = BTreeSet::new();
        for (bye, nonce) in byes.iter().zip(nonces) {
            wire.receive(&response(bye, 401, "", &asked(nonce)));
            let again = wire.one();
            assert_eq!((word(&again), to_tag(&again)), ("BYE".into(), to_tag(bye)));
            let line = text(&again, Name::Authorization).to_owned();
            assert!(line.contains(&format!("nonce=\"{nonce}\"")));
            let count = line.split("nc=").nth(1).unwrap()[..8].to_owned();
            assert!(counts.insert((nonce, count)), "RFC 7616 §3.4: each use of a nonce has its count");
            wire.receive(&response(&again, 401, "", &asked("n9")));
            assert_eq!(wire.words(), [""; 0], "those were refused");
        }
        wire.finish();
    }
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
    wire.command(Command::Modify { session, headers: Vec::new(), body }).unwrap();
    let sent = wire.log();
    let connection = sent[0].path.connection.unwrap();
    wire.leave(session).unwrap();
    wire.sent();
    wire.input(Input::ConnectionRefused { connection }).unwrap();
    assert!(!wire.words().contains(&"INVITE".to_owned()));
    wire.finish();
}

/// T4: who has left is not told that the media changed.
#[test]
fn a_change_that_is_accepted_after_the_bye_is_not_told() {
    let (mut wire, session) = established();
    wire.modify(session).unwrap();
    let offer = wire.one();
    wire.leave(session).unwrap();
    let bye = wire.one();
    wire.answer(&offer, 200, "p1");
    assert_eq!(wire.words(), ["ACK"]);
    assert_eq!(wire.events(), []);
    wire.answer(&bye, 200, "");
    assert_eq!(wire.ended(), Some((End::Left, Party::Local, None)));
    wire.finish();
}

/// R14, RFC 3261 §12.3: an early dialog dies with its attempt.
#[test]
fn an_update_in_the_early_dialog_of_an_earlier_attempt_is_refused() {
    let mut wire = Wire::with(configure);
    let session = wire.invite_with(Invite { body: None, ..twice() });
    let first = wire.one();
    wire.answer(&first, 183, "p1");
    wire.answer(&first, 503, "p1");
    assert_eq!(wire.words(), ["ACK", "INVITE"]);
    wire.events();
    let update = Request {
        from_tag: "p1".into(),
        to_tag: from_tag(&first),
        call_id: text(&first, Name::CallId).into(),
        body: OFFER.into(),
        ..Request::invite("update").follow("UPDATE")
    };
    wire.receive(&update.with("Content-Type: application/sdp\r\n").with(CONTACT).text());
    assert_eq!(wire.words(), ["481 UPDATE"]);
    assert_eq!(wire.events(), []);
    wire.cancel(session).unwrap();
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

/// RFC 3261 §15, I5: with the T1 of the IMS (2 s) the session timer is shorter than the wait for the ACK.
#[test]
fn a_session_that_expires_before_its_ack_came_is_left_once_and_after_the_wait() {
    let mut wire = Wire::with(|config| {
        configure(config);
        config.timers.t1 = Duration::from_secs(2);
        config.timers.t2 = Duration::from_secs(16);
    });
    wire.receive(&Request::invite("inv").with("Supported: timer\r\nSession-Expires: 90\r\n").text());
    let session = wire.invited();
    wire.accept(session).unwrap();
    wire.advance(Duration::from_secs(127));
    assert!(!wire.words().contains(&"BYE".to_owned()));
    wire.advance(Duration::from_secs(10));
    assert_eq!(wire.log().iter().filter(|sent| sent.message.is(Method::Bye)).count(), 3, "copies of one");
    wire.advance(Duration::from_secs(120));
    let branches: BTreeSet<_> = wire.sent().iter().map(branch).collect();
    assert_eq!(branches.len(), 1, "I5");
    assert!(wire.ended().is_some());
    wire.finish();
}

/// I5: the peer does not know the session any more while its re-INVITE waits for the ACK.
#[test]
fn a_session_that_is_lost_while_an_ack_is_missing_is_left_once() {
    let (mut wire, session) = established();
    wire.advance(Duration::from_secs(45));
    let update = wire.one();
    let offer = Request {
        from_tag: "p1".into(),
        to_tag: from_tag(&update),
        call_id: text(&update, Name::CallId).into(),
        ..Request::invite("offer")
    };
    wire.receive(&offer.text());
    wire.accept(session).unwrap();
    assert_eq!(wire.words(), ["200 INVITE"]);
    wire.receive(&response(&update, 481, "p1", ""));
    assert_eq!(wire.words(), ["BYE"]);
    wire.advance(T1_64);
    let sent = wire.sent();
    let byes: BTreeSet<_> = sent.iter().filter(|message| message.is(Method::Bye)).map(branch).collect();
    assert_eq!(byes.len(), 1, "I5");
    assert!(sent.iter().all(|message| message.is(Method::Bye)), "the 2xx is not sent again");
    wire.finish();
}

/// Seam 5: states from which the same input makes other octets look different.
#[test]
fn what_an_update_that_waits_will_be_answered_shows_in_the_canonical_view() {
    let views = ["", ";x=1"].map(|parameter| {
        let mut wire = Wire::with(configure);
        wire.invite();
        let invite = wire.one();
        wire.receive(&response(&invite, 200, "p1", &format!("{CONTACT}{TIMED}")));
        let mut update = Request {
            from_tag: "p1".into(),
            to_tag: from_tag(&invite),
            call_id: text(&invite, Name::CallId).into(),
            body: OFFER.into(),
            ..Request::invite("update").follow("UPDATE")
        };
        update.via += parameter;
        wire.receive(&update.with("Content-Type: application/sdp\r\n").with(CONTACT).text());
        wire.sent();
        let view = wire.endpoint.canonical(sip::Instant::at(wire.now), &[sip::Owner::default()]);
        assert!(!wire.events().is_empty());
        wire.finish_unread();
        view
    });
    assert_ne!(views[0], views[1]);
}

/// What is known of a story of attempts.
#[derive(Default)]
struct Seen {
    invites: Vec<Message>,
    /// Whether the user has given up, or left.
    is_over: bool,
    /// 2xx that came with each To tag, and ACKs and BYEs that left.
    successes: BTreeMap<String, usize>,
    acks: BTreeMap<String, usize>,
    byes: BTreeSet<String>,
    established: BTreeSet<String>,
}

impl Seen {
    fn take(&mut self, sent: &[Message]) {
        for message in sent {
            let branch_of = branch(message);
            let tag = to_tag(message).unwrap_or_default();
            match message.method() {
                Some(Method::Invite) if !self.invites.iter().any(|known| branch(known) == branch_of) => {
                    assert!(!self.is_over, "I3: {message:?}");
                    self.invites.push(message.clone());
                }
                Some(Method::Ack) if !self.invites.iter().any(|known| branch(known) == branch_of) => {
                    *self.acks.entry(tag).or_default() += 1;
                }
                Some(Method::Bye) => {
                    self.byes.insert(tag);
                }
                Some(_) | None => {}
            }
        }
    }
}

/// I3, I4, I5, I9: challenges, 422, 503, silence, refused connections and reliable 1xx at any attempt, old or new, and the wish at
/// any moment between them.
#[test]
fn attempts_in_every_order_start_nothing_after_the_wish_and_leave_nobody_connected() {
    for seed in 0..4000 {
        let mut dice = Dice(seed);
        let mut wire = Wire::with(|config| {
            configure(config);
            config.datagram_max = if dice.roll(4) == 0 { 300 } else { 1300 };
        });
        let mut seen = Seen::default();
        let session = wire.invite_with(twice());
        let mut tags = 0;
        seen.take(&wire.sent());
        for number in 1..16 {
            let place = usize::try_from(dice.roll(seen.invites.len() as u64)).unwrap();
            let invite = seen.invites[place].clone();
            let tag = format!("p{place}{}", dice.roll(2));
            let answer = |wire: &mut Wire, status: u16, lines: &str| {
                wire.receive(&response(&invite, status, &tag, &format!("{CONTACT}{lines}")));
            };
            match dice.roll(13) {
                0 => answer(&mut wire, 100, ""),
                1 => answer(&mut wire, 180, ""),
                2 => answer(&mut wire, 183, &format!("Require: 100rel\r\nRSeq: {}\r\n", 10 + dice.roll(3))),
                3 => {
                    answer(&mut wire, 200, TIMED);
                    *seen.successes.entry(tag.clone()).or_default() += 1;
                }
                4 => answer(&mut wire, 401, &asked(&format!("n{number}")).replace("qop", "stale=true, qop")),
                5 => answer(&mut wire, 422, &format!("Min-SE: {}\r\n", 90 + 10 * number)),
                6 => answer(&mut wire, 503, ""),
                7 if dice.roll(3) == 0 => answer(&mut wire, 487, ""),
                8 => wire.advance(ms([0, 600, 5000, 33_000][usize::try_from(dice.roll(4)).unwrap()])),
                9 => {
                    let connection = ConnectionId::Opened(1 + u32::try_from(dice.roll(2)).unwrap());
                    let refused = dice.roll(2) == 0;
                    wire.input(match refused {
                        true => Input::ConnectionRefused { connection },
                        false => Input::ConnectionLost { connection },
                    })
                    .unwrap();
                }
                10 if dice.roll(2) == 0 => seen.is_over |= wire.cancel(session).is_ok(),
                11 if dice.roll(3) == 0 => seen.is_over |= wire.leave(session).is_ok(),
                _ => {
                    tags += 1;
                    let update = Request {
                        from_tag: tag.clone(),
                        to_tag: from_tag(&invite),
                        call_id: text(&invite, Name::CallId).into(),
                        number,
                        ..Request::invite(&format!("u{tags}")).follow("UPDATE")
                    };
                    wire.receive(&update.with(CONTACT).with("Supported: timer\r\n").text());
                }
            }
            let sent = wire.sent();
            seen.take(&sent);
            for request in &sent {
                let is_other =
                    request.is(Method::Prack) || request.is(Method::Update) || request.is(Method::Bye);
                let lines = asked(&format!("x{number}"));
                match dice.roll(4) {
                    0 if is_other => wire.receive(&response(request, 200, "", "")),
                    1 if is_other => wire.receive(&response(request, 401, "", &lines)),
                    2 if is_other => wire.receive(&response(request, 422, "", "Min-SE: 900\r\n")),
                    _ => {}
                }
            }
            seen.take(&wire.sent());
            for event in wire.events() {
                if let Event::Established { response, .. } = event {
                    seen.established.insert(to_tag(&response).unwrap());
                }
            }
        }
        let _ = wire.cancel(session);
        let _ = wire.leave(session);
        seen.is_over = true;
        seen.take(&wire.finish());
        assert!(seen.established.len() <= 1, "one session");
        for (tag, acks) in &seen.acks {
            assert!(*acks <= seen.successes[tag], "I5, seed {seed}: {tag}");
            assert!(seen.byes.contains(tag), "I5: {tag} is left, seed {seed}");
        }
    }
}

/// I3, I5, I9 within a dialog: once it is left nothing of ours starts in it, and it is left by one BYE, whatever its changes,
/// refreshes and challenges crossed.
#[test]
fn a_session_is_left_once_in_every_order() {
    for seed in 0..4000 {
        let mut dice = Dice(seed);
        let is_inviter = dice.roll(2) == 0;
        let lines = match dice.roll(2) {
            0 => TIMED.to_owned(),
            _ => TIMED.replace("Allow: UPDATE", "Allow: INVITE"),
        };
        let mut wire = Wire::with(configure);
        let (session, call_id, ours);
        if is_inviter {
            session = wire.invite();
            let invite = wire.one();
            wire.receive(&response(&invite, 200, "b1", &format!("{CONTACT}{lines}")));
            (call_id, ours) = (text(&invite, Name::CallId).to_owned(), from_tag(&invite));
        } else {
            let invite = Request::invite("inv").with(&lines.replace("Require: timer\r\n", ""));
            wire.receive(&invite.text());
            session = wire.invited();
            wire.accept(session).unwrap();
            (call_id, ours) = (invite.call_id, to_tag(&wire.one()).unwrap());
        }
        wire.sent();
        let (mut open, mut known) = (Vec::<Message>::new(), BTreeSet::new());
        let (mut byes, mut challenged, mut is_left) = (0, 0, false);
        for number in 7..27 {
            let peers = |method: &'static str, branch: &str, number: u32| Request {
                call_id: call_id.clone(),
                to_tag: ours.clone(),
                number,
                method,
                body: String::new(),
                lines: format!("{CONTACT}{lines}").replace("Require: timer\r\n", ""),
                ..Request::invite(branch)
            };
            let described = |request: Request| Request {
                body: OFFER.into(),
                ..request.with("Content-Type: application/sdp\r\n")
            };
            if number == 7 && dice.roll(4) > 0 {
                wire.receive(&peers("ACK", "a0", 7).text());
            }
            match dice.roll(14) {
                0 => drop(wire.modify(session)),
                1 => drop(wire.cancel(session)),
                2 if dice.roll(4) == 0 => drop(wire.leave(session)),
                3 => {
                    wire.receive(&described(peers("INVITE", &format!("i{number}"), number + 1)).text());
                    if dice.roll(3) > 0 {
                        let _ = wire.accept(session);
                    }
                }
                4 => wire.receive(&described(peers("UPDATE", &format!("u{number}"), number + 1)).text()),
                5 => wire.receive(&peers("UPDATE", &format!("u{number}"), number + 1).text()),
                6 => {
                    let back = u32::try_from(dice.roll(3)).unwrap();
                    wire.receive(&peers("ACK", &format!("a{number}"), number - back).text());
                }
                7 if dice.roll(6) == 0 => {
                    wire.receive(&peers("BYE", &format!("b{number}"), number + 1).text())
                }
                8 => drop(wire.accept(session)),
                9 if dice.roll(2) == 0 => drop(wire.refuse(session, 488)),
                10 => wire.advance(ms([300, 5000, 33_000, 46_000][usize::try_from(dice.roll(4)).unwrap()])),
                _ if !open.is_empty() => {
                    let place = usize::try_from(dice.roll(open.len() as u64)).unwrap();
                    let statuses = [100, 183, 200, 200, 401, 401, 422, 408, 481, 491, 503];
                    let status = statuses[usize::try_from(dice.roll(11)).unwrap()];
                    let request = match status {
                        100 | 183 => open[place].clone(),
                        _ => open.remove(place),
                    };
                    challenged += usize::from(status == 401 && request.is(Method::Bye));
                    let more = match status {
                        183 => RELIABLE.to_owned(),
                        401 => asked(&format!("n{number}")),
                        422 => format!("Min-SE: {}\r\n", 100 + number),
                        _ => lines.clone(),
                    };
                    wire.receive(&response(&request, status, "b1", &format!("{CONTACT}{more}")));
                }
                _ => {}
            }
            let was_left = is_left || byes > 0;
            is_left |= wire.events().iter().any(|event| matches!(event, Event::Ended { .. }));
            for message in wire.sent() {
                let Some(method) = message.method().filter(|method| *method != Method::Ack) else { continue };
                if !known.insert((branch(&message), method.as_str())) {
                    continue;
                }
                let starts = matches!(method, Method::Invite | Method::Update);
                assert!(!starts || !was_left, "I3, seed {seed}: {message:?}");
                byes += usize::from(method == Method::Bye);
                assert!(byes <= 1 + challenged, "I5, seed {seed}");
                if method != Method::Cancel {
                    open.push(message);
                }
            }
        }
        for _ in 0..2 {
            let _ = wire.refuse(session, 480);
            let _ = wire.leave(session);
        }
        let last = wire.finish();
        let is_new = |message: &&Message| {
            message.is(Method::Bye) && !known.contains(&(branch(message), Method::Bye.as_str()))
        };
        let last: BTreeSet<_> = last.iter().filter(is_new).map(branch).collect();
        assert!(byes + last.len() <= 1 + challenged, "I5, seed {seed}");
    }
}
