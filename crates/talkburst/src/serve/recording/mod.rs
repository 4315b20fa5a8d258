//! Talk bursts as files, one each: a thread of its own writes what the shards pass on.
//!
//! ```text
//! worker k ── packets ──► queue ──► recorder ──► 2026-11-25/121438.123-anna-0.17.wav
//!                        bounded           └───► 2026-11-25/talk-bursts.jsonl
//! ```
//!
//! No shard waits for the disk: what does not fit into the queue is not recorded, and counted. Files are complete up to the last
//! half second at every moment, whatever ends the program.

mod container;
mod index;
mod ogg;
mod take;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};

use poc::server::{Beginning, Recording};
use rtp_types::RtpPacket;
use sip::{Duration, Instant};

use self::container::{About, Container};
use self::index::Entry;
use self::take::Take;
use crate::clock::Clock;
use crate::watch::Condition;

/// What may wait to be written: some 20 talk bursts of 4 s, or a disk that stands still while 40 people speak for 2 s.
const QUEUE_MAX: usize = 4096;

/// How often what has come is written.
const FLUSH_EVERY: Duration = Duration::from_millis(500);

/// After so long without a packet nothing more is expected of a talk burst whose end was lost on its way.
const SILENCE_MAX: Duration = Duration::from_secs(600);

/// Octets of a talker's name in the name of a file.
const NAME_MAX: usize = 48;

/// Something that is recorded, and by which shard.
pub(crate) type Recorded = (u8, Recording);

/// Starts to record into `folder`.
///
/// # Errors
/// The folder cannot be made, or not be written.
pub(crate) fn start(
    folder: &Path,
    clock: Clock,
    condition: Arc<Condition>,
) -> io::Result<(SyncSender<Recorded>, std::thread::JoinHandle<()>)> {
    create(folder)?;
    // To fail now is better than with the first words.
    let probe = folder.join(".talkburst");
    File::create(&probe)?;
    fs::remove_file(probe)?;
    let (sender, receiver) = sync_channel(QUEUE_MAX);
    let recorder = Recorder { folder: folder.to_owned(), clock, condition, open: BTreeMap::new() };
    let thread =
        std::thread::Builder::new().name("recorder".to_owned()).spawn(move || recorder.run(&receiver))?;
    Ok((sender, thread))
}

