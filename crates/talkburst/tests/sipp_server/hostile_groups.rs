//! Bad input about groups, lists and sessions while a call rings or a chat stands: each has the response that docs/responses.md says,
//! and nothing else changes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use sip::{Identifiers, Owner};

use crate::harness::{PORT, Play, Scene};
use crate::hostile::{Stranger, through_a_call_that_rings};
use crate::script::{SDP, document, with_list};

const FACTORY: &str = "sip:poc-factory@poc.internal";
const MIXED: &str = "Content-Type: multipart/mixed;boundary=b\r\nRequire: recipient-list-invite\r\n";
const CONFERENCE: &str = "Event: conference\r\nExpires: 600\r\n";

/// A list of so many whom nobody knows.
fn many(count: usize) -> String {
    document(&(0..count).map(|each| format!("u{each}")).collect::<Vec<_>>())
}

fn bomb() -> String {
    let entities: String =
        (1..20).map(|each| format!("<!ENTITY e{each} \"&e{0};&e{0};&e{0};\">", each - 1)).collect();
    let list = document(&["&e19;".to_owned()]);
    list.replace("?><", &format!("?><!DOCTYPE resource-lists [<!ENTITY e0 \"a\">{entities}]><"))
}

#[test]
fn a_list_that_cannot_be_is_refused_and_a_call_that_rings_goes_on() {
    through_a_call_that_rings(9, |scene| {
        scene.ringing();
        let stranger = Stranger::of(scene, "anna");
        let invite = |list: &str| {
            let body = with_list(SDP, list).replace('\n', "\r\n");
            stranger.ask_for_poc("INVITE", FACTORY, MIXED, &body)
        };
        let list = document(&["ben".to_owned()]);
        assert_eq!(invite(&list.replace("</list>", "")), Some(400), "no XML");
        assert_eq!(invite(&list.replace("resource-lists>", "resources>")), Some(400), "another document");
        assert_eq!(invite(&bomb()), Some(400), "entities");
        assert_eq!(invite(&list.replace("sip:ben@", "tel:")), Some(400), "nobody of ours");
        assert_eq!(invite(&document(&["anna".to_owned()])), Some(404), "only the inviter");
        assert_eq!(invite(&many(33)), Some(486), "more than a session has");
        assert_eq!(invite(&many(1025)), Some(400), "more than a list has");
    });
}

