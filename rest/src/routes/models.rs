//! What can be asked for, and how much of it.

use axum::Json;
use axum::extract::State;
use common::job::{MOST_MIXES, MP3_RATES_KBPS};
use serde_json::{Value, json};

use crate::state::App;

/// `GET /v2/models`.
pub(super) async fn models(State(app): State<App>) -> Json<Value> {
    Json(json!({ "models": app.models.all(), "default": app.models.usual().model }))
}

/// `GET /v2/limits`.
pub(super) async fn limits(State(app): State<App>) -> Json<Value> {
    let limits = &app.config.limits;
    Json(json!({
        "upload_bytes": limits.upload_bytes,
        "base64_bytes": limits.base64_bytes,
        "jobs": limits.jobs_of_tenant.min(limits.jobs),
        "songs": limits.songs_of_tenant,
        "requests_per_second": limits.rate,
        "requests_at_once": limits.burst,
        "keep_results_s": app.config.keep.keep_results.as_secs(),
        "keep_sources_s": app.config.keep.keep_sources.as_secs(),
        "wait_s": 60,
        "links": app.fetcher.is_on(),
        "formats": {
            "mp3": { "bitrate_kbps": MP3_RATES_KBPS },
            "wav": { "bits": [16, 24, 32] },
            "flac": { "bits": [16, 24] },
        },
        "rate_hz": [8_000, 192_000],
        "mixes": MOST_MIXES,
        "shifts": [0, 20],
        "overlap": [0.0, 0.9],
    }))
}
