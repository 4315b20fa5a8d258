//! Cancelling by way of servers: `docs/cancel.md`, cases 2, 3 and 12, C86, T23, and the second flow of digest 14.12.

use std::collections::BTreeMap;

use poc::answer_state::AnswerState;
use poc::server::{Function, OverrideBy, Side, User};
use poc::{AnswerMode, AnswerRequest, Event};
use sim::system::Terminal;
use sip::Duration;
use sip::usage::End;

use crate::homes::{Finished, Homes, answering};
use crate::moments::{MODES, MOMENTS, Moment};
use crate::stage::ms;

/// Anna invites Dan by way of both servers and gives up at `moment`.
fn tell(mut homes: Homes, mode: AnswerMode, moment: Moment) -> Finished {
    let session = homes.invites("anna", "dan");
    match (mode, moment) {
        (_, Moment::AtOnce) => {}
        (AnswerMode::Manual, Moment::OnProgress) => {
            homes.until_ringing("dan");
            homes.passes(ms(10)); // she hears it, unless that is what is lost
        }
        // Dan's client answers by itself: his server has the INVITE, and he has not.
        (AnswerMode::Automatic, Moment::OnProgress) => homes.passes(ms(7)),
        (AnswerMode::Manual, Moment::AfterTheAnswer) => {
            let rings = homes.until_ringing("dan");
            homes.passes(ms(3000));
            homes.accepts("dan", rings);
        }
        (AnswerMode::Automatic, Moment::AfterTheAnswer) => {
            homes.until_ringing("dan");
        }
    }
    homes.hangs_up("anna", session);
    homes.end()
}

fn assert_cancelled(finished: &Finished, what: &dyn std::fmt::Debug) {
    assert_eq!(finished.told("anna"), "cancelled", "{what:?}\n{}", finished.ladder);
    let dan = finished.told("dan");
    let is_known =
        ["nothing", "missed invitation", "ended", "the inviter did not confirm"].contains(&dan.as_str());
    assert!(is_known, "{what:?}: Dan was told {dan}\n{}", finished.ladder);
}

#[test]
fn a_cancel_goes_hop_by_hop_through_both_servers() {
    let finished = tell(Homes::of(AnswerMode::Manual), AnswerMode::Manual, Moment::OnProgress);
    assert_eq!([finished.told("anna"), finished.told("dan")], ["cancelled", "missed invitation"]);
    assert_eq!(finished.sent("anna"), ["INVITE", "ACK", "INVITE", "CANCEL", "ACK"]);
    assert_eq!(
        finished.sent("server1"),
        ["INVITE", "180 (INVITE)", "200 (CANCEL)", "487 (INVITE)", "CANCEL", "ACK"],
        "{}",
        finished.ladder
    );
    assert_eq!(
        finished.sent("server2"),
        ["INVITE", "180 (INVITE)", "200 (CANCEL)", "487 (INVITE)", "CANCEL", "ACK"]
    );
    assert_eq!(finished.sent("dan"), ["180 (INVITE)", "200 (CANCEL)", "487 (INVITE)"]);
    let (controlling, participating) = (finished.records("server1"), finished.records("server2"));
    for (records, function) in
        [(controlling, Function::Controlling), (participating, Function::Participating)]
    {
        let [record] = records[..] else { panic!("one record: {records:?}") };
        let told = (record.function, record.end, record.by, record.status);
        assert_eq!(told, (function, End::Cancelled, Side::Inviter, Some(487)));
    }
}

#[test]
fn a_ladder_of_six_parties_fits_into_120_columns() {
    let finished = tell(Homes::of(AnswerMode::Manual), AnswerMode::Manual, Moment::OnProgress);
    let widest = finished.ladder.lines().max_by_key(|line| line.chars().count()).unwrap_or_default();
    assert!(widest.chars().count() <= 120, "{widest}");
    let names = finished.ladder.lines().next().unwrap_or_default();
    assert!(names.split_whitespace().eq(["anna", "core1", "server1", "server2", "core2", "dan"]), "{names}");
}

#[test]
fn the_same_server_may_serve_both() {
    let terminals = || vec![Terminal::new("anna", 0), Terminal::new("dan", 0)];
    let finished = tell(Homes::with(terminals(), |_| {}), AnswerMode::Manual, Moment::OnProgress);
    assert_eq!([finished.told("anna"), finished.told("dan")], ["cancelled", "missed invitation"]);
    let functions: Vec<_> = finished.records("server1").iter().map(|record| record.function).collect();
    assert_eq!(functions.len(), 2, "one of each function: {functions:?}");
}

/// Tells the story once for each message that it has, without it.
fn tell_without_each(mode: AnswerMode, moment: Moment) -> u64 {
    let homes = Homes::of(mode);
    let whole = tell(homes.clone(), mode, moment);
    assert_cancelled(&whole, &(mode, moment));
    for lost in 1..=whole.messages {
        let mut homes = homes.clone();
        homes.loses(lost);
        assert_cancelled(&tell(homes, mode, moment), &(mode, moment, lost));
    }
    whole.messages
}

