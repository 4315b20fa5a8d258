//! What the two functions do with a leg: invite, refuse, withdraw. All of it is the endpoint's; here stands what a PoC
//! Server writes into it.

use bytes::Bytes;
use sip::message::{Body, Name, Uri};
use sip::usage::{End, Party};
use sip::{Headers, Invite, Message, Misuse, SessionId};

use super::Server;
use super::directory::User;
use super::group::Group;
use super::participating::kind_of_session;
use super::policy::{Inviter, Refusal};
use super::preestablished::contact_uri_of;
use super::record::SessionType;
use super::releasing::{self, Duty};
use crate::client::ACCEPT_CONTACT;
use crate::{address, display};

/// Seconds.
const RETRY_AFTER: &[u8] = b"5";

/// The same as [`ACCEPT_CONTACT`], but a wish: terminals of PoC first, and others too (RFC 3841 §7.2.4).
const ACCEPT_ANY_CONTACT: &[u8] = b"*;+g.poc.talkburst";

/// How a leg ended, as the endpoint tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ended {
    pub(super) end: End,
    pub(super) by: Party,
    pub(super) status: Option<u16>,
    pub(super) reason: Option<Bytes>,
    /// The refusal, if it was one.
    pub(super) response: Option<Message>,
}

impl Ended {
    /// This server ends it, for this status.
    pub(super) fn here(end: End, status: u16) -> Self {
        Self { end, by: Party::Local, status: Some(status), reason: None, response: None }
    }

    /// What the failure of an invited leg is to the inviter (digest 10.3 step 10, 12.3): never what concerns this hop
    /// alone, and never 487, which would say that the inviter gave up.
    pub(super) fn status_for_inviter(&self) -> u16 {
        match (self.end, self.status) {
            (End::Rejected, Some(503)) => 500, // RFC 3261 §16.7 step 6: 503 is about the next hop
            (End::Rejected, Some(403 | 404 | 406 | 410 | 433 | 480 | 484..=486 | 488 | 500..=699)) => {
                self.status.unwrap_or(480)
            }
            (End::Rejected, Some(_) | None) => 480,
            (
                End::Cancelled
                | End::Expired
                | End::TimedOut
                | End::TransportFailed
                | End::NotAcknowledged
                | End::Left
                | End::Released
                | End::Lost,
                _,
            ) => 480,
        }
    }
}

/// Reason, if there is one.
pub(super) fn reason(value: Option<&Bytes>) -> Headers {
    value.map(|value| (Name::Reason, value.clone())).into_iter().collect()
}

/// The Reason that stands for a final response which cannot be given any more.
pub(super) fn reason_of_status(status: u16) -> Bytes {
    Bytes::from(format!("SIP;cause={status};text=\"{}\"", sip::message::reason_phrase(status)))
}

/// Reason of a CANCEL because nobody answered in time (digest 10.4, 14.9).
pub(super) fn no_answer() -> Headers {
    vec![(Name::Reason, Bytes::from_static(b"SIP;cause=408;text=\"No answer\""))]
}

/// Whom a request is to be looked at for: `orig`, its sender, or `term`, its receiver; the core says so in its Route (digest 13.1).
pub(super) fn role_of(request: &Message) -> Option<&[u8]> {
    let route = request.addresses(Name::Route).next().and_then(Result::ok)?;
    Uri::parse(route.uri).ok()?.user
}

/// The lines of `names` that `request` has.
pub(super) fn passed_on(request: &Message, names: &[Name]) -> Headers {
    let lines = request.headers().filter(|header| names.contains(&header.name));
    lines.map(|header| (header.name, request.unfolded(header.value))).collect()
}

/// How far a request may go that is sent because of `request` (RFC 7332 §5): 483 if no further.
pub(super) fn hops_behind(request: &Message) -> Result<Option<u8>, Refusal> {
    request.hops().map(|hops| hops.checked_sub(1).ok_or(Refusal::status(483))).transpose()
}

