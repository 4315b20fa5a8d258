//! One talk burst on its way into its file.
//!
//! Packets wait a moment for those that come late, are put in order, and what is missing between them is filled, so that the file is
//! as long as the speech was. What a talker claims about time never makes a file longer than the time that has passed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use sip::Duration;

use super::container::Container;

/// How long a packet waits for those before it.
const WAIT: Duration = Duration::from_millis(200);

/// How much longer a file may be than the time that has passed: a talker's clock and the way are not exact.
const SLACK: Duration = Duration::from_secs(1);

/// Packets that wait at most; more are written as they are.
const WAITING_MAX: usize = 1024;

/// What became of the packets.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Counts {
    /// Those that are in the file.
    pub(super) packets: u64,
    /// Those that came twice, or when what follows them had been written.
    pub(super) late: u64,
    /// Samples that were filled.
    pub(super) filled: u64,
    /// Samples in the file.
    pub(super) samples: u64,
}

/// A talk burst that is being recorded.
pub(super) struct Take {
    container: Container,
    file: File,
    /// Octets in it.
    length: u64,
    /// The time of the first packet, in RTP.
    base: Option<u32>,
    /// Where what is written ends, in samples after the first packet that came; `None`: nothing is.
    written: Option<i64>,
    waiting: BTreeMap<i64, Vec<u8>>,
    pub(super) counts: Counts,
}

impl Take {
    /// Begins `file` with `head`, which `container` has given.
    pub(super) fn begin(container: Container, mut file: File, head: &[u8]) -> io::Result<Self> {
        file.write_all(head)?;
        let (waiting, counts) = (BTreeMap::new(), Counts::default());
        Ok(Self { container, file, length: head.len() as u64, base: None, written: None, waiting, counts })
    }

    /// Takes a packet, so long after the first one.
    pub(super) fn put(&mut self, elapsed: Duration, timestamp: u32, payload: &[u8]) -> io::Result<()> {
        let (longest, reach) = (self.samples(elapsed + SLACK), self.samples(SLACK));
        let newest = self.waiting.last_key_value().map(|(at, _)| *at).or(self.written).unwrap_or(0);
        let mut at = self.position(timestamp);
        if at > longest || at < newest - reach {
            // Another clock than before: it goes on where that ends.
            self.flush(true)?;
            at = self.written.unwrap_or(0);
            self.base = Some(timestamp.wrapping_sub(u32::try_from(at).unwrap_or(0)));
        }
        if self.written.is_some_and(|written| at < written) || self.waiting.contains_key(&at) {
            self.counts.late += 1;
            return Ok(());
        }
        self.waiting.insert(at, payload.to_vec());
        if self.waiting.len() > WAITING_MAX { self.flush(true) } else { Ok(()) }
    }

    /// How many samples after the first packet that came.
    fn position(&mut self, timestamp: u32) -> i64 {
        let base = *self.base.get_or_insert(timestamp);
        // Of two moments less than half of all times apart it is known which is first.
        i64::from(timestamp.wrapping_sub(base).cast_signed())
    }

    fn samples(&self, span: Duration) -> i64 {
        i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 1_000_000) * i64::from(self.clock()) / 1000
    }

    /// Writes what has waited long enough, or all that there is.
    pub(super) fn flush(&mut self, all: bool) -> io::Result<()> {
        let Some((newest, _)) = self.waiting.last_key_value() else { return Ok(()) };
        let until = if all { i64::MAX } else { *newest - self.samples(WAIT) };
        let mut octets = Vec::new();
        while let Some(entry) = self.waiting.first_entry().filter(|entry| *entry.key() < until) {
            let (at, payload) = entry.remove_entry();
            let written = *self.written.get_or_insert(at);
            let filled = self.container.gap(at - written, &mut octets);
            let spoken = self.container.speech(&payload, &mut octets);
            self.written = Some(written + filled + spoken);
            self.counts.packets += 1;
            self.counts.filled += filled.unsigned_abs();
            self.counts.samples += (filled + spoken).unsigned_abs();
        }
        // First what is said, then that it is there: whoever reads in between reads what there was before.
        self.file.write_all_at(&octets, self.length)?;
        self.length += octets.len() as u64;
        let patches = self.container.patches(self.length);
        patches.into_iter().try_for_each(|(at, octets)| self.file.write_all_at(&octets, at))
    }

    /// Writes all that there is.
    pub(super) fn end(mut self) -> io::Result<Counts> {
        self.flush(true)?;
        self.file.sync_data()?;
        Ok(self.counts)
    }

    /// Samples a second.
    pub(super) const fn clock(&self) -> u32 {
        self.container.clock()
    }
}
