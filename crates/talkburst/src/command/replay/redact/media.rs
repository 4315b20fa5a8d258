//! Where a datagram of speech or talk burst control tells who speaks and what: RFC 3550, and TBCP (user-plane digest 4).

use std::ops::Range;

use super::places::{Kind, Place, of_address, of_text};
use poc::media::Stream;

/// Octets of an RTP header without anything optional.
const RTP_HEADER: usize = 12;

/// Octets of an APP packet before its data.
const APP_HEADER: usize = 12;

// RFC 3550 §12.1.
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const APP: u8 = 204;

// User-plane digest 4.1: those with a text.
const TAKEN: u8 = 2;
const DENY: u8 = 3;
const CONNECT: u8 = 15;
const TAKEN_ACKNOWLEDGED: u8 = 18;

/// The items from this one on are numbers (user-plane digest 4.12).
const NUMBERS: u8 = 100;

/// What is to be another in a datagram.
pub(super) fn of_media(stream: Stream, bytes: &[u8]) -> Vec<Place> {
    match stream {
        Stream::Speech => of_speech(bytes),
        Stream::Control => of_control(bytes),
    }
}

/// All behind the header of RTP (RFC 3550 §5.1, §5.3.1), but for the count of padding.
fn of_speech(bytes: &[u8]) -> Vec<Place> {
    let [first, ..] = bytes else { return Vec::new() };
    if first >> 6 != 2 {
        return vec![(1..bytes.len(), Kind::Octets)];
    }
    let mut begin = RTP_HEADER + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0
        && let Some([_, _, high, low]) = bytes.get(begin..begin + 4)
    {
        begin += 4 + 4 * usize::from(u16::from_be_bytes([*high, *low]));
    }
    let end = bytes.len() - usize::from(first & 0x20 != 0);
    if begin < end { vec![(begin..end, Kind::Octets)] } else { Vec::new() }
}

fn of_control(bytes: &[u8]) -> Vec<Place> {
    let (mut at, mut places) = (0, Vec::new());
    while let Some(&[first, kind, high, low]) = bytes.get(at..at + 4) {
        let end = at + 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
        if first >> 6 != 2 || end > bytes.len() {
            break;
        }
        of_packet(bytes, at..end, (first & 0x1f, kind), &mut places);
        at = end;
    }
    // No RTCP: what it is nobody here knows.
    if at < bytes.len() {
        places.push((at + 1..bytes.len(), Kind::Octets));
    }
    places
}

fn of_packet(bytes: &[u8], packet: Range<usize>, (subtype, kind): (u8, u8), places: &mut Vec<Place>) {
    let behind = |octets: usize| (packet.start + octets).min(packet.end)..packet.end;
    match kind {
        SENDER_REPORT | RECEIVER_REPORT => {}
        // A synchronization source before its items.
        SOURCE_DESCRIPTION => items(bytes, behind(8), places),
        // A length before the reason, behind the sources.
        BYE => {
            let reason = behind(4 + 4 * usize::from(subtype));
            texts(bytes, (reason.start + 1).min(reason.end)..reason.end, places);
        }
        APP if bytes.get(packet.start + 8..packet.start + APP_HEADER) == Some(b"PoC1") => match subtype {
            TAKEN | TAKEN_ACKNOWLEDGED | CONNECT => items(bytes, behind(APP_HEADER + 4), places),
            DENY => texts(bytes, behind(APP_HEADER + 2), places),
            0..=14 => {}
            _ => places.push((behind(APP_HEADER), Kind::Octets)),
        },
        APP => places.push((behind(APP_HEADER), Kind::Octets)),
        _ => places.push((behind(4), Kind::Octets)),
    }
}

/// Items of a kind, a length and a text (RFC 3550 §6.5); numbers among them.
fn items(bytes: &[u8], range: Range<usize>, places: &mut Vec<Place>) {
    let mut at = range.start;
    while at + 2 <= range.end {
        let (kind, length) = (bytes[at], usize::from(bytes[at + 1]));
        if kind == 0 {
            // Padding, or the end of a chunk.
            at += 1;
            continue;
        }
        let item = at + 2..(at + 2 + length).min(range.end);
        at = item.end;
        if kind < NUMBERS {
            let text = &bytes[item.clone()];
            places
                .extend(of_address(text).into_iter().map(|(place, kind)| (moved(&place, item.start), kind)));
        }
    }
}

fn texts(bytes: &[u8], range: Range<usize>, places: &mut Vec<Place>) {
    let found = of_text(&bytes[range.clone()]);
    places.extend(found.into_iter().map(|(place, kind)| (moved(&place, range.start), kind)));
}

fn moved(place: &Range<usize>, by: usize) -> Range<usize> {
    place.start + by..place.end + by
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Octets of zero where `of_media` finds some, and crosses in place of words.
    fn redacted(stream: Stream, bytes: &[u8]) -> Vec<u8> {
        let mut all = bytes.to_vec();
        for (range, kind) in of_media(stream, bytes) {
            all[range].fill(if kind == Kind::Octets { 0 } else { b'x' });
        }
        all
    }

    #[test]
    fn of_speech_only_the_header_is_left() {
        let header = [0x91, 0x61, 0, 1, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 0xBE, 0xDE, 0, 1, 9, 9, 9, 9];
        let packet = [&header[..], b"spoken"].concat();
        assert_eq!(redacted(Stream::Speech, &packet), [&header[..], &[0; 6]].concat());
        assert_eq!(redacted(Stream::Speech, b"spoken"), b"s\0\0\0\0\0");
        assert!(of_media(Stream::Speech, &header[..13]).is_empty());
    }

    #[test]
    fn of_a_talk_burst_the_texts_are_found_and_the_numbers_are_left() {
        let mut taken = vec![0x82, 204, 0, 9, 0, 0, 0, 1];
        taken.extend_from_slice(b"PoC1\0\0\0\x07\x01\x0csip:anna@h.x\x02\x04Anna\x64\x02\0\x03");
        assert_eq!(taken.len(), 40);
        let text = redacted(Stream::Control, &taken);
        assert!(text.windows(14).any(|window| window == b"\x01\x0csip:xxxx@xxx"), "{text:?}");
        assert!(text.ends_with(b"\x02\x04xxxx\x64\x02\0\x03"), "{text:?}");
    }

    #[test]
    fn what_ends_too_early_is_walked_as_far_as_it_goes() {
        let mut taken = vec![0x82, 204, 0, 9, 0, 0, 0, 1];
        taken.extend_from_slice(b"PoC1\0\0\0\x07\x01\xffsip:anna@h.x");
        for end in 0..taken.len() {
            redacted(Stream::Control, &taken[..end]);
            redacted(Stream::Speech, &taken[..end]);
        }
    }
}
