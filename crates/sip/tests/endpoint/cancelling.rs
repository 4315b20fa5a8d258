//! The side that invites and gives up: digest 14.3, row by row.

use sip::message::Name;
use sip::usage::{End, Party};
use sip::{Duration, Event, Invite, Message, Misuse, SessionId};

use crate::wire::*;

const CANCELLED: Option<(End, Party, Option<u16>)> = Some((End::Cancelled, Party::Local, None));

fn cancelled(status: u16) -> Option<(End, Party, Option<u16>)> {
    Some((End::Cancelled, Party::Local, Some(status)))
}

/// U1: the INVITE has left.
fn calling() -> (Wire, SessionId, Message) {
    let mut wire = Wire::new();
    let session = wire.invite();
    let invite = wire.one();
    (wire, session, invite)
}

/// U2, with an early dialog.
fn ringing() -> (Wire, SessionId, Message) {
    let (mut wire, session, invite) = calling();
    wire.answer(&invite, 180, "p1");
    assert!(matches!(wire.events()[..], [Event::Progress { .. }]));
    (wire, session, invite)
}

/// U2c: the CANCEL has left.
fn cancelling() -> (Wire, SessionId, Message, Message) {
    let (mut wire, session, invite) = ringing();
    wire.cancel(session).expect("pending");
    let cancel = wire.one();
    assert_eq!(word(&cancel), "CANCEL");
    (wire, session, invite, cancel)
}

/// U1/cancel, R1, C24, item 2: nothing but the INVITE itself leaves until a 1xx comes; it is retransmitted (timer A).
#[test]
fn a_cancel_wish_before_a_1xx_sends_nothing_and_the_invite_goes_on() {
    let (mut wire, session, invite) = calling();
    wire.advance(ms(100));
    wire.cancel(session).unwrap();
    wire.quiet();
    wire.advance(Duration::from_secs(31));
    let log = wire.log();
    assert!(log.iter().all(|sent| sent.message.bytes() == invite.bytes()));
    let times: Vec<_> = log.iter().map(|sent| sent.at).collect();
    assert_eq!(times, [500, 1500, 3500, 7500, 15500].map(ms));
    wire.finish();
}

/// U1c/timer B: cancelled, after 64*T1 of silence; U1/timer B below.
#[test]
fn a_wish_that_nobody_ever_answers_ends_with_timer_b() {
    let (mut wire, session, _) = calling();
    wire.cancel(session).unwrap();
    wire.advance(T1_64);
    assert_eq!(wire.ended(), CANCELLED);
    assert_eq!(wire.cancel(session), Err(Misuse::TooLate));
    assert!(!wire.finish().iter().any(|message| word(message) == "CANCEL"));
}

/// U1/timer B without a wish.
#[test]
fn an_invite_that_nobody_answers_times_out() {
    let (mut wire, _, _) = calling();
    wire.advance(T1_64);
    assert_eq!(wire.ended(), Some((End::TimedOut, Party::Remote, None)));
    wire.finish();
}

/// U1c/1xx, T2, C22, item 2: any 1xx counts, 100 too, and the CANCEL leaves at that moment.
#[test]
fn the_first_1xx_after_the_wish_lets_the_cancel_go_and_100_counts() {
    for status in [100, 180, 183, 199] {
        let (mut wire, session, invite) = calling();
        wire.cancel(session).unwrap();
        wire.sent();
        wire.advance(Duration::from_secs(1));
        wire.sent();
        wire.answer(&invite, status, if status == 100 { "" } else { "p1" });
        let log = wire.log();
        assert_eq!((log.len(), word(&log[0].message).as_str()), (1, "CANCEL"), "{status}");
        assert_eq!(log[0].at, Duration::from_secs(1));
        assert!(wire.events().is_empty(), "no progress of what nobody wants");
        wire.answer(&invite, 487, "p1");
        assert_eq!(word(&wire.one()), "ACK");
        assert_eq!(wire.ended(), cancelled(487));
        wire.finish();
    }
}

