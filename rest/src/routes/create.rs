//! `POST /v2/jobs`: a song as a form, as a plain body, sent before, or behind a link.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use common::ObjectKey;
use common::job::{Callback, Options};
use common::ledger::{Accepted, Answer};
use uuid::Uuid;

use super::jobs::{answer, location, made, preferred};
use super::uploads::join;
use crate::asked::{Asked, AskedJson};
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::idempotency::{self, Idempotent};
use crate::request::{Query, RequestId, json, media_type};
use crate::service::{Wish, accept_song, accept_upload, facts_of};
use crate::state::App;
use crate::upload::{Facts, Form, Incoming, Intake, RawSource, Received, Source, read_back, receive};

/// A song, wherever it is now.
enum Song {
    /// In `incoming/`, and of which upload where it was sent before.
    Received(Received, Option<Uuid>),
    /// Of a job that is there.
    Known(Facts),
    /// Of a request that is only compared with an earlier one.
    Compared,
}

/// Names of the part of a form that is the song.
const FILE_PARTS: [&str; 5] = ["file", "audio", "body", "music_file", "song"];

/// `POST /v2/jobs`.
pub(super) async fn create(
    State(app): State<App>,
    caller: Caller,
    request_id: RequestId,
    query: Query,
    request: Request,
) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    let idempotent = idempotency::begin(&app, &caller.tenant, &headers).await?;
    // A repeated request is read, but nothing of it is kept.
    let keep = !matches!(idempotent, Idempotent::Again(_));
    let _place = if keep { Some(app.admission.enter(&app).await?) } else { None };
    let taken = Taking { app: &app, caller: &caller, keep }.take(&headers, &query, request).await?;
    let Taken { named, song, options, callback } = taken;
    let asked = idempotency::asked(&named, &options, callback.as_ref());
    if let Idempotent::Again(first) = &idempotent {
        idempotency::same(first, &asked)?;
        return Ok(replayed(first));
    }
    let wish = Wish { tenant: caller.tenant.clone(), options, callback, request_id };
    let accepted = match song {
        Song::Received(received, sent) => {
            let accepted = accept_upload(&app, received, &wish).await?;
            if let Some(upload) = sent {
                // Kept until now, so that a refused request can be made again.
                drop(Incoming::new(&app, ObjectKey::incoming(upload)));
                app.ledger.release_upload(&caller.tenant, upload).await.ok();
            }
            accepted
        }
        Song::Known(facts) => accept_song(&app, &facts, &wish).await?,
        Song::Compared => return Err(Problem::plain(Code::Internal)),
    };
    respond(&app, &accepted, idempotent, asked, &headers).await
}

async fn respond(
    app: &App,
    accepted: &Accepted,
    idempotent: Idempotent,
    asked: String,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let (status, body, response) = made(app, accepted, preferred(headers)).await?;
    if let Idempotent::First(held) = idempotent {
        let location = location(&accepted.record);
        held.answered(Answer { asked, status: status.as_u16(), location, body }).await?;
    }
    Ok(response)
}

fn replayed(first: &Answer) -> Response {
    let status = StatusCode::from_u16(first.status).unwrap_or(StatusCode::OK);
    let mut response = answer(status, &first.location, &first.body);
    let name = HeaderName::from_static("idempotent-replayed");
    response.headers_mut().insert(name, HeaderValue::from_static("true"));
    response
}

/// Takes a request's body in.
struct Taking<'a> {
    app: &'a App,
    caller: &'a Caller,
    keep: bool,
}

/// What was asked for.
struct Taken {
    /// The song as the request names it: its hash, or that of an upload that is gone by the next time.
    named: String,
    song: Song,
    options: Options,
    callback: Option<Callback>,
}

