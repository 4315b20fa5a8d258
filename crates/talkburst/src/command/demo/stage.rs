//! Those who take part, their sockets, and a way to hold messages back.
//!
//! Crossings are made by holding a message until the other one has arrived, never by waiting for a while.

mod waiting;

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::Poll;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use poc::client::Speech;
use poc::media::Stream;
use poc::server::Record;
use poc::{Addressee, AnswerRequest, Client, Command, Event, Input, Outcome};
use sim::ladder::{Fate, Trace, label};
use sip::message::Uri;
use sip::transport::{Path, Target, Transmit, Transport};
use sip::{Duration, Instant, Message, Misuse, SessionId};
use tokio::io::ReadBuf;

use super::super::Failure;
use super::cast::{self, Between};
use super::ear::Ear;
use super::element::{Element, Machine, Media};
use super::timeline::{Doing, Timeline};
use crate::voice::Coder;

pub(super) use self::waiting::Stuck;

/// The inviter.
pub(super) const ANNA: usize = 0;
/// The invited, or one of them.
pub(super) const BEN: usize = 1;
pub(super) const CARA: usize = 2;
pub(super) const DAN: usize = 3;
pub(super) const ERIN: usize = 4;

/// Longer than any step of a scene takes; only a mistake lets it pass.
const PATIENCE: Duration = Duration::from_secs(2);

/// Everybody, and what went on between them.
pub(super) struct Stage {
    /// The clients, and whoever stands between them.
    elements: Vec<Element>,
    /// How many clients there are.
    pub(super) clients: usize,
    /// The column of each element in the ladder.
    columns: Vec<usize>,
    begun: std::time::Instant,
    /// Which messages are held back.
    hold: Vec<Hold>,
    held: Vec<Transmit>,
    events: Vec<(usize, Event)>,
    /// What was said, packet by packet, by whom.
    pub(super) spoken: Vec<(usize, Bytes)>,
    /// What was heard, by whom.
    pub(super) heard: Vec<(usize, Speech)>,
    /// What each client hears, decoded, once it is in session.
    ears: Vec<Option<Ear>>,
    /// Who spoke and heard when.
    pub(super) timeline: Timeline,
    /// How the sessions before the present one ended.
    ended_before: Vec<(usize, Event)>,
    /// What the PoC Server has closed.
    pub(super) records: Vec<Record>,
    /// The story.
    pub(super) trace: Trace,
    /// What was sent, held back or not.
    pub(super) said: Vec<Transmit>,
    /// What left a socket, with the time since the Unix epoch.
    pub(super) sent: Vec<(Duration, Transmit)>,
}

/// A message that is to wait on the way.
struct Hold {
    /// Who sends it.
    side: usize,
    label: &'static str,
    /// Whom it is for, if that matters: a name in To.
    to: Option<&'static str>,
}

impl Hold {
    fn fits(&self, side: usize, bytes: &Bytes) -> bool {
        let Ok(message) = Message::parse(bytes.clone()) else { return false };
        let is_for = |name: &str| {
            let user = message.to().ok().and_then(|to| Uri::parse(to.uri).ok()?.user);
            user == Some(name.as_bytes())
        };
        self.side == side && label(&message) == self.label && self.to.is_none_or(is_for)
    }
}

impl Stage {
    /// Clients on loopback, on ports that are free, and who stands between them.
    pub(super) async fn open(ipv6: bool, between: Between) -> Result<Self, Failure> {
        let ip = if ipv6 { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
        let (elements, clients) = match between {
            Between::Nobody => (cast::wire(ip).await?, 2),
            Between::Server(rules) => (cast::house(ip, rules).await?, 1 + rules.others.len()),
        };
        let from_left: Vec<_> =
            [ANNA].into_iter().chain(clients..elements.len()).chain(BEN..clients).collect();
        let columns = (0..elements.len())
            .map(|place| from_left.iter().position(|each| *each == place).unwrap_or(place))
            .collect();
        let parties = from_left.iter().map(|place| elements[*place].party()).collect();
        Ok(Self {
            elements,
            clients,
            columns,
            begun: std::time::Instant::now(),
            hold: Vec::new(),
            held: Vec::new(),
            events: Vec::new(),
            spoken: Vec::new(),
            heard: Vec::new(),
            ears: (0..clients).map(|_| None).collect(),
            timeline: Timeline::default(),
            ended_before: Vec::new(),
            records: Vec::new(),
            trace: Trace::between(parties),
            said: Vec::new(),
            sent: Vec::new(),
        })
    }

    pub(super) fn now(&self) -> Instant {
        Instant::at(self.begun.elapsed())
    }

    /// How the first session of `side` ended; `None` as long as it has not.
    pub(super) fn outcome(&self, side: usize) -> Option<&Outcome> {
        self.ended_before.iter().chain(&self.events).filter(|(place, _)| *place == side).find_map(
            |(_, event)| {
                let Event::Ended { outcome, .. } = event else { return None };
                Some(outcome)
            },
        )
    }

    /// The name of `side`.
    pub(super) fn name(&self, side: usize) -> &'static str {
        self.elements[side].name
    }

