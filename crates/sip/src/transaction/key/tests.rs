use std::net::SocketAddr;

use super::super::fixture::{message, udp};
use super::*;
use crate::identifier::{Identifiers, Owner};
use crate::message::{Message, Name};
use crate::transport::{ConnectionId, Transport};

fn keyed() -> Keyed {
    Keyed::new([7; 16])
}

fn server(keyed: &Keyed, request: &Message) -> Result<Key, Fault> {
    super::server(keyed, &Essentials::of(request))
}

fn of_method(keyed: &Keyed, request: &Message, method: &[u8]) -> Result<Key, Fault> {
    super::of_method(keyed, &Essentials::of(request), method)
}

fn by_flow(keyed: &Keyed, request: &Message, flow: &Flow) -> Result<Key, Fault> {
    super::by_flow(keyed, &Essentials::of(request), flow)
}

fn merged(keyed: &Keyed, request: &Message) -> Result<Key, Fault> {
    super::merged(keyed, &Essentials::of(request))
}

fn client_of(keyed: &Keyed, response: &Message) -> Option<Key> {
    super::client_of(keyed, &Essentials::of(response))
}

/// A request with the sent-by, the parameters and the method that matter here.
fn request(method: &str, via: &str) -> Message {
    request_with(method, via, "21", "sip:poc@home1.example", "")
}

fn request_with(method: &str, via: &str, number: &str, uri: &str, to_parameters: &str) -> Message {
    message(&[
        &format!("{method} {uri} SIP/2.0"),
        &format!("Via: {via}"),
        "Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKbehind",
        "From: <sip:anna@home1.example>;tag=a1",
        &format!("To: <sip:poc@home1.example>{to_parameters}"),
        "Call-ID: c-4711@192.0.2.10",
        &format!("CSeq: {number} {method}"),
        "",
        "",
    ])
}

fn server_of(method: &str, via: &str) -> Key {
    server(&keyed(), &request(method, via)).expect("a key")
}

const VIA: &str = "SIP/2.0/UDP a.example:5060;branch=z9hG4bKinv77";

mod a_server_transaction {
    use super::*;

    #[test]
    fn is_found_by_branch_sent_by_and_method() {
        let key = server_of("INVITE", VIA);
        assert_eq!(key, server_of("INVITE", VIA));
        assert_ne!(key, server_of("INVITE", "SIP/2.0/UDP a.example:5060;branch=z9hG4bKinv78"), "branch");
        assert_ne!(key, server_of("INVITE", "SIP/2.0/UDP b.example:5060;branch=z9hG4bKinv77"), "host");
        assert_ne!(key, server_of("INVITE", "SIP/2.0/UDP a.example:5062;branch=z9hG4bKinv77"), "port");
        assert_ne!(key, server_of("BYE", VIA), "method");
    }

    // RFC 3261 §17.2.3: all else is not looked at.
    #[test]
    fn is_found_whatever_else_the_request_says() {
        let key = server_of("INVITE", VIA);
        assert_eq!(key, server_of("INVITE", &format!("{VIA};rport=5;received=192.0.2.7")));
        assert_eq!(key, server_of("INVITE", "SIP/2.0/TCP a.example:5060;branch=z9hG4bKinv77"));
        let other = request_with("INVITE", VIA, "22", "sip:other@home1.example", ";tag=s9");
        assert_eq!(server(&keyed(), &other), Ok(key));
    }

    #[test]
    fn is_looked_for_by_the_topmost_via() {
        assert_ne!(
            server_of("INVITE", VIA),
            server_of("INVITE", "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKbehind")
        );
        let both = format!("{VIA}, SIP/2.0/UDP b.example;branch=z9hG4bKother");
        assert_eq!(server_of("INVITE", VIA), server_of("INVITE", &both));
    }

    #[test]
    fn has_a_host_without_regard_to_case() {
        assert_eq!(
            server_of("INVITE", VIA),
            server_of("INVITE", "SIP/2.0/UDP A.Example:5060;branch=z9hG4bKinv77")
        );
    }

    #[test]
    fn has_a_branch_with_regard_to_case() {
        assert_ne!(
            server_of("INVITE", VIA),
            server_of("INVITE", "SIP/2.0/UDP a.example:5060;branch=z9hG4bKINV77")
        );
    }

    // §18.1.1: 5060 for UDP and TCP, 5061 for TLS.
    #[test]
    fn has_the_default_port_of_its_transport_if_none_is_written() {
        assert_eq!(
            server_of("INVITE", VIA),
            server_of("INVITE", "SIP/2.0/UDP a.example;branch=z9hG4bKinv77")
        );
        let tls =
            |port: &str| server_of("INVITE", &format!("SIP/2.0/TLS a.example{port};branch=z9hG4bKinv77"));
        assert_eq!(tls(""), tls(":5061"));
        assert_ne!(tls(""), tls(":5060"));
    }

