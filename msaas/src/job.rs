//! One song from file to stems.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use audio::resampled_len;
use demucs::{Request, Shifts, Stem};
use tags::Tags;

use crate::cli::SeparateArgs;
use crate::engine::{Engine, Event};
use crate::output::{Output, Plan};
use crate::song::{Reading, Song};
use crate::terminal::Bar;

/// What all songs of one call share.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) args: &'a SeparateArgs,
    pub(crate) stems: Vec<Stem>,
    pub(crate) format: audio::Format,
    /// The network's rate in Hz.
    pub(crate) engine_rate: u32,
}

/// What became of a song.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) audio_s: f64,
    pub(crate) wall_s: f64,
    pub(crate) damaged: usize,
}

const BAR: &str = "{prefix} [{bar:30}] {percent:>3} % {msg}";

/// Rate of results whose format does not have the song's, in Hz: every format has this one.
const COMMON_RATE: u32 = 44_100;

impl Order<'_> {
    /// Separates `song` into files in `dir`.
    pub(crate) fn run(&self, engine: &Engine, path: &Path, dir: &Path) -> Result<Outcome> {
        let start = Instant::now();
        let reading = Reading {
            limits: audio::DecodeLimits { max_seconds: self.args.max_seconds, ..Default::default() },
            track: self.args.track,
            temp_dir: self.args.temp_dir.as_deref(),
            rate: self.engine_rate,
        };
        let song = Song::read(path, reading)?;
        let (audio_s, damaged) = (song.frames as f64 / f64::from(song.rate), song.damaged);
        let plan = self.plan(&song);
        let made = Made::new(dir)?;
        let outputs = self.stems.iter().map(|stem| Output::create(&self.path_of(dir, stem), &plan));
        let outputs: Vec<Output> = outputs.collect::<Result<_>>()?;
        let shifts = match usize::from(self.args.shifts) {
            0 => Shifts::Off,
            count => Shifts::Drawn { count, seed: crate::song::hash(path)? },
        };
        let request = Request { stems: self.stems.clone(), shifts };
        let outputs = self.receive(engine, song, request, outputs, &name_of(path))?;
        let tags = tags::read_path(path);
        let sealed = outputs
            .into_iter()
            .zip(&self.stems)
            .map(|(output, stem)| output.seal(&tags_of(&tags, path, stem)));
        let sealed = sealed.collect::<Result<Vec<_>>>()?;
        let paths = sealed.into_iter().map(crate::output::Sealed::publish).collect::<Result<_>>()?;
        made.keep();
        Ok(Outcome { paths, audio_s, wall_s: start.elapsed().as_secs_f64(), damaged })
    }

    /// Where a stem of a song goes.
    pub(crate) fn path_of(&self, dir: &Path, stem: &Stem) -> PathBuf {
        dir.join(format!("{}.{}", stem.name, self.format.extension()))
    }

    fn plan(&self, song: &Song) -> Plan {
        let kept = if self.format.supports_rate(song.rate) { song.rate } else { COMMON_RATE };
        let rate = self.args.format.rate.unwrap_or(kept);
        Plan {
            format: self.format,
            clip: self.args.clip,
            engine_rate: self.engine_rate,
            rate,
            frames: resampled_len(song.frames, song.rate, rate),
            temp_dir: self.args.temp_dir.clone(),
        }
    }

    fn receive(
        &self,
        engine: &Engine,
        song: Song,
        request: Request,
        mut outputs: Vec<Output>,
        name: &str,
    ) -> Result<Vec<Output>> {
        let start = Instant::now();
        let rate = f64::from(self.engine_rate);
        let mut bar = Bar::new(name, 1, self.args.quiet, BAR);
        for event in engine.separate(song, request)? {
            match event {
                Event::Progress(p) => {
                    let done = p.segments_done as f64 / p.segments_total.max(1) as f64;
                    let wall_s = start.elapsed().as_secs_f64();
                    let speed = done * p.frames_total as f64 / rate / wall_s.max(1e-3);
                    let left_s = if done > 0.0 { wall_s / done - wall_s } else { 0.0 };
                    let note = format!(
                        "segment {}/{}, {speed:.2} x real time, {left_s:.0} s left",
                        p.segments_done, p.segments_total
                    );
                    bar.go(p.segments_done as u64, p.segments_total as u64, &note);
                }
                Event::Block(stem, block) => outputs[stem].write(&block)?,
                Event::Done(done) => return done.map(|()| outputs).context("cannot separate the song"),
            }
        }
        Err(anyhow!("the engine ended in the middle of the song"))
    }
}

/// The song's own tags, its title with the stem's name.
fn tags_of(tags: &Tags, path: &Path, stem: &Stem) -> Tags {
    let title = tags.title.clone().unwrap_or_else(|| name_of(path));
    Tags { title: Some(format!("{title} ({})", stem.name)), ..tags.clone() }
}

/// A song's file name without its extension, or with it where the rest would lead to another folder.
pub(crate) fn name_of(path: &Path) -> String {
    let full = path.file_name().unwrap_or(path.as_os_str());
    let stem = path.file_stem().filter(|stem| *stem != "." && *stem != "..");
    stem.unwrap_or(full).to_string_lossy().into_owned()
}

/// A folder that is removed again, if it was made here and is empty, unless it is kept.
#[derive(Debug)]
struct Made {
    dirs: Vec<PathBuf>,
}

impl Made {
    fn new(dir: &Path) -> Result<Self> {
        let missing = dir.ancestors().take_while(|d| !d.as_os_str().is_empty() && !d.exists());
        let dirs = missing.map(Path::to_path_buf).collect();
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
        Ok(Self { dirs })
    }

    fn keep(mut self) {
        self.dirs.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for dir in &self.dirs {
            // Not empty means that something else has come to lie there: it stays.
            let _ = std::fs::remove_dir(dir);
        }
    }
}