    /// The address of `side`.
    pub(super) fn address(&self, side: usize) -> SocketAddr {
        self.elements[side].address
    }

    // Before the story.

    /// All clients register and publish their settings. That is no part of the story: only the capture has it.
    pub(super) async fn register(&mut self) -> Result<(), Stuck> {
        for side in 0..self.clients {
            self.command(side, Command::Register).await?;
            self.until_told(side, "settings published", |event| matches!(event, Event::SettingsPublished))
                .await?;
            if self.pre_establishes(side) {
                self.until_told(side, "pre-established", |event| matches!(event, Event::PreEstablished))
                    .await?;
            }
        }
        self.trace.clear();
        self.timeline.clear();
        self.said.clear();
        self.events.clear();
        Ok(())
    }

    fn pre_establishes(&self, side: usize) -> bool {
        match &self.elements[side].machine {
            Machine::Client(client) => client.config().pre_establishes,
            Machine::Core(_) | Machine::Server(_) => false,
        }
    }

    // What users do.

    /// Anna invites Ben.
    pub(super) async fn invite(&mut self) -> Result<SessionId, Stuck> {
        self.invite_asking(AnswerRequest::Usual).await
    }

    /// Anna invites Ben, whose client is to answer so.
    pub(super) async fn invite_asking(&mut self, answer: AnswerRequest) -> Result<SessionId, Stuck> {
        let what = match answer {
            AnswerRequest::Override => "anna invites ben, overriding",
            AnswerRequest::Usual | AnswerRequest::Manual | AnswerRequest::Automatic => "anna invites ben",
        };
        self.start(ANNA, what, Addressee::User(cast::address_of("ben")), answer).await
    }

    /// A user begins a session, or joins one.
    pub(super) async fn start(
        &mut self,
        side: usize,
        what: &str,
        to: Addressee,
        answer: AnswerRequest,
    ) -> Result<SessionId, Stuck> {
        self.trace.note(self.now(), self.columns[side], what.to_owned());
        // Whoever is registered asks its server for the way.
        let is_direct = self.elements.len() == self.clients;
        let target = Target { transport: Transport::Udp, remote: self.elements[BEN].address };
        let targets = is_direct.then_some(target).into_iter().collect();
        let command = Command::StartSession { targets, routes: Vec::new(), to, answer };
        self.command(side, command).await?.ok_or(Stuck::Refused(Misuse::NoSession))
    }

    /// Somebody presses a key that is a command.
    pub(super) async fn key(&mut self, side: usize, what: &str, command: Command) -> Result<(), Stuck> {
        let name = self.elements[side].name;
        self.trace.note(self.now(), self.columns[side], format!("{name} {what}"));
        self.command(side, command).await.map(|_| ())
    }

    /// The session that a user has, if there is one.
    pub(super) fn session_of(&self, side: usize) -> Option<SessionId> {
        match &self.elements[side].machine {
            Machine::Client(client) => client.sessions().next(),
            Machine::Core(_) | Machine::Server(_) => None,
        }
    }

    pub(super) async fn command(
        &mut self,
        side: usize,
        command: Command,
    ) -> Result<Option<SessionId>, Stuck> {
        let now = self.now();
        let doing = Timeline::doing_by(&command);
        let done = match &mut self.elements[side].machine {
            Machine::Client(client) => client.handle_input(now, Input::Command(command))?,
            Machine::Core(_) | Machine::Server(_) => None,
        };
        if let Some(doing) = doing {
            self.timeline.note(now, side, doing);
        }
        self.settle().await?;
        Ok(done)
    }

