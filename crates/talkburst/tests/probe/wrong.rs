//! Each kind of judge knows a target that is wrong from one that is right.

use std::net::SocketAddr;
use std::time::Duration;

use crate::program::{Program, run};
use crate::sipping::own_address;
use crate::{Verdicts, callee, caller, proxy, stream};

/// T1 of the targets, and how long an answer is waited for: nothing here is slow.
const QUICK: [&str; 4] = ["--t1", "50ms", "--patience", "300ms"];

/// What comes of `case` on a target that is called.
fn called(flaw: callee::Flaw, case: &str) -> (String, Option<i32>) {
    called_at(&format!("sip:callee@{}", callee::start(flaw)), case)
}

fn called_at(uri: &str, case: &str) -> (String, Option<i32>) {
    let verdicts = Verdicts::of(&[&[uri, "--case", case], &QUICK[..]].concat());
    (verdicts.of[case].0.clone(), verdicts.code)
}

#[test]
fn a_target_that_is_called_fails_by_its_flaw_alone() {
    use callee::Flaw;
    for (flaw, case) in [
        (Flaw::NoFinal, "C49"),
        (Flaw::Busy, "C50"),
        (Flaw::Backwards, "I6"),
        (Flaw::AnotherTag, "S8"),
        (Flaw::TwoFinals, "I4"),
        (Flaw::Forgets, "C53"),
        (Flaw::SecondCall, "S6"),
        (Flaw::MatchesAll, "C52"),
        (Flaw::MatchesAll, "I7"),
        (Flaw::NoFinal, "C56"),
        (Flaw::NoFinal, "C09"),
        (Flaw::Obeys, "C16"),
    ] {
        if case != "C52" {
            assert_eq!(called(flaw, case), ("fail".to_owned(), Some(1)), "{flaw:?} {case}");
        }
        assert_eq!(called(Flaw::None, case), ("pass".to_owned(), Some(0)), "{case}");
    }
}

#[test]
fn a_487_that_is_not_sent_again_fails() {
    assert_eq!(called(callee::Flaw::None, "R6").0, "fail");
}

#[test]
fn a_session_that_a_late_cancel_ends_fails() {
    use callee::Flaw;
    assert_eq!(called(Flaw::Answers, "C46").0, "pass");
    assert_eq!(called(Flaw::EndsSession, "C46").0, "fail");
}

#[test]
fn a_target_that_does_nothing_or_something_else_is_not_judged() {
    use callee::Flaw;
    for (flaw, case) in [(Flaw::Mute, "C49"), (Flaw::Answers, "C49"), (Flaw::None, "C46")] {
        assert_eq!(called(flaw, case), ("inconclusive".to_owned(), Some(6)), "{flaw:?} {case}");
    }
}

/// What comes of `case` on a target that calls.
fn calling(flaw: caller::Flaw, case: &str) -> String {
    calling_by("udp", case, |_, at| caller::start(flaw, at, Duration::from_secs(2)))
}

/// The same over a transport; `call` is told what the probe asks for, and where it is.
fn calling_by(transport: &str, case: &str, call: impl FnOnce(String, SocketAddr)) -> String {
    let at = SocketAddr::from((own_address(), 5060));
    let (listen, patience) = (at.to_string(), format!("{}ms", caller::PATIENCE.as_millis()));
    let own = ["probe", "--by-hand", "--transport", transport, "--listen", &listen];
    let how = ["--gives-up-after", &patience, "--case", case];
    let mut program = Program::start(&[&own[..], &how, &QUICK].concat());
    let said = program.said_until("call sip:");
    call(said, at);
    Verdicts::after(program).of[case].0.clone()
}

#[test]
fn a_target_that_calls_fails_by_its_flaw_alone() {
    use caller::Flaw;
    for (flaw, case) in [
        (Flaw::AnotherBranch, "C04"),
        (Flaw::ToTag, "C01"),
        (Flaw::ToTag, "R9"),
        (Flaw::Early, "C24"),
        (Flaw::Waits, "C22"),
        (Flaw::Early, "S3"),
        (Flaw::Stays, "C36"),
        (Flaw::OldCSeq, "C42"),
        (Flaw::LeavesTwice, "C38"),
        (Flaw::Retries, "C08"),
        (Flaw::Retries, "C29"),
        (Flaw::NoAck, "S7"),
        (Flaw::Waits, "I1"),
    ] {
        assert_eq!(calling(flaw, case), "fail", "{flaw:?} {case}");
        assert_eq!(calling(Flaw::None, case), "pass", "{case}");
    }
    // It sends nothing twice.
    for case in ["S4", "S6", "C41"] {
        assert_eq!(calling(Flaw::None, case), "fail", "{case}");
    }
}

/// What comes of `case` on a target that is between.
fn between(flaw: proxy::Flaw, case: &str) -> String {
    let at = proxy::start(flaw).to_string();
    let verdicts = Verdicts::of(&[&["--through", &at, "--case", case], &QUICK[..]].concat());
    verdicts.of[case].0.clone()
}

#[test]
fn a_target_that_is_between_fails_by_its_flaw_alone() {
    use proxy::Flaw;
    for (flaw, case) in [
        (Flaw::AnotherBranch, "C05"),
        (Flaw::Early, "C24"),
        (Flaw::Swallows, "C36"),
        (Flaw::Waits, "C72"),
        (Flaw::GoesOnAgain, "C53"),
        (Flaw::NoReason, "C88"),
        (Flaw::Believes, "R7"),
    ] {
        assert_eq!(between(flaw, case), "fail", "{flaw:?} {case}");
        assert_eq!(between(Flaw::None, case), "pass", "{case}");
    }
    assert_eq!(between(Flaw::Mute, "C05"), "inconclusive");
}

#[test]
fn who_does_not_call_is_not_judged() {
    let (code, _, _) = run(&["probe", "--calls-with", "true", "--case", "C01"]);
    assert_eq!(code, Some(6));
}

/// What comes of `case` on a target that is called over TCP.
fn called_over_tcp(flaw: stream::Flaw, case: &str) -> String {
    called_at(&format!("sip:callee@{};transport=tcp", stream::called(flaw)), case).0
}

/// What comes of `case` on a target that calls over TCP.
fn calling_over_tcp(flaw: stream::Flaw, case: &str) -> String {
    calling_by("tcp", case, |said, at| {
        assert!(said.contains(";transport=tcp"), "{said}");
        stream::calls(flaw, at, Duration::from_secs(2));
    })
}

#[test]
fn a_target_on_connections_fails_by_its_flaw_alone() {
    use stream::Flaw;
    for (flaw, case) in [
        (Flaw::AnotherConnection, "C18"),
        (Flaw::Segments, "I14"),
        (Flaw::TwoFinals, "R28"),
        (Flaw::LostWithIt, "R30"),
    ] {
        assert_eq!(called_over_tcp(flaw, case), "fail", "{flaw:?} {case}");
        assert_eq!(called_over_tcp(Flaw::None, case), "pass", "{case}");
    }
    for (flaw, case) in [(Flaw::NewConnection, "C18"), (Flaw::Repeats, "R28"), (Flaw::Deaf, "R30")] {
        assert_eq!(calling_over_tcp(flaw, case), "fail", "{flaw:?} {case}");
        assert_eq!(calling_over_tcp(Flaw::None, case), "pass", "{case}");
    }
}

#[test]
fn a_target_that_does_not_listen_for_connections_is_not_judged() {
    let uri = format!("sip:callee@{};transport=tcp", callee::start(callee::Flaw::None));
    assert_eq!(called_at(&uri, "C49").0, "inconclusive");
}
