use super::super::fixture::*;
use super::*;
use crate::transaction::timer::Timers;

mod model;

const SCOPES: [Scope; 2] = [Scope::Session, Scope::Modification];

/// 64*T1.
fn guard() -> Duration {
    Timers::default().t1_64()
}

// One fixture per state. The INVITE leaves at 0 ms with a limit of 60 s; each step that follows comes 100 ms later.

/// Nothing has come back.
fn calling(scope: Scope) -> InviteClient {
    InviteClient::new(at(0), scope, Some(Duration::from_secs(60)), guard())
}

/// The user gave up at 100 ms, before any response.
fn cancel_waiting(scope: Scope) -> InviteClient {
    let mut client = calling(scope);
    assert_eq!(client.cancel(at(100)), Ok(Action::Nothing));
    client
}

/// A 1xx came at 100 ms.
fn proceeding(scope: Scope) -> InviteClient {
    let mut client = calling(scope);
    assert_eq!(client.handle_provisional(at(100)), Action::Nothing);
    client
}

/// The user gave up at 200 ms, after the 1xx.
fn cancelling(scope: Scope) -> InviteClient {
    let mut client = proceeding(scope);
    assert_eq!(client.cancel(at(200)), Ok(Action::SendCancel));
    client
}

/// A 200 came at 200 ms.
fn answered(scope: Scope) -> InviteClient {
    let mut client = proceeding(scope);
    assert_eq!(client.handle_success(200), Step::act(Action::Establish));
    client
}

/// A 200 crossed the CANCEL.
fn withdrawn(scope: Scope) -> InviteClient {
    let mut client = cancelling(scope);
    assert_eq!(client.handle_success(200), Step::cancelled(unwanted(scope), Some(200)));
    client
}

/// Timer B ran out at 32 s, and no CANCEL could leave.
fn unheard(scope: Scope) -> InviteClient {
    let mut client = calling(scope);
    assert_eq!(client.handle_silence(End::TimedOut), ended(End::TimedOut, None));
    client
}

/// The guard ran out at 32.2 s, after the CANCEL.
fn given_up(scope: Scope) -> InviteClient {
    let mut client = cancelling(scope);
    assert_eq!(wake(&mut client, 32_200), Step::cancelled(Action::Abandon, None));
    client
}

/// The 487 for the cancelled INVITE has come.
fn finished(scope: Scope) -> InviteClient {
    let mut client = cancelling(scope);
    assert_eq!(client.handle_failure(487), Step::cancelled(Action::Nothing, Some(487)));
    client
}

/// What becomes of a 2xx that nobody wants: RFC 3261 §15 for a session; §14.1: a session outlives its modification.
fn unwanted(scope: Scope) -> Action {
    match scope {
        Scope::Session => Action::AcknowledgeAndLeave,
        Scope::Modification => Action::Acknowledge,
    }
}

/// An end that the peer, or the way to it, caused.
fn ended(end: End, status: Option<u16>) -> Step {
    Step { action: Action::Nothing, outcome: Some(Outcome { end, by: Party::Remote, status }) }
}

mod calling {
    use super::*;

    // U1 x user cancels: RFC 3261 §9.1: no CANCEL before a provisional response.
    #[test]
    fn the_user_gives_up_and_no_cancel_leaves() {
        for scope in SCOPES {
            let mut client = calling(scope);
            assert_eq!(client.cancel(at(100)), Ok(Action::Nothing));
            assert_eq!(client.state(), &State::CancelWaiting);
        }
    }

    // U1 x 100-199.
    #[test]
    fn a_1xx_proceeds_and_keeps_the_limit() {
        for scope in SCOPES {
            let mut client = calling(scope);
            assert_eq!(client.handle_provisional(at(100)), Action::Nothing);
            assert_eq!(client.state(), &State::Proceeding { limit_at: Some(at(60_000)) });
        }
    }

    // U1 x 2xx: no 1xx need come before it (RFC 3261 §13.2.2.4).
    #[test]
    fn a_2xx_establishes() {
        for scope in SCOPES {
            for status in [200, 202, 299] {
                let mut client = calling(scope);
                assert_eq!(client.handle_success(status), Step::act(Action::Establish), "{status}");
                assert_eq!(client.state(), &State::Answered);
            }
        }
    }

