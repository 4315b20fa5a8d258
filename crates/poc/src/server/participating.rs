//! The Participating PoC Function of an invited user: the checks, and a leg towards either side (digest 10.2, 14.5).
//!
//! ```text
//!              the user's 1xx   the user accepts   the user's leg ends   the controlling side ends
//! Inviting     +1xx             Established +200   Releasing +4xx        Releasing +CANCEL
//! Established  -                -                  Releasing +BYE        Releasing +BYE
//! Releasing    -                -                  -                     -
//! ```
//!
//! What the + sends goes to the other leg. Whether the CANCEL waits for a 1xx, and what becomes of an answer that crosses it,
//! is the endpoint's to say. `Releasing` is left when both legs have ended, and then the record is closed.

use bytes::Bytes;
use sip::message::{Name, NameAddr, Uri};
use sip::usage::{End, Party};
use sip::{Contact, Headers, Instant, Invite, Message, SessionId};

use super::leg::{self, Ended};
use super::policy::{self, Inviter, Refusal};
use super::record::{Function, Invitation, Record, SessionType, Side};
use super::{Place, Server};
use crate::address;
use crate::answer_state::AnswerState;
use crate::client::AnswerMode;

/// The invitation of one user who is served here, and the session that comes of it.
#[derive(Clone, Debug)]
pub(super) struct Participating {
    state: State,
    /// The leg towards the Controlling PoC Function, until it has ended.
    upstream: Option<SessionId>,
    /// The leg towards the user, until it has ended.
    downstream: Option<SessionId>,
    /// The PoC Address of the user.
    served: Bytes,
    /// The user's slot is taken.
    holds_slot: bool,
    /// The Controlling PoC Function was told that the client answers by itself.
    is_unconfirmed: bool,
    /// The leg whose offer of other media has been passed on and not been answered.
    pub(super) modifying: Option<SessionId>,
    record: Record,
    answered: Option<Instant>,
    /// How the user's leg ended.
    ended: Option<(Instant, Ended)>,
}

/// See the table at the top of this file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Inviting,
    Established,
    Releasing,
}

impl Participating {
    /// The other leg.
    pub(super) fn beside(&self, leg: SessionId) -> Option<SessionId> {
        if self.upstream == Some(leg) { self.downstream } else { self.upstream }
    }
}

impl Server {
    /// An INVITE for a user of this server.
    pub(super) fn participate(&mut self, session: SessionId, request: &Message, inviter: Inviter) {
        let served = address::canonical(request.uri_text()).unwrap_or_default();
        let admitted =
            policy::may_be_invited(&self.config, &self.directory, self.now, request, &served, &inviter);
        let record = Record {
            serial: 0,
            function: Function::Participating,
            session_type: session_type_of(request),
            inviter: inviter.address.clone().unwrap_or_default(),
            group: Bytes::new(),
            invitations: Vec::new(),
            begun: self.now,
            answered: None,
            ended: self.now,
            end: End::Rejected,
            by: Side::Server,
            status: None,
            reason: None,
        };
        let place = self.participating.insert(Participating {
            state: if admitted.is_ok() { State::Inviting } else { State::Releasing },
            upstream: Some(session),
            downstream: None,
            served,
            holds_slot: false,
            is_unconfirmed: false,
            modifying: None,
            record,
            answered: None,
            ended: None,
        });
        self.places.insert(session, Place::Upstream(place));
        match admitted {
            Ok(mode) => self.invite_served(place, session, request, &inviter, mode),
            Err(refusal) => {
                self.counters.refused += 1;
                self.participating[place].record.status = Some(refusal.status);
                self.refuse(session, refusal);
            }
        }
    }

