//! The PoC Server: its Controlling and Participating PoC Functions, one shard of them (digest 2, 10, 14.5, 14.6).
//!
//! ```text
//! inviter ── core ── Controlling ── core ── Participating ── core ── invited
//!                    (of the inviter)       (of the invited)
//! ```
//!
//! Each leg is a session of the [`Endpoint`] below, invited and answered by the very code that a PoC Client uses: what a
//! CANCEL meets, and what becomes of an answer that crosses it, is decided there and nowhere else. What is here is which
//! legs belong together, and what the end of one means for the others. Everything that happens to a session goes through
//! one queue, so of two things that cross the first counts (digest 14.6 step 5).

mod census;
mod config;
mod connected;
mod controlling;
mod directory;
mod group;
mod leg;
mod media;
mod messaging;
mod modifying;
mod originating;
mod participating;
mod policy;
mod preestablished;
mod publication;
mod publishing;
mod record;
mod referring;
mod releasing;
mod subscribers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sip::message::{Method, Name, Uri};
use sip::transport::{ConnectionId, Frame, Framer, Path, Target, Transmit, Transport};
use sip::{Duration, Endpoint, Identifiers, Instant, Message, Misuse, SessionId, SubscriberId};
use slab::Slab;

pub use census::{Attendance, Attending, Census, SessionState, Standing};
pub use config::Config;
pub use directory::{Access, AccessRule, OverrideBy, User};
pub use group::{Group, GroupKind, GroupMember, GroupRole, ReleasePolicy, Who};
pub use media::{
    Beginning, DENIALS, ENDINGS, MediaCounters, MediaPort, MediaTransmit, Ports, REVOKES, Receivers,
    Recording, SPEECH_HEAD,
};
pub use record::{Function, Invitation, Record, SessionType, Side};

use self::controlling::Controlling;
use self::directory::Directory;
use self::media::Media;
use self::messaging::Messaging;
use self::participating::Participating;
use self::policy::Inviter;
use self::preestablished::PreEstablishments;
use self::releasing::Duty;
use crate::address;
use crate::body::{multipart, resource_lists};
use crate::sdp::Origin;

/// Everything that can happen to a server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "a message that has been read is the common case, and is not kept"
)]
pub enum Input {
    /// A datagram arrived, or a message from another element of this process.
    Datagram {
        /// Its way.
        path: Path,
        /// Its octets.
        bytes: Bytes,
    },
    /// The same, and it has been read.
    Message {
        /// Its way.
        path: Path,
        /// The message.
        message: Message,
    },
    /// Octets of a stream arrived.
    Stream {
        /// Their way.
        path: Path,
        /// The octets.
        bytes: Bytes,
    },
    /// A connection could not be opened: nothing has been sent on it.
    ConnectionRefused {
        /// Which.
        connection: ConnectionId,
    },
    /// A connection was closed.
    ConnectionLost {
        /// Which.
        connection: ConnectionId,
    },
    /// A datagram of speech or talk burst control arrived.
    Media {
        /// Where.
        at: MediaPort,
        /// From where.
        remote: SocketAddr,
        /// Its octets.
        bytes: Bytes,
    },
    /// The time is such that something may be due.
    Timeout,
    /// The operator wants something.
    Command(Command),
}

/// What an operator can ask for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Command {
    /// Serve this user, or change what is known of one. Sessions go on.
    PutUser(Box<User>),
    /// Serve this user no more: the user's sessions and invitations end.
    RemoveUser {
        /// The PoC Address.
        address: Bytes,
    },
    /// Host this group, or change what is known of one. A session of it goes on with what it began with.
    PutGroup(Box<Group>),
    /// Host this group no more: its session ends.
    RemoveGroup {
        /// The PoC Group Identity.
        address: Bytes,
    },
    /// Take no new sessions any more, and release those that are controlled here.
    ReleaseControlled,
    /// The same, and release all that there are.
    Release,
    /// Wait for nothing any more: close every record as it stands.
    Abandon,
}

/// What the operator must know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// An INVITE is over, with all that came of it.
    Closed(Box<Record>),
    /// A stream cannot be read any more: close the connection.
    Disconnect {
        /// Which.
        connection: ConnectionId,
    },
}

