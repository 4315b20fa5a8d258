//! The response context: a request, the branches that were made of it, and the one final response that it gets.
//! RFC 3261 §16.2, §16.6 to §16.10.
//!
//! ```text
//!             2xx (INVITE)          6xx                    last branch is over        CANCEL          the core is to end
//! Open        Answered +2xx, others Declined, others       next group, or Answered    Cancelled, all  Released, all
//! Declined    Answered +2xx         -                      Answered +6xx              Cancelled, all  -
//! Cancelled   Answered +2xx         (kept)                 Answered +487 or 6xx       -               -
//! Released    Answered +2xx         (kept)                 Answered +503 or 6xx       Cancelled       -
//! Answered    +2xx                  -                      gone                       -               -
//! ```
//!
//! "others", "all": branches that are cancelled. How each is, and when its CANCEL leaves, is what
//! [`sip::usage::invite_client`] says: a branch is an INVITE of ours whose 2xx is passed on instead of acknowledged.
//!
//! Once the request was cancelled, declined or released, a branch that never said anything is not waited for: its target may be dead,
//! and what it still says is cancelled, or passed on if it is a 2xx.

use std::collections::VecDeque;

use bytes::Bytes;
use sip::hash::Key;
use sip::message::{Essentials, Fault, Message, Method, Name, reason_phrase};
use sip::reply::{Extra, Received, ReplyHead};
use sip::transaction::client::{self, Client};
use sip::transaction::invite_client::{self, InviteClient};
use sip::transaction::invite_server::InviteServer;
use sip::transaction::key::{self, Flow};
use sip::transaction::server::Server;
use sip::transport::Path;
use sip::usage::invite_client::{Action, InviteClient as Usage, State as Wish, Step};
use sip::usage::{End, Scope};
use sip::wheel::TimerId;
use sip::{Guard, Identifier, Instant};
use smallvec::SmallVec;

use super::Passing;
use super::forward::{Copy, breadth_of};
use super::response::{Best, Said};
use super::target::{Destination, Way};
use crate::hub::{Core, Due, rearm};
use crate::preference::Disposition;
use crate::transaction::{Machine, Owner};

/// See the table at the top of this file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Open,
    Declined,
    Cancelled,
    Released,
    Answered,
}

#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// The transaction of the request, as long as it stands.
    pub(crate) upstream: Option<usize>,
    /// What responses of our own repeat of the request.
    pub(crate) head: ReplyHead,
    /// The way back to its sender.
    pub(crate) back: Path,
    /// The To tag of responses of our own.
    pub(crate) tag: Identifier,
    pub(crate) state: State,
    /// What further branches are made of; `None` once there will be none.
    pub(crate) passing: Option<Box<Passing>>,
    pub(crate) waiting: VecDeque<Vec<Destination>>,
    pub(crate) branches: Vec<Branch>,
    pub(crate) best: Best,
    /// Whether branches that lose are cancelled (RFC 3841 §9.1).
    cancels: bool,
    pub(crate) timer: Option<(TimerId, Instant)>,
}

/// A request that was made of the one of the context.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    /// Its transaction, as long as that stands.
    pub(crate) transaction: Option<usize>,
    pub(crate) kind: Kind,
    /// Where it goes by UDP if TCP is refused, and its share of the breadth.
    fallback: Option<Box<(Destination, u32)>>,
    /// Whether a final response, or what counts as one, has come.
    pub(crate) is_over: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// An INVITE, and the Reason that its CANCEL will have.
    Invite {
        usage: Usage,
        reason: Option<Bytes>,
    },
    Other,
}

impl Branch {
    /// Whether its final response is waited for. `is_given_up`: only if it has said something.
    fn is_awaited(&self, is_given_up: bool) -> bool {
        let is_mute = match &self.kind {
            Kind::Invite { usage, .. } => *usage.state() == Wish::CancelWaiting,
            Kind::Other => false,
        };
        !(self.is_over || is_given_up && is_mute)
    }
}

