//! What was recorded on a day: a JSON object a line, one when a talk burst begins and one when it is over.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use poc::media::Encoding;
use poc::talk_burst::controlling::Ending;
use serde::Serialize;
use sip::Instant;

use super::take::Counts;
use crate::clock::{Clock, wall};

/// The name of the index, beside the files.
pub(super) const NAME: &str = "talk-bursts.jsonl";

/// What is told of a talk burst.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(super) enum Entry<'a> {
    /// It begins.
    Begins {
        at: &'a str,
        talker: &'a str,
        session: &'a str,
        /// Empty: of no group.
        #[serde(skip_serializing_if = "str::is_empty")]
        group: &'a str,
        codec: &'static str,
    },
    /// It is over.
    Ends { at: &'a str, ending: &'a str, seconds: f64, seconds_filled: f64, packets: u64, late_packets: u64 },
    /// Nobody has heard it, and the file is gone.
    Unheard,
}

impl<'a> Entry<'a> {
    pub(super) fn ends(at: &'a str, ending: &'a str, counts: Counts, clock: u32) -> Self {
        let Counts { packets, late, filled, samples } = counts;
        let seconds = |samples: u64| samples as f64 / f64::from(clock);
        Self::Ends {
            at,
            ending,
            seconds: seconds(samples),
            seconds_filled: seconds(filled),
            packets,
            late_packets: late,
        }
    }
}

/// A line of the index.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    #[serde(flatten)]
    entry: &'a Entry<'a>,
}

/// Adds a line about the file at `path`.
pub(super) fn write(path: &Path, entry: &Entry<'_>) -> io::Result<()> {
    let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut line = serde_json::to_vec(&Line { file, entry })?;
    line.push(b'\n');
    let mut index =
        OpenOptions::new().append(true).create(true).mode(0o600).open(path.with_file_name(NAME))?;
    // In one piece: a crash leaves whole lines.
    index.write_all(&line)
}

/// A moment as RFC 3339 has it, to a millisecond.
pub(super) fn time(clock: &Clock, at: Instant) -> String {
    let before: Duration = clock.now().saturating_since(at);
    let at = UNIX_EPOCH + wall().saturating_sub(before);
    humantime::format_rfc3339_millis(at).to_string()
}

/// As it is shown elsewhere.
pub(super) const fn word(ending: Ending) -> &'static str {
    match ending {
        Ending::Released => "released",
        Ending::Silent => "silent",
        Ending::Revoked => "revoked",
        Ending::Left => "left",
    }
}

/// As session descriptions name it.
pub(super) const fn codec(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Pcmu => "PCMU",
        Encoding::Pcma => "PCMA",
        Encoding::Amr(format) if format.is_wide => "AMR-WB",
        Encoding::Amr(_) => "AMR",
        Encoding::Opus => "opus",
        Encoding::Other => "other",
    }
}
