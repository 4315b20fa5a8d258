//! Instant Personal Alerts and group advertisements, between two clients and by hand.

use super::*;
use crate::body::group_advertisement::{AdvertisedKind, Advertisement};

fn pair() -> Pair {
    Pair::with(|config| config.accepts_alerts = true)
}

fn personal(text: &str) -> Alert {
    Alert::Personal { text: text.to_owned() }
}

fn patrol() -> Alert {
    Alert::Group(Box::new(Advertisement {
        group: Bytes::from("sip:patrol@home1.example"),
        display_name: Some("Patrol".to_owned()),
        kind: Some(AdvertisedKind::Chat),
        note: None,
    }))
}

fn send(pair: &mut Pair, id: u32, alert: Alert) -> Result<Option<SessionId>, Misuse> {
    let to = Bytes::from("sip:ben@home1.example");
    let command =
        Command::Alert { id: AlertId(id), targets: vec![target(BEN)], routes: Vec::new(), to, alert };
    pair.anna.handle_input(pair.now, Input::Command(command))
}

/// digest 9.8.
#[test]
fn an_alert_is_a_message_for_whoever_can_do_it_and_its_answer_is_told() {
    for (alert, accepted, kind) in [
        (personal("call me"), "*;+g.poc.talkburst;require;explicit", Some("text/plain;charset=UTF-8")),
        (personal(""), "*;+g.poc.talkburst;require;explicit", None),
        (patrol(), "*;+g.poc.groupad;require;explicit", Some("application/vnd.poc.group-advertisement+xml")),
    ] {
        let mut pair = pair();
        send(&mut pair, 7, alert.clone()).unwrap();
        let message = pair.anna_to_ben().remove(0);
        assert_eq!(message.method_text(), b"MESSAGE");
        assert_eq!(text(message.value(Name::AcceptContact).unwrap()), accepted);
        assert_eq!(message.value(Name::ContentType).map(text).as_deref(), kind);
        assert_eq!(message.value(Name::Contact), None, "RFC 3428 §4");
        assert_eq!(starts(&pair.ben_to_anna()), ["200 MESSAGE"]);
        let from = Bytes::from("\"Anna\" <sip:anna@home1.example>");
        assert_eq!(events(&mut pair.ben), [Event::Alerted { from, alert }]);
        assert_eq!(events(&mut pair.anna), [Event::AlertAnswered { alert: AlertId(7), status: Some(200) }]);
    }
}

/// digest 6: barring is for personal alerts.
#[test]
fn who_wants_no_personal_alert_says_480_and_sees_none() {
    let mut pair = pair();
    let settings = PocSettings { incoming_personal_alert_barring: true, ..PocSettings::default() };
    pair.ben.handle_input(pair.now, Input::Command(Command::SetSettings(settings))).unwrap();
    send(&mut pair, 1, personal("call me")).unwrap();
    send(&mut pair, 2, patrol()).unwrap();
    pair.settle();
    let told = events(&mut pair.anna);
    let statuses: Vec<_> = told.iter().map(|event| format!("{event:?}")).collect();
    assert!(statuses[0].contains("480") && statuses[1].contains("200"), "{statuses:?}");
    assert!(matches!(events(&mut pair.ben)[..], [Event::Alerted { alert: Alert::Group(_), .. }]));
}

#[test]
fn a_client_that_takes_no_alerts_does_not_allow_them() {
    let mut pair = Pair::new();
    send(&mut pair, 1, personal("call me")).unwrap();
    pair.settle();
    assert_eq!(events(&mut pair.anna), [Event::AlertAnswered { alert: AlertId(1), status: Some(405) }]);
    assert_eq!(events(&mut pair.ben), []);
}

#[test]
fn without_an_answer_that_is_told_too() {
    let mut pair = pair();
    send(&mut pair, 1, personal("")).unwrap();
    sent(&mut pair.anna);
    while let Some(next) = pair.anna.poll_timeout() {
        pair.anna.handle_timeout(next);
        sent(&mut pair.anna);
    }
    assert_eq!(events(&mut pair.anna), [Event::AlertAnswered { alert: AlertId(1), status: None }]);
    assert!(pair.anna.is_empty());
}

/// RFC 3261 §9.1: there is nothing to give up with, and a name is for one alert.
#[test]
fn what_cannot_be_sent_is_a_misuse() {
    let mut pair = pair();
    send(&mut pair, 1, personal("")).unwrap();
    assert_eq!(send(&mut pair, 1, personal("")), Err(Misuse::Busy));
    assert_eq!(send(&mut pair, 2, personal(&"x".repeat(1025))), Err(Misuse::TooLong));
    for number in 3..66 {
        send(&mut pair, number, personal("")).unwrap();
    }
    assert_eq!(send(&mut pair, 66, personal("")), Err(Misuse::Busy));
}

fn message_of_a_peer(accepted: &str, kind: &str, body: &[u8]) -> Bytes {
    let head = format!(
        "MESSAGE sip:ben@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKm1\r\nMax-Forwards: 70\r\nFrom: <sip:cara@h>;tag=c\r\nTo: <sip:ben@h>\r\nCall-ID: m\r\nCSeq: 1 MESSAGE\r\n{accepted}{kind}Content-Length: {}\r\n\r\n",
        body.len(),
    );
    Bytes::from([head.as_bytes(), body].concat())
}

#[test]
fn what_is_no_alert_is_refused_and_never_shown() {
    let (talkburst, groupad) =
        ("Accept-Contact: *;+g.poc.talkburst\r\n", "Accept-Contact: *;+g.poc.groupad\r\n");
    let (plain, advertisement) =
        ("Content-Type: text/plain\r\n", "Content-Type: application/vnd.poc.group-advertisement+xml\r\n");
    for (accepted, kind, body, status) in [
        ("", plain, &b"hello"[..], 415),
        (talkburst, "Content-Type: text/html\r\n", b"<b>", 415),
        (talkburst, plain, b"\xff\xfe", 400),
        (talkburst, plain, &[b'x'; 1025], 513),
        (groupad, plain, b"hello", 415),
        (groupad, advertisement, b"<other/>", 400),
    ] {
        let mut ben = pair().ben;
        deliver(Instant::START, &mut ben, BEN, ANNA, message_of_a_peer(accepted, kind, body));
        assert_eq!(starts(&sent(&mut ben)), [format!("{status} MESSAGE")], "{accepted}{kind}");
        assert_eq!(events(&mut ben), []);
    }
}

#[test]
fn who_takes_alerts_registers_the_feature_tag_of_group_advertisements() {
    let mut config = config(ANNA);
    config.accepts_alerts = true;
    config.registration = Some(Registration::new(vec![target(BEN)], "home1.example"));
    let mut anna = Client::new(config);
    anna.handle_input(Instant::START, Input::Command(Command::Register)).unwrap();
    let contact = text(sent(&mut anna)[0].value(Name::Contact).unwrap());
    assert!(contact.contains(";+g.poc.talkburst;+g.poc.groupad;"), "{contact}");
}
