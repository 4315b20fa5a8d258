//! Speech that is kept for those who are still being asked (unconfirmed mode, user-plane digest 10.6).
//!
//! ```text
//! kept      1 2 3 4     5 6        numbered as they come, each with its time; a talk burst begins with 1, another with 5
//! Ben           1 2 3 4 5 6        joined late: each so much later than it came, and the pause between talk bursts makes good
//! Cara              1 2 3 4 5 6
//! ```
//!
//! The packets are kept once for a session, from the first one, while somebody may still come who is to hear it; then for as long as
//! one of those who came late has not heard them. What is told of the state of the session waits its turn among them.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use sip::Instant;

/// User-plane digest 10.6: speech that is kept in a session.
const SPAN_MAX: Duration = Duration::from_secs(30);

/// The same, in octets.
const OCTETS_MAX: usize = 512 * 1024;

/// What counts for a packet besides its octets, so that empty ones fill it too.
const PACKET_COST: usize = size_of::<Packet>();

/// What is kept for a session.
#[derive(Clone, Debug)]
pub(in super::super) struct Buffer {
    /// Who began the session: all that is kept from the first packet is of this participant.
    talker: usize,
    packets: VecDeque<Packet>,
    /// The number of the first of them.
    first: u64,
    octets: usize,
    span_max: Duration,
    /// Whether whoever joins now hears all from the first packet.
    is_awaiting: bool,
    /// Whether the last talk burst is over.
    is_between: bool,
    late: Vec<Late>,
}

#[derive(Clone, Debug)]
struct Packet {
    at: Instant,
    /// Whether a talk burst begins with it.
    begins: bool,
    bytes: Bytes,
    has_mode_request: bool,
}

/// Somebody who joined when others had spoken already.
#[derive(Clone, Debug)]
struct Late {
    key: usize,
    /// The number of the packet that is next.
    next: u64,
    /// When the packet before it was, or the participant joined.
    played_at: Instant,
    /// How much later than it came each packet of this talk burst is heard.
    lag: Duration,
    /// What is told once so many have been heard.
    held: VecDeque<(u64, Bytes)>,
}

/// What becomes of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Keep {
    /// It is kept, or nobody needs it.
    Kept,
    /// There is no room: who speaks must stop.
    Full,
}

/// What a participant hears now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Play {
    /// A packet of speech.
    Speech {
        /// As it came.
        bytes: Bytes,
        /// Whether it asks for a mode.
        has_mode_request: bool,
    },
    /// Talk burst control.
    Told(Bytes),
    /// Nothing more is kept for it: it hears what the others hear, when they hear it.
    CaughtUp,
}

impl Buffer {
    /// What this one says is kept; not more than T2 of it.
    pub(in super::super) fn new(talker: usize, t2_stop_talking: Duration) -> Self {
        Self {
            talker,
            packets: VecDeque::new(),
            first: 0,
            octets: 0,
            span_max: t2_stop_talking.min(SPAN_MAX),
            is_awaiting: true,
            is_between: true,
            late: Vec::new(),
        }
    }

    /// Packets that are kept.
    pub(in super::super) fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whose first words are kept.
    pub(in super::super) const fn talker(&self) -> usize {
        self.talker
    }

    /// Whether whoever joins now has to be told first who it was that spoke.
    pub(in super::super) const fn is_between(&self) -> bool {
        self.is_between
    }

    /// Whether nobody will hear any of it.
    pub(super) const fn is_over(&self) -> bool {
        !self.is_awaiting && self.late.is_empty()
    }

    /// Whether the participant hears later than the others.
    pub(super) fn is_late(&self, key: usize) -> bool {
        self.late.iter().any(|late| late.key == key)
    }

    /// A packet of who may speak.
    pub(super) fn keep(&mut self, now: Instant, bytes: &Bytes, has_mode_request: bool) -> Keep {
        if self.is_over() {
            return Keep::Kept;
        }
        let cost = bytes.len() + PACKET_COST;
        let is_too_long =
            self.packets.front().is_some_and(|first| now.saturating_since(first.at) >= self.span_max);
        // To drop the oldest would take the first words (user-plane digest 10.6).
        if is_too_long || self.octets + cost > OCTETS_MAX {
            return Keep::Full;
        }
        let begins = std::mem::take(&mut self.is_between);
        // Of its own: what came with it need not stay.
        let bytes = Bytes::copy_from_slice(bytes);
        self.packets.push_back(Packet { at: now, begins, bytes, has_mode_request });
        self.octets += cost;
        Keep::Kept
    }

