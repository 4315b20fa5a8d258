//! What an operator sees of a core.

use sip::LATE;
use sipcore::Census;

use crate::wire::*;

/// R3: each CANCEL is counted by what it met, and each branch by what its wish met.
#[test]
fn a_cancelled_request_is_counted_and_nothing_is_left() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    wire.register("ben", BEN_2, "");
    let census = wire.census();
    assert_eq!((census.users, census.registered, census.bindings), (3, 1, 2));
    let invite = Request::invite();
    wire.send(&invite);
    let forwarded = wire.sent();
    let census = wire.census();
    let transactions = (census.transactions.invite_server, census.transactions.invite_client);
    assert_eq!((census.open, transactions), (1, (1, 2)));
    wire.answer(&forwarded[0], 180);
    wire.send(&invite.cancel());
    wire.answer(&forwarded[0], 487);
    let cancels = wire.core.counters().cancels;
    assert_eq!((cancels.met_undecided, cancels.wished_ringing, cancels.wished_unanswered), (1, 1, 1));
    wire.advance(9 * T1_64);
    let cancels = wire.core.counters().cancels;
    assert_eq!((cancels.terminated, cancels.unheard, cancels.unanswered), (1, 1, 1));
    let census = wire.census();
    let expected = Census { users: 3, registered: 1, bindings: 2, ..Census::default() };
    assert_eq!(census, expected);
    wire.sent();
    wire.finish();
}

#[test]
fn what_waits_behind_its_deadline_is_stuck() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    wire.send(&Request::invite());
    wire.sent();
    assert_eq!(wire.census().stuck_transactions, 0);
    let late = wire.core.census(wire.core.poll_timeout().unwrap() + 2 * LATE);
    assert!(late.stuck_transactions > 0, "{late:?}");
    wire.advance(9 * T1_64);
    assert_eq!(wire.census().stuck_transactions, 0);
    wire.sent();
    wire.finish();
}
