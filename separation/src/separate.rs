use std::path::PathBuf;

use audio::{Format, resampled_len};
use demucs::{Progress, Request, Shifts, Stem};
use rayon::prelude::*;
use tags::Tags;

use crate::output::Output;
use crate::{ClipMode, Engine, Error, Event, Result, Sealed, Song, Stop, Target, space};

/// What becomes of one song.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The results, in the order in which they come back.
    pub results: Vec<Wanted>,
    /// The shift trick.
    pub shifts: Shifts,
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
    mut plan: Plan,
    stop: &Stop,
    watch: &mut dyn FnMut(Progress),
) -> Result<Vec<Sealed>> {
    let frames = resampled_len(song.file_frames(), song.rate(), plan.rate);
    if plan.clip.needs_peaks() {
        space::check(plan.results.len(), frames, plan.temp_dir.as_deref())?;
    }
    let targets = plan.results.iter().map(|wanted| wanted.target.clone());
    let outputs = targets.map(|target| Output::create(target, &plan, engine.rate(), frames));
    let mut outputs: Vec<Output> = outputs.collect::<Result<_>>()?;
    let stems = plan.results.iter().map(|wanted| wanted.stem.clone()).collect();
    let request = Request { stems, shifts: std::mem::replace(&mut plan.shifts, Shifts::Off) };
    receive(engine, song, request, stop, &mut outputs, watch)?;
    outputs.iter_mut().try_for_each(Output::end)?;
    seal(outputs, &plan, stop)
}

fn receive(
    engine: &Engine,
    song: Song,
    request: Request,
    stop: &Stop,
    outputs: &mut [Output],
    watch: &mut dyn FnMut(Progress),
) -> Result<()> {
    for event in engine.separate(song, request, stop)? {
        match event {
            Event::Progress(progress) => watch(progress),
            Event::Block(stem, block) => outputs[stem].write(&block)?,
            Event::Done(done) => return done.map_err(Error::Separate),
        }
    }
    Err(Error::Ended)
}

/// Encodes in threads; every result depends on itself and its gain alone.
fn seal(outputs: Vec<Output>, plan: &Plan, stop: &Stop) -> Result<Vec<Sealed>> {
    let peaks: Vec<f32> = outputs.iter().map(Output::peak).collect();
    let gains = plan.clip.gains(&peaks);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if plan.threads == 0 { cores } else { plan.threads }.min(outputs.len());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("encode-{i}"));
    let pool = pool.build().map_err(|error| Error::Thread(error.to_string()))?;
    let jobs: Vec<_> = outputs.into_iter().zip(gains).zip(&plan.results).collect();
    // All of them first: which of several errors is told must not depend on who was faster.
    let sealed: Vec<Result<Sealed>> = pool.install(|| {
        jobs.into_par_iter().map(|((output, gain), wanted)| output.seal(gain, &wanted.tags, stop)).collect()
    });
    sealed.into_iter().collect()
}
