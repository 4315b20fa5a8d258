//! What users are told: the rows of digest 14.10.

use poc::answer_state::AnswerState;
use poc::{AnswerMode, Event};
use sim::Deed;
use sip::Duration;

use crate::stage::{ANNA, BEN, RINGS, Stage, about, ms};

#[test]
fn cancel_200_487_the_inviter_cancelled_and_the_invited_missed_it() {
    let mut stage = Stage::manual();
    let session = stage.invites(ANNA, BEN);
    stage.until_progress(ANNA);
    stage.hangs_up(ANNA, session);
    let ended = stage.end();
    assert_eq!((ended.told(ANNA).as_str(), ended.told(BEN).as_str()), ("cancelled", "missed invitation"));
    assert!(ended.outcome_of(BEN).is_some_and(|outcome| outcome.is_missed()));
}

#[test]
fn cancel_crossed_2xx_the_inviter_cancelled_and_the_invited_was_in_session_for_a_moment() {
    let mut stage = Stage::manual();
    let session = stage.invites(ANNA, BEN);
    let rings = stage.until_ringing(BEN);
    stage.until_progress(ANNA);
    stage.accepts(BEN, rings);
    stage.hangs_up(ANNA, session);
    stage.until_established(BEN);
    let ended = stage.end();
    assert_eq!((ended.told(ANNA).as_str(), ended.told(BEN).as_str()), ("cancelled", "ended"));
    let timing = ended.outcome_of(BEN).expect("told").timing;
    assert!(timing.answered.is_some_and(|answered| timing.ended - answered <= ms(2)), "{timing:?}");
    let established =
        |(place, event): &(usize, Event)| *place == ANNA && matches!(event, Event::Established { .. });
    assert!(!ended.world.events.iter().any(established), "no media for Anna");
}

#[test]
fn cancel_crossed_480_the_inviter_cancelled_and_the_invited_refused() {
    let mut stage = Stage::manual();
    let session = stage.invites(ANNA, BEN);
    let rings = stage.until_ringing(BEN);
    stage.until_progress(ANNA);
    stage.hangs_up(BEN, rings);
    stage.hangs_up(ANNA, session);
    let ended = stage.end();
    assert_eq!((ended.told(ANNA).as_str(), ended.told(BEN).as_str()), ("cancelled", "refused"));
    assert_eq!(ended.outcome_of(ANNA).and_then(|outcome| outcome.status), Some(480));
}

#[test]
fn cancel_before_a_1xx_and_the_network_dead_the_inviter_cancelled_within_32_seconds() {
    let mut stage = Stage::manual();
    stage.cuts(ANNA, Duration::MAX / 4);
    let session = stage.invites(ANNA, BEN);
    stage.passes(ms(10));
    stage.hangs_up(ANNA, session);
    let ended = stage.end();
    assert_eq!((ended.told(ANNA).as_str(), ended.told(BEN).as_str()), ("cancelled", "nothing"));
    let cancelling = ended.outcome_of(ANNA).and_then(|outcome| outcome.timing.cancelling());
    assert!(cancelling.is_some_and(|span| span <= Duration::from_secs(32)), "{cancelling:?}");
    assert_eq!(ended.sent(ANNA), ["INVITE"; 7]);
    assert_eq!(
        ended.moments(ANNA, "INVITE").iter().map(|at| at.as_millis() / 100).collect::<Vec<_>>(),
        [0, 5, 15, 35, 75, 155, 315],
    );
}

#[test]
fn the_guard_the_inviter_cancelled_and_the_invited_rang_until_its_own_limit() {
    let mut stage = Stage::manual();
    let session = stage.invites(ANNA, BEN);
    stage.until_progress(ANNA);
    stage.cuts(ANNA, Duration::MAX / 4);
    stage.hangs_up(ANNA, session);
    let ended = stage.end();
    assert_eq!((ended.told(ANNA).as_str(), ended.told(BEN).as_str()), ("cancelled", "missed invitation"));
    let span = ended.outcome_of(ANNA).and_then(|outcome| outcome.timing.cancelling()).expect("told");
    assert!(span >= Duration::from_secs(32) && span <= Duration::from_millis(32_010), "{span:?}");
    let ben = ended.outcome_of(BEN).expect("told");
    assert_eq!(ben.timing.ended - ben.timing.begun, RINGS);
    // T8 in chapter 15.
    assert_eq!(
        ended.moments(ANNA, "CANCEL").iter().map(|at| at.as_millis() / 100).collect::<Vec<_>>(),
        [0, 5, 15, 35, 75, 115, 155, 195, 235, 275, 315],
    );
}

#[test]
fn the_guard_also_ends_a_cancelling_that_was_answered_200_when_the_invite_never_is() {
    let mut stage = Stage::manual();
    let session = stage.invites(ANNA, BEN);
    stage.until_progress(ANNA);
    stage.loses_every(BEN, "487 (INVITE)");
    stage.hangs_up(ANNA, session);
    let ended = stage.end();
    assert_eq!((ended.told(ANNA).as_str(), ended.told(BEN).as_str()), ("cancelled", "missed invitation"));
    assert_eq!(ended.count(ANNA, "CANCEL"), 1);
    assert_eq!(ended.count(BEN, "487 (INVITE)"), 11);
    let anna = ended.outcome_of(ANNA).expect("told");
    assert_eq!((anna.status, anna.timing.cancelling().map(|span| span.as_secs())), (None, Some(32)));
}

#[test]
fn giving_up_after_an_unconfirmed_200_ends_the_session() {
    let mut stage = Stage::answering(AnswerMode::Automatic);
    stage.on(BEN, "200 (INVITE)", 1, Deed::Hold);
    let session = stage.invites(ANNA, BEN);
    stage.passes(ms(2));
    let answer = String::from_utf8(stage.held().bytes().to_vec()).expect("text");
    stage.forges(BEN, ANNA, answer.replacen("\r\n", "\r\nP-Answer-State: Unconfirmed\r\n", 1));
    let told = stage.until(ANNA, |event| matches!(event, Event::Established { .. }));
    assert!(matches!(told, Event::Established { answer_state: AnswerState::Unconfirmed, .. }), "{told:?}");
    stage.hangs_up(ANNA, session);
    let ended = stage.end();
    assert_eq!((ended.told(ANNA).as_str(), ended.told(BEN).as_str()), ("ended", "ended"));
    assert_eq!(ended.count(ANNA, "CANCEL"), 0);
}

#[test]
fn a_2xx_after_the_guard_is_acknowledged_and_left_and_nobody_is_told_again() {
    let mut stage = Stage::answering(AnswerMode::Automatic);
    let invite = stage.invite_of(ANNA, BEN);
    let session = stage.invites(ANNA, BEN);
    stage.forges(BEN, ANNA, about(&invite, "SIP/2.0 100 Trying", "", "INVITE", ""));
    stage.on(BEN, "200 (INVITE)", 1, Deed::Hold);
    stage.loses_every(BEN, "200 (INVITE)");
    stage.loses_every(BEN, "BYE");
    stage.passes(ms(1));
    stage.hangs_up(ANNA, session);
    stage.until(ANNA, |event| matches!(event, Event::Ended { .. }));
    stage.passes(ms(100));
    stage.world.let_go();
    let ended = stage.end();
    assert_eq!((ended.count(ANNA, "ACK"), ended.count(ANNA, "BYE")), (1, 1));
    assert_eq!(ended.told(ANNA), "cancelled");
    assert_eq!(ended.told(BEN), "the inviter did not confirm");
}
