//! The target is called and answers; the CANCEL comes too late, or is for something else.

use sip::message::Method;
use sip::{Duration, Message};

use super::call::{Call, send};
use super::called::{callee, cancel};
use super::case::Case;
use super::stage::{Heard, Stage, Step, Stop, answers, asks, is_of, tag, word};

/// What is tried once the target has answered.
pub(super) const CASES: &[Case] = &[
    Case::called(
        ("C46", "the CANCEL comes after the 200"),
        ("it has no effect: the session is there, until its BYE", "RFC 3261 §9.2"),
        a_cancel_after_the_200,
    ),
    Case::called(
        ("S11", "a late CANCEL is answered with 200"),
        (
            "the server transaction lives on in Accepted, so that the CANCEL matches it",
            "RFC 6026 §7.1, §8.7; RFC 3261 §9.2",
        ),
        a_late_cancel_gets_200,
    ),
    Case::called(
        ("C37", "a CANCEL in the session"),
        ("after the ACK a CANCEL ends nothing", "RFC 3261 §9.2"),
        a_cancel_in_the_session,
    ),
    Case::called(
        ("R3", "CANCEL, ACK, BYE behind a 200"),
        ("who has lost the race leaves: the BYE is answered with 2xx, once, and no other", "RFC 5407 §3.1.2"),
        the_race_is_lost,
    ),
    Case::called(
        ("C38", "the 200 is sent again until its ACK"),
        ("the 200 is sent again after T1, and no more after the ACK", "RFC 3261 §13.3.1.4"),
        the_200_is_sent_again,
    ),
    Case::called(
        ("S12", "copies of the INVITE behind the 200"),
        ("they are absorbed: no second call", "RFC 6026 §7.1"),
        copies_of_the_invite,
    ),
    Case::called(
        ("C45", "BYE without an ACK"),
        ("a BYE of the inviter ends the session, acknowledged or not", "RFC 3261 §15, §15.1.2"),
        bye_without_an_ack,
    ),
    Case::called(
        ("C61", "a re-INVITE is cancelled"),
        ("that re-INVITE ends, the session does not", "RFC 3261 §14.1, §9.2"),
        a_reinvite_is_cancelled,
    ),
    Case::called(
        ("I10", "a CANCEL of another call"),
        (
            "a CANCEL with the dialog's identifiers and a new branch gets 481 and ends nothing",
            "RFC 3261 §9.2, I10",
        ),
        a_cancel_with_a_new_branch,
    ),
    Case::called(
        ("R4", "the CANCEL comes after a refusal"),
        ("200, and the INVITE ends as it was refused: no 487", "RFC 3261 §9.2, R4"),
        a_cancel_after_a_refusal,
    ),
    Case::called(
        ("C42", "a BYE that was answered, again"),
        (
            "a copy gets the same answer; a new BYE gets 481, or 2xx from who remembers",
            "RFC 3261 §17.2.2, §15.1.2",
        ),
        a_second_bye,
    )
    .by_datagrams(),
];

/// The target answers: the call, and the 2xx.
fn answered(stage: &mut Stage<'_>) -> Step<(Call, Heard)> {
    let callee = match stage.settings.answers.clone() {
        Some(callee) => callee,
        None => callee(stage)?,
    };
    let mut call = Call::new(stage, 0, &callee.uri, callee.at);
    send(stage, &mut call)?;
    let patience = stage.settings.patience * 2;
    let Some(end) = stage.hear(0, patience, call.answered(200..=699))? else {
        return Err(Stop::Unclear("the target does not answer".to_owned()));
    };
    if end.message.status() >= Some(300) {
        return Err(Stop::Unclear(format!("the target refuses: {}", word(&end.message))));
    }
    Ok((call, end))
}

/// There is a session: its BYE gets 2xx, and the target has sent none.
fn must_end_with_bye(stage: &mut Stage<'_>, call: &Call, okay: &Message) -> Step {
    let byes = stage.all(0, asks(Method::Bye));
    stage.must(byes.is_empty(), "the target has left the session");
    stage.say(0, call.to, &call.bye(okay))?;
    let answer = stage.expect(0, "a response to the BYE", answers(Method::Bye, 200..=699))?;
    let said = word(&answer.message);
    stage.must(answer.message.status() < Some(300), format!("the session is gone: {said}"));
    Ok(())
}

