//! Bindings: users register at a core, as clients do.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use sip::auth::digest::{Algorithm, Input as DigestInput, Quality, Secret};
use sip::message::Name;
use sip::transport::{Listener, Path, Transport};
use sip::{Duration, Instant, Message};
use sipcore::{Command, Core, Ha1, Input, User};

use crate::Held;

const DOMAIN: &str = "poc.example";
const CLIENTS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const CORE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)), 5060);

/// Tables double, so their share of each binding is that of a million: 2^16 is as little above this as 2^20 is above that.
const USERS: u64 = 62_500;

/// REGISTERs whose transactions stand at once: few, so that their table counts little.
const AT_ONCE: u64 = 500;

const TAGS: &str =
    ";+g.poc.talkburst;+sip.instance=\"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>\";q=0.5";
const PATH: &str = "Path: <sip:p1.visited.example;lr>\r\n";

pub(crate) fn tell() {
    let listeners = vec![Listener { transport: Transport::Udp, bind: CORE, advertised: CORE }];
    let mut config = sipcore::Config::new(Bytes::from_static(DOMAIN.as_bytes()), listeners, [3; 32]);
    config.trusted = vec![sipcore::Source { ip: PROXY, port: None }];
    let mut register = Registering { now: Instant::START, core: Core::new(config), cseq: 0 };
    let ha1 = |name: &str| Ha1::of(name.as_bytes(), DOMAIN.as_bytes(), b"secret");
    let before = Held::now();
    for number in 0..USERS {
        let name = name(number);
        let user = User { ha1: ha1(&name), name: Bytes::from(name) };
        register.core.handle_input(Instant::START, Input::Command(Command::PutUser(user)));
    }
    let known = Held::now();
    known.print_since(before, USERS as usize, "a user, with the hashes of the password");
    register.everybody(CLIENTS, "", "");
    let bare = Held::now();
    bare.print_since(known, USERS as usize, "a binding of it");
    register.everybody(CLIENTS, TAGS, "");
    let tagged = Held::now();
    tagged.print_since(bare, USERS as usize, "feature tags of 81 octets");
    register.everybody(PROXY, TAGS, PATH);
    Held::now().print_since(tagged, USERS as usize, "a Path of 31 octets");
}

fn name(number: u64) -> String {
    format!("u{number:07}")
}

struct Registering {
    now: Instant,
    core: Core,
    cseq: u32,
}

impl Registering {
    /// Each with its REGISTER, until the transactions are over.
    fn everybody(&mut self, from: IpAddr, parameters: &str, lines: &str) {
        self.cseq += 1;
        let mut nonce = String::new();
        for number in 0..USERS {
            if number % AT_ONCE == 0 {
                self.now = self.now + Duration::from_secs(40);
                self.core.handle_timeout(self.now);
                nonce = self.nonce(from);
            }
            let authorization = self.authorization(number, &nonce);
            let answer = self.register(from, number, parameters, &format!("{lines}{authorization}"));
            assert_eq!(answer.status(), Some(200), "{answer:?}");
        }
        self.now = self.now + Duration::from_secs(40);
        self.core.handle_timeout(self.now);
        while self.core.poll_event().is_some() {}
    }

    fn nonce(&mut self, from: IpAddr) -> String {
        let challenge = self.register(from, 0, "", "");
        let value = challenge.value(Name::WwwAuthenticate).expect("it is asked for credentials");
        let parameters = value.strip_prefix(b"Digest ").expect("it asks for Digest");
        let nonce = parameters.split(|octet| *octet == b',').find_map(|each| {
            Some(
                String::from_utf8_lossy(each.trim_ascii().strip_prefix(b"nonce=\"")?.strip_suffix(b"\"")?)
                    .into_owned(),
            )
        });
        nonce.expect("it has a nonce")
    }

    fn authorization(&self, number: u64, nonce: &str) -> String {
        let name = name(number);
        let md5 = Algorithm::parse(b"MD5").expect("known");
        let uri = format!("sip:{DOMAIN}");
        let response = DigestInput {
            algorithm: md5,
            username: name.as_bytes(),
            realm: DOMAIN.as_bytes(),
            secret: Secret::Password(b"secret"),
            nonce: nonce.as_bytes(),
            cnonce: b"c",
            count: 1,
            quality: Some(Quality::Authentication),
            method: b"REGISTER",
            uri: uri.as_bytes(),
            body: b"",
        }
        .response();
        format!(
            "Authorization: Digest username=\"{name}\",realm=\"{DOMAIN}\",nonce=\"{nonce}\",uri=\"{uri}\",algorithm=MD5,\
             qop=auth,nc=00000001,cnonce=\"c\",response=\"{response}\"\r\n"
        )
    }

    fn register(&mut self, from: IpAddr, number: u64, parameters: &str, lines: &str) -> Message {
        let (name, cseq) = (name(number), self.cseq);
        let branch = format!("{number:x}-{cseq}-{}", lines.len());
        // The proxy is trusted because of its address, and puts its Via before that of the client.
        let client = if from == PROXY {
            format!("Via: SIP/2.0/UDP {CLIENTS}:5060;branch=z9hG4bKc{branch}\r\n")
        } else {
            String::new()
        };
        let text = format!(
            "REGISTER sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP {from}:5060;branch=z9hG4bK{branch}\r\n{client}Max-Forwards: 70\r\n\
             From: <sip:{name}@{DOMAIN}>;tag=1\r\nTo: <sip:{name}@{DOMAIN}>\r\nCall-ID: {number:08x}k2rJ0a@{CLIENTS}\r\n\
             CSeq: {cseq} REGISTER\r\nContact: <sip:{name}@{CLIENTS}:5060>{parameters}\r\nExpires: 86400\r\n\
             {lines}Content-Length: 0\r\n\r\n"
        );
        let remote = SocketAddr::new(from, 5060);
        let path = Path { transport: Transport::Udp, local: CORE, remote, connection: None };
        self.core.handle_input(self.now, Input::Datagram { path, bytes: Bytes::from(text) });
        let mut answer = None;
        while let Some(transmit) = self.core.poll_transmit() {
            answer = Some(Message::parse(transmit.bytes).expect("the core writes messages"));
        }
        while self.core.poll_event().is_some() {}
        answer.expect("every request has an answer")
    }
}
