//! The side that invites: INVITE, CANCEL, ACK, BYE and what comes back.

use bytes::Bytes;
use smallvec::SmallVec;

use super::attempt::{Cause, Further};
use super::check::{
    check_address, check_body, check_cancel_headers, check_contact, check_headers, check_routes, check_uri,
};
use super::session::{Leg, Outgoing, State};
use super::*;
use crate::dialog::strict_router;
use crate::message::LENGTH_MAX;
use crate::time::Duration;
use crate::transaction::invite_client::Output;
use crate::usage::Scope;
use crate::usage::invite_client::{Action, InviteClient as Usage, Outcome, Step};
use crate::usage::reliable::ReliableClient;

/// Max-Forwards of a request that carries on no other (RFC 3261 §8.1.1.6).
const HOPS: u8 = 70;

impl Endpoint {
    /// Begins a session.
    pub(super) fn invite(&mut self, invite: Invite) -> Result<SessionId, Misuse> {
        check_address(&invite.from)?;
        check_address(&invite.to)?;
        check_headers(&invite.headers)?;
        check_cancel_headers(&invite.expires_headers)?;
        check_routes(&invite.routes)?;
        check_body(invite.body.as_ref())?;
        check_uri(&invite.uri)?;
        invite.contact.as_ref().map_or(Ok(()), check_contact)?;
        if invite.expires.is_some() && invite.headers.iter().any(|(name, _)| *name == Name::Expires) {
            return Err(Misuse::HeaderLine);
        }
        let (tag, call_id, branch) =
            (self.identifiers.draw(), self.identifiers.draw(), self.identifiers.draw());
        let mut targets = VecDeque::from(invite.targets.clone());
        let path = self.path_to(targets.pop_front().ok_or(Misuse::NoTarget)?)?;
        let compose = |endpoint: &mut Self, path: &Path| {
            endpoint.compose_invite(&invite, path, &tag, &call_id, &branch)
        };
        let (request, path, fallback) = self.fit(path, compose)?;
        let id = self.new_session(tag, path, true);
        self.send_invite(id, request, &branch, path, fallback, Scope::Session, invite.expires);
        let session_expires = self.wanted_interval(Duration::ZERO);
        let Some(session) = self.session(id) else { return Ok(id) };
        session.contact = invite.contact.map(Box::new);
        if let Some(outgoing) = session.outgoing.first_mut() {
            outgoing.cancel_headers = invite.expires_headers;
            outgoing.body = invite.body.map(|body| Box::new(body.apart()));
            outgoing.session_expires = session_expires;
            outgoing.further.targets = targets;
        }
        tracing::debug!(session = id.serial, "inviting");
        Ok(id)
    }

    fn compose_invite(
        &mut self,
        invite: &Invite,
        path: &Path,
        tag: &Identifier,
        call_id: &Identifier,
        branch: &Identifier,
    ) -> Result<Message, Misuse> {
        let (via, contact) = (self.via(path, branch), self.contact(path, tag, invite.contact.as_ref()));
        let (uri, routes) = first_hop(&invite.uri, &invite.routes);
        let terms = self.terms(self.wanted_interval(Duration::ZERO), None, Duration::ZERO);
        let mut writer = crate::message::Writer::request(&mut self.scratch, Method::Invite, &uri);
        writer.line(Name::Via, &via).line(Name::MaxForwards, hops(invite.hops).as_bytes());
        for route in &routes {
            writer.line(Name::Route, route);
        }
        writer
            .parts(Name::From, &[&invite.from, b";tag=", tag.as_bytes()])
            .line(Name::To, &invite.to)
            .line(Name::CallId, call_id.as_bytes())
            .line(Name::CSeq, b"1 INVITE")
            .line(Name::Contact, &contact);
        for (name, value) in terms.iter().chain(&invite.headers) {
            writer.line(*name, value);
        }
        if let Some(expires) = invite.expires {
            writer.line(Name::Expires, expires.as_secs().max(1).to_string().as_bytes());
        }
        if !self.config.product.is_empty() {
            writer.line(Name::UserAgent, &self.config.product);
        }
        writer.finish(invite.body.as_ref());
        self.written()
    }

    /// The same if it has something of a peer in it, or of an earlier request.
    pub(super) fn composed(&self) -> Result<Message, Misuse> {
        let message = self.written()?;
        // What we write is well-formed, so the fault is in what was added.
        message.validate().map_err(|_| Misuse::HeaderLine)?;
        Ok(message)
    }

