//! A voice that a test makes, and how much what is heard is like what was said. Samples are those of G.711: 8000 a second.

/// Samples a second.
pub(crate) const CLOCK: u32 = 8000;

/// A pitch with its harmonics that goes up and down, so that no two packets are alike: so many samples, `clock` a second.
pub(crate) fn voice(pitch: f64, clock: u32, samples: u32) -> Vec<i16> {
    let sample = |at: u32| {
        let seconds = f64::from(at) / f64::from(clock);
        let angle = std::f64::consts::TAU * (pitch * seconds + 4.0 * (3.0 * seconds).sin());
        ((1..10).map(|number| (angle * f64::from(number)).sin() / f64::from(number)).sum::<f64>() * 6000.0)
            as i16
    };
    (0..samples).map(sample).collect()
}

/// The least noise beside `part` that there is anywhere in `whole`, in decibels below it: 0 if they have nothing in common.
pub(crate) fn noise(part: &[i16], whole: &[i16]) -> f64 {
    let power = |samples: &[i16]| samples.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
    let of_part = power(part);
    let beside = |there: &[i16]| {
        let product: f64 =
            part.iter().zip(there).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum();
        // What is left of one after as much of the other as fits best has been taken away.
        1.0 - product.max(0.0).powi(2) / (of_part * power(there)).max(1.0)
    };
    let least = whole.windows(part.len()).map(beside).min_by(f64::total_cmp).unwrap_or(1.0);
    10.0 * least.max(1e-12).log10()
}

#[test]
fn silence_noise_and_other_speech_are_not_what_was_said() {
    let said = voice(130.0, CLOCK, 2 * CLOCK);
    let mut chance = 1_u32;
    let hiss = (0..said.len()).map(|_| {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (chance.cast_signed() >> 18) as i16
    });
    let part = &said[said.len() / 4..said.len() * 3 / 4];
    for (what, heard) in [
        ("silence", vec![0; said.len()]),
        ("noise", hiss.collect()),
        ("another", voice(190.0, CLOCK, 2 * CLOCK)),
        ("nothing", vec![]),
    ] {
        let noise = noise(part, &heard);
        assert!(noise > -3.0, "{what}: {noise} dB");
    }
    assert!(noise(part, &said) < -100.0);
}
