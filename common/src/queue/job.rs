//! What a queue knows of jobs: as they enter, their state, what happened to them.

use serde::{Deserialize, Serialize};

use crate::ids::{JobId, SongHash, StemName, Tenant};

/// A job as it enters the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewJob {
    /// Its name; submitting it again changes nothing.
    pub id: JobId,
    /// Whose it is.
    pub tenant: Tenant,
    /// The song.
    pub song: SongHash,
    /// What the first task is.
    pub first: First,
    /// Size of the work in milliseconds of audio, for fairness and for estimates of waiting.
    pub cost_ms: u64,
    /// Whether a [notification](super::TaskKind::Notify) follows its end.
    pub notify: bool,
    /// Options for the worker, as the service wrote them; opaque here.
    pub payload: String,
}

/// The first task of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum First {
    /// A song to be separated.
    #[default]
    Plan,
    /// A mix, a format or peaks of stems that are there already.
    Derive,
}

/// How many may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Jobs that have not ended, of all tenants.
    pub jobs: u64,
    /// Jobs that have not ended, of one tenant.
    pub jobs_of_tenant: u64,
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// It waits now.
    Accepted,
    /// It is known already, in this state; nothing changed.
    Known(State),
    /// Its tenant has too many jobs.
    TenantFull,
    /// All tenants together have too many.
    Full,
    /// It was made before the last reset.
    Stale,
}

/// State of a job. The last three are terminal and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// No worker has begun.
    Queued,
    /// A worker has begun.
    Running,
    /// All results are there.
    Succeeded,
    /// It was given up; the reason is in its status.
    Failed,
    /// Someone stopped it.
    Canceled,
}

impl State {
    /// Whether it never changes again.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }
}

/// What is known of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The job.
    pub id: JobId,
    /// Whose it is.
    pub tenant: Tenant,
    /// The song.
    pub song: SongHash,
    /// Its state.
    pub state: State,
    /// Segments done and in all, of the present plan; 0 of 0 before it is planned.
    pub units: (u32, u32),
    /// Highest part done so far in thousandths, over all plans; 1000 only when it succeeded.
    pub permille: u32,
    /// Jobs that entered before it and have not ended, while it is queued.
    pub ahead: u64,
    /// When it entered, began and ended, in milliseconds of the queue's clock since 1970; 0 where it has not.
    pub times_ms: [u64; 3],
    /// Why it failed; empty otherwise.
    pub reason: String,
    /// Number of its last event.
    pub last_event: u64,
}

/// Something that happened to a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// 1 for the first of a job, each later one the next number.
    pub number: u64,
    /// What happened.
    pub what: Happening,
}

/// What can happen to a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "type")]
pub enum Happening {
    /// It has a new state.
    State {
        /// The state.
        state: State,
    },
    /// More of it is done; one for each thousandth at most.
    Progress {
        /// As in [`Status::permille`].
        permille: u32,
        /// As in [`Status::units`].
        units: (u32, u32),
    },
    /// A stem can be fetched.
    Stem {
        /// Its name.
        stem: StemName,
    },
}

/// How much there is of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Depth {
    /// Jobs that have not ended.
    pub jobs: u64,
    /// Tasks that wait, foreign entries included.
    pub ready: u64,
    /// Tasks that wait for another attempt.
    pub delayed: u64,
    /// Tasks in the hands of workers.
    pub active: u64,
    /// Audio of jobs that have not ended, in milliseconds.
    pub cost_ms: u64,
    /// Tasks that were given up and not looked at.
    pub dead: u64,
    /// Notifications among `ready`: they are not for workers.
    pub ready_notices: u64,
    /// Notifications among `active`.
    pub active_notices: u64,
    /// How long the task has waited that has waited longest, in milliseconds; notifications and foreign entries left
    /// out.
    pub oldest_ready_ms: u64,
}
