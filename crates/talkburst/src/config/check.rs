//! What options must be to each other, and to this machine.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::fault::Origin;
use super::file::{Draft, Listener};
use super::value::show_span;
use crate::command::{IpPort, advertised_ip};
use crate::serve::{CoreAt, Listening, PORT, Secret};

/// Octets that a secret has at least.
const SECRET_MIN: usize = 16;

/// Octets that a secret has at most.
const SECRET_MAX: u64 = 4096;

/// Checks everything, and settles what is not settled by one option alone.
pub(super) fn settle(draft: &mut Draft, beside: &Path) {
    listeners(draft);
    peers(draft);
    core(draft);
    sources(draft);
    spans(draft);
    metrics(draft);
    paths(draft, beside);
    secret(draft, beside, std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from).as_deref());
}

fn listeners(draft: &mut Draft) {
    let typed = std::mem::take(&mut draft.listeners);
    let mut found: Vec<(Listening, &Listener)> = Vec::new();
    for listener in &typed {
        let Some((bind, bind_origin)) = listener.bind else {
            if draft.unread.contains("listener.bind") {
                continue;
            }
            draft.blame_at(
                "listener",
                listener.origin,
                "has no bind; add bind = \"192.0.2.1:5060\" or its like",
            );
            continue;
        };
        let bind = bind.or_port(PORT);
        let advertise = listener.advertise;
        let (option, at) = ("listener.advertise", advertise.map_or(bind_origin, |(_, origin)| origin));
        let advertise = advertise.map(|(advertise, _)| advertise);
        if advertise.is_some_and(|IpPort { ip, port }| ip.is_unspecified() || port == Some(0)) {
            draft.blame_at(option, at, "peers must be able to send there; name one address and port");
            continue;
        }
        if advertise.is_some_and(|advertise| advertise.ip.is_ipv4() != bind.is_ipv4()) {
            draft.blame_at(
                option,
                at,
                "must be of the address family that is listened on; for both families have two listeners",
            );
            continue;
        }
        let ip = match advertised_ip(advertise, bind.ip(), None) {
            Ok(ip) => ip,
            Err(failure) => {
                draft.blame_at(option, at, failure.to_string());
                continue;
            }
        };
        let advertised = SocketAddr::new(ip, advertise.and_then(|advertise| advertise.port).unwrap_or(0));
        let listening = Listening { bind, advertised };
        if found.iter().any(|(other, _)| overlap(other.bind, bind)) {
            draft.blame_at(
                "listener.bind",
                bind_origin,
                format!("{bind} is listened on already; give each listener an address of its own"),
            );
        } else if advertise.is_some() && found.iter().any(|(other, _)| told(other) == told(&listening)) {
            let why = "is advertised already; peers could not tell the two apart";
            draft.blame_at(option, at, format!("{} {why}", told(&listening)));
        }
        found.push((listening, listener));
    }
    if !found.is_empty() {
        draft.settings.listeners = found.into_iter().map(|(listening, _)| listening).collect();
    }
    draft.listeners = typed;
}

/// Whether two sockets cannot have these addresses at once.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_same = one.ip() == other.ip()
        || one.is_ipv4() == other.is_ipv4() && (one.ip().is_unspecified() || other.ip().is_unspecified());
    is_same && one.port() == other.port() && one.port() != 0
}

/// What peers are told, as far as it is known before the socket is open.
fn told(listening: &Listening) -> SocketAddr {
    let port = listening.advertised.port();
    SocketAddr::new(listening.advertised.ip(), if port == 0 { listening.bind.port() } else { port })
}

