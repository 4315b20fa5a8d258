//! Non-INVITE server transaction: RFC 3261 §17.2.2, Figure 8.
//!
//! ```text
//!              request again   1xx from user   200-699 from user   timer J
//! Trying       -               Proceeding      Completed           -
//! Proceeding   +response       Proceeding      Completed           -
//! Completed    +response       -               -                   gone
//! ```

use std::sync::Arc;

use bytes::Bytes;

use super::Outbox;
use super::timer::Timers;
use crate::guard::Guard;
use crate::time::Instant;
use crate::transport::Path;

/// A request of a peer other than INVITE and ACK.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    path: Path,
    timers: Arc<Timers>,
    state: State,
}

/// See the table at the top of this file.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the fields are the last response and the deadline of timer J")]
pub enum State {
    Trying,
    Proceeding { response: Bytes },
    Completed { response: Bytes, until: Instant },
    Terminated,
}

impl Server {
    /// A request arrived; its responses go to `path`.
    pub fn start(path: Path, timers: Arc<Timers>) -> Self {
        Self { path, timers, state: State::Trying }
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The request arrived again.
    pub fn handle_request(&mut self, out: &mut Outbox) {
        match &self.state {
            State::Completed { .. } if Guard::CopyIsAnsweredAgain.is_off() => {}
            State::Proceeding { response } | State::Completed { response, .. } => {
                out.send(self.path, response.clone())
            }
            State::Trying | State::Terminated => {}
        }
    }

    /// Sends a response of the user. After a final one further responses are discarded (§17.2.2).
    pub fn respond(&mut self, now: Instant, status: u16, response: Bytes, out: &mut Outbox) {
        match (&self.state, status) {
            (State::Trying | State::Proceeding { .. }, 100..=199) => {
                out.send(self.path, response.clone());
                self.state = State::Proceeding { response };
            }
            (State::Trying | State::Proceeding { .. }, _) => {
                out.send(self.path, response.clone());
                self.state = if self.path.transport.is_reliable() {
                    State::Terminated
                } else {
                    State::Completed { response, until: now + self.timers.t1_64() }
                };
            }
            (State::Completed { .. } | State::Terminated, _) => {}
        }
    }

    /// Timer J.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Completed { until, .. } if until <= now => self.state = State::Terminated,
            State::Trying | State::Proceeding { .. } | State::Completed { .. } | State::Terminated => {}
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Completed { until, .. } => Some(*until),
            State::Trying | State::Proceeding { .. } | State::Terminated => None,
        }
    }
}

#[cfg(test)]
mod tests;
