//! Another attempt of a request of ours, when the protocol says so and its user still wants it.
//!
//! ```text
//! 401, 407                              with credentials, CSeq + 1, the same way (RFC 3261 §22.2, §22.3)
//! 422                                   with the smallest session interval that is taken, CSeq + 1 (RFC 4028 §7.3)
//! 503, timer B, transport failure       to the next target, with another branch only (RFC 3263 §4.3)
//! TCP refused, chosen for the length    by UDP to the same target (RFC 3261 §18.1.1)
//! ```
//!
//! Whether an INVITE may have another is decided by its usage, `InviteClient::next_attempt`: never after the wish. A CANCEL
//! and an ACK never have one (§22.1, digest R24): nobody owns them.

use super::session::{Outgoing, State};
use super::*;
use crate::auth::Authentication;
use crate::message::Writer;
use crate::usage::Scope;
use crate::usage::session_timer::min_se_of;

/// Attempts of one request, the first included.
const ATTEMPTS_MAX: u8 = 5;

/// What a further attempt of an INVITE is made of; nothing is kept once a final response has settled it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Further {
    /// The octets of the whole INVITE, if a response may ask for another: the transaction forgets the most of it at a 1xx.
    pub(super) request: Option<Bytes>,
    /// The targets that have not been tried.
    pub(super) targets: VecDeque<Target>,
}

/// Why the last attempt is over.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cause<'a> {
    /// A final response.
    Answered(&'a Message),
    /// Timer B or F, or a transport failure.
    Silence,
    /// The connection was refused that was chosen for the length of the request: by this target after all (§18.1.1).
    Refused(Target),
}

/// Where the next attempt goes, and what it is.
struct Attempt {
    path: Path,
    /// The number of CSeq, if it is another.
    number: Option<u32>,
    /// Session-Expires and Min-SE, if they are others.
    terms: Headers,
}

impl Attempt {
    /// The same request by another way.
    fn elsewhere(path: Path) -> Self {
        Self { path, number: None, terms: Vec::new() }
    }
}

impl Endpoint {
    /// Whether another attempt of the INVITE that `transaction` carries has left.
    pub(super) fn invite_again(&mut self, id: SessionId, transaction: usize, cause: Cause<'_>) -> bool {
        let Machine::InviteClient { machine, .. } = &self.transactions[transaction].machine else {
            return false;
        };
        let (path, in_transaction) = (machine.path(), machine.request().into_owned());
        let Some(scope) = self.outgoing(id, transaction).map(|outgoing| outgoing.usage.scope()) else {
            return false;
        };
        let is_wanted = self.is_wanted(id, scope);
        let Some(outgoing) = self.outgoing(id, transaction) else { return false };
        // A response never asks for what was not kept; before any the transaction has all of it.
        let request = match cause {
            Cause::Answered(_) => {
                outgoing.further.request.clone().and_then(|whole| Message::parse(whole).ok())
            }
            Cause::Silence | Cause::Refused(_) => Some(in_transaction),
        };
        let (Some(request), Some(usage)) = (request, outgoing.usage.next_attempt()) else { return false };
        let mut targets = std::mem::take(&mut outgoing.further.targets);
        let attempt = is_wanted
            .then(|| self.next_attempt(transaction, Owner::Invite(id), path, &request, &mut targets, cause))
            .flatten();
        let Some(attempt) = attempt else { return false };
        let branch = self.identifiers.draw();
        let Ok((again, path, fallback)) = self.fit(attempt.path, |endpoint, path| {
            endpoint.compose_again(Owner::Invite(id), &request, &branch, path, &attempt)
        }) else {
            return false;
        };
        tracing::debug!(session = id.serial, ?cause, "another attempt");
        let tried = self.transactions[transaction].attempt;
        let whole = Some(again.bytes().clone());
        let next = self.start_invite(id, again, &branch, path, fallback);
        self.transactions[next].attempt = tried + 1;
        let Some(session) = self.session(id) else { return false };
        if scope == Scope::Session {
            session.path = path;
        }
        let least = session.min_se;
        let Some(outgoing) = session.outgoing_of(transaction) else { return false };
        // It is over like any other, and what comes late is ended as ever; its outcome is that of the next.
        let _ = match cause {
            Cause::Answered(response) => outgoing.usage.handle_failure(response.status().unwrap_or(500)),
            Cause::Silence | Cause::Refused(_) => outgoing.usage.handle_silence(End::TimedOut),
        };
        let cancel_headers = std::mem::take(&mut outgoing.cancel_headers);
        let asked = outgoing.session_expires;
        outgoing.further = Further::default();
        let following = Outgoing {
            usage,
            transaction: next,
            cancel_headers,
            legs: Vec::new(),
            further: Further { request: whole, targets },
            body: outgoing.body.take(),
            session_expires: asked.map(|asked| asked.max(least)),
            is_refresh: outgoing.is_refresh,
        };
        session.outgoing.push(following);
        self.reschedule_session(id);
        true
    }

