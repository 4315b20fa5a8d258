use super::super::fixture::*;
use super::*;

const OK: &str = "SIP/2.0 200 OK\r\n\r\n";

fn ok() -> Bytes {
    Bytes::from_static(OK.as_bytes())
}

// One fixture per state. The INVITE comes at 0 ms and lapses after 60 s; each step that follows comes 100 ms later.

/// The user has said nothing.
fn alerting() -> InviteServer {
    InviteServer::new(at(0), Some(Duration::from_secs(60)), Arc::default())
}

/// The user accepted at 100 ms.
fn accepted() -> InviteServer {
    let mut server = alerting();
    server.accept(at(100), ok());
    server
}

/// The user left again before the ACK came.
fn leave_waiting() -> InviteServer {
    let mut server = accepted();
    server.leave();
    server
}

/// The ACK came.
fn confirmed() -> InviteServer {
    let mut server = accepted();
    assert_eq!(server.handle_ack(), Action::Establish);
    server
}

/// The user refused.
fn refused() -> InviteServer {
    let mut server = alerting();
    server.refuse();
    server
}

/// The peer gave up.
fn cancelled() -> InviteServer {
    let mut server = alerting();
    assert!(server.cancel());
    server
}

/// BYE came before the ACK.
fn finished() -> InviteServer {
    let mut server = accepted();
    server.finish();
    server
}

/// Waiting for the ACK of the 2xx that left at 100 ms: the next retransmission, and how long after the one before.
fn ack_wait(at_ms: u64, interval_ms: u64) -> Box<AckWait> {
    let resend = Resend { at: at(at_ms), interval: Duration::from_millis(interval_ms) };
    Box::new(AckWait { response: ok(), resend, give_up_at: at(32_100) })
}

/// When the 2xx is sent again if no ACK comes, and what is to be done in the end, in milliseconds.
fn resending_times(server: &mut InviteServer) -> (Vec<u64>, u64, Action) {
    let mut times = Vec::new();
    loop {
        let deadline = server.deadline().expect("an ACK is waited for");
        let ms = u64::try_from(deadline.since_start().as_millis()).expect("a short run");
        let action = wake(server, ms);
        if action != Action::Resend(ok()) {
            return (times, ms, action);
        }
        times.push(ms);
    }
}

// RFC 3261 §13.3.1.4: T1 after the 2xx, then doubled, at most T2, until 64*T1.
const RESENDING_TIMES: [u64; 10] = [600, 1600, 3600, 7600, 11_600, 15_600, 19_600, 23_600, 27_600, 31_600];

mod alerting {
    use super::*;

    // V1 x user accepts: the 2xx is sent again after T1 and given up after 64*T1.
    #[test]
    fn the_user_accepts_and_the_ack_is_waited_for() {
        let mut server = alerting();
        server.accept(at(100), ok());
        assert_eq!(server.state(), &State::Accepted(ack_wait(600, 500)));
        assert_eq!(server.deadline(), Some(at(600)));
    }

    // V1 x user refuses.
    #[test]
    fn the_user_refuses() {
        let mut server = alerting();
        server.refuse();
        assert_eq!(server.state(), &State::Refused);
    }

    // V1 x CANCEL, and a BYE in the early dialog, which is the same (RFC 3261 §15.1.2): 487 (seed C6).
    #[test]
    fn a_cancel_has_an_effect() {
        let mut server = alerting();
        assert!(server.cancel());
        assert_eq!(server.state(), &State::Cancelled);
    }

    // RFC 3261 §13.3.1: the invitation lapses: 487.
    #[test]
    fn the_invitation_lapses_when_it_expires() {
        let mut server = alerting();
        assert_eq!(wake(&mut server, 60_000), Action::Lapse);
        assert_eq!(server.state(), &State::Cancelled);
    }

    #[test]
    fn the_expiry_runs_from_the_invite() {
        let server = InviteServer::new(at(700), Some(Duration::from_secs(60)), Arc::default());
        assert_eq!(server.deadline(), Some(at(60_700)));
    }

    #[test]
    fn without_an_expiry_it_waits_for_no_timer() {
        assert_waits_for_no_timer(&InviteServer::new(at(0), None, Arc::default()));
    }

