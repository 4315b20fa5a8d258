//! The life of a district: one story after another.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use poc::client::{Change, Invitees};
use poc::{Addressee, AnswerMode, AnswerRequest, Event};
use sip::{Duration, Instant, SessionId};

use super::{Report, Settings, TALKING, drawn};
use crate::chance::Chance;
use crate::lane::Lane;
use crate::network::Faults;
use crate::system::district::{District, name};
use crate::system::story::{Talkers, faults, life, rules};
use crate::system::{Act, System};

/// A district.
pub(super) struct Life {
    settings: Settings,
    number: usize,
    index: usize,
    clients: Vec<usize>,
    stage: Stage,
    /// The number of the story that is told, or was last.
    story: u32,
    seed: u64,
    /// What users will do, by moment.
    plan: BTreeMap<(Instant, u64), (usize, Planned)>,
    planned: u64,
    talkers: Talkers,
    /// The sessions that users know.
    open: BTreeSet<(usize, SessionId)>,
    /// How often each user has had something to decide.
    decided: BTreeMap<usize, u64>,
    /// Clients that have died.
    dead: BTreeSet<usize>,
    deeds: u32,
    last_deed: Instant,
    steps: u64,
    met: BTreeMap<String, u64>,
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Nothing happens until then.
    Resting { until: Instant },
    /// A story is told.
    Telling { begun: Instant },
    /// The last one is over.
    Over,
}

/// What somebody will do. The number is that of the deed.
#[derive(Clone, Debug)]
enum Planned {
    Register,
    Call(u32, Whom, AnswerRequest),
    Accept(SessionId),
    HangUp(SessionId),
    Modify(SessionId),
    Withdraw(SessionId),
    Refer(SessionId, Change, usize),
    Watch(SessionId),
    Die,
    Restart(u32),
}

