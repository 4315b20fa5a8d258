//! The conference event package (RFC 4575, digest 9.7).

use bytes::Bytes;
use poc::body::conference_info::{self, ConferenceInfo, Disconnection, State, Status};
use poc::server::{Group, GroupKind, Who};
use sip::message::Name;
use sip::{Duration, Message};

use crate::stage::{Call, Stage, T1_64, group_of, identity_of, ms, text, word};

const ANNA: &str = "sip:anna@home1.example";
const BEN: &str = "sip:ben@home1.example";
const CARA: &str = "sip:cara@home1.example";
const DAN: &str = "sip:dan@home1.example";
const CREW: &str = "sip:crew@home1.example";

fn group(kind: GroupKind, members: &[&str]) -> Group {
    group_of(CREW, kind, members)
}

/// A chat group that Anna has joined, and its identity.
fn chat() -> (Stage, Call, String) {
    let mut stage = Stage::new();
    stage.put_group(group(GroupKind::Chat, &[ANNA, BEN, CARA]));
    let anna = Call::to_group(ANNA, CREW);
    stage.invite(&anna);
    let ok = stage.established(&anna);
    (stage, anna, identity_of(&ok))
}

fn document(notify: &Message) -> ConferenceInfo {
    assert_eq!(word(notify), "NOTIFY");
    assert_eq!(text(notify, Name::ContentType), conference_info::CONTENT_TYPE);
    conference_info::read(notify.body()).expect("a document")
}

/// Who stands where in a document.
fn users(info: &ConferenceInfo) -> Vec<(String, Status)> {
    let name = |entity: &Bytes| String::from_utf8_lossy(entity).into_owned();
    info.users.iter().map(|user| (name(&user.entity), user.endpoints[0].status.expect("a status"))).collect()
}

/// The one NOTIFY, and copies of it.
fn only(notified: Vec<Message>) -> Message {
    let notify = notified.first().expect("a NOTIFY").clone();
    assert!(notified.iter().all(|copy| copy.bytes() == notify.bytes()), "one NOTIFY");
    notify
}

/// Subscribes as Anna and reads the first document.
fn subscribed(stage: &mut Stage, identity: &str) -> (String, ConferenceInfo) {
    let (dialog, came) = stage.subscribe(ANNA, identity);
    assert_eq!(came.iter().map(word).collect::<Vec<_>>(), ["200 SUBSCRIBE", "NOTIFY"]);
    stage.answer(&came[1], 200);
    (dialog, document(&came[1]))
}

#[test]
fn the_first_notify_has_all_who_take_part() {
    let (mut stage, _, identity) = chat();
    let (_, info) = subscribed(&mut stage, &identity);
    assert_eq!((info.state, info.version), (State::Full, 0));
    assert_eq!(info.entity, identity.as_bytes());
    assert_eq!(users(&info), [(ANNA.to_owned(), Status::Connected)]);
}

#[test]
fn a_change_is_told_after_a_moment_and_alone() {
    let (mut stage, _, identity) = chat();
    let (dialog, _) = subscribed(&mut stage, &identity);
    stage.pass(Duration::from_secs(10));
    let ben = Call::to_group(BEN, CREW);
    stage.invite(&ben);
    let ok = stage.established(&ben);
    stage.pass(ms(499));
    assert!(stage.notified(&dialog).is_empty());
    stage.pass(ms(1));
    let notify = &only(stage.notified(&dialog));
    let info = document(notify);
    assert_eq!((info.state, info.version), (State::Partial, 1));
    assert_eq!(users(&info), [(BEN.to_owned(), Status::Connected)]);
    stage.bye(&ben, &ok);
    stage.pass(Duration::from_secs(6));
    let notify = &only(stage.notified(&dialog));
    let info = document(notify);
    assert_eq!(users(&info), [(BEN.to_owned(), Status::Disconnected)]);
    assert_eq!(info.users[0].endpoints[0].disconnection, Some(Disconnection::Departed));
}

/// The throttle: a subscriber is left alone, and then told once of all that it missed.
#[test]
fn a_large_group_is_no_storm() {
    let members: Vec<String> = (0..200).map(|number| format!("sip:m{number}@home1.example")).collect();
    let mut listed = vec![ANNA, BEN];
    listed.extend(members.iter().map(String::as_str));
    let mut stage = Stage::new();
    stage.put_group(group(GroupKind::PreArranged, &listed));
    let call = Call::to_group(ANNA, CREW);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    let ok = stage.established(&call);
    stage.pass(ms(100));
    let (dialog, _) = subscribed(&mut stage, &identity_of(&ok));
    let mut told = 0;
    for member in &members {
        let leg = stage.leg_to(member);
        stage.answer(&leg, 180);
        stage.answer(&leg, 200);
        stage.pass(ms(10));
        told += stage.notified(&dialog).len();
    }
    assert_eq!(told, 0, "two seconds have gone by since the first");
    stage.pass(Duration::from_secs(4));
    let notify = &only(stage.notified(&dialog));
    let info = document(notify);
    assert_eq!((info.state, info.users.len()), (State::Partial, 200));
    assert_eq!(info.user_count, Some(202));
}

