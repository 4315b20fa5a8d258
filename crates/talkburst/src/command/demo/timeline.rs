//! Who may speak, who speaks and who hears, along the time: what a ladder, which shows only the order, does not show.

use std::fmt::Write;

use poc::talk_burst::client::Told;
use poc::{Command, Event};
use serde::Serialize;
use sip::{Duration, Instant};

/// Columns between the names and the sums.
const WIDTH: usize = 60;

/// Packets that are so near to each other are one span: three of 20 ms.
const NEAR: Duration = Duration::from_millis(60);

/// What a user does, or what happens to a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Doing {
    /// Asks for the talk burst.
    Asks,
    /// May speak.
    MaySpeak,
    /// Says a packet.
    Speaks,
    /// Hears one.
    Hears,
    /// Lets go.
    LetsGo,
    /// Is stopped, or refused.
    IsStopped,
}

impl Doing {
    /// How it looks. What comes later in this order covers what comes before.
    const fn sign(self) -> char {
        match self {
            Self::MaySpeak => '░',
            Self::Hears => '▒',
            Self::Speaks => '█',
            Self::LetsGo => '|',
            Self::Asks => '?',
            Self::IsStopped => '×',
        }
    }

    const fn covers(self) -> u8 {
        match self {
            Self::MaySpeak => 0,
            Self::Hears => 1,
            Self::Speaks => 2,
            Self::LetsGo => 3,
            Self::Asks => 4,
            Self::IsStopped => 5,
        }
    }
}

/// All that is known of who does what when.
#[derive(Default)]
pub(super) struct Timeline {
    moments: Vec<(Instant, usize, Doing)>,
}

/// A side does something from here to there.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(super) struct Span {
    #[serde(skip)]
    pub(super) side: usize,
    #[serde(rename = "what")]
    doing: Doing,
    from_ms: f64,
    to_ms: f64,
}

impl Timeline {
    pub(super) fn note(&mut self, at: Instant, side: usize, doing: Doing) {
        self.moments.push((at, side, doing));
    }

    /// What a client's event is to its user.
    pub(super) fn doing_of(&self, side: usize, event: &Event) -> Option<Doing> {
        let Event::TalkBurst { told, .. } = event else {
            let is_end = matches!(event, Event::Ended { .. }) && self.may_speak(side);
            return is_end.then_some(Doing::LetsGo);
        };
        match told {
            Told::Granted { .. } => Some(Doing::MaySpeak),
            Told::Denied { .. }
            | Told::Revoked(_)
            | Told::TimeIsOver
            | Told::RefusedLocally { .. }
            | Told::RequestTimedOut => Some(Doing::IsStopped),
            Told::GrantWaits { .. }
            | Told::TimeIsShort { .. }
            | Told::TakenBy(_)
            | Told::Idle
            | Told::Queued { .. }
            | Told::NotQueued
            | Told::EndOfSpeech
            | Told::MayAskAgain => None,
        }
    }

    /// What a user wants by a command.
    pub(super) const fn doing_by(command: &Command) -> Option<Doing> {
        if matches!(command, Command::Press { .. }) {
            Some(Doing::Asks)
        } else if matches!(command, Command::LetGo(_)) {
            Some(Doing::LetsGo)
        } else if matches!(command, Command::Speak { .. }) {
            Some(Doing::Speaks)
        } else {
            None
        }
    }

    /// Whether `side` may speak, by the last that happened to it.
    pub(super) fn may_speak(&self, side: usize) -> bool {
        let of_side =
            self.moments.iter().rev().filter(|(_, other, _)| *other == side).map(|(.., doing)| *doing);
        of_side
            .take_while(|doing| !matches!(doing, Doing::LetsGo | Doing::IsStopped))
            .any(|doing| doing == Doing::MaySpeak)
    }

    pub(super) fn clear(&mut self) {
        self.moments.clear();
    }