    /// The INVITE to the user's clients, by way of the core, which knows where they are.
    fn invite_served(
        &mut self,
        place: usize,
        session: SessionId,
        request: &Message,
        inviter: &Inviter,
        mode: AnswerMode,
    ) {
        let contact = contact_of(request);
        self.identify(
            session,
            Contact { parameters: Bytes::from_static(b";+g.poc.talkburst"), ..contact.clone() },
        );
        let served = self.participating[place].served.clone();
        self.directory.occupy(&served);
        self.participating[place].holds_slot = true;
        let mut headers = leg::passed_on(request, &[Name::ResourcePriority, Name::RequestDisposition]);
        headers.extend(leg::referrer_of(inviter, request));
        headers.push(leg::accept_contact());
        headers.extend(leg::identity_of(inviter));
        headers.extend(answer_mode(mode, inviter.wish.overrides));
        let invite = Invite {
            targets: vec![self.config.core],
            uri: request.share(request.uri_text()),
            from: leg::from_of(inviter, request),
            to: Bytes::from([b"<", &served[..], b">"].concat()),
            // The first is the way here; behind it stands how the core knows that the checks are done.
            routes: request.items(Name::Route).skip(1).map(|route| request.unfolded(route)).collect(),
            headers,
            body: leg::body_of(request),
            expires: Some(self.config.ring_limit),
            expires_headers: leg::no_answer(),
            contact: Some(contact),
        };
        match self.invite(invite) {
            Ok(leg) => {
                self.places.insert(leg, Place::Downstream(place));
                self.participating[place].downstream = Some(leg);
            }
            Err(misuse) => {
                tracing::warn!(%misuse, "cannot be passed on");
                self.participating[place].state = State::Releasing;
                self.vacate_served(place);
                return self.refuse(session, Refusal::status(400));
            }
        }
        if mode == AnswerMode::Automatic {
            // RFC 4964 §5, digest 10.2: the Controlling PoC Function may answer before the client has.
            self.participating[place].is_unconfirmed = true;
            self.progress(session, 183, answer_state(AnswerState::Unconfirmed));
        }
    }

    /// The user's 1xx.
    pub(super) fn downstream_progressed(&mut self, place: usize, response: &Message) {
        let participating = &self.participating[place];
        match (participating.state, participating.upstream, response.status()) {
            (State::Inviting, Some(upstream), Some(status)) => self.progress(upstream, status, Vec::new()),
            (State::Inviting | State::Established | State::Releasing, ..) => {}
        }
    }

    /// The user's 200, which has been acknowledged.
    pub(super) fn downstream_accepted(&mut self, place: usize, response: &Message) {
        let now = self.now;
        let participating = &mut self.participating[place];
        let Some(upstream) = participating.upstream else { return };
        match participating.state {
            State::Inviting => {}
            State::Established | State::Releasing => {
                return debug_assert!(false, "a leg that was withdrawn is never established");
            }
        }
        participating.answered = Some(now);
        // RFC 4964 §5: said only by who has said Unconfirmed.
        let headers =
            if participating.is_unconfirmed { answer_state(AnswerState::Confirmed) } else { Vec::new() };
        if !self.pass_on_answer(upstream, headers, leg::body_of(response)) {
            return self.give_up_answer(place, upstream);
        }
        let participating = &mut self.participating[place];
        participating.state = State::Established;
        (participating.record.answered, participating.record.status) = (Some(now), Some(200));
    }

    /// The client has accepted with what cannot be passed on.
    fn give_up_answer(&mut self, place: usize, upstream: SessionId) {
        let ended = Ended { end: End::Rejected, by: Party::Remote, status: Some(488), reason: None };
        self.note_end(place, Side::Invited, &ended);
        self.participating[place].record.status = ended.status;
        if let Some(downstream) = self.participating[place].downstream {
            self.leave(downstream, leg::reason(Some(&leg::reason_of_status(488))));
        }
        self.refuse(upstream, Refusal::status(488));
    }

    /// The end of the user's leg.
    pub(super) fn downstream_ended(&mut self, place: usize, ended: Ended) {
        let now = self.now;
        let Some(participating) = self.participating.get_mut(place) else { return };
        participating.downstream = None;
        participating.ended = Some((now, ended.clone()));
        let (state, upstream) = (participating.state, participating.upstream);
        if state != State::Releasing {
            self.note_end(place, Side::Invited, &ended);
        }
        if let Some(upstream) = upstream {
            match state {
                State::Inviting => {
                    let status = ended.status_for_inviter();
                    self.participating[place].record.status = Some(status);
                    self.refuse(upstream, Refusal::status(status));
                }
                State::Established => self.leave(upstream, leg::reason(ended.reason.as_ref())),
                State::Releasing => {}
            }
        }
        self.close_participating(place);
    }

    /// The end of the leg towards the Controlling PoC Function. A CANCEL of it has been answered already, both parts.
    pub(super) fn upstream_ended(&mut self, place: usize, ended: Ended) {
        let Some(participating) = self.participating.get_mut(place) else { return };
        participating.upstream = None;
        let (state, downstream) = (participating.state, participating.downstream);
        match state {
            State::Inviting | State::Established => {
                self.note_end(place, Side::Inviter, &ended);
                if state == State::Inviting {
                    self.participating[place].record.status = ended.status;
                }
                if let Some(downstream) = downstream {
                    let headers = match ended.end == End::Expired {
                        true => leg::no_answer(), // digest 14.9: Expires is how long the Controlling Function waits
                        false => leg::reason(ended.reason.as_ref()),
                    };
                    self.withdraw(downstream, state == State::Established, headers);
                }
            }
            State::Releasing => {}
        }
        self.close_participating(place);
    }

