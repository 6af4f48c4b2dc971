//! The loop of a worker: claim, work, tell.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use common::ModelName;
use common::failpoint;
use common::job::Ending;
use common::ledger::Ledger;
use common::queue::{Claim, Claimant, Failure, Fence, Outcome, TaskKind, Token};
use common::telemetry::figures;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::crash::Crash;
use crate::engines::{EngineError, Engines};
use crate::lease::{Ended, Lease};
use crate::settings::Settings;
use crate::task::{Failed, Tools, perform};
use crate::upkeep;

/// A worker with its engines; does as many tasks at a time as these can use.
#[derive(Debug)]
pub struct Worker {
    tools: Arc<Tools>,
    claimant: Claimant,
    crash: Crash,
    in_hand: AtomicUsize,
    /// Whether store and queue did their work when they were last asked.
    works: AtomicBool,
    /// Why no task can succeed here any more.
    fault: OnceLock<WorkerError>,
    /// Cancelled when there is a reason.
    faulty: CancellationToken,
}

/// Why a worker ends before it was asked to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WorkerError {
    /// Its device does not answer any more.
    #[error("a task has done nothing for {seconds} s: the device hangs")]
    Hung {
        /// For how long.
        seconds: u64,
    },
    /// Its device failed, and will fail again.
    #[error("the device is of no more use: {reason}")]
    Broken {
        /// What the task that found out says.
        reason: String,
    },
}

/// How long a worker waits for the bell before it looks for itself.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Wait after the queue could not be used.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// Longest wait between two looks at a store that is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How long the work on a task may take to end where the device is of no more use.
const LAST_SEGMENT: Duration = Duration::from_secs(1);
/// How often the end of a task is told to a queue that does not answer, before the task is left to its lease.
const TELL_TIMES: u32 = 60;

impl Worker {
    /// A worker over a ledger.
    #[must_use]
    pub fn new(ledger: Ledger, engines: Arc<Engines>, settings: Settings) -> Self {
        let claimant = Claimant {
            worker: settings.name.clone(),
            fingerprint: engines.fingerprint(),
            kinds: vec![TaskKind::Merge, TaskKind::Derive, TaskKind::Span, TaskKind::Plan],
        };
        let tools = Arc::new(Tools::new(ledger, engines, settings));
        Self {
            tools,
            claimant,
            crash: Crash::new(None),
            in_hand: AtomicUsize::new(0),
            works: AtomicBool::new(false),
            fault: OnceLock::new(),
            faulty: CancellationToken::new(),
        }
    }

    /// The same worker, but its process dies as by `kill -9` so long after its first task began.
    #[must_use]
    pub fn crashing_after(self, time: Option<Duration>) -> Self {
        Self { crash: Crash::new(time), ..self }
    }

