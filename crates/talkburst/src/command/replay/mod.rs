//! `talkburst replay`: what a journal has, by the same machines again.

mod ladder;
mod machine;
mod redact;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use sip::Instant;

use self::ladder::Ladder;
use self::machine::{Machine, Output, label};
use self::redact::{Redacted, Refusal};
use super::{DONE, Failure};
use crate::journal::{Damage, Digests, End, Input, Reader, Record};

/// What was typed behind `replay`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// A file that --journal of serve, call or answer has written.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show what happens as a ladder.
    #[arg(long)]
    ladder: bool,
    /// Write the same without names, addresses, passwords, texts and speech to this file, if it replays alike.
    #[arg(long, value_name = "OUT", conflicts_with = "ladder")]
    redact: Option<PathBuf>,
}

/// Exit code: the machines have said something else.
const DIFFERENT: u8 = 1;

/// Lines of a turn that are shown.
const SHOWN_MAX: usize = 20;

/// Replays it.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    if let Some(out) = &arguments.redact {
        return redact(&arguments.file, out);
    }
    let unreadable = |damage: Damage| Failure::Journal(arguments.file.clone(), damage.to_string());
    let file = File::open(&arguments.file).map_err(|error| unreadable(Damage::Read(error)))?;
    let mut reader = Reader::new(BufReader::new(file)).map_err(unreadable)?;
    let mut replay = Replay { is_drawn: arguments.ladder, ..Replay::default() };
    let mut out = std::io::stdout().lock();
    let end = loop {
        let record = match reader.next() {
            Ok(Some(record)) => record,
            Ok(None) => break "the process did not end it".to_owned(),
            // As a crash leaves it: all before is whole.
            Err(damage @ Damage::CutOff { .. }) => break damage.to_string(),
            Err(damage) => {
                replay.write_ladders(&mut out)?;
                return Err(unreadable(damage));
            }
        };
        if let Record::End(end) = record {
            break match end {
                End::Stopped => String::new(),
                End::Lost => end.to_string(),
            };
        }
        if let Err(difference) = replay.take(record) {
            let (number, at) = reader.place();
            replay.write_ladders(&mut out)?;
            writeln!(out, "different: record {number}, before octet {at}")?;
            write!(out, "{difference}")?;
            return Ok(DIFFERENT);
        }
    };
    replay.write_ladders(&mut out)?;
    let (number, _) = reader.place();
    for (name, played) in &replay.machines {
        let Digests { messages, media, events, recordings } = played.digests;
        writeln!(
            out,
            "{} {name}: {} inputs; {} messages, {} packets of media, {} events, {} of recordings",
            played.machine.kind(),
            played.inputs,
            messages.count,
            media.count,
            events.count,
            recordings.count
        )?;
    }
    if !end.is_empty() {
        writeln!(out, "the journal is not complete: {end}")?;
    }
    let until = replay.last.since_start().as_secs_f64();
    writeln!(out, "identical: {number} records, {until:.3} s, journal of {}", replay.version)?;
    Ok(DONE)
}

/// Writes it without whatever tells of anybody.
fn redact(file: &Path, out: &Path) -> Result<u8, Failure> {
    match redact::redact(file, out) {
        Ok(Redacted { records, words }) => {
            writeln!(std::io::stdout().lock(), "redacted: {records} records, {words} words and addresses")?;
            Ok(DONE)
        }
        Err(refusal @ (Refusal::Different { .. } | Refusal::Untold { .. })) => {
            writeln!(std::io::stdout().lock(), "not redacted: {refusal}")?;
            Ok(DIFFERENT)
        }
        Err(refusal) => Err(Failure::Journal(file.to_owned(), refusal.to_string())),
    }
}

/// All machines of a journal.
#[derive(Default)]
struct Replay {
    version: String,
    machines: BTreeMap<u8, Played>,
    is_drawn: bool,
    last: Instant,
}

struct Played {
    machine: Machine,
    digests: Digests,
    inputs: u64,
    /// What went in since it was asked last.
    turn: Vec<(Instant, String)>,
    ladder: Option<Ladder>,
}

impl Replay {
    /// Does what a record has; or what has come of it instead of what it says.
    fn take(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::Head { version, is_redacted } => {
                self.version = format!("{version}{}", if is_redacted { ", redacted" } else { "" });
                Ok(())
            }
            Record::Start { machine, config } => {
                let ladder = self.is_drawn.then(|| Ladder::new(machine, &config));
                let played = Played {
                    machine: Machine::new(*config),
                    digests: Digests::default(),
                    inputs: 0,
                    turn: Vec::new(),
                    ladder,
                };
                self.machines.insert(machine, played);
                Ok(())
            }
            Record::Input { machine, at, input } => {
                self.last = at;
                self.machine(machine)?.input(at, *input)
            }
            Record::Said { machine, digests } => self.machine(machine)?.said(digests),
            Record::End(_) => Ok(()),
        }
    }

    fn machine(&mut self, name: u8) -> Result<&mut Played, String> {
        self.machines.get_mut(&name).ok_or_else(|| format!("there is no machine {name}\n"))
    }

    fn write_ladders(&self, out: &mut impl Write) -> std::io::Result<()> {
        let mut ladders = self.machines.values().filter_map(|played| played.ladder.as_ref());
        ladders.try_for_each(|ladder| writeln!(out, "{}", ladder.render()))
    }
}

impl Played {
    fn input(&mut self, at: Instant, input: Input) -> Result<(), String> {
        self.inputs += 1;
        if let Some(ladder) = &mut self.ladder {
            ladder.input(at, &input);
        }
        self.turn.push((at, label(&input)));
        let is_its = self.machine.handle(at, input);
        is_its.then_some(()).ok_or_else(|| "the input is for another kind of machine\n".to_owned())
    }

    fn said(&mut self, expected: Digests) -> Result<(), String> {
        let before = self.digests;
        let outputs = self.machine.drain();
        let turn = std::mem::take(&mut self.turn);
        for output in &outputs {
            self.digests.add(&output.said());
            if let (Some(ladder), Some((at, _))) = (&mut self.ladder, turn.last()) {
                ladder.output(*at, output);
            }
        }
        if self.digests == expected {
            Ok(())
        } else {
            Err(self.difference(before, expected, &turn, &outputs))
        }
    }

    /// The turn in which something else was said.
    fn difference(
        &self,
        before: Digests,
        expected: Digests,
        turn: &[(Instant, String)],
        outputs: &[Output],
    ) -> String {
        let mut lines = vec![format!("in the turn of these inputs to the {}:", self.machine.kind())];
        let shown = turn.iter().take(SHOWN_MAX);
        lines.extend(shown.map(|(at, what)| format!("  {:>12.6} s  {what}", at.since_start().as_secs_f64())));
        lines.push("the machine now says:".to_owned());
        lines.extend(outputs.iter().take(SHOWN_MAX).map(|output| format!("  {}", output.label())));
        for (what, then, now, before) in [
            ("messages", expected.messages, self.digests.messages, before.messages),
            ("packets of media", expected.media, self.digests.media, before.media),
            ("events", expected.events, self.digests.events, before.events),
            ("of recordings", expected.recordings, self.digests.recordings, before.recordings),
        ] {
            if then != now {
                let (then, now) = (then.count.wrapping_sub(before.count), now.count - before.count);
                let how = if then == now { "other octets" } else { "another number" };
                lines.push(format!("{what}: {how}; then {then}, now {now}"));
            }
        }
        lines.push(String::new());
        lines.join("\n")
    }
}
