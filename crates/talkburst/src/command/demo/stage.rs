//! Two clients, a socket each, and a way to hold datagrams back.
//!
//! Crossings are made by holding a datagram until the other one has arrived, never by waiting for a while.

use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::Poll;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fmt, io};

use bytes::Bytes;
use poc::sdp::Capabilities;
use poc::{Client, Config, Event, Input, Outcome};
use sim::ladder::{Fate, Trace, label};
use sip::transport::{Listener, Path, Target, Transmit, Transport};
use sip::{Duration, Instant, Message, Misuse, Owner, SessionId};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use super::super::Failure;

/// The inviter.
pub(super) const ANNA: usize = 0;
/// The invited.
pub(super) const BEN: usize = 1;

/// Longer than any step of a scene takes; only a mistake lets it pass.
const PATIENCE: Duration = Duration::from_secs(2);

/// One of the two.
struct Side {
    name: &'static str,
    client: Client,
    socket: UdpSocket,
    address: SocketAddr,
}

/// Both, and what went on between them.
pub(super) struct Stage {
    sides: [Side; 2],
    begun: std::time::Instant,
    /// Which message of whom is held back.
    hold: Option<(usize, &'static str)>,
    held: Vec<Transmit>,
    events: Vec<(usize, Event)>,
    /// The story.
    pub(super) trace: Trace,
    /// What the clients sent, held back or not.
    pub(super) said: Vec<Transmit>,
    /// What left a socket, with the time since the Unix epoch.
    pub(super) sent: Vec<(Duration, Transmit)>,
}

/// A scene did not go on.
#[derive(Debug)]
pub(super) enum Stuck {
    /// This did not happen in time.
    Waited(String),
    /// A client refused what its user asked for.
    Refused(Misuse),
    /// A socket failed.
    Network(io::Error),
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waited(what) => write!(f, "waited in vain for {what}"),
            Self::Refused(misuse) => write!(f, "the client refused: {misuse}"),
            Self::Network(error) => write!(f, "the socket failed: {error}"),
        }
    }
}

impl From<Misuse> for Stuck {
    fn from(misuse: Misuse) -> Self {
        Self::Refused(misuse)
    }
}

impl From<io::Error> for Stuck {
    fn from(error: io::Error) -> Self {
        Self::Network(error)
    }
}

