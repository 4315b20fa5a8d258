//! What the typed options mean.

use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use poc::media::Stream;
use poc::sdp::Capabilities;
use poc::talk_burst::Priority;
use poc::{Client, Config, Registration};
use sip::transaction::timer::Timers;
use sip::transport::{Target, Transport};
use sip::{Credentials, Duration};

use super::super::{Failure, password};
use super::address;
use super::arguments::{CodecName, IpPort, Shared};
use super::play::TalkPlan;
use super::screen::{self, Purpose, Screen};
use super::sound::SoundPlan;
use super::voice::Voice;
use super::wishes::{Keys, Wishes, has_keys};
use crate::capture::Capture;
use crate::clock::Clock;
use crate::driver::{Driver, MediaSockets, Sockets, address_towards, unspecified};
#[cfg(unix)]
use crate::journal;
use crate::record::Recorder;
use crate::voice::devices::{Loudspeaker, Microphone};
use crate::voice::wav::Wav;

/// Octets of the longest password.
const PASSWORD_MAX: u64 = 4096;

/// RFC 4028 §5: the smallest that anybody may ask for.
const SESSION_EXPIRES_MIN: Duration = sip::usage::session_timer::FLOOR;

/// What the shared options mean.
pub(crate) struct Settings {
    /// Our PoC Address; `None`: one at the address that is advertised.
    user: Option<String>,
    listen: Option<IpPort>,
    advertise: Option<IpPort>,
    pub(crate) transport: Option<Transport>,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) home: Option<Home>,
    credentials: Vec<Credentials>,
    pub(crate) nameservers: Vec<SocketAddr>,
    timers: Timers,
    profile: poc::Profile,
    pub(crate) json: bool,
    plain: bool,
    has_bell: bool,
    ladder: bool,
    capture: Option<(PathBuf, Capture)>,
    pub(crate) leave_after: Option<Duration>,
    pub(crate) talk: Option<TalkPlan>,
    pub(crate) priority: Priority,
    pub(crate) sound: SoundPlan,
    codecs: Vec<CodecName>,
    session_expires: Option<Duration>,
    #[cfg(unix)]
    journal: Option<PathBuf>,
}

/// An outbound proxy.
pub(crate) struct Proxy {
    /// The Route value.
    pub(crate) route: String,
    /// What is to be located.
    pub(crate) uri: String,
}

/// Where the user is at home.
pub(crate) struct Home {
    /// What is to be located.
    pub(crate) server: String,
    /// The domain of users who are named without one.
    pub(crate) domain: String,
    /// For how long to register.
    pub(crate) expires: Duration,
}

/// The user part of the conference factory of a server of one's own (digest 3).
const FACTORY: &str = "poc-factory";

/// The domain of a server of one's own.
const DOMAIN: &str = "poc.internal";

/// Whether anything is said by itself.
const fn talks(shared: &Shared) -> bool {
    shared.talk.is_some() || shared.talk_for.is_some()
}

/// Reads what is to be said.
fn sound(shared: &Shared) -> Result<SoundPlan, Failure> {
    if shared.talk_after.is_some() && !talks(shared) {
        return Err(Failure::Usage("--talk-after: say what is said by --talk or --talk-for"));
    }
    let read = |path: &PathBuf| {
        Wav::read(path).map_err(|why| Failure::Value(format!("--talk {}: {why}", path.display())))
    };
    let says = shared.talk.as_ref().map(read).transpose()?.map(Arc::new);
    if let Some(path) = &shared.record {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            return Err(Failure::Value(format!("--record {}: there is no such folder", path.display())));
        }
    }
    if shared.codec.contains(&CodecName::Opus) && !cfg!(feature = "opus") {
        return Err(Failure::Usage("--codec opus: this program was built without it (feature opus)"));
    }
    let wrong = |option: &str, why: String| Failure::Value(format!("{option}: {why}"));
    if shared.microphone {
        Microphone::check().map_err(|why| wrong("--microphone", why))?;
    }
    if shared.loudspeaker {
        Loudspeaker::check().map_err(|why| wrong("--loudspeaker", why))?;
    }
    Ok(SoundPlan {
        says,
        record: shared.record.clone(),
        has_microphone: shared.microphone,
        has_loudspeaker: shared.loudspeaker,
    })
}

