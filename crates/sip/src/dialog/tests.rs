use super::*;

const RECORD_ROUTES: [&str; 3] = [
    "Record-Route: <sip:p3.example;lr>, <sip:p2.example;lr>",
    "Subject: between",
    "Record-Route: <sip:p1.example;lr>",
];

/// The message of this start line, these lines and those that a dialog is made of.
fn message(start: &str, to: &str, cseq: &str, lines: &[&str]) -> Message {
    let mut text = format!(
        "{start}\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKinv77\r\n\
         From: \"Anna\" <sip:anna@home1.example>;tag=a1\r\nTo: {to}\r\n\
         Call-ID: c-4711@192.0.2.10\r\nCSeq: {cseq}\r\n"
    );
    for line in lines {
        text += line;
        text += "\r\n";
    }
    Message::parse(Bytes::from(text + "\r\n")).expect("a message")
}

fn invite(lines: &[&str]) -> Message {
    message("INVITE sip:poc@home1.example SIP/2.0", "<sip:poc@home1.example>", "21 INVITE", lines)
}

fn ok(lines: &[&str]) -> Message {
    message("SIP/2.0 200 OK", "\"PoC\" <sip:poc@home1.example>;tag=s9", "21 INVITE", lines)
}

fn client(lines: &[&str]) -> Dialog {
    Dialog::of_client(&invite(&["Contact: <sip:anna@192.0.2.10>"]), &Essentials::of(&ok(lines)))
        .expect("a dialog")
}

fn server(lines: &[&str]) -> Dialog {
    Dialog::of_server(&Essentials::of(&invite(lines)), b"s9").expect("a dialog")
}

/// A request of `dialog` as it leaves.
fn request_of(dialog: &Dialog, method: Method, cseq: u32) -> Message {
    let mut out = Vec::new();
    let via = b"SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKbye1";
    dialog.write_request(&mut out, method, cseq, via).finish(None);
    Message::parse(Bytes::from(out)).expect("a request")
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).expect("readable")
}

fn value(message: &Message, name: Name) -> String {
    text(message.value(name).expect("a value"))
}

/// The Request-URI and the Route values of a BYE of `dialog`.
fn way_of(dialog: &Dialog) -> (String, Vec<String>) {
    let request = request_of(dialog, Method::Bye, 22);
    (text(request.uri_text()), request.items(Name::Route).map(text).collect())
}

fn way<'a>(uri: &str, routes: impl IntoIterator<Item = &'a str>) -> (String, Vec<String>) {
    (uri.to_owned(), routes.into_iter().map(str::to_owned).collect())
}

mod identity {
    use super::*;

    fn keyed() -> Keyed {
        Keyed::new([7; 16])
    }

    // RFC 3261 §12: the local tag at one side is the remote tag at the other one.
    #[test]
    fn each_side_finds_the_dialog_by_what_the_other_side_sends() {
        let (client, server) =
            (client(&["Contact: <sip:s@192.0.2.99>"]), server(&["Contact: <sip:anna@192.0.2.10>"]));
        assert_eq!(client.key(&keyed()), Dialog::key_of(&keyed(), b"c-4711@192.0.2.10", b"a1", b"s9"));
        assert_eq!(server.key(&keyed()), Dialog::key_of(&keyed(), b"c-4711@192.0.2.10", b"s9", b"a1"));
        let key_at_receiver = |request: &Message| {
            let (to, from) = (request.to().unwrap(), request.from().unwrap());
            Dialog::key_of(&keyed(), request.call_id(), to.tag().unwrap(), from.tag().unwrap())
        };
        assert_eq!(key_at_receiver(&request_of(&client, Method::Bye, 22)), server.key(&keyed()));
        assert_eq!(key_at_receiver(&request_of(&server, Method::Bye, 1)), client.key(&keyed()));
        assert_eq!((client.remote_tag(), server.remote_tag()), (&b"s9"[..], &b"a1"[..]));
    }

