//! The Controlling PoC Function: one PoC Session, its inviter and those who are invited (digest 10.3 to 10.5, 14.6).
//!
//! ```text
//!              183 Unconfirmed   a member accepts   a member ends          the inviter ends     release
//! Inviting     Unconfirmed +200  Established +200   all ended: +4xx        Releasing            Releasing +4xx
//! Unconfirmed  -                 Established        all ended: Releasing   Releasing            Releasing +BYE
//! Established  -                 -                  too few: Releasing     too few: Releasing   Releasing +BYE
//! Releasing    -                 -                  -                      -                    -
//! ```
//!
//! +200, +4xx and +BYE go to the inviter. Entering `Releasing` withdraws every leg, whatever it has come to; it is left when
//! the last leg has ended, and then the record is closed. "Too few" are fewer than two who are connected; of a 1-1 session
//! everybody.

use bytes::Bytes;
use sip::message::Name;
use sip::usage::{End, Party};
use sip::{Headers, Instant, Invite, Message, SessionId};

use super::leg::{self, Ended};
use super::policy::{self, Inviter, Refusal};
use super::record::{Function, Invitation, Record, SessionType, Side};
use super::{Place, Server};
use crate::address;
use crate::answer_state::AnswerState;
use crate::body::{multipart, resource_lists};
use crate::sdp::{self, Capabilities, Codec, Described};

/// One PoC Session.
#[derive(Clone, Debug)]
pub(super) struct Controlling {
    state: State,
    /// The inviter's leg, until it has ended.
    inviter: Option<SessionId>,
    /// Whether the inviter has been told that somebody is being asked.
    has_rung: bool,
    /// The inviter's slot is taken.
    holds_slot: bool,
    members: Vec<Member>,
    /// What the inviter offered.
    offer: Bytes,
    /// What the session's members and inviter are told of our media.
    media: Capabilities,
    /// Our last description towards the inviter.
    described: Described,
    /// What will be told of the session.
    record: Record,
}

/// See the table at the top of this file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Inviting,
    Unconfirmed,
    Established,
    Releasing,
}

/// One invited user.
#[derive(Clone, Debug)]
struct Member {
    address: Bytes,
    /// The leg, until it has ended.
    leg: Option<SessionId>,
    state: MemberState,
    described: Described,
    answered: Option<Instant>,
    /// How it ended, once it has.
    ended: Option<(Instant, Ended)>,
}

/// How far a member has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum MemberState {
    /// The invitation is under way.
    Invited,
    /// The member takes part.
    Connected,
    /// The leg is to end, for this status towards the inviter if that is not what it ends with.
    Withdrawn { instead: Option<u16> },
    /// The leg has ended.
    Over,
}

/// What an INVITE asks for, once it has passed the checks.
struct Plan {
    session_type: SessionType,
    invited: Vec<Bytes>,
    codecs: Vec<Codec>,
    offer: Bytes,
}

impl Controlling {
    /// Whether the inviter or a member of this address has something to do with it.
    fn serves(&self, address: &[u8]) -> bool {
        self.record.inviter == address
    }

    fn member_of(&mut self, leg: SessionId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.leg == Some(leg))
    }

    /// Participants who can hear each other.
    fn connected(&self) -> usize {
        let members = self.members.iter().filter(|member| member.state == MemberState::Connected).count();
        members + usize::from(self.inviter.is_some())
    }

    /// Digest 10.5: of a 1-1 session nobody remains if one goes; others go on with two or more (Q4).
    fn is_too_small(&self) -> bool {
        self.record.session_type != Some(SessionType::AdHoc) || self.connected() < 2
    }

    /// Digest 12.3: what the failure of everybody is to the inviter.
    fn best_status(&self) -> u16 {
        let statuses = || {
            self.members.iter().map(|member| match (&member.ended, member.state) {
                (_, MemberState::Withdrawn { instead: Some(status) }) => status,
                (Some((_, ended)), _) => ended.status_for_inviter(),
                (None, _) => 480,
            })
        };
        let first = statuses().next().unwrap_or(480);
        match () {
            () if self.record.session_type == Some(SessionType::OneToOne) => first,
            () if statuses().all(|status| status >= 600) => first,
            () if statuses().all(|status| status == 486) => 486,
            () => 480,
        }
    }
}

