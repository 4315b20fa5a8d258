//! One shard: a core, a PoC Server, and the hops between them and to the other shards. No sockets, no clock.
//!
//! ```text
//! network ── core k ── Inside ── PoC Server k
//!              │                     │
//!            core j ─── Inside ── PoC Server j      another thread
//! ```
//!
//! Shard k owns core k (identifiers of owner k) and PoC Server k (owner 0x80 + k). A message is handed to the element
//! whose it is, here or there, as it is: octets are shared and not copied.
//!
//! Behind a core that is elsewhere there is no core in a shard, and PoC Server k (owner k then, for connections are numbered by
//! owner) faces the network itself.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;
use poc::server::{MediaPort, MediaTransmit, Recording, Standing};
use serde::{Deserialize, Serialize};
use sip::hash::Keyed;
use sip::message::{Message, Name, Uri};
use sip::transport::{ConnectionId, Path, Transmit, Transport};
use sip::{Duration, Identifier, Instant};

use crate::watch::ShardCensus;

/// Hops inside that wait for whoever looks at them; further ones are not seen.
const WATCHED_MAX: usize = 4096;

/// Shards that there can be: half of the numbers are for cores and their notifiers, half for PoC Servers.
pub(crate) const SHARDS_MAX: u8 = sipcore::AGENT_SHARDS;

/// What the number of a PoC Server has more than that of its core.
pub(crate) const SERVER: u8 = 0x80;

/// Where the PoC Server is, for the core: a port of the advertised address at which nobody listens.
pub(crate) const SERVER_PORT: u16 = 1;

/// How often it is looked whether anything is waited for: each look is at all that there is.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A core, unless it is elsewhere, and a PoC Server.
#[derive(Clone, Debug)]
pub(crate) struct Shard {
    number: u8,
    settings: sipcore::Config,
    keyed: Keyed,
    front: Front,
    server: poc::Server,
    /// When it is looked whether anything is waited for, in a shard that is to end.
    look_at: Option<Instant>,
    outgoing: VecDeque<Outgoing>,
    events: VecDeque<Event>,
    /// The hops inside that nobody has looked at yet, while somebody wants to.
    watched: Option<Vec<Hop>>,
}

/// What a shard is told once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Config {
    pub(crate) core: sipcore::Config,
    pub(crate) server: poc::server::Config,
    /// The core is elsewhere.
    pub(crate) is_behind: bool,
}

/// What is between the network and the PoC Server.
#[derive(Clone, Debug)]
enum Front {
    /// A core of this process.
    Core(Box<sipcore::Core>),
    /// Nothing: the core is elsewhere, and only what comes from there is looked at.
    Open,
}

/// Everything that can happen to a shard.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Input {
    /// A message arrived from the network: a datagram, or one that was cut from a stream.
    Message { path: Path, bytes: Bytes },
    /// A message was handed over.
    Hop(Hop),
    /// A datagram of speech or talk burst control arrived.
    Media { at: MediaPort, remote: SocketAddr, bytes: Bytes },
    /// A peer has connected: what comes over this may all be for other shards.
    Accepted { path: Path },
    /// A connection could not be opened.
    ConnectionRefused { connection: ConnectionId },
    /// A connection was closed.
    ConnectionLost { connection: ConnectionId },
    /// This much waits to be looked at.
    Load(sipcore::Load),
    /// The time is such that something may be due.
    Timeout,
    /// There is this user, or what is known of one has changed; without a password if it cannot be read.
    Put { core: Option<sipcore::User>, server: Box<poc::server::User> },
    /// There is no such user any more.
    Remove { name: Bytes, address: Bytes },
    /// There is this group, or what is known of one has changed.
    PutGroup { name: Bytes, group: Box<poc::server::Group> },
    /// There is no such group any more.
    RemoveGroup { name: Bytes, address: Bytes },
    /// Nothing new is to come in any more.
    Refuse,
    /// The sessions that are controlled here are to end; all shards refuse what is new by then, and pass on that this is why.
    ReleaseControlled,
    /// Everything that there is is to end; all shards have ended what they control by then.
    Release,
    /// Nothing is waited for any more.
    Abandon,
}