    /// A talk burst is over.
    pub(super) const fn end_burst(&mut self) {
        self.is_between = true;
    }

    /// Whether more may come who hear all from the first packet. Once there are none there never will be: those who come after the
    /// first words of a session that stands hear it as it is.
    pub(super) fn look(&mut self, has_pending: bool, is_established: bool) {
        if !has_pending || is_established && self.is_between {
            self.is_awaiting = false;
        }
        self.trim();
    }

    /// A participant joins, and whether it is late.
    pub(in super::super) fn open(&mut self, now: Instant, key: usize) -> bool {
        let is_late = self.is_awaiting && !self.packets.is_empty();
        if is_late {
            let (next, lag) = (self.first, Duration::ZERO);
            self.late.push(Late { key, next, played_at: now, lag, held: VecDeque::new() });
        }
        is_late
    }

    /// The participant hears no more of it.
    pub(in super::super) fn close(&mut self, key: usize) {
        self.late.retain(|late| late.key != key);
        self.trim();
    }

    /// The state of the session is told; whether that waits until the participant has heard what came before.
    pub(super) fn hold(&mut self, key: usize, bytes: &Bytes, is_taken: bool) -> bool {
        let end = self.end();
        let Some(late) = self.late.iter_mut().find(|late| late.key == key) else { return false };
        // Who speaks now is who is heard.
        if is_taken && late.held.is_empty() && !self.is_between {
            return false;
        }
        // Of its own: what was written with it need not stay.
        let bytes = Bytes::copy_from_slice(bytes);
        match late.held.back_mut() {
            // No word between them: the later one is the state.
            Some((after, held)) if *after == end => *held = bytes,
            Some(_) | None => late.held.push_back((end, bytes)),
        }
        true
    }

    /// When somebody hears something.
    pub(super) fn due(&self) -> Option<Instant> {
        self.late.iter().filter_map(|late| self.due_of(late)).min()
    }

    /// What somebody hears next, by now.
    pub(super) fn poll(&mut self, now: Instant) -> Option<(usize, Play)> {
        let is_due = |late: &Late| self.due_of(late).is_some_and(|at| at <= now);
        let place = self.late.iter().position(is_due)?;
        let at = self.due_of(&self.late[place])?;
        let late = &mut self.late[place];
        let key = late.key;
        if let Some((_, told)) = late.held.pop_front_if(|(after, _)| *after <= late.next) {
            return Some((key, Play::Told(told)));
        }
        let Some(packet) = get(&self.packets, self.first, late.next) else {
            self.close(key);
            return Some((key, Play::CaughtUp));
        };
        late.next += 1;
        (late.played_at, late.lag) = (at, at.saturating_since(packet.at));
        let play = Play::Speech { bytes: packet.bytes.clone(), has_mode_request: packet.has_mode_request };
        self.trim();
        Some((key, play))
    }

    /// When the participant hears what is next for it. The pause before a talk burst is as short as it can be.
    fn due_of(&self, late: &Late) -> Option<Instant> {
        if late.held.front().is_some_and(|(after, _)| *after <= late.next) {
            return Some(late.played_at);
        }
        match get(&self.packets, self.first, late.next) {
            Some(packet) if packet.begins => Some(late.played_at.max(packet.at)),
            Some(packet) => Some(packet.at + late.lag),
            None => self.is_between.then_some(late.played_at),
        }
    }

    fn end(&self) -> u64 {
        self.first + self.packets.len() as u64
    }

    /// Forgets what nobody will hear any more.
    fn trim(&mut self) {
        if self.is_awaiting {
            return;
        }
        let next = self.late.iter().map(|late| late.next).min().unwrap_or_else(|| self.end());
        while self.first < next {
            let Some(packet) = self.packets.pop_front() else { return };
            self.octets -= packet.bytes.len() + PACKET_COST;
            self.first += 1;
        }
    }
}

/// The packet of that number, if it has come.
fn get(packets: &VecDeque<Packet>, first: u64, number: u64) -> Option<&Packet> {
    packets.get(usize::try_from(number.checked_sub(first)?).ok()?)
}
