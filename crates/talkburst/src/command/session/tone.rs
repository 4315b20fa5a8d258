//! What is said where there is no voice: a tone, coded as agreed.

use std::f64::consts::TAU;

use bytes::Bytes;
use codec_core::codecs::g711::{alaw_compress, ulaw_compress};
use poc::sdp::Media;

/// Hertz.
const PITCH: f64 = 440.0;

/// How loud, of the loudest.
const VOLUME: f64 = 0.3;

/// A tone that goes on from packet to packet.
#[derive(Clone, Debug)]
pub(crate) struct Tone {
    code: fn(i16) -> u8,
    clock: u32,
    /// Samples so far.
    at: u64,
}

impl Tone {
    /// `None` if nothing can be said in this codec.
    pub(crate) fn new(media: &Media) -> Option<Self> {
        let is = |name: &str| media.codec.name.eq_ignore_ascii_case(name);
        let code = match () {
            () if is("PCMU") => ulaw_compress as fn(i16) -> u8,
            () if is("PCMA") => alaw_compress,
            () => return None,
        };
        Some(Self { code, clock: media.codec.clock, at: 0 })
    }

    /// The next samples.
    pub(crate) fn next(&mut self, samples: u32) -> Bytes {
        let begin = self.at;
        self.at += u64::from(samples);
        let sample = |at: u64| {
            let angle = TAU * PITCH * at as f64 / f64::from(self.clock);
            (angle.sin() * VOLUME * f64::from(i16::MAX)) as i16
        };
        (begin..self.at).map(|at| (self.code)(sample(at))).collect()
    }
}
