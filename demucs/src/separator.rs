//! A whole song through a bag of networks, segment by segment.

use std::ops::{ControlFlow, Range};
use std::sync::{Mutex, PoisonError};

use crate::bag::Bag;
use crate::error::{Error, Result};
use crate::mixture::{Loudness, Mixture};
use crate::overlap::OverlapAdd;
use crate::pass::{Output, Pass, read_window};
use crate::progress::{Observer, Progress};
use crate::segment::Segments;
use crate::shift::Shifts;
use crate::stem::{Stem, StemSink};

/// The separation engine: networks on a device and the threads that compute.
///
/// One thread drives a separator at a time; it needs memory for a few segments, whatever the
/// length of the song.
#[derive(Debug)]
pub struct Separator {
    pub(crate) bag: Bag,
    pub(crate) batch: usize,
    threads: rayon::ThreadPool,
    buffers: Mutex<Buffers>,
}

/// What goes into a network and comes out of it, kept from batch to batch.
#[derive(Debug, Default)]
struct Buffers {
    windows: Vec<f32>,
    outputs: Vec<f32>,
}

/// What is asked of a separation.
#[derive(Debug, Clone)]
pub struct Request {
    /// The stems, in the order in which the sink counts them.
    pub stems: Vec<Stem>,
    /// The shift trick.
    pub shifts: Shifts,
    /// Fraction by which segments overlap, 0 to 0.99.
    pub overlap: f64,
    /// Seconds that each segment contributes to the song, at most the network's segment; none is
    /// just that. The network sees a whole segment of the song around a shorter chunk.
    pub chunk_s: Option<f64>,
}

impl Request {
    /// These stems in one pass with the usual overlap of a quarter.
    #[must_use]
    pub fn new(stems: Vec<Stem>) -> Self {
        Self { stems, shifts: Shifts::Off, overlap: 0.25, chunk_s: None }
    }
}

/// How a separator computes. None of it changes the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Segments that pass through the network together.
    pub batch: usize,
    /// Threads; 0 takes one for each core.
    pub threads: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { batch: 1, threads: 0 }
    }
}

/// How a pass comes by its next segments: gives how many there were.
pub(crate) type Advance<'a> = dyn FnMut(&mut Pass, &mut dyn Mixture) -> Result<usize> + 'a;

impl Separator {
    /// An engine around loaded networks.
    ///
    /// # Errors
    /// [`Error::Threads`] when no thread starts.
    pub fn new(bag: Bag, settings: Settings) -> Result<Self> {
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(settings.threads)
            .thread_name(|i| format!("separate-{i}"))
            .build()
            .map_err(|e| Error::Threads { threads: settings.threads, reason: e.to_string() })?;
        Ok(Self { bag, batch: settings.batch.max(1), threads, buffers: Mutex::default() })
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
    /// [`Error::Request`] for what the networks cannot do, [`Error::Canceled`] when the observer stops
    /// it; otherwise what failed: reading, computing or storing. What the sink was given before stays
    /// with it.
    pub fn separate(
        &self,
        mixture: &mut dyn Mixture,
        request: &Request,
        sink: &mut dyn StemSink,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let loudness = Loudness::of(mixture)?;
        self.walk(mixture, request, &loudness, sink, observer, &mut |pass, mixture| {
            self.advance(pass, mixture, &loudness)
        })
    }

    /// Goes over the song, wherever its segments come from, and hands out what is complete.
    pub(crate) fn walk(
        &self,
        mixture: &mut dyn Mixture,
        request: &Request,
        loudness: &Loudness,
        sink: &mut dyn StemSink,
        observer: &mut dyn Observer,
        advance: &mut Advance<'_>,
    ) -> Result<()> {
        let mut passes = self.passes(mixture.frames(), request)?;
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
            let done = advance(pass, mixture)?;
            let ready = passes.iter().map(|p| p.overlap.position()).min().unwrap_or(0);
            self.emit(&mut passes, progress.frames_done..ready, loudness, mixture, request, sink)?;
            progress.segments_done += done;
            progress.frames_done = ready;
            tell(progress)?;
        }
        // Stems that are made of the mixture alone need no network.
        while progress.frames_done < progress.frames_total {
            let ready = progress.frames_total.min(progress.frames_done + MIXTURE_BLOCK_FRAMES);
            self.emit(&mut passes, progress.frames_done..ready, loudness, mixture, request, sink)?;
            progress.frames_done = ready;
            tell(progress)?;
        }
        Ok(())
    }

