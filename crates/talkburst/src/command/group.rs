//! `talkburst group`: which groups there are, and who belongs to them. A server that runs knows at once; if none runs, the next
//! one will.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use clap::{Args, Subcommand, ValueEnum};
use poc::server::{GroupKind, GroupRole, Who};

use super::user::{Data, Name, domain_of, done, expected, open, strange};
use super::{DONE, Failure, block_on};
use crate::control::{Desk, ListedGroup, Order, Reply};
use crate::store::group::{Group, Policy};

/// What was typed behind `group`.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Enter a group.
    Add {
        /// The group: `patrol` or `patrol@DOMAIN`.
        name: Name,
        #[command(flatten)]
        policy: Box<TypedPolicy>,
        #[command(flatten)]
        data: Data,
    },
    /// Remove a group; it is a member of no other one any more.
    Remove {
        /// The group: `patrol` or `patrol@DOMAIN`.
        name: Name,
        #[command(flatten)]
        data: Data,
    },
    /// Replace all that `add` has said of a group. Its members stay.
    Set {
        /// The group: `patrol` or `patrol@DOMAIN`.
        name: Name,
        #[command(flatten)]
        policy: Box<TypedPolicy>,
        #[command(flatten)]
        data: Data,
    },
    /// Enter and remove members.
    Member {
        #[command(subcommand)]
        what: Member,
    },
    /// Tell which groups there are.
    List {
        /// One JSON object a line on standard output, one a group.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data: Data,
    },
}

