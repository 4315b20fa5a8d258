//! The Talk Burst Control Protocol (TBCP) as octets: what a pre-established session needs of it.
//!
//! Comments cite the project's digest of the user plane as "user-plane digest N". Its layouts are those of the Wireshark dissector
//! of the V1.0 text; the OMA text itself was not at hand.

mod framing;
mod message;

pub use framing::{FramingError, packets};
pub use message::{Acknowledgement, Answer, Connect, Malformed, Message, Packet, TooLong};
