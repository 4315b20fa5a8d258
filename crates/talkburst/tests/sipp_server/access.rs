//! The user of a client that SIPp plays: SIPp knows no challenge but a first one with MD5, so its credentials are made here, for a
//! nonce that the server gave to the same address.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use poc::body::settings::{Entity, Settings, write};
use poc::client::AnswerMode;
use sip::Message;
use sip::auth::digest::{Algorithm, Input, Quality, Secret};
use sip::auth::unquoted;
use sip::message::Name;

use crate::sipping::PORT;

const REALM: &[u8] = b"poc.internal";

/// How long an answer is waited for before the request is sent again.
const PATIENCE: Duration = Duration::from_millis(500);

/// A user at an address, with a password that is the name.
pub(crate) struct Access {
    socket: UdpSocket,
    name: String,
    nonce: Vec<u8>,
    requests: u32,
}

impl Access {
    pub(crate) fn new(name: &str, address: Ipv4Addr, server: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.connect((server, PORT)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut access = Self { socket, name: name.to_owned(), nonce: Vec::new(), requests: 0 };
        let challenge = access.ask("REGISTER", "sip:poc.internal", "", "");
        assert_eq!(challenge.status(), Some(401));
        let parameters = challenge.credentials(Name::WwwAuthenticate).next().unwrap().unwrap().parameters;
        access.nonce = parameters.value(b"nonce").and_then(unquoted).unwrap().to_vec();
        access
    }

    /// The value of Authorization, with MD5.
    pub(crate) fn credentials(&self, method: &str, uri: &str) -> String {
        let name = &self.name;
        let nonce = String::from_utf8(self.nonce.clone()).unwrap();
        let response = Input {
            algorithm: Algorithm::parse(b"MD5").unwrap(),
            username: name.as_bytes(),
            realm: REALM,
            secret: Secret::Password(name.as_bytes()),
            nonce: &self.nonce,
            cnonce: b"c",
            count: 1,
            quality: Some(Quality::Authentication),
            method: method.as_bytes(),
            uri: uri.as_bytes(),
            body: b"",
        }
        .response();
        format!(
            "Digest username=\"{name}\", realm=\"poc.internal\", nonce=\"{nonce}\", uri=\"{uri}\", algorithm=MD5, qop=auth, \
             nc=00000001, cnonce=\"c\", response=\"{response}\""
        )
    }

    /// Credentials that a wrong password makes.
    pub(crate) fn wrong_credentials(&self, method: &str, uri: &str) -> String {
        self.credentials(method, uri).replace("response=\"", "response=\"0").replace("0\"", "\"")
    }

    /// Binds the user to `contact`.
    pub(crate) fn register(&mut self, contact: &str) {
        let uri = "sip:poc.internal";
        let lines = format!("Authorization: {}\r\nContact: {contact}\r\n", self.credentials("REGISTER", uri));
        let answer = self.ask("REGISTER", uri, &lines, "");
        assert_eq!(answer.status(), Some(200), "{answer:?}");
    }

    /// Publishes who answers.
    pub(crate) fn publish(&mut self, mode: AnswerMode, is_barred: bool) {
        let uri = format!("sip:{}@poc.internal", self.name);
        let settings = Settings {
            answer_mode: Some(mode),
            incoming_session_barring: Some(is_barred),
            ..Settings::default()
        };
        let body = write(&[Entity { id: "sipp".to_owned(), settings }]);
        let lines = format!(
            "Proxy-Authorization: {}\r\nEvent: poc-settings\r\nExpires: 3600\r\nContent-Type: application/poc-settings+xml\r\n",
            self.credentials("PUBLISH", &uri)
        );
        let answer = self.ask("PUBLISH", &uri, &lines, std::str::from_utf8(&body).unwrap());
        assert_eq!(answer.status(), Some(200), "{answer:?}");
    }

    /// The final answer to a request.
    pub(crate) fn ask(&mut self, method: &str, uri: &str, lines: &str, body: &str) -> Message {
        self.requests += 1;
        let (name, number, local) = (&self.name, self.requests, self.socket.local_addr().unwrap());
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bK-access-{number}-{}\r\nMax-Forwards: 70\r\n\
             From: <sip:{name}@poc.internal>;tag=access\r\nTo: <sip:{name}@poc.internal>\r\nCall-ID: access-{local}\r\n\
             CSeq: {number} {method}\r\n{lines}Content-Length: {}\r\n\r\n{body}",
            local.port(),
            body.len()
        );
        for _ in 0..20 {
            self.socket.send(text.as_bytes()).unwrap();
            let mut buffer = [0; 4096];
            while let Ok(length) = self.socket.recv(&mut buffer) {
                let answer = Message::parse(buffer[..length].to_vec().into()).unwrap();
                if answer.status() != Some(100) && answer.cseq().is_ok_and(|cseq| cseq.number == number) {
                    return answer;
                }
            }
        }
        panic!("no answer to {text}");
    }
}
