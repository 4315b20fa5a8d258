//! Orders about groups.

use poc::server::GroupRole;
use serde::{Deserialize, Serialize};

use super::{Change, Done, Refusal, Reply, refused};
use crate::store::group::{Changed, Group, Policy};
use crate::store::{Store, StoreError};

/// A group, with its identity.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct ListedGroup {
    pub(crate) address: String,
    #[serde(flatten)]
    pub(crate) group: Group,
}

pub(super) async fn add(store: &mut Store, domain: &str, group: Group) -> Result<Done, StoreError> {
    let domain = store.settle_domain(Some(domain)).await?;
    let name = || group.name.clone();
    if store.account(&group.name).await?.is_some() {
        return Ok(refused(Refusal::Taken { name: name() }));
    }
    for address in group.members.keys() {
        if !is_known(store, &domain, address).await? {
            return Ok(refused(Refusal::UnknownMember { address: address.clone() }));
        }
    }
    if !store.add_group(&group).await? {
        return Ok(refused(Refusal::GroupTaken { name: name() }));
    }
    Ok((Reply::Done, vec![Change::PutGroup(Box::new(group))]))
}

pub(super) async fn remove(store: &mut Store, name: String) -> Result<Done, StoreError> {
    let address = format!("sip:{name}@{}", store.domain(None).await?);
    let Some(others) = store.remove_group(&name, &address).await? else {
        return Ok(refused(Refusal::UnknownGroup { name }));
    };
    Ok((Reply::Done, changes(store, Change::RemoveGroup(name), others).await?))
}

pub(super) async fn list(store: &mut Store) -> Result<Done, StoreError> {
    let domain = store.domain(None).await?;
    let listed = |group: Group| ListedGroup { address: format!("sip:{}@{domain}", group.name), group };
    let groups = store.groups().await?.into_iter().map(listed).collect();
    Ok((Reply::Groups { groups }, Vec::new()))
}

pub(super) async fn set_policy(
    store: &mut Store,
    name: String,
    display_name: Option<&str>,
    policy: &Policy,
) -> Result<Done, StoreError> {
    let is_done = store.set_policy(&name, display_name, policy).await?;
    finish(store, name, if is_done { Changed::Done } else { Changed::NoGroup }).await
}

pub(super) async fn put_members(
    store: &mut Store,
    name: String,
    addresses: &[String],
    role: GroupRole,
) -> Result<Done, StoreError> {
    let domain = store.domain(None).await?;
    for address in addresses {
        if *address == format!("sip:{name}@{domain}") {
            let why = "a group cannot be a member of itself".to_owned();
            return Ok(refused(Refusal::Value { why }));
        }
        if !is_known(store, &domain, address).await? {
            return Ok(refused(Refusal::UnknownMember { address: address.clone() }));
        }
    }
    let changed = store.put_members(&name, addresses, role).await?;
    finish(store, name, changed).await
}

pub(super) async fn remove_members(
    store: &mut Store,
    name: String,
    addresses: &[String],
) -> Result<Done, StoreError> {
    let changed = store.remove_members(&name, addresses).await?;
    finish(store, name, changed).await
}

async fn finish(store: &mut Store, name: String, changed: Changed) -> Result<Done, StoreError> {
    Ok(match changed {
        Changed::Done => (Reply::Done, put(store, &name).await?),
        Changed::NoGroup => refused(Refusal::UnknownGroup { name }),
        Changed::NoMember(address) => refused(Refusal::NoMember { name, address }),
        Changed::TooMany => refused(Refusal::Value { why: "a group has at most 10000 members".to_owned() }),
    })
}

async fn put(store: &mut Store, name: &str) -> Result<Vec<Change>, StoreError> {
    Ok(store.group(name).await?.map(|group| Change::PutGroup(Box::new(group))).into_iter().collect())
}

/// What `first` has changed besides: these groups.
pub(super) async fn changes(
    store: &mut Store,
    first: Change,
    groups: Vec<String>,
) -> Result<Vec<Change>, StoreError> {
    let mut changes = vec![first];
    for name in groups {
        changes.extend(put(store, &name).await?);
    }
    Ok(changes)
}

/// Whether somebody with this address can be a member. Of other domains nothing is known.
async fn is_known(store: &mut Store, domain: &str, address: &str) -> Result<bool, StoreError> {
    let name = address.strip_prefix("sip:").and_then(|address| address.split_once('@'));
    match name {
        Some((name, host)) if host == domain => {
            Ok(store.account(name).await?.is_some() || store.has_group(name).await?)
        }
        Some(_) => Ok(true),
        None => Ok(false),
    }
}
