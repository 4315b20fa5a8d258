//! The registrar: RFC 3261 §10.3, RFC 3327, RFC 3608.

use sip::message::Name;
use sip::transport::ConnectionId;
use sipcore::{Command, Event, Input};

use crate::wire::*;

/// Sends a REGISTER with credentials.
fn try_register(wire: &mut Wire, number: u32, call_id: &str, lines: &str) -> sip::Message {
    let request = Request { number, call_id: call_id.into(), ..register("ben", BEN, lines) };
    let request = Request { branch: format!("reg{call_id}{number}-{}", wire.now.as_millis()), ..request };
    let proven = Request { number: number - 1, ..request };
    wire.send_proven(&proven, "ben");
    wire.one().message
}

fn contacts(message: &sip::Message) -> Vec<String> {
    values(message, Name::Contact)
}

#[test]
fn a_200_shows_all_bindings_with_what_is_left_of_them() {
    let mut wire = Wire::new();
    let answer = wire.register("ben", BEN, ";+g.poc.talkburst;q=0.7;expires=600");
    assert_eq!(contacts(&answer), [format!("<sip:ben@{BEN}>;+g.poc.talkburst;q=0.7;expires=600")]);
    assert_eq!(text(&answer, Name::ServiceRoute), "<sip:orig@192.0.2.1:5060;lr>");
    assert_eq!(text(&answer, Name::PAssociatedUri), "<sip:ben@poc.example>");
    wire.advance(ms(100_000));
    let answer = wire.register("ben", BEN_2, "");
    assert_eq!(
        contacts(&answer),
        [
            format!("<sip:ben@{BEN}>;+g.poc.talkburst;q=0.7;expires=500"),
            format!("<sip:ben@{BEN_2}>;expires=3600")
        ]
    );
    // A query changes nothing.
    let answer = try_register(&mut wire, 9, "query", "");
    assert_eq!(contacts(&answer).len(), 2);
    assert_eq!(wire.events.len(), 2, "{:?}", wire.events);
    wire.advance(ms(500_000));
    assert_eq!(wire.events.len(), 3, "one has ended");
    wire.advance(ms(3_200_000));
    assert_eq!(wire.events.last(), Some(&Event::BindingsChanged { address: "sip:ben@poc.example".into() }));
    assert_eq!(wire.core.poll_timeout(), None);
    wire.finish();
}

/// Step 7: what is asked for too short is refused, too long is shortened; the parameter goes before the header field.
#[test]
fn the_span_of_a_binding_has_limits() {
    let mut wire = Wire::new();
    let answer = try_register(&mut wire, 2, "a", &format!("Contact: <sip:ben@{BEN}>;expires=59\r\n"));
    assert_eq!((word(&answer).as_str(), text(&answer, Name::MinExpires)), ("423 REGISTER", "60"));
    let lines = format!("Contact: <sip:ben@{BEN}>;expires=1000000\r\nExpires: 100\r\n");
    let answer = try_register(&mut wire, 3, "a", &lines);
    assert!(contacts(&answer)[0].ends_with(";expires=86400"));
    let answer = try_register(&mut wire, 4, "a", &format!("Contact: <sip:ben@{BEN}>\r\nExpires: 100\r\n"));
    assert!(contacts(&answer)[0].ends_with(";expires=100"));
    let answer = try_register(&mut wire, 5, "a", &format!("Contact: <sip:ben@{BEN}>;expires=0\r\n"));
    assert_eq!((word(&answer).as_str(), contacts(&answer)), ("200 REGISTER", vec![]));
    wire.finish();
}

/// Step 7: what was overtaken changes nothing; another Call-ID is another start.
#[test]
fn requests_of_one_call_id_count_in_their_order() {
    let mut wire = Wire::new();
    let line = format!("Contact: <sip:ben@{BEN}>\r\n");
    assert_eq!(word(&try_register(&mut wire, 5, "a", &line)), "200 REGISTER");
    assert_eq!(word(&try_register(&mut wire, 4, "a", &line.replace(">", ">;expires=0"))), "500 REGISTER");
    assert_eq!(word(&try_register(&mut wire, 4, "a", "Contact: *\r\nExpires: 0\r\n")), "500 REGISTER");
    assert_eq!(contacts(&try_register(&mut wire, 6, "a", "")).len(), 1);
    let answer = try_register(&mut wire, 2, "b", &line.replace(">", ">;expires=0"));
    assert_eq!((word(&answer).as_str(), contacts(&answer)), ("200 REGISTER", vec![]));
    wire.finish();
}

