//! Subscriptions of the peer: RFC 6665 §4.2.

use bytes::Bytes;
use sip::message::{Body, Method, Name};
use sip::transport::{ConnectionId, Transport};
use sip::usage::{End, Party};
use sip::{Command, Duration, Event, Input, Message, Misuse, Owner, SubscriberId, SubscriptionState};

use crate::wire::*;

fn wire() -> Wire {
    Wire::with(|config| config.events = vec![Bytes::from_static(b"conference")])
}

fn subscribe(branch: &str) -> Request {
    let request = Request::invite(branch).follow("SUBSCRIBE");
    request.with("Event: conference;id=3\r\nExpires: 600\r\n").with(CONTACT)
}

/// A SUBSCRIBE in the dialog that `ok` made.
fn again(first: &Request, ok: &Message, number: u32, expires: u32) -> Request {
    let request = first.within(ok, "SUBSCRIBE", number);
    request.with(&format!("Event: conference;id=3\r\nExpires: {expires}\r\n{CONTACT}"))
}

#[track_caller]
fn told(wire: &mut Wire) -> SubscriberId {
    let mut events = wire.events();
    assert_eq!(events.len(), 1, "{events:?}");
    let Event::Subscribed { subscriber, .. } = events.remove(0) else { panic!("not subscribed") };
    subscriber
}

fn admit(wire: &mut Wire, subscriber: SubscriberId, seconds: u64) -> Result<(), Misuse> {
    let expires = Duration::from_secs(seconds);
    wire.command(Command::Admit { subscriber, expires, headers: Vec::new(), contact: None })
}

fn document(text: &'static str) -> Option<Body> {
    let content_type = Bytes::from_static(b"application/conference-info+xml");
    Some(Body { content_type, bytes: Bytes::from_static(text.as_bytes()) })
}

fn notify(wire: &mut Wire, subscriber: SubscriberId, text: &'static str) -> Result<(), Misuse> {
    let state = SubscriptionState::Active;
    wire.command(Command::Notify { subscriber, state, headers: Vec::new(), body: document(text) })
}

fn terminated(reason: &'static [u8]) -> SubscriptionState {
    SubscriptionState::Terminated { reason: Bytes::from_static(reason), retry_after: None }
}

/// Admitted for ten minutes: the SUBSCRIBE, its 2xx and the subscriber.
fn admitted(wire: &mut Wire) -> (Request, Message, SubscriberId) {
    let request = subscribe("s");
    wire.receive(&request.text());
    let subscriber = told(wire);
    admit(wire, subscriber, 3600).expect("asked");
    (request, wire.one(), subscriber)
}

#[track_caller]
fn ended(wire: &mut Wire) -> (End, Party, Option<u16>) {
    let mut events = wire.events();
    assert_eq!(events.len(), 1, "{events:?}");
    let Event::SubscriberEnded { end, by, status, .. } = events.remove(0) else { panic!("not ended") };
    (end, by, status)
}

#[test]
fn a_subscriber_is_admitted_notified_and_left() {
    let mut wire = wire();
    let (_, ok, subscriber) = admitted(&mut wire);
    assert_eq!((word(&ok), text(&ok, Name::Expires)), ("200 SUBSCRIBE".into(), "600"), "never lengthened");
    assert!(text(&ok, Name::Contact).starts_with(&format!("<sip:{}@", to_tag(&ok).unwrap())));
    wire.advance(ms(5000));
    notify(&mut wire, subscriber, "<one/>").unwrap();
    let first = wire.one();
    assert_eq!((word(&first), first.body()), ("NOTIFY".into(), &b"<one/>"[..]));
    assert_eq!((uri(&first), text(&first, Name::CSeq)), ("sip:ben@ben.example", "1 NOTIFY"));
    assert_eq!(text(&first, Name::Event), "conference;id=3");
    assert_eq!(text(&first, Name::SubscriptionState), "active;expires=595");
    assert_eq!((to_tag(&first), Some(from_tag(&first))), (Some("b1".into()), to_tag(&ok)));
    wire.receive(&response(&first, 200, "", ""));
    let state = SubscriptionState::Pending;
    wire.command(Command::Notify { subscriber, state, headers: Vec::new(), body: None }).unwrap();
    let second = wire.one();
    assert_eq!(text(&second, Name::SubscriptionState), "pending;expires=595");
    wire.receive(&response(&second, 200, "", ""));
    let state = SubscriptionState::Terminated {
        reason: Bytes::from_static(b"noresource"),
        retry_after: Some(Duration::from_secs(9)),
    };
    wire.command(Command::Notify { subscriber, state, headers: Vec::new(), body: None }).unwrap();
    let last = wire.one();
    assert_eq!(text(&last, Name::SubscriptionState), "terminated;reason=noresource;retry-after=9");
    assert_eq!(ended(&mut wire), (End::Left, Party::Local, None));
    assert_eq!(notify(&mut wire, subscriber, "<two/>"), Err(Misuse::NotEstablished));
    wire.receive(&response(&last, 200, "", ""));
    assert_eq!(notify(&mut wire, subscriber, "<two/>"), Err(Misuse::NoSession));
    wire.finish();
}