    /// Whether the session is such that something new may start in it: after the BYE nothing may.
    fn is_wanted(&mut self, id: SessionId, scope: Scope) -> bool {
        let state = self.session(id).map(|session| session.state);
        match scope {
            Scope::Session => state == Some(State::Inviting),
            Scope::Modification => state == Some(State::Established),
        }
    }

    /// §18.1.1: TCP was chosen for the length of the request, and refused: it leaves by UDP after all, unless its user
    /// gave up in the meantime (no new attempt after the wish).
    ///
    /// The refused attempt never left: it is replaced, keys and all, and no response to it can come.
    pub(super) fn fall_back(&mut self, transaction: usize) {
        let now = self.now;
        let entry = &mut self.transactions[transaction];
        let (Machine::InviteClient { machine, fallback }, Owner::Invite(id)) =
            (&mut entry.machine, entry.owner)
        else {
            return;
        };
        let target = fallback.take();
        let is_calling = matches!(machine.state(), invite_client::State::Calling { .. });
        let request = machine.request().into_owned();
        let outgoing = self.outgoing(id, transaction);
        let scope = outgoing
            .filter(|outgoing| outgoing.usage.next_attempt().is_some())
            .map(|outgoing| outgoing.usage.scope());
        let is_wanted = scope.is_some_and(|scope| self.is_wanted(id, scope));
        let target = target.filter(|_| is_calling && is_wanted);
        let path = target.and_then(|target| self.path_to(target).ok());
        let branch = self.identifiers.draw();
        let again = path.and_then(|path| {
            let attempt = Attempt::elsewhere(path);
            let again = self.compose_again(Owner::Invite(id), &request, &branch, &path, &attempt);
            Some((again.ok()?, path))
        });
        let Some((request, path)) = again else {
            if let Machine::InviteClient { machine, .. } = &mut self.transactions[transaction].machine {
                let output = machine.handle_transport_failure(now);
                self.handle_invite_output(transaction, output, None);
            }
            return;
        };
        tracing::debug!(session = id.serial, "falling back to UDP");
        let machine = InviteClient::start(now, request, path, self.timers.clone(), &mut self.outbox);
        let new_key = key::client(&self.keyed, &branch, b"INVITE");
        let entry = &mut self.transactions[transaction];
        entry.machine = Machine::InviteClient { machine: Box::new(machine), fallback: None };
        for old in std::mem::replace(&mut entry.keys, SmallVec::from_slice(&[new_key])) {
            self.by_key.remove(&old);
        }
        self.by_key.insert(new_key, transaction);
        if let Some(session) = self.session(id).filter(|_| scope == Some(Scope::Session)) {
            session.path = path;
        }
    }

    /// Whether another attempt of the request other than INVITE that `transaction` carries has left.
    pub(super) fn request_again(&mut self, transaction: usize, cause: Cause<'_>) -> bool {
        let entry = &self.transactions[transaction];
        let (owner, tried) = (entry.owner, entry.attempt);
        let Machine::Client(machine) = &entry.machine else { return false };
        let (path, request) = (machine.path(), machine.request().clone());
        let Some(method) = request.method() else { return false };
        if let Owner::Refreshing(id) = owner
            && !self.is_wanted(id, Scope::Modification)
        {
            return false;
        }
        if let Owner::Subscribing(id) = owner
            && !self.may_subscribe_again(id, transaction)
        {
            return false;
        }
        // A dialog has one next hop.
        let mut targets = self.waiting(owner).map(|waiting| waiting.targets.clone()).unwrap_or_default();
        let attempt = self.next_attempt(transaction, owner, path, &request, &mut targets, cause);
        let Some(attempt) = attempt else { return false };
        let branch = self.identifiers.draw();
        let compose = |endpoint: &mut Self, path: &Path| {
            endpoint.compose_again(owner, &request, &branch, path, &attempt)
        };
        let path = attempt.path;
        let again = match cause {
            Cause::Refused(_) => compose(self, &path).map(|again| (again, path, None)),
            Cause::Answered(_) | Cause::Silence => self.fit(path, compose),
        };
        let Ok((again, path, fallback)) = again else { return false };
        tracing::debug!(?owner, ?cause, "another attempt");
        let next = self.start_request(again.clone(), &branch, method.as_str().as_bytes(), path, owner);
        self.transactions[next].attempt = tried + 1;
        if let Some(waiting) = self.waiting(owner) {
            (waiting.targets, waiting.fallback) = (targets, fallback);
        }
        if let Owner::Subscribing(id) = owner {
            self.subscription_goes_on(id, again, next, path);
        }
        true
    }

