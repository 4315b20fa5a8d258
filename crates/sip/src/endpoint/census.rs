//! What an endpoint has at a moment, for an operator: a walk over its tables, so nothing for every event.

use super::session::State;
use super::*;
use crate::transaction::{invite_client, invite_server, server};

/// How late whoever has the clock may be: what waits longer than that behind its deadline is stuck.
pub const LATE: Duration = Duration::from_secs(1);

/// How many of what there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Census {
    /// Transactions by what they are.
    pub transactions: Transactions,
    /// Dialogs: of sessions, early ones among them, and of subscriptions.
    pub dialogs: usize,
    /// Sessions whose INVITE waits for its final response, or for the ACK of its 2xx.
    pub inviting: usize,
    /// Sessions that their users have.
    pub established: usize,
    /// Sessions whose BYE is under way.
    pub leaving: usize,
    /// Sessions that are over, while somebody may still say something about them.
    pub over: usize,
    /// Requests of ours outside of any dialog.
    pub requests: usize,
    /// Requests of peers that wait for their users.
    pub received: usize,
    /// Subscriptions of ours.
    pub subscriptions: usize,
    /// Subscriptions of peers.
    pub subscribers: usize,
    /// Transactions whose deadline passed [`LATE`] ago, and those of sessions that are over that have none.
    pub stuck_transactions: usize,
    /// Sessions whose deadline passed [`LATE`] ago, and those that are being left, or over, and wait for nothing that ever ends.
    pub stuck_sessions: usize,
}

/// Transactions by what they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs, reason = "the names are those of RFC 3261 §17")]
pub struct Transactions {
    pub invite_client: usize,
    pub invite_server: usize,
    pub client: usize,
    pub server: usize,
}

/// How often something happened that an operator may want to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Messages that could not be read.
    pub malformed: u64,
    /// Requests that were refused for a fault in them.
    pub faulty: u64,
    /// Responses that belonged to nothing.
    pub stray: u64,
    /// Requests that were here before: their transactions said the same again.
    pub repeated: u64,
    /// What CANCELs met.
    pub cancels: Cancels,
}

impl Endpoint {
    /// How often what happened.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What there is. Looks at everything once.
    pub fn census(&self, now: Instant) -> Census {
        let mut census = Census {
            dialogs: self.dialogs.len(),
            requests: self.requests.len(),
            received: self.received.len(),
            subscriptions: self.subscriptions.len(),
            subscribers: self.subscribers.len(),
            ..Census::default()
        };
        // BYEs are not in the sessions that sent them.
        let mut byes = 0;
        for (_, transaction) in &self.transactions {
            let count = match &transaction.machine {
                Machine::InviteClient { .. } => &mut census.transactions.invite_client,
                Machine::InviteServer { .. } => &mut census.transactions.invite_server,
                Machine::Client(_) => &mut census.transactions.client,
                Machine::Server { .. } => &mut census.transactions.server,
            };
            *count += 1;
            byes += usize::from(matches!(transaction.owner, Owner::Leaving(_) | Owner::Declining(_)));
            census.stuck_transactions += usize::from(self.is_stuck(now, transaction));
        }
        let mut expected = 0;
        for (_, session) in &self.sessions {
            let count = match session.state {
                State::Inviting => &mut census.inviting,
                State::Established => &mut census.established,
                State::Leaving => &mut census.leaving,
                State::Over => &mut census.over,
            };
            *count += 1;
            expected += session.byes as usize;
            census.stuck_sessions += usize::from(self.waits_for_nothing(now, session));
        }
        census.stuck_sessions += expected.saturating_sub(byes);
        census
    }

    /// A transaction that has no deadline waits for its user, which is none any more once the session is over.
    fn is_stuck(&self, now: Instant, transaction: &Transaction) -> bool {
        let waits_for_user = match &transaction.machine {
            Machine::InviteClient { machine, .. } => *machine.state() == invite_client::State::Proceeding,
            Machine::InviteServer { machine, .. } => {
                matches!(machine.state(), invite_server::State::Proceeding { .. })
            }
            Machine::Server { machine, .. } => match machine.state() {
                server::State::Trying | server::State::Proceeding { .. } => true,
                server::State::Completed { .. } | server::State::Terminated => false,
            },
            Machine::Client(_) => false,
        };
        let is_late = transaction.machine.deadline().is_some_and(|at| at + LATE <= now);
        let session = transaction.owner.session();
        let is_over = session.is_some_and(|id| {
            let session = self.sessions.get(id.index as usize).filter(|session| session.id == id);
            session.is_none_or(|session| session.state == State::Over)
        });
        is_late || waits_for_user && is_over
    }

    fn waits_for_nothing(&self, now: Instant, session: &Session) -> bool {
        let is_late = session.deadline().is_some_and(|at| at + LATE <= now);
        let transactions = session.outgoing.iter().map(|outgoing| outgoing.transaction);
        let mut transactions =
            transactions.chain(session.incoming.iter().map(|incoming| incoming.transaction));
        let mut is_waiting =
            || session.byes > 0 || transactions.any(|transaction| self.transactions.contains(transaction));
        match session.state {
            State::Inviting | State::Established => is_late,
            State::Leaving | State::Over => is_late || session.deadline().is_none() && !is_waiting(),
        }
    }
}
