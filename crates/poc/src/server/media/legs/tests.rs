use super::*;
use crate::sdp::{Codec, TalkBurst};

fn remote(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], port))
}

fn legs(pairs: u16) -> Legs {
    let ports: Vec<_> = (0..pairs).map(|pair| Ports { speech: 2 * pair, control: 2 * pair + 1 }).collect();
    Legs::new([7; 16], &ports)
}

const OF: Owner = Owner::Participant { place: 0, key: 0 };

fn agreed(host: u8, port: u16) -> Agreed {
    let codec =
        Codec { payload: 0, name: "PCMU".to_owned(), clock: 8000, channels: 1, parameters: String::new() };
    let media = sdp::Media {
        audio: remote(host, port),
        rtcp: remote(host, port + 1),
        codec,
        ptime: None,
        direction: Direction::SendRecv,
        control: Some(remote(host, port + 1)),
        talk_burst: TalkBurst::default(),
    };
    Agreed::new(&media, 0)
}

fn connected(legs: &mut Legs, address: &'static str, host: u8, port: u16) -> usize {
    let leg = legs.open(&Bytes::from_static(address.as_bytes()), OF);
    legs.connect(leg, agreed(host, port));
    leg
}

const SPEECH: MediaPort = MediaPort { pair: 0, stream: Stream::Speech };
const CONTROL: MediaPort = MediaPort { pair: 0, stream: Stream::Control };

#[test]
fn one_address_has_another_pair_for_each_leg_and_gives_it_back() {
    let mut legs = legs(2);
    let anna = Bytes::from_static(b"sip:anna@home1.example");
    let pairs: Vec<_> = (0..3).map(|_| legs.open(&anna, OF)).collect();
    assert_eq!(pairs.iter().map(|leg| legs.get(*leg).unwrap().pair).collect::<Vec<_>>(), [0, 1, 0]);
    legs.close(pairs[1]);
    let again = legs.open(&anna, OF);
    assert_eq!(legs.get(again).unwrap().pair, 1);
    for leg in [pairs[0], pairs[2], again] {
        legs.close(leg);
    }
    assert!(legs.is_empty());
}

#[test]
fn who_was_there_first_is_not_pushed_aside_by_who_announces_the_same() {
    let mut legs = legs(1);
    let first = connected(&mut legs, "a", 1, 40_000);
    let second = connected(&mut legs, "b", 1, 40_000);
    assert_eq!(legs.sender(SPEECH, remote(1, 40_000)), Some(Sender::Known(first)));
    legs.close(second);
    assert_eq!(legs.sender(SPEECH, remote(1, 40_000)), Some(Sender::Known(first)));
    legs.close(first);
    assert!(legs.is_empty());
}

#[test]
fn the_only_silent_one_of_a_host_may_come_from_another_port() {
    let mut legs = legs(1);
    let leg = connected(&mut legs, "a", 1, 40_000);
    let moved = remote(1, 50_000);
    assert_eq!(legs.sender(SPEECH, moved), Some(Sender::Unproven(leg)));
    assert!(legs.latch(leg, SPEECH, moved), "that is news");
    assert!(!legs.latch(leg, SPEECH, moved));
    assert_eq!(legs.sender(SPEECH, moved), Some(Sender::Known(leg)));
    assert_eq!(legs.sender(SPEECH, remote(1, 40_000)), None, "it has moved");
    assert_eq!(legs.sender(SPEECH, remote(1, 50_001)), None, "and is known");
    assert_eq!(legs.sender(CONTROL, remote(1, 50_001)), Some(Sender::Unproven(leg)), "each stream by itself");
    assert_eq!(legs.sender(SPEECH, remote(2, 40_000)), None, "another host");
    legs.close(leg);
    assert!(legs.is_empty());
}

#[test]
fn of_several_silent_ones_behind_a_host_none_is_guessed() {
    let mut legs = legs(1);
    let first = connected(&mut legs, "a", 1, 40_000);
    let second = connected(&mut legs, "b", 1, 40_002);
    assert_eq!(legs.sender(SPEECH, remote(1, 50_000)), None);
    legs.latch(first, SPEECH, remote(1, 40_000));
    assert_eq!(legs.sender(SPEECH, remote(1, 50_000)), Some(Sender::Unproven(second)));
}

#[test]
fn a_leg_that_moves_is_known_by_its_source() {
    let mut legs = legs(1);
    let leg = connected(&mut legs, "a", 1, 40_000);
    legs.latch(leg, CONTROL, remote(1, 40_001));
    legs.get_mut(leg).unwrap().ssrc = 77;
    assert_eq!(legs.moved(CONTROL, remote(1, 9), 77), Some(leg));
    assert_eq!(legs.moved(CONTROL, remote(1, 9), 78), None);
    assert_eq!(legs.moved(CONTROL, remote(2, 9), 77), None);
    let silent = connected(&mut legs, "b", 1, 40_002);
    assert_eq!(legs.get(silent).unwrap().ssrc, 0);
    assert_eq!(legs.moved(CONTROL, remote(1, 9), 0), None, "nobody is known by what is not known");
}

#[test]
fn other_media_take_the_place_of_the_former() {
    let mut legs = legs(1);
    let leg = connected(&mut legs, "a", 1, 40_000);
    legs.connect(leg, agreed(1, 41_000));
    assert_eq!(legs.sender(CONTROL, remote(1, 41_001)), Some(Sender::Known(leg)));
    legs.disconnect(leg);
    assert_eq!(legs.sender(CONTROL, remote(1, 41_001)), None);
    legs.close(leg);
    assert!(legs.is_empty());
}

#[test]
fn a_leg_of_which_nothing_came_is_counted_once_it_is_gone() {
    let mut legs = legs(1);
    // Never answered; answered and silent, on other ports after a while; heard.
    let refused = legs.open(&Bytes::from_static(b"a"), OF);
    let silent = connected(&mut legs, "b", 1, 40_000);
    legs.connect(silent, agreed(1, 42_000));
    let heard = connected(&mut legs, "c", 2, 40_000);
    legs.get_mut(heard).unwrap().ssrc = 7;
    assert_eq!(legs.unlatched, 0);
    for leg in [refused, silent, heard] {
        legs.disconnect(leg);
        legs.close(leg);
    }
    assert_eq!(legs.unlatched, 1);
}
