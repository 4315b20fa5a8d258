//! What goes into a PoC Client, and what comes out of it beside messages.

use std::net::SocketAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sip::transport::{ConnectionId, Path, Target};
use sip::usage::{End, Party};
use sip::{Duration, SessionId};

use super::addressee::Addressee;
use super::alerts::{Alert, AlertId};
use super::enrolment::Registration;
use super::members::Change;
use super::outcome::Outcome;
use super::talking::Speech;
use crate::answer_state::AnswerState;
use crate::body::conference_info::Roster;
use crate::body::resource_lists;
use crate::focus::Focus;
use crate::media::Stream;
use crate::sdp::{Capabilities, Media};
use crate::talk_burst::client::{Timers, Told};
use crate::talk_burst::{NtpTimestamp, Priority};

/// What a PoC Client is told once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Config {
    /// The endpoint below.
    pub sip: sip::Config,
    /// The user's PoC Address, with a display name if there is one: `"Anna" <sip:anna@home1.example>`.
    pub address: Bytes,
    /// The media that the client can do.
    pub capabilities: Capabilities,
    /// What the user wants: obeyed here, and published while the client is registered.
    pub settings: PocSettings,
    /// What the SIP/IP core is.
    pub profile: Profile,
    /// Where to register; `None`: nowhere.
    pub registration: Option<Registration>,
    /// The conference-factory URI by way of which users are invited; `None`: one at the user's own address, and no ad-hoc group
    /// (digest 7.1).
    pub conference_factory: Option<Bytes>,
    /// Whether what an INVITE says about the answer mode is obeyed (RFC 5373): only if nobody but the own PoC Server can
    /// send one that asks for PoC. One that does not then meets the user, never an automatic answer.
    pub trusts_answer_mode: bool,
    /// Whether a session is pre-established by way of the conference factory while the client is registered, and used where
    /// it can be (digest 7.2).
    pub pre_establishes: bool,
    /// Whether Instant Personal Alerts and group advertisements are taken.
    pub accepts_alerts: bool,
    /// How long the client waits in talk bursts, and how often it asks.
    pub talk_bursts: Timers,
    /// Sessions at once, even if simultaneous ones are allowed. Further invitations meet 486.
    pub sessions_max: usize,
    /// How long an invitation of ours may go on before it is cancelled.
    pub set_up_limit: Option<Duration>,
    /// How long the client waits for its user to answer before it says 480.
    pub no_answer_after: Option<Duration>,
}

impl Config {
    /// The defaults: manual answer, a plain SIP/IP core, one session at a time, two minutes to answer.
    pub fn new(mut sip: sip::Config, address: Bytes, capabilities: Capabilities) -> Self {
        sip.product = Bytes::from_static(crate::user_agent::CLIENT.as_bytes());
        sip.contact_parameters = Bytes::from_static(b";+g.poc.talkburst");
        // A list of those who are invited too may stand beside the description (RFC 5366 §4).
        sip.body_types = ["application/sdp", "multipart/mixed", resource_lists::CONTENT_TYPE]
            .map(|kind| Bytes::from_static(kind.as_bytes()))
            .to_vec();
        Self {
            sip,
            address,
            capabilities,
            settings: PocSettings::default(),
            profile: Profile::Plain,
            registration: None,
            conference_factory: None,
            trusts_answer_mode: false,
            pre_establishes: false,
            accepts_alerts: false,
            talk_bursts: Timers::default(),
            sessions_max: 8,
            set_up_limit: None,
            no_answer_after: Some(Duration::from_secs(120)),
        }
    }
}

/// The PoC service settings of a user at this terminal (digest 6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct PocSettings {
    /// Who decides about an invitation.
    pub answer_mode: AnswerMode,
    /// Whether every invitation is refused with 480.
    pub incoming_session_barring: bool,
    /// Whether a second session may begin while there is one. If not, an invitation meets 486.
    pub simultaneous_sessions: bool,
    /// Whether the PoC Server is to refuse every Instant Personal Alert.
    pub incoming_personal_alert_barring: bool,
}

/// Who decides about an invitation (digest 7.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum AnswerMode {
    /// The user, while the client alerts.
    #[default]
    Manual,
    /// Nobody: it is accepted at once.
    Automatic,
}

/// How the inviter wants the invited side to answer (RFC 5373, digest 7.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum AnswerRequest {
    /// As the invited user has settled it.
    #[default]
    Usual,
    /// Only by its user: `Answer-Mode: Manual`.
    Manual,
    /// By itself, if it likes: `Answer-Mode: Auto`.
    Automatic,
    /// By itself, whatever its user has settled: manual answer override, `Priv-Answer-Mode: Auto`.
    Override,
}

/// What a session is among simultaneous ones (digest 8.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Emphasis {
    /// It is the primary one: its talk bursts are heard before those of others.
    pub is_primary: bool,
    /// Talk bursts of no other one are heard.
    pub is_locked: bool,
}

