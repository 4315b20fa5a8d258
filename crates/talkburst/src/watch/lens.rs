//! What is seen of messages while somebody looks: those that concern a user, and the last ones of all.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sip::message::{Name, Uri};
use sip::transport::Transport;
use sip::{Duration, Message};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

/// Traces of one shard at once. Beyond it the first ends.
const TRACES_MAX: usize = 4;

/// Calls, and sessions, that a trace follows. Beyond it the first is forgotten.
const FOLLOWED_MAX: usize = 256;

/// What a message that is kept takes besides its octets.
const OVERHEAD: usize = 160;

/// A message on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    /// Since the Unix epoch.
    pub(crate) at: Duration,
    pub(crate) transport: Transport,
    /// The sender.
    pub(crate) from: (Party, SocketAddr),
    /// The receiver.
    pub(crate) to: (Party, SocketAddr),
    pub(crate) bytes: Bytes,
}

/// What an end of the way is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Party {
    /// Somebody outside.
    Network,
    /// The SIP/IP core.
    Core,
    /// The PoC Server.
    Server,
}

/// Everything that looks at one shard.
#[derive(Default)]
pub(super) struct Lens {
    traces: Vec<Trace>,
    ring: Option<Ring>,
}

/// Somebody who looks at a user.
struct Trace {
    to: Sender<Seen>,
    /// `anna@poc.internal`.
    user: Vec<u8>,
    /// Call-IDs of what has concerned the user.
    calls: Followed,
    /// What names the PoC Sessions of the user.
    sessions: Followed,
}

/// The last of something.
#[derive(Default)]
struct Followed {
    known: BTreeSet<Vec<u8>>,
    order: VecDeque<Vec<u8>>,
}

/// The last messages.
struct Ring {
    octets_max: usize,
    octets: usize,
    kept: VecDeque<Seen>,
}

impl Lens {
    pub(super) fn trace(&mut self, user: Vec<u8>, to: Sender<Seen>) {
        if self.traces.len() >= TRACES_MAX {
            self.traces.remove(0);
        }
        self.traces.push(Trace { to, user, calls: Followed::default(), sessions: Followed::default() });
    }

    /// Keeps so many octets from now on, and none if that is zero.
    pub(super) fn keep(&mut self, octets_max: usize) {
        let ring = self.ring.take().unwrap_or(Ring { octets_max, octets: 0, kept: VecDeque::new() });
        self.ring = (octets_max > 0).then_some(Ring { octets_max, ..ring });
        if let Some(ring) = &mut self.ring {
            ring.make_room();
        }
    }

    /// Octets that are kept.
    pub(super) fn octets(&self) -> usize {
        self.ring.as_ref().map_or(0, |ring| ring.octets)
    }

    pub(super) fn kept(&self) -> Option<Vec<Seen>> {
        self.ring.as_ref().map(|ring| ring.kept.iter().cloned().collect())
    }

    /// Whether nobody looks any more.
    pub(super) fn is_idle(&self) -> bool {
        self.ring.is_none() && self.traces.iter().all(|trace| trace.to.is_closed())
    }

    /// Shows a message to those whom it concerns. For how many of them there was no room.
    pub(super) fn see(&mut self, seen: &Seen) -> usize {
        if let Some(ring) = &mut self.ring {
            ring.octets += seen.bytes.len() + OVERHEAD;
            ring.kept.push_back(seen.clone());
            ring.make_room();
        }
        if self.traces.is_empty() {
            return 0;
        }
        self.traces.retain(|trace| !trace.to.is_closed());
        let Ok(message) = Message::parse(seen.bytes.clone()) else { return 0 };
        let full = |trace: &mut Trace| {
            let is_full = || matches!(trace.to.try_send(seen.clone()), Err(TrySendError::Full(_)));
            usize::from(
                trace_concerns(&mut trace.calls, &mut trace.sessions, &trace.user, &message) && is_full(),
            )
        };
        self.traces.iter_mut().map(full).sum()
    }
}

