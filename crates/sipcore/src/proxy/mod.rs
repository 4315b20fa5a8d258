//! The transaction-stateful proxy: RFC 3261 §16.
//!
//! A request is read once into a [`Passing`]: what remains of its Route, whose name stands in it, where it came from. Then
//! [`target`] says where it goes, [`forward`] writes it for each target, [`context`] waits for the responses, [`response`]
//! chooses among them, and [`cancel`] ends it all.

pub(crate) mod cancel;
pub(crate) mod context;
pub(crate) mod forward;
pub(crate) mod response;
pub(crate) mod route;
pub(crate) mod rule;
pub(crate) mod target;
pub(crate) mod token;

use bytes::Bytes;
use sip::Headers;
use sip::hash::Key;
use sip::message::{Essentials, Fault, Message, Name};
use sip::transaction::invite_server::Output;
use sip::transport::Path;

use self::route::Standing;
use self::target::{Destination, Targets};
use crate::hub::Core;
use crate::identity::{Asserted, Origin};
use crate::transaction::Machine;

/// A request on its way: what every copy of it has in common.
#[derive(Clone, Debug)]
pub(crate) struct Passing {
    pub(crate) message: Message,
    pub(crate) source: Path,
    pub(crate) origin: Origin,
    /// The Route values that remain.
    pub(crate) routes: Vec<Bytes>,
    pub(crate) asserted: Asserted,
    /// What tells a loop from a spiral (RFC 5393 §4.2.1).
    pub(crate) trace: Key,
}

impl Core {
    /// A request that is not for the core itself.
    pub(crate) fn handle_proxied(
        &mut self,
        key: Key,
        path: Path,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        let origin = self.origin(&path);
        let mut standing = self.standing(request);
        let asserted = match (origin, &standing) {
            (Origin::Trusted, _) => Asserted::AsWritten,
            // Whoever knows the route set of a dialog is part of it.
            (Origin::Client, Standing { dialog: Some(_), .. }) => Asserted::Nobody,
            (Origin::Client, Standing { dialog: None, .. }) => {
                let Some(user) = self.authenticated(path, request, Name::ProxyAuthorization) else {
                    return Ok(());
                };
                if !self.may_call_itself(request, &user) {
                    self.counters.wrong_identity += 1;
                    return self.answer(key, path, request, 403, &Headers::new());
                }
                self.assert(request, &user)
            }
        };
        if let Some(place) = self.watched(request, &standing) {
            if !self.may_watch(&path, origin, &asserted, place) {
                self.counters.wrong_identity += 1;
                return self.answer(key, path, request, 403, &Headers::new());
            }
            if !self.has_room_for_watcher(place) {
                self.counters.overloaded += 1;
                let headers = vec![(Name::RetryAfter, Bytes::from_static(b"5"))];
                return self.answer(key, path, request, 503, &headers);
            }
        }
        match self.targets(request, origin, &mut standing) {
            Targets::Groups(groups) => {
                self.counters.forwarded += 1;
                let passing = self.passing(path, origin, request, standing, asserted);
                self.open_context(key, passing, request, groups)
            }
            Targets::None(status) => {
                self.counters.unroutable += 1;
                self.answer(key, path, request, status, &Headers::new())
            }
        }
    }

    fn passing(
        &self,
        source: Path,
        origin: Origin,
        request: &Essentials<'_>,
        standing: Standing,
        asserted: Asserted,
    ) -> Passing {
        let routes = standing.routes;
        let trace = self.trace_of(request);
        Passing { message: request.message().clone(), source, origin, routes, asserted, trace }
    }

    /// An ACK: that of a final response of ours, or one that goes on without a transaction (§16.11).
    pub(crate) fn handle_ack(&mut self, key: Key, path: Path, request: &Essentials<'_>) -> Result<(), Fault> {
        if let Some(&transaction) = self.by_key.get(&key) {
            let now = self.now;
            let Machine::InviteServer { machine, .. } = &mut self.transactions[transaction].machine else {
                return Ok(());
            };
            let output = machine.handle_ack(now);
            self.reschedule(transaction);
            match output {
                None => return Ok(()),
                Some(Output::Acknowledged) => {} // of a 2xx, with the branch of its INVITE
            }
        }
        let standing = self.standing(request);
        let hops = request.number(Name::MaxForwards)?;
        // One that acknowledges what was said without state has no Route of a dialog.
        let Some(destination) = standing.dialog.and_then(|_| self.within_dialog(&standing)) else {
            self.counters.stray += 1;
            return Ok(());
        };
        if hops == Some(0) {
            return Ok(());
        }
        let origin = self.origin(&path);
        let asserted = if origin == Origin::Trusted { Asserted::AsWritten } else { Asserted::Nobody };
        let passing = self.passing(path, origin, request, standing, asserted);
        self.forward_once(&passing, &destination);
        Ok(())
    }

    /// Passes a request on without waiting for anything.
    fn forward_once(&mut self, passing: &Passing, destination: &Destination) {
        if let Some(copy) = self.copy_for(passing, destination, 1) {
            self.outbox.send(copy.path, copy.message.bytes().clone());
        }
    }
}
