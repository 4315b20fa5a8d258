//! The moments at which a user gives up: at once, on progress, just after the answer; and in the same instant.

use poc::AnswerMode;
use sim::Deed;
use sip::SessionId;

use crate::stage::{ANNA, BEN, Ended, Stage, about, ms};

/// When Anna gives up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Moment {
    /// In the instant in which she invited.
    AtOnce,
    /// When she hears that something happens: 180, or, as Ben's client answers by itself, 100 of a next hop.
    OnProgress,
    /// When Ben has answered and she cannot know it yet.
    AfterTheAnswer,
}

pub(crate) const MOMENTS: [Moment; 3] = [Moment::AtOnce, Moment::OnProgress, Moment::AfterTheAnswer];
pub(crate) const MODES: [AnswerMode; 2] = [AnswerMode::Manual, AnswerMode::Automatic];

/// Anna invites Ben and gives up at `moment`; just before she does, `before` happens to the stage.
pub(crate) fn tell(
    mode: AnswerMode,
    moment: Moment,
    script: impl Fn(&mut Stage),
    before: impl Fn(&mut Stage),
) -> Ended {
    let mut stage = Stage::answering(mode);
    script(&mut stage);
    let session = match (mode, moment) {
        (_, Moment::AtOnce) => stage.invites(ANNA, BEN),
        (AnswerMode::Manual, Moment::OnProgress) => {
            let session = stage.invites(ANNA, BEN);
            stage.until_progress(ANNA);
            session
        }
        (AnswerMode::Automatic, Moment::OnProgress) => invites_by_way_of_a_hop(&mut stage),
        (AnswerMode::Manual, Moment::AfterTheAnswer) => {
            let session = stage.invites(ANNA, BEN);
            let rings = stage.until_ringing(BEN);
            stage.passes(ms(3000));
            stage.accepts(BEN, rings);
            session
        }
        (AnswerMode::Automatic, Moment::AfterTheAnswer) => {
            let session = stage.invites(ANNA, BEN);
            stage.until_ringing(BEN);
            session
        }
    };
    before(&mut stage);
    stage.hangs_up(ANNA, session);
    stage.end()
}

/// Anna's INVITE is answered 100 on its way.
fn invites_by_way_of_a_hop(stage: &mut Stage) -> SessionId {
    let invite = stage.invite_of(ANNA, BEN);
    let session = stage.invites(ANNA, BEN);
    stage.forges(BEN, ANNA, about(&invite, "SIP/2.0 100 Trying", "", "INVITE", ""));
    stage.passes(ms(1));
    session
}

fn nothing(_: &mut Stage) {}

fn told(mode: AnswerMode, moment: Moment) -> (Ended, [String; 2]) {
    let ended = tell(mode, moment, nothing, nothing);
    let told = [ended.told(ANNA), ended.told(BEN)];
    (ended, told)
}

#[test]
fn at_once_and_ben_answers_by_hand() {
    let (ended, told) = told(AnswerMode::Manual, Moment::AtOnce);
    assert_eq!(told, ["cancelled", "missed invitation"]);
    assert_eq!(ended.sent(ANNA), ["INVITE", "CANCEL", "ACK"]);
}

#[test]
fn at_once_and_bens_client_answers_by_itself() {
    let (ended, told) = told(AnswerMode::Automatic, Moment::AtOnce);
    assert_eq!(told, ["cancelled", "ended"]);
    assert_eq!(ended.sent(ANNA), ["INVITE", "ACK", "BYE"], "no CANCEL after a final response");
}

#[test]
fn on_progress_and_ben_answers_by_hand() {
    let (ended, told) = told(AnswerMode::Manual, Moment::OnProgress);
    assert_eq!(told, ["cancelled", "missed invitation"]);
    assert_eq!(ended.sent(ANNA), ["INVITE", "CANCEL", "ACK"]);
}

#[test]
fn on_progress_and_bens_client_answers_by_itself() {
    let (ended, told) = told(AnswerMode::Automatic, Moment::OnProgress);
    assert_eq!(told, ["cancelled", "ended"]);
    assert_eq!(ended.sent(ANNA), ["INVITE", "CANCEL", "ACK", "BYE"]);
}

