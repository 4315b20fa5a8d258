//! What the invited side says crosses the CANCEL, or came before it.

use sip::message::Method;
use sip::{Duration, Message};

use super::super::called::must_be_487;
use super::super::case::Case;
use super::super::stage::{Stage, Step, Stop, answers, asks, branch, tag, word};
use super::{Bridge, cancelled};

/// What is tried with responses that cross.
pub(in super::super) const CASES: &[Case] = &[
    Case::between(
        ("C36", "a 200 of the invited side crosses the CANCEL"),
        (
            "the 2xx is passed on, and ACK and BYE go through; or who is between acknowledges and leaves it",
            "RFC 3261 §16.7, §16.10",
        ),
        a_200_crosses,
    ),
    Case::between(
        ("R4", "a refusal crosses the CANCEL"),
        ("the inviter hears the refusal or a 487, once", "RFC 3261 §16.7, R4"),
        a_refusal_crosses,
    ),
    Case::between(
        ("C08", "a challenge of the invited side crosses the CANCEL"),
        ("no further INVITE goes to the invited side", "RFC 3261 §16.7, I3"),
        a_challenge_crosses,
    ),
    Case::between(
        ("I3", "a redirection crosses the CANCEL"),
        ("no further INVITE goes to anybody", "RFC 3261 §16.7 step 4, I3"),
        a_redirection_crosses,
    ),
    Case::between(
        ("R7", "481 to the CANCEL, then 487"),
        ("the inviter hears the 487, and nothing of the 481", "RFC 3261 §16.10"),
        a_481_then_487,
    ),
    Case::between(
        ("C46", "the CANCEL comes after the 200"),
        ("no CANCEL goes on, and the session stays", "RFC 3261 §16.10, §9.1"),
        a_late_cancel,
    ),
    Case::between(
        ("C61", "a re-INVITE is cancelled"),
        ("its CANCEL goes to the same side, and the session stays", "RFC 3261 §14.1, §16.10"),
        a_reinvite_is_cancelled,
    ),
];

fn a_200_crosses(stage: &mut Stage<'_>) -> Step {
    let (bridge, cancel) = cancelled(stage)?;
    bridge.answer(stage, 200)?;
    bridge.answer_to(stage, &cancel, 200)?;
    let end = stage.expect(0, "a final response for the inviter", bridge.call.answered(200..=699))?;
    if end.message.status() < Some(300) {
        return bridge.leave(stage, &end.message, &bridge.call);
    }
    // A user agent on either side has ended the inviter's half, and leaves the other half itself.
    must_be_487(stage, &end);
    stage.say(0, bridge.call.to, &bridge.call.ack(&end.message))?;
    stage.expect(1, "the ACK of the 200", asks(Method::Ack))?;
    let bye = stage.expect(1, "the BYE", asks(Method::Bye))?;
    bridge.answer_to(stage, &bye, 200)
}

/// The inviter cancels, and something else than 487 comes back.
fn crosses(stage: &mut Stage<'_>, status: u16, rest: &str) -> Step {
    let (bridge, cancel) = cancelled(stage)?;
    bridge.answer_with(stage, status, rest)?;
    bridge.answer_to(stage, &cancel, 200)?;
    stage.expect(1, "the ACK of the failure", asks(Method::Ack))?;
    let end = bridge.over(stage)?;
    let said = word(&end.message);
    let is_either = matches!(end.message.status(), Some(487)) || end.message.status() == Some(status);
    stage.must(is_either, format!("the inviter hears {said}"));
    stage.listen(stage.settings.t1 * 2)?;
    let own = branch(&bridge.invite.message);
    let others = stage.all(1, |message| message.is(Method::Invite) && branch(message) != own);
    stage.must(others.is_empty(), "another INVITE goes on after the CANCEL");
    Ok(())
}

fn a_refusal_crosses(stage: &mut Stage<'_>) -> Step {
    crosses(stage, 486, "")
}

