//! What is passed on, and how: RFC 3261 §16.

use sip::message::Name;
use sip::transport::ConnectionId;
use sipcore::Input;

use crate::wire::*;

/// A call through the core: INVITE, 180, 200, ACK, BYE. C49, C62.
#[test]
fn a_call_goes_through_to_a_binding_and_back() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    let invite = Request::invite();
    wire.send(&invite);
    let forwarded = wire.one();
    assert_eq!((uri(&forwarded.message), forwarded.to()), ("sip:ben@198.51.100.2:5060", BEN.into()));
    assert_eq!(text(&forwarded.message, Name::MaxForwards), "69");
    assert_eq!(forwarded.message.items(Name::Via).count(), 2);
    assert_eq!(values(&forwarded.message, Name::RecordRoute).len(), 2);
    wire.answer(&forwarded, 100);
    wire.advance(ms(20_000));
    assert_eq!(wire.words(), ["100 INVITE"], "C62: it is not sent again; its sender has its own 100");
    wire.answer(&forwarded, 180);
    let ringing = wire.one();
    assert_eq!((word(&ringing.message), ringing.to()), ("180 INVITE".into(), PEER.into()));
    assert_eq!(ringing.message.items(Name::Via).count(), 1);
    wire.answer(&forwarded, 200);
    let answer = wire.one().message;
    assert_eq!(word(&answer), "200 INVITE");

    let ack = invite.within(&answer, "ACK", 1);
    wire.send(&ack);
    let passed = wire.one();
    assert_eq!((word(&passed.message), passed.to()), ("ACK".into(), BEN.into()));
    assert_eq!(uri(&passed.message), "sip:x@198.51.100.2:5060");
    assert_eq!(values(&passed.message, Name::Route), Vec::<String>::new());
    wire.send(&invite.within(&answer, "BYE", 2));
    let bye = wire.one();
    assert_eq!((word(&bye.message), bye.to()), ("BYE".into(), BEN.into()));
    wire.answer(&bye, 200);
    assert_eq!(wire.words(), ["200 BYE"]);
    wire.finish();
}

/// §16.7 step 5, RFC 6026: each copy of the 2xx goes on, also when the transaction of the INVITE is over.
#[test]
fn each_copy_of_a_2xx_is_passed_on() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    wire.send(&Request::invite());
    let forwarded = wire.one();
    for _ in 0..3 {
        wire.answer(&forwarded, 200);
        assert_eq!(wire.words(), ["200 INVITE"]);
        wire.advance(ms(10_000));
    }
    wire.finish();
}

/// §16.5.
#[test]
fn somebody_unknown_is_404_and_somebody_without_bindings_480() {
    let mut wire = Wire::new();
    for (to, status) in [("nobody", "404 INVITE"), ("ben", "480 INVITE")] {
        let invite = Request::new("INVITE", "zoe", PEER, to);
        wire.send(&invite);
        let refusal = wire.one().message;
        assert_eq!(word(&refusal), status);
        wire.send(&invite.ack(&refusal));
        wire.nothing();
    }
    assert_eq!(wire.core.counters().unroutable, 2);
    wire.finish();
}

/// §16.3 item 3.
#[test]
fn a_request_that_has_made_too_many_hops_is_483() {
    let mut wire = Wire::new();
    let text = Request::invite().text().replace("Max-Forwards: 70", "Max-Forwards: 0");
    wire.receive(udp(PEER), &text);
    assert_eq!(wire.words(), ["483 INVITE"]);
    assert!(wire.core.is_empty());
    wire.finish();
}

/// §16.3 item 5.
#[test]
fn a_proxy_extension_that_is_unknown_is_420() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    wire.send(&Request::invite().with("Proxy-Require: privacy, sec-agree\r\n"));
    let refusal = wire.one().message;
    assert_eq!((word(&refusal).as_str(), text(&refusal, Name::Unsupported)), ("420 INVITE", "sec-agree"));
    wire.finish();
}

