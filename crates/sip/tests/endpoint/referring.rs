//! REFER outside of any dialog: RFC 3515, RFC 4488, RFC 7647.

use bytes::Bytes;
use sip::message::{Body, Method, Name};
use sip::transport::{Target, Transport};
use sip::usage::{End, Party};
use sip::{
    Command, Credentials, Duration, Event, Message, Misuse, Owner, Refer, SubscriberId, SubscriptionId,
    SubscriptionState,
};

use crate::wire::*;

const ID: SubscriptionId = SubscriptionId(5);

const REFER_TO: &str = "Refer-To: <sip:cara@example.com;method=INVITE>\r\n";

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

// Ours.

fn wish(wants_progress: bool) -> Refer {
    Refer {
        id: ID,
        within: None,
        targets: vec![Target { transport: Transport::Udp, remote: address(PEER) }],
        uri: bytes("sip:ben@192.0.2.9"),
        from: bytes("<sip:anna@example.com>"),
        to: bytes("<sip:ben@example.com>"),
        routes: Vec::new(),
        refer_to: bytes("<sip:cara@example.com>"),
        headers: headers(&[(Name::ReferredBy, "<sip:anna@example.com>")]),
        body: None,
        contact: None,
        wants_progress,
    }
}

fn refer(wire: &mut Wire, refer: Refer) -> Result<(), Misuse> {
    wire.command(Command::Refer(Box::new(refer)))
}

