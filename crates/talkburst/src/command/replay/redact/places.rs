//! Where a message tells who speaks, from where and what: walked by its structure. Of what has none every word counts.
//!
//! Nothing is refused here: what a machine refuses to read is walked as far as it looks like what it claims to be.

use std::ops::Range;

use sip::message::Name;

/// What stands in a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A word of a name, a host, an address or a text.
    Word,
    /// A word that may be one of the protocols instead, which is kept.
    Value,
    /// Speech, and what nobody knows: octets that are zero afterwards.
    Octets,
}

/// A place in what was walked.
pub(super) type Place = (Range<usize>, Kind);

/// The parameters of one line of credentials: each name in lower case, and where its value is, without quotes.
pub(super) type Credentials = Vec<(Vec<u8>, Range<usize>)>;

/// All that was found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) places: Vec<Place>,
    pub(super) credentials: Vec<Credentials>,
}

/// How deep bodies in bodies are walked; what is deeper has words only.
const DEPTH_MAX: u8 = 4;

/// Elements and attributes of XML whose text is for users.
const FOR_USERS: &[&[u8]] =
    &[b"display-text", b"display-name", b"note", b"subject", b"free-text", b"name", b"title"];

/// A SIP message.
pub(super) fn of_message(bytes: &[u8]) -> Found {
    let mut walk = Walk { bytes, found: Found::default(), depth: 0 };
    walk.message(0..bytes.len());
    walk.found
}

/// An address as header fields have it, or a name alone.
pub(super) fn of_address(bytes: &[u8]) -> Vec<Place> {
    let mut walk = Walk { bytes, found: Found::default(), depth: 0 };
    walk.addresses(0..bytes.len());
    walk.found.places
}

/// A text.
pub(super) fn of_text(bytes: &[u8]) -> Vec<Place> {
    let mut walk = Walk { bytes, found: Found::default(), depth: 0 };
    walk.words(0..bytes.len(), Kind::Word);
    walk.found.places
}

struct Walk<'a> {
    bytes: &'a [u8],
    found: Found,
    depth: u8,
}