/// Whether a message concerns the user: names the user anywhere, or a session of the user, or has the Call-ID of one that did.
/// What belongs to it concerns the user from then on.
fn trace_concerns(calls: &mut Followed, sessions: &mut Followed, user: &[u8], message: &Message) -> bool {
    let bytes = message.bytes();
    let call_id = message.value(Name::CallId).unwrap_or_default();
    let is_followed = calls.known.contains(call_id)
        || stands_in(bytes, user)
        || sessions.known.iter().any(|session| stands_in(bytes, session));
    if is_followed {
        calls.follow(call_id);
        let foci = message.addresses(Name::Contact).filter_map(Result::ok);
        for focus in foci.filter(|contact| contact.parameters.has(b"isfocus")) {
            // An identifier that this server has drawn: nothing else is so long.
            if let Some(identity) = Uri::parse(focus.uri).ok().and_then(|uri| uri.user)
                && sip::Identifier::parse(identity).is_some()
            {
                sessions.follow(identity);
            }
        }
    }
    is_followed
}

impl Followed {
    fn follow(&mut self, what: &[u8]) {
        if what.is_empty() || self.known.contains(what) {
            return;
        }
        if self.order.len() >= FOLLOWED_MAX
            && let Some(first) = self.order.pop_front()
        {
            self.known.remove(&first);
        }
        self.known.insert(what.to_vec());
        self.order.push_back(what.to_vec());
    }
}

impl Ring {
    fn make_room(&mut self) {
        while self.octets > self.octets_max {
            let Some(first) = self.kept.pop_front() else { break };
            self.octets -= first.bytes.len() + OVERHEAD;
        }
    }
}

/// Whether `what` stands in `bytes`, and not as a part of a longer name.
fn stands_in(bytes: &[u8], what: &[u8]) -> bool {
    let is_part = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+'))
    };
    let Some(first) = what.first() else { return false };
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| byte == first).map(|at| from + at) {
        let end = at + what.len();
        let is_it = bytes.get(at..end) == Some(what);
        if is_it && !is_part(at.checked_sub(1).and_then(|at| bytes.get(at))) && !is_part(bytes.get(end)) {
            return true;
        }
        from = at + 1;
    }
    false
}

/// Header fields whose values prove who somebody is, or help to guess how.
const SECRET: [&[u8]; 5] = [
    b"authorization",
    b"proxy-authorization",
    b"authentication-info",
    b"www-authenticate",
    b"proxy-authenticate",
];

/// Parameters of those that tell nothing.
const PUBLIC: [&[u8]; 4] = [b"username=", b"realm=", b"uri=", b"qop="];

/// The octets, with every other quoted value of those made unreadable. The length stays.
pub(crate) fn masked(bytes: &[u8]) -> Vec<u8> {
    let mut masked = bytes.to_vec();
    let (mut at, mut is_secret) = (0, false);
    while at < masked.len() {
        let rest = &masked[at..];
        let length = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1);
        let line = &mut masked[at..at + length];
        match line.first() {
            Some(b'\r' | b'\n') => break, // the body
            Some(b' ' | b'\t') => {}      // the value goes on
            Some(_) | None => {
                let name = line.split(|byte| *byte == b':').next().unwrap_or_default().trim_ascii();
                is_secret = SECRET.iter().any(|secret| name.eq_ignore_ascii_case(secret));
            }
        }
        if is_secret {
            mask_quoted(line);
        }
        at += length;
    }
    masked
}

