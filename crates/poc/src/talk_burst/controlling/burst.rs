//! The talk burst of who is permitted.

use crate::talk_burst::Priority;

/// Whose it is, and what has been heard of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Burst {
    pub(super) holder: usize,
    /// The priority with which it was granted.
    pub(super) priority: Priority,
    /// What Talk Burst Taken said last of its synchronization source.
    pub(super) announced: u32,
    heard: Option<Heard>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Heard {
    ssrc: u32,
    /// The highest sequence number.
    sequence: u16,
}

impl Burst {
    pub(super) const fn new(holder: usize, priority: Priority, announced: u32) -> Self {
        Self { holder, priority, announced, heard: None }
    }

    /// Nothing has been heard of it yet.
    pub(super) const fn is_silent(&self) -> bool {
        self.heard.is_none()
    }

    /// A packet on the leg of the holder; `false` if it is of another source, so of no talk burst (user-plane digest 6.1, 10.1).
    pub(super) const fn hear(&mut self, ssrc: u32, sequence: u16) -> bool {
        match &mut self.heard {
            None => self.heard = Some(Heard { ssrc, sequence }),
            Some(heard) if heard.ssrc != ssrc => return false,
            Some(heard) if is_after(sequence, heard.sequence) => heard.sequence = sequence,
            Some(_) => {}
        }
        true
    }

    /// User-plane digest 6.1: whether the packet of that number, or one behind it, has been forwarded.
    pub(super) fn has_reached(&self, last: u16) -> bool {
        self.heard.is_some_and(|heard| !is_after(last, heard.sequence))
    }
}

/// Modulo 2^16.
pub(super) const fn is_after(sequence: u16, other: u16) -> bool {
    let ahead = sequence.wrapping_sub(other);
    ahead != 0 && ahead < 0x8000
}
