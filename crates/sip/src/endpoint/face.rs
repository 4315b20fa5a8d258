//! What goes into an endpoint.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::auth::Credentials;
use crate::identifier::Owner;
use crate::message::{Body, Message, Method, Name};
use crate::time::{Duration, Instant};
use crate::transaction::timer::Timers;
use crate::transport::{ConnectionId, Listener, Path, Target};
use crate::usage::session_timer;

/// The version of [`Record`]. A journal of another version is not replayed.
pub const JOURNAL_VERSION: u16 = 5;

/// What an endpoint is told once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Config {
    /// Node and shard: the beginning of every identifier.
    pub owner: Owner,
    /// What identifiers and table keys are drawn from. Unpredictable in production, fixed in a simulation.
    pub seed: [u8; 32],
    /// T1, T2 and T4.
    pub timers: Timers,
    /// Where the endpoint can be reached. A request leaves by the first listener of its transport and address family.
    pub listeners: Vec<Listener>,
    /// The value of User-Agent in requests and of Server in responses.
    pub product: Bytes,
    /// Parameters of our Contact in sessions that have none of their own, each with its semicolon: `;+g.poc.talkburst`.
    pub contact_parameters: Bytes,
    /// Option tags that a peer may require, beside those of the endpoint itself: 100rel and timer.
    pub supported: Vec<Bytes>,
    /// The methods outside of any dialog that the user answers, each request told by
    /// [`Event::Requested`](super::Event::Requested): MESSAGE, PUBLISH and their like; a REFER by
    /// [`Event::Referred`](super::Event::Referred). What makes, changes or ends a session is ignored here.
    pub methods: Vec<Method>,
    /// The event packages that a peer may subscribe to, each SUBSCRIBE told by [`Event::Subscribed`](super::Event::Subscribed).
    /// With one there, or with REFER in `methods`, SUBSCRIBE and NOTIFY stand in Allow.
    pub events: Vec<Bytes>,
    /// Subscriptions of peers that may stand or be asked for at once. Beyond it a new one is answered 503.
    pub subscribers_max: usize,
    /// The types of body that an INVITE may have.
    pub body_types: Vec<Bytes>,
    /// Octets of the longest request that leaves by UDP: 1300, or the path MTU less 200 (RFC 3261 §18.1.1).
    pub datagram_max: usize,
    /// Transactions that may be open at once. Beyond it a new request is answered 503 and nothing is kept of it.
    pub transactions_max: usize,
    /// Requests outside of any dialog that may wait for their user at once. Beyond it a new one is answered 503.
    pub received_max: usize,
    /// Dialogs that one INVITE of ours may create by forking. What comes in further ones is ignored.
    pub forks_max: usize,
    /// What to answer challenges with, in the order of preference.
    pub credentials: Vec<Credentials>,
    /// Which provisional responses are reliable (RFC 3262).
    pub reliability: Reliability,
    /// After which a session is over unless it is refreshed (RFC 4028). `None`: only if the peer wants it.
    pub session_expires: Option<Duration>,
    /// The smallest such span that a peer may want; never below 90 s.
    pub min_se: Duration,
    /// Whether a CANCEL over UDP must come from the port of its INVITE, not only from its address.
    pub strict_flow: bool,
}

impl Config {
    /// The defaults for an endpoint that is reached at `listeners`.
    pub fn new(listeners: Vec<Listener>, seed: [u8; 32]) -> Self {
        Self {
            owner: Owner::default(),
            seed,
            timers: Timers::default(),
            listeners,
            product: Bytes::from_static(b"talkburst"),
            contact_parameters: Bytes::new(),
            supported: Vec::new(),
            methods: Vec::new(),
            events: Vec::new(),
            subscribers_max: 10_000,
            body_types: vec![Bytes::from_static(b"application/sdp")],
            datagram_max: 1300,
            transactions_max: 100_000,
            received_max: 1000,
            forks_max: 32,
            credentials: Vec::new(),
            reliability: Reliability::WhenRequired,
            session_expires: None,
            min_se: session_timer::FLOOR,
            strict_flow: false,
        }
    }
}

/// Which provisional responses an endpoint sends reliably.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Reliability {
    /// None: an INVITE that requires it is refused, and none of ours offers it.
    Never,
    /// Those to an INVITE that requires it.
    WhenRequired,
    /// Those to an INVITE whose sender can acknowledge them.
    WhenSupported,
}

