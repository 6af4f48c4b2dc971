//! The REST pod: reads settings, connects, serves until it is told to stop.

use std::process::ExitCode;

use anyhow::Result;
use common::process::{self, Process};
use rest::Config;

#[tokio::main]
async fn main() -> ExitCode {
    let config = process::settings(std::env::args_os()).unwrap_or_else(|error| error.exit());
    match run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> Result<()> {
    let mut process = Process::begin("rest", &config.telemetry).map_err(anyhow::Error::msg)?;
    let ledger = process.ledger(&config.queue, &config.store, config.keep).await?;
    let Some(ledger) = ledger else { return Ok(()) };
    rest::run(config, ledger, Some(process.figures.clone()), process.stop.clone()).await
}
