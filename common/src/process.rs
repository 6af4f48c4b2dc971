//! The way in that all programs of the service share.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap::builder::Resettable;
use clap::{Command, Error, Parser};
use metrics_exporter_prometheus::PrometheusHandle;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio_util::sync::CancellationToken;

use crate::backends::{self, BackendError, KeepArgs, QueueArgs, StoreArgs};
use crate::ledger::Ledger;
use crate::shutdown;
use crate::telemetry::{self, Journal, TelemetryArgs, Traces};

/// Between two times that what was measured is added up, also where nobody asks for it.
const ADD_UP: Duration = Duration::from_secs(5);

/// The settings of a program. A variable that is empty counts as one that is not set: manifests name many of them and
/// fill few.
///
/// # Errors
/// What is wrong with the arguments, or the help that was asked for; [`Error::exit`] says it.
pub fn settings<T: Parser>(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<T, Error> {
    let mut command = without_empty_variables(T::command());
    let found = command.try_get_matches_from_mut(arguments)?;
    T::from_arg_matches(&found).map_err(|error| error.format(&mut command))
}

fn without_empty_variables(command: Command) -> Command {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    let command = command
        .mut_args(|arg| if arg.get_env().is_some_and(is_empty) { arg.env(Resettable::Reset) } else { arg });
    command.mut_subcommands(without_empty_variables)
}

/// Has as many files and connections open at once as the system allows: shells often start programs with fewer.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
    {
        tracing::debug!(%error, "the limit of open files stays as it was");
    }
}

/// How many files and connections this process may have open at once.
#[must_use]
pub fn descriptors() -> usize {
    // No number there means no limit.
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX))
}

/// A program that has begun: it logs, counts, traces and hears signals.
#[derive(Debug)]
pub struct Process {
    /// Cancelled by the first signal to stop.
    pub stop: CancellationToken,
    /// Gives the text for `/metrics`.
    pub figures: PrometheusHandle,
    journal: Option<Journal>,
    /// Sends what is left when the program ends.
    _traces: Option<Traces>,
}

impl Process {
    /// Begins, with as many open files as the system allows; `role` is `rest`, `worker` or `serve`. Once for each process, inside a runtime.
    ///
    /// # Errors
    /// A sentence where a setting cannot be used or signals cannot be heard.
    pub fn begin(role: &'static str, args: &TelemetryArgs) -> Result<Self, String> {
        let (journal, figures, traces) = telemetry::init(role, args)?;
        raise_descriptors();
        let stop = shutdown::on_signals().map_err(|error| format!("signals cannot be heard: {error}"))?;
        let adding = figures.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(ADD_UP).await;
                adding.run_upkeep();
            }
        });
        Ok(Self { stop, figures, journal: Some(journal), _traces: traces })
    }

    /// The ledger that the settings name, to whose queue log lines go from now on; none where it was time to stop first.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn ledger(
        &mut self,
        queue: &QueueArgs,
        store: &StoreArgs,
        keep: KeepArgs,
    ) -> Result<Option<Ledger>, BackendError> {
        let ledger = backends::ledger(queue, store, keep.into(), &self.stop).await?;
        if let (Some(ledger), Some(journal)) = (&ledger, self.journal.take()) {
            tokio::spawn(journal.run(ledger.queue().clone(), self.stop.clone()));
        }
        Ok(ledger)
    }
}
