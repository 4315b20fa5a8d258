//! URIs: RFC 3261 §19.1 for `sip` and `sips`; any other scheme is kept as it is.

use std::net::Ipv6Addr;

use super::scan::{self, Cursor};
use super::{Fault, Parameters};

/// A URI inside a message, read on demand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Uri<'a> {
    /// The scheme as written; compare without case.
    pub scheme: &'a [u8],
    /// The part before the `@`, with a password if there is one. Always `None` for schemes other than sip and sips.
    pub user: Option<&'a [u8]>,
    /// Host name, IPv4 address or bracketed IPv6 reference. For other schemes all that follows the scheme.
    pub host: &'a [u8],
    /// The port, if one is written.
    pub port: Option<u16>,
    /// The parameters behind the host, without the first semicolon.
    pub parameters: Parameters<'a>,
    /// What follows the question mark.
    pub headers: Option<&'a [u8]>,
}

impl<'a> Uri<'a> {
    /// Reads a URI that stands alone (no angle brackets, no white space).
    ///
    /// # Errors
    /// [`Fault::Uri`] or [`Fault::Host`] if `text` is no URI.
    pub fn parse(text: &'a [u8]) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(text);
        let uri = Self::read(&mut cursor)?;
        if cursor.is_at_end() { Ok(uri) } else { Err(Fault::Uri) }
    }

    /// Reads as far as a URI goes. RFC 3261 §25.1: uric, user, paramchar and their like have a percent sign in escapes
    /// only.
    #[inline(always)]
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self, Fault> {
        let before = *cursor;
        if !cursor.eat_all(b"sip:") {
            let scheme =
                cursor.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
            if !scheme.first().is_some_and(u8::is_ascii_alphabetic) || !cursor.eat(b':') {
                return Err(Fault::Uri);
            }
            if !scheme.eq_ignore_ascii_case(b"sip") && !scheme.eq_ignore_ascii_case(b"sips") {
                return Self::read_other(scheme, cursor);
            }
        }
        let [scheme @ .., _colon] = cursor.since(&before) else { return Err(Fault::Uri) };
        let behind_scheme = *cursor;
        let user = cursor.run_with_escapes(scan::USER);
        let user = match cursor.eat(b'@') {
            true if matches!(user, [] | [b':', ..]) => return Err(Fault::Uri),
            true => Some(user),
            false => {
                *cursor = behind_scheme;
                None
            }
        };
        let (host, port) = host_and_port(cursor)?;
        let parameters = if cursor.eat(b';') { cursor.run_with_escapes(scan::URI_PARAMETER) } else { b"" };
        let headers = cursor.eat(b'?').then(|| cursor.run_with_escapes(scan::URI));
        // Without a user part no `@` may stand unescaped: the first one ends a user part.
        if user.is_none() && memchr::memchr(b'@', cursor.since(&behind_scheme)).is_some() {
            return Err(Fault::Uri);
        }
        Ok(Self { scheme, user, host, port, parameters: Parameters::new(parameters), headers })
    }

    /// What follows another scheme than sip and sips is kept as it is.
    #[cold]
    fn read_other(scheme: &'a [u8], cursor: &mut Cursor<'a>) -> Result<Self, Fault> {
        let host = cursor.take_while(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"'));
        if host.is_empty() || !has_whole_escapes(host) {
            return Err(Fault::Uri);
        }
        Ok(Self { scheme, user: None, host, port: None, parameters: Parameters::empty(), headers: None })
    }

    /// Whether the scheme is `sip` or `sips`.
    pub fn is_sip(&self) -> bool {
        self.scheme.eq_ignore_ascii_case(b"sip") || self.is_sips()
    }

    /// Whether the scheme is `sips`.
    pub fn is_sips(&self) -> bool {
        self.scheme.eq_ignore_ascii_case(b"sips")
    }

    /// What is to be contacted: `maddr`, or the host (RFC 3263 §4: TARGET).
    pub fn contacted_host(&self) -> &'a [u8] {
        self.parameters.value(b"maddr").unwrap_or(self.host)
    }