    /// What stands in the scratch buffer, as a message: each part of it is ours, or was looked at when its user gave it.
    pub(super) fn written(&self) -> Result<Message, Misuse> {
        if self.scratch.len() > LENGTH_MAX {
            return Err(Misuse::TooLong);
        }
        let message = Message::parse(Bytes::copy_from_slice(&self.scratch)).map_err(|_| Misuse::TooLong)?;
        debug_assert_eq!(message.validate(), Ok(()), "looked at before it was written");
        Ok(message)
    }

    #[expect(clippy::too_many_arguments, reason = "everything that an INVITE is")]
    pub(super) fn send_invite(
        &mut self,
        id: SessionId,
        request: Message,
        branch: &Identifier,
        path: Path,
        fallback: Option<Target>,
        scope: Scope,
        limit: Option<Duration>,
    ) {
        let request = self.authorised(Owner::Invite(id), request);
        let whole = request.bytes().clone();
        let transaction = self.start_invite(id, request, branch, path, fallback);
        let usage = Usage::new(self.now, scope, limit, self.timers.t1_64());
        let further = Further { request: Some(whole), targets: VecDeque::new() };
        if let Some(session) = self.session(id) {
            session.outgoing.reserve_exact(1); // there is seldom a second
            session.outgoing.push(Outgoing {
                usage,
                transaction,
                cancel_headers: Vec::new(),
                legs: Vec::new(),
                body: None,
                session_expires: None,
                is_refresh: false,
                further,
            });
        }
        self.reschedule_session(id);
    }

    /// Sends an INVITE and opens its transaction.
    pub(super) fn start_invite(
        &mut self,
        id: SessionId,
        request: Message,
        branch: &Identifier,
        path: Path,
        fallback: Option<Target>,
    ) -> usize {
        let keys = SmallVec::from_slice(&[key::client(&self.keyed, branch, b"INVITE")]);
        let machine = InviteClient::start(self.now, request, path, self.timers.clone(), &mut self.outbox);
        self.open(Machine::InviteClient { machine: Box::new(machine), fallback }, keys, Owner::Invite(id))
    }

    /// The user gives up (PoC CP 6.1.X.1).
    pub(super) fn cancel(&mut self, id: SessionId, headers: Headers) -> Result<(), Misuse> {
        check_cancel_headers(&headers)?;
        let now = self.now;
        let cancels = &mut self.counters.cancels;
        let session = session_of(&mut self.sessions, id).ok_or(Misuse::NoSession)?;
        let Some(outgoing) = session.last_wanted() else {
            cancels.wished_late += 1;
            return Err(Misuse::TooLate);
        };
        let transaction = outgoing.transaction;
        let (before, is_first) = (outgoing.usage.state().clone(), !outgoing.usage.is_unwanted());
        let Ok(action) = outgoing.usage.cancel(now) else {
            cancels.wished_late += 1;
            return Err(Misuse::TooLate);
        };
        if is_first {
            outgoing.cancel_headers = headers;
        }
        tracing::debug!(session = id.serial, state = ?outgoing.usage.state(), "cancel wanted");
        cancels.note_wish(&before, &outgoing.usage);
        self.take_step(id, transaction, Step { action, outcome: None }, None);
        Ok(())
    }

    /// What the transaction of an INVITE of ours has to say.
    pub(super) fn handle_invite_output(
        &mut self,
        transaction: usize,
        output: Option<Output>,
        response: Option<&Essentials<'_>>,
    ) {
        let (Some(output), Owner::Invite(id)) = (output, self.transactions[transaction].owner) else {
            return;
        };
        let again = match (output, response) {
            (Output::Failure, Some(response)) => {
                self.invite_again(id, transaction, Cause::Answered(response))
            }
            (Output::TimedOut | Output::TransportFailed, _) => {
                self.invite_again(id, transaction, Cause::Silence)
            }
            (
                Output::Provisional
                | Output::Success
                | Output::Failure
                | Output::LateFailure
                | Output::Terminated,
                _,
            ) => false,
        };
        if again {
            return;
        }
        let status = response.and_then(|response| response.status());
        let is_proof = match output {
            Output::Success | Output::Failure => true,
            // Whoever asked for credentials let the last attempt pass; a 100 may come from before it.
            Output::Provisional => {
                status != Some(100)
                    && self.outgoing(id, transaction).is_some_and(|outgoing| outgoing.usage.is_pending())
            }
            Output::LateFailure | Output::TimedOut | Output::TransportFailed | Output::Terminated => false,
        };
        if is_proof {
            self.prove(Owner::Invite(id), status);
        }
        let now = self.now;
        let Some(outgoing) = self.outgoing(id, transaction) else { return };
        let usage = &mut outgoing.usage;
        let step = match (output, response) {
            (Output::Provisional, Some(response)) => {
                let action = usage.handle_provisional(now);
                // A 1xx may come late, even behind a final response that came late.
                let is_unwanted = usage.is_unwanted() || !usage.is_pending();
                self.take_step(id, transaction, Step { action, outcome: None }, Some(response));
                self.note_progress(id, transaction, response, is_unwanted);
                None
            }
            (Output::Success, Some(response)) => {
                self.handle_success(id, transaction, response);
                None
            }
            (Output::Failure | Output::LateFailure, Some(response)) => {
                Some(usage.handle_failure(response.status().unwrap_or(500)))
            }
            (Output::TimedOut, _) => Some(usage.handle_silence(End::TimedOut)),
            (Output::TransportFailed, _) => Some(usage.handle_silence(End::TransportFailed)),
            (Output::Terminated, _) | (_, None) => None,
        };
        if let Some(step) = step {
            self.take_step(id, transaction, step, response.map(Essentials::message));
        }
        let has_credentials = !self.config.credentials.is_empty();
        if let Some(outgoing) = self.outgoing(id, transaction) {
            outgoing.forget_further(has_credentials);
        }
        self.reschedule_session(id);
    }