impl Walk<'_> {
    fn find(&self, range: Range<usize>, is: impl Fn(u8) -> bool) -> usize {
        let mut octets = self.bytes[range.clone()].iter();
        octets.position(|octet| is(*octet)).map_or(range.end, |at| range.start + at)
    }

    fn trimmed(&self, range: Range<usize>) -> Range<usize> {
        let text = &self.bytes[range.clone()];
        let before = text.len() - text.trim_ascii_start().len();
        range.start + before..range.start + before + text.trim_ascii().len()
    }

    /// The next line without its end, and where the one behind it begins.
    fn line(&self, range: Range<usize>) -> (Range<usize>, usize) {
        let end = self.find(range.clone(), |octet| octet == b'\n');
        let text =
            self.bytes[range.start..end].strip_suffix(b"\r").map_or(end, |text| range.start + text.len());
        (range.start..text, (end + 1).min(range.end))
    }

    fn message(&mut self, range: Range<usize>) {
        let start = self.find(range.clone(), |octet| !matches!(octet, b'\r' | b'\n'));
        let (first, next) = self.line(start..range.end);
        self.start_line(first);
        self.headers_and_body(next..range.end);
    }

    fn start_line(&mut self, line: Range<usize>) {
        let first = self.find(line.clone(), |octet| octet == b' ');
        let second = self.find((first + 1).min(line.end)..line.end, |octet| octet == b' ');
        let rest = (second + 1).min(line.end)..line.end;
        if self.bytes[line.clone()].starts_with(b"SIP/") {
            self.words(rest, Kind::Value);
        } else if self.bytes[rest.clone()].starts_with(b"SIP/") {
            self.uri(first + 1..second);
        } else {
            self.words(line, Kind::Value);
        }
    }

    fn headers_and_body(&mut self, range: Range<usize>) {
        let (mut at, mut content_type) = (range.start, None);
        while at < range.end {
            let (mut line, mut next) = self.line(at..range.end);
            if line.is_empty() {
                at = next;
                break;
            }
            // RFC 3261 §7.3.1: a line that begins with a blank belongs to the one before.
            while matches!(self.bytes.get(next), Some(b' ' | b'\t')) && next < range.end {
                let (more, behind) = self.line(next..range.end);
                (line.end, next) = (more.end, behind);
            }
            at = next;
            let colon = self.find(line.clone(), |octet| octet == b':');
            let name = Name::parse(self.bytes[line.start..colon].trim_ascii());
            let value = self.trimmed((colon + 1).min(line.end)..line.end);
            if colon == line.end {
                self.words(line, Kind::Value);
            } else if name == Name::ContentType {
                content_type = Some(value);
            } else {
                self.header(name, value);
            }
        }
        if at < range.end {
            self.body(at..range.end, content_type);
        }
    }

    #[expect(clippy::match_same_arms, reason = "header fields of one sort stand together")]
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a header field that is added is renamed until it is named here"
    )]
    fn header(&mut self, name: Name, value: Range<usize>) {
        match name {
            Name::Accept | Name::AcceptContact | Name::AcceptEncoding | Name::AcceptLanguage => {}
            Name::Allow | Name::AllowEvents | Name::AnswerMode | Name::ContentDisposition => {}
            Name::ContentEncoding | Name::ContentLanguage | Name::ContentLength | Name::ContentType => {}
            Name::CSeq | Name::Date | Name::Event | Name::Expires | Name::MaxForwards => {}
            Name::MimeVersion | Name::MinExpires | Name::MinSe | Name::PAlertingMode => {}
            Name::PAnswerState | Name::PAssertedService | Name::PPreferredService | Name::Priority => {}
            Name::Privacy | Name::PrivAnswerMode | Name::ProxyRequire | Name::RAck | Name::RSeq => {}
            Name::ReferSub | Name::RejectContact | Name::RequestDisposition | Name::Require => {}
            Name::ResourcePriority | Name::SessionExpires | Name::SipEtag | Name::SipIfMatch => {}
            Name::SubscriptionState | Name::Supported | Name::Timestamp | Name::Unsupported => {}
            Name::Reason | Name::RetryAfter | Name::RecvInfo | Name::InfoPackage => {
                self.words(value, Kind::Value);
            }
            Name::Server | Name::UserAgent => self.words(value, Kind::Value),
            Name::Via => self.vias(value),
            Name::Authorization | Name::ProxyAuthorization => self.authentication(value, true),
            Name::WwwAuthenticate | Name::ProxyAuthenticate => self.authentication(value, true),
            Name::AuthenticationInfo => self.authentication(value, false),
            Name::AlertInfo | Name::CallInfo | Name::Contact | Name::ErrorInfo | Name::From => {
                self.addresses(value);
            }
            Name::PAssertedIdentity | Name::PAssociatedUri | Name::PPreferredIdentity | Name::Path => {
                self.addresses(value);
            }
            Name::PRefusedUriList | Name::RecordRoute | Name::ReferTo | Name::ReferredBy => {
                self.addresses(value);
            }
            Name::ReplyTo | Name::Route | Name::ServiceRoute | Name::TargetDialog | Name::To => {
                self.addresses(value);
            }
            Name::ContentId => self.addresses(value),
            // What nobody here reads is passed on as it is: every word of it may be a name.
            _ => self.words(value, Kind::Word),
        }
    }

    /// Addresses with their parameters, separated by commas.
    fn addresses(&mut self, value: Range<usize>) {
        let mut at = value.start;
        while at < value.end {
            match self.bytes[at] {
                b'"' => {
                    let inside = self.quoted(at..value.end);
                    at = inside.end + 1;
                    self.words(inside, Kind::Word);
                }
                b'<' => {
                    let end = self.find(at..value.end, |octet| octet == b'>');
                    self.uri(at + 1..end);
                    at = end + 1;
                }
                b';' => at = self.parameter(at + 1..value.end),
                octet if octet.is_ascii_whitespace() || octet == b',' || octet == b'>' => at += 1,
                _ => {
                    let end = self.find(at..value.end, |octet| matches!(octet, b'"' | b'<' | b';' | b','));
                    let token = self.trimmed(at..end);
                    if self.scheme(&token).is_some() {
                        self.uri(token);
                    } else {
                        self.words(token, Kind::Word);
                    }
                    at = end;
                }
            }
        }
    }

    /// What stands between this quotation mark and the next that is not escaped.
    fn quoted(&self, range: Range<usize>) -> Range<usize> {
        let mut at = range.start + 1;
        while at < range.end && self.bytes[at] != b'"' {
            at += if self.bytes[at] == b'\\' { 2 } else { 1 };
        }
        range.start + 1..at.min(range.end)
    }

    /// A parameter without its semicolon; where it ends.
    fn parameter(&mut self, range: Range<usize>) -> usize {
        let ends = |octet: u8| matches!(octet, b';' | b',' | b'>' | b'?') || octet.is_ascii_whitespace();
        let end = self.find(range.clone(), |octet| octet == b'=' || ends(octet));
        if self.bytes.get(end) != Some(&b'=') || end == range.end {
            return end;
        }
        let value = end + 1;
        if value < range.end && self.bytes[value] == b'"' {
            let inside = self.quoted(value..range.end);
            self.words(inside.clone(), Kind::Value);
            return (inside.end + 1).min(range.end);
        }
        let end = self.find(value..range.end, ends);
        self.words(value..end, Kind::Value);
        end
    }

    /// Where the scheme of a URI ends, if it has one.
    fn scheme(&self, range: &Range<usize>) -> Option<usize> {
        let colon = self.find(range.clone(), |octet| octet == b':');
        let scheme = self.bytes.get(range.start..colon).filter(|_| colon < range.end)?;
        let all: [&[u8]; 7] = [b"sip", b"sips", b"tel", b"cid", b"urn", b"http", b"https"];
        all.iter().any(|each| each.eq_ignore_ascii_case(scheme)).then_some(colon)
    }

    fn uri(&mut self, range: Range<usize>) {
        let Some(colon) = self.scheme(&range) else { return self.words(range, Kind::Word) };
        let mut at = colon + 1;
        if !self.bytes[range.start..colon].to_ascii_lowercase().starts_with(b"sip") {
            return self.words(at..range.end, Kind::Word);
        }
        let user = self.find(at..range.end, |octet| octet == b'@');
        if user < range.end {
            self.words(at..user, Kind::Word);
            at = user + 1;
        }
        at = self.host(at..range.end);
        while at < range.end {
            at = match self.bytes[at] {
                b';' => self.parameter(at + 1..range.end),
                b'?' => {
                    self.words(at + 1..range.end, Kind::Value);
                    range.end
                }
                _ => at + 1,
            };
        }
    }

    /// A host, and a port that is kept; where they end.
    fn host(&mut self, range: Range<usize>) -> usize {
        let is_bracketed = self.bytes.get(range.start) == Some(&b'[') && !range.is_empty();
        let mut end = if is_bracketed {
            let end = self.find(range.clone(), |octet| octet == b']');
            self.found.places.push((range.start + 1..end, Kind::Word));
            (end + 1).min(range.end)
        } else {
            let ends = |octet: u8| matches!(octet, b':' | b';' | b',' | b'?') || octet.is_ascii_whitespace();
            let end = self.find(range.clone(), ends);
            self.words(range.start..end, Kind::Word);
            end
        };
        if end < range.end && self.bytes[end] == b':' {
            end = self.find(end + 1..range.end, |octet| !octet.is_ascii_digit());
        }
        end
    }

    fn vias(&mut self, value: Range<usize>) {
        let mut at = value.start;
        while at < value.end {
            // The protocol, in which blanks may stand around the slashes (RFC 3261 §25.1).
            let protocol =
                self.bytes[at..value.end].iter().enumerate().filter(|(_, octet)| **octet == b'/').nth(1);
            let begin = protocol.map_or(at, |(slash, _)| at + slash + 1);
            let begin = self.trimmed(begin..value.end).start;
            at = self.find(begin..value.end, |octet| octet.is_ascii_whitespace());
            at = self.trimmed(at..value.end).start;
            at = self.host(at..value.end);
            while at < value.end && self.bytes[at] != b',' {
                at = if self.bytes[at] == b';' { self.parameter(at + 1..value.end) } else { at + 1 };
            }
            at += 1;
        }
    }

    /// A challenge, an answer to one, or what is said of it.
    fn authentication(&mut self, value: Range<usize>, has_scheme: bool) {
        let mut at = value.start;
        if has_scheme {
            at = self.find(value.clone(), |octet| octet.is_ascii_whitespace());
        }
        let mut credentials = Credentials::new();
        while at < value.end {
            if self.bytes[at] == b',' || self.bytes[at].is_ascii_whitespace() {
                at += 1;
                continue;
            }
            let equals = self.find(at..value.end, |octet| matches!(octet, b'=' | b','));
            let name = self.bytes[at..equals].trim_ascii().to_ascii_lowercase();
            let begin = self.trimmed((equals + 1).min(value.end)..value.end).start;
            let inside = if begin < value.end && self.bytes[begin] == b'"' {
                self.quoted(begin..value.end)
            } else {
                begin..self.find(begin..value.end, |octet| octet == b',' || octet.is_ascii_whitespace())
            };
            at = inside.end + 1;
            match &name[..] {
                b"algorithm" | b"qop" | b"nc" | b"stale" | b"userhash" | b"charset" => {}
                b"uri" => self.uri(inside.clone()),
                _ => self.words(inside.clone(), Kind::Word),
            }
            credentials.push((name, inside));
        }
        self.found.credentials.push(credentials);
    }

    fn body(&mut self, range: Range<usize>, content_type: Option<Range<usize>>) {
        let kind = content_type.map(|value| self.bytes[value].to_ascii_lowercase()).unwrap_or_default();
        self.depth += 1;
        match &kind[..] {
            _ if self.depth > DEPTH_MAX => self.words(range, Kind::Word),
            kind if kind.starts_with(b"application/sdp") => self.sdp(range),
            kind if kind.starts_with(b"multipart/") => self.multipart(range),
            kind if kind.starts_with(b"message/sipfrag") || kind.starts_with(b"message/sip") => {
                self.message(range)
            }
            kind if kind.starts_with(b"message/cpim") => self.headers_and_body(range),
            kind if kind
                .split(|octet| *octet == b';')
                .next()
                .is_some_and(|kind| kind.trim_ascii().ends_with(b"xml")) =>
            {
                self.xml(range);
            }
            _ => self.words(range, Kind::Word),
        }
        self.depth -= 1;
    }

    /// A line that begins with two hyphens is taken for a boundary: then what follows are header lines.
    fn multipart(&mut self, range: Range<usize>) {
        let (mut at, mut part) = (range.start, None);
        while at < range.end {
            let (line, next) = self.line(at..range.end);
            if self.bytes[line].starts_with(b"--") {
                if let Some(begin) = part {
                    self.headers_and_body(begin..at);
                }
                part = Some(next);
            } else if part.is_none() {
                self.words(at..next, Kind::Word);
            }
            at = next;
        }
        if let Some(begin) = part {
            self.headers_and_body(begin..range.end);
        }
    }

    /// RFC 8866 §5.
    fn sdp(&mut self, range: Range<usize>) {
        let mut at = range.start;
        while at < range.end {
            let (line, next) = self.line(at..range.end);
            at = next;
            let value = (line.start + 2).min(line.end)..line.end;
            match self.bytes.get(line.start) {
                Some(b'v' | b't' | b'm' | b'b' | b'r' | b'z') => {}
                Some(b'o') => {
                    let user = self.find(value.clone(), |octet| octet == b' ');
                    self.words(value.start..user, Kind::Value);
                    self.connection(user..value.end);
                }
                Some(b'c') => self.connection(value),
                Some(b'a') => {
                    let colon = self.find(value.clone(), |octet| octet == b':');
                    match &self.bytes[value.start..colon] {
                        b"rtpmap" | b"fmtp" | b"ptime" | b"maxptime" => {}
                        b"rtcp" => self.connection(colon..value.end),
                        _ => self.words(colon..value.end, Kind::Value),
                    }
                }
                Some(_) | None => self.words(value, Kind::Value),
            }
        }
    }

    /// The address behind `IN IP4` or `IN IP6`.
    fn connection(&mut self, value: Range<usize>) {
        let text = &self.bytes[value.clone()];
        if let Some(at) = text.windows(3).position(|window| window == b"IP4" || window == b"IP6") {
            let address = self.trimmed(value.start + at + 3..value.end);
            let end = self.find(address.clone(), |octet| octet == b'/');
            self.found.places.push((address.start..end, Kind::Word));
        }
    }

    fn xml(&mut self, range: Range<usize>) {
        let (mut at, mut is_for_users) = (range.start, false);
        while at < range.end {
            let open = self.find(at..range.end, |octet| octet == b'<');
            self.xml_text(at..open, is_for_users);
            let close = self.find(open..range.end, |octet| octet == b'>');
            let tag = (open + 1).min(range.end)..close;
            at = (close + 1).min(range.end);
            match self.bytes.get(tag.start) {
                Some(b'!') => self.words(tag, Kind::Word),
                Some(b'?') => {}
                Some(b'/') | None => is_for_users = false,
                Some(_) => {
                    let end = self.find(tag.clone(), |octet| octet.is_ascii_whitespace() || octet == b'/');
                    is_for_users = FOR_USERS.contains(&local(&self.bytes[tag.start..end]));
                    self.attributes(end..tag.end);
                }
            }
        }
    }

    fn attributes(&mut self, range: Range<usize>) {
        let mut at = range.start;
        while at < range.end {
            let begin = self.find(at..range.end, |octet| matches!(octet, b'"' | b'\''));
            let quote = self.bytes.get(begin).copied().unwrap_or_default();
            let end = self.find((begin + 1).min(range.end)..range.end, |octet| octet == quote);
            let name = self.bytes[at..begin].trim_ascii();
            let name = name.strip_suffix(b"=").unwrap_or(name).trim_ascii();
            if begin < range.end && !name.starts_with(b"xmlns") {
                self.xml_text(begin + 1..end, FOR_USERS.contains(&local(name)));
            }
            at = end + 1;
        }
    }

    fn xml_text(&mut self, range: Range<usize>, is_for_users: bool) {
        let text = self.trimmed(range);
        if self.scheme(&text).is_some() {
            return self.uri(text);
        }
        let kind = if is_for_users { Kind::Word } else { Kind::Value };
        let mut at = text.start;
        while at < text.end {
            let end = self.find(at..text.end, |octet| octet == b'&');
            self.words(at..end, kind);
            at = self.find(end..text.end, |octet| octet == b';');
        }
    }

    fn words(&mut self, range: Range<usize>, kind: Kind) {
        let words = words(&self.bytes[range.clone()]);
        let places = words.map(|word| (range.start + word.start..range.start + word.end, kind));
        self.found.places.extend(places);
    }
}

