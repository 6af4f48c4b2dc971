//! What the ledger keeps of a job from the moment it is accepted.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Options;
use crate::ids::{JobId, JobKey, SongHash, Tenant};
use crate::keys::Work;
use crate::queue::{First, NewJob};
use crate::telemetry::TraceParent;

/// A job as it was accepted; never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this record.
    pub v: u32,
    /// Its name.
    pub id: JobId,
    /// Whose it is.
    pub tenant: Tenant,
    /// The song.
    pub song: SongHash,
    /// The work: song and options.
    pub key: JobKey,
    /// Whether the song is separated for it, or it is made from sources that are kept.
    #[serde(default)]
    pub first: First,
    /// What was asked for.
    pub options: Options,
    /// Of the song's tags.
    pub title: Title,
    /// Length of the upload in bytes.
    pub size_bytes: u64,
    /// Length of the song in milliseconds as its bytes suggest; for fairness and estimates only.
    pub cost_ms: u64,
    /// Who is told of the end.
    pub callback: Option<Callback>,
    /// When it was accepted, in milliseconds since 1970.
    pub created_ms: u64,
    /// When its results go, in seconds since 1970.
    pub expires_s: u64,
    /// Of the request that made it, for logs.
    pub request_id: String,
    /// Where it was accepted, if that is traced: what is done for it belongs there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceParent>,
}

/// What a song says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Title {
    /// Title.
    pub title: Option<String>,
    /// Artist.
    pub artist: Option<String>,
}

/// Who is told how a job ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Callback {
    /// Where to.
    pub url: String,
    /// What the older contract sends, instead of the job; `null` is something to send.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "even_null")]
    pub data: Option<Verbatim>,
}

/// What stands there, `null` included; only a missing member is none.
fn even_null<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Verbatim>, D::Error> {
    Verbatim::deserialize(from).map(Some)
}

/// JSON to the byte as it was written: the order of members, all digits of numbers. `null` by default.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Verbatim(Box<RawValue>);

impl Verbatim {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl Default for Verbatim {
    fn default() -> Self {
        Self(RawValue::NULL.to_owned())
    }
}

impl PartialEq for Verbatim {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Record {
    /// Version that is written.
    pub const VERSION: u32 = 1;

    /// Where its results are.
    #[must_use]
    pub fn work(&self) -> Work<'_> {
        Work { tenant: &self.tenant, key: &self.key, job: &self.id }
    }

    /// As the queue wants it.
    #[must_use]
    pub fn to_queue(&self) -> NewJob {
        NewJob {
            id: self.id,
            tenant: self.tenant.clone(),
            song: self.song,
            first: self.first,
            cost_ms: self.cost_ms,
            notify: self.callback.is_some(),
            payload: String::new(),
        }
    }
}
