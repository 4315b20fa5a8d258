//! Digest access authentication: the examples of the RFCs, a reference, and what a peer may write.
#![expect(clippy::unwrap_used, reason = "a helper that finds nothing fails its test")]

use std::fmt::Write;

use bytes::Bytes;
use sip::auth::digest::{Algorithm, Input, Quality, Secret};
use sip::auth::{Authentication, CHALLENGES_MAX};
use sip::message::{Method, Name};
use sip::{Credentials, Identifiers, Message, Owner};

const URI: &[u8] = b"sip:ben@example.com;x=1";

fn algorithm(name: &str) -> Algorithm {
    Algorithm::parse(name.as_bytes()).unwrap()
}

/// Everything but the method is that of a SIP request here.
fn example(algorithm: Algorithm) -> Input<'static> {
    Input {
        algorithm,
        username: b"a\"n\\na",
        realm: b"home \"1\"",
        secret: Secret::Password(&[0, 1, 0xff, 0x3a, 0x22, 0x0d, 0x0a, 0x80]),
        nonce: b"n0nce=",
        cnonce: b"c0",
        count: 42,
        quality: None,
        method: b"INVITE",
        uri: URI,
        body: b"v=0\r\n",
    }
}

/// The reference is Python's hashlib over the same input, written down once: H(A) of `md5`, `sha256` and `sha512_256`, with
/// A1 and A2 put together from RFC 7616 §3.4.2 and §3.4.3.
#[test]
fn every_algorithm_and_quality_agrees_with_the_reference() {
    const REFERENCE: [(&str, &str, &str); 15] = [
        ("MD5", "", "ffb5b009a7a37225b2c29aac538c1dd4"),
        ("MD5", "auth", "3198c0bba7b08149e82b04ada5f9d590"),
        ("MD5", "auth-int", "6165b968c95f04beb262aaf1e049b6c1"),
        ("MD5-sess", "auth", "b9f761dd4628a8fa316465e8a2a342ce"),
        ("MD5-sess", "auth-int", "bce42d38ac67befdd501984f9f8f9f74"),
        ("SHA-256", "", "dc6419eb54fe5b6d3cd2cc29f94f694eb45f02aab29f28ddc44e720595d8bac4"),
        ("SHA-256", "auth", "c32cf1f9fe597ff40cc100891a8baf2d058d54473c8e5a73ac2be7a4a294c541"),
        ("SHA-256", "auth-int", "e8daa88a81a57eb9ab7affc2563a466699ba986869e6bf7d490c8a4a61a01531"),
        ("SHA-256-sess", "auth", "60b99f44426cb8c9db5bd87912ed148f712276dec8d8646ead4ad1f7a5616c22"),
        ("SHA-256-sess", "auth-int", "266c9b4c57aa70f77efb1420aa1cc6de5d876bcf870e02191361dc2fd63303b3"),
        ("SHA-512-256", "", "6517e0739f353fb39582d730586307b481f9876056b6a32ff858182716f17b70"),
        ("SHA-512-256", "auth", "83b892495e1da9b8fdf2115eea9e6349b603ce7316e39195f715fedb9824699f"),
        ("SHA-512-256", "auth-int", "1dc98b32c7a8280b543836d8c0fd57f79def7865ae6cd3b68019fc6332a54d5b"),
        ("SHA-512-256-sess", "auth", "f322e8595cebd19322f7ed07e58b04557b14c25ae9aa19fd1d1827a496f14209"),
        ("SHA-512-256-sess", "auth-int", "668ac5d0f16538b3553fe4da192db2c81a83a7b7a85067d70ac0deafe5d009f2"),
    ];
    for (name, quality, response) in REFERENCE {
        let quality = match quality {
            "" => None,
            "auth" => Some(Quality::Authentication),
            _ => Some(Quality::Integrity),
        };
        let input = Input { quality, ..example(algorithm(name)) };
        assert_eq!(input.response(), response, "{name} {quality:?}");
    }
}

