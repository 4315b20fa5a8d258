//! What holds for every message, and that no octets whatever make the parser panic or dawdle.

mod corpus;
mod generator;

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use sip::Message;
use sip::message::{Body, Method, Name, NameAddr, Parameters, Uri, Writer};

fn parsed(bytes: impl Into<Bytes>) -> Message {
    Message::parse(bytes.into()).expect("a message")
}

fn written(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.write(&mut out);
    out
}

fn lines(message: &Message) -> Vec<(Name, Vec<u8>)> {
    message.headers().map(|header| (header.name, header.value.to_vec())).collect()
}

/// Calls every reader of `message` and sums up what they find, so that nothing is left out.
fn read_everything(message: &Message) -> usize {
    let names: BTreeSet<_> = message.headers().map(|header| header.name).chain([Name::Privacy]).collect();
    let start = message.method_text().len() + message.reason().len() + format!("{message:?}").len();
    let uri = message.uri().map_or(0, |uri| read_uri(&uri));
    let vias =
        message.vias().flatten().map(|via| via.host.len() + read_parameters(&via.parameters)).sum::<usize>();
    let sequence = usize::from(message.cseq().is_ok()) + usize::from(message.is_cseq_method(Method::Invite));
    let ends = [message.from(), message.to()].iter().flatten().map(read_address).sum::<usize>();
    let shared = message.share(message.body()).len() + message.share(message.call_id()).len();
    let faults = message.validate().map_or_else(|fault| fault.to_string().len(), |()| 0);
    let fields = names.into_iter().map(|name| read_field(message, name)).sum::<usize>();
    start + uri + vias + sequence + ends + shared + faults + fields + written(message).len()
}

fn read_field(message: &Message, name: Name) -> usize {
    let addresses = message.addresses(name).flatten().map(|address| read_address(&address)).sum::<usize>();
    let valued = message.valued(name).flatten();
    let valued = valued
        .map(|valued| valued.number().map_or(0, |_| 1) + read_parameters(&valued.parameters))
        .sum::<usize>();
    let credentials = message.credentials(name).flatten();
    let credentials =
        credentials.map(|each| each.scheme.len() + read_parameters(&each.parameters)).sum::<usize>();
    let parameters = message.parameters(name).map_or(0, |parameters| read_parameters(&parameters));
    let number = message.number(name).map_or(0, |number| usize::from(number.is_some()));
    let one = message.address(name).map_or(0, |address| read_address(&address));
    let listed = usize::from(message.lists(name, b"timer"));
    message.items(name).count() + addresses + valued + credentials + parameters + number + one + listed
}

fn read_address(address: &NameAddr<'_>) -> usize {
    let tag = address.tag().map_or(0, <[u8]>::len);
    let uri = Uri::parse(address.uri).map_or(0, |uri| read_uri(&uri));
    address.display.len() + tag + uri + read_parameters(&address.parameters)
}

fn read_uri(uri: &Uri<'_>) -> usize {
    let address = uri.socket_address().map_or(0, |_| 1);
    let kind = usize::from(uri.is_sip()) + usize::from(uri.is_sips());
    uri.host.len() + uri.user.map_or(0, <[u8]>::len) + address + kind + read_parameters(&uri.parameters)
}

fn read_parameters(parameters: &Parameters<'_>) -> usize {
    let lookups = parameters.text(b"branch").map_or(0, <[u8]>::len) + usize::from(parameters.has(b"lr"));
    parameters.iter().count() + lookups + parameters.as_bytes().len()
}

fn read_octets(bytes: impl Into<Bytes>) -> usize {
    Message::parse(bytes.into())
        .map_or_else(|error| error.to_string().len(), |message| read_everything(&message))
}

fn any_corpus_message() -> impl Strategy<Value = Vec<u8>> {
    select(corpus::messages()).prop_map(|(_, bytes)| bytes.to_vec())
}

fn any_method() -> impl Strategy<Value = Method> {
    select(&[Method::Invite, Method::Cancel, Method::Refer, Method::Register, Method::Publish][..])
}