/// A message on its way between two elements of this process.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Hop {
    pub(crate) to: Element,
    pub(crate) path: Path,
    pub(crate) bytes: Bytes,
    /// The same, if it has been read. A journal has the octets alone.
    #[serde(skip)]
    pub(crate) message: Option<Box<Message>>,
}

/// A part of a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Element {
    Core,
    Server,
}

/// What leaves a shard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outgoing {
    /// By the network.
    Network(Transmit),
    /// To another shard.
    Shard { to: u8, hop: Hop },
}

/// What the operator must know.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The bindings of a user came, went or changed.
    BindingsChanged { address: Bytes },
    /// An INVITE is over.
    Closed(Box<poc::server::Record>),
    /// Whether nothing is waited for any more; told again and again by a shard that is to end.
    Settled(bool),
}

impl Shard {
    /// The shard that is told this.
    pub(crate) fn of_config(Config { core, server, is_behind }: Config) -> Self {
        if is_behind { Self::behind(core, server) } else { Self::new(core, server) }
    }

    /// A shard of as many as `core` says, the number of which `core` has. Nobody is known to it.
    pub(crate) fn new(core: sipcore::Config, server: poc::server::Config) -> Self {
        let front = Front::Core(Box::new(sipcore::Core::new(core.clone())));
        Self::of(front, core, server)
    }

    /// The same without a core, which is elsewhere: `core` says how the shards are told apart.
    pub(crate) fn behind(core: sipcore::Config, server: poc::server::Config) -> Self {
        Self::of(Front::Open, core, server)
    }

    fn of(front: Front, core: sipcore::Config, server: poc::server::Config) -> Self {
        Self {
            number: core.owner.shard,
            keyed: Keyed::new(core.secret),
            front,
            settings: core,
            server: poc::Server::new(server),
            look_at: None,
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
            watched: None,
        }
    }

    /// Hands in what a journal has.
    pub(crate) fn replay(&mut self, now: Instant, mut input: Input) {
        if let Input::Hop(hop) = &mut input {
            hop.message = self.read(&hop.bytes);
        }
        self.handle_input(now, input);
    }

