use super::super::fixture::*;
use super::*;

const TRYING: &str = "SIP/2.0 100 Trying\r\n\r\n";
const RINGING: &str = "SIP/2.0 180 Ringing\r\n\r\n";
const PROGRESS: &str = "SIP/2.0 183 Session Progress\r\n\r\n";
const OK: &str = "SIP/2.0 200 OK\r\n\r\n";
const MOVED: &str = "SIP/2.0 302 Moved Temporarily\r\n\r\n";
const REQUEST_TERMINATED: &str = "SIP/2.0 487 Request Terminated\r\n\r\n";

// One fixture per state. The INVITE comes at 0 ms; what follows comes 50 ms apart, so that the 100 stays ahead.

/// The user has said nothing, and no 100 has left.
fn silent(path: Path) -> (InviteServer, Outbox) {
    (InviteServer::start(at(0), path, timers(), bytes(TRYING)), Outbox::default())
}

/// The user was silent for 200 ms.
fn quenched(path: Path) -> (InviteServer, Outbox) {
    let (mut server, mut out) = silent(path);
    wake(&mut server, 200, &mut out);
    assert_eq!(sent(&mut out, path), [TRYING]);
    (server, out)
}

/// The user sent a 180 at 50 ms.
fn ringing(path: Path) -> (InviteServer, Outbox) {
    let (mut server, mut out) = silent(path);
    assert!(server.respond(at(50), 180, bytes(RINGING), &mut out));
    assert_eq!(sent(&mut out, path), [RINGING]);
    (server, out)
}

/// The user sent a 200 at 100 ms.
fn accepted(path: Path) -> (InviteServer, Outbox) {
    let (mut server, mut out) = ringing(path);
    assert!(server.respond(at(100), 200, bytes(OK), &mut out));
    assert_eq!(sent(&mut out, path), [OK]);
    (server, out)
}

/// The user sent a 487 at 100 ms.
fn completed(path: Path) -> (InviteServer, Outbox) {
    let (mut server, mut out) = ringing(path);
    assert!(server.respond(at(100), 487, bytes(REQUEST_TERMINATED), &mut out));
    assert_eq!(sent(&mut out, path), [REQUEST_TERMINATED]);
    (server, out)
}

/// The ACK for the 487 came at 150 ms.
fn confirmed() -> (InviteServer, Outbox) {
    let (mut server, out) = completed(udp());
    assert_eq!(server.handle_ack(at(150)), None);
    (server, out)
}

/// Timer L has run out.
fn absorbing() -> (InviteServer, Outbox) {
    let (mut server, mut out) = accepted(udp());
    server.handle_timeout(at(32_100), &mut out);
    (server, out)
}

/// The ACK for the 487 came at 150 ms on a reliable transport.
fn terminated() -> (InviteServer, Outbox) {
    let (mut server, out) = completed(tcp());
    assert_eq!(server.handle_ack(at(150)), None);
    (server, out)
}

mod proceeding {
    use super::*;

    // RFC 3261 §17.2.1: a 100 unless the user answers within 200 ms.
    #[test]
    fn a_100_leaves_after_200_ms_of_silence_and_only_once() {
        for path in [udp(), tcp()] {
            let (mut server, mut out) = silent(path);
            assert_eq!(sending_times(&mut server, &mut out), (vec![200], 200));
            assert_eq!(server.state(), &State::Proceeding { response: Some(bytes(TRYING)), trying: None });
        }
    }

    #[test]
    fn no_100_leaves_once_the_user_has_sent_a_1xx() {
        for path in [udp(), tcp()] {
            assert_waits_for_no_timer(&ringing(path).0);
        }
    }

    #[test]
    fn a_100_of_the_user_takes_the_place_of_the_own_one() {
        let (mut server, mut out) = silent(udp());
        assert!(server.respond(at(50), 100, bytes(TRYING), &mut out));
        assert_eq!(sent(&mut out, udp()), [TRYING]);
        assert_waits_for_no_timer(&server);
    }

    #[test]
    fn the_invite_again_while_the_user_is_silent_gets_the_100_early() {
        let (mut server, mut out) = silent(udp());
        server.handle_invite(&mut out);
        assert_eq!(sent(&mut out, udp()), [TRYING]);
        assert_waits_for_no_timer(&server);
    }

