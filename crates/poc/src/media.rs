//! What the media of a PoC Session come and go by.

use serde::{Deserialize, Serialize};

use crate::amr;
use crate::sdp::Codec;

/// What is received on a port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Stream {
    /// RTP.
    Speech,
    /// RTCP, talk burst control in it.
    Control,
}

impl Stream {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Speech, Self::Control];
}

/// Octets of a datagram that only keeps a way open, at most (user-plane digest 10.7).
pub(crate) const KEEP_ALIVE_MAX: usize = 3;

/// What speech is coded in, as far as that matters to whoever passes it on or keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Encoding {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// AMR or AMR-WB.
    Amr(amr::Format),
    /// Opus.
    Opus,
    /// Something that is passed on as it is.
    Other,
}

impl Encoding {
    /// That of a codec as it was agreed.
    pub fn of(codec: &Codec) -> Self {
        let is = |name: &str| codec.name.eq_ignore_ascii_case(name);
        let amr = |is_wide| Self::Amr(amr::Format { is_wide, is_octet_aligned: codec.is_octet_aligned() });
        match () {
            () if is("PCMU") => Self::Pcmu,
            () if is("PCMA") => Self::Pcma,
            () if is("AMR") => amr(false),
            () if is("AMR-WB") => amr(true),
            () if is("opus") => Self::Opus,
            () => Self::Other,
        }
    }
}
