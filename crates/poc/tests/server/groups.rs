//! Groups: pre-arranged, chat, dispatch, and groups within lists (digest 7.1, 9.3, 10.3, 10.5, 14.6).

use bytes::Bytes;
use poc::server::{Command, Group, GroupKind, GroupRole, Input, SessionType, Who};
use sip::message::Name;
use sip::usage::End;
use sip::{Duration, Message};

use crate::stage::{Call, SDP, Stage, T1_64, group_of, identity_of, ms, text};

const ANNA: &str = "sip:anna@home1.example";
const BEN: &str = "sip:ben@home1.example";
const CARA: &str = "sip:cara@home1.example";
const DAN: &str = "sip:dan@home1.example";
const ERIN: &str = "sip:erin@home2.example";
const PATROL: &str = "sip:patrol@home1.example";

fn group(kind: GroupKind, members: &[&str]) -> Group {
    group_of(PATROL, kind, members)
}

fn stage_with(group: Group) -> Stage {
    let mut stage = Stage::new();
    stage.put_group(group);
    stage
}

fn pre_arranged() -> Stage {
    stage_with(group(GroupKind::PreArranged, &[ANNA, BEN, CARA, DAN]))
}

fn chat() -> Stage {
    stage_with(group(GroupKind::Chat, &[ANNA, BEN, CARA]))
}

/// Anna has begun the session of the group, and Ben takes part.
fn anna_and_ben_in(stage: &mut Stage) -> (Call, Message) {
    let call = Call::to_group(ANNA, PATROL);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    let ok = stage.established(&call);
    (call, ok)
}

#[test]
fn whoever_begins_a_pre_arranged_session_invites_all_other_members() {
    let mut stage = pre_arranged();
    let call = Call::to_group(ANNA, PATROL);
    stage.invite(&call);
    assert_eq!(["anna", "ben", "cara", "dan"].map(|user| stage.invites_of(user)), [0, 1, 1, 1]);
    let ben = stage.leg("ben");
    // Digest 8.5.
    assert!(text(&ben, Name::From).starts_with("<sip:patrol@home1.example>;tag="));
    assert_eq!(text(&ben, Name::ReferredBy), "<sip:anna@home1.example>");
    assert_eq!(text(&ben, Name::PAssertedIdentity), "<sip:anna@home1.example>");
    assert!(text(&ben, Name::Contact).contains("@home1.example;session=prearranged>"));
    assert!(stage.told(&call).is_empty());
    stage.answer(&ben, 200);
    let ok = stage.established(&call);
    assert_eq!(identity_of(&ok), identity_of(&ben), "one PoC Session Identity for all");
    assert_eq!(stage.sessions_of("anna"), 0, "the slot is for the Participating PoC Function to take");
}

#[test]
fn a_second_member_joins_the_session_that_stands() {
    let mut stage = pre_arranged();
    let (_, ok) = anna_and_ben_in(&mut stage);
    let cara = stage.leg("cara");
    stage.answer(&cara, 480);
    let join = Call::to_group(CARA, PATROL);
    stage.invite(&join);
    let joined = stage.established(&join);
    assert_eq!(identity_of(&joined), identity_of(&ok));
    assert_eq!(["ben", "cara", "dan"].map(|user| stage.invites_of(user)), [1, 1, 1], "a join invites nobody");
}

/// Digest 9.3, 14.6: the invitation is given up, since its user is there already.
#[test]
fn who_joins_while_being_invited_is_not_rung_any_more() {
    let mut stage = pre_arranged();
    anna_and_ben_in(&mut stage);
    let dan = stage.leg("dan");
    stage.answer(&dan, 180);
    let join = Call::to_group(DAN, PATROL);
    stage.invite(&join);
    stage.established(&join);
    let cancel = stage.seen_whole(&dan).pop().expect("a CANCEL");
    assert_eq!(text(&cancel, Name::Reason), "SIP;cause=200;text=\"Call completed elsewhere\"");
}

