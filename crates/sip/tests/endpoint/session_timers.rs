//! Session timers: RFC 4028.

use sip::message::Name;
use sip::usage::{End, Party};
use sip::{Config, Duration, Event, Message, Misuse, SessionId};

use crate::wire::*;

const TIMER: &str = "Require: timer\r\nSupported: timer\r\n";

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn asking(config: &mut Config) {
    config.session_expires = Some(secs(180));
}

/// We asked for 180 s, and the peer's 200 has `lines`.
fn established(lines: &str) -> (Wire, SessionId, Message) {
    let mut wire = Wire::with(asking);
    let session = wire.invite();
    let invite = wire.one();
    assert_eq!(text(&invite, Name::SessionExpires), "180");
    assert!(invite.lists(Name::Supported, b"timer"));
    wire.receive(&response(&invite, 200, "p1", &format!("{CONTACT}{lines}")));
    let ack = wire.one();
    wire.events();
    (wire, session, ack)
}

/// The peer invited with `lines`, and we accepted.
fn answered(lines: &str) -> (Wire, SessionId, Request, Message) {
    let mut wire = Wire::new();
    let invite = Request::invite("inv").with(lines);
    wire.receive(&invite.text());
    let session = wire.invited();
    wire.accept(session).expect("alerting");
    let ok = wire.one();
    wire.receive(&invite.within(&ok, "ACK", 7).text());
    wire.events();
    (wire, session, invite, ok)
}

/// Nothing happens until `seconds` from now, and then one message leaves.
#[track_caller]
fn after(wire: &mut Wire, seconds: u64) -> Message {
    wire.advance(secs(seconds) - ms(1));
    wire.quiet();
    wire.advance(ms(1));
    wire.one()
}

#[track_caller]
fn lost(mut wire: Wire, status: Option<u16>) {
    assert_eq!(wire.ended(), Some((End::Lost, Party::Remote, status)));
    wire.finish();
}

/// §9, §10: UPDATE at half of the interval if the peer allows it; its 2xx begins anew.
#[test]
fn the_refresher_sends_update_at_half_of_the_interval() {
    let allows = "Allow: INVITE, UPDATE\r\nSession-Expires: 120;refresher=uac\r\n";
    let (mut wire, session, _) = established(&format!("{allows}{TIMER}"));
    for _ in 0..3 {
        let update = after(&mut wire, 60);
        assert_eq!(word(&update), "UPDATE");
        assert_eq!(text(&update, Name::SessionExpires), "120;refresher=uac");
        assert!(update.lists(Name::Supported, b"timer") && update.value(Name::Contact).is_some());
        assert!(update.body().is_empty());
        let lines = format!("{CONTACT}{TIMER}Session-Expires: 120;refresher=uac\r\n");
        wire.receive(&response(&update, 200, "", &lines));
        wire.quiet();
    }
    wire.leave(session).unwrap();
    wire.finish();
}

/// §7.4: a re-INVITE with what was offered before if the peer does not allow UPDATE; its user is not asked.
#[test]
fn a_peer_without_update_gets_a_re_invite() {
    let (mut wire, session, _) = established("Allow: INVITE\r\nSession-Expires: 180;refresher=uac\r\n");
    let refresh = after(&mut wire, 90);
    assert_eq!((word(&refresh).as_str(), refresh.body()), ("INVITE", OFFER.as_bytes()));
    assert_eq!(text(&refresh, Name::SessionExpires), "180;refresher=uac");
    assert_eq!(wire.cancel(session), Err(Misuse::TooLate), "its user knows nothing of it");
    assert_eq!(wire.modify(session), Err(Misuse::Busy));
    wire.receive(&response(&refresh, 200, "", &format!("{CONTACT}Session-Expires: 180;refresher=uac\r\n")));
    assert_eq!(wire.words(), ["ACK"]);
    assert!(matches!(wire.events()[..], [Event::Modified { .. }]));
    assert_eq!(word(&after(&mut wire, 90)), "INVITE");
    wire.leave(session).unwrap();
    wire.finish();
}