fn acknowledge(stage: &mut Stage<'_>, call: &Call, okay: &Message) -> Step {
    stage.say(0, call.to, &call.ack(okay))
}

fn a_cancel_after_the_200(stage: &mut Stage<'_>) -> Step {
    let (call, okay) = answered(stage)?;
    cancel(stage, &call)?;
    let answer = stage.expect(0, "a response to the CANCEL", answers(Method::Cancel, 200..=699))?;
    let said = word(&answer.message);
    // RFC 3261 alone has no transaction left, and a 481 then.
    stage.must(
        matches!(answer.message.status(), Some(200 | 481)),
        format!("the CANCEL is answered with {said}"),
    );
    acknowledge(stage, &call, &okay.message)?;
    stage.listen(Duration::from_millis(200))?;
    let ended = stage.all(0, answers(Method::Invite, 300..=699));
    stage.must(ended.is_empty(), "a second final response follows the 200");
    must_end_with_bye(stage, &call, &okay.message)
}

fn a_late_cancel_gets_200(stage: &mut Stage<'_>) -> Step {
    let (call, okay) = answered(stage)?;
    cancel(stage, &call)?;
    let answer = stage.expect(0, "a response to the CANCEL", answers(Method::Cancel, 200..=699))?;
    let said = word(&answer.message);
    stage.must(answer.message.status() == Some(200), format!("the CANCEL is answered with {said}"));
    acknowledge(stage, &call, &okay.message)
}

fn a_cancel_in_the_session(stage: &mut Stage<'_>) -> Step {
    let (call, okay) = answered(stage)?;
    acknowledge(stage, &call, &okay.message)?;
    stage.listen(Duration::from_millis(50))?;
    cancel(stage, &call)?;
    stage.expect(0, "a response to the CANCEL", answers(Method::Cancel, 200..=699))?;
    stage.listen(Duration::from_millis(200))?;
    must_end_with_bye(stage, &call, &okay.message)
}

fn the_race_is_lost(stage: &mut Stage<'_>) -> Step {
    let (call, okay) = answered(stage)?;
    cancel(stage, &call)?;
    acknowledge(stage, &call, &okay.message)?;
    must_end_with_bye(stage, &call, &okay.message)?;
    stage.listen(Duration::from_millis(200))?;
    let byes = stage.all(0, asks(Method::Bye));
    stage.must(byes.is_empty(), "the target sends a BYE of its own");
    Ok(())
}

fn the_200_is_sent_again(stage: &mut Stage<'_>) -> Step {
    let (call, okay) = answered(stage)?;
    let again = stage.hear(0, stage.settings.t1 * 3, call.answered(200..=299))?;
    acknowledge(stage, &call, &okay.message)?;
    stage.must(again.is_some(), "without an ACK the 200 is not sent again");
    stage.must(again.is_none_or(|again| tag(&again.message) == tag(&okay.message)), "the To tag changes");
    // One may be on its way.
    stage.listen(Duration::from_millis(100))?;
    let before = stage.all(0, call.answered(200..=299)).len();
    stage.listen(stage.settings.t1 * 5)?;
    let after = stage.all(0, call.answered(200..=299)).len();
    stage.must(after == before, "after the ACK the 200 is sent again");
    must_end_with_bye(stage, &call, &okay.message)
}

fn copies_of_the_invite(stage: &mut Stage<'_>) -> Step {
    let (call, okay) = answered(stage)?;
    for _ in 0..2 {
        stage.say(0, call.to, &call.invite())?;
        stage.listen(Duration::from_millis(50))?;
    }
    acknowledge(stage, &call, &okay.message)?;
    stage.say(0, call.to, &call.invite())?;
    stage.listen(Duration::from_millis(300))?;
    let others = stage.all(0, |message| {
        is_of(message, Method::Invite) && message.status() > Some(100) && tag(message) != tag(&okay.message)
    });
    let what = others.first().map(|other| word(&other.message)).unwrap_or_default();
    stage.must(others.is_empty(), format!("a copy of the INVITE makes a second call: {what}"));
    must_end_with_bye(stage, &call, &okay.message)
}