impl Server {
    /// An INVITE of a user who is served here, or for a conference factory of this server.
    pub(super) fn control(&mut self, session: SessionId, request: &Message, inviter: Inviter) {
        let record = Record {
            serial: 0,
            function: Function::Controlling,
            session_type: None,
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
        let planned = self.plan(request, &inviter);
        let (state, media) = match &planned {
            Ok(plan) => {
                (State::Inviting, Capabilities { codecs: plan.codecs.clone(), ..self.config.media.clone() })
            }
            Err(_) => (State::Releasing, self.config.media.clone()),
        };
        let described = Described::new(self.next_origin());
        let place = self.controlling.insert(Controlling {
            state,
            inviter: Some(session),
            has_rung: false,
            holds_slot: false,
            members: Vec::new(),
            offer: Bytes::new(),
            media,
            described,
            record,
        });
        self.places.insert(session, Place::Inviter(place));
        match planned {
            Ok(plan) => self.invite_members(place, session, request, &inviter, plan),
            Err(refusal) => {
                self.counters.refused += 1;
                self.controlling[place].record.status = Some(refusal.status);
                self.refuse(session, refusal);
            }
        }
    }

    /// Digest 10.3 steps 1 to 4.
    fn plan(&self, request: &Message, inviter: &Inviter) -> Result<Plan, Refusal> {
        policy::may_initiate(&self.directory, inviter)?;
        let to = request.uri_text();
        let unreadable = Refusal::status(400);
        let parts = multipart::parts_of(request).map_err(|_| unreadable)?;
        let is_factory = address::canonical(to) == Some(self.config.factory.clone());
        let entries = if is_factory {
            let list = parts.iter().find(|part| part.is(resource_lists::CONTENT_TYPE));
            // Without a list it would set up a pre-established session (digest 7.2), which this server does not have.
            let list = list.ok_or(Refusal::saying(403, "function not allowed"))?;
            let entries = resource_lists::read(list.bytes).map_err(|_| unreadable)?;
            entries.into_iter().map(|entry| entry.uri).collect()
        } else {
            vec![Bytes::copy_from_slice(to)]
        };
        let mut invited: Vec<Bytes> = Vec::new();
        for entry in &entries {
            let address = address::canonical(entry).ok_or(unreadable)?;
            // Step 4; RFC 5364 §4: once each, and not the inviter.
            if !invited.contains(&address) && Some(&address) != inviter.address.as_ref() {
                invited.push(address);
            }
        }
        match invited.len() {
            0 => return Err(Refusal::saying(404, "nobody to invite")),
            count if count > self.config.invited_max => {
                return Err(Refusal::saying(486, "too many participants"));
            }
            _ => {}
        }
        let offer = parts.iter().find(|part| part.is("application/sdp")).map_or(&b""[..], |part| part.bytes);
        let codecs = self.codecs_for(offer).map_err(|_| Refusal::status(488))?; // step 3
        let session_type = if entries.len() == 1 { SessionType::OneToOne } else { SessionType::AdHoc };
        Ok(Plan { session_type, invited, codecs, offer: Bytes::copy_from_slice(offer) })
    }

    /// What the members are offered: all that the inviter offered, for the server relays what two ends agree on; but only
    /// what the server itself would answer if it may have to answer first (digest 7.5).
    fn codecs_for(&self, offer: &[u8]) -> Result<Vec<Codec>, sdp::SdpError> {
        let offered = sdp::codecs(offer)?;
        let origin = sdp::Origin { id: 0, version: 0 };
        let (_, media) = if self.config.early_answer {
            sdp::answer(&self.config.media, origin, offer)?
        } else {
            let media = Capabilities { codecs: offered.clone(), ..self.config.media.clone() };
            sdp::answer(&media, origin, offer)?
        };
        Ok(if self.config.early_answer { vec![media.codec] } else { offered })
    }

    /// Digest 10.3 steps 5 and 6: one INVITE per member, each in a dialog of its own.
    fn invite_members(
        &mut self,
        place: usize,
        session: SessionId,
        request: &Message,
        inviter: &Inviter,
        plan: Plan,
    ) {
        let Plan { session_type, invited, codecs: _, offer } = plan;
        let contact = sip::Contact {
            uri_parameters: Bytes::from_static(session_type.uri_parameter()),
            parameters: Bytes::from_static(b";+g.poc.talkburst;isfocus"),
            ..sip::Contact::default()
        };
        self.identify(session, contact.clone());
        let controlling = &mut self.controlling[place];
        controlling.record.session_type = Some(session_type);
        controlling.offer = offer;
        controlling.holds_slot = true;
        let address = controlling.record.inviter.clone();
        self.directory.occupy(&address);
        let from = leg::from_of(inviter, request);
        // Request-Disposition: terminals fork at the last core only (case 16).
        let passed =
            [Name::ResourcePriority, Name::RequestDisposition, Name::AnswerMode, Name::PrivAnswerMode];
        let mut headers = leg::passed_on(request, &passed);
        headers.extend(leg::referrer_of(inviter, request));
        headers.push(leg::accept_contact());
        headers.extend(leg::identity_of(inviter));
        for address in invited {
            let mut described = Described::new(self.next_origin());
            let media = &self.controlling[place].media;
            let offer = described.describe(|origin| sdp::offer(media, origin));
            let invite = Invite {
                targets: vec![self.config.core],
                uri: address.clone(),
                from: from.clone(),
                to: Bytes::from([b"<", &address[..], b">"].concat()),
                routes: Vec::new(),
                headers: headers.clone(),
                body: Some(sdp::body(offer)),
                // Digest 10.4: after this span the leg is cancelled like any other.
                expires: Some(self.config.set_up_limit),
                expires_headers: leg::no_answer(),
                contact: Some(contact.clone()),
                hops: None,
            };
            let leg = self.invite(invite);
            let (state, ended) = match leg {
                Ok(_) => (MemberState::Invited, None),
                // An address that cannot be written into an INVITE.
                Err(_) => {
                    let ended =
                        Ended { end: End::Rejected, by: Party::Local, status: Some(404), reason: None };
                    (MemberState::Over, Some((self.now, ended)))
                }
            };
            let leg = leg.ok();
            if let Some(leg) = leg {
                self.places.insert(leg, Place::Member(place));
            }
            self.controlling[place].members.push(Member {
                address,
                leg,
                state,
                described,
                answered: None,
                ended,
            });
        }
        self.note_failures(place);
    }

    /// A member's 1xx.
    pub(super) fn member_progressed(&mut self, place: usize, response: &Message) {
        let controlling = &mut self.controlling[place];
        match controlling.state {
            State::Inviting => {}
            State::Unconfirmed | State::Established | State::Releasing => return,
        }
        let Some(inviter) = controlling.inviter else { return };
        if AnswerState::of(response) == Some(AnswerState::Unconfirmed) {
            // Digest 7.5: the header field in a 1xx is for servers, and ends here.
            if self.config.early_answer {
                self.answer_inviter(place, AnswerState::Unconfirmed);
            }
        } else if response.status() == Some(180) && !std::mem::replace(&mut controlling.has_rung, true) {
            self.progress(inviter, 180, Vec::new());
        }
    }

    /// A member's 200, which has been acknowledged.
    pub(super) fn member_accepted(&mut self, place: usize, leg: SessionId, response: &Message) {
        let now = self.now;
        let controlling = &mut self.controlling[place];
        let media = sdp::accept(&controlling.media, response.body());
        let state = controlling.state;
        let Some(member) = controlling.member_of(leg) else { return };
        let media = match media {
            Ok(media) => media,
            Err(error) => {
                tracing::warn!(%error, "unusable answer of a member");
                member.state = MemberState::Withdrawn { instead: Some(488) };
                return self.leave(leg, leg::reason(Some(&leg::reason_of_status(488))));
            }
        };
        (member.state, member.answered) = (MemberState::Connected, Some(now));
        match state {
            State::Inviting => {
                // Everybody who comes later must take what the first one took: the server does not transcode.
                controlling.media.codecs = vec![media.codec];
                self.answer_inviter(place, AnswerState::Confirmed);
            }
            State::Unconfirmed => controlling.state = State::Established,
            State::Established => {}
            State::Releasing => {
                debug_assert!(false, "a leg that was withdrawn is never established");
                self.leave(leg, Vec::new());
            }
        }
    }

    /// 200 to the inviter, with our media (digest 7.5, 10.3 step 7).
    fn answer_inviter(&mut self, place: usize, answer_state: AnswerState) {
        let now = self.now;
        let controlling = &mut self.controlling[place];
        let Some(inviter) = controlling.inviter else { return };
        let (media, offer) = (&controlling.media, &controlling.offer);
        let answer = controlling.described.try_describe(|origin| sdp::answer(media, origin, offer));
        let Ok(answer) = answer else {
            // The codec that the member took is one that the inviter offered, so this does not happen; if it did, nobody
            // would hear anybody.
            let ended = Ended { end: End::Rejected, by: Party::Local, status: Some(488), reason: None };
            return self.release(place, Side::Server, ended);
        };
        let headers: Headers = match answer_state {
            AnswerState::Confirmed => {
                controlling.state = State::Established;
                Vec::new()
            }
            AnswerState::Unconfirmed => {
                controlling.state = State::Unconfirmed;
                vec![(Name::PAnswerState, Bytes::from_static(answer_state.as_str().as_bytes()))]
            }
        };
        controlling.record.answered = Some(now);
        controlling.record.status = Some(200);
        self.accept(inviter, headers, Some(sdp::body(answer)));
    }

    /// The end of a member's leg: refused, never answered, left, or what was withdrawn.
    pub(super) fn member_ended(&mut self, place: usize, leg: SessionId, ended: Ended) {
        let now = self.now;
        let Some(controlling) = self.controlling.get_mut(place) else { return };
        let state = controlling.state;
        let Some(member) = controlling.member_of(leg) else { return };
        let before = member.state;
        (member.leg, member.ended) = (None, Some((now, ended.clone())));
        if !matches!(before, MemberState::Withdrawn { .. }) {
            member.state = MemberState::Over;
        }
        match (state, before) {
            (State::Inviting | State::Unconfirmed, _) => self.note_failures(place),
            (State::Established, MemberState::Connected) if controlling.is_too_small() => {
                self.release(place, Side::Invited, ended);
            }
            (State::Established, MemberState::Connected | MemberState::Invited)
            | (State::Established, MemberState::Withdrawn { .. } | MemberState::Over)
            | (State::Releasing, _) => {}
        }
        self.close_controlling(place);
    }

    /// Digest 10.3 steps 10 and 11: everybody has failed before anybody accepted.
    fn note_failures(&mut self, place: usize) {
        let controlling = &self.controlling[place];
        if controlling.members.iter().any(|member| member.leg.is_some()) {
            return;
        }
        let status = controlling.best_status();
        let ended = Ended { end: End::Rejected, by: Party::Remote, status: Some(status), reason: None };
        self.release(place, Side::Invited, ended);
    }

    /// The end of the inviter's leg. A CANCEL of it has been answered already, both parts.
    pub(super) fn inviter_ended(&mut self, place: usize, ended: Ended) {
        let Some(controlling) = self.controlling.get_mut(place) else { return };
        controlling.inviter = None;
        match controlling.state {
            // Digest 14.6 steps 1 to 4, and the BYE after an early answer.
            State::Inviting | State::Unconfirmed => self.release(place, Side::Inviter, ended),
            State::Established if controlling.is_too_small() => self.release(place, Side::Inviter, ended),
            State::Established => self.vacate_inviter(place), // Q4
            State::Releasing => {}
        }
        self.close_controlling(place);
    }

    /// Ends the session: every leg, whatever it has come to (digest 10.5, 14.6 step 3).
    fn release(&mut self, place: usize, by: Side, ended: Ended) {
        let now = self.now;
        let controlling = &mut self.controlling[place];
        let before = std::mem::replace(&mut controlling.state, State::Releasing);
        let record = &mut controlling.record;
        (record.end, record.by, record.ended) = (ended.end, by, now);
        record.reason.clone_from(&ended.reason);
        if before == State::Inviting {
            record.status = ended.status;
        }
        let inviter = controlling.inviter;
        let mut legs = Vec::new();
        for member in &mut controlling.members {
            let Some(leg) = member.leg else { continue };
            match member.state {
                MemberState::Invited => legs.push((leg, false)),
                MemberState::Connected => legs.push((leg, true)),
                MemberState::Withdrawn { .. } | MemberState::Over => continue,
            }
            member.state = MemberState::Withdrawn { instead: None };
        }
        self.vacate_inviter(place);
        for (leg, is_connected) in legs {
            self.withdraw(leg, is_connected, leg::reason(ended.reason.as_ref()));
        }
        let Some(inviter) = inviter else { return };
        let status = ended.status.filter(|status| *status >= 300).unwrap_or(480);
        match before {
            State::Inviting => self.refuse(inviter, Refusal::status(status)),
            State::Unconfirmed => {
                let reason = ended.reason.unwrap_or_else(|| leg::reason_of_status(status));
                self.leave(inviter, leg::reason(Some(&reason)));
            }
            State::Established => self.leave(inviter, leg::reason(ended.reason.as_ref())),
            State::Releasing => {}
        }
    }

    /// The slot is free at once, whatever legs still have to end (digest 14.5).
    fn vacate_inviter(&mut self, place: usize) {
        let controlling = &mut self.controlling[place];
        if std::mem::take(&mut controlling.holds_slot) {
            let address = controlling.record.inviter.clone();
            self.directory.vacate(&address);
        }
    }

    /// A user is not served any more: nor is what the user controls.
    pub(super) fn release_controlled_by(&mut self, address: &[u8]) {
        let places: Vec<_> = self
            .controlling
            .iter()
            .filter(|(_, each)| each.serves(address))
            .map(|(place, _)| place)
            .collect();
        for place in places {
            if self.controlling[place].state != State::Releasing {
                let ended = Ended { end: End::Released, by: Party::Local, status: Some(403), reason: None };
                self.release(place, Side::Server, ended);
            }
        }
    }

    /// Closes the record once nobody rings or is connected any more.
    fn close_controlling(&mut self, place: usize) {
        let Some(controlling) = self.controlling.get(place) else { return };
        let is_over =
            controlling.inviter.is_none() && controlling.members.iter().all(|member| member.leg.is_none());
        if !is_over {
            return;
        }
        let Controlling { mut record, members, .. } = self.controlling.remove(place);
        record.invitations = members
            .into_iter()
            .filter_map(|member| {
                let (ended_at, ended) = member.ended?;
                Some(Invitation {
                    invited: member.address,
                    answered: member.answered,
                    ended: ended_at,
                    end: ended.end,
                    status: ended.status,
                })
            })
            .collect();
        self.close(record);
    }

    /// A participant of a session that is controlled here offers other media: the server answers for itself.
    pub(super) fn answer_participant(&mut self, place: usize, session: SessionId, offer: &[u8]) {
        let Some(controlling) = self.controlling.get_mut(place) else { return };
        let media = controlling.media.clone();
        let described = match controlling.inviter == Some(session) {
            true => Some(&mut controlling.described),
            false => controlling.member_of(session).map(|member| &mut member.described),
        };
        let Some(described) = described else { return };
        let answer = if offer.is_empty() {
            Ok(described.describe(|origin| sdp::offer(&media, origin)))
        } else {
            described.try_describe(|origin| sdp::answer(&media, origin, offer))
        };
        match answer {
            Ok(answer) => self.accept(session, Vec::new(), Some(sdp::body(answer))),
            Err(_) => self.refuse(session, Refusal::status(488)),
        }
    }
}
