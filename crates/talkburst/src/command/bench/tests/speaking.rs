//! What a packet of speech and a talk burst cost the allocator, from the socket at which something comes to those to which it goes.

use std::net::UdpSocket;
use std::time::Duration;

use poc::talk_burst::Message;
use tokio::task::LocalSet;

use super::super::child::{Wanted, fill};
use super::super::control::{Control, Said, octets, source};
use super::super::legs::{DOMAIN, Place, Plan, join_all, open};
use crate::serve::Settings;
use crate::serve::fixture::Here;
use crate::store::fixture::Scratch;

const LISTENERS: usize = 100;

/// Packets that are sent while it is counted, and before: by then every buffer has its size.
const PACKETS: u16 = 200;

/// Talk bursts that begin and end while it is counted.
const BURSTS: usize = 20;

/// Packets of speech, one every 2 ms.
fn talk(socket: &UdpSocket, place: Place, first: u16) {
    for sequence in first..first + PACKETS {
        let mut packet = [0x55; 172];
        packet[..4].copy_from_slice(&[0x80, 0, (sequence >> 8) as u8, sequence as u8]);
        packet[8..12].copy_from_slice(&source(0).to_be_bytes());
        socket.send_to(&packet, place.speech).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// How many of them a listener has heard.
fn heard(socket: &UdpSocket) -> usize {
    std::iter::from_fn(|| socket.recv(&mut [0; 2048]).ok()).count()
}

/// A server whose worker is in this thread, and a session in which everybody has joined.
struct Stage {
    runtime: tokio::runtime::Runtime,
    local: LocalSet,
    terminals: Terminals,
    _scratch: Scratch,
}

/// Those who have joined: of use to another thread.
struct Terminals {
    control: Control,
    /// Where each hears speech.
    sockets: Vec<UdpSocket>,
    /// Where each is heard.
    places: Vec<Place>,
}

impl Stage {
    fn new() -> Self {
        let scratch = Scratch::new();
        let local = LocalSet::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sockets: Vec<_> = (0..=LISTENERS).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        sockets.iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
        let speech: Vec<_> = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
        let control = Control::open().unwrap();
        let plan = Plan { sessions: 1, members: LISTENERS + 1, speech: &speech, with: &[], program: None };
        let places = local.block_on(&runtime, async {
            let caller = open().unwrap();
            let any = "127.0.0.1:0".parse().unwrap();
            let wanted = Wanted {
                listen: any,
                domain: DOMAIN,
                pairs: LISTENERS,
                groups: 1,
                trusted: Some(caller.local),
                shards: 1,
                program: None,
                more: &[],
            };
            fill(scratch.path(), &wanted).await.unwrap();
            let mut settings = Settings::new(scratch.path().to_owned());
            settings.listeners = vec![crate::serve::Listening { bind: any, advertised: any }];
            settings.shards = 1;
            settings.trusted =
                vec![sipcore::Source { ip: caller.local.ip(), port: Some(caller.local.port()) }];
            let mut store = scratch.store().await;
            let (here, listen) = Here::open(&settings, DOMAIN, &mut store).await;
            tokio::task::spawn_local(here.run());
            join_all(&plan, &control, listen, caller).await.unwrap()
        });
        Self { runtime, local, terminals: Terminals { control, sockets, places }, _scratch: scratch }
    }

    /// The server goes on for so long.
    fn pass(&self, milliseconds: u64) {
        let span = Duration::from_millis(milliseconds);
        self.local.block_on(&self.runtime, async { tokio::time::sleep(span).await });
    }

    /// What this thread, and so the server, allocates while another one does that.
    fn allocations(&self, milliseconds: u64, act: impl FnOnce() + Send) -> u64 {
        std::thread::scope(|scope| {
            scope.spawn(act);
            allocation_counter::measure(|| self.pass(milliseconds)).count_total
        })
    }
}

impl Terminals {
    /// The first one says this.
    fn say(&self, message: Message) {
        self.control.send(0, self.places[0].control, &octets(0, message)).unwrap();
    }

    /// Everybody acknowledges what is to be acknowledged: else each is told again. What the last one was told.
    fn answer(&self) -> Vec<Said> {
        let mut told = Vec::new();
        for place in 0..self.control.sockets().count() {
            let note = |leg, said| told.extend((leg == LISTENERS).then_some(said));
            self.control.answer(place, |leg| self.places[leg].control, note).unwrap();
        }
        told
    }
}

const REQUEST: Message = Message::Request { priority: None, timestamp: None };

#[test]
fn a_packet_of_speech_allocates_nothing_between_two_sockets() {
    let stage = Stage::new();
    let terminals = &stage.terminals;
    let last = &terminals.sockets[LISTENERS];

    // 1. One may speak, and does for a while.
    terminals.say(REQUEST);
    stage.pass(100);
    terminals.answer();
    stage.allocations(700, || talk(&terminals.sockets[0], terminals.places[0], 0));
    assert!(heard(last) > 100, "it is heard");

    // 2. What it costs then.
    let count = stage.allocations(700, || talk(&terminals.sockets[0], terminals.places[0], PACKETS));
    let heard = heard(last);
    assert!(heard > 100, "{heard} packets were heard");
    assert_eq!(count, 0);
}

#[test]
fn a_talk_burst_allocates_nothing_however_many_are_told_of_it() {
    let stage = Stage::new();
    let terminals = &stage.terminals;
    let bursts = || {
        let mut told = Vec::new();
        for _ in 0..BURSTS {
            for message in [REQUEST, Message::Release { last: None }] {
                terminals.say(message);
                std::thread::sleep(Duration::from_millis(15));
                told.extend(terminals.answer());
            }
        }
        told
    };
    // Every buffer has its size then, and everybody has acknowledged that somebody speaks.
    stage.allocations(700, || drop(bursts()));
    let mut told = Vec::new();
    let count = stage.allocations(700, || told = bursts());
    let taken = told.iter().filter(|said| matches!(said, Said::Taken(false))).count();
    assert!(taken >= BURSTS / 2 && told.len() >= taken * 2 - 1, "{told:?}");
    assert_eq!(count, 0);
}
