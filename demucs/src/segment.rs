//! Where the segments of a song lie.

/// The segments of one pass over a song.
///
/// Chunks start every `stride` frames. One that is shorter than the window that the network sees
/// (by choice, or at the end of the song) is centred in it and surrounded by the song's own
/// samples, zeros beyond its ends. Source: demucs `apply.py`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segments {
    song_frames: usize,
    window_frames: usize,
    chunk_frames: usize,
    stride: usize,
    shift: usize,
}

/// One segment, in frames of the song. Positions before its start are negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// First frame of the chunk that the segment contributes.
    pub chunk_start: isize,
    /// Length of the chunk.
    pub chunk_frames: usize,
    /// First frame of the window that the network sees.
    pub window_start: isize,
}

impl Segments {
    /// Segments of `window_frames` that overlap by the fraction `overlap` (0 to below 1), all of
    /// which they contribute.
    ///
    /// The pass begins `shift` frames before the song.
    #[must_use]
    pub fn new(song_frames: usize, window_frames: usize, overlap: f64, shift: usize) -> Self {
        Self::with_chunks(song_frames, window_frames, window_frames, overlap, shift)
    }

    /// [`Segments::new`] of which each contributes a chunk of `chunk_frames` from its middle; it is
    /// the chunks that overlap.
    ///
    /// A chunk is a frame at least and the window at most.
    #[must_use]
    pub fn with_chunks(
        song_frames: usize,
        window_frames: usize,
        chunk_frames: usize,
        overlap: f64,
        shift: usize,
    ) -> Self {
        let chunk_frames = chunk_frames.min(window_frames).max(1);
        let stride = (((1.0 - overlap) * chunk_frames as f64) as usize).max(1);
        Self { song_frames, window_frames, chunk_frames, stride, shift }
    }

    /// Length of a chunk that is not cut by the song's end.
    #[must_use]
    pub fn chunk_frames(&self) -> usize {
        self.chunk_frames
    }

    /// Frames from the start of a chunk to that of the next.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Samples per channel that the network sees.
    #[must_use]
    pub fn window_frames(&self) -> usize {
        self.window_frames
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        (self.song_frames + self.shift).div_ceil(self.stride)
    }

    /// Segment `index`, from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Segment {
        let offset = index * self.stride;
        let chunk_frames = self.chunk_frames.min(self.song_frames + self.shift - offset);
        let chunk_start = offset as isize - self.shift as isize;
        let window_start = chunk_start - ((self.window_frames - chunk_frames) / 2) as isize;
        Segment { chunk_start, chunk_frames, window_start }
    }

    /// First frame of the song that no chunk before `index` touches.
    #[must_use]
    pub fn reach_before(&self, index: usize) -> usize {
        // Chunks end in the order in which they begin.
        index.checked_sub(1).map_or(0, |last| self.get(last).chunk_end())
    }

    /// First frame of the song that no segment before `index` completes; the song's end after
    /// the last.
    #[must_use]
    pub fn complete_before(&self, index: usize) -> usize {
        let start = (index * self.stride).saturating_sub(self.shift);
        if index >= self.count() { self.song_frames } else { start.min(self.song_frames) }
    }
}

impl Segment {
    /// The frame of the song after the chunk; 0 where it lies before the song.
    #[must_use]
    pub fn chunk_end(&self) -> usize {
        (self.chunk_start + self.chunk_frames as isize).max(0) as usize
    }

    /// Where the chunk begins inside the window.
    #[must_use]
    pub fn chunk_offset(&self) -> usize {
        (self.chunk_start - self.window_start) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_seconds_are_four_segments_with_a_centred_tail() {
        let segments = Segments::new(882_000, 343_980, 0.25, 0);
        assert_eq!(segments.count(), 4);
        let tail = segments.get(3);
        assert_eq!((tail.chunk_start, tail.chunk_frames), (773_955, 108_045));
        assert_eq!(tail.window_start, 773_955 - (343_980 - 108_045) / 2);
        assert_eq!(segments.complete_before(1), 257_985);
        assert_eq!(segments.complete_before(4), 882_000);
    }

    #[test]
    fn a_single_frame_is_one_segment() {
        let segments = Segments::new(1, 343_980, 0.25, 0);
        assert_eq!(segments.count(), 1);
        assert_eq!(segments.get(0).chunk_frames, 1);
        assert_eq!(segments.get(0).chunk_offset(), 171_989);
    }

    #[test]
    fn shorter_chunks_lie_in_the_middle_of_the_same_window() {
        let segments = Segments::with_chunks(1000, 299, 100, 0.25, 0);
        assert_eq!(segments.count(), 14);
        let second = segments.get(1);
        assert_eq!((second.chunk_start, second.chunk_frames), (75, 100));
        assert_eq!((second.window_start, second.chunk_offset()), (75 - 99, 99));
        assert_eq!(segments.get(13).chunk_frames, 25);
        assert_eq!(segments.complete_before(2), 150);
        assert_eq!(
            Segments::with_chunks(1000, 299, 500, 0.25, 7),
            Segments::new(1000, 299, 0.25, 7),
            "a chunk is no longer than the window"
        );
    }

    #[test]
    fn a_shifted_pass_begins_before_the_song() {
        let segments = Segments::new(702, 299, 0.25, 100);
        assert_eq!(segments.get(0).chunk_start, -100);
        assert_eq!(segments.complete_before(1), 124);
        let last = segments.get(segments.count() - 1);
        assert_eq!(last.chunk_start + last.chunk_frames as isize, 702);
    }
}