    /// Fetches and loads a network and runs it once, so that the first song finds it ready. Blocks.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn warm_up(&self, model: &ModelName) -> Result<(), EngineError> {
        self.tools.engines.warm_up(model)
    }

    /// Works until `stop`; then the tasks in hand go back at the next segment, and this returns.
    ///
    /// # Errors
    /// [`WorkerError`]: the process is of no more use.
    pub async fn run(&self, stop: &CancellationToken) -> Result<(), WorkerError> {
        metrics::gauge!("msaas_worker_busy").set(0.0);
        let upkeep = tokio::spawn(upkeep::run(Arc::clone(&self.tools), stop.clone()));
        let done = self.work(stop).await;
        upkeep.abort();
        done
    }

    async fn work(&self, stop: &CancellationToken) -> Result<(), WorkerError> {
        // Where one task finds the device of no more use, the others go back as they do at the end.
        let stop = &stop.child_token();
        let mut tasks = FuturesUnordered::new();
        // Every other time what is derived comes last: many small mixes must not keep songs waiting.
        let mut songs_first = false;
        while !stop.is_cancelled() {
            let at_once = self.tools.songs_at_once();
            self.tools.songs.keep_for(at_once);
            if tasks.len() >= at_once || self.tools.disk.is_short() {
                tokio::select! {
                    _ = tasks.next() => {}
                    () = self.tools.disk.changes() => {}
                }
                continue;
            }
            let claimed = {
                let mut next = pin!(self.next(songs_first, stop));
                loop {
                    tokio::select! {
                        claimed = &mut next => break claimed,
                        Some(()) = tasks.next() => {}
                    }
                }
            };
            let Some((claim, token)) = claimed else { break };
            // For log lines alone; traces have a span of their own, below the one of the request.
            let job = tracing::info_span!(target: "job", "job", request.id = tracing::field::Empty);
            tasks.push(self.take(claim, token, stop).instrument(job));
            songs_first = !songs_first;
        }
        while tasks.next().await.is_some() {}
        self.fault.get().map_or(Ok(()), |fault| Err(fault.clone()))
    }

    /// The next task; none where it is time to stop.
    async fn next(&self, songs_first: bool, stop: &CancellationToken) -> Option<(Claim, Token)> {
        let queue = self.tools.ledger.queue();
        // Kept until the queue has answered: asked again with it, the queue gives the same task.
        let token = Token::draw();
        while !stop.is_cancelled() {
            self.wait_for_works(stop).await;
            match self.claim(token, songs_first).await {
                Ok(Some(claim)) => return Some((claim, token)),
                Ok(None) => {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        waited = queue.ready(LOOK_EVERY) => if waited.is_err() {
                            tokio::time::sleep(RETRY_AFTER).await;
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot ask the queue for work");
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(RETRY_AFTER) => {}
                    }
                }
            }
        }
        None
    }

    /// Waits until store and queue work, where they did not: each task that is claimed meanwhile would fail.
    async fn wait_for_works(&self, stop: &CancellationToken) {
        let mut pause = RETRY_AFTER;
        while !self.works.load(Ordering::Relaxed) && !stop.is_cancelled() {
            match self.tools.ledger.works().await {
                Ok(()) => self.works.store(true, Ordering::Relaxed),
                Err(error) => {
                    tracing::warn!(%error, "takes no work until store and queue do theirs");
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                    }
                }
            }
        }
    }

    async fn claim(&self, token: Token, songs_first: bool) -> common::queue::Result<Option<Claim>> {
        let queue = self.tools.ledger.queue();
        if songs_first {
            let kinds =
                self.claimant.kinds.iter().copied().filter(|kind| *kind != TaskKind::Derive).collect();
            let claimant = Claimant { kinds, ..self.claimant.clone() };
            if let Some(claim) = queue.claim(&claimant, token).await? {
                return Ok(Some(claim));
            }
        }
        queue.claim(&self.claimant, token).await
    }

    async fn take(&self, claim: Claim, token: Token, stop: &CancellationToken) {
        self.crash.task_begins();
        failpoint::reach("task.claimed");
        let (queue, signs) = (Arc::clone(self.tools.ledger.queue()), self.tools.signs.clone());
        let lease = Lease::begin(queue, claim, token, signs);
        let _busy = Busy::begin(&self.in_hand);
        let result = tokio::select! {
            result = perform(&self.tools, &lease) => result.map_err(|failed| self.judge(failed, stop)),
            // What still runs is fenced by the token.
            () = self.give_back(&lease, stop) => Err(Failed::Ended(Ended::Released)),
            silence = lease.beat().hangs(self.tools.settings.hung_after) => {
                lease.beat().end(Ended::Released);
                Err(self.end(WorkerError::Hung { seconds: silence.as_secs() }, stop))
            }
        };
        self.conclude(&lease, self.blame(result).await).await;
    }

    /// Has the work on a task end where the worker ends; over where it is not to be waited for.
    async fn give_back(&self, lease: &Lease, stop: &CancellationToken) {
        stop.cancelled().await;
        let patience = self.tools.settings.finish_within;
        if lease.left().is_none_or(|left| left <= patience) {
            tokio::select! {
                () = tokio::time::sleep(patience) => {}
                () = self.faulty.cancelled() => {}
            }
        }
        // The work ends at its next segment, which may never come.
        lease.beat().end(Ended::Released);
        self.faulty.cancelled().await;
        tokio::time::sleep(LAST_SEGMENT).await;
    }

    /// A failure of a task; where the device is to blame, the worker ends.
    fn judge(&self, failed: Failed, stop: &CancellationToken) -> Failed {
        match failed {
            Failed::Device(reason) => self.end(WorkerError::Broken { reason }, stop),
            Failed::Transient(_) if self.faulty.is_cancelled() => Failed::Ended(Ended::Released),
            other => other,
        }
    }

    /// Ends the worker. A task that breaks devices must come to its end too: the first one to fail pays with an attempt.
    fn end(&self, fault: WorkerError, stop: &CancellationToken) -> Failed {
        let reason = fault.to_string();
        let first = self.fault.set(fault).is_ok();
        self.faulty.cancel();
        stop.cancel();
        if first { Failed::Transient(reason) } else { Failed::Ended(Ended::Released) }
    }

    /// Whose fault it was: where store and queue do other work at this moment it is the task's own, and costs a try.
    async fn blame(&self, result: Result<Outcome, Failed>) -> Result<Outcome, Failed> {
        match result {
            Err(Failed::Outage(reason)) if self.tools.ledger.works().await.is_ok() => {
                Err(Failed::Transient(reason))
            }
            result => result,
        }
    }

    async fn conclude(&self, lease: &Lease, result: Result<Outcome, Failed>) {
        let (queue, task, token) = (self.tools.ledger.queue(), lease.claim().task, lease.token());
        let labels = [("kind", task.kind.as_str()), ("outcome", outcome(&result))];
        metrics::histogram!("msaas_task_seconds", &labels).record(lease.age().as_secs_f64());
        match result {
            Ok(outcome) => {
                tracing::info!(job.id = %task.job, %task, "finished a task");
                self.tell(lease, || queue.complete(task, token, &outcome)).await;
                if matches!(outcome, Outcome::Planned(_)) {
                    failpoint::reach("plan.told");
                }
            }
            Err(Failed::Ended(Ended::Released)) => {
                tracing::info!(job.id = %task.job, %task, "gave a task back");
                self.tell(lease, || queue.release(task, token)).await;
            }
            Err(Failed::Outage(reason)) => {
                tracing::warn!(job.id = %task.job, %task, reason, "gave a task back until store and queue work");
                self.works.store(false, Ordering::Relaxed);
                self.tell(lease, || queue.release(task, token)).await;
            }
            Err(Failed::Ended(why)) => {
                tracing::info!(job.id = %task.job, %task, ?why, "left a task");
                self.settle(lease).await;
            }
            Err(Failed::Permanent(reason)) => {
                tracing::warn!(job.id = %task.job, %task, reason, "a task failed");
                self.give_up(lease, &reason).await;
                failpoint::reach("failure.written");
                if self.tell(lease, || queue.fail(task, token, Failure::Permanent, &reason)).await {
                    figures::given_up(true);
                }
            }
            Err(Failed::Transient(reason) | Failed::Device(reason)) => {
                tracing::warn!(job.id = %task.job, %task, reason, "a task failed, it may be tried again");
                let told = self.tell(lease, || queue.fail(task, token, Failure::Transient, &reason)).await;
                if told && lease.claim().last {
                    figures::given_up(false);
                }
                self.settle(lease).await;
            }
        }
    }

    /// Writes down that a job has failed, if its task is still this worker's to judge.
    async fn give_up(&self, lease: &Lease, reason: &str) {
        if !matches!(lease.check().await, Ok(None)) {
            return;
        }
        let ledger = &self.tools.ledger;
        if let Ok(Some(record)) = ledger.record(&lease.claim().task.job).await
            && let Err(error) = ledger.finish(&record, Ending::Failed { reason: reason.to_owned() }).await
        {
            tracing::warn!(job.id = %record.id, %error, "cannot write down how the job ended");
        }
    }

    /// Lets the ledger write down what the queue may have decided meanwhile; a sweep does so later otherwise.
    async fn settle(&self, lease: &Lease) {
        let ledger = &self.tools.ledger;
        if let Ok(Some(record)) = ledger.record(&lease.claim().task.job).await
            && let Err(error) = ledger.settle(&record).await
        {
            tracing::warn!(job.id = %record.id, %error, "cannot write down how the job ended");
        }
    }

    /// Tells the queue until it answers; gives whether the word holds.
    async fn tell<F>(&self, lease: &Lease, say: impl Fn() -> F) -> bool
    where
        F: Future<Output = common::queue::Result<Fence>>,
    {
        for _ in 0..TELL_TIMES {
            match say().await {
                Ok(Fence::Held) => return true,
                Ok(fence) => {
                    if fence == Fence::Lost {
                        figures::stale_commit();
                    }
                    tracing::info!(job.id = %lease.claim().task.job, ?fence, "the task was not this worker's any more");
                    return false;
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot tell the queue how a task ended");
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
        false
    }
}

/// What became of a task, in a word.
fn outcome(result: &Result<Outcome, Failed>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(Failed::Permanent(_)) => "failed",
        Err(Failed::Transient(_) | Failed::Device(_)) => "again",
        Err(Failed::Ended(Ended::Released) | Failed::Outage(_)) => "released",
        Err(Failed::Ended(Ended::Lost | Ended::Canceled)) => "left",
    }
}

/// A task is in hand, until this is dropped.
struct Busy<'a>(&'a AtomicUsize);

impl<'a> Busy<'a> {
    fn begin(in_hand: &'a AtomicUsize) -> Self {
        in_hand.fetch_add(1, Ordering::Relaxed);
        metrics::gauge!("msaas_worker_busy").set(1.0);
        Self(in_hand)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        if self.0.fetch_sub(1, Ordering::Relaxed) == 1 {
            metrics::gauge!("msaas_worker_busy").set(0.0);
        }
    }
}