/// Join against creation: the INVITE of the second member finds a session whose initiator still waits.
#[test]
fn a_join_is_what_the_waiting_initiator_waits_for() {
    let mut stage = pre_arranged();
    let call = Call::to_group(ANNA, PATROL);
    stage.invite(&call);
    let join = Call::to_group(BEN, PATROL);
    stage.invite(&join);
    stage.established(&join);
    stage.established(&call);
    assert_eq!(stage.invites_of("ben"), 1);
}

/// Join against creation: the initiator gives up, and with it the session that it made.
#[test]
fn the_cancel_of_the_initiator_ends_a_session_that_somebody_has_joined() {
    let mut stage =
        stage_with(Group { participants_min: 3, ..group(GroupKind::PreArranged, &[ANNA, BEN, CARA, DAN]) });
    let call = Call::to_group(ANNA, PATROL);
    stage.invite(&call);
    let join = Call::to_group(BEN, PATROL);
    stage.invite(&join);
    let joined = stage.established(&join);
    let cara = stage.leg("cara");
    stage.answer(&cara, 180);
    assert_eq!(stage.told(&call), ["180 INVITE"]);
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["200 CANCEL", "487 INVITE"]);
    assert_eq!(stage.told(&join), ["BYE"]);
    assert_eq!(stage.seen(&cara), ["INVITE", "CANCEL"]);
    let again = Call::to_group(BEN, identity_of(&joined).as_str()).again();
    stage.invite(&again);
    assert_eq!(stage.told(&again), ["404 INVITE"], "the identity names nothing any more");
}

/// Case 5: the session waits for as many as it must have.
#[test]
fn a_session_begins_with_as_many_as_its_group_wants() {
    let mut stage =
        stage_with(Group { participants_min: 3, ..group(GroupKind::PreArranged, &[ANNA, BEN, CARA, DAN]) });
    let call = Call::to_group(ANNA, PATROL);
    stage.invite(&call);
    let (ben, cara, dan) = (stage.leg("ben"), stage.leg("cara"), stage.leg("dan"));
    stage.answer(&ben, 200);
    assert!(stage.told(&call).is_empty());
    stage.answer(&dan, 480);
    assert!(stage.told(&call).is_empty());
    stage.answer(&cara, 200);
    stage.established(&call);
}

/// The 183 of one is no promise for the others.
#[test]
fn an_early_answer_is_not_given_for_a_group_that_wants_more_than_one() {
    for (minimum, told) in [(2, true), (3, false)] {
        let mut stage = Stage::with(|config| config.early_answer = true);
        stage.put_group(Group {
            participants_min: minimum,
            ..group(GroupKind::PreArranged, &[ANNA, BEN, CARA])
        });
        let call = Call::to_group(ANNA, PATROL);
        stage.invite(&call);
        let ben = stage.leg("ben");
        stage.answer_saying(&ben, 183, "P-Answer-State: Unconfirmed\r\n", "");
        assert_eq!(stage.told(&call).contains(&"200 INVITE".to_owned()), told, "{minimum}");
    }
}

/// The server does not transcode: what the first one has taken, all have.
#[test]
fn whoever_is_invited_takes_the_codec_that_the_first_one_took() {
    let two = SDP
        .replace("RTP/AVP 97", "RTP/AVP 97 0")
        .replace("a=fmtp:97 octet-align=1\r\n", "a=fmtp:97 octet-align=1\r\na=rtpmap:0 PCMU/8000\r\n");
    let only = |format: &str| {
        let lines = if format == "0" {
            "a=rtpmap:0 PCMU/8000\r\n"
        } else {
            "a=rtpmap:97 AMR/8000\r\na=fmtp:97 octet-align=1\r\n"
        };
        SDP.replace("RTP/AVP 97", &format!("RTP/AVP {format}"))
            .replace("a=rtpmap:97 AMR/8000\r\na=fmtp:97 octet-align=1\r\n", lines)
    };
    let mut stage = Stage::new();
    let list = Call::listing(ANNA, &[BEN, CARA]);
    let call = list.clone().with_body(&list.body().replace(SDP, &two));
    stage.invite(&call);
    let (ben, cara) = (stage.leg("ben"), stage.leg("cara"));
    stage.answer_saying(&ben, 200, "", &only("0"));
    stage.answer_saying(&cara, 200, "", &only("97"));
    stage.established(&call);
    assert_eq!(stage.seen(&ben), ["INVITE", "ACK"]);
    assert_eq!(stage.seen(&cara), ["INVITE", "ACK", "BYE"]);
}