    // U1 x 300-699.
    #[test]
    fn a_300_to_699_is_the_rejection_of_the_peer() {
        for scope in SCOPES {
            for status in [300, 404, 486, 487, 503, 603, 699] {
                let mut client = calling(scope);
                assert_eq!(client.handle_failure(status), ended(End::Rejected, Some(status)));
                assert_eq!(client.state(), &State::Finished);
            }
        }
    }

    // U1 x timer B or transport error: no answer from the network.
    #[test]
    fn silence_gives_up_and_says_why() {
        for scope in SCOPES {
            for end in [End::TimedOut, End::TransportFailed] {
                let mut client = calling(scope);
                assert_eq!(client.handle_silence(end), ended(end, None));
                assert_eq!(client.state(), &State::GivenUp { cancel_sent: false });
            }
        }
    }

    // U1 x Expires or set-up limit: as U1 x user cancels (RFC 3261 §13.2.1, §9.1).
    #[test]
    fn the_limit_gives_up_for_the_user_and_no_cancel_leaves() {
        for scope in SCOPES {
            let mut client = calling(scope);
            assert_eq!(wake(&mut client, 60_000), Step::NOTHING);
            assert_eq!(client.state(), &State::CancelWaiting);
        }
    }

    #[test]
    fn without_a_limit_it_waits_for_no_timer() {
        for scope in SCOPES {
            let client = InviteClient::new(at(0), scope, None, guard());
            assert_waits_for_no_timer(&client);
        }
    }

    #[test]
    fn the_limit_runs_from_the_invite() {
        let client = InviteClient::new(at(700), Scope::Session, Some(Duration::from_secs(60)), guard());
        assert_eq!(client.deadline(), Some(at(60_700)));
    }

    #[test]
    fn it_is_pending_and_wanted() {
        for scope in SCOPES {
            let client = calling(scope);
            assert!(client.is_pending() && !client.is_unwanted());
            assert_eq!(client.scope(), scope);
        }
    }
}

/// I3, C08, T11: another attempt begins as the first did, with the limit of the first; after the wish, and after the end,
/// there is none.
#[test]
fn another_attempt_follows_before_the_wish_only() {
    for scope in SCOPES {
        for fixture in [calling, proceeding] {
            let client = fixture(scope);
            let next = client.next_attempt().expect("wanted");
            let State::Calling { limit_at } = next.state() else { panic!("{:?}", next.state()) };
            assert_eq!((*limit_at, next.scope()), (client.deadline(), scope));
        }
        for fixture in [cancel_waiting, cancelling, answered, withdrawn, unheard, given_up, finished] {
            assert_eq!(fixture(scope).next_attempt(), None);
        }
    }
}

mod cancel_waiting {
    use super::*;

    // U1c x 100-199: the CANCEL leaves, and T-guard runs from it (14.11: 64*T1).
    #[test]
    fn a_1xx_lets_the_cancel_leave_and_starts_the_guard() {
        for scope in SCOPES {
            let mut client = cancel_waiting(scope);
            assert_eq!(client.handle_provisional(at(500)), Action::SendCancel);
            assert_eq!(client.state(), &State::Cancelling { give_up_at: at(32_500) });
        }
    }

    // U1c x 2xx: ACK, then BYE (seed C4).
    #[test]
    fn a_2xx_is_acknowledged_and_left() {
        let mut client = cancel_waiting(Scope::Session);
        assert_eq!(client.handle_success(200), Step::cancelled(Action::AcknowledgeAndLeave, Some(200)));
        assert_eq!(client.state(), &State::Withdrawn);
    }

    // U1c x 2xx in a re-INVITE: RFC 3261 §14.1: the session goes on.
    #[test]
    fn a_2xx_to_a_modification_is_only_acknowledged() {
        let mut client = cancel_waiting(Scope::Modification);
        assert_eq!(client.handle_success(200), Step::cancelled(Action::Acknowledge, Some(200)));
        assert_eq!(client.state(), &State::Withdrawn);
    }

    // U1c x 300-699, 401/407/422/3xx/420/503: cancelled, no CANCEL, nothing tried again.
    #[test]
    fn a_300_to_699_ends_it_as_cancelled() {
        for scope in SCOPES {
            for status in [302, 401, 407, 420, 422, 486, 487, 503, 603] {
                let mut client = cancel_waiting(scope);
                assert_eq!(client.handle_failure(status), Step::cancelled(Action::Nothing, Some(status)));
                assert_eq!(client.state(), &State::Finished);
            }
        }
    }

