//! Giving up where a pre-established session carries the call: `docs/cancel.md`, case 8 and T21.

use poc::{AnswerMode, Event};
use sim::ladder::What;
use sim::system::Terminal;
use sip::SessionId;

use crate::homes::{Homes, answering};
use crate::stage::ms;

/// Anna and Dan, with pre-established sessions or without.
fn homes(mode: AnswerMode, [anna, dan]: [bool; 2]) -> Homes {
    let terminals = vec![
        Terminal { has_factory: true, pre_establishes: anna, ..Terminal::new("anna", 0) },
        Terminal { has_factory: true, pre_establishes: dan, ..answering("dan", 1, mode) },
    ];
    Homes::with(terminals, |setup| setup.session_expires = sip::Duration::from_secs(600))
}

/// How the sessions of a client ended, in order.
fn told(homes: &Homes, name: &str) -> Vec<String> {
    let place = homes.place(name);
    let own = homes.system.events.iter().filter(|(whom, _)| *whom == place);
    let outcomes = own.filter_map(|(_, event)| {
        let Event::Ended { outcome, .. } = event else { return None };
        Some(outcome.to_string())
    });
    outcomes.collect()
}

/// How many messages with this label have come to Dan since both registered.
fn heard_by_dan(homes: &Homes, what: &str) -> usize {
    let trace = homes.trace();
    let place = trace.parties().position(|party| party == "dan").expect("he takes part");
    let messages = trace.entries().iter().filter(|entry| match &entry.what {
        What::Message { to, label, .. } => *to == place && label == what,
        What::Speech { .. } | What::Note { .. } => false,
    });
    messages.count()
}

/// Anna invites Dan and gives up after so many milliseconds. How both were told that it ended.
fn gives_up(homes: &mut Homes, wait: u64) -> [Vec<String>; 2] {
    let session = homes.invites("anna", "dan");
    homes.passes(ms(wait));
    homes.hangs_up("anna", session);
    homes.passes(ms(40_000));
    [told(homes, "anna"), told(homes, "dan")]
}

/// Then everybody deregisters, and nothing remains anywhere.
fn end(mut homes: Homes) {
    homes.passes(ms(40_000));
    for place in homes.system.clients().collect::<Vec<_>>() {
        homes.system.act(place, sim::system::Act::Deregister);
    }
    while let Some(moment) = homes.system.next_moment() {
        homes.system.advance(moment.max(homes.system.now));
    }
    homes.system.watch.finish();
    assert!(homes.system.is_empty(), "nothing remains when all is over");
}

fn rings(homes: &mut Homes) -> SessionId {
    homes.until_ringing("dan")
}

/// T21.
#[test]
fn a_re_invite_that_rings_is_cancelled_and_the_pre_established_session_goes_on() {
    let mut homes = homes(AnswerMode::Manual, [false, true]);
    let session = homes.invites("anna", "dan");
    rings(&mut homes);
    homes.passes(ms(1_000));
    homes.hangs_up("anna", session);
    homes.passes(ms(5_000));
    assert_eq!(told(&homes, "dan"), ["missed invitation"], "{}", homes.ladder());
    // The next one comes by the same dialog.
    let session = homes.invites("anna", "dan");
    let ringing = rings(&mut homes);
    homes.accepts("dan", ringing);
    homes.until_established("anna");
    homes.passes(ms(1_000));
    homes.hangs_up("anna", session);
    homes.passes(ms(5_000));
    assert_eq!(told(&homes, "anna"), ["cancelled", "ended"], "{}", homes.ladder());
    assert_eq!(told(&homes, "dan"), ["missed invitation", "ended"], "{}", homes.ladder());
    // The dialog goes on: the end of the second one is told by talk burst control.
    let heard = |what| heard_by_dan(&homes, what);
    assert_eq!((heard("BYE"), heard("CANCEL") > 0, heard("INVITE")), (0, true, 2), "{}", homes.ladder());
    assert_eq!(heard("Disconnect"), 1, "{}", homes.ladder());
    end(homes);
}

/// Case 8: there is no CANCEL for a REFER, and both are told the same as if there were one.
#[test]
fn giving_up_by_a_pre_established_session_ends_as_a_cancel_does() {
    for mode in [AnswerMode::Manual, AnswerMode::Automatic] {
        for wait in [0, 1, 3, 5, 50, 500, 2_000] {
            let mut on_demand = homes(mode, [false, false]);
            let expected = gives_up(&mut on_demand, wait);
            for carried in [[true, false], [false, true], [true, true]] {
                let mut homes = homes(mode, carried);
                let ends = gives_up(&mut homes, wait);
                let is_late = wait >= 50;
                assert_eq!(ends[0].len(), 1, "{mode:?} {wait} {carried:?}: {ends:?}\n{}", homes.ladder());
                assert!(ends[1].len() <= 1, "{mode:?} {wait} {carried:?}: {ends:?}");
                assert!(
                    !is_late || ends == expected,
                    "{mode:?} {wait} {carried:?}: {ends:?}, not {expected:?}\n{}",
                    homes.ladder()
                );
                end(homes);
            }
        }
    }
}
