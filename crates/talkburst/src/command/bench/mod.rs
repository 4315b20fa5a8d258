//! `talkburst bench`: what a server costs, under a load that is made here.

mod called;
mod caller;
mod child;
mod enter;
mod figures;
mod load;
mod port;
mod sip;
mod text;

use clap::Subcommand;

use super::Failure;

/// What is measured.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Calls by way of a server of its own, or of one that runs: their cost, how long they take, what they hold.
    Sip(sip::Arguments),
}

/// Measures; a run in which anything failed or was sent again is void.
pub(super) fn run(bench: Bench) -> Result<u8, Failure> {
    match bench {
        Bench::Sip(arguments) => sip::run(&arguments),
    }
}

#[cfg(test)]
mod tests;
