//! Subscriptions of ours: RFC 6665 §4.1.

use bytes::Bytes;
use sip::message::Name;
use sip::transport::{ConnectionId, Target, Transport};
use sip::usage::{End, Party};
use sip::{
    Command, Contact, Credentials, Duration, Event, Input, Message, Misuse, Owner, Subscribe, SubscriptionId,
};

use crate::wire::*;

const ID: SubscriptionId = SubscriptionId(5);

fn conference(expires: u64) -> Subscribe {
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    Subscribe {
        id: ID,
        targets: vec![Target { transport: Transport::Udp, remote: address(PEER) }],
        uri: bytes("sip:room@192.0.2.9;session=1"),
        from: bytes("<sip:anna@example.com>"),
        to: bytes("<sip:room@example.com>"),
        routes: Vec::new(),
        event: bytes("conference"),
        expires: Duration::from_secs(expires),
        headers: headers(&[(Name::Accept, "application/conference-info+xml")]),
        body: None,
        contact: Some(Contact { parameters: bytes(";+g.poc.talkburst"), ..Contact::default() }),
    }
}

fn subscribe(wire: &mut Wire, subscribe: Subscribe) -> Result<(), Misuse> {
    wire.command(Command::Subscribe(Box::new(subscribe)))
}

/// A NOTIFY of the peer in the dialog of `first`, with `tag` as its own.
fn notify(first: &Message, tag: &str, number: u32, state: &str) -> Request {
    let request = Request {
        from_tag: tag.into(),
        to_tag: from_tag(first),
        call_id: text(first, Name::CallId).into(),
        number,
        ..Request::invite(&format!("n{tag}{number}")).follow("NOTIFY")
    };
    request.with(&format!("Event: conference\r\nSubscription-State: {state}\r\n{CONTACT}"))
}

fn expires(seconds: u32) -> String {
    format!("{CONTACT}Expires: {seconds}\r\n")
}

/// Subscribed for an hour: the SUBSCRIBE, which was answered and notified.
fn subscribed(wire: &mut Wire) -> Message {
    subscribe(wire, conference(3600)).expect("well-formed");
    let first = wire.one();
    wire.receive(&response(&first, 200, "p1", &expires(3600)));
    wire.receive(&notify(&first, "p1", 1, "active;expires=3600").text());
    assert_eq!(wire.words(), ["200 NOTIFY"]);
    assert!(matches!(&wire.events()[..], [Event::Notified { subscription: ID, .. }]));
    first
}

#[track_caller]
fn ended(wire: &mut Wire) -> (End, Party, Option<u16>) {
    let mut events = wire.events();
    assert_eq!(events.len(), 1, "{events:?}");
    let Event::SubscriptionEnded { subscription: ID, end, by, status, .. } = events.remove(0) else {
        panic!("not ended")
    };
    (end, by, status)
}

