//! The target calls and gives up; the probe is the invited side, and a bad one.

use sip::message::{Method, Name};
use sip::{Duration, Message};

use super::call::answer;
use super::case::Case;
use super::stage::{Heard, Stage, Step, Stop, asks, branch, tag, text};

/// What is tried on who gives up.
pub(super) const CASES: &[Case] = &[
    Case::calling(
        ("I1", "the CANCEL is that of its INVITE"),
        ("Request-URI, Call-ID, From, To, CSeq number and Route are identical", "RFC 3261 §9.1, I1"),
        the_cancel_is_that_of_its_invite,
    ),
    Case::calling(
        ("C01", "To as in the INVITE"),
        ("To is that of the INVITE, octet for octet: no tag, though the 180 had one", "RFC 3261 §9.1"),
        to_has_no_tag,
    ),
    Case::calling(
        ("C04", "one Via, with the branch of the INVITE"),
        ("a single Via, identical to the topmost of the INVITE", "RFC 3261 §9.1"),
        one_via,
    ),
    Case::calling(
        ("C20", "what else is in the CANCEL"),
        (
            "Max-Forwards is there, Require and Proxy-Require are not, and there is no body",
            "RFC 3261 §8.1.1, §9.1",
        ),
        what_else_is_in_it,
    ),
    Case::calling(
        ("C12", "the CANCEL takes the way of its INVITE"),
        ("same source and destination, same transport", "RFC 3261 §9.1"),
        the_way_of_its_invite,
    ),
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
    Case::calling(
        ("C08", "a challenge crosses the CANCEL"),
        ("ACK, and no INVITE with credentials", "I3; RFC 3261 §22.2"),
        a_challenge_crosses,
    ),
    Case::calling(
        ("I3", "a redirection crosses the CANCEL"),
        ("ACK, and no INVITE to another place", "I3; RFC 3261 §8.1.3.4"),
        a_redirection_crosses,
    ),
    Case::calling(
        ("C17", "a 503 crosses the CANCEL"),
        ("ACK, and no INVITE to another server", "I3; RFC 3263 §4.3"),
        a_503_crosses,
    ),
    Case::calling(
        ("R10", "a refusal crosses the CANCEL"),
        ("ACK, and neither BYE nor another CANCEL", "RFC 3261 §17.1.1.3, R4"),
        a_refusal_crosses,
    ),
    Case::calling(
        ("C36", "a 200 crosses the CANCEL"),
        ("the 2xx is acknowledged, and left with BYE", "RFC 3261 §9.1, §13.2.2.4, §15; RFC 5407 §3.1.2"),
        a_200_crosses,
    ),
    Case::calling(
        ("C37", "a 200, then 481 to the CANCEL"),
        ("ACK and BYE all the same", "RFC 5407 §3.1.2"),
        a_200_then_481,
    ),
    Case::calling(
        ("R7", "481 to the CANCEL, then a 200"),
        ("ACK and BYE all the same", "RFC 5407 §3.1.2"),
        a_481_then_200,
    ),
    Case::calling(
        ("C45", "the 200 has the first tag"),
        ("no 1xx had a tag; the 2xx makes the dialog: ACK and BYE in it", "RFC 3261 §12.1.2, §13.2.2.4"),
        the_first_tag,
    ),
    Case::calling(
        ("C38", "copies of the 200 that crossed"),
        ("each copy is acknowledged, and there is one BYE", "RFC 3261 §13.2.2.4, I5"),
        copies_of_the_200,
    ),
    Case::calling(
        ("C42", "the BYE is of the dialog"),
        ("Request-URI is the Contact, CSeq is higher, both tags are there", "RFC 3261 §12.2.1.1"),
        the_bye_is_of_the_dialog,
    ),
    Case::calling(
        ("C41", "the BYE is not answered"),
        ("timer E: it is sent again until it is", "RFC 3261 §17.1.2.2"),
        the_bye_is_sent_again,
    ),
    Case::calling(
        ("C40", "a second fork answers too"),
        ("each 2xx is acknowledged and left, once", "RFC 3261 §13.2.2.4, I11"),
        two_forks,
    ),
    Case::calling(
        ("R9", "several early dialogs"),
        ("one CANCEL, without a To tag", "RFC 3261 §9.1, R9"),
        several_early_dialogs,
    ),
    Case::calling(
        ("I2", "more 1xx behind the CANCEL"),
        ("no second CANCEL transaction", "RFC 3261 §9.1, I2"),
        more_provisional_responses,
    ),
    Case::calling(
        ("S4", "the CANCEL is not answered"),
        ("timer E: it is sent again, unchanged, until it is", "RFC 3261 §17.1.2.2"),
        the_cancel_is_sent_again,
    ),
    Case::calling(
        ("C52", "481 to the CANCEL, then 487"),
        ("the 487 is acknowledged", "RFC 3261 §17.1.1.3, R28"),
        a_481_then_487,
    ),
    Case::calling(
        ("R24", "the CANCEL is challenged"),
        ("it is not sent again with credentials", "RFC 3261 §22.1"),
        the_cancel_is_challenged,
    ),
    Case::calling(
        ("S7", "copies of the 487"),
        (
            "each is acknowledged, with the branch of the INVITE and the To of the response",
            "RFC 3261 §17.1.1.2, §17.1.1.3",
        ),
        copies_of_the_487,
    ),
    Case::calling(
        ("I6", "487 before the 200 of the CANCEL"),
        ("the order of the two does not matter to who cancels", "RFC 3261 §9.1"),
        the_487_comes_first,
    ),
    Case::calling(
        ("S8", "200 (CANCEL) with another tag"),
        ("the tag of that response means nothing: the 487 is acknowledged", "RFC 3261 §9.1"),
        another_tag_in_the_200,
    ),
    Case::calling(
        ("S14", "responses in short and long forms"),
        ("compact names, other letters and folded lines mean the same", "RFC 3261 §7.3.1, §7.3.3"),
        other_forms,
    ),
    Case::calling(
        ("C46", "200 and BYE cross the CANCEL"),
        ("the BYE is answered, and the 200 acknowledged", "RFC 3261 §15.1.2, §13.2.2.4"),
        okay_and_bye_cross,
    ),
    Case::calling(
        ("R13", "a reliable 183 behind the CANCEL"),
        ("no second CANCEL; the 487 is acknowledged, with or without a PRACK", "RFC 3262 §4, R13"),
        a_reliable_response_behind,
    ),
    Case::calling(
        ("S6", "the INVITE is not answered"),
        ("timer A: it is sent again, unchanged", "RFC 3261 §17.1.1.2"),
        the_invite_is_sent_again,
    ),
    Case::calling(
        ("C62", "a 100 stops the copies of the INVITE"),
        ("in Proceeding the INVITE is not sent again", "RFC 3261 §17.1.1.2"),
        a_100_stops_timer_a,
    ),
    Case::long_calling(
        ("C76", "neither CANCEL nor INVITE is ever answered"),
        ("timer F: after 64*T1 nothing is sent any more", "RFC 3261 §9.1, §17.1.2.2, I9"),
        nobody_answers,
    ),
    Case::long_calling(
        ("C77", "200 to the CANCEL, and never a 487"),
        (
            "after 64*T1 the INVITE is over; a 487 that comes later brings no INVITE and no CANCEL",
            "RFC 3261 §9.1, I9",
        ),
        never_a_487,
    ),
    Case::long_calling(
        ("I5", "a 200 long after the CANCEL"),
        ("within 64*T1 a 2xx is acknowledged and left", "RFC 3261 §9.1, I5"),
        a_late_200,
    ),
];

