//! The invariants of user-plane digest 6.6, whatever comes in whatever order.

use proptest::prelude::*;

use super::*;
use crate::talk_burst::controlling::participant::State as Leg;

/// What may happen.
#[derive(Clone, Debug)]
enum Step {
    Join {
        key: usize,
        joining: Joining,
    },
    Leave(usize),
    Request {
        key: usize,
        priority: Option<Priority>,
        timestamp: Option<NtpTimestamp>,
    },
    /// `ahead`: so many packets are still on the way; `None`: the number is to be ignored.
    Release {
        key: usize,
        ahead: Option<u16>,
        is_own: bool,
    },
    QueueStatusRequest(usize),
    Acknowledge(usize),
    Speak {
        key: usize,
        packets: u16,
        is_own: bool,
    },
    NobodyComes,
    Pass(u64),
}

const KEYS: usize = 5;

fn joinings() -> impl Strategy<Value = Joining> {
    let agreed =
        prop::option::weighted(
            0.9,
            (any::<bool>(), any::<bool>(), 0..=3_u8).prop_map(|(queuing, timestamp, tb_priority)| {
                TalkBurst { queuing, timestamp, tb_priority, ..TalkBurst::default() }
            }),
        );
    let bools = (prop::bool::weighted(0.9), prop::bool::weighted(0.1), any::<bool>(), any::<bool>());
    (agreed, bools).prop_map(|(agreed, (may_speak, is_pre_empt_protected, asks, may_be_alone))| Joining {
        agreed,
        may_speak,
        is_pre_empt_protected,
        asks,
        may_be_alone,
        ..joining(0)
    })
}

fn priorities() -> impl Strategy<Value = Priority> {
    prop::sample::select(vec![Priority::None, Priority::Normal, Priority::High, Priority::PreEmptive])
}

fn steps() -> impl Strategy<Value = Step> {
    let keys = || 0..KEYS;
    prop_oneof![
        3 => (keys(), joinings()).prop_map(|(key, joining)| Step::Join { key, joining }),
        1 => keys().prop_map(Step::Leave),
        5 => (keys(), prop::option::of(priorities()), prop::option::of(0..9_u64)).prop_map(
            |(key, priority, timestamp)| Step::Request { key, priority, timestamp: timestamp.map(NtpTimestamp) }
        ),
        4 => (keys(), prop::option::of(0..4_u16), prop::bool::weighted(0.9))
            .prop_map(|(key, ahead, is_own)| Step::Release { key, ahead, is_own }),
        1 => keys().prop_map(Step::QueueStatusRequest),
        1 => keys().prop_map(Step::Acknowledge),
        5 => (keys(), 1..4_u16, prop::bool::weighted(0.9))
            .prop_map(|(key, packets, is_own)| Step::Speak { key, packets, is_own }),
        1 => Just(Step::NobodyComes),
        3 => (0..300_u64).prop_map(Step::Pass),
        2 => (300..6000_u64).prop_map(Step::Pass),
    ]
}

/// What a leg was told last of the state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    Nothing,
    Idle,
    Taken,
    Granted,
}

/// The machine, and what somebody knows who sees only what goes in and out.
struct Watched {
    bursts: TalkBursts,
    now: Instant,
    standings: [Standing; KEYS],
    /// By when an accepted pre-emptor without queuing is answered.
    silent_until: [Option<Instant>; KEYS],
    sequences: [u16; KEYS],
}

impl Watched {
    fn new() -> Self {
        Self {
            bursts: TalkBursts::new(Arc::default()),
            now: Instant::START,
            standings: [Standing::Nothing; KEYS],
            silent_until: [None; KEYS],
            sequences: [65_530; KEYS],
        }
    }

    fn step(&mut self, step: Step) {
        let now = self.now;
        match step {
            Step::Join { key, joining } => {
                if self.bursts.participant(key).is_none() {
                    self.standings[key] = Standing::Nothing;
                    self.bursts.join(now, key, joining);
                }
            }
            Step::Leave(key) => {
                self.bursts.leave(now, key);
                (self.standings[key], self.silent_until[key]) = (Standing::Nothing, None);
            }
            Step::Request { key, priority, timestamp } => self.request(key, priority, timestamp),
            Step::Release { key, ahead, is_own } => {
                let before = self.bursts.holder();
                let last = ahead.map(|ahead| self.sequences[key].wrapping_add(ahead));
                let ssrc = if is_own { ssrc(key) } else { 0x0bad_f00d };
                self.bursts.handle_message(now, key, ssrc, &Message::Release { last });
                self.silent_until[key] = None;
                if before.is_some_and(|holder| holder != key) {
                    assert_eq!(
                        self.bursts.holder(),
                        before,
                        "a Release has ended the burst of somebody else"
                    );
                }
            }
            Step::QueueStatusRequest(key) => {
                self.bursts.handle_message(now, key, ssrc(key), &Message::QueueStatusRequest);
            }
            Step::Acknowledge(key) => {
                let message = Message::Acknowledgement(Acknowledgement::Taken);
                self.bursts.handle_message(now, key, ssrc(key), &message);
            }
            Step::Speak { key, packets, is_own } => {
                for _ in 0..packets {
                    let holder = self.bursts.holder();
                    self.sequences[key] = self.sequences[key].wrapping_add(1);
                    let ssrc = if is_own { ssrc(key) } else { 0x0bad_f00d };
                    let gate = self.bursts.handle_speech(now, key, ssrc, self.sequences[key]);
                    assert!(gate == Gate::Drop || holder == Some(key), "speech of a non-holder is forwarded");
                }
            }
            Step::NobodyComes => self.bursts.nobody_comes(now),
            Step::Pass(milliseconds) => return self.pass(milliseconds),
        }
        self.look();
    }

