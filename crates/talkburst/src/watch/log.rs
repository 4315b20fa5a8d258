//! The log: what an operator reads afterwards. Events that scripts wait for are told on standard output ([`crate::serve`]); what
//! happens to the program itself is logged.
//!
//! Lines are written by a thread of their own, fed by a bounded queue: who logs never waits. A line that peers can cause is
//! limited by its place in the code.

use std::fs::OpenOptions;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::{Level, Metadata, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::{Layer, fmt};

use crate::clock::wall;
use crate::serve::{LogFormat, LogSettings};

/// Lines that may wait to be written.
const LINES_MAX: usize = 8192;

/// Lines of one place in the code that are written in a second, from `info` up. Who asks for details gets more.
const LINES_PER_SECOND: u64 = 20;

/// The same below `info`.
const DETAILS_PER_SECOND: u64 = 1000;

static LOST: OnceLock<ErrorCounter> = OnceLock::new();
static LIMITED: AtomicU64 = AtomicU64::new(0);

/// Why there is no log.
#[derive(Debug)]
pub(crate) enum LogError {
    /// The filter cannot be read.
    Filter(String),
    /// The file cannot be opened.
    File(PathBuf, io::Error),
}

/// Whoever logs keeps this; what waits is written when it goes.
pub(crate) struct Log {
    _guard: WorkerGuard,
}

/// Logs from now on: to `file`, which is appended to, or to standard error.
pub(crate) fn start(settings: &LogSettings) -> Result<Log, LogError> {
    let LogSettings { format, filter, file } = settings.clone();
    let filter = EnvFilter::builder().parse(filter).map_err(|error| LogError::Filter(error.to_string()))?;
    let is_file = file.is_some();
    let out: Box<dyn io::Write + Send> = match file {
        Some(path) => {
            let opened = OpenOptions::new().create(true).append(true).open(&path);
            Box::new(opened.map_err(|error| LogError::File(path, error))?)
        }
        None => Box::new(io::stderr()),
    };
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_MAX)
        .thread_name("log")
        .finish(out);
    LOST.get_or_init(|| writer.error_counter());
    let lines = fmt::layer().with_writer(writer).with_ansi(!is_file && anstream::stderr().is_terminal());
    let lines = match format {
        LogFormat::Human => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(Limit::default())).with(filter);
    // There is one log in a program; a test that starts two servers in one has the first.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(Log { _guard: guard })
}

/// Lines that were dropped, since too many waited.
pub(crate) fn dropped() -> u64 {
    LOST.get().map_or(0, |lost| lost.dropped_lines() as u64)
}

/// Lines that were not written, since their place had written enough.
pub(crate) fn limited() -> u64 {
    LIMITED.load(Ordering::Relaxed)
}

/// Limits each place in the code. Two places may share a count: they are found by a hash.
struct Limit {
    /// The second, and the lines so far in it.
    places: [AtomicU64; 256],
}

impl Default for Limit {
    fn default() -> Self {
        Self { places: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Limit {
    /// Whether one more line of `place` is written in this second.
    fn admits(&self, place: usize, second: u64, most: u64) -> bool {
        let count = &self.places[place % self.places.len()];
        let second = second & 0xFFFF_FFFF;
        let before = count.load(Ordering::Relaxed);
        let (at, lines) = (before >> 32, before & 0xFFFF_FFFF);
        let lines = if at == second { lines + 1 } else { 1 };
        count.store(second << 32 | lines, Ordering::Relaxed);
        lines <= most
    }
}

impl<S: Subscriber> Filter<S> for Limit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &tracing::Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        let most = match *metadata.level() {
            Level::ERROR => return true, // what should wake somebody
            Level::WARN | Level::INFO => LINES_PER_SECOND,
            Level::DEBUG | Level::TRACE => DETAILS_PER_SECOND,
        };
        let line = metadata.line().unwrap_or_default() as usize;
        let place = metadata
            .file()
            .unwrap_or_default()
            .bytes()
            .fold(line, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte)));
        let admits = self.admits(place, wall().as_secs(), most);
        if !admits {
            LIMITED.fetch_add(1, Ordering::Relaxed);
        }
        admits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_may_write_so_many_lines_a_second() {
        let limit = Limit::default();
        let written = |second| (0..100).filter(|_| limit.admits(7, second, LINES_PER_SECOND)).count() as u64;
        assert_eq!((written(1), written(1), written(2)), (LINES_PER_SECOND, 0, LINES_PER_SECOND));
        assert!(limit.admits(8, 2, LINES_PER_SECOND), "another place");
    }
}
