/// What happens to samples above full scale.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ClipMode {
    /// All results of a song get one gain, so that they still add up to the song at that gain.
    #[default]
    Common,
    /// Each result gets a gain of its own, as with demucs.
    Rescale,
    /// Cut at full scale.
    Clamp,
    /// Bent softly.
    Tanh,
    /// Left as they are; only 32-bit WAV keeps them.
    None,
    /// Every result gets the gain [`HEADROOM`], so that peaks of four times full scale are kept; beyond, they are
    /// cut. For what is read again by [`crate::derive`].
    Headroom,
}

/// Gain of [`ClipMode::Headroom`].
pub const HEADROOM: f32 = 0.25;

impl ClipMode {
    /// Whether the peaks of whole results have to be known before the first sample can be encoded.
    #[must_use]
    pub fn needs_peaks(self) -> bool {
        matches!(self, Self::Common | Self::Rescale)
    }

    /// The gain of each result, given the peaks of all.
    pub(crate) fn gains(self, peaks: &[f32]) -> Vec<f32> {
        match self {
            Self::Common => vec![fitting(peaks.iter().copied().fold(0.0, f32::max)); peaks.len()],
            Self::Rescale => peaks.iter().map(|peak| fitting(*peak)).collect(),
            Self::Clamp | Self::Tanh | Self::None => vec![1.0; peaks.len()],
            Self::Headroom => vec![HEADROOM; peaks.len()],
        }
    }

    /// Applies the mode to samples of a result with this gain.
    pub(crate) fn apply(self, gain: f32, samples: &mut [f32]) {
        match self {
            Self::Common | Self::Rescale => samples.iter_mut().for_each(|s| *s *= gain),
            Self::Clamp => samples.iter_mut().for_each(|s| *s = s.clamp(-1.0, 1.0)),
            Self::Tanh => samples.iter_mut().for_each(|s| *s = s.tanh()),
            Self::None => {}
            Self::Headroom => samples.iter_mut().for_each(|s| *s = (HEADROOM * *s).clamp(-1.0, 1.0)),
        }
    }
}

/// The gain that brings a peak 1 % below full scale; 1 for what is there already.
///
/// Source: demucs `audio.py`, `prevent_clip`.
fn fitting(peak: f32) -> f32 {
    1.0 / (1.01 * peak).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_gain_is_that_of_the_loudest_and_rescale_looks_at_each() {
        let peaks = [2.0, 0.5, 1.0];
        assert_eq!(ClipMode::Common.gains(&peaks), [1.0 / 2.02; 3]);
        assert_eq!(ClipMode::Rescale.gains(&peaks), [1.0 / 2.02, 1.0, 1.0 / 1.01]);
        assert_eq!(ClipMode::Clamp.gains(&peaks), [1.0; 3]);
        assert_eq!(ClipMode::Common.gains(&[0.99, 0.0]), [1.0; 2]);
    }

    #[test]
    fn clamped_samples_change_only_above_full_scale() {
        let mut samples = [1.5, -0.25, -3.0];
        ClipMode::Clamp.apply(1.0, &mut samples);
        assert_eq!(samples, [1.0, -0.25, -1.0]);
        ClipMode::Common.apply(0.5, &mut samples);
        assert_eq!(samples, [0.5, -0.125, -0.5]);
    }
}
