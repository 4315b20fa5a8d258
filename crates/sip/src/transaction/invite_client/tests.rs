mod cancel;

use super::super::fixture::*;
use super::*;

/// An INVITE with everything that the CANCEL and the ACK must copy, and much that they must not.
fn invite() -> Message {
    message(&[
        "INVITE sip:poc-factory@home1.example;transport=udp SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKinv77, SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKpc",
        "Via: SIP/2.0/TCP 10.0.0.2;branch=z9hG4bKsecond",
        "Max-Forwards: 69",
        "Route: <sip:pcscf1.home1.example:5060;lr>, <sip:orig@scscf1.home1.example;lr>",
        "Route: <sip:poc1.home1.example;lr>",
        "From: \"Anna\" <sip:anna@home1.example>;tag=a1",
        "To: <sip:poc-factory@home1.example>",
        "Call-ID: c-4711@192.0.2.10",
        "CSeq: 21 INVITE",
        "Contact: <sip:anna@192.0.2.10>;+g.poc.talkburst",
        "Authorization: Digest username=\"anna\", nonce=\"n1\"",
        "Proxy-Authorization: Digest username=\"anna\", nonce=\"n2\"",
        "Require: recipient-list-invite",
        "Proxy-Require: sec-agree",
        "Session-Expires: 1800",
        "P-Preferred-Identity: <sip:anna@home1.example>",
        "Content-Type: application/sdp",
        "Content-Length: 5",
        "",
        "v=0\r\n",
    ])
}

/// A response of the fork that has `tag`.
fn response_of(status: u16, tag: &str) -> Message {
    message(&[
        &format!("SIP/2.0 {status} Whatever"),
        "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKinv77, SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKpc",
        "Via: SIP/2.0/TCP 10.0.0.2;branch=z9hG4bKsecond",
        "From: \"Anna\" <sip:anna@home1.example>;tag=a1",
        &format!("To: \"PoC\" <sip:poc-factory@home1.example>;x=y;tag={tag}"),
        "Call-ID: c-4711@192.0.2.10",
        "CSeq: 21 INVITE",
        "Content-Length: 0",
        "",
        "",
    ])
}

fn response(status: u16) -> Message {
    response_of(status, "s9")
}

/// RFC 3261 §17.1.1.3: the ACK for a non-2xx of the fork that has `tag`, octet by octet.
fn ack_of(tag: &str) -> Bytes {
    let to = format!("To: \"PoC\" <sip:poc-factory@home1.example>;x=y;tag={tag}");
    let lines = [
        "ACK sip:poc-factory@home1.example;transport=udp SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKinv77",
        "Max-Forwards: 70",
        "Route: <sip:pcscf1.home1.example:5060;lr>, <sip:orig@scscf1.home1.example;lr>",
        "Route: <sip:poc1.home1.example;lr>",
        "From: \"Anna\" <sip:anna@home1.example>;tag=a1",
        &to,
        "Call-ID: c-4711@192.0.2.10",
        "CSeq: 21 ACK",
        "Content-Length: 0",
        "",
        "",
    ];
    Bytes::from(lines.join("\r\n"))
}

fn ack() -> Bytes {
    ack_of("s9")
}

// One fixture per state. Each starts at 0 ms; responses come 100 ms apart.

/// Started at 0 ms, its first copy taken from the outbox.
fn calling(path: Path) -> (InviteClient, Outbox) {
    let mut out = Outbox::default();
    let client = InviteClient::start(at(0), invite(), path, timers(), &mut out);
    assert_eq!(sent(&mut out, path), [invite().bytes()]);
    (client, out)
}

/// A 180 came at 100 ms.
fn proceeding(path: Path) -> (InviteClient, Outbox) {
    let (mut client, mut out) = calling(path);
    assert_eq!(client.handle_response(at(100), &response(180), &mut out), Some(Output::Provisional));
    assert_silent(&mut out);
    (client, out)
}