#[derive(Subcommand)]
enum Member {
    /// Enter members, or give them another role.
    Add {
        #[command(flatten)]
        named: Named,
        /// They are dispatchers: in a dispatch group they are heard by all, and hear all.
        #[arg(long)]
        dispatcher: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Remove members.
    Remove {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        data: Data,
    },
    /// Tell who belongs to a group.
    List {
        /// The group: `patrol` or `patrol@DOMAIN`.
        name: Name,
        /// One JSON object a line on standard output, one a member.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data: Data,
    },
}

#[derive(Args)]
struct Named {
    /// The group: `patrol` or `patrol@DOMAIN`.
    name: Name,
    /// Members: `sip:ben@DOMAIN`, `ben@DOMAIN` or `ben`; users, or other groups.
    #[arg(value_name = "ADDRESS", required = true)]
    addresses: Vec<String>,
}

/// What of these is not typed is as is usual for the kind.
#[derive(Args)]
struct TypedPolicy {
    /// What becomes of an INVITE for it.
    #[arg(long, value_enum)]
    kind: Kind,
    /// What others see.
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// Everybody may begin sessions and join them, members or not.
    #[arg(long)]
    open: bool,
    /// Who may begin a session: members, dispatchers for a dispatch group.
    #[arg(long, value_enum, value_name = "WHO")]
    initiates: Option<TypedWho>,
    /// Who may join a session: members.
    #[arg(long, value_enum, value_name = "WHO")]
    joins: Option<TypedWho>,
    /// Who may be told of the participants, besides these: members.
    #[arg(long, value_enum, value_name = "WHO")]
    subscribes: Option<TypedWho>,
    /// Who may add users to a session and remove them: members, dispatchers for a dispatch group.
    #[arg(long, value_enum, value_name = "WHO")]
    adds: Option<TypedWho>,
    /// Who of those who take part may speak: anybody. The others listen only.
    #[arg(long, value_enum, value_name = "WHO")]
    speaks: Option<TypedWho>,
    /// Nobody may hide who it is.
    #[arg(long)]
    no_anonymous: bool,
    /// Participants of a session at most: 1000.
    #[arg(long, value_name = "COUNT")]
    max: Option<u32>,
    /// Participants without whom a session does not begin: 2.
    #[arg(long, value_name = "COUNT")]
    min: Option<u32>,
    /// A session ends with fewer participants: 2, for a chat group 1.
    #[arg(long, value_name = "COUNT")]
    release_below: Option<u32>,
    /// A session ends when its initiator leaves, as it does in a dispatch group.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    release_with_initiator: Option<bool>,
    /// A session ends after so many minutes.
    #[arg(long, value_name = "COUNT")]
    longest_minutes: Option<u32>,
    /// There are no sessions.
    #[arg(long)]
    disabled: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Whoever begins a session invites all members.
    Prearranged,
    /// Nobody is invited, each joins.
    Chat,
    /// As prearranged, but members hear only dispatchers.
    Dispatch,
}

#[derive(Clone, Copy, ValueEnum)]
enum TypedWho {
    /// Everybody whose identity is known.
    Anybody,
    /// Its members.
    Members,
    /// Its dispatchers.
    Dispatchers,
}

/// Has it done by whoever has the data folder.
pub(super) fn run(arguments: Arguments) -> Result<u8, Failure> {
    block_on(async {
        match arguments.what {
            What::Add { name, policy, data } => {
                let (desk, address) = open(&data, &name).await?;
                let domain = domain_of(&address).to_owned();
                let (display_name, policy) = policy.read();
                let group = Group { name: name.user, display_name, policy, members: BTreeMap::new() };
                finish(desk, Order::AddGroup { domain, group }, &address, "is entered").await?;
            }
            What::Remove { name, data } => {
                let (desk, address) = open(&data, &name).await?;
                finish(desk, Order::RemoveGroup { name: name.user }, &address, "is removed").await?;
            }
            What::Set { name, policy, data } => {
                let (desk, address) = open(&data, &name).await?;
                let (display_name, policy) = policy.read();
                let order = Order::SetPolicy { name: name.user, display_name, policy };
                finish(desk, order, &address, "is set").await?;
            }
            What::Member { what } => run_member(what).await?,
            What::List { json, data } => {
                for group in groups(Desk::open(&data.path()?).await?).await? {
                    say(json, &group, || line_of(&group))?;
                }
            }
        }
        Ok(DONE)
    })
}

async fn run_member(what: Member) -> Result<(), Failure> {
    match what {
        Member::Add { named, dispatcher, data } => {
            let (desk, address) = open(&data, &named.name).await?;
            let addresses = named.read(domain_of(&address))?;
            let role = if dispatcher { GroupRole::Distinguished } else { GroupRole::Ordinary };
            let order = Order::PutMembers { name: named.name.user, addresses, role };
            finish(desk, order, &address, "has these members").await
        }
        Member::Remove { named, data } => {
            let (desk, address) = open(&data, &named.name).await?;
            let addresses = named.read(domain_of(&address))?;
            let order = Order::RemoveMembers { name: named.name.user, addresses };
            finish(desk, order, &address, "has these members no more").await
        }
        Member::List { name, json, data } => {
            let (desk, _) = open(&data, &name).await?;
            let found = groups(desk).await?.into_iter().find(|listed| listed.group.name == name.user);
            let Some(ListedGroup { group, .. }) = found else {
                return Err(Failure::NotDone(crate::control::Refusal::UnknownGroup { name: name.user }));
            };
            for (address, role) in &group.members {
                let value = serde_json::json!({ "address": address, "role": role });
                say(json, &value, || format!("{address}{}", role_mark(*role)))?;
            }
            Ok(())
        }
    }
}

/// Has one order carried out, and says so.
async fn finish(mut desk: Desk, order: Order, address: &str, what: &str) -> Result<(), Failure> {
    done(desk.ask(order).await?)?;
    anstream::eprintln!("{address} {what}");
    desk.close().await?;
    Ok(())
}

async fn groups(mut desk: Desk) -> Result<Vec<ListedGroup>, Failure> {
    let Reply::Groups { groups } = expected(desk.ask(Order::ListGroups).await?)? else {
        return Err(strange());
    };
    desk.close().await?;
    Ok(groups)
}

/// A line of the answer.
fn say(json: bool, value: &impl serde::Serialize, line: impl FnOnce() -> String) -> Result<(), Failure> {
    let line = if json { serde_json::to_string(value).expect("text and numbers") } else { line() };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

/// A group as it may be typed, less what is usual for its kind, and its members.
fn line_of(listed: &ListedGroup) -> String {
    let ListedGroup { address, group: Group { display_name, policy, members, .. } } = listed;
    let usual = Policy::of(policy.kind);
    let kind = match policy.kind {
        GroupKind::PreArranged => "prearranged",
        GroupKind::Chat => "chat",
        GroupKind::Dispatch => "dispatch",
    };
    let mut line = address.clone();
    if let Some(name) = display_name {
        line.push_str(&format!(" {name:?}"));
    }
    line.push_str(&format!(" --kind {kind}"));
    let rights = [
        ("initiates", policy.initiates, usual.initiates),
        ("joins", policy.joins, usual.joins),
        ("subscribes", policy.subscribes, usual.subscribes),
        ("adds", policy.adds, usual.adds),
        ("speaks", policy.speaks, usual.speaks),
    ];
    for (option, who, _) in rights.into_iter().filter(|(_, who, usual)| who != usual) {
        let who = match who {
            Who::Anybody => "anybody",
            Who::Members => "members",
            Who::Distinguished => "dispatchers",
        };
        line.push_str(&format!(" --{option} {who}"));
    }
    if !policy.admits_anonymous {
        line.push_str(" --no-anonymous");
    }
    let counts = [
        ("max", policy.participants_max, usual.participants_max),
        ("min", policy.participants_min, usual.participants_min),
        ("release-below", policy.release_below, usual.release_below),
    ];
    for (option, count, _) in counts.into_iter().filter(|(_, count, usual)| count != usual) {
        line.push_str(&format!(" --{option} {count}"));
    }
    if policy.release_with_initiator != usual.release_with_initiator {
        line.push_str(&format!(" --release-with-initiator={}", policy.release_with_initiator));
    }
    if let Some(minutes) = policy.longest_minutes {
        line.push_str(&format!(" --longest-minutes {minutes}"));
    }
    if !policy.is_enabled {
        line.push_str(" --disabled");
    }
    let members = members.iter().map(|(address, role)| format!("{address}{}", role_mark(*role)));
    let members: Vec<_> = members.collect();
    line + ": " + if members.is_empty() { "nobody" } else { "" } + &members.join(", ")
}

const fn role_mark(role: GroupRole) -> &'static str {
    match role {
        GroupRole::Ordinary => "",
        GroupRole::Distinguished => " (dispatcher)",
    }
}

impl Named {
    /// The canonical addresses of members of a group of `domain`.
    fn read(&self, domain: &str) -> Result<Vec<String>, Failure> {
        let what = "the address of a member";
        let address = |typed: &String| {
            let refused = || Failure::Address {
                what,
                typed: typed.clone(),
                why: "it names nobody; use sip:ben@example.com",
            };
            let with_domain = if typed.contains('@') { typed.clone() } else { format!("{typed}@{domain}") };
            let uri = super::session::address::uri(what, &with_domain)?;
            let canonical = poc::address::canonical(uri.as_bytes()).ok_or_else(refused)?;
            String::from_utf8(canonical.to_vec()).map_err(|_| refused())
        };
        // Each once.
        let addresses: BTreeSet<_> = self.addresses.iter().map(address).collect::<Result<_, _>>()?;
        Ok(addresses.into_iter().collect())
    }
}

impl TypedPolicy {
    /// The display name, and the rest with what is usual for what was not typed.
    fn read(self) -> (Option<String>, Policy) {
        let mut policy = Policy::of(match self.kind {
            Kind::Prearranged => GroupKind::PreArranged,
            Kind::Chat => GroupKind::Chat,
            Kind::Dispatch => GroupKind::Dispatch,
        });
        let who = |typed: Option<TypedWho>, usual: Who| match typed {
            Some(TypedWho::Anybody) => Who::Anybody,
            Some(TypedWho::Members) => Who::Members,
            Some(TypedWho::Dispatchers) => Who::Distinguished,
            None => usual,
        };
        let unless_open = |usual: Who| if self.open { Who::Anybody } else { usual };
        policy.initiates = who(self.initiates, unless_open(policy.initiates));
        policy.joins = who(self.joins, unless_open(policy.joins));
        policy.subscribes = who(self.subscribes, policy.subscribes);
        policy.adds = who(self.adds, policy.adds);
        policy.speaks = who(self.speaks, policy.speaks);
        policy.admits_anonymous = !self.no_anonymous;
        policy.participants_max = self.max.unwrap_or(policy.participants_max);
        policy.participants_min = self.min.unwrap_or(policy.participants_min);
        policy.release_below = self.release_below.unwrap_or(policy.release_below);
        policy.release_with_initiator = self.release_with_initiator.unwrap_or(policy.release_with_initiator);
        policy.longest_minutes = self.longest_minutes;
        policy.is_enabled = !self.disabled;
        (self.display_name, policy)
    }
}

#[cfg(test)]
mod tests {
    use clap::{Parser, ValueEnum};

