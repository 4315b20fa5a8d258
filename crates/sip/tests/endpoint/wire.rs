//! One endpoint, the wire it hangs on, and the peer's pen.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;
use sip::message::{Body, LENGTH_MAX, Method, Name};
use sip::transport::{ConnectionId, Listener, Path, Target, Transport};
use sip::usage::{End, Party};
use sip::{
    Command, Config, Duration, Endpoint, Event, Headers, Input, Instant, Invite, Message, Misuse, SessionId,
};

pub(crate) const T1_64: Duration = Duration::from_secs(32);
pub(crate) const OURS: &str = "192.0.2.1:5060";
pub(crate) const PEER: &str = "192.0.2.9:5060";
pub(crate) const OFFER: &str = "v=0\r\n";

pub(crate) fn ms(span: u64) -> Duration {
    Duration::from_millis(span)
}

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub(crate) fn udp(remote: &str) -> Path {
    Path { transport: Transport::Udp, local: address(OURS), remote: address(remote), connection: None }
}

pub(crate) fn tcp(remote: &str, connection: ConnectionId) -> Path {
    Path { transport: Transport::Tcp, connection: Some(connection), ..udp(remote) }
}

pub(crate) fn headers(lines: &[(Name, &str)]) -> Headers {
    lines.iter().map(|(name, value)| (*name, Bytes::copy_from_slice(value.as_bytes()))).collect()
}

pub(crate) fn sdp() -> Option<Body> {
    Some(Body {
        content_type: Bytes::from_static(b"application/sdp"),
        bytes: Bytes::from_static(OFFER.as_bytes()),
    })
}

/// An invitation to a peer at [`PEER`].
pub(crate) fn invitation() -> Invite {
    Invite {
        targets: vec![Target { transport: Transport::Udp, remote: address(PEER) }],
        uri: Bytes::from_static(b"sip:ben@192.0.2.9"),
        from: Bytes::from_static(b"\"Anna\" <sip:anna@example.com>"),
        to: Bytes::from_static(b"<sip:ben@example.com>"),
        routes: Vec::new(),
        headers: Vec::new(),
        body: sdp(),
        expires: None,
        expires_headers: Vec::new(),
        contact: None,
        hops: None,
    }
}

pub(crate) fn read(bytes: &Bytes) -> Message {
    let message = Message::parse(bytes.clone()).expect("a message");
    assert_eq!(message.validate(), Ok(()), "{message:?}");
    message
}

/// The first line of this header field, as text.
pub(crate) fn text(message: &Message, name: Name) -> &str {
    std::str::from_utf8(message.value(name).unwrap_or_default()).expect("text")
}

pub(crate) fn uri(message: &Message) -> &str {
    std::str::from_utf8(message.uri_text()).expect("text")
}

pub(crate) fn to_tag(message: &Message) -> Option<String> {
    let tag = message.to().expect("a To").tag()?;
    Some(String::from_utf8_lossy(tag).into_owned())
}

pub(crate) fn from_tag(message: &Message) -> String {
    String::from_utf8_lossy(message.from().expect("a From").tag().unwrap_or_default()).into_owned()
}

pub(crate) fn branch(message: &Message) -> String {
    String::from_utf8_lossy(message.via().expect("a Via").branch().unwrap_or_default()).into_owned()
}

