//! The binary, from outside: `talkburst call`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it is surprised, and says what it leaves out"
)]

mod program;

use std::process::{Command, Stdio};
use std::time::Duration;

use program::{Bound, Peer, Program, end, kinds, run, scratch};

/// I3: over both transports each side is told its own end.
#[test]
fn a_call_that_is_cancelled_while_it_rings_ends_for_both() {
    for transport in ["udp", "tcp"] {
        let (answer, address) = Program::answer(&["--manual", "--once"]);
        let call = Program::call(address, &["--transport", transport, "--cancel-after", "100ms"]);
        let (code, events, said) = call.exit();
        assert_eq!((code, said.as_str()), (Some(0), ""));
        assert_eq!(kinds(&events), ["listening", "calling", "progress", "cancelling", "ended"]);
        assert_eq!(events[1]["target"], format!("{transport} {address}"));
        assert_eq!(end(&events), ("cancelled", "local", Some(487)));
        let (code, events, _) = answer.exit();
        assert_eq!(code, Some(0));
        assert_eq!(kinds(&events), ["listening", "invited", "ended"]);
        assert_eq!(end(&events), ("cancelled", "remote", Some(487)));
        assert_eq!(events[2]["missed"], true);
    }
}

#[test]
fn a_call_that_is_answered_is_left_by_either_side() {
    for transport in ["udp", "tcp"] {
        let (answer, address) = Program::answer(&["--auto", "--once"]);
        let (code, events, _) =
            Program::call(address, &["--transport", transport, "--leave-after", "50ms"]).exit();
        assert_eq!((code, end(&events)), (Some(0), ("left", "local", None)));
        let established = events.iter().find(|event| event["event"] == "established").unwrap();
        assert_eq!(established["answer_state"], "confirmed");
        assert_eq!(established["media"]["codec"], "PCMU");
        let (code, events, _) = answer.exit();
        assert_eq!((code, end(&events)), (Some(0), ("released", "remote", None)));

        let (answer, address) = Program::answer(&["--auto", "--once", "--leave-after", "50ms"]);
        let (code, events, _) = Program::call(address, &["--transport", transport]).exit();
        assert_eq!((code, end(&events)), (Some(0), ("released", "remote", None)));
        assert_eq!(end(&answer.exit().1), ("left", "local", None));
    }
}

#[test]
fn after_an_answer_cancel_after_leaves() {
    let (answer, address) = Program::answer(&["--auto", "--once"]);
    let (code, events, _) = Program::call(address, &["--cancel-after", "200ms"]).exit();
    assert_eq!((code, end(&events)), (Some(0), ("left", "local", None)));
    assert!(!kinds(&events).contains(&"cancelling"));
    assert_eq!(answer.exit().0, Some(0));
}

#[test]
fn a_refusal_has_its_exit_code() {
    let (_answer, address) = Program::answer(&["--refuse-after", "20ms", "--once"]);
    let (code, events, _) = Program::call(address, &[]).exit();
    assert_eq!((code, end(&events)), (Some(5), ("rejected", "remote", Some(480))));
}

#[test]
fn a_peer_that_never_answers_times_out() {
    let (_peer, address) = Peer::open();
    let (code, events, _) = Program::call(address, &["--t1", "5ms"]).exit();
    assert_eq!((code, end(&events)), (Some(6), ("timed-out", "remote", None)));
}

/// T4: RFC 3261 §9.1.
#[test]
fn a_wish_before_any_response_sends_no_cancel() {
    let (peer, address) = Peer::open();
    let (code, events, _) = Program::call(address, &["--t1", "5ms", "--cancel-after", "0ms"]).exit();
    assert_eq!((code, end(&events)), (Some(0), ("cancelled", "local", None)));
    assert!(kinds(&events).contains(&"cancelling"));
    let methods = peer.methods_within(Duration::from_millis(50));
    assert!(!methods.is_empty() && methods.iter().all(|method| method == "INVITE"), "{methods:?}");
}

