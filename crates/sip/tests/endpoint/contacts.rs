//! Our Contact in a session that has one of its own: in each message that has a Contact.

use bytes::Bytes;
use sip::message::Name;
use sip::{Command, Contact, Duration, Invite, Message, Misuse, Reliability};

use crate::wire::*;

const BEHIND: &str = "@192.0.2.1:5060;session=1-1>;+g.poc.talkburst;isfocus";

fn own() -> Contact {
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    Contact { uri_parameters: bytes(";session=1-1"), parameters: bytes(";+g.poc.talkburst;isfocus") }
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
        uri_parameters: Bytes::from_static(uri_parameters.as_bytes()),
        parameters: Bytes::from_static(parameters.as_bytes()),
    };
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
    ] {
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
    let late = wire.command(Command::Identify { session, contact: own() });
    assert_eq!(late, Err(Misuse::NothingToAnswer));
    wire.finish();
}
