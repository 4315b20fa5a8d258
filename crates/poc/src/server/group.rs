//! Group documents: who belongs together, who may do what, and when a session of them ends (digest 7.1, 10.5).

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sip::Duration;

use super::record::SessionType;

/// A group that is hosted here.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Group {
    /// The PoC Group Identity: `sip:patrol@home1.example`.
    pub address: Bytes,
    /// What its members see as its name; empty for none.
    pub display_name: String,
    /// What becomes of an INVITE for it.
    pub kind: GroupKind,
    /// Who belongs to it; a member may be a group, of this network or of another.
    pub members: Vec<GroupMember>,
    /// Who may begin a session of which nobody is a participant yet.
    pub initiates: Who,
    /// Who may join the session.
    pub joins: Who,
    /// Who may subscribe to the state of the session, besides its participants.
    pub subscribes: Who,
    /// Who may add users to the session and remove them.
    pub adds: Who,
    /// Which of the participants may ask for the talk burst; the others listen only.
    #[serde(default = "Who::all")]
    pub speaks: Who,
    /// Whether a participant may hide who it is.
    pub admits_anonymous: bool,
    /// Participants that a session may have at once.
    pub participants_max: usize,
    /// Participants, the initiator among them, without whom a session does not begin. At least two count.
    pub participants_min: usize,
    /// When a session ends although somebody would go on.
    pub release: ReleasePolicy,
    /// Whether there may be sessions at all.
    pub is_enabled: bool,
}

/// What kind a group is (digest 7.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupKind {
    /// Whoever begins a session invites all members.
    PreArranged,
    /// Nobody is invited, each joins.
    Chat,
    /// As pre-arranged, but ordinary members hear only the distinguished ones (1-many-1).
    Dispatch,
}

impl GroupKind {
    /// The kind of session that its groups have.
    pub const fn session_type(self) -> SessionType {
        match self {
            Self::PreArranged | Self::Dispatch => SessionType::PreArranged,
            Self::Chat => SessionType::Chat,
        }
    }
}

/// Somebody who belongs to a group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GroupMember {
    /// The PoC Address, or the identity of a group.
    pub address: Bytes,
    /// As what.
    pub role: GroupRole,
}

/// As what somebody belongs to a group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupRole {
    /// As everybody else.
    #[default]
    Ordinary,
    /// As the dispatcher of a dispatch group.
    Distinguished,
}

impl GroupRole {
    /// Whether a participant of this role hears one of `talker` in a session of a group of `kind`.
    pub const fn hears(self, talker: Self, kind: GroupKind) -> bool {
        match (kind, self, talker) {
            (GroupKind::Dispatch, Self::Ordinary, Self::Ordinary) => false,
            (GroupKind::Dispatch, Self::Distinguished, _)
            | (GroupKind::Dispatch, Self::Ordinary, Self::Distinguished)
            | (GroupKind::PreArranged | GroupKind::Chat, ..) => true,
        }
    }
}

/// Who may do something with a group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// Everybody whose identity is asserted.
    Anybody,
    /// Its members.
    Members,
    /// Its distinguished members.
    Distinguished,
}

impl Who {
    /// What a document that does not speak of a right gives.
    pub const fn all() -> Self {
        Self::Anybody
    }
}

/// When a session ends although somebody would go on (digest 10.5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct ReleasePolicy {
    /// With fewer participants than this. A session without any has ended anyway.
    pub fewer_than: usize,
    /// When its initiator leaves.
    pub with_initiator: bool,
    /// When it has lasted so long.
    pub after: Option<Duration>,
}

impl Group {
    /// A group of this kind without members: they begin and join its sessions, a chat group is open to nobody else, a dispatch
    /// group's session ends with its initiator, one who is distinguished.
    pub fn new(address: Bytes, kind: GroupKind) -> Self {
        let is_dispatch = kind == GroupKind::Dispatch;
        let leads = if is_dispatch { Who::Distinguished } else { Who::Members };
        Self {
            address,
            display_name: String::new(),
            kind,
            members: Vec::new(),
            initiates: leads,
            joins: Who::Members,
            subscribes: Who::Members,
            adds: leads,
            speaks: Who::all(),
            admits_anonymous: true,
            participants_max: 1000,
            participants_min: 2,
            release: ReleasePolicy {
                fewer_than: if kind == GroupKind::Chat { 1 } else { 2 },
                with_initiator: is_dispatch,
                after: None,
            },
            is_enabled: true,
        }
    }

    /// As what `address`, a PoC Address, stands in the list; `None` if it does not.
    pub fn role_of(&self, address: &[u8]) -> Option<GroupRole> {
        self.members.iter().find(|member| member.address == address).map(|member| member.role)
    }
}
