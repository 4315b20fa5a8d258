//! Case 15, C84: each INVITE has exactly one record, and it says what was on the wire (I13).

use poc::server::{Function, SessionType, Side};
use sip::usage::End;

use crate::stage::{Call, Stage, ms};

const ANNA: &str = "sip:anna@home1.example";
const BEN: &str = "sip:ben@home1.example";

#[test]
fn a_cancelled_invitation_has_one_record_without_an_answer() {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, BEN);
    stage.pass(ms(10));
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 180);
    stage.pass(ms(500));
    stage.cancel_saying(&call, "Reason: RELEASE_CAUSE;cause=1\r\n");
    assert!(stage.records.is_empty(), "open while somebody rings");
    stage.pass(ms(20));
    stage.answer(&ben, 487);
    stage.ends_with(1);
    let record = &stage.records[0];
    assert_eq!((record.function, record.session_type), (Function::Controlling, Some(SessionType::OneToOne)));
    assert_eq!((&record.inviter[..], record.answered), (ANNA.as_bytes(), None));
    assert_eq!((record.end, record.by, record.status), (End::Cancelled, Side::Inviter, Some(487)));
    assert_eq!(record.reason.as_deref(), Some(&b"RELEASE_CAUSE;cause=1"[..]));
    assert_eq!(record.ended - record.begun, ms(500));
    let invitation = &record.invitations[0];
    assert_eq!(
        (&invitation.invited[..], invitation.end, invitation.status),
        (BEN.as_bytes(), End::Cancelled, Some(487))
    );
    assert_eq!(invitation.ended - record.begun, ms(520));
}

#[test]
fn a_session_has_one_record_with_its_moments() {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, BEN);
    stage.pass(ms(10));
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.pass(ms(300));
    stage.answer(&ben, 200);
    let ok = stage.established(&call);
    stage.pass(ms(5000));
    stage.bye(&call, &ok);
    stage.answer_all(&ben, "BYE", 200);
    stage.ends_with(1);
    let record = &stage.records[0];
    assert_eq!((record.end, record.by, record.status), (End::Released, Side::Inviter, Some(200)));
    assert_eq!(record.answered.map(|answered| answered - record.begun), Some(ms(300)));
    assert_eq!(record.ended - record.begun, ms(5300));
    assert_eq!(record.invitations[0].answered, record.answered);
}

#[test]
fn what_is_refused_by_a_check_has_a_record_too() {
    let mut stage = Stage::new();
    stage.invite(&Call::originating("sip:nobody@home1.example", BEN));
    stage.invite(&Call::terminating(ANNA, "sip:nobody@home1.example"));
    stage.ends_with(2);
    let told = stage.records.iter().map(|record| (record.function, record.end, record.by, record.status));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            (Function::Controlling, End::Rejected, Side::Server, Some(403)),
            (Function::Participating, End::Rejected, Side::Server, Some(404)),
        ]
    );
    assert_eq!(stage.records[1].invitations[0].invited, "sip:nobody@home1.example");
    assert_eq!(stage.counters().refused, 2);
}

#[test]
fn records_are_counted_one_by_one() {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, BEN);
    for call in [call.clone(), call.again(), call.again().again()] {
        stage.invite(&call);
        stage.cancel(&call);
        let ben = stage.leg("ben");
        stage.answer(&ben, 180);
        stage.answer(&ben, 487);
    }
    stage.ends_with(3);
    assert_eq!(stage.records.iter().map(|record| record.serial).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_2xx_that_crosses_the_cancel_is_recorded_as_cancelled() {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, BEN);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 180);
    stage.cancel(&call);
    stage.answer(&ben, 200);
    stage.ends_with(1);
    let record = &stage.records[0];
    assert_eq!((record.end, record.status, record.answered), (End::Cancelled, Some(487), None));
    assert_eq!((record.invitations[0].end, record.invitations[0].status), (End::Cancelled, Some(200)));
    assert_eq!(record.invitations[0].answered, None, "the member's answer came to nothing");
}
