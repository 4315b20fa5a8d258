//! What the vectors of `talk_burst/tests` leave out.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::server::SessionType;
use crate::talk_burst::packets;

const CLIENT: u32 = 0x1122_3344;
const SERVER: u32 = 0xa1b2_c3d4;

fn octets(hex: &str) -> Vec<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).unwrap() as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn read_one(datagram: &[u8]) -> Result<Packet, Malformed> {
    let mut all = packets(datagram).unwrap();
    let first = all.next().unwrap();
    assert!(all.next().is_none());
    first
}

/// The message of a server with this data, whose octets fill words.
fn read_message(subtype: u8, data: &str) -> Result<Message, Malformed> {
    let words = (2 + data.len() / 8) as u8;
    let header = [0x80 | subtype, 0xcc, 0, words, 0xa1, 0xb2, 0xc3, 0xd4, b'P', b'o', b'C', b'1'];
    read_one(&[&header[..], &octets(data)].concat()).map(|packet| packet.message)
}

fn some(text: &str) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(text.as_bytes()))
}

/// User-plane digest 4.11: each set of items with each kind of session, to the octet.
#[test]
fn a_connect_has_its_items_in_the_order_of_their_bits() {
    let items: [(u8, &str); 5] = [
        (1, "sip:alice@example.com"),
        (2, "Alice"),
        (1, "sip:conf7@poc1.example.com"),
        (2, "Team Blue"),
        (1, "sip:team-blue@example.com"),
    ];
    let kinds = [
        None,
        Some(SessionType::OneToOne),
        Some(SessionType::AdHoc),
        Some(SessionType::PreArranged),
        Some(SessionType::Chat),
    ];
    for set in 0..32_u8 {
        for (code, session_type) in (0..).zip(kinds) {
            let has = |at: usize| set & (0x10 >> at) != 0;
            let text = |at: usize| has(at).then(|| items[at].1);
            let is_override = set % 2 == 0;
            let connect = Connect {
                inviter: text(0).and_then(some),
                inviter_name: text(1).map(str::to_owned),
                session: text(2).and_then(some),
                group_name: text(3).map(str::to_owned),
                group: text(4).and_then(some),
                session_type,
                is_override,
            };
            let mut expected = octets("8fcc0000a1b2c3d4506f4331");
            expected.extend([set << 3, 0, code, if is_override { 0x80 } else { 0 }]);
            for (kind, text) in (0..5).filter(|at| has(*at)).map(|at| items[at]) {
                expected.extend([kind, text.len() as u8]);
                expected.extend(text.bytes());
            }
            expected.resize(expected.len().next_multiple_of(4), 0);
            expected[3] = (expected.len() / 4 - 1) as u8;
            let packet = Packet { ssrc: SERVER, message: Message::Connect(Box::new(connect)) };
            assert_eq!(packet.write().map(|bytes| bytes.to_vec()), Ok(expected.clone()));
            assert_eq!(read_one(&expected), Ok(packet));
        }
    }
}

#[test]
fn what_does_not_fit_is_malformed() {
    for (subtype, data, why) in [
        // No place for two words of a Connect, nor for all of a Queue Status Response; a Taken without anybody.
        (15, "", Malformed::Short),
        (9, "", Malformed::Short),
        (2, "55667788", Malformed::Short),
        // The item runs past the packet.
        (15, "8000010001157369", Malformed::Item),
        (3, "01034142", Malformed::Item),
        (2, "5566778801026162020441aa", Malformed::Item),
        // An item that is known has another length: a priority of 1, a time of 4, a timestamp of 2, participants of 0.
        (0, "66010100", Malformed::Item),
        (1, "6504000000010000", Malformed::Item),
        (0, "67020001", Malformed::Item),
        (1, "6502001e64000000", Malformed::Item),
        // The text is no URI; somebody without an address; nobody acknowledges a Release.
        (15, "8000010001020a0a", Malformed::Uri),
        (2, "5566778801000000", Malformed::Uri),
        (7, "20000000", Malformed::Acknowledged),
    ] {
        assert_eq!(read_message(subtype, data), Err(why), "{subtype} {data}");
    }
}

/// User-plane digest 3.3 step 8.
#[test]
fn items_that_nobody_knows_are_skipped_and_must_have_an_end() {
    assert_eq!(read_message(11, "69020007"), Ok(Message::Disconnect));
    assert_eq!(read_message(11, "000069020007007f"), Ok(Message::Disconnect));
    assert_eq!(read_message(11, "69030007"), Err(Malformed::Item));
    // One before the item that is known, which stands behind padding.
    let granted = Message::Granted { stop_talking: StopTalking::Seconds(30), participants: None };
    assert_eq!(read_message(1, "69000069020007006502001e"), Ok(granted));
}

