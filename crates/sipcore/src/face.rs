//! What goes into a core and what comes out of it.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sip::transaction::timer::Timers;
use sip::transport::{ConnectionId, Listener, Path, Target};
use sip::{Cancels, Duration, Message, Owner};

use crate::authentication::{Algorithms, Ha1};

/// What a core is told once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Config {
    /// Node and shard: the beginning of every identifier.
    pub owner: Owner,
    /// How many shards the core has: [`shard_of`](crate::shard_of) names one below it.
    pub shards: u8,
    /// What identifiers and table keys are drawn from: another for each shard, unpredictable in production.
    pub seed: [u8; 32],
    /// What the users of our Record-Route are made with: the same for all shards, another at each start, for connections are
    /// counted anew.
    pub secret: [u8; 16],
    /// What nonces are made with: the same for all shards.
    pub nonces: Nonces,
    /// T1, T2 and T4.
    pub timers: Timers,
    /// Timer C: how long a branch may ring without another 1xx (RFC 3261 §16.6 step 11: more than 3 minutes).
    pub timer_c: Duration,
    /// Where the core can be reached.
    pub listeners: Vec<Listener>,
    /// The value of Server in responses.
    pub product: Bytes,
    /// The domains that we are responsible for. The first is the realm, and the domain of every user's address.
    pub domains: Vec<Bytes>,
    /// The user parts of service identities, as of the conference factory: their requests go to `server`. Groups are told by
    /// [`Command::PutService`] instead.
    pub services: Vec<Bytes>,
    /// The PoC Server: inside, or in the network as an application server.
    pub server: Option<Target>,
    /// The shards of the PoC Server: an identifier that one of them has made is a PoC Session Identity at a domain of ours.
    pub server_shards: Range<u8>,
    /// Other domains and where their requests go. What comes from there is trusted: where datagrams can be forged, the network
    /// must keep such addresses to their owners.
    pub peers: Vec<Peer>,
    /// From where requests are trusted besides.
    pub trusted: Vec<Source>,
    /// Octets of the longest request that leaves by UDP (RFC 3261 §18.1.1).
    pub datagram_max: usize,
    /// Transactions that there may be at once. Beyond it a new request is answered 503 and nothing is kept of it. What is over is
    /// remembered for up to 32 s: some five transactions of each cancelled call.
    pub transactions_max: usize,
    /// Bindings of one user.
    pub bindings_max: usize,
    /// Subscriptions to registrations in all (RFC 3680). Beyond it a new one is answered 503.
    pub subscribers_max: usize,
    /// Subscriptions to the registration of one user.
    pub subscribers_of_user_max: usize,
    /// The span of a binding; its longest is that of a subscription besides.
    pub expires: Expires,
    /// What clients are challenged with.
    pub algorithms: Algorithms,
    /// How many requests of one address may be refused without keeping state.
    pub refusals: Rate,
}

impl Config {
    /// The defaults for a core of one shard that is responsible for `domain` and reached at `listeners`.
    pub fn new(domain: Bytes, listeners: Vec<Listener>, seed: [u8; 32]) -> Self {
        let mut secret = [0; 16];
        secret.copy_from_slice(&seed[..16]);
        Self {
            owner: Owner::default(),
            shards: 1,
            seed,
            secret,
            nonces: Nonces { secret, begun: Duration::ZERO, validity: Duration::from_secs(300) },
            timers: Timers::default(),
            timer_c: Duration::from_secs(200),
            listeners,
            product: Bytes::from_static(b"talkburst"),
            domains: vec![domain],
            services: vec![Bytes::from_static(b"poc-factory")],
            server: None,
            server_shards: 0x80..0xC0,
            peers: Vec::new(),
            trusted: Vec::new(),
            datagram_max: 1300,
            transactions_max: 1_000_000,
            bindings_max: 10,
            subscribers_max: 10_000,
            subscribers_of_user_max: 16,
            expires: Expires {
                least: Duration::from_secs(60),
                default: Duration::from_secs(3600),
                most: Duration::from_secs(86_400),
            },
            algorithms: Algorithms::Sha256AndMd5,
            refusals: Rate { per_second: 200, burst: 1000 },
        }
    }
}

