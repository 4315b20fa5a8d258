//! The `reg` event package (RFC 3680): who may know it is told where a user is registered.
//!
//! The notifier is a [`sip::Endpoint`] inside the core. A SUBSCRIBE for a user of ours is passed on to it as a request is to
//! the PoC Server, and what it sends is taken in as something from inside: subscription, dialog and transaction have no
//! second home here. The messages between the two are handed over when the core's are polled.
//!
//! Each NOTIFY has the full state (§5.1). A subscriber is told of changes at most every 5 seconds (§4.10), so what happens
//! meanwhile makes one NOTIFY; what its SUBSCRIBE asks for is told at once.

mod document;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sip::hash::{Key, Keyed};
use sip::message::{Body, Essentials, Message, Method, Name, NameAddr, Uri, Valued};
use sip::transaction::key;
use sip::transport::{Listener, Path, Transmit, Transport};
use sip::wheel::TimerId;
use sip::{Command, Duration, Endpoint, Event, Identifier, Instant, Owner, SubscriberId, SubscriptionState};

use self::document::Registration;
use crate::binding::{Binding, Bindings};
use crate::face::Config;
use crate::hub::{Core, Due, rearm};
use crate::identity::{Asserted, Origin};
use crate::proxy::route::Standing;
use crate::releasing;
use crate::uri::user_of;

/// The first shard of the agents of a process: behind those of the cores, before those of the PoC Servers. An in-dialog SUBSCRIBE
/// names nothing but the Contact of the agent, so this leads it to the shard on which its subscription is.
pub const AGENT_SHARDS: u8 = 0x40;

const PACKAGE: &[u8] = b"reg";

const TYPE: &[u8] = b"application/reginfo+xml";

/// §4.10: how long a change waits behind the last NOTIFY.
const INTERVAL: Duration = Duration::from_secs(5);

/// Contacts that have ended, of which a subscriber has not been told.
const ENDED_MAX: usize = 16;

/// How a binding ended (§4.7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Departure {
    /// Nobody refreshed it.
    Expired,
    /// A REGISTER removed it.
    Unregistered,
    /// What it was reached by is gone: to register again helps.
    Deactivated,
    /// Its user is gone.
    Rejected,
}

/// A contact that is not bound any more.
#[derive(Clone, Debug)]
struct Ended {
    binding: Binding,
    departure: Departure,
}

/// Somebody who is told of the registration of a user.
#[derive(Clone, Debug)]
struct Watcher {
    user: Bytes,
    /// What copies of its SUBSCRIBE have in common.
    merged: Option<Key>,
    /// The version of its next document (§5.1).
    version: u32,
    told_at: Instant,
    ended: Vec<Ended>,
    /// When it is told of what has changed since.
    timer: Option<(TimerId, Instant)>,
}

/// The notifier.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    endpoint: Box<Endpoint>,
    owner: Owner,
    /// The way from the core to it.
    path: Path,
    keyed: Keyed,
    watchers: BTreeMap<SubscriberId, Watcher>,
    by_user: BTreeMap<Bytes, BTreeSet<SubscriberId>>,
}

impl Agent {
    pub(crate) fn new(config: &Config, keyed: Keyed) -> Self {
        let unspecified = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
        let core = config.listeners.first().map_or(unspecified, |listener| listener.advertised);
        // Nobody outside has port 0. Peers are told the address of the core.
        let bind = std::net::SocketAddr::new(core.ip(), 0);
        let listener = Listener { transport: Transport::Inside, bind, advertised: core };
        let seed = config.seed.map(|octet| !octet);
        let owner = Owner { shard: config.owner.shard.wrapping_add(AGENT_SHARDS), ..config.owner };
        let endpoint = Endpoint::new(sip::Config {
            owner,
            timers: config.timers,
            product: config.product.clone(),
            events: vec![Bytes::from_static(PACKAGE)],
            subscribers_max: config.subscribers_max,
            transactions_max: config.transactions_max,
            ..sip::Config::new(vec![listener], seed)
        });
        let path = Path { transport: Transport::Inside, local: core, remote: bind, connection: None };
        let (watchers, by_user) = (BTreeMap::new(), BTreeMap::new());
        Self { endpoint: Box::new(endpoint), owner, path, keyed, watchers, by_user }
    }

    /// What its endpoint has.
    pub(crate) fn census(&self, now: Instant) -> sip::Census {
        self.endpoint.census(now)
    }

