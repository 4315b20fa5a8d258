//! What the PoC Server sees, and what comes back from it (digest 13.1).

use sip::message::Name;
use sip::transport::{Target, Transport};
use sip::{Identifiers, Owner};
use sipcore::Peer;

use crate::wire::*;

const POC: &str = "Accept-Contact: *;+g.poc.talkburst;require;explicit\r\n";

/// A request that the PoC Server sends for ben, with the Routes that it has left.
fn from_server(routes: &str) -> Request {
    Request {
        at: SERVER,
        transport: "TCP",
        branch: "srv".into(),
        ..Request::new("INVITE", "anna", SERVER, "ben")
    }
    .with(POC)
    .with(routes)
}

#[test]
fn an_invite_of_a_user_for_poc_goes_to_the_server_with_its_identity() {
    let mut wire = Wire::with_server();
    let invite = Request::new("INVITE", "anna", ANNA, "poc-factory")
        .with(POC)
        .with("P-Preferred-Identity: \"Anna\" <sip:anna@poc.example>\r\n")
        .with("Route: <sip:orig@192.0.2.1:5060;lr>\r\n");
    wire.send_proven(&invite, "anna");
    let forwarded = wire.one();
    assert_eq!(forwarded.path, inside());
    let message = &forwarded.message;
    assert_eq!(uri(message), "sip:poc-factory@poc.example");
    assert_eq!(
        values(message, Name::Route),
        ["<sip:orig@192.0.2.3:5060;lr>", "<sip:192.0.2.2:5060;lr;odi=orig>"]
    );
    assert_eq!(text(message, Name::PAssertedIdentity), "\"Anna\" <sip:anna@poc.example>");
    assert_eq!(message.value(Name::PPreferredIdentity), None);
    assert_eq!(message.value(Name::ProxyAuthorization), None, "it was for us");
    wire.answer(&forwarded, 200);
    let answer = wire.one();
    assert_eq!((word(&answer.message), answer.to()), ("200 INVITE".into(), ANNA.into()));
    wire.finish();
}

/// PUBLISH of settings, and whatever else is for PoC; nothing else.
#[test]
fn settings_go_to_the_server_and_what_is_not_poc_to_the_user() {
    let mut wire = Wire::with_server();
    wire.register("ben", BEN, "");
    let publish = Request::new("PUBLISH", "anna", ANNA, "anna").with("Event: poc-settings\r\n");
    wire.send_proven(&publish, "anna");
    assert_eq!(wire.one().path, inside());
    wire.send_proven(&Request::new("MESSAGE", "anna", ANNA, "ben"), "anna");
    assert_eq!(wire.one().to(), BEN);
    wire.finish();
}

/// A leg of the Controlling Function: to the server of the invited user, and from there to the bindings.
#[test]
fn a_leg_of_the_server_comes_back_as_terminating_and_then_goes_to_the_bindings() {
    let mut wire = Wire::with_server();
    wire.register("ben", BEN, ";+g.poc.talkburst");
    wire.receive(inside(), &from_server("P-Asserted-Identity: <sip:anna@poc.example>\r\n").text());
    let term = wire.one();
    assert_eq!(term.path, inside());
    let routes = values(&term.message, Name::Route);
    assert_eq!(routes, ["<sip:term@192.0.2.3:5060;lr>", "<sip:192.0.2.2:5060;lr;odi=term>"]);
    let back = format!("Route: {}\r\nP-Asserted-Identity: <sip:anna@poc.example>\r\n", routes[1]);
    let back = Request { call_id: "other".into(), branch: "back".into(), ..from_server(&back) };
    wire.receive(inside(), &back.text());
    let forwarded = wire.one();
    assert_eq!((forwarded.to(), uri(&forwarded.message)), (BEN.into(), "sip:ben@198.51.100.2:5060"));
    assert_eq!(text(&forwarded.message, Name::PAssertedIdentity), "<sip:anna@poc.example>");
    // Cancelled by the server before it knows more: case 2, case 3 and C25 at the core.
    wire.answer(&forwarded, 180);
    wire.receive(inside(), &back.cancel().text());
    assert_eq!(wire.words(), ["180 INVITE", "200 CANCEL", "CANCEL"]);
    wire.answer(&forwarded, 487);
    assert_eq!(wire.words(), ["ACK", "487 INVITE"]);
    wire.finish();
}

