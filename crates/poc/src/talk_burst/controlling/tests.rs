//! The rows of user-plane digest 6, each with the test that begins with its name.

mod general;
mod participant;
mod property;
mod queue;
mod revoking;
mod size;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::talk_burst::{Acknowledgement, NtpTimestamp, Position, StopTalking};

/// A session, what it has been told to send and what it has told, and the time.
struct Session {
    bursts: TalkBursts,
    now: Instant,
    sent: Vec<String>,
    told: Vec<Told>,
}

/// Whoever joins: no queuing, every priority, the name is the key.
fn joining(key: usize) -> Joining {
    Joining {
        address: Bytes::from(format!("sip:{key}@home.example")),
        name: Some(key.to_string()),
        agreed: Some(TalkBurst { tb_priority: 3, ..TalkBurst::default() }),
        may_speak: true,
        ..Joining::default()
    }
}

fn with_queuing(key: usize) -> Joining {
    let agreed = Some(TalkBurst { tb_priority: 3, queuing: true, timestamp: true, ..TalkBurst::default() });
    Joining { agreed, ..joining(key) }
}

fn ssrc(key: usize) -> u32 {
    0x1000 + u32::try_from(key).unwrap()
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

impl Session {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let bursts = TalkBursts::new(Arc::new(settings));
        Self { bursts, now: Instant::START + Duration::from_secs(100), sent: Vec::new(), told: Vec::new() }
    }

    /// Nobody speaks, and all that follows from the joins is over.
    fn idle(joins: impl IntoIterator<Item = Joining>) -> Self {
        let mut session = Self::new();
        for (key, joining) in joins.into_iter().enumerate() {
            session.bursts.join(session.now, key, joining);
        }
        session.pass(3000);
        session.forget();
        session
    }

    /// 0 is permitted, and has sent packet 100; the others know.
    fn taken(joins: impl IntoIterator<Item = Joining>) -> Self {
        let mut session = Self::idle(joins);
        session.request(0);
        for key in 1..session.bursts.participants.len() {
            session.acknowledge(key);
        }
        assert_eq!(session.speak(0, 100), Gate::Forward);
        session.forget();
        session
    }

    /// 0 is pre-empted by 1.
    fn pre_empted(joins: impl IntoIterator<Item = Joining>) -> Self {
        let mut session = Self::taken(joins);
        session.request_with(1, Priority::PreEmptive);
        session.forget();
        session
    }

    fn join(&mut self, key: usize, joining: Joining) {
        self.bursts.join(self.now, key, joining);
        self.collect();
    }

    fn leave(&mut self, key: usize) {
        self.bursts.leave(self.now, key);
        self.collect();
    }

    fn message(&mut self, key: usize, message: &Message) {
        self.message_as(key, ssrc(key), message);
    }

    fn message_as(&mut self, key: usize, ssrc: u32, message: &Message) {
        self.bursts.handle_message(self.now, key, ssrc, message);
        self.collect();
    }

    fn request(&mut self, key: usize) {
        self.message(key, &Message::Request { priority: None, timestamp: None });
    }

    fn request_with(&mut self, key: usize, priority: Priority) {
        self.message(key, &Message::Request { priority: Some(priority), timestamp: None });
    }

    fn request_pressed(&mut self, key: usize, at: u64) {
        self.message(key, &Message::Request { priority: None, timestamp: Some(NtpTimestamp(at)) });
    }

    fn let_go(&mut self, key: usize) {
        self.message(key, &Message::Release { last: None });
    }

    fn let_go_after(&mut self, key: usize, last: u16) {
        self.message(key, &Message::Release { last: Some(last) });
    }

    fn ask_position(&mut self, key: usize) {
        self.message(key, &Message::QueueStatusRequest);
    }

    fn acknowledge(&mut self, key: usize) {
        self.message(key, &Message::Acknowledgement(Acknowledgement::Taken));
    }

    fn speak(&mut self, key: usize, sequence: u16) -> Gate {
        self.speak_as(key, ssrc(key), sequence)
    }

    fn speak_as(&mut self, key: usize, ssrc: u32, sequence: u16) -> Gate {
        let gate = self.bursts.handle_speech(self.now, key, ssrc, sequence);
        self.collect();
        gate
    }

    /// Time passes; each deadline is kept.
    fn pass(&mut self, milliseconds: u64) {
        let end = self.now + ms(milliseconds);
        while let Some(at) = self.bursts.poll_timeout().filter(|at| *at <= end) {
            assert!(at >= self.now, "a deadline lies behind");
            self.now = at;
            self.bursts.handle_timeout(at);
            self.collect();
            assert!(self.bursts.poll_timeout().is_none_or(|next| next > at), "the same deadline again");
        }
        self.now = end;
    }

    /// The participant speaks for so long, a packet each 20 ms.
    fn speak_for(&mut self, key: usize, milliseconds: u64) -> usize {
        let mut forwarded = 0;
        for sequence in 0..milliseconds / 20 {
            let sequence = 101 + u16::try_from(sequence).unwrap();
            forwarded += usize::from(self.speak(key, sequence) == Gate::Forward);
            self.pass(20);
        }
        forwarded
    }

    fn collect(&mut self) {
        while let Some(output) = self.bursts.poll_output() {
            match output {
                Output::Send { to, message } => self.sent.push(line(&self.keys_of(to), &message)),
                Output::Told(told) => self.told.push(told),
            }
        }
    }

    fn keys_of(&self, to: To) -> Vec<usize> {
        let keys = match to {
            To::One(key) => return vec![key],
            To::Each(keys) => keys,
            To::All | To::Others(_) => return self.bursts.meant(&to).collect(),
        };
        assert!(keys.len() > 1 && keys.is_sorted());
        keys
    }

    fn forget(&mut self) {
        self.collect();
        self.sent.clear();
        self.told.clear();
    }

    /// All that was sent since the last time is this.
    #[track_caller]
    fn assert_sent<const N: usize>(&mut self, expected: [&str; N]) {
        assert_eq!(std::mem::take(&mut self.sent), expected);
    }

    #[track_caller]
    fn assert_told<const N: usize>(&mut self, expected: [Told; N]) {
        assert_eq!(std::mem::take(&mut self.told), expected);
    }

    #[track_caller]
    fn assert_state(&self, expected: &str, holder: Option<usize>) {
        assert_eq!((self.bursts.state.name(), self.bursts.holder()), (expected, holder));
    }
}

