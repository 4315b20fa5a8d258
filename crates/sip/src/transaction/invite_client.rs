//! INVITE client transaction: RFC 3261 §17.1.1, Figure 5, with RFC 6026 §7.2.
//!
//! ```text
//!              1xx          2xx         300-699          timer B, error   given up
//! Calling      Proceeding   Accepted    Completed +ACK   Abandoned        -
//! Proceeding   Proceeding   Accepted    Completed +ACK   -                Abandoned
//! Accepted     -            (to user)   -                timer M: gone    -
//! Completed    -            (to user)   +ACK             timer D: gone    -
//! Abandoned    (to user)    Accepted    +ACK             64*T1: gone      -
//! ```
//!
//! `Abandoned` is what RFC 3261 §9.1 calls destroyed, with a memory: the user was told that it is over, and a
//! response that comes for another 64*T1 must still find somebody who ends what the peer believes to have.
//!
//! For the same reason two things differ from Figure 5. A 2xx in `Completed`, which a proxy forwards from a further fork
//! even after a 487 (§16.7 step 5), goes to the user; and timer D is 64*T1 on every transport, not zero on a reliable one.
//! With the default T1 that is the 32 s that §17.1.1.2 asks for.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::Outbox;
use super::timer::{Resend, Timers};
use crate::guard::Guard;
use crate::message::{Message, Method, Name, ParseError, Writer};
use crate::time::{Duration, Instant};
use crate::transport::Path;

/// An INVITE of ours and what became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InviteClient {
    request: Kept,
    path: Path,
    timers: Arc<Timers>,
    state: State,
}

/// As much of the request as is needed. An index of its lines takes more room than they do, so there is none of what may ring
/// for minutes.
#[derive(Clone, PartialEq, Eq)]
enum Kept {
    Whole(Box<Message>),
    /// Octets of a message.
    Reduced(Bytes),
}

impl Kept {
    fn bytes(&self) -> &Bytes {
        match self {
            Self::Whole(message) => message.bytes(),
            Self::Reduced(bytes) => bytes,
        }
    }

    fn message(&self) -> Cow<'_, Message> {
        match self {
            Self::Whole(message) => Cow::Borrowed(message),
            Self::Reduced(bytes) => {
                Cow::Owned(Message::parse(bytes.clone()).expect("a part of a message that was read"))
            }
        }
    }
}

/// As text.
impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.bytes()))
    }
}

/// See the table at the top of this file.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the fields are the deadlines of the timers named beside them")]
pub enum State {
    Calling { resend: Option<Resend>, give_up_at: Instant }, // timers A, B
    Proceeding,
    Accepted { until: Instant },              // timer M
    Completed { ack: Bytes, until: Instant }, // timer D
    Abandoned { until: Instant },
    Terminated,
}

/// What the user of the transaction must know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    /// A 1xx.
    Provisional,
    /// A 2xx: the user acknowledges it.
    Success,
    /// The first 300-699: acknowledged here.
    Failure,
    /// A 300-699 after giving up: acknowledged here.
    LateFailure,
    /// Timer B: nothing came back.
    TimedOut,
    /// The request could not be sent.
    TransportFailed,
    /// The last timer ran out.
    Terminated,
}

/// What responses, the ACK and the CANCEL need of the request once a 1xx has come.
const KEPT: [Name; 8] = [
    Name::Via,
    Name::Route,
    Name::From,
    Name::To,
    Name::CallId,
    Name::CSeq,
    Name::Authorization,
    Name::ProxyAuthorization,
];

impl InviteClient {
    /// Sends `request`.
    pub fn start(now: Instant, request: Message, path: Path, timers: Arc<Timers>, out: &mut Outbox) -> Self {
        out.send(path, request.bytes().clone());
        let resend = (!path.transport.is_reliable()).then(|| Resend::first(now, &timers));
        let state = State::Calling { resend, give_up_at: now + timers.t1_64() };
        Self { request: Kept::Whole(Box::new(request)), path, timers, state }
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The request; after a 1xx only the part of it that is still needed.
    pub fn request(&self) -> Cow<'_, Message> {
        self.request.message()
    }

    /// The way it went: ACK and CANCEL go the same way (RFC 3261 §9.1, §17.1.1.3).
    pub fn path(&self) -> Path {
        self.path
    }

    /// A response whose branch and CSeq method match (§17.1.3).
    pub fn handle_response(&mut self, now: Instant, response: &Message, out: &mut Outbox) -> Option<Output> {
        match (&self.state, response.status()?) {
            (State::Calling { .. }, 100..=199) => {
                self.request = Kept::Reduced(self.request().reduced_to(&KEPT));
                self.state = State::Proceeding;
                Some(Output::Provisional)
            }
            (State::Proceeding | State::Abandoned { .. }, 100..=199) => Some(Output::Provisional),
            (State::Calling { .. } | State::Proceeding | State::Abandoned { .. }, 200..=299) => {
                self.state = State::Accepted { until: now + self.timers.t1_64() };
                Some(Output::Success)
            }
            // RFC 6026 §7.2: a resent 2xx or one of another fork goes to the user.
            (State::Accepted { .. } | State::Completed { .. }, 200..=299) => Some(Output::Success),
            (State::Calling { .. } | State::Proceeding, 300..) => {
                let ack = self.acknowledge(response, out);
                self.state = State::Completed { ack, until: now + self.timers.t1_64() };
                Some(Output::Failure)
            }
            (State::Completed { ack, .. }, 300..) => {
                if !Guard::FailureIsAcknowledgedAgain.is_off() {
                    out.send(self.path, ack.clone());
                }
                None
            }
            (State::Abandoned { .. }, 300..) => {
                self.acknowledge(response, out);
                Some(Output::LateFailure)
            }
            (State::Accepted { .. } | State::Completed { .. } | State::Terminated, _)
            | (State::Calling { .. } | State::Proceeding | State::Abandoned { .. }, _) => None,
        }
    }

