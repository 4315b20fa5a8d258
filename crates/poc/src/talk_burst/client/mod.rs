//! The client of talk bursts: who may speak is asked for here. User-plane digest 5.2, one machine a PoC Session.
//!
//! ```text
//!      Granted  Taken     Deny  Idle  Revoke   queued  not queued  RTP  others
//! C0   -        -         -     -     -        -       -           -    -
//! C1   C4 +L    C1 +A !   -     C1 !  C4 +L    -       -           C1   -
//! C2   C3 !     C2 +A !   C1 !  -     C4 +L    C5 !    -           C2   -
//! C3   C3 !     -         -     -     C4 +L !  -       -           -    -
//! C4   -        C1 +A !   -     C1 !  C4       -       -           C1   -
//! C5   C3 !     C5 +A !   C1 !  C1 !  -        C5 !    C1 !        C5   -
//! C5a  C3 !     C5a +A !  C1 !  C1 !  -        C5 !    C1 !        C5a  -
//! C5g  -        C1 +A !   C1 !  C1 !  C4 +L !  -       -           C5g  -
//! C6   -        -         -     -     -        -       -           -    -
//!
//!      press   let go  ask position  deadline  release  released
//! C0   -       -       -             -         -        -
//! C1   C2 +R   -       C1 !          -         C6       -
//! C2   -       C4 +L   C2 !          C2 +R     C6       -
//! C3   -       C4 +L   C3 !          C3 !      C6       -
//! C4   C4      -       C4 !          C4 +L     C6       -
//! C5   -       C4 +L   C5a +Q        -         C6       -
//! C5a  -       C4 +L   -             C5a +Q    C6       -
//! C5g  C3 !    C4 +L   C5g !         C4 +L !   C6       -
//! C6   -       -       -             -         -        C0
//! ```
//!
//! C0 Start-stop, C1 no permission, C2 pending request, C3 permission, C4 pending release, C5 queued (C5a: its place is asked for;
//! C5g: granted, and the button is not pressed), C6 releasing. Queued, not queued: what a Queue Status Response says. Others: what
//! only a client says. +R, +L, +A, +Q: a Request, a Release, an Acknowledgement of a Taken that asks for one, or a Queue Status
//! Request is sent; !: the user is told. Where a row has a condition the table shows the first case: queuing is agreed, the Request
//! was that of a press, T12 does not run, and a deadline is that of the first message. T12 and T13 run beside the states.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use sip::Instant;

use super::message::{
    Acknowledgement, DenyReason, Message, NtpTimestamp, Position, Priority, Revoke, StopTalking, Taken,
};
use crate::sdp::TalkBurst;

mod state;
mod timers;
mod told;

use state::{Hearing, Held, Limit, Request, State};
pub use timers::Timers;
use timers::after;
pub use told::{Hear, Output, Start, Told};

/// Talk burst control of one PoC Session at its PoC Client.
///
/// After anything that took `&mut self`: drain [`Self::poll_output`], then ask for [`Self::poll_timeout`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Machine {
    timers: Timers,
    ssrc: u32,
    agreed: TalkBurst,
    state: State,
    hearing: Hearing,
    /// T12, which most states outlast: until then the user may not ask.
    retry_at: Option<Instant>,
    outputs: VecDeque<Output>,
}

impl Machine {
    /// Nothing has begun. `ssrc`: the synchronization source of the client; `agreed`: by both sides, in SDP.
    pub fn new(timers: Timers, ssrc: u32, agreed: TalkBurst) -> Self {
        Self {
            timers,
            ssrc,
            agreed,
            state: State::StartStop,
            hearing: Hearing::Nobody,
            retry_at: None,
            outputs: VecDeque::new(),
        }
    }

    /// The PoC Session is set up. Once it has begun nothing begins.
    pub fn begin(&mut self, now: Instant, start: Start) {
        match (self.state, start) {
            (State::StartStop, Start::ImplicitRequest) => {
                let resend_at = after(now, self.timers.t11_request);
                let request = Request::IMPLICIT;
                self.enter("c01", State::PendingRequest { request, resend_at, sends: 1 });
            }
            // The time comes with the Granted that follows.
            (State::StartStop, Start::Granted) => self.speak("c02", Limit::Unknown, None),
            (State::StartStop, Start::Listening) => self.enter("c03", State::NoPermission),
            (
                State::NoPermission
                | State::PendingRequest { .. }
                | State::HasPermission { .. }
                | State::PendingRelease { .. }
                | State::Queued { .. }
                | State::QueuedAsking { .. }
                | State::QueuedGranted { .. }
                | State::Releasing,
                Start::ImplicitRequest | Start::Granted | Start::Listening,
            ) => {}
        }
    }

