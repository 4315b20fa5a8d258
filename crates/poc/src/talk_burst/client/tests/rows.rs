//! Each row of user-plane digest 5.2.

use super::*;

fn told(told: Told) -> Output {
    Output::Told(told)
}

#[test]
fn c01_an_invite_that_counts_as_the_request_is_waited_for_as_one() {
    let mut client = Client::of(AGREED, Start::ImplicitRequest);
    assert_eq!((client.id(), client.said()), ("C2", vec![]));
    assert_eq!(client.machine.poll_timeout(), Some(client.now + Duration::from_secs(1)));
    // c17: it is said in so many words then.
    client.wait(1000);
    assert_eq!(client.said(), [Output::Send(Message::Request { priority: None, timestamp: None })]);
    client.hear(granted(30));
    assert_eq!((client.id(), client.said()), ("C3", vec![may_speak(Some(30))]));
}

#[test]
fn c02_a_grant_in_the_answer_lets_the_user_speak_and_the_limit_comes_later() {
    let mut client = Client::of(AGREED, Start::Granted);
    assert_eq!(client.said(), [told(Told::Granted { seconds: None, participants: None })]);
    assert!(client.machine.may_talk());
    assert_eq!(client.machine.poll_timeout(), None);
    client.hear(granted(30));
    assert_eq!(client.said(), [may_speak(Some(30))]);
    client.wait(30_000);
    assert_eq!(client.id(), "C4");
}

#[test]
fn c03_who_is_invited_or_joins_listens() {
    let mut client = Client::listening();
    assert_eq!((client.id(), client.said()), ("C1", vec![]));
    assert_eq!(client.machine.poll_timeout(), None);
}

#[test]
fn c04_a_press_while_the_server_wants_none_is_refused_here_with_the_seconds_left() {
    let mut client = Client::talking();
    client.hear(too_long(30));
    client.hear(Message::Idle);
    client.said();
    client.wait(500);
    client.press();
    assert_eq!((client.id(), client.said()), ("C1", vec![told(Told::RefusedLocally { seconds: 30 })]));
    client.wait(28_500);
    client.press();
    assert_eq!(client.said(), [told(Told::RefusedLocally { seconds: 1 })]);
    client.wait(1000);
    assert_eq!(client.said(), [told(Told::MayAskAgain)]);
    client.press();
    assert_eq!((client.id(), client.said()), ("C2", vec![request()]));
}

#[test]
fn c05_a_press_asks_the_server() {
    let mut client = Client::listening();
    client.press();
    assert_eq!((client.id(), client.said()), ("C2", vec![request()]));
    assert_eq!(client.machine.poll_timeout(), Some(client.now + Duration::from_secs(1)));
}

#[test]
fn c06_who_speaks_is_shown_and_acknowledged_where_that_is_asked_for() {
    let mut client = Client::listening();
    client.hear(taken());
    assert_eq!((client.id(), client.said()), ("C1", vec![taken_by_bob()]));
    assert_eq!(client.machine.poll_timeout(), Some(client.now + Duration::from_secs(4)));
    client.hear(taken_acknowledged());
    assert_eq!(client.said()[0], acknowledgement());
}

#[test]
fn c07_speech_is_played_and_awaited_anew() {
    let mut client = Client::listening();
    client.hear(taken());
    client.wait(3000);
    assert_eq!(client.speech(BOB), Hear::Play);
    assert_eq!(client.machine.poll_timeout(), Some(client.now + Duration::from_secs(4)));
    // Before anybody has said who speaks, too; and nobody hears oneself.
    assert_eq!(Client::listening().speech(BOB + 1), Hear::Play);
    assert_eq!(Client::listening().speech(ME), Hear::Drop);
}

#[test]
fn c08_a_burst_of_which_nothing_more_is_heard_is_over() {
    let mut client = Client::listening();
    client.hear(taken());
    client.said();
    client.wait(3999);
    assert_eq!(client.said(), []);
    client.wait(1);
    assert_eq!((client.id(), client.said()), ("C1", vec![told(Told::EndOfSpeech)]));
    assert_eq!(client.machine.poll_timeout(), None);
}

#[test]
fn c09_an_idle_ends_the_burst() {
    let mut client = Client::listening();
    client.hear(taken());
    client.said();
    client.hear(Message::Idle);
    assert_eq!((client.id(), client.said()), ("C1", vec![told(Told::Idle)]));
    assert_eq!(client.machine.poll_timeout(), None);
}

