//! The end of a session: every leg, whatever it has come to (digest 10.5, 14.6 steps 3 and 4).

use bytes::Bytes;
use sip::Guard;
use sip::usage::End;

use super::super::leg::{self, Ended};
use super::super::policy::Refusal;
use super::super::record::{Invitation, Side};
use super::super::releasing;
use super::super::{Due, Server};
use super::{Controlling, Entrance, ParticipantState, State};

impl Server {
    /// Ends the session. Those who are not invited yet never will be.
    pub(super) fn release(&mut self, place: usize, by: Side, ended: Ended) {
        let now = self.now;
        let controlling = &mut self.controlling[place];
        let before = std::mem::replace(&mut controlling.state, State::Releasing);
        controlling.since = now;
        if let Some(record) = &mut controlling.record {
            (record.end, record.by, record.ended) = (ended.end, by, now);
            record.reason.clone_from(&ended.reason);
            if before == State::Inviting {
                record.status = ended.status;
            }
        }
        let initiator = controlling.initiator_leg();
        let discarded = if Guard::QueueIsDiscarded.is_off() { 0 } else { controlling.queue.len() };
        let unheard: Vec<_> =
            controlling.queue.drain(..discarded).filter_map(|invitee| invitee.referral).collect();
        let mut legs = Vec::new();
        for (key, participant) in &controlling.participants {
            match (participant.leg, participant.state) {
                (leg, _) if leg == initiator => {}
                (_, ParticipantState::Invited { .. }) if Guard::PendingLegsAreCancelled.is_off() => {}
                (_, ParticipantState::Connected) if Guard::ConnectedLegsAreLeft.is_off() => {}
                (Some(leg), ParticipantState::Invited { .. }) => legs.push((key, leg, false)),
                (Some(leg), ParticipantState::Connected) => legs.push((key, leg, true)),
                (
                    _,
                    ParticipantState::Waiting
                    | ParticipantState::Invited { .. }
                    | ParticipantState::Connected
                    | ParticipantState::Withdrawn { .. }
                    | ParticipantState::Over,
                ) => {}
            }
        }
        for (key, ..) in &legs {
            controlling.enter(*key, ParticipantState::Withdrawn { instead: None, is_removed: false });
        }
        self.end_bursts(place);
        self.invalidate(place);
        self.vacate_initiator(place);
        for referral in unheard {
            self.tell_last(referral, 487, None);
        }
        for (_, leg, is_connected) in legs {
            self.withdraw(leg, is_connected, leg::reason(ended.reason.as_ref()));
        }
        self.end_conference(place);
        let Some(initiator) = initiator else { return };
        let status = ended.status.filter(|status| *status >= 300).unwrap_or(480);
        match before {
            State::Inviting => self.refuse(initiator, Refusal::status(status)),
            State::Unconfirmed => {
                let reason = ended.reason.unwrap_or_else(|| leg::reason_of_status(status));
                self.leave(initiator, leg::reason(Some(&reason)));
            }
            State::Established => self.leave(initiator, leg::reason(ended.reason.as_ref())),
            State::Releasing => {}
        }
    }

    /// Step 4: the PoC Session Identity names nothing any more, the group may have another session, and no timer runs.
    fn invalidate(&mut self, place: usize) {
        let controlling = &mut self.controlling[place];
        self.identities.remove(&controlling.identity);
        if let Some(group) = &controlling.group
            && self.sessions_of_groups.get(&group.address) == Some(&place)
        {
            self.sessions_of_groups.remove(&group.address);
        }
        for (at, due) in [
            (controlling.until.take(), Due::Release(place)),
            (controlling.next_invites.take(), Due::Invites(place)),
        ] {
            if let Some(at) = at.filter(|_| !Guard::QueueIsDiscarded.is_off()) {
                self.due.remove(&(at, due));
            }
        }
    }

    /// The slot is free at once, whatever legs still have to end (digest 14.5).
    pub(super) fn vacate_initiator(&mut self, place: usize) {
        let controlling = &mut self.controlling[place];
        if std::mem::take(&mut controlling.holds_slot) && !Guard::SlotIsFreeAtOnce.is_off() {
            let address =
                controlling.record.as_ref().map(|record| record.inviter.clone()).unwrap_or_default();
            self.directory.vacate(&address);
        }
    }

    /// The session has lasted long enough.
    pub(in super::super) fn release_overdue(&mut self, place: usize) {
        self.release_for(place, 480);
    }

    /// A user is not served any more: nor is what the user controls.
    pub(in super::super) fn release_controlled_by(&mut self, address: &[u8]) {
        let is_of = |each: &Controlling| each.serves(address) && each.group.is_none();
        self.release_all(is_of, 403);
    }

    /// A group is not hosted any more.
    pub(in super::super) fn release_sessions_of(&mut self, group: &[u8]) {
        if let Some(place) = self.sessions_of_groups.get(group).copied() {
            self.release_for(place, 404);
        }
    }

    /// The server is to end.
    pub(in super::super) fn release_all_controlled(&mut self) {
        self.release_all(|_| true, releasing::STATUS);
    }

    fn release_all(&mut self, is_meant: impl Fn(&Controlling) -> bool, status: u16) {
        let meant = |(_, each): &(usize, &Controlling)| is_meant(each) && each.state != State::Releasing;
        let places: Vec<_> = self.controlling.iter().filter(meant).map(|(place, _)| place).collect();
        for place in places {
            self.release_for(place, status);
        }
    }

    fn release_for(&mut self, place: usize, status: u16) {
        if self.controlling.get(place).is_some_and(|each| each.state != State::Releasing) {
            let reason = (status == releasing::STATUS).then(releasing::reason);
            self.release(place, Side::Server, Ended { reason, ..Ended::here(End::Released, status) });
            self.close_controlling(place);
        }
    }

    /// Nothing remains once nobody rings or is connected any more; then the record is closed.
    pub(super) fn close_controlling(&mut self, place: usize) {
        let Some(controlling) = self.controlling.get(place) else { return };
        if controlling.legs > 0 {
            return;
        }
        if controlling.state != State::Releasing {
            return debug_assert!(false, "a session without legs has been released");
        }
        let Controlling { record, participants, .. } = self.controlling.remove(place);
        let Some(mut record) = record else { return };
        record.invitations = participants
            .into_iter()
            .filter(|(_, participant)| matches!(participant.entrance, Entrance::Invited { .. }))
            .filter_map(|(_, participant)| {
                let (ended_at, ended) = participant.ended?;
                let invited: Bytes = participant.address;
                let (end, status) = (ended.end, ended.status);
                Some(Invitation { invited, answered: participant.answered, ended: ended_at, end, status })
            })
            .collect();
        self.close(*record);
    }
}
