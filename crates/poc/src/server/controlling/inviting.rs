//! The legs of those who are invited: one INVITE each, a bounded number at a time (digest 10.3 steps 5, 6 and 9).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use sip::message::{Body, Name};
use sip::usage::End;
use sip::{Contact, Invite, Message, SessionId, SubscriberId};
use slab::Slab;

use super::super::directory::NESTED_MAX;
use super::super::group::GroupRole;
use super::super::leg::{self, Ended};
use super::super::media::{Fans, Pace};
use super::super::policy::{Inviter, Refusal};
use super::super::{Due, Place, Server};
use super::conference::Conference;
use super::plan::Creation;
use super::{Controlling, Entrance, Invitation, Participant, ParticipantState, State};
use crate::address;
use crate::body::refused_list::{self, Refused};
use crate::body::{multipart, resource_lists};
use crate::sdp::{self, Capabilities, Described};
use crate::talk_burst::controlling::TalkBursts;

/// Somebody who is still to be invited.
#[derive(Clone, Debug)]
pub(super) struct Invitee {
    pub(super) address: Bytes,
    pub(super) role: GroupRole,
    /// Groups within groups above the entry.
    pub(super) depth: usize,
    /// Who is told how it goes.
    pub(super) referral: Option<SubscriberId>,
    /// In whose name, if it is not the initiator's.
    pub(super) adder: Option<Arc<Invitation>>,
}

impl Invitee {
    pub(super) fn new(address: Bytes) -> Self {
        Self { address, role: GroupRole::Ordinary, depth: 0, referral: None, adder: None }
    }
}

impl Server {
    /// Makes the session that an INVITE asks for.
    pub(super) fn create(
        &mut self,
        session: SessionId,
        request: &Message,
        inviter: &Inviter,
        creation: Creation,
    ) {
        let token = self.chance.draw();
        let identity = self.identity_of(token.as_bytes());
        let Creation { session_type, group, invited, codecs, offer, role, .. } = creation;
        let contact = Contact {
            address: identity.clone(),
            uri_parameters: Bytes::from_static(session_type.uri_parameter()),
            parameters: Bytes::from_static(b";+g.poc.talkburst;isfocus"),
        };
        self.identify(session, contact.clone());
        let mut record = self.record(inviter);
        record.session_type = Some(session_type);
        record.group = group.as_ref().map(|group| group.address.clone()).unwrap_or_default();
        let is_chat = invited.is_empty();
        let holds_slot = group.is_none();
        if holds_slot {
            self.directory.occupy(&record.inviter);
        }
        let invitation = Invitation {
            from: group
                .as_ref()
                .map_or_else(|| leg::from_of(inviter, request), |group| leg::from_of_group(group)),
            headers: headers_for(inviter, request, group.is_some()),
            contact,
            hops: creation.hops,
            history: creation.history,
        };
        let until = creation.policy.after.map(|span| self.now + span);
        let place = self.controlling.insert(Controlling {
            state: if is_chat { State::Established } else { State::Inviting },
            since: self.now,
            begun: self.now,
            session_type,
            identity: identity.clone(),
            participants: Slab::new(),
            by_address: BTreeMap::new(),
            entrances: 0,
            resolved: BTreeSet::new(),
            initiator: None,
            queue: VecDeque::from(invited),
            next_invites: None,
            legs: 0,
            connected: 0,
            leading: 0,
            pending: 0,
            participants_max: creation.participants_max,
            participants_min: creation.participants_min,
            policy: creation.policy,
            until,
            has_rung: false,
            holds_slot,
            offer: offer.clone(),
            media: Capabilities { codecs, ..self.config.media.clone() },
            invitation,
            conference: Conference::default(),
            bursts: TalkBursts::new(Arc::clone(&self.media.settings)),
            penalties: Vec::new(),
            bursts_due: None,
            pace: Pace::default(),
            fans: Fans::default(),
            buffer: None,
            buffer_due: None,
            takes: Vec::new(),
            record: None,
            group,
        });
        self.identities.insert(identity, place);
        if let Some(group) = &self.controlling[place].group {
            self.sessions_of_groups.insert(group.address.clone(), place);
        }
        if let Some(until) = until {
            self.due.insert((until, Due::Release(place)));
        }
        if is_chat {
            return self.enter_first(place, session, inviter, record, role);
        }
        let described = Described::new(self.next_origin());
        let address = record.inviter.clone();
        let media = self.open_media(place, &address);
        let controlling = &mut self.controlling[place];
        controlling.record = Some(Box::new(record));
        let key = controlling.insert(Participant {
            address,
            name: inviter.name.clone(),
            is_anonymous: inviter.is_anonymous,
            number: 0,
            role,
            leg: Some(session),
            state: ParticipantState::Waiting,
            entrance: Entrance::Initiated,
            described,
            media: Some(media),
            answered: None,
            ended: None,
        });
        controlling.initiator = Some(key);
        self.places.insert(session, Place::Participant { place, key });
        self.invite_next(place);
        self.fail_if_hopeless(place);
    }

