//! The phone is called by one of our clients, by way of both functions of the PoC Server.

use crate::phone::Network;
use crate::program::end;

#[test]
fn a_phone_that_answers_takes_part_until_the_inviter_leaves() {
    let Some(mut network) = Network::start() else { return };
    let mut ben = network.phone();
    let mut anna = network.client("anna", &["call", "ben", "--leave-after", "100ms"]);
    ben.until("CALL_INCOMING");
    ben.order("accept", "");
    // What it has refused of the offer, talk burst control, Anna has all the same.
    assert!(anna.until("established")["media"]["control"].is_string());
    ben.until("CALL_CLOSED");
    let (code, events, _) = anna.exit();
    assert_eq!((code, end(&events)), (Some(0), ("left", "local", None)));
}

#[test]
fn a_phone_leaves() {
    let Some(mut network) = Network::start() else { return };
    let mut ben = network.phone();
    let mut anna = network.client("anna", &["call", "ben"]);
    ben.until("CALL_INCOMING");
    ben.order("accept", "");
    anna.until("established");
    ben.until("CALL_ESTABLISHED");
    ben.order("hangup", "");
    let (code, events, _) = anna.exit();
    assert_eq!((code, end(&events).0), (Some(0), "released"));
}

#[test]
fn a_phone_that_declines_is_told_to_the_inviter_as_it_says() {
    let Some(mut network) = Network::start() else { return };
    let mut ben = network.phone();
    let anna = network.client("anna", &["call", "ben"]);
    ben.until("CALL_INCOMING");
    ben.order("hangup", "");
    assert_eq!(end(&anna.exit().1), ("rejected", "remote", Some(486)));
}

#[test]
fn a_phone_stops_ringing_when_the_inviter_gives_up() {
    let Some(mut network) = Network::start() else { return };
    let mut ben = network.phone();
    let mut anna = network.client("anna", &["call", "ben", "--cancel-after", "300ms"]);
    ben.until("CALL_INCOMING");
    anna.until("progress");
    ben.until("CALL_CLOSED");
    assert_eq!(end(&anna.exit().1), ("cancelled", "local", Some(487)));
    assert_eq!(network.server.until("closed")["end"], "cancelled");
}

/// Digest 10.2 row 2: a user who has published nothing is not registered for PoC, whatever rings for plain SIP.
#[test]
fn a_phone_is_not_rung_for_a_user_who_is_not_said_to_have_one() {
    let Some(mut network) = Network::with(&[], &["--md5-only"]) else { return };
    let _ben = network.phone();
    let anna = network.client("anna", &["call", "ben"]);
    assert_eq!(end(&anna.exit().1), ("rejected", "remote", Some(480)));
}
