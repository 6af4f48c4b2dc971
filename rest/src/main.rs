//! The REST pod: reads settings, connects, serves until it is told to stop.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;
use common::process::Process;
use rest::Config;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Config::parse()).await {
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
