//! Users whose terminal is a SIP phone: it knows nothing of PoC, publishes nothing, and has no talk burst control.

use poc::server::{Group, GroupKind};
use sip::message::Name;

use crate::stage::*;

const ANNA: &str = "sip:anna@home1.example";
const BEN: &str = "sip:ben@home1.example";
const EVE: &str = "sip:eve@home1.example";
const PATROL: &str = "sip:patrol@home1.example";

const AUDIO: &str = "v=0\r\no=- 9 1 IN IP4 192.0.2.88\r\ns=-\r\nc=IN IP4 192.0.2.88\r\nt=0 0\r\n\
    m=audio 40000 RTP/AVP 97\r\na=rtpmap:97 AMR/8000\r\na=fmtp:97 octet-align=1\r\n";

/// RFC 3264 §6: what the phone does not know it refuses with port 0.
fn answer_without_control() -> String {
    format!("{AUDIO}m=application 0 udp TBCP\r\n")
}

/// Anna, Ben and Eve, who has a plain phone, are in a group.
fn stage(kind: GroupKind) -> Stage {
    let mut stage = Stage::with(|config| config.connects = false);
    stage.change("eve", |user| user.plain_phone = true);
    stage.put_group(group_of(PATROL, kind, &[ANNA, BEN, EVE]));
    stage
}

/// Digest 10.2 row 2: nobody else is invited without settings.
#[test]
fn a_plain_phone_is_asked_without_having_published_anything() {
    let mut stage = stage(GroupKind::PreArranged);
    let call = Call::terminating(ANNA, EVE);
    stage.invite(&call);
    let eve = stage.leg("eve");
    // RFC 3841 §7.2.4: as a wish, so that a contact without the feature is tried too.
    assert_eq!(text(&eve, Name::AcceptContact), "*;+g.poc.talkburst");
    assert_eq!(text(&eve, Name::AnswerMode), "Manual");
    stage.answer(&eve, 180);
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["180 INVITE", "200 CANCEL", "487 INVITE"]);
    assert!(stage.seen(&eve).contains(&"CANCEL".to_owned()));
    stage.answer_saying(&eve, 487, "", "");
    stage.ends_with(1);
}

#[test]
fn whoever_has_no_plain_phone_and_has_published_nothing_is_not_invited() {
    let mut stage = stage(GroupKind::PreArranged);
    stage.change("eve", |_| {});
    let call = Call::terminating(ANNA, EVE);
    stage.invite(&call);
    assert_eq!((stage.told(&call), stage.invites_of("eve")), (vec!["480 INVITE".to_owned()], 0));
    stage.ends_with(1);
}

/// Digest 8.3: no control line where one is required is a 488; of a plain phone none is.
#[test]
fn a_plain_phone_takes_part_without_talk_burst_control_and_nobody_else_does() {
    for (is_plain, told) in [(true, "200 INVITE"), (false, "488 INVITE")] {
        let mut stage = stage(GroupKind::PreArranged);
        stage.change("eve", |user| user.plain_phone = is_plain);
        let call = Call::originating(ANNA, EVE);
        stage.invite(&call);
        let eve = stage.leg("eve");
        assert!(String::from_utf8_lossy(eve.body()).contains("udp TBCP"), "it is offered");
        stage.answer_saying(&eve, 200, "", &answer_without_control());
        if is_plain {
            let response = stage.response(&call, told);
            assert!(String::from_utf8_lossy(response.body()).contains("udp TBCP"), "Anna has it");
            stage.bye(&call, &response);
            stage.answer_all(&eve, "BYE", 200);
        } else {
            stage.answer_all(&eve, "BYE", 200);
            assert_eq!(stage.told(&call), [told]);
        }
        stage.ends_with(1);
    }
}

/// The answer to an offer without talk burst control has none (RFC 3264 §6).
#[test]
fn a_plain_phone_comes_into_a_chat_and_nobody_else_does_without_talk_burst_control() {
    for (is_plain, told) in [(true, "200 INVITE"), (false, "488 INVITE")] {
        let mut stage = stage(GroupKind::Chat);
        stage.change("eve", |user| user.plain_phone = is_plain);
        let call = Call::to_group(EVE, PATROL).with_body(AUDIO);
        stage.invite(&call);
        let response = stage.response(&call, told);
        assert!(!String::from_utf8_lossy(response.body()).contains("TBCP"));
        if is_plain {
            stage.bye(&call, &response);
        }
        stage.ends_with(1);
    }
}

/// And offers others nothing less.
#[test]
fn a_plain_phone_calls_a_group_whose_members_have_talk_burst_control() {
    let mut stage = stage(GroupKind::PreArranged);
    let group = Group { participants_min: 2, ..group_of(PATROL, GroupKind::PreArranged, &[BEN, EVE]) };
    stage.put_group(group);
    let call = Call::to_group(EVE, PATROL).with_body(AUDIO);
    stage.invite(&call);
    let ben = stage.leg("ben");
    assert!(String::from_utf8_lossy(ben.body()).contains("udp TBCP"));
    stage.answer(&ben, 200);
    let response = stage.response(&call, "200 INVITE");
    stage.bye(&call, &response);
    stage.answer_all(&ben, "BYE", 200);
    stage.ends_with(1);
}
