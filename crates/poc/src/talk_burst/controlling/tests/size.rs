//! What a session costs.

use super::*;

#[test]
fn a_session_of_ten_costs_at_most_192_octets_a_participant() {
    let session = Session::taken((0..10).map(with_queuing));
    let TalkBursts { participants, outputs, queue, .. } = &session.bursts;
    let octets = size_of::<TalkBursts>()
        + participants.capacity() * size_of::<Option<Participant>>()
        + outputs.capacity() * size_of::<Output>();
    assert_eq!(queue.len(), 0);
    assert!(octets / 10 <= 192, "{octets} octets for 10, {} each", size_of::<Option<Participant>>());
}

#[test]
fn a_large_session_has_room_for_an_eighth_more() {
    let session = Session::idle((0..1000).map(joining));
    assert!(session.bursts.participants.capacity() <= 1125);
}
