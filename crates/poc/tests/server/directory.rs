//! Checks, rules and settings: digest 6, 10.1, 10.2, 10.3.

use bytes::Bytes;
use poc::AnswerMode;
use poc::body::settings::Settings;
use poc::server::{Access, AccessRule, Command, Input, OverrideBy};
use sip::message::Name;

use crate::stage::{Call, SDP, Stage, text};

const ANNA: &str = "sip:anna@home1.example";
const ELSEWHERE: &str = "sip:anna@home2.example";
const BEN: &str = "sip:ben@home1.example";

/// What a terminating INVITE for Ben is answered by the checks; nothing if it is passed on.
fn refusal(stage: &mut Stage, call: &Call) -> Option<String> {
    let before = stage.invites_of("ben");
    stage.invite(call);
    let told = stage.told(call).into_iter().find(|word| !word.starts_with("18"));
    assert_eq!(
        stage.invites_of("ben") - before,
        usize::from(told.is_none()),
        "refused or passed on, not both"
    );
    told
}

/// How Ben's client is told to answer.
fn mode(stage: &mut Stage, call: &Call) -> String {
    assert_eq!(refusal(stage, call), None);
    text(&stage.leg("ben"), Name::AnswerMode).to_owned()
}

fn bens_rule(access: Access) -> impl FnOnce(&mut poc::server::User) {
    move |user| user.rules = vec![AccessRule { inviter: Bytes::from_static(ELSEWHERE.as_bytes()), access }]
}

// Digest 10.2 in its order.

#[test]
fn row_1_who_is_not_served_here_is_404() {
    let mut stage = Stage::new();
    let call = Call::terminating(ELSEWHERE, "sip:nobody@home1.example");
    stage.invite(&call);
    assert_eq!(stage.told(&call), ["404 INVITE"]);
}

#[test]
fn row_2_who_has_published_nothing_is_480_unless_the_server_says_otherwise() {
    let call = Call::terminating(ELSEWHERE, BEN);
    let forget = |stage: &mut Stage| {
        stage.input(Input::Command(Command::RemoveUser { address: Bytes::from_static(BEN.as_bytes()) }));
        stage.change("ben", |_| {});
    };
    let mut stage = Stage::new();
    forget(&mut stage);
    assert_eq!(refusal(&mut stage, &call).as_deref(), Some("480 INVITE"));
    let settings = Settings { answer_mode: Some(AnswerMode::Manual), ..Settings::default() };
    let mut stage = Stage::with(|config| config.unpublished = Some(settings));
    forget(&mut stage);
    assert_eq!(refusal(&mut stage, &call), None);
}

#[test]
fn row_4_an_anonymous_inviter_is_403_or_433_by_its_version_if_the_user_wants_names() {
    let call = Call::terminating(ELSEWHERE, BEN).with("Privacy: id\r\n");
    let mut stage = Stage::new();
    assert_eq!(refusal(&mut stage, &call), None);
    stage.publish_only("ben", "manual");
    stage.change("ben", |user| user.refuses_anonymous = true);
    let old = call.again().with("User-Agent: PoC-serv/OMA1.0 x\r\n");
    assert_eq!(refusal(&mut stage, &old).as_deref(), Some("403 INVITE"));
    let new = old.again().replacing("OMA1.0", "OMA2.0");
    assert_eq!(refusal(&mut stage, &new).as_deref(), Some("433 INVITE"));
    let named = call.again().again().again().without("Privacy");
    assert_eq!(refusal(&mut stage, &named), None);
}

#[test]
fn row_5_a_rule_that_rejects_an_inviter_is_403_for_that_one_only() {
    let mut stage = Stage::new();
    stage.change("ben", bens_rule(Access::Reject));
    assert_eq!(refusal(&mut stage, &Call::terminating(ELSEWHERE, BEN)).as_deref(), Some("403 INVITE"));
    assert_eq!(refusal(&mut stage, &Call::terminating("sip:eva@home2.example", BEN)), None);
}

#[test]
fn row_6_a_user_who_bars_sessions_is_480() {
    let mut stage = Stage::new();
    stage.publish_only_saying(
        "ben",
        "<isb-settings><incoming-session-barring active=\"true\"/></isb-settings>",
    );
    assert_eq!(refusal(&mut stage, &Call::terminating(ELSEWHERE, BEN)).as_deref(), Some("480 INVITE"));
}

#[test]
fn row_7_a_user_in_a_session_is_486() {
    let mut stage = Stage::new();
    stage.invite(&Call::originating(BEN, "sip:cara@home1.example"));
    assert_eq!(refusal(&mut stage, &Call::terminating(ELSEWHERE, BEN)).as_deref(), Some("486 INVITE"));
}

