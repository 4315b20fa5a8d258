//! Talk bursts and speech through the Controlling PoC Function: what comes in at its media ports, and what goes out.

use std::net::SocketAddr;

use bytes::Bytes;
use poc::media::Stream;
use poc::server::{Group, GroupKind, GroupMember, GroupRole, Input, MediaPort, MediaTransmit, Ports, Who};
use poc::talk_burst::{self, Message, Packet};
use rtp_types::RtpPacketBuilder;

use crate::stage::{Call, SDP, Stage, group_of, ms};

const ANNA: &str = "sip:anna@home1.example";
const BEN: &str = "sip:ben@home1.example";
const CARA: &str = "sip:cara@home1.example";
const DAN: &str = "sip:dan@home1.example";

/// The description of a terminal at an address of its own.
pub(crate) fn sdp(place: u8) -> String {
    SDP.replace("192.0.2.77", &format!("192.0.2.{place}"))
}

pub(crate) fn speech_of(place: u8) -> SocketAddr {
    format!("192.0.2.{place}:40000").parse().expect("an address")
}

pub(crate) fn control_of(place: u8) -> SocketAddr {
    format!("192.0.2.{place}:40002").parse().expect("an address")
}

/// One frame of AMR at 4.75 kbit/s, octet-aligned.
pub(crate) fn frame() -> Vec<u8> {
    [&[0xf0, 0x04][..], &[0x55; 12]].concat()
}

pub(crate) fn rtp(ssrc: u32, sequence: u16, payload: u8, speech: &[u8]) -> Bytes {
    let packet = RtpPacketBuilder::<&[u8], &[u8]>::new()
        .payload_type(payload)
        .sequence_number(sequence)
        .timestamp(u32::from(sequence) * 160)
        .ssrc(ssrc)
        .payload(speech);
    Bytes::from(packet.write_vec().expect("a packet"))
}

/// What terminals do to the media of the server.
pub(crate) trait Talking {
    fn media(&mut self, pair: u16, stream: Stream, remote: SocketAddr, bytes: Bytes);
    fn say(&mut self, place: u8, message: Message);
    fn speak(&mut self, place: u8, sequence: u16);
    fn heard(&mut self) -> Vec<(u8, String)>;
}

impl Talking for Stage {
    fn media(&mut self, pair: u16, stream: Stream, remote: SocketAddr, bytes: Bytes) {
        self.input(Input::Media { at: MediaPort { pair, stream }, remote, bytes });
    }

    fn say(&mut self, place: u8, message: Message) {
        let bytes = Packet { ssrc: place.into(), message }.write().expect("a message");
        self.media(0, Stream::Control, control_of(place), bytes);
    }

    fn speak(&mut self, place: u8, sequence: u16) {
        self.media(0, Stream::Speech, speech_of(place), rtp(place.into(), sequence, 97, &frame()));
    }

    /// What each terminal was sent since the last time, in order.
    fn heard(&mut self) -> Vec<(u8, String)> {
        let place = |remote: &SocketAddr| match remote.ip() {
            std::net::IpAddr::V4(ip) => ip.octets()[3],
            std::net::IpAddr::V6(_) => panic!("nobody is there"),
        };
        let mut heard = Vec::new();
        for transmit in std::mem::take(&mut self.media) {
            match transmit {
                MediaTransmit::Control { to, bytes, .. } => {
                    assert_eq!(to, control_of(place(&to)));
                    for packet in talk_burst::packets(&bytes).expect("RTCP") {
                        heard.push((place(&to), packet.expect("TBCP").message.to_string()));
                    }
                }
                MediaTransmit::Announcement { to, bytes, .. } => {
                    let packet = talk_burst::packets(&bytes).expect("RTCP").next().expect("TBCP");
                    let text = packet.expect("TBCP").message.to_string();
                    for to in to.iter() {
                        assert_eq!(to, control_of(place(&to)));
                        heard.push((place(&to), text.clone()));
                    }
                }
                MediaTransmit::Speech { to, head, .. } => {
                    let sequence = u16::from_be_bytes([head[2], head[3]]);
                    heard.extend(to.iter().map(|to| (place(to), format!("speech {sequence}"))));
                }
            }
        }
        heard
    }
}

