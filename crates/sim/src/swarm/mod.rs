//! A swarm: the whole system with as many clients as are wanted, for as long as is wanted, from one seed.
//!
//! The clients live in districts of eight, each with users of both networks, which call each other and nobody else. In each
//! district one story follows another: calls to one, to several and to groups, who answers and who gives up when, talk bursts,
//! clients that die and start anew, and what the networks do to each message. All of that is drawn from the seed, the number of the
//! district and that of the story, so that one story can be told again without the others. Cores and servers are the same for all.
//!
//! Each story is watched for itself by all the invariants of [`monitor`](crate::monitor), and must come to an end in time. When all
//! are over everybody deregisters, and nothing may be left anywhere.

mod life;
mod report;
mod shrink;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use poc::server::{Group, GroupKind, GroupMember, GroupRole, Who};
use poc::{AnswerMode, PocSettings, Profile};
use sip::hash::Keyed;
use sip::{Duration, Instant, Reliability};

pub use self::report::{Progress, Report};
pub use self::shrink::shrink;

use self::life::Life;
use crate::chance::Chance;
use crate::ladder::told;
use crate::network::Faults;
use crate::system::district::name;
use crate::system::{Act, Digest, Setup, System, Terminal};

/// What a run is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Everything is drawn from this.
    pub seed: u64,
    /// After this no story begins any more.
    pub span: Duration,
    /// How many clients there are.
    pub clients: usize,
    /// The run breaks as soon as a user is told this, or this is met in a story: see [`Watch::met`](crate::monitor::system::Watch).
    pub find: Option<String>,
    /// What is left out.
    pub cut: Cut,
    /// Whether it is kept what happened, for a ladder.
    pub keeps_story: bool,
    /// The monitors are told that a message takes no time and makes no hop.
    #[cfg(test)]
    pub(crate) is_told_wrong: bool,
}

/// Parts of a run that are left out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cut {
    /// All but these stories.
    pub only: Option<Only>,
    /// Deeds of each story, by number: see [`TALKING`].
    pub without: BTreeSet<u32>,
    /// Kinds of faults.
    pub calm: Calm,
    /// Faults of the only story: nothing befalls these messages, by number.
    pub spared: BTreeSet<u64>,
    /// The same of speech and talk burst control.
    pub spared_media: BTreeSet<u64>,
}

/// The number of the deed that users talk at all. The others are calls, clients that die, and clients that start anew.
pub const TALKING: u32 = 0;

/// One story of a district, or all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Only {
    /// Which district.
    pub district: usize,
    /// Which story.
    pub story: Option<u32>,
}

/// Kinds of faults that do not happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Calm {
    /// Nothing is lost.
    pub loss: bool,
    /// Nothing comes twice.
    pub duplication: bool,
    /// Nothing is delayed by chance.
    pub jitter: bool,
}

impl Calm {
    fn apply(self, faults: Faults) -> Faults {
        Faults {
            loss: if self.loss { 0 } else { faults.loss },
            duplication: if self.duplication { 0 } else { faults.duplication },
            delay: faults.delay,
            jitter: if self.jitter { Duration::ZERO } else { faults.jitter },
        }
    }
}

/// Something did not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// In which story, unless it was everywhere.
    pub only: Option<Only>,
    /// When.
    pub at: Instant,
    /// What.
    pub what: String,
    /// How many deeds the story has.
    pub deeds: u32,
    /// The messages of the story that something befell, by number, and the same of speech and talk burst control.
    pub befallen: [Vec<u64>; 2],
    /// What happened in the story, if that was kept.
    pub ladder: Option<String>,
}

/// Clients of a district at most.
pub const DISTRICT: usize = 8;

/// Simulated time between two looks at how far a run is.
const STRIDE: Duration = Duration::from_secs(1);

/// Runs to the end, or until something does not hold; tells now and then how far it is.
///
/// # Errors
/// What did not hold, and where.
pub fn run(settings: &Settings, tell: &mut dyn FnMut(&Progress)) -> Result<Report, Box<Broken>> {
    let mut swarm = Swarm::new(settings);
    loop {
        let mut whole = AssertUnwindSafe(&mut swarm);
        match catch_unwind(move || whole.stride()) {
            Ok(Ok(true)) => tell(&swarm.progress()),
            Ok(Ok(false)) => return Ok(swarm.report()),
            Ok(Err(found)) => return Err(Box::new(swarm.broken(found))),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                return Err(Box::new(swarm.broken(text.unwrap_or_default())));
            }
        }
    }
}

