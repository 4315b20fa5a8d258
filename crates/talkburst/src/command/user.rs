//! `talkburst user`: who may use the server. A server that runs knows at once; if none runs, the next one will.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{DONE, Failure, block_on, password};
use crate::control::{AskError, Desk, Line, Order, Refusal, Reply, domain_fault};
use crate::store::account::{ANYBODY, AccessName, Account, Ha1, Rules, name_fault};
use crate::store::default_path;

/// What was typed behind `user`.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Enter a user.
    Add(Add),
    /// Remove a user: whoever uses that name is out at once.
    Remove {
        /// The user: `anna` or `anna@DOMAIN`.
        name: Name,
        #[command(flatten)]
        data: Data,
    },
    /// Tell who there is.
    List {
        /// One JSON object a line on standard output, one a user.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Change a user's password.
    Passwd {
        /// The user: `anna` or `anna@DOMAIN`.
        name: Name,
        /// Read the password from the first line of standard input.
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Replace all rules of a user.
    Rules {
        /// The user: `anna` or `anna@DOMAIN`.
        name: Name,
        #[command(flatten)]
        rules: TypedRules,
        #[command(flatten)]
        data: Data,
    },
}

#[derive(Args)]
struct Add {
    /// The user: `anna` or `anna@DOMAIN`. The domain of the first user is that of the data folder.
    name: Name,
    /// What others see.
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// Read the password from the first line of standard input.
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    rules: TypedRules,
    #[command(flatten)]
    data: Data,
}

#[derive(Args)]
pub(super) struct Data {
    /// The data folder.
    #[arg(long = "data", value_name = "DIR")]
    pub(super) folder: Option<PathBuf>,
}

/// An address of a rule is `sip:ben@DOMAIN`, `ben@DOMAIN`, `ben`, or `anybody`.
#[derive(Args)]
struct TypedRules {
    /// Refuse invitations of this user; may be repeated.
    #[arg(long, value_name = "ADDRESS")]
    bar: Vec<String>,
    /// Be asked when this user invites, whatever the answer mode; may be repeated.
    #[arg(long, value_name = "ADDRESS")]
    pass: Vec<String>,
    /// Let the answer mode decide when this user invites (the default); may be repeated.
    #[arg(long, value_name = "ADDRESS")]
    accept: Vec<String>,
    /// Let this user force an automatic answer; may be repeated.
    #[arg(long, value_name = "ADDRESS")]
    allow_override: Vec<String>,
    /// The user may have a SIP phone that knows nothing of PoC: it rings, and without talk burst control its user listens.
    #[arg(long)]
    plain_phone: bool,
}

/// `anna`, or `anna@DOMAIN`.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) user: String,
    pub(super) domain: Option<String>,
}

impl std::str::FromStr for Name {
    type Err = &'static str;

    fn from_str(typed: &str) -> Result<Self, Self::Err> {
        let typed = typed.strip_prefix("sip:").unwrap_or(typed);
        let (user, domain) = match typed.split_once('@') {
            Some((user, domain)) => (user, Some(domain)),
            None => (typed, None),
        };
        match name_fault(user).or_else(|| domain.and_then(domain_fault)) {
            Some(fault) => Err(fault),
            None => Ok(Self { user: user.to_owned(), domain: domain.map(str::to_owned) }),
        }
    }
}

/// Has it done by whoever has the data folder.
pub(super) fn run(arguments: Arguments) -> Result<u8, Failure> {
    block_on(async {
        match arguments.what {
            What::Add(typed) => add(typed).await?,
            What::Remove { name, data } => {
                let (mut desk, address) = open(&data, &name).await?;
                done(desk.ask(Order::Remove { name: name.user }).await?)?;
                anstream::eprintln!("{address} is removed");
                desk.close().await?;
            }
            What::List { json, data } => list(&data, json).await?,
            What::Passwd { name, password_stdin, data } => {
                let secret = password::read_new(password_stdin)?;
                let (mut desk, address) = open(&data, &name).await?;
                let ha1 = ha1_of(&name, &address, &secret);
                done(desk.ask(Order::SetPassword { name: name.user, ha1 }).await?)?;
                anstream::eprintln!("{address} has another password");
                desk.close().await?;
            }
            What::Rules { name, rules, data } => {
                let (mut desk, address) = open(&data, &name).await?;
                let rules = rules.read(domain_of(&address))?;
                done(desk.ask(Order::SetRules { name: name.user, rules }).await?)?;
                anstream::eprintln!("{address} has other rules");
                desk.close().await?;
            }
        }
        Ok(DONE)
    })
}

async fn add(typed: Add) -> Result<(), Failure> {
    let secret = password::read_new(typed.password_stdin)?;
    let (mut desk, address) = open(&typed.data, &typed.name).await?;
    let domain = domain_of(&address).to_owned();
    let user = Account {
        ha1: ha1_of(&typed.name, &address, &secret),
        rules: typed.rules.read(&domain)?,
        name: typed.name.user,
        display_name: typed.display_name,
    };
    done(desk.ask(Order::Add { domain, user }).await?)?;
    anstream::eprintln!("{address} is entered");
    desk.close().await?;
    Ok(())
}

async fn list(data: &Data, json: bool) -> Result<(), Failure> {
    let mut desk = Desk::open(&data.path()?).await?;
    let Reply::Users { users } = expected(desk.ask(Order::List).await?)? else { return Err(strange()) };
    let mut out = std::io::stdout().lock();
    for user in users {
        if json {
            let line = serde_json::to_string(&user).expect("text and names of text");
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{}", line_of(&user))?;
        }
    }
    out.flush()?;
    desk.close().await?;
    Ok(())
}

