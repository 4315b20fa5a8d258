//! What an endpoint has: at rest nothing, and never anything that is stuck unless its driver sleeps.

use sip::Census;

use crate::wire::*;

#[test]
fn a_call_is_counted_while_it_stands_and_not_behind_it() {
    let mut wire = Wire::new();
    let session = wire.invite();
    let invite = wire.one();
    let census = wire.endpoint.census(wire.at());
    assert_eq!((census.transactions.invite_client, census.inviting, census.dialogs), (1, 1, 0));
    wire.answer(&invite, 180, "p1");
    wire.cancel(session).unwrap();
    wire.answer(&invite, 487, "p1");
    wire.advance(ms(1));
    let census = wire.endpoint.census(wire.at());
    assert_eq!((census.transactions.client, census.over, census.stuck_sessions), (1, 1, 0));
    wire.advance(9 * T1_64);
    assert_eq!(wire.endpoint.census(wire.at()), Census::default());
    wire.finish();
}

/// Timer D of the INVITE, or F of the CANCEL, is due and nobody has said so.
#[test]
fn what_waits_behind_its_deadline_is_stuck() {
    let mut wire = Wire::new();
    wire.invite();
    let invite = wire.one();
    wire.answer(&invite, 486, "p1");
    let due = wire.endpoint.poll_timeout().unwrap();
    assert_eq!(wire.endpoint.census(due).stuck_transactions, 0);
    let census = wire.endpoint.census(due + 40 * sip::LATE);
    assert_eq!((census.stuck_transactions, census.over), (1, 1));
    wire.advance(9 * T1_64);
    assert_eq!(wire.endpoint.census(wire.at()), Census::default());
    wire.finish();
}
