//! Shards without sockets, and PoC Clients around them.

mod groups;
mod releasing;

use std::collections::BTreeMap;
use std::path::PathBuf;

use poc::client::Registration;
use poc::{AnswerMode, Client, Command, Event};
use sip::transport::Path;
use sip::usage::End;
use sip::{Credentials, Duration, Instant, Message, SessionId};

use super::shard::{Element, Hop, Input, Outgoing};
use super::*;
use crate::store::account::{Account, Ha1, Rules};

const DOMAIN: &str = "poc.internal";
const NAMES: [&str; 4] = ["anna", "ben", "carl", "dora"];

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

const PORT: u16 = 5060;

fn account(name: &str) -> Account {
    let ha1 = Ha1::of(name, DOMAIN, name.as_bytes());
    Account { name: name.to_owned(), ha1, display_name: None, rules: Rules::default() }
}

/// All shards of a server, and clients. Everything arrives at once and in order.
struct Stage {
    now: Instant,
    shards: Vec<Shard>,
    clients: BTreeMap<SocketAddr, Client>,
    /// What each client was told.
    told: Vec<(SocketAddr, Event)>,
    /// What the server has told.
    closed: Vec<poc::server::Record>,
    /// What each shard that is to end has said last: whether it waits for nothing any more.
    settled: BTreeMap<usize, bool>,
    /// Hops between shards.
    hops: usize,
}

/// Nobody listens there.
const MEDIA: [poc::server::Ports; 1] = [poc::server::Ports { speech: 40_000, control: 40_001 }];

impl Stage {
    fn new(count: u8) -> Self {
        let mut settings = Settings { shards: count, ..Settings::new(PathBuf::new()) };
        // Nobody carries media here.
        settings.sessions.connects = false;
        let plan = Plan {
            settings: &settings,
            domain: DOMAIN,
            listeners: &settings.listeners,
            secret: [7; 16],
            begun: Duration::ZERO,
        };
        let shards = (0..count).map(|number| Shard::of_config(plan.shard(number, &MEDIA).unwrap())).collect();
        let (clients, told, closed) = (BTreeMap::new(), Vec::new(), Vec::new());
        let settled = BTreeMap::new();
        let mut stage = Self { now: Instant::START, shards, clients, told, closed, settled, hops: 0 };
        for name in NAMES {
            stage.all(&clerk::put(&account(name), DOMAIN));
        }
        stage
    }

    /// Something that all shards are told.
    fn all(&mut self, input: &Input) {
        for shard in &mut self.shards {
            shard.handle_input(self.now, input.clone());
        }
        self.settle();
    }

    /// A client of `name` that is registered and has published its settings.
    fn client(&mut self, name: &str, port: u16, mode: AnswerMode) -> SocketAddr {
        self.client_with(name, port, mode, |_| {})
    }

    /// The same, with something else in its configuration.
    fn client_with(
        &mut self,
        name: &str,
        port: u16,
        mode: AnswerMode,
        change: impl FnOnce(&mut poc::Config),
    ) -> SocketAddr {
        let at = address(port);
        let listener = Listener { transport: Transport::Udp, bind: at, advertised: at };
        let mut sip = sip::Config::new(vec![listener], [port as u8; 32]);
        let (username, secret) = (Bytes::from(name.to_owned()), Bytes::from(name.to_owned()));
        sip.credentials = vec![Credentials { realm: None, username, secret }];
        let media = Capabilities::amr(at.ip(), 40_000, 40_002);
        let mut config = poc::Config::new(sip, Bytes::from(format!("<sip:{name}@{DOMAIN}>")), media);
        config.settings.answer_mode = mode;
        config.settings.simultaneous_sessions = true;
        let core = Target { transport: Transport::Udp, remote: address(PORT) };
        config.registration = Some(Registration::new(vec![core], DOMAIN));
        change(&mut config);
        self.clients.insert(at, Client::new(config));
        self.command(at, Command::Register);
        self.until(|_, event| matches!(event, Event::SettingsPublished));
        at
    }

    fn command(&mut self, at: SocketAddr, command: Command) -> Option<SessionId> {
        let client = self.clients.get_mut(&at).unwrap();
        let done = client.handle_input(self.now, poc::Input::Command(command)).unwrap();
        self.settle();
        done
    }

