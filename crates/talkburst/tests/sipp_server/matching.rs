//! Which CANCEL counts, and that nothing in it is a reason to ask who sends it.

use crate::harness::Play;

const IS_CANCELLED: &str = "< INVITE\n > 180\n < CANCEL\n > 200 CANCEL\n > 487 INVITE\n < ACK";

/// T16, R24: RFC 3261 §22.1, §9.1.
#[test]
fn a_cancel_that_requires_what_nobody_knows_is_neither_challenged_nor_refused() {
    let play = Play::new().anna(
        "> INVITE\n < 180\n > CANCEL | Require: nonsense | Proxy-Require: nonsense\n < 200 CANCEL\n < 487\n > ACK",
    );
    let Some(played) = play.ben(IS_CANCELLED).run() else { return };
    assert_eq!(played.record("participating"), ("cancelled", "inviter", Some(487)));
}

/// T14, I7, C52: Ben goes on ringing, until the right one.
#[test]
fn a_cancel_on_another_branch_is_481_and_the_right_one_still_cancels() {
    let play = Play::new().anna(
        "> INVITE\n < 180\n > CANCEL branch=other\n < 481 CANCEL\n ~ 200\n > CANCEL\n < 200 CANCEL\n < 487\n > ACK",
    );
    let Some(played) = play.ben(IS_CANCELLED).run() else { return };
    assert!(played.seconds("ben", "180 INVITE", "CANCEL") >= 0.19);
}
