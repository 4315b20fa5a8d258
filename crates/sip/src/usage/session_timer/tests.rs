use super::super::fixture::at;
use super::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn read(lines: &str) -> Message {
    Message::parse(format!("SIP/2.0 200 OK\r\n{lines}\r\n").into()).unwrap()
}

fn terms(lines: &str) -> Terms {
    Terms::of(&read(lines))
}

fn agreement(seconds: u64, refresher: Refresher) -> Option<Agreement> {
    Some(Agreement { interval: secs(seconds), refresher })
}

#[test]
fn terms_are_read_in_full_and_compact_form() {
    let read = terms("x: 1800;refresher=UAS\r\nMin-SE: 120;x=y\r\nk: 100rel, timer\r\n");
    let expected = Terms {
        interval: Some(secs(1800)),
        refresher: Some(Refresher::Uas),
        min_se: Some(secs(120)),
        is_supported: true,
    };
    assert_eq!(read, expected);
    assert_eq!(terms(""), Terms::default());
    assert_eq!(terms("Session-Expires: 90;refresher=me\r\n").refresher, None);
}

#[test]
fn the_least_interval_is_read_from_a_422() {
    assert_eq!(min_se_of(&read("Min-SE: 240\r\n")), Some(secs(240)));
    assert_eq!((min_se_of(&read("")), min_se_of(&read("Min-SE: soon\r\n"))), (None, None));
}

/// §9: only who knows session timers is told 422.
#[test]
fn an_interval_below_the_least_is_too_small() {
    assert!(terms("Supported: timer\r\nSession-Expires: 89\r\n").is_too_small(FLOOR));
    assert!(!terms("Supported: timer\r\nSession-Expires: 90\r\n").is_too_small(FLOOR));
    assert!(!terms("Session-Expires: 89\r\n").is_too_small(FLOOR));
    assert!(!terms("Supported: timer\r\n").is_too_small(FLOOR));
}

/// §9, table 2.
#[test]
fn the_2xx_names_the_refresher_that_the_request_allows() {
    let answered = |lines: &str, own| terms(lines).answered(own);
    assert_eq!(answered("Session-Expires: 100\r\n", None), agreement(100, Refresher::Uas));
    let supported = "Supported: timer\r\nSession-Expires: 100";
    assert_eq!(answered(&format!("{supported}\r\n"), None), agreement(100, Refresher::Uac));
    assert_eq!(answered(&format!("{supported};refresher=uac\r\n"), None), agreement(100, Refresher::Uac));
    assert_eq!(answered(&format!("{supported};refresher=uas\r\n"), None), agreement(100, Refresher::Uas));
    // Nobody asks but the answering side.
    assert_eq!(answered("", Some(secs(600))), None);
    assert_eq!(answered("Supported: timer\r\n", None), None);
    assert_eq!(answered("Supported: timer\r\n", Some(secs(600))), agreement(600, Refresher::Uac));
    assert_eq!(
        answered("Supported: timer\r\nMin-SE: 700\r\n", Some(secs(600))),
        agreement(700, Refresher::Uac)
    );
}

/// §7.2.
#[test]
fn without_an_answer_the_timer_is_for_ourselves() {
    assert_eq!(terms("").agreed(Some(secs(600))), agreement(600, Refresher::Uac));
    assert_eq!(terms("").agreed(None), None);
    let answer = terms("Session-Expires: 300;refresher=uas\r\n");
    assert_eq!(answer.agreed(Some(secs(600))), agreement(300, Refresher::Uas));
    assert_eq!(answer.agreed(None), agreement(300, Refresher::Uas));
}

// The machines below begin at 0 with 180 s: half is 90 s, and BYE is due at 148 s.

fn refresher() -> SessionTimer {
    SessionTimer::new(at(0), secs(180), true)
}

/// Wakes the machine at its deadline, which must be `seconds`; just before there is nothing to do.
fn wake(timer: &mut SessionTimer, seconds: u64) -> Action {
    assert_eq!(timer.deadline(), at(seconds * 1000));
    assert_eq!(timer.handle_timeout(at(seconds * 1000 - 1)), Action::Nothing);
    timer.handle_timeout(at(seconds * 1000))
}

/// §10.
#[test]
fn the_refresher_refreshes_at_half_and_the_other_side_leaves_before_the_end() {
    let mut timer = refresher();
    assert_eq!(wake(&mut timer, 90), Action::Refresh);
    assert_eq!(timer.handle_timeout(at(90_000)), Action::Nothing, "once");
    assert_eq!(wake(&mut timer, 148), Action::Leave, "the refresh had no answer");
    assert_eq!(wake(&mut SessionTimer::new(at(0), secs(180), false), 148), Action::Leave);
    // A third of a short interval is less than 32 s.
    assert_eq!(wake(&mut SessionTimer::new(at(0), secs(90), false), 60), Action::Leave);
}

/// §10: a refused refresh is tried again, not continuously.
#[test]
fn a_refused_refresh_is_tried_once_more() {
    let mut timer = refresher();
    wake(&mut timer, 90);
    timer.handle_refusal(at(90_000));
    assert_eq!(wake(&mut timer, 119), Action::Refresh);
    timer.handle_refusal(at(119_000));
    timer.handle_refusal(at(119_000));
    assert_eq!(timer.state(), &State::Watching);
    assert_eq!(wake(&mut timer, 148), Action::Leave);
}

#[test]
fn a_refresh_that_must_wait_is_no_refusal() {
    let mut timer = refresher();
    timer.postpone(at(1000));
    assert_eq!(timer, refresher(), "none is due");
    let mut now = 90_000;
    while timer.handle_timeout(at(now)) == Action::Refresh {
        timer.postpone(at(now));
        now = u64::try_from(timer.deadline().since_start().as_millis()).unwrap() + 1;
    }
    assert!(now > 147_000, "{now}");
    assert_eq!(timer.handle_timeout(at(148_000)), Action::Leave);
}

/// §11.1: a peer does not make us refresh every second.
#[test]
fn an_interval_below_90_s_counts_as_90_s() {
    assert_eq!(wake(&mut SessionTimer::new(at(0), secs(1), true), 45), Action::Refresh);
    assert_eq!(wake(&mut SessionTimer::new(at(0), secs(0), false), 60), Action::Leave);
}
