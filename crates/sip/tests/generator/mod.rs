//! Messages that follow the grammar of RFC 3261 §25.1 in the many spellings it allows, and damaged ones.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::string::string_regex;

// Regular expressions of the grammar's rules. SWS is mostly nothing: folds everywhere hide everything else.
const SWS: &str = "(|||||| |\t|  |\r\n |\r\n\t )";
const LWS: &str = "( | | |\t|\r\n )";
const TOKEN: &str = "[A-Za-z0-9.!%*_+`'~-]{1,8}";
const QUOTED: &str = "\"([ !#-\\[\\]-~é日]|\\\\[ -~]|\r\n ){0,9}\"";
const WORD: &str = "[A-Za-z0-9.!%*_+`'~()<>:\\\\\"/\\[\\]?{}-]{1,12}";
const HOST: &str =
    "([a-z][a-z0-9-]{0,4}[a-z](\\.[a-z]{1,4}){0,2}|192\\.0\\.2\\.[1-9]|\\[2001:db8::[1-9a-f]{1,4}\\])";
const PORT: &str = "[1-9][0-9]{0,3}";
const ESCAPED: &str = "%[0-9A-Fa-f]{2}";
const TEXT: &str = "([!-~][ -~é日]{0,12}(\r\n [!-~]{1,4})?)?";

