//! Tells many stories: `cargo run --release -p sim --example stories -- FROM COUNT`.
//!
//! Prints progress, and the ladder of the first story that breaks an invariant.
#![expect(clippy::print_stdout, reason = "this is a program")]

use std::panic::catch_unwind;
use std::process::ExitCode;

use sim::story;

fn main() -> ExitCode {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|number| number.parse().ok()).collect();
    let [from, count] = numbers[..] else {
        println!("usage: stories FROM COUNT");
        return ExitCode::from(2);
    };
    for seed in from..from + count {
        if catch_unwind(|| story::two_clients(seed)).is_err() {
            println!("{}", story::ladder_of_failure(seed));
            return ExitCode::FAILURE;
        }
        if (seed + 1 - from).is_multiple_of(10_000) {
            println!("{} of {count} stories", seed + 1 - from);
        }
    }
    ExitCode::SUCCESS
}
