//! The queue as clients see it: user-plane digest 6.2.

use super::*;

#[test]
fn the_earlier_press_goes_first_where_timestamps_are_agreed() {
    let agreed = Some(TalkBurst { queuing: true, ..TalkBurst::default() });
    let mut session =
        Session::taken([joining(0), with_queuing(1), with_queuing(2), Joining { agreed, ..joining(3) }]);
    session.request_pressed(1, 300);
    session.request_pressed(2, 200);
    session.request_pressed(3, 100);
    session.assert_sent(["1: place 1, normal", "2: place 1, normal", "3: place 3, normal"]);
}

#[test]
fn a_second_request_makes_no_second_entry_and_may_raise_the_priority() {
    let mut session = Session::taken([joining(0), with_queuing(1), with_queuing(2)]);
    session.request(1);
    session.request(2);
    session.request(2);
    session.request_with(2, Priority::High);
    session.request_with(2, Priority::None);
    session.assert_sent([
        "1: place 1, normal",
        "2: place 2, normal",
        "2: place 2, normal",
        "2: place 1, high",
        "2: place 1, high",
    ]);
    assert_eq!(session.bursts.queue.len(), 2);
}

#[test]
fn no_priority_counts_as_normal() {
    let mut session = Session::taken([joining(0), with_queuing(1)]);
    session.request_with(1, Priority::None);
    session.assert_sent(["1: place 1, normal"]);
}

#[test]
fn what_the_queue_has_no_room_for_is_denied() {
    let mut session = Session::taken((0..40).map(with_queuing));
    for key in 1..=32 {
        session.request(key);
    }
    session.forget();
    session.request(33);
    session.assert_sent(["33: Deny: internal PoC server error"]);
    session.join(40, Joining { asks: true, ..with_queuing(40) });
    session.assert_sent(["40: Taken by 0, acknowledge"]);
    // Who is accepted as a pre-emptor has a place, and a further request of who waits too.
    session.request_with(34, Priority::PreEmptive);
    session.request(5);
    session.assert_sent([
        "34: place 1, pre-emptive",
        "0: Revoke: talk burst pre-empted",
        "5: place 6, normal",
    ]);
}
