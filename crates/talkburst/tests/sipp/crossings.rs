//! The answer to the INVITE crosses the CANCEL: T4 to T6, R3, R4, R17.

use crate::harness::{Play, over_udp_and_tcp};

/// T4, R3, C36, PoC CP 6.1.X.1: and no media: the user never hears of a session.
#[test]
fn a_200_that_crosses_the_cancel_is_acknowledged_and_left() {
    over_udp_and_tcp(|transport| {
        let play =
            Play::new("ben_accepts_as_the_cancel_comes").over(transport).with(&["--cancel-after", "50ms"]);
        let Some(played) = play.run() else { return };
        assert_eq!(played.story(), ["calling", "progress", "cancelling", "ended"]);
        assert_eq!(played.end(), ("cancelled", "local", Some(200)));
        assert_eq!(played.sent(), ["INVITE", "CANCEL", "ACK", "BYE"]);
        played.check_cancel();
        played.check_leaving();
    });
}

/// T4, C38, timer E: the BYE is sent until it is answered, although the user was told the end long ago.
#[test]
fn a_bye_behind_a_crossing_200_is_sent_until_it_is_answered() {
    let play =
        Play::new("ben_hears_the_third_bye").counting_copies().t1(100).with(&["--cancel-after", "50ms"]);
    let Some(played) = play.run() else { return };
    assert_eq!(played.end(), ("cancelled", "local", Some(200)));
    assert_eq!(played.all("BYE").len(), 3);
    played.check_leaving();
}

/// T5, R4: no retry, and the 200 to the CANCEL proves nothing.
#[test]
fn a_486_that_crosses_the_cancel_is_the_end() {
    let play = Play::new("ben_refuses_as_the_cancel_comes").with(&["--cancel-after", "50ms"]);
    let Some(played) = play.run() else { return };
    assert_eq!(played.end(), ("cancelled", "local", Some(486)));
    assert_eq!(played.sent(), ["INVITE", "CANCEL", "ACK"]);
}

/// T6, RFC 5407 §3.1.2: the final response is on its way.
#[test]
fn a_481_to_the_cancel_leaves_the_wait_for_the_487() {
    let play = Play::new("ben_denies_the_cancel_then_gives_up").with(&["--cancel-after", "50ms"]);
    let Some(played) = play.run() else { return };
    assert_eq!(played.end(), ("cancelled", "local", Some(487)));
    assert_eq!(played.sent(), ["INVITE", "CANCEL", "ACK"]);
    assert!(played.seconds("cancelling", "ended") >= 0.28);
}

/// T6, C37: the 200 comes behind the 481.
#[test]
fn a_481_to_the_cancel_leaves_the_wait_for_a_200_which_is_left() {
    let play = Play::new("ben_denies_the_cancel_then_accepts").with(&["--cancel-after", "50ms"]);
    let Some(played) = play.run() else { return };
    assert_eq!(played.end(), ("cancelled", "local", Some(200)));
    assert_eq!(played.sent(), ["INVITE", "CANCEL", "ACK", "BYE"]);
    played.check_leaving();
}

/// R17: the BYE is answered and ends nothing but its dialog, so that what another terminal accepts is a session.
#[test]
fn a_bye_of_the_invited_side_while_it_rings_does_not_end_the_invitation() {
    let play = Play::new("ben_says_bye_while_ringing").with(&["--leave-after", "100ms"]);
    let Some(played) = play.run() else { return };
    assert_eq!(played.story(), ["calling", "progress", "established", "ended"]);
    assert_eq!(played.end(), ("left", "local", None));
    assert_eq!(played.sent(), ["INVITE", "200 BYE", "ACK", "BYE"]);
}

/// R17: what the same dialog accepts after its BYE is acknowledged, and over already.
#[test]
fn a_200_behind_the_bye_of_its_dialog_is_acknowledged_and_is_no_session() {
    let Some(played) = Play::new("ben_says_bye_before_his_200").run() else { return };
    assert_eq!(played.story(), ["calling", "progress", "ended"]);
    assert_eq!(played.end(), ("released", "remote", Some(200)));
    assert_eq!(played.sent(), ["INVITE", "200 BYE", "ACK"]);
}