/// A 200 came at 200 ms.
fn accepted(path: Path) -> (InviteClient, Outbox) {
    let (mut client, mut out) = proceeding(path);
    assert_eq!(client.handle_response(at(200), &response(200), &mut out), Some(Output::Success));
    assert_silent(&mut out);
    (client, out)
}

/// A 487 came at 200 ms.
fn completed() -> (InviteClient, Outbox) {
    let (mut client, mut out) = proceeding(udp());
    assert_eq!(client.handle_response(at(200), &response(487), &mut out), Some(Output::Failure));
    assert_eq!(sent(&mut out, udp()), [ack()]);
    (client, out)
}

/// Given up at 200 ms.
fn abandoned(path: Path) -> (InviteClient, Outbox) {
    let (mut client, out) = proceeding(path);
    client.abandon(at(200));
    (client, out)
}

/// A 487 came at 200 ms on a reliable transport.
fn terminated() -> (InviteClient, Outbox) {
    let (mut client, mut out) = completed();
    assert_eq!(client.handle_timeout(at(32_200), &mut out), Some(Output::Terminated));
    (client, out)
}

mod calling {
    use super::*;

    #[test]
    fn the_invite_leaves_at_once_on_the_path_it_was_given() {
        let (client, _) = calling(tcp());
        assert!(matches!(client.state(), State::Calling { .. }));
        assert_eq!((client.path(), &*client.request()), (tcp(), &invite()));
    }

    // RFC 3261 §17.1.1.2: seven requests in 64*T1.
    #[test]
    fn timer_a_doubles_without_limit_until_timer_b() {
        let (mut client, mut out) = calling(udp());
        for ms in [500, 1500, 3500, 7500, 15_500, 31_500] {
            assert_eq!(wake(&mut client, ms, &mut out), None);
            assert_eq!(sent(&mut out, udp()), [invite().bytes()]);
        }
        assert_eq!(wake(&mut client, 32_000, &mut out), Some(Output::TimedOut));
        assert_silent(&mut out);
    }

    #[test]
    fn a_late_driver_gets_one_copy_and_no_burst() {
        let (mut client, mut out) = calling(udp());
        assert_eq!(client.handle_timeout(at(9000), &mut out), None);
        assert_eq!(sent(&mut out, udp()).len(), 1);
        assert_idle_at(&client, at(9000));
        assert_eq!(client.deadline(), Some(at(10_000)));
    }

    #[test]
    fn on_a_reliable_transport_nothing_is_resent_until_timer_b() {
        let (mut client, mut out) = calling(tcp());
        assert_eq!(wake(&mut client, 32_000, &mut out), Some(Output::TimedOut));
        assert_silent(&mut out);
    }

    // §17.1.1.2: no ACK for a timeout. What comes late must still find somebody.
    #[test]
    fn timer_b_tells_the_user_and_abandons_it_for_64_t1() {
        for path in [udp(), tcp()] {
            let (mut client, mut out) = calling(path);
            assert_eq!(client.handle_timeout(at(32_000), &mut out), Some(Output::TimedOut));
            assert_eq!(client.state(), &State::Abandoned { until: at(64_000) });
            assert_silent(&mut out);
        }
    }

    #[test]
    fn a_transport_failure_tells_the_user_and_abandons_it_for_64_t1() {
        for path in [udp(), tcp()] {
            let (mut client, _) = calling(path);
            assert_eq!(client.handle_transport_failure(at(100)), Some(Output::TransportFailed));
            assert_eq!(client.state(), &State::Abandoned { until: at(32_100) });
        }
    }

    // §17.1.1.2: in Proceeding the request is not retransmitted any longer. §9.1: 100 counts like every other 1xx.
    #[test]
    fn every_1xx_goes_to_the_user_and_stops_timers_a_and_b() {
        for path in [udp(), tcp()] {
            for status in [100, 180, 183, 199] {
                let (mut client, mut out) = calling(path);
                let told = client.handle_response(at(100), &response(status), &mut out);
                assert_eq!(
                    (told, client.state()),
                    (Some(Output::Provisional), &State::Proceeding),
                    "{status}"
                );
                assert_silent(&mut out);
            }
        }
    }

