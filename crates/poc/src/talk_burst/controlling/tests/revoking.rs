//! The general machine, when others ask, when the holder goes, and when all is over: user-plane digest 6, g27 to g50.

use super::*;

#[test]
fn g27_a_pre_emptive_request_revokes_the_holder() {
    let mut session = Session::taken(queuing());
    session.request(2);
    session.forget();
    session.request_with(1, Priority::PreEmptive);
    session.assert_sent(["1: place 1, pre-emptive", "0: Revoke: talk burst pre-empted"]);
    session.let_go(0);
    session.assert_sent(["1: Granted 30 s of 3", "0: Taken by 1, acknowledge", "2: Taken by 1"]);
}

#[test]
fn g27_a_pre_emptor_without_queuing_hears_nothing_until_it_is_granted() {
    let mut session = Session::taken(three());
    session.request_with(1, Priority::PreEmptive);
    session.assert_sent(["0: Revoke: talk burst pre-empted"]);
    session.pass(999);
    session.assert_sent([]);
    session.pass(1);
    session.assert_sent(["1: Granted 30 s of 3", "0: Taken by 1, acknowledge", "2: Taken by 1"]);
}

#[test]
fn g27_who_waits_may_pre_empt_by_a_further_request() {
    let mut session = Session::taken(queuing());
    session.request(2);
    session.request(1);
    session.forget();
    session.request_with(1, Priority::PreEmptive);
    session.assert_sent(["1: place 1, pre-emptive", "0: Revoke: talk burst pre-empted"]);
    assert_eq!(session.bursts.queue.len(), 2);
}

#[test]
fn g27_neither_a_pre_emptive_nor_a_protected_burst_is_pre_empted() {
    let mut session = Session::idle(three());
    session.request_with(0, Priority::PreEmptive);
    session.forget();
    session.request_with(1, Priority::PreEmptive);
    session.assert_sent(["1: Deny: another PoC User has permission"]);
    let mut session = Session::taken([Joining { is_pre_empt_protected: true, ..joining(0) }, joining(1)]);
    session.request_with(1, Priority::PreEmptive);
    session.assert_sent(["1: Deny: another PoC User has permission"]);
    session.assert_state(TAKEN, Some(0));
}

#[test]
fn g27_a_priority_that_was_not_agreed_is_lowered() {
    let agreed = Some(TalkBurst { tb_priority: 2, queuing: true, ..TalkBurst::default() });
    let none = Some(TalkBurst { queuing: true, ..TalkBurst::default() });
    let mut session = Session::taken([
        joining(0),
        Joining { agreed, ..joining(1) },
        Joining { agreed: none, ..joining(2) },
    ]);
    session.request_with(2, Priority::PreEmptive);
    session.request_with(1, Priority::PreEmptive);
    session.assert_sent(["2: place 1, normal", "1: place 1, high"]);
    session.assert_state(TAKEN, Some(0));
}

#[test]
fn g27_who_is_draining_is_not_revoked_but_over_at_once() {
    let mut session = Session::taken(three());
    session.let_go_after(0, 103);
    session.request_with(1, Priority::PreEmptive);
    session.assert_sent(["1: Granted 30 s of 3", "0: Taken by 1, acknowledge", "2: Taken by 1"]);
}

#[test]
fn g28_a_request_waits_where_queuing_is_agreed() {
    let mut session = Session::taken(queuing());
    session.request(1);
    session.request_with(2, Priority::High);
    session.ask_position(1);
    session.assert_sent(["1: place 1, normal", "2: place 1, high", "1: place 2, normal"]);
    session.assert_told([Told::Queued { key: 1 }, Told::Queued { key: 2 }]);
}

#[test]
fn g29_a_request_without_queuing_is_denied() {
    let mut session = Session::taken(queuing());
    session.join(3, joining(3));
    session.forget();
    session.request_with(3, Priority::High);
    session.assert_sent(["3: Deny: another PoC User has permission"]);
    session.assert_told([Told::Denied { key: 3, reason: DenyReason::Taken }]);
}

