//! The whole system: two networks, each with a SIP/IP core and a PoC Server behind it, and the clients of both.
//!
//! ```text
//! clients of home1 ── core 1 ─────────── core 2 ── clients of home2
//!                       │                  │
//!                    server 1           server 2
//! ```
//!
//! Every line is the simulated network, the one between a core and its server too.

mod acting;
mod build;
pub(crate) mod district;
pub(crate) mod element;
pub mod story;
mod stranger;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bytes::Bytes;
use poc::Event;
use poc::server::{Command as Order, Record, User};
use sip::Instant;
use sip::hash::Keyed;
use sip::transport::{Path, Transmit, Transport};

pub use self::acting::Act;
pub(crate) use self::build::home_at;
pub use self::build::{Setup, Terminal};
pub use self::element::{Element, Machine};
pub use self::stranger::AMPLIFICATION_MAX;

use self::district::{District, Seat};
use self::element::Told;
use crate::ladder::{Fate, Trace, told};
use crate::monitor::system::Watch;
use crate::network::Network;

/// Everything, at one moment.
#[derive(Clone, Debug)]
pub struct System {
    /// The moment.
    pub now: Instant,
    /// The elements: clients of the first network, its core and server, server and core of the second, clients of that.
    pub elements: Vec<Element>,
    /// What is on the way.
    pub network: Network,
    /// The same for speech and talk burst control, by a chance of its own.
    pub media: Network,
    /// What must hold.
    pub watch: Watch,
    /// What the clients told their users and nobody has read yet.
    pub events: Vec<(usize, Event)>,
    /// What the servers closed.
    pub records: Vec<(usize, Record)>,
    /// Whether it is kept what happened, for a ladder.
    pub keeps_story: bool,
    setup: Setup,
    /// What happened, in order.
    story: Vec<(Instant, Happened)>,
    /// What left for addresses that are no element's.
    to_strangers: Vec<Transmit>,
    /// Of all that happened, if somebody wants it.
    pub(crate) digest: Option<Digest>,
    /// The place of each address.
    places: BTreeMap<IpAddr, usize>,
    /// When something is due at which place, and that of each place.
    due: BTreeSet<(Instant, usize)>,
    due_of: Vec<Option<Instant>>,
    /// The parts that are watched each for itself; if there are none, `watch` is for the whole.
    pub(crate) districts: Vec<District>,
    /// The number of the first of them.
    first_district: usize,
    /// The seat of each place.
    seats: Vec<Option<Seat>>,
    /// The district in which something was looked at last.
    pub(crate) acting: Option<usize>,
}

/// A digest of a story: equal stories have equal ones.
#[derive(Clone, Debug)]
pub(crate) struct Digest {
    keyed: Keyed,
    so_far: [u8; 32],
}

impl Digest {
    /// Of a story in which nothing has happened.
    pub(crate) fn new() -> Self {
        Self { keyed: Keyed::new([0; 16]), so_far: [b'0'; 32] }
    }

    fn add(&mut self, at: Instant, happened: &Happened) {
        let at = at.since_start().as_nanos().to_be_bytes();
        let mut add = |what: &[u8], how: &[u8]| {
            self.so_far = self.keyed.key(&[&self.so_far, &at, what, how]).digits();
        };
        match happened {
            Happened::Message(transmit, fate) | Happened::Media(transmit, fate) => {
                add(&transmit.bytes, fate.name().as_bytes());
            }
            Happened::Note(_, text) => add(text.as_bytes(), b"note"),
            Happened::Told(_, event) => add(told(event).unwrap_or_default().as_bytes(), b"told"),
        }
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.so_far))
    }
}

/// A line of the story, to be drawn if somebody wants to see it.
#[derive(Clone, Debug)]
enum Happened {
    Message(Transmit, Fate),
    Media(Transmit, Fate),
    Note(usize, String),
    Told(usize, Event),
}

impl System {
    /// How it was built.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The places of the clients.
    pub fn clients(&self) -> impl Iterator<Item = usize> {
        let is_client = |element: &Element| matches!(element.machine, Machine::Client(_));
        (0..self.elements.len()).filter(move |place| is_client(&self.elements[*place]))
    }

    /// The place of the element of this name.
    ///
    /// # Panics
    /// If there is none.
    pub fn place(&self, name: &str) -> usize {
        self.elements.iter().position(|element| element.name == name).expect("an element of that name")
    }