/// §7.2: a peer that does not know session timers: the timer is for us, and we refresh. If we do not ask, there is none.
#[test]
fn without_an_answer_the_timer_is_ours() {
    let (mut wire, session, _) = established("");
    assert_eq!(word(&after(&mut wire, 90)), "INVITE");
    wire.leave(session).unwrap();
    wire.finish();

    let mut wire = Wire::new();
    let session = wire.invite();
    let invite = wire.one();
    assert!(invite.value(Name::SessionExpires).is_none() && invite.value(Name::MinSe).is_none());
    wire.answer(&invite, 200, "p1");
    wire.sent();
    wire.events();
    wire.advance(secs(7200));
    wire.quiet();
    wire.leave(session).unwrap();
    wire.finish();
}

/// §10: BYE slightly before the end if the peer does not refresh: the smaller of 32 s and a third.
#[test]
fn the_other_side_leaves_before_the_session_expires() {
    let (mut wire, _, _) = established(&format!("{TIMER}Session-Expires: 180;refresher=uas\r\n"));
    assert_eq!(word(&after(&mut wire, 148)), "BYE");
    lost(wire, None);
    let (mut wire, _, _, ok) = answered("Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n");
    assert_eq!(text(&ok, Name::SessionExpires), "90;refresher=uac");
    assert_eq!(word(&after(&mut wire, 60)), "BYE");
    lost(wire, None);
}

/// §9, table 2: the 2xx names the refresher, and Require if the peer knows of it.
#[test]
fn the_2xx_names_the_refresher() {
    for (lines, expires, is_required) in [
        ("Supported: timer\r\nSession-Expires: 300\r\n", "300;refresher=uac", true),
        ("Supported: timer\r\nSession-Expires: 300;refresher=uas\r\n", "300;refresher=uas", true),
        ("Session-Expires: 300\r\n", "300;refresher=uas", false),
        ("Supported: timer\r\n", "", false),
        ("", "", false),
    ] {
        let (mut wire, session, _, ok) = answered(lines);
        assert_eq!(text(&ok, Name::SessionExpires), expires, "{lines}");
        assert_eq!(ok.lists(Name::Require, b"timer"), is_required, "{lines}");
        wire.leave(session).unwrap();
        wire.finish();
    }
    // The answering side may ask, too.
    let mut wire = Wire::with(asking);
    wire.receive(&Request::invite("inv").with("Supported: timer\r\nMin-SE: 200\r\n").text());
    let session = wire.invited();
    wire.accept(session).unwrap();
    assert_eq!(text(&wire.one(), Name::SessionExpires), "200;refresher=uac");
    wire.finish();
}

/// §9: an interval below ours is 422 with Min-SE, in INVITE and UPDATE, if the peer knows what that is.
#[test]
fn an_interval_that_is_too_small_is_422() {
    let mut wire = Wire::with(|config| config.min_se = secs(120));
    let supported = "Supported: timer\r\nSession-Expires: 119\r\n";
    wire.receive(&Request::invite("inv").with(supported).text());
    let refusal = wire.one();
    assert_eq!((word(&refusal).as_str(), text(&refusal, Name::MinSe)), ("422 INVITE", "120"));
    assert!(wire.events().is_empty());
    let invite = Request::invite("two").with("Session-Expires: 119\r\n");
    wire.receive(&invite.text());
    let session = wire.invited();
    wire.accept(session).unwrap();
    let ok = wire.one();
    wire.receive(&invite.within(&ok, "ACK", 7).text());
    wire.receive(&invite.within(&ok, "UPDATE", 8).with(CONTACT).with(supported).text());
    let refusal = wire.one();
    assert_eq!((word(&refusal).as_str(), text(&refusal, Name::MinSe)), ("422 UPDATE", "120"));
    wire.leave(session).unwrap();
    wire.finish();

    let mut wire = Wire::with(|config| {
        (config.min_se, config.session_expires) = (secs(120), Some(secs(10)));
    });
    wire.invite();
    let invite = wire.one();
    assert_eq!((text(&invite, Name::SessionExpires), text(&invite, Name::MinSe)), ("120", "120"), "§7.1");
    wire.finish();
}