pub(crate) fn request() -> Message {
    Message::Request { priority: None, timestamp: None }
}

pub(crate) fn words(heard: &[(u8, String)]) -> Vec<(u8, &str)> {
    heard.iter().map(|(place, text)| (*place, text.as_str())).collect()
}

/// Anna (1) calls Ben (2), who accepts.
fn anna_and_ben() -> (Stage, Call, sip::Message) {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, BEN).with_body(&sdp(1));
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer_saying(&ben, 200, "", &sdp(2));
    let ok = stage.established(&call);
    (stage, call, ok)
}

/// A chat group that Anna (1), Ben (2), Cara (3) and Dan (4) have joined.
pub(crate) fn chat() -> Stage {
    chat_and_ben().0
}

/// The same with Ben's call.
fn chat_and_ben() -> (Stage, Call, sip::Message) {
    let mut bens = None;
    let mut stage = Stage::new();
    stage.put_group(group_of("sip:field@home1.example", GroupKind::Chat, &[ANNA, BEN, CARA, DAN]));
    for (place, user) in (1..).zip([ANNA, BEN, CARA, DAN]) {
        let call = Call::to_group(user, "sip:field@home1.example").with_body(&sdp(place));
        stage.invite(&call);
        let ok = stage.established(&call);
        bens = if user == BEN { Some((call, ok)) } else { bens };
    }
    assert_eq!(words(&stage.heard()), [1, 2, 3, 4].map(|place| (place, "Talk Burst Idle")), "u01");
    let (call, ok) = bens.expect("Ben joined");
    (stage, call, ok)
}

#[test]
fn the_invite_that_makes_a_session_is_a_request_and_the_inviter_is_heard() {
    let (mut stage, call, ok) = anna_and_ben();
    assert_eq!(words(&stage.heard()), [(1, "Talk Burst Granted"), (2, "Talk Burst Taken")]);
    stage.speak(1, 7);
    stage.speak(1, 8);
    assert_eq!(words(&stage.heard()), [(2, "speech 7"), (2, "speech 8")]);
    stage.say(1, Message::Release { last: Some(8) });
    assert_eq!(words(&stage.heard()), [(1, "Talk Burst Idle"), (2, "Talk Burst Idle")]);
    stage.bye(&call, &ok);
    let ben = stage.leg("ben");
    stage.answer_all(&ben, "BYE", 200);
    stage.ends_with(1);
}

/// User-plane digest 2.1, 9.
#[test]
fn who_can_be_told_so_is_granted_by_the_answer_and_who_joins_is_not() {
    let is_granted = |ok: &sip::Message| String::from_utf8_lossy(ok.body()).contains("tb_granted=1");
    let can = sdp(1).replace("tb_priority=2", "tb_priority=2; tb_granted=1");
    for (offer, expected) in [(&can, true), (&sdp(1), false)] {
        let mut stage = Stage::new();
        let call = Call::originating(ANNA, BEN).with_body(offer);
        stage.invite(&call);
        let ben = stage.leg("ben");
        stage.answer_saying(&ben, 200, "", &sdp(2));
        assert_eq!(is_granted(&stage.established(&call)), expected);
        // Nor is it granted less.
        assert_eq!(words(&stage.heard()), [(1, "Talk Burst Granted"), (2, "Talk Burst Taken")]);
    }
    let mut stage = Stage::new();
    stage.put_group(group_of("sip:field@home1.example", GroupKind::Chat, &[ANNA, BEN]));
    let call = Call::to_group(ANNA, "sip:field@home1.example").with_body(&can);
    stage.invite(&call);
    assert!(!is_granted(&stage.established(&call)));
}