fn a_challenge_crosses(stage: &mut Stage<'_>) -> Step {
    let challenge = "WWW-Authenticate: Digest realm=\"probe\", nonce=\"n\"\r\nContent-Length: 0\r\n\r\n";
    crosses(stage, 401, challenge)
}

fn a_redirection_crosses(stage: &mut Stage<'_>) -> Step {
    let contact = format!("Contact: <sip:elsewhere@{}>\r\nContent-Length: 0\r\n\r\n", stage.at(1));
    crosses(stage, 302, &contact)
}

fn a_481_then_487(stage: &mut Stage<'_>) -> Step {
    let (bridge, cancel) = cancelled(stage)?;
    bridge.okay(stage)?;
    bridge.answer_to(stage, &cancel, 481)?;
    stage.listen(Duration::from_millis(100))?;
    bridge.answer(stage, 487)?;
    let end = bridge.over(stage)?;
    must_be_487(stage, &end);
    let others = stage.all(0, answers(Method::Cancel, 481..=481));
    stage.must(others.is_empty(), "the 481 goes up");
    Ok(())
}

fn a_late_cancel(stage: &mut Stage<'_>) -> Step {
    let bridge = Bridge::ringing(stage)?;
    bridge.answer(stage, 200)?;
    let okay = stage.expect(0, "the 200 (INVITE)", bridge.call.answered(200..=299))?;
    bridge.cancel(stage)?;
    stage.expect(0, "a response to the CANCEL", answers(Method::Cancel, 200..=699))?;
    stage.listen(Duration::from_millis(200))?;
    let own = branch(&bridge.invite.message);
    let matching = stage.all(1, |message| message.is(Method::Cancel) && branch(message) == own);
    stage.must(matching.is_empty(), "a CANCEL goes to a branch that has answered");
    bridge.leave(stage, &okay.message, &bridge.call)
}

fn a_reinvite_is_cancelled(stage: &mut Stage<'_>) -> Step {
    let bridge = Bridge::ringing(stage)?;
    bridge.answer(stage, 200)?;
    let okay = stage.expect(0, "the 200 (INVITE)", bridge.call.answered(200..=299))?;
    stage.say(0, bridge.call.to, &bridge.call.ack(&okay.message))?;
    stage.expect(1, "the ACK of the 200", asks(Method::Ack))?;
    let again = bridge.call.dialog(&okay.message);
    stage.say(0, again.to, &again.invite())?;
    let is_further = |message: &Message| message.is(Method::Invite) && tag(message).is_some();
    let Some(reinvite) = stage.hear(1, stage.settings.patience, is_further)? else {
        let Some(own) = stage.hear(0, Duration::ZERO, again.answered(200..=299))? else {
            return Err(Stop::Failed("the re-INVITE does not go on and is not answered".to_owned()));
        };
        stage.say(0, again.to, &again.ack(&own.message))?;
        stage.say(0, again.to, &again.bye(&own.message))?;
        let bye = stage.expect(1, "the BYE", asks(Method::Bye))?;
        bridge.answer_to(stage, &bye, 200)?;
        return Err(Stop::Unclear("the target answers the re-INVITE itself".to_owned()));
    };
    let inner = Bridge { call: again.clone(), invite: reinvite, tag: bridge.tag.clone() };
    inner.answer(stage, 180)?;
    inner.rings(stage)?;
    inner.cancel(stage)?;
    let cancel = inner.cancelled(stage)?;
    let is_same = branch(&cancel.message) == branch(&inner.invite.message);
    stage.must(is_same, "the branch is not that of the re-INVITE that was passed on");
    inner.finish(stage, &cancel)?;
    let byes = stage.all(1, asks(Method::Bye));
    stage.must(byes.is_empty(), "the session has ended");
    stage.say(0, again.to, &again.bye(&okay.message))?;
    let bye = stage.expect(1, "the BYE", asks(Method::Bye))?;
    bridge.answer_to(stage, &bye, 200)?;
    stage.expect(0, "the response to the BYE", answers(Method::Bye, 200..=299)).map(|_| ())
}