    /// See [`Core::view`].
    pub(crate) fn view(&self, beside: &dyn std::fmt::Debug) -> String {
        let watchers: Vec<_> = self.watchers.iter().collect();
        self.endpoint.view(&(watchers, beside))
    }

    /// The way to it.
    pub(crate) fn path(&self) -> Path {
        self.path
    }

    pub(crate) fn is_at(&self, path: &Path) -> bool {
        path.transport == Transport::Inside && path.remote == self.path.remote
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|due| due <= now) {
            self.endpoint.handle_timeout(now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.endpoint.poll_timeout()
    }

    /// Whether nobody is owed an answer and every subscriber has heard the last.
    pub(crate) fn is_settled(&self) -> bool {
        self.endpoint.is_settled()
    }

    /// What it sends, and the way on which that arrives at the core.
    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.endpoint.poll_transmit().map(|transmit| Transmit { path: self.path, ..transmit })
    }

    /// What the core sends it.
    pub(crate) fn handle_message(&mut self, now: Instant, bytes: Bytes) {
        let path = Path { local: self.path.remote, remote: self.path.local, ..self.path };
        let input = sip::Input::Datagram { path, bytes };
        self.endpoint.handle_input(now, input).expect("only commands are refused");
    }

    /// Whether the command was carried out: it is not if the subscription has ended meanwhile.
    fn command(&mut self, now: Instant, command: Command) -> bool {
        let outcome = self.endpoint.handle_input(now, sip::Input::Command(command));
        outcome.map_err(|misuse| tracing::debug!(%misuse, "not said to a subscriber")).is_ok()
    }

    /// A NOTIFY with all that is known.
    fn tell(
        &mut self,
        now: Instant,
        subscriber: SubscriberId,
        state: SubscriptionState,
        address: &[u8],
        bindings: &Bindings,
    ) {
        let replaces = self.endpoint.has_unsent(subscriber);
        let Some(watcher) = self.watchers.get_mut(&subscriber) else { return };
        let ended = std::mem::take(&mut watcher.ended);
        // §5.1: one more for each document that is sent; one that waits still and is replaced is not.
        let version = watcher.version.saturating_sub(replaces.into());
        watcher.version = version.saturating_add(1);
        watcher.told_at = now;
        let registration =
            Registration { now, keyed: &self.keyed, address, user: &watcher.user, bindings, ended: &ended };
        let bytes = Bytes::from(registration.written(version));
        let body = Some(Body { content_type: Bytes::from_static(TYPE), bytes });
        let headers = Vec::new();
        if !self.command(now, Command::Notify { subscriber, state, headers: headers.clone(), body }) {
            // The document is too long for a message, and part of it would not be the full state.
            let state =
                SubscriptionState::Terminated { reason: Bytes::from_static(b"rejected"), retry_after: None };
            self.command(now, Command::Notify { subscriber, state, headers, body: None });
        }
    }
}

impl Core {
    // Which requests it sees.

    /// The user whose registration `request` asks for, if it is for the agent.
    pub(crate) fn watched(&self, request: &Essentials<'_>, standing: &Standing) -> Option<usize> {
        let is_free = standing.dialog.is_none() && standing.routes.is_empty();
        if !is_free || !request.is(Method::Subscribe) {
            return None;
        }
        Valued::parse(request.value(Name::Event)?).filter(|event| event.value == PACKAGE)?;
        let uri = Uri::parse(&standing.uri).ok()?;
        let is_ours = self.is_home(uri.host) || self.is_own(&uri);
        is_ours.then(|| self.directory.find(&user_of(&uri))).flatten()
    }

    /// §4.6: users may know of themselves, and those who serve the network of everybody. What comes from another domain is
    /// trusted to say who sends it, not to know of our users.
    pub(crate) fn may_watch(&self, path: &Path, origin: Origin, asserted: &Asserted, place: usize) -> bool {
        let name = &self.directory.account(place).name;
        match (origin, asserted) {
            (Origin::Trusted, _) => !self.is_peer(path),
            (Origin::Client, Asserted::User(value)) => {
                NameAddr::parse(value).is_ok_and(|address| self.is_address_of(address.uri, name))
            }
            (Origin::Client, Asserted::AsWritten | Asserted::Nobody) => false,
        }
    }

