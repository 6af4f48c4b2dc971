//! A whole song through a bag of networks, segment by segment.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::bag::Bag;
use crate::batches::Batches;
use crate::error::{Error, Result};
use crate::mix::Mixer;
use crate::mixture::{Loudness, Mixture};
use crate::network::Begun;
use crate::overlap::OverlapAdd;
use crate::pass::Pass;
use crate::progress::{Observer, Progress};
use crate::segment::Segments;
use crate::shift::Shifts;
use crate::stem::{Stem, StemSink};
use crate::work::{Order, Work};

/// The separation engine: networks on a device and the threads that compute.
///
/// One thread drives a separator at a time; it needs memory for a few segments, whatever the
/// length of the song.
#[derive(Debug)]
pub struct Separator {
    pub(crate) bag: Bag,
    batch: AtomicUsize,
    threads: Arc<rayon::ThreadPool>,
    mixer: Mixer,
    works: AtomicU64,
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
    /// Segments that pass through the network together; fewer where they do not fit into the device's memory.
    pub batch: usize,
    /// Threads; 0 takes one for each core.
    pub threads: usize,
    /// Bytes of a device's own memory that may be used; none is all that is free. The CPU has no memory of its own.
    pub device_memory: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { batch: 1, threads: 0, device_memory: None }
    }
}

impl Separator {
    /// An engine around loaded networks.
    ///
    /// # Errors
    /// [`Error::Threads`] when no thread starts, [`Error::OutOfMemory`] where the device has no room for a segment, and what
    /// else a device refuses.
    pub fn new(bag: Bag, settings: Settings) -> Result<Self> {
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(settings.threads)
            .thread_name(|i| format!("separate-{i}"))
            .build()
            .map_err(|e| Error::Threads { threads: settings.threads, reason: e.to_string() })?;
        let batch = bag.settle(settings.batch.max(1), settings.device_memory)?;
        let threads = Arc::new(threads);
        let mixer = Mixer::new(Arc::clone(&threads), batch * bag.sources().len());
        Ok(Self { bag, batch: AtomicUsize::new(batch), threads, mixer, works: AtomicU64::new(0) })
    }

    /// The networks.
    #[must_use]
    pub fn bag(&self) -> &Bag {
        &self.bag
    }

    /// Segments that pass through a network together: halved for good each time that the device's memory does not
    /// hold them.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.batch.load(Ordering::Relaxed)
    }

    /// Batches that the device can have at a time.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.bag.members().iter().map(|member| member.model.in_flight()).min().unwrap_or(1)
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
        self.drive(&mut self.work(mixture, request, loudness)?, sink, observer)
    }

    /// The work of a whole song, for [`crate::Batches`].
    ///
    /// # Errors
    /// [`Error::Request`] for what the networks cannot do.
    pub fn work<M: Mixture>(&self, mixture: M, request: &Request, loudness: Loudness) -> Result<Work<M>> {
        let passes = self.passes(mixture.frames(), request)?;
        Ok(Work::song(self.order(mixture, loudness), request.stems.clone(), passes))
    }

    pub(crate) fn order<M>(&self, mixture: M, loudness: Loudness) -> Order<M> {
        let id = self.works.fetch_add(1, Ordering::Relaxed);
        Order { id, mixer: self.mixer.clone(), mixture, loudness }
    }

    /// Does one work from its start to its end.
    pub(crate) fn drive<M: Mixture>(
        &self,
        work: &mut Work<M>,
        sink: &mut dyn StemSink,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let mut batches = Batches::new(self);
        tell(observer, work.progress())?;
        while !work.is_done() {
            while batches.begin([&mut *work]) {}
            batches.finish();
            batches.begin([&mut *work]);
            while batches.take([&mut *work]).is_some() {
                while work.hand_out(sink)? {}
            }
            work.check()?;
            // Of the mixture alone.
            work.hand_out(sink)?;
            tell(observer, work.progress())?;
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
            let share = 1.0 / shifts.len() as f32;
            let gain = |source: &usize| network.weights[*source] / self.bag.total_weight(*source) * share;
            let gains: Vec<f32> = sources.iter().map(gain).collect();
            for shift in &shifts {
                let segments = Segments::with_chunks(song_frames, window, chunk, request.overlap, *shift);
                passes.push(Pass {
                    index: passes.len(),
                    member,
                    segments,
                    next: 0,
                    done: 0,
                    end: segments.count(),
                    gains: gains.clone(),
                    overlap: OverlapAdd::new(2 * sources.len(), chunk),
                    sources: sources.clone(),
                });
            }
        }
        Ok(passes)
    }

    /// Computes a batch that was begun. Where the device's memory does not hold it, it is computed again in smaller
    /// ones, as all later ones are. Gives the seconds that a device other than the CPU computed it for.
    pub(crate) fn finish(
        &self,
        member: usize,
        begun: Result<Begun<'_>>,
        windows: &[f32],
        outputs: &mut [f32],
    ) -> Result<Option<f64>> {
        let network = &self.bag.members()[member].model;
        let window = 2 * network.config().segment_frames();
        let segments = windows.len() / window;
        match begun.and_then(|begun| self.threads.install(|| begun.finish(windows, outputs))) {
            Err(Error::OutOfMemory(_)) if segments > 1 => {
                let most = self.batch.fetch_min(segments / 2, Ordering::Relaxed).min(segments / 2);
                let each = most * outputs.len() / segments;
                let mut parts = windows.chunks(most * window).zip(outputs.chunks_mut(each));
                parts.try_fold(None, |sum: Option<f64>, (windows, outputs)| {
                    let seconds = self.finish(member, network.begin(windows), windows, outputs)?;
                    Ok(seconds.map(|seconds| sum.unwrap_or_default() + seconds))
                })
            }
            done => done,
        }
    }
}

/// Lets the observer hear of the progress, and stop there.
pub(crate) fn tell(observer: &mut dyn Observer, progress: Progress) -> Result<()> {
    match observer.segment(progress) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Canceled),
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