    /// Whether the networks can do what is asked.
    ///
    /// # Errors
    /// [`Error::Request`] for an impossible overlap or chunk, and for stems that no network separates.
    pub fn check(&self, request: &Request) -> Result<()> {
        if !(0.0..=0.99).contains(&request.overlap) {
            return Err(Error::Request(format!("overlap is {}, 0 to 0.99 is possible", request.overlap)));
        }
        self.chunk_frames(request)?;
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

    /// Frames that a segment contributes; none is all that the network sees.
    fn chunk_frames(&self, request: &Request) -> Result<Option<usize>> {
        request.chunk_s.map(|chunk_s| chunk_frames(&self.bag, chunk_s)).transpose()
    }

    /// One pass for each shift of each network that the wanted stems need.
    pub(crate) fn passes(&self, song_frames: usize, request: &Request) -> Result<Vec<Pass>> {
        self.check(request)?;
        let chunk_frames = self.chunk_frames(request)?;
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
            let window = config.segment_frames();
            let chunk = chunk_frames.unwrap_or(window);
            for shift in &shifts {
                passes.push(Pass {
                    index: passes.len(),
                    member,
                    share: 1.0 / shifts.len() as f32,
                    segments: Segments::with_chunks(song_frames, window, chunk, request.overlap, *shift),
                    next: 0,
                    overlap: OverlapAdd::new(2 * sources.len(), chunk),
                    sources: sources.clone(),
                });
            }
        }
        Ok(passes)
    }

    /// Separates the next batch of a pass; returns how many segments it had.
    fn advance(&self, pass: &mut Pass, mixture: &mut dyn Mixture, loudness: &Loudness) -> Result<usize> {
        let batch = pass.next..pass.segments.count().min(pass.next + self.batch);
        let segments = pass.segments;
        let Pass { member, sources, overlap, next, .. } = pass;
        self.forward(*member, &segments, batch.clone(), mixture, loudness, &mut |index, output| {
            let segment = segments.get(index);
            overlap.add(segment.chunk_start, output.chunk(sources, segment));
            *next = index + 1;
            overlap.complete_to(segments.complete_before(*next));
        })?;
        Ok(batch.len())
    }

    /// Runs segments of a pass through its network together, and hands over what it made of each in turn.
    pub(crate) fn forward(
        &self,
        member: usize,
        segments: &Segments,
        batch: Range<usize>,
        mixture: &mut dyn Mixture,
        loudness: &Loudness,
        take: &mut dyn FnMut(usize, Output<'_>),
    ) -> Result<()> {
        let model = &self.bag.members()[member].model;
        let n = model.config().segment_frames();
        let per_segment = 2 * model.config().sources.len() * n;
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let Buffers { windows, outputs } = &mut *buffers;
        windows.clear();
        windows.resize(batch.len() * 2 * n, 0.0);
        outputs.resize(batch.len() * per_segment, 0.0);
        for (index, window) in batch.clone().zip(windows.chunks_exact_mut(2 * n)) {
            read_window(mixture, segments.get(index), loudness, window)?;
        }
        self.threads.install(|| model.forward(windows, outputs))?;
        for (segment, output) in batch.zip(outputs.chunks_exact(per_segment)) {
            if !output.iter().all(|sample| sample.is_finite()) {
                return Err(Error::NotFinite { segment });
            }
            take(segment, Output::new(output, n));
        }
        Ok(())
    }

    /// Averages what all passes have complete and hands the stems of that range to the sink.
    fn emit(
        &self,
        passes: &mut [Pass],
        range: Range<usize>,
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

fn add(sum: &mut [f32], samples: &[f32], gain: f32) {
    for (sum, sample) in sum.iter_mut().zip(samples) {
        *sum += gain * sample;
    }
}
