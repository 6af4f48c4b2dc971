//! The table of all routes: what is served, and what the document says of it.

use axum::http::Method;
use axum::routing::{delete, get, post, put};

pub(crate) use super::entry::{Answer, Entry, Param};
use super::{
    apiv1, cover, create, derived, editor, events, jobs, list, models, operations, page, peaks, stems,
    uploads, web,
};
use crate::error::Code;

pub(super) const JSON: &str = "application/json";
const PREFER: Param = Param::Header("Prefer", "`wait=N`: wait up to N seconds, at most 60, for the end.");
const JOB: Option<(&str, &str)> = Some((JSON, "Job"));
const ANY: Option<(&str, &str)> = Some((JSON, "Any"));
const FILE: Option<(&str, &str)> = Some(("audio/*", "File"));
pub(super) const PART: Answer = Answer(206, "A part of it.", FILE);
pub(super) const SAME: Answer = Answer(304, "It is as it was.", None);

/// All routes.
pub(crate) fn entries() -> Vec<Entry> {
    let all = [jobs_entries(), files_entries(), other_entries(), older_entries(), editor::entries()];
    all.into_iter().flatten().collect()
}

fn jobs_entries() -> Vec<Entry> {
    vec![
        Entry::new(Method::POST, "/v2/jobs", post(create::create), "createJob", "Separate a song.")
            .params(&[
                Param::Options,
                PREFER,
                Param::Header("Idempotency-Key", "The first answer is given again for a day."),
            ])
            .body(&[
                ("multipart/form-data", "SongForm"),
                ("application/octet-stream", "File"),
                ("audio/mpeg", "File"),
                (JSON, "Elsewhere"),
            ])
            .answers(&[
                Answer(200, "The job that does this work already, or one that ended while waiting.", JOB),
                Answer(202, "A new job.", JOB),
            ])
            .errors(&[
                Code::InvalidRequest,
                Code::InvalidOption,
                Code::UnknownModel,
                Code::Empty,
                Code::LinksOff,
                Code::NotFound,
                Code::Timeout,
                Code::InFlight,
                Code::UploadIncomplete,
                Code::TooLarge,
                Code::MediaType,
                Code::NotAudio,
                Code::OtherParameters,
                Code::InvalidCallback,
                Code::InvalidLink,
                Code::LinkFailed,
                Code::LinkSlow,
                Code::TenantFull,
                Code::Full,
                Code::Unavailable,
            ]),
        Entry::new(Method::GET, "/v2/jobs", get(list::list), "listJobs", "List jobs, the latest first.")
            .params(&[
                Param::Query("state", "Only jobs in this state."),
                Param::Query("limit", "Jobs on a page, at most 200."),
                Param::Query("cursor", "Where the page begins: `next_cursor` of the page before."),
            ])
            .answers(&[Answer(200, "A page of jobs.", Some((JSON, "JobPage")))])
            .errors(&[Code::InvalidRequest, Code::InvalidCursor, Code::Unavailable]),
        Entry::new(Method::GET, "/v2/jobs/{id}", get(jobs::get), "getJob", "Look at a job.")
            .params(&[PREFER, Param::Header("If-None-Match", "Entity tag of what is known already.")])
            .answers(&[Answer(200, "The job.", JOB), SAME])
            .errors(&[Code::NotFound, Code::Gone, Code::Unavailable]),
        Entry::new(
            Method::DELETE,
            "/v2/jobs/{id}",
            delete(jobs::delete),
            "deleteJob",
            "Remove a job and its results.",
        )
        .answers(&[Answer(204, "It is gone.", None)])
        .errors(&[Code::Forbidden, Code::NotFound, Code::Gone, Code::Unavailable]),
        Entry::new(Method::POST, "/v2/jobs/{id}/cancel", post(jobs::cancel), "cancelJob", "Stop a job.")
            .answers(&[Answer(200, "The job; canceled, or as it had ended before.", JOB)])
            .errors(&[Code::Forbidden, Code::NotFound, Code::Gone, Code::Unavailable]),
        Entry::new(Method::GET, "/v2/jobs/{id}/events", get(events::events), "watchJob", "Watch a job.")
            .params(&[Param::Header("Last-Event-ID", "Go on behind this event.")])
            .answers(&[
                Answer(
                    200,
                    "Events `state`, `progress`, `stem` and `snapshot`, each with the job.",
                    Some(("text/event-stream", "Text")),
                ),
                Answer(204, "The job has ended, and all of it was told.", None),
            ])
            .errors(&[
                Code::InvalidRequest,
                Code::NotFound,
                Code::Gone,
                Code::StreamsFull,
                Code::Unavailable,
            ]),
    ]
}