    /// What lasts, and what only happens, of each side; from the first moment.
    pub(super) fn spans(&self) -> Vec<Span> {
        let Some(begin) = self.moments.iter().map(|(at, ..)| *at).min() else { return Vec::new() };
        let ms = |at: Instant| at.saturating_since(begin).as_micros() as f64 / 1000.0;
        let last = self.moments.iter().map(|(at, ..)| *at).max().unwrap_or(begin);
        let mut spans: Vec<Span> = Vec::new();
        for (place, (at, side, doing)) in self.moments.iter().enumerate() {
            let until = match doing {
                Doing::MaySpeak => {
                    let is_end = |(_, other, doing): &&(Instant, usize, Doing)| {
                        other == side && matches!(doing, Doing::LetsGo | Doing::IsStopped)
                    };
                    self.moments[place..].iter().find(is_end).map_or(last, |(at, ..)| *at)
                }
                Doing::Speaks | Doing::Hears => {
                    let is_near = |span: &&mut Span| {
                        (span.side, span.doing) == (*side, *doing)
                            && ms(*at) - span.to_ms <= NEAR.as_millis() as f64
                    };
                    if let Some(span) = spans.iter_mut().rev().find(is_near) {
                        span.to_ms = ms(*at);
                        continue;
                    }
                    *at
                }
                Doing::Asks | Doing::LetsGo | Doing::IsStopped => *at,
            };
            spans.push(Span { side: *side, doing: *doing, from_ms: ms(*at), to_ms: ms(until) });
        }
        spans
    }

    /// A line for each side, below a scale; empty if nobody has spoken.
    pub(super) fn render(&self, names: &[&str]) -> String {
        let spans = self.spans();
        if !spans.iter().any(|span| span.doing == Doing::Speaks) {
            return String::new();
        }
        let longest = spans.iter().map(|span| span.to_ms).fold(1.0, f64::max);
        let column = |ms: f64| ((ms / longest * (WIDTH - 1) as f64) as usize).min(WIDTH - 1);
        let mut text = String::new();
        let indent = " ".repeat(11);
        let scale = format!("{:<half$}{:<half$.0}{longest:.0} ms", 0, longest / 2.0, half = WIDTH / 2);
        let _ = writeln!(text, "{indent}{:<8}{scale}", "");
        for (side, name) in names.iter().enumerate() {
            let mut row = ['·'; WIDTH];
            let mut of_side: Vec<_> = spans.iter().filter(|span| span.side == side).collect();
            of_side.sort_by_key(|span| span.doing.covers());
            for span in of_side {
                row[column(span.from_ms)..=column(span.to_ms)].fill(span.doing.sign());
            }
            let row: String = row.iter().collect();
            let _ = writeln!(text, "{indent}{name:<8}{row}");
        }
        let _ = writeln!(
            text,
            "{indent}{:<8}? asks  ░ may speak  █ speaks  ▒ hears  | lets go  × is stopped or refused",
            ""
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::at(Duration::from_millis(ms))
    }

    fn burst() -> Timeline {
        let mut timeline = Timeline::default();
        timeline.note(at(1000), 0, Doing::Asks);
        timeline.note(at(1100), 0, Doing::MaySpeak);
        for packet in 0..20 {
            timeline.note(at(1200 + packet * 20), 0, Doing::Speaks);
            timeline.note(at(1201 + packet * 20), 1, Doing::Hears);
        }
        timeline.note(at(1700), 0, Doing::LetsGo);
        timeline.note(at(1800), 1, Doing::IsStopped);
        timeline
    }

    #[test]
    fn packets_that_follow_each_other_are_one_span() {
        let spans: Vec<_> =
            burst().spans().iter().map(|span| (span.side, span.doing, span.from_ms, span.to_ms)).collect();
        assert_eq!(
            spans,
            [
                (0, Doing::Asks, 0.0, 0.0),
                (0, Doing::MaySpeak, 100.0, 700.0),
                (0, Doing::Speaks, 200.0, 580.0),
                (1, Doing::Hears, 201.0, 581.0),
                (0, Doing::LetsGo, 700.0, 700.0),
                (1, Doing::IsStopped, 800.0, 800.0),
            ]
        );
    }

    #[test]
    fn a_timeline_shows_who_may_speak_speaks_and_hears() {
        let rendered = burst().render(&["anna", "ben", "cara"]);
        let lines: Vec<_> = rendered.lines().map(str::trim).collect();
        assert_eq!(
            lines,
            [
                "0                             400                           800 ms",
                "anna    ?······░░░░░░░█████████████████████████████░░░░░░░░|········",
                "ben     ··············▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒················×",
                "cara    ····························································",
                "? asks  ░ may speak  █ speaks  ▒ hears  | lets go  × is stopped or refused",
            ]
        );
    }

    #[test]
    fn where_nobody_speaks_there_is_none() {
        assert_eq!(Timeline::default().render(&["anna"]), "");
    }
}
