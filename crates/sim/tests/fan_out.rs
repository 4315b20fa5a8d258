//! C66: an INVITE for a group of 1,000 members is cancelled after `k` of them have rung.
//!
//! One server and its octets, without a network: the state after `k` is kept and continued in a copy, so that each `k` costs its
//! own end only. All `k` at both ends of the range and each 25th between them are told.

use std::net::SocketAddr;

use bytes::Bytes;
use poc::sdp::Capabilities;
use poc::server::{Command, Config, Group, GroupKind, GroupMember, GroupRole, Input, Server};
use sip::message::{Method, Name};
use sip::transport::{Listener, Path, Target, Transport};
use sip::{Duration, Instant, Message};

const MEMBERS: usize = 1_000;
const CORE: &str = "192.0.2.1:5060";
const SERVER: &str = "192.0.2.10:5060";
const PATROL: &str = "sip:patrol@home1.example";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// A server, and when it is.
#[derive(Clone)]
struct Stage {
    server: Server,
    now: Instant,
}

impl Stage {
    fn new() -> Self {
        let listener =
            Listener { transport: Transport::Udp, bind: address(SERVER), advertised: address(SERVER) };
        let mut sip = sip::Config::new(vec![listener], [7; 32]);
        sip.datagram_max = 60_000;
        let core = Target { transport: Transport::Udp, remote: address(CORE) };
        let media = Capabilities::amr(address(SERVER).ip(), 45_200, 25_463);
        let factory = Bytes::from_static(b"sip:poc-factory@home1.example");
        let mut config = Config::new(sip, core, factory, media);
        config.trusted = vec![address(CORE).ip()];
        let member = |number| {
            let address = Bytes::from(format!("sip:m{number}@home1.example"));
            GroupMember { address, role: GroupRole::Ordinary }
        };
        let mut group = Group::new(Bytes::from_static(PATROL.as_bytes()), GroupKind::PreArranged);
        group.members = (0..MEMBERS).map(member).collect();
        group
            .members
            .push(GroupMember { address: Bytes::from_static(ANNA.as_bytes()), role: GroupRole::Ordinary });
        group.participants_max = MEMBERS + 1;
        let mut stage = Self { server: Server::new(config), now: Instant::START };
        let order = Input::Command(Command::PutGroup(Box::new(group)));
        stage.server.handle_input(stage.now, order);
        stage
    }

    /// Hands the server a datagram from the core, and takes what it sends then.
    fn receives(&mut self, text: String) -> Vec<Message> {
        let (local, remote) = (address(SERVER), address(CORE));
        let path = Path { transport: Transport::Udp, local, remote, connection: None };
        self.server.handle_input(self.now, Input::Datagram { path, bytes: Bytes::from(text) });
        self.drained()
    }

    fn drained(&mut self) -> Vec<Message> {
        while self.server.poll_event().is_some() {}
        let sent = std::iter::from_fn(|| self.server.poll_transmit());
        sent.map(|transmit| Message::parse(transmit.bytes).expect("what it writes")).collect()
    }

    fn passes(&mut self, span: Duration) -> Vec<Message> {
        let end = self.now + span;
        let mut sent = Vec::new();
        while let Some(at) = self.server.poll_timeout().filter(|at| *at <= end) {
            self.now = at;
            self.server.handle_timeout(at);
            sent.extend(self.drained());
        }
        self.now = end;
        sent
    }
}

const ANNA: &str = "sip:anna@home1.example";

