//! REFER within the dialog of a session: RFC 3515 §2.4.6, RFC 4488, RFC 5057, RFC 5368.

use bytes::Bytes;
use sip::message::{Body, Method, Name};
use sip::{
    Command, Credentials, Duration, Event, Message, Misuse, Owner, Refer, SessionId, SubscriberId,
    SubscriptionId, SubscriptionState,
};

use crate::wire::*;

const FIRST: SubscriptionId = SubscriptionId(1);
const SECOND: SubscriptionId = SubscriptionId(2);
const REFER_TO: &str = "Refer-To: <sip:cara@example.com>\r\n";

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// What was told since the last question, each in a few words.
fn told(wire: &mut Wire) -> Vec<String> {
    let words = wire.events().into_iter().map(|event| {
        if let Event::Notified { subscription, .. } = &event {
            return format!("{} notified", subscription.0);
        }
        if let Event::SubscriptionEnded { subscription, end, by, .. } = &event {
            return format!("{} ended {end:?} {by:?}", subscription.0);
        }
        if let Event::SubscriberEnded { end, by, .. } = &event {
            return format!("subscriber ended {end:?} {by:?}");
        }
        if let Event::Ended { end, by, .. } = &event {
            return format!("ended {end:?} {by:?}");
        }
        format!("{event:?}")
    });
    words.collect()
}

// Ours.

/// We invited and the peer accepted, over a proxy that stays in the path.
fn established_with(change: impl FnOnce(&mut sip::Config)) -> (Wire, SessionId, Message) {
    let mut wire = Wire::with(change);
    let session = wire.invite();
    let invite = wire.one();
    wire.receive(&response(&invite, 200, "p1", &format!("Record-Route: <sip:p1.example;lr>\r\n{CONTACT}")));
    assert_eq!(wire.words(), ["ACK"]);
    wire.events();
    (wire, session, invite)
}

fn established() -> (Wire, SessionId, Message) {
    established_with(|_| {})
}

fn wish(id: SubscriptionId, session: SessionId) -> Refer {
    Refer::within(id, session, bytes("<sip:cara@example.com>"))
}

fn refer(wire: &mut Wire, refer: Refer) -> Result<(), Misuse> {
    wire.command(Command::Refer(Box::new(refer)))
}

/// The peer's request in the dialog of `ours`.
fn from_peer(ours: &Message, method: &'static str, number: u32, lines: &str) -> Request {
    let request = Request {
        from_tag: "p1".into(),
        to_tag: from_tag(ours),
        call_id: text(ours, Name::CallId).into(),
        number,
        ..Request::invite(&format!("peer{method}{number}")).follow(method)
    };
    request.with(lines)
}

fn notify(wire: &mut Wire, invite: &Message, number: u32, event: &str, state: &str) -> String {
    let lines = format!("Event: {event}\r\nSubscription-State: {state}\r\n{CONTACT}");
    wire.receive(&from_peer(invite, "NOTIFY", number, &lines).text());
    let mut words = wire.words();
    assert_eq!(words.len(), 1, "{words:?}");
    words.remove(0)
}

fn leave(mut wire: Wire, session: SessionId) {
    wire.leave(session).expect("established");
    let bye = wire.one();
    assert_eq!(word(&bye), "BYE");
    wire.receive(&response(&bye, 200, "", ""));
    wire.events();
    wire.finish();
}

