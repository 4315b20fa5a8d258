//! What users do, and what becomes of it.

use bytes::Bytes;
use poc::client::{Alert, AlertId, Change};
use poc::talk_burst::Priority;
use poc::{Addressee, AnswerRequest, Client, Command, Input};
use sip::SessionId;

use super::{Machine, System};

/// What a user does at a moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// Invites the user of another place, who is to answer so.
    Start {
        /// Whose user is invited.
        invited: usize,
        /// How.
        answer: AnswerRequest,
    },
    /// Begins a session with somebody, or joins one.
    Call {
        /// Who.
        to: Addressee,
        /// How they are to answer.
        answer: AnswerRequest,
    },
    /// Presses the key that ends whatever there is: cancels, refuses or leaves.
    HangUp(SessionId),
    /// Accepts.
    Accept(SessionId),
    /// Offers other media in a session.
    Modify(SessionId),
    /// Gives that up again.
    Withdraw(SessionId),
    /// Has a user added to a session, or sent away.
    Refer {
        /// Which.
        session: SessionId,
        /// What is to be done.
        change: Change,
        /// Whose user.
        place: usize,
    },
    /// Is told who takes part in a session.
    Watch(SessionId),
    /// Alerts the user of a place.
    Alert(usize),
    /// Presses the key to speak, so urgently.
    Press(SessionId, Priority),
    /// Says something short.
    Speak(SessionId),
    /// Lets go of the key to speak.
    LetGo(SessionId),
    /// Asks for the place in the queue.
    AskPosition(SessionId),
    /// Registers.
    Register,
    /// Is registered no more.
    Deregister,
}

/// A frame of AMR at 4.75 kbit/s, octet-aligned.
const SPEECH: [u8; 14] = [0xf0, 0x04, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55];
/// As long as until the next packet of a story: fewer packets than there would be.
const SPEECH_SAMPLES: u32 = 800;

impl System {
    /// Lets the user of `place` act. What the state does not allow changes nothing. Returns the session that began or was
    /// changed.
    pub fn act(&mut self, place: usize, act: Act) -> Option<SessionId> {
        let now = self.now;
        let Machine::Client(client) = &mut self.elements[place].machine else { return None };
        let input = |client: &mut Client, command| client.handle_input(now, Input::Command(command));
        let start = |client: &mut Client, to: Addressee, answer| {
            let what = called(&to);
            let command = Command::StartSession { targets: Vec::new(), routes: Vec::new(), to, answer };
            (input(client, command), what)
        };
        let setup = &self.setup;
        let text = |place| String::from_utf8_lossy(&setup.address_of(place)).into_owned();
        let (done, what) = match act.clone() {
            Act::Start { invited, answer } => {
                start(client, Addressee::User(setup.address_of(invited)), answer)
            }
            Act::Call { to, answer } => start(client, to, answer),
            Act::HangUp(session) => (client.hang_up(now, session).map(|()| Some(session)), "hangs up".into()),
            Act::Accept(session) => (client.accept(now, session).map(|()| Some(session)), "accepts".into()),
            Act::Modify(session) => {
                (client.modify(now, session).map(|()| Some(session)), "offers other media".into())
            }
            Act::Withdraw(session) => {
                (client.cancel(now, session).map(|()| Some(session)), "gives up the change".into())
            }
            Act::Refer { session, change, place } => {
                let verb = match change {
                    Change::Add => "adds",
                    Change::Remove => "sends away",
                };
                let user = setup.address_of(place);
                (input(client, Command::Refer { session, change, user }), format!("{verb} {}", text(place)))
            }
            Act::Watch(session) => (input(client, Command::Watch(session)), "asks who takes part".into()),
            Act::Alert(place) => {
                let to = setup.address_of(place);
                let alert = Alert::Personal { text: String::new() };
                let (targets, routes) = (Vec::new(), Vec::new());
                let id = AlertId(self.story.len() as u32);
                let command = Command::Alert { id, targets, routes, to, alert };
                (input(client, command), format!("alerts {}", text(place)))
            }
            Act::Press(session, priority) => {
                let command = Command::Press { session, priority, timestamp: None };
                (input(client, command), "presses the key".into())
            }
            Act::Speak(session) => {
                let (payload, samples) = (Bytes::from_static(&SPEECH), SPEECH_SAMPLES);
                let done = input(client, Command::Speak { session, payload, samples });
                (done.map(|_| Some(session)), "speaks".into())
            }
            Act::LetGo(session) => (input(client, Command::LetGo(session)), "lets go of the key".into()),
            Act::AskPosition(session) => {
                (input(client, Command::AskPosition(session)), "asks for the place in the queue".into())
            }
            Act::Register => (input(client, Command::Register), "registers".into()),
            Act::Deregister => (input(client, Command::Deregister), "deregisters".into()),
        };
        if let Ok(session) = done {
            // Speech is seen in the ladder.
            if !matches!(act, Act::Speak(_)) {
                self.note(place, what);
            }
            let (watch, place) = self.watch_at(place);
            match act {
                Act::Start { .. } | Act::Call { .. } => {
                    session.into_iter().for_each(|session| watch.began(place, session))
                }
                Act::HangUp(session) => watch.hung_up(now, place, session),
                Act::Press(session, _)
                | Act::Speak(session)
                | Act::LetGo(session)
                | Act::AskPosition(session) => watch.talking.acts(session),
                Act::Accept(_)
                | Act::Modify(_)
                | Act::Withdraw(_)
                | Act::Refer { .. }
                | Act::Watch(_)
                | Act::Alert(_)
                | Act::Register
                | Act::Deregister => {}
            }
        }
        self.settle(place);
        done.ok().flatten()
    }
}

/// Whom a call is for, as a ladder has it.
fn called(to: &Addressee) -> String {
    let text = |uri: &Bytes| String::from_utf8_lossy(uri).into_owned();
    match to {
        Addressee::User(uri) => format!("invites {}", text(uri)),
        Addressee::Users(users) => {
            format!("invites {}", users.as_slice().iter().map(text).collect::<Vec<_>>().join(" "))
        }
        Addressee::PreArranged(uri) | Addressee::Chat(uri) => format!("calls {}", text(uri)),
        Addressee::Session(uri) => format!("comes back to {}", text(uri)),
    }
}
