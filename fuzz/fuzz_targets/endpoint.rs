//! Datagrams, streams, commands and time for an endpoint that is inviting somebody, takes MESSAGE and REFER, and has a
//! conference to subscribe to: each datagram gets a bounded answer, and once its user has given up everything nothing remains.
//!
//! The input is a list of steps with 0xff between them. The first octet of a step says what it is; anything below 0x80
//! begins a datagram. In what a peer sends, the octets 1 to 4 stand for what a peer knows of the last message that it
//! received: the branch, the From tag, the Call-ID and the To tag. `seeds/endpoint` has calls to begin with.
//!
//! A first octet from 0x90 to 0x9f is none of a step: its lower bits say what the endpoint is told once.
#![no_main]

use std::net::SocketAddr;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sip::message::{Body, Method};
use sip::transport::{ConnectionId, Listener, Path, Target, Transport};
use sip::{
    Command, Config, Contact, Credentials, Duration, Endpoint, Event, Input, Instant, Invite, Message,
    ReceivedId, Refer, Reliability, SessionId, Subscribe, SubscriberId, SubscriptionId, SubscriptionState,
};

/// Messages that one datagram may cause: a BYE is answered, and so is each REFER that waits in its session.
const ANSWER_MAX: usize = 4 + 16;

fuzz_target!(|octets: &[u8]| {
    let settings = octets.first().copied().filter(|first| first & 0xf0 == 0x90);
    let octets = &octets[usize::from(settings.is_some())..];
    let mut fuzz = Fuzz::new(settings.unwrap_or_default());
    for step in octets.split(|octet| *octet == 0xff) {
        fuzz.step(step);
    }
    fuzz.give_up();
});

struct Fuzz {
    endpoint: Endpoint,
    now: Instant,
    sessions: Vec<SessionId>,
    received: Vec<ReceivedId>,
    subscribers: Vec<SubscriberId>,
    /// Branch, From tag, Call-ID and To tag of the last message that left.
    known: [Vec<u8>; 4],
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn sdp() -> Option<Body> {
    let content_type = Bytes::from_static(b"application/sdp");
    Some(Body { content_type, bytes: Bytes::from_static(b"v=0\r\n") })
}

/// Our own subscription, in an hour or in none.
fn subscription(expires: Duration) -> Command {
    Command::Subscribe(Box::new(Subscribe {
        id: SubscriptionId(1),
        targets: vec![Target { transport: Transport::Udp, remote: address(5070) }],
        uri: Bytes::from_static(b"sip:room@poc.example"),
        from: Bytes::from_static(b"<sip:anna@poc.example>"),
        to: Bytes::from_static(b"<sip:room@poc.example>"),
        routes: Vec::new(),
        event: Bytes::from_static(b"conference"),
        expires,
        headers: Vec::new(),
        body: None,
        contact: None,
    }))
}

/// The same by a REFER, with its progress or without.
fn referral(wants_progress: bool) -> Command {
    Command::Refer(Box::new(Refer {
        id: SubscriptionId(1),
        within: None,
        targets: vec![Target { transport: Transport::Udp, remote: address(5070) }],
        uri: Bytes::from_static(b"sip:ben@poc.example"),
        from: Bytes::from_static(b"<sip:anna@poc.example>"),
        to: Bytes::from_static(b"<sip:ben@poc.example>"),
        routes: Vec::new(),
        refer_to: Bytes::from_static(b"<sip:cara@poc.example>"),
        headers: Vec::new(),
        body: None,
        contact: None,
        wants_progress,
    }))
}

fn terminated() -> SubscriptionState {
    SubscriptionState::Terminated { reason: Bytes::from_static(b"noresource"), retry_after: None }
}

impl Fuzz {
    fn new(settings: u8) -> Self {
        let listener = |transport| Listener { transport, bind: address(5060), advertised: address(5060) };
        let mut config = Config::new(vec![listener(Transport::Udp), listener(Transport::Tcp)], [7; 32]);
        if settings & 1 != 0 {
            let (username, secret) = (Bytes::from_static(b"anna"), Bytes::from_static(b"secret"));
            config.credentials = vec![Credentials { realm: None, username, secret }];
        }
        let mut targets = vec![Target { transport: Transport::Udp, remote: address(5070) }];
        if settings & 2 != 0 {
            targets.insert(0, Target { transport: Transport::Tcp, remote: address(5072) });
            targets.push(Target { transport: Transport::Udp, remote: address(5071) });
        }
        config.session_expires = (settings & 4 != 0).then_some(Duration::from_secs(90));
        if settings & 8 != 0 {
            config.reliability = Reliability::WhenSupported;
        }
        config.methods = vec![Method::Message, Method::Refer];
        config.events = vec![Bytes::from_static(b"conference")];
        let mut fuzz = Self {
            endpoint: Endpoint::new(config),
            now: Instant::START,
            sessions: Vec::new(),
            received: Vec::new(),
            subscribers: Vec::new(),
            known: Default::default(),
        };
        let invite = Invite {
            targets,
            uri: Bytes::from_static(b"sip:ben@poc.example"),
            from: Bytes::from_static(b"<sip:anna@poc.example>"),
            to: Bytes::from_static(b"<sip:ben@poc.example>"),
            routes: Vec::new(),
            headers: Vec::new(),
            body: sdp().filter(|_| settings != 0),
            expires: Some(Duration::from_secs(60)),
            expires_headers: Vec::new(),
            contact: None,
            hops: Some(0),
        };
        let command = Input::Command(Command::Invite(Box::new(invite)));
        let session = fuzz.endpoint.handle_input(fuzz.now, command).expect("well-formed");
        fuzz.sessions.extend(session);
        fuzz.drain();
        fuzz
    }

