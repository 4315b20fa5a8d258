//! CANCEL at a proxy: RFC 3261 §16.10, §9.2.

use bytes::Bytes;
use sip::Headers;
use sip::hash::Key;
use sip::message::{Essentials, Fault, Method};
use sip::reply::Received;
use sip::transaction::invite_server;
use sip::transaction::key::{self, Flow};
use sip::transport::Path;

use super::context::State;
use crate::hub::Core;
use crate::transaction::{Machine, Owner};

impl Core {
    /// A CANCEL that has no transaction yet: 200 at once, and every branch is cancelled.
    pub(crate) fn handle_cancel(
        &mut self,
        key: Key,
        path: Path,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        let Some(transaction) = self.cancelled_by(path, request)? else {
            // A stateful proxy saw every INVITE that passed it, so it does not forward what matches none (digest 14.5).
            self.counters.unmatched_cancels += 1;
            self.counters.cancels.met_nothing += 1;
            self.reply_once(path, request, 481, &Headers::new());
            return Ok(());
        };
        let entry = &self.transactions[transaction];
        let Machine::InviteServer { machine, tag, .. } = &entry.machine else { return Ok(()) };
        let (tag, owner, is_undecided) = (*tag, entry.owner, machine.is_undecided());
        let cancels = &mut self.counters.cancels;
        *match machine.state() {
            invite_server::State::Proceeding { .. } => &mut cancels.met_undecided,
            invite_server::State::Accepted { .. } => &mut cancels.met_accepted,
            invite_server::State::Completed { .. }
            | invite_server::State::Confirmed { .. }
            | invite_server::State::Absorbing { .. }
            | invite_server::State::Terminated => &mut cancels.met_refused,
        } += 1;
        let received = Received::new(&mut self.scratch, request, path)?;
        self.answer_as(key, &received, request, tag, 200, &Headers::new());
        if let (Owner::Upstream(context), true) = (owner, is_undecided) {
            self.withdraw(context, request.cause().as_ref());
        }
        Ok(())
    }

    /// The sender of the INVITE gives up.
    fn withdraw(&mut self, context: usize, reason: Option<&Bytes>) {
        let entry = &mut self.contexts[context];
        match entry.state {
            State::Open | State::Declined | State::Released => entry.state = State::Cancelled,
            State::Cancelled | State::Answered => return,
        }
        self.cancel_branches(context, reason);
        self.advance(context);
    }

    /// The transaction of the INVITE that a CANCEL is about: it has its branch, and comes from where it came from.
    fn cancelled_by(&self, path: Path, cancel: &Essentials<'_>) -> Result<Option<usize>, Fault> {
        let flow = Flow::of(&path, false);
        let invite = Method::Invite.as_str().as_bytes();
        let found = match self.by_key.get(&key::of_method(&self.keyed, cancel, invite)?) {
            Some(&transaction) => match &self.transactions[transaction].machine {
                Machine::InviteServer { machine, port, .. } => {
                    let mut source = machine.path();
                    source.remote.set_port(*port);
                    (Flow::of(&source, false) == flow).then_some(transaction)
                }
                Machine::Server(_) | Machine::InviteClient(_) | Machine::Client(_) => None,
            },
            // Its sender learned another address for its Via in between.
            None => self.by_key.get(&key::by_flow(&self.keyed, cancel, &flow)?).copied(),
        };
        let is_absorbing = |transaction: &usize| match &self.transactions[*transaction].machine {
            Machine::InviteServer { machine, .. } => machine.is_absorbing(),
            Machine::Server(_) | Machine::InviteClient(_) | Machine::Client(_) => true,
        };
        Ok(found.filter(|transaction| !is_absorbing(transaction)))
    }
}
