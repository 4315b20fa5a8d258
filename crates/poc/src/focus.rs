//! What the Contact of a PoC Server says of a PoC Session (digest 3).

use bytes::Bytes;
use sip::Message;
use sip::message::{Name, Uri};

use crate::address;
use crate::server::SessionType;

/// Octets of the longest PoC Session Identity that is taken.
const IDENTITY_MAX: usize = 512;

/// A PoC Session as its focus names it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Focus {
    /// The PoC Session Identity: where the session can be rejoined, changed and watched.
    pub identity: Bytes,
    /// The kind of session.
    pub session_type: SessionType,
}

impl Focus {
    /// What the Contact of an INVITE, or of a response to one, says. `None`: it is no focus (RFC 4579 §5.1), or names no session.
    pub fn of(message: &Message) -> Option<Self> {
        let contact = message.addresses(Name::Contact).next()?.ok()?;
        let is_focus = contact.parameters.has(b"isfocus");
        let identity = session_identity(contact.uri).filter(|_| is_focus)?;
        let value = Uri::parse(contact.uri).ok()?.parameters.value(b"session").unwrap_or_default();
        Some(Self { identity, session_type: SessionType::of(value) })
    }
}

/// The PoC Session Identity that a Contact URI tells, if requests can be sent there.
pub(crate) fn session_identity(contact: &[u8]) -> Option<Bytes> {
    let identity = address::session_identity(contact).filter(|identity| identity.len() <= IDENTITY_MAX)?;
    let uri = Uri::parse(&identity).ok()?;
    let is_session =
        uri.is_sip() && uri.user.is_some() && uri.headers.is_none() && !uri.parameters.has(b"method");
    is_session.then_some(identity)
}

impl SessionType {
    /// The kind that the URI parameter `session` tells; what is unknown counts as a group (digest 3).
    pub(crate) fn of(value: &[u8]) -> Self {
        match value {
            b"1-1" => Self::OneToOne,
            b"prearranged" => Self::PreArranged,
            b"chat" => Self::Chat,
            _ => Self::AdHoc,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(contact: &str) -> Option<(String, SessionType)> {
        let text = format!("SIP/2.0 200 OK\r\nContact: {contact}\r\n\r\n");
        let focus = Focus::of(&Message::parse(Bytes::from(text)).unwrap())?;
        Some((String::from_utf8(focus.identity.to_vec()).unwrap(), focus.session_type))
    }

    #[test]
    fn a_focus_names_its_session_and_says_of_what_kind_it_is() {
        for (value, kind) in [
            ("1-1", SessionType::OneToOne),
            ("adhoc", SessionType::AdHoc),
            ("prearranged", SessionType::PreArranged),
            ("chat", SessionType::Chat),
            ("something", SessionType::AdHoc),
        ] {
            let uri = format!("sip:token@home1.example;session={value}");
            assert_eq!(of(&format!("<{uri}>;+g.poc.talkburst;isfocus")), Some((uri, kind)));
        }
    }

    #[test]
    fn who_is_no_focus_names_no_session() {
        assert_eq!(of("<sip:token@home1.example;session=chat>;+g.poc.talkburst"), None);
        for uri in [
            "sip:home1.example;session=chat",
            "sip:a@b?subject=x",
            "sip:a@b;method=BYE",
            "sip:a@b;identity=b",
        ] {
            assert_eq!(of(&format!("<{uri}>;isfocus")), None, "{uri}");
        }
        assert_eq!(of(&format!("<sip:{}@b>;isfocus", "a".repeat(IDENTITY_MAX))), None);
    }
}
