//! The target is called, rings, and hears a CANCEL.

use sip::Duration;
use sip::message::{Method, Name};

use super::call::{Call, send};
use super::case::Case;
use super::settings::Callee;
use super::stage::{Heard, Stage, Step, Stop, answers, is_of, tag, word};

/// What is tried while the target rings.
pub(super) const CASES: &[Case] = &[
    Case::called(
        ("C49", "a CANCEL while it rings ends the INVITE"),
        ("the CANCEL is answered with 200, and the INVITE with a final response", "RFC 3261 §9.2"),
        a_cancel_while_it_rings,
    ),
    Case::called(
        ("C50", "the cause is 487 when the CANCEL won"),
        ("the INVITE is answered with 487 (Request Terminated), with nothing else", "RFC 3261 §9.2"),
        the_cause_is_487,
    ),
    Case::called(
        ("I6", "the CANCEL is answered before its INVITE"),
        ("200 (CANCEL), then 487 (INVITE)", "I6"),
        the_cancel_is_answered_first,
    ),
    Case::called(
        ("S8", "one To tag in all responses"),
        ("180, 487 and the 200 of the CANCEL have the same To tag", "RFC 3261 §9.2, §8.2.6.2"),
        one_to_tag,
    ),
    Case::called(
        ("I4", "one final response"),
        ("after the 487 was acknowledged no other final response comes", "RFC 3261 §17.2.1, I4"),
        one_final_response,
    ),
    Case::called(
        ("C53", "each copy of a CANCEL gets the 200"),
        (
            "copies of the CANCEL are answered as the first was, and there is one 487",
            "RFC 3261 §17.2.2, §9.2",
        ),
        copies_of_the_cancel,
    )
    .by_datagrams(),
    Case::called(
        ("I8", "a copy of the CANCEL after the ACK"),
        ("the CANCEL's own transaction answers it with 200 until timer J", "RFC 3261 §17.2.2"),
        a_copy_after_the_ack,
    )
    .by_datagrams(),
    Case::called(
        ("C54", "three CANCELs in ten milliseconds"),
        ("they are absorbed, and the target serves the next call", "RFC 3261 §17.2.2"),
        three_cancels_at_once,
    )
    .by_datagrams(),
    Case::called(
        ("R6", "a 487 that is not acknowledged is sent again"),
        ("timer G: after T1 the 487 is sent again, unchanged", "RFC 3261 §17.2.1"),
        the_487_is_sent_again,
    )
    .by_datagrams(),
    Case::called(
        ("S9", "the ACK ends the 487"),
        ("in Confirmed nothing is sent again, and copies of the ACK are absorbed", "RFC 3261 §17.2.1"),
        the_ack_ends_the_487,
    ),
    Case::called(
        ("C65", "INVITE and CANCEL in one burst"),
        ("the INVITE has a server transaction at once: 200 and 487, no 481", "RFC 3261 §9.2"),
        invite_and_cancel_in_one_burst,
    ),
    Case::called(
        ("C58", "the CANCEL comes with the first response"),
        (
            "200 (CANCEL) and exactly one final response to the INVITE, whatever the target is doing",
            "RFC 3261 §9.2",
        ),
        a_cancel_at_the_first_response,
    ),
    Case::called(
        ("S6", "copies of the INVITE while it rings"),
        ("the last provisional response is sent again; there is no second call", "RFC 3261 §17.2.1"),
        copies_of_the_invite,
    ),
    Case::called(
        ("S10", "a copy of the INVITE behind the 487"),
        ("in Completed a copy of the INVITE gets the 487 again", "RFC 3261 §17.2.1"),
        a_copy_of_the_invite_after_the_487,
    ),
    Case::called(
        ("C48", "the Call-ID is called again after the CANCEL"),
        ("a new INVITE transaction of a cancelled call is a new call", "RFC 3261 §8.2.2.2, R23"),
        the_call_is_tried_again,
    ),
    Case::called(
        ("R16", "BYE in the early dialog"),
        ("the BYE is answered with 2xx, and the pending INVITE with 487", "RFC 3261 §15, §15.1.2"),
        bye_in_the_early_dialog,
    ),
    Case::called(
        ("R18", "the INVITE expires"),
        ("an INVITE that has expired is answered with 487", "RFC 3261 §13.3.1"),
        the_invite_expires,
    ),
    Case::called(
        ("R24", "a CANCEL is not challenged"),
        ("a CANCEL cannot be sent again with credentials, so no 401 or 407 answers it", "RFC 3261 §22.1"),
        a_cancel_is_not_challenged,
    ),
    Case::called(
        ("C60", "PRACK behind the 487"),
        ("a late PRACK gets 2xx or 481; no reliable 1xx is sent after the 487", "RFC 3262 §3, R12"),
        prack_behind_the_487,
    ),
    Case::called(
        ("C82", "twenty calls that are cancelled at once"),
        ("each gets 200 and 487, and the target goes on", "RFC 3261 §9.2"),
        twenty_calls,
    ),
];

