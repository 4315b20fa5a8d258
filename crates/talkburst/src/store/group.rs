//! Groups as the store and the control socket have them.

use std::collections::BTreeMap;

use bytes::Bytes;
use poc::server::{GroupKind, GroupMember, GroupRole, ReleasePolicy, Who};
use serde::{Deserialize, Serialize};
use sip::Duration;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, Row};

use super::account::{ADDRESS_MAX, display_name_fault, name_fault};
use super::{Store, StoreError};

/// Members that a group may have.
const MEMBERS_MAX: usize = 10_000;

/// Participants that a session may have.
const PARTICIPANTS_MAX: u32 = 10_000;

/// Minutes that a session may be told to last at most: a week.
const MINUTES_MAX: u32 = 7 * 24 * 60;

/// A group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    /// The user part of the PoC Group Identity.
    pub(crate) name: String,
    /// What others see.
    #[serde(default)]
    pub(crate) display_name: Option<String>,
    pub(crate) policy: Policy,
    /// Its members, by canonical address.
    #[serde(default)]
    pub(crate) members: BTreeMap<String, GroupRole>,
}

/// What is said of a group, besides who belongs to it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    pub(crate) kind: GroupKind,
    pub(crate) initiates: Who,
    pub(crate) joins: Who,
    pub(crate) subscribes: Who,
    pub(crate) adds: Who,
    #[serde(default = "Who::all")]
    pub(crate) speaks: Who,
    pub(crate) admits_anonymous: bool,
    pub(crate) participants_max: u32,
    pub(crate) participants_min: u32,
    pub(crate) release_below: u32,
    pub(crate) release_with_initiator: bool,
    pub(crate) longest_minutes: Option<u32>,
    pub(crate) is_enabled: bool,
}

/// What came of a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Changed {
    Done,
    /// There is no group of this name.
    NoGroup,
    /// This address is not among its members.
    NoMember(String),
    /// It would have more members than a group may have.
    TooMany,
}

impl Policy {
    /// What a group of this kind has if nothing is said of it.
    pub(crate) fn of(kind: GroupKind) -> Self {
        let usual = poc::server::Group::new(Bytes::new(), kind);
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            kind,
            initiates: usual.initiates,
            joins: usual.joins,
            subscribes: usual.subscribes,
            adds: usual.adds,
            speaks: usual.speaks,
            admits_anonymous: usual.admits_anonymous,
            participants_max: count(usual.participants_max),
            participants_min: count(usual.participants_min),
            release_below: count(usual.release.fewer_than),
            release_with_initiator: usual.release.with_initiator,
            longest_minutes: None,
            is_enabled: usual.is_enabled,
        }
    }

    /// What is wrong with it.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        if !(2..=PARTICIPANTS_MAX).contains(&self.participants_max) {
            Some("a session has at least 2 participants and at most 10000")
        } else if self.participants_min > self.participants_max {
            Some("a session cannot need more participants than it may have")
        } else if self.release_below > self.participants_max {
            Some("a session cannot go on with as many participants only as it may not have")
        } else if self.longest_minutes.is_some_and(|minutes| !(1..=MINUTES_MAX).contains(&minutes)) {
            Some("a session lasts at least 1 minute and at most 10080")
        } else {
            None
        }
    }
}

impl Group {
    /// What is wrong with it.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        name_fault(&self.name)
            .or_else(|| self.display_name.as_deref().and_then(display_name_fault))
            .or_else(|| self.policy.fault())
            .or((self.members.len() > MEMBERS_MAX).then_some("a group has at most 10000 members"))
            .or_else(|| self.members.keys().find_map(|address| member_fault(address)))
    }

    /// As the PoC Server wants it.
    pub(crate) fn to_server(&self, domain: &str) -> poc::server::Group {
        let Policy { kind, .. } = self.policy;
        let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        let minutes = |minutes: u32| Duration::from_secs(60 * u64::from(minutes));
        let member = |(address, role): (&String, &GroupRole)| GroupMember {
            address: Bytes::from(address.clone()),
            role: *role,
        };
        poc::server::Group {
            address: Bytes::from(format!("sip:{}@{domain}", self.name)),
            display_name: self.display_name.clone().unwrap_or_default(),
            kind,
            members: self.members.iter().map(member).collect(),
            initiates: self.policy.initiates,
            joins: self.policy.joins,
            subscribes: self.policy.subscribes,
            adds: self.policy.adds,
            speaks: self.policy.speaks,
            admits_anonymous: self.policy.admits_anonymous,
            participants_max: count(self.policy.participants_max),
            participants_min: count(self.policy.participants_min),
            release: ReleasePolicy {
                fewer_than: count(self.policy.release_below),
                with_initiator: self.policy.release_with_initiator,
                after: self.policy.longest_minutes.map(minutes),
            },
            is_enabled: self.policy.is_enabled,
        }
    }
}

