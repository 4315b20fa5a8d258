//! Two networks of clients, cores and PoC Servers, what their users do, what the network does, and a stranger who copies, alters,
//! cancels and invents: the invariants of the simulation hold in every instant, and nothing remains.
//!
//! The input is a list of steps (`arbitrary`). A step that the state does not allow changes nothing.
#![no_main]

use std::net::SocketAddr;

use bytes::Bytes;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use poc::client::Change;
use poc::media::Stream;
use poc::server::{Group, GroupKind, GroupMember, GroupRole, MediaPort};
use poc::talk_burst::Priority;
use poc::{Addressee, AnswerMode, AnswerRequest};
use sim::network::{Deed, Which};
use sim::system::{Act, Setup, Terminal};
use sim::{Faults, System};
use sip::message::Name;
use sip::{Duration, Message, SessionId};

fuzz_target!(|story: Story| {
    let mut teller = Teller::new(&story);
    for step in story.steps.into_iter().take(STEPS_MAX) {
        teller.step(step);
    }
    teller.end();
});

/// Longer lists find nothing that these do not.
const STEPS_MAX: usize = 64;

#[derive(Arbitrary, Debug)]
struct Story {
    early_answer: bool,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    // A user, by a number.
    Invite { who: u8, whom: u8, answer: u8 },
    Join { who: u8 },
    Accept { who: u8, which: u8 },
    HangUp { who: u8, which: u8 },
    Modify { who: u8, which: u8 },
    Withdraw { who: u8, which: u8 },
    Refer { who: u8, which: u8, whom: u8, adds: bool },
    Watch { who: u8, which: u8 },
    Press { who: u8, which: u8, priority: u8 },
    Speak { who: u8, which: u8 },
    LetGo { who: u8, which: u8 },
    AskPosition { who: u8, which: u8 },
    Alert { who: u8, whom: u8 },
    Restart { who: u8 },
    Remove { who: u8 },
    // The network.
    Pass { milliseconds: u8 },
    Wait { seconds: u8 },
    Jump,
    Lose { after: u8 },
    Double { after: u8 },
    Delay { after: u8, milliseconds: u16 },
    // A stranger: a request of the last ones, as it was, with other octets in it, or as a CANCEL.
    Copy { back: u8, to: u8 },
    Alter { back: u8, to: u8, at: u16, cut: u8, put: Vec<u8> },
    Cancel { back: u8, to: u8 },
    Invent { to: u8, octets: Vec<u8> },
    Speech { to: u8, pair: u8, ssrc: u8, sequence: u16 },
    Media { to: u8, pair: u8, is_control: bool, octets: Vec<u8> },
}

struct Teller {
    system: System,
    clients: Vec<usize>,
    /// Who knows of which session.
    open: Vec<(usize, SessionId)>,
}

const ELEMENTS: [&str; 4] = ["core1", "server1", "server2", "core2"];
const CHAT: &str = "watch";

fn built(early_answer: bool) -> System {
    let answering = |name, home, answer_mode| {
        let mut terminal = Terminal::new(name, home);
        terminal.settings.answer_mode = answer_mode;
        terminal.has_factory = true;
        terminal
    };
    let terminals = vec![
        answering("anna", 0, AnswerMode::Manual),
        answering("ben", 0, AnswerMode::Automatic),
        answering("dan", 1, AnswerMode::Manual),
        answering("erik", 1, AnswerMode::Automatic),
    ];
    let members: Vec<_> = terminals
        .iter()
        .map(|terminal| GroupMember { address: terminal.address(), role: GroupRole::Ordinary })
        .collect();
    let group = Group { members, ..Group::new(Setup::group_address(CHAT, 0), GroupKind::Chat) };
    let setup = Setup { early_answer, groups: vec![(0, group)], ..Setup::new(terminals) };
    let mut system = System::new(7, setup, Faults::NONE);
    system.watch.hops = 11;
    system.register_everybody();
    system.run_until(system.now + Duration::from_secs(40));
    system
}