#[test]
fn g30_when_the_holder_leaves_it_is_idle_at_once_or_the_next_is_granted() {
    // Cases 1 and 7: whoever cancels keeps nothing.
    let mut session = Session::taken(three());
    session.leave(0);
    session.assert_sent(["1 2: Idle"]);
    session.assert_told([Told::Ended { key: 0, ending: Ending::Left }, Told::Idle]);
    let mut session = Session::taken(queuing());
    session.request(2);
    session.forget();
    session.leave(0);
    session.assert_sent(["2: Granted 30 s of 2", "1: Taken by 2"]);
}

#[test]
fn g30_when_the_holder_leaves_in_its_drain_it_is_idle_at_once() {
    let mut session = Session::taken(three());
    session.let_go_after(0, 103);
    session.leave(0);
    session.assert_sent(["1 2: Idle"]);
}

#[test]
fn g31_a_holder_whom_nobody_hears_any_more_is_revoked() {
    let mut session = Session::taken(three());
    session.leave(1);
    session.assert_sent([]);
    session.leave(2);
    session.assert_sent(["0: Revoke: only one user"]);
    session.pass(2999);
    session.assert_state(PENDING_REVOKE, Some(0));
    session.pass(1);
    session.assert_state(IDLE, None);
}

#[test]
fn g40_whoever_is_revoked_has_a_grace_that_depends_on_the_reason() {
    let mut session = Session::pre_empted(three());
    assert_eq!(session.speak_for(0, 1000), 50);
    session.assert_state(TAKEN, Some(1));
    let mut session = Session::taken(three());
    session.speak_for(0, 30_000);
    session.forget();
    assert_eq!(session.speak_for(0, 2980), 149);
    session.assert_state(PENDING_REVOKE, Some(0));
    session.pass(20);
    session.assert_state(IDLE, None);
}

#[test]
fn g41_speech_is_forwarded_within_the_grace() {
    let mut session = Session::pre_empted(three());
    assert_eq!(session.speak(0, 101), Gate::Forward);
    assert_eq!(session.speak_as(0, 0x9999, 102), Gate::Drop);
    assert_eq!(session.speak(1, 1), Gate::Drop);
}

#[test]
fn g42_a_release_within_the_grace_ends_the_burst_at_once() {
    let mut session = Session::pre_empted(three());
    session.message_as(0, 0x0bad_f00d, &Message::Release { last: None });
    session.assert_state(PENDING_REVOKE, Some(0));
    session.let_go_after(0, 120);
    session.assert_sent(["1: Granted 30 s of 3", "0: Taken by 1, acknowledge", "2: Taken by 1"]);
    session.assert_told([RELEASED, Told::Granted { key: 1 }]);
    // What is on the way is no offence.
    assert_eq!(session.speak(0, 119), Gate::Drop);
    session.assert_sent([]);
}

#[test]
fn g43_when_the_grace_is_over_nothing_is_forwarded_any_more() {
    let mut session = Session::pre_empted(three());
    session.pass(1000);
    session.assert_sent(["1: Granted 30 s of 3", "0: Taken by 1, acknowledge", "2: Taken by 1"]);
    session.assert_told([REVOKED, Told::Granted { key: 1 }]);
    assert_eq!(session.speak(0, 150), Gate::Drop);
    session.assert_sent(["0: Revoke: no permission to send a talk burst"]);
}

#[test]
fn g44_without_speech_for_4_s_the_grace_is_over() {
    let mut session = Session::taken(three());
    session.pass(3500);
    session.request_with(1, Priority::PreEmptive);
    session.pass(499);
    session.assert_state(PENDING_REVOKE, Some(0));
    session.pass(1);
    session.assert_state(TAKEN, Some(1));
    let mut session = Session::taken(three());
    session.pass(3500);
    session.request_with(1, Priority::PreEmptive);
    session.pass(400);
    assert_eq!(session.speak(0, 101), Gate::Forward);
    session.pass(599);
    session.assert_state(PENDING_REVOKE, Some(0));
}

