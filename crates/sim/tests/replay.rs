//! A journal brings another client to the same octets, a clone goes the same way, and equal states look equal.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use poc::sdp::Capabilities;
use poc::{Addressee, AnswerRequest, Client, Command, Config, Event, PocSettings, Registration};
use sim::world::Act;
use sim::{Deed, Faults, Which, World};

use sip::transport::{Listener, Path, Target, Transmit, Transport};
use sip::{Duration, Endpoint, Instant, JOURNAL_VERSION, Owner, Record, SessionId};

const OWNERS: [Owner; 2] = [Owner { node: 1, shard: 0 }, Owner { node: 2, shard: 0 }];

fn address(place: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1 + place as u8], 5060))
}

fn sip_config(place: usize) -> sip::Config {
    let listener = Listener { transport: Transport::Udp, bind: address(place), advertised: address(place) };
    let mut config = sip::Config::new(vec![listener], [1 + place as u8; 32]);
    config.owner = OWNERS[place];
    config
}

fn client(place: usize) -> Client {
    let capabilities = Capabilities::amr(address(place).ip(), 45_200, 25_463);
    Client::new(Config::new(sip_config(place), Bytes::from_static(b"<sip:user@poc.example>"), capabilities))
}

fn target() -> Target {
    Target { transport: Transport::Udp, remote: address(1) }
}

/// What a journal is kept of: both machines have the same face.
trait Machine {
    type Input: Clone;
    fn input(&mut self, now: Instant, input: Self::Input) -> Option<SessionId>;
    fn transmit(&mut self) -> Option<Transmit>;
    fn timeout(&self) -> Option<Instant>;
    fn arrival(path: Path, bytes: Bytes) -> Self::Input;
    const DUE: Self::Input;
}

impl Machine for Client {
    type Input = poc::Input;
    fn input(&mut self, now: Instant, input: poc::Input) -> Option<SessionId> {
        self.handle_input(now, input).expect("no misuse")
    }
    fn transmit(&mut self) -> Option<Transmit> {
        self.poll_transmit()
    }
    fn timeout(&self) -> Option<Instant> {
        self.poll_timeout()
    }
    fn arrival(path: Path, bytes: Bytes) -> poc::Input {
        poc::Input::Datagram { path, bytes }
    }
    const DUE: poc::Input = poc::Input::Timeout;
}

impl Machine for Endpoint {
    type Input = sip::Input;
    fn input(&mut self, now: Instant, input: sip::Input) -> Option<SessionId> {
        self.handle_input(now, input).expect("no misuse")
    }
    fn transmit(&mut self) -> Option<Transmit> {
        self.poll_transmit()
    }
    fn timeout(&self) -> Option<Instant> {
        self.poll_timeout()
    }
    fn arrival(path: Path, bytes: Bytes) -> sip::Input {
        sip::Input::Datagram { path, bytes }
    }
    const DUE: sip::Input = sip::Input::Timeout;
}

/// Two machines, and everything that went into them and came out of them.
struct Recorded<M: Machine> {
    machines: [M; 2],
    journals: [Vec<(Instant, M::Input)>; 2],
    sent: [Vec<Bytes>; 2],
    flying: BTreeMap<(Instant, usize), (usize, Bytes)>,
    lost: Vec<usize>,
    now: Instant,
}

impl<M: Machine> Recorded<M> {
    fn new(machines: [M; 2], lost: &[usize]) -> Self {
        let (journals, sent) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        Self { machines, journals, sent, flying: BTreeMap::new(), lost: lost.to_vec(), now: Instant::START }
    }

    fn input(&mut self, now: Instant, place: usize, input: M::Input) -> Option<SessionId> {
        self.now = now;
        self.journals[place].push((now, input.clone()));
        let session = self.machines[place].input(now, input);
        while let Some(transmit) = self.machines[place].transmit() {
            let number = self.sent[0].len() + self.sent[1].len() + 1;
            self.sent[place].push(transmit.bytes.clone());
            if !self.lost.contains(&number) {
                self.flying.insert((now + Duration::from_millis(5), number), (1 - place, transmit.bytes));
            }
        }
        session
    }

    /// Runs until nothing happens before `end`.
    fn run_until(&mut self, end: Instant) {
        loop {
            let arrival = self.flying.first_key_value().map(|((at, _), _)| *at);
            let due = |place: usize| self.machines[place].timeout();
            let next = arrival.into_iter().chain(due(0)).chain(due(1)).min();
            let Some(next) = next.filter(|next| *next <= end) else { return };
            self.now = self.now.max(next);
            let now = self.now;
            if let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= now) {
                let (place, bytes) = entry.remove();
                let path = Path {
                    transport: Transport::Udp,
                    local: address(place),
                    remote: address(1 - place),
                    connection: None,
                };
                self.input(now, place, M::arrival(path, bytes));
            } else {
                let place = usize::from(due(0).is_none_or(|at| at > now));
                self.input(now, place, M::DUE);
            }
        }
    }
}