#[test]
fn c09_a_repeated_idle_is_told_again_only_once_somebody_has_spoken() {
    let mut client = Client::listening();
    client.hear(Message::Idle);
    assert_eq!(client.said(), [told(Told::Idle)]);
    client.hear(Message::Idle);
    assert_eq!(client.said(), []);
    // Its Taken was lost.
    client.speech(BOB);
    client.hear(Message::Idle);
    assert_eq!(client.said(), [told(Told::Idle)]);
    client.hear(taken());
    client.wait(4000);
    assert_eq!(client.said(), [taken_by_bob(), told(Told::EndOfSpeech)]);
    client.hear(Message::Idle);
    client.hear(Message::Idle);
    assert_eq!(client.said(), [told(Told::Idle)]);
    // c25, c40: what the user has asked for is over.
    client.press();
    client.let_go();
    client.said();
    client.hear(Message::Idle);
    assert_eq!(client.said(), [told(Told::Idle)]);
}

#[test]
fn c10_a_grant_that_nobody_wants_any_more_is_given_back() {
    let mut client = Client::listening();
    client.hear(granted(30));
    assert_eq!((client.id(), client.said()), ("C4", vec![release(None)]));
    assert!(!client.machine.may_talk());
}

#[test]
fn c11_a_revoke_of_nothing_is_answered_so_that_it_is_not_repeated() {
    let mut client = Client::listening();
    client.hear(Message::Revoke(Revoke::NotPermitted));
    assert_eq!((client.id(), client.said()), ("C4", vec![release(None)]));
}

#[test]
fn c12_a_grant_lets_the_user_speak_for_as_long_as_it_says() {
    let mut client = Client::asking();
    client.hear(taken());
    client.said();
    client.hear(granted(30));
    assert_eq!((client.id(), client.said()), ("C3", vec![may_speak(Some(30))]));
    assert!(client.machine.may_talk());
    // T11 and T13 have stopped: what comes is the warning.
    assert_eq!(client.machine.poll_timeout(), Some(client.now + Duration::from_secs(25)));
}

#[test]
fn c13_a_deny_tells_why() {
    let mut client = Client::asking();
    client.hear(deny());
    let denied = Told::Denied { reason: DenyReason::Taken, phrase: "Floor busy".to_owned() };
    assert_eq!((client.id(), client.said()), ("C1", vec![told(denied)]));
    assert_eq!(client.machine.poll_timeout(), None);
}

#[test]
fn c14_a_taken_is_the_answer_where_nobody_queues() {
    let mut client = Client::asking_unqueued();
    client.hear(taken_acknowledged());
    assert_eq!((client.id(), client.said().len()), ("C1", 2));
    assert_eq!(client.machine.poll_timeout(), Some(client.now + Duration::from_secs(4)), "T13 alone");
}

#[test]
fn c14b_a_taken_is_no_answer_where_requests_are_queued() {
    let mut client = Client::asking();
    client.hear(taken_acknowledged());
    assert_eq!((client.id(), client.said()[0].clone()), ("C2", acknowledgement()));
    assert_eq!(client.machine.poll_timeout(), Some(client.now + Duration::from_secs(1)), "T11 still");
    client.hear(queue_status(Priority::Normal, 1));
    assert_eq!(client.id(), "C5");
}

#[test]
fn c15_a_request_that_is_queued_is_shown_at_its_place() {
    let mut client = Client::asking();
    client.hear(queue_status(Priority::High, 2));
    let queued = Told::Queued { priority: Priority::High, position: Position::Place(2) };
    assert_eq!((client.id(), client.said()), ("C5", vec![told(queued)]));
    assert_eq!(client.machine.poll_timeout(), None);
    // Without an agreement there is no queue, and without a priority no place.
    let mut client = Client::asking_unqueued();
    client.hear(queue_status(Priority::High, 2));
    assert_eq!((client.id(), client.said()), ("C2", vec![]));
    let mut client = Client::asking();
    client.hear(queue_status(Priority::None, 0));
    assert_eq!((client.id(), client.said()), ("C2", vec![]));
}

#[test]
fn c16_letting_go_before_the_grant_releases_with_the_sequence_number_ignored() {
    let mut client = Client::asking();
    client.let_go();
    assert_eq!((client.id(), client.said()), ("C4", vec![release(None)]));
}

