//! Who comes back, goes in another way than by BYE, or finds no room (digest 9.3, 9.4, 10.3, 10.5, 14.6).

use bytes::Bytes;
use poc::server::{Config, Group, GroupKind, Side};
use sip::message::Name;
use sip::{Duration, Message};

use crate::stage::{Call, SDP, Stage, identity_of, ms, text, words};

const ANNA: &str = "sip:anna@home1.example";
const BEN: &str = "sip:ben@home1.example";
const CARA: &str = "sip:cara@home1.example";
const DAN: &str = "sip:dan@home1.example";
const ERIN: &str = "sip:erin@home2.example";
const PATROL: &str = "sip:patrol@home1.example";

/// A stage with the group Patrol.
fn hosting(kind: GroupKind, members: &[&str], change: impl FnOnce(&mut Group)) -> Stage {
    hosting_with(|_| {}, kind, members, change)
}

fn hosting_with(
    config: impl FnOnce(&mut Config),
    kind: GroupKind,
    members: &[&str],
    change: impl FnOnce(&mut Group),
) -> Stage {
    let mut stage = Stage::with(config);
    stage.host("patrol", members, |group| {
        let members = std::mem::take(&mut group.members);
        *group = Group { members, ..Group::new(group.address.clone(), kind) };
        change(group);
    });
    stage
}

/// Anna, Ben and Cara talk, without a group.
fn three() -> (Stage, Call, [Message; 2], String) {
    let mut stage = Stage::new();
    let call = Call::listing(ANNA, &[BEN, CARA]);
    stage.invite(&call);
    let (ben, cara) = (stage.leg("ben"), stage.leg("cara"));
    stage.answer(&ben, 200);
    stage.answer(&cara, 200);
    let identity = identity_of(&stage.established(&call));
    stage.seen(&ben);
    stage.seen(&cara);
    (stage, call, [ben, cara], identity)
}

// Coming back.

#[test]
fn who_was_invited_comes_back_as_often_as_coverage_is_lost() {
    let (mut stage, _, [ben, _], identity) = three();
    stage.leg_sends(&ben, "BYE", 1, "", "");
    let mut back = Call::to_group(BEN, &identity);
    for _ in 0..3 {
        stage.invite(&back);
        let ok = stage.established(&back);
        stage.bye(&back, &ok);
        stage.told(&back);
        back = back.again();
    }
}

#[test]
fn who_has_come_back_and_is_removed_does_not_come_again() {
    let (mut stage, _, [ben, _], identity) = three();
    stage.leg_sends(&ben, "BYE", 1, "", "");
    let back = Call::to_group(BEN, &identity);
    stage.invite(&back);
    stage.established(&back);
    assert_eq!(words(&stage.refer(ANNA, &identity, &format!("{BEN};method=BYE")).1)[0], "200 REFER");
    let bye = stage.response(&back, "BYE");
    stage.answer(&bye, 200);
    let back = back.again();
    stage.invite(&back);
    assert_eq!(stage.told(&back), ["403 INVITE"]);
}

/// The Participating PoC Function has taken a slot for the new leg.
#[test]
fn an_initiator_that_comes_back_takes_no_second_slot_and_ends_the_session_as_before() {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, BEN);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    let identity = identity_of(&stage.established(&call));
    stage.seen(&ben);
    let back = Call::to_group(ANNA, &identity);
    stage.invite(&back);
    let ok = stage.established(&back);
    assert_eq!(stage.sessions_of("anna"), 0);
    let bye = stage.response(&call, "BYE");
    stage.answer(&bye, 200);
    assert!(stage.seen(&ben).is_empty());
    stage.bye(&back, &ok);
    assert_eq!(stage.seen(&ben), ["BYE"]);
    stage.ends_with(2);
    assert_eq!(
        stage.records.iter().filter(|record| record.by == Side::Inviter).count(),
        2,
        "{:?}",
        stage.records
    );
}

/// Digest 7.5: nobody has accepted yet, whatever leg the initiator waits on.
#[test]
fn an_initiator_that_comes_back_before_anybody_has_accepted_is_not_left_alone() {
    let mut stage = Stage::with(|config| config.early_answer = true);
    let call = Call::originating(ANNA, BEN);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer_saying(&ben, 183, "P-Answer-State: Unconfirmed\r\n", "");
    let identity = identity_of(&stage.established(&call));
    let back = Call::to_group(ANNA, &identity);
    stage.invite(&back);
    stage.established(&back);
    let bye = stage.response(&call, "BYE");
    stage.answer(&bye, 200);
    assert!(stage.told(&back).is_empty(), "the end of the former leg ends nothing");
    stage.answer(&ben, 480);
    assert_eq!(stage.told(&back), ["BYE"]);
    stage.ends_with(2);
}

