//! User-plane digest 5.3.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Press(Priority, u64),
    LetGo,
    AskPosition,
    Hear(Message),
    Speech(u32),
    Sent(u16),
    Wait(u64),
}

fn any_message() -> impl Strategy<Value = Message> {
    let seconds = prop_oneof![Just(0), Just(u16::MAX), 1..40_u16];
    let revokes = (0..6_u16, 0..10_u16);
    prop_oneof![
        seconds.prop_map(granted),
        Just(taken()),
        Just(taken_acknowledged()),
        Just(deny()),
        Just(Message::Idle),
        revokes.prop_map(|(reason, information)| Message::Revoke(Revoke::of_code(reason, information))),
        (0..4_u16, 0..3_u16).prop_map(|(priority, place)| queue_status(Priority::of_code(priority), place)),
        Just(Message::Release { last: None }),
        Just(Message::Disconnect),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..4_u16, any::<u64>()).prop_map(|(code, at)| Step::Press(Priority::of_code(code), at)),
        2 => Just(Step::LetGo),
        1 => Just(Step::AskPosition),
        6 => any_message().prop_map(Step::Hear),
        1 => prop_oneof![Just(ME), Just(BOB)].prop_map(Step::Speech),
        1 => any::<u16>().prop_map(Step::Sent),
        3 => (0..3000_u64).prop_map(Step::Wait),
    ]
}

fn any_start() -> impl Strategy<Value = Start> {
    prop_oneof![Just(Start::ImplicitRequest), Just(Start::Granted), Just(Start::Listening)]
}

impl Client {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Press(priority, at) => self.machine.press(self.now, *priority, Some(NtpTimestamp(*at))),
            Step::LetGo => self.let_go(),
            Step::AskPosition => self.machine.ask_position(self.now),
            Step::Hear(message) => self.hear(message.clone()),
            Step::Speech(ssrc) => {
                self.speech(*ssrc);
            }
            Step::Sent(sequence) => self.machine.sent(*sequence),
            Step::Wait(millis) => {
                // Until something is due, so that what is said between two looks is of one row.
                let end = self.now + Duration::from_millis(*millis);
                self.now = self.machine.poll_timeout().map_or(end, |at| at.min(end));
                self.machine.handle_timeout(self.now);
            }
        }
    }

    fn sent(&mut self) -> Vec<Message> {
        let sent = |output| match output {
            Output::Send(message) => Some(message),
            Output::Told(_) => None,
        };
        self.said().into_iter().filter_map(sent).collect()
    }
}

proptest! {
    /// Speech is sent between a grant and the Release, and no longer than the grant says.
    #[test]
    fn nobody_speaks_without_a_grant(queuing: bool, start in any_start(), steps in prop::collection::vec(any_step(), 0..60)) {
        let mut client = Client::of(TalkBurst { queuing, ..AGREED }, start);
        let mut is_granted = start == Start::Granted;
        for step in &steps {
            client.step(step);
            // It is used at once, or once the button is pressed.
            is_granted |= matches!(step, Step::Hear(Message::Granted { .. }));
            for message in client.sent() {
                is_granted &= !matches!(message, Message::Release { .. });
            }
            prop_assert!(is_granted || !client.machine.may_talk(), "{:?}", client.machine);
        }
    }

    /// A Request is repeated as it was until there is another press, and a Release as it was until there is another reason for one.
    #[test]
    fn what_is_repeated_is_the_same(queuing: bool, start in any_start(), steps in prop::collection::vec(any_step(), 0..60)) {
        let mut client = Client::of(TalkBurst { queuing, ..AGREED }, start);
        let mut repeated: Option<Message> = None;
        for step in &steps {
            let (before, is_timeout) = (client.id(), matches!(step, Step::Wait(_)));
            client.step(step);
            for message in client.sent() {
                let is_repeated = is_timeout && before == client.id() && ["C2", "C4"].contains(&before);
                if let Some(repeated) = repeated.as_ref().filter(|_| is_repeated) {
                    prop_assert_eq!(&message, repeated);
                }
                if matches!(message, Message::Request { .. } | Message::Release { .. }) {
                    repeated = Some(message);
                }
            }
            if before != client.id() && client.id() == "C1" {
                repeated = None;
            }
        }
    }

    /// At most one of T10, T11 and T14 runs, beside T12 and T13; time always goes on.
    #[test]
    fn one_message_is_awaited_at_a_time(queuing: bool, start in any_start(), steps in prop::collection::vec(any_step(), 0..60)) {
        let mut client = Client::of(TalkBurst { queuing, ..AGREED }, start);
        for step in &steps {
            client.step(step);
            let now = client.now;
            client.machine.handle_timeout(now);
            prop_assert!(client.machine.poll_timeout().is_none_or(|at| at > now));
            // Within the longest of them something is sent at most once.
            let mut later = client.clone();
            later.said();
            later.wait(999);
            prop_assert!(later.sent().len() <= 1, "{:?}", client.machine);
        }
    }

    /// Whatever was heard, C1 is reached within C10 * T10 of letting go.
    #[test]
    fn who_lets_go_comes_to_rest(queuing: bool, start in any_start(), steps in prop::collection::vec(any_step(), 0..60)) {
        let mut client = Client::of(TalkBurst { queuing, ..AGREED }, start);
        for step in &steps {
            client.step(step);
        }
        client.let_go();
        client.said();
        let timers = Timers::default();
        let longest = timers.t10_release * timers.c10_release.into();
        client.wait(longest.as_millis().try_into().unwrap());
        prop_assert_eq!(client.id(), "C1");
        let sent = client.sent();
        let is_release = |message: &Message| matches!(message, Message::Release { .. });
        prop_assert!(sent.iter().all(is_release), "{:?}", sent);
    }

    /// User-plane digest 15, row 6.
    #[test]
    fn what_comes_twice_has_the_effect_of_once(start in any_start(), steps in prop::collection::vec(any_step(), 0..60)) {
        let mut once = Client::of(AGREED, start);
        for step in &steps {
            once.step(step);
            let mut twice = once.clone();
            if let Step::Hear(message) = step {
                twice.hear(message.clone());
                prop_assert_eq!(&once.clone().drained().machine, &twice.drained().machine);
            }
        }
    }

    #[test]
    fn a_session_can_end_at_any_moment(start in any_start(), steps in prop::collection::vec(any_step(), 0..30)) {
        let mut client = Client::of(AGREED, start);
        for step in &steps {
            client.step(step);
        }
        client.said();
        client.machine.release();
        prop_assert_eq!((client.said(), client.machine.poll_timeout()), (vec![], None));
        client.machine.released();
        prop_assert_eq!(client.machine, Machine::new(Timers::default(), ME, AGREED));
    }
}