fn files_entries() -> Vec<Entry> {
    vec![
        Entry::new(Method::GET, "/v2/jobs/{id}/stems/{stem}", get(stems::stem), "getStem", "Fetch a result.")
            .params(&[
                Param::Query("redirect", "`1`: lead to the store, where it has addresses of its own."),
                Param::Header("Range", "A part of the file."),
                Param::Header("If-Range", "Only if the file has this entity tag."),
            ])
            .answers(&[Answer(200, "The file.", FILE), PART, SAME, Answer(302, "It is at the store.", None)])
            .errors(&[Code::NotFound, Code::Gone, Code::Range, Code::Unavailable]),
        Entry::new(
            Method::GET,
            "/v2/jobs/{id}/stems/{stem}/peaks",
            get(peaks::peaks),
            "getPeaks",
            "Lowest and highest samples, to draw a waveform.",
        )
        .params(&[Param::Query("points", "Parts of the song, at most 2000.")])
        .answers(&[Answer(200, "The peaks.", Some((JSON, "Peaks")))])
        .errors(&[Code::InvalidRequest, Code::NotFound, Code::Gone, Code::Unavailable]),
        Entry::new(
            Method::GET,
            "/v2/jobs/{id}/cover",
            get(cover::cover),
            "getCover",
            "Fetch the song's cover.",
        )
        .answers(&[Answer(200, "The picture.", Some(("image/*", "File"))), SAME])
        .errors(&[Code::NotFound, Code::Gone, Code::Unavailable]),
        Entry::new(
            Method::GET,
            "/v2/jobs/{id}/stems.zip",
            get(stems::archive),
            "getArchive",
            "Fetch all results.",
        )
        .answers(&[Answer(200, "The archive.", Some(("application/zip", "File"))), SAME])
        .errors(&[Code::NotFound, Code::NotFinished, Code::Gone, Code::Unavailable]),
        Entry::new(Method::GET, "/v2/jobs/{id}/mix", get(derived::mix), "getMix", "Fetch a mix of stems.")
            .params(&[
                Param::Query("gains", "What is mixed, as `stem:gain,stem:gain`."),
                Param::Query("format", "`mp3`, `wav` or `flac`; the job's where it is missing."),
                PREFER,
            ])
            .answers(&[
                Answer(200, "The file.", FILE),
                PART,
                SAME,
                Answer(202, "The job that makes it.", JOB),
            ])
            .errors(&[
                Code::InvalidOption,
                Code::NotFound,
                Code::NotFinished,
                Code::Gone,
                Code::Range,
                Code::TenantFull,
                Code::Full,
                Code::Unavailable,
            ]),
        Entry::new(
            Method::POST,
            "/v2/uploads",
            post(uploads::create),
            "createUpload",
            "Ask where to send a song.",
        )
        .body(&[(JSON, "Announced")])
        .answers(&[Answer(201, "Where to send it.", Some((JSON, "Upload")))])
        .errors(&[
            Code::InvalidRequest,
            Code::Timeout,
            Code::TooLarge,
            Code::SongsFull,
            Code::Unavailable,
        ]),
        Entry::new(
            Method::PUT,
            "/v2/uploads/{upload}",
            put(uploads::put),
            "putUpload",
            "Send a song, where the store has no addresses of its own.",
        )
        .body(&[("application/octet-stream", "File")])
        .answers(&[Answer(204, "It is there.", None)])
        .errors(&[
            Code::InvalidRequest,
            Code::Empty,
            Code::NotFound,
            Code::Timeout,
            Code::UploadExists,
            Code::TooLarge,
            Code::NotAudio,
            Code::SongsFull,
            Code::Full,
            Code::Unavailable,
        ]),
    ]
}

