//! What a PoC Session makes of what its participants say: talk bursts to the machine, speech past its gate to the others.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use sip::Instant;

use super::super::{Due, Server};
use super::pace::{Numbers, Pace};
use super::playing::Turn;
use super::{MediaPort, MediaTransmit, Owner, Receivers};
use crate::media::Stream;
use crate::talk_burst::controlling::{Gate, Output, To, Told};
use crate::talk_burst::{self, Message};

/// Where what is for many goes: worked out once it is wanted, and anew after somebody has come, gone or moved.
#[derive(Clone, Default, Debug)]
pub(in super::super) struct Fans {
    speech: Option<Fan>,
    control: Option<Box<[Audience]>>,
}

/// To whom the speech of one talker goes.
#[derive(Clone, Debug)]
struct Fan {
    talker: usize,
    rows: Vec<Row>,
}

/// Those to whom talk burst control goes from one port, in order.
#[derive(Clone, Debug)]
struct Audience {
    pair: u16,
    keys: Box<[usize]>,
    to: Arc<[SocketAddr]>,
}

/// Those who are told from one port, with one payload number.
#[derive(Clone, Debug)]
struct Row {
    pair: u16,
    payload: u8,
    to: Arc<[SocketAddr]>,
}

impl Server {
    /// A TBCP message of a participant.
    pub(super) fn hear_burst_control(&mut self, leg: usize, packet: talk_burst::Packet) {
        let Some(of) = self.media.legs.get(leg).map(|media| media.of) else { return };
        match of {
            Owner::Participant { place, key } => {
                let Some(controlling) = self.controlling.get_mut(place) else { return };
                controlling.bursts.lend_room(std::mem::take(&mut self.media.outputs));
                controlling.bursts.handle_message(self.now, key, packet.ssrc, &packet.message);
                self.settle_bursts(place);
            }
            // Passed on as it is, or of no session.
            Owner::Client(_) | Owner::Beyond(_) => {}
        }
    }

    /// A packet of speech of a participant.
    pub(super) fn forward(&mut self, leg: usize, numbers: Numbers, bytes: &Bytes, has_mode_request: bool) {
        let Some((of, clock)) =
            self.media.legs.get(leg).and_then(|media| Some((media.of, media.agreed.as_ref()?.clock)))
        else {
            return;
        };
        match of {
            Owner::Participant { place, key } => {
                let now = self.now;
                let Some(controlling) = self.controlling.get_mut(place) else { return };
                let is_of_holder = controlling.bursts.holder() == Some(key);
                if is_of_holder && controlling.pace.is_left_by(now, clock, numbers) {
                    self.media.counters.jumped += 1;
                    return;
                }
                controlling.bursts.lend_room(std::mem::take(&mut self.media.outputs));
                match controlling.bursts.handle_speech(now, key, numbers.ssrc, numbers.sequence) {
                    Gate::Forward => {
                        controlling.pace.hear(now, numbers);
                        self.pass_to_others(place, key, bytes, has_mode_request);
                    }
                    Gate::Drop => self.media.counters.gated += 1,
                }
                self.settle_bursts(place);
            }
            Owner::Client(_) | Owner::Beyond(_) => {
                if let Some(other) = self.other_side_of(leg) {
                    self.relay_speech(other, bytes);
                }
            }
        }
    }

    /// A copy to each of the others.
    fn pass_to_others(&mut self, place: usize, talker: usize, bytes: &Bytes, has_mode_request: bool) {
        self.media.counters.speech += 1;
        self.record_speech(place, talker, bytes);
        self.keep_speech(place, bytes, has_mode_request);
        if self.controlling[place].fans.speech.as_ref().is_none_or(|fan| fan.talker != talker) {
            let fan = self.fan_of(place, talker);
            self.controlling[place].fans.speech = Some(fan);
        }
        let Some(fan) = &self.controlling[place].fans.speech else { return };
        let is_group = fan.rows.iter().map(|row| row.to.len()).sum::<usize>() > 1;
        for Row { pair, payload, to } in &fan.rows {
            self.media.copy((*pair, *payload, to), bytes, has_mode_request && is_group);
        }
        if !fan.rows.is_empty() {
            self.note_heard(place);
        }
    }

