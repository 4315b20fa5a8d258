//! The Participating PoC Function: a leg towards either side (digest 14.5), and the checks for an invited user (digest 10.2).
//! `originating.rs` has those for an inviter.
//!
//! ```text
//!              downstream 1xx   downstream accepts   downstream ends   upstream ends
//! Inviting     +1xx             Established +200     Releasing +4xx    Releasing +CANCEL
//! Established  -                -                    Releasing +BYE    Releasing +BYE
//! Releasing    -                -                    -                 -
//! ```
//!
//! The INVITE came from upstream and went downstream; the user who is served is at the one end or the other. What the + sends
//! goes to the other leg. Whether the CANCEL waits for a 1xx, and what becomes of an answer that crosses it,
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

/// An invitation of a user who is served here, or by one, and the session that comes of it.
#[derive(Clone, Debug)]
pub(super) struct Participating {
    state: State,
    served_as: ServedAs,
    /// The leg of the INVITE that came, until it has ended.
    upstream: Option<SessionId>,
    /// The leg of the INVITE that went on, until it has ended.
    downstream: Option<SessionId>,
    /// The PoC Address of the user.
    served: Bytes,
    /// Who is invited: the user, or whom the user invites.
    invited: Bytes,
    /// The user's slot is taken.
    holds_slot: bool,
    /// The Controlling PoC Function was told that the client answers by itself.
    is_unconfirmed: bool,
    /// Our Contact upstream tells the focus.
    is_identified: bool,
    /// The leg whose offer of other media has been passed on and not been answered.
    pub(super) modifying: Option<SessionId>,
    pub(super) record: Record,
    answered: Option<Instant>,
    /// How the leg downstream ended.
    ended: Option<(Instant, Ended)>,
}

