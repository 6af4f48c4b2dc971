//! `msaas songs` and `msaas jobs`: what a server has.

use anyhow::Result;
use common::SongHash;
use common::job::View;
use serde::Serialize;

use crate::cli::{JobsArgs, SongsArgs};
use crate::client::{Server, label, word};
use crate::terminal;

/// A song and the jobs that were made of it, the latest first.
#[derive(Debug, Serialize)]
pub(crate) struct Song {
    #[serde(rename = "song")]
    hash: SongHash,
    title: Option<String>,
    artist: Option<String>,
    pub(crate) jobs: Vec<View>,
}

/// Runs `msaas songs`.
pub(crate) fn songs(args: &SongsArgs) -> Result<()> {
    for song in by_song(Server::open(&args.server)?.jobs(None, args.limit)?) {
        if args.json {
            terminal::print(&serde_json::to_string(&song)?)?;
            continue;
        }
        terminal::print(&song.jobs.first().map(label).unwrap_or_default())?;
        for job in &song.jobs {
            terminal::print(&format!("  {}  {}", job.id, state_and_stems(job)))?;
        }
    }
    Ok(())
}

/// Runs `msaas jobs`.
pub(crate) fn jobs(args: &JobsArgs) -> Result<()> {
    let SongsArgs { limit, json, ref server } = args.list;
    let jobs = Server::open(server)?.jobs(args.state.map(Into::into), limit)?;
    if !json && !jobs.is_empty() {
        let line = format!("{:34}  {:9}  {:>5}  {:>9}  {:>8}  song", "job", "state", "done", "size", "time");
        terminal::complain(&line);
    }
    for job in &jobs {
        if json {
            terminal::print(&serde_json::to_string(job)?)?;
            continue;
        }
        let time = seconds(job).map(|time| format!("{time:.1} s")).unwrap_or_default();
        let size = format!("{:.1} MB", job.size_bytes as f64 / 1e6);
        let (state, percent) = (word(job.state), job.progress.percent);
        let name = label(job);
        terminal::print(&format!("{}  {state:9}  {percent:>3} %  {size:>9}  {time:>8}  {name}", job.id))?;
    }
    Ok(())
}

/// Jobs by their songs, in the order of each song's first.
pub(crate) fn by_song(jobs: Vec<View>) -> Vec<Song> {
    let mut songs: Vec<Song> = Vec::new();
    for job in jobs {
        match songs.iter_mut().find(|song| song.hash == job.song) {
            Some(song) => song.jobs.push(job),
            None => songs.push(Song {
                hash: job.song,
                title: job.title.clone(),
                artist: job.artist.clone(),
                jobs: vec![job],
            }),
        }
    }
    songs
}

/// How far a job is, and what can be fetched.
pub(crate) fn state_and_stems(job: &View) -> String {
    let stems: Vec<&str> = job.stems.iter().map(|stem| stem.name.as_str()).collect();
    let (state, format) = (word(job.state), job.options.format.extension());
    let line = format!("{state:9}  {:>3} %  {format:4}  {}", job.progress.percent, stems.join(", "));
    line.trim_end().to_owned()
}

/// How long a worker has been at it, or was; nothing before it began.
fn seconds(job: &View) -> Option<f64> {
    let time = |text: &String| text.parse::<jiff::Timestamp>().ok();
    let end = job.completed_at.as_ref().map_or_else(|| Some(jiff::Timestamp::now()), time)?;
    Some(end.duration_since(job.started_at.as_ref().and_then(time)?).as_secs_f64().max(0.0))
}
