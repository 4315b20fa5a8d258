//! What is said in the demo: voices that are made, each with a pitch and vowels of its own, so that whoever plays a recording hears who it
//! is. The same every time.

use std::f64::consts::TAU;

/// Samples a second.
pub(super) const CLOCK: u32 = 8000;

/// Samples of a packet: 20 ms.
pub(super) const SAMPLES: usize = 160;

/// Samples of a syllable: 150 ms.
const SYLLABLE: usize = 1200;

/// Of those, how many it takes to become loud, and to become silent.
const EDGE: usize = 240;

/// How loud, of the loudest.
const VOLUME: f64 = 0.5;

/// Above this a narrow-band voice has nothing, in hertz.
const HIGHEST: f64 = 3400.0;

/// The first three resonances of each vowel, in hertz, after Peterson and Barney (1952).
const VOWELS: [[f64; 3]; 5] = [
    [730.0, 1090.0, 2440.0],
    [530.0, 1840.0, 2480.0],
    [270.0, 2290.0, 3010.0],
    [570.0, 840.0, 2410.0],
    [300.0, 870.0, 2240.0],
];

/// How loud each is beside the first, and how broad it is in hertz.
const RESONANCES: [(f64, f64); 3] = [(1.0, 90.0), (0.5, 120.0), (0.25, 170.0)];

/// The pitch of each side, in hertz.
const PITCHES: [f64; 4] = [210.0, 115.0, 185.0, 95.0];

/// So many samples of what `side` says: syllables, 16 bits each sample.
pub(super) fn voice(side: usize, samples: usize) -> Vec<i16> {
    let pitch = PITCHES[side % PITCHES.len()];
    let syllable = |number: usize| {
        let vowel = &VOWELS[(number * (side + 2) + side) % VOWELS.len()];
        let harmonics: Vec<_> = (1..)
            .map(|harmonic| f64::from(harmonic) * pitch)
            .take_while(|hertz| *hertz < HIGHEST)
            .map(|hertz| (hertz, loudness(hertz, vowel)))
            .collect();
        let total: f64 = harmonics.iter().map(|(_, loud)| loud).sum();
        (0..SYLLABLE).map(move |at| {
            let seconds = at as f64 / f64::from(CLOCK);
            let sum: f64 = harmonics.iter().map(|(hertz, loud)| loud * (TAU * hertz * seconds).sin()).sum();
            (sum / total * swell(at) * VOLUME * f64::from(i16::MAX)) as i16
        })
    };
    (0..samples.div_ceil(SYLLABLE)).flat_map(syllable).take(samples).collect()
}

/// How loud a harmonic is in a vowel.
fn loudness(hertz: f64, vowel: &[f64; 3]) -> f64 {
    let resonance = |(formant, (loud, broad)): (&f64, &(f64, f64))| {
        let away = (hertz - formant) / broad;
        loud / (1.0 + away * away)
    };
    vowel.iter().zip(&RESONANCES).map(resonance).sum()
}

/// How loud a syllable is at a sample of it.
fn swell(at: usize) -> f64 {
    let from_edge = at.min(SYLLABLE - 1 - at).min(EDGE) as f64 / EDGE as f64;
    (1.0 - (from_edge * TAU / 2.0).cos()) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_has_a_voice_of_its_own_that_is_the_same_every_time() {
        let voices: Vec<_> = (0..4).map(|side| voice(side, 4000)).collect();
        for (side, one) in voices.iter().enumerate() {
            assert_eq!(one.len(), 4000);
            assert!(one.iter().any(|sample| sample.unsigned_abs() > 8000), "it can be heard");
            assert_eq!(*one, voice(side, 4000));
            assert!(voices.iter().enumerate().all(|(other, each)| other == side || each != one));
        }
    }
}
