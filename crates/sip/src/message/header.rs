//! Header values with structure, read on demand from the octets of the message.

use std::fmt;

use super::scan::{self, Cursor};
use super::uri::{read_host, read_port};
use super::{Fault, Message, Method, Name, Uri};

/// A list of parameters: `name[=value]`, separated by semicolons (commas in credentials).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Parameters<'a> {
    text: &'a [u8],
    separator: u8,
}

impl<'a> Parameters<'a> {
    /// Parameters without a leading semicolon.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, separator: b';' }
    }

    pub(crate) fn empty() -> Self {
        Self::new(b"")
    }

    /// The parameters in order, each with its value as written (quotes included).
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        scan::split(self.text, self.separator).filter(|item| !item.is_empty()).map(
            |item| match memchr::memchr(b'=', item) {
                Some(at) => (scan::trim(&item[..at]), Some(scan::trim(&item[at + 1..]))),
                None => (item, None),
            },
        )
    }

    /// The value of the parameter `name` (in any case); `None` if it is absent or has no value.
    pub fn value(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.find(name).flatten()
    }

    fn find(&self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        if memchr::memchr(b'"', self.text).is_some() {
            return self.iter().find(|(each, _)| each.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        }
        // Without quotes each separator separates: most parameters are passed over by their first octets.
        self.text.split(|byte| *byte == self.separator).find_map(|item| {
            let (start, rest) = scan::trim_start(item).split_at_checked(name.len())?;
            match (start.eq_ignore_ascii_case(name), scan::trim_start(rest)) {
                (true, []) => Some(None),
                (true, [b'=', value @ ..]) => Some(Some(scan::trim(value))),
                (true | false, _) => None,
            }
        })
    }

    /// The value of the parameter `name` without the quotes of a quoted string; escapes inside are kept.
    pub fn text(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.value(name).map(|value| match value {
            [b'"', inner @ .., b'"'] => inner,
            _ => value,
        })
    }

    /// Whether the parameter `name` is there, with or without a value.
    pub fn has(&self, name: &[u8]) -> bool {
        self.find(name).is_some()
    }

    /// The parameters as written.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.text
    }

    /// Whether every parameter follows the grammar of `generic-param`.
    fn is_well_formed(&self) -> bool {
        self.text.is_empty() || are_parameters(self.text, self.separator)
    }

    /// What follows a value: nothing, or a semicolon and parameters to the end.
    #[inline(always)]
    pub(super) fn after(cursor: &mut Cursor<'a>) -> Option<Self> {
        cursor.skip_space();
        if cursor.is_at_end() {
            return Some(Self::empty());
        }
        cursor.eat_separator(b';').then_some(())?;
        let text = scan::trim_end(cursor.rest());
        are_parameters(text, b';').then_some(Self::new(text))
    }
}

/// Whether this is one `generic-param` or several.
fn are_parameters(text: &[u8], separator: u8) -> bool {
    let mut cursor = Cursor::new(text);
    cursor.skip_space();
    loop {
        if cursor.token().is_none() {
            return false;
        }
        if cursor.eat_separator(b'=') && cursor.parameter_value().is_none() {
            return false;
        }
        if cursor.eat_separator(separator) {
            continue;
        }
        cursor.skip_space();
        return cursor.is_at_end();
    }
}

impl fmt::Debug for Parameters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.text))
    }
}

/// An address with an optional display name: From, To, Contact, Route and their like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NameAddr<'a> {
    /// The display name as written (quotes included); empty if there is none.
    pub display: &'a [u8],
    /// The URI as written.
    pub uri: &'a [u8],
    /// The parameters behind the address.
    pub parameters: Parameters<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads one address: `"Anna" <sip:anna@home1.example>;tag=a1`.
    ///
    /// # Errors
    /// [`Fault::Uri`] if it is none.
    pub fn parse(text: &'a [u8]) -> Result<Self, Fault> {
        Self::read(text).ok_or(Fault::Uri)
    }

    #[inline(always)]
    pub(super) fn read(text: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(text);
        cursor.skip_space();
        let begin = cursor;
        if cursor.quoted().is_none() {
            while cursor.token().is_some() {
                cursor.skip_space();
            }
        }
        let display = scan::trim_end(cursor.since(&begin));
        cursor.skip_space();
        if cursor.eat(b'<') {
            let before = cursor;
            Uri::read(&mut cursor).ok()?;
            let uri = cursor.since(&before);
            cursor.eat(b'>').then_some(())?;
            return Some(Self { display, uri, parameters: Parameters::after(&mut cursor)? });
        }
        // addr-spec without brackets: RFC 3261 §20.10: no comma, question mark or semicolon belongs to the URI.
        let mut cursor = begin;
        let uri = cursor.take_while(|byte| !scan::is_space(byte) && byte != b';');
        if memchr::memchr2(b',', b'?', uri).is_some() {
            return None;
        }
        Uri::parse(uri).ok()?;
        Some(Self { display: b"", uri, parameters: Parameters::after(&mut cursor)? })
    }

    /// The tag parameter.
    pub fn tag(&self) -> Option<&'a [u8]> {
        self.parameters.value(b"tag")
    }
}

