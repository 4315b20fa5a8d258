//! What goes into an endpoint and what comes out of it.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::auth::Credentials;
use crate::dialog::ROUTES_MAX;
use crate::identifier::Owner;
use crate::message::{
    Body, Message, Method, Name, NameAddr, Uri, check_value, has_line_end, may_repeat, scan,
};
use crate::time::{Duration, Instant};
use crate::transaction::timer::Timers;
use crate::transport::{ConnectionId, Listener, Path, Target};
use crate::usage::{End, Party, session_timer};

/// The version of [`Record`]. A journal of another version is not replayed.
pub const JOURNAL_VERSION: u16 = 3;

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
    /// The types of body that an INVITE may have.
    pub body_types: Vec<Bytes>,
    /// Octets of the longest request that leaves by UDP: 1300, or the path MTU less 200 (RFC 3261 §18.1.1).
    pub datagram_max: usize,
    /// Transactions that may be open at once. Beyond it a new request is answered 503 and nothing is kept of it.
    pub transactions_max: usize,
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
            body_types: vec![Bytes::from_static(b"application/sdp")],
            datagram_max: 1300,
            transactions_max: 100_000,
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
pub enum Record {
    /// The first line.
    Start {
        /// [`JOURNAL_VERSION`].
        version: u16,
        /// The settings, the seed among them.
        config: Config,
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
pub enum Input {
    /// A datagram arrived.
    Datagram {
        /// Its way.
        path: Path,
        /// Its octets.
        bytes: Bytes,
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
        /// The offer.
        body: Option<Body>,
    },
    /// Where the next hop is that [`Event::Locate`] named: requests of the session go to the first target from now on.
    Located {
        /// Which.
        session: SessionId,
        /// What the look-up gave, in the order of preference.
        targets: Vec<Target>,
    },
    /// Send a request outside of any dialog.
    Request(Box<Request>),
    /// Say what our Contact in the session is, before anything else is said to its INVITE.
    Identify {
        /// Which.
        session: SessionId,
        /// What it says besides the address.
        contact: Contact,
    },
}

/// What our Contact says besides the address, which the endpoint knows.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Contact {
    /// Parameters of its URI, each with its semicolon: `;session=1-1`.
    pub uri_parameters: Bytes,
    /// Parameters behind the URI, each with its semicolon: `;+g.poc.talkburst;isfocus`.
    pub parameters: Bytes,
}

impl Contact {
    /// One with these parameters behind its URI.
    pub(super) fn behind(parameters: Bytes) -> Self {
        Self { uri_parameters: Bytes::new(), parameters }
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
}

/// A request outside of any dialog, as its user calls it: free again once it was answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct RequestId(pub u64);

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
}

/// A session, from the INVITE to its end. Never used twice by one endpoint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId {
    pub(crate) index: u32,
    pub(crate) serial: u32,
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            let mark = super::SESSION_MARK;
            return write!(f, "{mark}{}{mark}", self.serial);
        }
        write!(f, "session {}", self.serial)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// What the user must know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A 101 to 199 for our INVITE, in whatever dialog.
    Progress {
        /// Which.
        session: SessionId,
        /// The response.
        response: Message,
    },
    /// Our INVITE was accepted and the ACK has been sent.
    Established {
        /// Which.
        session: SessionId,
        /// The 2xx.
        response: Message,
    },
    /// An INVITE arrived that begins a session.
    Invited {
        /// The session that it begins.
        session: SessionId,
        /// The INVITE.
        request: Message,
    },
    /// The ACK for our 2xx arrived.
    Acknowledged {
        /// Which.
        session: SessionId,
        /// The ACK.
        request: Message,
    },
    /// A reliable 1xx of ours has arrived.
    ProgressAcknowledged {
        /// Which.
        session: SessionId,
        /// The PRACK; its body is the answer if the 1xx held an offer (RFC 3262 §5).
        request: Message,
    },
    /// The peer wants to change the session: answer with accept or refuse. An UPDATE or a PRACK, which may come before
    /// the session is established, wants it at once: after T2 it is answered 504 (RFC 3311 §5.2).
    ModificationOffered {
        /// Which.
        session: SessionId,
        /// The re-INVITE, UPDATE or PRACK.
        request: Message,
    },
    /// Our change was accepted and the ACK has been sent; or a refresh of ours, whose answer may be another one (RFC 4028
    /// §7.4).
    Modified {
        /// Which.
        session: SessionId,
        /// The 2xx.
        response: Message,
    },
    /// A change, ours or the peer's, is over without having been wanted by both. The session is as it was before, unless
    /// `status` is a 2xx: then the peer had accepted before our CANCEL reached it, and the change holds.
    ModificationEnded {
        /// Which.
        session: SessionId,
        /// How.
        end: End,
        /// Who caused it.
        by: Party,
        /// The final response, if there was one.
        status: Option<u16>,
        /// After a 491: how long to wait before another try (RFC 3261 §14.1).
        retry_after: Option<Duration>,
    },
    /// The next hop of the session is a name. Requests go the way of the INVITE until it was looked up; nothing waits
    /// for that. Told once.
    Locate {
        /// Which.
        session: SessionId,
        /// The URI to look up (RFC 3263).
        uri: Bytes,
    },
    /// A request outside of any dialog is over: told once.
    Answered {
        /// Which.
        request: RequestId,
        /// The final response.
        response: Option<Message>,
        /// Why there is none.
        end: Option<End>,
    },
    /// This stream cannot be read any more: close the connection.
    Disconnect {
        /// Which.
        connection: ConnectionId,
    },
    /// The session is over: the last event of it, and the only one of this kind.
    Ended {
        /// Which.
        session: SessionId,
        /// How.
        end: End,
        /// Who caused it.
        by: Party,
        /// The final response to the INVITE that settled it, if there was one.
        status: Option<u16>,
        /// The value of Reason in the message that ended it (RFC 3326).
        reason: Option<Bytes>,
    },
}

