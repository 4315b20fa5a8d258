//! The end of a core: nothing new begins, what is being set up between others is given up, and subscriptions end.
//!
//! What goes to the PoC Server or comes from it is the server's to end, and what stands belongs to its ends: a proxy has no
//! dialogs. What goes on passes as ever: CANCEL, ACK, BYE, every other request in a dialog, every response; and what begins no
//! dialog, REGISTER among it.

use bytes::Bytes;
use sip::Headers;
use sip::message::{Essentials, Method, Name, reason_phrase};
use sip::transport::{Path, Transport};

use crate::hub::Core;
use crate::proxy::context::State;
use crate::transaction::Machine;

/// What those hear who want something new: RFC 3261 §21.5.4, maintenance.
pub(crate) const STATUS: u16 = 503;

/// Seconds after which they may ask again.
pub(crate) const RETRY_AFTER: u32 = 5;

/// Whether the core takes what is new.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Duty {
    Serving,
    Releasing,
}

impl Core {
    /// Whether nothing is waited for any more: every request that passed has its final response, every INVITE that was answered
    /// is acknowledged, and every subscriber has heard the last. What is left meets copies of what was settled.
    pub fn is_settled(&self) -> bool {
        self.agent.is_settled() && self.transactions.iter().all(|(_, transaction)| transaction.is_settled())
    }

    /// Nothing new from now on.
    pub(crate) fn release(&mut self) {
        match self.duty {
            Duty::Serving => self.duty = Duty::Releasing,
            Duty::Releasing => return,
        }
        let contexts: Vec<usize> = self.contexts.iter().map(|(context, _)| context).collect();
        for context in contexts {
            if self.is_being_set_up(context) && !self.concerns_server(context) {
                self.contexts[context].state = State::Released;
                let reason = format!("SIP;cause={STATUS};text=\"{}\"", reason_phrase(STATUS));
                self.cancel_branches(context, Some(&Bytes::from(reason)));
                self.advance(context);
            }
        }
        self.release_watchers();
    }

    /// Whether a request comes too late to make a dialog.
    pub(crate) fn is_late(&self, method: Method, request: &Essentials<'_>) -> bool {
        let begins = matches!(method, Method::Invite | Method::Subscribe | Method::Refer)
            && request.to().is_ok_and(|to| to.tag().is_none());
        self.duty == Duty::Releasing && begins
    }

    /// What stands in a 503 then (RFC 3261 §20.33, §20.43).
    pub(crate) fn explanation(&self) -> Headers {
        let agent = self.config.listeners.first().map_or_else(
            || "talkburst".to_owned(), // a pseudonym
            |listener| listener.advertised.to_string(),
        );
        let warning = format!("399 {agent} \"the server is being stopped\"");
        vec![(Name::RetryAfter, Bytes::from(RETRY_AFTER.to_string())), (Name::Warning, Bytes::from(warning))]
    }

    /// Whether it is an INVITE that waits for its final response.
    fn is_being_set_up(&self, context: usize) -> bool {
        let context = &self.contexts[context];
        let upstream = context.upstream.and_then(|upstream| self.transactions.get(upstream));
        let is_invite = upstream.is_some_and(|each| matches!(each.machine, Machine::InviteServer { .. }));
        is_invite
            && match context.state {
                State::Open => true,
                // It is given up already.
                State::Declined | State::Cancelled | State::Released | State::Answered => false,
            }
    }

    /// Whether the PoC Server is at one of its ends.
    fn concerns_server(&self, context: usize) -> bool {
        let context = &self.contexts[context];
        let is_server = |path: &Path| {
            path.transport == Transport::Inside
                || self.config.server.is_some_and(|server| server.remote == path.remote)
        };
        let branches =
            context.branches.iter().filter_map(|branch| self.transactions.get(branch.transaction?));
        let mut ways = branches.filter_map(|transaction| transaction.machine.client_path());
        is_server(&context.back) || ways.any(|way| is_server(&way))
    }
}
