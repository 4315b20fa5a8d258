//! Reliable provisional responses and requests in the early dialog: R12, R14.

use crate::harness::{Play, side_by_side};

/// R12, C60, RFC 3262 §3: 487 although the 180 is not acknowledged; the 180 is sent no more; a late PRACK is answered.
#[test]
fn a_cancel_while_the_prack_is_missing_is_answered_and_the_late_prack_too() {
    let play = Play::new("anna_cancels_before_her_prack").t1(200).with(&["--manual", "--reliable"]);
    let Some(played) = play.run() else { return };
    assert_eq!(played.story(), ["invited", "ended"]);
    assert_eq!(played.end(), ("cancelled", "remote", Some(487)));
    assert_eq!(played.sent(), ["180 INVITE", "200 CANCEL", "487 INVITE", "200 PRACK", "481 PRACK"]);
}

/// R14, RFC 3261 §12.3: each transaction ends on its own, and the early dialog with the 487.
#[test]
fn what_comes_in_an_early_dialog_after_its_487_is_481() {
    let reliable = || {
        let play = Play::new("anna_cancels_after_her_prack").t1(200).with(&["--manual", "--reliable"]);
        let Some(played) = play.run() else { return };
        assert_eq!(played.end(), ("cancelled", "remote", Some(487)));
        assert_eq!(played.sent(), ["180 INVITE", "200 PRACK", "200 CANCEL", "487 INVITE", "481 BYE"]);
    };
    let plain = || {
        let play = Play::new("anna_asks_in_the_early_dialog_of_what_she_cancelled").with(&["--manual"]);
        let Some(played) = play.run() else { return };
        assert_eq!(played.end(), ("cancelled", "remote", Some(487)));
        assert_eq!(played.sent(), ["180 INVITE", "200 CANCEL", "487 INVITE", "481 BYE"]);
    };
    side_by_side(&[&reliable, &plain]);
}