#[test]
fn an_invitation_that_expires_is_cancelled_and_nobody_answered() {
    let (peer, address) = Peer::open();
    let call = Program::call(address, &["--expires", "1s"]);
    let (invite, from) = peer.request();
    assert_eq!(invite.value(sip::message::Name::Expires), Some(&b"1"[..]));
    peer.answer(&invite, from, 180);
    let (cancel, _) = peer.request();
    assert_eq!(cancel.method_text(), b"CANCEL");
    peer.answer(&cancel, from, 200);
    peer.answer(&invite, from, 487);
    let (code, events, _) = call.exit();
    assert_eq!((code, end(&events)), (Some(6), ("cancelled", "local", Some(487))));
    assert!(!kinds(&events).contains(&"cancelling"));
}

/// RFC 3261 §13.3.1: it may expire at the other side first.
#[test]
fn a_487_nobody_asked_for_means_that_the_invitation_expired_if_it_could() {
    for (arguments, code) in [(&["--expires", "60s"][..], 6), (&[], 5)] {
        let (peer, address) = Peer::open();
        let call = Program::call(address, arguments);
        let (invite, from) = peer.request();
        peer.answer(&invite, from, 487);
        assert_eq!(call.exit().0, Some(code));
    }
}

#[test]
fn a_connection_that_is_refused_is_a_failure_of_the_network() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, events, _) = Program::call(free, &["--transport", "tcp"]).exit();
    assert_eq!((code, end(&events).0), (Some(4), "transport-failed"));
}

#[test]
fn an_interrupt_while_it_rings_cancels() {
    for signal in ["INT", "TERM"] {
        let (answer, address) = Program::answer(&["--manual", "--once"]);
        let mut call = Program::call(address, &[]);
        call.until("progress");
        call.signal(signal);
        let (code, events, _) = call.exit();
        assert_eq!((code, end(&events)), (Some(0), ("cancelled", "local", Some(487))));
        assert_eq!(end(&answer.exit().1), ("cancelled", "remote", Some(487)));
    }
}

#[test]
fn a_second_interrupt_ends_at_once() {
    let (peer, address) = Peer::open();
    let mut call = Program::call(address, &[]);
    let (invite, from) = peer.request();
    peer.answer(&invite, from, 180);
    call.until("progress");
    call.signal("INT");
    call.until("cancelling");
    call.signal("INT");
    let (code, events, _) = call.exit();
    assert_eq!(code, Some(130));
    assert!(!kinds(&events).contains(&"ended"));
}

#[test]
fn an_outbound_proxy_is_the_next_hop_and_a_loose_route() {
    let (proxy, address) = Peer::open();
    let call = Program::start(&["call", "ben@nowhere.invalid", "--proxy", &address.to_string()]);
    let (invite, from) = proxy.request();
    assert_eq!(invite.uri_text(), b"sip:ben@nowhere.invalid");
    let route = invite.value(sip::message::Name::Route).unwrap();
    assert_eq!(route, format!("<sip:{address};lr>").as_bytes());
    proxy.answer(&invite, from, 404);
    assert_eq!(call.exit().0, Some(5));
}

