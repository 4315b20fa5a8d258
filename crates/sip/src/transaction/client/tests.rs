use super::super::fixture::*;
use super::*;
use crate::time::Duration;

fn cancel() -> Message {
    message(&[
        "CANCEL sip:poc-factory@home1.example SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKinv77",
        "Max-Forwards: 70",
        "From: \"Anna\" <sip:anna@home1.example>;tag=a1",
        "To: <sip:poc-factory@home1.example>",
        "Call-ID: c-4711@192.0.2.10",
        "CSeq: 21 CANCEL",
        "Content-Length: 0",
        "",
        "",
    ])
}

fn response(status: u16) -> Message {
    message(&[
        &format!("SIP/2.0 {status} Whatever"),
        "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKinv77",
        "From: \"Anna\" <sip:anna@home1.example>;tag=a1",
        "To: <sip:poc-factory@home1.example>;tag=s9",
        "Call-ID: c-4711@192.0.2.10",
        "CSeq: 21 CANCEL",
        "Content-Length: 0",
        "",
        "",
    ])
}

// One fixture per state. Each starts at 0 ms; responses come 100 ms apart.

/// Started at 0 ms, its first copy taken from the outbox.
fn trying(path: Path) -> (Client, Outbox) {
    let mut out = Outbox::default();
    let client = Client::start(at(0), cancel(), path, timers(), &mut out);
    assert_eq!(sent(&mut out, path), [cancel().bytes()]);
    (client, out)
}

/// A 100 came at 100 ms.
fn proceeding(path: Path) -> (Client, Outbox) {
    let (mut client, out) = trying(path);
    assert_eq!(client.handle_response(at(100), &response(100)), Some(Output::Provisional));
    (client, out)
}

/// A 200 came at 200 ms.
fn completed() -> (Client, Outbox) {
    let (mut client, out) = proceeding(udp());
    assert_eq!(client.handle_response(at(200), &response(200)), Some(Output::Final));
    assert!(matches!(client.state(), State::Completed { .. }));
    (client, out)
}

/// The transport failed.
fn terminated(path: Path) -> (Client, Outbox) {
    let (mut client, out) = trying(path);
    assert_eq!(client.handle_transport_failure(), Some(Output::TransportFailed));
    (client, out)
}

mod trying {
    use super::*;

    #[test]
    fn the_request_leaves_at_once_on_the_path_it_was_given() {
        let (client, _) = trying(udp());
        assert!(matches!(client.state(), State::Trying { .. }));
        assert_eq!((client.path(), client.request()), (udp(), &cancel()));
    }

    // RFC 3261 §17.1.2.2: 500 ms, 1 s, 2 s, 4 s, 4 s, 4 s, etc., until timer F at 64*T1.
    #[test]
    fn timer_e_doubles_up_to_t2_until_timer_f() {
        let (mut client, mut out) = trying(udp());
        let times = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
        assert_eq!(sending_times(&mut client, &mut out), (times.to_vec(), 32_000));
        assert_eq!(client.state(), &State::Terminated);
    }

    /// T8, item 4: timer E from T1.
    #[test]
    fn a_cancel_that_is_lost_five_times_is_resent_after_half_a_second_one_two_four_and_four() {
        let (mut client, mut out) = trying(udp());
        for ms in [500, 1500, 3500, 7500, 11_500] {
            assert_eq!(wake(&mut client, ms, &mut out), None);
            assert_eq!(sent(&mut out, udp()), [cancel().bytes()]);
        }
        assert_eq!(client.handle_response(at(11_600), &response(200)), Some(Output::Final));
        assert_eq!(client.state(), &State::Completed { until: at(16_600) });
    }

    #[test]
    fn timer_e_sends_the_same_octets_again() {
        let (mut client, mut out) = trying(udp());
        assert_eq!(wake(&mut client, 500, &mut out), None);
        assert_eq!(sent(&mut out, udp()), [cancel().bytes()]);
        assert_eq!(client.deadline(), Some(at(1500)));
    }

    #[test]
    fn a_late_driver_gets_one_copy_and_no_burst() {
        let (mut client, mut out) = trying(udp());
        assert_eq!(client.handle_timeout(at(9000), &mut out), None);
        assert_eq!(sent(&mut out, udp()).len(), 1);
        assert_idle_at(&client, at(9000));
        assert_eq!(client.deadline(), Some(at(10_000)));
    }

    #[test]
    fn timer_e_is_capped_by_t2_even_if_t1_is_longer() {
        let long = Timers { t1: Duration::from_secs(5), ..Timers::default() };
        let mut out = Outbox::default();
        let mut client = Client::start(at(0), cancel(), udp(), long.into(), &mut out);
        assert_eq!(wake(&mut client, 5000, &mut out), None);
        assert_eq!(client.deadline(), Some(at(9000)));
    }

