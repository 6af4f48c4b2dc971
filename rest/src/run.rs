//! The server with everything around it, for the binary and for programs that have it inside.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use common::admin;
use common::ledger::Ledger;
use common::process;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::auth::{Caller, Keys};
use crate::callback::{Callbacks, Secret};
use crate::config::{AuthMode, Config};
use crate::grpc::Grpc;
use crate::outside::{Guard, Outside, System};
use crate::{App, background};

/// Serves until `stop`: the interface, by HTTP and gRPC, health and figures on their own port, sweeps and notifications.
///
/// # Errors
/// Where a setting cannot be used or a port is taken.
pub async fn run(
    mut config: Config,
    ledger: Ledger,
    figures: Option<PrometheusHandle>,
    stop: CancellationToken,
) -> Result<()> {
    fit(&mut config, process::descriptors());
    let (keys, callbacks) = (keys(&config)?, callbacks(&config)?);
    let listener = bind(config.address, config.port).await?;
    let admin_listener = bind(config.address, config.admin_port).await?;
    let grpc_listener = match config.grpc.grpc_port {
        0 => None,
        port => Some(bind(config.address, port).await?),
    };
    if Caller::anyone(&config.auth).operator && !config.address.is_loopback() {
        let address = config.address;
        tracing::warn!(%address, "no key is wanted: whoever reaches this address may do everything, resets included");
    }
    let app = App::new(ledger, config, keys, callbacks, stop);
    let grpc = grpc_listener.map(|listener| Ok::<_, anyhow::Error>((Grpc::new(app.clone())?, listener)));
    let grpc = grpc.transpose()?;
    background::start(&app);
    let routes = admin::router(Arc::new(background::Ready(app.clone())), figures);
    tokio::spawn(admin::serve(admin_listener, routes, CancellationToken::new()));
    tracing::info!(address = %listener.local_addr()?, "serving");
    let stop = app.closing.clone();
    let by_http = async { Ok(crate::serve(listener, app, stop.clone()).await?) };
    let by_grpc = async {
        match grpc {
            Some((grpc, listener)) => grpc.serve(listener, stop.clone()).await,
            None => Ok(()),
        }
    };
    tokio::try_join!(by_http, by_grpc)?;
    tracing::info!("stopped");
    Ok(())
}

/// Leaves a quarter of the descriptors to the store, the queue and, in the same process, the work: HTTP and gRPC share
/// the rest.
fn fit(config: &mut Config, descriptors: usize) {
    let ways = if config.grpc.grpc_port == 0 { 1 } else { 2 };
    let most = (descriptors - descriptors / 4) / ways;
    if config.limits.connections > most {
        tracing::warn!(descriptors, connections = most, "fewer connections are taken than the settings say");
        config.limits.connections = most;
    }
}

fn keys(config: &Config) -> Result<Keys> {
    let auth = &config.auth;
    let keys = Keys::load(auth.key_file.as_deref(), auth.keys.as_deref()).map_err(anyhow::Error::msg)?;
    if keys.is_empty() && [auth.auth, auth.auth_old].contains(&AuthMode::Key) {
        bail!("a key is wanted, but none is known: name a file with --key-file");
    }
    Ok(keys)
}

fn callbacks(config: &Config) -> Result<Callbacks> {
    let args = &config.callbacks;
    let guard = Guard { allow: args.callback_allow.clone(), http: args.callback_http };
    let secret =
        args.callback_secret.as_deref().map(Secret::parse).transpose().map_err(anyhow::Error::msg)?;
    Ok(Callbacks::new(guard, secret, Outside::new(Arc::new(System))))
}

async fn bind(address: std::net::IpAddr, port: u16) -> Result<TcpListener> {
    let address = SocketAddr::new(address, port);
    TcpListener::bind(address).await.with_context(|| format!("nothing can listen on {address}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn a_quarter_of_the_descriptors_is_left_to_others() {
        let connections = |args: &[&str], descriptors| {
            let mut config = Config::parse_from([&["rest"], args].concat());
            fit(&mut config, descriptors);
            config.limits.connections
        };
        assert_eq!(connections(&[], 1 << 20), 8192);
        assert_eq!(connections(&[], 1024), 384);
        assert_eq!(connections(&["--grpc-port", "0"], 1024), 768);
        assert_eq!(connections(&["--connections", "9"], 1024), 9);
    }
}