/// The target's call, as the probe hears it.
struct Ring {
    invite: Heard,
    tag: String,
}

impl Ring {
    /// The target calls.
    fn wait(stage: &mut Stage<'_>) -> Step<Self> {
        Ok(Self { invite: stage.called()?, tag: super::call::fresh() })
    }

    /// Answers the INVITE.
    fn answer(&self, stage: &mut Stage<'_>, status: u16) -> Step {
        self.answer_as(stage, status, &self.tag)
    }

    /// The same as this fork.
    fn answer_as(&self, stage: &mut Stage<'_>, status: u16, tag: &str) -> Step {
        let contact = format!("Contact: <sip:probe@{}>\r\n", stage.at(0));
        let rest = match status {
            200..=299 => {
                let body = stage.description(0, Some(self.invite.message.body()));
                let length = body.len();
                format!("{contact}Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{body}")
            }
            101..=199 => format!("{contact}Content-Length: 0\r\n\r\n"),
            _ => String::new(),
        };
        self.answer_with(stage, status, tag, &rest)
    }

    fn answer_with(&self, stage: &mut Stage<'_>, status: u16, tag: &str, rest: &str) -> Step {
        stage.say(0, self.invite.from, &answer(&self.invite.message, status, tag, rest))
    }

    /// Answers another request.
    fn answer_to(&self, stage: &mut Stage<'_>, heard: &Heard, status: u16) -> Step {
        stage.say(0, heard.from, &answer(&heard.message, status, &self.tag, ""))
    }

