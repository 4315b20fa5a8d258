//! The machine of a participant: user-plane digest 6.4, 6.5.

use super::*;

fn two() -> [Joining; 2] {
    [joining(0), joining(1)]
}

/// 1 speaks although nobody is permitted.
fn unpermitted() -> Session {
    let mut session = Session::idle(two());
    assert_eq!(session.speak(1, 1), Gate::Drop);
    session.forget();
    session
}

const NOT_PERMITTED: &str = "1: Revoke: no permission to send a talk burst";

#[test]
fn u01_who_joins_while_nobody_speaks_hears_idle_first() {
    let mut session = Session::idle(two());
    session.join(2, Joining { may_speak: false, ..joining(2) });
    session.assert_sent(["2: Idle"]);
}

#[test]
fn u02_who_joins_in_a_burst_hears_taken_first() {
    let mut session = Session::taken(two());
    session.join(2, Joining { may_speak: false, ..joining(2) });
    session.assert_sent(["2: Taken by 0, acknowledge"]);
    let mut session = Session::pre_empted(two());
    session.join(2, joining(2));
    session.assert_sent(["2: Taken by 0, acknowledge"]);
    let mut session = Session::taken(two());
    session.let_go_after(0, 103);
    session.join(2, joining(2));
    session.assert_sent(["2: Taken by 0, acknowledge"]);
}

#[test]
fn u03_an_implicit_request_is_granted_while_nobody_speaks() {
    let mut session = Session::idle(two());
    session.join(2, Joining { asks: true, ..joining(2) });
    session.assert_sent(["2: Granted 30 s of 3", "0 1: Taken by 2, acknowledge"]);
}

#[test]
fn u04_an_implicit_request_in_a_burst_waits_where_queuing_is_agreed_and_is_never_denied() {
    let mut session = Session::taken(two());
    session.join(2, Joining { asks: true, ..joining(2) });
    session.assert_sent(["2: Taken by 0, acknowledge"]);
    session.join(3, Joining { asks: true, ..with_queuing(3) });
    session.assert_sent(["3: Taken by 0, acknowledge", "3: place 1, normal"]);
    session.join(4, Joining { asks: true, may_speak: false, ..with_queuing(4) });
    session.assert_sent(["4: Taken by 0, acknowledge"]);
}

#[test]
fn u10_a_request_goes_to_the_general_machine() {
    let mut session = Session::idle(two());
    session.request(1);
    session.assert_state(TAKEN, Some(1));
}

#[test]
fn u11_a_release_while_nobody_speaks_is_answered_by_idle() {
    let mut session = Session::idle(two());
    session.let_go(1);
    session.assert_sent(["1: Idle"]);
}

#[test]
fn u12_speech_without_permission_is_discarded_and_revoked() {
    let mut session = Session::idle(two());
    assert_eq!(session.speak(1, 1), Gate::Drop);
    session.assert_sent([NOT_PERMITTED]);
    session.assert_told([Told::Revoked { key: 1, revoke: Revoke::NotPermitted }]);
    let mut session = Session::taken(two());
    assert_eq!(session.speak(1, 1), Gate::Drop);
    session.assert_sent([NOT_PERMITTED]);
    session.assert_state(TAKEN, Some(0));
}

/// User-plane digest 10.1: whoever is told of a source drops all others.
#[test]
fn u12_speech_without_permission_does_not_change_who_the_talker_is_said_to_be() {
    let mut session = Session::idle(two());
    session.message(1, &Message::QueueStatusRequest);
    session.forget();
    let ssrc_before = session.bursts.participant(1).unwrap().ssrc();
    assert_eq!(session.bursts.handle_speech(session.now, 1, 7, 1), Gate::Drop);
    assert_eq!(session.bursts.participant(1).unwrap().ssrc(), ssrc_before);
    assert!(!session.bursts.participant(1).unwrap().is_called(7), "nor who may release its talk burst");
}

#[test]
fn u12_speech_within_200_ms_of_a_release_is_late_and_no_offence() {
    let mut session = Session::taken(two());
    session.let_go(0);
    session.forget();
    session.pass(199);
    assert_eq!(session.speak(0, 101), Gate::Drop);
    session.assert_sent([]);
    session.pass(1);
    assert_eq!(session.speak(0, 102), Gate::Drop);
    session.assert_sent(["0: Revoke: no permission to send a talk burst"]);
}

#[test]
fn u13_when_another_is_granted_taken_is_sent() {
    let mut session = Session::idle(two());
    session.request(0);
    session.assert_sent(["0: Granted 30 s of 2", "1: Taken by 0, acknowledge"]);
}

#[test]
fn u14_who_is_granted_is_sent_granted_and_never_taken() {
    let mut session = Session::taken([joining(0), with_queuing(1)]);
    session.request(1);
    session.forget();
    session.let_go(0);
    session.assert_sent(["1: Granted 30 s of 2", "0: Taken by 1, acknowledge"]);
}

