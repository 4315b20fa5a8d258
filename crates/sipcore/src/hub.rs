//! The core: which machine a message, a command or a moment belongs to. One core is one shard.
//!
//! The rules live in [`registrar`](crate::registrar), [`authentication`](crate::authentication) and
//! [`proxy`](crate::proxy), and in `sip`'s machines; this hub finds them and keeps the tables.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use sip::connection::Connections;
use sip::hash::{Key, Keyed, Table};
use sip::message::{Essentials, Fault, Message, Method, Name};
use sip::reply::{Extra, Received};
use sip::transaction::invite_server::InviteServer;
use sip::transaction::server::Server;
use sip::transaction::timer::Timers;
use sip::transaction::{Outbox, key};
use sip::transport::{ConnectionId, Frame, Path, Target, Transmit};
use sip::way::{Spelled, listener_to};
use sip::wheel::{TimerId, Wheel};
use sip::{Headers, Identifier, Identifiers, Instant, SubscriberId};
use slab::Slab;
use smallvec::SmallVec;

use crate::authentication::Realm;
use crate::bucket::Buckets;
use crate::directory::Directory;
use crate::face::{Command, Config, Counters, Event, Input, Load};
use crate::proxy::context::Context;
use crate::proxy::forward::Deaf;
use crate::reg::Agent;
use crate::releasing::Duty;
use crate::transaction::{Machine, Owner, Transaction};

/// A SIP/IP core without sockets and without a clock: a registrar and a transaction-stateful proxy.
///
/// After anything that took `&mut self`: drain [`poll_transmit`](Self::poll_transmit), drain
/// [`poll_event`](Self::poll_event), then ask [`poll_timeout`](Self::poll_timeout). Time never runs back.
#[derive(Clone, Debug)]
pub struct Core {
    pub(crate) config: Config,
    pub(crate) timers: Arc<Timers>,
    /// One for each listener of `config`.
    pub(crate) spelled: Vec<Spelled>,
    pub(crate) identifiers: Identifiers,
    /// What tables are keyed with.
    pub(crate) keyed: Keyed,
    /// What all shards of the core have in common.
    pub(crate) shared: Keyed,
    pub(crate) realm: Realm,
    pub(crate) now: Instant,
    pub(crate) outbox: Outbox,
    pub(crate) events: VecDeque<Event>,
    pub(crate) wheel: Wheel<Due>,
    pub(crate) transactions: Slab<Transaction>,
    pub(crate) by_key: Table<usize>,
    pub(crate) contexts: Slab<Context>,
    pub(crate) directory: Directory,
    pub(crate) connections: Connections,
    pub(crate) buckets: Buckets,
    pub(crate) agent: Agent,
    pub(crate) duty: Duty,
    pub(crate) load: Load,
    pub(crate) deaf: Deaf,
    pub(crate) counters: Counters,
    /// A buffer in which messages are put together.
    pub(crate) scratch: Vec<u8>,
}

/// Whose deadline has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    Transaction(usize),
    Context(usize),
    /// A user's bindings.
    Account(usize),
    /// A change that a subscriber is told of.
    Watcher(SubscriberId),
}

impl Core {
    /// A core that knows nobody yet.
    pub fn new(config: Config) -> Self {
        let mut identifiers = Identifiers::new(config.owner, config.seed);
        let keyed = Keyed::new(identifiers.key());
        let realm = config.domains.first().cloned().unwrap_or_default();
        Self {
            timers: Arc::new(config.timers),
            spelled: Spelled::of(&config.listeners, b""),
            keyed: keyed.clone(),
            shared: Keyed::new(config.secret),
            realm: Realm::new(realm, &config.nonces, config.algorithms),
            now: Instant::START,
            outbox: Outbox::default(),
            events: VecDeque::new(),
            wheel: Wheel::new(),
            transactions: Slab::new(),
            by_key: Table::default(),
            contexts: Slab::new(),
            agent: Agent::new(&config, keyed.clone()),
            directory: Directory::new(keyed),
            connections: Connections::of(config.owner.shard),
            buckets: Buckets::new(config.refusals),
            duty: Duty::Serving,
            load: Load::default(),
            deaf: Deaf::default(),
            counters: Counters::default(),
            scratch: Vec::new(),
            identifiers,
            config,
        }
    }

