//! PoC Addresses: what two spellings of one user have in common.

use bytes::Bytes;
use sip::message::Uri;

/// An address that says nothing (digest 3).
pub(crate) const ANONYMOUS: &[u8] = b"\"Anonymous\" <sip:anonymous@anonymous.invalid>";

/// Its URI.
pub(crate) const ANONYMOUS_URI: &[u8] = b"sip:anonymous@anonymous.invalid";

/// The PoC Address that `uri` names, in the one spelling under which a user is known: scheme and host in lower case, no
/// password, no port, no parameters, and escapes resolved where they are not needed (RFC 3261 §10.3 step 5, §19.1.4). `None` if
/// it is no SIP URI with a user.
pub fn canonical(uri: &[u8]) -> Option<Bytes> {
    let uri = Uri::parse(uri).ok().filter(Uri::is_sip)?;
    let user = uri.user?;
    let name = user.split(|byte| *byte == b':').next().unwrap_or(user);
    let mut address = Vec::with_capacity(name.len() + uri.host.len() + 5);
    address.extend_from_slice(b"sip:");
    unescape(name, &mut address);
    address.push(b'@');
    address.extend(uri.host.iter().map(u8::to_ascii_lowercase));
    Some(Bytes::from(address))
}

/// Writes `text` with each escape of an unreserved character resolved, and the others in upper case.
fn unescape(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let octet = escaped(*first, behind);
        match octet {
            Some(octet) if octet.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&octet) => out.push(octet),
            Some(octet) => out.extend_from_slice(format!("%{octet:02X}").as_bytes()),
            None => out.push(*first),
        }
        rest = if octet.is_some() { &behind[2..] } else { behind };
    }
}

/// The PoC Session Identity (digest 3) that the Contact URI of a focus tells: who speaks for a session with a Contact of its
/// own names the focus in the parameter `identity`; without that the Contact URI itself is it. `None` if it is no SIP URI, or
/// names nobody.
pub fn session_identity(contact: &[u8]) -> Option<Bytes> {
    let uri = Uri::parse(contact).ok().filter(Uri::is_sip)?;
    let Some(identity) = uri.parameters.value(b"identity") else {
        return Some(Bytes::copy_from_slice(contact));
    };
    let mut named = b"sip:".to_vec();
    named.extend(resolved(identity));
    let is_address = Uri::parse(&named).is_ok_and(|uri| {
        uri.user.is_some() && uri.parameters.iter().next().is_none() && uri.headers.is_none()
    });
    if !is_address {
        return None;
    }
    if let Some(session) = uri.parameters.value(b"session") {
        named.extend_from_slice(b";session=");
        named.extend_from_slice(session);
    }
    Some(Bytes::from(named))
}

/// The URI parameters, each with its semicolon, of who speaks for the focus with this Contact URI: the kind of session and
/// the identity. Nothing of a URI that has neither.
pub(crate) fn speaking_for(contact: &[u8]) -> Bytes {
    let Some(uri) = Uri::parse(contact).ok().filter(Uri::is_sip) else { return Bytes::new() };
    let mut parameters = Vec::new();
    if let Some(session) = uri.parameters.value(b"session") {
        parameters.extend([b";session=", session].concat());
    }
    if let Some(identity) = uri.parameters.value(b"identity") {
        parameters.extend([b";identity=", identity].concat());
    } else if let Some(user) = uri.user {
        parameters.extend_from_slice(b";identity=");
        escape(user, &mut parameters);
        escape(b"@", &mut parameters);
        escape(uri.host, &mut parameters);
        if let Some(port) = uri.port {
            parameters.extend_from_slice(format!(":{port}").as_bytes());
        }
    }
    Bytes::from(parameters)
}

/// Writes `text` as the value of a URI parameter (RFC 3261 §25.1: paramchar).
fn escape(text: &[u8], out: &mut Vec<u8>) {
    for octet in text {
        if octet.is_ascii_alphanumeric() || b"-_.!~*'()[]/:&+$".contains(octet) {
            out.push(*octet);
        } else {
            out.extend_from_slice(format!("%{octet:02X}").as_bytes());
        }
    }
}

