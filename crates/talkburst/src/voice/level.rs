//! How loud something is.

/// In decibels below the loudest that there is; `None` for silence, and for nothing.
pub(crate) fn level(samples: &[i16]) -> Option<f32> {
    let energy: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    let mean = energy / samples.len().max(1) as f64;
    let loudest = f64::from(i16::MAX).powi(2);
    (mean >= 1.0).then(|| (10.0 * (mean / loudest).log10()) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_as_loud_is_six_decibels_less() {
        let square =
            |loud: i16| (0..160).map(|at| if at % 2 == 0 { loud } else { -loud }).collect::<Vec<_>>();
        assert_eq!(level(&square(i16::MAX)), Some(0.0));
        let half = level(&square(i16::MAX / 2)).unwrap();
        assert!((-6.1..-5.9).contains(&half), "{half}");
        assert_eq!((level(&[0; 160]), level(&[])), (None, None));
    }
}