impl Teller {
    fn new(story: &Story) -> Self {
        thread_local! {
            static SYSTEMS: [System; 2] = [built(false), built(true)];
        }
        let system = SYSTEMS.with(|systems| systems[usize::from(story.early_answer)].clone());
        let clients = system.clients().collect();
        Self { system, clients, open: Vec::new() }
    }

    fn place(&self, who: u8) -> usize {
        self.clients[usize::from(who) % self.clients.len()]
    }

    /// One of the sessions that the user of a place knows of.
    fn session(&self, who: u8, which: u8) -> Option<SessionId> {
        let place = self.place(who);
        let known: Vec<_> = self.open.iter().filter(|(whose, _)| *whose == place).collect();
        known.get(usize::from(which) % known.len().max(1)).map(|(_, session)| *session)
    }

    fn act_in(&mut self, who: u8, which: u8, act: impl FnOnce(SessionId) -> Act) {
        if let Some(session) = self.session(who, which) {
            self.system.act(self.place(who), act(session));
        }
    }

    fn begin(&mut self, who: u8, act: Act) {
        let place = self.place(who);
        if let Some(session) = self.system.act(place, act) {
            self.open.push((place, session));
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Invite { who, whom, answer } => {
                let invited = self.place(whom);
                if self.system.address_of(invited) == self.system.address_of(self.place(who)) {
                    return;
                }
                let answer = match answer % 4 {
                    0 => AnswerRequest::Usual,
                    1 => AnswerRequest::Override,
                    2 => AnswerRequest::Automatic,
                    _ => AnswerRequest::Manual,
                };
                self.begin(who, Act::Start { invited, answer });
            }
            Step::Join { who } => {
                let to = Addressee::Chat(Setup::group_address(CHAT, 0));
                self.begin(who, Act::Call { to, answer: AnswerRequest::Usual });
            }
            Step::Accept { who, which } => self.act_in(who, which, Act::Accept),
            Step::HangUp { who, which } => self.act_in(who, which, Act::HangUp),
            Step::Modify { who, which } => self.act_in(who, which, Act::Modify),
            Step::Withdraw { who, which } => self.act_in(who, which, Act::Withdraw),
            Step::Refer { who, which, whom, adds } => {
                let (place, change) = (self.place(whom), if adds { Change::Add } else { Change::Remove });
                self.act_in(who, which, |session| Act::Refer { session, change, place });
            }
            Step::Watch { who, which } => self.act_in(who, which, Act::Watch),
            Step::Press { who, which, priority } => {
                let priority = match priority % 4 {
                    0 => Priority::None,
                    1 => Priority::Normal,
                    2 => Priority::High,
                    _ => Priority::PreEmptive,
                };
                self.act_in(who, which, |session| Act::Press(session, priority));
            }
            Step::Speak { who, which } => self.act_in(who, which, Act::Speak),
            Step::LetGo { who, which } => self.act_in(who, which, Act::LetGo),
            Step::AskPosition { who, which } => self.act_in(who, which, Act::AskPosition),
            Step::Alert { who, whom } => {
                self.system.act(self.place(who), Act::Alert(self.place(whom)));
            }
            Step::Restart { who } => {
                let place = self.place(who);
                self.open.retain(|(whose, _)| *whose != place);
                self.system.restart(place, [who; 32]);
            }
            Step::Remove { who } => self.system.remove_user(self.place(who)),
            Step::Pass { milliseconds } => self.pass(Duration::from_millis(milliseconds.into())),
            Step::Wait { seconds } => self.pass(Duration::from_secs(seconds.into())),
            Step::Jump => {
                if let Some(moment) = self.system.next_moment() {
                    self.system.advance(moment.max(self.system.now));
                }
            }
            Step::Lose { after } => self.script(after, Deed::Lose),
            Step::Double { after } => self.script(after, Deed::Double),
            Step::Delay { after, milliseconds } => {
                self.script(after, Deed::Delay(Duration::from_millis(milliseconds.into())));
            }
            Step::Copy { back, to } => {
                if let Some(request) = self.request(back) {
                    self.intrude(to, request);
                }
            }
            Step::Alter { back, to, at, cut, put } => {
                let Some(request) = self.request(back) else { return };
                let mut octets = request.to_vec();
                let at = usize::from(at) % (octets.len() + 1);
                let end = (at + usize::from(cut)).min(octets.len());
                octets.splice(at..end, put);
                self.intrude(to, Bytes::from(octets));
            }
            Step::Cancel { back, to } => {
                let Some(request) = self.request(back) else { return };
                let text = String::from_utf8_lossy(&request).replacen("INVITE", "CANCEL", 1);
                self.intrude(to, Bytes::from(text.replace(" INVITE\r\n", " CANCEL\r\n")));
            }
            Step::Invent { to, octets } => self.intrude(to, Bytes::from(octets)),
            Step::Speech { to, pair, ssrc, sequence } => {
                let mut packet = vec![0x80, 97];
                packet.extend(sequence.to_be_bytes());
                packet.extend([0, 0, 0, 0, 0, 0, 0, ssrc]);
                packet.extend([0xf0, 0x04]);
                packet.extend([0x55; 12]);
                self.hear(to, pair, Stream::Speech, packet);
            }
            Step::Media { to, pair, is_control, octets } => {
                self.hear(to, pair, if is_control { Stream::Control } else { Stream::Speech }, octets);
            }
        }
        for (place, event) in std::mem::take(&mut self.system.events) {
            if let Some(session) = event.session().filter(|session| !self.open.contains(&(place, *session))) {
                self.open.push((place, session));
            }
        }
    }