/// Who rings.
pub(super) fn callee(stage: &Stage<'_>) -> Step<Callee> {
    stage.settings.rings.clone().ok_or_else(|| Stop::Unclear("nobody to call".to_owned()))
}

/// A call to who rings; nothing is sent.
pub(super) fn call(stage: &Stage<'_>) -> Step<Call> {
    let callee = callee(stage)?;
    Ok(Call::new(stage, 0, &callee.uri, callee.at))
}

/// The target rings: the call, and the response that says so.
pub(super) fn ringing(stage: &mut Stage<'_>) -> Step<(Call, Heard)> {
    let mut call = call(stage)?;
    let rings = ring(stage, &mut call)?;
    Ok((call, rings))
}

/// Sends the INVITE; the target rings.
pub(super) fn ring(stage: &mut Stage<'_>, call: &mut Call) -> Step<Heard> {
    send(stage, call)?;
    let patience = stage.settings.patience;
    let first = stage.hear(0, patience, call.answered(101..=699))?;
    let Some(first) = first.or(stage.all(0, call.answered(100..=100)).pop()) else {
        return Err(Stop::Unclear("the INVITE is not answered".to_owned()));
    };
    if first.message.status() >= Some(200) {
        return Err(Stop::Unclear(format!("{} at once: the target does not ring", word(&first.message))));
    }
    Ok(first)
}

/// Sends the CANCEL.
pub(super) fn cancel(stage: &mut Stage<'_>, call: &Call) -> Step {
    stage.say(0, call.to, &call.cancel())
}

/// The final response to the CANCEL: 200.
pub(super) fn cancel_answered(stage: &mut Stage<'_>) -> Step<Heard> {
    let answer = stage.expect(0, "a response to the CANCEL", answers(Method::Cancel, 200..=699))?;
    let said = word(&answer.message);
    stage.must(answer.message.status() == Some(200), format!("the CANCEL is answered with {said}"));
    Ok(answer)
}

/// The final response to the INVITE, which the CANCEL brought about; it is acknowledged.
pub(super) fn terminated(stage: &mut Stage<'_>, call: &Call) -> Step<Heard> {
    let end = unacknowledged(stage, call)?;
    stage.say(0, call.to, &call.ack(&end.message))?;
    Ok(end)
}

/// The same without the ACK. If a 2xx has crossed the CANCEL there is no telling.
pub(super) fn unacknowledged(stage: &mut Stage<'_>, call: &Call) -> Step<Heard> {
    let end = stage.expect(0, "a final response to the INVITE", call.answered(200..=699))?;
    if end.message.status() < Some(300) {
        return Err(Stop::Unclear("the target answered before it could be cancelled".to_owned()));
    }
    Ok(end)
}

/// It must be a 487.
pub(super) fn must_be_487(stage: &mut Stage<'_>, end: &Heard) {
    let said = word(&end.message);
    stage
        .must(end.message.status() == Some(487), format!("the INVITE is answered with {said}, not with 487"));
}

/// Rings, is cancelled, is acknowledged: the call, and the responses.
fn cancelled(stage: &mut Stage<'_>) -> Step<(Call, Heard, Heard, Heard)> {
    let (call, rings) = ringing(stage)?;
    cancel(stage, &call)?;
    let end = terminated(stage, &call)?;
    let okay = cancel_answered(stage)?;
    Ok((call, rings, okay, end))
}

