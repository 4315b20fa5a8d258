//! What a call costs by way of a server: two clients, and a core and a PoC Server with the hop inside, as in
//! `talkburst serve` with one shard. No sockets.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;
use divan::Bencher;
use poc::sdp::Capabilities;
use poc::server::User;
use poc::{Client, Command, Registration, Server};
use sip::transport::{Listener, Path, Target, Transmit, Transport};
use sip::{Credentials, Duration, Instant, Owner};
use sipcore::{Core, Ha1};

const DOMAIN: &str = "poc.example";
const ANNA: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 5060);
const BEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)), 5060);
const CORE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 10)), 5060);
const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 10)), 1);

fn main() {
    divan::main();
}

/// Everybody, and what is on the way.
struct House {
    now: Instant,
    anna: Client,
    ben: Client,
    core: Core,
    server: Server,
    wire: VecDeque<Transmit>,
}

fn listener(transport: Transport, address: SocketAddr) -> Listener {
    Listener { transport, bind: address, advertised: address }
}

fn client(name: &str, address: SocketAddr, seed: u8) -> Client {
    let mut sip = sip::Config::new(vec![listener(Transport::Udp, address)], [seed; 32]);
    sip.owner = Owner { node: u16::from(seed), shard: 0 };
    let username = Bytes::copy_from_slice(name.as_bytes());
    sip.credentials = vec![Credentials { realm: None, username, secret: Bytes::from_static(b"secret") }];
    let user = Bytes::from(format!("<sip:{name}@{DOMAIN}>"));
    let mut config = poc::Config::new(sip, user, Capabilities::amr(address.ip(), 45_200, 25_463));
    let registrar = Target { transport: Transport::Udp, remote: CORE };
    config.registration = Some(Registration::new(vec![registrar], DOMAIN));
    Client::new(config)
}

impl House {
    /// Both clients are registered and have published their settings.
    fn new() -> Self {
        let listeners = vec![listener(Transport::Udp, CORE), listener(Transport::Inside, CORE)];
        let mut config = sipcore::Config::new(Bytes::from_static(DOMAIN.as_bytes()), listeners, [3; 32]);
        config.server = Some(Target { transport: Transport::Inside, remote: SERVER });
        let mut core = Core::new(config);
        let mut sip = sip::Config::new(vec![listener(Transport::Inside, SERVER)], [4; 32]);
        sip.owner = Owner { node: 0, shard: 0x80 };
        let towards_core = Target { transport: Transport::Inside, remote: CORE };
        let factory = Bytes::from(format!("sip:poc-factory@{DOMAIN}"));
        let media = Capabilities::amr(CORE.ip(), 45_200, 25_463);
        let mut server = Server::new(poc::server::Config::new(sip, towards_core, factory, media));
        for name in ["anna", "ben"] {
            let ha1 = Ha1::of(name.as_bytes(), DOMAIN.as_bytes(), b"secret");
            let user = sipcore::User { name: Bytes::copy_from_slice(name.as_bytes()), ha1 };
            core.handle_input(Instant::START, sipcore::Input::Command(sipcore::Command::PutUser(user)));
            let user = User::new(Bytes::from(format!("sip:{name}@{DOMAIN}")));
            let put = poc::server::Command::PutUser(Box::new(user));
            server.handle_input(Instant::START, poc::server::Input::Command(put));
        }
        let (anna, ben) = (client("anna", ANNA, 1), client("ben", BEN, 2));
        let wire = VecDeque::new();
        let mut house = Self { now: Instant::START, anna, ben, core, server, wire };
        let register = || poc::Input::Command(Command::Register);
        house.anna.handle_input(house.now, register()).expect("configured");
        house.ben.handle_input(house.now, register()).expect("configured");
        house.settle();
        house.rest();
        house
    }

    /// Everything arrives, until nobody has anything to send.
    fn settle(&mut self) {
        loop {
            let sent = (self.core.poll_transmit())
                .or_else(|| self.server.poll_transmit())
                .or_else(|| self.anna.poll_transmit())
                .or_else(|| self.ben.poll_transmit());
            self.wire.extend(sent);
            let Some(Transmit { path, bytes }) = self.wire.pop_front() else { break };
            let to = path.remote;
            let path = Path { local: path.remote, remote: path.local, ..path };
            if to == CORE {
                self.core.handle_input(self.now, sipcore::Input::Datagram { path, bytes });
            } else if to == SERVER {
                self.server.handle_input(self.now, poc::server::Input::Datagram { path, bytes });
            } else {
                let client = if to == ANNA { &mut self.anna } else { &mut self.ben };
                let done = client.handle_input(self.now, poc::Input::Datagram { path, bytes });
                done.expect("only commands are refused");
            }
        }
    }

    /// The transactions run out; what the timers send arrives.
    fn rest(&mut self) {
        for _ in 0..8 {
            self.now = self.now + Duration::from_secs(8);
            self.core.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
            self.anna.handle_timeout(self.now);
            self.ben.handle_timeout(self.now);
            self.settle();
        }
        while self.server.poll_event().is_some() || self.core.poll_event().is_some() {}
        while self.anna.poll_event().is_some() || self.ben.poll_event().is_some() {}
    }

    /// Anna invites Ben, it rings, and she gives up.
    fn cancelled(&mut self) {
        let command = Command::StartSession {
            targets: Vec::new(),
            routes: Vec::new(),
            to: poc::Addressee::User(Bytes::from_static(b"sip:ben@poc.example")),
            answer: poc::AnswerRequest::Usual,
        };
        let begun = self.anna.handle_input(self.now, poc::Input::Command(command));
        let session = begun.expect("a free client").expect("a session");
        self.settle();
        self.anna.cancel(self.now, session).expect("it rings");
        self.settle();
        self.rest();
    }
}

/// With all timers that it takes until nothing remains, and the refreshes of registrations and settings that fall due.
#[divan::bench(sample_count = 1000)]
fn a_cancelled_call_by_way_of_core_and_server(bencher: Bencher) {
    let mut house = House::new();
    house.cancelled();
    assert!(house.server.is_empty() && house.core.is_empty(), "nothing remains of a call");
    bencher.bench_local(|| house.cancelled());
}
