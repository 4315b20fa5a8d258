use super::*;

#[test]
fn a_key_asks_until_it_is_let_go() {
    let mut state = in_chat();
    assert!(!state.press(false), "nothing has changed");
    assert!(state.press(true));
    assert_eq!(state.own, Own::Asking);
    assert!(!state.press(true));
    assert!(state.press(false));
    assert_eq!(state.own, Own::Silent);
}

#[test]
fn who_is_granted_speaks_and_the_seconds_pass() {
    let mut state = in_chat();
    state.press(true);
    tell(&mut state, 10, Burst::Granted { seconds: Some(30) });
    let Own::Speaks { limit: Some(limit) } = state.own else { panic!("{:?}", state.own) };
    assert_eq!((limit.seconds(at(10)), limit.seconds(at(39)), limit.seconds(at(50))), (30, 1, 0));
    assert_eq!(limit.share(at(25)), 0.5);
    tell(&mut state, 34, Burst::Ending { seconds: 5 });
    let Own::Speaks { limit: Some(limit) } = state.own else { panic!("{:?}", state.own) };
    assert_eq!((limit.seconds(at(34)), limit.whole), (5, Duration::from_secs(30)), "of the same span");
    state.press(false);
    assert_eq!(state.own, Own::Silent);
}

#[test]
fn what_is_granted_to_nobodys_key_is_not_shown_as_spoken() {
    let mut state = in_chat();
    tell(&mut state, 10, Burst::Granted { seconds: Some(30) });
    assert!(state.press(false));
    assert_eq!(state.own, Own::Silent);
}

#[test]
fn a_place_in_the_queue_outlasts_a_request_that_no_key_made_but_not_a_key_that_is_let_go() {
    let mut state = in_chat();
    tell(&mut state, 10, Burst::Queued { position: Some(2) });
    state.press(false);
    assert_eq!(state.own, Own::Queued { place: Some(2) });
    state.press(true);
    assert_eq!(state.own, Own::Queued { place: Some(2) });
    state.press(false);
    assert_eq!(state.own, Own::Silent);
}

#[test]
fn a_place_is_asked_for_again_when_somebody_else_speaks_if_the_server_tells_places() {
    let mut state = in_chat();
    tell(&mut state, 10, Burst::Queued { position: None });
    tell(&mut state, 11, taken("sip:ben@example.com"));
    assert!(!state.take_question());
    tell(&mut state, 12, Burst::Queued { position: Some(2) });
    assert!(!state.take_question());
    tell(&mut state, 13, taken("sip:cara@example.com"));
    assert!(state.take_question());
    assert!(!state.take_question(), "once");
}

#[test]
fn whoever_is_not_granted_in_time_or_hears_that_it_is_free_waits_no_longer() {
    for burst in [taken("sip:ben@example.com"), Burst::Idle] {
        let mut state = in_chat();
        tell(&mut state, 10, Burst::Waits { seconds: 2.0 });
        assert_eq!(state.own, Own::Turn { until: at(12) });
        assert!(state.take_ring(), "there is little time");
        tell(&mut state, 12, burst);
        assert_eq!(state.own, Own::Silent);
    }
}

#[test]
fn every_refusal_has_a_reason_and_a_bell() {
    let refusals = [
        (denied(), "not now: somebody else speaks (Floor busy)", Own::Silent),
        (Burst::RequestTimedOut, "the server does not answer", Own::Silent),
        (Burst::Over, "time is over", Own::Silent),
        (revoked(0), "stop: too long, again in 0 s", Own::Silent),
        (
            Burst::Revoked { reason: "somebody more important speaks", seconds_to_retry: None },
            "stop: somebody more important speaks",
            Own::Silent,
        ),
    ];
    for (burst, reason, own) in refusals {
        let mut state = in_chat();
        state.press(true);
        tell(&mut state, 10, burst);
        let notice = state.notice.clone().unwrap();
        assert_eq!((notice.tone, notice.text.as_str()), (Tone::Bad, reason));
        assert_eq!(state.own, own);
        assert!(state.take_ring(), "{reason}");
        assert!(!state.take_ring(), "once");
    }
}

