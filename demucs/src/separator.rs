//! A whole song through a bag of networks, segment by segment.

use std::ops::ControlFlow;

use candle_core::Tensor;

use crate::bag::Bag;
use crate::error::{Error, Result};
use crate::mixture::{Loudness, Mixture};
use crate::overlap::OverlapAdd;
use crate::progress::{Observer, Progress};
use crate::segment::{Segment, Segments};
use crate::shift::Shifts;
use crate::stem::{Stem, StemSink};

/// The separation engine: networks on a device and the threads that compute.
///
/// One thread drives a separator at a time; it needs memory for a few segments, whatever the
/// length of the song.
#[derive(Debug)]
pub struct Separator {
    bag: Bag,
    overlap: f64,
    /// Frames that a segment contributes; none: all that the network sees.
    chunk_frames: Option<usize>,
    batch: usize,
    threads: rayon::ThreadPool,
}

/// What is asked of a separation.
#[derive(Debug, Clone)]
pub struct Request {
    /// The stems, in the order in which the sink counts them.
    pub stems: Vec<Stem>,
    /// The shift trick.
    pub shifts: Shifts,
}

/// How a separator computes. Only the overlap and the chunks change the result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Fraction by which segments overlap, 0 to below 1.
    pub overlap: f64,
    /// Seconds that each segment contributes to the song, at most the network's segment; none is
    /// just that. The network sees a whole segment of the song around a shorter chunk.
    pub chunk_s: Option<f64>,
    /// Segments that pass through the network together.
    pub batch: usize,
    /// Threads; 0 takes one for each core.
    pub threads: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { overlap: 0.25, chunk_s: None, batch: 1, threads: 0 }
    }
}

impl Separator {
    /// An engine around loaded networks.
    ///
    /// # Errors
    /// [`Error::Request`] for an impossible overlap or chunk, [`Error::Threads`] when no thread starts.
    pub fn new(bag: Bag, settings: Settings) -> Result<Self> {
        if !(0.0..=0.99).contains(&settings.overlap) {
            return Err(Error::Request(format!("overlap is {}, 0 to 0.99 is possible", settings.overlap)));
        }
        let chunk_frames = settings.chunk_s.map(|chunk_s| chunk_frames(&bag, chunk_s)).transpose()?;
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(settings.threads)
            .thread_name(|i| format!("separate-{i}"))
            .build()
            .map_err(|e| Error::Threads { threads: settings.threads, reason: e.to_string() })?;
        let (overlap, batch) = (settings.overlap, settings.batch.max(1));
        Ok(Self { bag, overlap, chunk_frames, batch, threads })
    }

    /// The networks.
    #[must_use]
    pub fn bag(&self) -> &Bag {
        &self.bag
    }

