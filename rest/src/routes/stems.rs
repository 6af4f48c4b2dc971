//! The files of a job: one by one, and all in one.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use common::job::{Ending, Record, ResultFile};
use common::ledger::Ledger;

use super::download::{self, File};
use super::zip;
use crate::auth::Caller;
use crate::digest::hex;
use crate::error::{Code, Problem};
use crate::range::names;
use crate::request::{Query, Words, text};
use crate::service::find;
use crate::state::App;

/// A result as a file for clients.
pub(crate) fn file(record: &Record, result: &ResultFile) -> File {
    File {
        key: Ledger::result_key(record, result),
        size_bytes: result.size_bytes,
        etag: result.sha256.clone(),
        media_type: record.options.format.media_type(),
        name: format!("{}-{}.{}", title(record), result.stem, record.options.format.extension()),
    }
}

/// The song's title in plain characters, or the beginning of its hash.
fn title(record: &Record) -> String {
    let title = record.title.title.as_deref().unwrap_or_default();
    let plain =
        title.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' }).take(80).collect::<String>();
    let words: Vec<&str> = plain.split_whitespace().collect();
    if words.is_empty() { record.song.to_string()[..16].to_owned() } else { words.join("-") }
}

/// `GET` and `HEAD /v2/jobs/{id}/stems/{stem}`.
pub(super) async fn stem(
    State(app): State<App>,
    caller: Caller,
    Words([id, stem]): Words<2>,
    query: Query,
    method: Method,
    headers: HeaderMap,
) -> Result<axum::response::Response, Problem> {
    let record = find(&app, &caller, &id).await?;
    // With the extension of its files or without any.
    let extension = format!(".{}", record.options.format.extension());
    let name = stem.strip_suffix(extension.as_str()).unwrap_or(&stem);
    let name = name.parse().map_err(|_| Problem::not_found())?;
    let result = app.ledger.result(&record, &name).await?;
    let result = result.ok_or_else(|| Problem::new(Code::NotFound, "there is no such stem, or not yet"))?;
    let file = file(&record, &result);
    if query.on("redirect")
        && let Some(redirect) = download::redirect(&app, &file).await?
    {
        return Ok(redirect);
    }
    download::answer(&app, file, &method, &headers).await
}

/// `GET` and `HEAD /v2/jobs/{id}/stems.zip`.
pub(super) async fn archive(
    State(app): State<App>,
    caller: Caller,
    Words([id]): Words<1>,
    method: Method,
    headers: HeaderMap,
) -> Result<axum::response::Response, Problem> {
    let record = find(&app, &caller, &id).await?;
    let ending = app.ledger.manifest(&record).await?.map(|manifest| manifest.ending);
    let Some(Ending::Succeeded { results }) = ending else { return Err(Problem::plain(Code::NotFinished)) };
    let etag = hex(results.iter().map(|result| result.sha256.as_str()).collect::<Vec<_>>().join("\n"), 16);
    let quoted = format!("\"{etag}\"");
    if names(text(&headers, "if-none-match"), &etag, true) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, quoted)]).into_response());
    }
    let extension = record.options.format.extension();
    let entries: Vec<zip::Entry> = results
        .iter()
        .map(|result| zip::Entry {
            name: format!("{}.{extension}", result.stem),
            size_bytes: result.size_bytes,
            key: Ledger::result_key(&record, result),
        })
        .collect();
    let answer = Response::builder()
        .header(header::CONTENT_TYPE, "application/zip")
        .header(header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}-stems.zip\"", title(&record)))
        .header(header::CACHE_CONTROL, "private, no-cache")
        .header(header::ETAG, quoted)
        .header(header::CONTENT_LENGTH, zip::length(&entries));
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        Body::from_stream(zip::stream(app.ledger.store().clone(), entries))
    };
    answer.body(body).map_err(|error| Problem::plain(Code::Internal).caused_by(error))
}
