//! REFER to a PoC Session: adding, removing, taking back (digest 9.4, 10.7, 14.6 step 5).

use sip::Message;
use sip::message::Name;
use sip::usage::End;

use crate::stage::{Call, Stage, T1_64, identity_of, text, words};

const ANNA: &str = "sip:anna@home1.example";
const BEN: &str = "sip:ben@home1.example";
const CARA: &str = "sip:cara@home1.example";
const DAN: &str = "sip:dan@home1.example";

/// Anna and Ben talk.
fn anna_and_ben() -> (Stage, Call, Message, String) {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, BEN);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    let ok = stage.established(&call);
    stage.seen(&ben);
    (stage, call, ok.clone(), identity_of(&ok))
}

/// What the NOTIFYs of a REFER say, and how the last one leaves the subscription.
fn progress(stage: &mut Stage, dialog: &str) -> Vec<String> {
    let line = |notify: &Message| {
        let body = String::from_utf8_lossy(notify.body()).into_owned();
        let state = text(notify, Name::SubscriptionState).split(';').next().unwrap_or_default().to_owned();
        format!("{} {state}", body.split_whitespace().nth(1).unwrap_or_default())
    };
    stage.notified(dialog).iter().map(line).collect()
}

#[test]
fn a_participant_adds_a_user_and_hears_how_that_goes() {
    let (mut stage, call, ok, identity) = anna_and_ben();
    let (dialog, came) = stage.refer(BEN, &identity, CARA);
    assert_eq!(words(&came), ["200 REFER", "NOTIFY"]);
    stage.answer(&came[1], 200);
    let cara = stage.leg("cara");
    stage.answer(&cara, 180);
    assert_eq!(progress(&mut stage, &dialog), ["180 active"]);
    stage.answer(&cara, 200);
    assert_eq!(progress(&mut stage, &dialog), ["200 terminated"]);
    stage.bye(&call, &ok);
    assert_eq!(stage.told(&call), ["200 BYE"]);
    assert!(!stage.seen(&cara).contains(&"BYE".to_owned()), "two go on");
}

/// Digest 10.2: whom the invited user lets invite is who adds, not who began.
#[test]
fn whoever_is_added_is_invited_in_the_name_of_who_adds() {
    let (mut stage, _, _, identity) = anna_and_ben();
    let (_, came) = stage.refer(BEN, &identity, CARA);
    stage.answer(&came[1], 200);
    let cara = stage.leg("cara");
    assert!(text(&cara, Name::From).starts_with("<sip:ben@home1.example>;tag="));
    assert_eq!(text(&cara, Name::PAssertedIdentity), "<sip:ben@home1.example>");
    assert_eq!(text(&cara, Name::ReferredBy), "<sip:ben@home1.example>");
}

#[test]
fn whoever_is_added_may_refuse_and_the_session_goes_on() {
    let (mut stage, call, _, identity) = anna_and_ben();
    let (dialog, came) = stage.refer(ANNA, &identity, CARA);
    stage.answer(&came[1], 200);
    let cara = stage.leg("cara");
    stage.answer(&cara, 480);
    assert_eq!(progress(&mut stage, &dialog), ["480 terminated"]);
    assert!(stage.told(&call).is_empty());
}

#[test]
fn only_a_participant_adds_and_nobody_twice() {
    let (mut stage, _, _, identity) = anna_and_ben();
    for (who, target, told) in [
        (DAN, CARA, "403 REFER"),
        (ANNA, BEN, "486 REFER"),
        (ANNA, "mailto:cara@home1.example", "400 REFER"),
        (ANNA, "sip:cara@home1.example;method=OPTIONS", "400 REFER"),
        (ANNA, "cid:nothing@here", "400 REFER"),
    ] {
        assert_eq!(words(&stage.refer(who, &identity, target).1), [told], "{who} {target}");
    }
    assert_eq!(stage.invites_of("cara"), 0);
}

