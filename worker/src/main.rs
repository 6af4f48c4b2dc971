//! The worker pod: reads settings, loads its network, works until it is told to stop.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use clap::Parser;
use common::admin::{self, Health};
use common::backends::{self, KeepArgs, QueueArgs, StoreArgs};
use common::{shutdown, telemetry};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use worker::{WorkerArgs, WorkerError};

/// Takes songs from the queue, separates them, and puts their stems into the object store.
#[derive(Debug, Parser)]
#[command(name = "worker", version)]
struct Config {
    #[command(flatten)]
    worker: WorkerArgs,
    #[command(flatten)]
    queue: QueueArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    keep: KeepArgs,
    /// Address of health and metrics.
    #[arg(long, env = "MSAAS_ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    address: IpAddr,
    /// Port of health and metrics.
    #[arg(long, env = "MSAAS_ADMIN_PORT", default_value_t = 8081)]
    admin_port: u16,
    /// Which log lines are written: a level, or levels for modules as in `info,worker=debug`.
    #[arg(long, env = "MSAAS_LOG", default_value = "info")]
    log: String,
    /// Write log lines as JSON.
    #[arg(long, env = "MSAAS_LOG_JSON")]
    log_json: bool,
}

fn main() -> ExitCode {
    worker::decoder::if_asked().unwrap_or_else(work)
}

#[tokio::main]
async fn work() -> ExitCode {
    match run(Config::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            if error.is::<WorkerError>() {
                // The work that hangs holds a thread that the runtime would wait for.
                std::process::exit(1);
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> Result<()> {
    let format = if config.log_json { telemetry::Format::Json } else { telemetry::Format::Text };
    let journal = telemetry::init("worker", format, &config.log).map_err(anyhow::Error::msg)?;
    let figures = telemetry::figures().map_err(anyhow::Error::msg)?;
    let stop = shutdown::on_signals().context("signals cannot be heard")?;
    let warm = Arc::new(Warm(AtomicBool::new(false)));
    let address = SocketAddr::new(config.address, config.admin_port);
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("nothing can listen on {address}"))?;
    tokio::spawn(admin::serve(
        listener,
        admin::router(warm.clone(), Some(figures)),
        CancellationToken::new(),
    ));

    let ledger = backends::ledger(&config.queue, &config.store, config.keep.into(), &stop).await?;
    let Some(ledger) = ledger else { return Ok(()) };
    tokio::spawn(journal.run(ledger.queue().clone(), stop.clone()));
    let worker = Arc::new(config.worker.worker(ledger)?);
    let (engine, model) = (Arc::clone(&worker), config.worker.model.clone());
    tokio::task::spawn_blocking(move || engine.warm_up(&model)).await??;
    warm.0.store(true, Ordering::Release);
    tracing::info!(model = %config.worker.model, "ready");
    worker.run(&stop).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Ready once the network is loaded and has run.
#[derive(Debug)]
struct Warm(AtomicBool);

#[async_trait::async_trait]
impl Health for Warm {
    async fn ready(&self) -> Result<(), String> {
        if self.0.load(Ordering::Acquire) { Ok(()) } else { Err("the network is not loaded yet".to_owned()) }
    }
}
