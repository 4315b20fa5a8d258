//! 2,000 stories of groups: see `sim::system::story`.

mod plots;

use sim::system::story::Plot;

/// Stories of each part; the parts run side by side.
const STORIES: u64 = 1_000;

/// What chance must have met in each part, so that the invariants were put to the test.
const MET: [&str; 33] = [
    "cancelled before any 1xx",
    "cancelled while ringing",
    "crossing at a client",
    "crossing at a core",
    "crossing at Controlling",
    "crossing at Participating",
    "invited: ended",
    "invited: missed invitation",
    "invited: refused",
    "inviter: busy",
    "inviter: cancelled",
    "inviter: ended",
    "inviter: not accepted",
    "inviter: unconfirmed, and left",
    "record: controlling, Cancelled by Inviter",
    "record: controlling, Rejected by Invited",
    "record: controlling, Released by Invited",
    "record: controlling, Released by Inviter",
    "record: participating, Cancelled by Inviter",
    "record: participating, Expired by Inviter",
    "record: participating, Released by Invited",
    "record: participating, Released by Inviter",
    "session that somebody came into",
    "somebody is added",
    "somebody is sent away",
    "talk burst: granted",
    "talk burst: pre-empted",
    "talk burst: queued",
    "talk burst: speech that was heard",
    "talk burst: speech that was passed on",
    "talk burst: spoke too long",
    "talk burst: told who speaks",
    "who takes part is told again",
];

fn tell(part: u64) {
    let met = plots::tell(Plot::Groups, part * STORIES..(part + 1) * STORIES);
    plots::assert_met(&met, &MET, 3);
}

#[test]
fn a_seed_tells_the_same_story_of_groups_twice() {
    plots::assert_same_twice(Plot::Groups, 0..20);
}

#[test]
fn nobody_is_left_ringing_or_connected_by_groups_in_the_first_1000_stories() {
    tell(0);
}

#[test]
fn nobody_is_left_ringing_or_connected_by_groups_in_the_second_1000_stories() {
    tell(1);
}
