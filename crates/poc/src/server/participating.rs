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
use sip::{Contact, Guard, Headers, Instant, Invite, Message, SessionId};

use super::leg::{self, Ended};
use super::policy::{self, Inviter, Refusal};
use super::record::{Function, Invitation, Record, SessionType, Side};
use super::releasing;
use super::{Place, Server};
use crate::address;
use crate::answer_state::AnswerState;
use crate::client::AnswerMode;

/// An invitation of a user who is served here, or by one, and the session that comes of it.
#[derive(Clone, Debug)]
pub(super) struct Participating {
    pub(super) state: State,
    pub(super) served_as: ServedAs,
    /// The leg of the INVITE that came, until it has ended.
    pub(super) upstream: Option<Leg>,
    /// The leg of the INVITE that went on, until it has ended.
    pub(super) downstream: Option<Leg>,
    /// The PoC Address of the user.
    pub(super) served: Bytes,
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

/// A leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Leg {
    /// A dialog of its own.
    Dialog(SessionId),
    /// A pre-established session of the user, while it is in use.
    Within(usize),
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
pub(super) enum State {
    Inviting,
    Established,
    Releasing,
}

impl Participating {
    /// Who is invited.
    pub(super) fn invited(&self) -> &Bytes {
        &self.invited
    }

    /// The other leg.
    pub(super) fn beside(&self, leg: SessionId) -> Option<Leg> {
        if self.upstream == Some(Leg::Dialog(leg)) { self.downstream } else { self.upstream }
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
        let record = self.participating_record(&inviter, session_type);
        let upstream = Leg::Dialog(session);
        let place = self.open_participation(upstream, ServedAs::Invited, [served, invited], record);
        match admitted {
            Ok(admitted) => self.invite_served(place, session, request, &inviter, admitted),
            Err(refusal) => self.refuse_participation(place, refusal),
        }
    }

    /// The record of an INVITE that arrives now, or is asked for.
    pub(super) fn participating_record(
        &self,
        inviter: &Inviter,
        session_type: Option<SessionType>,
    ) -> Record {
        Record::begun(Function::Participating, session_type, inviter.address.as_ref(), self.now)
    }