// Going.

/// It made the session, and nobody else cancels its INVITE.
#[test]
fn an_initiator_that_waits_is_removed_by_nobody() {
    let mut stage = hosting(GroupKind::PreArranged, &[ANNA, BEN, CARA], |group| group.participants_min = 3);
    let call = Call::to_group(ANNA, PATROL);
    stage.invite(&call);
    let join = Call::to_group(BEN, PATROL);
    stage.invite(&join);
    let identity = identity_of(&stage.established(&join));
    for who in [BEN, ANNA] {
        assert_eq!(words(&stage.refer(who, &identity, &format!("{ANNA};method=BYE")).1), ["403 REFER"]);
    }
    let cara = stage.leg("cara");
    stage.answer(&cara, 200);
    stage.established(&call);
}

/// Digest 10.5.
#[test]
fn a_session_ends_with_its_initiator_however_that_one_goes() {
    let mut stage =
        hosting(GroupKind::PreArranged, &[ANNA, BEN, CARA], |group| group.release.with_initiator = true);
    let call = Call::to_group(ANNA, PATROL);
    stage.invite(&call);
    let (ben, cara) = (stage.leg("ben"), stage.leg("cara"));
    stage.answer(&ben, 200);
    stage.answer(&cara, 200);
    let identity = identity_of(&stage.established(&call));
    stage.seen(&ben);
    stage.seen(&cara);
    stage.refer(ANNA, &identity, &format!("{identity};method=BYE"));
    assert_eq!(stage.told(&call), ["BYE"]);
    assert_eq!((stage.seen(&ben), stage.seen(&cara)), (vec!["BYE".to_owned()], vec!["BYE".to_owned()]));
    stage.ends_with(1);
}

/// Digest 14.5: the slot is free at once, whatever the leg still has to do.
#[test]
fn an_initiator_that_leaves_by_refer_has_its_slot_back() {
    let (mut stage, call, [ben, _], identity) = three();
    assert_eq!(stage.sessions_of("anna"), 1);
    stage.refer(ANNA, &identity, &format!("{identity};method=BYE"));
    assert_eq!(stage.told(&call), ["BYE"]);
    assert_eq!(stage.sessions_of("anna"), 0);
    assert!(stage.seen(&ben).is_empty(), "two go on");
}

/// The client of the one who was removed does not answer the BYE.
#[test]
fn who_was_removed_is_added_again_at_once() {
    let (mut stage, _, [ben, _], identity) = three();
    stage.refer(ANNA, &identity, &format!("{BEN};method=BYE"));
    assert_eq!(stage.seen(&ben), ["BYE"]);
    assert_eq!(words(&stage.refer(ANNA, &identity, BEN).1)[0], "200 REFER");
    assert_eq!(stage.invites_of("ben"), 2);
    let again = stage.leg("ben");
    stage.answer(&again, 200);
    assert_eq!(stage.seen(&again), ["INVITE", "ACK"]);
}

/// Digest 10.3 step 11: nobody is left to wait for.
#[test]
fn an_unconfirmed_session_ends_when_the_last_one_who_was_not_yet_invited_is_taken_back() {
    let mut stage = Stage::with(|config| {
        (config.early_answer, config.invites_at_once) = (true, 1);
        config.invites_pause = Duration::from_secs(20);
    });
    let call = Call::listing(ANNA, &[BEN, CARA]);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer_saying(&ben, 183, "P-Answer-State: Unconfirmed\r\n", "");
    let identity = identity_of(&stage.established(&call));
    stage.answer(&ben, 480);
    assert!(stage.told(&call).is_empty(), "Cara is still to be asked");
    stage.refer(ANNA, &identity, &format!("{CARA};method=BYE"));
    assert_eq!(stage.told(&call), ["BYE"]);
    stage.ends_with(1);
    assert_eq!(stage.invites_of("cara"), 0);
}

