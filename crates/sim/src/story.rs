//! Stories: what users do at random moments, drawn from a seed.

use std::collections::BTreeMap;

use poc::{AnswerMode, Event, Profile};
use sip::{Duration, Instant, Reliability, SessionId};

use crate::chance::Chance;
use crate::network::Faults;
use crate::world::{Act, World};

/// How a story ended.
#[derive(Debug)]
pub struct Told {
    /// The world at its end: the trace shows the story.
    pub world: World,
}

/// Two clients, and everything else by chance: the network, the answer modes, who invites whom, and when somebody
/// answers, refuses, cancels or leaves. Runs until nothing is left to happen and checks that nothing is left at all.
///
/// # Panics
/// If an invariant does not hold. [`ladder_of_failure`] shows the story.
pub fn two_clients(seed: u64) -> Told {
    let mut teller = Teller::new(seed);
    while teller.step() {}
    teller.world.monitor.finish();
    assert!(teller.world.is_empty(), "nothing remains when all is over");
    Told { world: teller.world }
}

/// The story of `seed` as far as it can be told.
pub fn ladder_of_failure(seed: u64) -> String {
    let mut teller = Teller::new(seed);
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| while teller.step() {}));
    let end = if told.is_err() { "here it breaks" } else { "broken at the end" };
    format!("seed {seed}\n{}{end}\n", teller.world.trace.render())
}

struct Teller {
    world: World,
    chance: Chance,
    /// What users will do, by moment.
    plan: BTreeMap<(Instant, u64), (usize, Planned)>,
    planned: u64,
    /// The last moment of a session, counted from its beginning.
    longest: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Planned {
    Start(usize),
    Accept(SessionId),
    HangUp(SessionId),
    Modify(SessionId),
    Withdraw(SessionId),
}

/// The last moment at which most users still wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

impl Teller {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let faults = Faults::draw(&mut chance);
        let modes =
            [0, 1].map(|_| chance.pick(&[AnswerMode::Manual, AnswerMode::Manual, AnswerMode::Automatic]));
        let simultaneous = chance.happens(500);
        let set_up_limit = chance.happens(150).then_some(Duration::from_secs(20));
        let profile = chance.pick(&[Profile::Plain, Profile::Ims]);
        let reliability = chance.pick(&[Reliability::WhenRequired, Reliability::WhenSupported]);
        let seconds = Duration::from_secs;
        let timers = [0, 1].map(|_| {
            let wanted = chance.pick(&[None, Some(seconds(90)), Some(seconds(100))]);
            (wanted, seconds(chance.pick(&[90, 90, 120])))
        });
        let detour = chance.happens(100);
        let longest = chance.pick(&[PATIENCE, PATIENCE, seconds(200)]);
        let no_answer_after = chance.pick(&[Duration::from_secs(10), Duration::from_secs(120)]);
        let mut world = World::new(seed, 2, faults, |place, config| {
            config.profile = profile;
            config.no_answer_after = Some(no_answer_after);
            config.settings.answer_mode = modes[place];
            config.settings.simultaneous_sessions = simultaneous;
            config.set_up_limit = set_up_limit;
            config.sip.reliability = reliability;
            (config.sip.session_expires, config.sip.min_se) = timers[place];
        });
        world.detour = detour;
        world.monitor.set_up_limit = set_up_limit;
        let mut teller = Self { world, chance, plan: BTreeMap::new(), planned: 0, longest };
        for _ in 0..=teller.chance.below(2) {
            let place = teller.chance.below(2) as usize;
            let at = Instant::START + teller.chance.span(Duration::from_secs(2));
            teller.plan(at, place, Planned::Start(1 - place));
        }
        teller
    }

    fn plan(&mut self, at: Instant, place: usize, planned: Planned) {
        self.planned += 1;
        self.plan.insert((at, self.planned), (place, planned));
    }

    /// The next thing that happens. False if nothing is left to happen.
    fn step(&mut self) -> bool {
        let planned = self.plan.first_key_value().map(|((at, _), _)| *at);
        let moment = match (planned, self.world.next_moment()) {
            (None, None) => return false,
            (Some(planned), Some(moment)) => planned.min(moment),
            (Some(moment), None) | (None, Some(moment)) => moment,
        };
        self.world.advance(moment.max(self.world.now));
        while let Some(entry) = self.plan.first_entry().filter(|entry| entry.key().0 <= self.world.now) {
            let (place, planned) = entry.remove();
            self.carry_out(place, planned);
        }
        for (place, event) in std::mem::take(&mut self.world.events) {
            self.react(place, &event);
        }
        true
    }

    fn carry_out(&mut self, place: usize, planned: Planned) {
        match planned {
            Planned::Start(invited) => {
                let started = self.world.act(place, Act::Start { invited });
                if let Some(session) = started {
                    self.plan_to_end(place, session);
                }
            }
            Planned::Accept(session) => {
                self.world.act(place, Act::Accept(session));
            }
            Planned::HangUp(session) => {
                self.world.act(place, Act::HangUp(session));
            }
            Planned::Modify(session) => {
                let modified = self.world.act(place, Act::Modify(session));
                if modified.is_some() && self.chance.happens(500) {
                    let when = self.world.now + self.moment_to_give_up();
                    self.plan(when, place, Planned::Withdraw(session));
                }
            }
            Planned::Withdraw(session) => {
                self.world.act(place, Act::Withdraw(session));
            }
        }
    }

    /// When a user hangs up at the latest, and most of them before.
    fn plan_to_end(&mut self, place: usize, session: SessionId) {
        let now = self.world.now;
        if self.longest == PATIENCE || self.chance.happens(300) {
            let when = now + self.moment_to_give_up();
            self.plan(when, place, Planned::HangUp(session));
        }
        self.plan(now + self.longest, place, Planned::HangUp(session));
    }

    /// At once, around the time of a round trip, or late.
    fn moment_to_give_up(&mut self) -> Duration {
        let longest = self.chance.pick(&[0, 5, 50, 400, 4_000, 40_000]);
        self.chance.span(Duration::from_millis(longest))
    }

    fn react(&mut self, place: usize, event: &Event) {
        let now = self.world.now;
        match event {
            Event::Invited { session, answer_mode: AnswerMode::Manual, .. } => {
                let when = now + self.moment_to_give_up();
                let planned = match self.chance.below(5) {
                    0 => Planned::HangUp(*session),
                    1 => return, // nobody is there
                    _ => Planned::Accept(*session),
                };
                self.plan(when, place, planned);
                self.plan(now + self.longest, place, Planned::HangUp(*session));
            }
            Event::Established { session, .. } | Event::Invited { session, .. } => {
                self.plan_to_end(place, *session);
                for _ in 0..self.chance.below(3) {
                    let when = now + self.moment_to_give_up();
                    self.plan(when, place, Planned::Modify(*session));
                }
            }
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
            | Event::Ended { .. }
            | Event::Locate { .. }
            | Event::TalkBurst { .. }
            | Event::Heard { .. }
            | Event::Registered { .. }
            | Event::RegistrationFailed { .. }
            | Event::Deregistered { .. }
            | Event::SettingsPublished
            | Event::SettingsFailed { .. }
            | Event::Disconnect { .. } => {}
        }
    }
}
