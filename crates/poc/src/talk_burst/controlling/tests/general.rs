//! The general machine, from its beginning to the end of a talk burst: user-plane digest 6, g01 to g26.

use super::*;

#[test]
fn g01_the_implicit_request_is_granted_when_the_first_invitee_has_accepted() {
    let mut session = Session::new();
    session.join(0, asking(0));
    session.assert_sent([]);
    assert_eq!(session.bursts.poll_timeout(), None);
    session.join(1, joining(1));
    session.assert_sent(["0: Granted 30 s of 2", "1: Taken by 0, acknowledge"]);
    session.assert_told([Told::Granted { key: 0 }]);
    session.assert_state(TAKEN, Some(0));
}

#[test]
fn g01_in_unconfirmed_mode_it_is_granted_at_once_and_whoever_comes_hears_of_it() {
    let mut session = Session::new();
    session.join(0, Joining { may_be_alone: true, ..asking(0) });
    session.assert_sent(["0: Granted 30 s of 1"]);
    assert_eq!(session.speak(0, 1), Gate::Forward);
    session.join(1, joining(1));
    session.assert_sent(["1: Taken by 0, acknowledge"]);
    session.leave(1);
    session.assert_sent(["0: Revoke: only one user"]);
}

#[test]
fn g01_an_implicit_request_that_is_taken_back_before_is_not_granted() {
    let mut session = Session::new();
    session.join(0, asking(0));
    session.let_go(0);
    session.assert_sent(["0: Idle"]);
    session.join(1, joining(1));
    session.assert_sent(["1: Idle"]);
    let mut session = Session::new();
    session.join(0, asking(0));
    session.leave(0);
    session.join(1, joining(1));
    session.assert_sent(["1: Idle"]);
}

#[test]
fn g02_without_an_implicit_request_it_begins_idle() {
    let mut session = Session::new();
    session.join(0, joining(0));
    session.assert_sent(["0: Idle"]);
    session.assert_told([Told::Idle]);
    session.assert_state(IDLE, None);
}

#[test]
fn g02_the_implicit_request_of_who_may_only_listen_counts_for_nothing() {
    let mut session = Session::new();
    session.join(0, Joining { may_speak: false, ..asking(0) });
    session.assert_sent(["0: Idle"]);
}

#[test]
fn g10_who_waits_first_is_granted_instead_of_idle() {
    let mut session = Session::taken(queuing());
    session.request(2);
    session.request(1);
    session.forget();
    session.let_go(0);
    session.assert_sent(["2: Granted 30 s of 3", "0: Taken by 2, acknowledge", "1: Taken by 2"]);
    session.assert_told([RELEASED, Told::Granted { key: 2 }]);
    session.let_go(2);
    session.assert_state(TAKEN, Some(1));
}

#[test]
fn g10_who_waits_and_is_alone_by_then_is_denied() {
    let mut session = Session::taken([joining(0), with_queuing(1)]);
    session.request(1);
    session.forget();
    session.leave(0);
    session.assert_sent(["1: Deny: only one participant", "1: Idle"]);
    session.assert_state(IDLE, None);
}

#[test]
fn g11_with_nobody_waiting_all_hear_idle_the_last_talker_too() {
    let mut session = Session::taken(three());
    session.let_go(0);
    session.assert_sent(["0 1 2: Idle"]);
    session.assert_told([RELEASED, Told::Idle]);
}

#[test]
fn g12_a_request_is_granted_and_stops_t4_and_t7() {
    let mut session = Session::new();
    for key in 0..3 {
        session.join(key, joining(key));
    }
    session.forget();
    session.request(1);
    session.assert_sent(["1: Granted 30 s of 3", "0 2: Taken by 1, acknowledge"]);
    session.acknowledge(0);
    session.acknowledge(2);
    for _ in 0..20 {
        session.speak_for(1, 1000);
    }
    session.assert_sent([]);
}

#[test]
fn g13_a_request_of_the_only_participant_is_denied() {
    let mut session = Session::idle([joining(0)]);
    session.request(0);
    session.assert_sent(["0: Deny: only one participant"]);
    session.assert_told([Told::Denied { key: 0, reason: DenyReason::OnlyOne }]);
    session.assert_state(IDLE, None);
}

