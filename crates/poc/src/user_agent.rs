//! User-Agent and Server: which PoC version a peer speaks.

use sip::Message;
use sip::message::Name;

/// What our client writes in User-Agent and Server.
pub const CLIENT: &str = concat!("PoC-client/OMA1.0 Talkburst/", env!("CARGO_PKG_VERSION"));

/// What our server writes in User-Agent and Server.
pub const SERVER: &str = concat!("PoC-serv/OMA1.0 Talkburst/", env!("CARGO_PKG_VERSION"));

/// A PoC version as User-Agent spells it: `OMA1.0`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Version {
    /// Before the dot.
    pub major: u32,
    /// Behind the dot.
    pub minor: u32,
}

/// The PoC version that the sender of `message` claims; `None` if it claims none.
///
/// The first product token of User-Agent or Server: `PoC-client/OMA1.0` or `PoC-serv/OMA1.0`, in any case.
pub fn version(message: &Message) -> Option<Version> {
    let value = message.value(Name::UserAgent).or_else(|| message.value(Name::Server))?;
    let product = std::str::from_utf8(value).ok()?.split_ascii_whitespace().next()?;
    let (name, version) = product.split_once('/')?;
    let is_poc = name.eq_ignore_ascii_case("PoC-client") || name.eq_ignore_ascii_case("PoC-serv");
    let number = version
        .get(..3)
        .filter(|prefix| is_poc && prefix.eq_ignore_ascii_case("OMA"))
        .map(|_| &version[3..])?;
    let (major, minor) = number.split_once('.')?;
    Some(Version { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn of(header: &str) -> Option<Version> {
        version(&Message::parse(Bytes::from(format!("OPTIONS sip:a@b SIP/2.0\r\n{header}\r\n\r\n"))).unwrap())
    }

    #[test]
    fn the_version_is_read_from_the_first_product_token_in_any_case() {
        let version = |major, minor| Some(Version { major, minor });
        assert_eq!(of("User-Agent: PoC-client/OMA1.0 Nokia-S60/v1.0"), version(1, 0));
        assert_eq!(of("User-Agent: POC-Client/oma2.0"), version(2, 0));
        assert_eq!(of("Server: PoC-serv/OMA1.0 x"), version(1, 0));
        assert_eq!(of(&format!("User-Agent: {CLIENT}")), version(1, 0));
        assert_eq!(of(&format!("Server: {SERVER}")), version(1, 0));
        assert_eq!(of("User-Agent: baresip"), None);
        assert_eq!(of("User-Agent: PoC-client/\u{e9}\u{e9}"), None);
    }
}