/// One at a time, so that none overtakes another; of what waits the last word counts.
#[test]
fn what_is_said_while_a_notify_is_under_way_waits_for_its_answer() {
    let mut wire = wire();
    let (_, _, subscriber) = admitted(&mut wire);
    for (each, is_kept) in [("<one/>", false), ("<two/>", true), ("<three/>", true)] {
        notify(&mut wire, subscriber, each).unwrap();
        assert_eq!(wire.endpoint.has_unsent(subscriber), is_kept, "{each}");
    }
    let first = wire.one();
    wire.receive(&response(&first, 200, "", ""));
    assert!(!wire.endpoint.has_unsent(subscriber));
    let second = wire.one();
    assert_eq!((second.body(), text(&second, Name::CSeq)), (&b"<three/>"[..], "2 NOTIFY"));
    let state = terminated(b"noresource");
    wire.command(Command::Notify { subscriber, state, headers: Vec::new(), body: None }).unwrap();
    assert_eq!(wire.words(), [""; 0]);
    wire.receive(&response(&second, 500, "", ""));
    assert_eq!(text(&wire.one(), Name::SubscriptionState), "terminated;reason=noresource");
    wire.finish();
}

/// §4.2.1.4.
#[test]
fn a_refresh_is_answered_and_the_end_of_the_time_says_timeout() {
    let mut wire = wire();
    let (request, ok, subscriber) = admitted(&mut wire);
    wire.advance(Duration::from_secs(500));
    wire.receive(&again(&request, &ok, 8, 3600).text());
    let answer = wire.one();
    assert_eq!((word(&answer), text(&answer, Name::Expires)), ("200 SUBSCRIBE".into(), "600"));
    assert!(matches!(&wire.events()[..], [Event::Resubscribed { .. }]));
    notify(&mut wire, subscriber, "<one/>").unwrap();
    let notification = wire.one();
    wire.receive(&response(&notification, 200, "", ""));
    wire.advance(Duration::from_secs(599));
    wire.quiet();
    wire.advance(Duration::from_secs(1));
    let last = wire.one();
    assert_eq!(text(&last, Name::SubscriptionState), "terminated;reason=timeout");
    assert_eq!(ended(&mut wire), (End::Expired, Party::Remote, None));
    wire.receive(&again(&request, &ok, 9, 3600).text());
    assert_eq!(wire.words(), ["481 SUBSCRIBE"]);
    wire.receive(&response(&last, 200, "", ""));
    wire.finish();
}

/// §4.2.1.4, §4.4.3: an Expires of 0, at once or later, asks for one more NOTIFY.
#[test]
fn an_expires_of_zero_asks_for_a_last_notify() {
    for says in [true, false] {
        let mut wire = wire();
        let (request, ok, subscriber) = admitted(&mut wire);
        wire.receive(&again(&request, &ok, 8, 0).text());
        assert_eq!(text(&wire.one(), Name::Expires), "0");
        assert!(matches!(&wire.events()[..], [Event::Resubscribed { .. }]));
        if says {
            notify(&mut wire, subscriber, "<last/>").unwrap();
        } else {
            wire.advance(ms(3999));
            wire.quiet();
            wire.advance(ms(1));
        }
        let last = wire.one();
        assert_eq!(text(&last, Name::SubscriptionState), "terminated;reason=timeout");
        assert_eq!(last.body().is_empty(), !says);
        assert_eq!(ended(&mut wire), (End::Released, Party::Remote, None));
        wire.receive(&response(&last, 200, "", ""));
        wire.finish();
    }
    let mut wire = wire();
    let request = subscribe("f");
    wire.receive(&Request { lines: request.lines.replace("600", "0"), ..request }.text());
    let subscriber = told(&mut wire);
    admit(&mut wire, subscriber, 3600).unwrap();
    assert_eq!(text(&wire.one(), Name::Expires), "0");
    notify(&mut wire, subscriber, "<one/>").unwrap();
    assert_eq!(text(&wire.one(), Name::SubscriptionState), "terminated;reason=timeout");
    wire.finish();
}

