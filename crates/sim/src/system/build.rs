//! What a system is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use poc::sdp::Capabilities;
use poc::server::{Command as Order, Group, Ports, Server, User};
use poc::{Client, PocSettings, Profile, Registration};
use sip::auth::Credentials;
use sip::message::Uri;
use sip::transport::{Listener, Target, Transport};
use sip::{Duration, Owner, Reliability};
use sipcore::{Core, Ha1, Peer, Source};

use super::{Element, Machine, System};
use crate::chance::Chance;
use crate::monitor::system::Watch;
use crate::network::{Faults, Network};

/// What is the same in a whole system, and who is in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setup {
    /// The clients; those of the first network come first.
    pub terminals: Vec<Terminal>,
    /// Whether servers may answer before anybody has.
    pub early_answer: bool,
    /// Whether there are PoC Servers: without them the cores bring users together.
    pub has_servers: bool,
    /// How long a server lets an invited user ring.
    pub set_up_limit: Duration,
    /// How many users a server invites at once.
    pub invites_at_once: usize,
    /// How long the server of an invited user lets it ring.
    pub ring_limit: Duration,
    /// After which a session is over unless it is refreshed.
    pub session_expires: Duration,
    /// How long a client lets an invitation of its own go on.
    pub own_limit: Option<Duration>,
    /// How long a client rings.
    pub no_answer_after: Duration,
    /// For how long clients register.
    pub registration: Duration,
    /// What the cores are.
    pub profile: Profile,
    /// Which provisional responses are reliable.
    pub reliability: Reliability,
    /// The longest talk burst.
    pub stop_talking: Duration,
    /// The groups, each with the network that hosts it: 0 or 1.
    pub groups: Vec<(usize, Group)>,
}

/// A client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terminal {
    /// The name of its user, who may have several.
    pub user: Arc<str>,
    /// Its network: 0 or 1.
    pub home: usize,
    /// What its user wants.
    pub settings: PocSettings,
    /// Whether it invites by way of the conference factory.
    pub has_factory: bool,
    /// Whether it keeps a pre-established session.
    pub pre_establishes: bool,
}

impl Terminal {
    /// A client whose user answers by hand.
    pub fn new(user: impl Into<Arc<str>>, home: usize) -> Self {
        Self {
            user: user.into(),
            home,
            settings: PocSettings::default(),
            has_factory: false,
            pre_establishes: false,
        }
    }
}

/// The domains of the networks.
const DOMAINS: [&str; 2] = ["home1.example", "home2.example"];
pub(super) const CORES: [&str; 2] = ["core1", "core2"];
pub(super) const SERVERS: [&str; 2] = ["server1", "server2"];

/// Where servers receive speech and talk burst control: more pairs than a user has sessions. Clients have the first.
pub(super) const PAIRS: u16 = 16;
const FIRST_PORT: u16 = 45_200;

pub(super) const fn ports_of(pair: u16) -> Ports {
    let speech = FIRST_PORT + 2 * pair;
    Ports { speech, control: speech + 1 }
}

/// More than there are clients.
pub(super) const AT_ONCE: usize = 64;

/// Octets of a datagram: whatever there is.
const DATAGRAM_MAX: usize = 60_000;

impl Setup {
    /// The defaults of the machines, but for what would only make stories long.
    pub fn new(terminals: Vec<Terminal>) -> Self {
        Self {
            terminals,
            early_answer: false,
            has_servers: true,
            set_up_limit: Duration::from_secs(30),
            invites_at_once: AT_ONCE,
            ring_limit: Duration::from_secs(60),
            session_expires: Duration::from_secs(90),
            own_limit: None,
            no_answer_after: Duration::from_secs(90),
            registration: Duration::from_secs(7200),
            profile: Profile::Plain,
            reliability: Reliability::WhenRequired,
            stop_talking: Duration::from_secs(30),
            groups: Vec::new(),
        }
    }

    /// The PoC Group Identity of this name in a network.
    pub fn group_address(name: &str, home: usize) -> Bytes {
        Bytes::from(format!("sip:{name}@{}", DOMAINS[home]))
    }

    /// The place of the first client of the second network: between those of both stand cores and servers.
    fn border(&self) -> usize {
        self.terminals.iter().filter(|terminal| terminal.home == 0).count()
    }

    fn terminal(&self, place: usize) -> &Terminal {
        &self.terminals[if place < self.border() { place } else { place - 4 }]
    }

