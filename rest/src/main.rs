//! The REST pod: reads settings, connects, serves until it is told to stop.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use common::admin;
use common::process::{self, Process};
use rest::Config;

/// The HTTP interface of the service: takes songs in, queues jobs, serves results.
#[derive(Debug, Parser)]
#[command(name = "rest", version, args_override_self = true)]
struct Program {
    #[command(flatten)]
    config: Config,
    /// Ask the one that runs here whether it is ready, and exit with the answer: for health checks of containers.
    #[arg(long)]
    ready: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let program = process::settings(std::env::args_os()).unwrap_or_else(|error| error.exit());
    match run(program).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(program: Program) -> Result<()> {
    let config = program.config;
    if program.ready {
        return admin::ask(config.address, config.admin_port).map_err(anyhow::Error::msg);
    }
    let mut process = Process::begin("rest", &config.telemetry).map_err(anyhow::Error::msg)?;
    let ledger = process.ledger(&config.queue, &config.store, config.keep).await?;
    let Some(ledger) = ledger else { return Ok(()) };
    rest::run(config, ledger, Some(process.figures.clone()), process.stop.clone()).await
}
