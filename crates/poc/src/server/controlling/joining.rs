//! Coming into a session that stands: a chat group, a pre-arranged group's session, or once more (digest 9.3, 10.3).
//!
//! A join invites nobody and is answered at once, so a CANCEL never finds it undecided here, and removes nobody but the
//! joiner where it does (digest 14.6 step 1).

use bytes::Bytes;
use sip::usage::Party;
use sip::{Instant, SessionId};

use super::super::group::GroupRole;
use super::super::leg::{self, Ended};
use super::super::policy::Inviter;
use super::super::record::{Record, Side};
use super::super::{Place, Server};
use super::plan::Joining;
use super::{Entrance, Participant, ParticipantState};
use crate::sdp::{self, Described};

impl Server {
    pub(super) fn join(&mut self, session: SessionId, inviter: Inviter, joining: Joining) {
        let Joining { place, offer, media, role } = joining;
        let controlling = &mut self.controlling[place];
        controlling.media.codecs = vec![media.codec];
        let contact = controlling.invitation.contact.clone();
        let address = inviter.address.clone().unwrap_or_default();
        let mut record = self.record(&inviter);
        let controlling = &self.controlling[place];
        record.session_type = Some(controlling.session_type);
        record.group = controlling.group.as_ref().map(|group| group.address.clone()).unwrap_or_default();
        // Who comes in by another way leaves the former one, which may be waiting for an answer that nobody gives any more.
        let former = controlling.participant_of(&address).map(|(key, _)| key);
        self.identify(session, contact);
        let key = self.enter_by_invite(place, session, &inviter, record, role, &offer);
        if let Some(former) = former {
            self.replace_leg(place, former, key);
        }
        self.participant_came(place);
    }

    /// The first one in a session that invites nobody.
    pub(super) fn enter_first(
        &mut self,
        place: usize,
        session: SessionId,
        inviter: &Inviter,
        record: Record,
        role: GroupRole,
    ) {
        let controlling = &mut self.controlling[place];
        let offer = controlling.offer.clone();
        // What was offered was looked at before. Everybody who comes later must take what this one gets.
        let origin = sdp::Origin { id: 0, version: 0 };
        let media = self.directory.media_for(&record.inviter, &controlling.media);
        if let Ok((_, media)) = sdp::answer(&media, origin, &offer) {
            controlling.media.codecs = vec![media.codec];
        }
        self.enter_by_invite(place, session, inviter, record, role, &offer);
        self.note_conference(place);
    }

    fn enter_by_invite(
        &mut self,
        place: usize,
        session: SessionId,
        inviter: &Inviter,
        mut record: Record,
        role: GroupRole,
        offer: &[u8],
    ) -> usize {
        let mut described = Described::new(self.next_origin());
        let media = self.open_media(place, &record.inviter);
        let controlling = &mut self.controlling[place];
        let own = self.directory.media_for(&record.inviter, &controlling.media);
        let own = self.media.at_ports_of(Some(media), own);
        let answer = described.try_describe(|origin| sdp::answer(&own, origin, offer)).ok();
        let (answer, agreed) = answer.unzip(); // was tried when the INVITE was looked at
        (record.answered, record.status) = (Some(self.now), Some(200));
        let key = controlling.insert(Participant {
            address: record.inviter.clone(),
            name: inviter.name.clone(),
            is_anonymous: inviter.is_anonymous,
            number: 0,
            role,
            leg: Some(session),
            state: ParticipantState::Connected,
            entrance: Entrance::Joined(Box::new(record)),
            described,
            media: Some(media),
            answered: Some(self.now),
            ended: None,
        });
        self.places.insert(session, Place::Participant { place, key });
        self.accept(session, Vec::new(), Some(sdp::body(answer.unwrap_or_default())));
        if let Some(agreed) = agreed {
            self.take_part(place, key, &agreed, agreed.codec.payload, false);
        }
        key
    }

    /// Gives up the former leg of somebody who has come by another one.
    fn replace_leg(&mut self, place: usize, key: usize, by: usize) {
        let controlling = &mut self.controlling[place];
        if controlling.initiator == Some(key) {
            controlling.initiator = Some(by);
            // The way by which the initiator has come now has a slot of its own.
            self.vacate_initiator(place);
        }
        let controlling = &mut self.controlling[place];
        let Some(leg) = controlling.participants[key].leg else { return };
        let is_connected = controlling.participants[key].state == ParticipantState::Connected;
        controlling.enter(key, ParticipantState::Withdrawn { instead: None, is_removed: false });
        self.take_no_part(place, key);
        let reason = Bytes::from_static(b"SIP;cause=200;text=\"Call completed elsewhere\"");
        self.withdraw(leg, is_connected, leg::reason(Some(&reason)));
    }

    /// The record of a join is closed when its leg has ended, whatever becomes of the session.
    pub(super) fn close_joined(&mut self, place: usize, key: usize, ended: &Ended) {
        let now: Instant = self.now;
        let controlling = &mut self.controlling[place];
        let Some(participant) = controlling.participants.get(key) else { return };
        if !matches!(participant.entrance, Entrance::Joined(_)) {
            return;
        }
        let participant = controlling.participants.remove(key);
        if controlling.by_address.get(&participant.address) == Some(&key) {
            controlling.by_address.remove(&participant.address);
            // Who was invited, or made the session, may come again and again.
            let is_same = |(_, each): &(usize, &Participant)| {
                each.address == participant.address && !each.was_removed()
            };
            let before = controlling.participants.iter().find(is_same).map(|(before, _)| before);
            if let Some(before) = before.filter(|_| !participant.was_removed()) {
                controlling.by_address.insert(participant.address.clone(), before);
            }
        }
        let Entrance::Joined(record) = participant.entrance else { return };
        let by = if ended.by == Party::Local { Side::Server } else { Side::Inviter };
        let reason = ended.reason.clone();
        self.close(Record { end: ended.end, by, ended: now, reason, ..*record });
    }
}