fn create(folder: &Path) -> io::Result<()> {
    // What is said is nobody else's business.
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

struct Recorder {
    folder: PathBuf,
    clock: Clock,
    condition: Arc<Condition>,
    /// Talk bursts that are not over, by shard and number.
    open: BTreeMap<(u8, u64), Open>,
}

/// A talk burst that is not over.
struct Open {
    take: Take,
    path: PathBuf,
    /// When its first packet came.
    began: Instant,
    /// When the last one was taken.
    spoken: Instant,
}

impl Recorder {
    /// Until no shard has anything to say any more.
    fn run(mut self, receiver: &Receiver<Recorded>) {
        let mut flushed = self.clock.now();
        loop {
            let wait = (flushed + FLUSH_EVERY).saturating_since(self.clock.now());
            match receiver.recv_timeout(wait) {
                Ok((shard, recording)) => self.take(shard, recording),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.clock.now() >= flushed + FLUSH_EVERY {
                flushed = self.clock.now();
                self.flush(flushed);
            }
        }
        let now = self.clock.now();
        for (shard, burst) in self.open.keys().copied().collect::<Vec<_>>() {
            self.end((shard, burst), now, "stopped");
        }
    }

    fn take(&mut self, shard: u8, recording: Recording) {
        match recording {
            Recording::Begins(beginning) => {
                let done = self.begin(shard, &beginning);
                self.note(done.as_ref().err());
            }
            Recording::Speech { burst, bytes } => {
                let now = self.clock.now();
                let Some(open) = self.open.get_mut(&(shard, burst)) else { return };
                // The shard has read it.
                let Ok(packet) = RtpPacket::parse(&bytes) else { return };
                open.spoken = now;
                let elapsed = now.saturating_since(open.began);
                let done = open.take.put(elapsed, packet.timestamp(), packet.payload());
                self.give_up(done.err(), (shard, burst));
            }
            Recording::Ends { burst, is_heard: false, .. } => self.forget((shard, burst)),
            Recording::Ends { burst, at, ending, is_heard: true } => {
                self.end((shard, burst), at, index::word(ending));
            }
        }
    }

    /// Makes the file.
    fn begin(&mut self, shard: u8, beginning: &Beginning) -> io::Result<()> {
        let Beginning { burst, at, session, group, talker, encoding } = beginning;
        let Some(mut container) = Container::new(*encoding) else {
            tracing::warn!(talker = %talker.escape_ascii(), "not recorded: no file for what it is coded in");
            return Ok(());
        };
        let begun = index::time(&self.clock, *at);
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let (talker, session) = (text(talker), text(session));
        let head = container.begin(&About { talker: &talker, session: &session, begun: &begun });
        // 2026-11-25T12:14:38.123Z
        let (day, time) = begun.split_once('T').unwrap_or((&begun, ""));
        let folder = self.folder.join(day);
        create(&folder)?;
        let time = time.trim_end_matches('Z').replace(':', "");
        let name = format!("{time}-{}-{shard}.{burst}.{}", name_of(&talker), container.extension());
        let path = folder.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let codec = index::codec(*encoding);
        index::write(
            &path,
            &Entry::Begins { at: &begun, talker: &talker, session: &session, group: &text(group), codec },
        )?;
        let take = Take::begin(container, file, &head)?;
        self.open.insert((shard, *burst), Open { take, path, began: *at, spoken: *at });
        Ok(())
    }

    /// Writes what has come, and ends what is over although nobody has said so.
    fn flush(&mut self, now: Instant) {
        let mut failed = Vec::new();
        let mut lost = Vec::new();
        for (key, open) in &mut self.open {
            if let Err(error) = open.take.flush(false) {
                failed.push((*key, error));
            } else if now.saturating_since(open.spoken) >= SILENCE_MAX {
                lost.push(*key);
            }
        }
        for (key, error) in failed {
            self.give_up(Some(error), key);
        }
        for key in lost {
            self.end(key, now, "lost");
        }
    }

    /// Closes the file.
    fn end(&mut self, key: (u8, u64), at: Instant, ending: &str) {
        let Some(Open { take, path, .. }) = self.open.remove(&key) else { return };
        let clock = take.clock();
        let done = take.end().and_then(|counts| {
            let at = index::time(&self.clock, at);
            index::write(&path, &Entry::ends(&at, ending, counts, clock))
        });
        self.note(done.as_ref().err());
    }

    /// Nobody has heard it: it is to remain nowhere.
    fn forget(&mut self, key: (u8, u64)) {
        let Some(Open { path, .. }) = self.open.remove(&key) else { return };
        let done = fs::remove_file(&path).and_then(|()| index::write(&path, &Entry::Unheard));
        self.note(done.as_ref().err());
    }

    /// A file that cannot be written is left as it is.
    fn give_up(&mut self, error: Option<io::Error>, key: (u8, u64)) {
        if let Some(error) = error {
            self.open.remove(&key);
            self.note(Some(&error));
        }
    }

    /// Tells how the last attempt went.
    fn note(&self, error: Option<&io::Error>) {
        self.condition.is_recording_failing.store(error.is_some(), Ordering::Relaxed);
        if let Some(error) = error {
            tracing::error!(folder = %self.folder.display(), %error, "a talk burst could not be recorded");
        }
    }
}

/// The user of a SIP URI, as far as it can stand in the name of a file.
fn name_of(talker: &str) -> String {
    let user = talker.split_once(':').map_or(talker, |(_, rest)| rest);
    let user = user.split(['@', ';']).next().unwrap_or_default();
    let plain =
        |letter: char| if letter.is_ascii_alphanumeric() || "+_".contains(letter) { letter } else { '_' };
    user.chars().take(NAME_MAX).map(plain).collect()
}

#[cfg(test)]
mod tests;