    fn pass(&mut self, span: Duration) {
        self.system.run_until(self.system.now + span);
    }

    fn script(&mut self, after: u8, deed: Deed) {
        let number = self.system.network.sent() + 1 + u64::from(after);
        self.system.network.on(Which::Number(number), deed);
    }

    /// One of the last requests.
    fn request(&self, back: u8) -> Option<Bytes> {
        let is_request =
            |bytes: &Bytes| Message::parse(bytes.clone()).is_ok_and(|message| message.status().is_none());
        let said = self.system.messages().rev().map(|sent| sent.bytes.clone());
        said.filter(is_request).nth(usize::from(back % 16))
    }

    fn strange() -> SocketAddr {
        SocketAddr::from(([203, 0, 113, 9], 5060))
    }

    fn intrude(&mut self, to: u8, bytes: Bytes) {
        let place = self.system.place(ELEMENTS[usize::from(to) % ELEMENTS.len()]);
        let request = Message::parse(bytes.clone());
        let is_cancel = request.as_ref().is_ok_and(|request| request.bytes().starts_with(b"CANCEL "));
        let answer = self.system.intrude(place, Self::strange(), bytes);
        let accepted = answer.as_ref().and_then(Message::status).is_some_and(|status| status < 300);
        assert!(!(is_cancel && accepted), "a CANCEL of a stranger is accepted: {answer:?}");
        if let (Some(answer), Ok(request)) = (answer, request) {
            // RFC 3261 §8.2.6.2. What it lacks, an answer lacks too.
            for name in [Name::CallId, Name::From, Name::CSeq] {
                assert_eq!(answer.value(name), request.value(name), "{name:?}");
            }
        }
    }

    fn hear(&mut self, to: u8, pair: u8, stream: Stream, octets: Vec<u8>) {
        let place = self.system.place(["server1", "server2"][usize::from(to % 2)]);
        let at = MediaPort { pair: u16::from(pair % 16), stream };
        self.system.intrude_media(place, at, Self::strange(), Bytes::from(octets));
    }

    /// Everybody hangs up, and after a while nothing is left.
    fn end(mut self) {
        assert!(self.system.take_to_strangers().is_empty(), "nothing is said to a stranger again");
        for (place, session) in std::mem::take(&mut self.open) {
            self.system.act(place, Act::HangUp(session));
        }
        self.pass(Duration::from_secs(500));
        assert!(self.system.is_quiet(), "nobody has anything to do any more");
        for place in self.clients.clone() {
            self.system.act(place, Act::Deregister);
        }
        while let Some(moment) = self.system.next_moment() {
            self.system.advance(moment.max(self.system.now));
        }
        assert!(self.system.is_empty(), "nothing remains when all is over");
        assert!(self.system.take_to_strangers().is_empty(), "nothing is said to a stranger again");
        self.system.watch.finish();
    }
}
