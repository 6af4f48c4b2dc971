//! For who runs the service: how much waits, what was given up, beginning anew.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use common::queue::{Dead, Depth, Seen};
use serde_json::{Value, json};

use super::jobs::{answer, location};
use crate::auth::Caller;
use crate::error::Problem;
use crate::pages::{no_foreign_page, no_misled_page};
use crate::request::{Query, RequestId, Words};
use crate::service::redrive;
use crate::state::App;

/// Entries that one answer lists at most.
const MOST: usize = 1000;

/// `GET /v2/operations/depth`.
pub(super) async fn depth(State(app): State<App>, caller: Caller) -> Result<Json<Depth>, Problem> {
    caller.must_operate()?;
    Ok(Json(app.ledger.queue().depth().await?))
}

/// `GET /v2/operations/workers`.
pub(super) async fn workers(
    State(app): State<App>,
    caller: Caller,
    query: Query,
) -> Result<Json<Value>, Problem> {
    caller.must_operate()?;
    let limit = query.number::<usize>("limit")?.unwrap_or(100).clamp(1, MOST);
    let workers: Vec<Seen> = app.ledger.queue().workers(limit).await?;
    Ok(Json(json!({ "workers": workers })))
}

/// `GET /v2/operations/dead`.
pub(super) async fn dead(
    State(app): State<App>,
    caller: Caller,
    query: Query,
) -> Result<Json<Value>, Problem> {
    caller.must_operate()?;
    let limit = query.number::<usize>("limit")?.unwrap_or(100).clamp(1, MOST);
    let dead: Vec<Dead> = app.ledger.queue().dead(limit).await?;
    Ok(Json(json!({ "dead": dead })))
}

/// `POST /v2/operations/dead/{id}/redrive`: the same work as a new job; the entry goes off the list.
pub(super) async fn revive(
    State(app): State<App>,
    caller: Caller,
    request_id: RequestId,
    Words([id]): Words<1>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.must_operate()?;
    no_foreign_page(&app, &headers)?;
    let job = id.parse().map_err(|_| Problem::not_found())?;
    let record = app.ledger.record(&job).await?.ok_or_else(Problem::not_found)?;
    // So that the failure is written down before the same work is asked for.
    app.ledger.view(&record).await?;
    let accepted = redrive(&app, &record, &request_id).await?;
    app.ledger.queue().bury(job).await?;
    tracing::info!(job.id = %accepted.record.id, of = %job, "the work of a dead job is done anew");
    let view = serde_json::to_value(app.ledger.view(&accepted.record).await?).unwrap_or_default();
    Ok(answer(StatusCode::ACCEPTED, &location(&accepted.record), &view.to_string()))
}

/// `DELETE /v2/operations/dead/{id}`.
pub(super) async fn bury(
    State(app): State<App>,
    caller: Caller,
    Words([id]): Words<1>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    caller.must_operate()?;
    no_misled_page(&app, &headers)?;
    app.ledger.queue().bury(id.parse().map_err(|_| Problem::not_found())?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v2/reset`: all jobs stop, all songs and results of all tenants go.
pub(super) async fn reset(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    caller.must_operate()?;
    no_foreign_page(&app, &headers)?;
    let (epoch, began) = app.ledger.begin_reset().await?;
    tracing::warn!(epoch = epoch.0, "the service was reset");
    let ledger = app.ledger.clone();
    app.tasks.spawn(async move {
        if let Err(error) = ledger.remove_before(epoch, began).await {
            tracing::warn!(%error, "what was there before the reset is not removed to its end");
        }
    });
    Ok(Json(json!({ "epoch": epoch })))
}