    // RFC 3261 §13.3.1.1: at every minute, from the last one that was said.
    #[test]
    fn a_1xx_is_said_again_every_minute_until_the_end() {
        let minute = Duration::from_secs(60);
        let mut server = InviteServer::new(at(0), Some(Duration::from_secs(200)), Arc::default());
        server.progress(at(100), minute);
        server.progress(at(300), minute);
        for ms in [60_300, 120_300, 180_300] {
            assert_eq!(wake(&mut server, ms), Action::Remind);
        }
        assert_eq!(wake(&mut server, 200_000), Action::Lapse);
        assert_waits_for_no_timer(&server);
    }

    #[test]
    fn a_decision_ends_the_reminders() {
        let mut server = InviteServer::new(at(0), None, Arc::default());
        server.progress(at(100), Duration::from_secs(60));
        server.refuse();
        server.progress(at(200), Duration::from_secs(60));
        assert_waits_for_no_timer(&server);
    }

    // There is no 2xx to acknowledge.
    #[test]
    fn an_ack_that_nothing_asked_for_is_ignored() {
        let mut server = alerting();
        assert_eq!(server.handle_ack(), Action::Nothing);
        assert_eq!(server, alerting());
    }

    // RFC 3261 §15: the invited side does not leave an early dialog: it refuses.
    #[test]
    fn it_cannot_be_left() {
        let mut server = alerting();
        server.leave();
        assert_eq!(server, alerting());
    }

    // There is no 2xx to stop: what ends an undecided invitation is the CANCEL or the answer.
    #[test]
    fn it_cannot_be_finished() {
        let mut server = alerting();
        server.finish();
        assert_eq!(server, alerting());
    }

    #[test]
    fn only_here_the_user_can_still_decide() {
        assert!(alerting().is_alerting());
        for server in [accepted(), leave_waiting(), confirmed(), refused(), cancelled(), finished()] {
            assert!(!server.is_alerting(), "{:?}", server.state());
        }
    }
}

mod accepted {
    use super::*;

    // V2 x CANCEL: 200 to the CANCEL, nothing else (RFC 3261 §9.2).
    #[test]
    fn a_cancel_has_no_effect() {
        let mut server = accepted();
        assert!(!server.cancel());
        assert_eq!(server, accepted());
    }

    // V2 x ACK.
    #[test]
    fn the_ack_establishes() {
        let mut server = accepted();
        assert_eq!(server.handle_ack(), Action::Establish);
        assert_eq!(server.state(), &State::Confirmed);
    }

    // V2 x BYE before ACK: ended; the 2xx is not sent again.
    #[test]
    fn a_bye_before_the_ack_finishes_it() {
        let mut server = accepted();
        server.finish();
        assert_eq!(server.state(), &State::Finished);
        assert_waits_for_no_timer(&server);
    }

    // RFC 3261 §15: no BYE before the ACK or the end of the transaction.
    #[test]
    fn the_user_who_leaves_waits_for_the_ack() {
        let mut server = accepted();
        server.leave();
        assert_eq!(server.state(), &State::LeaveWaiting(ack_wait(600, 500)));
    }

    // RFC 3261 §13.3.1.4.
    #[test]
    fn the_2xx_is_sent_again_after_t1() {
        let mut server = accepted();
        assert_eq!(wake(&mut server, 600), Action::Resend(ok()));
        assert_eq!(server.state(), &State::Accepted(ack_wait(1600, 1000)));
    }

    // V2 x no ACK within 64*T1: BYE, end.
    #[test]
    fn the_2xx_is_sent_again_up_to_t2_apart_until_64_t1_without_an_ack() {
        let mut server = accepted();
        assert_eq!(resending_times(&mut server), (RESENDING_TIMES.to_vec(), 32_100, Action::GiveUp));
        assert_eq!(server.state(), &State::Finished);
    }

    #[test]
    fn the_end_wins_over_a_retransmission_that_was_missed() {
        let mut server = accepted();
        assert_eq!(server.handle_timeout(at(32_100)), Action::GiveUp);
        assert_eq!(server.state(), &State::Finished);
    }

    #[test]
    fn the_values_of_the_timers_are_those_of_the_configuration() {
        let ims =
            Timers { t1: Duration::from_secs(2), t2: Duration::from_secs(16), t4: Duration::from_secs(17) };
        let mut server = InviteServer::new(at(0), None, ims.into());
        server.accept(at(100), ok());
        let times = vec![2100, 6100, 14_100, 30_100, 46_100, 62_100, 78_100, 94_100, 110_100, 126_100];
        assert_eq!(resending_times(&mut server), (times, 128_100, Action::GiveUp));
    }