/// The body of `message`, as it came.
pub(super) fn body_of(message: &Message) -> Option<Body> {
    let content_type = message.value(Name::ContentType).map(|kind| message.unfolded(kind));
    let bytes = message.share(message.body());
    content_type.filter(|_| !bytes.is_empty()).map(|content_type| Body { content_type, bytes })
}

/// What stands in From towards those who are invited: the inviter, or nobody (digest 8.5, 11).
pub(super) fn from_of(inviter: &Inviter, request: &Message) -> Bytes {
    if let Some(group) = group_in_from(request) {
        return group;
    }
    let Some(address) = inviter.address.as_ref().filter(|_| !inviter.is_anonymous) else {
        return Bytes::from_static(address::ANONYMOUS);
    };
    let display = request.from().map(|from| request.unfolded(from.display)).unwrap_or_default();
    let space: &[u8] = if display.is_empty() { b"" } else { b" " };
    Bytes::from([&display[..], space, b"<", address, b">"].concat())
}

/// From as it is, if a focus invites in the name of a group (digest 8.5).
fn group_in_from(request: &Message) -> Option<Bytes> {
    if !is_of_a_group(request) {
        return None;
    }
    let from = request.from().ok()?;
    let space: &[u8] = if from.display.is_empty() { b"" } else { b" " };
    let display = request.unfolded(from.display);
    Some(Bytes::from([&display[..], space, b"<", from.uri, b">"].concat()))
}

/// Whether a focus invites in the name of a group.
pub(super) fn is_of_a_group(request: &Message) -> bool {
    match contact_uri_of(request).and_then(kind_of_session) {
        Some(SessionType::PreArranged | SessionType::Chat) => true,
        Some(SessionType::OneToOne | SessionType::AdHoc) | None => false,
    }
}

/// What tells the next PoC Server or client about the inviter (RFC 3325 §9.1).
pub(super) fn identity_of(inviter: &Inviter) -> Headers {
    let asserted = inviter
        .address
        .as_ref()
        .map(|address| (Name::PAssertedIdentity, Bytes::from([b"<", &address[..], b">"].concat())));
    let privacy = inviter.is_anonymous.then(|| (Name::Privacy, Bytes::from_static(b"id")));
    asserted.into_iter().chain(privacy).collect()
}

/// Who referred the inviter, which may be itself: nobody learns that of an anonymous one.
pub(super) fn referrer_of(inviter: &Inviter, request: &Message) -> Headers {
    if inviter.is_anonymous { Headers::new() } else { passed_on(request, &[Name::ReferredBy]) }
}

/// Who began the session of a group, in whose name the members are invited (digest 8.5); nobody learns that of an anonymous one.
pub(super) fn referred_by(inviter: &Inviter) -> Headers {
    let address = inviter.address.as_ref().filter(|_| !inviter.is_anonymous);
    address
        .map(|address| (Name::ReferredBy, Bytes::from([b"<", &address[..], b">"].concat())))
        .into_iter()
        .collect()
}

/// What stands in From towards the members of a group (digest 8.5).
pub(super) fn from_of_group(group: &Group) -> Bytes {
    match &group.display_name[..] {
        "" => Bytes::from([b"<", &group.address[..], b">"].concat()),
        name => display::write(name, &group.address),
    }
}

/// What is the same in every INVITE of the server.
pub(super) fn accept_contact() -> (Name, Bytes) {
    (Name::AcceptContact, Bytes::from_static(ACCEPT_CONTACT))
}

/// Which of a user's terminals are rung.
pub(super) fn terminals_of(user: &User) -> (Name, Bytes) {
    match user.plain_phone {
        true => (Name::AcceptContact, Bytes::from_static(ACCEPT_ANY_CONTACT)),
        false => accept_contact(),
    }
}

impl Server {
    pub(super) fn invite(&mut self, invite: Invite) -> Result<SessionId, Misuse> {
        self.command(sip::Command::Invite(Box::new(invite)))?.ok_or(Misuse::NoSession)
    }