/// The target serves a call.
pub(super) fn is_alive(stage: &mut Stage<'_>) -> Step {
    let call = call(stage)?;
    stage.say(0, call.to, &call.request("OPTIONS"))?;
    stage.expect(0, "a response to OPTIONS", answers(Method::Options, 200..=699)).map(|_| ())
}

fn a_cancel_while_it_rings(stage: &mut Stage<'_>) -> Step {
    cancelled(stage).map(|_| ())
}

fn the_cause_is_487(stage: &mut Stage<'_>) -> Step {
    let (_, _, _, end) = cancelled(stage)?;
    must_be_487(stage, &end);
    Ok(())
}

fn the_cancel_is_answered_first(stage: &mut Stage<'_>) -> Step {
    let (_, _, okay, end) = cancelled(stage)?;
    stage.must(okay.at <= end.at, "the INVITE is answered before its CANCEL");
    Ok(())
}

fn one_to_tag(stage: &mut Stage<'_>) -> Step {
    let (_, rings, okay, end) = cancelled(stage)?;
    let tags = [&rings, &okay, &end].map(|heard| tag(&heard.message));
    if rings.message.status() > Some(100) {
        stage.must(tags[0].is_some(), "the provisional response has no To tag");
        stage.must(tags[0] == tags[2], "the final response has another To tag than the provisional one");
    }
    stage.must(tags[1].is_some(), "the response to the CANCEL has no To tag");
    stage.must(tags[1] == tags[2], "the responses to INVITE and CANCEL have different To tags");
    Ok(())
}

fn one_final_response(stage: &mut Stage<'_>) -> Step {
    let (_, _, _, end) = cancelled(stage)?;
    stage.listen(stage.settings.t1 * 3)?;
    let others = stage.all(0, answers(Method::Invite, 200..=699));
    let others = others.iter().filter(|other| other.message.bytes() != end.message.bytes()).count();
    stage.must(others == 0, format!("{others} further final responses"));
    Ok(())
}

fn copies_of_the_cancel(stage: &mut Stage<'_>) -> Step {
    let (call, _) = ringing(stage)?;
    cancel(stage, &call)?;
    let first = cancel_answered(stage)?;
    let end = unacknowledged(stage, &call)?;
    for _ in 0..2 {
        cancel(stage, &call)?;
        let copy = cancel_answered(stage)?;
        stage.must(tag(&copy.message) == tag(&first.message), "a copy of the CANCEL gets another To tag");
    }
    stage.say(0, call.to, &call.ack(&end.message))?;
    let others = stage.all(0, answers(Method::Invite, 200..=699));
    let others = others.iter().filter(|other| other.message.bytes() != end.message.bytes()).count();
    stage.must(others == 0, "a copy of the CANCEL brings another final response");
    Ok(())
}

fn a_copy_after_the_ack(stage: &mut Stage<'_>) -> Step {
    let (call, ..) = cancelled(stage)?;
    stage.listen(Duration::from_millis(50))?;
    cancel(stage, &call)?;
    cancel_answered(stage).map(|_| ())
}

fn three_cancels_at_once(stage: &mut Stage<'_>) -> Step {
    let (call, _) = ringing(stage)?;
    for _ in 0..3 {
        cancel(stage, &call)?;
        stage.listen(Duration::from_millis(3))?;
    }
    let end = terminated(stage, &call)?;
    must_be_487(stage, &end);
    for _ in 0..3 {
        cancel_answered(stage)?;
    }
    is_alive(stage)
}

fn the_487_is_sent_again(stage: &mut Stage<'_>) -> Step {
    let (call, _) = ringing(stage)?;
    cancel(stage, &call)?;
    let end = unacknowledged(stage, &call)?;
    let copy = stage.hear(0, stage.settings.t1 * 3, answers(Method::Invite, 300..=699))?;
    stage.say(0, call.to, &call.ack(&end.message))?;
    let Some(copy) = copy else {
        return Err(Stop::Failed("without an ACK the 487 is not sent again".to_owned()));
    };
    stage.must(copy.message.status() == end.message.status(), "the final response changes");
    stage.must(tag(&copy.message) == tag(&end.message), "the To tag changes");
    Ok(())
}

