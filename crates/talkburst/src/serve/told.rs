//! What the server tells: lines of JSON on standard output for scripts, a line an event on standard error for people. What
//! happens to users and sessions is told here; what happens to the program is logged ([`crate::watch::log`]).

use std::fmt;
use std::io::{self, Write};
use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;

use anstyle::{AnsiColor, Style};
use poc::server::{Function, Record, SessionType, Side};
use serde::Serialize;
use sip::usage::End;
use sip::{Duration, Instant};

const TIME: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const STRONG: Style = Style::new().bold();

/// Lines that may wait for somebody who reads slowly. Beyond it they are dropped.
const LINES_MAX: usize = 4096;

/// Lines that are written at once at most.
const LINES_AT_ONCE: usize = 256;

/// How long somebody who reads slowly is waited for at the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Everything that is told.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Told {
    Listening {
        udp: String,
        tcp: String,
        /// What is listened on besides, with both.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        others: Vec<String>,
        /// Where metrics are told.
        #[serde(skip_serializing_if = "Option::is_none")]
        metrics: Option<String>,
        domain: String,
        data: String,
        shards: u8,
        users: usize,
        groups: usize,
    },
    UserChanged {
        address: String,
    },
    UserRemoved {
        address: String,
    },
    GroupChanged {
        address: String,
        members: usize,
    },
    GroupRemoved {
        address: String,
    },
    BindingsChanged {
        address: String,
    },
    /// It is in the store.
    Closed(Box<Closed>),
    /// The same, but it could not be stored.
    Unstored(Box<Closed>),
    Dropped {
        count: u64,
    },
    NotStored {
        sessions: usize,
        why: String,
    },
    /// Nothing new is taken, and sessions are released, so many seconds at most.
    Releasing {
        within: f64,
    },
    Stopped {
        /// Records of sessions that had not ended.
        open: usize,
    },
}

/// An INVITE that is over.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Closed {
    shard: u8,
    serial: u64,
    function: Function,
    session_type: Option<SessionType>,
    inviter: String,
    /// The group that the INVITE was for.
    group: Option<String>,
    invitations: Vec<Invitation>,
    end: End,
    by: Side,
    status: Option<u16>,
    reason: Option<String>,
    /// Legs of which nobody knows how they have ended, since the server was stopped.
    open: usize,
    /// From the INVITE to its answer.
    answered_after: Option<f64>,
    /// From the INVITE to the end.
    ended_after: f64,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
struct Invitation {
    invited: String,
    end: End,
    status: Option<u16>,
    answered_after: Option<f64>,
    ended_after: f64,
}

#[derive(Serialize)]
struct Line<'a> {
    at: f64,
    #[serde(flatten)]
    told: &'a Told,
}

impl Closed {
    pub(crate) fn new(shard: u8, record: &Record) -> Self {
        let after = |at: Instant| seconds(at.since_start().saturating_sub(record.begun.since_start()));
        let invitations = record.invitations.iter().map(|invitation| Invitation {
            invited: text(&invitation.invited),
            end: invitation.end,
            status: invitation.status,
            answered_after: invitation.answered.map(after),
            ended_after: after(invitation.ended),
        });
        Self {
            shard,
            serial: record.serial,
            function: record.function,
            session_type: record.session_type,
            inviter: text(&record.inviter),
            group: (!record.group.is_empty()).then(|| text(&record.group)),
            invitations: invitations.collect(),
            end: record.end,
            by: record.by,
            status: record.status,
            reason: record.reason.as_deref().map(text),
            open: record.open,
            answered_after: record.answered.map(after),
            ended_after: after(record.ended),
        }
    }

    /// As the store keeps it.
    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("text, numbers and names of text")
    }
}

/// Tells, on a thread of its own: who reads slowly holds nobody up.
pub(crate) struct Voice {
    json: bool,
    lines: SyncSender<String>,
    writer: JoinHandle<()>,
    /// Lines that nobody was quick enough to read.
    dropped: u64,
}

impl Voice {
    pub(crate) fn new(json: bool) -> Self {
        let (lines, waiting) = mpsc::sync_channel::<String>(LINES_MAX);
        let writer = std::thread::spawn(move || {
            // Who closes the pipe wants to hear no more; the server goes on.
            while let Ok(mut lines) = waiting.recv() {
                for line in waiting.try_iter().take(LINES_AT_ONCE) {
                    lines.push('\n');
                    lines.push_str(&line);
                }
                if write(json, &lines).is_err() {
                    break;
                }
            }
        });
        Self { json, lines, writer, dropped: 0 }
    }

