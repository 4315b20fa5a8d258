//! What the user wants where no row has it, and what both sides have agreed.

use super::*;

#[test]
fn a_press_while_the_release_is_under_way_is_sent_once_it_has_had_its_effect() {
    for (effect, last) in [(Message::Idle, 2), (taken(), 2)] {
        let mut client = Client::letting_go();
        client.press();
        assert_eq!(client.said(), []);
        client.hear(effect);
        let said = client.said();
        assert_eq!((client.id(), said.len(), said.last()), ("C2", last, Some(&request())));
    }
    let mut client = Client::letting_go();
    client.press();
    client.wait(3000);
    assert_eq!((client.id(), client.said().last()), ("C2", Some(&request())));
    // Let go of again it is no wish any more.
    let mut client = Client::letting_go();
    client.press();
    client.let_go();
    client.hear(Message::Idle);
    assert_eq!((client.id(), client.said().len()), ("C1", 1));
    // T12 may have begun meanwhile.
    let mut client = Client::letting_go();
    client.press();
    client.hear(too_long(30));
    client.hear(Message::Idle);
    let refused = Output::Told(Told::RefusedLocally { seconds: 30 });
    assert_eq!((client.id(), client.said().last()), ("C1", Some(&refused)));
}

#[test]
fn a_press_in_the_queue_of_an_implicit_request_holds_the_button() {
    let mut client = Client::of(AGREED, Start::ImplicitRequest);
    client.hear(queue_status(Priority::Normal, 2));
    client.press();
    client.said();
    client.hear(granted(30));
    assert_eq!((client.id(), client.said()), ("C3", vec![may_speak(Some(30))]));
}

/// What waits for the button is lost when it is somebody else's, and given back when it is revoked.
#[test]
fn a_grant_that_waits_for_the_button_is_not_used_after_it_is_gone() {
    let mut client = Client::granted_unpressed();
    client.hear(taken());
    assert_eq!(client.id(), "C1");
    let mut client = Client::granted_unpressed();
    client.hear(Message::Revoke(Revoke::PreEmpted));
    let revoked = Output::Told(Told::Revoked(Revoke::PreEmpted));
    assert_eq!((client.id(), client.said()), ("C4", vec![revoked, release(None)]));
}

#[test]
fn a_request_has_what_both_sides_know_and_no_higher_priority_than_agreed() {
    let sent = |agreed: TalkBurst, priority| {
        let mut client = Client::of(agreed, Start::Listening);
        client.machine.press(client.now, priority, Some(PRESSED_AT));
        client.said()
    };
    let request = |priority, timestamp| [Output::Send(Message::Request { priority, timestamp })];
    assert_eq!(sent(AGREED, Priority::PreEmptive), request(Some(Priority::PreEmptive), Some(PRESSED_AT)));
    let normal = TalkBurst { tb_priority: 1, timestamp: false, ..AGREED };
    assert_eq!(sent(normal, Priority::PreEmptive), request(Some(Priority::Normal), None));
    assert_eq!(sent(TalkBurst::default(), Priority::PreEmptive), request(None, None));
}

#[test]
fn a_time_shorter_than_the_warning_has_none() {
    for seconds in [1, 5] {
        let mut client = Client::asking();
        client.hear(granted(seconds));
        client.said();
        client.wait(u64::from(seconds) * 1000);
        assert_eq!(client.said(), [Output::Told(Told::TimeIsOver), release(None)]);
    }
}

#[test]
fn the_place_of_no_request_is_none() {
    for mut client in [Client::listening(), Client::asking(), Client::talking(), Client::letting_go()] {
        client.machine.ask_position(client.now);
        assert_eq!(client.said(), [Output::Told(Told::NotQueued)]);
    }
}

#[test]
fn a_session_begins_once() {
    for client in all().into_iter().skip(1) {
        let mut again = client.clone();
        again.machine.begin(again.now, Start::Granted);
        assert_eq!(again.machine, client.machine);
    }
}

/// User-plane digest 8.2.
#[test]
fn repetitions_last_less_than_six_seconds() {
    let timers = Timers::default();
    let most = Duration::from_secs(6);
    assert!(timers.t10_release * timers.c10_release.into() < most);
    assert!(timers.t11_request * timers.c11_request.into() < most);
}

/// Lengths of no time would never let it rest.
#[test]
fn timers_of_nothing_are_a_millisecond() {
    let timers = Timers {
        t10_release: Duration::ZERO,
        t11_request: Duration::ZERO,
        t13_end_of_rtp: Duration::ZERO,
        t14_queue_status: Duration::ZERO,
        c10_release: 0,
        grant_wait: Duration::ZERO,
        warning: Duration::ZERO,
        ..Timers::default()
    };
    let mut machine = Machine::new(timers, ME, AGREED);
    machine.begin(Instant::START, Start::Listening);
    let mut client = Client { machine, now: Instant::START };
    client.press();
    client.wait(3);
    assert_eq!(client.id(), "C1");
    client.press();
    client.let_go();
    client.wait(1);
    assert_eq!(client.id(), "C1");
}