/// RFC 2617 §3.5, RFC 7616 §3.9.1.
#[test]
fn the_examples_of_the_rfcs_come_out() {
    let input = Input {
        algorithm: algorithm("MD5"),
        username: b"Mufasa",
        realm: b"http-auth@example.org",
        secret: Secret::Password(b"Circle of Life"),
        nonce: b"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        cnonce: b"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        count: 1,
        quality: Some(Quality::Authentication),
        method: b"GET",
        uri: b"/dir/index.html",
        body: b"",
    };
    assert_eq!(input.response(), "8ca523f5e9506fed4657c9700eebdbec");
    let sha256 = Input { algorithm: algorithm("SHA-256"), ..input };
    assert_eq!(sha256.response(), "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
    let older = Input {
        realm: b"testrealm@host.com",
        secret: Secret::Password(b"Circle Of Life"),
        nonce: b"dcd98b7102dd2f0e8b11d0f600bfb0c093",
        cnonce: b"0a4f113b",
        ..input
    };
    assert_eq!(older.response(), "6629fae49393a05397450978507c4ef1");
}

/// RFC 7616 §3.9.2. What it prints was computed with SHA-512 cut off to 256 bits, as the hash of its user name shows; these
/// are hashlib's for SHA-512/256, which RFC 7616 §3.2 asks for.
#[test]
fn the_user_name_of_an_example_can_be_hashed() {
    let (username, realm) = ("Jäsøn Doe".as_bytes(), b"api@example.org");
    let algorithm = algorithm("SHA-512-256");
    let hash = algorithm.userhash(username, realm);
    assert_eq!(hash, "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b");
    let input = Input {
        algorithm,
        username,
        realm,
        secret: Secret::Password(b"Secret, or not?"),
        nonce: b"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
        cnonce: b"NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
        count: 1,
        quality: Some(Quality::Authentication),
        method: b"GET",
        uri: b"/doe.json",
        body: b"",
    };
    assert_eq!(input.response(), "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5");
}

fn identifiers() -> Identifiers {
    Identifiers::new(Owner::default(), [3; 32])
}

fn credentials(realm: Option<&'static str>) -> Vec<Credentials> {
    vec![Credentials {
        realm: realm.map(|realm| Bytes::from_static(realm.as_bytes())),
        username: Bytes::from_static(b"anna"),
        secret: Bytes::from_static(b"secret"),
    }]
}

/// A 401 with these header lines.
fn challenged(lines: &[&str]) -> Message {
    let mut text =
        "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
                    To: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n"
            .to_owned();
    for line in lines {
        let _ = write!(text, "{line}\r\n");
    }
    Message::parse(Bytes::from(text + "Content-Length: 0\r\n\r\n")).unwrap()
}

/// A request with these header lines.
fn carrying(lines: &[(Name, String)]) -> Message {
    let mut text =
        "INVITE sip:ben@example.com;x=1 SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n".to_owned();
    for (name, value) in lines {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    Message::parse(Bytes::from(text + "Content-Length: 0\r\n\r\n")).unwrap()
}

/// What is answered to these header lines, in order.
fn answers(lines: &[&str]) -> Vec<(Name, String)> {
    let mut authentication = Authentication::default();
    let (request, response) = (carrying(&[]), challenged(lines));
    let accepted = authentication.accept(&request, &response, &credentials(None), &mut identifiers());
    let lines = texts(&mut authentication);
    assert_eq!(accepted, !lines.is_empty());
    lines
}

fn texts(authentication: &mut Authentication) -> Vec<(Name, String)> {
    let lines = authentication.lines(Method::Invite, URI, b"v=0\r\n").into_iter();
    lines.map(|(name, value)| (name, String::from_utf8(value.to_vec()).unwrap())).collect()
}

/// The value of a parameter, quotes included.
fn parameter<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let mut items = line.strip_prefix("Digest ").unwrap().split(", ");
    items.find_map(|item| item.strip_prefix(name)?.strip_prefix('='))
}

/// RFC 3261 §22.4: the Request-URI exactly, `qop` and `nc` without quotes; opaque and algorithm as they were given.
#[test]
fn an_answer_has_what_the_challenge_asks_for() {
    let lines = answers(&[
        "WWW-Authenticate: Digest realm=\"r\", new=1, nonce=\"n\", domain=\"sip:a, Basic x=y\", qop=\"auth-int,auth\", \
         opaque=\"o\", algorithm=sha-256, stale=FALSE",
    ]);
    let [(Name::Authorization, line)] = &lines[..] else { panic!("{lines:?}") };
    let cnonce = parameter(line, "cnonce").unwrap().trim_matches('"');
    let response = Input {
        algorithm: algorithm("SHA-256"),
        username: b"anna",
        realm: b"r",
        secret: Secret::Password(b"secret"),
        nonce: b"n",
        cnonce: cnonce.as_bytes(),
        count: 1,
        quality: Some(Quality::Authentication),
        method: b"INVITE",
        uri: URI,
        body: b"",
    }
    .response();
    assert_eq!(
        *line,
        format!(
            "Digest username=\"anna\", realm=\"r\", nonce=\"n\", uri=\"sip:ben@example.com;x=1\", response=\"{response}\", \
             algorithm=SHA-256, opaque=\"o\", qop=auth, nc=00000001, cnonce=\"{cnonce}\""
        )
    );
}

/// RFC 3261 §22.4 item 8: no qop, no cnonce; and so no `-sess` either.
#[test]
fn a_challenge_without_qop_is_answered_as_in_rfc_2069() {
    let lines = answers(&["WWW-Authenticate: Digest realm=\"r\", nonce=\"n\""]);
    assert!(
        ["qop", "nc", "cnonce", "algorithm", "opaque"]
            .iter()
            .all(|name| parameter(&lines[0].1, name).is_none())
    );
    assert_eq!(answers(&["WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=MD5-sess"]), []);
}

#[test]
fn escapes_are_undone_for_the_digest_and_written_again() {
    let lines = answers(&[r#"WWW-Authenticate: Digest realm="a \"b\", \\c", nonce="n\x""#]);
    assert!(lines[0].1.contains(r#"realm="a \"b\", \\c", nonce="nx""#), "{lines:?}");
    let expected = Input {
        username: b"anna",
        realm: br#"a "b", \c"#,
        secret: Secret::Password(b"secret"),
        nonce: b"nx",
        ..example(algorithm("MD5"))
    };
    assert_eq!(parameter(&lines[0].1, "response").unwrap().trim_matches('"'), expected.response());
}

/// RFC 7616 §3.4.2: a server keeps H(A1) and no password.
#[test]
fn what_a_server_keeps_gives_the_response_of_the_password() {
    for name in ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256"] {
        let with_password = Input { secret: Secret::Password(b"secret"), ..example(algorithm(name)) };
        let kept = algorithm(name).ha1(with_password.username, with_password.realm, b"secret");
        let with_ha1 = Input { secret: Secret::Ha1(kept.as_bytes()), ..with_password };
        assert_eq!(with_ha1.response(), with_password.response(), "{name}");
    }
}

/// RFC 7616 §3.4.4.
#[test]
fn the_user_name_is_hashed_if_the_server_wants_that() {
    let lines = answers(&[
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256, userhash=true",
    ]);
    let hash = algorithm("SHA-256").userhash(b"anna", b"r");
    assert_eq!(parameter(&lines[0].1, "username"), Some(&format!("\"{hash}\"")[..]));
    assert!(lines[0].1.ends_with("userhash=true"));
}

/// RFC 8760 §2.4: the server's order; what is not supported is passed over.
#[test]
fn of_one_realm_the_topmost_challenge_that_is_supported_counts() {
    let lines = answers(&[
        "WWW-Authenticate: Basic realm=\"r\"",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"1\", algorithm=SHA3-512",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"2\", qop=\"token\"",
        "WWW-Authenticate: Digest realm=\"r\", algorithm=MD5",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"3\", algorithm=SHA-256, qop=\"auth\"",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"4\", algorithm=MD5, qop=\"auth\"",
    ]);
    assert_eq!(lines.len(), 1);
    assert_eq!(parameter(&lines[0].1, "nonce"), Some("\"3\""));
}

/// RFC 3261 §22.3: also of both kinds in one response; one line with several challenges is HTTP's, and understood.
#[test]
fn each_realm_gets_its_credentials() {
    let expected =
        [(Name::Authorization, "\"1\""), (Name::Authorization, "\"2\""), (Name::ProxyAuthorization, "\"3\"")];
    let proxy = "Proxy-Authenticate: Digest realm=\"a\", nonce=\"3\"";
    for lines in [
        &[
            "WWW-Authenticate: Digest realm=\"a\", nonce=\"1\"",
            "WWW-Authenticate: Digest realm=\"b\",nonce=\"2\"",
            proxy,
        ][..],
        &[
            "WWW-Authenticate: Digest realm=\"a\", nonce=\"1\",Basic realm=\"x\", Digest realm=\"b\" , nonce=\"2\"",
            proxy,
        ],
    ] {
        let lines = answers(lines);
        let found: Vec<_> =
            lines.iter().map(|(name, line)| (*name, parameter(line, "nonce").unwrap())).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn credentials_are_shown_to_their_realm_only() {
    let response = challenged(&["WWW-Authenticate: Digest realm=\"r\", nonce=\"n\""]);
    let accept = |credentials: &[Credentials]| {
        Authentication::default().accept(&carrying(&[]), &response, credentials, &mut identifiers())
    };
    assert!(accept(&credentials(Some("r"))) && accept(&credentials(None)));
    assert!(!accept(&credentials(Some("R"))) && !accept(&[]));
    let mut broken = credentials(None);
    broken[0].username = Bytes::from_static(b"anna\r\nX: y");
    assert!(!accept(&broken), "a line of ours stays one line");
}

/// RFC 7616 §3.4: nc counts the requests of a nonce, and begins anew with the next.
#[test]
fn the_nonce_count_belongs_to_the_nonce() {
    let mut authentication = Authentication::default();
    let (credentials, mut identifiers) = (credentials(None), identifiers());
    let line = |nonce: &str, stale: bool| {
        challenged(&[&format!(
            "WWW-Authenticate: Digest realm=\"r\", nonce=\"{nonce}\", qop=\"auth\", stale={stale}"
        )])
    };
    let next = |authentication: &mut Authentication| {
        let lines = texts(authentication);
        let value = |name| parameter(&lines[0].1, name).unwrap().to_owned();
        (value("nonce"), value("nc"), value("cnonce"))
    };
    let request = carrying(&[]);
    assert!(authentication.accept(&request, &line("1", false), &credentials, &mut identifiers));
    let first = next(&mut authentication);
    let second = next(&mut authentication);
    assert_eq!((&first.1[..], &second.1[..]), ("00000001", "00000002"));
    assert_eq!(first.2, second.2, "one cnonce a nonce");
    // Another request was asked the same.
    assert!(authentication.accept(&request, &line("1", false), &credentials, &mut identifiers));
    assert_eq!(next(&mut authentication).1, "00000003");
    assert!(authentication.accept(&request, &line("2", true), &credentials, &mut identifiers));
    let third = next(&mut authentication);
    assert_eq!((&third.0[..], &third.1[..]), ("\"2\"", "00000001"));
    assert_ne!(third.2, second.2);
}

/// RFC 3261 §22.2: what was just refused is not tried again, unless only the nonce was stale.
#[test]
fn credentials_are_refused_once_and_for_all() {
    let line = |nonce: &str, stale| {
        challenged(&[&format!("WWW-Authenticate: Digest realm=\"r\", nonce=\"{nonce}\"{stale}")])
    };
    let (credentials, mut identifiers) = (credentials(None), identifiers());
    let mut authentication = Authentication::default();
    let mut accept = |authentication: &mut Authentication, request: &Message, response: &Message| {
        authentication.accept(request, response, &credentials, &mut identifiers)
    };
    assert!(accept(&mut authentication, &carrying(&[]), &line("1", "")));
    let first = carrying(&texts(&mut authentication));
    let before = authentication.clone();
    for refusal in [line("1", ""), line("2", ""), line("2", ", stale=no")] {
        assert!(!accept(&mut authentication, &first, &refusal));
    }
    assert_eq!(authentication, before, "nothing has changed");
    assert!(accept(&mut authentication, &first, &line("2", ", stale=\"TRUE\"")));
    let second = carrying(&texts(&mut authentication));
    // Proven credentials meet a server that forgot its nonce: once more, and no more.
    authentication.prove();
    assert!(!accept(&mut authentication, &second, &line("2", "")));
    assert!(accept(&mut authentication, &second, &line("3", "")));
    let third = carrying(&texts(&mut authentication));
    assert!(!accept(&mut authentication, &third, &line("4", "")));
    // The same to a request that left before: it says nothing of the last credentials.
    assert!(accept(&mut authentication, &second, &line("4", "")));
}

/// A peer cannot make us read or keep more than a little, nor break a line of ours.
#[test]
fn a_flood_of_challenges_is_read_to_a_bound() {
    let lines: Vec<_> =
        (0..20).map(|n| format!("WWW-Authenticate: Digest realm=\"{n}\", nonce=\"n\"")).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    assert_eq!(answers(&lines).len(), CHALLENGES_MAX);
    let many: Vec<_> = (0..500).map(|n| format!("Digest realm=\"{n}\", nonce=\"n\"")).collect();
    assert_eq!(answers(&[&format!("WWW-Authenticate: {}", many.join(","))]).len(), CHALLENGES_MAX);
    let long = format!("WWW-Authenticate: Digest realm=\"r\", nonce=\"{}\"", "n".repeat(3000));
    assert_eq!(answers(&[&long]), []);
    for line in [
        "Digest",
        "Digest ,",
        "Digest realm=\"r\", nonce=\"n",
        "realm=\"r\", nonce=\"n\"",
        ", ,",
        "\"",
        "Digest =",
        "Digest realm=\"r\", nonce=\"\u{1}\"",
        "Digest realm=\"r\\",
        "Digest realm=\"r\", nonce=\"n\"x",
    ] {
        assert_eq!(answers(&[&format!("WWW-Authenticate: {line}")]), [], "{line}");
    }
}
