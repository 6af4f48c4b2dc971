//! Health and metrics on a port of their own, that no client reaches.
//!
//! | path | what |
//! | --- | --- |
//! | `/healthz` | 200 while the process is worth keeping |
//! | `/readyz` | 200 while it can take work, otherwise 503 with the reason |
//! | `/metrics` | figures in the text format of Prometheus |

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What a process says of itself.
#[async_trait::async_trait]
pub trait Health: Send + Sync + 'static {
    /// Why the process should be replaced, if it should.
    async fn alive(&self) -> Result<(), String> {
        Ok(())
    }

    /// Why the process cannot take work now, if it cannot.
    async fn ready(&self) -> Result<(), String>;

    /// Brings figures up to date that are worth a look only when somebody asks for them.
    async fn measure(&self) {}
}

#[derive(Clone)]
struct Admin {
    health: Arc<dyn Health>,
    figures: Option<PrometheusHandle>,
}

/// The routes of the port.
pub fn router(health: Arc<dyn Health>, figures: Option<PrometheusHandle>) -> Router {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Admin { health, figures })
}

/// Answers on `listener` until `stop`.
///
/// # Errors
/// Those of accepting connections.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> std::io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn alive(State(admin): State<Admin>) -> Response {
    said(admin.health.alive().await)
}

async fn ready(State(admin): State<Admin>) -> Response {
    said(admin.health.ready().await)
}

fn said(result: Result<(), String>) -> Response {
    match result {
        Ok(()) => "ok\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    admin.health.measure().await;
    let text = admin.figures.map(|figures| figures.render()).unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
