//! The target calls and gives up; the probe is the invited side, and a bad one.

pub(super) mod content;
pub(super) mod crossing;
pub(super) mod silence;
pub(super) mod transactions;

use sip::Message;
use sip::message::Method;

use super::call::{answer, fresh};
use super::stage::{Heard, Stage, Step, Stop, asks, branch};

/// The target's call, as the probe hears it.
pub(super) struct Ring {
    pub(super) invite: Heard,
    pub(super) tag: String,
}

impl Ring {
    /// The target calls.
    pub(super) fn wait(stage: &mut Stage<'_>) -> Step<Self> {
        Ok(Self { invite: stage.called()?, tag: fresh() })
    }

    /// Answers the INVITE.
    pub(super) fn answer(&self, stage: &mut Stage<'_>, status: u16) -> Step {
        self.answer_as(stage, status, &self.tag)
    }

    /// The same as this fork.
    fn answer_as(&self, stage: &mut Stage<'_>, status: u16, tag: &str) -> Step {
        let contact = format!("Contact: <{}>\r\n", stage.uri(0, "probe", self.invite.from.transport));
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
    pub(super) fn answer_to(&self, stage: &mut Stage<'_>, heard: &Heard, status: u16) -> Step {
        stage.say(0, heard.from, &answer(&heard.message, status, &self.tag, ""))
    }

    /// The CANCEL, which comes when the target gives up.
    pub(super) fn cancel(&self, stage: &mut Stage<'_>) -> Step<Heard> {
        let within = stage.settings.gives_up_after * 2 + stage.settings.patience;
        stage.hear(0, within, asks(Method::Cancel))?.ok_or_else(|| Stop::Failed("no CANCEL".to_owned()))
    }

    /// 487, and the ACK of it.
    pub(super) fn terminate(&self, stage: &mut Stage<'_>) -> Step<Heard> {
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
    pub(super) fn left(&self, stage: &mut Stage<'_>, tag: &str) -> Step<(Heard, Heard)> {
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
pub(super) fn cancelled(stage: &mut Stage<'_>) -> Step<(Ring, Heard)> {
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

/// All CANCELs are one transaction.
/// How many CANCELs have come, copies among them.
pub(super) fn cancels(stage: &Stage<'_>) -> usize {
    stage.all(0, asks(Method::Cancel)).len()
}

fn one_cancel(stage: &mut Stage<'_>) {
    let mut cancels: Vec<_> =
        stage.all(0, asks(Method::Cancel)).iter().map(|cancel| cancel.message.bytes().clone()).collect();
    cancels.dedup();
    stage.must(cancels.len() == 1, format!("{} different CANCELs", cancels.len()));
}

const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"probe\", nonce=\"n\", algorithm=MD5, qop=\"auth\"\r\n\
                         Content-Length: 0\r\n\r\n";