/// §4.2.2.
#[test]
fn a_notify_that_meets_nobody_ends_the_subscription() {
    for status in [Some(481), Some(408), None] {
        let mut wire = wire();
        let (_, _, subscriber) = admitted(&mut wire);
        notify(&mut wire, subscriber, "<one/>").unwrap();
        notify(&mut wire, subscriber, "<two/>").unwrap();
        let first = wire.one();
        match status {
            Some(status) => wire.receive(&response(&first, status, "", "")),
            None => wire.advance(T1_64),
        }
        assert_eq!(ended(&mut wire), (End::Lost, Party::Remote, status));
        assert!(wire.sent().iter().all(|message| message.body() == b"<one/>"), "copies of the first only");
        wire.finish();
    }
}

/// §4.2.1.1, §4.4.4.
#[test]
fn only_the_packages_that_are_configured_can_be_subscribed_to() {
    let mut wire = wire();
    for lines in ["Event: presence\r\n", "Event: Conference\r\n", ""] {
        let branch = format!("p{}", lines.len());
        wire.receive(&Request { lines: lines.into(), ..subscribe(&branch) }.text());
        let refused = wire.one();
        assert_eq!(
            (word(&refused), text(&refused, Name::AllowEvents)),
            ("489 SUBSCRIBE".into(), "conference")
        );
    }
    wire.receive(&Request::invite("o").follow("OPTIONS").text());
    let ok = wire.one();
    assert_eq!(text(&ok, Name::AllowEvents), "conference");
    assert!(text(&ok, Name::Allow).ends_with(", SUBSCRIBE, NOTIFY"));
    wire.receive(&Request::invite("i").text());
    let session = wire.invited();
    wire.accept(session).unwrap();
    let ok = wire.one();
    let shared = Request::invite("i").within(&ok, "SUBSCRIBE", 8).with("Event: conference\r\n");
    wire.receive(&shared.text());
    assert_eq!(wire.words(), ["403 SUBSCRIBE"], "§4.5.2");
    wire.quiet();
    wire.finish();

    let mut wire = Wire::new();
    wire.receive(&subscribe("s").text());
    assert_eq!(wire.words(), ["405 SUBSCRIBE"]);
    wire.finish();
}

#[test]
fn a_subscriber_is_refused_by_the_user_or_by_nobody() {
    let mut wire = wire();
    wire.receive(&subscribe("a").text());
    let subscriber = told(&mut wire);
    let reject =
        |status| Command::Reject { subscriber, status, headers: headers(&[(Name::MinExpires, "900")]) };
    assert_eq!(wire.command(reject(200)), Err(Misuse::Status));
    assert_eq!(wire.command(reject(408)), Err(Misuse::Status));
    assert_eq!(notify(&mut wire, subscriber, "<one/>"), Err(Misuse::NotEstablished));
    wire.command(reject(423)).unwrap();
    let refused = wire.one();
    assert_eq!((refused.status(), text(&refused, Name::MinExpires)), (Some(423), "900"));
    assert_eq!(admit(&mut wire, subscriber, 60), Err(Misuse::NoSession));

    wire.receive(&subscribe("b").text());
    let subscriber = told(&mut wire);
    wire.advance(ms(3500));
    assert_eq!(wire.words(), ["100 SUBSCRIBE"]);
    wire.advance(ms(12_500));
    assert_eq!(wire.words(), ["500 SUBSCRIBE"]);
    assert_eq!(admit(&mut wire, subscriber, 60), Err(Misuse::NoSession));
    wire.finish();
}

#[test]
fn no_more_subscribers_stand_than_there_is_room_for() {
    let mut wire = Wire::with(|config| {
        config.events = vec![Bytes::from_static(b"conference")];
        config.subscribers_max = 1;
    });
    wire.receive(&subscribe("a").text());
    let subscriber = told(&mut wire);
    admit(&mut wire, subscriber, 60).unwrap();
    assert_eq!(wire.words(), ["200 SUBSCRIBE"]);
    wire.receive(&subscribe("b").text());
    assert_eq!(wire.words(), ["503 SUBSCRIBE"]);
    wire.quiet();
    wire.advance(Duration::from_secs(60) + T1_64);
    wire.receive(&subscribe("b").text());
    wire.sent();
    assert!(matches!(wire.events().pop(), Some(Event::Subscribed { .. })));
    wire.finish();
}