/// "REFER to nowhere", and digest 14.6 step 5: the session has been cancelled before.
#[test]
fn a_refer_to_a_session_that_is_gone_invites_nobody() {
    let (mut stage, call, ok, identity) = anna_and_ben();
    stage.bye(&call, &ok);
    assert_eq!(words(&stage.refer(ANNA, &identity, CARA).1), ["404 REFER"]);
    assert_eq!(words(&stage.refer(ANNA, "sip:nowhere@home1.example", CARA).1), ["404 REFER"]);
    assert_eq!(stage.invites_of("cara"), 0);
}

/// RFC 5368.
#[test]
fn a_list_of_users_is_added_at_once() {
    let (mut stage, _, _, identity) = anna_and_ben();
    let list = format!(
        "<?xml version=\"1.0\"?><resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>\
         <entry uri=\"{CARA}\"/><entry uri=\"{DAN}\"/><entry uri=\"{BEN}\"/></list></resource-lists>"
    );
    let lines = "Refer-To: <cid:list@anna>\r\nRefer-Sub: false\r\nSupported: norefersub\r\nRequire: multiple-refer\r\n\
        Content-Type: application/resource-lists+xml\r\nContent-Disposition: recipient-list\r\nContent-ID: <list@anna>\r\n";
    let (_, came) = stage.request(ANNA, "REFER", &identity, lines, &list);
    assert_eq!(words(&came), ["200 REFER"]);
    assert_eq!(["ben", "cara", "dan"].map(|user| stage.invites_of(user)), [1, 1, 1]);
}

/// C74: one ringing invitation is taken back, the other rings on.
#[test]
fn an_invitation_that_rings_is_taken_back_and_no_other() {
    let (mut stage, call, _, identity) = anna_and_ben();
    let (added, came) = stage.refer(ANNA, &identity, CARA);
    stage.answer(&came[1], 200);
    stage.refer(ANNA, &identity, DAN);
    let (cara, dan) = (stage.leg("cara"), stage.leg("dan"));
    stage.answer(&cara, 180);
    stage.answer(&dan, 180);
    progress(&mut stage, &added);
    let (_, came) = stage.refer(ANNA, &identity, &format!("{CARA};method=BYE"));
    assert_eq!(words(&came), ["200 REFER", "NOTIFY"]);
    assert_eq!(stage.seen(&cara), ["INVITE", "CANCEL"]);
    assert_eq!(stage.seen(&dan), ["INVITE"]);
    stage.answer(&cara, 487);
    assert_eq!(progress(&mut stage, &added), ["480 terminated"]);
    assert!(stage.told(&call).is_empty());
}

/// The same before anything was heard of it, and crossing an answer.
#[test]
fn an_invitation_that_is_taken_back_never_becomes_a_participant() {
    let (mut stage, call, _, identity) = anna_and_ben();
    stage.refer(ANNA, &identity, CARA);
    let cara = stage.leg("cara");
    stage.refer(ANNA, &identity, &format!("{CARA};method=BYE"));
    assert_eq!(stage.seen(&cara), ["INVITE"], "no CANCEL before a provisional response");
    stage.answer(&cara, 200);
    assert_eq!(stage.seen(&cara), ["ACK", "BYE"]);
    assert!(stage.told(&call).is_empty());
}