/// A number that is drawn from others.
fn drawn(seed: u64, of: &[u64]) -> u64 {
    let parts: Vec<_> = of.iter().map(|part| part.to_be_bytes()).collect();
    let seed = seed.to_be_bytes();
    let all: Vec<&[u8]> = std::iter::once(&seed[..]).chain(parts.iter().map(|part| &part[..])).collect();
    Keyed::new([1; 16]).key(&all).leading()
}

/// A run.
struct Swarm {
    settings: Settings,
    system: System,
    lives: Vec<Life>,
    /// The district of each client.
    district_of: BTreeMap<usize, usize>,
    /// When somebody does something next, by district.
    agenda: BTreeSet<(Instant, usize)>,
    agenda_of: Vec<Option<Instant>>,
    report: Report,
    is_ending: bool,
}

impl Swarm {
    fn new(settings: &Settings) -> Self {
        let count = settings.clients.div_ceil(DISTRICT).max(1);
        let numbers = match settings.cut.only {
            None => 0..count,
            Some(only) => only.district..only.district + 1,
        };
        let setup = setup(settings, numbers.clone());
        let first = numbers.start;
        let mut system = System::new(drawn(settings.seed, &[0]), setup, Faults::NONE);
        system.keeps_story = settings.keeps_story;
        system.digest = Some(Digest::new());
        system.divide(numbers.len(), first);
        let (mut lives, mut district_of) = (Vec::new(), BTreeMap::new());
        for (index, number) in numbers.enumerate() {
            let clients = system.districts[index].clients.clone();
            district_of.extend(clients.iter().map(|place| (*place, index)));
            lives.push(Life::new(settings, number, index, clients, &mut system));
        }
        let mut swarm = Self {
            settings: settings.clone(),
            report: Report::new(settings.clients, lives.len()),
            agenda_of: vec![None; lives.len()],
            system,
            lives,
            district_of,
            agenda: BTreeSet::new(),
            is_ending: false,
        };
        (0..swarm.lives.len()).for_each(|index| swarm.schedule(index));
        swarm
    }

    /// Lets a second go by. False once nothing is left to happen.
    fn stride(&mut self) -> Result<bool, String> {
        let until = self.system.now + STRIDE;
        loop {
            let due = self.agenda.first().map(|(at, _)| *at);
            let Some(moment) = due.into_iter().chain(self.system.next_moment()).min() else {
                return Ok(false);
            };
            if moment > until {
                self.system.now = until;
                return Ok(true);
            }
            self.report.moments += 1;
            self.system.advance(moment.max(self.system.now));
            self.react()?;
            while let Some((_, index)) = self.agenda.first().copied().filter(|(at, _)| *at <= self.system.now)
            {
                self.system.acting = Some(index);
                self.lives[index].act(&mut self.system, &mut self.report);
                self.look_for_met(index)?;
                self.react()?;
                self.schedule(index);
            }
            if !self.is_ending && self.lives.iter().all(Life::is_over) {
                self.end();
            }
            if self.is_ending && self.system.is_empty() {
                return Ok(false);
            }
        }
    }

    /// Users hear what they are told.
    fn react(&mut self) -> Result<(), String> {
        for (place, event) in std::mem::take(&mut self.system.events) {
            let Some(index) = self.district_of.get(&place).copied() else { continue };
            if let (Some(find), Some(told)) = (&self.settings.find, told(&event))
                && told.contains(find)
            {
                self.system.acting = Some(index);
                return Err(format!("found: {told}"));
            }
            self.lives[index].react(self.system.now, place, &event);
            self.schedule(index);
        }
        // Each story keeps what it needs.
        self.system.records.clear();
        Ok(())
    }

    fn look_for_met(&mut self, index: usize) -> Result<(), String> {
        let met = self.lives[index].take_met();
        let found = self.settings.find.as_ref().and_then(|find| met.keys().find(|what| what.contains(find)));
        let found = found.map(|what| format!("found: {what}"));
        self.report.add(met);
        found.map_or(Ok(()), Err)
    }

    fn schedule(&mut self, index: usize) {
        let next = self.lives[index].next(&mut self.system);
        let before = std::mem::replace(&mut self.agenda_of[index], next);
        if before != next {
            if let Some(at) = before {
                self.agenda.remove(&(at, index));
            }
            self.agenda.extend(next.map(|at| (at, index)));
        }
    }

    /// Nobody wants anything any more.
    fn end(&mut self) {
        self.is_ending = true;
        for place in self.system.clients().collect::<Vec<_>>() {
            self.system.act(place, Act::Deregister);
        }
    }

