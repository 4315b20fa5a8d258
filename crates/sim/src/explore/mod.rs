//! Every way in which a scene can go, within bounds: delivery, loss, copies, overtaking, time, and what users decide.
//!
//! The machines are those that ship, and the rules are those of the simulation's monitors. Each state is reached once: a state is
//! known by the fingerprint of its canonical form (`canon`), and what is known is not explored again. The search goes deep first, for
//! then only the states of one way are kept; if a rule is broken it is made again, broad first, for the shortest way there.
//!
//! Messages and decisions come at the moments at which something changes by itself, in every order; between two such moments nothing
//! in a machine depends on the time.

mod canon;
mod judge;
pub mod page;
mod scenes;
mod state;
mod users;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sip::hash::Table;

use self::canon::Canon;
pub use self::scenes::{Extent, Scene};
use self::state::State;
pub use self::state::{Bounds, Move};
pub use self::users::Deed;

/// What a search has seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// States that differ.
    pub states: u64,
    /// Moves from one to another.
    pub moves: u64,
    /// Ways that came to their end.
    pub ends: u64,
    /// Moves of the longest way.
    pub deepest: usize,
}

/// A rule is broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which, and how.
    pub what: String,
    /// The way there.
    pub moves: Vec<Move>,
    /// It, as a ladder.
    pub ladder: String,
    /// States that were seen before.
    pub states: u64,
    /// There is no shorter way.
    pub is_shortest: bool,
}

/// States that may be kept to find the shortest way.
const KEPT_MAX: usize = 20_000;

/// Explores a scene. `progress` hears how far it has come, now and then, and says whether to go on.
///
/// # Errors
/// The first [`Violation`].
pub fn explore(scene: &Scene, mut progress: impl FnMut(&Seen) -> bool) -> Result<Seen, Box<Violation>> {
    let mut seen = Seen::default();
    match deep(scene, &mut seen, &mut progress) {
        Ok(()) => Ok(seen),
        Err((what, moves)) => {
            let shorter = broad(scene, moves.len());
            let is_shortest = shorter.is_some();
            let (what, moves) = shorter.unwrap_or((what, moves));
            let ladder = told(scene, &moves);
            Err(Box::new(Violation { what, moves, ladder, states: seen.states, is_shortest }))
        }
    }
}

/// What was broken, and the way there.
type Broken = (String, Vec<Move>);

fn deep(scene: &Scene, seen: &mut Seen, progress: &mut impl FnMut(&Seen) -> bool) -> Result<(), Broken> {
    let (mut canon, root) = scene.root();
    let mut known: Table<()> = Table::default();
    let mut way: Vec<Move> = Vec::new();
    // A state, its moves that are left, and how long the way to it is.
    let mut open =
        vec![enter(&mut canon, root, &mut known, seen).map_err(|what| (what, Vec::new()))?.expect("new")];
    while let Some((state, moves)) = open.last_mut() {
        let Some(next) = moves.pop() else {
            open.pop();
            way.pop();
            continue;
        };
        way.push(next);
        seen.moves += 1;
        seen.deepest = seen.deepest.max(way.len());
        let state = state.clone();
        match step(&mut canon, state, next) {
            Err(what) => return Err((what, way)),
            Ok(state) => {
                match enter(&mut canon, state, &mut known, seen).map_err(|what| (what, way.clone()))? {
                    Some(entered) => open.push(entered),
                    None => {
                        way.pop();
                    }
                }
            }
        }
        if seen.moves.is_multiple_of(10_000) && !progress(seen) {
            break;
        }
    }
    Ok(())
}

/// Takes up a state, unless it is known.
fn enter(
    canon: &mut Canon,
    mut state: State,
    known: &mut Table<()>,
    seen: &mut Seen,
) -> Result<Option<(State, Vec<Move>)>, String> {
    if known.insert(state.fingerprint(canon), ()).is_some() {
        return Ok(None);
    }
    seen.states += 1;
    let moves = state.moves();
    if moves.is_empty() {
        seen.ends += 1;
        caught(|| state.finish())?;
    }
    Ok(Some((state, moves)))
}

fn step(canon: &mut Canon, mut state: State, what: Move) -> Result<State, String> {
    caught(|| {
        state.apply(canon, what);
        state.wait_long(canon);
        state
    })
}

/// Runs it; what a monitor says if a rule is broken.
fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().map_or("a panic", |text| text).to_owned(),
    })
}

/// The shortest way to something broken, of `longest` moves at most.
fn broad(scene: &Scene, longest: usize) -> Option<Broken> {
    let (mut canon, root) = scene.root();
    let (mut known, mut seen) = (Table::default(), Seen::default());
    let first = enter(&mut canon, root, &mut known, &mut seen).ok()??;
    let mut open = VecDeque::from([(first, Vec::new())]);
    while let Some(((state, moves), way)) = open.pop_front() {
        for next in moves {
            let way = [&way[..], &[next]].concat();
            let entered = step(&mut canon, state.clone(), next)
                .and_then(|state| enter(&mut canon, state, &mut known, &mut seen));
            match entered {
                Err(what) => return Some((what, way)),
                Ok(Some(entered)) if way.len() < longest => open.push_back((entered, way)),
                Ok(_) => {}
            }
        }
        if open.len() > KEPT_MAX {
            return None;
        }
    }
    None
}

/// The story of a way.
fn told(scene: &Scene, moves: &[Move]) -> String {
    let (mut canon, mut state) = scene.told_root();
    for next in moves {
        let done = caught(|| {
            state.apply(&mut canon, *next);
            state.wait_long(&mut canon);
        });
        if done.is_err() {
            break;
        }
    }
    state.ladder()
}
