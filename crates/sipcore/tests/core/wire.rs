//! One core, the wire it hangs on, and the pen of everybody around it.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;
use sip::auth::digest::{Algorithm, Input as Digest, Quality, Secret};
use sip::message::{LENGTH_MAX, Method, Name};
use sip::transport::{ConnectionId, Listener, Path, Target, Transport};
use sip::{Duration, Instant, Message};
use sipcore::{Command, Config, Core, Event, Ha1, Input, Source, User};

pub(crate) const CORE: &str = "192.0.2.1:5060";
/// The core's address inside, and the PoC Server's.
pub(crate) const CORE_INSIDE: &str = "192.0.2.2:5060";
pub(crate) const SERVER: &str = "192.0.2.3:5060";
/// Somebody who is trusted.
pub(crate) const PEER: &str = "192.0.2.100:5060";
pub(crate) const ANNA: &str = "198.51.100.1:5060";
pub(crate) const BEN: &str = "198.51.100.2:5060";
pub(crate) const BEN_2: &str = "198.51.100.3:5060";
pub(crate) const BEN_3: &str = "198.51.100.4:5060";
pub(crate) const T1_64: Duration = Duration::from_secs(32);

pub(crate) fn ms(span: u64) -> Duration {
    Duration::from_millis(span)
}

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub(crate) fn udp(remote: &str) -> Path {
    Path { transport: Transport::Udp, local: address(CORE), remote: address(remote), connection: None }
}

pub(crate) fn tcp(remote: &str, number: u32) -> Path {
    let connection = Some(ConnectionId::Accepted(number));
    Path { transport: Transport::Tcp, connection, ..udp(remote) }
}

/// The way of what the PoC Server sends.
pub(crate) fn inside() -> Path {
    Path {
        transport: Transport::Inside,
        local: address(CORE_INSIDE),
        remote: address(SERVER),
        connection: None,
    }
}

/// The first line of this header field, as text.
pub(crate) fn text(message: &Message, name: Name) -> &str {
    std::str::from_utf8(message.value(name).unwrap_or_default()).expect("text")
}

pub(crate) fn values(message: &Message, name: Name) -> Vec<String> {
    message.items(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

pub(crate) fn uri(message: &Message) -> &str {
    std::str::from_utf8(message.uri_text()).expect("text")
}

pub(crate) fn branch(message: &Message) -> String {
    String::from_utf8_lossy(message.via().expect("a Via").branch().unwrap_or_default()).into_owned()
}

pub(crate) fn to_tag(message: &Message) -> Option<String> {
    Some(String::from_utf8_lossy(message.to().expect("a To").tag()?).into_owned())
}

/// "INVITE", "487 INVITE": what a message is, in a word or two.
pub(crate) fn word(message: &Message) -> String {
    let method = String::from_utf8_lossy(message.cseq().expect("a CSeq").method).into_owned();
    message.status().map_or(method.clone(), |status| format!("{status} {method}"))
}

/// A request as somebody writes it.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) uri: String,
    pub(crate) at: &'static str,
    pub(crate) transport: &'static str,
    pub(crate) branch: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) call_id: String,
    pub(crate) number: u32,
    /// Further header lines, each with its line end.
    pub(crate) lines: String,
}

impl Request {
    /// A request of the user `from`, which is at `at`, for the user `to`.
    pub(crate) fn new(method: &'static str, from: &str, at: &'static str, to: &str) -> Self {
        Self {
            method,
            uri: format!("sip:{to}@poc.example"),
            at,
            transport: "UDP",
            branch: format!("{from}{to}{method}"),
            from: format!("<sip:{from}@poc.example>;tag=f-{from}"),
            to: format!("<sip:{to}@poc.example>"),
            call_id: format!("call-{from}-{to}"),
            number: 1,
            lines: format!("Contact: <sip:{from}@{at}>\r\n"),
        }
    }

    /// An INVITE from a trusted peer for ben.
    pub(crate) fn invite() -> Self {
        Self::new("INVITE", "zoe", PEER, "ben")
    }

    pub(crate) fn with(mut self, lines: &str) -> Self {
        self.lines += lines;
        self
    }

    /// Another request of the same branch: its CANCEL, or the ACK of a failure.
    pub(crate) fn follow(&self, method: &'static str) -> Self {
        Self { method, lines: String::new(), ..self.clone() }
    }

    pub(crate) fn cancel(&self) -> Self {
        self.follow("CANCEL")
    }

    pub(crate) fn ack(&self, response: &Message) -> Self {
        Self { to: text(response, Name::To).into(), ..self.follow("ACK") }
    }