#[test]
fn a_session_that_cannot_have_as_many_any_more_ends_at_once() {
    let mut stage =
        stage_with(Group { participants_min: 3, ..group(GroupKind::PreArranged, &[ANNA, BEN, CARA]) });
    let call = Call::to_group(ANNA, PATROL);
    stage.invite(&call);
    let (ben, cara) = (stage.leg("ben"), stage.leg("cara"));
    stage.answer(&ben, 200);
    stage.answer(&cara, 480);
    assert_eq!(stage.told(&call), ["480 INVITE"]);
    assert_eq!(stage.seen(&ben), ["INVITE", "ACK", "BYE"]);
}

/// Case 5: cancelled while it waits, whoever has accepted is released.
#[test]
fn a_cancel_while_the_minimum_is_awaited_releases_who_has_accepted() {
    let mut stage =
        stage_with(Group { participants_min: 4, ..group(GroupKind::PreArranged, &[ANNA, BEN, CARA, DAN]) });
    let call = Call::to_group(ANNA, PATROL);
    stage.invite(&call);
    let (ben, cara) = (stage.leg("ben"), stage.leg("cara"));
    stage.answer(&ben, 200);
    stage.answer(&cara, 180);
    assert_eq!(stage.told(&call), ["180 INVITE"]);
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["200 CANCEL", "487 INVITE"]);
    assert_eq!(stage.seen(&ben), ["INVITE", "ACK", "BYE"]);
    assert_eq!(stage.seen(&cara), ["INVITE", "CANCEL"]);
    stage.ends_with(1);
    assert_eq!(stage.records[0].end, End::Cancelled);
    assert_eq!(stage.records[0].group, PATROL);
    assert_eq!(stage.records[0].session_type, Some(SessionType::PreArranged));
}

#[test]
fn a_group_may_be_begun_and_joined_by_those_whom_it_lets() {
    for (change, inviter, told) in [
        (&(|_: &mut Group| {}) as &dyn Fn(&mut Group), ERIN, "403 INVITE"),
        (&|group: &mut Group| group.is_enabled = false, ANNA, "403 INVITE"),
        (&|group: &mut Group| group.initiates = Who::Distinguished, ANNA, "403 INVITE"),
        (&|group: &mut Group| group.members.clear(), ANNA, "403 INVITE"),
        (&|group: &mut Group| group.members.truncate(1), ANNA, "404 INVITE"),
    ] {
        let mut group = group(GroupKind::PreArranged, &[ANNA, BEN]);
        change(&mut group);
        let mut stage = stage_with(group);
        let call = Call::to_group(inviter, PATROL);
        stage.invite(&call);
        assert_eq!(stage.told(&call), [told]);
        assert_eq!(stage.invites_of("ben"), 0);
        stage.ends_with(1);
    }
}

/// RFC 5079, Q3.
#[test]
fn a_group_that_wants_names_refuses_an_anonymous_one() {
    for (agent, told) in [("PoC-client/OMA1.0 x", "403 INVITE"), ("PoC-client/OMA2.0 x", "433 INVITE")] {
        let mut stage = stage_with(Group { admits_anonymous: false, ..group(GroupKind::Chat, &[ANNA, BEN]) });
        let call = Call::to_group(ANNA, PATROL).with(&format!("Privacy: id\r\nUser-Agent: {agent}\r\n"));
        stage.invite(&call);
        assert_eq!(stage.told(&call), [told]);
    }
}

#[test]
fn a_chat_group_invites_nobody_and_is_joined_at_once() {
    let mut stage = chat();
    let anna = Call::to_group(ANNA, PATROL);
    stage.invite(&anna);
    let first = stage.established(&anna);
    assert!(text(&first, Name::Contact).contains(";session=chat>"));
    assert_eq!(stage.invites_of("ben"), 0);
    let ben = Call::to_group(BEN, PATROL);
    stage.invite(&ben);
    let second = stage.established(&ben);
    assert_eq!(identity_of(&first), identity_of(&second));
    let erin = Call::to_group(ERIN, PATROL);
    stage.invite(&erin);
    assert_eq!(stage.told(&erin), ["403 INVITE"], "it is restricted");
    stage.bye(&anna, &first);
    assert_eq!(stage.told(&anna), ["200 BYE"]);
    assert!(stage.told(&ben).is_empty(), "a chat goes on with one");
    assert_eq!(stage.records.len(), 2, "the record of a join is closed when its leg has ended");
    stage.bye(&ben, &second);
    stage.ends_with(3);
    assert!(stage.records.iter().all(|record| record.invitations.is_empty()));
}

