//! A song on its way through the networks, or a span of it.

use crate::batches::Seat;
use crate::error::{Error, Result};
use crate::mixture::{Loudness, Mixture};
use crate::pass::{Output, Pass, read_window};
use crate::progress::Progress;
use crate::span::{Span, SpanSums, Weighted};
use crate::stem::{Stem, StemSink};

/// A song that is being separated, or one span of it: gives the windows of its next segments to [`crate::Batches`],
/// takes what the networks make of them, and hands out stems as they become complete.
///
/// It needs memory for the segments that are on their way and for those that the next ones may still change.
#[derive(Debug)]
pub struct Work<M> {
    /// What seats in batches know it by.
    id: u64,
    mixture: M,
    loudness: Loudness,
    stems: Vec<Stem>,
    passes: Vec<Pass>,
    /// What a span computes instead of stems.
    sums: Option<Weighted>,
    progress: Progress,
    failed: Option<Error>,
}

impl<M: Mixture> Work<M> {
    /// A whole song by these passes.
    pub(crate) fn song(id: u64, mixture: M, loudness: Loudness, stems: Vec<Stem>, passes: Vec<Pass>) -> Self {
        let progress = Progress {
            segments_done: 0,
            segments_total: passes.iter().map(|pass| pass.end - pass.next).sum(),
            frames_done: 0,
            frames_total: mixture.frames(),
        };
        Self { id, mixture, loudness, stems, passes, sums: None, progress, failed: None }
    }

    /// One span of a song.
    pub(crate) fn span(id: u64, mixture: M, loudness: Loudness, pass: Pass, span: Span) -> Self {
        let sums = Weighted::new(&pass, span);
        let pass = Pass { next: span.first, done: span.first, end: span.first + span.count, ..pass };
        Self { sums: Some(sums), ..Self::song(id, mixture, loudness, Vec::new(), vec![pass]) }
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Whether all is computed and handed out.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let handed_out = self.sums.is_some() || self.progress.frames_done == self.progress.frames_total;
        handed_out && self.passes.iter().all(Pass::is_done)
    }