#[test]
fn g13_who_may_be_alone_is_granted_until_it_is_known_that_nobody_comes() {
    let mut session = Session::new();
    session.join(0, Joining { may_be_alone: true, ..joining(0) });
    session.request(0);
    session.assert_sent(["0: Idle", "0: Granted 30 s of 1"]);
    session.bursts.nobody_comes(session.now);
    session.collect();
    session.assert_sent(["0: Revoke: only one user"]);
    session.let_go(0);
    session.forget();
    session.request(0);
    session.assert_sent(["0: Deny: only one participant"]);
}

#[test]
fn g14_a_request_of_who_may_only_listen_is_denied() {
    let mut session = Session::idle([joining(0), Joining { may_speak: false, ..joining(1) }]);
    session.request_with(1, Priority::PreEmptive);
    session.assert_sent(["1: Deny: listen only"]);
    session.assert_state(IDLE, None);
}

#[test]
fn g15_a_request_within_t9_is_denied_and_one_after_it_is_granted() {
    let mut session = Session::taken(three());
    session.speak_for(0, 30_000);
    session.let_go(0);
    session.forget();
    session.pass(4900);
    session.forget();
    session.request(0);
    session.assert_sent(["0: Deny: retry-after timer has not expired"]);
    session.pass(200);
    session.request(0);
    session.assert_state(TAKEN, Some(0));
}

#[test]
fn g16_idle_is_repeated_until_it_was_sent_three_times() {
    let mut session = Session::taken(three());
    session.let_go(0);
    session.forget();
    session.pass(999);
    session.assert_sent([]);
    session.pass(1);
    session.assert_sent(["0 1 2: Idle"]);
    session.pass(20_000);
    session.assert_sent(["0 1 2: Idle"]);
}

#[test]
fn g17_t4_is_told_again_and_again() {
    let mut session = Session::taken(three());
    session.let_go(0);
    session.forget();
    session.pass(29_999);
    session.assert_told([]);
    session.pass(1);
    session.assert_told([Told::Inactive]);
    session.pass(30_000);
    session.assert_told([Told::Inactive]);
}

#[test]
fn g20_granted_goes_out_before_taken_and_taken_names_the_talker() {
    let mut session = Session::idle(three());
    session.bursts.handle_message(
        session.now,
        2,
        0x77,
        &Message::Request { priority: None, timestamp: None },
    );
    let outputs: Vec<_> = std::iter::from_fn(|| session.bursts.poll_output()).collect();
    let granted = Message::Granted { stop_talking: StopTalking::Seconds(30), participants: Some(3) };
    let taken = crate::talk_burst::Taken {
        ssrc: 0x77,
        identity: Bytes::from("sip:2@home.example"),
        name: Some("2".into()),
        participants: Some(3),
        is_acknowledged: true,
    };
    assert_eq!(
        outputs,
        [
            Output::Send { to: To::One(2), message: granted },
            Output::Told(Told::Granted { key: 2 }),
            Output::Send { to: To::Others(2), message: Message::Taken(taken) },
        ]
    );
}

#[test]
fn g20_only_the_first_taken_of_a_leg_is_to_be_acknowledged() {
    let mut session = Session::taken(three());
    session.let_go(0);
    session.forget();
    session.request(1);
    session.assert_sent(["1: Granted 30 s of 3", "0: Taken by 1, acknowledge", "2: Taken by 1"]);
}

#[test]
fn g20_a_burst_longer_than_can_be_told_has_no_end() {
    let settings = Settings { t2_stop_talking: Duration::from_secs(70_000), ..Settings::default() };
    let mut session = Session::with(settings);
    session.join(0, asking(0));
    session.join(1, joining(1));
    session.assert_sent(["0: Granted Infinite", "1: Taken by 0, acknowledge"]);
}

#[test]
fn g21_speech_is_forwarded_and_keeps_t1_away_without_moving_a_deadline() {
    let mut session = Session::taken(three());
    session.pass(3000);
    let deadline = session.bursts.poll_timeout();
    assert_eq!(session.speak(0, 101), Gate::Forward);
    assert_eq!(session.bursts.poll_timeout(), deadline);
    session.pass(3999);
    session.assert_state(TAKEN, Some(0));
    session.pass(1);
    session.assert_state(IDLE, None);
}

#[test]
fn g21_speech_of_another_source_on_the_leg_of_the_holder_is_of_no_talk_burst() {
    let mut session = Session::taken(three());
    assert_eq!(session.speak_as(0, 0x9999, 101), Gate::Drop);
    session.assert_sent([]);
    session.pass(3999);
    assert_eq!(session.speak_as(0, 0x9999, 102), Gate::Drop);
    session.pass(1);
    session.assert_state(IDLE, None);
}

