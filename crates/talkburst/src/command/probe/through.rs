//! The target is between two ends of the probe: it passes on what one says to the other.

use sip::message::{Method, Name};
use sip::{Duration, Message};

use super::call::{Call, answer, prepare, register, send};
use super::called::must_be_487;
use super::case::Case;
use super::stage::{Heard, Stage, Step, Stop, answers, asks, branch, tag, text, word};

/// What is tried on who is between.
pub(super) const CASES: &[Case] = &[
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
        ("C53", "copies of the CANCEL"),
        ("each gets the 200; one CANCEL goes on, and one 487 comes back", "RFC 3261 §17.2.2, §16.10"),
        copies_of_the_cancel,
    ),
    Case::between(
        ("C54", "three CANCELs in ten milliseconds"),
        ("one CANCEL transaction goes on", "RFC 3261 §17.2.2, I8"),
        three_at_once,
    ),
    Case::between(
        ("C36", "a 200 of the invited side crosses the CANCEL"),
        ("the 2xx is passed on; ACK and BYE go through", "RFC 3261 §16.7, §16.10"),
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
        ("R6", "the inviter does not acknowledge the 487"),
        ("timer G: it is sent again, unchanged", "RFC 3261 §17.2.1"),
        the_487_is_sent_again,
    ),
    Case::between(
        ("S7", "the invited side repeats the 487"),
        ("each copy is acknowledged, and none goes up", "RFC 3261 §17.1.1.2"),
        copies_of_the_487,
    ),
    Case::between(
        ("S4", "the invited side does not answer the CANCEL"),
        ("timer E: it is sent again, unchanged", "RFC 3261 §17.1.2.2"),
        the_cancel_is_sent_again,
    ),
    Case::between(
        ("R7", "481 to the CANCEL, then 487"),
        ("the inviter hears the 487, and nothing of the 481", "RFC 3261 §16.10"),
        a_481_then_487,
    ),
    Case::between(
        ("I2", "more 1xx behind the CANCEL"),
        ("no second CANCEL to the same branch", "RFC 3261 §9.1, I2"),
        more_provisional_responses,
    ),
    Case::between(
        ("C65", "INVITE and CANCEL in one burst"),
        ("the invited side is not left ringing", "RFC 3261 §16.10, §9.2"),
        one_burst,
    ),
    Case::between(
        ("C62", "a 100 of the invited side"),
        ("it stops the copies of the INVITE, and does not go up", "RFC 3261 §17.1.1.2, §16.7 step 5"),
        a_100_stays,
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

/// A call that the invited side has.
struct Bridge {
    call: Call,
    invite: Heard,
    tag: String,
}

impl Bridge {
    /// The INVITE has come through; nothing is said to it.
    fn build(stage: &mut Stage<'_>) -> Step<Self> {
        let mut call = Self::call(stage)?;
        send(stage, &mut call)?;
        Self::arrived(stage, call)
    }

    /// A call, with both ends where the target finds them.
    fn call(stage: &mut Stage<'_>) -> Step<Call> {
        let Some(through) = stage.settings.through else {
            return Err(Stop::Unclear("nobody is between".to_owned()));
        };
        for end in 0..2 {
            register(stage, end, through, 600)?;
        }
        let uri =
            stage.settings.name(1).map_or_else(|| format!("sip:invited@{}", stage.at(1)), str::to_owned);
        Ok(Call::new(stage, 0, &uri, through))
    }

    fn arrived(stage: &mut Stage<'_>, call: Call) -> Step<Self> {
        let patience = stage.settings.patience;
        let Some(invite) = stage.hear(1, patience, asks(Method::Invite))? else {
            let said = stage.all(0, answers(Method::Invite, 200..=699));
            let said = said.last().map_or_else(|| "nothing".to_owned(), |said| word(&said.message));
            return Err(Stop::Unclear(format!("the INVITE does not come through: {said} is answered")));
        };
        Ok(Self { call, invite, tag: super::call::fresh() })
    }

    /// The same, and the inviter knows that the invited side rings.
    fn ringing(stage: &mut Stage<'_>) -> Step<Self> {
        let bridge = Self::build(stage)?;
        bridge.answer(stage, 180)?;
        bridge.rings(stage)?;
        Ok(bridge)
    }

    fn rings(&self, stage: &mut Stage<'_>) -> Step {
        stage.expect(0, "the 180", self.call.answered(180..=183)).map(|_| ())
    }

    /// The invited side answers the INVITE.
    fn answer(&self, stage: &mut Stage<'_>, status: u16) -> Step {
        let contact = format!("Contact: <sip:invited@{}>\r\n", stage.at(1));
        let rest = match status {
            200..=299 => {
                let body = stage.description(1, Some(self.invite.message.body()));
                let length = body.len();
                format!("{contact}Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{body}")
            }
            101..=199 => format!("{contact}Content-Length: 0\r\n\r\n"),
            _ => String::new(),
        };
        self.answer_with(stage, status, &rest)
    }

    fn answer_with(&self, stage: &mut Stage<'_>, status: u16, rest: &str) -> Step {
        stage.say(1, self.invite.from, &answer(&self.invite.message, status, &self.tag, rest))
    }

    /// The invited side answers another request.
    fn answer_to(&self, stage: &mut Stage<'_>, heard: &Heard, status: u16) -> Step {
        stage.say(1, heard.from, &answer(&heard.message, status, &self.tag, ""))
    }

    /// The inviter cancels.
    fn cancel(&self, stage: &mut Stage<'_>) -> Step {
        stage.say(0, self.call.to, &self.call.cancel())
    }

    /// The CANCEL at the invited side.
    fn cancelled(&self, stage: &mut Stage<'_>) -> Step<Heard> {
        stage.expect(1, "the CANCEL at the invited side", asks(Method::Cancel))
    }

    /// 200 for the inviter's CANCEL.
    fn okay(&self, stage: &mut Stage<'_>) -> Step<Heard> {
        let okay = stage.expect(0, "a response to the CANCEL", answers(Method::Cancel, 200..=699))?;
        let said = word(&okay.message);
        stage.must(okay.message.status() == Some(200), format!("the CANCEL is answered with {said}"));
        Ok(okay)
    }

    /// The final response that the inviter hears, acknowledged.
    fn over(&self, stage: &mut Stage<'_>) -> Step<Heard> {
        let end = stage.expect(0, "a final response for the inviter", self.call.answered(300..=699))?;
        stage.say(0, self.call.to, &self.call.ack(&end.message))?;
        Ok(end)
    }

    /// As it goes when nothing is wrong, from the CANCEL at the invited side on.
    fn finish(&self, stage: &mut Stage<'_>, cancel: &Heard) -> Step<Heard> {
        self.answer_to(stage, cancel, 200)?;
        self.answer(stage, 487)?;
        stage.expect(1, "the ACK of the 487", asks(Method::Ack))?;
        let end = self.over(stage)?;
        must_be_487(stage, &end);
        Ok(end)
    }

    /// Different CANCELs at the invited side.
    fn cancels(&self, stage: &Stage<'_>) -> usize {
        let mut cancels: Vec<_> =
            stage.all(1, asks(Method::Cancel)).iter().map(|cancel| branch(&cancel.message)).collect();
        cancels.dedup();
        cancels.len()
    }

    /// The inviter acknowledges the 200, leaves, and the invited side hears it.
    fn leave(&self, stage: &mut Stage<'_>, okay: &Message, call: &Call) -> Step {
        stage.say(0, call.to, &call.ack(okay))?;
        stage.expect(1, "the ACK of the 200", asks(Method::Ack))?;
        stage.say(0, call.to, &call.bye(okay))?;
        let bye = stage.expect(1, "the BYE", asks(Method::Bye))?;
        self.answer_to(stage, &bye, 200)?;
        let answer = stage.expect(0, "the response to the BYE", answers(Method::Bye, 200..=699))?;
        let said = word(&answer.message);
        stage.must(answer.message.status() == Some(200), format!("the BYE is answered with {said}"));
        Ok(())
    }
}

/// It rings, the inviter cancels, and the CANCEL comes through.
fn cancelled(stage: &mut Stage<'_>) -> Step<(Bridge, Heard)> {
    let bridge = Bridge::ringing(stage)?;
    bridge.cancel(stage)?;
    let cancel = bridge.cancelled(stage)?;
    Ok((bridge, cancel))
}

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

fn a_200_crosses(stage: &mut Stage<'_>) -> Step {
    let (bridge, cancel) = cancelled(stage)?;
    bridge.answer(stage, 200)?;
    bridge.answer_to(stage, &cancel, 200)?;
    let okay = stage.expect(0, "the 200 (INVITE)", bridge.call.answered(200..=299))?;
    bridge.leave(stage, &okay.message, &bridge.call)
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
    let other = format!("z9hG4bK{}", super::call::fresh());
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

fn one_burst(stage: &mut Stage<'_>) -> Step {
    let mut call = Bridge::call(stage)?;
    prepare(stage, &mut call)?;
    stage.began(&call);
    stage.say(0, call.to, &call.invite())?;
    stage.say(0, call.to, &call.cancel())?;
    let okay = stage.expect(0, "a response to the CANCEL", answers(Method::Cancel, 200..=699))?;
    let said = word(&okay.message);
    stage.must(okay.message.status() == Some(200), format!("the CANCEL is answered with {said}"));
    // The INVITE may never have gone on.
    if let Some(invite) = stage.hear(1, Duration::from_millis(300), asks(Method::Invite))? {
        let bridge = Bridge { call: call.clone(), invite, tag: super::call::fresh() };
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
    let reinvite =
        stage.expect(1, "the re-INVITE", |message| message.is(Method::Invite) && tag(message).is_some())?;
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