#[test]
fn a_subscription_is_made_by_its_notify_refreshed_and_ended() {
    let mut wire = Wire::new();
    subscribe(&mut wire, conference(3600)).unwrap();
    let first = wire.one();
    assert_eq!((uri(&first), text(&first, Name::CSeq)), ("sip:room@192.0.2.9;session=1", "1 SUBSCRIBE"));
    assert_eq!((text(&first, Name::Event), text(&first, Name::Expires)), ("conference", "3600"));
    assert_eq!(text(&first, Name::Accept), "application/conference-info+xml");
    assert_eq!(
        text(&first, Name::Contact),
        format!("<sip:{}@192.0.2.1:5060>;+g.poc.talkburst", from_tag(&first))
    );
    wire.receive(&response(&first, 200, "p1", &expires(3600)));
    wire.quiet();
    let routed = notify(&first, "p1", 7, "active;expires=3600").with("Record-Route: <sip:192.0.2.9;lr>\r\n");
    wire.receive(&Request { body: "<x/>".into(), ..routed.clone() }.text());
    let ok = wire.one();
    assert_eq!((word(&ok), to_tag(&ok)), ("200 NOTIFY".into(), Some(from_tag(&first))));
    assert!(!text(&ok, Name::Contact).is_empty() && !text(&ok, Name::RecordRoute).is_empty());
    let Some(Event::Notified { subscription: ID, message }) = wire.events().pop() else { panic!("not told") };
    assert_eq!(message.body(), b"<x/>");
    wire.receive(&Request { body: "<x/>".into(), ..routed }.text());
    assert_eq!(wire.words(), ["200 NOTIFY"]);
    assert_eq!(wire.events(), [], "a copy is told once");

    wire.advance(Duration::from_secs(2999));
    wire.quiet();
    wire.advance(Duration::from_secs(1));
    let refresh = wire.one();
    assert_eq!((uri(&refresh), text(&refresh, Name::Route)), ("sip:ben@ben.example", "<sip:192.0.2.9;lr>"));
    assert_eq!((text(&refresh, Name::CSeq), text(&refresh, Name::Expires)), ("2 SUBSCRIBE", "3600"));
    assert_eq!(text(&refresh, Name::Accept), "application/conference-info+xml");
    assert_eq!((to_tag(&refresh), from_tag(&refresh)), (Some("p1".into()), from_tag(&first)));
    wire.receive(&response(&refresh, 200, "", &expires(3600)));
    wire.receive(&notify(&first, "p1", 8, "active;expires=3600").text());
    assert_eq!(wire.words(), ["200 NOTIFY"]);
    wire.events();

    wire.command(Command::Unsubscribe { subscription: ID }).unwrap();
    let last = wire.one();
    assert_eq!((text(&last, Name::CSeq), text(&last, Name::Expires)), ("3 SUBSCRIBE", "0"));
    wire.receive(&response(&last, 200, "", &expires(0)));
    wire.receive(&notify(&first, "p1", 9, "terminated;reason=timeout").text());
    assert_eq!(wire.words(), ["200 NOTIFY"]);
    assert_eq!(ended(&mut wire), (End::Left, Party::Local, None));
    assert_eq!(wire.command(Command::Unsubscribe { subscription: ID }), Err(Misuse::NoSession));
    wire.receive(&notify(&first, "p1", 10, "active").text());
    assert_eq!(wire.words(), ["481 NOTIFY"]);
    wire.finish();
}

/// §4.1.2.4: the NOTIFY may come before the 2xx, and of several dialogs one is taken.
#[test]
fn the_first_notify_makes_the_dialog_and_any_other_is_481() {
    let mut wire = Wire::new();
    subscribe(&mut wire, conference(3600)).unwrap();
    let first = wire.one();
    wire.receive(&notify(&first, "p2", 1, "pending;expires=3600").text());
    wire.receive(&notify(&first, "p1", 1, "active;expires=3600").text());
    assert_eq!(wire.words(), ["200 NOTIFY", "481 NOTIFY"]);
    assert_eq!(wire.events().len(), 1);
    wire.receive(&response(&first, 200, "p1", &expires(3600)));
    wire.command(Command::Unsubscribe { subscription: ID }).unwrap();
    assert_eq!(to_tag(&wire.one()), Some("p2".into()));
    wire.advance(T1_64);
    assert_eq!(ended(&mut wire), (End::Left, Party::Local, None));
    wire.finish();
}

/// §4.1.2.4: timer N.
#[test]
fn without_a_notify_the_subscription_has_failed_after_64_t1() {
    let mut wire = Wire::new();
    subscribe(&mut wire, conference(3600)).unwrap();
    let first = wire.one();
    wire.receive(&response(&first, 200, "p1", &expires(3600)));
    wire.advance(T1_64 - ms(1));
    wire.quiet();
    wire.advance(ms(1));
    assert_eq!(ended(&mut wire), (End::TimedOut, Party::Remote, None));
    wire.receive(&notify(&first, "p1", 1, "active").text());
    assert_eq!(wire.words(), ["481 NOTIFY"]);
    wire.finish();
}

#[test]
fn a_fetch_is_over_with_its_notify() {
    let mut wire = Wire::new();
    subscribe(&mut wire, conference(0)).unwrap();
    let first = wire.one();
    assert_eq!(text(&first, Name::Expires), "0");
    wire.receive(&response(&first, 200, "p1", &expires(0)));
    wire.receive(&notify(&first, "p1", 1, "terminated;reason=timeout").text());
    assert_eq!(wire.words(), ["200 NOTIFY"]);
    let events = wire.events();
    assert!(matches!(&events[0], Event::Notified { .. }) && events.len() == 2);
    assert!(matches!(&events[1], Event::SubscriptionEnded { end: End::Left, by: Party::Local, .. }));
    wire.finish();
}