/// Case 3, RFC 5373 §4.1.
#[test]
fn row_8_an_override_makes_the_client_answer_if_the_user_allows_it() {
    let call = Call::terminating(ELSEWHERE, BEN).with("Priv-Answer-Mode: Auto\r\n");
    let mut stage = Stage::new();
    assert_eq!(mode(&mut stage, &call), "Manual", "nobody may unless allowed");
    let mut stage = Stage::new();
    stage.change("ben", |user| {
        user.override_by = OverrideBy::These(vec![Bytes::from_static(ELSEWHERE.as_bytes())])
    });
    assert_eq!(mode(&mut stage, &call), "Auto");
    assert_eq!(text(&stage.leg("ben"), Name::PrivAnswerMode), "Auto");
    stage.cancel(&call);
    assert!(
        stage.told(&call).ends_with(&["200 CANCEL".to_owned(), "487 INVITE".to_owned()]),
        "and then cancelled"
    );
    let other = Call::terminating("sip:eva@home2.example", BEN).with("Priv-Answer-Mode: Auto\r\n");
    assert_eq!(mode(&mut stage, &other), "Manual");
}

#[test]
fn row_8_an_override_that_is_required_and_not_allowed_is_403() {
    let mut stage = Stage::new();
    let call = Call::terminating(ELSEWHERE, BEN).with("Priv-Answer-Mode: Auto;require\r\n");
    stage.invite(&call);
    let refused = stage.response(&call, "403 INVITE");
    assert!(text(&refused, Name::Warning).ends_with("\"automatic answer forbidden\""));
}

#[test]
fn rows_9_and_10_the_rule_then_the_answer_mode_then_the_wish_decide() {
    for (access, published, wish, expected) in [
        (Access::Pass, "automatic", "", "Manual"),
        (Access::Accept, "manual", "", "Manual"),
        (Access::Accept, "automatic", "", "Auto"),
        (Access::Accept, "automatic", "Answer-Mode: Manual\r\n", "Manual"),
        (Access::Accept, "manual", "Answer-Mode: Auto\r\n", "Manual"),
        (Access::Accept, "manual", "Answer-Mode: Perhaps\r\n", "Manual"),
    ] {
        let mut stage = Stage::new();
        stage.publish_only("ben", published);
        stage.change("ben", bens_rule(access));
        let call = Call::terminating(ELSEWHERE, BEN).with(wish);
        assert_eq!(mode(&mut stage, &call), expected, "{access:?} {published} {wish}");
    }
}

// Digest 10.1, 10.3: who begins a session.

#[test]
fn who_is_not_asserted_or_not_served_may_not_invite() {
    for (call, told) in [
        (Call::originating("sip:nobody@home1.example", BEN), "403 INVITE"),
        (Call::originating(ANNA, BEN).without("P-Asserted-Identity"), "403 INVITE"),
        (Call::originating(ANNA, ANNA), "404 INVITE"),
        (Call::originating(ANNA, BEN).with_body(""), "488 INVITE"),
        (Call::originating(ANNA, BEN).without("Content-Type").with_body(""), "488 INVITE"),
        (
            Call::originating(ANNA, BEN).with_body(&SDP.replace("m=application 40002", "m=application 0")),
            "488 INVITE",
        ),
        (Call::originating(ANNA, BEN).with_body("v=0"), "488 INVITE"),
        (Call::originating(ANNA, BEN).with("Require: teleportation\r\n"), "420 INVITE"),
        (Call::originating(ANNA, BEN).with("Supported: timer\r\nSession-Expires: 60\r\n"), "422 INVITE"),
        (Call::listing(ANNA, &[]), "404 INVITE"),
        (Call::listing(ANNA, &["sip:home1.example"]), "400 INVITE"),
        (
            Call::listing(ANNA, &[BEN]).with_body(
                "--b1\r\nContent-Type: application/resource-lists+xml\r\n\r\n<resource-lists\r\n--b1--\r\n",
            ),
            "400 INVITE",
        ),
    ] {
        let mut stage = Stage::new();
        stage.invite(&call);
        assert_eq!(stage.told(&call), [told], "{call:?}");
        assert_eq!(stage.invites_of("ben"), 0);
        assert_eq!(stage.sessions_of("anna"), 0);
    }
}

#[test]
fn more_than_the_server_takes_is_486() {
    let mut stage = Stage::with(|config| config.invited_max = 2);
    let call = Call::listing(ANNA, &[BEN, "sip:cara@home1.example", "sip:dan@home1.example"]);
    stage.invite(&call);
    assert_eq!(stage.told(&call), ["486 INVITE"]);
    let mut stage = Stage::new();
    stage.change("anna", |user| user.sessions_max = 1);
    let first = Call::originating(ANNA, BEN);
    stage.invite(&first);
    stage.invite(&first.again());
    assert_eq!(stage.told(&first.again()), ["486 INVITE"]);
}