    /// Why it cannot go on; told once.
    ///
    /// # Errors
    /// What failed: reading the mixture, computing, or [`Error::NotFinite`].
    pub fn check(&mut self) -> Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }

    /// The mixture again, and what a span computed.
    #[must_use]
    pub fn into_parts(self) -> (M, Option<SpanSums>) {
        (self.mixture, self.sums.map(Weighted::into_sums))
    }

    /// Hands the next stretch of all stems to `sink`, if one is complete; gives whether one was.
    ///
    /// # Errors
    /// Those of the sink, and [`Error::Mixture`].
    pub fn hand_out(&mut self, sink: &mut dyn StemSink) -> Result<bool> {
        let Progress { frames_done, frames_total, .. } = self.progress;
        // Stems that are made of the mixture alone need no network.
        let alone = frames_total.min(frames_done + MIXTURE_BLOCK_FRAMES);
        let ready = self.passes.iter().map(|pass| pass.overlap.position()).min().unwrap_or(alone);
        if ready <= frames_done {
            return Ok(false);
        }
        let len = ready - frames_done;
        let mut sources: Vec<Option<[Vec<f32>; 2]>> = Vec::new();
        // Always in the order of the passes, so that sums do not depend on who was faster.
        for pass in &mut self.passes {
            for (i, (source, gain)) in pass.sources.iter().zip(&pass.gains).enumerate() {
                if sources.len() <= *source {
                    sources.resize(source + 1, None);
                }
                let sums = sources[*source].get_or_insert_with(|| [vec![0.0; len], vec![0.0; len]]);
                for (channel, sum) in sums.iter_mut().enumerate() {
                    add(sum, &pass.overlap.row(2 * i + channel)[..len], *gain);
                }
            }
            pass.overlap.drop_front(len);
        }
        for channel in sources.iter_mut().flatten().flatten() {
            self.loudness.restore(channel);
        }
        let mut original = [Vec::new(), Vec::new()];
        if self.stems.iter().any(|stem| stem.mixture != 0.0) {
            let [left, right] = &mut original;
            left.resize(len, 0.0);
            right.resize(len, 0.0);
            self.mixture.read(frames_done, left, right).map_err(Error::Mixture)?;
        }
        for (index, stem) in self.stems.iter().enumerate() {
            let mut block = [vec![0.0; len], vec![0.0; len]];
            for (channel, sum) in block.iter_mut().enumerate() {
                for (source, gain) in sources.iter().zip(&stem.gains) {
                    if let (Some(source), true) = (source, *gain != 0.0) {
                        add(sum, &source[channel], *gain);
                    }
                }
                if stem.mixture != 0.0 {
                    add(sum, &original[channel], stem.mixture);
                }
            }
            sink.write(index, [&block[0], &block[1]]).map_err(Error::Stem)?;
        }
        self.progress.frames_done = ready;
        Ok(true)
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The network of the pass that goes on: the one that is furthest behind, so that all stay close together.
    pub(crate) fn member(&self) -> Option<usize> {
        let passes = self.passes.iter().filter(|pass| self.failed.is_none() && pass.has_next());
        passes.min_by_key(|pass| (pass.reached(), pass.index)).map(|pass| pass.member)
    }

    /// Takes the next segment for a network. No pass goes ahead of the others by more than `lead` segments, which
    /// would have to be kept.
    pub(crate) fn seat(&mut self, member: usize, lead: usize) -> Option<Seat> {
        if self.failed.is_some() {
            return None;
        }
        let behind = self.passes.iter().filter(|pass| pass.has_next()).map(Pass::reached).min()?;
        let near = |pass: &Pass| pass.reached() - behind < lead.saturating_mul(pass.segments.stride());
        let passes = self.passes.iter_mut().enumerate();
        let passes = passes.filter(|(_, pass)| pass.member == member && pass.has_next() && near(pass));
        let (index, pass) = passes.min_by_key(|(index, pass)| (pass.reached(), *index))?;
        pass.next += 1;
        Some(Seat { work: self.id, pass: index, segment: pass.next - 1 })
    }

    /// Undoes the latest [`Self::seat`].
    pub(crate) fn leave(&mut self, seat: Seat) {
        self.passes[seat.pass].next = seat.segment;
    }

    /// Fills a window of zeros for a seat; gives whether the song could be read.
    pub(crate) fn read(&mut self, seat: Seat, window: &mut [f32]) -> bool {
        if self.failed.is_none() {
            let segment = self.passes[seat.pass].segments.get(seat.segment);
            self.failed = read_window(&mut self.mixture, segment, &self.loudness, window).err();
        }
        self.failed.is_none()
    }

    /// Takes what the network made of a segment. The segments of a pass come in their order.
    pub(crate) fn take(&mut self, seat: Seat, output: &[f32]) {
        if self.failed.is_some() {
            return;
        }
        if !output.iter().all(|sample| sample.is_finite()) {
            return self.fail(Error::NotFinite { segment: seat.segment });
        }
        let pass = &mut self.passes[seat.pass];
        let segment = pass.segments.get(seat.segment);
        let output = Output::new(output, pass.segments.window_frames());
        pass.done = seat.segment + 1;
        if let Some(sums) = &mut self.sums {
            sums.add(segment, output, &pass.sources);
        } else {
            pass.overlap.add(segment.chunk_start, output.chunk(&pass.sources, segment));
            pass.overlap.complete_to(pass.segments.complete_before(pass.done));
        }
        self.progress.segments_done += 1;
    }

    pub(crate) fn fail(&mut self, error: Error) {
        self.failed.get_or_insert(error);
    }

    /// The pass whose segments come next where they come in spans.
    pub(crate) fn behind(&mut self) -> Option<&mut Pass> {
        let open = self.passes.iter_mut().filter(|pass| !pass.is_done());
        open.min_by_key(|pass| (pass.overlap.position(), pass.index))
    }

    /// Counts segments that came in a span.
    pub(crate) fn count(&mut self, segments: usize) {
        self.progress.segments_done += segments;
    }
}

/// Frames of the mixture that are handed over at a time when no network is run.
const MIXTURE_BLOCK_FRAMES: usize = 1 << 16;

fn add(sum: &mut [f32], samples: &[f32], gain: f32) {
    for (sum, sample) in sum.iter_mut().zip(samples) {
        *sum += gain * sample;
    }
}