/// What was refused without a trace elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// Messages from somebody else than the core.
    pub untrusted: u64,
    /// INVITEs that were refused by a check, not by a user.
    pub refused: u64,
}

/// A PoC Server without sockets and without a clock: one shard. See [`Endpoint`] for the order of calls.
#[derive(Clone, Debug)]
pub struct Server {
    config: Config,
    endpoint: Endpoint,
    /// What of each stream is not a whole message yet.
    framers: BTreeMap<ConnectionId, Framer>,
    directory: Directory,
    controlling: Slab<Controlling>,
    /// The PoC Sessions by their identities.
    identities: BTreeMap<Bytes, usize>,
    /// The session of each group that has one.
    sessions_of_groups: BTreeMap<Bytes, usize>,
    /// The session to which each subscriber belongs.
    subscriptions: BTreeMap<SubscriberId, usize>,
    /// INVITEs that were refused and whose legs have not ended yet.
    turned_away: Slab<Record>,
    /// What is to be done when.
    due: BTreeSet<(Instant, Due)>,
    participating: Slab<Participating>,
    pre_established: PreEstablishments,
    messaging: Messaging,
    media: Media,
    duty: Duty,
    /// What each session of the endpoint is to the server.
    places: BTreeMap<SessionId, Place>,
    events: VecDeque<Event>,
    counters: Counters,
    /// The domain of the conference factory, and of the sessions.
    domain: Bytes,
    /// What session identities are drawn from.
    chance: Identifiers,
    /// Session descriptions of ours so far.
    described: u64,
    /// Records so far.
    records: u64,
    /// Entity tags so far (RFC 3903).
    tags: u64,
    now: Instant,
}

/// What a session of the endpoint is to the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// The leg of a participant of a PoC Session that is controlled here.
    Participant {
        /// The session.
        place: usize,
        /// Whose.
        key: usize,
    },
    /// A leg that was refused at once.
    TurnedAway(usize),
    /// The leg towards the Controlling PoC Function.
    Upstream(usize),
    /// The leg towards the user who is served.
    Downstream(usize),
    /// A pre-established session.
    PreEstablished(usize),
}

/// What may be due.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Due {
    /// The next invitations of a session.
    Invites(usize),
    /// The NOTIFYs of a session.
    Notify(usize),
    /// The end of a session.
    Release(usize),
    /// What a pre-established session waits for.
    PreEstablished(usize),
    /// Something in the talk bursts of a session.
    Bursts(usize),
    /// Speech that is kept in a session.
    Playing(usize),
}

impl Server {
    /// A server that knows nobody yet.
    pub fn new(config: Config) -> Self {
        let endpoint = Endpoint::new(config.sip.clone());
        // Another seed than the endpoint's: what is drawn here is not drawn there too.
        let mut chance = Identifiers::new(config.sip.owner, config.sip.seed.map(|octet| !octet));
        let media = Media::new(&config, chance.key(), chance.below(u32::MAX));
        let domain = Uri::parse(&config.factory).map(|uri| uri.host.to_ascii_lowercase()).unwrap_or_default();
        Self {
            domain: Bytes::from(domain),
            chance,
            config,
            endpoint,
            framers: BTreeMap::new(),
            directory: Directory::default(),
            controlling: Slab::new(),
            identities: BTreeMap::new(),
            sessions_of_groups: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            turned_away: Slab::new(),
            due: BTreeSet::new(),
            participating: Slab::new(),
            pre_established: PreEstablishments::default(),
            messaging: Messaging::default(),
            media,
            duty: Duty::Serving,
            places: BTreeMap::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
            described: 0,
            records: 0,
            tags: 0,
            now: Instant::START,
        }
    }

