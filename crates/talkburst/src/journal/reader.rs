//! Reads journals, as far as they are whole.

use std::fmt;
use std::io::{self, Read};

use super::{FIRST, KIND, MAGIC, RECORD_MAX, Record, check};

/// Reads the records of a journal.
pub(crate) struct Reader<R: Read> {
    from: R,
    check: u64,
    /// Octets that were read.
    at: u64,
    /// Records that were read.
    number: u64,
}

/// Why a journal cannot be read further.
#[derive(Debug)]
pub(crate) enum Damage {
    /// It is none.
    NoJournal,
    /// It is one of another version of the program.
    OtherVersion,
    /// It ends within a record, as a crash leaves it.
    CutOff { number: u64, at: u64 },
    /// A record is not as it was written.
    Changed { number: u64, at: u64 },
    /// It cannot be read.
    Read(io::Error),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoJournal => f.write_str("it is no journal"),
            Self::OtherVersion => {
                f.write_str("it is a journal of another version; use the program that has written it")
            }
            Self::CutOff { number, at } => write!(f, "it ends within record {number}, at octet {at}"),
            Self::Changed { number, at } => {
                write!(f, "record {number}, at octet {at}, is not as it was written")
            }
            Self::Read(error) => error.fmt(f),
        }
    }
}

impl<R: Read> Reader<R> {
    /// Reads the beginning.
    pub(crate) fn new(mut from: R) -> Result<Self, Damage> {
        let mut magic = vec![0; MAGIC.len()];
        from.read_exact(&mut magic).map_err(|_| Damage::NoJournal)?;
        match () {
            () if magic == MAGIC => {}
            () if magic.starts_with(KIND) => return Err(Damage::OtherVersion),
            () => return Err(Damage::NoJournal),
        }
        Ok(Self { from, check: FIRST, at: MAGIC.len() as u64, number: 0 })
    }

    /// The number of the record that was read last, from 1 on, and the octet behind it.
    pub(crate) fn place(&self) -> (u64, u64) {
        (self.number, self.at)
    }

    /// The next record; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Record>, Damage> {
        let (number, at) = (self.number + 1, self.at);
        let mut head = [0; 12];
        match self.fill(&mut head) {
            Ok(0) => return Ok(None),
            Ok(12) => {}
            Ok(_) => return Err(Damage::CutOff { number, at }),
            Err(error) => return Err(Damage::Read(error)),
        }
        let (length, written) = head.split_at(4);
        let length = length.try_into().map(u32::from_le_bytes).unwrap_or_default() as usize;
        let written = written.try_into().map(u64::from_le_bytes).unwrap_or_default();
        if length > RECORD_MAX {
            return Err(Damage::Changed { number, at });
        }
        let mut octets = vec![0; length];
        if self.fill(&mut octets).map_err(Damage::Read)? < length {
            return Err(Damage::CutOff { number, at });
        }
        self.check = check(self.check, &octets);
        let record = postcard::from_bytes(&octets).ok().filter(|_| self.check == written);
        let record = record.ok_or(Damage::Changed { number, at })?;
        (self.number, self.at) = (number, at + 12 + length as u64);
        Ok(Some(record))
    }

    /// Reads as much as there is.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.from.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}
