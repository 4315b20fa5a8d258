//! The subcommands, one file each.

mod demo;

use std::path::PathBuf;
use std::{fmt, io};

use clap::Subcommand;

/// What was typed.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Two clients over real UDP sockets play through how a session is cancelled.
    Demo(demo::Arguments),
}

/// Carries out a subcommand.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(arguments) => demo::run(&arguments),
    }
}

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
}

impl Failure {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Wrong(_) => 1,
            Self::Output(_) | Self::File(..) => 3,
            Self::Socket(..) | Self::Network(_) => 4,
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
            Self::Network(error) => write!(f, "failed to send or receive on the loopback network: {error}"),
            Self::File(path, error) => {
                write!(f, "failed to write {}: {error}; choose a place that can be written", path.display())
            }
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