    /// From now on both legs are to end, and the slot is free at once, whatever they still have to do (digest 14.5).
    fn note_end(&mut self, place: usize, by: Side, ended: &Ended) {
        let now = self.now;
        let participating = &mut self.participating[place];
        participating.state = State::Releasing;
        let record = &mut participating.record;
        (record.end, record.by, record.ended) = (ended.end, by, now);
        record.reason.clone_from(&ended.reason);
        self.vacate_served(place);
    }

    fn vacate_served(&mut self, place: usize) {
        let participating = &mut self.participating[place];
        if std::mem::take(&mut participating.holds_slot) {
            let served = participating.served.clone();
            self.directory.vacate(&served);
        }
    }

    /// A user is not served any more.
    pub(super) fn release_participation_of(&mut self, address: &[u8]) {
        let is_of = |each: &Participating| each.served == address && each.state != State::Releasing;
        let places: Vec<_> =
            self.participating.iter().filter(|(_, each)| is_of(each)).map(|(place, _)| place).collect();
        for place in places {
            let state = self.participating[place].state;
            let (upstream, downstream) =
                (self.participating[place].upstream, self.participating[place].downstream);
            let ended = Ended { end: End::Released, by: Party::Local, status: Some(404), reason: None };
            self.note_end(place, Side::Server, &ended);
            if let Some(downstream) = downstream {
                self.withdraw(downstream, state == State::Established, Vec::new());
            }
            match (state, upstream) {
                (State::Inviting, Some(upstream)) => {
                    self.participating[place].record.status = Some(404);
                    self.refuse(upstream, Refusal::status(404));
                }
                (State::Established, Some(upstream)) => self.leave(upstream, Vec::new()),
                (State::Inviting | State::Established | State::Releasing, _) => {}
            }
        }
    }

    /// Closes the record once neither leg is there any more.
    fn close_participating(&mut self, place: usize) {
        let Some(participating) = self.participating.get(place) else { return };
        if participating.upstream.is_some() || participating.downstream.is_some() {
            return;
        }
        let Participating { mut record, served, answered, ended, .. } = self.participating.remove(place);
        // Without a leg the invitation ended as the INVITE did.
        let (at, end, status) = match ended {
            Some((at, ended)) => (at, ended.end, ended.status),
            None => (record.ended, record.end, record.status),
        };
        record.invitations = vec![Invitation { invited: served, answered, ended: at, end, status }];
        self.close(record);
    }
}

/// The kind of session that a Controlling PoC Function tells in its Contact; what is unknown counts as a group (digest 3).
fn session_type_of(request: &Message) -> Option<SessionType> {
    let contact = request.addresses(Name::Contact).next()?.ok()?;
    let uri = Uri::parse(contact.uri).ok()?;
    Some(match uri.parameters.value(b"session")? {
        b"1-1" => SessionType::OneToOne,
        _ => SessionType::AdHoc,
    })
}

/// Our Contact towards the user: ours, but a focus with its kind of session if the one in `request` is one (digest 8.5).
fn contact_of(request: &Message) -> Contact {
    let contact = request.addresses(Name::Contact).next().and_then(Result::ok);
    let session = contact.and_then(|contact| Uri::parse(contact.uri).ok()?.parameters.value(b"session"));
    let is_focus = contact.is_some_and(|contact: NameAddr<'_>| contact.parameters.has(b"isfocus"));
    let parameters: &[u8] = if is_focus { b";+g.poc.talkburst;isfocus" } else { b";+g.poc.talkburst" };
    let uri_parameters = session.map(|session| [b";session=", session].concat()).unwrap_or_default();
    Contact { uri_parameters: Bytes::from(uri_parameters), parameters: Bytes::from_static(parameters) }
}

/// How the client is told to answer (digest 7.3); that it is overridden, it is told too (RFC 5373 §4.1).
fn answer_mode(mode: AnswerMode, is_overriding: bool) -> Headers {
    let (value, privileged) = match mode {
        AnswerMode::Automatic => (&b"Auto"[..], is_overriding),
        AnswerMode::Manual => (&b"Manual"[..], false),
    };
    let privileged = privileged.then(|| (Name::PrivAnswerMode, Bytes::from_static(b"Auto")));
    [(Name::AnswerMode, Bytes::from_static(value))].into_iter().chain(privileged).collect()
}

fn answer_state(state: AnswerState) -> Headers {
    vec![(Name::PAnswerState, Bytes::from_static(state.as_str().as_bytes()))]
}
