//! Canonical states: equal up to names and up to the moment at which they were reached.
//!
//! An element, what its monitor remembers, a datagram in flight: each is written down as a text ([`sip::Endpoint::view`] and its
//! like), and that text is taken apart into a literal, in which every name and every time is a gap, the names, and the times. The
//! fingerprint of a state is one of its literals, of its names in order of first appearance, and of its times relative to now.
//!
//! Nothing else is folded: what two states differ in beyond names and the moment makes two states of them.

use std::collections::HashMap;

use sip::hash::{Key, Keyed};
use sip::{Identifier, Instant, Owner, SESSION_MARK, TIME_MARK};

/// A text, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct View {
    literal: Key,
    names: Vec<u32>,
    /// Nanoseconds since the start.
    times: Vec<u64>,
}

/// Takes texts apart and puts fingerprints together.
#[derive(Debug)]
pub(super) struct Canon {
    keyed: Keyed,
    /// How identifiers begin.
    prefixes: Vec<[u8; 6]>,
    /// Every name that was met. Its order is never looked at.
    names: HashMap<Vec<u8>, u32>,
    /// The new name of each in this fingerprint.
    renamed: Vec<Option<u32>>,
    given: u32,
    text: Vec<u8>,
    state: Vec<u8>,
    /// Times from here on are never reached: each is as far as any other.
    horizon: Instant,
}

impl Canon {
    pub(super) fn new(owners: &[Owner], horizon: Instant) -> Self {
        let prefix = |owner: &Owner| {
            let text = format!("{:04x}{:02x}", owner.node, owner.shard);
            text.into_bytes().try_into().expect("four digits and two")
        };
        Self {
            keyed: Keyed::new(*b"a fixed secret, "),
            prefixes: owners.iter().map(prefix).collect(),
            names: HashMap::new(),
            renamed: Vec::new(),
            given: 0,
            text: Vec::new(),
            state: Vec::new(),
            horizon,
        }
    }

    pub(super) fn view(&mut self, text: &[u8]) -> View {
        let (mut names, mut times) = (Vec::new(), Vec::new());
        self.text.clear();
        let mut rest = text;
        while let Some((first, behind)) = rest.split_first() {
            let mark = char::from(*first);
            if mark == TIME_MARK || mark == SESSION_MARK {
                let length = behind.iter().position(|octet| octet == first).expect("marks come in pairs");
                let (inner, after) = behind.split_at(length);
                if mark == TIME_MARK {
                    times.push(inner.iter().fold(0, |time, digit| time * 10 + u64::from(digit - b'0')));
                } else {
                    names.push(self.name(inner));
                }
                self.text.push(*first);
                rest = &after[1..];
                continue;
            }
            if *first == b'0'
                && let Some(word) = rest.get(..Identifier::WIDTH)
                && self.prefixes.iter().any(|prefix| word.starts_with(prefix))
                && Identifier::parse(word).is_some()
            {
                names.push(self.name(word));
                self.text.push(3);
                rest = &rest[Identifier::WIDTH..];
                continue;
            }
            self.text.push(*first);
            rest = behind;
        }
        View { literal: self.keyed.key(&[&self.text]), names, times }
    }

    /// Octets that are no text: nothing in them is a name or a time.
    pub(super) fn octets(&mut self, octets: &[u8]) -> View {
        View { literal: self.keyed.key(&[octets]), names: Vec::new(), times: Vec::new() }
    }

    fn name(&mut self, name: &[u8]) -> u32 {
        if let Some(known) = self.names.get(name) {
            return *known;
        }
        let next = self.renamed.len() as u32;
        self.names.insert(name.to_vec(), next);
        self.renamed.push(None);
        next
    }

    /// Times beyond the horizon are told apart from none of each other, so none of them may come.
    pub(super) fn assert_near(&self, moment: Instant) {
        assert!(moment < self.horizon, "I9: it goes on for ever");
    }

    /// Begins a fingerprint.
    pub(super) fn begin(&mut self) {
        self.state.clear();
        self.renamed.fill(None);
        self.given = 0;
    }

    pub(super) fn put(&mut self, now: Instant, view: &View) {
        self.state.extend_from_slice(&view.literal.digits());
        for name in &view.names {
            let new = self.renamed[*name as usize].get_or_insert_with(|| {
                self.given += 1;
                self.given
            });
            self.state.extend_from_slice(&new.to_le_bytes());
        }
        let (now, horizon) =
            (now.since_start().as_nanos() as i64, self.horizon.since_start().as_nanos() as u64);
        for time in &view.times {
            let relative = if *time >= horizon { i64::MAX } else { *time as i64 - now };
            self.state.extend_from_slice(&relative.to_le_bytes());
        }
    }

    pub(super) fn put_number(&mut self, number: u32) {
        self.state.extend_from_slice(&number.to_le_bytes());
    }

    /// What has been put since [`Self::begin`].
    pub(super) fn fingerprint(&self) -> Key {
        self.keyed.key(&[&self.state])
    }
}

impl View {
    pub(super) fn literal(&self) -> [u8; 32] {
        self.literal.digits()
    }
}
