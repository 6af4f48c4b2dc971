//! The way into the frequency branch and out of it, in the order in which its tokens lie.

use rayon::prelude::*;
use realfft::num_complex::Complex32;

use super::layout::{Grid, Line};
use super::scratch::Pool;
use crate::spectrogram::{Spectrogram, Work};

/// Floats between two frames that are a power of two apart, so that they do not share places in the cache.
const GAP: usize = 16;
/// Parts of a segment that are transformed back at the same time.
const PARTS: usize = 8;
/// Frames that are brought into the order of the transform together.
const FRAMES: usize = 4;

/// Mean and deviation of what goes into a branch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Moments {
    pub(super) mean: f32,
    pub(super) deviation: f32,
}

impl Moments {
    /// Of `count` values with such sums of them and of their squares.
    fn of(sums: &[[f64; 2]], count: usize) -> Self {
        let [sum, squares] = sums.iter().fold([0.0; 2], |[a, b], [c, d]| [a + c, b + d]);
        let (count, mean) = (count as f64, sum / count as f64);
        let variance = (squares - count * mean * mean).max(0.0) / (count - 1.0).max(1.0);
        Self { mean: mean as f32, deviation: variance.sqrt() as f32 }
    }

    fn normalize(self, value: f32) -> f32 {
        (value - self.mean) / (self.deviation + 1e-5)
    }

    fn restore(self, value: f32) -> f32 {
        value * self.deviation + self.mean
    }
}

fn sums(values: impl Iterator<Item = f32>) -> [f64; 2] {
    values.fold([0.0; 2], |[sum, squares], value| {
        let value = f64::from(value);
        [sum + value, squares + value * value]
    })
}

/// Transforms of segments, and the memory they need.
#[derive(Debug)]
pub(super) struct Spectrum {
    spectrogram: Spectrogram,
    work: Pool<Work>,
    frames: Pool<Vec<Complex32>>,
}

impl Spectrum {
    pub(super) fn new(nfft: usize) -> Self {
        Self { spectrogram: Spectrogram::new(nfft), work: Pool::new(), frames: Pool::new() }
    }

    fn bins(&self) -> usize {
        self.spectrogram.nfft() / 2
    }

    fn frame_len(&self) -> usize {
        2 * self.bins() + GAP
    }

    /// Floats that [`Self::forward`] needs for so many channels and frames.
    pub(super) fn scratch(&self, channels: usize, frames: usize) -> usize {
        channels * frames * self.frame_len()
    }