/// `text` with each escape resolved, once.
fn resolved(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let octet = escaped(*first, behind);
        out.push(octet.unwrap_or(*first));
        rest = if octet.is_some() { &behind[2..] } else { behind };
    }
    out
}

/// The octet that an escape stands for which begins with `first`.
fn escaped(first: u8, behind: &[u8]) -> Option<u8> {
    let digits = behind.get(..2).filter(|_| first == b'%')?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str) -> Option<String> {
        canonical(uri.as_bytes()).map(|address| String::from_utf8(address.to_vec()).unwrap())
    }

    #[test]
    fn the_spellings_of_one_user_are_one_address() {
        for spelling in [
            "sip:anna@home1.example",
            "sips:anna@HOME1.example",
            "SIP:%61nna@home1.example:5060;transport=tcp",
            "sip:anna:secret@home1.example;user=phone",
        ] {
            assert_eq!(of(spelling).as_deref(), Some("sip:anna@home1.example"), "{spelling}");
        }
    }

    #[test]
    fn different_users_stay_different() {
        assert_ne!(of("sip:anna@home1.example"), of("sip:Anna@home1.example"));
        assert_ne!(of("sip:a%40b@home1.example"), of("sip:a@home1.example"));
        assert_eq!(of("sip:a%2fb@home1.example"), of("sip:a%2Fb@home1.example"));
        assert_eq!(of("sip:a%25x@home1.example").as_deref(), Some("sip:a%25x@home1.example"));
    }

    #[test]
    fn what_names_no_user_is_no_address() {
        for uri in ["sip:home1.example", "tel:+49123", "anna", "", "sip:anna@"] {
            assert_eq!(of(uri), None, "{uri}");
        }
    }

    fn identity_in(contact: &str) -> Option<String> {
        session_identity(contact.as_bytes()).map(|identity| String::from_utf8(identity.to_vec()).unwrap())
    }

    #[test]
    fn the_identity_is_the_contact_of_the_focus_whoever_speaks_for_it() {
        let focus = "sip:0000abcd@home1.example;session=chat";
        assert_eq!(identity_in(focus).as_deref(), Some(focus));
        let of_first = String::from_utf8(speaking_for(focus.as_bytes()).to_vec()).unwrap();
        assert_eq!(of_first, ";session=chat;identity=0000abcd%40home1.example");
        let first = format!("sip:1111@192.0.2.10:5060{of_first}");
        assert_eq!(identity_in(&first).as_deref(), Some(focus));
        // And behind a second one.
        let second = [&b"sip:2222@192.0.2.20"[..], &speaking_for(first.as_bytes())].concat();
        assert_eq!(identity_in(std::str::from_utf8(&second).unwrap()).as_deref(), Some(focus));
    }

    /// RFC 3261 §25.1: paramchar.
    #[test]
    fn an_identity_that_has_escapes_and_a_port_comes_back_as_it_was() {
        for focus in ["sip:a%40b;x=1,2@[2001:db8::9]:5070;session=1-1", "sip:100%25@192.0.2.66:5080"] {
            let contact = [&b"sip:1@192.0.2.10"[..], &speaking_for(focus.as_bytes())].concat();
            assert!(Uri::parse(&contact).is_ok());
            assert_eq!(identity_in(std::str::from_utf8(&contact).unwrap()).as_deref(), Some(focus));
        }
    }

    #[test]
    fn what_names_nobody_is_no_identity() {
        for contact in [
            "tel:+49123",
            "sip:1@192.0.2.10;identity=home1.example",
            "sip:1@192.0.2.10;identity=a%40b%3Bx=y",
            "sip:1@192.0.2.10;identity=a%40b%3Fx=y",
            "sip:1@192.0.2.10;identity=a%40b%0D%0Ax",
        ] {
            assert_eq!(identity_in(contact), None, "{contact}");
        }
    }
}