    /// A 1xx other than 100: an early dialog, and something to tell.
    fn note_progress(
        &mut self,
        id: SessionId,
        transaction: usize,
        response: &Essentials<'_>,
        is_unwanted: bool,
    ) {
        if response.status() == Some(100) {
            return;
        }
        let has_tag = response.to_tag().is_ok_and(|tag| tag.is_some());
        if has_tag && self.leg_of(id, transaction, response).is_none() {
            self.add_leg(id, transaction, response);
        }
        let is_news = !has_tag || self.acknowledge_progress(id, transaction, response);
        if !is_unwanted && is_news {
            self.events.push_back(Event::Progress { session: id, response: response.message().clone() });
        }
    }

    /// The place of the dialog in which `response` came.
    pub(super) fn leg_of(
        &mut self,
        id: SessionId,
        transaction: usize,
        response: &Essentials<'_>,
    ) -> Option<usize> {
        let tag = response.to_tag().ok()?.unwrap_or_default();
        let outgoing = self.outgoing(id, transaction)?;
        outgoing.legs.iter().position(|leg| leg.dialog.remote_tag() == tag)
    }

    /// Enters the dialog that `response` creates, if there is room for it.
    fn add_leg(&mut self, id: SessionId, transaction: usize, response: &Essentials<'_>) -> Option<usize> {
        let Machine::InviteClient { machine, .. } = &self.transactions[transaction].machine else {
            return None;
        };
        let mut dialog = Dialog::of_client(&machine.request(), response).ok()?;
        let (key, forks_max) = (dialog.key(&self.keyed), self.config.forks_max);
        let session = self.session(id)?;
        let established = session.dialog.clone();
        let outgoing = session.outgoing_of(transaction)?;
        // §12.2: the route set of an established dialog does not change.
        if let (Scope::Modification, Some(established)) = (outgoing.usage.scope(), established) {
            dialog = *established;
        }
        if outgoing.legs.len() >= forks_max {
            // A dialog that nobody accepted makes room for one that somebody did.
            let early = outgoing.legs.iter().position(|leg| leg.ack.is_none());
            let is_success = response.status().is_some_and(|status| status >= 200);
            let Some(early) = early.filter(|_| is_success) else {
                tracing::warn!(session = id.serial, "too many forks");
                return None;
            };
            let leg = outgoing.legs.remove(early);
            if outgoing.usage.scope() == Scope::Session {
                let left_out = leg.dialog.key(&self.keyed);
                self.dialogs.remove(&left_out);
                self.session(id)?.keys.retain(|key| *key != left_out);
            }
        }
        let outgoing = self.outgoing(id, transaction)?;
        outgoing.legs.reserve_exact(1);
        outgoing.legs.push(Leg {
            dialog,
            ack: None,
            released: false,
            reliable: ReliableClient::default(),
            described: false,
        });
        let place = outgoing.legs.len() - 1;
        if outgoing.usage.scope() == Scope::Session {
            self.enter_dialog(id, key);
        }
        Some(place)
    }

