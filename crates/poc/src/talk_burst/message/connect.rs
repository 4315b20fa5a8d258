//! Connect: user-plane digest 4.11.

use bytes::{BufMut, Bytes, BytesMut};

use super::read::Reader;
use super::write::put_text;
use super::{Malformed, name, sdes, uri};
use crate::server::SessionType;

/// The PoC Session that begins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Connect {
    /// The PoC Address of who invites.
    pub inviter: Option<Bytes>,
    /// The nick name of who invites.
    pub inviter_name: Option<String>,
    /// The PoC Session Identity.
    pub session: Option<Bytes>,
    /// The name of the group.
    pub group_name: Option<String>,
    /// The PoC Group Identity.
    pub group: Option<Bytes>,
    /// The kind of the session, if it is told.
    pub session_type: Option<SessionType>,
    /// Whether the client is to answer although its user would be asked.
    pub is_override: bool,
}

/// In the order of the items.
mod content {
    pub(super) const INVITER: u16 = 0x8000;
    pub(super) const INVITER_NAME: u16 = 0x4000;
    pub(super) const SESSION: u16 = 0x2000;
    pub(super) const GROUP_NAME: u16 = 0x1000;
    pub(super) const GROUP: u16 = 0x0800;
}

/// The bit of manual answer override.
const OVERRIDE: u8 = 0x80;

impl Connect {
    pub(super) fn write(&self, out: &mut BytesMut) {
        fn text(name: Option<&String>) -> Option<&[u8]> {
            name.map(String::as_bytes)
        }
        let items = [
            (content::INVITER, sdes::CNAME, self.inviter.as_deref()),
            (content::INVITER_NAME, sdes::NAME, text(self.inviter_name.as_ref())),
            (content::SESSION, sdes::CNAME, self.session.as_deref()),
            (content::GROUP_NAME, sdes::NAME, text(self.group_name.as_ref())),
            (content::GROUP, sdes::CNAME, self.group.as_deref()),
        ];
        let bits = items.iter().filter(|(.., text)| text.is_some()).fold(0, |bits, (bit, ..)| bits | bit);
        out.put_u16(bits);
        out.put_u8(match self.session_type {
            None => 0,
            Some(SessionType::OneToOne) => 1,
            Some(SessionType::AdHoc) => 2,
            Some(SessionType::PreArranged) => 3,
            Some(SessionType::Chat) => 4,
        });
        out.put_u8(if self.is_override { OVERRIDE } else { 0 });
        for (_, kind, text) in items {
            if let Some(text) = text {
                put_text(out, kind, text);
            }
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let bits = reader.number()?;
        let [session_type, flags] = reader.number()?.to_be_bytes();
        // In the order of the bits, whatever type each has.
        let mut item =
            |bit| if bits & bit == 0 { Ok(None) } else { reader.item().map(|(_, text)| Some(text)) };
        Ok(Self {
            inviter: item(content::INVITER)?.map(uri).transpose()?,
            inviter_name: item(content::INVITER_NAME)?.map(name),
            session: item(content::SESSION)?.map(uri).transpose()?,
            group_name: item(content::GROUP_NAME)?.map(name),
            group: item(content::GROUP)?.map(uri).transpose()?,
            session_type: match session_type {
                1 => Some(SessionType::OneToOne),
                2 => Some(SessionType::AdHoc),
                3 => Some(SessionType::PreArranged),
                4 => Some(SessionType::Chat),
                _ => None,
            },
            is_override: flags & OVERRIDE != 0,
        })
    }
}
