//! The values that a message carries.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Malformed, subtype};

/// How much a request matters: user-plane digest 4.2. The higher goes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Priority {
    /// No priority; of a request in a queue: it is not there.
    None,
    /// As any other.
    Normal,
    /// Before the normal ones.
    High,
    /// Whoever speaks must stop.
    PreEmptive,
}

impl Priority {
    /// As it is written, here and in `tb_priority` of SDP.
    pub const fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Normal => 1,
            Self::High => 2,
            Self::PreEmptive => 3,
        }
    }

    /// More than the highest is the highest, which a server lowers to what was agreed (user-plane digest 4.2).
    pub const fn of_code(code: u16) -> Self {
        match code {
            0 => Self::None,
            1 => Self::Normal,
            2 => Self::High,
            3.. => Self::PreEmptive,
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "no priority",
            Self::Normal => "normal",
            Self::High => "high",
            Self::PreEmptive => "pre-emptive",
        })
    }
}

/// A moment as NTP has it: seconds since 1900 in the upper half, their fraction in the lower (RFC 3550 §4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct NtpTimestamp(pub u64);

impl NtpTimestamp {
    /// The moment so long after the beginning of 1970.
    pub fn of_unix(since_1970: Duration) -> Self {
        const FROM_1900_TO_1970: u64 = 2_208_988_800;
        // The seconds begin again with 0 in 2036.
        let seconds = since_1970.as_secs().wrapping_add(FROM_1900_TO_1970) << 32;
        let fraction = (u64::from(since_1970.subsec_nanos()) << 32) / 1_000_000_000;
        Self(seconds | fraction)
    }
}

/// How long a talk burst may be: user-plane digest 4.3.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StopTalking {
    /// It is not told.
    Unknown,
    /// So many seconds, from 1 to 65,534.
    Seconds(u16),
    /// As long as its user likes.
    Infinite,
}

impl StopTalking {
    /// As it is written.
    pub const fn code(self) -> u16 {
        match self {
            Self::Unknown => 0,
            Self::Seconds(seconds) => seconds,
            Self::Infinite => u16::MAX,
        }
    }

    /// As it is read.
    pub const fn of_code(code: u16) -> Self {
        match code {
            0 => Self::Unknown,
            1..u16::MAX => Self::Seconds(code),
            u16::MAX => Self::Infinite,
        }
    }
}

/// Why a request is denied: user-plane digest 4.5.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DenyReason {
    /// Another PoC User has permission.
    Taken,
    /// Internal PoC server error.
    ServerError,
    /// Only one participant is in the session.
    OnlyOne,
    /// The retry-after timer has not expired.
    RetryAfter,
    /// The user may listen only.
    ListenOnly,
    /// Something that nobody here knows.
    Unknown(u8),
}

impl DenyReason {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Taken => 1,
            Self::ServerError => 2,
            Self::OnlyOne => 3,
            Self::RetryAfter => 4,
            Self::ListenOnly => 5,
            Self::Unknown(code) => code,
        }
    }

    pub(super) const fn of_code(code: u8) -> Self {
        match code {
            1 => Self::Taken,
            2 => Self::ServerError,
            3 => Self::OnlyOne,
            4 => Self::RetryAfter,
            5 => Self::ListenOnly,
            0 | 6.. => Self::Unknown(code),
        }
    }
}

impl fmt::Display for DenyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken => f.write_str("another PoC User has permission"),
            Self::ServerError => f.write_str("internal PoC server error"),
            Self::OnlyOne => f.write_str("only one participant"),
            Self::RetryAfter => f.write_str("retry-after timer has not expired"),
            Self::ListenOnly => f.write_str("listen only"),
            Self::Unknown(code) => write!(f, "reason {code}"),
        }
    }
}

/// Why a talk burst must end: user-plane digest 4.8.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Revoke {
    /// Only one user is in the session.
    OnlyOne,
    /// The talk burst is too long.
    TooLong {
        /// So many seconds later its user may ask again.
        retry_after: u16,
    },
    /// There is no permission to send a talk burst.
    NotPermitted,
    /// Somebody more important speaks.
    PreEmpted,
    /// Something that nobody here knows.
    Unknown {
        /// The reason code.
        reason: u16,
        /// The additional information.
        information: u16,
    },
}

impl Revoke {
    /// The reason code, and the additional information.
    pub(super) const fn code(self) -> (u16, u16) {
        match self {
            Self::OnlyOne => (1, 0),
            Self::TooLong { retry_after } => (2, retry_after),
            Self::NotPermitted => (3, 0),
            Self::PreEmpted => (4, 0),
            Self::Unknown { reason, information } => (reason, information),
        }
    }

    pub(in super::super) const fn of_code(reason: u16, information: u16) -> Self {
        match reason {
            1 => Self::OnlyOne,
            2 => Self::TooLong { retry_after: information },
            3 => Self::NotPermitted,
            4 => Self::PreEmpted,
            0 | 5.. => Self::Unknown { reason, information },
        }
    }
}

impl fmt::Display for Revoke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnlyOne => f.write_str("only one user"),
            Self::TooLong { .. } => f.write_str("talk burst too long"),
            Self::NotPermitted => f.write_str("no permission to send a talk burst"),
            Self::PreEmpted => f.write_str("talk burst pre-empted"),
            Self::Unknown { reason, .. } => write!(f, "reason {reason}"),
        }
    }
}

/// The place of a request in the queue: user-plane digest 4.10.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Position {
    /// It is not in the queue.
    NotQueued,
    /// From 1, which is granted next, to 65,534.
    Place(u16),
    /// It is in the queue, and the place is not told.
    Unknown,
}

impl Position {
    pub(super) const fn code(self) -> u16 {
        match self {
            Self::NotQueued => 0,
            Self::Place(place) => place,
            Self::Unknown => u16::MAX,
        }
    }

    pub(in super::super) const fn of_code(code: u16) -> Self {
        match code {
            0 => Self::NotQueued,
            1..u16::MAX => Self::Place(code),
            u16::MAX => Self::Unknown,
        }
    }
}

/// What has arrived: user-plane digest 4.9.
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

impl Acknowledgement {
    /// The subtype that it acknowledges, and the reason.
    pub(super) const fn code(self) -> (u8, u16) {
        match self {
            Self::Taken => (subtype::TAKEN_ACKNOWLEDGED, 0),
            Self::Connect(Answer::Accepted) => (subtype::CONNECT, 0),
            Self::Connect(Answer::Busy) => (subtype::CONNECT, 1),
            Self::Connect(Answer::NotAccepted) => (subtype::CONNECT, 2),
            Self::Disconnect => (subtype::DISCONNECT, 0),
        }
    }

    /// A reason means something for a Connect only; one that nobody knows is not "accepted".
    pub(super) const fn of_code(of: u8, reason: u16) -> Result<Self, Malformed> {
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
