//! What a cancelled call costs the terminating side: a core and the Participating PoC Function of a server, with the hop
//! inside, as in `talkburst serve` with one shard, between a trusted peer and a user who answer by rote. No sockets. The
//! argument is the number of calls; instructions are counted by `valgrind --tool=callgrind target/release/examples/relay 4000`,
//! less those of another count of calls.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use poc::sdp::Capabilities;
use poc::server::User;
use poc::{Client, Command, Registration, Server};
use sip::message::Name;
use sip::transport::{Listener, Path, Target, Transmit, Transport};
use sip::{Credentials, Duration, Instant, Message, Owner};
use sipcore::{Core, Ha1};

const DOMAIN: &str = "poc.example";
const ANNA: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5060);
const BEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 5060);
const CORE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)), 5060);
const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)), 1);
const SDP: &str = "v=0\r\no=- 2890844526 2890842807 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\n\
    m=audio 3456 RTP/AVP 97\r\na=rtpmap:97 AMR/8000\r\na=fmtp:97 mode-set=0,2\r\na=ptime:160\r\na=rtcp:5560\r\n\
    m=application 2000 udp TBCP\r\na=fmtp:TBCP queuing=1;tb_priority=2\r\n";

struct House {
    now: Instant,
    core: Core,
    server: Server,
    /// What has left for the peers.
    left: VecDeque<Transmit>,
    invite_of_ben: Option<Message>,
}

fn listener(transport: Transport, address: SocketAddr) -> Listener {
    Listener { transport, bind: address, advertised: address }
}

impl House {
    fn new() -> Self {
        let listeners = vec![listener(Transport::Udp, CORE), listener(Transport::Inside, CORE)];
        let mut config = sipcore::Config::new(Bytes::from_static(DOMAIN.as_bytes()), listeners, [3; 32]);
        config.server = Some(Target { transport: Transport::Inside, remote: SERVER });
        config.trusted = vec![sipcore::Source { ip: ANNA.ip(), port: None }];
        let mut sip = sip::Config::new(vec![listener(Transport::Inside, SERVER)], [4; 32]);
        sip.owner = Owner { node: 0, shard: 0x80 };
        let towards_core = Target { transport: Transport::Inside, remote: CORE };
        let factory = Bytes::from(format!("sip:poc-factory@{DOMAIN}"));
        let media = Capabilities::amr(CORE.ip(), 45_200, 25_463);
        let server = Server::new(poc::server::Config::new(sip, towards_core, factory, media));
        let mut house = Self {
            now: Instant::START,
            core: Core::new(config),
            server,
            left: VecDeque::new(),
            invite_of_ben: None,
        };
        for name in ["anna", "ben"] {
            let ha1 = Ha1::of(name.as_bytes(), DOMAIN.as_bytes(), b"secret");
            let user = sipcore::User { name: Bytes::copy_from_slice(name.as_bytes()), ha1 };
            house.core.handle_input(Instant::START, sipcore::Input::Command(sipcore::Command::PutUser(user)));
            let user = User::new(Bytes::from(format!("sip:{name}@{DOMAIN}")));
            let put = poc::server::Command::PutUser(Box::new(user));
            house.server.handle_input(Instant::START, poc::server::Input::Command(put));
        }
        house.register_ben();
        house
    }

    /// A client registers at Ben's address and publishes its settings; it is not asked for anything else.
    fn register_ben(&mut self) {
        let mut sip = sip::Config::new(vec![listener(Transport::Udp, BEN)], [2; 32]);
        sip.owner = Owner { node: 2, shard: 0 };
        let (username, secret) = (Bytes::from_static(b"ben"), Bytes::from_static(b"secret"));
        sip.credentials = vec![Credentials { realm: None, username, secret }];
        let media = Capabilities::amr(BEN.ip(), 45_200, 25_463);
        let mut config = poc::Config::new(sip, Bytes::from(format!("<sip:ben@{DOMAIN}>")), media);
        let registrar = Target { transport: Transport::Udp, remote: CORE };
        config.registration = Some(Registration::new(vec![registrar], DOMAIN));
        let mut ben = Client::new(config);
        ben.handle_input(self.now, poc::Input::Command(Command::Register)).expect("configured");
        loop {
            while let Some(Transmit { path, bytes }) = ben.poll_transmit() {
                self.receive(path.local, bytes);
            }
            let Some(Transmit { path, bytes }) = self.left.pop_front() else { break };
            let path = Path { local: path.remote, remote: path.local, ..path };
            ben.handle_input(self.now, poc::Input::Datagram { path, bytes })
                .expect("only commands are refused");
        }
    }