/// §4.1.3.
#[test]
fn a_last_notify_says_why_and_when_to_try_again() {
    let mut wire = Wire::new();
    let first = subscribed(&mut wire);
    wire.receive(&notify(&first, "p1", 2, "terminated;reason=probation;retry-after=30").text());
    assert_eq!(wire.words(), ["200 NOTIFY"]);
    let Some(Event::SubscriptionEnded { end, by, reason, retry_after, .. }) = wire.events().pop() else {
        panic!("not ended")
    };
    assert_eq!((end, by, reason), (End::Released, Party::Remote, Some(Bytes::from_static(b"probation"))));
    assert_eq!(retry_after, Some(Duration::from_secs(30)));
    wire.finish();
}

/// §4.1.2.2.
#[test]
fn a_refresh_that_is_481_ends_it_and_one_that_is_503_does_not() {
    let mut wire = Wire::new();
    subscribed(&mut wire);
    wire.advance(Duration::from_secs(3000));
    let refresh = wire.one();
    wire.receive(&response(&refresh, 503, "", ""));
    wire.quiet();
    wire.advance(Duration::from_secs(300));
    let again = wire.one();
    assert_eq!(text(&again, Name::CSeq), "3 SUBSCRIBE");
    wire.receive(&response(&again, 481, "", ""));
    assert_eq!(ended(&mut wire), (End::Lost, Party::Remote, Some(481)));
    wire.finish();
}

#[test]
fn a_refusal_is_told_once() {
    let mut wire = Wire::new();
    subscribe(&mut wire, conference(3600)).unwrap();
    let first = wire.one();
    wire.receive(&response(&first, 489, "p1", ""));
    assert_eq!(ended(&mut wire), (End::Rejected, Party::Remote, Some(489)));
    wire.receive(&notify(&first, "p1", 1, "active").text());
    assert_eq!(wire.words(), ["481 NOTIFY"]);
    wire.quiet();
    wire.finish();
}

/// There is no dialog in which it could be said before the first NOTIFY.
#[test]
fn unsubscribing_before_the_notify_waits_for_it() {
    let mut wire = Wire::new();
    subscribe(&mut wire, conference(3600)).unwrap();
    let first = wire.one();
    wire.command(Command::Unsubscribe { subscription: ID }).unwrap();
    wire.quiet();
    wire.receive(&response(&first, 200, "p1", &expires(3600)));
    wire.receive(&notify(&first, "p1", 1, "active;expires=3600").text());
    let sent = wire.sent();
    assert_eq!(sent.iter().map(word).collect::<Vec<_>>(), ["200 NOTIFY", "SUBSCRIBE"]);
    assert_eq!(text(&sent[1], Name::Expires), "0");
    assert_eq!(wire.events(), []);
    wire.receive(&notify(&first, "p1", 2, "terminated").text());
    assert_eq!(ended(&mut wire), (End::Left, Party::Local, None));
    wire.finish();
}

#[test]
fn a_challenged_subscribe_leaves_again_also_in_the_dialog() {
    let mut wire = Wire::with(|config| {
        let (username, secret) = (Bytes::from_static(b"anna"), Bytes::from_static(b"secret"));
        config.credentials = vec![Credentials { realm: None, username, secret }];
    });
    let asked = |nonce: &str| format!("WWW-Authenticate: Digest realm=\"core\", nonce=\"{nonce}\"\r\n");
    subscribe(&mut wire, conference(3600)).unwrap();
    let first = wire.one();
    wire.receive(&response(&first, 401, "p1", &asked("n1")));
    let second = wire.one();
    assert_eq!(text(&second, Name::CSeq), "2 SUBSCRIBE");
    wire.receive(&response(&second, 200, "p1", &expires(3600)));
    wire.receive(&notify(&first, "p1", 1, "active;expires=3600").text());
    wire.sent();
    wire.advance(Duration::from_secs(3000));
    let refresh = wire.one();
    assert_eq!(text(&refresh, Name::CSeq), "3 SUBSCRIBE", "behind what made the dialog");
    assert!(text(&refresh, Name::Authorization).contains("nonce=\"n1\""));
    wire.receive(&response(&refresh, 401, "", &asked("n2")));
    let again = wire.one();
    assert_eq!(text(&again, Name::CSeq), "4 SUBSCRIBE");
    wire.events();
    // Behind the wish no refresh starts anew.
    wire.command(Command::Unsubscribe { subscription: ID }).unwrap();
    let last = wire.one();
    assert_eq!((text(&last, Name::CSeq), text(&last, Name::Expires)), ("5 SUBSCRIBE", "0"));
    wire.receive(&response(&again, 401, "", &asked("n3").replace("nonce", "stale=true, nonce")));
    wire.quiet();
    wire.receive(&notify(&first, "p1", 2, "terminated").text());
    wire.sent();
    wire.finish();
}