/// Behind the prefix of the namespace.
fn local(name: &[u8]) -> &[u8] {
    name.rsplit(|octet| *octet == b':').next().unwrap_or(name)
}

/// The words of a text: what a user of a URI can be, what a host can be, and letters of any script.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < text.len() && !is_of_word(unescaped(&text[at..]).0) {
            at += unescaped(&text[at..]).1;
        }
        let begin = at;
        while at < text.len() && is_of_word(unescaped(&text[at..]).0) {
            at += unescaped(&text[at..]).1;
        }
        (begin < at).then_some(begin..at)
    })
}

fn is_of_word(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet >= 0x80 || b"-_.!~*+$".contains(&octet)
}

/// The first octet, which may be escaped (RFC 3261 §25.1), and how many it is written with.
pub(super) fn unescaped(text: &[u8]) -> (u8, usize) {
    let octet = match text {
        [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            std::str::from_utf8(&text[1..3]).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok())
        }
        _ => None,
    };
    octet.map_or_else(|| (text.first().copied().unwrap_or_default(), 1), |octet| (octet, 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With crosses in place of words that are names, and circles where they may be words of the protocols.
    fn crossed(text: &str) -> String {
        let mut all = text.as_bytes().to_vec();
        for (range, kind) in of_message(text.as_bytes()).places {
            all[range].fill(if kind == Kind::Word { b'x' } else { b'o' });
        }
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn addresses_hosts_and_credentials_are_found_and_what_has_a_meaning_is_left() {
        let text = "INVITE sip:ben%2e1@h.example;session=1-1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKab;rport\r\n\
            f: \"Anna \\\" B\" <sip:anna@[2001:db8::1]:5062;transport=tcp>;tag=a7,\r\n tel:+49\r\nMax-Forwards: 70\r\n\
            Authorization: Digest username=\"anna\", uri=\"sip:h.example\", qop=auth, nc=00000001\r\nX-Note: some words\r\n\r\n";
        let wanted = "INVITE sip:xxxxxxx@xxxxxxxxx;session=ooo SIP/2.0\r\nVia: SIP/2.0/UDP xxxxxxxxx:5060;branch=ooooooooo;rport\r\n\
            f: \"xxxx \\\" x\" <sip:xxxx@[xxxxxxxxxxx]:5062;transport=ooo>;tag=oo,\r\n tel:xxx\r\nMax-Forwards: 70\r\n\
            Authorization: Digest username=\"xxxx\", uri=\"sip:xxxxxxxxx\", qop=auth, nc=00000001\r\nX-Note: xxxx xxxxx\r\n\r\n";
        assert_eq!(crossed(text), wanted);
    }

    #[test]
    fn bodies_are_walked_by_their_kind_and_within_each_other() {
        let head = "MESSAGE sip:b@h SIP/2.0\r\nContent-Type: multipart/mixed;boundary=q\r\n\r\n--q\r\n";
        let text = format!(
            "{head}Content-Type: application/sdp\r\n\r\no=anna 1 1 IN IP4 192.0.2.1\r\nm=audio 40000 RTP/AVP 97\r\n--q\r\n\
             Content-Type: application/resource-lists+xml\r\n\r\n<l xmlns=\"urn:x\"><e uri=\"sip:ben@h\"/><d:display-name>\
             B&amp;C</d:display-name></l>\r\n--q--\r\n"
        );
        let wanted = "o=oooo 1 1 IN IP4 xxxxxxxxx\r\nm=audio 40000 RTP/AVP 97\r\n--q\r\n\
             Content-Type: application/resource-lists+xml\r\n\r\n<l xmlns=\"urn:x\"><e uri=\"sip:xxx@x\"/><d:display-name>\
             x&amp;x</d:display-name></l>\r\n--q--\r\n";
        assert!(crossed(&text).ends_with(wanted), "{}", crossed(&text));
    }

    #[test]
    fn what_is_no_message_is_walked_too() {
        let whole = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP [::1\r\nFrom: \"<sip:a@;x=\"\r\nContent-Type: a/xml\r\n\r\n<a b='c&d>";
        for end in 0..whole.len() {
            of_message(&whole.as_bytes()[..end]);
            of_message(&whole.as_bytes()[end..]);
            of_address(&whole.as_bytes()[end..]);
        }
    }
}
