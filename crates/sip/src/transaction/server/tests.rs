use super::super::fixture::*;
use super::*;

const TRYING: &str = "SIP/2.0 100 Trying\r\n\r\n";
const PROGRESS: &str = "SIP/2.0 183 Session Progress\r\n\r\n";
const OK: &str = "SIP/2.0 200 OK\r\n\r\n";
const NOT_FOUND: &str = "SIP/2.0 404 Not Found\r\n\r\n";

// One fixture per state. The request comes at 0 ms; the user answers 100 ms apart.

/// The user has said nothing.
fn trying(path: Path) -> (Server, Outbox) {
    (Server::start(path, timers()), Outbox::default())
}

/// The user sent a 100 at 100 ms.
fn proceeding(path: Path) -> (Server, Outbox) {
    let (mut server, mut out) = trying(path);
    server.respond(at(100), 100, bytes(TRYING), &mut out);
    assert_eq!(sent(&mut out, path), [TRYING]);
    (server, out)
}

/// The user sent a 200 at 200 ms.
fn completed() -> (Server, Outbox) {
    let (mut server, mut out) = proceeding(udp());
    server.respond(at(200), 200, bytes(OK), &mut out);
    assert_eq!(sent(&mut out, udp()), [OK]);
    (server, out)
}

/// The user sent a 200 on a reliable transport.
fn terminated() -> (Server, Outbox) {
    let (mut server, mut out) = proceeding(tcp());
    server.respond(at(200), 200, bytes(OK), &mut out);
    assert_eq!(sent(&mut out, tcp()), [OK]);
    (server, out)
}

mod trying {
    use super::*;

    // RFC 3261 §17.2.2: in Trying request retransmissions are discarded.
    #[test]
    fn the_request_again_is_discarded() {
        let (mut server, mut out) = trying(udp());
        server.handle_request(&mut out);
        assert_eq!(server.state(), &State::Trying);
        assert_silent(&mut out);
    }

    #[test]
    fn a_1xx_of_the_user_is_sent_and_kept() {
        for path in [udp(), tcp()] {
            let (mut server, mut out) = trying(path);
            server.respond(at(100), 183, bytes(PROGRESS), &mut out);
            assert_eq!(server.state(), &State::Proceeding { response: bytes(PROGRESS) });
            assert_eq!(sent(&mut out, path), [PROGRESS]);
        }
    }

    // §17.2.2: timer J is 64*T1.
    #[test]
    fn a_final_response_is_sent_and_kept_for_64_t1() {
        for (status, text) in [(200, OK), (404, NOT_FOUND)] {
            let (mut server, mut out) = trying(udp());
            server.respond(at(100), status, bytes(text), &mut out);
            assert_eq!(server.state(), &State::Completed { response: bytes(text), until: at(32_100) });
            assert_eq!(sent(&mut out, udp()), [text]);
        }
    }

    // §17.2.2: timer J is zero on reliable transports.
    #[test]
    fn on_a_reliable_transport_a_final_response_ends_it() {
        let (mut server, mut out) = trying(tcp());
        server.respond(at(100), 404, bytes(NOT_FOUND), &mut out);
        assert_eq!(server.state(), &State::Terminated);
        assert_eq!(sent(&mut out, tcp()), [NOT_FOUND]);
    }

    #[test]
    fn it_waits_for_no_timer() {
        for path in [udp(), tcp()] {
            assert_waits_for_no_timer(&trying(path).0);
        }
    }
}

mod proceeding {
    use super::*;

    #[test]
    fn the_request_again_gets_the_last_1xx_again() {
        for path in [udp(), tcp()] {
            let (mut server, mut out) = proceeding(path);
            server.respond(at(200), 183, bytes(PROGRESS), &mut out);
            assert_eq!(sent(&mut out, path), [PROGRESS]);
            server.handle_request(&mut out);
            assert_eq!(sent(&mut out, path), [PROGRESS]);
        }
    }

    #[test]
    fn a_further_1xx_of_the_user_is_sent_and_kept_instead() {
        let (mut server, mut out) = proceeding(udp());
        server.respond(at(200), 183, bytes(PROGRESS), &mut out);
        assert_eq!(server.state(), &State::Proceeding { response: bytes(PROGRESS) });
        assert_eq!(sent(&mut out, udp()), [PROGRESS]);
    }

