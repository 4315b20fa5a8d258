//! URIs: RFC 3261 §19.1 for `sip` and `sips`; any other scheme is kept as it is.

use std::net::Ipv6Addr;

use super::scan::{has_whole_escapes, is_token, is_uri_text, is_user, number};
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
    /// [`Fault::Uri`] if `text` is no URI.
    pub fn parse(text: &'a [u8]) -> Result<Self, Fault> {
        let colon = memchr::memchr(b':', text).ok_or(Fault::Uri)?;
        let (scheme, rest) = (&text[..colon], &text[colon + 1..]);
        let valid_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
            && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        // RFC 3261 §25.1: uric, user, paramchar and their like have a percent sign in escapes only.
        if !valid_scheme || rest.is_empty() || !has_whole_escapes(rest) {
            return Err(Fault::Uri);
        }
        if !scheme.eq_ignore_ascii_case(b"sip") && !scheme.eq_ignore_ascii_case(b"sips") {
            if !rest.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"')) {
                return Err(Fault::Uri);
            }
            let parameters = Parameters::empty();
            return Ok(Self { scheme, user: None, host: rest, port: None, parameters, headers: None });
        }
        let (user, rest) = match memchr::memchr(b'@', rest) {
            Some(at) if is_user(&rest[..at]) && !matches!(rest[0], b'@' | b':') => {
                (Some(&rest[..at]), &rest[at + 1..])
            }
            Some(_) => return Err(Fault::Uri),
            None => (None, rest),
        };
        let (rest, headers) = match memchr::memchr(b'?', rest) {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        let (host_port, parameters) = match memchr::memchr(b';', rest) {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, &rest[..0]),
        };
        let (host, port) = host_and_port(host_port)?;
        if !is_uri_text(parameters) || !headers.is_none_or(is_uri_text) {
            return Err(Fault::Uri);
        }
        Ok(Self { scheme, user, host, port, parameters: Parameters::new(parameters), headers })
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

/// `host [ ":" port ]`.
pub(crate) fn host_and_port(text: &[u8]) -> Result<(&[u8], Option<u16>), Fault> {
    let end_of_host = match text {
        [b'[', ..] => memchr::memchr(b']', text).map(|at| at + 1),
        _ => memchr::memchr(b':', text),
    };
    let (host, port) = text.split_at(end_of_host.unwrap_or(text.len()));
    let port = match port {
        [] => None,
        [b':', digits @ ..] => {
            Some(number(digits).and_then(|port| u16::try_from(port).ok()).ok_or(Fault::Host)?)
        }
        _ => return Err(Fault::Host),
    };
    if is_host(host) { Ok((host, port)) } else { Err(Fault::Host) }
}

fn is_host(text: &[u8]) -> bool {
    match text {
        [b'[', address @ .., b']'] => {
            std::str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok())
        }
        // Labels of a host name; an underscore is against the grammar and common in private networks.
        _ => {
            is_token(text)
                && text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
                && text.first() != Some(&b'.')
        }
    }
}

/// The address that a host spells: IPv4, or IPv6 with or without brackets.
pub(crate) fn ip_address(host: &[u8]) -> Option<std::net::IpAddr> {
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