    #[test]
    fn the_invite_again_after_the_100_gets_the_100_again() {
        let (mut server, mut out) = quenched(udp());
        server.handle_invite(&mut out);
        assert_eq!(sent(&mut out, udp()), [TRYING]);
    }

    // §17.2.1: the most recent provisional response of the user.
    #[test]
    fn the_invite_again_gets_the_last_1xx_again_each_time() {
        for path in [udp(), tcp()] {
            let (mut server, mut out) = ringing(path);
            assert!(server.respond(at(100), 183, bytes(PROGRESS), &mut out));
            assert_eq!(sent(&mut out, path), [PROGRESS]);
            server.handle_invite(&mut out);
            server.handle_invite(&mut out);
            assert_eq!(sent(&mut out, path), [PROGRESS, PROGRESS]);
        }
    }

    #[test]
    fn a_180_of_the_user_takes_the_place_of_the_100_that_left() {
        let (mut server, mut out) = quenched(udp());
        assert!(server.respond(at(300), 180, bytes(RINGING), &mut out));
        server.handle_invite(&mut out);
        assert_eq!(sent(&mut out, udp()), [RINGING, RINGING]);
    }

    // §17.2.1: provisional responses are not retransmitted by the transaction.
    #[test]
    fn a_1xx_is_sent_once_and_not_repeated_by_any_timer() {
        let (mut server, mut out) = ringing(udp());
        assert!(server.respond(at(100), 183, bytes(PROGRESS), &mut out));
        assert_eq!(sent(&mut out, udp()), [PROGRESS]);
        assert_waits_for_no_timer(&server);
    }

    // RFC 6026 §7.1: a 2xx leads to Accepted, with timer L for all transports.
    #[test]
    fn a_2xx_is_sent_and_accepts_for_64_t1() {
        for path in [udp(), tcp()] {
            for status in [200, 202, 299] {
                let (mut server, mut out) = ringing(path);
                assert!(server.respond(at(100), status, bytes(OK), &mut out));
                assert_eq!(server.state(), &State::Accepted { until: at(32_100) });
                assert_eq!(sent(&mut out, path), [OK]);
            }
        }
    }

    #[test]
    fn a_2xx_of_a_user_who_was_silent_makes_the_100_superfluous() {
        let (mut server, mut out) = silent(udp());
        assert!(server.respond(at(100), 200, bytes(OK), &mut out));
        assert_eq!(sent(&mut out, udp()), [OK]);
        assert_eq!(sending_times(&mut server, &mut out), (vec![], 37_100));
    }

    // §17.2.1: timer G is T1 on an unreliable transport, timer H 64*T1.
    #[test]
    fn a_300_to_699_is_sent_and_completes() {
        for status in [300, 302, 404, 487, 503, 600, 699] {
            let (mut server, mut out) = ringing(udp());
            assert!(server.respond(at(100), status, bytes(REQUEST_TERMINATED), &mut out));
            let resend = Some(Resend { at: at(600), interval: Duration::from_millis(500) });
            let expected =
                State::Completed { response: bytes(REQUEST_TERMINATED), resend, give_up_at: at(32_100) };
            assert_eq!(server.state(), &expected, "{status}");
            assert_eq!(sent(&mut out, udp()), [REQUEST_TERMINATED]);
        }
    }

    #[test]
    fn on_a_reliable_transport_a_300_to_699_completes_without_timer_g() {
        let (mut server, mut out) = ringing(tcp());
        assert!(server.respond(at(100), 487, bytes(REQUEST_TERMINATED), &mut out));
        let expected =
            State::Completed { response: bytes(REQUEST_TERMINATED), resend: None, give_up_at: at(32_100) };
        assert_eq!(server.state(), &expected);
        assert_eq!(sent(&mut out, tcp()), [REQUEST_TERMINATED]);
    }

    #[test]
    fn a_487_of_a_user_who_was_silent_makes_the_100_superfluous() {
        let (mut server, mut out) = silent(udp());
        assert!(server.respond(at(0), 487, bytes(REQUEST_TERMINATED), &mut out));
        assert_eq!(sent(&mut out, udp()), [REQUEST_TERMINATED]);
        assert_idle_at(&server, at(200));
    }

