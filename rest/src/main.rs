//! The REST pod: reads settings, connects, serves until it is told to stop.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use common::{backends, shutdown, telemetry};
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
    let journal =
        telemetry::init("rest", config.log_format.into(), &config.log).map_err(anyhow::Error::msg)?;
    let figures = telemetry::figures().map_err(anyhow::Error::msg)?;
    let stop = shutdown::on_signals().context("signals cannot be heard")?;
    let ledger = backends::ledger(&config.queue, &config.store, config.keep.into(), &stop).await?;
    let Some(ledger) = ledger else { return Ok(()) };
    tokio::spawn(journal.run(ledger.queue().clone(), stop.clone()));
    rest::run(config, ledger, Some(figures), stop).await
}
