/// Signal to distortion in dB: `10 log10(sum(reference^2) / sum((reference - estimate)^2))` over all channels.
///
/// Infinite for equal signals, minus infinity for a silent reference otherwise. Where lengths differ, the missing
/// samples count as zeros.
#[must_use]
pub fn sdr_db(reference: &[Vec<f32>], estimate: &[Vec<f32>]) -> f64 {
    let mut difference = Difference::default();
    difference.add(reference, estimate);
    difference.sdr_db()
}

/// How an estimate differs from its reference, over a stream of blocks. Its memory does not grow.
///
/// With `a` the samples of the reference and `b` those of the estimate, of all channels.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Difference {
    /// `sum a^2`.
    signal: f64,
    /// `sum (b - a)^2`.
    distortion: f64,
    /// `sum a (b - a)`. Kept instead of `sum a b`, of which small differences would be lost to rounding.
    cross: f64,
    max: f64,
}

impl Difference {
    /// Adds two blocks that belong together; what one of them lacks counts as zeros.
    pub fn add(&mut self, reference: &[Vec<f32>], estimate: &[Vec<f32>]) {
        for channel in 0..reference.len().max(estimate.len()) {
            let a = reference.get(channel).map_or(&[][..], Vec::as_slice);
            let b = estimate.get(channel).map_or(&[][..], Vec::as_slice);
            // Summed apart first: a long song's sum swallows less of each sample.
            let mut part = Self::default();
            let (common, zeros) = (a.len().min(b.len()), std::iter::repeat(&0.0));
            a[..common].iter().zip(&b[..common]).for_each(|(a, b)| part.count(*a, *b));
            a[common..].iter().zip(zeros.clone()).for_each(|(a, b)| part.count(*a, *b));
            zeros.zip(&b[common..]).for_each(|(a, b)| part.count(*a, *b));
            self.merge(&part);
        }
    }

    fn count(&mut self, a: f32, b: f32) {
        let (a, b) = (f64::from(a), f64::from(b));
        let off = b - a;
        self.signal += a * a;
        self.distortion += off * off;
        self.cross += a * off;
        self.max = self.max.max(off.abs());
    }

    /// Adds what was measured elsewhere, as if both were one long signal.
    pub fn merge(&mut self, other: &Self) {
        self.signal += other.signal;
        self.distortion += other.distortion;
        self.cross += other.cross;
        self.max = self.max.max(other.max);
    }

    /// The factor `g` of the estimate relative to the reference, by least squares: `sum a b / sum a^2`, which
    /// makes `sum (b - g a)^2` least. Negative where it is upside down. None for a silent reference.
    #[must_use]
    pub fn gain(&self) -> Option<f64> {
        (self.signal > 0.0).then(|| 1.0 + self.cross / self.signal)
    }

    /// [`Difference::gain`] without its sign, in dB.
    #[must_use]
    pub fn gain_db(&self) -> Option<f64> {
        self.gain().map(|gain| 20.0 * gain.abs().log10())
    }

    /// Largest `|a - b|`, with full scale at 1.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.max
    }

    /// Signal to distortion in dB, `10 log10(sum a^2 / sum (a - b)^2)`: any change counts, one of gain too.
    ///
    /// Infinite for equal signals, silent ones included; minus infinity for a silent reference otherwise.
    #[must_use]
    pub fn sdr_db(&self) -> f64 {
        ratio_db(self.signal, self.distortion)
    }

    /// Signal to noise in dB: [`Difference::sdr_db`] after the estimate was divided by its [`Difference::gain`],
    /// `10 log10(sum a^2 / sum (a - b / g)^2)`. Rounding limits it to about 150 dB where the gain is not near 1.
    ///
    /// Minus infinity where `g` is 0: nothing of the reference is in the estimate.
    #[must_use]
    pub fn snr_db(&self) -> f64 {
        let Some(gain) = self.gain() else { return self.sdr_db() };
        // The part of the distortion that no gain explains.
        let noise = (self.distortion - self.cross * (self.cross / self.signal)).max(0.0);
        ratio_db(self.signal * gain * gain, noise)
    }
}