impl Context {
    /// What decides how it goes on: see [`Core::view`].
    pub(crate) fn state(&self) -> impl std::fmt::Debug {
        let best = (&self.best, self.cancels, self.timer.map(|(_, at)| at));
        let requests = (&self.passing, &self.waiting, &self.branches);
        (self.upstream, &self.head, self.back, self.tag, self.state, requests, best)
    }

    /// Which branch the transaction is.
    fn branch_of(&mut self, transaction: usize) -> Option<&mut Branch> {
        self.branches.iter_mut().find(|branch| branch.transaction == Some(transaction))
    }

    fn is_awaiting(&self) -> bool {
        let is_given_up = match self.state {
            State::Open | State::Answered => false,
            State::Declined | State::Cancelled | State::Released => true,
        };
        self.branches.iter().any(|branch| branch.is_awaited(is_given_up))
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let deadlines = self.branches.iter().filter_map(|branch| match &branch.kind {
            Kind::Invite { usage, .. } => usage.deadline(),
            Kind::Other => None,
        });
        deadlines.min()
    }

    fn is_gone(&self) -> bool {
        self.upstream.is_none() && self.branches.iter().all(|branch| branch.transaction.is_none())
    }
}

impl Core {
    /// A request is passed on to the first of `groups`.
    pub(crate) fn open_context(
        &mut self,
        key: Key,
        passing: Passing,
        request: &Essentials<'_>,
        groups: VecDeque<Vec<Destination>>,
    ) -> Result<(), Fault> {
        let Received { head, source, path } = Received::new(&mut self.scratch, request, passing.source)?;
        let flow = key::by_flow(&self.keyed, request, &Flow::of(&source, false))?;
        let (now, timers, tag) = (self.now, self.timers.clone(), self.identifiers.draw());
        let context = self.contexts.insert(Context {
            upstream: None,
            back: path,
            tag,
            state: State::Open,
            waiting: groups,
            branches: Vec::new(),
            best: Best::default(),
            cancels: Disposition::of(request).cancels,
            timer: None,
            head,
            passing: Some(Box::new(passing)),
        });
        let mut keys = SmallVec::from_slice(&[key]);
        let machine = if request.is(Method::Invite) {
            keys.extend(Some(flow).filter(|flow| !self.by_key.contains_key(flow)));
            let head = &self.contexts[context].head;
            let trying = head.response(&mut self.scratch, 100, b"", b"", &Extra::default());
            let machine = InviteServer::start(now, path, timers, trying);
            Machine::InviteServer { machine, tag, port: source.remote.port() }
        } else {
            Machine::Server(Server::start(path, timers))
        };
        let upstream = self.open(machine, keys, Owner::Upstream(context));
        self.contexts[context].upstream = Some(upstream);
        self.advance(context);
        Ok(())
    }

    /// The next group of targets.
    fn try_next(&mut self, context: usize) -> bool {
        let Some(group) = self.contexts[context].waiting.pop_front() else { return false };
        let Some(passing) = self.contexts[context].passing.take() else { return false };
        // RFC 5393 §5.3.3.1: branches at once share what the request may become.
        let share = breadth_of(&passing.message) / group.len() as u32;
        if share == 0 {
            self.contexts[context].best.note(Said::Ours(440));
        } else {
            self.contexts[context].branches.reserve_exact(group.len());
            for destination in group {
                self.start_branch(context, &passing, destination, share);
            }
        }
        let entry = &mut self.contexts[context];
        entry.waiting.shrink_to_fit();
        let has_more = !entry.waiting.is_empty() || entry.branches.iter().any(|each| each.fallback.is_some());
        entry.passing = has_more.then_some(passing);
        true
    }

    fn start_branch(&mut self, context: usize, passing: &Passing, destination: Destination, share: u32) {
        let Some(copy) = self.copy_for(passing, &destination, share) else {
            // §16.9: nobody could take it.
            return self.contexts[context].best.note(Said::Ours(503));
        };
        let kind = if copy.message.is(Method::Invite) {
            let (limit, guard) = (self.config.timer_c, self.timers.t1_64());
            let usage = Usage::new(self.now, Scope::Session, Some(limit), guard);
            Kind::Invite { usage, reason: None }
        } else {
            Kind::Other
        };
        let fallback = copy.is_long.then(|| Box::new((destination, share)));
        let transaction = Some(self.send_copy(context, copy));
        self.contexts[context].branches.push(Branch { transaction, kind, fallback, is_over: false });
    }

