//! What the PoC Server hosts: groups, and PoC Sessions by their identity (digest 3, 9.3, 9.4, 9.7, 9.8, 13.1).

use bytes::Bytes;
use sip::message::Name;
use sip::transport::{Target, Transport};
use sip::{Identifiers, Owner};
use sipcore::{Command, Input, Peer, shard_of};

use crate::wire::*;

const POC: &str = "Accept-Contact: *;+g.poc.talkburst;require;explicit\r\n";
const ADVERTISEMENT: &str = "Accept-Contact: *;+g.poc.groupad;require;explicit\r\n";
const CONFERENCE: &str = "Event: conference\r\nAccept-Contact: *;+g.poc.talkburst\r\n";
const OTHER: &str = "192.0.2.200:5060";

const ORIGINATING: [&str; 2] = ["<sip:orig@192.0.2.3:5060;lr>", "<sip:192.0.2.2:5060;lr;odi=orig>"];
const TERMINATING: [&str; 2] = ["<sip:term@192.0.2.3:5060;lr>", "<sip:192.0.2.2:5060;lr;odi=term>"];

/// With a PoC Server, the core of another domain, and the group patrol.
fn stage() -> Wire {
    let mut wire = Wire::with(|config| {
        config.server = Some(Target { transport: Transport::Inside, remote: address(SERVER) });
        let target = Target { transport: Transport::Udp, remote: address(OTHER) };
        config.peers.push(Peer { domain: "other.example".into(), target });
    });
    wire.input(Input::Command(Command::PutService(Bytes::from("patrol"))));
    wire
}

/// An identifier that this shard of a node has made.
fn identifier(node: u16, shard: u8) -> String {
    Identifiers::new(Owner { node, shard }, [9; 32]).draw().to_string()
}

/// A PoC Session Identity of ours.
fn session() -> String {
    format!("sip:{}@poc.example;session=chat", identifier(0, 0x81))
}

/// The same request, of a branch and a call of its own.
fn anew(request: Request, name: &str) -> Request {
    Request { branch: name.into(), call_id: format!("call-{name}"), ..request }
}

fn of_anna(method: &'static str, uri: &str, lines: &str) -> Request {
    Request { uri: uri.into(), ..Request::new(method, "anna", ANNA, "x") }.with(lines)
}

/// A request that the PoC Server sends.
fn of_server(method: &'static str, uri: &str, lines: &str) -> Request {
    let request = Request { at: SERVER, transport: "TCP", ..of_anna(method, uri, lines) };
    request.with("P-Asserted-Identity: <sip:anna@poc.example>\r\n")
}

/// What the server is handed of what the core has got from a client.
fn handed(wire: &mut Wire, request: Request, name: &str) -> Sent {
    wire.send_proven(&anew(request, name), "anna");
    let sent = wire.one();
    assert_eq!(sent.path, inside(), "{name}");
    assert_eq!(text(&sent.message, Name::PAssertedIdentity), "<sip:anna@poc.example>", "{name}");
    sent
}

#[test]
fn a_group_is_reached_by_way_of_the_server_of_the_inviter() {
    let mut wire = stage();
    let group = "sip:patrol@poc.example;session=chat";
    // Whatever it asks for: nobody else has this address.
    for (place, lines) in ["", POC].into_iter().enumerate() {
        let sent = handed(&mut wire, of_anna("INVITE", group, lines), &format!("invite{place}"));
        assert_eq!(
            (uri(&sent.message), values(&sent.message, Name::Route)),
            (group, ORIGINATING.map(String::from).to_vec())
        );
        // What comes back from there goes to the host, which has no bindings to come back for.
        let routes = format!("{POC}Route: {}\r\n", ORIGINATING[1]);
        let back = anew(of_server("INVITE", group, &routes), &format!("back{place}"));
        wire.receive(inside(), &back.text());
        let hosted = wire.one();
        assert_eq!(hosted.path, inside());
        assert_eq!(
            (uri(&hosted.message), values(&hosted.message, Name::Route)),
            (group, vec![TERMINATING[0].into()])
        );
    }
    wire.finish();
}

#[test]
fn a_group_is_hosted_for_other_domains_until_it_is_removed() {
    let mut wire = stage();
    let invite = Request::new("INVITE", "dora", OTHER, "patrol").with(POC);
    wire.send(&invite);
    let hosted = wire.one();
    assert_eq!((hosted.path, values(&hosted.message, Name::Route)), (inside(), vec![TERMINATING[0].into()]));
    wire.input(Input::Command(Command::RemoveService(Bytes::from("patrol"))));
    wire.send(&anew(invite, "removed"));
    assert_eq!(wire.words(), ["404 INVITE"]);
    wire.finish();
}

