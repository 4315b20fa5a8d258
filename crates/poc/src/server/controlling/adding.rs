//! REFER to a PoC Session: users are added, removed, or their invitations taken back (digest 9.4, 10.7; RFC 4579 §5.5, §5.11).

use std::sync::Arc;

use bytes::Bytes;
use sip::SubscriberId;
use sip::message::{Message, Uri};
use sip::usage::{End, Party};

use super::super::Server;
use super::super::leg::{self, Ended};
use super::super::policy::Inviter;
use super::super::record::SessionType;
use super::super::subscribers::{list_in, target_in};
use super::inviting::{self, Invitee};
use super::{Controlling, Entrance, Invitation, Participant, ParticipantState};
use crate::address;
use crate::answer_state::AnswerState;

/// What a REFER wants.
enum Wish {
    Add(Vec<Bytes>),
    Remove(Bytes),
}

impl Server {
    /// A REFER to a PoC Session Identity.
    pub(in super::super) fn be_referred(
        &mut self,
        subscriber: SubscriberId,
        wants_progress: bool,
        request: &Message,
    ) {
        let found = self.identity_in(request.uri_text()).and_then(|identity| self.identities.get(&identity));
        let Some(place) = found.copied() else { return self.reject(subscriber, 404) };
        self.refer_to_session(place, subscriber, wants_progress, request);
    }

    /// A REFER to the session at `place`, within a dialog of it or not.
    pub(in super::super) fn refer_to_session(
        &mut self,
        place: usize,
        subscriber: SubscriberId,
        wants_progress: bool,
        request: &Message,
    ) {
        let done = match self.wish(place, request) {
            Ok(Wish::Add(addresses)) => self.add(place, subscriber, wants_progress, addresses, request),
            Ok(Wish::Remove(address)) => self.remove(place, subscriber, wants_progress, &address),
            Err(status) => Err(status),
        };
        if let Err(status) = done {
            self.reject(subscriber, status);
        }
    }

    /// What is wanted, and whether it may be: by who takes part, and is entitled to if there is a group document. In a session
    /// without one everybody adds, and the initiator removes.
    fn wish(&self, place: usize, request: &Message) -> Result<Wish, u16> {
        let controlling = &self.controlling[place];
        let who = Inviter::of(request).address.ok_or(403_u16)?;
        let inside = controlling.participant_of(&who).map(|(_, inside)| inside.state);
        if !matches!(inside, Some(ParticipantState::Connected | ParticipantState::Waiting)) {
            return Err(403);
        }
        let wish = self.wish_of(controlling, &who, request)?;
        let is_entitled = match (&controlling.group, &wish) {
            // Whose INVITE waits for its answer is not a participant yet: it is for the initiator to cancel it.
            (_, Wish::Remove(address)) if controlling.awaits(address) => false,
            (_, Wish::Remove(address)) if *address == who => true,
            (Some(group), _) => self.directory.is_among(group.adds, group, Some(&who)),
            (None, Wish::Add(_)) => true,
            (None, Wish::Remove(_)) => controlling.serves(&who),
        };
        if is_entitled { Ok(wish) } else { Err(403) }
    }

    fn wish_of(&self, controlling: &Controlling, who: &Bytes, request: &Message) -> Result<Wish, u16> {
        let target = target_in(request)?;
        if let Some(entries) = list_in(request, target.uri) {
            let entries = entries?;
            let addresses = entries.iter().map(|entry| address::canonical(&entry.uri).ok_or(400_u16));
            return addresses.collect::<Result<_, _>>().map(Wish::Add);
        }
        let uri = Uri::parse(target.uri).map_err(|_| 400_u16)?;
        let method = uri.parameters.value(b"method").unwrap_or(b"INVITE");
        let is_session =
            self.identity_in(target.uri).is_some_and(|identity| identity == controlling.identity);
        match method {
            b"INVITE" => Ok(Wish::Add(vec![address::canonical(target.uri).ok_or(400_u16)?])),
            b"BYE" if is_session => Ok(Wish::Remove(who.clone())),
            b"BYE" => Ok(Wish::Remove(address::canonical(target.uri).ok_or(400_u16)?)),
            _ => Err(400),
        }
    }

