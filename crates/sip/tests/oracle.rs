//! The parser beside another one: `sipx-sip` 1.0.1. Where both accept a message they must read the same in it; where
//! only one does, the reason must be in a list.

mod corpus;
mod generator;

use std::fmt::Debug;
use std::fs;
use std::net::IpAddr;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use sip::Message;
use sip::message::{Fault, Name, ParseError};

use sipx_sip::headers::{CSeq, CallId, From, To, Via};
use sipx_sip::{Finding, Headers, Limits, Message as Theirs, TypedHeader};

/// What both parsers have to read alike.
#[derive(PartialEq, Eq, Debug)]
struct Reading {
    method: Vec<u8>,
    uri: Vec<u8>,
    status: Option<u16>,
    reason: Vec<u8>,
    call_id: Vec<u8>,
    cseq: (u32, Vec<u8>),
    from_tag: Option<Vec<u8>>,
    to_tag: Option<Vec<u8>>,
    transport: Vec<u8>,
    branch: Option<Vec<u8>>,
    sent_by: (String, Option<u16>),
    vias: usize,
    values: Vec<Vec<u8>>,
    body: Vec<u8>,
}

/// Why this parser refuses a message.
#[derive(Debug)]
enum Refusal {
    Parse(#[expect(dead_code, reason = "shown when a test fails")] ParseError),
    Fault(Fault),
}

impl std::convert::From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

fn read_here(bytes: &Bytes) -> Result<Reading, Refusal> {
    let message = Message::parse(bytes.clone()).map_err(Refusal::Parse)?;
    message.validate()?;
    let (via, cseq) = (message.via()?, message.cseq()?);
    Ok(Reading {
        method: message.method_text().to_vec(),
        uri: message.uri_text().to_vec(),
        status: message.status(),
        reason: message.reason().to_vec(),
        call_id: message.call_id().to_vec(),
        cseq: (cseq.number, cseq.method.to_vec()),
        from_tag: message.from()?.tag().map(unquoted),
        to_tag: message.to()?.tag().map(unquoted),
        transport: via.transport.to_vec(),
        branch: via.branch().map(unquoted),
        sent_by: (plain_host(via.host), via.port),
        vias: message.vias().count(),
        values: message.headers().map(|header| unfolded(header.value)).collect(),
        body: message.body().to_vec(),
    })
}

/// What the other parser reads, or everything it finds wrong.
fn read_there(bytes: &Bytes) -> Result<Reading, Vec<String>> {
    let message = sipx_sip::parse_datagram(bytes.clone(), &limits()).map_err(text)?;
    let findings = sipx_sip::validate(&message);
    if !findings.is_empty() {
        return Err(findings.iter().flat_map(|finding| explained(finding, message.headers())).collect());
    }
    let headers = message.headers();
    let vias: Vec<Via> = headers.typed_all().collect::<Result<_, _>>().map_err(text)?;
    let cseq: CSeq = only(headers)?;
    let (via, (method, uri, status, reason)) = (&vias[0], start(&message));
    Ok(Reading {
        method,
        uri,
        status,
        reason,
        call_id: only::<CallId>(headers)?.0,
        cseq: (cseq.sequence, cseq.method.as_bytes().to_vec()),
        from_tag: only::<From>(headers)?.tag().map(<[u8]>::to_vec),
        to_tag: only::<To>(headers)?.tag().map(<[u8]>::to_vec),
        transport: via.transport.clone(),
        branch: via.branch().map(<[u8]>::to_vec),
        sent_by: (plain_host(&via.host.to_bytes()), via.port),
        vias: vias.len(),
        values: headers.iter().map(|header| header.value().into_owned()).collect(),
        body: message.body().to_vec(),
    })
}

/// A finding, or the error behind it.
fn explained(finding: &Finding, headers: &Headers) -> Vec<String> {
    let Finding::MalformedRequiredHeader(name) = finding else { return text(finding) };
    match *name {
        "From" => text(headers.typed::<From>()),
        "To" => text(headers.typed::<To>()),
        "Via" => text(headers.typed::<Via>()),
        _ => text(finding),
    }
}

/// The value of a header field that its findings say is there and well-formed.
fn only<H: TypedHeader>(headers: &Headers) -> Result<H, Vec<String>> {
    headers.typed::<H>().expect("mandatory").map_err(text)
}

type Start = (Vec<u8>, Vec<u8>, Option<u16>, Vec<u8>);

fn start(message: &Theirs) -> Start {
    match message {
        Theirs::Request(request) => {
            (request.method.as_bytes().to_vec(), request.uri.to_bytes().to_vec(), None, Vec::new())
        }
        Theirs::Response(response) => {
            (Vec::new(), Vec::new(), Some(response.status.code()), response.reason.to_vec())
        }
    }
}

/// No limit that is narrower than ours.
fn limits() -> Limits {
    Limits {
        max_message_bytes: sip::message::LENGTH_MAX,
        max_body_bytes: sip::message::LENGTH_MAX,
        max_headers: sip::message::HEADERS_MAX,
        max_header_bytes: sip::message::LENGTH_MAX,
        max_folding_lines: sip::message::LENGTH_MAX,
    }
}

fn text(refusal: impl Debug) -> Vec<String> {
    vec![format!("{refusal:?}")]
}

/// The other parser shows parameter values without quotes and escapes.
fn unquoted(value: &[u8]) -> Vec<u8> {
    let [b'"', inner @ .., b'"'] = value else { return value.to_vec() };
    let mut out = Vec::new();
    let mut octets = inner.iter();
    while let Some(octet) = octets.next() {
        out.push(if *octet == b'\\' { *octets.next().unwrap_or(octet) } else { *octet });
    }
    out
}

/// The other parser shows addresses in their canonical spelling, without brackets.
fn plain_host(host: &[u8]) -> String {
    let host = String::from_utf8_lossy(host);
    let bare = host.trim_matches(['[', ']']);
    bare.parse::<IpAddr>().map_or(host.to_string(), |address| address.to_string())
}

/// The other parser shows values with a blank for each fold.
fn unfolded(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut is_behind_fold = false;
    for octet in value {
        match octet {
            b'\r' => {}
            b'\n' => {
                out.push(b' ');
                is_behind_fold = true;
            }
            b' ' | b'\t' if is_behind_fold => {}
            _ => {
                out.push(*octet);
                is_behind_fold = false;
            }
        }
    }
    out
}

fn corpus_and_sample() -> Vec<(String, Bytes)> {
    let mut messages = corpus::messages();
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/invite900.sip");
    messages.push(("invite900.sip".to_owned(), fs::read(sample).expect("the sample").into()));
    messages
}

/// Messages of the corpus that only this parser accepts.
const ACCEPTED_HERE: [(&str, &str); 2] = [
    ("rfc4475/escruri.dat", "RFC 4475 §3.1.2.11: headers in a Request-URI may be refused or ignored"),
    ("rfc4475/inv2543.dat", "RFC 4475 §3.4.1: RFC 2543 had no mandatory Max-Forwards"),
];

/// Messages of the corpus that only the other parser accepts.
const ACCEPTED_THERE: [(&str, &str); 2] = [
    (
        "rfc4475/regbadct.dat",
        "RFC 4475 §3.1.2.13: may be refused; the other parser reads Contact only when asked",
    ),
    ("rfc5118/4.10-three-colons.dat", "RFC 5118 §4.10 tolerates what the grammar of RFC 5954 §4.1 excludes"),
];

#[test]
fn the_corpus_and_a_typical_invite_are_read_alike_but_for_the_files_listed() {
    let (mut only_here, mut only_there) = (Vec::new(), Vec::new());
    for (name, bytes) in corpus_and_sample() {
        match (read_here(&bytes), read_there(&bytes)) {
            (Ok(here), Ok(there)) => assert_eq!(here, there, "{name}"),
            (Ok(_), Err(_)) => only_here.push(name),
            (Err(_), Ok(_)) => only_there.push(name),
            (Err(_), Err(_)) => {}
        }
    }
    assert_eq!(only_here, ACCEPTED_HERE.map(|(name, _)| name));
    assert_eq!(only_there, ACCEPTED_THERE.map(|(name, _)| name));
}

/// Why the other parser may accept what this one refuses for `refusal`.
fn excuse_for_refusing(refusal: &Refusal) -> Option<&'static str> {
    let Refusal::Fault(fault) = refusal else { return None };
    match fault {
        Fault::Uri => {
            Some("it takes schemes that begin with a digit and any octet in URI parameters (§25.1)")
        }
        Fault::Host => {
            Some("it takes hosts that begin with a dot (§25.1), and three colons (RFC 5118 §4.10)")
        }
        Fault::HeaderLine => Some("it lets a fold continue the start line, which no rule of §25.1 allows"),
        Fault::Header(Name::CSeq | Name::ContentLength) => None,
        Fault::Header(Name::CallId) => Some("it takes any octets in a Call-ID (§25.1: word)"),
        Fault::Header(Name::Via) => {
            Some("it takes any protocol, version and transport, and slashes in parameters")
        }
        Fault::Header(Name::From | Name::To) => {
            Some("as for URIs; and it takes slashes in parameters, and commas in bare addresses (§20.10)")
        }
        Fault::Header(_) => Some("it reads other header fields only when asked"),
        Fault::Repeated(Name::CSeq | Name::CallId | Name::From | Name::To | Name::ContentLength) => None,
        Fault::Repeated(_) => Some("it counts only the mandatory ones"),
        Fault::StartLine
        | Fault::Version
        | Fault::Status
        | Fault::Unfinished
        | Fault::Missing(_)
        | Fault::CSeqMethod
        | Fault::BodyTruncated => None,
    }
}