    /// A request within the dialog that `response` made, by the one who invited.
    pub(crate) fn within(&self, response: &Message, method: &'static str, number: u32) -> Self {
        let mut routes = values(response, Name::RecordRoute);
        routes.reverse();
        let target = response.addresses(Name::Contact).next().expect("a Contact").expect("an address").uri;
        Self {
            uri: String::from_utf8_lossy(target).into_owned(),
            branch: format!("{}{method}{number}", self.branch),
            to: text(response, Name::To).into(),
            number,
            lines: routes.iter().map(|route| format!("Route: {route}\r\n")).collect(),
            ..self.follow(method)
        }
    }

    pub(crate) fn text(&self) -> String {
        let Self { method, uri, at, transport, branch, from, to, call_id, number, lines } = self;
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{transport} {at};branch=z9hG4bK{branch};rport\r\nMax-Forwards: 70\r\n\
             From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {number} {method}\r\n{lines}Content-Length: 0\r\n\r\n"
        )
    }
}

/// A response to `request` as whoever got it writes it, with `lines` (each with its line end).
pub(crate) fn response(request: &Message, status: u16, tag: &str, lines: &str) -> String {
    let mut out = format!("SIP/2.0 {status} x\r\n");
    for via in values(request, Name::Via) {
        out += &format!("Via: {via}\r\n");
    }
    if status < 300 {
        for route in values(request, Name::RecordRoute) {
            out += &format!("Record-Route: {route}\r\n");
        }
    }
    let to = text(request, Name::To);
    let tag = if tag.is_empty() || to.contains(";tag=") { String::new() } else { format!(";tag={tag}") };
    let [from, call_id, cseq] = [Name::From, Name::CallId, Name::CSeq].map(|name| text(request, name));
    out + &format!(
        "From: {from}\r\nTo: {to}{tag}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\n{lines}Content-Length: 0\r\n\r\n"
    )
}

/// The credentials with which `user` answers the first challenge of `response`, as a header line.
pub(crate) fn credentials(
    response: &Message,
    request: &Request,
    user: &str,
    password: &str,
    algorithm: &str,
) -> String {
    let (challenge, name) = match response.status() {
        Some(401) => (Name::WwwAuthenticate, "Authorization"),
        _ => (Name::ProxyAuthenticate, "Proxy-Authorization"),
    };
    let all: Vec<_> = response.credentials(challenge).map(|each| each.expect("a challenge")).collect();
    let wanted = all.iter().find(|each| each.parameters.text(b"algorithm") == Some(algorithm.as_bytes()));
    let parameters = wanted.expect("the algorithm is offered").parameters;
    let (nonce, realm) =
        (parameters.text(b"nonce").expect("a nonce"), parameters.text(b"realm").expect("a realm"));
    let digest = Digest {
        algorithm: Algorithm::parse(algorithm.as_bytes()).expect("known"),
        username: user.as_bytes(),
        realm,
        secret: Secret::Password(password.as_bytes()),
        nonce,
        cnonce: b"c",
        count: 1,
        quality: Some(Quality::Authentication),
        method: request.method.as_bytes(),
        uri: request.uri.as_bytes(),
        body: b"",
    }
    .response();
    let [nonce, realm] = [nonce, realm].map(String::from_utf8_lossy);
    format!(
        "{name}: Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{}\", response=\"{digest}\", \
         algorithm={algorithm}, qop=auth, nc=00000001, cnonce=\"c\"\r\n",
        request.uri
    )
}

/// What left, and where to.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) path: Path,
    pub(crate) message: Message,
}

impl Sent {
    pub(crate) fn to(&self) -> String {
        self.path.remote.to_string()
    }
}

/// An INVITE that left, and what was said to it.
struct Forwarded {
    message: Message,
    path: Path,
    at: Duration,
    has_provisional: bool,
    has_final: bool,
    cancel: Option<Bytes>,
}

pub(crate) struct Wire {
    pub(crate) core: Core,
    pub(crate) now: Duration,
    sent: VecDeque<Sent>,
    pub(crate) events: Vec<Event>,
    forwarded: BTreeMap<String, Forwarded>,
    /// The final status of each INVITE that arrived, by where it came from and its branch.
    answered: BTreeMap<(String, String), u16>,
    finished: bool,
    /// Whether what leaves may have odd header fields, as it came with them.
    pub(crate) is_lenient: bool,
}

