//! In whose name a request goes on: RFC 3325, RFC 3323.

use sip::message::Name;

use crate::wire::*;

const ASSERTED: &str = "P-Asserted-Identity: <sip:boss@poc.example>\r\n";

/// RFC 3325 §5, §6: what a client asserts counts for nothing; what it prefers, if that is its own.
#[test]
fn a_client_asserts_nothing_and_prefers_only_itself() {
    for (preferred, expected) in [
        ("", "<sip:anna@poc.example>"),
        ("P-Preferred-Identity: \"A.\" <sip:anna@poc.example>\r\n", "\"A.\" <sip:anna@poc.example>"),
        ("P-Preferred-Identity: \"Boss\" <sip:ben@poc.example>\r\n", "<sip:anna@poc.example>"),
    ] {
        let mut wire = Wire::new();
        wire.register("ben", BEN, "");
        let invite = Request::new("INVITE", "anna", ANNA, "ben").with(ASSERTED).with(preferred);
        wire.send_proven(&invite, "anna");
        let forwarded = wire.one().message;
        assert_eq!(values(&forwarded, Name::PAssertedIdentity), [expected]);
        assert_eq!(forwarded.value(Name::PPreferredIdentity), None);
        wire.finish();
    }
}

/// RFC 3325 §7: what is not for those who are not trusted stays inside.
#[test]
fn privacy_hides_the_identity_from_a_client_but_not_from_who_is_trusted() {
    for (lines, expected) in [("", 1), ("Privacy: id\r\n", 0), ("Privacy: none\r\n", 1)] {
        let mut wire = Wire::new();
        wire.register("ben", BEN, "");
        wire.send(&Request::invite().with(ASSERTED).with(lines));
        let forwarded = wire.one();
        assert_eq!(values(&forwarded.message, Name::PAssertedIdentity).len(), expected, "{lines}");
        // Nor does a client say who it is in a response.
        wire.receive(forwarded.path, &response(&forwarded.message, 180, "t", ASSERTED));
        assert_eq!(wire.one().message.value(Name::PAssertedIdentity), None);
        wire.finish();
    }
}

#[test]
fn nobody_calls_in_the_name_of_somebody_else_but_of_nobody() {
    for (from, expected) in [
        ("sip:ben@poc.example", "403 INVITE"),
        ("sip:anna@elsewhere.example", "403 INVITE"),
        ("sip:anonymous@anonymous.invalid", "INVITE"),
        ("sip:anna@POC.example", "INVITE"),
    ] {
        let mut wire = Wire::new();
        wire.register("ben", BEN, "");
        let invite =
            Request { from: format!("<{from}>;tag=1"), ..Request::new("INVITE", "anna", ANNA, "ben") };
        wire.send_proven(&invite, "anna");
        assert_eq!(wire.words(), [expected], "{from}");
        assert_eq!(wire.core.counters().wrong_identity, u64::from(expected.starts_with('4')));
        wire.finish();
    }
}

/// RFC 3323 §5.
#[test]
fn privacy_that_we_cannot_give_is_refused_if_it_is_critical() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    wire.send(&Request::invite().with("Privacy: header;critical\r\n"));
    assert_eq!(wire.words(), ["500 INVITE"]);
    wire.finish();
}
