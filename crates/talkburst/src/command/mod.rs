//! The subcommands, one file each.

mod alert;
mod answer;
#[cfg(unix)]
mod bench;
mod call;
#[cfg(unix)]
mod capture;
#[cfg(unix)]
mod check;
mod demo;
#[cfg(unix)]
mod group;
mod password;
mod probe;
#[cfg(unix)]
mod replay;
#[cfg(unix)]
mod serve;
mod session;
#[cfg(unix)]
mod sessions;
mod sim;
#[cfg(unix)]
mod trace;
#[cfg(unix)]
mod user;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::{env, fmt, io};

use clap::Subcommand;
use sip::transport::Transport;

#[cfg(unix)]
pub(crate) use self::session::arguments::IpPort;
#[cfg(unix)]
pub(crate) use self::session::settings::advertised_ip;
#[cfg(unix)]
use crate::config::Faults;
#[cfg(unix)]
use crate::control::Refusal;
use crate::locate::LocateError;
#[cfg(unix)]
use crate::store::StoreError;

/// Whether the terminal can neither move a cursor nor show colours, as `TERM` has it.
pub(crate) fn is_terminal_dumb() -> bool {
    cfg!(unix) && env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// What was typed.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Invite a user, several, or a group; ends when the session has ended.
    Call(call::Arguments),
    /// Ask a user to call back, or tell of a group, without a session.
    Alert(alert::Arguments),
    /// Wait for invitations, until stopped.
    Answer(answer::Arguments),
    /// Serve: a SIP/IP core and a PoC Server in one process, until stopped.
    #[cfg(unix)]
    Serve(serve::Arguments),
    /// Read a configuration file as `serve` does, and say what it comes to.
    #[cfg(unix)]
    Check(check::Arguments),
    /// Who may use the server: enter, remove, list, change.
    #[cfg(unix)]
    User(user::Arguments),
    /// Which sessions a server that runs has.
    #[cfg(unix)]
    Sessions(sessions::Arguments),
    /// What goes through a server that runs and concerns a user: a ladder that grows.
    #[cfg(unix)]
    Trace(trace::Arguments),
    /// The last messages of a server that runs, as a capture file.
    #[cfg(unix)]
    Capture(capture::Arguments),
    /// Which groups there are, and who belongs to them.
    #[cfg(unix)]
    Group(group::Arguments),
    /// Measure what a server costs.
    #[cfg(unix)]
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Play the other side of any SIP or PoC endpoint, well and badly, and judge what it does.
    Probe(probe::Arguments),
    /// Two clients over real UDP sockets play through how a session is cancelled.
    Demo(demo::Arguments),
    /// Do again what a journal has, and say whether the same comes of it.
    #[cfg(unix)]
    Replay(replay::Arguments),
    /// Simulate the whole system with as many clients as are wanted: one seed, virtual time, all invariants watched.
    Sim(sim::Arguments),
}

/// What commands wait in: one thread, with sockets and a clock.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Network)
}

/// Waits for what a command does.
fn block_on<T>(doing: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    runtime()?.block_on(doing)
}

/// Carries out a subcommand. How a call ended is no failure; the exit code tells it all the same.
pub(crate) fn run(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Call(arguments) => call::run(arguments),
        Command::Alert(arguments) => alert::run(arguments),
        Command::Answer(arguments) => answer::run(arguments),
        #[cfg(unix)]
        Command::Serve(arguments) => serve::run(arguments),
        #[cfg(unix)]
        Command::Check(arguments) => check::run(&arguments),
        #[cfg(unix)]
        Command::User(arguments) => user::run(arguments),
        #[cfg(unix)]
        Command::Sessions(arguments) => sessions::run(&arguments),
        #[cfg(unix)]
        Command::Trace(arguments) => trace::run(&arguments),
        #[cfg(unix)]
        Command::Capture(arguments) => capture::run(&arguments),
        #[cfg(unix)]
        Command::Group(arguments) => group::run(arguments),
        #[cfg(unix)]
        Command::Bench(bench) => bench::run(bench),
        Command::Probe(arguments) => probe::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments).map(|()| DONE),
        #[cfg(unix)]
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Sim(arguments) => sim::run(arguments),
    }
}

/// Exit code: what was wanted was done.
pub(crate) const DONE: u8 = 0;

/// Why a subcommand failed. Exit codes are documented in the README.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What should have happened did not: so many times.
    Wrong(usize),
    /// The standard output could not be written.
    Output(io::Error),
    /// A socket could not be opened at this address.
    Socket(String, io::Error),
    /// The network of this machine failed.
    Network(io::Error),
    /// A file could not be written.
    File(PathBuf, String),
    /// This is no journal that can be read.
    #[cfg(unix)]
    Journal(PathBuf, String),
    /// The options do not go together.
    Usage(&'static str),
    /// This is not the address that is wanted there.
    Address { what: &'static str, typed: String, why: &'static str },
    /// It would take TLS.
    NoTls { what: &'static str, instead: &'static str },
    /// The password could not be read from there.
    Password(String, io::Error),
    /// This address cannot be listened on.
    Listen(Transport, SocketAddr, io::Error),
    /// This machine has no way to the target.
    NoRoute(SocketAddr, io::Error),
    /// The target cannot be reached from the address that is listened on.
    OtherFamily { listen: IpAddr, target: IpAddr },
    /// There is no next hop.
    Locate(LocateError),
    /// The server did not register us; with its answer, if there was one.
    NotRegistered(Option<u16>),
    /// These users cannot be invited together.
    Invitees(poc::client::ListError),
    /// The client refused to begin.
    Refused(sip::Misuse),
    /// A value cannot be what was typed.
    #[cfg(unix)]
    Value(String),
    /// The configuration is wrong.
    #[cfg(unix)]
    Configuration(Faults),
    /// The store cannot be used.
    #[cfg(unix)]
    Store(StoreError),
    /// The server that has the data folder does not answer.
    #[cfg(unix)]
    Server(io::Error),
    /// No server has this data folder.
    #[cfg(unix)]
    NoServer(PathBuf, io::Error),
    /// What was wanted of the server was refused.
    #[cfg(unix)]
    NotDone(Refusal),
    /// Calls failed or messages were sent again while it was measured; with the last refusal.
    #[cfg(unix)]
    Void { failed: u64, repeated: u64, refusal: Option<u16> },
}