    /// Somebody presses a key.
    pub(super) async fn press(
        &mut self,
        side: usize,
        what: &str,
        key: impl FnOnce(&mut Client, Instant) -> Result<(), Misuse>,
    ) -> Result<(), Stuck> {
        let now = self.now();
        let element = &mut self.elements[side];
        self.trace.note(now, self.columns[side], format!("{} {what}", element.name));
        match &mut element.machine {
            Machine::Client(client) => key(client, now)?,
            Machine::Core(_) | Machine::Server(_) => {}
        }
        self.settle().await
    }

    // What the network does.

    /// From now on, the first message of `side` with this label waits on the way.
    pub(super) fn hold(&mut self, side: usize, label: &'static str) {
        self.hold.push(Hold { side, label, to: None });
    }

    /// The same for a message of the PoC Server, to the core or from it; for `to`, if that is said.
    pub(super) fn hold_inside(&mut self, label: &'static str, to: Option<&'static str>) {
        let side = self.elements.len() - 1;
        self.hold.push(Hold { side, label, to });
    }

    /// Lets go what was held back.
    pub(super) async fn let_go(&mut self) -> Result<(), Stuck> {
        self.hold.clear();
        for transmit in std::mem::take(&mut self.held) {
            self.trace.message_with(self.now(), &transmit, Fate::LetGo);
            self.send(transmit).await?;
        }
        Ok(())
    }

    /// What a client is to have heard of these talkers, and what it has heard.
    pub(super) fn heard_of(&self, listener: usize, talkers: &[usize]) -> (Vec<i16>, Vec<i16>) {
        let said: Vec<_> = talkers.iter().flat_map(|talker| self.spoken_by(*talker)).collect();
        let ear = self.ears.get(listener).and_then(Option::as_ref);
        ear.map(|ear| (ear.decoded(&said), ear.heard().to_vec())).unwrap_or_default()
    }

    /// Hears all that has come.
    pub(super) fn finish_ears(&mut self) {
        let now = self.now();
        self.ears.iter_mut().flatten().for_each(|ear| ear.finish(now));
    }

    /// Samples a second of what a client hears.
    pub(super) fn clock_of(&self, side: usize) -> Option<u32> {
        self.ears.get(side)?.as_ref().map(Ear::clock)
    }

    /// How a client codes what it says.
    pub(super) fn coder(&self, side: usize) -> Option<Coder> {
        self.ears.get(side)?.as_ref()?.coder()
    }

    // How it goes on.

    /// Forgets what was told so far: another session follows.
    pub(super) fn begin_again(&mut self) {
        self.ended_before
            .extend(self.events.drain(..).filter(|(_, event)| matches!(event, Event::Ended { .. })));
    }

    /// Lets one datagram or one deadline happen.
    async fn step(&mut self, at_most_until: Instant) -> Result<(), Stuck> {
        let timeouts = self.elements.iter().filter_map(|element| element.machine.poll_timeout());
        let wake_at = timeouts.chain([at_most_until]).min().unwrap_or(at_most_until);
        let patience = wake_at.saturating_since(self.now());
        let mut buffer = vec![0; 65_536];
        match tokio::time::timeout(patience, receive(&self.elements, &mut buffer)).await {
            Ok(received) => {
                let (place, stream, length, remote) = received?;
                let bytes = Bytes::copy_from_slice(&buffer[..length]);
                let local = self.elements[place].address;
                let path = Path { transport: Transport::Udp, local, remote, connection: None };
                match stream {
                    Some(stream) => {
                        let now = self.now();
                        self.elements[place].machine.handle_media(now, stream, remote, bytes);
                    }
                    None => self.deliver(place, path, bytes),
                }
            }
            Err(_) => {
                let now = self.now();
                for element in &mut self.elements {
                    element.machine.handle_timeout(now);
                }
            }
        }
        self.settle().await
    }

    fn deliver(&mut self, place: usize, path: Path, bytes: Bytes) {
        let now = self.now();
        self.elements[place].machine.handle_message(now, path, bytes);
    }

    /// Drains everybody: what is sent leaves or is held back, what is told is kept. A hop inside is one call.
    async fn settle(&mut self) -> Result<(), Stuck> {
        while let Some((place, transmit)) = self.poll_transmit() {
            self.said.push(transmit.clone());
            if self.hold.iter().any(|hold| hold.fits(place, &transmit.bytes)) {
                self.trace.message_with(self.now(), &transmit, Fate::Held);
                self.held.push(transmit);
            } else {
                self.trace.message_with(self.now(), &transmit, Fate::Arrives(Duration::ZERO));
                self.send(transmit).await?;
            }
            self.listen();
        }
        self.listen();
        self.speak()
    }

