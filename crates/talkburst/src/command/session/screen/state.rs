//! What there is to show: what has been told, and nothing else.
//!
//! Nothing here reads a clock or knows a terminal. What is told goes in; the drawing reads the fields.

use std::collections::VecDeque;

use poc::SessionType;
use sip::usage::End;
use sip::{Duration, Instant};

use super::super::bursts::Burst;
use super::super::voice::{Participant, Told};
use super::text::{Name, shown};

/// Lines of what happened that are kept.
const LINES_MAX: usize = 200;

/// How long a notice is shown that nothing else replaces.
const NOTICE_SPAN: Duration = Duration::from_secs(8);

/// The level below which nothing is shown.
pub(super) const SILENCE_DB: i16 = -60;

/// By how many decibels a level that is shown falls in a second.
const FALL_A_SECOND: f32 = 30.0;

/// How loud it is, in dBFS, if anything is said or heard.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Levels {
    pub(crate) spoken: Option<f32>,
    pub(crate) heard: Option<f32>,
}

/// What the program was started for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    Call,
    Answer,
}

/// What the terminal tells of keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reports {
    /// It has not been found out.
    Unknown,
    /// That one is pressed: the key is pressed once to speak and once to stop.
    Presses,
    /// That one is let go, too: the key is held.
    Releases,
}

/// What a line means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tone {
    /// Nothing is to be done.
    Quiet,
    /// Somebody else speaks.
    Theirs,
    /// The user speaks, or what was wanted was done.
    Good,
    /// The user is asked for something.
    Asks,
    /// It was refused, or has failed.
    Bad,
}

/// Where the registration is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Link {
    /// There is no server.
    Direct,
    Registered,
    Failed(Option<u16>),
}

/// Where the session is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Nowhere,
    Calling {
        rings: bool,
    },
    Cancelling,
    /// `asks`: the user is to answer.
    Invited {
        asks: bool,
    },
    Session,
}

/// What became of the wish to speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Own {
    /// There is none.
    Silent,
    Asking,
    Queued {
        place: Option<u16>,
    },
    /// The key is to be pressed until then.
    Turn {
        until: Instant,
    },
    Speaks {
        limit: Option<Span>,
    },
    /// Nobody may ask until then.
    Barred {
        limit: Span,
    },
}

/// A span that passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    pub(super) whole: Duration,
    pub(super) until: Instant,
}

impl Span {
    fn new(at: Instant, seconds: u16) -> Self {
        let whole = Duration::from_secs(seconds.into());
        Self { whole, until: at + whole }
    }

    /// Whole seconds that are left, the one that has begun too.
    pub(super) fn seconds(self, now: Instant) -> u64 {
        seconds_until(self.until, now)
    }

    /// How much is left, of 1, in whole seconds.
    pub(super) fn share(self, now: Instant) -> f64 {
        let whole = self.whole.as_secs_f64();
        if whole > 0.0 { (self.seconds(now) as f64 / whole).min(1.0) } else { 0.0 }
    }
}

/// Whole seconds until then, the one that has begun too.
pub(super) fn seconds_until(until: Instant, now: Instant) -> u64 {
    until.saturating_since(now).as_nanos().div_ceil(1_000_000_000) as u64
}

/// One who takes part, or may do so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Person {
    pub(super) who: Name,
    /// `None`: takes part.
    pub(super) status: Option<&'static str>,
}

/// What the user should have seen, for a while.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Notice {
    pub(super) tone: Tone,
    pub(super) text: String,
    /// `None`: until something else happens.
    pub(super) until: Option<Instant>,
}

/// How loud it is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Meter {
    pub(super) is_own: bool,
    level: f32,
    at: Instant,
}

impl Meter {
    /// To the decibel.
    pub(super) fn db(self) -> i16 {
        self.level.round() as i16
    }
}

/// Everything that is shown.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct State {
    pub(super) purpose: Purpose,
    pub(super) us: Name,
    pub(super) link: Link,
    pub(super) place: Place,
    /// Whom, or what, the session is with.
    pub(super) with: Vec<Name>,
    pub(super) kind: Option<&'static str>,
    pub(super) people: Vec<Person>,
    /// The first of them that is shown.
    pub(super) scroll: usize,
    pub(super) speaker: Option<Name>,
    pub(super) own: Own,
    /// Whether there is talk burst control.
    pub(super) has_bursts: bool,
    pub(super) is_pressed: bool,
    pub(super) notice: Option<Notice>,
    pub(super) lines: VecDeque<(Instant, String)>,
    pub(super) meter: Option<Meter>,
    pub(super) reports: Reports,
    pub(super) has_bell: bool,
    /// The user is to be called by the bell.
    rings: bool,
    /// The place in the queue may have changed.
    wants_place: bool,
}