    /// The CANCEL, which comes when the target gives up.
    fn cancel(&self, stage: &mut Stage<'_>) -> Step<Heard> {
        let within = stage.settings.gives_up_after * 2 + stage.settings.patience;
        stage.hear(0, within, asks(Method::Cancel))?.ok_or_else(|| Stop::Failed("no CANCEL".to_owned()))
    }

    /// 487, and the ACK of it.
    fn terminate(&self, stage: &mut Stage<'_>) -> Step<Heard> {
        self.answer(stage, 487)?;
        self.refused(stage)
    }

    /// The ACK of a failure.
    fn refused(&self, stage: &mut Stage<'_>) -> Step<Heard> {
        let ack = stage.expect(0, "the ACK", asks(Method::Ack))?;
        let is_same = branch(&ack.message) == branch(&self.invite.message);
        stage.must(is_same, "the ACK of a failure has not the branch of its INVITE");
        Ok(ack)
    }

    /// ACK, then BYE, in the dialog of this tag; the BYE is answered.
    fn left(&self, stage: &mut Stage<'_>, tag: &str) -> Step<(Heard, Heard)> {
        let is_fork =
            |message: &Message| super::stage::tag(message).is_some_and(|each| each == tag.as_bytes());
        let ack =
            stage.expect(0, "the ACK of the 200", |message| message.is(Method::Ack) && is_fork(message))?;
        let bye = stage.expect(0, "the BYE", |message| message.is(Method::Bye) && is_fork(message))?;
        stage.must(ack.at <= bye.at, "the BYE comes before the ACK");
        self.answer_to(stage, &bye, 200)?;
        Ok((ack, bye))
    }

    /// Nothing was begun after the wish: no other INVITE transaction.
    fn nothing_new(&self, stage: &mut Stage<'_>) -> Step {
        stage.listen(stage.settings.t1 * 2)?;
        let own = branch(&self.invite.message);
        let others = stage.all(0, |message| message.is(Method::Invite) && branch(message) != own);
        stage.must(others.is_empty(), "a new INVITE is sent after the wish to cancel");
        Ok(())
    }

    /// So long after the INVITE the target has given up.
    fn let_it_give_up(&self, stage: &mut Stage<'_>) -> Step {
        stage.listen(stage.settings.gives_up_after * 2)
    }
}

/// Rings, and hears the CANCEL.
fn cancelled(stage: &mut Stage<'_>) -> Step<(Ring, Heard)> {
    let ring = Ring::wait(stage)?;
    ring.answer(stage, 180)?;
    let cancel = ring.cancel(stage)?;
    Ok((ring, cancel))
}