    /// The same for a request that is none of a session; any other has failed.
    pub(super) fn fall_back_request(&mut self, transaction: usize) {
        let owner = self.transactions[transaction].owner;
        let target = self.waiting(owner).and_then(|waiting| waiting.fallback.take());
        let Machine::Client(machine) = &mut self.transactions[transaction].machine else { return };
        let output = machine.handle_transport_failure();
        let cause = target.filter(|_| output.is_some()).map(Cause::Refused);
        if !cause.is_some_and(|cause| self.request_again(transaction, cause)) {
            self.handle_client_output(transaction, output, None);
        }
    }

    /// Where the next attempt goes, if there is to be one.
    fn next_attempt(
        &mut self,
        transaction: usize,
        owner: Owner,
        path: Path,
        request: &Message,
        targets: &mut VecDeque<Target>,
        cause: Cause<'_>,
    ) -> Option<Attempt> {
        if self.transactions[transaction].attempt >= ATTEMPTS_MAX {
            return None;
        }
        match cause {
            Cause::Answered(response) if matches!(response.status(), Some(401 | 407)) => {
                let mut authentication = std::mem::take(self.authentication(owner)?);
                let (credentials, identifiers) = (&self.config.credentials, &mut self.identifiers);
                let is_answered = authentication.accept(request, response, credentials, identifiers);
                *self.authentication(owner)? = authentication;
                if !is_answered {
                    return None;
                }
                // §22.2: with a number as for any updated request.
                let number = self.number_after(owner, request)?;
                Some(Attempt { path: self.reopened(path), number: Some(number), terms: Vec::new() })
            }
            Cause::Answered(response) if response.status() == Some(422) => {
                // RFC 4028 §6: an answer to what may set a session timer, and to nothing else.
                let (Owner::Invite(id) | Owner::Refreshing(id)) = owner else { return None };
                let least = min_se_of(response)?;
                let session = self.session(id).filter(|session| session.min_se < least)?;
                session.min_se = least;
                let (mut terms, _) = self.terms_in(&self.sessions[id.index as usize]);
                terms.retain(|(name, _)| matches!(name, Name::SessionExpires | Name::MinSe));
                let number = self.number_after(owner, request)?;
                Some(Attempt { path: self.reopened(path), number: Some(number), terms })
            }
            Cause::Answered(response) if response.status() != Some(503) => None,
            Cause::Refused(target) => Some(Attempt::elsewhere(self.path_to(target).ok()?)),
            Cause::Answered(_) | Cause::Silence => {
                while let Some(target) = targets.pop_front() {
                    if let Ok(path) = self.path_to(target) {
                        return Some(Attempt::elsewhere(path));
                    }
                }
                None
            }
        }
    }

    /// The next number for a request that has the Call-ID and the tags of `request`.
    fn number_after(&mut self, owner: Owner, request: &Message) -> Option<u32> {
        let next = request.cseq().ok()?.number + 1;
        let tag = request.to().ok()?.tag();
        if let Some(dialog) = self.dialog_of_subscription(owner) {
            return Some(dialog.next_cseq_from(next));
        }
        let (Some(id), Some(tag)) = (owner.session(), tag) else { return Some(next) };
        let session = self.session(id)?;
        let legs = session.outgoing.iter_mut().flat_map(|outgoing| &mut outgoing.legs);
        let mut dialogs = session.dialog.as_deref_mut().into_iter().chain(legs.map(|leg| &mut leg.dialog));
        // The dialog of the user comes first, and only it has other requests of ours than this one.
        let dialog = dialogs.find(|dialog| dialog.remote_tag() == tag);
        Some(dialog.map_or(next, |dialog| dialog.next_cseq_from(next)))
    }