/// RFC 5393 §4.2: what comes back as it was is a loop; what comes back otherwise is none.
#[test]
fn a_request_that_comes_back_the_same_is_482() {
    let mut wire = Wire::new();
    wire.register_on(udp(BEN), "ben", BEN, "Contact: <sip:carl@192.0.2.100>\r\n");
    wire.register_on(udp(ANNA), "carl", ANNA, "Contact: <sip:carl@198.51.100.1>\r\n");
    wire.send(&Request::invite());
    let out = wire.one().message;
    let as_before = String::from_utf8(out.bytes().to_vec()).unwrap();
    // Whoever it went to sends it back with the Request-URI that it had.
    let with_via =
        |text: &str| text.replacen("Via: ", "Via: SIP/2.0/UDP 192.0.2.100;branch=z9hG4bKback\r\nVia: ", 1);
    let spiral = with_via(&as_before.replace("sip:carl@192.0.2.100", "sip:carl@poc.example"));
    wire.receive(udp(PEER), &spiral);
    assert_eq!(wire.words(), ["INVITE"], "a spiral");
    let looped =
        with_via(&as_before.replace("sip:carl@192.0.2.100", "sip:ben@poc.example")).replace("back", "again");
    wire.receive(udp(PEER), &looped);
    assert_eq!(wire.words(), ["482 INVITE"]);
    assert_eq!(wire.core.counters().looped, 1);
    wire.finish();
}

/// §16.9, §16.7 step 6: 503 counts for this target only.
#[test]
fn a_503_and_a_lost_way_are_500() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    wire.send(&Request::invite());
    let forwarded = wire.one();
    wire.answer(&forwarded, 503);
    assert_eq!(wire.words(), ["ACK", "500 INVITE"]);
    wire.finish();

    let mut wire = Wire::new();
    wire.register_on(tcp(BEN, 7), "ben", BEN, "Contact: <sip:ben@198.51.100.2:5060;transport=tcp>\r\n");
    wire.send(&Request::invite());
    assert_eq!(wire.one().path, tcp(BEN, 7));
    wire.input(Input::ConnectionLost { connection: ConnectionId::Accepted(7) });
    assert_eq!(wire.words(), ["500 INVITE"]);
    wire.finish();
}

/// §16.8: timer B.
#[test]
fn a_target_that_says_nothing_is_408() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    wire.send(&Request::invite());
    wire.advance(T1_64);
    let words = wire.words();
    assert_eq!(words.iter().filter(|word| *word == "INVITE").count(), 7);
    assert_eq!(words.last().unwrap(), "408 INVITE");
    wire.finish();
}

/// RFC 4320 §4.2: nobody waits for a 408 to anything but an INVITE.
#[test]
fn a_message_that_nobody_answers_is_not_answered() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    wire.send(&Request::new("MESSAGE", "zoe", PEER, "ben"));
    wire.advance(T1_64);
    assert!(wire.words().iter().all(|word| word == "MESSAGE"));
    wire.finish();
}

/// R19, §16.8: timer C begins anew with each 1xx, and then cancels. Nothing comes: 408.
#[test]
fn a_target_that_rings_for_ever_is_cancelled_by_timer_c() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    wire.send(&Request::invite());
    let forwarded = wire.one();
    wire.answer(&forwarded, 180);
    wire.advance(ms(150_000));
    wire.answer(&forwarded, 180);
    wire.advance(ms(199_000));
    assert_eq!(wire.words(), ["180 INVITE", "180 INVITE"]);
    wire.advance(ms(1_100));
    let cancel = wire.one();
    assert_eq!(word(&cancel.message), "CANCEL");
    wire.answer(&cancel, 200);
    wire.advance(T1_64);
    assert_eq!(wire.words(), ["408 INVITE"]);
    wire.finish();
}

