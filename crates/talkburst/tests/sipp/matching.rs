//! Which CANCEL belongs to what: T14, R2, R21, R23, R28.

use crate::harness::{Play, Transport};

/// T14, R22, C52: and nobody is told.
#[test]
fn a_cancel_without_an_invite_is_481() {
    let Some(played) = Play::new("anna_cancels_nothing").stopped().run() else { return };
    assert_eq!(played.sent(), ["481 CANCEL"]);
    assert_eq!(played.story(), [""; 0]);
}

/// R2: the early CANCEL is 481 and forgotten, so that its copy, after the INVITE, ends what rings.
#[test]
fn a_cancel_that_overtakes_its_invite_leaves_it_ringing_until_the_next_one() {
    let play = Play::new("anna_cancels_before_she_invites").counting_copies().t1(200).with(&["--manual"]);
    let Some(played) = play.run() else { return };
    assert_eq!(played.story(), ["invited", "ended"]);
    assert_eq!(played.end(), ("cancelled", "remote", Some(487)));
    assert!(played.seconds("invited", "ended") >= 0.25);
    assert_eq!(played.sent(), ["481 CANCEL", "180 INVITE", "200 CANCEL", "487 INVITE"]);
}

/// R21, RFC 3261 §9.2: 200 if there is such a transaction, and no effect.
#[test]
fn a_cancel_for_another_request_than_an_invite_has_no_effect() {
    let Some(played) = Play::new("anna_cancels_her_options").stopped().run() else { return };
    assert_eq!(played.sent(), ["200 OPTIONS", "200 CANCEL", "481 CANCEL"]);
    assert_eq!(played.story(), [""; 0]);
}

/// R23: a CANCEL for a branch that is over does not touch the INVITE that took its place.
#[test]
fn a_cancel_of_the_old_branch_leaves_the_new_invite_ringing() {
    let Some(played) = Play::new("anna_cancels_her_old_branch").with(&["--manual"]).run() else { return };
    assert_eq!(played.story(), ["invited", "ended"]);
    assert!(played.seconds("invited", "ended") >= 0.25);
    let words = ["420 INVITE", "180 INVITE", "200 CANCEL", "200 CANCEL", "487 INVITE"];
    assert_eq!(played.sent(), words);
}

/// R28: timer J is zero over TCP; the duplicate is 481 and has no effect.
#[test]
fn a_duplicate_of_a_cancel_over_tcp_is_481() {
    let play =
        Play::new("anna_repeats_her_cancel_over_tcp").over(Transport::Tcp).stopped().with(&["--manual"]);
    let Some(played) = play.run() else { return };
    assert_eq!(played.story(), ["invited", "ended"]);
    assert_eq!(played.end(), ("cancelled", "remote", Some(487)));
    assert_eq!(played.sent(), ["180 INVITE", "200 CANCEL", "487 INVITE", "481 CANCEL"]);
}
