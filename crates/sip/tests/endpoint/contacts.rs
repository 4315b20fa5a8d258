//! Our Contact in a session that has one of its own: in each message that has a Contact.

use bytes::Bytes;
use sip::message::Name;
use sip::{Command, Contact, Duration, Event, Invite, Message, Misuse, Reliability};

use crate::wire::*;

const BEHIND: &str = "@192.0.2.1:5060;session=1-1>;+g.poc.talkburst;isfocus";

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn own() -> Contact {
    let (uri_parameters, parameters) = (bytes(";session=1-1"), bytes(";+g.poc.talkburst;isfocus"));
    Contact { address: Bytes::new(), uri_parameters, parameters }
}

#[track_caller]
fn assert_own(message: &Message) {
    let contact = text(message, Name::Contact);
    assert!(contact.ends_with(BEHIND) && contact.starts_with("<sip:"), "{message:?}");
}

#[test]
fn an_inviters_contact_stands_in_the_invite_and_in_what_follows() {
    let mut wire = Wire::with(|config| config.session_expires = Some(Duration::from_secs(90)));
    let targets = [PEER, "192.0.2.10:5060"];
    let targets = targets.map(|text| sip::transport::Target {
        transport: sip::transport::Transport::Udp,
        remote: address(text),
    });
    let session = wire.invite_with(Invite { contact: Some(own()), targets: targets.into(), ..invitation() });
    let first = wire.one();
    assert_own(&first);
    wire.answer(&first, 503, "p1");
    let again = wire.sent().pop().unwrap();
    assert_own(&again);
    let lines =
        "Require: timer\r\nSupported: timer\r\nSession-Expires: 90;refresher=uac\r\nAllow: UPDATE\r\n";
    wire.receive(&response(&again, 200, "p1", &format!("{CONTACT}{lines}")));
    wire.sent();
    wire.modify(session).unwrap();
    let offer = wire.one();
    assert_own(&offer);
    wire.receive(&response(&offer, 200, "p1", &format!("{CONTACT}{lines}")));
    wire.sent();
    wire.advance(Duration::from_secs(45));
    let update = wire.one();
    assert_eq!(word(&update), "UPDATE");
    assert_own(&update);
    wire.answer(&update, 200, "p1");
    let update = Request {
        from_tag: "p1".into(),
        to_tag: from_tag(&first),
        call_id: text(&first, Name::CallId).into(),
        ..Request::invite("upd").follow("UPDATE")
    };
    wire.receive(&update.with(CONTACT).text());
    assert_own(&wire.one());
    wire.leave(session).unwrap();
    wire.finish();
}

#[test]
fn the_contact_of_who_is_invited_is_given_before_anything_is_said() {
    for reliability in [Reliability::Never, Reliability::WhenSupported] {
        let mut wire = Wire::with(|config| config.reliability = reliability);
        let invite = Request::invite("inv").with("Supported: 100rel\r\n");
        wire.receive(&invite.text());
        let session = wire.invited();
        wire.command(Command::Identify { session, contact: own() }).unwrap();
        wire.ring(session);
        let ringing = wire.one();
        assert_own(&ringing);
        let late = wire.command(Command::Identify { session, contact: Contact::default() });
        assert_eq!(late, Err(Misuse::NothingToAnswer));
        wire.accept(session).unwrap();
        let ok = wire.one();
        assert_own(&ok);
        wire.receive(&invite.within(&ok, "ACK", 7).text());
        let again = Request { method: "INVITE", body: OFFER.into(), ..invite.within(&ok, "INVITE", 8) };
        wire.receive(&again.with("Content-Type: application/sdp\r\n").with(CONTACT).text());
        wire.accept(session).unwrap();
        assert_own(&wire.one());
        wire.finish();
    }
}