/// What the user is to the INVITE (digest 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ServedAs {
    /// Upstream; the Controlling PoC Function is downstream.
    Inviter,
    /// Downstream; the Controlling PoC Function is upstream.
    Invited,
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
        let admitted = leg::hops_behind(request).and_then(|hops| {
            let (config, directory) = (&self.config, &self.directory);
            let mode = policy::may_be_invited(config, directory, self.now, request, &served, &inviter)?;
            Ok((mode, hops))
        });
        let session_type = session_type_of(request);
        let invited = served.clone();
        let place =
            self.open_participation(session, ServedAs::Invited, served, invited, &inviter, session_type);
        match admitted {
            Ok(admitted) => self.invite_served(place, session, request, &inviter, admitted),
            Err(refusal) => self.refuse_participation(place, session, refusal),
        }
    }

    pub(super) fn open_participation(
        &mut self,
        session: SessionId,
        served_as: ServedAs,
        served: Bytes,
        invited: Bytes,
        inviter: &Inviter,
        session_type: Option<SessionType>,
    ) -> usize {
        let record = Record {
            serial: 0,
            function: Function::Participating,
            session_type,
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
            state: State::Inviting,
            served_as,
            upstream: Some(session),
            downstream: None,
            served,
            invited,
            holds_slot: false,
            is_unconfirmed: false,
            is_identified: false,
            modifying: None,
            record,
            answered: None,
            ended: None,
        });
        self.places.insert(session, Place::Upstream(place));
        place
    }

    /// The INVITE goes no further.
    pub(super) fn refuse_participation(&mut self, place: usize, session: SessionId, refusal: Refusal) {
        self.counters.refused += 1;
        let participating = &mut self.participating[place];
        participating.state = State::Releasing;
        participating.record.status = Some(refusal.status);
        self.refuse(session, refusal);
    }

    /// The INVITE to the user's clients, by way of the core, which knows where they are.
    fn invite_served(
        &mut self,
        place: usize,
        session: SessionId,
        request: &Message,
        inviter: &Inviter,
        (mode, hops): (AnswerMode, Option<u8>),
    ) {
        self.identify(session, contact_beside(request));
        self.participating[place].is_identified = true;
        self.occupy_served(place);
        let served = self.participating[place].served.clone();
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
            contact: Some(contact_of(request)),
            hops,
        };
        if self.invite_downstream(place, session, invite) && mode == AnswerMode::Automatic {
            // RFC 4964 §5, digest 10.2: the Controlling PoC Function may answer before the client has.
            self.participating[place].is_unconfirmed = true;
            self.progress(session, 183, answer_state(AnswerState::Unconfirmed));
        }
    }

    /// Sends the INVITE on. False if it cannot be said again: then the one that came is refused.
    pub(super) fn invite_downstream(&mut self, place: usize, session: SessionId, invite: Invite) -> bool {
        match self.invite(invite) {
            Ok(leg) => {
                self.places.insert(leg, Place::Downstream(place));
                self.participating[place].downstream = Some(leg);
                true
            }
            Err(misuse) => {
                tracing::warn!(%misuse, "cannot be passed on");
                self.vacate_served(place);
                self.refuse_participation(place, session, Refusal::status(400));
                false
            }
        }
    }

    /// A 1xx from downstream.
    pub(super) fn downstream_progressed(&mut self, place: usize, response: &Message) {
        let participating = &self.participating[place];
        match (participating.state, participating.upstream, response.status()) {
            // P-Answer-State in a 1xx is for servers (digest 7.4): what this one has to say of it, it has said.
            (State::Inviting, Some(upstream), Some(status)) => {
                if self.tell_focus(place, upstream, response) {
                    self.progress(upstream, status, Vec::new());
                }
            }
            (State::Inviting | State::Established | State::Releasing, ..) => {}
        }
    }

    /// Has our Contact upstream tell the focus, which the first response with a Contact names. False while nothing has named it:
    /// who has heard one Contact of ours is told no other.
    fn tell_focus(&mut self, place: usize, upstream: SessionId, response: &Message) -> bool {
        let participating = &mut self.participating[place];
        if !participating.is_identified && response.value(Name::Contact).is_some() {
            participating.is_identified = true;
            participating.record.session_type =
                session_type_of(response).or(participating.record.session_type);
            self.identify(upstream, contact_of(response));
        }
        self.participating[place].is_identified
    }

    /// A 200 from downstream, which has been acknowledged.
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
        let headers = match participating.served_as {
            ServedAs::Inviter => leg::passed_on(response, &[Name::PAnswerState]),
            // RFC 4964 §5: said only by who has said Unconfirmed.
            ServedAs::Invited if participating.is_unconfirmed => answer_state(AnswerState::Confirmed),
            ServedAs::Invited => Vec::new(),
        };
        self.tell_focus(place, upstream, response);
        if !self.pass_on_answer(upstream, headers, leg::body_of(response)) {
            return self.give_up_answer(place, upstream);
        }
        let participating = &mut self.participating[place];
        participating.state = State::Established;
        (participating.record.answered, participating.record.status) = (Some(now), Some(200));
    }

    /// Downstream has accepted with what cannot be passed on.
    fn give_up_answer(&mut self, place: usize, upstream: SessionId) {
        let ended = Ended { by: Party::Remote, ..Ended::here(End::Rejected, 488) };
        self.note_end(place, Side::Invited, &ended);
        self.participating[place].record.status = ended.status;
        if let Some(downstream) = self.participating[place].downstream {
            self.leave(downstream, leg::reason(Some(&leg::reason_of_status(488))));
        }
        self.refuse(upstream, Refusal::status(488));
    }

    /// The end of the leg downstream.
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

    /// The end of the leg upstream. A CANCEL of it has been answered already, both parts.
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

    pub(super) fn occupy_served(&mut self, place: usize) {
        let served = self.participating[place].served.clone();
        self.directory.occupy(&served);
        self.participating[place].holds_slot = true;
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
            let status = match self.participating[place].served_as {
                ServedAs::Inviter => 403,
                ServedAs::Invited => 404,
            };
            let ended = Ended::here(End::Released, status);
            self.note_end(place, Side::Server, &ended);
            if let Some(downstream) = downstream {
                self.withdraw(downstream, state == State::Established, Vec::new());
            }
            match (state, upstream) {
                (State::Inviting, Some(upstream)) => {
                    self.participating[place].record.status = Some(status);
                    self.refuse(upstream, Refusal::status(status));
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
        let Participating { mut record, invited, answered, ended, .. } = self.participating.remove(place);
        // Without a leg the invitation ended as the INVITE did.
        let (at, end, status) = match ended {
            Some((at, ended)) => (at, ended.end, ended.status),
            None => (record.ended, record.end, record.status),
        };
        record.invitations = vec![Invitation { invited, answered, ended: at, end, status }];
        self.close(record);
    }
}

/// The kind of session that a Controlling PoC Function tells in its Contact; what is unknown counts as a group (digest 3).
fn session_type_of(message: &Message) -> Option<SessionType> {
    let contact = message.addresses(Name::Contact).next()?.ok()?;
    kind_of_session(contact.uri)
}

/// The kind of session that a URI tells.
pub(super) fn kind_of_session(uri: &[u8]) -> Option<SessionType> {
    let uri = Uri::parse(uri).ok()?;
    uri.parameters.value(b"session").map(SessionType::of)
}

/// Our Contact towards the user: ours, but a focus with its kind of session, and naming it, if the one in `message` is one
/// (digest 8.5).
fn contact_of(message: &Message) -> Contact {
    let contact = message.addresses(Name::Contact).next().and_then(Result::ok);
    let is_focus = contact.is_some_and(|contact: NameAddr<'_>| contact.parameters.has(b"isfocus"));
    let parameters: &[u8] = if is_focus { b";+g.poc.talkburst;isfocus" } else { b";+g.poc.talkburst" };
    let uri_parameters = contact.map(|contact| address::speaking_for(contact.uri)).unwrap_or_default();
    Contact { uri_parameters, parameters: Bytes::from_static(parameters), ..Contact::default() }
}

/// Our Contact towards the focus: no focus, but of a session of its kind.
fn contact_beside(request: &Message) -> Contact {
    let contact = request.addresses(Name::Contact).next().and_then(Result::ok);
    let session = contact.and_then(|contact| Uri::parse(contact.uri).ok()?.parameters.value(b"session"));
    let uri_parameters = session.map(|session| [b";session=", session].concat()).unwrap_or_default();
    Contact {
        uri_parameters: Bytes::from(uri_parameters),
        parameters: Bytes::from_static(b";+g.poc.talkburst"),
        ..Contact::default()
    }
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
