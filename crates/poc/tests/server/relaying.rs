//! Speech and talk burst control between a client and the session beyond its pre-established session (user-plane digest 7).

use bytes::Bytes;
use poc::media::Stream;
use poc::server::{MediaTransmit, Ports};
use poc::talk_burst::{Message, Packet};
use sip::Message as Sip;

use crate::ready::{BEN, Ready, ready_with};
use crate::stage::{Call, FACTORY};
use crate::talking::{Talking, control_of, frame, request, rtp, sdp, speech_of, words};

const CARA: &str = "sip:cara@home1.example";
const ERIK: &str = "sip:erik@home2.example";

/// Where the Controlling PoC Function is.
const FOCUS: u8 = 9;
/// Where Ben's client is.
const CLIENT: u8 = 77;
/// The last pair of the server.
const BEYOND: u16 = 2;

fn ready() -> Ready {
    ready_with(|config| {
        let pair = |first| Ports { speech: first, control: first + 1 };
        config.set_ports([45_200, 45_210, 45_220].map(pair).to_vec());
    })
}

/// Ben's client has accepted the invitation of Erik.
fn invited() -> (Ready, Call, Sip) {
    let mut ready = ready();
    let body = sdp(FOCUS).replace(" 97", " 106").replace(":97", ":106");
    let call = Call::terminating(ERIK, BEN).with_body(&body);
    ready.stage.invite(&call);
    let reinvite = ready.reinvite();
    ready.stage.answer_saying(&reinvite, 200, "", &sdp(CLIENT));
    ready.heard();
    let ok = ready.stage.established(&call);
    assert!(String::from_utf8_lossy(ok.body()).contains("m=audio 45220 RTP/AVP 106"), "a pair of its own");
    (ready, call, ok)
}

fn focus_says(ready: &mut Ready, message: Message) {
    let bytes = Packet { ssrc: 9, message }.write().expect("a message");
    ready.stage.media(BEYOND, Stream::Control, control_of(FOCUS), bytes);
}

#[test]
fn who_accepts_on_a_pre_established_session_speaks_and_hears() {
    let (mut ready, call, ok) = invited();
    focus_says(&mut ready, Message::Idle);
    assert_eq!(words(&ready.stage.heard()), [(CLIENT, "Talk Burst Idle")]);
    ready.stage.say(CLIENT, request());
    assert_eq!(words(&ready.stage.heard()), [(FOCUS, "Talk Burst Request")]);
    ready.stage.speak(CLIENT, 4);
    let [MediaTransmit::Speech { from, to, head, tail }] = &ready.stage.media[..] else { panic!() };
    let whole = rtp(CLIENT.into(), 4, 106, &frame());
    assert_eq!(
        (from.pair, &to[..], &head[..], &tail[..]),
        (BEYOND, &[speech_of(FOCUS)][..], &whole[..13], &whole[13..])
    );
    ready.stage.heard();
    ready.stage.media(BEYOND, Stream::Speech, speech_of(FOCUS), rtp(5, 6, 106, &frame()));
    let [MediaTransmit::Speech { from, to, head, .. }] = &ready.stage.media[..] else { panic!() };
    assert_eq!((from.pair, &to[..], head[1] & 0x7f), (0, &[speech_of(CLIENT)][..], 97));
    ready.stage.heard();
    ready.stage.bye(&call, &ok);
    ready.stage.speak(CLIENT, 5);
    focus_says(&mut ready, Message::Idle);
    assert!(ready.stage.heard().is_empty(), "nothing once it is over");
    assert_eq!(ready.stage.server.media_counters().relayed, 4);
}

#[test]
fn what_is_passed_on_is_not_changed_and_what_is_no_media_is_not_passed_on() {
    let (mut ready, ..) = invited();
    let report = Bytes::from_static(&[0x80, 201, 0, 1, 0, 0, 0, 77]);
    ready.stage.media(0, Stream::Control, control_of(CLIENT), report.clone());
    let [MediaTransmit::Control { to, bytes, .. }] = &ready.stage.media[..] else { panic!() };
    assert_eq!((*to, bytes), (control_of(FOCUS), &report));
    ready.stage.media.clear();
    ready.stage.media(0, Stream::Control, control_of(CLIENT), Bytes::from_static(b"no RTCP"));
    ready.stage.media(0, Stream::Control, control_of(CLIENT), Bytes::from_static(b"\0"));
    ready.stage.media(0, Stream::Speech, speech_of(CLIENT), rtp(77, 1, 98, &frame()));
    assert!(ready.stage.media.is_empty());
    assert_eq!(ready.stage.server.media_counters().malformed, 2);
}

#[test]
fn who_calls_on_a_pre_established_session_speaks_and_hears() {
    let mut ready = ready();
    ready.refer(ERIK);
    ready.heard();
    let leg = ready.stage.leg_to(FACTORY);
    assert!(String::from_utf8_lossy(leg.body()).contains("m=audio 45220 "), "{leg:?}");
    ready.stage.answer_saying(&leg, 200, "", &sdp(FOCUS));
    ready.heard();
    focus_says(&mut ready, Message::Idle);
    ready.stage.speak(CLIENT, 1);
    assert_eq!(words(&ready.stage.heard()), [(CLIENT, "Talk Burst Idle"), (FOCUS, "speech 1")]);
}

/// Sessions beyond are told apart by the ports here alone.
#[test]
fn a_session_for_which_there_are_no_ports_is_on_demand() {
    let mut ready = ready_with(|_| {});
    let call = Call::terminating(ERIK, BEN).with_body(&sdp(FOCUS));
    ready.stage.invite(&call);
    ready.reinvite();
    let caras = Call::originating(CARA, FACTORY).with_body(&sdp(3));
    ready.stage.invite(&caras);
    ready.stage.established(&caras);
    ready.stage.invite(&Call::terminating(ERIK, CARA).again().with_body(&sdp(FOCUS)));
    assert_eq!((ready.stage.told(&caras).len(), ready.stage.invites_of("cara")), (0, 1));
}