/// Header fields with values that need no grammar.
fn free_lines() -> impl Strategy<Value = Vec<(Name, Vec<u8>)>> {
    let names = select(
        &[Name::Subject, Name::Server, Name::Via, Name::PAnswerState, Name::CallId, Name::SipEtag][..],
    );
    vec((names, "[!-~é]([ -~é]{0,20}[!-~é])?".prop_map(String::into_bytes)), 0..12)
}

fn any_body() -> impl Strategy<Value = Option<Body>> {
    let content = ("[a-z]{1,9}/[a-z]{1,9}", vec(any::<u8>(), 0..40));
    proptest::option::of(
        content.prop_map(|(kind, bytes)| Body { content_type: kind.into(), bytes: bytes.into() }),
    )
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same(octets in generator::message()) {
        let message = parsed(octets);
        let again = parsed(written(&message));
        prop_assert_eq!(lines(&again), lines(&message));
        prop_assert_eq!((again.method_text(), again.uri_text()), (message.method_text(), message.uri_text()));
        prop_assert_eq!((again.status(), again.reason()), (message.status(), message.reason()));
        prop_assert_eq!(again.body(), message.body());
        prop_assert_eq!(again.validate(), message.validate());
    }

    #[test]
    fn writing_once_more_changes_nothing(octets in generator::message()) {
        let message = parsed(written(&parsed(octets)));
        prop_assert_eq!(parsed(written(&message)), message);
    }

    #[test]
    fn a_damaged_message_that_is_valid_reads_the_same_when_written(octets in generator::damaged(generator::message())) {
        let Ok(message) = Message::parse(octets.into()) else { return Ok(()) };
        if message.validate().is_ok() {
            let again = parsed(written(&message));
            prop_assert_eq!(again.validate(), Ok(()));
            prop_assert_eq!((lines(&again), again.body()), (lines(&message), message.body()));
        }
    }

    #[test]
    fn a_request_put_together_by_the_writer_reads_as_it_was_meant(
        method in any_method(), lines_meant in free_lines(), body in any_body(),
    ) {
        let mut out = Vec::new();
        let mut writer = Writer::request(&mut out, method, b"sip:bob@home1.example");
        for (name, value) in &lines_meant {
            writer.line(*name, value);
        }
        writer.finish(body.as_ref());
        let message = parsed(out.clone());
        prop_assert_eq!((message.method(), message.uri_text()), (Some(method), &b"sip:bob@home1.example"[..]));
        prop_assert_eq!(&lines(&message)[..lines_meant.len()], &lines_meant[..]);
        prop_assert_eq!(message.body(), body.map_or(Bytes::new(), |body| body.bytes));
        prop_assert_eq!(written(&message), out);
    }

    #[test]
    fn a_response_put_together_by_the_writer_reads_as_it_was_meant(
        status in 100..700u16, lines_meant in free_lines(), body in any_body(),
    ) {
        let mut out = Vec::new();
        let mut writer = Writer::response(&mut out, status);
        for (name, value) in &lines_meant {
            writer.line(*name, value);
        }
        writer.finish(body.as_ref());
        let message = parsed(out.clone());
        prop_assert_eq!((message.status(), message.method()), (Some(status), None));
        prop_assert_eq!(&lines(&message)[..lines_meant.len()], &lines_meant[..]);
        prop_assert_eq!(written(&message), out);
    }

    #[test]
    fn arbitrary_octets_can_be_read(octets in vec(any::<u8>(), 0..400)) {
        read_octets(octets);
    }

    #[test]
    fn arbitrary_octets_behind_a_request_line_can_be_read(octets in vec(any::<u8>(), 0..400)) {
        read_octets([&b"INVITE sip:a@b SIP/2.0\r\nv:"[..], &octets].concat());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn damaged_messages_can_be_read(octets in generator::damaged(generator::message())) {
        read_octets(octets);
    }

    #[test]
    fn damaged_messages_of_the_corpus_can_be_read(octets in generator::damaged(any_corpus_message())) {
        read_octets(octets);
    }
}

#[test]
fn messages_of_the_corpus_can_be_read_when_cut_at_any_octet() {
    for (_, bytes) in corpus::messages() {
        for length in 0..=bytes.len() {
            read_octets(bytes.slice(..length));
        }
    }
}

#[test]
fn a_message_that_is_cut_in_its_header_part_is_never_valid() {
    for (name, bytes) in corpus::messages() {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        for length in 0..end + 4 {
            let cut = Message::parse(bytes.slice(..length)).map(|message| message.validate());
            assert!(!matches!(cut, Ok(Ok(()))), "{name} cut at {length}");
        }
    }
}

// Messages of the greatest length that are nothing but one octet or piece. Each test would take minutes if a reader
// took quadratic time.

const HOSTILE: [&str; 16] =
    ["\"", ",", "<", "\\", ";", "=", "(", "%", ":", "@", " ", "\t", "\r\n ", "\"\\", "<\"", ";a=\"\","];

/// `piece` over and over, up to the greatest length with `before` and `after` around it.
fn filled(before: &str, piece: &str, after: &str) -> Bytes {
    let room = sip::message::LENGTH_MAX - before.len() - after.len();
    Bytes::from([before, &piece.repeat(room / piece.len()), after].concat())
}

fn assert_is_read(bytes: Bytes) {
    let message = Message::parse(bytes).expect("as far as its lines go");
    assert!(read_everything(&message) > 0);
}

#[test]
fn header_values_of_nothing_but_one_piece_take_linear_time() {
    let names = [
        "Via",
        "From",
        "Contact",
        "Route",
        "CSeq",
        "Call-ID",
        "Require",
        "Retry-After",
        "Warning",
        "Authorization",
    ];
    for name in names {
        for piece in HOSTILE {
            assert_is_read(filled(&format!("OPTIONS sip:a@b SIP/2.0\r\n{name}: x"), piece, "x\r\n\r\n"));
        }
    }
}

#[test]
fn values_that_begin_well_and_go_on_with_one_piece_take_linear_time() {
    let values =
        ["v: SIP/2.0/UDP a;b=", "f: \"a\" <sip:a@b", "m: <sip:a@b>", "c: a/b", "x: 90;a", "Retry-After: 1 ("];
    for value in values {
        for piece in HOSTILE {
            assert_is_read(filled(&format!("SIP/2.0 200 OK\r\n{value}"), piece, "\r\n\r\n"));
        }
    }
}

#[test]
fn lists_of_the_greatest_length_take_linear_time() {
    for (before, item) in [
        ("v: SIP/2.0/UDP a", ",SIP/2.0/UDP a"),
        ("m: <sip:a>", ",<sip:a>"),
        ("Route: <sip:a;lr>", ",<sip:a;lr>"),
        ("k: a", ",a"),
        ("f: <sip:a>", ";a=b"),
        ("Authorization: Digest a=b", ",a=b"),
    ] {
        assert_is_read(filled(&format!("SIP/2.0 200 OK\r\n{before}"), item, "\r\n\r\n"));
    }
}

#[test]
fn request_lines_of_nothing_but_one_piece_take_linear_time() {
    for piece in HOSTILE.into_iter().filter(|piece| !piece.contains('\n')) {
        read_octets(filled("OPTIONS sip:a", piece, " SIP/2.0\r\n\r\n"));
        read_octets(filled("OPTIONS ", piece, " SIP/2.0\r\n\r\n"));
        read_octets(filled("SIP/2.0 200 ", piece, "\r\n\r\n"));
    }
}

#[test]
fn line_ends_of_every_kind_take_linear_time() {
    for piece in ["\n", "\r", "\r\r\n", "\n\r", "\r\n ", "\r\n\t \r\n ", "\r\nx", "\r\n:"] {
        read_octets(filled("OPTIONS sip:a@b SIP/2.0\r\nSubject: a", piece, "\r\n\r\n"));
        read_octets(filled("", piece, "OPTIONS sip:a@b SIP/2.0\r\n\r\n"));
    }
}

#[test]
fn as_many_lines_as_are_allowed_take_linear_time() {
    let line = format!("m: {}\r\n", ",".repeat(240));
    let before = format!("OPTIONS sip:a@b SIP/2.0\r\n{}", line.repeat(sip::message::HEADERS_MAX));
    assert_is_read(Bytes::from(before + "\r\n"));
}