fn bye_without_an_ack(stage: &mut Stage<'_>) -> Step {
    let (call, okay) = answered(stage)?;
    must_end_with_bye(stage, &call, &okay.message)?;
    // What was sent before the BYE came may still arrive.
    stage.listen(Duration::from_millis(50))?;
    acknowledge(stage, &call, &okay.message)
}

fn a_reinvite_is_cancelled(stage: &mut Stage<'_>) -> Step {
    let (call, okay) = answered(stage)?;
    acknowledge(stage, &call, &okay.message)?;
    stage.listen(Duration::from_millis(50))?;
    let again = call.dialog(&okay.message);
    stage.say(0, call.to, &again.invite())?;
    cancel(stage, &again)?;
    let end = stage.expect(0, "a final response to the re-INVITE", again.answered(200..=699))?;
    stage.say(0, call.to, &again.ack(&end.message))?;
    stage.expect(0, "a response to the CANCEL", answers(Method::Cancel, 200..=699))?;
    stage.listen(Duration::from_millis(200))?;
    must_end_with_bye(stage, &again, &okay.message)
}

fn a_cancel_with_a_new_branch(stage: &mut Stage<'_>) -> Step {
    let (call, okay) = answered(stage)?;
    acknowledge(stage, &call, &okay.message)?;
    stage.listen(Duration::from_millis(50))?;
    let other = call.dialog(&okay.message);
    stage.say(0, call.to, &other.cancel())?;
    let answer = stage.expect(0, "a response to the CANCEL", answers(Method::Cancel, 200..=699))?;
    let said = word(&answer.message);
    stage.must(answer.message.status() == Some(481), format!("the CANCEL is answered with {said}"));
    stage.listen(Duration::from_millis(200))?;
    must_end_with_bye(stage, &other, &okay.message)
}

fn a_cancel_after_a_refusal(stage: &mut Stage<'_>) -> Step {
    let callee = callee(stage)?;
    let call = Call::new(stage, 0, &callee.uri, callee.at).with("Require: nobody-has-this\r\n");
    stage.began(&call);
    stage.say(0, call.to, &call.invite())?;
    let Some(end) = stage.hear(0, stage.settings.patience, call.answered(101..=699))? else {
        return Err(Stop::Unclear("the INVITE is not answered".to_owned()));
    };
    if end.message.status() < Some(300) {
        return Err(Stop::Unclear("the target takes what it cannot fulfil".to_owned()));
    }
    cancel(stage, &call)?;
    let answer = stage.expect(0, "a response to the CANCEL", answers(Method::Cancel, 200..=699))?;
    let said = word(&answer.message);
    stage.must(answer.message.status() == Some(200), format!("the CANCEL is answered with {said}"));
    stage.listen(Duration::from_millis(100))?;
    stage.say(0, call.to, &call.ack(&end.message))?;
    let others =
        stage.all(0, |message| call.answered(200..=699)(message) && message.status() != end.message.status());
    stage.must(others.is_empty(), "the INVITE gets a second final response");
    Ok(())
}

fn a_second_bye(stage: &mut Stage<'_>) -> Step {
    let (call, okay) = answered(stage)?;
    acknowledge(stage, &call, &okay.message)?;
    stage.listen(Duration::from_millis(50))?;
    let bye = call.bye(&okay.message);
    for _ in 0..2 {
        stage.say(0, call.to, &bye)?;
        let answer = stage.expect(0, "a response to the BYE", answers(Method::Bye, 200..=699))?;
        let said = word(&answer.message);
        stage.must(answer.message.status() < Some(300), format!("the BYE is answered with {said}"));
    }
    stage.say(0, call.to, &call.dialog(&okay.message).bye(&okay.message))?;
    let answer = stage.expect(0, "a response to a new BYE", answers(Method::Bye, 200..=699))?;
    let said = word(&answer.message);
    let is_right = matches!(answer.message.status(), Some(200..=299 | 481));
    stage.must(is_right, format!("a BYE of no dialog is answered with {said}"));
    Ok(())
}
