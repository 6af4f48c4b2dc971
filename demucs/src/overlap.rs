//! Overlapping segments added up to one signal.

use std::ops::Range;

use rayon::prelude::*;

/// Cross-fade weights of one segment: a triangle that peaks at 1 and never reaches 0.
///
/// `n` in frames. Returns `[n]`, unitless. Source: demucs `apply.py`.
#[must_use]
pub fn segment_weight(n: usize) -> Vec<f32> {
    let peak = (n - n / 2) as f32;
    (0..n).map(|i| (i + 1).min(n - i) as f32 / peak).collect()
}

/// Weighted sum of overlapping chunks that arrive in order.
///
/// Holds only what later chunks may still change, and what has not been taken yet.
#[derive(Debug)]
pub struct OverlapAdd {
    weight: Vec<f32>,
    /// Weighted sums, one row for each channel of each stem.
    rows: Vec<Vec<f32>>,
    /// Sum of the weights.
    total: Vec<f32>,
    /// Position of the first element of the rows, in frames of the song.
    start: usize,
    /// Everything before this position was dropped.
    dropped: usize,
    /// Everything before this position is complete.
    complete: usize,
}

impl OverlapAdd {
    /// For `rows` rows and segments of `segment_frames`.
    #[must_use]
    pub fn new(rows: usize, segment_frames: usize) -> Self {
        Self {
            weight: segment_weight(segment_frames),
            rows: vec![Vec::new(); rows],
            total: Vec::new(),
            start: 0,
            dropped: 0,
            complete: 0,
        }
    }

    /// Adds a chunk that begins at frame `chunk_start`; what lies before the song is left out. Gives whether all of its
    /// samples are finite numbers.
    ///
    /// `chunk` yields one slice per row, all of one length, at most a segment. Rows are added on the threads of the
    /// current pool.
    #[must_use]
    pub fn add<'a>(&mut self, chunk_start: isize, chunk: impl IntoIterator<Item = &'a [f32]>) -> bool {
        let skipped = (-chunk_start).max(0) as usize;
        let at = chunk_start.max(0) as usize - self.start;
        let chunk: Vec<&[f32]> = chunk.into_iter().collect();
        let chunk_frames = chunk.first().map_or(0, |samples| samples.len());
        self.add_weight(chunk_start, chunk_frames);
        let weight = &self.weight[skipped.min(chunk_frames)..chunk_frames];
        let rows = self.rows.par_iter_mut().zip(chunk);
        let finite = rows.map(|(row, samples)| {
            let own = &samples[samples.len() - weight.len()..];
            add_at(row, at, own.len(), |part| {
                own[part.clone()].iter().zip(&weight[part]).map(|(sample, weight)| sample * weight)
            });
            all_finite(samples)
        });
        // Not `all`, which would leave rows out.
        finite.reduce(|| true, |one, other| one && other)
    }

    /// Counts the weight of a chunk of `chunk_frames` without its samples, which come by [`Self::add_sums`].
    pub fn add_weight(&mut self, chunk_start: isize, chunk_frames: usize) {
        let skipped = (-chunk_start).max(0) as usize;
        let at = chunk_start.max(0) as usize - self.start;
        let weight = &self.weight[skipped.min(chunk_frames)..chunk_frames];
        add_at(&mut self.total, at, weight.len(), |part| weight[part].iter().copied());
    }

    /// Adds samples from frame `start` on that are weighted already, one slice per row.
    pub fn add_sums(&mut self, start: usize, sums: &[Vec<f32>]) {
        for (row, sums) in self.rows.iter_mut().zip(sums) {
            add_at(row, start - self.start, sums.len(), |part| sums[part].iter().copied());
        }
    }

    /// Declares that no later chunk begins before `position`.
    pub fn complete_to(&mut self, position: usize) {
        self.complete = position.max(self.complete);
    }

    /// First position that is not complete yet.
    #[must_use]
    pub fn position(&self) -> usize {
        self.complete
    }

    /// Samples of one row, divided by their weights: `frames` counts from the first one that was not dropped, and all of
    /// them are complete.
    pub fn averages(&self, row: usize, frames: Range<usize>) -> impl Iterator<Item = f32> + '_ {
        let front = self.dropped - self.start;
        let range = front + frames.start..front + frames.end;
        self.rows[row][range.clone()].iter().zip(&self.total[range]).map(|(sum, weight)| sum / weight)
    }

    /// Forgets the first `frames` complete samples of every row.
    pub fn drop_front(&mut self, frames: usize) {
        self.dropped += frames;
        let front = self.dropped - self.start;
        // What stays is moved when it is less than what goes, so that much of it is not moved again and again.
        if 2 * front >= self.total.len() {
            for row in self.rows.iter_mut().chain([&mut self.total]) {
                row.drain(..front);
            }
            self.start = self.dropped;
        }
    }
}

/// Whether all samples are finite numbers.
pub(crate) fn all_finite(samples: &[f32]) -> bool {
    // To the end of each part: a loop that may break off at any sample takes several times as long.
    samples.chunks(1024).all(|part| part.iter().fold(true, |all, sample| all & sample.is_finite()))
}

/// Adds `len` samples, which `part` gives, to `row` from `at` on. What reaches beyond its end is appended.
pub(crate) fn add_at<I>(row: &mut Vec<f32>, at: usize, len: usize, part: impl Fn(Range<usize>) -> I)
where
    I: Iterator<Item = f32>,
{
    if row.len() < at {
        row.resize(at, 0.0);
    }
    let there = len.min(row.len() - at);
    for (sum, sample) in row[at..].iter_mut().zip(part(0..there)) {
        *sum += sample;
    }
    row.extend(part(there..len));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_triangle_never_reaches_zero_and_peaks_at_one() {
        assert_eq!(segment_weight(4), [0.5, 1.0, 1.0, 0.5]);
        assert_eq!(segment_weight(5), [1.0 / 3.0, 2.0 / 3.0, 1.0, 2.0 / 3.0, 1.0 / 3.0]);
    }

    #[test]
    fn chunks_of_one_signal_add_up_to_that_signal() {
        let signal: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.1).sin()).collect();
        let segments = crate::segment::Segments::new(1000, 128, 0.25, 37);
        let mut overlap = OverlapAdd::new(1, 128);
        let mut out = Vec::new();
        for i in 0..segments.count() {
            let segment = segments.get(i);
            let range = segment.chunk_start..segment.chunk_start + segment.chunk_frames as isize;
            let chunk: Vec<f32> = range.map(|p| if p < 0 { 9.0 } else { signal[p as usize] }).collect();
            assert!(overlap.add(segment.chunk_start, [&chunk[..]]));
            overlap.complete_to(segments.complete_before(i + 1));
            let ready = overlap.position() - out.len();
            out.extend(overlap.averages(0, 0..ready));
            overlap.drop_front(ready);
            assert!(overlap.total.len() <= 2 * 128);
        }
        assert_eq!(out.len(), 1000);
        assert!(out.iter().zip(&signal).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
