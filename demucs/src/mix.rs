//! From what passes have summed up to blocks of stems.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::block::{Block, Shelf};
use crate::mixture::Loudness;
use crate::pass::Pass;
use crate::stem::Stem;

/// Frames that are made at a time: a source and a stem of them stay in a core's own cache.
const PART: usize = 4096;

/// Makes blocks of stems: the threads for that, and the memory.
#[derive(Debug, Clone)]
pub(crate) struct Mixer {
    threads: Arc<rayon::ThreadPool>,
    shelf: Shelf,
}

/// What stems are made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ingredients<'a> {
    pub(crate) passes: &'a [Pass],
    pub(crate) loudness: &'a Loudness,
    /// The mixture over the frames that are made, where a stem needs it.
    pub(crate) mixture: Option<&'a [Vec<f32>; 2]>,
}

impl Mixer {
    /// One that keeps the memory of `blocks` blocks.
    pub(crate) fn new(threads: Arc<rayon::ThreadPool>, blocks: usize) -> Self {
        Self { threads, shelf: Shelf::new(blocks) }
    }

    /// Where what belongs to a song is computed.
    pub(crate) fn threads(&self) -> &rayon::ThreadPool {
        &self.threads
    }

    /// Memory for a block of `frames` frames, with any samples.
    pub(crate) fn take(&self, frames: usize) -> [Vec<f32>; 2] {
        self.shelf.take(frames)
    }

    /// A block whose memory comes back here.
    pub(crate) fn lend(&self, channels: [Vec<f32>; 2]) -> Block {
        self.shelf.lend(channels)
    }

    /// The next `frames` frames of all stems; those that are alike share a block.
    pub(crate) fn mix(&self, stems: &[Stem], frames: usize, of: Ingredients<'_>) -> Vec<Block> {
        let mut kinds: Vec<&Stem> = Vec::new();
        let mut kind_of = Vec::new();
        for stem in stems {
            let alike =
                kinds.iter().position(|kind| kind.gains == stem.gains && kind.mixture == stem.mixture);
            kind_of.push(alike.unwrap_or(kinds.len()));
            if alike.is_none() {
                kinds.push(stem);
            }
        }
        let mut made: Vec<_> = kinds.iter().map(|_| self.take(frames)).collect();
        let mut rows = Vec::new();
        for (stem, channels) in kinds.into_iter().zip(&mut made) {
            rows.extend(channels.iter_mut().enumerate().map(|(channel, row)| (stem, channel, row)));
        }
        self.threads.install(|| {
            rows.into_par_iter().for_each(|(stem, channel, row)| {
                let parts = row.par_chunks_mut(PART).enumerate();
                parts.for_each_init(Vec::new, |source, (i, part)| {
                    of.fill(part, stem, channel, i * PART, source);
                });
            });
        });
        let blocks: Vec<Block> = made.into_iter().map(|channels| self.lend(channels)).collect();
        kind_of.into_iter().map(|kind| blocks[kind].clone()).collect()
    }
}

impl Ingredients<'_> {
    /// Fills one channel of a stem from frame `at` of the block on; `source` is memory for that of a source.
    fn fill(self, sum: &mut [f32], stem: &Stem, channel: usize, at: usize, source: &mut Vec<f32>) {
        let frames = at..at + sum.len();
        sum.fill(0.0);
        source.resize(sum.len(), 0.0);
        for (index, gain) in stem.gains.iter().enumerate().filter(|(_, gain)| **gain != 0.0) {
            self.average(index, channel, frames.clone(), source);
            add(sum, source.iter().copied(), *gain);
        }
        if let Some(mixture) = self.mixture.filter(|_| stem.mixture != 0.0) {
            add(sum, mixture[channel][frames].iter().copied(), stem.mixture);
        }
    }

    /// A source as the passes have it together, as loud as the song.
    fn average(self, source: usize, channel: usize, frames: Range<usize>, sum: &mut [f32]) {
        sum.fill(0.0);
        // Always in the order of the passes, so that sums do not depend on who was faster.
        for pass in self.passes {
            if let Some(i) = pass.sources.iter().position(|own| *own == source) {
                add(sum, pass.overlap.averages(2 * i + channel, frames.clone()), pass.gains[i]);
            }
        }
        self.loudness.restore(sum);
    }
}

fn add(sum: &mut [f32], samples: impl Iterator<Item = f32>, gain: f32) {
    for (sum, sample) in sum.iter_mut().zip(samples) {
        *sum += gain * sample;
    }
}
