//! UPDATE: a change, or a refresh, that does not wait for anybody. RFC 3311.

use bytes::Bytes;

use super::session::{Asked, Incoming, Leg};
use super::*;
use crate::reply::Received;
use crate::transaction::server;
use crate::usage::reliable::ReliableServer;
use crate::usage::session_timer::Terms;

impl Endpoint {
    /// An UPDATE, in order (§5.2).
    pub(super) fn handle_update(
        &mut self,
        key: Key,
        path: Path,
        id: SessionId,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        let remote_tag = Bytes::copy_from_slice(request.from_tag()?.unwrap_or_default());
        let retry = self.identifiers.below(11);
        let unacceptable = self.unacceptable(request);
        let Some(session) = self.session(id) else { return Ok(()) };
        let is_open = session.is_open(&remote_tag);
        let offers = needs_reading(request);
        let glare = session.unanswered_offer(&remote_tag).filter(|_| offers);
        let retry_later = || vec![(Name::RetryAfter, Bytes::from(retry.to_string()))];
        let refusal = match () {
            () if !is_open => Some((481, Vec::new())),
            () if session.asked.is_some() => Some((500, retry_later())),
            () if glare == Some(Party::Remote) => Some((500, retry_later())),
            () if glare == Some(Party::Local) => Some((491, Vec::new())),
            () => unacceptable,
        };
        if let Some((status, headers)) = refusal {
            return self.answer(key, path, request, status, &headers);
        }
        session.note_allowed(request);
        self.ask(key, path, id, request, Some(Terms::of(request)))?;
        if offers {
            self.events
                .push_back(Event::ModificationOffered { session: id, request: request.message().clone() });
        } else {
            let answered = self.answer_asked(id, 200, &Vec::new(), None);
            debug_assert_eq!(answered, Ok(()), "it has just been asked");
        }
        self.reschedule_session(id);
        Ok(())
    }

    /// Opens the transaction of a request that waits for its user.
    pub(super) fn ask(
        &mut self,
        key: Key,
        path: Path,
        id: SessionId,
        request: &Essentials<'_>,
        terms: Option<Terms>,
    ) -> Result<(), Fault> {
        let Received { head, path, .. } = Received::new(&mut self.scratch, request, path)?;
        let remote_tag = Bytes::copy_from_slice(request.from_tag()?.unwrap_or_default());
        let contact = request.addresses(Name::Contact).next().and_then(Result::ok);
        let target = contact.filter(|_| terms.is_some()).map(|contact| Bytes::copy_from_slice(contact.uri));
        let Some(tag) = self.session(id).map(|session| session.local_tag) else { return Ok(()) };
        let timers = self.timers.clone();
        let machine = Machine::Server { machine: Server::start(path, timers), tag };
        let transaction = self.open(machine, SmallVec::from_slice(&[key]), Owner::Nobody);
        let until = self.now + self.timers.t2;
        if let Some(session) = self.session(id) {
            session.asked = Some(Box::new(Asked { transaction, head, remote_tag, target, terms, until }));
        }
        Ok(())
    }

    /// The user's answer to an UPDATE or a PRACK.
    pub(super) fn answer_asked(
        &mut self,
        id: SessionId,
        status: u16,
        headers: &Headers,
        body: Option<&Body>,
    ) -> Result<(), Misuse> {
        let session = self.session(id).ok_or(Misuse::NoSession)?;
        let asked = session.asked.take().ok_or(Misuse::NothingToAnswer)?;
        let path = session.path;
        if status < 300 {
            if let (Some(target), Some(dialog)) = (&asked.target, session.dialog_with(&asked.remote_tag)) {
                dialog.set_target(target); // RFC 3261 §12.2.2
            }
            if let Some(body) = body {
                session.described = Some(Box::new(body.apart()));
            }
        }
        let is_established = session.state == State::Established;
        let mut headers = headers.clone();
        let contact = asked.terms.filter(|_| status < 300).map(|terms| {
            // What is not established yet does not expire: its INVITE says when it begins to (RFC 4028 §9).
            headers.extend(if is_established { self.agree(id, &terms) } else { self.introduction() });
            self.contact_in(&self.sessions[id.index as usize], &path)
        });
        self.respond_asked(&asked, status, &Extra { contact: contact.as_deref(), headers: &headers, body });
        self.accept_at_last(id);
        self.reschedule_session(id);
        Ok(())
    }

    fn respond_asked(&mut self, asked: &Asked, status: u16, extra: &Extra<'_>) {
        // Its To has our tag.
        let response = asked.head.response(&mut self.scratch, status, b"", &self.config.product, extra);
        let now = self.now;
        if let Machine::Server { machine, .. } = &mut self.transactions[asked.transaction].machine {
            debug_assert_eq!(*machine.state(), server::State::Trying, "one final response");
            machine.respond(now, status, response, &mut self.outbox);
        }
        self.reschedule(asked.transaction);
    }

    /// What still waits when its session ends (RFC 3261 §15.1.2).
    pub(super) fn drop_asked(&mut self, id: SessionId) {
        if let Some(asked) = self.session(id).and_then(|session| session.asked.take()) {
            self.respond_asked(&asked, 487, &Extra::default());
        }
    }

    pub(super) fn handle_asked_timeout(&mut self, id: SessionId) {
        let now = self.now;
        let Some(session) = self.session(id) else { return };
        let Some(asked) = session.asked.take_if(|asked| asked.until <= now) else { return };
        // §5.2: 504 if the user must be asked first.
        self.respond_asked(&asked, 504, &Extra::default());
        let (end, by, status) = (End::TimedOut, Party::Local, Some(504));
        self.events.push_back(Event::ModificationEnded { session: id, end, by, status, retry_after: None });
        self.accept_at_last(id);
    }
}

impl Session {
    /// Who made an offer that has no answer yet in the dialog with the peer of this tag (§5.2).
    fn unanswered_offer(&self, remote_tag: &[u8]) -> Option<Party> {
        let of_incoming = self.incoming.iter().find_map(Incoming::unanswered_offer);
        let answers = |leg: &Leg| leg.described && leg.dialog.remote_tag() == remote_tag;
        let ours = self.outgoing.iter().any(|outgoing| {
            outgoing.usage.is_pending() && outgoing.body.is_some() && !outgoing.legs.iter().any(answers)
        });
        ours.then_some(Party::Local).or(of_incoming)
    }

    /// Remembers whether the peer allows UPDATE.
    pub(super) fn note_allowed(&mut self, message: &Message) {
        if message.value(Name::Allow).is_some() {
            self.allows_update = message.lists(Name::Allow, b"UPDATE");
        }
    }
}

impl Incoming {
    fn unanswered_offer(&self) -> Option<Party> {
        let is_open = self.usage.is_alerting() || self.usage.is_unacknowledged();
        let waits = self.reliable.as_deref().is_some_and(ReliableServer::delays_success);
        match (self.offers, self.usage.is_alerting()) {
            _ if !is_open => None,
            (true, true) if !self.described => Some(Party::Remote),
            (true, _) => None,
            (false, true) if self.described && !waits => None,
            // Our offer stands in a 1xx or a 2xx, or will.
            (false, _) => Some(Party::Local),
        }
    }
}
