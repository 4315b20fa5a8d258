//! Invitations that end otherwise, and the Reason that a CANCEL carries.

use bytes::Bytes;
use poc::Profile;
use poc::sdp::Codec;
use sim::Deed;
use sip::Duration;
use sip::message::Name;

use crate::stage::{ANNA, BEN, CARA, RINGS, Stage, cancel_of, ms};

#[test]
fn who_is_in_session_is_busy() {
    let mut stage = Stage::manual();
    stage.invites(CARA, BEN);
    let rings = stage.until_ringing(BEN);
    stage.accepts(BEN, rings);
    stage.until_established(BEN);
    stage.invites(ANNA, BEN);
    stage.passes(Duration::from_secs(1));
    stage.hangs_up(BEN, rings);
    let ended = stage.end();
    assert_eq!((ended.told(ANNA).as_str(), ended.told(CARA).as_str()), ("busy", "ended"));
    assert_eq!(ended.outcome_of(ANNA).and_then(|outcome| outcome.status), Some(486));
}

#[test]
fn a_486_that_meets_the_wish_is_a_cancelling_and_starts_nothing() {
    let mut stage = Stage::manual();
    stage.invites(CARA, BEN);
    let rings = stage.until_ringing(BEN);
    stage.until_progress(CARA);
    let session = stage.invites(ANNA, BEN);
    stage.hangs_up(ANNA, session);
    stage.passes(Duration::from_secs(1));
    stage.accepts(BEN, rings);
    stage.until_established(CARA);
    stage.hangs_up(BEN, rings);
    let ended = stage.end();
    let anna = ended.outcome_of(ANNA).expect("told");
    assert_eq!((anna.to_string().as_str(), anna.status), ("cancelled", Some(486)));
    assert_eq!(ended.sent(ANNA), ["INVITE", "ACK"]);
}

#[test]
fn without_a_common_codec_nobody_rings() {
    let mut stage = Stage::with(|place, config| {
        if place == BEN {
            config.capabilities.codecs = vec![Codec {
                payload: 96,
                name: "EVRC".to_owned(),
                clock: 8000,
                channels: 1,
                parameters: String::new(),
            }];
        }
    });
    stage.invites(ANNA, BEN);
    let ended = stage.end();
    assert_eq!(ended.sent(BEN), ["488 (INVITE)"]);
    assert_eq!([ended.told(ANNA), ended.told(BEN)], ["not accepted", "refused"]);
}

#[test]
fn a_user_who_does_not_answer_has_missed_the_invitation() {
    let mut stage = Stage::manual();
    stage.invites(ANNA, BEN);
    let ended = stage.end();
    assert_eq!(ended.sent(BEN), ["180 (INVITE)", "180 (INVITE)", "480 (INVITE)"]);
    assert_eq!([ended.told(ANNA), ended.told(BEN)], ["not accepted", "missed invitation"]);
    let ben = ended.outcome_of(BEN).expect("told");
    assert!(ben.is_missed());
    assert_eq!(ben.timing.ended - ben.timing.begun, RINGS);
}

/// The lines of Reason in Anna's CANCEL, and what Ben makes of them.
fn reasons_of(mut stage: Stage, wait: Duration) -> (Vec<Bytes>, Option<Bytes>, String) {
    stage.on(ANNA, "CANCEL", 1, Deed::Hold);
    let session = stage.invites(ANNA, BEN);
    stage.until_progress(ANNA);
    if wait.is_zero() {
        stage.hangs_up(ANNA, session);
    }
    stage.passes(wait);
    let cancel = stage.held();
    let written = cancel.values(Name::Reason).map(Bytes::copy_from_slice).collect();
    stage.world.let_go();
    let ended = stage.end();
    assert_eq!(ended.told(ANNA), "cancelled");
    let ben = ended.outcome_of(BEN).expect("told");
    (written, ben.reason.clone(), ben.to_string())
}

#[test]
fn on_a_plain_core_a_cancel_gives_no_reason() {
    assert_eq!(reasons_of(Stage::manual(), Duration::ZERO), (vec![], None, "missed invitation".to_owned()),);
}

#[test]
fn on_the_ims_a_cancel_says_that_the_user_ended_the_call() {
    let reason = Bytes::from_static(b"RELEASE_CAUSE;cause=1;text=\"User ends call\"");
    assert_eq!(
        reasons_of(Stage::on_the_ims(), Duration::ZERO),
        (vec![reason.clone()], Some(reason), "missed invitation".to_owned()),
    );
}

