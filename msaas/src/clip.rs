//! Samples above full scale.

use crate::cli::ClipArg;

/// Applies a clip mode to one channel of a block. `peak` is that of the whole stem, where the
/// mode needs it.
///
/// Source: demucs `audio.py`, `prevent_clip`.
pub(crate) fn clip(mode: ClipArg, peak: f32, samples: &mut [f32]) {
    match mode {
        ClipArg::Clamp => samples.iter_mut().for_each(|s| *s = s.clamp(-1.0, 1.0)),
        ClipArg::Tanh => samples.iter_mut().for_each(|s| *s = s.tanh()),
        ClipArg::Rescale => {
            let divisor = (1.01 * peak).max(1.0);
            for sample in samples {
                *sample /= divisor;
            }
        }
        ClipArg::None => {}
    }
}

/// Whether a mode has to know the peak of the whole stem before it can touch the first sample.
pub(crate) fn needs_peak(mode: ClipArg) -> bool {
    mode == ClipArg::Rescale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rescaled_peaks_stay_below_full_scale_and_quiet_stems_stay_as_they_are() {
        let mut loud = [2.0, -1.0];
        clip(ClipArg::Rescale, 2.0, &mut loud);
        assert!((loud[0] - 1.0 / 1.01).abs() < 1e-6);
        let mut quiet = [0.5];
        clip(ClipArg::Rescale, 0.5, &mut quiet);
        assert_eq!(quiet, [0.5]);
    }

    #[test]
    fn clamped_samples_change_only_above_full_scale() {
        let mut samples = [1.5, -0.25, -3.0];
        clip(ClipArg::Clamp, 0.0, &mut samples);
        assert_eq!(samples, [1.0, -0.25, -1.0]);
    }
}
