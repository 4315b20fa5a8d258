//! SIP URIs and PoC Addresses as users type them.

use sip::message::{NameAddr, Uri};

use super::super::Failure;

/// A URI of the scheme sip, as typed or with `sip:` before it.
pub(crate) fn uri(what: &'static str, typed: &str) -> Result<String, Failure> {
    let refused = |why: &'static str| Failure::Address { what, typed: typed.to_owned(), why };
    let text = if has_scheme(typed) { typed.to_owned() } else { format!("sip:{typed}") };
    // What is not text for the wire is not text for `Uri` either: it takes octets.
    let fine = text.bytes().all(|byte| byte.is_ascii_graphic());
    let uri = Uri::parse(text.as_bytes())
        .ok()
        .filter(|_| fine)
        .ok_or_else(|| refused("not a SIP URI, such as sip:ben@example.com"))?;
    let secure = |transport: &[u8]| {
        [&b"tls"[..], b"ws", b"wss"].iter().any(|each| transport.eq_ignore_ascii_case(each))
    };
    if uri.is_sips() {
        return Err(Failure::NoTls { what: "sips", instead: "sip:" });
    }
    if !uri.is_sip() {
        return Err(refused("only sip: addresses can be called; use sip:"));
    }
    if uri.parameters.value(b"transport").is_some_and(secure) {
        return Err(Failure::NoTls { what: "this transport", instead: "transport=udp or transport=tcp" });
    }
    // RFC 3261 §19.1.1, table 1: neither may stand in a Request-URI.
    if uri.headers.is_some() || uri.parameters.value(b"method").is_some() {
        return Err(refused("header fields and a method have no place here; leave them out"));
    }
    Ok(text)
}

/// `ben`, who is at home in `domain`; anything else as it is.
pub(crate) fn complete(typed: &str, domain: &str) -> String {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_bare = !typed.is_empty() && typed.bytes().all(is_name);
    if is_bare { format!("sip:{typed}@{domain}") } else { typed.to_owned() }
}

/// The host of an address, if it has a user.
pub(crate) fn domain_of(address: &str) -> Option<String> {
    let read = NameAddr::parse(address.as_bytes()).ok()?;
    let uri = Uri::parse(read.uri).ok()?;
    uri.user?;
    Some(String::from_utf8_lossy(uri.host).into_owned())
}

/// An address for From: an optional display name, and a URI in angle brackets.
pub(crate) fn name_addr(typed: &str) -> Result<String, Failure> {
    let typed = typed.trim();
    if !typed.contains('<') {
        return Ok(format!("<{}>", uri("--user", typed)?));
    }
    let refused = || Failure::Address {
        what: "--user",
        typed: typed.to_owned(),
        why: "use \"Anna\" <sip:anna@example.com>",
    };
    let read = NameAddr::parse(typed.as_bytes()).map_err(|_| refused())?;
    let is_alone = read.parameters.as_bytes().is_empty() && typed.ends_with('>');
    if !is_alone || typed.chars().any(char::is_control) {
        return Err(refused());
    }
    let inner = std::str::from_utf8(read.uri).map_err(|_| refused())?;
    uri("--user", inner)?;
    if has_scheme(inner) { Ok(typed.to_owned()) } else { Err(refused()) }
}

/// The user part of an address, without a password; `None` if it has none.
pub(crate) fn user_of(address: &str) -> Option<String> {
    let read = NameAddr::parse(address.as_bytes()).ok()?;
    let user = Uri::parse(read.uri).ok()?.user?;
    let user = user.split(|byte| *byte == b':').next()?;
    Some(String::from_utf8_lossy(user).into_owned())
}

/// The URI of the server to be located: `HOST[:PORT]` or a URI.
pub(crate) fn server(typed: &str) -> Result<String, Failure> {
    uri("--server", typed)
}