impl Reliability {
    /// Whether the provisional responses to `invite` are sent reliably (RFC 3262 §3).
    pub fn applies_to(self, invite: &Message) -> bool {
        let is_required = invite.lists(Name::Require, b"100rel");
        match self {
            Self::Never => false,
            Self::WhenRequired => is_required,
            Self::WhenSupported => is_required || invite.lists(Name::Supported, b"100rel"),
        }
    }
}

/// One line of a journal: enough, in order, to bring another endpoint to the same octets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "a line is written and gone")]
pub enum Record {
    /// The first line.
    Start {
        /// [`JOURNAL_VERSION`].
        version: u16,
        /// The settings, the seed among them.
        config: Box<Config>,
    },
    /// Every further line.
    Input {
        /// When.
        at: Instant,
        /// What.
        input: Input,
    },
}

/// Everything that can happen to an endpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "a message that has been read is the common case, and is not kept"
)]
pub enum Input {
    /// A datagram arrived.
    Datagram {
        /// Its way.
        path: Path,
        /// Its octets.
        bytes: Bytes,
    },
    /// A message arrived, and has been read.
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
    /// The user wants something.
    Command(Command),
}

/// What a user can ask for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Command {
    /// Begin a session.
    Invite(Box<Invite>),
    /// Give up a session, or a modification of it, before its final response is known (PoC CP 6.1.X.1).
    Cancel {
        /// Which.
        session: SessionId,
        /// Reason, for instance.
        headers: Headers,
    },
    /// Answer an INVITE with 180 or another 1xx. It is sent reliably if the INVITE and [`Config::reliability`] want it,
    /// in order: each waits for the PRACK of the one before.
    Progress {
        /// Which.
        session: SessionId,
        /// 101 to 199.
        status: u16,
        /// P-Answer-State, for instance.
        headers: Headers,
        /// A session description. It is the answer if the response is sent reliably (RFC 3262 §5), and a mere preview
        /// of it if not.
        body: Option<Body>,
    },
    /// Answer an INVITE with 200, or an UPDATE or PRACK that offers a modification. The 200 to an INVITE waits for the
    /// PRACK of a session description that was sent reliably (RFC 3262 §3).
    Accept {
        /// Which.
        session: SessionId,
        /// Further header fields.
        headers: Headers,
        /// The answer.
        body: Option<Body>,
    },
    /// Answer an INVITE, or an UPDATE or PRACK that offers a modification, with 300 to 699.
    Refuse {
        /// Which.
        session: SessionId,
        /// The status code.
        status: u16,
        /// Retry-After, for instance.
        headers: Headers,
        /// What there is to say besides: a list of URIs, for instance (RFC 5318).
        body: Option<Body>,
    },
    /// Leave an established session with BYE.
    Leave {
        /// Which.
        session: SessionId,
        /// Reason, for instance.
        headers: Headers,
    },
    /// Offer other media in an established session (re-INVITE).
    Modify {
        /// Which.
        session: SessionId,
        /// P-Asserted-Identity, for instance.
        headers: Headers,
        /// The offer.
        body: Option<Body>,
    },
    /// Where the next hop is that [`Event::Locate`](super::Event::Locate) named: requests of the session go to the first target from now on.
    Located {
        /// Which.
        session: SessionId,
        /// What the look-up gave, in the order of preference.
        targets: Vec<Target>,
    },
    /// Send a request outside of any dialog.
    Request(Box<Request>),
    /// Answer a request outside of any dialog. One that is left unanswered for 32*T1 is answered 500.
    Respond {
        /// Which.
        request: ReceivedId,
        /// 200 to 699.
        status: u16,
        /// SIP-ETag, for instance.
        headers: Headers,
        /// The body.
        body: Option<Body>,
    },
    /// Subscribe to something (RFC 6665). The subscription is refreshed until it ends.
    Subscribe(Box<Subscribe>),
    /// Ask a peer to send a request itself (RFC 3515), outside of any dialog. What becomes of it is told like the state of a
    /// subscription.
    Refer(Box<Refer>),
    /// End a subscription of ours.
    Unsubscribe {
        /// Which.
        subscription: SubscriptionId,
    },
    /// Accept a SUBSCRIBE or a REFER. A NOTIFY must follow at once (RFC 6665 §4.2.1.2), unless it is a REFER that wants no
    /// progress: nothing is left of that. One that is left undecided for 32*T1 is answered 500.
    Admit {
        /// Which.
        subscriber: SubscriberId,
        /// The longest span that is granted, now and when it is refreshed. For a REFER: longer than what it asks for takes.
        expires: Duration,
        /// Further header fields.
        headers: Headers,
        /// What our Contact in the dialog says; `None` for the same as in others.
        contact: Option<Contact>,
    },
    /// Refuse a SUBSCRIBE or a REFER.
    Reject {
        /// Which.
        subscriber: SubscriberId,
        /// 300 to 699.
        status: u16,
        /// Min-Expires, for instance.
        headers: Headers,
    },
    /// Say something to a subscriber. While a NOTIFY is under way only the last word is kept, and leaves behind it.
    Notify {
        /// Which.
        subscriber: SubscriberId,
        /// What becomes of the subscription.
        state: SubscriptionState,
        /// Further header fields.
        headers: Headers,
        /// The state of what is subscribed to.
        body: Option<Body>,
    },
    /// Say what our Contact in the session is: before anything else is said to its INVITE, or once it is established. Then the
    /// peer hears it with what comes next that has a Contact: [`Command::Modify`], for instance.
    Identify {
        /// Which.
        session: SessionId,
        /// The whole of what it says.
        contact: Contact,
    },
}

