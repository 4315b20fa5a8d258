//! The endpoint: which machine a message, a command or a moment belongs to. One endpoint is one shard.
//!
//! The rules live in [`transaction`](crate::transaction) and [`usage`](crate::usage); this hub finds them, carries out
//! what they ask for, and keeps the tables.

mod answering;
mod asking;
mod attempt;
mod canonical;
mod census;
mod check;
mod event;
mod face;
mod invited;
mod inviting;
mod leaving;
mod modifying;
mod notifying;
mod referring;
mod refreshing;
mod reliable;
mod request;
mod session;
mod sharing;
mod subscribing;
mod subscription;
mod tables;
mod transaction;
mod updating;
mod way;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use slab::Slab;
use smallvec::SmallVec;

pub use canonical::{Canonical, SESSION_MARK, TIME_MARK};
pub use census::{Census, Counters, LATE, Transactions};
pub use check::Misuse;
pub use event::Event;
pub use face::{
    Command, Config, Contact, Headers, Input, Invite, JOURNAL_VERSION, ReceivedId, Record, Refer,
    Reliability, Request, RequestId, SessionId, Subscribe, SubscriberId, SubscriptionId, SubscriptionState,
};

use self::answering::Requested;
use self::asking::Waiting;
use self::attempt::Cause;
use self::session::{Outgoing, Session, State};
use self::subscription::{Place, Subscribed, Subscription};
use self::tables::session_of;
use self::transaction::{Machine, Owner, Transaction};
use crate::auth::Authentication;
use crate::cancels::Cancels;
use crate::connection::Connections;
use crate::dialog::Dialog;
use crate::guard::Guard;
use crate::hash::{Key, Keyed, Table};
use crate::identifier::{Identifier, Identifiers};
use crate::message::{Body, Essentials, Fault, Message, Method, Name};
use crate::reply::Extra;
use crate::time::{Duration, Instant};
use crate::transaction::client::{self, Client};
use crate::transaction::invite_client::InviteClient;
use crate::transaction::invite_server::InviteServer;
use crate::transaction::server::Server;
use crate::transaction::timer::Timers;
use crate::transaction::{Outbox, invite_client, key};
use crate::transport::{Frame, Path, Target, Transmit, Transport};
use crate::usage::invite_client::Outcome;
use crate::usage::reliable::ReliableServer;
use crate::usage::{End, Party};
use crate::way::{Spelled, Text, listener_to};
use crate::wheel::{TimerId, Wheel};

/// The value of Allow: the methods that an [`Endpoint`] answers with something else than 405. Those of [`Config::methods`]
/// stand behind them.
pub const ALLOWED: &[u8] = b"INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO";

/// A SIP user agent without sockets and without a clock.
///
/// After anything that took `&mut self`: drain [`poll_transmit`](Self::poll_transmit), drain
/// [`poll_event`](Self::poll_event), then ask [`poll_timeout`](Self::poll_timeout). Time never runs back.
#[derive(Clone, Debug)]
pub struct Endpoint {
    config: Config,
    /// Those of `config`, shared with every machine.
    timers: Arc<Timers>,
    /// The value of Allow.
    allowed: Bytes,
    /// One for each listener of `config`.
    spelled: Vec<Spelled>,
    identifiers: Identifiers,
    /// The user of our Contact outside of sessions, once one was needed.
    contact_user: Option<Identifier>,
    keyed: Keyed,
    now: Instant,
    outbox: Outbox,
    events: VecDeque<Event>,
    wheel: Wheel<Due>,
    transactions: Slab<Transaction>,
    by_key: Table<usize>,
    sessions: Slab<Session>,
    dialogs: Table<Place>,
    connections: Connections,
    requests: BTreeMap<RequestId, Waiting>,
    received: Slab<Requested>,
    subscriptions: BTreeMap<SubscriptionId, Subscription>,
    subscribers: Slab<Subscribed>,
    serial: u32,
    counters: Counters,
    /// A buffer in which messages are put together.
    scratch: Vec<u8>,
}

/// Whose deadline has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Due {
    Transaction(usize),
    Session(usize),
    Received(usize),
    Subscription(SubscriptionId),
    Subscriber(usize),
}

