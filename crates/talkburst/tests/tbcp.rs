//! What our encoder makes of each message of TBCP, as tshark reads it: user-plane digest 14.5.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it is surprised, and says what it leaves out"
)]

mod common;
#[path = "common/tshark.rs"]
mod tshark;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use etherparse::PacketBuilder;
use pcap_file::DataLink;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use poc::SessionType;
use poc::talk_burst::{
    Acknowledgement, Answer, Connect, DenyReason, Message, NtpTimestamp, Packet, Position, Priority, Revoke,
    StopTalking, Taken,
};

/// All that tshark knows of a message, behind `rtcp.app.`. It shows texts as ASCII.
const FIELDS: [&str; 32] = [
    "subtype",
    "name",
    "poc1.priority",
    "poc1.request.ts",
    "poc1.stt",
    "poc1.participants",
    "poc1.ssrc.granted",
    "poc1.sip.uri",
    "poc1.disp.name",
    "poc1.reason.code",
    "poc1.reason.phrase",
    "poc1.last.pkt.seq.no",
    "poc1.ignore.seq.no",
    "poc1.new.time.request",
    "poc1.ack.subtype",
    "poc1.ack.reason.code",
    "poc1.qsresp.priority",
    "poc1.qsresp.position",
    "poc1.conn.content.a.id",
    "poc1.conn.content.a.dn",
    "poc1.conn.content.sess.id",
    "poc1.conn.content.grp.dn",
    "poc1.conn.content.grp.id",
    "poc1.conn.session.type",
    "poc1.conn.add.ind.mao",
    "poc1.conn.sdes.a.id",
    "poc1.conn.sdes.a.dn",
    "poc1.conn.sdes.sess.id",
    "poc1.conn.sdes.grp.dn",
    "poc1.conn.sdes.grp.id",
    "data",
    "data_str",
];