/// §9: a refresh of the peer begins anew; one without Session-Expires turns the timer off (§7.2).
#[test]
fn a_refresh_of_the_peer_begins_anew() {
    let lines = "Supported: timer\r\nSession-Expires: 180;refresher=uac\r\n";
    let (mut wire, _, invite, ok) = answered(lines);
    for number in 8..11 {
        wire.advance(secs(140));
        wire.receive(&invite.within(&ok, "UPDATE", number).with(CONTACT).with(lines).text());
        let answer = wire.one();
        assert_eq!(
            (word(&answer).as_str(), text(&answer, Name::SessionExpires)),
            ("200 UPDATE", "180;refresher=uac")
        );
    }
    assert_eq!(word(&after(&mut wire, 148)), "BYE");
    lost(wire, None);

    let (mut wire, session, invite, ok) = answered(lines);
    let again = "Contact: <sip:ben@ben.example>\r\nContent-Type: application/sdp\r\n";
    wire.receive(&Request { body: OFFER.into(), ..invite.within(&ok, "INVITE", 8).with(again) }.text());
    wire.accept(session).unwrap();
    let ok = wire.one();
    assert!(ok.value(Name::SessionExpires).is_none());
    wire.receive(&invite.within(&ok, "ACK", 8).text());
    wire.events();
    wire.advance(secs(7200));
    wire.quiet();
    wire.leave(session).unwrap();
    wire.finish();
}

/// §10, RFC 3261 §12.2.1.2: 408, 481 and silence end the session, by UPDATE and by re-INVITE.
#[test]
fn a_peer_that_lost_the_session_ends_it() {
    for allow in ["Allow: UPDATE\r\n", ""] {
        for status in [Some(481), Some(408), None] {
            let (mut wire, _, _) = established(&format!("{allow}Session-Expires: 360;refresher=uac\r\n"));
            let refresh = after(&mut wire, 180);
            match status {
                Some(status) => wire.answer(&refresh, status, ""),
                None => wire.advance(T1_64),
            }
            assert_eq!(wire.words().last().map(String::as_str), Some("BYE"), "{allow}{status:?}");
            lost(wire, status);
        }
    }
}

/// §7.3: a 422 is followed at once by what it asks for: INVITE, re-INVITE and UPDATE.
#[test]
fn after_a_422_the_request_leaves_again_with_the_interval_that_is_taken() {
    let mut wire = Wire::with(|config| config.session_expires = Some(secs(100)));
    let session = wire.invite();
    let first = wire.one();
    assert_eq!(text(&first, Name::SessionExpires), "100");
    wire.receive(&response(&first, 422, "", "Min-SE: 600\r\n"));
    let [ack, again] = wire.sent().try_into().unwrap();
    assert_eq!((word(&ack).as_str(), word(&again).as_str()), ("ACK", "INVITE"));
    assert_eq!((text(&again, Name::SessionExpires), text(&again, Name::MinSe)), ("600", "600"));
    assert_eq!((text(&again, Name::CSeq), again.call_id()), ("2 INVITE", first.call_id()));
    assert_ne!(again.via().unwrap().branch(), first.via().unwrap().branch());
    // What asks for nothing new is a refusal.
    wire.receive(&response(&again, 422, "", "Min-SE: 600\r\n"));
    assert_eq!(wire.words(), ["ACK"]);
    assert_eq!(wire.ended().map(|(end, _, status)| (end, status)), Some((End::Rejected, Some(422))));
    assert_eq!(wire.cancel(session), Err(sip::Misuse::TooLate));
    wire.finish();

    for (allow, method) in [("Allow: UPDATE\r\n", "UPDATE"), ("", "INVITE")] {
        let (mut wire, session, _) = established(&format!("{allow}Session-Expires: 180;refresher=uac\r\n"));
        let refresh = after(&mut wire, 90);
        wire.receive(&response(&refresh, 422, "", "Min-SE: 600\r\n"));
        let again = wire.sent().pop().unwrap();
        assert_eq!((word(&again).as_str(), text(&again, Name::MinSe)), (method, "600"));
        assert_eq!(text(&again, Name::SessionExpires), "600;refresher=uac");
        wire.receive(&response(&again, 200, "", &format!("{CONTACT}Session-Expires: 600;refresher=uac\r\n")));
        wire.sent();
        wire.events();
        assert_eq!(word(&after(&mut wire, 300)), method, "half of the new interval");
        wire.leave(session).unwrap();
        wire.finish();
    }
}

/// I3: after the wish a 422 is the end.
#[test]
fn after_the_wish_a_422_is_not_followed_by_another_invite() {
    let mut wire = Wire::with(|config| config.session_expires = Some(secs(100)));
    let session = wire.invite();
    let first = wire.one();
    wire.cancel(session).unwrap();
    wire.receive(&response(&first, 422, "", "Min-SE: 600\r\n"));
    assert_eq!(wire.words(), ["ACK"]);
    assert_eq!(wire.ended().map(|(end, _, status)| (end, status)), Some((End::Cancelled, Some(422))));
    wire.finish();
}

