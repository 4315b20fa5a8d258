//! What is kept of the first words, to those who come late (user-plane digest 10.6).

use bytes::Bytes;
use sip::Instant;

use super::super::controlling::Controlling;
use super::super::{Due, Server};
use super::buffer::{Keep, Play};
use super::forwarding::Fans;
use crate::talk_burst::Message;

/// When a message reaches who hears later than the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// An answer to what it has sent: at once.
    Now,
    /// Somebody speaks.
    Taken,
    /// The state of the session: once it has heard what came before.
    State,
    /// It speaks itself, so it listens no more.
    Speaks,
}

impl Turn {
    pub(super) const fn of(message: &Message) -> Self {
        match message {
            Message::Taken(_) => Self::Taken,
            Message::Idle => Self::State,
            Message::Granted { .. } => Self::Speaks,
            Message::Request { .. }
            | Message::Deny { .. }
            | Message::Release { .. }
            | Message::Revoke(_)
            | Message::QueueStatusRequest
            | Message::QueueStatus { .. }
            | Message::Acknowledgement(_)
            | Message::Connect(_)
            | Message::Disconnect => Self::Now,
        }
    }
}

impl Controlling {
    /// A participant joins after something has been said: what it is told first, if that is not what is told now.
    pub(in super::super) fn come_late(&mut self, now: Instant, key: usize) -> Option<Message> {
        let buffer = self.buffer.as_mut()?;
        if !buffer.open(now, key) || !buffer.is_between() {
            return None;
        }
        self.bursts.taken_by(buffer.talker())
    }

    /// Whether a message waits until the participant has heard what came before.
    pub(super) fn is_to_wait(&mut self, key: usize, turn: Turn, bytes: &Bytes) -> bool {
        let Some(buffer) = &mut self.buffer else { return false };
        match turn {
            Turn::Now => false,
            Turn::Taken => buffer.hold(key, bytes, true),
            Turn::State => buffer.hold(key, bytes, false),
            Turn::Speaks => {
                if buffer.is_late(key) {
                    buffer.close(key);
                    self.fans = Fans::default();
                }
                false
            }
        }
    }
}

impl Server {
    /// A packet of who may speak, for those who come late.
    pub(super) fn keep_speech(&mut self, place: usize, bytes: &Bytes, has_mode_request: bool) {
        let now = self.now;
        let controlling = &mut self.controlling[place];
        let Some(buffer) = &mut controlling.buffer else { return };
        match buffer.keep(now, bytes, has_mode_request) {
            Keep::Kept => {}
            Keep::Full => controlling.bursts.revoke_too_long(now),
        }
    }

    /// Plays what is to be heard by now, and says when it goes on.
    pub(super) fn settle_buffer(&mut self, place: usize) {
        let now = self.now;
        let Some(controlling) = self.controlling.get_mut(place) else { return };
        if controlling.buffer.is_none() {
            return;
        }
        let (has_pending, is_established) = (controlling.has_pending(), controlling.is_established());
        if let Some(buffer) = &mut controlling.buffer {
            buffer.look(has_pending, is_established);
        }
        while let Some((key, play)) =
            self.controlling[place].buffer.as_mut().and_then(|buffer| buffer.poll(now))
        {
            match play {
                Play::Speech { bytes, has_mode_request } => self.play(place, key, &bytes, has_mode_request),
                Play::Told(bytes) => {
                    if let Some(leg) = self.controlling[place].media_leg(key) {
                        self.media.tell(leg, &bytes);
                    }
                }
                Play::CaughtUp => self.forget_fans(place),
            }
        }
        let buffer = &mut self.controlling[place].buffer;
        if buffer.as_ref().is_some_and(|buffer| buffer.is_over()) {
            *buffer = None;
            self.settle_takes(place);
        }
        let buffer = &self.controlling[place].buffer;
        let due = buffer.as_ref().and_then(|buffer| buffer.due());
        self.expect_playing(place, due);
    }

    /// Nobody will hear what is kept.
    pub(in super::super) fn discard_buffer(&mut self, place: usize) {
        self.controlling[place].buffer = None;
        self.settle_takes(place);
        self.expect_playing(place, None);
    }

    fn expect_playing(&mut self, place: usize, due: Option<Instant>) {
        let before = std::mem::replace(&mut self.controlling[place].buffer_due, due);
        if before == due {
            return;
        }
        before.map(|at| self.due.remove(&(at, Due::Playing(place))));
        due.map(|at| self.due.insert((at, Due::Playing(place))));
    }

    /// Somebody may hear something of what is kept.
    pub(in super::super) fn playing_due(&mut self, place: usize) {
        if let Some(controlling) = self.controlling.get_mut(place) {
            controlling.buffer_due = None;
        }
        self.settle_buffer(place);
    }

    /// A packet to one participant.
    fn play(&mut self, place: usize, key: usize, bytes: &Bytes, has_mode_request: bool) {
        let controlling = &self.controlling[place];
        let is_group = controlling.media_legs().count() > 2;
        let Some(leg) = controlling.media_leg(key) else { return };
        let agreed = self.media.legs.get(leg).and_then(|media| media.agreed.as_ref());
        if agreed.is_some_and(|agreed| agreed.hears) {
            self.media.copy_to(leg, bytes, has_mode_request && is_group);
            self.note_heard(place);
        }
    }
}