    fn invite(&mut self, at: SocketAddr, name: &str) -> SessionId {
        self.start(at, poc::Addressee::User(Bytes::from(format!("sip:{name}@{DOMAIN}"))))
    }

    fn start(&mut self, at: SocketAddr, to: poc::Addressee) -> SessionId {
        let command = Command::StartSession {
            targets: Vec::new(),
            routes: Vec::new(),
            to,
            answer: poc::client::AnswerRequest::Usual,
        };
        self.command(at, command).unwrap()
    }

    /// Lets everybody talk until there is silence.
    fn settle(&mut self) {
        loop {
            let mut is_silent = true;
            for (at, client) in &mut self.clients {
                while let Some(transmit) = client.poll_transmit() {
                    is_silent = false;
                    // Whichever socket the kernel chooses.
                    let heard = usize::from(at.port()) % self.shards.len();
                    let path = Path { local: transmit.path.remote, remote: *at, ..transmit.path };
                    let message = Input::Message { path, bytes: transmit.bytes };
                    self.shards[heard].handle_input(self.now, message);
                }
                // Nobody speaks here.
                while client.poll_media().is_some() {}
                while let Some(event) = client.poll_event() {
                    self.told.push((*at, event));
                }
            }
            for number in 0..self.shards.len() {
                while let Some(outgoing) = self.shards[number].poll_transmit() {
                    is_silent = false;
                    self.carry(outgoing);
                }
                while self.shards[number].poll_media().is_some() {}
                while let Some(event) = self.shards[number].poll_event() {
                    match event {
                        shard::Event::BindingsChanged { .. } => {}
                        shard::Event::Closed(record) => self.closed.push(*record),
                        shard::Event::Settled(is_settled) => {
                            self.settled.insert(number, is_settled);
                        }
                    }
                }
            }
            if is_silent {
                return;
            }
        }
    }

    fn carry(&mut self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Network(transmit) => {
                let (local, remote) = (transmit.path.remote, transmit.path.local);
                let path = Path { local, remote, ..transmit.path };
                if let Some(client) = self.clients.get_mut(&local) {
                    let input = poc::Input::Datagram { path, bytes: transmit.bytes };
                    client.handle_input(self.now, input).unwrap();
                }
            }
            Outgoing::Shard { to, hop } => {
                self.hops += 1;
                self.shards[usize::from(to)].handle_input(self.now, Input::Hop(hop));
            }
        }
    }

    /// Lets time pass to the next deadline.
    fn step(&mut self) -> bool {
        let shards = self.shards.iter().filter_map(Shard::poll_timeout);
        let clients = self.clients.values().filter_map(Client::poll_timeout);
        let Some(at) = shards.chain(clients).min() else { return false };
        self.now = self.now.max(at);
        self.shards.iter_mut().for_each(|shard| shard.handle_input(self.now, Input::Timeout));
        self.clients.values_mut().for_each(|client| client.handle_timeout(self.now));
        self.settle();
        true
    }

    /// Lets time pass until somebody has been told this, and takes it.
    fn until(&mut self, wanted: impl Fn(SocketAddr, &Event) -> bool) -> (SocketAddr, Event) {
        loop {
            if let Some(place) = self.told.iter().position(|(at, event)| wanted(*at, event)) {
                return self.told.remove(place);
            }
            assert!(self.now < Instant::START + Duration::from_secs(600) && self.step(), "{:?}", self.told);
        }
    }

    fn until_invited(&mut self) -> SocketAddr {
        self.until(|_, event| matches!(event, Event::Invited { .. })).0
    }

    fn until_ended(&mut self, at: SocketAddr) -> End {
        let ended = self.until(|told, event| told == at && matches!(event, Event::Ended { .. })).1;
        let Event::Ended { outcome, .. } = ended else { unreachable!("it is what was waited for") };
        outcome.end
    }

    /// Nothing is left of any session once everybody has forgotten.
    fn assert_forgotten(&mut self) {
        let until = self.now + Duration::from_secs(200);
        while self.now < until && !self.shards.iter().all(Shard::is_empty) {
            assert!(self.step());
        }
        assert!(self.shards.iter().all(Shard::is_empty));
    }
}

