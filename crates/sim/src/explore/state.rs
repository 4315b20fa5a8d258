//! A state of a scene, and what may happen in it.

mod fingerprint;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use poc::talk_burst::Priority;
use poc::{Client, Command, Input};
use sip::transport::{Path, Transmit, Transport};
use sip::{Duration, Instant};

use super::canon::{Canon, View};
use super::judge::Judge;
use super::users::{Deed, Habits, Known, note_event};
use crate::ladder::{Fate, Trace};
use crate::monitor::system::Kind;
use crate::system::element::{Told, media_port_of};
use crate::system::{Element, Machine, home_at};

/// How often what a network may do happens at most, on one way from the beginning of a scene to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Datagrams that are lost.
    pub losses: u32,
    /// Datagrams that arrive twice.
    pub copies: u32,
    /// Datagrams that arrive before one that was sent earlier on the same way. Those of one instant have no order.
    pub overtakings: u32,
    /// Moments that pass while a datagram is under way.
    pub delays: u32,
    /// All of these together.
    pub in_all: u32,
    /// How long users wait at most before they end what there is.
    pub patience: Duration,
}

impl Bounds {
    /// Nothing goes wrong.
    pub const NONE: Self = Self {
        losses: 0,
        copies: 0,
        overtakings: 0,
        delays: 0,
        in_all: 0,
        patience: Duration::from_secs(10),
    };
}

/// One thing that happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Move {
    /// This datagram of those in flight arrives.
    Deliver(usize),
    /// It arrives, and will once more.
    Copy(usize),
    /// It is lost.
    Lose(usize),
    /// The next moment comes at which something changes by itself.
    Wait,
    /// A user does something: the place of the session among those that users know.
    Act(usize, Deed),
}

/// What media do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Media {
    /// There is nobody who arbitrates.
    Dropped,
    /// Each arrives at once: the scene is about something else.
    AtOnce,
    /// As everything else.
    InFlight,
}

/// What else arrives at once, so that a scene is not larger than it may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Near {
    /// Nothing.
    Nothing,
    /// What this client sends, and what it is sent.
    Client(usize),
    /// All signalling: the scene is about media.
    Signalling,
}

/// A datagram under way.
#[derive(Clone, Debug)]
struct Flight {
    datagram: Arc<Transmit>,
    is_media: bool,
    /// The step in which it was sent.
    step: u32,
    view: Arc<View>,
}

/// Everything, at one moment.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) now: Instant,
    begun: Instant,
    pub(super) elements: Vec<Arc<Element>>,
    views: Vec<Option<Arc<View>>>,
    pub(super) judge: Judge,
    judged: Vec<Option<Arc<View>>>,
    flying: Vec<Flight>,
    /// What arrives in this instant: it is no part of a state between two moves.
    prompt: VecDeque<Flight>,
    /// The core and the server of a network are in one process: what they say to each other arrives at once.
    is_inside: bool,
    /// What arrives at once besides.
    near: Near,
    /// The client that deregisters when nobody is in a session: what it has pre-established would stand for ever.
    closes: Option<usize>,
    known: Vec<Known>,
    left: Bounds,
    media: Media,
    habits: Arc<Habits>,
    step: u32,
    /// The story, if somebody wants to see it.
    trace: Option<Trace>,
}

/// A frame of AMR at 4.75 kbit/s.
const SPEECH: [u8; 14] = [0xf0, 0x04, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55];

impl State {
    pub(super) fn new(
        now: Instant,
        elements: Vec<Element>,
        judge: Judge,
        bounds: Bounds,
        media: Media,
        habits: Habits,
    ) -> Self {
        let elements: Vec<_> = elements.into_iter().map(Arc::new).collect();
        Self {
            now,
            begun: now,
            views: vec![None; elements.len()],
            judged: vec![None; elements.len()],
            elements,
            judge,
            flying: Vec::new(),
            prompt: VecDeque::new(),
            is_inside: false,
            near: Near::Nothing,
            closes: None,
            known: Vec::new(),
            left: bounds,
            media,
            habits: Arc::new(habits),
            step: 0,
            trace: None,
        }
    }

    /// The core and the server of each network are in one process from here on.
    pub(super) fn put_inside(&mut self) {
        self.is_inside = true;
    }

    /// This arrives at once from here on.
    pub(super) fn put_near(&mut self, near: Near) {
        self.near = near;
    }

    /// This client, which has a pre-established session, deregisters when nobody is in a session.
    pub(super) fn close_at_the_end(&mut self, place: usize) {
        let stands =
            |element: &Arc<Element>| element.machine.kind() == Kind::Server && !element.machine.is_empty();
        assert!(self.elements.iter().any(stands), "a session is pre-established");
        self.closes = Some(place);
    }