    /// The network of the client of `place`.
    pub(super) fn home_of(&self, place: usize) -> usize {
        self.terminal(place).home
    }

    /// The address of the user of `place`.
    pub(super) fn address_of(&self, place: usize) -> Bytes {
        self.terminal(place).address()
    }

    /// The client of `place`.
    pub(super) fn client(&self, place: usize, seed: [u8; 32]) -> Client {
        let terminal = self.terminal(place);
        let Terminal { user, home, .. } = terminal;
        let home = *home;
        let address = client_address(place);
        let mut sip = sip::Config::new(vec![listener(address)], seed);
        sip.owner = Owner { node: 100 + place as u16, shard: 0 };
        sip.datagram_max = DATAGRAM_MAX;
        sip.reliability = self.reliability;
        let (username, secret) = (Bytes::from(user.to_string()), Bytes::from(secret_of(user)));
        sip.credentials = vec![Credentials { realm: None, username, secret }];
        let capabilities = capabilities_at(address);
        let from = Bytes::from([b"<", &terminal.address()[..], b">"].concat());
        let mut config = poc::Config::new(sip, from, capabilities);
        config.settings = terminal.settings;
        config.profile = self.profile;
        let core = Target { transport: Transport::Udp, remote: core_address(home) };
        let registration = Registration::new(vec![core], DOMAINS[home]);
        config.registration = Some(Registration { expires: self.registration, ..registration });
        config.conference_factory = terminal.has_factory.then(|| factory_of(home));
        config.trusts_answer_mode = true;
        config.accepts_alerts = true;
        config.pre_establishes = terminal.pre_establishes;
        config.set_up_limit = self.own_limit;
        config.no_answer_after = Some(self.no_answer_after);
        Client::new(config)
    }

    fn core(&self, home: usize, seed: [u8; 32]) -> Core {
        let target = |remote| Target { transport: Transport::Udp, remote };
        let mut config =
            sipcore::Config::new(Bytes::from(DOMAINS[home]), vec![listener(core_address(home))], seed);
        config.owner = Owner { node: 1 + home as u16, shard: 0 };
        config.server = self.has_servers.then(|| target(server_address(home)));
        config.peers =
            vec![Peer { domain: Bytes::from(DOMAINS[1 - home]), target: target(core_address(1 - home)) }];
        config.trusted = vec![Source { ip: server_address(home).ip(), port: None }];
        config.datagram_max = DATAGRAM_MAX;
        for (_, group) in self.groups.iter().filter(|(host, _)| *host == home) {
            let name = Uri::parse(&group.address).ok().and_then(|uri| uri.user).expect("a group has a name");
            config.services.push(Bytes::copy_from_slice(name));
        }
        let mut core = Core::new(config);
        for Terminal { user, .. } in self.terminals.iter().filter(|terminal| terminal.home == home) {
            let ha1 = Ha1::of(user.as_bytes(), DOMAINS[home].as_bytes(), secret_of(user).as_bytes());
            let user = sipcore::User { name: Bytes::from(user.to_string()), ha1 };
            core.handle_input(sip::Instant::START, sipcore::Input::Command(sipcore::Command::PutUser(user)));
        }
        core
    }

    fn server(&self, home: usize, seed: [u8; 32]) -> Server {
        let address = server_address(home);
        let mut sip = sip::Config::new(vec![listener(address)], seed);
        sip.owner = Owner { node: 1 + home as u16, shard: 0x80 };
        sip.datagram_max = DATAGRAM_MAX;
        sip.reliability = self.reliability;
        let core = Target { transport: Transport::Udp, remote: core_address(home) };
        let mut config = poc::server::Config::new(sip, core, factory_of(home), capabilities_at(address));
        config.set_ports((0..PAIRS).map(ports_of).collect());
        config.talk_bursts.t2_stop_talking = self.stop_talking;
        config.connects = true;
        config.sip.session_expires = Some(self.session_expires);
        config.trusted = vec![core_address(home).ip()];
        config.early_answer = self.early_answer;
        config.set_up_limit = self.set_up_limit;
        config.ring_limit = self.ring_limit;
        config.invites_at_once = self.invites_at_once;
        config.publication = self.registration;
        Server::new(config)
    }
}

impl Terminal {
    /// The PoC Address of its user.
    pub fn address(&self) -> Bytes {
        Bytes::from(format!("sip:{}@{}", self.user, DOMAINS[self.home]))
    }
}