    #[test]
    fn a_1xx_reduces_the_request_to_what_the_ack_and_the_cancel_need() {
        let (client, _) = proceeding(udp());
        let kept = [
            "INVITE sip:poc-factory@home1.example;transport=udp SIP/2.0",
            "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKinv77, SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKpc",
            "Via: SIP/2.0/TCP 10.0.0.2;branch=z9hG4bKsecond",
            "Route: <sip:pcscf1.home1.example:5060;lr>, <sip:orig@scscf1.home1.example;lr>",
            "Route: <sip:poc1.home1.example;lr>",
            "From: \"Anna\" <sip:anna@home1.example>;tag=a1",
            "To: <sip:poc-factory@home1.example>",
            "Call-ID: c-4711@192.0.2.10",
            "CSeq: 21 INVITE",
            "Authorization: Digest username=\"anna\", nonce=\"n1\"", // §13.2.2.4: the ACK for a 2xx repeats them
            "Proxy-Authorization: Digest username=\"anna\", nonce=\"n2\"",
            "",
            "",
        ];
        assert_eq!(*client.request(), message(&kept));
    }

    // RFC 6026 §7.2: timer M for all transports; the user acknowledges.
    #[test]
    fn a_2xx_goes_to_the_user_unacknowledged_and_accepts_for_64_t1() {
        for path in [udp(), tcp()] {
            for status in [200, 202, 299] {
                let (mut client, mut out) = calling(path);
                assert_eq!(
                    client.handle_response(at(100), &response(status), &mut out),
                    Some(Output::Success)
                );
                assert_eq!(client.state(), &State::Accepted { until: at(32_100) });
                assert_silent(&mut out);
            }
        }
    }

    // §17.1.1.2; on every transport, so that the 2xx of a further fork still finds somebody.
    #[test]
    fn a_300_to_699_goes_to_the_user_and_is_acknowledged() {
        for (status, path) in
            [300, 302, 404, 487, 503, 600, 699].into_iter().zip([udp(), tcp()].into_iter().cycle())
        {
            let (mut client, mut out) = calling(path);
            assert_eq!(client.handle_response(at(100), &response(status), &mut out), Some(Output::Failure));
            assert_eq!(client.state(), &State::Completed { ack: ack(), until: at(32_100) }, "{status}");
            assert_eq!(sent(&mut out, path), [ack()]);
        }
    }

    #[test]
    fn timer_d_is_64_t1_if_t1_is_long() {
        let long = Timers { t1: Duration::from_secs(1), ..Timers::default() };
        let mut out = Outbox::default();
        let mut client = InviteClient::start(at(0), invite(), udp(), long.into(), &mut out);
        assert_eq!(client.handle_response(at(100), &response(487), &mut out), Some(Output::Failure));
        assert_eq!(client.deadline(), Some(at(64_100)));
    }

    // §9.1: giving up is for an INVITE whose CANCEL went out; that takes a provisional response.
    #[test]
    fn giving_up_waits_for_timer_b() {
        let (mut client, _) = calling(udp());
        let before = client.clone();
        client.abandon(at(100));
        assert_eq!(client, before);
    }

    #[test]
    fn a_request_is_no_response() {
        let (mut client, mut out) = calling(udp());
        let before = client.clone();
        assert_eq!(client.handle_response(at(100), &invite(), &mut out), None);
        assert_eq!(client, before);
        assert_silent(&mut out);
    }
}

mod proceeding {
    use super::*;

    #[test]
    fn it_waits_for_no_timer() {
        for path in [udp(), tcp()] {
            assert_waits_for_no_timer(&proceeding(path).0);
        }
    }

