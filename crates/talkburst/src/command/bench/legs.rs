//! Legs at a server of its own: every leg is a user who has joined a chat group by an INVITE with a session description, as any
//! client does. What comes after that is not SIP any more.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sip::Duration;

use super::called::Called;
use super::caller::{Caller, Flow};
use super::child::{Server, Wanted};
use super::control::Control;
use super::enter::enter;
use super::load::{Load, Pace};
use super::port::Port;
use super::sip::free;
use super::text::{Lines, group, user};
use crate::clock::Clock;
use crate::command::Failure;

/// Joins that are under way at once.
const WINDOW: u64 = 32;

/// How long none may succeed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it is quiet before anything is measured: what the last join has left is over then.
const SETTLE: Duration = Duration::from_millis(500);

/// A free port.
const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The domain of all users.
pub(super) const DOMAIN: &str = "home.net";

/// What there is to be.
pub(super) struct Plan<'a> {
    pub(super) sessions: usize,
    /// Legs of each; leg `n` belongs to session `n / members`.
    pub(super) members: usize,
    /// Where the speech for each leg goes; those without a place get one at which nobody listens.
    pub(super) speech: &'a [SocketAddr],
    /// More arguments for the server.
    pub(super) with: &'a [String],
    pub(super) program: Option<&'a std::path::Path>,
}

/// The server with its legs.
pub(super) struct Legs {
    pub(super) server: Server,
    /// Where talk burst control and speech of each leg are received there.
    pub(super) at: Vec<Place>,
}

/// The ports of a leg at the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) speech: SocketAddr,
    pub(super) control: SocketAddr,
}

impl Legs {
    /// Starts the server, and has everybody join.
    pub(super) async fn join(plan: &Plan<'_>, control: &Control) -> Result<Self, Failure> {
        let caller = open()?;
        let listen = free(ANY).await?;
        let wanted = Wanted {
            listen,
            domain: DOMAIN,
            pairs: plan.count().div_ceil(2),
            groups: plan.sessions,
            trusted: Some(caller.local),
            shards: 1,
            program: plan.program,
            more: plan.with,
        };
        let server = Server::start(&wanted).await?;
        let at = join_all(plan, control, listen, caller).await?;
        Ok(Self { server, at })
    }
}

/// Has everybody join at the server there, which trusts `caller`: where each leg is told to be.
pub(super) async fn join_all(
    plan: &Plan<'_>,
    control: &Control,
    listen: SocketAddr,
    caller_port: Port,
) -> Result<Vec<Place>, Failure> {
    // 1. It answers: then it is there.
    let (clock, mut called_port, count) = (Clock::start(), open()?, plan.count());
    enter(clock, &mut called_port, listen, DOMAIN, 0).await?;

    // 2. The joins.
    let local = caller_port.local;
    let lines = (0..count).map(|leg| plan.lines(leg, control, listen, local)).collect();
    let mut caller = Caller::new(Flow::Completed, local, lines, count, std::process::id());
    caller.holds = true;
    let called = Called::new(Flow::Completed, called_port.local);
    let mut load = Load::new(clock, listen, (caller, caller_port), (called, called_port));
    let mut pace = Pace::Window { open: WINDOW, left: count as u64 };
    let (mut held, mut at) = (0, load.now());
    while held < count as u64 && load.caller.counts.failed == 0 && load.now() < at + PATIENCE {
        load.turn(&mut pace).await?;
        // What is said at a join is not waited for.
        control.discard();
        if load.caller.counts.held > held {
            (held, at) = (load.caller.counts.held, load.now());
        }
    }
    let until = load.now() + SETTLE;
    load.until(until, &mut Pace::None).await?;
    control.discard();

    // 3. Where they are told to be.
    let failed = count as u64 - held;
    let void = || Failure::Void { failed, repeated: 0, refusal: load.caller.refusal };
    let mut places = vec![None; count];
    for (leg, answer) in &load.caller.answers {
        places[*leg as usize] = Place::of(listen, answer);
    }
    places.into_iter().collect::<Option<_>>().ok_or_else(void)
}

/// A socket for SIP.
pub(super) fn open() -> Result<Port, Failure> {
    Port::open(ANY, false).map_err(|error| Failure::Socket(ANY.to_string(), error))
}

impl Place {
    fn of(listen: SocketAddr, answer: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(answer).ok()?;
        let port = |kind: &str| {
            let rest = text.lines().find_map(|line| line.strip_prefix(kind))?;
            let port = rest.split_ascii_whitespace().next()?.parse().ok()?;
            Some(SocketAddr::new(listen.ip(), port))
        };
        Some(Self { speech: port("m=audio ")?, control: port("m=application ")? })
    }
}

impl Plan<'_> {
    fn count(&self) -> usize {
        self.sessions * self.members
    }

    /// What a leg says to join.
    fn lines(&self, leg: usize, control: &Control, server: SocketAddr, local: SocketAddr) -> Lines {
        let (user, group) = (user(leg), group(leg / self.members));
        let own = control.address(leg);
        let speech = self.speech.get(leg).copied().unwrap_or(own);
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 {}\r\nt=0 0\r\nm=audio {} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n\
             m=application {} udp TBCP\r\nc=IN IP4 {}\r\na=fmtp:TBCP queuing=0;tb_priority=1\r\n",
            speech.ip(),
            speech.port(),
            own.port(),
            own.ip()
        );
        let rest = format!(
            "Route: <sip:orig@{server};lr>\r\nP-Asserted-Identity: <sip:{user}@{DOMAIN}>\r\n\
             Accept-Contact: *;+g.poc.talkburst;require;explicit\r\nUser-Agent: PoC-client/OMA2.0 PoCrs/0.1\r\n\
             Contact: <sip:{user}@{local}>;+g.poc.talkburst\r\nSupported: timer\r\nSession-Expires: 1800;refresher=uac\r\n\
             Allow: INVITE,ACK,CANCEL,BYE,REFER\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        Lines {
            uri: format!("sip:{group}@{DOMAIN};session=chat").into_bytes(),
            from: format!("From: <sip:{user}@{DOMAIN}>;tag=").into_bytes(),
            to: format!("To: <sip:{group}@{DOMAIN}>").into_bytes(),
            rest: rest.into_bytes(),
        }
    }
}
