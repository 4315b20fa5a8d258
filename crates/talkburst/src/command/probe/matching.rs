//! The target is called, and hears a CANCEL that is not quite that of its INVITE.

use sip::Duration;
use sip::message::Method;

use super::call::{Call, fresh};
use super::called::{call, cancel, cancel_answered, is_alive, must_be_487, ringing, terminated};
use super::case::Case;
use super::stage::{Stage, Step, Stop, answers, word};

/// Which CANCEL is that of which INVITE.
pub(super) const CASES: &[Case] = &[
    Case::called(
        ("C52", "a CANCEL that matches nothing"),
        ("481 (Call/Transaction Does Not Exist)", "RFC 3261 §9.2"),
        a_cancel_of_nothing,
    ),
    Case::called(
        ("I7", "a CANCEL with another branch"),
        ("481, and the INVITE is as pending as before", "RFC 3261 §9.2, §17.2.3, I7"),
        another_branch,
    ),
    Case::called(
        ("R2", "the CANCEL overtakes its INVITE"),
        ("481, and the INVITE that follows is served", "RFC 3261 §9.2, R2"),
        the_cancel_comes_first,
    ),
    Case::called(
        ("C57", "a CANCEL with a To tag"),
        ("the branch decides: it cancels all the same", "RFC 3261 §9.2, §17.2.3"),
        a_to_tag,
    ),
    Case::called(
        ("C56", "a CANCEL with another sent-by"),
        ("200 and 487, or 481 and no effect; never one without the other", "RFC 3261 §17.2.3"),
        another_sent_by,
    ),
    Case::called(
        ("C78", "the CANCEL comes from another port"),
        ("200 and 487, or a refusal and no effect; never one without the other", "RFC 3261 §17.2.3"),
        another_port,
    ),
    Case::called(
        ("C09", "a CANCEL with another CSeq number"),
        ("200 and 487, or a refusal and no effect; never one without the other", "RFC 3261 §9.1, §17.2.3"),
        another_cseq,
    ),
    Case::called(
        ("C14", "a CANCEL with another Request-URI"),
        ("200 and 487, or a refusal and no effect; never one without the other", "RFC 3261 §9.1, §17.2.3"),
        another_request_uri,
    ),
    Case::called(
        ("C06", "a CANCEL with another Call-ID"),
        ("200 and 487, or a refusal and no effect; never one without the other", "RFC 3261 §9.1, §17.2.3"),
        another_call_id,
    ),
    Case::called(
        ("C20", "a CANCEL without Max-Forwards"),
        ("200 and 487, or a refusal and no effect; never one without the other", "RFC 3261 §8.1.1, §16.3"),
        no_max_forwards,
    ),
    Case::called(
        ("R20", "a CANCEL at the end of its hops"),
        ("Max-Forwards of 0 stops who would forward, not who is meant", "RFC 3261 §8.1.1.6, §16.3"),
        no_hops_left,
    ),
    Case::called(
        ("C16", "a CANCEL that requires something"),
        ("Require is ignored in a CANCEL", "RFC 3261 §8.2.2.3"),
        a_requirement,
    ),
    Case::called(
        ("C90", "a CANCEL with a reason"),
        ("Reason changes nothing for the transactions", "RFC 3326 §2, §3.1"),
        a_reason,
    ),
    Case::called(
        ("C89", "a CANCEL with a reason nobody knows"),
        ("unknown protocols and causes are ignored", "RFC 3326 §2"),
        an_unknown_reason,
    ),
    Case::called(
        ("C01", "a CANCEL in short and long forms"),
        ("compact names, other letters and folded lines mean the same", "RFC 3261 §7.3.1, §7.3.3"),
        other_forms,
    ),
    Case::called(
        ("C02", "a CANCEL with a body"),
        ("a body is no reason not to cancel", "RFC 3261 §9.1, §8.2.3"),
        a_body,
    ),
    Case::called(
        ("C04", "a CANCEL with two Via lines"),
        ("the topmost Via decides", "RFC 3261 §17.2.3"),
        two_vias,
    ),
    Case::called(
        ("S14", "a CANCEL that is cut off"),
        ("400 or silence, the INVITE is as pending as before, and nothing breaks", "RFC 3261 §18.3, §21.4.1"),
        cut_off,
    )
    .by_datagrams(),
    Case::called(
        ("C84", "a CANCEL whose CSeq has another method"),
        ("it is refused or ignored, and the INVITE is as pending as before", "RFC 3261 §8.1.1.5"),
        another_method_in_cseq,
    ),
    Case::called(
        ("R21", "a CANCEL of OPTIONS"),
        ("200 if the transaction is known, 481 if not, and no effect", "RFC 3261 §9.2"),
        a_cancel_of_options,
    ),
];

