//! What the demo says: ladders and a table for people, lines of JSON for scripts.

use std::collections::BTreeMap;
use std::io::Write;

use anstyle::{AnsiColor, Style};
use poc::Outcome;
use poc::server::Function;
use serde::Serialize;
use sim::ladder::{Fate, What, label};
use sip::usage::{End, Party};
use sip::{Duration, Message};

use super::super::Failure;
use super::scene::{Expected, Scene};
use super::stage::{Stage, Stuck};
use super::timeline::Span;
use crate::serve::Closed;

const TITLE: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const QUIET: Style = Style::new().dimmed();

/// Collects what came of the scenes.
pub(super) struct Report {
    json: bool,
    rows: Vec<Row>,
}

/// What came of one scene.
#[derive(Serialize)]
struct Row {
    scene: &'static str,
    title: &'static str,
    ok: bool,
    /// What each client was told in the end.
    #[serde(flatten)]
    told: BTreeMap<&'static str, Option<Saw>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    records: Vec<Closed>,
    faults: Vec<String>,
    ladder: Vec<Line>,
    /// Who may speak, speaks and hears, and when.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    timeline: BTreeMap<&'static str, Vec<Span>>,
}

/// What one side was told.
#[derive(Serialize)]
struct Saw {
    text: String,
    end: End,
    by: Party,
    status: Option<u16>,
    reason: Option<String>,
    lasted_ms: f64,
    cancelling_ms: Option<f64>,
}

/// One line of a ladder.
#[derive(Serialize)]
#[serde(untagged)]
enum Line {
    Message { at_ms: f64, from: String, to: String, message: String, rule: &'static str, fate: &'static str },
    Speech { at_ms: f64, from: String, to: String, packets: usize },
    Note { at_ms: f64, at: String, note: String },
}

#[derive(Serialize)]
struct Summary {
    scenes: usize,
    right: usize,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        Self { json, rows: Vec::new() }
    }

    pub(super) fn begin(&self) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        let mut out = anstream::stdout().lock();
        writeln!(out, "{TITLE}Talkburst: how a PoC Session is cancelled{TITLE:#}")?;
        writeln!(
            out,
            "{QUIET}PoC Clients over real UDP sockets on this machine, first two with nobody between them, then with a\n\
             SIP/IP core and a PoC Server, then in groups, at last with\n\
             talk bursts: who may speak, and who hears what. Each arrow has its rule beside it; \"PoC CP\" is the founding contribution\n\
             to the OMA PoC Control Plane.{QUIET:#}\n"
        )?;
        Ok(())
    }

    /// Reports a scene that has been played.
    pub(super) fn scene(
        &mut self,
        scene: &Scene,
        stage: &Stage,
        stuck: Option<Stuck>,
    ) -> Result<(), Failure> {
        let faults = faults(scene, stage, stuck);
        let row = Row {
            scene: scene.name,
            title: scene.title,
            ok: faults.is_empty(),
            told: (0..stage.clients).map(|side| (stage.name(side), stage.outcome(side).map(saw))).collect(),
            records: stage.records.iter().map(|record| Closed::new(0, record)).collect(),
            faults,
            ladder: ladder(stage),
            timeline: timeline(stage),
        };
        let mut out = anstream::stdout().lock();
        if self.json {
            let line = serde_json::to_string(&row).map_err(std::io::Error::other)?;
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{TITLE}{}. {}{TITLE:#}\n", self.rows.len() + 1, scene.title)?;
            writeln!(out, "{}", stage.trace.render())?;
            let names: Vec<_> = (0..stage.clients).map(|side| stage.name(side)).collect();
            let timeline = stage.timeline.render(&names);
            if !timeline.is_empty() {
                writeln!(out, "{timeline}")?;
            }
            for fault in &row.faults {
                writeln!(out, "{BAD}wrong:{BAD:#} {fault}\n")?;
            }
        }
        self.rows.push(row);
        Ok(())
    }

    /// The table, or the last line of JSON.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let (scenes, right) = (self.rows.len(), self.rows.iter().filter(|row| row.ok).count());
        let mut out = anstream::stdout().lock();
        if self.json {
            let summary = serde_json::to_string(&Summary { scenes, right }).map_err(std::io::Error::other)?;
            writeln!(out, "{summary}")?;
        } else {
            writeln!(
                out,
                "{TITLE}{:<20} {:<7} {:<40} the others saw{TITLE:#}",
                "scene", "result", "anna saw"
            )?;
            for row in &self.rows {
                let (style, word) = if row.ok { (GOOD, "right") } else { (BAD, "wrong") };
                let others: Vec<_> = row
                    .told
                    .iter()
                    .filter(|(name, _)| **name != "anna")
                    .map(|(name, saw)| format!("{name}: {}", told(saw.as_ref())))
                    .collect();
                let anna = told(row.told.get("anna").and_then(Option::as_ref));
                let others = others.join(", ");
                writeln!(out, "{:<20} {style}{word:<7}{style:#} {anna:<40} {others}", row.scene)?;
            }
            writeln!(out, "\n{right} of {scenes} scenes ended as they must")?;
        }
        out.flush()?;
        if right == scenes { Ok(()) } else { Err(Failure::Wrong(scenes - right)) }
    }
}