#[test]
fn u20_a_request_in_a_burst_is_judged_by_what_its_user_may() {
    let listener = Joining { may_speak: false, ..with_queuing(1) };
    let mut session = Session::taken([joining(0), listener, joining(2)]);
    session.request_with(1, Priority::PreEmptive);
    session.request(2);
    session.assert_sent(["1: Deny: listen only", "2: Deny: another PoC User has permission"]);
    // T9
    session.speak_for(0, 30_000);
    session.let_go(0);
    session.request(2);
    session.forget();
    session.request_with(0, Priority::PreEmptive);
    session.assert_sent(["0: Deny: retry-after timer has not expired"]);
}

#[test]
fn u21_a_release_of_who_waits_takes_it_out_of_the_queue() {
    let mut session = Session::taken([joining(0), with_queuing(1), with_queuing(2)]);
    session.request(1);
    session.request(2);
    session.forget();
    session.let_go(1);
    session.assert_sent(["1: Taken by 0"]);
    session.ask_position(2);
    session.assert_sent(["2: place 1, normal"]);
    session.let_go(0);
    session.assert_state(TAKEN, Some(2));
}

#[test]
fn u21_a_release_of_a_pre_emptor_takes_it_back() {
    let mut session = Session::pre_empted(two());
    session.let_go(1);
    session.assert_sent(["1: Taken by 0"]);
    session.pass(1000);
    session.assert_sent(["0 1: Idle"]);
}

#[test]
fn u22_in_a_burst_the_place_in_the_queue_is_told() {
    let mut session = Session::taken([joining(0), with_queuing(1)]);
    session.ask_position(1);
    session.request(1);
    session.ask_position(1);
    session.assert_sent(["1: NotQueued", "1: place 1, normal", "1: place 1, normal"]);
}

#[test]
fn u23_while_nobody_speaks_nobody_waits() {
    let mut session = Session::idle(two());
    session.ask_position(1);
    session.assert_sent(["1: NotQueued"]);
}

#[test]
fn u24_when_the_burst_is_over_idle_is_sent() {
    let mut session = Session::taken(two());
    session.let_go(0);
    session.assert_sent(["0 1: Idle"]);
}

#[test]
fn u30_speech_of_who_is_permitted_is_forwarded() {
    let mut session = Session::taken(two());
    assert_eq!(session.speak(0, 101), Gate::Forward);
    session.assert_sent([]);
}

#[test]
fn u31_a_release_of_who_is_permitted_ends_its_burst() {
    let mut session = Session::taken(two());
    session.let_go(0);
    session.assert_state(IDLE, None);
}

#[test]
fn u32_a_request_of_who_is_permitted_is_granted_again() {
    let mut session = Session::taken(two());
    session.request_with(0, Priority::PreEmptive);
    session.assert_sent(["0: Granted 30 s of 2"]);
    session.ask_position(0);
    session.assert_sent([]);
}

#[test]
fn u33_whoever_is_revoked_is_told_why() {
    let mut session = Session::taken(two());
    session.request_with(1, Priority::PreEmptive);
    session.assert_sent(["0: Revoke: talk burst pre-empted"]);
}

#[test]
fn u40_the_same_revoke_is_repeated_each_second() {
    let mut session = Session::taken(two());
    session.speak_for(0, 30_000);
    session.assert_sent(["0: Revoke: too long, 5 s"]);
    session.pass(999);
    session.assert_sent([]);
    session.pass(1);
    session.assert_sent(["0: Revoke: too long, 5 s"]);
    session.pass(1000);
    session.assert_sent(["0: Revoke: too long, 5 s"]);
}

#[test]
fn u41_speech_within_the_grace_is_forwarded() {
    let mut session = Session::pre_empted(two());
    assert_eq!(session.speak(0, 101), Gate::Forward);
}

#[test]
fn u42_a_release_stops_the_repetition_of_the_revoke() {
    let mut session = Session::taken(two());
    session.speak_for(0, 30_000);
    session.let_go(0);
    session.forget();
    session.pass(4000);
    session.assert_sent(["0 1: Idle", "0 1: Idle"]);
}

#[test]
fn u43_idle_or_taken_stop_the_repetition_of_the_revoke() {
    let mut session = Session::pre_empted(two());
    session.pass(1000);
    session.assert_sent(["1: Granted 30 s of 2", "0: Taken by 1, acknowledge"]);
    session.acknowledge(0);
    session.speak(1, 1);
    session.pass(3000);
    session.assert_sent([]);
}

#[test]
fn u50_further_speech_without_permission_is_discarded_in_silence() {
    let mut session = unpermitted();
    session.pass(20);
    assert_eq!(session.speak(1, 2), Gate::Drop);
    session.assert_sent([]);
}

#[test]
fn u51_the_revoke_is_repeated_while_the_speech_goes_on() {
    let mut session = unpermitted();
    assert_eq!(session.speak_for(1, 3000), 0);
    session.assert_sent([NOT_PERMITTED; 3]);
}