impl State {
    pub(super) fn new(purpose: Purpose, has_bell: bool) -> Self {
        Self {
            purpose,
            us: Name::new("", None),
            link: Link::Direct,
            place: Place::Nowhere,
            with: Vec::new(),
            kind: None,
            people: Vec::new(),
            scroll: 0,
            speaker: None,
            own: Own::Silent,
            has_bursts: false,
            is_pressed: false,
            notice: None,
            lines: VecDeque::new(),
            meter: None,
            reports: Reports::Unknown,
            has_bell,
            rings: false,
            wants_place: false,
        }
    }

    /// Who the user is.
    pub(super) fn introduce(&mut self, address: &str) {
        self.us = Name::new(address, None);
    }

    /// What the terminal tells of keys has been found out.
    pub(super) fn find_out(&mut self, reports: Reports) {
        self.reports = reports;
    }

    /// Another part of those who take part is looked at.
    pub(super) fn scroll_by(&mut self, rows: isize) {
        let last = self.people.len().saturating_sub(1);
        self.scroll = self.scroll.saturating_add_signed(rows).min(last);
    }

    pub(super) fn switch_bell(&mut self) {
        self.has_bell = !self.has_bell;
    }

    /// Whether the bell is to be heard; asked once.
    pub(super) fn take_ring(&mut self) -> bool {
        std::mem::take(&mut self.rings) && self.has_bell
    }

    /// Whether the place in the queue is to be asked for; asked once.
    pub(super) fn take_question(&mut self) -> bool {
        std::mem::take(&mut self.wants_place)
    }