    #[test]
    fn an_ack_that_nothing_asked_for_is_ignored() {
        let (mut server, _) = ringing(udp());
        let before = server.clone();
        assert_eq!(server.handle_ack(at(100)), None);
        assert_eq!(server, before);
    }

    // §9.2: a CANCEL has an effect only while no final response was given.
    #[test]
    fn only_here_a_cancel_still_has_an_effect() {
        for (fixture, undecided) in [
            (silent(udp()), true),
            (quenched(udp()), true),
            (ringing(udp()), true),
            (accepted(udp()), false),
            (completed(udp()), false),
            (confirmed(), false),
            (terminated(), false),
        ] {
            assert_eq!(fixture.0.is_undecided(), undecided, "{:?}", fixture.0.state());
        }
    }
}

mod accepted {
    use super::*;

    // RFC 6026 §7.1: retransmissions of the INVITE are absorbed.
    #[test]
    fn the_invite_again_is_absorbed() {
        for path in [udp(), tcp()] {
            let (mut server, mut out) = accepted(path);
            let before = server.clone();
            server.handle_invite(&mut out);
            assert_eq!(server, before);
            assert_silent(&mut out);
        }
    }

    // RFC 6026 §7.1: any retransmission of the 2xx passed from the user is passed on.
    #[test]
    fn a_2xx_of_the_user_is_sent_again_and_does_not_prolong_it() {
        for path in [udp(), tcp()] {
            let (mut server, mut out) = accepted(path);
            assert!(server.respond(at(600), 200, bytes(OK), &mut out));
            assert_eq!(sent(&mut out, path), [OK]);
            assert_eq!(server.state(), &State::Accepted { until: at(32_100) });
        }
    }

    #[test]
    fn every_other_response_of_the_user_is_refused() {
        for (status, text) in [(100, TRYING), (180, RINGING), (302, MOVED), (487, REQUEST_TERMINATED)] {
            let (mut server, mut out) = accepted(udp());
            let before = server.clone();
            assert!(!server.respond(at(200), status, bytes(text), &mut out), "{status}");
            assert_eq!(server, before);
            assert_silent(&mut out);
        }
    }

    // RFC 6026 §7.1: any ACK is passed to the user and not absorbed.
    #[test]
    fn every_ack_goes_to_the_user() {
        for path in [udp(), tcp()] {
            let (mut server, _) = accepted(path);
            let before = server.clone();
            assert_eq!(server.handle_ack(at(200)), Some(Output::Acknowledged));
            assert_eq!(server.handle_ack(at(300)), Some(Output::Acknowledged));
            assert_eq!(server, before);
        }
    }

    // RFC 6026 §7.1: the transaction never resends the 2xx on its own.
    #[test]
    fn nothing_is_resent_unasked_and_timer_l_ends_it() {
        for path in [udp(), tcp()] {
            let (mut server, mut out) = accepted(path);
            let end = if path == udp() { 37_100 } else { 32_100 };
            assert_eq!(sending_times(&mut server, &mut out), (vec![], end));
            assert_eq!(server.state(), &State::Terminated);
        }
    }
}

mod absorbing {
    use super::*;

    // Beyond RFC 6026: an INVITE that left before its sender's timer B is under way for T4 at most.
    #[test]
    fn a_late_copy_of_the_invite_does_not_ring_and_is_not_answered() {
        let (mut server, mut out) = absorbing();
        assert_eq!(server.state(), &State::Absorbing { until: at(37_100) });
        assert!(server.is_absorbing());
        server.handle_invite(&mut out);
        assert_eq!(server.handle_ack(at(33_000)), None);
        assert!(!server.respond(at(33_000), 200, bytes(OK), &mut out));
        assert_silent(&mut out);
    }

    #[test]
    fn it_lasts_for_t4() {
        let (mut server, mut out) = absorbing();
        wake(&mut server, 37_100, &mut out);
        assert_eq!(server.state(), &State::Terminated);
        assert_silent(&mut out);
    }
}

mod completed {
    use super::*;

    // §17.2.1: T1, then doubled, at most T2, until timer H.
    #[test]
    fn timer_g_doubles_up_to_t2_until_timer_h() {
        let (mut server, mut out) = completed(udp());
        let times = [600, 1600, 3600, 7600, 11_600, 15_600, 19_600, 23_600, 27_600, 31_600];
        assert_eq!(sending_times(&mut server, &mut out), (times.to_vec(), 37_100));
        assert_eq!(server.state(), &State::Terminated);
    }