impl Endpoint {
    /// An endpoint that knows nobody yet.
    pub fn new(config: Config) -> Self {
        let mut identifiers = Identifiers::new(config.owner, config.seed);
        let keyed = Keyed::new(identifiers.key());
        Self {
            timers: Arc::new(config.timers),
            allowed: answering::allowed(&config),
            spelled: Spelled::of(&config.listeners, &config.contact_parameters),
            connections: Connections::of(config.owner.shard),
            config,
            identifiers,
            contact_user: None,
            keyed,
            now: Instant::START,
            outbox: Outbox::default(),
            events: VecDeque::new(),
            wheel: Wheel::new(),
            transactions: Slab::new(),
            by_key: Table::default(),
            sessions: Slab::new(),
            dialogs: Table::default(),
            requests: BTreeMap::new(),
            received: Slab::new(),
            subscriptions: BTreeMap::new(),
            subscribers: Slab::new(),
            serial: 0,
            counters: Counters::default(),
            scratch: Vec::new(),
        }
    }

    /// The one way in: every datagram, stream, loss, moment and command. A journal is a list of these.
    ///
    /// # Errors
    /// [`Misuse`] for a command that the state does not allow; nothing has changed then. What peers and networks do
    /// is never an error here.
    pub fn handle_input(&mut self, now: Instant, input: Input) -> Result<Option<SessionId>, Misuse> {
        debug_assert!(now >= self.now, "time never runs back");
        self.now = now;
        match input {
            Input::Datagram { path, bytes } => self.handle_octets(path, bytes),
            Input::Message { path, message } => self.handle_message(path, &message),
            Input::Stream { path, bytes } => self.handle_stream(path, &bytes),
            Input::ConnectionLost { connection } => {
                for transaction in self.connections.lose(connection) {
                    self.handle_transport_failure(transaction);
                }
            }
            Input::ConnectionRefused { connection } => {
                for transaction in self.connections.lose(connection) {
                    self.handle_refusal(transaction);
                }
            }
            Input::Timeout => self.handle_due(),
            Input::Command(command) => return self.handle_command(command),
        }
        Ok(None)
    }

