//! Requests of peers: which are answered here, and which reach a session. RFC 3261 §8.2 and §12.2.2.

use bytes::Bytes;
use smallvec::SmallVec;

use super::*;
use crate::reply::{Extra, Received};

impl Endpoint {
    /// A request. An error is a fault in it that nobody has been told yet.
    pub(super) fn handle_request(
        &mut self,
        path: Path,
        method: Method,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        // A request without a key has a fault, and perhaps one that says more.
        let key = key::server(&self.keyed, request)
            .map_err(|fault| request.message().validate().err().unwrap_or(fault))?;
        if method == Method::Ack {
            request.validate_essentials()?;
            self.handle_ack(key, request);
            return Ok(());
        }
        if let Some(&transaction) = self.by_key.get(&key) {
            return self.handle_again(transaction, method);
        }
        // What ends something must not fail for a header field that nobody needs.
        request.validate_essentials()?;
        if !matches!(method, Method::Cancel | Method::Bye) {
            request.validate_others()?;
        }
        if method == Method::Cancel {
            return self.handle_cancel(key, path, request);
        }
        // A BYE makes room, so there is always room for it.
        let is_leaving = method == Method::Bye && self.dialog_of(request)?.is_some();
        if self.transactions.len() >= self.config.transactions_max && !is_leaving {
            let headers = vec![(Name::RetryAfter, Bytes::from_static(b"5"))];
            self.reply_once(path, request, 503, &headers);
            return Ok(());
        }
        // RFC 3261 §8.2.2 and §8.2.3, in this order.
        if method == Method::Other {
            self.answer(key, path, request, 501, &self.allow())?;
        } else if !request.uri()?.is_sip() {
            self.answer(key, path, request, 416, &Vec::new())?;
        } else if let Some(unsupported) = self.unsupported(request) {
            self.answer(key, path, request, 420, &vec![(Name::Unsupported, unsupported)])?;
        } else if request.to_tag()?.is_some() {
            self.handle_in_dialog(key, path, method, request)?;
        } else if method == Method::Invite {
            self.handle_invite(key, path, request)?;
        } else {
            self.answer_out_of_dialog(key, path, method, request)?;
        }
        Ok(())
    }

    /// A request that belongs to a transaction already.
    pub(super) fn handle_again(&mut self, transaction: usize, method: Method) -> Result<(), Fault> {
        self.counters.repeated += 1;
        match &mut self.transactions[transaction].machine {
            Machine::InviteServer { machine, .. } if method == Method::Invite => {
                machine.handle_invite(&mut self.outbox)
            }
            Machine::Server { machine, .. } => machine.handle_request(&mut self.outbox),
            Machine::InviteServer { .. } | Machine::InviteClient { .. } | Machine::Client(_) => {}
        }
        self.reschedule(transaction);
        Ok(())
    }

    pub(super) fn answer_out_of_dialog(
        &mut self,
        key: Key,
        path: Path,
        method: Method,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        if method == Method::Subscribe && self.packages().next().is_some() {
            return self.handle_subscribe(key, path, request);
        }
        // §15.1.2, RFC 3262 §3, RFC 3311 §5.2, RFC 6086 §4.2.1: these are nothing without a dialog.
        if matches!(method, Method::Bye | Method::Prack | Method::Update | Method::Info) {
            return self.answer(key, path, request, 481, &Vec::new());
        }
        if method == Method::Refer && self.is_for_user(method) {
            return self.handle_refer(key, path, request);
        }
        if self.is_for_user(method) {
            return self.handle_requested(key, path, request);
        }
        let allow = self.allow();
        self.answer_generally(key, path, method, request, allow)
    }

    /// OPTIONS is answered; nothing else has a user here, and `allow` says what has one.
    pub(super) fn answer_generally(
        &mut self,
        key: Key,
        path: Path,
        method: Method,
        request: &Essentials<'_>,
        allow: Headers,
    ) -> Result<(), Fault> {
        let status = if method == Method::Options { 200 } else { 405 };
        let mut headers = allow;
        if method == Method::Options {
            headers = self.introduction(); // §11.2
            headers.push((Name::Accept, Bytes::from(self.config.body_types.join(&b", "[..]))));
        }
        self.answer(key, path, request, status, &headers)
    }

