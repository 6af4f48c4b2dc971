//! One job: look, cancel, delete.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use common::job::{Record, View};
use common::ledger::Accepted;
use serde_json::Value;

use crate::auth::Caller;
use crate::digest::hex;
use crate::error::{Code, Problem};
use crate::pages::no_misled_page;
use crate::range::names;
use crate::request::{Query, Words, text};
use crate::service::{find, wait};
use crate::state::App;

/// Seconds until a job that is not ready is worth another look.
const LOOK_AGAIN_S: u64 = 2;

/// Longest `Prefer: wait`.
const LONGEST_WAIT_S: u64 = 60;

/// `GET /v2/jobs/{id}`.
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    Words([id]): Words<1>,
    headers: HeaderMap,
) -> Result<axum::response::Response, Problem> {
    let record = find(&app, &caller, &id).await?;
    let wanted = preferred(&headers);
    let view = wait(&app, &record, wanted.unwrap_or_default()).await?;
    let body =
        serde_json::to_string(&view).map_err(|error| Problem::plain(Code::Internal).caused_by(error))?;
    let etag = hex(&body, 16);
    if names(text(&headers, "if-none-match"), &etag, true) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, format!("\"{etag}\""))]).into_response());
    }
    let mut response = ([(header::CONTENT_TYPE, "application/json")], body).into_response();
    insert(response.headers_mut(), header::ETAG, &format!("\"{etag}\""));
    insert(response.headers_mut(), header::CACHE_CONTROL, "private, no-cache");
    applied(&mut response, wanted);
    Ok(response)
}

/// `POST /v2/jobs/{id}/cancel`.
pub(super) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Words([id]): Words<1>,
    headers: HeaderMap,
) -> Result<Json<View>, Problem> {
    no_misled_page(&app, &headers)?;
    let record = find(&app, &caller, &id).await?;
    app.ledger.cancel(&record).await?;
    tracing::info!(job.id = %record.id, "canceled a job");
    Ok(Json(app.ledger.view(&record).await?))
}

/// `DELETE /v2/jobs/{id}`.
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Words([id]): Words<1>,
    Query(_): Query,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    no_misled_page(&app, &headers)?;
    let record = find(&app, &caller, &id).await?;
    app.ledger.delete(&record).await?;
    tracing::info!(job.id = %record.id, "deleted a job");
    Ok(StatusCode::NO_CONTENT)
}

/// How long a client would rather wait than look again. Source: RFC 7240, 4.3.
pub(super) fn preferred(headers: &HeaderMap) -> Option<Duration> {
    let all = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let wait = all.flat_map(|value| value.split([',', ';'])).find_map(|part| {
        let (name, seconds) = part.split_once('=')?;
        let seconds = seconds.trim().trim_matches('"').parse::<u64>().ok()?;
        name.trim().eq_ignore_ascii_case("wait").then_some(seconds)
    })?;
    Some(Duration::from_secs(wait.min(LONGEST_WAIT_S)))
}

fn applied(response: &mut axum::response::Response, wait: Option<Duration>) {
    if let Some(wait) = wait {
        let name = HeaderName::from_static("preference-applied");
        insert(response.headers_mut(), name, &format!("wait={}", wait.as_secs()));
    }
}

/// The answer to a request that made a job, or found it there: 202 while a new one goes on, 200 otherwise.
pub(super) async fn made(
    app: &App,
    accepted: &Accepted,
    wanted: Option<Duration>,
) -> Result<(StatusCode, String, axum::response::Response), Problem> {
    let Accepted { record, deduplicated } = accepted;
    let view = match wanted {
        None if !deduplicated => app.ledger.view_of_new(record).await?,
        wanted => wait(app, record, wanted.unwrap_or_default()).await?,
    };
    let ended = view.state.is_terminal();
    let status = if *deduplicated || ended { StatusCode::OK } else { StatusCode::ACCEPTED };
    let internal = |error| Problem::plain(Code::Internal).caused_by(error);
    let mut body = serde_json::to_value(&view).map_err(internal)?;
    if *deduplicated {
        body["deduplicated"] = Value::Bool(true);
    }
    let body = body.to_string();
    let mut response = answer(status, &location(record), &body);
    if !ended {
        insert(response.headers_mut(), header::RETRY_AFTER, &LOOK_AGAIN_S.to_string());
    }
    applied(&mut response, wanted);
    Ok((status, body, response))
}

/// An answer that tells of a job.
pub(super) fn answer(status: StatusCode, location: &str, body: &str) -> Response<Body> {
    let mut response =
        (status, [(header::CONTENT_TYPE, "application/json")], body.to_owned()).into_response();
    insert(response.headers_mut(), header::LOCATION, location);
    response
}

/// Where a job is.
pub(super) fn location(record: &Record) -> String {
    format!("/v2/jobs/{}", record.id)
}

pub(super) fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
