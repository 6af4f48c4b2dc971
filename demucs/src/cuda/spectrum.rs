//! The way into both branches and out of them: transforms, norms of what comes in, and what undoes them.

use std::f64::consts::PI;

use crate::error::Result;
use crate::model::Config;

use super::arguments::{Analyze, Overlap, SamplesIn, SpectrumIn, Sums, Synthesize};
use super::compiler::Compiler;
use super::shape::{Place, Shape};
use super::step::Step;

/// Parts in which the samples of a segment are summed up.
const PARTS: usize = 64;

/// Mean and deviation of what went into each branch, and what the transforms are made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    moments: u64,
    moments_t: u64,
    twiddles: u64,
}

impl Compiler<'_> {
    /// From samples to the input of both branches, frequency first. The places of samples are those of a launch.
    pub(super) fn begin(&mut self, config: &Config) -> Result<(Ends, [Place; 2])> {
        let Config { nfft, stride, audio_channels: channels, .. } = *config;
        let (bins, frames, samples) = (nfft / 2, config.spectrogram_frames(), config.segment_frames());
        let angle = |i: usize| 2.0 * PI * i as f64 / nfft as f64;
        let twiddles: Vec<f32> =
            (0..bins).flat_map(|i| [angle(i).cos() as f32, -angle(i).sin() as f32]).collect();
        let (window, twiddles) = (self.window(nfft, 1.0)?, self.constants(&twiddles)?);

        let spectrum = self.floats(Shape::dense(frames, bins, 2 * channels))?;
        let partials = self.zeros(self.most() * frames * 16)?;
        self.steps.push(Step::Analyze(Analyze {
            window,
            twiddles,
            spectrum: spectrum.address,
            partials,
            samples: samples as i32,
            frames: frames as i32,
            nfft: nfft as i32,
            ..Analyze::default()
        }));
        let moments = self.moments_of(partials, 1, frames, channels * frames * 2 * bins, true)?;
        let grid = self.place(Shape {
            margin_tokens: 1,
            ..Shape::dense(bins / stride + 1, frames, 2 * channels * stride)
        })?;
        self.steps.push(Step::SpectrumIn(SpectrumIn {
            spectrum: spectrum.address,
            moments,
            grid: grid.address,
            to: grid.shape.layout(),
            bins: bins as i32,
            stride: stride as i32,
            ..SpectrumIn::default()
        }));

        let partials = self.zeros(self.most() * PARTS * 16)?;
        let count = channels * samples;
        self.steps.push(Step::Sums(Sums {
            partials,
            count: count as i64,
            groups: 1,
            parts: PARTS as i32,
            ..Sums::default()
        }));
        let moments_t = self.moments_of(partials, 1, PARTS, count, true)?;
        // So wide that what a token of the first layer sees begins where wide loads can.
        let width = channels.max(8 / stride);
        let margin_tokens = stride / 2 + config.kernel_size.next_multiple_of(8);
        let line = self.place(Shape { margin_tokens, ..Shape::dense(1, samples, width) })?;
        self.steps.push(Step::SamplesIn(SamplesIn {
            moments: moments_t,
            line: line.address,
            to: line.shape.layout(),
            samples: samples as i32,
            ..SamplesIn::default()
        }));
        Ok((Ends { moments, moments_t, twiddles }, [grid, line]))
    }

    /// A periodic Hann window with the scale of a unitary transform in it, and a further one.
    fn window(&mut self, nfft: usize, scale: f64) -> Result<u64> {
        let scale = scale / (nfft as f64).sqrt();
        let hann = |i: usize| 0.5 - 0.5 * (2.0 * PI * i as f64 / nfft as f64).cos();
        let window: Vec<f32> = (0..nfft).map(|i| (scale * hann(i)) as f32).collect();
        self.constants(&window)
    }

    /// Both branches' outputs (floats), restored and added up.
    pub(super) fn end(&mut self, config: &Config, ends: Ends, [grid, line]: [Place; 2]) -> Result<()> {
        let Config { nfft, .. } = *config;
        let (frames, samples, sources) =
            (config.spectrogram_frames(), config.segment_frames(), config.sources.len());
        let waves = self.floats(Shape::dense(sources * frames, nfft, 2))?;
        // Four windows overlap everywhere inside the segment; their squares add up to 1.5.
        let window = self.window(nfft, 1.0 / 1.5)?;
        self.steps.push(Step::Synthesize(Synthesize {
            grid: grid.address,
            from: grid.shape.layout(),
            moments: ends.moments,
            window,
            twiddles: ends.twiddles,
            frames: waves.address,
            sources: sources as i32,
            nfft: nfft as i32,
            ..Synthesize::default()
        }));
        self.steps.push(Step::Overlap(Overlap {
            frames: waves.address,
            line: line.address,
            from: line.shape.layout(),
            moments: ends.moments_t,
            sources: sources as i32,
            samples: samples as i32,
            frame_count: frames as i32,
            nfft: nfft as i32,
            ..Overlap::default()
        }));
        Ok(())
    }
}
