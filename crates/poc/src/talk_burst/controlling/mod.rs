//! The controlling function: who may speak in a PoC Session (user-plane digest 6, 8, 9).
//!
//! [`TalkBursts`] is the general machine of one PoC Session and the machines of its participants. It knows nothing of sockets, SDP
//! and SIP: it is told who comes and goes, what messages and what speech come from whom, and the time; it says which messages are
//! to be sent, and what has come of it. After whatever took `&mut self`: drain [`TalkBursts::poll_output`], then ask for
//! [`TalkBursts::poll_timeout`].
//!
//! A participant is named by its key, which is small: the owner's place for it in a table of this session.

mod burst;
mod general;
mod participant;
mod queue;
mod request;
mod settings;
mod timer;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use sip::{Guard, Instant};

pub use settings::Settings;

use self::general::State;
use self::participant::Participant;
use self::queue::Queue;
use super::{DenyReason, Message, Priority, Revoke};
use crate::sdp::TalkBurst;

/// The talk bursts of one PoC Session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TalkBursts {
    settings: Arc<Settings>,
    state: State,
    /// By key.
    participants: Vec<Option<Participant>>,
    count: usize,
    others: Others,
    queue: Queue,
    /// The earliest deadline of a participant, or one that has been and is no more.
    participants_due: Option<Instant>,
    outputs: VecDeque<Output>,
}

/// Whether somebody may speak whom nobody hears.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Others {
    /// g13, g31
    Needed,
    /// User-plane digest 10.6: what is said is kept for who comes.
    Awaited,
}

/// Who takes part from now on: its leg is answered (user-plane digest 9).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Joining {
    /// The PoC Address under which others see it: anonymous if that was asked for.
    pub address: Bytes,
    /// The name, if one is known.
    pub name: Option<String>,
    /// What was agreed on talk burst control; `None`: there is none, so it listens and nothing is sent to it.
    pub agreed: Option<TalkBurst>,
    /// Whether it is ever permitted to speak.
    pub may_speak: bool,
    /// Whether its talk bursts cannot be pre-empted.
    pub is_pre_empt_protected: bool,
    /// Whether its INVITE is an implicit request (user-plane digest 9).
    pub asks: bool,
    /// Whether it may speak although nobody else has joined yet (unconfirmed mode, user-plane digest 10.6).
    pub may_be_alone: bool,
}

/// What becomes of a packet of speech.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gate {
    /// It goes to all other participants: before what [`TalkBursts::poll_output`] has.
    Forward,
    /// It goes nowhere.
    Drop,
}

/// The state in one line.
impl fmt::Display for TalkBursts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.state.name())?;
        if let Some(holder) = self.state.holder() {
            write!(f, ", {holder} of {}, {} waiting", self.count, self.queue.len())?;
        }
        Ok(())
    }
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// A message is to be sent.
    Send {
        /// To whom.
        to: To,
        /// The message.
        message: Message,
    },
    /// Something has happened.
    Told(Told),
}

/// Participants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum To {
    /// One.
    One(usize),
    /// Several, in order: the same octets go to each.
    Each(Vec<usize>),
    /// All to whom messages go.
    All,
    /// The same, but for this one.
    Others(usize),
}

/// What the owner may want to know.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Told {
    /// A participant may speak.
    Granted {
        /// Who.
        key: usize,
    },
    /// Its request is denied.
    Denied {
        /// Whose.
        key: usize,
        /// Why.
        reason: DenyReason,
    },
    /// Its request waits.
    Queued {
        /// Whose.
        key: usize,
    },
    /// It must stop, or must not have begun.
    Revoked {
        /// Who.
        key: usize,
        /// Why.
        revoke: Revoke,
    },
    /// A talk burst is over.
    Ended {
        /// Whose it was: it may be gone.
        key: usize,
        /// How.
        ending: Ending,
    },
    /// Nobody speaks.
    Idle,
    /// Nobody has spoken for the time of T4 (g17): the owner may release the session.
    Inactive,
    /// A participant never acknowledged that somebody speaks: what is sent to it may not arrive (user-plane digest 6.5).
    Unproven {
        /// Who.
        key: usize,
    },
}