#[test]
fn a_contact_cannot_break_out_of_its_place() {
    let mut wire = Wire::new();
    wire.receive(&Request::invite("inv").text());
    let session = wire.invited();
    let contact = |uri_parameters: &'static str, parameters: &'static str| Contact {
        address: Bytes::new(),
        uri_parameters: Bytes::from_static(uri_parameters.as_bytes()),
        parameters: Bytes::from_static(parameters.as_bytes()),
    };
    let at = |address: &'static str| Contact { address: bytes(address), ..own() };
    let addresses = [
        "home1.example",
        "@home1.example",
        "a@",
        "a@home1.example;lr",
        "a@home1.example;",
        "a@home1.example?Replaces=x",
        "a@home1.example:port",
        "a@home1.example>",
        "a@home1.example,<sip:evil@evil.example>",
        "a@home1.example\r\nVia: x",
        "a b@home1.example",
        "sip:a@home1.example",
    ];
    for bad in [
        contact("session=1", ""),
        contact("", "isfocus"),
        contact(";a>;b", ""),
        contact(";a@evil.example", ""),
        contact(";a?Replaces=x", ""),
        contact(";a\r\nVia: x", ""),
        contact("", ";a\r\nVia: x"),
        contact("", ";a\n"),
        contact("", ";a,<sip:evil@evil.example>"),
        contact("", ";a=\"open"),
        contact("", ";a b"),
    ]
    .into_iter()
    .chain(addresses.map(at))
    {
        let refused = wire.command(Command::Identify { session, contact: bad.clone() });
        assert_eq!(refused, Err(Misuse::HeaderLine), "{bad:?}");
        let invite = Invite { contact: Some(bad), ..invitation() };
        let refused = wire.input(sip::Input::Command(Command::Invite(Box::new(invite))));
        assert_eq!(refused, Err(Misuse::HeaderLine));
    }
    let fine = contact(";session=1-1", ";+sip.instance=\"<urn:uuid:1,2>\";q=0.5");
    assert_eq!(wire.command(Command::Identify { session, contact: fine }), Ok(()));
    wire.accept(session).unwrap();
    assert!(text(&wire.one(), Name::Contact).ends_with(">;+sip.instance=\"<urn:uuid:1,2>\";q=0.5"));
    wire.finish();
}

/// RFC 3261 §12.2: the peer hears of another address, and of other parameters, by the target refresh.
#[test]
fn an_established_session_is_given_another_contact_that_the_next_re_invite_says() {
    let mut wire = Wire::new();
    let session = wire.invite();
    let first = wire.one();
    wire.receive(&response(&first, 200, "p1", CONTACT));
    wire.sent();
    wire.events();
    let contact = Contact { address: bytes("token7@home1.example"), ..own() };
    wire.command(Command::Identify { session, contact }).unwrap();
    wire.quiet();
    wire.modify(session).unwrap();
    let offer = wire.one();
    assert_eq!(
        text(&offer, Name::Contact),
        "<sip:token7@home1.example;session=1-1>;+g.poc.talkburst;isfocus"
    );
    wire.receive(&response(&offer, 200, "p1", CONTACT));
    wire.sent();
    wire.leave(session).unwrap();
    let late = wire.command(Command::Identify { session, contact: own() });
    assert_eq!(late, Err(Misuse::NotEstablished));
    wire.finish();
}

/// RFC 3261 §12.2.2: the tags say which session a request means, whatever its Request-URI is.
#[test]
fn a_contact_may_be_at_a_host_that_is_not_ours_and_the_session_is_found_all_the_same() {
    let mut wire = Wire::new();
    let invite = Request::invite("inv");
    wire.receive(&invite.text());
    let session = wire.invited();
    let contact = Contact { address: bytes("token7@home1.example:5070"), ..Contact::default() };
    wire.command(Command::Identify { session, contact }).unwrap();
    wire.accept(session).unwrap();
    let ok = wire.one();
    assert_eq!(text(&ok, Name::Contact), "<sip:token7@home1.example:5070>");
    let within = |method, number| Request {
        uri: "sip:token7@home1.example:5070".into(),
        ..invite.within(&ok, method, number)
    };
    wire.receive(&within("ACK", 7).text());
    assert!(matches!(wire.events()[..], [Event::Acknowledged { .. }]));
    wire.receive(&within("BYE", 8).text());
    assert_eq!(wire.words(), ["200 BYE"]);
    assert!(wire.ended().is_some());
    wire.finish();
}