/// RFC 5658: the two Record-Routes name both transports, and lead back from both sides.
#[test]
fn a_dialog_between_two_transports_stays_on_both() {
    let mut wire = Wire::new();
    wire.register_on(tcp(BEN, 7), "ben", BEN, "Contact: <sip:ben@198.51.100.2:5060;transport=tcp>\r\n");
    let invite = Request::invite();
    wire.send(&invite);
    let forwarded = wire.one();
    let routes = values(&forwarded.message, Name::RecordRoute);
    assert!(routes[0].contains("transport=tcp") && !routes[1].contains("transport"), "{routes:?}");
    wire.answer(&forwarded, 200);
    let answer = wire.one().message;
    wire.send(&invite.within(&answer, "ACK", 1));
    assert_eq!(wire.one().path, tcp(BEN, 7), "the flow, whatever the Contact says");
    // From the other side.
    let bye = Request {
        uri: "sip:zoe@192.0.2.100".into(),
        transport: "TCP",
        from: text(&answer, Name::To).into(),
        to: text(&answer, Name::From).into(),
        call_id: text(&answer, Name::CallId).into(),
        lines: routes.iter().map(|route| format!("Route: {route}\r\n")).collect(),
        ..Request::new("BYE", "ben", BEN, "zoe")
    };
    wire.receive(tcp(BEN, 7), &bye.text());
    let bye = wire.one();
    assert_eq!((word(&bye.message), bye.to()), ("BYE".into(), PEER.into()));
    wire.finish();
}

/// A client behind a NAT: what is for it goes where its REGISTER and its INVITE came from.
#[test]
fn a_client_behind_a_nat_is_reached_along_its_flow() {
    let mut wire = Wire::new();
    let nat = "203.0.113.9:40000";
    wire.register_on(udp(nat), "ben", BEN, "Contact: <sip:ben@10.0.0.7:5060>\r\n");
    wire.send(&Request::invite());
    let forwarded = wire.one();
    assert_eq!((uri(&forwarded.message), forwarded.to()), ("sip:ben@10.0.0.7:5060", nat.into()));
    wire.receive(
        forwarded.path,
        &response(&forwarded.message, 200, "t", "Contact: <sip:ben@10.0.0.7:5060>\r\n"),
    );
    let answer = wire.one().message;
    wire.send(&Request::invite().within(&answer, "ACK", 1));
    let ack = wire.one();
    assert_eq!((uri(&ack.message), ack.to()), ("sip:ben@10.0.0.7:5060", nat.into()));
    wire.finish();
}

/// A request too long for a datagram goes by TCP (§18.1.1), and its CANCEL over the same connection.
#[test]
fn what_is_too_long_for_a_datagram_goes_by_tcp_and_so_does_its_cancel() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    let invite = Request::invite().with(&format!("Subject: {}\r\n", "x".repeat(1200)));
    wire.send(&invite);
    let forwarded = wire.one();
    assert_eq!(forwarded.path.connection, Some(ConnectionId::Opened(1)));
    wire.answer(&forwarded, 180);
    wire.send(&invite.cancel());
    let cancel = wire.sent().pop().unwrap();
    assert_eq!((word(&cancel.message), cancel.path), ("CANCEL".into(), forwarded.path));
    wire.answer(&forwarded, 487);
    wire.finish();
}

/// §18.1.1: TCP was refused. Nothing of it is left, and the CANCEL is that of the INVITE that went by UDP.
#[test]
fn what_tcp_refuses_goes_by_udp_unless_nobody_wants_it_any_more() {
    for gives_up in [false, true] {
        let mut wire = Wire::new();
        wire.register("ben", BEN, "");
        let invite = Request::invite().with(&format!("Subject: {}\r\n", "x".repeat(1200)));
        wire.send(&invite);
        assert!(wire.one().path.connection.is_some());
        if gives_up {
            wire.send(&invite.cancel());
            assert_eq!(wire.words(), ["200 CANCEL", "487 INVITE"]);
        }
        wire.input(Input::ConnectionRefused { connection: ConnectionId::Opened(1) });
        if gives_up {
            wire.nothing();
        } else {
            let forwarded = wire.one();
            assert_eq!((word(&forwarded.message), forwarded.path), ("INVITE".into(), udp(BEN)));
            wire.answer(&forwarded, 180);
            wire.send(&invite.cancel());
            let cancel = wire.sent().pop().unwrap();
            assert_eq!((word(&cancel.message), cancel.path), ("CANCEL".into(), udp(BEN)));
            wire.answer(&forwarded, 487);
        }
        wire.finish();
    }
}

