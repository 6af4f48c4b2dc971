//! What programs are told of the interface: that it is there, its document, and a page for that.

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::openapi;

/// Nothing is loaded from anywhere, nothing runs.
const STYLE_ONLY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

/// `POST /`: the sample client sends its callback here too.
pub(super) async fn hello() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// `GET /openapi.json`.
pub(super) async fn document() -> Response {
    ([(header::CACHE_CONTROL, "public, max-age=300")], Json(openapi::document())).into_response()
}

/// `GET /docs`.
pub(super) async fn docs() -> Response {
    html(openapi::page())
}

fn html(text: String) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, STYLE_ONLY)];
    (headers, text).into_response()
}