    #[test]
    fn on_a_reliable_transport_nothing_is_resent() {
        let (mut client, mut out) = trying(tcp());
        assert_eq!(sending_times(&mut client, &mut out), (vec![], 32_000));
    }

    #[test]
    fn timer_f_tells_the_user_and_ends_it() {
        for path in [udp(), tcp()] {
            let (mut client, mut out) = trying(path);
            assert_eq!(client.handle_timeout(at(32_000), &mut out), Some(Output::TimedOut));
            assert_eq!(client.state(), &State::Terminated);
            assert_silent(&mut out);
        }
    }

    #[test]
    fn timer_f_does_not_come_early() {
        let (mut client, mut out) = trying(tcp());
        assert_eq!(wake(&mut client, 32_000, &mut out), Some(Output::TimedOut));
    }

    #[test]
    fn a_1xx_goes_to_the_user_and_leaves_the_running_timers_alone() {
        let (mut client, _) = trying(udp());
        assert_eq!(client.handle_response(at(100), &response(199)), Some(Output::Provisional));
        let resend = Some(Resend { at: at(500), interval: Duration::from_millis(500) });
        assert_eq!(client.state(), &State::Proceeding { resend, give_up_at: at(32_000) });
    }

    // §17.1.2.2: timer K is T4.
    #[test]
    fn every_final_response_completes_it_for_t4() {
        for status in [200, 299, 302, 404, 481, 503, 600, 699] {
            let (mut client, mut out) = trying(udp());
            assert_eq!(client.handle_response(at(100), &response(status)), Some(Output::Final), "{status}");
            assert_eq!(client.state(), &State::Completed { until: at(5100) }, "{status}");
            assert_silent(&mut out);
        }
    }

    // §17.1.2.2: timer K is zero on reliable transports.
    #[test]
    fn on_a_reliable_transport_a_final_response_ends_it() {
        let (mut client, _) = trying(tcp());
        assert_eq!(client.handle_response(at(100), &response(200)), Some(Output::Final));
        assert_eq!(client.state(), &State::Terminated);
    }

    #[test]
    fn a_transport_failure_tells_the_user_and_ends_it() {
        for path in [udp(), tcp()] {
            let (mut client, _) = trying(path);
            assert_eq!(client.handle_transport_failure(), Some(Output::TransportFailed));
            assert_eq!(client.state(), &State::Terminated);
        }
    }

    #[test]
    fn a_request_is_no_response() {
        let (mut client, _) = trying(udp());
        let before = client.clone();
        assert_eq!(client.handle_response(at(100), &cancel()), None);
        assert_eq!(client, before);
    }
}

mod proceeding {
    use super::*;

    // §17.1.2.2: in Proceeding timer E is reset to T2.
    #[test]
    fn the_request_is_resent_once_when_timer_e_comes_and_then_every_t2() {
        let (mut client, mut out) = proceeding(udp());
        let times = [500, 4500, 8500, 12_500, 16_500, 20_500, 24_500, 28_500];
        assert_eq!(sending_times(&mut client, &mut out), (times.to_vec(), 32_000));
    }

    #[test]
    fn timer_e_sends_the_same_octets_again() {
        let (mut client, mut out) = proceeding(udp());
        assert_eq!(wake(&mut client, 500, &mut out), None);
        assert_eq!(sent(&mut out, udp()), [cancel().bytes()]);
    }

    #[test]
    fn on_a_reliable_transport_nothing_is_resent() {
        let (mut client, mut out) = proceeding(tcp());
        assert_eq!(sending_times(&mut client, &mut out), (vec![], 32_000));
    }

    #[test]
    fn timer_f_tells_the_user_and_ends_it() {
        for path in [udp(), tcp()] {
            let (mut client, mut out) = proceeding(path);
            assert_eq!(client.handle_timeout(at(32_000), &mut out), Some(Output::TimedOut));
            assert_eq!(client.state(), &State::Terminated);
            assert_silent(&mut out);
        }
    }

    #[test]
    fn a_further_1xx_goes_to_the_user_and_changes_nothing() {
        let (mut client, _) = proceeding(udp());
        let before = client.clone();
        assert_eq!(client.handle_response(at(200), &response(183)), Some(Output::Provisional));
        assert_eq!(client, before);
    }

    #[test]
    fn a_final_response_completes_it_for_t4() {
        let (mut client, _) = proceeding(udp());
        assert_eq!(client.handle_response(at(200), &response(481)), Some(Output::Final));
        assert_eq!(client.state(), &State::Completed { until: at(5200) });
    }

