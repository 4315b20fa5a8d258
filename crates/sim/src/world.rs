//! Clients, users and a network in one virtual time.

use std::net::SocketAddr;

use bytes::Bytes;
use poc::sdp::Capabilities;
use poc::{Addressee, AnswerMode, AnswerRequest, Client, Command, Config, Event, Input, Profile};
use sip::transport::{Listener, Path, Target, Transmit, Transport};
use sip::{Duration, Instant, Owner, SessionId};

use crate::chance::Chance;
use crate::ladder::{Fate, Trace};
use crate::monitor::Monitor;
use crate::network::{Faults, Network};

/// What a user does at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// Invites the user of this place.
    Start {
        /// Who is invited.
        invited: usize,
    },
    /// Presses the key that ends whatever there is: cancels, refuses or leaves.
    HangUp(SessionId),
    /// Accepts.
    Accept(SessionId),
    /// Offers other media in a session.
    Modify(SessionId),
    /// Gives that up again.
    Withdraw(SessionId),
}

/// A client and its place in the network.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name in ladders and its user part.
    pub name: &'static str,
    /// The machine that ships.
    pub client: Client,
    /// Where it is reached.
    pub address: SocketAddr,
}

/// Everything, at one moment.
#[derive(Clone, Debug)]
pub struct World {
    /// The moment.
    pub now: Instant,
    /// The clients.
    pub nodes: Vec<Node>,
    /// What is on the way.
    pub network: Network,
    /// What happened on the wire and was told to users.
    pub trace: Trace,
    /// What must hold.
    pub monitor: Monitor,
    /// What the clients told their users and nobody has read yet.
    pub events: Vec<(usize, Event)>,
    /// Whether invitations go to a target first where nobody is.
    pub detour: bool,
}

const NAMES: [&str; 8] = ["anna", "ben", "cara", "dan", "eva", "finn", "gita", "hugo"];

impl World {
    /// `count` clients on a network with `faults`.
    pub fn new(seed: u64, count: usize, faults: Faults, configure: impl Fn(usize, &mut Config)) -> Self {
        let mut chance = Chance::new(seed);
        let nodes: Vec<_> = (0..count).map(|place| node(place, chance.seed(), &configure)).collect();
        let names = nodes.iter().map(|node| (node.name.to_owned(), node.address)).collect();
        Self {
            now: Instant::START,
            network: Network::new(faults, Chance::new(chance.below(u64::MAX))),
            monitor: Monitor::new(nodes.len()),
            trace: Trace::new(names),
            events: Vec::new(),
            detour: false,
            nodes,
        }
    }

    /// The target by which `place` is reached.
    pub fn target(&self, place: usize) -> Target {
        Target { transport: Transport::Udp, remote: self.nodes[place].address }
    }

    /// Lets the user of `place` act. What the state does not allow changes nothing.
    pub fn act(&mut self, place: usize, act: Act) -> Option<SessionId> {
        let (now, name) = (self.now, self.nodes[place].name);
        let started = match act {
            Act::Start { invited } => {
                let uri = format!("sip:{}@poc.example", self.nodes[invited].name);
                let nobody =
                    Target { transport: Transport::Udp, remote: SocketAddr::from(([192, 0, 2, 99], 5060)) };
                let targets =
                    self.detour.then_some(nobody).into_iter().chain([self.target(invited)]).collect();
                let command = Command::StartSession {
                    targets,
                    routes: Vec::new(),
                    to: Addressee::User(Bytes::from(uri)),
                    answer: AnswerRequest::Usual,
                };
                let started = self.nodes[place].client.handle_input(now, Input::Command(command));
                let started = started.ok().flatten();
                if let Some(session) = started {
                    self.monitor.began(place, session);
                    self.trace.note(now, place, format!("{name} invites {}", self.nodes[invited].name));
                }
                started
            }
            Act::HangUp(session) => {
                let given_up = self.nodes[place].client.hang_up(now, session).is_ok();
                if given_up {
                    self.monitor.hung_up(now, place, session);
                    self.trace.note(now, place, format!("{name} hangs up"));
                }
                None
            }
            Act::Accept(session) => {
                if self.nodes[place].client.accept(now, session).is_ok() {
                    self.trace.note(now, place, format!("{name} accepts"));
                }
                None
            }
            Act::Modify(session) => {
                let modified = self.nodes[place].client.modify(now, session).is_ok();
                if modified {
                    self.trace.note(now, place, format!("{name} offers other media"));
                }
                Some(session).filter(|_| modified)
            }
            Act::Withdraw(session) => {
                if self.nodes[place].client.cancel(now, session).is_ok() {
                    self.trace.note(now, place, format!("{name} gives up the change"));
                }
                None
            }
        };
        self.settle(place);
        started
    }

