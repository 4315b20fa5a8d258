use proptest::prelude::*;

use super::*;

fn message(lines: &str, body: &str) -> Message {
    let text = format!("INVITE sip:a@b SIP/2.0\r\n{lines}Content-Length: {}\r\n\r\n{body}", body.len());
    Message::parse(Bytes::from(text)).unwrap()
}

fn sdp() -> Part<'static> {
    Part { content_type: b"application/sdp", bytes: b"v=0\r\n", ..Part::default() }
}

fn list() -> Part<'static> {
    Part {
        content_type: b"application/resource-lists+xml",
        disposition: b"recipient-list",
        id: b"list@a",
        bytes: b"<list/>",
    }
}

const WRITTEN: &str = "--part-0\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--part-0\r\n\
    Content-Type: application/resource-lists+xml\r\nContent-Disposition: recipient-list\r\nContent-ID: <list@a>\r\n\r\n\
    <list/>\r\n--part-0--\r\n";

#[test]
fn two_bodies_are_written_and_read() {
    let body = write(&[sdp(), list()]);
    assert_eq!(body.content_type, "multipart/mixed;boundary=\"part-0\"");
    assert_eq!(body.bytes, WRITTEN);
    assert_eq!(read(&body.content_type, &body.bytes), Ok(vec![sdp(), list()]));
}

#[test]
fn what_stands_around_the_parts_counts_for_nothing() {
    let text = format!(
        "preamble --part-0\r\n{}epilogue\r\n--part-0\r\n",
        WRITTEN.replace("part-0\r\n", "part-0 \t\r\n")
    );
    assert_eq!(read(b"multipart/mixed; boundary=part-0", text.as_bytes()), Ok(vec![sdp(), list()]));
}

#[test]
fn a_line_that_only_begins_like_a_delimiter_is_content() {
    let text = "--b\r\n\r\n--bc\r\n--b--x\r\n--b--";
    let expected = Part { bytes: b"--bc\r\n--b--x", ..Part::default() };
    assert_eq!(read(b"multipart/mixed;boundary=b", text.as_bytes()), Ok(vec![expected]));
}

#[test]
fn a_message_has_one_body_several_or_none() {
    assert_eq!(parts_of(&message("", "")), Ok(vec![]));
    let one = message("Content-Type: application/sdp\r\nContent-Disposition: session\r\n", "v=0\r\n");
    let expected = Part { disposition: b"session", ..sdp() };
    assert_eq!(parts_of(&one), Ok(vec![expected]));
    let several = message("c: Multipart/Mixed ;boundary=\"part-0\"\r\n", WRITTEN);
    assert_eq!(parts_of(&several), Ok(vec![sdp(), list()]));
}

#[test]
fn a_part_tells_what_it_is_and_what_it_is_for() {
    let part = Part {
        content_type: b"Application/SDP; x=y",
        disposition: b"recipient-list-history; handling=optional",
        ..Part::default()
    };
    assert!(part.is("application/sdp") && !part.is("application/sd"));
    assert!(part.is_for("recipient-list-history") && !part.is_for("recipient-list"));
    assert!(!part.is_required() && sdp().is_required() && list().is_required());
}

#[test]
fn what_has_no_boundary_no_part_or_no_end_is_refused() {
    assert_eq!(error_of("multipart/mixed", WRITTEN), BodyError::Value("boundary"));
    assert_eq!(error_of("multipart/mixed;boundary=\"\"", WRITTEN), BodyError::Value("boundary"));
    let long = format!("multipart/mixed;boundary={}", "b".repeat(71));
    assert_eq!(error_of(&long, WRITTEN), BodyError::Value("boundary"));
    for text in [
        "",
        "x",
        "--b",
        "--b--",
        "--b\r\n--b--",
        "--b\r\n\r\n",
        "--b\r\n\r\nx",
        "--b\r\nno colon\r\n\r\nx\r\n--b--",
    ] {
        assert_eq!(error_of("multipart/mixed;boundary=b", text), BodyError::Syntax, "{text:?}");
    }
    let many = format!("{}--b--", "--b\r\n\r\n\r\n".repeat(PARTS_MAX + 1));
    assert_eq!(error_of("multipart/mixed;boundary=b", &many), BodyError::TooLarge);
    let wide = format!("--b\r\n{}\r\nx\r\n--b--", "a: b\r\n".repeat(1000));
    assert_eq!(error_of("multipart/mixed;boundary=b", &wide), BodyError::TooLarge);
}

fn error_of(kind: &str, text: &str) -> BodyError {
    read(kind.as_bytes(), text.as_bytes()).unwrap_err()
}

proptest! {
    #[test]
    fn what_is_written_is_read(bodies in prop::collection::vec("(--part-[0-9]|\r\n|-|[a-z]){0,12}", 1..5)) {
        let parts: Vec<_> =
            bodies.iter().map(|text| Part { bytes: text.as_bytes(), ..sdp() }).collect();
        let body = write(&parts);
        prop_assert_eq!(read(&body.content_type, &body.bytes), Ok(parts));
    }

    #[test]
    fn junk_is_refused_and_nothing_else_happens(junk in "(--b|--|\r\n|:|[a-z]){0,60}") {
        let _ = read(b"multipart/mixed;boundary=b", junk.as_bytes());
    }
}
