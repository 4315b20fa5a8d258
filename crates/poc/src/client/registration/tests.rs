use std::fmt::Write;

use super::*;

const GUARD: Duration = Duration::from_secs(32);

fn at(seconds: u64) -> Instant {
    Instant::at(Duration::from_secs(seconds))
}

fn chance() -> Identifiers {
    Identifiers::new(sip::Owner::default(), [7; 32])
}

// One fixture per state. REGISTER leaves at 0 s; each step that follows comes a second later.

fn idle() -> RegistrationClient {
    RegistrationClient::new(Duration::from_secs(3600), GUARD)
}

fn registering() -> RegistrationClient {
    let mut client = idle();
    assert_eq!(client.register(), Ok(Action::Register { expires: 3600 }.into()));
    client
}

fn raised() -> RegistrationClient {
    let mut client = registering();
    assert_eq!(client.handle_too_brief(at(1), Some(7200)), Action::Register { expires: 7200 }.into());
    client
}

fn registered() -> RegistrationClient {
    let mut client = registering();
    let told = Told::Registered { expires: Duration::from_secs(3600) };
    assert_eq!(client.handle_success(at(1), 3600, &mut chance()), told.into());
    client
}

fn refreshing() -> RegistrationClient {
    let mut client = registered();
    assert_eq!(client.handle_timeout(at(3001)), Action::Register { expires: 3600 }.into());
    client
}

/// Nothing was ever bound.
fn waiting() -> RegistrationClient {
    let mut client = registering();
    client.handle_failure(at(1), Some(503), None, &mut chance());
    client
}

/// Nobody answered the refresh.
fn waiting_bound() -> RegistrationClient {
    let mut client = refreshing();
    client.handle_failure(at(3033), None, None, &mut chance());
    client
}

fn leave_waiting() -> RegistrationClient {
    let mut client = registering();
    assert_eq!(client.deregister(at(1)), NOTHING);
    client
}

fn leave_waiting_bound() -> RegistrationClient {
    let mut client = refreshing();
    assert_eq!(client.deregister(at(3002)), NOTHING);
    client
}

fn leaving() -> RegistrationClient {
    let mut client = registered();
    assert_eq!(client.deregister(at(2)), Action::Register { expires: 0 }.into());
    client
}

fn all() -> Vec<(&'static str, RegistrationClient, Instant)> {
    vec![
        ("Idle", idle(), at(2)),
        ("Registering", registering(), at(2)),
        ("Registering (raised)", raised(), at(2)),
        ("Registering (bound)", refreshing(), at(3003)),
        ("Registered", registered(), at(2)),
        ("Waiting", waiting(), at(2)),
        ("Waiting (bound)", waiting_bound(), at(3034)),
        ("LeaveWaiting", leave_waiting(), at(2)),
        ("LeaveWaiting (bound)", leave_waiting_bound(), at(3003)),
        ("Leaving", leaving(), at(3)),
    ]
}

type Input = fn(&mut RegistrationClient, Instant) -> Result<Step, Misuse>;

const INPUTS: [(&str, Input); 11] = [
    ("register", |client, _| client.register()),
    ("deregister", |client, now| Ok(client.deregister(now))),
    ("network change", |client, _| Ok(client.handle_network_change())),
    ("200", |client, now| Ok(client.handle_success(now, 1800, &mut chance()))),
    ("200 for no time", |client, now| Ok(client.handle_success(now, 0, &mut chance()))),
    ("423", |client, now| Ok(client.handle_too_brief(now, Some(10_000)))),
    ("403", |client, now| Ok(client.handle_refusal(now, 403))),
    ("503", |client, now| {
        Ok(client.handle_failure(now, Some(503), Some(Duration::from_secs(90)), &mut chance()))
    }),
    ("silence", |client, now| Ok(client.handle_failure(now, None, None, &mut chance()))),
    ("early", |client, now| Ok(client.handle_timeout(now))),
    ("deadline", |client, _| Ok(client.deadline().map_or(NOTHING, |at| client.handle_timeout(at)))),
];