const METHODS: [&str; 9] =
    ["INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "SUBSCRIBE", "invite", "MESSAGE", "x-%41!new.Method"];

/// Stands for the method until request line and CSeq are put together.
const METHOD: &str = "{method}";

/// A well-formed request or response.
pub(crate) fn message() -> impl Strategy<Value = Vec<u8>> {
    let start = prop_oneof![3 => request_line(), 1 => status_line()];
    (select(&METHODS[..]), start, lines(), body())
        .prop_map(|(method, start, lines, body)| put_together(method, &start, &lines, body))
}

/// A message with one to three octets or pieces removed, added or exchanged.
pub(crate) fn damaged(message: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let damage = prop_oneof![
        4 => (any::<Index>(), suspicious_octet()).prop_map(Damage::Exchange),
        4 => (any::<Index>(), suspicious_octet()).prop_map(Damage::Insert),
        4 => any::<Index>().prop_map(Damage::Remove),
        2 => (any::<Index>(), 1..40usize, any::<Index>()).prop_map(Damage::Copy),
        1 => any::<Index>().prop_map(Damage::Truncate),
    ];
    (message, vec(damage, 1..4)).prop_map(|(message, damages)| damages.iter().fold(message, Damage::apply))
}

#[derive(Clone, Debug)]
enum Damage {
    Exchange((Index, u8)),
    Insert((Index, u8)),
    Remove(Index),
    Copy((Index, usize, Index)),
    Truncate(Index),
}

impl Damage {
    fn apply(mut message: Vec<u8>, damage: &Self) -> Vec<u8> {
        let place = |at: &Index| at.index(message.len() + 1).min(message.len().saturating_sub(1));
        match damage {
            _ if message.is_empty() => {}
            Self::Exchange((at, octet)) => {
                let at = place(at);
                message[at] = *octet;
            }
            Self::Insert((at, octet)) => message.insert(place(at), *octet),
            Self::Remove(at) => drop(message.remove(place(at))),
            Self::Copy((from, length, to)) => {
                let (from, to) = (place(from), place(to));
                let piece = message[from..(from + length).min(message.len())].to_vec();
                message.splice(to..to, piece);
            }
            Self::Truncate(at) => message.truncate(place(at)),
        }
        message
    }
}

/// An octet that means something to a parser, or any.
fn suspicious_octet() -> impl Strategy<Value = u8> {
    prop_oneof![3 => select(&b"\"\\<>()[]{}@,;:=?/%&* \t\r\n\0.-09azAZ\xff"[..]), 1 => any::<u8>()]
}

fn put_together(method: &str, start: &str, lines: &[String], body: Body) -> Vec<u8> {
    let start = start.replace(METHOD, method);
    let lines = lines.concat().replace(METHOD, method);
    let length = body.announced.map(|name| format!("{name}: {}\r\n", body.octets.len())).unwrap_or_default();
    let mut out = format!("{start}\r\n{lines}{length}\r\n").into_bytes();
    out.extend(body.octets);
    // Behind an announced body a datagram may have noise (RFC 3261 §18.3).
    if body.announced.is_some() {
        out.extend(body.noise);
    }
    out
}

#[derive(Clone, Debug)]
struct Body {
    octets: Vec<u8>,
    announced: Option<&'static str>,
    noise: Vec<u8>,
}

fn body() -> impl Strategy<Value = Body> {
    let names = select(&[None, Some("Content-Length"), Some("l"), Some("content-length ")][..]);
    let noise = prop_oneof![3 => Just(Vec::new()), 1 => vec(any::<u8>(), 1..9)];
    (vec(any::<u8>(), 0..24), names, noise).prop_map(|(octets, announced, noise)| Body {
        octets,
        announced,
        noise,
    })
}

fn request_line() -> BoxedStrategy<String> {
    let uri = format!("({}|{})", uri(), "tel:\\+1[0-9]{3,8}(;x=[0-9]{1,3})?|urn:service:poc");
    text(&format!("\\{{method\\}} {uri} (SIP|SIP|sip|SiP)/2\\.0"))
}

fn status_line() -> BoxedStrategy<String> {
    text("SIP/2\\.0 [1-6][0-9]{2} [ -~é日\t]{0,12}")
}

/// All header lines but Content-Length, in any order.
fn lines() -> impl Strategy<Value = Vec<String>> {
    (mandatory(), vec(optional(), 0..6))
        .prop_map(|(lines, more)| without_repetition(lines, more))
        .prop_shuffle()
}

fn mandatory() -> impl Strategy<Value = Vec<String>> {
    let address = address_with_tag();
    let single = (
        line(&["From", "f"], &address),
        line(&["To", "t"], &address),
        line(&["Call-ID", "i"], &format!("{WORD}(@{WORD})?")),
        line(&["CSeq"], &format!("0{{0,3}}[1-9][0-9]{{0,8}}{LWS}\\{{method\\}}")),
        line(&["Max-Forwards"], "0{0,2}[0-9]{1,2}"),
    );
    let vias = vec(line(&["Via", "v"], &list_of(&via())), 1..4);
    (single, vias).prop_map(|((from, to, call_id, cseq, hops), vias)| {
        [from, to, call_id, cseq, hops].into_iter().chain(vias).collect()
    })
}

fn optional() -> BoxedStrategy<String> {
    let parameter = parameter();
    let valued = |value: &str| format!("{value}({SWS};{SWS}{parameter}){{0,2}}");
    prop_oneof![
        line(&["Contact", "m"], &format!("(\\*|{})", list_of(&contact()))),
        line(&["Route"], &list_of(&format!("{}({SWS};{SWS}{parameter}){{0,1}}", bracketed()))),
        line(&["Record-Route", "Path"], &list_of(&bracketed())),
        line(&["Subject", "s"], TEXT),
        line(&["X-Unknown", "UnknownHeader", "q"], TEXT),
        line(&["User-Agent", "Server", "Organization"], TEXT),
        line(&["Supported", "k", "Require", "Allow"], &format!("({})?", list_of(TOKEN))),
        line(&["Accept-Contact", "a"], &list_of(&valued("\\*"))),
        line(&["Content-Type", "c"], &valued(&format!("{TOKEN}{SWS}/{SWS}{TOKEN}"))),
        line(&["Session-Expires", "x"], &valued("[1-9][0-9]{1,4}")),
        line(&["Reason"], &list_of(&valued("(SIP|Q\\.850)"))),
        line(&["Expires"], "[0-9]{1,9}"),
        line(&["Authorization"], &format!("Digest{LWS}{}", list_of(&format!("{TOKEN}{SWS}={SWS}{QUOTED}")))),
        line(
            &["Retry-After"],
            &format!("[0-9]{{1,5}}( \\([a-z; ]{{0,9}}\\))?({SWS};{SWS}{parameter}){{0,1}}")
        ),
    ]
    .boxed()
}

/// `more` added to `lines`, but no header field twice that may stand once.
fn without_repetition(mut lines: Vec<String>, more: Vec<String>) -> Vec<String> {
    for line in more {
        let first = initial(&line);
        if !b"cxe".contains(&first) || !lines.iter().any(|each| initial(each) == first) {
            lines.push(line);
        }
    }
    lines
}

/// The letter that tells the header fields of [`optional`] apart which may stand once: Content-Type, Session-Expires
/// (as x) and Expires.
fn initial(line: &str) -> u8 {
    let name = line.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
    match name.as_str() {
        "content-type" | "c" => b'c',
        "session-expires" | "x" => b'x',
        "expires" => b'e',
        _ => b' ',
    }
}

/// A header line under one of its names, in any case.
fn line(names: &'static [&'static str], value: &str) -> BoxedStrategy<String> {
    let parts = (select(names), any::<u32>(), text("[ \t]{0,1}"), text(SWS), text(value), text("(| |\t )"));
    parts
        .prop_map(|(name, capitals, before, after, value, end)| {
            format!("{}{before}:{after}{value}{end}\r\n", in_case(name, capitals))
        })
        .boxed()
}

