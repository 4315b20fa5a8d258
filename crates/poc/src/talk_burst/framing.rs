//! TBCP in RTCP APP packets: user-plane digest 3, RFC 3550 §6.7.

use std::fmt;

use super::message::{Malformed, Packet};

/// Octets of the header of an APP packet.
pub(super) const HEADER: usize = 12;

/// The packet type of APP.
pub(super) const APP: u8 = 204;

/// The name of TBCP V1.0, in this case only.
pub(super) const NAME: &[u8; 4] = b"PoC1";

/// Why a datagram is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FramingError {
    /// It ends within a packet.
    Truncated,
    /// A packet is not of RTP version 2.
    Version,
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "datagram ends within an RTCP packet",
            Self::Version => "RTCP packet of another version",
        })
    }
}

impl std::error::Error for FramingError {}

/// The TBCP packets of a datagram, each as it is read; what is no TBCP, or of a type that is not known here, is skipped.
///
/// # Errors
/// [`FramingError`] if its packets cannot be told apart.
pub fn packets(
    datagram: &[u8],
) -> Result<impl Iterator<Item = Result<Packet, Malformed>> + use<'_>, FramingError> {
    // User-plane digest 3.3 step 3: one length that is wrong drops the datagram, so all are looked at before the first is read.
    let mut rest = datagram;
    while !rest.is_empty() {
        rest = split(rest)?.1;
    }
    if datagram.is_empty() {
        return Err(FramingError::Truncated);
    }
    let mut rest = datagram;
    let each = std::iter::from_fn(move || {
        let (packet, behind) = split(rest).ok()?;
        rest = behind;
        Some(packet)
    });
    Ok(each.filter_map(read))
}

/// User-plane digest 3.3 steps 1 to 3: the first packet, and what stands behind it.
fn split(datagram: &[u8]) -> Result<(&[u8], &[u8]), FramingError> {
    let &[first, _, high, low, ..] = datagram else { return Err(FramingError::Truncated) };
    if first >> 6 != 2 {
        return Err(FramingError::Version);
    }
    let length = (usize::from(u16::from_be_bytes([high, low])) + 1) * 4;
    datagram.split_at_checked(length).ok_or(FramingError::Truncated)
}

/// Steps 4 to 7: an APP packet of ours.
fn read(packet: &[u8]) -> Option<Result<Packet, Malformed>> {
    if packet[1] != APP {
        return None;
    }
    let Some((header, data)) = packet.split_first_chunk::<HEADER>() else {
        return Some(Err(Malformed::Short));
    };
    if &header[8..] != NAME {
        return None;
    }
    let ssrc = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    // Step 6, RFC 3550 §6.4.1: the last octet counts the padding, itself included.
    let data = match data.last() {
        Some(count) if header[0] & 0x20 != 0 => {
            match data.len().checked_sub(usize::from(*count)).filter(|_| *count > 0) {
                Some(length) => &data[..length],
                None => return Some(Err(Malformed::Padding)),
            }
        }
        None if header[0] & 0x20 != 0 => return Some(Err(Malformed::Padding)),
        Some(_) | None => data,
    };
    Packet::read(header[0] & 0x1f, ssrc, data).transpose()
}

#[cfg(test)]
mod tests;