    // §17.1.1.2: any further provisional responses are passed up.
    #[test]
    fn a_further_1xx_goes_to_the_user_and_changes_nothing() {
        let (mut client, mut out) = proceeding(udp());
        let before = client.clone();
        assert_eq!(client.handle_response(at(200), &response(183), &mut out), Some(Output::Provisional));
        assert_eq!(client, before);
        assert_silent(&mut out);
    }

    #[test]
    fn a_2xx_goes_to_the_user_unacknowledged_and_accepts_for_64_t1() {
        for path in [udp(), tcp()] {
            let (mut client, mut out) = proceeding(path);
            assert_eq!(client.handle_response(at(200), &response(200), &mut out), Some(Output::Success));
            assert_eq!(client.state(), &State::Accepted { until: at(32_200) });
            assert_silent(&mut out);
        }
    }

    #[test]
    fn a_300_to_699_goes_to_the_user_and_is_acknowledged() {
        for status in [302, 404, 487, 600] {
            let (mut client, mut out) = proceeding(udp());
            assert_eq!(client.handle_response(at(200), &response(status), &mut out), Some(Output::Failure));
            assert_eq!(client.state(), &State::Completed { ack: ack(), until: at(32_200) });
            assert_eq!(sent(&mut out, udp()), [ack()]);
        }
    }

    // §18.2.2: the final response may come over another connection.
    #[test]
    fn a_transport_failure_is_no_news_since_the_invite_arrived() {
        for path in [udp(), tcp()] {
            let (mut client, _) = proceeding(path);
            let before = client.clone();
            assert_eq!(client.handle_transport_failure(at(200)), None);
            assert_eq!(client, before);
        }
    }

    // §9.1: without a final response the transaction is given up, 64*T1 after the CANCEL; the user decides when.
    #[test]
    fn giving_up_abandons_it_for_64_t1() {
        for path in [udp(), tcp()] {
            let (mut client, _) = proceeding(path);
            client.abandon(at(40_000));
            assert_eq!(client.state(), &State::Abandoned { until: at(72_000) });
        }
    }
}

mod accepted {
    use super::*;

    // RFC 6026 §7.2: resent ones and those of other forks alike.
    #[test]
    fn every_2xx_goes_to_the_user_and_does_not_prolong_it() {
        for path in [udp(), tcp()] {
            for tag in ["s9", "fork2"] {
                let (mut client, mut out) = accepted(path);
                let before = client.clone();
                let told = client.handle_response(at(700), &response_of(200, tag), &mut out);
                assert_eq!(told, Some(Output::Success));
                assert_eq!(client, before);
                assert_silent(&mut out);
            }
        }
    }

    #[test]
    fn every_other_response_is_swallowed() {
        for status in [100, 180, 302, 404, 487, 600] {
            let (mut client, mut out) = accepted(udp());
            let before = client.clone();
            assert_eq!(client.handle_response(at(300), &response(status), &mut out), None, "{status}");
            assert_eq!(client, before);
            assert_silent(&mut out);
        }
    }

    #[test]
    fn timer_m_ends_it_without_sending() {
        for path in [udp(), tcp()] {
            let (mut client, mut out) = accepted(path);
            assert_eq!(wake(&mut client, 32_200, &mut out), Some(Output::Terminated));
            assert_eq!(client.state(), &State::Terminated);
            assert_silent(&mut out);
        }
    }

    #[test]
    fn a_transport_failure_and_giving_up_change_nothing() {
        let (mut client, _) = accepted(udp());
        let before = client.clone();
        assert_eq!(client.handle_transport_failure(at(300)), None);
        client.abandon(at(300));
        assert_eq!(client, before);
    }
}

mod completed {
    use super::*;

    #[test]
    fn the_ack_has_one_via_the_to_of_the_response_and_every_route() {
        let (mut client, mut out) = calling(udp());
        client.handle_response(at(100), &response(404), &mut out);
        assert_eq!(sent(&mut out, udp()), [ack()]);
    }

