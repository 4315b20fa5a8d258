//! A message as octets: user-plane digest 3.2, 4.

use bytes::{BufMut, Bytes, BytesMut};

use super::super::framing::{APP, HEADER, NAME};
use super::{IGNORE, Message, Packet, TooLong, item, subtype};

/// Octets of the longest message that is written (user-plane digest 4.13).
const LENGTH_MAX: usize = 1024;

/// Octets of the longest text: its length has one octet.
const TEXT_MAX: usize = 255;

impl Packet {
    /// Writes the packet. Texts longer than 255 octets are cut between two characters.
    ///
    /// # Errors
    /// [`TooLong`] beyond 1,024 octets.
    pub fn write(&self) -> Result<Bytes, TooLong> {
        self.write_in(&mut BytesMut::with_capacity(64))
    }

    /// The same in room that is used again: what is in it is thrown away, and what is written is split off.
    ///
    /// # Errors
    /// [`TooLong`] beyond 1,024 octets.
    pub fn write_in(&self, out: &mut BytesMut) -> Result<Bytes, TooLong> {
        out.clear();
        out.put_bytes(0, HEADER);
        let subtype = self.message.write(out);
        // User-plane digest 3.2: padded with zero octets that the length counts, the P bit stays clear.
        align(out);
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
        Ok(out.split().freeze())
    }
}

impl Message {
    /// Writes the data; the subtype.
    fn write(&self, out: &mut BytesMut) -> u8 {
        match self {
            Self::Request { priority, timestamp } => {
                if let Some(priority) = priority {
                    put_number(out, item::PRIORITY, priority.code().into());
                }
                if let Some(timestamp) = timestamp {
                    out.put_slice(&[item::TIMESTAMP, 8]);
                    out.put_u64(timestamp.0);
                }
                subtype::REQUEST
            }
            Self::Granted { stop_talking, participants } => {
                put_number(out, item::STOP_TALKING, stop_talking.code());
                if let Some(participants) = participants {
                    put_number(out, item::PARTICIPANTS, *participants);
                }
                subtype::GRANTED
            }
            Self::Taken(taken) => {
                taken.write(out);
                if taken.is_acknowledged { subtype::TAKEN_ACKNOWLEDGED } else { subtype::TAKEN }
            }
            Self::Deny { reason, phrase } => {
                put_text(out, reason.code(), phrase.as_bytes());
                subtype::DENY
            }
            Self::Release { last } => {
                out.put_u16(last.unwrap_or(0));
                out.put_u16(if last.is_none() { IGNORE } else { 0 });
                subtype::RELEASE
            }
            Self::Idle => subtype::IDLE,
            Self::Revoke(revoke) => {
                let (reason, information) = revoke.code();
                out.put_u16(reason);
                out.put_u16(information);
                subtype::REVOKE
            }
            Self::Acknowledgement(acknowledgement) => {
                // Five bits and eleven, then two octets of nothing.
                let (of, reason) = acknowledgement.code();
                out.put_u16(u16::from(of) << 11 | reason);
                out.put_u16(0);
                subtype::ACKNOWLEDGEMENT
            }
            Self::QueueStatusRequest => subtype::QUEUE_STATUS_REQUEST,
            Self::QueueStatus { priority, position } => {
                out.put_u8(priority.code());
                out.put_u16(position.code());
                out.put_u8(0);
                subtype::QUEUE_STATUS
            }
            Self::Connect(connect) => {
                connect.write(out);
                subtype::CONNECT
            }
            Self::Disconnect => subtype::DISCONNECT,
        }
    }
}

/// Zero octets up to the next word.
pub(super) fn align(out: &mut BytesMut) {
    out.put_bytes(0, out.len().next_multiple_of(4) - out.len());
}

/// An item of two octets.
pub(super) fn put_number(out: &mut BytesMut, code: u8, number: u16) {
    out.put_slice(&[code, 2]);
    out.put_u16(number);
}

/// An octet that says what it is, a length and as many octets.
pub(super) fn put_text(out: &mut BytesMut, kind: u8, text: &[u8]) {
    let text = shortened(text);
    out.put_u8(kind);
    out.put_u8(u8::try_from(text.len()).expect("at most 255"));
    out.put_slice(text);
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
