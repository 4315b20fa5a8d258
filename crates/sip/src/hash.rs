//! Keyed hashing for tables whose keys a peer chooses.
//!
//! Keys are 128-bit SipHash values under a secret of the endpoint, so a peer cannot aim at a bucket, two different
//! keys meet with a chance of 2^-128, and no table stores a peer's strings.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use siphasher::sip128::{Hasher128, SipHasher24};

/// The secret under which an endpoint hashes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Keyed([u8; 16]);

impl Keyed {
    /// Hashes under `secret`.
    pub fn new(secret: [u8; 16]) -> Self {
        Self(secret)
    }

    /// The key of these parts. Lengths are hashed too: ("ab", "c") and ("a", "bc") differ.
    pub fn key(&self, parts: &[&[u8]]) -> Key {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        let hash = hasher.finish128();
        Key { high: hash.h2, low: hash.h1 }
    }
}

/// A table key: see [`Keyed::key`]. Two halves, for a `u128` would leave gaps in every table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    high: u64,
    low: u64,
}

impl Key {
    /// One of `places`, each as likely as the others: a shard, or a place of a table of fixed size.
    pub const fn place(self, places: usize) -> usize {
        (self.high % places as u64) as usize
    }

    /// It as it is written: 32 hexadecimal digits.
    pub fn digits(self) -> [u8; 32] {
        let mut digits = [0; 32];
        let octets = self.high.to_be_bytes().into_iter().chain(self.low.to_be_bytes());
        for (two, octet) in digits.chunks_exact_mut(2).zip(octets) {
            two.copy_from_slice(&hexadecimal(octet));
        }
        digits
    }

    /// Its first 64 bits.
    pub const fn leading(self) -> u64 {
        self.high
    }
}

/// The two digits of an octet.
pub const fn hexadecimal(octet: u8) -> [u8; 2] {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    [DIGITS[(octet >> 4) as usize], DIGITS[(octet & 0xf) as usize]]
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}{:016x}", self.high, self.low)
    }
}

impl std::hash::Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.low);
    }
}

/// Passes the low half of a [`Key`] on: it is a keyed hash already.
#[derive(Clone, Copy, Default, Debug)]
pub struct Already(u64);

impl Hasher for Already {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// A table by [`Key`]. Its order is never looked at.
pub type Table<V> = HashMap<Key, V, BuildHasherDefault<Already>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart_by_their_lengths_and_by_the_secret() {
        let keyed = Keyed::new([1; 16]);
        assert_ne!(keyed.key(&[b"ab", b"c"]), keyed.key(&[b"a", b"bc"]));
        assert_eq!(keyed.key(&[b"ab", b"c"]), keyed.key(&[b"ab", b"c"]));
        assert_ne!(keyed.key(&[b"ab"]), Keyed::new([2; 16]).key(&[b"ab"]));
    }
}
