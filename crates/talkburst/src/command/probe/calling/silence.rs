//! Nothing has come back when the target gives up.

use sip::message::Method;

use super::super::case::Case;
use super::super::stage::{Stage, Step, Stop, asks};
use super::{CHALLENGE, Ring, end};

/// What is tried while nothing has come back.
pub(in super::super) const CASES: &[Case] = &[
    Case::calling(
        ("C24", "no CANCEL before a provisional response"),
        ("nothing has come back: no CANCEL", "RFC 3261 §9.1"),
        no_cancel_before_a_1xx,
    ),
    Case::calling(
        ("C22", "the CANCEL leaves with the first 1xx"),
        ("the user gave up in silence; a 180 comes, and the CANCEL goes", "RFC 3261 §9.1"),
        the_cancel_leaves_with_the_180,
    ),
    Case::calling(
        ("S2", "a 100 is a provisional response"),
        ("the user gave up in silence; a 100 comes, and the CANCEL goes", "RFC 3261 §9.1"),
        the_cancel_leaves_with_the_100,
    ),
    Case::calling(
        ("S3", "silence, then a 200"),
        ("the CANCEL is dropped: ACK, then BYE", "RFC 3261 §9.1, §13.2.2.4, R1"),
        silence_then_a_200,
    ),
    Case::calling(
        ("R1", "silence, then a refusal"),
        ("the CANCEL is dropped: ACK, and nothing else", "RFC 3261 §9.1, §17.1.1.3, R1"),
        silence_then_a_refusal,
    ),
    Case::calling(
        ("C29", "silence, then a challenge"),
        ("the wish is sticky: ACK, and no INVITE with credentials", "I3; RFC 3261 §22.2"),
        silence_then_a_challenge,
    ),
];

fn no_cancel_before_a_1xx(stage: &mut Stage<'_>) -> Step {
    let ring = Ring::wait(stage)?;
    ring.let_it_give_up(stage)?;
    let early = stage.all(0, asks(Method::Cancel));
    stage.must(early.is_empty(), "a CANCEL before any response");
    Ok(())
}

/// The target has given up in silence; then this comes, and its CANCEL must.
fn the_cancel_leaves_with(stage: &mut Stage<'_>, status: u16) -> Step {
    let ring = Ring::wait(stage)?;
    ring.let_it_give_up(stage)?;
    if !stage.all(0, asks(Method::Cancel)).is_empty() {
        return Err(Stop::Unclear("the CANCEL has come before".to_owned()));
    }
    ring.answer(stage, status)?;
    let cancel = stage.expect(0, "the CANCEL", asks(Method::Cancel))?;
    end(stage, &ring, &cancel)
}

fn the_cancel_leaves_with_the_180(stage: &mut Stage<'_>) -> Step {
    the_cancel_leaves_with(stage, 180)
}

fn the_cancel_leaves_with_the_100(stage: &mut Stage<'_>) -> Step {
    the_cancel_leaves_with(stage, 100)
}

fn silence_then_a_200(stage: &mut Stage<'_>) -> Step {
    let ring = Ring::wait(stage)?;
    ring.let_it_give_up(stage)?;
    ring.answer(stage, 200)?;
    ring.left(stage, &ring.tag)?;
    let cancels = stage.all(0, asks(Method::Cancel));
    stage.must(cancels.is_empty(), "a CANCEL, though nothing provisional came");
    Ok(())
}

/// The target has given up in silence, and is refused.
fn silence_then(stage: &mut Stage<'_>, status: u16, rest: &str) -> Step {
    let ring = Ring::wait(stage)?;
    ring.let_it_give_up(stage)?;
    ring.answer_with(stage, status, &ring.tag, rest)?;
    ring.refused(stage)?;
    ring.nothing_new(stage)?;
    let others = stage.all(0, |message| message.is(Method::Cancel) || message.is(Method::Bye));
    stage.must(others.is_empty(), "CANCEL or BYE, though the INVITE has failed");
    Ok(())
}

fn silence_then_a_refusal(stage: &mut Stage<'_>) -> Step {
    silence_then(stage, 486, "")
}

fn silence_then_a_challenge(stage: &mut Stage<'_>) -> Step {
    silence_then(stage, 401, CHALLENGE)
}