#[test]
fn every_state_by_every_event() {
    let mut text = String::new();
    for (name, client, now) in all() {
        for (input, hand_in) in INPUTS {
            let mut after = client.clone();
            let step = match hand_in(&mut after, now) {
                Ok(Step { action, told }) => {
                    let told = told.map_or("-".to_owned(), |told| format!("{told:?}"));
                    format!("{action:?}; {told}")
                }
                Err(misuse) => format!("{misuse:?}"),
            };
            writeln!(text, "{name} x {input} -> {:?}; {step}", after.state).unwrap();
        }
    }
    insta::assert_snapshot!(text);
}

/// RFC 3261 §10.2: no new registration before the final response to the last one.
#[test]
fn one_register_is_out_at_most() {
    for (name, client, now) in all() {
        let is_out = matches!(
            client.state,
            State::Registering { .. } | State::LeaveWaiting { .. } | State::Leaving { .. }
        );
        for (input, hand_in) in
            INPUTS.into_iter().filter(|(input, _)| matches!(*input, "register" | "deregister" | "deadline"))
        {
            let mut after = client.clone();
            let asks = hand_in(&mut after, now).is_ok_and(|step| step.action != Action::Nothing);
            assert!(!(is_out && asks), "{name} x {input}");
        }
    }
}

#[test]
fn a_registration_is_refreshed_ten_minutes_before_its_end_or_at_half_of_it() {
    let refresh_at = |granted| {
        let mut client = registering();
        client.handle_success(at(0), granted, &mut chance());
        client.deadline()
    };
    assert_eq!(refresh_at(3600), Some(at(3000)));
    assert_eq!(refresh_at(1200), Some(at(600)));
    assert_eq!(refresh_at(60), Some(at(30)));
    // A peer must not set our pace.
    assert_eq!(refresh_at(1), Some(at(10)));
    assert_eq!(refresh_at(u32::MAX), Some(at(u64::from(EXPIRES_MAX) - 600)));
}

#[test]
fn a_423_is_answered_once_and_only_if_it_wants_more() {
    for least in [None, Some(0), Some(3600), Some(EXPIRES_MAX + 1), Some(u32::MAX)] {
        let mut client = registering();
        let failed = Told::Failed { status: Some(423), retry_in: None };
        assert_eq!(client.handle_too_brief(at(1), least), failed.into(), "{least:?}");
    }
    let mut client = raised();
    let failed = Told::Failed { status: Some(423), retry_in: None };
    assert_eq!(client.handle_too_brief(at(2), Some(8000)), failed.into());
}

#[test]
fn each_failure_in_a_row_makes_the_wait_longer_and_a_success_makes_it_short_again() {
    let mut client = registering();
    let mut chance = chance();
    let mut now = at(0);
    let mut waits = Vec::new();
    for _ in 0..10 {
        client.handle_failure(now, Some(500), None, &mut chance);
        let retry_at = client.deadline().unwrap();
        waits.push((retry_at - now).as_secs());
        now = retry_at;
        assert_eq!(client.handle_timeout(now).action, Action::Register { expires: 3600 });
    }
    assert!(waits[0] <= 60 && waits[4] > 450 && waits.iter().all(|wait| *wait <= 1800), "{waits:?}");
    client.handle_success(now, 60, &mut chance);
    now = client.deadline().unwrap();
    client.handle_timeout(now);
    client.handle_failure(now, Some(500), None, &mut chance);
    assert!(client.deadline().unwrap() - now <= Duration::from_secs(60));
}

#[test]
fn an_end_that_nobody_answers_is_given_up() {
    for mut client in [leave_waiting(), leave_waiting_bound(), leaving()] {
        let at = client.deadline().unwrap();
        assert_eq!(client.handle_timeout(at), Told::Deregistered { status: None }.into());
        assert!(client.is_idle());
    }
}

#[test]
fn a_registration_whose_answer_was_lost_is_removed_all_the_same() {
    let mut client = registering();
    client.handle_failure(at(32), None, None, &mut chance());
    assert_eq!(client.deregister(at(33)), Action::Register { expires: 0 }.into());
    // One that was refused is not there.
    let mut client = waiting();
    assert_eq!(client.deregister(at(33)), Told::Deregistered { status: None }.into());
}
