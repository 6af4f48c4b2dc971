//! Health and metrics on a port of their own, that no client reaches.
//!
//! | path | what |
//! | --- | --- |
//! | `/healthz` | 200 while the process is worth keeping |
//! | `/readyz` | 200 while it can take work, otherwise 503 with the reason |
//! | `/metrics` | figures in the text format of Prometheus |

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

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

/// Asks the process whose port this is whether it can take work: for health checks in images that hold no other program.
/// Blocks, 5 s at most for each step.
///
/// # Errors
/// Why it cannot, in one line.
pub fn ask(listens: IpAddr, port: u16) -> Result<(), String> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let here = match listens {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        named => named,
    };
    let mut answer = String::new();
    let mut exchange = || {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::new(here, port), PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
        stream.take(1 << 16).read_to_string(&mut answer)
    };
    exchange().map_err(|error| format!("nothing answers on port {port}: {error}"))?;
    match answer.split_once("\r\n\r\n") {
        Some((head, _)) if head.split(' ').nth(1) == Some("200") => Ok(()),
        Some((_, why)) => Err(why.trim().to_owned()),
        None => Err("what answers does not speak HTTP".to_owned()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Says(Result<(), String>);

    #[async_trait::async_trait]
    impl Health for Says {
        async fn ready(&self) -> Result<(), String> {
            self.0.clone()
        }
    }

    /// What one hears who asks a process of this state.
    async fn heard(state: Result<(), String>) -> Result<(), String> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(listener, router(Arc::new(Says(state)), None), stop.clone()));
        let asked = tokio::task::spawn_blocking(move || ask(address.ip(), address.port())).await;
        stop.cancel();
        server.await.expect("no panic").expect("no error");
        asked.expect("no panic")
    }

    #[tokio::test]
    async fn who_asks_hears_that_a_process_is_ready_or_why_it_is_not() {
        assert_eq!(heard(Ok(())).await, Ok(()));
        assert_eq!(heard(Err("the store is away".to_owned())).await, Err("the store is away".to_owned()));
    }

    #[tokio::test]
    async fn a_process_that_is_not_there_is_not_ready() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let why = ask(address.ip(), address.port()).expect_err("nobody listens");
        assert!(why.starts_with("nothing answers on port"), "{why}");
    }
}
