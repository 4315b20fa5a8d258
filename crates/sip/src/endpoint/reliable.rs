//! Reliable provisional responses and PRACK, on both sides. RFC 3262.

use bytes::Bytes;

use super::*;
use crate::usage::reliable::{Action, Provisional, ReliableServer};
use crate::usage::{Scope, invite_client};

/// RFC 3261 §13.3.1.1: how often a provisional response is said again.
const REMIND_AFTER: Duration = Duration::from_secs(60);

/// RFC 3262 §3: the same for one that is sent reliably.
const REMIND_RELIABLY_AFTER: Duration = Duration::from_secs(150);

impl Endpoint {
    // The side that is invited.

    /// What makes the provisional responses to `request` reliable, if they are to be.
    pub(super) fn reliability_of(&mut self, request: &Essentials<'_>) -> Option<ReliableServer> {
        let timers = self.timers.clone();
        let is_wanted = self.config.reliability.applies_to(request);
        // §3: from 1 to 2^31 - 1, each as likely as any other.
        is_wanted.then(|| ReliableServer::new(1 + self.identifiers.below(i32::MAX as u32), timers))
    }

    /// Sends a 1xx of the user, reliably if the INVITE is such.
    pub(super) fn send_progress(
        &mut self,
        id: SessionId,
        transaction: usize,
        status: u16,
        headers: &Headers,
        body: Option<&Body>,
    ) -> Result<(), Misuse> {
        let now = self.now;
        let session = self.session(id).ok_or(Misuse::NoSession)?;
        let (path, tag) = (session.path, session.local_tag);
        let contact = self.contact_in(&self.sessions[id.index as usize], &path);
        let session = session_of(&mut self.sessions, id).ok_or(Misuse::NoSession)?;
        let incoming = session.incoming_of(transaction).ok_or(Misuse::NothingToAnswer)?;
        let Some(reliable) = &mut incoming.reliable else {
            incoming.usage.progress(now, REMIND_AFTER);
            self.respond(id, transaction, status, &Extra { contact: Some(&contact), headers, body });
            self.reschedule_session(id);
            return Ok(());
        };
        if reliable.is_full() {
            return Err(Misuse::Busy);
        }
        let number = reliable.next_number();
        let mut lines = headers.clone();
        lines.push((Name::Require, Bytes::from_static(b"100rel")));
        lines.push((Name::RSeq, Bytes::from(number.to_string())));
        lines.push((Name::Allow, self.allowed.clone())); // RFC 3311 §5.1: so that the peer knows whether it may send UPDATE
        let extra = Extra { contact: Some(&contact), headers: &lines, body };
        let response =
            incoming.head.response(&mut self.scratch, status, tag.as_bytes(), &self.config.product, &extra);
        let action = reliable.send(now, Provisional { status, number, response, describes: body.is_some() });
        incoming.described |= body.is_some();
        incoming.said = Some(Box::new((status, headers.clone())));
        incoming.usage.progress(now, REMIND_RELIABLY_AFTER);
        if let Some(body) = body {
            session.described = Some(Box::new(body.apart()));
        }
        self.take_reliable(id, transaction, action);
        self.reschedule_session(id);
        Ok(())
    }

    /// Nobody has decided for a while: the last 1xx again, in the way in which it was said.
    pub(super) fn remind(&mut self, id: SessionId, transaction: usize) {
        let Some(incoming) = self.session(id).and_then(|session| session.incoming_of(transaction)) else {
            return;
        };
        match (&incoming.reliable, &incoming.said) {
            (Some(reliable), Some(said)) if reliable.is_idle() => {
                let (status, headers) = (**said).clone();
                let sent = self.send_progress(id, transaction, status, &headers, None);
                debug_assert_eq!(sent, Ok(()), "nothing waits");
            }
            (Some(_), _) => {}
            (None, _) => {
                if let Machine::InviteServer { machine, .. } = &mut self.transactions[transaction].machine {
                    machine.handle_invite(&mut self.outbox);
                }
            }
        }
    }

    fn take_reliable(&mut self, id: SessionId, transaction: usize, action: Action) {
        let now = self.now;
        match action {
            Action::Nothing => {}
            Action::Send(Provisional { status, response, .. }) => {
                if let Machine::InviteServer { machine, .. } = &mut self.transactions[transaction].machine {
                    machine.respond(now, status, response, &mut self.outbox);
                }
                self.reschedule(transaction);
            }
            Action::GiveUp => self.give_up_unheard(id, transaction),
        }
    }

