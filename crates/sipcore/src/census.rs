//! What a core has at a moment, for an operator: a walk over its tables, so nothing for every event.

use sip::{Census as Below, Instant, LATE, Transactions};

use crate::hub::Core;
use crate::proxy::context::State;
use crate::transaction::Machine;

/// How many of what there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Census {
    /// Transactions by what they are.
    pub transactions: Transactions,
    /// Requests that were passed on and wait for their final response.
    pub open: usize,
    /// Those whose final response is known already: a 6xx, or 487.
    pub ending: usize,
    /// Those that have their final response, while somebody may still say something about them.
    pub answered: usize,
    /// Users that there are.
    pub users: usize,
    /// Users that can be reached.
    pub registered: usize,
    /// Where they can be reached.
    pub bindings: usize,
    /// The notifier of registrations: an endpoint of its own.
    pub notifier: Below,
    /// Transactions whose deadline passed [`LATE`] ago.
    pub stuck_transactions: usize,
    /// Response contexts whose deadline passed [`LATE`] ago, and those that wait for nothing that ever ends.
    pub stuck_contexts: usize,
}

impl Core {
    /// What there is. Looks at everything but the users once.
    pub fn census(&self, now: Instant) -> Census {
        let mut census = Census { notifier: self.agent.census(now), ..Census::default() };
        (census.users, census.registered, census.bindings) = self.directory.count();
        let is_late = |deadline: Option<Instant>| deadline.is_some_and(|at| at + LATE <= now);
        for (_, transaction) in &self.transactions {
            let count = match &transaction.machine {
                Machine::InviteClient(_) => &mut census.transactions.invite_client,
                Machine::InviteServer { .. } => &mut census.transactions.invite_server,
                Machine::Client(_) => &mut census.transactions.client,
                Machine::Server(_) => &mut census.transactions.server,
            };
            *count += 1;
            census.stuck_transactions += usize::from(is_late(transaction.machine.deadline()));
        }
        for (_, context) in &self.contexts {
            let count = match context.state {
                State::Open => &mut census.open,
                State::Declined | State::Cancelled | State::Released => &mut census.ending,
                State::Answered => &mut census.answered,
            };
            *count += 1;
            // Timer C limits every INVITE, and timer F every other request.
            let branches = context.branches.iter().filter_map(|branch| branch.transaction);
            let mut transactions = branches.chain(context.upstream);
            let mut ends = || {
                let entry = |transaction| self.transactions.get(transaction);
                transactions.any(|each| entry(each).is_some_and(|entry| entry.machine.deadline().is_some()))
            };
            let deadline = context.deadline();
            census.stuck_contexts += usize::from(is_late(deadline) || deadline.is_none() && !ends());
        }
        census
    }
}
