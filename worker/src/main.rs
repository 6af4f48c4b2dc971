//! The worker pod: reads settings, loads its network, works until it is told to stop.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use common::admin::{self, Health};
use common::backends::{KeepArgs, QueueArgs, StoreArgs};
use common::process::{self, Process};
use common::telemetry::TelemetryArgs;
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
    #[command(flatten)]
    telemetry: TelemetryArgs,
    /// Die as by `kill -9` so many seconds after the first task began: to see that it costs no song.
    #[arg(long, env = "MSAAS_SIMULATE_CRASH_AFTER", value_name = "SECONDS", value_parser = worker::positive)]
    simulate_crash_after: Option<f64>,
    /// Ask the one that runs here whether it is ready, and exit with the answer: for health checks of containers.
    #[arg(long)]
    ready: bool,
}

fn main() -> ExitCode {
    worker::decoder::if_asked().unwrap_or_else(work)
}

#[tokio::main]
async fn work() -> ExitCode {
    let config = process::settings(std::env::args_os()).unwrap_or_else(|error| error.exit());
    match run(config).await {
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
    if config.ready {
        return admin::ask(config.address, config.admin_port).map_err(anyhow::Error::msg);
    }
    let mut process = Process::begin("worker", &config.telemetry).map_err(anyhow::Error::msg)?;
    let warm = Arc::new(Warm { has_run: AtomicBool::new(false), stop: process.stop.clone() });
    let address = SocketAddr::new(config.address, config.admin_port);
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("nothing can listen on {address}"))?;
    tokio::spawn(admin::serve(
        listener,
        admin::router(warm.clone(), Some(process.figures.clone())),
        CancellationToken::new(),
    ));

    let ledger = process.ledger(&config.queue, &config.store, config.keep).await?;
    let Some(ledger) = ledger else { return Ok(()) };
    let crash = config.simulate_crash_after.map(Duration::from_secs_f64);
    let worker = Arc::new(config.worker.worker(ledger)?.crashing_after(crash));
    let (engine, model) = (Arc::clone(&worker), config.worker.model());
    let loaded = model.clone();
    tokio::task::spawn_blocking(move || engine.warm_up(&loaded)).await??;
    warm.has_run.store(true, Ordering::Release);
    tracing::info!(%model, "ready");
    worker.run(&process.stop).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Ready once the network is loaded and has run, until it is time to stop.
#[derive(Debug)]
struct Warm {
    has_run: AtomicBool,
    stop: CancellationToken,
}

#[async_trait::async_trait]
impl Health for Warm {
    async fn ready(&self) -> Result<(), String> {
        match (self.stop.is_cancelled(), self.has_run.load(Ordering::Acquire)) {
            (true, _) => Err("stopping".to_owned()),
            (false, true) => Ok(()),
            (false, false) => Err("the network is not loaded yet".to_owned()),
        }
    }
}