/// Anna's INVITE for the group, or its CANCEL.
fn request(method: &str) -> String {
    let sdp = "v=0\r\no=- 7 1 IN IP4 192.0.2.77\r\ns=-\r\nc=IN IP4 192.0.2.77\r\nt=0 0\r\n\
        m=audio 40000 RTP/AVP 97\r\na=rtpmap:97 AMR/8000\r\na=fmtp:97 octet-align=1\r\n\
        m=application 40002 udp TBCP\r\na=fmtp:TBCP queuing=1; tb_priority=2\r\n";
    let further = format!(
        "Route: <sip:term@{SERVER};lr>\r\nContact: <sip:pf7@192.0.2.66>;+g.poc.talkburst\r\n\
         P-Asserted-Identity: <{ANNA}>\r\nAccept-Contact: *;+g.poc.talkburst;require;explicit\r\n\
         Content-Type: application/sdp\r\n"
    );
    let (further, body) = if method == "INVITE" { (further, sdp) } else { (String::new(), "") };
    format!(
        "{method} {PATROL} SIP/2.0\r\nVia: SIP/2.0/UDP {CORE};branch=z9hG4bKanna\r\nMax-Forwards: 69\r\n\
         From: <{ANNA}>;tag=f1\r\nTo: <{PATROL}>\r\nCall-ID: call\r\nCSeq: 7 {method}\r\n\
         Record-Route: <sip:{CORE};lr>\r\n{further}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A response to a request of the server.
fn response(request: &Message, status: u16) -> String {
    let line = |name| String::from_utf8_lossy(request.value(name).unwrap_or_default()).into_owned();
    let [via, from, to, call_id, cseq] =
        [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq].map(line);
    format!(
        "SIP/2.0 {status} X\r\nVia: {via}\r\nFrom: {from}\r\nTo: {to};tag=t1\r\nCall-ID: {call_id}\r\n\
         CSeq: {cseq}\r\nContent-Length: 0\r\n\r\n"
    )
}

fn cancels(sent: &[Message]) -> usize {
    sent.iter().filter(|message| message.is(Method::Cancel)).count()
}

fn words(sent: &[Message]) -> Vec<(Option<u16>, String)> {
    let word = |message: &Message| {
        let method = message.cseq().map(|cseq| String::from_utf8_lossy(cseq.method).into_owned());
        (message.status(), method.unwrap_or_default())
    };
    sent.iter().filter(|message| message.status().is_some()).map(word).collect()
}

/// Anna gives up when `rung` of the `legs` have rung; the others ring afterwards.
fn gives_up(mut stage: Stage, legs: &[Message], rung: usize) {
    let sent = stage.receives(request("CANCEL"));
    let answers = [(Some(200), "CANCEL".to_owned()), (Some(487), "INVITE".to_owned())];
    assert_eq!(words(&sent), answers, "{rung}: 200 to the CANCEL, then 487");
    assert_eq!(cancels(&sent), rung, "{rung}: each branch that has rung is cancelled, and no other");
    assert!(!sent.iter().any(|message| message.is(Method::Invite)), "{rung}: nobody else is invited");
    let mut cancelled = sent;
    for leg in &legs[rung..] {
        let sent = stage.receives(response(leg, 180));
        assert_eq!(cancels(&sent), 1, "{rung}: the CANCEL leaves with the first 1xx");
        cancelled.extend(sent);
    }
    assert_eq!(cancels(&cancelled), legs.len(), "{rung}: I11");
    for cancel in cancelled.iter().filter(|message| message.is(Method::Cancel)) {
        stage.receives(response(cancel, 200));
    }
    for leg in legs {
        let sent = stage.receives(response(leg, 487));
        assert!(sent.iter().all(|message| message.is(Method::Ack)) && sent.len() == 1, "{rung}: {sent:?}");
    }
    let late = stage.passes(Duration::from_secs(200));
    assert!(!late.iter().any(|message| message.is(Method::Invite)), "{rung}: nobody is invited any more");
    assert!(stage.server.is_empty(), "{rung}: nothing remains");
}

#[test]
fn a_fan_out_of_1000_members_that_is_cancelled_after_any_number_of_rings_leaves_nobody_ringing() {
    let mut stage = Stage::new();
    let mut sent = stage.receives(request("INVITE"));
    // The INVITEs are spread over some time, less than T1.
    sent.extend(stage.passes(Duration::from_millis(400)));
    let legs: Vec<_> = sent.into_iter().filter(|message| message.is(Method::Invite)).collect();
    assert_eq!(legs.len(), MEMBERS);
    for rung in 0..=MEMBERS {
        if !(16..=MEMBERS - 16).contains(&rung) || rung.is_multiple_of(25) {
            gives_up(stage.clone(), &legs, rung);
        }
        if let Some(leg) = legs.get(rung) {
            stage.receives(response(leg, 180));
        }
    }
}
