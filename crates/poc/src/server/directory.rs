//! Who is served: users, their rules, and what they do just now. Plain data, changed by commands.
//!
//! No store and no network stands behind it, so nothing can be cancelled during a look-up.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::group::{Group, GroupRole, Who};
use super::publication::Publications;
use crate::sdp::Capabilities;

/// A user of this PoC Server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct User {
    /// The PoC Address: `sip:anna@home1.example`.
    pub address: Bytes,
    /// Whom the user wants to hear, the first rule that names an inviter counts.
    pub rules: Vec<AccessRule>,
    /// What counts for an inviter without a rule.
    pub access: Access,
    /// Who may have this user's client answer by itself although its user would be asked (manual answer override).
    pub override_by: OverrideBy,
    /// Whether inviters must tell who they are.
    pub refuses_anonymous: bool,
    /// Sessions that the user may have at once.
    pub sessions_max: usize,
    /// Whether the user's terminal may be a SIP phone that knows nothing of PoC: it publishes no settings and is asked all the
    /// same, and it needs no talk burst control. Without that its user listens.
    pub plain_phone: bool,
}

impl User {
    /// A user whom everybody may invite and nobody may override.
    pub fn new(address: Bytes) -> Self {
        Self {
            address,
            rules: Vec::new(),
            access: Access::Accept,
            override_by: OverrideBy::Nobody,
            refuses_anonymous: false,
            sessions_max: 8,
            plain_phone: false,
        }
    }

    /// What counts for `inviter`, a PoC Address.
    pub fn access_of(&self, inviter: &[u8]) -> Access {
        let rule = self.rules.iter().find(|rule| rule.inviter == inviter);
        rule.map_or(self.access, |rule| rule.access)
    }
}

/// What a user wants of one inviter.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AccessRule {
    /// The inviter's PoC Address.
    pub inviter: Bytes,
    /// What counts for that one.
    pub access: Access,
}

/// The values of `allow-invite` (digest 7.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Invitations are refused.
    Reject,
    /// The user is asked, whatever the answer mode.
    Pass,
    /// The answer mode decides.
    Accept,
}

/// Who may override manual answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OverrideBy {
    /// Nobody.
    Nobody,
    /// Everybody.
    Anybody,
    /// These PoC Addresses.
    These(Vec<Bytes>),
}

impl OverrideBy {
    /// Whether `inviter`, a PoC Address, may.
    pub fn allows(&self, inviter: &[u8]) -> bool {
        match self {
            Self::Nobody => false,
            Self::Anybody => true,
            Self::These(addresses) => addresses.iter().any(|address| address == inviter),
        }
    }
}

/// How deep groups in groups are looked into.
pub(super) const NESTED_MAX: usize = 3;

/// A user, and what this one does just now.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub(super) user: User,
    pub(super) publications: Publications,
    /// Sessions that the user has, or is invited to, or sets up: the slots that are taken.
    pub(super) sessions: usize,
}

/// Everybody who is served here.
#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    by_address: BTreeMap<Bytes, Served>,
    groups: BTreeMap<Bytes, Group>,
}

impl Directory {
    /// Enters a user, or changes one; what the user does just now goes on.
    pub(super) fn put(&mut self, user: User) {
        match self.by_address.get_mut(&user.address) {
            Some(served) => served.user = user,
            None => {
                let served = Served { publications: Publications::default(), sessions: 0, user };
                self.by_address.insert(served.user.address.clone(), served);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_address.len()
    }

    pub(super) fn remove(&mut self, address: &[u8]) -> Option<Served> {
        self.by_address.remove(address)
    }

    pub(super) fn get(&self, address: &[u8]) -> Option<&Served> {
        self.by_address.get(address)
    }

    pub(super) fn get_mut(&mut self, address: &[u8]) -> Option<&mut Served> {
        self.by_address.get_mut(address)
    }

    /// What is agreed on with `address` by `media` of a session: digest 8.3 refuses whoever has no talk burst control where one is
    /// required, and of a plain phone it is not.
    pub(super) fn media_for<'a>(&self, address: &[u8], media: &'a Capabilities) -> Cow<'a, Capabilities> {
        match self.get(address) {
            Some(served) if served.user.plain_phone => {
                Cow::Owned(Capabilities { control_required: false, ..media.clone() })
            }
            Some(_) | None => Cow::Borrowed(media),
        }
    }

    /// Takes a slot of a user.
    pub(super) fn occupy(&mut self, address: &[u8]) {
        if let Some(served) = self.get_mut(address) {
            served.sessions += 1;
        }
    }

    /// Gives a slot back. A user who was removed and entered anew in the meantime has none to give.
    pub(super) fn vacate(&mut self, address: &[u8]) {
        if let Some(served) = self.get_mut(address) {
            served.sessions = served.sessions.saturating_sub(1);
        }
    }

    /// Enters a group, or changes one.
    pub(super) fn put_group(&mut self, group: Group) {
        self.groups.insert(group.address.clone(), group);
    }

    pub(super) fn remove_group(&mut self, address: &[u8]) {
        self.groups.remove(address);
    }

    pub(super) fn group(&self, address: &[u8]) -> Option<&Group> {
        self.groups.get(address)
    }

    /// As what `address` belongs to `group`, by way of other groups that are hosted here too.
    pub(super) fn role_in(&self, group: &Group, address: &[u8]) -> Option<GroupRole> {
        self.role_within(group, address, NESTED_MAX)
    }

    fn role_within(&self, group: &Group, address: &[u8], depth: usize) -> Option<GroupRole> {
        group.role_of(address).or_else(|| {
            let deeper = depth.checked_sub(1)?;
            let nested = group.members.iter().filter_map(|member| self.group(&member.address));
            nested
                .filter(|nested| nested.address != group.address)
                .find_map(|nested| self.role_within(nested, address, deeper).map(|_| GroupRole::Ordinary))
        })
    }

    /// Whether `address`, if there is one, may do with `group` what `who` may.
    pub(super) fn is_among(&self, who: Who, group: &Group, address: Option<&[u8]>) -> bool {
        let role = || self.role_in(group, address?);
        match who {
            Who::Anybody => address.is_some(),
            Who::Members => role().is_some(),
            Who::Distinguished => role() == Some(GroupRole::Distinguished),
        }
    }
}
