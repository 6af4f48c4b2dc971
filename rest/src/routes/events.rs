//! `GET /v2/jobs/{id}/events`: what happens to a job, as server-sent events.
//!
//! Every event carries the whole job as it is when the event is sent: `state`, `progress`, and `stem`, which names
//! the stem beside it. `id` is the event's number, so that `Last-Event-ID` goes on where a connection broke off.
//! `snapshot` says that events are missing (the queue was lost, or had forgotten them): the job in it is what
//! counts. What the manifest says decides: the stream ends after the state that it names, and a client that asks
//! again after that is answered 204, which ends its reconnecting.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use common::job::{Record, View};
use common::queue::{Event, Happening};
use futures_util::stream;
use serde_json::Value;

use crate::auth::Caller;
use crate::error::Problem;
use crate::request::{Query, Words, text};
use crate::service::find;
use crate::state::App;

/// Longest silence; then a comment shows that the connection lives.
const SILENCE: Duration = Duration::from_secs(15);

/// How often a job is looked at without an event: its end may come without one.
const LOOK: Duration = Duration::from_secs(2);

/// Longest stream; clients reconnect and go on.
const LONGEST: Duration = Duration::from_hours(1);

/// Events that are read at once.
const BATCH: usize = 200;

/// `GET /v2/jobs/{id}/events`.
pub(super) async fn events(
    State(app): State<App>,
    caller: Caller,
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
    let follower = Follower::new(app, record, resumed.unwrap_or(0));
    let body = stream::unfold(follower, async |mut follower| {
        let text = follower.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), follower))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// One client's place in the events of a job.
struct Follower {
    app: App,
    record: Record,
    /// Number of the last event that was sent.
    after: u64,
    /// Whether anything was sent yet.
    begun: bool,
    waiting: VecDeque<String>,
    done: bool,
    silent_since: tokio::time::Instant,
    until: tokio::time::Instant,
}

impl Follower {
    fn new(app: App, record: Record, after: u64) -> Self {
        let now = tokio::time::Instant::now();
        let waiting = VecDeque::from(["retry: 2000\n\n".to_owned()]);
        Self {
            app,
            record,
            after,
            begun: false,
            waiting,
            done: false,
            silent_since: now,
            until: now + LONGEST,
        }
    }

    /// The next text for the client; none at the end.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(text) = self.waiting.pop_front() {
                self.silent_since = tokio::time::Instant::now();
                return Some(text);
            }
            if self.done || self.app.stop.is_cancelled() || tokio::time::Instant::now() > self.until {
                return None;
            }
            // Also where store or queue cannot be reached for now: the connection stays.
            if self.look().await.is_err() {
                tokio::time::sleep(LOOK).await;
            }
            if self.waiting.is_empty() && !self.done {
                if self.silent_since.elapsed() >= SILENCE {
                    self.waiting.push_back(": still here\n\n".to_owned());
                } else {
                    self.rest().await;
                }
            }
        }
    }

    /// Waits until something may have happened.
    async fn rest(&self) {
        let queue = self.app.ledger.queue();
        let nap = LOOK.min(SILENCE.saturating_sub(self.silent_since.elapsed()));
        tokio::select! {
            () = self.app.stop.cancelled() => {}
            changed = queue.changed(self.record.id, self.after, nap) => {
                // A queue that does not wait is not asked without a pause.
                if !matches!(changed, Ok(true)) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Puts in line whatever happened since the last look.
    async fn look(&mut self) -> Result<(), Problem> {
        let queue = self.app.ledger.queue();
        let last = queue.status(self.record.id).await?.map(|status| status.last_event);
        if last.is_none() && self.app.ledger.record(&self.record.id).await?.is_none() {
            // Deleted, or of before a reset: whoever comes again learns that there is no such job.
            self.done = true;
            return Ok(());
        }
        // The queue counts from 1 again: it was lost meanwhile.
        let forgotten = last.is_some_and(|last| last < self.after);
        let mut events =
            if forgotten { Vec::new() } else { queue.events(self.record.id, self.after, BATCH).await? };
        let view = self.app.ledger.view(&self.record).await?;
        let gap = events.first().is_some_and(|event| event.number > self.after + 1);
        if forgotten || gap || !self.begun && events.is_empty() {
            self.after = last.unwrap_or(self.after);
            events.retain(|event| event.number > self.after);
            self.push(Some(self.after).filter(|after| *after > 0), "snapshot", &view, None);
            self.done = view.state.is_terminal();
            return Ok(());
        }
        let newest_progress = events
            .iter()
            .rev()
            .find(|event| matches!(event.what, Happening::Progress { .. }))
            .map(|e| e.number);
        for event in &events {
            self.after = event.number;
            self.tell(event, newest_progress, &view);
        }
        let behind = last.is_some_and(|last| last > self.after);
        if view.state.is_terminal() && !behind && !self.done {
            // The manifest is there and the queue has not said so: it will, or it was lost.
            self.push(None, "state", &view, None);
            self.done = true;
        }
        Ok(())
    }

    fn tell(&mut self, event: &Event, newest_progress: Option<u64>, view: &View) {
        match &event.what {
            // A terminal state is one only with its manifest.
            Happening::State { state } if state.is_terminal() => {
                if view.state.is_terminal() {
                    self.push(Some(event.number), "state", view, None);
                    self.done = true;
                }
            }
            Happening::State { .. } => self.push(Some(event.number), "state", view, None),
            Happening::Progress { .. } if newest_progress != Some(event.number) => {}
            Happening::Progress { .. } => self.push(Some(event.number), "progress", view, None),
            Happening::Stem { stem } => self.push(Some(event.number), "stem", view, Some(stem.as_str())),
        }
    }

    fn push(&mut self, number: Option<u64>, name: &str, view: &View, stem: Option<&str>) {
        if self.done {
            return;
        }
        self.begun = true;
        let mut job = serde_json::to_value(view).unwrap_or_default();
        if let Some(stem) = stem {
            job["stem"] = Value::from(stem);
        }
        let mut text = String::new();
        if let Some(number) = number {
            writeln!(text, "id: {number}").ok();
        }
        write!(text, "event: {name}\ndata: {job}\n\n").ok();
        self.waiting.push_back(text);
    }
}
