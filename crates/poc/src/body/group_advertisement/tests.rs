use proptest::prelude::*;

use super::*;

const EXAMPLE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<group-advertisement xmlns=\"urn:oma:params:xml:ns:poc:group-advertisement\">
  <uri>sip:patrol@home1.example</uri>
  <display-name>Patrol</display-name>
  <type>chat</type>
  <note>Tonight &amp; tomorrow</note>
</group-advertisement>
";

fn example() -> Advertisement {
    Advertisement {
        group: Bytes::from_static(b"sip:patrol@home1.example"),
        display_name: Some("Patrol".to_owned()),
        kind: Some(AdvertisedKind::Chat),
        note: Some("Tonight & tomorrow".to_owned()),
    }
}

#[test]
fn the_example_is_written_and_read() {
    assert_eq!(write(&example(), NAMESPACE), EXAMPLE);
    assert_eq!(read(EXAMPLE.as_bytes()), Ok(example()));
}

#[test]
fn any_namespace_and_what_is_more_than_that_are_taken() {
    let other = EXAMPLE.replace(NAMESPACE, "urn:x").replace("<note>", "<since>1</since><note>");
    assert_eq!(read(other.as_bytes()), Ok(example()));
    assert_eq!(read(&write(&example(), "urn:\"x\"")), Ok(example()));
    let none = EXAMPLE.replace(" xmlns=\"urn:oma:params:xml:ns:poc:group-advertisement\"", "");
    assert_eq!(read(none.as_bytes()), Ok(example()));
    for (text, kind) in [
        ("prearranged", Some(AdvertisedKind::PreArranged)),
        ("Pre-Arranged", Some(AdvertisedKind::PreArranged)),
        ("dispatch", Some(AdvertisedKind::Dispatch)),
        ("party", None),
    ] {
        let document = EXAMPLE.replace("chat", text);
        assert_eq!(read(document.as_bytes()).map(|read| read.kind), Ok(kind), "{text}");
    }
}

#[test]
fn a_document_that_does_not_name_one_group_is_refused() {
    let uri = "<uri>sip:patrol@home1.example</uri>";
    for to in ["", "<uri/>", "<uri>sip:a b@h</uri>", "<uri>a</uri><uri>b</uri>"] {
        assert_eq!(read(EXAMPLE.replace(uri, to).as_bytes()), Err(BodyError::Value("uri")), "{to}");
    }
    assert_eq!(read(b"<group/>"), Err(BodyError::Root));
    let long = EXAMPLE.replace("Patrol", &"a".repeat(TEXT_MAX + 1));
    assert_eq!(read(long.as_bytes()), Err(BodyError::Value("display-name")));
}

proptest! {
    #[test]
    fn what_is_written_is_read(name in prop::option::of("([!-\\u{d7ff}]{1,20})?"), note in prop::option::of("([!-\\u{d7ff}]{1,20})?")) {
        let advertisement = Advertisement { display_name: name, note, ..example() };
        prop_assert_eq!(read(&write(&advertisement, NAMESPACE)), Ok(advertisement));
    }

    #[test]
    fn junk_is_refused_and_nothing_else_happens(junk: Vec<u8>) {
        let _ = read(&junk);
    }

    #[test]
    fn a_document_with_an_octet_changed_is_read_or_refused(at in 0..EXAMPLE.len(), to: u8) {
        let mut text = EXAMPLE.as_bytes().to_vec();
        text[at] = to;
        let _ = read(&text);
    }
}
