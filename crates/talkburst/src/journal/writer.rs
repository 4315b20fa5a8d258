//! Keeps what goes into machines and comes out of them. A machine never waits: what the queue has no room for ends the journal.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use sip::Instant;

use super::{Config, Digests, End, FIRST, Input, MAGIC, RECORD_MAX, Record, Said, check};

/// Turns that may wait to be written. Beyond it the journal ends.
const TURNS_MAX: usize = 4096;

/// Records of one turn at most.
const RECORDS_MAX: usize = 4096;

/// Writes records.
pub(crate) struct Writer<W: Write> {
    to: W,
    check: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a journal.
    pub(crate) fn new(mut to: W) -> io::Result<Self> {
        to.write_all(MAGIC)?;
        Ok(Self { to, check: FIRST })
    }

    pub(crate) fn put(&mut self, record: &Record) -> io::Result<()> {
        let octets = postcard::to_stdvec(record).map_err(io::Error::other)?;
        let length = u32::try_from(octets.len()).ok().filter(|length| *length as usize <= RECORD_MAX);
        let length = length.ok_or_else(|| io::Error::other("a record is too long"))?;
        self.check = check(self.check, &octets);
        self.to.write_all(&length.to_le_bytes())?;
        self.to.write_all(&self.check.to_le_bytes())?;
        self.to.write_all(&octets)
    }

    /// All that was put is where it belongs.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// What one machine keeps.
pub(crate) struct Keeper {
    machine: u8,
    to: Option<SyncSender<Vec<Record>>>,
    is_lost: Arc<AtomicBool>,
    turn: Vec<Record>,
    digests: Digests,
}

impl Keeper {
    /// Something is about to go into the machine.
    pub(crate) fn input(&mut self, at: Instant, input: impl FnOnce() -> Input) {
        if self.to.is_some() {
            let machine = self.machine;
            self.turn.push(Record::Input { machine, at, input: Box::new(input()) });
        }
    }

    /// What went in before the machine runs: nothing is waited for yet, so there is time to write it.
    pub(crate) fn begun(&mut self) {
        let turn = std::mem::take(&mut self.turn);
        if self.to.as_ref().is_some_and(|to| to.send(turn).is_err()) {
            self.to = None;
        }
    }

    /// The machine has said this.
    pub(crate) fn said(&mut self, said: &Said<'_>) {
        if self.to.is_some() {
            self.digests.add(said);
        }
    }

    /// The machine has nothing more to say about what went into it.
    pub(crate) fn settled(&mut self) {
        let Some(to) = self.to.as_ref().filter(|_| !self.turn.is_empty()) else { return };
        let mut turn = std::mem::take(&mut self.turn);
        turn.push(Record::Said { machine: self.machine, digests: self.digests });
        if turn.len() > RECORDS_MAX || to.try_send(turn).is_err() {
            self.is_lost.store(true, Ordering::Relaxed);
            self.to = None;
        }
    }
}

/// Begins a journal of these machines, and a thread that writes it until nobody keeps anything any more.
pub(crate) fn write(path: &Path, configs: Vec<Config>) -> io::Result<(Vec<Keeper>, JoinHandle<()>)> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    // It has what was said, and what passwords are checked against.
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut writer = Writer::new(BufWriter::new(options.open(path)?))?;
    writer.put(&Record::Head { version: env!("CARGO_PKG_VERSION").to_owned(), is_redacted: false })?;
    let (to, turns) = sync_channel(TURNS_MAX);
    let is_lost = Arc::new(AtomicBool::new(false));
    let mut keepers = Vec::new();
    for (config, machine) in configs.into_iter().zip(0..) {
        writer.put(&Record::Start { machine, config: Box::new(config) })?;
        let (to, is_lost) = (Some(to.clone()), Arc::clone(&is_lost));
        keepers.push(Keeper { machine, to, is_lost, turn: Vec::new(), digests: Digests::default() });
    }
    let path = path.to_owned();
    let run = move || run(writer, &turns, &is_lost, &path);
    let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(run)?;
    Ok((keepers, thread))
}

fn run(
    mut writer: Writer<BufWriter<std::fs::File>>,
    turns: &Receiver<Vec<Record>>,
    is_lost: &AtomicBool,
    path: &Path,
) {
    let mut take = || -> io::Result<End> {
        while let Ok(turn) = turns.recv() {
            put(&mut writer, &turn)?;
            if is_lost.load(Ordering::Relaxed) {
                // What was taken before is whole.
                turns.try_iter().take(TURNS_MAX).try_for_each(|turn| put(&mut writer, &turn))?;
                break;
            }
        }
        let end = if is_lost.load(Ordering::Relaxed) { End::Lost } else { End::Stopped };
        put(&mut writer, &[Record::End(end)])?;
        Ok(end)
    };
    match take() {
        Ok(End::Stopped) => {}
        Ok(End::Lost) => {
            tracing::warn!(path = %path.display(), "the journal has ended: more came than could be written");
            anstream::eprintln!("talkburst: the journal has ended: more came than could be written");
        }
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "the journal has ended");
            anstream::eprintln!(
                "talkburst: the journal has ended: failed to write {}: {error}",
                path.display()
            );
        }
    }
}

/// What is written is there after a crash of the process.
fn put(writer: &mut Writer<BufWriter<std::fs::File>>, turn: &[Record]) -> io::Result<()> {
    turn.iter().try_for_each(|record| writer.put(record))?;
    writer.to.flush()
}