    // The expiry is one for the answer: it ends with it.
    #[test]
    fn it_does_not_lapse() {
        let mut server = InviteServer::new(at(0), Some(Duration::from_millis(300)), Arc::default());
        server.accept(at(100), ok());
        assert_idle_at(&server, at(300));
    }

    // V1 x user accepts while CANCEL is being processed: the first final response wins.
    #[test]
    #[should_panic(expected = "one final response")]
    fn it_cannot_be_accepted_again() {
        accepted().accept(at(200), ok());
    }

    #[test]
    #[should_panic(expected = "one final response")]
    fn it_cannot_be_refused_any_more() {
        accepted().refuse();
    }

    #[test]
    fn only_here_and_while_leaving_the_ack_is_missing() {
        assert!(accepted().is_unacknowledged() && leave_waiting().is_unacknowledged());
        for server in [alerting(), confirmed(), refused(), cancelled(), finished()] {
            assert!(!server.is_unacknowledged(), "{:?}", server.state());
        }
    }
}

mod leave_waiting {
    use super::*;

    // RFC 3261 §15: the BYE leaves once the ACK is there.
    #[test]
    fn the_ack_lets_the_bye_leave() {
        let mut server = leave_waiting();
        assert_eq!(server.handle_ack(), Action::Leave);
        assert_eq!(server.state(), &State::Finished);
    }

    // V2 x CANCEL.
    #[test]
    fn a_cancel_has_no_effect() {
        let mut server = leave_waiting();
        assert!(!server.cancel());
        assert_eq!(server, leave_waiting());
    }

    // V2 x BYE before ACK: no BYE of our own leaves after it.
    #[test]
    fn a_bye_before_the_ack_finishes_it() {
        let mut server = leave_waiting();
        server.finish();
        assert_eq!(server.state(), &State::Finished);
        assert_eq!(server.handle_ack(), Action::Nothing);
    }

    #[test]
    fn leaving_again_changes_nothing() {
        let mut server = leave_waiting();
        server.leave();
        assert_eq!(server, leave_waiting());
    }

    // RFC 3261 §13.3.1.4: who leaves still needs the ACK.
    #[test]
    fn the_2xx_is_still_sent_again() {
        let mut server = leave_waiting();
        assert_eq!(wake(&mut server, 600), Action::Resend(ok()));
        assert_eq!(server.state(), &State::LeaveWaiting(ack_wait(1600, 1000)));
    }

    #[test]
    fn leaving_does_not_disturb_the_retransmissions() {
        let mut server = accepted();
        assert_eq!(wake(&mut server, 600), Action::Resend(ok()));
        server.leave();
        assert_eq!(server.state(), &State::LeaveWaiting(ack_wait(1600, 1000)));
    }

    // V2 x no ACK within 64*T1: the user asked for this BYE.
    #[test]
    fn without_an_ack_the_bye_leaves_after_64_t1() {
        let mut server = leave_waiting();
        assert_eq!(resending_times(&mut server), (RESENDING_TIMES.to_vec(), 32_100, Action::Leave));
        assert_eq!(server.state(), &State::Finished);
    }
}

/// What every state answers in which nothing is waited for.
fn assert_settled(fixture: fn() -> InviteServer) {
    let mut server = fixture();
    assert!(!server.cancel());
    assert_eq!(server.handle_ack(), Action::Nothing);
    server.leave();
    server.finish();
    assert_eq!(server, fixture());
    assert_waits_for_no_timer(&server);
}

mod confirmed {
    use super::*;

    // V3 x CANCEL: 200 to the CANCEL, no effect; an ACK again belongs to a 2xx sent again.
    #[test]
    fn nothing_has_an_effect_any_more() {
        assert_settled(confirmed);
    }

    #[test]
    #[should_panic(expected = "one final response")]
    fn it_cannot_be_refused_any_more() {
        confirmed().refuse();
    }
}

mod refused {
    use super::*;

    // V4 x CANCEL: 200 to the CANCEL, no effect.
    #[test]
    fn nothing_has_an_effect_any_more() {
        assert_settled(refused);
    }

