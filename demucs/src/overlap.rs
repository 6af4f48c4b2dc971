//! Overlapping segments added up to one signal.

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
    /// Everything before this position is complete and divided by its weights.
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
            complete: 0,
        }
    }

    /// Adds a chunk that begins at frame `chunk_start`; what lies before the song is left out.
    ///
    /// `chunk` yields one slice per row, all of one length, at most a segment.
    pub fn add<'a>(&mut self, chunk_start: isize, chunk: impl IntoIterator<Item = &'a [f32]>) {
        let skipped = (-chunk_start).max(0) as usize;
        let at = chunk_start.max(0) as usize - self.start;
        let mut chunk_frames = 0;
        for (row, samples) in self.rows.iter_mut().zip(chunk) {
            chunk_frames = samples.len();
            let weighted = samples.iter().zip(&self.weight).skip(skipped);
            add_at(row, at, chunk_frames.saturating_sub(skipped), weighted.map(|(s, weight)| s * weight));
        }
        self.add_weight(chunk_start, chunk_frames);
    }

    /// Counts the weight of a chunk of `chunk_frames` without its samples, which come by [`Self::add_sums`].
    pub fn add_weight(&mut self, chunk_start: isize, chunk_frames: usize) {
        let skipped = (-chunk_start).max(0) as usize;
        let at = chunk_start.max(0) as usize - self.start;
        let len = chunk_frames.saturating_sub(skipped);
        add_at(&mut self.total, at, len, self.weight.iter().skip(skipped).take(len).copied());
    }

    /// Adds samples from frame `start` on that are weighted already, one slice per row.
    pub fn add_sums(&mut self, start: usize, sums: &[Vec<f32>]) {
        for (row, sums) in self.rows.iter_mut().zip(sums) {
            add_at(row, start - self.start, sums.len(), sums.iter().copied());
        }
    }

    /// Declares that no later chunk begins before `position`.
    pub fn complete_to(&mut self, position: usize) {
        let (from, to) = (self.complete - self.start, position.max(self.complete) - self.start);
        for row in &mut self.rows {
            for (sample, weight) in row[from..to].iter_mut().zip(&self.total[from..to]) {
                *sample /= weight;
            }
        }
        self.complete = position.max(self.complete);
    }

    /// First position that is not complete yet.
    #[must_use]
    pub fn position(&self) -> usize {
        self.complete
    }

    /// The complete samples of one row that have not been dropped.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f32] {
        &self.rows[row][..self.complete - self.start]
    }

    /// Forgets the first `frames` complete samples of every row.
    pub fn drop_front(&mut self, frames: usize) {
        for row in self.rows.iter_mut().chain([&mut self.total]) {
            row.drain(..frames);
        }
        self.start += frames;
    }
}

/// Adds `len` samples to `row` from `at` on, which is made long enough.
fn add_at(row: &mut Vec<f32>, at: usize, len: usize, samples: impl Iterator<Item = f32>) {
    if row.len() < at + len {
        row.resize(at + len, 0.0);
    }
    for (sum, sample) in row[at..].iter_mut().zip(samples) {
        *sum += sample;
    }
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
            overlap.add(segment.chunk_start, [&chunk[..]]);
            overlap.complete_to(segments.complete_before(i + 1));
            out.extend_from_slice(overlap.row(0));
            overlap.drop_front(overlap.row(0).len());
            assert!(overlap.total.len() <= 128);
        }
        assert_eq!(out.len(), 1000);
        assert!(out.iter().zip(&signal).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