    #[test]
    fn each_part_tells_dialogs_apart_and_the_sides_are_not_the_same() {
        let key = |call_id: &str, local: &str, remote: &str| {
            Dialog::key_of(&keyed(), call_id.as_bytes(), local.as_bytes(), remote.as_bytes())
        };
        for other in
            [key("c2", "a1", "s9"), key("c1", "a2", "s9"), key("c1", "a1", "s8"), key("c1", "s9", "a1")]
        {
            assert_ne!(key("c1", "a1", "s9"), other);
        }
    }

    // §12.2.1.1: From and To with their tags, the Call-ID, and no more than that.
    #[test]
    fn a_request_of_the_client_carries_it() {
        let bye = request_of(&client(&["Contact: <sip:s@192.0.2.99>"]), Method::Bye, 22);
        assert_eq!(value(&bye, Name::From), "\"Anna\" <sip:anna@home1.example>;tag=a1");
        assert_eq!(value(&bye, Name::To), "\"PoC\" <sip:poc@home1.example>;tag=s9");
        assert_eq!(value(&bye, Name::CallId), "c-4711@192.0.2.10");
        assert_eq!(value(&bye, Name::CSeq), "22 BYE");
        assert_eq!(value(&bye, Name::MaxForwards), "70");
        assert_eq!(value(&bye, Name::Via), "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKbye1");
        assert_eq!(bye.validate(), Ok(()));
    }

    // §12.1.1: the remote URI is that of From, the local one that of To.
    #[test]
    fn a_request_of_the_server_carries_it_the_other_way_round() {
        let bye = request_of(&server(&["Contact: <sip:anna@192.0.2.10>"]), Method::Bye, 1);
        assert_eq!(value(&bye, Name::From), "<sip:poc@home1.example>;tag=s9");
        assert_eq!(value(&bye, Name::To), "\"Anna\" <sip:anna@home1.example>;tag=a1");
        assert_eq!(bye.validate(), Ok(()));
    }
}

mod route_set {
    use super::*;

    // §12.1.2: from the Record-Route of the response, in reverse order.
    #[test]
    fn of_the_client_is_the_record_route_in_reverse() {
        let mut lines = RECORD_ROUTES.to_vec();
        lines.push("Contact: <sip:s@192.0.2.99>");
        let expected = ["<sip:p1.example;lr>", "<sip:p2.example;lr>", "<sip:p3.example;lr>"];
        assert_eq!(way_of(&client(&lines)), way("sip:s@192.0.2.99", expected));
    }

    // §12.1.1: from the Record-Route of the request, in order.
    #[test]
    fn of_the_server_is_the_record_route_in_order() {
        let mut lines = RECORD_ROUTES.to_vec();
        lines.push("Contact: <sip:anna@192.0.2.10>");
        let expected = ["<sip:p3.example;lr>", "<sip:p2.example;lr>", "<sip:p1.example;lr>"];
        assert_eq!(way_of(&server(&lines)), way("sip:anna@192.0.2.10", expected));
    }

    // §12.1.1, §12.1.2: preserving all URI parameters; a Route of the INVITE does not count.
    #[test]
    fn keeps_parameters_and_does_not_come_from_route() {
        let route = "<sip:u@p1.example:5070;transport=tcp;lr;x=y>;z=\"1\"";
        let record_route = format!("Record-Route: {route}");
        let lines = ["Route: <sip:other.example;lr>", &record_route, "Contact: <sip:anna@192.0.2.10>"];
        assert_eq!(way_of(&server(&lines)), way("sip:anna@192.0.2.10", [route]));
    }

    #[test]
    fn is_empty_without_record_route() {
        assert_eq!(way_of(&client(&["Contact: <sip:s@192.0.2.99>"])), way("sip:s@192.0.2.99", []));
    }