/// User-plane digest 3.3: the timestamp may stand first.
#[test]
fn the_items_of_a_request_come_in_any_order() {
    let request = Message::Request {
        priority: Some(Priority::High),
        timestamp: Some(NtpTimestamp(0xc502_04ec_8000_0000)),
    };
    assert_eq!(read_message(0, "6708c50204ec80000000660200020000"), Ok(request));
}

/// User-plane digest 4.3: the draft of 2005.
#[test]
fn a_grant_without_data_does_not_tell_for_how_long() {
    let granted = Message::Granted { stop_talking: StopTalking::Unknown, participants: None };
    assert_eq!(read_message(1, ""), Ok(granted));
}

/// User-plane digest 4.4: not every receiver finds item 100 behind the padding of a CNAME.
#[test]
fn a_server_tells_the_number_of_participants_beside_a_name_only() {
    let alice = Bytes::from("sip:alice@example.com");
    assert_eq!(Taken::new(1, alice.clone(), None, Some(5)).participants, None);
    assert_eq!(Taken::new(1, alice, Some("Alice".into()), Some(5)).participants, Some(5));
}

/// What a peer says of which nobody knows the meaning is there still, and is not taken for something else.
#[test]
fn a_code_that_nobody_knows_is_kept_or_says_nothing_good() {
    for (hex, message) in [
        (
            "83cc0003a1b2c3d4506f433107000000",
            Message::Deny { reason: DenyReason::Unknown(7), phrase: String::new() },
        ),
        (
            "86cc0003a1b2c3d4506f433100ff0003",
            Message::Revoke(Revoke::Unknown { reason: 255, information: 3 }),
        ),
    ] {
        assert_eq!(read_one(&octets(hex)).map(|packet| packet.message), Ok(message.clone()));
        assert_eq!(Packet { ssrc: SERVER, message }.write().map(|bytes| bytes.to_vec()), Ok(octets(hex)));
    }
    assert_eq!(read_message(15, "00000900"), Ok(Message::Connect(Box::default())));
    let answer = Acknowledgement::Connect(Answer::NotAccepted);
    assert_eq!(read_message(7, "7fff0000"), Ok(Message::Acknowledgement(answer)));
    let request = Message::Request { priority: Some(Priority::PreEmptive), timestamp: None };
    assert_eq!(read_message(0, "6602ffff"), Ok(request));
}

/// User-plane digest 4.13.
#[test]
fn a_long_name_is_cut_between_characters_and_too_many_of_them_are_refused() {
    let named = |group_name: &str| Packet {
        ssrc: SERVER,
        message: Message::Connect(Box::new(Connect {
            group_name: Some(group_name.to_owned()),
            ..Connect::default()
        })),
    };
    for (long, kept) in
        [("ä".repeat(200), 254), ("a".repeat(300), 255), (format!("{}€", "a".repeat(254)), 254)]
    {
        let written = named(&long).write().unwrap();
        assert_eq!(read_one(&written), Ok(named(&long[..kept])));
    }
    let uri = some(&"a".repeat(255));
    let full = Connect {
        inviter: uri.clone(),
        session: uri.clone(),
        group: uri,
        group_name: Some("a".repeat(228)),
        ..Connect::default()
    };
    let packet = |connect: Connect| Packet { ssrc: SERVER, message: Message::Connect(Box::new(connect)) };
    assert_eq!(packet(full.clone()).write().map(|bytes| bytes.len()), Ok(1020));
    let longer = Connect { group_name: Some("a".repeat(240)), ..full };
    assert_eq!(packet(longer).write(), Err(TooLong));
}

/// User-plane digest 4.13: nothing that is kept is longer than what came.
#[test]
fn a_name_of_other_octets_than_utf8_grows_no_longer() {
    assert_eq!(name(b"Zo\xc3\xab"), "Zoë");
    assert_eq!(name(b"Zo\xeb!"), "Zo?!");
    assert_eq!(name(&[0xff; 255]).len(), 255);
}

/// RFC 3550 §4: the vectors have the same half second of 27 September 2004.
#[test]
fn an_ntp_timestamp_counts_from_1900() {
    let half = Duration::from_millis(1_096_255_084_500);
    assert_eq!(NtpTimestamp::of_unix(half), NtpTimestamp(0xc502_04ec_8000_0000));
    // 7 February 2036, 06:28:16 UTC.
    assert_eq!(NtpTimestamp::of_unix(Duration::from_secs(2_085_978_496)), NtpTimestamp(0));
}

fn any_uri() -> impl Strategy<Value = Bytes> {
    "[!-~]{1,60}".prop_map(Bytes::from)
}