    /// The one way in: every datagram, stream, loss, moment and command.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        debug_assert!(now >= self.now, "time never runs back");
        self.now = now;
        match input {
            Input::Datagram { path, bytes } => {
                self.connections.receive(&path, b""); // a connection that it came over is known from now on
                self.handle_octets(path, bytes);
            }
            Input::Message { path, message } => {
                self.connections.receive(&path, b"");
                self.handle_message(path, &message);
            }
            Input::Stream { path, bytes } => self.handle_stream(path, &bytes),
            Input::ConnectionLost { connection } => self.handle_loss(connection),
            Input::ConnectionRefused { connection } => {
                for transaction in self.connections.lose(connection) {
                    self.handle_refusal(transaction);
                }
            }
            Input::Timeout => self.handle_due(),
            Input::Command(Command::PutUser(user)) => self.directory.put(user),
            Input::Command(Command::RemoveUser(name)) => self.remove_user(&name),
            Input::Command(Command::PutService(name)) => self.directory.put_service(name),
            Input::Command(Command::RemoveService(name)) => self.directory.remove_service(&name),
            Input::Command(Command::Release) => self.release(),
            Input::Command(Command::SetLoad(load)) => self.load = load,
        }
    }

    /// Does what is due. An extra call does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.handle_input(now, Input::Timeout);
    }

    /// What is to be sent next; drain until `None`.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.exchange()
    }

    /// What the program must know next; drain until `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout): always later than the last call of it. Without transactions
    /// it is when a binding or a subscription ends.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.wheel.next().into_iter().chain(self.agent.poll_timeout()).min()
    }

    /// Whether every transaction and every response context is gone. Bindings may stand, and subscriptions to
    /// them.
    pub fn is_empty(&self) -> bool {
        self.transactions.is_empty() && self.by_key.is_empty() && self.contexts.is_empty()
    }

    /// What a canonical view of it is made of: see [`sip::Endpoint::view`].
    ///
    /// Left out: what is derived (tables, the wheel), what is fixed, what counts, and the generator, which only chooses names.
    pub fn view(&self) -> String {
        let transactions = self.transactions.iter();
        let transactions: Vec<_> =
            transactions.map(|(place, each)| (place, &each.machine, each.owner)).collect();
        let contexts: Vec<_> =
            self.contexts.iter().map(|(place, context)| (place, context.state())).collect();
        let accounts: Vec<_> =
            self.directory.all().map(|account| (&account.name, &account.bindings)).collect();
        self.agent.view(&(
            transactions,
            contexts,
            accounts,
            (self.duty, self.load, &self.deaf, self.buckets.taken(self.now)),
            (&self.outbox, &self.events),
        ))
    }

    /// How often what happened.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    // What arrives.

    fn handle_stream(&mut self, path: Path, bytes: &[u8]) {
        for frame in self.connections.receive(&path, bytes) {
            match frame {
                Frame::Message(bytes) => self.handle_octets(path, bytes),
                Frame::Ping => self.outbox.send(path, Bytes::from_static(b"\r\n")), // RFC 5626 §3.5.1
                Frame::Pong => {}
                Frame::Fault(fault) => {
                    tracing::warn!(?fault, "stream cannot be read any more");
                    self.counters.malformed += 1;
                    if let Some(connection) = path.connection {
                        self.events.push_back(Event::Disconnect { connection });
                    }
                }
            }
        }
    }

    pub(crate) fn handle_octets(&mut self, path: Path, bytes: Bytes) {
        match Message::parse(bytes) {
            Ok(message) => self.handle_message(path, &message),
            Err(error) => {
                self.counters.malformed += u64::from(error != sip::message::ParseError::Empty);
                tracing::trace!(%error, "dropped");
            }
        }
    }

    fn handle_message(&mut self, path: Path, message: &Message) {
        let essentials = Essentials::of(message);
        match message.method() {
            Some(method) => {
                if let Err(fault) = self.handle_request(path, method, &essentials) {
                    tracing::debug!(%fault, "request refused");
                    self.counters.malformed += 1;
                    if method != Method::Ack {
                        self.reply_once(path, &essentials, fault.status(), &Headers::new());
                    }
                }
            }
            None => self.handle_response(&path, &essentials),
        }
    }

    fn handle_response(&mut self, path: &Path, response: &Essentials<'_>) {
        let key = response.validate_essentials().ok().and_then(|()| key::client_of(&self.keyed, response));
        let Some(&transaction) = key.and_then(|key| self.by_key.get(&key)) else {
            // RFC 6026 §7.2: what matches nothing is not forwarded.
            self.counters.stray += 1;
            return tracing::trace!("response to nothing");
        };
        let now = self.now;
        match &mut self.transactions[transaction].machine {
            Machine::InviteClient(machine) => {
                let output = machine.handle_response(now, response, &mut self.outbox);
                self.handle_invite_output(transaction, output, Some((path, response)));
            }
            Machine::Client(machine) => {
                let output = machine.handle_response(now, response);
                self.handle_client_output(transaction, output, Some((path, response)));
            }
            Machine::InviteServer { .. } | Machine::Server(_) => {}
        }
        self.reschedule(transaction);
    }

    /// A connection is gone: so is what went over it, and the bindings that could be reached by nothing else.
    fn handle_loss(&mut self, connection: ConnectionId) {
        for transaction in self.connections.lose(connection) {
            self.handle_transport_failure(transaction);
        }
        self.lose_flow(connection);
    }

    pub(crate) fn handle_transport_failure(&mut self, transaction: usize) {
        let now = self.now;
        let Some(entry) = self.transactions.get_mut(transaction) else { return };
        match &mut entry.machine {
            Machine::InviteClient(machine) => {
                let output = machine.handle_transport_failure(now);
                self.handle_invite_output(transaction, output, None);
            }
            Machine::Client(machine) => {
                let output = machine.handle_transport_failure();
                self.handle_client_output(transaction, output, None);
            }
            Machine::InviteServer { .. } | Machine::Server(_) => {}
        }
        self.reschedule(transaction);
    }

    // Time.

    fn handle_due(&mut self) {
        self.agent.handle_timeout(self.now);
        while let Some(due) = self.wheel.take(self.now) {
            match due {
                Due::Transaction(transaction) => {
                    self.transactions[transaction].timer = None;
                    self.handle_transaction_timeout(transaction);
                    self.reschedule(transaction);
                }
                Due::Context(context) => {
                    self.contexts[context].timer = None;
                    self.handle_context_timeout(context);
                }
                Due::Account(account) => self.expire_bindings(account),
                Due::Watcher(subscriber) => self.handle_watcher_timeout(subscriber),
            }
        }
    }

    fn handle_transaction_timeout(&mut self, transaction: usize) {
        let now = self.now;
        match &mut self.transactions[transaction].machine {
            Machine::InviteClient(machine) => {
                let output = machine.handle_timeout(now, &mut self.outbox);
                self.handle_invite_output(transaction, output, None);
            }
            Machine::InviteServer { machine, .. } => machine.handle_timeout(now, &mut self.outbox),
            Machine::Client(machine) => {
                let output = machine.handle_timeout(now, &mut self.outbox);
                self.handle_client_output(transaction, output, None);
            }
            Machine::Server(machine) => machine.handle_timeout(now),
        }
    }

    // Tables.

    pub(crate) fn open(&mut self, machine: Machine, keys: SmallVec<[Key; 2]>, owner: Owner) -> usize {
        let path = machine.client_path();
        let transaction = self.transactions.insert(Transaction { machine, keys, owner, timer: None });
        for key in &self.transactions[transaction].keys {
            self.by_key.insert(*key, transaction);
        }
        if let Some(path) = path {
            self.connections.carries(&path, transaction);
        }
        self.reschedule(transaction);
        transaction
    }

    /// Arms the timer for the transaction's next deadline, or removes the transaction if it has ended.
    pub(crate) fn reschedule(&mut self, transaction: usize) {
        let Some(entry) = self.transactions.get_mut(transaction) else { return };
        if entry.machine.is_terminated() {
            return self.close(transaction);
        }
        let deadline = entry.machine.deadline();
        rearm(&mut self.wheel, &mut entry.timer, Due::Transaction(transaction), deadline);
    }

    pub(crate) fn close(&mut self, transaction: usize) {
        let entry = self.transactions.remove(transaction);
        if let Some((timer, _)) = entry.timer {
            self.wheel.disarm(timer);
        }
        for key in &entry.keys {
            self.by_key.remove(key);
        }
        if let Some(path) = entry.machine.client_path() {
            self.connections.forget(&path, transaction);
        }
        match entry.owner {
            Owner::Upstream(context) | Owner::Branch(context) => {
                self.transaction_is_gone(context, transaction)
            }
            Owner::Nobody => {}
        }
    }

    // Ways.

    /// The way to `target`, over a connection that stands or a new one.
    pub(crate) fn path_to(&mut self, target: Target) -> Option<Path> {
        let Target { transport, remote } = target;
        let local = listener_to(&self.config.listeners, &target)?.bind;
        let connections = &mut self.connections;
        let connection = transport.has_connections().then(|| connections.to(&self.keyed, transport, remote));
        Some(Path { transport, local, remote, connection })
    }

    // Answers of our own.

    /// Answers with a final response, in a transaction that absorbs copies of the request.
    pub(crate) fn answer(
        &mut self,
        key: Key,
        path: Path,
        request: &Essentials<'_>,
        status: u16,
        headers: &Headers,
    ) -> Result<(), Fault> {
        let tag = self.identifiers.draw();
        let received = Received::new(&mut self.scratch, request, path)?;
        self.answer_as(key, &received, request, tag, status, headers);
        Ok(())
    }

    /// The same, with a To tag that is given.
    pub(crate) fn answer_as(
        &mut self,
        key: Key,
        received: &Received,
        request: &Essentials<'_>,
        tag: Identifier,
        status: u16,
        headers: &Headers,
    ) {
        let Received { head, path, source } = received;
        let (product, extra) = (&self.config.product, Extra::headers(headers));
        let response = head.response(&mut self.scratch, status, tag.as_bytes(), product, &extra);
        if self.transactions.len() >= self.config.transactions_max {
            return self.outbox.send(*path, response);
        }
        let (now, timers) = (self.now, self.timers.clone());
        let machine = if request.is(Method::Invite) {
            let trying = head.response(&mut self.scratch, 100, b"", b"", &Extra::default());
            let mut machine = InviteServer::start(now, *path, timers, trying);
            machine.respond(now, status, response, &mut self.outbox);
            self.counters.answered += 1;
            Machine::InviteServer { machine, tag, port: source.remote.port() }
        } else {
            let mut machine = Server::start(*path, timers);
            machine.respond(now, status, response, &mut self.outbox);
            Machine::Server(machine)
        };
        self.open(machine, SmallVec::from_slice(&[key]), Owner::Nobody);
    }

    /// RFC 3261 §8.2.7: a response that leaves no state behind, unless too many went to its source. Its To tag depends on
    /// the request alone, so copies of the request get the same.
    pub(crate) fn reply_once(
        &mut self,
        path: Path,
        request: &Essentials<'_>,
        status: u16,
        headers: &Headers,
    ) {
        if !self.is_trusted(&path) && !self.buckets.take(&self.keyed, self.now, path.remote.ip()) {
            self.counters.limited += 1;
            return;
        }
        let Ok(Received { head, path, .. }) = Received::new(&mut self.scratch, request, path) else { return };
        let via = request.value(Name::Via).unwrap_or_default();
        let tag = self.keyed.key(&[b"stateless", request.call_id(), via]).to_string();
        let (product, extra) = (&self.config.product, Extra::headers(headers));
        let response = head.response(&mut self.scratch, status, tag.as_bytes(), product, &extra);
        self.outbox.send(path, response);
    }
}

pub(crate) fn rearm(
    wheel: &mut Wheel<Due>,
    timer: &mut Option<(TimerId, Instant)>,
    due: Due,
    deadline: Option<Instant>,
) {
    if timer.map(|(_, at)| at) == deadline {
        return;
    }
    if let Some((timer, _)) = timer.take() {
        wheel.disarm(timer);
    }
    *timer = deadline.map(|at| (wheel.arm(due, at), at));
}