/// The addresses of the inside are nobody's outside.
#[test]
fn a_datagram_from_the_address_of_the_server_is_not_from_the_server() {
    let mut wire = Wire::with_server();
    wire.register("ben", BEN, ";+g.poc.talkburst");
    wire.receive(udp(SERVER), &from_server("").text());
    assert_eq!(wire.words(), ["407 INVITE"]);
    wire.finish();
}

/// Only somebody who is trusted may say that a rule has been applied.
#[test]
fn a_client_cannot_pass_the_server_by() {
    let mut wire = Wire::with_server();
    wire.register("ben", BEN, ";+g.poc.talkburst");
    for odi in ["orig", "term"] {
        let invite = Request { branch: format!("odi{odi}"), ..Request::new("INVITE", "anna", ANNA, "ben") };
        let route = format!("Route: <sip:192.0.2.1:5060;lr;odi={odi}>\r\n");
        wire.send_proven(&invite.with(POC).with(&route), "anna");
        assert_eq!(wire.one().path, inside());
    }
    wire.finish();
}

#[test]
fn a_request_within_a_dialog_of_the_server_goes_to_it() {
    let mut wire = Wire::with_server();
    let owner = Owner { node: 0, shard: 0x80 };
    let session = Identifiers::new(owner, [9; 32]).draw();
    let invite = Request::new("INVITE", "anna", ANNA, "poc-factory").with(POC);
    let invite = wire.send_proven(&invite, "anna");
    let forwarded = wire.one();
    let contact = format!("Contact: <sip:{session}@192.0.2.3:5060;session=adhoc>;isfocus\r\n");
    wire.receive(inside(), &response(&forwarded.message, 200, "s", &contact));
    let answer = wire.one().message;
    for (method, number) in [("ACK", 2), ("BYE", 3)] {
        wire.send(&invite.within(&answer, method, number));
        let passed = wire.one();
        assert_eq!((word(&passed.message), passed.path), (method.into(), inside()));
    }
    // From the server to the client.
    let mut routes = values(&forwarded.message, Name::RecordRoute);
    assert_eq!(routes.len(), 2);
    let bye = Request {
        uri: format!("sip:anna@{ANNA}"),
        at: SERVER,
        transport: "TCP",
        from: text(&answer, Name::To).into(),
        to: text(&answer, Name::From).into(),
        call_id: text(&answer, Name::CallId).into(),
        lines: routes.drain(..).map(|route| format!("Route: {route}\r\n")).collect(),
        ..Request::new("BYE", "ben", SERVER, "anna")
    };
    wire.receive(inside(), &bye.text());
    assert_eq!(wire.one().to(), ANNA);
    // To join by the identity of the session.
    let join =
        Request { uri: format!("sip:{session}@poc.example"), ..Request::new("INVITE", "anna", ANNA, "x") };
    wire.send_proven(&join.with(POC), "anna");
    assert_eq!(wire.one().path, inside());
    wire.finish();
}

/// A domain of the table, in both directions.
#[test]
fn another_domain_is_reached_by_the_table_and_may_reach_our_users() {
    let other = "192.0.2.200:5060";
    let mut wire = Wire::with(|config| {
        config.server = Some(Target { transport: Transport::Inside, remote: address(SERVER) });
        let target = Target { transport: Transport::Udp, remote: address(other) };
        config.peers.push(Peer { domain: "other.example".into(), target });
    });
    wire.register("ben", BEN, "");
    let out =
        Request { uri: "sip:dora@other.example".into(), ..Request::new("INVITE", "anna", ANNA, "dora") };
    wire.send_proven(&out, "anna");
    let forwarded = wire.one();
    assert_eq!((forwarded.to(), uri(&forwarded.message)), (other.into(), "sip:dora@other.example"));
    let from_there = Request::new("INVITE", "dora", "192.0.2.200:5060", "ben");
    wire.send(&from_there);
    assert_eq!(wire.one().to(), BEN, "it is not challenged");
    wire.send(&Request { branch: "poc".into(), call_id: "poc".into(), ..from_there }.with(POC));
    assert_eq!(wire.one().path, inside(), "PoC goes to the server of ben first");
    wire.finish();
}