    /// Whether there is room for another subscription to the registration of this user.
    pub(crate) fn has_room_for_watcher(&self, place: usize) -> bool {
        let of_user = self.agent.by_user.get(&self.directory.account(place).name);
        self.agent.watchers.len() < self.config.subscribers_max
            && of_user.map_or(0, BTreeSet::len) < self.config.subscribers_of_user_max
    }

    /// Whether `uri` is a Contact of the agent.
    pub(crate) fn leads_to_agent(&self, uri: &Uri<'_>) -> bool {
        let owner = uri.user.and_then(|user| Identifier::parse(user)?.owner());
        owner == Some(self.agent.owner) && self.is_own(uri)
    }

    // What it says and hears.

    /// Hands over what lies between the core and its agent; what is for somebody else is returned.
    pub(crate) fn exchange(&mut self) -> Option<Transmit> {
        loop {
            self.handle_agent_events();
            match self.outbox.take() {
                Some(transmit) if self.agent.is_at(&transmit.path) => {
                    self.agent.handle_message(self.now, transmit.bytes);
                }
                Some(transmit) => return Some(transmit),
                None => {
                    let Transmit { path, bytes } = self.agent.poll_transmit()?;
                    self.handle_octets(path, bytes);
                }
            }
        }
    }

    fn handle_agent_events(&mut self) {
        while let Some(event) = self.agent.endpoint.poll_event() {
            match event {
                Event::Subscribed { subscriber, request } => self.admit_watcher(subscriber, &request),
                // RFC 6665 §4.2.1.2.
                Event::Resubscribed { subscriber, .. } => self.tell_watcher(subscriber),
                Event::SubscriberEnded { subscriber, .. } => self.forget_watcher(subscriber),
                Event::Invited { session, .. } => {
                    let headers = Vec::new();
                    self.agent
                        .command(self.now, Command::Refuse { session, status: 405, headers, body: None });
                }
                Event::Progress { .. }
                | Event::Established { .. }
                | Event::Acknowledged { .. }
                | Event::ProgressAcknowledged { .. }
                | Event::ModificationOffered { .. }
                | Event::Modified { .. }
                | Event::ModificationEnded { .. }
                | Event::Locate { .. }
                | Event::Answered { .. }
                | Event::Requested { .. }
                | Event::Referred { .. }
                | Event::Notified { .. }
                | Event::SubscriptionEnded { .. }
                | Event::Disconnect { .. }
                | Event::Ended { .. } => {}
            }
        }
    }

    fn admit_watcher(&mut self, subscriber: SubscriberId, request: &Message) {
        let now = self.now;
        let user = request.uri().map(|uri| user_of(&uri)).unwrap_or_default();
        let merged = key::merged(&self.keyed, &Essentials::of(request)).ok();
        let of_user = self.agent.by_user.get(&user).into_iter().flatten();
        let mut others = of_user.filter_map(|other| self.agent.watchers.get(other));
        let status = match self.directory.find(&user) {
            None => Some(404),
            Some(_) if !accepts(request) => Some(406),
            // §4.9: one SUBSCRIBE makes one subscription, on how many ways it may come.
            Some(_) if others.any(|other| merged.is_some() && other.merged == merged) => Some(482),
            Some(_) => None,
        };
        if let Some(status) = status {
            self.agent.command(now, Command::Reject { subscriber, status, headers: Vec::new() });
            return;
        }
        let expires = self.config.expires.most;
        let admit = Command::Admit { subscriber, expires, headers: Vec::new(), contact: None };
        if self.agent.command(now, admit) {
            self.agent.by_user.entry(user.clone()).or_default().insert(subscriber);
            let watcher = Watcher { user, merged, version: 0, told_at: now, ended: Vec::new(), timer: None };
            self.agent.watchers.insert(subscriber, watcher);
            self.tell_watcher(subscriber);
        }
    }

    /// The bindings of a user were `before` what they are now: its subscribers, and nobody else, are told.
    pub(crate) fn tell_change(&mut self, place: usize, before: &Bindings, departure: Departure) {
        let account = self.directory.account(place);
        let Some(subscribers) = self.agent.by_user.get(&account.name) else { return };
        let ended = ended(self.now, before, &account.bindings, departure);
        let mut due = Vec::new();
        for &subscriber in subscribers {
            let Some(watcher) = self.agent.watchers.get_mut(&subscriber) else { continue };
            watcher.ended.retain(|each| !account.bindings.has(&each.binding));
            watcher.ended.extend_from_slice(&ended);
            let surplus = watcher.ended.len().saturating_sub(ENDED_MAX);
            watcher.ended.drain(..surplus);
            let at = watcher.told_at + INTERVAL;
            if at <= self.now {
                due.push(subscriber);
            } else {
                rearm(&mut self.wheel, &mut watcher.timer, Due::Watcher(subscriber), Some(at));
            }
        }
        for subscriber in due {
            self.tell_watcher(subscriber);
        }
    }