/// Whom a call is for.
#[derive(Clone, Copy, Debug)]
enum Whom {
    /// Users, by a bit for each client of the district.
    Users(u64),
    PreArranged(&'static str),
    Chat(&'static str),
}

/// Nothing of a story can be waited for any longer when nobody has sent anything for so long: timer C is 200 s.
const SILENCE: Duration = Duration::from_secs(210);

/// Everybody has registered by then.
const REGISTERED: Duration = Duration::from_secs(30);

/// The last moment at which a user still waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// Beyond it something goes round in circles.
const STEPS_MAX: u64 = 1_000_000;

impl Life {
    pub(super) fn new(
        settings: &Settings,
        number: usize,
        index: usize,
        clients: Vec<usize>,
        system: &mut System,
    ) -> Self {
        let mut chance = Chance::new(drawn(settings.seed, &[3, number as u64]));
        for place in &clients {
            rules(&mut chance, system, *place);
        }
        let story = settings.cut.only.and_then(|only| only.story).unwrap_or_default();
        let mut life = Self {
            settings: settings.clone(),
            number,
            index,
            stage: Stage::Resting { until: Instant::at(REGISTERED + chance.span(Duration::from_secs(60))) },
            story,
            seed: 0,
            plan: BTreeMap::new(),
            planned: 0,
            talkers: Talkers::new(0),
            open: BTreeSet::new(),
            decided: BTreeMap::new(),
            dead: BTreeSet::new(),
            deeds: 0,
            last_deed: Instant::START,
            steps: 0,
            met: BTreeMap::new(),
            clients,
        };
        for place in life.clients.clone() {
            let at = Instant::START + chance.span(Duration::from_secs(20));
            life.plan(at, place, Planned::Register);
        }
        life
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    pub(super) fn story(&self) -> u32 {
        self.story
    }

    pub(super) fn deeds(&self) -> u32 {
        self.deeds
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    pub(super) fn is_telling(&self) -> bool {
        matches!(self.stage, Stage::Telling { .. })
    }

    /// When the story begins that is told.
    pub(super) fn begun(&self) -> Instant {
        match self.stage {
            Stage::Telling { begun } => begun,
            Stage::Resting { .. } | Stage::Over => Instant::START,
        }
    }

    /// What was met in the stories that are over and has not been taken yet.
    pub(super) fn take_met(&mut self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.met)
    }

    /// When somebody does something next.
    pub(super) fn next(&self, system: &mut System) -> Option<Instant> {
        let planned = self.plan.first_key_value().map(|((at, _), _)| *at);
        let next = planned.into_iter().chain(self.talkers.next());
        match self.stage {
            Stage::Resting { until } => next.chain([until]).min(),
            Stage::Telling { .. } if self.is_quiet() => next.chain([self.last_word(system) + SILENCE]).min(),
            Stage::Telling { .. } => next.min(),
            Stage::Over => next.min(),
        }
    }

    /// Whether users want nothing more of the story.
    fn is_quiet(&self) -> bool {
        self.plan.is_empty() && self.open.is_empty()
    }

    /// When the last message arrives.
    fn last_word(&self, system: &mut System) -> Instant {
        let &District { lanes, last_word, .. } = &system.districts[self.index];
        system.media.lane(lanes.1).last().max(last_word).max(self.last_deed)
    }

    /// What is due is done.
    pub(super) fn act(&mut self, system: &mut System, report: &mut Report) {
        self.steps += 1;
        assert!(self.steps < STEPS_MAX, "it comes to an end");
        let now = system.now;
        while let Some(entry) = self.plan.first_entry().filter(|entry| entry.key().0 <= now) {
            let (place, planned) = entry.remove();
            self.carry_out(system, report, place, planned);
        }
        self.talkers.carry_out(system);
        match self.stage {
            Stage::Resting { until } if until <= now => self.begin(system, report),
            Stage::Telling { .. } if self.is_quiet() && self.last_word(system) + SILENCE <= now => {
                self.end(system, report);
            }
            Stage::Resting { .. } | Stage::Telling { .. } | Stage::Over => {}
        }
    }

    /// A story begins, if there is to be another.
    fn begin(&mut self, system: &mut System, report: &mut Report) {
        let now = system.now;
        let only = self.settings.cut.only.and_then(|only| only.story);
        let is_last = only.is_some_and(|only| only != self.story);
        if now.since_start() >= self.settings.span || is_last {
            self.stage = Stage::Over;
            return;
        }
        self.seed = drawn(self.settings.seed, &[4, self.number as u64, u64::from(self.story)]);
        let mut chance = Chance::new(self.seed);
        let faults = self.settings.cut.calm.apply(faults(&mut chance));
        self.open_lanes(system, faults, &mut chance, only.is_some());
        system.watch_anew(self.index, faults);
        #[cfg(test)]
        if self.settings.is_told_wrong {
            let watch = &mut system.districts[self.index].watch;
            (watch.longest_hop, watch.hops) = (Some(Duration::ZERO), 0);
        }
        self.stage = Stage::Telling { begun: now };
        self.talkers = Talkers::new(drawn(self.seed, &[0]));
        (self.deeds, self.steps, self.last_deed) = (0, 0, now);
        self.decided.clear();
        report.did("stories begun");
        self.plan_calls(now, &mut chance);
        self.plan_blows(now, &mut chance);
    }

    fn open_lanes(&self, system: &mut System, faults: Faults, chance: &mut Chance, is_only: bool) {
        let (network, media) = system.districts[self.index].lanes;
        let lanes = [
            (system.network.lane(network), &self.settings.cut.spared),
            (system.media.lane(media), &self.settings.cut.spared_media),
        ];
        for (lane, spared) in lanes {
            *lane = Lane::new(faults, Chance::new(chance.below(u64::MAX)));
            if is_only {
                lane.spare(spared.clone());
            }
        }
    }

    fn plan_calls(&mut self, now: Instant, chance: &mut Chance) {
        let count = chance.pick(&[1, 2, 4, 8, 16]);
        let favourite =
            chance.pick(&[Whom::PreArranged("patrol"), Whom::Chat("club"), Whom::PreArranged("fleet")]);
        let longest = chance.pick(&[300, 2_000, 20_000, 120_000]);
        for _ in 0..count {
            let place = chance.pick(&self.clients);
            let (one, others) =
                (1 << chance.below(self.clients.len() as u64), chance.below(1 << self.clients.len()));
            let whom = match chance.below(10) {
                0..=3 => Whom::Users(one),
                4..=5 => Whom::Users(others),
                _ => favourite,
            };
            let usual = AnswerRequest::Usual;
            let answer = chance.pick(&[usual, usual, usual, AnswerRequest::Override]);
            let at = now + chance.span(Duration::from_millis(longest));
            self.plan_deed(at, place, |deed| Planned::Call(deed, whom, answer));
        }
    }

    fn plan_blows(&mut self, now: Instant, chance: &mut Chance) {
        let whom = (chance.pick(&self.clients), chance.pick(&self.clients));
        let when = [(); 2].map(|()| now + chance.span(Duration::from_secs(30)));
        let happens = [(); 2].map(|()| chance.happens(100));
        if happens[0] {
            self.plan_deed(when[0], whom.0, |_| Planned::Die);
        }
        if happens[1] {
            self.plan_deed(when[1], whom.1, Planned::Restart);
        }
    }

    /// Plans the next deed, unless it is left out.
    fn plan_deed(&mut self, at: Instant, place: usize, planned: impl FnOnce(u32) -> Planned) {
        self.deeds += 1;
        if !self.settings.cut.without.contains(&self.deeds) {
            let planned = planned(self.deeds);
            self.plan(at, place, planned);
        }
    }

    fn plan(&mut self, at: Instant, place: usize, planned: Planned) {
        self.planned += 1;
        self.plan.insert((at, self.planned), (place, planned));
    }

    /// The story is over: everything that must be true then. Whoever has died starts anew.
    fn end(&mut self, system: &mut System, report: &mut Report) {
        let lasted = self.last_word(system) - self.last_deed;
        let limit = life(system.setup(), system.districts[self.index].watch.hops);
        assert!(lasted <= limit, "I9: something lives {lasted:?} after the last deed");
        let watch = &mut system.districts[self.index].watch;
        watch.finish();
        if system.keeps_story {
            let ladder = system.trace_since(self.begun()).render();
            report.ladders.push((self.number, self.story, ladder));
        }
        let watch = &mut system.districts[self.index].watch;
        self.met = std::mem::take(&mut watch.met);
        for (what, times) in watch.checked.named() {
            *report.checked.entry(what).or_default() += times;
        }
        report.stories += 1;
        let (network, media) = system.districts[self.index].lanes;
        report.messages.add(system.network.lane(network).counted());
        report.media.add(system.media.lane(media).counted());
        let mut chance = Chance::new(drawn(self.seed, &[1]));
        self.open_lanes(system, Faults::NONE, &mut chance, false);
        system.watch_anew(self.index, Faults::NONE);
        for place in std::mem::take(&mut self.dead) {
            system.restart(place, chance.seed());
        }
        self.story += 1;
        let until = system.now + Duration::from_secs(5) + chance.span(Duration::from_secs(20));
        self.stage = Stage::Resting { until };
    }

    fn carry_out(&mut self, system: &mut System, report: &mut Report, place: usize, planned: Planned) {
        let now = system.now;
        let done = match planned {
            Planned::Register => system.act(place, Act::Register),
            Planned::Call(deed, whom, answer) => {
                let to = self.addressee(system, place, whom);
                let session = to.and_then(|to| system.act(place, Act::Call { to, answer }));
                if let Some(session) = session {
                    report.did("calls");
                    self.open.insert((place, session));
                    self.plan_to_end(
                        now,
                        place,
                        session,
                        &mut Chance::new(drawn(self.seed, &[5, u64::from(deed)])),
                    );
                }
                session
            }
            Planned::Accept(session) => system.act(place, Act::Accept(session)),
            Planned::HangUp(session) => system.act(place, Act::HangUp(session)),
            Planned::Modify(session) => system.act(place, Act::Modify(session)),
            Planned::Withdraw(session) => system.act(place, Act::Withdraw(session)),
            Planned::Refer(session, change, whom) => {
                system.act(place, Act::Refer { session, change, place: whom })
            }
            Planned::Watch(session) => system.act(place, Act::Watch(session)),
            Planned::Die => {
                report.did("clients that died");
                self.forget(place);
                system.die(place);
                self.dead.insert(place);
                self.last_deed = now;
                None
            }
            Planned::Restart(deed) => {
                report.did("clients that started anew");
                self.forget(place);
                self.dead.remove(&place);
                let seed = Chance::new(drawn(self.seed, &[6, u64::from(deed)])).seed();
                system.restart(place, seed);
                self.last_deed = now;
                None
            }
        };
        if done.is_some() {
            self.last_deed = now;
        }
    }

    fn addressee(&self, system: &System, place: usize, whom: Whom) -> Option<Addressee> {
        let setup = system.setup();
        let group = |what: &str| {
            let user = name(self.number, what);
            let is_it = |address: &Bytes| address.starts_with(format!("sip:{user}@").as_bytes());
            setup.groups.iter().map(|(_, group)| group.address.clone()).find(is_it)
        };
        match whom {
            Whom::Users(bits) => {
                let own = system.address_of(place);
                let chosen = self.clients.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
                let users = chosen.map(|(_, place)| system.address_of(*place));
                let users: Vec<_> = users.filter(|user| *user != own).collect();
                match &users[..] {
                    [] => None,
                    [user] => Some(Addressee::User(user.clone())),
                    [..] => Invitees::new(users).ok().map(Addressee::Users),
                }
            }
            Whom::PreArranged(what) => group(what).map(Addressee::PreArranged),
            Whom::Chat(what) => group(what).map(Addressee::Chat),
        }
    }

    /// What the user of `place` knew is no more.
    fn forget(&mut self, place: usize) {
        self.open.retain(|(whom, _)| *whom != place);
        self.plan.retain(|_, (whom, planned)| *whom != place || matches!(planned, Planned::Restart(_)));
        self.talkers.forget(place);
    }

    /// When a user hangs up at the latest, and most of them before.
    fn plan_to_end(&mut self, now: Instant, place: usize, session: SessionId, chance: &mut Chance) {
        let when = now + chance.moment_to_give_up();
        self.plan(when, place, Planned::HangUp(session));
        self.plan(now + PATIENCE, place, Planned::HangUp(session));
    }

    /// What the user of `place` decides next does not depend on what others do.
    fn chance_of(&mut self, place: usize) -> Chance {
        let decided = self.decided.entry(place).or_default();
        *decided += 1;
        let client = self.clients.iter().position(|client| *client == place).unwrap_or_default();
        Chance::new(drawn(self.seed, &[7, client as u64, *decided]))
    }

    pub(super) fn react(&mut self, now: Instant, place: usize, event: &Event) {
        match event {
            Event::Invited { session, answer_mode: AnswerMode::Manual, .. } => {
                self.open.insert((place, *session));
                let mut chance = self.chance_of(place);
                let when = now + chance.moment_to_give_up();
                match chance.below(6) {
                    0 => self.plan(when, place, Planned::HangUp(*session)),
                    1 => return, // nobody is there
                    _ => self.plan(when, place, Planned::Accept(*session)),
                }
                self.plan(now + PATIENCE, place, Planned::HangUp(*session));
            }
            Event::Established { session, .. } | Event::Invited { session, .. } => {
                self.open.insert((place, *session));
                let mut chance = self.chance_of(place);
                self.plan_company(now, place, *session, &mut chance);
                self.plan_to_end(now, place, *session, &mut chance);
                if !self.settings.cut.without.contains(&TALKING) {
                    self.talkers.begin(now, place, *session);
                }
            }
            Event::Ended { session, .. } => {
                self.open.remove(&(place, *session));
                self.talkers.end(place, *session);
            }
            Event::TalkBurst { session, told } => self.talkers.react(now, place, *session, told),
            Event::Progress { .. }
            | Event::Modified { .. }
            | Event::ModificationEnded { .. }
            | Event::MemberProgress { .. }
            | Event::MemberChanged { .. }
            | Event::Participants { .. }
            | Event::WatchEnded { .. }
            | Event::Alerted { .. }
            | Event::AlertAnswered { .. }
            | Event::PreEstablished
            | Event::PreEstablishedEnded { .. }
            | Event::Locate { .. }
            | Event::Heard { .. }
            | Event::Registered { .. }
            | Event::RegistrationFailed { .. }
            | Event::Deregistered { .. }
            | Event::SettingsPublished
            | Event::SettingsFailed { .. }
            | Event::Disconnect { .. } => {}
        }
    }

    /// What the user of `place` does in a session that stands, besides talking and leaving.
    fn plan_company(&mut self, now: Instant, place: usize, session: SessionId, chance: &mut Chance) {
        if chance.happens(200) {
            self.plan(now + chance.moment_to_give_up(), place, Planned::Modify(session));
            if chance.happens(500) {
                self.plan(now + chance.moment_to_give_up(), place, Planned::Withdraw(session));
            }
        }
        if chance.happens(200) {
            self.plan(now + chance.moment_to_give_up(), place, Planned::Watch(session));
        }
        for change in [Change::Add, Change::Remove] {
            if chance.happens(100) {
                let whom = chance.pick(&self.clients);
                self.plan(now + chance.moment_to_give_up(), place, Planned::Refer(session, change, whom));
            }
        }
    }
}