    // U1c x timer B or transport error: the user sees "cancelled".
    #[test]
    fn silence_ends_it_as_cancelled() {
        for scope in SCOPES {
            for end in [End::TimedOut, End::TransportFailed] {
                let mut client = cancel_waiting(scope);
                assert_eq!(client.handle_silence(end), Step::cancelled(Action::Nothing, None));
                assert_eq!(client.state(), &State::GivenUp { cancel_sent: false });
            }
        }
    }

    // U1c x user cancels: asking again changes nothing.
    #[test]
    fn giving_up_again_changes_nothing() {
        for scope in SCOPES {
            let mut client = cancel_waiting(scope);
            let before = client.clone();
            assert_eq!(client.cancel(at(200)), Ok(Action::Nothing));
            assert_eq!(client, before);
        }
    }

    // Timer B of the transaction bounds this state: neither the limit nor the guard runs.
    #[test]
    fn it_waits_for_no_timer_of_its_own() {
        for scope in SCOPES {
            assert_waits_for_no_timer(&cancel_waiting(scope));
        }
    }

    #[test]
    fn it_is_pending_and_unwanted() {
        for scope in SCOPES {
            let client = cancel_waiting(scope);
            assert!(client.is_pending() && client.is_unwanted());
        }
    }
}

mod proceeding {
    use super::*;

    // U2 x user cancels: the CANCEL leaves at once, and T-guard runs from it.
    #[test]
    fn the_user_gives_up_and_the_cancel_leaves() {
        for scope in SCOPES {
            let mut client = proceeding(scope);
            assert_eq!(client.cancel(at(200)), Ok(Action::SendCancel));
            assert_eq!(client.state(), &State::Cancelling { give_up_at: at(32_200) });
        }
    }

    // Timer C of a proxy (RFC 3261 §16.7 step 2).
    #[test]
    fn a_limit_that_is_renewed_runs_from_then() {
        let mut client = proceeding(Scope::Session);
        client.renew_limit(at(50_000), Duration::from_secs(60));
        assert_eq!(client.deadline(), Some(at(110_000)));
        client.cancel(at(50_000)).unwrap();
        let guard = client.deadline();
        client.renew_limit(at(60_000), Duration::from_secs(60));
        assert_eq!(client.deadline(), guard);
    }

    // U2 x Expires of the INVITE or set-up limit: as if the user had given up.
    #[test]
    fn the_limit_lets_the_cancel_leave() {
        for scope in SCOPES {
            let mut client = proceeding(scope);
            assert_eq!(wake(&mut client, 60_000), Step::act(Action::SendCancel));
            assert_eq!(client.state(), &State::Cancelling { give_up_at: at(92_000) });
        }
    }

    // The guard runs from the CANCEL (14.3, notes), not from the limit that asked for it.
    #[test]
    fn after_a_limit_that_was_noticed_late_the_guard_still_runs_from_the_cancel() {
        let mut client = proceeding(Scope::Session);
        assert_eq!(client.handle_timeout(at(61_000)), Step::act(Action::SendCancel));
        assert_eq!(client.state(), &State::Cancelling { give_up_at: at(93_000) });
    }

    // U2 x 2xx.
    #[test]
    fn a_2xx_establishes() {
        for scope in SCOPES {
            let mut client = proceeding(scope);
            assert_eq!(client.handle_success(200), Step::act(Action::Establish));
            assert_eq!(client.state(), &State::Answered);
        }
    }

    // U2 x 300-699: a 487 too is a rejection, since nobody here gave up.
    #[test]
    fn a_300_to_699_is_the_rejection_of_the_peer() {
        for scope in SCOPES {
            for status in [302, 401, 486, 487, 603] {
                let mut client = proceeding(scope);
                assert_eq!(client.handle_failure(status), ended(End::Rejected, Some(status)));
                assert_eq!(client.state(), &State::Finished);
            }
        }
    }

    #[test]
    fn a_further_1xx_changes_nothing() {
        for scope in SCOPES {
            let mut client = proceeding(scope);
            let before = client.clone();
            assert_eq!(client.handle_provisional(at(200)), Action::Nothing);
            assert_eq!(client, before);
        }
    }