    /// The client of `place` stops for ever.
    pub fn die(&mut self, place: usize) {
        self.note(place, "dies".to_owned());
        self.elements[place].machine = Machine::Gone;
        self.schedule(place);
        let (watch, seat) = self.watch_at(place);
        watch.died(seat);
    }

    /// The client of `place` stops, and another one with the same settings takes its place, which knows nothing and
    /// registers.
    pub fn restart(&mut self, place: usize, seed: [u8; 32]) {
        self.note(place, "restarts".to_owned());
        self.elements[place].machine = Machine::Client(Box::new(self.setup.client(place, seed)));
        let (watch, seat) = self.watch_at(place);
        watch.restarted(seat);
        self.act(place, Act::Register);
    }

    /// The operator of the network of `home`, 0 or 1, changes what is known of a user.
    pub fn put_user(&mut self, home: usize, user: User) {
        self.order(home, Order::PutUser(Box::new(user)));
    }

    /// The operator removes the user of `place` from the PoC Server of its network: what the user has ends.
    pub fn remove_user(&mut self, place: usize) {
        let address = self.setup.address_of(place);
        let home = self.setup.home_of(place);
        self.note(place, "is served no more".to_owned());
        self.watch_at(place).0.removed();
        self.order(home, Order::RemoveUser { address });
    }

    /// The operator of the network of `home`, 0 or 1, stops its core and its PoC Server: nothing new begins, and what there is ends.
    pub fn stop(&mut self, home: usize) {
        let (server, core) = (self.place(build::SERVERS[home]), self.place(build::CORES[home]));
        self.note(server, "is told to stop".to_owned());
        self.watch.stopped([core, server]);
        self.order(home, Order::Release);
        let now = self.now;
        if let Machine::Core(core) = &mut self.elements[core].machine {
            core.handle_input(now, sipcore::Input::Command(sipcore::Command::Release));
        }
        self.settle(core);
    }

    /// Whether the PoC Server of a network waits for nothing any more, once it was told to stop.
    pub fn is_settled(&self, home: usize) -> bool {
        match &self.elements[self.place(build::SERVERS[home])].machine {
            Machine::Server(server) => server.is_settled(),
            Machine::Client(_) | Machine::Core(_) | Machine::Gone => true,
        }
    }

    pub(crate) fn order(&mut self, home: usize, order: Order) {
        let place = self.place(build::SERVERS[home]);
        let now = self.now;
        if let Machine::Server(server) = &mut self.elements[place].machine {
            server.handle_input(now, poc::server::Input::Command(order));
        }
        self.settle(place);
    }

    /// The next moment at which something happens by itself.
    pub fn next_moment(&self) -> Option<Instant> {
        let due = self.due.first().map(|(at, _)| *at);
        due.into_iter().chain(self.network.next_arrival()).chain(self.media.next_arrival()).min()
    }

    /// Moves time to `moment`, which is not before now, and lets everything happen that is due then.
    pub fn advance(&mut self, moment: Instant) {
        assert!(moment >= self.now, "time never runs back");
        self.now = moment;
        while let Some(datagram) = self.network.arrived(moment) {
            self.deliver(&datagram);
        }
        while let Some(datagram) = self.media.arrived(moment) {
            self.deliver_media(&datagram);
        }
        while let Some((_, place)) = self.due.first().copied().filter(|(at, _)| *at <= moment) {
            self.elements[place].machine.handle_timeout(moment);
            self.settle(place);
            let next = self.due_of[place];
            assert!(next.is_none_or(|next| next > moment), "the next timeout is later than the last");
        }
    }

    /// Runs until nothing happens by itself any more, or until `end`.
    pub fn run_until(&mut self, end: Instant) {
        while let Some(moment) = self.next_moment().filter(|moment| *moment <= end) {
            self.advance(moment.max(self.now));
        }
        self.now = self.now.max(end);
    }

    /// Whether nothing remains of any session at a core or a server, and no client has one. Registrations may stand.
    pub fn is_quiet(&self) -> bool {
        let is_quiet = |machine: &Machine| match machine {
            Machine::Client(_) => true,
            Machine::Core(_) | Machine::Server(_) | Machine::Gone => machine.is_empty(),
        };
        self.elements.iter().all(|element| is_quiet(&element.machine))
            && self.network.next_arrival().is_none()
            && self.media.next_arrival().is_none()
    }