/// U1c/2xx, T3, R1, C45, item 3: ACK then BYE, no CANCEL; the BYE has the next number.
#[test]
fn a_2xx_that_comes_while_the_wish_waits_is_acknowledged_and_left() {
    let (mut wire, session, invite) = calling();
    wire.cancel(session).unwrap();
    wire.answer(&invite, 200, "p1");
    let sent = wire.sent();
    assert_eq!(sent.iter().map(word).collect::<Vec<_>>(), ["ACK", "BYE"]);
    assert_eq!((text(&sent[0], Name::CSeq), text(&sent[1], Name::CSeq)), ("1 ACK", "2 BYE"));
    assert!(sent.iter().all(|message| to_tag(message).as_deref() == Some("p1")));
    assert_eq!(wire.ended(), cancelled(200));
    wire.answer(&sent[1], 200, "");
    assert!(wire.finish().is_empty());
}

/// U1c/300-699, U1c/401..503, C08, C29, T5, I3: acknowledged, no CANCEL, and no new INVITE whatever the code asks for.
#[test]
fn a_failure_that_comes_while_the_wish_waits_is_the_end() {
    for (status, lines) in NOT_RETRIED {
        let (mut wire, session, invite) = calling();
        wire.cancel(session).unwrap();
        wire.receive(&response(&invite, *status, "p1", lines));
        assert_eq!(wire.words(), ["ACK"], "{status}");
        assert_eq!(wire.ended(), cancelled(*status));
        assert!(wire.finish().is_empty(), "{status}");
    }
}

const NOT_RETRIED: &[(u16, &str)] = &[
    (302, "Contact: <sip:other@192.0.2.77>\r\n"),
    (401, "WWW-Authenticate: Digest realm=\"a\",nonce=\"b\"\r\n"),
    (407, "Proxy-Authenticate: Digest realm=\"a\",nonce=\"b\"\r\n"),
    (420, "Unsupported: timer\r\n"),
    (422, "Min-SE: 90\r\n"),
    (480, ""),
    (486, ""),
    (491, ""),
    (503, "Retry-After: 1\r\n"),
    (603, ""),
];

/// U2c/other 300-699, R4, T5, I3: the same after the CANCEL has left.
#[test]
fn a_failure_that_crosses_the_cancel_is_the_end() {
    for (status, lines) in NOT_RETRIED {
        let (mut wire, _, invite, cancel) = cancelling();
        wire.receive(&response(&invite, *status, "p1", lines));
        assert_eq!(wire.words(), ["ACK"], "{status}");
        assert_eq!(wire.ended(), cancelled(*status));
        wire.answer(&cancel, 200, "p1");
        assert!(wire.finish().is_empty(), "{status}");
    }
}

/// U1c/changes mind, idempotence (I8): asking again changes nothing, in U1c and in U2c.
#[test]
fn asking_to_cancel_again_changes_nothing() {
    let (mut wire, session, invite) = calling();
    for _ in 0..3 {
        wire.cancel(session).unwrap();
    }
    wire.quiet();
    wire.answer(&invite, 100, "");
    for _ in 0..3 {
        wire.cancel(session).unwrap();
    }
    assert_eq!(wire.words(), ["CANCEL"]);
    wire.answer(&invite, 487, "p1");
    assert_eq!(wire.cancel(session), Err(Misuse::TooLate));
    wire.finish();
}

/// U2/cancel, U2c/487, U2c/200 to CANCEL, T1, seed C2 and C3: the ordinary case.
#[test]
fn a_cancel_after_180_ends_with_200_and_487() {
    let (mut wire, session, invite, cancel) = cancelling();
    wire.answer(&cancel, 200, "p1");
    wire.quiet();
    wire.advance(ms(5000));
    assert!(wire.sent().is_empty(), "the 200 stops timer E");
    wire.answer(&invite, 487, "p1");
    let ack = wire.one();
    assert_eq!((word(&ack).as_str(), text(&ack, Name::CSeq)), ("ACK", "1 ACK"));
    assert_eq!((branch(&ack), to_tag(&ack).as_deref()), (branch(&invite), Some("p1")));
    assert_eq!(wire.ended(), cancelled(487));
    assert_eq!(wire.cancel(session), Err(Misuse::TooLate));
    assert!(wire.finish().is_empty());
}