    pub(super) fn open_participation(
        &mut self,
        upstream: Leg,
        served_as: ServedAs,
        [served, invited]: [Bytes; 2],
        record: Record,
    ) -> usize {
        let place = self.participating.insert(Participating {
            state: State::Inviting,
            served_as,
            upstream: Some(upstream),
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
        match upstream {
            Leg::Dialog(session) => {
                self.places.insert(session, Place::Upstream(place));
            }
            Leg::Within(_) => {}
        }
        place
    }

    /// The INVITE goes no further.
    pub(super) fn refuse_participation(&mut self, place: usize, refusal: Refusal) {
        self.counters.refused += 1;
        let participating = &mut self.participating[place];
        participating.state = State::Releasing;
        participating.record.status = Some(refusal.status);
        self.refuse_upstream(place, refusal);
        self.close_participating(place);
    }

    /// Asks the user: in a pre-established session if one is free, else by an INVITE.
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
        let is_asked = self.ask_within(place, request, inviter, mode)
            || self.ask_on_demand(place, request, inviter, (mode, hops));
        let participating = &mut self.participating[place];
        if is_asked && mode == AnswerMode::Automatic && participating.state == State::Inviting {
            // RFC 4964 §5, digest 10.2: the Controlling PoC Function may answer before the client has.
            participating.is_unconfirmed = true;
            self.progress(session, 183, answer_state(AnswerState::Unconfirmed));
        }
    }

    /// The INVITE to the user's clients, by way of the core, which knows where they are.
    fn ask_on_demand(
        &mut self,
        place: usize,
        request: &Message,
        inviter: &Inviter,
        (mode, hops): (AnswerMode, Option<u8>),
    ) -> bool {
        let served = self.participating[place].served.clone();
        let mut headers = leg::passed_on(request, &[Name::ResourcePriority, Name::RequestDisposition]);
        headers.extend(leg::referrer_of(inviter, request));
        let user = self.directory.get(&served).map(|served| &served.user);
        headers.push(user.map_or_else(leg::accept_contact, leg::terminals_of));
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
        self.invite_downstream(place, invite)
    }

    /// Sends the INVITE on. False if it cannot be said again: then the one that came is refused.
    pub(super) fn invite_downstream(&mut self, place: usize, invite: Invite) -> bool {
        match self.invite(invite) {
            Ok(leg) => {
                self.places.insert(leg, Place::Downstream(place));
                self.participating[place].downstream = Some(Leg::Dialog(leg));
                true
            }
            Err(misuse) => {
                tracing::warn!(%misuse, "cannot be passed on");
                self.vacate_served(place);
                self.refuse_participation(place, Refusal::status(400));
                false
            }
        }
    }

    /// A 1xx from downstream.
    pub(super) fn downstream_progressed(&mut self, place: usize, response: &Message) {
        let participating = &self.participating[place];
        match (participating.state, participating.upstream, response.status()) {
            // P-Answer-State in a 1xx is for servers (digest 7.4): what this one has to say of it, it has said.
            (State::Inviting, Some(Leg::Dialog(upstream)), Some(status)) => {
                if self.tell_focus(place, upstream, response) {
                    self.progress(upstream, status, Vec::new());
                }
            }
            (State::Inviting, Some(Leg::Within(at)), Some(_)) => self.use_progressed(at, response),
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
        let is_passed_on = match (upstream, participating.downstream) {
            (Leg::Within(at), _) => self.use_begins(at, response),
            (Leg::Dialog(upstream), Some(Leg::Within(at))) => {
                self.answer_beyond(at, upstream, headers, Some(response))
            }
            (Leg::Dialog(upstream), Some(Leg::Dialog(_)) | None) => {
                self.tell_focus(place, upstream, response);
                self.pass_on_answer(upstream, headers, leg::body_of(response))
            }
        };
        if !is_passed_on {
            return self.give_up_answer(place);
        }
        self.note_answer(place);
    }

    /// The client has acknowledged the Connect on the dialog of `at`.
    pub(super) fn downstream_connected(&mut self, place: usize, at: usize) {
        let participating = &self.participating[place];
        let Some(Leg::Dialog(upstream)) = participating.upstream else { return };
        let is_unconfirmed = participating.is_unconfirmed;
        let headers = if is_unconfirmed { answer_state(AnswerState::Confirmed) } else { Vec::new() };
        if !self.answer_beyond(at, upstream, headers, None) {
            return self.give_up_answer(place);
        }
        self.note_answer(place);
    }

    /// The user, or whom the user invites, takes part.
    fn note_answer(&mut self, place: usize) {
        let now = self.now;
        let participating = &mut self.participating[place];
        participating.state = State::Established;
        participating.answered = Some(now);
        (participating.record.answered, participating.record.status) = (Some(now), Some(200));
    }

    /// Downstream has accepted with what cannot be passed on.
    fn give_up_answer(&mut self, place: usize) {
        let ended = Ended { by: Party::Remote, ..Ended::here(End::Rejected, 488) };
        self.note_end(place, Side::Invited, &ended);
        self.participating[place].record.status = ended.status;
        self.withdraw_downstream(place, true, leg::reason(Some(&leg::reason_of_status(488))));
        self.refuse_upstream(place, Refusal::status(488));
        self.close_participating(place);
    }

    /// The final refusal upstream.
    fn refuse_upstream(&mut self, place: usize, refusal: Refusal) {
        match self.participating[place].upstream {
            Some(Leg::Dialog(session)) => self.refuse(session, refusal),
            Some(Leg::Within(at)) => {
                self.participating[place].upstream = None;
                self.use_failed(at, refusal.status);
            }
            None => {}
        }
    }

    /// The same for what downstream has said, with what it has said to a human (digest 12.2).
    fn pass_on_refusal(&mut self, place: usize, status: u16, ended: &Ended) {
        let Some(Leg::Dialog(session)) = self.participating[place].upstream else {
            return self.refuse_upstream(place, Refusal::status(status));
        };
        let said = ended.response.as_ref().filter(|response| response.status() == Some(status));
        let headers = said.map(|response| leg::passed_on(response, &[Name::Warning])).unwrap_or_default();
        let refused = self.command_saying(&headers, |headers| sip::Command::Refuse {
            session,
            status,
            headers,
            body: None,
        });
        leg::unless_over(session, refused);
    }

    fn leave_upstream(&mut self, place: usize, headers: Headers) {
        match self.participating[place].upstream {
            Some(Leg::Dialog(session)) => self.leave(session, headers),
            Some(Leg::Within(at)) => {
                self.participating[place].upstream = None;
                self.use_is_over(at);
            }
            None => {}
        }
    }

    /// Gives up the leg downstream, whatever it has come to. The use of a pre-established session is over at once: what the
    /// client still has to say to that concerns nobody else (digest 14.5).
    fn withdraw_downstream(&mut self, place: usize, is_connected: bool, headers: Headers) {
        match self.participating[place].downstream {
            Some(Leg::Dialog(session)) => self.withdraw(session, is_connected, headers),
            Some(Leg::Within(at)) => {
                let end = if is_connected { End::Left } else { End::Cancelled };
                let ended = Ended { status: None, ..Ended::here(end, 487) };
                let participating = &mut self.participating[place];
                participating.downstream = None;
                participating.ended = Some((self.now, ended));
                if is_connected { self.use_is_over(at) } else { self.ask_no_more(at, &headers) }
            }
            None => {}
        }
    }

    /// The end of the leg downstream.
    pub(super) fn downstream_ended(&mut self, place: usize, ended: Ended) {
        let now = self.now;
        let Some(participating) = self.participating.get_mut(place) else { return };
        participating.downstream = None;
        participating.ended = Some((now, ended.clone()));
        let state = participating.state;
        if state != State::Releasing {
            self.note_end(place, Side::Invited, &ended);
        }
        match state {
            State::Inviting => {
                let status = ended.status_for_inviter();
                self.participating[place].record.status = Some(status);
                self.pass_on_refusal(place, status, &ended);
            }
            State::Established if Guard::DownstreamEndsUpstream.is_off() => {}
            State::Established => self.leave_upstream(place, leg::reason(ended.reason.as_ref())),
            State::Releasing => {}
        }
        self.close_participating(place);
    }

    /// The end of the leg upstream. A CANCEL of it has been answered already, both parts.
    pub(super) fn upstream_ended(&mut self, place: usize, ended: Ended) {
        let Some(participating) = self.participating.get_mut(place) else { return };
        participating.upstream = None;
        let state = participating.state;
        match state {
            State::Inviting | State::Established => {
                self.note_end(place, Side::Inviter, &ended);
                if state == State::Inviting {
                    self.participating[place].record.status = ended.status;
                }
                let headers = match ended.end == End::Expired {
                    _ if Guard::ReasonIsPassedOn.is_off() => Vec::new(),
                    true => leg::no_answer(), // digest 14.9: Expires is how long the Controlling Function waits
                    false => leg::reason(ended.reason.as_ref()),
                };
                if !Guard::UpstreamEndsDownstream.is_off() {
                    self.withdraw_downstream(place, state == State::Established, headers);
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
        let is_of = |(_, each): &(usize, &Participating)| each.served == address;
        let places: Vec<_> = self.participating.iter().filter(is_of).map(|(place, _)| place).collect();
        for place in places {
            let status = match self.participating[place].served_as {
                ServedAs::Inviter => 403,
                ServedAs::Invited => 404,
            };
            self.release_participation(place, Ended::here(End::Released, status));
        }
    }

    /// The server is to end.
    pub(super) fn release_all_participations(&mut self) {
        let places: Vec<_> = self.participating.iter().map(|(place, _)| place).collect();
        for place in places {
            let reason = Some(releasing::reason());
            self.release_participation(
                place,
                Ended { reason, ..Ended::here(End::Released, releasing::STATUS) },
            );
        }
    }

    /// Ends it on both sides, whatever they have come to.
    fn release_participation(&mut self, place: usize, ended: Ended) {
        let Some(state) = self.participating.get(place).map(|each| each.state) else { return };
        if state == State::Releasing {
            return;
        }
        self.note_end(place, Side::Server, &ended);
        let headers = leg::reason(ended.reason.as_ref());
        self.withdraw_downstream(place, state == State::Established, headers.clone());
        match (state, ended.status) {
            (State::Inviting, Some(status)) => {
                self.participating[place].record.status = Some(status);
                self.refuse_upstream(place, Refusal::status(status));
            }
            (State::Established, _) => self.leave_upstream(place, headers),
            (State::Inviting, None) | (State::Releasing, _) => {}
        }
        self.close_participating(place);
    }

    /// Closes the record once neither leg is there any more.
    pub(super) fn close_participating(&mut self, place: usize) {
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
pub(super) fn contact_of(message: &Message) -> Contact {
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
pub(super) fn answer_mode(mode: AnswerMode, is_overriding: bool) -> Headers {
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