    // §17.1.1.2: the ACK is passed to the transport again, the response is not passed up.
    #[test]
    fn a_repeated_487_is_acknowledged_again() {
        let (mut client, mut out) = completed();
        let before = client.clone();
        for ms in [700, 1700, 3700] {
            assert_eq!(client.handle_response(at(ms), &response(487), &mut out), None);
        }
        assert_eq!(sent(&mut out, udp()), [ack(), ack(), ack()]);
        assert_eq!(client, before);
    }

    #[test]
    fn every_copy_of_a_487_counts_until_timer_d_and_does_not_prolong_it() {
        let (mut client, mut out) = completed();
        assert_eq!(client.handle_response(at(32_199), &response(487), &mut out), None);
        assert_eq!(sent(&mut out, udp()), [ack()]);
        assert_eq!(client.deadline(), Some(at(32_200)));
    }

    #[test]
    fn a_1xx_is_swallowed() {
        for status in [100, 180] {
            let (mut client, mut out) = completed();
            let before = client.clone();
            assert_eq!(client.handle_response(at(300), &response(status), &mut out), None, "{status}");
            assert_eq!(client, before);
            assert_silent(&mut out);
        }
    }

    // §16.7 step 5: a proxy forwards the 2xx of a further fork even after a 487.
    #[test]
    fn a_2xx_goes_to_the_user_and_changes_nothing() {
        let (mut client, mut out) = completed();
        let before = client.clone();
        assert_eq!(client.handle_response(at(300), &response(200), &mut out), Some(Output::Success));
        assert_eq!(client, before);
        assert_silent(&mut out);
    }

    #[test]
    fn timer_d_ends_it_without_sending() {
        let (mut client, mut out) = completed();
        assert_eq!(wake(&mut client, 32_200, &mut out), Some(Output::Terminated));
        assert_eq!(client.state(), &State::Terminated);
        assert_silent(&mut out);
    }

    #[test]
    fn a_transport_failure_and_giving_up_change_nothing() {
        let (mut client, _) = completed();
        let before = client.clone();
        assert_eq!(client.handle_transport_failure(at(300)), None);
        client.abandon(at(300));
        assert_eq!(client, before);
    }
}

mod abandoned {
    use super::*;

    #[test]
    fn a_late_1xx_goes_to_the_user_and_changes_nothing() {
        let (mut client, mut out) = abandoned(udp());
        let before = client.clone();
        assert_eq!(client.handle_response(at(300), &response(180), &mut out), Some(Output::Provisional));
        assert_eq!(client, before);
        assert_silent(&mut out);
    }

    #[test]
    fn a_late_2xx_goes_to_the_user_and_its_copies_and_forks_for_another_64_t1() {
        for path in [udp(), tcp()] {
            let (mut client, mut out) = abandoned(path);
            for (ms, tag) in [(300, "s9"), (400, "s9"), (500, "fork2")] {
                let told = client.handle_response(at(ms), &response_of(200, tag), &mut out);
                assert_eq!(told, Some(Output::Success));
                assert_eq!(client.state(), &State::Accepted { until: at(32_300) });
                assert_silent(&mut out);
            }
        }
    }

    #[test]
    fn a_late_487_is_acknowledged_each_time() {
        for path in [udp(), tcp()] {
            let (mut client, mut out) = abandoned(path);
            let before = client.clone();
            for ms in [300, 800] {
                let told = client.handle_response(at(ms), &response(487), &mut out);
                assert_eq!(told, Some(Output::LateFailure));
            }
            assert_eq!(sent(&mut out, path), [ack(), ack()]);
            assert_eq!(client, before);
        }
    }

    #[test]
    fn it_ends_after_64_t1_without_sending() {
        for path in [udp(), tcp()] {
            let (mut client, mut out) = abandoned(path);
            assert_eq!(wake(&mut client, 32_200, &mut out), Some(Output::Terminated));
            assert_eq!(client.state(), &State::Terminated);
            assert_silent(&mut out);
        }
    }

