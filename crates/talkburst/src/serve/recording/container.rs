//! The files of talk bursts: WAV for G.711, the storage format of RFC 4867 for AMR, Ogg for Opus. What is in them is what was sent, and
//! nothing is decoded. WAV by hand, because no library writes G.711 in it, and because a file has to be whole at every moment.

use codec_core::codecs::amr::{AmrPacket, AmrPayloadCodec, AmrPayloadFrame, AmrVariant, storage};
use poc::media::Encoding;

use super::ogg::{self, Ogg};
use crate::voice::codec;

/// `WAVE_FORMAT_ALAW` and `WAVE_FORMAT_MULAW` (RFC 2361).
const A_LAW: u16 = 6;
const MU_LAW: u16 = 7;

/// A sample of silence in each.
const A_LAW_SILENCE: u8 = 0xd5;
const MU_LAW_SILENCE: u8 = 0xff;

/// Samples a second of G.711, each an octet.
const LAW_CLOCK: u32 = 8000;

/// What is told in the file of whoever is heard.
pub(super) struct About<'a> {
    pub(super) talker: &'a str,
    pub(super) session: &'a str,
    /// RFC 3339.
    pub(super) begun: &'a str,
}

/// How the file of a talk burst is written.
pub(super) enum Container {
    /// WAV.
    Law {
        format: u16,
        silence: u8,
        /// Where what depends on the length is: the octets after the first 8, the samples, and the octets of samples.
        patched: [u64; 3],
        /// Octets before the first sample.
        head: u64,
    },
    /// Frames, one after the other.
    Amr { codec: AmrPayloadCodec, variant: AmrVariant },
    /// Packets, each in a page.
    Opus(Ogg),
}

impl Container {
    /// `None` if there is no file for it.
    pub(super) fn new(encoding: Encoding) -> Option<Self> {
        let law = |format, silence| Self::Law { format, silence, patched: [0; 3], head: 0 };
        match encoding {
            Encoding::Pcmu => Some(law(MU_LAW, MU_LAW_SILENCE)),
            Encoding::Pcma => Some(law(A_LAW, A_LAW_SILENCE)),
            Encoding::Amr(format) => {
                let (variant, codec) = codec::amr(format)?;
                Some(Self::Amr { codec, variant })
            }
            Encoding::Opus => Some(Self::Opus(Ogg::new())),
            Encoding::Other => None,
        }
    }

    /// What its name ends with.
    pub(super) const fn extension(&self) -> &'static str {
        match self {
            Self::Law { .. } => "wav",
            Self::Amr { variant: AmrVariant::NarrowBand, .. } => "amr",
            Self::Amr { variant: AmrVariant::WideBand, .. } => "awb",
            Self::Opus(_) => "opus",
        }
    }

    /// Samples a second, in which RTP counts.
    pub(super) const fn clock(&self) -> u32 {
        match self {
            Self::Law { .. } => LAW_CLOCK,
            Self::Amr { variant, .. } => variant.clock_rate(),
            Self::Opus(_) => ogg::CLOCK,
        }
    }

    /// Samples that a gap is filled in.
    pub(super) const fn step(&self) -> i64 {
        match self {
            Self::Law { .. } => 1,
            Self::Amr { variant: AmrVariant::NarrowBand, .. } => 160,
            Self::Amr { variant: AmrVariant::WideBand, .. } => 320,
            Self::Opus(_) => ogg::STEP,
        }
    }

    /// What a file begins with, and is without any sample.
    pub(super) fn begin(&mut self, about: &About<'_>) -> Vec<u8> {
        match self {
            Self::Law { format, patched, head, .. } => {
                let octets = wave(*format, about, patched);
                *head = octets.len() as u64;
                octets
            }
            Self::Amr { variant, .. } => variant.storage_magic().to_vec(),
            Self::Opus(ogg) => ogg.begin(about),
        }
    }

    /// Writes the speech of a packet behind `file`; samples that it takes, none if it cannot be read.
    pub(super) fn speech(&mut self, payload: &[u8], file: &mut Vec<u8>) -> i64 {
        match self {
            Self::Law { .. } => {
                file.extend_from_slice(payload);
                payload.len() as i64
            }
            Self::Amr { codec, variant } => {
                let frames = codec.unpack(payload).map(|AmrPacket { frames, .. }| frames).unwrap_or_default();
                frames_behind(*variant, &frames, file)
            }
            Self::Opus(ogg) => ogg.speech(payload, file),
        }
    }

    /// Writes what stands for samples that never came: as many steps as fit.
    pub(super) fn gap(&mut self, samples: i64, file: &mut Vec<u8>) -> i64 {
        let steps = samples / self.step();
        let count = usize::try_from(steps).unwrap_or(0);
        match self {
            Self::Law { silence, .. } => {
                file.resize(file.len() + count, *silence);
                steps
            }
            Self::Amr { variant, .. } => {
                frames_behind(*variant, &vec![AmrPayloadFrame::no_data(); count], file)
            }
            Self::Opus(ogg) => ogg.gap(count, file),
        }
    }

    /// What is to be written over at which place once the file has `length` octets, so that it says so.
    pub(super) fn patches(&self, length: u64) -> Vec<(u64, [u8; 4])> {
        match self {
            Self::Law { patched: [riff, samples, data], head, .. } => {
                let little = |count: u64| u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes();
                let of_data = length.saturating_sub(*head);
                vec![
                    (*data, little(of_data)),
                    (*samples, little(of_data)),
                    (*riff, little(length.saturating_sub(8))),
                ]
            }
            Self::Amr { .. } | Self::Opus(_) => Vec::new(),
        }
    }
}