impl Stage {
    /// Two clients on loopback, on ports that are free.
    pub(super) async fn open(ipv6: bool) -> Result<Self, Failure> {
        let ip = if ipv6 { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
        let sides = [side("anna", 1, ip).await?, side("ben", 2, ip).await?];
        let parties = sides.iter().map(|side| (side.name.to_owned(), side.address)).collect();
        Ok(Self {
            sides,
            begun: std::time::Instant::now(),
            hold: None,
            held: Vec::new(),
            events: Vec::new(),
            trace: Trace::new(parties),
            said: Vec::new(),
            sent: Vec::new(),
        })
    }

    fn now(&self) -> Instant {
        Instant::at(self.begun.elapsed())
    }

    /// How the session of `side` ended; `None` as long as it has not.
    pub(super) fn outcome(&self, side: usize) -> Option<&Outcome> {
        self.events.iter().filter(|(place, _)| *place == side).find_map(|(_, event)| {
            let Event::Ended { outcome, .. } = event else { return None };
            Some(outcome)
        })
    }

    /// The address of `side`.
    pub(super) fn address(&self, side: usize) -> SocketAddr {
        self.sides[side].address
    }

    // What users do.

    /// Anna invites Ben.
    pub(super) async fn invite(&mut self) -> Result<SessionId, Stuck> {
        let (now, remote) = (self.now(), self.sides[BEN].address);
        self.trace.note(now, ANNA, "anna invites ben".to_owned());
        let target = Target { transport: Transport::Udp, remote };
        let session = self.sides[ANNA].client.start_session(now, target, "sip:ben@poc.example")?;
        self.settle(ANNA).await?;
        Ok(session)
    }

    /// Somebody presses a key.
    pub(super) async fn press(
        &mut self,
        side: usize,
        what: &str,
        key: impl FnOnce(&mut Client, Instant) -> Result<(), Misuse>,
    ) -> Result<(), Stuck> {
        let now = self.now();
        self.trace.note(now, side, format!("{} {what}", self.sides[side].name));
        key(&mut self.sides[side].client, now)?;
        self.settle(side).await
    }

    // What the network does.

    /// From now on, the first message of `side` with this label waits on the way.
    pub(super) fn hold(&mut self, side: usize, label: &'static str) {
        self.hold = Some((side, label));
    }

    /// Lets go what was held back.
    pub(super) async fn let_go(&mut self) -> Result<(), Stuck> {
        self.hold = None;
        for transmit in std::mem::take(&mut self.held) {
            self.trace.message_with(self.now(), &transmit, Fate::LetGo);
            self.send(transmit).await?;
        }
        Ok(())
    }

    // Waiting.

    /// Waits until Ben is told that he is invited.
    pub(super) async fn until_invited(&mut self) -> Result<SessionId, Stuck> {
        self.until("ben to be invited", |stage| {
            stage.events.iter().find_map(|(_, event)| {
                let Event::Invited { session, .. } = event else { return None };
                Some(*session)
            })
        })
        .await
    }

    /// Waits until `side` is told something that fits.
    pub(super) async fn until_told(
        &mut self,
        side: usize,
        what: &str,
        fits: impl Fn(&Event) -> bool,
    ) -> Result<(), Stuck> {
        let name = self.sides[side].name;
        self.until(&format!("{name} to be told: {what}"), |stage| {
            stage.events.iter().any(|(place, event)| *place == side && fits(event)).then_some(())
        })
        .await
    }

    /// Waits until a message with this label has left `side` for good.
    pub(super) async fn until_sent(&mut self, side: usize, wanted: &str) -> Result<(), Stuck> {
        let (name, from) = (self.sides[side].name, self.address(side));
        self.until(&format!("{name} to send {wanted}"), |stage| {
            let left =
                |(_, each): &(Duration, Transmit)| each.path.local == from && label_of(&each.bytes) == wanted;
            stage.sent.iter().any(left).then_some(())
        })
        .await
    }

    /// Waits until a message is held back.
    pub(super) async fn until_held(&mut self) -> Result<(), Stuck> {
        self.until("a message to be held back", |stage| (!stage.held.is_empty()).then_some(())).await
    }

    /// Waits until both were told the end.
    pub(super) async fn until_both_ended(&mut self) -> Result<(), Stuck> {
        self.until("both to be told the end", |stage| {
            (stage.outcome(ANNA).is_some() && stage.outcome(BEN).is_some()).then_some(())
        })
        .await
    }

    async fn until<T>(&mut self, what: &str, found: impl Fn(&Self) -> Option<T>) -> Result<T, Stuck> {
        let give_up_at = self.now() + PATIENCE;
        loop {
            if let Some(value) = found(self) {
                return Ok(value);
            }
            if self.now() >= give_up_at {
                return Err(Stuck::Waited(what.to_owned()));
            }
            self.step(give_up_at).await?;
        }
    }

    /// Lets one datagram or one deadline happen.
    async fn step(&mut self, at_most_until: Instant) -> Result<(), Stuck> {
        let timeouts = self.sides.iter().filter_map(|side| side.client.poll_timeout());
        let wake_at = timeouts.chain([at_most_until]).min().unwrap_or(at_most_until);
        let patience = wake_at.saturating_since(self.now());
        let mut buffer = vec![0; 65_536];
        match tokio::time::timeout(patience, receive(&self.sides, &mut buffer)).await {
            Ok(received) => {
                let (side, length, remote) = received?;
                let bytes = Bytes::copy_from_slice(&buffer[..length]);
                let path = Path { remote, ..way(&self.sides[side]) };
                let now = self.now();
                self.sides[side].client.handle_input(now, Input::Datagram { path, bytes })?;
                self.settle(side).await
            }
            Err(_) => {
                for side in [ANNA, BEN] {
                    let now = self.now();
                    self.sides[side].client.handle_timeout(now);
                    self.settle(side).await?;
                }
                Ok(())
            }
        }
    }

    /// Drains a client: what it sends leaves or is held back, what it tells is kept.
    async fn settle(&mut self, side: usize) -> Result<(), Stuck> {
        while let Some(transmit) = self.sides[side].client.poll_transmit() {
            self.said.push(transmit.clone());
            if self.hold.is_some_and(|(who, what)| who == side && label_of(&transmit.bytes) == what) {
                self.trace.message_with(self.now(), &transmit, Fate::Held);
                self.held.push(transmit);
            } else {
                self.trace.message_with(self.now(), &transmit, Fate::Arrives(Duration::ZERO));
                self.send(transmit).await?;
            }
        }
        while let Some(event) = self.sides[side].client.poll_event() {
            self.trace.event(self.now(), side, &event);
            self.events.push((side, event));
        }
        Ok(())
    }

    async fn send(&mut self, transmit: Transmit) -> Result<(), Stuck> {
        let from = self.sides.iter().find(|side| side.address == transmit.path.local);
        if let Some(side) = from {
            side.socket.send_to(&transmit.bytes, transmit.path.remote).await?;
        }
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.sent.push((at, transmit));
        Ok(())
    }
}

/// The first datagram that arrives at either side.
async fn receive(sides: &[Side; 2], buffer: &mut [u8]) -> io::Result<(usize, usize, SocketAddr)> {
    poll_fn(|context| {
        for (place, side) in sides.iter().enumerate() {
            let mut space = ReadBuf::new(buffer);
            if let Poll::Ready(received) = side.socket.poll_recv_from(context, &mut space) {
                return Poll::Ready(received.map(|remote| (place, space.filled().len(), remote)));
            }
        }
        Poll::Pending
    })
    .await
}

fn way(side: &Side) -> Path {
    Path { transport: Transport::Udp, local: side.address, remote: side.address, connection: None }
}

fn label_of(bytes: &Bytes) -> String {
    Message::parse(bytes.clone()).map(|message| label(&message)).unwrap_or_default()
}

async fn side(name: &'static str, node: u16, ip: IpAddr) -> Result<Side, Failure> {
    let failed = |error| Failure::Socket(ip.to_string(), error);
    let socket = UdpSocket::bind(SocketAddr::new(ip, 0)).await.map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| Failure::Network(io::Error::other(error)))?;
    let listener = Listener { transport: Transport::Udp, bind: address, advertised: address };
    let mut sip = sip::Config::new(vec![listener], seed);
    sip.owner = Owner { node, shard: 0 };
    let config = Config::new(
        sip,
        Bytes::from(format!("<sip:{name}@poc.example>")),
        Capabilities::amr(ip, 45_200, 25_463),
    );
    Ok(Side { name, client: Client::new(config), socket, address })
}
