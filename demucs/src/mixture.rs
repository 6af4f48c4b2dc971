//! The song that goes in.

use serde::{Deserialize, Serialize};

use crate::error::{BoxError, Error, Result};

/// A song at the network's sample rate, in stereo, readable anywhere.
pub trait Mixture {
    /// Its length in samples per channel.
    fn frames(&self) -> usize;

    /// Fills `left` and `right` (of one length) with the samples from `start` on.
    ///
    /// The range always lies inside the song.
    ///
    /// # Errors
    /// Whatever keeps the samples from being read.
    fn read(
        &mut self,
        start: usize,
        left: &mut [f32],
        right: &mut [f32],
    ) -> std::result::Result<(), BoxError>;
}

impl<M: Mixture + ?Sized> Mixture for &mut M {
    fn frames(&self) -> usize {
        (**self).frames()
    }

    fn read(
        &mut self,
        start: usize,
        left: &mut [f32],
        right: &mut [f32],
    ) -> std::result::Result<(), BoxError> {
        (**self).read(start, left, right)
    }
}

/// A song in memory: left and right channel of one length.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// Left and right channel.
    pub channels: [Vec<f32>; 2],
}

impl Mixture for Samples {
    fn frames(&self) -> usize {
        self.channels[0].len()
    }

    fn read(
        &mut self,
        start: usize,
        left: &mut [f32],
        right: &mut [f32],
    ) -> std::result::Result<(), BoxError> {
        left.copy_from_slice(&self.channels[0][start..start + left.len()]);
        right.copy_from_slice(&self.channels[1][start..start + right.len()]);
        Ok(())
    }
}

/// How loud a song is as a whole: every segment is normalised by it, every stem restored with it.
///
/// Measured once for the whole song, so that parts separated on several machines fit together.
/// Source: demucs `separate.py`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Loudness {
    /// Mean of the mono sum.
    pub mean: f64,
    /// Unbiased standard deviation of the mono sum, plus 1e-8.
    pub deviation: f64,
}

/// Samples per channel that one read of a whole-song pass asks for.
const BLOCK_FRAMES: usize = 1 << 16;

impl Loudness {
    /// Reads the whole song once.
    ///
    /// # Errors
    /// [`Error::Mixture`] when the song cannot be read.
    pub fn of(mixture: &mut dyn Mixture) -> Result<Self> {
        let frames = mixture.frames();
        let (mut left, mut right) = (vec![0f32; BLOCK_FRAMES], vec![0f32; BLOCK_FRAMES]);
        let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for start in (0..frames).step_by(BLOCK_FRAMES) {
            let n = BLOCK_FRAMES.min(frames - start);
            mixture.read(start, &mut left[..n], &mut right[..n]).map_err(Error::Mixture)?;
            let mono = || {
                left[..n].iter().zip(&right[..n]).map(|(l, r)| f64::midpoint(f64::from(*l), f64::from(*r)))
            };
            // Blocks are merged by their own means (Chan's formula): no cancellation, any length.
            let block = n as f64;
            let block_mean = mono().sum::<f64>() / block;
            let block_squares: f64 = mono().map(|v| (v - block_mean).powi(2)).sum();
            let delta = block_mean - mean;
            let total = count + block;
            mean += delta * block / total;
            squares += block_squares + delta * delta * count * block / total;
            count = total;
        }
        // One sample has no deviation; the original would divide by zero.
        Ok(Self { mean, deviation: (squares / (count - 1.0).max(1.0)).sqrt() + 1e-8 })
    }

    /// Brings samples to mean 0 and deviation 1.
    pub fn normalize(&self, samples: &mut [f32]) {
        let (mean, gain) = (self.mean as f32, self.deviation as f32);
        for sample in samples {
            *sample = (*sample - mean) / gain;
        }
    }

    /// Undoes [`Self::normalize`].
    pub fn restore(&self, samples: &mut [f32]) {
        let (mean, gain) = (self.mean as f32, self.deviation as f32);
        for sample in samples {
            *sample = *sample * gain + mean;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loudness_of_many_blocks_is_that_of_the_whole() {
        let left: Vec<f32> = (0..200_000).map(|i| (i as f32 * 0.37).sin() + 0.25).collect();
        let right: Vec<f32> = (0..200_000).map(|i| (i as f32 * 0.11).cos() * 0.5).collect();
        let mono: Vec<f32> = left.iter().zip(&right).map(|(l, r)| (l + r) / 2.0).collect();
        let (mean, deviation) = crate::spectrogram::deviation(&mono);
        let loudness = Loudness::of(&mut Samples { channels: [left, right] }).unwrap();
        assert!((loudness.mean - mean).abs() < 1e-8);
        assert!((loudness.deviation - deviation).abs() < 1e-7);
    }

    #[test]
    fn silence_and_single_samples_stay_finite() {
        for song in [vec![0.0], vec![0.5], vec![0.0; 1000]] {
            let mut samples = song.clone();
            let loudness = Loudness::of(&mut Samples { channels: [song.clone(), song] }).unwrap();
            loudness.normalize(&mut samples);
            assert!(samples.iter().all(|v| v.is_finite()));
        }
    }
}
