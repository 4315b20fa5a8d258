//! Where a worker shows what it does. While nobody looks that is a few additions for each message.

use std::sync::Arc;

use bytes::Bytes;
use poc::server::Standing;
use sip::transport::{Path, Transmit};
use sip::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

use super::lens::{Lens, Party, Seen};
use super::meter::{Kind, Meter};
use crate::clock::{Clock, wall};
use crate::serve::shard::{Element, Event, Hop, Input, Shard};

/// Messages of one turn whose time is measured; those behind them wait as long.
const MEASURED_MAX: usize = 256;

/// Participants of a session that are shown.
const ATTENDING_MAX: usize = 100;

/// What somebody who looks wants of a shard: answered between two turns.
pub(crate) enum Question {
    /// Whether it lives.
    Alive(oneshot::Sender<()>),
    /// What it has.
    Census(oneshot::Sender<ShardCensus>),
    /// Which sessions it has, and how many in all.
    Sessions { limit: usize, with_participations: bool, reply: oneshot::Sender<(Vec<Standing>, usize)> },
    /// What concerns a user from now on.
    Trace { user: Vec<u8>, to: mpsc::Sender<Seen> },
    /// Keep the last messages, of so many octets.
    Keep(usize),
    /// The messages that are kept; `None` if none are to be.
    Kept(oneshot::Sender<Option<Vec<Seen>>>),
}

/// What a shard has.
pub(crate) struct ShardCensus {
    pub(crate) core: sipcore::Census,
    pub(crate) core_counters: sipcore::Counters,
    pub(crate) server: poc::server::Census,
    pub(crate) server_counters: poc::server::Counters,
    pub(crate) media: poc::server::MediaCounters,
    pub(crate) below: sip::Counters,
    /// How late the earliest deadline is.
    pub(crate) lag: Duration,
    /// Messages that wait for this shard.
    pub(crate) handed: usize,
    /// Events of all shards that wait for the clerk.
    pub(crate) events: usize,
    /// Open connections.
    pub(crate) connections: usize,
    /// Octets of the messages that are kept.
    pub(crate) kept: usize,
}

/// How long the queues of a worker are.
pub(crate) struct Depths {
    pub(crate) handed: usize,
    pub(crate) events: usize,
    pub(crate) connections: usize,
}

/// Where a worker shows what it does.
pub(crate) struct Tap {
    clock: Clock,
    meter: Arc<Meter>,
    /// The time since the Unix epoch at which the clock began.
    epoch: Duration,
    /// Where the core is, for those who see the wildcard address.
    advertised: std::net::SocketAddr,
    /// What was received in this turn, and when.
    turn: Vec<(Kind, Instant)>,
    /// When the first CANCEL of this turn arrived, here or at the shard that has handed it over.
    cancelled: Option<Instant>,
    lens: Option<Box<Lens>>,
}

impl Tap {
    pub(crate) fn new(clock: Clock, meter: Arc<Meter>, advertised: std::net::SocketAddr) -> Self {
        let epoch = wall().saturating_sub(clock.now().since_start());
        Self {
            clock,
            meter,
            epoch,
            advertised,
            turn: Vec::with_capacity(MEASURED_MAX),
            cancelled: None,
            lens: None,
        }
    }

    /// Something goes into the shard.
    pub(crate) fn received(&mut self, now: Instant, input: &Input) {
        let Input::Message { path, bytes } = input else { return };
        let kind = Kind::of(bytes);
        self.meter.note_received(kind);
        if self.turn.len() < MEASURED_MAX {
            self.turn.push((kind, now));
        }
        if kind == Kind::CANCEL {
            self.cancelled.get_or_insert(now);
        }
        if self.lens.is_some() {
            self.show(now, path, bytes, (Party::Network, Party::Core));
        }
    }

    /// A message of another shard goes into this one; `since`: when the CANCEL that it belongs to arrived there.
    pub(crate) fn handed(&mut self, since: Option<Instant>) {
        self.cancelled = self.cancelled.or(since);
    }

    /// What the elements of the shard have said to each other.
    pub(crate) fn inside(&mut self, now: Instant, shard: &mut Shard) {
        if self.lens.is_none() {
            return;
        }
        for Hop { to, path, bytes, .. } in shard.take_watched() {
            let parties = match to {
                Element::Core => (Party::Server, Party::Core),
                Element::Server => (Party::Core, Party::Server),
            };
            self.show(now, &path, &bytes, parties);
        }
        if self.lens.as_ref().is_some_and(|lens| lens.is_idle()) {
            self.lens = None;
            shard.watch(false);
        }
    }

