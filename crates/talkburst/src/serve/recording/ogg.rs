//! Opus in Ogg (RFC 7845): each packet as it was sent, in a page of its own, so that a file is whole behind each of them.

use ogg::{PacketWriteEndInfo, PacketWriter};

use super::container::About;

/// Samples a second, whatever is in a packet.
pub(super) const CLOCK: u32 = 48_000;

/// Samples that a gap is filled in: 20 ms.
pub(super) const STEP: i64 = 960;

/// Samples of the longest packet: 120 ms (RFC 6716 §3.2.5).
const SAMPLES_MAX: i64 = 5760;

/// A packet of 20 ms without a frame in it: what never came (RFC 6716 §3.2.1). The decoder conceals it.
const MISSING: [u8; 1] = [9 << 3];

/// There is one stream in the file.
const STREAM: u32 = 1;

/// A file that is being written.
pub(super) struct Ogg {
    writer: PacketWriter<'static, Vec<u8>>,
    /// Samples so far.
    samples: i64,
}

impl Ogg {
    pub(super) fn new() -> Self {
        Self { writer: PacketWriter::new(Vec::new()), samples: 0 }
    }

    /// What a file begins with (RFC 7845 §5).
    pub(super) fn begin(&mut self, about: &About<'_>) -> Vec<u8> {
        let mut file = Vec::new();
        // Version 1; two channels, as it was agreed (RFC 7587 §7), which one is heard in too; nothing skipped, as loud as it is.
        let head = [&b"OpusHead\x01\x02\0\0"[..], &CLOCK.to_le_bytes(), &[0; 3]].concat();
        self.packet(head, &mut file);
        let text = |text: &str| {
            [&u32::try_from(text.len()).unwrap_or(0).to_le_bytes()[..], text.as_bytes()].concat()
        };
        let comments = [("ARTIST", about.talker), ("TITLE", about.session), ("DATE", about.begun)].map(
            |(name, value)| {
                let comment = format!("{name}={value}");
                text(&comment)
            },
        );
        let vendor = text(concat!("Talkburst ", env!("CARGO_PKG_VERSION")));
        self.packet([&b"OpusTags"[..], &vendor, &[3, 0, 0, 0], &comments.concat()].concat(), &mut file);
        file
    }

    /// Writes a packet behind `file`; samples that it takes, none if it cannot be read.
    pub(super) fn speech(&mut self, payload: &[u8], file: &mut Vec<u8>) -> i64 {
        let Some(samples) = samples(payload) else { return 0 };
        self.samples += samples;
        self.packet(payload.to_vec(), file);
        samples
    }

    /// Writes so many steps of what never came.
    pub(super) fn gap(&mut self, steps: usize, file: &mut Vec<u8>) -> i64 {
        (0..steps).map(|_| self.speech(&MISSING, file)).sum()
    }

    fn packet(&mut self, octets: Vec<u8>, file: &mut Vec<u8>) {
        let position = self.samples.unsigned_abs();
        // What is written into memory is written.
        let _ = self.writer.write_packet(octets, STREAM, PacketWriteEndInfo::EndPage, position);
        file.append(self.writer.inner_mut());
    }
}

/// Samples in a packet (RFC 6716 §3.1); `None` if it is none.
fn samples(payload: &[u8]) -> Option<i64> {
    let [contents, rest @ ..] = payload else { return None };
    let configuration = contents >> 3;
    let of_frame = match configuration {
        0..12 => [480, 960, 1920, 2880][usize::from(configuration & 3)],
        12..16 => [480, 960][usize::from(configuration & 1)],
        _ => [120, 240, 480, 960][usize::from(configuration & 3)],
    };
    let frames = match contents & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => i64::from(rest.first()? & 0x3f),
    };
    let samples = frames * of_frame;
    (1..=SAMPLES_MAX).contains(&samples).then_some(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_as_long_as_its_first_octets_say() {
        for (packet, expected) in [
            (&[][..], None),
            (&[0x08][..], Some(960)),
            (&[0x18, 1], Some(2880)),
            (&[12 << 3], Some(480)),
            (&[31 << 3 | 1], Some(1920)),
            (&[16 << 3 | 3, 0x83], Some(360)),
            (&[0x0b], None),
            (&[0x0b, 0], None),
            (&[0x1b, 3], None),
        ] {
            assert_eq!(samples(packet), expected, "{packet:?}");
        }
    }
}
