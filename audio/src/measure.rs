//! How loud, how alike and how well aligned signals are.

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

/// Signal to distortion in dB: `10 log10(sum(reference^2) / sum((reference - estimate)^2))` over all channels.
///
/// Infinite for equal signals; minus infinity or not a number for a silent reference. Where lengths differ, the
/// missing samples count as zeros.
#[must_use]
pub fn sdr_db(reference: &[Vec<f32>], estimate: &[Vec<f32>]) -> f64 {
    let mut sdr = Sdr::default();
    sdr.add(reference, estimate);
    sdr.db()
}

/// [`sdr_db`] over a stream of blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sdr {
    signal: f64,
    distortion: f64,
}

impl Sdr {
    /// Adds two blocks that belong together.
    pub fn add(&mut self, reference: &[Vec<f32>], estimate: &[Vec<f32>]) {
        for channel in 0..reference.len().max(estimate.len()) {
            let reference = reference.get(channel).map_or(&[][..], Vec::as_slice);
            let estimate = estimate.get(channel).map_or(&[][..], Vec::as_slice);
            for frame in 0..reference.len().max(estimate.len()) {
                let wanted = reference.get(frame).copied().map_or(0.0, f64::from);
                let got = estimate.get(frame).copied().map_or(0.0, f64::from);
                self.signal += wanted * wanted;
                self.distortion += (wanted - got) * (wanted - got);
            }
        }
    }

    /// The ratio so far, in dB.
    #[must_use]
    pub fn db(&self) -> f64 {
        10.0 * (self.signal / self.distortion).log10()
    }
}

/// Largest absolute sample.
#[must_use]
pub fn peak(block: &[Vec<f32>]) -> f32 {
    let mut level = Level::default();
    level.add(block);
    level.peak()
}

/// Root of the mean square over all channels; 0 for no samples.
#[must_use]
pub fn rms(block: &[Vec<f32>]) -> f64 {
    let mut level = Level::default();
    level.add(block);
    level.rms()
}

/// [`peak`] and [`rms`] over a stream of blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Level {
    peak: f32,
    energy: f64,
    samples: u64,
}

impl Level {
    /// Adds a block.
    pub fn add(&mut self, block: &[Vec<f32>]) {
        for sample in block.iter().flatten() {
            self.peak = self.peak.max(sample.abs());
            self.energy += f64::from(*sample) * f64::from(*sample);
            self.samples += 1;
        }
    }

    /// Largest absolute sample so far.
    #[must_use]
    pub fn peak(&self) -> f32 {
        self.peak
    }

    /// Root of the mean square so far.
    #[must_use]
    pub fn rms(&self) -> f64 {
        if self.samples == 0 { 0.0 } else { (self.energy / self.samples as f64).sqrt() }
    }
}

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

    #[test]
    fn ratios_and_levels_match_their_definitions() {
        let (a, b) = (vec![vec![1.0, -1.0], vec![0.5, 0.5]], vec![vec![0.9, -0.9], vec![0.5, 0.5]]);
        assert!((sdr_db(&a, &b) - 10.0 * (2.5f64 / 0.02).log10()).abs() < 1e-5);
        assert!(sdr_db(&a, &a) > f64::MAX);
        assert!((peak(&b) - 0.9).abs() < 1e-7 && (rms(&a) - (2.5f64 / 4.0).sqrt()).abs() < 1e-9);
        assert!(sdr_db(&[vec![1.0; 4]], &[vec![1.0; 2]]).abs() > 3.0);
    }
}
