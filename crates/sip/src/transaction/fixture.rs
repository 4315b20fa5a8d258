//! What the tests of the four machines share: a clock, two paths, and a way to wake a machine that proves its deadlines.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;

use super::Outbox;
use super::client::{self, Client};
use super::invite_client::{self, InviteClient};
use super::invite_server::InviteServer;
use super::server::Server;
use super::timer::{Resend, Timers};
use crate::message::Message;
use crate::time::{Duration, Instant};
use crate::transport::{ConnectionId, Path, Transport};

/// `ms` milliseconds after the start.
pub(super) fn at(ms: u64) -> Instant {
    Instant::at(Duration::from_millis(ms))
}

/// The values of RFC 3261 table 4: T1 is 500 ms, T2 4 s, T4 5 s.
pub(super) fn timers() -> Arc<Timers> {
    Arc::default()
}

/// A way on which messages get lost.
pub(super) fn udp() -> Path {
    path(Transport::Udp, None)
}

/// A way on which they do not.
pub(super) fn tcp() -> Path {
    path(Transport::Tcp, Some(ConnectionId::Opened(7)))
}

fn path(transport: Transport, connection: Option<ConnectionId>) -> Path {
    let address = |text: &str| text.parse().expect("an address");
    Path { transport, local: address("192.0.2.10:5060"), remote: address("198.51.100.1:5060"), connection }
}

/// The message of these lines; the last one is the body.
pub(super) fn message(lines: &[&str]) -> Message {
    Message::parse(Bytes::from(lines.join("\r\n"))).expect("a message")
}

/// A response of which only the start line matters.
pub(super) fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// What was sent since the last call; all of it must have gone by `path`.
pub(super) fn sent(out: &mut Outbox, path: Path) -> Vec<Bytes> {
    std::iter::from_fn(|| out.take())
        .map(|transmit| {
            assert_eq!(transmit.path, path);
            transmit.bytes
        })
        .collect()
}

/// The start lines of what was sent since the last call.
pub(super) fn start_lines(out: &mut Outbox) -> Vec<String> {
    std::iter::from_fn(|| out.take()).map(|transmit| start_line(&transmit.bytes)).collect()
}

/// A request line, or a status line without the version.
pub(super) fn start_line(message: &Bytes) -> String {
    let text = String::from_utf8_lossy(message);
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("SIP/2.0 ").unwrap_or(line).to_owned()
}

/// Asserts that nothing was sent since the last call.
pub(super) fn assert_silent(out: &mut Outbox) {
    assert_eq!(start_lines(out), [""; 0]);
}

/// A machine as far as its timers go.
pub(super) trait Machine: Clone + PartialEq + Debug {
    /// What a timer tells the owner; the default is nothing.
    type Told: PartialEq + Debug + Default;

    fn deadline(&self) -> Option<Instant>;
    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) -> Self::Told;
}

impl Machine for Client {
    type Told = Option<client::Output>;

    fn deadline(&self) -> Option<Instant> {
        self.deadline()
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) -> Self::Told {
        self.handle_timeout(now, out)
    }
}

impl Machine for InviteClient {
    type Told = Option<invite_client::Output>;

    fn deadline(&self) -> Option<Instant> {
        self.deadline()
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) -> Self::Told {
        self.handle_timeout(now, out)
    }
}

impl Machine for InviteServer {
    type Told = ();

    fn deadline(&self) -> Option<Instant> {
        self.deadline()
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) -> Self::Told {
        self.handle_timeout(now, out);
    }
}

impl Machine for Server {
    type Told = ();

    fn deadline(&self) -> Option<Instant> {
        self.deadline()
    }

    fn handle_timeout(&mut self, now: Instant, _: &mut Outbox) -> Self::Told {
        self.handle_timeout(now);
    }
}

/// Wakes a machine at its deadline, which must be `ms`. A call just before does nothing, an extra one does nothing,
/// and the next deadline lies later.
pub(super) fn wake<M: Machine>(machine: &mut M, ms: u64, out: &mut Outbox) -> M::Told {
    assert_eq!(machine.deadline(), Some(at(ms)));
    assert_idle_at(machine, Instant::at(at(ms).since_start() - Duration::from_nanos(1)));
    let told = machine.handle_timeout(at(ms), out);
    assert_idle_at(machine, at(ms));
    assert!(machine.deadline().is_none_or(|next| next > at(ms)), "{machine:?}");
    told
}

/// Asserts that `handle_timeout` does nothing at `now`.
pub(super) fn assert_idle_at<M: Machine>(machine: &M, now: Instant) {
    let (mut after, mut out) = (machine.clone(), Outbox::default());
    assert_eq!(after.handle_timeout(now, &mut out), M::Told::default());
    assert_eq!((&after, out), (machine, Outbox::default()));
}

/// Asserts that the machine waits for no timer and that none comes.
pub(super) fn assert_waits_for_no_timer<M: Machine>(machine: &M) {
    assert_eq!(machine.deadline(), None);
    assert_idle_at(machine, at(3_600_000));
}

/// When the machine sends while nobody but the clock calls it, in milliseconds, and when it has no deadline any more.
pub(super) fn sending_times<M: Machine>(machine: &mut M, out: &mut Outbox) -> (Vec<u64>, u64) {
    let (mut times, mut last) = (Vec::new(), 0);
    while let Some(deadline) = machine.deadline() {
        last = u64::try_from(deadline.since_start().as_millis()).expect("a short run");
        wake(machine, last, out);
        times.extend(start_lines(out).iter().map(|_| last));
    }
    (times, last)
}

/// One line of a snapshot: `state x event -> next state; output; sent: start lines`.
pub(super) fn line(state: &str, path: Path, event: &str, next: &str, told: &str, out: &mut Outbox) -> String {
    let transport = path.transport;
    let sent = start_lines(out);
    let sent = if sent.is_empty() { "-".to_owned() } else { sent.join(", ") };
    format!("{state}/{transport} x {event} -> {next}; {told}; sent: {sent}\n")
}

/// What was told, or a dash.
pub(super) fn told<T: Debug>(output: Option<T>) -> String {
    output.map_or_else(|| "-".to_owned(), |output| format!("{output:?}"))
}

/// How long until `deadline`.
pub(super) fn wait(now: Instant, deadline: Instant) -> String {
    format!("{:?}", deadline - now)
}

/// How long until a retransmission, if there is one.
pub(super) fn wait_resend(now: Instant, resend: Option<&Resend>) -> String {
    resend.map_or_else(|| "never".to_owned(), |resend| wait(now, resend.at))
}
