//! Groups, chats and lists: who is rung, who comes in, and what a CANCEL does to each of them (digest 14.6).

use sip::message::Name;

use crate::harness::{Play, over_udp_and_tcp};
use crate::hostile::Stranger;

const PREARRANGED: &[&str] = &["--kind", "prearranged"];
const CHAT: &[&str] = &["--kind", "chat"];
const ALL: &[&str] = &["anna", "ben", "carl", "dora", "emil"];

const CANCELS: &str = "> INVITE\n < 180\n ~ 500\n > CANCEL\n < 200 CANCEL\n < 487\n > ACK";
const JOINS: &str = "> INVITE\n < 200\n > ACK\n ~ 1500\n > BYE\n < 200 BYE";

// A leg each: whoever has said nothing, rings, has refused, has accepted.
const IS_MUTE: &str = "< INVITE\n ~ 900\n > 180\n < CANCEL\n > 200 CANCEL\n > 487 INVITE\n < ACK";
const RINGS: &str = "< INVITE\n > 180\n < CANCEL\n > 200 CANCEL\n > 487 INVITE\n < ACK";
const REFUSES: &str = "< INVITE\n > 480\n < ACK";
const ACCEPTS: &str = "< INVITE\n > 200\n < ACK\n < BYE\n > 200";
const CROSSES: &str = "< INVITE\n > 180\n < CANCEL\n > 200 CANCEL\n > 200 INVITE\n < ACK\n < BYE\n > 200";

#[test]
fn a_group_rings_and_begins_with_the_first_who_accepts() {
    over_udp_and_tcp(|transport| {
        let play = Play::new().over(transport).group("patrol", PREARRANGED, &["anna", "ben", "carl"]);
        let play = play.anna("> INVITE\n < 180\n < 200\n > ACK\n ~ 400\n > BYE\n < 200 BYE");
        let play = play.ben("< INVITE\n > 180\n ~ 200\n > 200\n < ACK\n < BYE\n > 200").records(4);
        let Some(played) = play.invited("carl", RINGS).run() else { return };
        let contact = played.line("anna", "200 INVITE", Name::Contact);
        assert!(contact.contains(";session=prearranged") && contact.contains(";isfocus"), "{contact}");
        for record in played.records.iter().filter(|record| record["function"] == "controlling") {
            assert_eq!(record["session_type"], "prearranged");
            assert_eq!(record["group"], "sip:patrol@poc.internal");
        }
    });
}

/// T17: the session needs more than the one who has accepted, so the inviter has no answer yet.
#[test]
fn four_members_in_four_states_each_end_as_they_must_when_the_inviter_gives_up() {
    over_udp_and_tcp(|transport| {
        let policy = [PREARRANGED, &["--min", "4"]].concat();
        let play = Play::new().over(transport).t1(300).group("patrol", &policy, ALL).anna(CANCELS);
        let play = play.ben(IS_MUTE).invited("carl", RINGS).invited("dora", REFUSES).invited("emil", ACCEPTS);
        let Some(played) = play.records(6).run() else { return };
        for name in ["dora", "emil"] {
            assert_eq!(played.received(name, "CANCEL").len(), 0, "{name}");
        }
        assert!(
            played.moment("anna", "487 INVITE") < played.moment("ben", "180 INVITE"),
            "nobody is waited for"
        );
        assert_eq!(played.record("controlling"), ("cancelled", "inviter", Some(487)));
    });
}

/// T17, R3, R4: of a list, whose first acceptance would be the answer.
#[test]
fn four_users_of_a_list_in_four_states_each_end_as_they_must_when_the_inviter_gives_up() {
    let play = Play::new().t1(300).list(&["ben", "carl", "dora", "emil"]).anna(CANCELS);
    let play = play.ben(IS_MUTE).invited("carl", RINGS).invited("dora", REFUSES).invited("emil", CROSSES);
    let Some(played) = play.records(5).run() else { return };
    assert_eq!(played.received("dora", "CANCEL").len(), 0);
    assert_eq!(played.record("controlling"), ("cancelled", "inviter", Some(487)));
}