    /// Whether nothing remains anywhere.
    pub fn is_empty(&self) -> bool {
        let mut machines = self.elements.iter().map(|element| &element.machine);
        machines.all(|machine| machine.is_empty() && machine.poll_timeout().is_none())
            && self.network.next_arrival().is_none()
            && self.media.next_arrival().is_none()
    }

    /// Everybody registers and publishes; time goes on until everybody has.
    ///
    /// # Panics
    /// If somebody cannot.
    pub fn register_everybody(&mut self) {
        let clients: Vec<_> = self.clients().collect();
        for place in &clients {
            self.act(*place, Act::Register);
        }
        let is_published = |(_, event): &&(usize, Event)| *event == Event::SettingsPublished;
        while self.events.iter().filter(is_published).count() < clients.len() {
            let moment = self.next_moment().expect("everybody can register");
            self.advance(moment);
        }
        self.events.clear();
    }

    /// Lets go what the script holds back.
    pub fn let_go(&mut self) {
        for datagram in self.network.let_go(self.now) {
            self.keep(Happened::Message(datagram, Fate::LetGo));
        }
    }

    /// A line of the ladder about `place`.
    fn note(&mut self, place: usize, what: String) {
        let name = &self.elements[place].name;
        let text = format!("{name} {what}");
        self.keep(Happened::Note(place, text));
    }

    fn keep(&mut self, happened: Happened) {
        if let Some(digest) = &mut self.digest {
            digest.add(self.now, &happened);
        }
        if self.keeps_story {
            self.story.push((self.now, happened));
        }
    }

    /// The story as a ladder of all elements that have a part in it.
    pub fn trace(&self) -> Trace {
        self.trace_since(Instant::START)
    }

    /// The story from a moment on.
    pub fn trace_since(&self, since: Instant) -> Trace {
        let lines = || self.story.iter().filter(|(at, _)| *at >= since);
        let takes_part = |place: &usize| {
            let address = self.elements[*place].address;
            lines().any(|(_, what)| match what {
                Happened::Message(Transmit { path, .. }, _) => [path.local, path.remote].contains(&address),
                Happened::Media(Transmit { path, .. }, _) => {
                    [path.local.ip(), path.remote.ip()].contains(&address.ip())
                }
                Happened::Note(whom, _) | Happened::Told(whom, _) => whom == place,
            })
        };
        let places: Vec<_> = (0..self.elements.len()).filter(takes_part).collect();
        let column = |place: &usize| places.iter().position(|each| each == place).unwrap_or(0);
        let party = |place: &usize| (self.elements[*place].name.clone(), self.elements[*place].address);
        let mut trace = Trace::new(places.iter().map(party).collect());
        for (at, what) in lines() {
            match what {
                Happened::Message(transmit, fate) => trace.message_with(*at, transmit, *fate),
                Happened::Media(Transmit { path, bytes }, fate) => {
                    let of = |ip| places.iter().position(|place| self.elements[*place].address.ip() == ip);
                    let ends = of(path.local.ip()).zip(of(path.remote.ip()));
                    if let (Some(ends), Some(port)) = (ends, element::media_port_of(path.remote.port())) {
                        trace.media(*at, ends, port.stream, bytes, *fate);
                    }
                }
                Happened::Note(place, text) => trace.note(*at, column(place), text.clone()),
                Happened::Told(place, event) => trace.event(*at, column(place), event),
            }
        }
        trace
    }

    /// The place of the element that has this address.
    fn place_at(&self, ip: IpAddr) -> Option<usize> {
        self.places.get(&ip).copied()
    }

    fn deliver(&mut self, datagram: &Transmit) {
        let Path { local, remote, .. } = datagram.path;
        let place = self.place_at(remote.ip()).filter(|place| self.elements[*place].address == remote);
        let Some(place) = place else { return };
        if matches!(self.elements[place].machine, Machine::Gone) {
            return;
        }
        let path = Path { transport: Transport::Udp, local: remote, remote: local, connection: None };
        let (now, seat) = (self.now, self.seat_of(place, datagram));
        self.look(seat).received(now, seat.place, datagram);
        self.elements[place].machine.handle_datagram(self.now, path, datagram.bytes.clone());
        self.settle_with(place, Some((seat, Looked::Whole)));
    }