/// As every peer would end it.
fn end(stage: &mut Stage<'_>, ring: &Ring, cancel: &Heard) -> Step {
    ring.answer_to(stage, cancel, 200)?;
    ring.terminate(stage).map(|_| ())
}

fn the_cancel_is_that_of_its_invite(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    let invite = &ring.invite.message;
    stage.must(cancel.message.uri_text() == invite.uri_text(), "another Request-URI");
    for name in [Name::CallId, Name::From, Name::To, Name::Route] {
        let is_same = cancel.message.values(name).eq(invite.values(name));
        stage.must(is_same, format!("another {}", name.as_str()));
    }
    let number = |message: &Message| message.cseq().map(|cseq| cseq.number).ok();
    stage.must(number(&cancel.message) == number(invite), "another CSeq number");
    stage.must(cancel.message.is_cseq_method(Method::Cancel), "CSeq does not name CANCEL");
    end(stage, &ring, &cancel)
}

fn to_has_no_tag(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    let is_same = cancel.message.value(Name::To) == ring.invite.message.value(Name::To);
    stage.must(is_same, format!("To is {}", text(&cancel.message, Name::To)));
    stage.must(tag(&cancel.message).is_none(), "To has a tag");
    end(stage, &ring, &cancel)
}

fn one_via(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    stage.must(cancel.message.vias().count() == 1, "more than one Via");
    let is_same = cancel.message.items(Name::Via).next() == ring.invite.message.items(Name::Via).next();
    stage.must(is_same, format!("Via is {}", text(&cancel.message, Name::Via)));
    end(stage, &ring, &cancel)
}

fn what_else_is_in_it(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    stage.must(cancel.message.value(Name::MaxForwards).is_some(), "no Max-Forwards");
    stage.must(cancel.message.value(Name::Require).is_none(), "Require in a CANCEL");
    stage.must(cancel.message.value(Name::ProxyRequire).is_none(), "Proxy-Require in a CANCEL");
    stage.must(cancel.message.body().is_empty(), "a body in a CANCEL");
    end(stage, &ring, &cancel)
}

fn the_way_of_its_invite(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    let (from, before) = (cancel.from, ring.invite.from);
    stage.must(from == before, format!("the CANCEL comes from {from}, the INVITE came from {before}"));
    end(stage, &ring, &cancel)
}

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

const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"probe\", nonce=\"n\", algorithm=MD5, qop=\"auth\"\r\n\
                         Content-Length: 0\r\n\r\n";

fn silence_then_a_refusal(stage: &mut Stage<'_>) -> Step {
    silence_then(stage, 486, "")
}

fn silence_then_a_challenge(stage: &mut Stage<'_>) -> Step {
    silence_then(stage, 401, CHALLENGE)
}

/// The target cancels, and another failure than 487 crosses.
fn crosses(stage: &mut Stage<'_>, status: u16, rest: &str) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    ring.answer_with(stage, status, &ring.tag, rest)?;
    ring.answer_to(stage, &cancel, 200)?;
    ring.refused(stage)?;
    ring.nothing_new(stage)?;
    let byes = stage.all(0, asks(Method::Bye));
    stage.must(byes.is_empty(), "a BYE, though the INVITE has failed");
    Ok(())
}

fn a_challenge_crosses(stage: &mut Stage<'_>) -> Step {
    crosses(stage, 401, CHALLENGE)
}

fn a_redirection_crosses(stage: &mut Stage<'_>) -> Step {
    let contact = format!("Contact: <sip:elsewhere@{}>\r\nContent-Length: 0\r\n\r\n", stage.at(0));
    crosses(stage, 302, &contact)
}

fn a_503_crosses(stage: &mut Stage<'_>) -> Step {
    crosses(stage, 503, "Retry-After: 0\r\nContent-Length: 0\r\n\r\n")
}

fn a_refusal_crosses(stage: &mut Stage<'_>) -> Step {
    crosses(stage, 486, "")
}

