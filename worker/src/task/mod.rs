//! What is done with a claimed task.

mod derive;
mod disk;
mod failure;
mod files;
mod merge;
mod plan;
mod results;
mod song;
mod span;
mod sums;

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use common::job::{Ending, Record, Unit};
use common::ledger::Ledger;
use common::queue::{Claim, Outcome, TaskKind};
use common::telemetry::{describe, figures, waited};
use tracing::{Instrument as _, Span};

pub(crate) use disk::{Disk, Room};
pub(crate) use failure::Failed;
pub(crate) use files::{Place, temporary};
pub(crate) use song::Songs;
pub(crate) use sums::Sums;

use crate::engines::Engines;
use crate::lease::{Ended, Lease, Signs};
use crate::settings::Settings;

/// What all tasks of a worker share.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) ledger: Ledger,
    pub(crate) engines: Arc<Engines>,
    pub(crate) songs: Songs,
    pub(crate) sums: Sums,
    pub(crate) disk: Disk,
    pub(crate) signs: Signs,
    pub(crate) settings: Settings,
}

impl Tools {
    /// Those of a worker that has done nothing yet.
    pub(crate) fn new(ledger: Ledger, engines: Arc<Engines>, settings: Settings) -> Self {
        let disk = Disk::new(settings.temp_dir.clone(), settings.temp_bytes);
        let (songs, sums, signs) = (Songs::default(), Sums::default(), Signs::new(()));
        Self { ledger, engines, songs, sums, disk, signs, settings }
    }

    /// Results of a song that are encoded at a time; 0 takes one for each core. Several songs share the cores, and
    /// somebody has to feed the devices.
    pub(crate) fn encoders(&self) -> usize {
        match self.songs_at_once() {
            1 => 0,
            songs => (std::thread::available_parallelism().map_or(1, usize::from) / songs).max(1),
        }
    }

    /// Songs that may be in work at a time.
    pub(crate) fn songs_at_once(&self) -> usize {
        match self.settings.songs_at_once {
            0 => self.engines.songs_at_once(),
            count => count,
        }
    }
}

/// Does a task; what it gives is told to the queue.
pub(crate) async fn perform(tools: &Arc<Tools>, lease: &Lease) -> Result<Outcome, Failed> {
    let claim = lease.claim();
    let record = tools.ledger.record(&claim.task.job).await?;
    if let Some(record) = &record {
        Span::current().record("request.id", &record.request_id);
    }
    let (task, attempt) = (claim.task, claim.attempt);
    tracing::info!(job.id = %task.job, %task, attempt, "took a task");
    let Some(record) = record else {
        if !tools.ledger.is_same_store().await? {
            return Err(Failed::Outage("the store is another one than before".to_owned()));
        }
        // Deleted, or of before a reset; a sweep at the same moment may have told the queue otherwise.
        tools.ledger.queue().cancel(claim.task.job).await?;
        return Err(Failed::Ended(Ended::Canceled));
    };
    // Another worker had written the end and could not tell the queue.
    match tools.ledger.manifest(&record).await?.map(|manifest| manifest.ending) {
        Some(Ending::Succeeded { .. }) => return Ok(Outcome::Done),
        Some(Ending::Failed { reason }) => return Err(Failed::Permanent(reason)),
        Some(Ending::Canceled) => {
            tools.ledger.queue().cancel(record.id).await?;
            return Err(Failed::Ended(Ended::Canceled));
        }
        None => {}
    }
    let work = async {
        match claim.task.kind {
            TaskKind::Plan if derive::was_early(tools, &record).await? => {
                derive::perform(tools, lease, &record).await
            }
            TaskKind::Plan => plan::perform(tools, lease, &record).await,
            TaskKind::Derive => derive::perform(tools, lease, &record).await,
            TaskKind::Span => span::perform(tools, lease, &record).await,
            TaskKind::Merge => merge::perform(tools, lease, &record).await,
            TaskKind::Notify => Err(Failed::Permanent("workers tell nobody".to_owned())),
        }
    };
    work.instrument(traced(claim, &record)).await
}

/// Writes down what a task has stored. The figures are worth less than the work: it goes on without them.
async fn note(tools: &Tools, lease: &Lease, record: &Record, size_bytes: u64) {
    let unit = Unit::new(lease.claim().task, size_bytes, lease.age().as_millis() as u64);
    if let Err(error) = tools.ledger.note(record, &unit).await {
        tracing::warn!(job.id = %record.id, %error, "what was done is not written down");
    }
}

/// The span of a task, as a part of what began with the request for its job.
fn traced(claim: &Claim, record: &Record) -> Span {
    let task = claim.task;
    let span = tracing::info_span!("task", otel.name = task.kind.as_str(), otel.kind = "consumer");
    let since = UNIX_EPOCH + Duration::from_millis(record.created_ms);
    let is_first = [TaskKind::Plan, TaskKind::Derive].contains(&task.kind) && task.plan == 0;
    if is_first && claim.attempt == 1 {
        figures::stage("queued", since.elapsed().unwrap_or_default().as_secs_f64());
    }
    if let Some(parent) = &record.trace {
        parent.adopt(&span);
        if is_first && claim.attempt == 1 {
            waited(parent, record.id, since);
        }
    }
    describe(&span, "job.id", record.id.to_string());
    describe(&span, "task.attempt", i64::from(claim.attempt));
    span
}

/// Runs blocking work of a task on a thread of its own; a panic in it is a failure of this task alone.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failed> + Send + 'static,
) -> Result<T, Failed> {
    let span = Span::current();
    match tokio::task::spawn_blocking(move || span.in_scope(work)).await {
        Ok(result) => result,
        Err(error) => Err(Failed::Transient(format!("the work broke off: {error}"))),
    }
}
