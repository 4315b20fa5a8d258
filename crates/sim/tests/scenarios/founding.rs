//! The requirements of the founding document, C1 to C6 in digest 14.1.

use poc::AnswerMode;
use sip::Misuse;
use sip::usage::End;

use crate::stage::{ANNA, BEN, Stage, ms};

#[test]
fn c1_cancelling_is_for_a_session_that_has_no_final_response() {
    let mut stage = Stage::answering(AnswerMode::Automatic);
    let session = stage.invites(ANNA, BEN);
    stage.until_established(ANNA);
    let now = stage.world.now;
    assert_eq!(stage.world.nodes[ANNA].client.cancel(now, session), Err(Misuse::TooLate));
    stage.hangs_up(ANNA, session);
    let ended = stage.end();
    assert_eq!(ended.sent(ANNA), ["INVITE", "ACK", "BYE"]);
    assert_eq!((ended.told(ANNA), ended.told(BEN)), ("ended".to_owned(), "ended".to_owned()));
}

#[test]
fn c2_the_client_that_cancels_sends_cancel() {
    let mut stage = Stage::manual();
    let session = stage.invites(ANNA, BEN);
    stage.until_progress(ANNA);
    stage.hangs_up(ANNA, session);
    let ended = stage.end();
    assert_eq!(ended.sent(ANNA), ["INVITE", "CANCEL", "ACK"]);
}

#[test]
fn c2_the_cancel_waits_for_a_provisional_response() {
    let mut stage = Stage::manual();
    stage.loses(ANNA, "INVITE", 1);
    let session = stage.invites(ANNA, BEN);
    stage.hangs_up(ANNA, session);
    let ended = stage.end();
    assert_eq!(ended.sent(ANNA), ["INVITE", "INVITE", "CANCEL", "ACK"]);
    assert_eq!(ended.sent(BEN), ["180 (INVITE)", "200 (CANCEL)", "487 (INVITE)"]);
}

#[test]
fn c3_cancelling_is_successful_if_487_comes() {
    let mut stage = Stage::manual();
    let session = stage.invites(ANNA, BEN);
    stage.until_progress(ANNA);
    stage.hangs_up(ANNA, session);
    let outcome = stage.end().outcome_of(ANNA).expect("told");
    assert_eq!((outcome.end, outcome.status), (End::Cancelled, Some(487)));
    assert_eq!(outcome.timing.cancelling(), Some(ms(2)));
}

#[test]
fn c4_if_a_2xx_comes_instead_the_session_is_left() {
    let mut stage = Stage::manual();
    let session = stage.invites(ANNA, BEN);
    let rings = stage.until_ringing(BEN);
    stage.until_progress(ANNA);
    stage.accepts(BEN, rings);
    stage.hangs_up(ANNA, session);
    let ended = stage.end();
    assert_eq!(ended.sent(ANNA), ["INVITE", "CANCEL", "ACK", "BYE"]);
    let outcome = ended.outcome_of(ANNA).expect("told");
    assert_eq!((outcome.end, outcome.status), (End::Cancelled, Some(200)));
}

#[test]
fn c5_a_cancel_is_answered_200_in_whatever_state() {
    let mut stage = Stage::manual();
    let session = stage.invites(ANNA, BEN);
    let rings = stage.until_ringing(BEN);
    stage.until_progress(ANNA);
    stage.accepts(BEN, rings);
    stage.hangs_up(ANNA, session);
    let ended = stage.end();
    assert_eq!(ended.sent(BEN), ["180 (INVITE)", "200 (INVITE)", "200 (CANCEL)", "200 (BYE)"]);
}

#[test]
fn c6_an_invite_without_a_final_response_is_answered_487_after_the_200() {
    let mut stage = Stage::manual();
    let session = stage.invites(ANNA, BEN);
    stage.until_progress(ANNA);
    stage.hangs_up(ANNA, session);
    let ended = stage.end();
    assert_eq!(ended.sent(BEN), ["180 (INVITE)", "200 (CANCEL)", "487 (INVITE)"]);
    assert_eq!(ended.told(BEN), "missed invitation");
}

#[test]
fn c6_an_invite_that_was_refused_is_not_answered_again() {
    let mut stage = Stage::manual();
    let session = stage.invites(ANNA, BEN);
    let rings = stage.until_ringing(BEN);
    stage.until_progress(ANNA);
    stage.hangs_up(BEN, rings);
    stage.hangs_up(ANNA, session);
    let ended = stage.end();
    assert_eq!(ended.sent(BEN), ["180 (INVITE)", "480 (INVITE)", "200 (CANCEL)"]);
}