#[test]
fn an_open_chat_group_is_open_to_everybody_who_has_a_name() {
    let mut stage = stage_with(Group { joins: Who::Anybody, ..group(GroupKind::Chat, &[ANNA]) });
    let erin = Call::to_group(ERIN, PATROL);
    stage.invite(&erin);
    stage.established(&erin);
    let nobody = Call::to_group(ERIN, PATROL).without("P-Asserted-Identity").again();
    stage.invite(&nobody);
    assert_eq!(stage.told(&nobody), ["403 INVITE"]);
}

#[test]
fn a_full_chat_is_486_and_has_room_again_when_somebody_leaves() {
    let mut stage = stage_with(Group { participants_max: 2, ..group(GroupKind::Chat, &[ANNA, BEN, CARA]) });
    let (anna, ben) = (Call::to_group(ANNA, PATROL), Call::to_group(BEN, PATROL));
    stage.invite(&anna);
    stage.established(&anna);
    stage.invite(&ben);
    let ok = stage.established(&ben);
    let cara = Call::to_group(CARA, PATROL);
    stage.invite(&cara);
    assert_eq!(stage.told(&cara), ["486 INVITE"]);
    stage.bye(&ben, &ok);
    let cara = cara.again();
    stage.invite(&cara);
    stage.established(&cara);
}

/// T18, case 6: the CANCEL finds the join answered, has no effect, and the BYE behind it removes the joiner alone.
#[test]
fn a_cancelled_join_disturbs_nobody() {
    let mut stage = chat();
    let anna = Call::to_group(ANNA, PATROL);
    stage.invite(&anna);
    stage.established(&anna);
    let ben = Call::to_group(BEN, PATROL);
    stage.invite(&ben);
    stage.cancel(&ben);
    let ok = stage.response(&ben, "200 INVITE");
    stage.ack(&ben, &ok);
    stage.bye(&ben, &ok);
    assert_eq!(stage.told(&ben), ["200 BYE"]);
    stage.pass(T1_64);
    assert!(stage.told(&anna).is_empty());
}

/// Digest 9.3: after a loss of coverage the server still has the old leg.
#[test]
fn who_comes_again_leaves_the_former_leg() {
    let mut stage = chat();
    let (anna, ben) = (Call::to_group(ANNA, PATROL), Call::to_group(BEN, PATROL));
    stage.invite(&anna);
    let ok = stage.established(&anna);
    stage.invite(&ben);
    stage.established(&ben);
    let again = Call::to_group(BEN, &identity_of(&ok)).again();
    stage.invite(&again);
    stage.established(&again);
    assert_eq!(stage.told(&ben), ["BYE"]);
    assert!(stage.told(&anna).is_empty());
}

#[test]
fn who_was_in_an_ad_hoc_session_comes_back_by_its_identity_and_nobody_else_does() {
    let mut stage = Stage::new();
    let call = Call::listing(ANNA, &[BEN, CARA]);
    stage.invite(&call);
    let (ben, cara) = (stage.leg("ben"), stage.leg("cara"));
    stage.answer(&ben, 200);
    stage.answer(&cara, 200);
    let ok = stage.established(&call);
    stage.leg_sends(&ben, "BYE", 1, "", "");
    let back = Call::to_group(BEN, &identity_of(&ok));
    stage.invite(&back);
    stage.established(&back);
    let dan = Call::to_group(DAN, &identity_of(&ok));
    stage.invite(&dan);
    assert_eq!(stage.told(&dan), ["403 INVITE"]);
    let unknown = Call::to_group(DAN, "sip:010120304050607080900abc@home1.example").again();
    stage.invite(&unknown);
    assert_ne!(stage.told(&unknown), ["200 INVITE"]);
}

