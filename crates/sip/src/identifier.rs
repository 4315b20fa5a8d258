//! Branches, tags, Call-IDs and Contact users: fixed width, beginning with the node and shard that made them.
//!
//! A response finds its shard by the Via branch and an in-dialog request by the tag or the Contact user, without a
//! table. Equal width makes responses of one kind to one peer equally long, which lets them leave in one batch.

use std::fmt;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// Which process of a cluster, and which endpoint inside it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Owner {
    /// The node: a process.
    pub node: u16,
    /// The shard: one [`Endpoint`](crate::Endpoint) of that process.
    pub shard: u8,
}

/// An identifier of [`Identifier::WIDTH`] characters: four of node, two of shard, eighteen of chance (90 bits).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identifier([u8; WIDTH]);

const WIDTH: usize = 24;

/// Characters of the owner.
const PREFIX: usize = 6;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

static IS_IN_ALPHABET: [bool; 256] = {
    let mut table = [false; 256];
    let mut each = 0;
    while each < ALPHABET.len() {
        table[ALPHABET[each] as usize] = true;
        each += 1;
    }
    table
};

impl Identifier {
    /// Octets of an identifier on the wire.
    pub const WIDTH: usize = WIDTH;

    /// RFC 3261 §8.1.1.7: the cookie with which every branch begins.
    pub const COOKIE: &'static str = "z9hG4bK";

    /// The characters.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("made of the alphabet only")
    }

    /// Reads an identifier that one of our generators wrote. `None` for anything else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let bytes: [u8; Self::WIDTH] = text.try_into().ok()?;
        bytes.iter().all(|byte| IS_IN_ALPHABET[usize::from(*byte)]).then_some(Self(bytes))
    }

    /// Reads the identifier inside a Via branch of ours.
    pub fn from_branch(branch: &[u8]) -> Option<Self> {
        Self::parse(branch.strip_prefix(Self::COOKIE.as_bytes())?)
    }

    /// Who made it.
    pub fn owner(&self) -> Option<Owner> {
        let hex = |range| u16::from_str_radix(std::str::from_utf8(&self.0[range]).ok()?, 16).ok();
        Some(Owner { node: hex(0..4)?, shard: u8::try_from(hex(4..6)?).ok()? })
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Makes identifiers from a seed: the same seed gives the same identifiers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identifiers {
    /// What tells the owner.
    prefix: [u8; PREFIX],
    chance: ChaCha12Rng,
}

impl Identifiers {
    /// A generator for `owner`. The seed must be unpredictable in production: tags guard dialogs.
    pub fn new(owner: Owner, seed: [u8; 32]) -> Self {
        let text = format!("{:04x}{:02x}", owner.node, owner.shard);
        let prefix = text.as_bytes().try_into().expect("four digits and two");
        Self { prefix, chance: ChaCha12Rng::from_seed(seed) }
    }

    /// The next identifier.
    pub fn draw(&mut self) -> Identifier {
        let mut text = [0; Identifier::WIDTH];
        text[..PREFIX].copy_from_slice(&self.prefix);
        let mut bits = u128::from(self.chance.next_u64()) | u128::from(self.chance.next_u64()) << 64;
        for place in &mut text[PREFIX..] {
            *place = ALPHABET[(bits & 31) as usize];
            bits >>= 5;
        }
        Identifier(text)
    }

    /// A number below `bound`, for the waits that RFC 3261 wants random.
    pub fn below(&mut self, bound: u32) -> u32 {
        let wide = u64::from(self.chance.next_u32()) * u64::from(bound);
        u32::try_from(wide >> 32).expect("below a u32")
    }

    /// A fresh 128-bit key for tables that peers can fill.
    pub fn key(&mut self) -> [u8; 16] {
        let mut key = [0; 16];
        self.chance.fill_bytes(&mut key);
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_has_a_fixed_width_and_tells_its_node_and_shard() {
        let owner = Owner { node: 0xBEEF, shard: 7 };
        let mut identifiers = Identifiers::new(owner, [1; 32]);
        let one = identifiers.draw();
        assert_eq!(one.as_str().len(), Identifier::WIDTH);
        assert_eq!(one.owner(), Some(owner));
        assert_ne!(one, identifiers.draw());
        assert_eq!(Identifier::from_branch(format!("z9hG4bK{one}").as_bytes()), Some(one));
        assert_eq!(Identifier::from_branch(b"z9hG4bKnashds8"), None);
    }

    #[test]
    fn the_same_seed_gives_the_same_identifiers() {
        let draw = |seed| Identifiers::new(Owner::default(), [seed; 32]).draw();
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
    }
}