#[test]
fn the_bell_can_be_switched_off() {
    let mut state = in_chat();
    state.switch_bell();
    tell(&mut state, 10, denied());
    assert!(!state.take_ring());
    state.switch_bell();
    assert!(!state.take_ring(), "what was refused before is over");
}

#[test]
fn whoever_has_to_wait_sees_for_how_long() {
    let mut state = in_chat();
    state.press(true);
    tell(&mut state, 10, revoked(5));
    state.press(false);
    let Own::Barred { limit } = state.own else { panic!("{:?}", state.own) };
    assert_eq!(limit.seconds(at(12)), 3);
    state.press(true);
    tell(&mut state, 13, Burst::NotYet { seconds: 2 });
    state.press(false);
    let Own::Barred { limit } = state.own else { panic!("{:?}", state.own) };
    assert_eq!((limit.seconds(at(13)), limit.whole), (2, Duration::from_secs(5)), "of the same span");
    tell(&mut state, 15, Burst::MayAskAgain);
    assert_eq!((state.own, &state.notice), (Own::Silent, &None));
}

#[test]
fn time_alone_changes_the_screen_once_a_second_while_seconds_are_shown_and_else_never() {
    let mut state = in_chat();
    assert_eq!(state.poll_timeout(at(5)), None, "nothing happens");
    tell(&mut state, 5, taken("sip:ben@example.com"));
    assert_eq!(state.poll_timeout(at(5)), None, "how long others may speak is not known");
    state.press(true);
    tell(&mut state, 10, Burst::Granted { seconds: Some(30) });
    let late = Instant::at(Duration::from_millis(10_400));
    assert_eq!((state.poll_timeout(at(10)), state.poll_timeout(late)), (Some(at(11)), Some(at(11))));
    assert_eq!(state.poll_timeout(at(39)), Some(at(40)));
    let nearly = Instant::at(Duration::from_nanos(39_999_999_999));
    assert_eq!(state.poll_timeout(nearly), Some(at(40)), "and not at a moment that has passed");
    assert_eq!(state.poll_timeout(at(40)), None, "they have passed");
}

#[test]
fn a_notice_is_there_for_a_while() {
    let mut state = in_chat();
    tell(&mut state, 10, denied());
    let over = state.poll_timeout(at(10)).unwrap();
    state.handle_timeout(at(10));
    assert!(state.notice.is_some());
    state.handle_timeout(over);
    assert_eq!((&state.notice, state.poll_timeout(over)), (&None, None));
}

#[test]
fn how_a_session_ended_is_there_until_the_next_one() {
    let mut state = in_chat();
    tell(&mut state, 10, taken("sip:ben@example.com"));
    state.tell(at(20), &ended(End::Rejected));
    assert_eq!((state.place, state.speaker.is_none(), state.people.len()), (Place::Nowhere, true, 0));
    assert_eq!(state.poll_timeout(at(20)), None);
    assert_eq!(state.notice.as_ref().map(|notice| notice.tone), Some(Tone::Bad));
    state.tell(at(30), &invited());
    assert_eq!((state.place, state.notice.is_none()), (Place::Invited { asks: true }, true));
    assert!(state.take_ring(), "who is invited is called");
}

#[test]
fn between_two_it_is_known_who_takes_part() {
    let mut state = State::new(Purpose::Call, true);
    state.introduce("sip:anna@example.com");
    state.tell(at(0), &calling("sip:ben@example.com"));
    state.tell(at(1), &established(SessionType::OneToOne));
    let names: Vec<_> = state.people.iter().map(|person| person.who.name.as_str()).collect();
    assert_eq!(names, ["ben", "anna"]);
}

