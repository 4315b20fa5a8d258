//! The side that is invited: INVITE, CANCEL, ACK and BYE of a peer, and our answers.

use bytes::Bytes;
use smallvec::SmallVec;

use super::check::{check_body, check_contact, check_headers};
use super::session::{Incoming, State};
use super::*;
use crate::reply::Received;
use crate::transaction::invite_server;
use crate::transaction::key::Flow;
use crate::usage::invite_server::{Action, InviteServer as Usage};
use crate::usage::session_timer::Terms;

impl Endpoint {
    /// An INVITE that begins a session.
    pub(super) fn handle_invite(
        &mut self,
        key: Key,
        path: Path,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        let merged = key::merged(&self.keyed, request)?;
        if self.by_key.contains_key(&merged) {
            return self.answer(key, path, request, 482, &Vec::new()); // §8.2.2.2
        }
        if let Some((status, headers)) = self.unacceptable(request) {
            return self.answer(key, path, request, status, &headers);
        }
        let tag = self.identifiers.draw();
        let dialog = Dialog::of_server(request, tag.as_bytes())?;
        let received = Received::new(&mut self.scratch, request, path)?;
        let id = self.new_session(tag, path, false);
        let expires = request.number(Name::Expires)?.map(|seconds| Duration::from_secs(seconds.into()));
        self.enter_dialog(id, dialog.key(&self.keyed));
        self.open_incoming(id, &[key, merged], received, request, Some(dialog), expires)?;
        tracing::debug!(session = id.serial, "invited");
        self.events.push_back(Event::Invited { session: id, request: request.message().clone() });
        Ok(())
    }

    /// What keeps an INVITE, UPDATE or PRACK from its user: a session that would have to be refreshed too often, a body
    /// or an answer of a kind that nobody here understands (§8.2.3, §21.4.7).
    pub(super) fn unacceptable(&self, request: &Essentials<'_>) -> Option<(u16, Headers)> {
        if Terms::of(request).is_too_small(self.min_se()) {
            let least = self.min_se().as_secs().to_string();
            return Some((422, vec![(Name::MinSe, Bytes::from(least))])); // RFC 4028 §9
        }
        let types = &self.config.body_types;
        let list = || Bytes::from(types.join(&b", "[..]));
        let known = |name: &[u8]| types.iter().any(|each| each.eq_ignore_ascii_case(name));
        if needs_reading(request) {
            let mut codings = request.items(Name::ContentEncoding);
            if codings.any(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
                return Some((415, vec![(Name::AcceptEncoding, Bytes::from_static(b"identity"))]));
            }
            if !body_type(request).is_some_and(known) {
                return Some((415, vec![(Name::Accept, list())]));
            }
        }
        let mut accepted = request.valued(Name::Accept).filter_map(Result::ok).peekable();
        let any = |name: &[u8]| known(name) || name == b"*/*" || name.eq_ignore_ascii_case(b"application/*");
        if accepted.peek().is_some() && !accepted.any(|each| any(each.value)) {
            return Some((406, vec![(Name::Accept, list())]));
        }
        None
    }

    fn open_incoming(
        &mut self,
        id: SessionId,
        keys: &[Key],
        received: Received,
        request: &Essentials<'_>,
        dialog: Option<Dialog>,
        expires: Option<Duration>,
    ) -> Result<(), Fault> {
        let (now, timers) = (self.now, self.timers.clone());
        let Received { head, source, path } = received;
        let Some(tag) = self.session(id).map(|session| session.local_tag) else { return Ok(()) };
        let mut keys = SmallVec::from_slice(keys);
        let flow = key::by_flow(&self.keyed, request, &Flow::of(&source, self.config.strict_flow))?;
        keys.extend(Some(flow).filter(|flow| !self.by_key.contains_key(flow)));
        let trying = head.response(&mut self.scratch, 100, b"", b"", &Extra::default());
        let machine = InviteServer::start(now, path, timers.clone(), trying);
        let machine = Machine::InviteServer { machine, tag, port: source.remote.port() };
        let transaction = self.open(machine, keys, Owner::Invite(id));
        let usage = Usage::new(now, expires, timers);
        let cseq = request.cseq()?.number;
        let (offers, terms) = (needs_reading(request), Terms::of(request));
        let reliable = self.reliability_of(request);
        if let Some(session) = self.session(id) {
            session.note_allowed(request);
            let contact = request.addresses(Name::Contact).next().and_then(Result::ok);
            let target = contact
                .filter(|_| dialog.is_none())
                .map(|contact| Box::new(Bytes::copy_from_slice(contact.uri)));
            session.incoming.reserve_exact(1); // there is seldom a second
            session.incoming.push(Incoming {
                usage,
                transaction,
                head,
                cseq,
                dialog: dialog.map(Box::new),
                target,
                offers,
                terms,
                reliable: reliable.map(Box::new),
                described: false,
                said: None,
                accepted: None,
            });
        }
        self.reschedule_session(id);
        Ok(())
    }

