//! Talk bursts as they are told: who speaks, who may, and who may not.

use std::fmt;

use poc::talk_burst::client::Told as Happened;
use poc::talk_burst::{DenyReason, Position, Revoke, Taken};
use serde::Serialize;

use super::voice::{BAD, CALL, GOOD, safe};

/// What became of the talk burst.
#[derive(Serialize)]
#[serde(tag = "talk_burst", rename_all = "kebab-case")]
pub(crate) enum Burst {
    /// The user speaks.
    Granted {
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<u16>,
    },
    /// It is the user's turn, and the key is not pressed.
    Waits {
        seconds: f64,
    },
    Ending {
        seconds: u16,
    },
    Over,
    Denied {
        reason: &'static str,
        phrase: String,
    },
    Taken {
        by: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    Idle,
    Revoked {
        reason: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds_to_retry: Option<u16>,
    },
    Queued {
        #[serde(skip_serializing_if = "Option::is_none")]
        position: Option<u16>,
    },
    NotQueued,
    EndOfSpeech,
    RequestTimedOut,
    NotYet {
        seconds: u16,
    },
    MayAskAgain,
}

impl From<&Happened> for Burst {
    fn from(happened: &Happened) -> Self {
        match happened {
            Happened::Granted { seconds, .. } => Self::Granted { seconds: *seconds },
            Happened::GrantWaits { wait } => Self::Waits { seconds: wait.as_secs_f64() },
            Happened::TimeIsShort { seconds } => Self::Ending { seconds: *seconds },
            Happened::TimeIsOver => Self::Over,
            Happened::Denied { reason, phrase } => {
                Self::Denied { reason: reason_of(*reason), phrase: phrase.clone() }
            }
            Happened::TakenBy(taken) => {
                let Taken { identity, name, .. } = &**taken;
                Self::Taken {
                    by: String::from_utf8_lossy(identity).into_owned(),
                    name: name.as_deref().map(str::to_owned),
                }
            }
            Happened::Idle => Self::Idle,
            Happened::Revoked(revoke) => {
                let seconds_to_retry = match revoke {
                    Revoke::TooLong { retry_after } => Some(*retry_after),
                    Revoke::OnlyOne | Revoke::NotPermitted | Revoke::PreEmpted | Revoke::Unknown { .. } => {
                        None
                    }
                };
                Self::Revoked { reason: why(*revoke), seconds_to_retry }
            }
            Happened::Queued { position, .. } => Self::Queued {
                position: match position {
                    Position::Place(place) => Some(*place),
                    Position::NotQueued | Position::Unknown => None,
                },
            },
            Happened::NotQueued => Self::NotQueued,
            Happened::EndOfSpeech => Self::EndOfSpeech,
            Happened::RequestTimedOut => Self::RequestTimedOut,
            Happened::RefusedLocally { seconds } => Self::NotYet { seconds: *seconds },
            Happened::MayAskAgain => Self::MayAskAgain,
        }
    }
}

const fn reason_of(reason: DenyReason) -> &'static str {
    match reason {
        DenyReason::Taken => "somebody else speaks",
        DenyReason::ServerError => "the server has failed",
        DenyReason::OnlyOne => "nobody else is in the session",
        DenyReason::RetryAfter => "the time to wait is not over",
        DenyReason::ListenOnly => "this user only listens",
        DenyReason::Unknown(_) => "the server gives no reason",
    }
}

const fn why(revoke: Revoke) -> &'static str {
    match revoke {
        Revoke::OnlyOne => "nobody else is in the session",
        Revoke::TooLong { .. } => "too long",
        Revoke::NotPermitted => "no permission",
        Revoke::PreEmpted => "somebody more important speaks",
        Revoke::Unknown { .. } => "the server gives no reason",
    }
}

impl fmt::Display for Burst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Granted { seconds } => {
                write!(f, "{GOOD}speak{GOOD:#}")?;
                seconds.map_or(Ok(()), |seconds| write!(f, ", for {seconds} s at most"))
            }
            Self::Waits { seconds } => write!(f, "{GOOD}your turn{GOOD:#}: press within {seconds:.0} s"),
            Self::Ending { seconds } => write!(f, "{seconds} s left"),
            Self::Over => write!(f, "{BAD}time is over{BAD:#}"),
            Self::Denied { reason, phrase } if phrase.is_empty() => {
                write!(f, "{BAD}not now{BAD:#}: {reason}")
            }
            Self::Denied { reason, phrase } => write!(f, "{BAD}not now{BAD:#}: {reason} ({})", safe(phrase)),
            Self::Taken { by, name } => match name {
                Some(name) => write!(f, "{CALL}{} speaks{CALL:#}", safe(name)),
                None => write!(f, "{CALL}{} speaks{CALL:#}", safe(by)),
            },
            Self::Idle => f.write_str("nobody speaks"),
            Self::Revoked { reason, seconds_to_retry } => {
                write!(f, "{BAD}stop{BAD:#}: {reason}")?;
                seconds_to_retry.map_or(Ok(()), |seconds| write!(f, ", again in {seconds} s"))
            }
            Self::Queued { position: Some(position) } => write!(f, "in the queue, at place {position}"),
            Self::Queued { position: None } => f.write_str("in the queue"),
            Self::NotQueued => f.write_str("not in the queue"),
            Self::EndOfSpeech => f.write_str("nothing more is heard"),
            Self::RequestTimedOut => write!(f, "{BAD}the server does not answer{BAD:#}"),
            Self::NotYet { seconds } => write!(f, "{BAD}not yet{BAD:#}: wait {seconds} s"),
            Self::MayAskAgain => f.write_str("you may ask again"),
        }
    }
}
