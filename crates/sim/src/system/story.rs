//! Stories of a whole system, drawn from a seed.

mod groups;
mod stopping;
mod talking;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use poc::client::Change;
use poc::server::{Access, OverrideBy, User};
use poc::{AnswerMode, AnswerRequest, Event, PocSettings, Profile};
use sip::{Duration, Instant, Reliability, SessionId};

pub(crate) use self::groups::HOPS;
use self::groups::Whom;
use self::stopping::Stopped;
pub(crate) use self::talking::Talkers;
use super::{Act, Setup, System, Terminal};
use crate::chance::Chance;
use crate::network::Faults;

/// How a story ended.
#[derive(Debug)]
pub struct Told {
    /// The system at its end.
    pub system: System,
}

/// Two networks and what chance makes of them: who is there, who invites whom, who answers, refuses, gives up, leaves, dies,
/// restarts or is removed, and what the network does to every message. Runs until nothing is left to happen and checks
/// that nothing is left at all.
///
/// # Panics
/// If an invariant does not hold. [`ladder_of_failure`] shows the story.
pub fn tell(plot: Plot, seed: u64) -> Told {
    let mut teller = Teller::new(plot, seed);
    while teller.step() {}
    teller.end();
    Told { system: teller.system }
}

/// The story of `seed` as far as it can be told.
pub fn ladder_of_failure(plot: Plot, seed: u64) -> String {
    let mut teller = Teller::new(plot, seed);
    let mut whole = std::panic::AssertUnwindSafe(&mut teller);
    let told = std::panic::catch_unwind(move || while whole.step() {});
    let mut whole = std::panic::AssertUnwindSafe(&mut teller);
    let ladder = whole.system.trace_since(whole.begun).render();
    let end = match told {
        Err(_) => "here it breaks",
        Ok(()) => match std::panic::catch_unwind(move || whole.end()) {
            Err(_) => "broken at the end",
            Ok(()) => "nothing is broken",
        },
    };
    let setup = teller.system.setup();
    format!("{plot:?}, seed {seed}\n{setup:?}\n{:?}\n{ladder}{end}\n", teller.faults)
}

/// What stories are about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plot {
    /// One user invites another.
    Pairs,
    /// Users call several at once, and groups: pre-arranged, chat, dispatch, and groups in groups.
    Groups,
    /// The same, and one network or both are told to stop meanwhile.
    Stopping,
}

impl Plot {
    fn has_groups(self) -> bool {
        match self {
            Self::Pairs => false,
            Self::Groups | Self::Stopping => true,
        }
    }
}

struct Teller {
    plot: Plot,
    system: System,
    chance: Chance,
    faults: Faults,
    /// When the story begins: everybody has registered, unless that is part of the story.
    begun: Instant,
    /// What users will do, by moment.
    plan: BTreeMap<(Instant, u64), (usize, Planned)>,
    planned: u64,
    /// What users say.
    talkers: Talkers,
    /// The sessions that users know.
    open: BTreeSet<(usize, SessionId)>,
    /// What users have heard sessions to be called.
    identities: Vec<Bytes>,
    /// The last moment of a session, counted from its beginning.
    longest: Duration,
    /// When somebody last did something.
    last_deed: Instant,
    /// The networks that were told to stop.
    stopped: [Stopped; 2],
    steps: u32,
}

#[derive(Clone, Copy, Debug)]
enum Planned {
    Register,
    Start(usize, AnswerRequest),
    Call(Whom, AnswerRequest),
    Accept(SessionId),
    HangUp(SessionId),
    Modify(SessionId),
    Withdraw(SessionId),
    Refer(SessionId, Change, usize),
    Watch(SessionId),
    Alert(usize),
    Die,
    Restart,
    Remove,
    /// The network of 0 or 1.
    Stop(usize),
}

/// The last moment at which most users still wait for anything.
const PATIENCE: Duration = Duration::from_secs(40);