    /// The one way in.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        self.now = now;
        let below = match input {
            Input::Datagram { path, .. } | Input::Message { path, .. } | Input::Stream { path, .. }
                if !self.hears(&path) =>
            {
                self.counters.untrusted += 1;
                return tracing::debug!(remote = %path.remote, "dropped: not from the core");
            }
            Input::Datagram { path, bytes } => sip::Input::Datagram { path, bytes },
            Input::Message { path, message } => sip::Input::Message { path, message },
            Input::Stream { path, bytes } => return self.handle_stream(path, &bytes),
            Input::ConnectionRefused { connection } => sip::Input::ConnectionRefused { connection },
            Input::ConnectionLost { connection } => {
                self.framers.remove(&connection);
                sip::Input::ConnectionLost { connection }
            }
            Input::Media { at, remote, bytes } => {
                self.handle_media(at, remote, &bytes);
                return self.drain();
            }
            Input::Timeout => {
                self.do_what_is_due();
                sip::Input::Timeout
            }
            Input::Command(command) => {
                self.handle_command(command);
                return self.drain();
            }
        };
        self.hand_down(below);
    }

    /// Does what is due. An extra call does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.handle_input(now, Input::Timeout);
    }

    /// What is to be sent next; drain until `None`.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.endpoint.poll_transmit()
    }

    /// What the operator must know next; drain until `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether there is anything to poll but media.
    pub fn has_output(&self) -> bool {
        self.endpoint.has_output() || !self.events.is_empty() || self.media.has_recordings()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = self.due.first().map(|(at, _)| *at);
        self.endpoint.poll_timeout().into_iter().chain(due).min()
    }

    /// What the server was told once.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What a canonical view of it is made of: see [`Endpoint::view`].
    ///
    /// Left out besides: what counts, what is fixed, and the generator and the numbers that only choose names.
    pub fn view(&self) -> String {
        self.endpoint.view(&(
            (&self.directory, &self.controlling, &self.identities),
            (&self.sessions_of_groups, &self.subscriptions, &self.turned_away),
            (&self.due, &self.participating, &self.pre_established, &self.messaging),
            (self.media.state(), self.duty, &self.places, &self.events),
        ))
    }

    /// What was refused so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How often what happened in the endpoint below.
    pub fn counters_below(&self) -> sip::Counters {
        self.endpoint.counters()
    }

    /// Sessions that a user has, sets up or is invited to: the slots that are taken. `None` for a user who is not
    /// served here.
    pub fn sessions_of(&self, address: &[u8]) -> Option<usize> {
        self.directory.get(address).map(|served| served.sessions)
    }

    /// Whether nobody is in anything, is asked into anything, or is owed an answer by a function.
    fn has_no_session(&self) -> bool {
        self.controlling.is_empty()
            && self.participating.is_empty()
            && self.pre_established.is_empty()
            && self.messaging.is_empty()
            && self.places.is_empty()
            && self.turned_away.is_empty()
    }

    /// Whether nothing remains of any session.
    pub fn is_empty(&self) -> bool {
        self.has_no_session()
            && self.subscriptions.is_empty()
            && self.due.is_empty()
            && self.media.is_empty()
            && self.endpoint.is_empty()
    }

    /// Whether what comes along `path` is looked at: what the core sends, and nobody else. What it has not looked at does not
    /// concern the server. A datagram comes from its very address; a connection from its host, with a port of its own.
    pub fn hears(&self, path: &Path) -> bool {
        let Target { transport, remote } = self.config.core;
        let is_core = match path.transport {
            Transport::Inside => true,
            // An address that is used inside says nothing outside.
            _ if transport == Transport::Inside => false,
            Transport::Udp => path.remote == remote,
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                path.remote.ip() == remote.ip()
            }
        };
        is_core || self.config.trusted.contains(&path.remote.ip())
    }

    /// Octets of a stream, message by message: what one leads to is done before the next is looked at, as with datagrams.
    fn handle_stream(&mut self, path: Path, bytes: &[u8]) {
        let Some(connection) = path.connection else { return };
        self.framers.entry(connection).or_insert_with(|| Framer::new(connection)).push(bytes);
        while let Some(frame) = self.framers.get_mut(&connection).and_then(Framer::next_frame) {
            match frame {
                Frame::Message(bytes) => self.hand_down(sip::Input::Stream { path, bytes }),
                Frame::Ping => {
                    let bytes = Bytes::from_static(b"\r\n\r\n");
                    self.hand_down(sip::Input::Stream { path, bytes });
                }
                Frame::Pong => {}
                Frame::Fault(fault) => {
                    tracing::warn!(?fault, "stream cannot be read any more");
                    self.events.push_back(Event::Disconnect { connection });
                }
            }
        }
    }

    fn hand_down(&mut self, below: sip::Input) {
        let done = self.endpoint.handle_input(self.now, below);
        debug_assert!(done.is_ok(), "only commands are refused");
        self.drain();
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::PutUser(user) => self.directory.put(*user),
            Command::RemoveUser { address } => {
                self.directory.remove(&address);
                self.release_controlled_by(&address);
                self.release_participation_of(&address);
                self.release_pre_established_of(&address);
            }
            Command::PutGroup(group) => self.directory.put_group(*group),
            Command::RemoveGroup { address } => {
                self.directory.remove_group(&address);
                self.release_sessions_of(&address);
            }
            Command::ReleaseControlled => self.release_what_is_controlled(),
            Command::Release => self.release_everything(),
            Command::Abandon => self.abandon(),
        }
    }

    fn do_what_is_due(&mut self) {
        while let Some((at, due)) = self.due.first().copied().filter(|(at, _)| *at <= self.now) {
            self.due.remove(&(at, due));
            match due {
                Due::Invites(place) => self.invite_due(place),
                Due::Notify(place) => self.notify_due(place),
                Due::Release(place) => self.release_overdue(place),
                Due::PreEstablished(at) => self.pre_established_due(at),
                Due::Bursts(place) => self.bursts_due(place),
                Due::Playing(place) => self.playing_due(place),
            }
        }
    }

    fn drain(&mut self) {
        while let Some(event) = self.endpoint.poll_event() {
            self.handle_event(event);
        }
    }

    fn handle_event(&mut self, event: sip::Event) {
        match event {
            sip::Event::Invited { session, request } => self.be_invited(session, &request),
            sip::Event::Progress { session, response } => match self.places.get(&session) {
                Some(&Place::Participant { place, key }) => self.participant_progressed(place, key, &response),
                Some(&Place::Downstream(place)) => self.downstream_progressed(place, &response),
                Some(&Place::PreEstablished(at)) => self.client_progressed(at, &response),
                Some(Place::TurnedAway(_) | Place::Upstream(_)) | None => {}
            },
            sip::Event::Established { session, response } => match self.places.get(&session) {
                Some(&Place::Participant { place, key }) => self.participant_accepted(place, key, &response),
                Some(&Place::Downstream(place)) => self.downstream_accepted(place, &response),
                Some(Place::TurnedAway(_) | Place::Upstream(_) | Place::PreEstablished(_)) | None => {}
            },
            sip::Event::ModificationOffered { session, request } => {
                self.modification_offered(session, &request);
            }
            sip::Event::Modified { session, response } => self.modified(session, &response),
            sip::Event::ModificationEnded { session, status, retry_after, .. } => {
                self.modification_ended(session, status, retry_after);
            }
            sip::Event::Ended { session, end, by, status, reason, response } => {
                if let Some(place) = self.places.remove(&session) {
                    self.leg_ended(place, leg::Ended { end, by, status, reason, response });
                }
            }
            sip::Event::Requested { request, message } if message.method() == Some(Method::Message) => {
                self.be_messaged(request, &message);
            }
            sip::Event::Requested { request, message } => self.be_requested(request, &message),
            sip::Event::Subscribed { subscriber, request } => self.be_subscribed(subscriber, &request),
            sip::Event::Resubscribed { subscriber, .. } => self.be_resubscribed(subscriber),
            sip::Event::SubscriberEnded { subscriber, .. } => self.subscriber_ended(subscriber),
            sip::Event::Referred { subscriber, session, wants_progress, request } => {
                match session.and_then(|session| self.places.get(&session)) {
                    Some(&Place::PreEstablished(at)) => {
                        self.refer_within(at, subscriber, wants_progress, &request);
                    }
                    Some(
                        Place::Participant { .. }
                        | Place::TurnedAway(_)
                        | Place::Upstream(_)
                        | Place::Downstream(_),
                    )
                    | None => self.be_referred(subscriber, wants_progress, &request),
                }
            }
            sip::Event::Answered { request, response, .. } => self.message_answered(request, response.as_ref()),
            sip::Event::Disconnect { connection } => self.events.push_back(Event::Disconnect { connection }),
            // The next hop is the core's address in every dialog: it record-routes. An ACK or a PRACK changes nothing here.
            sip::Event::Locate { .. }
            | sip::Event::Acknowledged { .. }
            | sip::Event::ProgressAcknowledged { .. }
            // Nothing is subscribed to.
            | sip::Event::Notified { .. }
            | sip::Event::SubscriptionEnded { .. } => {}
        }
    }

    /// Which function an INVITE is for: the core says so in its Route (digest 13.1); without that, a focus invites the
    /// users of this server, and anybody else is served in inviting.
    fn be_invited(&mut self, session: SessionId, request: &Message) {
        let inviter = Inviter::of(request);
        let user = leg::role_of(request);
        let focus = |contact: sip::message::NameAddr<'_>| contact.parameters.has(b"isfocus");
        let is_focus = request.addresses(Name::Contact).filter_map(Result::ok).any(focus);
        match user {
            _ if self.duty == Duty::Releasing => self.turn_away_late(session, &inviter, is_focus),
            Some(b"orig") if self.names_focus(request.uri_text()) => {
                self.originate(session, request, inviter)
            }
            Some(b"orig") if self.is_without_list(request) => self.pre_establish(session, request, inviter),
            Some(b"orig") => self.control(session, request, inviter),
            Some(b"term") if self.is_factory(request) || self.identity_in(request.uri_text()).is_some() => {
                self.control(session, request, inviter);
            }
            Some(b"term") => match self.group_at(request.uri_text()) {
                Some(group) if is_focus => self.refuse_with_members(session, &group, &inviter),
                Some(_) => self.control(session, request, inviter),
                None => self.participate(session, request, inviter),
            },
            Some(_) | None if is_focus => self.participate(session, request, inviter),
            Some(_) | None => self.control(session, request, inviter),
        }
    }

    /// Whether an INVITE is for the conference factory (digest 3).
    fn is_factory(&self, request: &Message) -> bool {
        address::canonical(request.uri_text()).is_some_and(|uri| uri == self.config.factory)
    }

    /// Whether an INVITE for the conference factory says nobody to invite: it sets up a pre-established session (digest 7.2).
    fn is_without_list(&self, request: &Message) -> bool {
        let has_list = |request| {
            let parts = multipart::parts_of(request).unwrap_or_default();
            parts.iter().any(|part| part.is(resource_lists::CONTENT_TYPE))
        };
        self.is_factory(request) && !has_list(request)
    }

    /// The group that is hosted here and that `uri` names.
    fn group_at(&self, uri: &[u8]) -> Option<Bytes> {
        address::canonical(uri).filter(|address| self.directory.group(address).is_some())
    }

    /// Whether another PoC Server, or another shard of this one, controls the session that `uri` is for: the one that hosts
    /// the group, or has the session (digest 2).
    fn names_focus(&self, uri: &[u8]) -> bool {
        let parsed = Uri::parse(uri).ok();
        let kind = parsed.as_ref().and_then(|uri| uri.parameters.value(b"session"));
        let is_session = parsed.as_ref().and_then(|uri| sip::Identifier::parse(uri.user?)).is_some();
        is_session || kind.is_some_and(|kind| kind != b"1-1") || self.group_at(uri).is_some()
    }

    fn command(&mut self, command: sip::Command) -> Result<Option<SessionId>, Misuse> {
        self.endpoint.handle_input(self.now, sip::Input::Command(command))
    }

    /// RFC 8866 §5.2: unique for each session of this server.
    fn next_origin(&mut self) -> Origin {
        self.described += 1;
        let shard = u64::from(self.config.sip.owner.shard);
        Origin { id: (shard << 56) | self.described, version: 1 }
    }

    fn close(&mut self, record: Record) {
        self.records += 1;
        let record = Record { serial: self.records, ..record };
        tracing::debug!(serial = record.serial, end = ?record.end, by = ?record.by, "closed");
        self.events.push_back(Event::Closed(Box::new(record)));
    }
}
