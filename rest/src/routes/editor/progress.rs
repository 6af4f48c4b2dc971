//! How far a song is, and its files.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use common::StemName;
use common::job::{Music, Record, View};
use common::ledger::Ledger;
use common::queue::State as JobState;
use serde::Serialize;

use super::{FINAL, find, missing};
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::links;
use crate::request::Words;
use crate::routes::{download, stems};
use crate::service;
use crate::state::App;

/// Why there is no mix of a song whose separation was stopped.
const CANCELED: &str = "canceled";

/// How far a song is.
#[derive(Debug, Default, Serialize)]
pub(super) struct Progress {
    /// 0 to 100; 100 only when the mix is there.
    #[serde(rename = "progress")]
    percent: u32,
    /// Those that can be fetched.
    instruments: Vec<Instrument>,
    /// Link to the mix, empty until it is there.
    #[serde(rename = "final")]
    mix: String,
    /// Why there will be none, in a member of our own.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Instrument {
    name: StemName,
    track: String,
}

/// `GET /music/{id}`.
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    Words([id]): Words<1>,
    headers: HeaderMap,
) -> Result<Json<Progress>, Problem> {
    let music = find(&app, &caller.tenant, &id).await?;
    let Some(record) = asked(&app, &music).await? else {
        // Asked for, and deleted since: it does not go on either.
        let error = music.asked.map(|_| CANCELED.to_owned());
        return Ok(Json(Progress { error, ..Progress::default() }));
    };
    let view = app.ledger.view(&record).await?;
    let base = links::base(app.config.editor.public_url.as_ref(), &headers);
    Ok(Json(of(&view, &format!("{base}/music/{}/{}", music.song.number(), record.id))))
}

/// The job that was asked for last.
async fn asked(app: &App, music: &Music) -> Result<Option<Record>, Problem> {
    let Some(job) = music.asked else { return Ok(None) };
    Ok(app.ledger.record(&job).await?.filter(|record| !Ledger::is_over(record)))
}

/// `files` is where the job's files are.
fn of(view: &View, files: &str) -> Progress {
    let link = |stem: &StemName| format!("{files}/{stem}.mp3");
    let mut progress = Progress {
        percent: view.progress.percent,
        error: match view.state {
            JobState::Canceled => Some(CANCELED.to_owned()),
            _ => view.error.as_ref().map(|error| error.detail.clone()),
        },
        ..Progress::default()
    };
    for stem in &view.stems {
        if stem.name.as_str() == FINAL {
            progress.mix = link(&stem.name);
        } else {
            progress.instruments.push(Instrument { name: stem.name.clone(), track: link(&stem.name) });
        }
    }
    progress
}

/// `GET` and `HEAD /music/{id}/{job}/{stem}`.
pub(super) async fn file(
    State(app): State<App>,
    caller: Caller,
    Words([id, job, stem]): Words<3>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let missing = || missing("Track not found.");
    let record = match service::find(&app, &caller, &job).await {
        Err(problem) if problem.code() == Code::NotFound => return Err(missing()),
        record => record?,
    };
    if super::number(&id) != Some(record.song.number()) {
        return Err(missing());
    }
    let extension = format!(".{}", record.options.format.extension());
    let name = stem.strip_suffix(&*extension).unwrap_or(&stem).parse().map_err(|_| missing())?;
    let result = app.ledger.result(&record, &name).await?.ok_or_else(missing)?;
    download::answer(&app, stems::file(&record, &result), &method, &headers).await
}
