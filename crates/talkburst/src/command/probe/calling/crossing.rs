//! A final response of the invited side crosses the CANCEL.

use sip::message::{Method, Name};
use sip::{Duration, Message};

use super::super::call::fresh;
use super::super::case::Case;
use super::super::stage::{Heard, Stage, Step, answers, asks, branch, text};
use super::{CHALLENGE, Ring, cancelled};

/// What is tried with final responses that cross.
pub(in super::super) const CASES: &[Case] = &[
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
    )
    .by_datagrams(),
    Case::calling(
        ("C40", "a second fork answers too"),
        ("each 2xx is acknowledged and left, once", "RFC 3261 §13.2.2.4, I11"),
        two_forks,
    ),
    Case::calling(
        ("C46", "200 and BYE cross the CANCEL"),
        ("the BYE is answered, and the 200 acknowledged", "RFC 3261 §15.1.2, §13.2.2.4"),
        okay_and_bye_cross,
    ),
    Case::long_calling(
        ("I5", "a 200 long after the CANCEL"),
        ("within 64*T1 a 2xx is acknowledged and left", "RFC 3261 §9.1, I5"),
        a_late_200,
    ),
];

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
    let contact = stage.uri(0, "probe", ring.invite.from.transport);
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
    let other = fresh();
    ring.answer(stage, 200)?;
    ring.answer_as(stage, 200, &other)?;
    ring.answer_to(stage, &cancel, 200)?;
    ring.left(stage, &ring.tag)?;
    ring.left(stage, &other).map(|_| ())
}

fn okay_and_bye_cross(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    ring.answer(stage, 200)?;
    stage.say(0, ring.invite.from, &bye(stage, &ring))?;
    ring.answer_to(stage, &cancel, 200)?;
    stage.expect(0, "the ACK of the 200", asks(Method::Ack))?;
    stage.expect(0, "a response to the BYE", answers(Method::Bye, 200..=499))?;
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
        "BYE {} SIP/2.0\r\nVia: SIP/2.0/{} {};branch=z9hG4bK{};rport\r\nMax-Forwards: 70\r\n{routes}From: {};tag={}\r\n\
         To: {}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        contact.unwrap_or_default(),
        ring.invite.from.transport,
        stage.at(0),
        fresh(),
        text(invite, Name::To),
        ring.tag,
        text(invite, Name::From),
        text(invite, Name::CallId),
    )
}

fn a_late_200(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    ring.answer_to(stage, &cancel, 200)?;
    stage.listen(stage.settings.t1 * 56)?;
    ring.answer(stage, 200)?;
    ring.left(stage, &ring.tag).map(|_| ())
}
