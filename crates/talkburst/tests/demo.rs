//! The binary, from outside: `talkburst demo`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it is surprised, and says what it leaves out"
)]

mod common;
#[path = "common/tshark.rs"]
mod tshark;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use poc::talk_burst::{Acknowledgement, Message, Revoke, StopTalking};
use serde_json::Value;

fn talkburst(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_talkburst")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("talkburst-{}-{name}", std::process::id()))
}

#[test]
fn every_scene_ends_as_it_must_and_is_shown_as_a_ladder() {
    let run = talkburst(&["demo"]);
    let out = text(&run.stdout);
    assert!(run.status.success(), "{out}");
    for shown in
        ["─ CANCEL ─", "487 (INVITE)", "PoC CP 6.2.X.1 step 2", "[held back]", "[let go]", "█████", "▒▒▒▒▒"]
    {
        assert!(out.contains(shown), "{shown}");
    }
    assert!(out.ends_with("18 of 18 scenes ended as they must\n"), "{out}");
    assert_eq!(text(&run.stderr), "");
}

#[test]
fn json_has_a_scene_a_line_and_then_a_summary() {
    let run = talkburst(&["demo", "--json"]);
    assert!(run.status.success());
    let lines: Vec<Value> =
        text(&run.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (summary, scenes) = lines.split_last().unwrap();
    assert_eq!(*summary, serde_json::json!({ "scenes": 18, "right": 18 }));
    let names: Vec<_> = scenes.iter().map(|scene| scene["scene"].as_str().unwrap()).collect();
    let direct = ["answered", "ringing", "crossing", "before-any-response", "just-accepted"];
    let by_server =
        ["ringing", "crossing", "unconfirmed", "refused", "override"].map(|name| format!("server-{name}"));
    assert_eq!(names[..5], direct);
    assert_eq!(names[5..10], by_server);
    assert_eq!(names[10..13], ["group-four-states", "chat-join", "pre-established"]);
    assert_eq!(names[13..], ["talk-burst", "talk-burst-amr", "pre-emption", "too-long", "buffered-cancel"]);
    let mut packets = BTreeMap::new();
    for line in scenes[13]["ladder"].as_array().unwrap() {
        let count = line["packets"].as_u64().unwrap_or_default();
        *packets.entry(line["to"].as_str().unwrap_or_default()).or_insert(0) += count;
    }
    packets.retain(|_, count| *count > 0);
    let once_each = ["ben", "cara", "dan", "server"].map(|name| (name, 30));
    assert_eq!(packets, once_each.into(), "once to the server, and once to each of the others");
    for (name, what) in [("anna", "speaks"), ("dan", "hears")] {
        let spans = scenes[13]["timeline"][name].as_array().unwrap();
        let span = spans.iter().find(|span| span["what"] == what).unwrap();
        let lasted = span["to_ms"].as_f64().unwrap() - span["from_ms"].as_f64().unwrap();
        assert!((560.0..700.0).contains(&lasted), "{name} {what} for {lasted} ms");
    }
    let crossing = &scenes[2];
    assert_eq!((&crossing["anna"]["end"], &crossing["anna"]["status"]), (&"cancelled".into(), &200.into()));
    assert_eq!(crossing["ben"]["end"], "released");
    assert!(crossing["ladder"].as_array().unwrap().iter().any(|line| line["fate"] == "held"));
}

#[test]
fn the_wish_before_any_response_sends_no_cancel_until_the_180_is_let_go() {
    let run = talkburst(&["demo", "--json"]);
    let scene: Value = serde_json::from_str(text(&run.stdout).lines().nth(3).unwrap()).unwrap();
    let ladder = scene["ladder"].as_array().unwrap();
    let place = |fits: &dyn Fn(&Value) -> bool| ladder.iter().position(fits).unwrap();
    let wish = place(&|line| line["note"] == "anna cancels");
    let let_go = place(&|line| line["fate"] == "let go");
    let cancel = place(&|line| line["message"] == "CANCEL");
    assert!(wish < let_go && let_go < cancel, "{ladder:#?}");
}

/// Case 15, and the ladder has a column for each element.
#[test]
fn by_way_of_the_server_each_hop_cancels_its_own_invite_and_two_records_are_closed() {
    let run = talkburst(&["demo", "--json"]);
    let scene: Value = serde_json::from_str(text(&run.stdout).lines().nth(5).unwrap()).unwrap();
    let ladder = scene["ladder"].as_array().unwrap();
    let hops: Vec<_> = ladder
        .iter()
        .filter(|line| line["message"] == "CANCEL")
        .map(|line| (line["from"].as_str().unwrap(), line["to"].as_str().unwrap()))
        .collect();
    let cancels = [
        ("anna", "core"),
        ("core", "server"),
        ("server", "core"),
        ("core", "server"),
        ("server", "core"),
        ("core", "ben"),
    ];
    assert_eq!(hops, cancels);
    let records: Vec<_> =
        scene["records"].as_array().unwrap().iter().map(|record| &record["function"]).collect();
    assert_eq!(records, ["controlling", "participating"]);
}

/// T17: Ben and Cara are cancelled, Dan is left, Erin, who has refused, hears nothing any more.
#[test]
fn in_a_group_each_leg_is_ended_by_what_it_has_come_to() {
    let run = talkburst(&["demo", "--json"]);
    let scene: Value = serde_json::from_str(text(&run.stdout).lines().nth(10).unwrap()).unwrap();
    let ladder = scene["ladder"].as_array().unwrap();
    let cancelled = ladder.iter().position(|line| line["note"] == "anna cancels").unwrap();
    let received = |user: &str| -> Vec<&str> {
        let behind = ladder[cancelled..].iter().filter(|line| line["to"] == user);
        behind.map(|line| line["message"].as_str().unwrap()).collect()
    };
    assert_eq!(received("ben"), ["CANCEL", "ACK"]);
    assert_eq!(received("cara"), ["INVITE", "CANCEL", "ACK"]);
    assert_eq!(received("dan"), ["CANCEL", "ACK", "BYE"]);
    assert!(received("erin").is_empty());
}

/// T18.
#[test]
fn a_join_that_is_cancelled_is_nothing_to_those_who_are_in_the_chat() {
    let run = talkburst(&["demo", "--json"]);
    let scene: Value = serde_json::from_str(text(&run.stdout).lines().nth(11).unwrap()).unwrap();
    let ladder = scene["ladder"].as_array().unwrap();
    let joins = ladder.iter().position(|line| line["note"] == "anna joins patrol").unwrap();
    let is_other = |line: &&Value| ["ben", "cara"].iter().any(|name| line["to"] == *name);
    assert_eq!(ladder[joins..].iter().filter(is_other).count(), 0);
    assert!(scene["ben"].is_null() && scene["cara"].is_null(), "they are still in session");
}

/// T21: the session whose re-INVITE was cancelled is the one that takes the next.
#[test]
fn a_pre_established_session_outlives_its_cancelled_re_invite() {
    let run = talkburst(&["demo", "--json"]);
    let scene: Value = serde_json::from_str(text(&run.stdout).lines().nth(12).unwrap()).unwrap();
    let ladder = scene["ladder"].as_array().unwrap();
    let to_ben: Vec<_> = ladder
        .iter()
        .filter(|line| line["to"] == "ben")
        .map(|line| line["message"].as_str().unwrap())
        .collect();
    let cancel = to_ben.iter().position(|message| *message == "CANCEL").unwrap();
    assert!(to_ben[cancel..].contains(&"INVITE"), "{to_ben:?}");
    assert!(!to_ben.contains(&"BYE"), "{to_ben:?}");
}

#[test]
fn it_plays_over_ipv6_too() {
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        let run = talkburst(&["demo", "--ipv6"]);
        assert_eq!(run.status.code(), Some(4));
        assert!(text(&run.stderr).contains("failed to open a UDP socket on ::1"));
        return;
    }
    assert!(talkburst(&["demo", "--ipv6"]).status.success());
}