    #[test]
    fn is_not_found_without_the_secret() {
        let invite = request("INVITE", VIA);
        assert_ne!(server(&keyed(), &invite), server(&Keyed::new([8; 16]), &invite));
    }

    #[test]
    fn has_no_key_without_a_via_that_can_be_read() {
        assert_eq!(server(&keyed(), &request("INVITE", "SIP/2.0/UDP")), Err(Fault::Header(Name::Via)));
        let bare = message(&["INVITE sip:poc@home1.example SIP/2.0", "CSeq: 1 INVITE", "", ""]);
        assert_eq!(server(&keyed(), &bare), Err(Fault::Missing(Name::Via)));
    }
}

mod an_ack_and_a_cancel {
    use super::*;

    // §17.2.3: except for ACK, where the method of the request that created the transaction is INVITE.
    #[test]
    fn an_ack_belongs_to_its_invite() {
        assert_eq!(server_of("ACK", VIA), server_of("INVITE", VIA));
    }

    #[test]
    fn a_cancel_has_a_transaction_of_its_own() {
        assert_ne!(server_of("CANCEL", VIA), server_of("INVITE", VIA));
        assert_eq!(server_of("CANCEL", VIA), server_of("CANCEL", VIA));
    }

    // §9.2: matched as if the method were that of the INVITE.
    #[test]
    fn a_cancel_finds_the_invite_on_its_branch() {
        let cancelled = |via| of_method(&keyed(), &request("CANCEL", via), b"INVITE");
        assert_eq!(cancelled(VIA), Ok(server_of("INVITE", VIA)));
        assert_ne!(cancelled("SIP/2.0/UDP a.example:5060;branch=z9hG4bKinv78"), Ok(server_of("INVITE", VIA)));
        assert_ne!(cancelled("SIP/2.0/UDP b.example:5060;branch=z9hG4bKinv77"), Ok(server_of("INVITE", VIA)));
    }

    #[test]
    fn a_cancel_with_a_to_tag_still_finds_its_invite() {
        let cancel = request_with("CANCEL", VIA, "21", "sip:poc@home1.example", ";tag=s9");
        assert_eq!(of_method(&keyed(), &cancel, b"INVITE"), Ok(server_of("INVITE", VIA)));
    }

    #[test]
    fn any_method_can_be_looked_for_on_a_branch() {
        let cancel = request("CANCEL", VIA);
        assert_eq!(of_method(&keyed(), &cancel, b"UPDATE"), Ok(server_of("UPDATE", VIA)));
    }
}

mod a_peer_that_predates_rfc_3261 {
    use super::*;

    /// No branch, a branch without the cookie, the cookie alone, the cookie in other letters.
    const VIAS: [&str; 4] = [
        "SIP/2.0/UDP a.example:5060",
        "SIP/2.0/UDP a.example:5060;branch=1",
        "SIP/2.0/UDP a.example:5060;branch=z9hG4bK",
        "SIP/2.0/UDP a.example:5060;branch=z9hg4bkinv77",
    ];

    // §17.2.3: Request-URI, From tag, Call-ID, CSeq number and top Via.
    #[test]
    fn is_matched_by_the_fields_of_rfc_2543() {
        for via in VIAS {
            let key =
                |method, number, uri| server(&keyed(), &request_with(method, via, number, uri, "")).unwrap();
            let invite = key("INVITE", "21", "sip:poc@home1.example");
            assert_eq!(invite, key("INVITE", "21", "sip:poc@home1.example"), "{via}");
            assert_ne!(invite, key("INVITE", "22", "sip:poc@home1.example"), "{via}: CSeq");
            assert_ne!(invite, key("INVITE", "21", "sip:other@home1.example"), "{via}: Request-URI");
            assert_ne!(invite, key("BYE", "21", "sip:poc@home1.example"), "{via}: method");
        }
    }

    #[test]
    fn has_another_transaction_for_another_call_id_or_from_tag() {
        let lines = |from: &str, call_id: &str| {
            message(&[
                "INVITE sip:poc@home1.example SIP/2.0",
                "Via: SIP/2.0/UDP a.example;branch=z9hG4bK",
                &format!("From: <sip:anna@home1.example>{from}"),
                "To: <sip:poc@home1.example>",
                &format!("Call-ID: {call_id}"),
                "CSeq: 21 INVITE",
                "",
                "",
            ])
        };
        let key = |from, call_id| server(&keyed(), &lines(from, call_id)).unwrap();
        assert_ne!(key(";tag=a1", "c-1"), key(";tag=a2", "c-1"));
        assert_ne!(key(";tag=a1", "c-1"), key(";tag=a1", "c-2"));
        assert_eq!(key("", "c-1"), key("", "c-1"));
    }