    /// The one way in.
    pub(crate) fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Message { path, bytes } => {
                let message = self.read(&bytes);
                let (to, shard) = match self.front {
                    Front::Core(_) => (Element::Core, self.core_of(message.as_deref())),
                    Front::Open => (Element::Server, self.server_of(message.as_deref())),
                };
                self.hand(now, shard, Hop { to, path, bytes, message });
            }
            Input::Hop(hop) => self.take(now, hop),
            Input::Media { at, remote, bytes } => {
                self.server.handle_input(now, poc::server::Input::Media { at, remote, bytes });
                // Most of it is speech, about which the elements have nothing to say to each other.
                if !self.server.has_output() {
                    return;
                }
            }
            // Nothing yet, and whoever faces the network knows that the connection stands.
            Input::Accepted { path } => {
                let bytes = Bytes::new();
                match &mut self.front {
                    Front::Core(core) => core.handle_input(now, sipcore::Input::Stream { path, bytes }),
                    Front::Open => self.server.handle_input(now, poc::server::Input::Stream { path, bytes }),
                }
            }
            Input::ConnectionRefused { connection } => match &mut self.front {
                // What leaves the PoC Server goes by way of the core.
                Front::Core(core) => {
                    core.handle_input(now, sipcore::Input::ConnectionRefused { connection });
                }
                Front::Open => {
                    self.server.handle_input(now, poc::server::Input::ConnectionRefused { connection });
                }
            },
            Input::ConnectionLost { connection } => match &mut self.front {
                Front::Core(core) => core.handle_input(now, sipcore::Input::ConnectionLost { connection }),
                Front::Open => {
                    self.server.handle_input(now, poc::server::Input::ConnectionLost { connection });
                }
            },
            Input::Load(load) => self.tell_core(now, sipcore::Command::SetLoad(load)),
            Input::Timeout => {
                if let Front::Core(core) = &mut self.front {
                    core.handle_timeout(now);
                }
                self.server.handle_timeout(now);
                if self.look_at.is_some_and(|at| at <= now) {
                    self.settle(now);
                    self.look(now);
                }
            }
            Input::Put { core, server } => {
                if let Some(user) = core {
                    self.tell_core(now, sipcore::Command::PutUser(user));
                }
                let command = poc::server::Command::PutUser(server);
                self.server.handle_input(now, poc::server::Input::Command(command));
            }
            Input::Remove { name, address } => {
                // First the sessions: their BYEs and CANCELs still find the way to the user.
                let command = poc::server::Command::RemoveUser { address };
                self.server.handle_input(now, poc::server::Input::Command(command));
                self.settle(now);
                self.tell_core(now, sipcore::Command::RemoveUser(name));
            }
            Input::PutGroup { name, group } => {
                let command = poc::server::Command::PutGroup(group);
                self.server.handle_input(now, poc::server::Input::Command(command));
                self.tell_core(now, sipcore::Command::PutService(name));
            }
            Input::RemoveGroup { name, address } => {
                // What its sessions say still finds the way.
                let command = poc::server::Command::RemoveGroup { address };
                self.server.handle_input(now, poc::server::Input::Command(command));
                self.settle(now);
                self.tell_core(now, sipcore::Command::RemoveService(name));
            }
            Input::Refuse => {
                self.tell_core(now, sipcore::Command::Release);
            }
            Input::ReleaseControlled => {
                let command = poc::server::Command::ReleaseControlled;
                self.server.handle_input(now, poc::server::Input::Command(command));
            }
            Input::Release => {
                let command = poc::server::Command::Release;
                self.server.handle_input(now, poc::server::Input::Command(command));
                self.settle(now);
                self.look(now);
            }
            Input::Abandon => {
                let command = poc::server::Command::Abandon;
                self.server.handle_input(now, poc::server::Input::Command(command));
            }
        }
        self.settle(now);
    }

    /// Tells whether anything is waited for: now, and in a moment again.
    fn look(&mut self, now: Instant) {
        self.look_at = Some(now + LOOK_EVERY);
        let is_passed = match &self.front {
            Front::Core(core) => core.is_settled(),
            Front::Open => true,
        };
        let is_settled = is_passed && self.server.is_settled();
        self.events.push_back(Event::Settled(is_settled));
    }

    /// What leaves next; drain until `None`.
    pub(crate) fn poll_transmit(&mut self) -> Option<Outgoing> {
        self.outgoing.pop_front()
    }

    /// What leaves next of speech and talk burst control, after everything else that leaves; drain until `None`.
    pub(crate) fn poll_media(&mut self) -> Option<MediaTransmit> {
        self.server.poll_media()
    }

    /// What is to be recorded next; drain until `None`.
    pub(crate) fn poll_recording(&mut self) -> Option<Recording> {
        self.server.poll_recording()
    }

    /// What the operator must know next; drain until `None`.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether there is anything to poll but media.
    pub(crate) fn has_output(&self) -> bool {
        !self.outgoing.is_empty() || !self.events.is_empty() || self.server.has_output()
    }

    /// When a timeout is to be handed in.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let core = match &self.front {
            Front::Core(core) => core.poll_timeout(),
            Front::Open => None,
        };
        core.into_iter().chain(self.server.poll_timeout()).chain(self.look_at).min()
    }

    /// Whether hops inside are kept for whoever looks.
    pub(crate) fn watch(&mut self, is_watched: bool) {
        self.watched = is_watched.then(|| self.watched.take().unwrap_or_default());
    }

    /// The hops inside since the last call.
    pub(crate) fn take_watched(&mut self) -> Vec<Hop> {
        self.watched.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// What there is, but for what the worker knows.
    pub(crate) fn census(&self, now: Instant) -> ShardCensus {
        let (core, core_counters) = match &self.front {
            Front::Core(core) => (core.census(now), core.counters()),
            Front::Open => Default::default(),
        };
        ShardCensus {
            core,
            core_counters,
            server: self.server.census(now),
            server_counters: self.server.counters(),
            media: self.server.media_counters(),
            below: self.server.counters_below(),
            lag: self.poll_timeout().map_or(Duration::ZERO, |due| now.saturating_since(due)),
            handed: 0,
            events: 0,
            connections: 0,
            kept: 0,
        }
    }

    /// The first `limit` sessions, each with so many who take part, and how many sessions there are.
    pub(crate) fn standing(&self, limit: usize, attending: usize, all: bool) -> (Vec<Standing>, usize) {
        (self.server.standing(limit, attending, all), self.server.standing_count(all))
    }

    /// Its state, in words: see [`sip::Endpoint::view`].
    pub(crate) fn view(&self) -> String {
        let core = match &self.front {
            Front::Core(core) => core.view(),
            Front::Open => String::new(),
        };
        core + &self.server.view()
    }

    /// Whether nothing remains of any transaction and any session.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        let is_core_empty = match &self.front {
            Front::Core(core) => core.is_empty(),
            Front::Open => true,
        };
        is_core_empty && self.server.is_empty() && self.outgoing.is_empty()
    }

    /// Whether what comes along `path` is looked at; a core looks at everything.
    pub(crate) fn hears(&self, path: &Path) -> bool {
        match self.front {
            Front::Core(_) => true,
            Front::Open => self.server.hears(path),
        }
    }

    /// A core that is elsewhere is told by its own operator.
    fn tell_core(&mut self, now: Instant, command: sipcore::Command) {
        match &mut self.front {
            Front::Core(core) => core.handle_input(now, sipcore::Input::Command(command)),
            Front::Open => {}
        }
    }

    /// What the core sends next.
    fn poll_core(&mut self) -> Option<Transmit> {
        match &mut self.front {
            Front::Core(core) => core.poll_transmit(),
            Front::Open => None,
        }
    }

    /// Lets the elements talk until they have nothing to say to each other.
    fn settle(&mut self, now: Instant) {
        loop {
            if let Some(transmit) = self.poll_core() {
                if transmit.path.transport == Transport::Inside {
                    let message = self.read(&transmit.bytes);
                    let to = self.server_of(message.as_deref());
                    self.hand(now, to, hop(Element::Server, transmit, message));
                } else {
                    self.outgoing.push_back(Outgoing::Network(transmit));
                }
            } else if let Some(transmit) = self.server.poll_transmit() {
                match self.front {
                    Front::Core(_) => {
                        let message = self.read(&transmit.bytes);
                        let to = self.core_of(message.as_deref());
                        self.hand(now, to, hop(Element::Core, transmit, message));
                    }
                    Front::Open => self.outgoing.push_back(Outgoing::Network(transmit)),
                }
            } else {
                break;
            }
        }
        if let Front::Core(core) = &mut self.front {
            while let Some(event) = core.poll_event() {
                match event {
                    sipcore::Event::BindingsChanged { address } => {
                        self.events.push_back(Event::BindingsChanged { address });
                    }
                    // Streams are cut before they come here.
                    sipcore::Event::Disconnect { .. } => {}
                }
            }
        }
        while let Some(event) = self.server.poll_event() {
            match event {
                poc::server::Event::Closed(record) => self.events.push_back(Event::Closed(record)),
                // It has no connections, or whole messages come on them.
                poc::server::Event::Disconnect { .. } => {}
            }
        }
    }

    /// Gives a hop to the shard `to`, which may be this one.
    fn hand(&mut self, now: Instant, to: u8, hop: Hop) {
        if to == self.number {
            self.take(now, hop)
        } else {
            self.outgoing.push_back(Outgoing::Shard { to, hop })
        }
    }

    fn take(&mut self, now: Instant, Hop { to, path, bytes, message }: Hop) {
        if let Some(watched) = &mut self.watched
            && path.transport == Transport::Inside
            && watched.len() < WATCHED_MAX
        {
            watched.push(Hop { to, path, bytes: bytes.clone(), message: None });
        }
        match (to, &mut self.front) {
            (Element::Core, Front::Core(core)) => {
                let input = match message {
                    Some(message) => sipcore::Input::Message { path, message: *message },
                    None => sipcore::Input::Datagram { path, bytes },
                };
                core.handle_input(now, input);
            }
            (Element::Core, Front::Open) => {
                debug_assert!(false, "nobody hands anything to a core that is not there")
            }
            // Whole messages, but it is to know which connections stand.
            (Element::Server, _) if path.connection.is_some() => {
                self.server.handle_input(now, poc::server::Input::Stream { path, bytes });
            }
            (Element::Server, _) => {
                let input = match message {
                    Some(message) => poc::server::Input::Message { path, message: *message },
                    None => poc::server::Input::Datagram { path, bytes },
                };
                self.server.handle_input(now, input);
            }
        }
    }

    /// The message, if there are several shards that it may be for. It is read here and nowhere else then.
    fn read(&self, bytes: &Bytes) -> Option<Box<Message>> {
        if self.settings.shards > 1 { Message::parse(bytes.clone()).ok().map(Box::new) } else { None }
    }

    /// The shard of the core that a message is for. What cannot be read, and what claims a shard that is not there, is
    /// refused here as well as anywhere.
    fn core_of(&self, message: Option<&Message>) -> u8 {
        message.map_or(self.number, |message| self.existing(sipcore::shard_of(&self.settings, message)))
    }

    /// The shard of the PoC Server that a message of the core is for. A response goes to the one that made its branch, and what
    /// a user begins to that of the user, whatever it names. Else it is the shard that made the session or the dialog that is
    /// named, and for what names neither that of whoever is served.
    pub(super) fn server_of(&self, message: Option<&Message>) -> u8 {
        let Some(message) = message else { return self.number };
        let function = function_of(message);
        let shard = if message.status().is_some() {
            let via = message.via().ok();
            owner(via.and_then(|via| Identifier::from_branch(via.branch()?)))
        } else if function == Some(Function::Originating) {
            // A rejoin among them: its session may be on any shard.
            None
        } else {
            let user = message.uri().ok().and_then(|uri| uri.user);
            let tag = message.to().ok().and_then(|to| to.tag());
            owner(user.and_then(Identifier::parse)).or_else(|| owner(tag.and_then(Identifier::parse)))
        };
        let shard = shard.and_then(|shard| shard.checked_sub(self.first_server()));
        self.existing(shard.unwrap_or_else(|| self.shard_of_served(message, function)))
    }

    /// Who is served is the invited user or group, or else the user in From, as at the factory: a CANCEL and an ACK have both
    /// as their INVITE has them, and no P-Asserted-Identity.
    fn shard_of_served(&self, request: &Message, function: Option<Function>) -> u8 {
        // However it is spelled: what is known of a user is on one shard.
        let invited = request.uri().as_ref().map(sipcore::user_of).unwrap_or_default();
        let is_invited =
            function == Some(Function::Terminating) && !self.settings.services.contains(&invited);
        let served = if is_invited {
            invited
        } else {
            let from = request.from().ok().and_then(|from| Uri::parse(from.uri).ok());
            from.as_ref().map(sipcore::user_of).unwrap_or_default()
        };
        let key = self.keyed.key(&[b"shard", &served]);
        u8::try_from(key.place(usize::from(self.settings.shards))).unwrap_or(self.number)
    }

    /// The owner of the first PoC Server.
    fn first_server(&self) -> u8 {
        match self.front {
            Front::Core(_) => SERVER,
            Front::Open => 0,
        }
    }

    fn existing(&self, shard: u8) -> u8 {
        if shard < self.settings.shards { shard } else { self.number }
    }
}

/// Whom the core says that the PoC Server serves (digest 13.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Function {
    /// Whoever begins.
    Originating,
    /// Whoever is named.
    Terminating,
}

fn function_of(request: &Message) -> Option<Function> {
    let route = request.addresses(Name::Route).next()?.ok()?;
    match Uri::parse(route.uri).ok()?.user? {
        b"orig" => Some(Function::Originating),
        b"term" => Some(Function::Terminating),
        _ => None,
    }
}

fn owner(identifier: Option<Identifier>) -> Option<u8> {
    identifier.and_then(|identifier| identifier.owner()).map(|owner| owner.shard)
}

/// The other end's view of a transmit inside.
fn hop(to: Element, Transmit { path, bytes }: Transmit, message: Option<Box<Message>>) -> Hop {
    Hop { to, path: Path { local: path.remote, remote: path.local, ..path }, bytes, message }
}

/// Where the PoC Server is for a core that is advertised at this address.
pub(crate) fn server_address(advertised: SocketAddr) -> SocketAddr {
    SocketAddr::new(advertised.ip(), SERVER_PORT)
}
