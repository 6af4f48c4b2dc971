//! Results that a job was not asked for, of the same song.
//!
//! A result that is there is served. One that is not becomes a job of its own, with the options of the first one
//! and what is asked for beside them: the answer is 202 with that job, or it waits (`Prefer: wait`). The same
//! request finds the same job. While the sources of the song are kept, such a job takes moments; afterwards it
//! separates the song again.

use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use common::StemName;
use common::job::{Format, Mix, Options, Record, ResultFile};
use common::queue::State as JobState;

use super::download;
use super::jobs::{made, preferred};
use super::stems::file;
use crate::asked::gains;
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::request::{Query, RequestId, Words};
use crate::service::{Wish, accept_song, facts, find};
use crate::state::App;

/// A result, or the answer that tells of the job that makes it.
pub(super) enum Derived {
    Ready(Box<Record>, ResultFile),
    Later(Response),
}

/// Who asks for what.
pub(super) struct Wanted<'a> {
    pub(super) app: &'a App,
    pub(super) caller: &'a Caller,
    pub(super) request_id: RequestId,
    pub(super) headers: &'a HeaderMap,
}

impl Wanted<'_> {
    /// The result `name` of the same song with other options.
    pub(super) async fn of(
        self,
        record: &Record,
        options: Options,
        name: &StemName,
    ) -> Result<Derived, Problem> {
        let options = self.app.models.checked(options)?;
        if options == record.options
            && let Some(result) = self.app.ledger.result(record, name).await?
        {
            return Ok(Derived::Ready(Box::new(record.clone()), result));
        }
        let tenant = self.caller.tenant.clone();
        let wish = Wish { tenant, options, callback: None, request_id: self.request_id };
        let accepted = accept_song(self.app, &facts(record), &wish).await?;
        let (_, _, later) = made(self.app, &accepted, preferred(self.headers)).await?;
        if let Some(result) = self.app.ledger.result(&accepted.record, name).await? {
            return Ok(Derived::Ready(Box::new(accepted.record), result));
        }
        let view = self.app.ledger.view(&accepted.record).await?;
        match view.state {
            JobState::Queued | JobState::Running => {
                let (mut parts, body) = later.into_parts();
                parts.status = axum::http::StatusCode::ACCEPTED;
                Ok(Derived::Later(Response::from_parts(parts, body)))
            }
            _ => {
                let why = view.error.map_or_else(|| "the job was canceled".to_owned(), |error| error.detail);
                Err(Problem::new(Code::NotFinished, why))
            }
        }
    }
}

/// `GET /v2/jobs/{id}/mix`: `gains=vocals:1,drums:0.5`, and another format where one is asked for.
pub(super) async fn mix(
    State(app): State<App>,
    caller: Caller,
    request_id: RequestId,
    Words([id]): Words<1>,
    query: Query,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let record = find(&app, &caller, &id).await?;
    let gains = gains(query.get("gains").unwrap_or_default())?;
    if gains.is_empty() {
        let why = "gains say what is mixed, as stem:gain,stem:gain";
        return Err(Problem::new(Code::InvalidOption, why).param("gains"));
    }
    let format = match query.get("format") {
        None => record.options.format,
        Some("mp3") => Format::default(),
        Some("wav") => Format::Wav { bits: 16 },
        Some("flac") => Format::Flac { bits: 16 },
        Some(_) => {
            return Err(Problem::new(Code::InvalidOption, "the format is mp3, wav or flac").param("format"));
        }
    };
    // A mix that the job was asked for is there already, or will be.
    let same = record.options.mixes.iter().find(|mix| mix.gains == gains && format == record.options.format);
    let (options, name) = if let Some(mix) = same {
        (record.options.clone(), mix.name.clone())
    } else {
        let name: StemName = "mix".parse().map_err(|_| Problem::plain(Code::Internal))?;
        let mixes = vec![Mix { name: name.clone(), gains }];
        let options = Options {
            mixes,
            only_mixes: true,
            format,
            two_stems: None,
            stems: Vec::new(),
            ..record.options.clone()
        };
        (options, name)
    };
    let wanted = Wanted { app: &app, caller: &caller, request_id, headers: &headers };
    match wanted.of(&record, options, &name).await? {
        Derived::Ready(record, result) => {
            download::answer(&app, file(&record, &result), &method, &headers).await
        }
        Derived::Later(response) => Ok(response),
    }
}
