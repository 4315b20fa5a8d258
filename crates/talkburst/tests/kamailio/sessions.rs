//! Sessions whose every message goes by way of Kamailio.

use sip::message::Name;

use crate::network::{Network, check_way};
use crate::program::end;
use crate::sipping::{Transport, over_udp_and_tcp};

#[test]
fn a_session_is_answered_and_left() {
    over_udp_and_tcp(|transport| {
        let Some(mut network) = Network::start(transport) else { return };
        let mut ben = network.client("ben", &["answer", "--once", "--manual", "--answer-after", "20ms"]);
        ben.until("published");
        let anna = network.client("anna", &["call", "ben", "--leave-after", "50ms"]);
        assert_eq!(end(&anna.exit().1), ("left", "local", None));
        assert_eq!(end(&ben.exit().1).0, "released");
        for _ in 0..2 {
            let record = network.server.until("closed");
            assert_eq!((record["end"].as_str(), record["by"].as_str()), (Some("released"), Some("inviter")));
        }
        let core = network.core_at;
        let server = network.server_at;
        let seen = network.seen();
        check_way(&seen, core);
        // Anna's to the server, that of the Controlling Function to the Participating one, and that of the latter to Ben.
        let passed: Vec<_> = seen.iter().filter(|each| each.is_sent && each.is("INVITE")).collect();
        assert_eq!(passed.len(), 3);
        let roles: Vec<_> = passed.iter().map(|each| each.message.items(Name::Route).next()).collect();
        assert!(roles[0].is_some_and(|route| route.starts_with(b"<sip:orig@")), "{roles:?}");
        assert!(roles[1].is_some_and(|route| route.starts_with(b"<sip:term@")), "{roles:?}");
        assert_eq!(roles[2], None);
        assert!(passed[0].to == server && passed[0].is_tcp == (transport == Transport::Tcp));
        let asserted = |each: &crate::network::Seen| each.message.value(Name::PAssertedIdentity).is_some();
        assert!(asserted(passed[0]) && asserted(passed[1]));
        assert_eq!(seen.iter().filter(|each| each.is_sent && each.is("BYE")).count(), 3);
    });
}

#[test]
fn a_session_that_is_cancelled_rings_nowhere() {
    over_udp_and_tcp(|transport| {
        let Some(mut network) = Network::start(transport) else { return };
        let mut ben = network.client("ben", &["answer", "--once", "--manual"]);
        ben.until("published");
        let mut anna = network.client("anna", &["call", "ben", "--cancel-after", "300ms"]);
        anna.until("progress");
        assert_eq!(end(&anna.exit().1), ("cancelled", "local", Some(487)));
        assert_eq!(end(&ben.exit().1), ("cancelled", "remote", Some(487)));
        for _ in 0..2 {
            assert_eq!(network.server.until("closed")["end"], "cancelled");
        }
        let core = network.core_at;
        let seen = network.seen();
        check_way(&seen, core);
        assert_eq!(seen.iter().filter(|each| each.is_sent && each.is("CANCEL")).count(), 3);
    });
}

/// R3: whichever comes first, nobody is left connected. Ben answers when Anna gives up.
#[test]
fn an_answer_that_crosses_the_cancel_leaves_nobody_connected() {
    let Some(mut network) = Network::start(Transport::Udp) else { return };
    let mut ben = network.client("ben", &["answer", "--once", "--manual", "--answer-after", "300ms"]);
    ben.until("published");
    let anna = network.client("anna", &["call", "ben", "--cancel-after", "305ms"]);
    let (_, events, _) = anna.exit();
    let anna_ended = end(&events).0.to_owned();
    assert!(["cancelled", "left"].contains(&&*anna_ended), "{events:#?}");
    let (_, events, _) = ben.exit();
    assert!(["cancelled", "released"].contains(&end(&events).0), "{events:#?}");
    for _ in 0..2 {
        network.server.until("closed");
    }
}

#[test]
fn a_group_is_called_and_its_members_are_told_who_takes_part() {
    let Some(network) = Network::start(Transport::Udp) else { return };
    let [mut ben, mut carl] = ["ben", "carl"].map(|name| network.client(name, &["answer", "--once"]));
    ben.until("published");
    carl.until("published");
    let mut anna = network.client("anna", &["call", "patrol"]);
    assert_eq!(anna.until("established")["session_type"], "prearranged");
    // RFC 4575, by a SUBSCRIBE to the session and its NOTIFYs.
    loop {
        let participants = anna.until("participants");
        let connected = participants["participants"].as_array().unwrap().iter();
        if connected.filter(|each| each["status"] == "connected").count() == 3 {
            break;
        }
    }
    anna.signal("INT");
    assert_eq!(anna.exit().0, Some(0));
    // Two are a session, and one is none (digest 10.5).
    ben.signal("INT");
    assert_eq!(end(&ben.exit().1).0, "left");
    assert_eq!(end(&carl.exit().1).0, "released");
    let core = network.core_at;
    check_way(&network.seen(), core);
}