fn the_ack_ends_the_487(stage: &mut Stage<'_>) -> Step {
    let (call, _, _, end) = cancelled(stage)?;
    let before = stage.all(0, |_| true).len();
    stage.say(0, call.to, &call.ack(&end.message))?;
    stage.say(0, call.to, &call.ack(&end.message))?;
    stage.listen(stage.settings.t1 * 3)?;
    let after = stage.all(0, |_| true).len() - before;
    stage.must(after == 0, format!("{after} messages after the ACK"));
    Ok(())
}

fn invite_and_cancel_in_one_burst(stage: &mut Stage<'_>) -> Step {
    let call = call(stage)?;
    stage.began(&call);
    stage.say_at_once(0, call.to, &[&call.invite(), &call.cancel()])?;
    let end = terminated(stage, &call)?;
    not_refused(&end)?;
    cancel_answered(stage)?;
    Ok(())
}

/// With nothing provisional before it another failure is the target's own.
fn not_refused(end: &Heard) -> Step {
    if end.message.status() == Some(487) {
        return Ok(());
    }
    Err(Stop::Unclear(format!("{} at once: the target does not ring", word(&end.message))))
}

fn a_cancel_at_the_first_response(stage: &mut Stage<'_>) -> Step {
    let call = call(stage)?;
    stage.began(&call);
    stage.say(0, call.to, &call.invite())?;
    let Some(first) = stage.hear(0, stage.settings.patience, answers(Method::Invite, 100..=699))? else {
        return Err(Stop::Unclear("the INVITE is not answered".to_owned()));
    };
    if first.message.status() >= Some(300) {
        return Err(Stop::Unclear(format!("{} at once: the target does not ring", word(&first.message))));
    }
    cancel(stage, &call)?;
    cancel_answered(stage)?;
    stage.listen(stage.settings.patience.min(stage.settings.t1 * 2))?;
    let mut finals: Vec<_> = stage
        .all(0, answers(Method::Invite, 200..=699))
        .iter()
        .map(|end| (end.message.status(), tag(&end.message)))
        .collect();
    finals.dedup();
    stage.must(finals.len() == 1, format!("{} different final responses", finals.len()));
    Ok(())
}

fn copies_of_the_invite(stage: &mut Stage<'_>) -> Step {
    let (call, rings) = ringing(stage)?;
    for _ in 0..2 {
        stage.say(0, call.to, &call.invite())?;
        let again =
            stage.expect(0, "a provisional response to the copy", answers(Method::Invite, 100..=699))?;
        let is_same = again.message.status() == Some(100) || tag(&again.message) == tag(&rings.message);
        if again.message.status() >= Some(200) && is_same {
            return Err(Stop::Unclear("the target answers".to_owned()));
        }
        stage.must(is_same, format!("a copy of the INVITE is a second call: {}", word(&again.message)));
    }
    cancel(stage, &call)?;
    let end = terminated(stage, &call)?;
    must_be_487(stage, &end);
    Ok(())
}

fn a_copy_of_the_invite_after_the_487(stage: &mut Stage<'_>) -> Step {
    let (call, _) = ringing(stage)?;
    cancel(stage, &call)?;
    let end = unacknowledged(stage, &call)?;
    stage.say(0, call.to, &call.invite())?;
    let again = stage.expect(0, "the final response again", answers(Method::Invite, 100..=699))?;
    stage.say(0, call.to, &call.ack(&end.message))?;
    stage.must(
        again.message.status() == end.message.status() && tag(&again.message) == tag(&end.message),
        format!("a copy of the INVITE is answered with {}", word(&again.message)),
    );
    Ok(())
}

fn the_call_is_tried_again(stage: &mut Stage<'_>) -> Step {
    let (call, _, _, end) = cancelled(stage)?;
    must_be_487(stage, &end);
    let mut again = call.again();
    let first = ring(stage, &mut again)?;
    stage.must(
        first.message.cseq().is_ok_and(|cseq| cseq.number == again.cseq),
        "the first call is answered once more",
    );
    cancel(stage, &again)?;
    let end = terminated(stage, &again)?;
    must_be_487(stage, &end);
    Ok(())
}

