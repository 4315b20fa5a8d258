//! Who is told where a user is registered: RFC 3680, RFC 6665.

use bytes::Bytes;
use sip::Message;
use sip::message::Name;
use sip::transport::{ConnectionId, Target, Transport};
use sipcore::{Command, Input, Peer, shard_of};

use crate::wire::*;

const REG: &str = "Event: reg\r\nExpires: 600\r\n";

fn subscribe(user: &str, at: &'static str, to: &str) -> Request {
    Request::new("SUBSCRIBE", user, at, to).with(REG)
}

/// A subscription of ben to its own registration: its SUBSCRIBE, the 200 and the first NOTIFY, which is answered.
fn subscribed(wire: &mut Wire) -> (Request, Message, Message) {
    let request = wire.send_proven(&subscribe("ben", BEN, "ben"), "ben");
    let mut sent = wire.sent();
    let words: Vec<_> = sent.iter().map(|each| word(&each.message)).collect();
    assert_eq!(words, ["200 SUBSCRIBE", "NOTIFY"]);
    let notify = sent.remove(1);
    assert_eq!((notify.to(), uri(&notify.message)), (BEN.into(), &*format!("sip:ben@{BEN}")));
    wire.answer(&notify, 200);
    wire.nothing();
    (request, sent.remove(0).message, notify.message)
}

/// Another SUBSCRIBE in the dialog of the first.
fn again(first: &Request, ok: &Message, number: u32, expires: u32) -> Request {
    let lines = format!("Contact: <sip:ben@{BEN}>\r\nEvent: reg\r\nExpires: {expires}\r\n");
    first.within(ok, "SUBSCRIBE", number).with(&lines)
}

/// The NOTIFY that has left alone, and is answered.
#[track_caller]
fn notified(wire: &mut Wire) -> Message {
    let notify = wire.one();
    assert_eq!(word(&notify.message), "NOTIFY");
    wire.answer(&notify, 200);
    wire.nothing();
    notify.message
}

fn document(notify: &Message) -> String {
    String::from_utf8(notify.body().to_vec()).expect("text")
}

/// The values of an attribute, in their order.
fn attributes(notify: &Message, name: &str) -> Vec<String> {
    let (document, mark) = (document(notify), format!(" {name}=\""));
    let mut parts = document.split(&mark);
    parts.next();
    parts.map(|part| part.split('"').next().unwrap_or_default().to_owned()).collect()
}

/// Version, and each state: of the document, of the registration, of its contacts.
fn told(notify: &Message) -> (String, Vec<String>, Vec<String>) {
    (attributes(notify, "version")[1..].concat(), attributes(notify, "state"), attributes(notify, "event"))
}

fn is_told(notify: &Message, version: &str, states: &[&str], events: &[&str]) {
    let (number, all, causes) = told(notify);
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    assert_eq!((&*number, &all[..1], &all[1..]), (version, &["full"][..], states), "{}", document(notify));
    assert_eq!(causes, events, "{}", document(notify));
}

/// Ends the subscription, so that nothing remains.
fn unsubscribe(wire: &mut Wire, first: &Request, ok: &Message, number: u32) -> Message {
    wire.send(&again(first, ok, number, 0));
    let sent = wire.sent();
    assert_eq!((word(&sent[0].message), word(&sent[1].message)), ("200 SUBSCRIBE".into(), "NOTIFY".into()));
    wire.answer(&sent[1], 200);
    assert_eq!(text(&sent[1].message, Name::SubscriptionState), "terminated;reason=timeout");
    sent[1].message.clone()
}

#[test]
fn a_user_subscribes_to_its_registration_and_is_told_all_of_it() {
    let mut wire = Wire::new();
    let line =
        format!("Contact: <sip:ben@{BEN}>;+g.poc.talkburst;methods=\"INVITE,<&>\";q=0.7;expires=900\r\n");
    wire.register_on(udp(BEN), "ben", BEN, &line);
    wire.advance(ms(100_000));
    let (request, ok, notify) = subscribed(&mut wire);
    assert_eq!(text(&ok, Name::Expires), "600");
    assert_eq!(text(&notify, Name::Event), "reg");
    assert_eq!(text(&notify, Name::SubscriptionState), "active;expires=600");
    assert_eq!(text(&notify, Name::ContentType), "application/reginfo+xml");
    is_told(&notify, "0", &["active", "active"], &["registered"]);
    assert_eq!(attributes(&notify, "aor"), ["sip:ben@poc.example"]);
    assert_eq!(
        (attributes(&notify, "expires"), attributes(&notify, "q")),
        (vec!["800".into()], vec!["0.7".into()])
    );
    assert_eq!(attributes(&notify, "duration-registered"), ["100"]);
    assert_eq!(attributes(&notify, "callid"), [format!("reg-ben-{BEN}")]);
    assert_eq!(attributes(&notify, "cseq"), ["2"]);
    let document = document(&notify);
    assert!(document.contains(&format!("<uri>sip:ben@{BEN}</uri>")), "{document}");
    assert!(document.contains("<unknown-param name=\"+g.poc.talkburst\"></unknown-param>"), "{document}");
    let methods = "<unknown-param name=\"methods\">&quot;INVITE,&lt;&amp;&gt;&quot;</unknown-param>";
    assert!(document.contains(methods), "{document}");
    let last = unsubscribe(&mut wire, &request, &ok, 3);
    is_told(&last, "1", &["active", "active"], &["registered"]);
    wire.finish();
}

