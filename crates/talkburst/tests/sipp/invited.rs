//! The side that is cancelled: T12, T13, T16, R4.

use crate::harness::{Play, over_udp_and_tcp};

/// T12, I6, PoC CP 6.2.X.1: 200 and then 487, with one tag; the user has missed something.
#[test]
fn a_cancel_while_it_rings_is_answered_200_and_the_invite_487() {
    over_udp_and_tcp(|transport| {
        let play = Play::new("anna_cancels_while_ben_rings").over(transport).with(&["--manual"]);
        let Some(played) = play.run() else { return };
        assert_eq!(played.story(), ["invited", "ended"]);
        assert_eq!(played.event("invited")["answer_mode"], "manual");
        assert_eq!(played.end(), ("cancelled", "remote", Some(487)));
        assert_eq!(played.event("ended")["missed"], true);
        assert_eq!(played.sent(), ["180 INVITE", "200 CANCEL", "487 INVITE"]);
        let tags = played.ours().map(|logged| logged.message.to().unwrap().tag().unwrap());
        let mut tags: Vec<_> = tags.collect();
        tags.dedup();
        assert_eq!(tags.len(), 1);
    });
}

/// T12, C90: what was answered elsewhere is not missed.
#[test]
fn a_cancel_because_another_terminal_answered_is_not_a_missed_invitation() {
    let play = Play::new("anna_cancels_because_another_answered").with(&["--manual"]);
    let Some(played) = play.run() else { return };
    assert_eq!(played.end(), ("cancelled", "remote", Some(487)));
    assert_eq!(played.event("ended")["missed"], false);
    assert!(played.event("ended")["reason"].as_str().unwrap().contains("cause=200"));
}

/// T13, R3: 200 to the CANCEL and nothing else; the session stands until BYE.
#[test]
fn a_cancel_after_the_200_changes_nothing_and_bye_ends_the_session() {
    over_udp_and_tcp(|transport| {
        let play = Play::new("anna_cancels_what_was_accepted").over(transport).t1(100).with(&["--auto"]);
        let Some(played) = play.run() else { return };
        assert_eq!(played.story(), ["invited", "established", "ended"]);
        assert_eq!(played.end(), ("released", "remote", None));
        assert!(played.seconds("established", "ended") >= 0.25);
        assert_eq!(played.sent(), ["200 INVITE", "200 CANCEL", "200 BYE"]);
    });
}

/// T13, C46: the inviter goes by the book of others and sends BYE without ACK.
#[test]
fn a_cancel_and_a_bye_before_any_ack_end_the_session() {
    let Some(played) = Play::new("anna_cancels_and_leaves_what_was_accepted").t1(100).with(&["--auto"]).run()
    else {
        return;
    };
    assert_eq!(played.end(), ("released", "remote", None));
    assert_eq!(played.sent(), ["200 INVITE", "200 CANCEL", "200 BYE"]);
}

/// T16, RFC 3261 §22.1, §9.2: never 401, 407 or 420.
#[test]
fn a_cancel_that_requires_what_nobody_knows_is_answered_200() {
    let Some(played) = Play::new("anna_cancels_and_requires").with(&["--manual"]).run() else { return };
    assert_eq!(played.end(), ("cancelled", "remote", Some(487)));
    assert_eq!(played.sent(), ["180 INVITE", "200 CANCEL", "487 INVITE"]);
}

/// R4: the CANCEL gets 200 and the INVITE keeps its 480.
#[test]
fn a_cancel_after_the_refusal_is_answered_200_and_there_is_no_487() {
    let play =
        Play::new("anna_cancels_what_was_refused").t1(100).with(&["--manual", "--refuse-after", "100ms"]);
    let Some(played) = play.run() else { return };
    assert_eq!(played.end(), ("rejected", "local", Some(480)));
    assert_eq!(played.sent(), ["180 INVITE", "480 INVITE", "200 CANCEL"]);
}