/// Step 6.
#[test]
fn a_star_removes_everything_and_stands_alone() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    wire.register("ben", BEN_2, "");
    wire.send(&register("ben", BEN_3, "Contact: *, <sip:ben@x>\r\nExpires: 0\r\n"));
    assert_eq!(wire.words(), ["400 REGISTER"]);
    let beside = "Contact: *\r\nContact: <sip:ben@x>\r\nExpires: 0\r\n";
    for lines in ["Contact: *\r\n", beside, "Contact: *\r\nExpires: 5\r\n"] {
        let number = 2 + lines.len() as u32;
        assert_eq!(word(&try_register(&mut wire, number, "star", lines)), "400 REGISTER", "{lines}");
    }
    let answer = try_register(&mut wire, 99, "star", "Contact: *\r\nExpires: 0\r\n");
    assert_eq!((word(&answer).as_str(), contacts(&answer)), ("200 REGISTER", vec![]));
    wire.finish();
}

/// The whole REGISTER or nothing of it.
#[test]
fn one_contact_that_cannot_be_bound_spoils_the_others() {
    let mut wire = Wire::new();
    let lines = format!("Contact: <sip:ben@{BEN}>, <sip:ben@{BEN_2}>;expires=1\r\n");
    assert_eq!(word(&try_register(&mut wire, 2, "a", &lines)), "423 REGISTER");
    assert_eq!(contacts(&try_register(&mut wire, 3, "a", "")), Vec::<String>::new());
    let many: Vec<_> = (0..11).map(|place| format!("<sip:ben@198.51.100.9:{}>", 6000 + place)).collect();
    let answer = try_register(&mut wire, 4, "a", &format!("Contact: {}\r\n", many.join(",")));
    assert_eq!(word(&answer), "403 REGISTER", "there is a limit");
    assert_eq!(wire.events, []);
    wire.finish();
}

/// §19.1.4: one Contact however it is written.
#[test]
fn a_contact_is_known_again_by_the_rules_of_uris() {
    let mut wire = Wire::new();
    wire.register_on(udp(BEN), "ben", BEN, "Contact: <sip:%62en@EXAMPLE.com;transport=UDP>\r\n");
    let answer =
        wire.register_on(udp(BEN), "ben", BEN_2, "Contact: <sip:ben@example.COM;Transport=udp;x=y>\r\n");
    assert_eq!(contacts(&answer).len(), 1);
    wire.finish();
}

/// Steps 4 and 5.
#[test]
fn nobody_registers_for_somebody_else() {
    let mut wire = Wire::new();
    for (to, status) in [("sip:anna@poc.example", "403"), ("sip:ben@elsewhere.example", "404")] {
        let request = Request { to: format!("<{to}>"), ..register("ben", BEN, "") };
        let request = Request { branch: format!("steal{status}"), ..request };
        wire.send_proven(&request, "ben");
        assert_eq!(wire.words(), [format!("{status} REGISTER")]);
    }
    assert_eq!(wire.core.counters().wrong_identity, 1);
    wire.finish();
}

/// Step 2.
#[test]
fn an_extension_that_is_unknown_is_420() {
    let mut wire = Wire::new();
    wire.send(&register("ben", BEN, "Require: path, gruu, pref\r\n"));
    let answer = wire.one().message;
    assert_eq!((word(&answer).as_str(), text(&answer, Name::Unsupported)), ("420 REGISTER", "gruu"));
    wire.finish();
}

/// RFC 5626 §5.3: a connection that is gone reaches nobody.
#[test]
fn the_bindings_of_a_connection_go_with_it() {
    let mut wire = Wire::new();
    wire.register_on(tcp(BEN, 7), "ben", BEN, "Contact: <sip:ben@198.51.100.2:5060;transport=tcp>\r\n");
    wire.register("ben", BEN_2, "");
    wire.events.clear();
    wire.input(Input::ConnectionLost { connection: ConnectionId::Accepted(7) });
    assert_eq!(wire.events.len(), 1);
    wire.send(&Request::invite());
    assert_eq!(wire.one().to(), BEN_2);
    wire.finish();
}

#[test]
fn a_user_who_is_removed_is_gone_at_once_and_a_new_password_counts_at_once() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    wire.events.clear();
    wire.input(Input::Command(Command::RemoveUser("ben".into())));
    assert_eq!(wire.events, [Event::BindingsChanged { address: "sip:ben@poc.example".into() }]);
    wire.send(&Request::invite());
    assert_eq!(wire.words(), ["404 INVITE"]);
    wire.send_proven(&register("ben", BEN_2, ""), "ben");
    assert_eq!(wire.words(), ["401 REGISTER"]);
    wire.put("ben", "another");
    let again = Request { branch: "again".into(), ..register("ben", BEN_2, "") };
    wire.send_proven(&again, "ben");
    assert_eq!(wire.words(), ["401 REGISTER"], "the old password");
    assert_eq!(wire.core.counters().wrong_credentials, 2);
    wire.finish();
}