    use super::*;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        policy: TypedPolicy,
    }

    fn read(typed: &str) -> (Option<String>, Policy) {
        Typed::try_parse_from(format!("group {typed}").split(' ')).unwrap().policy.read()
    }

    #[test]
    fn what_is_not_typed_is_as_is_usual_for_the_kind() {
        for kind in Kind::value_variants() {
            let name = kind.to_possible_value().unwrap().get_name().to_owned();
            let (display_name, policy) = read(&format!("--kind {name}"));
            assert_eq!((display_name, &policy), (None, &Policy::of(policy.kind)));
            assert_eq!(policy.fault(), None);
        }
        let (_, open) = read("--kind chat --open --joins members");
        assert_eq!((open.initiates, open.joins, open.adds), (Who::Anybody, Who::Members, Who::Members));
    }

    /// The list shows a group as it may be typed.
    #[test]
    fn a_line_says_what_was_typed() {
        for typed in [
            "--kind prearranged",
            "--kind chat --initiates anybody --joins anybody --no-anonymous --max 50 --disabled",
            "--kind dispatch --subscribes dispatchers --adds members --speaks dispatchers --min 3 --release-below 3 \
             --release-with-initiator=false --longest-minutes 90",
        ] {
            let (display_name, policy) = read(typed);
            let group = Group { name: "patrol".to_owned(), display_name, policy, members: BTreeMap::new() };
            let mut listed = ListedGroup { address: "sip:patrol@a".to_owned(), group };
            assert_eq!(line_of(&listed), format!("sip:patrol@a {typed}: nobody"));
            listed.group.members.insert("sip:ben@a".to_owned(), GroupRole::Distinguished);
            assert_eq!(line_of(&listed), format!("sip:patrol@a {typed}: sip:ben@a (dispatcher)"));
        }
    }

    #[test]
    fn members_are_read_as_they_are_compared() {
        let typed = ["ben", "%62en@A", "sip:carl@b;transport=udp"].map(str::to_owned).to_vec();
        let name: Name = "patrol".parse().unwrap();
        let read = |addresses| Named { name: name.clone(), addresses }.read("a").ok();
        let canonical = ["sip:ben@a", "sip:carl@b"].map(str::to_owned).to_vec();
        assert_eq!(read(typed), Some(canonical));
        for wrong in ["", "tel:+1", "a b"] {
            assert_eq!(read(vec![wrong.to_owned()]), None, "{wrong}");
        }
    }
}
