//! The phone as a member of a group.

use crate::phone::Network;

#[test]
fn a_phone_rings_and_takes_part_as_a_member_and_the_session_ends_with_it() {
    let Some(mut network) = Network::start() else { return };
    let mut ben = network.phone();
    let mut anna = network.client("anna", &["call", "patrol"]);
    ben.until("CALL_INCOMING");
    ben.order("accept", "");
    assert_eq!(anna.until("established")["session_type"], "prearranged");
    ben.until("CALL_ESTABLISHED");
    // Anna alone is no session (digest 10.5).
    ben.order("hangup", "");
    assert_eq!(anna.until("ended")["end"], "released");
}

#[test]
fn a_phone_comes_into_a_chat_by_calling_it() {
    let Some(mut network) = Network::start() else { return };
    let mut anna = network.client("anna", &["call", "lobby"]);
    anna.until("established");
    let mut ben = network.phone();
    ben.order("dial", "sip:lobby@poc.internal");
    ben.until("CALL_ESTABLISHED");
    let participants = loop {
        let participants = anna.until("participants")["participants"].as_array().unwrap().clone();
        if participants.len() > 1 {
            break participants;
        }
    };
    assert!(participants.iter().any(|each| each["address"] == "sip:ben@poc.internal"), "{participants:?}");
    ben.order("hangup", "");
    anna.signal("INT");
    assert_eq!(anna.exit().0, Some(0));
}
