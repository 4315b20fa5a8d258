//! An ad-hoc group call that is given up while it rings, in memory: three clients, a core and a server, without a socket and
//! without a clock.
//!
//! `cargo run -p sim --example ad_hoc`

use std::net::SocketAddr;

use bytes::Bytes;
use poc::client::{Addressee, Handle, Invitees, Registration};
use poc::sdp::Capabilities;
use poc::{Client, Event, Server};
use sip::auth::Credentials;
use sip::transport::{Listener, Path, Target, Transmit, Transport};
use sip::usage::End;
use sip::{Instant, SessionId};
use sipcore::{Core, Ha1, Source};

const DOMAIN: &str = "home1.example";
const FACTORY: &str = "sip:poc-factory@home1.example";

/// The places in [`Network`].
const ANNA: usize = 0;
const OTHERS: [usize; 2] = [1, 2];
const CORE: usize = 3;
const SERVER: usize = 4;

fn main() {
    let mut network = Network::new();
    for place in [ANNA, OTHERS[0], OTHERS[1]] {
        network
            .client(place)
            .handle_input(Instant::START, poc::Input::Command(poc::Command::Register))
            .expect("a server is set");
    }
    network.settle();

    // A list that could not be invited would be an error here, before anybody is asked.
    let users = ["ben", "cara"].map(|user| Bytes::from(format!("sip:{user}@{DOMAIN}")));
    let users = Invitees::new(users.to_vec()).expect("two users");
    let call = network.client(ANNA).start(Instant::START, Addressee::Users(users)).expect("a free client");
    network.settle();
    for place in OTHERS {
        let invitation = network.invitation(place);
        assert!(matches!(network.client(place).session(invitation), Ok(Handle::Incoming(_))), "it rings");
    }

    // Nobody has answered, so it can be cancelled, and only that.
    network.client(ANNA).outgoing(call).expect("it rings").cancel(Instant::START);
    network.settle();
    for place in [ANNA, OTHERS[0], OTHERS[1]] {
        assert_eq!(network.end(place), End::Cancelled);
        assert_eq!(network.client(place).sessions().count(), 0, "nobody is left ringing");
    }
    assert!(network.client(ANNA).outgoing(call).is_err(), "what is over has no handle");
}

/// Everybody, and the wires between them.
struct Network {
    machines: [Machine; 5],
}

/// Whoever it is, it takes octets and gives octets.
enum Machine {
    Client(Box<Client>),
    Core(Box<Core>),
    Server(Box<Server>),
}

impl Network {
    fn new() -> Self {
        let client = |place, user| Machine::Client(Box::new(client(place, user)));
        Self {
            machines: [
                client(ANNA, "anna"),
                client(OTHERS[0], "ben"),
                client(OTHERS[1], "cara"),
                Machine::Core(Box::new(core())),
                Machine::Server(Box::new(server())),
            ],
        }
    }

    fn client(&mut self, place: usize) -> &mut Client {
        match &mut self.machines[place] {
            Machine::Client(client) => client,
            Machine::Core(_) | Machine::Server(_) => unreachable!("it stands elsewhere"),
        }
    }

    /// Carries whatever is sent until nobody sends anything.
    fn settle(&mut self) {
        while let Some(transmit) = self.machines.iter_mut().find_map(Machine::poll_transmit) {
            let Path { local, remote, .. } = transmit.path;
            let path = Path { local: remote, remote: local, ..transmit.path };
            let place = (0..self.machines.len()).find(|place| address(*place) == remote);
            self.machines[place.expect("somebody is there")].handle(path, transmit.bytes);
        }
    }

    /// What `place` is invited to.
    fn invitation(&mut self, place: usize) -> SessionId {
        let mut events = std::iter::from_fn(|| self.client(place).poll_event());
        let invitation = events.find_map(|event| {
            let Event::Invited { session, inviter, focus, .. } = event else { return None };
            assert_eq!(inviter, "<sip:anna@home1.example>");
            assert_eq!(focus.map(|focus| focus.session_type), Some(poc::SessionType::AdHoc));
            Some(session)
        });
        invitation.expect("invited")
    }

    /// How the session of `place` ended.
    fn end(&mut self, place: usize) -> End {
        let mut events = std::iter::from_fn(|| self.client(place).poll_event());
        let end = events.find_map(|event| {
            let Event::Ended { outcome, .. } = event else { return None };
            Some(outcome.end)
        });
        end.expect("ended")
    }
}

impl Machine {
    fn poll_transmit(&mut self) -> Option<Transmit> {
        match self {
            Self::Client(client) => client.poll_transmit(),
            Self::Core(core) => core.poll_transmit(),
            Self::Server(server) => server.poll_transmit(),
        }
    }

    fn handle(&mut self, path: Path, bytes: Bytes) {
        let now = Instant::START;
        match self {
            Self::Client(client) => {
                client
                    .handle_input(now, poc::Input::Datagram { path, bytes })
                    .expect("only commands are refused");
            }
            Self::Core(core) => core.handle_input(now, sipcore::Input::Datagram { path, bytes }),
            Self::Server(server) => server.handle_input(now, poc::server::Input::Datagram { path, bytes }),
        }
    }
}

fn address(place: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1 + place as u8], 5060))
}

fn target(place: usize) -> Target {
    Target { transport: Transport::Udp, remote: address(place) }
}

fn listener(place: usize) -> Listener {
    Listener { transport: Transport::Udp, bind: address(place), advertised: address(place) }
}

fn sip(place: usize) -> sip::Config {
    let mut config = sip::Config::new(vec![listener(place)], [place as u8; 32]);
    config.owner.node = place as u16;
    config
}

fn capabilities(place: usize) -> Capabilities {
    Capabilities::amr(address(place).ip(), 45_200, 25_463)
}

fn client(place: usize, user: &'static str) -> Client {
    let mut sip = sip(place);
    sip.credentials =
        vec![Credentials { realm: None, username: Bytes::from(user), secret: Bytes::from("secret") }];
    let from = Bytes::from(format!("<sip:{user}@{DOMAIN}>"));
    let mut config = poc::Config::new(sip, from, capabilities(place));
    config.registration = Some(Registration::new(vec![target(CORE)], DOMAIN));
    config.conference_factory = Some(Bytes::from(FACTORY));
    Client::new(config)
}

fn core() -> Core {
    let mut config = sipcore::Config::new(Bytes::from(DOMAIN), vec![listener(CORE)], [CORE as u8; 32]);
    config.server = Some(target(SERVER));
    config.trusted = vec![Source { ip: address(SERVER).ip(), port: None }];
    let mut core = Core::new(config);
    for name in ["anna", "ben", "cara"] {
        let user = sipcore::User {
            name: Bytes::from(name),
            ha1: Ha1::of(name.as_bytes(), DOMAIN.as_bytes(), b"secret"),
        };
        core.handle_input(Instant::START, sipcore::Input::Command(sipcore::Command::PutUser(user)));
    }
    core
}

fn server() -> Server {
    let mut config =
        poc::server::Config::new(sip(SERVER), target(CORE), Bytes::from(FACTORY), capabilities(SERVER));
    config.trusted = vec![address(CORE).ip()];
    let mut server = Server::new(config);
    for name in ["anna", "ben", "cara"] {
        let user = poc::server::User::new(Bytes::from(format!("sip:{name}@{DOMAIN}")));
        let put = poc::server::Command::PutUser(Box::new(user));
        server.handle_input(Instant::START, poc::server::Input::Command(put));
    }
    server
}
