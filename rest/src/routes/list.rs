//! `GET /v2/jobs`: a tenant's jobs, the latest first; those that have not ended in the order of the queue.
//!
//! Unfinished ones (`state=queued`, `state=running`) come from the queue, all others from the tenant's marks in the
//! store. A page may be shorter than its limit where few jobs have the state that is asked for: the cursor leads
//! on. Cursors mean nothing to clients.

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::JobId;
use common::job::{Record, View};
use common::ledger::Ledger;
use common::queue::State as JobState;
use serde::Serialize;

use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::request::Query;
use crate::state::App;

/// Jobs on a page where the request does not say.
const USUAL: usize = 50;

/// Jobs on a page at most.
const MOST: usize = 200;

/// Jobs that one request looks at at most.
const LOOKED_AT: usize = 1000;

/// A page of jobs.
#[derive(Debug, Serialize)]
pub(crate) struct Page {
    pub(crate) jobs: Vec<View>,
    /// Of the next page, if there may be one.
    pub(crate) next_cursor: Option<String>,
}

/// Where a page begins: behind this job, of the queue or of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cursor {
    Queue(JobId),
    Store(JobId),
}

impl Cursor {
    fn text(self) -> String {
        URL_SAFE_NO_PAD.encode(match self {
            Self::Queue(job) => format!("q{job}"),
            Self::Store(job) => format!("s{job}"),
        })
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        let parse = || {
            let plain = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
            let job = plain.get(1..)?.parse().ok()?;
            match plain.as_bytes()[0] {
                b'q' => Some(Self::Queue(job)),
                b's' => Some(Self::Store(job)),
                _ => None,
            }
        };
        parse().ok_or_else(|| Problem::plain(Code::InvalidCursor).param("cursor"))
    }
}

/// `GET /v2/jobs`.
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    query: Query,
) -> Result<Json<Page>, Problem> {
    let state = query.get("state").filter(|state| !state.is_empty()).map(state).transpose()?;
    let (limit, cursor) = (query.number("limit")?, query.get("cursor").unwrap_or_default());
    page(&app, &caller, state, limit, cursor).await.map(Json)
}

/// A page of a caller's jobs, whoever shows it; of the first one the cursor is empty.
pub(crate) async fn page(
    app: &App,
    caller: &Caller,
    state: Option<JobState>,
    limit: Option<usize>,
    cursor: &str,
) -> Result<Page, Problem> {
    let limit = limit.unwrap_or(USUAL).clamp(1, MOST);
    let cursor = Some(cursor).filter(|cursor| !cursor.is_empty()).map(Cursor::parse).transpose()?;
    let listing = Listing { app, caller, state, limit };
    Ok(match (state, cursor) {
        (Some(JobState::Queued | JobState::Running), None) => listing.queue(None).await?,
        (Some(JobState::Queued | JobState::Running), Some(Cursor::Queue(job))) => {
            listing.queue(Some(job)).await?
        }
        (_, Some(Cursor::Queue(_)))
        | (Some(JobState::Queued | JobState::Running), Some(Cursor::Store(_))) => {
            return Err(Problem::plain(Code::InvalidCursor).param("cursor"));
        }
        (_, None) => listing.store(None).await?,
        (_, Some(Cursor::Store(job))) => listing.store(Some(job)).await?,
    })
}

fn state(text: &str) -> Result<JobState, Problem> {
    let known = "a state is queued, running, succeeded, failed or canceled";
    serde_json::from_value(text.into()).map_err(|_| Problem::new(Code::InvalidRequest, known).param("state"))
}

struct Listing<'a> {
    app: &'a App,
    caller: &'a Caller,
    state: Option<JobState>,
    limit: usize,
}

impl Listing<'_> {
    async fn queue(&self, mut after: Option<JobId>) -> Result<Page, Problem> {
        let (mut jobs, mut looked_at) = (Vec::new(), 0);
        loop {
            let page = self.app.ledger.queue().unfinished(after, 100).await?;
            if page.is_empty() {
                return Ok(Page { jobs, next_cursor: None });
            }
            for (job, _) in page {
                after = Some(job);
                looked_at += 1;
                jobs.extend(self.view(&job).await?);
                if jobs.len() == self.limit || looked_at == LOOKED_AT {
                    return Ok(Page { jobs, next_cursor: Some(Cursor::Queue(job).text()) });
                }
            }
        }
    }

    async fn store(&self, mut after: Option<JobId>) -> Result<Page, Problem> {
        let (mut jobs, mut looked_at) = (Vec::new(), 0);
        loop {
            let page = self.app.ledger.jobs(&self.caller.tenant, after.as_ref(), 100).await?;
            for job in page.jobs {
                after = Some(job);
                looked_at += 1;
                jobs.extend(self.view(&job).await?);
                if jobs.len() == self.limit || looked_at == LOOKED_AT {
                    return Ok(Page { jobs, next_cursor: Some(Cursor::Store(job).text()) });
                }
            }
            if !page.more {
                return Ok(Page { jobs, next_cursor: None });
            }
        }
    }

    /// A job as it is now, if it is one of those that are asked for.
    async fn view(&self, job: &JobId) -> Result<Option<View>, Problem> {
        let own = |record: &Record| record.tenant == self.caller.tenant && !Ledger::is_over(record);
        let Some(record) = self.app.ledger.record(job).await?.filter(own) else { return Ok(None) };
        let view = self.app.ledger.view(&record).await?;
        Ok(self.state.is_none_or(|state| view.state == state).then_some(view))
    }
}

#[cfg(test)]
mod tests {
    use common::Epoch;

    use super::*;

    #[test]
    fn a_cursor_comes_back_and_nothing_else_is_one() {
        for cursor in [Cursor::Queue(JobId::new(Epoch(3))), Cursor::Store(JobId::new(Epoch(0)))] {
            assert_eq!(Cursor::parse(&cursor.text()).unwrap(), cursor);
        }
        for bad in ["x", "cTMtMDE5OA", "é", "////", &URL_SAFE_NO_PAD.encode("é")] {
            assert!(Cursor::parse(bad).is_err(), "{bad}");
        }
    }
}