#[test]
fn u52_a_release_ends_the_repetition_and_is_answered_by_the_state() {
    let mut session = unpermitted();
    session.let_go_after(1, 1);
    session.assert_sent(["1: Idle"]);
    session.pass(5000);
    session.assert_sent([]);
    let mut session = Session::taken(two());
    session.speak(1, 1);
    session.forget();
    session.let_go_after(1, 1);
    session.assert_sent(["1: Taken by 0"]);
}

#[test]
fn u53_so_do_2_s_of_silence() {
    let mut session = unpermitted();
    session.pass(500);
    session.speak(1, 2);
    session.pass(1999);
    session.assert_sent([NOT_PERMITTED, NOT_PERMITTED]);
    session.pass(1);
    session.assert_sent(["1: Idle"]);
    session.pass(5000);
    session.assert_sent([]);
    session.speak(1, 3);
    session.assert_sent([NOT_PERMITTED]);
}

#[test]
fn who_speaks_without_permission_may_ask_for_it() {
    let mut session = unpermitted();
    session.request(1);
    session.assert_sent(["1: Granted 30 s of 2", "0: Taken by 1, acknowledge"]);
    assert_eq!(session.speak(1, 2), Gate::Forward);
    session.acknowledge(0);
    session.pass(3000);
    session.assert_sent([]);
}

#[test]
fn u60_an_acknowledgement_stops_the_repetition_of_taken() {
    let messages = [
        Message::Acknowledgement(Acknowledgement::Taken),
        Message::Request { priority: None, timestamp: None },
        Message::QueueStatusRequest,
        Message::Release { last: None },
    ];
    for message in messages {
        let mut session = Session::idle(two());
        session.request(0);
        session.message(1, &message);
        session.forget();
        session.pass(3900);
        session.assert_sent([]);
        session.assert_told([]);
    }
}

#[test]
fn u60_without_one_taken_is_sent_three_times_and_the_leg_is_unproven() {
    let mut session = Session::idle(two());
    session.request(0);
    session.forget();
    session.pass(999);
    session.assert_sent([]);
    session.pass(1001);
    session.assert_sent(["1: Taken by 0, acknowledge", "1: Taken by 0, acknowledge"]);
    session.pass(999);
    session.assert_told([]);
    session.pass(1);
    session.assert_told([Told::Unproven { key: 1 }]);
    session.assert_sent([]);
}

#[test]
fn u60_a_newer_state_message_stops_the_repetition_of_taken() {
    let mut session = Session::idle(two());
    session.request(0);
    session.let_go(0);
    session.forget();
    session.pass(3500);
    session.assert_sent(["0 1: Idle", "0 1: Idle"]);
    session.assert_told([]);
    session.request(0);
    session.assert_sent(["0: Granted 30 s of 2", "1: Taken by 0"]);
}

#[test]
fn u61_who_leaves_keeps_neither_its_burst_nor_its_place() {
    let mut session = Session::taken([joining(0), with_queuing(1), joining(2)]);
    session.request(1);
    session.forget();
    session.leave(1);
    session.leave(0);
    session.assert_sent(["2: Idle"]);
    // Case 9: nor does who comes under the same key have it.
    let mut session = Session::taken([joining(0), with_queuing(1), joining(2)]);
    session.request(1);
    session.leave(1);
    session.join(1, with_queuing(1));
    session.forget();
    session.let_go(0);
    session.assert_sent(["0 1 2: Idle"]);
}

#[test]
fn who_has_no_talk_burst_control_listens_and_is_sent_nothing() {
    let plain = Joining { agreed: None, asks: true, ..joining(1) };
    let mut session = Session::new();
    session.join(0, Joining { asks: true, ..joining(0) });
    session.join(1, plain);
    session.assert_sent(["0: Granted 30 s of 2"]);
    session.request_with(1, Priority::PreEmptive);
    session.let_go(1);
    session.ask_position(1);
    assert_eq!(session.speak(1, 1), Gate::Drop);
    session.assert_sent([]);
    session.let_go(0);
    session.assert_sent(["0: Idle"]);
    session.assert_state(IDLE, None);
}

#[test]
fn messages_of_a_server_that_come_from_a_client_are_discarded() {
    let mut session = Session::taken(two());
    for key in 0..2 {
        session.message(key, &Message::Idle);
        session.message(key, &Message::Granted { stop_talking: StopTalking::Infinite, participants: None });
        session.message(key, &Message::Revoke(Revoke::PreEmpted));
        session.message(key, &Message::Disconnect);
    }
    session.assert_sent([]);
    session.assert_state(TAKEN, Some(0));
}

#[test]
fn who_is_nobody_is_not_heard() {
    let mut session = Session::taken(two());
    session.request(7);
    session.leave(7);
    assert_eq!(session.speak(7, 1), Gate::Drop);
    session.assert_sent([]);
}