    // RFC 3261 §17.1.1.2: a 1xx stops timer B; the 1xx proves that the INVITE arrived.
    #[test]
    fn silence_changes_nothing() {
        for scope in SCOPES {
            let mut client = proceeding(scope);
            let before = client.clone();
            assert_eq!(client.handle_silence(End::TransportFailed), Step::NOTHING);
            assert_eq!(client, before);
        }
    }

    #[test]
    fn without_a_limit_it_waits_for_no_timer() {
        let mut client = InviteClient::new(at(0), Scope::Session, None, guard());
        assert_eq!(client.handle_provisional(at(100)), Action::Nothing);
        assert_waits_for_no_timer(&client);
    }

    #[test]
    fn it_is_pending_and_wanted() {
        for scope in SCOPES {
            let client = proceeding(scope);
            assert!(client.is_pending() && !client.is_unwanted());
        }
    }
}

mod cancelling {
    use super::*;

    // U2c x 487: success (seed C3).
    #[test]
    fn a_487_ends_it_as_cancelled() {
        for scope in SCOPES {
            let mut client = cancelling(scope);
            assert_eq!(client.handle_failure(487), Step::cancelled(Action::Nothing, Some(487)));
            assert_eq!(client.state(), &State::Finished);
        }
    }

    // U2c x other 300-699: the user sees "cancelled" whatever the peer said; nothing is tried again.
    #[test]
    fn another_300_to_699_ends_it_as_cancelled() {
        for scope in SCOPES {
            for status in [302, 401, 407, 480, 486, 503, 603] {
                let mut client = cancelling(scope);
                assert_eq!(client.handle_failure(status), Step::cancelled(Action::Nothing, Some(status)));
                assert_eq!(client.state(), &State::Finished);
            }
        }
    }

    // U2c x 2xx (seed C4).
    #[test]
    fn a_2xx_that_crosses_the_cancel_is_acknowledged_and_left() {
        let mut client = cancelling(Scope::Session);
        assert_eq!(client.handle_success(200), Step::cancelled(Action::AcknowledgeAndLeave, Some(200)));
        assert_eq!(client.state(), &State::Withdrawn);
    }

    // U2c x 2xx in a re-INVITE: RFC 3261 §14.1.
    #[test]
    fn a_2xx_to_a_modification_that_crosses_the_cancel_is_only_acknowledged() {
        let mut client = cancelling(Scope::Modification);
        assert_eq!(client.handle_success(200), Step::cancelled(Action::Acknowledge, Some(200)));
        assert_eq!(client.state(), &State::Withdrawn);
    }

    // U2c x 1xx: no second CANCEL, and the guard goes on.
    #[test]
    fn a_further_1xx_sends_no_second_cancel() {
        for scope in SCOPES {
            let mut client = cancelling(scope);
            assert_eq!(client.handle_provisional(at(300)), Action::Nothing);
            assert_eq!(client.state(), &State::Cancelling { give_up_at: at(32_200) });
        }
    }

    // U2c x user cancels.
    #[test]
    fn giving_up_again_sends_no_second_cancel() {
        for scope in SCOPES {
            let mut client = cancelling(scope);
            assert_eq!(client.cancel(at(300)), Ok(Action::Nothing));
            assert_eq!(client.state(), &State::Cancelling { give_up_at: at(32_200) });
        }
    }

    // 14.7 R30: the connection is lost while the CANCEL is under way: the guard decides.
    #[test]
    fn silence_leaves_it_to_the_guard() {
        for scope in SCOPES {
            let mut client = cancelling(scope);
            assert_eq!(client.handle_silence(End::TransportFailed), Step::NOTHING);
            assert_eq!(client.state(), &State::Cancelling { give_up_at: at(32_200) });
        }
    }

    // U2c x T-guard expires: the INVITE transaction is given up; the user sees "cancelled".
    #[test]
    fn the_guard_gives_up_64_t1_after_the_cancel() {
        for scope in SCOPES {
            let mut client = cancelling(scope);
            assert_eq!(wake(&mut client, 32_200), Step::cancelled(Action::Abandon, None));
            assert_eq!(client.state(), &State::GivenUp { cancel_sent: true });
        }
    }