/// What is wrong with the address of a member: it stands there as it is compared.
pub(crate) fn member_fault(address: &str) -> Option<&'static str> {
    let is_fine = address.len() <= ADDRESS_MAX
        && poc::address::canonical(address.as_bytes())
            .is_some_and(|canonical| canonical == address.as_bytes());
    (!is_fine).then_some("a member is a SIP URI, such as sip:ben@example.com")
}

impl Store {
    /// All groups, by name.
    pub(crate) async fn groups(&mut self) -> Result<Vec<Group>, StoreError> {
        let rows = sqlx::query("SELECT name, display_name, policy FROM poc_groups ORDER BY name")
            .fetch_all(&mut self.connection)
            .await?;
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for row in &rows {
            let group = group_of(row)?;
            groups.insert(group.name.clone(), group);
        }
        let rows = sqlx::query("SELECT group_name, address, role FROM poc_group_members")
            .fetch_all(&mut self.connection)
            .await?;
        for row in &rows {
            let name: String = row.try_get(0)?;
            let (address, role) = member_of(row)?;
            let group = groups.get_mut(&name).ok_or(StoreError::Content("the members of no group"))?;
            group.members.insert(address, role);
        }
        Ok(groups.into_values().collect())
    }

    /// The group of this name.
    pub(crate) async fn group(&mut self, name: &str) -> Result<Option<Group>, StoreError> {
        let row = sqlx::query("SELECT name, display_name, policy FROM poc_groups WHERE name = $1")
            .bind(name)
            .fetch_optional(&mut self.connection)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let mut group = group_of(&row)?;
        let rows =
            sqlx::query("SELECT group_name, address, role FROM poc_group_members WHERE group_name = $1")
                .bind(name)
                .fetch_all(&mut self.connection)
                .await?;
        group.members = rows.iter().map(member_of).collect::<Result<_, _>>()?;
        Ok(Some(group))
    }

    /// Whether there is a group of this name.
    pub(crate) async fn has_group(&mut self, name: &str) -> Result<bool, StoreError> {
        has_group(&mut self.connection, name).await
    }