fn bye_in_the_early_dialog(stage: &mut Stage<'_>) -> Step {
    let (call, rings) = ringing(stage)?;
    if tag(&rings.message).is_none() {
        return Err(Stop::Unclear("there is no early dialog".to_owned()));
    }
    stage.say(0, call.to, &call.bye(&rings.message))?;
    let answer = stage.expect(0, "a response to the BYE", answers(Method::Bye, 200..=699))?;
    let said = word(&answer.message);
    stage.must(answer.message.status() < Some(300), format!("the BYE is answered with {said}"));
    let end = terminated(stage, &call)?;
    must_be_487(stage, &end);
    Ok(())
}

fn the_invite_expires(stage: &mut Stage<'_>) -> Step {
    let mut call = call(stage)?.with("Expires: 1\r\n");
    ring(stage, &mut call)?;
    stage.listen(Duration::from_secs(1))?;
    let end = terminated(stage, &call)?;
    must_be_487(stage, &end);
    Ok(())
}

fn a_cancel_is_not_challenged(stage: &mut Stage<'_>) -> Step {
    let (_, _, okay, _) = cancelled(stage)?;
    let is_challenged = matches!(okay.message.status(), Some(401 | 407));
    stage.must(!is_challenged, "the CANCEL is challenged");
    Ok(())
}

fn prack_behind_the_487(stage: &mut Stage<'_>) -> Step {
    let mut call = call(stage)?.with("Require: 100rel\r\n");
    let rings = ring(stage, &mut call).map_err(|stop| match stop {
        Stop::Unclear(what) => Stop::Unclear(format!("{what}, asked for 100rel")),
        Stop::Failed(_) | Stop::Network(_) => stop,
    })?;
    if rings.message.value(Name::RSeq).is_none() {
        return Err(Stop::Unclear("the provisional response is not reliable".to_owned()));
    }
    cancel(stage, &call)?;
    let end = terminated(stage, &call)?;
    must_be_487(stage, &end);
    cancel_answered(stage)?;
    let before = stage.all(0, answers(Method::Invite, 100..=199)).len();
    stage.say(0, call.to, &call.prack(&rings.message))?;
    let late = stage.expect(0, "a response to the PRACK", answers(Method::Prack, 200..=699))?;
    let said = word(&late.message);
    stage.must(matches!(late.message.status(), Some(200..=299 | 481)), format!("the late PRACK gets {said}"));
    stage.listen(stage.settings.t1 * 3)?;
    let after = stage.all(0, answers(Method::Invite, 100..=199)).len();
    stage.must(after == before, "the reliable response is sent again after the 487");
    is_alive(stage)
}

fn twenty_calls(stage: &mut Stage<'_>) -> Step {
    let mut calls = Vec::new();
    for _ in 0..20 {
        let call = call(stage)?;
        stage.began(&call);
        stage.say(0, call.to, &call.invite())?;
        calls.push(call);
    }
    stage.listen(Duration::from_millis(100))?;
    for call in &calls {
        stage.say(0, call.to, &call.cancel())?;
    }
    for call in &calls {
        let is_mine = |message: &sip::Message| {
            message.call_id() == call.call_id.as_bytes() && message.status() >= Some(200)
        };
        let end = stage.expect(0, "a final response to each INVITE", |message| {
            is_mine(message) && is_of(message, Method::Invite)
        })?;
        stage.say(0, call.to, &call.ack(&end.message))?;
        if end.message.status() < Some(300) {
            return Err(Stop::Unclear("the target answered before it could be cancelled".to_owned()));
        }
        // It may be busy with so many.
        if !matches!(end.message.status(), Some(480 | 486 | 503 | 600)) {
            not_refused(&end)?;
        }
        stage.expect(0, "a response to each CANCEL", |message| {
            is_mine(message) && is_of(message, Method::Cancel)
        })?;
    }
    is_alive(stage)
}