    fn step(&mut self, step: &[u8]) {
        let Some((first, rest)) = step.split_first() else { return };
        let path =
            Path { transport: Transport::Udp, local: address(5060), remote: address(5070), connection: None };
        let connection = ConnectionId::Accepted(1);
        let stream = Path { transport: Transport::Tcp, connection: Some(connection), ..path };
        let session = rest.first().map_or(0, |place| usize::from(*place) % self.sessions.len());
        let session = self.sessions[session];
        let headers = Vec::new;
        let place = rest.first().copied().map_or(0, usize::from);
        let subscriber = self.subscribers.get(place % self.subscribers.len().max(1)).copied();
        let request = self.received.get(place % self.received.len().max(1)).copied();
        let admit = |subscriber, seconds| Command::Admit {
            subscriber,
            expires: Duration::from_secs(seconds),
            headers: Vec::new(),
            contact: None,
        };
        let notify =
            |subscriber, state| Command::Notify { subscriber, state, headers: Vec::new(), body: sdp() };
        let of_subscriber = match (first, subscriber) {
            (0xa0, Some(subscriber)) => Some(admit(subscriber, 600)),
            (0xa1, Some(subscriber)) => Some(admit(subscriber, 0)),
            (0xa2, Some(subscriber)) => {
                Some(Command::Reject { subscriber, status: 403, headers: Vec::new() })
            }
            (0xa3, Some(subscriber)) => Some(notify(subscriber, SubscriptionState::Active)),
            (0xa4, Some(subscriber)) => Some(notify(subscriber, terminated())),
            _ => None,
        };
        let input = match first {
            0x80 => {
                Input::Command(Command::Progress { session, status: 180, headers: headers(), body: None })
            }
            0x81 => Input::Command(Command::Accept { session, headers: headers(), body: None }),
            0x82 => Input::Command(Command::Refuse { session, status: 480, headers: headers(), body: sdp() }),
            0x83 => Input::Command(Command::Leave { session, headers: headers() }),
            0x84 => Input::Command(Command::Cancel { session, headers: headers() }),
            0x85 => Input::Command(Command::Modify { session, headers: headers(), body: None }),
            0x86 => {
                self.now = self.endpoint.poll_timeout().unwrap_or(self.now);
                Input::Timeout
            }
            0x87 => Input::Stream { path: stream, bytes: self.as_sent(rest) },
            0x88 => Input::ConnectionLost { connection },
            0x89 => {
                Input::Command(Command::Progress { session, status: 183, headers: headers(), body: sdp() })
            }
            0x8a => Input::Command(Command::Accept { session, headers: headers(), body: sdp() }),
            0x8b => Input::Command(Command::Modify { session, headers: headers(), body: sdp() }),
            0x8c => Input::ConnectionRefused { connection: ConnectionId::Opened(1) },
            0x8d => Input::ConnectionLost { connection: ConnectionId::Opened(1) },
            0x8e => Input::Command(subscription(Duration::from_secs(3600))),
            0x8f => Input::Command(Command::Unsubscribe { subscription: SubscriptionId(1) }),
            0xa0..=0xa4 => match of_subscriber {
                Some(command) => Input::Command(command),
                None => return,
            },
            0xa5 => Input::Command(subscription(Duration::ZERO)),
            0xa6 => match request {
                Some(request) => {
                    Input::Command(Command::Respond { request, status: 200, headers: headers(), body: sdp() })
                }
                None => return,
            },
            0xa7 => {
                let (address, behind) = rest.split_at(rest.len() / 2);
                let contact = Contact {
                    address: self.as_sent(address),
                    uri_parameters: self.as_sent(behind),
                    parameters: self.as_sent(behind),
                };
                Input::Command(Command::Identify { session: self.sessions[0], contact })
            }
            0xa8 => Input::Command(referral(true)),
            0xa9 => Input::Command(referral(false)),
            0xaa => {
                let to = Bytes::from_static(b"<sip:cara@poc.example>");
                let id = SubscriptionId(2 + place as u64 / 64);
                Input::Command(Command::Refer(Box::new(Refer::within(id, session, to))))
            }
            0xab => Input::Command(Command::Unsubscribe { subscription: SubscriptionId(2) }),
            _ => Input::Datagram { path, bytes: self.as_sent(step) },
        };
        let is_datagram = matches!(input, Input::Datagram { .. });
        // A command may come at the wrong time: then it is refused and nothing has changed.
        let _misuse = self.endpoint.handle_input(self.now, input);
        let sent = self.drain();
        assert!(!is_datagram || sent <= ANSWER_MAX, "{sent} messages for one datagram");
    }