    /// §3: no PRACK came for 64*T1: 5xx.
    fn give_up_unheard(&mut self, id: SessionId, transaction: usize) {
        let Some(session) = self.session(id) else { return };
        let Some(incoming) = session.incoming_of(transaction).filter(|each| each.usage.is_alerting()) else {
            return;
        };
        incoming.usage.refuse();
        let is_session = incoming.dialog.is_some();
        self.respond(id, transaction, 504, &Extra::default());
        let (end, by, status) = (End::NotAcknowledged, Party::Remote, Some(504));
        if is_session {
            self.end(id, end, by, status, None);
        } else {
            let event = Event::ModificationEnded { session: id, end, by, status, retry_after: None };
            self.events.push_back(event);
        }
    }

    pub(super) fn handle_reliable_timeouts(&mut self, id: SessionId) {
        let now = self.now;
        let Some(session) = self.session(id) else { return };
        let actions: SmallVec<[(usize, Action); 2]> = session
            .incoming
            .iter_mut()
            .filter_map(|incoming| {
                Some((incoming.transaction, incoming.reliable.as_mut()?.handle_timeout(now)))
            })
            .collect();
        for (transaction, action) in actions {
            self.take_reliable(id, transaction, action);
        }
    }

    /// §3: a PRACK that matches is answered 2xx behind the final response too. Over a reliable hop the ACK ends the transaction at
    /// once, and with it what is known of its responses; so it stays for as long as it does over UDP. Behind a core, which
    /// acknowledges a failure itself, that is the rule and not the exception.
    pub(super) fn await_prack(&mut self, transaction: usize) {
        let now = self.now;
        let Owner::Invite(id) = self.transactions[transaction].owner else { return };
        let incoming = self.session(id).and_then(|session| session.incoming_of(transaction));
        let reliable = incoming.and_then(|incoming| incoming.reliable.as_deref());
        if !reliable.is_some_and(ReliableServer::is_unacknowledged) {
            return;
        }
        if let Machine::InviteServer { machine, .. } = &mut self.transactions[transaction].machine {
            machine.absorb(now);
        }
    }

    /// A PRACK, in order: 200 if it matches what waits for one, else 481.
    pub(super) fn handle_prack(
        &mut self,
        key: Key,
        path: Path,
        id: SessionId,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        let now = self.now;
        let rack = request.rack()?;
        let Some(session) = self.session(id) else { return Ok(()) };
        let is_over = session.state == State::Over;
        if session.asked.is_some() && needs_reading(request) {
            let headers = vec![(Name::RetryAfter, Bytes::from_static(b"1"))];
            return self.answer(key, path, request, 500, &headers); // RFC 3311 §5.2, in its spirit
        }
        let mut matching = session
            .incoming
            .iter_mut()
            .filter(|incoming| incoming.cseq == rack.number && rack.method == b"INVITE");
        let found = matching.find_map(|incoming| {
            let action = incoming.reliable.as_mut()?.handle_prack(now, rack.response)?;
            Some((incoming.transaction, incoming.offers, action))
        });
        let Some((transaction, offers, action)) = found else {
            return self.answer(key, path, request, 481, &Vec::new());
        };
        // §5: an offer if the INVITE had one, which the 1xx answered; else the answer to the offer of the 1xx.
        let asks = offers && needs_reading(request) && !is_over;
        match self.unacceptable(request).filter(|_| asks) {
            Some((status, headers)) => self.answer(key, path, request, status, &headers)?,
            None if asks => self.ask(key, path, id, request, None)?,
            None => self.answer(key, path, request, 200, &Vec::new())?,
        }
        if !is_over {
            let told = Event::ProgressAcknowledged { session: id, request: request.message().clone() };
            self.events.push_back(told);
            if asks && self.session(id).is_some_and(|session| session.asked.is_some()) {
                self.events.push_back(Event::ModificationOffered {
                    session: id,
                    request: request.message().clone(),
                });
            }
        }
        self.take_reliable(id, transaction, action);
        self.accept_at_last(id);
        self.reschedule_session(id);
        Ok(())
    }

