//! The routes: one table, from which the router and the `OpenAPI` document are both made.

mod apiv1;
mod cover;
mod create;
mod derived;
mod download;
mod editor;
mod entry;
mod events;
mod jobs;
pub(crate) mod list;
mod models;
mod operations;
mod page;
mod peaks;
pub(crate) mod stems;
mod table;
mod uploads;
mod web;
mod zip;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::from_fn_with_state;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::auth::gate;
use crate::config::Config;
use crate::envelope::envelope;
use crate::error::{Code, Dialect, Problem};
use crate::state::App;

pub(crate) use self::table::{Answer, Entry, Param, entries};
pub(crate) use self::web::is_page;

/// The whole interface.
pub(crate) fn router(app: &App) -> Router {
    let mut router = Router::new();
    for entry in entries() {
        router = router.route(entry.path, entry.handler);
    }
    router
        .layer(from_fn_with_state(app.clone(), gate))
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::plain(Code::MethodNotAllowed))
        .layer(DefaultBodyLimit::disable())
        .layer(cors(&app.config))
        .layer(from_fn_with_state(app.clone(), envelope))
        .with_state(app.clone())
}

/// Pages of the origins that are named may call; of no other, except the editor's routes where its switch is on.
fn cors(config: &Config) -> CorsLayer {
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::RANGE,
            header::IF_NONE_MATCH,
            HeaderName::from_static("prefer"),
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
            HeaderName::from_static("x-api-key"),
            HeaderName::from_static("x-request-id"),
        ])
        .expose_headers([
            header::LOCATION,
            header::RETRY_AFTER,
            header::ETAG,
            header::CONTENT_RANGE,
            header::ACCEPT_RANGES,
            header::CONTENT_DISPOSITION,
            HeaderName::from_static("x-request-id"),
            HeaderName::from_static("idempotent-replayed"),
        ]);
    if config.cors.iter().any(|origin| origin == "*") {
        return layer.allow_origin(AllowOrigin::any());
    }
    let origins: Vec<HeaderValue> = config
        .cors
        .iter()
        .filter_map(|origin| HeaderValue::from_str(origin.trim_end_matches('/')).ok())
        .collect();
    let (songs, reset) = (config.editor.editor_cors, config.editor.editor_cors_reset);
    layer.allow_origin(AllowOrigin::predicate(move |origin, request| {
        let path = request.uri.path();
        let switched_on =
            if path == "/reset" { reset } else { songs && Dialect::of(path) == Dialect::Editor };
        switched_on || origins.contains(origin)
    }))
}
