//! Lanes of a network: what chance does to the datagrams of one does not depend on those of others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use sip::transport::Transmit;
use sip::{Duration, Instant};

use crate::chance::Chance;
use crate::ladder::Fate;
use crate::network::Faults;

/// A lane.
#[derive(Clone, Debug)]
pub struct Lane {
    faults: Faults,
    chance: Chance,
    sent: u64,
    /// Datagrams that nothing befalls, by number: from 1 on.
    spared: BTreeSet<u64>,
    /// Those that something befell.
    befallen: Vec<u64>,
    /// When the last datagram arrives, and when the last arrives of each way.
    last: Instant,
    last_of: BTreeMap<(SocketAddr, SocketAddr), Instant>,
    counted: Counted,
}

/// How many datagrams were sent, and what befell them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counted {
    /// All.
    pub sent: u64,
    /// Those that were lost.
    pub lost: u64,
    /// Those that arrived twice.
    pub doubled: u64,
    /// Those that overtook another one on the same way.
    pub overtook: u64,
}

impl Counted {
    /// Those of another lane too.
    pub fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.overtook += other.overtook;
    }
}

impl Lane {
    /// A lane that nobody has used.
    pub fn new(faults: Faults, chance: Chance) -> Self {
        Self {
            faults,
            chance,
            sent: 0,
            spared: BTreeSet::new(),
            befallen: Vec::new(),
            last: Instant::START,
            last_of: BTreeMap::new(),
            counted: Counted::default(),
        }
    }

    /// Nothing befalls these, by number.
    pub fn spare(&mut self, spared: BTreeSet<u64>) {
        self.spared = spared;
    }

    /// The numbers of those that something befell: lost, doubled, or later than the shortest way takes.
    pub fn befallen(&self) -> &[u64] {
        &self.befallen
    }

    /// When the last of what was sent arrives.
    pub fn last(&self) -> Instant {
        self.last
    }

    /// How many there were, and what befell them.
    pub fn counted(&self) -> Counted {
        self.counted
    }

    /// When each copy of a datagram arrives, if it does, and what is to be said of it.
    pub(crate) fn send(&mut self, now: Instant, datagram: &Transmit) -> ([Option<Duration>; 2], Fate) {
        self.sent += 1;
        self.counted.sent += 1;
        // As many draws in each case: what befalls one does not change what befalls the next.
        let is_lost = self.chance.happens(self.faults.loss);
        let is_doubled = self.chance.happens(self.faults.duplication);
        let later = [(); 2].map(|()| self.chance.span(self.faults.jitter));
        let is_spared = self.spared.contains(&self.sent);
        let spans = match (is_spared, is_lost, is_doubled) {
            (true, ..) => [Some(self.faults.delay), None],
            (false, true, _) => [None, None],
            (false, false, true) => later.map(|later| Some(self.faults.delay + later)),
            (false, false, false) => [Some(self.faults.delay + later[0]), None],
        };
        if spans != [Some(self.faults.delay), None] {
            self.befallen.push(self.sent);
        }
        let way = (datagram.path.local, datagram.path.remote);
        for span in spans.into_iter().flatten() {
            self.note(way, now + span);
        }
        let fate = match spans {
            [None, _] => Fate::Lost,
            [Some(span), None] => Fate::Arrives(span),
            [Some(span), Some(_)] => Fate::Doubled(span),
        };
        self.counted.lost += u64::from(fate == Fate::Lost);
        self.counted.doubled += u64::from(matches!(fate, Fate::Doubled(_)));
        (spans, fate)
    }

    fn note(&mut self, way: (SocketAddr, SocketAddr), at: Instant) {
        self.last = self.last.max(at);
        let before = self.last_of.entry(way).or_insert(at);
        self.counted.overtook += u64::from(*before > at);
        *before = at.max(*before);
    }
}