    /// The user presses the button, at `timestamp`. More than the agreed priority is lowered to it (user-plane digest 4.2).
    pub fn press(&mut self, now: Instant, priority: Priority, timestamp: Option<NtpTimestamp>) {
        let highest = Priority::of_code(self.agreed.tb_priority.into());
        let request = Request {
            // Where no priority was agreed none is told apart.
            priority: (highest > Priority::None).then(|| priority.min(highest)),
            timestamp: timestamp.filter(|_| self.agreed.timestamp),
            held: Held::Pressed,
        };
        match &mut self.state {
            State::NoPermission => self.ask(now, request),
            // What was asked for is asked for still.
            State::PendingRequest { request: Request { held, .. }, .. }
            | State::Queued { held }
            | State::QueuedAsking { held, .. } => *held = Held::Pressed,
            // No row has it: the wish waits until the Release has had its effect.
            State::PendingRelease { next, .. } => *next = Some(request),
            State::QueuedGranted { limit, .. } => {
                let limit = *limit;
                self.speak("c32", limit, None);
            }
            State::StartStop | State::HasPermission { .. } | State::Releasing => {}
        }
    }

    /// The user lets go of the button, or does not want to speak any more.
    pub fn let_go(&mut self, now: Instant) {
        match &mut self.state {
            State::PendingRequest { .. } => self.let_go_of_burst("c16", now, None),
            State::HasPermission { last, .. } => {
                let last = *last;
                self.let_go_of_burst("c21", now, last);
            }
            State::Queued { .. } | State::QueuedAsking { .. } | State::QueuedGranted { .. } => {
                self.let_go_of_burst("c38", now, None);
            }
            State::PendingRelease { next, .. } => *next = None,
            State::StartStop | State::NoPermission | State::Releasing => {}
        }
    }

    /// The user asks for the place in the queue.
    pub fn ask_position(&mut self, now: Instant) {
        match self.state {
            State::Queued { held } => {
                let resend_at = after(now, self.timers.t14_queue_status);
                self.send(Message::QueueStatusRequest);
                self.enter("c35", State::QueuedAsking { held, resend_at, sends: 1 });
            }
            // It has been asked.
            State::QueuedAsking { .. } => {}
            State::NoPermission
            | State::PendingRequest { .. }
            | State::HasPermission { .. }
            | State::PendingRelease { .. }
            | State::QueuedGranted { .. } => self.tell(Told::NotQueued),
            State::StartStop | State::Releasing => {}
        }
    }

    /// The server says something.
    pub fn handle_message(&mut self, now: Instant, message: &Message) {
        match message {
            Message::Granted { stop_talking, participants } => {
                self.handle_granted(now, *stop_talking, *participants);
            }
            Message::Taken(taken) => self.handle_taken(now, taken),
            Message::Deny { reason, phrase } => self.handle_deny(*reason, phrase),
            Message::Idle => self.handle_idle(now),
            Message::Revoke(revoke) => self.handle_revoke(now, *revoke),
            Message::QueueStatus { priority, position } => self.handle_queue_status(*priority, *position),
            // c41: the wrong direction.
            Message::Request { .. }
            | Message::Release { .. }
            | Message::Acknowledgement(_)
            | Message::QueueStatusRequest => {}
            // User-plane digest 5.4: of the session that carries this one.
            Message::Connect(_) | Message::Disconnect => {}
        }
    }