#[test]
fn on_the_ims_a_cancel_at_the_set_up_limit_says_so() {
    let mut stage = Stage::with(|_, config| {
        config.profile = Profile::Ims;
        config.set_up_limit = Some(Duration::from_secs(20));
    });
    stage.world.monitor.set_up_limit = Some(Duration::from_secs(20));
    let reason = Bytes::from_static(b"RELEASE_CAUSE;cause=6;text=\"Call-setup time-out\"");
    // Ben's client knows the limit from Expires and ends its ringing in the same instant: the CANCEL waits.
    let (written, _, told) = reasons_of(stage, Duration::from_millis(20_050));
    assert_eq!((written, told.as_str()), (vec![reason], "missed invitation"));
}

/// Ben rings, and the network sends him a CANCEL with these lines.
fn cancelled_with(further: &str, source: usize) -> (poc::Outcome, sim::World) {
    let mut stage = Stage::manual();
    let invite = stage.invite_of(ANNA, BEN);
    stage.invites(ANNA, BEN);
    stage.until_ringing(BEN);
    stage.passes(ms(500));
    stage.forges(source, BEN, cancel_of(&invite, further));
    let ended = stage.end();
    let ben = ended.outcome_of(BEN).expect("told");
    (ben, ended.world)
}

#[test]
fn what_was_answered_elsewhere_is_not_missed() {
    let (ben, _) = cancelled_with("Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n", ANNA);
    assert!(!ben.is_missed() && ben.is_completed_elsewhere());
    assert_eq!(ben.to_string(), "answered elsewhere");
    assert_eq!(ben.reason_cause(b"SIP").as_deref(), Some(&b"200"[..]));
}

#[test]
fn what_was_declined_elsewhere_counts_as_missed_here() {
    let (ben, _) = cancelled_with("Reason: SIP;cause=603;text=\"Declined\"\r\n", ANNA);
    assert!(ben.is_missed());
    assert_eq!(ben.reason_cause(b"sip").as_deref(), Some(&b"603"[..]));
}

#[test]
fn a_cancel_with_what_must_not_stand_in_it_still_cancels() {
    let (ben, _) =
        cancelled_with("Require: nonsense\r\nProxy-Require: more\r\nContact: <sip:x@192.0.2.1>\r\n", ANNA);
    assert_eq!((ben.to_string().as_str(), ben.status), ("missed invitation", Some(487)));
}

#[test]
fn a_cancel_from_somebody_else_is_refused_and_ben_rings_on() {
    let (ben, world) = cancelled_with("", CARA);
    assert_eq!((ben.to_string().as_str(), ben.status), ("missed invitation", Some(480)));
    assert_eq!(ben.timing.ended - ben.timing.begun, RINGS);
    let ladder = world.trace.render();
    assert!(ladder.contains("481 (CANCEL)"), "{ladder}");
}

#[test]
fn a_cancel_from_somebody_else_does_not_spoil_the_one_of_the_inviter() {
    let mut stage = Stage::manual();
    let invite = stage.invite_of(ANNA, BEN);
    let session = stage.invites(ANNA, BEN);
    stage.until_ringing(BEN);
    stage.forges(CARA, BEN, cancel_of(&invite, ""));
    stage.passes(ms(500));
    stage.hangs_up(ANNA, session);
    let ended = stage.end();
    assert_eq!(ended.sent(BEN), ["180 (INVITE)", "481 (CANCEL)", "200 (CANCEL)", "487 (INVITE)"]);
    assert_eq!([ended.told(ANNA), ended.told(BEN)], ["cancelled", "missed invitation"]);
}

#[test]
fn a_cancel_of_nothing_is_refused_and_changes_nothing() {
    let mut stage = Stage::manual();
    stage.on(ANNA, "INVITE", 1, Deed::Hold);
    let session = stage.invites(ANNA, BEN);
    let invite = stage.held();
    stage.forges(ANNA, BEN, cancel_of(&invite, ""));
    stage.passes(ms(100));
    stage.world.let_go(); // the INVITE comes after its CANCEL, and rings (R2)
    stage.until_ringing(BEN);
    stage.until_progress(ANNA);
    stage.hangs_up(ANNA, session);
    let ended = stage.end();
    assert_eq!(ended.sent(BEN)[0], "481 (CANCEL)");
    assert_eq!([ended.told(ANNA), ended.told(BEN)], ["cancelled", "missed invitation"]);
}
