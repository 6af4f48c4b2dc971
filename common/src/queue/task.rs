//! What a queue and its workers say of tasks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{InvalidId, JobId, SongHash, Tenant};

/// What a task is; in this order tasks are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskKind {
    /// Tell the caller's address how a job ended. Made after a terminal state, without influence on it.
    Notify,
    /// Join the spans of a song into its stems.
    Merge,
    /// Make a result from stems that are there.
    Derive,
    /// A run of segments.
    Span,
    /// Look at a song, decide how it is divided, or separate it at once.
    Plan,
}

impl TaskKind {
    /// All kinds, in the order in which they are handed out.
    pub const ALL: [Self; 5] = [Self::Notify, Self::Merge, Self::Derive, Self::Span, Self::Plan];

    /// Its name in task ids.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notify => "notify",
            Self::Merge => "merge",
            Self::Derive => "derive",
            Self::Span => "span",
            Self::Plan => "plan",
        }
    }
}

/// Name of a task: its job, which of the job's plans, what it is and which one of its kind.
///
/// As text `<job>:<plan>:<kind>:<index>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    /// The job.
    pub job: JobId,
    /// Counts the plans of the job, from 0.
    pub plan: u32,
    /// What it is.
    pub kind: TaskKind,
    /// Of spans: which one, from 0. Of others 0.
    pub index: u32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:{}", self.job, self.plan, self.kind.as_str(), self.index)
    }
}

impl FromStr for TaskId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let parse = || {
            let mut parts = text.split(':');
            let job = parts.next()?.parse().ok()?;
            let plan = parts.next()?.parse().ok()?;
            let name = parts.next()?;
            let kind = TaskKind::ALL.into_iter().find(|kind| kind.as_str() == name)?;
            let id = Self { job, plan, kind, index: parts.next()?.parse().ok()? };
            // One spelling each, as of job ids; it also shows that nothing follows.
            (id.to_string() == text).then_some(id)
        };
        parse().ok_or(InvalidId { what: "task id" })
    }
}

/// A random number that a worker draws for one claim, and shows with everything that it says of the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u128);

impl Token {
    /// A fresh one.
    #[must_use]
    pub fn draw() -> Self {
        Self(uuid::Uuid::new_v4().as_u128())
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Who asks for a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// Its name in logs and lists.
    pub worker: String,
    /// What its results depend on to the bit: weights, kernels, precision, resampler, encoder.
    pub fingerprint: String,
    /// The kinds it takes.
    pub kinds: Vec<TaskKind>,
}

/// A task in a worker's hands, until its lease ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The task.
    pub task: TaskId,
    /// Which claim of the task this is, from 1; released ones are not counted.
    pub attempt: u32,
    /// Whether it is the last one: a failure gives the task up.
    pub last: bool,
    /// Whose job it is.
    pub tenant: Tenant,
    /// The song.
    pub song: SongHash,
    /// Options of the job.
    pub payload: String,
    /// Of spans: what the plan says of this span. Of merges: what it says of the whole. Of others empty.
    pub part: String,
    /// Of merges: how many spans there are.
    pub spans: u32,
}

/// What a finished plan asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spans {
    /// Fingerprint of the workers that may take the spans and the merge.
    pub fingerprint: String,
    /// For the merge; opaque here.
    pub merge: String,
    /// One for each span, at least one.
    pub spans: Vec<Span>,
}

/// One span of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Segments in it.
    pub units: u32,
    /// For the worker; opaque here.
    pub part: String,
}

/// What a task ended with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A plan was made. Only of plans.
    Planned(Spans),
    /// The work of the task is in the store. Of a plan: the whole song was separated at once.
    Done,
}

/// How a task failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Failure {
    /// It would fail again: the song is no audio, an option is impossible.
    Permanent,
    /// It may succeed later or elsewhere.
    Transient,
}

/// Answer to a worker that speaks of its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// The task is the worker's; what it said holds (again, if it was said before).
    Held,
    /// The task is not the worker's any more; nothing changed. It stops and writes nothing.
    Lost,
    /// The job was canceled or has failed, or there was a reset; nothing changed. It stops and writes nothing.
    Canceled,
}

/// What one reaping has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reaped {
    /// Leases that had ended without a word.
    pub expired: u64,
    /// Tasks whose pause after a failure was over.
    pub woken: u64,
    /// Songs whose spans or merge nobody came for.
    pub replanned: u64,
    /// Tasks that were given up, among those that had expired or were to be planned again.
    pub dead: u64,
}

impl Reaped {
    /// Tasks that are somewhere else now.
    #[must_use]
    pub fn moved(self) -> u64 {
        self.expired + self.woken + self.replanned
    }
}

/// A worker that was heard of within a lease, with what is in its hands. One that holds several tasks stands there several
/// times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its name.
    pub worker: String,
    /// How long ago it asked for work or told of some, in milliseconds.
    pub silent_ms: u64,
    /// None where it waits for work.
    pub task: Option<Held>,
}

/// A task in a worker's hands, as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The task as text.
    pub id: String,
    /// Its job.
    pub job: JobId,
    /// What it is.
    pub kind: TaskKind,
    /// Whose job it is.
    pub tenant: Tenant,
    /// The song.
    pub song: SongHash,
    /// As in [`Claim::attempt`].
    pub attempt: u32,
    /// For how long the worker has had it, in milliseconds.
    pub held_ms: u64,
    /// How long its lease lasts without a further word, in milliseconds; 0 where it is over.
    pub left_ms: u64,
    /// Who had it before.
    pub before: Option<String>,
}

/// A task that was given up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dead {
    /// Its job.
    pub job: JobId,
    /// The task as text.
    pub task: String,
    /// Why.
    pub reason: String,
    /// When, in milliseconds of the queue's clock.
    pub at_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Epoch;

    #[test]
    fn a_task_id_has_one_spelling() {
        for (kind, index) in [(TaskKind::Span, 17), (TaskKind::Notify, 0)] {
            let id = TaskId { job: JobId::new(Epoch(2)), plan: 3, kind, index };
            let text = id.to_string();
            assert_eq!(text.parse::<TaskId>().unwrap(), id);
            for bad in
                [format!("{text}:"), format!("{text}:0"), text.replace(":3:", ":03:"), text.to_uppercase()]
            {
                assert!(bad.parse::<TaskId>().is_err(), "{bad}");
            }
        }
        for foreign in ["", "{}", r#"{"songhash": "ab", "model": "htdemucs"}"#, "1-2:0:plan:0"] {
            assert!(foreign.parse::<TaskId>().is_err(), "{foreign}");
        }
    }
}
