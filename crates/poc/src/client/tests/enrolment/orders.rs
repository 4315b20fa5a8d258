//! Commands, answers, silence and time in random orders.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Register,
    Deregister,
    NetworkChanged,
    SetSettings(bool),
    /// Answers the oldest request that has none.
    Answer(usize),
    /// Answers a request again that was answered before.
    Repeat(usize),
    Wait(u64),
}

const ANSWERS: [(&str, &str); 12] = [
    ("200 OK", "Contact: <sip:anna@192.0.2.1:5060>;expires=120\r\nSIP-ETag: a\r\n"),
    ("200 OK", "Expires: 4000000000\r\nSIP-ETag: b\r\nService-Route: <sip:x;lr>\r\n"),
    ("200 OK", "Expires: 0\r\nService-Route: rubbish\r\n"),
    ("401 Unauthorized", CHALLENGE),
    ("403 Forbidden", ""),
    ("408 Request Timeout", ""),
    ("412 Conditional Request Failed", ""),
    ("423 Interval Too Brief", "Min-Expires: 5000\r\n"),
    ("423 Interval Too Brief", "Min-Expires: soon\r\n"),
    ("489 Bad Event", ""),
    ("503 Service Unavailable", "Retry-After: 4000000000\r\n"),
    ("604 Does Not Exist Anywhere", ""),
];

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Register),
        1 => Just(Step::Deregister),
        1 => Just(Step::NetworkChanged),
        2 => any::<bool>().prop_map(Step::SetSettings),
        8 => (0..ANSWERS.len()).prop_map(Step::Answer),
        1 => (0..ANSWERS.len()).prop_map(Step::Repeat),
        4 => prop_oneof![0..2_u64, 0..40_u64, 0..5000_u64].prop_map(Step::Wait),
    ]
}

/// A client, and what a server has seen of it.
struct Run {
    home: Home,
    /// Requests that nobody has answered, and those that somebody has.
    open: Vec<Message>,
    answered: Vec<Message>,
    numbers: Vec<u32>,
    deregistered: usize,
    wanted: usize,
}

impl Run {
    fn take(&mut self) {
        for message in sent(&mut self.home.anna) {
            let is_copy = |other: &Message| other.bytes() == message.bytes();
            if self.open.iter().chain(&self.answered).any(is_copy) {
                continue;
            }
            if message.is(sip::message::Method::Register) {
                let number = message.cseq().unwrap().number;
                assert!(self.numbers.last().is_none_or(|last| *last < number), "CSeq rises");
                self.numbers.push(number);
            }
            self.open.push(message);
        }
        let told = self.home.told();
        self.deregistered += told.iter().filter(|event| matches!(event, Event::Deregistered { .. })).count();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Register => self.press(Command::Register),
            Step::Deregister => {
                self.wanted += 1;
                self.press(Command::Deregister);
            }
            Step::NetworkChanged => self.press(Command::NetworkChanged),
            Step::SetSettings(simultaneous_sessions) => {
                self.press(Command::SetSettings(PocSettings {
                    simultaneous_sessions,
                    ..PocSettings::default()
                }));
            }
            Step::Answer(which) if !self.open.is_empty() => {
                let request = self.open.remove(0);
                self.home.answer(&request, ANSWERS[which].0, ANSWERS[which].1);
                self.answered.push(request);
            }
            Step::Repeat(which) => {
                if let Some(request) = self.answered.last().cloned() {
                    self.home.answer(&request, ANSWERS[which].0, ANSWERS[which].1);
                }
            }
            Step::Wait(seconds) => self.home.wait_secs(seconds),
            Step::Answer(_) => {}
        }
        self.take();
    }

    /// It may be refused; then nothing has changed.
    fn press(&mut self, command: Command) {
        let _ = self.home.anna.handle_input(self.home.now, Input::Command(command));
    }
}

proptest! {
    #[test]
    fn a_registration_ends_in_every_order_and_leaves_nothing(steps in prop::collection::vec(any_step(), 0..60)) {
        let mut run = Run {
            home: Home::new(),
            open: Vec::new(),
            answered: Vec::new(),
            numbers: Vec::new(),
            deregistered: 0,
            wanted: 0,
        };
        for step in steps {
            run.step(step);
        }
        // An end that is under way is over by then; then it is wanted once more, and nobody answers.
        run.step(Step::Wait(200));
        let before = run.deregistered;
        run.step(Step::Deregister);
        run.step(Step::Wait(130));
        prop_assert_eq!(run.deregistered, before + 1, "told once");
        run.step(Step::Wait(130));
        prop_assert!(run.home.anna.is_empty() && run.home.anna.is_settled());
        prop_assert_eq!(run.home.anna.poll_timeout(), None);
        prop_assert!(run.deregistered <= run.wanted);
    }
}