/// What a group says now counts for whoever wants in, by whatever address.
#[test]
fn who_is_no_member_any_more_does_not_come_back_by_the_identity_of_the_session() {
    let mut stage = chat();
    let (anna, ben) = (Call::to_group(ANNA, PATROL), Call::to_group(BEN, PATROL));
    stage.invite(&anna);
    let ok = stage.established(&anna);
    stage.invite(&ben);
    let joined = stage.established(&ben);
    stage.bye(&ben, &joined);
    stage.put_group(group(GroupKind::Chat, &[ANNA, CARA]));
    let back = Call::to_group(BEN, &identity_of(&ok)).again();
    stage.invite(&back);
    assert_eq!(stage.told(&back), ["403 INVITE"]);
}

/// Digest 10.5: a group whose session ends with its initiator.
#[test]
fn a_session_ends_with_its_initiator_if_its_group_wants_so() {
    for is_bound in [false, true] {
        let mut group = group(GroupKind::PreArranged, &[ANNA, BEN, CARA]);
        group.release.with_initiator = is_bound;
        let mut stage = stage_with(group);
        let call = Call::to_group(ANNA, PATROL);
        stage.invite(&call);
        let (ben, cara) = (stage.leg("ben"), stage.leg("cara"));
        stage.answer(&ben, 200);
        stage.answer(&cara, 200);
        let ok = stage.established(&call);
        stage.seen(&ben);
        stage.bye(&call, &ok);
        let seen = stage.seen(&ben);
        assert_eq!(seen.contains(&"BYE".to_owned()), is_bound);
    }
}

#[test]
fn a_session_ends_when_it_has_lasted_long_enough() {
    let mut group = group(GroupKind::Chat, &[ANNA, BEN]);
    group.release.after = Some(Duration::from_secs(600));
    let mut stage = stage_with(group);
    let anna = Call::to_group(ANNA, PATROL);
    stage.invite(&anna);
    stage.established(&anna);
    stage.pass(Duration::from_secs(599));
    assert!(stage.told(&anna).is_empty());
    stage.pass(Duration::from_secs(1));
    assert_eq!(stage.told(&anna), ["BYE"]);
    stage.ends_with(1);
}

#[test]
fn a_group_that_is_removed_has_no_session_any_more() {
    let mut stage = chat();
    let anna = Call::to_group(ANNA, PATROL);
    stage.invite(&anna);
    stage.established(&anna);
    stage.input(Input::Command(Command::RemoveGroup { address: Bytes::from_static(PATROL.as_bytes()) }));
    assert_eq!(stage.told(&anna), ["BYE"]);
    let ben = Call::to_group(BEN, PATROL);
    stage.invite(&ben);
    assert_eq!(stage.told(&ben), ["404 INVITE"]);
}

/// 1-many-1: the dispatcher begins, and without one nothing goes on.
#[test]
fn a_dispatch_session_needs_its_dispatcher() {
    let mut group = group(GroupKind::Dispatch, &[ANNA, BEN, CARA]);
    group.members[0].role = GroupRole::Distinguished;
    group.release.with_initiator = false;
    let mut stage = stage_with(group);
    let ben = Call::to_group(BEN, PATROL);
    stage.invite(&ben);
    assert_eq!(stage.told(&ben), ["403 INVITE"]);
    let call = Call::to_group(ANNA, PATROL);
    stage.invite(&call);
    let (ben, cara) = (stage.leg("ben"), stage.leg("cara"));
    stage.answer(&ben, 200);
    stage.answer(&cara, 200);
    let ok = stage.established(&call);
    stage.bye(&call, &ok);
    assert!(stage.seen(&ben).contains(&"BYE".to_owned()) && stage.seen(&cara).contains(&"BYE".to_owned()));
}

