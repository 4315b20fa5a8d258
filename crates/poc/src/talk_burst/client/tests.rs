use std::collections::BTreeSet;

use bytes::Bytes;

use super::*;

mod properties;
mod rows;
mod wishes;

const ME: u32 = 0x1122_3344;
const BOB: u32 = 0x5566_7788;

const AGREED: TalkBurst = TalkBurst {
    queuing: true,
    tb_priority: 3,
    timestamp: true,
    tb_granted: true,
    poc_sess_priority: false,
    poc_lock: false,
};

const PRESSED_AT: NtpTimestamp = NtpTimestamp(0xc502_04ec_8000_0000);

/// A machine, the time, and what it has said.
#[derive(Clone)]
struct Client {
    machine: Machine,
    now: Instant,
}

impl Client {
    fn of(agreed: TalkBurst, start: Start) -> Self {
        let mut machine = Machine::new(Timers::default(), ME, agreed);
        machine.begin(Instant::START, start);
        Self { machine, now: Instant::START }
    }

    /// C1.
    fn listening() -> Self {
        Self::of(AGREED, Start::Listening)
    }

    /// C2: T11 runs for a second.
    fn asking() -> Self {
        let mut client = Self::listening();
        client.press();
        client.drained()
    }

    /// C2, where nobody queues.
    fn asking_unqueued() -> Self {
        let mut client = Self::of(TalkBurst { queuing: false, ..AGREED }, Start::Listening);
        client.press();
        client.drained()
    }

    /// C3, for half a minute.
    fn talking() -> Self {
        let mut client = Self::asking();
        client.hear(granted(30));
        client.drained()
    }

    /// C4: T10 runs for a second.
    fn letting_go() -> Self {
        let mut client = Self::talking();
        client.machine.sent(1234);
        client.machine.let_go(client.now);
        client.drained()
    }

    /// C5.
    fn queued() -> Self {
        let mut client = Self::asking();
        client.hear(queue_status(Priority::Normal, 2));
        client.drained()
    }

    /// C5: T14 runs for a second.
    fn asking_position() -> Self {
        let mut client = Self::queued();
        client.machine.ask_position(client.now);
        client.drained()
    }

    /// C5, granted: the request was the INVITE, and nobody presses.
    fn granted_unpressed() -> Self {
        let mut client = Self::of(AGREED, Start::ImplicitRequest);
        client.hear(queue_status(Priority::Normal, 2));
        client.hear(granted(30));
        client.drained()
    }

    fn releasing() -> Self {
        let mut client = Self::talking();
        client.machine.release();
        client.drained()
    }

    fn drained(mut self) -> Self {
        self.said();
        self
    }

    fn press(&mut self) {
        self.machine.press(self.now, Priority::Normal, Some(PRESSED_AT));
    }

    fn let_go(&mut self) {
        self.machine.let_go(self.now);
    }

    fn hear(&mut self, message: Message) {
        self.machine.handle_message(self.now, &message);
    }

    fn speech(&mut self, ssrc: u32) -> Hear {
        self.machine.handle_speech(self.now, ssrc)
    }

    /// What was said since.
    fn said(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.machine.poll_output()).collect()
    }

    /// Lets time pass, with whatever is due in it.
    fn wait(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(at) = self.machine.poll_timeout().filter(|at| *at <= end) {
            self.now = at;
            self.machine.handle_timeout(at);
            assert!(self.machine.poll_timeout().is_none_or(|next| next > at), "{:?}", self.machine);
        }
        self.now = end;
    }

    fn id(&self) -> &'static str {
        id(self.machine.state)
    }
}

fn id(state: State) -> &'static str {
    match state {
        State::StartStop => "C0",
        State::NoPermission => "C1",
        State::PendingRequest { .. } => "C2",
        State::HasPermission { .. } => "C3",
        State::PendingRelease { .. } => "C4",
        State::Queued { .. } => "C5",
        State::QueuedAsking { .. } => "C5a",
        State::QueuedGranted { .. } => "C5g",
        State::Releasing => "C6",
    }
}

fn granted(seconds: u16) -> Message {
    Message::Granted { stop_talking: StopTalking::of_code(seconds), participants: Some(5) }
}

fn bob() -> Taken {
    Taken::new(BOB, Bytes::from("sip:bob@example.com"), Some("Bob".into()), Some(5))
}

fn taken() -> Message {
    Message::Taken(bob())
}

/// The one that asks for an acknowledgement.
fn taken_acknowledged() -> Message {
    Message::Taken(Taken { is_acknowledged: true, ..bob() })
}

