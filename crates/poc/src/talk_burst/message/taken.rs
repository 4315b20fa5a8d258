//! Talk Burst Taken: user-plane digest 4.4.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::read::Reader;
use super::write::{align, put_number, put_text};
use super::{Malformed, item, name, sdes, uri};

/// Who speaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken {
    /// The synchronization source of the RTP packets that come; 0 if the server does not know it yet.
    pub ssrc: u32,
    /// The PoC Address.
    pub identity: Bytes,
    /// The name, if the server knows one.
    pub name: Option<Arc<str>>,
    /// How many take part, if it is told: 0 if the server does not know, 65,535 if it is that many or more.
    pub participants: Option<u16>,
    /// Whether the client is to acknowledge it.
    pub is_acknowledged: bool,
}

impl Taken {
    /// As a server says it: without a name nothing is said of `participants`, since some receivers would not find it behind the
    /// padding.
    pub fn new(ssrc: u32, identity: Bytes, name: Option<Arc<str>>, participants: Option<u16>) -> Self {
        let participants = participants.filter(|_| name.is_some());
        Self { ssrc, identity, name, participants, is_acknowledged: false }
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        out.put_u32(self.ssrc);
        put_text(out, sdes::CNAME, &self.identity);
        if let Some(name) = &self.name {
            put_text(out, sdes::NAME, name.as_bytes());
        }
        // User-plane digest 3.2 rule 5: the texts are padded before what follows.
        align(out);
        if let Some(participants) = self.participants {
            put_number(out, item::PARTICIPANTS, participants);
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>, is_acknowledged: bool) -> Result<Self, Malformed> {
        let ssrc = reader.word()?;
        // The CNAME is mandatory and comes first, the NAME follows it.
        let identity = match reader.item()? {
            (sdes::CNAME, text) => uri(text)?,
            (_, _) => return Err(Malformed::Identity),
        };
        let name = reader.item_of(sdes::NAME)?.map(|text| name(text).into());
        let mut participants = None;
        while let Some((code, value)) = reader.next_item()? {
            if code == item::PARTICIPANTS {
                participants = Some(super::read::number(value)?);
            }
        }
        Ok(Self { ssrc, identity, name, participants, is_acknowledged })
    }
}
