use std::ops::ControlFlow;
use std::path::PathBuf;

use audio::{Format, resampled_len};
use demucs::{Block, BoxError, Joint, Loudness, Progress, Request, Shifts, Span, SpanSums, Stem, StemSink};
use rayon::prelude::*;
use tags::Tags;

use crate::clip::HEADROOM;
use crate::output::{Encoding, Output};
use crate::{ClipMode, Engine, Error, Event, Events, Pulse, Result, Sealed, Song, Stop, Target, space};

/// What becomes of one song.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The results, in the order in which they come back.
    pub results: Vec<Wanted>,
    /// The shift trick.
    pub shifts: Shifts,
    /// Fraction by which segments overlap.
    pub overlap: f64,
    /// Seconds that each segment contributes; none is all that the network sees.
    pub chunk_s: Option<f64>,
    /// File format of all results.
    pub format: Format,
    /// Sample rate of all results in Hz: see [`file_rate`].
    pub rate: u32,
    /// What happens to samples above full scale.
    pub clip: ClipMode,
    /// Folder for what does not stay in memory; none takes the system's.
    pub temp_dir: Option<PathBuf>,
    /// Results that are encoded at a time, once their gain is known; 0 takes one for each core.
    pub threads: usize,
    /// Hears of every block that is encoded.
    pub pulse: Pulse,
}

/// One result.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The sum of sources that it is.
    pub stem: Stem,
    /// Where it goes.
    pub target: Target,
    /// What the file says about itself.
    pub tags: Tags,
    /// Whether it is kept for [`crate::derive`]: as FLAC of 24 bits at the engine's rate with [`ClipMode::Headroom`],
    /// whatever the plan says of other results.
    pub kept: bool,
}

impl Wanted {
    /// A source that is kept for [`crate::derive`], in a file without a name.
    #[must_use]
    pub fn kept(source: Stem) -> Self {
        Self { stem: source, target: Target::Unnamed, tags: Tags::default(), kept: true }
    }
}

impl Plan {
    /// What is asked of the engine.
    #[must_use]
    pub fn request(&self) -> Request {
        Request {
            stems: self.results.iter().map(|wanted| wanted.stem.clone()).collect(),
            shifts: self.shifts.clone(),
            overlap: self.overlap,
            chunk_s: self.chunk_s,
        }
    }
}

/// Rate of results whose format does not have the song's, in Hz: every format has this one.
const COMMON_RATE: u32 = 44_100;

/// The song's rate where the format has it, else 44.1 kHz.
#[must_use]
pub fn file_rate(format: Format, song_rate: u32) -> u32 {
    if format.supports_rate(song_rate) { song_rate } else { COMMON_RATE }
}

/// Separates a song into finished files that nobody sees yet, so that all can appear together.
///
/// `watch` hears of every segment. Where the clip mode needs the peaks of whole results, these wait as
/// 32-bit floats in `temp_dir`, are encoded when the last segment is done, and space for them is asked
/// for before the first one.
///
/// # Errors
/// [`Error::Space`], [`Error::Folder`] and [`Error::Write`] at the start; [`Error::Separate`],
/// [`Error::Stopped`], [`Error::Audio`] later. Nothing remains then.
pub fn separate(
    engine: &Engine,
    song: Song,
    plan: &Plan,
    stop: &Stop,
    watch: &mut dyn FnMut(Progress),
) -> Result<Vec<Sealed>> {
    let mut outputs = outputs(engine, &song, plan)?;
    receive(engine.separate(song, &plan.request(), stop)?, &mut outputs, watch)?;
    outputs.iter_mut().try_for_each(Output::end)?;
    seal(outputs, plan, stop)
}

/// Separates one span of a song, which comes back with what was computed.
///
/// `loudness` is that of the whole song; `watch` hears of every segment of the span.
///
/// # Errors
/// [`Error::Separate`], [`Error::Ended`].
pub fn span(
    engine: &Engine,
    song: Song,
    request: &Request,
    loudness: Loudness,
    span: Span,
    stop: &Stop,
    watch: &mut dyn FnMut(Progress),
) -> Result<(Song, SpanSums)> {
    let mut computed = None;
    for event in engine.span(song, request, &loudness, span, stop)? {
        match event {
            Event::Progress(progress) => watch(progress),
            Event::Block(..) => {}
            Event::Span(song, sums) => computed = Some((*song, sums)),
            Event::Done(done) => {
                done.map_err(Error::Separate)?;
                return computed.ok_or(Error::Ended);
            }
        }
    }
    Err(Error::Ended)
}

