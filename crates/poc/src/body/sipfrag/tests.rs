use proptest::prelude::*;

use super::*;

fn progress(status: u16, answer_state: Option<AnswerState>) -> Progress {
    Progress { status, answer_state }
}

fn written(status: u16, answer_state: Option<AnswerState>) -> String {
    String::from_utf8(write(progress(status, answer_state)).bytes.to_vec()).unwrap()
}

/// digest 7.2, 14.8.
#[test]
fn a_status_line_is_enough_and_the_answer_state_stands_behind_it() {
    assert_eq!(written(487, None), "SIP/2.0 487 Request Terminated\r\n");
    let unconfirmed = written(183, Some(AnswerState::Unconfirmed));
    assert_eq!(unconfirmed, "SIP/2.0 183 Session Progress\r\nP-Answer-State: Unconfirmed\r\n");
    assert_eq!(write(progress(100, None)).content_type, CONTENT_TYPE);
}

/// RFC 4964 §8, the NOTIFY of the example with a pre-established session.
#[test]
fn the_fragment_of_the_example_is_read() {
    let example = b"SIP/2.0 183 Session Progress\r\nTo: \"Bob\" <sip:bob@example.com>;tag=d28119a\r\n\
        P-Answer-State: Unconfirmed\r\n\r\n";
    assert_eq!(read(example), Ok(progress(183, Some(AnswerState::Unconfirmed))));
    let with_body = b"SIP/2.0 200 OK\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n";
    assert_eq!(read(with_body), Ok(progress(200, Some(AnswerState::Confirmed))));
}

/// RFC 4964 §5: a provisional response that is Confirmed is invalid, and a failure has no such state.
#[test]
fn a_state_that_counts_for_nothing_is_neither_written_nor_read() {
    for (status, state) in
        [(100, AnswerState::Unconfirmed), (180, AnswerState::Confirmed), (486, AnswerState::Confirmed)]
    {
        assert!(!written(status, Some(state)).contains("Answer"), "{status}");
        let said = format!("SIP/2.0 {status} X\r\nP-Answer-State: {}\r\n\r\n", state.as_str());
        assert_eq!(read(said.as_bytes()), Ok(progress(status, None)));
    }
}

/// RFC 3420 §3.1, §3.2.
#[test]
fn what_has_no_status_line_is_no_progress() {
    assert_eq!(read(b"SIP/2.0 603 Declined"), Ok(progress(603, None)));
    assert_eq!(read(b"INVITE sip:alice@atlanta.com SIP/2.0\r\n\r\n"), Err(BodyError::Root));
    for junk in [&b""[..], b"SIP/2.0", b"404 Not Found", b"From: Alice <sip:alice@atlanta.com>\r\n", b"\r\n"]
    {
        assert!(read(junk).is_err(), "{junk:?}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(status in 100..700_u16, is_confirmed: bool) {
        let state = if is_confirmed { AnswerState::Confirmed } else { AnswerState::Unconfirmed };
        let read = read(&write(progress(status, Some(state))).bytes).unwrap();
        prop_assert_eq!(read.status, status);
        let counts = match status {
            180..=189 => !is_confirmed,
            200..=299 => true,
            _ => false,
        };
        prop_assert_eq!(read.answer_state, counts.then_some(state));
    }

    #[test]
    fn junk_is_refused_and_nothing_else_happens(junk: Vec<u8>) {
        let _ = read(&junk);
    }
}