fn deny() -> Message {
    Message::Deny { reason: DenyReason::Taken, phrase: "Floor busy".to_owned() }
}

fn too_long(retry_after: u16) -> Message {
    Message::Revoke(Revoke::TooLong { retry_after })
}

fn queue_status(priority: Priority, place: u16) -> Message {
    Message::QueueStatus { priority, position: Position::of_code(place) }
}

fn request() -> Output {
    Output::Send(Message::Request { priority: Some(Priority::Normal), timestamp: Some(PRESSED_AT) })
}

/// With the sequence number of the last RTP packet, or to ignore it.
fn release(last: Option<u16>) -> Output {
    Output::Send(Message::Release { last })
}

fn acknowledgement() -> Output {
    Output::Send(Message::Acknowledgement(Acknowledgement::Taken))
}

fn taken_by_bob() -> Output {
    Output::Told(Told::TakenBy(Box::new(bob())))
}

fn may_speak(seconds: Option<u16>) -> Output {
    Output::Told(Told::Granted { seconds, participants: Some(5) })
}

/// Each state.
fn all() -> Vec<Client> {
    vec![
        Client { machine: Machine::new(Timers::default(), ME, AGREED), now: Instant::START },
        Client::listening(),
        Client::asking(),
        Client::talking(),
        Client::letting_go(),
        Client::queued(),
        Client::asking_position(),
        Client::granted_unpressed(),
        Client::releasing(),
    ]
}

type Input = fn(&mut Client);

const TABLES: [&[(&str, usize, Input)]; 2] = [
    &[
        ("Granted", 9, |client| client.hear(granted(60))),
        ("Taken", 10, |client| client.hear(taken_acknowledged())),
        ("Deny", 6, |client| client.hear(deny())),
        ("Idle", 6, |client| client.hear(Message::Idle)),
        ("Revoke", 9, |client| client.hear(too_long(30))),
        ("queued", 8, |client| client.hear(queue_status(Priority::Normal, 1))),
        ("not queued", 12, |client| client.hear(queue_status(Priority::None, 0))),
        ("RTP", 5, |client| {
            client.speech(BOB);
        }),
        ("others", 8, |client| client.hear(Message::Release { last: None })),
    ],
    &[
        ("press", 8, Client::press),
        ("let go", 8, Client::let_go),
        ("ask position", 14, |client| client.machine.ask_position(client.now)),
        ("deadline", 10, |client| {
            if let Some(at) = client.machine.poll_timeout() {
                client.machine.handle_timeout(at);
            }
        }),
        ("release", 9, |client| client.machine.release()),
        ("released", 8, |client| client.machine.released()),
    ],
];

fn cell(before: &Client, input: Input) -> String {
    let mut client = before.clone();
    input(&mut client);
    let marks: BTreeSet<_> = client
        .said()
        .into_iter()
        .map(|output| match output {
            Output::Told(_) => '!',
            Output::Send(Message::Request { .. }) => 'R',
            Output::Send(Message::Release { .. }) => 'L',
            Output::Send(Message::Acknowledgement(_)) => 'A',
            Output::Send(Message::QueueStatusRequest) => 'Q',
            Output::Send(other) => panic!("a client sends {other:?}"),
        })
        .collect();
    if client.machine == before.machine && marks.is_empty() {
        return "-".to_owned();
    }
    let sent: String = marks.iter().filter(|mark| **mark != '!').map(|mark| format!(" +{mark}")).collect();
    format!("{}{sent}{}", client.id(), if marks.contains(&'!') { " !" } else { "" })
}

fn tables() -> String {
    let mut text = String::new();
    for (number, table) in TABLES.iter().enumerate() {
        let line = |first: &str, cells: Vec<String>| {
            let widths = table.iter().map(|(_, width, _)| *width);
            let cells: String =
                cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            format!("//! {first:<5}{cells}").trim_end().to_owned() + "\n"
        };
        if number > 0 {
            text.push_str("//!\n");
        }
        text.push_str(&line("", table.iter().map(|(name, ..)| (*name).to_owned()).collect()));
        for client in all() {
            let cells = table.iter().map(|(.., input)| cell(&client, *input)).collect();
            text.push_str(&line(client.id(), cells));
        }
    }
    text
}

/// The tables at the top of the file are what the machine does.
#[test]
fn every_state_by_every_input_is_as_the_tables_say() {
    let tables = tables();
    assert!(include_str!("mod.rs").contains(&tables), "\n{tables}");
}