#[test]
fn everybody_reaches_everybody_however_many_shards_there_are() {
    for count in [1, 2, 5] {
        let mut stage = Stage::new(count);
        let clients: Vec<_> =
            (7001..).zip(NAMES).map(|(port, name)| stage.client(name, port, AnswerMode::Automatic)).collect();
        for (caller, at) in clients.iter().enumerate() {
            for (called, name) in NAMES.iter().enumerate().filter(|(called, _)| *called != caller) {
                let session = stage.invite(*at, name);
                stage.until(
                    |_, event| matches!(event, Event::Established { session: each, .. } if *each == session),
                );
                stage.command(*at, Command::Leave(session));
                assert_eq!(stage.until_ended(*at), End::Left, "{count} shards: {caller} calls {called}");
                stage.told.clear();
            }
        }
        stage.assert_forgotten();
        // One of each function.
        assert_eq!(stage.closed.len(), 2 * 12, "{count}");
        assert_eq!(stage.hops > 0, count > 1);
    }
}

#[test]
fn a_cancel_finds_its_invite_on_every_shard() {
    for count in [1, 2, 5] {
        let mut stage = Stage::new(count);
        let clients: Vec<_> =
            (7001..).zip(NAMES).map(|(port, name)| stage.client(name, port, AnswerMode::Manual)).collect();
        for caller in 0..NAMES.len() {
            let called = (caller + 1) % NAMES.len();
            let session = stage.invite(clients[caller], NAMES[called]);
            assert_eq!(stage.until_invited(), clients[called]);
            stage.command(clients[caller], Command::Cancel(session));
            assert_eq!(stage.until_ended(clients[caller]), End::Cancelled, "{count} shards, {caller}");
            stage.told.clear();
        }
        stage.assert_forgotten();
        assert!(stage.closed.iter().all(|record| record.end == End::Cancelled), "{:?}", stage.closed);
    }
}

#[test]
fn who_is_removed_rings_no_more_and_cannot_come_back() {
    let mut stage = Stage::new(3);
    let anna = stage.client("anna", 7001, AnswerMode::Manual);
    let ben = stage.client("ben", 7002, AnswerMode::Manual);
    stage.invite(anna, "ben");
    assert_eq!(stage.until_invited(), ben);
    stage.all(&Input::Remove { name: "ben".into(), address: "sip:ben@poc.internal".into() });
    assert_eq!(stage.until_ended(ben), End::Cancelled);
    assert_eq!(stage.until_ended(anna), End::Rejected);
    stage.assert_forgotten();
    stage.command(ben, Command::NetworkChanged);
    stage.until(|_, event| matches!(event, Event::RegistrationFailed { status: Some(401 | 403), .. }));
}

#[test]
fn a_removal_ends_a_session() {
    let mut stage = Stage::new(2);
    let anna = stage.client("anna", 7001, AnswerMode::Manual);
    let ben = stage.client("ben", 7002, AnswerMode::Automatic);
    stage.invite(anna, "ben");
    stage.until(|_, event| matches!(event, Event::Established { .. }));
    stage.all(&Input::Remove { name: "anna".into(), address: "sip:anna@poc.internal".into() });
    assert_eq!(stage.until_ended(ben), End::Released);
    stage.assert_forgotten();
}

#[test]
fn a_message_for_another_shard_is_handed_over_as_it_is() {
    let mut stage = Stage::new(2);
    let text = |name: &str| {
        Bytes::from(format!(
            "REGISTER sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:7001;branch=z9hG4bK{name}\r\n\
             From: <sip:{name}@{DOMAIN}>;tag=1\r\nTo: <sip:{name}@{DOMAIN}>\r\nCall-ID: {name}\r\nCSeq: 1 REGISTER\r\n\
             Max-Forwards: 70\r\nContact: <sip:{name}@127.0.0.1:7001>\r\nContent-Length: 0\r\n\r\n"
        ))
    };
    let path =
        Path { transport: Transport::Udp, local: address(PORT), remote: address(7001), connection: None };
    let mut handed = 0;
    for name in NAMES {
        let bytes = text(name);
        stage.shards[0].handle_input(stage.now, Input::Message { path, bytes: bytes.clone() });
        while let Some(outgoing) = stage.shards[0].poll_transmit() {
            if let Outgoing::Shard { to, hop: Hop { to: element, path: same, bytes: octets, .. } } = outgoing
            {
                assert_eq!((to, element, same), (1, Element::Core, path));
                assert_eq!(octets.as_ptr(), bytes.as_ptr(), "shared, not copied");
                handed += 1;
            }
        }
    }
    assert!((1..NAMES.len()).contains(&handed), "some are ours, some are not: {handed}");
}

