//! The RTP payload of AMR: what is in it, for checking and metering (RFC 4867, user-plane digest 10.2, 10.3).

/// Speech bits of a narrow-band frame by its type; 8 is comfort noise, 15 nothing (RFC 4867 §4.3.1, §5.3).
const NARROW: [Option<u16>; 16] = [
    Some(95),
    Some(103),
    Some(118),
    Some(134),
    Some(148),
    Some(159),
    Some(204),
    Some(244),
    Some(39),
    None,
    None,
    None,
    None,
    None,
    None,
    Some(0),
];

/// The same of a wide-band frame; 9 is comfort noise, 14 a lost frame.
const WIDE: [Option<u16>; 16] = [
    Some(132),
    Some(177),
    Some(253),
    Some(285),
    Some(317),
    Some(365),
    Some(397),
    Some(461),
    Some(477),
    Some(40),
    None,
    None,
    None,
    None,
    Some(0),
    Some(0),
];

/// More frames than any packet of speech has: 400 ms (user-plane digest 10.4).
const FRAMES_MAX: usize = 20;

/// A payload format: what two sides have agreed on by `octet-align`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Format {
    /// AMR-WB.
    pub is_wide: bool,
    /// Every field begins at an octet.
    pub is_octet_aligned: bool,
}

/// Where a payload breaks the format.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fault {
    /// It ends within the table of contents.
    Contents,
    /// A frame of a type that there is not.
    FrameType,
    /// More frames than 400 ms.
    Frames,
    /// Its length is not that of its frames.
    Length,
}

/// How many frames of 20 ms a payload has.
///
/// # Errors
/// [`Fault`] if it is none of this format.
pub fn frames(format: Format, payload: &[u8]) -> Result<usize, Fault> {
    let bits = if format.is_wide { &WIDE } else { &NARROW };
    let (mut frames, mut octets, mut speech) = (0, 0, 0);
    loop {
        if frames == FRAMES_MAX {
            return Err(Fault::Frames);
        }
        let entry = entry(format, payload, frames).ok_or(Fault::Contents)?;
        let of_frame = bits[usize::from(entry >> 1 & 0xf)].ok_or(Fault::FrameType)?;
        frames += 1;
        speech += usize::from(of_frame);
        octets += usize::from(of_frame.div_ceil(8));
        if entry & 0x20 == 0 {
            break;
        }
    }
    let expected = match format.is_octet_aligned {
        true => 1 + frames + octets,
        false => (4 + 6 * frames + speech).div_ceil(8),
    };
    if payload.len() == expected { Ok(frames) } else { Err(Fault::Length) }
}

/// The six bits F, FT and Q of an entry of the table of contents.
fn entry(format: Format, payload: &[u8], index: usize) -> Option<u8> {
    if format.is_octet_aligned {
        return payload.get(1 + index).map(|octet| octet >> 2);
    }
    let (octet, bit) = ((4 + 6 * index) / 8, (4 + 6 * index) % 8);
    let two = [*payload.get(octet)?, payload.get(octet + 1).copied().unwrap_or_default()];
    // The last entry of a packet without speech may end with the last octet.
    if bit > 2 && octet + 1 >= payload.len() {
        return None;
    }
    u8::try_from(u16::from_be_bytes(two) >> (10 - bit) & 0x3f).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIGNED: Format = Format { is_wide: false, is_octet_aligned: true };
    const EFFICIENT: Format = Format { is_wide: false, is_octet_aligned: false };

    /// A payload of `frames` frames of one type, without a sound in it.
    fn payload(format: Format, frame_type: u8, frames: usize) -> Vec<u8> {
        let speech = usize::from(NARROW[usize::from(frame_type)].unwrap_or_default());
        let entry = |index| (u8::from(index + 1 < frames) << 5) | (frame_type << 1) | 1;
        if format.is_octet_aligned {
            let mut octets = vec![0xf0];
            octets.extend((0..frames).map(|index| entry(index) << 2));
            octets.extend(vec![0; frames * speech.div_ceil(8)]);
            return octets;
        }
        let mut bits: Vec<bool> = vec![true; 4];
        for index in 0..frames {
            bits.extend((0..6).rev().map(|bit| entry(index) >> bit & 1 == 1));
        }
        bits.extend(vec![false; frames * speech]);
        bits.chunks(8)
            .map(|eight| {
                eight.iter().enumerate().fold(0, |octet, (at, bit)| octet | u8::from(*bit) << (7 - at))
            })
            .collect()
    }

    #[test]
    fn a_payload_of_every_type_and_number_of_frames_is_counted() {
        for format in [ALIGNED, EFFICIENT] {
            for frame_type in [0, 1, 2, 3, 4, 5, 6, 7, 8, 15] {
                for count in [1, 2, 3, 4, 8, 10, 20] {
                    let payload = payload(format, frame_type, count);
                    assert_eq!(frames(format, &payload), Ok(count), "{format:?} {frame_type}");
                }
            }
        }
    }

    #[test]
    fn sizes_are_those_of_the_table() {
        // User-plane digest 10.4: octet-aligned and bandwidth-efficient.
        for (frame_type, count, aligned, efficient) in
            [(0, 1, 14, 14), (2, 8, 129, 125), (1, 10, 141, 137), (7, 20, 641, 626), (7, 4, 129, 126)]
        {
            assert_eq!(payload(ALIGNED, frame_type, count).len(), aligned);
            assert_eq!(payload(EFFICIENT, frame_type, count).len(), efficient);
        }
    }

    #[test]
    fn a_payload_that_is_cut_or_too_long_is_at_fault() {
        for format in [ALIGNED, EFFICIENT] {
            let whole = payload(format, 2, 8);
            for length in 0..whole.len() {
                assert!(frames(format, &whole[..length]).is_err(), "{format:?} {length}");
            }
            assert_eq!(frames(format, &[&whole[..], &[0]].concat()), Err(Fault::Length));
        }
    }

    #[test]
    fn frame_types_that_there_are_not_are_at_fault() {
        for frame_type in 9..=14 {
            assert_eq!(frames(ALIGNED, &payload(ALIGNED, frame_type, 1)), Err(Fault::FrameType));
        }
    }

    #[test]
    fn a_table_of_contents_without_an_end_is_at_fault() {
        for format in [ALIGNED, EFFICIENT] {
            // Nothing but entries without speech, and each says that another one follows.
            assert_eq!(frames(format, &[0xff; 64]), Err(Fault::Frames));
            assert_eq!(frames(format, &[0xff; 5]), Err(Fault::Contents));
        }
    }
}
