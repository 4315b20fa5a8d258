//! Subscriptions and their notifications: RFC 6665. One machine for each side.

pub mod notifier;
pub mod subscriber;

use super::{End, Party};
use crate::message::{Message, Name, Valued};
use crate::time::Duration;

/// What a NOTIFY says of its subscription (§4.1.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Standing {
    /// It is active or pending, for this span if one is given.
    Lasting(Option<Duration>),
    /// It is over.
    Terminated,
}

/// How a subscription ended for its user: told once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Outcome {
    /// How.
    pub end: End,
    /// Who caused it.
    pub by: Party,
    /// The final response that settled it; `None` if there was none.
    pub status: Option<u16>,
}

impl Outcome {
    const fn local(end: End, status: Option<u16>) -> Self {
        Self { end, by: Party::Local, status }
    }

    const fn remote(end: End, status: Option<u16>) -> Self {
        Self { end, by: Party::Remote, status }
    }
}

impl Standing {
    /// What `notify` says; `None` if it says nothing that can be read.
    pub fn of(notify: &Message) -> Option<Self> {
        let state = notify.valued(Name::SubscriptionState).next()?.ok()?;
        if state.value.eq_ignore_ascii_case(b"terminated") {
            return Some(Self::Terminated);
        }
        Some(Self::Lasting(seconds(&state, b"expires")))
    }
}

/// A parameter that is a span.
pub(crate) fn seconds(value: &Valued<'_>, name: &[u8]) -> Option<Duration> {
    let seconds = crate::message::scan::number(value.parameters.value(name)?)?;
    Some(Duration::from_secs(seconds.into()))
}

/// Whether two Event values name the same package and id (§8.2.1: octet by octet).
pub(crate) fn is_same_event(one: &[u8], other: &[u8]) -> bool {
    match (Valued::parse(one), Valued::parse(other)) {
        (Some(one), Some(other)) => {
            one.value == other.value && one.parameters.value(b"id") == other.parameters.value(b"id")
        }
        _ => false,
    }
}

/// §4.1.2.2, §4.2.2: whether a request within a subscription that was answered so has no subscription any more.
fn is_fatal(status: u16) -> bool {
    matches!(status, 404 | 405 | 410 | 416 | 480..=485 | 489 | 501 | 604)
}

#[cfg(test)]
mod tests;