#[test]
fn what_names_a_shard_that_is_not_there_is_dropped_here() {
    let mut stage = Stage::new(2);
    let path =
        Path { transport: Transport::Udp, local: address(PORT), remote: address(7001), connection: None };
    for shard in ["02", "7f", "80", "ff"] {
        let text = format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK0000{shard}000000000000000000\r\n\
             From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        );
        for number in 0..2 {
            let message = Input::Message { path, bytes: Bytes::from(text.clone()) };
            stage.shards[number].handle_input(stage.now, message);
            assert_eq!(stage.shards[number].poll_transmit(), None, "{shard}");
        }
    }
}

/// A request as the core hands it to the PoC Server, with the user of its Route.
fn handed(method: &str, route: &str, uri: &str, from: &str, to_tag: &str) -> Message {
    let text = format!(
        "{method} sip:{uri}@{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:5060;branch=z9hG4bK1\r\n\
         Route: <sip:{route}@127.0.0.1:1;lr>\r\nFrom: <sip:{from}@{DOMAIN}>;tag=1\r\nTo: <sip:{uri}@{DOMAIN}>{to_tag}\r\n\
         Call-ID: 1\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    );
    Message::parse(text.into()).unwrap()
}

/// Settings and slots are on one shard.
#[test]
fn a_user_is_served_by_one_shard_however_the_address_is_spelled() {
    let stage = Stage::new(4);
    let shard_of = |route: &str, served: &str| {
        let (uri, from) = if route == "term" { (served, "x") } else { ("x", served) };
        stage.shards[0].server_of(Some(&handed("INVITE", route, uri, from, "")))
    };
    for name in NAMES {
        let escaped = format!("%{:02x}{}", name.as_bytes()[0], &name[1..]);
        for spelled in [name.to_owned(), escaped, format!("{name}:secret")] {
            for route in ["orig", "term"] {
                assert_eq!(shard_of(route, &spelled), shard_of("term", name), "{route} {spelled}");
            }
        }
    }
}

/// All that joins a group comes together; what the factory makes is with whoever calls it.
#[test]
fn a_group_is_hosted_by_one_shard_and_the_factory_by_that_of_the_inviter() {
    let stage = Stage::new(4);
    let shard_of = |route: &str, uri: &str, from: &str| {
        stage.shards[0].server_of(Some(&handed("INVITE", route, uri, from, "")))
    };
    let of_users = NAMES.map(|name| shard_of("term", name, "x"));
    assert!(of_users.iter().any(|shard| *shard != of_users[0]), "{of_users:?}");
    for (name, of_user) in NAMES.into_iter().zip(of_users) {
        assert_eq!(shard_of("term", "patrol", name), shard_of("term", "patrol", "x"));
        for route in ["orig", "term"] {
            assert_eq!(shard_of(route, FACTORY, name), of_user, "{route} {name}");
        }
    }
}

/// The session of a rejoin is where it is; the user who rejoins is served elsewhere.
#[test]
fn a_session_is_found_by_its_identity_and_a_rejoin_passes_the_shard_of_its_user() {
    let stage = Stage::new(4);
    for shard in 0..4 {
        let mut identifiers = sip::Identifiers::new(Owner { node: 0, shard: SERVER + shard }, [1; 32]);
        let (session, tag) = (identifiers.draw().to_string(), format!(";tag={}", identifiers.draw()));
        for name in NAMES {
            let server_of = |method: &str, route: &str, uri: &str, tag: &str| {
                stage.shards[0].server_of(Some(&handed(method, route, uri, name, tag)))
            };
            for method in ["INVITE", "CANCEL", "ACK", "SUBSCRIBE", "REFER"] {
                assert_eq!(server_of(method, "term", &session, ""), shard, "{method}");
            }
            let of_user = server_of("INVITE", "orig", "x", "");
            for (method, tag) in [("INVITE", ""), ("CANCEL", ""), ("ACK", &*tag)] {
                assert_eq!(server_of(method, "orig", &session, tag), of_user, "{method}");
            }
            // Within a dialog there is no such Route.
            assert_eq!(server_of("BYE", "", &session, ";tag=2"), shard);
            assert_eq!(server_of("BYE", "", "x", &tag), shard);
        }
    }
}
