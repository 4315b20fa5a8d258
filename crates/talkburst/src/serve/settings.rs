//! What a server is told once, and what it is without being told.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use bytes::Bytes;
use poc::sdp::Capabilities;
use sip::Duration;

use super::media::MediaSettings;
use sip::transaction::timer::Timers;
use sip::transport::{Target, Transport};

/// The port of SIP (RFC 3261 §19.1.2).
pub(crate) const PORT: u16 = 5060;

/// What a server is told once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Settings {
    pub(crate) folder: PathBuf,
    /// The domain; `None`: the one that the data folder has.
    pub(crate) domain: Option<String>,
    /// Where to receive; never empty.
    pub(crate) listeners: Vec<Listening>,
    pub(crate) core: CoreAt,
    pub(crate) media: MediaSettings,
    pub(crate) talk_bursts: poc::talk_burst::controlling::Settings,
    /// Whether a session in which nobody speaks for long is released.
    pub(crate) release_inactive: bool,
    pub(crate) shards: u8,
    pub(crate) timers: Timers,
    /// What nonces are made with, if they are to be good after a restart.
    pub(crate) secret: Option<Secret>,
    pub(crate) peers: Vec<(String, SocketAddr)>,
    pub(crate) trusted: Vec<sipcore::Source>,
    pub(crate) sessions: Sessions,
    pub(crate) publications: Publications,
    pub(crate) registrations: Registrations,
    pub(crate) limits: Limits,
    /// Octets of the last messages that each shard keeps for a capture; none with 0.
    pub(crate) ring: usize,
    /// Where metrics and health are told, by HTTP.
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) log: LogSettings,
    /// How long a server that stops waits for its sessions to be released.
    pub(crate) release_within: Duration,
    /// Where talk bursts are recorded.
    pub(crate) recordings: Option<PathBuf>,
    /// Where it is kept what goes into the shards.
    pub(crate) journal: Option<PathBuf>,
    /// For how long records of sessions are kept.
    pub(crate) records_kept: Duration,
    /// Events as lines of JSON on standard output.
    pub(crate) json: bool,
}

/// A place where datagrams and connections are received, on the same port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Listening {
    /// Port 0 is one that is free.
    pub(crate) bind: SocketAddr,
    /// What peers are told. Port 0 is the one that is listened on.
    pub(crate) advertised: SocketAddr,
}

/// Where the SIP/IP core is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CoreAt {
    /// In this process.
    Embedded,
    /// There; nobody else may speak to the PoC Server.
    Outside(SocketAddr),
}

/// A secret, and the file that has it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret {
    pub(crate) file: PathBuf,
    pub(crate) octets: [u8; 16],
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("file", &self.file).finish_non_exhaustive()
    }
}

/// What is logged, how, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LogSettings {
    pub(crate) format: LogFormat,
    /// What is logged, as `tracing` has it: `info`, `warn,talkburst=debug`.
    pub(crate) filter: String,
    /// `None`: standard error.
    pub(crate) file: Option<PathBuf>,
}

/// How a line of the log looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Human,
    /// A JSON object a line.
    Json,
}

/// What the PoC Server lets happen: fields of [`poc::server::Config`] and of its endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sessions {
    pub(crate) early_answer: bool,
    pub(crate) set_up_limit: Duration,
    pub(crate) ring_limit: Duration,
    pub(crate) reliability: sip::Reliability,
    pub(crate) session_expires: Option<Duration>,
    pub(crate) min_se: Duration,
    pub(crate) invited_max: usize,
    pub(crate) invites_at_once: usize,
    pub(crate) invites_pause: Duration,
    pub(crate) notify_after: Duration,
    pub(crate) notify_every: Duration,
    pub(crate) pre_established_max: usize,
    pub(crate) connects: bool,
    pub(crate) connect_wait: Duration,
}

/// The settings that users publish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Publications {
    /// Those of a user who has published none. `None`: such a user is not registered for PoC.
    pub(crate) unpublished: Option<poc::AnswerMode>,
    pub(crate) expires_default: Duration,
    pub(crate) expires_min: Duration,
}

/// The registrar: fields of [`sipcore::Config`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Registrations {
    pub(crate) expires: sipcore::Expires,
    pub(crate) bindings_max: usize,
    pub(crate) nonce_validity: Duration,
    pub(crate) algorithms: sipcore::Algorithms,
    pub(crate) subscribers_of_user_max: usize,
}

/// What peers can take, for each shard; core and PoC Server have as much each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Limits {
    pub(crate) transactions_max: usize,
    pub(crate) subscribers_max: usize,
    pub(crate) messages_max: usize,
    pub(crate) received_max: usize,
    pub(crate) forks_max: usize,
    pub(crate) datagram_max: usize,
    pub(crate) refusals: sipcore::Rate,
    /// Timer C of RFC 3261 §16.6 step 11.
    pub(crate) timer_c: Duration,
}