#[test]
fn c17_a_request_without_an_answer_is_repeated_as_it_was() {
    let mut client = Client::asking();
    client.wait(999);
    assert_eq!(client.said(), []);
    client.wait(1);
    assert_eq!((client.id(), client.said()), ("C2", vec![request()]));
    client.wait(1000);
    assert_eq!(client.said(), [request()]);
}

#[test]
fn c18_the_third_request_without_an_answer_is_the_last() {
    let mut client = Client::asking();
    client.wait(2999);
    assert_eq!(client.said(), [request(), request()]);
    client.wait(1);
    assert_eq!((client.id(), client.said()), ("C1", vec![told(Told::RequestTimedOut)]));
    assert_eq!(client.machine.poll_timeout(), None);
}

#[test]
fn c19_a_revoke_before_the_grant_is_answered() {
    let mut client = Client::asking();
    client.hear(Message::Revoke(Revoke::PreEmpted));
    assert_eq!((client.id(), client.said()), ("C4", vec![release(None)]));
}

#[test]
fn c20_who_still_speaks_is_heard_while_the_user_asks() {
    let mut client = Client::asking();
    assert_eq!(client.speech(BOB), Hear::Play);
    assert_eq!((client.id(), client.said()), ("C2", vec![]));
}

#[test]
fn c21_letting_go_names_the_last_packet_if_there_was_one() {
    let mut client = Client::talking();
    client.let_go();
    assert_eq!((client.id(), client.said()), ("C4", vec![release(None)]));
    let mut client = Client::talking();
    client.machine.sent(65_535);
    client.machine.sent(0);
    client.let_go();
    assert_eq!(client.said(), [release(Some(0))]);
    assert!(!client.machine.may_talk());
}

#[test]
fn c21_at_the_end_of_the_time_the_user_is_stopped_after_a_warning() {
    let mut client = Client::talking();
    client.machine.sent(7);
    client.wait(24_999);
    assert_eq!(client.said(), []);
    client.wait(1);
    assert_eq!(client.said(), [told(Told::TimeIsShort { seconds: 5 })]);
    client.wait(4999);
    assert!(client.machine.may_talk());
    client.wait(1);
    assert_eq!((client.id(), client.said()), ("C4", vec![told(Told::TimeIsOver), release(Some(7))]));
    // The hand leaves the button.
    client.let_go();
    assert_eq!((client.id(), client.said()), ("C4", vec![]));
}

#[test]
fn c22_a_revoke_stops_the_user_and_says_from_when_on_to_ask_again() {
    let mut client = Client::talking();
    client.machine.sent(9);
    client.hear(too_long(30));
    assert!(!client.machine.may_talk());
    let revoked = told(Told::Revoked(Revoke::TooLong { retry_after: 30 }));
    assert_eq!((client.id(), client.said()), ("C4", vec![revoked, release(Some(9))]));
    client.hear(Message::Idle);
    assert_eq!(client.machine.poll_timeout(), Some(client.now + Duration::from_secs(30)), "T12 outlasts C4");
    for revoke in [Revoke::PreEmpted, Revoke::TooLong { retry_after: 0 }] {
        let mut client = Client::talking();
        client.hear(Message::Revoke(revoke));
        client.hear(Message::Idle);
        assert_eq!(client.machine.poll_timeout(), None, "{revoke:?}");
    }
}

#[test]
fn c23_a_grant_that_is_repeated_prolongs_the_time_only_if_it_says_more() {
    let stop_at = |client: &Client| {
        let mut client = client.clone();
        while client.machine.may_talk() {
            let at = client.machine.poll_timeout().unwrap();
            client.machine.handle_timeout(at);
            client.now = at;
        }
        client.now.since_start().as_secs()
    };
    let mut client = Client::talking();
    client.wait(10_000);
    client.hear(granted(30));
    client.hear(granted(20));
    client.hear(granted(0));
    assert_eq!((stop_at(&client), client.said()), (30, vec![]));
    client.hear(granted(40));
    assert_eq!((stop_at(&client), client.said()), (50, vec![may_speak(Some(40))]));
    client.hear(granted(65_535));
    assert_eq!((client.machine.poll_timeout(), client.said()), (None, vec![may_speak(None)]));
    client.hear(granted(40));
    assert_eq!(client.machine.poll_timeout(), None);
}

