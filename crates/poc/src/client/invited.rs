//! Being invited (digest 9.2): who is shown to the user, and who answers.

use bytes::Bytes;
use sip::message::{Name, NameAddr};
use sip::{Message, SessionId};

use super::outcome::Role;
use super::session::{Session, State, unless_over};
use super::{AnswerMode, Client, Event};
use crate::address;
use crate::body::{multipart, resource_lists};
use crate::focus::Focus;
use crate::sdp::{self, Origin};
use crate::server::SessionType;

impl Client {
    /// digest 9.2.
    pub(super) fn be_invited(&mut self, id: SessionId, request: &Message) {
        let origin = self.next_origin();
        self.be_invited_to(id, request, origin);
    }

    /// The same, and what our session description says of itself.
    pub(super) fn be_invited_to(&mut self, id: SessionId, request: &Message, origin: Origin) {
        let busy = self.is_busy();
        let offer = Bytes::copy_from_slice(multipart::description_in(request));
        let no_answer_at = self.config.no_answer_after.map(|span| self.now + span);
        let (mode, is_forbidden) = self.answer_mode_for(id, request);
        let state = State::Alerting { offer: offer.clone(), no_answer_at };
        let focus = Focus::of(request);
        let mut session = Session::new(Role::Invited, self.now, state, origin);
        session.focus.clone_from(&focus);
        self.sessions.insert(id, session);
        let refusal = match () {
            () if self.is_closed || self.config.settings.incoming_session_barring => Some(480), // digest 6
            () if busy => Some(486),
            () if is_forbidden => Some(403), // RFC 5373 §4.5.1
            () if self.answer_to(&offer, origin).is_err() => Some(488),
            () => None,
        };
        if refusal.is_none() {
            let from = if self.is_carried(id) { asserted(request) } else { inviter_of(request) };
            let (inviter, group) = introduced(request, from, focus.as_ref());
            let others = invited_too(request);
            let event = Event::Invited { session: id, inviter, group, others, focus, answer_mode: mode };
            self.events.push_back(event);
        }
        let answered = match (refusal, mode) {
            (Some(status), _) => self.refuse_session(id, status),
            (None, AnswerMode::Automatic) => self.accept_session(id),
            (None, AnswerMode::Manual) => {
                // RFC 3262 §5: the first reliable response to an INVITE without an offer has one.
                let offers = offer.is_empty() && self.config.sip.reliability.applies_to(request);
                let offer = offers.then(|| sdp::offer(&self.config.capabilities, origin));
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.offered_early = offers;
                    session.described = offer.clone().unwrap_or_default();
                }
                let body = offer.map(sdp::body);
                let headers = Vec::new();
                let session = self.dialog_of(id);
                self.command(sip::Command::Progress { session, status: 180, headers, body })
            }
        };
        unless_over(id, answered);
    }

    /// How an invitation is answered, and whether it requires another way than that (RFC 5373 §4.5.1, digest 7.3).
    fn answer_mode_for(&self, id: SessionId, request: &Message) -> (AnswerMode, bool) {
        let own = self.config.settings.answer_mode;
        let asked = |name| {
            let asked = request.valued(name).next()?.ok()?;
            let mode = match asked.value {
                value if value.eq_ignore_ascii_case(b"Auto") => AnswerMode::Automatic,
                value if value.eq_ignore_ascii_case(b"Manual") => AnswerMode::Manual,
                _ => return None, // unknown values are ignored
            };
            Some((mode, asked.parameters.has(b"require")))
        };
        // A core hands to the server what asks for PoC, and what does not goes past it, and past its rules; a pre-established
        // session is with the server itself.
        let is_poc = self.is_carried(id)
            || request
                .valued(Name::AcceptContact)
                .filter_map(Result::ok)
                .any(|accepted| accepted.parameters.has(b"+g.poc.talkburst"));
        let mode = match asked(Name::PrivAnswerMode).or_else(|| asked(Name::AnswerMode)) {
            _ if self.config.trusts_answer_mode && !is_poc => AnswerMode::Manual,
            Some((mode, _)) if self.config.trusts_answer_mode => mode,
            // Who is not trusted may well ask for less.
            Some((AnswerMode::Manual, true)) => AnswerMode::Manual,
            Some(_) | None => own,
        };
        let refuses = |name| asked(name).is_some_and(|(wanted, is_required)| is_required && wanted != mode);
        (mode, refuses(Name::PrivAnswerMode) || refuses(Name::AnswerMode))
    }
}

/// Those whom the inviter has invited too and lets be seen. A list that cannot be read is none.
fn invited_too(request: &Message) -> Vec<Bytes> {
    let parts = multipart::parts_of(request).unwrap_or_default();
    let history = |part: &&multipart::Part<'_>| {
        part.is(resource_lists::CONTENT_TYPE) && part.is_for("recipient-list-history")
    };
    let list = parts.iter().find(history).and_then(|part| resource_lists::read(part.bytes).ok());
    list.unwrap_or_default().into_iter().map(|entry| entry.uri).collect()
}

/// Who invites, and the group for which it is (digest 8.5): that stands in From, and then its inviter in Referred-By.
fn introduced(request: &Message, from: Bytes, focus: Option<&Focus>) -> (Bytes, Option<Bytes>) {
    let is_of_a_group = focus.is_some_and(|focus| match focus.session_type {
        SessionType::PreArranged | SessionType::Chat => true,
        SessionType::OneToOne | SessionType::AdHoc => false,
    });
    match without_parameters(request, Name::ReferredBy).filter(|_| is_of_a_group) {
        Some(inviter) => (inviter, Some(from)),
        None => (from, None),
    }
}

/// Who invites in a dialog with our own PoC Server, whose From is always the same (digest 7.2).
fn asserted(request: &Message) -> Bytes {
    let anonymous = Bytes::from_static(address::ANONYMOUS);
    without_parameters(request, Name::PAssertedIdentity).unwrap_or(anonymous)
}

/// From without its parameters.
pub(super) fn inviter_of(request: &Message) -> Bytes {
    without_parameters(request, Name::From).unwrap_or_default()
}

/// An address without its parameters: display name and URI as written.
fn without_parameters(request: &Message, name: Name) -> Option<Bytes> {
    let value = request.items(name).next()?;
    let address = NameAddr::parse(value).ok()?;
    let written = value.len() - address.parameters.as_bytes().len();
    let end = value[..written].iter().rposition(|byte| !matches!(byte, b';' | b' ' | b'\t' | b'\r' | b'\n'));
    Some(request.share(&value[..end.map_or(0, |end| end + 1)]))
}