/// The factory is a service too: the server invites it for a user with a session that is established beforehand.
#[test]
fn the_server_reaches_the_factory_as_a_client_of_it() {
    let mut wire = stage();
    let invite = of_server("INVITE", "sip:poc-factory@poc.example", POC);
    wire.receive(inside(), &invite.text());
    let sent = wire.one();
    assert_eq!((sent.path, values(&sent.message, Name::Route)), (inside(), vec![TERMINATING[0].into()]));
    wire.finish();
}

#[test]
fn a_rejoin_passes_the_server_of_the_user_and_then_meets_the_session() {
    let mut wire = stage();
    let sent = handed(&mut wire, of_anna("INVITE", &session(), POC), "rejoin");
    assert_eq!(
        (uri(&sent.message), values(&sent.message, Name::Route)),
        (&*session(), ORIGINATING.map(String::from).to_vec())
    );
    let routes = format!("{POC}Route: {}\r\n", ORIGINATING[1]);
    let back = anew(of_server("INVITE", &session(), &routes), "back");
    wire.receive(inside(), &back.text());
    let met = wire.one();
    assert_eq!((met.path, values(&met.message, Name::Route)), (inside(), vec![TERMINATING[0].into()]));
    // Its CANCEL goes the same way.
    wire.answer(&met, 180);
    wire.receive(inside(), &back.cancel().text());
    let cancel = wire.sent().pop().expect("a CANCEL");
    assert_eq!((word(&cancel.message), cancel.path), ("CANCEL".into(), inside()));
    assert_eq!(values(&cancel.message, Name::Route), [TERMINATING[0]]);
    // From another domain.
    wire.send(&anew(Request { uri: session(), ..Request::new("INVITE", "dora", OTHER, "x") }, "dora"));
    let met = wire.one();
    assert_eq!((met.path, values(&met.message, Name::Route)), (inside(), vec![TERMINATING[0].into()]));
    wire.finish();
}

/// Who may know of a session and who may change it is decided by its host, which is told who asks.
#[test]
fn subscribe_and_refer_go_straight_to_the_host_of_the_session() {
    let mut wire = stage();
    for (place, target) in [session(), "sip:patrol@poc.example".into()].into_iter().enumerate() {
        for (method, lines) in [
            ("SUBSCRIBE", CONFERENCE),
            ("REFER", "Refer-To: <sip:ben@poc.example>\r\nAccept-Contact: *;+g.poc.talkburst\r\n"),
        ] {
            let sent = handed(&mut wire, of_anna(method, &target, lines), &format!("{method}{place}"));
            assert_eq!(
                (uri(&sent.message), values(&sent.message, Name::Route)),
                (&*target, vec![TERMINATING[0].into()])
            );
            // From another domain.
            let other = Request { uri: target.clone(), ..Request::new(method, "dora", OTHER, "x") };
            wire.send(&anew(other.with(lines), &format!("{method}{place}-dora")));
            assert_eq!(wire.one().path, inside());
        }
    }
    wire.finish();
}

/// The other core trusts ours to say who it is. A server of ours would have nothing to say to it.
#[test]
fn subscribe_and_refer_for_a_session_elsewhere_go_to_the_core_of_its_domain() {
    let mut wire = stage();
    let target = format!("sip:{}@other.example;session=chat", identifier(0, 0x80));
    for (method, lines) in [
        ("SUBSCRIBE", CONFERENCE),
        ("REFER", "Refer-To: <sip:ben@poc.example>\r\nAccept-Contact: *;+g.poc.talkburst\r\n"),
    ] {
        wire.send_proven(&anew(of_anna(method, &target, lines), method), "anna");
        let sent = wire.one();
        assert_eq!((sent.to(), uri(&sent.message)), (OTHER.into(), &*target));
        assert_eq!(values(&sent.message, Name::Route), Vec::<String>::new());
        assert_eq!(text(&sent.message, Name::PAssertedIdentity), "<sip:anna@poc.example>");
    }
    // An INVITE passes the server of its user.
    handed(&mut wire, of_anna("INVITE", &target, POC), "invite");
    wire.finish();
}

