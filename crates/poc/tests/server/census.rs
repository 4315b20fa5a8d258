//! What an operator sees of a server.

use poc::server::{Attendance, Census, Function, SessionState, SessionType};
use sip::{Duration, Instant};

use crate::stage::{Call, Stage, T1_64};

const ANNA: &str = "sip:anna@home1.example";
const BEN: &str = "sip:ben@home1.example";
const CARA: &str = "sip:cara@home1.example";

#[test]
fn a_session_is_seen_with_all_who_are_in_it() {
    let mut stage = Stage::new();
    let call = Call::listing(ANNA, &[BEN, CARA]);
    stage.invite(&call);
    let (ben, cara) = (stage.leg("ben"), stage.leg("cara"));
    stage.answer(&ben, 180);
    let census = stage.census();
    let inviting = [((SessionType::AdHoc, SessionState::Inviting), 1)];
    assert_eq!((census.controlling, census.pending), (inviting.into(), 2));
    stage.answer(&cara, 200);
    let seen = stage.server.standing(9, 9, true);
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].function, seen[0].state), (Function::Controlling, SessionState::Established));
    let seen: Vec<_> = seen[0]
        .participants
        .iter()
        .map(|each| (&each.address[..], each.is_inviter, each.attendance))
        .collect();
    let expected = [
        (ANNA.as_bytes(), true, Attendance::Connected),
        (BEN.as_bytes(), false, Attendance::Alerting),
        (CARA.as_bytes(), false, Attendance::Connected),
    ];
    assert_eq!(seen, expected);
    let seen = stage.server.standing(9, 1, true);
    assert_eq!((seen[0].participants.len(), seen[0].total), (1, 3));
    assert_eq!((stage.server.standing(0, 9, true), stage.server.standing_count(true)), (vec![], 1));
    let ok = stage.response(&call, "200 INVITE");
    stage.ack(&call, &ok);
    stage.bye(&call, &ok);
    stage.pass(T1_64 * 9);
    let census = stage.census();
    assert_eq!(census, Census { users: census.users, ..Census::default() });
}

/// I9: it is over within 256*T1 + 2*T4 of the wish, even if nobody answers. Here nobody says what time it is.
#[test]
fn a_session_that_outlives_its_release_is_stuck() {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, BEN);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 180);
    stage.cancel(&call);
    let released = stage.census();
    assert_eq!(released.controlling, [((SessionType::OneToOne, SessionState::Releasing), 1)].into());
    let limit = Duration::from_millis(256 * 500 + 2 * 5000);
    let now = stage.now;
    let stuck = |after| stage.server.census(Instant::at(now + after)).stuck;
    assert_eq!((stuck(Duration::ZERO), stuck(limit), stuck(limit + Duration::from_millis(1))), (0, 0, 1));
    stage.pass(T1_64 * 9);
    assert_eq!((stage.census().stuck, stage.census().below), (0, sip::Census::default()));
}
