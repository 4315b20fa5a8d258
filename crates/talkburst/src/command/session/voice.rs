//! What is said: lines of JSON for scripts, a line an event for people. Standard error has the story.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use poc::body::conference_info::{Endpoint, Status, User};
use poc::client::Change;
use poc::sdp::Media;
use poc::{Focus, Outcome, SessionType};
use serde::Serialize;
use sip::usage::{End, Party};
use sip::{Duration, Instant};

use super::bursts::Burst;

const TIME: Style = Style::new().dimmed();
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default();
pub(super) const CALL: Style = Style::new().bold();

/// Says what happens.
pub(crate) struct Voice {
    json: bool,
    /// In raw mode a terminal does not begin a new line at its left edge by itself.
    raw: bool,
    failure: Option<io::Error>,
}

/// Everything that is told on standard output.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Told {
    Listening {
        #[serde(skip_serializing_if = "Option::is_none")]
        udp: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tcp: Option<String>,
    },
    Registered {
        user: String,
        seconds: u64,
    },
    RegistrationFailed {
        status: Option<u16>,
        /// `None`: it is not tried again.
        seconds_to_retry: Option<u64>,
    },
    Deregistered {
        status: Option<u16>,
    },
    Published,
    PublishingFailed {
        status: Option<u16>,
        seconds_to_retry: Option<u64>,
    },
    Calling {
        session: u32,
        uri: String,
        target: String,
    },
    Progress {
        session: u32,
        status: u16,
    },
    Invited {
        session: u32,
        from: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        group: Option<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        others: Vec<String>,
        #[serde(flatten)]
        focus: Named,
        answer_mode: &'static str,
    },
    Established {
        session: u32,
        answer_state: &'static str,
        #[serde(flatten)]
        focus: Named,
        media: Agreed,
    },
    PreEstablished,
    NotPreEstablished {
        status: Option<u16>,
        /// `None`: it is not tried again.
        seconds_to_retry: Option<u64>,
    },
    Participants {
        session: u32,
        participants: Vec<Participant>,
    },
    ParticipantsUnknown {
        session: u32,
        status: Option<u16>,
    },
    /// Somebody is being added, or removed.
    MemberProgress {
        session: u32,
        change: Change,
        user: String,
        status: u16,
    },
    MemberChanged {
        session: u32,
        change: Change,
        user: String,
        status: Option<u16>,
    },
    Alerting {
        uri: String,
        target: String,
    },
    AlertAnswered {
        status: Option<u16>,
    },
    Alerted {
        from: String,
        text: String,
    },
    Advertised {
        from: String,
        group: String,
        name: Option<String>,
        kind: Option<&'static str>,
        note: Option<String>,
    },
    Modified {
        session: u32,
        media: Agreed,
    },
    ModificationEnded {
        session: u32,
        end: End,
        by: Party,
        status: Option<u16>,
    },
    Cancelling {
        session: u32,
    },
    TalkBurst {
        session: u32,
        #[serde(flatten)]
        burst: Burst,
    },
    /// What was heard of a talk burst.
    Heard {
        session: u32,
        packets: u64,
    },
    Ended(Ended),
}

/// What the PoC Server calls a session; nothing where nobody is between the two.
#[derive(Serialize, Default)]
pub(crate) struct Named {
    #[serde(skip_serializing_if = "Option::is_none")]
    session_type: Option<SessionType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
}

impl From<Option<&Focus>> for Named {
    fn from(focus: Option<&Focus>) -> Self {
        Self {
            session_type: focus.map(|focus| focus.session_type),
            identity: focus.map(|focus| String::from_utf8_lossy(&focus.identity).into_owned()),
        }
    }
}

/// One who takes part, or may do so.
#[derive(Serialize)]
pub(crate) struct Participant {
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    status: Option<&'static str>,
}