#[test]
fn a_capture_holds_every_datagram_and_tshark_reads_it_as_sip() {
    for (flag, file) in [("--json", scratch("v4.pcap")), ("--ipv6", scratch("v6.pcap"))] {
        if flag == "--ipv6" && std::net::UdpSocket::bind("[::1]:0").is_err() {
            continue;
        }
        assert!(talkburst(&["demo", flag, "--pcap", file.to_str().unwrap()]).status.success());
        let mut reader = pcap_file::pcap::PcapReader::new(std::fs::File::open(&file).unwrap()).unwrap();
        let (mut packets, mut bursts) = (0, Vec::new());
        while let Some(packet) = reader.next_packet() {
            let packet = packet.unwrap();
            let sliced = etherparse::SlicedPacket::from_ip(&packet.data).unwrap();
            let Some(etherparse::TransportSlice::Udp(udp)) = sliced.transport else { panic!("not UDP") };
            match udp.payload() {
                // RTCP and RTP, and what only keeps a way open.
                [0x80..=0xbf, 204, ..] => {
                    let packets = poc::talk_burst::packets(udp.payload()).unwrap();
                    bursts.extend(packets.map(|packet| packet.unwrap().message));
                }
                [0x80..=0xbf, ..] | [] => {}
                message => {
                    let message = sip::Message::parse(message.to_vec().into()).unwrap();
                    assert!(message.validate().is_ok());
                    packets += 1;
                }
            }
        }
        assert!(packets >= 6 + 6 + 8 + 6 + 8 + 5 * 20, "{packets}");
        check_with_tshark(&file, packets);
        check_bursts_with_tshark(&file, &bursts);
        std::fs::remove_file(&file).unwrap();
    }
}