#[test]
fn the_user_and_the_advertised_address_stand_in_the_invite() {
    let (peer, address) = Peer::open();
    let user = "\"Anna\" <sip:anna@example.com>";
    let call = Program::call(address, &["--user", user, "--advertise", "192.0.2.7:5099"]);
    let (invite, from) = peer.request();
    let text = String::from_utf8(invite.bytes().to_vec()).unwrap();
    assert!(text.contains(&format!("From: {user};tag=")), "{text}");
    assert!(text.contains("Via: SIP/2.0/UDP 192.0.2.7:5099;"), "{text}");
    assert!(text.contains("c=IN IP4 192.0.2.7"), "{text}");
    peer.answer(&invite, from, 486);
    assert_eq!(call.exit().0, Some(5));
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let empty = scratch("empty");
    std::fs::write(&empty, "\n").unwrap();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let to = "sip:ben@127.0.0.1:9";
    let cases: &[(&[&str], i32, &str)] = &[
        (&["sip:be n@127.0.0.1"], 2, "not a SIP URI"),
        (&["tel:+15550100"], 2, "use sip:"),
        (&["sips:ben@127.0.0.1"], 4, "TLS is not there yet; use sip:"),
        (&["sip:ben@127.0.0.1;transport=tls"], 4, "TLS is not there yet"),
        (&["sip:ben@nowhere.invalid", "--nameserver", "127.0.0.1:9"], 4, "failed to find the way"),
        (&[to, "--user", "<anna@b"], 2, "failed to read --user"),
        (&[to, "--proxy", "p q"], 2, "failed to read --proxy"),
        (&[to, "--t1", "5"], 2, "not a span of time"),
        (&[to, "--t1", "0ms"], 2, "--t1"),
        (&[to, "--cancel-after", "25h"], 2, "longer than a day"),
        (&[to, "--listen", "localhost"], 2, "not an IP address"),
        (&[to, "--listen", &taken], 4, "choose another port with --listen"),
        (&[to, "--listen", "192.0.2.1"], 4, "is that address up on this machine?"),
        (&[to, "--listen", "[::1]"], 4, "not the same address family"),
        (&[to, "--advertise", "0.0.0.0"], 2, "--advertise"),
        (&[to, "--username", "anna"], 2, "--username"),
        (&[to, "--password-file", "/nowhere/at/all"], 3, "failed to read the password"),
        (&[to, "--password-file", empty.to_str().unwrap()], 3, "the first line is empty"),
        (&[to, "--password-stdin"], 3, "the first line is empty"),
        (&[to, "--pcap", "/nowhere/at/all.pcap"], 3, "failed to write /nowhere/at/all.pcap"),
    ];
    for (arguments, code, why) in cases {
        let (actual, out, said) = run(&[&["call"], *arguments].concat());
        assert_eq!(actual, Some(*code), "{arguments:?}: {said}");
        assert_eq!((said.lines().count(), out.as_str()), (1, ""), "{arguments:?}: {said}");
        assert!(said.starts_with("talkburst: failed to ") && said.contains(why), "{arguments:?}: {said}");
    }
    std::fs::remove_file(empty).unwrap();
}

#[test]
fn the_ladder_stands_beside_json_and_below_the_lines() {
    let (_answer, address) = Program::answer(&["--manual"]);
    let (_, events, said) = Program::call(address, &["--ladder", "--cancel-after", "50ms"]).exit();
    assert_eq!(kinds(&events).last(), Some(&"ended"));
    let shown = ["INVITE", "180 (INVITE)", "user hangs up", "CANCEL", "487 (INVITE)", "ACK"];
    let places: Vec<_> = shown.iter().map(|shown| said.find(shown).unwrap()).collect();
    assert!(places.is_sorted(), "{said}");
    let (_, out, said) = run(&["call", &format!("sip:ben@{address}"), "--ladder", "--cancel-after", "50ms"]);
    assert!(out.contains("─ CANCEL ─") && said.is_empty(), "{out}{said}");
}

#[test]
fn a_capture_of_either_transport_is_sip_to_tshark() {
    for transport in ["udp", "tcp"] {
        let files =
            [scratch(&format!("call-{transport}.pcap")), scratch(&format!("answer-{transport}.pcap"))];
        let (answer, address) = Program::answer(&["--auto", "--once", "--pcap", files[1].to_str().unwrap()]);
        let arguments =
            ["--transport", transport, "--leave-after", "20ms", "--pcap", files[0].to_str().unwrap()];
        assert_eq!(Program::call(address, &arguments).exit().0, Some(0));
        assert_eq!(answer.exit().0, Some(0));
        for file in files {
            check_with_tshark(&file);
            std::fs::remove_file(&file).unwrap();
        }
    }
}

fn check_with_tshark(file: &std::path::Path) {
    let decode = ["-d", "udp.port==1024-65535,sip", "-d", "tcp.port==1024-65535,sip", "-Y", "sip"];
    let fields = ["-T", "fields", "-e", "sip.CSeq.method", "-e", "_ws.malformed", "-e", "tcp.analysis.flags"];
    let tshark =
        Command::new("tshark").arg("-r").arg(file).args(decode).args(fields).stderr(Stdio::null()).output();
    let Ok(tshark) = tshark else {
        assert!(std::env::var_os("TALKBURST_REQUIRE_TOOLS").is_none(), "tshark is missing");
        println!("tshark is not on this machine: left out");
        return;
    };
    let lines = String::from_utf8(tshark.stdout).unwrap();
    let columns: Vec<Vec<_>> = lines.lines().map(|line| line.split('\t').collect()).collect();
    let methods: Vec<_> = columns.iter().flat_map(|line| line[0].split(',')).collect();
    assert_eq!(methods, ["INVITE", "INVITE", "ACK", "BYE", "BYE"], "{lines}");
    assert!(columns.iter().all(|line| line[1..].iter().all(|column| column.is_empty())), "{lines}");
}