    /// Separates a song and hands its stems to `sink` as they become complete.
    ///
    /// Every stem gets exactly as many frames as the mixture has.
    ///
    /// # Errors
    /// [`Error::Canceled`] when the observer stops it; otherwise what failed: reading, computing
    /// or storing. What the sink was given before stays with it.
    pub fn separate(
        &self,
        mixture: &mut dyn Mixture,
        request: &Request,
        sink: &mut dyn StemSink,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        self.check(request)?;
        let loudness = Loudness::of(mixture)?;
        let mut passes = self.passes(mixture.frames(), request);
        let mut progress = Progress {
            segments_done: 0,
            segments_total: passes.iter().map(|p| p.segments.count()).sum(),
            frames_done: 0,
            frames_total: mixture.frames(),
        };
        let mut tell = |progress| match observer.segment(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Canceled),
        };
        tell(progress)?;
        // The pass that is furthest behind goes on, so that all stay within a segment or two.
        while let Some(pass) =
            passes.iter_mut().filter(|p| !p.is_done()).min_by_key(|p| (p.overlap.position(), p.index))
        {
            let done = self.advance(pass, mixture, &loudness)?;
            let ready = passes.iter().map(|p| p.overlap.position()).min().unwrap_or(0);
            self.emit(&mut passes, progress.frames_done..ready, &loudness, mixture, request, sink)?;
            progress.segments_done += done;
            progress.frames_done = ready;
            tell(progress)?;
        }
        // Stems that are made of the mixture alone need no network.
        while progress.frames_done < progress.frames_total {
            let ready = progress.frames_total.min(progress.frames_done + MIXTURE_BLOCK_FRAMES);
            self.emit(&mut passes, progress.frames_done..ready, &loudness, mixture, request, sink)?;
            progress.frames_done = ready;
            tell(progress)?;
        }
        Ok(())
    }

    fn check(&self, request: &Request) -> Result<()> {
        let sources = self.bag.sources();
        for stem in &request.stems {
            if stem.gains.len() != sources.len() {
                return Err(Error::Request(format!(
                    "stem \"{}\" has {} gains for {} sources",
                    stem.name,
                    stem.gains.len(),
                    sources.len()
                )));
            }
            if let Some(source) =
                (0..sources.len()).find(|s| stem.needs(*s) && self.bag.total_weight(*s) == 0.0)
            {
                return Err(Error::Request(format!("no loaded network separates {}", sources[source])));
            }
        }
        Ok(())
    }

    /// One pass for each shift of each network that the wanted stems need.
    fn passes(&self, song_frames: usize, request: &Request) -> Vec<Pass> {
        let mut passes = Vec::new();
        for (member, network) in self.bag.members().iter().enumerate() {
            let config = network.model.config();
            let sources: Vec<usize> = (0..config.sources.len())
                .filter(|s| network.weights[*s] != 0.0 && request.stems.iter().any(|stem| stem.needs(*s)))
                .collect();
            if sources.is_empty() {
                continue;
            }
            let shifts = request.shifts.of_member(member, config.samplerate as usize / 2);
            let window_frames = config.segment_frames();
            let chunk_frames = self.chunk_frames.unwrap_or(window_frames);
            for shift in &shifts {
                passes.push(Pass {
                    index: passes.len(),
                    member,
                    share: 1.0 / shifts.len() as f32,
                    segments: Segments::with_chunks(
                        song_frames,
                        window_frames,
                        chunk_frames,
                        self.overlap,
                        *shift,
                    ),
                    next: 0,
                    overlap: OverlapAdd::new(2 * sources.len(), chunk_frames),
                    sources: sources.clone(),
                });
            }
        }
        passes
    }

    /// Separates the next batch of a pass; returns how many segments it had.
    fn advance(&self, pass: &mut Pass, mixture: &mut dyn Mixture, loudness: &Loudness) -> Result<usize> {
        let model = &self.bag.members()[pass.member].model;
        let n = model.config().segment_frames();
        let count = self.batch.min(pass.segments.count() - pass.next);
        let mut input = vec![0f32; count * 2 * n];
        for (i, window) in input.chunks_exact_mut(2 * n).enumerate() {
            read_window(mixture, pass.segments.get(pass.next + i), loudness, window)?;
        }
        let input = Tensor::from_vec(input, (count, 2, n), model.device())?;
        let output = self.threads.install(|| model.forward(&input, &mut ()))?;
        let output = output.flatten_all()?.to_vec1::<f32>()?;
        let per_segment = output.len() / count;
        for segment_output in output.chunks_exact(per_segment) {
            if !segment_output.iter().all(|v| v.is_finite()) {
                return Err(Error::NotFinite { segment: pass.next });
            }
            let segment = pass.segments.get(pass.next);
            let chunk = segment.chunk_offset()..segment.chunk_offset() + segment.chunk_frames;
            let rows = pass.sources.iter().flat_map(|s| [2 * s, 2 * s + 1]);
            pass.overlap.add(
                segment.chunk_start,
                rows.map(|row| &segment_output[row * n + chunk.start..row * n + chunk.end]),
            );
            pass.next += 1;
            pass.overlap.complete_to(pass.segments.complete_before(pass.next));
        }
        Ok(count)
    }

    /// Averages what all passes have complete and hands the stems of that range to the sink.
    fn emit(
        &self,
        passes: &mut [Pass],
        range: std::ops::Range<usize>,
        loudness: &Loudness,
        mixture: &mut dyn Mixture,
        request: &Request,
        sink: &mut dyn StemSink,
    ) -> Result<()> {
        let len = range.len();
        if len == 0 {
            return Ok(());
        }
        let mut sources: Vec<Option<[Vec<f32>; 2]>> = vec![None; self.bag.sources().len()];
        // Always in the order of the passes, so that sums do not depend on who was faster.
        for pass in passes.iter_mut() {
            let weights = &self.bag.members()[pass.member].weights;
            for (i, source) in pass.sources.iter().enumerate() {
                let gain = weights[*source] / self.bag.total_weight(*source) * pass.share;
                let sums = sources[*source].get_or_insert_with(|| [vec![0.0; len], vec![0.0; len]]);
                for (channel, sum) in sums.iter_mut().enumerate() {
                    add(sum, &pass.overlap.row(2 * i + channel)[..len], gain);
                }
            }
            pass.overlap.drop_front(len);
        }
        for channel in sources.iter_mut().flatten().flatten() {
            loudness.restore(channel);
        }
        let mut original = [Vec::new(), Vec::new()];
        if request.stems.iter().any(|stem| stem.mixture != 0.0) {
            let [left, right] = &mut original;
            left.resize(len, 0.0);
            right.resize(len, 0.0);
            mixture.read(range.start, left, right).map_err(Error::Mixture)?;
        }
        for (index, stem) in request.stems.iter().enumerate() {
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
        Ok(())
    }
}