/// The target cancels, and a 200 crosses.
fn a_200_crosses_with(stage: &mut Stage<'_>, is_answered_first: bool, status: u16) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    if is_answered_first {
        ring.answer_to(stage, &cancel, status)?;
        ring.answer(stage, 200)?;
    } else {
        ring.answer(stage, 200)?;
        ring.answer_to(stage, &cancel, status)?;
    }
    ring.left(stage, &ring.tag).map(|_| ())
}

fn a_200_crosses(stage: &mut Stage<'_>) -> Step {
    a_200_crosses_with(stage, false, 200)
}

fn a_200_then_481(stage: &mut Stage<'_>) -> Step {
    a_200_crosses_with(stage, false, 481)
}

fn a_481_then_200(stage: &mut Stage<'_>) -> Step {
    a_200_crosses_with(stage, true, 481)
}

fn the_first_tag(stage: &mut Stage<'_>) -> Step {
    let ring = Ring::wait(stage)?;
    ring.answer(stage, 100)?;
    let cancel = ring.cancel(stage)?;
    ring.answer(stage, 200)?;
    ring.answer_to(stage, &cancel, 200)?;
    ring.left(stage, &ring.tag).map(|_| ())
}

fn copies_of_the_200(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    ring.answer(stage, 200)?;
    ring.answer_to(stage, &cancel, 200)?;
    ring.left(stage, &ring.tag)?;
    for _ in 0..3 {
        ring.answer(stage, 200)?;
        stage.expect(0, "the ACK of a copy of the 200", asks(Method::Ack))?;
    }
    stage.listen(stage.settings.t1)?;
    let mut byes: Vec<_> = stage.all(0, asks(Method::Bye)).iter().map(|bye| branch(&bye.message)).collect();
    byes.dedup();
    stage.must(byes.len() == 1, format!("{} BYEs for one session", byes.len()));
    Ok(())
}

fn the_bye_is_of_the_dialog(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    ring.answer(stage, 200)?;
    ring.answer_to(stage, &cancel, 200)?;
    let (ack, bye) = ring.left(stage, &ring.tag)?;
    let number = |heard: &Heard| heard.message.cseq().map(|cseq| cseq.number).unwrap_or_default();
    let contact = format!("sip:probe@{}", stage.at(0));
    for (heard, what) in [(&ack, "ACK"), (&bye, "BYE")] {
        let uri = heard.message.uri_text() == contact.as_bytes();
        stage.must(uri, format!("the Request-URI of the {what} is not the Contact of the 200"));
    }
    stage.must(number(&ack) == number(&ring.invite), "the ACK has another CSeq number than the INVITE");
    stage.must(
        number(&bye) > number(&ring.invite),
        "the CSeq number of the BYE is not higher than that of the INVITE",
    );
    let own = |message: &Message| message.from().ok().and_then(|from| from.tag().map(<[u8]>::to_vec));
    stage.must(own(&bye.message) == own(&ring.invite.message), "another From tag in the BYE");
    Ok(())
}

fn the_bye_is_sent_again(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    ring.answer(stage, 200)?;
    ring.answer_to(stage, &cancel, 200)?;
    let first = stage.expect(0, "the BYE", asks(Method::Bye))?;
    let again = stage.hear(0, stage.settings.t1 * 3, asks(Method::Bye))?;
    ring.answer_to(stage, &first, 200)?;
    let is_same = again.is_some_and(|again| again.message.bytes() == first.message.bytes());
    stage.must(is_same, "the BYE is not sent again as it was");
    Ok(())
}

fn two_forks(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    let other = super::call::fresh();
    ring.answer(stage, 200)?;
    ring.answer_as(stage, 200, &other)?;
    ring.answer_to(stage, &cancel, 200)?;
    ring.left(stage, &ring.tag)?;
    ring.left(stage, &other).map(|_| ())
}

