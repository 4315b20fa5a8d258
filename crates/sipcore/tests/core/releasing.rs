//! A core that is to end: nothing new, nobody is left ringing, and what goes on goes on.

use bytes::Bytes;
use sip::message::Name;
use sipcore::{Command, Input};

use crate::wire::*;

const POC: &str = "Accept-Contact: *;+g.poc.talkburst;require;explicit\r\n";
const REASON: &str = "SIP;cause=503;text=\"Service Unavailable\"";

impl Wire {
    fn release(&mut self) {
        self.input(Input::Command(Command::Release));
    }
}

/// 503, with what RFC 3261 §21.5.4 and §20.43 have for it.
#[track_caller]
fn is_refusal(sent: &Sent, method: &str) {
    assert_eq!(word(&sent.message), format!("503 {method}"));
    assert_eq!(text(&sent.message, Name::RetryAfter), "5");
    assert!(text(&sent.message, Name::Warning).ends_with("\"the server is being stopped\""));
}

/// The words, and nothing else that left.
fn words(sent: &[Sent]) -> Vec<String> {
    sent.iter().map(|sent| word(&sent.message)).collect()
}

#[test]
fn what_would_begin_a_dialog_is_refused_and_keeps_nothing() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    wire.release();
    for method in ["INVITE", "SUBSCRIBE", "REFER"] {
        // Whoever asks: nobody is challenged first.
        for (from, at) in [("zoe", PEER), ("anna", ANNA)] {
            wire.send(&Request::new(method, from, at, "ben"));
            is_refusal(&wire.one(), method);
        }
    }
    assert_eq!(wire.core.counters().late, 6);
    assert!(wire.core.is_settled());
    wire.finish();
}

#[test]
fn what_begins_none_goes_on() {
    let mut wire = Wire::new();
    wire.release();
    wire.register("ben", BEN, "");
    wire.send(&Request::new("MESSAGE", "zoe", PEER, "ben"));
    let message = wire.one();
    assert_eq!((word(&message.message), message.to()), ("MESSAGE".into(), BEN.into()));
    assert!(!wire.core.is_settled(), "its sender waits");
    wire.answer(&message, 200);
    assert_eq!(wire.words(), ["200 MESSAGE"]);
    assert!(wire.core.is_settled());
    wire.finish();
}

#[test]
fn requests_in_a_dialog_go_on() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    let invite = Request::invite();
    wire.send(&invite);
    let forwarded = wire.one();
    wire.answer(&forwarded, 200);
    let ok = wire.one().message;
    wire.release();
    wire.nothing();
    wire.send(&invite.within(&ok, "ACK", 1));
    assert_eq!(wire.words(), ["ACK"]);
    for (number, method) in (2..).zip(["INVITE", "REFER", "SUBSCRIBE", "BYE"]) {
        wire.send(&invite.within(&ok, method, number).with("Contact: <sip:zoe@192.0.2.100>\r\n"));
        let passed = wire.one();
        assert_eq!((word(&passed.message), passed.to()), (method.into(), BEN.into()));
        assert!(!wire.core.is_settled());
        wire.answer(&passed, if method == "INVITE" { 488 } else { 200 });
        if method == "INVITE" {
            let sent = wire.sent();
            assert_eq!(words(&sent), ["ACK", "488 INVITE"]);
            let again = invite.within(&ok, "INVITE", number);
            wire.send(&Request { lines: String::new(), ..again.ack(&sent[1].message) });
            wire.nothing();
        } else {
            assert_eq!(wire.words(), [format!("200 {method}")]);
        }
        assert!(wire.core.is_settled(), "{method}");
    }
    wire.finish();
}

/// Digest 13.1: what is being set up is cancelled downstream, with a response upstream.
#[test]
fn who_rings_is_cancelled_and_who_waits_is_answered() {
    let mut wire = Wire::new();
    for at in [BEN, BEN_2] {
        wire.register("ben", at, "");
    }
    let invite = Request::invite();
    wire.send(&invite);
    let forwarded = wire.sent();
    wire.answer(&forwarded[0], 180);
    wire.sent();
    wire.release();
    wire.release(); // once
    let cancel = wire.one();
    assert_eq!((word(&cancel.message), cancel.to()), ("CANCEL".into(), forwarded[0].to()));
    assert_eq!(text(&cancel.message, Name::Reason), REASON);
    assert!(!wire.core.is_settled(), "somebody rings");
    wire.answer(&forwarded[0], 487);
    let sent = wire.sent();
    assert_eq!(words(&sent), ["ACK", "503 INVITE"]);
    is_refusal(&sent[1], "INVITE");
    wire.send(&invite.ack(&sent[1].message));
    assert!(!wire.core.is_settled(), "the other one may still say something");
    wire.answer(&forwarded[1], 180);
    assert_eq!(wire.words(), ["CANCEL"], "R1");
    wire.answer(&forwarded[1], 487);
    assert_eq!(wire.words(), ["ACK"]);
    assert!(wire.core.is_settled());
    wire.finish();
}