pub(crate) fn values(message: &Message, name: Name) -> Vec<String> {
    message.items(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

/// "INVITE", "487 INVITE": what a message is, in a word or two.
pub(crate) fn word(message: &Message) -> String {
    let method = String::from_utf8_lossy(message.cseq().expect("a CSeq").method).into_owned();
    message.status().map_or(method.clone(), |status| format!("{status} {method}"))
}

/// A response of the peer to `request`: its Via, From, To, Call-ID and CSeq lines, and `lines` (each with its line end).
pub(crate) fn response(request: &Message, status: u16, tag: &str, lines: &str) -> String {
    let mut out = format!("SIP/2.0 {status} x\r\n");
    for via in values(request, Name::Via) {
        out += &format!("Via: {via}\r\n");
    }
    let to = text(request, Name::To);
    let tag = if tag.is_empty() || to.contains(";tag=") { String::new() } else { format!(";tag={tag}") };
    out + &format!(
        "From: {}\r\nTo: {to}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n{lines}Content-Length: 0\r\n\r\n",
        text(request, Name::From),
        text(request, Name::CallId),
        text(request, Name::CSeq),
    )
}

/// A Contact of the peer, under a name that is no address, so that requests go the way of the INVITE.
pub(crate) const CONTACT: &str = "Contact: <sip:ben@ben.example>\r\n";

/// A request as the peer writes it.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) uri: String,
    pub(crate) via: String,
    pub(crate) branch: String,
    pub(crate) from_tag: String,
    pub(crate) to_tag: String,
    pub(crate) call_id: String,
    pub(crate) number: u32,
    /// Further header lines, each with its line end.
    pub(crate) lines: String,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn invite(branch: &str) -> Self {
        Self {
            method: "INVITE",
            uri: "sip:anna@192.0.2.1".into(),
            via: format!("SIP/2.0/UDP {PEER};branch=z9hG4bK{branch};rport"),
            branch: branch.into(),
            from_tag: "b1".into(),
            to_tag: String::new(),
            call_id: format!("call-{branch}"),
            number: 7,
            lines: "Contact: <sip:ben@ben.example>\r\nContent-Type: application/sdp\r\n".into(),
            body: OFFER.into(),
        }
    }

    /// Another request of the same Via, call and number: its CANCEL or the ACK of a failure.
    pub(crate) fn follow(&self, method: &'static str) -> Self {
        Self { method, lines: String::new(), body: String::new(), ..self.clone() }
    }

    pub(crate) fn cancel(&self) -> Self {
        self.follow("CANCEL")
    }

    /// The ACK that belongs to the transaction of a 300-699.
    pub(crate) fn ack(&self, response: &Message) -> Self {
        Self { to_tag: to_tag(response).unwrap_or_default(), ..self.follow("ACK") }
    }

    /// A request within the dialog that `response` made, with a branch of its own.
    pub(crate) fn within(&self, response: &Message, method: &'static str, number: u32) -> Self {
        let branch = format!("{}{method}{number}", self.branch);
        Self {
            to_tag: to_tag(response).unwrap_or_default(),
            via: self.via.replace(&format!("z9hG4bK{}", self.branch), &format!("z9hG4bK{branch}")),
            branch,
            number,
            ..self.follow(method)
        }
    }

    pub(crate) fn with(mut self, lines: &str) -> Self {
        self.lines += lines;
        self
    }

    pub(crate) fn text(&self) -> String {
        let Self { method, uri, via, from_tag, call_id, number, lines, body, .. } = self;
        let tag = if self.to_tag.is_empty() { String::new() } else { format!(";tag={}", self.to_tag) };
        let from_tag = if from_tag.is_empty() { String::new() } else { format!(";tag={from_tag}") };
        format!(
            "{method} {uri} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\nFrom: <sip:ben@example.com>{from_tag}\r\n\
             To: <sip:anna@example.com>{tag}\r\nCall-ID: {call_id}\r\nCSeq: {number} {method}\r\n{lines}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

/// What left, when and where to.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) at: Duration,
    pub(crate) path: Path,
    pub(crate) message: Message,
}

/// An INVITE that left, and what the peer has said to it.
struct Invited {
    request: Message,
    path: Path,
    has_provisional: bool,
    has_final: bool,
    cancel: Option<Bytes>,
}

/// What an INVITE of the peer was answered.
#[derive(Default)]
struct Answered {
    status: Option<u16>,
    tag: Option<String>,
}

pub(crate) struct Wire {
    pub(crate) endpoint: Endpoint,
    pub(crate) now: Duration,
    sent: VecDeque<Sent>,
    events: VecDeque<Event>,
    invited: BTreeMap<String, Invited>,
    answered: BTreeMap<(String, String), Answered>,
    over: BTreeSet<SessionId>,
    /// Max-Forwards of what the user passes on.
    pub(crate) hops: &'static str,
    /// The names that the endpoint wants looked up.
    pub(crate) names: Vec<Bytes>,
    finished: bool,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// An endpoint with UDP and TCP at [`OURS`].
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let listener = |transport| Listener { transport, bind: address(OURS), advertised: address(OURS) };
        let mut config = Config::new(vec![listener(Transport::Udp), listener(Transport::Tcp)], [7; 32]);
        change(&mut config);
        Self {
            endpoint: Endpoint::new(config),
            now: Duration::ZERO,
            sent: VecDeque::new(),
            events: VecDeque::new(),
            invited: BTreeMap::new(),
            answered: BTreeMap::new(),
            over: BTreeSet::new(),
            hops: "70",
            names: Vec::new(),
            finished: false,
        }
    }

    pub(crate) fn at(&self) -> Instant {
        Instant::at(self.now)
    }

    // What goes in.

    pub(crate) fn input(&mut self, input: Input) -> Result<Option<SessionId>, Misuse> {
        if let Input::ConnectionLost { connection } | Input::ConnectionRefused { connection } = input {
            // What goes the same way from now on goes over a new connection.
            for invited in self.invited.values_mut().filter(|each| each.path.connection == Some(connection)) {
                invited.path.connection = None;
            }
        }
        let result = self.endpoint.handle_input(self.at(), input);
        self.drain();
        result
    }

    pub(crate) fn command(&mut self, command: Command) -> Result<(), Misuse> {
        self.input(Input::Command(command)).map(|_| ())
    }

    pub(crate) fn invite(&mut self) -> SessionId {
        self.invite_with(invitation())
    }

    pub(crate) fn invite_with(&mut self, invite: Invite) -> SessionId {
        let session =
            self.input(Input::Command(Command::Invite(Box::new(invite)))).expect("a good invitation");
        session.expect("an invitation makes a session")
    }

    pub(crate) fn cancel(&mut self, session: SessionId) -> Result<(), Misuse> {
        self.command(Command::Cancel { session, headers: Vec::new() })
    }

    pub(crate) fn ring(&mut self, session: SessionId) {
        self.command(Command::Progress { session, status: 180, headers: Vec::new(), body: None })
            .expect("alerting");
    }

    pub(crate) fn accept(&mut self, session: SessionId) -> Result<(), Misuse> {
        self.command(Command::Accept { session, headers: Vec::new(), body: sdp() })
    }

    pub(crate) fn refuse(&mut self, session: SessionId, status: u16) -> Result<(), Misuse> {
        self.command(Command::Refuse { session, status, headers: Vec::new(), body: None })
    }

    pub(crate) fn leave(&mut self, session: SessionId) -> Result<(), Misuse> {
        self.command(Command::Leave { session, headers: Vec::new() })
    }

    pub(crate) fn modify(&mut self, session: SessionId) -> Result<(), Misuse> {
        self.command(Command::Modify { session, headers: Vec::new(), body: sdp() })
    }

    /// A datagram from [`PEER`].
    pub(crate) fn receive(&mut self, text: &str) {
        self.receive_on(udp(PEER), text);
    }

    pub(crate) fn receive_on(&mut self, path: Path, text: &str) {
        self.receive_octets(path, Bytes::copy_from_slice(text.as_bytes()));
    }

    pub(crate) fn receive_octets(&mut self, path: Path, bytes: Bytes) {
        self.note(&bytes);
        let input = match path.connection {
            None => Input::Datagram { path, bytes },
            Some(_) => Input::Stream { path, bytes },
        };
        self.input(input).expect("only commands are refused");
    }

    /// The peer answers `request`, which we sent, with a Contact if that makes a dialog.
    pub(crate) fn answer(&mut self, request: &Message, status: u16, tag: &str) {
        let contact = if (101..300).contains(&status) { CONTACT } else { "" };
        self.receive(&response(request, status, tag, contact));
    }

    // What comes out.

    fn drain(&mut self) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            if transmit.bytes.len() > LENGTH_MAX {
                assert!(transmit.bytes.len() < 2 * LENGTH_MAX, "bounded");
                continue; // more than a datagram holds
            }
            if &transmit.bytes[..] == b"\r\n" {
                continue;
            }
            let message = read(&transmit.bytes);
            self.check_sent(&message, transmit.path);
            self.sent.push_back(Sent { at: self.now, path: transmit.path, message });
        }
        while let Some(event) = self.endpoint.poll_event() {
            self.check_event(&event);
            if let Event::Locate { uri, .. } = event {
                self.names.push(uri);
            } else {
                self.events.push_back(event);
            }
        }
    }

    /// Remembers what the peer says to our INVITEs.
    fn note(&mut self, bytes: &Bytes) {
        let Ok(message) = Message::parse(bytes.clone()) else { return };
        let (Some(status), Ok(via)) = (message.status(), message.via()) else { return };
        let branch = String::from_utf8_lossy(via.branch().unwrap_or_default()).into_owned();
        if message.is_cseq_method(Method::Invite)
            && let Some(invited) = self.invited.get_mut(&branch)
        {
            invited.has_provisional |= status < 200;
            invited.has_final |= status >= 200;
        }
    }

    fn check_sent(&mut self, message: &Message, path: Path) {
        if let Some(status) = message.status() {
            return self.check_response(message, status);
        }
        assert_eq!(message.items(Name::Via).count(), 1, "one Via: {message:?}");
        let hops = if message.is(Method::Cancel) { "70" } else { self.hops };
        assert_eq!(text(message, Name::MaxForwards), hops);
        if message.is(Method::Invite) {
            self.invited.entry(branch(message)).or_insert(Invited {
                request: message.clone(),
                path,
                has_provisional: false,
                has_final: false,
                cancel: None,
            });
        }
        if message.is(Method::Cancel) {
            let invited = self.invited.get_mut(&branch(message)).expect("C05: the branch of an INVITE");
            check_cancel(message, path, invited);
        }
    }

    /// I4, items 8 and 9: one final response per INVITE, nothing provisional after it, and one To tag.
    fn check_response(&mut self, message: &Message, status: u16) {
        let method = String::from_utf8_lossy(message.cseq().expect("a CSeq").method).into_owned();
        let via = text(message, Name::Via).to_owned();
        let answered = self.answered.entry((via, method)).or_default();
        let is_invite = message.is_cseq_method(Method::Invite);
        if let Some(earlier) = answered.status.filter(|earlier| is_invite && *earlier >= 200) {
            assert_eq!(earlier, status, "I4: one final response: {message:?}");
        }
        answered.status = Some(status);
        if let Some(tag) = to_tag(message).filter(|_| is_invite && status > 100) {
            assert_eq!(*answered.tag.get_or_insert(tag.clone()), tag, "item 8: one To tag: {message:?}");
        }
    }

    /// I4: one end, and nothing after it.
    fn check_event(&mut self, event: &Event) {
        if let Some(session) = session_of(event) {
            assert!(!self.over.contains(&session), "after the end: {event:?}");
            if matches!(event, Event::Ended { .. }) {
                self.over.insert(session);
            }
        }
    }

    /// All that was sent since the last question.
    pub(crate) fn sent(&mut self) -> Vec<Message> {
        self.sent.drain(..).map(|sent| sent.message).collect()
    }

    pub(crate) fn log(&mut self) -> Vec<Sent> {
        self.sent.drain(..).collect()
    }

    /// The same in words.
    pub(crate) fn words(&mut self) -> Vec<String> {
        self.sent().iter().map(word).collect()
    }

    /// The one message that was sent since the last question.
    #[track_caller]
    pub(crate) fn one(&mut self) -> Message {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        self.events.drain(..).collect()
    }

    #[track_caller]
    pub(crate) fn quiet(&mut self) {
        assert_eq!(self.words(), [""; 0]);
        assert_eq!(self.events(), []);
    }

    /// How the one session ended that did since the last question; `None` if none did.
    pub(crate) fn ended(&mut self) -> Option<(End, Party, Option<u16>)> {
        let mut ended = None;
        for event in self.events() {
            if let Event::Ended { end, by, status, .. } = event {
                assert_eq!(ended.replace((end, by, status)), None, "one end");
            }
        }
        ended
    }

    /// The session that an INVITE of the peer began since the last question.
    #[track_caller]
    pub(crate) fn invited(&mut self) -> SessionId {
        let mut events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        let Event::Invited { session, .. } = events.remove(0) else { panic!("not invited") };
        session
    }

    // Time.

    /// Lets `span` pass, stopping at every timeout.
    pub(crate) fn advance(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(next) = self.endpoint.poll_timeout().filter(|next| next.since_start() <= until) {
            self.now = self.now.max(next.since_start());
            self.tick();
        }
        self.now = until;
        self.tick();
    }

    fn tick(&mut self) {
        self.endpoint.handle_timeout(self.at());
        self.drain();
        let next = self.endpoint.poll_timeout();
        assert!(next.is_none_or(|next| next > self.at()), "the next timeout is later");
    }

    /// The same for an endpoint whose peer wrote what no message can be made of.
    pub(crate) fn finish_unread(mut self) {
        self.finished = true;
        while let Some(next) = self.endpoint.poll_timeout() {
            self.endpoint.handle_timeout(next);
            while self.endpoint.poll_transmit().is_some() || self.endpoint.poll_event().is_some() {}
        }
        assert!(self.endpoint.is_empty(), "I9: {}", self.endpoint.canonical(self.at(), &[]).as_str());
    }

    /// I9: with nobody answering any more, everything is gone within 256*T1 + 2*T4. Returns what was sent meanwhile.
    pub(crate) fn finish(mut self) -> Vec<Message> {
        self.finished = true;
        let latest = self.now + 4 * T1_64 + Duration::from_secs(10);
        while let Some(next) = self.endpoint.poll_timeout() {
            assert!(next.since_start() <= latest, "I9: {}", self.endpoint.canonical(self.at(), &[]).as_str());
            self.now = self.now.max(next.since_start());
            self.tick();
        }
        assert!(self.endpoint.is_empty(), "I9: {}", self.endpoint.canonical(self.at(), &[]).as_str());
        assert_eq!(self.endpoint.census(self.at()), sip::Census::default());
        self.sent()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        assert!(self.finished || std::thread::panicking(), "every test ends with finish()");
    }
}