impl Settings {
    /// Reads the options, the password, and creates the capture file.
    pub(crate) fn read(shared: &Shared) -> Result<Self, Failure> {
        let (user, home) = user_at_home(shared)?;
        let proxy = shared.proxy.as_deref().map(address::proxy).transpose()?;
        check_t1(shared.t1)?;
        check_advertise(shared.advertise)?;
        if shared.session_expires.is_some_and(|span| span < SESSION_EXPIRES_MIN) {
            return Err(Failure::Usage("--session-expires: must be at least 90s (RFC 4028)"));
        }
        let sound = sound(shared)?;
        let credentials = credentials(shared, user.as_deref())?;
        let capture = shared.pcap.as_deref().map(create).transpose()?;
        Ok(Self {
            user,
            listen: shared.listen,
            advertise: shared.advertise,
            transport: shared.transport.map(Transport::from),
            proxy: proxy.map(|(route, uri)| Proxy { route, uri }),
            home,
            credentials,
            nameservers: shared.nameserver.iter().map(|each| each.or_port(53)).collect(),
            timers: Timers { t1: shared.t1, t2: 8 * shared.t1, t4: 10 * shared.t1 },
            profile: shared.profile.into(),
            json: shared.json,
            plain: shared.plain,
            has_bell: !shared.no_bell,
            ladder: shared.ladder,
            capture,
            leave_after: shared.leave_after,
            talk: talks(shared)
                .then(|| TalkPlan { after: shared.talk_after.unwrap_or_default(), span: shared.talk_for }),
            priority: shared.priority.into(),
            sound,
            codecs: shared.codec.clone(),
            session_expires: shared.session_expires,
            #[cfg(unix)]
            journal: shared.journal.clone(),
        })
    }

    /// How the command tells what happens, and which keys it has; a screen if there is a terminal for one.
    pub(crate) fn face(&self, clock: Clock, purpose: Purpose) -> Result<(Voice, Wishes), Failure> {
        let (mut voice, is_screen) =
            (Voice::new(self.json), !self.json && !self.plain && screen::is_possible());
        if is_screen {
            voice.tell_on(Some(Screen::open(clock, purpose, self.has_bell)?));
        }
        let keys = match (self.json, is_screen) {
            (true, _) => Keys::None,
            (false, true) => Keys::Screen,
            (false, false) => Keys::Lines,
        };
        let wishes = Wishes::listen(keys).map_err(Failure::Network)?;
        voice.set_raw(wishes.has_keys());
        Ok((voice, wishes))
    }

    /// The conference factory of the server, unless another one was typed.
    pub(crate) fn factory(&self, typed: Option<&str>) -> Result<Option<Bytes>, Failure> {
        let typed = typed.map(|typed| address::uri("--factory", typed)).transpose()?;
        let usual = self.home.as_ref().map(|home| format!("sip:{FACTORY}@{}", home.domain));
        Ok(typed.or(usual).map(Bytes::from))
    }

    /// Where users are at home who are named without a domain.
    pub(crate) fn domain(&self) -> Option<String> {
        let home = self.home.as_ref().map(|home| home.domain.clone());
        home.or_else(|| self.user.as_deref().and_then(address::domain_of))
    }

    /// The part of `targets` that the address to listen on can reach, and that address.
    pub(crate) fn reachable(&self, mut targets: Vec<Target>) -> Result<(SocketAddr, Vec<Target>), Failure> {
        // One socket, one family: IPv4 if there is a choice, for that is what is answered nearly everywhere.
        let preferred = targets.iter().find(|target| target.remote.is_ipv4()).or(targets.first()).copied();
        let first = preferred.ok_or(Failure::Usage("no target to call"))?;
        let listen = match self.listen {
            Some(listen) => listen.or_port(0),
            None => SocketAddr::new(unspecified(first.remote.ip()), 0),
        };
        targets.retain(|target| target.remote.is_ipv4() == listen.is_ipv4());
        if targets.is_empty() {
            return Err(Failure::OtherFamily { listen: listen.ip(), target: first.remote.ip() });
        }
        Ok((listen, targets))
    }