    /// A re-INVITE (§14.2).
    pub(super) fn handle_reinvite(
        &mut self,
        key: Key,
        path: Path,
        id: SessionId,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        let number = request.cseq()?.number;
        let remote_tag = request.from_tag()?.unwrap_or_default();
        let retry = self.identifiers.below(11);
        let Some(session) = self.session(id) else { return Ok(()) };
        let busy = session.pending_outgoing().is_some() || session.unacknowledged().is_some();
        let alerting = session.alerting().is_some() || session.asked.is_some();
        let established = session.state == State::Established;
        let early = session.incoming.iter_mut().find_map(|incoming| incoming.dialog.as_mut());
        let dialog = session.dialog.as_mut().or(early);
        // §12.2.2: a fork that was declined has no session here to change.
        let is_other = dialog.as_ref().is_none_or(|dialog| dialog.remote_tag() != remote_tag);
        let in_order = !is_other && dialog.is_some_and(|dialog| dialog.accept_cseq(number));
        let refusal = match () {
            () if is_other => Some((481, Vec::new())),
            () if !established && !alerting && !busy => Some((481, Vec::new())),
            () if !in_order => Some((500, Vec::new())), // §12.2.2
            () if alerting => Some((500, vec![(Name::RetryAfter, Bytes::from(retry.to_string()))])),
            () if busy => Some((491, Vec::new())),
            () => self.unacceptable(request),
        };
        if let Some((status, headers)) = refusal {
            return self.answer(key, path, request, status, &headers);
        }
        let received = Received::new(&mut self.scratch, request, path)?;
        let merged = key::merged(&self.keyed, request)?;
        self.open_incoming(id, &[key, merged], received, request, None, None)?;
        self.events.push_back(Event::ModificationOffered { session: id, request: request.message().clone() });
        Ok(())
    }

    /// A CANCEL: 200 to it, then 487 to the INVITE if that is undecided, and nobody is asked (§9.2, PoC CP 6.2.X.1).
    pub(super) fn handle_cancel(
        &mut self,
        key: Key,
        path: Path,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        let received = Received::new(&mut self.scratch, request, path)?;
        let Some(transaction) = self.cancelled_by(path, request)? else {
            // §9.2. Nothing is kept: a transaction of a CANCEL that came too early, or from elsewhere, would go on to
            // refuse the one that the inviter sends with the same branch.
            self.counters.cancels.met_nothing += 1;
            self.reply_once(path, request, 481, &Vec::new());
            return Ok(());
        };
        let entry = &self.transactions[transaction];
        let cancels = &mut self.counters.cancels;
        let (tag, owner) = match (&entry.machine, entry.owner) {
            (Machine::InviteServer { machine, .. }, _) if machine.is_absorbing() => {
                cancels.met_nothing += 1;
                self.reply_once(path, request, 481, &Vec::new());
                return Ok(());
            }
            (Machine::InviteServer { machine, tag, .. }, owner) => {
                let is_accepted = matches!(machine.state(), invite_server::State::Accepted { .. });
                let met = match (machine.is_undecided(), is_accepted) {
                    (true, _) => &mut cancels.met_undecided,
                    (false, true) => &mut cancels.met_accepted,
                    (false, false) => &mut cancels.met_refused,
                };
                *met += 1;
                (*tag, Some(owner))
            }
            (Machine::Server { tag, .. }, _) => {
                cancels.met_other += 1;
                (*tag, None)
            }
            (Machine::InviteClient { .. } | Machine::Client(_), _) => return Ok(()),
        };
        if !Guard::CancelIsAnswered.is_off() {
            self.answer_as(key, &received, request, tag, 200, &Vec::new());
        }
        if let Some(Owner::Invite(id)) = owner {
            self.terminate(id, transaction, request.cause());
        }
        Ok(())
    }