#[test]
fn g21_a_source_other_than_the_one_announced_is_announced() {
    let mut session = Session::idle(three());
    session.request(0);
    session.acknowledge(1);
    session.forget();
    assert_eq!(session.speak_as(0, 0x9999, 1), Gate::Forward);
    session.assert_sent(["2: Taken by 0, acknowledge", "1: Taken by 0"]);
    // What was not known yet need not be corrected.
    let mut session = Session::new();
    session.join(0, asking(0));
    session.join(1, joining(1));
    session.forget();
    assert_eq!(session.speak_as(0, 0x9999, 1), Gate::Forward);
    session.assert_sent([]);
}

#[test]
fn g21_t2_begins_with_the_first_packet() {
    let mut session = Session::idle(three());
    session.request(0);
    session.acknowledge(1);
    session.acknowledge(2);
    session.pass(3900);
    session.speak_for(0, 29_980);
    session.assert_state(TAKEN, Some(0));
    session.speak_for(0, 20);
    session.assert_state(PENDING_REVOKE, Some(0));
}

#[test]
fn g22_a_release_without_a_number_ends_the_burst_at_once() {
    let mut session = Session::taken(three());
    session.let_go(0);
    session.assert_sent(["0 1 2: Idle"]);
    session.assert_state(IDLE, None);
}

#[test]
fn g22_a_release_whose_last_packet_was_forwarded_ends_the_burst_at_once() {
    for last in [100, 99, 65_530] {
        let mut session = Session::taken(three());
        session.let_go_after(0, last);
        session.assert_state(IDLE, None);
    }
}

#[test]
fn g22_a_release_is_drained_up_to_its_last_packet() {
    let mut session = Session::taken(three());
    session.let_go_after(0, 103);
    session.assert_sent([]);
    session.assert_state(DRAINING, Some(0));
    session.pass(199);
    assert_eq!(session.speak(0, 101), Gate::Forward);
    session.pass(199);
    assert_eq!(session.speak(0, 104), Gate::Drop);
    assert_eq!(session.speak_as(0, 0x9999, 102), Gate::Drop);
    assert_eq!(session.speak(0, 103), Gate::Forward);
    session.assert_sent(["0 1 2: Idle"]);
    session.assert_told([RELEASED, Told::Idle]);
}

#[test]
fn g22_the_drain_ends_after_200_ms_without_a_packet() {
    let mut session = Session::taken(three());
    session.let_go_after(0, 103);
    session.pass(199);
    session.assert_state(DRAINING, Some(0));
    session.pass(1);
    session.assert_state(IDLE, None);
}

#[test]
fn g22_the_drain_never_lasts_longer_than_t1() {
    let mut session = Session::taken(three());
    session.let_go_after(0, 30_000);
    assert_eq!(session.speak_for(0, 4100), 200);
    session.assert_state(IDLE, None);
}

#[test]
fn g22_sequence_numbers_begin_again_within_a_drain() {
    let mut session = Session::idle(three());
    session.request(0);
    assert_eq!(session.speak(0, 65_534), Gate::Forward);
    session.let_go_after(0, 1);
    assert_eq!(session.speak(0, 65_535), Gate::Forward);
    assert_eq!(session.speak(0, 0), Gate::Forward);
    session.assert_state(DRAINING, Some(0));
    assert_eq!(session.speak(0, 1), Gate::Forward);
    session.assert_state(IDLE, None);
}

#[test]
fn g22_a_release_that_comes_twice_changes_nothing_while_it_is_drained() {
    let mut session = Session::taken(three());
    session.let_go_after(0, 103);
    session.let_go_after(0, 103);
    session.assert_sent([]);
    session.assert_state(DRAINING, Some(0));
    session.let_go(0);
    session.assert_state(IDLE, None);
    session.forget();
    session.let_go_after(0, 103);
    session.assert_sent(["0: Idle"]);
}

#[test]
fn g22_a_release_in_the_name_of_somebody_else_ends_nothing() {
    // `neg-rel-from-server-ssrc`
    let mut session = Session::taken(three());
    let release = Message::Release { last: Some(1) };
    session.message_as(0, 0x0bad_f00d, &release);
    session.message_as(0, 0, &release);
    session.message_as(0, 0x0bad_f00d, &release);
    session.assert_sent([]);
    session.message_as(1, ssrc(0), &release);
    session.assert_sent(["1: Taken by 0"]);
    session.assert_state(TAKEN, Some(0));
    assert_eq!(session.speak(0, 101), Gate::Forward);
}

