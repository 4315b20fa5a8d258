//! A network that loses, doubles, delays and reorders datagrams, by a seed.

use std::collections::BTreeMap;

use sip::transport::Transmit;
use sip::{Duration, Instant};

use crate::chance::Chance;

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

/// Datagrams on their way.
#[derive(Clone, Debug)]
pub struct Network {
    faults: Faults,
    chance: Chance,
    /// By arrival, then by order of sending.
    flying: BTreeMap<(Instant, u64), Transmit>,
    sent: u64,
}

impl Network {
    /// An empty network.
    pub fn new(faults: Faults, chance: Chance) -> Self {
        Self { faults, chance, flying: BTreeMap::new(), sent: 0 }
    }

    /// Takes a datagram. Returns when each copy of it will arrive; none if it is lost.
    pub fn send(&mut self, now: Instant, datagram: &Transmit) -> Vec<Instant> {
        if self.chance.happens(self.faults.loss) {
            return Vec::new();
        }
        let copies = 1 + u64::from(self.chance.happens(self.faults.duplication));
        (0..copies)
            .map(|_| {
                let arrival = now + self.faults.delay + self.chance.span(self.faults.jitter);
                self.sent += 1;
                self.flying.insert((arrival, self.sent), datagram.clone());
                arrival
            })
            .collect()
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
}
