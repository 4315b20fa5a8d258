//! Challenges around the CANCEL: T11, R23, R24, I3.

use crate::harness::{Play, side_by_side};

/// T11, R23, C08: the branch and the CSeq number of the second INVITE.
#[test]
fn the_cancel_after_a_407_is_that_of_the_second_invite() {
    let play = Play::new("ben_challenges_the_invite").with_password().with(&["--cancel-after", "100ms"]);
    let Some(played) = play.run() else { return };
    assert_eq!(played.end(), ("cancelled", "local", Some(487)));
    assert_eq!(played.sent(), ["INVITE", "ACK", "INVITE", "CANCEL", "ACK"]);
    played.check_cancel();
    let invites = played.all("INVITE");
    let cseq = |place: usize| invites[place].message.cseq().unwrap().number;
    assert_eq!(cseq(1), cseq(0) + 1);
}

/// I3, C08: a challenge that comes after the wish starts nothing new.
#[test]
fn a_407_that_comes_after_the_wish_is_the_end() {
    let play = Play::new("ben_challenges_the_invite_after_the_wish").with_password();
    let Some(played) = play.with(&["--cancel-after", "0ms"]).run() else { return };
    assert_eq!(played.end(), ("cancelled", "local", Some(407)));
    assert_eq!(played.sent(), ["INVITE", "ACK"]);
}

/// R24, RFC 3261 §22.1: a CANCEL cannot be sent again with credentials, so it waits for the answer to the INVITE.
#[test]
fn a_407_to_the_cancel_is_not_answered_with_credentials() {
    let known = || {
        let play = Play::new("ben_challenges_the_cancel").with_password().with(&["--cancel-after", "50ms"]);
        let Some(played) = play.run() else { return };
        assert_eq!(played.end(), ("cancelled", "local", Some(487)));
        assert_eq!(played.sent(), ["INVITE", "CANCEL", "ACK"]);
    };
    let unknown = || {
        let play = Play::new("ben_challenges_the_cancel").with(&["--cancel-after", "50ms"]);
        let Some(played) = play.run() else { return };
        assert_eq!(played.end(), ("cancelled", "local", Some(487)));
        assert_eq!(played.sent(), ["INVITE", "CANCEL", "ACK"]);
    };
    side_by_side(&[&known, &unknown]);
}
