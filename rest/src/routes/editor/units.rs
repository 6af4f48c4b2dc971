//! What workers did: units of work, which this contract calls jobs.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use common::SongHash;
use serde::Serialize;
use serde_json::Value;

use super::{missing, number, tracks};
use crate::auth::Caller;
use crate::error::Problem;
use crate::request::Words;
use crate::state::App;

/// A unit of work that is done.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    job_id: u64,
    /// Bytes that it stored: of a part the sums that the mix is made from, of the last one all files.
    size: u64,
    /// Seconds from its claim by a worker until they were stored.
    time: f64,
    music_id: u64,
    /// A number, or a list of them.
    track_id: Value,
}

/// `GET /job` and `GET /jobs`: of songs that are listed.
pub(super) async fn list(State(app): State<App>, caller: Caller) -> Result<Json<Vec<u64>>, Problem> {
    let music = app.ledger.music(&caller.tenant).await?;
    let songs: HashSet<SongHash> = music.iter().map(|music| music.song).collect();
    let units = app.ledger.units(&caller.tenant).await?;
    Ok(Json(units.into_iter().filter(|(song, ..)| songs.contains(song)).map(|(.., number)| number).collect()))
}

/// `GET /job/{id}` and `GET /jobs/{id}`.
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    Words([id]): Words<1>,
) -> Result<Json<Shown>, Problem> {
    let missing = || missing("Job not found.");
    let job_id = number(&id).ok_or_else(missing)?;
    let (record, unit) = app.ledger.unit(&caller.tenant, job_id).await?.ok_or_else(missing)?;
    Ok(Json(Shown {
        job_id,
        size: unit.size_bytes,
        time: unit.took_ms as f64 / 1e3,
        music_id: record.song.number(),
        track_id: tracks::numbers(&app.models, &record.options)?,
    }))
}
