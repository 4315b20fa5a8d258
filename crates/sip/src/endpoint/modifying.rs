//! Changing an established session: a re-INVITE of ours. RFC 3261 §14.1.

use super::check::{check_body, check_headers};
use super::session::State;
use super::*;
use crate::usage::Scope;
use crate::usage::invite_client::{Action, Step};

impl Endpoint {
    /// Offers a change (§14.1).
    pub(super) fn modify(
        &mut self,
        id: SessionId,
        headers: &Headers,
        body: Option<&Body>,
    ) -> Result<(), Misuse> {
        check_headers(headers)?;
        check_body(body)?;
        self.offer_again(id, headers, body, false)
    }

    /// A re-INVITE: a change that the user wants, or a refresh that offers what was offered before.
    pub(super) fn offer_again(
        &mut self,
        id: SessionId,
        headers: &Headers,
        body: Option<&Body>,
        is_refresh: bool,
    ) -> Result<(), Misuse> {
        let session = self.session(id).ok_or(Misuse::NoSession)?;
        if session.state != State::Established {
            return Err(Misuse::NotEstablished);
        }
        let busy = session.pending_outgoing().is_some() || session.alerting().is_some();
        if busy || session.unacknowledged().is_some() || session.asked.is_some() {
            return Err(Misuse::Busy);
        }
        let inherited = session.path;
        let Some(mut dialog) = session.dialog.clone() else { return Err(Misuse::NotEstablished) };
        let path = self.path_in(&dialog, inherited);
        let (branch, cseq) = (self.identifiers.draw(), dialog.next_cseq());
        let (lines, session_expires) = self.terms_in(&self.sessions[id.index as usize]);
        let (request, path, fallback) = self.fit(path, |endpoint, path| {
            let contact = endpoint.contact_in(&endpoint.sessions[id.index as usize], path);
            let via = endpoint.via(path, &branch);
            let mut writer = dialog.write_request(&mut endpoint.scratch, Method::Invite, cseq, &via);
            writer.line(Name::Contact, &contact);
            for (name, value) in lines.iter().chain(headers) {
                writer.line(*name, value);
            }
            writer.finish(body);
            endpoint.composed()
        })?;
        if let Some(session) = self.session(id) {
            session.dialog = Some(dialog);
        }
        self.send_invite(id, request, &branch, path, fallback, Scope::Modification, None);
        if let Some(outgoing) = self.session(id).and_then(|session| session.outgoing.last_mut()) {
            outgoing.body = body.map(|body| Box::new(body.apart()));
            outgoing.session_expires = session_expires;
            outgoing.is_refresh = is_refresh;
        }
        Ok(())
    }

    pub(super) fn tell_modification(&mut self, id: SessionId, end: End, by: Party, status: Option<u16>) {
        let Some(session) = self.session(id) else { return };
        if session.state == State::Over {
            return; // the end was the last that the user hears of a session
        }
        // RFC 5057 §5.1 (8): a 481 says that the dialog is gone, whoever wanted what of the request that met it. A 408 to
        // what was cancelled may be a proxy's word for its silence.
        let is_lost =
            end == End::TimedOut || status == Some(481) || (end == End::Rejected && status == Some(408));
        if is_lost && session.state == State::Established {
            // §12.2.1.2: the peer does not know the dialog any more, or is not there.
            return self.lose(id, status);
        }
        // §14.1: we own the Call-ID if we invited: 2.1 to 4 s; else 0 to 2 s; in steps of 10 ms.
        let glare = status == Some(491) && end == End::Rejected;
        let retry_after = glare.then(|| {
            let owns = self.session(id).is_some_and(|session| session.is_inviter);
            let steps = if owns { 210 + self.identifiers.below(191) } else { self.identifiers.below(201) };
            Duration::from_millis(u64::from(steps) * 10)
        });
        self.events.push_back(Event::ModificationEnded { session: id, end, by, status, retry_after });
    }

    /// A change that is still asked for when its session ends: it must not outlive it.
    pub(super) fn abandon_modification(&mut self, id: SessionId) {
        let now = self.now;
        let cancels = &mut self.counters.cancels;
        let session = session_of(&mut self.sessions, id);
        let Some(outgoing) = session.and_then(Session::pending_outgoing) else { return };
        let (transaction, before) = (outgoing.transaction, outgoing.usage.state().clone());
        let action = outgoing.usage.cancel(now).unwrap_or(Action::Nothing);
        cancels.note_wish(&before, &outgoing.usage);
        self.take_step(id, transaction, Step { action, outcome: None }, None);
    }
}
