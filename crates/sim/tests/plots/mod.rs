//! Many stories of a plot, and what chance must have met in them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::catch_unwind;

use sim::system::story::{self, Plot};

/// Tells the stories of these seeds; what was met in them, how often, and how often each rule was checked.
pub(crate) fn tell(plot: Plot, seeds: Range<u64>) -> BTreeMap<String, u64> {
    let mut met: BTreeMap<String, u64> = BTreeMap::new();
    for seed in seeds {
        let told = catch_unwind(|| story::tell(plot, seed).system.watch);
        let Ok(watch) = told else { panic!("{}", story::ladder_of_failure(plot, seed)) };
        let counted = watch.checked.named().map(|(what, times)| (format!("checked: {what}"), times));
        for (what, times) in watch.met.into_iter().chain(counted) {
            *met.entry(what).or_default() += times;
        }
    }
    met
}

/// Each of these was met so often at least.
pub(crate) fn assert_met(met: &BTreeMap<String, u64>, wanted: &[&str], least: u64) {
    let times = |what: &&&str| met.get(**what).copied().unwrap_or(0);
    let missing: Vec<_> = wanted.iter().filter(|what| times(what) < least).collect();
    assert!(missing.is_empty(), "{missing:?} of {met:#?}");
}

/// Each of these seeds tells the same story twice.
pub(crate) fn assert_same_twice(plot: Plot, seeds: Range<u64>) {
    for seed in seeds {
        let [one, other] = [(); 2].map(|()| story::tell(plot, seed).system);
        assert_eq!(one.trace().render(), other.trace().render(), "seed {seed}");
        assert_eq!(one.records, other.records, "seed {seed}");
    }
}