impl System {
    /// A system at rest in which nobody has registered.
    pub fn new(seed: u64, setup: Setup, faults: Faults) -> Self {
        let mut chance = Chance::new(seed);
        let border = setup.border();
        let mut elements = Vec::new();
        let client = |place: usize, chance: &mut Chance| {
            let user = &setup.terminal(place).user;
            let former = setup.terminals[..if place < border { place } else { place - 4 }].iter();
            let number = former.filter(|terminal| terminal.user == *user).count();
            Element {
                name: if number == 0 { user.to_string() } else { format!("{user}{}", number + 1) },
                address: client_address(place),
                machine: Machine::Client(Box::new(setup.client(place, chance.seed()))),
            }
        };
        elements.extend((0..border).map(|place| client(place, &mut chance)));
        let core = |home: usize, chance: &mut Chance| Element {
            name: CORES[home].to_owned(),
            address: core_address(home),
            machine: Machine::Core(Box::new(setup.core(home, chance.seed()))),
        };
        let server = |home: usize, chance: &mut Chance| Element {
            name: SERVERS[home].to_owned(),
            address: server_address(home),
            machine: Machine::Server(Box::new(setup.server(home, chance.seed()))),
        };
        elements.push(core(0, &mut chance));
        elements.push(server(0, &mut chance));
        elements.push(server(1, &mut chance));
        elements.push(core(1, &mut chance));
        elements.extend((border + 4..setup.terminals.len() + 4).map(|place| client(place, &mut chance)));
        let kinds = elements.iter().map(|element| element.machine.kind());
        let groups = setup.groups.iter().map(|(_, group)| group.clone()).collect();
        let mut watch = Watch::new(kinds, setup.early_answer, groups);
        watch.set_up_limit = setup.own_limit;
        watch.is_carried = setup.terminals.iter().any(|terminal| terminal.pre_establishes);
        watch.invites_until(setup.set_up_limit, setup.invites_at_once == AT_ONCE);
        let mut system = Self {
            now: sip::Instant::START,
            elements,
            network: Network::new(faults, Chance::new(chance.below(u64::MAX))),
            media: Network::new(faults, Chance::new(chance.below(u64::MAX))),
            watch,
            events: Vec::new(),
            records: Vec::new(),
            keeps_story: true,
            story: Vec::new(),
            to_strangers: Vec::new(),
            digest: None,
            places: BTreeMap::new(),
            due: BTreeSet::new(),
            due_of: Vec::new(),
            districts: Vec::new(),
            first_district: 0,
            seats: Vec::new(),
            acting: None,
            setup,
        };
        system.places = system.elements.iter().map(|element| element.address.ip()).zip(0..).collect();
        system.due_of = vec![None; system.elements.len()];
        for terminal in system.setup.terminals.clone() {
            system.put_user(terminal.home, User::new(terminal.address()));
        }
        for (home, group) in system.setup.groups.clone() {
            system.order(home, Order::PutGroup(Box::new(group)));
        }
        system
    }
}

fn listener(address: SocketAddr) -> Listener {
    Listener { transport: Transport::Udp, bind: address, advertised: address }
}

/// The usual ones, and pre-emptive requests.
fn capabilities_at(address: SocketAddr) -> Capabilities {
    let Ports { speech, control } = ports_of(0);
    let mut capabilities = Capabilities::amr(address.ip(), speech, control);
    capabilities.talk_burst.tb_priority = 3;
    capabilities
}

/// The first hundred are beside the cores and servers; the others have addresses of RFC 2544.
fn client_address(place: usize) -> SocketAddr {
    let ip = match place {
        ..100 => [192, 0, 2, 1 + place as u8],
        100.. => [198, 18, (place >> 8) as u8, place as u8],
    };
    SocketAddr::from((ip, 5060))
}

fn core_address(home: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 101 + home as u8], 5060))
}

fn server_address(home: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 111 + home as u8], 5060))
}

/// The network whose core or PoC Server is at this address.
pub(crate) fn home_at(address: SocketAddr) -> Option<usize> {
    (0..DOMAINS.len()).find(|home| [core_address(*home), server_address(*home)].contains(&address))
}

fn factory_of(home: usize) -> Bytes {
    Bytes::from(format!("sip:poc-factory@{}", DOMAINS[home]))
}

fn secret_of(user: &str) -> String {
    format!("secret of {user}")
}