#[test]
fn the_initiator_removes_a_participant_and_others_do_not() {
    let mut stage = Stage::new();
    let call = Call::listing(ANNA, &[BEN, CARA]);
    stage.invite(&call);
    let (ben, cara) = (stage.leg("ben"), stage.leg("cara"));
    stage.answer(&ben, 200);
    stage.answer(&cara, 200);
    let identity = identity_of(&stage.established(&call));
    stage.seen(&ben);
    let remove_ben = format!("{BEN};method=BYE");
    assert_eq!(words(&stage.refer(CARA, &identity, &remove_ben).1), ["403 REFER"]);
    assert_eq!(words(&stage.refer(ANNA, &identity, &remove_ben).1)[0], "200 REFER");
    assert_eq!(stage.seen(&ben), ["BYE"]);
    let back = Call::to_group(BEN, &identity);
    stage.invite(&back);
    assert_eq!(stage.told(&back), ["403 INVITE"], "who was removed does not come back by itself");
    assert_eq!(
        words(&stage.refer(ANNA, &identity, &remove_ben).1),
        ["404 REFER"],
        "and cannot be removed twice"
    );
    // Everybody may remove oneself.
    assert_eq!(words(&stage.refer(CARA, &identity, &format!("{identity};method=BYE")).1)[0], "200 REFER");
    assert_eq!(stage.told(&call), ["BYE"], "nobody is left but the initiator");
    stage.pass(T1_64);
}

/// C74 before anybody has accepted: the others ring on, and the last one that is taken back is a failure.
#[test]
fn a_waiting_initiator_takes_back_one_invitation_after_the_other() {
    let mut stage = Stage::new();
    let call = Call::listing(ANNA, &[BEN, CARA]);
    stage.invite(&call);
    let (ben, cara) = (stage.leg("ben"), stage.leg("cara"));
    stage.answer(&ben, 180);
    stage.answer(&cara, 180);
    stage.told(&call);
    let identity = identity_of(&ben);
    assert_eq!(words(&stage.refer(ANNA, &identity, &format!("{BEN};method=BYE")).1)[0], "200 REFER");
    assert_eq!(stage.seen(&ben), ["INVITE", "CANCEL"]);
    assert_eq!(stage.seen(&cara), ["INVITE"]);
    assert!(stage.told(&call).is_empty());
    stage.refer(ANNA, &identity, &format!("{CARA};method=BYE"));
    assert_eq!(stage.told(&call), ["480 INVITE"]);
    stage.answer(&ben, 487);
    stage.ends_with(1);
    assert_eq!(stage.records[0].end, End::Rejected);
}

/// RFC 5366 §4, RFC 5364 §4.
#[test]
fn who_is_invited_too_is_shown_as_far_as_the_inviter_lets_it() {
    let mut stage = Stage::new();
    let list = Call::listing(ANNA, &[BEN, CARA, DAN]);
    let shown = list
        .body()
        .replace("<resource-lists ", "<resource-lists xmlns:cp=\"urn:ietf:params:xml:ns:copycontrol\" ")
        .replace(&format!("{BEN}\""), &format!("{BEN}\" cp:copyControl=\"to\""))
        .replace(&format!("{CARA}\""), &format!("{CARA}\" cp:copyControl=\"cc\" cp:anonymize=\"true\""));
    stage.invite(&list.with_body(&shown));
    let ben = stage.leg("ben");
    assert!(text(&ben, Name::ContentType).starts_with("multipart/mixed"));
    let body = String::from_utf8_lossy(ben.body()).into_owned();
    assert!(body.contains("Content-Disposition: recipient-list-history; handling=optional"), "{body}");
    assert!(
        body.contains("m=audio 45200") && body.contains(BEN) && body.contains("sip:anonymous@"),
        "{body}"
    );
    assert!(!body.contains(CARA) && !body.contains(DAN), "{body}");
    let mut stage = Stage::new();
    stage.invite(&Call::listing(ANNA, &[BEN, CARA]));
    assert_eq!(text(&stage.leg("ben"), Name::ContentType), "application/sdp");
}

#[test]
fn a_session_has_room_for_so_many_and_no_more() {
    let mut stage = Stage::with(|config| config.invited_max = 2);
    let call = Call::listing(ANNA, &[BEN, CARA]);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    let identity = identity_of(&stage.established(&call));
    assert_eq!(words(&stage.refer(ANNA, &identity, DAN).1), ["486 REFER"]);
}