#[test]
fn ordinary_participants_of_a_dispatch_session_hear_only_the_dispatcher() {
    use GroupRole::{Distinguished, Ordinary};
    for (kind, listener, talker, hears) in [
        (GroupKind::Dispatch, Ordinary, Ordinary, false),
        (GroupKind::Dispatch, Ordinary, Distinguished, true),
        (GroupKind::Dispatch, Distinguished, Ordinary, true),
        (GroupKind::Dispatch, Distinguished, Distinguished, true),
        (GroupKind::PreArranged, Ordinary, Ordinary, true),
    ] {
        assert_eq!(listener.hears(talker, kind), hears, "{listener:?} {talker:?}");
    }
}

/// RFC 5318 §3, digest 10.2 row 3: this server is not the Controlling PoC Function.
#[test]
fn a_focus_that_invites_a_group_is_told_its_members() {
    let mut stage = pre_arranged();
    let call = Call::terminating(ANNA, PATROL);
    stage.invite(&call);
    let refusal = stage.response(&call, "403 INVITE");
    assert!(text(&refusal, Name::PRefusedUriList).starts_with("<sip:patrol@home1.example>;members="));
    let body = String::from_utf8_lossy(refusal.body()).into_owned();
    assert!([ANNA, BEN, CARA, DAN].iter().all(|member| body.contains(member)), "{body}");
    stage.ack(&call, &refusal);
    let stranger = Call::terminating(ERIN, PATROL);
    stage.invite(&stranger);
    let refusal = stage.response(&stranger, "403 INVITE");
    assert_eq!(refusal.value(Name::PRefusedUriList), None, "who may not begin it does not learn them");
    stage.ack(&stranger, &refusal);
    stage.ends_with(2);
}

const REMOTE: &str = "sip:remote@home2.example";

/// The 403 of the server that hosts a group.
fn refuse_with(stage: &mut Stage, leg: &Message, group: &str, members: &[&str]) {
    let entries: String = members.iter().map(|uri| format!("<entry uri=\"{uri}\"/>")).collect();
    let list = format!(
        "<?xml version=\"1.0\"?><resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>{entries}</list></resource-lists>"
    );
    let body = format!(
        "--b1\r\nContent-Type: application/resource-lists+xml\r\nContent-ID: <m1@x>\r\n\
         Content-Disposition: recipient-list\r\n\r\n{list}\r\n--b1--\r\n"
    );
    let lines = format!("P-Refused-URI-List: <{group}>;members=\"<cid:m1@x>\"\r\n");
    stage.refuse_typed(leg, 403, &lines, "multipart/mixed;boundary=b1", &body);
}

/// Digest 10.3 step 9.
#[test]
fn the_members_of_a_refused_group_take_its_place() {
    let mut stage = Stage::new();
    let call = Call::listing(ANNA, &[BEN, REMOTE]);
    stage.invite(&call);
    let remote = stage.leg_to(REMOTE);
    refuse_with(&mut stage, &remote, REMOTE, &[ERIN, BEN, ANNA, CARA, CARA]);
    assert_eq!(stage.seen(&remote), ["INVITE", "ACK"]);
    assert_eq!(
        ["anna", "ben", "cara"].map(|user| stage.invites_of(user)),
        [0, 1, 1],
        "each once, and no inviter"
    );
    stage.leg_to(ERIN);
    let ben = stage.leg("ben");
    stage.answer(&ben, 480);
    assert!(stage.told(&call).is_empty(), "others are still asked");
    let cara = stage.leg("cara");
    stage.answer(&cara, 200);
    stage.established(&call);
}

/// RFC 3515 §2.4.5: the progress is that of the members, and ends once.
#[test]
fn whoever_adds_a_group_hears_how_its_members_answer() {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, BEN);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    let identity = identity_of(&stage.established(&call));
    let (dialog, came) = stage.refer(ANNA, &identity, REMOTE);
    stage.answer(&came[1], 200);
    let remote = stage.leg_to(REMOTE);
    refuse_with(&mut stage, &remote, REMOTE, &[CARA, DAN]);
    assert!(stage.notified(&dialog).is_empty());
    let (cara, dan) = (stage.leg("cara"), stage.leg("dan"));
    stage.answer(&cara, 200);
    stage.answer(&dan, 480);
    let notified = stage.notified(&dialog);
    assert_eq!(notified.len(), 1);
    assert!(notified[0].body().starts_with(b"SIP/2.0 200"));
    assert!(text(&notified[0], Name::SubscriptionState).starts_with("terminated"));
}

