//! What the target passes on of a CANCEL, and when.

use sip::message::{Method, Name};
use sip::{Duration, Message};

use super::super::call::{fresh, prepare};
use super::super::called::must_be_487;
use super::super::case::Case;
use super::super::stage::{Stage, Step, Stop, answers, asks, branch, text, word};
use super::{Bridge, cancelled};

/// What is tried on what is passed on.
pub(in super::super) const CASES: &[Case] = &[
    Case::between(
        ("C05", "each hop's CANCEL has the branch of that hop's INVITE"),
        ("one Via: that of the INVITE that was passed on", "RFC 3261 §9.1, §16.10"),
        the_branch_of_the_hop,
    ),
    Case::between(
        ("I1", "the CANCEL that is passed on is that of its INVITE"),
        (
            "Request-URI, Call-ID, From, To and CSeq number as in the INVITE that was passed on",
            "RFC 3261 §9.1, I1",
        ),
        identity,
    ),
    Case::between(
        ("C20", "what else is in the CANCEL that is passed on"),
        (
            "Max-Forwards is there, Require and Proxy-Require are not, and there is no body",
            "RFC 3261 §9.1, §8.1.1",
        ),
        what_else_is_in_it,
    ),
    Case::between(
        ("C72", "the CANCEL is answered at once"),
        ("200 before the invited side has said anything", "RFC 3261 §16.10, I6"),
        answered_at_once,
    ),
    Case::between(
        ("C49", "the 487 of the invited side reaches the inviter"),
        ("one 487 upstream, acknowledged on either hop by itself", "RFC 3261 §16.7, §17.1.1.3"),
        the_487_goes_up,
    ),
    Case::between(
        ("C24", "no CANCEL before the invited side has said anything"),
        ("a branch without a provisional response is not cancelled yet", "RFC 3261 §9.1, §16.10"),
        no_cancel_before_a_1xx,
    ),
    Case::between(
        ("C22", "the CANCEL goes on with the first 1xx"),
        ("the wish waits for the 1xx of the branch, and no longer", "RFC 3261 §9.1"),
        the_cancel_goes_with_the_1xx,
    ),
    Case::between(
        ("C52", "a CANCEL that matches nothing"),
        ("481, or it is passed on statelessly", "RFC 3261 §16.10, §9.2"),
        nothing_to_cancel,
    ),
    Case::between(
        ("I7", "a CANCEL with another branch"),
        ("the INVITE stays pending", "RFC 3261 §16.10, §17.2.3"),
        another_branch,
    ),
    Case::between(
        ("C57", "a CANCEL with a To tag"),
        ("the branch decides: it cancels all the same", "RFC 3261 §9.2, §17.2.3"),
        a_to_tag,
    ),
    Case::between(
        ("C88", "the reason of the CANCEL"),
        ("Reason is in the CANCEL that is passed on", "RFC 3326 §1, I13"),
        the_reason_goes_on,
    ),
    Case::between(
        ("C65", "INVITE and CANCEL in one burst"),
        ("the invited side is not left ringing", "RFC 3261 §16.10, §9.2"),
        one_burst,
    ),
];

fn the_branch_of_the_hop(stage: &mut Stage<'_>) -> Step {
    let (bridge, cancel) = cancelled(stage)?;
    stage.must(cancel.message.vias().count() == 1, "more than one Via");
    let is_same = branch(&cancel.message) == branch(&bridge.invite.message);
    stage.must(is_same, "the branch is not that of the INVITE that was passed on");
    let top = |message: &Message| message.items(Name::Via).next().map(<[u8]>::to_vec);
    stage.must(top(&cancel.message) == top(&bridge.invite.message), "another topmost Via");
    bridge.finish(stage, &cancel).map(|_| ())
}

fn identity(stage: &mut Stage<'_>) -> Step {
    let (bridge, cancel) = cancelled(stage)?;
    let invite = &bridge.invite.message;
    stage.must(cancel.message.uri_text() == invite.uri_text(), "another Request-URI");
    for name in [Name::CallId, Name::From, Name::To] {
        stage.must(cancel.message.value(name) == invite.value(name), format!("another {}", name.as_str()));
    }
    let number = |message: &Message| message.cseq().map(|cseq| cseq.number).ok();
    stage.must(number(&cancel.message) == number(invite), "another CSeq number");
    bridge.finish(stage, &cancel).map(|_| ())
}

fn what_else_is_in_it(stage: &mut Stage<'_>) -> Step {
    let (bridge, cancel) = cancelled(stage)?;
    stage.must(cancel.message.value(Name::MaxForwards).is_some(), "no Max-Forwards");
    stage.must(cancel.message.value(Name::Require).is_none(), "Require in a CANCEL");
    stage.must(cancel.message.value(Name::ProxyRequire).is_none(), "Proxy-Require in a CANCEL");
    stage.must(cancel.message.body().is_empty(), "a body in a CANCEL");
    bridge.finish(stage, &cancel).map(|_| ())
}

fn answered_at_once(stage: &mut Stage<'_>) -> Step {
    let (bridge, cancel) = cancelled(stage)?;
    bridge.okay(stage)?;
    bridge.finish(stage, &cancel).map(|_| ())
}

