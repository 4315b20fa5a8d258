//! Switches off one rule after another, and sees who notices: `.ci/mutants [--short] [--write] [NAME]...`
//!
//! Needs a build with `--cfg talkburst_mutants`, which `.ci/mutants` makes.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

#[cfg(not(talkburst_mutants))]
fn main() -> std::process::ExitCode {
    eprintln!("nothing can be switched off in this build: run .ci/mutants");
    std::process::ExitCode::FAILURE
}

#[cfg(talkburst_mutants)]
fn main() -> std::process::ExitCode {
    house::run()
}

#[cfg(talkburst_mutants)]
mod house {
    use std::panic::catch_unwind;
    use std::process::ExitCode;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use sim::explore::{Extent, Scene, explore};
    use sim::system::story::Plot;
    use sip::Guard;

    /// Who noticed.
    #[derive(Clone, Debug)]
    struct Found {
        by: String,
        what: String,
        after: String,
    }

    /// How far the search for somebody who notices goes.
    #[derive(Clone, Copy)]
    struct Limits {
        states: u64,
        pairs: u64,
        stories: u64,
    }

    pub(super) fn run() -> ExitCode {
        let (flags, names): (Vec<_>, Vec<_>) =
            std::env::args().skip(1).partition(|word| word.starts_with("--"));
        let has = |flag: &str| flags.iter().any(|each| each == flag);
        std::panic::set_hook(Box::new(|_| {}));
        let limits = match has("--short") {
            true => Limits { states: 3_000, pairs: 1_000, stories: 150 },
            // All of each scene but of the one about speech.
            false => Limits { states: 3_000, pairs: 20_000, stories: 1_000 },
        };
        if let Some(Found { by, what, after }) = search(limits) {
            eprintln!("all rules stand, and {by} notices {what} after {after}");
            return ExitCode::FAILURE;
        }
        eprintln!("nobody notices anything while all rules stand");
        let is_chosen = |guard: &&Guard| names.is_empty() || names.contains(&format!("{guard:?}"));
        let guards: Vec<_> = Guard::ALL.iter().copied().filter(|guard| is_chosen(&guard)).collect();
        let found = search_all(&guards, limits);
        let mut table = String::new();
        let mut unnoticed = 0;
        for (guard, found) in guards.iter().zip(&found) {
            let (row, rule, place) = (guard.row(), guard.rule(), guard.place());
            unnoticed += usize::from(found.is_none());
            let last = found.as_ref().map_or_else(
                || "**nobody** | | ".to_owned(),
                |Found { by, what, after }| format!("{by} | {what} | {after}"),
            );
            table.push_str(&format!("| `{guard:?}` | {row} | {rule} | `{place}` | {last} |\n"));
        }
        println!("{table}");
        if has("--write") {
            sim::explore::page::write("mutants", &(HEAD.to_owned() + &table));
        }
        eprintln!("{} of {} are noticed", guards.len() - unnoticed, guards.len());
        if unnoticed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    const HEAD: &str =
        "| guard | row | rule | place | noticed by | what broke | after |\n|---|---|---|---|---|---|---|\n";

    /// As many at once as there are processors: what is switched off is so in one thread.
    fn search_all(guards: &[Guard], limits: Limits) -> Vec<Option<Found>> {
        let next = AtomicUsize::new(0);
        let found = Mutex::new(vec![None; guards.len()]);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some((place, guard)) = take(&next, guards) {
                        Guard::switch_off(Some(guard));
                        let noticed = search(limits);
                        eprintln!("{guard:?}: {noticed:?}");
                        found.lock().expect("nobody panics")[place] = noticed;
                    }
                });
            }
        });
        found.into_inner().expect("nobody panics")
    }

    fn take(next: &AtomicUsize, guards: &[Guard]) -> Option<(usize, Guard)> {
        let place = next.fetch_add(1, Ordering::SeqCst);
        guards.get(place).map(|guard| (place, *guard))
    }

    fn search(limits: Limits) -> Option<Found> {
        for scene in Scene::all(Extent::Short) {
            let explored = explore(&scene, |seen| seen.states < limits.states);
            if let Err(violation) = explored {
                let after = format!("{} states", violation.states);
                return Some(Found { by: scene.name.to_owned(), what: brief(&violation.what), after });
            }
        }
        let tell = |name: &str, count: u64, story: &dyn Fn(u64) -> Result<(), String>| {
            (0..count).find_map(|seed| {
                let what = story(seed).err()?;
                let after = format!("{} stories", seed + 1);
                Some(Found { by: name.to_owned(), what: brief(&what), after })
            })
        };
        tell("stories of two clients", limits.pairs, &|seed| caught(|| drop(sim::story::two_clients(seed))))
            .or_else(|| {
                tell("stories of pairs", limits.stories, &|seed| {
                    caught(|| drop(sim::system::story::tell(Plot::Pairs, seed)))
                })
            })
            .or_else(|| {
                tell("stories of groups", limits.stories, &|seed| {
                    caught(|| drop(sim::system::story::tell(Plot::Groups, seed)))
                })
            })
    }

    fn caught(run: impl FnOnce() + std::panic::UnwindSafe) -> Result<(), String> {
        catch_unwind(run).map_err(|panic| match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(panic) => panic.downcast_ref::<&str>().map_or("a panic", |text| text).to_owned(),
        })
    }

    /// What stands in a table of it: the first line, up to where it shows what it saw.
    fn brief(what: &str) -> String {
        let line = what.lines().next().unwrap_or_default();
        let line = line.strip_prefix("assertion `left == right` failed: ").unwrap_or(line);
        let end = line.find(['"', '{', '(']).unwrap_or(line.len());
        line[..end].chars().take(90).collect::<String>().trim_end_matches([' ', ':']).replace('|', "/")
    }
}