fn peers(draft: &mut Draft) {
    let typed = std::mem::take(&mut draft.peers);
    let mut found: Vec<(String, SocketAddr)> = Vec::new();
    for peer in &typed {
        let (Some((domain, domain_origin)), Some((address, at))) = (&peer.domain, &peer.address) else {
            for (is_missing, name, example) in [
                (peer.domain.is_none(), "domain", "home2.example"),
                (peer.address.is_none(), "address", "192.0.2.2:5060"),
            ] {
                if is_missing && !draft.unread.contains(&format!("peer.{name}")) {
                    let why = format!("has no {name}; add {name} = \"{example}\" or its like");
                    draft.blame_at("peer", peer.origin, why);
                }
            }
            continue;
        };
        if found.iter().any(|(other, _)| other == domain) {
            draft.blame_at("peer.domain", *domain_origin, format!("{domain} is there twice; leave one out"));
        }
        if draft.settings.domain.as_ref() == Some(domain) {
            let why = "is our own domain; a peer is another one";
            draft.blame_at("peer.domain", *domain_origin, format!("{domain} {why}"));
        }
        if is_ours(draft, *address) {
            let why = "is our own address; name the core of the other domain";
            draft.blame_at("peer.address", *at, format!("{address} {why}"));
        } else if !is_reachable(draft, *address) {
            let why = "is of an address family that no listener has; add a listener";
            draft.blame_at("peer.address", *at, format!("{address} {why}"));
        }
        found.push((domain.clone(), *address));
    }
    draft.settings.peers = found;
    draft.peers = typed;
}

fn is_ours(draft: &Draft, address: SocketAddr) -> bool {
    draft.settings.listeners.iter().any(|listening| listening.bind == address || told(listening) == address)
}

fn is_reachable(draft: &Draft, address: SocketAddr) -> bool {
    draft.settings.listeners.iter().any(|listening| listening.bind.is_ipv4() == address.is_ipv4())
}

/// Who has an outside core asks that one about other domains.
fn core(draft: &mut Draft) {
    let CoreAt::Outside(address) = draft.settings.core else { return };
    if is_ours(draft, address) {
        draft.blame(
            "core",
            format!("{address} is our own address; name that of the core, or write \"embedded\""),
        );
    } else if !is_reachable(draft, address) {
        draft
            .blame("core", format!("{address} is of an address family that no listener has; add a listener"));
    }
    let why = "is of the embedded core; leave it out, for the outside core decides";
    if let Some(origin) = draft.peers.first().map(|peer| peer.origin) {
        draft.blame_at("peer", origin, why);
    }
    if !draft.settings.trusted.is_empty() {
        draft.blame("trusted", why);
    }
}

fn sources(draft: &mut Draft) {
    let trusted = draft.settings.trusted.clone();
    for (place, source) in trusted.iter().enumerate() {
        if source.ip.is_unspecified() || source.port == Some(0) {
            draft.blame("trusted", format!("{} is nobody's address; name one element", source.ip));
        } else if trusted[..place].contains(source) {
            draft.blame("trusted", format!("{} is there twice; leave one out", source.ip));
        }
    }
}

/// Spans that must not be longer than others.
fn spans(draft: &mut Draft) {
    let settings = &draft.settings;
    let (timers, sessions) = (settings.timers, &settings.sessions);
    let (expires, publications) = (settings.registrations.expires, &settings.publications);
    let pairs = [
        ("timers.t1", timers.t1, "timers.t2", timers.t2),
        ("timers.t1", timers.t1, "timers.t4", timers.t4),
        ("sessions.setup-timer", sessions.set_up_limit, "sessions.ring-limit", sessions.ring_limit),
        ("sessions.ring-limit", sessions.ring_limit, "timers.c", settings.limits.timer_c),
        (
            "sessions.min-se",
            sessions.min_se,
            "sessions.session-expires",
            sessions.session_expires.unwrap_or(sessions.min_se),
        ),
        ("registrations.expires-min", expires.least, "registrations.expires", expires.default),
        ("registrations.expires", expires.default, "registrations.expires-max", expires.most),
        (
            "publications.expires-min",
            publications.expires_min,
            "publications.expires",
            publications.expires_default,
        ),
    ];
    for (shorter, short, longer, long) in pairs {
        let is_read = !draft.unread.contains(shorter) && !draft.unread.contains(longer);
        if is_read && short > long {
            let (short, long) = (show_span(short), show_span(long));
            // Whoever has said one of the two is told there.
            let (option, why) = if draft.origins.contains_key(shorter) || !draft.origins.contains_key(longer)
            {
                (shorter, format!("{short} is longer than {longer}, which is {long}; change one of them"))
            } else {
                (longer, format!("{long} is shorter than {shorter}, which is {short}; change one of them"))
            };
            draft.blame(option, why);
        }
    }
}

