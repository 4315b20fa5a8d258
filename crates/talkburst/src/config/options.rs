//! Every option of the file: its table, its name, what it takes, where its value goes, and what it means.
//!
//! docs/configuration.md has the same rows; a test compares the two.

use std::path::PathBuf;

use sip::{Duration, Reliability};

use super::item::{Item, Kind, count, named, span};
use super::value::{FOREVER, read_address, show_span};
use crate::control::domain_fault;
use crate::serve::{CoreAt, LogFormat, SHARDS_MAX};

/// Whether the table of this name may stand there many times.
pub(super) fn is_array(table: &str) -> bool {
    OPTIONS.iter().any(|item| item.table == table && matches!(item.kind, Kind::Part { .. }))
}

/// The option of this name in this table.
pub(super) fn find(table: &str, key: &str) -> Option<&'static Item> {
    OPTIONS.iter().find(|item| item.table == table && item.key == key)
}

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

const DAY: Duration = secs(24 * 60 * 60);

/// The longest set-up timer: proxies give an INVITE up after 3 minutes without a response (digest 10.4).
const SETUP_MAX: Duration = secs(170);

const MODES: &[&str] = &["refused", "manual", "automatic"];
const RELIABLE: &[&str] = &["never", "when-required", "when-supported"];
const FORMATS: &[&str] = &["human", "json"];