/// No further group of targets: I11.
#[test]
fn who_was_to_be_tried_later_is_not_tried_any_more() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, ";q=1.0");
    wire.register("ben", BEN_2, ";q=0.5");
    let invite = Request::invite();
    wire.send(&invite);
    let first = wire.one();
    wire.answer(&first, 180);
    wire.sent();
    wire.release();
    assert_eq!(wire.words(), ["CANCEL"]);
    wire.answer(&first, 487);
    assert_eq!(wire.words(), ["ACK", "503 INVITE"]);
    wire.finish();
}

/// R3: its sender has it, and leaves.
#[test]
fn an_answer_that_crosses_the_cancel_is_passed_on() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    let invite = Request::invite();
    wire.send(&invite);
    let forwarded = wire.one();
    wire.answer(&forwarded, 180);
    wire.sent();
    wire.release();
    assert_eq!(wire.words(), ["CANCEL"]);
    wire.answer(&forwarded, 200);
    assert_eq!(wire.words(), ["200 INVITE"]);
    assert!(wire.core.is_settled());
    wire.finish();
}

#[test]
fn whoever_gives_up_behind_the_release_hears_that_it_worked() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    let invite = Request::invite();
    wire.send(&invite);
    let forwarded = wire.one();
    wire.answer(&forwarded, 180);
    wire.sent();
    wire.release();
    assert_eq!(wire.words(), ["CANCEL"]);
    wire.send(&invite.cancel());
    assert_eq!(wire.words(), ["200 CANCEL"]);
    wire.answer(&forwarded, 487);
    assert_eq!(wire.words(), ["ACK", "487 INVITE"]);
    wire.finish();
}

/// What goes by the PoC Server is the server's to release: and what it says is passed on as it is (§16.7 step 6).
#[test]
fn what_the_server_sets_up_is_left_to_the_server() {
    let mut wire = Wire::with_server();
    wire.register("ben", BEN, "");
    let invite = Request::new("INVITE", "anna", ANNA, "ben").with(POC);
    let invite = wire.send_proven(&invite, "anna");
    let to_server = wire.one();
    assert_eq!(to_server.path, inside());
    let routes = format!("Route: {}\r\n{POC}", values(&to_server.message, Name::Route)[1]);
    let onward =
        Request { at: SERVER, transport: "TCP", branch: "onward".into(), ..Request::invite() }.with(&routes);
    wire.receive(inside(), &onward.text());
    let to_server_again = wire.one();
    assert_eq!(to_server_again.path, inside());
    wire.release();
    wire.nothing();
    let lines = "Retry-After: 5\r\nWarning: 399 server \"the server is being stopped\"\r\n";
    for (sent, request) in [(&to_server, &invite), (&to_server_again, &onward)] {
        wire.receive(sent.path, &response(&sent.message, 503, "t", lines));
        let answers = wire.sent();
        assert_eq!(words(&answers), ["ACK", "503 INVITE"]);
        is_refusal(&answers[1], "INVITE");
        wire.receive(answers[1].path, &request.ack(&answers[1].message).text());
    }
    assert!(wire.core.is_settled());
    wire.finish();
}

/// While the core serves, a 503 is about the next hop.
#[test]
fn before_that_a_503_of_the_server_is_500() {
    let mut wire = Wire::with_server();
    let invite = wire.send_proven(&Request::new("INVITE", "anna", ANNA, "ben").with(POC), "anna");
    let to_server = wire.one();
    wire.receive(to_server.path, &response(&to_server.message, 503, "t", "Retry-After: 5\r\n"));
    let answers = wire.sent();
    assert_eq!(words(&answers), ["ACK", "500 INVITE"]);
    wire.send(&invite.ack(&answers[1].message));
    wire.finish();
}

/// RFC 6665 §4.1.3.
#[test]
fn who_watches_a_registration_is_told_to_come_again_later() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    let subscribe = Request::new("SUBSCRIBE", "ben", BEN, "ben").with("Event: reg\r\nExpires: 600\r\n");
    let subscribe = wire.send_proven(&subscribe, "ben");
    let sent = wire.sent();
    assert_eq!(words(&sent), ["200 SUBSCRIBE", "NOTIFY"]);
    wire.answer(&sent[1], 200);
    wire.release();
    let notify = wire.one();
    assert_eq!(text(&notify.message, Name::SubscriptionState), "terminated;reason=probation;retry-after=5");
    let body = String::from_utf8_lossy(notify.message.body()).into_owned();
    assert!(body.contains("state=\"active\""), "it stands as long as the core does: {body}");
    assert!(!wire.core.is_settled());
    wire.answer(&notify, 200);
    assert!(wire.core.is_settled());
    wire.send(
        &subscribe
            .within(&sent[0].message, "SUBSCRIBE", 5)
            .with("Event: reg\r\nContact: <sip:ben@198.51.100.2>\r\n"),
    );
    assert_eq!(wire.words(), ["481 SUBSCRIBE"]);
    wire.input(Input::Command(Command::RemoveUser(Bytes::from("ben"))));
    wire.nothing();
    wire.finish();
}