    // §13.2.2.4: recomputed from the 2xx, also if that has none.
    #[test]
    fn of_an_early_dialog_is_recomputed_by_the_2xx() {
        let early = client(&["Record-Route: <sip:p1.example;lr>", "Contact: <sip:s@192.0.2.99>"]);
        let mut dialog = early.clone();
        dialog.confirm(&ok(&[
            "Record-Route: <sip:q2.example;lr>, <sip:q1.example;lr>",
            "Contact: <sip:t@192.0.2.98>",
        ]));
        let expected = ["<sip:q1.example;lr>", "<sip:q2.example;lr>"];
        assert_eq!(way_of(&dialog), way("sip:t@192.0.2.98", expected));
        let mut dialog = early;
        dialog.confirm(&ok(&["Contact: <sip:s@192.0.2.99>"]));
        assert_eq!(way_of(&dialog), way("sip:s@192.0.2.99", []));
    }

    #[test]
    fn that_is_malformed_makes_no_dialog() {
        let lines = ["Record-Route: <sip:p1.example;lr", "Contact: <sip:s@192.0.2.99>"];
        let fault = Fault::Header(Name::RecordRoute);
        assert_eq!(Dialog::of_server(&Essentials::of(&invite(&lines)), b"s9"), Err(fault));
        assert_eq!(Dialog::of_client(&invite(&[]), &Essentials::of(&ok(&lines))), Err(fault));
    }
}

mod request_line {
    use super::*;

    // §16.12.1.1: the trapezoid U1, P1, P2, U2, all loose.
    #[test]
    fn of_a_loose_route_is_the_target() {
        let client = client(&[
            "Record-Route: <sip:p2.domain.com;lr>, <sip:p1.example.com;lr>",
            "Contact: sip:callee@u2.domain.com",
        ]);
        let expected = ["<sip:p1.example.com;lr>", "<sip:p2.domain.com;lr>"];
        assert_eq!(way_of(&client), way("sip:callee@u2.domain.com", expected));
        let server = server(&[
            "Record-Route: <sip:p2.domain.com;lr>",
            "Record-Route: <sip:p1.example.com;lr>",
            "Contact: sip:caller@u1.example.com",
        ]);
        let expected = ["<sip:p2.domain.com;lr>", "<sip:p1.example.com;lr>"];
        assert_eq!(way_of(&server), way("sip:caller@u1.example.com", expected));
    }

    // §16.12.1.2: a strict router that is not the first route does not matter to us.
    #[test]
    fn of_a_strict_route_behind_a_loose_one_is_the_target() {
        let server = server(&[
            "Contact: sip:caller@u1.example.com",
            "Record-Route: <sip:p4.domain.com;lr>",
            "Record-Route: <sip:p3.middle.com>",
            "Record-Route: <sip:p2.example.com;lr>",
            "Record-Route: <sip:p1.example.com;lr>",
        ]);
        let expected = [
            "<sip:p4.domain.com;lr>",
            "<sip:p3.middle.com>",
            "<sip:p2.example.com;lr>",
            "<sip:p1.example.com;lr>",
        ];
        assert_eq!(way_of(&server), way("sip:caller@u1.example.com", expected));
    }

    // §16.12.1.3: each side routes by what the proxy wrote for it.
    #[test]
    fn of_a_rewritten_record_route_is_the_target() {
        let client = client(&[
            "Contact: <sip:callee@u2.rightprivatespace.com>",
            "Record-Route: <sip:p1.leftprivatespace.com;lr>",
        ]);
        let expected = ["<sip:p1.leftprivatespace.com;lr>"];
        assert_eq!(way_of(&client), way("sip:callee@u2.rightprivatespace.com", expected));
    }

    // §12.2.1.1, the example: the strict router stands in the request line and the target is the last route.
    #[test]
    fn of_a_strict_route_is_that_route() {
        let dialog = server(&[
            "Record-Route: <sip:proxy1>,<sip:proxy2>,<sip:proxy3;lr>,<sip:proxy4>",
            "Contact: <sip:user@remoteua>",
        ]);
        let expected = ["<sip:proxy2>", "<sip:proxy3;lr>", "<sip:proxy4>", "<sip:user@remoteua>"];
        assert_eq!(way_of(&dialog), way("sip:proxy1", expected));
    }

