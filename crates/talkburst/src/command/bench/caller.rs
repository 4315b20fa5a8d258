//! Who calls: a table of calls, each a small machine. No sockets, no clock.

use std::net::SocketAddr;

use bytes::Bytes;
use sip::Duration;
use sip::message::{Message, Name};

use super::text::{Lines, Writer, unhex};

/// How long an answer is waited for before the request is sent again.
const RESEND_AFTER: Duration = Duration::from_millis(500);

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// What a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Flow {
    /// INVITE, 180, CANCEL, 487.
    Cancelled,
    /// INVITE, 200, ACK, BYE.
    Completed,
    /// REGISTER, 200.
    Register,
    /// OPTIONS, 200.
    Options,
}

impl Flow {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Completed => "completed",
            Self::Register => "register",
            Self::Options => "options",
        }
    }

    fn method(self) -> &'static [u8] {
        match self {
            Self::Cancelled | Self::Completed => b"INVITE",
            Self::Register => b"REGISTER",
            Self::Options => b"OPTIONS",
        }
    }
}

/// Where a call is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Phase {
    Free,
    /// The first request is unanswered but for 1xx.
    Asking,
    /// CANCEL has been sent.
    Cancelling,
    /// It has been answered, the INVITE has not.
    CancelAnswered,
    /// The INVITE has been answered, the CANCEL has not.
    Refused,
    /// BYE has been sent.
    Leaving {
        bye: Bytes,
    },
    /// It stays as it is: ringing, or established.
    Held,
}

struct Call {
    generation: u32,
    phase: Phase,
    begun: Duration,
    sent: Duration,
}

/// What has come of it.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) begun: u64,
    pub(super) done: u64,
    pub(super) failed: u64,
    /// Requests that were sent again.
    pub(super) repeated: u64,
    pub(super) held: u64,
}

/// All callers.
pub(super) struct Caller {
    flow: Flow,
    /// Whether calls stay.
    pub(super) holds: bool,
    local: String,
    pairs: Vec<Lines>,
    calls: Vec<Call>,
    free: Vec<u32>,
    seed: u32,
    writer: Writer,
    out: Vec<Bytes>,
    pub(super) counts: Counts,
    /// From the beginning that was intended to the end, in microseconds.
    pub(super) latencies: Vec<u32>,
    /// From the CANCEL to its answer.
    pub(super) cancel_latencies: Vec<u32>,
    /// The session descriptions that calls were answered with which stay.
    pub(super) answers: Vec<(u32, Bytes)>,
    /// The last refusal that nobody expected.
    pub(super) refusal: Option<u16>,
}

impl Caller {
    /// For so many calls at once, by these pairs in turn.
    pub(super) fn new(flow: Flow, local: SocketAddr, pairs: Vec<Lines>, calls: usize, seed: u32) -> Self {
        let call = || Call { generation: 0, phase: Phase::Free, begun: Duration::ZERO, sent: Duration::ZERO };
        Self {
            flow,
            holds: false,
            local: local.to_string(),
            pairs,
            calls: std::iter::repeat_with(call).take(calls).collect(),
            free: (0..u32::try_from(calls).unwrap_or(u32::MAX)).rev().collect(),
            seed,
            writer: Writer::default(),
            out: Vec::new(),
            counts: Counts::default(),
            latencies: Vec::new(),
            cancel_latencies: Vec::new(),
            answers: Vec::new(),
            refusal: None,
        }
    }

    /// Calls that have begun and not ended; what is held has.
    pub(super) fn open(&self) -> u64 {
        self.counts.begun - self.counts.done - self.counts.failed - self.counts.held
    }