/// Why this parser may accept what the other one refuses for `refusal`.
fn excuse_for_accepting(refusal: &str, bytes: &Bytes) -> Option<&'static str> {
    let is_about = |what: &str| refusal.contains(what);
    if is_about("\"Via\"") && has_blanks_around_a_port(bytes) {
        Some("it is wrong about sent-by, where blanks may surround the colon (§25.1: COLON)")
    } else if matches!(bytes.first(), Some(b'\r' | b'\n')) {
        Some("it does not skip line ends before the start line (§7.5)")
    } else if is_about("MissingRequiredHeader(\"Max-Forwards\")") {
        Some("RFC 2543 had no mandatory Max-Forwards")
    } else if is_about("RequestUriHasHeaders") {
        Some("RFC 4475 §3.1.2.11: refused or ignored")
    } else if is_about("TelephoneSubscriber") {
        Some("this parser keeps what follows other schemes than sip and sips as it is")
    } else if is_about("ParameterName") {
        Some("this parser takes a URI parameter twice or without a name, against §19.1.1 and §25.1")
    } else {
        None
    }
}

fn has_blanks_around_a_port(bytes: &Bytes) -> bool {
    let message = Message::parse(bytes.clone()).expect("accepted");
    let pairs = message.vias().map(|via| via.expect("accepted")).zip(message.items(Name::Via));
    pairs.into_iter().any(|(via, text)| {
        let tight = via.port.map(|port| format!("{}:{port}", String::from_utf8_lossy(via.host)));
        tight.is_some_and(|tight| !String::from_utf8_lossy(text).contains(&tight))
    })
}

