//! Responses on their way back: RFC 3261 §16.7.

use bytes::Bytes;
use sip::Headers;
use sip::message::{Essentials, Message, Name, Writer, reason_phrase};
use sip::reply::Extra;
use sip::transport::Path;

use super::context::State;
use crate::hub::Core;
use crate::releasing::{self, Duty};
use crate::transaction::Machine;

/// Challenges that are kept of all branches.
const CHALLENGES_MAX: usize = 16;

/// A final response of a branch.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    /// One that came.
    Theirs { path: Path, response: Box<Message>, status: u16 },
    /// What counts as one: nothing came, or nothing could be sent.
    Ours(u16),
}

impl Said {
    fn status(&self) -> u16 {
        match self {
            Self::Theirs { status, .. } | Self::Ours(status) => *status,
        }
    }
}

/// The best of the final responses so far (step 6), and the challenges of all of them (step 7).
#[derive(Clone, Debug, Default)]
pub(crate) struct Best {
    said: Option<Box<Said>>,
    challenges: Vec<(Name, Bytes)>,
}

/// What is better has a smaller rank: a 6xx before all, then the lower class; of a class, first what tells the sender how to
/// ask again, last what says nothing.
fn rank(said: &Said) -> (u16, u8) {
    let status = said.status();
    let class = if status >= 600 { 0 } else { status / 100 };
    let within = match (said, status) {
        (_, 401 | 407 | 415 | 420 | 484) => 0,
        (_, 408 | 487 | 503) => 2,
        (Said::Ours(_), _) => 3,
        (Said::Theirs { .. }, _) => 1,
    };
    (class, within)
}

impl Best {
    /// A branch is over.
    pub(crate) fn note(&mut self, said: Said) {
        if let Said::Theirs { response, status: 401 | 407, .. } = &said {
            for name in [Name::WwwAuthenticate, Name::ProxyAuthenticate] {
                let values = response.values(name).map(|value| (name, Bytes::copy_from_slice(value)));
                self.challenges.extend(values);
            }
            self.challenges.truncate(CHALLENGES_MAX);
        }
        if self.said.as_ref().is_none_or(|best| rank(&said) < rank(best)) {
            self.said = Some(Box::new(said));
        }
    }
}

impl Core {
    /// Step 5: a 1xx but 100 goes on at once, as long as there is no final response.
    pub(crate) fn pass_on_provisional(
        &mut self,
        context: usize,
        path: &Path,
        response: &Message,
        status: u16,
    ) {
        if status == 100 || self.contexts[context].state == State::Answered {
            return;
        }
        if let Some(bytes) = self.returned(context, path, response, &[]) {
            self.respond(context, status, bytes);
        }
    }

    /// Step 5: a 2xx goes on at once, to an INVITE always; what else there is has lost (step 10).
    pub(crate) fn pass_on_success(
        &mut self,
        context: usize,
        path: &Path,
        response: &Essentials<'_>,
        status: u16,
    ) {
        let Some(bytes) = self.returned(context, path, response, &[]) else { return };
        let is_first = self.contexts[context].state != State::Answered;
        let is_invite = response.is_cseq_method(sip::message::Method::Invite);
        if is_first || is_invite {
            self.respond(context, status, bytes);
        }
        if is_first {
            self.settle(context, is_invite);
            self.cancel_losers(context, status);
        }
    }

    /// Step 6: the final response, when nobody is waited for any more.
    pub(crate) fn answer_best(&mut self, context: usize) {
        let entry = &mut self.contexts[context];
        let Best { said, challenges } = std::mem::take(&mut entry.best);
        let said = said.map(|said| *said);
        // What is said of a request that was given up, unless somebody wants no such call at all.
        let given_up = match entry.state {
            State::Cancelled => Some(487), // whoever cancels hears that it worked
            State::Released => Some(releasing::STATUS),
            State::Open | State::Declined | State::Answered => None,
        };
        let is_invite = entry.upstream.is_some_and(|upstream| {
            matches!(self.transactions[upstream].machine, Machine::InviteServer { .. })
        });
        let said = match (said, given_up) {
            (Some(said), Some(status)) if said.status() == status || said.status() >= 600 => said,
            (_, Some(status)) => Said::Ours(status),
            (Some(said), None) => said,
            (None, None) => Said::Ours(408),
        };
        let said = match (said.status(), self.duty) {
            (503, Duty::Serving) => Said::Ours(500), // step 6: it is this target that is overloaded, not we
            (_, Duty::Serving | Duty::Releasing) => said,
        };
        self.settle(context, is_invite);
        // RFC 4320 §4.2: there is nobody left who would wait for it.
        if said.status() == 408 && !is_invite {
            return self.forget_upstream(context);
        }
        match said {
            Said::Theirs { path, response, status } => {
                let challenges = if matches!(status, 401 | 407) { &challenges[..] } else { &[] };
                if let Some(bytes) = self.returned(context, &path, &response, challenges) {
                    return self.respond(context, status, bytes);
                }
                self.respond_ourselves(context, 502);
            }
            Said::Ours(status) => self.respond_ourselves(context, status),
        }
    }