    /// A 2xx: each copy is acknowledged, each dialog taken or left once (§13.2.2.4).
    fn handle_success(&mut self, id: SessionId, transaction: usize, response: &Essentials<'_>) {
        let place = self.leg_of(id, transaction, response);
        let place = place.or_else(|| self.add_leg(id, transaction, response));
        let Some(outgoing) = self.outgoing(id, transaction) else { return };
        let Some(place) = place else {
            // No dialog can be made of it, or there is no room: nothing to acknowledge, and nothing more to wait for.
            let step = outgoing.usage.handle_failure(response.status().unwrap_or(200));
            return self.take_step(id, transaction, step, Some(response));
        };
        let leg = &mut outgoing.legs[place];
        if let Some((path, ack)) = leg.ack.clone() {
            if Guard::SuccessIsAcknowledgedAgain.is_off() {
                return;
            }
            return self.outbox.send(path, ack);
        }
        match outgoing.usage.scope() {
            Scope::Session => leg.dialog.confirm(response),
            Scope::Modification => leg.dialog.refresh_target(response),
        }
        let released = leg.released;
        let step = outgoing.usage.handle_success(response.status().unwrap_or(200));
        self.acknowledge(id, transaction, place);
        if released && step.action == Action::Establish {
            // The peer left before its 2xx arrived here.
            return self.end(id, End::Released, Party::Remote, response.status(), None);
        }
        self.take_leg(id, transaction, place, step, response, released);
    }

    /// Carries out what the usage made of the first 2xx of a dialog, which has been acknowledged.
    fn take_leg(
        &mut self,
        id: SessionId,
        transaction: usize,
        place: usize,
        step: Step,
        response: &Essentials<'_>,
        released: bool,
    ) {
        let Some(session) = self.session(id) else { return };
        let Some(outgoing) = session.outgoing_of(transaction) else { return };
        let dialog = outgoing.legs[place].dialog.clone();
        let (described, session_expires) = (outgoing.body.take(), outgoing.session_expires);
        match (step.action, outgoing.usage.scope()) {
            (Action::Establish, Scope::Session) => {
                session.dialog = Some(Box::new(dialog));
                session.state = State::Established;
                session.described = described;
                session.note_allowed(response);
                self.be_agreed(id, session_expires, response);
                self.events
                    .push_back(Event::Established { session: id, response: response.message().clone() });
                self.locate(id);
            }
            (action @ (Action::Establish | Action::Acknowledge), Scope::Modification) => {
                // §12.2.1.2: whether anybody still wants the change or not.
                if let Some(dialog) = &mut session.dialog {
                    dialog.refresh_target(response);
                }
                // Who has left is not told of it.
                if session.state == State::Established {
                    session.described = described.or(session.described.take());
                    session.note_allowed(response);
                    self.be_agreed(id, session_expires, response);
                    if action == Action::Establish {
                        self.events
                            .push_back(Event::Modified { session: id, response: response.message().clone() });
                    }
                }
            }
            (Action::AcknowledgeAndLeave, _) if !released => {
                let mut dialog = dialog;
                let Some(inherited) = self.transactions[transaction].machine.client_path() else { return };
                self.send_bye(id, &mut dialog, inherited, &Vec::new(), Owner::Declining(id));
            }
            (
                Action::AcknowledgeAndLeave
                | Action::Acknowledge
                | Action::Nothing
                | Action::SendCancel
                | Action::Abandon,
                _,
            ) => {}
        }
        self.tell(id, transaction, step, Some(response));
    }

    /// The ACK for a 2xx: of the dialog, with the number and the credentials of the INVITE (§13.2.2.4).
    fn acknowledge(&mut self, id: SessionId, transaction: usize, place: usize) {
        let Machine::InviteClient { machine, .. } = &self.transactions[transaction].machine else { return };
        let request = machine.request().into_owned();
        let own = machine.path();
        let Some(session_path) = self.session(id).map(|session| session.path) else { return };
        let Some(outgoing) = self.outgoing(id, transaction) else { return };
        let inherited = match outgoing.usage.scope() {
            Scope::Session => own, // of several attempts the one that was answered
            Scope::Modification => session_path,
        };
        let dialog = outgoing.legs[place].dialog.clone();
        let path = self.path_in(&dialog, inherited);
        let branch = self.identifiers.draw();
        let via = self.via(&path, &branch);
        let number = request.cseq().map_or(1, |cseq| cseq.number);
        let mut writer = dialog.write_request(&mut self.scratch, Method::Ack, number, &via);
        writer.copy_all(&request, &[Name::Authorization, Name::ProxyAuthorization]).finish(None);
        let ack = Bytes::copy_from_slice(&self.scratch);
        self.outbox.send(path, ack.clone());
        if let Some(outgoing) = self.outgoing(id, transaction) {
            outgoing.legs[place].ack = Some((path, ack));
        }
    }