    fn progress(&self) -> Progress {
        Progress {
            now: self.system.now,
            span: self.settings.span,
            stories: self.report.stories,
            running: self.lives.iter().filter(|life| life.is_telling()).count(),
            messages: self.system.network.sent(),
            media: self.system.media.sent(),
        }
    }

    fn report(mut self) -> Report {
        assert!(self.system.is_empty(), "nothing remains when all is over");
        self.report.ended = self.system.now;
        self.report.digest = self.system.digest.as_ref().map(ToString::to_string).unwrap_or_default();
        for district in &self.system.districts {
            self.report.registering.add(self.system.network.lane(district.lanes.0).counted());
        }
        self.report
    }

    fn broken(&mut self, what: String) -> Broken {
        let index = self.system.acting.filter(|_| !self.is_ending);
        let life = index.map(|index| &self.lives[index]);
        let lanes = index.map(|index| self.system.districts[index].lanes);
        let befallen = lanes.map(|(network, media)| {
            [self.system.network.lane(network), self.system.media.lane(media)]
                .map(|lane| lane.befallen().to_vec())
        });
        let begun = life.map_or(Instant::START, Life::begun);
        let ladder = self.settings.keeps_story.then(|| self.system.trace_since(begun).render());
        Broken {
            only: life.map(|life| Only { district: life.number(), story: Some(life.story()) }),
            at: self.system.now,
            what,
            deeds: life.map_or(0, Life::deeds),
            befallen: befallen.unwrap_or_default(),
            ladder,
        }
    }
}

/// What all districts have in common, and those of these numbers.
fn setup(settings: &Settings, numbers: std::ops::Range<usize>) -> Setup {
    let mut chance = Chance::new(drawn(settings.seed, &[1]));
    let seconds = Duration::from_secs;
    let common = Setup {
        early_answer: chance.happens(300),
        set_up_limit: seconds(chance.pick(&[10, 30])),
        ring_limit: seconds(chance.pick(&[15, 60])),
        no_answer_after: seconds(chance.pick(&[12, 50])),
        profile: chance.pick(&[Profile::Plain, Profile::Ims]),
        reliability: chance.pick(&[Reliability::WhenRequired, Reliability::WhenSupported]),
        stop_talking: seconds(chance.pick(&[30, 10, 4])),
        ..Setup::new(Vec::new())
    };
    let mut terminals = [Vec::new(), Vec::new()];
    let mut groups = Vec::new();
    for number in numbers {
        let mut chance = Chance::new(drawn(settings.seed, &[2, number as u64]));
        let count = DISTRICT.min(settings.clients - (DISTRICT * number).min(settings.clients)).max(2);
        let own: Vec<_> = (0..count)
            .map(|place| {
                let user = name(number, &char::from(b'a' + place as u8).to_string());
                terminal(&mut chance, user, place % 2)
            })
            .collect();
        groups.extend(self::groups(&mut chance, number, &own));
        own.into_iter().for_each(|terminal| terminals[terminal.home].push(terminal));
    }
    Setup { terminals: terminals.concat(), groups, ..common }
}

fn terminal(chance: &mut Chance, user: String, home: usize) -> Terminal {
    let answer_mode = chance.pick(&[AnswerMode::Manual, AnswerMode::Automatic]);
    let settings =
        PocSettings { answer_mode, simultaneous_sessions: chance.happens(300), ..PocSettings::default() };
    Terminal { settings, has_factory: true, ..Terminal::new(user, home) }
}

/// A group of each kind.
fn groups(chance: &mut Chance, number: usize, terminals: &[Terminal]) -> Vec<(usize, Group)> {
    let mut group = |what: &str, kind| {
        let home = chance.below(2) as usize;
        let mut group = Group::new(Setup::group_address(&name(number, what), home), kind);
        let chosen = terminals.iter().filter(|_| chance.happens(700));
        let member =
            |terminal: &Terminal| GroupMember { address: terminal.address(), role: GroupRole::Ordinary };
        group.members = chosen.map(member).collect();
        (home, group)
    };
    let patrol = group("patrol", GroupKind::PreArranged);
    let club = group("club", GroupKind::Chat);
    let club = (club.0, Group { joins: Who::Anybody, ..club.1 });
    let mut fleet = group("fleet", GroupKind::Dispatch);
    if let Some(first) = fleet.1.members.first_mut() {
        first.role = GroupRole::Distinguished;
    }
    vec![patrol, club, fleet]
}