/// C01, 14.2: the To of the CANCEL has no tag at all, although a 1xx had one.
#[test]
fn the_cancel_of_a_first_invite_has_no_to_tag() {
    let (wire, _, invite, cancel) = cancelling();
    assert!(!text(&cancel, Name::To).contains("tag"));
    assert_eq!(text(&cancel, Name::To), text(&invite, Name::To));
    wire.finish();
}

/// T8, timers E and F: 0.5, 1, 2, 4, 4 s ...; R7.
#[test]
fn a_cancel_that_nobody_answers_is_sent_again_from_t1_to_t2() {
    let (mut wire, _, _, cancel) = cancelling();
    let from = wire.now;
    wire.advance(ms(31_900));
    let log = wire.log();
    assert!(log.iter().all(|sent| sent.message.bytes() == cancel.bytes()));
    let spans: Vec<_> = log.iter().map(|sent| sent.at - from).collect();
    assert_eq!(spans, [500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500].map(ms));
    wire.finish();
}

/// U2/Expires, R18: the limit of the invitation sends the CANCEL as if the user had given up, with its Reason.
#[test]
fn the_limit_of_an_invitation_cancels_it() {
    let mut wire = Wire::new();
    let reason = "RELEASE_CAUSE;cause=6;text=\"Call-setup time-out\"";
    wire.invite_with(Invite {
        expires: Some(Duration::from_secs(10)),
        expires_headers: headers(&[(Name::Reason, reason)]),
        ..invitation()
    });
    let invite = wire.one();
    assert_eq!(text(&invite, Name::Expires), "10");
    wire.answer(&invite, 180, "p1");
    wire.advance(ms(9_990));
    assert!(wire.sent().is_empty());
    wire.advance(ms(20));
    let cancel = wire.one();
    assert_eq!((word(&cancel).as_str(), text(&cancel, Name::Reason)), ("CANCEL", reason));
    wire.answer(&invite, 487, "p1");
    wire.events();
    wire.finish();
}

/// U1/Expires: without a 1xx the limit is a wish that waits.
#[test]
fn the_limit_before_a_1xx_waits_for_it() {
    let mut wire = Wire::new();
    wire.invite_with(Invite { expires: Some(Duration::from_secs(2)), ..invitation() });
    let invite = wire.one();
    wire.advance(Duration::from_secs(5));
    assert!(wire.words().iter().all(|word| word == "INVITE"));
    wire.answer(&invite, 100, "");
    assert_eq!(wire.words(), ["CANCEL"]);
    wire.finish();
}

/// U2/2xx, U3: ACK and nothing else; a copy of the 2xx is acknowledged again; then only leaving is possible.
#[test]
fn a_2xx_without_a_wish_establishes_the_session() {
    let (mut wire, session, invite) = ringing();
    wire.answer(&invite, 200, "p1");
    let ack = wire.one();
    assert_eq!(word(&ack), "ACK");
    assert_ne!(branch(&ack), branch(&invite), "RFC 3261 §17.1.1.3 is for failures only");
    assert!(matches!(wire.events()[..], [Event::Established { .. }]));
    wire.answer(&invite, 200, "p1");
    assert_eq!(wire.one().bytes(), ack.bytes());
    assert_eq!(wire.cancel(session), Err(Misuse::TooLate));
    // U3/gives up: BYE, no CANCEL.
    wire.leave(session).unwrap();
    let bye = wire.one();
    assert_eq!((word(&bye).as_str(), text(&bye, Name::CSeq)), ("BYE", "2 BYE"));
    wire.answer(&bye, 200, "");
    assert_eq!(wire.ended(), Some((End::Left, Party::Local, None)));
    wire.finish();
}