    /// Does what is due. An extra call does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.handle_input(now, Input::Timeout).expect("only commands are refused");
    }

    /// What is to be sent next; drain until `None`.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.take()
    }

    /// What the user must know next; drain until `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether there is anything to poll.
    pub fn has_output(&self) -> bool {
        !self.outbox.is_empty() || !self.events.is_empty()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout): always later than the last call of it. Now and then
    /// nothing is due yet at that moment.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.wheel.next()
    }

    /// Whether every transaction, dialog and session is gone.
    pub fn is_empty(&self) -> bool {
        self.transactions.is_empty()
            && self.by_key.is_empty()
            && self.sessions.is_empty()
            && self.dialogs.is_empty()
            && self.requests.is_empty()
            && self.received.is_empty()
            && self.subscriptions.is_empty()
            && self.subscribers.is_empty()
            && self.wheel.is_empty()
    }

    /// Whether nothing is waited for any more: what is left of transactions meets copies of what was settled. Until then
    /// somebody may ring, or hold a session that nobody else has.
    pub fn is_settled(&self) -> bool {
        let is_over = self.sessions.iter().all(|(_, session)| session.state == State::Over);
        is_over
            && self.received.is_empty()
            && self.subscriptions.is_empty()
            && self.subscribers.is_empty()
            && self.transactions.iter().all(|(_, transaction)| transaction.is_settled())
    }

    fn handle_command(&mut self, command: Command) -> Result<Option<SessionId>, Misuse> {
        match command {
            Command::Invite(invite) => return self.invite(*invite).map(Some),
            Command::Cancel { session, headers } => self.cancel(session, headers)?,
            Command::Progress { session, status, headers, body } => {
                self.progress(session, status, &headers, body.as_ref())?;
            }
            Command::Accept { session, headers, body } => self.accept(session, &headers, body.as_ref())?,
            Command::Refuse { session, status, headers, body } => {
                self.refuse(session, status, &headers, body.as_ref())?;
            }
            Command::Leave { session, headers } => self.leave(session, &headers)?,
            Command::Modify { session, headers, body } => self.modify(session, &headers, body.as_ref())?,
            Command::Located { session, targets } => self.located(session, &targets)?,
            Command::Request(request) => self.request(*request)?,
            Command::Respond { request, status, headers, body } => {
                self.respond_to(request, status, &headers, body.as_ref())?;
            }
            Command::Subscribe(subscribe) => self.subscribe(*subscribe)?,
            Command::Refer(refer) => self.refer(*refer)?,
            Command::Unsubscribe { subscription } => self.unsubscribe(subscription)?,
            Command::Admit { subscriber, expires, headers, contact } => {
                self.admit(subscriber, expires, &headers, contact)?;
            }
            Command::Reject { subscriber, status, headers } => self.reject(subscriber, status, &headers)?,
            Command::Notify { subscriber, state, headers, body } => {
                self.notify(subscriber, state, &headers, body)?;
            }
            Command::Identify { session, contact } => self.identify(session, contact)?,
        }
        Ok(None)
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
                    if let Some(connection) = path.connection {
                        self.events.push_back(Event::Disconnect { connection });
                    }
                }
            }
        }
    }

    fn handle_octets(&mut self, path: Path, bytes: Bytes) {
        match Message::parse(bytes) {
            Ok(message) => self.handle_message(path, &message),
            Err(error) => {
                self.counters.malformed += u64::from(error != crate::message::ParseError::Empty);
                tracing::trace!(%error, "dropped");
            }
        }
    }

    fn handle_message(&mut self, path: Path, message: &Message) {
        match message.method() {
            Some(method) => {
                let request = Essentials::of(message);
                if let Err(fault) = self.handle_request(path, method, &request) {
                    tracing::debug!(%fault, "request refused");
                    self.counters.faulty += 1;
                    self.refuse_malformed(path, method, &request, fault);
                }
            }
            None => self.handle_response(&Essentials::of(message)),
        }
    }

    fn handle_response(&mut self, response: &Essentials<'_>) {
        // §8.1.3.3: more than one Via: it was meant for somebody else.
        let is_ours = response.validate_essentials().is_ok() && response.items(Name::Via).nth(1).is_none();
        let key = is_ours.then(|| key::client_of(&self.keyed, response)).flatten();
        let Some(&transaction) = key.and_then(|key| self.by_key.get(&key)) else {
            self.counters.stray += 1;
            return tracing::trace!("response to nothing");
        };
        let now = self.now;
        match &mut self.transactions[transaction].machine {
            Machine::InviteClient { machine, .. } => {
                let output = machine.handle_response(now, response, &mut self.outbox);
                self.handle_invite_output(transaction, output, Some(response));
            }
            Machine::Client(machine) => {
                let output = machine.handle_response(now, response);
                self.handle_client_output(transaction, output, Some(response));
            }
            Machine::InviteServer { .. } | Machine::Server { .. } => {}
        }
        self.reschedule(transaction);
    }

    /// The connection for a request could not be opened.
    fn handle_refusal(&mut self, transaction: usize) {
        match self.transactions.get(transaction).map(|entry| &entry.machine) {
            Some(Machine::InviteClient { fallback: Some(_), .. }) => {
                self.fall_back(transaction);
                self.reschedule(transaction);
            }
            Some(Machine::Client(_)) => {
                self.fall_back_request(transaction);
                self.reschedule(transaction);
            }
            Some(_) | None => self.handle_transport_failure(transaction),
        }
    }

    fn handle_transport_failure(&mut self, transaction: usize) {
        let now = self.now;
        let Some(entry) = self.transactions.get_mut(transaction) else { return };
        match &mut entry.machine {
            Machine::InviteClient { machine, .. } => {
                let output = machine.handle_transport_failure(now);
                self.handle_invite_output(transaction, output, None);
            }
            Machine::Client(machine) => {
                let output = machine.handle_transport_failure();
                self.handle_client_output(transaction, output, None);
            }
            Machine::InviteServer { .. } | Machine::Server { .. } => {}
        }
        self.reschedule(transaction);
    }

    fn handle_client_output(
        &mut self,
        transaction: usize,
        output: Option<client::Output>,
        response: Option<&Message>,
    ) {
        let owner = self.transactions[transaction].owner;
        let (cause, end) = match (output, response) {
            (Some(client::Output::Final), Some(response)) => (Cause::Answered(response), None),
            (Some(client::Output::TimedOut), _) => (Cause::Silence, Some(End::TimedOut)),
            (Some(client::Output::TransportFailed), _) => (Cause::Silence, Some(End::TransportFailed)),
            (
                None | Some(client::Output::Provisional | client::Output::Terminated | client::Output::Final),
                _,
            ) => return,
        };
        if self.request_again(transaction, cause) {
            return;
        }
        let status = response.and_then(Message::status);
        if owner == Owner::Nobody {
            self.counters.cancels.note_answer(status);
        }
        self.prove(owner, status);
        match owner {
            Owner::Leaving(id) | Owner::Declining(id) => self.bye_is_over(id, owner),
            Owner::Request(id) => self.tell_answer(id, response, end),
            Owner::Refreshing(id) => {
                // A transport failure counts as 503 (RFC 3261 §8.1.3.1).
                let failed = (end == Some(End::TransportFailed)).then_some(503);
                self.refresh_is_over(id, status.or(failed), response);
            }
            Owner::Subscribing(id) => self.subscription_answered(id, transaction, response, end),
            Owner::Notifying(id) => self.notification_answered(id, status, end),
            Owner::Invite(_) | Owner::Acknowledging(_) | Owner::Nobody => {}
        }
    }

    // Time.

    fn handle_due(&mut self) {
        while let Some(due) = self.wheel.take(self.now) {
            match due {
                Due::Transaction(transaction) => {
                    self.transactions[transaction].timer = None;
                    self.handle_transaction_timeout(transaction);
                    self.reschedule(transaction);
                }
                Due::Session(index) => {
                    let session = &mut self.sessions[index];
                    session.timer = None;
                    let id = session.id;
                    self.handle_session_timeout(id);
                    self.reschedule_session(id);
                }
                Due::Received(index) => self.handle_received_timeout(index),
                Due::Subscription(id) => self.handle_subscription_timeout(id),
                Due::Subscriber(index) => self.handle_subscriber_timeout(index),
            }
        }
    }

    fn handle_transaction_timeout(&mut self, transaction: usize) {
        let now = self.now;
        let entry = &self.transactions[transaction];
        if let (Machine::InviteServer { .. }, Owner::Invite(id)) = (&entry.machine, entry.owner) {
            // §13.3.1.4: the wait for the ACK ends with timer L, after which nobody remembers it: so it goes first.
            self.handle_session_timeout(id);
            self.reschedule_session(id);
        }
        match &mut self.transactions[transaction].machine {
            Machine::InviteClient { machine, .. } => {
                let output = machine.handle_timeout(now, &mut self.outbox);
                self.handle_invite_output(transaction, output, None);
            }
            Machine::InviteServer { machine, .. } => machine.handle_timeout(now, &mut self.outbox),
            Machine::Client(machine) => {
                let output = machine.handle_timeout(now, &mut self.outbox);
                self.handle_client_output(transaction, output, None);
            }
            Machine::Server { machine, .. } => machine.handle_timeout(now),
        }
    }

    /// Tells the user the end of a session: once.
    fn end(&mut self, id: SessionId, end: End, by: Party, status: Option<u16>, reason: Option<Bytes>) {
        self.end_with(id, Outcome { end, by, status }, reason, None);
    }

    /// The same with the final response that ended it.
    fn end_with(
        &mut self,
        id: SessionId,
        Outcome { end, by, status }: Outcome,
        reason: Option<Bytes>,
        response: Option<Message>,
    ) {
        let Some(session) = self.session(id) else { return };
        if session.state == State::Over {
            return;
        }
        self.end_referrals(id, end, by);
        let Some(session) = self.session(id) else { return };
        session.state = State::Over;
        session.session_timer = None;
        session.described = None;
        // §12.3: a final response of ours other than 2xx ends the early dialog; but RFC 3262 §3: a PRACK may still come
        // for what was sent reliably in it.
        let mut reliable = session.incoming.iter().filter_map(|incoming| incoming.reliable.as_deref());
        let is_early = !session.is_inviter
            && session.dialog.is_none()
            && !reliable.any(ReliableServer::is_unacknowledged);
        let keys = if is_early { std::mem::take(&mut session.keys) } else { SmallVec::new() };
        for key in keys {
            self.dialogs.remove(&key);
        }
        tracing::debug!(session = id.serial, ?end, ?by, ?status, "session over");
        self.events.push_back(Event::Ended { session: id, end, by, status, reason, response });
        self.abandon_modification(id);
        self.drop_asked(id);
    }
}

/// The type of a body, without parameters.
fn body_type(message: &Message) -> Option<&[u8]> {
    message
        .value(Name::ContentType)
        .map(|value| crate::message::scan::trim(value.split(|b| *b == b';').next().unwrap_or(value)))
}

/// Whether there is a body that whoever takes `message` must understand (RFC 3261 §20.11: one whose handling is
/// optional may be ignored).
fn needs_reading(message: &Message) -> bool {
    let mut dispositions = message.valued(Name::ContentDisposition).filter_map(Result::ok);
    let is_optional = dispositions.any(|each| {
        each.parameters.value(b"handling").is_some_and(|handling| handling.eq_ignore_ascii_case(b"optional"))
    });
    !message.body().is_empty() && !is_optional
}
