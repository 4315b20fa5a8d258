//! Non-INVITE client transaction: RFC 3261 §17.1.2, Figure 6.
//!
//! ```text
//!              1xx          200-699             timer E     timer F, error
//! Trying       Proceeding   Completed           +request    gone, TimedOut
//! Proceeding   Proceeding   Completed           +request    gone, TimedOut
//! Completed    -            -                   -           timer K: gone
//! ```

use std::sync::Arc;

use super::Outbox;
use super::timer::{Resend, Timers};
use crate::guard::Guard;
use crate::message::{Message, Method};
use crate::time::Instant;
use crate::transport::Path;

/// A request of ours other than INVITE and ACK.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Client {
    request: Message,
    path: Path,
    timers: Arc<Timers>,
    state: State,
}

/// See the table at the top of this file.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the fields are the deadlines of the timers named beside them")]
pub enum State {
    Trying { resend: Option<Resend>, give_up_at: Instant }, // timers E, F
    Proceeding { resend: Option<Resend>, give_up_at: Instant }, // timers E, F
    Completed { until: Instant },                           // timer K
    Terminated,
}

/// What the user of the transaction must know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    /// A 1xx.
    Provisional,
    /// The first 200-699.
    Final,
    /// Timer F.
    TimedOut,
    /// The request could not be sent.
    TransportFailed,
    /// Timer K.
    Terminated,
}

impl Client {
    /// Sends `request`.
    pub fn start(now: Instant, request: Message, path: Path, timers: Arc<Timers>, out: &mut Outbox) -> Self {
        out.send(path, request.bytes().clone());
        let resend = (!path.transport.is_reliable()).then(|| Resend::first(now, &timers));
        let state = State::Trying { resend, give_up_at: now + timers.t1_64() };
        Self { request, path, timers, state }
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The request.
    pub fn request(&self) -> &Message {
        &self.request
    }

    /// The way it went.
    pub fn path(&self) -> Path {
        self.path
    }

    /// A response whose branch and CSeq method match (§17.1.3).
    pub fn handle_response(&mut self, now: Instant, response: &Message) -> Option<Output> {
        match (&self.state, response.status()?) {
            (State::Trying { resend, give_up_at }, 100..=199) => {
                self.state = State::Proceeding { resend: *resend, give_up_at: *give_up_at };
                Some(Output::Provisional)
            }
            (State::Proceeding { .. }, 100..=199) => Some(Output::Provisional),
            (State::Trying { .. } | State::Proceeding { .. }, 200..)
                if Guard::AnswerStopsCancel.is_off() && self.request.is(Method::Cancel) =>
            {
                None
            }
            (State::Trying { .. } | State::Proceeding { .. }, 200..) => {
                self.state = if self.path.transport.is_reliable() {
                    State::Terminated
                } else {
                    State::Completed { until: now + self.timers.t4 }
                };
                Some(Output::Final)
            }
            (
                State::Trying { .. } | State::Proceeding { .. } | State::Completed { .. } | State::Terminated,
                _,
            ) => None,
        }
    }

    /// Timers E, F and K, whichever has come.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) -> Option<Output> {
        match &mut self.state {
            State::Trying { give_up_at, .. } | State::Proceeding { give_up_at, .. } if *give_up_at <= now => {
                self.state = State::Terminated;
                Some(Output::TimedOut)
            }
            State::Trying { resend: Some(resend), .. } if resend.at <= now => {
                *resend = resend.next(now, self.timers.t2);
                if !(Guard::CancelIsSentAgain.is_off() && self.request.is(Method::Cancel)) {
                    out.send(self.path, self.request.bytes().clone());
                }
                None
            }
            State::Proceeding { resend: Some(resend), .. } if resend.at <= now => {
                *resend = Resend { at: now + self.timers.t2, interval: self.timers.t2 };
                out.send(self.path, self.request.bytes().clone());
                None
            }
            State::Completed { until } if *until <= now => {
                self.state = State::Terminated;
                Some(Output::Terminated)
            }
            State::Trying { .. } | State::Proceeding { .. } | State::Completed { .. } | State::Terminated => {
                None
            }
        }
    }

    /// The transport reports that the request did not leave, or that the connection it went over is gone (§17.1.4).
    pub fn handle_transport_failure(&mut self) -> Option<Output> {
        match self.state {
            State::Trying { .. } | State::Proceeding { .. } => {
                self.state = State::Terminated;
                Some(Output::TransportFailed)
            }
            State::Completed { .. } | State::Terminated => None,
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Trying { resend, give_up_at } | State::Proceeding { resend, give_up_at } => {
                Some(resend.map_or(*give_up_at, |resend| resend.at.min(*give_up_at)))
            }
            State::Completed { until } => Some(*until),
            State::Terminated => None,
        }
    }
}

#[cfg(test)]
mod tests;
