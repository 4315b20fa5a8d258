//! Handles, and what becomes of sessions whose user is gone.

use super::*;

/// Anna's session, nobody having answered, and Ben's.
fn ringing() -> (Pair, SessionId, SessionId) {
    let mut pair = Pair::new();
    let annas = pair.invite();
    pair.settle();
    let bens = invited(&mut pair.ben);
    (pair, annas, bens)
}

fn established() -> (Pair, SessionId, SessionId) {
    let (mut pair, annas, bens) = ringing();
    pair.ben.incoming(bens).unwrap().accept(pair.now);
    pair.settle();
    (pair, annas, bens)
}

#[test]
fn a_session_is_lent_as_what_it_has_come_to() {
    let (mut pair, annas, bens) = ringing();
    assert!(matches!(pair.anna.session(annas), Ok(Handle::Outgoing(_))));
    assert!(matches!(pair.ben.session(bens), Ok(Handle::Incoming(_))));
    assert_eq!(pair.ben.outgoing(bens).err(), Some(Misuse::TooLate));
    assert_eq!(pair.anna.incoming(annas).err(), Some(Misuse::NothingToAnswer));
    assert_eq!(pair.anna.established(annas).err(), Some(Misuse::NotEstablished));

    pair.ben.incoming(bens).unwrap().accept(pair.now);
    assert!(matches!(pair.ben.session(bens), Ok(Handle::Accepted(_))));
    pair.settle();
    assert!(matches!(pair.anna.session(annas), Ok(Handle::Established(_))));
    assert!(matches!(pair.ben.session(bens), Ok(Handle::Established(_))));
    assert_eq!(pair.anna.outgoing(annas).err(), Some(Misuse::TooLate));

    pair.anna.established(annas).unwrap().modify(pair.now).unwrap();
    pair.settle();
    pair.anna.established(annas).unwrap().leave(pair.now);
    assert!(matches!(pair.anna.session(annas), Ok(Handle::Ending)));
    pair.settle();
    assert_eq!(pair.anna.session(annas).err(), Some(Misuse::NoSession));
    assert_eq!((ended(&mut pair.anna).end, ended(&mut pair.ben).end), (End::Left, End::Released));
}

#[test]
fn what_is_lent_out_is_cancelled_or_refused_by_its_handle() {
    let (mut pair, annas, _) = ringing();
    pair.anna.outgoing(annas).unwrap().cancel(pair.now);
    pair.settle();
    assert_eq!((ended(&mut pair.anna).end, ended(&mut pair.ben).end), (End::Cancelled, End::Cancelled));

    let (mut pair, _, bens) = ringing();
    pair.ben.incoming(bens).unwrap().refuse(pair.now);
    pair.settle();
    assert_eq!(ended(&mut pair.anna).status, Some(480));
}

/// The room of a session is used again, its name is not.
#[test]
fn the_name_of_a_session_that_is_over_never_meets_another_one() {
    let (mut pair, old, _) = ringing();
    pair.anna.cancel(pair.now, old).unwrap();
    pair.settle();
    pair.wait();
    assert!(pair.anna.is_empty());
    let next = pair.invite();
    pair.settle();
    assert_ne!(old, next);
    assert_eq!(pair.anna.session(old).err(), Some(Misuse::NoSession));
    assert_eq!(pair.anna.hang_up(pair.now, old), Err(Misuse::NoSession));
    assert!(matches!(pair.anna.session(next), Ok(Handle::Outgoing(_))));
}

/// C32: in every state, before the final response and after it.
#[test]
fn who_closes_a_client_leaves_nobody_ringing_or_connected() {
    let calling = || {
        let mut pair = Pair::new();
        pair.invite();
        pair
    };
    let accepted = || {
        let (mut pair, _, bens) = ringing();
        pair.ben.accept(pair.now, bens).unwrap();
        pair
    };
    for (what, pair) in [
        ("calling", calling()),
        ("ringing", ringing().0),
        ("accepted", accepted()),
        ("in session", established().0),
    ] {
        for is_anna in [true, false] {
            let mut pair = pair.clone();
            let closed = if is_anna { &mut pair.anna } else { &mut pair.ben };
            closed.close(pair.now);
            closed.close(pair.now);
            pair.settle();
            assert_eq!(pair.anna.sessions().count() + pair.ben.sessions().count(), 0, "{what}");
            pair.wait();
            assert!(pair.anna.is_empty() && pair.ben.is_empty(), "{what}");
        }
    }
}

#[test]
fn a_client_that_was_closed_begins_nothing_and_is_invited_to_nothing() {
    let mut pair = Pair::new();
    pair.anna.close(pair.now);
    let again = pair.anna.start_session(pair.now, target(BEN), "sip:ben@home1.example");
    assert_eq!(again, Err(Misuse::Busy));
    let mut pair = Pair::new();
    pair.ben.close(pair.now);
    pair.invite();
    pair.settle();
    assert_eq!(ended(&mut pair.anna).status, Some(480));
    assert!(events(&mut pair.ben).iter().all(|event| !matches!(event, Event::Invited { .. })));
}