/// Everything that is not as the scene says.
fn faults(scene: &Scene, stage: &Stage, stuck: Option<Stuck>) -> Vec<String> {
    let mut faults: Vec<_> = stuck.iter().map(ToString::to_string).collect();
    for (side, expected) in scene.ends.iter().enumerate() {
        let (name, expected) = (stage.name(side), *expected);
        let actual: Option<Expected> =
            stage.outcome(side).map(|outcome| (outcome.end, outcome.by, outcome.status));
        if actual != expected {
            faults.push(format!("{name} must be told {expected:?}, and was told {actual:?}"));
        }
        let talkers = scene.hears.get(side).copied().unwrap_or_default();
        let (spoken, heard) = (
            talkers.iter().flat_map(|talker| stage.spoken_by(*talker)).collect::<Vec<_>>(),
            stage.heard_by(side),
        );
        if heard != spoken {
            faults.push(format!(
                "{name} must hear {} packets of speech as they were said, and heard {}",
                spoken.len(),
                heard.len()
            ));
        }
        let (to_hear, samples) = stage.heard_of(side, talkers);
        if samples != to_hear {
            let first = samples.iter().zip(&to_hear).position(|(heard, said)| heard != said);
            faults.push(format!(
                "{name} must hear {} samples as they were said, and heard {}; the first that differs: {first:?}",
                to_hear.len(),
                samples.len()
            ));
        }
        let sent = said(stage, side);
        if sent != scene.sends[side] {
            faults.push(format!("{name} must send {:?}, and sent {sent:?}", scene.sends[side]));
        }
    }
    let recorded: Vec<_> =
        stage.records.iter().map(|record| (record.function, record.end, record.status)).collect();
    let sorted = |records: &[(Function, End, Option<u16>)]| {
        let mut texts: Vec<_> = records.iter().map(|record| format!("{record:?}")).collect();
        texts.sort();
        texts
    };
    if sorted(&recorded) != sorted(scene.records) {
        faults.push(format!("the server must record {:?}, and recorded {recorded:?}", scene.records));
    }
    faults
}

/// What a side sent, in order, copies left out.
fn said(stage: &Stage, side: usize) -> Vec<String> {
    let (mut seen, mut labels) = (Vec::new(), Vec::new());
    for transmit in stage.said.iter().filter(|transmit| transmit.path.local == stage.address(side)) {
        if !seen.contains(&&transmit.bytes) {
            seen.push(&transmit.bytes);
            labels.extend(Message::parse(transmit.bytes.clone()).map(|message| label(&message)));
        }
    }
    labels
}

fn saw(outcome: &Outcome) -> Saw {
    Saw {
        text: outcome.to_string(),
        end: outcome.end,
        by: outcome.by,
        status: outcome.status,
        reason: outcome.reason.as_ref().map(|reason| String::from_utf8_lossy(reason).into_owned()),
        lasted_ms: ms(outcome.timing.ended - outcome.timing.begun),
        cancelling_ms: outcome.timing.cancelling().map(ms),
    }
}

/// Milliseconds, to the microsecond.
fn ms(span: Duration) -> f64 {
    span.as_micros() as f64 / 1000.0
}

fn told(saw: Option<&Saw>) -> String {
    let Some(saw) = saw else { return "in session".to_owned() };
    let status = saw.status.map_or_else(String::new, |status| format!(" ({status})"));
    let waited = saw.cancelling_ms.map_or_else(String::new, |ms| format!(", {ms:.1} ms after the key"));
    format!("{}{status}{waited}", saw.text)
}

fn timeline(stage: &Stage) -> BTreeMap<&'static str, Vec<Span>> {
    let mut rows = BTreeMap::<_, Vec<_>>::new();
    for span in stage.timeline.spans() {
        rows.entry(stage.name(span.side)).or_default().push(span);
    }
    rows
}

fn ladder(stage: &Stage) -> Vec<Line> {
    let names: Vec<_> = stage.trace.parties().map(str::to_owned).collect();
    let entries = stage.trace.entries();
    let begin = entries.first().map(|entry| entry.at).unwrap_or_default();
    let line = |entry: &sim::ladder::Entry| {
        let at_ms = ms(entry.at.saturating_since(begin));
        match &entry.what {
            What::Message { from, to, label, rule, fate } => Line::Message {
                at_ms,
                from: names[*from].clone(),
                to: names[*to].clone(),
                message: label.clone(),
                rule,
                fate: match fate {
                    Fate::Arrives(_) => "arrives",
                    Fate::Doubled(_) => "doubled",
                    Fate::Lost => "lost",
                    Fate::Held => "held",
                    Fate::LetGo => "let go",
                },
            },
            What::Speech { from, to, packets } => {
                Line::Speech { at_ms, from: names[*from].clone(), to: names[*to].clone(), packets: *packets }
            }
            What::Note { place, text } => Line::Note { at_ms, at: names[*place].clone(), note: text.clone() },
        }
    };
    entries.iter().map(line).collect()
}
