//! Real sockets of the loopback address.

use std::net::UdpSocket;

use poc::talk_burst::{Message, Packet, StopTalking};

use super::*;
use crate::store::fixture::block_on;

fn octets(message: Message) -> Bytes {
    Packet { ssrc: 1, message }.write().unwrap()
}

fn granted() -> Bytes {
    octets(Message::Granted { stop_talking: StopTalking::Seconds(30), participants: Some(2) })
}

const FROM: MediaPort = MediaPort { pair: 0, stream: Stream::Control };

fn control(to: &UdpSocket, bytes: Bytes) -> MediaTransmit {
    MediaTransmit::Control { from: FROM, to: to.local_addr().unwrap(), bytes }
}

/// What has come by now.
fn heard(socket: &UdpSocket) -> Vec<Bytes> {
    let mut room = [0; 2048];
    let next = || socket.recv(&mut room).ok().map(|length| Bytes::copy_from_slice(&room[..length]));
    std::iter::from_fn(next).collect()
}

#[test]
fn a_grant_leaves_before_all_that_waits_but_for_what_its_talker_is_told_before() {
    block_on(async {
        let any = "127.0.0.1:0".parse().unwrap();
        let ports = MediaPorts::open(&MediaSettings { first_port: 0, pairs: 1 }, any, 0).ok().unwrap();
        let mut network = ports.into_tokio().unwrap();
        let sockets = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        sockets.iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
        let [anna, ben, cara] = &sockets;

        let idle = octets(Message::Idle);
        assert!(!network.send(control(anna, idle.clone())));
        assert!(!network.send(control(ben, idle.clone())));
        assert!(network.send(control(cara, granted())));
        assert_eq!([anna, ben, cara].map(heard), [vec![], vec![], vec![granted()]]);

        assert!(network.send(control(anna, granted())));
        assert_eq!([anna, ben, cara].map(heard), [vec![idle.clone(), granted()], vec![idle.clone()], vec![]]);

        assert!(!network.send(control(ben, idle.clone())));
        network.flush();
        assert_eq!([anna, ben, cara].map(heard), [vec![], vec![idle], vec![]]);
        assert_eq!(network.take_lost(), 0);
    });
}

#[test]
fn speech_leaves_behind_what_says_who_speaks() {
    block_on(async {
        let any = "127.0.0.1:0".parse().unwrap();
        let ports = MediaPorts::open(&MediaSettings { first_port: 0, pairs: 1 }, any, 0).ok().unwrap();
        let mut network = ports.into_tokio().unwrap();
        let anna = UdpSocket::bind("127.0.0.1:0").unwrap();
        anna.set_nonblocking(true).unwrap();
        let idle = octets(Message::Idle);
        network.send(control(&anna, idle.clone()));
        network.send(MediaTransmit::Speech {
            from: MediaPort { pair: 0, stream: Stream::Speech },
            to: [anna.local_addr().unwrap()].into(),
            head: *b"speech, begun",
            tail: Bytes::from_static(b" and ended"),
        });
        assert_eq!(heard(&anna), [idle, Bytes::from_static(b"speech, begun and ended")]);
    });
}
