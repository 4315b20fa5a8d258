//! Tells many stories: `cargo run --release -p sim --example stories -- FROM COUNT [system|groups|stopping]`.
//!
//! Of two clients, or of a whole system. Prints progress, and the ladder of the first story that breaks an invariant.
#![expect(clippy::print_stdout, reason = "this is a program")]

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::process::ExitCode;

use sim::system::story::Plot;
use sim::{story, system};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u64> = arguments.iter().filter_map(|number| number.parse().ok()).collect();
    let plot = match arguments.get(2).map(String::as_str) {
        None => None,
        Some("system") => Some(Plot::Pairs),
        Some("groups") => Some(Plot::Groups),
        Some("stopping") => Some(Plot::Stopping),
        Some(_) => return usage(),
    };
    let [from, count] = numbers[..] else { return usage() };
    let mut met: BTreeMap<String, u64> = BTreeMap::new();
    for seed in from..from + count {
        let ladder = if let Some(plot) = plot {
            match catch_unwind(|| system::story::tell(plot, seed).system.watch.met) {
                Ok(told) => {
                    told.into_iter().for_each(|(what, times)| *met.entry(what).or_default() += times);
                    None
                }
                Err(_) => Some(system::story::ladder_of_failure(plot, seed)),
            }
        } else {
            catch_unwind(|| story::two_clients(seed)).err().map(|_| story::ladder_of_failure(seed))
        };
        if let Some(ladder) = ladder {
            println!("{ladder}");
            return ExitCode::FAILURE;
        }
        if (seed + 1 - from).is_multiple_of(10_000) {
            println!("{} of {count} stories", seed + 1 - from);
        }
    }
    for (what, times) in met {
        println!("{times:>9} {what}");
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    println!("usage: stories FROM COUNT [system|groups|stopping]");
    ExitCode::from(2)
}