fn in_case(name: &str, capitals: u32) -> String {
    let turn = |(at, letter): (usize, char)| {
        if capitals >> (at % 32) & 1 == 1 { letter.to_ascii_uppercase() } else { letter }
    };
    name.chars().enumerate().map(turn).collect()
}

fn uri() -> String {
    let user =
        format!("([A-Za-z0-9_.!~*'()&=+$,;?/-]|{ESCAPED}){{1,6}}(:([a-z0-9&=+$,]|{ESCAPED}){{0,4}})?@");
    let parameter =
        format!("([a-z0-9\\[\\]/:&+$]|{ESCAPED}){{0,4}}(=([a-z0-9\\[\\]/:&+$]|{ESCAPED}){{1,6}})?");
    format!("sips?:({user})?{HOST}(:{PORT})?(;v{parameter})?(;w{parameter})?")
}

/// A URI that may stand without brackets: no comma, question mark or semicolon (RFC 3261 §20.10).
fn bare_uri() -> String {
    format!("sips?:(([A-Za-z0-9_.!~*'()&=+$/-]|{ESCAPED}){{1,6}}@)?{HOST}(:{PORT})?")
}

fn bracketed() -> String {
    format!("({QUOTED}{SWS}|({TOKEN}{LWS}){{0,2}}|{TOKEN})<{}>", uri())
}

fn address_with_tag() -> String {
    let tag = format!("({SWS};{SWS}(tag|tag|Tag){SWS}={SWS}{TOKEN})?");
    format!("({}|{})({SWS};{SWS}{}){{0,1}}{tag}", bracketed(), bare_uri(), parameter())
}

fn contact() -> String {
    format!("({}|{})({SWS};{SWS}{}){{0,2}}", bracketed(), bare_uri(), parameter())
}

fn parameter() -> String {
    format!("x{TOKEN}({SWS}={SWS}({TOKEN}|{HOST}|{QUOTED}))?")
}

fn via() -> String {
    let parameters = format!("(branch{SWS}={SWS}z9hG4bK{TOKEN}|rport|received=2001:db8::9|{})", parameter());
    let sent_protocol = format!("SIP{SWS}/{SWS}2\\.0{SWS}/{SWS}(UDP|TCP|TLS|X-{TOKEN})");
    format!("{sent_protocol}{LWS}{HOST}((:|:|:|:|{SWS}:{SWS}){PORT})?({SWS};{SWS}{parameters}){{0,3}}")
}

fn list_of(item: &str) -> String {
    format!("{item}({SWS},{SWS}{item}){{0,2}}")
}

fn text(regex: &str) -> BoxedStrategy<String> {
    string_regex(regex).expect("a regular expression").boxed()
}