    fn fan_of(&self, place: usize, talker: usize) -> Fan {
        let controlling = &self.controlling[place];
        let is_late = |key| controlling.buffer.as_ref().is_some_and(|buffer| buffer.is_late(key));
        let mut listeners: Vec<_> = controlling
            .media_legs()
            .filter(|(key, _)| *key != talker && !is_late(*key))
            .filter_map(|(_, leg)| {
                let media = self.media.legs.get(leg)?;
                let agreed = media.agreed.as_ref().filter(|agreed| agreed.hears)?;
                Some((media.pair, agreed.payload, agreed.speech))
            })
            .collect();
        listeners.sort_unstable();
        let rows = listeners.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)).map(|alike| Row {
            pair: alike[0].0,
            payload: alike[0].1,
            to: alike.iter().map(|(.., remote)| *remote).collect(),
        });
        Fan { talker, rows: rows.collect() }
    }

    /// Somebody came, went or moved.
    pub(in super::super) fn forget_fans(&mut self, place: usize) {
        if let Some(controlling) = self.controlling.get_mut(place) {
            controlling.fans = Fans::default();
        }
    }

    /// Does what the machine of a session has come to.
    pub(in super::super) fn settle_bursts(&mut self, place: usize) {
        let Some(controlling) = self.controlling.get_mut(place) else { return };
        let (mut is_inactive, mut ended) = (false, None);
        let mut outputs = controlling.bursts.take_outputs();
        while let Some(output) = outputs.pop_front() {
            match output {
                Output::Send { to, message } => self.send_message(place, &to, message),
                Output::Told(told) => {
                    let Some(controlling) = self.controlling.get_mut(place) else { return };
                    is_inactive |= told == Told::Inactive;
                    if let Told::Ended { ending, .. } = told {
                        controlling.pace = Pace::default();
                        if let Some(buffer) = &mut controlling.buffer {
                            buffer.end_burst();
                        }
                        ended = Some(ending);
                    }
                    self.media.counters.note(told);
                }
            }
        }
        if self.media.outputs.capacity() == 0 {
            self.media.outputs = outputs;
        }
        let due = self.controlling[place].bursts.poll_timeout();
        if let Some(ending) = ended {
            self.end_take(place, ending);
        }
        self.expect_bursts(place, due);
        self.settle_buffer(place);
        if is_inactive && self.config.release_inactive {
            self.release_overdue(place);
        }
    }

    /// Sends a message of the machine of a session.
    fn send_message(&mut self, place: usize, to: &To, message: Message) {
        let turn = Turn::of(&message);
        let Some(bytes) = self.media.write(message) else { return };
        let controlling = &self.controlling[place];
        match to {
            To::One(key) => self.send_in_turn(place, *key, turn, &bytes),
            To::Each(keys) => keys.iter().for_each(|key| self.send_in_turn(place, *key, turn, &bytes)),
            To::All | To::Others(_) if controlling.buffer.is_some() => {
                let keys: Vec<_> = controlling.bursts.meant(to).collect();
                keys.into_iter().for_each(|key| self.send_in_turn(place, key, turn, &bytes));
            }
            To::All => self.announce(place, None, &bytes),
            To::Others(talker) => self.announce(place, Some(*talker), &bytes),
        }
    }

    fn send_in_turn(&mut self, place: usize, key: usize, turn: Turn, bytes: &Bytes) {
        let controlling = &mut self.controlling[place];
        let Some(leg) = controlling.media_leg(key) else { return };
        if !controlling.is_to_wait(key, turn, bytes) {
            self.media.tell(leg, bytes);
        }
    }

    /// The same octets to all who are told anything, or all but one.
    fn announce(&mut self, place: usize, but: Option<usize>, bytes: &Bytes) {
        if self.controlling[place].fans.control.is_none() {
            let told = self.told_of(place);
            self.controlling[place].fans.control = Some(told);
        }
        for Audience { pair, keys, to } in self.controlling[place].fans.control.iter().flatten() {
            let but = but.and_then(|but| keys.binary_search(&but).ok());
            let to = Receivers { all: Arc::clone(to), but };
            if !to.is_empty() {
                self.media.counters.told += to.len() as u64;
                let from = MediaPort { pair: *pair, stream: Stream::Control };
                self.media.outgoing.push_back(MediaTransmit::Announcement { from, to, bytes: bytes.clone() });
            }
        }
    }

    fn told_of(&self, place: usize) -> Box<[Audience]> {
        let controlling = &self.controlling[place];
        let place_of = |key| {
            let media = self.media.legs.get(controlling.media_leg(key)?)?;
            Some((media.pair, key, media.agreed.as_ref()?.control?))
        };
        let mut all: Vec<_> = controlling.bursts.meant(&To::All).filter_map(place_of).collect();
        all.sort_unstable();
        let rows = all.chunk_by(|one, other| one.0 == other.0).map(|alike| Audience {
            pair: alike[0].0,
            keys: alike.iter().map(|(_, key, _)| *key).collect(),
            to: alike.iter().map(|(.., remote)| *remote).collect(),
        });
        rows.collect()
    }

    /// Speech makes what is due later and later: it is looked at again at the first moment that was named, and not moved with each
    /// packet.
    fn expect_bursts(&mut self, place: usize, due: Option<Instant>) {
        let controlling = &mut self.controlling[place];
        let is_expected = match (controlling.bursts_due, due) {
            (Some(expected), Some(due)) => expected <= due,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if is_expected {
            return;
        }
        let before = std::mem::replace(&mut controlling.bursts_due, due);
        before.map(|at| self.due.remove(&(at, Due::Bursts(place))));
        due.map(|at| self.due.insert((at, Due::Bursts(place))));
    }

    /// Something may be due in the talk bursts of a session.
    pub(in super::super) fn bursts_due(&mut self, place: usize) {
        let now = self.now;
        let Some(controlling) = self.controlling.get_mut(place) else { return };
        controlling.bursts_due = None;
        if controlling.bursts.poll_timeout().is_some_and(|at| at <= now) {
            controlling.bursts.lend_room(std::mem::take(&mut self.media.outputs));
            controlling.bursts.handle_timeout(now);
        }
        self.settle_bursts(place);
    }
}