    /// §8.2.2.3: the required extensions that this endpoint does not have.
    pub(super) fn unsupported(&self, request: &Essentials<'_>) -> Option<Bytes> {
        let supports = |tag: &[u8]| self.option_tags().any(|have| have.eq_ignore_ascii_case(tag));
        let missing: Vec<_> =
            request.items(Name::Require).filter(|tag| !tag.is_empty() && !supports(tag)).collect();
        (!missing.is_empty()).then(|| Bytes::from(missing.join(&b", "[..])))
    }

    /// A request with a To tag.
    pub(super) fn handle_in_dialog(
        &mut self,
        key: Key,
        path: Path,
        method: Method,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        let id = match self.place_of(request)? {
            Some(Place::Session(id)) => id,
            Some(place @ (Place::Subscription(_) | Place::Subscriber(_))) => {
                return self.handle_in_subscription(key, path, place, method, request);
            }
            None if method == Method::Notify => return self.handle_first_notify(key, path, request),
            None => return self.answer(key, path, request, 481, &Vec::new()), // §12.2.2
        };
        let Some(session) = self.session(id) else { return Ok(()) };
        // §12.3: the early dialog has ended, and is only kept for a PRACK that is late.
        let is_ended = session.state == State::Over && session.dialog.is_none() && !session.is_inviter;
        if is_ended && method != Method::Prack {
            return self.answer(key, path, request, 481, &Vec::new());
        }
        match method {
            Method::Bye => return self.handle_bye(key, path, id, request),
            Method::Invite => return self.handle_reinvite(key, path, id, request),
            Method::Ack
            | Method::Cancel
            | Method::Info
            | Method::Message
            | Method::Notify
            | Method::Options
            | Method::Prack
            | Method::Publish
            | Method::Refer
            | Method::Register
            | Method::Subscribe
            | Method::Update
            | Method::Other => {}
        }
        let number = request.cseq()?.number;
        let Some(dialog) = session.dialog_with(request.from_tag()?.unwrap_or_default()) else {
            return self.answer(key, path, request, 481, &Vec::new());
        };
        if !dialog.accept_cseq(number) {
            return self.answer(key, path, request, 500, &Vec::new()); // §12.2.2
        }
        match method {
            Method::Prack => self.handle_prack(key, path, id, request),
            Method::Update => self.handle_update(key, path, id, request),
            Method::Info => self.handle_info(key, path, id, request),
            Method::Notify => self.handle_notify_within(key, path, id, request),
            Method::Refer if self.is_for_user(method) => self.handle_refer_within(key, path, id, request),
            Method::Subscribe if self.packages().next().is_some() => {
                self.handle_subscribe_within(key, path, id, request)
            }
            Method::Ack
            | Method::Bye
            | Method::Cancel
            | Method::Invite
            | Method::Message
            | Method::Options
            | Method::Publish
            | Method::Refer
            | Method::Register
            | Method::Subscribe
            | Method::Other => {
                // What the user answers outside of dialogs has nobody within one.
                let allow = self.allow_within();
                self.answer_generally(key, path, method, request, allow)
            }
        }
    }

    /// An INFO, in order. No Info Package and no body of one has a user here (RFC 6086 §4.2.2).
    fn handle_info(
        &mut self,
        key: Key,
        path: Path,
        id: SessionId,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        let remote_tag = request.from_tag()?.unwrap_or_default();
        let is_open = self.session(id).is_some_and(|session| session.is_open(remote_tag));
        let (status, headers) = match () {
            () if !is_open => (481, Vec::new()),
            // An empty list: none is wanted (RFC 6086 §5.2.2).
            () if request.value(Name::InfoPackage).is_some() => (469, vec![(Name::RecvInfo, Bytes::new())]),
            () if needs_reading(request) => (415, vec![(Name::Accept, Bytes::new())]), // RFC 3261 §20.1
            () => (200, Vec::new()),
        };
        self.answer(key, path, request, status, &headers)
    }

    /// What the dialog belongs to in which `request` came.
    fn place_of(&self, request: &Essentials<'_>) -> Result<Option<Place>, Fault> {
        let (local, remote) =
            (request.to_tag()?.unwrap_or_default(), request.from_tag()?.unwrap_or_default());
        let key = Dialog::key_of(&self.keyed, request.call_id(), local, remote);
        Ok(self.dialogs.get(&key).copied())
    }