#[test]
fn c24_an_idle_and_a_taken_may_be_older_than_the_grant() {
    let mut client = Client::talking();
    client.hear(Message::Idle);
    client.hear(taken_acknowledged());
    assert_eq!((client.id(), client.said()), ("C3", vec![]));
}

#[test]
fn c25_the_idle_after_a_release_ends_it() {
    let mut client = Client::letting_go();
    client.hear(Message::Idle);
    assert_eq!((client.id(), client.said()), ("C1", vec![told(Told::Idle)]));
    assert_eq!(client.machine.poll_timeout(), None);
}

#[test]
fn c26_the_taken_after_a_release_ends_it() {
    let mut client = Client::letting_go();
    client.hear(taken_acknowledged());
    let by = Told::TakenBy(Box::new(Taken { is_acknowledged: true, ..bob() }));
    assert_eq!((client.id(), client.said()), ("C1", vec![acknowledgement(), told(by)]));
    assert_eq!(client.machine.poll_timeout(), Some(client.now + Duration::from_secs(4)));
}

#[test]
fn c27_speech_of_somebody_else_after_a_release_ends_it() {
    let mut client = Client::letting_go();
    assert_eq!((client.speech(ME), client.id()), (Hear::Drop, "C4"));
    assert_eq!((client.speech(BOB), client.id()), (Hear::Play, "C1"));
    assert_eq!(client.machine.poll_timeout(), Some(client.now + Duration::from_secs(4)));
}

#[test]
fn c28_a_release_without_effect_is_repeated_as_it_was() {
    let mut client = Client::letting_go();
    client.wait(1000);
    assert_eq!((client.id(), client.said()), ("C4", vec![release(Some(1234))]));
    client.wait(1000);
    assert_eq!(client.said(), [release(Some(1234))]);
}

#[test]
fn c29_after_the_third_release_nothing_is_said() {
    let mut client = Client::letting_go();
    client.wait(2999);
    client.said();
    assert_eq!(client.id(), "C4");
    client.wait(1);
    assert_eq!((client.id(), client.said()), ("C1", vec![]));
}

#[test]
fn c30_a_grant_that_crosses_the_release_lets_nobody_speak() {
    let mut client = Client::letting_go();
    client.hear(granted(30));
    assert_eq!((client.id(), client.said()), ("C4", vec![]));
    assert!(!client.machine.may_talk());
    client.wait(1000);
    assert_eq!(client.said(), [release(Some(1234))]);
}

#[test]
fn c31_a_revoke_that_crosses_the_release_says_from_when_on_to_ask_again() {
    let mut client = Client::letting_go();
    client.hear(too_long(30));
    assert_eq!((client.id(), client.said()), ("C4", vec![]));
    client.wait(500);
    // A repetition does not prolong it.
    client.hear(too_long(30));
    client.hear(Message::Idle);
    client.said();
    client.press();
    assert_eq!((client.id(), client.said()), ("C1", vec![told(Told::RefusedLocally { seconds: 30 })]));
    client.wait(29_500);
    assert_eq!(client.said(), [told(Told::MayAskAgain)]);
}

#[test]
fn c32_a_grant_out_of_the_queue_lets_the_user_speak_who_holds_the_button() {
    for mut client in [Client::queued(), Client::asking_position()] {
        client.hear(granted(30));
        assert_eq!((client.id(), client.said()), ("C3", vec![may_speak(Some(30))]));
        assert_eq!(client.machine.poll_timeout(), Some(client.now + Duration::from_secs(25)), "no T14");
    }
}

#[test]
fn c32_a_grant_out_of_the_queue_waits_for_who_does_not_hold_the_button() {
    let mut client = Client::of(AGREED, Start::ImplicitRequest);
    client.hear(queue_status(Priority::Normal, 2));
    client.said();
    client.hear(granted(30));
    let wait = Duration::from_secs(2);
    assert_eq!((client.id(), client.said()), ("C5g", vec![told(Told::GrantWaits { wait })]));
    assert!(!client.machine.may_talk());
    let mut pressed = client.clone();
    pressed.wait(1999);
    pressed.press();
    assert_eq!(pressed.id(), "C3");
    client.wait(2000);
    assert_eq!((client.id(), client.said()), ("C4", vec![told(Told::NotQueued), release(None)]));
}