fn replayed<M: Machine>(mut fresh: M, journal: impl IntoIterator<Item = (Instant, M::Input)>) -> Vec<Bytes> {
    let mut sent = Vec::new();
    for (at, input) in journal {
        fresh.input(at, input);
        sent.extend(std::iter::from_fn(|| fresh.transmit()).map(|transmit| transmit.bytes));
    }
    sent
}

fn at(seconds: u64) -> Instant {
    Instant::at(Duration::from_secs(seconds))
}

/// Anna invites Ben, who rings; she gives up; messages are lost on the way. Anna calls again and Ben accepts.
fn clients() -> Recorded<Client> {
    let mut story = Recorded::new([client(0), client(1)], &[1, 3, 5, 6, 9, 14]);
    let start = |invited: &'static str| {
        poc::Input::Command(Command::StartSession {
            targets: vec![target()],
            routes: Vec::new(),
            to: Addressee::User(Bytes::from(invited)),
            answer: AnswerRequest::Usual,
        })
    };
    let first = story.input(at(1), 0, start("sip:ben@poc.example")).expect("begun");
    story.run_until(at(6));
    story.input(at(6), 0, poc::Input::Command(Command::Cancel(first)));
    story.run_until(at(50));
    let second = story.input(at(50), 0, start("sip:ben@poc.example")).expect("begun");
    story.run_until(at(52));
    let rings = std::iter::from_fn(|| story.machines[1].poll_event())
        .filter_map(|event| {
            let Event::Invited { session, .. } = event else { return None };
            Some(session)
        })
        .last()
        .expect("it rings again");
    story.input(at(52), 1, poc::Input::Command(Command::Accept(rings)));
    story.run_until(at(60));
    story.input(at(60), 0, poc::Input::Command(Command::Leave(second)));
    story.run_until(at(500));
    story
}

#[test]
fn a_journal_brings_a_fresh_client_to_the_same_octets() {
    let story = clients();
    for place in [0, 1] {
        assert!(story.sent[place].len() > 5);
        assert_eq!(replayed(client(place), story.journals[place].clone()), story.sent[place]);
        assert!(story.machines[place].is_empty());
    }
}

#[test]
fn a_journal_survives_being_written_as_lines_of_json() {
    let story = clients();
    for place in [0, 1] {
        let lines: Vec<String> =
            story.journals[place].iter().map(|line| serde_json::to_string(line).expect("written")).collect();
        let read: Vec<(Instant, poc::Input)> =
            lines.iter().map(|line| serde_json::from_str(line).expect("read")).collect();
        assert_eq!(read, story.journals[place]);
        assert_eq!(replayed(client(place), read), story.sent[place]);
    }
}

/// A client that registers: once it is refused, and then nobody answers any more.
fn registering(seed: u8, end: Instant) -> (Client, Recorded<Client>) {
    let client = || {
        let mut config = sip_config(0);
        config.seed = [seed; 32];
        let capabilities = Capabilities::amr(address(0).ip(), 45_200, 25_463);
        let mut config = Config::new(config, Bytes::from_static(b"<sip:user@poc.example>"), capabilities);
        config.registration = Some(Registration::new(vec![target()], "poc.example"));
        Client::new(config)
    };
    let everything_but_the_first: &[usize] =
        &[3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20];
    // The other client answers 405: it is no registrar.
    let mut story = Recorded::new([client(), self::client(1)], everything_but_the_first);
    let command = |command| poc::Input::Command(command);
    story.input(at(1), 0, command(Command::Register));
    story.run_until(at(20));
    story.input(at(20), 0, command(Command::SetSettings(PocSettings::default())));
    story.input(at(20), 0, command(Command::Register));
    story.input(at(21), 0, command(Command::NetworkChanged));
    story.run_until(end);
    (client(), story)
}

#[test]
fn a_journal_of_a_registration_brings_a_fresh_client_to_the_same_octets() {
    let (fresh, story) = registering(1, at(200));
    assert!(story.sent[0].len() > 10);
    let lines = story.journals[0].iter().map(|line| serde_json::to_string(line).expect("written"));
    let read = lines.map(|line| serde_json::from_str::<(Instant, poc::Input)>(&line).expect("read"));
    assert_eq!(replayed(fresh, read), story.sent[0]);
}

/// A wait that is drawn is another state for each seed; until then there is none.
#[test]
fn a_registration_with_another_seed_comes_to_the_same_state() {
    let states = [1, 2].map(|seed| {
        let (_, story) = registering(seed, at(40));
        story.machines[0].canonical(story.now, &OWNERS)
    });
    assert!(states[0].as_str().contains("Registering"), "{:?}", states[0]);
    assert_eq!(states[0], states[1]);
}

#[test]
fn a_client_of_another_seed_sends_other_octets() {
    let story = clients();
    let mut config = sip_config(0);
    config.seed = [9; 32];
    let capabilities = Capabilities::amr(address(0).ip(), 45_200, 25_463);
    let mut other =
        Client::new(Config::new(config, Bytes::from_static(b"<sip:user@poc.example>"), capabilities));
    let (now, input) = story.journals[0][0].clone();
    other.input(now, input);
    assert_ne!(other.poll_transmit().map(|transmit| transmit.bytes), Some(story.sent[0][0].clone()));
}