    #[test]
    fn timer_g_sends_the_response_again() {
        let (mut server, mut out) = completed(udp());
        wake(&mut server, 600, &mut out);
        assert_eq!(sent(&mut out, udp()), [REQUEST_TERMINATED]);
    }

    #[test]
    fn on_a_reliable_transport_nothing_is_resent_and_timer_h_ends_it() {
        let (mut server, mut out) = completed(tcp());
        assert_eq!(sending_times(&mut server, &mut out), (vec![], 32_100));
        assert_eq!(server.state(), &State::Terminated);
    }

    #[test]
    fn timer_h_wins_over_a_timer_g_that_was_missed() {
        let (mut server, mut out) = completed(udp());
        server.handle_timeout(at(32_100), &mut out);
        assert_eq!(server.state(), &State::Absorbing { until: at(37_100) });
        assert_silent(&mut out);
    }

    #[test]
    fn the_invite_again_gets_the_response_again_and_leaves_the_timers_alone() {
        for path in [udp(), tcp()] {
            let (mut server, mut out) = completed(path);
            let before = server.clone();
            server.handle_invite(&mut out);
            assert_eq!(sent(&mut out, path), [REQUEST_TERMINATED]);
            assert_eq!(server, before);
        }
    }

    // §17.2.1: the first final response decides, also between the accepting user and the CANCEL.
    #[test]
    fn whatever_the_user_still_says_is_refused() {
        for (status, text) in [(180, RINGING), (200, OK), (302, MOVED), (487, REQUEST_TERMINATED)] {
            let (mut server, mut out) = completed(udp());
            let before = server.clone();
            assert!(!server.respond(at(200), status, bytes(text), &mut out), "{status}");
            assert_eq!(server, before);
            assert_silent(&mut out);
        }
    }

    // §17.2.1: timer I is T4.
    #[test]
    fn an_ack_confirms_for_t4_and_silences_timer_g() {
        let (mut server, mut out) = completed(udp());
        assert_eq!(server.handle_ack(at(150)), None);
        assert_eq!(server.state(), &State::Confirmed { until: at(5150) });
        assert_eq!(sending_times(&mut server, &mut out), (vec![], 5150));
    }

    // §17.2.1: timer I is zero on reliable transports.
    #[test]
    fn on_a_reliable_transport_an_ack_ends_it() {
        let (mut server, _) = completed(tcp());
        assert_eq!(server.handle_ack(at(150)), None);
        assert_eq!(server.state(), &State::Terminated);
    }
}

mod confirmed {
    use super::*;

    // §17.2.1: Confirmed absorbs any additional ACK.
    #[test]
    fn a_further_ack_is_absorbed_and_does_not_prolong_it() {
        let (mut server, mut out) = confirmed();
        assert_eq!(server.handle_ack(at(1000)), None);
        assert_eq!(server.state(), &State::Confirmed { until: at(5150) });
        assert_silent(&mut out);
    }

    #[test]
    fn a_late_copy_of_the_invite_is_absorbed() {
        let (mut server, mut out) = confirmed();
        let before = server.clone();
        server.handle_invite(&mut out);
        assert_eq!(server, before);
        assert_silent(&mut out);
    }

    #[test]
    fn whatever_the_user_still_says_is_refused() {
        for (status, text) in [(180, RINGING), (200, OK), (487, REQUEST_TERMINATED)] {
            let (mut server, mut out) = confirmed();
            assert!(!server.respond(at(200), status, bytes(text), &mut out), "{status}");
            assert_silent(&mut out);
        }
    }

    #[test]
    fn timer_i_ends_it_without_sending() {
        let (mut server, mut out) = confirmed();
        wake(&mut server, 5150, &mut out);
        assert_eq!(server.state(), &State::Terminated);
        assert_silent(&mut out);
    }
}

mod terminated {
    use super::*;

    #[test]
    fn it_waits_for_no_timer() {
        assert_waits_for_no_timer(&terminated().0);
    }