/// U2c/2xx, T4, R3, C36, C37, C38, seed C4: ACK and BYE at once, whichever of the answers comes first.
#[test]
fn a_2xx_that_crosses_the_cancel_is_acknowledged_and_left() {
    for to_cancel in [None, Some(200), Some(481)] {
        let (mut wire, session, invite, cancel) = cancelling();
        wire.advance(ms(1));
        if let Some(status) = to_cancel {
            wire.answer(&cancel, status, "p1");
        }
        wire.quiet();
        wire.answer(&invite, 200, "p1");
        assert_eq!(wire.words(), ["ACK", "BYE"]);
        assert_eq!(wire.ended(), cancelled(200));
        assert!(wire.cancel(session).is_err());
        wire.finish();
    }
}

/// C38, I5, item 6: lost ACK: every copy of the 2xx is acknowledged again, with the same ACK, and there is one BYE.
#[test]
fn each_copy_of_the_crossing_2xx_is_acknowledged_and_left_once() {
    let (mut wire, _, invite, _) = cancelling();
    wire.answer(&invite, 200, "p1");
    let first = wire.sent();
    wire.answer(&first[1], 200, "");
    for _ in 0..7 {
        wire.advance(ms(4000));
        wire.sent();
        wire.answer(&invite, 200, "p1");
        assert_eq!(wire.one().bytes(), first[0].bytes());
    }
    assert!(wire.finish().iter().all(|message| word(message) == "CANCEL"));
}

/// U2c/further 2xx, T24, C40, C28, R10, I5, item 6: each fork is acknowledged and left exactly once.
#[test]
fn each_fork_that_accepts_after_the_wish_is_acknowledged_and_left_once() {
    let (mut wire, _, invite, _) = cancelling();
    for tag in ["p1", "p2", "p3", "p4", "p5"] {
        wire.answer(&invite, 200, tag);
        let sent = wire.sent();
        assert_eq!(sent.iter().map(word).collect::<Vec<_>>(), ["ACK", "BYE"], "{tag}");
        assert!(sent.iter().all(|message| to_tag(message).as_deref() == Some(tag)));
        assert_eq!(text(&sent[1], Name::CSeq), "2 BYE", "C42: in each dialog the number after the INVITE");
        wire.answer(&sent[1], 200, "");
    }
    for tag in ["p3", "p1", "p5"] {
        wire.answer(&invite, 200, tag);
        assert_eq!(wire.words(), ["ACK"], "{tag}");
    }
    assert_eq!(wire.ended(), cancelled(200));
    assert!(wire.finish().iter().all(|message| word(message) == "CANCEL"));
}

/// I5, R9: a fork may accept even after another one's 487 came through (RFC 3261 §16.7 step 5).
#[test]
fn a_2xx_after_the_487_is_acknowledged_and_left() {
    let (mut wire, _, invite, _) = cancelling();
    wire.answer(&invite, 487, "p1");
    wire.sent();
    wire.answer(&invite, 200, "p2");
    assert_eq!(wire.words(), ["ACK", "BYE"]);
    assert_eq!(wire.ended(), cancelled(487));
    wire.finish();
}

/// U2c/1xx: no second CANCEL.
#[test]
fn a_1xx_after_the_cancel_changes_nothing() {
    let (mut wire, _, invite, _) = cancelling();
    for (status, tag) in [(100, ""), (180, "p1"), (183, "p2"), (180, "p3")] {
        wire.answer(&invite, status, tag);
    }
    wire.quiet();
    wire.finish();
}