impl From<&User> for Participant {
    fn from(user: &User) -> Self {
        // A user with several terminals is as far as the first that is in.
        let stands = |endpoint: &Endpoint| endpoint.status;
        let connected = user.endpoints.iter().filter_map(stands).find(|each| *each == Status::Connected);
        let status = connected.or_else(|| user.endpoints.iter().find_map(stands));
        Self {
            address: String::from_utf8_lossy(&user.entity).into_owned(),
            name: user.display_text.clone(),
            status: status.map(Status::as_str),
        }
    }
}

/// The media agreed on.
#[derive(Serialize)]
pub(crate) struct Agreed {
    audio: String,
    codec: String,
    direction: String,
    control: Option<String>,
}

/// How a session ended.
#[derive(Serialize)]
pub(crate) struct Ended {
    session: u32,
    end: End,
    by: Party,
    status: Option<u16>,
    reason: Option<String>,
    description: String,
    missed: bool,
    /// From the wish to cancel to the end; `None` if there was no such wish.
    seconds_to_end: Option<f64>,
}

#[derive(Serialize)]
struct Line<'a> {
    at: f64,
    #[serde(flatten)]
    told: &'a Told,
}

impl From<&Media> for Agreed {
    fn from(media: &Media) -> Self {
        Self {
            audio: media.audio.to_string(),
            codec: media.codec.name.clone(),
            direction: media.direction.to_string(),
            control: media.control.map(|control| control.to_string()),
        }
    }
}

impl Ended {
    pub(crate) fn new(session: u32, outcome: &Outcome) -> Self {
        Self {
            session,
            end: outcome.end,
            by: outcome.by,
            status: outcome.status,
            reason: outcome.reason.as_ref().map(|reason| String::from_utf8_lossy(reason).into_owned()),
            description: outcome.to_string(),
            missed: outcome.is_missed(),
            seconds_to_end: outcome.timing.cancelling().map(seconds),
        }
    }

    /// The user gave up before an INVITE had left.
    pub(crate) fn before_the_invite(session: u32) -> Self {
        Self {
            session,
            end: End::Cancelled,
            by: Party::Local,
            status: None,
            reason: None,
            description: "cancelled".to_owned(),
            missed: false,
            seconds_to_end: Some(0.0),
        }
    }
}