    /// What leaves.
    pub(super) fn take(&mut self) -> std::vec::Drain<'_, Bytes> {
        self.out.drain(..)
    }

    /// A call begins, which was intended for `at`. Whether there was room for it.
    pub(super) fn begin(&mut self, at: Duration) -> bool {
        let Some(number) = self.free.pop() else { return false };
        let call = &mut self.calls[number as usize];
        call.generation = call.generation.wrapping_add(1);
        (call.phase, call.begun, call.sent) = (Phase::Asking, at, at);
        self.counts.begun += 1;
        self.ask(number);
        true
    }

    /// A response arrives.
    pub(super) fn handle(&mut self, now: Duration, message: &Message) {
        let (Some(status), Ok(cseq)) = (message.status(), message.cseq()) else { return };
        let call_id = message.call_id();
        let Some(number) = unhex(call_id) else { return };
        let generation = call_id.get(8..).and_then(unhex);
        let Some(call) = self.calls.get(number as usize) else { return };
        if generation != Some(call.generation) {
            return;
        }
        match cseq.method {
            b"INVITE" => self.handle_invited(now, number, status, message),
            b"CANCEL" if status >= 200 => self.handle_cancelled(now, number),
            b"BYE" if status >= 200 && matches!(call.phase, Phase::Leaving { .. }) => {
                self.end(now, number, status);
            }
            b"REGISTER" | b"OPTIONS" if status >= 200 && call.phase == Phase::Asking => {
                self.end(now, number, status);
            }
            _ => {}
        }
    }

    fn handle_invited(&mut self, now: Duration, number: u32, status: u16, message: &Message) {
        let call = &mut self.calls[number as usize];
        match (self.flow, &call.phase, status) {
            (Flow::Cancelled, Phase::Asking, 101..=199) if self.holds => self.hold(number),
            (Flow::Cancelled, Phase::Asking, 101..=199) => {
                (call.phase, call.sent) = (Phase::Cancelling, now);
                self.cancel(number);
            }
            (_, Phase::Cancelling, 487) => {
                call.phase = Phase::Refused;
                self.acknowledge(number, message);
            }
            (_, Phase::CancelAnswered, 487) => {
                self.acknowledge(number, message);
                self.end(now, number, 200);
            }
            (Flow::Completed, Phase::Asking, 200..=299) => {
                let (ack, bye) = self.within(number, message);
                self.out.push(ack);
                if self.holds {
                    self.answers.push((number, Bytes::copy_from_slice(message.body())));
                    self.hold(number);
                } else {
                    self.out.push(bye.clone());
                    let call = &mut self.calls[number as usize];
                    (call.phase, call.sent) = (Phase::Leaving { bye }, now);
                }
            }
            (_, _, 0..=199) => {}
            (_, Phase::Held | Phase::Free | Phase::Refused | Phase::Leaving { .. }, _) => {
                // It was sent again, or a call that was held is over.
                if status >= 300 {
                    self.acknowledge(number, message);
                }
            }
            (_, Phase::Asking | Phase::Cancelling | Phase::CancelAnswered, _) => {
                self.acknowledge(number, message);
                self.end(now, number, status.max(300));
            }
        }
    }

    fn handle_cancelled(&mut self, now: Duration, number: u32) {
        let call = &mut self.calls[number as usize];
        let since = micros(now.saturating_sub(call.sent));
        match call.phase {
            Phase::Cancelling => call.phase = Phase::CancelAnswered,
            Phase::Refused => self.end(now, number, 200),
            Phase::Free | Phase::Asking | Phase::CancelAnswered | Phase::Leaving { .. } | Phase::Held => {
                return;
            }
        }
        self.cancel_latencies.push(since);
    }

    fn hold(&mut self, number: u32) {
        self.calls[number as usize].phase = Phase::Held;
        self.counts.held += 1;
    }

    fn end(&mut self, now: Duration, number: u32, status: u16) {
        let call = &mut self.calls[number as usize];
        call.phase = Phase::Free;
        self.free.push(number);
        if status < 300 {
            self.counts.done += 1;
            self.latencies.push(micros(now.saturating_sub(call.begun)));
        } else {
            self.counts.failed += 1;
            self.refusal = Some(status);
        }
    }

    /// Sends again what has no answer, and gives up what takes too long.
    pub(super) fn sweep(&mut self, now: Duration) {
        for number in 0..u32::try_from(self.calls.len()).unwrap_or(u32::MAX) {
            let call = &mut self.calls[number as usize];
            if matches!(call.phase, Phase::Free | Phase::Held) {
                continue;
            }
            if now.saturating_sub(call.begun) > PATIENCE {
                self.end(now, number, 408);
                continue;
            }
            if now.saturating_sub(call.sent) < RESEND_AFTER {
                continue;
            }
            call.sent = now;
            match &call.phase {
                Phase::Asking => self.ask(number),
                Phase::Cancelling => self.cancel(number),
                Phase::Leaving { bye } => self.out.push(bye.clone()),
                // The INVITE waits for the server.
                Phase::CancelAnswered => continue,
                Phase::Refused => self.cancel(number),
                Phase::Free | Phase::Held => continue,
            }
            self.counts.repeated += 1;
        }
    }

    // What is said.

    fn ask(&mut self, number: u32) {
        let method = self.flow.method();
        let bytes = {
            self.head(number, method, 1, 1, None);
            let lines = &self.pairs[number as usize % self.pairs.len()];
            self.writer.put(&lines.rest).finish()
        };
        self.out.push(bytes);
    }

    fn cancel(&mut self, number: u32) {
        self.head(number, b"CANCEL", 1, 1, None);
        let bytes = self.writer.put(END).finish();
        self.out.push(bytes);
    }

    /// The ACK of a refusal: RFC 3261 §17.1.1.3.
    fn acknowledge(&mut self, number: u32, response: &Message) {
        let tag = response.to().ok().and_then(|to| to.tag());
        self.head(number, b"ACK", 1, 1, tag);
        let bytes = self.writer.put(END).finish();
        self.out.push(bytes);
    }

    /// The ACK of a 2xx and the BYE: by way of its route set, to its target (RFC 3261 §12.2.1.1).
    fn within(&mut self, number: u32, response: &Message) -> (Bytes, Bytes) {
        let mut routes: Vec<_> = response.items(Name::RecordRoute).collect();
        routes.reverse();
        let target = response.addresses(Name::Contact).next().and_then(Result::ok).map(|to| to.uri);
        let tag = response.to().ok().and_then(|to| to.tag());
        let [ack, bye] = [(&b"ACK"[..], 2, 1), (b"BYE", 3, 2)].map(|(method, kind, cseq)| {
            self.writer.begin(method).put(b" ").put(target.unwrap_or_default());
            self.behind_uri(number, method, kind, cseq, tag);
            for route in &routes {
                self.writer.put(b"Route: ").put(route).put(b"\r\n");
            }
            self.writer.put(END).finish()
        });
        (ack, bye)
    }

    /// The lines that every request has.
    fn head(&mut self, number: u32, method: &[u8], kind: u32, cseq: u32, tag: Option<&[u8]>) {
        let lines = &self.pairs[number as usize % self.pairs.len()];
        self.writer.begin(method).put(b" ").put(&lines.uri);
        self.behind_uri(number, method, kind, cseq, tag);
    }

    fn behind_uri(&mut self, number: u32, method: &[u8], kind: u32, cseq: u32, tag: Option<&[u8]>) {
        let (lines, generation) =
            (&self.pairs[number as usize % self.pairs.len()], self.calls[number as usize].generation);
        let writer = &mut self.writer;
        writer.put(b" SIP/2.0\r\nVia: SIP/2.0/UDP ").put(self.local.as_bytes()).put(b";branch=z9hG4bK");
        writer.hex(self.seed ^ kind).hex(generation).hex(number);
        writer.put(b"\r\nMax-Forwards: 70\r\n").put(&lines.from).hex(number).put(b"\r\n").put(&lines.to);
        if let Some(tag) = tag {
            writer.put(b";tag=").put(tag);
        }
        writer.put(b"\r\nCall-ID: ").hex(number).hex(generation).hex(self.seed);
        writer.put(b"@bench\r\nCSeq: ").put(&[b'0' + cseq as u8]).put(b" ").put(method).put(b"\r\n");
    }
}

/// The end of a request without a body.
const END: &[u8] = b"Content-Length: 0\r\n\r\n";

fn micros(span: Duration) -> u32 {
    u32::try_from(span.as_micros()).unwrap_or(u32::MAX)
}
