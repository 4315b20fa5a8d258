//! Requests that arrive: what they must be for a proxy to look at them (RFC 3261 §16.3), and who does.

use bytes::Bytes;
use sip::Headers;
use sip::hash::Key;
use sip::message::{Essentials, Fault, Method, Name};
use sip::transport::{Path, Transport};

use crate::face::Load;
use crate::hub::Core;
use crate::identity::wants_more_privacy;
use crate::registrar::is_for_us;
use crate::releasing;
use crate::transaction::Machine;

/// Methods that the core answers itself.
const ALLOWED: &[u8] = b"REGISTER, OPTIONS";

/// What a proxy must be able to read of a request (§16.3 item 1).
const NEEDED: [Name; 8] = [
    Name::Route,
    Name::RecordRoute,
    Name::MaxForwards,
    Name::ProxyRequire,
    Name::PAssertedIdentity,
    Name::PPreferredIdentity,
    Name::Path,
    Name::Contact,
];

impl Core {
    /// A request. An error is a fault in it that nobody has been told yet.
    pub(crate) fn handle_request(
        &mut self,
        path: Path,
        method: Method,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        let key = sip::transaction::key::server(&self.keyed, request)
            .map_err(|fault| request.validate_essentials().err().unwrap_or(fault))?;
        request.validate_essentials()?;
        if method == Method::Ack {
            return self.handle_ack(key, path, request);
        }
        if let Some(&transaction) = self.by_key.get(&key) {
            self.handle_again(transaction);
            return Ok(());
        }
        if method == Method::Cancel {
            return self.handle_cancel(key, path, request);
        }
        let is_shed = self.is_shed(&path, method, request);
        if !is_shed {
            request.validate_fields(&NEEDED)?;
        }
        // A BYE makes room, so there is always room for it.
        let is_full = self.transactions.len() >= self.config.transactions_max && method != Method::Bye;
        if is_shed || is_full {
            self.counters.overloaded += 1;
            let headers = vec![(Name::RetryAfter, Bytes::from_static(b"5"))];
            self.reply_once(path, request, 503, &headers);
            return Ok(());
        }
        if self.is_late(method, request) {
            self.counters.late += 1;
            let headers = self.explanation();
            self.reply_once(path, request, releasing::STATUS, &headers);
            return Ok(());
        }
        if let Some((status, headers)) = self.unacceptable(method, request)? {
            self.reply_once(path, request, status, &headers);
            return Ok(());
        }
        match method {
            Method::Register if is_for_us(self, request) => self.handle_register(key, path, request),
            Method::Options if is_for_us(self, request) => self.answer_options(key, path, request),
            Method::Ack
            | Method::Bye
            | Method::Cancel
            | Method::Info
            | Method::Invite
            | Method::Message
            | Method::Notify
            | Method::Options
            | Method::Prack
            | Method::Publish
            | Method::Refer
            | Method::Register
            | Method::Subscribe
            | Method::Update
            | Method::Other => self.handle_proxied(key, path, request),
        }
    }

    /// Whether there is too much to do for this. What comes from inside belongs to something that has begun.
    fn is_shed(&self, path: &Path, method: Method, request: &Essentials<'_>) -> bool {
        self.load == Load::Full
            && method == Method::Invite
            && path.transport != Transport::Inside
            && request.to_tag().is_ok_and(|tag| tag.is_none())
    }

    /// A request that belongs to a transaction already.
    fn handle_again(&mut self, transaction: usize) {
        self.counters.repeated += 1;
        match &mut self.transactions[transaction].machine {
            Machine::InviteServer { machine, .. } => machine.handle_invite(&mut self.outbox),
            Machine::Server(machine) => machine.handle_request(&mut self.outbox),
            Machine::InviteClient(_) | Machine::Client(_) => {}
        }
        self.reschedule(transaction);
    }

    /// §11: what the core itself can do.
    fn answer_options(&mut self, key: Key, path: Path, request: &Essentials<'_>) -> Result<(), Fault> {
        let headers = vec![(Name::Allow, Bytes::from_static(ALLOWED))];
        self.answer(key, path, request, 200, &headers)
    }

    /// §16.3 items 2 to 5, before anybody is asked who they are.
    fn unacceptable(
        &mut self,
        method: Method,
        request: &Essentials<'_>,
    ) -> Result<Option<(u16, Headers)>, Fault> {
        if !request.uri()?.is_sip() {
            return Ok(Some((416, Headers::new())));
        }
        if request.number(Name::MaxForwards)? == Some(0) {
            // As its last recipient the core may answer an OPTIONS.
            let status = if method == Method::Options { 200 } else { 483 };
            return Ok(Some((status, Headers::new())));
        }
        if self.has_looped(request) {
            self.counters.looped += 1;
            return Ok(Some((482, Headers::new()))); // RFC 5393 §4.2
        }
        let is_known = |tag: &&[u8]| tag.eq_ignore_ascii_case(b"privacy");
        let unsupported: Vec<_> = request.items(Name::ProxyRequire).filter(|tag| !is_known(tag)).collect();
        if !unsupported.is_empty() {
            let unsupported = Bytes::from(unsupported.join(&b", "[..]));
            return Ok(Some((420, vec![(Name::Unsupported, unsupported)])));
        }
        if wants_more_privacy(request) {
            return Ok(Some((500, Headers::new()))); // RFC 3323 §5
        }
        Ok(None)
    }
}