fn line_of(user: &crate::control::Listed) -> String {
    let mut line = user.address.clone();
    if let Some(name) = &user.display_name {
        line.push_str(&format!(" {name:?}"));
    }
    for (address, access) in &user.rules.access {
        let access = match access {
            AccessName::Bar => "bar",
            AccessName::Pass => "pass",
            AccessName::Accept => "accept",
        };
        line.push_str(&format!(" --{access} {address}"));
    }
    for address in &user.rules.allow_override {
        line.push_str(&format!(" --allow-override {address}"));
    }
    if user.rules.plain_phone {
        line.push_str(" --plain-phone");
    }
    line
}

/// Whoever has the data folder, and the address that this name has there.
pub(super) async fn open(data: &Data, name: &Name) -> Result<(Desk, String), Failure> {
    let mut desk = Desk::open(&data.path()?).await?;
    let asked = Order::Domain { asked: name.domain.clone() };
    let Reply::Domain { domain } = expected(desk.ask(asked).await?)? else { return Err(strange()) };
    Ok((desk, format!("sip:{}@{domain}", name.user)))
}

pub(super) fn domain_of(address: &str) -> &str {
    address.split_once('@').map_or("", |(_, domain)| domain)
}

fn ha1_of(name: &Name, address: &str, secret: &[u8]) -> Ha1 {
    Ha1::of(&name.user, domain_of(address), secret)
}

pub(super) fn done(reply: Reply) -> Result<(), Failure> {
    if matches!(expected(reply)?, Reply::Done) { Ok(()) } else { Err(strange()) }
}

/// A reply that is neither a refusal nor a failure.
pub(super) fn expected(reply: Reply) -> Result<Reply, Failure> {
    match reply {
        Reply::Done
        | Reply::Domain { .. }
        | Reply::Users { .. }
        | Reply::Groups { .. }
        | Reply::Sessions { .. }
        | Reply::Shown(_) => Ok(reply),
        Reply::Refused(Refusal::Value { why }) => Err(Failure::Value(why)),
        Reply::Refused(refusal) => Err(Failure::NotDone(refusal)),
        Reply::Failed { why } => Err(Failure::Server(std::io::Error::other(why))),
    }
}

/// The reply is to another question.
pub(super) fn strange() -> Failure {
    Failure::Server(std::io::ErrorKind::InvalidData.into())
}

impl Data {
    /// The folder that is meant.
    pub(super) fn path(&self) -> Result<PathBuf, Failure> {
        match &self.folder {
            Some(folder) => Ok(folder.clone()),
            None => Ok(default_path(|name| std::env::var_os(name))?),
        }
    }

    /// The server that has it.
    pub(super) async fn server(&self) -> Result<Line, Failure> {
        let folder = self.path()?;
        Line::open(&folder).await.map_err(|error| Failure::NoServer(folder, error))
    }
}

impl TypedRules {
    /// The rules of a user of `domain`.
    fn read(&self, domain: &str) -> Result<Rules, Failure> {
        let address = |typed: &String| {
            if typed == ANYBODY {
                return Ok(typed.clone());
            }
            let with_domain = if typed.contains('@') { typed.clone() } else { format!("{typed}@{domain}") };
            super::session::address::uri("the address of a rule", &with_domain)
        };
        let mut rules = Rules::default();
        let typed = [
            (&self.bar, AccessName::Bar),
            (&self.pass, AccessName::Pass),
            (&self.accept, AccessName::Accept),
        ];
        for (addresses, access) in typed {
            for typed in addresses {
                if rules.access.insert(address(typed)?, access).is_some_and(|other| other != access) {
                    return Err(Failure::Usage(
                        "one address has two of --bar, --pass and --accept; choose one",
                    ));
                }
            }
        }
        rules.allow_override = self.allow_override.iter().map(address).collect::<Result<_, _>>()?;
        rules.plain_phone = self.plain_phone;
        Ok(rules)
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Store(error) => Self::Store(error),
            AskError::Server(error) => Self::Server(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_with_and_without_its_domain() {
        let read = |typed: &str| typed.parse::<Name>().ok().map(|name| (name.user, name.domain));
        let anna = || "anna".to_owned();
        assert_eq!(read("anna"), Some((anna(), None)));
        assert_eq!(read("anna@home1.example"), Some((anna(), Some("home1.example".to_owned()))));
        assert_eq!(read("sip:anna@home1.example"), read("anna@home1.example"));
        for wrong in ["", "@home1.example", "anna@", "anna@a@b", "anna@a..b", "an na", "sip:"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_address_of_a_rule_is_of_the_same_domain_unless_it_says_another_one() {
        let list = |addresses: &[&str]| addresses.iter().map(|each| (*each).to_owned()).collect();
        let typed = TypedRules {
            bar: list(&["ben", "sip:carl@home1.example"]),
            pass: list(&["anybody"]),
            accept: list(&["ben2@poc.internal"]),
            allow_override: list(&["dora"]),
            plain_phone: true,
        };
        let rules = typed.read("poc.internal").unwrap();
        assert_eq!(
            rules.access,
            [
                ("anybody".to_owned(), AccessName::Pass),
                ("sip:ben2@poc.internal".to_owned(), AccessName::Accept),
                ("sip:ben@poc.internal".to_owned(), AccessName::Bar),
                ("sip:carl@home1.example".to_owned(), AccessName::Bar),
            ]
            .into()
        );
        assert_eq!(rules.allow_override, ["sip:dora@poc.internal".to_owned()].into());
        assert!(rules.plain_phone);
        let both = TypedRules {
            bar: list(&["ben"]),
            pass: list(&["ben"]),
            accept: vec![],
            allow_override: vec![],
            plain_phone: false,
        };
        assert!(both.read("poc.internal").is_err());
    }
}
