//! Reliable provisional responses, seen from both sides. RFC 3262.
//!
//! The side that is invited has one [`ReliableServer`] for an INVITE. One response waits for its PRACK at a time,
//! and further ones wait behind it (§3).
//!
//! ```text
//!            send      PRACK that matches        other PRACK   timer                  final response
//! Idle       Waiting   -                         481           -                      Stopped
//! Waiting    queued    Idle, or Waiting +next    481           resend; 64*T1: Stopped +5xx   Stopped
//! Stopped    -         Stopped, but only once    481           -                      -
//! ```
//!
//! The side that invites has one [`ReliableClient`] for a dialog: it says which response is the next one in order.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::time::{Duration, Instant};
use crate::transaction::timer::{Resend, Timers};

/// Responses that may wait behind the one that waits for its PRACK.
pub const QUEUE_MAX: usize = 8;

/// The reliable provisional responses to one INVITE of a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReliableServer {
    timers: Arc<Timers>,
    /// The RSeq of the next response.
    next: u32,
    state: State,
    queue: VecDeque<Provisional>,
}

/// See the table at the top of this file.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(
    missing_docs,
    reason = "resend and give_up_at: the deadlines; number: the RSeq that has no PRACK yet"
)]
pub enum State {
    Idle,
    Waiting { sent: Provisional, resend: Resend, give_up_at: Instant },
    Stopped { number: Option<u32> },
}

/// A response as it leaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Provisional {
    /// 101 to 199.
    pub status: u16,
    /// Its RSeq.
    pub number: u32,
    /// The octets.
    pub response: Bytes,
    /// Whether it holds a session description.
    pub describes: bool,
}

/// What is to be done now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Send this response, for the first time or again.
    Send(Provisional),
    /// Refuse the INVITE with a 5xx: no PRACK came.
    GiveUp,
}

impl ReliableServer {
    /// The first response will have the RSeq `first`: 1 to 2^31 - 1 (§3).
    pub fn new(first: u32, timers: Arc<Timers>) -> Self {
        Self { timers, next: first, state: State::Idle, queue: VecDeque::new() }
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The RSeq of the next response.
    pub fn next_number(&self) -> u32 {
        self.next
    }

    /// Whether no further response is taken: too many wait, or a final response has been sent.
    pub fn is_full(&self) -> bool {
        match self.state {
            State::Idle => false,
            State::Waiting { .. } => self.queue.len() >= QUEUE_MAX,
            State::Stopped { .. } => true,
        }
    }

    /// Whether nothing waits.
    pub fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// Whether a PRACK may still come that is answered with 2xx.
    pub fn is_unacknowledged(&self) -> bool {
        match self.state {
            State::Waiting { .. } | State::Stopped { number: Some(_) } => true,
            State::Idle | State::Stopped { number: None } => false,
        }
    }

    /// §3: a 2xx must wait for the PRACK of a session description.
    pub fn delays_success(&self) -> bool {
        let waits = matches!(&self.state, State::Waiting { sent, .. } if sent.describes);
        waits || self.queue.iter().any(|queued| queued.describes)
    }

    /// A response, numbered [`Self::next_number`], that is to be sent.
    pub fn send(&mut self, now: Instant, provisional: Provisional) -> Action {
        debug_assert!(!self.is_full() && provisional.number == self.next, "asked for before");
        self.next += 1; // §3: greater by exactly one
        match self.state {
            State::Idle => self.wait_for(now, provisional),
            State::Waiting { .. } => {
                self.queue.push_back(provisional); // §3: not before the one before is acknowledged
                Action::Nothing
            }
            State::Stopped { .. } => Action::Nothing,
        }
    }

    /// A PRACK for the response `number`. `None`: it matches nothing that waits, so it is answered 481.
    pub fn handle_prack(&mut self, now: Instant, number: u32) -> Option<Action> {
        match &mut self.state {
            State::Waiting { sent, .. } if sent.number == number => {
                self.state = State::Idle;
                let next = self.queue.pop_front();
                Some(next.map_or(Action::Nothing, |next| self.wait_for(now, next)))
            }
            // §3: a PRACK for what was outstanding at the final response is still answered.
            State::Stopped { number: outstanding } if *outstanding == Some(number) => {
                *outstanding = None;
                Some(Action::Nothing)
            }
            State::Idle | State::Waiting { .. } | State::Stopped { .. } => None,
        }
    }

    /// A final response has been sent: nothing is sent again, and nothing new (§3).
    pub fn stop(&mut self) {
        let number = match &self.state {
            State::Idle => None,
            State::Waiting { sent, .. } => Some(sent.number),
            State::Stopped { number } => *number,
        };
        self.queue.clear();
        self.state = State::Stopped { number };
    }

    /// The retransmission or its end, whichever has come.
    pub fn handle_timeout(&mut self, now: Instant) -> Action {
        match &mut self.state {
            State::Waiting { give_up_at, .. } if *give_up_at <= now => {
                self.stop();
                Action::GiveUp
            }
            State::Waiting { sent, resend, .. } if resend.at <= now => {
                // §3: doubled each time, without the cap at T2.
                *resend = resend.next(now, Duration::MAX);
                Action::Send(sent.clone())
            }
            State::Idle | State::Waiting { .. } | State::Stopped { .. } => Action::Nothing,
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { resend, give_up_at, .. } => Some(resend.at.min(*give_up_at)),
            State::Idle | State::Stopped { .. } => None,
        }
    }

    fn wait_for(&mut self, now: Instant, provisional: Provisional) -> Action {
        let resend = Resend::first(now, &self.timers);
        let give_up_at = now + self.timers.t1_64();
        self.state = State::Waiting { sent: provisional.clone(), resend, give_up_at };
        Action::Send(provisional)
    }
}

/// The reliable provisional responses that came to one INVITE of ours in one dialog.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ReliableClient {
    /// The RSeq of the last one in order.
    last: Option<u32>,
}

impl ReliableClient {
    /// Whether the response `number` is the next one in order, and so gets a PRACK. A copy gets none again, and what
    /// comes out of order gets none and is not looked at further (§4).
    pub fn accept(&mut self, number: u32) -> bool {
        let in_order = self.last.is_none_or(|last| last.checked_add(1) == Some(number));
        if in_order {
            self.last = Some(number);
        }
        in_order
    }
}

#[cfg(test)]
mod tests;
