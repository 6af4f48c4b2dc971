//! What a run tells: lines for people, events for programs.

use std::cell::Cell;
use std::path::Path;

use anyhow::Result;
use separation::Sealed;
use serde::Serialize;

use crate::terminal;

/// One line of `--json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event<'a> {
    /// A song was decoded; its separation begins.
    Song { song: &'a str, model: &'a str, rate: u32, frames: usize, seconds: f64, results: Vec<&'a str> },
    /// A segment is done.
    Progress {
        song: &'a str,
        percent: f64,
        segments_done: usize,
        segments_total: usize,
        /// Seconds of audio in a second.
        speed: f64,
        /// Seconds that are left; nothing before the first segment is done.
        eta_s: Option<f64>,
    },
    /// A file is complete and at its place.
    Result { song: &'a str, stem: &'a str, path: String, frames: usize, rate: u32, gain: f32 },
    /// All results of a song are there.
    Done { song: &'a str, seconds: f64, wall_s: f64, speed: f64, damaged_packets: usize },
    /// All results of a song were there already.
    Skipped { song: &'a str },
    /// A song, or the whole run where there is none, failed.
    Error { song: Option<&'a str>, message: String },
}

/// Who is told, and how.
#[derive(Debug)]
pub(crate) struct Reporter {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    /// Whether an error was told as an event.
    failed: Cell<bool>,
}

impl Reporter {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet, failed: Cell::new(false) }
    }

    /// A line for people, unless they want none.
    pub(crate) fn say(&self, line: &str) {
        if !self.quiet {
            terminal::complain(line);
        }
    }

    /// A line for programs, where they listen.
    pub(crate) fn tell(&self, event: &Event<'_>) -> Result<()> {
        if self.json { terminal::print(&serde_json::to_string(event)?) } else { Ok(()) }
    }

    /// A failure for programs, where they listen; the last one of a run is told once.
    pub(crate) fn fail(&self, song: Option<&str>, error: &anyhow::Error) {
        if song.is_some() || !self.failed.replace(true) {
            // Who does not listen any more has not to be told.
            let _ = self.tell(&Event::Error { song, message: terminal::sentence(error) });
        }
        self.failed.set(true);
    }

    /// A result that is at its place.
    pub(crate) fn result(&self, song: &str, told: &Told, path: &Path) -> Result<()> {
        let Told { stem, frames, rate, gain } = told;
        let path = path.display().to_string();
        if !self.json {
            return terminal::print(&path);
        }
        self.tell(&Event::Result { song, stem, path, frames: *frames, rate: *rate, gain: *gain })
    }

    /// The gains of a song's results, where there are any.
    pub(crate) fn gains(&self, song: &str, results: &[Told]) {
        let lowered =
            |gain: f32| format!("lowered by {:.1} dB to stay below full scale", -20.0 * gain.log10());
        match results {
            [first, rest @ ..] if rest.iter().all(|told| told.gain == first.gain) => {
                if first.gain != 1.0 {
                    self.say(&format!("{song}: all results are {}", lowered(first.gain)));
                }
            }
            _ => {
                for told in results.iter().filter(|told| told.gain != 1.0) {
                    self.say(&format!("{song}: {} is {}", told.stem, lowered(told.gain)));
                }
            }
        }
    }
}

/// What is told of a result.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    stem: String,
    frames: usize,
    rate: u32,
    gain: f32,
}

impl Told {
    pub(crate) fn of(stem: &str, sealed: &Sealed) -> Self {
        Self { stem: stem.to_owned(), frames: sealed.frames(), rate: sealed.rate(), gain: sealed.gain() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What programs rely on.
    #[test]
    fn every_event_is_one_flat_object() {
        let song = "a \"song\".mp3";
        let path = "separated/htdemucs/a/vocals.mp3".to_owned();
        for (event, line) in [
            (
                Event::Song {
                    song,
                    model: "htdemucs",
                    rate: 8000,
                    frames: 4000,
                    seconds: 0.5,
                    results: vec!["bass"],
                },
                r#"{"event":"song","song":"a \"song\".mp3","model":"htdemucs","rate":8000,"frames":4000,"seconds":0.5,"results":["bass"]}"#,
            ),
            (
                Event::Progress {
                    song,
                    percent: 25.0,
                    segments_done: 1,
                    segments_total: 4,
                    speed: 1.5,
                    eta_s: Some(3.0),
                },
                r#"{"event":"progress","song":"a \"song\".mp3","percent":25.0,"segments_done":1,"segments_total":4,"speed":1.5,"eta_s":3.0}"#,
            ),
            (
                Event::Result { song, stem: "vocals", path, frames: 4000, rate: 8000, gain: 0.5 },
                r#"{"event":"result","song":"a \"song\".mp3","stem":"vocals","path":"separated/htdemucs/a/vocals.mp3","frames":4000,"rate":8000,"gain":0.5}"#,
            ),
            (
                Event::Done { song, seconds: 0.5, wall_s: 0.25, speed: 2.0, damaged_packets: 0 },
                r#"{"event":"done","song":"a \"song\".mp3","seconds":0.5,"wall_s":0.25,"speed":2.0,"damaged_packets":0}"#,
            ),
            (Event::Skipped { song }, r#"{"event":"skipped","song":"a \"song\".mp3"}"#),
            (
                Event::Error { song: None, message: "unknown model".into() },
                r#"{"event":"error","song":null,"message":"unknown model"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&event).unwrap(), line);
        }
    }
}