fn other_entries() -> Vec<Entry> {
    vec![
        Entry::new(Method::GET, "/v2/models", get(models::models), "listModels", "List the networks.")
            .answers(&[Answer(200, "The networks and their stems.", Some((JSON, "Models")))]),
        Entry::new(Method::GET, "/v2/limits", get(models::limits), "getLimits", "Tell how much is taken.")
            .answers(&[Answer(200, "The limits.", ANY)]),
        Entry::new(
            Method::POST,
            "/v2/reset",
            post(operations::reset),
            "reset",
            "Remove everything. For operators.",
        )
        .answers(&[Answer(200, "The number of the reset.", ANY)])
        .errors(&[Code::Forbidden, Code::Unavailable]),
        Entry::new(
            Method::GET,
            "/v2/operations/depth",
            get(operations::depth),
            "getDepth",
            "Tell how much waits. For operators.",
        )
        .answers(&[Answer(200, "How much of what.", Some((JSON, "Depth")))])
        .errors(&[Code::Forbidden, Code::Unavailable]),
        Entry::new(
            Method::GET,
            "/v2/operations/workers",
            get(operations::workers),
            "listWorkers",
            "Tell who works on what. For operators.",
        )
        .params(&[Param::Query("limit", "Workers, at most 1000.")])
        .answers(&[Answer(
            200,
            "Those at work, the longest silent first, then those that wait.",
            Some((JSON, "Workers")),
        )])
        .errors(&[Code::InvalidRequest, Code::Forbidden, Code::Unavailable]),
        Entry::new(
            Method::GET,
            "/v2/operations/dead",
            get(operations::dead),
            "listDead",
            "List what was given up. For operators.",
        )
        .params(&[Param::Query("limit", "Entries, at most 1000.")])
        .answers(&[Answer(200, "The latest first.", ANY)])
        .errors(&[Code::InvalidRequest, Code::Forbidden, Code::Unavailable]),
        Entry::new(
            Method::DELETE,
            "/v2/operations/dead/{id}",
            delete(operations::bury),
            "buryDead",
            "Take an entry off the list. For operators.",
        )
        .answers(&[Answer(204, "It is off the list.", None)])
        .errors(&[Code::Forbidden, Code::NotFound, Code::Unavailable]),
        Entry::new(
            Method::POST,
            "/v2/operations/dead/{id}/redrive",
            post(operations::revive),
            "redriveDead",
            "Do the work of a dead job anew. For operators.",
        )
        .answers(&[Answer(202, "The new job.", JOB)])
        .errors(&[Code::Forbidden, Code::NotFound, Code::TenantFull, Code::Full, Code::Unavailable]),
        Entry::new(Method::GET, "/openapi.json", get(page::document), "getDocument", "This document.")
            .answers(&[Answer(200, "The document.", ANY)]),
        Entry::new(Method::GET, "/docs", get(page::docs), "getDocs", "A page for this document.")
            .answers(&[Answer(200, "The page.", Some(("text/html", "Text")))]),
        Entry::new(Method::GET, "/", get(web::home), "getHome", "The page for people.")
            .answers(&[Answer(200, "The page.", Some(("text/html", "Text"))), SAME]),
        Entry::new(
            Method::GET,
            "/operators",
            get(web::operators),
            "getOperators",
            "The page for who runs the service.",
        )
        .answers(&[Answer(200, "The page.", Some(("text/html", "Text"))), SAME]),
        Entry::new(Method::GET, "/web/{file}", get(web::file), "getPageFile", "What the page consists of.")
            .answers(&[Answer(200, "The file.", Some(("text/*", "Text"))), SAME])
            .errors(&[Code::NotFound]),
        Entry::new(Method::POST, "/", post(page::hello), "postHome", "Say that the server is there.")
            .answers(&[Answer(200, "It is.", ANY)]),
    ]
}

fn older_entries() -> Vec<Entry> {
    const REMOVED: &[Answer] = &[Answer(200, "It is not there, now or as before.", ANY)];
    vec![
        Entry::new(Method::POST, "/apiv1/separate", post(apiv1::separate), "oldSeparate", "Separate a song.")
            .body(&[(JSON, "OldSeparate")])
            .answers(&[Answer(200, "The song's hash.", Some((JSON, "OldSeparated")))])
            .errors(&[
                Code::InvalidRequest,
                Code::UnknownModel,
                Code::Empty,
                Code::Timeout,
                Code::TooLarge,
                Code::NotAudio,
                Code::TenantFull,
                Code::Full,
                Code::Unavailable,
            ]),
        Entry::new(Method::GET, "/apiv1/queue", get(apiv1::queue), "oldQueue", "List songs that wait.")
            .answers(&[Answer(200, "Their hashes.", Some((JSON, "OldQueue")))])
            .errors(&[Code::Unavailable]),
        Entry::new(Method::GET, "/apiv1/queue/", get(apiv1::queue), "oldQueueSlash", "List songs that wait.")
            .answers(&[Answer(200, "Their hashes.", Some((JSON, "OldQueue")))])
            .errors(&[Code::Unavailable]),
        Entry::new(
            Method::GET,
            "/apiv1/track/{song}/{track}",
            get(apiv1::track),
            "oldTrack",
            "Fetch a track.",
        )
        .params(&[Param::Header("Range", "A part of the file.")])
        .answers(&[
            Answer(200, "The file.", Some(("audio/mpeg", "File"))),
            Answer(206, "A part of it.", Some(("audio/mpeg", "File"))),
            SAME,
        ])
        .errors(&[Code::NotFound, Code::Gone, Code::Range, Code::Unavailable]),
        Entry::new(
            Method::GET,
            "/apiv1/remove/{song}/{track}",
            get(apiv1::remove),
            "oldRemoveGet",
            "Remove a track.",
        )
        .answers(REMOVED)
        .errors(&[Code::Forbidden, Code::NotFound, Code::Unavailable]),
        Entry::new(
            Method::DELETE,
            "/apiv1/remove/{song}/{track}",
            delete(apiv1::remove),
            "oldRemove",
            "Remove a track.",
        )
        .answers(REMOVED)
        .errors(&[Code::Forbidden, Code::NotFound, Code::Unavailable]),
    ]
}
