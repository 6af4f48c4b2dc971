//! `GET /v2/jobs/{id}/cover`: the picture that the song carries.

use std::io::Cursor;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use common::ObjectKey;
use common::storage::StoreError;
use futures_util::TryStreamExt as _;

use crate::auth::Caller;
use crate::digest::hex;
use crate::error::{Code, Problem};
use crate::range::names;
use crate::request::{Words, text};
use crate::service::find;
use crate::state::App;

/// Bytes of the song's beginning that are looked at: a picture that ends behind them is not found.
const BEGINNING_BYTES: u64 = 4 << 20;

/// `GET` and `HEAD /v2/jobs/{id}/cover`.
pub(super) async fn cover(
    State(app): State<App>,
    caller: Caller,
    Words([id]): Words<1>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let record = find(&app, &caller, &id).await?;
    let key = ObjectKey::song(&record.tenant, &record.song);
    let range = 0..record.size_bytes.min(BEGINNING_BYTES);
    let mut body = app.ledger.store().get(&key, Some(range)).await?.body;
    let mut beginning = Vec::new();
    while let Some(bytes) =
        body.try_next().await.map_err(|error| StoreError::Unavailable(error.to_string()))?
    {
        beginning.extend_from_slice(&bytes);
    }
    let read = tokio::task::spawn_blocking(move || tags::read(&mut Cursor::new(beginning)).cover);
    let cover = read.await.map_err(|error| Problem::plain(Code::Internal).caused_by(error))?;
    let cover = cover.ok_or_else(|| Problem::new(Code::NotFound, "the song has no cover"))?;
    // The song is what its hash says, and so is its cover.
    let etag = hex(record.song.to_string(), 16);
    let quoted =
        [(header::ETAG, format!("\"{etag}\"")), (header::CACHE_CONTROL, "private, no-cache".to_owned())];
    if names(text(&headers, "if-none-match"), &etag, true) {
        return Ok((StatusCode::NOT_MODIFIED, quoted).into_response());
    }
    Ok((quoted, [(header::CONTENT_TYPE, cover.mime)], cover.bytes).into_response())
}