/// The chunk in frames, which every network has to have room for.
fn chunk_frames(bag: &Bag, chunk_s: f64) -> Result<usize> {
    let rate = f64::from(bag.samplerate());
    let most = bag.members().iter().map(|network| network.model.config().segment_frames()).min().unwrap_or(0);
    // A length that is a decimal fraction may be the last bit of a frame short.
    let frames = (chunk_s * rate + 1e-6).floor();
    if frames >= 1.0 && frames <= most as f64 {
        return Ok(frames as usize);
    }
    let most_s = most as f64 / rate;
    Err(Error::Request(format!("a segment of {chunk_s} s is impossible: this model takes up to {most_s} s")))
}

/// Frames of the mixture that are handed over at a time when no network is run.
const MIXTURE_BLOCK_FRAMES: usize = 1 << 16;

/// One walk of one network over the song.
#[derive(Debug)]
struct Pass {
    index: usize,
    member: usize,
    /// Part of the network's weight that this pass has.
    share: f32,
    segments: Segments,
    next: usize,
    overlap: OverlapAdd,
    /// The sources it is run for, two rows of `overlap` each.
    sources: Vec<usize>,
}

impl Pass {
    fn is_done(&self) -> bool {
        self.next == self.segments.count()
    }
}

/// Fills `window` (`[2, N]`) with the normalised song around a segment, zeros beyond its ends.
fn read_window(
    mixture: &mut dyn Mixture,
    segment: Segment,
    loudness: &Loudness,
    window: &mut [f32],
) -> Result<()> {
    let n = window.len() / 2;
    let from = segment.window_start.max(0) as usize;
    let to = ((segment.window_start + n as isize).max(0) as usize).min(mixture.frames());
    if from >= to {
        return Ok(());
    }
    let inside = (from as isize - segment.window_start) as usize;
    let (left, right) = window.split_at_mut(n);
    let (left, right) = (&mut left[inside..inside + to - from], &mut right[inside..inside + to - from]);
    mixture.read(from, left, right).map_err(Error::Mixture)?;
    loudness.normalize(left);
    loudness.normalize(right);
    Ok(())
}

fn add(sum: &mut [f32], samples: &[f32], gain: f32) {
    for (sum, sample) in sum.iter_mut().zip(samples) {
        *sum += gain * sample;
    }
}