#[test]
fn whatever_message_is_lost_on_whatever_link_a_cancelled_call_ends_everywhere() {
    for mode in MODES {
        let told = MOMENTS.map(|moment| tell_without_each(mode, moment));
        assert!(told.iter().sum::<u64>() > 60, "{mode:?}: {told:?}");
    }
}

#[test]
fn whatever_two_messages_are_lost_a_call_that_is_cancelled_while_it_rings_ends_everywhere() {
    let (mode, moment) = (AnswerMode::Manual, Moment::OnProgress);
    let homes = Homes::of(mode);
    let whole = tell(homes.clone(), mode, moment).messages;
    for first in 1..=whole {
        let mut homes = homes.clone();
        homes.loses(first);
        let with_one = tell(homes.clone(), mode, moment).messages;
        for second in first + 1..=with_one {
            let mut homes = homes.clone();
            homes.loses(second);
            assert_cancelled(&tell(homes, mode, moment), &(first, second));
        }
    }
}

/// Case 2: Dan presses accept, and Anna gives up so much earlier or later.
fn both_press(dan_after_anna: i64) -> Finished {
    let mut homes = Homes::of(AnswerMode::Manual);
    let session = homes.invites("anna", "dan");
    let rings = homes.until_ringing("dan");
    homes.passes(ms(2000));
    let apart = ms(dan_after_anna.unsigned_abs());
    if dan_after_anna < 0 {
        homes.accepts("dan", rings);
        homes.passes(apart);
        homes.hangs_up("anna", session);
    } else {
        homes.hangs_up("anna", session);
        homes.passes(apart);
        homes.accepts("dan", rings);
    }
    homes.end()
}

#[test]
fn accept_and_cancel_within_ten_milliseconds_meet_at_every_hop_and_leave_nobody_connected() {
    let mut met: BTreeMap<&str, u64> = BTreeMap::new();
    for dan_after_anna in -10..=10 {
        let finished = both_press(dan_after_anna);
        let anna = finished.told("anna");
        // Whose session stood before she gave up has left it.
        let is_told = anna == "cancelled" || (dan_after_anna <= -7 && anna == "ended");
        assert!(is_told, "{dan_after_anna}: {anna}\n{}", finished.ladder);
        let dan = finished.told("dan");
        let is_late = dan_after_anna >= 7;
        assert_eq!(
            dan,
            if is_late { "missed invitation" } else { "ended" },
            "{dan_after_anna}\n{}",
            finished.ladder
        );
        for hop in [
            "crossing at a client",
            "crossing at a core",
            "crossing at Controlling",
            "crossing at Participating",
        ] {
            *met.entry(hop).or_default() += finished.met(hop);
        }
    }
    assert!(met.values().all(|times| *times > 0), "{met:?}");
}

/// Case 3.
#[test]
fn a_call_that_overrides_manual_answer_is_cancelled_at_any_millisecond() {
    let mut told = BTreeMap::new();
    for wait in 0..=30 {
        let mut homes = Homes::of(AnswerMode::Manual);
        let address = homes.system.address_of(homes.place("dan"));
        homes.system.put_user(1, User { override_by: OverrideBy::Anybody, ..User::new(address) });
        let session = homes.invites_so("anna", "dan", AnswerRequest::Override);
        homes.passes(ms(wait));
        homes.hangs_up("anna", session);
        let finished = homes.end();
        assert!(!finished.was_asked("dan"), "{wait}: his client answers by itself\n{}", finished.ladder);
        let both = [finished.told("anna"), finished.told("dan")];
        assert!(["cancelled", "ended"].contains(&both[0].as_str()), "{wait}: {both:?}\n{}", finished.ladder);
        assert!(["nothing", "ended"].contains(&both[1].as_str()), "{wait}: {both:?}\n{}", finished.ladder);
        *told.entry(both).or_insert(0) += 1;
    }
    assert_eq!(told.len(), 3, "nothing came to Dan, they crossed, and she left: {told:?}");
}

/// Digest 14.12, second flow: Anna's server has answered for Dan, whose client does not have the INVITE yet, and she gives
/// up. `lost`: one more message that is lost.
fn gives_up_after_an_early_answer(homes: &Homes, lost: Option<u64>) -> Finished {
    let mut homes = homes.clone();
    homes.loses_of("core2", "INVITE", 2); // the first is for the server
    if let Some(lost) = lost {
        homes.loses(lost);
    }
    let session = homes.invites("anna", "dan");
    homes.until_established("anna");
    homes.hangs_up("anna", session);
    homes.end()
}