/// A NOTIFY of the peer in the dialog of `first`, with `tag` as its own.
fn notify(first: &Message, tag: &str, number: u32, event: &str, state: &str) -> Request {
    let request = Request {
        from_tag: tag.into(),
        to_tag: from_tag(first),
        call_id: text(first, Name::CallId).into(),
        number,
        body: "SIP/2.0 100 Trying\r\n".into(),
        ..Request::invite(&format!("n{tag}{number}{}", event.len())).follow("NOTIFY")
    };
    let body = "Content-Type: message/sipfrag;version=2.0\r\n";
    request.with(&format!("Event: {event}\r\nSubscription-State: {state}\r\n{CONTACT}{body}"))
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

#[track_caller]
fn notified(wire: &mut Wire) -> Message {
    let mut events = wire.events();
    assert_eq!(events.len(), 1, "{events:?}");
    let Event::Notified { subscription: ID, message } = events.remove(0) else { panic!("not notified") };
    message
}

/// §2.4.4: a subscription like that of a SUBSCRIBE, for the span that the NOTIFY tells.
#[test]
fn a_refer_that_is_accepted_makes_a_subscription() {
    for status in [200, 202] {
        let mut wire = Wire::new();
        refer(&mut wire, wish(true)).unwrap();
        let first = wire.one();
        assert_eq!((uri(&first), text(&first, Name::CSeq)), ("sip:ben@192.0.2.9", "1 REFER"));
        assert_eq!(values(&first, Name::ReferTo), ["<sip:cara@example.com>"]);
        assert_eq!(text(&first, Name::ReferredBy), "<sip:anna@example.com>");
        assert_eq!(text(&first, Name::Contact), format!("<sip:{}@192.0.2.1:5060>", from_tag(&first)));
        for absent in [Name::Event, Name::Expires, Name::ReferSub, Name::Supported] {
            assert_eq!(first.value(absent), None);
        }
        wire.answer(&first, status, "p1");
        wire.quiet();
        wire.receive(&notify(&first, "p1", 1, "refer", "active;expires=60").text());
        assert_eq!(wire.words(), ["200 NOTIFY"]);
        assert_eq!(notified(&mut wire).body(), b"SIP/2.0 100 Trying\r\n");
        wire.advance(Duration::from_secs(30));
        let refresh = wire.one();
        assert_eq!((text(&refresh, Name::CSeq), text(&refresh, Name::Event)), ("2 SUBSCRIBE", "refer"));
        assert_eq!((refresh.value(Name::ReferTo), refresh.value(Name::ReferredBy)), (None, None));
        wire.receive(&response(&refresh, 200, "", "Expires: 60\r\n"));
        wire.receive(&notify(&first, "p1", 2, "refer", "terminated;reason=noresource").text());
        assert_eq!(wire.words(), ["200 NOTIFY"]);
        let events = wire.events();
        assert!(matches!(&events[0], Event::Notified { .. }) && events.len() == 2);
        let Event::SubscriptionEnded { end: End::Released, reason, .. } = &events[1] else {
            panic!("not ended")
        };
        assert_eq!(*reason, Some(bytes("noresource")));
        wire.receive(&notify(&first, "p1", 3, "refer", "active").text());
        assert_eq!(wire.words(), ["481 NOTIFY"]);
        wire.finish();
    }
}

/// RFC 4488 §4.
#[test]
fn a_refer_without_progress_makes_no_subscription_if_the_peer_agrees() {
    let mut wire = Wire::new();
    refer(&mut wire, wish(false)).unwrap();
    let first = wire.one();
    assert_eq!((text(&first, Name::ReferSub), text(&first, Name::Supported)), ("false", "norefersub"));
    wire.receive(&response(&first, 200, "p1", &format!("{CONTACT}Refer-Sub: false\r\n")));
    assert_eq!(ended(&mut wire), (End::Released, Party::Remote, Some(200)));
    wire.receive(&notify(&first, "p1", 1, "refer", "active").text());
    assert_eq!(wire.words(), ["481 NOTIFY"]);
    wire.quiet();
    wire.finish();
}

/// RFC 4488 §4: it need not agree.
#[test]
fn a_refer_without_progress_makes_a_subscription_if_the_peer_wants_one() {
    for line in ["", "Refer-Sub: true\r\n"] {
        let mut wire = Wire::new();
        refer(&mut wire, wish(false)).unwrap();
        let first = wire.one();
        wire.receive(&response(&first, 200, "p1", &format!("{CONTACT}{line}")));
        wire.receive(&notify(&first, "p1", 1, "refer", "terminated;reason=noresource").text());
        assert_eq!(wire.words(), ["200 NOTIFY"]);
        assert_eq!(wire.events().len(), 2);
        wire.finish();
    }
}

/// §2.4.4.
#[test]
fn a_notify_may_come_before_the_answer_to_its_refer() {
    let mut wire = Wire::new();
    refer(&mut wire, wish(true)).unwrap();
    let first = wire.one();
    wire.receive(&notify(&first, "p1", 1, "refer", "active;expires=60").text());
    assert_eq!(wire.words(), ["200 NOTIFY"]);
    notified(&mut wire);
    wire.answer(&first, 202, "p1");
    wire.quiet();
    wire.command(Command::Unsubscribe { subscription: ID }).unwrap();
    let last = wire.one();
    assert_eq!((word(&last), text(&last, Name::Expires)), ("SUBSCRIBE".into(), "0"));
    wire.receive(&notify(&first, "p1", 2, "refer", "terminated;reason=timeout").text());
    assert_eq!(ended(&mut wire), (End::Left, Party::Local, None));
    wire.finish();
}

/// RFC 4488 §4: the 2xx decides, also behind a NOTIFY.
#[test]
fn a_2xx_that_makes_no_subscription_ends_one_that_a_notify_made() {
    let mut wire = Wire::new();
    refer(&mut wire, wish(false)).unwrap();
    let first = wire.one();
    wire.receive(&notify(&first, "p1", 1, "refer", "active;expires=60").text());
    wire.events();
    wire.receive(&response(&first, 200, "p1", &format!("{CONTACT}Refer-Sub: FALSE;x=y\r\n")));
    assert_eq!(ended(&mut wire), (End::Released, Party::Remote, Some(200)));
    wire.finish();
}

/// §2.4.6: id is the number of the REFER that was taken; what follows has it too.
#[test]
fn the_notifies_of_a_refer_may_have_its_number_as_id() {
    let mut wire = Wire::with(|config| {
        let (username, secret) = (bytes("anna"), bytes("secret"));
        config.credentials = vec![Credentials { realm: None, username, secret }];
    });
    refer(&mut wire, wish(true)).unwrap();
    let first = wire.one();
    let asked = "WWW-Authenticate: Digest realm=\"core\", nonce=\"n1\"\r\n";
    wire.receive(&response(&first, 401, "p1", asked));
    let second = wire.one();
    assert_eq!(text(&second, Name::CSeq), "2 REFER");
    wire.answer(&second, 202, "p1");
    wire.receive(&notify(&second, "p1", 1, "refer;id=1", "active;expires=60").text());
    wire.receive(&notify(&second, "p1", 2, "refer;id=2", "active;expires=60").text());
    wire.receive(&notify(&second, "p1", 3, "refer", "active;expires=60").text());
    assert_eq!(wire.words(), ["481 NOTIFY", "200 NOTIFY", "481 NOTIFY"]);
    notified(&mut wire);
    wire.command(Command::Unsubscribe { subscription: ID }).unwrap();
    assert_eq!(text(&wire.one(), Name::Event), "refer;id=2");
    wire.finish();
}

#[test]
fn a_refer_that_fails_is_told_once() {
    let mut wire = Wire::new();
    refer(&mut wire, wish(true)).unwrap();
    let first = wire.one();
    wire.answer(&first, 603, "p1");
    assert_eq!(ended(&mut wire), (End::Rejected, Party::Remote, Some(603)));
    wire.receive(&notify(&first, "p1", 1, "refer", "active").text());
    assert_eq!(wire.words(), ["481 NOTIFY"]);
    wire.quiet();
    wire.finish();

    let mut wire = Wire::new();
    refer(&mut wire, wish(true)).unwrap();
    let first = wire.one();
    wire.answer(&first, 202, "p1");
    wire.advance(T1_64);
    assert_eq!(ended(&mut wire), (End::TimedOut, Party::Remote, None));
    wire.finish();
}

/// §2.4.1.
#[test]
fn a_refer_that_cannot_be_sent_is_refused_and_changes_nothing() {
    let mut wire = Wire::new();
    for (refused, misuse) in [
        (Refer { targets: Vec::new(), ..wish(true) }, Misuse::NoTarget),
        (Refer { refer_to: Bytes::new(), ..wish(true) }, Misuse::Address),
        (Refer { refer_to: bytes("<sip:a@b>, <sip:c@d>"), ..wish(true) }, Misuse::Address),
        (Refer { refer_to: bytes("<sip:a@b>\r\nVia: x"), ..wish(true) }, Misuse::Address),
        (Refer { headers: headers(&[(Name::ReferTo, "<sip:a@b>")]), ..wish(true) }, Misuse::HeaderLine),
        (Refer { headers: headers(&[(Name::ReferSub, "true")]), ..wish(true) }, Misuse::HeaderLine),
        (Refer { uri: bytes("sip:a@b\r\n"), ..wish(true) }, Misuse::Address),
    ] {
        assert_eq!(refer(&mut wire, refused), Err(misuse));
    }
    assert!(wire.endpoint.is_empty());
    refer(&mut wire, wish(true)).unwrap();
    assert_eq!(refer(&mut wire, wish(true)), Err(Misuse::Busy));
    wire.finish();
}

// Those of the peer.

fn wire() -> Wire {
    Wire::with(|config| config.methods = vec![Method::Refer])
}

fn referral(branch: &str, lines: &str) -> Request {
    Request::invite(branch).follow("REFER").with(CONTACT).with(lines)
}

#[track_caller]
fn referred(wire: &mut Wire) -> (SubscriberId, bool) {
    let mut events = wire.events();
    assert_eq!(events.len(), 1, "{events:?}");
    let Event::Referred { subscriber, session: None, wants_progress, request } = events.remove(0) else {
        panic!("not referred")
    };
    assert_eq!(request.method(), Some(Method::Refer));
    (subscriber, wants_progress)
}

fn admit(wire: &mut Wire, subscriber: SubscriberId) -> Result<(), Misuse> {
    let expires = Duration::from_secs(180);
    wire.command(Command::Admit { subscriber, expires, headers: Vec::new(), contact: None })
}

fn say(
    wire: &mut Wire,
    subscriber: SubscriberId,
    state: SubscriptionState,
    text: &'static str,
) -> Result<(), Misuse> {
    let body = Some(Body { content_type: bytes("message/sipfrag;version=2.0"), bytes: bytes(text) });
    wire.command(Command::Notify { subscriber, state, headers: Vec::new(), body })
}

fn no_resource() -> SubscriptionState {
    SubscriptionState::Terminated { reason: bytes("noresource"), retry_after: None }
}

/// §2.4.4, §2.4.7, RFC 7647 §5: 200, and never 202.
#[test]
fn a_refer_of_the_peer_is_admitted_and_told_of_its_progress() {
    let mut wire = wire();
    let request = referral("r", REFER_TO);
    wire.receive(&request.text());
    let (subscriber, wants_progress) = referred(&mut wire);
    assert!(wants_progress);
    wire.receive(&request.text());
    wire.quiet();
    admit(&mut wire, subscriber).unwrap();
    let ok = wire.one();
    assert_eq!(word(&ok), "200 REFER");
    assert!(text(&ok, Name::Contact).starts_with(&format!("<sip:{}@", to_tag(&ok).unwrap())));
    assert_eq!((ok.value(Name::Expires), ok.value(Name::ReferSub)), (None, None));
    say(&mut wire, subscriber, SubscriptionState::Active, "SIP/2.0 100 Trying\r\n").unwrap();
    let first = wire.one();
    assert_eq!((word(&first), uri(&first)), ("NOTIFY".into(), "sip:ben@ben.example"));
    assert_eq!((text(&first, Name::Event), first.body()), ("refer", &b"SIP/2.0 100 Trying\r\n"[..]));
    assert_eq!(text(&first, Name::SubscriptionState), "active;expires=180");
    assert_eq!((to_tag(&first), Some(from_tag(&first))), (Some("b1".into()), to_tag(&ok)));
    wire.receive(&response(&first, 200, "", ""));
    let refresh = request.within(&ok, "SUBSCRIBE", 8).with(CONTACT).with("Event: refer\r\nExpires: 60\r\n");
    wire.receive(&refresh.text());
    assert_eq!(wire.words(), ["200 SUBSCRIBE"]);
    assert!(matches!(&wire.events()[..], [Event::Resubscribed { .. }]));
    say(&mut wire, subscriber, no_resource(), "SIP/2.0 200 OK\r\n").unwrap();
    let last = wire.one();
    assert_eq!(text(&last, Name::SubscriptionState), "terminated;reason=noresource");
    assert!(matches!(&wire.events()[..], [Event::SubscriberEnded { end: End::Left, .. }]));
    wire.receive(&response(&last, 200, "", ""));
    wire.finish();
}

/// RFC 4488 §4.
#[test]
fn a_refer_without_subscription_is_accepted_and_nothing_is_left() {
    let mut wire = wire();
    let request = referral("r", REFER_TO).with("Refer-Sub: false\r\nRequire: norefersub\r\n");
    wire.receive(&request.text());
    let (subscriber, wants_progress) = referred(&mut wire);
    assert!(!wants_progress);
    admit(&mut wire, subscriber).unwrap();
    let ok = wire.one();
    assert_eq!((word(&ok), text(&ok, Name::ReferSub)), ("200 REFER".into(), "false"));
    assert!(ok.value(Name::Contact).is_some(), "RFC 3515 §2.2");
    assert!(wire.endpoint.is_settled());
    let said = say(&mut wire, subscriber, SubscriptionState::Active, "SIP/2.0 100 Trying\r\n");
    assert_eq!(said, Err(Misuse::NoSession));
    wire.receive(&request.text());
    assert_eq!(wire.one().bytes(), ok.bytes());
    let within = request.within(&ok, "SUBSCRIBE", 8).with(CONTACT).with("Event: refer\r\n");
    wire.receive(&within.text());
    assert_eq!(wire.words(), ["481 SUBSCRIBE"]);
    wire.quiet();
    wire.finish();
}

#[test]
fn a_refer_is_refused_by_the_user_or_by_nobody() {
    let mut wire = wire();
    wire.receive(&referral("a", REFER_TO).text());
    let (subscriber, _) = referred(&mut wire);
    wire.command(Command::Reject { subscriber, status: 603, headers: Vec::new() }).unwrap();
    assert_eq!(wire.words(), ["603 REFER"]);
    assert_eq!(admit(&mut wire, subscriber), Err(Misuse::NoSession));
    wire.receive(&referral("b", REFER_TO).with("Refer-Sub: false\r\n").text());
    referred(&mut wire);
    wire.advance(ms(16_000));
    assert_eq!(wire.words(), ["100 REFER", "500 REFER"]);
    wire.quiet();
    wire.finish();
}

/// §2.4.2.
#[test]
fn a_refer_with_no_or_several_addresses_is_400() {
    let mut wire = wire();
    for (branch, lines) in [
        ("none", String::new()),
        ("lines", format!("{REFER_TO}{REFER_TO}")),
        ("short", format!("{REFER_TO}r: <sip:cara@example.com>\r\n")),
        ("list", "Refer-To: <sip:cara@example.com>, <sip:dan@example.com>\r\n".into()),
        ("empty", "Refer-To: \r\n".into()),
    ] {
        wire.receive(&referral(branch, &lines).text());
        assert_eq!(wire.words(), ["400 REFER"], "{branch}");
    }
    wire.quiet();
    wire.finish();
}

/// RFC 6665 §4.2.1.4; RFC 3515 §2.4.5: every NOTIFY has a body.
#[test]
fn the_end_of_the_time_says_what_is_known_of_the_refer() {
    let mut wire = wire();
    wire.receive(&referral("r", REFER_TO).text());
    let (subscriber, _) = referred(&mut wire);
    admit(&mut wire, subscriber).unwrap();
    wire.sent();
    wire.advance(Duration::from_secs(180));
    let last = wire.one();
    assert_eq!(text(&last, Name::SubscriptionState), "terminated;reason=timeout");
    assert_eq!(text(&last, Name::ContentType), "message/sipfrag;version=2.0");
    assert_eq!(last.body(), b"SIP/2.0 100 Trying\r\n");
    assert!(matches!(&wire.events()[..], [Event::SubscriberEnded { end: End::Expired, .. }]));
    wire.receive(&response(&last, 200, "", ""));
    wire.finish();
}

/// §2.4.4: REFER is the only way to such a subscription.
#[test]
fn a_subscribe_to_refer_is_403_and_only_who_takes_refer_says_so() {
    let subscribe = Request::invite("s").follow("SUBSCRIBE").with(CONTACT).with("Event: refer\r\n");
    let mut wire = wire();
    wire.receive(&subscribe.text());
    assert_eq!(wire.words(), ["403 SUBSCRIBE"]);
    wire.receive(&Request::invite("o").follow("OPTIONS").text());
    let ok = wire.one();
    assert!(text(&ok, Name::Allow).ends_with(", SUBSCRIBE, NOTIFY, REFER"));
    assert_eq!(text(&ok, Name::AllowEvents), "refer");
    assert!(values(&ok, Name::Supported).contains(&"norefersub".to_owned()));
    wire.quiet();
    wire.finish();

    let mut wire = Wire::new();
    wire.receive(&referral("r", REFER_TO).text());
    wire.receive(&referral("q", REFER_TO).with("Require: norefersub\r\n").text());
    wire.receive(&subscribe.text());
    assert_eq!(wire.words(), ["405 REFER", "420 REFER", "405 SUBSCRIBE"]);
    wire.quiet();
    wire.finish();
}

/// R21: 200 to the CANCEL, and the REFER goes on.
#[test]
fn a_cancel_of_a_refer_has_no_effect() {
    let mut wire = wire();
    let request = referral("r", REFER_TO);
    wire.receive(&request.text());
    let (subscriber, _) = referred(&mut wire);
    wire.receive(&request.cancel().text());
    let cancelled = wire.one();
    assert_eq!(word(&cancelled), "200 CANCEL");
    assert_eq!(wire.events(), []);
    admit(&mut wire, subscriber).unwrap();
    let ok = wire.one();
    assert_eq!((word(&ok), to_tag(&ok)), ("200 REFER".into(), to_tag(&cancelled)));
    say(&mut wire, subscriber, no_resource(), "SIP/2.0 200 OK\r\n").unwrap();
    wire.events();
    wire.finish();
}

#[test]
fn a_refer_that_comes_twice_is_482_and_one_without_room_is_503() {
    let mut wire = Wire::with(|config| {
        config.methods = vec![Method::Refer];
        config.subscribers_max = 1;
    });
    let first = referral("one", REFER_TO);
    wire.receive(&first.text());
    let (subscriber, _) = referred(&mut wire);
    wire.receive(&Request { via: first.via.replace("one", "two"), ..first }.text());
    wire.receive(&referral("three", REFER_TO).text());
    assert_eq!(wire.words(), ["482 REFER", "503 REFER"]);
    wire.quiet();
    wire.command(Command::Reject { subscriber, status: 480, headers: Vec::new() }).unwrap();
    wire.finish();
}

/// Seam 5.
#[test]
fn a_refer_that_waits_shows_in_the_canonical_view() {
    let views = ["Refer-Sub: false\r\n", "Refer-Sub: true\r\n"].map(|line| {
        let mut wire = wire();
        wire.receive(&referral("r", REFER_TO).with(line).text());
        referred(&mut wire);
        let view = wire.endpoint.canonical(sip::Instant::at(wire.now), &[Owner::default()]);
        wire.finish();
        view
    });
    assert_ne!(views[0], views[1]);
    assert!(!views[0].as_str().contains('\u{2}'));
}