    /// Opens the transaction of a branch.
    fn send_copy(&mut self, context: usize, copy: Copy) -> usize {
        let (now, timers) = (self.now, self.timers.clone());
        let Copy { message, path, branch, .. } = copy;
        let key = key::client(&self.keyed, &branch, message.method_text());
        let machine = if message.is(Method::Invite) {
            let machine = InviteClient::start(now, message, path, timers, &mut self.outbox);
            Machine::InviteClient(Box::new(machine))
        } else {
            Machine::Client(Box::new(Client::start(now, message, path, timers, &mut self.outbox)))
        };
        self.open(machine, SmallVec::from_slice(&[key]), Owner::Branch(context))
    }

    /// Goes on as far as nothing is waited for: to the next group, or to the final response.
    pub(crate) fn advance(&mut self, context: usize) {
        loop {
            let Some(entry) = self.contexts.get(context) else { return };
            if entry.is_awaiting() || entry.state == State::Answered {
                break;
            }
            // I11: what is not there yet never will be, once the request was cancelled, declined or released.
            if entry.state == State::Open && self.try_next(context) {
                continue;
            }
            self.answer_best(context);
        }
        self.reschedule_context(context);
    }

    pub(crate) fn reschedule_context(&mut self, context: usize) {
        let Some(entry) = self.contexts.get_mut(context) else { return };
        if entry.is_gone() {
            if let Some((timer, _)) = self.contexts.remove(context).timer {
                self.wheel.disarm(timer);
            }
            return;
        }
        let deadline = entry.deadline();
        rearm(&mut self.wheel, &mut entry.timer, Due::Context(context), deadline);
    }

    /// A transaction of the context has ended.
    pub(crate) fn transaction_is_gone(&mut self, context: usize, transaction: usize) {
        let Some(entry) = self.contexts.get_mut(context) else { return };
        if entry.upstream == Some(transaction) {
            entry.upstream = None;
        }
        if let Some(branch) = entry.branch_of(transaction) {
            branch.transaction = None;
        }
        self.reschedule_context(context);
    }

    // What branches say.