    /// Speech and talk burst control leave after everything else.
    fn speak(&mut self) -> Result<(), Stuck> {
        let now = self.now();
        for place in 0..self.elements.len() {
            while let Some(Media { from, to, bytes }) = self.elements[place].machine.poll_media() {
                let Some(sockets) = &self.elements[place].media else { continue };
                let local = sockets.local(from)?;
                for remote in to {
                    sockets.send(from, remote, &bytes);
                    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                    let path = Path { transport: Transport::Udp, local, remote, connection: None };
                    self.sent.push((at, Transmit { path, bytes: bytes.clone() }));
                    let there = self.elements.iter().position(|element| {
                        element
                            .media
                            .as_ref()
                            .is_some_and(|media| media.local(from).is_ok_and(|at| at == remote))
                    });
                    if let Some(there) = there {
                        let ends = (self.columns[place], self.columns[there]);
                        self.trace.media(now, ends, from, &bytes, Fate::Arrives(Duration::ZERO));
                    }
                }
            }
        }
        Ok(())
    }

    fn poll_transmit(&mut self) -> Option<(usize, Transmit)> {
        let mut all = self.elements.iter_mut().enumerate();
        all.find_map(|(place, element)| Some((place, element.machine.poll_transmit()?)))
    }

    /// Hears what the machines tell.
    fn listen(&mut self) {
        let now = self.now();
        for (place, element) in self.elements.iter_mut().enumerate() {
            match &mut element.machine {
                Machine::Client(client) => {
                    while let Some(event) = client.poll_event() {
                        self.trace.event(now, self.columns[place], &event);
                        if let Event::Heard { speech, .. } = event {
                            self.timeline.note(now, place, Doing::Hears);
                            if let Some(ear) = &mut self.ears[place] {
                                ear.hear(now, &speech);
                            }
                            self.heard.push((place, speech));
                            continue;
                        }
                        if let Event::Established { media, .. } = &event {
                            self.ears[place] = Ear::new(media);
                        }
                        if let Some(doing) = self.timeline.doing_of(place, &event) {
                            self.timeline.note(now, place, doing);
                        }
                        self.events.push((place, event));
                    }
                }
                Machine::Server(server) => {
                    while let Some(event) = server.poll_event() {
                        if let poc::server::Event::Closed(record) = event {
                            self.records.push(*record);
                        }
                    }
                }
                Machine::Core(core) => while core.poll_event().is_some() {},
            }
        }
    }

    async fn send(&mut self, transmit: Transmit) -> Result<(), Stuck> {
        if transmit.path.transport == Transport::Inside {
            let place = self.elements.iter().position(|element| element.address == transmit.path.remote);
            if let Some(place) = place {
                let Transmit { path, bytes } = transmit;
                self.deliver(place, Path { local: path.remote, remote: path.local, ..path }, bytes);
            }
            return Ok(());
        }
        let from = self.elements.iter().find(|element| element.address == transmit.path.local);
        if let Some(socket) = from.and_then(|element| element.socket.as_ref()) {
            socket.send_to(&transmit.bytes, transmit.path.remote).await?;
        }
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.sent.push((at, transmit));
        Ok(())
    }
}

/// The first datagram that arrives at anybody.
async fn receive(
    elements: &[Element],
    buffer: &mut [u8],
) -> io::Result<(usize, Option<Stream>, usize, SocketAddr)> {
    poll_fn(|context| {
        for (place, element) in elements.iter().enumerate() {
            if let Some(socket) = &element.socket {
                let mut space = ReadBuf::new(buffer);
                if let Poll::Ready(received) = socket.poll_recv_from(context, &mut space) {
                    return Poll::Ready(received.map(|remote| (place, None, space.filled().len(), remote)));
                }
            }
            let Some(media) = &element.media else { continue };
            if let Poll::Ready(received) = media.poll_receive(context, buffer) {
                return Poll::Ready(
                    received.map(|(stream, length, remote)| (place, Some(stream), length, remote)),
                );
            }
        }
        Poll::Pending
    })
    .await
}

fn label_of(bytes: &Bytes) -> String {
    Message::parse(bytes.clone()).map(|message| label(&message)).unwrap_or_default()
}