/// U2c/200, 481 and other finals to CANCEL, timer F, T6, R24, C52, C64: they prove nothing about the INVITE, and the CANCEL
/// is not sent again with credentials.
#[test]
fn no_answer_to_the_cancel_proves_anything() {
    let challenge = "WWW-Authenticate: Digest realm=\"a\",nonce=\"b\"\r\n";
    for (status, lines) in
        [(200, ""), (400, ""), (401, challenge), (407, ""), (420, ""), (481, ""), (503, "")]
    {
        let (mut wire, session, invite, cancel) = cancelling();
        wire.receive(&response(&cancel, status, "p1", lines));
        wire.quiet();
        wire.cancel(session).unwrap();
        wire.advance(Duration::from_secs(20));
        wire.quiet();
        wire.answer(&invite, 487, "p1");
        assert_eq!(wire.words(), ["ACK"]);
        assert_eq!(wire.ended(), cancelled(487), "{status}");
        assert!(wire.finish().is_empty());
    }
}

/// U2c/T-guard, U4 tombstone, T7, R7, R8, C77, item 5: 64*T1 after the CANCEL it counts as cancelled; a 2xx that comes later
/// still is acknowledged and left once.
#[test]
fn the_guard_ends_the_wait_and_a_late_2xx_is_still_left() {
    let (mut wire, session, invite, cancel) = cancelling();
    wire.answer(&cancel, 200, "p1");
    wire.advance(T1_64 - ms(1));
    assert_eq!(wire.ended(), None);
    wire.advance(ms(1));
    assert_eq!(wire.ended(), CANCELLED);
    assert!(wire.cancel(session).is_err());
    wire.advance(ms(31_000));
    wire.sent();
    wire.answer(&invite, 200, "p1");
    let sent = wire.sent();
    assert_eq!(sent.iter().map(word).collect::<Vec<_>>(), ["ACK", "BYE"]);
    wire.answer(&sent[1], 200, "");
    wire.advance(ms(4000));
    wire.answer(&invite, 200, "p1");
    assert_eq!(wire.one().bytes(), sent[0].bytes());
    wire.answer(&invite, 200, "p2");
    assert_eq!(wire.words(), ["ACK", "BYE"]);
    assert_eq!(wire.ended(), None);
    wire.finish();
}

/// T-guard runs from the CANCEL, not from the INVITE (14.3, notes).
#[test]
fn the_guard_runs_from_the_cancel() {
    let (mut wire, session, _) = ringing();
    wire.advance(Duration::from_secs(60));
    wire.cancel(session).unwrap();
    wire.advance(T1_64 - ms(1));
    assert_eq!(wire.ended(), None);
    wire.advance(ms(1));
    assert_eq!(wire.ended(), CANCELLED);
    wire.finish();
}

/// U4 tombstone/487: the late 487 is acknowledged, and nothing is told again.
#[test]
fn a_late_487_is_acknowledged() {
    let (mut wire, _, invite, _) = cancelling();
    wire.advance(T1_64);
    assert_eq!(wire.ended(), CANCELLED);
    wire.sent();
    for _ in 0..3 {
        wire.answer(&invite, 487, "p1");
        assert_eq!(wire.words(), ["ACK"]);
    }
    assert_eq!(wire.ended(), None);
    wire.finish();
}

/// C26, late 1xx after timer B: the peer is told once that nobody waits any more.
#[test]
fn a_late_1xx_after_timer_b_is_cancelled_once() {
    for is_wanted in [true, false] {
        let (mut wire, session, invite) = calling();
        if !is_wanted {
            wire.cancel(session).unwrap();
        }
        wire.advance(T1_64);
        assert!(wire.ended().is_some());
        wire.sent();
        wire.advance(Duration::from_secs(5));
        wire.answer(&invite, 180, "p1");
        assert_eq!(wire.words(), ["CANCEL"]);
        wire.answer(&invite, 183, "p1");
        wire.quiet();
        wire.answer(&invite, 487, "p1");
        assert_eq!(wire.words(), ["ACK"]);
        wire.finish();
    }
}