/// I9 for a chain of hops: everything is gone so long after somebody last did something.
///
/// Each hop may have to wait 64*T1 until a 1xx lets its CANCEL leave, and the last of them has 256*T1 + 2*T4 like a hop that is
/// alone. Where every copy of a CANCEL or BYE is lost the other side goes by its own limit instead: that of ringing, or that
/// of a session that is not refreshed.
pub(crate) fn life(setup: &Setup, hops: u32) -> Duration {
    let seconds = Duration::from_secs;
    let limit = setup.no_answer_after.max(setup.ring_limit).max(setup.session_expires);
    limit + seconds(32) * hops + seconds(4 * 32 + 10)
}

/// Beyond it something goes round in circles.
const STEPS_MAX: u32 = 100_000;

impl Teller {
    fn new(plot: Plot, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let faults = faults(&mut chance);
        let mut setup = match plot {
            Plot::Pairs => setup(&mut chance),
            Plot::Groups | Plot::Stopping => groups::setup(&mut chance),
        };
        let mut talkers = Talkers::new(seed);
        setup.stop_talking = talkers.stop_talking();
        let longest = chance.pick(&[PATIENCE, PATIENCE, PATIENCE, Duration::from_secs(150)]);
        let registers_first = !chance.happens(60);
        let mut system = System::new(seed, setup, Faults::NONE);
        if plot.has_groups() {
            system.watch.hops = groups::HOPS;
        }
        let places: Vec<_> = system.clients().collect();
        for place in &places {
            rules(&mut chance, &mut system, *place);
        }
        if registers_first {
            system.register_everybody();
            system.run_until(system.now + Duration::from_secs(40));
        }
        system.network.set_faults(faults);
        system.media.set_faults(faults);
        if faults.loss == 0 {
            system.watch.longest_hop = Some(faults.delay + faults.jitter);
        }
        let begun = system.now;
        let mut teller = Self {
            plot,
            system,
            chance,
            faults,
            begun,
            plan: BTreeMap::new(),
            planned: 0,
            talkers,
            open: BTreeSet::new(),
            identities: Vec::new(),
            longest,
            last_deed: begun,
            stopped: [Stopped::Never; 2],
            steps: 0,
        };
        if !registers_first {
            for place in &places {
                teller.plan(begun, *place, Planned::Register);
            }
        }
        match plot {
            Plot::Pairs => teller.plan_invitations(&places),
            Plot::Groups => teller.plan_calls(&places),
            Plot::Stopping => {
                teller.plan_calls(&places);
                teller.plan_stops();
            }
        }
        teller.plan_blows(&places);
        teller
    }

    fn plan_invitations(&mut self, places: &[usize]) {
        let count = self.chance.pick(&[1, 1, 2, 3]);
        for _ in 0..count {
            let inviter = self.chance.pick(places);
            let others: Vec<_> = places
                .iter()
                .copied()
                .filter(|place| self.system.address_of(*place) != self.system.address_of(inviter))
                .collect();
            let invited = self.chance.pick(&others);
            let answer = self.chance.pick(&[
                AnswerRequest::Usual,
                AnswerRequest::Usual,
                AnswerRequest::Usual,
                AnswerRequest::Override,
                AnswerRequest::Automatic,
                AnswerRequest::Manual,
            ]);
            let longest = self.chance.pick(&[2_000, 2_000, 20_000]);
            let at = self.begun + self.chance.span(Duration::from_millis(longest));
            self.plan(at, inviter, Planned::Start(invited, answer));
        }
    }

    fn plan_blows(&mut self, places: &[usize]) {
        for planned in [Planned::Die, Planned::Restart, Planned::Remove] {
            if self.chance.happens(80) {
                let place = self.chance.pick(places);
                let at = self.begun + self.chance.span(Duration::from_secs(30));
                self.plan(at, place, planned);
            }
        }
    }

    /// Once all is told to stop users wait for what becomes of their sessions.
    fn plan(&mut self, at: Instant, place: usize, planned: Planned) {
        if self.is_stopped() {
            return;
        }
        self.planned += 1;
        self.plan.insert((at, self.planned), (place, planned));
    }