    /// The session in one of whose dialogs `request` came.
    pub(super) fn dialog_of(&self, request: &Essentials<'_>) -> Result<Option<SessionId>, Fault> {
        Ok(match self.place_of(request)? {
            Some(Place::Session(id)) => Some(id),
            Some(Place::Subscription(_) | Place::Subscriber(_)) | None => None,
        })
    }

    /// Answers a request other than INVITE with a final response, in a transaction that absorbs its copies. An INVITE
    /// is answered likewise if no session comes of it.
    pub(super) fn answer(
        &mut self,
        key: Key,
        path: Path,
        request: &Essentials<'_>,
        status: u16,
        headers: &Headers,
    ) -> Result<(), Fault> {
        let received = Received::new(&mut self.scratch, request, path)?;
        let tag = self.identifiers.draw();
        self.answer_as(key, &received, request, tag, status, headers);
        Ok(())
    }

    /// The same, with more than header lines.
    pub(super) fn answer_with(
        &mut self,
        key: Key,
        received: &Received,
        request: &Essentials<'_>,
        tag: Identifier,
        status: u16,
        extra: &Extra<'_>,
    ) {
        let response =
            received.head.response(&mut self.scratch, status, tag.as_bytes(), &self.config.product, extra);
        self.answer_by(key, received, request, tag, status, response);
    }

    /// The same, with a To tag that is given.
    pub(super) fn answer_as(
        &mut self,
        key: Key,
        received: &Received,
        request: &Essentials<'_>,
        tag: Identifier,
        status: u16,
        headers: &Headers,
    ) {
        self.answer_with(key, received, request, tag, status, &Extra::headers(headers));
    }

    fn answer_by(
        &mut self,
        key: Key,
        received: &Received,
        request: &Essentials<'_>,
        tag: Identifier,
        status: u16,
        response: Bytes,
    ) {
        let Received { head, source, path } = received;
        if self.transactions.len() >= self.config.transactions_max {
            // §8.2.7: a CANCEL or a BYE for which there is no room: its copies are answered like strangers.
            return self.outbox.send(*path, response);
        }
        let (now, timers) = (self.now, self.timers.clone());
        let mut keys = SmallVec::from_slice(&[key]);
        let machine = if request.is(Method::Invite) {
            let trying = head.response(&mut self.scratch, 100, b"", b"", &Extra::default());
            let mut machine = InviteServer::start(now, *path, timers, trying);
            machine.respond(now, status, response, &mut self.outbox);
            keys.extend(key::merged(&self.keyed, request).ok().filter(|key| !self.by_key.contains_key(key)));
            Machine::InviteServer { machine, tag, port: source.remote.port() }
        } else {
            let mut machine = Server::start(*path, timers);
            machine.respond(now, status, response, &mut self.outbox);
            Machine::Server { machine, tag }
        };
        self.open(machine, keys, Owner::Nobody);
    }

    /// A request with a fault: answered as far as it can be, and forgotten.
    pub(super) fn refuse_malformed(
        &mut self,
        path: Path,
        method: Method,
        request: &Essentials<'_>,
        fault: Fault,
    ) {
        // §8.2: an ACK is never answered. A CANCEL is answered 400 like any request that cannot be read.
        if method != Method::Ack {
            self.reply_once(path, request, fault.status(), &Vec::new());
        }
    }

    /// §8.2.7: a response that leaves no state behind. Its To tag depends on the request alone, so copies of the
    /// request get the same.
    pub(super) fn reply_once(
        &mut self,
        path: Path,
        request: &Essentials<'_>,
        status: u16,
        headers: &Headers,
    ) {
        let Ok(Received { head, path, .. }) = Received::new(&mut self.scratch, request, path) else { return };
        let tag =
            self.keyed.key(&[b"stateless", request.call_id(), request.value(Name::Via).unwrap_or_default()]);
        let tag = tag.to_string();
        let response = head.response(
            &mut self.scratch,
            status,
            tag.as_bytes(),
            &self.config.product,
            &Extra::headers(headers),
        );
        self.outbox.send(path, response);
    }
}
