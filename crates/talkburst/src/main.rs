//! Talkburst: Push-to-talk over Cellular.

mod capture;
mod clock;
mod command;
#[cfg(unix)]
mod config;
#[cfg(unix)]
mod control;
mod driver;
#[cfg(unix)]
mod journal;
mod locate;
mod record;
#[cfg(unix)]
mod serve;
#[cfg(unix)]
mod store;
mod voice;
#[cfg(unix)]
mod watch;

use std::io;
use std::process::ExitCode;

use anstream::ColorChoice;
use clap::Parser;
use clap::error::ErrorKind;

use crate::command::{Command, Failure};

/// Push-to-talk over Cellular (OMA PoC) on any SIP/IP core.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    // anstream would colour it wherever `CI` is set.
    if command::is_terminal_dumb() {
        ColorChoice::Never.write_global();
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    match command::run(arguments.command) {
        Ok(code) => ExitCode::from(code),
        // Nobody reads any more: that is the reader's choice.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            anstream::eprintln!("talkburst: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// A value that cannot be read is said in one line; what to type instead, as clap has it.
fn refuse(error: &clap::Error) -> ExitCode {
    if error.kind() != ErrorKind::ValueValidation {
        error.exit();
    }
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    anstream::eprintln!(
        "talkburst: failed to read the command line: {}; see --help",
        line.trim_start_matches("error: ")
    );
    ExitCode::from(Failure::USAGE)
}