/// A Route value for an outbound proxy, and the URI to be located: `HOST[:PORT]` or a URI. RFC 3261 §8.1.2.
pub(crate) fn proxy(typed: &str) -> Result<(String, String), Failure> {
    let mut text = uri("--proxy", typed)?;
    let is_loose = Uri::parse(text.as_bytes()).is_ok_and(|uri| uri.parameters.has(b"lr"));
    if !is_loose {
        text.push_str(";lr");
    }
    Ok((format!("<{text}>"), text))
}

/// `sip:` and its like. `localhost:5060` is a host and a port, and so is `ben@[::1]`.
fn has_scheme(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_scheme = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-".contains(&byte));
    let port_ends = rest.find([';', '?']).unwrap_or(rest.len());
    let is_port =
        !rest[..port_ends].is_empty() && rest[..port_ends].bytes().all(|byte| byte.is_ascii_digit());
    is_scheme && !is_port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_taken_with_and_without_its_scheme() {
        let read = |text| uri("URI", text).ok();
        assert_eq!(read("sip:ben@127.0.0.1:5070").as_deref(), Some("sip:ben@127.0.0.1:5070"));
        assert_eq!(read("ben@example.com").as_deref(), Some("sip:ben@example.com"));
        assert_eq!(read("localhost:5070").as_deref(), Some("sip:localhost:5070"));
        assert_eq!(read("ben@[::1]:5070").as_deref(), Some("sip:ben@[::1]:5070"));
        for wrong in [
            "",
            "sip:",
            "ben smith@b",
            "sip:a@b:99999",
            "tel:+1555",
            "sip:a@b?x=y",
            "sip:a@b;method=BYE",
            "sip:bén@b",
            "sip:a@b\r\nX: y",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_needs_tls_is_another_failure_than_what_cannot_be_read() {
        for text in ["sips:ben@b", "sip:ben@b;transport=tls", "sip:ben@b;transport=WSS"] {
            assert!(matches!(uri("URI", text), Err(Failure::NoTls { .. })), "{text}");
        }
    }

    #[test]
    fn a_user_is_taken_in_three_spellings() {
        let read = |text| name_addr(text).ok();
        assert_eq!(read("sip:anna@example.com").as_deref(), Some("<sip:anna@example.com>"));
        assert_eq!(read("anna@example.com").as_deref(), Some("<sip:anna@example.com>"));
        let full = "\"Anna\" <sip:anna@example.com>";
        assert_eq!(read(full).as_deref(), Some(full));
        for wrong in ["<anna@example.com>", "<sip:a@b>;tag=1", "\"Anna <sip:a@b>", "<sip:a@b", "<sip:a@b> x"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(user_of(full).as_deref(), Some("anna"));
        assert_eq!(user_of("<sip:example.com>"), None);
    }

    #[test]
    fn a_bare_name_is_completed_and_nothing_else() {
        assert_eq!(complete("ben", "poc.internal"), "sip:ben@poc.internal");
        assert_eq!(complete("ben-2", "[::1]"), "sip:ben-2@[::1]");
        for other in ["ben@a", "sip:ben", "ben.example.com", "localhost:5070", "", "[::1]"] {
            assert_eq!(complete(other, "poc.internal"), other);
        }
        assert_eq!(domain_of("\"Anna\" <sip:anna@example.com:5070>").as_deref(), Some("example.com"));
        assert_eq!(domain_of("<sip:anna>"), None);
    }

    #[test]
    fn a_proxy_is_a_loose_route() {
        let read = |text| proxy(text).ok().map(|(route, _)| route);
        assert_eq!(read("proxy.example.com").as_deref(), Some("<sip:proxy.example.com;lr>"));
        assert_eq!(read("127.0.0.1:5080").as_deref(), Some("<sip:127.0.0.1:5080;lr>"));
        assert_eq!(read("sip:p;transport=tcp;lr").as_deref(), Some("<sip:p;transport=tcp;lr>"));
        assert_eq!(read("p q"), None);
    }
}
