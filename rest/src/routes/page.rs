//! What people see: a page that names the interfaces, and one for the native interface's document.

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::openapi;

/// Nothing is loaded from anywhere, nothing runs.
const STYLE_ONLY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

const HOME: &str = include_str!("page.html");

/// `GET /`.
pub(super) async fn home() -> Response {
    html(HOME.to_owned())
}

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