    #[test]
    fn a_final_response_is_sent_and_kept_for_64_t1() {
        let (mut server, mut out) = proceeding(udp());
        server.respond(at(200), 404, bytes(NOT_FOUND), &mut out);
        assert_eq!(server.state(), &State::Completed { response: bytes(NOT_FOUND), until: at(32_200) });
        assert_eq!(sent(&mut out, udp()), [NOT_FOUND]);
    }

    #[test]
    fn on_a_reliable_transport_a_final_response_ends_it() {
        let (mut server, mut out) = proceeding(tcp());
        server.respond(at(200), 200, bytes(OK), &mut out);
        assert_eq!(server.state(), &State::Terminated);
        assert_eq!(sent(&mut out, tcp()), [OK]);
    }

    #[test]
    fn it_waits_for_no_timer() {
        for path in [udp(), tcp()] {
            assert_waits_for_no_timer(&proceeding(path).0);
        }
    }
}

mod completed {
    use super::*;

    #[test]
    fn the_request_again_gets_the_final_response_again_each_time() {
        let (mut server, mut out) = completed();
        let before = server.clone();
        for _ in 0..3 {
            server.handle_request(&mut out);
        }
        assert_eq!(sent(&mut out, udp()), [OK, OK, OK]);
        assert_eq!(server, before);
    }

    // §17.2.2: any other final responses passed by the user are discarded.
    #[test]
    fn whatever_the_user_still_says_is_discarded() {
        for (status, text) in [(100, TRYING), (200, OK), (404, NOT_FOUND)] {
            let (mut server, mut out) = completed();
            let before = server.clone();
            server.respond(at(300), status, bytes(text), &mut out);
            assert_eq!(server, before);
            assert_silent(&mut out);
        }
    }

    #[test]
    fn the_response_is_never_resent_unasked_and_timer_j_ends_it() {
        let (mut server, mut out) = completed();
        assert_eq!(sending_times(&mut server, &mut out), (vec![], 32_200));
        assert_eq!(server.state(), &State::Terminated);
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
        server.handle_request(&mut out);
        server.respond(at(300), 200, bytes(OK), &mut out);
        assert_eq!(server.state(), &State::Terminated);
        assert_silent(&mut out);
    }
}

/// The state with the response it keeps and what is left until timer J.
fn show(state: &State, now: Instant) -> String {
    match state {
        State::Trying => "Trying".to_owned(),
        State::Proceeding { response } => format!("Proceeding {{ keeps {} }}", start_line(response)),
        State::Completed { response, until } => {
            format!("Completed {{ keeps {}, J {} }}", start_line(response), wait(now, *until))
        }
        State::Terminated => "Terminated".to_owned(),
    }
}

#[test]
fn every_state_by_every_event() {
    let mut text = String::new();
    let fixtures = [
        ("Trying", udp(), trying(udp())),
        ("Trying", tcp(), trying(tcp())),
        ("Proceeding", udp(), proceeding(udp())),
        ("Proceeding", tcp(), proceeding(tcp())),
        ("Completed", udp(), completed()),
        ("Terminated", tcp(), terminated()),
    ];
    for (name, path, (fixture, _)) in &fixtures {
        let mut try_event = |event: &str, now: Instant, apply: &dyn Fn(&mut Server, &mut Outbox)| {
            let (mut server, mut out) = (fixture.clone(), Outbox::default());
            apply(&mut server, &mut out);
            text += &line(name, *path, event, &show(server.state(), now), "-", &mut out);
        };
        try_event("request again", at(400), &|server, out| server.handle_request(out));
        for (status, response) in [(100, TRYING), (183, PROGRESS), (200, OK), (404, NOT_FOUND)] {
            let event = format!("{status} of the user");
            try_event(&event, at(400), &|server, out| server.respond(at(400), status, bytes(response), out));
        }
        let (timer, when) = match fixture.state() {
            State::Completed { until, .. } => ("timer J", *until),
            State::Trying | State::Proceeding { .. } | State::Terminated => {
                ("an hour without timer", at(3_600_000))
            }
        };
        try_event(timer, when, &|server, _| server.handle_timeout(when));
    }
    insta::assert_snapshot!(text);
}