/// C21: every packet is SIP to Wireshark's dissector too, well-formed, and without an expert warning.
fn check_with_tshark(file: &std::path::Path, packets: usize) {
    let fields =
        ["-T", "fields", "-e", "sip.CSeq.method", "-e", "_ws.malformed", "-e", "_ws.expert.severity"];
    let decode = [
        "-Y",
        "sip.CSeq.method",
        "-d",
        "udp.port==1024-65535,sip",
        "-o",
        "ip.check_checksum:TRUE",
        "-o",
        "udp.check_checksum:TRUE",
    ];
    let tshark =
        Command::new("tshark").arg("-r").arg(file).args(decode).args(fields).stderr(Stdio::null()).output();
    let Ok(tshark) = tshark else { return common::leave_out("tshark") };
    let lines = text(&tshark.stdout);
    assert_eq!(lines.lines().count(), packets);
    for line in lines.lines() {
        let columns: Vec<_> = line.split('\t').collect();
        assert!(["INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "PUBLISH"].contains(&columns[0]), "{line}");
        assert_eq!(columns[1], "", "malformed: {line}");
        let severities = columns[2].split(',').filter_map(|severity| severity.parse::<u32>().ok());
        assert!(severities.max().unwrap_or(0) < 0x0060_0000, "expert warning: {line}");
    }
}

/// What tshark is to find in a message of TBCP.
const BURST_FIELDS: [&str; 11] = [
    "subtype",
    "poc1.stt",
    "poc1.participants",
    "poc1.ssrc.granted",
    "poc1.sip.uri",
    "poc1.disp.name",
    "poc1.reason.code",
    "poc1.last.pkt.seq.no",
    "poc1.ignore.seq.no",
    "poc1.ack.subtype",
    "poc1.conn.sdes.a.id",
];

/// The values of those fields; of what the demo does not send there are none.
fn fields_of(message: &Message) -> BTreeMap<&'static str, String> {
    let (subtype, fields) = match message {
        Message::Request { .. } => (0, vec![]),
        Message::Granted { stop_talking, participants } => {
            let StopTalking::Seconds(seconds) = stop_talking else { panic!("{message:?}") };
            (
                1,
                vec![
                    ("poc1.stt", seconds.to_string()),
                    ("poc1.participants", participants.unwrap().to_string()),
                ],
            )
        }
        Message::Taken(taken) => {
            let subtype = if taken.is_acknowledged { 18 } else { 2 };
            let fields = vec![
                ("poc1.ssrc.granted", taken.ssrc.to_string()),
                ("poc1.sip.uri", text(&taken.identity)),
                ("poc1.disp.name", taken.name.as_deref().unwrap().to_owned()),
                ("poc1.participants", taken.participants.unwrap().to_string()),
            ];
            (subtype, fields)
        }
        Message::Release { last } => {
            let last_told = ("poc1.last.pkt.seq.no", last.unwrap_or_default().to_string());
            (4, vec![last_told, ("poc1.ignore.seq.no", u8::from(last.is_none()).to_string())])
        }
        Message::Idle => (5, vec![]),
        Message::Revoke(revoke) => {
            let reason = match revoke {
                Revoke::OnlyOne => "1",
                Revoke::TooLong { .. } => "2",
                Revoke::NotPermitted => "3",
                Revoke::PreEmpted => "4",
                Revoke::Unknown { .. } => panic!("{message:?}"),
            };
            (6, vec![("poc1.reason.code", reason.to_owned())])
        }
        Message::Acknowledgement(acknowledgement) => {
            let of = match acknowledgement {
                Acknowledgement::Taken => "18",
                Acknowledgement::Connect(_) => "15",
                Acknowledgement::Disconnect => "11",
            };
            (7, vec![("poc1.ack.subtype", of.to_owned())])
        }
        Message::QueueStatus { .. } => (9, vec![]),
        Message::Disconnect => (11, vec![]),
        Message::Connect(_) | Message::Deny { .. } | Message::QueueStatusRequest => {
            panic!("nothing sends {message:?}")
        }
    };
    fields.into_iter().chain([("subtype", subtype.to_string())]).collect()
}

/// User-plane digest 14.5: each message of TBCP is that to Wireshark's dissector, well-formed, and without an expert warning.
fn check_bursts_with_tshark(file: &std::path::Path, bursts: &[Message]) {
    let chosen = ["-Y", "rtcp.app.name == \"PoC1\"", "-d", "udp.port==1024-65535,rtcp", "-T", "fields"];
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(file).args(chosen).args(["-e", "_ws.malformed", "-e", "_ws.expert.severity"]);
    for field in BURST_FIELDS {
        tshark.args(["-e", &format!("rtcp.app.{field}")]);
    }
    let Ok(tshark) = tshark.stderr(Stdio::null()).output() else { return common::leave_out("tshark") };
    let lines = text(&tshark.stdout);
    assert_eq!(lines.lines().count(), bursts.len());
    for (line, burst) in lines.lines().zip(bursts) {
        let columns: Vec<_> = line.split('\t').collect();
        assert_eq!(columns[0], "", "malformed: {line}");
        let severities = columns[1].split(',').filter_map(|severity| severity.parse::<u32>().ok());
        assert!(severities.max().unwrap_or(0) < 0x0060_0000, "expert warning: {line}");
        let found = BURST_FIELDS.into_iter().zip(columns[2..].iter().map(|value| tshark::plain(value)));
        let found: BTreeMap<_, _> = found.filter(|(_, value)| !value.is_empty()).collect();
        assert_eq!(found, fields_of(burst), "{line}");
    }
    let seen: Vec<_> = bursts.iter().map(ToString::to_string).collect();
    for told in [
        "Talk Burst Granted",
        "Talk Burst Taken",
        "Talk Burst Idle",
        "Talk Burst Release",
        "Talk Burst Revoke",
        "Disconnect",
    ] {
        assert!(seen.iter().any(|message| message == told), "{told}");
    }
}

#[test]
fn what_is_wrong_with_the_call_is_said_in_one_line() {
    let run = talkburst(&["demo", "--pcap", "/nowhere/at/all.pcap"]);
    assert_eq!(run.status.code(), Some(3));
    let said = text(&run.stderr);
    assert!(said.starts_with("talkburst: failed to write /nowhere/at/all.pcap: "), "{said}");
    assert_eq!(said.lines().count(), 1);
    assert_eq!(talkburst(&["demo", "--pcapp", "x"]).status.code(), Some(2));
}

#[test]
fn a_reader_who_stops_reading_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_talkburst"))
        .arg("demo")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let run = child.wait_with_output().unwrap();
    assert!(run.status.success());
    assert_eq!(text(&run.stderr), "");
}

#[test]
fn what_was_heard_is_kept_as_wav_files() {
    let folder = scratch("wav");
    let run = talkburst(&["demo", "--json", "--wav", folder.to_str().unwrap()]);
    assert!(run.status.success());
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    let expected = [
        "pre-emption-anna",
        "pre-emption-ben",
        "pre-emption-cara",
        "talk-burst-amr-ben",
        "talk-burst-ben",
        "talk-burst-cara",
        "talk-burst-dan",
        "too-long-ben",
    ];
    assert_eq!(names, expected.map(|name| format!("{name}-heard.wav")));
    let length = |name: &str| hound::WavReader::open(folder.join(name)).unwrap().duration();
    assert_eq!((length("talk-burst-ben-heard.wav"), length("talk-burst-amr-ben-heard.wav")), (4800, 4800));
    std::fs::remove_dir_all(folder).unwrap();
}
