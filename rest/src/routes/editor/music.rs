//! Songs: sent, listed, asked for; and beginning anew.

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use common::job::Music;
use serde::Serialize;
use serde_json::{Value, json};

use super::tracks::{self, Track};
use super::{find, invalid, missing};
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::pages::no_foreign_page;
use crate::request::{MAX_JSON_BYTES, RequestId, Words, media_type};
use crate::service::{Wish, accept_song, facts_of_music, keep_upload};
use crate::state::App;
use crate::upload::{Form, RawSource, Received, receive};

/// A song as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    music_id: u64,
    name: String,
    band: String,
    tracks: Vec<Track>,
}

impl Shown {
    fn of(app: &App, music: &Music) -> Result<Self, Problem> {
        let told = |text: &Option<String>, otherwise: &str| {
            text.as_deref().filter(|text| !text.trim().is_empty()).unwrap_or(otherwise).to_owned()
        };
        Ok(Self {
            music_id: music.song.number(),
            name: told(&music.title.title, "unknown_song"),
            band: told(&music.title.artist, "unknown_band"),
            tracks: tracks::all(&app.models, &app.models.usual())?,
        })
    }
}

/// `POST /music`.
pub(super) async fn submit(
    State(app): State<App>,
    caller: Caller,
    request: Request,
) -> Result<Json<Shown>, Problem> {
    app.admission.keep(&app, &caller.tenant).await?;
    let _place = app.admission.enter(&app).await?;
    let received = take(&app, request).await.map_err(unusable)?;
    let music = keep_upload(&app, received, &caller.tenant).await?;
    Ok(Json(Shown::of(&app, &music)?))
}

/// The song of a request: its only file, or all of it.
async fn take(app: &App, request: Request) -> Result<Received, Problem> {
    let limit = app.config.limits.upload_bytes;
    if media_type(request.headers()) != "multipart/form-data" {
        return receive(app, &mut RawSource::new(request.into_body()), limit).await;
    }
    let mut form = Form::new(request, limit).await?;
    let mut song = None;
    while let Some(mut part) = form.next().await? {
        if !part.is_file() && !["body", "file", "music_file"].contains(&part.name()) {
            part.text().await?;
        } else if song.is_none() {
            song = Some(receive(app, &mut part, limit).await?);
        } else {
            return Err(invalid("the form has two songs"));
        }
    }
    song.ok_or_else(|| invalid("the form has no song"))
}

/// In the words of the contract, which has one for all that is wrong with a song.
fn unusable(problem: Problem) -> Problem {
    match problem.code() {
        Code::InvalidRequest | Code::Empty | Code::NotAudio => {
            invalid("Invalid input.").caused_by(problem.detail())
        }
        _ => problem,
    }
}

/// `GET /music`.
pub(super) async fn list(State(app): State<App>, caller: Caller) -> Result<Json<Vec<Shown>>, Problem> {
    let music = app.ledger.music(&caller.tenant).await?;
    Ok(Json(music.iter().map(|music| Shown::of(&app, music)).collect::<Result<_, _>>()?))
}

/// `POST /music/{id}`.
pub(super) async fn process(
    State(app): State<App>,
    caller: Caller,
    request_id: RequestId,
    Words([id]): Words<1>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let music = find(&app, &caller.tenant, &id).await?;
    let body = axum::body::to_bytes(body, MAX_JSON_BYTES).await.unwrap_or_default();
    let named = tracks::named(&body, &tracks::all(&app.models, &app.models.usual())?);
    let options = tracks::wanted(&app.models, named.ok_or_else(|| invalid("Track not found."))?)?;
    let wish = Wish { tenant: caller.tenant, options, callback: None, request_id };
    let accepted = match accept_song(&app, &facts_of_music(&music), &wish).await {
        Err(problem) if problem.code() == Code::NotFound => return Err(missing("Music not found.")),
        accepted => accepted?,
    };
    app.ledger.ask_music(music, &accepted.record).await?;
    Ok(Json(json!({})))
}

/// `POST /reset`: answered when everything is gone.
pub(super) async fn reset(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    caller.must_operate()?;
    if !app.config.editor.editor_cors_reset {
        no_foreign_page(&app, &headers)?;
    }
    // To its end, also where the client does not wait for that.
    let ledger = app.ledger.clone();
    let reset = app.tasks.spawn(async move { ledger.reset().await });
    let epoch = reset.await.map_err(|error| Problem::plain(Code::Internal).caused_by(error))??;
    tracing::warn!(epoch = epoch.0, "the service was reset");
    Ok(Json(json!({})))
}
