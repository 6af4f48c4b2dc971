use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

/// How much later a signal comes than its reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lag {
    /// Whole frames; positive when the signal is late.
    pub frames: isize,
    /// The same with a fraction, from a parabola through the three largest values.
    pub fine: f64,
    /// Normalised correlation at that lag, 1 for the same shape.
    pub correlation: f64,
}

/// Finds the lag within `max_lag` frames either way at which `signal` resembles `reference` most.
///
/// None where one of them is silent or empty. Cost: three transforms of the sum of the lengths.
#[must_use]
pub fn lag(reference: &[f32], signal: &[f32], max_lag: usize) -> Option<Lag> {
    let norm = (energy(reference) * energy(signal)).sqrt();
    if norm == 0.0 || !norm.is_finite() {
        return None;
    }
    let size = (reference.len() + signal.len() + 1).next_power_of_two();
    let correlation = cross_correlation(reference, signal, size)?;
    let max_lag = max_lag.min(size / 2 - 1) as isize;
    let at = |lag: isize| correlation[lag.rem_euclid(size as isize) as usize] / norm;
    let frames = (-max_lag..=max_lag).max_by(|a, b| at(*a).total_cmp(&at(*b)))?;
    let (before, here, after) = (at(frames - 1), at(frames), at(frames + 1));
    let bend = before - 2.0 * here + after;
    let fraction = if bend < 0.0 { (0.5 * (before - after) / bend).clamp(-0.5, 0.5) } else { 0.0 };
    Some(Lag { frames, fine: frames as f64 + fraction, correlation: here })
}

fn energy(plane: &[f32]) -> f64 {
    plane.iter().map(|sample| f64::from(*sample) * f64::from(*sample)).sum()
}

/// `sum over n of reference[n] * signal[n + lag]` at index `lag`, negative lags at the end.
fn cross_correlation(reference: &[f32], signal: &[f32], size: usize) -> Option<Vec<f64>> {
    let mut planner = RealFftPlanner::<f64>::new();
    let forward = planner.plan_fft_forward(size);
    let spectrum = |plane: &[f32]| -> Option<Vec<Complex<f64>>> {
        let mut time = vec![0.0; size];
        for (sample, value) in time.iter_mut().zip(plane) {
            *sample = f64::from(*value);
        }
        let mut bins = forward.make_output_vec();
        forward.process(&mut time, &mut bins).ok()?;
        Some(bins)
    };
    let mut product = spectrum(signal)?;
    for (bin, other) in product.iter_mut().zip(spectrum(reference)?) {
        *bin *= other.conj() / size as f64;
    }
    // Real signals have real ends of the spectrum; rounding leaves traces that the inverse would refuse.
    for end in [0, size / 2] {
        product[end].im = 0.0;
    }
    let mut time = vec![0.0; size];
    planner.plan_fft_inverse(size).process(&mut product, &mut time).ok()?;
    Some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    #[test]
    fn lag_is_found_in_both_directions() {
        let reference = noise(20_000, 1);
        for shift in [-4096, -1105, -1, 0, 1, 1105, 4096_isize] {
            let signal: Vec<f32> = (0..20_000)
                .map(|i| {
                    usize::try_from(i - shift).ok().and_then(|i| reference.get(i)).map_or(0.0, |x| 0.3 * x)
                })
                .collect();
            let found = lag(&reference, &signal, 4096).unwrap();
            assert_eq!(found.frames, shift);
            assert!((found.fine - shift as f64).abs() < 0.05 && found.correlation > 0.85, "{found:?}");
        }
        assert_eq!(lag(&reference, &[0.0; 9], 10), None);
        assert_eq!(lag(&[], &[], 10), None);
    }
}