#[test]
fn a_refer_within_a_session_goes_in_its_dialog_and_so_does_its_progress() {
    let (mut wire, session, invite) = established();
    refer(&mut wire, wish(FIRST, session)).unwrap();
    let first = wire.one();
    assert_eq!((uri(&first), text(&first, Name::CSeq)), ("sip:ben@ben.example", "2 REFER"));
    assert_eq!(text(&first, Name::Route), "<sip:p1.example;lr>");
    assert_eq!(text(&first, Name::ReferTo), "<sip:cara@example.com>");
    assert_eq!(text(&first, Name::CallId), text(&invite, Name::CallId));
    assert_eq!((from_tag(&first), to_tag(&first)), (from_tag(&invite), Some("p1".into())));
    assert_eq!(text(&first, Name::Contact), text(&invite, Name::Contact), "RFC 3515 §2.2");
    assert_eq!(first.value(Name::ReferSub), None);
    wire.receive(&response(&first, 202, "", CONTACT));
    wire.quiet();
    assert_eq!(notify(&mut wire, &invite, 1, "refer", "active;expires=60"), "200 NOTIFY");
    assert_eq!(told(&mut wire), ["1 notified"]);
    wire.modify(session).unwrap();
    let change = wire.one();
    assert_eq!(text(&change, Name::CSeq), "3 INVITE", "one count for all that share the dialog");
    wire.receive(&response(&change, 200, "", CONTACT));
    wire.sent();
    wire.events();
    assert_eq!(notify(&mut wire, &invite, 2, "refer", "terminated;reason=noresource"), "200 NOTIFY");
    assert_eq!(told(&mut wire), ["1 notified", "1 ended Released Remote"]);
    assert_eq!(notify(&mut wire, &invite, 3, "refer", "active"), "481 NOTIFY");
    wire.quiet();
    leave(wire, session);
}

/// §2.4.6.
#[test]
fn of_several_refers_in_a_dialog_each_notify_has_the_number_of_its_own() {
    let (mut wire, session, invite) = established();
    refer(&mut wire, wish(FIRST, session)).unwrap();
    let first = wire.one();
    refer(&mut wire, wish(SECOND, session)).unwrap();
    let second = wire.one();
    assert_eq!([&first, &second].map(|each| text(each, Name::CSeq)), ["2 REFER", "3 REFER"]);
    wire.receive(&response(&second, 202, "", CONTACT));
    wire.receive(&response(&first, 202, "", CONTACT));
    for (number, event, answer, news) in [
        (1, "refer;id=3", "200 NOTIFY", &["2 notified"][..]),
        (2, "refer;id=2", "200 NOTIFY", &["1 notified"]),
        (3, "refer;id=4", "481 NOTIFY", &[]),
        (4, "conference", "481 NOTIFY", &[]),
    ] {
        assert_eq!(notify(&mut wire, &invite, number, event, "active;expires=60"), answer, "{event}");
        assert_eq!(told(&mut wire), news);
    }
    wire.command(Command::Unsubscribe { subscription: SECOND }).unwrap();
    let last = wire.one();
    assert_eq!((text(&last, Name::CSeq), text(&last, Name::Event)), ("4 SUBSCRIBE", "refer;id=3"));
    assert_eq!((text(&last, Name::Expires), uri(&last)), ("0", "sip:ben@ben.example"));
    wire.receive(&response(&last, 200, "", "Expires: 0\r\n"));
    assert_eq!(notify(&mut wire, &invite, 5, "refer;id=3", "terminated;reason=timeout"), "200 NOTIFY");
    assert_eq!(told(&mut wire), ["2 ended Left Local"]);
    assert_eq!(notify(&mut wire, &invite, 6, "refer;id=2", "terminated;reason=noresource"), "200 NOTIFY");
    assert_eq!(told(&mut wire), ["1 notified", "1 ended Released Remote"]);
    leave(wire, session);
}

/// §2.4.6: the first that a peer took may go without id, and no other is taken for it.
#[test]
fn a_notify_without_id_is_for_the_first_refer_that_was_taken() {
    let (mut wire, session, invite) = established();
    refer(&mut wire, wish(FIRST, session)).unwrap();
    let refused = wire.one();
    wire.receive(&response(&refused, 603, "", ""));
    assert_eq!(told(&mut wire), ["1 ended Rejected Remote"]);
    refer(&mut wire, wish(FIRST, session)).unwrap();
    let taken = wire.one();
    refer(&mut wire, wish(SECOND, session)).unwrap();
    wire.sent();
    wire.receive(&response(&taken, 202, "", CONTACT));
    assert_eq!(notify(&mut wire, &invite, 1, "refer", "terminated;reason=noresource"), "200 NOTIFY");
    assert_eq!(told(&mut wire), ["1 notified", "1 ended Released Remote"]);
    assert_eq!(notify(&mut wire, &invite, 2, "refer", "active"), "481 NOTIFY");
    assert_eq!(notify(&mut wire, &invite, 3, "refer;id=4", "active;expires=60"), "200 NOTIFY");
    assert_eq!(told(&mut wire), ["2 notified"]);
    leave(wire, session);
}