/// Writes frames behind `file`; samples that they take.
fn frames_behind(variant: AmrVariant, frames: &[AmrPayloadFrame], file: &mut Vec<u8>) -> i64 {
    // What has been unpacked has the length of its type.
    let Ok(stored) = storage::write(variant, frames) else { return 0 };
    file.extend_from_slice(&stored[variant.storage_magic().len()..]);
    frames.len() as i64 * variant.frame_samples() as i64
}

/// A WAV file without samples, and where what depends on their number is.
fn wave(format: u16, about: &About<'_>, patched: &mut [u64; 3]) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(b"RIFF\0\0\0\0WAVE");
    patched[0] = 4;
    let mut of_format = Vec::new();
    of_format.extend(format.to_le_bytes());
    of_format.extend(1u16.to_le_bytes()); // channels
    of_format.extend(LAW_CLOCK.to_le_bytes());
    of_format.extend(LAW_CLOCK.to_le_bytes()); // octets a second
    of_format.extend(1u16.to_le_bytes()); // octets a sample
    of_format.extend(8u16.to_le_bytes()); // bits of each
    of_format.extend(0u16.to_le_bytes()); // nothing more about the format
    chunk(&mut file, b"fmt ", &of_format);
    patched[1] = file.len() as u64 + 8;
    chunk(&mut file, b"fact", &[0; 4]);
    let mut information = b"INFO".to_vec();
    for (name, text) in [
        (b"IART", about.talker),
        (b"INAM", about.session),
        (b"ICRD", about.begun),
        (b"ISFT", concat!("Talkburst ", env!("CARGO_PKG_VERSION"))),
    ] {
        chunk(&mut information, name, &[text.as_bytes(), &[0]].concat());
    }
    chunk(&mut file, b"LIST", &information);
    patched[2] = file.len() as u64 + 4;
    chunk(&mut file, b"data", &[]);
    let length = u32::try_from(file.len() - 8).unwrap_or(u32::MAX);
    file[4..8].copy_from_slice(&length.to_le_bytes());
    file
}

/// A part of a WAV file: its name, its length, and an even number of octets.
fn chunk(file: &mut Vec<u8>, name: &[u8; 4], octets: &[u8]) {
    file.extend(name);
    file.extend(u32::try_from(octets.len()).unwrap_or(u32::MAX).to_le_bytes());
    file.extend(octets);
    if !octets.len().is_multiple_of(2) {
        file.push(0);
    }
}