    /// The address that is listened on without a target.
    pub(crate) fn listen_or(&self, port: u16) -> SocketAddr {
        match self.listen {
            Some(listen) => listen.or_port(port),
            None => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port),
        }
    }

    /// Opens the sockets and puts a client behind them. `more` settles what only one command knows.
    pub(crate) async fn open(
        &mut self,
        clock: Clock,
        listen: SocketAddr,
        only: Option<Transport>,
        towards: Option<SocketAddr>,
        more: impl FnOnce(&mut Config),
    ) -> Result<Driver, Failure> {
        let advertised_ip = advertised_ip(self.advertise, listen.ip(), towards)?;
        let occupied =
            |occupied: crate::driver::Occupied| Failure::Listen(occupied.transport, listen, occupied.error);
        let sockets = Sockets::open(listen, only).await.map_err(occupied)?;
        let port = self.advertise.and_then(|advertise| advertise.port).unwrap_or(sockets.bind.port());
        let advertised = SocketAddr::new(advertised_ip, port);
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| Failure::Network(std::io::Error::other(error)))?;
        let mut sip = sip::Config::new(sockets.listeners(advertised), seed);
        sip.timers = self.timers;
        sip.session_expires = self.session_expires;
        sip.credentials = std::mem::take(&mut self.credentials);
        let user = self.user.clone().unwrap_or_else(|| format!("<sip:talkburst@{}>", host(advertised_ip)));
        let name = address::user_of(&user).unwrap_or_else(|| "we".to_owned());
        let media = MediaSockets::open(listen.ip()).map_err(occupied)?;
        let ports = (media.port(Stream::Speech), media.port(Stream::Control));
        let mut capabilities = Capabilities::speech(advertised_ip, ports.0, ports.1);
        // User-plane digest 9: an answer that grants the talk burst saves a way.
        capabilities.talk_burst.tb_granted = true;
        #[cfg(feature = "opus")]
        capabilities.codecs.push(crate::voice::opus::offered());
        if !self.codecs.is_empty() {
            capabilities.prefer(self.codecs.iter().map(|codec| codec.as_str()));
        }
        let mut config = Config::new(sip, Bytes::from(user), capabilities);
        config.profile = self.profile;
        more(&mut config);
        let local = if sockets.bind.ip().is_unspecified() {
            SocketAddr::new(advertised_ip, sockets.bind.port())
        } else {
            sockets.bind
        };
        let recorder = Recorder::new(local, self.capture.take(), self.ladder.then_some(name));
        #[cfg(unix)]
        let kept = self.journal.as_ref().map(|path| (path, config.clone()));
        let mut driver = Driver::new(clock, Client::new(config), sockets, media, recorder);
        #[cfg(unix)]
        if let Some((path, config)) = kept {
            let unusable = |error: std::io::Error| Failure::File(path.clone(), error.to_string());
            let (keepers, thread) =
                journal::write(path, vec![journal::Config::Client(Box::new(config))]).map_err(unusable)?;
            if let Some(keeper) = keepers.into_iter().next() {
                driver.keep((keeper, thread));
            }
        }
        Ok(driver)
    }
}

/// The address that peers are told: `advertise`, or the one that we have towards them.
pub(crate) fn advertised_ip(
    advertise: Option<IpPort>,
    listen: IpAddr,
    towards: Option<SocketAddr>,
) -> Result<IpAddr, Failure> {
    if let Some(advertise) = advertise {
        if advertise.ip.is_ipv4() != listen.is_ipv4() {
            return Err(Failure::Usage("--advertise: must be of the address family that is listened on"));
        }
        return Ok(advertise.ip);
    }
    match (listen.is_unspecified(), towards) {
        (false, _) => Ok(listen),
        (true, Some(target)) => address_towards(target).map_err(|error| Failure::NoRoute(target, error)),
        // An address that documentation has (RFC 5737, RFC 3849) is nobody's: the way to it is the usual way out.
        (true, None) => {
            let (anybody, loopback): (IpAddr, IpAddr) = match listen {
                IpAddr::V4(_) => (Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::LOCALHOST.into()),
                IpAddr::V6(_) => {
                    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(), Ipv6Addr::LOCALHOST.into())
                }
            };
            Ok(address_towards(SocketAddr::new(anybody, 5060)).unwrap_or(loopback))
        }
    }
}