    #[test]
    fn of_one_strict_route_leaves_the_target_as_the_only_route() {
        let dialog =
            client(&["Record-Route: <sip:proxy1;transport=tcp>", "Contact: <sip:user@remoteua;x=y>"]);
        assert_eq!(way_of(&dialog), way("sip:proxy1;transport=tcp", ["<sip:user@remoteua;x=y>"]));
    }

    // §19.1.1: `lr` is a parameter of the URI, with or without a value, in any case; behind the brackets it is none.
    #[test]
    fn knows_a_loose_route_by_the_parameter_of_its_uri() {
        for (route, uri) in [
            ("<sip:p1.example;LR>", "sip:s@192.0.2.99"),
            ("<sip:p1.example;lr=on>", "sip:s@192.0.2.99"),
            ("<sip:lr@p1.example>", "sip:lr@p1.example"),
            ("<sip:p1.example>;lr", "sip:p1.example"),
        ] {
            let record_route = format!("Record-Route: {route}");
            let dialog = client(&[&record_route, "Contact: <sip:s@192.0.2.99>"]);
            assert_eq!(way_of(&dialog).0, uri, "{route}");
        }
    }

    // §13.2.2.4: the ACK for a 2xx has the number of the INVITE and its own method.
    #[test]
    fn of_an_ack_has_the_number_it_is_given() {
        let ack = request_of(&client(&["Contact: <sip:s@192.0.2.99>"]), Method::Ack, 21);
        assert_eq!(
            (text(ack.uri_text()), value(&ack, Name::CSeq)),
            ("sip:s@192.0.2.99".into(), "21 ACK".into())
        );
    }
}

mod target {
    use super::*;

    // §12.1.2, §12.1.1: the Contact of the peer.
    #[test]
    fn is_the_contact_of_the_peer_without_its_parameters() {
        let contact = "Contact: \"S\" <sip:s@192.0.2.99;x=y>;expires=5";
        assert_eq!(client(&[contact]).target(), b"sip:s@192.0.2.99;x=y");
        assert_eq!(server(&[contact]).target(), b"sip:s@192.0.2.99;x=y");
    }

    #[test]
    fn without_a_contact_is_where_the_invite_went_or_came_from() {
        assert_eq!(client(&[]).target(), b"sip:poc@home1.example");
        assert_eq!(server(&[]).target(), b"sip:anna@home1.example");
    }

    // §12.2.1.2, §12.2.2: a target refresh replaces the target and leaves the route set alone.
    #[test]
    fn is_replaced_by_a_refresh_and_the_routes_are_not() {
        let mut dialog = client(&["Record-Route: <sip:p1.example;lr>", "Contact: <sip:s@192.0.2.99>"]);
        dialog.refresh_target(&ok(&["Record-Route: <sip:q1.example;lr>", "Contact: <sip:s@192.0.2.77>"]));
        assert_eq!(way_of(&dialog), way("sip:s@192.0.2.77", ["<sip:p1.example;lr>"]));
    }

    // §12.2.1.2: "if present".
    #[test]
    fn is_kept_by_a_refresh_without_a_contact_or_with_a_malformed_one() {
        for lines in [&[][..], &["Contact: <sip:"]] {
            let mut dialog = client(&["Contact: <sip:s@192.0.2.99>"]);
            dialog.refresh_target(&ok(lines));
            assert_eq!(dialog.target(), b"sip:s@192.0.2.99", "{lines:?}");
        }
    }

    #[test]
    fn is_kept_by_a_2xx_without_a_contact() {
        let mut dialog = client(&["Contact: <sip:s@192.0.2.99>"]);
        dialog.confirm(&ok(&[]));
        assert_eq!(dialog.target(), b"sip:s@192.0.2.99");
    }

    #[test]
    fn is_what_the_request_of_the_peer_said_once_it_is_accepted() {
        let mut dialog = server(&["Contact: <sip:anna@192.0.2.10>"]);
        dialog.set_target(b"sip:anna@192.0.2.11");
        assert_eq!(way_of(&dialog).0, "sip:anna@192.0.2.11");
    }
}

mod cseq {
    use super::*;

