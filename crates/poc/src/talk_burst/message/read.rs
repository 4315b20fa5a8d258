//! A message from octets: user-plane digest 3.3, 4.

use super::{
    Acknowledgement, Connect, DenyReason, IGNORE, Malformed, Message, NtpTimestamp, Packet, Position,
    Priority, Revoke, StopTalking, Taken, item, name, subtype,
};

impl Packet {
    /// Reads the data of a packet; `None` if the subtype means nothing here (user-plane digest 3.3 step 9).
    pub(in super::super) fn read(subtype: u8, ssrc: u32, data: &[u8]) -> Result<Option<Self>, Malformed> {
        let mut reader = Reader(data);
        let Some(message) = Message::read(subtype, &mut reader)? else { return Ok(None) };
        // Step 8: what follows the known fields are items that nobody knows, and padding.
        while reader.next_item()?.is_some() {}
        Ok(Some(Self { ssrc, message }))
    }
}

impl Message {
    fn read(subtype: u8, reader: &mut Reader<'_>) -> Result<Option<Self>, Malformed> {
        Ok(Some(match subtype {
            subtype::REQUEST => Self::read_request(reader)?,
            subtype::GRANTED => Self::read_granted(reader)?,
            subtype::TAKEN => Self::Taken(Taken::read(reader, false)?),
            subtype::TAKEN_ACKNOWLEDGED => Self::Taken(Taken::read(reader, true)?),
            subtype::DENY => {
                let (reason, phrase) = reader.item()?;
                Self::Deny { reason: DenyReason::of_code(reason), phrase: name(phrase) }
            }
            subtype::RELEASE => {
                let (last, flags) = (reader.number()?, reader.number()?);
                Self::Release { last: (flags & IGNORE == 0).then_some(last) }
            }
            subtype::IDLE => Self::Idle,
            subtype::REVOKE => {
                let (reason, information) = (reader.number()?, reader.number()?);
                Self::Revoke(Revoke::of_code(reason, information))
            }
            subtype::ACKNOWLEDGEMENT => {
                let code = reader.number()?;
                reader.number()?;
                let of = u8::try_from(code >> 11).expect("five bits");
                Self::Acknowledgement(Acknowledgement::of_code(of, code & 0x07ff)?)
            }
            subtype::QUEUE_STATUS_REQUEST => Self::QueueStatusRequest,
            subtype::QUEUE_STATUS => {
                let [priority, high, low, _] = reader.word()?.to_be_bytes();
                let position = Position::of_code(u16::from_be_bytes([high, low]));
                Self::QueueStatus { priority: Priority::of_code(priority.into()), position }
            }
            subtype::CONNECT => Self::Connect(Box::new(Connect::read(reader)?)),
            subtype::DISCONNECT => Self::Disconnect,
            _ => return Ok(None),
        }))
    }

    /// In any order (user-plane digest 3.3).
    fn read_request(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (mut priority, mut timestamp) = (None, None);
        while let Some((code, value)) = reader.next_item()? {
            match code {
                item::PRIORITY => priority = Some(Priority::of_code(number(value)?)),
                item::TIMESTAMP => {
                    let octets = value.try_into().map_err(|_| Malformed::Item)?;
                    timestamp = Some(NtpTimestamp(u64::from_be_bytes(octets)));
                }
                _ => {}
            }
        }
        Ok(Self::Request { priority, timestamp })
    }

    /// User-plane digest 4.3: a draft had no data.
    fn read_granted(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (mut stop_talking, mut participants) = (StopTalking::Unknown, None);
        while let Some((code, value)) = reader.next_item()? {
            match code {
                item::STOP_TALKING => stop_talking = StopTalking::of_code(number(value)?),
                item::PARTICIPANTS => participants = Some(number(value)?),
                _ => {}
            }
        }
        Ok(Self::Granted { stop_talking, participants })
    }
}

/// The value of an item of two octets.
pub(super) fn number(value: &[u8]) -> Result<u16, Malformed> {
    value.try_into().map(u16::from_be_bytes).map_err(|_| Malformed::Item)
}

/// What has not been read of a packet.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize, missing: Malformed) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(missing)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Two octets.
    pub(super) fn number(&mut self) -> Result<u16, Malformed> {
        let octets = self.take(2, Malformed::Short)?;
        Ok(u16::from_be_bytes([octets[0], octets[1]]))
    }

    /// Four octets.
    pub(super) fn word(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from(self.number()?) << 16 | u32::from(self.number()?))
    }

    /// An octet that says what it is, and the octets that a length counts.
    pub(super) fn item(&mut self) -> Result<(u8, &'a [u8]), Malformed> {
        let head = self.take(2, Malformed::Short)?;
        Ok((head[0], self.take(head[1].into(), Malformed::Item)?))
    }

    /// The octets of the next item if it is `kind`.
    pub(super) fn item_of(&mut self, kind: u8) -> Result<Option<&'a [u8]>, Malformed> {
        match self.0 {
            [first, _, ..] if *first == kind => self.item().map(|(_, text)| Some(text)),
            _ => Ok(None),
        }
    }

    /// User-plane digest 3.3 step 8: the next item, behind what padding there is.
    pub(super) fn next_item(&mut self) -> Result<Option<(u8, &'a [u8])>, Malformed> {
        while let [first, _, ..] = self.0 {
            if *first != 0 {
                return self.item().map(Some);
            }
            self.0 = &self.0[1..];
        }
        Ok(None)
    }
}