    fn add(
        &mut self,
        place: usize,
        subscriber: SubscriberId,
        wants_progress: bool,
        addresses: Vec<Bytes>,
        request: &Message,
    ) -> Result<(), u16> {
        let controlling = &mut self.controlling[place];
        let is_list = addresses.len() > 1;
        let mut fresh: Vec<Bytes> = Vec::new();
        for address in addresses {
            let is_waiting = controlling.queue.iter().any(|invitee| invitee.address == address);
            if controlling.participant_of(&address).is_none() && !is_waiting && !fresh.contains(&address) {
                fresh.push(address);
            }
        }
        if fresh.is_empty() || !controlling.has_room_for(fresh.len()) {
            return Err(486);
        }
        self.admit_referral(subscriber)?;
        let controlling = &mut self.controlling[place];
        if controlling.session_type == SessionType::OneToOne {
            controlling.session_type = SessionType::AdHoc;
        }
        // RFC 5368 §5: a list has no one whose progress it would be.
        let referral = (wants_progress && !is_list).then_some(subscriber);
        let adder = Some(Arc::new(controlling.invitation_by(request)));
        let invitees = fresh.into_iter().map(|address| Invitee {
            referral,
            adder: adder.clone(),
            ..Invitee::new(address)
        });
        controlling.queue.extend(invitees);
        if wants_progress {
            match is_list {
                true => self.tell_last(subscriber, 100, None),
                false => self.tell_progress(subscriber, 100, None),
            }
        }
        if self.controlling[place].next_invites.is_none() {
            self.invite_next(place);
        }
        Ok(())
    }

    /// C74: one leg goes, whatever it has come to, and no other hears of it.
    fn remove(
        &mut self,
        place: usize,
        subscriber: SubscriberId,
        wants_progress: bool,
        address: &Bytes,
    ) -> Result<(), u16> {
        let controlling = &self.controlling[place];
        let queued = controlling.queue.iter().position(|invitee| invitee.address == *address);
        let found = controlling.participant_of(address).filter(|(_, inside)| !inside.was_removed());
        let found = found.map(|(key, _)| key);
        if found.is_none() && queued.is_none() {
            return Err(404);
        }
        self.admit_referral(subscriber)?;
        if wants_progress {
            self.tell_last(subscriber, 200, None);
        }
        let controlling = &mut self.controlling[place];
        let invitee = queued.and_then(|at| controlling.queue.remove(at));
        if let Some(referral) = invitee.and_then(|invitee| invitee.referral) {
            self.tell_last(referral, 487, None);
        }
        if let Some(key) = found {
            self.expel(place, key);
        }
        self.forget_subscriptions_of(place, address);
        self.fail_if_hopeless(place);
        Ok(())
    }

    fn expel(&mut self, place: usize, key: usize) {
        let controlling = &mut self.controlling[place];
        let side = controlling.side_of(key);
        let Participant { leg, state: before, .. } = controlling.participants[key];
        let (Some(leg), false) = (leg, matches!(before, ParticipantState::Withdrawn { .. })) else { return };
        controlling.enter(key, ParticipantState::Withdrawn { instead: None, is_removed: true });
        self.take_no_part(place, key);
        let controlling = &mut self.controlling[place];
        if controlling.initiator == Some(key) {
            // Digest 14.5: at once, whenever the BYE is answered.
            controlling.initiator = None;
            self.vacate_initiator(place);
        }
        self.withdraw(leg, before == ParticipantState::Connected, Vec::new());
        let ended =
            Ended { end: End::Released, by: Party::Local, status: None, reason: None, response: None };
        self.reconsider(place, side, before, ended);
        self.note_conference(place);
    }

    /// Whoever has added a participant hears how that goes (RFC 3515 §2.4.5).
    pub(super) fn tell_referrer(
        &mut self,
        place: usize,
        key: usize,
        status: u16,
        answer_state: Option<AnswerState>,
    ) {
        let Some(participant) = self.controlling[place].participants.get_mut(key) else { return };
        let Entrance::Invited { referral, .. } = &mut participant.entrance else { return };
        let Some(subscriber) = *referral else { return };
        if status < 200 {
            return self.tell_progress(subscriber, status, answer_state);
        }
        *referral = None;
        self.tell_last(subscriber, status, answer_state);
    }
}

impl Controlling {
    /// An invitation in the name of who has sent a REFER: what the invited user lets others do counts for this one, not for the
    /// initiator of the session.
    fn invitation_by(&self, request: &Message) -> Invitation {
        let adder = Inviter::of(request);
        let from = match &self.group {
            Some(_) => self.invitation.from.clone(),
            None => leg::from_of(&adder, request),
        };
        let headers = inviting::headers_for(&adder, request, true);
        Invitation { from, headers, history: None, ..self.invitation.clone() }
    }
}

impl Participant {
    /// Whether somebody else has wanted the participant to go.
    pub(super) fn was_removed(&self) -> bool {
        matches!(self.state, ParticipantState::Withdrawn { is_removed: true, .. })
    }
}