    // §12.1.2: that of the request; §12.2.1.1: incremented by one.
    #[test]
    fn of_the_client_goes_on_from_that_of_the_invite() {
        let mut dialog = client(&[]);
        assert_eq!(dialog.local_cseq(), 21);
        assert_eq!((dialog.next_cseq(), dialog.next_cseq(), dialog.local_cseq()), (22, 23, 23));
    }

    // §12.1.1: empty, so that the first one may be chosen; below 2^31.
    #[test]
    fn of_the_server_begins_anew() {
        let mut dialog = server(&[]);
        assert_eq!((dialog.next_cseq(), dialog.next_cseq()), (1, 2));
    }

    // §12.1.1, §12.2.2: the remote number is that of the INVITE; what is not higher is out of order.
    #[test]
    fn of_the_peer_rises_from_that_of_its_invite() {
        let mut dialog = server(&[]);
        for (number, in_order) in [(20, false), (21, false), (22, true), (22, false), (21, false), (23, true)]
        {
            assert_eq!(dialog.accept_cseq(number), in_order, "{number}");
        }
    }

    // §12.2.2: higher by more than one is not an error.
    #[test]
    fn of_the_peer_may_leave_gaps() {
        let mut dialog = server(&[]);
        assert!(dialog.accept_cseq(1000) && !dialog.accept_cseq(999) && dialog.accept_cseq(1001));
    }

    // §12.1.2, §12.2.2: the remote number is empty until the first request of the peer, which may have any.
    #[test]
    fn of_the_peer_that_was_invited_may_begin_anywhere() {
        for number in [0, 1, 21, 0x7fff_ffff] {
            let mut dialog = client(&[]);
            assert!(dialog.accept_cseq(number));
            assert!(!dialog.accept_cseq(number));
        }
    }

    #[test]
    fn of_one_side_does_not_touch_that_of_the_other() {
        let mut dialog = client(&[]);
        assert!(dialog.accept_cseq(500));
        assert_eq!(dialog.next_cseq(), 22);
        assert!(dialog.accept_cseq(501));
    }
}

mod next_hop {
    use super::*;

    fn hop(transport: Transport, remote: &str) -> Option<Target> {
        Some(Target { transport, remote: remote.parse().expect("an address") })
    }

    fn to(contact: &str) -> Option<Target> {
        client(&[&format!("Contact: <{contact}>")]).next_hop()
    }

    // §12.2.1.1, §8.1.2: the first route, or the target if there is none.
    #[test]
    fn is_the_first_route_or_the_target() {
        let contact = "Contact: <sip:s@192.0.2.99:5090>";
        assert_eq!(client(&[contact]).next_hop(), hop(Transport::Udp, "192.0.2.99:5090"));
        let routes = "Record-Route: <sip:192.0.2.2;lr>, <sip:192.0.2.1:5070;lr>";
        assert_eq!(client(&[routes, contact]).next_hop(), hop(Transport::Udp, "192.0.2.1:5070"));
        assert_eq!(server(&[routes, contact]).next_hop(), hop(Transport::Udp, "192.0.2.2:5060"));
    }

    // §12.2.1.1: a strict router stands in the request line, and the request goes there.
    #[test]
    fn is_a_strict_router_too() {
        let dialog = client(&["Record-Route: <sip:192.0.2.1>", "Contact: <sip:s@192.0.2.99>"]);
        assert_eq!(dialog.next_hop(), hop(Transport::Udp, "192.0.2.1:5060"));
    }

    // RFC 3263 §4: TARGET is the value of maddr, if present.
    #[test]
    fn is_the_maddr_of_a_uri_that_has_one() {
        assert_eq!(to("sip:s@192.0.2.99:5070;maddr=192.0.2.5"), hop(Transport::Udp, "192.0.2.5:5070"));
        assert_eq!(to("sip:s@192.0.2.99;maddr=home1.example"), None);
    }

