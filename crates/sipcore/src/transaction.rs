//! A transaction as the core keeps it: its machine, and who must know what that has to say.

use sip::hash::Key;
use sip::transaction::client::{self, Client};
use sip::transaction::invite_client::{self, InviteClient};
use sip::transaction::invite_server::{self, InviteServer};
use sip::transaction::server::{self, Server};
use sip::transport::Path;
use sip::wheel::TimerId;
use sip::{Identifier, Instant};
use smallvec::SmallVec;

#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) machine: Machine,
    pub(crate) keys: SmallVec<[Key; 2]>,
    pub(crate) owner: Owner,
    pub(crate) timer: Option<(TimerId, Instant)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Machine {
    InviteClient(Box<InviteClient>),
    /// `tag` is that of our own responses; `port` the one that the INVITE came from, which its responses need not go to.
    InviteServer {
        machine: InviteServer,
        tag: Identifier,
        port: u16,
    },
    Client(Box<Client>),
    Server(Server),
}

/// Who must know what a transaction has to say: a response context, by its place in the table. It stays as long as its
/// transactions do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    /// The request that the context is about.
    Upstream(usize),
    /// One of the requests that were made of it.
    Branch(usize),
    /// Nobody: a CANCEL, and what the core answers itself.
    Nobody,
}

impl Transaction {
    /// Whether nothing is waited for any more: what still comes is a copy of what was settled.
    pub(crate) fn is_settled(&self) -> bool {
        match (&self.machine, self.owner) {
            (Machine::InviteClient(machine), _) => match machine.state() {
                // Abandoned: a late 2xx must be passed on.
                invite_client::State::Calling { .. }
                | invite_client::State::Proceeding
                | invite_client::State::Abandoned { .. } => false,
                invite_client::State::Accepted { .. }
                | invite_client::State::Completed { .. }
                | invite_client::State::Terminated => true,
            },
            (Machine::InviteServer { machine, .. }, _) => match machine.state() {
                invite_server::State::Proceeding { .. } | invite_server::State::Completed { .. } => false,
                invite_server::State::Accepted { .. }
                | invite_server::State::Confirmed { .. }
                | invite_server::State::Absorbing { .. }
                | invite_server::State::Terminated => true,
            },
            // The answer to a CANCEL proves nothing.
            (Machine::Client(_), Owner::Nobody) => true,
            (Machine::Client(machine), Owner::Branch(_) | Owner::Upstream(_)) => {
                matches!(machine.state(), client::State::Completed { .. } | client::State::Terminated)
            }
            (Machine::Server(machine), _) => {
                matches!(machine.state(), server::State::Completed { .. } | server::State::Terminated)
            }
        }
    }
}

impl Machine {
    pub(crate) fn is_terminated(&self) -> bool {
        match self {
            Self::InviteClient(machine) => *machine.state() == invite_client::State::Terminated,
            Self::InviteServer { machine, .. } => *machine.state() == invite_server::State::Terminated,
            Self::Client(machine) => *machine.state() == client::State::Terminated,
            Self::Server(machine) => *machine.state() == server::State::Terminated,
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::InviteClient(machine) => machine.deadline(),
            Self::InviteServer { machine, .. } => machine.deadline(),
            Self::Client(machine) => machine.deadline(),
            Self::Server(machine) => machine.deadline(),
        }
    }

    /// The way that our request went.
    pub(crate) fn client_path(&self) -> Option<Path> {
        match self {
            Self::InviteClient(machine) => Some(machine.path()),
            Self::Client(machine) => Some(machine.path()),
            Self::InviteServer { .. } | Self::Server(_) => None,
        }
    }
}