    /// Sends the 2xx that waited for a PRACK, if nothing keeps it any more.
    pub(super) fn accept_at_last(&mut self, id: SessionId) {
        let Some(session) = self.session(id) else { return };
        if session.asked.is_some() {
            return;
        }
        let Some(incoming) = session.alerting() else { return };
        if incoming.reliable.as_deref().is_some_and(ReliableServer::delays_success) {
            return;
        }
        let transaction = incoming.transaction;
        if let Some(accepted) = incoming.accepted.take() {
            let (headers, body) = *accepted;
            self.send_success(id, transaction, &headers, body.as_ref());
        }
    }

    // The side that invites.

    /// A 1xx that came reliably gets its PRACK. Returns whether it may be looked at further: not if it is a copy or out
    /// of order (§4).
    pub(super) fn acknowledge_progress(
        &mut self,
        id: SessionId,
        transaction: usize,
        response: &Essentials<'_>,
    ) -> bool {
        let is_reliable = response.lists(Name::Require, b"100rel");
        let Some(number) = response.number(Name::RSeq).ok().flatten().filter(|_| is_reliable) else {
            return true;
        };
        let Some(place) = self.leg_of(id, transaction, response) else { return false };
        // Without room for a PRACK it has not come: the peer sends it again.
        let is_full = self.transactions.len() >= self.config.transactions_max;
        let own = self.transactions[transaction].machine.client_path();
        let Some(session) = self.session(id) else { return false };
        let session_path = session.path;
        let Some(outgoing) = session.outgoing.iter_mut().find(|each| each.transaction == transaction) else {
            return false;
        };
        let inherited = match outgoing.usage.scope() {
            Scope::Session => own.unwrap_or(session_path), // of several attempts the one that was answered
            Scope::Modification => session_path,
        };
        // Also to one that is not wanted any more: it keeps the peer from sending it again. After a final response
        // nobody waits for it (§4).
        let is_settled = match outgoing.usage.state() {
            invite_client::State::Answered
            | invite_client::State::Withdrawn
            | invite_client::State::Finished => true,
            invite_client::State::Calling { .. }
            | invite_client::State::CancelWaiting
            | invite_client::State::Proceeding { .. }
            | invite_client::State::Cancelling { .. }
            | invite_client::State::GivenUp { .. } => false,
        };
        let leg = &mut outgoing.legs[place];
        if is_settled || is_full || !leg.reliable.accept(number) {
            return false;
        }
        leg.described |= !response.body().is_empty();
        // A re-INVITE runs in the dialog that the session has.
        let of_session =
            session.dialog.as_deref_mut().filter(|_| outgoing.usage.scope() == Scope::Modification);
        let dialog = of_session.unwrap_or(&mut leg.dialog);
        let cseq = dialog.next_cseq();
        let dialog = dialog.clone();
        let invite = response.cseq().map_or(0, |cseq| cseq.number);
        let lines = vec![(Name::RAck, Bytes::from(format!("{number} {invite} INVITE")))];
        let path = self.path_in(&dialog, inherited);
        let sent = self.send_in_dialog(&dialog, cseq, Method::Prack, &lines, path, Owner::Acknowledging(id));
        debug_assert_eq!(sent, Ok(()), "nothing in it is the user's");
        true
    }

    /// Sends a request without a body in `dialog`.
    pub(super) fn send_in_dialog(
        &mut self,
        dialog: &Dialog,
        cseq: u32,
        method: Method,
        lines: &Headers,
        path: Path,
        owner: Owner,
    ) -> Result<(), Misuse> {
        self.start_in_dialog(dialog, cseq, method, lines, path, owner).map(|_| ())
    }

    /// The same, and says which transaction carries it.
    pub(super) fn start_in_dialog(
        &mut self,
        dialog: &Dialog,
        cseq: u32,
        method: Method,
        lines: &Headers,
        path: Path,
        owner: Owner,
    ) -> Result<usize, Misuse> {
        let branch = self.identifiers.draw();
        let via = self.via(&path, &branch);
        let mut writer = dialog.write_request(&mut self.scratch, method, cseq, &via);
        for (name, value) in lines {
            writer.line(*name, value);
        }
        writer.finish(None);
        let request = self.composed()?;
        Ok(self.send_request(request, &branch, method.as_str().as_bytes(), path, owner))
    }
}
