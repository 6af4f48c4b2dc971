//! Serving one object: whole or in part, if it is not the one that the client has already.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use common::ObjectKey;
use common::storage::Signed;

use crate::error::{Code, Problem};
use crate::range::{Wanted, names, wanted};
use crate::request::text;
use crate::state::App;

/// An object, and how it is shown.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) key: ObjectKey,
    pub(crate) size_bytes: u64,
    /// Without quotes.
    pub(crate) etag: String,
    pub(crate) media_type: &'static str,
    /// Name of the download, of plain characters.
    pub(crate) name: String,
}

/// How long a signed address works.
const SIGNED: Duration = Duration::from_mins(15);

/// An address at which the store itself serves the object; none where it does not.
pub(super) async fn redirect(app: &App, file: &File) -> Result<Option<Response<Body>>, Problem> {
    let signed = app.sign(&file.key, Signed::Get, SIGNED, Some(&file.name)).await?;
    let Some(url) = signed else { return Ok(None) };
    let answer =
        Response::builder().status(StatusCode::FOUND).header(header::LOCATION, url).body(Body::empty());
    answer.map(Some).map_err(|error| Problem::plain(Code::Internal).caused_by(error))
}

/// The answer to `GET` or `HEAD`.
pub(super) async fn answer(
    app: &App,
    file: File,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response<Body>, Problem> {
    let etag = format!("\"{}\"", file.etag);
    let mut answer = Response::builder()
        .header(header::ETAG, &etag)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CACHE_CONTROL, "private, no-cache");
    let failed = |error: axum::http::Error| Problem::plain(Code::Internal).caused_by(error);
    if names(text(headers, "if-none-match"), &file.etag, true) {
        return answer.status(StatusCode::NOT_MODIFIED).body(Body::empty()).map_err(failed);
    }
    let condition = text(headers, "if-range");
    let counts = condition.is_empty() || names(condition, &file.etag, false);
    let range = match wanted(text(headers, "range"), file.size_bytes) {
        Wanted::Part(range) if counts && *method == Method::GET => Some(range),
        Wanted::Nothing if counts && *method == Method::GET => {
            return Err(Problem::plain(Code::Range).length(file.size_bytes));
        }
        _ => None,
    };
    answer = answer
        .header(header::CONTENT_TYPE, file.media_type)
        .header(header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", file.name));
    if *method == Method::HEAD {
        return answer.header(header::CONTENT_LENGTH, file.size_bytes).body(Body::empty()).map_err(failed);
    }
    let object = app.ledger.store().get(&file.key, range.clone()).await?;
    let length = object.range.end - object.range.start;
    answer = answer.header(header::CONTENT_LENGTH, length);
    if let Some(range) = range {
        let content = format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), file.size_bytes);
        answer = answer.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, content);
    }
    answer.body(Body::from_stream(object.body)).map_err(failed)
}