/// Our own caller asked for what the state does not allow. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Misuse {
    /// There is no such session, or it is over.
    NoSession,
    /// A final response is known already: leave the session instead.
    TooLate,
    /// There is no INVITE, UPDATE or PRACK of the peer to answer.
    NothingToAnswer,
    /// The session is not established, so it cannot be left or changed: cancel it, or refuse it.
    NotEstablished,
    /// Another change of the session, or another request of this name, is under way; or too many provisional responses
    /// wait for their PRACK.
    Busy,
    /// There is no listener for the transport and address family of the target.
    NoListener,
    /// This text is no URI or no address.
    Address,
    /// No next hop is given.
    NoTarget,
    /// This method has a command of its own, or is none that can be asked for.
    Method,
    /// A header value is malformed or has a line end in it, or names a header field that the endpoint writes itself.
    HeaderLine,
    /// The status code is not one for this answer.
    Status,
    /// The message would be longer than [`LENGTH_MAX`](crate::message::LENGTH_MAX), or what a user adds to it is longer
    /// than 8 KiB or 64 lines.
    TooLong,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSession => "no such session",
            Self::TooLate => "too late: a final response is known, leave the session instead",
            Self::NothingToAnswer => "no invitation to answer",
            Self::NotEstablished => "session is not established: cancel or refuse it",
            Self::Busy => "another change of the session, or request of this name, is under way",
            Self::NoListener => "no listener for the transport and address family of the target",
            Self::Address => "not a URI or an address",
            Self::NoTarget => "no next hop is given",
            Self::Method => "not a method for a request outside of a dialog",
            Self::HeaderLine => {
                "line end in a header value, or a header field that the endpoint writes itself"
            }
            Self::Status => "status code does not fit the answer",
            Self::TooLong => "message too long",
        })
    }
}

impl std::error::Error for Misuse {}

/// Octets of the header lines, or of the Route values, that a user adds to a message.
const ADDED_MAX: usize = 8 * 1024;

/// Header lines that a user adds to a message.
const LINES_MAX: usize = 64;