impl Voice {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, raw: false, failure: None }
    }

    /// Whether the terminal is in raw mode.
    pub(crate) fn set_raw(&mut self, raw: bool) {
        self.raw = raw;
    }

    /// Why nobody hears any more.
    pub(crate) fn failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Tells what happened at `at`.
    pub(crate) fn tell(&mut self, at: Instant, told: &Told) {
        let text = if self.json {
            match serde_json::to_string(&Line { at: seconds(at.since_start()), told }) {
                Ok(line) => line,
                Err(error) => return self.keep(Err(error.into())),
            }
        } else {
            format!("{TIME}{:>9.3}{TIME:#}  {told}", at.since_start().as_secs_f64())
        };
        self.output(&text);
    }

    /// Shows the ladder of a session.
    pub(crate) fn ladder(&mut self, ladder: &str) {
        let text = format!("\n{}", safe_lines(ladder));
        if self.json { self.story(&text) } else { self.output(&text) }
    }

    /// A line that is no answer: a hint, a refusal.
    pub(crate) fn story(&mut self, text: &str) {
        let text = self.lines(text, io::stderr().is_terminal());
        // Who cannot be told cannot be told so either.
        let _ = anstream::stderr().lock().write_all(text.as_bytes());
    }

    fn output(&mut self, text: &str) {
        let text = self.lines(text, io::stdout().is_terminal());
        let mut out = anstream::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        self.keep(written);
    }

    fn keep(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.failure.get_or_insert(error);
        }
    }

    fn lines(&self, text: &str, is_terminal: bool) -> String {
        let end = if self.raw && is_terminal { "\r\n" } else { "\n" };
        text.split('\n').fold(String::new(), |lines, line| lines + line + end)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { udp, tcp } => {
                let each = [("udp", udp), ("tcp", tcp)];
                let each = each.iter().filter_map(|(name, at)| at.as_ref().map(|at| format!("{name} {at}")));
                write!(f, "listening on {}", each.collect::<Vec<_>>().join(" and "))
            }
            Self::Registered { user, seconds } => {
                write!(f, "registered as {} for {seconds} s", safe(user))
            }
            Self::RegistrationFailed { status, seconds_to_retry } => {
                write!(f, "{BAD}not registered{BAD:#}{}", why(*status, *seconds_to_retry))
            }
            Self::Deregistered { status: Some(200..=299) } => f.write_str("no longer registered"),
            Self::Deregistered { status } => {
                write!(f, "{BAD}the server may take us for registered still{BAD:#}{}", why(*status, None))
            }
            Self::Published => f.write_str("settings published"),
            Self::PublishingFailed { status, seconds_to_retry } => {
                write!(f, "{BAD}settings not published{BAD:#}{}", why(*status, *seconds_to_retry))
            }
            Self::Calling { uri, target, .. } => {
                write!(f, "{CALL}calling {}{CALL:#} at {target}", safe(uri))
            }
            Self::Progress { status: 180, .. } => f.write_str("it rings (180)"),
            Self::Progress { status, .. } => write!(f, "progress ({status})"),
            Self::Invited { from, group, others, answer_mode, .. } => {
                write!(f, "{CALL}invited by {}{CALL:#}", safe(from))?;
                if let Some(group) = group {
                    write!(f, " for {}", safe(group))?;
                }
                if !others.is_empty() {
                    let others: Vec<_> = others.iter().map(|other| safe(other)).collect();
                    write!(f, " with {}", others.join(", "))?;
                }
                if *answer_mode == "automatic" { f.write_str(", answered automatically") } else { Ok(()) }
            }
            Self::Established { answer_state, media, .. } => {
                let state = if *answer_state == "unconfirmed" { ", not confirmed yet" } else { "" };
                let (codec, audio) = (safe(&media.codec), &media.audio);
                write!(f, "{GOOD}in session{GOOD:#}{state}: {codec} to {audio}")?;
                if media.direction == "sendrecv" { Ok(()) } else { write!(f, ", {}", media.direction) }
            }
            Self::Modified { media, .. } => {
                write!(f, "media changed: {} to {}, {}", safe(&media.codec), media.audio, media.direction)
            }
            Self::ModificationEnded { status, .. } => {
                f.write_str("media as before")?;
                status.map_or(Ok(()), |status| write!(f, " ({status})"))
            }
            Self::PreEstablished => f.write_str("a session is pre-established"),
            Self::NotPreEstablished { status: None, seconds_to_retry: None } => {
                f.write_str("no session is pre-established any more")
            }
            Self::NotPreEstablished { status, seconds_to_retry } => {
                write!(f, "no session is pre-established{}", why(*status, *seconds_to_retry))
            }
            Self::Participants { participants, .. } => {
                f.write_str("with ")?;
                for (place, participant) in participants.iter().enumerate() {
                    let comma = if place > 0 { ", " } else { "" };
                    write!(f, "{comma}{}", safe(&participant.address))?;
                    match participant.status {
                        Some("connected") | None => {}
                        Some(status) => write!(f, " ({status})")?,
                    }
                }
                if participants.is_empty() { f.write_str("nobody") } else { Ok(()) }
            }
            Self::ParticipantsUnknown { status: None, .. } => f.write_str("who takes part is told no longer"),
            Self::ParticipantsUnknown { status, .. } => {
                write!(f, "who takes part is not told{}", why(*status, None))
            }
            Self::MemberProgress { user, status, .. } => write!(f, "{}: progress ({status})", safe(user)),
            Self::MemberChanged { change, user, status, .. } => {
                let is_done = matches!(status, Some(200..=299));
                let (what, style) = match (change, is_done) {
                    (Change::Add, true) => ("added", GOOD),
                    (Change::Add, false) => ("not added", BAD),
                    (Change::Remove, true) => ("removed", GOOD),
                    (Change::Remove, false) => ("not removed", BAD),
                };
                let why = if is_done { String::new() } else { why(*status, None) };
                write!(f, "{}: {style}{what}{style:#}{why}", safe(user))
            }
            Self::Alerting { uri, target } => write!(f, "{CALL}alerting {}{CALL:#} at {target}", safe(uri)),
            Self::AlertAnswered { status: Some(202) } => f.write_str("taken on for delivery (202)"),
            Self::AlertAnswered { status: Some(200..=299) } => write!(f, "{GOOD}delivered{GOOD:#}"),
            Self::AlertAnswered { status } => write!(f, "{BAD}not delivered{BAD:#}{}", why(*status, None)),
            Self::Alerted { from, text } => {
                write!(f, "{CALL}{} wants to be called back{CALL:#}", safe(from))?;
                if text.is_empty() { Ok(()) } else { write!(f, ": {}", safe(text)) }
            }
            Self::Advertised { from, group, name, kind, note } => {
                write!(f, "{CALL}{} tells of the group {}{CALL:#}", safe(from), safe(group))?;
                if let Some(name) = name {
                    write!(f, ", {}", safe(name))?;
                }
                if let Some(kind) = kind {
                    write!(f, ", {kind}")?;
                }
                note.as_ref().map_or(Ok(()), |note| write!(f, ": {}", safe(note)))
            }
            Self::Cancelling { .. } => f.write_str("cancelling"),
            Self::TalkBurst { burst, .. } => write!(f, "{burst}"),
            Self::Heard { packets, .. } => write!(f, "heard {packets} packets"),
            Self::Ended(ended) => {
                let style =
                    if matches!(ended.end, End::Cancelled | End::Left | End::Released) { GOOD } else { BAD };
                write!(f, "{style}{}{style:#}", ended.description)?;
                if let Some(status) = ended.status {
                    write!(f, " ({status})")?;
                }
                if let Some(seconds) = ended.seconds_to_end {
                    write!(f, ", {:.1} ms after the wish", seconds * 1000.0)?;
                }
                match &ended.reason {
                    Some(reason) => write!(f, "; reason: {}", safe(reason)),
                    None => Ok(()),
                }
            }
        }
    }
}