fn several_early_dialogs(stage: &mut Stage<'_>) -> Step {
    let ring = Ring::wait(stage)?;
    for status in [180, 183, 180] {
        ring.answer_as(stage, status, &super::call::fresh())?;
    }
    let cancel = ring.cancel(stage)?;
    stage.must(tag(&cancel.message).is_none(), "To has a tag");
    end(stage, &ring, &cancel)?;
    stage.listen(stage.settings.t1)?;
    one_cancel(stage);
    Ok(())
}

/// All CANCELs are one transaction.
fn one_cancel(stage: &mut Stage<'_>) {
    let mut cancels: Vec<_> =
        stage.all(0, asks(Method::Cancel)).iter().map(|cancel| cancel.message.bytes().clone()).collect();
    cancels.dedup();
    stage.must(cancels.len() == 1, format!("{} different CANCELs", cancels.len()));
}

fn more_provisional_responses(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    ring.answer_to(stage, &cancel, 200)?;
    stage.listen(Duration::from_millis(50))?;
    let before = stage.all(0, asks(Method::Cancel)).len();
    for status in [180, 183, 199] {
        ring.answer_as(stage, status, &super::call::fresh())?;
    }
    stage.listen(stage.settings.t1 * 2)?;
    let after = stage.all(0, asks(Method::Cancel)).len();
    stage.must(after == before, "a 1xx brings another CANCEL");
    ring.terminate(stage).map(|_| ())
}

fn the_cancel_is_sent_again(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    let again = stage.hear(0, stage.settings.t1 * 3, asks(Method::Cancel))?;
    ring.answer_to(stage, &cancel, 200)?;
    let is_same = again.is_some_and(|again| again.message.bytes() == cancel.message.bytes());
    stage.must(is_same, "the CANCEL is not sent again as it was");
    stage.listen(Duration::from_millis(50))?;
    let before = stage.all(0, asks(Method::Cancel)).len();
    stage.listen(stage.settings.t1 * 5)?;
    let after = stage.all(0, asks(Method::Cancel)).len();
    stage.must(after == before, "the CANCEL is sent again though it was answered");
    ring.terminate(stage).map(|_| ())
}

fn a_481_then_487(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    ring.answer_to(stage, &cancel, 481)?;
    stage.listen(Duration::from_millis(50))?;
    ring.terminate(stage).map(|_| ())
}

fn the_cancel_is_challenged(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    stage.say(0, cancel.from, &answer(&cancel.message, 401, &ring.tag, CHALLENGE))?;
    stage.listen(stage.settings.t1 * 2)?;
    one_cancel(stage);
    ring.terminate(stage).map(|_| ())
}

fn copies_of_the_487(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    ring.answer_to(stage, &cancel, 200)?;
    for _ in 0..3 {
        let ack = ring.terminate(stage)?;
        let is_same = tag(&ack.message).is_some_and(|tag| tag == ring.tag.as_bytes());
        stage.must(is_same, "the ACK has not the To tag of the 487");
    }
    Ok(())
}

fn the_487_comes_first(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    ring.terminate(stage)?;
    ring.answer_to(stage, &cancel, 200)?;
    ring.nothing_new(stage)
}

fn another_tag_in_the_200(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    stage.say(0, cancel.from, &answer(&cancel.message, 200, "another", ""))?;
    ring.terminate(stage).map(|_| ())
}

fn other_forms(stage: &mut Stage<'_>) -> Step {
    let ring = Ring::wait(stage)?;
    let strange = |status| {
        let names = [
            ("Via: ", "v:  "),
            ("From: ", "f : "),
            ("To: ", "t:\r\n "),
            ("Call-ID: ", "i: "),
            ("Content-Length", "l"),
        ];
        let text = answer(&ring.invite.message, status, &ring.tag, "");
        names.iter().fold(text, |text, (long, short)| {
            text.replacen(&format!("\r\n{long}"), &format!("\r\n{short}"), 1)
        })
    };
    stage.say(0, ring.invite.from, &strange(180))?;
    let cancel = ring.cancel(stage)?;
    ring.answer_to(stage, &cancel, 200)?;
    stage.say(0, ring.invite.from, &strange(487))?;
    ring.refused(stage).map(|_| ())
}

