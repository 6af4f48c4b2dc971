//! The short-time Fourier transform of a segment and its inverse, complex values as channels.

use std::f64::consts::PI;
use std::fmt;
use std::sync::Arc;

use candle_core::{Result, Tensor};
use rayon::prelude::*;
use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// Planned transforms for one frame length.
///
/// Frames are `nfft` long, a quarter of that apart, under a periodic Hann window, and scaled so
/// that the transform is unitary. Frame t is centred on the middle of hop t; a segment is
/// reflected at both ends (without repeating the edge), and the Nyquist bin is dropped.
/// Source: demucs `htdemucs.py`, `_spec` and `_ispec`, whose centre padding cancels out.
pub struct Spectrogram {
    nfft: usize,
    window: Vec<f32>,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
}

impl fmt::Debug for Spectrogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spectrogram").field("nfft", &self.nfft).finish_non_exhaustive()
    }
}

/// Frames that one task transforms before it writes them out, so that its writes are runs.
const FRAMES_PER_TASK: usize = 16;

impl Spectrogram {
    /// Plans transforms of `nfft` samples.
    #[must_use]
    pub fn new(nfft: usize) -> Self {
        let mut planner = RealFftPlanner::new();
        let window =
            (0..nfft).map(|i| (0.5 - 0.5 * (2.0 * PI * i as f64 / nfft as f64).cos()) as f32).collect();
        Self {
            nfft,
            window,
            forward: planner.plan_fft_forward(nfft),
            inverse: planner.plan_fft_inverse(nfft),
        }
    }

    fn hop(&self) -> usize {
        self.nfft / 4
    }

    /// `[B, C, N]` to `[B, 2C, nfft / 2, ceil(N / hop)]`: real and imaginary part of each channel
    /// in turn.
    ///
    /// # Errors
    /// When the samples cannot be brought to or from the device.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (b, c, n) = x.dims3()?;
        let samples = x.flatten_all()?.to_vec1::<f32>()?;
        let (bins, frames) = (self.nfft / 2, n.div_ceil(self.hop()));
        let mut out = vec![0f32; b * c * 2 * bins * frames];
        for (channel, planes) in samples.chunks_exact(n).zip(out.chunks_exact_mut(2 * bins * frames)) {
            self.forward_channel(channel, planes, frames);
        }
        Tensor::from_vec(out, (b, 2 * c, bins, frames), x.device())
    }

    fn forward_channel(&self, samples: &[f32], planes: &mut [f32], frames: usize) {
        let bins = self.nfft / 2;
        let starts: Vec<usize> = (0..frames).step_by(FRAMES_PER_TASK).collect();
        let blocks: Vec<Vec<Complex32>> = starts
            .par_iter()
            .map(|&start| {
                let mut work = self.work();
                let count = FRAMES_PER_TASK.min(frames - start);
                let mut block = vec![Complex32::default(); bins * count];
                for i in 0..count {
                    for (bin, value) in self.analyze(samples, start + i, &mut work).iter().enumerate() {
                        block[bin * count + i] = *value;
                    }
                }
                block
            })
            .collect();
        let (real, imaginary) = planes.split_at_mut(bins * frames);
        for (block, &start) in blocks.iter().zip(&starts) {
            let count = block.len() / bins;
            for (bin, row) in block.chunks_exact(count).enumerate() {
                let at = bin * frames + start;
                for (i, value) in row.iter().enumerate() {
                    real[at + i] = value.re;
                    imaginary[at + i] = value.im;
                }
            }
        }
    }

    /// `[B, S, 2C, nfft / 2, T]` to `[B, S, C, n]`, the inverse of [`Self::forward`].
    ///
    /// # Errors
    /// When the samples cannot be brought to or from the device.
    pub fn inverse(&self, x: &Tensor, n: usize) -> Result<Tensor> {
        let (b, s, c, bins, frames) = x.dims5()?;
        let values = x.flatten_all()?.to_vec1::<f32>()?;
        let mut out = vec![0f32; b * s * (c / 2) * n];
        out.par_chunks_exact_mut(n)
            .zip(values.par_chunks_exact(2 * bins * frames))
            .for_each(|(samples, planes)| self.inverse_channel(planes, samples, frames));
        Tensor::from_vec(out, (b, s, c / 2, n), x.device())
    }

    fn inverse_channel(&self, planes: &[f32], samples: &mut [f32], frames: usize) {
        let (bins, hop) = (self.nfft / 2, self.hop());
        let mut work = self.work();
        let mut spectrum = vec![Complex32::default(); bins];
        let (real, imaginary) = planes.split_at(bins * frames);
        for frame in 0..frames {
            for (bin, value) in spectrum.iter_mut().enumerate() {
                *value = Complex32::new(real[bin * frames + frame], imaginary[bin * frames + frame]);
            }
            let origin = (frame * hop) as isize - (hop / 2 * 3) as isize;
            let skipped = (-origin).max(0) as usize;
            let at = origin.max(0) as usize;
            let windowed = self.synthesize(&spectrum, &mut work).iter().skip(skipped);
            let end = samples.len();
            for (sample, value) in samples[at.min(end)..].iter_mut().zip(windowed) {
                *sample += value;
            }
        }
    }

    /// Samples of a frame.
    pub(crate) fn nfft(&self) -> usize {
        self.nfft
    }

    /// Memory for [`Self::analyze`] and [`Self::synthesize`].
    pub(crate) fn work(&self) -> Work {
        let (forward, inverse) = (self.forward.get_scratch_len(), self.inverse.get_scratch_len());
        Work {
            samples: self.forward.make_input_vec(),
            spectrum: self.forward.make_output_vec(),
            scratch: vec![Complex32::default(); forward.max(inverse)],
        }
    }

    /// The spectrum of one frame of `samples`: nfft / 2 bins.
    pub(crate) fn analyze<'w>(&self, samples: &[f32], frame: usize, work: &'w mut Work) -> &'w [Complex32] {
        let origin = (frame * self.hop()) as isize - (self.hop() / 2 * 3) as isize;
        let inside = usize::try_from(origin).ok().and_then(|start| samples.get(start..start + self.nfft));
        if let Some(inside) = inside {
            for (value, (sample, w)) in work.samples.iter_mut().zip(inside.iter().zip(&self.window)) {
                *value = sample * w;
            }
        } else {
            for (k, (value, w)) in work.samples.iter_mut().zip(&self.window).enumerate() {
                *value = samples[reflect(origin + k as isize, samples.len())] * w;
            }
        }
        let scratch = &mut work.scratch[..self.forward.get_scratch_len()];
        let planned = self.forward.process_with_scratch(&mut work.samples, &mut work.spectrum, scratch);
        debug_assert!(planned.is_ok(), "buffers come from the plan");
        let scale = 1.0 / (self.nfft as f32).sqrt();
        let bins = &mut work.spectrum[..self.nfft / 2];
        for value in &mut *bins {
            *value *= scale;
        }
        bins
    }

    /// What one frame of nfft / 2 bins adds to the samples from its beginning on.
    pub(crate) fn synthesize<'w>(&self, bins: &[Complex32], work: &'w mut Work) -> &'w [f32] {
        work.spectrum[..bins.len()].copy_from_slice(bins);
        // A real signal's lowest bin has no imaginary part: the transform ignores it.
        work.spectrum[0].im = 0.0;
        work.spectrum[bins.len()] = Complex32::default();
        let scratch = &mut work.scratch[..self.inverse.get_scratch_len()];
        let planned = self.inverse.process_with_scratch(&mut work.spectrum, &mut work.samples, scratch);
        debug_assert!(planned.is_ok(), "buffers come from the plan");
        // Four windows overlap everywhere inside the segment; their squares add up to 1.5.
        let scale = 1.0 / ((self.nfft as f32).sqrt() * 1.5);
        for (value, w) in work.samples.iter_mut().zip(&self.window) {
            *value = *value * w * scale;
        }
        &work.samples
    }
}