/// RFC 3680 §4.7: what comes and goes, and how.
#[test]
fn a_change_of_the_bindings_is_told_with_its_cause() {
    let mut wire = Wire::new();
    let (request, ok, notify) = subscribed(&mut wire);
    is_told(&notify, "0", &["init"], &[]);
    let registration = attributes(&notify, "id");
    // Registered.
    wire.register("ben", BEN, ";expires=60");
    wire.nothing();
    wire.advance(ms(5000));
    let notify = notified(&mut wire);
    is_told(&notify, "1", &["active", "active"], &["registered"]);
    let ids = attributes(&notify, "id");
    assert_eq!(ids[..1], registration);
    // A mere refresh is nothing to tell; another parameter is.
    wire.register_on(udp(BEN), "ben", BEN_2, &format!("Contact: <sip:ben@{BEN}>;expires=60\r\n"));
    wire.advance(ms(10_000));
    wire.nothing();
    wire.send_proven(
        &register("ben", BEN_3, &format!("Contact: <sip:ben@{BEN}>;q=0.5;expires=60\r\n")),
        "ben",
    );
    let sent = wire.sent();
    assert_eq!((word(&sent[0].message), word(&sent[1].message)), ("200 REGISTER".into(), "NOTIFY".into()));
    wire.answer(&sent[1], 200);
    is_told(&sent[1].message, "2", &["active", "active"], &["refreshed"]);
    assert_eq!(attributes(&sent[1].message, "id"), ids);
    // Expired.
    wire.advance(ms(59_999));
    wire.nothing();
    wire.advance(ms(1));
    let notify = notified(&mut wire);
    is_told(&notify, "3", &["terminated", "terminated"], &["expired"]);
    assert_eq!(attributes(&notify, "id"), ids);
    // Removed by a REGISTER, beside one that stays.
    wire.register("ben", BEN, "");
    wire.register("ben", BEN_2, "");
    wire.advance(ms(5000));
    is_told(&notified(&mut wire), "4", &["active", "active", "active"], &["registered", "registered"]);
    let remove = Request { call_id: "x".into(), branch: "x".into(), ..register("ben", BEN, "") };
    wire.send_proven(&remove.with(&format!("Contact: <sip:ben@{BEN}>;expires=0\r\n")), "ben");
    assert_eq!(wire.words(), ["200 REGISTER"]);
    wire.advance(ms(5000));
    is_told(&notified(&mut wire), "5", &["active", "active", "terminated"], &["registered", "unregistered"]);
    // What has ended is told once.
    is_told(&unsubscribe(&mut wire, &request, &ok, 3), "6", &["active", "active"], &["registered"]);
    wire.finish();
}

/// What a subscriber is told last is what holds.
#[test]
fn a_contact_that_comes_back_before_it_was_told_gone_is_bound_and_one_whose_time_is_over_has_expired() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, ";expires=60");
    let (request, ok, _) = subscribed(&mut wire);
    for (number, span) in [(10, 0), (20, 60)] {
        let line = format!("Contact: <sip:ben@{BEN}>;expires={span}\r\n");
        let register = Request { number, branch: format!("n{number}"), ..register("ben", BEN, &line) };
        wire.send_proven(&register, "ben");
        assert_eq!(wire.words(), ["200 REGISTER"]);
    }
    wire.advance(ms(5000));
    is_told(&notified(&mut wire), "1", &["active", "active"], &["registered"]);
    // A REGISTER may come before the timer is looked at.
    wire.now += ms(60_000);
    let other = register("ben", BEN_2, &format!("Contact: <sip:ben@{BEN_2}>\r\n"));
    wire.send_proven(&other, "ben");
    let sent = wire.sent();
    assert_eq!((word(&sent[0].message), word(&sent[1].message)), ("200 REGISTER".into(), "NOTIFY".into()));
    wire.answer(&sent[1], 200);
    is_told(&sent[1].message, "2", &["active", "active", "terminated"], &["registered", "expired"]);
    unsubscribe(&mut wire, &request, &ok, 3);
    wire.finish();
}

