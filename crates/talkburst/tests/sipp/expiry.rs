//! The invitation lapses on both sides: R18.

use crate::harness::Play;

/// R18, RFC 3261 §13.2.1: the CANCEL of the inviter crosses the 487 of the invited side.
#[test]
fn an_invitation_of_ours_that_lapses_is_cancelled_and_ends_once() {
    let play = Play::new("ben_lets_it_lapse").with(&["--expires", "1s"]).exits(6);
    let Some(played) = play.run() else { return };
    let ended = played.event("ended");
    assert_eq!(ended["status"], 487);
    let wait = played.first("CANCEL").at - played.first("INVITE").at;
    assert!((0.95..1.5).contains(&wait), "{wait}");
    assert_eq!(played.sent(), ["INVITE", "CANCEL", "ACK"]);
    played.check_cancel();
}

/// R18, RFC 3261 §13.3.1: the 487 of the invited side crosses the CANCEL of the inviter.
#[test]
fn an_invitation_that_lapses_here_is_ended_with_487_and_its_cancel_is_answered() {
    let Some(played) = Play::new("anna_lets_it_lapse").with(&["--manual"]).run() else { return };
    assert_eq!(played.story(), ["invited", "ended"]);
    assert_eq!(played.end(), ("expired", "remote", Some(487)));
    assert_eq!(played.event("ended")["missed"], true);
    let wait = played.seconds("invited", "ended");
    assert!((0.95..1.5).contains(&wait), "{wait}");
    assert_eq!(played.sent(), ["180 INVITE", "487 INVITE", "200 CANCEL"]);
}