    #[test]
    fn has_another_transaction_for_another_top_via() {
        for (one, other) in VIAS.iter().zip(VIAS.iter().cycle().skip(1)) {
            assert_ne!(server_of("INVITE", one), server_of("INVITE", other));
        }
    }

    // §17.2.3: an ACK has the To tag of the response.
    #[test]
    fn has_an_ack_that_belongs_to_its_invite_although_the_to_tag_is_new() {
        for via in VIAS {
            let ack = request_with("ACK", via, "21", "sip:poc@home1.example", ";tag=s9");
            assert_eq!(server(&keyed(), &ack), Ok(server_of("INVITE", via)), "{via}");
        }
    }

    #[test]
    fn has_a_cancel_that_finds_its_invite() {
        for via in VIAS {
            assert_eq!(
                of_method(&keyed(), &request("CANCEL", via), b"INVITE"),
                Ok(server_of("INVITE", via)),
                "{via}"
            );
            assert_ne!(server_of("CANCEL", via), server_of("INVITE", via), "{via}");
        }
    }

    #[test]
    fn has_no_key_without_from_or_cseq() {
        let bare = message(&["INVITE sip:poc@home1.example SIP/2.0", "Via: SIP/2.0/UDP a", "", ""]);
        assert_eq!(server(&keyed(), &bare), Err(Fault::Missing(Name::From)));
        let bare =
            message(&["INVITE sip:a@b SIP/2.0", "Via: SIP/2.0/UDP a", "From: <sip:a@b>;tag=1", "", ""]);
        assert_eq!(server(&keyed(), &bare), Err(Fault::Missing(Name::CSeq)));
    }
}

mod a_flow {
    use super::*;

    fn path(transport: Transport, remote: &str, connection: Option<ConnectionId>) -> Path {
        let remote: SocketAddr = remote.parse().expect("an address");
        Path { transport, remote, connection, ..udp() }
    }

    fn udp_from(remote: &str, strict: bool) -> Flow {
        Flow::of(&path(Transport::Udp, remote, None), strict)
    }

    fn tcp_on(connection: ConnectionId) -> Flow {
        Flow::of(&path(Transport::Tcp, "192.0.2.7:4000", Some(connection)), true)
    }

    #[test]
    fn on_udp_is_an_address_and_if_strict_a_port() {
        assert_eq!(udp_from("192.0.2.7:4000", false), udp_from("192.0.2.7:4001", false));
        assert_ne!(udp_from("192.0.2.7:4000", false), udp_from("192.0.2.8:4000", false));
        assert_eq!(udp_from("192.0.2.7:4000", true), udp_from("192.0.2.7:4000", true));
        assert_ne!(udp_from("192.0.2.7:4000", true), udp_from("192.0.2.7:4001", true));
        assert_ne!(udp_from("192.0.2.7:4000", true), udp_from("192.0.2.8:4000", true));
        assert_ne!(udp_from("[2001:db8::1]:4000", false), udp_from("[2001:db8::2]:4000", false));
    }

    #[test]
    fn on_a_stream_is_a_connection() {
        assert_eq!(tcp_on(ConnectionId::Accepted(1)), tcp_on(ConnectionId::Accepted(1)));
        assert_ne!(tcp_on(ConnectionId::Accepted(1)), tcp_on(ConnectionId::Accepted(2)));
        assert_ne!(tcp_on(ConnectionId::Accepted(1)), tcp_on(ConnectionId::Opened(1)));
        let moved = path(Transport::Tcp, "192.0.2.9:9", Some(ConnectionId::Accepted(1)));
        assert_eq!(Flow::of(&moved, true), tcp_on(ConnectionId::Accepted(1)));
    }

    #[test]
    fn differs_by_transport() {
        let connection = Some(ConnectionId::Accepted(1));
        let tls = Flow::of(&path(Transport::Tls, "192.0.2.7:4000", connection), true);
        assert_ne!(tls, tcp_on(ConnectionId::Accepted(1)));
    }

    fn flow_key(method: &str, via: &str, flow: &Flow) -> Key {
        by_flow(&keyed(), &request(method, via), flow).expect("a key")
    }

