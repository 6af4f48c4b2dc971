//! What one worker did of a job in one go.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::{JobId, number};
use crate::queue::{TaskId, TaskKind};

/// A task that left something in the store: a part of a song, or what joins parts, separates a short song, or mixes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Version of this record.
    pub v: u32,
    /// The job.
    pub job: JobId,
    /// Which of the job's plans.
    pub plan: u32,
    /// What was done.
    pub kind: TaskKind,
    /// Of parts: which one, from 0.
    pub index: u32,
    /// Bytes that it stored.
    pub size_bytes: u64,
    /// From its claim until these were stored, in milliseconds.
    pub took_ms: u64,
}

impl Unit {
    /// Version that is written.
    pub const VERSION: u32 = 1;

    /// A task that is done.
    #[must_use]
    pub fn new(task: TaskId, size_bytes: u64, took_ms: u64) -> Self {
        let TaskId { job, plan, kind, index } = task;
        Self { v: Self::VERSION, job, plan, kind, index, size_bytes, took_ms }
    }

    /// A number for clients that know units by one, the same each time the task is done: 53 bits of its name's SHA-256.
    #[must_use]
    pub fn number(&self) -> u64 {
        let Self { job, plan, kind, index, .. } = *self;
        number(&Sha256::digest(TaskId { job, plan, kind, index }.to_string()).into())
    }
}