    // 14.11: with the T1 of an IMS access, 2 s, the guard is 128 s.
    #[test]
    fn the_guard_is_as_long_as_its_owner_says() {
        let mut client = InviteClient::new(at(0), Scope::Session, None, Duration::from_secs(128));
        assert_eq!(client.handle_provisional(at(100)), Action::Nothing);
        assert_eq!(client.cancel(at(200)), Ok(Action::SendCancel));
        assert_eq!(wake(&mut client, 128_200), Step::cancelled(Action::Abandon, None));
    }

    // The limit ended with the wish.
    #[test]
    fn the_limit_does_not_matter_any_more() {
        let mut client = InviteClient::new(at(0), Scope::Session, Some(Duration::from_secs(10)), guard());
        assert_eq!(client.handle_provisional(at(100)), Action::Nothing);
        assert_eq!(client.cancel(at(200)), Ok(Action::SendCancel));
        assert_idle_at(&client, at(10_000));
        assert_eq!(client.deadline(), Some(at(32_200)));
    }

    #[test]
    fn it_is_pending_and_unwanted() {
        for scope in SCOPES {
            let client = cancelling(scope);
            assert!(client.is_pending() && client.is_unwanted());
        }
    }
}

mod answered {
    use super::*;

    // U3 x user gives up: too late, the session is left with BYE (RFC 3261 §15).
    #[test]
    fn it_is_too_late_to_cancel() {
        for scope in SCOPES {
            let mut client = answered(scope);
            assert_eq!(client.cancel(at(300)), Err(TooLate));
            assert_eq!(client.state(), &State::Answered);
        }
    }

    // RFC 3261 §13.2.2.4: the first dialog is the session, that of another fork is left.
    #[test]
    fn the_2xx_of_a_fork_is_declined_without_a_word() {
        for scope in SCOPES {
            let mut client = answered(scope);
            assert_eq!(client.handle_success(200), Step::act(unwanted(scope)));
            assert_eq!(client.state(), &State::Answered);
        }
    }

    #[test]
    fn everything_else_changes_nothing() {
        for scope in SCOPES {
            let mut client = answered(scope);
            assert_eq!(client.handle_provisional(at(300)), Action::Nothing);
            assert_eq!(client.handle_failure(487), Step::NOTHING);
            assert_eq!(client.handle_silence(End::TransportFailed), Step::NOTHING);
            assert_eq!(client.state(), &State::Answered);
        }
    }

    // The limit is one for the answer: it ends with it.
    #[test]
    fn it_waits_for_no_timer() {
        for scope in SCOPES {
            assert_waits_for_no_timer(&answered(scope));
        }
    }

    #[test]
    fn it_is_neither_pending_nor_unwanted() {
        for scope in SCOPES {
            let client = answered(scope);
            assert!(!client.is_pending() && !client.is_unwanted());
        }
    }
}

mod withdrawn {
    use super::*;

    // U2c x further 2xx with another To tag: ACK and BYE for each; the user sees nothing.
    #[test]
    fn the_2xx_of_each_further_fork_is_declined_without_a_word() {
        for scope in SCOPES {
            let mut client = withdrawn(scope);
            assert_eq!(client.handle_success(200), Step::act(unwanted(scope)));
            assert_eq!(client.handle_success(200), Step::act(unwanted(scope)));
            assert_eq!(client.state(), &State::Withdrawn);
        }
    }

    #[test]
    fn it_is_too_late_to_cancel() {
        for scope in SCOPES {
            let mut client = withdrawn(scope);
            assert_eq!(client.cancel(at(300)), Err(TooLate));
            assert_eq!(client.state(), &State::Withdrawn);
        }
    }

    #[test]
    fn everything_else_changes_nothing() {
        for scope in SCOPES {
            let mut client = withdrawn(scope);
            assert_eq!(client.handle_provisional(at(300)), Action::Nothing);
            assert_eq!(client.handle_failure(487), Step::NOTHING);
            assert_eq!(client.handle_silence(End::TimedOut), Step::NOTHING);
            assert_eq!(client.state(), &State::Withdrawn);
        }
    }

    #[test]
    fn it_waits_for_no_timer() {
        for scope in SCOPES {
            assert_waits_for_no_timer(&withdrawn(scope));
        }
    }