impl Failure {
    /// Exit code: the command line was wrong.
    pub(crate) const USAGE: u8 = 2;

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Wrong(_) => 1,
            #[cfg(unix)]
            Self::Void { .. } => 1,
            Self::Usage(_) | Self::Address { .. } | Self::Invitees(_) | Self::Refused(_) => Self::USAGE,
            Self::NotRegistered(_) => 7,
            Self::Output(_) | Self::File(..) | Self::Password(..) => 3,
            Self::Socket(..)
            | Self::Network(_)
            | Self::NoTls { .. }
            | Self::Listen(..)
            | Self::NoRoute(..)
            | Self::OtherFamily { .. }
            | Self::Locate(_) => 4,
            #[cfg(unix)]
            Self::Value(_) | Self::Configuration(_) => Self::USAGE,
            #[cfg(unix)]
            Self::Store(_) | Self::Journal(..) => 3,
            #[cfg(unix)]
            Self::Server(_) | Self::NoServer(..) => 4,
            #[cfg(unix)]
            Self::NotDone(_) => 5,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(1) => f.write_str("one scene did not end as it must"),
            Self::Wrong(count) => write!(f, "{count} scenes did not end as they must"),
            Self::Output(error) => write!(f, "failed to write the output: {error}"),
            Self::Socket(address, error) => {
                write!(
                    f,
                    "failed to open a UDP socket on {address}: {error}; is that address up on this machine?"
                )
            }
            Self::Network(error) => write!(f, "failed to send or receive: {error}"),
            Self::File(path, error) => {
                write!(f, "failed to write {}: {error}; choose a place that can be written", path.display())
            }
            #[cfg(unix)]
            Self::Journal(path, why) => write!(f, "failed to read {}: {why}", path.display()),
            Self::Usage(why) => write!(f, "failed to read the command line: {why}"),
            Self::Address { what, typed, why } => {
                write!(f, "failed to read {what} {typed:?}: {why}")
            }
            Self::NoTls { what, instead } => {
                write!(f, "failed to use {what}: TLS is not there yet; use {instead}")
            }
            Self::Password(place, error) => {
                write!(f, "failed to read the password from {place}: {error}; put it on the first line")
            }
            Self::Listen(transport, address, error) => {
                let advice = if error.kind() == io::ErrorKind::AddrInUse {
                    "choose another port with --listen"
                } else {
                    "is that address up on this machine?"
                };
                let transport = transport.as_str();
                write!(f, "failed to listen on {transport} {address}: {error}; {advice}")
            }
            Self::NoRoute(target, error) => {
                write!(f, "failed to reach {target}: {error}; is this machine on that network?")
            }
            Self::OtherFamily { listen, target } => {
                write!(
                    f,
                    "failed to reach {target} from {listen}: not the same address family; change --listen"
                )
            }
            Self::Locate(why) => write!(f, "failed to find the way: {why}"),
            Self::NotRegistered(Some(status @ (401 | 407))) => write!(
                f,
                "failed to register: {status}; are --username and the password those that the server has?"
            ),
            Self::NotRegistered(Some(status)) => {
                write!(f, "failed to register: {status}; is --user known to the server?")
            }
            Self::NotRegistered(None) => {
                f.write_str("failed to register: no answer; does the server run there?")
            }
            Self::Invitees(error) => write!(f, "failed to read the command line: {error}"),
            Self::Refused(misuse) => write!(f, "failed to call: {misuse}"),
            #[cfg(unix)]
            Self::Value(why) => write!(f, "failed to read the command line: {why}"),
            #[cfg(unix)]
            Self::Configuration(faults) => faults.fmt(f),
            #[cfg(unix)]
            Self::Store(error) => error.fmt(f),
            #[cfg(unix)]
            Self::Server(error) => {
                write!(f, "failed to reach the server that has the data folder: {error}; restart it")
            }
            #[cfg(unix)]
            Self::NoServer(folder, error) => {
                let folder = folder.display();
                write!(f, "failed to reach a server with the data folder {folder}: {error}; does it run?")
            }
            #[cfg(unix)]
            Self::NotDone(refusal) => write!(f, "failed to do this: {refusal}"),
            #[cfg(unix)]
            Self::Void { failed, repeated, refusal } => {
                let refusal =
                    refusal.map(|status| format!(" (the last one with {status})")).unwrap_or_default();
                write!(
                    f,
                    "failed to measure: {failed} calls failed{refusal} and {repeated} messages were sent again, so the \
                     figures are void"
                )
            }
        }
    }
}

impl From<LocateError> for Failure {
    fn from(error: LocateError) -> Self {
        Self::Locate(error)
    }
}

#[cfg(unix)]
impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::Configuration(faults)
    }
}

#[cfg(unix)]
impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
