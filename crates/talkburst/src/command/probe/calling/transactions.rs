//! The transactions of INVITE and CANCEL: copies, timers, and what does not concern them.

use sip::Duration;
use sip::message::Method;

use super::super::call::{answer, fresh};
use super::super::case::Case;
use super::super::stage::{Stage, Step, asks, tag};
use super::{CHALLENGE, Ring, cancelled, cancels, end, one_cancel};

/// What is tried on the two transactions.
pub(in super::super) const CASES: &[Case] = &[
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
    )
    .by_datagrams(),
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
    )
    .by_datagrams(),
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
        ("R13", "a reliable 183 behind the CANCEL"),
        ("no second CANCEL; the 487 is acknowledged, with or without a PRACK", "RFC 3262 §4, R13"),
        a_reliable_response_behind,
    ),
    Case::calling(
        ("S6", "the INVITE is not answered"),
        ("timer A: it is sent again, unchanged", "RFC 3261 §17.1.1.2"),
        the_invite_is_sent_again,
    )
    .by_datagrams(),
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
];

fn several_early_dialogs(stage: &mut Stage<'_>) -> Step {
    let ring = Ring::wait(stage)?;
    for status in [180, 183, 180] {
        ring.answer_as(stage, status, &fresh())?;
    }
    let cancel = ring.cancel(stage)?;
    stage.must(tag(&cancel.message).is_none(), "To has a tag");
    end(stage, &ring, &cancel)?;
    stage.listen(stage.settings.t1)?;
    one_cancel(stage);
    Ok(())
}

fn more_provisional_responses(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    ring.answer_to(stage, &cancel, 200)?;
    stage.listen(Duration::from_millis(50))?;
    let before = cancels(stage);
    for status in [180, 183, 199] {
        ring.answer_as(stage, status, &fresh())?;
    }
    stage.listen(stage.settings.t1 * 2)?;
    stage.must(cancels(stage) == before, "a 1xx brings another CANCEL");
    ring.terminate(stage).map(|_| ())
}

fn the_cancel_is_sent_again(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    let again = stage.hear(0, stage.settings.t1 * 3, asks(Method::Cancel))?;
    ring.answer_to(stage, &cancel, 200)?;
    let is_same = again.is_some_and(|again| again.message.bytes() == cancel.message.bytes());
    stage.must(is_same, "the CANCEL is not sent again as it was");
    stage.listen(Duration::from_millis(50))?;
    let before = cancels(stage);
    stage.listen(stage.settings.t1 * 5)?;
    stage.must(cancels(stage) == before, "the CANCEL is sent again though it was answered");
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

fn a_reliable_response_behind(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    ring.answer_to(stage, &cancel, 200)?;
    let rest = format!(
        "Contact: <{}>\r\nRequire: 100rel\r\nRSeq: 7\r\nContent-Length: 0\r\n\r\n",
        stage.uri(0, "probe", ring.invite.from.transport)
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
