//! The scenes: who is there, what they do, and within which bounds everything else happens.

use bytes::Bytes;
use poc::{Addressee, AnswerMode, AnswerRequest, Command, PocSettings};
use sip::{Duration, Instant, Owner, Reliability};

use super::canon::Canon;
use super::judge::Judge;
use super::state::{Bounds, Media, Near, State};
use super::users::{Deed, Habits};
use crate::network::Faults;
use crate::system::{Element, Machine, Setup, System, Terminal};
use crate::world::World;

/// How far the bounds of a scene reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// As far as every test run goes.
    Short,
    /// As far as the run that is recorded in `docs/proof.md` goes.
    Full,
}

/// A scene, and the bounds within which it is explored.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// The bounds.
    pub bounds: Bounds,
    /// The core and the server of a network are in one process, as they are when one program is both: nothing is under way between them.
    pub is_inside: bool,
    near: Near,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Two clients, and nobody between.
    Direct { answer: AnswerMode, reliable: bool, limit: Option<Duration> },
    /// The same, and offers of other media in the session.
    Changing,
    /// Two clients of a core that has no server.
    Core { terminals: usize, invited: Invited },
    /// Two clients of a core with its server.
    Served { answer: AnswerMode, early: bool },
    /// The same on two networks, each with a core and a server.
    Apart,
    /// Two clients of one network, and the invited user has a pre-established session.
    PreEstablished,
    /// One user calls two others.
    AdHoc { invited: Invited },
    /// Two users in session.
    Talking,
}

/// What those who are invited may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Invited {
    /// Accept, refuse, and leave.
    Anything,
    /// Accept: who does not waits until somebody else ends it, and so does who does.
    Accept,
    /// Accept, and leave when they have waited long enough; the last of them accepts by itself.
    AcceptAndLeave,
}

/// The seed of what names are drawn from.
const SEED: u64 = 1;

/// No way of a scene takes longer.
const HORIZON: Duration = Duration::from_secs(1500);

impl Scene {
    /// All of them.
    pub fn all(extent: Extent) -> Vec<Self> {
        let is_full = extent == Extent::Full;
        let pick = |short, full| if is_full { full } else { short };
        let seconds = Duration::from_secs;
        let bounds = |in_all, [losses, copies, overtakings, delays]: [u32; 4]| Bounds {
            losses,
            copies,
            overtakings,
            delays,
            in_all,
            patience: seconds(3),
        };
        let scene = |name, about, kind, bounds| Self {
            name,
            about,
            bounds,
            is_inside: true,
            near: Near::Nothing,
            kind,
        };
        let short = |near, scene: Self| Self { near: if is_full { Near::Nothing } else { near }, ..scene };
        let direct = |answer, reliable, limit| Kind::Direct { answer, reliable, limit };
        let manual = AnswerMode::Manual;
        let any = [2; 4];
        let invited = |short| if is_full { Invited::Anything } else { short };
        vec![
            scene(
                "direct",
                "two clients, manual answer",
                direct(manual, false, None),
                pick(bounds(1, any), bounds(2, any)),
            ),
            scene(
                "automatic",
                "two clients, automatic answer",
                direct(AnswerMode::Automatic, false, None),
                pick(bounds(1, any), bounds(2, any)),
            ),
            scene(
                "limited",
                "two clients; the inviting one gives up by itself",
                direct(manual, false, Some(seconds(2))),
                pick(bounds(1, any), bounds(2, any)),
            ),
            scene(
                "reliable",
                "two clients, 100rel",
                direct(manual, true, None),
                pick(bounds(0, any), bounds(1, any)),
            ),
            scene(
                "changing",
                "two clients in a session; the inviting one offers other media, and withdraws",
                Kind::Changing,
                pick(bounds(0, any), bounds(1, any)),
            ),
            scene(
                "core",
                "two clients through a core that challenges",
                Kind::Core { terminals: 1, invited: Invited::Anything },
                pick(bounds(0, any), bounds(1, any)),
            ),
            short(
                Near::Client(2),
                scene(
                    "fork",
                    "a core forks to two terminals of the invited user",
                    Kind::Core { terminals: 2, invited: invited(Invited::Accept) },
                    pick(bounds(0, any), bounds(0, any)),
                ),
            ),
            scene(
                "served",
                "1-1 through a core with participating and controlling function",
                Kind::Served { answer: manual, early: false },
                pick(bounds(0, any), bounds(1, [1, 0, 0, 0])),
            ),
            scene(
                "unconfirmed",
                "the same with automatic answer, and servers that answer early",
                Kind::Served { answer: AnswerMode::Automatic, early: true },
                pick(bounds(0, any), bounds(1, [1, 0, 0, 0])),
            ),
            scene(
                "apart",
                "1-1 through the cores and servers of two networks, the invited one answering by itself",
                Kind::Apart,
                pick(bounds(0, any), bounds(1, [1, 0, 0, 0])),
            ),
            scene(
                "pre-established",
                "1-1 through the servers, to a user with a pre-established session",
                Kind::PreEstablished,
                pick(bounds(0, any), bounds(1, [1, 0, 0, 0])),
            ),
            short(
                Near::Client(2),
                scene(
                    "ad-hoc",
                    "one user calls two others through the servers",
                    Kind::AdHoc { invited: invited(Invited::AcceptAndLeave) },
                    pick(bounds(0, any), bounds(0, any)),
                ),
            ),
            short(
                Near::Signalling,
                scene(
                    "talking",
                    "two users in a session who press, speak, let go and leave",
                    Kind::Talking,
                    pick(bounds(0, any), bounds(1, any)),
                ),
            ),
        ]
    }