    #[test]
    fn finds_the_invite_of_a_cancel_whose_sent_by_changed() {
        let flow = udp_from("192.0.2.7:4000", true);
        let invite = flow_key("INVITE", VIA, &flow);
        let cancel = "SIP/2.0/UDP 203.0.113.5:61000;branch=z9hG4bKinv77";
        assert_eq!(flow_key("CANCEL", cancel, &flow), invite);
        assert_ne!(flow_key("CANCEL", cancel, &udp_from("192.0.2.7:4001", true)), invite);
        assert_ne!(flow_key("CANCEL", "SIP/2.0/UDP a.example:5060;branch=z9hG4bKinv78", &flow), invite);
    }

    // A branch without more than the cookie names no transaction: another INVITE of that peer must not be hit.
    #[test]
    fn does_not_take_two_invites_without_a_branch_for_one() {
        let flow = udp_from("192.0.2.7:4000", true);
        for via in [
            "SIP/2.0/UDP a.example",
            "SIP/2.0/UDP a.example;branch=1",
            "SIP/2.0/UDP a.example;branch=z9hG4bK",
        ] {
            let key = |method, number| {
                by_flow(&keyed(), &request_with(method, via, number, "sip:poc@home1.example", ""), &flow)
            };
            assert_ne!(key("CANCEL", "22"), key("INVITE", "21"), "{via}");
            assert_eq!(key("CANCEL", "21"), key("INVITE", "21"), "{via}");
        }
    }

    #[test]
    fn has_no_key_without_a_via_that_can_be_read() {
        let broken = request("INVITE", "SIP/2.0/UDP");
        let flow = udp_from("192.0.2.7:4000", true);
        assert_eq!(by_flow(&keyed(), &broken, &flow), Err(Fault::Header(Name::Via)));
    }
}

mod a_merged_request {
    use super::*;

    // §8.2.2.2: From tag, Call-ID and CSeq, whichever way it came.
    #[test]
    fn is_found_whatever_branch_it_came_on() {
        let key = |method, via, number| {
            merged(&keyed(), &request_with(method, via, number, "sip:poc@home1.example", "")).unwrap()
        };
        let other_way = "SIP/2.0/TCP b.example;branch=z9hG4bKelsewhere";
        assert_eq!(key("INVITE", VIA, "21"), key("INVITE", other_way, "21"));
        assert_ne!(key("INVITE", VIA, "21"), key("INVITE", VIA, "22"));
        assert_ne!(key("INVITE", VIA, "21"), key("CANCEL", VIA, "21"));
    }
}

mod a_client_transaction {
    use super::*;

    fn branch() -> Identifier {
        Identifiers::new(Owner::default(), [1; 32]).draw()
    }

    fn response(branch: &str, method: &str) -> Message {
        message(&[
            "SIP/2.0 200 OK",
            &format!("Via: SIP/2.0/UDP 192.0.2.10:5060;branch={branch};received=192.0.2.7"),
            &format!("CSeq: 21 {method}"),
            "",
            "",
        ])
    }

    fn ours(method: &str) -> Message {
        response(&format!("z9hG4bK{}", branch()), method)
    }

    // §17.1.3: the branch and the method in CSeq.
    #[test]
    fn is_found_by_branch_and_cseq_method() {
        for method in ["INVITE", "CANCEL", "OPTIONS"] {
            let key = client(&keyed(), &branch(), method.as_bytes());
            assert_eq!(client_of(&keyed(), &ours(method)), Some(key));
        }
        let other = Identifiers::new(Owner::default(), [2; 32]).draw();
        assert_ne!(client(&keyed(), &branch(), b"INVITE"), client(&keyed(), &other, b"INVITE"));
    }

    #[test]
    fn of_a_cancel_is_not_that_of_its_invite() {
        assert_ne!(client_of(&keyed(), &ours("CANCEL")), client_of(&keyed(), &ours("INVITE")));
    }

    #[test]
    fn is_none_for_a_branch_that_is_not_ours_and_for_an_ack() {
        assert_eq!(client_of(&keyed(), &response("z9hG4bKnashds8", "INVITE")), None);
        assert_eq!(client_of(&keyed(), &response("z9hG4bK", "INVITE")), None);
        assert_eq!(client_of(&keyed(), &response(branch().as_str(), "INVITE")), None);
        assert_eq!(client_of(&keyed(), &ours("ACK")), None);
    }

    #[test]
    fn is_none_without_via_or_cseq() {
        assert_eq!(client_of(&keyed(), &message(&["SIP/2.0 200 OK", "CSeq: 1 INVITE", "", ""])), None);
        let via = format!("Via: SIP/2.0/UDP a;branch=z9hG4bK{}", branch());
        assert_eq!(client_of(&keyed(), &message(&["SIP/2.0 200 OK", &via, "", ""])), None);
    }
}
