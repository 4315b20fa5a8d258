//! Comparing SIP URIs: RFC 3261 §19.1.4, and the canonical user of an address-of-record (§10.3 step 5).

use bytes::Bytes;
use sip::message::Uri;

/// Whether two URIs are equal.
pub(crate) fn is_same(one: &Uri<'_>, other: &Uri<'_>) -> bool {
    let user = |uri: &Uri<'_>| uri.user.map(unescaped);
    one.scheme.eq_ignore_ascii_case(other.scheme)
        && user(one) == user(other)
        && one.host.eq_ignore_ascii_case(other.host)
        && one.port == other.port
        && has_same_parameters(one, other)
        && has_same_parameters(other, one)
        && one.headers == other.headers
}

/// Parameters that must stand in both URIs if they stand in one. Others count where they stand in both.
const DECISIVE: [&[u8]; 5] = [b"user", b"ttl", b"method", b"maddr", b"transport"];

fn has_same_parameters(one: &Uri<'_>, other: &Uri<'_>) -> bool {
    one.parameters.iter().all(|(name, value)| {
        let is_decisive = DECISIVE.iter().any(|each| name.eq_ignore_ascii_case(each));
        let theirs = other.parameters.has(name).then(|| other.parameters.value(name));
        match (theirs, value) {
            (None, _) => !is_decisive,
            (Some(None), None) => true,
            (Some(Some(theirs)), Some(ours)) => theirs.eq_ignore_ascii_case(ours),
            (Some(None), Some(_)) | (Some(Some(_)), None) => false,
        }
    })
}

/// The user part without its password and its parameters, escapes undone.
pub fn user_of(uri: &Uri<'_>) -> Bytes {
    let user = uri.user.unwrap_or_default();
    let end = user.iter().position(|byte| matches!(byte, b':' | b';')).unwrap_or(user.len());
    unescaped(&user[..end])
}

fn unescaped(text: &[u8]) -> Bytes {
    if !text.contains(&b'%') {
        return Bytes::copy_from_slice(text);
    }
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut octets = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match (byte, digit(text.get(at + 1)), digit(text.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                octets.push((16 * high + low) as u8);
                at += 3;
            }
            (_, _, _) => {
                octets.push(*byte);
                at += 1;
            }
        }
    }
    Bytes::from(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(one: &str, other: &str) -> bool {
        let read = |text: &'static str| Uri::parse(text.as_bytes()).unwrap();
        let (one, other) = (String::from(one).leak(), String::from(other).leak());
        is_same(&read(one), &read(other))
    }

    /// The examples of RFC 3261 §19.1.4.
    #[test]
    fn uris_are_equal_as_the_rfc_shows() {
        for (one, other) in [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
        ] {
            assert!(same(one, other) && same(other, one), "{one} {other}");
        }
        for (one, other) in [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ] {
            assert!(!same(one, other) && !same(other, one), "{one} {other}");
        }
    }

    #[test]
    fn a_user_is_read_without_password_and_escapes() {
        assert_eq!(user_of(&Uri::parse(b"sip:%61nna:pw@b").unwrap()), "anna");
        assert_eq!(user_of(&Uri::parse(b"sip:anna;x=y@b").unwrap()), "anna");
    }
}
