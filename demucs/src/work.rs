//! A song on its way through the networks, or a span of it.

use crate::batches::Seat;
use crate::block::Block;
use crate::error::{Error, Result};
use crate::mix::{Ingredients, Mixer};
use crate::mixture::{Loudness, Mixture};
use crate::pass::{Output, Pass, read_window};
use crate::progress::Progress;
use crate::span::{Span, SpanSums, Weighted};
use crate::stem::{Stem, StemSink};

/// What is known of a work before it is divided into passes.
#[derive(Debug)]
pub(crate) struct Order<M> {
    pub(crate) id: u64,
    pub(crate) mixer: Mixer,
    pub(crate) mixture: M,
    pub(crate) loudness: Loudness,
}

/// A song that is being separated, or one span of it: gives the windows of its next segments to [`crate::Batches`],
/// takes what the networks make of them, and hands out stems as they become complete.
///
/// It needs memory for the segments that are on their way and for those that the next ones may still change.
#[derive(Debug)]
pub struct Work<M> {
    /// What seats in batches know it by.
    id: u64,
    mixer: Mixer,
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
    pub(crate) fn song(order: Order<M>, stems: Vec<Stem>, passes: Vec<Pass>) -> Self {
        let Order { id, mixer, mixture, loudness } = order;
        let progress = Progress {
            segments_done: 0,
            segments_total: passes.iter().map(|pass| pass.end - pass.next).sum(),
            frames_done: 0,
            frames_total: mixture.frames(),
        };
        Self { id, mixer, mixture, loudness, stems, passes, sums: None, progress, failed: None }
    }

    /// One span of a song.
    pub(crate) fn span(order: Order<M>, pass: Pass, span: Span) -> Self {
        let sums = Weighted::new(&pass, span);
        let pass = Pass { next: span.first, done: span.first, end: span.first + span.count, ..pass };
        Self { sums: Some(sums), ..Self::song(order, Vec::new(), vec![pass]) }
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
        let most = frames_total.min(frames_done + BLOCK_FRAMES);
        // Stems that are made of the mixture alone need no network.
        let ready = self.passes.iter().map(|pass| pass.overlap.position()).fold(most, usize::min);
        if ready <= frames_done {
            return Ok(false);
        }
        let frames = ready - frames_done;
        let mixture = self.stretch(frames_done, frames)?;
        let of = Ingredients { passes: &self.passes, loudness: &self.loudness, mixture: mixture.as_deref() };
        let blocks = self.mixer.mix(&self.stems, frames, of);
        for pass in &mut self.passes {
            pass.overlap.drop_front(frames);
        }
        self.progress.frames_done = ready;
        for (stem, block) in blocks.into_iter().enumerate() {
            sink.write(stem, block).map_err(Error::Stem)?;
        }
        Ok(true)
    }

    /// The mixture itself, where a stem needs it.
    fn stretch(&mut self, start: usize, frames: usize) -> Result<Option<Block>> {
        if self.stems.iter().all(|stem| stem.mixture == 0.0) {
            return Ok(None);
        }
        let mut channels = self.mixer.take(frames);
        let [left, right] = &mut channels;
        self.mixture.read(start, left, right).map_err(Error::Mixture)?;
        Ok(Some(self.mixer.lend(channels)))
    }

    /// What [`crate::Batches::take`] calls it: no two works of a separator have one number.
    #[must_use]
    pub fn id(&self) -> u64 {
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

    /// Fills the window of a seat; gives whether the song could be read.
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
        let pass = &mut self.passes[seat.pass];
        let sums = &mut self.sums;
        let segment = pass.segments.get(seat.segment);
        let output = Output::new(output, pass.segments.window_frames());
        let finite = self.mixer.threads().install(|| match sums {
            Some(sums) => sums.add(segment, output, &pass.sources),
            None => pass.overlap.add(segment.chunk_start, output.chunk(&pass.sources, segment)),
        });
        if !finite {
            return self.fail(Error::NotFinite { segment: seat.segment });
        }
        pass.done = seat.segment + 1;
        if self.sums.is_none() {
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

/// Frames that are handed out at a time, at most: more than a segment of the published networks completes.
const BLOCK_FRAMES: usize = 1 << 19;
