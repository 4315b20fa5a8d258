//! Bad input from sockets while a call rings: each has the response that docs/responses.md says, and the call goes on.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use sip::Message;
use sip::message::Name;

use crate::access::Access;
use crate::harness::{PORT, Play, Scene};
use crate::script::SDP;

/// How long nothing must come.
const SILENCE: Duration = Duration::from_millis(150);

/// A call that rings for as long as `disturbance` takes, is answered, and is left: whatever else comes.
pub(crate) fn through_a_call_that_rings(records: usize, disturbance: fn(&Scene<'_>)) {
    let play = Play::new().t1(100).records(records).disturbed(disturbance);
    let play = play.anna("> INVITE\n < 180\n < 200\n > ACK\n ~ 300\n > BYE\n < 200 BYE");
    let Some(played) = play.ben("< INVITE\n > 180\n ~ 2500\n > 200\n < ACK\n < BYE\n > 200").run() else {
        return;
    };
    let goes_on = played.records.iter().filter(|record| record["end"] == "released").count();
    assert_eq!(goes_on, 2, "the call that rang was answered and left");
}

/// Somebody with a socket, who may know the password of a user.
pub(crate) struct Stranger {
    name: &'static str,
    socket: UdpSocket,
    pub(crate) access: Access,
    requests: Cell<u32>,
    /// What was asked of it before its own request was answered.
    heard: RefCell<VecDeque<Message>>,
}

impl Stranger {
    /// Who knows Anna's.
    fn new(scene: &Scene<'_>) -> Self {
        Self::of(scene, "anna")
    }

    pub(crate) fn of(scene: &Scene<'_>, name: &'static str) -> Self {
        let socket = UdpSocket::bind((scene.address, 0)).unwrap();
        socket.connect((scene.server, PORT)).unwrap();
        let access = Access::new(name, scene.address, scene.server);
        Self { name, socket, access, requests: Cell::new(0), heard: RefCell::default() }
    }

    /// A request of the user with these lines, and what it is answered at last.
    pub(crate) fn ask(&self, method: &str, uri: &str, lines: &str, body: &str) -> Message {
        let number = self.requests.get() + 1;
        self.requests.set(number);
        let (name, local) = (self.name, self.socket.local_addr().unwrap());
        let to = if lines.starts_with("To: ") { String::new() } else { format!("To: <{uri}>\r\n") };
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bK-stranger-{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:{name}@poc.internal>;tag=s{number}\r\n{to}{lines}Call-ID: stranger-{number}-{local}\r\nCSeq: 1 {method}\r\n\
             Contact: <sip:{name}@{local}>\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = self.send(text.as_bytes()).expect("an answer");
        if method == "INVITE" {
            // Its ACK, or the answer would be sent again.
            let to = String::from_utf8(answer.value(Name::To).unwrap().to_vec()).unwrap();
            let ack = format!(
                "ACK {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bK-stranger-{number}\r\nMax-Forwards: 70\r\n\
                 From: <sip:{name}@poc.internal>;tag=s{number}\r\nTo: {to}\r\nCall-ID: stranger-{number}-{local}\r\nCSeq: 1 ACK\r\n\
                 Content-Length: 0\r\n\r\n"
            );
            self.socket.send(ack.as_bytes()).unwrap();
        }
        answer
    }

    /// An INVITE of the user for PoC, with credentials.
    fn invite(&self, uri: &str, lines: &str, body: &str) -> Option<u16> {
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        self.ask_for_poc("INVITE", uri, &format!("{kind}{lines}"), body)
    }

    /// A request of the user for PoC, with credentials.
    pub(crate) fn ask_for_poc(&self, method: &str, uri: &str, lines: &str, body: &str) -> Option<u16> {
        let credentials = self.access.credentials(method, uri);
        let lines = format!(
            "Proxy-Authorization: {credentials}\r\nAccept-Contact: *;+g.poc.talkburst;require;explicit\r\n{lines}"
        );
        self.ask(method, uri, &lines, body).status()
    }

    /// What `octets` are answered at last, if they are.
    fn send(&self, octets: &[u8]) -> Option<Message> {
        self.socket.send(octets).unwrap();
        let mut buffer = [0; 65_536];
        self.socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        loop {
            let length = self.socket.recv(&mut buffer).ok()?;
            let answer = Message::parse(buffer[..length].to_vec().into()).unwrap();
            match answer.status() {
                // RFC 6665 §4.1.2.4: a NOTIFY may overtake the answer to its SUBSCRIBE.
                None => self.heard.borrow_mut().push_back(answer),
                Some(100) => {}
                Some(_) => return Some(answer),
            }
        }
    }

    /// The next request that comes, once it is accepted.
    pub(crate) fn hears(&self) -> Message {
        let mut buffer = [0; 65_536];
        self.socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let heard = self.heard.borrow_mut().pop_front();
        let request = heard.unwrap_or_else(|| {
            let length = self.socket.recv(&mut buffer).unwrap();
            Message::parse(buffer[..length].to_vec().into()).unwrap()
        });
        let lines = request.headers().filter(|header| {
            matches!(header.name, Name::Via | Name::From | Name::To | Name::CallId | Name::CSeq)
        });
        let line = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let lines: String =
            lines.map(|header| format!("{}: {}\r\n", header.name, line(header.value))).collect();
        let text = format!("SIP/2.0 200 OK\r\n{lines}Content-Length: 0\r\n\r\n");
        self.socket.send(text.as_bytes()).unwrap();
        request
    }

    /// What was sent before is not answered any more.
    fn hears_nothing(&self) {
        self.socket.set_read_timeout(Some(SILENCE)).unwrap();
        let mut buffer = [0; 4096];
        if let Ok(length) = self.socket.recv(&mut buffer) {
            panic!("{}", String::from_utf8_lossy(&buffer[..length]));
        }
    }
}

#[test]
fn an_invite_that_cannot_be_is_refused_and_a_call_that_rings_goes_on() {
    through_a_call_that_rings(7, |scene| {
        scene.ringing();
        let stranger = Stranger::new(scene);
        assert_eq!(stranger.invite("sip:nobody@poc.internal", "", SDP), Some(404), "an unknown user");
        assert_eq!(stranger.invite("sip:ben@elsewhere.example", "", SDP), Some(404), "another domain");
        let speech = SDP.split("m=application").next().unwrap();
        assert_eq!(stranger.invite("sip:ben@poc.internal", "", speech), Some(488), "no talk burst control");
        // Whoever is answered 486 has passed the checks: Ben has a session that is being set up.
        let term = format!("Route: <sip:{}:{PORT};lr;odi=term>\r\n", scene.server);
        assert_eq!(
            stranger.invite("sip:ben@poc.internal", &term, SDP),
            Some(486),
            "a forged odi skips nothing"
        );
    });
}

#[test]
fn who_is_not_who_it_says_is_refused_and_a_call_that_rings_goes_on() {
    through_a_call_that_rings(3, |scene| {
        scene.ringing();
        let stranger = Stranger::new(scene);
        let uri = "sip:ben@poc.internal";
        // RFC 3325 §5: Anna's own identity is asserted; the record of her says so.
        let asserted = "P-Asserted-Identity: <sip:ben@poc.internal>\r\n";
        assert_eq!(stranger.invite("sip:nobody@poc.internal", asserted, SDP), Some(404));
        assert_eq!(stranger.ask("INVITE", uri, asserted, SDP).status(), Some(407), "no credentials");
        let wrong = stranger.access.wrong_credentials("INVITE", uri);
        let lines = format!("Proxy-Authorization: {wrong}\r\n");
        assert_eq!(stranger.ask("INVITE", uri, &lines, SDP).status(), Some(407), "a wrong password");
        let uri = "sip:poc.internal";
        let lines = format!(
            "To: <sip:ben@poc.internal>\r\nAuthorization: {}\r\n",
            stranger.access.credentials("REGISTER", uri)
        );
        assert_eq!(stranger.ask("REGISTER", uri, &lines, "").status(), Some(403), "somebody else's binding");
    });
}

/// I7: whoever knows all of an INVITE but is elsewhere, and whoever does not know its branch.
#[test]
fn a_forged_cancel_is_481_and_a_call_that_rings_goes_on() {
    through_a_call_that_rings(2, |scene| {
        let invite = scene.ringing();
        let stranger = Stranger::new(scene);
        let line = |name: Name| {
            format!("{name}: {}\r\n", String::from_utf8(invite.value(name).unwrap().to_vec()).unwrap())
        };
        let number = invite.cseq().unwrap().number;
        let rest = [Name::From, Name::To, Name::CallId].map(line).concat();
        let via = line(Name::Via);
        for via in [via.clone(), via.replace("branch=z9hG4bK", "branch=z9hG4bK0")] {
            let cancel = format!(
                "CANCEL sip:ben@poc.internal SIP/2.0\r\n{via}Max-Forwards: 70\r\n{rest}CSeq: {number} CANCEL\r\n\
                 Content-Length: 0\r\n\r\n"
            );
            assert_eq!(stranger.send(cancel.as_bytes()).and_then(|answer| answer.status()), Some(481));
        }
    });
}

#[test]
fn what_cannot_be_read_is_dropped_or_closed_and_a_call_that_rings_goes_on() {
    through_a_call_that_rings(2, |scene| {
        scene.ringing();
        let stranger = Stranger::new(scene);
        for junk in [&b"\0\xff\xfe"[..], b"\r\n\r\n", b"INVITE", b"SIP/2.0 200 OK\r\n\r\n", &[b'x'; 60_000]] {
            stranger.socket.send(junk).unwrap();
        }
        stranger.hears_nothing();
        let begins =
            "OPTIONS sip:poc.internal SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKlong\r\n";
        let long = format!("{begins}Subject: {}\r\n", "x".repeat(66_000));
        let many = format!("{begins}{}Content-Length: 0\r\n\r\n", "Subject: x\r\n".repeat(300));
        for bad in [long, many] {
            let mut stream = TcpStream::connect((scene.server, PORT)).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            // It may be closed before all is written.
            let _ = stream.write_all(bad.as_bytes());
            let mut said = Vec::new();
            let _ = stream.read_to_end(&mut said);
            let said = String::from_utf8_lossy(&said).into_owned();
            assert!(said.is_empty() || said.starts_with("SIP/2.0 4"), "{said}");
        }
    });
}

/// RFC 3261 §26.3.2.4: nobody is flooded by way of the server.
#[test]
fn a_source_without_credentials_gets_little_and_not_for_ever() {
    through_a_call_that_rings(2, |scene| {
        scene.ringing();
        let socket = UdpSocket::bind((scene.address, 0)).unwrap();
        let local = socket.local_addr().unwrap();
        socket.connect((scene.server, PORT)).unwrap();
        let request = |number: u32| {
            format!(
                "REGISTER sip:poc.internal SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK-flood-{number}\r\nMax-Forwards: 70\r\n\
                 From: <sip:anna@poc.internal>;tag=f\r\nTo: <sip:anna@poc.internal>\r\nCall-ID: flood\r\nCSeq: {number} REGISTER\r\n\
                 Content-Length: 0\r\n\r\n"
            )
        };
        let (mut answers, mut buffer, begun) = (0, [0; 4096], Instant::now());
        socket.set_read_timeout(Some(SILENCE)).unwrap();
        for number in 1..=2500 {
            let text = request(number);
            socket.send(text.as_bytes()).unwrap();
            // One at a time, so that none is lost for want of room.
            if answers < 1000
                && let Ok(length) = socket.recv(&mut buffer)
            {
                answers += 1;
                assert!(buffer[..length].starts_with(b"SIP/2.0 401 "));
                assert!(length <= text.len() + 512, "{length} for {}", text.len());
            }
        }
        while socket.recv(&mut buffer).is_ok() {
            answers += 1;
        }
        let most = 1000.0 + 200.0 * (begun.elapsed().as_secs_f64() + 1.0);
        assert!(answers >= 900 && f64::from(answers) <= most, "{answers} of 2500, at most {most}");
    });
}