/// RFC 3261 §18.1.1: TCP for what is long, and UDP after all if that is refused.
#[test]
fn a_long_notify_goes_by_tcp_and_comes_back_to_udp_when_that_is_refused() {
    let mut wire = wire();
    let request = subscribe("s");
    let lines = request.lines.replace("ben.example", "192.0.2.9");
    wire.receive(&Request { lines, ..request }.text());
    let subscriber = told(&mut wire);
    admit(&mut wire, subscriber, 600).unwrap();
    wire.sent();
    let bytes = Bytes::from("x".repeat(1300));
    let body = Some(Body { content_type: Bytes::from_static(b"text/plain"), bytes });
    let state = SubscriptionState::Active;
    wire.command(Command::Notify { subscriber, state, headers: Vec::new(), body }).unwrap();
    let by_tcp = wire.log().remove(0);
    assert_eq!(by_tcp.path.transport, Transport::Tcp);
    assert!(text(&by_tcp.message, Name::Contact).contains("transport=tcp"));
    wire.input(Input::ConnectionRefused { connection: ConnectionId::Opened(1) }).unwrap();
    let by_udp = wire.log().remove(0);
    assert_eq!((by_udp.path, by_udp.message.method()), (udp(PEER), Some(Method::Notify)));
    assert!(!text(&by_udp.message, Name::Contact).contains("transport=tcp"));
    wire.receive(&response(&by_udp.message, 200, "", ""));
    wire.advance(Duration::from_secs(600));
    wire.events();
    wire.finish();
}

/// RFC 3261 §12.2.2, RFC 6665 §4.5.2.
#[test]
fn a_subscribe_in_the_dialog_keeps_the_order_and_the_event() {
    let mut wire = wire();
    let (request, ok, _) = admitted(&mut wire);
    let other = again(&request, &ok, 9, 60);
    let lines = other.lines.replace("id=3", "id=4");
    wire.receive(&Request { lines, ..other }.text());
    assert_eq!(wire.words(), ["403 SUBSCRIBE"]);
    wire.receive(&again(&request, &ok, 8, 60).text());
    assert_eq!(wire.words(), ["500 SUBSCRIBE"]);
    wire.quiet();
    wire.advance(Duration::from_secs(600));
    wire.events();
    wire.finish();
}

#[test]
fn what_cannot_be_said_to_a_subscriber_is_refused_and_changes_nothing() {
    let mut wire = wire();
    let (_, _, subscriber) = admitted(&mut wire);
    let none = Vec::new;
    let forged = terminated(b"x\r\nVia: y");
    let state = || SubscriptionState::Active;
    let long =
        Some(Body { content_type: Bytes::from_static(b"a/b"), bytes: Bytes::from(vec![b'x'; 50_000]) });
    for (command, misuse) in [
        (Command::Notify { subscriber, state: forged, headers: none(), body: None }, Misuse::HeaderLine),
        (
            Command::Notify {
                subscriber,
                state: state(),
                headers: headers(&[(Name::SubscriptionState, "active")]),
                body: None,
            },
            Misuse::HeaderLine,
        ),
        (Command::Notify { subscriber, state: state(), headers: none(), body: long }, Misuse::TooLong),
    ] {
        assert_eq!(wire.command(command), Err(misuse));
    }
    wire.quiet();
    let state = terminated(b"noresource");
    wire.command(Command::Notify { subscriber, state, headers: none(), body: None }).unwrap();
    wire.events();
    wire.finish();
}

/// Seam 5.
#[test]
fn a_subscriber_shows_in_the_canonical_view() {
    let views = ["<one/>", "<two/>"].map(|waiting| {
        let mut wire = wire();
        let (_, _, subscriber) = admitted(&mut wire);
        notify(&mut wire, subscriber, "<first/>").unwrap();
        notify(&mut wire, subscriber, waiting).unwrap();
        wire.sent();
        let view = wire.endpoint.canonical(sip::Instant::at(wire.now), &[Owner::default()]);
        wire.finish();
        view
    });
    assert_ne!(views[0], views[1]);
    assert!(!views[0].as_str().contains('\u{2}'));
}
