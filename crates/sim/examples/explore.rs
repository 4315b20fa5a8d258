//! Explores scenes: `cargo run --release -p sim --example explore -- [--full] [--write] [NAME]...`
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::process::ExitCode;

use sim::explore::{Bounds, Extent, Scene, Seen, explore, page};

fn main() -> ExitCode {
    let (flags, names): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|word| word.starts_with("--"));
    let has = |flag: &str| flags.iter().any(|each| each == flag);
    let extent = if has("--full") { Extent::Full } else { Extent::Short };
    std::panic::set_hook(Box::new(|_| {}));
    let chosen = |scene: &Scene| names.is_empty() || names.iter().any(|name| name == scene.name);
    for scene in Scene::all(extent).iter().filter(|scene| chosen(scene)) {
        let mut told = 0;
        let explored = explore(scene, |seen| {
            if seen.moves - told >= 50_000 {
                told = seen.moves;
                eprintln!("{}: {} states, {} moves", scene.name, seen.states, seen.moves);
            }
            true
        });
        match explored {
            Ok(seen) => {
                println!("{}: {seen:?}", scene.name);
                if has("--write") {
                    page::write_row("scenes", HEAD, &row(scene, extent, &seen));
                }
            }
            Err(violation) => {
                println!("{}\n{} after {} states", violation.ladder, violation.what, violation.states);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

const HEAD: &str = "| scene | extent | about | faults | states | moves | ends | longest |\n|---|---|---|---|---|---|---|---|\n";

fn row(scene: &Scene, extent: Extent, seen: &Seen) -> String {
    let (name, about, Seen { states, moves, ends, deepest }) = (scene.name, scene.about, seen);
    let faults = faults(&scene.bounds);
    format!("| `{name}` | {extent:?} | {about} | {faults} | {states} | {moves} | {ends} | {deepest} |")
}

fn faults(bounds: &Bounds) -> String {
    let Bounds { losses, copies, overtakings, delays, in_all, patience: _ } = *bounds;
    let kinds = [("loss", losses), ("copy", copies), ("overtaking", overtakings), ("delay", delays)];
    let kinds: Vec<_> = kinds.iter().filter(|(_, each)| *each > 0).map(|(kind, _)| *kind).collect();
    if in_all == 0 { "none".to_owned() } else { format!("{in_all} ({})", kinds.join(", ")) }
}
