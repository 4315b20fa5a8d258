//! 10,000 stories of two networks with their servers: see `sim::system::story`.

mod plots;

use sim::system::story::Plot;

/// Stories of each part; the parts run side by side.
const STORIES: u64 = 2_500;

/// What chance must have met in each part, so that the invariants were put to the test.
const MET: [&str; 35] = [
    "cancelled before any 1xx",
    "cancelled while ringing",
    "crossing at a client",
    "crossing at a core",
    "crossing at Controlling",
    "crossing at Participating",
    "fork",
    "fork, accepted",
    "invited: answered elsewhere",
    "invited: ended",
    "invited: missed invitation",
    "invited: refused",
    "inviter: busy",
    "inviter: cancelled",
    "inviter: ended",
    "inviter: no answer from the network",
    "inviter: not accepted",
    "inviter: unconfirmed, and left",
    "record: controlling, Cancelled by Inviter",
    "record: controlling, Rejected by Invited",
    "record: controlling, Rejected by Server",
    "record: controlling, Released by Invited",
    "record: controlling, Released by Inviter",
    "record: participating, Cancelled by Inviter",
    "record: participating, Expired by Inviter",
    "record: participating, Rejected by Server",
    "record: participating, Released by Invited",
    "record: participating, Released by Inviter",
    "talk burst: granted",
    "talk burst: pre-empted",
    "talk burst: queued",
    "talk burst: speech that was heard",
    "talk burst: speech that was passed on",
    "talk burst: spoke too long",
    "talk burst: told who speaks",
];

/// What is rare: once is enough.
const RARELY_MET: [&str; 4] = [
    "record: controlling, NotAcknowledged by Inviter",
    "record: controlling, Released by Server",
    "record: participating, Cancelled by Invited",
    "record: participating, Released by Server",
];

fn tell(part: u64) {
    let met = plots::tell(Plot::Pairs, part * STORIES..(part + 1) * STORIES);
    plots::assert_met(&met, &MET, 10);
    let mut checked = met.iter().filter(|(what, _)| what.starts_with("checked"));
    assert!(checked.all(|(_, times)| *times > STORIES / 100), "{met:#?}");
    plots::assert_met(&met, &RARELY_MET, 1);
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    plots::assert_same_twice(Plot::Pairs, 0..50);
}

#[test]
fn nobody_is_left_ringing_or_connected_by_servers_in_the_first_2500_stories() {
    tell(0);
}

#[test]
fn nobody_is_left_ringing_or_connected_by_servers_in_the_second_2500_stories() {
    tell(1);
}

#[test]
fn nobody_is_left_ringing_or_connected_by_servers_in_the_third_2500_stories() {
    tell(2);
}

#[test]
fn nobody_is_left_ringing_or_connected_by_servers_in_the_fourth_2500_stories() {
    tell(3);
}