fn mask_quoted(line: &mut [u8]) {
    let (mut at, mut parameter) = (0, 0);
    while at < line.len() {
        match line[at] {
            b',' | b' ' | b'\t' | b':' => parameter = at + 1,
            b'"' => {
                let name = line[parameter..at].trim_ascii();
                let is_public = PUBLIC.iter().any(|public| name.eq_ignore_ascii_case(public));
                at += 1;
                while at < line.len() && line[at] != b'"' && line[at] != b'\r' {
                    if !is_public {
                        line[at] = b'*';
                    }
                    at += 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Seen {
        let address = "127.0.0.1:5060".parse().unwrap();
        Seen {
            at: Duration::ZERO,
            transport: Transport::Udp,
            from: (Party::Network, address),
            to: (Party::Core, address),
            bytes: Bytes::copy_from_slice(text.as_bytes()),
        }
    }

    fn message(call: &str, from: &str, more: &str) -> Seen {
        let head = "INVITE sip:poc-factory@poc.internal SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n";
        seen(&format!(
            "{head}From: <{from}>;tag=1\r\nTo: <sip:x@y>\r\nCall-ID: {call}\r\nCSeq: 1 INVITE\r\n{more}\r\n"
        ))
    }

    #[test]
    fn a_trace_follows_the_user_the_calls_and_the_sessions_and_nothing_else() {
        let (to, mut shown) = tokio::sync::mpsc::channel(9);
        let mut lens = Lens::default();
        lens.trace(b"anna@poc.internal".to_vec(), to);
        let identity = sip::Identifiers::new(sip::Owner::default(), [1; 32]).draw();
        let identity = std::str::from_utf8(identity.as_bytes()).unwrap().to_owned();
        let focus = format!("Contact: <sip:{identity}@poc.internal;session=1-1>;isfocus\r\n");
        let steps = [
            (message("1", "sip:ben@poc.internal", ""), false),
            (message("1", "sip:joanna@poc.internal", ""), false),
            (message("1", "sip:anna@poc.internal.example", ""), false),
            (message("2", "sip:anna@poc.internal", &focus), true),
            (message("2", "sip:ben@poc.internal", ""), true),
            (message("3", "sip:carl@poc.internal", &focus), true),
            (message("3", "sip:carl@poc.internal", ""), true),
            (message("4", "sip:carl@poc.internal", ""), false),
            (seen("what is no message"), false),
        ];
        for (seen, concerns) in steps {
            assert_eq!(lens.see(&seen), 0);
            assert_eq!(shown.try_recv().is_ok(), concerns, "{seen:?}");
        }
        assert!(!lens.is_idle());
        drop(shown);
        assert!(lens.is_idle());
    }

    #[test]
    fn who_does_not_keep_up_misses_something_and_nobody_waits() {
        let (to, _shown) = tokio::sync::mpsc::channel(2);
        let mut lens = Lens::default();
        lens.trace(b"anna@poc.internal".to_vec(), to);
        let missed: Vec<_> = (0..4).map(|_| lens.see(&message("1", "sip:anna@poc.internal", ""))).collect();
        assert_eq!(missed, [0, 0, 1, 1]);
    }

    #[test]
    fn the_ring_keeps_the_last_messages_within_its_size() {
        let mut lens = Lens::default();
        assert_eq!(lens.kept(), None);
        lens.keep(3 * (OVERHEAD + 1));
        for text in ["a", "b", "c", "d"] {
            lens.see(&seen(text));
        }
        let texts =
            |lens: &Lens| -> Vec<Bytes> { lens.kept().unwrap().into_iter().map(|seen| seen.bytes).collect() };
        assert_eq!(texts(&lens), ["b", "c", "d"]);
        lens.keep(2 * (OVERHEAD + 1));
        assert_eq!(texts(&lens), ["c", "d"]);
        assert_eq!(lens.octets(), 2 * (OVERHEAD + 1));
        lens.keep(0);
        assert!(lens.kept().is_none() && lens.is_idle());
    }

    #[test]
    fn secrets_are_masked_and_nothing_else() {
        let text = "REGISTER sip:a SIP/2.0\r\nAuthorization: Digest username=\"anna\", realm=\"a\", uri=\"sip:a\", nonce=\"n1\",\r\n \
            response=\"0123\"; x\r\nproxy-authorization : Digest response=\"ab\"\r\nContact: \"x\" <sip:a>\r\n\r\nAuthorization: \"b\"";
        let expected = "REGISTER sip:a SIP/2.0\r\nAuthorization: Digest username=\"anna\", realm=\"a\", uri=\"sip:a\", nonce=\"**\",\r\n \
            response=\"****\"; x\r\nproxy-authorization : Digest response=\"**\"\r\nContact: \"x\" <sip:a>\r\n\r\nAuthorization: \"b\"";
        assert_eq!(String::from_utf8(masked(text.as_bytes())).unwrap(), expected);
        for wrong in ["Authorization: \"", "Authorization", "", "Authorization: Digest a=\"b\r\nTo: \"c\""] {
            assert_eq!(masked(wrong.as_bytes()).len(), wrong.len());
        }
    }
}