/// R6, item 7, timer D: every copy of the 487 is acknowledged again on the branch of the INVITE.
#[test]
fn each_copy_of_the_487_is_acknowledged() {
    let (mut wire, _, invite, cancel) = cancelling();
    wire.answer(&cancel, 200, "p1");
    wire.answer(&invite, 487, "p9");
    let first = wire.one();
    for _ in 0..7 {
        wire.advance(ms(4000));
        wire.answer(&invite, 487, "p9");
        let ack = wire.one();
        assert_eq!((ack.bytes(), branch(&ack)), (first.bytes(), branch(&invite)));
        assert_eq!(to_tag(&ack).as_deref(), Some("p9"));
    }
    assert!(wire.finish().is_empty());
}

/// U4 after BYE: 481, 408, 500 or silence: it is over anyway (RFC 3261 §15.1.1); the BYE is not sent with credentials.
#[test]
fn whatever_the_answer_to_the_bye_is_the_session_is_over() {
    for status in [None, Some(401), Some(408), Some(481), Some(500)] {
        let (mut wire, session, invite) = ringing();
        wire.answer(&invite, 200, "p1");
        wire.leave(session).unwrap();
        let sent = wire.sent();
        match status {
            Some(status) => wire.answer(&sent[1], status, ""),
            None => wire.advance(T1_64),
        }
        assert_eq!(wire.ended(), Some((End::Left, Party::Local, None)));
        wire.finish();
    }
}

/// What it says besides its status is the user's to read: Contact, a body.
#[test]
fn the_failure_that_ends_a_session_is_told_with_its_end() {
    let told = |answers: &[u16], gives_up: bool| {
        let mut wire = Wire::new();
        let session = wire.invite();
        let invite = wire.one();
        wire.answer(&invite, 180, "p1");
        if gives_up {
            wire.cancel(session).unwrap();
        }
        for status in answers {
            wire.answer(&invite, *status, "p1");
        }
        if answers.is_empty() {
            wire.advance(T1_64);
        }
        let ended = wire.events().into_iter().find_map(|event| {
            let Event::Ended { response, .. } = event else { return None };
            Some(response.as_ref().and_then(Message::status))
        });
        wire.finish();
        ended
    };
    assert_eq!(told(&[302], false), Some(Some(302)));
    assert_eq!(told(&[487], true), Some(Some(487)));
    assert_eq!(told(&[200], true), Some(None));
    assert_eq!(told(&[], true), Some(None));
}

/// R1, R3, R4, R7: each wish is counted by its moment, and by what it met.
#[test]
fn a_wish_is_counted_by_its_moment_and_by_what_it_meets() {
    let counts = |wire: &Wire| {
        let cancels = wire.endpoint.counters().cancels;
        let wished = [cancels.wished_unanswered, cancels.wished_ringing, cancels.wished_late];
        let met = [cancels.terminated, cancels.crossed_success, cancels.crossed_failure];
        (wished, met, [cancels.unsettled, cancels.unheard])
    };
    for (status, met) in [(487, [1, 0, 0]), (200, [0, 1, 0]), (486, [0, 0, 1])] {
        let (mut wire, _, invite, _) = cancelling();
        wire.answer(&invite, status, "p1");
        assert_eq!(counts(&wire), ([0, 1, 0], met, [0, 0]));
        wire.finish();
    }
    // The answer to the CANCEL is another thing than that to its INVITE.
    let (mut wire, _, _, cancel) = cancelling();
    wire.answer(&cancel, 481, "p1");
    wire.advance(T1_64);
    assert_eq!(counts(&wire), ([0, 1, 0], [0, 0, 0], [1, 0]));
    let cancels = wire.endpoint.counters().cancels;
    assert_eq!((cancels.unknown, cancels.answered, cancels.unanswered), (1, 0, 0));
    wire.finish();

    let (mut wire, session, _) = calling();
    wire.cancel(session).unwrap();
    wire.advance(T1_64);
    assert_eq!(wire.cancel(session), Err(Misuse::TooLate));
    assert_eq!(counts(&wire), ([1, 0, 1], [0, 0, 0], [0, 1]));
    wire.finish();
}