    // No new attempt may start once the user gave up.
    #[test]
    fn it_is_unwanted_and_not_pending() {
        for scope in SCOPES {
            let client = withdrawn(scope);
            assert!(!client.is_pending() && client.is_unwanted());
        }
    }
}

mod given_up {
    use super::*;

    // U4 tombstone x 1xx: the INVITE arrived after all, and the peer does not know yet that nobody waits.
    #[test]
    fn a_late_1xx_lets_the_first_cancel_leave() {
        for scope in SCOPES {
            let mut client = unheard(scope);
            assert_eq!(client.handle_provisional(at(33_000)), Action::SendCancel);
            assert_eq!(client.state(), &State::GivenUp { cancel_sent: true });
        }
    }

    #[test]
    fn a_further_late_1xx_sends_no_second_cancel() {
        for scope in SCOPES {
            let mut client = unheard(scope);
            assert_eq!(client.handle_provisional(at(33_000)), Action::SendCancel);
            assert_eq!(client.handle_provisional(at(33_100)), Action::Nothing);
        }
    }

    // U2c x 1xx, after the guard: one CANCEL is enough.
    #[test]
    fn a_late_1xx_after_the_cancel_changes_nothing() {
        for scope in SCOPES {
            let mut client = given_up(scope);
            let before = client.clone();
            assert_eq!(client.handle_provisional(at(33_000)), Action::Nothing);
            assert_eq!(client, before);
        }
    }

    // U4 tombstone x late 2xx: ACK, BYE; the user sees nothing.
    #[test]
    fn a_late_2xx_is_declined_without_a_word() {
        for scope in SCOPES {
            for fixture in [unheard, given_up] {
                let mut client = fixture(scope);
                assert_eq!(client.handle_success(200), Step::act(unwanted(scope)));
                assert_eq!(client.state(), &State::Withdrawn);
            }
        }
    }

    // RFC 3261 §9.1: a CANCEL has no effect on a request that has been answered.
    #[test]
    fn after_a_late_final_response_no_cancel_leaves_any_more() {
        for scope in SCOPES {
            let mut accepted = unheard(scope);
            accepted.handle_success(200);
            assert_eq!(accepted.handle_provisional(at(33_000)), Action::Nothing);
            let mut refused = unheard(scope);
            refused.handle_failure(486);
            assert_eq!(refused.handle_provisional(at(33_000)), Action::Nothing);
        }
    }

    #[test]
    fn a_late_300_to_699_finishes_it_without_a_word() {
        for scope in SCOPES {
            for fixture in [unheard, given_up] {
                let mut client = fixture(scope);
                assert_eq!(client.handle_failure(487), Step::NOTHING);
                assert_eq!(client.state(), &State::Finished);
            }
        }
    }

    #[test]
    fn it_is_too_late_to_cancel() {
        for scope in SCOPES {
            for fixture in [unheard, given_up] {
                let mut client = fixture(scope);
                let before = client.clone();
                assert_eq!(client.cancel(at(33_000)), Err(TooLate));
                assert_eq!(client, before);
            }
        }
    }

    // The end has been told.
    #[test]
    fn further_silence_is_not_told_again() {
        for scope in SCOPES {
            for fixture in [unheard, given_up] {
                let mut client = fixture(scope);
                let before = client.clone();
                assert_eq!(client.handle_silence(End::TransportFailed), Step::NOTHING);
                assert_eq!(client, before);
            }
        }
    }

    #[test]
    fn it_waits_for_no_timer() {
        for scope in SCOPES {
            assert_waits_for_no_timer(&unheard(scope));
            assert_waits_for_no_timer(&given_up(scope));
        }
    }

    #[test]
    fn it_is_unwanted_and_not_pending() {
        for scope in SCOPES {
            for client in [unheard(scope), given_up(scope)] {
                assert!(!client.is_pending() && client.is_unwanted());
            }
        }
    }
}

mod finished {
    use super::*;

    // U4 x 2xx: a fork that accepted although another one's 300-699 came first (RFC 3261 §13.2.2.4, RFC 6026 §7.2).
    #[test]
    fn the_2xx_of_a_fork_is_declined_without_a_word() {
        for scope in SCOPES {
            let mut client = finished(scope);
            assert_eq!(client.handle_success(200), Step::act(unwanted(scope)));
            assert_eq!(client.state(), &State::Finished);
        }
    }