    #[test]
    fn it_neither_repeats_nor_sends_anything() {
        let (mut server, mut out) = terminated();
        server.handle_invite(&mut out);
        assert_eq!(server.handle_ack(at(200)), None);
        assert!(!server.respond(at(200), 200, bytes(OK), &mut out));
        assert_eq!(server.state(), &State::Terminated);
        assert_silent(&mut out);
    }
}

/// The state with the response it keeps and what is left until each of its timers.
fn show(state: &State, now: Instant) -> String {
    match state {
        State::Proceeding { response, trying } => {
            let kept = response.as_ref().map_or_else(|| "nothing".to_owned(), start_line);
            let trying = trying.as_ref().map_or_else(|| "never".to_owned(), |(_, at)| wait(now, *at));
            format!("Proceeding {{ keeps {kept}, 100 {trying} }}")
        }
        State::Accepted { until } => format!("Accepted {{ L {} }}", wait(now, *until)),
        State::Completed { response, resend, give_up_at } => {
            let (resend, give_up) = (wait_resend(now, resend.as_ref()), wait(now, *give_up_at));
            format!("Completed {{ keeps {}, G {resend}, H {give_up} }}", start_line(response))
        }
        State::Confirmed { until } => format!("Confirmed {{ I {} }}", wait(now, *until)),
        State::Absorbing { until } => format!("Absorbing {{ T4 {} }}", wait(now, *until)),
        State::Terminated => "Terminated".to_owned(),
    }
}

/// The timers that run, by their letters.
fn running(state: &State) -> Vec<(&'static str, Instant)> {
    match state {
        State::Proceeding { trying: Some((_, at)), .. } => vec![("200 ms", *at)],
        State::Accepted { until } => vec![("timer L", *until)],
        State::Completed { resend, give_up_at, .. } => resend
            .map(|resend| ("timer G", resend.at))
            .into_iter()
            .chain([("timer H", *give_up_at)])
            .collect(),
        State::Confirmed { until } => vec![("timer I", *until)],
        State::Absorbing { until } => vec![("T4", *until)],
        State::Proceeding { trying: None, .. } | State::Terminated => {
            vec![("an hour without timer", at(3_600_000))]
        }
    }
}

#[test]
fn every_state_by_every_event() {
    let mut text = String::new();
    let fixtures = [
        ("Proceeding (silent)", at(160), silent(udp())),
        ("Proceeding (silent)", at(160), silent(tcp())),
        ("Proceeding (100 left)", at(400), quenched(udp())),
        ("Proceeding (100 left)", at(400), quenched(tcp())),
        ("Proceeding (180)", at(400), ringing(udp())),
        ("Proceeding (180)", at(400), ringing(tcp())),
        ("Accepted", at(400), accepted(udp())),
        ("Accepted", at(400), accepted(tcp())),
        ("Completed", at(400), completed(udp())),
        ("Completed", at(400), completed(tcp())),
        ("Confirmed", at(400), confirmed()),
        ("Absorbing", at(32_300), absorbing()),
        ("Terminated", at(400), terminated()),
    ];
    for (name, now, (fixture, _)) in &fixtures {
        type Apply<'a> = &'a dyn Fn(&mut InviteServer, &mut Outbox) -> String;
        let mut try_event = |event: &str, now: Instant, apply: Apply<'_>| {
            let (mut server, mut out) = (fixture.clone(), Outbox::default());
            let output = apply(&mut server, &mut out);
            text += &line(name, fixture.path(), event, &show(server.state(), now), &output, &mut out);
        };
        try_event("INVITE again", *now, &|server, out| {
            server.handle_invite(out);
            told(None::<Output>)
        });
        try_event("ACK", *now, &|server, _| told(server.handle_ack(*now)));
        for (status, response) in [
            (100, TRYING),
            (180, RINGING),
            (183, PROGRESS),
            (200, OK),
            (302, MOVED),
            (487, REQUEST_TERMINATED),
        ] {
            try_event(&format!("{status} of the user"), *now, &|server, out| {
                let taken = server.respond(*now, status, bytes(response), out);
                (if taken { "taken" } else { "refused" }).to_owned()
            });
        }
        for (timer, when) in running(fixture.state()) {
            try_event(timer, when, &|server, out| {
                server.handle_timeout(when, out);
                told(None::<Output>)
            });
        }
    }
    insta::assert_snapshot!(text);
}
