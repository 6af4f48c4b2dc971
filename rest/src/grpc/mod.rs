//! The native interface by gRPC: the same jobs, the same rules, the same errors as status codes.
//!
//! `service.rs` has one method for each call, on top of what the HTTP routes use; `submit.rs`, `watch.rs` and
//! `download.rs` are those that stream.

mod call;
mod convert;
mod download;
mod incoming;
mod service;
mod status;
mod submit;
mod watch;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use common::admin::Health as _;
use proto::separation_server::SeparationServer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use self::service::Separation;
use crate::background::Ready;
use crate::config::GrpcArgs;
use crate::state::App;

/// Largest message of a client, in bytes.
const MESSAGE_BYTES: usize = 4 << 20;

/// Calls at once on one connection.
const CALLS: u32 = 128;

/// Between questions to a connection on which nothing happens, whether it lives.
const ALIVE_EVERY: Duration = Duration::from_secs(30);

/// Between looks at whether the service can take work.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Name of the service as health knows it, beside the empty one of the whole server.
const NAME: &str = <SeparationServer<Separation> as tonic::server::NamedService>::NAME;

/// A server that takes no call yet.
pub(crate) struct Grpc {
    server: Server,
    app: App,
}

impl Grpc {
    /// Reads certificate and key, where the settings name them.
    pub(crate) fn new(app: App) -> Result<Self> {
        let mut server = Server::builder()
            .max_concurrent_streams(CALLS)
            .http2_keepalive_interval(Some(ALIVE_EVERY))
            .http2_max_header_list_size(16 << 10);
        if let Some(identity) = identity(&app.config.grpc)? {
            let tls = ServerTlsConfig::new().identity(identity);
            server = server.tls_config(tls).context("the certificate of gRPC cannot be used with its key")?;
        }
        Ok(Self { server, app })
    }

    /// Answers on `listener` until `stop`; then waits for what is under way, at most as long as the settings say.
    pub(crate) async fn serve(mut self, listener: TcpListener, stop: CancellationToken) -> Result<()> {
        let (reporter, health) = tonic_health::server::health_reporter();
        let watched = tokio::spawn(watch_health(self.app.clone(), reporter, stop.clone()));
        let document = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let app = self.app.clone();
        let separation =
            SeparationServer::new(Separation(app.clone())).max_decoding_message_size(MESSAGE_BYTES);
        let served = self
            .server
            .add_service(InterceptedService::new(separation, move |request| call::admit(&app, request)))
            .add_service(health)
            .add_service(document().build_v1()?)
            .add_service(document().build_v1alpha()?)
            .serve_with_incoming_shutdown(
                incoming::incoming(listener, &self.app.config.limits),
                stop.clone().cancelled_owned(),
            );
        let shutdown = self.app.config.shutdown;
        tokio::select! {
            served = served => served.context("gRPC ended")?,
            () = async {
                stop.cancelled().await;
                tokio::time::sleep(shutdown).await;
            } => tracing::warn!("connections of gRPC are cut off"),
        }
        watched.await.ok();
        Ok(())
    }
}

fn identity(args: &GrpcArgs) -> Result<Option<Identity>> {
    let read =
        |path: &Path| std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()));
    match (&args.grpc_tls_cert, &args.grpc_tls_key) {
        (Some(certificate), Some(key)) => Ok(Some(Identity::from_pem(read(certificate)?, read(key)?))),
        _ => Ok(None),
    }
}

/// Tells who asks for health what the admin port tells.
async fn watch_health(app: App, mut reporter: HealthReporter, stop: CancellationToken) {
    let ready = Ready(app);
    loop {
        let status =
            if ready.ready().await.is_ok() { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in ["", NAME] {
            reporter.set_service_status(name, status).await;
        }
        if stop.is_cancelled() {
            // Who watches would hold the server up.
            for name in ["", NAME] {
                reporter.clear_service_status(name).await;
            }
            return;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}