    /// The next moment at which something happens by itself.
    pub fn next_moment(&self) -> Option<Instant> {
        let timeouts = self.nodes.iter().filter_map(|node| node.client.poll_timeout());
        timeouts.chain(self.network.next_arrival()).min()
    }

    /// Moves time to `moment`, which is not before now, and lets everything happen that is due then.
    pub fn advance(&mut self, moment: Instant) {
        assert!(moment >= self.now, "time never runs back");
        self.now = moment;
        while let Some(datagram) = self.network.arrived(moment) {
            self.deliver(&datagram);
        }
        for place in 0..self.nodes.len() {
            if self.nodes[place].client.poll_timeout().is_some_and(|at| at <= moment) {
                self.nodes[place].client.handle_timeout(moment);
                self.settle(place);
                let next = self.nodes[place].client.poll_timeout();
                assert!(next.is_none_or(|next| next > moment), "the next timeout is later than the last");
            }
        }
    }

    /// Runs until nothing happens by itself any more, or until `end`.
    pub fn run_until(&mut self, end: Instant) {
        while let Some(moment) = self.next_moment().filter(|moment| *moment <= end) {
            self.advance(moment.max(self.now));
        }
        self.now = self.now.max(end);
    }

    /// Whether nothing remains anywhere.
    pub fn is_empty(&self) -> bool {
        self.nodes.iter().all(|node| node.client.is_empty() && node.client.poll_timeout().is_none())
            && self.network.next_arrival().is_none()
    }

    /// Lets go what the script holds back.
    pub fn let_go(&mut self) {
        for datagram in self.network.let_go(self.now) {
            self.trace.message_with(self.now, &datagram, Fate::LetGo);
        }
    }

    /// Sends octets from the address of `from` to `to` that no client made.
    pub fn forge(&mut self, from: usize, to: usize, bytes: Bytes) {
        let path = Path {
            transport: Transport::Udp,
            local: self.nodes[from].address,
            remote: self.nodes[to].address,
            connection: None,
        };
        self.send(&Transmit { path, bytes });
    }

    fn send(&mut self, transmit: &Transmit) {
        let fate = self.network.send(self.now, transmit);
        self.trace.message_with(self.now, transmit, fate);
    }

    fn deliver(&mut self, datagram: &Transmit) {
        let Some(place) = self.nodes.iter().position(|node| node.address == datagram.path.remote) else {
            return;
        };
        let path = Path {
            transport: Transport::Udp,
            local: datagram.path.remote,
            remote: datagram.path.local,
            connection: None,
        };
        self.monitor.received(self.now, place, datagram);
        let input = Input::Datagram { path, bytes: datagram.bytes.clone() };
        let handled = self.nodes[place].client.handle_input(self.now, input);
        assert_eq!(handled, Ok(None), "no peer is a misuse");
        self.settle(place);
    }

    /// Drains a client: what it sends goes into the network, what it tells is kept for its user.
    fn settle(&mut self, place: usize) {
        while let Some(transmit) = self.nodes[place].client.poll_transmit() {
            self.monitor.sent(self.now, place, &transmit);
            self.send(&transmit);
        }
        // Nobody arbitrates between two clients without a server.
        while self.nodes[place].client.poll_media().is_some() {}
        while let Some(event) = self.nodes[place].client.poll_event() {
            self.monitor.told(self.now, place, &event);
            self.trace.event(self.now, place, &event);
            self.events.push((place, event));
        }
        self.monitor.settled(place);
        if self.nodes[place].client.is_empty() {
            self.monitor.emptied(self.now, place);
        }
    }
}

fn node(place: usize, seed: [u8; 32], configure: &impl Fn(usize, &mut Config)) -> Node {
    let name = NAMES[place];
    let address = SocketAddr::from(([192, 0, 2, 1 + place as u8], 5060));
    let listener = Listener { transport: Transport::Udp, bind: address, advertised: address };
    let mut sip = sip::Config::new(vec![listener], seed);
    sip.owner = Owner { node: place as u16 + 1, shard: 0 };
    let capabilities = Capabilities::amr(address.ip(), 45_200, 25_463);
    let mut config = Config::new(sip, Bytes::from(format!("<sip:{name}@poc.example>")), capabilities);
    config.settings.answer_mode = AnswerMode::Manual;
    config.profile = Profile::Plain;
    config.no_answer_after = Some(Duration::from_secs(120));
    configure(place, &mut config);
    Node { name, client: Client::new(config), address }
}