    /// When time alone changes what is shown.
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let counts = match self.own {
            Own::Silent | Own::Asking | Own::Queued { .. } | Own::Speaks { limit: None } => None,
            Own::Turn { until } => Some(until),
            Own::Speaks { limit: Some(limit) } | Own::Barred { limit } => Some(limit.until),
        };
        // The second that has begun is shown until it is over.
        let begun = |until| Duration::from_secs(seconds_until(until, now) - 1);
        let second = counts
            .filter(|until| *until > now)
            .map(|until| Instant::at(until.since_start().saturating_sub(begun(until))));
        let notice = self.notice.as_ref().and_then(|notice| notice.until).filter(|until| *until > now);
        second.into_iter().chain(notice).min()
    }

    /// What is over by `now` is shown no longer.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.notice.as_ref().is_some_and(|notice| notice.until.is_some_and(|until| until <= now)) {
            self.notice = None;
        }
    }

    /// Whether the user presses the key, as it is now. Whether that shows.
    pub(super) fn press(&mut self, is_pressed: bool) -> bool {
        let was_pressed = std::mem::replace(&mut self.is_pressed, is_pressed);
        let own = match self.own {
            Own::Silent if is_pressed && !was_pressed => Own::Asking,
            // Whoever lets go gives it up; what was granted to nobody's key is given back at once.
            Own::Asking | Own::Speaks { .. } if !is_pressed => Own::Silent,
            Own::Queued { .. } | Own::Turn { .. } if was_pressed && !is_pressed => Own::Silent,
            own @ (Own::Silent
            | Own::Asking
            | Own::Queued { .. }
            | Own::Turn { .. }
            | Own::Speaks { .. }
            | Own::Barred { .. }) => own,
        };
        std::mem::replace(&mut self.own, own) != own
    }

    /// How loud it is at `now`. Whether that shows.
    ///
    /// Only of a talk burst: what was measured last of another one is over. It rises at once and falls slowly, to be read.
    pub(super) fn measure(&mut self, now: Instant, levels: Levels) -> bool {
        let is_own = matches!(self.own, Own::Speaks { .. });
        let level = if is_own { levels.spoken } else { levels.heard.filter(|_| self.speaker.is_some()) };
        let before = self.meter.filter(|meter| meter.is_own == is_own);
        let is_on = is_own || self.speaker.is_some();
        let meter = match (level, before) {
            (None, None) => None,
            _ if !is_on => None,
            (level, before) => {
                let silence = f32::from(SILENCE_DB);
                // What is no number is silence.
                let level = level.unwrap_or(silence).max(silence).min(0.0);
                let falls =
                    |meter: Meter| meter.level - FALL_A_SECOND * now.saturating_since(meter.at).as_secs_f32();
                let level = before.map_or(level, |before| level.max(falls(before)));
                Some(Meter { is_own, level, at: now })
            }
        };
        let shown = |meter: Option<Meter>| meter.map(|meter| (meter.is_own, meter.db()));
        shown(std::mem::replace(&mut self.meter, meter)) != shown(meter)
    }

    /// A hint, or a refusal of our own.
    pub(super) fn story(&mut self, at: Instant, text: &str) {
        self.line(at, text.trim());
        self.note(at, Tone::Bad, text.trim());
    }

    /// What happened at `at`.
    pub(super) fn tell(&mut self, at: Instant, told: &Told) {
        let text = anstream::adapter::strip_str(&told.to_string()).to_string();
        match told {
            Told::Participants { participants, .. } => return self.meet(participants),
            // What is heard is shown while it is.
            Told::Heard { .. } => return,
            Told::Registered { user, .. } => {
                self.introduce(user);
                self.link = Link::Registered;
            }
            Told::RegistrationFailed { status, .. } => {
                self.link = Link::Failed(*status);
                self.note(at, Tone::Bad, &text);
            }
            Told::Calling { uri, .. } => {
                self.begin(Place::Calling { rings: false });
                self.with = uri.split(", ").map(|uri| Name::new(uri, None)).collect();
            }
            Told::Progress { status, .. } => {
                if let Place::Calling { rings } = &mut self.place {
                    *rings |= *status == 180;
                }
            }
            Told::Invited { from, group, others, answer_mode, .. } => {
                self.be_invited(from, group.as_deref(), others, *answer_mode == "manual");
            }
            Told::Cancelling { .. } => self.place = Place::Cancelling,
            Told::Established { answer_state, focus, media, .. } => {
                self.place = Place::Session;
                // In a 1-1 session nobody tells when somebody has.
                if *answer_state == "unconfirmed" {
                    self.note(at, Tone::Quiet, "nobody has accepted yet: what is said is kept");
                }
                self.kind = focus.kind();
                self.has_bursts = media.control.is_some();
                self.gather(focus.session_type);
            }
            Told::TalkBurst { burst, .. } => self.tell_burst(at, burst, &text),
            Told::Ended(ended) => {
                self.begin(Place::Nowhere);
                let is_fine =
                    matches!(ended.end, End::Left | End::Released | End::Cancelled) && !ended.missed;
                let tone = if is_fine { Tone::Quiet } else { Tone::Bad };
                self.notice = Some(Notice { tone, text: shown(&text), until: None });
            }
            Told::Alerted { .. } | Told::Advertised { .. } => {
                self.note(at, Tone::Asks, &text);
                self.rings = true;
            }
            Told::MemberChanged { status, .. } => {
                let is_done = matches!(status, Some(200..=299));
                self.note(at, if is_done { Tone::Good } else { Tone::Bad }, &text);
            }
            Told::PublishingFailed { .. }
            | Told::NotPreEstablished { .. }
            | Told::ParticipantsUnknown { status: Some(_), .. } => self.note(at, Tone::Bad, &text),
            Told::Modified { .. } | Told::ModificationEnded { .. } => self.note(at, Tone::Quiet, &text),
            Told::Listening { .. }
            | Told::Deregistered { .. }
            | Told::Published
            | Told::PreEstablished
            | Told::ParticipantsUnknown { status: None, .. }
            | Told::MemberProgress { .. }
            | Told::Alerting { .. }
            | Told::AlertAnswered { .. } => {}
        }
        self.line(at, &text);
    }

    fn be_invited(&mut self, from: &str, group: Option<&str>, others: &[String], asks: bool) {
        self.begin(Place::Invited { asks });
        let from = Name::new(from, None);
        let others = others.iter().map(|other| Name::new(other, None));
        let all = std::iter::once(from.clone()).chain(others);
        self.people = all.map(|who| Person { who, status: None }).collect();
        self.with = vec![group.map_or(from, |group| Name::new(group, None))];
        self.rings = asks;
    }

    /// Between two it is known who takes part. Of all others the server tells.
    fn gather(&mut self, kind: Option<SessionType>) {
        match kind {
            None | Some(SessionType::OneToOne) => {
                let others = std::mem::take(&mut self.people).into_iter().map(|person| person.who);
                let others = others.chain(self.with.iter().cloned()).take(1);
                let all = others.chain(std::iter::once(self.us.clone()));
                self.people = all.map(|who| Person { who, status: None }).collect();
            }
            Some(SessionType::AdHoc | SessionType::PreArranged | SessionType::Chat) => {}
        }
    }

    /// Everything about the session before is forgotten.
    fn begin(&mut self, place: Place) {
        self.place = place;
        self.with.clear();
        self.people.clear();
        self.scroll = 0;
        (self.kind, self.speaker, self.own, self.has_bursts) = (None, None, Own::Silent, false);
        (self.is_pressed, self.notice, self.meter, self.wants_place) = (false, None, None, false);
    }

    fn meet(&mut self, participants: &[Participant]) {
        let person = |each: &Participant| Person {
            who: Name::new(&each.address, each.name.as_deref()),
            status: each.status.filter(|status| *status != "connected"),
        };
        self.people = participants.iter().map(person).collect();
        self.scroll_by(0);
    }

    fn tell_burst(&mut self, at: Instant, burst: &Burst, text: &str) {
        match burst {
            Burst::Granted { seconds } => {
                self.own = Own::Speaks { limit: seconds.map(|seconds| Span::new(at, seconds)) };
                (self.speaker, self.notice) = (None, None);
            }
            Burst::Waits { seconds } => {
                self.own = Own::Turn { until: at + Duration::from_secs_f64(*seconds) };
                self.rings = true;
            }
            Burst::Ending { seconds } => {
                let until = at + Duration::from_secs((*seconds).into());
                let whole = match self.own {
                    Own::Speaks { limit: Some(limit) } => limit.whole,
                    Own::Speaks { limit: None }
                    | Own::Silent
                    | Own::Asking
                    | Own::Queued { .. }
                    | Own::Turn { .. }
                    | Own::Barred { .. } => until.saturating_since(at),
                };
                self.own = Own::Speaks { limit: Some(Span { whole, until }) };
            }
            Burst::Over => self.refuse(at, Own::Silent, text),
            Burst::Denied { .. } | Burst::RequestTimedOut => self.refuse(at, Own::Silent, text),
            Burst::Revoked { seconds_to_retry, .. } => {
                let barred = seconds_to_retry.filter(|seconds| *seconds > 0);
                let barred = barred.map(|seconds| Own::Barred { limit: Span::new(at, seconds) });
                self.refuse(at, barred.unwrap_or(Own::Silent), text);
            }
            Burst::NotYet { seconds } => {
                let whole = match self.own {
                    Own::Barred { limit } => limit.whole,
                    Own::Silent
                    | Own::Asking
                    | Own::Queued { .. }
                    | Own::Turn { .. }
                    | Own::Speaks { .. } => Duration::from_secs((*seconds).into()),
                };
                let until = at + Duration::from_secs((*seconds).into());
                self.refuse(at, Own::Barred { limit: Span { whole, until } }, text);
            }
            Burst::Taken { by, name } => {
                self.speaker = Some(self.known(by, name.as_deref()));
                match self.own {
                    // What was granted is somebody else's now.
                    Own::Turn { .. } => self.own = Own::Silent,
                    // Somebody has left the queue: the place may be a better one. Only a server that tells places is asked.
                    Own::Queued { place: Some(_) } => self.wants_place = true,
                    Own::Queued { place: None }
                    | Own::Silent
                    | Own::Asking
                    | Own::Speaks { .. }
                    | Own::Barred { .. } => {}
                }
            }
            Burst::Idle => {
                self.speaker = None;
                if matches!(self.own, Own::Queued { .. } | Own::Turn { .. }) {
                    self.own = Own::Silent;
                }
            }
            Burst::Queued { position } => self.own = Own::Queued { place: *position },
            Burst::NotQueued => self.own = Own::Silent,
            Burst::EndOfSpeech => self.speaker = None,
            Burst::MayAskAgain => {
                if matches!(self.own, Own::Barred { .. }) {
                    (self.own, self.notice) = (Own::Silent, None);
                }
            }
        }
    }

    /// The user may not speak, and hears and sees why.
    fn refuse(&mut self, at: Instant, own: Own, text: &str) {
        self.own = own;
        self.note(at, Tone::Bad, text);
        self.rings = true;
    }

    /// Who that is: the name under which everybody is shown, if it is known.
    fn known(&self, address: &str, name: Option<&str>) -> Name {
        let told = Name::new(address, name);
        let known = self.people.iter().map(|person| &person.who).find(|who| who.uri == told.uri);
        known.cloned().unwrap_or(told)
    }

    fn note(&mut self, at: Instant, tone: Tone, text: &str) {
        self.notice = Some(Notice { tone, text: shown(text), until: Some(at + NOTICE_SPAN) });
    }

    fn line(&mut self, at: Instant, text: &str) {
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back((at, shown(text)));
    }
}