/// Each call would open a connection to find out the same.
#[test]
fn where_tcp_was_refused_it_is_not_tried_again_for_a_minute() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    let invite = |branch: &str| {
        let invite = Request { branch: branch.into(), ..Request::invite() };
        invite.with(&format!("Subject: {}\r\n", "x".repeat(1200)))
    };
    let refuse = |wire: &mut Wire, forwarded: &Sent, branch: &str| {
        wire.answer(forwarded, 486);
        let refusal = wire.sent().pop().unwrap().message;
        wire.send(&invite(branch).ack(&refusal));
    };
    wire.send(&invite("first"));
    let connection = wire.one().path.connection.unwrap();
    wire.input(Input::ConnectionRefused { connection });
    let forwarded = wire.one();
    refuse(&mut wire, &forwarded, "first");
    for (branch, is_by_tcp) in [("second", false), ("third", true)] {
        wire.send(&invite(branch));
        let forwarded = wire.one();
        assert_eq!(forwarded.path.connection.is_some(), is_by_tcp, "{branch}");
        refuse(&mut wire, &forwarded, branch);
        wire.advance(2 * T1_64);
    }
    wire.finish();
}

/// The flow of a dialog is gone: nobody waits for what cannot arrive.
#[test]
fn a_request_along_a_flow_that_is_gone_is_answered_at_once() {
    let mut wire = Wire::new();
    wire.register_on(tcp(BEN, 7), "ben", BEN, "Contact: <sip:ben@198.51.100.2:5060;transport=tcp>\r\n");
    let invite = Request::invite();
    wire.send(&invite);
    let forwarded = wire.one();
    wire.answer(&forwarded, 200);
    let answer = wire.one().message;
    wire.input(Input::ConnectionLost { connection: ConnectionId::Accepted(7) });
    wire.send(&invite.within(&answer, "BYE", 2));
    assert_eq!(wire.words(), ["500 BYE"]);
    wire.finish();
}

/// §16.12.1.1: the path of a binding is followed (RFC 3327), and a strict router on it becomes the Request-URI.
#[test]
fn the_path_of_a_binding_becomes_a_route() {
    for (path, request_uri, routes) in [
        ("<sip:192.0.2.50;lr>", "sip:ben@198.51.100.2:5060", "<sip:192.0.2.50;lr>"),
        ("<sip:192.0.2.50>", "sip:192.0.2.50", "<sip:ben@198.51.100.2:5060>"),
    ] {
        let mut wire = Wire::new();
        let via = format!("Via: SIP/2.0/UDP {BEN};branch=z9hG4bKben");
        let lines = format!("{via}\r\nContact: <sip:ben@{BEN}>\r\nSupported: path\r\nPath: {path}\r\n");
        let answer = wire.register_on(udp(PEER), "ben", PEER, &lines);
        assert_eq!(text(&answer, Name::Path), path);
        wire.send(&Request::invite());
        let forwarded = wire.one();
        assert_eq!((uri(&forwarded.message), text(&forwarded.message, Name::Route)), (request_uri, routes));
        assert_eq!(forwarded.to(), "192.0.2.50:5060");
        wire.finish();
    }
}

/// RFC 3327 §7: whoever registers does not say where the requests of others go, by a Path or behind a proxy that it claims.
#[test]
fn a_client_sends_nobody_elsewhere_by_its_registration() {
    let via = "Via: SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKclaimed\r\n";
    for (contact, lines) in [
        (BEN, "Path: <sip:orig@192.0.2.3:5060;lr>\r\n"),
        (BEN, "Path: <sip:203.0.113.5;lr>\r\n"),
        ("203.0.113.5:5060", via),
    ] {
        let mut wire = Wire::with_server();
        let lines = format!("Contact: <sip:ben@{contact}>\r\n{lines}");
        let answer = wire.register_on(udp(BEN), "ben", BEN, &lines);
        assert_eq!(answer.value(Name::Path), None);
        wire.send(&Request::invite());
        let forwarded = wire.one();
        assert_eq!((forwarded.to(), forwarded.message.value(Name::Route)), (BEN.into(), None), "{lines}");
        wire.finish();
    }
}