    pub(crate) fn handle_watcher_timeout(&mut self, subscriber: SubscriberId) {
        if let Some(watcher) = self.agent.watchers.get_mut(&subscriber) {
            watcher.timer = None;
            self.tell_watcher(subscriber);
        }
    }

    fn tell_watcher(&mut self, subscriber: SubscriberId) {
        let Some(watcher) = self.agent.watchers.get_mut(&subscriber) else { return };
        rearm(&mut self.wheel, &mut watcher.timer, Due::Watcher(subscriber), None);
        let Some(place) = self.directory.find(&watcher.user) else { return };
        let address = self.address_of(place);
        let bindings = &self.directory.account(place).bindings;
        self.agent.tell(self.now, subscriber, SubscriptionState::Active, &address, bindings);
    }

    /// A user goes, and with it the subscriptions to its registration (RFC 6665 §4.1.3).
    pub(crate) fn dismiss_watchers(&mut self, place: usize) {
        let (name, address) = (self.directory.account(place).name.clone(), self.address_of(place));
        let before = self.directory.account(place).bindings.clone();
        let ended = ended(self.now, &before, &Bindings::default(), Departure::Rejected);
        for subscriber in self.agent.by_user.get(&name).cloned().unwrap_or_default() {
            if let Some(watcher) = self.agent.watchers.get_mut(&subscriber) {
                watcher.ended.extend_from_slice(&ended);
            }
            let reason = Bytes::from_static(b"noresource");
            let state = SubscriptionState::Terminated { reason, retry_after: None };
            self.agent.tell(self.now, subscriber, state, &address, &Bindings::default());
            self.forget_watcher(subscriber);
        }
    }

    /// The core is to end: who wants to know may ask again later (RFC 6665 §4.1.3).
    pub(crate) fn release_watchers(&mut self) {
        let retry_after = Some(Duration::from_secs(releasing::RETRY_AFTER.into()));
        let all: Vec<_> = self
            .agent
            .watchers
            .iter()
            .map(|(subscriber, watcher)| (*subscriber, watcher.user.clone()))
            .collect();
        for (subscriber, user) in all {
            if let Some(place) = self.directory.find(&user) {
                let reason = Bytes::from_static(b"probation");
                let state = SubscriptionState::Terminated { reason, retry_after };
                let address = self.address_of(place);
                let bindings = &self.directory.account(place).bindings;
                self.agent.tell(self.now, subscriber, state, &address, bindings);
            }
            self.forget_watcher(subscriber);
        }
    }

    fn forget_watcher(&mut self, subscriber: SubscriberId) {
        let Some(mut watcher) = self.agent.watchers.remove(&subscriber) else { return };
        rearm(&mut self.wheel, &mut watcher.timer, Due::Watcher(subscriber), None);
        if let Some(subscribers) = self.agent.by_user.get_mut(&watcher.user) {
            subscribers.remove(&subscriber);
            if subscribers.is_empty() {
                self.agent.by_user.remove(&watcher.user);
            }
        }
    }
}

/// What was bound `before` and is not bound `now`.
fn ended(now: Instant, before: &Bindings, after: &Bindings, departure: Departure) -> Vec<Ended> {
    let gone = before.iter().filter(|each| !after.has(each));
    let ended = |binding: &Binding| {
        let departure = if binding.is_over(now) { Departure::Expired } else { departure };
        Ended { binding: binding.clone(), departure }
    };
    gone.map(ended).collect()
}

/// §4.5: whether the sender of a SUBSCRIBE reads our documents; one that does not say does.
fn accepts(request: &Message) -> bool {
    let mut accepted = request.valued(Name::Accept).filter_map(Result::ok);
    let is_it = |each: Valued<'_>| {
        [TYPE, b"application/*", b"*/*"].iter().any(|kind| each.value.eq_ignore_ascii_case(kind))
    };
    request.value(Name::Accept).is_none() || accepted.any(is_it)
}