/// The same story told by endpoints alone, as records.
fn endpoints() -> (Vec<Record>, Vec<Bytes>) {
    let machines = [0, 1].map(|place| Endpoint::new(sip_config(place)));
    let mut story = Recorded::new(machines, &[1, 4, 6, 7]);
    let invite = sip::Invite {
        targets: vec![target()],
        uri: Bytes::from_static(b"sip:ben@poc.example"),
        from: Bytes::from_static(b"<sip:anna@poc.example>"),
        to: Bytes::from_static(b"<sip:ben@poc.example>"),
        routes: Vec::new(),
        headers: Vec::new(),
        body: None,
        expires: None,
        expires_headers: Vec::new(),
        contact: None,
        hops: None,
    };
    let command = |command| sip::Input::Command(command);
    let session = story.input(at(1), 0, command(sip::Command::Invite(Box::new(invite)))).expect("begun");
    story.run_until(at(4));
    story.input(at(4), 0, command(sip::Command::Cancel { session, headers: Vec::new() }));
    story.run_until(at(300));
    let start = Record::Start { version: JOURNAL_VERSION, config: Box::new(sip_config(0)) };
    let [journal, _] = story.journals;
    let inputs = journal.into_iter().map(|(at, input)| Record::Input { at, input });
    let [sent, _] = story.sent;
    (std::iter::once(start).chain(inputs).collect(), sent)
}

#[test]
fn records_bring_a_fresh_endpoint_to_the_same_octets_and_survive_json() {
    let (records, sent) = endpoints();
    assert!(sent.iter().any(|bytes| bytes.starts_with(b"CANCEL")));
    let lines: Vec<_> = records.iter().map(|line| serde_json::to_string(line).expect("written")).collect();
    let read: Vec<Record> = lines.iter().map(|line| serde_json::from_str(line).expect("read")).collect();
    assert_eq!(read, records);
    let mut read = read.into_iter();
    let Some(Record::Start { version: JOURNAL_VERSION, config }) = read.next() else { panic!("{records:?}") };
    let inputs = read.map(|record| match record {
        Record::Input { at, input } => (at, input),
        Record::Start { .. } => panic!("one start"),
    });
    assert_eq!(replayed(Endpoint::new(*config), inputs), sent);
}

/// Anna has invited Ben and hears that it rings; `lost` of what was sent is lost. Her session.
fn ringing(seed: u64, begin: Duration, lost: &[u64]) -> (World, SessionId) {
    let mut world = World::new(seed, 2, Faults::NONE, |_, _| {});
    for number in lost {
        world.network.on(Which::Number(*number), Deed::Lose);
    }
    world.now = Instant::at(begin);
    let session = world.act(0, Act::Start { invited: 1 }).expect("a free client");
    world.run_until(Instant::at(begin + Duration::from_secs(3)));
    (world, session)
}

fn canonical(world: &World) -> [sip::Canonical; 2] {
    [0, 1].map(|place| world.nodes[place].client.canonical(world.now, &OWNERS))
}

#[test]
fn the_same_story_with_another_seed_at_another_time_comes_to_the_same_state() {
    let begins = [0, 1, 12_345, 86_400_000].map(Duration::from_millis);
    for lost in [&[][..], &[1], &[2], &[1, 3]] {
        let first = canonical(&ringing(1, begins[0], lost).0);
        for (seed, begin) in begins.iter().enumerate() {
            assert_eq!(canonical(&ringing(100 + seed as u64, *begin, lost).0), first, "{begin:?} {lost:?}");
        }
    }
}

#[test]
fn a_state_that_differs_looks_different() {
    let (mut world, session) = ringing(1, Duration::ZERO, &[]);
    let rings = canonical(&world);
    world.act(0, Act::HangUp(session));
    let cancelling = canonical(&world);
    assert_ne!(rings[0], cancelling[0], "Anna has given up");
    assert_eq!(rings[1], cancelling[1], "Ben does not know yet");
    world.run_until(world.now + Duration::from_millis(10));
    let cancelled = canonical(&world);
    assert!(cancelled.iter().zip(&rings).all(|(one, other)| one != other));
    assert!(cancelled.iter().zip(&cancelling).all(|(one, other)| one != other));
    // Another moment is another state, as long as a timer runs: the view is of the last moment that was handed in.
    world.now = world.now + Duration::from_secs(1);
    world.nodes[0].client.handle_timeout(world.now);
    assert_ne!(canonical(&world)[0], cancelled[0]);
}

#[test]
fn a_clone_goes_the_same_way_to_the_end() {
    for lost in [&[][..], &[1], &[3], &[4, 6], &[5, 7]] {
        let (mut world, session) = ringing(1, Duration::ZERO, lost);
        let mut clone = world.clone();
        for each in [&mut world, &mut clone] {
            each.act(0, Act::HangUp(session));
            each.run_until(each.now + Duration::from_secs(300));
            each.monitor.finish();
        }
        assert_eq!(world.trace.render(), clone.trace.render());
        assert_eq!(world.events, clone.events);
        assert!(world.is_empty() && clone.is_empty());
    }
}
