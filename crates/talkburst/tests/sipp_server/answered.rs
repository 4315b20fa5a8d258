//! Sessions that are answered, and left by either side.

use crate::harness::{Play, over_udp_and_tcp, side_by_side};

#[test]
fn a_session_that_is_answered_is_left_by_the_inviter() {
    over_udp_and_tcp(|transport| {
        let play = Play::new().over(transport);
        let play = play.anna("> INVITE\n < 180\n < 200\n > ACK\n ~ 50\n > BYE\n < 200 BYE");
        let play = play.ben("< INVITE\n > 180\n ~ 30\n > 200\n < ACK\n < BYE\n > 200");
        let Some(played) = play.run() else { return };
        for function in ["controlling", "participating"] {
            assert_eq!(played.record(function), ("released", "inviter", Some(200)));
        }
    });
}

/// SIPp registers and publishes by itself, before it invites.
#[test]
fn a_session_that_is_answered_is_left_by_the_invited_user() {
    over_udp_and_tcp(|transport| {
        let play = Play::new().over(transport);
        let play = play.anna(
            "> REGISTER\n < 200 REGISTER\n > PUBLISH\n < 200 PUBLISH\n > INVITE\n < 180\n < 200\n > ACK\n < BYE\n > 200",
        );
        let play = play.ben("< INVITE\n > 180\n > 200\n < ACK\n ~ 50\n > BYE\n < 200 BYE");
        let Some(played) = play.run() else { return };
        for function in ["controlling", "participating"] {
            assert_eq!(played.record(function), ("released", "invited", Some(200)));
        }
    });
}

#[test]
fn our_clients_talk_to_sipp_through_the_server() {
    let calls = || {
        let play = Play::new().anna_calls(&["--leave-after", "50ms"]);
        let Some(played) = play.ben("< INVITE\n > 180\n > 200\n < ACK\n < BYE\n > 200").run() else { return };
        assert_eq!((played.of("anna").exit_code, played.end("anna")), (Some(0), ("left", "local", None)));
    };
    let answers = || {
        let play = Play::new().ben_answers(&["--manual", "--answer-after", "20ms"]);
        let Some(played) = play.anna("> INVITE\n < 180\n < 200\n > ACK\n ~ 50\n > BYE\n < 200 BYE").run()
        else {
            return;
        };
        assert_eq!((played.of("ben").exit_code, played.end("ben").0), (Some(0), "released"));
    };
    side_by_side(&[&calls, &answers]);
}

/// I10, C61: the Controlling PoC Function answers other media itself, so the CANCEL comes late; the session stays.
#[test]
fn a_re_invite_that_is_cancelled_leaves_the_session_alone() {
    let play = Play::new().anna(
        "> INVITE\n < 200\n > ACK\n > INVITE\n < 200\n > CANCEL\n < 200 CANCEL\n > ACK\n ~ 200\n > BYE\n < 200 BYE",
    );
    let Some(played) = play.ben("< INVITE\n > 200\n < ACK\n < BYE\n > 200").run() else { return };
    assert_eq!(played.record("participating"), ("released", "inviter", Some(200)));
}

/// The same from the other end.
#[test]
fn a_re_invite_of_the_invited_user_that_is_cancelled_leaves_the_session_alone() {
    let play = Play::new().anna("> INVITE\n < 200\n > ACK\n < BYE\n > 200");
    let play = play.ben(
        "< INVITE\n > 200\n < ACK\n ~ 200\n > INVITE\n < 200\n > CANCEL\n < 200 CANCEL\n > ACK\n ~ 200\n > BYE\n < 200 BYE",
    );
    let Some(played) = play.run() else { return };
    assert_eq!(played.record("controlling"), ("released", "invited", Some(200)));
}