/// A user's header lines must not break the message apart, nor double what the endpoint writes.
pub(super) fn check_headers(headers: &Headers) -> Result<(), Misuse> {
    let own = [
        Name::Via,
        Name::From,
        Name::To,
        Name::CallId,
        Name::CSeq,
        Name::MaxForwards,
        Name::Contact,
        Name::ContentLength,
        Name::ContentType,
        Name::Route,
        Name::RecordRoute,
        Name::RSeq,
        Name::RAck,
        Name::SessionExpires,
        Name::MinSe,
        Name::Other,
    ];
    let is_fine = |(name, value): &(Name, Bytes)| {
        !own.contains(name) && !has_line_end(value) && check_value(*name, value).is_ok()
    };
    let octets: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if octets > ADDED_MAX || headers.len() > LINES_MAX {
        return Err(Misuse::TooLong);
    }
    let is_first = |place: usize| headers[..place].iter().all(|(name, _)| *name != headers[place].0);
    let is_single = (0..headers.len()).all(|place| may_repeat(headers[place].0) || is_first(place));
    if is_single && headers.iter().all(is_fine) { Ok(()) } else { Err(Misuse::HeaderLine) }
}

/// RFC 3261 §9.1: a CANCEL requires nothing.
pub(super) fn check_cancel_headers(headers: &Headers) -> Result<(), Misuse> {
    check_headers(headers)?;
    let requires = |(name, _): &(Name, Bytes)| matches!(name, Name::Require | Name::ProxyRequire);
    if headers.iter().any(requires) { Err(Misuse::HeaderLine) } else { Ok(()) }
}

/// The type of a body stands in a header line of its own.
pub(super) fn check_body(body: Option<&Body>) -> Result<(), Misuse> {
    let is_fine = body.is_none_or(|body| {
        let kind = &body.content_type;
        !has_line_end(kind) && check_value(Name::ContentType, kind).is_ok()
    });
    if is_fine { Ok(()) } else { Err(Misuse::HeaderLine) }
}

/// Parameters of a Contact that stay where they are put, and do not begin another one.
pub(super) fn check_contact(contact: &Contact) -> Result<(), Misuse> {
    let Contact { uri_parameters, parameters } = contact;
    if uri_parameters.len() + parameters.len() > ADDED_MAX {
        return Err(Misuse::TooLong);
    }
    // RFC 3261 §25.1: paramchar, and what stands between them.
    let is_parameter = |octet: &u8| octet.is_ascii_alphanumeric() || b"[]/:&+$-_.!~*'()%;=".contains(octet);
    let uri = [b"sip:u@h", &uri_parameters[..]].concat();
    let value = [b"<", &uri[..], b">", parameters].concat();
    let behind_semicolon = |text: &[u8]| text.is_empty() || text.starts_with(b";");
    let is_fine = !has_line_end(&value)
        && behind_semicolon(uri_parameters)
        && uri_parameters.iter().all(is_parameter)
        && behind_semicolon(parameters)
        && scan::split(&value, b',').count() == 1
        && NameAddr::parse(&value).is_ok()
        && Uri::parse(&uri).is_ok();
    if is_fine { Ok(()) } else { Err(Misuse::HeaderLine) }
}

/// Route values, each an address on one line.
pub(super) fn check_routes(routes: &[Bytes]) -> Result<(), Misuse> {
    if routes.len() > ROUTES_MAX || routes.iter().map(Bytes::len).sum::<usize>() > ADDED_MAX {
        return Err(Misuse::TooLong);
    }
    let is_fine =
        |route: &Bytes| !has_line_end(route) && NameAddr::parse(route).is_ok() && route.contains(&b'<');
    if routes.iter().all(is_fine) { Ok(()) } else { Err(Misuse::Address) }
}

/// A Request-URI: on one line, and without header fields (RFC 3261 §19.1.1).
pub(super) fn check_uri(text: &[u8]) -> Result<(), Misuse> {
    let uri = Uri::parse(text).map_err(|_| Misuse::Address)?;
    if has_line_end(text) || uri.headers.is_some() { Err(Misuse::Address) } else { Ok(()) }
}

/// An address for From or To: readable, on one line, and without a tag, which is the endpoint's to write.
pub(super) fn check_address(text: &[u8]) -> Result<(), Misuse> {
    let address = NameAddr::parse(text).map_err(|_| Misuse::Address)?;
    if has_line_end(text) || address.tag().is_some() || scan::trim(text).len() != text.len() {
        return Err(Misuse::Address);
    }
    Ok(())
}
