//! The CANCEL and the ACK of any INVITE, read without the parser that wrote them.

use proptest::prelude::*;

use super::*;

/// One header line of a generated INVITE.
#[derive(Clone, Debug)]
struct Line {
    name: &'static str,
    value: String,
}

/// An INVITE and what its CANCEL must repeat.
#[derive(Clone, Debug)]
struct Generated {
    uri: String,
    from: String,
    to: String,
    call_id: String,
    number: u32,
    lines: Vec<Line>,
    body: &'static str,
}

impl Generated {
    fn message(&self) -> Message {
        let head: String =
            self.lines.iter().map(|line| format!("{}: {}\r\n", line.name, line.value)).collect();
        let text = format!("INVITE {} SIP/2.0\r\n{head}\r\n{}", self.uri, self.body);
        Message::parse(Bytes::from(text)).expect("an INVITE")
    }

    /// The values of the lines with one of these names.
    fn values(&self, names: &[&str]) -> Vec<String> {
        self.lines
            .iter()
            .filter(|line| names.contains(&line.name))
            .flat_map(|line| values(&line.value))
            .collect()
    }

    /// The header fields that an ACK or a CANCEL of it has, in order of their names, but for Route.
    fn expected(&self, method: &str, to: &str) -> Vec<(String, String)> {
        let top = self.values(&["Via", "v"]).swap_remove(0);
        let cseq = format!("{} {method}", self.number);
        let single = [
            ("CSeq", cseq.as_str()),
            ("Call-ID", &self.call_id),
            ("Content-Length", "0"),
            ("From", &self.from),
            ("Max-Forwards", "70"),
            ("To", to),
            ("Via", &top),
        ];
        single.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }
}

/// The values of a header line: the test's own commas never stand inside quotes or brackets.
fn values(line: &str) -> Vec<String> {
    line.split(',').map(|value| value.trim().to_owned()).collect()
}

/// The start line, the header fields in order of their names but for Route, the Route values, and the body.
fn read(bytes: &[u8]) -> (String, Vec<(String, String)>, Vec<String>, String) {
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("an end of the header part");
    let mut lines: Vec<String> = Vec::new();
    for line in head.split("\r\n") {
        match lines.last_mut() {
            // §7.3.1: a line that begins with white space continues the one before it.
            Some(last) if line.starts_with([' ', '\t']) => *last = format!("{last}\r\n{line}"),
            Some(_) | None => lines.push(line.to_owned()),
        }
    }
    let start = lines.remove(0);
    let (mut fields, mut routes) = (Vec::new(), Vec::new());
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a header field");
        if name == "Route" {
            routes.extend(values(value));
        } else {
            fields.push((name.to_owned(), value.to_owned()));
        }
    }
    fields.sort();
    (start, fields, routes, body.to_owned())
}

fn uri() -> impl Strategy<Value = String> {
    prop_oneof![
        "sip:[a-z][a-z0-9.-]{0,9}@[a-z]{1,8}\\.example(:[1-9][0-9]{3})?(;user=phone|;transport=tcp|;lr)?",
        "sips:[a-z]{1,8}\\.example(\\?Subject=x%20y)?",
        "tel:\\+[0-9]{4,12}(;phone-context=home1\\.example)?",
    ]
}

fn display() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[A-Za-z]{1,8} ", "\"[A-Za-z .]{0,8}(\\\\\")?[a-z,;<>@ö]{0,5}\" "]
}

fn tag() -> impl Strategy<Value = String> {
    "[A-Za-z0-9.!%*_+`'~-]{1,24}"
}

fn name_addr() -> impl Strategy<Value = String> {
    (display(), uri(), prop_oneof![Just(""), Just(";x=\"a b\""), Just(" ; epid=1")])
        .prop_map(|(display, uri, parameter)| format!("{display}<{uri}>{parameter}"))
}

/// One to three values, joined in one of the ways a list may be written.
fn list(item: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (prop::collection::vec(item, 1..4), prop_oneof![Just(","), Just(", "), Just(" ,\r\n  ")])
        .prop_map(|(items, comma)| items.join(comma))
}

fn line(names: &'static [&'static str], value: impl Strategy<Value = String>) -> impl Strategy<Value = Line> {
    (prop::sample::select(names), value).prop_map(|(name, value)| Line { name, value })
}

fn via() -> impl Strategy<Value = Line> {
    let sent_by = "[a-z]{1,6}(\\.example)?(:[1-9][0-9]{3})?|192\\.0\\.2\\.[0-9]|\\[2001:db8::[0-9]\\]:5060";
    let value =
        ("SIP/2\\.0/(UDP|TCP|TLS)", sent_by, "[A-Za-z0-9]{1,20}", "(;rport|;received=192\\.0\\.2\\.1)?")
            .prop_map(|(protocol, sent_by, branch, more)| {
                format!("{protocol} {sent_by};branch=z9hG4bK{branch}{more}")
            });
    line(&["Via", "v"], list(value))
}