#[test]
fn a_user_who_is_removed_leaves_every_session_at_once() {
    let mut stage = Stage::new();
    let (first, second) =
        (Call::originating(ANNA, BEN), Call::terminating(ELSEWHERE, "sip:cara@home1.example"));
    stage.invite(&first);
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    stage.established(&first);
    stage.invite(&second);
    let cara = stage.leg("cara");
    stage.answer(&cara, 180);
    stage.told(&second);
    for user in ["anna", "cara"] {
        let address = Bytes::from(format!("sip:{user}@home1.example"));
        stage.input(Input::Command(Command::RemoveUser { address }));
    }
    assert_eq!(stage.told(&first), ["BYE"]);
    assert!(stage.seen(&ben).contains(&"BYE".to_owned()));
    assert_eq!(stage.told(&second), ["404 INVITE"]);
    assert!(stage.seen(&cara).contains(&"CANCEL".to_owned()));
    stage.invite(&first.again());
    assert_eq!(stage.told(&first.again()), ["403 INVITE"]);
    stage.ends_with(3);
}

// RFC 3903 and RFC 4354.

const MANUAL: &str = "<am-settings><answer-mode>manual</answer-mode></am-settings>";

#[test]
fn settings_are_published_refreshed_changed_and_removed() {
    let mut stage = Stage::new();
    stage.input(Input::Command(Command::RemoveUser { address: Bytes::from_static(BEN.as_bytes()) }));
    stage.change("ben", |_| {});
    let published = stage.publish_saying("ben", "Expires: 100\r\n", MANUAL);
    assert_eq!((published.status(), text(&published, Name::Expires)), (Some(200), "100"));
    let matching = |response: &sip::Message| format!("SIP-If-Match: {}\r\n", text(response, Name::SipEtag));
    let refreshed = stage.publish_saying("ben", &format!("{}Expires: 100\r\n", matching(&published)), "");
    assert_eq!(refreshed.status(), Some(200));
    assert_ne!(text(&refreshed, Name::SipEtag), text(&published, Name::SipEtag));
    let stale = stage.publish_saying("ben", &matching(&published), "");
    assert_eq!(stale.status(), Some(412), "the old tag is gone");
    let changed = stage.publish_saying("ben", &matching(&refreshed), &MANUAL.replace("manual", "automatic"));
    assert_eq!(mode(&mut stage, &Call::terminating(ELSEWHERE, BEN)), "Auto");
    stage.cancel(&Call::terminating(ELSEWHERE, BEN));
    let removed = stage.publish_saying("ben", &format!("{}Expires: 0\r\n", matching(&changed)), "");
    assert_eq!((removed.status(), text(&removed, Name::Expires)), (Some(200), "0"));
    assert_eq!(
        refusal(&mut stage, &Call::terminating(ELSEWHERE, BEN).again()).as_deref(),
        Some("480 INVITE")
    );
}

#[test]
fn settings_that_are_not_refreshed_run_out() {
    let mut stage = Stage::new();
    stage.publish_only("ben", "manual");
    stage.pass(sip::Duration::from_secs(3600));
    assert_eq!(refusal(&mut stage, &Call::terminating(ELSEWHERE, BEN)).as_deref(), Some("480 INVITE"));
}

#[test]
fn a_publication_that_cannot_be_taken_is_answered_and_changes_nothing() {
    let mut stage = Stage::new();
    let barred = "<isb-settings><incoming-session-barring active=\"true\"/></isb-settings>";
    let status = |stage: &mut Stage, user: &str, lines: &str, body: &str| {
        stage.publish_saying(user, lines, body).status()
    };
    assert_eq!(status(&mut stage, "ben", "Expires: 5\r\n", barred), Some(423));
    assert_eq!(status(&mut stage, "ben", "", "<entity"), Some(400));
    assert_eq!(status(&mut stage, "ben", "", ""), Some(400));
    assert_eq!(status(&mut stage, "ben", "SIP-If-Match: zz\r\n", barred), Some(412));
    assert_eq!(status(&mut stage, "nobody", "", barred), Some(404));
    assert_eq!(stage.publish_as("anna", "ben", "", barred).status(), Some(403));
    assert_eq!(refusal(&mut stage, &Call::terminating(ELSEWHERE, BEN)), None, "Ben bars nobody");
    assert_eq!(stage.counters().refused, 6);
}
