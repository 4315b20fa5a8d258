//! The messages of TBCP: user-plane digest 4.

use std::fmt;

use bytes::Bytes;

mod connect;
mod fields;
mod read;
mod taken;
mod write;

pub use connect::Connect;
pub use fields::{
    Acknowledgement, Answer, DenyReason, NtpTimestamp, Position, Priority, Revoke, StopTalking,
};
pub use taken::Taken;

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
    /// The client to the server: its user wants to speak (user-plane digest 4.2).
    Request {
        /// Normal if it is not told.
        priority: Option<Priority>,
        /// When the user asked.
        timestamp: Option<NtpTimestamp>,
    },
    /// The server to the client: its user may speak (user-plane digest 4.3).
    Granted {
        /// For how long.
        stop_talking: StopTalking,
        /// How many take part, if it is told: 0 if the server does not know, 65,535 if it is that many or more.
        participants: Option<u16>,
    },
    /// The server to the client: somebody else speaks (user-plane digest 4.4).
    Taken(Taken),
    /// The server to the client: its user may not speak now (user-plane digest 4.5).
    Deny {
        /// Why.
        reason: DenyReason,
        /// The same for the user to read; may be empty.
        phrase: String,
    },
    /// The client to the server: its user has spoken, or does not want to any more (user-plane digest 4.6).
    Release {
        /// The sequence number of the last RTP packet; `None` if it is to be ignored, for there was none.
        last: Option<u16>,
    },
    /// The server to the client: nobody speaks (user-plane digest 4.7).
    Idle,
    /// The server to the client: its user must stop (user-plane digest 4.8).
    Revoke(Revoke),
    /// The client to the server: a message has arrived (user-plane digest 4.9).
    Acknowledgement(Acknowledgement),
    /// The client to the server: which place its request has (user-plane digest 4.10).
    QueueStatusRequest,
    /// The server to the client: the place of its request (user-plane digest 4.10).
    QueueStatus {
        /// The priority with which it is queued; [`Priority::None`]: it is not.
        priority: Priority,
        /// The place.
        position: Position,
    },
    /// The server to the client: a PoC Session begins on the pre-established session.
    Connect(Box<Connect>),
    /// The server to the client: it has ended, and the pre-established session stays.
    Disconnect,
}

/// The name of the message.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request { .. } => "Talk Burst Request",
            Self::Granted { .. } => "Talk Burst Granted",
            Self::Taken(_) => "Talk Burst Taken",
            Self::Deny { .. } => "Talk Burst Deny",
            Self::Release { .. } => "Talk Burst Release",
            Self::Idle => "Talk Burst Idle",
            Self::Revoke(_) => "Talk Burst Revoke",
            Self::Acknowledgement(_) => "Talk Burst Acknowledgement",
            Self::QueueStatusRequest => "Queue Status Request",
            Self::QueueStatus { .. } => "Queue Status Response",
            Self::Connect(_) => "Connect",
            Self::Disconnect => "Disconnect",
        })
    }
}

/// Why a packet is dropped: whoever sent it is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Malformed {
    /// A field that must be there does not fit.
    Short,
    /// More padding than data, or none although it is announced.
    Padding,
    /// An item runs past the end, or has another length than its kind.
    Item,
    /// Nobody is named who speaks.
    Identity,
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
            Self::Item => "TBCP message with an item of a wrong length",
            Self::Identity => "TBCP message that names nobody",
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
    pub(super) const REQUEST: u8 = 0;
    pub(super) const GRANTED: u8 = 1;
    pub(super) const TAKEN: u8 = 2;
    pub(super) const DENY: u8 = 3;
    pub(super) const RELEASE: u8 = 4;
    pub(super) const IDLE: u8 = 5;
    pub(super) const REVOKE: u8 = 6;
    pub(super) const ACKNOWLEDGEMENT: u8 = 7;
    pub(super) const QUEUE_STATUS_REQUEST: u8 = 8;
    pub(super) const QUEUE_STATUS: u8 = 9;
    pub(super) const DISCONNECT: u8 = 11;
    pub(super) const CONNECT: u8 = 15;
    pub(super) const TAKEN_ACKNOWLEDGED: u8 = 18;
}

/// User-plane digest 4.12.
mod item {
    pub(super) const PARTICIPANTS: u8 = 100;
    pub(super) const STOP_TALKING: u8 = 101;
    pub(super) const PRIORITY: u8 = 102;
    pub(super) const TIMESTAMP: u8 = 103;
}

/// RFC 3550 §6.5.1, §6.5.2.
mod sdes {
    pub(super) const CNAME: u8 = 1;
    pub(super) const NAME: u8 = 2;
}

/// User-plane digest 4.6: the sequence number is to be ignored.
const IGNORE: u16 = 0x8000;

fn uri(text: &[u8]) -> Result<Bytes, Malformed> {
    let is_uri = !text.is_empty() && text.iter().all(u8::is_ascii_graphic);
    if is_uri { Ok(Bytes::copy_from_slice(text)) } else { Err(Malformed::Uri) }
}

/// What is shown to a user. What is no UTF-8 becomes one `?`, so that it is no longer than it came (user-plane digest 4.13).
fn name(text: &[u8]) -> String {
    let mut name = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        name.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            name.push('?');
        }
    }
    name
}

#[cfg(test)]
mod tests;