type Expected = Vec<(&'static str, String)>;

/// A message, its subtype and what tshark is to find in it.
struct Case {
    message: Message,
    subtype: u8,
    fields: Expected,
}

fn case<const N: usize>(message: Message, subtype: u8, fields: [(&'static str, &str); N]) -> Case {
    Case { message, subtype, fields: fields.map(|(field, value)| (field, value.to_owned())).into() }
}

fn requests() -> Vec<Case> {
    let timestamp = Some(NtpTimestamp::of_unix(Duration::from_millis(1_096_255_084_500)));
    let request = |priority, timestamp| Message::Request { priority, timestamp };
    let (priority, moment) = ("poc1.priority", ("poc1.request.ts", "Sep 27, 2004 03:18:04.500000000 UTC"));
    vec![
        case(request(None, None), 0, []),
        case(request(Some(Priority::None), None), 0, [(priority, "0")]),
        case(request(Some(Priority::Normal), None), 0, [(priority, "1")]),
        case(request(Some(Priority::High), None), 0, [(priority, "2")]),
        case(request(Some(Priority::PreEmptive), None), 0, [(priority, "3")]),
        case(request(None, timestamp), 0, [moment]),
        case(request(Some(Priority::High), timestamp), 0, [(priority, "2"), moment]),
        case(Message::QueueStatusRequest, 8, []),
    ]
}

fn answers() -> Vec<Case> {
    let granted = |stop_talking, participants| Message::Granted { stop_talking, participants };
    let deny = |reason, phrase: &str| Message::Deny { reason, phrase: phrase.to_owned() };
    let queued = |priority, position| Message::QueueStatus { priority, position };
    let (stt, participants, reason) = ("poc1.stt", "poc1.participants", "poc1.reason.code");
    let (priority, position) = ("poc1.qsresp.priority", "poc1.qsresp.position");
    vec![
        case(granted(StopTalking::Seconds(30), None), 1, [(stt, "30")]),
        case(granted(StopTalking::Seconds(30), Some(5)), 1, [(stt, "30"), (participants, "5")]),
        case(granted(StopTalking::Infinite, Some(0)), 1, [(stt, "65535"), (participants, "0")]),
        case(granted(StopTalking::Unknown, Some(65_535)), 1, [(stt, "0"), (participants, "65535")]),
        case(deny(DenyReason::Taken, "Floor busy"), 3, [(reason, "1"), ("poc1.reason.phrase", "Floor busy")]),
        case(deny(DenyReason::ServerError, ""), 3, [(reason, "2")]),
        case(deny(DenyReason::OnlyOne, ""), 3, [(reason, "3")]),
        case(
            deny(DenyReason::RetryAfter, "Wait 5 s"),
            3,
            [(reason, "4"), ("poc1.reason.phrase", "Wait 5 s")],
        ),
        case(deny(DenyReason::ListenOnly, ""), 3, [(reason, "5")]),
        case(queued(Priority::Normal, Position::Place(2)), 9, [(priority, "1"), (position, "2")]),
        case(queued(Priority::High, Position::Unknown), 9, [(priority, "2"), (position, "65535")]),
        case(queued(Priority::None, Position::NotQueued), 9, [(priority, "0"), (position, "0")]),
    ]
}

fn bursts() -> Vec<Case> {
    let alice = "sip:alice@example.com";
    let taken = |name: Option<&str>, participants, is_acknowledged| {
        let identity = Bytes::from_static(alice.as_bytes());
        let taken = Taken::new(0x5566_7788, identity, name.map(Into::into), participants);
        Message::Taken(Taken { is_acknowledged, ..taken })
    };
    let (ssrc, uri) = (("poc1.ssrc.granted", "1432778632"), ("poc1.sip.uri", alice));
    let (name, participants) = ("poc1.disp.name", ("poc1.participants", "5"));
    let (last, ignore) = ("poc1.last.pkt.seq.no", "poc1.ignore.seq.no");
    let (reason, retry_after) = ("poc1.reason.code", ("poc1.new.time.request", "30"));
    vec![
        case(taken(None, None, false), 2, [ssrc, uri]),
        // Item 100 is left out, since tshark does not find it.
        case(taken(None, Some(5), false), 2, [ssrc, uri]),
        case(taken(Some("Alice"), Some(5), false), 2, [ssrc, uri, (name, "Alice"), participants]),
        case(taken(Some("Alice"), Some(5), true), 18, [ssrc, uri, (name, "Alice"), participants]),
        case(taken(Some("Alice"), None, true), 18, [ssrc, uri, (name, "Alice")]),
        case(Message::Release { last: Some(1234) }, 4, [(last, "1234"), (ignore, "0")]),
        case(Message::Release { last: Some(65_535) }, 4, [(last, "65535"), (ignore, "0")]),
        case(Message::Release { last: None }, 4, [(last, "0"), (ignore, "1")]),
        case(Message::Idle, 5, []),
        case(Message::Revoke(Revoke::OnlyOne), 6, [(reason, "1")]),
        case(Message::Revoke(Revoke::TooLong { retry_after: 30 }), 6, [(reason, "2"), retry_after]),
        case(Message::Revoke(Revoke::NotPermitted), 6, [(reason, "3")]),
        case(Message::Revoke(Revoke::PreEmpted), 6, [(reason, "4")]),
    ]
}

fn acknowledgements() -> Vec<Case> {
    let acknowledged = |of| Message::Acknowledgement(of);
    let (subtype, reason) = ("poc1.ack.subtype", "poc1.ack.reason.code");
    let connect = |answer| acknowledged(Acknowledgement::Connect(answer));
    vec![
        case(acknowledged(Acknowledgement::Taken), 7, [(subtype, "18")]),
        case(connect(Answer::Accepted), 7, [(subtype, "15"), (reason, "0")]),
        case(connect(Answer::Busy), 7, [(subtype, "15"), (reason, "1")]),
        case(connect(Answer::NotAccepted), 7, [(subtype, "15"), (reason, "2")]),
        case(acknowledged(Acknowledgement::Disconnect), 7, [(subtype, "11")]),
        case(Message::Disconnect, 11, []),
    ]
}

/// Each set of items with each kind of session.
fn connects() -> Vec<Case> {
    let items = [
        ("poc1.conn.content.a.id", "poc1.conn.sdes.a.id", "sip:alice@example.com"),
        ("poc1.conn.content.a.dn", "poc1.conn.sdes.a.dn", "Alice"),
        ("poc1.conn.content.sess.id", "poc1.conn.sdes.sess.id", "sip:conf7@poc1.example.com"),
        ("poc1.conn.content.grp.dn", "poc1.conn.sdes.grp.dn", "Team Blue"),
        ("poc1.conn.content.grp.id", "poc1.conn.sdes.grp.id", "sip:team-blue@example.com"),
    ];
    let kinds = [
        None,
        Some(SessionType::OneToOne),
        Some(SessionType::AdHoc),
        Some(SessionType::PreArranged),
        Some(SessionType::Chat),
    ];
    let sets = (0..32_u8).flat_map(|set| (0..).zip(kinds).map(move |(code, kind)| (set, code, kind)));
    sets.map(|(set, code, session_type): (u8, u8, _)| {
        let has = |at: usize| set & (0x10 >> at) != 0;
        let uri = |at: usize| has(at).then(|| Bytes::from_static(items[at].2.as_bytes()));
        let name = |at: usize| has(at).then(|| items[at].2.to_owned());
        let is_override = set % 3 == 0;
        let connect = Connect {
            inviter: uri(0),
            inviter_name: name(1),
            session: uri(2),
            group_name: name(3),
            group: uri(4),
            session_type,
            is_override,
        };
        let mut fields = vec![
            ("poc1.conn.session.type", code.to_string()),
            ("poc1.conn.add.ind.mao", u8::from(is_override).to_string()),
        ];
        for (at, (bit, field, text)) in items.into_iter().enumerate() {
            fields.push((bit, u8::from(has(at)).to_string()));
            fields.extend(has(at).then(|| (field, text.to_owned())));
        }
        Case { message: Message::Connect(Box::new(connect)), subtype: 15, fields }
    })
    .collect()
}

fn capture(file: &Path, cases: &[Case]) {
    let header = PcapHeader { datalink: DataLink::RAW, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(std::fs::File::create(file).unwrap(), header).unwrap();
    for case in cases {
        let bytes = Packet { ssrc: 0x1122_3344, message: case.message.clone() }.write().unwrap();
        let builder = PacketBuilder::ipv4([127, 0, 0, 1], [127, 0, 0, 1], 64).udp(40_001, 40_003);
        let mut packet = Vec::new();
        builder.write(&mut packet, &bytes).unwrap();
        let length = packet.len().try_into().unwrap();
        writer.write_packet(&PcapPacket::new(Duration::ZERO, length, &packet)).unwrap();
    }
}

#[test]
fn tshark_reads_every_message_as_it_was_meant() {
    let cases: Vec<_> =
        [requests(), answers(), bursts(), acknowledgements(), connects()].into_iter().flatten().collect();
    let file = std::env::temp_dir().join(format!("talkburst-tbcp-{}.pcap", std::process::id()));
    capture(&file, &cases);
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(&file).args(["-d", "udp.port==40003,rtcp", "-T", "fields"]);
    for field in ["_ws.malformed", "_ws.expert.severity", "rtcp.length_check"] {
        tshark.args(["-e", field]);
    }
    for field in FIELDS {
        tshark.args(["-e", &format!("rtcp.app.{field}")]);
    }
    let output = tshark.env("TZ", "UTC").stderr(Stdio::null()).output();
    std::fs::remove_file(&file).unwrap();
    let Ok(output) = output else { return common::leave_out("tshark") };
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), cases.len());
    for (line, case) in text.lines().zip(&cases) {
        let columns: Vec<_> = line.split('\t').map(tshark::plain).collect();
        let [malformed, severities, length_is_right] = &columns[..3] else { panic!("{line}") };
        let worst = severities.split(',').filter_map(|severity| severity.parse::<u32>().ok()).max();
        assert_eq!((malformed.as_str(), length_is_right.as_str()), ("", "1"), "{:?}: {line}", case.message);
        assert!(worst.unwrap_or(0) < 0x0060_0000, "expert warning: {:?}: {line}", case.message);
        let found = FIELDS.iter().copied().zip(columns[3..].iter().map(String::as_str));
        let found: BTreeMap<_, _> = found.filter(|(_, value)| !value.is_empty()).collect();
        let subtype = case.subtype.to_string();
        let fixed = [("subtype", subtype.as_str()), ("name", "PoC1")];
        let expected = case.fields.iter().map(|(field, value)| (*field, value.as_str()));
        assert_eq!(found, expected.chain(fixed).collect(), "{:?}", case.message);
    }
}
