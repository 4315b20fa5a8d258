//! 20,000 stories of two clients: see `sim::story`.

use std::panic::catch_unwind;

use sim::story;

/// Stories of each part; the parts run side by side.
const STORIES: u64 = 5_000;

fn tell(part: u64) {
    let mut totals = [0; 12];
    for seed in part * STORIES..(part + 1) * STORIES {
        let told = catch_unwind(|| story::two_clients(seed).world.monitor.checked);
        let Ok(checked) = told else { panic!("{}", story::ladder_of_failure(seed)) };
        let counts = checked.named().map(|(_, count)| count);
        for (total, count) in totals.iter_mut().zip(counts) {
            *total += count;
        }
    }
    // Chance met every kind of ending, so the invariants were put to the test.
    assert!(totals.iter().all(|total| *total > STORIES / 50), "{totals:?}");
}

#[test]
fn nobody_is_left_ringing_or_connected_in_the_first_5000_stories() {
    tell(0);
}

#[test]
fn nobody_is_left_ringing_or_connected_in_the_second_5000_stories() {
    tell(1);
}

#[test]
fn nobody_is_left_ringing_or_connected_in_the_third_5000_stories() {
    tell(2);
}

#[test]
fn nobody_is_left_ringing_or_connected_in_the_fourth_5000_stories() {
    tell(3);
}
