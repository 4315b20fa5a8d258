//! What a PoC Session makes of what its participants say: talk bursts to the machine, speech past its gate to the others.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use sip::Instant;

use super::super::{Due, Server};
use super::Owner;
use super::pace::{Numbers, Pace};
use super::playing::Turn;
use crate::talk_burst;
use crate::talk_burst::controlling::{Gate, Output, To, Told};

/// To whom the speech of one talker goes: worked out when the talker begins, or somebody comes, goes or moves.
#[derive(Clone, Debug)]
pub(in super::super) struct Fan {
    talker: usize,
    rows: Vec<Row>,
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
        if self.controlling[place].fan.as_ref().is_none_or(|fan| fan.talker != talker) {
            let fan = self.fan_of(place, talker);
            self.controlling[place].fan = Some(fan);
        }
        let Some(fan) = &self.controlling[place].fan else { return };
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
    pub(in super::super) fn forget_fan(&mut self, place: usize) {
        if let Some(controlling) = self.controlling.get_mut(place) {
            controlling.fan = None;
        }
    }

    /// Does what the machine of a session has come to.
    pub(in super::super) fn settle_bursts(&mut self, place: usize) {
        let Some(controlling) = self.controlling.get_mut(place) else { return };
        let (mut is_inactive, mut ended) = (false, None);
        while let Some(output) = controlling.bursts.poll_output() {
            match output {
                Output::Send { to, message } => {
                    let turn = Turn::of(&message);
                    let Some(bytes) = self.media.write(message) else { continue };
                    let keys = match &to {
                        To::One(key) => std::slice::from_ref(key),
                        To::Each(keys) => keys,
                    };
                    for key in keys {
                        let Some(leg) = controlling.media_leg(*key) else { continue };
                        if !controlling.is_to_wait(*key, turn, &bytes) {
                            self.media.tell(leg, &bytes);
                        }
                    }
                }
                Output::Told(told) => {
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
        let due = controlling.bursts.poll_timeout();
        if let Some(ending) = ended {
            self.end_take(place, ending);
        }
        self.expect_bursts(place, due);
        self.settle_buffer(place);
        if is_inactive && self.config.release_inactive {
            self.release_overdue(place);
        }
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
            controlling.bursts.handle_timeout(now);
        }
        self.settle_bursts(place);
    }
}
