//! The editor's part of the table of routes.

use axum::http::Method;
use axum::routing::{get, post};

use super::{music, progress, units};
use crate::error::Code;
use crate::routes::table::{Answer, Entry, JSON, PART, Param, SAME};

const FILE: Option<(&str, &str)> = Some(("audio/*", "File"));
const UNITS: Answer = Answer(200, "Their numbers.", Some((JSON, "EditorJobs")));
const UNIT: Answer = Answer(200, "The unit.", Some((JSON, "EditorJob")));

/// All routes of the editor.
pub(in crate::routes) fn entries() -> Vec<Entry> {
    songs().into_iter().chain(work()).collect()
}

fn songs() -> Vec<Entry> {
    vec![
        Entry::new(Method::POST, "/music", post(music::submit), "editorSubmit", "Send a song, for later.")
            .body(&[("application/octet-stream", "File"), ("multipart/form-data", "SongForm")])
            .answers(&[Answer(200, "The song and its tracks.", Some((JSON, "Music")))])
            .errors(&[
                Code::InvalidRequest,
                Code::Empty,
                Code::NotAudio,
                Code::Timeout,
                Code::TooLarge,
                Code::SongsFull,
                Code::Full,
                Code::Unavailable,
            ]),
        Entry::new(Method::GET, "/music", get(music::list), "editorList", "List the songs.")
            .answers(&[Answer(200, "The songs, in the order in which they came.", Some((JSON, "MusicList")))])
            .errors(&[Code::Unavailable]),
        Entry::new(
            Method::POST,
            "/music/{music}",
            post(music::process),
            "editorProcess",
            "Separate a song, and mix the tracks that are named.",
        )
        .body(&[(JSON, "EditorTracks")])
        .answers(&[Answer(200, "The work has begun, or was done before.", Some((JSON, "Any")))])
        .errors(&[
            Code::InvalidRequest,
            Code::NotFound,
            Code::Gone,
            Code::TenantFull,
            Code::Full,
            Code::Unavailable,
        ]),
        Entry::new(
            Method::GET,
            "/music/{music}",
            get(progress::get),
            "editorProgress",
            "Tell how far a song is.",
        )
        .answers(&[Answer(200, "What can be fetched.", Some((JSON, "EditorProgress")))])
        .errors(&[Code::NotFound, Code::Gone, Code::Unavailable]),
        Entry::new(
            Method::GET,
            "/music/{music}/{job}/{track}",
            get(progress::file),
            "editorFile",
            "Fetch a track or the mix.",
        )
        .params(&[Param::Header("Range", "A part of the file.")])
        .answers(&[Answer(200, "The file.", FILE), PART, SAME])
        .errors(&[Code::NotFound, Code::Gone, Code::Range, Code::Unavailable]),
        Entry::new(
            Method::POST,
            "/reset",
            post(music::reset),
            "editorReset",
            "Remove everything. For operators.",
        )
        .answers(&[Answer(200, "Everything is gone.", Some((JSON, "Any")))])
        .errors(&[Code::Forbidden, Code::Unavailable]),
    ]
}

fn work() -> Vec<Entry> {
    let list = |path, id| {
        Entry::new(Method::GET, path, get(units::list), id, "List what workers did of the songs.")
            .answers(&[UNITS])
            .errors(&[Code::Unavailable])
    };
    let one = |path, id| {
        Entry::new(Method::GET, path, get(units::get), id, "Tell what a worker did.")
            .answers(&[UNIT])
            .errors(&[Code::NotFound, Code::Unavailable])
    };
    vec![
        list("/job", "editorJobs"),
        list("/jobs", "editorJobsPlural"),
        one("/job/{unit}", "editorJob"),
        one("/jobs/{unit}", "editorJobPlural"),
    ]
}
