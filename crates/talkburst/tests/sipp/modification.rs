//! A re-INVITE is cancelled: R20, I10, C61.

use crate::harness::Play;

const REOFFER: [&str; 6] =
    ["--reoffer-after", "100ms", "--reoffer-cancel-after", "100ms", "--leave-after", "500ms"];

/// R20, RFC 3261 §14.1: 487 to the re-INVITE, and the session goes on.
#[test]
fn a_re_invite_of_ours_that_is_cancelled_leaves_the_session_alone() {
    let Some(played) = Play::new("ben_rings_at_the_reoffer").with(&REOFFER).run() else { return };
    assert_eq!(played.story(), ["calling", "established", "progress", "modification-ended", "ended"]);
    let ended = played.event("modification-ended");
    assert_eq!(
        (&ended["end"], &ended["by"], &ended["status"]),
        (&"cancelled".into(), &"local".into(), &487.into())
    );
    assert_eq!(played.end(), ("left", "local", None));
    assert_eq!(played.sent(), ["INVITE", "ACK", "INVITE", "CANCEL", "ACK", "BYE"]);
    played.check_cancel();
    let tag =
        |word: &str, place: usize| played.all(word)[place].message.to().unwrap().tag().map(<[u8]>::to_vec);
    assert_eq!((tag("INVITE", 0), tag("CANCEL", 0)), (None, Some(b"ben".to_vec())));
    assert_eq!(cseq(&played, "BYE"), cseq(&played, "CANCEL") + 1, "a CANCEL takes no number");
}

/// R20, R3: the 200 to the re-INVITE is acknowledged, and no BYE follows it.
#[test]
fn a_200_that_crosses_the_cancel_of_a_re_invite_leaves_the_session_alone() {
    let Some(played) = Play::new("ben_accepts_the_reoffer_as_its_cancel_comes").with(&REOFFER).run() else {
        return;
    };
    assert_eq!(played.end(), ("left", "local", None));
    assert_eq!(played.sent(), ["INVITE", "ACK", "INVITE", "CANCEL", "ACK", "BYE"]);
    let stayed = played.first("BYE").at - played.all("ACK")[1].at;
    assert!(stayed >= 0.15, "{stayed}");
}

/// R20, I10: our client answers a re-INVITE at once, so its CANCEL comes too late, and least of all on the session.
#[test]
fn a_cancel_behind_a_re_invite_leaves_the_session_alone() {
    let Some(played) = Play::new("anna_cancels_her_reoffer").t1(100).with(&["--auto"]).run() else { return };
    assert_eq!(played.end(), ("released", "remote", None));
    assert!(played.seconds("established", "ended") >= 0.25);
    assert_eq!(played.sent(), ["200 INVITE", "200 INVITE", "200 CANCEL", "200 BYE"]);
}

fn cseq(played: &crate::harness::Played, word: &str) -> u32 {
    played.first(word).message.cseq().unwrap().number
}
