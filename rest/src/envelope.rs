//! What surrounds every request: a name, a span, a log line, figures, the error body, headers of every answer.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use common::telemetry::{TraceParent, describe};
use futures_util::FutureExt as _;
use tracing::Instrument as _;

use crate::error::{Code, Dialect, Problem, render};
use crate::pace::Paced;
use crate::request::{RequestId, text};
use crate::state::App;

/// Surrounds the handlers.
pub(crate) async fn envelope(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let dialect = Dialect::of(request.uri().path());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    request.extensions_mut().insert(id.clone());
    let request = request.map(|body| Body::new(Paced::new(body, &app.config.limits)));
    let began = Instant::now();
    let span = tracing::info_span!("request", otel.name = format!("{method} {route}"), otel.kind = "server", request.id = %id);
    if let Some(parent) = TraceParent::parse(text(request.headers(), "traceparent")) {
        parent.adopt(&span);
    }
    let run = AssertUnwindSafe(next.run(request)).catch_unwind();
    let response = match tokio::time::timeout(app.config.limits.total, run.instrument(span.clone())).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Problem::plain(Code::Internal).caused_by("a handler panicked").into_response(),
        Err(_) => Problem::plain(Code::Timeout).into_response(),
    };
    let mut response = render(response, &id, dialect);
    finish(response.headers_mut(), &id);
    count(&method, &route, response.status().as_u16(), began);
    let (status, took_ms) = (response.status().as_u16(), began.elapsed().as_millis() as u64);
    describe(&span, "http.response.status_code", i64::from(status));
    tracing::debug!(request.id = %id, %method, route, status, took_ms, "answered");
    response
}

/// Headers that every answer has, unless its handler knew better.
fn finish(headers: &mut HeaderMap, id: &RequestId) {
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        headers.insert(HeaderName::from_static(RequestId::HEADER), value);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

fn count(method: &Method, route: &str, status: u16, began: Instant) {
    let labels =
        [("method", known(method).to_owned()), ("route", route.to_owned()), ("status", status.to_string())];
    metrics::counter!("msaas_requests_total", &labels).increment(1);
    metrics::histogram!("msaas_request_seconds", &labels[..2]).record(began.elapsed().as_secs_f64());
}

/// Strangers may invent methods; figures have few labels.
fn known(method: &Method) -> &str {
    match *method {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::DELETE | Method::OPTIONS => {
            method.as_str()
        }
        _ => "other",
    }
}
