//! Two terminals of one user.

use crate::harness::Play;

const IS_CANCELLED: &str = "> 180\n < CANCEL\n > 200 CANCEL\n > 487 INVITE\n < ACK";

/// T23, R10, C90: the one that lost knows why.
#[test]
fn one_terminal_answers_and_the_other_is_cancelled_with_the_reason() {
    let play = Play::new().anna("> INVITE\n < 180\n < 200\n > ACK\n ~ 100\n > BYE\n < 200 BYE");
    let play = play.ben("< INVITE\n > 180\n ~ 200\n > 200\n < ACK\n < BYE\n > 200");
    let play = play.bens_phone(
        "< INVITE\n > 180\n < CANCEL | Reason: SIP;cause=200\n > 200 CANCEL\n > 487 INVITE\n < ACK",
    );
    let Some(played) = play.run() else { return };
    assert_eq!(played.record("controlling"), ("released", "inviter", Some(200)));
}

/// Case 16, RFC 3841 §9.1: the losers stay if the inviter wants it; what they say later is acknowledged, and reaches nobody.
#[test]
fn the_terminals_that_lose_stay_if_the_inviter_does_not_want_them_cancelled() {
    let play = Play::new();
    let play = play.anna(
        "> INVITE | Request-Disposition: no-cancel\n < 180\n < 200\n > ACK\n ~ 700\n > BYE\n < 200 BYE",
    );
    let play = play.ben("< INVITE\n > 180\n ~ 100\n > 200\n < ACK\n < BYE\n > 200");
    let Some(played) = play.bens_phone("< INVITE\n > 180\n ~ 500\n > 486\n < ACK").run() else { return };
    assert_eq!(played.received("phone", "CANCEL").len(), 0);
}

/// R9, I11: one CANCEL, and every terminal has its own.
#[test]
fn both_terminals_are_cancelled() {
    let play = Play::new().anna("> INVITE\n < 180\n ~ 100\n > CANCEL\n < 200 CANCEL\n < 487\n > ACK");
    let play = play.ben(&format!("< INVITE\n {IS_CANCELLED}"));
    let Some(played) = play.bens_phone(&format!("< INVITE\n {IS_CANCELLED}")).run() else { return };
    let branch = |name| played.received(name, "CANCEL")[0].message.via().unwrap().branch().unwrap().to_vec();
    assert_ne!(branch("ben"), branch("phone"));
}

/// T24, C28, C40, I5: both accept behind the CANCEL, and both are left.
#[test]
fn both_terminals_that_accept_behind_the_cancel_are_acknowledged_and_left() {
    let accepts = "< INVITE\n > 180\n < CANCEL\n > 200 CANCEL\n > 200 INVITE\n < ACK\n < BYE\n > 200";
    let play = Play::new().anna("> INVITE\n < 180\n ~ 100\n > CANCEL\n < 200 CANCEL\n < 487\n > ACK");
    let Some(played) = play.ben(accepts).bens_phone(accepts).run() else { return };
    assert_eq!(played.record("participating"), ("cancelled", "inviter", Some(487)));
}