/// RFC 3515 §2.4.5: the end of every REFER is told.
#[test]
fn whoever_adds_one_that_comes_by_itself_is_told_that_it_has_come() {
    let mut stage = hosting_with(
        |config| (config.invites_at_once, config.invites_pause) = (1, Duration::from_secs(1)),
        GroupKind::Chat,
        &[ANNA, BEN, CARA, DAN],
        |_| {},
    );
    let anna = Call::to_group(ANNA, PATROL);
    stage.invite(&anna);
    let identity = identity_of(&stage.established(&anna));
    let list = format!(
        "<?xml version=\"1.0\"?><resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>\
         <entry uri=\"{BEN}\"/><entry uri=\"{ERIN}\"/></list></resource-lists>"
    );
    let lines = "Refer-To: <cid:list@anna>\r\nRefer-Sub: false\r\nSupported: norefersub\r\nRequire: multiple-refer\r\n\
        Content-Type: application/resource-lists+xml\r\nContent-Disposition: recipient-list\r\nContent-ID: <list@anna>\r\n";
    stage.request(ANNA, "REFER", &identity, lines, &list);
    let (dialog, came) = stage.refer(ANNA, &identity, DAN);
    assert_eq!(words(&came), ["200 REFER", "NOTIFY"]);
    stage.answer(&came[1], 200);
    let dan = Call::to_group(DAN, PATROL);
    stage.invite(&dan);
    stage.established(&dan);
    stage.pass(Duration::from_secs(3));
    assert_eq!(stage.invites_of("dan"), 0);
    let last = stage.notified(&dialog).pop().expect("a NOTIFY");
    assert!(last.body().starts_with(b"SIP/2.0 200 "));
    assert!(text(&last, Name::SubscriptionState).starts_with("terminated"));
}

// Room.

#[test]
fn who_is_asked_has_a_place_and_nobody_else_takes_it() {
    let mut stage =
        hosting(GroupKind::PreArranged, &[ANNA, BEN, CARA, DAN], |group| group.participants_max = 3);
    let call = Call::to_group(ANNA, PATROL);
    stage.invite(&call);
    let (ben, cara) = (stage.leg("ben"), stage.leg("cara"));
    let dan = Call::to_group(DAN, PATROL);
    stage.invite(&dan);
    assert_eq!(stage.told(&dan), ["486 INVITE"]);
    let join = Call::to_group(BEN, PATROL);
    stage.invite(&join);
    stage.established(&join);
    stage.answer(&ben, 487);
    stage.answer(&cara, 480);
    let dan = dan.again();
    stage.invite(&dan);
    stage.established(&dan);
}

/// It has left by REFER, and its client does not answer the BYE.
#[test]
fn a_leg_that_is_only_to_end_keeps_no_place() {
    let mut stage = hosting(GroupKind::Chat, &[ANNA, BEN, CARA], |group| group.participants_max = 2);
    let (anna, ben) = (Call::to_group(ANNA, PATROL), Call::to_group(BEN, PATROL));
    stage.invite(&anna);
    stage.invite(&ben);
    let identity = identity_of(&stage.established(&ben));
    stage.refer(BEN, &identity, &format!("{identity};method=BYE"));
    let cara = Call::to_group(CARA, PATROL);
    stage.invite(&cara);
    stage.established(&cara);
    let ben = ben.again();
    stage.invite(&ben);
    assert_eq!(stage.told(&ben), ["486 INVITE"]);
}

/// The server does not transcode.
#[test]
fn a_chat_speaks_what_its_first_participant_speaks() {
    let both = SDP
        .replace("RTP/AVP 97", "RTP/AVP 97 98")
        .replace("a=rtpmap:97", "a=rtpmap:98 EVRC/8000\r\na=rtpmap:97");
    let other = SDP.replace("AMR/8000", "EVRC/8000").replace("a=fmtp:97 octet-align=1\r\n", "");
    let mut stage = hosting(GroupKind::Chat, &[ANNA, BEN], |_| {});
    let (anna, ben) = (Call::to_group(ANNA, PATROL).with_body(&both), Call::to_group(BEN, PATROL));
    stage.invite(&anna);
    let ok = stage.established(&anna);
    assert!(!String::from_utf8_lossy(ok.body()).contains("EVRC"));
    stage.invite(&ben.clone().with_body(&other));
    assert_eq!(stage.told(&ben), ["488 INVITE"]);
    let ben = ben.again();
    stage.invite(&ben);
    stage.established(&ben);
}

/// Digest 10.3 step 9: so many and no more, also if none of them comes.
#[test]
fn lists_within_lists_end_however_fast_their_members_fail() {
    let mut stage = Stage::with(|config| config.invited_max = 8);
    let call = Call::listing(ANNA, &["sip:g0@home2.example", BEN]);
    stage.invite(&call);
    let mut open = vec!["sip:g0@home2.example".to_owned()];
    let (mut named, mut invited) = (0_usize, 0);
    while let Some(address) = open.pop() {
        if stage.invites_to(&address) == 0 {
            continue;
        }
        invited += 1;
        let leg = stage.leg_to(&address);
        // As many as have room beside Anna, Ben and those who have not answered.
        let fresh = named..named + 9 - 2 - open.len();
        let members: Vec<String> = fresh.map(|number| format!("sip:g{}@home2.example", number + 1)).collect();
        named += members.len();
        let entries: String = members.iter().map(|uri| format!("<entry uri=\"{uri}\"/>")).collect();
        let body = format!(
            "--b1\r\nContent-Type: application/resource-lists+xml\r\nContent-ID: <m1@x>\r\n\
             Content-Disposition: recipient-list\r\n\r\n<?xml version=\"1.0\"?>\
             <resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>{entries}</list></resource-lists>\r\n--b1--\r\n"
        );
        let lines = format!("P-Refused-URI-List: <{address}>;members=\"<cid:m1@x>\"\r\n");
        stage.refuse_typed(&leg, 403, &lines, "multipart/mixed;boundary=b1", &body);
        open.extend(members);
    }
    assert!(invited <= 4 * 9, "{invited} were invited");
    let ben = stage.leg("ben");
    stage.answer(&ben, 480);
    assert_eq!(stage.told(&call), ["480 INVITE"]);
    stage.pass(ms(1));
    stage.ends_with(1);
}