/// What our Contact says. The dialog is found by its tags, so any address does that brings requests here.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Contact {
    /// User and host of its URI, and a port if there is one: `session7@home1.example`. Empty: a user of the endpoint's own at
    /// the listener.
    pub address: Bytes,
    /// Parameters of its URI, each with its semicolon: `;session=1-1`.
    pub uri_parameters: Bytes,
    /// Parameters behind the URI, each with its semicolon: `;+g.poc.talkburst;isfocus`.
    pub parameters: Bytes,
}

impl Contact {
    /// One with these parameters behind its URI.
    pub(super) fn behind(parameters: Bytes) -> Self {
        Self { parameters, ..Self::default() }
    }
}

/// A request outside of any dialog.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The name under which its outcome is told.
    pub id: RequestId,
    /// OPTIONS, MESSAGE and their like; not what makes, changes or ends a session.
    pub method: Method,
    /// The Request-URI.
    pub uri: Bytes,
    /// The address that stands in From, without tag.
    pub from: Bytes,
    /// The address that stands in To.
    pub to: Bytes,
    /// The next hops, in the order in which they are tried (RFC 3263 §4.3).
    pub targets: Vec<Target>,
    /// Route values.
    pub routes: Vec<Bytes>,
    /// Further header lines.
    pub headers: Headers,
    /// The body.
    pub body: Option<Body>,
    /// The Call-ID, if it continues another request; `None` for a new one.
    pub call_id: Option<Bytes>,
    /// The number of CSeq, likewise; `None` for 1.
    pub cseq: Option<u32>,
    /// The parameters of our Contact, each with its semicolon (`;expires=3600`), the same user in all requests; `None` for
    /// no Contact.
    pub contact: Option<Bytes>,
    /// Max-Forwards: one less than that of the request which this one carries on; `None` for 70 (RFC 3261 §8.1.1.6).
    pub hops: Option<u8>,
}

/// A wish to subscribe.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Subscribe {
    /// The name of the subscription.
    pub id: SubscriptionId,
    /// The next hops, in the order in which they are tried (RFC 3263 §4.3).
    pub targets: Vec<Target>,
    /// The Request-URI.
    pub uri: Bytes,
    /// The address that stands in From, without tag.
    pub from: Bytes,
    /// The address that stands in To.
    pub to: Bytes,
    /// Route values.
    pub routes: Vec<Bytes>,
    /// The value of Event: the package, and its parameters.
    pub event: Bytes,
    /// How long it is to stand, in whole seconds; zero to fetch the state once.
    pub expires: Duration,
    /// Further header lines of each SUBSCRIBE: Accept, for instance.
    pub headers: Headers,
    /// The body of the first SUBSCRIBE.
    pub body: Option<Body>,
    /// What our Contact in the dialog says; `None` for the same as in others.
    pub contact: Option<Contact>,
}