/// I1, I2, T9, item 1, 14.2: the CANCEL is that of its INVITE, permitted, and one.
fn check_cancel(cancel: &Message, path: Path, invited: &mut Invited) {
    if let Some(first) = &invited.cancel {
        return assert_eq!(first, cancel.bytes(), "I2: one CANCEL, and copies of it");
    }
    assert!(invited.has_provisional && !invited.has_final, "I2: between 1xx and the final response");
    let invite = &invited.request;
    assert_eq!(uri(cancel), uri(invite));
    let connection = invited.path.connection.or(path.connection);
    assert_eq!(path, Path { connection, ..invited.path }, "C10, C13, C18: the way of the INVITE");
    for name in [Name::Via, Name::Route, Name::From, Name::To, Name::CallId] {
        let lines = |message: &Message| -> Vec<_> { message.values(name).map(<[u8]>::to_vec).collect() };
        assert_eq!(lines(cancel), lines(invite), "I1: {name}");
    }
    assert_eq!(text(cancel, Name::CSeq), text(invite, Name::CSeq).replace("INVITE", "CANCEL"));
    assert_eq!((text(cancel, Name::ContentLength), cancel.body()), ("0", &b""[..]));
    let allowed = [
        Name::Via,
        Name::MaxForwards,
        Name::Route,
        Name::From,
        Name::To,
        Name::CallId,
        Name::CSeq,
        Name::Reason,
        Name::UserAgent,
        Name::ContentLength,
    ];
    assert!(cancel.headers().all(|header| allowed.contains(&header.name)), "T9: {cancel:?}");
    invited.cancel = Some(cancel.bytes().clone());
}

fn session_of(event: &Event) -> Option<SessionId> {
    match event {
        Event::Progress { session, .. }
        | Event::Established { session, .. }
        | Event::Invited { session, .. }
        | Event::Acknowledged { session, .. }
        | Event::ProgressAcknowledged { session, .. }
        | Event::ModificationOffered { session, .. }
        | Event::Modified { session, .. }
        | Event::ModificationEnded { session, .. }
        | Event::Locate { session, .. }
        | Event::Ended { session, .. } => Some(*session),
        Event::Disconnect { .. }
        | Event::Answered { .. }
        | Event::Requested { .. }
        | Event::Notified { .. }
        | Event::SubscriptionEnded { .. }
        | Event::Subscribed { .. }
        | Event::Referred { .. }
        | Event::Resubscribed { .. }
        | Event::SubscriberEnded { .. } => None,
    }
}