fn route() -> impl Strategy<Value = Line> {
    line(&["Route"], list("<sip:([a-z]{1,4}@)?[a-z]{1,8}\\.example(:[1-9][0-9]{3})?;lr>(;x=[a-z]{1,3})?"))
}

/// What an INVITE has and its CANCEL has not: the right column of the whitelist, and more.
const FORBIDDEN: [(&str, &str); 34] = [
    ("Accept", "application/sdp"),
    ("Accept-Contact", "*;+g.poc.talkburst;require;explicit"),
    ("Allow", "INVITE, ACK, CANCEL, BYE"),
    ("Answer-Mode", "Auto"),
    ("Authorization", "Digest username=\"anna\", realm=\"home1.example\""),
    ("Contact", "<sip:anna@192.0.2.10>;+g.poc.talkburst"),
    ("Content-Disposition", "session"),
    ("Content-Type", "application/sdp"),
    ("Expires", "180"),
    ("Min-SE", "90"),
    ("P-Access-Network-Info", "3GPP-UTRAN-TDD; utran-cell-id-3gpp=234151D0FCE11"),
    ("P-Answer-State", "Unconfirmed"),
    ("P-Asserted-Identity", "<sip:anna@home1.example>"),
    ("P-Charging-Function-Addresses", "ccf=192.0.2.1"),
    ("P-Charging-Vector", "icid-value=1234bc"),
    ("P-Preferred-Identity", "<sip:anna@home1.example>"),
    ("P-Visited-Network-ID", "other.example"),
    ("Path", "<sip:p1.example;lr>"),
    ("Priv-Answer-Mode", "Auto"),
    ("Privacy", "id"),
    ("Proxy-Authorization", "Digest username=\"anna\", realm=\"home1.example\""),
    ("Proxy-Require", "sec-agree"),
    ("RAck", "1 1 INVITE"),
    ("RSeq", "1"),
    ("Record-Route", "<sip:p1.example;lr>"),
    ("Require", "recipient-list-invite"),
    ("Security-Client", "ipsec-3gpp; alg=hmac-sha-1-96"),
    ("Security-Server", "ipsec-3gpp; alg=hmac-sha-1-96"),
    ("Security-Verify", "ipsec-3gpp; alg=hmac-sha-1-96"),
    ("Session-Expires", "1800;refresher=uac"),
    ("Subject", "lunch"),
    ("Supported", "timer, norefersub"),
    ("User-Agent", "PoC-client/OMA1.0"),
    ("X-Unknown", "anything"),
];