    /// The state from which it is explored.
    pub(super) fn root(&self) -> (Canon, State) {
        self.begun(false)
    }

    /// The same, and its story is kept.
    pub(super) fn told_root(&self) -> (Canon, State) {
        self.begun(true)
    }

    fn begun(&self, is_told: bool) -> (Canon, State) {
        let (mut state, begins) = self.set();
        let mut canon = Canon::new(&owners(), state.now + HORIZON);
        if is_told {
            state.keep_story();
        }
        state.begin(&mut canon, 0, begins);
        if self.is_inside {
            state.put_inside();
        }
        state.put_near(self.near);
        if self.kind == Kind::PreEstablished {
            state.close_at_the_end(1);
        }
        if self.kind == Kind::Talking {
            state.establish(&mut canon);
        }
        (canon, state)
    }

    fn set(&self) -> (State, Command) {
        let once = |deeds: &[Deed]| deeds.iter().map(|deed| (*deed, 1)).collect::<Vec<_>>();
        let plain = Habits {
            inviter: once(&[Deed::HangUp]),
            invited: once(&[Deed::Accept, Deed::HangUp]),
            refuses: true,
            leaves_late: false,
        };
        let several = |invited| match invited {
            Invited::Anything => plain.clone(),
            Invited::AcceptAndLeave => Habits { leaves_late: true, ..plain.clone() },
            Invited::Accept => Habits { invited: once(&[Deed::Accept]), ..plain.clone() },
        };
        match self.kind {
            Kind::Direct { answer, reliable, limit } => self.direct(answer, reliable, limit, plain),
            Kind::Changing => {
                let inviter = once(&[Deed::Modify, Deed::Withdraw, Deed::HangUp]);
                let invited = once(&[Deed::HangUp]);
                self.direct(AnswerMode::Automatic, false, None, Habits { inviter, invited, ..plain })
            }
            Kind::Core { terminals, invited } => {
                let mut setup = Setup::new(vec![Terminal::new("anna", 0); 1]);
                setup.terminals.extend(vec![Terminal::new("ben", 0); terminals]);
                setup.has_servers = false;
                self.whole(setup, Media::Dropped, several(invited), &["ben"])
            }
            Kind::Served { answer, early } => {
                let settings = PocSettings { answer_mode: answer, ..PocSettings::default() };
                let ben = Terminal { settings, ..Terminal::new("ben", 0) };
                let mut setup = Setup::new(vec![Terminal::new("anna", 0), ben]);
                setup.early_answer = early;
                self.whole(setup, Media::AtOnce, plain, &["ben"])
            }
            Kind::Apart => {
                let settings = PocSettings { answer_mode: AnswerMode::Automatic, ..PocSettings::default() };
                let ben = Terminal { settings, ..Terminal::new("ben", 1) };
                let setup = Setup::new(vec![Terminal::new("anna", 0), ben]);
                self.whole(setup, Media::AtOnce, plain, &["ben"])
            }
            Kind::PreEstablished => {
                let ben = Terminal { has_factory: true, pre_establishes: true, ..Terminal::new("ben", 0) };
                let setup = Setup::new(vec![Terminal::new("anna", 0), ben]);
                self.whole(setup, Media::AtOnce, plain, &["ben"])
            }
            Kind::Talking => {
                let settings = PocSettings { answer_mode: AnswerMode::Automatic, ..PocSettings::default() };
                let ben = Terminal { settings, ..Terminal::new("ben", 0) };
                let setup = Setup::new(vec![Terminal::new("anna", 0), ben]);
                let inviter = once(&[Deed::Speak, Deed::LetGo, Deed::HangUp]);
                let invited = once(&[Deed::Press, Deed::Speak]);
                self.whole(setup, Media::AtOnce, Habits { inviter, invited, ..plain }, &["ben"])
            }
            Kind::AdHoc { invited } => {
                let anna = Terminal { has_factory: true, ..Terminal::new("anna", 0) };
                let answer_mode = match invited {
                    Invited::AcceptAndLeave => AnswerMode::Automatic,
                    Invited::Anything | Invited::Accept => AnswerMode::Manual,
                };
                let settings = PocSettings { answer_mode, ..PocSettings::default() };
                let cara = Terminal { settings, ..Terminal::new("cara", 0) };
                let setup = Setup::new(vec![anna, Terminal::new("ben", 0), cara]);
                self.whole(setup, Media::AtOnce, several(invited), &["ben", "cara"])
            }
        }
    }

