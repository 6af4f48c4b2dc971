//! `msaas serve`: the whole service in one process.

use std::sync::Arc;

use anyhow::{Context, Result};
use common::{backends, shutdown, telemetry};

use crate::cli::ServeArgs;
use crate::terminal;

/// Runs the command.
pub(crate) fn run(args: ServeArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start the threads of the server")?.block_on(serve(args))
}

async fn serve(args: ServeArgs) -> Result<()> {
    let ServeArgs { rest, worker, no_worker } = args;
    let journal = telemetry::init("serve", rest.log_format.into(), &rest.log).map_err(anyhow::Error::msg)?;
    let figures = telemetry::figures().map_err(anyhow::Error::msg)?;
    let stop = shutdown::on_signals().context("cannot listen for signals")?;
    let Some(ledger) = backends::ledger(&rest.queue, &rest.store, rest.keep.into(), &stop).await? else {
        return Ok(());
    };
    tokio::spawn(journal.run(ledger.queue().clone(), stop.clone()));
    // What an earlier process had accepted goes on at once, not at the next sweep.
    ledger.sweep_pending().await?;
    let served = rest::run(rest, ledger.clone(), Some(figures), stop.clone());
    if no_worker {
        return served.await;
    }
    let model = worker.model.clone();
    let worker = Arc::new(worker.worker(ledger)?);
    let engine = Arc::clone(&worker);
    let working = async {
        // Songs are accepted meanwhile; a network that cannot be had ends the program with a sentence.
        tokio::task::spawn_blocking(move || engine.warm_up(&model)).await??;
        tracing::info!("the network is ready");
        worker.run(&stop).await?;
        Ok(())
    };
    let done = tokio::try_join!(served, working);
    stop.cancel();
    if let Err(error) = &done
        && error.is::<worker::WorkerError>()
    {
        terminal::complain(&format!("msaas: {}", terminal::sentence(error)));
        // The work that hangs holds a thread that the runtime would wait for.
        std::process::exit(1);
    }
    done.map(|_| ())
}
