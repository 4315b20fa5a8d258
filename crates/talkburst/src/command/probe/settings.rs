//! What the probe is told about its target.

use std::net::SocketAddr;

use sip::Duration;
use sip::transport::Transport;

use super::ends::Way;

/// A target that is called.
#[derive(Clone, Debug)]
pub(super) struct Callee {
    pub(super) uri: String,
    pub(super) at: Way,
}

/// Who an end of ours is at the target.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) uri: String,
    pub(super) username: String,
    pub(super) password: String,
}

/// What was typed, understood.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Where the ends are; port 0 is one that is free.
    pub(super) listen: SocketAddr,
    /// Who is called, and rings.
    pub(super) rings: Option<Callee>,
    /// Who is called, and answers.
    pub(super) answers: Option<Callee>,
    /// The command by which the target calls.
    pub(super) calls_with: Option<String>,
    /// How long after its INVITE the target gives up.
    pub(super) gives_up_after: Duration,
    /// The proxy between two ends.
    pub(super) through: Option<Way>,
    /// Inviter and invited as the proxy knows them.
    pub(super) users: Vec<User>,
    /// What carries the messages; a target that is called may say so in its URI.
    pub(super) transport: Transport,
    pub(super) is_poc: bool,
    pub(super) t1: Duration,
    /// How long one answer is waited for.
    pub(super) patience: Duration,
}

impl Settings {
    /// The address of the user at this end.
    pub(super) fn name(&self, end: usize) -> Option<&str> {
        self.users.get(end).map(|user| user.uri.as_str())
    }

    /// User name and password at this end.
    pub(super) fn credentials(&self, end: usize) -> Option<(&str, &str)> {
        self.users.get(end).map(|user| (user.username.as_str(), user.password.as_str()))
    }
}