    /// The next thing that happens. False if nothing is left to happen but that registrations end.
    fn step(&mut self) -> bool {
        self.steps += 1;
        assert!(self.steps < STEPS_MAX, "it comes to an end");
        let planned = self.plan.first_key_value().map(|((at, _), _)| *at);
        if planned.is_none() && self.open.is_empty() && self.system.is_quiet() {
            return false;
        }
        let moments = [planned, self.talkers.next(), self.system.next_moment()];
        let Some(moment) = moments.into_iter().flatten().min() else { return false };
        self.system.advance(moment.max(self.system.now));
        while let Some(entry) = self.plan.first_entry().filter(|entry| entry.key().0 <= self.system.now) {
            let (place, planned) = entry.remove();
            self.carry_out(place, planned);
        }
        self.talkers.carry_out(&mut self.system);
        for (place, event) in std::mem::take(&mut self.system.events) {
            self.react(place, &event);
        }
        self.watch_stops();
        true
    }

    /// Nothing goes on any more. Registrations end, and then nothing may remain.
    fn end(&mut self) {
        let lasted = self.system.now - self.last_deed;
        let limit = life(self.system.setup(), self.system.watch.hops);
        assert!(lasted <= limit, "I9: something lives {lasted:?} after the last deed");
        assert!(self.open.is_empty() || !self.is_stopped(), "somebody is left in a session: {:?}", self.open);
        self.system.network.set_faults(Faults::NONE);
        self.system.media.set_faults(Faults::NONE);
        for place in self.system.clients().collect::<Vec<_>>() {
            self.system.act(place, Act::Deregister);
        }
        while let Some(moment) = self.system.next_moment() {
            self.steps += 1;
            assert!(self.steps < STEPS_MAX, "it comes to an end");
            self.system.advance(moment.max(self.system.now));
        }
        assert!(self.system.is_empty(), "nothing remains when all is over");
        self.system.watch.finish();
    }

    fn carry_out(&mut self, place: usize, planned: Planned) {
        let now = self.system.now;
        let done = match planned {
            Planned::Register => self.system.act(place, Act::Register),
            Planned::Start(invited, answer) => self.begin(place, Act::Start { invited, answer }),
            Planned::Call(whom, answer) => {
                let to = self.addressee(place, whom);
                to.and_then(|to| self.begin(place, Act::Call { to, answer }))
            }
            Planned::Accept(session) => self.system.act(place, Act::Accept(session)),
            Planned::HangUp(session) => self.system.act(place, Act::HangUp(session)),
            Planned::Modify(session) => {
                let modified = self.system.act(place, Act::Modify(session));
                if modified.is_some() && self.chance.happens(500) {
                    let when = now + self.chance.moment_to_give_up();
                    self.plan(when, place, Planned::Withdraw(session));
                }
                modified
            }
            Planned::Withdraw(session) => self.system.act(place, Act::Withdraw(session)),
            Planned::Refer(session, change, whom) => {
                self.system.act(place, Act::Refer { session, change, place: whom })
            }
            Planned::Watch(session) => self.system.act(place, Act::Watch(session)),
            Planned::Alert(whom) => self.system.act(place, Act::Alert(whom)),
            Planned::Die => {
                self.forget(place);
                self.system.die(place);
                self.last_deed = now;
                None
            }
            Planned::Restart => {
                if self.system.clients().any(|client| client == place) {
                    self.forget(place);
                    let seed = self.chance.seed();
                    self.system.restart(place, seed);
                    self.last_deed = now;
                }
                None
            }
            Planned::Remove => {
                self.system.remove_user(place);
                self.last_deed = now;
                None
            }
            Planned::Stop(home) => {
                self.stop(home);
                None
            }
        };
        if done.is_some() {
            self.last_deed = now;
        }
    }

    /// Begins a session, and will end it.
    fn begin(&mut self, place: usize, act: Act) -> Option<SessionId> {
        let session = self.system.act(place, act)?;
        self.open.insert((place, session));
        self.plan_to_end(place, session);
        Some(session)
    }

    /// What the user of `place` knew is no more.
    fn forget(&mut self, place: usize) {
        self.open.retain(|(whom, _)| *whom != place);
        self.plan.retain(|_, (whom, _)| *whom != place);
        self.talkers.forget(place);
    }