    /// The server transaction that a CANCEL is for: branch and sent-by of the top Via, from the source of the INVITE; or
    /// the branch alone, from the same source, if the peer learned another name of itself in between.
    fn cancelled_by(&mut self, path: Path, cancel: &Essentials<'_>) -> Result<Option<usize>, Fault> {
        let flow = Flow::of(&path, self.config.strict_flow);
        if let Some(&transaction) = self.by_key.get(&key::of_method(&self.keyed, cancel, b"INVITE")?) {
            let entry = &self.transactions[transaction].machine;
            let same_flow = match entry {
                Machine::InviteServer { machine, port, .. } => {
                    let mut source = machine.path();
                    source.remote.set_port(*port);
                    Flow::of(&source, self.config.strict_flow) == flow
                }
                Machine::Server { .. } | Machine::InviteClient { .. } | Machine::Client(_) => false,
            };
            if !same_flow {
                tracing::warn!("CANCEL from another source than its INVITE");
            }
            return Ok(same_flow.then_some(transaction));
        }
        if let Some(&transaction) = self.by_key.get(&key::by_flow(&self.keyed, cancel, &flow)?) {
            tracing::warn!("CANCEL with another sent-by than its INVITE");
            return Ok(Some(transaction));
        }
        // §9.2: the method of what is cancelled does not matter for matching; on anything but INVITE it has no effect.
        let others =
            [Method::Bye, Method::Info, Method::Message, Method::Notify, Method::Options, Method::Prack]
                .into_iter()
                .chain([Method::Publish, Method::Refer, Method::Register, Method::Subscribe, Method::Update]);
        for method in others {
            let key = key::of_method(&self.keyed, cancel, method.as_str().as_bytes())?;
            if let Some(&transaction) = self.by_key.get(&key) {
                return Ok(Some(transaction));
            }
        }
        Ok(None)
    }

    /// The peer gave up an INVITE: 487 if it is undecided, which its usage knows.
    fn terminate(&mut self, id: SessionId, transaction: usize, reason: Option<Bytes>) {
        let Some(session) = self.session(id) else { return };
        let Some(incoming) = session.incoming_of(transaction) else { return };
        if !incoming.usage.cancel() {
            return;
        }
        let is_session = incoming.dialog.is_some();
        if !Guard::CancelledIs487.is_off() {
            self.respond(id, transaction, 487, &Extra::default());
        }
        if is_session {
            self.end(id, End::Cancelled, Party::Remote, Some(487), reason);
        } else {
            self.events.push_back(Event::ModificationEnded {
                session: id,
                end: End::Cancelled,
                by: Party::Remote,
                status: Some(487),
                retry_after: None,
            });
        }
        self.reschedule_session(id);
    }

    /// Gives 487 to what the peer still asks in a session that ends (§15.1.2).
    pub(super) fn terminate_incoming(&mut self, id: SessionId) {
        let Some(session) = self.session(id) else { return };
        let Some(incoming) = session.alerting() else { return };
        let transaction = incoming.transaction;
        incoming.usage.cancel();
        self.respond(id, transaction, 487, &Extra::default());
    }

    /// Sends a response to an INVITE of the peer. Returns its octets.
    pub(super) fn respond(
        &mut self,
        id: SessionId,
        transaction: usize,
        status: u16,
        extra: &Extra<'_>,
    ) -> Bytes {
        let now = self.now;
        let Some(session) = session_of(&mut self.sessions, id) else { return Bytes::new() };
        let tag = session.local_tag;
        let Some(incoming) = session.incoming_of(transaction) else { return Bytes::new() };
        let response =
            incoming.head.response(&mut self.scratch, status, tag.as_bytes(), &self.config.product, extra);
        if status < 200 && extra.contact.is_some() {
            incoming.head.adopt(&response, tag.as_bytes());
        }
        if let Some(reliable) = incoming.reliable.as_mut().filter(|_| status >= 200) {
            reliable.stop();
        }
        if let Machine::InviteServer { machine, .. } = &mut self.transactions[transaction].machine {
            machine.respond(now, status, response.clone(), &mut self.outbox);
        }
        self.reschedule(transaction);
        response
    }