fn any_name() -> impl Strategy<Value = Option<String>> {
    prop::option::of("\\PC{0,20}")
}

fn any_connect() -> impl Strategy<Value = Connect> {
    let uri = || prop::option::of(any_uri());
    let kinds = [SessionType::OneToOne, SessionType::AdHoc, SessionType::PreArranged, SessionType::Chat];
    let kind = prop::option::of(prop::sample::select(kinds.to_vec()));
    (uri(), any_name(), uri(), any_name(), uri(), kind, any::<bool>()).prop_map(
        |(inviter, inviter_name, session, group_name, group, session_type, is_override)| Connect {
            inviter,
            inviter_name,
            session,
            group_name,
            group,
            session_type,
            is_override,
        },
    )
}

fn any_taken() -> impl Strategy<Value = Taken> {
    (any::<u32>(), any_uri(), any_name(), any::<Option<u16>>(), any::<bool>()).prop_map(
        |(ssrc, identity, name, participants, is_acknowledged)| Taken {
            ssrc,
            identity,
            name: name.map(Into::into),
            participants,
            is_acknowledged,
        },
    )
}

fn any_message() -> impl Strategy<Value = Message> {
    let acknowledgements = [
        Acknowledgement::Taken,
        Acknowledgement::Connect(Answer::Accepted),
        Acknowledgement::Connect(Answer::Busy),
        Acknowledgement::Connect(Answer::NotAccepted),
        Acknowledgement::Disconnect,
    ];
    let priority = || any::<u16>().prop_map(Priority::of_code);
    prop_oneof![
        (prop::option::of(priority()), any::<Option<u64>>()).prop_map(|(priority, timestamp)| {
            Message::Request { priority, timestamp: timestamp.map(NtpTimestamp) }
        }),
        any::<(u16, Option<u16>)>().prop_map(|(code, participants)| Message::Granted {
            stop_talking: StopTalking::of_code(code),
            participants
        }),
        any_taken().prop_map(Message::Taken),
        (any::<u8>(), "\\PC{0,20}")
            .prop_map(|(code, phrase)| Message::Deny { reason: DenyReason::of_code(code), phrase }),
        any::<Option<u16>>().prop_map(|last| Message::Release { last }),
        Just(Message::Idle),
        any::<(u16, u16)>().prop_map(|(reason, information)| {
            // What is no time is 0.
            let information = if (1..5).contains(&reason) && reason != 2 { 0 } else { information };
            Message::Revoke(Revoke::of_code(reason, information))
        }),
        prop::sample::select(acknowledgements.to_vec()).prop_map(Message::Acknowledgement),
        Just(Message::QueueStatusRequest),
        (priority(), any::<u16>()).prop_map(|(priority, code)| Message::QueueStatus {
            priority,
            position: Position::of_code(code)
        }),
        any_connect().prop_map(|connect| Message::Connect(Box::new(connect))),
        Just(Message::Disconnect),
    ]
}

/// Data that is more than chance would have it: words and items.
fn any_data() -> impl Strategy<Value = Vec<u8>> {
    let item = (prop_oneof![0..4_u8, 98..106_u8, any::<u8>()], prop::collection::vec(any::<u8>(), 0..12))
        .prop_map(|(code, value)| [&[code, value.len() as u8], &value[..]].concat());
    let part = prop_oneof![prop::collection::vec(any::<u8>(), 0..5), item];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

/// What is read can be written, and is the same when it is read again.
fn assert_is_stable(read: Result<Packet, Malformed>) -> Result<(), TestCaseError> {
    if let Ok(packet) = read {
        match packet.write() {
            Ok(written) => prop_assert_eq!(read_one(&written), Ok(packet)),
            Err(TooLong) => prop_assert!(matches!(packet.message, Message::Connect(_))),
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_is_written_is_read(ssrc: u32, message in any_message()) {
        let packet = Packet { ssrc, message };
        let written = packet.write().unwrap();
        prop_assert_eq!(written.len() % 4, 0);
        prop_assert_eq!(read_one(&written), Ok(packet));
    }

    #[test]
    fn data_of_any_octets_is_read_or_malformed(subtype: u8, data in prop::collection::vec(any::<u8>(), 0..1500)) {
        assert_is_stable(Packet::read(subtype % 32, CLIENT, &data).transpose().unwrap_or(Err(Malformed::Short)))?;
    }

    #[test]
    fn data_of_items_is_read_or_malformed(subtype in 0..20_u8, data in any_data()) {
        assert_is_stable(Packet::read(subtype, CLIENT, &data).transpose().unwrap_or(Err(Malformed::Short)))?;
    }
}