    /// Invites as many as may be at a time. The others have their turn soon; until then nobody has heard of them, and a CANCEL
    /// leaves it at that (C66, digest 14.6 step 3).
    pub(super) fn invite_next(&mut self, place: usize) {
        for _ in 0..self.config.invites_at_once.max(1) {
            let Some(invitee) = self.controlling.get_mut(place).and_then(|each| each.queue.pop_front())
            else {
                break;
            };
            self.invite_one(place, invitee);
        }
        let Some(controlling) = self.controlling.get_mut(place) else { return };
        if !controlling.queue.is_empty() && controlling.next_invites.is_none() {
            let at = self.now + self.config.invites_pause;
            controlling.next_invites = Some(at);
            self.due.insert((at, Due::Invites(place)));
        }
        self.note_conference(place);
    }

    /// The next ones have their turn.
    pub(in super::super) fn invite_due(&mut self, place: usize) {
        if let Some(controlling) = self.controlling.get_mut(place) {
            controlling.next_invites = None;
        }
        self.invite_next(place);
        self.fail_if_hopeless(place);
    }

    fn invite_one(&mut self, place: usize, invitee: Invitee) {
        let Invitee { address, role, depth, referral, adder } = invitee;
        if self.controlling[place].participant_of(&address).is_some() {
            // Has come by itself in the meantime.
            if let Some(referral) = referral {
                self.tell_last(referral, 200, None);
            }
            return;
        }
        let mut described = Described::new(self.next_origin());
        let media = self.open_media(place, &address);
        let Controlling { media: own, invitation, .. } = &self.controlling[place];
        let invitation = adder.as_deref().unwrap_or(invitation);
        let own = self.media.at_ports_of(Some(media), Cow::Borrowed(own));
        let offer = described.describe(|origin| sdp::offer(&own, origin));
        let invite = Invite {
            targets: vec![self.config.core],
            uri: address.clone(),
            from: invitation.from.clone(),
            to: Bytes::from([b"<", &address[..], b">"].concat()),
            routes: Vec::new(),
            headers: invitation.headers.clone(),
            body: Some(body(offer, invitation.history.as_ref())),
            // Digest 10.4: after this span the leg is cancelled like any other.
            expires: Some(self.config.set_up_limit),
            expires_headers: leg::no_answer(),
            contact: Some(invitation.contact.clone()),
            hops: invitation.hops,
        };
        let leg = self.invite(invite).ok();
        // An address that cannot be written into an INVITE.
        let ended = leg.is_none().then(|| (self.now, Ended::here(End::Rejected, 404)));
        let state = match leg {
            Some(_) => ParticipantState::Invited { is_alerting: false },
            None => ParticipantState::Over,
        };
        let entrance = Entrance::Invited { depth, referral, adder };
        let participant = Participant {
            address,
            name: None,
            is_anonymous: false,
            number: 0,
            role,
            leg,
            state,
            entrance,
            described,
            media: Some(media),
            answered: None,
            ended,
        };
        let key = self.controlling[place].insert(participant);
        match leg {
            Some(leg) => {
                self.places.insert(leg, Place::Participant { place, key });
            }
            None => {
                self.close_media(place, key);
                self.tell_referrer(place, key, 404, None);
            }
        }
    }

