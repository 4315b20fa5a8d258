//! Automatic answer: told before somebody has accepted, and as a privilege of the inviter.

use sip::message::Name;

use crate::harness::Play;

const TOLD_EARLY: &str = "> INVITE\n < 200 | P-Answer-State: Unconfirmed\n > ACK\n ~ 100\n > BYE\n < 200 BYE";

fn early() -> Play {
    Play::new().served_with(&["--early-answer"]).automatic().anna(TOLD_EARLY)
}

/// T19, R26, case 1.
#[test]
fn leaving_after_an_unconfirmed_200_cancels_who_has_not_answered() {
    let play = early().ben("< INVITE\n > 180\n < CANCEL\n > 200 CANCEL\n > 487 INVITE\n < ACK");
    let Some(played) = play.run() else { return };
    assert_eq!(played.line("ben", "INVITE", Name::AnswerMode), "Auto");
    assert_eq!(played.record("controlling"), ("released", "inviter", Some(200)));
}

/// R26: and who accepts behind that is left.
#[test]
fn a_200_behind_the_leaving_of_an_unconfirmed_session_is_acknowledged_and_left() {
    let play =
        early().ben("< INVITE\n > 180\n < CANCEL\n > 200 CANCEL\n > 200 INVITE\n < ACK\n < BYE\n > 200");
    let Some(played) = play.run() else { return };
    assert_eq!(played.record("participating").1, "inviter");
}

/// Digest 7.5: if Ben refuses, Anna is left with the reason.
#[test]
fn a_refusal_after_an_unconfirmed_200_is_a_bye_with_the_reason() {
    let play = Play::new().served_with(&["--early-answer"]).automatic();
    let play = play.anna("> INVITE\n < 200\n > ACK\n < BYE | Reason: SIP;cause=48\n > 200");
    let Some(played) = play.ben("< INVITE\n > 180\n ~ 100\n > 486\n < ACK").run() else { return };
    assert_eq!(played.record("participating").1, "invited");
}

/// Case 3: manual answer override, which is Ben's to allow, and is cancelled like anything else.
#[test]
fn an_override_reaches_the_client_if_its_user_allows_it_and_is_cancelled() {
    for (rules, mode) in [(&["--allow-override", "anna"][..], "Auto"), (&[], "Manual")] {
        let play = Play::new().rules(rules);
        let play =
            play.anna("> INVITE | Priv-Answer-Mode: Auto\n < 180\n > CANCEL\n < 200 CANCEL\n < 487\n > ACK");
        let play = play.ben("< INVITE\n > 180\n < CANCEL\n > 200 CANCEL\n > 487 INVITE\n < ACK");
        let Some(played) = play.run() else { return };
        let privileged = if mode == "Auto" { "Auto" } else { "" };
        assert_eq!(played.line("ben", "INVITE", Name::AnswerMode), mode);
        assert_eq!(played.line("ben", "INVITE", Name::PrivAnswerMode), privileged);
    }
}