/// What stands in Patrol changes while a session of it stands: that goes on as it began.
#[test]
fn a_group_that_changes_has_its_next_session_by_the_new_document() {
    let mut stage = hosting(GroupKind::Chat, &[ANNA, BEN], |_| {});
    let anna = Call::to_group(ANNA, PATROL);
    stage.invite(&anna);
    let ok = stage.established(&anna);
    stage.put_group(Group::new(Bytes::from_static(PATROL.as_bytes()), GroupKind::Chat));
    assert!(stage.told(&anna).is_empty());
    let ben = Call::to_group(BEN, PATROL);
    stage.invite(&ben);
    assert_eq!(stage.told(&ben), ["403 INVITE"], "no member any more");
    stage.bye(&anna, &ok);
    stage.ends_with(2);
}

#[test]
fn a_session_that_stands_is_joined_by_nobody_without_a_name_if_its_group_wants_names() {
    let mut stage = hosting(GroupKind::Chat, &[ANNA, BEN], |group| group.admits_anonymous = false);
    let (anna, ben) = (Call::to_group(ANNA, PATROL), Call::to_group(BEN, PATROL).with("Privacy: id\r\n"));
    stage.invite(&anna);
    stage.established(&anna);
    stage.invite(&ben);
    assert_eq!(stage.told(&ben), ["403 INVITE"]);
}

/// Its time is its own.
#[test]
fn a_session_does_not_inherit_the_end_of_the_one_before() {
    let minute = Some(Duration::from_secs(60));
    let mut stage = hosting(GroupKind::Chat, &[ANNA, BEN], |group| group.release.after = minute);
    let (anna, ben) = (Call::to_group(ANNA, PATROL), Call::to_group(BEN, PATROL));
    stage.invite(&anna);
    let ok = stage.established(&anna);
    stage.bye(&anna, &ok);
    stage.pass(Duration::from_secs(50));
    stage.invite(&ben);
    stage.established(&ben);
    stage.pass(Duration::from_secs(59));
    assert!(stage.told(&ben).is_empty());
    stage.pass(Duration::from_secs(1));
    assert_eq!(stage.told(&ben), ["BYE"]);
}

#[test]
fn a_session_of_a_group_outlives_the_account_of_who_began_it() {
    let mut stage = hosting(GroupKind::PreArranged, &[ANNA, BEN], |_| {});
    let call = Call::to_group(ANNA, PATROL);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    stage.established(&call);
    stage.remove("anna");
    assert!(stage.told(&call).is_empty(), "its Participating PoC Function leaves for it");
}

/// RFC 3515 §2.4.5: also of whom nobody has heard yet.
#[test]
fn whoever_adds_one_that_is_never_invited_is_told_so() {
    for is_released in [false, true] {
        let mut stage = hosting_with(
            |config| (config.invites_at_once, config.invites_pause) = (1, Duration::from_secs(20)),
            GroupKind::PreArranged,
            &[ANNA, BEN, CARA],
            |_| {},
        );
        let call = Call::to_group(ANNA, PATROL);
        stage.invite(&call);
        let ben = stage.leg("ben");
        stage.answer(&ben, 200);
        let ok = stage.established(&call);
        let identity = identity_of(&ok);
        let (dialog, came) = stage.refer(ANNA, &identity, DAN);
        stage.answer(&came[1], 200);
        assert_eq!(words(&stage.refer(ANNA, &identity, DAN).1), ["486 REFER"], "is to be invited already");
        if is_released {
            stage.bye(&call, &ok);
        } else {
            stage.refer(ANNA, &identity, &format!("{DAN};method=BYE"));
        }
        let last = stage.notified(&dialog).pop().expect("a NOTIFY");
        assert!(last.body().starts_with(b"SIP/2.0 487 "));
        assert!(text(&last, Name::SubscriptionState).starts_with("terminated"));
        assert_eq!(stage.invites_of("dan"), 0);
    }
}