fn okay_and_bye_cross(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    ring.answer(stage, 200)?;
    stage.say(0, ring.invite.from, &bye(stage, &ring))?;
    ring.answer_to(stage, &cancel, 200)?;
    stage.expect(0, "the ACK of the 200", asks(Method::Ack))?;
    stage.expect(0, "a response to the BYE", super::stage::answers(Method::Bye, 200..=499))?;
    if let Some(bye) = stage.hear(0, Duration::from_millis(100), asks(Method::Bye))? {
        ring.answer_to(stage, &bye, 200)?;
    }
    Ok(())
}

/// A BYE of the invited side.
fn bye(stage: &Stage<'_>, ring: &Ring) -> String {
    let invite = &ring.invite.message;
    let contact =
        invite.address(Name::Contact).map(|contact| String::from_utf8_lossy(contact.uri).into_owned());
    let routes: String = invite
        .items(Name::RecordRoute)
        .map(|route| format!("Route: {}\r\n", String::from_utf8_lossy(route).trim()))
        .collect();
    format!(
        "BYE {} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{};rport\r\nMax-Forwards: 70\r\n{routes}From: {};tag={}\r\n\
         To: {}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        contact.unwrap_or_default(),
        stage.at(0),
        super::call::fresh(),
        text(invite, Name::To),
        ring.tag,
        text(invite, Name::From),
        text(invite, Name::CallId),
    )
}

fn a_reliable_response_behind(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    ring.answer_to(stage, &cancel, 200)?;
    let rest = format!(
        "Contact: <sip:probe@{}>\r\nRequire: 100rel\r\nRSeq: 7\r\nContent-Length: 0\r\n\r\n",
        stage.at(0)
    );
    ring.answer_with(stage, 183, &ring.tag, &rest)?;
    if let Some(prack) = stage.hear(0, stage.settings.t1, asks(Method::Prack))? {
        ring.answer_to(stage, &prack, 200)?;
    }
    one_cancel(stage);
    ring.terminate(stage).map(|_| ())
}

fn the_invite_is_sent_again(stage: &mut Stage<'_>) -> Step {
    let ring = Ring::wait(stage)?;
    let again = stage.hear(0, stage.settings.t1 * 3, asks(Method::Invite))?;
    let is_same = again.is_some_and(|again| again.message.bytes() == ring.invite.message.bytes());
    stage.must(is_same, "the INVITE is not sent again as it was");
    Ok(())
}

fn a_100_stops_timer_a(stage: &mut Stage<'_>) -> Step {
    let ring = Ring::wait(stage)?;
    ring.answer(stage, 100)?;
    stage.listen(Duration::from_millis(20))?;
    let before = stage.all(0, asks(Method::Invite)).len();
    stage.listen(stage.settings.t1 * 4)?;
    let after = stage.all(0, asks(Method::Invite)).len();
    stage.must(after == before, "the INVITE is sent again after the 100");
    Ok(())
}

fn nobody_answers(stage: &mut Stage<'_>) -> Step {
    let (..) = cancelled(stage)?;
    stage.listen(stage.settings.t1 * 68)?;
    let before = stage.all(0, |_| true).len();
    stage.listen(stage.settings.t1 * 9)?;
    let after = stage.all(0, |_| true).len();
    stage.must(after == before, "something is still sent after 64*T1");
    one_cancel(stage);
    Ok(())
}

fn never_a_487(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    ring.answer_to(stage, &cancel, 200)?;
    stage.listen(stage.settings.t1 * 68)?;
    ring.answer(stage, 487)?;
    ring.nothing_new(stage)?;
    one_cancel(stage);
    Ok(())
}

fn a_late_200(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    ring.answer_to(stage, &cancel, 200)?;
    stage.listen(stage.settings.t1 * 56)?;
    ring.answer(stage, 200)?;
    ring.left(stage, &ring.tag).map(|_| ())
}