    /// An ACK: for a 300-699 it belongs to the transaction, for a 2xx to the dialog (§17.2.1, §13.3.1.4).
    pub(super) fn handle_ack(&mut self, key: Key, request: &Essentials<'_>) {
        let now = self.now;
        if let Some(&transaction) = self.by_key.get(&key) {
            let Machine::InviteServer { machine, .. } = &mut self.transactions[transaction].machine else {
                return;
            };
            let output = machine.handle_ack(now);
            self.await_prack(transaction);
            self.reschedule(transaction);
            if output.is_none() {
                return;
            }
        }
        let (Ok(Some(id)), Ok(cseq)) = (self.dialog_of(request), request.cseq()) else { return };
        let number = cseq.number;
        let Some(session) = self.session(id) else { return };
        let Some(incoming) = session.unacknowledged().filter(|incoming| incoming.cseq == number) else {
            return;
        };
        match incoming.usage.handle_ack() {
            Action::Establish => {
                self.events.push_back(Event::Acknowledged { session: id, request: request.message().clone() })
            }
            Action::Leave => self.leave_at_last(id),
            Action::Nothing | Action::Resend(_) | Action::GiveUp | Action::Lapse | Action::Remind => {}
        }
        self.reschedule_session(id);
    }

    /// A BYE in one of the session's dialogs: 200, whatever the state (§15.1.2).
    pub(super) fn handle_bye(
        &mut self,
        key: Key,
        path: Path,
        id: SessionId,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        let number = request.cseq()?.number;
        let remote_tag = request.from_tag()?.unwrap_or_default().to_vec();
        let Some(session) = self.session(id) else { return Ok(()) };
        let is_session = match &mut session.dialog {
            Some(dialog) if dialog.remote_tag() == remote_tag => {
                if !dialog.accept_cseq(number) {
                    return self.answer(key, path, request, 500, &Vec::new()); // §12.2.2
                }
                true
            }
            Some(_) | None => false,
        };
        self.answer(key, path, request, 200, &Vec::new())?;
        let reason = request.cause();
        let Some(session) = self.session(id) else { return Ok(()) };
        let invitation = session.alerting().filter(|incoming| incoming.dialog.is_some());
        if let Some(incoming) = invitation {
            // The inviter gave up by BYE in the early dialog: the same as CANCEL (§15.1.2).
            let transaction = incoming.transaction;
            self.terminate(id, transaction, reason);
        } else if is_session {
            if let Some(incoming) = session.unacknowledged() {
                incoming.usage.finish();
            }
            let is_leaving = session.state == State::Leaving;
            self.terminate_incoming(id);
            if is_leaving {
                self.end(id, End::Left, Party::Local, None, None);
            } else {
                self.end(id, End::Released, Party::Remote, None, reason);
            }
        } else {
            // A dialog that our INVITE created and that is not the user's. If its 2xx has not come yet it overtook it.
            for leg in session.outgoing.iter_mut().flat_map(|outgoing| &mut outgoing.legs) {
                leg.released |= leg.dialog.remote_tag() == remote_tag;
            }
        }
        self.reschedule_session(id);
        Ok(())
    }

    // The user's answers.

    /// Says what our Contact in the session is: one that the peer has not heard yet, or another one, which it hears with the
    /// next target refresh (RFC 3261 §12.2).
    pub(super) fn identify(&mut self, id: SessionId, contact: Contact) -> Result<(), Misuse> {
        check_contact(&contact)?;
        let session = self.session(id).filter(|session| session.state != State::Over);
        let session = session.ok_or(Misuse::NoSession)?;
        let is_silent = session.alerting().is_some_and(|incoming| incoming.usage.is_silent());
        match session.state {
            State::Inviting if is_silent => {}
            State::Inviting => return Err(Misuse::NothingToAnswer),
            State::Established => {}
            State::Leaving | State::Over => return Err(Misuse::NotEstablished),
        }
        session.contact = Some(Box::new(contact));
        Ok(())
    }

    /// Answers with a 1xx.
    pub(super) fn progress(
        &mut self,
        id: SessionId,
        status: u16,
        headers: &Headers,
        body: Option<&Body>,
    ) -> Result<(), Misuse> {
        check_headers(headers)?;
        check_body(body)?;
        let transaction = self.answerable(id)?;
        if !(101..200).contains(&status) {
            return Err(Misuse::Status);
        }
        self.send_progress(id, transaction, status, headers, body)
    }

    /// Answers with 200.
    pub(super) fn accept(
        &mut self,
        id: SessionId,
        headers: &Headers,
        body: Option<&Body>,
    ) -> Result<(), Misuse> {
        check_headers(headers)?;
        check_body(body)?;
        if self.session(id).ok_or(Misuse::NoSession)?.asked.is_some() {
            return self.answer_asked(id, 200, headers, body);
        }
        let transaction = self.answerable(id)?;
        let session = self.session(id).ok_or(Misuse::NoSession)?;
        if let Some(incoming) = session.alerting()
            && incoming.reliable.as_deref().is_some_and(ReliableServer::delays_success)
        {
            incoming.accepted = Some(Box::new((headers.clone(), body.cloned()))); // RFC 3262 §3, §5
            return Ok(());
        }
        self.send_success(id, transaction, headers, body);
        Ok(())
    }