/// Joins the spans of a song into finished files: byte for byte those of [`separate`].
///
/// Computes on the caller's thread, without the device; `watch` hears of every span.
///
/// # Errors
/// Those of [`separate`].
pub fn merge(
    engine: &Engine,
    mut song: Song,
    plan: &Plan,
    joint: Joint<'_>,
    stop: &Stop,
    watch: &mut dyn FnMut(Progress),
) -> Result<Vec<Sealed>> {
    let mut outputs = outputs(engine, &song, plan)?;
    let mut sink = Outputs { outputs: &mut outputs, failed: None };
    let mut observer = |progress| {
        watch(progress);
        if stop.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let separator = engine.separator();
    let merged = separator.merge(&mut song, &plan.request(), joint, &mut sink, &mut observer);
    if let Some(error) = sink.failed {
        return Err(error);
    }
    merged.map_err(Error::Separate)?;
    outputs.iter_mut().try_for_each(Output::end)?;
    seal(outputs, plan, stop)
}

/// Takes blocks on the thread that makes them, and keeps the error that the engine cannot carry.
struct Outputs<'a> {
    outputs: &'a mut [Output],
    failed: Option<Error>,
}

impl StemSink for Outputs<'_> {
    fn write(&mut self, stem: usize, block: Block) -> std::result::Result<(), BoxError> {
        self.outputs[stem].write(block.as_slice()).map_err(|error| {
            self.failed = Some(error);
            "a result cannot be written".into()
        })
    }
}

fn outputs(engine: &Engine, song: &Song, plan: &Plan) -> Result<Vec<Output>> {
    create(plan, engine.rate(), (song.file_frames(), song.rate()))
}

/// The files of all results of a song of so many frames at such a rate, of blocks at `rate` Hz.
pub(crate) fn create(plan: &Plan, rate: u32, (frames, song_rate): (usize, u32)) -> Result<Vec<Output>> {
    if plan.clip.needs_peaks() {
        let waiting = plan.results.iter().filter(|wanted| !wanted.kept).count();
        space::check(waiting, resampled_len(frames, song_rate, plan.rate), plan.temp_dir.as_deref())?;
    }
    let output = |wanted: &Wanted| {
        let encoding = Encoding::of(wanted, plan, rate);
        let frames = resampled_len(frames, song_rate, encoding.rate);
        Output::create(wanted.target.clone(), encoding, plan, rate, frames)
    };
    plan.results.iter().map(output).collect()
}

fn receive(events: Events, outputs: &mut [Output], watch: &mut dyn FnMut(Progress)) -> Result<()> {
    for event in events {
        match event {
            Event::Progress(progress) => watch(progress),
            Event::Block(stem, block) => outputs[stem].write(block.as_slice())?,
            Event::Span(..) => {}
            Event::Done(done) => return done.map_err(Error::Separate),
        }
    }
    Err(Error::Ended)
}

/// Encodes in threads; every result depends on itself and its gain alone.
pub(crate) fn seal(outputs: Vec<Output>, plan: &Plan, stop: &Stop) -> Result<Vec<Sealed>> {
    // What is kept has a gain of its own and no peak.
    let peaks: Vec<f32> = outputs.iter().map(Output::peak).collect();
    let gains = plan.clip.gains(&peaks).into_iter().zip(&plan.results);
    let gains = gains.map(|(gain, wanted)| if wanted.kept { HEADROOM } else { gain });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if plan.threads == 0 { cores } else { plan.threads }.min(outputs.len());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("encode-{i}"));
    let pool = pool.build().map_err(|error| Error::Thread(error.to_string()))?;
    let jobs: Vec<_> = outputs.into_iter().zip(gains).zip(&plan.results).collect();
    // All of them first: which of several errors is told must not depend on who was faster.
    let sealed: Vec<Result<Sealed>> = pool.install(|| {
        jobs.into_par_iter()
            .map(|((output, gain), wanted)| output.seal(gain, &wanted.tags, stop, &plan.pulse))
            .collect()
    });
    sealed.into_iter().collect()
}
