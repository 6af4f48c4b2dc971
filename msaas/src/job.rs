//! One song from its source to its results.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use demucs::{Progress, Shifts, Stem};
use separation::{ClipMode, Engine, Plan, Reading, Sealed, Song, Target, Wanted};
use tags::Tags;

use crate::cli::{ClipArg, SeparateArgs};
use crate::folders::Folders;
use crate::report::{Event, Reporter, Told};
use crate::songs::Found;
use crate::source::Source;
use crate::stop;
use crate::terminal::{self, Bar};

/// What all songs of one call share.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) args: &'a SeparateArgs,
    pub(crate) reporter: &'a Reporter,
    pub(crate) stems: Vec<Stem>,
    pub(crate) format: audio::Format,
}

/// Where the results of a song go.
#[derive(Debug)]
pub(crate) enum Place {
    /// To a file for each stem.
    Files(Vec<PathBuf>),
    /// To standard output.
    Output,
}

const BAR: &str = "{prefix} [{bar:30}] {percent:>3} % {msg}";

impl Order<'_> {
    /// Separates a song and tells what became of it.
    pub(crate) fn run(&self, engine: &Engine, found: &Found, place: &Place) -> Result<()> {
        let (start, label) = (Instant::now(), found.label());
        let temp_dir = self.args.temp_dir.as_deref();
        let reading = Reading {
            limits: audio::DecodeLimits { max_seconds: self.args.max_seconds, ..Default::default() },
            track: self.args.track,
            temp_dir,
            rate: engine.rate(),
        };
        let source = Source::open(&found.path, temp_dir, stop::signal())?;
        let song = source.song(&reading, stop::signal())?;
        self.reporter.tell(&Event::Song {
            song: &label,
            model: self.args.model(),
            rate: song.rate(),
            frames: song.file_frames(),
            seconds: song.seconds(),
            results: self.stems.iter().map(|stem| stem.name.as_str()).collect(),
        })?;
        let (seconds, damaged_packets) = (song.seconds(), song.damaged_packets());
        let mut folders = Folders::default();
        if let Place::Files(paths) = place {
            paths.iter().filter_map(|path| path.parent()).try_for_each(|dir| folders.make(dir))?;
        }
        let plan = self.plan(&source, &song, found, place)?;
        let mut progress = Watch::new(self.reporter, &label, &found.name(), engine.rate());
        let watch = &mut |p| progress.hear(p);
        let sealed = separation::separate(engine, song, &plan, stop::signal(), watch)?;
        drop(progress);
        let results: Vec<Told> =
            self.stems.iter().zip(&sealed).map(|(stem, sealed)| Told::of(&stem.name, sealed)).collect();
        let paths = publish(sealed)?;
        folders.keep();
        if damaged_packets > 0 {
            terminal::complain(&format!("msaas: {label}: {damaged_packets} damaged packets became silence"));
        }
        self.reporter.gains(&label, &results);
        let wall_s = start.elapsed().as_secs_f64();
        let speed = seconds / wall_s.max(1e-9);
        self.reporter
            .say(&format!("{label}: {seconds:.1} s of audio in {wall_s:.1} s ({speed:.2} x real time)"));
        for (told, path) in results.iter().zip(&paths) {
            self.reporter.result(&label, told, path)?;
        }
        self.reporter.tell(&Event::Done { song: &label, seconds, wall_s, speed, damaged_packets })
    }

    fn plan(&self, source: &Source, song: &Song, found: &Found, place: &Place) -> Result<Plan> {
        let recipe = &self.args.recipe;
        let shifts = match usize::from(recipe.shifts) {
            0 => Shifts::Off,
            count => Shifts::Drawn { count, seed: source.hash()? },
        };
        let tags = source.tags();
        let wanted = |(i, stem): (usize, &Stem)| Wanted {
            stem: stem.clone(),
            target: match place {
                Place::Files(paths) => Target::Path(paths[i].clone()),
                Place::Output => Target::Unnamed,
            },
            tags: tags_of(&tags, found, stem),
            kept: false,
        };
        Ok(Plan {
            results: self.stems.iter().enumerate().map(wanted).collect(),
            shifts,
            overlap: recipe.overlap,
            chunk_s: self.args.segment,
            format: self.format,
            rate: recipe.format.rate.unwrap_or_else(|| separation::file_rate(self.format, song.rate())),
            clip: clip_mode(recipe.clip_mode),
            temp_dir: self.args.temp_dir.clone(),
            threads: usize::from(self.args.jobs),
            pulse: separation::Pulse::default(),
        })
    }
}

/// Shows all files of a song, or writes the one that has no name to standard output.
fn publish(sealed: Vec<Sealed>) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for result in sealed {
        if result.is_unnamed() {
            let copied = std::io::copy(&mut result.into_file()?, &mut std::io::stdout().lock());
            copied.context("cannot write to standard output")?;
        } else {
            paths.extend(result.publish()?);
        }
    }
    Ok(paths)
}

fn clip_mode(arg: ClipArg) -> ClipMode {
    match arg {
        ClipArg::Common => ClipMode::Common,
        ClipArg::Rescale => ClipMode::Rescale,
        ClipArg::Clamp => ClipMode::Clamp,
        ClipArg::Tanh => ClipMode::Tanh,
        ClipArg::None => ClipMode::None,
    }
}

/// The song's own tags, its title with the stem's name.
fn tags_of(tags: &Tags, found: &Found, stem: &Stem) -> Tags {
    let title = tags.title.clone().unwrap_or_else(|| found.name());
    Tags { title: Some(format!("{title} ({})", stem.name)), ..tags.clone() }
}

/// Shows how far a separation is.
struct Watch<'a> {
    reporter: &'a Reporter,
    song: &'a str,
    bar: Bar,
    start: Instant,
    rate: f64,
}

impl<'a> Watch<'a> {
    fn new(reporter: &'a Reporter, song: &'a str, name: &str, rate: u32) -> Self {
        let bar = Bar::new(name, 1, reporter.quiet, BAR);
        Self { reporter, song, bar, start: Instant::now(), rate: f64::from(rate) }
    }

    fn hear(&mut self, p: Progress) {
        let done = p.segments_done as f64 / p.segments_total.max(1) as f64;
        let wall_s = self.start.elapsed().as_secs_f64();
        let speed = done * p.frames_total as f64 / self.rate / wall_s.max(1e-3);
        let eta_s = (done > 0.0).then(|| wall_s / done - wall_s);
        let note = terminal::pace(p.segments_done, p.segments_total, speed, eta_s);
        self.bar.go(p.segments_done as u64, p.segments_total as u64, &note);
        // A reader that went away is noticed at the results.
        let _ = self.reporter.tell(&Event::Progress {
            song: self.song,
            percent: (done * 1000.0).round() / 10.0,
            segments_done: p.segments_done,
            segments_total: p.segments_total,
            speed,
            eta_s,
        });
    }
}