/// The target has nothing to cancel and says so.
fn must_be_481(stage: &mut Stage<'_>) -> Step {
    let answer = stage.expect(0, "a response to the CANCEL", answers(Method::Cancel, 200..=699))?;
    let said = word(&answer.message);
    stage.must(
        answer.message.status() == Some(481),
        format!("the CANCEL is answered with {said}, not with 481"),
    );
    Ok(())
}

/// The INVITE is pending: its own CANCEL ends it.
fn must_be_pending(stage: &mut Stage<'_>, call: &Call) -> Step {
    let early = stage.all(0, answers(Method::Invite, 200..=699));
    if let Some(end) = early.first() {
        if end.message.status() < Some(300) {
            return Err(Stop::Unclear("the target answered".to_owned()));
        }
        return Err(Stop::Failed(format!("the INVITE has ended: {}", word(&end.message))));
    }
    cancel(stage, call)?;
    cancel_answered(stage)?;
    let end = terminated(stage, call)?;
    must_be_487(stage, &end);
    Ok(())
}

/// Whatever is made of a CANCEL that is no good copy: the answer and the effect agree.
fn must_agree(stage: &mut Stage<'_>, call: &Call) -> Step {
    let answer = stage.hear(0, stage.settings.patience, answers(Method::Cancel, 200..=699))?;
    if answer.is_some_and(|answer| answer.message.status() < Some(300)) {
        let end = terminated(stage, call)?;
        must_be_487(stage, &end);
        return Ok(());
    }
    must_be_pending(stage, call)
}

/// It cancels, strange as it looks.
fn must_cancel(stage: &mut Stage<'_>, call: &Call) -> Step {
    cancel_answered(stage)?;
    let end = terminated(stage, call)?;
    must_be_487(stage, &end);
    Ok(())
}

/// Rings, and hears the CANCEL with a change.
fn changed(stage: &mut Stage<'_>, change: impl FnOnce(&Call, &str) -> String) -> Step<Call> {
    let (call, _) = ringing(stage)?;
    let text = change(&call, &call.cancel());
    stage.say(0, call.to, &text)?;
    Ok(call)
}

fn a_cancel_of_nothing(stage: &mut Stage<'_>) -> Step {
    let call = call(stage)?;
    cancel(stage, &call)?;
    must_be_481(stage)
}

fn another_branch(stage: &mut Stage<'_>) -> Step {
    let other = format!("z9hG4bK{}", fresh());
    let call = changed(stage, |call, text| text.replace(call.branch(), &other))?;
    must_be_481(stage)?;
    must_be_pending(stage, &call)
}

fn the_cancel_comes_first(stage: &mut Stage<'_>) -> Step {
    let call = call(stage)?;
    cancel(stage, &call)?;
    must_be_481(stage)?;
    stage.began(&call);
    stage.say(0, call.to, &call.invite())?;
    let first = stage.expect(0, "a response to the INVITE", answers(Method::Invite, 101..=699))?;
    let said = word(&first.message);
    stage.must(first.message.status() != Some(487), format!("the INVITE is answered with {said}"));
    Ok(())
}

fn a_to_tag(stage: &mut Stage<'_>) -> Step {
    let (call, rings) = ringing(stage)?;
    let to = super::stage::text(&rings.message, sip::message::Name::To);
    if super::stage::tag(&rings.message).is_none() {
        return Err(Stop::Unclear("there is no early dialog".to_owned()));
    }
    let text: String = call
        .cancel()
        .split_inclusive("\r\n")
        .map(|line| if line.starts_with("To:") { format!("To: {to}\r\n") } else { line.to_owned() })
        .collect();
    stage.say(0, call.to, &text)?;
    must_cancel(stage, &call)
}

fn another_sent_by(stage: &mut Stage<'_>) -> Step {
    let call = changed(stage, |call, text| {
        text.replacen(&call.sent_by(), &format!("{} inviter.invalid:5099", call.to.transport), 1)
    })?;
    must_agree(stage, &call)
}

fn another_port(stage: &mut Stage<'_>) -> Step {
    let (call, _) = ringing(stage)?;
    stage.say_aside(call.to, &call.cancel())?;
    stage.listen(stage.settings.patience.min(Duration::from_millis(500)))?;
    if !stage.all(0, call.answered(300..=699)).is_empty() {
        let end = terminated(stage, &call)?;
        must_be_487(stage, &end);
        return Ok(());
    }
    must_be_pending(stage, &call)
}

fn another_cseq(stage: &mut Stage<'_>) -> Step {
    let call = changed(stage, |_, text| text.replace("CSeq: 1 CANCEL", "CSeq: 2 CANCEL"))?;
    must_agree(stage, &call)
}

fn another_request_uri(stage: &mut Stage<'_>) -> Step {
    let call = changed(stage, |_, text| text.replacen("CANCEL sip:", "CANCEL sip:another-", 1))?;
    must_agree(stage, &call)
}

