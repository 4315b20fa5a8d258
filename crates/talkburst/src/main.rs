//! Talkburst: Push-to-talk over Cellular.

mod capture;
mod command;
#[cfg_attr(not(test), expect(dead_code, reason = "called by the commands that call"))]
mod locate;

use std::io;
use std::process::ExitCode;

use clap::Parser;

use crate::command::{Command, Failure};

/// Push-to-talk over Cellular (OMA PoC) on any SIP/IP core.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    match command::run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads any more: that is the reader's choice.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            anstream::eprintln!("talkburst: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
