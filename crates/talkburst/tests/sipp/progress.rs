//! The wish at each moment before the answer: T1 to T3, R1.

use crate::harness::{Play, over_udp_and_tcp};

/// T1: PoC CP 6.1.X.1.
#[test]
fn a_cancel_after_180_ends_with_200_487_and_ack() {
    over_udp_and_tcp(|transport| {
        let play = Play::new("ben_rings_until_cancelled").over(transport).with(&["--cancel-after", "100ms"]);
        let Some(played) = play.run() else { return };
        assert_eq!(played.story(), ["calling", "progress", "cancelling", "ended"]);
        assert_eq!(played.event("progress")["status"], 180);
        assert_eq!(played.end(), ("cancelled", "local", Some(487)));
        assert_eq!(played.event("ended")["missed"], false);
        assert_eq!(played.sent(), ["INVITE", "CANCEL", "ACK"]);
        played.check_cancel();
        // RFC 3261 §17.1.1.3: the ACK for a 487 is one of the transaction.
        let (invite, ack) = (played.first("INVITE"), played.first("ACK"));
        assert_eq!(ack.message.value(sip::message::Name::Via), invite.message.value(sip::message::Name::Via));
    });
}

/// T2, R1, C22, C24, C26: without a response there is no CANCEL; 100 is one.
#[test]
fn a_cancel_before_any_response_waits_for_the_100() {
    over_udp_and_tcp(|transport| {
        let play = Play::new("ben_is_silent_then_tries").over(transport).with(&["--cancel-after", "0ms"]);
        let Some(played) = play.run() else { return };
        assert_eq!(played.story(), ["calling", "cancelling", "ended"]);
        assert_eq!(played.end(), ("cancelled", "local", Some(487)));
        assert_eq!(played.sent(), ["INVITE", "CANCEL", "ACK"]);
        played.check_cancel();
        let wait = played.first("CANCEL").at - played.first("INVITE").at;
        assert!((0.35..1.0).contains(&wait), "{wait}");
        let place = |word: &str| played.messages.iter().position(|logged| logged.word() == word);
        assert!(place("100 INVITE") < place("CANCEL"));
    });
}

/// T3, R1, PoC CP 6.1.X.1: the session that came of it is left.
#[test]
fn a_cancel_before_any_response_meets_a_200_which_is_acknowledged_and_left() {
    let play = Play::new("ben_is_silent_then_accepts").with(&["--cancel-after", "0ms"]);
    let Some(played) = play.run() else { return };
    assert_eq!(played.story(), ["calling", "cancelling", "ended"]);
    assert_eq!(played.end(), ("cancelled", "local", Some(200)));
    assert_eq!(played.sent(), ["INVITE", "ACK", "BYE"]);
    played.check_leaving();
}

/// R1: nothing is left to cancel.
#[test]
fn a_cancel_before_any_response_meets_a_486_which_is_acknowledged() {
    let play = Play::new("ben_is_silent_then_refuses").with(&["--cancel-after", "0ms"]);
    let Some(played) = play.run() else { return };
    assert_eq!(played.story(), ["calling", "cancelling", "ended"]);
    assert_eq!(played.end(), ("cancelled", "local", Some(486)));
    assert_eq!(played.sent(), ["INVITE", "ACK"]);
}