    fn handle_granted(&mut self, now: Instant, stop_talking: StopTalking, participants: Option<u16>) {
        let new = Limit::new(now, stop_talking, self.timers.warning);
        match &mut self.state {
            // Nobody wants it here any more.
            State::NoPermission => self.let_go_of_burst("c10", now, None),
            State::PendingRequest { .. } => self.speak("c12", new, participants),
            State::HasPermission { limit, .. } => {
                // c23
                if limit.is_less_than(stop_talking) {
                    *limit = new;
                    self.tell_granted(new, participants);
                }
            }
            // c30: T10 repeats the Release.
            State::PendingRelease { .. } => {}
            State::Queued { held: Held::Pressed } | State::QueuedAsking { held: Held::Pressed, .. } => {
                self.speak("c32", new, participants);
            }
            State::Queued { held: Held::NotPressed } | State::QueuedAsking { held: Held::NotPressed, .. } => {
                let wait = self.timers.grant_wait;
                let release_at = after(now, wait);
                self.enter("c32", State::QueuedGranted { limit: new, release_at });
                self.tell(Told::GrantWaits { wait });
            }
            // The same again: the user has been told.
            State::QueuedGranted { .. } => {}
            State::StartStop | State::Releasing => {}
        }
    }

    fn handle_taken(&mut self, now: Instant, taken: &Taken) {
        match self.state {
            // c06
            State::NoPermission => self.show(now, taken),
            State::PendingRequest { .. } if self.agreed.queuing => {
                // c14b: the place in the queue or the grant is still to come.
                self.show(now, taken);
            }
            State::PendingRequest { .. } => {
                self.show(now, taken);
                self.enter("c14", State::NoPermission);
            }
            // c24: it may be older than the grant.
            State::HasPermission { .. } => {}
            State::PendingRelease { next, .. } => {
                self.show(now, taken);
                self.rest("c26", now, next);
            }
            // c34
            State::Queued { .. } | State::QueuedAsking { .. } => self.show(now, taken),
            // No row has it: what was granted is somebody else's now.
            State::QueuedGranted { .. } => {
                self.show(now, taken);
                self.enter("c34", State::NoPermission);
            }
            State::StartStop | State::Releasing => {}
        }
    }

    fn handle_deny(&mut self, reason: DenyReason, phrase: &str) {
        let row = match self.state {
            State::PendingRequest { .. } => "c13",
            State::Queued { .. } | State::QueuedAsking { .. } | State::QueuedGranted { .. } => "c33",
            State::StartStop
            | State::NoPermission
            | State::HasPermission { .. }
            | State::PendingRelease { .. }
            | State::Releasing => return,
        };
        self.enter(row, State::NoPermission);
        self.tell(Told::Denied { reason, phrase: phrase.to_owned() });
    }

    fn handle_idle(&mut self, now: Instant) {
        let (row, next) = match self.state {
            State::NoPermission => ("c09", None),
            State::PendingRelease { next, .. } => ("c25", next),
            State::Queued { .. } | State::QueuedAsking { .. } | State::QueuedGranted { .. } => ("c40", None),
            // c24: it may be older than the grant.
            State::HasPermission { .. } => return,
            State::StartStop | State::PendingRequest { .. } | State::Releasing => return,
        };
        // The server repeats it (T7), and nobody has spoken since.
        let is_repeated = self.state == State::NoPermission && self.hearing == Hearing::Idle;
        if !is_repeated {
            self.hearing = Hearing::Idle;
            self.tell(Told::Idle);
        }
        self.rest(row, now, next);
    }

    fn handle_revoke(&mut self, now: Instant, revoke: Revoke) {
        let (row, last) = match self.state {
            // Lets the server stop T8.
            State::NoPermission => ("c11", None),
            State::PendingRequest { .. } => ("c19", None),
            State::HasPermission { last, .. } => {
                self.tell(Told::Revoked(revoke));
                ("c22", last)
            }
            // c31: T10 repeats the Release.
            State::PendingRelease { .. } => return self.start_retry_after(now, revoke),
            // No row has it: what was granted, and waits for the user, is taken back.
            State::QueuedGranted { .. } => {
                self.tell(Told::Revoked(revoke));
                ("c38", None)
            }
            State::StartStop | State::Queued { .. } | State::QueuedAsking { .. } | State::Releasing => return,
        };
        self.start_retry_after(now, revoke);
        self.let_go_of_burst(row, now, last);
    }

