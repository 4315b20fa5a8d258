//! `tests/vectors.json`: 85 datagrams composed by hand, decoded by `TShark` 4.0.17 and by a decoder written from the layouts alone.

use bytes::Bytes;
use serde_json::Value;

use super::*;
use crate::server::SessionType;

struct Vector(Value);

fn vectors() -> Vec<Vector> {
    let file: Value = serde_json::from_str(include_str!("tests/vectors.json")).unwrap();
    let all: Vec<_> = file["vectors"].as_array().unwrap().iter().cloned().map(Vector).collect();
    assert_eq!(all.len(), 85);
    all
}

fn tbcp(validity: &str) -> Vec<Vector> {
    vectors()
        .into_iter()
        .filter(|vector| vector.text("kind") == "tbcp" && vector.text("validity") == validity)
        .collect()
}

impl Vector {
    fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap()
    }

    fn octets(&self) -> Vec<u8> {
        let digit = |digit: u8| char::from(digit).to_digit(16).unwrap() as u8;
        self.text("hex").as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    fn number(&self, field: &str) -> Option<u16> {
        self.0["fields"][field].as_u64().map(|number| number.try_into().unwrap())
    }

    fn string(&self, field: &str) -> Option<&str> {
        self.0["fields"][field].as_str()
    }

    fn ssrc(&self, field: &str) -> u32 {
        u32::from_str_radix(self.string(field).unwrap().trim_start_matches("0x"), 16).unwrap()
    }

    fn identity(&self, field: &str) -> Option<Bytes> {
        self.string(field).map(|text| Bytes::copy_from_slice(text.as_bytes()))
    }

    fn name(&self, field: &str) -> Option<String> {
        self.string(field).map(str::to_owned)
    }

    /// What its fields say.
    fn packet(&self) -> Packet {
        let number = |field| self.number(field).unwrap();
        let participants = self.number("participants");
        let message = match number("subtype") {
            0 => Message::Request {
                priority: self.number("priority").map(Priority::of_code),
                timestamp: self
                    .string("timestamp_ntp")
                    .map(|hex| NtpTimestamp(u64::from_str_radix(hex, 16).unwrap())),
            },
            1 => Message::Granted {
                stop_talking: match number("stop_talking_time_s") {
                    0 => StopTalking::Unknown,
                    65535 => StopTalking::Infinite,
                    seconds => StopTalking::Seconds(seconds),
                },
                participants,
            },
            subtype @ (2 | 18) => Message::Taken(Taken {
                ssrc: self.ssrc("granted_ssrc"),
                identity: self.identity("cname").unwrap(),
                name: self.name("name_item").map(Into::into),
                participants,
                is_acknowledged: subtype == 18,
            }),
            3 => {
                let reasons = [
                    DenyReason::Taken,
                    DenyReason::ServerError,
                    DenyReason::OnlyOne,
                    DenyReason::RetryAfter,
                    DenyReason::ListenOnly,
                ];
                let reason = reasons[usize::from(number("reason_code")) - 1];
                Message::Deny { reason, phrase: self.name("reason_phrase").unwrap() }
            }
            4 => Message::Release { last: (number("ignore_last_seq") == 0).then(|| number("last_seq")) },
            5 => Message::Idle,
            6 => Message::Revoke(match number("reason_code") {
                1 => Revoke::OnlyOne,
                2 => Revoke::TooLong { retry_after: number("retry_after_s") },
                3 => Revoke::NotPermitted,
                4 => Revoke::PreEmpted,
                other => panic!("reason {other}"),
            }),
            7 => Message::Acknowledgement(match (number("acked_subtype"), number("reason_code")) {
                (18, 0) => Acknowledgement::Taken,
                (15, 0) => Acknowledgement::Connect(Answer::Accepted),
                (15, 1) => Acknowledgement::Connect(Answer::Busy),
                (15, 2) => Acknowledgement::Connect(Answer::NotAccepted),
                (11, 0) => Acknowledgement::Disconnect,
                other => panic!("acknowledgement {other:?}"),
            }),
            8 => Message::QueueStatusRequest,
            9 => Message::QueueStatus {
                priority: Priority::of_code(number("priority")),
                position: match number("position") {
                    0 => Position::NotQueued,
                    65535 => Position::Unknown,
                    place => Position::Place(place),
                },
            },
            11 => Message::Disconnect,
            15 => Message::Connect(Box::new(Connect {
                inviter: self.identity("inviter_id"),
                inviter_name: self.name("inviter_nick"),
                session: self.identity("session_id"),
                group_name: self.name("group_name"),
                group: self.identity("group_id"),
                session_type: match number("session_type") {
                    0 => None,
                    1 => Some(SessionType::OneToOne),
                    2 => Some(SessionType::AdHoc),
                    3 => Some(SessionType::PreArranged),
                    4 => Some(SessionType::Chat),
                    other => panic!("session type {other}"),
                },
                is_override: number("mao") == 1,
            })),
            other => panic!("subtype {other}"),
        };
        Packet { ssrc: self.ssrc("ssrc"), message }
    }
}

