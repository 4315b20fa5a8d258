//! Journals: everything that went into the machines of a process, so that they can be driven again to the same octets.
//!
//! A file is a line that says what it is, and records. A record is its length (4 octets, little-endian), a check (8 octets), and its
//! octets by `postcard`. The check is a hash of the check before and the octets: what was changed or left out is noticed where it is,
//! and what a crash leaves can be read up to the last whole record. It is no signature: whoever can write the file can write another.

mod digest;
mod reader;
mod writer;

use std::fmt;

use serde::{Deserialize, Serialize};
use sip::Instant;
use sip::hash::Keyed;

pub(crate) use self::digest::{Digests, Said};
pub(crate) use self::reader::{Damage, Reader};
pub(crate) use self::writer::{Keeper, Writer, write};

use crate::serve::shard;

/// The first line: what the file is, and the version of all below it.
const MAGIC: &[u8] = b"talkburst journal 1\n";

/// The first words of it, whatever the version.
const KIND: &[u8] = b"talkburst journal ";

/// Octets of a record at most: a message, and the largest configuration.
const RECORD_MAX: usize = 4 * 1024 * 1024;

/// The check of no record.
const FIRST: u64 = 0;

/// A line of a journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Record {
    /// What has written it.
    Head {
        /// The version of the program.
        version: String,
        /// Whether addresses, names, credentials and speech are others than they were.
        is_redacted: bool,
    },
    /// A machine begins.
    Start { machine: u8, config: Box<Config> },
    /// Something went into a machine.
    Input { machine: u8, at: Instant, input: Box<Input> },
    /// What a machine has said by now.
    Said { machine: u8, digests: Digests },
    /// Nothing comes behind this.
    End(End),
}

/// What a machine is told once: all that it draws by chance is drawn from the seeds in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Config {
    Client(Box<poc::Config>),
    Shard(Box<shard::Config>),
}

/// What went into a machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Input {
    Client(poc::Input),
    Shard(shard::Input),
}

/// Why a journal ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum End {
    /// The process has ended.
    Stopped,
    /// More came than could be written.
    Lost,
}

/// The check of a record.
fn check(before: u64, octets: &[u8]) -> u64 {
    Keyed::new(*b"talkburstjournal").key(&[&before.to_le_bytes(), octets]).leading()
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "the process had ended",
            Self::Lost => "more came than could be written",
        })
    }
}