    fn handle_queue_status(&mut self, priority: Priority, position: Position) {
        match self.state {
            // User-plane digest 5.1: C5 is there only where both sides queue.
            State::PendingRequest { request, .. } if self.agreed.queuing && priority != Priority::None => {
                self.enter("c15", State::Queued { held: request.held });
                self.tell(Told::Queued { priority, position });
            }
            State::Queued { .. } | State::QueuedAsking { .. } if priority == Priority::None => {
                self.enter("c37", State::NoPermission);
                self.tell(Told::NotQueued);
            }
            State::Queued { held } | State::QueuedAsking { held, .. } => {
                self.enter("c36", State::Queued { held });
                self.tell(Told::Queued { priority, position });
            }
            State::PendingRequest { .. }
            | State::StartStop
            | State::NoPermission
            | State::HasPermission { .. }
            | State::PendingRelease { .. }
            | State::QueuedGranted { .. }
            | State::Releasing => {}
        }
    }

    /// Speech of `ssrc` has arrived. Whoever it is of is played (row c07): the server lets one speak, and who that is may be told
    /// later, or get lost.
    pub fn handle_speech(&mut self, now: Instant, ssrc: u32) -> Hear {
        if ssrc == self.ssrc {
            return Hear::Drop;
        }
        match self.state {
            // c07, c20; in the queue likewise, since who speaks is shown there (c34).
            State::NoPermission
            | State::PendingRequest { .. }
            | State::Queued { .. }
            | State::QueuedAsking { .. }
            | State::QueuedGranted { .. } => self.hear(now),
            State::PendingRelease { next, .. } => {
                self.hear(now);
                self.rest("c27", now, next);
            }
            State::StartStop | State::HasPermission { .. } | State::Releasing => return Hear::Drop,
        }
        Hear::Play
    }

    /// Whether the user's speech is to be sent (user-plane digest 5.3).
    pub fn may_talk(&self) -> bool {
        matches!(self.state, State::HasPermission { .. })
    }

    /// An RTP packet with the user's speech has left.
    pub fn sent(&mut self, sequence: u16) {
        if let State::HasPermission { last, .. } = &mut self.state {
            *last = Some(sequence);
        }
    }

    /// The PoC Session begins to end.
    pub fn release(&mut self) {
        if self.state != State::StartStop {
            self.stop("c42", State::Releasing);
        }
    }

    /// The PoC Session has ended.
    pub fn released(&mut self) {
        if self.state == State::Releasing {
            self.stop("c43", State::StartStop);
        }
    }

