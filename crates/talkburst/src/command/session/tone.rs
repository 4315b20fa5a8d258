//! What is said where there is no voice: a tone.

use std::f64::consts::TAU;

/// Hertz.
const PITCH: f64 = 440.0;

/// How loud, of the loudest.
const VOLUME: f64 = 0.3;

/// A tone that goes on from packet to packet.
#[derive(Clone, Debug)]
pub(crate) struct Tone {
    clock: u32,
    /// Samples so far.
    at: u64,
}

impl Tone {
    /// `clock`: samples a second.
    pub(crate) const fn new(clock: u32) -> Self {
        Self { clock, at: 0 }
    }

    /// The next samples.
    pub(crate) fn next(&mut self, samples: u32) -> Vec<i16> {
        let begin = self.at;
        self.at += u64::from(samples);
        let sample = |at: u64| {
            let angle = TAU * PITCH * at as f64 / f64::from(self.clock);
            (angle.sin() * VOLUME * f64::from(i16::MAX)) as i16
        };
        (begin..self.at).map(sample).collect()
    }
}
