//! PoC Addresses: what two spellings of one user have in common.

use bytes::Bytes;
use sip::message::Uri;

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
        let escaped = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let octet = escaped.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match octet {
            Some(octet) if octet.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&octet) => out.push(octet),
            Some(octet) => out.extend_from_slice(format!("%{octet:02X}").as_bytes()),
            None => out.push(*first),
        }
        rest = if octet.is_some() { &behind[2..] } else { behind };
    }
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
}