    /// A datagram from a peer, and all that it leads to.
    fn receive(&mut self, from: SocketAddr, bytes: Bytes) {
        let path = Path { transport: Transport::Udp, local: CORE, remote: from, connection: None };
        self.core.handle_input(self.now, sipcore::Input::Datagram { path, bytes });
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            if let Some(transmit) = self.core.poll_transmit() {
                if transmit.path.transport == Transport::Inside {
                    let path = turned(transmit.path);
                    let input = poc::server::Input::Datagram { path, bytes: transmit.bytes };
                    self.server.handle_input(self.now, input);
                } else {
                    self.left.push_back(transmit);
                }
            } else if let Some(transmit) = self.server.poll_transmit() {
                let path = turned(transmit.path);
                let input = sipcore::Input::Datagram { path, bytes: transmit.bytes };
                self.core.handle_input(self.now, input);
            } else {
                break;
            }
        }
        while self.server.poll_event().is_some() || self.core.poll_event().is_some() {}
    }

    /// Answers what has left, until nothing comes any more.
    fn peers(&mut self, number: u64, has_rung: &mut bool) {
        while let Some(Transmit { path, bytes }) = self.left.pop_front() {
            let message = Message::parse(bytes).expect("the server writes messages");
            let from = path.remote;
            if from == ANNA {
                if message.status() == Some(180) {
                    *has_rung = true;
                }
                if message.status() == Some(487) {
                    let to = String::from_utf8_lossy(message.value(Name::To).expect("the server writes it"))
                        .into_owned();
                    self.receive(ANNA, request("ACK", number, &to, ""));
                }
                continue;
            }
            let method = message.method();
            match method {
                Some(sip::message::Method::Invite) => {
                    self.invite_of_ben = Some(message.clone());
                    self.receive(BEN, response(&message, "180 Ringing"));
                }
                Some(sip::message::Method::Cancel) => {
                    self.receive(BEN, response(&message, "200 OK"));
                    let invite = self.invite_of_ben.take().expect("what is cancelled has come");
                    self.receive(BEN, response(&invite, "487 Request Terminated"));
                }
                _ => {}
            }
        }
    }

    fn cancelled(&mut self, number: u64) {
        let mut has_rung = false;
        let more = format!(
            "P-Asserted-Identity: <sip:anna@{DOMAIN}>\r\nAccept-Contact: *;+g.poc.talkburst;require;explicit\r\n\
             User-Agent: PoC-client/OMA2.0 PoCrs/0.1 Acme-Talk5000/v1.01\r\nContact: <sip:anna@192.0.2.1:5060>;+g.poc.talkburst\r\n\
             Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\nAllow: INVITE,ACK,CANCEL,BYE,REFER\r\nContent-Type: application/sdp\r\n"
        );
        let to = format!("<sip:ben@{DOMAIN}>");
        self.receive(ANNA, request("INVITE", number, &to, &more));
        self.peers(number, &mut has_rung);
        assert!(has_rung);
        self.receive(ANNA, request("CANCEL", number, &to, ""));
        self.peers(number, &mut has_rung);
        self.now = self.now + Duration::from_millis(20);
        self.core.handle_timeout(self.now);
        self.server.handle_timeout(self.now);
        self.settle();
        self.peers(number, &mut has_rung);
    }
}

/// The other end's view.
fn turned(path: Path) -> Path {
    Path { local: path.remote, remote: path.local, ..path }
}

fn request(method: &str, number: u64, to: &str, lines: &str) -> Bytes {
    let body = if method == "INVITE" { SDP } else { "" };
    Bytes::from(format!(
        "{method} sip:ben@{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{number:08x}\r\nMax-Forwards: 70\r\n\
         Route: <sip:192.0.2.10;lr>\r\nFrom: \"PoC Alice\" <sip:anna@{DOMAIN}>;tag=31415{number}\r\nTo: {to}\r\n\
         Call-ID: {number:x}nhedlrfjflslj40a222@192.0.2.1\r\nCSeq: 1 {method}\r\n{lines}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// What Ben answers, by rote.
fn response(request: &Message, status: &str) -> Bytes {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for header in request.headers() {
        if matches!(
            header.name,
            Name::Via | Name::From | Name::To | Name::CallId | Name::CSeq | Name::RecordRoute
        ) {
            text.push_str(&format!("{}: {}", header.name, String::from_utf8_lossy(header.value)));
            if header.name == Name::To {
                text.push_str(";tag=ben");
            }
            text.push_str("\r\n");
        }
    }
    text.push_str("Contact: <sip:ben@192.0.2.2:5060>;+g.poc.talkburst\r\nContent-Length: 0\r\n\r\n");
    Bytes::from(text)
}

fn main() {
    let calls = std::env::args().nth(1).and_then(|typed| typed.parse().ok()).unwrap_or(1_000);
    let mut house = House::new();
    for number in 0..calls {
        house.cancelled(number);
    }
}
