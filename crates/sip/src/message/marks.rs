//! Where lines end and names end: the octets CR, LF and colon of a message, found 64 octets at a time.

use wide::u8x64;

/// Octets that are looked at together, one for each bit of a word.
const BLOCK: usize = 64;

/// Moves through the octets of a message, from its start to as far as somebody asks; never back.
pub(super) struct Marks<'a> {
    bytes: &'a [u8],
    /// Where the block begins that `ends` and `colons` are about.
    base: usize,
    /// A bit for each CR and LF.
    ends: u64,
    /// A bit for each colon.
    colons: u64,
}

impl<'a> Marks<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut marks = Self { bytes, base: 0, ends: 0, colons: 0 };
        marks.read_block();
        marks
    }

    /// The first CR or LF at or behind `from`, or the end of the message.
    #[inline]
    pub(super) fn next_end(&mut self, from: usize) -> usize {
        self.next(from, |marks| marks.ends)
    }

    /// The first colon, CR or LF at or behind `from`, or the end of the message.
    #[inline]
    pub(super) fn next_colon_or_end(&mut self, from: usize) -> usize {
        self.next(from, |marks| marks.ends | marks.colons)
    }

    #[inline(always)]
    fn next(&mut self, from: usize, wanted: impl Fn(&Self) -> u64) -> usize {
        while from >= self.base + BLOCK {
            self.next_block();
        }
        let mut found = wanted(self) & (u64::MAX << (from - self.base));
        while found == 0 {
            if self.base + BLOCK >= self.bytes.len() {
                return self.bytes.len();
            }
            self.next_block();
            found = wanted(self);
        }
        self.base + found.trailing_zeros() as usize
    }

    #[inline]
    fn next_block(&mut self) {
        self.base += BLOCK;
        self.read_block();
    }

    #[inline]
    fn read_block(&mut self) {
        let rest = self.bytes.get(self.base..).unwrap_or_default();
        let block = match rest.first_chunk::<BLOCK>() {
            Some(block) => u8x64::from(*block),
            None => {
                let mut block = [0; BLOCK];
                block[..rest.len()].copy_from_slice(rest);
                u8x64::from(block)
            }
        };
        let is = |byte: u8| block.simd_eq(u8x64::splat(byte));
        self.ends = (is(b'\r') | is(b'\n')).to_bitmask();
        self.colons = is(b':').to_bitmask();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_across_blocks_and_in_the_last_octet() {
        let mut text = vec![b'x'; 3 * BLOCK + 7];
        for (at, byte) in [(0, b':'), (63, b'\r'), (64, b'\n'), (130, b':'), (3 * BLOCK + 6, b'\n')] {
            text[at] = byte;
        }
        let mut marks = Marks::new(&text);
        assert_eq!((marks.next_colon_or_end(0), marks.next_end(0)), (0, 63));
        assert_eq!((marks.next_end(64), marks.next_colon_or_end(65)), (64, 130));
        assert_eq!((marks.next_end(131), marks.next_end(3 * BLOCK + 7)), (3 * BLOCK + 6, 3 * BLOCK + 7));
    }

    #[test]
    fn where_no_mark_is_left_the_message_ends() {
        for length in [0, 1, 63, 64, 65, 128] {
            let text = vec![b'x'; length];
            assert_eq!(Marks::new(&text).next_colon_or_end(0), length);
            assert_eq!(Marks::new(&text).next_end(length), length);
        }
    }
}
