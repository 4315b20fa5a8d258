//! The target is between two ends of the probe: it passes on what one says to the other.

pub(super) mod copies;
pub(super) mod crossing;
pub(super) mod passing;

use sip::Message;
use sip::message::Method;

use super::call::{Call, answer, fresh, register, send};
use super::called::must_be_487;
use super::stage::{Heard, Stage, Step, Stop, answers, asks, branch, word};

/// A call that the invited side has.
pub(super) struct Bridge {
    call: Call,
    pub(super) invite: Heard,
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
            stage.settings.name(1).map_or_else(|| stage.uri(1, "invited", through.transport), str::to_owned);
        Ok(Call::new(stage, 0, &uri, through))
    }

    fn arrived(stage: &mut Stage<'_>, call: Call) -> Step<Self> {
        let patience = stage.settings.patience;
        let Some(invite) = stage.hear(1, patience, asks(Method::Invite))? else {
            let said = stage.all(0, answers(Method::Invite, 200..=699));
            let said = said.last().map_or_else(|| "nothing".to_owned(), |said| word(&said.message));
            return Err(Stop::Unclear(format!("the INVITE does not come through: {said} is answered")));
        };
        Ok(Self { call, invite, tag: fresh() })
    }

    /// The same, and the inviter knows that the invited side rings.
    pub(super) fn ringing(stage: &mut Stage<'_>) -> Step<Self> {
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
        let contact = format!("Contact: <{}>\r\n", stage.uri(1, "invited", self.invite.from.transport));
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
    pub(super) fn cancel(&self, stage: &mut Stage<'_>) -> Step {
        stage.say(0, self.call.to, &self.call.cancel())
    }

    /// The CANCEL at the invited side.
    pub(super) fn cancelled(&self, stage: &mut Stage<'_>) -> Step<Heard> {
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
    pub(super) fn finish(&self, stage: &mut Stage<'_>, cancel: &Heard) -> Step<Heard> {
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
