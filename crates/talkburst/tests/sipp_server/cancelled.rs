//! The inviter gives up: while the other side rings, before it has said anything, and more than once.

use sip::message::Name;

use crate::harness::{Play, over_udp_and_tcp, side_by_side};

const CANCELS: &str = "> INVITE\n < 180\n > CANCEL\n < 200 CANCEL\n < 487\n > ACK";
const IS_CANCELLED: &str = "< INVITE\n > 180\n < CANCEL\n > 200 CANCEL\n > 487 INVITE\n < ACK";

/// T1, T12, C04, C49, C88: the Reason comes through both functions and the core.
#[test]
fn a_cancel_after_180_reaches_the_invited_user_with_its_reason() {
    over_udp_and_tcp(|transport| {
        let play = Play::new().over(transport);
        let play =
            play.anna(&CANCELS.replace("> CANCEL", "> CANCEL | Reason: SIP;cause=487;text=\"I gave up\""));
        let Some(played) = play.ben(IS_CANCELLED).run() else { return };
        assert_eq!(played.line("ben", "CANCEL", Name::Reason), "SIP;cause=487;text=\"I gave up\"");
        for function in ["controlling", "participating"] {
            assert_eq!(played.record(function), ("cancelled", "inviter", Some(487)));
        }
    });
}

#[test]
fn our_clients_give_up_and_are_given_up_through_the_server() {
    let calls = || {
        let Some(played) = Play::new().anna_calls(&["--cancel-after", "200ms"]).ben(IS_CANCELLED).run()
        else {
            return;
        };
        assert_eq!(
            (played.of("anna").exit_code, played.end("anna")),
            (Some(0), ("cancelled", "local", Some(487)))
        );
    };
    let answers = || {
        let Some(played) = Play::new().anna(CANCELS).ben_answers(&["--manual"]).run() else { return };
        assert_eq!(
            (played.of("ben").exit_code, played.end("ben")),
            (Some(0), ("cancelled", "remote", Some(487)))
        );
    };
    side_by_side(&[&calls, &answers]);
}

/// R1, T2, C22, C25: the 100 of the core lets the CANCEL go; the one to Ben waits for what Ben says.
#[test]
fn a_cancel_before_the_invited_user_has_said_anything_waits_for_the_180_of_that_leg() {
    let play = Play::new().anna("> INVITE\n < 100\n > CANCEL\n < 200 CANCEL\n < 487\n > ACK");
    let play = play.ben("< INVITE\n ~ 700\n > 180\n < CANCEL\n > 200 CANCEL\n > 487 INVITE\n < ACK");
    let Some(played) = play.run() else { return };
    assert!(
        played.moment("anna", "487 INVITE") < played.moment("ben", "180 INVITE"),
        "nothing is waited for"
    );
    assert!(played.seconds("ben", "INVITE", "CANCEL") > 0.19);
}

/// R1, T3, C25, C45: and if that is a 200, it is acknowledged and left.
#[test]
fn a_cancel_before_the_invited_user_has_said_anything_meets_a_200_which_is_left() {
    over_udp_and_tcp(|transport| {
        let play = Play::new().over(transport);
        let play = play.anna("> INVITE\n < 100\n > CANCEL\n < 200 CANCEL\n < 487\n > ACK");
        let Some(played) = play.ben("< INVITE\n ~ 700\n > 200\n < ACK\n < BYE\n > 200").run() else { return };
        assert_eq!(played.received("ben", "CANCEL").len(), 0);
        assert_eq!(played.record("participating"), ("cancelled", "inviter", Some(487)));
    });
}

/// T22, C80: the slot is free at once.
#[test]
fn a_new_invitation_right_behind_a_cancelled_one_is_not_refused_as_busy() {
    let play = Play::new().records(4).calls(2).anna(&format!("{CANCELS}\n{CANCELS}"));
    let Some(played) = play.ben(IS_CANCELLED).run() else { return };
    assert_eq!(played.received("ben", "INVITE").len(), 2);
}

/// Case 14: a MESSAGE that is for PoC goes to the PoC Server, and has an answer of its own, whatever becomes of the session.
#[test]
fn a_message_that_races_the_cancel_has_its_own_answer_and_holds_nothing_up() {
    let play = Play::new().anna(
        "> INVITE\n < 180\n > MESSAGE nobody\n < 404 MESSAGE\n > CANCEL\n < 200 CANCEL\n < 487\n > ACK",
    );
    let Some(played) = play.ben(IS_CANCELLED).run() else { return };
    assert_eq!(played.record("controlling"), ("cancelled", "inviter", Some(487)));
}