/// User-plane digest 4.5: Deny 5, and no implicit request.
#[test]
fn in_a_group_some_may_only_listen() {
    let members = [(ANNA, GroupRole::Distinguished), (BEN, GroupRole::Ordinary)];
    let members =
        members.map(|(user, role)| GroupMember { address: Bytes::from_static(user.as_bytes()), role });
    let group =
        Group { members: members.to_vec(), ..group_of("sip:field@home1.example", GroupKind::Chat, &[]) };
    let mut stage = Stage::new();
    stage.put_group(Group { speaks: Who::Distinguished, ..group.clone() });
    for (place, user) in (1..).zip([ANNA, BEN]) {
        let call = Call::to_group(user, "sip:field@home1.example").with_body(&sdp(place));
        stage.invite(&call);
        stage.established(&call);
    }
    stage.heard();
    stage.say(2, request());
    assert_eq!(words(&stage.heard()), [(2, "Talk Burst Deny")]);
    assert_eq!(stage.server.media_counters().denied[4], 1, "listen-only");
    stage.say(1, request());
    stage.speak(1, 1);
    assert_eq!(words(&stage.heard()), [(1, "Talk Burst Granted"), (2, "Talk Burst Taken"), (2, "speech 1")]);

    // Who begins a session of such a group asks for nothing by that, and is not granted by the answer.
    let mut stage = Stage::new();
    stage.put_group(Group { kind: GroupKind::PreArranged, speaks: Who::Distinguished, ..group });
    let can = sdp(2).replace("tb_priority=2", "tb_priority=2; tb_granted=1");
    let call = Call::to_group(BEN, "sip:field@home1.example").with_body(&can);
    stage.invite(&call);
    let anna = stage.leg("anna");
    stage.answer_saying(&anna, 200, "", &sdp(1));
    let ok = stage.established(&call);
    assert!(String::from_utf8_lossy(ok.body()).contains("tb_granted=0"));
    assert_eq!(words(&stage.heard()), [(2, "Talk Burst Idle"), (1, "Talk Burst Idle")]);
}

#[test]
fn speech_of_who_may_not_speak_reaches_nobody_and_is_counted() {
    let mut stage = chat();
    stage.say(1, request());
    stage.heard();
    stage.speak(2, 1);
    assert_eq!(words(&stage.heard()), [(2, "Talk Burst Revoke")], "u12");
    assert_eq!(stage.server.media_counters().gated, 1);
    stage.speak(1, 5);
    assert_eq!(words(&stage.heard()), [(2, "speech 5"), (3, "speech 5"), (4, "speech 5")]);
}

#[test]
fn speech_that_is_not_as_agreed_reaches_nobody() {
    let mut stage = chat();
    stage.say(1, request());
    stage.heard();
    let whole = rtp(1, 1, 97, &frame());
    let damaged = [
        rtp(1, 1, 98, &frame()),
        rtp(1, 1, 97, &frame()[..7]),
        rtp(1, 1, 97, &[]),
        whole.slice(..11),
        Bytes::from([&[0x40], &whole[1..]].concat()),
        Bytes::from(vec![0x80; 65_507]),
    ];
    for (count, bytes) in (1..).zip(damaged) {
        stage.media(0, Stream::Speech, speech_of(1), bytes);
        assert!(stage.heard().is_empty());
        assert_eq!(stage.server.media_counters().malformed, count);
    }
    stage.media(0, Stream::Speech, speech_of(1), whole);
    assert_eq!(stage.heard().len(), 3);
}

#[test]
fn nobody_who_does_not_take_part_is_heard() {
    let mut stage = chat();
    let stranger: SocketAddr = "198.51.100.7:40002".parse().unwrap();
    let asked = Packet { ssrc: 1, message: request() }.write().unwrap();
    stage.media(0, Stream::Control, stranger, asked.clone());
    stage.media(0, Stream::Speech, stranger, rtp(1, 1, 97, &frame()));
    // Ben's host, from another port, in Anna's name.
    stage.media(0, Stream::Control, speech_of(2), Bytes::from_static(&[0x80, 201, 0, 1, 0, 0, 0, 9]));
    stage.media(0, Stream::Control, "192.0.2.2:9".parse().unwrap(), asked);
    assert!(stage.heard().is_empty());
    assert_eq!(stage.server.media_counters().strangers, 3);
}