    #[test]
    fn may_be_an_ipv6_address() {
        assert_eq!(to("sip:s@[2001:db8::9]:5070"), hop(Transport::Udp, "[2001:db8::9]:5070"));
        assert_eq!(to("sip:[2001:db8::9];transport=tcp"), hop(Transport::Tcp, "[2001:db8::9]:5060"));
    }

    // RFC 3263 §4.1: the transport parameter, else TLS for sips and UDP for an address.
    #[test]
    fn has_the_transport_that_the_uri_names() {
        for (parameter, transport) in [
            ("", Transport::Udp),
            (";transport=udp", Transport::Udp),
            (";transport=tcp", Transport::Tcp),
            (";Transport=TCP", Transport::Tcp),
            (";transport=tls", Transport::Tls),
            (";transport=ws", Transport::Ws),
            (";transport=wss", Transport::Wss),
        ] {
            let expected = hop(transport, "192.0.2.99:5091");
            assert_eq!(to(&format!("sip:s@192.0.2.99:5091{parameter}")), expected, "{parameter}");
        }
        assert_eq!(to("sips:s@192.0.2.99:5091"), hop(Transport::Tls, "192.0.2.99:5091"));
        assert_eq!(to("sips:s@192.0.2.99:5091;transport=tcp"), hop(Transport::Tls, "192.0.2.99:5091"));
    }

    // RFC 3261 §19.1.2: 5060, and 5061 for sips and TLS.
    #[test]
    fn has_the_default_port_of_its_transport() {
        assert_eq!(to("sip:s@192.0.2.99"), hop(Transport::Udp, "192.0.2.99:5060"));
        assert_eq!(to("sip:s@192.0.2.99;transport=tcp"), hop(Transport::Tcp, "192.0.2.99:5060"));
        assert_eq!(to("sip:s@192.0.2.99;transport=tls"), hop(Transport::Tls, "192.0.2.99:5061"));
        assert_eq!(to("sips:s@192.0.2.99"), hop(Transport::Tls, "192.0.2.99:5061"));
    }

    // RFC 3263 §4: what needs a look-up is not decided here.
    #[test]
    fn is_unknown_for_a_name_and_for_a_transport_that_is_not_ours() {
        assert_eq!(to("sip:s@home1.example"), None);
        assert_eq!(to("sip:s@home1.example:5060;transport=tcp"), None);
        assert_eq!(to("sip:s@192.0.2.99;transport=sctp"), None);
        assert_eq!(to("tel:+15550100"), None);
    }

    // The way to the first route is not the way to the target behind it.
    #[test]
    fn is_unknown_if_the_first_route_is_a_name() {
        let dialog = client(&["Record-Route: <sip:p1.example;lr>", "Contact: <sip:s@192.0.2.99>"]);
        assert_eq!(dialog.next_hop(), None);
    }
}

/// RFC 3261 §19.1.1: a Contact may have header fields and a method; a Request-URI may not.
#[test]
fn a_contact_becomes_a_request_uri_without_its_header_fields_and_method() {
    for (contact, target) in [
        ("sip:anna@192.0.2.10?Subject=hi&x=y", "sip:anna@192.0.2.10"),
        ("sip:anna@192.0.2.10;method=BYE", "sip:anna@192.0.2.10"),
        ("sip:anna@192.0.2.10;lr;Method=BYE;transport=tcp?a=b", "sip:anna@192.0.2.10;lr;transport=tcp"),
        ("sip:anna@192.0.2.10;methods=x", "sip:anna@192.0.2.10;methods=x"),
        ("tel:+15550100;method=x?y", "tel:+15550100;method=x?y"),
    ] {
        let line = format!("Contact: <{contact}>");
        let dialog = client(&[&line]);
        assert_eq!((text(dialog.target()), way_of(&dialog).0), (target.to_owned(), target.to_owned()));
        assert_eq!(text(server(&[&line]).target()), target);
        let mut dialog = client(&["Contact: <sip:poc@192.0.2.9>"]);
        dialog.refresh_target(&ok(&[&line]));
        assert_eq!(text(dialog.target()), target);
        dialog.set_target(contact.as_bytes());
        assert_eq!(text(dialog.target()), target);
    }
}