/// What is long comes on a connection, whose port is any.
#[test]
fn a_connection_from_the_host_of_a_peer_is_trusted_unless_the_host_is_ours_too() {
    let ours = CORE.split(':').next().expect("a host");
    for (host, told) in [("192.0.2.200", "100 INVITE"), (ours, "407 INVITE"), ("127.0.0.1", "407 INVITE")] {
        let mut wire = Wire::with(|config| {
            config.trusted.clear();
            let target = Target { transport: Transport::Tcp, remote: address(&format!("{host}:5060")) };
            config.peers.push(Peer { domain: "other.example".into(), target });
        });
        wire.register("ben", BEN, "");
        let from_there = Request::new("INVITE", "dora", "192.0.2.200:5060", "ben");
        wire.receive(tcp(&format!("{host}:40000"), 7), &from_there.text());
        let words = wire.words();
        assert_eq!(words.iter().any(|word| word == "407 INVITE"), told == "407 INVITE", "{host}: {words:?}");
        let datagram = Request { branch: "udp".into(), call_id: "udp".into(), ..from_there };
        wire.receive(udp(&format!("{host}:40000")), &datagram.text());
        assert_eq!(wire.words(), ["407 INVITE"], "a datagram says nothing of its sender");
        wire.finish();
    }
}

/// Domains that nobody knows, and addresses of a client's choice.
#[test]
fn nobody_is_relayed_to_a_place_of_their_choice() {
    let mut wire = Wire::new();
    for (place, host) in ["unknown.example", "203.0.113.5"].into_iter().enumerate() {
        let invite = Request {
            uri: format!("sip:x@{host}"),
            branch: format!("relay{place}"),
            call_id: format!("relay{place}"),
            ..Request::new("INVITE", "anna", ANNA, "x")
        };
        wire.send_proven(&invite, "anna");
        assert_eq!(wire.words(), ["404 INVITE"]);
    }
    // Nor by the PoC Server, which invites whomever a client names.
    let named = Request { uri: "sip:x@203.0.113.5".into(), branch: "named".into(), ..from_server("") };
    wire.receive(inside(), &named.text());
    assert_eq!(wire.words(), ["404 INVITE"]);
    let routed = Request::new("INVITE", "anna", ANNA, "ben").with("Route: <sip:203.0.113.5;lr>\r\n");
    wire.send_proven(&routed, "anna");
    assert_eq!(wire.words(), ["403 INVITE"]);
    // A request that begins something, with the Route of a dialog.
    wire.register("ben", BEN, "");
    wire.send(&Request::invite());
    let forwarded = wire.one();
    wire.answer(&forwarded, 200);
    let answer = wire.one().message;
    let first = Request {
        at: ANNA,
        to: "<sip:ben@poc.example>".into(),
        uri: "sip:x@203.0.113.5".into(),
        ..Request::invite().within(&answer, "INVITE", 9)
    };
    wire.send(&first);
    assert_eq!(wire.words(), ["407 INVITE"]);
    // Within a dialog that there is not: a Route that we did not write, and one of another call.
    for method in ["ACK", "BYE"] {
        let stolen = Request {
            at: ANNA,
            uri: "sip:x@203.0.113.5".into(),
            call_id: "of-another-call".into(),
            ..Request::invite().within(&answer, method, 2)
        };
        wire.send(&stolen);
        let expected = if method == "ACK" { vec![] } else { vec!["407 BYE"] };
        assert_eq!(wire.words(), expected);
    }
    wire.finish();
}