/// An output as these tests write it.
fn line(to: &[usize], message: &Message) -> String {
    let to = to.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let text = match message {
        Message::Granted { stop_talking: StopTalking::Seconds(seconds), participants } => {
            format!("Granted {seconds} s of {}", participants.unwrap())
        }
        Message::Granted { stop_talking, .. } => format!("Granted {stop_talking:?}"),
        Message::Taken(taken) => {
            let acknowledged = if taken.is_acknowledged { ", acknowledge" } else { "" };
            format!("Taken by {}{acknowledged}", taken.name.as_deref().unwrap_or("nobody"))
        }
        Message::Deny { reason, .. } => format!("Deny: {reason}"),
        Message::Idle => "Idle".to_owned(),
        Message::Revoke(Revoke::TooLong { retry_after }) => format!("Revoke: too long, {retry_after} s"),
        Message::Revoke(revoke) => format!("Revoke: {revoke}"),
        Message::QueueStatus { position: Position::Place(place), priority } => {
            format!("place {place}, {priority}")
        }
        Message::QueueStatus { position, .. } => format!("{position:?}"),
        Message::Request { .. }
        | Message::Release { .. }
        | Message::Acknowledgement(_)
        | Message::QueueStatusRequest
        | Message::Connect(_)
        | Message::Disconnect => panic!("{message} is not for a server to send"),
    };
    format!("{to}: {text}")
}

const IDLE: &str = "G: TB_Idle";
const TAKEN: &str = "G: TB_Taken";
const DRAINING: &str = "G: TB_Taken, draining";
const PENDING_REVOKE: &str = "G: pending TB_Revoke";

fn three() -> [Joining; 3] {
    [joining(0), joining(1), joining(2)]
}

fn queuing() -> [Joining; 3] {
    [joining(0), with_queuing(1), with_queuing(2)]
}

fn asking(key: usize) -> Joining {
    Joining { asks: true, ..joining(key) }
}

const SILENT: Told = Told::Ended { key: 0, ending: Ending::Silent };
const RELEASED: Told = Told::Ended { key: 0, ending: Ending::Released };
const REVOKED: Told = Told::Ended { key: 0, ending: Ending::Revoked };
