//! What is heard instead of samples that never came: the last pitch period again and again, more and more quietly.
//!
//! After ITU-T G.711 Appendix I, without its overlaps: 10 ms as loud as before, then a fifth less each 10 ms.

/// The pitches that a period is looked for at, in hertz.
const PITCH_MIN: u32 = 66;
const PITCH_MAX: u32 = 200;

/// Of a second: what is as loud as before, and what is a step quieter each time.
const STEPS: u32 = 100;

/// Steps until nothing is heard any more.
const FADED: usize = 6;

/// What was heard last.
pub(super) struct Conceal {
    /// Samples of a step.
    step: usize,
    periods: std::ops::RangeInclusive<usize>,
    history: Vec<i16>,
    /// The period that is repeated, once something is missing.
    period: Vec<i16>,
    /// Samples that were filled since something was heard.
    filled: usize,
}

impl Conceal {
    /// `clock`: samples a second.
    pub(super) fn new(clock: u32) -> Self {
        Self {
            step: (clock / STEPS) as usize,
            periods: (clock / PITCH_MAX) as usize..=(clock / PITCH_MIN) as usize,
            history: Vec::new(),
            period: Vec::new(),
            filled: 0,
        }
    }

    /// This was heard.
    pub(super) fn heard(&mut self, samples: &[i16]) {
        self.filled = 0;
        self.history.extend_from_slice(samples);
        // Two of the longest periods, so that one can be compared with the one before.
        let kept = 2 * *self.periods.end();
        self.history.drain(..self.history.len().saturating_sub(kept));
    }

    /// So many samples instead of what is missing.
    pub(super) fn fill(&mut self, samples: usize, heard: &mut Vec<i16>) {
        if self.filled == 0 {
            self.period = self.last_period();
        }
        for _ in 0..samples {
            let sample = match self.period.len() {
                0 => 0,
                length => i32::from(self.period[self.filled % length]),
            };
            // The first step is as loud as before.
            let left =
                FADED.saturating_sub(self.filled.saturating_sub(self.step).div_ceil(self.step.max(1)) + 1);
            let loud = i32::try_from(left).unwrap_or(0);
            let all = i32::try_from(FADED - 1).unwrap_or(1);
            heard.push(i16::try_from(sample * loud / all).unwrap_or_default());
            self.filled += 1;
        }
    }

    /// The last samples that are most like those before them.
    fn last_period(&self) -> Vec<i16> {
        let history = &self.history;
        if history.len() < 2 * *self.periods.end() {
            return Vec::new();
        }
        let likeness = |period: usize| {
            let (before, last) = history[history.len() - 2 * period..].split_at(period);
            let product: f64 = before.iter().zip(last).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            let energy: f64 = before.iter().chain(last).map(|sample| f64::from(*sample).powi(2)).sum();
            if energy == 0.0 { 0.0 } else { product / energy }
        };
        let best = self.periods.clone().max_by(|one, other| likeness(*one).total_cmp(&likeness(*other)));
        history[history.len() - best.unwrap_or(0)..].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tone whose period is 50 samples.
    fn tone(at: usize) -> i16 {
        ((at as f64 * std::f64::consts::TAU / 50.0).sin() * 10_000.0) as i16
    }

    fn loudest(samples: &[i16]) -> u16 {
        samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0)
    }

    #[test]
    fn a_tone_goes_on_in_its_pitch_and_fades() {
        let mut conceal = Conceal::new(8000);
        conceal.heard(&(0..400).map(tone).collect::<Vec<_>>());
        let mut heard = Vec::new();
        conceal.fill(640, &mut heard);
        for (at, sample) in heard[..80].iter().enumerate() {
            assert!((i32::from(*sample) - i32::from(tone(400 + at))).abs() < 50, "sample {at}");
        }
        assert!((7000..8500).contains(&loudest(&heard[90..160])), "a fifth less");
        assert_eq!(loudest(&heard[480..]), 0, "and nothing after 60 ms");
    }

    #[test]
    fn where_nothing_was_heard_nothing_is() {
        let mut heard = Vec::new();
        Conceal::new(8000).fill(160, &mut heard);
        assert_eq!(heard, [0; 160]);
    }
}