    #[test]
    fn it_is_too_late_to_cancel() {
        for scope in SCOPES {
            let mut client = finished(scope);
            assert_eq!(client.cancel(at(300)), Err(TooLate));
            assert_eq!(client.state(), &State::Finished);
        }
    }

    #[test]
    fn everything_else_changes_nothing() {
        for scope in SCOPES {
            let mut client = finished(scope);
            assert_eq!(client.handle_provisional(at(300)), Action::Nothing);
            assert_eq!(client.handle_failure(486), Step::NOTHING);
            assert_eq!(client.handle_silence(End::TimedOut), Step::NOTHING);
            assert_eq!(client.state(), &State::Finished);
        }
    }

    #[test]
    fn it_waits_for_no_timer() {
        for scope in SCOPES {
            assert_waits_for_no_timer(&finished(scope));
        }
    }

    #[test]
    fn it_is_not_pending() {
        for scope in SCOPES {
            assert!(!finished(scope).is_pending());
        }
    }
}

/// The state with what is left until its deadline.
fn show(state: &State, now: Instant) -> String {
    let limit = |at: &Option<Instant>| at.map_or_else(|| "never".to_owned(), |at| wait(now, at));
    match state {
        State::Calling { limit_at } => format!("Calling {{ limit {} }}", limit(limit_at)),
        State::Proceeding { limit_at } => format!("Proceeding {{ limit {} }}", limit(limit_at)),
        State::Cancelling { give_up_at } => format!("Cancelling {{ guard {} }}", wait(now, *give_up_at)),
        State::GivenUp { cancel_sent: true } => "GivenUp { CANCEL sent }".to_owned(),
        State::GivenUp { cancel_sent: false } => "GivenUp { no CANCEL }".to_owned(),
        State::CancelWaiting | State::Answered | State::Withdrawn | State::Finished => format!("{state:?}"),
    }
}

fn told(step: Step) -> String {
    let outcome = step.outcome.map_or_else(
        || "-".to_owned(),
        |Outcome { end, by, status }| match status {
            Some(status) => format!("{end:?} by {by:?} ({status})"),
            None => format!("{end:?} by {by:?}"),
        },
    );
    format!("{:?}; {outcome}", step.action)
}

#[test]
fn every_state_by_every_event() {
    let mut text = String::new();
    type Fixture = fn(Scope) -> InviteClient;
    let fixtures: [(&str, u64, Fixture); 9] = [
        ("Calling", 400, calling),
        ("CancelWaiting", 400, cancel_waiting),
        ("Proceeding", 400, proceeding),
        ("Cancelling", 400, cancelling),
        ("Answered", 400, answered),
        ("Withdrawn", 400, withdrawn),
        ("GivenUp (no CANCEL)", 33_000, unheard),
        ("GivenUp (CANCEL sent)", 33_000, given_up),
        ("Finished", 400, finished),
    ];
    for scope in SCOPES {
        for (name, now, fixture) in fixtures {
            let now = at(now);
            let mut try_event = |event: &str, now: Instant, apply: &dyn Fn(&mut InviteClient) -> String| {
                let mut client = fixture(scope);
                let output = apply(&mut client);
                text += &format!("{name}/{scope:?} x {event} -> {}; {output}\n", show(client.state(), now));
            };
            try_event("cancel", now, &|client| match client.cancel(now) {
                Ok(action) => told(Step::act(action)),
                Err(TooLate) => "too late; -".to_owned(),
            });
            try_event("1xx", now, &|client| told(Step::act(client.handle_provisional(now))));
            try_event("200", now, &|client| told(client.handle_success(200)));
            for status in [401, 486, 487] {
                try_event(&status.to_string(), now, &|client| told(client.handle_failure(status)));
            }
            for end in [End::TimedOut, End::TransportFailed] {
                try_event(&format!("silence ({end:?})"), now, &|client| told(client.handle_silence(end)));
            }
            let deadline = fixture(scope).deadline();
            let (timer, when) = deadline.map_or(("an hour", at(3_600_000)), |when| ("deadline", when));
            try_event(timer, when, &|client| told(client.handle_timeout(when)));
        }
    }
    insta::assert_snapshot!(text);
}