#[test]
fn who_sends_from_another_port_than_it_has_announced_is_told_there() {
    let mut stage = chat();
    let moved: SocketAddr = "192.0.2.2:50002".parse().unwrap();
    let bytes = Packet { ssrc: 2, message: request() }.write().unwrap();
    stage.media(0, Stream::Control, moved, bytes);
    let granted = stage.media.iter().any(|transmit| match transmit {
        MediaTransmit::Control { to, .. } => *to == moved,
        MediaTransmit::Announcement { .. } | MediaTransmit::Speech { .. } => false,
    });
    assert!(granted, "{:?}", stage.media);
    assert_eq!(stage.server.media_counters().latched, 1);
}

#[test]
fn speech_of_another_source_does_not_change_by_what_talk_burst_control_proves_whose_it_is() {
    let mut stage = chat();
    stage.say(2, Message::QueueStatusRequest);
    stage.heard();
    stage.media(0, Stream::Speech, speech_of(2), rtp(7, 1, 97, &frame()));
    assert_eq!(words(&stage.heard()), [(2, "Talk Burst Revoke")], "u12");
    // Ben's terminal has another port, and is the same.
    let moved: SocketAddr = "192.0.2.2:50002".parse().unwrap();
    for (ssrc, latched) in [(7, 0), (2, 1)] {
        let bytes = Packet { ssrc, message: request() }.write().unwrap();
        stage.media(0, Stream::Control, moved, bytes);
        assert_eq!(stage.server.media_counters().latched, latched, "{ssrc}");
    }
}

#[test]
fn each_listener_hears_with_its_own_payload_number() {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, BEN).with_body(&sdp(1));
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer_saying(&ben, 200, "", &sdp(2).replace(" 97", " 106").replace(":97", ":106"));
    stage.established(&call);
    stage.heard();
    stage.speak(1, 3);
    let [MediaTransmit::Speech { head, tail, .. }] = &stage.media[..] else { panic!("{:?}", stage.media) };
    assert_eq!(head[1] & 0x7f, 106);
    let whole = rtp(1, 3, 97, &frame());
    assert_eq!(
        (head[0], &head[2..], &tail[..]),
        (whole[0], &whole[2..13], &whole[13..]),
        "all else is as it was"
    );
}

/// User-plane digest 14.4.
#[test]
fn speech_in_either_format_of_amr_is_passed_on_octet_by_octet() {
    let file = include_str!("../../src/talk_burst/tests/vectors.json");
    let file: serde_json::Value = serde_json::from_str(file).expect("the vectors");
    for (kind, format, count) in [("rtp-amr-oa", "a=fmtp:97 octet-align=1\r\n", 5), ("rtp-amr-be", "", 3)] {
        let described = |place| sdp(place).replace("a=fmtp:97 octet-align=1\r\n", format);
        let mut stage = Stage::new();
        let call = Call::originating(ANNA, BEN).with_body(&described(1));
        stage.invite(&call);
        let ben = stage.leg("ben");
        stage.answer_saying(&ben, 200, "", &described(2));
        stage.established(&call);
        stage.heard();
        let vectors =
            file["vectors"].as_array().expect("a list").iter().filter(|vector| vector["kind"] == kind);
        let mut passed = 0;
        for vector in vectors {
            let hex = vector["hex"].as_str().expect("octets");
            let octet = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("an octet");
            let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(octet).collect();
            stage.media(0, Stream::Speech, speech_of(1), Bytes::from(bytes.clone()));
            let sent = std::mem::take(&mut stage.media);
            let [MediaTransmit::Speech { head, tail, .. }] = &sent[..] else { panic!("{vector}: {sent:?}") };
            assert_eq!([&head[..], tail].concat(), bytes, "{}", vector["id"]);
            passed += 1;
        }
        assert_eq!(passed, count);
        assert_eq!(stage.server.media_counters().malformed, 0);
    }
}