/// One Via value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Via<'a> {
    /// UDP, TCP, TLS …, as written.
    pub transport: &'a [u8],
    /// The host of sent-by.
    pub host: &'a [u8],
    /// The port of sent-by, if one is written.
    pub port: Option<u16>,
    /// branch, received, rport, maddr, ttl …
    pub parameters: Parameters<'a>,
}

impl<'a> Via<'a> {
    /// Reads one Via value.
    #[inline]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(text);
        cursor.skip_space();
        if !cursor.eat_all(b"SIP/2.0/") {
            let protocol = cursor.token()?;
            let version = cursor.eat_separator(b'/').then(|| cursor.token())??;
            if !protocol.eq_ignore_ascii_case(b"SIP") || version != b"2.0" || !cursor.eat_separator(b'/') {
                return None;
            }
        }
        cursor.skip_space();
        let transport = cursor.token()?;
        cursor.peek().filter(|byte| scan::is_space(*byte))?;
        cursor.skip_space();
        let host = read_host(&mut cursor)?;
        // sent-by allows white space around the colon.
        let port = if cursor.eat_separator(b':') { Some(read_port(&mut cursor)?) } else { None };
        Some(Self { transport, host, port, parameters: Parameters::after(&mut cursor)? })
    }

    /// The branch parameter.
    pub fn branch(&self) -> Option<&'a [u8]> {
        self.parameters.value(b"branch")
    }
}

/// The CSeq header field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CSeq<'a> {
    /// The sequence number, below 2^31.
    pub number: u32,
    /// The method as written.
    pub method: &'a [u8],
}

impl<'a> CSeq<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(text);
        let number = cursor.number()?;
        let spaced = cursor.peek().is_some_and(scan::is_space);
        cursor.skip_space();
        let method = cursor.token()?;
        // RFC 3261 §8.1.1.5: less than 2**31.
        (spaced && cursor.is_at_end() && number < 1 << 31).then_some(Self { number, method })
    }
}

/// The RAck header field: which reliable 1xx a PRACK acknowledges (RFC 3262 §7.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RAck<'a> {
    /// The RSeq of the 1xx.
    pub response: u32,
    /// The number of its CSeq.
    pub number: u32,
    /// The method of its CSeq as written.
    pub method: &'a [u8],
}

impl<'a> RAck<'a> {
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let (response, rest) = text.split_at(text.iter().position(|byte| scan::is_space(*byte))?);
        let CSeq { number, method } = CSeq::parse(scan::trim(rest))?;
        Some(Self { response: scan::number(response)?, number, method })
    }
}

/// A value with parameters: Reason, Event, Content-Type, Accept-Contact, Answer-Mode, Session-Expires …
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Valued<'a> {
    /// What stands before the first semicolon.
    pub value: &'a [u8],
    /// The parameters.
    pub parameters: Parameters<'a>,
}

impl<'a> Valued<'a> {
    /// The elements of a comma-separated list of such values; what is malformed is left out.
    pub fn list(text: &'a [u8]) -> impl Iterator<Item = Self> {
        scan::split(text, b',').filter_map(Self::parse)
    }

    /// Reads `value *( ";" parameter )`.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(text);
        let value = scan::trim(cursor.take_while(|byte| byte != b';'));
        (!value.is_empty()).then_some(())?;
        Some(Self { value, parameters: Parameters::after(&mut cursor)? })
    }

    /// The value as a number: Session-Expires, Min-SE, Retry-After.
    pub fn number(&self) -> Option<u32> {
        scan::number(self.value.split(|byte| scan::is_space(*byte) || *byte == b'(').next()?)
    }
}

/// A challenge or credentials: a scheme and its comma-separated parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Credentials<'a> {
    /// Digest, Basic …, as written.
    pub scheme: &'a [u8],
    /// realm, nonce, response …
    pub parameters: Parameters<'a>,
}