/// RFC 5368 §4, RFC 4488 §4.
#[test]
fn a_refer_to_a_list_points_to_its_body() {
    let (mut wire, session, _) = established();
    let list = Body {
        content_type: bytes("application/resource-lists+xml"),
        bytes: bytes("<resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"/>"),
    };
    let lines = [
        (Name::Require, "multiple-refer"),
        (Name::ContentId, "<list7@example.com>"),
        (Name::ContentDisposition, "recipient-list"),
    ];
    let several = Refer {
        refer_to: bytes("<cid:list7@example.com>"),
        headers: headers(&lines),
        body: Some(list.clone()),
        wants_progress: false,
        ..wish(FIRST, session)
    };
    refer(&mut wire, several).unwrap();
    let first = wire.one();
    assert_eq!((text(&first, Name::ReferTo), first.body()), ("<cid:list7@example.com>", &list.bytes[..]));
    for (name, value) in lines {
        assert_eq!(text(&first, name), value);
    }
    assert_eq!((text(&first, Name::ReferSub), text(&first, Name::Supported)), ("false", "norefersub"));
    wire.receive(&response(&first, 200, "", &format!("{CONTACT}Refer-Sub: false\r\n")));
    assert_eq!(told(&mut wire), ["1 ended Released Remote"]);
    leave(wire, session);
}

/// RFC 3261 §22.2: with the next number of the dialog, which is then its id.
#[test]
fn a_refer_within_a_session_that_is_challenged_leaves_again_in_order() {
    let (mut wire, session, invite) = established_with(|config| {
        let (username, secret) = (bytes("anna"), bytes("secret"));
        config.credentials = vec![Credentials { realm: None, username, secret }];
    });
    refer(&mut wire, wish(FIRST, session)).unwrap();
    let first = wire.one();
    let asked = "WWW-Authenticate: Digest realm=\"core\", nonce=\"n1\"\r\n";
    wire.receive(&response(&first, 401, "", asked));
    let again = wire.one();
    assert_eq!((text(&again, Name::CSeq), uri(&again)), ("3 REFER", "sip:ben@ben.example"));
    assert!(again.value(Name::Authorization).is_some());
    wire.receive(&response(&again, 202, "", CONTACT));
    assert_eq!(notify(&mut wire, &invite, 1, "refer;id=2", "active"), "481 NOTIFY");
    assert_eq!(notify(&mut wire, &invite, 2, "refer;id=3", "active"), "200 NOTIFY");
    assert_eq!(told(&mut wire), ["1 notified"]);
    wire.leave(session).unwrap();
    let bye = wire.one();
    assert_eq!(text(&bye, Name::CSeq), "4 BYE");
    assert!(bye.value(Name::Authorization).is_some(), "§22.3: the credentials are those of the Call-ID");
    wire.receive(&response(&bye, 200, "", ""));
    assert_eq!(told(&mut wire), ["1 ended Left Local", "ended Left Local"]);
    wire.finish();
}

#[test]
fn a_refer_that_fails_leaves_the_session_alone() {
    for status in [403, 404, 481, 603, 0] {
        let (mut wire, session, _) = established();
        refer(&mut wire, wish(FIRST, session)).unwrap();
        let first = wire.one();
        match status {
            0 => wire.advance(T1_64),
            status => wire.receive(&response(&first, status, "", "")),
        }
        let end = if status == 0 { "1 ended TimedOut Remote" } else { "1 ended Rejected Remote" };
        assert_eq!(told(&mut wire), [end], "{status}");
        wire.sent();
        leave(wire, session);
    }
}

/// The session's end is that of what shares its dialog, each told once and before it.
#[test]
fn the_end_of_a_session_ends_the_referrals_in_it() {
    let open = || {
        let (mut wire, session, invite) = established();
        refer(&mut wire, wish(FIRST, session)).unwrap();
        let first = wire.one();
        wire.receive(&response(&first, 202, "", CONTACT));
        refer(&mut wire, wish(SECOND, session)).unwrap();
        let second = wire.one();
        assert_eq!(notify(&mut wire, &invite, 1, "refer", "active;expires=60"), "200 NOTIFY");
        wire.events();
        (wire, session, invite, second)
    };
    let (mut wire, _, invite, second) = open();
    wire.receive(&from_peer(&invite, "BYE", 2, "").text());
    assert_eq!(wire.words(), ["200 BYE"]);
    let both = ["1 ended Released Remote", "2 ended Released Remote", "ended Released Remote"];
    assert_eq!(told(&mut wire), both);
    wire.receive(&response(&second, 202, "", CONTACT));
    assert_eq!(notify(&mut wire, &invite, 3, "refer", "active"), "481 NOTIFY");
    wire.quiet();
    wire.finish();

    let (mut wire, session, invite, second) = open();
    wire.leave(session).unwrap();
    let bye = wire.one();
    assert_eq!(told(&mut wire), ["1 ended Left Local", "2 ended Left Local"]);
    assert_eq!(notify(&mut wire, &invite, 3, "refer", "active"), "481 NOTIFY");
    wire.receive(&response(&second, 202, "", CONTACT));
    wire.receive(&response(&bye, 200, "", ""));
    assert_eq!(told(&mut wire), ["ended Left Local"]);
    wire.finish();

    let (mut wire, session, ..) = open();
    wire.modify(session).unwrap();
    let change = wire.one();
    wire.receive(&response(&change, 481, "", ""));
    assert_eq!(wire.words(), ["ACK", "BYE"]);
    let both = ["1 ended Lost Remote", "2 ended Lost Remote", "ended Lost Remote"];
    assert_eq!(told(&mut wire), both);
    wire.finish();
}

#[test]
fn a_refer_that_cannot_be_sent_within_a_session_changes_nothing() {
    let mut wire = Wire::new();
    let session = wire.invite();
    let invite = wire.one();
    assert_eq!(refer(&mut wire, wish(FIRST, session)), Err(Misuse::NotEstablished));
    wire.receive(&response(&invite, 200, "p1", CONTACT));
    wire.sent();
    wire.events();
    let body = Some(Body { content_type: bytes("a/b\r\nVia: x"), bytes: bytes("") });
    for (refused, misuse) in [
        (Refer { uri: bytes("sip:ben@example.com"), ..wish(FIRST, session) }, Misuse::Address),
        (Refer { contact: Some(sip::Contact::default()), ..wish(FIRST, session) }, Misuse::Address),
        (Refer { refer_to: bytes("<cid:a@b>, <cid:c@d>"), ..wish(FIRST, session) }, Misuse::Address),
        (Refer { body, ..wish(FIRST, session) }, Misuse::HeaderLine),
    ] {
        assert_eq!(refer(&mut wire, refused), Err(misuse));
    }
    wire.quiet();
    for id in 0..16 {
        refer(&mut wire, wish(SubscriptionId(id), session)).unwrap();
    }
    assert_eq!(text(&wire.sent()[15], Name::CSeq), "17 REFER");
    assert_eq!(refer(&mut wire, wish(SubscriptionId(3), session)), Err(Misuse::Busy));
    assert_eq!(refer(&mut wire, wish(SubscriptionId(16), session)), Err(Misuse::Busy));
    wire.quiet();
    wire.leave(session).unwrap();
    assert_eq!(refer(&mut wire, wish(SubscriptionId(16), session)), Err(Misuse::NotEstablished));
    assert_eq!(told(&mut wire).len(), 16);
    wire.finish();
}

// Those of the peer.

/// The peer invited and we accepted; its requests are numbered from 8.
fn answered() -> (Wire, SessionId, Request, Message) {
    let mut wire = Wire::with(|config| {
        config.methods = vec![Method::Refer];
        config.supported = vec![bytes("multiple-refer")];
    });
    let invite = Request::invite("inv");
    wire.receive(&invite.text());
    let session = wire.invited();
    wire.accept(session).expect("alerting");
    let ok = wire.one();
    wire.receive(&invite.within(&ok, "ACK", 7).text());
    wire.events();
    (wire, session, invite, ok)
}

fn referral(invite: &Request, ok: &Message, number: u32) -> Request {
    invite.within(ok, "REFER", number).with(CONTACT).with(REFER_TO)
}

#[track_caller]
fn referred(wire: &mut Wire, of: SessionId) -> (SubscriberId, bool, Message) {
    let mut events = wire.events();
    assert_eq!(events.len(), 1, "{events:?}");
    let Event::Referred { subscriber, session, wants_progress, request } = events.remove(0) else {
        panic!("not referred")
    };
    assert_eq!(session, Some(of));
    (subscriber, wants_progress, request)
}

#[track_caller]
fn admit(wire: &mut Wire, subscriber: SubscriberId) -> Message {
    let expires = Duration::from_secs(180);
    wire.command(Command::Admit { subscriber, expires, headers: Vec::new(), contact: None }).expect("asked");
    wire.one()
}

fn say(wire: &mut Wire, subscriber: SubscriberId, is_last: bool, text: &'static str) -> Result<(), Misuse> {
    let body = Some(Body { content_type: bytes("message/sipfrag;version=2.0"), bytes: bytes(text) });
    let state = match is_last {
        false => SubscriptionState::Active,
        true => SubscriptionState::Terminated { reason: bytes("noresource"), retry_after: None },
    };
    wire.command(Command::Notify { subscriber, state, headers: Vec::new(), body })
}

/// Two REFERs of the peer that were admitted.
fn two_referrals() -> (Wire, SessionId, Request, Message, [SubscriberId; 2]) {
    let (mut wire, session, invite, ok) = answered();
    let subscribers = [8, 9].map(|number| {
        wire.receive(&referral(&invite, &ok, number).text());
        let (subscriber, ..) = referred(&mut wire, session);
        assert_eq!(word(&admit(&mut wire, subscriber)), "200 REFER");
        subscriber
    });
    (wire, session, invite, ok, subscribers)
}

/// §2.4.6, RFC 7647 §5.
#[test]
fn a_refer_of_the_peer_within_a_session_is_told_of_its_progress_in_the_dialog() {
    let (mut wire, session, invite, ok) = answered();
    let request = referral(&invite, &ok, 8);
    wire.receive(&request.text());
    let (first, wants_progress, _) = referred(&mut wire, session);
    assert!(wants_progress);
    let admitted = admit(&mut wire, first);
    assert_eq!((word(&admitted).as_str(), to_tag(&admitted)), ("200 REFER", to_tag(&ok)));
    assert_eq!(text(&admitted, Name::Contact), text(&ok, Name::Contact));
    wire.receive(&request.text());
    assert_eq!(wire.one().bytes(), admitted.bytes(), "a copy");
    say(&mut wire, first, false, "SIP/2.0 100 Trying\r\n").unwrap();
    let progress = wire.one();
    assert_eq!((uri(&progress), text(&progress, Name::CSeq)), ("sip:ben@ben.example", "1 NOTIFY"));
    assert_eq!((text(&progress, Name::Event), to_tag(&progress)), ("refer", Some("b1".into())));
    assert_eq!((text(&progress, Name::CallId), Some(from_tag(&progress))), ("call-inv", to_tag(&ok)));
    assert_eq!(text(&progress, Name::Contact), text(&ok, Name::Contact));
    wire.receive(&response(&progress, 200, "", ""));
    wire.modify(session).unwrap();
    let change = wire.one();
    assert_eq!(text(&change, Name::CSeq), "2 INVITE", "one count for all that share the dialog");
    wire.receive(&response(&change, 200, "", CONTACT));
    wire.sent();
    wire.events();
    wire.receive(&referral(&invite, &ok, 9).text());
    let (second, ..) = referred(&mut wire, session);
    admit(&mut wire, second);
    say(&mut wire, second, true, "SIP/2.0 200 OK\r\n").unwrap();
    let last = wire.one();
    assert_eq!((text(&last, Name::CSeq), text(&last, Name::Event)), ("3 NOTIFY", "refer;id=9"));
    assert_eq!(told(&mut wire), ["subscriber ended Left Local"]);
    wire.receive(&response(&last, 200, "", ""));
    assert_eq!(say(&mut wire, second, false, ""), Err(Misuse::NoSession));
    say(&mut wire, first, true, "SIP/2.0 200 OK\r\n").unwrap();
    let last = wire.one();
    assert_eq!((text(&last, Name::CSeq), text(&last, Name::Event)), ("4 NOTIFY", "refer"));
    wire.receive(&response(&last, 200, "", ""));
    wire.events();
    leave(wire, session);
}

/// RFC 5057 §5.4: a target refresh is one for all that share the dialog, once it is accepted.
#[test]
fn a_refer_refreshes_the_target_of_the_session_once_it_is_accepted() {
    let (mut wire, session, invite, ok) = answered();
    let moved = |number| {
        let contact = "Contact: <sip:ben@moved.example>\r\n";
        invite.within(&ok, "REFER", number).with(contact).with(REFER_TO).text()
    };
    wire.receive(&moved(8));
    let (subscriber, ..) = referred(&mut wire, session);
    wire.command(Command::Reject { subscriber, status: 603, headers: Vec::new() }).unwrap();
    wire.receive(&moved(9));
    assert_eq!(wire.words(), ["603 REFER"]);
    let (subscriber, ..) = referred(&mut wire, session);
    refer(&mut wire, wish(FIRST, session)).unwrap();
    let ours = wire.one();
    assert_eq!(uri(&ours), "sip:ben@ben.example");
    admit(&mut wire, subscriber);
    refer(&mut wire, wish(SECOND, session)).unwrap();
    assert_eq!(uri(&wire.one()), "sip:ben@moved.example");
    wire.receive(&response(&ours, 202, "", "Contact: <sip:ben@again.example>\r\n"));
    wire.leave(session).unwrap();
    let bye = wire.one();
    assert_eq!(uri(&bye), "sip:ben@again.example");
    wire.receive(&response(&bye, 200, "", ""));
    wire.finish();
}

/// RFC 4488 §4; digest 14.8: giving up what a REFER began is another REFER.
#[test]
fn a_refer_without_subscription_and_one_to_give_up_come_through_as_any() {
    let (mut wire, session, invite, ok) = answered();
    let give_up = "Refer-To: <sip:cara@example.com;method=BYE>\r\nRefer-Sub: false\r\n";
    let several = "Refer-To: <cid:list7@example.com>\r\nRequire: multiple-refer\r\nRefer-Sub: false\r\n";
    for (number, lines) in [(8, give_up), (9, several)] {
        let request = invite.within(&ok, "REFER", number).with(CONTACT).with(lines);
        wire.receive(&request.text());
        let (subscriber, wants_progress, request) = referred(&mut wire, session);
        assert!(!wants_progress && lines.contains(text(&request, Name::ReferTo)));
        let admitted = admit(&mut wire, subscriber);
        assert_eq!((word(&admitted).as_str(), text(&admitted, Name::ReferSub)), ("200 REFER", "false"));
        assert_eq!(say(&mut wire, subscriber, false, ""), Err(Misuse::NoSession));
        wire.quiet();
    }
    leave(wire, session);
}

/// RFC 6665 §4.5.2: but for what a REFER makes dialogs are not shared.
#[test]
fn a_subscription_within_a_session_is_refreshed_by_its_name() {
    let (mut wire, session, invite, ok, [first, second]) = two_referrals();
    // What its user has not accepted yet cannot be refreshed.
    wire.receive(&referral(&invite, &ok, 10).text());
    let (waiting, ..) = referred(&mut wire, session);
    let again = |number, event: &str, expires: &str| {
        let lines = format!("{CONTACT}Event: {event}\r\nExpires: {expires}\r\n");
        invite.within(&ok, "SUBSCRIBE", number).with(&lines).text()
    };
    for (number, event, expires, answer, meant) in [
        (11, "refer", "60", "200 SUBSCRIBE", Some(first)),
        (12, "refer;id=8", "60", "200 SUBSCRIBE", Some(first)),
        (13, "refer;id=9", "60", "200 SUBSCRIBE", Some(second)),
        (14, "refer;id=10", "60", "481 SUBSCRIBE", None),
        (15, "conference", "60", "403 SUBSCRIBE", None),
        (16, "refer;id=9", "0", "200 SUBSCRIBE", Some(second)),
    ] {
        wire.receive(&again(number, event, expires));
        assert_eq!(wire.words(), [answer], "{event}");
        let found = wire.events().into_iter().map(|event| {
            let Event::Resubscribed { subscriber, .. } = event else { panic!("{event:?}") };
            subscriber
        });
        assert_eq!(found.collect::<Vec<_>>(), Vec::from_iter(meant), "{event}");
    }
    wire.command(Command::Reject { subscriber: waiting, status: 603, headers: Vec::new() }).unwrap();
    assert_eq!(wire.words(), ["603 REFER"]);
    say(&mut wire, second, true, "SIP/2.0 200 OK\r\n").unwrap();
    assert_eq!(told(&mut wire), ["subscriber ended Released Remote"]);
    assert_eq!(text(&wire.one(), Name::SubscriptionState), "terminated;reason=noresource");
    wire.advance(Duration::from_secs(60));
    assert_eq!(told(&mut wire), ["subscriber ended Expired Remote"]);
    wire.sent();
    leave(wire, session);
}

/// RFC 5057 §5.1.
#[test]
fn a_notify_that_meets_nobody_leaves_the_session_alone() {
    let (mut wire, session, _, _, [first, second]) = two_referrals();
    say(&mut wire, first, false, "SIP/2.0 100 Trying\r\n").unwrap();
    let progress = wire.one();
    wire.receive(&response(&progress, 481, "", ""));
    assert_eq!(told(&mut wire), ["subscriber ended Lost Remote"]);
    say(&mut wire, second, false, "SIP/2.0 100 Trying\r\n").unwrap();
    assert_eq!(text(&wire.one(), Name::Event), "refer;id=9");
    wire.sent();
    wire.leave(session).unwrap();
    assert_eq!(told(&mut wire), ["subscriber ended Left Local"]);
    wire.finish();
}

#[test]
fn a_refer_reaches_the_user_only_within_a_session_that_both_have() {
    let (mut wire, session, invite, ok) = answered();
    wire.receive(&referral(&invite, &ok, 7).text());
    assert_eq!(wire.words(), ["500 REFER"], "RFC 3261 §12.2.2");
    wire.receive(&invite.within(&ok, "REFER", 8).with(CONTACT).text());
    assert_eq!(wire.words(), ["400 REFER"], "RFC 3515 §2.4.2");
    let other = Request { from_tag: "b2".into(), ..referral(&invite, &ok, 9) };
    wire.receive(&other.text());
    assert_eq!(wire.words(), ["481 REFER"]);
    wire.leave(session).unwrap();
    let bye = wire.one();
    wire.receive(&referral(&invite, &ok, 10).text());
    assert_eq!(wire.words(), ["481 REFER"]);
    wire.receive(&response(&bye, 200, "", ""));
    wire.events();
    wire.finish();

    // An early dialog has nothing to share.
    let mut wire = Wire::with(|config| config.methods = vec![Method::Refer]);
    let invite = Request::invite("inv");
    wire.receive(&invite.text());
    let session = wire.invited();
    wire.ring(session);
    let ringing = wire.one();
    wire.receive(&referral(&invite, &ringing, 8).text());
    assert_eq!(wire.words(), ["403 REFER"]);
    wire.quiet();
    wire.refuse(session, 480).unwrap();
    wire.finish();

    // Nobody takes REFER here.
    let mut wire = Wire::new();
    wire.receive(&invite.text());
    let session = wire.invited();
    wire.accept(session).unwrap();
    let ok = wire.one();
    wire.receive(&invite.within(&ok, "ACK", 7).text());
    wire.events();
    wire.receive(&referral(&invite, &ok, 8).text());
    let refused = wire.one();
    assert_eq!(word(&refused), "405 REFER");
    assert!(!text(&refused, Name::Allow).contains("REFER"));
    leave(wire, session);
}

/// RFC 3261 §15.1.2: what was asked gets its answer.
#[test]
fn the_end_of_a_session_ends_the_referrals_of_the_peer_in_it() {
    let asked = || {
        let (mut wire, session, invite, ok, _) = two_referrals();
        wire.receive(&referral(&invite, &ok, 10).text());
        let (waiting, ..) = referred(&mut wire, session);
        (wire, session, invite, ok, waiting)
    };
    let (mut wire, session, _, _, waiting) = asked();
    wire.leave(session).unwrap();
    let sent = wire.sent();
    assert_eq!(sent.iter().map(word).collect::<Vec<_>>(), ["487 REFER", "BYE"]);
    assert_eq!(told(&mut wire), ["subscriber ended Left Local"; 3]);
    let late = Command::Reject { subscriber: waiting, status: 603, headers: Vec::new() };
    assert_eq!(wire.command(late), Err(Misuse::NoSession));
    wire.receive(&response(&sent[1], 200, "", ""));
    assert_eq!(told(&mut wire), ["ended Left Local"]);
    wire.finish();

    let (mut wire, _, invite, ok, _) = asked();
    wire.receive(&invite.within(&ok, "BYE", 11).text());
    assert_eq!(wire.words(), ["200 BYE", "487 REFER"]);
    let all = ["subscriber ended Released Remote"; 3];
    assert_eq!(told(&mut wire), [&all[..], &["ended Released Remote"]].concat());
    wire.quiet();
    wire.finish();
}

/// What has been told is not told again.
#[test]
fn the_end_of_a_session_is_silent_about_what_had_ended() {
    let (mut wire, session, _, _, [first, second]) = two_referrals();
    say(&mut wire, first, true, "SIP/2.0 200 OK\r\n").unwrap();
    assert_eq!(told(&mut wire), ["subscriber ended Left Local"]);
    assert_eq!(wire.words(), ["NOTIFY"]);
    wire.leave(session).unwrap();
    assert_eq!(told(&mut wire), ["subscriber ended Left Local"], "the second");
    assert_eq!(say(&mut wire, second, false, ""), Err(Misuse::NoSession));
    wire.finish();
}

#[test]
fn of_too_many_refers_in_a_dialog_the_next_is_503() {
    let (mut wire, session, invite, ok) = answered();
    for number in 8..24 {
        wire.receive(&referral(&invite, &ok, number).text());
        referred(&mut wire, session);
    }
    wire.receive(&referral(&invite, &ok, 24).text());
    assert_eq!(wire.words(), ["503 REFER"]);
    wire.leave(session).unwrap();
    assert_eq!(told(&mut wire).len(), 16);
    wire.finish();
}

/// R21: 200 to the CANCEL, and the REFER goes on.
#[test]
fn a_cancel_of_a_refer_within_a_session_has_no_effect() {
    let (mut wire, session, invite, ok) = answered();
    let request = referral(&invite, &ok, 8);
    wire.receive(&request.text());
    let (subscriber, ..) = referred(&mut wire, session);
    wire.receive(&request.cancel().text());
    assert_eq!(wire.words(), ["200 CANCEL"]);
    wire.quiet();
    assert_eq!(word(&admit(&mut wire, subscriber)), "200 REFER");
    leave(wire, session);
}

/// Seam 5.
#[test]
fn what_shares_a_dialog_shows_in_the_canonical_view() {
    let view = |wire: &Wire| wire.endpoint.canonical(sip::Instant::at(wire.now), &[Owner::default()]);
    let (mut wire, session, invite, ok) = answered();
    let request = referral(&invite, &ok, 8).with("Refer-Sub: false\r\n");
    wire.receive(&request.text());
    let (subscriber, ..) = referred(&mut wire, session);
    assert!(!view(&wire).as_str().contains('\u{2}'));
    admit(&mut wire, subscriber);
    let (mut other, other_session, ..) = answered();
    let mut other_request = referral(&invite, &ok, 8).with("Refer-Sub: true\r\n");
    other_request.to_tag = request.to_tag;
    other.receive(&other_request.text());
    let (subscriber, ..) = referred(&mut other, other_session);
    admit(&mut other, subscriber);
    assert_ne!(view(&wire), view(&other));
    leave(other, other_session);
    leave(wire, session);
}
