//! The Talk Burst Control Protocol (TBCP): the messages by which a user asks to speak and a server lets one user at a time.
//!
//! Comments cite the project's digest of the user plane as "user-plane digest N", or by the row of one of its tables ("c16"). Its
//! layouts are those of the Wireshark dissector of the V1.0 text; the OMA text itself was not at hand.

pub mod client;
pub mod controlling;
mod framing;
mod message;

pub use framing::{FramingError, packets};
pub use message::{
    Acknowledgement, Answer, Connect, DenyReason, Malformed, Message, NtpTimestamp, Packet, Position,
    Priority, Revoke, StopTalking, Taken, TooLong,
};

#[cfg(test)]
mod tests;
