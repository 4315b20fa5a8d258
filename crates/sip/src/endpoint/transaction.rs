//! A transaction as the endpoint keeps it: its machine, and who must know what that has to say.

use smallvec::SmallVec;

use super::face::{RequestId, SessionId, SubscriberId, SubscriptionId};
use crate::hash::Key;
use crate::identifier::Identifier;
use crate::time::Instant;
use crate::transaction::client::{self, Client};
use crate::transaction::invite_client::{self, InviteClient};
use crate::transaction::invite_server::{self, InviteServer};
use crate::transaction::server::{self, Server};
use crate::transport::{Path, Target};
use crate::wheel::TimerId;

#[derive(Clone, Debug)]
pub(super) struct Transaction {
    pub(super) machine: Machine,
    pub(super) keys: SmallVec<[Key; 3]>,
    pub(super) owner: Owner,
    /// The order of creation.
    pub(super) serial: u32,
    /// Which attempt of a request of ours it is: 1 for the first.
    pub(super) attempt: u8,
    pub(super) timer: Option<(TimerId, Instant)>,
}

/// The server transactions are the many, so they decide how much room each takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Machine {
    InviteClient {
        machine: Box<InviteClient>,
        fallback: Option<Target>,
    },
    /// `port` is the one that the INVITE came from, which its responses need not go to: its CANCEL must come the same way.
    InviteServer {
        machine: InviteServer,
        tag: Identifier,
        port: u16,
    },
    Client(Box<Client>),
    /// `tag` is the one of the response.
    Server {
        machine: Server,
        tag: Identifier,
    },
}

/// Who must know what a transaction has to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Owner {
    /// The INVITE of a session.
    Invite(SessionId),
    /// The BYE of a session that its user has.
    Leaving(SessionId),
    /// The BYE to a 2xx that nobody wants.
    Declining(SessionId),
    /// An UPDATE that refreshes a session.
    Refreshing(SessionId),
    /// The user of a request outside of any dialog.
    Request(RequestId),
    /// A SUBSCRIBE of a subscription of ours, or the REFER that makes it.
    Subscribing(SubscriptionId),
    /// A NOTIFY to a subscriber.
    Notifying(SubscriberId),
    /// A PRACK.
    Acknowledging(SessionId),
    /// Nobody: a CANCEL, whose answer proves nothing (RFC 5407 §3.1.2), and what the endpoint answers itself.
    Nobody,
}

impl Owner {
    /// The session under whose Call-ID the request was sent.
    pub(super) fn session(self) -> Option<SessionId> {
        match self {
            Self::Invite(id)
            | Self::Leaving(id)
            | Self::Declining(id)
            | Self::Refreshing(id)
            | Self::Acknowledging(id) => Some(id),
            Self::Request(_) | Self::Subscribing(_) | Self::Notifying(_) | Self::Nobody => None,
        }
    }
}

impl Transaction {
    /// Whether nothing is waited for any more: what still comes is a copy of what was settled.
    pub(super) fn is_settled(&self) -> bool {
        match &self.machine {
            Machine::InviteClient { machine, .. } => match machine.state() {
                // Abandoned: a late 2xx must be left.
                invite_client::State::Calling { .. }
                | invite_client::State::Proceeding
                | invite_client::State::Abandoned { .. } => false,
                invite_client::State::Accepted { .. }
                | invite_client::State::Completed { .. }
                | invite_client::State::Terminated => true,
            },
            Machine::InviteServer { machine, .. } => match machine.state() {
                invite_server::State::Proceeding { .. } | invite_server::State::Completed { .. } => false,
                invite_server::State::Accepted { .. }
                | invite_server::State::Confirmed { .. }
                | invite_server::State::Absorbing { .. }
                | invite_server::State::Terminated => true,
            },
            Machine::Client(machine) => match self.owner {
                // A BYE is sent until it is answered. The answer to a CANCEL proves nothing.
                Owner::Leaving(_) | Owner::Declining(_) => {
                    matches!(machine.state(), client::State::Completed { .. } | client::State::Terminated)
                }
                Owner::Invite(_)
                | Owner::Refreshing(_)
                | Owner::Acknowledging(_)
                | Owner::Request(_)
                | Owner::Subscribing(_)
                | Owner::Notifying(_)
                | Owner::Nobody => true,
            },
            Machine::Server { .. } => true,
        }
    }
}

impl Machine {
    pub(super) fn is_terminated(&self) -> bool {
        match self {
            Self::InviteClient { machine, .. } => *machine.state() == invite_client::State::Terminated,
            Self::InviteServer { machine, .. } => *machine.state() == invite_server::State::Terminated,
            Self::Client(machine) => *machine.state() == client::State::Terminated,
            Self::Server { machine, .. } => *machine.state() == server::State::Terminated,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::InviteClient { machine, .. } => machine.deadline(),
            Self::InviteServer { machine, .. } => machine.deadline(),
            Self::Client(machine) => machine.deadline(),
            Self::Server { machine, .. } => machine.deadline(),
        }
    }

    /// The way that our request went.
    pub(super) fn client_path(&self) -> Option<Path> {
        match self {
            Self::InviteClient { machine, .. } => Some(machine.path()),
            Self::Client(machine) => Some(machine.path()),
            Self::InviteServer { .. } | Self::Server { .. } => None,
        }
    }
}
