//! The control socket: one JSON object a line, a request and its reply. Who may open it is trusted.
//!
//! The program that is typed at and the server that runs may be of different versions, so each line tells its version.

mod client;
mod group;
mod listener;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use self::client::{AskError, Desk, Line};
pub(crate) use self::group::ListedGroup;
pub(crate) use self::listener::{Asked, listen};
#[cfg(test)]
pub(crate) use crate::watch::Participant;
pub(crate) use crate::watch::{End, Party, Session, Shown};

use poc::server::GroupRole;

use crate::store::account::{Account, Ha1, Rules, display_name_fault, name_fault};
use crate::store::group::{Group, Policy, member_fault};
use crate::store::{Store, StoreError};

/// The version of the lines.
pub(crate) const VERSION: u16 = 1;

/// Octets of the longest request. A user with all rules of the longest addresses fits.
pub(crate) const LINE_MAX: usize = 512 * 1024;

/// What is wanted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub(crate) enum Order {
    /// Tell the domain, which goes into each user's [`Ha1`]; refuse if it is not the one that is asked for.
    Domain { asked: Option<String> },
    /// Enter a user of this domain.
    Add { domain: String, user: Account },
    /// Remove a user.
    Remove { name: String },
    /// Tell who there is.
    List,
    /// Change a user's password.
    SetPassword { name: String, ha1: Ha1 },
    /// Change a user's rules.
    SetRules { name: String, rules: Rules },
    /// Enter a group of this domain.
    AddGroup { domain: String, group: Group },
    /// Remove a group.
    RemoveGroup { name: String },
    /// Tell which groups there are.
    ListGroups,
    /// Change what is said of a group, but its members.
    SetPolicy { name: String, display_name: Option<String>, policy: Policy },
    /// Enter members of a group, or give them another role.
    PutMembers { name: String, addresses: Vec<String>, role: GroupRole },
    /// Remove members of a group.
    RemoveMembers { name: String, addresses: Vec<String> },
    /// Tell which sessions there are, so many at most; participations too, if they are wanted.
    Sessions { limit: usize, participations: bool },
    /// Show the messages that concern `user@domain`, until the connection is closed.
    Trace { user: String },
    /// Keep the last messages, so many octets a shard.
    Keep { octets: u64 },
    /// Show the messages that are kept.
    Capture,
}

/// What came of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub(crate) enum Reply {
    /// It is done.
    Done,
    /// The domain.
    Domain { domain: String },
    /// All users.
    Users { users: Vec<Listed> },
    /// All groups.
    Groups { groups: Vec<ListedGroup> },
    /// Sessions, and how many there are in all.
    Sessions { total: usize, sessions: Vec<Session> },
    /// A message that went through the server.
    Shown(Box<Shown>),
    /// It is not done, and never will be.
    Refused(Refusal),
    /// It is not done.
    Failed { why: String },
}

/// A user, less the password.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) display_name: Option<String>,
    pub(crate) rules: Rules,
}

/// Why something is not done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "refusal", rename_all = "kebab-case")]
pub(crate) enum Refusal {
    /// There is a user of this name.
    Taken { name: String },
    /// There is no user of this name.
    Unknown { name: String },
    /// There is a group of this name.
    GroupTaken { name: String },
    /// There is no group of this name.
    UnknownGroup { name: String },
    /// There is neither a user nor a group of ours with this address.
    UnknownMember { address: String },
    /// There is no such member.
    NoMember { name: String, address: String },
    /// The users are of this domain.
    OtherDomain { of: String },
    /// It is about a server that runs, and none does.
    NotRunning,
    /// A value is wrong.
    Value { why: String },
    /// The line is none of ours.
    Line { why: String },
    /// The line is of another version.
    Version { known: u16 },
}

/// What has changed, for those who have users and groups in memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    Put(Box<Account>),
    Remove(String),
    PutGroup(Box<Group>),
    RemoveGroup(String),
}

/// What an order leads to: its reply, and what has changed.
pub(crate) type Done = (Reply, Vec<Change>);

/// Carries an order out in the store. What has changed comes back besides.
pub(crate) async fn carry_out(store: &mut Store, order: Order) -> Result<Done, StoreError> {
    match try_order(store, order).await {
        Err(StoreError::OtherDomain { of, .. }) => Ok(refused(Refusal::OtherDomain { of })),
        tried => tried,
    }
}

