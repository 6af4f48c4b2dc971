//! What a job ended with.

use serde::{Deserialize, Serialize};

use crate::ids::{JobId, StemName};
use crate::queue::State;

/// The last object that a job writes, once: it decides how the job ended, whatever anyone thought before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this record.
    pub v: u32,
    /// The job.
    pub job: JobId,
    /// How it ended.
    #[serde(flatten)]
    pub ending: Ending,
    /// When the first worker began, in milliseconds since 1970; 0 where none did.
    pub started_ms: u64,
    /// When it ended, in milliseconds since 1970.
    pub completed_ms: u64,
    /// How far it was then, in thousandths: the queue forgets it. None in what earlier releases wrote.
    #[serde(default)]
    pub permille: u32,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum Ending {
    /// All results are there.
    Succeeded {
        /// Each of them.
        results: Vec<ResultFile>,
    },
    /// It was given up.
    Failed {
        /// Why, as a sentence for people.
        reason: String,
    },
    /// Someone stopped it.
    Canceled,
}

impl Ending {
    /// As a state of the job.
    #[must_use]
    pub fn state(&self) -> State {
        match self {
            Self::Succeeded { .. } => State::Succeeded,
            Self::Failed { .. } => State::Failed,
            Self::Canceled => State::Canceled,
        }
    }
}

/// What made a result: everything that its bytes may depend on beside the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Make {
    /// Which plan of the job, from 0.
    pub plan: u32,
    /// Fingerprint of the worker's engine.
    pub engine: String,
}

/// The commit record of a result: what makes it visible, and what is drawn of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// The result.
    #[serde(flatten)]
    pub result: ResultFile,
    /// Lowest and highest sample of equal parts of it, full scale at 32768. Empty in what earlier releases wrote.
    #[serde(default)]
    pub peaks: Vec<[i16; 2]>,
}

/// One result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultFile {
    /// Its name.
    pub stem: StemName,
    /// What made it.
    #[serde(flatten)]
    pub make: Make,
    /// Samples per channel.
    pub frames: u64,
    /// Sample rate in Hz.
    pub rate_hz: u32,
    /// Length of the file in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the file as hexadecimal digits.
    pub sha256: String,
    /// The gain that keeps it within full scale.
    pub gain: f32,
}