    #[test]
    fn a_transport_failure_and_giving_up_again_change_nothing() {
        let (mut client, _) = abandoned(udp());
        let before = client.clone();
        assert_eq!(client.handle_transport_failure(at(300)), None);
        client.abandon(at(300));
        assert_eq!(client, before);
    }
}

mod terminated {
    use super::*;

    #[test]
    fn it_waits_for_no_timer() {
        assert_waits_for_no_timer(&terminated().0);
    }

    #[test]
    fn nothing_wakes_it_up() {
        let (mut client, mut out) = terminated();
        for status in [100, 200, 487] {
            assert_eq!(client.handle_response(at(300), &response(status), &mut out), None);
        }
        assert_eq!(client.handle_transport_failure(at(300)), None);
        client.abandon(at(300));
        assert_eq!(client.state(), &State::Terminated);
        assert_silent(&mut out);
    }
}

/// The state with what is left until each of its timers.
fn show(state: &State, now: Instant) -> String {
    match state {
        State::Calling { resend, give_up_at } => {
            format!("Calling {{ A {}, B {} }}", wait_resend(now, resend.as_ref()), wait(now, *give_up_at))
        }
        State::Proceeding => "Proceeding".to_owned(),
        State::Accepted { until } => format!("Accepted {{ M {} }}", wait(now, *until)),
        State::Completed { ack, until } => {
            assert_eq!(ack, &self::ack());
            format!("Completed {{ D {} }}", wait(now, *until))
        }
        State::Abandoned { until } => format!("Abandoned {{ gone {} }}", wait(now, *until)),
        State::Terminated => "Terminated".to_owned(),
    }
}

/// The timers that run, by their letters.
fn running(state: &State) -> Vec<(&'static str, Instant)> {
    match state {
        State::Calling { resend, give_up_at } => resend
            .map(|resend| ("timer A", resend.at))
            .into_iter()
            .chain([("timer B", *give_up_at)])
            .collect(),
        State::Accepted { until } => vec![("timer M", *until)],
        State::Completed { until, .. } => vec![("timer D", *until)],
        State::Abandoned { until } => vec![("64*T1", *until)],
        State::Proceeding | State::Terminated => vec![("an hour without timer", at(3_600_000))],
    }
}

#[test]
fn every_state_by_every_event() {
    let mut text = String::new();
    let fixtures = [
        ("Calling", calling(udp())),
        ("Calling", calling(tcp())),
        ("Proceeding", proceeding(udp())),
        ("Proceeding", proceeding(tcp())),
        ("Accepted", accepted(udp())),
        ("Accepted", accepted(tcp())),
        ("Completed", completed()),
        ("Abandoned", abandoned(udp())),
        ("Abandoned", abandoned(tcp())),
        ("Terminated", terminated()),
    ];
    for (name, (fixture, _)) in &fixtures {
        type Apply<'a> = &'a dyn Fn(&mut InviteClient, &mut Outbox) -> Option<Output>;
        let mut try_event = |event: &str, now: Instant, apply: Apply<'_>| {
            let (mut client, mut out) = (fixture.clone(), Outbox::default());
            let output = told(apply(&mut client, &mut out));
            text += &line(name, fixture.path(), event, &show(client.state(), now), &output, &mut out);
        };
        for status in [100, 180, 183, 200, 202, 302, 404, 487, 503, 600] {
            try_event(&status.to_string(), at(400), &|client, out| {
                client.handle_response(at(400), &response(status), out)
            });
        }
        try_event("transport failure", at(400), &|client, _| client.handle_transport_failure(at(400)));
        try_event("given up", at(400), &|client, _| {
            client.abandon(at(400));
            None
        });
        for (timer, when) in running(fixture.state()) {
            try_event(timer, when, &|client, out| client.handle_timeout(when, out));
        }
    }
    insta::assert_snapshot!(text);
}