    /// No further branch, and no further final response but 2xx.
    fn settle(&mut self, context: usize, is_invite: bool) {
        let entry = &mut self.contexts[context];
        entry.state = State::Answered;
        entry.passing = None;
        entry.waiting.clear();
        self.counters.answered += u64::from(is_invite);
    }

    fn forget_upstream(&mut self, context: usize) {
        if let Some(upstream) = self.contexts[context].upstream {
            self.close(upstream);
        }
    }

    fn respond_ourselves(&mut self, context: usize, status: u16) {
        let headers = if status == releasing::STATUS { self.explanation() } else { Headers::new() };
        let entry = &self.contexts[context];
        let (tag, product) = (entry.tag, &self.config.product);
        let extra = Extra::headers(&headers);
        let response = entry.head.response(&mut self.scratch, status, tag.as_bytes(), product, &extra);
        self.respond(context, status, response);
    }

    /// Step 9.
    fn respond(&mut self, context: usize, status: u16, bytes: Bytes) {
        let now = self.now;
        let Some(upstream) = self.contexts[context].upstream else {
            // Step 5: a 2xx goes on even if nothing is remembered of the request.
            if (200..300).contains(&status) {
                self.outbox.send(self.contexts[context].back, bytes);
            }
            return;
        };
        match &mut self.transactions[upstream].machine {
            Machine::InviteServer { machine, .. } => {
                let is_sent = machine.respond(now, status, bytes.clone(), &mut self.outbox);
                if !is_sent && (200..300).contains(&status) {
                    self.outbox.send(self.contexts[context].back, bytes); // after a 487
                }
            }
            Machine::Server(machine) => machine.respond(now, status, bytes, &mut self.outbox),
            Machine::InviteClient(_) | Machine::Client(_) => {}
        }
        self.reschedule(upstream);
    }

    /// Steps 3 and 8: a response without our Via. `None` if there is no other: it was for us.
    fn returned(
        &mut self,
        context: usize,
        from: &Path,
        response: &Message,
        challenges: &[(Name, Bytes)],
    ) -> Option<Bytes> {
        let status = response.status()?;
        response.items(Name::Via).nth(1)?;
        let back = self.contexts[context].back;
        // RFC 3325 §5, §7: only whoever is trusted may say who answers, and only to whom that is no secret.
        let keeps_identity = self.is_trusted(from) && !self.hides(response, &back);
        let mut out = std::mem::take(&mut self.scratch);
        let mut writer = Writer::response(&mut out, status);
        if response.reason() != reason_phrase(status).as_bytes() {
            // As it was said.
            out.clear();
            writer = Writer::lines(&mut out);
            writer.copied(b"SIP/2.0 ").number(status.into()).copied(b" ");
            writer.copied(response.reason()).copied(b"\r\n");
        }
        for via in response.items(Name::Via).skip(1) {
            writer.line(Name::Via, via);
        }
        for header in response.headers() {
            #[expect(clippy::wildcard_enum_match_arm, reason = "a proxy leaves alone what it does not know")]
            match header.name {
                Name::Via => {}
                Name::PAssertedIdentity if !keeps_identity => {}
                Name::WwwAuthenticate | Name::ProxyAuthenticate if !challenges.is_empty() => {}
                _ => drop(writer.copy(&header)),
            }
        }
        for (name, value) in challenges {
            writer.line(*name, value);
        }
        if response.value(Name::ContentLength).is_none() {
            writer.numbered(Name::ContentLength, response.body().len());
        }
        writer.finish_copied(response.body());
        let bytes = Bytes::copy_from_slice(&out);
        self.scratch = out;
        Some(bytes)
    }
}