    pub(super) fn send_success(
        &mut self,
        id: SessionId,
        transaction: usize,
        headers: &Headers,
        body: Option<&Body>,
    ) {
        let now = self.now;
        let Some(session) = self.session(id) else { return };
        let path = session.path;
        if let Some(body) = body {
            session.described = Some(Box::new(body.apart()));
        }
        let Some(terms) = session.incoming_of(transaction).map(|incoming| incoming.terms) else { return };
        let contact = self.contact_in(&self.sessions[id.index as usize], &path);
        let mut headers = headers.clone();
        headers.extend(self.agree(id, &terms));
        let response =
            self.respond(id, transaction, 200, &Extra { contact: Some(&contact), headers: &headers, body });
        let Some(session) = self.session(id) else { return };
        if let Some(incoming) = session.alerting() {
            incoming.usage.accept(now, response);
            if let Some(dialog) = incoming.dialog.take() {
                session.dialog = Some(dialog);
                session.state = State::Established;
                self.locate(id);
            } else if let (Some(target), Some(dialog)) = (incoming.target.take(), &mut session.dialog) {
                dialog.set_target(&target);
            }
        }
        self.reschedule_session(id);
    }

    /// Answers with 300 to 699.
    pub(super) fn refuse(
        &mut self,
        id: SessionId,
        status: u16,
        headers: &Headers,
        body: Option<&Body>,
    ) -> Result<(), Misuse> {
        check_headers(headers)?;
        check_body(body)?;
        let session = self.session(id).ok_or(Misuse::NoSession)?;
        if session.asked.is_some() {
            let is_refusal = (300..700).contains(&status);
            return if is_refusal {
                self.answer_asked(id, status, headers, body)
            } else {
                Err(Misuse::Status)
            };
        }
        // Also if the user accepted, as long as nobody was told.
        let transaction = session.alerting().ok_or(Misuse::NothingToAnswer)?.transaction;
        if !(300..700).contains(&status) {
            return Err(Misuse::Status);
        }
        self.respond(id, transaction, status, &Extra { contact: None, headers, body });
        let session = self.session(id).ok_or(Misuse::NoSession)?;
        let Some(incoming) = session.alerting() else { return Err(Misuse::NothingToAnswer) };
        incoming.usage.refuse();
        if incoming.dialog.is_some() {
            self.end(id, End::Rejected, Party::Local, Some(status), None);
        }
        self.reschedule_session(id);
        Ok(())
    }

    /// The transaction of the INVITE that waits for the user.
    fn answerable(&mut self, id: SessionId) -> Result<usize, Misuse> {
        let session = self.session(id).ok_or(Misuse::NoSession)?;
        let waiting = session.alerting().filter(|incoming| incoming.accepted.is_none());
        waiting.map(|incoming| incoming.transaction).ok_or(Misuse::NothingToAnswer)
    }

    pub(super) fn handle_incoming_timeouts(&mut self, id: SessionId) {
        let now = self.now;
        let Some(session) = self.session(id) else { return };
        let actions: SmallVec<[(usize, bool, Action); 2]> = session
            .incoming
            .iter_mut()
            .map(|incoming| {
                (incoming.transaction, incoming.dialog.is_some(), incoming.usage.handle_timeout(now))
            })
            .collect();
        for (transaction, is_session, action) in actions {
            match action {
                Action::Resend(response) => {
                    if let Machine::InviteServer { machine, .. } = &mut self.transactions[transaction].machine
                    {
                        machine.respond(now, 200, response, &mut self.outbox);
                    }
                }
                Action::Leave => self.leave_at_last(id),
                Action::GiveUp => {
                    self.leave_dialog(id, &Vec::new());
                    self.end(id, End::NotAcknowledged, Party::Remote, Some(200), None);
                }
                Action::Lapse => {
                    self.respond(id, transaction, 487, &Extra::default());
                    if is_session {
                        self.end(id, End::Expired, Party::Remote, Some(487), None);
                    }
                }
                Action::Remind => self.remind(id, transaction),
                Action::Nothing | Action::Establish => {}
            }
        }
    }
}