    /// `[C, N]` to rows of `stride` bins that lie together, normalised; the first row begins half a stride before
    /// the first bin. A token has the bins in turn, of each the channels, of each real and imaginary part.
    pub(super) fn forward(
        &self,
        samples: &[f32],
        channels: usize,
        stride: usize,
        scratch: &mut [f32],
        partial: &mut Vec<[f64; 2]>,
        (grid, out): (Grid, &mut [f32]),
    ) -> Moments {
        let (n, bins, frame_len) = (samples.len() / channels, self.bins(), self.frame_len());
        let frames = grid.tokens;
        partial.clear();
        partial.resize(channels * frames, [0.0; 2]);
        scratch.par_chunks_mut(frame_len).zip(partial.par_iter_mut()).enumerate().for_each(
            |(i, (frame, partial))| {
                let samples = &samples[i / frames * n..][..n];
                self.work.with_or(
                    || self.spectrogram.work(),
                    |work| {
                        let spectrum = self.spectrogram.analyze(samples, i % frames, work);
                        for (to, value) in frame.as_chunks_mut::<2>().0.iter_mut().zip(spectrum) {
                            *to = [value.re, value.im];
                        }
                        *partial = sums(spectrum.iter().flat_map(|value| [value.re, value.im]));
                    },
                );
            },
        );
        let moments = Moments::of(partial, channels * frames * 2 * bins);
        let scratch = &*scratch;
        out.par_chunks_mut(grid.row_len()).enumerate().for_each(|(row, out)| {
            for (t, token) in out.chunks_exact_mut(grid.width).enumerate() {
                for (j, values) in token.chunks_exact_mut(2 * channels).enumerate() {
                    let bin = (row * stride + j).checked_sub(stride / 2).filter(|bin| *bin < bins);
                    for (channel, value) in values.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                        *value = bin.map_or([0.0; 2], |bin| {
                            let at = (channel * frames + t) * frame_len + 2 * bin;
                            [scratch[at], scratch[at + 1]].map(|value| moments.normalize(value))
                        });
                    }
                }
            }
        });
        moments
    }

    /// Both branches' outputs, restored and added up: rows of bins (`grid`, of each token real and imaginary parts
    /// of all channels) and samples (`line`) to `[C, N]`.
    pub(super) fn inverse(
        &self,
        (grid, x, moments): (Grid, &[f32], Moments),
        (line, xt, moments_t): (Line, &[f32], Moments),
        channels: usize,
        out: &mut [f32],
    ) {
        let hop = self.spectrogram.nfft() / 4;
        let n = line.tokens;
        let part_frames = grid.tokens.div_ceil(PARTS);
        let mut parts: Vec<Vec<&mut [f32]>> = (0..PARTS).map(|_| Vec::with_capacity(channels)).collect();
        for channel in out.chunks_exact_mut(n) {
            for (part, samples) in parts.iter_mut().zip(channel.chunks_mut(part_frames * hop)) {
                part.push(samples);
            }
        }
        parts.par_iter_mut().enumerate().filter(|(_, part)| !part.is_empty()).for_each(|(i, part)| {
            let first = i * part_frames;
            let xt = &xt[line.start() + first * hop * line.width..];
            for (channel, samples) in part.iter_mut().enumerate() {
                for (sample, token) in samples.iter_mut().zip(xt.chunks_exact(line.width)) {
                    *sample = moments_t.restore(token[channel]);
                }
            }
            // A frame begins one and a half hops before its own and is four long.
            let end = (first + part_frames + 2).min(grid.tokens);
            let mut frame = first.saturating_sub(2);
            while frame < end {
                let count = FRAMES.min(end - frame);
                self.add_frames((grid, x, moments), frame..frame + count, part, first * hop);
                frame += count;
            }
        });
    }

    fn add_frames(
        &self,
        (grid, x, moments): (Grid, &[f32], Moments),
        frames: std::ops::Range<usize>,
        part: &mut [&mut [f32]],
        start: usize,
    ) {
        let (bins, hop, channels) = (self.bins(), self.spectrogram.nfft() / 4, part.len());
        let len = bins + GAP / 2;
        let lend = || vec![Complex32::default(); FRAMES * channels * len];
        self.frames.with_or(lend, |spectra| {
            for bin in 0..bins {
                let tokens = &x[grid.start(bin) + frames.start * grid.width..];
                for (i, token) in tokens.chunks_exact(grid.width).take(frames.len()).enumerate() {
                    for (channel, value) in token.as_chunks::<2>().0.iter().take(channels).enumerate() {
                        let [re, im] = value.map(|value| moments.restore(value));
                        spectra[(i * channels + channel) * len + bin] = Complex32::new(re, im);
                    }
                }
            }
            for (i, frame) in frames.enumerate() {
                let origin = (frame * hop) as isize - (hop / 2 * 3) as isize - start as isize;
                let (skipped, at) = ((-origin).max(0) as usize, origin.max(0) as usize);
                for (channel, samples) in part.iter_mut().enumerate() {
                    let spectrum = &spectra[(i * channels + channel) * len..][..bins];
                    self.work.with_or(
                        || self.spectrogram.work(),
                        |work| {
                            let windowed = self.spectrogram.synthesize(spectrum, work);
                            let end = samples.len();
                            let inside = samples[at.min(end)..].iter_mut();
                            for (sample, value) in inside.zip(windowed.iter().skip(skipped)) {
                                *sample += value;
                            }
                        },
                    );
                }
            }
        });
    }
}

/// `[C, N]` to tokens of C samples, normalised.
pub(super) fn interleave(samples: &[f32], channels: usize, (line, out): (Line, &mut [f32])) -> Moments {
    let n = samples.len() / channels;
    let moments = Moments::of(&[sums(samples.iter().copied())], samples.len());
    line.clear_margins(out);
    for (t, token) in line.inner(out).chunks_exact_mut(channels).enumerate() {
        for (channel, value) in token.iter_mut().enumerate() {
            *value = moments.normalize(samples[channel * n + t]);
        }
    }
    moments
}