type Read = Result<Vec<Result<Packet, Malformed>>, FramingError>;

fn read_all(datagram: &[u8]) -> Read {
    packets(datagram).map(Iterator::collect)
}

/// User-plane digest 15, row 1: these are written otherwise, since what they have besides is not kept.
const READ_ONLY: [&str; 2] = ["req-unknown-item", "idle-rtcp-padding"];

#[test]
fn every_valid_vector_is_read_and_written_to_the_octet() {
    let mut written = 0;
    for vector in tbcp("valid").iter().filter(|vector| vector.0["fields"]["messages"].is_null()) {
        let (id, packet) = (vector.text("id"), vector.packet());
        assert_eq!(read_all(&vector.octets()), Ok(vec![Ok(packet.clone())]), "{id}");
        if !READ_ONLY.contains(&id) {
            assert_eq!(packet.write().map(|bytes| bytes.to_vec()), Ok(vector.octets()), "{id}");
            written += 1;
        }
    }
    assert_eq!(written, 51);
}

/// Whether it is obeyed is for those who know who speaks.
#[test]
fn a_release_of_somebody_who_may_not_speak_is_read() {
    for vector in tbcp("valid-syntax-reject-in-state-machine") {
        let packet = Packet { ssrc: 0x0bad_f00d, message: Message::Release { last: Some(1) } };
        assert_eq!(read_all(&vector.octets()), Ok(vec![Ok(packet)]), "{}", vector.text("id"));
    }
}

/// Several messages of one datagram, and packets of others around one.
#[test]
fn every_vector_of_several_packets_is_read_as_the_messages_in_it() {
    let valid = tbcp("valid");
    let mut compounds = 0;
    for vector in &valid {
        let Some(messages) = vector.0["fields"]["messages"].as_array() else { continue };
        let named =
            |id: &Value| valid.iter().find(|vector| vector.0["id"] == *id).map(|each| Ok(each.packet()));
        assert_eq!(
            read_all(&vector.octets()),
            Ok(messages.iter().filter_map(named).collect()),
            "{}",
            vector.text("id")
        );
        compounds += 1;
    }
    assert_eq!(compounds, 3);
}

#[test]
fn every_invalid_vector_is_refused_for_its_reason() {
    let expected: [(&str, Read); 15] = [
        ("neg-version", Err(FramingError::Version)),
        ("neg-name", Ok(vec![])),
        ("neg-pt", Ok(vec![])),
        ("neg-len-long", Err(FramingError::Truncated)),
        // The rest of it is no packet of version 2.
        ("neg-len-short", Err(FramingError::Version)),
        ("neg-trunc", Err(FramingError::Truncated)),
        ("neg-subtype10", Ok(vec![])),
        ("neg-grant-itemlen", Ok(vec![Err(Malformed::Item)])),
        ("neg-taken-cname-overrun", Ok(vec![Err(Malformed::Item)])),
        ("neg-taken-no-cname", Ok(vec![Err(Malformed::Identity)])),
        ("neg-deny-short", Ok(vec![Err(Malformed::Short)])),
        ("neg-revoke-short", Ok(vec![Err(Malformed::Short)])),
        ("neg-release-short", Ok(vec![Err(Malformed::Short)])),
        ("neg-ack-short", Ok(vec![Err(Malformed::Short)])),
        ("neg-connect-missing", Ok(vec![Err(Malformed::Short)])),
    ];
    let invalid = tbcp("invalid");
    assert_eq!(invalid.len(), expected.len());
    for (vector, (id, read)) in invalid.iter().zip(expected) {
        assert_eq!(vector.text("id"), id);
        assert_eq!(read_all(&vector.octets()), read, "{id}");
    }
}

/// User-plane digest 14.3, 14.4: the floor control of MCPTT has another name, and speech is no APP packet.
#[test]
fn the_vectors_of_other_protocols_say_nothing() {
    let others: Vec<_> = vectors().into_iter().filter(|vector| vector.text("kind") != "tbcp").collect();
    assert_eq!(others.len(), 13);
    for vector in others {
        let read = read_all(&vector.octets());
        assert!(read.is_err() || read == Ok(vec![]), "{} {read:?}", vector.text("id"));
    }
}