    /// An INVITE of ours has something to say.
    pub(crate) fn handle_invite_output(
        &mut self,
        transaction: usize,
        output: Option<invite_client::Output>,
        response: Option<(&Path, &Essentials<'_>)>,
    ) {
        let (Owner::Branch(context), Some(output)) = (self.transactions[transaction].owner, output) else {
            return;
        };
        let (now, timer_c) = (self.now, self.config.timer_c);
        let Some(branch) = self.contexts[context].branch_of(transaction) else { return };
        let Kind::Invite { usage, .. } = &mut branch.kind else { return };
        use invite_client::Output;
        match (output, response) {
            (Output::Provisional, Some((path, response))) => {
                let status = response.status().unwrap_or(100);
                let action = usage.handle_provisional(now);
                if status > 100 {
                    usage.renew_limit(now, timer_c); // §16.7 step 2
                }
                self.carry_out(context, transaction, action);
                self.pass_on_provisional(context, path, response, status);
            }
            (Output::Success, Some((path, response))) => {
                let status = response.status().unwrap_or(200);
                let step = usage.handle_success(status);
                branch.is_over = true;
                self.counters.cancels.note_step(&step);
                self.carry_out(context, transaction, step.action);
                self.pass_on_success(context, path, response, status);
            }
            (Output::Failure, Some((path, response))) => {
                let status = response.status().unwrap_or(500);
                let step = usage.handle_failure(status);
                branch.is_over = true;
                self.counters.cancels.note_step(&step);
                self.note_failure(context, path, response, status);
            }
            // It was over before: nobody waits for it.
            (Output::LateFailure, Some((_, response))) => {
                usage.handle_failure(response.status().unwrap_or(500));
            }
            (Output::TimedOut, _) => {
                let step = usage.handle_silence(End::TimedOut);
                branch.is_over = true;
                self.counters.cancels.note_step(&step);
                self.contexts[context].best.note(Said::Ours(408)); // §16.8
            }
            (Output::TransportFailed, _) => {
                let step = usage.handle_silence(End::TransportFailed);
                branch.is_over = true;
                self.counters.cancels.note_step(&step);
                self.contexts[context].best.note(Said::Ours(503)); // §16.9
            }
            (Output::Terminated, _) => {}
            (Output::Provisional | Output::Success | Output::Failure | Output::LateFailure, None) => {}
        }
        self.advance(context);
    }

    /// Another request of ours has something to say.
    pub(crate) fn handle_client_output(
        &mut self,
        transaction: usize,
        output: Option<client::Output>,
        response: Option<(&Path, &Essentials<'_>)>,
    ) {
        let Some(output) = output else { return };
        let context = match self.transactions[transaction].owner {
            Owner::Branch(context) => context,
            // What a CANCEL is answered proves nothing (RFC 5407 §3.1.2).
            Owner::Nobody => return self.note_cancel_answer(output, response),
            Owner::Upstream(_) => return,
        };
        let Some(branch) = self.contexts[context].branch_of(transaction) else { return };
        use client::Output;
        match (output, response) {
            (Output::Provisional, Some((path, response))) => {
                let status = response.status().unwrap_or(100);
                self.pass_on_provisional(context, path, response, status);
            }
            (Output::Final, Some((path, response))) => {
                branch.is_over = true;
                match response.status().unwrap_or(500) {
                    status @ 200..=299 => self.pass_on_success(context, path, response, status),
                    status => self.note_failure(context, path, response, status),
                }
            }
            (Output::TimedOut, _) => {
                branch.is_over = true;
                self.contexts[context].best.note(Said::Ours(408));
            }
            (Output::TransportFailed, _) => {
                branch.is_over = true;
                self.contexts[context].best.note(Said::Ours(503));
            }
            (Output::Terminated | Output::Provisional | Output::Final, _) => {}
        }
        self.advance(context);
    }

    fn note_cancel_answer(&mut self, output: client::Output, response: Option<(&Path, &Essentials<'_>)>) {
        match output {
            client::Output::Final | client::Output::TimedOut | client::Output::TransportFailed => {
                let status = response.and_then(|(_, response)| response.status());
                self.counters.cancels.note_answer(status);
            }
            client::Output::Provisional | client::Output::Terminated => {}
        }
    }

    /// A connection for a request could not be opened: what went there for its length only goes by UDP.
    pub(crate) fn handle_refusal(&mut self, transaction: usize) {
        match self.fall_back(transaction) {
            Some(()) => self.close(transaction),
            None => self.handle_transport_failure(transaction),
        }
    }

    /// §18.1.1. Nothing new is begun for somebody who gave up (I3).
    fn fall_back(&mut self, transaction: usize) -> Option<()> {
        let Owner::Branch(context) = self.transactions.get(transaction)?.owner else { return None };
        let entry = &mut self.contexts[context];
        let passing = entry.passing.clone()?;
        let branch = entry.branch_of(transaction)?;
        let is_wanted = match &branch.kind {
            Kind::Invite { usage, .. } => !usage.is_unwanted(),
            Kind::Other => true,
        };
        let (destination, share) = *branch.fallback.take().filter(|_| is_wanted)?;
        let Way::To(target) = destination.way else { return None };
        self.deaf.note(target.remote, self.now);
        let path = self.path_to(target)?;
        let copy = self.written(&passing, &destination, path, share)?;
        let next = self.send_copy(context, copy);
        let branch = self.contexts[context].branch_of(transaction)?;
        branch.transaction = Some(next);
        Some(())
    }

    fn note_failure(&mut self, context: usize, path: &Path, response: &Message, status: u16) {
        let entry = &mut self.contexts[context];
        entry.best.note(Said::Theirs { path: *path, response: Box::new(response.clone()), status });
        if status >= 600 && entry.state == State::Open {
            // §16.7 step 5: no new branch, and no other stays.
            entry.state = State::Declined;
            self.cancel_branches(context, Some(&reason_for(status)));
        }
    }

    /// The branches that lose against a 2xx.
    pub(crate) fn cancel_losers(&mut self, context: usize, status: u16) {
        if self.contexts[context].cancels && !Guard::LosersAreCancelled.is_off() {
            self.cancel_branches(context, Some(&reason_for(status)));
        }
    }

    /// Every branch that is pending is cancelled as soon as it may be (§9.1); there will be no others.
    pub(crate) fn cancel_branches(&mut self, context: usize, reason: Option<&Bytes>) {
        let now = self.now;
        let covered = if Guard::EveryBranchIsCancelled.is_off() { 1 } else { usize::MAX };
        for place in 0..self.contexts[context].branches.len().min(covered) {
            let branch = &mut self.contexts[context].branches[place];
            let (Some(transaction), false) = (branch.transaction, branch.is_over) else { continue };
            let Kind::Invite { usage, reason: kept } = &mut branch.kind else { continue };
            if !usage.is_unwanted() {
                *kept = reason.cloned();
            }
            let before = usage.state().clone();
            let action = usage.cancel(now).unwrap_or(Action::Nothing);
            self.counters.cancels.note_wish(&before, usage);
            self.carry_out(context, transaction, action);
        }
    }

    /// What the usage of a branch asks for. A 2xx is passed on in any case: its sender acknowledges and leaves.
    fn carry_out(&mut self, context: usize, transaction: usize, action: Action) {
        match action {
            Action::SendCancel => self.send_cancel(context, transaction),
            Action::Abandon => {
                if let Machine::InviteClient(machine) = &mut self.transactions[transaction].machine {
                    machine.abandon(self.now);
                }
                self.reschedule(transaction);
            }
            Action::Nothing | Action::Establish | Action::AcknowledgeAndLeave | Action::Acknowledge => {}
        }
    }

    fn send_cancel(&mut self, context: usize, transaction: usize) {
        let (now, timers) = (self.now, self.timers.clone());
        let reason = self.contexts[context].branch_of(transaction).and_then(|branch| match &branch.kind {
            Kind::Invite { reason, .. } => reason.clone(),
            Kind::Other => None,
        });
        let Machine::InviteClient(machine) = &self.transactions[transaction].machine else { return };
        let headers: Vec<_> = reason.map(|reason| (Name::Reason, reason)).into_iter().collect();
        let (cancel, path) = (machine.cancel(&headers), machine.path());
        let branch = cancel.via().ok().and_then(|via| Identifier::from_branch(via.branch()?));
        let key = branch.map(|branch| key::client(&self.keyed, &branch, Method::Cancel.as_str().as_bytes()));
        let machine = Client::start(now, cancel, path, timers, &mut self.outbox);
        self.open(Machine::Client(Box::new(machine)), key.into_iter().collect(), Owner::Nobody);
    }

    /// Timer C, or the guard, of some branch.
    pub(crate) fn handle_context_timeout(&mut self, context: usize) {
        let now = self.now;
        for place in 0..self.contexts[context].branches.len() {
            let branch = &mut self.contexts[context].branches[place];
            let Kind::Invite { usage, .. } = &mut branch.kind else { continue };
            let before = usage.state().clone();
            let step = usage.handle_timeout(now);
            self.counters.cancels.note_wish(&before, usage);
            self.counters.cancels.note_step(&step);
            let Step { action, outcome } = step;
            if outcome.is_some() && !branch.is_over {
                branch.is_over = true;
                // §16.8: nothing came in spite of the CANCEL.
                self.contexts[context].best.note(Said::Ours(408));
            }
            if let Some(transaction) = self.contexts[context].branches[place].transaction {
                self.carry_out(context, transaction, action);
            }
        }
        self.advance(context);
    }
}

/// Why a branch is cancelled that lost against a response of this status (RFC 3326 §3.1, digest 14.9).
fn reason_for(status: u16) -> Bytes {
    match status {
        200..=299 => Bytes::from_static(b"SIP;cause=200;text=\"Call completed elsewhere\""),
        603 => Bytes::from_static(b"SIP;cause=603;text=\"Declined\""),
        _ => Bytes::from(format!("SIP;cause={status};text=\"{}\"", reason_phrase(status))),
    }
}
