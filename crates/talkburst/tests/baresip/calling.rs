//! The phone calls.

use crate::phone::Network;

/// What does not ask for PoC goes past the PoC Server, and a PoC Client takes no session without talk burst control: it does not
/// ring (digest 8.3).
#[test]
fn a_phone_that_calls_a_poc_client_is_refused_and_nothing_rings() {
    let Some(mut network) = Network::start() else { return };
    let mut ben = network.phone();
    let mut anna = network.client("anna", &["answer", "--manual"]);
    anna.until("published");
    ben.order("dial", "sip:anna@poc.internal");
    let closed = ben.until("CALL_CLOSED");
    assert!(closed["param"].as_str().unwrap().contains("488"), "{closed}");
    anna.signal("INT");
    let (_, events, _) = anna.exit();
    assert!(events.iter().all(|event| event["event"] != "invited"), "{events:#?}");
}

/// T1: the phone gives up, and who rings is told.
#[test]
fn a_phone_that_gives_up_a_group_leaves_nobody_ringing() {
    let Some(mut network) = Network::start() else { return };
    let mut ben = network.phone();
    let mut anna = network.client("anna", &["answer", "--manual", "--once"]);
    anna.until("published");
    ben.order("dial", "sip:patrol@poc.internal");
    anna.until("invited");
    ben.until("CALL_RINGING");
    ben.order("hangup", "");
    let ended = anna.until("ended");
    assert_eq!((ended["end"].as_str(), ended["missed"].as_bool()), (Some("cancelled"), Some(true)));
}
