//! The music-separation-as-a-service contract, as its clients know it.
//!
//! Its names: a track is `<songhash>-<track>.mp3` in the output bucket, the default tenant's MP3 result of the
//! model that was asked for last. With a key of another tenant the same calls show that tenant's results, which
//! lie only under its jobs.
//!
//! **Removing.** `remove` takes a track away, and the same upload is separated again afterwards: the identity of
//! every job that made the track is withdrawn *first*, so that from then on nothing is found to be the same work,
//! and only then is the track removed. A job stays as long as one of its tracks can be fetched here (the native
//! interface still shows it whole); when the last one is removed the job is deleted, with its results, its record,
//! and the song where no other job needs it. Jobs that have not ended are left alone: their tracks are not there
//! yet, and removing nothing is no error.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use common::job::{Callback, Format, Options, Record, ResultFile, Verbatim};
use common::storage::Write;
use common::{ObjectKey, SongHash, StemName, Tenant};
use serde::Deserialize;
use serde_json::{Value, json};

use super::download::{self, File};
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::outside::Refusal;
use crate::pages::no_foreign_page;
use crate::request::{RequestId, Words};
use crate::service::{Wish, accept_upload};
use crate::state::App;
use crate::upload::{Envelope, JsonSource, receive};

/// What stands beside the song. Members that are not known mean nothing, as before.
#[derive(Debug, Deserialize)]
struct Beside {
    model: Option<String>,
    callback: Option<Beckon>,
}

/// Who is to be told; `url` is anything, and no text is refused as an address is.
#[derive(Debug, Deserialize)]
struct Beckon {
    #[serde(default)]
    url: Value,
    #[serde(default)]
    data: Verbatim,
}

/// `POST /apiv1/separate`.
pub(super) async fn separate(
    State(app): State<App>,
    caller: Caller,
    request_id: RequestId,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let _place = app.admission.enter(&app).await?;
    let limits = &app.config.limits;
    let mut envelope = Envelope::default();
    let mut source = JsonSource::new(body, limits.base64_bytes, &mut envelope)?;
    let received = receive(&app, &mut source, limits.base64_bytes).await?;
    let beside: Beside = envelope.others()?;
    let options = options(&app, beside.model.as_deref())?;
    let callback = match beside.callback {
        Some(beckon) => usable(&app, beckon).await,
        None => None,
    };
    let wish = Wish { tenant: caller.tenant, options, callback, request_id };
    let accepted = accept_upload(&app, received, &wish).await?;
    if accepted.deduplicated {
        // Asked for last: its results are the ones to be found from now on.
        app.ledger.republish(&accepted.record).await?;
    }
    Ok(Json(json!({ "hash": accepted.record.song, "reason": "Song enqueued for separation" })))
}

fn options(app: &App, model: Option<&str>) -> Result<Options, Problem> {
    let mut options = app.models.usual();
    if let Some(model) = model.filter(|model| !model.is_empty()) {
        options.model = app.models.named(model)?;
    }
    app.models.checked(options)
}

/// A callback that the guard refuses never fails the request.
async fn usable(app: &App, beckon: Beckon) -> Option<Callback> {
    let Value::String(url) = beckon.url else {
        tracing::info!("a callback without an address is skipped");
        return None;
    };
    match app.callbacks.check(&url).await {
        Ok(()) | Err(Refusal::Unknown) => Some(Callback { url, data: Some(beckon.data) }),
        Err(error) => {
            tracing::info!(%error, "a callback is skipped");
            None
        }
    }
}

/// Jobs that one answer names at most.
const MOST: usize = 10_000;

/// `GET /apiv1/queue`. A body is not looked at.
pub(super) async fn queue(State(app): State<App>, caller: Caller) -> Result<Json<Value>, Problem> {
    let queue = app.ledger.queue();
    let mut songs = Vec::new();
    let mut after = None;
    loop {
        let page = queue.unfinished(after, 500).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        for (job, song) in page {
            if is_of(&app, &caller.tenant, &job).await? {
                songs.push(song);
            }
        }
        if songs.len() >= MOST {
            break;
        }
    }
    Ok(Json(json!({ "queue": songs })))
}

/// Whose job it is need not be asked where there are no keys, and so no other tenants.
async fn is_of(app: &App, tenant: &Tenant, job: &common::JobId) -> Result<bool, Problem> {
    if app.keys.is_empty() {
        return Ok(true);
    }
    Ok(app.ledger.queue().status(*job).await?.is_some_and(|status| status.tenant == *tenant))
}