/// Loops: each group once, so deep and no deeper.
#[test]
fn groups_that_name_each_other_end_somewhere() {
    let mut stage = Stage::new();
    let call = Call::listing(ANNA, &[REMOTE, PATROL]);
    stage.invite(&call);
    let remote = stage.leg_to(REMOTE);
    refuse_with(&mut stage, &remote, REMOTE, &[PATROL, REMOTE]);
    let patrol = stage.leg_to(PATROL);
    refuse_with(&mut stage, &patrol, PATROL, &[REMOTE, PATROL]);
    assert_eq!(stage.told(&call), ["480 INVITE"]);
    stage.ends_with(1);
    let mut stage = Stage::new();
    let call = Call::listing(ANNA, &[REMOTE, BEN]);
    stage.invite(&call);
    let mut depth = 0;
    let mut group = REMOTE.to_owned();
    while stage.invites_to(&group) == 1 {
        depth += 1;
        let leg = stage.leg_to(&group);
        let deeper = format!("sip:deeper{depth}@home2.example");
        refuse_with(&mut stage, &leg, &group, &[&deeper]);
        group = deeper;
        assert!(depth < 10, "no end");
    }
    assert_eq!(depth, 4);
}

#[test]
fn a_group_with_more_members_than_may_come_is_refused_as_a_whole() {
    let mut stage = Stage::with(|config| config.invited_max = 3);
    let call = Call::listing(ANNA, &[REMOTE, BEN]);
    stage.invite(&call);
    let remote = stage.leg_to(REMOTE);
    refuse_with(&mut stage, &remote, REMOTE, &[CARA, DAN, ERIN]);
    assert_eq!(["cara", "dan"].map(|user| stage.invites_of(user)), [0, 0]);
}

/// Digest 14.6 step 3: "nested list not resolved".
#[test]
fn a_cancel_while_a_list_within_a_list_is_resolved_invites_nobody_of_it() {
    let mut stage = Stage::new();
    let call = Call::listing(ANNA, &[REMOTE]);
    stage.invite(&call);
    let remote = stage.leg_to(REMOTE);
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["200 CANCEL", "487 INVITE"]);
    refuse_with(&mut stage, &remote, REMOTE, &[BEN, CARA]);
    assert_eq!(["ben", "cara"].map(|user| stage.invites_of(user)), [0, 0]);
    stage.ends_with(1);
}

/// C66: the CANCEL comes after the k-th INVITE has left, for every k that the pace allows.
#[test]
fn a_fan_out_of_1000_members_is_interrupted_after_any_number_of_invites() {
    let members: Vec<String> = (0..1000).map(|number| format!("sip:m{number}@home1.example")).collect();
    let mut listed = vec![ANNA];
    listed.extend(members.iter().map(String::as_str));
    for sent in (0..=1000).step_by(40) {
        let at_once = if sent == 0 { 1 } else { 40 };
        let mut stage = Stage::with(|config| config.invites_at_once = at_once);
        stage.put_group(Group { participants_max: 1001, ..group(GroupKind::PreArranged, &listed) });
        let call = Call::to_group(ANNA, PATROL);
        stage.invite(&call);
        stage.pass(ms(10) * (u32::try_from(sent / 40).unwrap().saturating_sub(1)));
        let before: Vec<bool> = members.iter().map(|member| stage.invites_to(member) == 1).collect();
        let invited = before.iter().filter(|is_invited| **is_invited).count();
        assert_eq!(invited, if sent == 0 { 1 } else { sent });
        stage.told(&call);
        stage.cancel(&call);
        assert_eq!(stage.told(&call), ["200 CANCEL", "487 INVITE"]);
        for member in members.iter().take(invited) {
            let leg = stage.leg_to(member);
            stage.answer(&leg, 180);
            assert_eq!(stage.seen(&leg), ["INVITE", "CANCEL"], "{member}");
            stage.answer(&leg, 487);
        }
        stage.pass(Duration::from_secs(1));
        let after: Vec<bool> = members.iter().map(|member| stage.invites_to(member) == 1).collect();
        assert_eq!(before, after, "nobody is invited after the CANCEL");
        stage.ends_with(1);
    }
}