fn ratio_db(signal: f64, distortion: f64) -> f64 {
    if distortion == 0.0 { f64::INFINITY } else { 10.0 * (signal / distortion).log10() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(a: &[f32], b: &[f32]) -> Difference {
        let mut difference = Difference::default();
        difference.add(&[a.to_vec()], &[b.to_vec()]);
        difference
    }

    #[test]
    fn the_ratio_is_that_of_its_definition() {
        let (a, b) = (vec![vec![1.0, -1.0], vec![0.5, 0.5]], vec![vec![0.9, -0.9], vec![0.5, 0.5]]);
        assert!((sdr_db(&a, &b) - 10.0 * (2.5f64 / 0.02).log10()).abs() < 1e-5);
        assert_eq!(sdr_db(&a, &a), f64::INFINITY);
        assert!((sdr_db(&[vec![1.0; 4]], &[vec![1.0; 2]]) - 10.0 * 2f64.log10()).abs() < 1e-12);
        assert!((sdr_db(&[vec![1.0; 2]], &[vec![1.0; 4]]) - 0.0).abs() < 1e-12);
        assert!((sdr_db(&[vec![1.0]], &[vec![1.0], vec![0.5]]) - 10.0 * 4f64.log10()).abs() < 1e-12);
    }

    #[test]
    fn a_change_of_gain_costs_distortion_but_no_noise() {
        let a = [0.5, -0.25, 0.125, 0.75];
        for gain in [0.5f32, 0.9, 1.1, -1.0, -0.3] {
            let found = difference(&a, &a.map(|a| gain * a));
            assert!((found.gain().unwrap() - f64::from(gain)).abs() < 1e-7);
            assert!((found.gain_db().unwrap() - 20.0 * f64::from(gain).abs().log10()).abs() < 1e-5);
            assert!(found.snr_db() > 140.0, "{gain}: {found:?}");
            let sdr = -20.0 * (1.0 - f64::from(gain)).abs().log10();
            assert!((found.sdr_db() - sdr).abs() < 1e-4);
            assert!((found.max() - 0.75 * (1.0 - f64::from(gain)).abs()).abs() < 1e-7);
        }
    }

    #[test]
    fn noise_is_what_remains_after_the_gain_was_undone() {
        // The second signal is half the first one and something at a right angle to it.
        let (a, b) = ([1.0, 1.0, 1.0, 1.0], [0.6, 0.4, 0.6, 0.4]);
        let found = difference(&a, &b);
        assert!((found.gain().unwrap() - 0.5).abs() < 1e-7);
        let undone = b.map(|b| 2.0 * b);
        assert!((found.snr_db() - difference(&a, &undone).sdr_db()).abs() < 1e-5);
        assert!((found.snr_db() - 10.0 * (4.0f64 / 0.16).log10()).abs() < 1e-5);
    }

    #[test]
    fn silence_and_equal_signals_have_figures_too() {
        let equal = difference(&[0.1, 0.2], &[0.1, 0.2]);
        assert_eq!((equal.gain(), equal.gain_db(), equal.max()), (Some(1.0), Some(0.0), 0.0));
        assert_eq!((equal.sdr_db(), equal.snr_db()), (f64::INFINITY, f64::INFINITY));
        let silent = difference(&[0.0; 2], &[0.0; 2]);
        assert_eq!((silent.gain(), silent.sdr_db(), silent.snr_db()), (None, f64::INFINITY, f64::INFINITY));
        let invented = difference(&[0.0; 2], &[0.0, 0.1]);
        assert_eq!((invented.gain(), invented.sdr_db()), (None, f64::NEG_INFINITY));
        assert_eq!(invented.snr_db(), f64::NEG_INFINITY);
        let lost = difference(&[0.5, 0.5], &[0.0; 2]);
        assert_eq!((lost.gain(), lost.gain_db(), lost.sdr_db()), (Some(0.0), Some(f64::NEG_INFINITY), 0.0));
        assert_eq!(difference(&[], &[]).sdr_db(), f64::INFINITY);
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let (a, b) = ([0.5, -0.25, 0.125, 0.75], [0.375, -0.25, 0.25, 0.5]);
        let mut parts = difference(&a[..1], &b[..1]);
        parts.merge(&difference(&a[1..], &b[1..]));
        assert_eq!(parts, difference(&a, &b));
    }
}