/// T18: what comes and goes within the moment was never there.
#[test]
fn a_cancelled_join_is_told_to_nobody() {
    let (mut stage, _, identity) = chat();
    let (dialog, _) = subscribed(&mut stage, &identity);
    stage.pass(Duration::from_secs(10));
    let ben = Call::to_group(BEN, CREW);
    stage.invite(&ben);
    stage.cancel(&ben);
    let ok = stage.response(&ben, "200 INVITE");
    stage.ack(&ben, &ok);
    stage.bye(&ben, &ok);
    stage.pass(T1_64);
    assert!(stage.notified(&dialog).is_empty());
}

/// Digest 9.7: one who never joined has not departed.
#[test]
fn an_invitation_that_fails_is_told_as_failed_and_one_that_is_busy_as_busy() {
    for (status, disconnection) in [(480, Disconnection::Failed), (486, Disconnection::Busy)] {
        let mut stage = Stage::new();
        let call = Call::listing(ANNA, &[BEN, CARA]);
        stage.invite(&call);
        let (ben, cara) = (stage.leg("ben"), stage.leg("cara"));
        stage.answer(&ben, 200);
        let ok = stage.established(&call);
        stage.answer(&cara, 180);
        let (dialog, info) = subscribed(&mut stage, &identity_of(&ok));
        assert!(users(&info).contains(&(CARA.to_owned(), Status::Alerting)), "{info:?}");
        stage.answer(&cara, status);
        stage.pass(Duration::from_secs(6));
        let notify = &only(stage.notified(&dialog));
        let info = document(notify);
        assert_eq!(users(&info), [(CARA.to_owned(), Status::Disconnected)]);
        assert_eq!(info.users[0].endpoints[0].disconnection, Some(disconnection));
    }
}

/// Digest 10.5, 14.6 step 4.
#[test]
fn the_end_of_the_session_is_told_once_and_ends_the_subscription() {
    let (mut stage, anna, identity) = chat();
    let (dialog, _) = subscribed(&mut stage, &identity);
    stage.input(poc::server::Input::Command(poc::server::Command::RemoveGroup {
        address: Bytes::from_static(CREW.as_bytes()),
    }));
    let notify = &only(stage.notified(&dialog));
    assert!(text(notify, Name::SubscriptionState).starts_with("terminated;reason=noresource"));
    assert_eq!(document(notify).state, State::Deleted);
    assert_eq!(stage.told(&anna), ["BYE"]);
    stage.ends_with(1);
}

#[test]
fn only_participants_and_those_whom_the_group_lets_are_told() {
    let (mut stage, _, identity) = chat();
    let first = |came: (String, Vec<Message>)| came.1.first().map(word);
    assert_eq!(first(stage.subscribe(BEN, &identity)).as_deref(), Some("200 SUBSCRIBE"), "a member");
    assert_eq!(first(stage.subscribe(DAN, &identity)).as_deref(), Some("403 SUBSCRIBE"));
    let gone = identity.replace(&identity[4..12], "01010101");
    assert_eq!(first(stage.subscribe(ANNA, &gone)).as_deref(), Some("404 SUBSCRIBE"));
    let mut stage = Stage::new();
    stage.put_group(Group { subscribes: Who::Distinguished, ..group(GroupKind::Chat, &[ANNA, BEN]) });
    let anna = Call::to_group(ANNA, CREW);
    stage.invite(&anna);
    let identity = identity_of(&stage.established(&anna));
    assert_eq!(first(stage.subscribe(BEN, &identity)).as_deref(), Some("403 SUBSCRIBE"));
    assert_eq!(first(stage.subscribe(ANNA, &identity)).as_deref(), Some("200 SUBSCRIBE"), "a participant");
}

/// Digest 9.7.
#[test]
fn an_anonymous_participant_is_named_to_nobody() {
    let (mut stage, _, identity) = chat();
    let ben = Call::to_group(BEN, CREW).with("Privacy: id\r\n");
    stage.invite(&ben);
    stage.established(&ben);
    let (_, info) = subscribed(&mut stage, &identity);
    assert!(users(&info).iter().any(|(entity, _)| entity.starts_with("sip:anonymous-")), "{info:?}");
    assert!(!users(&info).iter().any(|(entity, _)| entity == BEN));
}