    /// Whoever could not be invited at all, or is not to be any more, may have been the last hope.
    pub(super) fn fail_if_hopeless(&mut self, place: usize) {
        let Some(controlling) = self.controlling.get(place) else { return };
        if controlling.has_failed() {
            self.fail(place);
            self.close_controlling(place);
        }
    }

    /// Digest 10.3 step 9, RFC 5318: an entry that was a group, the server of which has refused with its members, is replaced
    /// by them. Each group once, so loops end; so deep and so many, so the rest does. True if it was: then its key is free.
    pub(super) fn replace_by_members(&mut self, place: usize, key: usize, ended: &Ended) -> bool {
        let controlling = &mut self.controlling[place];
        let participant = &controlling.participants[key];
        let Entrance::Invited { depth, referral, ref adder } = participant.entrance else { return false };
        let adder = adder.clone();
        let is_refused = participant.state == ParticipantState::Over && ended.status == Some(403);
        if controlling.state == State::Releasing || !is_refused || depth >= NESTED_MAX {
            return false;
        }
        let Some(members) = ended.response.as_ref().and_then(refused_members) else { return false };
        let fresh: Vec<Bytes> = members
            .into_iter()
            .filter(|address| {
                !controlling.by_address.contains_key(address) && !controlling.resolved.contains(address)
            })
            .collect();
        if fresh.is_empty() || !controlling.has_room_for(fresh.len()) {
            return false;
        }
        let group = controlling.participants.remove(key);
        controlling.by_address.remove(&group.address);
        controlling.conference.forget(&group.address);
        controlling.resolved.insert(group.address);
        let invitees = fresh.into_iter().map(|address| Invitee {
            depth: depth + 1,
            referral,
            adder: adder.clone(),
            ..Invitee::new(address)
        });
        controlling.queue.extend(invitees);
        if controlling.next_invites.is_none() {
            self.invite_next(place);
        }
        true
    }

    /// A group of this server is invited by another Controlling PoC Function, or by this one: 403 with its members.
    pub(in super::super) fn refuse_with_members(
        &mut self,
        session: SessionId,
        group: &Bytes,
        inviter: &Inviter,
    ) {
        let found = self.directory.group(group).map(|group| self.members_for(group, inviter));
        let mut record = self.record(inviter);
        record.group = group.clone();
        match found {
            Some(Ok(members)) => {
                let members = members.into_iter().map(resource_lists::Entry::new).collect();
                let (value, body) = refused_list::write(&[Refused { group: group.clone(), members }]);
                let headers = vec![(Name::PRefusedUriList, value)];
                record.status = Some(403);
                let place = self.turned_away.insert(record);
                self.places.insert(session, Place::TurnedAway(place));
                self.refuse_with(session, 403, headers, Some(body));
            }
            Some(Err(refusal)) => self.turn_away(session, record, refusal),
            None => self.turn_away(session, record, Refusal::status(404)),
        }
    }
}

/// The description, and who is invited too (RFC 5366 §4).
fn body(description: Bytes, history: Option<&Bytes>) -> Body {
    let Some(history) = history else { return sdp::body(description) };
    multipart::with_list(&description, history, resource_lists::HISTORY)
}

/// The members in a 403 of the server that hosts a group, each once.
fn refused_members(response: &Message) -> Option<Vec<Bytes>> {
    let refused = refused_list::read(response).ok().filter(|refused| !refused.is_empty())?;
    let mut seen = BTreeSet::new();
    let listed = refused.into_iter().flat_map(|refused| refused.members);
    let members = listed.filter_map(|entry| address::canonical(&entry.uri));
    Some(members.filter(|address| seen.insert(address.clone())).collect())
}

/// The header lines of every INVITE in the name of `inviter`.
pub(super) fn headers_for(inviter: &Inviter, request: &Message, is_of_group: bool) -> sip::Headers {
    // Request-Disposition: terminals fork at the last core only (case 16).
    let passed = [Name::ResourcePriority, Name::RequestDisposition, Name::AnswerMode, Name::PrivAnswerMode];
    let mut headers = leg::passed_on(request, &passed);
    headers.extend(match is_of_group {
        true => leg::referred_by(inviter), // digest 8.5: From is the group
        false => leg::referrer_of(inviter, request),
    });
    headers.push(leg::accept_contact());
    headers.extend(leg::identity_of(inviter));
    headers
}