/// A wish that a peer sends a request: outside of any dialog, or in that of an established session. There it is one of up to 16
/// at once; each is over with the session at the latest, and none ends it.
///
/// A 2xx, or a NOTIFY before it, makes a subscription to the event `refer`, which is refreshed until it ends. A 2xx with
/// `Refer-Sub: false` makes none: then [`Event::SubscriptionEnded`](super::Event::SubscriptionEnded) is `Released` with the
/// status of that 2xx.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refer {
    /// The name of the subscription.
    pub id: SubscriptionId,
    /// The session in whose dialog it is sent. The dialog then says where it goes, and what stands between here and `refer_to`
    /// is empty.
    pub within: Option<SessionId>,
    /// The next hops, in the order in which they are tried (RFC 3263 §4.3).
    pub targets: Vec<Target>,
    /// The Request-URI: a peer, and not the session with it (RFC 7647 §4).
    pub uri: Bytes,
    /// The address that stands in From, without tag.
    pub from: Bytes,
    /// The address that stands in To.
    pub to: Bytes,
    /// Route values.
    pub routes: Vec<Bytes>,
    /// The value of Refer-To: one address.
    pub refer_to: Bytes,
    /// Further header lines of the REFER: Referred-By, Target-Dialog, for instance.
    pub headers: Headers,
    /// The body: the list that `refer_to` points to (RFC 5368), for instance.
    pub body: Option<Body>,
    /// What our Contact in the dialog says; `None` for the same as in others, and in the dialog of a session.
    pub contact: Option<Contact>,
    /// Whether the peer is to tell what becomes of it. If not it is asked for no subscription, which it may make all the same
    /// (RFC 4488 §4); only for a Request-URI whose requests are not forked (§5).
    pub wants_progress: bool,
}

impl Refer {
    /// One in the dialog of `session`.
    pub fn within(id: SubscriptionId, session: SessionId, refer_to: Bytes) -> Self {
        Self {
            id,
            within: Some(session),
            targets: Vec::new(),
            uri: Bytes::new(),
            from: Bytes::new(),
            to: Bytes::new(),
            routes: Vec::new(),
            refer_to,
            headers: Vec::new(),
            body: None,
            contact: None,
            wants_progress: true,
        }
    }
}

/// A subscription of ours, as its user calls it: free again once it has ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct SubscriptionId(pub u64);

/// What a NOTIFY of ours says of its subscription (RFC 6665 §4.1.3).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum SubscriptionState {
    /// It is accepted.
    Active,
    /// It is not decided yet.
    Pending,
    /// It is over.
    Terminated {
        /// A token: noresource, for instance.
        reason: Bytes,
        /// How long to wait before another try.
        retry_after: Option<Duration>,
    },
}

/// A request outside of any dialog, as its user calls it: free again once it was answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct RequestId(pub u64);

/// A request of a peer outside of any dialog, until it is answered. Never used twice by one endpoint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReceivedId {
    pub(crate) index: u32,
    pub(crate) serial: u32,
}

impl fmt::Debug for ReceivedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_id(f, "request", self.serial)
    }
}

impl fmt::Display for ReceivedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A subscription of a peer, from its SUBSCRIBE to its end. Never used twice by one endpoint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SubscriberId {
    pub(crate) index: u32,
    pub(crate) serial: u32,
}

impl fmt::Debug for SubscriberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_id(f, "subscriber", self.serial)
    }
}

impl fmt::Display for SubscriberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A name that an endpoint has given; in the alternate form one that [`Canonical`](super::Canonical) numbers anew.
fn write_id(f: &mut fmt::Formatter<'_>, kind: &str, serial: u32) -> fmt::Result {
    let mark = super::SESSION_MARK;
    if f.alternate() { write!(f, "{mark}{serial}{mark}") } else { write!(f, "{kind} {serial}") }
}

/// Header lines that a user adds to a message.
pub type Headers = Vec<(Name, Bytes)>;

/// An invitation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Invite {
    /// The next hops, in the order in which they are tried (RFC 3263 §4.3). CANCEL and the ACK of a failure go the way of
    /// the attempt that they belong to.
    pub targets: Vec<Target>,
    /// The Request-URI.
    pub uri: Bytes,
    /// The address that stands in From, without tag.
    pub from: Bytes,
    /// The address that stands in To.
    pub to: Bytes,
    /// Route values.
    pub routes: Vec<Bytes>,
    /// Further header lines.
    pub headers: Headers,
    /// The offer.
    pub body: Option<Body>,
    /// After this span the invitation is cancelled; it is told to the peer in Expires.
    pub expires: Option<Duration>,
    /// Header lines of the CANCEL that is sent then: Reason, for instance.
    pub expires_headers: Headers,
    /// What our Contact in the session says; `None` for the same as in others.
    pub contact: Option<Contact>,
    /// Max-Forwards: one less than that of the request which this one carries on; `None` for 70 (RFC 3261 §8.1.1.6).
    pub hops: Option<u8>,
}

/// A session, from the INVITE to its end. Never used twice by one endpoint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId {
    pub(crate) index: u32,
    pub(crate) serial: u32,
}

impl SessionId {
    /// A name that no endpoint gives: for what a layer above tells its user like a session, although it has no INVITE.
    pub const fn apart(number: u32) -> Self {
        Self { index: u32::MAX, serial: u32::MAX - number }
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_id(f, "session", self.serial)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