    /// Enters a group; whether there was none of this name.
    pub(crate) async fn add_group(&mut self, group: &Group) -> Result<bool, StoreError> {
        let mut transaction = self.connection.begin().await?;
        let done = sqlx::query(
            "INSERT INTO poc_groups (name, display_name, policy) VALUES ($1, $2, $3)
            ON CONFLICT (name) DO NOTHING",
        )
        .bind(group.name.as_str())
        .bind(group.display_name.as_deref())
        .bind(to_text(&group.policy))
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        for (address, role) in &group.members {
            put_member(&mut transaction, &group.name, address, *role).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Removes a group, and it is a member of no other one any more; `None` if there was none, else the others that have
    /// changed.
    pub(crate) async fn remove_group(
        &mut self,
        name: &str,
        address: &str,
    ) -> Result<Option<Vec<String>>, StoreError> {
        let mut transaction = self.connection.begin().await?;
        sqlx::query("DELETE FROM poc_group_members WHERE group_name = $1")
            .bind(name)
            .execute(&mut *transaction)
            .await?;
        let done = sqlx::query("DELETE FROM poc_groups WHERE name = $1")
            .bind(name)
            .execute(&mut *transaction)
            .await?;
        let others = leave_all(&mut transaction, address).await?;
        if done.rows_affected() == 0 {
            return Ok(None);
        }
        transaction.commit().await?;
        Ok(Some(others))
    }

    /// Changes what is said of a group, but its members; whether there is such a group.
    pub(crate) async fn set_policy(
        &mut self,
        name: &str,
        display_name: Option<&str>,
        policy: &Policy,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE poc_groups SET display_name = $2, policy = $3 WHERE name = $1")
            .bind(name)
            .bind(display_name)
            .bind(to_text(policy))
            .execute(&mut self.connection)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Enters members, or gives them another role; all or none.
    pub(crate) async fn put_members(
        &mut self,
        name: &str,
        addresses: &[String],
        role: GroupRole,
    ) -> Result<Changed, StoreError> {
        let mut transaction = self.connection.begin().await?;
        if !has_group(&mut transaction, name).await? {
            return Ok(Changed::NoGroup);
        }
        for address in addresses {
            put_member(&mut transaction, name, address, role).await?;
        }
        let row = sqlx::query("SELECT COUNT(*) FROM poc_group_members WHERE group_name = $1")
            .bind(name)
            .fetch_one(&mut *transaction)
            .await?;
        let count: i64 = row.try_get(0)?;
        if usize::try_from(count).is_ok_and(|count| count > MEMBERS_MAX) {
            return Ok(Changed::TooMany);
        }
        transaction.commit().await?;
        Ok(Changed::Done)
    }

    /// Removes members; all or none.
    pub(crate) async fn remove_members(
        &mut self,
        name: &str,
        addresses: &[String],
    ) -> Result<Changed, StoreError> {
        let mut transaction = self.connection.begin().await?;
        if !has_group(&mut transaction, name).await? {
            return Ok(Changed::NoGroup);
        }
        for address in addresses {
            let done = sqlx::query("DELETE FROM poc_group_members WHERE group_name = $1 AND address = $2")
                .bind(name)
                .bind(address.as_str())
                .execute(&mut *transaction)
                .await?;
            if done.rows_affected() == 0 {
                return Ok(Changed::NoMember(address.clone()));
            }
        }
        transaction.commit().await?;
        Ok(Changed::Done)
    }
}

async fn has_group(connection: &mut AnyConnection, name: &str) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) FROM poc_groups WHERE name = $1")
        .bind(name)
        .fetch_one(connection)
        .await?;
    Ok(row.try_get::<i64, _>(0)? > 0)
}

async fn put_member(
    connection: &mut AnyConnection,
    name: &str,
    address: &str,
    role: GroupRole,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO poc_group_members (group_name, address, role) VALUES ($1, $2, $3)
        ON CONFLICT (group_name, address) DO UPDATE SET role = excluded.role",
    )
    .bind(name)
    .bind(address)
    .bind(to_text(&role))
    .execute(connection)
    .await?;
    Ok(())
}

/// Whoever has this address belongs to no group any more; the names of those groups that have changed.
pub(super) async fn leave_all(
    connection: &mut AnyConnection,
    address: &str,
) -> Result<Vec<String>, StoreError> {
    let rows = sqlx::query("SELECT group_name FROM poc_group_members WHERE address = $1 ORDER BY group_name")
        .bind(address)
        .fetch_all(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM poc_group_members WHERE address = $1").bind(address).execute(connection).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

fn group_of(row: &AnyRow) -> Result<Group, StoreError> {
    let policy: String = row.try_get(2)?;
    Ok(Group {
        name: row.try_get(0)?,
        display_name: row.try_get(1)?,
        policy: from_text(&policy, "the policy of a group")?,
        members: BTreeMap::new(),
    })
}

fn member_of(row: &AnyRow) -> Result<(String, GroupRole), StoreError> {
    let role: String = row.try_get(2)?;
    Ok((row.try_get(1)?, from_text(&role, "the role of a member")?))
}

fn to_text<T: Serialize>(what: &T) -> String {
    serde_json::to_string(what).expect("numbers and names of text")
}

fn from_text<T: for<'a> Deserialize<'a>>(text: &str, what: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Content(what))
}