#[test]
fn just_after_ben_has_answered_by_hand() {
    let (ended, told) = told(AnswerMode::Manual, Moment::AfterTheAnswer);
    assert_eq!(told, ["cancelled", "ended"]);
    assert_eq!(ended.sent(ANNA), ["INVITE", "CANCEL", "ACK", "BYE"]);
}

#[test]
fn just_after_bens_client_has_answered_by_itself() {
    let (ended, told) = told(AnswerMode::Automatic, Moment::AfterTheAnswer);
    assert_eq!(told, ["cancelled", "ended"]);
    assert_eq!(ended.sent(ANNA), ["INVITE", "ACK", "BYE"]);
}

/// Both press their keys in the same instant.
fn both_press(first_is_ben: bool) -> Ended {
    let mut stage = Stage::manual();
    let session = stage.invites(ANNA, BEN);
    let rings = stage.until_ringing(BEN);
    stage.until_progress(ANNA);
    if first_is_ben {
        stage.accepts(BEN, rings);
        stage.hangs_up(ANNA, session);
    } else {
        stage.hangs_up(ANNA, session);
        stage.accepts(BEN, rings);
    }
    stage.end()
}

#[test]
fn accept_and_cancel_pressed_in_the_same_instant_in_either_order_end_the_same() {
    let (one, other) = (both_press(true), both_press(false));
    for ended in [&one, &other] {
        assert_eq!([ended.told(ANNA), ended.told(BEN)], ["cancelled", "ended"]);
    }
    assert_eq!(one.sent(ANNA), other.sent(ANNA));
    assert_eq!(one.sent(BEN), other.sent(BEN));
}

/// Ben presses accept in the instant in which the CANCEL arrives.
fn accept_meets_cancel(accept_is_first: bool) -> Ended {
    let mut stage = Stage::manual();
    let session = stage.invites(ANNA, BEN);
    let rings = stage.until_ringing(BEN);
    stage.until_progress(ANNA);
    stage.passes(ms(300)); // whatever waits for a timer is over
    stage.hangs_up(ANNA, session);
    let arrival = stage.world.network.next_arrival().expect("the CANCEL is on its way");
    if accept_is_first {
        stage.world.now = arrival;
        stage.accepts(BEN, rings);
        stage.world.advance(arrival);
    } else {
        stage.world.advance(arrival);
        stage.accepts(BEN, rings);
    }
    stage.end()
}

#[test]
fn accept_pressed_just_before_the_cancel_arrives_wins_and_the_session_is_left() {
    let ended = accept_meets_cancel(true);
    assert_eq!([ended.told(ANNA), ended.told(BEN)], ["cancelled", "ended"]);
    assert_eq!(ended.sent(BEN), ["180 (INVITE)", "200 (INVITE)", "200 (CANCEL)", "200 (BYE)"]);
}

#[test]
fn accept_pressed_just_after_the_cancel_has_arrived_changes_nothing() {
    let ended = accept_meets_cancel(false);
    assert_eq!([ended.told(ANNA), ended.told(BEN)], ["cancelled", "missed invitation"]);
    assert_eq!(ended.sent(BEN), ["180 (INVITE)", "200 (CANCEL)", "487 (INVITE)"]);
}

#[test]
fn a_cancel_that_arrives_twice_is_answered_twice_and_ends_once() {
    let mut stage = Stage::manual();
    stage.on(ANNA, "CANCEL", 1, Deed::Double);
    let session = stage.invites(ANNA, BEN);
    stage.until_progress(ANNA);
    stage.hangs_up(ANNA, session);
    let ended = stage.end();
    assert_eq!(ended.sent(BEN), ["180 (INVITE)", "200 (CANCEL)", "487 (INVITE)", "200 (CANCEL)"]);
}

#[test]
fn an_answer_to_the_cancel_that_comes_after_the_487_changes_nothing() {
    let mut stage = Stage::manual();
    stage.on(BEN, "200 (CANCEL)", 1, Deed::Hold);
    let session = stage.invites(ANNA, BEN);
    stage.until_progress(ANNA);
    stage.hangs_up(ANNA, session);
    stage.passes(ms(100));
    stage.world.let_go();
    let ended = stage.end();
    assert_eq!([ended.told(ANNA), ended.told(BEN)], ["cancelled", "missed invitation"]);
    assert_eq!(ended.count(ANNA, "CANCEL"), 1);
}