/// RFC 3263 §4.3: Via, Contact and all are those of the way that was taken.
#[test]
fn a_subscribe_goes_to_the_next_target_when_one_does_not_answer() {
    let mut wire = Wire::new();
    let tcp = Target { transport: Transport::Tcp, remote: address("192.0.2.10:5060") };
    let udp = Target { transport: Transport::Udp, remote: address(PEER) };
    subscribe(&mut wire, Subscribe { targets: vec![tcp, udp], ..conference(3600) }).unwrap();
    assert!(text(&wire.one(), Name::Contact).contains("transport=tcp"));
    wire.input(Input::ConnectionRefused { connection: ConnectionId::Opened(1) }).unwrap();
    let sent = wire.log().remove(0);
    assert_eq!(sent.path, crate::wire::udp(PEER));
    assert!(!text(&sent.message, Name::Contact).contains("transport=tcp"));
    wire.receive(&response(&sent.message, 403, "p1", ""));
    assert_eq!(ended(&mut wire), (End::Rejected, Party::Remote, Some(403)));
    wire.finish();
}

/// §4.1.3, §8.2.1, RFC 3261 §12.2.2.
#[test]
fn a_notify_that_does_not_belong_to_the_subscription_is_refused() {
    let mut wire = Wire::new();
    let first = subscribed(&mut wire);
    let active = notify(&first, "p1", 5, "active");
    let with = |from: &str, to: &str| Request { lines: active.lines.replace(from, to), ..active.clone() };
    for (request, expected) in [
        (with("Event: conference", "Event: presence"), "481 NOTIFY"),
        (with("Event: conference", "Event: conference;id=7"), "481 NOTIFY"),
        (with("Event: conference\r\n", ""), "489 NOTIFY"),
        (with("Subscription-State: active\r\n", ""), "400 NOTIFY"),
        (notify(&first, "p1", 1, "active"), "500 NOTIFY"),
        (notify(&first, "p1", 6, "active"), "200 NOTIFY"),
    ] {
        let branch = format!("x{}{}", request.number, expected.len() + request.lines.len());
        let via = request.via.replace(&request.branch, &branch);
        wire.receive(&Request { via, ..request }.text());
        assert_eq!(wire.words(), [expected]);
    }
    assert_eq!(wire.events().len(), 1);
    let bye = Request { lines: String::new(), ..notify(&first, "p1", 9, "active") };
    wire.receive(&Request { method: "BYE", ..bye }.text());
    assert_eq!(wire.words(), ["481 BYE"]);
    wire.command(Command::Unsubscribe { subscription: ID }).unwrap();
    wire.finish();
}

#[test]
fn a_subscription_that_cannot_be_asked_for_is_refused_and_changes_nothing() {
    let mut wire = Wire::new();
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    for (refused, misuse) in [
        (Subscribe { targets: Vec::new(), ..conference(1) }, Misuse::NoTarget),
        (Subscribe { event: bytes("a b"), ..conference(1) }, Misuse::HeaderLine),
        (Subscribe { event: bytes("a, b"), ..conference(1) }, Misuse::HeaderLine),
        (Subscribe { event: bytes("a\r\nVia: x"), ..conference(1) }, Misuse::HeaderLine),
        (Subscribe { headers: headers(&[(Name::Expires, "7")]), ..conference(1) }, Misuse::HeaderLine),
        (Subscribe { uri: bytes("sip:a@b\r\n"), ..conference(1) }, Misuse::Address),
    ] {
        assert_eq!(subscribe(&mut wire, refused), Err(misuse));
    }
    assert!(wire.endpoint.is_empty());
    subscribe(&mut wire, conference(3600)).unwrap();
    assert_eq!(subscribe(&mut wire, conference(3600)), Err(Misuse::Busy));
    wire.finish();
}

/// Seam 5.
#[test]
fn a_subscription_shows_in_the_canonical_view() {
    let views = ["active;expires=3600", "active;expires=60"].map(|state| {
        let mut wire = Wire::new();
        subscribe(&mut wire, conference(3600)).unwrap();
        let first = wire.one();
        wire.receive(&notify(&first, "p1", 1, state).text());
        wire.sent();
        wire.events();
        let view = wire.endpoint.canonical(sip::Instant::at(wire.now), &[Owner::default()]);
        wire.command(Command::Unsubscribe { subscription: ID }).unwrap();
        wire.finish();
        view
    });
    assert_ne!(views[0], views[1]);
}
