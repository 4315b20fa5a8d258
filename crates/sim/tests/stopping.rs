//! 1,000 stories of networks that are told to stop: see `sim::system::story`.

mod plots;

use sim::system::story::Plot;

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
    let met = plots::tell(Plot::Stopping, part * STORIES..(part + 1) * STORIES);
    plots::assert_met(&met, &MET, 3);
}

#[test]
fn a_seed_tells_the_same_story_of_servers_that_stop_twice() {
    plots::assert_same_twice(Plot::Stopping, 0..20);
}

#[test]
fn nobody_is_left_ringing_or_connected_by_servers_that_stop_in_the_first_500_stories() {
    tell(0);
}

#[test]
fn nobody_is_left_ringing_or_connected_by_servers_that_stop_in_the_second_500_stories() {
    tell(1);
}