/// For anything else there is nobody of that name; so there is not for an identifier that no server of ours has made.
#[test]
fn a_session_is_there_for_poc_clients_only() {
    let mut wire = stage();
    let subscribe = "Event: conference\r\n";
    for (method, lines) in
        [("INVITE", ""), ("SUBSCRIBE", subscribe), ("MESSAGE", ""), ("INVITE", ADVERTISEMENT)]
    {
        wire.send_proven(
            &anew(of_anna(method, &session(), lines), &format!("{method}{}", lines.len())),
            "anna",
        );
        assert_eq!(wire.words(), [format!("404 {method}")]);
    }
    for (node, shard) in [(0, 0x7f), (0, 0xc0), (1, 0x80)] {
        let stranger = format!("sip:{}@poc.example", identifier(node, shard));
        let name = format!("of{node}-{shard}");
        wire.send_proven(&anew(of_anna("SUBSCRIBE", &stranger, CONFERENCE), &name), "anna");
        assert_eq!(wire.words(), ["404 SUBSCRIBE"], "{name}");
    }
    // It says of itself that it is one.
    let contact = "Contact: <sip:anna@198.51.100.1>;+g.poc.talkburst\r\n";
    let refer = of_anna("REFER", &session(), "Refer-To: <sip:ben@poc.example>\r\n");
    handed(
        &mut wire,
        Request { lines: format!("{contact}Refer-To: <sip:ben@poc.example>\r\n"), ..refer },
        "says",
    );
    wire.finish();
}

/// The Contact of a server that names its domain, not itself.
#[test]
fn a_request_within_a_dialog_finds_the_session_by_its_domain() {
    let mut wire = stage();
    let invite = Request::new("INVITE", "anna", ANNA, "patrol").with(POC);
    let invite = wire.send_proven(&invite, "anna");
    let forwarded = wire.one();
    let contact = format!("Contact: <{}>;isfocus\r\n", session());
    wire.receive(inside(), &response(&forwarded.message, 200, "s", &contact));
    let answer = wire.one().message;
    for (method, number) in [("ACK", 2), ("REFER", 3), ("BYE", 4)] {
        wire.send(&invite.within(&answer, method, number));
        let passed = wire.one();
        assert_eq!((word(&passed.message), passed.path), (method.into(), inside()));
        assert_eq!((uri(&passed.message), values(&passed.message, Name::Route)), (&*session(), vec![]));
    }
    wire.finish();
}

#[test]
fn an_alert_and_an_advertisement_pass_both_servers() {
    let mut wire = stage();
    wire.register("ben", BEN, ";+g.poc.talkburst;+g.poc.groupad");
    for (name, lines) in [("alert", POC), ("advertisement", ADVERTISEMENT)] {
        let sent = handed(&mut wire, of_anna("MESSAGE", "sip:ben@poc.example", lines), name);
        assert_eq!(values(&sent.message, Name::Route), ORIGINATING);
        // 1. From the server of the sender to that of the user.
        let relayed = of_server("MESSAGE", "sip:ben@poc.example", lines);
        let first = relayed.clone().with(&format!("Route: {}\r\n", ORIGINATING[1]));
        wire.receive(inside(), &anew(first, &format!("{name}1")).text());
        let sent = wire.one();
        assert_eq!(
            (sent.path, values(&sent.message, Name::Route)),
            (inside(), TERMINATING.map(String::from).to_vec())
        );
        // 2. And from there to the user.
        let second = relayed.with(&format!("Route: {}\r\n", TERMINATING[1]));
        wire.receive(inside(), &anew(second, &format!("{name}2")).text());
        assert_eq!(wire.one().to(), BEN);
        // To a group: to its host, which knows the members.
        let sent =
            handed(&mut wire, of_anna("MESSAGE", "sip:patrol@poc.example", lines), &format!("{name}3"));
        assert_eq!(values(&sent.message, Name::Route), ORIGINATING);
        let group = anew(of_server("MESSAGE", "sip:patrol@poc.example", lines), &format!("{name}4"));
        wire.receive(inside(), &group.text());
        let sent = wire.one();
        assert_eq!((sent.path, values(&sent.message, Name::Route)), (inside(), vec![TERMINATING[0].into()]));
    }
    // Only a MESSAGE advertises a group.
    wire.send_proven(&anew(of_anna("INVITE", "sip:ben@poc.example", ADVERTISEMENT), "call"), "anna");
    assert_eq!(wire.one().to(), BEN);
    wire.finish();
}

/// A group has a shard of its own; whoever calls the factory is on that of the caller.
#[test]
fn a_group_is_on_one_shard_and_the_factory_on_that_of_each_inviter() {
    let mut config = sipcore::Config::new("poc.example".into(), Vec::new(), [7; 32]);
    config.shards = 16;
    let shard = |request: &Request| shard_of(&config, &sip::Message::parse(request.text().into()).unwrap());
    let of_group = shard(&of_anna("INVITE", "sip:patrol@poc.example;session=chat", POC));
    for from in ["ben", "carl", "dora"] {
        assert_eq!(shard(&Request::new("SUBSCRIBE", from, OTHER, "patrol")), of_group);
        let trusted = Request { at: SERVER, ..Request::new("INVITE", from, SERVER, "poc-factory") };
        assert_eq!(shard(&trusted), shard(&register(from, BEN, "")));
    }
}
