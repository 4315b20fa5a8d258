//! Copies on either side, and what is sent again.

use sip::Duration;
use sip::message::Method;

use super::super::case::Case;
use super::super::stage::{Stage, Step, answers, asks};
use super::{Bridge, cancelled};

/// What is tried with copies.
pub(in super::super) const CASES: &[Case] = &[
    Case::between(
        ("C53", "copies of the CANCEL"),
        ("each gets the 200; one CANCEL goes on, and one 487 comes back", "RFC 3261 §17.2.2, §16.10"),
        copies_of_the_cancel,
    )
    .by_datagrams(),
    Case::between(
        ("C54", "three CANCELs in ten milliseconds"),
        ("one CANCEL transaction goes on", "RFC 3261 §17.2.2, I8"),
        three_at_once,
    )
    .by_datagrams(),
    Case::between(
        ("R6", "the inviter does not acknowledge the 487"),
        ("timer G: it is sent again, unchanged", "RFC 3261 §17.2.1"),
        the_487_is_sent_again,
    )
    .by_datagrams(),
    Case::between(
        ("S7", "the invited side repeats the 487"),
        ("each copy is acknowledged, and none goes up", "RFC 3261 §17.1.1.2"),
        copies_of_the_487,
    )
    .by_datagrams(),
    Case::between(
        ("S4", "the invited side does not answer the CANCEL"),
        ("timer E: it is sent again, unchanged", "RFC 3261 §17.1.2.2"),
        the_cancel_is_sent_again,
    )
    .by_datagrams(),
    Case::between(
        ("I2", "more 1xx behind the CANCEL"),
        ("no second CANCEL to the same branch", "RFC 3261 §9.1, I2"),
        more_provisional_responses,
    ),
    Case::between(
        ("C62", "a 100 of the invited side"),
        ("it stops the copies of the INVITE, and does not go up", "RFC 3261 §17.1.1.2, §16.7 step 5"),
        a_100_stays,
    ),
];

fn copies_of_the_cancel(stage: &mut Stage<'_>) -> Step {
    let (bridge, cancel) = cancelled(stage)?;
    bridge.okay(stage)?;
    bridge.answer_to(stage, &cancel, 200)?;
    for _ in 0..2 {
        bridge.cancel(stage)?;
        bridge.okay(stage)?;
    }
    bridge.finish(stage, &cancel)?;
    bridge.cancel(stage)?;
    bridge.okay(stage)?;
    let cancels = bridge.cancels(stage);
    stage.must(cancels == 1, format!("{cancels} CANCELs go on"));
    Ok(())
}

fn three_at_once(stage: &mut Stage<'_>) -> Step {
    let bridge = Bridge::ringing(stage)?;
    for _ in 0..3 {
        bridge.cancel(stage)?;
        stage.listen(Duration::from_millis(3))?;
    }
    let cancel = bridge.cancelled(stage)?;
    bridge.finish(stage, &cancel)?;
    for _ in 0..3 {
        bridge.okay(stage)?;
    }
    let cancels = bridge.cancels(stage);
    stage.must(cancels == 1, format!("{cancels} CANCELs go on"));
    Ok(())
}

fn the_487_is_sent_again(stage: &mut Stage<'_>) -> Step {
    let (bridge, cancel) = cancelled(stage)?;
    bridge.answer_to(stage, &cancel, 200)?;
    bridge.answer(stage, 487)?;
    let end = stage.expect(0, "a final response for the inviter", bridge.call.answered(300..=699))?;
    let again = stage.hear(0, stage.settings.t1 * 3, bridge.call.answered(300..=699))?;
    stage.say(0, bridge.call.to, &bridge.call.ack(&end.message))?;
    let is_same = again.is_some_and(|again| again.message.bytes() == end.message.bytes());
    stage.must(is_same, "without an ACK the 487 is not sent again as it was");
    Ok(())
}

fn copies_of_the_487(stage: &mut Stage<'_>) -> Step {
    let (bridge, cancel) = cancelled(stage)?;
    bridge.finish(stage, &cancel)?;
    let before = stage.all(0, bridge.call.answered(300..=699)).len();
    for _ in 0..2 {
        bridge.answer(stage, 487)?;
        stage.expect(1, "the ACK of a copy of the 487", asks(Method::Ack))?;
    }
    stage.listen(Duration::from_millis(100))?;
    let after = stage.all(0, bridge.call.answered(300..=699)).len();
    stage.must(after == before, "a copy of the 487 goes up");
    Ok(())
}

fn the_cancel_is_sent_again(stage: &mut Stage<'_>) -> Step {
    let (bridge, cancel) = cancelled(stage)?;
    let again = stage.hear(1, stage.settings.t1 * 3, asks(Method::Cancel))?;
    let is_same = again.is_some_and(|again| again.message.bytes() == cancel.message.bytes());
    stage.must(is_same, "the CANCEL is not sent again as it was");
    bridge.finish(stage, &cancel).map(|_| ())
}

fn more_provisional_responses(stage: &mut Stage<'_>) -> Step {
    let (bridge, cancel) = cancelled(stage)?;
    bridge.answer_to(stage, &cancel, 200)?;
    for status in [180, 183, 180] {
        bridge.answer(stage, status)?;
    }
    stage.listen(stage.settings.t1)?;
    let cancels = bridge.cancels(stage);
    stage.must(cancels == 1, format!("{cancels} CANCELs go on"));
    bridge.finish(stage, &cancel).map(|_| ())
}

fn a_100_stays(stage: &mut Stage<'_>) -> Step {
    let bridge = Bridge::build(stage)?;
    bridge.answer(stage, 100)?;
    stage.listen(Duration::from_millis(20))?;
    let (copies, tryings) =
        (stage.all(1, asks(Method::Invite)).len(), stage.all(0, answers(Method::Invite, 100..=100)).len());
    stage.listen(stage.settings.t1 * 4)?;
    stage.must(stage.all(1, asks(Method::Invite)).len() == copies, "the INVITE is sent again after the 100");
    stage.must(tryings <= 1, "the 100 of the invited side goes up");
    bridge.cancel(stage)?;
    let cancel = bridge.cancelled(stage)?;
    bridge.finish(stage, &cancel).map(|_| ())
}