/// Metrics are told by TCP, as requests are taken.
fn metrics(draft: &mut Draft) {
    let Some(metrics) = draft.settings.metrics else { return };
    if draft.settings.listeners.iter().any(|listening| overlap(listening.bind, metrics)) {
        draft.blame("metrics.listen", format!("{metrics} is that of a listener; choose another port"));
    }
}

/// Relative paths of the file begin where the file is.
fn paths(draft: &mut Draft, beside: &Path) {
    let is_of_file = |draft: &Draft, option| matches!(draft.origins.get(option), Some(Origin::File(_)));
    if is_of_file(draft, "data") {
        draft.settings.folder = beside.join(&draft.settings.folder);
    }
    if is_of_file(draft, "recording.folder") {
        draft.settings.recordings = draft.settings.recordings.take().map(|folder| beside.join(folder));
    }
    if is_of_file(draft, "log.file") {
        draft.settings.log.file = draft.settings.log.file.take().map(|file| beside.join(file));
    }
    if let Some(file) = draft.settings.log.file.clone() {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            let why = format!("there is no folder for {}; create it", file.display());
            draft.blame("log.file", why);
        }
    }
}

/// Reads the secret: a relative path begins in the folder of the service's credentials, if it is there, or where the file is.
fn secret(draft: &mut Draft, beside: &Path, credentials: Option<&Path>) {
    let Some((typed, origin)) = draft.secret.clone() else { return };
    let credential = credentials.map(|folder| folder.join(&typed)).filter(|file| file.is_file());
    let file = credential.unwrap_or_else(|| match origin {
        Origin::File(_) => beside.join(&typed),
        Origin::Flag(_) | Origin::Default => PathBuf::from(&typed),
    });
    // Credentials are closed by an access control list, which shows as bits of the group.
    let is_credential = credentials.is_some_and(|folder| file.starts_with(folder));
    match read_secret(&file, is_credential) {
        Ok(octets) => draft.settings.secret = Some(Secret { file, octets }),
        Err(why) => draft.blame_at("secret-file", origin, why),
    }
}

fn read_secret(path: &Path, is_credential: bool) -> Result<[u8; 16], String> {
    let shown = path.display();
    let make = format!("(umask 077; head -c 32 /dev/urandom > {shown})");
    let failed = |error: io::Error| {
        if error.kind() == io::ErrorKind::NotFound {
            return format!("there is no {shown}; make it: {make}");
        }
        format!("failed to read {shown}: {error}; let the user of the server read it, and nobody else")
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(format!("{shown} is no file; name one with {SECRET_MIN} octets or more"));
    }
    if metadata.mode() & 0o077 != 0 && !is_credential {
        let mode = metadata.mode() & 0o777;
        return Err(format!("others may read {shown}, its mode is {mode:03o}; chmod 600 {shown}"));
    }
    let mut octets = Vec::new();
    file.take(SECRET_MAX).read_to_end(&mut octets).map_err(failed)?;
    if octets.len() < SECRET_MIN {
        let length = octets.len();
        return Err(format!("{shown} has {length} octets, too few for a secret; make another: {make}"));
    }
    let mut secret = [0; 16];
    secret.copy_from_slice(&Sha256::digest(&octets)[..16]);
    Ok(secret)
}
