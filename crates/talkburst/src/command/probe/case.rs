//! A case: one rule, and how it is tried.

use serde::Serialize;
use sip::Duration;
use sip::transport::Transport;

use super::settings::Settings;
use super::stage::{Sides, Stage, Step, Stop};
use super::{called, calling, connections, dialogs, matching, through};

/// By what a case can be carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Carried {
    Anyhow,
    /// It is about what is sent again since datagrams get lost.
    InDatagrams,
    /// It is about connections.
    OverConnections,
}

impl Carried {
    /// Whether this transport carries it.
    pub(super) const fn by(self, transport: Transport) -> bool {
        match self {
            Self::Anyhow => true,
            Self::InDatagrams => !transport.has_connections(),
            Self::OverConnections => transport.has_connections(),
        }
    }

    /// It in a word.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Anyhow => "any",
            Self::InDatagrams => "udp",
            Self::OverConnections => "tcp",
        }
    }
}

/// One rule, and the script that tries it.
pub(super) struct Case {
    /// The number in the project's list of cases (C), of races (R), of rules (I) or of what stacks get wrong (S).
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// What the target must do.
    pub(super) rule: &'static str,
    /// Where that is written.
    pub(super) source: &'static str,
    pub(super) sides: Sides,
    /// It waits for 64*T1.
    pub(super) is_long: bool,
    pub(super) carried: Carried,
    pub(super) play: Play,
}

type Play = fn(&mut Stage<'_>) -> Step;
type Words = (&'static str, &'static str);

impl Case {
    const fn new(
        (sides, is_long): (Sides, bool),
        (name, title): (&'static str, &'static str),
        (rule, source): (&'static str, &'static str),
        play: Play,
    ) -> Self {
        Self { name, title, rule, source, sides, is_long, carried: Carried::Anyhow, play }
    }

    /// Only over a transport that loses what it carries.
    pub(super) const fn by_datagrams(mut self) -> Self {
        self.carried = Carried::InDatagrams;
        self
    }

    /// Only over connections.
    pub(super) const fn by_connections(mut self) -> Self {
        self.carried = Carried::OverConnections;
        self
    }

    /// The target is called: what it is called and is about, what the rule is and where it stands, and how it is tried.
    pub(super) const fn called(about: Words, rule: Words, play: Play) -> Self {
        Self::new((Sides::Inviter, false), about, rule, play)
    }

    /// The target calls.
    pub(super) const fn calling(about: Words, rule: Words, play: Play) -> Self {
        Self::new((Sides::Invited, false), about, rule, play)
    }

    /// The same, and it takes 64*T1.
    pub(super) const fn long_calling(about: Words, rule: Words, play: Play) -> Self {
        Self::new((Sides::Invited, true), about, rule, play)
    }

    /// The target is between two of ours.
    pub(super) const fn between(about: Words, rule: Words, play: Play) -> Self {
        Self::new((Sides::Both, false), about, rule, play)
    }
}

/// What a case comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    /// The rule was kept.
    Pass,
    /// The rule was broken.
    Fail,
    /// What the rule is about did not come to pass.
    Inconclusive,
}

impl Verdict {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// What came of a case.
pub(super) struct Played {
    pub(super) case: &'static Case,
    pub(super) verdict: Verdict,
    /// Why, unless it passed.
    pub(super) why: Vec<String>,
    pub(super) took: Duration,
    pub(super) ladder: sim::ladder::Trace,
}

/// Every case, by what the target is.
pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    [
        called::CASES,
        matching::CASES,
        dialogs::CASES,
        connections::CALLED,
        calling::content::CASES,
        calling::silence::CASES,
        calling::crossing::CASES,
        calling::transactions::CASES,
        connections::CALLING,
        through::passing::CASES,
        through::crossing::CASES,
        through::copies::CASES,
        connections::BETWEEN,
    ]
    .into_iter()
    .flatten()
}

impl Case {
    /// Plays it.
    pub(super) fn play(&'static self, settings: &Settings) -> std::io::Result<Played> {
        let mut stage = Stage::open(settings, self.sides)?;
        let begun = stage.now();
        let stop = (self.play)(&mut stage).err();
        let took = stage.now().saturating_since(begun);
        let mut why = stage.take_faults();
        let verdict = match stop {
            Some(Stop::Network(error)) => return Err(error),
            Some(Stop::Failed(fault)) => {
                why.push(fault);
                Verdict::Fail
            }
            // What was broken before is broken.
            Some(Stop::Unclear(_)) | None if !why.is_empty() => Verdict::Fail,
            Some(Stop::Unclear(what)) => {
                why.push(what);
                Verdict::Inconclusive
            }
            None => Verdict::Pass,
        };
        let ladder = stage.ladder().clone();
        match stage.tidy() {
            Ok(()) | Err(Stop::Failed(_) | Stop::Unclear(_)) => {}
            Err(Stop::Network(error)) => return Err(error),
        }
        Ok(Played { case: self, verdict, why, took, ladder })
    }
}
