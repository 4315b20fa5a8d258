//! The torture messages of RFC 4475 and RFC 5118: what the RFCs ask of a receiver, and the point of each message.
//!
//! `torture/expectations.tsv` has the verdicts; the tests below name the RFC's section by the name of the file.

mod corpus;

use std::fs;

use bytes::Bytes;
use sip::Message;
use sip::message::{Fault, Method, Name};

/// One line of `expectations.tsv`.
struct Row {
    file: String,
    is_request: bool,
    verdict: String,
    statuses: Vec<u16>,
}

fn rows() -> Vec<Row> {
    let table =
        fs::read_to_string(corpus::folder().join("expectations.tsv")).expect("the table of expectations");
    table.lines().skip(1).map(row).collect()
}

fn row(line: &str) -> Row {
    let columns: Vec<_> = line.split('\t').collect();
    let [file, kind, verdict, statuses, _section, _why] = columns[..] else { panic!("six columns: {line}") };
    Row {
        file: file.to_owned(),
        is_request: kind == "request",
        verdict: verdict.to_owned(),
        statuses: statuses.split('|').filter_map(|status| status.parse().ok()).collect(),
    }
}

fn rows_with(verdict: &str) -> impl Iterator<Item = Row> {
    rows().into_iter().filter(move |row| row.verdict == verdict)
}

