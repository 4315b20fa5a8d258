//! Reliable provisional responses on either leg when the CANCEL comes.

use crate::harness::Play;

/// T25, R12, C60: the 180 to Anna is not acknowledged yet. Her late PRACK is answered all the same (RFC 3262 §3), though the
/// core has acknowledged the 487 on its side at once.
#[test]
fn a_cancel_while_the_prack_is_missing_is_answered_at_once_and_so_is_the_late_prack() {
    let play = Play::new().t1(200).anna(
        "> INVITE | Require: 100rel\n < 180 | RSeq: [0-9]+\n > CANCEL\n < 200 CANCEL\n < 487\n > PRACK\n < 200 PRACK\n > ACK",
    );
    let play = play.ben("< INVITE\n > 180\n < CANCEL\n > 200 CANCEL\n > 487 INVITE\n < ACK");
    let Some(played) = play.run() else { return };
    assert_eq!(played.record("controlling"), ("cancelled", "inviter", Some(487)));
}

/// R13: Ben rings reliably; the server acknowledges it, and cancels.
#[test]
fn a_reliable_180_of_the_invited_user_is_acknowledged_and_then_cancelled() {
    let play = Play::new().t1(200).anna("> INVITE\n < 180\n ~ 100\n > CANCEL\n < 200 CANCEL\n < 487\n > ACK");
    let play = play.ben(
        "< INVITE\n > 180 | Require: 100rel | RSeq: 1\n < PRACK\n > 200\n < CANCEL\n > 200 CANCEL\n > 487 INVITE\n < ACK",
    );
    let Some(played) = play.run() else { return };
    assert_eq!(played.received("ben", "PRACK").len(), 1);
}