#[test]
fn c33_a_deny_in_the_queue_tells_why() {
    for mut client in [Client::queued(), Client::asking_position(), Client::granted_unpressed()] {
        client.hear(deny());
        assert_eq!((client.id(), client.said().len()), ("C1", 1));
        assert_eq!(client.machine.poll_timeout(), None);
    }
}

#[test]
fn c34_who_speaks_meanwhile_is_shown_and_heard_in_the_queue() {
    for mut client in [Client::queued(), Client::asking_position()] {
        let before = client.id();
        client.hear(taken_acknowledged());
        assert_eq!((client.id(), client.said()[0].clone()), (before, acknowledgement()));
        assert_eq!((client.speech(BOB), client.id()), (Hear::Play, before));
    }
}

#[test]
fn c35_the_place_is_asked_for_once_until_it_is_answered() {
    let mut client = Client::queued();
    client.machine.ask_position(client.now);
    client.machine.ask_position(client.now);
    assert_eq!((client.id(), client.said()), ("C5a", vec![Output::Send(Message::QueueStatusRequest)]));
    assert_eq!(client.machine.poll_timeout(), Some(client.now + Duration::from_secs(1)));
}

#[test]
fn c36_the_place_is_shown() {
    for mut client in [Client::queued(), Client::asking_position()] {
        client.hear(queue_status(Priority::Normal, 65_535));
        let queued = Told::Queued { priority: Priority::Normal, position: Position::Unknown };
        assert_eq!((client.id(), client.said()), ("C5", vec![told(queued)]));
        assert_eq!(client.machine.poll_timeout(), None);
    }
}

#[test]
fn c37_who_is_not_in_the_queue_any_more_is_told() {
    for mut client in [Client::queued(), Client::asking_position()] {
        client.hear(queue_status(Priority::None, 0));
        assert_eq!((client.id(), client.said()), ("C1", vec![told(Told::NotQueued)]));
    }
}

#[test]
fn c38_letting_go_in_the_queue_releases_with_the_sequence_number_ignored() {
    for mut client in [Client::queued(), Client::asking_position(), Client::granted_unpressed()] {
        client.let_go();
        assert_eq!((client.id(), client.said()), ("C4", vec![release(None)]));
        assert_eq!(client.machine.poll_timeout(), Some(client.now + Duration::from_secs(1)), "T10 alone");
    }
}

#[test]
fn c39_a_place_that_is_not_told_after_three_questions_is_given_up() {
    let mut client = Client::asking_position();
    client.wait(2999);
    let ask = Output::Send(Message::QueueStatusRequest);
    assert_eq!((client.id(), client.said()), ("C5a", vec![ask.clone(), ask]));
    client.wait(1);
    assert_eq!((client.id(), client.said()), ("C4", vec![told(Told::NotQueued), release(None)]));
}

#[test]
fn c40_an_idle_ends_the_queue() {
    for mut client in [Client::queued(), Client::asking_position(), Client::granted_unpressed()] {
        client.hear(Message::Idle);
        assert_eq!((client.id(), client.said()), ("C1", vec![told(Told::Idle)]));
        assert_eq!(client.machine.poll_timeout(), None);
    }
}

#[test]
fn c41_what_only_a_client_says_is_not_heard_in_any_state() {
    for client in all() {
        for message in [
            Message::Request { priority: None, timestamp: None },
            Message::Release { last: None },
            Message::Acknowledgement(Acknowledgement::Taken),
            Message::QueueStatusRequest,
        ] {
            let mut hearing = client.clone();
            hearing.hear(message);
            assert_eq!(hearing.machine, client.machine);
        }
    }
}

#[test]
fn c42_when_the_session_begins_to_end_nothing_is_sent_heard_or_awaited() {
    for mut client in all().into_iter().skip(1) {
        client.hear(taken());
        client.said();
        client.machine.release();
        assert_eq!((client.id(), client.machine.poll_timeout()), ("C6", None));
        client.press();
        client.let_go();
        client.hear(granted(30));
        client.hear(too_long(30));
        client.wait(60_000);
        assert_eq!((client.id(), client.speech(BOB), client.said()), ("C6", Hear::Drop, vec![]));
        assert!(!client.machine.may_talk());
    }
}

#[test]
fn c43_a_session_that_has_ended_leaves_nothing_behind() {
    let mut client = Client::talking();
    client.hear(too_long(30));
    client.machine.release();
    client.said();
    client.machine.released();
    assert_eq!(client.machine, Machine::new(Timers::default(), ME, AGREED));
}
