//! `msaas serve`: the whole service in one process.

use std::sync::Arc;

use anyhow::{Context, Result};
use common::process::Process;

use crate::cli::ServeArgs;
use crate::terminal;

/// Runs the command.
pub(crate) fn run(args: ServeArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start the threads of the server")?.block_on(serve(args))
}

async fn serve(args: ServeArgs) -> Result<()> {
    let ServeArgs { rest, worker, no_worker } = args;
    let mut process = Process::begin("serve", &rest.telemetry).map_err(anyhow::Error::msg)?;
    let Some(ledger) = process.ledger(&rest.queue, &rest.store, rest.keep).await? else { return Ok(()) };
    let stop = process.stop.clone();
    // What an earlier process had accepted goes on at once, not at the next sweep.
    ledger.sweep_pending().await?;
    let served = rest::run(rest, ledger.clone(), Some(process.figures.clone()), stop.clone());
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