/// How a talk burst is over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ending {
    /// Its user has let go.
    Released,
    /// Nothing was heard of it any more.
    Silent,
    /// It was revoked and had no time left.
    Revoked,
    /// Its user has left.
    Left,
}

impl TalkBursts {
    /// Nobody has joined yet.
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            state: State::StartStop,
            participants: Vec::new(),
            count: 0,
            others: Others::Needed,
            queue: Queue::default(),
            participants_due: None,
            outputs: VecDeque::new(),
        }
    }

    /// A participant joins: its leg has sent or received its 200. An implicit request waits until there is somebody to hear it, so
    /// whoever sends one joins before those who were invited.
    pub fn join(&mut self, now: Instant, key: usize, joining: Joining) {
        match self.state {
            State::Releasing => return,
            State::StartStop
            | State::Idle { .. }
            | State::Taken { .. }
            | State::Draining { .. }
            | State::PendingRevoke { .. } => {}
        }
        self.leave(now, key);
        let (asks, may_be_alone) = (joining.asks, joining.may_be_alone);
        let participant = Participant::new(joining);
        let asks = asks && participant.can_ask();
        self.seat(key, participant);
        self.others = if may_be_alone && self.count == 1 { Others::Awaited } else { Others::Needed };
        self.admit(now, key, asks);
    }

    /// A participant leaves: its leg is over, or is being ended (u61). Nothing is sent to it any more.
    pub fn leave(&mut self, now: Instant, key: usize) {
        let Some(_) = self.participants.get_mut(key).and_then(Option::take) else { return };
        self.count -= 1;
        // User-plane digest 6.2: entries vanish when the client leaves.
        self.queue.remove(key);
        while self.participants.last().is_some_and(Option::is_none) {
            self.participants.pop();
        }
        self.lose(now, key);
    }

    /// T9: until when a participant may not ask (user-plane digest 6.3).
    pub fn penalty_of(&self, key: usize) -> Option<Instant> {
        self.participant(key)?.penalty()
    }

    /// A participant has spoken too long before it joined: it may not ask until then.
    pub fn penalise(&mut self, key: usize, until: Instant) {
        if let Some(participant) = self.participant_mut(key) {
            participant.penalise(until);
        }
    }

    /// Nobody will join who was awaited: who speaks without being heard must stop (g31).
    pub fn nobody_comes(&mut self, now: Instant) {
        self.others = Others::Needed;
        self.revoke_if_alone(now);
    }

    /// Who speaks has said as much as there is room for (user-plane digest 10.6): as if the time of T2 were over (g24).
    pub fn revoke_too_long(&mut self, now: Instant) {
        self.revoke(now, self.settings.too_long());
    }

    /// What says that this participant speaks.
    pub fn taken_by(&self, key: usize) -> Option<Message> {
        let taken = self.participant(key)?.taken(self.participants_told());
        Some(Message::Taken(taken))
    }

    /// A message from a participant, and the synchronization source that it names.
    pub fn handle_message(&mut self, now: Instant, key: usize, ssrc: u32, message: &Message) {
        let Some(participant) = self.participant_mut(key) else { return };
        if matches!(participant.state(), participant::State::Uncontrolled) {
            return;
        }
        participant.hear(ssrc, message);
        match message {
            Message::Request { priority, timestamp } => self.handle_request(now, key, *priority, *timestamp),
            Message::Release { last } => self.handle_release(now, key, ssrc, *last),
            Message::QueueStatusRequest => self.handle_queue_status_request(key),
            // u60: to have come is all that it is for.
            Message::Acknowledgement(_) => {}
            // Of a server only: user-plane digest 4.1.
            Message::Granted { .. }
            | Message::Taken(_)
            | Message::Deny { .. }
            | Message::Idle
            | Message::Revoke(_)
            | Message::QueueStatus { .. }
            | Message::Connect(_)
            | Message::Disconnect => {}
        }
    }

    /// An RTP packet from a participant. Of who may speak it moves no deadline but once a talk burst, and nothing is allocated.
    pub fn handle_speech(&mut self, now: Instant, key: usize, ssrc: u32, sequence: u16) -> Gate {
        if self.state.holder() == Some(key) {
            return self.hear_holder(now, ssrc, sequence);
        }
        if Guard::OnlyHolderIsHeard.is_off() {
            return Gate::Forward;
        }
        let settings = Arc::clone(&self.settings);
        let Some(participant) = self.participant_mut(key) else { return Gate::Drop };
        if participant.speak_unpermitted(now, &settings) {
            self.note_deadline(key);
            self.send(key, Message::Revoke(Revoke::NotPermitted));
            self.tell(Told::Revoked { key, revoke: Revoke::NotPermitted });
        }
        Gate::Drop
    }

    /// g50: the session is being released. Nothing is sent any more, and nothing remains.
    pub fn release(&mut self) {
        *self = Self { state: State::Releasing, ..Self::new(Arc::clone(&self.settings)) };
    }

    /// The deadlines that have come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.handle_general_timeout(now);
        if self.participants_due.is_some_and(|at| at <= now) {
            self.handle_participants_timeout(now);
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.state.deadline().into_iter().chain(self.participants_due).min()
    }

    /// What is to be done next, in this order.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if output.is_none() {
            // Most sessions have nothing to say at any moment: they keep no room for it.
            self.outputs = VecDeque::new();
        }
        output
    }

    /// Room for what is to be done, if there is none: whoever has many sessions has it once for all of them, and takes it back by
    /// [`Self::take_outputs`].
    pub fn lend_room(&mut self, room: VecDeque<Output>) {
        if self.outputs.is_empty() {
            self.outputs = room;
        }
    }

    /// All that [`Self::poll_output`] would say, with its room.
    pub fn take_outputs(&mut self) -> VecDeque<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// The participants that are meant, in order. Once anything has been said to all of them they change only as participants join
    /// and leave.
    pub fn meant(&self, to: &To) -> impl Iterator<Item = usize> {
        let is_meant = move |key: usize| match to {
            To::One(one) => *one == key,
            To::Each(keys) => keys.binary_search(&key).is_ok(),
            To::All => true,
            To::Others(but) => *but != key,
        };
        self.keys(Participant::hears).filter(move |key| is_meant(*key))
    }

    /// Who is permitted, until the last packet of the talk burst.
    pub fn holder(&self) -> Option<usize> {
        self.state.holder()
    }

    /// How many take part.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nobody takes part.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Keys are as dense as the participants of a session, and a session grows by one at a time: an eighth of it is room enough.
    fn seat(&mut self, key: usize, participant: Participant) {
        if key >= self.participants.len() {
            let more = key + 1 - self.participants.len();
            if self.participants.capacity() < key + 1 {
                self.participants.reserve_exact(more.max(self.participants.len() / 8));
            }
            self.participants.resize_with(key + 1, || None);
        }
        self.participants[key] = Some(participant);
        self.count += 1;
    }

    fn participant(&self, key: usize) -> Option<&Participant> {
        self.participants.get(key)?.as_ref()
    }

    fn participant_mut(&mut self, key: usize) -> Option<&mut Participant> {
        self.participants.get_mut(key)?.as_mut()
    }

    /// g13: nobody would hear it.
    fn is_alone(&self) -> bool {
        match self.others {
            Others::Needed => self.count == 1,
            Others::Awaited => false,
        }
    }

    /// User-plane digest 4.3: the talker included.
    fn participants_told(&self) -> u16 {
        u16::try_from(self.count).unwrap_or(u16::MAX)
    }

    /// A deadline of the participant may be the earliest now.
    fn note_deadline(&mut self, key: usize) {
        let deadline = self.participant(key).and_then(|participant| participant.deadline(&self.settings));
        self.participants_due = self.participants_due.into_iter().chain(deadline).min();
    }

    fn send(&mut self, key: usize, message: Message) {
        self.outputs.push_back(Output::Send { to: To::One(key), message });
    }

    fn send_each(&mut self, keys: Vec<usize>, message: Message) {
        match keys[..] {
            [] => {}
            [key] => self.send(key, message),
            [..] => self.outputs.push_back(Output::Send { to: To::Each(keys), message }),
        }
    }

    fn tell(&mut self, told: Told) {
        self.outputs.push_back(Output::Told(told));
    }
}

#[cfg(test)]
mod tests;