#[test]
fn a_mode_that_is_asked_for_reaches_one_listener_and_no_group() {
    let mut stage = chat();
    stage.say(1, request());
    stage.heard();
    let asking = [&[0x20, 0x04][..], &[0x55; 12]].concat();
    stage.media(0, Stream::Speech, speech_of(1), rtp(1, 1, 97, &asking));
    let [MediaTransmit::Speech { head, .. }] = &stage.media[..] else { panic!("{:?}", stage.media) };
    assert_eq!(head[12], 0xf0);
}

#[test]
fn a_terminal_in_two_sessions_is_told_apart_by_the_ports_here() {
    let ports = |first| Ports { speech: first, control: first + 1 };
    let mut stage = Stage::with(|config| config.set_ports(vec![ports(45_200), ports(45_210)]));
    for (group, port) in [("field", 45_200), ("depot", 45_210)] {
        let address: &'static str = format!("sip:{group}@home1.example").leak();
        stage.put_group(group_of(address, GroupKind::Chat, &[ANNA, BEN]));
        let call = Call::to_group(ANNA, address).with_body(&sdp(1));
        let call = if group == "depot" { call.again() } else { call };
        stage.invite(&call);
        let ok = stage.established(&call);
        assert!(String::from_utf8_lossy(ok.body()).contains(&format!("m=audio {port} ")), "{ok:?}");
    }
}

#[test]
fn who_leaves_while_speaking_leaves_the_talk_burst_at_once() {
    let (mut stage, call, ok) = anna_and_ben();
    stage.speak(1, 1);
    stage.heard();
    stage.bye(&call, &ok);
    stage.speak(1, 2);
    assert_eq!(words(&stage.heard()), [(2, "Talk Burst Idle")], "g30");
    assert_eq!(stage.server.media_counters().strangers, 1);
    let ben = stage.leg("ben");
    stage.answer_all(&ben, "BYE", 200);
    stage.ends_with(1);
}

/// Case 7 of the founding list.
#[test]
fn a_cancelled_inviter_never_has_the_talk_burst() {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, BEN).with_body(&sdp(1));
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 180);
    stage.cancel(&call);
    stage.answer_saying(&ben, 200, "", &sdp(2));
    assert!(stage.heard().is_empty());
    let cancelled = stage.response(&call, "487 INVITE");
    stage.ack(&call, &cancelled);
    stage.answer_all(&ben, "BYE", 200);
    stage.ends_with(1);
}

/// Case 9 of the founding list.
#[test]
fn a_place_in_the_queue_does_not_outlive_the_session_of_its_user() {
    let (mut stage, call, ok) = chat_and_ben();
    stage.say(1, request());
    stage.say(2, request());
    stage.say(3, request());
    assert_eq!(stage.heard().iter().filter(|(_, told)| told == "Queue Status Response").count(), 2);
    stage.bye(&call, &ok);
    stage.heard();
    stage.say(1, Message::Release { last: None });
    let heard = stage.heard();
    assert!(heard.contains(&(3, "Talk Burst Granted".to_owned())), "{heard:?}");
    assert!(heard.iter().all(|(place, _)| *place != 2), "{heard:?}");
}

#[test]
fn a_talk_burst_that_lasts_too_long_is_revoked_and_its_user_waits() {
    let mut stage = chat();
    stage.say(1, request());
    stage.heard();
    for sequence in 0..320 {
        stage.speak(1, sequence);
        stage.pass(ms(100));
    }
    let revoked = stage.heard().iter().any(|heard| *heard == (1, "Talk Burst Revoke".to_owned()));
    assert!(revoked);
    stage.say(1, Message::Release { last: Some(319) });
    stage.heard();
    stage.say(1, request());
    assert_eq!(words(&stage.heard()), [(1, "Talk Burst Deny")]);
    let counters = stage.server.media_counters();
    assert_eq!((counters.revoked[1], counters.denied[3]), (1, 1));
}