    fn deliver_media(&mut self, datagram: &Transmit) {
        let Path { local, remote, .. } = datagram.path;
        let place = self.place_at(remote.ip());
        if let (Some(place), Some(port)) = (place, element::media_port_of(remote.port())) {
            let seat = self.seat_of(place, datagram);
            self.look(seat).media_received(seat.place, datagram);
            self.elements[place].machine.handle_media(self.now, port, local, datagram.bytes.clone());
            self.settle_with(place, Some((seat, Looked::Media)));
        }
    }

    fn settle(&mut self, place: usize) {
        let own = self.own_seat(place).map(|seat| (seat, Looked::Whole));
        self.settle_with(place, own);
    }

    /// Drains an element: what it sends goes into the network, what it tells is kept. `seat`: where something arrived.
    fn settle_with(&mut self, place: usize, seat: Option<(Seat, Looked)>) {
        let now = self.now;
        let mut looked: BTreeMap<Seat, Looked> = seat.into_iter().collect();
        while let Some(transmit) = self.elements[place].machine.poll_transmit() {
            if self.is_strange(transmit.path.remote) {
                self.to_strangers.push(transmit);
                continue;
            }
            let seat = self.seat_of(place, &transmit);
            looked.insert(seat, Looked::Whole);
            self.look(seat).sent(now, seat.place, &transmit);
            let fate = match self.lanes_of(seat) {
                Some((lane, _)) => self.network.send_by(lane, now, &transmit),
                None => self.network.send(now, &transmit),
            };
            self.note_word(seat, &transmit);
            self.keep(Happened::Message(transmit, fate));
        }
        let ip = self.elements[place].address.ip();
        loop {
            let media = self.elements[place].machine.poll_media(ip);
            if media.is_empty() {
                break;
            }
            for transmit in media {
                if self.is_strange_host(transmit.path.remote.ip()) {
                    self.to_strangers.push(transmit);
                    continue;
                }
                let seat = self.seat_of(place, &transmit);
                looked.entry(seat).or_insert(Looked::Media);
                self.look(seat).media_sent(seat.place, &transmit);
                let fate = match self.lanes_of(seat) {
                    Some((_, lane)) => self.media.send_by(lane, now, &transmit),
                    None => self.media.send(now, &transmit),
                };
                self.keep(Happened::Media(transmit, fate));
            }
        }
        while let Some(told) = self.elements[place].machine.poll_event() {
            match told {
                Told::User(event) => {
                    let seat = self.own_seat(place).expect("a client has a seat");
                    looked.insert(seat, Looked::Whole);
                    self.look(seat).told(now, seat.place, &event);
                    self.keep(Happened::Told(place, event.clone()));
                    self.events.push((place, event));
                }
                Told::Closed(record) => {
                    let seat = self.seat_of_record(place, &record);
                    looked.insert(seat, Looked::Whole);
                    self.look(seat).closed(seat.place, &record);
                    self.records.push((place, *record));
                }
            }
        }
        for (seat, what) in looked {
            let machine = &self.elements[place].machine;
            let watch = match seat.district {
                None => &mut self.watch,
                Some(district) => &mut self.districts[district].watch,
            };
            let slots = |user: &[u8]| match machine {
                Machine::Server(server) => server.sessions_of(user),
                Machine::Client(_) | Machine::Core(_) | Machine::Gone => None,
            };
            match (what, seat.district) {
                (Looked::Media, Some(_)) => watch.media_settled(),
                (Looked::Media, None) | (Looked::Whole, _) => watch.settled(seat.place, slots),
            }
        }
        self.schedule(place);
    }

    /// When something is due at a place is known.
    fn schedule(&mut self, place: usize) {
        let due = self.elements[place].machine.poll_timeout();
        let before = std::mem::replace(&mut self.due_of[place], due);
        if before != due {
            if let Some(at) = before {
                self.due.remove(&(at, place));
            }
            self.due.extend(due.map(|at| (at, place)));
        }
    }

    /// The address of the user of a place.
    pub fn address_of(&self, place: usize) -> Bytes {
        self.setup.address_of(place)
    }
}

/// What is looked at once an element has nothing more to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Looked {
    /// Who speaks.
    Media,
    /// Everything.
    Whole,
}