    /// What a peer sends, with what it knows filled in.
    fn as_sent(&self, octets: &[u8]) -> Bytes {
        let mut sent = Vec::with_capacity(octets.len());
        for octet in octets {
            match octet {
                1..=4 => sent.extend_from_slice(&self.known[usize::from(*octet) - 1]),
                _ => sent.push(*octet),
            }
        }
        Bytes::from(sent)
    }

    /// Takes what leaves and what is told. Returns how many messages left.
    fn drain(&mut self) -> usize {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Invited { session, .. } => self.sessions.push(session),
                Event::Requested { request, .. } => self.received.push(request),
                Event::Subscribed { subscriber, .. } | Event::Referred { subscriber, .. } => {
                    self.subscribers.push(subscriber)
                }
                _ => {}
            }
        }
        let mut sent = 0;
        while let Some(transmit) = self.endpoint.poll_transmit() {
            sent += 1;
            let Ok(message) = Message::parse(transmit.bytes) else { continue };
            // A refusal repeats the faults of what it refuses.
            let refuses = message.status().is_some_and(|status| status >= 400);
            assert!(refuses || message.validate().is_ok(), "{message:?}");
            let tag = |address: Option<&[u8]>| address.unwrap_or_default().to_vec();
            let branch = message.via().ok().and_then(|via| via.branch()).unwrap_or_default().to_vec();
            self.known = [
                branch,
                tag(message.from().ok().and_then(|from| from.tag())),
                message.call_id().to_vec(),
                tag(message.to().ok().and_then(|to| to.tag())),
            ];
        }
        sent
    }

    /// The user wants nothing any more: whatever stands is left, whatever is asked refused, whatever is tried cancelled.
    fn give_up(mut self) {
        let mut steps = 0;
        loop {
            let unsubscribe = Command::Unsubscribe { subscription: SubscriptionId(1) };
            let of_requests = self.received.iter().map(|&request| Command::Respond {
                request,
                status: 480,
                headers: Vec::new(),
                body: None,
            });
            let of_subscribers = self.subscribers.iter().flat_map(|&subscriber| {
                [
                    Command::Reject { subscriber, status: 480, headers: Vec::new() },
                    Command::Notify { subscriber, state: terminated(), headers: Vec::new(), body: None },
                ]
            });
            let commands: Vec<_> = of_requests.chain(of_subscribers).chain([unsubscribe]).collect();
            for command in commands {
                let _misuse = self.endpoint.handle_input(self.now, Input::Command(command));
                self.drain();
            }
            for session in self.sessions.clone() {
                let commands = [
                    Command::Cancel { session, headers: Vec::new() },
                    Command::Refuse { session, status: 480, headers: Vec::new(), body: None },
                    Command::Leave { session, headers: Vec::new() },
                ];
                for command in commands {
                    let _misuse = self.endpoint.handle_input(self.now, Input::Command(command));
                    self.drain();
                }
            }
            let Some(next) = self.endpoint.poll_timeout() else { break };
            assert!(next >= self.now, "time goes on");
            self.now = next;
            self.endpoint.handle_timeout(self.now);
            self.drain();
            steps += 1;
            assert!(steps < 100_000, "it never ends");
        }
        assert!(self.endpoint.is_empty());
    }
}
