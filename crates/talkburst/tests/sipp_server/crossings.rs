//! What the invited user says crosses the CANCEL inside the server, or comes without one.

use crate::harness::{Play, over_udp_and_tcp, side_by_side};

const CANCELS: &str = "> INVITE\n < 180\n > CANCEL\n < 200 CANCEL\n < 487\n > ACK";

/// R3, T4, C36, C37, C42: Ben is acknowledged and left, Anna has her 487.
#[test]
fn a_200_that_crosses_the_cancel_is_acknowledged_and_left_by_the_server() {
    over_udp_and_tcp(|transport| {
        let play = Play::new().over(transport).anna(CANCELS);
        let play =
            play.ben("< INVITE\n > 180\n < CANCEL\n > 200 CANCEL\n > 200 INVITE\n < ACK\n < BYE\n > 200");
        let Some(played) = play.run() else { return };
        let cseq = |word: &str| played.received("ben", word)[0].message.cseq().unwrap().number;
        assert_eq!(cseq("BYE"), cseq("INVITE") + 1);
        for function in ["controlling", "participating"] {
            assert_eq!(played.record(function), ("cancelled", "inviter", Some(487)));
        }
    });
}

/// T6, C37: the CANCEL is denied, and then the 200 comes.
#[test]
fn a_481_to_the_cancel_leaves_the_wait_for_a_200_which_is_left() {
    let play = Play::new().anna(CANCELS);
    let play =
        play.ben("< INVITE\n > 180\n < CANCEL\n > 481 CANCEL\n ~ 50\n > 200 INVITE\n < ACK\n < BYE\n > 200");
    let Some(played) = play.run() else { return };
    assert_eq!(played.record("controlling"), ("cancelled", "inviter", Some(487)));
}

/// R4, T5, C50.
#[test]
fn a_486_that_crosses_the_cancel_reaches_nobody() {
    let play = Play::new().anna(CANCELS);
    let play = play.ben("< INVITE\n > 180\n < CANCEL\n > 200 CANCEL\n > 486 INVITE\n < ACK");
    let Some(played) = play.run() else { return };
    assert_eq!(played.record("participating"), ("cancelled", "inviter", Some(487)));
}

#[test]
fn what_the_invited_user_refuses_with_is_what_the_inviter_hears_and_a_487_of_his_own_is_480() {
    let refused = |status: u64, heard: u64| {
        let play = Play::new().anna(&format!("> INVITE\n < 180\n < {heard}\n > ACK"));
        let Some(played) = play.ben(&format!("< INVITE\n > 180\n > {status}\n < ACK")).run() else { return };
        assert_eq!(played.record("controlling"), ("rejected", "invited", Some(heard)));
    };
    side_by_side(&[
        &|| refused(486, 486),
        &|| refused(480, 480),
        &|| refused(603, 603),
        &|| refused(487, 480),
        &|| refused(503, 500),
    ]);
}

/// Case 10, R4: of a check and a CANCEL the check was first, so its status stands and there is no 487.
#[test]
fn a_cancel_behind_the_refusal_of_who_bars_sessions_has_no_effect() {
    let play = Play::new().barred().ben_is_gone();
    let play = play.anna("> INVITE\n < 480\n > CANCEL\n < 200 CANCEL\n > ACK\n ~ 100");
    let Some(played) = play.run() else { return };
    assert_eq!(played.record("participating"), ("rejected", "server", Some(480)));
    assert_eq!(played.received("anna", "487 INVITE").len(), 0);
}

/// T13, C46: a CANCEL behind the 200 changes nothing; the BYE ends it.
#[test]
fn a_cancel_behind_the_200_is_answered_and_the_bye_ends_the_session() {
    let play = Play::new()
        .t1(200)
        .anna("> INVITE\n < 200\n > CANCEL\n < 200 CANCEL\n > ACK\n ~ 100\n > BYE\n < 200 BYE");
    let Some(played) = play.ben("< INVITE\n > 200\n < ACK\n < BYE\n > 200").run() else { return };
    assert_eq!(played.record("controlling"), ("released", "inviter", Some(200)));
    assert_eq!(played.received("ben", "CANCEL").len(), 0);
}
