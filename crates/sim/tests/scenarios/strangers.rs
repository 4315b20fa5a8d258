//! Somebody who is no element of the system, has seen every message, and sends what it likes from an address of its own.

use bytes::Bytes;
use poc::media::Stream;
use poc::server::MediaPort;
use poc::talk_burst::Priority;
use poc::{AnswerMode, Event};
use sim::System;
use sim::system::{Act, Terminal};
use sip::Message;
use sip::message::Name;

use crate::homes::{Homes, answering};
use crate::stage::ms;

const STRANGE: &str = "203.0.113.9:5060";
const ELEMENTS: [&str; 4] = ["core1", "server1", "server2", "core2"];

/// To every core and server.
fn sends(system: &mut System, bytes: &Bytes) -> Vec<String> {
    let from = STRANGE.parse().expect("an address");
    let each = ELEMENTS.map(|name| system.place(name));
    let answers = each.into_iter().filter_map(|place| system.intrude(place, from, bytes.clone()));
    answers.map(|answer| answer.status().unwrap_or_default().to_string()).collect()
}

/// The same request, as a CANCEL.
fn cancel(invite: &Message) -> Bytes {
    let text = String::from_utf8_lossy(invite.bytes()).into_owned();
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    let lines = head.split("\r\n").filter(|line| !line.starts_with("Content-"));
    let lines: Vec<_> = lines
        .map(|line| if line.starts_with("CSeq") { line.replace("INVITE", "CANCEL") } else { line.to_owned() })
        .collect();
    let text = lines.join("\r\n").replacen("INVITE", "CANCEL", 1);
    Bytes::from(format!("{text}\r\nContent-Length: 0\r\n\r\n"))
}

/// I7, the hostile side of all invariants: the monitor watches everybody else meanwhile.
#[test]
fn whoever_copies_or_cancels_every_request_from_elsewhere_changes_nothing() {
    for copies in [true, false] {
        let terminals = vec![Terminal::new("anna", 0), answering("dan", 1, AnswerMode::Automatic)];
        let mut homes = Homes::with(terminals, |_| {});
        let session = homes.invites("anna", "dan");
        let mut seen = homes.system.messages().count();
        let mut answered = Vec::new();
        for _ in 0..200 {
            homes.passes(ms(5));
            let news: Vec<_> = homes.system.messages().skip(seen).map(|sent| sent.bytes.clone()).collect();
            seen += news.len();
            for bytes in news {
                // Whoever knows the branch of a request may answer it (RFC 3261 §17.1.3); only who is on the way does.
                let message = Message::parse(bytes.clone()).expect("a message");
                let is_invite = message.value(Name::CSeq).is_some_and(|cseq| cseq.ends_with(b"INVITE"));
                match message.status() {
                    Some(_) => {}
                    None if copies => answered.extend(sends(&mut homes.system, &bytes)),
                    None if is_invite => answered.extend(sends(&mut homes.system, &cancel(&message))),
                    None => {}
                }
            }
        }
        assert!(!answered.is_empty() && !answered.iter().any(|status| status == "200"), "{answered:?}");
        assert!(homes.system.events.iter().any(|(_, event)| matches!(event, Event::Established { .. })));
        assert!(!homes.system.events.iter().any(|(_, event)| matches!(event, Event::Ended { .. })));
        homes.hangs_up("anna", session);
        assert!(homes.system.take_to_strangers().is_empty(), "nothing is said to a stranger again");
        homes.end();
    }
}

/// User-plane digest 10.7: speech and talk burst control from nobody reach nobody, and are not answered.
#[test]
fn whoever_floods_the_ports_of_media_is_heard_by_nobody_and_told_nothing() {
    let terminals = vec![Terminal::new("anna", 0), answering("dan", 1, AnswerMode::Automatic)];
    let mut homes = Homes::with(terminals, |_| {});
    let session = homes.invites("anna", "dan");
    homes.until_established("anna");
    let anna = homes.place("anna");
    let from = "203.0.113.9:45200".parse().expect("an address");
    let packet = |octets: &[u8], ssrc: u8| {
        Bytes::from([octets, &[0, 0, 0, 0, 0, 0, 0, 0, 0, ssrc][..], &[0xf0, 0x04], &[0x55; 12]].concat())
    };
    let before = homes.system.media.sent();
    for number in 0..50 {
        homes.passes(ms(20));
        for pair in 0..16 {
            for server in ["server1", "server2"] {
                let place = homes.place(server);
                let speech = packet(&[0x80, 97], number);
                homes.system.intrude_media(place, MediaPort { pair, stream: Stream::Speech }, from, speech);
                let request = Bytes::from_static(b"\x80\xcc\x00\x02\x00\x00\x00\x07PoC1");
                homes.system.intrude_media(place, MediaPort { pair, stream: Stream::Control }, from, request);
            }
        }
    }
    let quiet = homes.system.media.sent() - before;
    homes.system.act(anna, Act::Press(session, Priority::Normal));
    homes.passes(ms(200));
    homes.system.act(anna, Act::Speak(session));
    homes.passes(ms(200));
    assert!(quiet < 20, "the talk bursts go on as if nobody were there: {quiet}");
    assert!(
        homes.system.events.iter().any(|(_, event)| matches!(event, Event::Heard { .. })),
        "Dan hears Anna"
    );
    homes.hangs_up("anna", session);
    homes.end();
}
