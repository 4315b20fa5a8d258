//! Datagrams, streams, losses, commands and time for a core that two users are bound to: each datagram gets a bounded answer,
//! and with time everything goes.
//!
//! The input is a list of steps with 0xff between them. The first octet of a step says what it is; anything below 0x80 begins
//! a datagram of a client, 0x80 one of somebody who is trusted, 0x81 a message from inside. In what they send, the octets 1
//! to 6 stand for what is known of the last message that left: its branch, the From tag, the Call-ID, the To tag, its
//! topmost Via and its Record-Route; 7 stands for credentials that are right. `seeds/core` has calls to begin with.
#![no_main]

use std::net::SocketAddr;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sip::auth::digest::{Algorithm, Input as Digest, Quality, Secret};
use sip::message::{Message, Name};
use sip::transport::{ConnectionId, Listener, Path, Target, Transport};
use sip::{Duration, Instant};
use sipcore::{Command, Config, Core, Ha1, Input, Source, User};

/// Messages that one datagram may cause: an answer and a CANCEL for each of the bindings.
const ANSWER_MAX: usize = 12;

fuzz_target!(|octets: &[u8]| {
    let mut fuzz = Fuzz::new();
    for step in octets.split(|octet| *octet == 0xff) {
        fuzz.step(step);
    }
    fuzz.wait();
});

struct Fuzz {
    core: Core,
    now: Instant,
    /// What the octets 1 to 6 stand for.
    known: [Vec<u8>; 6],
    nonce: Vec<u8>,
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn put(name: &'static str) -> Input {
    let ha1 = Ha1::of(name.as_bytes(), b"p.example", name.as_bytes());
    Input::Command(Command::PutUser(User { name: Bytes::from(name), ha1 }))
}

impl Fuzz {
    fn new() -> Self {
        let listener =
            |transport, port| Listener { transport, bind: address(port), advertised: address(port) };
        let listeners = vec![
            listener(Transport::Udp, 5060),
            listener(Transport::Tcp, 5060),
            listener(Transport::Inside, 5061),
        ];
        let mut config = Config::new(Bytes::from("p.example"), listeners, [7; 32]);
        config.server = Some(Target { transport: Transport::Inside, remote: address(5062) });
        config.trusted = vec![Source { ip: address(0).ip(), port: Some(5090) }];
        config.transactions_max = 64;
        let core = Core::new(config);
        let mut fuzz = Self { core, now: Instant::START, known: Default::default(), nonce: Vec::new() };
        for name in ["anna", "ben"] {
            fuzz.input(put(name));
        }
        for (number, port, q) in [(1, 5072, ""), (2, 5073, ""), (3, 5074, ";q=0.5")] {
            for _ in 0..2 {
                let register = format!(
                    "REGISTER sip:p.example SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKr{number}{}\r\n\
                     From: <sip:ben@p.example>;tag=r\r\nTo: <sip:ben@p.example>\r\nCall-ID: r{number}\r\n\
                     CSeq: {number} REGISTER\r\nContact: <sip:ben@127.0.0.1:{port}>;+g.poc.talkburst{q}\r\n\u{7}\r\n\r\n",
                    fuzz.nonce.len()
                );
                let bytes = fuzz.as_sent(register.as_bytes());
                fuzz.input(Input::Datagram { path: udp(port), bytes });
            }
        }
        fuzz
    }

