//! The other side falls silent: T7, R7, R8, and timers B, F, H and L.

use crate::harness::{Play, T1, Transport, side_by_side};

/// 64·T1 and what a loaded machine adds to it.
fn assert_guard(seconds: f64) {
    let guard = 64.0 * T1.as_secs_f64();
    assert!((guard - 0.01..guard + 1.0).contains(&seconds), "{seconds}");
}

/// R8, C77: RFC 2543 knows no 487. Over TCP the CANCEL leaves once.
#[test]
fn a_cancel_that_is_answered_and_an_invite_that_never_is_end_after_64_t1() {
    let silent = |transport| {
        let play = Play::new("ben_answers_only_the_cancel").over(transport).with(&["--cancel-after", "50ms"]);
        let Some(played) = play.run() else { return };
        assert_eq!(played.story(), ["calling", "progress", "cancelling", "ended"]);
        assert_eq!(played.end(), ("cancelled", "local", None));
        assert_guard(played.seconds("cancelling", "ended"));
        assert_eq!(played.sent(), ["INVITE", "CANCEL"]);
        if transport == Transport::Tcp {
            assert_eq!(played.all("CANCEL").len(), 1);
        }
    };
    side_by_side(&[&|| silent(Transport::Udp), &|| silent(Transport::Tcp)]);
}

/// T7, I5: and whoever accepts after that is left.
#[test]
fn a_200_that_comes_after_the_guard_is_acknowledged_and_left() {
    let play = Play::new("ben_accepts_after_the_guard").with(&["--cancel-after", "50ms"]);
    let Some(played) = play.run() else { return };
    assert_eq!(played.end(), ("cancelled", "local", None));
    assert_guard(played.seconds("cancelling", "ended"));
    assert_eq!(played.sent(), ["INVITE", "CANCEL", "ACK", "BYE"]);
    played.check_leaving();
}

/// R7, timer F: the CANCEL is sent again and again, until its own transaction and the guard end.
#[test]
fn a_cancel_that_is_lost_for_good_ends_after_64_t1() {
    let play = Play::new("ben_never_hears_the_cancel").deaf_in_pauses().with(&["--cancel-after", "50ms"]);
    let Some(played) = play.run() else { return };
    assert_eq!(played.end(), ("cancelled", "local", None));
    assert_guard(played.seconds("cancelling", "ended"));
    assert_eq!(played.sent(), ["INVITE", "CANCEL"]);
    // 0, 20, 60, 140 and then every 160 ms: eleven copies, or less if this machine is slow.
    let copies = played.all("CANCEL").len();
    assert!((6..=11).contains(&copies), "{copies}");
}

/// Timer B, R1, C24: nobody answers at all, so there is nothing to cancel, wish or no wish.
#[test]
fn an_invite_that_nobody_answers_ends_after_64_t1_without_a_cancel() {
    let unwanted = || {
        let Some(played) = Play::new("ben_is_mute").with(&["--cancel-after", "0ms"]).run() else { return };
        assert_eq!(played.story(), ["calling", "cancelling", "ended"]);
        assert_eq!(played.end(), ("cancelled", "local", None));
        assert_guard(played.seconds("calling", "ended"));
        assert_eq!(played.sent(), ["INVITE"]);
    };
    let wanted = || {
        let Some(played) = Play::new("ben_is_mute").exits(6).run() else { return };
        assert_eq!(played.story(), ["calling", "ended"]);
        assert_eq!(played.end(), ("timed-out", "remote", None));
        assert_guard(played.seconds("calling", "ended"));
        assert_eq!(played.sent(), ["INVITE"]);
    };
    side_by_side(&[&unwanted, &wanted]);
}

/// Timer H: the 487 is sent again until 64·T1, and then nothing remains of it.
#[test]
fn a_487_that_is_never_acknowledged_is_given_up_after_64_t1() {
    let Some(played) = Play::new("anna_never_acknowledges_the_487").stopped().with(&["--manual"]).run()
    else {
        return;
    };
    assert_eq!(played.story(), ["invited", "ended"]);
    assert_eq!(played.end(), ("cancelled", "remote", Some(487)));
    assert!(played.seconds("invited", "ended") < 0.5, "the user is told at once");
    let copies = played.all("487 INVITE");
    assert!((6..=11).contains(&copies.len()), "{}", copies.len());
    assert!(copies.last().unwrap().at - copies[0].at <= 64.0 * T1.as_secs_f64() + 0.1);
}

/// RFC 3261 §13.3.1.4: a 200 that is never acknowledged is sent again, and after 64·T1 the session is left.
#[test]
fn a_200_that_is_never_acknowledged_is_left_after_64_t1() {
    let Some(played) = Play::new("anna_never_acknowledges_the_200").with(&["--auto"]).run() else { return };
    assert_eq!(played.story(), ["invited", "ended"]);
    assert_eq!(played.end(), ("not-acknowledged", "remote", Some(200)));
    assert_guard(played.seconds("invited", "ended"));
    assert_eq!(played.all("BYE").len(), 1);
}