/// What the SIP/IP core is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Profile {
    /// Any SIP/IP core: CANCEL and BYE carry no Reason of ours.
    Plain,
    /// The IMS: CANCEL carries `RELEASE_CAUSE` (digest 14.9).
    Ims,
}

/// Everything that can happen to a client.
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
        /// At which port.
        stream: Stream,
        /// From where.
        remote: SocketAddr,
        /// Its octets.
        bytes: Bytes,
    },
    /// The time is such that something may be due.
    Timeout,
    /// The user wants something.
    Command(Command),
}

/// What a user can ask for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Command {
    /// Begin a session, or join one.
    StartSession {
        /// The next hops, in the order in which they are tried; none: those of [`Config::registration`].
        targets: Vec<Target>,
        /// Route values: an outbound proxy, for instance. Without `targets` those of the registration come before.
        routes: Vec<Bytes>,
        /// Whom it is with.
        to: Addressee,
        /// How it is to be answered.
        answer: AnswerRequest,
    },
    /// Give up a session that the other side has not answered, or a modification that it has not.
    Cancel(SessionId),
    /// Accept an invitation.
    Accept(SessionId),
    /// Refuse an invitation.
    Refuse(SessionId),
    /// Leave a session.
    Leave(SessionId),
    /// Offer the client's capabilities again in an established session.
    Modify(SessionId),
    /// Say what an established session is among simultaneous ones (re-INVITE, digest 8.3).
    Emphasise {
        /// Which.
        session: SessionId,
        /// What it is.
        emphasis: Emphasis,
    },
    /// Ask the PoC Server to add a user to an established session, or to send one away (digest 9.4).
    Refer {
        /// Which.
        session: SessionId,
        /// What is to be done.
        change: Change,
        /// The PoC Address as a URI.
        user: Bytes,
    },
    /// Be told who takes part in an established session, until it ends (digest 9.7).
    Watch(SessionId),
    /// Ask for the talk burst: the key is pressed.
    Press {
        /// In which session.
        session: SessionId,
        /// How urgent it is; what was not agreed on is less.
        priority: Priority,
        /// When it was pressed, if that was agreed on.
        timestamp: Option<NtpTimestamp>,
    },
    /// The key is let go: the talk burst is over, or not wanted any more.
    LetGo(SessionId),
    /// Ask for the place in the queue.
    AskPosition(SessionId),
    /// Send speech, while the talk burst is the user's.
    Speak {
        /// In which session.
        session: SessionId,
        /// Coded as agreed.
        payload: Bytes,
        /// How long it is.
        samples: u32,
    },
    /// Alert a user or a group without a session (digest 9.8).
    Alert {
        /// Under which name its answer is told.
        id: AlertId,
        /// The next hops, in the order in which they are tried; none: those of [`Config::registration`].
        targets: Vec<Target>,
        /// Route values.
        routes: Vec<Bytes>,
        /// The address of the user or the group, as a URI.
        to: Bytes,
        /// What is to be known.
        alert: Alert,
    },
    /// Where the next hop is that [`Event::Locate`] named.
    Located {
        /// Which.
        session: SessionId,
        /// What the look-up gave, in the order of preference.
        targets: Vec<Target>,
    },
    /// Register as [`Config::registration`] says, keep it so, and publish the settings.
    Register,
    /// Be registered no more: the settings are removed first. Told by [`Event::Deregistered`] in any case.
    Deregister,
    /// The network is another one: register anew at once.
    NetworkChanged,
    /// Go by other settings, and publish them.
    SetSettings(PocSettings),
    /// Cancel, refuse or leave every session, and have none any more.
    Close,
}