/// §10: another refusal is tried once more, without UPDATE after a 405. Then BYE.
#[test]
fn a_refused_refresh_is_tried_once_more() {
    let lines = "Allow: UPDATE\r\nSession-Expires: 180;refresher=uac\r\n";
    for (status, header, word_of_it, expires) in
        [(500, "", "UPDATE", "180;refresher=uac"), (405, "Allow: INVITE\r\n", "INVITE", "180;refresher=uac")]
    {
        let (mut wire, _, _) = established(lines);
        let refresh = after(&mut wire, 90);
        wire.receive(&response(&refresh, status, "", header));
        let again = after(&mut wire, 29);
        assert_eq!((word(&again).as_str(), text(&again, Name::SessionExpires)), (word_of_it, expires));
        wire.answer(&again, 500, "");
        wire.sent();
        assert_eq!(word(&after(&mut wire, 29)), "BYE");
        lost(wire, None);
    }
}

/// §7.4: a change is a refresh, too, and says who refreshes.
#[test]
fn a_change_of_ours_refreshes_the_session() {
    let (mut wire, session, _) = established(&format!("{TIMER}Session-Expires: 180;refresher=uas\r\n"));
    wire.advance(secs(100));
    wire.modify(session).unwrap();
    let change = wire.one();
    assert_eq!(text(&change, Name::SessionExpires), "180;refresher=uas");
    wire.receive(&response(&change, 200, "", &format!("{CONTACT}Session-Expires: 180;refresher=uas\r\n")));
    wire.sent();
    wire.events();
    assert_eq!(word(&after(&mut wire, 148)), "BYE");
    lost(wire, None);
}

/// A refresh that is due while something else changes the session waits for that.
#[test]
fn a_refresh_waits_for_a_change_that_is_under_way() {
    let (mut wire, session, _) = established("Session-Expires: 180;refresher=uac\r\n");
    wire.advance(secs(89));
    wire.modify(session).unwrap();
    let change = wire.one();
    wire.answer(&change, 100, "");
    wire.advance(secs(20));
    wire.quiet();
    wire.answer(&change, 488, "");
    wire.sent();
    wire.events();
    wire.advance(secs(20));
    assert_eq!(wire.words().first().map(String::as_str), Some("INVITE"));
    wire.leave(session).unwrap();
    wire.finish();
}

/// What is not established does not expire: an UPDATE in an early dialog starts no timer.
#[test]
fn an_early_dialog_does_not_expire() {
    let mut wire = Wire::new();
    let invite = Request::invite("inv");
    wire.receive(&invite.text());
    let session = wire.invited();
    wire.ring(session);
    let ringing = wire.one();
    let lines = "Supported: timer\r\nSession-Expires: 90;refresher=uas\r\n";
    wire.receive(&invite.within(&ringing, "UPDATE", 8).with(CONTACT).with(lines).text());
    let answer = wire.one();
    assert_eq!(word(&answer), "200 UPDATE");
    assert!(answer.value(Name::SessionExpires).is_none());
    wire.advance(secs(300));
    assert!(wire.ended().is_none());
    assert!(wire.words().iter().all(|word| word == "180 INVITE"));
    wire.refuse(session, 480).unwrap();
    wire.finish();
}

/// I9: nothing of the timer outlives the session, whoever ends it and whatever is under way.
#[test]
fn the_timer_ends_with_its_session() {
    for is_asking in [true, false] {
        let (mut wire, session, _) = established("Allow: UPDATE\r\nSession-Expires: 180;refresher=uac\r\n");
        if is_asking {
            after(&mut wire, 90);
        }
        wire.leave(session).unwrap();
        assert_eq!(wire.words(), ["BYE"]);
        assert!(wire.finish().iter().all(|message| word(message) != "INVITE"));
    }
    // The session would expire while its BYE waits for an answer: one BYE.
    let (mut wire, session, _) = established(&format!("{TIMER}Session-Expires: 180;refresher=uas\r\n"));
    wire.advance(secs(140));
    wire.leave(session).unwrap();
    let bye = wire.one();
    assert!(wire.finish().iter().all(|message| *message == bye));
}