    /// The contacted host, if it is an address, with the port as a socket address. The port defaults to 5060.
    pub fn socket_address(&self) -> Option<std::net::SocketAddr> {
        Some(std::net::SocketAddr::new(ip_address(self.contacted_host())?, self.port.unwrap_or(5060)))
    }
}

/// Whether every `%` begins an escape: `"%" HEXDIG HEXDIG`.
fn has_whole_escapes(text: &[u8]) -> bool {
    let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    memchr::memchr_iter(b'%', text).all(|at| text.get(at + 1..at + 3).is_some_and(is_hex))
}

/// `host [ ":" port ]`.
#[inline(always)]
fn host_and_port<'a>(cursor: &mut Cursor<'a>) -> Result<(&'a [u8], Option<u16>), Fault> {
    let host = read_host(cursor).ok_or(Fault::Host)?;
    let port = if cursor.eat(b':') { Some(read_port(cursor).ok_or(Fault::Host)?) } else { None };
    Ok((host, port))
}

/// A host name, an IPv4 address or a bracketed IPv6 reference.
#[inline(always)]
pub(super) fn read_host<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    match cursor.peek()? {
        b'[' => read_ipv6_reference(cursor),
        b'.' => None,
        _ => Some(cursor.run(scan::HOST)).filter(|host| !host.is_empty()),
    }
}

#[cold]
fn read_ipv6_reference<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let before = *cursor;
    cursor.eat(b'[');
    let address = cursor.take_while(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
    let is_address = std::str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok());
    (is_address && cursor.eat(b']')).then(|| cursor.since(&before))
}

#[inline(always)]
pub(super) fn read_port(cursor: &mut Cursor<'_>) -> Option<u16> {
    u16::try_from(cursor.number()?).ok()
}

/// The address that a host spells: IPv4, or IPv6 with or without brackets.
pub fn ip_address(host: &[u8]) -> Option<std::net::IpAddr> {
    let text = std::str::from_utf8(host).ok()?;
    text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sip_uri_is_taken_apart() {
        let uri = Uri::parse(b"sips:al%69ce;x=y:pw@[2001:db8::9]:5070;transport=tcp;lr?Subject=hi").unwrap();
        assert_eq!(uri.user, Some(&b"al%69ce;x=y:pw"[..]));
        assert_eq!((uri.host, uri.port), (&b"[2001:db8::9]"[..], Some(5070)));
        assert_eq!(uri.parameters.value(b"Transport"), Some(&b"tcp"[..]));
        assert!(uri.parameters.has(b"lr") && uri.is_sips());
        assert_eq!(uri.headers, Some(&b"Subject=hi"[..]));
    }

    #[test]
    fn what_is_no_uri_is_refused() {
        for text in [
            "alice",
            "sip:",
            "sip:a b@c",
            "<sip:a@b>",
            "sip:a@b:99999",
            "sip:a@[::1",
            "sip:@b",
            "sip::pw@b",
            "1x:y",
            "sip:a@b@c",
        ] {
            assert!(Uri::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_percent_sign_that_is_no_escape_is_refused() {
        for text in ["sip:100%@b", "sip:%4@b", "sip:%zz@b", "sip:a@b;x=%", "sip:a@b?x=%1", "http://b/%"] {
            assert!(Uri::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Uri::parse(b"sip:100%25%4a@b;%6C%72?x=%20").is_ok());
    }

    #[test]
    fn other_schemes_are_kept_as_they_are() {
        let uri = Uri::parse(b"tel:+15550100;phone-context=x").unwrap();
        assert_eq!((uri.scheme, uri.host), (&b"tel"[..], &b"+15550100;phone-context=x"[..]));
        assert!(!uri.is_sip());
    }
}
