//! Opus in RTP (RFC 7587), one channel of it: libopus, in the feature `opus`.

use bytes::Bytes;
use opus::{Application, Channels, packet};
use poc::sdp::Codec;

/// Samples a second, whatever is in a packet (RFC 7587 §4.1).
const CLOCK: u32 = 48_000;

/// Samples of the longest packet: 120 ms.
const SAMPLES_MAX: usize = 5760;

/// Samples of which something is concealed at once: 20 ms.
const STEP: usize = 960;

/// Octets of a packet at most: no frame of 20 ms has more.
const OCTETS_MAX: usize = 1275;

/// As it is offered (RFC 7587 §7: two channels, whatever is said).
pub(crate) fn offered() -> Codec {
    Codec {
        payload: 99,
        name: "opus".to_owned(),
        clock: CLOCK,
        channels: 2,
        parameters: "useinbandfec=0".to_owned(),
    }
}

/// What is said.
pub(super) struct Coder(opus::Encoder);

impl Coder {
    pub(super) fn new() -> Option<Self> {
        opus::Encoder::new(CLOCK, Channels::Mono, Application::Voip).ok().map(Self)
    }

    pub(super) fn encode(&mut self, samples: &[i16]) -> Option<Bytes> {
        self.0.encode_vec(samples, OCTETS_MAX).ok().map(Bytes::from)
    }
}

/// What is heard.
pub(super) struct Decoder(opus::Decoder);

impl Decoder {
    pub(super) fn new() -> Option<Self> {
        opus::Decoder::new(CLOCK, Channels::Mono).ok().map(Self)
    }

    /// Samples in a packet; 0 if it cannot be read.
    pub(super) fn samples(payload: &[u8]) -> usize {
        let samples = packet::get_nb_samples(payload, CLOCK).unwrap_or(0);
        if samples > SAMPLES_MAX { 0 } else { samples }
    }

    /// A packet, behind what was heard before.
    pub(super) fn speech(&mut self, payload: &[u8], heard: &mut Vec<i16>) {
        self.decode(payload, Self::samples(payload), heard);
    }

    /// So many samples that sound like what was before.
    pub(super) fn fill(&mut self, samples: usize, heard: &mut Vec<i16>) {
        let end = heard.len() + samples;
        while heard.len() < end {
            self.decode(&[], STEP, heard);
        }
        heard.truncate(end);
    }

    fn decode(&mut self, payload: &[u8], samples: usize, heard: &mut Vec<i16>) {
        let begin = heard.len();
        heard.resize(begin + samples, 0);
        // As long as the packet, whatever was in it.
        if self.0.decode(payload, &mut heard[begin..], false).is_err() {
            heard[begin..].fill(0);
        }
    }
}
