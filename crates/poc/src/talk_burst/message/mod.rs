//! TBCP Connect, Disconnect and Acknowledgement: user-plane digest 4.9, 4.11.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::framing::{APP, HEADER, NAME};
use crate::server::SessionType;

/// Octets of the longest message that is written (user-plane digest 4.13).
const LENGTH_MAX: usize = 1024;

/// Octets of the longest text: its length has one octet.
const TEXT_MAX: usize = 255;

/// A message and who sends it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// The synchronization source of the sender.
    pub ssrc: u32,
    /// The message.
    pub message: Message,
}

/// What is said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// The server to the client: a PoC Session begins on the pre-established session.
    Connect(Box<Connect>),
    /// The server to the client: it has ended, and the pre-established session stays.
    Disconnect,
    /// The client to the server: a message has arrived.
    Acknowledgement(Acknowledgement),
}

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

/// What has arrived.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Acknowledgement {
    /// A Talk Burst Taken that asks for it.
    Taken,
    /// A Connect, and what the client makes of it.
    Connect(Answer),
    /// A Disconnect.
    Disconnect,
}

/// What a client makes of a Connect.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    /// It takes part.
    Accepted,
    /// It has a session and cannot have another.
    Busy,
    /// It does not take part.
    NotAccepted,
}

/// Why a packet is dropped: whoever sent it is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Malformed {
    /// A field that must be there does not fit.
    Short,
    /// More padding than data, or none although it is announced.
    Padding,
    /// An item runs past the end.
    Item,
    /// A URI that is none.
    Uri,
    /// An acknowledgement of something that is not acknowledged.
    Acknowledged,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "TBCP message too short",
            Self::Padding => "TBCP message with wrong padding",
            Self::Item => "TBCP message with an item that has no end",
            Self::Uri => "TBCP message with something else than a URI",
            Self::Acknowledged => "TBCP acknowledgement of something else",
        })
    }
}

impl std::error::Error for Malformed {}

/// A message that would be longer than user-plane digest 4.13 has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TBCP message too long")
    }
}

impl std::error::Error for TooLong {}

/// User-plane digest 4.1.
mod subtype {
    pub(super) const ACKNOWLEDGEMENT: u8 = 7;
    pub(super) const DISCONNECT: u8 = 11;
    pub(super) const CONNECT: u8 = 15;
    pub(super) const TAKEN_ACKNOWLEDGED: u8 = 18;
}

/// User-plane digest 4.11, in the order of the items.
mod content {
    pub(super) const INVITER: u16 = 0x8000;
    pub(super) const INVITER_NAME: u16 = 0x4000;
    pub(super) const SESSION: u16 = 0x2000;
    pub(super) const GROUP_NAME: u16 = 0x1000;
    pub(super) const GROUP: u16 = 0x0800;
}

/// The bit of manual answer override.
const OVERRIDE: u8 = 0x80;

/// RFC 3550 §6.5.1, §6.5.2.
const CNAME: u8 = 1;
const SDES_NAME: u8 = 2;

impl Packet {
    /// Writes the packet. Texts longer than 255 octets are cut between two characters.
    ///
    /// # Errors
    /// [`TooLong`] beyond 1,024 octets.
    pub fn write(&self) -> Result<Bytes, TooLong> {
        let mut out = BytesMut::with_capacity(64);
        out.put_bytes(0, HEADER);
        let subtype = match &self.message {
            Message::Connect(connect) => {
                connect.write(&mut out);
                subtype::CONNECT
            }
            Message::Disconnect => subtype::DISCONNECT,
            Message::Acknowledgement(acknowledgement) => {
                // Five bits and eleven, then two octets of nothing.
                let (of, reason) = acknowledgement.code();
                out.put_u16(u16::from(of) << 11 | reason);
                out.put_u16(0);
                subtype::ACKNOWLEDGEMENT
            }
        };
        // User-plane digest 3.2: padded with zero octets that the length counts, the P bit stays clear.
        out.put_bytes(0, out.len().next_multiple_of(4) - out.len());
        if out.len() > LENGTH_MAX {
            return Err(TooLong);
        }
        let words = u16::try_from(out.len() / 4 - 1).expect("below the longest message");
        let mut header = &mut out[..HEADER];
        header.put_u8(0x80 | subtype);
        header.put_u8(APP);
        header.put_u16(words);
        header.put_u32(self.ssrc);
        header.put_slice(NAME);
        Ok(out.freeze())
    }

