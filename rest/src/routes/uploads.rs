//! Uploads that come before their job: past this server where the store signs addresses, otherwise to it.
//!
//! The name of an upload is random and known to nobody but who asked for it.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use common::ObjectKey;
use common::storage::{Signed, Written};
use serde::Serialize;
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::request::{Words, text};
use crate::state::App;
use crate::upload::{RawSource, receive, too_large};

/// How long an upload may begin.
const VALID: Duration = Duration::from_hours(1);

/// Where to send a song.
#[derive(Debug, Serialize)]
struct Upload {
    id: String,
    /// Where to: at the store, or below this server's address.
    url: String,
    method: &'static str,
    expires_in_s: u64,
    max_bytes: u64,
}

/// The name of an upload as clients write it.
pub(super) fn id(text: &str) -> Result<Uuid, Problem> {
    let unknown = || Problem::new(Code::NotFound, "there is no such upload").param("upload");
    let id = Uuid::try_parse(text).map_err(|_| unknown())?;
    if id.simple().to_string() == text { Ok(id) } else { Err(unknown()) }
}

/// `POST /v2/uploads`.
pub(super) async fn create(State(app): State<App>, _: Caller) -> Result<Response, Problem> {
    let name = Uuid::new_v4();
    let signed = app.sign(&ObjectKey::incoming(name), Signed::Put, VALID, None).await?;
    let own = format!("/v2/uploads/{}", name.simple());
    let upload = Upload {
        id: name.simple().to_string(),
        url: signed.unwrap_or_else(|| own.clone()),
        method: "PUT",
        expires_in_s: VALID.as_secs(),
        max_bytes: app.config.limits.upload_bytes,
    };
    Ok((StatusCode::CREATED, [(header::LOCATION, own)], Json(upload)).into_response())
}

/// `PUT /v2/uploads/{id}`.
pub(super) async fn put(
    State(app): State<App>,
    _: Caller,
    Words([name]): Words<1>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let key = ObjectKey::incoming(id(&name)?);
    let limits = &app.config.limits;
    if text(&headers, "content-length").parse::<u64>().is_ok_and(|length| length > limits.upload_bytes) {
        return Err(too_large(limits.upload_bytes));
    }
    let _place = app.admission.enter(&app).await?;
    // Under a name that nobody knows until it is whole: what breaks off then touches no other request's bytes.
    let mut source = RawSource::new(body);
    let received = receive(&app, &mut source, limits.upload_bytes).await?;
    match received.bytes.put(app.ledger.store(), &key).await? {
        Written::Stored => Ok(StatusCode::NO_CONTENT),
        Written::Exists => Err(Problem::plain(Code::UploadExists)),
    }
}