    /// What is due. An extra call does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.tell(Told::MayAskAgain);
        }
        // c08
        if matches!(self.hearing, Hearing::Somebody { until } if until <= now) {
            self.hearing = Hearing::Nobody;
            self.tell(Told::EndOfSpeech);
        }
        if self.state.deadline().is_none_or(|at| at > now) {
            return;
        }
        match self.state {
            State::PendingRequest { request, sends, .. } if sends < self.timers.c11_request => {
                let resend_at = after(now, self.timers.t11_request);
                self.send(request.message());
                self.enter("c17", State::PendingRequest { request, resend_at, sends: sends + 1 });
            }
            State::PendingRequest { .. } => {
                self.enter("c18", State::NoPermission);
                self.tell(Told::RequestTimedOut);
            }
            State::HasPermission { limit: Limit::Seconds { seconds, stop_at, .. }, last }
                if stop_at > now =>
            {
                let limit = Limit::Seconds { seconds, stop_at, warn_at: None };
                self.state = State::HasPermission { limit, last };
                self.tell(Told::TimeIsShort { seconds: whole_seconds(stop_at - now) });
            }
            State::HasPermission { last, .. } => {
                self.tell(Told::TimeIsOver);
                self.let_go_of_burst("c21", now, last);
            }
            State::PendingRelease { last, sends, next, .. } if sends < self.timers.c10_release => {
                let resend_at = after(now, self.timers.t10_release);
                self.send(Message::Release { last });
                self.enter("c28", State::PendingRelease { last, resend_at, sends: sends + 1, next });
            }
            State::PendingRelease { next, .. } => self.rest("c29", now, next),
            State::QueuedAsking { held, sends, .. } if sends < self.timers.c14_queue_status => {
                let resend_at = after(now, self.timers.t14_queue_status);
                self.send(Message::QueueStatusRequest);
                self.enter("c39", State::QueuedAsking { held, resend_at, sends: sends + 1 });
            }
            State::QueuedAsking { .. } => self.give_up_queue("c39", now),
            State::QueuedGranted { .. } => self.give_up_queue("c32", now),
            State::StartStop | State::NoPermission | State::Queued { .. } | State::Releasing => {}
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let end_of_speech = match self.hearing {
            Hearing::Nobody | Hearing::Idle => None,
            Hearing::Somebody { until } => Some(until),
        };
        [self.state.deadline(), end_of_speech, self.retry_at].into_iter().flatten().min()
    }

    /// What is to be sent and told, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// c05, or c04 while T12 runs.
    fn ask(&mut self, now: Instant, request: Request) {
        if let Some(retry_at) = self.retry_at.filter(|at| *at > now) {
            return self.tell(Told::RefusedLocally { seconds: whole_seconds(retry_at - now) });
        }
        self.send(request.message());
        let resend_at = after(now, self.timers.t11_request);
        self.enter("c05", State::PendingRequest { request, resend_at, sends: 1 });
    }

    /// The user may speak: nobody else is heard.
    fn speak(&mut self, row: &'static str, limit: Limit, participants: Option<u16>) {
        self.hearing = Hearing::Nobody;
        self.enter(row, State::HasPermission { limit, last: None });
        self.tell_granted(limit, participants);
    }

    /// Sends a Release. `last`: of the RTP packets of this talk burst, if there were any (user-plane digest 4.6).
    fn let_go_of_burst(&mut self, row: &'static str, now: Instant, last: Option<u16>) {
        self.send(Message::Release { last });
        let resend_at = after(now, self.timers.t10_release);
        self.enter(row, State::PendingRelease { last, resend_at, sends: 1, next: None });
    }

    /// The place in the queue is given up without the user.
    fn give_up_queue(&mut self, row: &'static str, now: Instant) {
        self.tell(Told::NotQueued);
        self.let_go_of_burst(row, now, None);
    }

    /// The Release has had its effect, if there was one; a user who has pressed meanwhile is asked for.
    fn rest(&mut self, row: &'static str, now: Instant, next: Option<Request>) {
        self.enter(row, State::NoPermission);
        if let Some(request) = next {
            self.ask(now, request);
        }
    }

    fn show(&mut self, now: Instant, taken: &Taken) {
        if taken.is_acknowledged {
            self.send(Message::Acknowledgement(Acknowledgement::Taken));
        }
        self.hear(now);
        self.tell(Told::TakenBy(Box::new(taken.clone())));
    }

    /// T13 runs anew.
    fn hear(&mut self, now: Instant) {
        self.hearing = Hearing::Somebody { until: after(now, self.timers.t13_end_of_rtp) };
    }

    /// T12. Repetitions of the Revoke do not prolong it.
    fn start_retry_after(&mut self, now: Instant, revoke: Revoke) {
        match revoke {
            Revoke::TooLong { retry_after: seconds @ 1.. } => {
                let retry_at = now + Duration::from_secs(seconds.into());
                self.retry_at.get_or_insert(retry_at);
            }
            Revoke::TooLong { retry_after: 0 }
            | Revoke::OnlyOne
            | Revoke::NotPermitted
            | Revoke::PreEmpted
            | Revoke::Unknown { .. } => {}
        }
    }

    /// Nothing runs any more, and what has not been sent is not sent.
    fn stop(&mut self, row: &'static str, state: State) {
        self.hearing = Hearing::Nobody;
        self.retry_at = None;
        self.enter(row, state);
    }

    fn enter(&mut self, row: &'static str, state: State) {
        tracing::debug!(row, from = %self.state, to = %state, "talk burst client");
        self.state = state;
    }

    fn tell_granted(&mut self, limit: Limit, participants: Option<u16>) {
        let seconds = match limit {
            Limit::Seconds { seconds, .. } => Some(seconds),
            Limit::Unknown | Limit::Infinite => None,
        };
        // User-plane digest 4.3: 0 is not known.
        self.tell(Told::Granted { seconds, participants: participants.filter(|count| *count > 0) });
    }

    fn send(&mut self, message: Message) {
        self.outputs.push_back(Output::Send(message));
    }

    fn tell(&mut self, told: Told) {
        self.outputs.push_back(Output::Told(told));
    }
}

/// The state.
impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(f)
    }
}

/// None of them is said to be over before it is.
fn whole_seconds(span: Duration) -> u16 {
    let begun = u64::from(span.subsec_nanos() > 0);
    u16::try_from(span.as_secs() + begun).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests;