    /// Gives up an invited leg whatever it has come to: its CANCEL waits for a 1xx, and an answer that crosses it is
    /// acknowledged and left (digest 14.6 step 3), all of which is the endpoint's.
    pub(super) fn withdraw(&mut self, leg: SessionId, is_connected: bool, headers: Headers) {
        if is_connected {
            return self.leave(leg, headers);
        }
        let done = self.command_saying(&headers, |headers| sip::Command::Cancel { session: leg, headers });
        unless_over(leg, done);
    }

    pub(super) fn leave(&mut self, leg: SessionId, headers: Headers) {
        let done = self.command_saying(&headers, |headers| sip::Command::Leave { session: leg, headers });
        unless_over(leg, done);
    }

    /// Nobody stays because of what a peer gave as its Reason: without it, if it cannot be said again.
    pub(super) fn command_saying(
        &mut self,
        headers: &Headers,
        command: impl Fn(Headers) -> sip::Command,
    ) -> Result<Option<SessionId>, Misuse> {
        match self.command(command(headers.clone())) {
            Err(Misuse::HeaderLine | Misuse::TooLong) => self.command(command(Vec::new())),
            done => done,
        }
    }

    pub(super) fn refuse(&mut self, leg: SessionId, refusal: Refusal) {
        let headers = self.explanation(refusal);
        let status = refusal.status;
        let done = self.command(sip::Command::Refuse { session: leg, status, headers, body: None });
        unless_over(leg, done);
    }

    /// What a refusal says to a human.
    pub(super) fn explanation(&self, refusal: Refusal) -> Headers {
        let agent = self.config.sip.listeners.first().map_or_else(
            || "talkburst".to_owned(), // RFC 3261 §20.43: a pseudonym
            |listener| listener.advertised.to_string(),
        );
        let line = |text| (Name::Warning, Bytes::from(format!("399 {agent} \"{text}\"")));
        let is_ending = refusal.status == releasing::STATUS && self.duty == Duty::Releasing;
        let warning = refusal.warning.or(is_ending.then_some(releasing::WARNING));
        // RFC 3261 §21.5.4: without it a 503 would be as much as a 500.
        let retry_after =
            (refusal.status == 503).then(|| (Name::RetryAfter, Bytes::from_static(RETRY_AFTER)));
        warning.map(line).into_iter().chain(retry_after).collect()
    }

    /// Refuses with something that belongs to the refusal.
    pub(super) fn refuse_with(&mut self, leg: SessionId, status: u16, headers: Headers, body: Option<Body>) {
        let done = self.command(sip::Command::Refuse { session: leg, status, headers, body });
        unless_over(leg, done);
    }

    pub(super) fn progress(&mut self, leg: SessionId, status: u16, headers: Headers) {
        let done = self.command(sip::Command::Progress { session: leg, status, headers, body: None });
        unless_over(leg, done);
    }

    pub(super) fn accept(&mut self, leg: SessionId, headers: Headers, body: Option<Body>) {
        let done = self.command(sip::Command::Accept { session: leg, headers, body });
        unless_over(leg, done);
    }

    /// Accepts with what another leg said. False if that cannot be said again: nothing has been said then.
    pub(super) fn pass_on_answer(&mut self, leg: SessionId, headers: Headers, body: Option<Body>) -> bool {
        let done = self.command(sip::Command::Accept { session: leg, headers, body });
        let is_writable = !matches!(done, Err(Misuse::HeaderLine | Misuse::TooLong));
        unless_over(leg, done);
        is_writable
    }

    pub(super) fn identify(&mut self, leg: SessionId, contact: sip::Contact) {
        let done = self.command(sip::Command::Identify { session: leg, contact });
        unless_over(leg, done);
    }
}

/// The answer to a request that was not waited for.
pub(super) fn unless_answered<T>(done: Result<T, Misuse>) {
    if let Err(misuse) = done {
        tracing::debug!(%misuse, "answered already");
    }
}

/// What is done to a leg may meet one that has ended: its end is the next thing in the queue, and says the rest.
pub(super) fn unless_over<T>(leg: SessionId, done: Result<T, Misuse>) {
    if let Err(misuse) = done {
        tracing::debug!(session = %leg, %misuse, "over already");
    }
}
