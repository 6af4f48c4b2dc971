//! Uploads that come before their job: past this server where the store signs addresses, otherwise to it.
//!
//! The name of an upload is random and known to nobody but who asked for it.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use common::ObjectKey;
use common::storage::{Cut, Joined, Signed, StoreError, Write, Written};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::request::{Words, json, json_or_default};
use crate::state::App;
use crate::upload::{RawSource, receive, too_large};

/// How long an upload may begin.
const VALID: Duration = Duration::from_hours(1);

/// Uploads that are larger are sent in parts, in bytes.
const WHOLE_BYTES: u64 = 64 << 20;

/// Length of a part in bytes, unless there were more than [`MOST_PARTS`] of them.
const PART_BYTES: u64 = 16 << 20;

/// Parts of one upload: an answer names them all, and S3 lists as many at once.
const MOST_PARTS: u64 = 1000;

/// What is said of a song that is to be sent.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Announced {
    size_bytes: Option<u64>,
}

/// Where to send a song.
#[derive(Debug, Serialize)]
struct Upload {
    id: String,
    /// Where to: at the store, or below this server's address.
    url: String,
    method: &'static str,
    expires_in_s: u64,
    max_bytes: u64,
    #[serde(flatten)]
    parts: Option<Parts>,
}

/// Where to send the parts of a large one instead.
#[derive(Debug, Serialize)]
struct Parts {
    /// Of all but the last.
    part_bytes: u64,
    /// Where to, in their order.
    parts: Vec<String>,
}

/// How an upload is cut, as it lies in the store.
#[derive(Debug, Serialize, Deserialize)]
struct InParts {
    v: u32,
    /// Names it to the store.
    upload: String,
    cut: Cut,
}

/// The name of an upload as clients write it.
pub(super) fn id(text: &str) -> Result<Uuid, Problem> {
    let unknown = || Problem::new(Code::NotFound, "there is no such upload").param("upload");
    let id = Uuid::try_parse(text).map_err(|_| unknown())?;
    if id.simple().to_string() == text { Ok(id) } else { Err(unknown()) }
}

/// `POST /v2/uploads`.
pub(super) async fn create(State(app): State<App>, caller: Caller, body: Body) -> Result<Response, Problem> {
    let announced: Announced = json_or_default(body).await?;
    let size_bytes = announced.size_bytes.unwrap_or(0);
    if size_bytes > app.config.limits.upload_bytes {
        return Err(too_large(app.config.limits.upload_bytes));
    }
    app.admission.keep(&app, &caller.tenant).await?;
    let name = Uuid::new_v4();
    app.ledger.hold_upload(&caller.tenant, name).await?;
    let (parts, signed) = if size_bytes > WHOLE_BYTES {
        (in_parts(&app, name, size_bytes).await?, None)
    } else {
        (None, app.sign(&ObjectKey::incoming(name), Signed::Put, VALID, None).await?)
    };
    let own = format!("/v2/uploads/{}", name.simple());
    let upload = Upload {
        id: name.simple().to_string(),
        url: signed.unwrap_or_else(|| own.clone()),
        method: "PUT",
        expires_in_s: VALID.as_secs(),
        max_bytes: app.config.limits.upload_bytes,
        parts,
    };
    Ok((StatusCode::CREATED, [(header::LOCATION, own)], Json(upload)).into_response())
}

/// Addresses for the parts of a large upload, where the store has some for clients.
async fn in_parts(app: &App, name: Uuid, size_bytes: u64) -> Result<Option<Parts>, Problem> {
    let part_bytes = PART_BYTES.max(size_bytes.div_ceil(MOST_PARTS));
    let cut = Cut { size_bytes, part_bytes };
    let Some(signed) = app.sign_parts(&ObjectKey::incoming(name), cut, VALID).await? else { return Ok(None) };
    let record = InParts { v: 1, upload: signed.upload, cut };
    let record =
        serde_json::to_vec(&record).map_err(|error| Problem::plain(Code::Internal).caused_by(error))?;
    app.ledger.store().put(&ObjectKey::incoming_cut(name), record.into(), Write::Once).await?;
    Ok(Some(Parts { part_bytes, parts: signed.addresses }))
}

/// Makes an upload whole that was sent in parts; of any other nothing has to be done.
pub(super) async fn join(app: &App, name: Uuid) -> Result<(), Problem> {
    let (store, key) = (app.ledger.store(), ObjectKey::incoming_cut(name));
    let object = match store.get(&key, None).await {
        Ok(object) => object,
        Err(StoreError::NotFound(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let record: InParts = json(Body::from_stream(object.body)).await?;
    match store.join(&ObjectKey::incoming(name), &record.upload, record.cut).await? {
        Joined::Missing(number) => {
            let why = format!("part {number} of the upload has not been sent, or not all of it");
            Err(Problem::new(Code::UploadIncomplete, why).param("upload"))
        }
        Joined::Whole | Joined::Unknown => Ok(store.delete(&key).await?),
    }
}

/// `PUT /v2/uploads/{id}`.
pub(super) async fn put(
    State(app): State<App>,
    caller: Caller,
    Words([name]): Words<1>,
    body: Body,
) -> Result<StatusCode, Problem> {
    let name = id(&name)?;
    let (key, limits) = (ObjectKey::incoming(name), &app.config.limits);
    if !app.ledger.holds_upload(&caller.tenant, name).await? {
        app.admission.keep(&app, &caller.tenant).await?;
    }
    let _place = app.admission.enter(&app).await?;
    // Under a name that nobody knows until it is whole: what breaks off then touches no other request's bytes.
    let mut source = RawSource::new(body);
    let received = receive(&app, &mut source, limits.upload_bytes).await?;
    let written = received.bytes.put(app.ledger.store(), &key).await?;
    app.ledger.hold_upload(&caller.tenant, name).await?;
    match written {
        Written::Stored => Ok(StatusCode::NO_CONTENT),
        Written::Exists => Err(Problem::plain(Code::UploadExists)),
    }
}