/// What the user must know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The other side is being asked: 180, or another 1xx but 100.
    Progress {
        /// Which.
        session: SessionId,
        /// The status code.
        status: u16,
    },
    /// An invitation has arrived. With automatic answer it has been accepted already.
    Invited {
        /// Which.
        session: SessionId,
        /// Who invites, as an address without parameters: From of the INVITE, or Referred-By if that is a group.
        inviter: Bytes,
        /// The group whose member the user is, likewise.
        group: Option<Bytes>,
        /// Who else is invited, as far as the inviter lets it be seen (RFC 5364 §4): URIs.
        others: Vec<Bytes>,
        /// The session that the user is invited to; `None`: nobody is between the two.
        focus: Option<Focus>,
        /// Whether the user is asked.
        answer_mode: AnswerMode,
    },
    /// The session stands: both sides know it.
    Established {
        /// Which.
        session: SessionId,
        /// Whether the invited user, or a server on its behalf, accepted.
        answer_state: AnswerState,
        /// What the PoC Server calls it; `None`: nobody is between the two.
        focus: Option<Focus>,
        /// The media agreed on.
        media: Box<Media>,
    },
    /// The media of an established session have been agreed on anew.
    Modified {
        /// Which.
        session: SessionId,
        /// The media agreed on.
        media: Box<Media>,
    },
    /// A modification came to nothing, and the media are as before.
    ModificationEnded {
        /// Which.
        session: SessionId,
        /// How.
        end: End,
        /// Who caused it.
        by: Party,
        /// The final response, if there was one. A 2xx crossed our CANCEL: the peer believes in the modification.
        status: Option<u16>,
    },
    /// A user who is being added to a session, or removed from it: what the PoC Server says meanwhile.
    MemberProgress {
        /// Which.
        session: SessionId,
        /// What is being done.
        change: Change,
        /// To whom.
        user: Bytes,
        /// 101 to 199.
        status: u16,
    },
    /// That is decided: the last that is said of it.
    MemberChanged {
        /// Which.
        session: SessionId,
        /// What was to be done.
        change: Change,
        /// To whom.
        user: Bytes,
        /// 2xx: it was done, or taken on without a further word; `None`: nobody said.
        status: Option<u16>,
    },
    /// Who takes part in a session that is watched has changed.
    Participants {
        /// Which.
        session: SessionId,
        /// Everybody, and how they stand.
        roster: Box<Roster>,
    },
    /// Who takes part is not told any more, although the session goes on.
    WatchEnded {
        /// Which.
        session: SessionId,
        /// The final response that refused it, if there was one.
        status: Option<u16>,
    },
    /// An alert, or a group advertisement, has arrived.
    Alerted {
        /// From of the MESSAGE, without its parameters.
        from: Bytes,
        /// What is to be known.
        alert: Alert,
    },
    /// An alert of ours was answered.
    AlertAnswered {
        /// Which.
        alert: AlertId,
        /// 200: it has arrived; 202: it was taken on; `None`: no answer came.
        status: Option<u16>,
    },
    /// The pre-established session stands: sessions begin without waiting for media to be agreed on (digest 7.2).
    PreEstablished,
    /// It does not, or not any more.
    PreEstablishedEnded {
        /// The final response that refused it, if there was one.
        status: Option<u16>,
        /// When it is tried again; `None`: not by itself.
        retry_in: Option<Duration>,
    },
    /// The registration stands; told again when it was refreshed.
    Registered {
        /// For how long.
        expires: Duration,
        /// The way that requests of the user go (RFC 3608).
        service_route: Vec<Bytes>,
    },
    /// A REGISTER came to nothing.
    RegistrationFailed {
        /// The final response, if there was one.
        status: Option<u16>,
        /// When it is tried again; `None`: not by itself, for it would only be refused again.
        retry_in: Option<Duration>,
    },
    /// The registration is over because the user wanted it.
    Deregistered {
        /// The answer to the REGISTER that ended it; `None`: none came in time, or none was needed.
        status: Option<u16>,
    },
    /// The PoC Server knows the settings; told again when they were refreshed.
    SettingsPublished,
    /// A PUBLISH came to nothing.
    SettingsFailed {
        /// The final response, if there was one.
        status: Option<u16>,
        /// When it is tried again; `None`: not by itself.
        retry_in: Option<Duration>,
    },
    /// Something about who speaks.
    TalkBurst {
        /// In which session.
        session: SessionId,
        /// What.
        told: Told,
    },
    /// Somebody is heard.
    Heard {
        /// In which session.
        session: SessionId,
        /// What is said.
        speech: Speech,
    },
    /// The session is over: the last event of it, and the only one of this kind.
    Ended {
        /// Which.
        session: SessionId,
        /// How.
        outcome: Outcome,
    },
    /// The next hop of a session is a name: look it up (RFC 3263) and answer with [`Command::Located`]. Nothing waits for
    /// that; until then, and without it, requests go the way of the INVITE.
    Locate {
        /// Which.
        session: SessionId,
        /// The URI to look up.
        uri: Bytes,
    },
    /// A stream cannot be read any more: close the connection.
    Disconnect {
        /// Which.
        connection: ConnectionId,
    },
}

impl Event {
    /// The session that it is about, if it is about one.
    pub fn session(&self) -> Option<SessionId> {
        match self {
            Self::Progress { session, .. }
            | Self::Invited { session, .. }
            | Self::Established { session, .. }
            | Self::Modified { session, .. }
            | Self::ModificationEnded { session, .. }
            | Self::MemberProgress { session, .. }
            | Self::MemberChanged { session, .. }
            | Self::Participants { session, .. }
            | Self::WatchEnded { session, .. }
            | Self::TalkBurst { session, .. }
            | Self::Heard { session, .. }
            | Self::Ended { session, .. }
            | Self::Locate { session, .. } => Some(*session),
            Self::Disconnect { .. }
            | Self::Alerted { .. }
            | Self::AlertAnswered { .. }
            | Self::PreEstablished
            | Self::PreEstablishedEnded { .. }
            | Self::Registered { .. }
            | Self::RegistrationFailed { .. }
            | Self::Deregistered { .. }
            | Self::SettingsPublished
            | Self::SettingsFailed { .. } => None,
        }
    }
}