#[test]
fn a_connection_that_is_lost_deactivates_its_contact() {
    let mut wire = Wire::new();
    wire.register_on(tcp(BEN_2, 7), "ben", BEN_2, &format!("Contact: <sip:ben@{BEN_2};transport=tcp>\r\n"));
    let (request, ok, _) = subscribed(&mut wire);
    wire.advance(ms(6000));
    wire.input(Input::ConnectionLost { connection: ConnectionId::Accepted(7) });
    is_told(&notified(&mut wire), "1", &["terminated", "terminated"], &["deactivated"]);
    unsubscribe(&mut wire, &request, &ok, 3);
    wire.finish();
}

/// RFC 3680 §4.10: what happens within five seconds is one NOTIFY; and while one is under way the last word waits, with the
/// version of the one that it replaces (§5.1).
#[test]
fn changes_at_once_are_one_notify_and_one_is_under_way_at_most() {
    let mut wire = Wire::new();
    let (request, ok, _) = subscribed(&mut wire);
    wire.register("ben", BEN, "");
    wire.register("ben", BEN_2, "");
    wire.nothing();
    wire.advance(ms(4999));
    wire.nothing();
    wire.advance(ms(1));
    let first = wire.one();
    is_told(&first.message, "1", &["active", "active", "active"], &["registered", "registered"]);
    wire.register("ben", BEN_3, "");
    wire.advance(ms(5000));
    wire.send(&again(&request, &ok, 3, 600));
    assert!(wire.words().iter().all(|word| word == "200 SUBSCRIBE"), "no other NOTIFY");
    wire.answer(&first, 200);
    let notify = notified(&mut wire);
    is_told(&notify, "2", &["active"; 4], &["registered"; 3]);
    assert_eq!(text(&notify, Name::CSeq), "3 NOTIFY");
    unsubscribe(&mut wire, &request, &ok, 4);
    wire.finish();
}

#[test]
fn a_refresh_is_told_all_at_once_and_the_end_of_the_time_says_timeout() {
    let mut wire = Wire::new();
    let (request, ok, _) = subscribed(&mut wire);
    wire.advance(ms(2000));
    wire.send(&again(&request, &ok, 3, 100));
    let sent = wire.sent();
    assert_eq!(
        (word(&sent[0].message), text(&sent[0].message, Name::Expires)),
        ("200 SUBSCRIBE".into(), "100")
    );
    assert_eq!(text(&sent[1].message, Name::SubscriptionState), "active;expires=100");
    is_told(&sent[1].message, "1", &["init"], &[]);
    wire.answer(&sent[1], 200);
    wire.advance(ms(100_000));
    assert_eq!(text(&notified(&mut wire), Name::SubscriptionState), "terminated;reason=timeout");
    wire.send(&again(&request, &ok, 4, 600));
    assert_eq!(wire.words(), ["481 SUBSCRIBE"], "it is too late");
    wire.finish();
}

/// RFC 6665 §4.4.3.
#[test]
fn the_state_can_be_fetched_once() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    let fetch = Request::new("SUBSCRIBE", "ben", BEN, "ben").with("Event: reg\r\nExpires: 0\r\n");
    wire.send_proven(&fetch, "ben");
    let sent = wire.sent();
    assert_eq!(word(&sent[0].message), "200 SUBSCRIBE");
    is_told(&sent[1].message, "0", &["active", "active"], &["registered"]);
    assert_eq!(text(&sent[1].message, Name::SubscriptionState), "terminated;reason=timeout");
    wire.answer(&sent[1], 200);
    wire.finish();
}

/// RFC 6665 §4.1.3.
#[test]
fn a_user_who_is_removed_is_noresource_to_its_subscribers() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    subscribed(&mut wire);
    wire.input(Input::Command(Command::RemoveUser(Bytes::from("ben"))));
    let last = notified(&mut wire);
    assert_eq!(text(&last, Name::SubscriptionState), "terminated;reason=noresource");
    is_told(&last, "1", &["terminated", "terminated"], &["rejected"]);
    wire.put("ben", "ben");
    wire.register("ben", BEN_2, "");
    wire.advance(ms(60_000));
    wire.nothing();
    wire.finish();
}