impl Taking<'_> {
    async fn take(&self, headers: &HeaderMap, query: &Query, request: Request) -> Result<Taken, Problem> {
        let kind = media_type(headers);
        match kind.as_str() {
            "multipart/form-data" => self.form(Asked::from_pairs(&query.0)?, request).await,
            "application/json" => self.elsewhere(Asked::from_pairs(&query.0)?, request.into_body()).await,
            "" | "application/octet-stream" | "application/x-www-form-urlencoded" => {
                // The last is what curl says of --data-binary.
                self.body(Asked::from_pairs(&query.0)?, request.into_body()).await
            }
            _ if kind.starts_with("audio/") || kind.starts_with("video/") => {
                self.body(Asked::from_pairs(&query.0)?, request.into_body()).await
            }
            _ => Err(Problem::new(
                Code::MediaType,
                "send audio, application/octet-stream, multipart/form-data or application/json",
            )),
        }
    }

    async fn song(&self, source: &mut impl Source) -> Result<(String, Song), Problem> {
        let limit = self.app.config.limits.upload_bytes;
        if self.keep {
            let received = receive(self.app, source, limit).await?;
            Ok((received.facts.song.to_string(), Song::Received(received, None)))
        } else {
            Ok((Intake::new(limit).hear_all(source).await?.song.to_string(), Song::Compared))
        }
    }

    async fn body(&self, asked: Asked, body: Body) -> Result<Taken, Problem> {
        // Options first: a wrong one is told before the song is sent.
        let (options, callback) = asked.checked(self.app)?;
        let (named, song) = self.song(&mut RawSource::new(body)).await?;
        Ok(Taken { named, song, options, callback })
    }

    async fn form(&self, mut asked: Asked, request: Request) -> Result<Taken, Problem> {
        let mut form = Form::new(request, self.app.config.limits.upload_bytes).await?;
        let mut song = None;
        while let Some(mut part) = form.next().await? {
            let name = part.name().to_owned();
            if part.is_file() && name != "options" || FILE_PARTS.contains(&name.as_str()) {
                if song.is_some() {
                    return Err(Problem::new(Code::InvalidRequest, "the form has two songs").param("file"));
                }
                song = Some(self.song(&mut part).await?);
                continue;
            }
            let value = part.text().await?;
            asked.set(&name, &value)?;
        }
        let missing = || Problem::new(Code::InvalidRequest, "the form has no song").param("file");
        let (named, song) = song.ok_or_else(missing)?;
        let (options, callback) = asked.checked(self.app)?;
        Ok(Taken { named, song, options, callback })
    }

    /// A song that was sent before, or that this server fetches.
    async fn elsewhere(&self, mut asked: Asked, body: Body) -> Result<Taken, Problem> {
        let mut sent: AskedJson = json(body).await?;
        let (upload, song, url) = (sent.upload.take(), sent.song.take(), sent.url.take());
        asked.take(sent)?;
        let (options, callback) = asked.checked(self.app)?;
        let (named, song) = match (upload, song, url) {
            (Some(upload), None, None) => {
                let id = super::uploads::id(&upload)?;
                let song = if self.keep {
                    join(self.app, id).await?;
                    Song::Received(read_back(self.app, &ObjectKey::incoming(id)).await?, Some(id))
                } else {
                    Song::Compared
                };
                (format!("upload {id}"), song)
            }
            (None, Some(song), None) => {
                let facts = facts_of(self.app, &self.caller.tenant, &song).await?;
                (song.to_string(), if self.keep { Song::Known(facts) } else { Song::Compared })
            }
            (None, None, Some(url)) => {
                let target = self.app.fetcher.look(&url)?;
                let song = if self.keep {
                    let limits = &self.app.config.limits;
                    let mut fetched = self.app.fetcher.open(target, limits).await?;
                    Song::Received(receive(self.app, &mut fetched, limits.upload_bytes).await?, None)
                } else {
                    Song::Compared
                };
                (format!("link {url}"), song)
            }
            _ => {
                let why = "one of upload, song and url says what is to be separated";
                return Err(Problem::new(Code::InvalidRequest, why).param("upload"));
            }
        };
        Ok(Taken { named, song, options, callback })
    }
}
