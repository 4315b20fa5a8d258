//! What a packet of speech costs the allocator, from the socket at which it comes to those to which it goes.

use std::net::UdpSocket;
use std::time::Duration;

use poc::talk_burst::Message;
use tokio::task::LocalSet;

use super::super::child::{Wanted, fill};
use super::super::control::{Control, octets, source};
use super::super::legs::{DOMAIN, Place, Plan, join_all, open};
use crate::serve::Settings;
use crate::serve::fixture::Here;
use crate::store::fixture::Scratch;

const LISTENERS: usize = 100;

/// Packets that are sent while it is counted, and before: by then every buffer has its size.
const PACKETS: u16 = 200;

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

async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

/// How many of them a listener has heard.
fn heard(socket: &UdpSocket) -> usize {
    std::iter::from_fn(|| socket.recv(&mut [0; 2048]).ok()).count()
}

#[test]
fn a_packet_of_speech_allocates_nothing_between_two_sockets() {
    let scratch = Scratch::new();
    let local = LocalSet::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let sockets: Vec<_> = (0..=LISTENERS).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    sockets.iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
    let speech: Vec<_> = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();

    // 1. A server whose worker is in this thread, and everybody has joined.
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
        settings.trusted = vec![sipcore::Source { ip: caller.local.ip(), port: Some(caller.local.port()) }];
        let mut store = scratch.store().await;
        let (here, listen) = Here::open(&settings, DOMAIN, &mut store).await;
        tokio::task::spawn_local(here.run());
        join_all(&plan, &control, listen, caller).await.unwrap()
    });

    // 2. One may speak, and does for a while.
    let request = octets(0, Message::Request { priority: None, timestamp: None });
    control.send(0, places[0].control, &request).unwrap();
    let allocations = |first: u16| {
        std::thread::scope(|scope| {
            scope.spawn(|| talk(&sockets[0], places[0], first));
            // What other threads allocate is not counted.
            allocation_counter::measure(|| local.block_on(&runtime, pause(700))).count_total
        })
    };
    local.block_on(&runtime, pause(100));
    // Else each is told again who speaks, and that is no speech.
    for place in 0..control.sockets().count() {
        control.answer(place, |leg| places[leg].control, |_, _| {}).unwrap();
    }
    allocations(0);
    assert!(heard(&sockets[LISTENERS]) > 100, "it is heard");

    // 3. What it costs then.
    let count = allocations(PACKETS);
    let heard = heard(&sockets[LISTENERS]);
    assert!(heard > 100, "{heard} packets were heard");
    assert_eq!(count, 0);
}