    #[test]
    fn on_a_reliable_transport_a_final_response_ends_it() {
        let (mut client, _) = proceeding(tcp());
        assert_eq!(client.handle_response(at(200), &response(481)), Some(Output::Final));
        assert_eq!(client.state(), &State::Terminated);
    }

    #[test]
    fn a_transport_failure_tells_the_user_and_ends_it() {
        for path in [udp(), tcp()] {
            let (mut client, _) = proceeding(path);
            assert_eq!(client.handle_transport_failure(), Some(Output::TransportFailed));
            assert_eq!(client.state(), &State::Terminated);
        }
    }
}

mod completed {
    use super::*;

    // §17.1.2.2: Completed buffers retransmissions of the response.
    #[test]
    fn every_further_response_is_swallowed() {
        for status in [100, 200, 481] {
            let (mut client, mut out) = completed();
            let before = client.clone();
            assert_eq!(client.handle_response(at(300), &response(status)), None, "{status}");
            assert_eq!(client, before, "{status}");
            assert_silent(&mut out);
        }
    }

    #[test]
    fn timer_k_ends_it_without_sending() {
        let (mut client, mut out) = completed();
        assert_eq!(wake(&mut client, 5200, &mut out), Some(Output::Terminated));
        assert_eq!(client.state(), &State::Terminated);
        assert_silent(&mut out);
    }

    #[test]
    fn a_transport_failure_is_no_news() {
        let (mut client, _) = completed();
        let before = client.clone();
        assert_eq!(client.handle_transport_failure(), None);
        assert_eq!(client, before);
    }
}

mod terminated {
    use super::*;

    #[test]
    fn it_waits_for_no_timer() {
        for path in [udp(), tcp()] {
            assert_waits_for_no_timer(&terminated(path).0);
        }
    }

    #[test]
    fn responses_and_transport_failures_are_ignored() {
        let (mut client, mut out) = terminated(udp());
        for status in [100, 200, 404] {
            assert_eq!(client.handle_response(at(300), &response(status)), None);
        }
        assert_eq!(client.handle_transport_failure(), None);
        assert_eq!(client.state(), &State::Terminated);
        assert_silent(&mut out);
    }
}

/// The state with what is left until each of its timers.
fn show(state: &State, now: Instant) -> String {
    match state {
        State::Trying { resend, give_up_at } => {
            format!("Trying {{ E {}, F {} }}", wait_resend(now, resend.as_ref()), wait(now, *give_up_at))
        }
        State::Proceeding { resend, give_up_at } => {
            format!("Proceeding {{ E {}, F {} }}", wait_resend(now, resend.as_ref()), wait(now, *give_up_at))
        }
        State::Completed { until } => format!("Completed {{ K {} }}", wait(now, *until)),
        State::Terminated => "Terminated".to_owned(),
    }
}

/// The timers that run, by their letters.
fn running(state: &State) -> Vec<(&'static str, Instant)> {
    match state {
        State::Trying { resend, give_up_at } | State::Proceeding { resend, give_up_at } => resend
            .map(|resend| ("timer E", resend.at))
            .into_iter()
            .chain([("timer F", *give_up_at)])
            .collect(),
        State::Completed { until } => vec![("timer K", *until)],
        State::Terminated => vec![("an hour without timer", at(3_600_000))],
    }
}

#[test]
fn every_state_by_every_event() {
    let mut text = String::new();
    let fixtures = [
        ("Trying", trying(udp())),
        ("Trying", trying(tcp())),
        ("Proceeding", proceeding(udp())),
        ("Proceeding", proceeding(tcp())),
        ("Completed", completed()),
        ("Terminated", terminated(udp())),
        ("Terminated", terminated(tcp())),
    ];
    for (name, (fixture, _)) in &fixtures {
        let mut try_event =
            |event: &str, now: Instant, apply: &dyn Fn(&mut Client, &mut Outbox) -> Option<Output>| {
                let (mut client, mut out) = (fixture.clone(), Outbox::default());
                let output = told(apply(&mut client, &mut out));
                text += &line(name, fixture.path(), event, &show(client.state(), now), &output, &mut out);
            };
        for status in [100, 183, 200, 302, 404, 481, 487, 503, 600] {
            try_event(&status.to_string(), at(400), &|client, _| {
                client.handle_response(at(400), &response(status))
            });
        }
        try_event("transport failure", at(400), &|client, _| client.handle_transport_failure());
        for (timer, when) in running(fixture.state()) {
            try_event(timer, when, &|client, out| client.handle_timeout(when, out));
        }
    }
    insta::assert_snapshot!(text);
}
