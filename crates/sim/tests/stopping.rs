//! 1,000 stories of networks that are told to stop: see `sim::system::story`.

use std::collections::BTreeMap;
use std::panic::catch_unwind;

use sim::system::story::{self, Plot};

/// Stories of each part; the parts run side by side.
const STORIES: u64 = 500;

/// What chance must have met in each part, so that the invariants were put to the test.
const MET: [&str; 17] = [
    "cancelled before any 1xx",
    "cancelled while ringing",
    "crossing at a client",
    "crossing at a core",
    "crossing at Controlling",
    "crossing at Participating",
    "invited: ended",
    "invited: missed invitation",
    "inviter: cancelled",
    "inviter: ended",
    "inviter: not accepted",
    "record: controlling, Rejected by Server",
    "record: controlling, Released by Server",
    "record: participating, Cancelled by Inviter",
    "record: participating, Rejected by Server",
    "record: participating, Released by Server",
    "somebody is sent away",
];

fn tell(part: u64) {
    let mut met: BTreeMap<String, u64> = BTreeMap::new();
    for seed in part * STORIES..(part + 1) * STORIES {
        let told = catch_unwind(|| story::tell(Plot::Stopping, seed).system.watch);
        let Ok(watch) = told else { panic!("{}", story::ladder_of_failure(Plot::Stopping, seed)) };
        for (what, times) in watch.met {
            *met.entry(what).or_default() += times;
        }
    }
    let times = |what: &&&str| met.get(**what).copied().unwrap_or(0);
    let missing: Vec<_> = MET.iter().filter(|what| times(what) < 3).collect();
    assert!(missing.is_empty(), "{missing:?} of {met:#?}");
}

#[test]
fn a_seed_tells_the_same_story_of_servers_that_stop_twice() {
    for seed in 0..20 {
        let [one, other] = [(); 2].map(|()| story::tell(Plot::Stopping, seed).system);
        assert_eq!(one.trace().render(), other.trace().render(), "seed {seed}");
        assert_eq!(one.records, other.records, "seed {seed}");
    }
}

#[test]
fn nobody_is_left_ringing_or_connected_by_servers_that_stop_in_the_first_500_stories() {
    tell(0);
}

#[test]
fn nobody_is_left_ringing_or_connected_by_servers_that_stop_in_the_second_500_stories() {
    tell(1);
}