fn refused(refusal: Refusal) -> Done {
    (Reply::Refused(refusal), Vec::new())
}

async fn try_order(store: &mut Store, order: Order) -> Result<Done, StoreError> {
    if let Some(why) = order.fault() {
        return Ok(refused(Refusal::Value { why: why.to_owned() }));
    }
    let (is_done, refusal, change) = match order {
        Order::Domain { asked } => {
            let domain = store.domain(asked.as_deref()).await?;
            return Ok((Reply::Domain { domain }, Vec::new()));
        }
        Order::List => return list(store).await,
        Order::Add { domain, user } => {
            store.settle_domain(Some(&domain)).await?;
            if store.has_group(&user.name).await? {
                return Ok(refused(Refusal::GroupTaken { name: user.name }));
            }
            let refusal = Refusal::Taken { name: user.name.clone() };
            (store.add(&user).await?, refusal, Some(Change::Put(Box::new(user))))
        }
        Order::Remove { name } => {
            let address = format!("sip:{name}@{}", store.domain(None).await?);
            let Some(left) = store.remove(&name, &address).await? else {
                return Ok(refused(Refusal::Unknown { name }));
            };
            return Ok((Reply::Done, group::changes(store, Change::Remove(name), left).await?));
        }
        Order::SetPassword { name, ha1 } => {
            let is_done = store.set_ha1(&name, &ha1).await?;
            (is_done, Refusal::Unknown { name: name.clone() }, put(store, &name).await?)
        }
        Order::SetRules { name, rules } => {
            let is_done = store.set_rules(&name, &rules).await?;
            (is_done, Refusal::Unknown { name: name.clone() }, put(store, &name).await?)
        }
        Order::AddGroup { domain, group } => return group::add(store, &domain, group).await,
        Order::RemoveGroup { name } => return group::remove(store, name).await,
        Order::ListGroups => return group::list(store).await,
        Order::SetPolicy { name, display_name, policy } => {
            return group::set_policy(store, name, display_name.as_deref(), &policy).await;
        }
        Order::PutMembers { name, addresses, role } => {
            return group::put_members(store, name, &addresses, role).await;
        }
        Order::RemoveMembers { name, addresses } => {
            return group::remove_members(store, name, &addresses).await;
        }
        Order::Sessions { .. } | Order::Trace { .. } | Order::Keep { .. } | Order::Capture => {
            return Ok(refused(Refusal::NotRunning));
        }
    };
    Ok(if is_done { (Reply::Done, change.into_iter().collect()) } else { refused(refusal) })
}

async fn put(store: &mut Store, name: &str) -> Result<Option<Change>, StoreError> {
    Ok(store.account(name).await?.map(|account| Change::Put(Box::new(account))))
}

async fn list(store: &mut Store) -> Result<Done, StoreError> {
    let domain = store.domain(None).await?;
    let listed = |account: Account| Listed {
        address: format!("sip:{}@{domain}", account.name),
        name: account.name,
        display_name: account.display_name,
        rules: account.rules,
    };
    let users = store.accounts().await?.into_iter().map(listed).collect();
    Ok((Reply::Users { users }, Vec::new()))
}