/// User-plane digest 6.3.
#[test]
fn who_has_spoken_too_long_is_denied_although_it_leaves_and_comes_again() {
    let (mut stage, call, ok) = chat_and_ben();
    stage.say(2, request());
    for sequence in 0..310 {
        stage.speak(2, sequence);
        stage.pass(ms(100));
    }
    stage.bye(&call, &ok);
    let again = call.again();
    stage.invite(&again);
    stage.established(&again);
    stage.heard();
    stage.say(2, request());
    assert_eq!(words(&stage.heard()), [(2, "Talk Burst Deny")]);
    stage.say(3, request());
    assert_eq!(stage.heard()[0], (3, "Talk Burst Granted".to_owned()), "only of the one");
    stage.say(3, Message::Release { last: None });
    stage.pass(ms(5_000));
    stage.heard();
    stage.say(2, request());
    assert_eq!(stage.heard()[0], (2, "Talk Burst Granted".to_owned()));
}

/// Who is called what in the Taken that others get.
fn name_of_talker(call: Call) -> Option<String> {
    let mut stage = Stage::new();
    stage.put_group(group_of("sip:field@home1.example", GroupKind::Chat, &[ANNA, BEN]));
    for call in [call.with_body(&sdp(1)), Call::to_group(BEN, "sip:field@home1.example").with_body(&sdp(2))] {
        stage.invite(&call);
        stage.established(&call);
    }
    stage.media.clear();
    stage.say(1, request());
    let media = std::mem::take(&mut stage.media).into_iter().map(MediaTransmit::into_datagrams);
    let packets =
        media.flat_map(|(_, _, bytes)| talk_burst::packets(&bytes).expect("RTCP").collect::<Vec<_>>());
    packets.flatten().find_map(|packet| {
        let Message::Taken(taken) = packet.message else { return None };
        taken.name.map(|name| name.to_string())
    })
}

/// User-plane digest 4.4.
#[test]
fn who_speaks_is_shown_by_the_name_that_it_calls_itself() {
    let call = || Call::to_group(ANNA, "sip:field@home1.example");
    let named = call().named_from("\"Anna Lee\" <sip:anna@home1.example>");
    assert_eq!(name_of_talker(call()).as_deref(), Some("anna"), "no name is known");
    assert_eq!(name_of_talker(named.clone()).as_deref(), Some("Anna Lee"));
    assert_eq!(name_of_talker(named.clone().with("Privacy: id\r\n")).as_deref(), Some("Anonymous"));
    let asserted = "P-Asserted-Identity: Chief <sip:anna@home1.example>";
    let asserted = named.replacing("P-Asserted-Identity: <sip:anna@home1.example>", asserted);
    assert_eq!(name_of_talker(asserted).as_deref(), Some("Chief"));
    let of_another = call().named_from("Ben <sip:ben@home1.example>");
    assert_eq!(name_of_talker(of_another).as_deref(), Some("anna"), "a name of somebody else");
}

#[test]
fn a_listener_on_hold_hears_nothing_and_hears_again_when_it_goes_on() {
    let (mut stage, _, _) = anna_and_ben();
    let ben = stage.leg("ben");
    let held = sdp(2).replace("m=application", "a=sendonly\r\nm=application");
    stage.leg_sends(
        &ben,
        "UPDATE",
        1,
        "Contact: <sip:ben@192.0.2.88>\r\nContent-Type: application/sdp\r\n",
        &held,
    );
    stage.heard();
    stage.speak(1, 1);
    assert!(stage.heard().is_empty());
    stage.leg_sends(
        &ben,
        "UPDATE",
        2,
        "Contact: <sip:ben@192.0.2.88>\r\nContent-Type: application/sdp\r\n",
        &sdp(2),
    );
    stage.speak(1, 2);
    assert_eq!(words(&stage.heard()), [(2, "speech 2")]);
}