    /// From here on the story is kept.
    pub(super) fn keep_story(&mut self) {
        let party = |element: &Arc<Element>| (element.name.clone(), element.address);
        self.trace = Some(Trace::new(self.elements.iter().map(party).collect()));
    }

    /// The story as a ladder; what has not arrived stands at its end.
    pub(super) fn ladder(&mut self) -> String {
        let now = self.now;
        for flight in std::mem::take(&mut self.flying) {
            self.draw(now, &flight, Fate::Held);
        }
        self.trace.as_ref().map(Trace::render).unwrap_or_default()
    }

    /// A user begins a session.
    pub(super) fn begin(&mut self, canon: &mut Canon, place: usize, command: Command) {
        let now = self.now;
        let started = self.client(place).handle_input(now, Input::Command(command));
        let session = started.expect("a free client").expect("a session");
        self.judge.began(place, session);
        self.note(place, "begins");
        let left = self.habits.inviter.clone();
        self.known.push(Known {
            place,
            session,
            stays: false,
            rings: false,
            refuses: true,
            is_established: false,
            left,
        });
        self.settle(canon, place);
        self.hand_over(canon);
    }

    /// Goes the plain way until everybody who is in it is in session, and begins there; from then on media are in flight.
    pub(super) fn establish(&mut self, canon: &mut Canon) {
        while !self.flying.is_empty() || !self.known.iter().all(|known| known.is_established) {
            let next = if self.flying.is_empty() { Move::Wait } else { Move::Deliver(0) };
            self.apply(canon, next);
        }
        self.begun = self.now;
        self.media = Media::InFlight;
    }

