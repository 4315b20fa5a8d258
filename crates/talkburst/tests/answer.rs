//! The binary, from outside: `talkburst answer`.
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod program;

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Instant;

use program::{PATIENCE, Program, end, kinds, run};

#[test]
fn a_plan_answers_in_the_place_of_a_user() {
    let (answer, address) = Program::answer(&["--answer-after", "50ms", "--once"]);
    let (code, events, _) = Program::call(address, &["--leave-after", "20ms"]).exit();
    assert_eq!(code, Some(0));
    assert_eq!(kinds(&events), ["listening", "calling", "progress", "established", "ended"]);
    let (code, events, _) = answer.exit();
    assert_eq!(code, Some(0));
    assert_eq!(events[1]["answer_mode"], "manual");
    assert_eq!(kinds(&events), ["listening", "invited", "established", "ended"]);
}

#[test]
fn a_user_who_does_not_answer_has_missed_the_invitation() {
    let (answer, address) = Program::answer(&["--manual", "--no-answer-after", "100ms", "--once"]);
    assert_eq!(Program::call(address, &[]).exit().0, Some(5));
    let (code, events, _) = answer.exit();
    assert_eq!((code, end(&events)), (Some(0), ("expired", "local", Some(480))));
    assert_eq!(events.last().unwrap()["missed"], true);
}

#[test]
fn one_session_after_another_until_it_is_stopped() {
    let (mut answer, address) = Program::answer(&["--auto"]);
    for session in 1..=3 {
        assert_eq!(Program::call(address, &["--leave-after", "5ms", "--t1", "20ms"]).exit().0, Some(0));
        assert_eq!(answer.until("ended")["session"], session);
    }
    answer.signal("TERM");
    assert_eq!(answer.exit().0, Some(0));
}

#[test]
fn after_the_only_session_a_further_invitation_is_refused_and_not_shown() {
    let (mut answer, address) = Program::answer(&["--manual", "--once", "--t1", "1s"]);
    assert_eq!(Program::call(address, &["--cancel-after", "20ms", "--t1", "20ms"]).exit().0, Some(0));
    answer.until("ended");
    let (code, events, _) = Program::call(address, &["--t1", "20ms"]).exit();
    assert_eq!((code, end(&events)), (Some(5), ("rejected", "remote", Some(480))));
    assert_eq!(kinds(&answer.exit().1), ["listening", "invited", "ended"]);
}

#[test]
fn who_is_busy_says_so() {
    let (mut answer, address) = Program::answer(&["--manual"]);
    let mut first = Program::call(address, &[]);
    first.until("progress");
    let (code, events, _) = Program::call(address, &[]).exit();
    assert_eq!((code, end(&events)), (Some(5), ("rejected", "remote", Some(486))));
    answer.until("invited");
    answer.signal("INT");
    let (code, events, _) = answer.exit();
    assert_eq!((code, end(&events).0), (Some(0), "rejected"));
    assert_eq!(first.exit().0, Some(5));
}

#[test]
fn stopping_leaves_the_session() {
    let (mut answer, address) = Program::answer(&["--auto"]);
    let call = Program::call(address, &["--transport", "tcp"]);
    answer.until("established");
    answer.signal("INT");
    let (code, events, _) = answer.exit();
    assert_eq!((code, end(&events)), (Some(0), ("left", "local", None)));
    let (code, events, _) = call.exit();
    assert_eq!((code, end(&events)), (Some(0), ("released", "remote", None)));
}

#[test]
fn garbage_is_ignored_and_a_stream_of_it_is_closed() {
    let (mut answer, address) = Program::answer(&["--manual", "--once"]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for garbage in [&b""[..], b"\0\xff\xfe", b"INVITE", b"SIP/2.0 200 OK\r\n\r\n", &[b'x'; 60_000]] {
        socket.send_to(garbage, address).unwrap();
    }
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    // Closed: by an end or by a reset, whichever the system makes of it.
    let read = stream.read(&mut [0; 1024]);
    assert!(
        read.as_ref()
            .map_or_else(|error| error.kind() == std::io::ErrorKind::ConnectionReset, |length| *length == 0),
        "{read:?}"
    );
    let (code, events, _) = Program::call(address, &["--cancel-after", "50ms"]).exit();
    assert_eq!((code, end(&events).0), (Some(0), "cancelled"));
    assert_eq!(answer.until("ended")["session"], 1);
    assert_eq!(answer.exit().2, "");
}

#[test]
fn a_peer_that_does_not_read_loses_its_connection_and_stops_nobody() {
    let (_answer, address) = Program::answer(&["--auto"]);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let until = Instant::now() + PATIENCE;
    let mut asked = 0;
    let lost = loop {
        assert!(Instant::now() < until, "still open after {asked} requests");
        let options = format!(
            "OPTIONS sip:ben@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK{asked}\r\n\
             From: <sip:a@b>;tag=1\r\nTo: <sip:ben@b>\r\nCall-ID: {asked}\r\nCSeq: 1 OPTIONS\r\n\
             Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        asked += 1;
        if let Err(error) = stream.write_all(options.as_bytes()) {
            break error;
        }
        if asked == 1000 {
            // In the middle of it somebody else is served.
            assert_eq!(Program::call(address, &["--leave-after", "5ms", "--t1", "20ms"]).exit().0, Some(0));
        }
    };
    let is_closed =
        matches!(lost.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe);
    assert!(is_closed, "{lost:?}");
}

#[test]
fn connections_are_bounded_and_the_ones_that_are_there_go_on() {
    let (_answer, address) = Program::answer(&["--auto"]);
    let mut streams: Vec<_> = (0..70).map(|_| TcpStream::connect(address).unwrap()).collect();
    let is_open = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(b"\r\n\r\n");
        // RFC 5626 §3.5.1: a ping meets a pong.
        matches!(stream.read(&mut [0; 2]), Ok(1..))
    };
    let open = streams.iter_mut().map(is_open).filter(|open| *open).count();
    assert_eq!(open, 64);
    assert_eq!(Program::call(address, &["--leave-after", "5ms", "--t1", "20ms"]).exit().0, Some(0));
}

#[test]
fn one_transport_only_is_one_transport_only() {
    let (mut answer, address) = Program::answer(&["--transport", "tcp", "--auto", "--once"]);
    assert!(answer.events[0].get("udp").is_none());
    assert!(UdpSocket::bind(address).is_ok());
    assert_eq!(Program::call(address, &["--transport", "tcp", "--leave-after", "5ms"]).exit().0, Some(0));
    answer.until("ended");
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    assert_eq!(run(&["answer", "--auto", "--manual"]).0, Some(2));
    assert_eq!(run(&["answer", "--auto", "--answer-after", "1s"]).0, Some(2));
    assert_eq!(run(&["answer", "--proxy", "127.0.0.1"]).0, Some(2));
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (code, _, said) = run(&["answer", "--listen", &taken.local_addr().unwrap().to_string()]);
    assert_eq!((code, said.lines().count()), (Some(4), 1));
    assert!(said.starts_with("talkburst: failed to listen on UDP 127.0.0.1:"), "{said}");
}
