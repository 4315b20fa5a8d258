//! Cancelling in groups: `docs/cancel.md`, cases 4, 5 and 6, T17 and T18.

use poc::client::Invitees;
use poc::server::{Group, GroupKind, GroupMember, GroupRole};
use poc::{Addressee, AnswerMode, AnswerRequest, Event, Profile};
use sim::system::{Act, Setup, Terminal};
use sip::SessionId;

use crate::homes::{Finished, Homes, answering};
use crate::stage::ms;

/// Anna and these, who answer so; a group "patrol" of all of them in the first network.
fn patrol(others: &[(&'static str, usize, AnswerMode)], change: impl FnOnce(&mut Group)) -> Homes {
    patrol_with(others, GroupKind::PreArranged, change, |_| {})
}

fn patrol_with(
    others: &[(&'static str, usize, AnswerMode)],
    kind: GroupKind,
    change: impl FnOnce(&mut Group),
    set_up: impl FnOnce(&mut Setup),
) -> Homes {
    let others = others.iter().map(|(user, home, mode)| answering(user, *home, *mode));
    let terminals = [Terminal::new("anna", 0)].into_iter().chain(others);
    let terminals: Vec<_> = terminals.map(|each| Terminal { has_factory: true, ..each }).collect();
    let mut group = Group::new(Setup::group_address("patrol", 0), kind);
    let member = |terminal: &Terminal| GroupMember { address: terminal.address(), role: GroupRole::Ordinary };
    group.members = terminals.iter().map(member).collect();
    change(&mut group);
    Homes::with(terminals, |setup| {
        setup.groups = vec![(0, group)];
        set_up(setup);
    })
}

fn calls(homes: &mut Homes, name: &str, to: Addressee) -> SessionId {
    let place = homes.place(name);
    homes.system.act(place, Act::Call { to, answer: AnswerRequest::Usual }).expect("a free client")
}

fn to_patrol() -> Addressee {
    Addressee::PreArranged(Setup::group_address("patrol", 0))
}

const AUTOMATIC: AnswerMode = AnswerMode::Automatic;
const MANUAL: AnswerMode = AnswerMode::Manual;

/// T17: Ben has accepted, Cora rings, Dirk has refused, and of Eva nothing has been heard.
fn gives_up_in_four_states(lost: Option<u64>) -> Finished {
    let others = [("ben", 0, AUTOMATIC), ("cora", 0, MANUAL), ("dirk", 0, MANUAL), ("eva", 1, MANUAL)];
    let barred = |setup: &mut Setup| setup.terminals[3].settings.incoming_session_barring = true;
    let mut homes = patrol_with(&others, GroupKind::PreArranged, |group| group.participants_min = 4, barred);
    // Anna's server invites the group, and then its members.
    homes.loses_of("server1", "INVITE", 5);
    if let Some(lost) = lost {
        homes.loses(lost);
    }
    let session = calls(&mut homes, "anna", to_patrol());
    homes.passes(ms(60));
    homes.hangs_up("anna", session);
    homes.end()
}

#[test]
fn an_inviter_gives_up_while_four_legs_are_in_four_states() {
    let finished = gives_up_in_four_states(None);
    let told = ["anna", "ben", "cora", "dirk", "eva"].map(|name| finished.told(name));
    assert_eq!(
        told,
        ["cancelled", "ended", "missed invitation", "nothing", "missed invitation"],
        "{}",
        finished.ladder
    );
    let [record] = finished
        .records("server1")
        .into_iter()
        .filter(|each| !each.invitations.is_empty())
        .filter(|each| each.invitations.len() == 4)
        .collect::<Vec<_>>()[..]
    else {
        panic!("one record of the session\n{}", finished.ladder);
    };
    let ends: Vec<_> = record.invitations.iter().map(|each| (each.answered.is_some(), each.status)).collect();
    assert_eq!(
        ends,
        [(true, None), (false, Some(487)), (false, Some(480)), (false, Some(487))],
        "{record:?}"
    );
}

#[test]
fn whatever_message_is_lost_an_inviter_that_gives_up_in_four_states_leaves_nobody() {
    let whole = gives_up_in_four_states(None);
    for lost in 1..=whole.messages {
        let finished = gives_up_in_four_states(Some(lost));
        let anna = finished.told("anna");
        assert_eq!(anna, "cancelled", "without {lost}\n{}", finished.ladder);
        for (name, ends) in [
            ("ben", &["ended", "nothing", "the inviter did not confirm"][..]),
            ("cora", &["missed invitation", "nothing"]),
            ("dirk", &["nothing"]),
            ("eva", &["missed invitation", "nothing"]),
        ] {
            let told = finished.told(name);
            assert!(ends.contains(&told.as_str()), "without {lost}: {name} {told}\n{}", finished.ladder);
        }
    }
    assert!(whole.messages > 60, "{}", whole.messages);
}

const FOUR: [&str; 4] = ["ben", "cora", "eva", "finn"];

/// Case 4: four are invited, `count` of them accept one after the other, and Anna gives up.
fn gives_up_after(count: usize, to: Addressee, participants_min: usize) -> Finished {
    let others = [("ben", 0, MANUAL), ("cora", 0, MANUAL), ("eva", 1, MANUAL), ("finn", 1, MANUAL)];
    let change = |group: &mut Group| group.participants_min = participants_min;
    let ims = |setup: &mut Setup| setup.profile = Profile::Ims;
    let mut homes = patrol_with(&others, GroupKind::PreArranged, change, ims);
    let session = calls(&mut homes, "anna", to);
    homes.passes(ms(500));
    let mut accepted = Vec::new();
    for name in &FOUR[..count] {
        let rings = ringing(&homes, name);
        homes.accepts(name, rings);
        homes.passes(ms(200));
        accepted.push((*name, rings));
    }
    homes.hangs_up("anna", session);
    homes.passes(ms(60_000));
    for (name, session) in accepted {
        homes.hangs_up(name, session);
    }
    homes.end()
}

/// The only session that a client has been invited to.
fn ringing(homes: &Homes, name: &str) -> SessionId {
    let place = homes.place(name);
    let told = homes.system.events.iter().find_map(|(whom, event)| {
        let is_meant = *whom == place && matches!(event, Event::Invited { .. });
        is_meant.then(|| event.session()).flatten()
    });
    told.unwrap_or_else(|| panic!("{name} rings\n{}", homes.ladder()))
}

/// Cases 4 and 5: a group of which all must take part. Whoever has accepted waits with her, and is released with her cause.
#[test]
fn a_group_that_waits_for_all_is_cancelled_after_each_number_of_acceptances() {
    for count in 0..FOUR.len() {
        let finished = gives_up_after(count, to_patrol(), 5);
        assert_eq!(finished.told("anna"), "cancelled", "{count}\n{}", finished.ladder);
        for (at, name) in FOUR.iter().enumerate() {
            let outcome = finished.outcome_of(name).expect("it rang");
            let expected = if at < count { "ended" } else { "missed invitation" };
            assert_eq!(outcome.to_string(), expected, "{count}: {name}\n{}", finished.ladder);
            let cause = outcome.reason_cause(b"RELEASE_CAUSE");
            assert_eq!(cause.as_deref(), Some(&b"1"[..]), "{count}: {name}\n{}", finished.ladder);
        }
    }
    // With the last of them the session stands, and the others go on when she leaves.
    let finished = gives_up_after(FOUR.len(), to_patrol(), 5);
    assert_eq!(finished.told("anna"), "ended");
}

/// Case 4: the first acceptance makes an ad-hoc session, which goes on without her as long as two take part.
#[test]
fn an_ad_hoc_group_is_given_up_after_each_number_of_acceptances() {
    let users = |homes: &[(&str, usize)]| {
        let uri = |(user, home): &(&str, usize)| format!("sip:{user}@home{}.example", home + 1).into();
        Addressee::Users(Invitees::new(homes.iter().map(uri).collect()).expect("four users"))
    };
    for count in 0..=FOUR.len() {
        let to = users(&[("ben", 0), ("cora", 0), ("eva", 1), ("finn", 1)]);
        let finished = gives_up_after(count, to, 2);
        let told = ["anna", "ben", "cora", "eva", "finn"].map(|name| finished.told(name));
        let anna = if count == 0 { "cancelled" } else { "ended" };
        assert_eq!(told[0], anna, "{count}\n{}", finished.ladder);
        for (at, told) in told[1..].iter().enumerate() {
            // Two who have accepted go on, and whoever rings then goes on ringing until nobody answers.
            let expected = if at < count { "ended" } else { "missed invitation" };
            assert_eq!(told, expected, "{count}: {at}\n{}", finished.ladder);
        }
    }
}

/// C74.
#[test]
fn one_who_rings_is_sent_away_and_the_others_go_on_ringing() {
    let others = [("ben", 0, AUTOMATIC), ("cora", 0, MANUAL), ("eva", 1, MANUAL)];
    let mut homes = patrol(&others, |group| group.adds = poc::server::Who::Members);
    let session = calls(&mut homes, "anna", to_patrol());
    homes.until_established("anna");
    homes.passes(ms(500));
    let (anna, cora) = (homes.place("anna"), homes.place("cora"));
    homes.system.act(anna, Act::Refer { session, change: poc::client::Change::Remove, place: cora });
    homes.passes(ms(2_000));
    let rings = ringing(&homes, "eva");
    homes.accepts("eva", rings);
    homes.until_established("eva");
    homes.hangs_up("eva", rings);
    homes.passes(ms(1_000));
    homes.hangs_up("anna", session);
    let finished = homes.end();
    let told = ["anna", "ben", "cora", "eva"].map(|name| finished.told(name));
    assert_eq!(told, ["ended", "ended", "missed invitation", "ended"], "{}", finished.ladder);
}

/// T18, case 6: Ben and Cora are in a chat, and Anna, who may join, gives up after so many milliseconds.
fn gives_up_a_join(homes: &Homes, wait: u64, lost: Option<u64>) -> Finished {
    let mut homes = homes.clone();
    if let Some(lost) = lost {
        homes.loses(homes.messages() + lost);
    }
    let before = homes.system.events.len();
    let session = calls(&mut homes, "anna", to_chat());
    homes.passes(ms(wait));
    homes.hangs_up("anna", session);
    homes.passes(ms(70_000));
    let (ben, cora) = (homes.place("ben"), homes.place("cora"));
    let since = &homes.system.events[before..];
    let is_of_others = |place: &usize| *place == ben || *place == cora;
    let ended =
        since.iter().filter(|(place, event)| is_of_others(place) && matches!(event, Event::Ended { .. }));
    assert_eq!(ended.count(), 0, "T18: others are undisturbed\n{}", homes.ladder());
    let told = since
        .iter()
        .filter(|(place, event)| is_of_others(place) && matches!(event, Event::Participants { .. }));
    assert!(told.count() <= 6, "T18: no storm of NOTIFYs\n{}", homes.ladder());
    for (place, name) in [(ben, "ben"), (cora, "cora")] {
        let own = homes.system.events.iter().find_map(|(whom, event)| {
            (*whom == place && matches!(event, Event::Established { .. })).then(|| event.session()).flatten()
        });
        homes.hangs_up(name, own.expect("it has joined"));
    }
    homes.end()
}

fn to_chat() -> Addressee {
    Addressee::Chat(Setup::group_address("patrol", 0))
}

fn chat() -> Homes {
    let others = [("ben", 0, MANUAL), ("cora", 1, MANUAL)];
    let long = |setup: &mut Setup| setup.session_expires = sip::Duration::from_secs(600);
    let mut homes = patrol_with(&others, GroupKind::Chat, |_| {}, long);
    for name in ["ben", "cora"] {
        let session = calls(&mut homes, name, to_chat());
        homes.until_established(name);
        let place = homes.place(name);
        homes.system.act(place, Act::Watch(session));
        homes.passes(ms(20_000));
    }
    homes
}

#[test]
fn a_join_that_is_cancelled_at_any_millisecond_disturbs_nobody_in_the_chat() {
    let homes = chat();
    let told: Vec<_> = (0..=40).map(|wait| gives_up_a_join(&homes, wait, None).told("anna")).collect();
    assert!(told.iter().all(|told| ["cancelled", "ended"].contains(&told.as_str())), "{told:?}");
    for end in ["cancelled", "ended"] {
        assert!(told.iter().any(|told| told == end), "{end}: {told:?}");
    }
}

#[test]
fn whatever_message_is_lost_a_cancelled_join_disturbs_nobody_in_the_chat() {
    let homes = chat();
    for wait in [0, 6, 12] {
        for lost in 1..=24 {
            let told = gives_up_a_join(&homes, wait, Some(lost)).told("anna");
            assert!(["cancelled", "ended"].contains(&told.as_str()), "{wait}, without {lost}: {told}");
        }
    }
}

/// Case 6: who is no member hears 403, and the chat nothing.
#[test]
fn who_may_not_join_is_refused_and_the_chat_goes_on() {
    let others = [("ben", 0, MANUAL), ("cora", 1, MANUAL)];
    let without_anna =
        |group: &mut Group| group.members.retain(|each| !each.address.starts_with(b"sip:anna"));
    let mut homes = patrol_with(&others, GroupKind::Chat, without_anna, |_| {});
    let bens = calls(&mut homes, "ben", to_chat());
    homes.until_established("ben");
    calls(&mut homes, "anna", to_chat());
    homes.passes(ms(2_000));
    homes.hangs_up("ben", bens);
    let finished = homes.end();
    let anna = finished.outcome_of("anna").expect("it called");
    assert_eq!((anna.status, finished.told("ben").as_str()), (Some(403), "ended"), "{}", finished.ladder);
}

/// Case 5: with a minimum of three the second acceptance, and no earlier one, makes the session.
#[test]
fn a_minimum_of_participants_is_waited_for() {
    let others = [("ben", 0, AUTOMATIC), ("cora", 0, MANUAL), ("eva", 1, MANUAL)];
    let mut homes = patrol(&others, |group| group.participants_min = 3);
    let session = calls(&mut homes, "anna", to_patrol());
    homes.passes(ms(3_000));
    let anna = homes.place("anna");
    let stands = |homes: &Homes| {
        let mut events = homes.system.events.iter();
        events.any(|(place, event)| *place == anna && matches!(event, Event::Established { .. }))
    };
    assert!(!stands(&homes), "{}", homes.ladder());
    let rings = ringing(&homes, "cora");
    homes.accepts("cora", rings);
    homes.passes(ms(1_000));
    assert!(stands(&homes), "{}", homes.ladder());
    homes.hangs_up("anna", session);
    homes.passes(ms(1_000));
    homes.hangs_up("cora", rings);
    let finished = homes.end();
    let told = ["anna", "ben", "cora"].map(|name| finished.told(name));
    assert_eq!(told, ["ended", "ended", "ended"], "{}", finished.ladder);
}