#[test]
fn whatever_message_is_lost_a_call_that_is_given_up_after_an_early_answer_ends_everywhere() {
    let terminals = vec![Terminal::new("anna", 0), answering("dan", 1, AnswerMode::Automatic)];
    let homes = Homes::with(terminals, |setup| setup.early_answer = true);
    let whole = gives_up_after_an_early_answer(&homes, None);
    assert_eq!(whole.met("inviter: unconfirmed, and left"), 1, "{}", whole.ladder);
    let mut unconfirmed = 0;
    for lost in 1..=whole.messages {
        let finished = gives_up_after_an_early_answer(&homes, Some(lost));
        assert_eq!(finished.told("anna"), "ended", "without {lost}\n{}", finished.ladder);
        let dan = finished.told("dan");
        assert!(
            ["nothing", "missed invitation", "ended"].contains(&dan.as_str()),
            "{dan}\n{}",
            finished.ladder
        );
        unconfirmed += finished.met("inviter: unconfirmed, and left");
        let [record] = finished.records("server1")[..] else { panic!("one record\n{}", finished.ladder) };
        assert_eq!((record.by, record.status), (Side::Inviter, Some(200)), "{record:?}");
    }
    assert!(unconfirmed > whole.messages / 2, "most were given up before Dan had answered");
}

#[test]
fn who_hears_an_early_answer_hears_no_second_one() {
    let terminals = vec![Terminal::new("anna", 0), answering("dan", 1, AnswerMode::Automatic)];
    let mut homes = Homes::with(terminals, |setup| setup.early_answer = true);
    let session = homes.invites("anna", "dan");
    let told = homes.until("anna", |event| matches!(event, Event::Established { .. }));
    let Event::Established { answer_state, .. } = told else { unreachable!("waited for") };
    assert_eq!(answer_state, AnswerState::Unconfirmed);
    homes.until_established("dan");
    homes.hangs_up("anna", session);
    let finished = homes.end();
    assert_eq!([finished.told("anna"), finished.told("dan")], ["ended", "ended"]);
}

/// C86.
#[test]
fn an_inviter_that_dies_while_it_rings_leaves_nobody_ringing_beyond_the_set_up_limit() {
    let terminals = vec![Terminal::new("anna", 0), Terminal::new("dan", 1)];
    let mut homes = Homes::with(terminals, |setup| setup.set_up_limit = Duration::from_secs(20));
    homes.invites("anna", "dan");
    homes.until_ringing("dan");
    homes.system.die(homes.place("anna"));
    let finished = homes.end();
    let outcome = finished.outcome_of("dan").expect("it rang");
    assert_eq!(outcome.to_string(), "missed invitation");
    assert_eq!(outcome.reason_cause(b"SIP").as_deref(), Some(&b"408"[..]));
    let rang = outcome.timing.ended - outcome.timing.begun;
    assert!(rang > ms(19_900) && rang < ms(20_300), "{rang:?}");
}

/// T23.
fn two_terminals() -> Homes {
    Homes::with(vec![Terminal::new("anna", 0), Terminal::new("dan", 1), Terminal::new("dan", 1)], |_| {})
}

#[test]
fn of_two_terminals_that_ring_one_answers_and_the_other_is_told_so() {
    let mut homes = two_terminals();
    let session = homes.invites("anna", "dan");
    let rings = homes.until_ringing("dan");
    homes.passes(ms(1000));
    homes.accepts("dan", rings);
    homes.until_established("anna");
    homes.passes(ms(1000));
    homes.hangs_up("anna", session);
    let finished = homes.end();
    let told = ["anna", "dan", "dan2"].map(|name| finished.told(name));
    assert_eq!(told, ["ended", "ended", "answered elsewhere"]);
}

#[test]
fn a_cancel_reaches_both_terminals_whatever_message_is_lost() {
    let tell = |lost: Option<u64>| {
        let mut homes = two_terminals();
        if let Some(lost) = lost {
            homes.loses(lost);
        }
        let session = homes.invites("anna", "dan");
        homes.until_ringing("dan");
        homes.passes(ms(700)); // an INVITE that was lost has been sent again
        homes.hangs_up("anna", session);
        homes.end()
    };
    let whole = tell(None);
    for lost in [None].into_iter().chain((1..=whole.messages).map(Some)) {
        let finished = tell(lost);
        let told = ["anna", "dan", "dan2"].map(|name| finished.told(name));
        assert_eq!(
            told,
            ["cancelled", "missed invitation", "missed invitation"],
            "{lost:?}\n{}",
            finished.ladder
        );
    }
}

#[test]
fn two_terminals_that_answer_in_the_same_milliseconds_make_one_session() {
    for apart in 0..=10 {
        let mut homes = two_terminals();
        let session = homes.invites("anna", "dan");
        let (first, second) = (homes.until_ringing("dan"), homes.until_ringing("dan2"));
        homes.passes(ms(1000));
        homes.accepts("dan", first);
        homes.passes(ms(apart));
        homes.accepts("dan2", second);
        homes.until_established("anna");
        homes.passes(ms(1000));
        homes.hangs_up("anna", session);
        let finished = homes.end();
        let dan2 = finished.told("dan2");
        assert_eq!([finished.told("anna"), finished.told("dan")], ["ended", "ended"]);
        assert!(
            ["ended", "answered elsewhere"].contains(&dan2.as_str()),
            "{apart}: {dan2}\n{}",
            finished.ladder
        );
    }
}
