use proptest::prelude::*;

use super::*;

/// RFC 5318 §7.
const EXAMPLE: &str = "SIP/2.0 403 Forbidden\r\n\
    P-Refused-URI-List: sip:friends-list@example.net;\r\n  members=<cid:an3bt8jf03@example.net>\r\n\
    P-Refused-URI-List: sip:colleagues-list@example.net;\r\n  members=<cid:bn35n8jf04@example.net>\r\n\
    Content-Type: multipart/mixed;boundary=\"boundary1\"\r\n\r\n\
    --boundary1\r\n\
    Content-Type: application/resource-lists+xml\r\nContent-Disposition: recipient-list\r\n\
    Content-ID: <an3bt8jf03@example.net>\r\n\r\n\
    <resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>\
    <entry uri=\"sip:bill@example.org\"/><entry uri=\"sip:randy@example.com\"/></list></resource-lists>\r\n\
    --boundary1\r\n\
    Content-Type: application/resource-lists+xml\r\nContent-Disposition: recipient-list\r\n\
    Content-ID: <bn35n8jf04@example.net>\r\n\r\n\
    <resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>\
    <entry uri=\"sip:joe@example.org\"/></list></resource-lists>\r\n\
    --boundary1--\r\n";

fn entry(uri: &str) -> Entry {
    Entry::new(Bytes::copy_from_slice(uri.as_bytes()))
}

fn refused(group: &str, members: &[&str]) -> Refused {
    Refused {
        group: Bytes::copy_from_slice(group.as_bytes()),
        members: members.iter().map(|uri| entry(uri)).collect(),
    }
}

fn read_text(text: &str) -> Result<Vec<Refused>, BodyError> {
    read(&Message::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap())
}

/// The response that has what is written.
fn response(groups: &[Refused]) -> Message {
    let (header, body) = write(groups);
    let mut text = b"SIP/2.0 403 Forbidden\r\nP-Refused-URI-List: ".to_vec();
    for part in [&header[..], b"\r\nContent-Type: ", &body.content_type, b"\r\n\r\n", &body.bytes] {
        text.extend_from_slice(part);
    }
    Message::parse(Bytes::from(text)).unwrap()
}

fn example() -> [Refused; 2] {
    let friends = refused("sip:friends-list@example.net", &["sip:bill@example.org", "sip:randy@example.com"]);
    [friends, refused("sip:colleagues-list@example.net", &["sip:joe@example.org"])]
}

#[test]
fn the_example_is_read_and_each_group_has_its_own_list() {
    assert_eq!(read_text(EXAMPLE).as_deref(), Ok(&example()[..]));
}

#[test]
fn what_is_written_follows_the_grammar_and_is_read() {
    let response = response(&example());
    let value = response.value(Name::PRefusedUriList).unwrap();
    let [first, second] = response.items(Name::PRefusedUriList).collect::<Vec<_>>()[..] else {
        panic!("{:?}", String::from_utf8_lossy(value));
    };
    for item in [first, second] {
        let address = NameAddr::parse(item).unwrap();
        assert!(address.parameters.text(b"members").is_some_and(|text| text.starts_with(b"<cid:")));
    }
    assert_eq!(read(&response).as_deref(), Ok(&example()[..]));
    // A group without members is one that nothing is told of, or nobody belongs to.
    let nobody = [refused("sip:empty@example.net", &[])];
    assert_eq!(read(&self::response(&nobody)).as_deref(), Ok(&nobody[..]));
}

#[test]
fn each_way_to_write_the_reference_is_read() {
    for written in [
        "members=\"<cid:an3bt8jf03@example.net>\"",
        "members=\"cid:an3bt8jf03@example.net\"",
        "MEMBERS = <CID:an3bt8jf0%33%40example.net>",
        "x=y;members=<cid:an3bt8jf03@example.net>;z",
    ] {
        let text = EXAMPLE.replace("members=<cid:an3bt8jf03@example.net>", written);
        assert_eq!(read_text(&text).as_deref(), Ok(&example()[..]), "{written}");
    }
    // RFC 5318 §6: a server tells the members if it is willing to.
    let text = EXAMPLE.replace(";\r\n  members=<cid:an3bt8jf03@example.net>", "");
    assert_eq!(read_text(&text).map(|all| all[0].members.len()), Ok(0));
}

#[test]
fn a_reference_to_nothing_and_a_list_that_is_none_are_refused() {
    for (from, to) in [
        ("members=<cid:an3bt8jf03", "members=<cid:other"),
        ("members=<cid:an3bt8jf03", "members=<mid:an3bt8jf03"),
        ("members=<cid:an3bt8jf03@example.net>", "members=<cid:%4>"),
        ("members=<cid:an3bt8jf03@example.net>", "members"),
        ("Content-Type: application/resource-lists+xml", "Content-Type: text/plain"),
    ] {
        let told = read_text(&EXAMPLE.replace(from, to)).map(|all| all[0].members.len());
        // Without a value it says nothing.
        let expected = if to == "members" { Ok(0) } else { Err(BodyError::Value("members")) };
        assert_eq!(told, expected, "{to}");
    }
    let no_uri = EXAMPLE.replace("sip:friends-list@example.net", "friends");
    assert_eq!(read_text(&no_uri), Err(BodyError::Value("P-Refused-URI-List")));
    assert_eq!(read_text(&EXAMPLE.replace("<list>", "<lists>")), Err(BodyError::Syntax));
    let many = format!("P-Refused-URI-List: {}sip:a@h\r\nContent-Type", "sip:a@h, ".repeat(PARTS_MAX));
    let many = EXAMPLE.replacen("Content-Type", &many, 1);
    assert_eq!(read_text(&many), Err(BodyError::TooLarge));
}

/// RFC 5318 §6.
#[test]
fn no_other_response_refuses_a_group() {
    for status in ["200 OK", "404 Not Found", "603 Decline"] {
        assert_eq!(read_text(&EXAMPLE.replace("403 Forbidden", status)), Ok(vec![]), "{status}");
    }
}

#[test]
fn more_groups_than_a_body_has_parts_are_left_out() {
    let many: Vec<_> = (0..=PARTS_MAX).map(|each| refused(&format!("sip:{each}@h"), &["sip:a@h"])).collect();
    assert_eq!(read(&response(&many)).as_deref(), Ok(&many[..PARTS_MAX]));
}

proptest! {
    #[test]
    fn groups_are_told_as_they_are(groups in prop::collection::vec(("[a-z]{1,9}", prop::collection::btree_set("[a-z]{1,9}", 0..5)), 1..8)) {
        let groups: Vec<_> = groups.iter().map(|(group, members)| Refused {
            group: Bytes::from(format!("sip:{group}@home2.example")),
            members: members.iter().map(|member| entry(&format!("sip:{member}@home2.example"))).collect(),
        }).collect();
        prop_assert_eq!(read(&response(&groups)), Ok(groups));
    }

    #[test]
    fn a_response_with_an_octet_changed_is_read_or_refused(at in 0..EXAMPLE.len(), to: u8) {
        let mut text = EXAMPLE.as_bytes().to_vec();
        text[at] = to;
        if let Ok(message) = Message::parse(Bytes::from(text)) {
            let _ = read(&message);
        }
    }
}