/// RFC 3680 §4.6.
#[test]
fn nobody_is_told_of_somebody_else_but_an_element_that_is_trusted() {
    let other = "192.0.2.200:5060";
    let mut wire = Wire::with(|config| {
        let target = Target { transport: Transport::Udp, remote: address(other) };
        config.peers.push(Peer { domain: "other.example".into(), target });
    });
    wire.register("ben", BEN, "");
    wire.send_proven(&subscribe("anna", ANNA, "ben"), "anna");
    assert_eq!(wire.words(), ["403 SUBSCRIBE"]);
    wire.send(&Request { branch: "bare".into(), ..subscribe("ben", BEN, "ben") });
    assert_eq!(wire.words(), ["407 SUBSCRIBE"]);
    wire.send(&subscribe("dora", "192.0.2.200:5060", "ben"));
    assert_eq!(wire.words(), ["403 SUBSCRIBE"], "another domain knows its own users");
    assert_eq!(wire.core.counters().wrong_identity, 2);
    wire.send(&subscribe("zoe", PEER, "nobody"));
    assert_eq!(wire.words(), ["404 SUBSCRIBE"]);
    let request = subscribe("zoe", PEER, "ben");
    wire.send(&request);
    let sent = wire.sent();
    assert_eq!(sent.iter().map(Sent::to).collect::<Vec<_>>(), [PEER, PEER]);
    assert_eq!(attributes(&sent[1].message, "aor"), ["sip:ben@poc.example"]);
    wire.answer(&sent[1], 200);
    let lines = format!("Contact: <sip:zoe@{PEER}>\r\nEvent: reg\r\nExpires: 0\r\n");
    wire.send(&request.within(&sent[0].message, "SUBSCRIBE", 2).with(&lines));
    let sent = wire.sent();
    wire.answer(&sent[1], 200);
    wire.finish();
}

/// RFC 6665 §4.2.1.1; RFC 3680 §4.5. Other packages are the business of the user's clients.
#[test]
fn what_the_core_does_not_know_is_489_or_406_and_other_packages_go_to_the_clients() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    let (first, ok, _) = subscribed(&mut wire);
    let contact = ok.addresses(Name::Contact).next().unwrap().unwrap().uri;
    let contact = String::from_utf8_lossy(contact).into_owned();
    let presence = Request::new("SUBSCRIBE", "zoe", PEER, "ben").with("Event: presence\r\n");
    wire.send(&presence);
    let passed = wire.one();
    assert_eq!((word(&passed.message), passed.to()), ("SUBSCRIBE".into(), BEN.into()));
    wire.answer(&passed, 489);
    wire.sent();
    let direct =
        Request { uri: contact.clone(), branch: "direct".into(), call_id: "direct".into(), ..presence };
    wire.send(&direct);
    let refused = wire.one().message;
    assert_eq!((word(&refused).as_str(), text(&refused, Name::AllowEvents)), ("489 SUBSCRIBE", "reg"));
    let nobody = Request { uri: contact.clone(), branch: "nobody".into(), ..subscribe("zoe", PEER, "ben") };
    wire.send(&nobody);
    assert_eq!(wire.words(), ["404 SUBSCRIBE"], "it is nobody's address");
    let invite = Request { uri: contact, branch: "invite".into(), ..Request::invite() };
    wire.send(&invite);
    assert_eq!(wire.words(), ["404 INVITE"]);
    let odd = Request { branch: "odd".into(), call_id: "odd".into(), ..subscribe("zoe", PEER, "ben") };
    wire.send(&odd.with("Accept: application/pidf+xml\r\n"));
    assert_eq!(wire.words(), ["406 SUBSCRIBE"]);
    unsubscribe(&mut wire, &first, &ok, 3);
    wire.finish();
}

