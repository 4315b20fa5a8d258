//! What is said: lines of JSON for scripts; for people a line an event, or a screen. Standard error has the story.

use std::collections::VecDeque;
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
use super::screen::{Levels, Screen, View};

const TIME: Style = Style::new().dimmed();
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default();
pub(super) const CALL: Style = Style::new().bold();

/// Ends and ladders that wait until the screen is gone; a program that answers for long has more of them.
const KEPT_MAX: usize = 64;

/// Says what happens.
pub(crate) struct Voice {
    json: bool,
    /// In raw mode a terminal does not begin a new line at its left edge by itself.
    raw: bool,
    screen: Option<Box<Screen>>,
    /// What is told once the screen is gone.
    kept: VecDeque<String>,
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
        /// Packets that never came, or not in time, and what came too late.
        missing: u64,
        late: u64,
    },
    Ended(Ended),
}

/// What the PoC Server calls a session; nothing where nobody is between the two.
#[derive(Serialize, Default)]
pub(crate) struct Named {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) session_type: Option<SessionType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) identity: Option<String>,
}

impl From<Option<&Focus>> for Named {
    fn from(focus: Option<&Focus>) -> Self {
        Self {
            session_type: focus.map(|focus| focus.session_type),
            identity: focus.map(|focus| String::from_utf8_lossy(&focus.identity).into_owned()),
        }
    }
}

impl Named {
    /// The kind of the session.
    pub(super) fn kind(&self) -> Option<&'static str> {
        self.session_type.map(SessionType::as_str)
    }
}

/// One who takes part, or may do so.
#[derive(Serialize)]
pub(crate) struct Participant {
    pub(super) address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    pub(super) status: Option<&'static str>,
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
    pub(super) audio: String,
    pub(super) codec: String,
    pub(super) direction: String,
    pub(super) control: Option<String>,
}

/// How a session ended.
#[derive(Serialize)]
pub(crate) struct Ended {
    pub(super) session: u32,
    pub(super) end: End,
    pub(super) by: Party,
    pub(super) status: Option<u16>,
    pub(super) reason: Option<String>,
    pub(super) description: String,
    pub(super) missed: bool,
    /// From the wish to cancel to the end; `None` if there was no such wish.
    pub(super) seconds_to_end: Option<f64>,
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
        Self { json, raw: false, screen: None, kept: VecDeque::new(), failure: None }
    }

    /// Tells on this screen, until [`Self::leave_screen`].
    pub(crate) fn tell_on(&mut self, screen: Option<Screen>) {
        self.screen = screen.map(Box::new);
    }

    pub(crate) fn has_screen(&self) -> bool {
        self.screen.is_some()
    }

    /// From now on what happens is told in lines; first how sessions have ended.
    pub(crate) fn leave_screen(&mut self) {
        drop(self.screen.take());
        for text in std::mem::take(&mut self.kept) {
            self.output(&text);
        }
    }

    /// Who the user is.
    pub(crate) fn introduce(&mut self, address: &str) {
        if let Some(screen) = &mut self.screen {
            screen.introduce(address);
        }
    }

    /// Shows what has changed on the screen, and the key and the levels as they are now.
    pub(crate) fn show(&mut self, now: Instant, is_pressed: bool, levels: Levels) {
        if let Some(screen) = &mut self.screen {
            let shown = screen.show(now, is_pressed, levels);
            self.keep(shown);
        }
    }

    /// When to call [`Self::show`], though nothing has happened.
    pub(crate) fn show_due(&self) -> Option<Instant> {
        self.screen.as_ref()?.due()
    }

    /// Shows something else on the screen.
    pub(crate) fn turn_to(&mut self, view: View) {
        if let Some(screen) = &mut self.screen {
            let turned = screen.turn_to(view);
            self.keep(turned);
        }
    }

    /// Whether the screen wants to show the place in the queue; asked once.
    pub(crate) fn take_question(&mut self) -> bool {
        self.screen.as_mut().is_some_and(|screen| screen.take_question())
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
        if self.json {
            return match serde_json::to_string(&Line { at: seconds(at.since_start()), told }) {
                Ok(line) => self.output(&line),
                Err(error) => self.keep(Err(error.into())),
            };
        }
        let text = || format!("{TIME}{:>9.3}{TIME:#}  {told}", at.since_start().as_secs_f64());
        let Some(screen) = &mut self.screen else { return self.output(&text()) };
        screen.tell(at, told);
        if matches!(told, Told::Ended(_)) {
            self.keep_for_later(text());
        }
    }

    fn keep_for_later(&mut self, text: String) {
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(text);
    }

    /// Shows the ladder of a session.
    pub(crate) fn ladder(&mut self, ladder: &str) {
        let text = format!("\n{}", safe_lines(ladder));
        match (self.json, self.has_screen()) {
            (true, _) => self.story(&text),
            (false, true) => self.keep_for_later(text),
            (false, false) => self.output(&text),
        }
    }

    /// A line that is no answer: a hint, a refusal.
    pub(crate) fn story(&mut self, text: &str) {
        if let Some(screen) = &mut self.screen {
            return screen.story(text);
        }
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
            Self::Heard { packets, missing: 0, .. } => write!(f, "heard {packets} packets"),
            Self::Heard { packets, missing, .. } => {
                write!(f, "heard {packets} packets; {missing} were missing")
            }
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
    text.chars().map(|each| if is_command(each) { char::REPLACEMENT_CHARACTER } else { each }).collect()
}

/// Whether this commands the terminal: controls, ends of lines, and what turns the direction of what follows.
pub(super) fn is_command(each: char) -> bool {
    each.is_control()
        || matches!(each, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