/// All of them, in the order of the document and of `talkburst check`.
pub(super) static OPTIONS: &[Item] = &[
    Item {
        table: "",
        key: "data",
        kind: Kind::Text {
            what: "path",
            bounds: "",
            set: |settings, text| {
                settings.folder = PathBuf::from(text);
                if text.is_empty() { Err("is empty; name a folder".to_owned()) } else { Ok(()) }
            },
            get: |settings| Some(settings.folder.display().to_string()),
            else_: "`$TALKBURST_DATA`, or `talkburst` in `$XDG_DATA_HOME` or `~/.local/share`",
        },
        meaning: "the data folder; one server at a time has it, and only its user may read it",
    },
    Item {
        table: "",
        key: "domain",
        kind: Kind::Text {
            what: "name",
            bounds: "",
            set: |settings, text| {
                settings.domain = Some(text.to_ascii_lowercase());
                domain_fault(text).map_or(Ok(()), |why| Err(format!("{text:?} is no domain: {why}")))
            },
            get: |settings| settings.domain.clone(),
            else_: "that of the data folder; `poc.internal` in a new one",
        },
        meaning: "the domain of the users; once there are users it stays, for passwords are bound to it",
    },
    Item {
        table: "",
        key: "core",
        kind: Kind::Text {
            what: "\"embedded\" or IP:PORT",
            bounds: "",
            set: |settings, text| {
                settings.core = match text {
                    "embedded" => CoreAt::Embedded,
                    _ => CoreAt::Outside(
                        read_address(text).map_err(|why| format!("{why}; or write \"embedded\""))?,
                    ),
                };
                Ok(())
            },
            get: |settings| {
                Some(match settings.core {
                    CoreAt::Embedded => "embedded".to_owned(),
                    CoreAt::Outside(address) => address.to_string(),
                })
            },
            else_: "",
        },
        meaning: "the SIP/IP core: in this process, or at an address; then nobody else may speak to the PoC Server",
    },
    count!("", "shards", 1, SHARDS_MAX as u64, u8, shards, "threads that share the work"),
    Item {
        table: "",
        key: "secret-file",
        kind: Kind::SecretFile,
        meaning: "16 octets or more, of which nonces are made: with one, those that clients have are good after a restart",
    },
    Item {
        table: "",
        key: "trusted",
        kind: Kind::Sources,
        meaning: "elements whose requests are trusted besides, as an application server's",
    },
    span!(
        "",
        "release-within",
        ms(0),
        secs(600),
        release_within,
        "how long a server that is stopped waits for its sessions to be released"
    ),
    span!("", "records-kept", secs(3600), FOREVER, records_kept, "for how long records of sessions are kept"),
    Item {
        table: "listener",
        key: "bind",
        kind: Kind::Part { what: "IP[:PORT]", default: "\"127.0.0.1:5060\" without any listener" },
        meaning: "where to receive, UDP and TCP on the same port; port 0 is a free one",
    },
    Item {
        table: "listener",
        key: "advertise",
        kind: Kind::Part {
            what: "IP[:PORT]",
            default: "`bind`; the address of the usual way out if that is any",
        },
        meaning: "what peers are told in Via, Record-Route and Contact",
    },
    Item {
        table: "peer",
        key: "domain",
        kind: Kind::Part { what: "name", default: "" },
        meaning: "another domain",
    },
    Item {
        table: "peer",
        key: "address",
        kind: Kind::Part { what: "IP:PORT", default: "" },
        meaning: "its SIP/IP core; what comes from there is trusted",
    },
    span!(
        "timers",
        "t1",
        ms(1),
        secs(10),
        timers.t1,
        "T1, the estimate of the round trip (RFC 3261 §17.1.1.1)"
    ),
    span!(
        "timers",
        "t2",
        ms(1),
        secs(80),
        timers.t2,
        "T2, the longest interval between retransmissions; 8*T1 if it is not said"
    ),
    span!(
        "timers",
        "t4",
        ms(1),
        secs(100),
        timers.t4,
        "T4, how long a message may stay in the network; 10*T1 if it is not said"
    ),
    span!(
        "timers",
        "c",
        secs(181),
        secs(3600),
        limits.timer_c,
        "timer C: how long a branch of the core may ring without another 1xx (RFC 3261 §16.6 step 11)"
    ),
    Item {
        table: "sessions",
        key: "early-answer",
        kind: Kind::Switch {
            set: |settings, value| settings.sessions.early_answer = value,
            get: |settings| settings.sessions.early_answer,
        },
        meaning: "inviters are told 200 (Unconfirmed) before somebody has accepted",
    },
    span!(
        "sessions",
        "setup-timer",
        ms(1),
        SETUP_MAX,
        sessions.set_up_limit,
        "how long an invited user may take to answer"
    ),
    span!(
        "sessions",
        "ring-limit",
        ms(1),
        secs(3600),
        sessions.ring_limit,
        "how long a client may ring for an inviter that never gives up"
    ),
    Item {
        table: "sessions",
        key: "reliable",
        kind: Kind::Choice {
            words: RELIABLE,
            set: |settings, place| {
                settings.sessions.reliability =
                    [Reliability::Never, Reliability::WhenRequired, Reliability::WhenSupported][place];
            },
            get: |settings| match settings.sessions.reliability {
                Reliability::Never => 0,
                Reliability::WhenRequired => 1,
                Reliability::WhenSupported => 2,
            },
        },
        meaning: "which provisional responses are reliable (RFC 3262)",
    },
    Item {
        table: "sessions",
        key: "session-expires",
        kind: Kind::Text {
            what: "span or \"never\"",
            bounds: "90s to 24h",
            set: |settings, text| {
                settings.sessions.session_expires = match text {
                    "never" => None,
                    _ => {
                        let span = humantime::parse_duration(text).map_err(|_| {
                            format!("{text:?} is no span of time; write \"30m\" or its like, or \"never\"")
                        })?;
                        if span < secs(90) || span > DAY {
                            return Err(format!(
                                "{text:?} is out of bounds; 90s to 24h can be, or \"never\""
                            ));
                        }
                        Some(span)
                    }
                };
                Ok(())
            },
            get: |settings| {
                Some(settings.sessions.session_expires.map_or_else(|| "never".to_owned(), show_span))
            },
            else_: "",
        },
        meaning: "after which a session is over unless it is refreshed (RFC 4028); `never`: only if a client wants it",
    },
    span!(
        "sessions",
        "min-se",
        secs(90),
        DAY,
        sessions.min_se,
        "the smallest such span that a client may want"
    ),
    count!(
        "sessions",
        "invited-max",
        1,
        1000,
        usize,
        sessions.invited_max,
        "users whom one INVITE may invite, but for a group's"
    ),
    count!(
        "sessions",
        "invites-at-once",
        1,
        10_000,
        usize,
        sessions.invites_at_once,
        "invitations of one session that leave at once; the others have their turn after a pause"
    ),
    span!("sessions", "invites-pause", ms(1), secs(10), sessions.invites_pause, "that pause"),
    span!(
        "sessions",
        "notify-after",
        ms(0),
        secs(60),
        sessions.notify_after,
        "how long a change in a session waits for others before subscribers are told (RFC 4575)"
    ),
    span!(
        "sessions",
        "notify-every",
        ms(0),
        secs(600),
        sessions.notify_every,
        "how long a subscriber is left alone then"
    ),
    count!(
        "sessions",
        "pre-established-max",
        0,
        16,
        usize,
        sessions.pre_established_max,
        "pre-established sessions that a user may have at once"
    ),
    Item {
        table: "publications",
        key: "unpublished",
        kind: Kind::Choice {
            words: MODES,
            set: |settings, place| {
                settings.publications.unpublished =
                    [None, Some(poc::AnswerMode::Manual), Some(poc::AnswerMode::Automatic)][place];
            },
            get: |settings| match settings.publications.unpublished {
                None => 0,
                Some(poc::AnswerMode::Manual) => 1,
                Some(poc::AnswerMode::Automatic) => 2,
            },
        },
        meaning: "how a user answers who has published no settings; `refused`: is not registered for PoC, 480",
    },
    span!(
        "publications",
        "expires",
        secs(1),
        DAY,
        publications.expires_default,
        "for how long settings are kept that come without a span"
    ),
    span!(
        "publications",
        "expires-min",
        secs(1),
        secs(3600),
        publications.expires_min,
        "the shortest span for which settings are kept; a shorter one is refused with 423"
    ),
    span!(
        "registrations",
        "expires",
        secs(1),
        secs(7 * 86_400),
        registrations.expires.default,
        "what a REGISTER that says nothing gets"
    ),
    span!(
        "registrations",
        "expires-min",
        secs(1),
        secs(3600),
        registrations.expires.least,
        "a shorter span is refused with 423 (RFC 3261 §10.3 step 7)"
    ),
    span!(
        "registrations",
        "expires-max",
        secs(1),
        secs(7 * 86_400),
        registrations.expires.most,
        "a longer span is shortened; that of subscriptions too"
    ),
    count!(
        "registrations",
        "bindings-max",
        1,
        100,
        usize,
        registrations.bindings_max,
        "bindings of one user"
    ),
    span!(
        "registrations",
        "nonce-validity",
        secs(1),
        DAY,
        registrations.nonce_validity,
        "how long a challenge can be answered"
    ),
    Item {
        table: "registrations",
        key: "md5-only",
        kind: Kind::Switch {
            set: |settings, value| {
                settings.registrations.algorithms =
                    if value { sipcore::Algorithms::Md5 } else { sipcore::Algorithms::Sha256AndMd5 };
            },
            get: |settings| settings.registrations.algorithms == sipcore::Algorithms::Md5,
        },
        meaning: "passwords are asked for by MD5 alone, for phones that give up where SHA-256 is offered besides",
    },
    count!(
        "registrations",
        "subscribers-of-user-max",
        0,
        1000,
        usize,
        registrations.subscribers_of_user_max,
        "subscriptions to the registration of one user (RFC 3680)"
    ),
    count!(
        "limits",
        "transactions-max",
        100,
        10_000_000,
        usize,
        limits.transactions_max,
        "transactions, with those that remember for 32 s what is over, some five a cancelled call; beyond it a new request is answered 503"
    ),
    count!(
        "limits",
        "subscribers-max",
        0,
        1_000_000,
        usize,
        limits.subscribers_max,
        "subscriptions in all; beyond it a new one is answered 503"
    ),
    count!(
        "limits",
        "messages-max",
        0,
        1_000_000,
        usize,
        limits.messages_max,
        "alerts and advertisements on their way to members"
    ),
    count!(
        "limits",
        "received-max",
        1,
        100_000,
        usize,
        limits.received_max,
        "requests outside of dialogs that wait for the PoC Server"
    ),
    count!(
        "limits",
        "forks-max",
        1,
        256,
        usize,
        limits.forks_max,
        "dialogs that one INVITE may create by forking"
    ),
    count!(
        "limits",
        "datagram-max",
        500,
        65_000,
        usize,
        limits.datagram_max,
        "octets of the longest request that leaves by UDP (RFC 3261 §18.1.1)"
    ),
    count!(
        "limits",
        "refusals-per-second",
        1,
        1_000_000,
        u32,
        limits.refusals.per_second,
        "requests of one address that may be refused in a second without keeping state"
    ),
    count!(
        "limits",
        "refusals-burst",
        1,
        10_000_000,
        u32,
        limits.refusals.burst,
        "those that may be refused at once"
    ),
    count!(
        "media",
        "first-port",
        0,
        65_000,
        u16,
        media.first_port,
        "the first port of speech, an even one; those of all shards follow it, two for each pair. 0: any that are free"
    ),
    count!(
        "media",
        "pairs",
        1,
        1000,
        u16,
        media.pairs,
        "pairs of ports of each shard: sessions that a terminal may be in at once, and pre-established ones in use"
    ),
    span!(
        "talk-bursts",
        "end-of-speech",
        Duration::from_millis(500),
        secs(6),
        talk_bursts.t1_end_of_rtp,
        "T1: a talk burst of which nothing is heard for so long is over"
    ),
    span!(
        "talk-bursts",
        "stop-talking",
        secs(1),
        secs(3600),
        talk_bursts.t2_stop_talking,
        "T2: the longest talk burst"
    ),
    span!(
        "talk-bursts",
        "grace",
        Duration::from_millis(100),
        secs(10),
        talk_bursts.t3_grace,
        "T3: how long whoever is revoked may go on"
    ),
    span!(
        "talk-bursts",
        "grace-pre-empted",
        Duration::from_millis(100),
        secs(2),
        talk_bursts.t3_grace_pre_empted,
        "the same if somebody more important waits"
    ),
    span!(
        "talk-bursts",
        "inactivity",
        secs(1),
        DAY,
        talk_bursts.t4_inactivity,
        "T4: how long nobody speaks before a session counts as inactive"
    ),
    span!(
        "talk-bursts",
        "retry-after",
        Duration::ZERO,
        secs(3600),
        talk_bursts.t9_retry_after,
        "T9: how long whoever spoke too long may not ask again"
    ),
    Item {
        table: "talk-bursts",
        key: "release-inactive",
        kind: Kind::Switch {
            set: |settings, value| settings.release_inactive = value,
            get: |settings| settings.release_inactive,
        },
        meaning: "a session that is inactive is released",
    },
    Item {
        table: "talk-bursts",
        key: "connects",
        kind: Kind::Switch {
            set: |settings, value| settings.sessions.connects = value,
            get: |settings| settings.sessions.connects,
        },
        meaning: "a client with a pre-established session hears of one that it answers by itself, and of the end of all, by TBCP Connect and Disconnect; else by re-INVITE",
    },
    span!(
        "talk-bursts",
        "connect-wait",
        Duration::from_millis(100),
        secs(10),
        sessions.connect_wait,
        "T15, T16: after so long a Connect or a Disconnect that is not acknowledged is sent again, three times in all"
    ),
    named!(
        "recording",
        "folder",
        recordings,
        "is empty; name a folder",
        "nothing is recorded",
        "where each talk burst is recorded, a file each; only its user may read it"
    ),
    Item {
        table: "log",
        key: "format",
        kind: Kind::Choice {
            words: FORMATS,
            set: |settings, place| settings.log.format = [LogFormat::Human, LogFormat::Json][place],
            get: |settings| match settings.log.format {
                LogFormat::Human => 0,
                LogFormat::Json => 1,
            },
        },
        meaning: "a line for people, or a JSON object a line",
    },
    Item {
        table: "log",
        key: "filter",
        kind: Kind::Text {
            what: "filter",
            bounds: "",
            set: |settings, text| {
                settings.log.filter = text.to_owned();
                let advice = "write a level, or levels of parts, such as \"info\" or \"warn,sip=debug\"";
                let read = tracing_subscriber::EnvFilter::builder().parse(text);
                read.map(|_| ()).map_err(|_| format!("{text:?} is no filter; {advice}"))
            },
            get: |settings| Some(settings.log.filter.clone()),
            else_: "",
        },
        meaning: "what is logged: error, warn, info, debug or trace, for all or for a part",
    },
    named!("log", "file", log.file, "is empty; name a file", "standard error", "where the log goes"),
    Item {
        table: "metrics",
        key: "listen",
        kind: Kind::Text {
            what: "IP:PORT",
            bounds: "",
            set: |settings, text| {
                let advice = "write an IP address and a port, such as \"127.0.0.1:9464\"";
                settings.metrics =
                    Some(text.parse().map_err(|_| format!("{text:?} is no address; {advice}"))?);
                Ok(())
            },
            get: |settings| settings.metrics.map(|address| address.to_string()),
            else_: "nowhere",
        },
        meaning: "where metrics and health are told by HTTP, to whoever can reach it",
    },
];