    /// Carries out a step other than one for a 2xx.
    pub(super) fn take_step(
        &mut self,
        id: SessionId,
        transaction: usize,
        step: Step,
        response: Option<&Message>,
    ) {
        match step.action {
            Action::SendCancel => self.send_cancel(id, transaction),
            Action::Abandon => {
                let now = self.now;
                if let Machine::InviteClient { machine, .. } = &mut self.transactions[transaction].machine {
                    machine.abandon(now);
                }
                self.reschedule(transaction);
            }
            Action::Nothing | Action::Establish | Action::Acknowledge | Action::AcknowledgeAndLeave => {}
        }
        self.tell(id, transaction, step, response);
        self.reschedule_session(id);
    }

    /// The CANCEL: built by the INVITE's transaction, carried by one of its own along the same way (§9.1).
    fn send_cancel(&mut self, id: SessionId, transaction: usize) {
        let Some(outgoing) = self.outgoing(id, transaction) else { return };
        let headers = std::mem::take(&mut outgoing.cancel_headers);
        let Machine::InviteClient { machine, .. } = &self.transactions[transaction].machine else { return };
        let (cancel, path) = (machine.cancel(&headers), machine.path());
        let path = self.reopened(path);
        let branch = cancel.via().ok().and_then(|via| Identifier::from_branch(via.branch()?));
        let Some(branch) = branch else { return };
        tracing::debug!(session = id.serial, "CANCEL");
        self.send_request(cancel, &branch, b"CANCEL", path, Owner::Nobody);
    }

    pub(super) fn send_request(
        &mut self,
        request: Message,
        branch: &Identifier,
        method: &[u8],
        path: Path,
        owner: Owner,
    ) -> usize {
        let request = self.authorised(owner, request);
        self.start_request(request, branch, method, path, owner)
    }

    pub(super) fn start_request(
        &mut self,
        request: Message,
        branch: &Identifier,
        method: &[u8],
        path: Path,
        owner: Owner,
    ) -> usize {
        let keys = SmallVec::from_slice(&[key::client(&self.keyed, branch, method)]);
        let machine = Client::start(self.now, request, path, self.timers.clone(), &mut self.outbox);
        self.open(Machine::Client(Box::new(machine)), keys, owner)
    }

    /// Tells the user how an INVITE of ours ended.
    fn tell(&mut self, id: SessionId, transaction: usize, step: Step, response: Option<&Message>) {
        let Some(Outcome { end, by, status }) = step.outcome else { return };
        self.counters.cancels.note_step(&step);
        let Some(outgoing) = self.outgoing(id, transaction) else { return };
        let (reason, is_refresh) = (response.and_then(Message::cause), outgoing.is_refresh);
        let failure = response.filter(|response| response.status().is_some_and(|status| status >= 300));
        match outgoing.usage.scope() {
            Scope::Session => {
                self.end_with(id, Outcome { end, by, status }, reason, failure.cloned());
            }
            Scope::Modification if is_refresh => {
                let status = status.or((end == End::TransportFailed).then_some(503));
                self.refresh_is_over(id, status, response);
            }
            Scope::Modification => self.tell_modification(id, end, by, status),
        }
    }

    pub(super) fn handle_session_timeout(&mut self, id: SessionId) {
        let now = self.now;
        let cancels = &mut self.counters.cancels;
        let Some(session) = session_of(&mut self.sessions, id) else { return };
        let steps: SmallVec<[(usize, Step); 2]> = session
            .outgoing
            .iter_mut()
            .map(|outgoing| {
                let before = outgoing.usage.state().clone();
                let step = outgoing.usage.handle_timeout(now);
                cancels.note_wish(&before, &outgoing.usage);
                (outgoing.transaction, step)
            })
            .collect();
        for (transaction, step) in steps {
            self.take_step(id, transaction, step, None);
        }
        self.handle_incoming_timeouts(id);
        self.handle_reliable_timeouts(id);
        self.handle_asked_timeout(id);
        self.handle_session_timer(id);
    }
}

/// The value of Max-Forwards (RFC 3261 §8.1.1.6).
pub(super) fn hops(hops: Option<u8>) -> String {
    hops.unwrap_or(HOPS).to_string()
}

/// The Request-URI and the Route values of a request whose user gives these. §8.1.2 with §12.2.1.1: a first route without
/// `lr` wants to be the Request-URI, which then goes to the end of the route.
pub(super) fn first_hop(uri: &Bytes, routes: &[Bytes]) -> (Bytes, Vec<Bytes>) {
    let Some((strict, rest)) =
        routes.split_first().and_then(|(first, rest)| Some((strict_router(first)?, rest)))
    else {
        return (uri.clone(), routes.to_vec());
    };
    let last = Bytes::from([b"<", &uri[..], b">"].concat());
    (Bytes::copy_from_slice(strict), rest.iter().cloned().chain([last]).collect())
}