fn another_call_id(stage: &mut Stage<'_>) -> Step {
    let call = changed(stage, |_, text| text.replace("Call-ID: ", "Call-ID: another-"))?;
    must_agree(stage, &call)
}

fn no_max_forwards(stage: &mut Stage<'_>) -> Step {
    let call = changed(stage, |_, text| text.replace("Max-Forwards: 70\r\n", ""))?;
    must_agree(stage, &call)
}

fn no_hops_left(stage: &mut Stage<'_>) -> Step {
    let call = changed(stage, |_, text| text.replace("Max-Forwards: 70", "Max-Forwards: 0"))?;
    must_cancel(stage, &call)
}

fn a_requirement(stage: &mut Stage<'_>) -> Step {
    let call = changed(stage, |call, _| call.cancel_with("Require: nobody-has-this\r\n"))?;
    must_cancel(stage, &call)
}

fn a_reason(stage: &mut Stage<'_>) -> Step {
    let reason = "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n";
    let call = changed(stage, |call, _| call.cancel_with(reason))?;
    must_cancel(stage, &call)
}

fn an_unknown_reason(stage: &mut Stage<'_>) -> Step {
    let reason =
        "Reason: X-Nobody;cause=4711;text=\"\\\"\", Q.850;cause=16\r\nReason: RELEASE_CAUSE;cause=1\r\n";
    let call = changed(stage, |call, _| call.cancel_with(reason))?;
    must_cancel(stage, &call)
}

fn other_forms(stage: &mut Stage<'_>) -> Step {
    let call = changed(stage, |_, text| {
        let names = [
            ("Via: ", "v:  "),
            ("From: ", "f : "),
            ("To: ", "t:\r\n "),
            ("Call-ID: ", "i: "),
            ("CSeq: 1 CANCEL", "cseq: 1\r\n\tCANCEL"),
            ("Content-Length: ", "l: "),
            ("Max-Forwards", "MAX-FORWARDS"),
        ];
        names.iter().fold(text.to_owned(), |text, (long, short)| text.replacen(long, short, 1))
    })?;
    must_cancel(stage, &call)
}

fn a_body(stage: &mut Stage<'_>) -> Step {
    let call = changed(stage, |_, text| {
        text.replace("Content-Length: 0\r\n\r\n", "Content-Type: text/plain\r\nContent-Length: 4\r\n\r\nbye!")
    })?;
    must_cancel(stage, &call)
}

fn two_vias(stage: &mut Stage<'_>) -> Step {
    let second = "Via: SIP/2.0/UDP behind.invalid;branch=z9hG4bKbehind\r\nMax-Forwards";
    let call = changed(stage, |_, text| text.replacen("Max-Forwards", second, 1))?;
    must_agree(stage, &call)
}

fn cut_off(stage: &mut Stage<'_>) -> Step {
    let call = changed(stage, |_, text| text.split("CSeq").next().unwrap_or_default().to_owned())?;
    let text = call.cancel().replace("Content-Length: 0", "Content-Length: 999");
    stage.say(0, call.to, &text)?;
    stage.listen(Duration::from_millis(200))?;
    while let Some(answer) = stage.hear(0, Duration::ZERO, answers(Method::Cancel, 200..=699))? {
        if answer.message.status() < Some(300) {
            return Err(Stop::Failed("a CANCEL that is cut off is taken".to_owned()));
        }
    }
    must_be_pending(stage, &call)?;
    is_alive(stage)
}

fn another_method_in_cseq(stage: &mut Stage<'_>) -> Step {
    let call = changed(stage, |_, text| text.replace("1 CANCEL", "1 INVITE"))?;
    stage.listen(Duration::from_millis(200))?;
    let ended = stage.all(0, call.answered(487..=487));
    stage.must(ended.is_empty(), "it cancels");
    if !ended.is_empty() {
        return Ok(());
    }
    // What refuses it has the CSeq of the INVITE, and is not heard as the end of that.
    let refused = stage.all(0, call.answered(400..=499));
    if !refused.is_empty() {
        cancel(stage, &call)?;
        let end = stage.expect(0, "487 to the INVITE", call.answered(487..=487))?;
        return stage.say(0, call.to, &call.ack(&end.message));
    }
    must_be_pending(stage, &call)
}

fn a_cancel_of_options(stage: &mut Stage<'_>) -> Step {
    let call = call(stage)?;
    stage.say(0, call.to, &call.request("OPTIONS"))?;
    stage.expect(0, "a response to OPTIONS", answers(Method::Options, 200..=699))?;
    cancel(stage, &call)?;
    let answer = stage.expect(0, "a response to the CANCEL", answers(Method::Cancel, 200..=699))?;
    let said = word(&answer.message);
    stage.must(
        matches!(answer.message.status(), Some(200 | 481)),
        format!("the CANCEL is answered with {said}"),
    );
    Ok(())
}