/// With which status something failed, and when it is tried again.
fn why(status: Option<u16>, seconds_to_retry: Option<u64>) -> String {
    let status = status.map_or_else(|| ": no answer".to_owned(), |status| format!(" ({status})"));
    let retry = seconds_to_retry.map(|seconds| format!(", tried again in {seconds} s"));
    status + &retry.unwrap_or_default()
}

/// Seconds, to the microsecond.
fn seconds(span: Duration) -> f64 {
    span.as_micros() as f64 / 1_000_000.0
}

/// What a peer wrote must not command the terminal.
pub(super) fn safe(text: &str) -> String {
    text.chars().map(|each| if each.is_control() { char::REPLACEMENT_CHARACTER } else { each }).collect()
}

fn safe_lines(text: &str) -> String {
    text.lines().map(safe).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_writes_cannot_command_the_terminal() {
        let from = "\"\u{1b}[2J\u{9b}1m\r\n\" <sip:a@b>".to_owned();
        let focus = Named::default();
        let told =
            Told::Invited { session: 1, from, group: None, others: Vec::new(), focus, answer_mode: "manual" }
                .to_string();
        assert!(told.contains("\u{fffd}[2J\u{fffd}1m\u{fffd}\u{fffd}"), "{told:?}");
    }

    #[test]
    fn absent_transports_are_left_out() {
        let told = Told::Listening { udp: Some("127.0.0.1:5060".to_owned()), tcp: None };
        let line = serde_json::to_string(&Line { at: 0.5, told: &told }).unwrap();
        assert_eq!(line, r#"{"at":0.5,"event":"listening","udp":"127.0.0.1:5060"}"#);
    }
}