    /// Tells what happened at `at`.
    pub(crate) fn tell(&mut self, at: Instant, told: &Told) {
        let line = if self.json {
            serde_json::to_string(&Line { at: seconds(at.since_start()), told }).expect("numbers and text")
        } else {
            format!("{TIME}{:>9.3}{TIME:#}  {told}", at.since_start().as_secs_f64())
        };
        self.line(line);
    }

    /// A line for people only.
    pub(crate) fn hint(&mut self, line: &str) {
        if !self.json {
            self.line(line.to_owned());
        }
    }

    /// Lines that nobody was quick enough to read.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn line(&mut self, line: String) {
        self.dropped += u64::from(matches!(self.lines.try_send(line), Err(mpsc::TrySendError::Full(_))));
    }

    /// Writes what waits, if somebody reads it.
    pub(crate) fn close(self) {
        let Self { lines, writer, .. } = self;
        drop(lines);
        let until = std::time::Instant::now() + PATIENCE;
        while !writer.is_finished() && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn write(json: bool, line: &str) -> io::Result<()> {
    if json {
        let mut out = io::stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()
    } else {
        writeln!(anstream::stderr().lock(), "{line}")
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { udp, tcp, others, metrics, domain, data, shards, users, groups } => {
                write!(f, "{STRONG}serving {domain}{STRONG:#} on udp {udp} and tcp {tcp}")?;
                others.iter().try_for_each(|other| write!(f, " and both {other}"))?;
                f.write_str(": ")?;
                write!(f, "{users} users, {groups} groups, {shards} shards, data in {data}")?;
                metrics.as_ref().map_or(Ok(()), |metrics| write!(f, ", metrics at http://{metrics}/metrics"))
            }
            Self::UserChanged { address } => write!(f, "{} is a user, or has changed", safe(address)),
            Self::UserRemoved { address } => write!(f, "{} is no user any more", safe(address)),
            Self::GroupChanged { address, members } => {
                write!(f, "{} is a group of {members}, or has changed", safe(address))
            }
            Self::GroupRemoved { address } => write!(f, "{} is no group any more", safe(address)),
            Self::BindingsChanged { address } => write!(f, "the bindings of {} have changed", safe(address)),
            Self::Closed(closed) => closed.fmt(f),
            Self::Unstored(closed) => write!(f, "{BAD}not stored{BAD:#}: {closed}"),
            Self::Dropped { count } => write!(f, "{BAD}dropped so far: {count}{BAD:#}"),
            Self::NotStored { sessions, why } => {
                write!(f, "{BAD}{sessions} sessions could not be stored{BAD:#}: {why}")
            }
            Self::Releasing { within } => write!(f, "releasing all sessions, for {within} s at most"),
            Self::Stopped { open: 0 } => f.write_str("stopped"),
            Self::Stopped { open } => {
                write!(f, "{BAD}stopped{BAD:#} with {open} sessions that had not ended")
            }
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut invited: Vec<_> = self.invitations.iter().map(|each| safe(&each.invited)).collect();
        let group = self.group.as_deref().map(safe);
        let what = match self.function {
            Function::Controlling => "session",
            // The Participating PoC Function of the inviter.
            Function::Participating if group.is_some() && group.as_ref() == invited.first() => {
                invited.clear();
                "call"
            }
            Function::Participating => "invitation",
        };
        let inviter = if self.inviter.is_empty() { "somebody".to_owned() } else { safe(&self.inviter) };
        let with = if invited.is_empty() { "" } else { " with " };
        write!(f, "{what} of {inviter}")?;
        if let Some(group) = group {
            write!(f, " in {group}")?;
        }
        write!(f, "{with}{}: ", invited.join(", "))?;
        let style = if matches!(self.end, End::Cancelled | End::Left | End::Released) { GOOD } else { BAD };
        let (end, by) = (name(&self.end), name(&self.by));
        write!(f, "{style}{end}{style:#} by {by}")?;
        if let Some(status) = self.status {
            write!(f, " ({status})")?;
        }
        write!(f, " after {:.3} s", self.ended_after)?;
        self.reason.as_ref().map_or(Ok(()), |reason| write!(f, "; reason: {}", safe(reason)))
    }
}

/// The name that JSON has for it.
fn name(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(_) | Err(_) => String::new(),
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// Seconds, to the microsecond.
fn seconds(span: Duration) -> f64 {
    span.as_micros() as f64 / 1_000_000.0
}

/// What a peer wrote must not command the terminal.
fn safe(text: &str) -> String {
    text.chars().map(|each| if each.is_control() { char::REPLACEMENT_CHARACTER } else { each }).collect()
}