impl Message {
    /// The addresses of a header field that lists them: Contact, Route, Record-Route, Path, P-Asserted-Identity …
    /// Each may be [`Fault::Header`]. A Contact of `*` is not an address.
    pub fn addresses(&self, name: Name) -> impl Iterator<Item = Result<NameAddr<'_>, Fault>> {
        self.items(name).map(move |item| NameAddr::parse(item).map_err(|_| Fault::Header(name)))
    }

    /// The address of a header field that has exactly one: From, To, Refer-To, Referred-By.
    ///
    /// # Errors
    /// [`Fault::Missing`] or [`Fault::Header`].
    pub fn address(&self, name: Name) -> Result<NameAddr<'_>, Fault> {
        let value = self.value(name).ok_or(Fault::Missing(name))?;
        NameAddr::parse(value).map_err(|_| Fault::Header(name))
    }

    /// The From header field.
    ///
    /// # Errors
    /// [`Fault::Missing`] or [`Fault::Header`].
    pub fn from(&self) -> Result<NameAddr<'_>, Fault> {
        self.address(Name::From)
    }

    /// The To header field.
    ///
    /// # Errors
    /// [`Fault::Missing`] or [`Fault::Header`].
    pub fn to(&self) -> Result<NameAddr<'_>, Fault> {
        self.address(Name::To)
    }

    /// The Call-ID; empty if there is none.
    pub fn call_id(&self) -> &[u8] {
        self.value(Name::CallId).unwrap_or_default()
    }

    /// The CSeq header field.
    ///
    /// # Errors
    /// [`Fault::Missing`] or [`Fault::Header`].
    pub fn cseq(&self) -> Result<CSeq<'_>, Fault> {
        let value = self.value(Name::CSeq).ok_or(Fault::Missing(Name::CSeq))?;
        CSeq::parse(value).ok_or(Fault::Header(Name::CSeq))
    }

    /// The RAck header field.
    ///
    /// # Errors
    /// [`Fault::Missing`] or [`Fault::Header`].
    pub fn rack(&self) -> Result<RAck<'_>, Fault> {
        let value = self.value(Name::RAck).ok_or(Fault::Missing(Name::RAck))?;
        RAck::parse(value).ok_or(Fault::Header(Name::RAck))
    }

    /// The Via values, topmost first.
    pub fn vias(&self) -> impl Iterator<Item = Result<Via<'_>, Fault>> {
        self.items(Name::Via).map(|item| Via::parse(item).ok_or(Fault::Header(Name::Via)))
    }

    /// The topmost Via value.
    ///
    /// # Errors
    /// [`Fault::Missing`] or [`Fault::Header`].
    pub fn via(&self) -> Result<Via<'_>, Fault> {
        self.vias().next().ok_or(Fault::Missing(Name::Via))?
    }

    /// The elements of a header field of values with parameters: Reason, Event, Accept-Contact …
    pub fn valued(&self, name: Name) -> impl Iterator<Item = Result<Valued<'_>, Fault>> {
        self.items(name).map(move |item| Valued::parse(item).ok_or(Fault::Header(name)))
    }

    /// The parameters of a header field that is nothing but parameters: P-Charging-Vector.
    pub fn parameters(&self, name: Name) -> Option<Parameters<'_>> {
        self.value(name).map(Parameters::new).filter(Parameters::is_well_formed)
    }

    /// The challenges or credentials of a header field, one a line.
    pub fn credentials(&self, name: Name) -> impl Iterator<Item = Result<Credentials<'_>, Fault>> {
        self.values(name).map(move |value| {
            let mut cursor = Cursor::new(value);
            let scheme = cursor.token().ok_or(Fault::Header(name))?;
            let parameters = Parameters { text: scan::trim(cursor.rest()), separator: b',' };
            if parameters.is_well_formed() {
                Ok(Credentials { scheme, parameters })
            } else {
                Err(Fault::Header(name))
            }
        })
    }

    /// The number of a header field that is one: Max-Forwards, Expires, Min-Expires, Content-Length, RSeq.
    ///
    /// # Errors
    /// [`Fault::Header`] if it is no number below 2^32.
    pub fn number(&self, name: Name) -> Result<Option<u32>, Fault> {
        self.value(name).map(|value| scan::number(value).ok_or(Fault::Header(name))).transpose()
    }

    /// How many more elements may pass on this request (RFC 3261 §20.22). `None` for one that does not say so, and for a
    /// response.
    pub fn hops(&self) -> Option<u8> {
        let hops = self.number(Name::MaxForwards).ok().flatten().filter(|_| self.method().is_some());
        hops.and_then(|hops| u8::try_from(hops).ok())
    }

    /// Whether a list of tokens (Require, Supported, Allow, Request-Disposition; Privacy with its semicolons) has `token`.
    pub fn lists(&self, name: Name, token: &[u8]) -> bool {
        let separator = if name == Name::Privacy { b';' } else { b',' };
        self.values(name)
            .flat_map(|value| scan::split(value, separator))
            .any(|item| item.eq_ignore_ascii_case(token))
    }

    /// Whether CSeq names `method`.
    pub fn is_cseq_method(&self, method: Method) -> bool {
        self.cseq().is_ok_and(|cseq| cseq.method == method.as_str().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_and_without_brackets() {
        let address = NameAddr::parse(br#""A. \"Bell\"" <sip:a@b;lr?x=y>;tag=1;q"#).unwrap();
        assert_eq!(address.display, br#""A. \"Bell\"""#);
        assert_eq!((address.uri, address.tag()), (&b"sip:a@b;lr?x=y"[..], Some(&b"1"[..])));
        let bare = NameAddr::parse(b"sip:a@b;tag=2").unwrap();
        assert_eq!((bare.uri, bare.tag()), (&b"sip:a@b"[..], Some(&b"2"[..])));
        assert_eq!(NameAddr::parse(b"A Bell<sip:a@b>").unwrap().display, b"A Bell");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "\"open <sip:a@b>",
            "<sip:a@b",
            "< sip:a@b >",
            "sip:a@b?x=y",
            "sip:a,c@b",
            "<sip:a@b>;=x",
            "<sip:a@b> x",
            "a, b",
            "<sip:a@b>;",
        ] {
            assert!(NameAddr::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_via_may_have_white_space_everywhere() {
        let via =
            Via::parse(b"SIP  / 2.0\r\n /UDP\r\n    192.0.2.2 : 5061 ;branch=390skdjuw;x=\"a;b\"").unwrap();
        assert_eq!((via.transport, via.host, via.port), (&b"UDP"[..], &b"192.0.2.2"[..], Some(5061)));
        assert_eq!(via.branch(), Some(&b"390skdjuw"[..]));
        let via = Via::parse(b"SIP/2.0/TCP [2001:db8::9]:5070;rport").unwrap();
        assert_eq!((via.host, via.port), (&b"[2001:db8::9]"[..], Some(5070)));
        assert!(Via::parse(b"SIP/2.0/UDP").is_none() && Via::parse(b"SIP/3.0/UDP a").is_none());
    }

    #[test]
    fn a_via_has_one_port_at_most() {
        let port =
            |sent_by: &str| Via::parse(format!("SIP/2.0/UDP {sent_by}").as_bytes()).map(|via| via.port);
        for text in ["a:1", "a :1", "a: 1", "a : 1", "a:1 ;rport", "[::1]: 1"] {
            assert_eq!(port(text), Some(Some(1)), "{text}");
        }
        assert_eq!((port("a"), port("a ;rport")), (Some(None), Some(None)));
        for text in
            ["a:", "a :", "a:;rport", "a:1:", "a:1 :", "a:1: 2", "a:1 : 2", "a::1", "[::1]::1", "a:70000"]
        {
            assert_eq!(port(text), None, "{text}");
        }
    }

    #[test]
    fn a_sequence_number_is_below_2_to_the_31() {
        let number = |text: &[u8]| CSeq::parse(text).map(|cseq| cseq.number);
        assert_eq!(number(b"0002147483647 INVITE"), Some(i32::MAX as u32));
        assert_eq!((number(b"2147483648 INVITE"), number(b"4294967296 INVITE")), (None, None));
        assert_eq!((number(b"1INVITE"), number(b"1 IN VITE"), number(b"-1 INVITE")), (None, None, None));
    }

    #[test]
    fn an_acknowledgement_names_a_response_and_its_request() {
        let read = |text: &'static str| {
            RAck::parse(text.as_bytes()).map(|rack| (rack.response, rack.number, rack.method))
        };
        assert_eq!(read("776656 1 INVITE"), Some((776_656, 1, &b"INVITE"[..])));
        assert_eq!(read("4294967295 \t 2147483647  INVITE").map(|rack| rack.0), Some(u32::MAX));
        for text in
            ["", "1", "1 2", "1 2 ", "x 1 INVITE", "1 -1 INVITE", "1 2 IN VITE", "4294967296 1 INVITE"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn commas_inside_quotes_and_brackets_do_not_separate() {
        let items: Vec<_> = scan::split(br#""a,b" <sip:x,y@z>, <sip:c@d> ,"e""#, b',').collect();
        assert_eq!(items, [&br#""a,b" <sip:x,y@z>"#[..], b"<sip:c@d>", b"\"e\""]);
    }
}