#[test]
fn g45_another_request_within_the_grace_waits_or_is_denied() {
    let mut session = Session::pre_empted([joining(0), joining(1), with_queuing(2), joining(3)]);
    session.request_with(2, Priority::PreEmptive);
    session.request_with(3, Priority::PreEmptive);
    session.assert_sent(["2: place 2, pre-emptive", "3: Deny: another PoC User has permission"]);
    session.assert_state(PENDING_REVOKE, Some(0));
}

#[test]
fn g45_the_holder_who_asks_within_the_grace_is_denied() {
    let mut session = Session::pre_empted(three());
    session.request(0);
    session.assert_sent(["0: Deny: another PoC User has permission"]);
}

#[test]
fn g45b_an_accepted_pre_emptor_who_asks_again_is_not_denied() {
    let mut session = Session::pre_empted([joining(0), joining(1), with_queuing(2)]);
    session.request_with(1, Priority::PreEmptive);
    session.request(1);
    session.assert_sent([]);
    let mut session = Session::pre_empted([joining(0), with_queuing(1), joining(2)]);
    session.request_with(1, Priority::PreEmptive);
    session.assert_sent(["1: place 1, pre-emptive"]);
    session.let_go(0);
    session.assert_state(TAKEN, Some(1));
}

#[test]
fn g46_when_the_holder_leaves_within_the_grace_the_next_is_granted_at_once() {
    let mut session = Session::pre_empted(three());
    session.leave(0);
    session.assert_sent(["1: Granted 30 s of 2", "2: Taken by 1"]);
    session.pass(999);
    session.assert_sent([]);
}

#[test]
fn g46_when_the_pre_emptor_leaves_within_the_grace_nobody_is_granted() {
    let mut session = Session::pre_empted(three());
    session.leave(1);
    session.let_go(0);
    session.assert_sent(["0 2: Idle"]);
}

#[test]
fn g50_after_the_release_nothing_is_sent_and_nothing_remains() {
    let stages: [fn() -> Session; 4] = [
        Session::new,
        || Session::idle(three()),
        || Session::taken(queuing()),
        || Session::pre_empted(queuing()),
    ];
    for stage in stages {
        let mut session = stage();
        session.request(2);
        session.bursts.release();
        session.forget();
        for key in 0..3 {
            session.request(key);
            session.let_go(key);
            session.ask_position(key);
            assert_eq!(session.speak(key, 101), Gate::Drop);
            session.leave(key);
        }
        session.join(0, asking(0));
        session.pass(60_000);
        session.assert_sent([]);
        session.assert_told([]);
        assert_eq!(session.bursts.poll_timeout(), None);
        let settings = Arc::clone(&session.bursts.settings);
        assert_eq!(session.bursts, TalkBursts { state: State::Releasing, ..TalkBursts::new(settings) });
    }
}

#[test]
fn g50_what_was_not_sent_yet_is_not_sent_any_more() {
    let mut session = Session::taken(three());
    session.bursts.handle_message(session.now, 0, ssrc(0), &Message::Release { last: None });
    session.bursts.release();
    assert_eq!(session.bursts.poll_output(), None);
}

#[test]
fn when_all_have_left_no_timer_runs_and_the_next_begins_anew() {
    let mut session = Session::taken(queuing());
    session.request(1);
    for key in 0..3 {
        session.leave(key);
    }
    assert_eq!(session.bursts.poll_timeout(), None);
    assert!(session.bursts.participants.is_empty() && session.bursts.queue.len() == 0);
    session.forget();
    session.join(2, joining(2));
    session.assert_sent(["2: Idle"]);
}
