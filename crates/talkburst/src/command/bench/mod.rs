//! `talkburst bench`: what a server costs, under a load that is made here.

#[cfg(target_os = "linux")]
mod bursts;
mod called;
mod caller;
mod child;
#[cfg(target_os = "linux")]
mod control;
mod enter;
mod figures;
#[cfg(target_os = "linux")]
mod legs;
mod load;
#[cfg(target_os = "linux")]
mod media;
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
    /// Speech by way of a server of its own: what a copy costs, and how late it is.
    #[cfg(target_os = "linux")]
    Media(media::Arguments),
    /// Talk bursts that are asked for, granted and released: what a message costs, and how long a grant takes.
    #[cfg(target_os = "linux")]
    Bursts(bursts::Arguments),
}

/// Measures; a run in which anything failed or was sent again is void.
pub(super) fn run(bench: Bench) -> Result<u8, Failure> {
    match bench {
        Bench::Sip(arguments) => sip::run(&arguments),
        #[cfg(target_os = "linux")]
        Bench::Media(arguments) => media::run(&arguments),
        #[cfg(target_os = "linux")]
        Bench::Bursts(arguments) => bursts::run(&arguments),
    }
}

#[cfg(test)]
mod tests;
