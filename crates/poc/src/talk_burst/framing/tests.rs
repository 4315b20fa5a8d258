use proptest::prelude::*;

use super::*;
use crate::talk_burst::{Acknowledgement, Answer, Message};

/// `ack-connect-accepted` of the vectors.
const ACCEPTED: [u8; 16] = [0x87, 0xcc, 0, 3, 0x11, 0x22, 0x33, 0x44, b'P', b'o', b'C', b'1', 0x78, 0, 0, 0];

fn accepted() -> Packet {
    Packet {
        ssrc: 0x1122_3344,
        message: Message::Acknowledgement(Acknowledgement::Connect(Answer::Accepted)),
    }
}

fn read_all(datagram: &[u8]) -> Result<Vec<Result<Packet, Malformed>>, FramingError> {
    packets(datagram).map(Iterator::collect)
}

/// The vector with some of its octets changed.
fn with(changes: &[(usize, u8)]) -> Vec<u8> {
    let mut octets = ACCEPTED.to_vec();
    for (at, octet) in changes {
        octets[*at] = *octet;
    }
    octets
}

/// Vectors `neg-version`, `neg-len-long`, `neg-len-short`, `neg-trunc`.
#[test]
fn a_datagram_whose_packets_cannot_be_told_apart_is_dropped() {
    assert_eq!(read_all(&[]), Err(FramingError::Truncated));
    for length in 1..ACCEPTED.len() {
        assert_eq!(read_all(&ACCEPTED[..length]), Err(FramingError::Truncated), "{length}");
    }
    assert_eq!(read_all(&with(&[(0, 0x47)])), Err(FramingError::Version));
    assert_eq!(read_all(&with(&[(3, 4)])), Err(FramingError::Truncated));
    // A header that says 8 octets leaves 8 that begin with the name: no version 2.
    assert_eq!(read_all(&with(&[(3, 1)])), Err(FramingError::Version));
    // The first packet is not obeyed when the second has no end.
    assert_eq!(read_all(&[&ACCEPTED[..], &with(&[(3, 9)])].concat()), Err(FramingError::Truncated));
    assert_eq!(read_all(&with(&[(3, 1)])[..8]), Ok(vec![Err(Malformed::Short)]));
}

/// Vectors `neg-name`, `neg-pt`, `neg-subtype10`; user-plane digest 3.3 steps 4, 5 and 9.
#[test]
fn what_is_no_tbcp_or_of_an_unknown_type_is_skipped() {
    assert_eq!(read_all(&with(&[(11, b'2')])), Ok(vec![]));
    assert_eq!(read_all(&with(&[(8, b'p')])), Ok(vec![]));
    assert_eq!(read_all(&with(&[(1, 205)])), Ok(vec![]));
    for subtype in [10, 12, 13, 14, 16, 17, 19, 31] {
        assert_eq!(read_all(&with(&[(0, 0x80 | subtype)])), Ok(vec![]), "{subtype}");
    }
}

/// Vector `compound-rr-sdes-app`, with another message at its end.
#[test]
fn packets_of_others_stand_around_it() {
    let others = [0x80, 0xc9, 0, 1, 0x11, 0x22, 0x33, 0x44, 0x81, 0xca, 0, 1, 0x11, 0x22, 0x33, 0x44];
    let datagram = [&others[..], &ACCEPTED, &ACCEPTED, &others].concat();
    assert_eq!(read_all(&datagram), Ok(vec![Ok(accepted()), Ok(accepted())]));
}

/// Vector `idle-rtcp-padding`, on a Disconnect; user-plane digest 3.3 step 6.
#[test]
fn padding_is_cut_and_what_is_more_than_the_data_is_malformed() {
    let padded = |count| [0xab, 0xcc, 0, 3, 1, 2, 3, 4, b'P', b'o', b'C', b'1', 0, 0, 0, count];
    let disconnect = Packet { ssrc: 0x0102_0304, message: Message::Disconnect };
    assert_eq!(read_all(&padded(4)), Ok(vec![Ok(disconnect)]));
    for count in [0, 5, 255] {
        assert_eq!(read_all(&padded(count)), Ok(vec![Err(Malformed::Padding)]), "{count}");
    }
    let mut nothing = padded(0)[..12].to_vec();
    nothing[3] = 2;
    assert_eq!(read_all(&nothing), Ok(vec![Err(Malformed::Padding)]));
}

proptest! {
    #[test]
    fn junk_is_dropped_and_nothing_else_happens(junk: Vec<u8>) {
        if let Ok(packets) = packets(&junk) {
            prop_assert!(packets.count() <= junk.len() / 4);
        }
    }
}