/// Memory for the transform of one frame.
#[derive(Debug)]
pub(crate) struct Work {
    samples: Vec<f32>,
    spectrum: Vec<Complex32>,
    scratch: Vec<Complex32>,
}

/// The index that a position before the start or behind the end reflects to.
fn reflect(position: isize, len: usize) -> usize {
    let last = len as isize - 1;
    let folded = if position < 0 { -position } else { position };
    (if folded > last { 2 * last - folded } else { folded }) as usize
}

/// Mean and unbiased standard deviation, accumulated in double precision.
pub(crate) fn deviation(values: &[f32]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let squares: f64 = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn the_inverse_restores_all_but_the_edges() {
        let (n, nfft) = (12_345, 512);
        let samples: Vec<f32> =
            (0..2 * n).map(|i| (i as f32 * 0.37).sin() + (i as f32 * 0.011).cos()).collect();
        let x = Tensor::from_vec(samples.clone(), (1, 2, n), &Device::Cpu).unwrap();
        let spectrogram = Spectrogram::new(nfft);
        let z = spectrogram.forward(&x).unwrap();
        let y = spectrogram.inverse(&z.unsqueeze(1).unwrap(), n).unwrap();
        let y = y.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        // Frames that lie partly outside are not kept: within a frame of the ends their share lacks.
        for (theirs, ours) in samples.chunks(n).zip(y.chunks(n)) {
            for t in nfft..n - nfft {
                assert!((theirs[t] - ours[t]).abs() < 1e-5, "frame {t}: {} and {}", theirs[t], ours[t]);
            }
        }
    }

    #[test]
    fn reflection_leaves_out_the_edge() {
        let folded: Vec<usize> = (-3..7).map(|i| reflect(i, 4)).collect();
        assert_eq!(folded, [3, 2, 1, 0, 1, 2, 3, 2, 1, 0]);
    }
}