impl Settings {
    /// The defaults with this data folder.
    pub(crate) fn new(folder: PathBuf) -> Self {
        let listening = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
        let nowhere = Target { transport: Transport::Udp, remote: listening };
        let media = Capabilities::amr(listening.ip(), 0, 0);
        let sip = sip::Config::new(Vec::new(), [0; 32]);
        let server = poc::server::Config::new(sip, nowhere, Bytes::new(), media);
        let core = sipcore::Config::new(Bytes::new(), Vec::new(), [0; 32]);
        Self {
            folder,
            domain: None,
            listeners: vec![Listening { bind: listening, advertised: listening }],
            core: CoreAt::Embedded,
            talk_bursts: server.talk_bursts.clone(),
            release_inactive: server.release_inactive,
            media: MediaSettings { first_port: 0, pairs: 4 },
            shards: default_shards(),
            timers: Timers::default(),
            secret: None,
            peers: Vec::new(),
            trusted: Vec::new(),
            sessions: Sessions {
                early_answer: server.early_answer,
                set_up_limit: server.set_up_limit,
                ring_limit: server.ring_limit,
                reliability: server.sip.reliability,
                session_expires: server.sip.session_expires,
                min_se: server.sip.min_se,
                invited_max: server.invited_max,
                invites_at_once: server.invites_at_once,
                invites_pause: server.invites_pause,
                notify_after: server.notify_after,
                notify_every: server.notify_every,
                pre_established_max: server.pre_established_max,
                connects: server.connects,
                connect_wait: server.connect_wait,
            },
            publications: Publications {
                unpublished: None,
                expires_default: server.publication,
                expires_min: server.publication_min,
            },
            registrations: Registrations {
                expires: core.expires,
                bindings_max: core.bindings_max,
                nonce_validity: core.nonces.validity,
                algorithms: core.algorithms,
                subscribers_of_user_max: core.subscribers_of_user_max,
            },
            limits: Limits {
                transactions_max: core.transactions_max,
                subscribers_max: core.subscribers_max,
                messages_max: server.messages_max,
                received_max: server.sip.received_max,
                forks_max: server.sip.forks_max,
                datagram_max: core.datagram_max,
                refusals: core.refusals,
                timer_c: core.timer_c,
            },
            ring: 0,
            metrics: None,
            log: LogSettings { format: LogFormat::Human, filter: "warn".to_owned(), file: None },
            release_within: Duration::from_secs(5),
            recordings: None,
            journal: None,
            records_kept: Duration::from_secs(90 * 24 * 60 * 60),
            json: false,
        }
    }

    /// The first listener: the one that is shown to users and named in session descriptions.
    pub(crate) fn first(&self) -> Listening {
        self.listeners[0]
    }

    /// What all shards have of this in their cores.
    pub(super) fn tell_core(&self, core: &mut sipcore::Config) {
        let (registrations, limits) = (&self.registrations, &self.limits);
        core.timers = self.timers;
        core.timer_c = limits.timer_c;
        core.datagram_max = limits.datagram_max;
        core.transactions_max = limits.transactions_max;
        core.subscribers_max = limits.subscribers_max;
        core.refusals = limits.refusals;
        core.expires = registrations.expires;
        core.bindings_max = registrations.bindings_max;
        core.nonces.validity = registrations.nonce_validity;
        core.algorithms = registrations.algorithms;
        core.subscribers_of_user_max = registrations.subscribers_of_user_max;
        let peer = |(domain, remote): &(String, SocketAddr)| sipcore::Peer {
            domain: Bytes::copy_from_slice(domain.as_bytes()),
            target: Target { transport: Transport::Udp, remote: *remote },
        };
        core.peers = self.peers.iter().map(peer).collect();
        core.trusted.clone_from(&self.trusted);
    }

    /// What all shards have of this in their PoC Servers.
    pub(super) fn tell_server(&self, server: &mut poc::server::Config) {
        let (sessions, publications, limits) = (&self.sessions, &self.publications, &self.limits);
        server.sip.timers = self.timers;
        server.sip.session_expires = sessions.session_expires;
        server.sip.reliability = sessions.reliability;
        server.sip.min_se = sessions.min_se;
        server.sip.transactions_max = limits.transactions_max;
        server.sip.subscribers_max = limits.subscribers_max;
        server.sip.datagram_max = limits.datagram_max;
        server.sip.received_max = limits.received_max;
        server.sip.forks_max = limits.forks_max;
        server.messages_max = limits.messages_max;
        server.talk_bursts.clone_from(&self.talk_bursts);
        server.release_inactive = self.release_inactive;
        server.is_recording = self.recordings.is_some();
        server.early_answer = sessions.early_answer;
        server.set_up_limit = sessions.set_up_limit;
        server.ring_limit = sessions.ring_limit;
        server.invited_max = sessions.invited_max;
        server.invites_at_once = sessions.invites_at_once;
        server.invites_pause = sessions.invites_pause;
        server.notify_after = sessions.notify_after;
        server.notify_every = sessions.notify_every;
        server.pre_established_max = sessions.pre_established_max;
        server.connects = sessions.connects;
        server.connect_wait = sessions.connect_wait;
        server.publication = publications.expires_default;
        server.publication_min = publications.expires_min;
        let settings = |mode| poc::body::settings::Settings { answer_mode: Some(mode), ..Default::default() };
        server.unpublished = publications.unpublished.map(settings);
    }
}

/// One a processor core.
fn default_shards() -> u8 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u8::try_from(cores).unwrap_or(super::SHARDS_MAX).min(super::SHARDS_MAX)
}