    /// Reads the data of a packet; `None` if the subtype means nothing here (user-plane digest 3.3 step 9).
    pub(super) fn read(subtype: u8, ssrc: u32, data: &[u8]) -> Result<Option<Self>, Malformed> {
        let mut reader = Reader(data);
        let message = match subtype {
            subtype::CONNECT => Message::Connect(Box::new(Connect::read(&mut reader)?)),
            subtype::DISCONNECT => Message::Disconnect,
            subtype::ACKNOWLEDGEMENT => {
                let code = reader.number()?;
                reader.number()?;
                let of = u8::try_from(code >> 11).expect("five bits");
                Message::Acknowledgement(Acknowledgement::of_code(of, code & 0x07ff)?)
            }
            _ => return Ok(None),
        };
        reader.skip_items()?;
        Ok(Some(Self { ssrc, message }))
    }
}

impl Connect {
    fn write(&self, out: &mut BytesMut) {
        let name = |name: &Option<String>| name.as_ref().map(|name| Bytes::copy_from_slice(name.as_bytes()));
        let items = [
            (content::INVITER, CNAME, self.inviter.clone()),
            (content::INVITER_NAME, SDES_NAME, name(&self.inviter_name)),
            (content::SESSION, CNAME, self.session.clone()),
            (content::GROUP_NAME, SDES_NAME, name(&self.group_name)),
            (content::GROUP, CNAME, self.group.clone()),
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
        for (kind, text) in items.iter().filter_map(|(_, kind, text)| Some((kind, text.as_ref()?))) {
            let text = shortened(text);
            out.put_u8(*kind);
            out.put_u8(u8::try_from(text.len()).expect("at most 255"));
            out.put_slice(text);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let bits = reader.number()?;
        let [session_type, flags] = reader.number()?.to_be_bytes();
        // In the order of the bits, whatever type each has (user-plane digest 4.11).
        let mut item = |bit| if bits & bit == 0 { Ok(None) } else { reader.item().map(Some) };
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

impl Acknowledgement {
    /// The subtype that it acknowledges, and the reason.
    const fn code(self) -> (u8, u16) {
        match self {
            Self::Taken => (subtype::TAKEN_ACKNOWLEDGED, 0),
            Self::Connect(Answer::Accepted) => (subtype::CONNECT, 0),
            Self::Connect(Answer::Busy) => (subtype::CONNECT, 1),
            Self::Connect(Answer::NotAccepted) => (subtype::CONNECT, 2),
            Self::Disconnect => (subtype::DISCONNECT, 0),
        }
    }

    /// A reason means something for a Connect only; one that nobody knows is not "accepted".
    const fn of_code(of: u8, reason: u16) -> Result<Self, Malformed> {
        match (of, reason) {
            (subtype::TAKEN_ACKNOWLEDGED, _) => Ok(Self::Taken),
            (subtype::CONNECT, 0) => Ok(Self::Connect(Answer::Accepted)),
            (subtype::CONNECT, 1) => Ok(Self::Connect(Answer::Busy)),
            (subtype::CONNECT, _) => Ok(Self::Connect(Answer::NotAccepted)),
            (subtype::DISCONNECT, _) => Ok(Self::Disconnect),
            _ => Err(Malformed::Acknowledged),
        }
    }
}

/// At most 255 octets, and no part of a character.
fn shortened(text: &[u8]) -> &[u8] {
    if text.len() <= TEXT_MAX {
        return text;
    }
    // An octet that begins a character is none of 10xxxxxx.
    let end = (0..=TEXT_MAX).rev().find(|at| text[*at] & 0xc0 != 0x80).unwrap_or(TEXT_MAX);
    &text[..end]
}

fn uri(text: &[u8]) -> Result<Bytes, Malformed> {
    let is_uri = !text.is_empty() && text.iter().all(u8::is_ascii_graphic);
    if is_uri { Ok(Bytes::copy_from_slice(text)) } else { Err(Malformed::Uri) }
}

/// What is shown to a user.
fn name(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// What has not been read of a packet.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize, missing: Malformed) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(missing)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u16, Malformed> {
        let octets = self.take(2, Malformed::Short)?;
        Ok(u16::from_be_bytes([octets[0], octets[1]]))
    }

    /// The text of a type, a length and as many octets.
    fn item(&mut self) -> Result<&'a [u8], Malformed> {
        let head = self.take(2, Malformed::Item)?;
        self.take(head[1].into(), Malformed::Item)
    }

    /// User-plane digest 3.3 step 8: what follows the known fields are items that nobody knows, and padding.
    fn skip_items(&mut self) -> Result<(), Malformed> {
        while let [first, _, ..] = self.0 {
            if *first == 0 {
                self.0 = &self.0[1..];
            } else {
                self.item()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