fn the_487_goes_up(stage: &mut Stage<'_>) -> Step {
    let (bridge, cancel) = cancelled(stage)?;
    bridge.finish(stage, &cancel)?;
    stage.listen(stage.settings.t1 * 2)?;
    let ends =
        stage.all(0, |message| bridge.call.answered(200..=699)(message) && message.status() != Some(487));
    stage.must(ends.is_empty(), "another final response follows the 487");
    Ok(())
}

fn no_cancel_before_a_1xx(stage: &mut Stage<'_>) -> Step {
    let bridge = Bridge::build(stage)?;
    bridge.cancel(stage)?;
    stage.listen(stage.settings.t1 * 2)?;
    let early = bridge.cancels(stage);
    stage.must(early == 0, "a CANCEL to who has said nothing");
    bridge.answer(stage, 487)?;
    Ok(())
}

fn the_cancel_goes_with_the_1xx(stage: &mut Stage<'_>) -> Step {
    let bridge = Bridge::build(stage)?;
    bridge.cancel(stage)?;
    stage.listen(stage.settings.t1.min(Duration::from_millis(300)))?;
    if bridge.cancels(stage) > 0 {
        return Err(Stop::Unclear("the CANCEL has come before".to_owned()));
    }
    bridge.answer(stage, 180)?;
    let cancel = bridge.cancelled(stage)?;
    bridge.answer_to(stage, &cancel, 200)?;
    bridge.answer(stage, 487)?;
    stage.expect(1, "the ACK of the 487", asks(Method::Ack))?;
    let end = bridge.over(stage)?;
    must_be_487(stage, &end);
    Ok(())
}

fn nothing_to_cancel(stage: &mut Stage<'_>) -> Step {
    let call = Bridge::call(stage)?;
    stage.say(0, call.to, &call.cancel())?;
    let answer = stage.hear(0, stage.settings.patience, answers(Method::Cancel, 200..=699))?;
    let passed = !stage.all(1, asks(Method::Cancel)).is_empty();
    let said = answer.map_or_else(|| "nothing".to_owned(), |answer| word(&answer.message));
    stage.must(passed || said.starts_with("481"), format!("the CANCEL of nothing gets {said}"));
    Ok(())
}

fn another_branch(stage: &mut Stage<'_>) -> Step {
    let bridge = Bridge::ringing(stage)?;
    let other = format!("z9hG4bK{}", fresh());
    stage.say(0, bridge.call.to, &bridge.call.cancel().replace(bridge.call.branch(), &other))?;
    stage.listen(stage.settings.t1.min(Duration::from_millis(300)))?;
    let own = branch(&bridge.invite.message);
    let matching = stage.all(1, |message| message.is(Method::Cancel) && branch(message) == own);
    stage.must(matching.is_empty(), "a CANCEL of another branch cancels");
    let ends = stage.all(0, bridge.call.answered(200..=699));
    stage.must(ends.is_empty(), "the INVITE has ended");
    bridge.cancel(stage)?;
    let cancel = stage.expect(1, "the CANCEL at the invited side", |message| {
        message.is(Method::Cancel) && branch(message) == own
    })?;
    bridge.finish(stage, &cancel).map(|_| ())
}

fn a_to_tag(stage: &mut Stage<'_>) -> Step {
    let bridge = Bridge::ringing(stage)?;
    let text: String = bridge
        .call
        .cancel()
        .split_inclusive("\r\n")
        .map(|line| match line.strip_suffix("\r\n") {
            Some(to) if to.starts_with("To:") => format!("{to};tag={}\r\n", bridge.tag),
            Some(_) | None => line.to_owned(),
        })
        .collect();
    stage.say(0, bridge.call.to, &text)?;
    bridge.okay(stage)?;
    let cancel = bridge.cancelled(stage)?;
    bridge.finish(stage, &cancel).map(|_| ())
}

fn the_reason_goes_on(stage: &mut Stage<'_>) -> Step {
    let bridge = Bridge::ringing(stage)?;
    let reason = "SIP;cause=200;text=\"Call completed elsewhere\"";
    stage.say(0, bridge.call.to, &bridge.call.cancel_with(&format!("Reason: {reason}\r\n")))?;
    let cancel = bridge.cancelled(stage)?;
    let said = text(&cancel.message, Name::Reason);
    stage.must(said == reason, format!("Reason is {said:?}"));
    bridge.finish(stage, &cancel).map(|_| ())
}

fn one_burst(stage: &mut Stage<'_>) -> Step {
    let mut call = Bridge::call(stage)?;
    prepare(stage, &mut call)?;
    stage.began(&call);
    stage.say_at_once(0, call.to, &[&call.invite(), &call.cancel()])?;
    let okay = stage.expect(0, "a response to the CANCEL", answers(Method::Cancel, 200..=699))?;
    let said = word(&okay.message);
    stage.must(okay.message.status() == Some(200), format!("the CANCEL is answered with {said}"));
    // The INVITE may never have gone on.
    if let Some(invite) = stage.hear(1, Duration::from_millis(300), asks(Method::Invite))? {
        let bridge = Bridge { call: call.clone(), invite, tag: fresh() };
        bridge.answer(stage, 180)?;
        let cancel = bridge.cancelled(stage)?;
        bridge.answer_to(stage, &cancel, 200)?;
        bridge.answer(stage, 487)?;
    }
    let end = stage.expect(0, "a final response for the inviter", call.answered(300..=699))?;
    stage.say(0, call.to, &call.ack(&end.message))?;
    must_be_487(stage, &end);
    Ok(())
}
