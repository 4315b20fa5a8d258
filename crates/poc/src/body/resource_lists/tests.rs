use proptest::prelude::*;

use super::*;

fn uris(document: &str) -> Result<Vec<String>, BodyError> {
    let entries = read(document.as_bytes())?;
    Ok(entries.into_iter().map(|entry| String::from_utf8(entry.uri.to_vec()).unwrap()).collect())
}

fn list(inner: &str) -> String {
    format!(
        "<resource-lists xmlns=\"{NAMESPACE}\" xmlns:cp=\"{COPY_CONTROL}\"><list>{inner}</list></resource-lists>"
    )
}

/// digest 8.4.
#[test]
fn the_example_is_written_and_read() {
    let example = r#"<?xml version="1.0" encoding="UTF-8"?>
<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists">
  <list>
    <entry uri="sip:ben@home2.example"/>
    <entry uri="sip:cara@home1.example"/>
  </list>
</resource-lists>
"#;
    let entries = ["sip:ben@home2.example", "sip:cara@home1.example"].map(|uri| Entry::new(Bytes::from(uri)));
    assert_eq!(write(&entries), example);
    assert_eq!(read(example.as_bytes()), Ok(entries.to_vec()));
}

/// RFC 5366 §4.
#[test]
fn what_is_more_than_a_flat_list_is_left_out() {
    let inner = "<entry uri=\"sip:a@b\"><display-name>A</display-name></entry><list><entry uri=\"sip:c@d\"/></list>\
                 <entry-ref ref=\"x\"/><external anchor=\"http://x\"/>";
    assert_eq!(uris(&list(inner)), Ok(vec!["sip:a@b".to_owned()]));
}

/// digest 8.2: the highest of to, cc and bcc.
#[test]
fn who_is_named_twice_counts_once() {
    let inner = "<entry uri=\"sip:a@b\" cp:copyControl=\"bcc\"/><entry uri=\"sip:c@d\"/>\
                 <entry uri=\"sip:a@b\" cp:copyControl=\"to\"/><entry uri=\"sip:a@b\" cp:copyControl=\"cc\"/>";
    let entries = read(list(inner).as_bytes()).unwrap();
    let read: Vec<_> = entries.iter().map(|entry| (&entry.uri[..], entry.copy)).collect();
    assert_eq!(read, [(&b"sip:a@b"[..], Copy::To), (b"sip:c@d", Copy::Bcc)]);
}

#[test]
fn copy_control_is_read_in_both_spellings_of_its_namespace() {
    let inner = "<entry uri=\"sip:a@b\" cp:copyControl=\"to\" cp:anonymize=\"true\"/>";
    let expected =
        Ok(vec![Entry { copy: Copy::To, is_anonymous: true, ..Entry::new(Bytes::from("sip:a@b")) }]);
    assert_eq!(read(list(inner).as_bytes()), expected);
    assert_eq!(read(list(inner).replace(COPY_CONTROL, COPY_CONTROL_IN_EXAMPLE).as_bytes()), expected);
    let wrong = list(&inner.replace("\"to\"", "\"you\""));
    assert_eq!(read(wrong.as_bytes()), Err(BodyError::Value("copyControl")));
}

#[test]
fn what_is_no_list_is_refused() {
    assert_eq!(uris("<a/>"), Err(BodyError::Root));
    assert_eq!(uris(&list("<entry/>")), Err(BodyError::Value("uri")));
    assert_eq!(uris(&list("<entry uri=\" \"/>")), Err(BodyError::Value("uri")));
    let two_lines = list("<entry uri=\"sip:a@b&#13;&#10;Via: c\"/>");
    assert_eq!(uris(&two_lines), Err(BodyError::Value("uri")));
    let many: String = (0..=ENTRIES_MAX).map(|each| format!("<entry uri=\"sip:{each}@b\"/>")).collect();
    assert_eq!(uris(&list(&many)), Err(BodyError::TooLarge));
    assert_eq!(uris(&list("")), Ok(vec![]));
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        list in prop::collection::btree_map("[!-~]{1,30}", (0..3_u8, any::<bool>()), 0..8),
    ) {
        let entries: Vec<_> = list
            .into_iter()
            .map(|(uri, (copy, is_anonymous))| Entry {
                uri: Bytes::from(uri),
                copy: [Copy::Bcc, Copy::Cc, Copy::To][usize::from(copy)],
                is_anonymous,
            })
            .collect();
        prop_assert_eq!(read(&write(&entries)), Ok(entries));
    }

    #[test]
    fn junk_is_refused_and_nothing_else_happens(junk: Vec<u8>) {
        let _ = read(&junk);
    }
}