/// What nonces are made with. One that was given out before a restart is good after it, if the secret is the same and the time
/// has gone on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Nonces {
    /// What they are hashed with.
    pub secret: [u8; 16],
    /// When the core begins, since some moment that is the same at each start with this secret: else a nonce of an earlier run
    /// would become good once more.
    pub begun: Duration,
    /// How long one is good.
    pub validity: Duration,
}

/// Another domain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// Its name.
    pub domain: Bytes,
    /// Its SIP/IP core. Requests that come from this very address are trusted.
    pub target: Target,
}

/// From where requests come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Source {
    /// The address.
    pub ip: IpAddr,
    /// The port; `None` for any, as with connections that the other side opens.
    pub port: Option<u16>,
}

impl Source {
    pub(crate) fn covers(&self, remote: SocketAddr) -> bool {
        self.ip == remote.ip() && self.port.is_none_or(|port| port == remote.port())
    }
}

/// The span of a binding (RFC 3261 §10.3 step 7).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Expires {
    /// What is shorter is refused with 423. At most an hour.
    pub least: Duration,
    /// What a REGISTER that says nothing gets.
    pub default: Duration,
    /// What is longer is shortened.
    pub most: Duration,
}

/// A token bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rate {
    /// Tokens that come back in a second.
    pub per_second: u32,
    /// Tokens that a bucket holds.
    pub burst: u32,
}

/// Everything that can happen to a core.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "a message that has been read is the common case, and is not kept"
)]
pub enum Input {
    /// A datagram arrived, or a message from inside; or, with a connection in its path, a message that was cut from a
    /// stream already.
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
        /// Their way; the connection is given.
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
    /// The time is such that something may be due.
    Timeout,
    /// The directory changes, or the core is to end.
    Command(Command),
}

/// Changes of the directory, effective at once; the end; and how much there is to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Command {
    /// There is this user, or its password is another from now on. Its bindings stay.
    PutUser(User),
    /// There is no user of this name any more: its bindings go with it.
    RemoveUser(Bytes),
    /// This is the user part of a service identity, as of a group: what is for it goes to the PoC Server.
    PutService(Bytes),
    /// There is no service of this name any more.
    RemoveService(Bytes),
    /// Take nothing new any more: the core is to end. What goes by the PoC Server is the server's to release.
    Release,
    /// This much waits to be looked at.
    SetLoad(Load),
}

/// How much waits to be looked at: whoever has the queues knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Load {
    /// What comes is looked at at once.
    #[default]
    Usual,
    /// More comes than can be done. An INVITE from the network that would begin something is answered 503 before anything is
    /// kept of it; what goes on goes on, so that what has begun comes to its end.
    Full,
}

/// A user of the home domain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct User {
    /// The user part of the address, and the name that credentials have.
    pub name: Bytes,
    /// What a password is checked against.
    pub ha1: Ha1,
}

/// What the program must know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Event {
    /// The bindings of a user came, went or were changed; not if they were refreshed only.
    BindingsChanged {
        /// The user's address.
        address: Bytes,
    },
    /// A stream cannot be read any more.
    Disconnect {
        /// Its connection, which is to be closed.
        connection: ConnectionId,
    },
}

/// How often something happened that an operator may want to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Requests that were challenged, the ones below among them.
    pub challenged: u64,
    /// Credentials that were wrong: an unknown user, or not its password.
    pub wrong_credentials: u64,
    /// Requests in the name of somebody else.
    pub wrong_identity: u64,
    /// Requests that had no answer, since too many of their source were refused.
    pub limited: u64,
    /// Requests that were answered 503 for want of room.
    pub overloaded: u64,
    /// Requests that were answered 503 since the core is to end.
    pub late: u64,
    /// Messages that could not be read, and requests that were answered 400 or 505.
    pub malformed: u64,
    /// Requests that had been here before.
    pub looped: u64,
    /// Requests for somebody that nobody here knows, or that nobody here may reach.
    pub unroutable: u64,
    /// A CANCEL that met no INVITE, or came from elsewhere than its INVITE.
    pub unmatched_cancels: u64,
    /// ACKs and responses that belonged to nothing.
    pub stray: u64,
    /// Requests that were passed on, each counted once.
    pub forwarded: u64,
    /// INVITEs that got their final response.
    pub answered: u64,
    /// Requests that were here before: their transactions said the same again.
    pub repeated: u64,
    /// What CANCELs met; a wish is one for each branch.
    pub cancels: Cancels,
}