/// The short form of a name, if it has one.
fn compact(name: &'static str) -> &'static str {
    match name {
        "Accept-Contact" => "a",
        "Contact" => "m",
        "Content-Type" => "c",
        "Session-Expires" => "x",
        "Subject" => "s",
        "Supported" => "k",
        name => name,
    }
}

fn generated() -> impl Strategy<Value = Generated> {
    let identity = (
        uri(),
        (name_addr(), tag()).prop_map(|(address, tag)| format!("{address};tag={tag}")),
        (name_addr(), prop::option::of(tag())).prop_map(|(address, tag)| match tag {
            Some(tag) => format!("{address};tag={tag}"),
            None => address,
        }),
        "[A-Za-z0-9.!%*_+`'~()<>:\\\\\"/?{}-]{1,20}(@[a-z0-9.]{1,12})?",
        0..1u32 << 31,
    );
    let names = (
        prop::sample::select(&["From", "f"][..]),
        prop::sample::select(&["To", "t"][..]),
        prop::sample::select(&["Call-ID", "i"][..]),
        prop_oneof![Just(" "), Just("  "), Just("\t")],
        "0?",
    );
    let other = (prop::sample::subsequence(FORBIDDEN.to_vec(), 0..12), any::<bool>());
    let other = other.prop_map(|(chosen, short)| {
        let name = move |name| if short { compact(name) } else { name };
        chosen.into_iter().map(move |(full, value)| Line { name: name(full), value: value.to_owned() })
    });
    let lists = (prop::collection::vec(via(), 1..4), prop::collection::vec(route(), 0..5), other);
    (identity, names, lists, prop_oneof![Just(""), Just("v=0\r\n"), Just("a\r\n\r\nb: c\r\n")]).prop_flat_map(
        |(identity, names, (vias, routes, other), body)| {
            let (uri, from, to, call_id, number) = identity;
            let (from_name, to_name, call_id_name, space, zero) = names;
            let mut lines: Vec<Line> = other.collect();
            let mut add = |name, value: &str| lines.push(Line { name, value: value.to_owned() });
            add(from_name, &from);
            add(to_name, &to);
            add(call_id_name, &call_id);
            add("CSeq", &format!("{zero}{number}{space}INVITE"));
            add("Max-Forwards", "68");
            add("Content-Length", &body.len().to_string());
            lines.extend(vias);
            lines.extend(routes);
            Just(lines).prop_shuffle().prop_map(move |lines| Generated {
                uri: uri.clone(),
                from: from.clone(),
                to: to.clone(),
                call_id: call_id.clone(),
                number,
                lines,
                body,
            })
        },
    )
}

proptest! {
    // RFC 3261 §9.1.
    #[test]
    fn a_cancel_differs_from_its_invite_only_where_it_must(invite in generated()) {
        let mut out = Outbox::default();
        let request = invite.message();
        prop_assert_eq!(request.validate(), Ok(()));
        let mut client = InviteClient::start(at(0), request, udp(), timers(), &mut out);
        let early = client.cancel(&[]);
        let (start, fields, routes, body) = read(early.bytes());
        prop_assert_eq!(start, format!("CANCEL {} SIP/2.0", invite.uri));
        prop_assert_eq!(fields, invite.expected("CANCEL", &invite.to));
        prop_assert_eq!(routes, invite.values(&["Route"]));
        prop_assert_eq!(body, "");
        prop_assert_eq!(early.validate(), Ok(()));

        client.handle_response(at(100), &response(100), &mut out);
        prop_assert_eq!(client.state(), &State::Proceeding);
        prop_assert_eq!(client.cancel(&[]), early);
    }

    // RFC 3261 §17.1.1.3.
    #[test]
    fn an_ack_differs_from_its_invite_only_where_it_must(invite in generated(), provisional: bool) {
        let mut out = Outbox::default();
        let mut client = InviteClient::start(at(0), invite.message(), udp(), timers(), &mut out);
        drop(sent(&mut out, udp()));
        if provisional {
            client.handle_response(at(100), &response(100), &mut out);
        }
        client.handle_response(at(200), &response(487), &mut out);
        let acks = sent(&mut out, udp());
        prop_assert_eq!(acks.len(), 1);
        let (start, fields, routes, body) = read(&acks[0]);
        prop_assert_eq!(start, format!("ACK {} SIP/2.0", invite.uri));
        let to = "\"PoC\" <sip:poc-factory@home1.example>;x=y;tag=s9";
        prop_assert_eq!(fields, invite.expected("ACK", to));
        prop_assert_eq!(routes, invite.values(&["Route"]));
        prop_assert_eq!(body, "");
    }
}

/// The example of the specification, octet by octet.
const CANCEL: [&str; 10] = [
    "CANCEL sip:poc-factory@home1.example;transport=udp SIP/2.0",
    "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKinv77",
    "Max-Forwards: 70",
    "Route: <sip:pcscf1.home1.example:5060;lr>, <sip:orig@scscf1.home1.example;lr>",
    "Route: <sip:poc1.home1.example;lr>",
    "From: \"Anna\" <sip:anna@home1.example>;tag=a1",
    "To: <sip:poc-factory@home1.example>",
    "Call-ID: c-4711@192.0.2.10",
    "CSeq: 21 CANCEL",
    "Content-Length: 0",
];

#[test]
fn a_cancel_has_the_branch_and_the_routes_of_its_invite_and_nothing_else_of_it() {
    for (client, _) in [calling(udp()), proceeding(udp()), proceeding(tcp())] {
        assert_eq!(client.cancel(&[]), message(&[&CANCEL[..], &["", ""]].concat()));
    }
}

// §9.1: the To of the INVITE, although the 180 had a tag.
#[test]
fn a_cancel_has_no_to_tag_if_its_invite_had_none() {
    let (client, _) = proceeding(udp());
    assert_eq!(client.cancel(&[]).to().map(|to| to.tag()), Ok(None));
}

#[test]
fn a_cancel_carries_the_reason_and_the_agent_of_the_user() {
    let reason = Bytes::from_static(b"SIP;cause=200;text=\"Call completed elsewhere\"");
    let agent = Bytes::from_static(b"PoC-client/OMA1.0");
    let (client, _) = proceeding(udp());
    let cancel = client.cancel(&[(Name::Reason, reason.clone()), (Name::UserAgent, agent.clone())]);
    assert_eq!(cancel.value(Name::Reason), Some(&reason[..]));
    assert_eq!(cancel.value(Name::UserAgent), Some(&agent[..]));
    assert_eq!(cancel.headers().count(), CANCEL.len() - 1 + 2);
}