    /// When a user hangs up at the latest, and most of them before.
    fn plan_to_end(&mut self, place: usize, session: SessionId) {
        let now = self.system.now;
        if self.longest == PATIENCE || self.chance.happens(300) {
            let when = now + self.chance.moment_to_give_up();
            self.plan(when, place, Planned::HangUp(session));
        }
        self.plan(now + self.longest, place, Planned::HangUp(session));
    }

    fn react(&mut self, place: usize, event: &Event) {
        let now = self.system.now;
        match event {
            Event::Invited { session, answer_mode: AnswerMode::Manual, .. } => {
                self.open.insert((place, *session));
                let when = now + self.chance.moment_to_give_up();
                let planned = match self.chance.below(6) {
                    0 => Planned::HangUp(*session),
                    1 => return, // nobody is there
                    _ => Planned::Accept(*session),
                };
                self.plan(when, place, planned);
                self.plan(now + self.longest, place, Planned::HangUp(*session));
            }
            Event::Established { session, focus, .. } | Event::Invited { session, focus, .. } => {
                self.open.insert((place, *session));
                self.remember(place, focus.as_ref());
                self.plan_company(place, *session);
                self.plan_to_end(place, *session);
                self.talkers.begin(now, place, *session);
                if self.chance.happens(300) {
                    let when = now + self.chance.moment_to_give_up();
                    self.plan(when, place, Planned::Modify(*session));
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
}

/// Seven hops lose more than one: most networks are better than those of [`Faults::draw`].
pub(crate) fn faults(chance: &mut Chance) -> Faults {
    let ms = Duration::from_millis;
    Faults {
        loss: chance.pick(&[0, 0, 0, 20, 50, 100, 200, 400, 900]),
        duplication: chance.pick(&[0, 0, 50, 200]),
        delay: ms(chance.pick(&[1, 5, 40])),
        jitter: ms(chance.pick(&[0, 5, 50, 300, 1500])),
    }
}

fn setup(chance: &mut Chance) -> Setup {
    let seconds = Duration::from_secs;
    let mut terminals = vec![terminal(chance, "anna", 0)];
    match chance.below(4) {
        0 => terminals.push(terminal(chance, "ben", 0)),
        1 => terminals.extend([terminal(chance, "ben", 0), terminal(chance, "dan", 1)]),
        2 => terminals.extend([terminal(chance, "dan", 1), terminal(chance, "eva", 1)]),
        _ => terminals.push(terminal(chance, "dan", 1)),
    }
    if chance.happens(200)
        && let Some(last) = terminals.last().cloned()
    {
        terminals.push(last); // a second terminal of one user
    }
    Setup {
        early_answer: chance.happens(500),
        set_up_limit: seconds(chance.pick(&[10, 30])),
        ring_limit: seconds(chance.pick(&[15, 60])),
        own_limit: chance.happens(150).then_some(seconds(8)),
        no_answer_after: seconds(chance.pick(&[12, 50])),
        profile: chance.pick(&[Profile::Plain, Profile::Ims]),
        reliability: chance.pick(&[
            Reliability::WhenRequired,
            Reliability::WhenRequired,
            Reliability::WhenSupported,
        ]),
        ..Setup::new(terminals)
    }
}

fn terminal(chance: &mut Chance, user: &'static str, home: usize) -> Terminal {
    let answer_mode = chance.pick(&[AnswerMode::Manual, AnswerMode::Manual, AnswerMode::Automatic]);
    let settings = PocSettings {
        answer_mode,
        simultaneous_sessions: chance.happens(500),
        incoming_session_barring: chance.happens(30),
        ..PocSettings::default()
    };
    Terminal { settings, has_factory: chance.happens(300), ..Terminal::new(user, home) }
}

/// Whom the user of `place` wants to hear.
pub(crate) fn rules(chance: &mut Chance, system: &mut System, place: usize) {
    let address: Bytes = system.address_of(place);
    let user = User {
        access: chance.pick(&[
            Access::Accept,
            Access::Accept,
            Access::Accept,
            Access::Accept,
            Access::Pass,
            Access::Reject,
        ]),
        override_by: if chance.happens(500) { OverrideBy::Anybody } else { OverrideBy::Nobody },
        sessions_max: chance.pick(&[8, 8, 1]),
        ..User::new(address)
    };
    system.put_user(system.setup().home_of(place), user);
}