    #[test]
    #[should_panic(expected = "one final response")]
    fn it_cannot_be_accepted_any_more() {
        refused().accept(at(200), ok());
    }
}

mod cancelled {
    use super::*;

    // V5 x CANCEL: 200 to the CANCEL, no second 487; V5 x ACK: it belongs to the transaction.
    #[test]
    fn nothing_has_an_effect_any_more() {
        assert_settled(cancelled);
    }

    // V1 x user accepts while CANCEL is being processed: the first final response wins.
    #[test]
    #[should_panic(expected = "one final response")]
    fn it_cannot_be_accepted_any_more() {
        cancelled().accept(at(200), ok());
    }
}

mod finished {
    use super::*;

    // V2 x BYE before ACK: the ACK that comes after it is absorbed.
    #[test]
    fn nothing_has_an_effect_any_more() {
        assert_settled(finished);
    }

    #[test]
    #[should_panic(expected = "one final response")]
    fn it_cannot_be_accepted_any_more() {
        finished().accept(at(200), ok());
    }
}

/// The state with what is left until each of its deadlines.
fn show(state: &State, now: Instant) -> String {
    let ack = |name: &str, AckWait { response: _, resend, give_up_at }: &AckWait| {
        format!("{name} {{ resend {}, give up {} }}", wait(now, resend.at), wait(now, *give_up_at))
    };
    match state {
        State::Alerting { expires_at, remind } => {
            assert_eq!(*remind, None, "nothing was said");
            let expires = expires_at.map_or_else(|| "never".to_owned(), |at| wait(now, at));
            format!("Alerting {{ expires {expires} }}")
        }
        State::Accepted(wait) => ack("Accepted", wait),
        State::LeaveWaiting(wait) => ack("LeaveWaiting", wait),
        State::Confirmed | State::Refused | State::Cancelled | State::Finished => format!("{state:?}"),
    }
}

fn told(action: Action) -> String {
    match action {
        Action::Nothing => "-".to_owned(),
        Action::Resend(response) => {
            assert_eq!(response, ok());
            "Resend 200".to_owned()
        }
        Action::Establish | Action::Leave | Action::GiveUp | Action::Lapse | Action::Remind => {
            format!("{action:?}")
        }
    }
}

// What the user decides twice is a broken invariant of the owner: left out here, seen above.
#[test]
fn every_state_by_every_event() {
    let mut text = String::new();
    type Fixture = fn() -> InviteServer;
    let fixtures: [(&str, Fixture); 7] = [
        ("Alerting", alerting),
        ("Accepted", accepted),
        ("LeaveWaiting", leave_waiting),
        ("Confirmed", confirmed),
        ("Refused", refused),
        ("Cancelled", cancelled),
        ("Finished", finished),
    ];
    let now = at(400);
    for (name, fixture) in fixtures {
        type Apply<'a> = &'a dyn Fn(&mut InviteServer) -> String;
        let mut try_event = |event: &str, now: Instant, apply: Apply<'_>| {
            let mut server = fixture();
            let output = apply(&mut server);
            text += &format!("{name} x {event} -> {}; {output}\n", show(server.state(), now));
        };
        let silently = |change: fn(&mut InviteServer)| {
            move |server: &mut InviteServer| {
                change(server);
                "-".to_owned()
            }
        };
        if fixture().is_alerting() {
            try_event("accept", now, &silently(|server| server.accept(at(400), ok())));
            try_event("refuse", now, &silently(InviteServer::refuse));
        }
        try_event("CANCEL", now, &|server| (if server.cancel() { "effect" } else { "no effect" }).to_owned());
        try_event("ACK", now, &|server| told(server.handle_ack()));
        try_event("BYE", now, &|server| {
            if !server.cancel() {
                server.finish();
            }
            "-".to_owned()
        });
        try_event("leave", now, &silently(InviteServer::leave));
        match fixture().deadline() {
            Some(when) => try_event("deadline", when, &|server| told(server.handle_timeout(when))),
            None => try_event("an hour", at(3_600_000), &|server| told(server.handle_timeout(at(3_600_000)))),
        }
        if fixture().is_unacknowledged() {
            try_event("64*T1", at(32_100), &|server| told(server.handle_timeout(at(32_100))));
        }
    }
    insta::assert_snapshot!(text);
}
