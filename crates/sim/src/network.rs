//! A network that loses, doubles, delays and reorders datagrams, by a seed and by a script.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use sip::transport::Transmit;
use sip::{Duration, Instant, Message};

use crate::chance::Chance;
use crate::ladder::{Fate, label};
use crate::lane::Lane;

/// How bad the network is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Faults {
    /// Datagrams of a thousand that are lost.
    pub loss: u64,
    /// Datagrams of a thousand that arrive twice.
    pub duplication: u64,
    /// The shortest time on the way.
    pub delay: Duration,
    /// What chance adds to it at most. More than the gap between two datagrams: they overtake each other.
    pub jitter: Duration,
}

impl Faults {
    /// A good network: a millisecond, always.
    pub const NONE: Self =
        Self { loss: 0, duplication: 0, delay: Duration::from_millis(1), jitter: Duration::ZERO };

    /// A mix drawn by chance: often good in one respect and bad in another.
    pub fn draw(chance: &mut Chance) -> Self {
        let ms = Duration::from_millis;
        Self {
            loss: chance.pick(&[0, 0, 50, 200, 400, 900]),
            duplication: chance.pick(&[0, 0, 100, 300]),
            delay: ms(chance.pick(&[1, 20, 150])),
            jitter: ms(chance.pick(&[0, 5, 100, 600, 3000])),
        }
    }
}

/// What a script does to a datagram, whatever chance would have done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// It is lost.
    Lose,
    /// It arrives twice.
    Double,
    /// It takes so much longer: what is sent behind it overtakes it.
    Delay(Duration),
    /// It waits until [`Network::let_go`].
    Hold,
    /// The next one on the same way overtakes it, and it arrives right behind that.
    Swap,
}

/// Which datagrams a script means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Which {
    /// That one of all that are sent, from 1 on.
    Number(u64),
    /// That one, from 1 on, of those which this address sends from now on and which a ladder labels so.
    Nth(SocketAddr, &'static str, u64),
    /// All that this address sends and a ladder labels so.
    Every(SocketAddr, &'static str),
    /// All that this address sends from the first moment on and before the second.
    Span(SocketAddr, Instant, Instant),
}

/// Datagrams on their way.
#[derive(Clone, Debug)]
pub struct Network {
    faults: Faults,
    chance: Chance,
    /// By arrival, then by order of entry.
    flying: BTreeMap<(Instant, u64), Transmit>,
    entered: u64,
    held: Vec<Transmit>,
    /// What waits to be overtaken.
    overtaken: Vec<Transmit>,
    script: Vec<(Which, Deed)>,
    sent: u64,
    /// By [`Network::send_by`].
    lanes: Vec<Lane>,
}

impl Network {
    /// An empty network.
    pub fn new(faults: Faults, chance: Chance) -> Self {
        Self {
            faults,
            chance,
            flying: BTreeMap::new(),
            entered: 0,
            held: Vec::new(),
            overtaken: Vec::new(),
            script: Vec::new(),
            sent: 0,
            lanes: Vec::new(),
        }
    }

    /// Writes a line of the script. The first line that means a datagram decides about it.
    pub fn on(&mut self, which: Which, deed: Deed) {
        self.script.push((which, deed));
    }

    /// From now on the network is as good or bad as this.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// A lane more. Its number.
    pub fn add_lane(&mut self, lane: Lane) -> usize {
        self.lanes.push(lane);
        self.lanes.len() - 1
    }

    /// The lane of this number.
    pub fn lane(&mut self, number: usize) -> &mut Lane {
        &mut self.lanes[number]
    }

    /// Takes a datagram by a lane, whatever the script says, and tells what becomes of it.
    pub fn send_by(&mut self, lane: usize, now: Instant, datagram: &Transmit) -> Fate {
        self.sent += 1;
        let (spans, fate) = self.lanes[lane].send(now, datagram);
        for span in spans.into_iter().flatten() {
            self.entered += 1;
            self.flying.insert((now + span, self.entered), datagram.clone());
        }
        fate
    }

    /// How many datagrams were sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Takes a datagram, and tells what becomes of it.
    pub fn send(&mut self, now: Instant, datagram: &Transmit) -> Fate {
        self.sent += 1;
        let mut later = Duration::ZERO;
        let copies = match self.deed(now, datagram) {
            Some(Deed::Lose) => 0,
            Some(Deed::Double) => 2,
            Some(Deed::Delay(span)) => {
                later = span;
                1
            }
            Some(Deed::Hold) => {
                self.held.push(datagram.clone());
                return Fate::Held;
            }
            Some(Deed::Swap) => {
                self.overtaken.push(datagram.clone());
                return Fate::Held;
            }
            None if self.chance.happens(self.faults.loss) => 0,
            None => 1 + u64::from(self.chance.happens(self.faults.duplication)),
        };
        let mut spans = (0..copies)
            .map(|_| self.enter(now + later, datagram.clone()) + later)
            .collect::<Vec<_>>()
            .into_iter();
        let way = |each: &Transmit| (each.path.local.ip(), each.path.remote.ip());
        for overtaken in self.overtaken.extract_if(.., |each| way(each) == way(datagram)).collect::<Vec<_>>()
        {
            self.enter(now + later, overtaken);
        }
        match (spans.next(), spans.next()) {
            (None, _) => Fate::Lost,
            (Some(span), None) => Fate::Arrives(span),
            (Some(span), Some(_)) => Fate::Doubled(span),
        }
    }

    /// What is held back.
    pub fn held(&self) -> &[Transmit] {
        &self.held
    }

    /// Lets go what was held: it arrives as if it were sent now.
    pub fn let_go(&mut self, now: Instant) -> Vec<Transmit> {
        let held = std::mem::take(&mut self.held);
        for datagram in &held {
            self.enter(now, datagram.clone());
        }
        held
    }

    /// When the next datagram arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.flying.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next datagram that has arrived by `now`.
    pub fn arrived(&mut self, now: Instant) -> Option<Transmit> {
        let first = self.flying.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(first.remove())
    }

    fn enter(&mut self, now: Instant, datagram: Transmit) -> Duration {
        let span = self.faults.delay + self.chance.span(self.faults.jitter);
        self.entered += 1;
        self.flying.insert((now + span, self.entered), datagram);
        span
    }

    /// What the script says about this datagram.
    fn deed(&mut self, now: Instant, datagram: &Transmit) -> Option<Deed> {
        if self.script.is_empty() {
            return None;
        }
        let (from, number) = (datagram.path.local, self.sent);
        let is_labelled = |address: SocketAddr, text: &str| {
            address == from && Message::parse(datagram.bytes.clone()).is_ok_and(|read| label(&read) == text)
        };
        let mut found = None;
        for (which, deed) in &mut self.script {
            let is_meant = match which {
                Which::Number(only) => *only == number,
                Which::Nth(address, text, left) if *left > 0 && is_labelled(*address, text) => {
                    *left -= 1;
                    *left == 0
                }
                Which::Nth(..) => false,
                Which::Every(address, text) => is_labelled(*address, text),
                Which::Span(address, since, until) => *address == from && *since <= now && now < *until,
            };
            if is_meant {
                found = found.or(Some(*deed));
            }
        }
        found
    }
}