#[test]
fn who_speaks_has_the_name_that_is_known() {
    let mut state = in_chat();
    tell(&mut state, 10, taken("sip:ben@example.com"));
    assert_eq!(state.speaker.as_ref().map(|who| who.name.as_str()), Some("Ben B."));
    tell(&mut state, 11, Burst::EndOfSpeech);
    assert_eq!(state.speaker, None);
    tell(&mut state, 12, taken("sip:dan@example.com"));
    assert_eq!(state.speaker.as_ref().map(|who| who.name.as_str()), Some("dan"));
}

#[test]
fn what_happened_is_bounded() {
    let mut state = in_chat();
    for second in 0..1000 {
        tell(&mut state, second, Burst::Idle);
    }
    assert_eq!(state.lines.len(), 200);
}

#[test]
fn an_answer_for_somebody_else_is_said_to_be_one() {
    let mut state = in_chat();
    assert_eq!(state.notice, None);
    let Told::Established { session, focus, media, .. } = established(SessionType::OneToOne) else {
        panic!()
    };
    state.tell(at(2), &Told::Established { session, answer_state: "unconfirmed", focus, media });
    assert_eq!(state.notice.unwrap().text, "nobody has accepted yet: what is said is kept");
}

fn spoken(level: f32) -> Levels {
    Levels { spoken: Some(level), heard: None }
}

fn heard(level: f32) -> Levels {
    Levels { spoken: None, heard: Some(level) }
}

fn shown(state: &State) -> Option<(bool, i16)> {
    state.meter.map(|meter| (meter.is_own, meter.db()))
}

#[test]
fn a_level_is_that_of_whoever_speaks() {
    let mut state = in_chat();
    assert!(!state.measure(at(1), Levels { spoken: Some(-20.0), heard: Some(-30.0) }), "nobody speaks");
    tell(&mut state, 2, taken("sip:ben@example.com"));
    assert!(!state.measure(at(2), Levels::default()), "nothing has been measured");
    assert!(state.measure(at(2), Levels { spoken: Some(-20.0), heard: Some(-30.0) }));
    assert_eq!(shown(&state), Some((false, -30)));
    tell(&mut state, 3, Burst::Granted { seconds: Some(30) });
    assert!(state.measure(at(3), Levels { spoken: Some(-20.0), heard: Some(-30.0) }));
    assert_eq!(shown(&state), Some((true, -20)));
    state.press(false);
    assert!(state.measure(at(3), Levels { spoken: Some(-20.0), heard: Some(-30.0) }));
    assert_eq!(shown(&state), None);
}

#[test]
fn a_level_rises_at_once_and_falls_slowly_to_silence() {
    let mut state = in_chat();
    tell(&mut state, 1, taken("sip:ben@example.com"));
    state.measure(at(1), heard(-17.6));
    assert_eq!(shown(&state), Some((false, -18)));
    assert!(!state.measure(at(1), heard(-18.4)), "it would look the same");
    assert!(state.measure(at(2), heard(-59.0)));
    assert_eq!(shown(&state), Some((false, -48)));
    state.measure(at(2), heard(-3.0));
    assert_eq!(shown(&state), Some((false, -3)));
    state.measure(at(9), Levels::default());
    assert_eq!(shown(&state), Some((false, SILENCE_DB)), "silence within a talk burst");
}

#[test]
fn whatever_is_measured_is_within_bounds() {
    for (level, db) in [
        (f32::NEG_INFINITY, SILENCE_DB),
        (-1000.0, SILENCE_DB),
        (f32::NAN, SILENCE_DB),
        (f32::INFINITY, 0),
        (3.0, 0),
    ] {
        let mut state = in_chat();
        tell(&mut state, 1, Burst::Granted { seconds: None });
        assert!(state.measure(at(1), spoken(level)));
        assert_eq!(shown(&state), Some((true, db)), "{level}");
    }
}