#[test]
fn a_reader_who_stops_reading_leaves_nobody_ringing() {
    let (mut answer, address) = Program::answer(&["--manual", "--once"]);
    let child = Command::new(env!("CARGO_BIN_EXE_talkburst"))
        .args(["call", &format!("sip:ben@{address}")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = Bound(child.unwrap());
    drop(child.0.stdout.take());
    assert_eq!(answer.until("ended")["end"], "cancelled");
    assert!(child.0.wait().unwrap().success());
}

#[cfg(unix)]
mod keys {
    use rexpect::session::{PtySession, spawn_command};

    use super::*;

    /// In a pseudo-terminal, and then what the terminal is like.
    fn in_terminal(arguments: &str) -> PtySession {
        let script = format!("{} {arguments}; echo \"code $?\"; stty -a", env!("CARGO_BIN_EXE_talkburst"));
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        spawn_command(command, Some(20_000)).unwrap()
    }

    fn expect_cooked(terminal: &mut PtySession, code: u8) {
        terminal.exp_string(&format!("code {code}")).unwrap();
        // Raw mode is without either. Echo was never on here: rexpect begins so.
        terminal.exp_string("\nopost ").unwrap();
        terminal.exp_string("isig icanon ").unwrap();
    }

    #[test]
    fn c_cancels_and_the_terminal_is_as_before() {
        let (answer, address) = Program::answer(&["--manual", "--once"]);
        let mut terminal = in_terminal(&format!("call --plain sip:ben@{address}"));
        terminal.exp_string("it rings (180)").unwrap();
        terminal.send("c").unwrap();
        terminal.flush().unwrap();
        terminal.exp_string("cancelled").unwrap();
        terminal.exp_string("(487)").unwrap();
        expect_cooked(&mut terminal, 0);
        assert_eq!(end(&answer.exit().1), ("cancelled", "remote", Some(487)));
    }

    #[test]
    fn a_answers_and_l_leaves() {
        let mut terminal = in_terminal("answer --plain --listen 127.0.0.1:0 --once");
        terminal.exp_string("listening on udp 127.0.0.1:").unwrap();
        let port = terminal.exp_regex("[0-9]+ ").unwrap().1;
        let to = format!("127.0.0.1:{}", port.trim()).parse().unwrap();
        let call = Program::call(to, &[]);
        terminal.exp_string("invited by").unwrap();
        terminal.send("c").unwrap();
        terminal.flush().unwrap();
        terminal.exp_string("cannot cancel").unwrap();
        terminal.send("a").unwrap();
        terminal.flush().unwrap();
        terminal.exp_string("in session").unwrap();
        terminal.send("l").unwrap();
        terminal.flush().unwrap();
        terminal.exp_string("ended").unwrap();
        expect_cooked(&mut terminal, 0);
        let (code, events, _) = call.exit();
        assert_eq!((code, end(&events)), (Some(0), ("released", "remote", None)));
    }

    #[test]
    fn control_c_twice_ends_at_once_and_the_terminal_is_as_before() {
        let (peer, address) = Peer::open();
        let mut terminal = in_terminal(&format!("call --plain sip:ben@{address}"));
        let (invite, from) = peer.request();
        peer.answer(&invite, from, 180);
        terminal.exp_string("it rings").unwrap();
        terminal.send("\u{3}").unwrap();
        terminal.flush().unwrap();
        terminal.exp_string("cancelling").unwrap();
        terminal.send("\u{3}").unwrap();
        terminal.flush().unwrap();
        expect_cooked(&mut terminal, 130);
    }
}