    fn step(&mut self, step: &[u8]) {
        let Some((first, rest)) = step.split_first() else { return };
        let inside = Path {
            transport: Transport::Inside,
            local: address(5061),
            remote: address(5062),
            connection: None,
        };
        let connection = ConnectionId::Accepted(1);
        let stream = Path { transport: Transport::Tcp, connection: Some(connection), ..udp(5080) };
        let input = match first {
            0x80 => Input::Datagram { path: udp(5090), bytes: self.as_sent(rest) },
            0x81 => Input::Datagram { path: inside, bytes: self.as_sent(rest) },
            0x82 => Input::Stream { path: stream, bytes: self.as_sent(rest) },
            0x83 => Input::ConnectionLost { connection },
            0x84 => Input::ConnectionRefused { connection: ConnectionId::Opened(1) },
            0x85 => Input::Command(Command::RemoveUser(Bytes::from("ben"))),
            0x86 => {
                self.now = self.core.poll_timeout().unwrap_or(self.now).max(self.now);
                Input::Timeout
            }
            0x87 => put("ben"),
            _ => Input::Datagram { path: udp(5070), bytes: self.as_sent(step) },
        };
        let is_datagram = matches!(input, Input::Datagram { .. });
        let sent = self.input(input);
        assert!(!is_datagram || sent <= ANSWER_MAX, "{sent} messages for one datagram");
    }

    /// What somebody sends, with what they know filled in.
    fn as_sent(&self, octets: &[u8]) -> Bytes {
        let mut sent = Vec::with_capacity(octets.len());
        for octet in octets {
            match octet {
                1..=6 => sent.extend_from_slice(&self.known[usize::from(*octet) - 1]),
                7 => {
                    let credentials = self.credentials(octets);
                    sent.extend_from_slice(&credentials);
                }
                _ => sent.push(*octet),
            }
        }
        Bytes::from(sent)
    }

    /// A line that proves that the request is ben's.
    fn credentials(&self, request: &[u8]) -> Vec<u8> {
        let mut words = request.split(|octet| *octet == b' ');
        let (method, uri) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let response = Digest {
            algorithm: Algorithm::parse(b"SHA-256").expect("known"),
            username: b"ben",
            realm: b"p.example",
            secret: Secret::Password(b"ben"),
            nonce: &self.nonce,
            cnonce: b"c",
            count: 1,
            quality: Some(Quality::Authentication),
            method,
            uri,
            body: b"",
        }
        .response();
        let name: &[u8] = if method == b"REGISTER" { b"Authorization" } else { b"Proxy-Authorization" };
        let tail = format!("response=\"{response}\", algorithm=SHA-256, qop=auth, nc=00000001, cnonce=\"c\"");
        let head = b": Digest username=\"ben\", realm=\"p.example\", nonce=\"";
        [name, head, &self.nonce, b"\", uri=\"", uri, b"\", ", tail.as_bytes()].concat()
    }

    /// Gives it to the core and takes what leaves. Returns how many messages that were.
    fn input(&mut self, input: Input) -> usize {
        self.core.handle_input(self.now, input);
        while self.core.poll_event().is_some() {}
        let mut sent = 0;
        while let Some(transmit) = self.core.poll_transmit() {
            sent += 1;
            let Ok(message) = Message::parse(transmit.bytes) else { continue };
            let text = |value: Option<&[u8]>| value.unwrap_or_default().to_vec();
            let tag = |address: Option<&[u8]>| address.unwrap_or_default().to_vec();
            self.known = [
                text(message.via().ok().and_then(|via| via.branch())),
                tag(message.from().ok().and_then(|from| from.tag())),
                message.call_id().to_vec(),
                tag(message.to().ok().and_then(|to| to.tag())),
                text(message.items(Name::Via).next()),
                message.items(Name::RecordRoute).collect::<Vec<_>>().join(&b","[..]),
            ];
            for name in [Name::WwwAuthenticate, Name::ProxyAuthenticate] {
                let challenge = message.credentials(name).next().and_then(Result::ok);
                if let Some(nonce) = challenge.and_then(|challenge| challenge.parameters.text(b"nonce")) {
                    self.nonce = nonce.to_vec();
                }
            }
        }
        sent
    }

    /// Nobody says anything any more: with time every transaction goes, and only bindings stay.
    fn wait(mut self) {
        let end = self.now + Duration::from_secs(1000);
        while let Some(next) = self.core.poll_timeout().filter(|next| *next <= end) {
            self.now = next.max(self.now);
            self.input(Input::Timeout);
        }
        assert!(self.core.is_empty());
    }
}

fn udp(port: u16) -> Path {
    Path { transport: Transport::Udp, local: address(5060), remote: address(port), connection: None }
}
