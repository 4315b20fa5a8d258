//! A view of an endpoint in which equal states are equal texts, whatever chance and clock were before.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::hash::BuildHasherDefault;

use super::Endpoint;
use crate::hash::Already;
use crate::identifier::{Identifier, Owner};
use crate::time::Instant;

/// The state of an endpoint with times relative to now, and with identifiers and sessions numbered in the order in
/// which they stand in it. Two endpoints with equal views answer equal inputs equally, up to that numbering.
///
/// Left out is what is derived (tables, the wheel), what is fixed (settings), and what only chooses names (the
/// generator and the counters), and connections, which hold only octets that are not a message yet.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Canonical(String);

impl Canonical {
    /// The view as text, one machine a paragraph.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Canonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Stands around nanoseconds in the alternate `Debug` form of [`Instant`]: a control character, which the `Debug` form of
/// octets and texts never contains.
pub const TIME_MARK: char = '\u{1}';
/// The same around the alternate `Debug` form of [`SessionId`](super::SessionId) and its like.
pub const SESSION_MARK: char = '\u{2}';

impl Endpoint {
    /// The canonical view at `now`. `owners` are those of this endpoint and of its peers, as far as they make identifiers.
    pub fn canonical(&self, now: Instant, owners: &[Owner]) -> Canonical {
        self.canonical_beside(now, owners, &())
    }

    /// The same with what the owner of this endpoint knows besides, normalised together with it.
    pub fn canonical_beside(&self, now: Instant, owners: &[Owner], beside: &dyn fmt::Debug) -> Canonical {
        Canonical(normalised(&self.view(beside), now, owners))
    }

    /// What the canonical view is made of: times stand between [`TIME_MARK`]s, names of sessions between [`SESSION_MARK`]s,
    /// identifiers as they are.
    pub fn view(&self, beside: &dyn fmt::Debug) -> String {
        let mut text = String::new();
        let mut transactions: Vec<_> = self.transactions.iter().map(|(_, entry)| entry).collect();
        transactions.sort_by_key(|entry| entry.serial);
        for entry in &transactions {
            let _ = writeln!(text, "{:#?} {:#?} {}", entry.owner, entry.machine, entry.attempt);
        }
        // Transactions are named by their place in the list above.
        let place = |transaction: usize| {
            let serial = self.transactions.get(transaction).map(|entry| entry.serial);
            transactions.iter().position(|entry| Some(entry.serial) == serial)
        };
        let mut sessions: Vec<_> = self.sessions.iter().map(|(_, session)| session).collect();
        sessions.sort_by_key(|session| session.id.serial);
        for session in sessions {
            let _ = writeln!(text, "{:#?} {:?} {:#?}", session.id, session.state, session.path);
            let _ = writeln!(text, "{:?} {:?}", session.local_tag, session.contact);
            let _ = writeln!(text, "{:#?} {} {}", session.dialog, session.byes, session.is_inviter);
            let _ = writeln!(text, "{:?} {:#?}", session.leave_headers, session.authentication);
            let _ = writeln!(text, "{:#?} {:?}", session.session_timer, session.min_se);
            let _ = writeln!(text, "{} {:#?}", session.allows_update, session.described);
            let _ = writeln!(text, "{:#?}", session.referrals);
            if let Some(asked) = &session.asked {
                let transaction = place(asked.transaction);
                let _ = writeln!(text, "{transaction:?} {:?} {:#?}", asked.remote_tag, asked.until);
                let _ = writeln!(text, "{:?} {:?} {:?}", asked.target, asked.terms, asked.head);
            }
            for outgoing in &session.outgoing {
                let transaction = place(outgoing.transaction);
                let _ = writeln!(text, "{transaction:?} {:#?} {:#?}", outgoing.usage, outgoing.legs);
                let _ = writeln!(text, "{:?} {:#?}", outgoing.cancel_headers, outgoing.further);
                let _ = writeln!(text, "{:?} {:?}", outgoing.body, outgoing.session_expires);
                let _ = writeln!(text, "{}", outgoing.is_refresh);
            }
            for incoming in &session.incoming {
                let transaction = place(incoming.transaction);
                let _ = writeln!(text, "{transaction:?} {:#?} {:#?}", incoming.usage, incoming.dialog);
                let _ = writeln!(text, "{} {:?}", incoming.cseq, incoming.target);
                let _ = writeln!(text, "{} {:?}", incoming.offers, incoming.terms);
                let _ = writeln!(text, "{:#?} {} {:?}", incoming.reliable, incoming.described, incoming.said);
                let _ = writeln!(text, "{:#?}", incoming.accepted);
            }
        }
        let mut received: Vec<_> = self.received.iter().map(|(_, requested)| requested).collect();
        received.sort_by_key(|requested| requested.id.serial);
        for requested in received {
            let transaction = place(requested.transaction);
            let _ = writeln!(text, "{:#?} {transaction:?} {:#?}", requested.id, requested.usage);
            let _ = writeln!(text, "{:?}", requested.head);
        }
        for (id, each) in &self.subscriptions {
            let transaction = place(each.transaction);
            let _ = writeln!(text, "{id:?} {transaction:?} {:#?} {:#?}", each.usage, each.waiting);
            let _ = writeln!(text, "{:?} {:?} {:#?}", each.local_tag, each.event, each.path);
            let _ = writeln!(text, "{:#?}", each.home);
            let _ = writeln!(text, "{:?} {:#?} {:#?}", each.headers, each.first, each.dialog);
        }
        let mut subscribers: Vec<_> = self.subscribers.iter().map(|(_, each)| each).collect();
        subscribers.sort_by_key(|each| each.id.serial);
        for each in subscribers {
            let asked = each.asked.as_ref().map(|(transaction, head)| (place(*transaction), head));
            let _ = writeln!(text, "{:#?} {:#?} {:#?} {asked:?}", each.id, each.usage, each.waiting);
            let _ =
                writeln!(text, "{:?} {:?} {:?} {:#?}", each.origin, each.local_tag, each.event, each.path);
            let _ = writeln!(text, "{:?} {:#?} {:#?}", each.span, each.dialog, each.next);
            let _ = writeln!(text, "{:#?} {:?}", each.home, each.target);
        }
        let _ = writeln!(text, "{:#?} {:#?} {:#?} {beside:#?}", self.requests, self.outbox, self.events);
        text
    }
}

fn normalised(text: &str, now: Instant, owners: &[Owner]) -> String {
    let prefixes: Vec<String> =
        owners.iter().map(|owner| format!("{:04x}{:02x}", owner.node, owner.shard)).collect();
    let mut names: HashMap<&str, usize, BuildHasherDefault<Already>> = HashMap::default();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first == TIME_MARK || first == SESSION_MARK {
            let (inner, after) = rest[1..].split_once(first).unwrap_or(("", ""));
            if first == TIME_MARK {
                let nanos: i128 = inner.parse().unwrap_or_default();
                let _ = write!(out, "{:+}ns", nanos - now.since_start().as_nanos() as i128);
            } else {
                let next = names.len();
                let _ = write!(out, "session#{}", names.entry(&rest[..inner.len() + 1]).or_insert(next));
            }
            rest = after;
            continue;
        }
        let candidate = rest.get(..Identifier::WIDTH).filter(|word| {
            prefixes.iter().any(|prefix| word.starts_with(prefix))
                && Identifier::parse(word.as_bytes()).is_some()
        });
        if let Some(word) = candidate {
            let next = names.len();
            let _ = write!(out, "#{}", names.entry(word).or_insert(next));
            rest = &rest[word.len()..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}