#[test]
fn there_are_as_many_subscriptions_as_there_is_room_for() {
    let mut wire = Wire::with(|config| (config.subscribers_max, config.subscribers_of_user_max) = (3, 2));
    let mut standing = Vec::new();
    for (place, (to, is_admitted)) in
        [("ben", true), ("ben", true), ("ben", false), ("anna", true), ("carl", false)]
            .into_iter()
            .enumerate()
    {
        let (branch, call_id) = (format!("s{place}"), format!("s{place}"));
        let request = Request { branch, call_id, ..subscribe("zoe", PEER, to) };
        wire.send(&request);
        let sent = wire.sent();
        if is_admitted {
            wire.answer(&sent[1], 200);
            standing.push((request, sent[0].message.clone()));
        } else {
            let refusal = &sent[0].message;
            assert_eq!((word(refusal).as_str(), text(refusal, Name::RetryAfter)), ("503 SUBSCRIBE", "5"));
        }
    }
    assert_eq!((standing.len(), wire.core.counters().overloaded), (3, 2));
    wire.advance(ms(600_000));
    for sent in wire.sent() {
        wire.answer(&sent, 200);
    }
    wire.send(&Request { branch: "room".into(), call_id: "room".into(), ..subscribe("zoe", PEER, "ben") });
    assert_eq!(wire.words(), ["200 SUBSCRIBE", "NOTIFY"]);
    wire.advance(ms(600_000));
    wire.sent();
    wire.finish();
}

/// RFC 6665 §4.2.2: whoever does not answer, or knows of no subscription, has none any more.
#[test]
fn a_subscriber_that_is_gone_is_told_nothing_more_and_late_messages_do_nothing() {
    let mut wire = Wire::new();
    let (request, ok, first) = subscribed(&mut wire);
    wire.receive(udp(BEN), &response(&first, 200, "late", ""));
    wire.register("ben", BEN, "");
    wire.advance(ms(5000));
    let notify = wire.one();
    wire.answer(&notify, 481);
    wire.answer(&notify, 200);
    wire.register("ben", BEN_2, "");
    wire.advance(ms(60_000));
    wire.nothing();
    wire.send(&request);
    wire.send(&again(&request, &ok, 3, 0));
    assert_eq!(wire.words().last().map(String::as_str), Some("481 SUBSCRIBE"));
    // Copies of a SUBSCRIBE by another way are one subscription.
    let zoe = Request { call_id: "z".into(), ..subscribe("zoe", PEER, "ben") };
    wire.send(&zoe);
    let sent = wire.sent();
    wire.send(&Request { branch: "fork".into(), ..zoe });
    assert_eq!(wire.words(), ["482 SUBSCRIBE"]);
    // And silence.
    wire.answer(&sent[1], 100);
    wire.advance(T1_64 + ms(5000));
    wire.sent();
    wire.register("ben", BEN_3, "");
    wire.advance(ms(60_000));
    wire.nothing();
    wire.finish();
}

/// Part of it would not be the full state that it claims to be.
#[test]
fn a_document_that_is_too_long_ends_the_subscription() {
    let mut wire = Wire::with(|config| config.bindings_max = 60);
    let (request, ok, _) = subscribed(&mut wire);
    let contacts = |from: u32| {
        let long = "x".repeat(900);
        (from..from + 25).map(|each| format!("Contact: <sip:{each}{long}@{BEN}>\r\n")).collect::<String>()
    };
    wire.register_on(udp(BEN), "ben", BEN, &contacts(0));
    wire.advance(ms(5000));
    assert_eq!(attributes(&notified(&mut wire), "event").len(), 25);
    wire.register_on(udp(BEN), "ben", BEN_2, &contacts(25));
    wire.advance(ms(5000));
    let last = notified(&mut wire);
    assert_eq!((text(&last, Name::SubscriptionState), last.body()), ("terminated;reason=rejected", &b""[..]));
    wire.send(&again(&request, &ok, 3, 600));
    assert_eq!(wire.words(), ["481 SUBSCRIBE"]);
    wire.finish();
}

/// Nobody else's registration costs or tells a subscriber anything.
#[test]
fn a_subscriber_is_told_of_its_user_only() {
    let mut wire = Wire::new();
    let (request, ok, _) = subscribed(&mut wire);
    wire.register("anna", ANNA, "");
    wire.advance(ms(60_000));
    wire.nothing();
    unsubscribe(&mut wire, &request, &ok, 3);
    wire.finish();
}

/// The Contact of the notifier leads to the shard of its user.
#[test]
fn a_subscribe_in_the_dialog_finds_the_shard_of_its_subscription() {
    let owner = sip::Owner { node: 3, shard: 5 };
    let mut kept = None;
    let mut wire = Wire::with(|config| {
        (config.owner, config.shards) = (owner, 16);
        kept = Some(config.clone());
    });
    let config = kept.expect("a configuration");
    let (request, ok, _) = subscribed(&mut wire);
    let refresh = again(&request, &ok, 3, 600);
    assert_eq!(shard_of(&config, &Message::parse(refresh.text().into()).unwrap()), 5);
    unsubscribe(&mut wire, &request, &ok, 3);
    wire.finish();
}
