use std::fmt::Write;

use super::*;

const GUARD: Duration = Duration::from_secs(32);

fn at(seconds: u64) -> Instant {
    Instant::at(Duration::from_secs(seconds))
}

fn chance() -> Identifiers {
    Identifiers::new(sip::Owner::default(), [7; 32])
}

fn tag(text: &'static str) -> Option<Bytes> {
    Some(Bytes::from(text))
}

fn publish(tag: Option<Bytes>, has_body: bool, expires: u32) -> Step {
    Step { action: Action::Publish { tag, has_body, expires }, told: None }
}

fn failed(status: u16) -> Step {
    Told::Failed { status: Some(status), retry_in: None }.into()
}

// One fixture per state. The first PUBLISH leaves at 0 s; each step that follows comes a second later.

fn idle() -> PublicationClient {
    PublicationClient::new(Duration::from_secs(3600), GUARD)
}

fn publishing() -> PublicationClient {
    let mut client = idle();
    assert_eq!(client.publish(), publish(None, true, 3600));
    client
}

fn published() -> PublicationClient {
    let mut client = publishing();
    assert_eq!(client.handle_success(at(1), tag("one"), Some(3600)), Told::Published.into());
    client
}

fn refreshing() -> PublicationClient {
    let mut client = published();
    assert_eq!(client.handle_timeout(at(1801)), publish(tag("one"), false, 3600));
    client
}

fn change_waiting() -> PublicationClient {
    let mut client = refreshing();
    assert_eq!(client.publish(), NOTHING);
    client
}

fn waiting() -> PublicationClient {
    let mut client = refreshing();
    client.handle_failure(at(1802), Some(503), None, &mut chance());
    client
}

fn remove_waiting() -> PublicationClient {
    let mut client = publishing();
    assert_eq!(client.remove(at(1)), NOTHING);
    client
}

fn remove_waiting_published() -> PublicationClient {
    let mut client = refreshing();
    assert_eq!(client.remove(at(1802)), NOTHING);
    client
}

fn removing() -> PublicationClient {
    let mut client = published();
    assert_eq!(client.remove(at(2)), publish(tag("one"), false, 0));
    client
}

fn unsupported() -> PublicationClient {
    let mut client = publishing();
    assert_eq!(client.handle_refusal(489), failed(489));
    client
}

fn all() -> Vec<(&'static str, PublicationClient, Instant)> {
    vec![
        ("Idle", idle(), at(2)),
        ("Publishing", publishing(), at(2)),
        ("Publishing (again)", refreshing(), at(1803)),
        ("ChangeWaiting", change_waiting(), at(1803)),
        ("Published", published(), at(2)),
        ("Waiting", waiting(), at(1803)),
        ("RemoveWaiting", remove_waiting(), at(2)),
        ("RemoveWaiting (published)", remove_waiting_published(), at(1803)),
        ("Removing", removing(), at(3)),
        ("Unsupported", unsupported(), at(2)),
    ]
}

type Input = fn(&mut PublicationClient, Instant) -> Step;

const INPUTS: [(&str, Input); 11] = [
    ("publish", |client, _| client.publish()),
    ("remove", |client, now| client.remove(now)),
    ("200", |client, now| client.handle_success(now, tag("two"), Some(60))),
    ("412", |client, _| client.handle_stale()),
    ("423", |client, _| client.handle_too_brief(Some(7200))),
    ("489", |client, _| client.handle_refusal(489)),
    ("403", |client, _| client.handle_refusal(403)),
    ("503", |client, now| {
        client.handle_failure(now, Some(503), Some(Duration::from_secs(90)), &mut chance())
    }),
    ("silence", |client, now| client.handle_failure(now, None, None, &mut chance())),
    ("early", |client, now| client.handle_timeout(now)),
    ("deadline", |client, _| client.deadline().map_or(NOTHING, |at| client.handle_timeout(at))),
];

#[test]
fn every_state_by_every_event() {
    let mut text = String::new();
    for (name, client, now) in all() {
        for (input, hand_in) in INPUTS {
            let mut after = client.clone();
            let Step { action, told } = hand_in(&mut after, now);
            let told = told.map_or("-".to_owned(), |told| format!("{told:?}"));
            writeln!(text, "{name} x {input} -> {:?}; {action:?}; {told}", after.state).unwrap();
        }
    }
    insta::assert_snapshot!(text);
}

/// RFC 3903 §4.1, table 1.
#[test]
fn the_four_operations_differ_in_body_tag_and_expires() {
    let mut client = idle();
    assert_eq!(client.publish(), publish(None, true, 3600), "initial");
    client.handle_success(at(1), tag("one"), Some(3600));
    assert_eq!(client.handle_timeout(at(1801)), publish(tag("one"), false, 3600), "refresh");
    client.handle_success(at(1802), tag("two"), Some(3600));
    assert_eq!(client.publish(), publish(tag("two"), true, 3600), "modify");
    client.handle_success(at(1803), tag("three"), Some(3600));
    assert_eq!(client.remove(at(1804)), publish(tag("three"), false, 0), "remove");
}

/// RFC 3903 §5.
#[test]
fn after_a_412_the_tag_is_forgotten_and_all_is_published_again() {
    let mut client = refreshing();
    assert_eq!(client.handle_stale(), publish(None, true, 3600));
    // What had no tag cannot be stale.
    assert_eq!(client.handle_stale(), failed(412));
}

#[test]
fn a_change_that_comes_while_a_publish_is_out_follows_its_answer() {
    let mut client = publishing();
    assert_eq!(client.publish(), NOTHING);
    assert_eq!(client.publish(), NOTHING, "however often");
    assert_eq!(client.handle_success(at(1), tag("one"), None), publish(tag("one"), true, 3600));
    assert_eq!(client.handle_success(at(2), tag("two"), None), Told::Published.into());
}

#[test]
fn a_423_is_answered_once_and_only_if_it_wants_more() {
    assert_eq!(publishing().handle_too_brief(Some(7200)), publish(None, true, 7200));
    assert_eq!(publishing().handle_too_brief(Some(3600)), failed(423));
    assert_eq!(publishing().handle_too_brief(None), failed(423));
    let mut client = publishing();
    client.handle_too_brief(Some(7200));
    assert_eq!(client.handle_too_brief(Some(8000)), failed(423));
}

#[test]
fn after_a_489_nothing_is_ever_published() {
    let mut client = unsupported();
    assert_eq!((client.publish(), client.deadline()), (NOTHING, None));
    assert_eq!(client.remove(at(3)), Told::Removed.into());
    assert_eq!(client.publish(), NOTHING);
    assert!(client.is_idle());
}

#[test]
fn a_removal_that_nobody_answers_is_given_up() {
    for mut client in [remove_waiting(), remove_waiting_published(), removing()] {
        let at = client.deadline().unwrap();
        assert_eq!(client.handle_timeout(at), Told::Removed.into());
        assert!(client.is_idle());
    }
}

#[test]
fn a_server_without_tags_is_told_everything_again() {
    let mut client = publishing();
    client.handle_success(at(1), None, Some(60));
    assert_eq!(client.handle_timeout(at(31)), publish(None, true, 3600));
    client.handle_success(at(31), None, Some(1));
    assert_eq!(client.deadline(), Some(at(41)), "a peer must not set our pace");
    assert_eq!(client.remove(at(32)), Told::Removed.into());
}