fn read(name: &str) -> Message {
    Message::parse(corpus::octets(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A message that a user may see.
fn accepted(name: &str) -> Message {
    let message = read(name);
    assert_eq!(message.validate(), Ok(()), "{name}");
    message
}

fn written_again(message: &Message) -> Message {
    let mut out = Vec::new();
    message.write(&mut out);
    Message::parse(out.into()).expect("what was written can be read")
}

type Content<'a> =
    (Option<Method>, &'a [u8], &'a [u8], Option<u16>, &'a [u8], Vec<(Name, &'a [u8])>, &'a [u8]);

/// All that a message says, without its spelling of names and white space around values.
fn content(message: &Message) -> Content<'_> {
    let headers = message.headers().map(|header| (header.name, header.value)).collect();
    let start =
        (message.method(), message.method_text(), message.uri_text(), message.status(), message.reason());
    (start.0, start.1, start.2, start.3, start.4, headers, message.body())
}

#[test]
fn every_file_has_one_row_and_every_row_its_file() {
    let mut listed: Vec<_> = rows().into_iter().map(|row| row.file).collect();
    listed.sort();
    let files: Vec<_> = corpus::messages().into_iter().map(|(name, _)| name).collect();
    assert_eq!(files, listed);
}

#[test]
fn every_verdict_is_one_that_a_test_looks_at() {
    for row in rows() {
        assert!(["accept", "reject", "either", "element"].contains(&row.verdict.as_str()), "{}", row.file);
    }
}

#[test]
fn requests_and_responses_are_told_apart() {
    for row in rows().into_iter().filter(|row| row.file != "rfc4475/bigcode.dat") {
        assert_eq!(read(&row.file).method().is_some(), row.is_request, "{}", row.file);
    }
}

/// Item 14: no header line and no body is lost.
#[test]
fn what_must_be_accepted_is_and_survives_being_written_again() {
    for row in rows_with("accept") {
        let message = accepted(&row.file);
        let again = written_again(&message);
        assert_eq!(again.validate(), Ok(()), "{}", row.file);
        assert_eq!(content(&again), content(&message), "{}", row.file);
    }
}

#[test]
fn what_the_element_has_to_answer_passes_and_survives_being_written_again() {
    for row in rows_with("element") {
        let message = accepted(&row.file);
        assert_eq!(content(&written_again(&message)), content(&message), "{}", row.file);
    }
}

#[test]
fn a_request_that_must_be_refused_is_read_and_refused_with_a_status_of_the_rfc() {
    for row in rows_with("reject").filter(|row| row.is_request) {
        let fault = read(&row.file).validate().expect_err(&row.file);
        assert!(row.statuses.contains(&fault.status()), "{}: {fault}", row.file);
    }
}

#[test]
fn a_response_that_must_be_discarded_is_no_valid_message() {
    for row in rows_with("reject").filter(|row| !row.is_request) {
        let validated = Message::parse(corpus::octets(&row.file)).map(|message| message.validate());
        assert!(!matches!(validated, Ok(Ok(()))), "{}", row.file);
    }
}

/// What this parser does where the RFCs allow to refuse and to tolerate.
const CHOICES: [(&str, Result<(), Fault>); 10] = [
    // §3.2.1: the magic cookie alone is no identifier; transactions fall back to the rules of RFC 2543.
    ("rfc4475/badbranch.dat", Ok(())),
    // §3.1.2.12, RFC 3261 §8.2.2: a malformed header field that is not needed is ignored.
    ("rfc4475/baddate.dat", Ok(())),
    // §3.1.2.14: no brackets are moved.
    ("rfc4475/badaspec.dat", Err(Fault::Header(Name::To))),
    // §3.1.2.15: the file lacks the last empty line, which is found first.
    ("rfc4475/baddn.dat", Err(Fault::Unfinished)),
    // §3.1.2.11: read, and the endpoint does not apply what stands behind the question mark.
    ("rfc4475/escruri.dat", Ok(())),
    // §3.1.2.7 and §3.1.2.9: nothing is repaired in a request line.
    ("rfc4475/ltgtruri.dat", Err(Fault::Uri)),
    ("rfc4475/lwsstart.dat", Err(Fault::Uri)),
    // §3.1.2.13: no brackets are inferred.
    ("rfc4475/regbadct.dat", Err(Fault::Header(Name::Contact))),
    // §3.1.2.10.
    ("rfc4475/trws.dat", Err(Fault::StartLine)),
    // RFC 3261 §18.3: the Content-Length of this file exceeds the datagram.
    ("rfc5118/4.6-ipv6-in-sdp.dat", Err(Fault::BodyTruncated)),
];

/// RFC 5118 §4.10 tolerates three colons, the corrected grammar of RFC 5954 §4.1 has no place for them.
const THREE_COLONS: (&str, Result<(), Fault>) = ("rfc5118/4.10-three-colons.dat", Err(Fault::Host));

#[test]
fn where_the_rfcs_leave_a_choice_it_is_the_one_written_down() {
    for (file, choice) in CHOICES.into_iter().chain([THREE_COLONS]) {
        assert_eq!(read(file).validate(), choice, "{file}");
    }
}

#[test]
fn every_choice_is_written_down_and_refuses_with_a_status_of_the_rfc() {
    for row in rows_with("either") {
        let mut choices = CHOICES.into_iter().chain([THREE_COLONS]);
        let (_, choice) = choices.find(|(file, _)| *file == row.file).expect(&row.file);
        assert!(
            choice.is_ok() || choice.is_err_and(|fault| row.statuses.contains(&fault.status())),
            "{}",
            row.file
        );
    }
}

#[test]
fn a_display_name_with_an_unquoted_comma_is_refused_in_baddn_with_its_last_line() {
    let finished = [&corpus::octets("rfc4475/baddn.dat")[..], b"\r\n"].concat();
    let message = Message::parse(finished.into()).unwrap();
    assert_eq!(message.validate(), Err(Fault::Header(Name::From)));
}

#[test]
fn ipv6_in_sdp_is_accepted_once_its_content_length_is_right() {
    let text = String::from_utf8(corpus::octets("rfc5118/4.6-ipv6-in-sdp.dat").to_vec()).unwrap();
    let message = Message::parse(text.replace("Content-Length: 268", "Content-Length: 251").into()).unwrap();
    assert_eq!(message.validate(), Ok(()));
    assert_eq!(message.body().len(), 251);
    assert_eq!(message.uri().unwrap().host, b"[2001:db8::10]");
}

// RFC 4475 §3.1.1: valid messages.

#[test]
fn wsinv_has_its_blanks_folds_and_compact_names_in_the_grammar() {
    let message = accepted("rfc4475/wsinv.dat");
    let vias: Vec<_> = message.vias().map(|via| via.unwrap()).collect();
    let hosts: Vec<_> = vias.iter().map(|via| via.host).collect();
    assert_eq!(hosts, [&b"192.0.2.2"[..], b"spindle.example.com", b"192.168.255.111"]);
    assert_eq!(vias.iter().map(|via| via.transport).collect::<Vec<_>>(), [&b"UDP"[..], b"TCP", b"UDP"]);
    let branches: Vec<_> = vias.iter().map(|via| via.branch().unwrap()).collect();
    assert_eq!(branches, [&b"390skdjuw"[..], b"z9hG4bK9ikj8", b"z9hG4bK30239"]);
    assert_eq!(message.to().unwrap().tag(), Some(&b"1918181833n"[..]));
    let from = message.from().unwrap();
    assert_eq!((from.display, from.tag()), (&br#""J Rosenberg \\\"""#[..], Some(&b"98asjd8"[..])));
    assert_eq!(message.number(Name::MaxForwards), Ok(Some(68)));
    let cseq = message.cseq().unwrap();
    assert_eq!((cseq.number, cseq.method), (9, &b"INVITE"[..]));
}

#[test]
fn wsinv_has_an_empty_subject_unknown_names_and_a_contact_in_compact_form() {
    let message = accepted("rfc4475/wsinv.dat");
    assert_eq!(message.value(Name::Subject), Some(&b""[..]));
    let unknown: Vec<_> = message.headers().filter(|header| header.name == Name::Other).collect();
    assert_eq!(unknown[0].value, b"newfangled value\r\n continued newfangled value");
    assert_eq!(unknown[1].value, b";;,,;;,;");
    let contact = message.addresses(Name::Contact).next().unwrap().unwrap();
    assert_eq!(contact.display, br#""Quoted string \"\"""#);
    assert_eq!(contact.parameters.value(b"newparam"), Some(&b"newvalue"[..]));
    assert!(contact.parameters.has(b"secondparam") && contact.parameters.value(b"secondparam").is_none());
    assert_eq!(contact.parameters.value(b"q"), Some(&b"0.33"[..]));
    assert!(message.uri().unwrap().parameters.has(b"unknownparam"));
}

#[test]
fn intmeth_has_an_odd_method_and_display_names() {
    let message = accepted("rfc4475/intmeth.dat");
    assert_eq!(message.method(), Some(Method::Other));
    assert_eq!(message.method_text(), b"!interesting-Method0123456789_*+`.%indeed'~");
    assert_eq!(message.to().unwrap().display, b"\"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f\"");
    let from = message.from().unwrap();
    assert_eq!(from.display, b"token1~` token2'+_ token3*%!.-");
    assert_eq!(from.tag(), Some(&b"_token~1'+`*%!-."[..]));
    assert_eq!(
        from.parameters.text(b"fromParam''~+*_!.-%"),
        Some("\u{440}\u{430}\u{431}\u{43e}\u{442}\u{430}\u{44e}\u{449}\u{438}\u{439}".as_bytes())
    );
    let user =
        &b"1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"[..];
    assert_eq!(message.uri().unwrap().user, Some(user));
}

#[test]
fn esc01_keeps_its_escapes_and_ends_the_user_at_the_bare_at_sign() {
    let message = accepted("rfc4475/esc01.dat");
    let uri = message.uri().unwrap();
    assert_eq!((uri.user, uri.host), (Some(&b"sips%3Auser%40example.com"[..]), &b"example.net"[..]));
    let contact = message.addresses(Name::Contact).next().unwrap().unwrap();
    assert_eq!(contact.uri, b"sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31");
}

#[test]
fn escnull_does_not_end_a_user_at_an_escaped_null() {
    let message = accepted("rfc4475/escnull.dat");
    let users: Vec<_> = contact_users(&message);
    assert_eq!(users, ["%00", "%00%00"]);
    let to = sip::message::Uri::parse(message.to().unwrap().uri).unwrap();
    assert_eq!(to.user, Some(&b"null-%00-null"[..]));
}

fn contact_users(message: &Message) -> Vec<String> {
    let uris = message.addresses(Name::Contact).map(|contact| contact.expect("an address").uri);
    let users = uris.map(|uri| sip::message::Uri::parse(uri).expect("a URI").user.expect("a user"));
    users.map(|user| String::from_utf8_lossy(user).into_owned()).collect()
}

#[test]
fn esc02_has_no_escapes_in_method_header_name_and_display_name() {
    let message = accepted("rfc4475/esc02.dat");
    assert_eq!((message.method(), message.method_text()), (Some(Method::Other), &b"RE%47IST%45R"[..]));
    assert_eq!(contact_users(&message), ["alias1", "alias3"]);
    assert_eq!(message.to().unwrap().display, b"\"%Z%45\"");
}

#[test]
fn lwsdisp_has_a_display_name_without_a_blank_behind_it() {
    let message = accepted("rfc4475/lwsdisp.dat");
    let from = message.from().unwrap();
    assert_eq!((from.display, from.uri), (&b"caller"[..], &b"sip:caller@example.com"[..]));
}

#[test]
fn longreq_has_34_via_values_whatever_the_case_of_the_name() {
    let message = accepted("rfc4475/longreq.dat");
    let vias: Vec<_> = message.vias().map(|via| via.unwrap()).collect();
    assert_eq!(vias.len(), 34);
    assert_eq!((vias[0].host, vias[0].branch()), (&b"sip33.example.com"[..], None));
    assert_eq!(vias[33].parameters.value(b"received"), Some(&b"192.0.2.5"[..]));
    assert!(vias[33].branch().unwrap().ends_with(b"branchvalue"));
}

#[test]
fn dblreq_ends_before_the_octets_behind_its_content_length() {
    let message = accepted("rfc4475/dblreq.dat");
    assert_eq!((message.method(), message.body()), (Some(Method::Register), &b""[..]));
    assert_eq!(message.call_id(), b"dblreq.0ha0isndaksdj99sdfafnl3lk233412");
    let mut out = Vec::new();
    message.write(&mut out);
    assert!(out.ends_with(b"Content-Length: 0\r\n\r\n"));
}

#[test]
fn semiuri_has_its_semicolon_in_the_user_part() {
    let message = accepted("rfc4475/semiuri.dat");
    let uri = message.uri().unwrap();
    assert_eq!((uri.user, uri.host), (Some(&b"user;par=u%40example.net"[..]), &b"example.com"[..]));
    assert_eq!(uri.parameters.iter().count(), 0);
    assert_eq!(message.items(Name::Accept).count(), 6);
}

#[test]
fn transports_has_known_and_unknown_transports() {
    let message = accepted("rfc4475/transports.dat");
    let transports: Vec<_> = message.vias().map(|via| via.unwrap().transport).collect();
    assert_eq!(transports, [&b"UDP"[..], b"SCTP", b"TLS", b"UNKNOWN", b"TCP"]);
}

#[test]
fn mpart01_has_a_body_of_octets() {
    let message = accepted("rfc4475/mpart01.dat");
    assert_eq!(message.body().len(), 553);
    assert!(message.body().starts_with(b"--7a9cbec02ceef655\r\n"));
    assert!(message.body().ends_with(b"\r\n--7a9cbec02ceef655--\r\n"));
    assert!(message.body().contains(&0));
    let kind = message.valued(Name::ContentType).next().unwrap().unwrap();
    assert_eq!(kind.value, b"multipart/mixed");
    assert_eq!(kind.parameters.value(b"boundary"), Some(&b"7a9cbec02ceef655"[..]));
}

#[test]
fn unreason_has_a_reason_phrase_in_utf_8() {
    let message = accepted("rfc4475/unreason.dat");
    let reason = std::str::from_utf8(message.reason()).unwrap();
    assert_eq!(message.status(), Some(200));
    assert!(
        reason.starts_with("= 2**3 * 5**2 \u{43d}\u{43e}")
            && reason.ends_with("\u{43f}\u{440}\u{43e}\u{441}\u{442}\u{43e}\u{435}")
    );
}

#[test]
fn noreason_has_an_empty_reason_phrase() {
    let message = accepted("rfc4475/noreason.dat");
    assert_eq!((message.status(), message.reason()), (Some(100), &b""[..]));
}

// RFC 4475 §3.1.2: what exactly is wrong.

#[test]
fn each_invalid_message_is_refused_for_its_own_fault() {
    let faults = [
        ("badinv01", Fault::Header(Name::Via)),
        ("clerr", Fault::BodyTruncated),
        ("ncl", Fault::Header(Name::ContentLength)),
        ("scalar02", Fault::Header(Name::CSeq)),
        ("scalarlg", Fault::Header(Name::CSeq)),
        ("quotbal", Fault::Header(Name::To)),
        ("lwsruri", Fault::Uri),
        ("badvers", Fault::Version),
        ("mismatch01", Fault::CSeqMethod),
        ("mismatch02", Fault::CSeqMethod),
        ("insuf", Fault::Missing(Name::From)),
        ("multi01", Fault::Repeated(Name::CSeq)),
        ("mcl01", Fault::Repeated(Name::ContentLength)),
    ];
    for (name, fault) in faults {
        assert_eq!(read(&format!("rfc4475/{name}.dat")).validate(), Err(fault), "{name}");
    }
}

#[test]
fn bigcode_has_no_status_at_all() {
    assert_eq!(
        Message::parse(corpus::octets("rfc4475/bigcode.dat")),
        Err(sip::message::ParseError::StartLine)
    );
}

/// The scalars of scalar02 that could be tolerated (§3.1.2.4), each in a message that is right otherwise.
#[test]
fn overlarge_scalars_are_refused_or_left_to_the_element_one_by_one() {
    let refused =
        ["Max-Forwards: 300", "Expires: 10000000000000000000", "Max-Forwards: 70\r\nRetry-After: 4294967296"];
    for line in refused {
        assert!(probe(line).validate().is_err(), "{line}");
    }
    // RFC 3261 §20.10: a malformed value is treated as 3600 seconds.
    assert_eq!(
        probe("Contact: <sip:user@host129.example.com>\r\n  ;expires=280297596632815").validate(),
        Ok(())
    );
}

fn probe(line: &str) -> Message {
    let text = format!(
        "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/TCP a.example;branch=z9hG4bK1\r\nTo: <sip:u@example.com>\r\n\
         From: <sip:u@example.com>;tag=1\r\nCSeq: 1 REGISTER\r\nCall-ID: c\r\n{line}\r\n\r\n"
    );
    Message::parse(Bytes::from(text)).expect("a request")
}

// RFC 4475 §3.2 to §3.4: what the transaction layer and the element look at.

#[test]
fn badbranch_shows_its_empty_branch_to_the_transaction_layer() {
    assert_eq!(accepted("rfc4475/badbranch.dat").via().unwrap().branch(), Some(&b"z9hG4bK"[..]));
}

#[test]
fn escruri_shows_the_headers_of_its_uri_apart_from_the_host() {
    let message = accepted("rfc4475/escruri.dat");
    let uri = message.uri().unwrap();
    assert_eq!((uri.host, uri.headers), (&b"example.com"[..], Some(&b"Route=%3Csip:example.com%3E"[..])));
    assert_eq!(message.value(Name::Route), None);
}

#[test]
fn unknown_schemes_are_kept_for_the_element() {
    let message = accepted("rfc4475/unkscm.dat");
    assert_eq!(message.uri().unwrap().scheme, b"nobodyKnowsThisScheme");
    let message = accepted("rfc4475/novelsc.dat");
    assert_eq!(message.uri().unwrap().scheme, b"soap.beep");
    let message = accepted("rfc4475/unksm2.dat");
    assert_eq!(message.to().unwrap().uri, b"isbn:2983792873");
    assert_eq!(message.addresses(Name::Contact).next().unwrap().unwrap().uri, b"name:John_Smith");
}

#[test]
fn bext01_lists_the_extensions_that_the_element_lacks() {
    let message = accepted("rfc4475/bext01.dat");
    assert!(message.lists(Name::Require, b"nothingSupportsThisEither"));
    assert!(message.lists(Name::ProxyRequire, b"norDoAnyProxiesSupportThis"));
}

#[test]
fn regaut01_shows_a_scheme_that_nobody_knows() {
    let message = accepted("rfc4475/regaut01.dat");
    let credentials = message.credentials(Name::Authorization).next().unwrap().unwrap();
    assert_eq!(credentials.scheme, b"NoOneKnowsThisScheme");
    assert_eq!(credentials.parameters.value(b"opaque-data"), Some(&b"here"[..]));
}

#[test]
fn bcast_shows_the_second_via_that_makes_an_element_discard_it() {
    let message = accepted("rfc4475/bcast.dat");
    assert_eq!(message.vias().nth(1).unwrap().unwrap().host, b"255.255.255.255");
}

#[test]
fn brackets_decide_whose_parameter_unknownparam_is() {
    let bare = accepted("rfc4475/cparam01.dat");
    let contact = bare.addresses(Name::Contact).next().unwrap().unwrap();
    assert_eq!(contact.uri, b"sip:+19725552222@gw1.example.net");
    assert!(contact.parameters.has(b"unknownparam"));
    let bracketed = accepted("rfc4475/cparam02.dat");
    let contact = bracketed.addresses(Name::Contact).next().unwrap().unwrap();
    assert_eq!(contact.uri, b"sip:+19725552222@gw1.example.net;unknownparam");
    assert!(!contact.parameters.has(b"unknownparam"));
}

#[test]
fn regescrt_keeps_the_escaped_route_in_its_contact() {
    let message = accepted("rfc4475/regescrt.dat");
    let contact = message.addresses(Name::Contact).next().unwrap().unwrap();
    assert_eq!(contact.uri, b"sip:user@example.com?Route=%3Csip:sip.example.com%3E");
}

#[test]
fn element_messages_show_what_the_answer_depends_on() {
    assert_eq!(accepted("rfc4475/zeromf.dat").number(Name::MaxForwards), Ok(Some(0)));
    assert_eq!(accepted("rfc4475/sdp01.dat").value(Name::Accept), Some(&b"text/nobodyKnowsThis"[..]));
    assert_eq!(
        accepted("rfc4475/invut.dat").value(Name::ContentType),
        Some(&b"application/unknownformat"[..])
    );
}

#[test]
fn inv2543_lacks_what_rfc_2543_did_not_know() {
    let message = accepted("rfc4475/inv2543.dat");
    assert_eq!((message.via().unwrap().branch(), message.from().unwrap().tag()), (None, None));
    assert!(
        message.body().starts_with(b"v=0\r\n") && message.body().ends_with(b"m=audio 49217 RTP/AVP 0\r\n")
    );
    assert_eq!(message.to().unwrap().parameters.value(b"user"), Some(&b"phone"[..]));
}

// RFC 5118 §4.

#[test]
fn ipv6_references_are_hosts_in_uri_via_and_contact() {
    let message = accepted("rfc5118/4.1-ipv6-reference.dat");
    assert_eq!((message.uri().unwrap().host, message.uri().unwrap().port), (&b"[2001:db8::10]"[..], None));
    let via = message.via().unwrap();
    assert_eq!((via.host, via.port), (&b"[2001:db8::9:1]"[..], None));
    let contact = message.addresses(Name::Contact).next().unwrap().unwrap();
    assert_eq!(contact.uri, b"sip:caller@[2001:db8::1]");
}

#[test]
fn ipv6_without_brackets_is_no_host() {
    assert_eq!(read("rfc5118/4.2-missing-brackets.dat").validate(), Err(Fault::Host));
}

#[test]
fn the_closing_bracket_decides_whether_5070_is_a_port() {
    let inside = accepted("rfc5118/4.3-port-ambiguous.dat");
    assert_eq!(inside.uri().unwrap().socket_address(), "[2001:db8::10:5070]:5060".parse().ok());
    let behind = accepted("rfc5118/4.4-port-unambiguous.dat");
    assert_eq!(behind.uri().unwrap().socket_address(), "[2001:db8::10]:5070".parse().ok());
}

#[test]
fn received_is_read_with_and_without_brackets() {
    let with = accepted("rfc5118/4.5-received-with-brackets.dat");
    assert_eq!(with.via().unwrap().parameters.value(b"received"), Some(&b"[2001:db8::9:255]"[..]));
    let without = accepted("rfc5118/4.5-received-without-brackets.dat");
    assert_eq!(without.via().unwrap().parameters.value(b"received"), Some(&b"2001:db8::9:255"[..]));
}

#[test]
fn a_list_of_vias_may_mix_ipv6_and_ipv4() {
    let message = accepted("rfc5118/4.7-mixed-via-addresses.dat");
    let vias: Vec<_> = message.vias().map(|via| via.unwrap()).collect();
    let sent_by: Vec<_> = vias.iter().map(|via| (via.host, via.port)).collect();
    assert_eq!(
        sent_by,
        [(&b"[2001:db8::9:1]"[..], Some(6050)), (b"192.0.2.1", None), (b"[2001:db8::9:255]", None)]
    );
    assert_eq!(vias[2].parameters.value(b"received"), Some(&b"192.0.2.200"[..]));
}

#[test]
fn bodies_longer_than_content_length_are_cut() {
    let mixed = accepted("rfc5118/4.8-mixed-sdp-addresses.dat");
    assert_eq!(mixed.body().len(), 181);
    assert!(mixed.body().ends_with(b"a=rtpmap:107 H263-1998"));
    let mapped = accepted("rfc5118/4.9-ipv4-mapped.dat");
    assert_eq!(mapped.body().len(), 236);
}

#[test]
fn ipv4_mapped_addresses_are_hosts() {
    let message = accepted("rfc5118/4.9-ipv4-mapped.dat");
    let sent_by: Vec<_> = message.vias().map(|via| via.map(|via| (via.host, via.port)).unwrap()).collect();
    assert_eq!(sent_by, [(&b"[::ffff:192.0.2.10]"[..], Some(19823)), (b"[::ffff:192.0.2.2]", None)]);
    let contact = message.addresses(Name::Contact).next().unwrap().unwrap();
    assert_eq!(
        (contact.display, contact.uri),
        (&b"\"T. desk phone\""[..], &b"sip:ted@[::ffff:192.0.2.2]"[..])
    );
}

#[test]
fn two_colons_before_an_ipv4_part_are_the_right_spelling() {
    let message = accepted("rfc5118/4.10-two-colons.dat");
    assert_eq!(message.uri().unwrap().socket_address(), "[2001:db8::192.0.2.1]:5060".parse().ok());
}
