//! `msaas serve`: the whole service in one process.

use std::sync::Arc;

use anyhow::{Context, Error, Result};
use common::ModelName;
use common::process::Process;
use rest::models::Model;
use worker::WorkerArgs;

use crate::cli::ServeArgs;
use crate::terminal;

/// Runs the command.
pub(crate) fn run(args: ServeArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start the threads of the server")?.block_on(serve(args))
}

async fn serve(args: ServeArgs) -> Result<()> {
    let ServeArgs { mut rest, worker, no_worker } = args;
    let model = usual(&mut rest, &worker)?;
    let mut process = Process::begin("serve", &rest.telemetry).map_err(anyhow::Error::msg)?;
    let Some(ledger) = process.ledger(&rest.queue, &rest.store, rest.keep).await? else { return Ok(()) };
    let stop = process.stop.clone();
    // What an earlier process had accepted goes on at once, not at the next sweep.
    ledger.sweep_pending().await?;
    let served = rest::run(rest, ledger.clone(), Some(process.figures.clone()), stop.clone());
    if no_worker {
        return served.await;
    }
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

/// The network that is loaded at the start: the usual one of the service, one and the same for who asks and who works.
fn usual(rest: &mut rest::Config, worker: &WorkerArgs) -> Result<ModelName> {
    let Some(name) = &worker.model else {
        return Ok(rest.models.first().map_or_else(|| worker.model(), |model| model.name.clone()));
    };
    let offered = rest.models.iter().find(|model| model.name == *name).cloned();
    let model = match offered.map_or_else(|| name.as_str().parse(), Ok) {
        Ok(model) => model,
        Err(_) => imported(name, worker)?,
    };
    rest.models.insert(0, model);
    Ok(name.clone())
}

/// A network that only the folder of weights knows.
fn imported(name: &ModelName, worker: &WorkerArgs) -> Result<Model> {
    let stems = worker.stems_of(name)?.with_context(|| format!("there is no network {name}"))?;
    format!("{name}={}", stems.join("+")).parse().map_err(Error::msg)
}