#[test]
fn a_subscription_that_is_refreshed_is_told_all_again_and_one_that_goes_is_forgotten() {
    let (mut stage, anna, identity) = chat();
    let (dialog, _) = subscribed(&mut stage, &identity);
    stage.pass(Duration::from_secs(3700));
    stage.notified(&dialog);
    let bye = stage.told(&anna);
    assert!(bye.is_empty(), "{bye:?}");
    let ben = Call::to_group(BEN, CREW);
    stage.invite(&ben);
    stage.established(&ben);
    stage.pass(Duration::from_secs(10));
    assert!(stage.notified(&dialog).is_empty(), "the subscription has run out");
}

/// Who knows something only as a participant.
#[test]
fn who_was_removed_is_told_nothing_any_more_and_asks_in_vain() {
    let mut stage = Stage::new();
    let call = Call::listing(ANNA, &[BEN, CARA, DAN]);
    stage.invite(&call);
    for user in ["ben", "cara", "dan"] {
        let leg = stage.leg(user);
        stage.answer(&leg, 200);
    }
    let identity = identity_of(&stage.established(&call));
    let (dialog, came) = stage.subscribe(BEN, &identity);
    stage.answer(&came[1], 200);
    let (other, came) = stage.subscribe(ANNA, &identity);
    stage.answer(&came[1], 200);
    stage.refer(ANNA, &identity, &format!("{BEN};method=BYE"));
    let last = only(stage.notified(&dialog));
    assert_eq!(text(&last, Name::SubscriptionState), "terminated;reason=rejected");
    let again = stage.subscribe(BEN, &identity).1;
    assert_eq!(again.iter().map(word).collect::<Vec<_>>(), ["403 SUBSCRIBE"], "the BYE has no answer yet");
    stage.pass(Duration::from_secs(6));
    assert!(stage.notified(&dialog).is_empty());
    assert!(!stage.notified(&other).is_empty(), "others go on");
}

/// The name that was told before is taken back.
#[test]
fn who_comes_again_without_a_name_leaves_none_behind() {
    let (mut stage, _, identity) = chat();
    let (dialog, _) = subscribed(&mut stage, &identity);
    stage.pass(Duration::from_secs(10));
    let ben = Call::to_group(BEN, CREW);
    stage.invite(&ben);
    stage.established(&ben);
    stage.pass(Duration::from_secs(6));
    assert_eq!(users(&document(&only(stage.notified(&dialog)))), [(BEN.to_owned(), Status::Connected)]);
    let again = ben.again().with("Privacy: id\r\n");
    stage.invite(&again);
    stage.established(&again);
    stage.pass(Duration::from_secs(6));
    let info = document(&only(stage.notified(&dialog)));
    assert_eq!(info.state, State::Full);
    assert_eq!(info.users.len(), 2);
    assert!(!users(&info).iter().any(|(entity, _)| entity == BEN), "{info:?}");
}

#[test]
fn two_without_a_name_are_never_the_same_nobody() {
    let (mut stage, _, identity) = chat();
    let (dialog, _) = subscribed(&mut stage, &identity);
    stage.pass(Duration::from_secs(10));
    let ben = Call::to_group(BEN, CREW).with("Privacy: id\r\n");
    stage.invite(&ben);
    let ok = stage.established(&ben);
    stage.pass(Duration::from_secs(6));
    let first = users(&document(&only(stage.notified(&dialog))));
    stage.bye(&ben, &ok);
    let cara = Call::to_group(CARA, CREW).with("Privacy: id\r\n");
    stage.invite(&cara);
    stage.established(&cara);
    stage.pass(Duration::from_secs(6));
    let then = users(&document(&only(stage.notified(&dialog))));
    assert_eq!(then.len(), 2, "{then:?}");
    let (gone, come): (Vec<_>, Vec<_>) =
        then.into_iter().partition(|(_, status)| *status == Status::Disconnected);
    assert_eq!(gone[0].0, first[0].0);
    assert_ne!(come[0].0, first[0].0);
}

/// A 1-1 session to which somebody is added is an ad-hoc one, and keeps its identity.
#[test]
fn the_entity_is_the_identity_whatever_becomes_of_the_session() {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, BEN);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    let identity = identity_of(&stage.established(&call));
    stage.refer(ANNA, &identity, CARA);
    let (_, info) = subscribed(&mut stage, &identity);
    assert_eq!(info.entity, identity.as_bytes());
}