fn config(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(3261), failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn every_spelling_that_the_grammar_allows_is_accepted_and_read_alike(message in generator::message()) {
        let bytes = Bytes::from(message);
        let here = read_here(&bytes).expect("well-formed");
        match read_there(&bytes) {
            Ok(there) => prop_assert_eq!(here, there),
            Err(refusals) => prop_assert!(
                has_blanks_around_a_port(&bytes) && refusals.iter().all(|refusal| refusal.contains("\"Via\"")),
                "{:?}", refusals
            ),
        }
    }
}

proptest! {
    #![proptest_config(config(5_000))]

    #[test]
    fn damaged_messages_are_read_alike_or_one_parser_refuses_for_a_listed_reason(
        message in generator::damaged(generator::message())
    ) {
        let bytes = Bytes::from(message);
        match (read_here(&bytes), read_there(&bytes)) {
            (Ok(here), Ok(there)) => prop_assert_eq!(here, there),
            (Err(refusal), Ok(_)) => prop_assert!(excuse_for_refusing(&refusal).is_some(), "{:?}", refusal),
            (Ok(_), Err(refusals)) => {
                for refusal in refusals {
                    prop_assert!(excuse_for_accepting(&refusal, &bytes).is_some(), "{}", refusal);
                }
            }
            (Err(_), Err(_)) => {}
        }
    }
}
