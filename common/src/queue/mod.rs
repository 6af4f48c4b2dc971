//! The scheduler: which task is whose, and what happens when its worker is silent.
//!
//! A *job* is a song to be separated (or a result to be derived). Its first task is a plan (or the derivation
//! itself); a plan may fan out into spans, whose last completion creates one merge. The queue holds names and
//! options, never audio, and may lose everything: the store has every accepted job, and [`Queue::submit`] may be
//! repeated.
//!
//! Two kinds behind one trait: Redis ([`redis`]) and memory ([`memory`]); a suite of checks (feature `conformance`) and
//! random commands hold them to the same behaviour, step by step. Time is milliseconds of the queue's own clock.

mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod job;
mod limits;
pub mod memory;
pub mod redis;
mod task;

use std::time::Duration;

use crate::ids::{Epoch, JobId, SongHash, StemName};

pub use clock::Clock;
pub use job::{Depth, Event, First, Happening, NewJob, Room, State, Status, Submitted};
pub use task::{
    Claim, Claimant, Dead, Failure, Fence, Held, Outcome, Reaped, Seen, Span, Spans, TaskId, TaskKind, Token,
};

/// What can go wrong. Everything else is an answer, not an error.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The queue cannot be reached, or is loading; worth another try.
    #[error("the queue cannot be used: {0}")]
    Unavailable(String),
    /// The queue answered something that does not fit its contract.
    #[error("the queue answered something strange: {0}")]
    Strange(String),
}

/// Result of a call to the queue.
pub type Result<T> = std::result::Result<T, QueueError>;

/// How the queue treats leases, attempts and waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How long a task stays with a worker that reports no progress.
    pub lease: Duration,
    /// Claims of one task, and plans of one job, before it is given up.
    pub max_attempts: u32,
    /// Wait after the first failure; doubled for each further one.
    pub retry_base: Duration,
    /// Longest wait after a failure.
    pub retry_cap: Duration,
    /// How long spans wait for a worker of their fingerprint before the song is planned again.
    pub orphaned_after: Duration,
    /// How long the state of an ended job can be asked for.
    pub remember: Duration,
}

impl Rules {
    /// Wait after the failure of claim number `attempt`.
    fn pause_ms(&self, attempt: u32) -> u64 {
        let doubled = 2_u64.saturating_pow(attempt.saturating_sub(1));
        (self.retry_base.as_millis() as u64).saturating_mul(doubled).min(self.retry_cap.as_millis() as u64)
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            lease: Duration::from_mins(1),
            max_attempts: 5,
            retry_base: Duration::from_secs(2),
            retry_cap: Duration::from_mins(2),
            orphaned_after: Duration::from_mins(3),
            remember: Duration::from_hours(1),
        }
    }
}

/// The queue. Every call may be repeated after an error without harm.
#[async_trait::async_trait]
pub trait Queue: Send + Sync + std::fmt::Debug {
    /// Lets a job in, if there is room. A job of a later epoch than the queue's raises the queue's. After an error
    /// [`Submitted::Known`] may be the answer to one's own earlier call.
    async fn submit(&self, job: &NewJob, room: Room) -> Result<Submitted>;

    /// Takes the next task for `claimant`. The same token again gives the same task while it is held.
    async fn claim(&self, claimant: &Claimant, token: Token) -> Result<Option<Claim>>;

    /// `done` units of the task's work are in hand (of a span: segments; of a plan that separates the whole song
    /// `total` says how many there are). Renews the lease; never lowers anything.
    async fn progress(&self, task: TaskId, token: Token, done: u32, total: u32) -> Result<Fence>;

    /// A stem of the job can be fetched from now on. Said again, it is told once.
    async fn stem_ready(&self, task: TaskId, token: Token, stem: &StemName) -> Result<Fence>;

    /// The task is finished, its results are in the store.
    async fn complete(&self, task: TaskId, token: Token, outcome: &Outcome) -> Result<Fence>;

    /// The task failed; `reason` is a sentence for people.
    async fn fail(&self, task: TaskId, token: Token, failure: Failure, reason: &str) -> Result<Fence>;

    /// The task goes back to the head of its line, this attempt not counted; for a worker that is asked to stop.
    async fn release(&self, task: TaskId, token: Token) -> Result<Fence>;

    /// Takes back what silent workers hold, wakes what was delayed, plans orphaned songs again; gives what
    /// was found. Called every few seconds by every worker.
    async fn reap(&self) -> Result<Reaped>;

    /// Stops a job; gives its state afterwards, none where it is not known.
    async fn cancel(&self, job: JobId) -> Result<Option<State>>;

    /// Forgets a job that has ended, and its notification. Nothing happens to one that has not.
    async fn forget(&self, job: JobId) -> Result<()>;

    /// Begins `epoch`: everything of earlier ones vanishes. Gives the epoch that holds, which may be a later one.
    /// Said again with the number that the store knows, it mends a queue that was set back to an earlier state.
    async fn reset(&self, epoch: Epoch) -> Result<Epoch>;

    /// The epoch that holds; 0 where nothing is known.
    async fn epoch(&self) -> Result<Epoch>;

    /// What is known of a job.
    async fn status(&self, job: JobId) -> Result<Option<Status>>;

    /// Jobs that have not ended, in the order in which they entered, after `after`.
    async fn unfinished(&self, after: Option<JobId>, limit: usize) -> Result<Vec<(JobId, SongHash)>>;

    /// Events of a job after number `after`, oldest first. Those of a long job's beginning may be gone.
    async fn events(&self, job: JobId, after: u64, limit: usize) -> Result<Vec<Event>>;

    /// Waits until the job has an event after number `after`, or the time is over; gives whether it has.
    async fn changed(&self, job: JobId, after: u64, timeout: Duration) -> Result<bool>;

    /// Waits until there may be something to claim, or the time is over.
    async fn ready(&self, timeout: Duration) -> Result<()>;

    /// How much there is of what.
    async fn depth(&self) -> Result<Depth>;

    /// Who works on what, the longest silent first, then who waits for work; at most `limit` of each. Who takes
    /// notifications only is no worker.
    async fn workers(&self, limit: usize) -> Result<Vec<Seen>>;

    /// What was given up, newest first.
    async fn dead(&self, limit: usize) -> Result<Vec<Dead>>;

    /// Takes an entry off the list of what was given up.
    async fn bury(&self, job: JobId) -> Result<()>;

    /// Takes the next entry that someone pushed onto the entrance list by hand; it stays in flight until
    /// [`Queue::settle_foreign`], and comes again when that does not happen within a lease.
    async fn next_foreign(&self) -> Result<Option<String>>;

    /// An entry from [`Queue::next_foreign`] is dealt with.
    async fn settle_foreign(&self, entry: &str) -> Result<()>;

    /// Appends a line to the list of log lines, the oldest dropped beyond some thousands.
    async fn log(&self, line: &str) -> Result<()>;
}