    /// Every Request is answered by exactly one message, and at once, but for that of an accepted pre-emptor without queuing.
    fn request(&mut self, key: usize, priority: Option<Priority>, timestamp: Option<NtpTimestamp>) {
        let known =
            self.bursts.participant(key).map(|participant| (participant.state(), participant.has_queuing()));
        self.bursts.handle_message(self.now, key, ssrc(key), &Message::Request { priority, timestamp });
        let is_answer = |output: &&Output| match output {
            Output::Send { to: To::One(to), message } => {
                let answers = matches!(
                    message,
                    Message::Granted { .. } | Message::Deny { .. } | Message::QueueStatus { .. }
                );
                answers && *to == key
            }
            Output::Send { to: To::Each(_) | To::All | To::Others(_), .. } | Output::Told(_) => false,
        };
        let answers = self.bursts.outputs.iter().filter(is_answer).count();
        match known {
            None | Some((Leg::Uncontrolled, _)) => assert_eq!(answers, 0),
            Some((_, false)) if answers == 0 => {
                assert_eq!(self.bursts.queue.position_of(key).0, Priority::PreEmptive);
                let settings = &self.bursts.settings;
                let until = self.now + settings.t3_grace_pre_empted + ms(200);
                self.silent_until[key].get_or_insert(until);
            }
            Some(_) => assert_eq!(answers, 1),
        }
    }

    fn pass(&mut self, milliseconds: u64) {
        let end = self.now + ms(milliseconds);
        while let Some(at) = self.bursts.poll_timeout().filter(|at| *at <= end) {
            assert!(at > self.now || at == end, "a deadline lies behind");
            self.now = at;
            self.bursts.handle_timeout(at);
            assert!(self.bursts.poll_timeout().is_none_or(|next| next > at), "the same deadline again");
            self.look();
        }
        self.now = end;
        self.look();
    }

    /// Takes what goes out, and compares what everybody knows.
    fn look(&mut self) {
        let mut before = None;
        while let Some(output) = self.bursts.poll_output() {
            if let Output::Send { to, message } = &output {
                let keys: Vec<_> = match to {
                    To::One(key) => vec![*key],
                    To::Each(keys) => keys.clone(),
                    To::All | To::Others(_) => self.bursts.meant(to).collect(),
                };
                keys.iter().for_each(|key| self.receive(*key, message));
            }
            if let Output::Told(Told::Granted { key }) = output {
                let is_granted = matches!(
                    &before,
                    Some(Output::Send { to: To::One(to), message: Message::Granted { .. } }) if *to == key
                );
                assert!(is_granted, "a grant is not one Granted");
            }
            before = Some(output);
        }
        self.compare();
    }

    fn receive(&mut self, key: usize, message: &Message) {
        let participant = self.bursts.participant(key).expect("who is gone is sent nothing");
        assert!(participant.hears());
        match message {
            Message::Granted { .. } => {
                (self.standings[key], self.silent_until[key]) = (Standing::Granted, None)
            }
            Message::Deny { .. } => self.silent_until[key] = None,
            Message::Taken(_) => self.standings[key] = Standing::Taken,
            Message::Idle => self.standings[key] = Standing::Idle,
            Message::Revoke(_) | Message::QueueStatus { .. } => {}
            Message::Request { .. }
            | Message::Release { .. }
            | Message::Acknowledgement(_)
            | Message::QueueStatusRequest
            | Message::Connect(_)
            | Message::Disconnect => panic!("{message} is not for a server to send"),
        }
    }

    fn compare(&self) {
        let bursts = &self.bursts;
        let holder = bursts.holder();
        let is_idle = matches!(bursts.state, State::StartStop | State::Idle { .. } | State::Releasing);
        assert_eq!(holder.is_none(), is_idle);
        for (key, participant) in bursts.participants.iter().enumerate() {
            let Some(participant) = participant else { continue };
            let is_permitted = match participant.state() {
                Leg::Permitted | Leg::PendingRevoke { .. } => true,
                Leg::StartStop | Leg::NotPermitted | Leg::Unpermitted { .. } | Leg::Uncontrolled => false,
            };
            assert_eq!(is_permitted, holder == Some(key), "of {key}");
            let expected = match (&bursts.state, holder) {
                _ if !participant.hears() => Standing::Nothing,
                (_, Some(holder)) if holder == key => Standing::Granted,
                (_, Some(_)) => Standing::Taken,
                (_, None) => Standing::Idle,
            };
            assert_eq!(self.standings[key], expected, "of {key}");
            assert!(self.silent_until[key].is_none_or(|until| self.now <= until), "{key} is never answered");
        }
        let waiting = (0..KEYS).filter(|key| bursts.queue.position_of(*key).0 != Priority::None);
        assert!(
            waiting.clone().all(|key| bursts.participant(key).is_some() && holder.is_some_and(|h| h != key))
        );
        assert_eq!(waiting.count(), bursts.queue.len());
        assert!(!matches!(bursts.state, State::Taken { .. }) || !bursts.is_alone(), "nobody hears it");
        let capable = bursts.participants.iter().flatten().count();
        assert_eq!(capable, bursts.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn whatever_comes_one_speaks_all_know_it_and_nothing_remains(steps in prop::collection::vec(steps(), 0..60)) {
        let mut watched = Watched::new();
        for step in steps {
            watched.step(step);
        }
        // Quiescent: nobody says anything any more.
        watched.pass(300_000);
        assert_eq!(watched.bursts.holder(), None);
        assert_eq!(watched.bursts.queue.len(), 0);
        watched.bursts.release();
        assert_eq!(watched.bursts.poll_timeout(), None);
        assert_eq!(watched.bursts, TalkBursts { state: State::Releasing, ..TalkBursts::new(Arc::default()) });
    }
}