/// RFC 5364 §4: each once, and not the one who invites.
#[test]
fn a_list_invites_each_once_however_often_they_stand_there() {
    let play = Play::new().list(&["ben", "%62en", "anna", "ben:x", "BEN"]).records(2);
    let play = play.anna("> INVITE\n < 180\n < 200\n > ACK\n ~ 200\n > BYE\n < 200 BYE");
    let Some(played) = play.ben("< INVITE\n > 180\n > 200\n < ACK\n < BYE\n > 200").run() else { return };
    assert_eq!(played.received("ben", "INVITE").len(), 1);
}

/// T18: a join is answered at once, so its CANCEL crosses the 200, which is acknowledged and left.
#[test]
fn a_join_that_is_given_up_disturbs_nobody_in_the_chat() {
    over_udp_and_tcp(|transport| {
        let play = Play::new().over(transport).group("patrol", CHAT, &["anna", "ben", "carl"]);
        let play = play.joined("ben", JOINS).joined("carl", JOINS).records(6);
        let joins = "> INVITE\n < 200\n > CANCEL\n < 200 CANCEL\n > ACK\n > BYE\n < 200 BYE";
        let Some(played) = play.anna(joins).run() else { return };
        for name in ["ben", "carl"] {
            let heard: Vec<_> = played.of(name).messages.iter().filter(|logged| logged.is_ours).collect();
            let heard: Vec<_> =
                heard.iter().map(|logged| logged.word()).filter(|word| word != "100 INVITE").collect();
            assert_eq!(heard, ["200 INVITE", "200 BYE"], "{name} hears nothing of it");
        }
        assert!(played.line("anna", "200 INVITE", Name::Contact).contains(";session=chat"));
        assert!(played.records.iter().all(|record| record["session_type"] == "chat"), "{:?}", played.records);
    });
}

/// C74: one who rings is taken back, and the others ring on.
#[test]
fn an_invitation_is_taken_back_while_the_others_ring_on() {
    let play = Play::new().t1(200).group("patrol", PREARRANGED, &["anna", "ben", "carl"]);
    let play = play.anna("> INVITE\n < 180\n < 200\n > ACK\n ~ 100\n > BYE\n < 200 BYE").records(4);
    let play = play.ben(RINGS).invited("carl", "< INVITE\n > 180\n ~ 1200\n > 200\n < ACK\n < BYE\n > 200");
    let play = play.disturbed(|scene| {
        let session = scene.session("180 INVITE");
        let lines =
            "Refer-To: <sip:ben@poc.internal;method=BYE>\r\nRefer-Sub: false\r\nSupported: norefersub\r\n";
        assert_eq!(Stranger::of(scene, "anna").ask_for_poc("REFER", &session, lines, ""), Some(200));
    });
    let Some(played) = play.run() else { return };
    assert!(played.moment("ben", "CANCEL") < played.moment("carl", "200 INVITE"));
    assert_eq!(played.received("carl", "CANCEL").len(), 0);
    assert_eq!(played.record("controlling"), ("released", "inviter", Some(200)));
}

/// RFC 4575: asked by way of the core, and told along the same way.
#[test]
fn a_member_is_told_who_takes_part_in_a_chat() {
    let play = Play::new().group("patrol", CHAT, &["anna", "ben", "carl"]).records(4).anna(JOINS);
    let play = play.joined("ben", JOINS).disturbed(|scene| {
        let session = scene.session("200 INVITE");
        let carl = Stranger::of(scene, "carl");
        let lines = "Event: conference\r\nExpires: 600\r\nAccept: application/conference-info+xml\r\n";
        assert_eq!(carl.ask_for_poc("SUBSCRIBE", &session, lines, ""), Some(200));
        let first = carl.hears();
        let all = String::from_utf8_lossy(first.body());
        for name in ["anna", "ben"] {
            assert!(all.contains(&format!("sip:{name}@poc.internal")), "{all}");
        }
        // What changes is told after a while, and the end at once.
        let last = carl.hears();
        assert_eq!(last.value(Name::SubscriptionState), Some(&b"terminated;reason=noresource"[..]));
    });
    play.run();
}