/// What is longer than a message may be is read no further.
#[test]
fn a_list_of_ten_thousand_closes_its_connection_and_a_call_that_rings_goes_on() {
    through_a_call_that_rings(2, |scene| {
        scene.ringing();
        let mut stream = TcpStream::connect((scene.server, PORT)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let body = with_list(SDP, &many(10_000)).replace('\n', "\r\n");
        let text = format!(
            "INVITE {FACTORY} SIP/2.0\r\nVia: SIP/2.0/TCP {};branch=z9hG4bK-many\r\nMax-Forwards: 70\r\n\
             From: <sip:anna@poc.internal>;tag=many\r\nTo: <{FACTORY}>\r\nCall-ID: many\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:anna@{}>\r\n{MIXED}Content-Length: {}\r\n\r\n{body}",
            scene.address,
            scene.address,
            body.len()
        );
        // It may be closed before all is written.
        let _ = stream.write_all(text.as_bytes());
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        assert_eq!(String::from_utf8_lossy(&said), "");
    });
}

/// A chat of Anna and Ben that stands for as long as `disturbance` takes; whatever else they were sent would fail their scripts.
fn through_a_chat(records: usize, disturbance: fn(&Scene<'_>)) {
    const STAYS: &str = "> INVITE\n < 200\n > ACK\n ~ 2500\n > BYE\n < 200 BYE";
    let play = Play::new().t1(100).records(records).disturbed(disturbance);
    let play = play.group("patrol", &["--kind", "chat"], &["anna", "ben"]);
    let Some(played) = play.joined("ben", STAYS).anna(STAYS).run() else { return };
    let left = played.records.iter().filter(|record| record["status"] == 200).count();
    assert_eq!(left, 4, "both stay until they leave: {:?}", played.records);
}

#[test]
fn whoever_does_not_belong_to_a_group_learns_nothing_and_changes_nothing() {
    through_a_chat(8, |scene| {
        let session = scene.session("200 INVITE");
        let carl = Stranger::of(scene, "carl");
        assert_eq!(carl.ask_for_poc("SUBSCRIBE", &session, CONFERENCE, ""), Some(403));
        let add = "Refer-To: <sip:carl@poc.internal>\r\n";
        assert_eq!(carl.ask_for_poc("REFER", &session, add, ""), Some(403));
        let remove = "Refer-To: <sip:anna@poc.internal;method=BYE>\r\n";
        assert_eq!(carl.ask_for_poc("REFER", &session, remove, ""), Some(403));
        let sdp = "Content-Type: application/sdp\r\n";
        for target in [&*session, "sip:patrol@poc.internal;session=chat"] {
            assert_eq!(carl.ask_for_poc("INVITE", target, sdp, SDP), Some(403), "{target}");
        }
        // For what is not of PoC there is no such user.
        let proxied = format!("Proxy-Authorization: {}\r\n", carl.access.credentials("OPTIONS", &session));
        assert_eq!(carl.ask("OPTIONS", &session, &proxied, "").status(), Some(404));
    });
}

#[test]
fn a_refer_or_a_subscribe_to_nowhere_is_refused_and_the_chat_goes_on() {
    through_a_chat(4, |scene| {
        let session = scene.session("200 INVITE");
        let anna = Stranger::of(scene, "anna");
        let shard = |shard: u8| Identifiers::new(Owner { node: 0, shard }, [9; 32]).draw();
        // Of no session, and of no server.
        for nowhere in [shard(0x80), shard(0xbf)] {
            let nowhere = format!("sip:{nowhere}@poc.internal;session=chat");
            assert_eq!(anna.ask_for_poc("SUBSCRIBE", &nowhere, CONFERENCE, ""), Some(404));
            let add = "Refer-To: <sip:carl@poc.internal>\r\n";
            assert_eq!(anna.ask_for_poc("REFER", &nowhere, add, ""), Some(404));
        }
        // She takes part, and asks for what cannot be.
        let list = "Content-Type: application/resource-lists+xml\r\nContent-Id: <list>\r\nRequire: multiple-refer\r\n";
        for (lines, body, status) in [
            ("Refer-To: <http://poc.internal>\r\n", String::new(), 400),
            ("Refer-To: <sip:carl@poc.internal;method=OPTIONS>\r\n", String::new(), 400),
            ("Refer-To: <sip:carl@poc.internal;method=BYE>\r\n", String::new(), 404),
            ("Refer-To: <cid:list>\r\n", bomb(), 400),
            ("Refer-To: <cid:list>\r\n", many(1025), 400),
        ] {
            let list = if body.is_empty() { "" } else { list };
            let answer = anna.ask_for_poc("REFER", &session, &format!("{lines}{list}"), &body);
            assert_eq!(answer, Some(status), "{lines}");
        }
        let other = "Event: presence\r\n";
        assert_eq!(anna.ask_for_poc("SUBSCRIBE", &session, other, ""), Some(489));
    });
}

/// Groups that are members of each other.
#[test]
fn groups_in_a_circle_ring_nobody_and_end() {
    let play = Play::new().t1(100).group("patrol", &["--kind", "prearranged"], &["anna"]);
    let play = play.another_group("watch", &["--kind", "prearranged"], &["patrol", "anna"]);
    let play = play.member("patrol", "watch");
    let Some(played) = play.anna("> INVITE\n < 480\n > ACK").records(4).run() else { return };
    assert_eq!(played.received("anna", "INVITE").len(), 0);
}