impl Order {
    fn fault(&self) -> Option<&'static str> {
        match self {
            Self::Domain { asked } => asked.as_deref().and_then(domain_fault),
            Self::Add { domain, user } => domain_fault(domain).or_else(|| user.fault()),
            Self::SetPassword { name, ha1 } => name_fault(name).or_else(|| ha1.fault()),
            Self::SetRules { name, rules } => name_fault(name).or_else(|| rules.fault()),
            Self::AddGroup { domain, group } => domain_fault(domain).or_else(|| group.fault()),
            Self::SetPolicy { name, display_name, policy } => name_fault(name)
                .or_else(|| display_name.as_deref().and_then(display_name_fault))
                .or_else(|| policy.fault()),
            Self::PutMembers { name, addresses, .. } => {
                name_fault(name).or_else(|| addresses.iter().find_map(|address| member_fault(address)))
            }
            // What cannot be there is not there.
            Self::Remove { .. }
            | Self::List
            | Self::RemoveGroup { .. }
            | Self::ListGroups
            | Self::RemoveMembers { .. }
            | Self::Sessions { .. }
            | Self::Trace { .. }
            | Self::Keep { .. }
            | Self::Capture => None,
        }
    }

    /// What it is and whom it is about, for the log: no secret is in it.
    pub(crate) fn label(&self) -> (&'static str, &str) {
        match self {
            Self::Domain { .. } => ("domain", ""),
            Self::Add { user, .. } => ("user add", &user.name),
            Self::Remove { name } => ("user remove", name),
            Self::List => ("user list", ""),
            Self::SetPassword { name, .. } => ("user passwd", name),
            Self::SetRules { name, .. } => ("user rules", name),
            Self::AddGroup { group, .. } => ("group add", &group.name),
            Self::RemoveGroup { name } => ("group remove", name),
            Self::ListGroups => ("group list", ""),
            Self::SetPolicy { name, .. } => ("group policy", name),
            Self::PutMembers { name, .. } => ("group members", name),
            Self::RemoveMembers { name, .. } => ("group members removed", name),
            Self::Sessions { .. } => ("sessions", ""),
            Self::Trace { user } => ("trace", user),
            Self::Keep { .. } => ("keep messages", ""),
            Self::Capture => ("capture", ""),
        }
    }

    /// As a line of the socket.
    pub(crate) fn to_line(&self) -> Vec<u8> {
        to_line(self)
    }

    /// Reads a line of the socket.
    pub(crate) fn from_line(line: &[u8]) -> Result<Self, Refusal> {
        from_line(line)
    }
}

impl Reply {
    /// As a line of the socket.
    pub(crate) fn to_line(&self) -> Vec<u8> {
        to_line(self)
    }

    /// Reads a line of the socket.
    pub(crate) fn from_line(line: &[u8]) -> Result<Self, Refusal> {
        from_line(line)
    }
}

/// What is wrong with a domain: a name of letters, digits, `-` and `.`, as a host stands in a SIP URI.
pub(crate) fn domain_fault(domain: &str) -> Option<&'static str> {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_fine = domain.len() <= 253 && domain.split('.').all(is_label);
    (!is_fine).then_some("a domain is a name, such as poc.internal")
}

#[derive(Serialize)]
struct Out<'a, T> {
    version: u16,
    #[serde(flatten)]
    what: &'a T,
}

#[derive(Deserialize)]
struct Versioned {
    version: u16,
}

fn to_line<T: Serialize>(what: &T) -> Vec<u8> {
    let mut line = serde_json::to_vec(&Out { version: VERSION, what }).expect("text, numbers and lists");
    line.push(b'\n');
    line
}

fn from_line<T: for<'a> Deserialize<'a>>(line: &[u8]) -> Result<T, Refusal> {
    let wrong = |error: serde_json::Error| Refusal::Line { why: error.to_string() };
    // What another version means by the rest is not known.
    let Versioned { version } = serde_json::from_slice(line).map_err(wrong)?;
    if version != VERSION {
        return Err(Refusal::Version { known: VERSION });
    }
    serde_json::from_slice(line).map_err(wrong)
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { name } => {
                write!(f, "there is a user {name} already; remove that one first, or use passwd or rules")
            }
            Self::Unknown { name } => {
                write!(f, "there is no user {name}; talkburst user list tells who there is")
            }
            Self::GroupTaken { name } => {
                write!(f, "there is a group {name} already; choose another name, or remove that one first")
            }
            Self::UnknownGroup { name } => {
                write!(f, "there is no group {name}; talkburst group list tells which there are")
            }
            Self::UnknownMember { address } => {
                write!(f, "there is neither a user nor a group {address}; enter that one first")
            }
            Self::NoMember { name, address } => {
                write!(f, "{address} is no member of {name}; talkburst group list tells who is")
            }
            Self::OtherDomain { of } => {
                write!(f, "the users of this data folder are of {of}; use that domain, or another --data")
            }
            Self::NotRunning => f.write_str("no server runs with this data folder"),
            Self::Value { why } => f.write_str(why),
            Self::Line { why } => write!(f, "the line makes no sense: {why}"),
            Self::Version { known } => {
                write!(
                    f,
                    "the server is of another version (its lines have {known}); restart it with this one"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
