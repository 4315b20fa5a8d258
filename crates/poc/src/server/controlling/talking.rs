//! From when a participant speaks and hears until it does not: its part in the talk bursts, and in the media.
//!
//! Whoever takes no part any more has no talk burst and no place in the queue at that moment, whatever its leg still has to
//! end (cases 1, 7 and 9 of the founding list).

use bytes::Bytes;
use sip::Instant;
use sip::message::Uri;

use super::super::Server;
use super::super::media::{Agreed, Buffer, Fans, Owner};
use super::{Controlling, Participant, State};
use crate::address;
use crate::sdp::Media;
use crate::talk_burst::controlling::{Ending, Joining};

/// What an anonymous talker is called.
const ANONYMOUS_NAME: &str = "Anonymous";

/// Of those who have left a session, so many may not ask when they come again.
const PENALTIES_MAX: usize = 32;

/// What stands in NAME where no other name is known: some readers take a Taken without one for malformed, by the length of its
/// padding (user-plane digest 4.4).
fn name_of(address: &[u8]) -> Option<String> {
    Uri::parse(address).ok()?.user.map(|user| String::from_utf8_lossy(user).into_owned())
}

impl Controlling {
    /// The media of those who have any, by participant.
    pub(in super::super) fn media_legs(&self) -> impl Iterator<Item = (usize, usize)> {
        self.participants.iter().filter_map(|(key, participant)| Some((key, participant.media?)))
    }

    /// The media of one.
    pub(in super::super) fn media_leg(&self, key: usize) -> Option<usize> {
        self.participants.get(key)?.media
    }

    /// The PoC Address of one.
    pub(in super::super) fn address_of(&self, key: usize) -> Bytes {
        self.participants.get(key).map(|participant| participant.address.clone()).unwrap_or_default()
    }

    /// The PoC Group Identity; empty if the session is of no group.
    pub(in super::super) fn group_address(&self) -> Bytes {
        self.group.as_ref().map(|group| group.address.clone()).unwrap_or_default()
    }

    /// Whether somebody may still come who has been asked, or is to be.
    pub(in super::super) fn has_pending(&self) -> bool {
        self.pending > 0 || !self.queue.is_empty()
    }

    /// User-plane digest 6.3: T9 is of who has spoken too long, and leaving does not end it.
    fn keep_penalty(&mut self, now: Instant, key: usize) {
        self.penalties.retain(|(_, until)| now < *until);
        let Some(until) = self.bursts.penalty_of(key).filter(|until| now < *until) else { return };
        let address = self.address_of(key);
        // It may be here by another leg already.
        if let Some(other) = self.by_address.get(&address).filter(|other| **other != key) {
            self.bursts.penalise(*other, until);
        }
        if self.penalties.len() == PENALTIES_MAX {
            self.penalties.remove(0);
        }
        self.penalties.push((address, until));
    }

    /// Who comes may have been here before.
    fn remember_penalty(&mut self, key: usize) {
        let address = self.address_of(key);
        let until = self.penalties.iter().filter(|(whom, _)| *whom == address).map(|(_, until)| *until).max();
        until.into_iter().for_each(|until| self.bursts.penalise(key, until));
    }

    /// Whether enough take part.
    pub(in super::super) fn is_established(&self) -> bool {
        self.state == State::Established
    }
}

impl Server {
    /// Ports for the next participant of a session.
    pub(super) fn open_media(&mut self, place: usize, address: &Bytes) -> usize {
        let key = self.controlling[place].participants.vacant_key();
        self.media.legs.open(address, Owner::Participant { place, key })
    }

    /// The ports are free again.
    pub(super) fn close_media(&mut self, place: usize, key: usize) {
        let participant = self.controlling.get_mut(place).and_then(|each| each.participants.get_mut(key));
        if let Some(leg) = participant.and_then(|participant| participant.media.take()) {
            self.media.legs.close(leg);
        }
    }

    /// The participant hears and may ask for the talk burst, which it does at once if its INVITE made the session.
    pub(super) fn take_part(
        &mut self,
        place: usize,
        key: usize,
        media: &Media,
        payload_here: u8,
        asks: bool,
    ) {
        let now = self.now;
        let may_speak = self.may_speak(place, key);
        let Some(controlling) = self.controlling.get_mut(place) else { return };
        let Participant { address, name, is_anonymous, media: leg, .. } = &controlling.participants[key];
        let Some(leg) = *leg else { return };
        let (address, name) = match is_anonymous {
            true => (Bytes::from_static(address::ANONYMOUS_URI), Some(ANONYMOUS_NAME.to_owned())),
            false => (address.clone(), name.as_deref().map(str::to_owned).or_else(|| name_of(address))),
        };
        let joining = Joining {
            address,
            name,
            agreed: media.control.map(|_| media.talk_burst),
            may_speak,
            is_pre_empt_protected: false,
            asks,
            may_be_alone: asks && controlling.state == State::Unconfirmed,
        };
        if joining.may_be_alone {
            let t2_stop_talking = self.media.settings.t2_stop_talking;
            controlling.buffer = Some(Box::new(Buffer::new(key, t2_stop_talking)));
        }
        controlling.bursts.join(now, key, joining);
        controlling.remember_penalty(key);
        controlling.fans = Fans::default();
        let introduction = controlling.come_late(now, key);
        self.media.legs.connect(leg, Agreed::new(media, payload_here));
        if let Some(bytes) = introduction.and_then(|taken| self.media.write(taken)) {
            self.media.tell(leg, &bytes);
        }
        self.settle_bursts(place);
    }

    /// User-plane digest 4.5: who has no right to speak listens only.
    pub(super) fn may_speak(&self, place: usize, key: usize) -> bool {
        let controlling = &self.controlling[place];
        let Some(group) = &controlling.group else { return true };
        self.directory.is_among(group.speaks, group, Some(&controlling.participants[key].address))
    }

    /// Its part is over.
    pub(super) fn take_no_part(&mut self, place: usize, key: usize) {
        let now = self.now;
        let Some(controlling) = self.controlling.get_mut(place) else { return };
        controlling.keep_penalty(now, key);
        controlling.bursts.leave(now, key);
        controlling.fans = Fans::default();
        if let Some(buffer) = &mut controlling.buffer {
            buffer.close(key);
        }
        if let Some(leg) = controlling.participants.get(key).and_then(|participant| participant.media) {
            self.media.legs.disconnect(leg);
        }
        self.settle_bursts(place);
    }

    /// The participant has agreed on other media.
    pub(super) fn move_media(&mut self, place: usize, key: usize, media: &Media) {
        let Some(controlling) = self.controlling.get_mut(place) else { return };
        controlling.fans = Fans::default();
        if let Some(leg) = controlling.participants.get(key).and_then(|participant| participant.media) {
            self.media.legs.connect(leg, Agreed::new(media, media.codec.payload));
        }
    }

    /// Nobody comes any more who was awaited: who speaks without being heard must stop (user-plane digest 10.6).
    pub(super) fn await_nobody(&mut self, place: usize) {
        let now = self.now;
        self.discard_buffer(place);
        self.controlling[place].bursts.nobody_comes(now);
        self.settle_bursts(place);
    }

    /// The session is released: nobody speaks any more, and nobody is told anything (g50).
    pub(super) fn end_bursts(&mut self, place: usize) {
        self.discard_buffer(place);
        let controlling = &mut self.controlling[place];
        controlling.bursts.release();
        controlling.fans = Fans::default();
        for (_, leg) in controlling.media_legs() {
            self.media.legs.disconnect(leg);
        }
        self.end_take(place, Ending::Left);
        self.settle_bursts(place);
    }
}