    /// What may happen next.
    pub(super) fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        let may = |kind: u32| kind.min(self.left.in_all) > 0;
        for place in 0..self.flying.len() {
            if self.is_overtaking(place) && !may(self.left.overtakings) {
                continue;
            }
            moves.push(Move::Deliver(place));
            if may(self.left.copies) && !(self.is_overtaking(place) && self.left.in_all < 2) {
                moves.push(Move::Copy(place));
            }
            if may(self.left.losses) {
                moves.push(Move::Lose(place));
            }
        }
        for (place, known) in self.known.iter().enumerate() {
            for (deed, left) in &known.left {
                if *left > 0 && self.may(known, *deed) {
                    moves.push(Move::Act(place, *deed));
                }
            }
        }
        let may_wait = self.flying.is_empty() || may(self.left.delays);
        if may_wait && self.is_patient() && self.next_moment().is_some() && !self.is_over() {
            moves.push(Move::Wait);
        }
        moves
    }

    /// Whether only time can pass: nothing is under way and nobody may do anything.
    pub(super) fn only_waits(&self) -> bool {
        self.flying.is_empty()
            && !self
                .known
                .iter()
                .any(|known| known.left.iter().any(|(deed, left)| *left > 0 && self.may(known, *deed)))
            && !self.is_over()
            && self.next_moment().is_some()
    }

    fn is_patient(&self) -> bool {
        let waits = |known: &Known| known.can(Deed::HangUp);
        !self.has_waited() || !self.known.iter().any(waits)
    }

    /// Whether the patience of users is over.
    fn has_waited(&self) -> bool {
        self.now >= self.begun + self.left.patience
    }

    fn may(&self, known: &Known, deed: Deed) -> bool {
        let is_early = deed == Deed::HangUp && known.stays && !self.has_waited();
        known.may(deed) && !is_early
    }

    /// Whether nothing is left to happen.
    pub(super) fn is_over(&self) -> bool {
        self.flying.is_empty()
            && self.known.is_empty()
            && self.elements.iter().all(|element| element.machine.is_at_rest())
    }

    /// What must be true at the end.
    pub(super) fn finish(&mut self) {
        assert!(self.is_over(), "I9: something remains for ever");
        self.judge.finish();
    }

    /// Does it.
    pub(super) fn apply(&mut self, canon: &mut Canon, what: Move) {
        self.step += 1;
        match what {
            Move::Deliver(place) | Move::Copy(place) => {
                if self.is_overtaking(place) {
                    self.left.overtakings -= 1;
                    self.left.in_all -= 1;
                }
                let flight = match what {
                    Move::Copy(_) => {
                        self.left.copies -= 1;
                        self.left.in_all -= 1;
                        self.draw(self.now, &self.flying[place].clone(), Fate::Doubled(Duration::ZERO));
                        self.flying[place].clone()
                    }
                    Move::Deliver(_) | Move::Lose(_) | Move::Wait | Move::Act(..) => {
                        let flight = self.flying.remove(place);
                        self.draw(self.now, &flight, Fate::Arrives(Duration::ZERO));
                        flight
                    }
                };
                self.deliver(canon, &flight);
            }
            Move::Lose(place) => {
                self.left.losses -= 1;
                self.left.in_all -= 1;
                let flight = self.flying.remove(place);
                self.draw(self.now, &flight, Fate::Lost);
            }
            Move::Wait => {
                if !self.flying.is_empty() {
                    self.left.delays -= 1;
                    self.left.in_all -= 1;
                }
                self.wait(canon);
            }
            Move::Act(place, deed) => self.act(canon, place, deed),
        }
        self.hand_over(canon);
    }

    /// What arrives at once does.
    fn hand_over(&mut self, canon: &mut Canon) {
        while let Some(flight) = self.prompt.pop_front() {
            self.draw(self.now, &flight, Fate::Arrives(Duration::ZERO));
            self.deliver(canon, &flight);
        }
    }

    /// Lets time pass until something changes by itself: a machine, or what is under way.
    pub(super) fn wait(&mut self, canon: &mut Canon) {
        while let Some(moment) = self.next_moment() {
            canon.assert_near(moment);
            self.now = moment;
            let mut has_changed = false;
            for place in 0..self.elements.len() {
                if self.elements[place].machine.poll_timeout().is_none_or(|at| at > moment) {
                    continue;
                }
                let before = self.element_view(canon, place);
                Arc::make_mut(&mut self.elements[place]).machine.handle_timeout(moment);
                self.settle(canon, place);
                self.hand_over(canon);
                let next = self.elements[place].machine.poll_timeout();
                assert!(next.is_none_or(|next| next > moment), "the next timeout is later than the last");
                has_changed |= before != self.element_view(canon, place);
            }
            if has_changed {
                return;
            }
        }
    }

    /// The same while nobody may do anything meanwhile: states in between are not told apart.
    pub(super) fn wait_long(&mut self, canon: &mut Canon) {
        if self.known.is_empty()
            && self.flying.is_empty()
            && let Some(place) = self.closes.take()
        {
            let now = self.now;
            let done = self.client(place).handle_input(now, Input::Command(Command::Deregister));
            assert_eq!(done, Ok(None), "whoever is registered can end that");
            self.settle(canon, place);
        }
        while self.only_waits() {
            let Some(moment) = self.next_moment() else { return };
            canon.assert_near(moment);
            self.now = moment;
            for place in 0..self.elements.len() {
                if self.elements[place].machine.poll_timeout().is_some_and(|at| at <= moment) {
                    Arc::make_mut(&mut self.elements[place]).machine.handle_timeout(moment);
                    self.settle(canon, place);
                    self.hand_over(canon);
                    let next = self.elements[place].machine.poll_timeout();
                    assert!(next.is_none_or(|next| next > moment), "the next timeout is later than the last");
                }
            }
        }
    }

    fn place_of(&self, address: SocketAddr) -> usize {
        self.elements.iter().position(|element| element.address.ip() == address.ip()).unwrap_or(usize::MAX)
    }

    fn client(&mut self, place: usize) -> &mut Client {
        match &mut Arc::make_mut(&mut self.elements[place]).machine {
            Machine::Client(client) => client,
            Machine::Core(_) | Machine::Server(_) | Machine::Gone => panic!("users have clients"),
        }
    }

    /// When something is due next. A timer wheel that nobody has turned lately may wake up for a moment that is over.
    fn next_moment(&self) -> Option<Instant> {
        let due = self.elements.iter().filter_map(|element| element.machine.poll_timeout()).min();
        due.map(|at| at.max(self.now))
    }

    /// Whether something that was sent before on the same way is still under way.
    fn is_overtaking(&self, place: usize) -> bool {
        let flight = &self.flying[place];
        self.flying.iter().any(|other| other.way() == flight.way() && other.step < flight.step)
    }

    fn deliver(&mut self, canon: &mut Canon, flight: &Flight) {
        let datagram = &*flight.datagram;
        let Path { local, remote, .. } = datagram.path;
        let place = self.place_of(remote);
        if place == usize::MAX {
            return;
        }
        let (now, bytes) = (self.now, datagram.bytes.clone());
        if flight.is_media {
            let Some(port) = media_port_of(remote.port()) else { return };
            self.judge.media_received(place, datagram);
            Arc::make_mut(&mut self.elements[place]).machine.handle_media(now, port, local, bytes);
        } else {
            let path = Path { transport: Transport::Udp, local: remote, remote: local, connection: None };
            self.judge.received(now, place, datagram);
            Arc::make_mut(&mut self.elements[place]).machine.handle_datagram(now, path, bytes);
        }
        self.settle(canon, place);
    }

    /// Drains an element.
    fn settle(&mut self, canon: &mut Canon, place: usize) {
        let now = self.now;
        (self.views[place], self.judged[place]) = (None, None);
        let ip = self.elements[place].address.ip();
        let element = Arc::make_mut(&mut self.elements[place]);
        let home = home_at(element.address);
        let mut sent = Vec::new();
        while let Some(transmit) = element.machine.poll_transmit() {
            self.judge.sent(now, place, &transmit);
            sent.push(transmit);
        }
        let mut said = Vec::new();
        loop {
            let media = element.machine.poll_media(ip);
            if media.is_empty() {
                break;
            }
            for transmit in media {
                if self.media == Media::Dropped {
                    continue;
                }
                self.judge.media_sent(place, &transmit);
                said.push(transmit);
            }
        }
        while let Some(told) = element.machine.poll_event() {
            match told {
                Told::User(event) => {
                    self.judge.told(now, place, &event);
                    note_event(&mut self.known, &self.habits, place, &event);
                    if let Some(trace) = &mut self.trace {
                        trace.event(now, place, &event);
                    }
                }
                Told::Closed(record) => self.judge.closed(place, &record),
            }
        }
        self.judge.settled(now, place, &self.elements[place].machine);
        for transmit in sent {
            let is_prompt = self.is_inside && home.is_some() && home == home_at(transmit.path.remote)
                || self.near == Near::Signalling
                || self.is_near(place, &transmit);
            let view = Arc::new(canon.view(&transmit.bytes));
            self.enter(transmit, false, view, is_prompt);
        }
        for transmit in said {
            let view = Arc::new(canon.octets(&transmit.bytes));
            let is_prompt = self.media != Media::InFlight || self.is_near(place, &transmit);
            self.enter(transmit, true, view, is_prompt);
        }
    }

    fn enter(&mut self, transmit: Transmit, is_media: bool, view: Arc<View>, is_prompt: bool) {
        let flight = Flight { datagram: Arc::new(transmit), is_media, step: self.step, view };
        if is_prompt {
            self.prompt.push_back(flight);
        } else {
            self.flying.push(flight);
        }
    }

    fn is_near(&self, place: usize, transmit: &Transmit) -> bool {
        let Near::Client(client) = self.near else { return false };
        place == client || self.place_of(transmit.path.remote) == client
    }

    fn act(&mut self, canon: &mut Canon, which: usize, deed: Deed) {
        let now = self.now;
        let Known { place, session, .. } = self.known[which];
        for (each, left) in &mut self.known[which].left {
            *left -= u32::from(*each == deed);
        }
        let client = self.client(place);
        let done = match deed {
            Deed::Accept => client.accept(now, session).is_ok(),
            Deed::HangUp => client.hang_up(now, session).is_ok(),
            Deed::Modify => client.modify(now, session).is_ok(),
            Deed::Withdraw => client.cancel(now, session).is_ok(),
            Deed::Press => {
                let command = Command::Press { session, priority: Priority::Normal, timestamp: None };
                client.handle_input(now, Input::Command(command)).is_ok()
            }
            Deed::Speak => {
                let command = Command::Speak { session, payload: Bytes::from_static(&SPEECH), samples: 800 };
                client.handle_input(now, Input::Command(command)).is_ok()
            }
            Deed::LetGo => client.handle_input(now, Input::Command(Command::LetGo(session))).is_ok(),
        };
        if done {
            self.note(place, deed.told());
            match deed {
                Deed::HangUp => self.judge.hung_up(now, place, session),
                Deed::Accept => self.known[which].rings = false,
                Deed::Press | Deed::Speak | Deed::LetGo => self.judge.acts(session),
                Deed::Modify | Deed::Withdraw => {}
            }
        }
        self.settle(canon, place);
    }

    fn note(&mut self, place: usize, what: &str) {
        if let Some(trace) = &mut self.trace {
            trace.note(self.now, place, format!("{} {what}", self.elements[place].name));
        }
    }

    fn draw(&mut self, now: Instant, flight: &Flight, fate: Fate) {
        let Some(mut trace) = self.trace.take() else { return };
        let Path { local, remote, .. } = flight.datagram.path;
        match media_port_of(remote.port()).filter(|_| flight.is_media) {
            Some(port) => {
                let ends = (self.place_of(local), self.place_of(remote));
                trace.media(now, ends, port.stream, &flight.datagram.bytes, fate);
            }
            None => trace.message_with(now, &flight.datagram, fate),
        }
        self.trace = Some(trace);
    }
}

impl Flight {
    fn way(&self) -> (SocketAddr, SocketAddr) {
        (self.datagram.path.local, self.datagram.path.remote)
    }
}
