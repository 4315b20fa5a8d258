//! Challenges and their answers: RFC 3261 §22, RFC 7616, RFC 8760.

use sip::message::Name;

use crate::wire::*;

fn invite() -> Request {
    Request::new("INVITE", "anna", ANNA, "ben")
}

/// RFC 8760 §2.4: one challenge a line, the better one first; nothing is kept, and no octet too many goes out.
#[test]
fn a_challenge_offers_sha_256_and_md5_and_keeps_nothing() {
    for (request, status, name) in [
        (register("anna", ANNA, ""), "401 REGISTER", Name::WwwAuthenticate),
        (invite(), "407 INVITE", Name::ProxyAuthenticate),
    ] {
        let mut wire = Wire::new();
        wire.send(&request);
        let challenge = wire.one();
        assert_eq!((word(&challenge.message).as_str(), challenge.to()), (status, ANNA.into()));
        let algorithms: Vec<_> = challenge
            .message
            .credentials(name)
            .map(|each| {
                String::from_utf8_lossy(each.unwrap().parameters.text(b"algorithm").unwrap()).into_owned()
            })
            .collect();
        assert_eq!(algorithms, ["SHA-256", "MD5"]);
        assert!(challenge.message.bytes().len() <= request.text().len() + 512);
        assert!(wire.core.is_empty());
        wire.finish();
    }
}

/// Some give up where an algorithm is offered that they do not know, whatever else is.
#[test]
fn a_core_for_such_clients_offers_md5_alone() {
    let mut wire = Wire::with(|config| config.algorithms = sipcore::Algorithms::Md5);
    wire.send(&invite());
    let challenge = wire.one().message;
    let all: Vec<_> = challenge.credentials(Name::ProxyAuthenticate).map(|each| each.unwrap()).collect();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].parameters.text(b"algorithm"), Some(&b"MD5"[..]));
    wire.finish();
}

#[test]
fn either_algorithm_proves_who_it_is() {
    for algorithm in ["SHA-256", "MD5"] {
        let mut wire = Wire::new();
        wire.register("ben", BEN, "");
        wire.send(&invite());
        let challenge = wire.one().message;
        let line = credentials(&challenge, &invite(), "anna", "anna", algorithm);
        wire.send(&Request { branch: "2".into(), number: 2, ..invite() }.with(&line));
        assert_eq!(wire.words(), ["INVITE"]);
        wire.finish();
    }
}

/// Whoever is unknown, and whoever is wrong, hears the same; nothing is kept.
#[test]
fn an_unknown_user_and_a_wrong_password_are_challenged_again() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    for (place, (user, password)) in [("anna", "wrong"), ("nobody", "nobody")].into_iter().enumerate() {
        let request = Request { branch: format!("w{place}"), ..invite() };
        wire.send(&request);
        let challenge = wire.one().message;
        let line = credentials(&challenge, &request, user, password, "SHA-256");
        wire.send(&Request { branch: format!("x{place}"), ..request }.with(&line));
        let again = wire.one().message;
        assert_eq!(word(&again), "407 INVITE");
        assert!(!text(&again, Name::ProxyAuthenticate).contains("stale"));
    }
    assert_eq!(wire.core.counters().wrong_credentials, 2);
    wire.finish();
}

/// RFC 7616 §3.3: a nonce ends; who knows the password is told that only that was wrong.
#[test]
fn an_old_nonce_is_stale_and_so_is_one_of_somebody_else() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    wire.send(&invite());
    let challenge = wire.one().message;
    let line = credentials(&challenge, &invite(), "anna", "anna", "SHA-256");
    let elsewhere = Request { at: BEN_3, branch: "e".into(), ..invite() };
    wire.send(&elsewhere.with(&line));
    assert!(text(&wire.one().message, Name::ProxyAuthenticate).ends_with(", stale=true"));
    wire.advance(ms(299_000));
    wire.send(&Request { branch: "in time".replace(' ', "-"), ..invite() }.with(&line));
    let passed = wire.one();
    assert_eq!(word(&passed.message), "INVITE");
    wire.answer(&passed, 486);
    wire.sent();
    wire.advance(ms(1_000));
    wire.sent();
    wire.send(&Request { branch: "late".into(), ..invite() }.with(&line));
    assert!(text(&wire.one().message, Name::ProxyAuthenticate).ends_with(", stale=true"));
    wire.finish();
}

/// A nonce of an earlier run is good within its time, and never comes back.
#[test]
fn a_nonce_outlasts_a_restart_and_does_not_become_good_again() {
    let begin = |second: u64| {
        let mut wire = Wire::with(|config| config.nonces.begun = ms(1000 * second));
        wire.register("ben", BEN, "");
        wire
    };
    let mut first = begin(1_000_000);
    first.send(&invite());
    let line = credentials(&first.one().message, &invite(), "anna", "anna", "SHA-256");
    first.finish();
    let mut second = begin(1_000_200);
    second.send(&invite().with(&line));
    assert_eq!(second.words(), ["INVITE"]);
    second.finish();
    // As far into this run as into the first.
    let mut third = begin(1_000_300);
    third.send(&invite().with(&line));
    assert!(text(&third.one().message, Name::ProxyAuthenticate).ends_with(", stale=true"));
    third.finish();
}

/// The digest is one of this request: its method and its Request-URI.
#[test]
fn credentials_of_another_request_prove_nothing() {
    let mut wire = Wire::new();
    wire.register("ben", BEN, "");
    wire.send(&invite());
    let challenge = wire.one().message;
    let line = credentials(&challenge, &invite(), "anna", "anna", "SHA-256");
    let message = Request { branch: "m".into(), ..Request::new("MESSAGE", "anna", ANNA, "ben") };
    wire.send(&message.with(&line));
    assert_eq!(wire.words(), ["407 MESSAGE"]);
    wire.send(&Request { branch: "c".into(), uri: "sip:carl@poc.example".into(), ..invite() }.with(&line));
    assert_eq!(wire.words(), ["407 INVITE"]);
    wire.finish();
}