impl Wire {
    /// A core with the users anna, ben and carl, whose passwords are their names, and somebody trusted at [`PEER`].
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let listener = |transport, at| Listener { transport, bind: address(at), advertised: address(at) };
        let listeners = vec![
            listener(Transport::Udp, CORE),
            listener(Transport::Tcp, CORE),
            listener(Transport::Inside, CORE_INSIDE),
        ];
        let mut config = Config::new(Bytes::from("poc.example"), listeners, [7; 32]);
        config.trusted = vec![Source { ip: address(PEER).ip(), port: None }];
        change(&mut config);
        let mut wire = Self {
            core: Core::new(config),
            now: Duration::ZERO,
            sent: VecDeque::new(),
            events: Vec::new(),
            forwarded: BTreeMap::new(),
            answered: BTreeMap::new(),
            finished: false,
            is_lenient: false,
        };
        for name in ["anna", "ben", "carl"] {
            wire.put(name, name);
        }
        wire
    }

    /// With a PoC Server inside.
    pub(crate) fn with_server() -> Self {
        Self::with(|config| {
            config.server = Some(Target { transport: Transport::Inside, remote: address(SERVER) });
        })
    }

    pub(crate) fn put(&mut self, name: &'static str, password: &str) {
        let ha1 = Ha1::of(name.as_bytes(), b"poc.example", password.as_bytes());
        self.input(Input::Command(Command::PutUser(User { name: Bytes::from(name), ha1 })));
    }

    // What goes in.

    pub(crate) fn input(&mut self, input: Input) {
        self.core.handle_input(Instant::at(self.now), input);
        self.drain();
    }

    /// A datagram, or a message from inside.
    pub(crate) fn receive(&mut self, path: Path, text: &str) {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        self.note(&bytes);
        match (path.connection, Message::parse(bytes.clone())) {
            (Some(_), _) => self.input(Input::Stream { path, bytes }),
            (None, Ok(message)) if path.transport == Transport::Inside => {
                self.input(Input::Message { path, message });
            }
            (None, _) => self.input(Input::Datagram { path, bytes }),
        }
    }

    pub(crate) fn census(&self) -> sipcore::Census {
        self.core.census(Instant::at(self.now))
    }

    pub(crate) fn send(&mut self, request: &Request) {
        self.receive(udp(request.at), &request.text());
    }

    /// Whoever got `sent` answers it.
    pub(crate) fn answer(&mut self, sent: &Sent, status: u16) {
        let host = sent.path.remote;
        let lines =
            if status < 300 && status > 100 { format!("Contact: <sip:x@{host}>\r\n") } else { String::new() };
        let tag = if status == 100 { String::new() } else { format!("t-{}", host.ip()) };
        self.receive(sent.path, &response(&sent.message, status, &tag, &lines));
    }

    /// Sends a request with credentials, after the challenge that it gets.
    pub(crate) fn send_proven_on(&mut self, path: Path, request: &Request, user: &str) -> Request {
        let first = Request { branch: format!("{}-0", request.branch), ..request.clone() };
        self.receive(path, &first.text());
        let challenge = self.one();
        let line = credentials(&challenge.message, request, user, user, "SHA-256");
        let proven = Request { number: request.number + 1, ..request.clone() }.with(&line);
        self.receive(path, &proven.text());
        proven
    }

    pub(crate) fn send_proven(&mut self, request: &Request, user: &str) -> Request {
        self.send_proven_on(udp(request.at), request, user)
    }

    /// Registers a user at an address, with `parameters` behind the Contact.
    pub(crate) fn register(&mut self, user: &str, at: &'static str, parameters: &str) -> Message {
        let contact = format!("Contact: <sip:{user}@{at}>{parameters}\r\n");
        self.register_on(udp(at), user, at, &contact)
    }

    pub(crate) fn register_on(&mut self, path: Path, user: &str, at: &'static str, lines: &str) -> Message {
        let request = register(user, at, lines);
        self.send_proven_on(path, &request, user);
        let answer = self.one().message;
        assert_eq!(word(&answer), "200 REGISTER");
        answer
    }

    pub(crate) fn advance(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(next) = self.core.poll_timeout().filter(|next| next.since_start() <= end) {
            // What is armed after a rest may name a moment that has passed.
            self.now = self.now.max(next.since_start());
            let now = Instant::at(self.now);
            self.core.handle_timeout(now);
            assert!(self.core.poll_timeout().is_none_or(|after| after > now), "time goes on");
            self.drain();
        }
        self.now = end;
    }

    // What comes out.

    fn drain(&mut self) {
        while let Some(transmit) = self.core.poll_transmit() {
            if &transmit.bytes[..] == b"\r\n" {
                continue;
            }
            assert!(transmit.bytes.len() < 2 * LENGTH_MAX, "bounded");
            let message = Message::parse(transmit.bytes).expect("a message");
            if !self.is_lenient && message.status().is_none_or(|status| status < 400) {
                assert_eq!(message.validate(), Ok(()), "{message:?}");
            }
            self.check(&message, transmit.path);
            self.sent.push_back(Sent { path: transmit.path, message });
        }
        while let Some(event) = self.core.poll_event() {
            self.events.push(event);
        }
    }

    /// Remembers what is said to the INVITEs that left.
    fn note(&mut self, bytes: &Bytes) {
        let Ok(message) = Message::parse(bytes.clone()) else { return };
        let (Some(status), Ok(via)) = (message.status(), message.via()) else { return };
        let branch = String::from_utf8_lossy(via.branch().unwrap_or_default()).into_owned();
        if message.is_cseq_method(Method::Invite)
            && let Some(forwarded) = self.forwarded.get_mut(&branch)
        {
            // Twice 64*T1 after an INVITE that nobody answered it is forgotten.
            forwarded.has_provisional |= status < 200 && self.now < forwarded.at + 2 * T1_64;
            forwarded.has_final |= status >= 200;
        }
    }

    fn check(&mut self, message: &Message, path: Path) {
        if let Some(status) = message.status() {
            return self.check_response(message, status, path);
        }
        if message.is(Method::Invite) {
            self.forwarded.entry(branch(message)).or_insert(Forwarded {
                message: message.clone(),
                path,
                at: self.now,
                has_provisional: false,
                has_final: false,
                cancel: None,
            });
        }
        if message.is(Method::Cancel) {
            // C05, C06, C12, C16: it is the CANCEL of an INVITE of ours, and goes where that went.
            let forwarded = self.forwarded.get_mut(&branch(message)).expect("the branch of an INVITE");
            let invite = &forwarded.message;
            assert_eq!(path, forwarded.path);
            assert_eq!(message.uri_text(), invite.uri_text());
            for name in [Name::From, Name::To, Name::CallId, Name::Route] {
                assert_eq!(values(message, name), values(invite, name), "{name}");
            }
            assert_eq!(values(message, Name::Via), values(invite, Name::Via)[..1]);
            let number = |message: &Message| message.cseq().expect("a CSeq").number;
            assert_eq!(number(message), number(invite));
            assert_eq!(message.value(Name::Require).or(message.value(Name::ProxyRequire)), None);
            match &forwarded.cancel {
                Some(first) => assert_eq!(first, message.bytes(), "I2: one CANCEL"),
                None => {
                    assert!(forwarded.has_provisional, "I2: not before a 1xx");
                    assert!(!forwarded.has_final, "I2, C73: not after a final response");
                    forwarded.cancel = Some(message.bytes().clone());
                }
            }
        }
    }

    /// I4: one final response to an INVITE, but for further 2xx; nothing provisional after it.
    fn check_response(&mut self, message: &Message, status: u16, path: Path) {
        if !message.is_cseq_method(Method::Invite) {
            return;
        }
        let key = (path.remote.to_string(), branch(message));
        match self.answered.get(&key) {
            None if status >= 200 => drop(self.answered.insert(key, status)),
            None => {}
            Some(first) => {
                assert!(*first == status || (200..300).contains(&status), "{first}, then {status}");
            }
        }
    }

    /// How many INVITEs got a final response, and how many different ones.
    pub(crate) fn answered(&self) -> usize {
        self.answered.len()
    }

    pub(crate) fn sent(&mut self) -> Vec<Sent> {
        self.sent.drain(..).collect()
    }

    pub(crate) fn words(&mut self) -> Vec<String> {
        self.sent().iter().map(|sent| word(&sent.message)).collect()
    }

    /// The one message that left.
    pub(crate) fn one(&mut self) -> Sent {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{:?}", sent.iter().map(|sent| word(&sent.message)).collect::<Vec<_>>());
        sent.remove(0)
    }

    pub(crate) fn nothing(&mut self) {
        assert_eq!(self.words(), Vec::<String>::new());
    }

    /// I9: with time everything goes, and nothing is left ringing: every INVITE that somebody said a 1xx to and nothing
    /// final has its CANCEL.
    pub(crate) fn finish(mut self) {
        self.advance(8 * T1_64 + ms(200_000));
        assert!(self.core.is_empty(), "{:#?}", self.core);
        let census = self.census();
        assert_eq!(
            (census.stuck_transactions, census.stuck_contexts, census.notifier.stuck_sessions),
            (0, 0, 0)
        );
        for forwarded in self.forwarded.values() {
            let rings = forwarded.has_provisional && !forwarded.has_final;
            assert!(!rings || forwarded.cancel.is_some(), "left ringing: {:?}", forwarded.message);
        }
        for name in ["anna", "ben", "carl"] {
            self.input(Input::Command(Command::RemoveUser(Bytes::from(name))));
        }
        assert_eq!(self.core.poll_timeout(), None);
        self.finished = true;
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        assert!(self.finished || std::thread::panicking(), "a test ends with finish()");
    }
}

pub(crate) fn register(user: &str, at: &'static str, lines: &str) -> Request {
    Request {
        uri: "sip:poc.example".into(),
        call_id: format!("reg-{user}-{at}"),
        branch: format!("reg{user}{}", at.replace(['.', ':'], "-")),
        lines: lines.into(),
        ..Request::new("REGISTER", user, at, user)
    }
}