    /// A message leaves.
    pub(crate) fn sent(&mut self, transmit: &Transmit) {
        let kind = Kind::of(&transmit.bytes);
        self.meter.note_sent(kind);
        if let Some(since) = self.cancelled {
            let span = || self.clock.now().saturating_since(since);
            if kind == Kind::CANCEL {
                self.meter.note_cancel_forwarded(span());
            } else if is_ok_to_cancel(&transmit.bytes) {
                self.meter.note_cancel_answered(span());
            }
        }
        if self.lens.is_some() {
            let Path { local, remote, .. } = transmit.path;
            let path = Path { local: remote, remote: local, ..transmit.path };
            self.show(self.clock.now(), &path, &transmit.bytes, (Party::Core, Party::Network));
        }
    }

    /// A message is handed to another shard. What comes back goes with it: since when it is under way, if it belongs to a
    /// CANCEL.
    pub(crate) fn passed(&self, hop: &Hop) -> Option<Instant> {
        self.cancelled.filter(|_| Kind::of(&hop.bytes) == Kind::CANCEL)
    }

    /// The shard has something to tell.
    pub(crate) fn told(&self, event: &Event) {
        match event {
            Event::Closed(record) => self.meter.note_record(record),
            Event::BindingsChanged { .. } | Event::Settled(_) => {}
        }
    }

    /// A Talk Burst Granted has left, because of what came at `since`.
    pub(crate) fn granted(&self, since: Instant) {
        self.meter.note_granted(self.clock.now().saturating_since(since));
    }

    /// So many datagrams of media could not leave.
    pub(crate) fn lost(&self, count: usize) {
        if count > 0 {
            self.meter.note_lost(count);
        }
    }

    /// Everything has left.
    pub(crate) fn settled(&mut self) {
        self.cancelled = None;
        if self.turn.is_empty() {
            return;
        }
        let now = self.clock.now();
        for (kind, since) in self.turn.drain(..) {
            self.meter.note_handled(kind, now.saturating_since(since));
        }
    }

    /// Answers somebody who looks.
    pub(crate) fn answer(&mut self, question: Question, shard: &mut Shard, depths: &Depths) {
        // Who has asked may have gone.
        match question {
            Question::Alive(reply) => drop(reply.send(())),
            Question::Census(reply) => {
                let mut census = shard.census(self.clock.now());
                (census.handed, census.events, census.connections) =
                    (depths.handed, depths.events, depths.connections);
                census.kept = self.lens.as_ref().map_or(0, |lens| lens.octets());
                drop(reply.send(census));
            }
            Question::Sessions { limit, with_participations, reply } => {
                drop(reply.send(shard.standing(limit, ATTENDING_MAX, with_participations)));
            }
            Question::Trace { user, to } => {
                self.lens.get_or_insert_default().trace(user, to);
                shard.watch(true);
            }
            Question::Keep(octets) => {
                self.lens.get_or_insert_default().keep(octets);
                shard.watch(true);
            }
            Question::Kept(reply) => drop(reply.send(self.lens.as_ref().and_then(|lens| lens.kept()))),
        }
    }

    /// `path` is the receiver's.
    fn show(&mut self, now: Instant, path: &Path, bytes: &Bytes, (from, to): (Party, Party)) {
        let Some(lens) = &mut self.lens else { return };
        let specific = |address: std::net::SocketAddr| {
            let ip = if address.ip().is_unspecified() { self.advertised.ip() } else { address.ip() };
            std::net::SocketAddr::new(ip, address.port())
        };
        let seen = Seen {
            at: self.epoch + now.since_start(),
            transport: path.transport,
            from: (from, specific(path.remote)),
            to: (to, specific(path.local)),
            bytes: bytes.clone(),
        };
        for _ in 0..lens.see(&seen) {
            self.meter.note_unseen();
        }
    }
}

/// Whether it is a 200 whose CSeq is that of a CANCEL.
fn is_ok_to_cancel(bytes: &Bytes) -> bool {
    bytes.starts_with(b"SIP/2.0 200 ")
        && sip::Message::parse(bytes.clone())
            .is_ok_and(|message| message.cseq().is_ok_and(|cseq| cseq.method == b"CANCEL"))
}