/// A song and one of its tracks, as they stand in the path.
fn named(app: &App, song: &str, track: &str) -> Result<(SongHash, StemName), Problem> {
    let unknown = || Problem::new(Code::NotFound, "there is no such track");
    let song = song.parse().map_err(|_| unknown())?;
    let track = match track.strip_suffix(".mp3").unwrap_or(track) {
        "base" => "bass",
        track => track,
    };
    let track = track.parse().map_err(|_| unknown())?;
    if !app.models.all().iter().any(|model| model.stems.contains(&track)) {
        return Err(unknown());
    }
    Ok((song, track))
}

fn file_name(song: &SongHash, track: &StemName) -> String {
    format!("{song}-{track}.mp3")
}

/// `GET /apiv1/track/<songhash>/<track>`.
pub(super) async fn track(
    State(app): State<App>,
    caller: Caller,
    Words([song, track]): Words<2>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (song, track) = named(&app, &song, &track)?;
    let key = if caller.tenant == Tenant::default_tenant() {
        Some(ObjectKey::published(&song, &track))
    } else {
        shown(&app, &caller.tenant, &song, &track)
            .await?
            .map(|(record, result)| common::ledger::Ledger::result_key(&record, &result))
    };
    let store = app.ledger.store();
    let found = match key {
        Some(key) => store.head(&key).await?.map(|meta| (key, meta)),
        None => None,
    };
    let Some((key, meta)) = found else { return Err(missing(&app, &caller.tenant, &song).await?) };
    let file = File {
        key,
        size_bytes: meta.size_bytes,
        etag: meta.etag,
        media_type: "audio/mpeg",
        name: file_name(&song, &track),
    };
    download::answer(&app, file, &method, &headers).await
}

/// Why there is no track.
async fn missing(app: &App, tenant: &Tenant, song: &SongHash) -> Result<Problem, Problem> {
    let over = app.ledger.store().head(&ObjectKey::gone(tenant, song)).await?.is_some();
    Ok(if over && app.ledger.jobs_with_song(tenant, song).await?.is_empty() {
        Problem::plain(Code::Gone)
    } else {
        Problem::new(Code::NotFound, "the track is not there, or not yet")
    })
}

/// The latest result of a tenant that this contract shows.
async fn shown(
    app: &App,
    tenant: &Tenant,
    song: &SongHash,
    track: &StemName,
) -> Result<Option<(Record, ResultFile)>, Problem> {
    for (record, results) in app.ledger.published_jobs(tenant, song).await? {
        if let Some(result) = results.into_iter().find(|result| result.stem == *track) {
            let removed = ObjectKey::removed(&record.work(), track);
            let is_removed = app.ledger.store().head(&removed).await?.is_some();
            return Ok((!is_removed).then_some((record, result)));
        }
    }
    Ok(None)
}

/// `GET` and `DELETE /apiv1/remove/<songhash>/<track>`.
pub(super) async fn remove(
    State(app): State<App>,
    caller: Caller,
    Words([song, track]): Words<2>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    // A GET that removes: any page could have it done in passing.
    no_foreign_page(&app, &headers)?;
    let (song, track) = named(&app, &song, &track)?;
    let store = app.ledger.store();
    let jobs = app.ledger.published_jobs(&caller.tenant, &song).await?;
    for (record, results) in &jobs {
        if results.iter().any(|result| result.stem == track) {
            app.ledger.withdraw(record).await?;
            store
                .put(&ObjectKey::removed(&record.work(), &track), bytes::Bytes::new(), Write::Replace)
                .await?;
        }
    }
    if caller.tenant == Tenant::default_tenant() {
        store.delete(&ObjectKey::published(&song, &track)).await?;
    }
    for (record, results) in &jobs {
        if all_removed(&app, record, results).await? {
            app.ledger.delete(record).await?;
            tracing::info!(job.id = %record.id, "deleted a job whose last track was removed");
        }
    }
    Ok(Json(json!({ "status": "deleted", "removed": file_name(&song, &track) })))
}

async fn all_removed(app: &App, record: &Record, results: &[ResultFile]) -> Result<bool, Problem> {
    debug_assert!(matches!(record.options.format, Format::Mp3 { .. }));
    for result in results {
        if app.ledger.store().head(&ObjectKey::removed(&record.work(), &result.stem)).await?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}
