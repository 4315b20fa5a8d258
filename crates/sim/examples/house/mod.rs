//! The terminating side of calls: a core and the Participating PoC Function of a server, with the hop inside, as in
//! `talkburst serve` with one shard, between a trusted peer and a user who answer by rote. No sockets.
#![allow(dead_code, reason = "each program needs another part")]

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use poc::sdp::Capabilities;
use poc::server::User;
use poc::{Client, Command, Registration, Server};
use sip::message::{Method, Name};
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

pub(crate) struct House {
    now: Instant,
    core: Core,
    server: Server,
    /// What has left for the peers.
    left: VecDeque<Transmit>,
    invite_of_ben: Option<Message>,
    /// What Ben does when he is invited.
    ben: Ben,
    /// Users by that name, each called in turn.
    bens: u64,
    /// How many ACKs Anna has sent for a 200.
    acknowledged: u64,
    /// What each message has cost, if somebody wants to know: how it is counted, by method or status.
    count: Option<fn() -> u64>,
    pub(crate) counted: BTreeMap<String, (u64, u64)>,
}

/// What Ben does when he is invited.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ben {
    Rings,
    Answers,
}

fn listener(transport: Transport, address: SocketAddr) -> Listener {
    Listener { transport, bind: address, advertised: address }
}

impl House {
    /// Anna, and users who are called: each is registered and has published settings.
    pub(crate) fn new(bens: u64) -> Self {
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
            ben: Ben::Rings,
            bens,
            acknowledged: 0,
            count: None,
            counted: BTreeMap::new(),
        };
        for name in (0..bens).map(ben).chain(["anna".to_owned()]) {
            let ha1 = Ha1::of(name.as_bytes(), DOMAIN.as_bytes(), b"secret");
            let user = sipcore::User { name: Bytes::copy_from_slice(name.as_bytes()), ha1 };
            house.core.handle_input(Instant::START, sipcore::Input::Command(sipcore::Command::PutUser(user)));
            let user = User::new(Bytes::from(format!("sip:{name}@{DOMAIN}")));
            let put = poc::server::Command::PutUser(Box::new(user));
            house.server.handle_input(Instant::START, poc::server::Input::Command(put));
        }
        for number in 0..bens {
            house.now = house.now + Duration::from_millis(20); // a source is asked for credentials so often
            house.register_ben(number);
        }
        house
    }

    /// A client registers at Ben's address and publishes its settings; it is not asked for anything else.
    fn register_ben(&mut self, number: u64) {
        let mut seed = [2; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        let mut sip = sip::Config::new(vec![listener(Transport::Udp, BEN)], seed);
        sip.owner = Owner { node: 2, shard: 0 };
        let (username, secret) = (Bytes::from(ben(number)), Bytes::from_static(b"secret"));
        sip.credentials = vec![Credentials { realm: None, username, secret }];
        let media = Capabilities::amr(BEN.ip(), 45_200, 25_463);
        let mut config = poc::Config::new(sip, Bytes::from(format!("<sip:{}@{DOMAIN}>", ben(number))), media);
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
        let counting = self.count.map(|count| (count, word(&bytes), count()));
        self.core.handle_input(self.now, sipcore::Input::Datagram { path, bytes });
        self.settle();
        if let Some((count, word, before)) = counting {
            let cost = count() - before;
            let (times, sum) = self.counted.entry(word).or_default();
            (*times, *sum) = (*times + 1, *sum + cost);
        }
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
                let to = || String::from_utf8_lossy(message.value(Name::To).expect("the server writes it"));
                if message.status() == Some(487) {
                    self.receive(ANNA, self.request("ACK", number, Some(&to()), ""));
                }
                if message.status() == Some(200) && message.is_cseq_method(Method::Invite) {
                    self.acknowledge(&message);
                }
                continue;
            }
            let method = message.method();
            match method {
                Some(Method::Invite) => match self.ben {
                    Ben::Rings => {
                        self.invite_of_ben = Some(message.clone());
                        self.receive(BEN, response(&message, "180 Ringing"));
                    }
                    Ben::Answers => self.receive(BEN, response(&message, "200 OK")),
                },
                Some(Method::Cancel) => {
                    self.receive(BEN, response(&message, "200 OK"));
                    let invite = self.invite_of_ben.take().expect("what is cancelled has come");
                    self.receive(BEN, response(&invite, "487 Request Terminated"));
                }
                _ => {}
            }
        }
    }

    /// A call that rings.
    pub(crate) fn ringing(&mut self, number: u64) {
        let mut has_rung = false;
        self.invite(number, &mut has_rung);
        assert!(has_rung);
    }

    /// A session that is answered and acknowledged.
    pub(crate) fn answered(&mut self, number: u64) {
        self.ben = Ben::Answers;
        let before = self.acknowledged;
        self.invite(number, &mut false);
        assert_eq!(self.acknowledged, before + 1);
        self.ben = Ben::Rings;
    }

    fn invite(&mut self, number: u64, has_rung: &mut bool) {
        let more = format!(
            "P-Asserted-Identity: <sip:anna@{DOMAIN}>\r\nAccept-Contact: *;+g.poc.talkburst;require;explicit\r\n\
             User-Agent: PoC-client/OMA2.0 PoCrs/0.1 Acme-Talk5000/v1.01\r\nContact: <sip:anna@192.0.2.1:5060>;+g.poc.talkburst\r\n\
             Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\nAllow: INVITE,ACK,CANCEL,BYE,REFER\r\nContent-Type: application/sdp\r\n"
        );
        self.receive(ANNA, self.request("INVITE", number, None, &more));
        self.peers(number, has_rung);
    }

    /// A call that rings and is given up.
    pub(crate) fn cancelled(&mut self, number: u64) {
        let mut has_rung = false;
        self.invite(number, &mut has_rung);
        assert!(has_rung);
        self.receive(ANNA, self.request("CANCEL", number, None, ""));
        self.peers(number, &mut has_rung);
        self.passes(Duration::from_millis(20));
        self.peers(number, &mut has_rung);
    }

    /// Anna's ACK of a 200.
    fn acknowledge(&mut self, answer: &Message) {
        let contact = answer.addresses(Name::Contact).next().and_then(Result::ok).expect("a 200 has one");
        let mut text = format!("ACK {} SIP/2.0\r\n", String::from_utf8_lossy(contact.uri));
        text += "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKack\r\nMax-Forwards: 70\r\n";
        let routes: Vec<_> = answer.items(Name::RecordRoute).collect();
        let same = |name| (name, answer.value(name).expect("a 200 has it"));
        let lines = routes.into_iter().rev().map(|route| (Name::Route, route));
        for (name, value) in lines.chain([Name::From, Name::To, Name::CallId].map(same)) {
            text += &format!("{name}: {}\r\n", String::from_utf8_lossy(value));
        }
        text += "CSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n";
        self.acknowledged += 1;
        self.receive(ANNA, Bytes::from(text));
    }

    /// A request of Anna's, to Ben unless a response has said to whom.
    fn request(&self, method: &str, number: u64, to: Option<&str>, lines: &str) -> Bytes {
        let body = if method == "INVITE" { SDP } else { "" };
        let uri = format!("sip:{}@{DOMAIN}", ben(number % self.bens));
        let to = to.map_or_else(|| format!("<{uri}>"), str::to_owned);
        Bytes::from(format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{number:08x}\r\nMax-Forwards: 70\r\n\
             Route: <sip:192.0.2.10;lr>\r\nFrom: \"PoC Alice\" <sip:anna@{DOMAIN}>;tag=31415{number}\r\nTo: {to}\r\n\
             Call-ID: {number:x}nhedlrfjflslj40a222@192.0.2.1\r\nCSeq: 1 {method}\r\n{lines}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// Time goes on, with nobody there to answer what timers send.
    pub(crate) fn passes(&mut self, span: Duration) {
        self.now = self.now + span;
        self.core.handle_timeout(self.now);
        self.server.handle_timeout(self.now);
        self.settle();
    }

    /// Counts from now on what each message costs, by whatever `count` counts.
    pub(crate) fn counts(&mut self, count: fn() -> u64) {
        self.count = Some(count);
    }
}

/// The name of one who is called.
fn ben(number: u64) -> String {
    format!("ben{number}")
}

/// The method or status of a message, and the method that a status is for.
fn word(bytes: &Bytes) -> String {
    let message = Message::parse(bytes.clone()).expect("peers write messages");
    let cseq = message.cseq().expect("peers write it");
    let method = String::from_utf8_lossy(cseq.method);
    message.status().map_or_else(|| method.clone().into_owned(), |status| format!("{status} ({method})"))
}

/// The other end's view.
fn turned(path: Path) -> Path {
    Path { local: path.remote, remote: path.local, ..path }
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
