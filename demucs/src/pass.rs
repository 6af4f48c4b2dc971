//! One walk of one network over a song.

use crate::error::{Error, Result};
use crate::mixture::{Loudness, Mixture};
use crate::overlap::OverlapAdd;
use crate::segment::{Segment, Segments};

/// One walk of one network over the song.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) index: usize,
    pub(crate) member: usize,
    pub(crate) segments: Segments,
    /// First segment that no batch has taken.
    pub(crate) next: usize,
    /// First segment that has not come back.
    pub(crate) done: usize,
    /// The segment after the last.
    pub(crate) end: usize,
    pub(crate) overlap: OverlapAdd,
    /// The sources it is run for, two rows of `overlap` each.
    pub(crate) sources: Vec<usize>,
    /// What it counts in each of them.
    pub(crate) gains: Vec<f32>,
}

impl Pass {
    pub(crate) fn is_done(&self) -> bool {
        self.done == self.end
    }

    pub(crate) fn has_next(&self) -> bool {
        self.next < self.end
    }

    /// Where it stands once all that was taken has come back.
    pub(crate) fn reached(&self) -> usize {
        self.segments.complete_before(self.next)
    }
}

/// Fills `window` (`[2, N]`) with the normalised song around a segment, zeros beyond its ends.
pub(crate) fn read_window(
    mixture: &mut dyn Mixture,
    segment: Segment,
    loudness: &Loudness,
    window: &mut [f32],
) -> Result<()> {
    let n = window.len() / 2;
    let (left, right) = window.split_at_mut(n);
    let from = segment.window_start.max(0) as usize;
    let to = ((segment.window_start + n as isize).max(0) as usize).min(mixture.frames());
    let inside = (from as isize - segment.window_start) as usize;
    let song = inside.min(n)..(inside + to.saturating_sub(from)).min(n);
    for channel in [&mut *left, &mut *right] {
        channel[..song.start].fill(0.0);
        channel[song.end..].fill(0.0);
    }
    if song.is_empty() {
        return Ok(());
    }
    let (left, right) = (&mut left[song.clone()], &mut right[song]);
    mixture.read(from, left, right).map_err(Error::Mixture)?;
    loudness.normalize(left);
    loudness.normalize(right);
    Ok(())
}

/// What the network made of one segment: `[2 * sources, N]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output<'a> {
    samples: &'a [f32],
    window_frames: usize,
}

impl<'a> Output<'a> {
    /// Of rows of `window_frames` each.
    pub(crate) fn new(samples: &'a [f32], window_frames: usize) -> Self {
        Self { samples, window_frames }
    }

    /// The rows of `sources`, two each, cut to the segment's chunk.
    pub(crate) fn chunk(self, sources: &'a [usize], segment: Segment) -> impl Iterator<Item = &'a [f32]> {
        let chunk = segment.chunk_offset()..segment.chunk_offset() + segment.chunk_frames;
        let rows = sources.iter().flat_map(|source| [2 * source, 2 * source + 1]);
        rows.map(move |row| &self.samples[row * self.window_frames..][chunk.clone()])
    }
}
