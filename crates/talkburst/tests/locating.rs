//! The binary, from outside: names, by way of a name server on the loopback interface.
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod name_server;
mod program;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use name_server::{Manner, NameServer, a, naptr, srv};
use program::{PATIENCE, Peer, Program, end, kinds};
use sip::message::Name;

/// A domain whose first server has the first port and whose second the other.
fn domain(first: SocketAddr, second: SocketAddr) -> NameServer {
    let zone = vec![
        naptr("calls.test.", 10, "SIP+D2U", "_sip._udp.calls.test."),
        srv("_sip._udp.calls.test.", 1, first.port(), "one.calls.test."),
        srv("_sip._udp.calls.test.", 2, second.port(), "two.calls.test."),
        a("one.calls.test.", "127.0.0.1"),
        a("two.calls.test.", "127.0.0.1"),
    ];
    NameServer::start(Manner::Correct, zone)
}

fn call(uri: &str, nameserver: &NameServer, arguments: &[&str]) -> Program {
    let nameserver = nameserver.address.to_string();
    Program::start(&[&["call", uri, "--nameserver", &nameserver], arguments].concat())
}

/// C12, C17, RFC 3263 §4.3: the first server is dead, the second rings; the CANCEL goes where the second INVITE went, the
/// first attempt is not cancelled, and nothing is looked up again.
#[test]
fn a_server_that_is_dead_gives_way_to_the_next_and_the_cancel_goes_to_that() {
    let ((dead, first), (alive, second)) = (Peer::open(), Peer::open());
    let nameserver = domain(first, second);
    let mut call = call("sip:ben@calls.test", &nameserver, &["--t1", "5ms"]);
    let (attempt, _) = dead.request();
    assert_eq!(attempt.method_text(), b"INVITE");
    let (invite, from) = alive.request();
    assert_eq!((invite.call_id(), invite.uri_text()), (attempt.call_id(), attempt.uri_text()));
    assert_ne!(invite.via().unwrap().branch(), attempt.via().unwrap().branch());
    let asked = nameserver.questions().len();
    alive.answer(&invite, from, 180);
    call.until("progress");
    call.signal("INT");
    let cancel =
        std::iter::from_fn(|| Some(alive.request().0)).find(|each| !each.is(sip::message::Method::Invite));
    let cancel = cancel.unwrap();
    assert_eq!((cancel.method_text(), cancel.value(Name::Via)), (&b"CANCEL"[..], invite.value(Name::Via)));
    alive.answer(&cancel, from, 200);
    alive.answer(&invite, from, 487);
    let (code, events, _) = call.exit();
    assert_eq!((code, end(&events)), (Some(0), ("cancelled", "local", Some(487))));
    assert_eq!(nameserver.questions().len(), asked, "C12: looked up once");
    let methods = dead.methods_within(Duration::from_millis(50));
    assert!(methods.iter().all(|method| method == "INVITE"), "C17: {methods:?}");
}

/// C40: the wish comes while the name is looked up: no INVITE leaves, and the end is told at once.
#[test]
fn giving_up_during_the_look_up_sends_nothing() {
    let (peer, address) = Peer::open();
    let silent = NameServer::start(Manner::Silent, Vec::new());
    let call = call(&format!("sip:ben@calls.test:{}", address.port()), &silent, &[]);
    let until = Instant::now() + PATIENCE;
    while silent.questions().is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let begun = Instant::now();
    call.signal("INT");
    let (code, events, said) = call.exit();
    assert!(begun.elapsed() < Duration::from_secs(2), "it does not wait for the name server");
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert_eq!((kinds(&events), end(&events)), (vec!["ended"], ("cancelled", "local", None)));
    assert_eq!(peer.methods_within(Duration::from_millis(50)), [""; 0]);
}

/// RFC 3261 §12.2.1.1, RFC 3263: the peer's Contact is a name: the BYE goes where that leads, while the ACK did not wait
/// for it.
#[test]
fn a_contact_that_is_a_name_is_looked_up_for_what_follows() {
    let ((proxy, at_proxy), (ben, at_ben)) = (Peer::open(), Peer::open());
    let nameserver = NameServer::start(Manner::Correct, vec![a("ben.test.", "127.0.0.1")]);
    let mut call = call(&format!("sip:ben@{at_proxy}"), &nameserver, &["--leave-after", "300ms"]);
    let (invite, from) = proxy.request();
    let body = String::from_utf8(invite.body().to_vec()).unwrap();
    let contact = format!("Contact: <sip:ben@ben.test:{}>\r\n", at_ben.port());
    let length = body.len();
    let rest = format!("{contact}Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{body}");
    proxy.answer_with(&invite, from, 200, &rest);
    call.until("established");
    assert_eq!(proxy.request().0.method_text(), b"ACK");
    let (bye, from) = ben.request();
    assert_eq!(bye.method_text(), b"BYE");
    ben.answer(&bye, from, 200);
    let (code, events, _) = call.exit();
    assert_eq!((code, end(&events)), (Some(0), ("left", "local", None)));
}

#[test]
fn a_name_that_does_not_resolve_is_said_in_one_line() {
    let nameserver = NameServer::start(Manner::Correct, Vec::new());
    let (code, events, said) = call("sip:ben@nowhere.test", &nameserver, &[]).exit();
    assert_eq!((code, kinds(&events)), (Some(4), Vec::new()));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("talkburst: failed to ") && said.contains("nowhere.test"), "{said}");
}
