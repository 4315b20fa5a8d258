//! Somebody falls silent: the guard, timer B, and the set-up limit.

use sip::message::Name;

use crate::harness::{Play, T1};

const CANCELS: &str = "> INVITE\n < 180\n > CANCEL\n < 200 CANCEL\n < 487\n > ACK";

/// How long after the INVITE the record of a function closed its one invitation.
fn closed_after(played: &crate::harness::Played, function: &str) -> f64 {
    let record = played.records.iter().find(|record| record["function"] == function).unwrap();
    record["invitations"][0]["ended_after"].as_f64().unwrap()
}

/// T7, R8, C77, I9: the 487 never comes; the server gives up after 64·T1, and what comes then is still left.
#[test]
fn a_200_that_comes_after_the_guard_is_acknowledged_and_left() {
    let play = Play::new().anna(CANCELS);
    let play = play
        .ben("< INVITE\n > 180\n < CANCEL\n > 200 CANCEL\n ~ 1800\n > 200 INVITE\n < ACK\n < BYE\n > 200");
    let Some(played) = play.run() else { return };
    assert!(played.seconds("anna", "INVITE", "487 INVITE") < 0.5, "Q1: at once");
    let guard = 64.0 * T1.as_secs_f64();
    assert!((guard - 0.01..guard + 1.0).contains(&closed_after(&played, "participating")));
}

/// R7, C76: not even the CANCEL is answered, for Ben has gone.
#[test]
fn an_invited_user_who_is_gone_after_180_is_given_up_after_the_guard() {
    let Some(played) = Play::new().anna(CANCELS).ben("< INVITE\n > 180\n < CANCEL").run() else { return };
    assert_eq!(played.record("participating"), ("cancelled", "inviter", Some(487)));
    let guard = 64.0 * T1.as_secs_f64();
    assert!((guard - 0.01..guard + 1.0).contains(&closed_after(&played, "participating")));
}

/// Timer B: nobody is there.
#[test]
fn an_invited_user_who_never_answers_is_480_after_64_t1() {
    let Some(played) = Play::new().ben_is_gone().anna_calls(&[]).run() else { return };
    assert_eq!(
        (played.of("anna").exit_code, played.end("anna")),
        (Some(5), ("rejected", "remote", Some(480)))
    );
    let guard = 64.0 * T1.as_secs_f64();
    assert!((guard - 0.01..guard + 1.0).contains(&closed_after(&played, "participating")));
}

/// C24, C25: and giving up before that sends no CANCEL to somebody who has said nothing.
#[test]
fn giving_up_on_somebody_who_never_answers_ends_at_once_for_the_inviter() {
    let play = Play::new().anna("> INVITE\n < 100\n > CANCEL\n < 200 CANCEL\n < 487\n > ACK");
    let Some(played) = play.ben("< INVITE\n ~ 1600").deaf_in_pauses().run() else { return };
    assert_eq!(played.received("ben", "CANCEL").len(), 0);
    assert!(played.seconds("anna", "INVITE", "487 INVITE") < 0.5);
}

/// T20, R19, R29: whoever gives up on this side of Ben, he hears why; Anna hears 480.
#[test]
fn no_answer_within_the_set_up_limit_is_a_cancel_with_408_and_480_to_the_inviter() {
    let play = Play::new().served_with(&["--setup-timer", "300ms"]).anna("> INVITE\n < 180\n < 480\n > ACK");
    let play = play.ben("< INVITE\n > 180\n < CANCEL\n > 200 CANCEL\n > 487 INVITE\n < ACK");
    let Some(played) = play.run() else { return };
    assert!(played.line("ben", "CANCEL", Name::Reason).starts_with("SIP;cause=408"));
    assert!(played.seconds("anna", "INVITE", "480 INVITE") >= 0.29);
}

/// R18: the invitation of ours lapses, which is a CANCEL of ours.
#[test]
fn an_invitation_that_lapses_is_cancelled_through_the_server() {
    let play = Play::new().anna_calls(&["--expires", "300ms"]);
    let play = play.ben("< INVITE\n > 180\n < CANCEL\n > 200 CANCEL\n > 487 INVITE\n < ACK");
    let Some(played) = play.run() else { return };
    assert_eq!((played.of("anna").exit_code, played.end("anna").2), (Some(6), Some(487)));
}
