//! SIPp as a child, and the log of its messages. Every wait is bounded.
#![allow(dead_code, reason = "each test target needs another part")]

use std::net::Ipv4Addr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use sip::Message;
use sip::message::Name;

/// How long SIPp may go on when the other side has ended: scenarios pause no longer.
const AFTERMATH: Duration = Duration::from_secs(3);

/// T1 of ours unless a play says otherwise: 64·T1 is 1.28 seconds.
pub(crate) const T1: Duration = Duration::from_millis(20);

/// Where both sides listen, each on an address of its own.
pub(crate) const PORT: u16 = 5060;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// Plays the same over UDP and over TCP, side by side.
pub(crate) fn over_udp_and_tcp(play: impl Fn(Transport) + Sync) {
    std::thread::scope(|scope| {
        for transport in [Transport::Udp, Transport::Tcp] {
            let play = &play;
            scope.spawn(move || play(transport));
        }
    });
}

/// Plays several things side by side: most of their time is waiting.
pub(crate) fn side_by_side(plays: &[&(dyn Fn() + Sync)]) {
    std::thread::scope(|scope| {
        for play in plays {
            scope.spawn(*play);
        }
    });
}

/// An address of 127.0.0.0/8 that no other play of this machine uses, so that nobody has to look for a free port.
pub(crate) fn own_address() -> Ipv4Addr {
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let last = COUNT.fetch_add(1, Ordering::Relaxed);
    assert!(last != u8::MAX, "more plays than addresses");
    Ipv4Addr::new(127, high | 0x80, low, last)
}

/// Whether SIPp is there. Where it is not each test says so and passes, unless the tools are required.
pub(crate) fn has_sipp() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    let start =
        || Command::new("sipp").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let found = *FOUND.get_or_init(start);
    if !found {
        crate::common::leave_out("sipp");
    }
    found
}

/// A process that does not outlive its play.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    /// How it ended, unless it still runs at `until`.
    pub(crate) fn exit(&mut self, until: Instant) -> Option<ExitStatus> {
        while Instant::now() < until {
            if let Some(status) = self.0.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// How it ended; soon after `other` has ended there is nothing more to wait for.
    pub(crate) fn exit_beside(&mut self, other: &mut Self, until: Instant) -> Option<ExitStatus> {
        let mut until = until;
        let mut is_alone = false;
        loop {
            if let Some(status) = self.exit((Instant::now() + Duration::from_millis(50)).min(until)) {
                return Some(status);
            }
            if Instant::now() >= until {
                return None;
            }
            if !is_alone && other.0.try_wait().unwrap().is_some() {
                is_alone = true;
                until = until.min(Instant::now() + AFTERMATH);
            }
        }
    }

    pub(crate) fn terminate(&self) {
        let killed = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        assert!(killed.unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn wait(what: &str, until: Instant, is_so: impl Fn() -> bool) {
    while !is_so() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a socket listens at `address`, as the kernel tells it: a probe of ours could be in the way.
pub(crate) fn is_bound(transport: Transport, address: Ipv4Addr) -> bool {
    let table = if transport == Transport::Udp { "/proc/net/udp" } else { "/proc/net/tcp" };
    let shown = format!(" {:08X}:{PORT:04X} ", u32::from_ne_bytes(address.octets()));
    std::fs::read_to_string(table).unwrap().contains(&shown)
}

/// One message in SIPp's log.
pub(crate) struct Logged {
    /// Seconds; only differences mean something.
    pub(crate) at: f64,
    /// Sent by the other side of SIPp, which is ours.
    pub(crate) is_ours: bool,
    pub(crate) message: Message,
}

impl Logged {
    pub(crate) fn word(&self) -> String {
        word(&self.message)
    }

    pub(crate) fn text(&self, name: Name) -> &str {
        std::str::from_utf8(self.message.value(name).unwrap_or_default()).unwrap()
    }
}

/// A request by its method, a response by status and method.
pub(crate) fn word(message: &Message) -> String {
    match (message.method(), message.status()) {
        (Some(_), _) => String::from_utf8_lossy(message.method_text()).into_owned(),
        (None, status) => {
            let method = message.cseq().unwrap().method;
            format!("{} {}", status.unwrap(), String::from_utf8_lossy(method))
        }
    }
}

/// RFC 3261 §9.1: what a CANCEL shares with its INVITE, whoever wrote it.
pub(crate) fn check_shared(invite: &Message, cancel: &Message) {
    assert_eq!(cancel.uri_text(), invite.uri_text());
    assert_eq!(cancel.values(Name::Via).count(), 1);
    for name in [Name::Via, Name::From, Name::To, Name::CallId, Name::Route] {
        assert_eq!(cancel.value(name), invite.value(name), "{name}");
        if name != Name::Via {
            assert!(cancel.values(name).eq(invite.values(name)), "{name}");
        }
    }
    assert_eq!(cancel.cseq().unwrap().number, invite.cseq().unwrap().number);
}

/// 14.2: the same, and what else may stand in one of ours.
pub(crate) fn check_cancel_of(invite: &Message, cancel: &Message) {
    check_shared(invite, cancel);
    assert_eq!(cancel.value(Name::MaxForwards), Some(&b"70"[..]));
    assert_eq!(cancel.value(Name::ContentLength), Some(&b"0"[..]));
    let end = cancel.bytes().windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    assert_eq!(end + 4, cancel.bytes().len(), "a CANCEL has no body");
    let allowed = [
        Name::Via,
        Name::MaxForwards,
        Name::Route,
        Name::From,
        Name::To,
        Name::CallId,
        Name::CSeq,
        Name::Reason,
        Name::UserAgent,
        Name::ContentLength,
    ];
    for header in cancel.headers() {
        assert!(allowed.contains(&header.name), "{}", String::from_utf8_lossy(header.text));
    }
}

/// SIPp's log: a line of dashes with the time, a line with the direction and the number of octets, an empty line, and
/// the octets.
pub(crate) fn read_log(log: &[u8]) -> Vec<Logged> {
    let mut messages: Vec<Logged> = Vec::new();
    let mut rest = log;
    while let Some(line) = take_line(&mut rest) {
        let Some(moment) = line.strip_prefix("-----------------------------------------------") else {
            continue;
        };
        let header = take_line(&mut rest).unwrap();
        let digits: String = header.chars().filter(char::is_ascii_digit).collect();
        // What SIPp did not expect it shows twice, and tells no length then.
        let Ok(length) = digits.parse::<usize>() else { continue };
        assert_eq!(take_line(&mut rest).as_deref(), Some(""));
        let octets = bytes::Bytes::copy_from_slice(&rest[..length]);
        rest = &rest[length..];
        let before = messages.last().map_or(0.0, |logged| logged.at);
        let mut at = seconds_of_day(moment);
        if at < before {
            at += 86_400.0; // midnight
        }
        let is_ours = header.contains(" received ");
        messages.push(Logged { at, is_ours, message: Message::parse(octets).unwrap() });
    }
    messages
}

fn take_line(rest: &mut &[u8]) -> Option<String> {
    let end = rest.iter().position(|octet| *octet == b'\n')?;
    let line = String::from_utf8_lossy(&rest[..end]).trim_end_matches('\r').to_owned();
    *rest = &rest[end + 1..];
    Some(line)
}

/// ` 2026-11-24 11:51:59.193462`
fn seconds_of_day(moment: &str) -> f64 {
    let time = moment.trim().split([' ', '\t']).nth(1).unwrap();
    time.split(':').fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().unwrap())
}
