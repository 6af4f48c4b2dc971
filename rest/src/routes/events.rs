//! `GET /v2/jobs/{id}/events`: what happens to a job, as server-sent events.
//!
//! Events `state`, `progress`, `stem` (which names the stem beside the job) and `snapshot`, as [`follow`](crate::follow)
//! tells them. `id` is the event's number, so that `Last-Event-ID` goes on where a connection broke off. A client that
//! asks again after the end is answered 204, which ends its reconnecting.

use std::convert::Infallible;
use std::fmt::Write as _;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::json;

use crate::auth::Caller;
use crate::error::Problem;
use crate::follow::{Follower, Told, What};
use crate::limits::Subject;
use crate::request::{Query, Words, text};
use crate::service::find;
use crate::state::App;

/// `GET /v2/jobs/{id}/events`.
pub(super) async fn events(
    State(app): State<App>,
    caller: Caller,
    Extension(subject): Extension<Subject>,
    Words([id]): Words<1>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let record = find(&app, &caller, &id).await?;
    let resumed = text(&headers, "last-event-id").parse::<u64>().ok().or(query.number("after")?);
    let view = app.ledger.view(&record).await?;
    let last = app.ledger.queue().status(record.id).await?.map(|status| status.last_event);
    if let Some(after) = resumed
        && view.state.is_terminal()
        && last.is_none_or(|last| last <= after)
    {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let place = app.streams.enter(subject)?;
    let follower = Follower::new(app, record, resumed.unwrap_or(0), place);
    let told = stream::unfold(follower, async |mut follower| {
        let told = follower.next().await?;
        Some((text_of(&told), follower))
    });
    let texts = stream::iter(["retry: 2000\n\n".to_owned()]).chain(told);
    let body = texts.map(|text| Ok::<_, Infallible>(Bytes::from(text)));
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, Body::from_stream(body)).into_response())
}

fn text_of(told: &Told) -> String {
    let Told::Happened(happened) = told else { return ": still here\n\n".to_owned() };
    let name = match happened.what {
        What::Snapshot => "snapshot",
        What::State => "state",
        What::Progress => "progress",
        What::Stem => "stem",
    };
    let mut job = json!(*happened.view);
    if let Some(stem) = &happened.stem {
        job["stem"] = json!(stem);
    }
    let mut text = String::new();
    if let Some(number) = happened.number {
        writeln!(text, "id: {number}").ok();
    }
    write!(text, "event: {name}\ndata: {job}\n\n").ok();
    text
}