/// Our address, and where it is at home if there is a server.
fn user_at_home(shared: &Shared) -> Result<(Option<String>, Option<Home>), Failure> {
    let typed = shared.user.as_deref();
    let Some(server) = shared.server.as_deref() else {
        return Ok((typed.map(address::name_addr).transpose()?, None));
    };
    let server = address::server(server)?;
    let given = shared.domain.clone();
    let user = typed.map(|typed| address::complete(typed, given.as_deref().unwrap_or(DOMAIN)));
    let user = user.as_deref().map(address::name_addr).transpose()?;
    let domain = given.or_else(|| user.as_deref().and_then(address::domain_of));
    let domain = domain.ok_or(Failure::Usage("--server: registers a user; use --user anna@example.com"))?;
    address::uri("--domain", &domain)?;
    Ok((user, Some(Home { server, domain, expires: shared.register_for })))
}

impl Home {
    /// The registration by way of `targets`.
    pub(crate) fn registration(&self, targets: Vec<Target>) -> Registration {
        Registration { expires: self.expires, ..Registration::new(targets, &self.domain) }
    }
}

/// T1 must be longer than nothing.
pub(crate) fn check_t1(t1: Duration) -> Result<(), Failure> {
    if t1.is_zero() {
        return Err(Failure::Usage("--t1: must be longer than nothing; 500ms is usual"));
    }
    Ok(())
}

/// What is advertised must be one address, and one port if any.
pub(crate) fn check_advertise(advertise: Option<IpPort>) -> Result<(), Failure> {
    if advertise.is_some_and(|advertise| advertise.ip.is_unspecified() || advertise.port == Some(0)) {
        return Err(Failure::Usage(
            "--advertise: peers must be able to send there; name one address and port",
        ));
    }
    Ok(())
}

/// An address as a URI has it.
fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

fn create(path: &Path) -> Result<(PathBuf, Capture), Failure> {
    let capture = Capture::create(path).map_err(|error| Failure::File(path.to_owned(), error.to_string()))?;
    Ok((path.to_owned(), capture))
}

fn credentials(shared: &Shared, user: Option<&str>) -> Result<Vec<Credentials>, Failure> {
    let secret = match &shared.password_file {
        Some(path) => {
            let failed = |error| Failure::Password(path.display().to_string(), error);
            let file = std::fs::File::open(path).map_err(failed)?;
            first_line(file).map_err(failed)?
        }
        None if shared.password_stdin => first_line(std::io::stdin())
            .map_err(|error| Failure::Password("standard input".to_owned(), error))?,
        None if shared.username.is_some() => {
            return Err(Failure::Usage("--username: is of use with a password only; add --password-file"));
        }
        // Scripts say what they know; a user at a terminal is asked.
        None if shared.server.is_some() && !shared.json && has_keys() => {
            let typed = password::ask(&format!("Password of {}: ", user.unwrap_or_default()))?;
            if typed.is_empty() {
                return Ok(Vec::new());
            }
            Bytes::from(typed)
        }
        None => return Ok(Vec::new()),
    };
    let username = shared.username.clone().or_else(|| user.and_then(address::user_of));
    let username = username.ok_or(Failure::Usage("a password needs a user; add --username or --user"))?;
    Ok(vec![Credentials { realm: None, username: Bytes::from(username), secret }])
}

/// The first line without its end; never empty. Octets: a password need not be text.
pub(crate) fn first_line(from: impl Read) -> std::io::Result<Bytes> {
    let mut line = Vec::new();
    BufReader::new(from.take(PASSWORD_MAX)).read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    if line.is_empty() {
        return Err(std::io::Error::other("the first line is empty"));
    }
    Ok(Bytes::from(line))
}
