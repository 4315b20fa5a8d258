//! Session records: one for each INVITE that reached the PoC Server, closed once (I13, C84).

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sip::Instant;
use sip::usage::End;

/// How an INVITE that reached this server ended, and what came of it.
///
/// The Controlling PoC Function closes one for the session that the INVITE asked for, the Participating PoC Function
/// one for the invitation of its user. It is closed once nobody is left ringing or connected because of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Counts the records of one shard.
    pub serial: u64,
    /// Which function closes it.
    pub function: Function,
    /// What kind of session it is about; `None` if the INVITE was refused before that was known.
    pub session_type: Option<SessionType>,
    /// The inviter's PoC Address; empty if it is unknown.
    pub inviter: Bytes,
    /// The PoC Group Identity that the INVITE was for; empty if it was for none.
    pub group: Bytes,
    /// Who was invited, and how that ended.
    pub invitations: Vec<Invitation>,
    /// When the INVITE arrived.
    pub begun: Instant,
    /// When the inviter was told that it was accepted, unconfirmed or not.
    pub answered: Option<Instant>,
    /// When it was over for the inviter: nobody speaks after this.
    pub ended: Instant,
    /// How.
    pub end: End,
    /// Who ended it.
    pub by: Side,
    /// The final response to the INVITE.
    pub status: Option<u16>,
    /// The value of Reason in the message that ended it.
    pub reason: Option<Bytes>,
    /// Legs of which nobody knows how they have ended: nothing was waited for any more ([`Command::Abandon`]).
    ///
    /// [`Command::Abandon`]: super::Command::Abandon
    pub open: usize,
}

impl Record {
    /// That of an INVITE that arrives now, or is asked for; as if a check refused it, until more is known.
    pub(super) fn begun(
        function: Function,
        session_type: Option<SessionType>,
        inviter: Option<&Bytes>,
        now: Instant,
    ) -> Self {
        Self {
            serial: 0,
            function,
            session_type,
            inviter: inviter.cloned().unwrap_or_default(),
            group: Bytes::new(),
            invitations: Vec::new(),
            begun: now,
            answered: None,
            ended: now,
            end: End::Rejected,
            by: Side::Server,
            status: None,
            reason: None,
            open: 0,
        }
    }
}

/// One invited user in a [`Record`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Invitation {
    /// The PoC Address.
    pub invited: Bytes,
    /// When the user, or the user's client, accepted.
    pub answered: Option<Instant>,
    /// When the leg was over.
    pub ended: Instant,
    /// How.
    pub end: End,
    /// The final response to the INVITE of the leg.
    pub status: Option<u16>,
}

/// A function of the PoC Server (digest 2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Function {
    /// The Controlling PoC Function.
    Controlling,
    /// The Participating PoC Function.
    Participating,
}

/// A kind of PoC Session (digest 7.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum SessionType {
    /// Two users.
    #[serde(rename = "1-1")]
    OneToOne,
    /// The users of a list that came with the INVITE.
    #[serde(rename = "adhoc")]
    AdHoc,
    /// The members of a group, whom somebody has invited.
    #[serde(rename = "prearranged")]
    PreArranged,
    /// Those who have joined a group.
    #[serde(rename = "chat")]
    Chat,
}

impl SessionType {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OneToOne => "1-1",
            Self::AdHoc => "adhoc",
            Self::PreArranged => "prearranged",
            Self::Chat => "chat",
        }
    }

    /// The parameter of the PoC Session Identity that tells it (digest 3).
    pub const fn uri_parameter(self) -> &'static [u8] {
        match self {
            Self::OneToOne => b";session=1-1",
            Self::AdHoc => b";session=adhoc",
            Self::PreArranged => b";session=prearranged",
            Self::Chat => b";session=chat",
        }
    }
}

/// Who ended something.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The inviter, or something on the way to it.
    Inviter,
    /// An invited user, or something on the way there.
    Invited,
    /// This server: a check, a timer, the release policy or its operator.
    Server,
}