    /// Timers A, B, D and M, whichever has come.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) -> Option<Output> {
        match &mut self.state {
            State::Calling { give_up_at, .. } if *give_up_at <= now => {
                self.state = State::Abandoned { until: now + self.timers.t1_64() };
                Some(Output::TimedOut)
            }
            State::Calling { resend: Some(resend), .. } if resend.at <= now => {
                *resend = resend.next(now, Duration::MAX); // §17.1.1.2: timer A doubles without limit
                out.send(self.path, self.request.bytes().clone());
                None
            }
            State::Accepted { until } | State::Completed { until, .. } | State::Abandoned { until }
                if *until <= now =>
            {
                self.state = State::Terminated;
                Some(Output::Terminated)
            }
            State::Calling { .. }
            | State::Proceeding
            | State::Accepted { .. }
            | State::Completed { .. }
            | State::Abandoned { .. }
            | State::Terminated => None,
        }
    }

    /// The transport reports that the request did not leave, or that the connection it went over is gone.
    /// A provisional response proves that it arrived: then the final one may come another way (§18.2.2).
    pub fn handle_transport_failure(&mut self, now: Instant) -> Option<Output> {
        let State::Calling { .. } = self.state else { return None };
        self.state = State::Abandoned { until: now + self.timers.t1_64() };
        Some(Output::TransportFailed)
    }

    /// RFC 3261 §9.1: 64*T1 after the CANCEL no final response is waited for any more.
    pub fn abandon(&mut self, now: Instant) {
        let State::Proceeding = self.state else { return };
        if Guard::AbandonedRemembers.is_off() {
            self.state = State::Terminated;
            return;
        }
        self.state = State::Abandoned { until: now + self.timers.t1_64() };
    }

    /// When to call [`Self::handle_timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Calling { resend, give_up_at } => {
                Some(resend.map_or(*give_up_at, |resend| resend.at.min(*give_up_at)))
            }
            State::Accepted { until } | State::Completed { until, .. } | State::Abandoned { until } => {
                Some(*until)
            }
            State::Proceeding | State::Terminated => None,
        }
    }

    /// The CANCEL of this INVITE: only the transaction knows the branch.
    ///
    /// RFC 3261 §9.1: Request-URI, Call-ID, To, From, the number of CSeq and the Route values are identical, the one
    /// Via equals the top Via of the INVITE, and no Require or Proxy-Require is there.
    pub fn cancel(&self, headers: &[(Name, Bytes)]) -> Message {
        // Without `headers` it is no longer than its INVITE was; with them it may be too long to be read.
        let cancel = self.write_cancel(headers).or_else(|_| self.write_cancel(&[]));
        cancel.expect("a part of the INVITE")
    }

    fn write_cancel(&self, headers: &[(Name, Bytes)]) -> Result<Message, ParseError> {
        let request = self.request();
        let mut out = Vec::with_capacity(request.bytes().len());
        let mut writer = Writer::request(&mut out, Method::Cancel, request.uri_text());
        write_identity(&request, &mut writer, Method::Cancel, request.value(Name::To).unwrap_or_default());
        for (name, value) in headers {
            writer.line(*name, value);
        }
        writer.finish(None);
        Message::parse(Bytes::copy_from_slice(&out))
    }

    /// §17.1.1.3: the ACK for a 300-699, with the To of the response.
    fn acknowledge(&self, response: &Message, out: &mut Outbox) -> Bytes {
        let request = self.request();
        let mut text = Vec::with_capacity(request.bytes().len());
        let mut writer = Writer::request(&mut text, Method::Ack, request.uri_text());
        write_identity(&request, &mut writer, Method::Ack, response.value(Name::To).unwrap_or_default());
        writer.finish(None);
        let ack = Bytes::copy_from_slice(&text);
        if !Guard::FailureIsAcknowledged.is_off() {
            out.send(self.path, ack.clone());
        }
        ack
    }
}

/// What the CANCEL and the ACK have in common with the INVITE.
fn write_identity(request: &Message, writer: &mut Writer<'_>, method: Method, to: &[u8]) {
    let number = request.cseq().map_or(0, |cseq| cseq.number).to_string();
    writer
        .line(Name::Via, request.items(Name::Via).next().unwrap_or_default())
        .line(Name::MaxForwards, b"70")
        .copy_all(request, &[Name::Route, Name::From])
        .line(Name::To, to)
        .line(Name::CallId, request.call_id())
        .parts(Name::CSeq, &[number.as_bytes(), b" ", method.as_str().as_bytes()]);
}

#[cfg(test)]
mod tests;