    fn direct(
        &self,
        answer: AnswerMode,
        reliable: bool,
        limit: Option<Duration>,
        habits: Habits,
    ) -> (State, Command) {
        let mut world = World::new(SEED, 2, Faults::NONE, |_, config| {
            config.settings.answer_mode = answer;
            config.set_up_limit = limit;
            config.no_answer_after = Some(Duration::from_secs(8));
            config.sip.session_expires = None;
            if reliable {
                config.sip.reliability = Reliability::WhenSupported;
            }
        });
        world.monitor.set_up_limit = limit;
        let element = |node: &crate::world::Node| Element {
            name: node.name.to_owned(),
            address: node.address,
            machine: Machine::Client(Box::new(node.client.clone())),
        };
        let elements = world.nodes.iter().map(element).collect();
        let command = Command::StartSession {
            targets: vec![world.target(1)],
            routes: Vec::new(),
            to: Addressee::User(Bytes::from_static(b"sip:ben@poc.example")),
            answer: AnswerRequest::Usual,
        };
        let judge = Judge::Direct(world.monitor);
        (State::new(world.now, elements, judge, self.bounds, Media::Dropped, habits), command)
    }

    fn whole(&self, mut setup: Setup, media: Media, habits: Habits, called: &[&str]) -> (State, Command) {
        setup.no_answer_after = Duration::from_secs(8);
        let mut system = System::new(SEED, setup, Faults::NONE);
        if system.setup().has_servers {
            system.register_everybody();
        } else {
            for place in system.clients().collect::<Vec<_>>() {
                system.act(place, crate::system::Act::Register);
            }
        }
        system.run_until(system.now + Duration::from_secs(60));
        let users: Vec<_> = called.iter().map(|user| system.address_of(system.place(user))).collect();
        let to = match &users[..] {
            [one] => Addressee::User(one.clone()),
            several => Addressee::Users(several.to_vec().try_into().expect("a few")),
        };
        let (targets, routes) = (Vec::new(), Vec::new());
        let command = Command::StartSession { targets, routes, to, answer: AnswerRequest::Usual };
        let now = Instant::at(Duration::from_millis(system.now.since_start().as_millis() as u64));
        let state = State::new(
            now,
            system.elements,
            Judge::Whole(Box::new(system.watch)),
            self.bounds,
            media,
            habits,
        );
        (state, command)
    }
}

/// Everybody who makes identifiers in any scene.
fn owners() -> Vec<Owner> {
    let owner = |node, shard| Owner { node, shard };
    let near = (0..10).map(|node| owner(node, 0));
    let agents = (1..3).flat_map(|node| [owner(node, 0x40), owner(node, 0x80)]);
    near.chain(agents).chain((100..110).map(|node| owner(node, 0))).collect()
}