#[test]
fn g22_who_is_granted_without_a_word_may_release_under_any_name() {
    let mut session = Session::new();
    session.join(0, asking(0));
    session.join(1, joining(1));
    session.message_as(0, 0x4711, &Message::Release { last: None });
    session.assert_state(IDLE, None);
}

#[test]
fn g22_who_presses_again_while_the_last_burst_is_drained_begins_another() {
    let mut session = Session::taken(three());
    session.let_go_after(0, 103);
    session.request(0);
    session.assert_sent(["0 1 2: Idle", "0: Granted 30 s of 3", "1 2: Taken by 0"]);
    session.assert_told([RELEASED, Told::Idle, Told::Granted { key: 0 }]);
}

#[test]
fn g23_after_4_s_without_speech_the_burst_is_over() {
    let mut session = Session::taken(three());
    session.pass(3999);
    session.assert_sent([]);
    session.pass(1);
    session.assert_sent(["0 1 2: Idle"]);
    session.assert_told([SILENT, Told::Idle]);
    // T1 runs from the grant.
    let mut session = Session::idle(three());
    session.request(0);
    session.pass(4000);
    session.assert_state(IDLE, None);
}

#[test]
fn g24_after_30_s_of_speech_the_holder_is_revoked_and_must_wait() {
    let mut session = Session::taken(three());
    session.speak_for(0, 29_980);
    session.assert_sent([]);
    session.speak_for(0, 20);
    session.assert_sent(["0: Revoke: too long, 5 s"]);
    session.assert_told([Told::Revoked { key: 0, revoke: Revoke::TooLong { retry_after: 5 } }]);
    session.assert_state(PENDING_REVOKE, Some(0));
    session.request(0);
    session.assert_sent(["0: Deny: retry-after timer has not expired"]);
}

#[test]
fn g24_without_a_penalty_the_next_request_is_granted() {
    let mut session = Session::with(Settings { t9_retry_after: Duration::ZERO, ..Settings::default() });
    session.join(0, asking(0));
    session.join(1, joining(1));
    session.acknowledge(1);
    session.speak_for(0, 30_020);
    session.let_go(0);
    session.forget();
    session.request(0);
    session.assert_state(TAKEN, Some(0));
}

#[test]
fn g24_who_has_let_go_already_is_not_revoked() {
    let mut session = Session::taken(three());
    session.speak_for(0, 29_900);
    session.let_go_after(0, 20_000);
    session.speak_for(0, 300);
    session.assert_sent(["0 1 2: Idle"]);
    session.assert_told([RELEASED, Told::Idle]);
}

#[test]
fn g25_a_request_of_the_holder_is_granted_again_with_what_is_left() {
    let mut session = Session::taken(three());
    session.request(0);
    session.assert_sent(["0: Granted 30 s of 3"]);
    session.speak_for(0, 10_500);
    session.request(0);
    session.assert_sent(["0: Granted 19 s of 3"]);
    session.speak_for(0, 19_300);
    session.request(0);
    session.assert_sent(["0: Granted 1 s of 3"]);
}

#[test]
fn g26_granted_is_repeated_to_who_has_waited_until_its_first_packet() {
    let mut session = Session::taken(queuing());
    session.request(1);
    session.let_go(0);
    session.acknowledge(0);
    session.forget();
    session.pass(999);
    session.assert_sent([]);
    session.pass(1);
    session.assert_sent(["1: Granted 30 s of 3"]);
    session.pass(2900);
    session.assert_sent(["1: Granted 30 s of 3"]);
    let mut session = Session::taken(queuing());
    session.request(1);
    session.let_go(0);
    session.acknowledge(0);
    assert_eq!(session.speak(1, 1), Gate::Forward);
    session.forget();
    session.pass(3000);
    session.assert_sent([]);
}

#[test]
fn g26_who_has_not_waited_is_granted_once() {
    let mut session = Session::idle(three());
    session.request(0);
    session.acknowledge(1);
    session.acknowledge(2);
    session.forget();
    session.pass(3999);
    session.assert_sent([]);
}

#[test]
fn the_state_is_one_line() {
    let mut session = Session::taken(queuing());
    session.request(1);
    assert_eq!(session.bursts.to_string(), "G: TB_Taken, 0 of 3, 1 waiting");
    session.leave(0);
    session.leave(1);
    assert_eq!(session.bursts.to_string(), "G: TB_Idle");
}