    /// Writes `request` again for `path`: with this branch, with what was asked for, and as it was otherwise.
    fn compose_again(
        &mut self,
        owner: Owner,
        request: &Message,
        branch: &Identifier,
        path: &Path,
        attempt: &Attempt,
    ) -> Result<Message, Misuse> {
        let via = self.via(path, branch);
        let contact = self.contact_again(owner, path);
        let lines = [self.answers(owner, request), attempt.terms.clone()].concat();
        let method = request.method().unwrap_or(Method::Other);
        let number = attempt.number.map(|number| format!("{number} {}", method.as_str()));
        rewrite(&mut self.scratch, request, &via, contact.as_deref(), number.as_deref(), &lines);
        self.composed()
    }

    /// A request of ours with the credentials that its Call-ID has been asked for (§22.3); as it is if that is nothing.
    pub(super) fn authorised(&mut self, owner: Owner, request: Message) -> Message {
        let answers = self.answers(owner, &request);
        if answers.is_empty() {
            return request;
        }
        let via = request.value(Name::Via).unwrap_or_default();
        rewrite(&mut self.scratch, &request, via, None, None, &answers);
        // Leaving must not fail for what a proxy asks for.
        self.composed().unwrap_or(request)
    }

    fn answers(&mut self, owner: Owner, request: &Message) -> Headers {
        let method = request.method().unwrap_or(Method::Other);
        let authentication = self.authentication(owner);
        authentication.map(|each| each.lines(method, request.uri_text(), request.body())).unwrap_or_default()
    }

    fn authentication(&mut self, owner: Owner) -> Option<&mut Authentication> {
        match self.session_under(owner) {
            Some(id) => self.session(id).map(|session| &mut session.authentication),
            None => self.waiting(owner).map(|waiting| &mut waiting.authentication),
        }
    }

    /// The credentials of a request were good, or not asked for.
    pub(super) fn prove(&mut self, owner: Owner, status: Option<u16>) {
        if !matches!(status, None | Some(401 | 407))
            && let Some(authentication) = self.authentication(owner)
        {
            authentication.prove();
        }
    }

    /// The Contact of a request that may go another way; any other has what its writer put there.
    fn contact_again(&self, owner: Owner, path: &Path) -> Option<Text> {
        match owner {
            Owner::Invite(id) => {
                let session = self.sessions.get(id.index as usize).filter(|session| session.id == id);
                session.map(|session| self.contact_in(session, path))
            }
            Owner::Request(id) => self.contact_outside(path, self.requests.get(&id)?.contact.as_ref()?),
            Owner::Subscribing(_) | Owner::Notifying(_) => self.contact_of_subscription(owner, path),
            Owner::Leaving(_)
            | Owner::Declining(_)
            | Owner::Refreshing(_)
            | Owner::Acknowledging(_)
            | Owner::Nobody => None,
        }
    }
}

impl Outgoing {
    /// Keeps nothing for another attempt if none can follow: it is unwanted or settled, or nothing else could be tried.
    pub(super) fn forget_further(&mut self, has_credentials: bool) {
        let is_needed = has_credentials || !self.further.targets.is_empty() || self.session_expires.is_some();
        if !is_needed || self.usage.next_attempt().is_none() {
            self.further = Further::default();
        }
    }
}

/// Writes a request again: with this Via, with this Contact and CSeq if they are given, and with `lines` in place of those
/// of their names.
fn rewrite(
    out: &mut Vec<u8>,
    request: &Message,
    via: &[u8],
    contact: Option<&[u8]>,
    cseq: Option<&str>,
    lines: &Headers,
) {
    let method = request.method().unwrap_or(Method::Other);
    let mut writer = Writer::request(out, method, request.uri_text());
    writer.line(Name::Via, via);
    for header in request.headers().filter(|header| header.name != Name::Via) {
        match (header.name, contact, cseq) {
            (Name::Contact, Some(contact), _) => writer.line(Name::Contact, contact),
            (Name::CSeq, _, Some(cseq)) => writer.line(Name::CSeq, cseq.as_bytes()),
            (name, _, _) if lines.iter().any(|(other, _)| *other == name) => &mut writer,
            _ => writer.copy(&header),
        };
    }
    for (name, value) in lines {
        writer.line(*name, value);
    }
    writer.finish_copied(request.body());
}
