//! A song that is kept for later: sent to the editor, and separated when its tracks are asked for.

use serde::{Deserialize, Serialize};

use super::{Record, Title};
use crate::ids::{JobId, SongHash, Tenant};

/// A song of the editor. What it needs is held as that of a job is, under a name of the same kind: so a reset and
/// the deletion of jobs treat both alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Music {
    /// Version of this record.
    pub v: u32,
    /// Under which name it needs its song.
    pub hold: JobId,
    /// Whose it is.
    pub tenant: Tenant,
    /// The song.
    pub song: SongHash,
    /// Of the song's tags.
    pub title: Title,
    /// Length of the upload in bytes.
    pub size_bytes: u64,
    /// Length of the song in milliseconds as its bytes suggest.
    pub cost_ms: u64,
    /// When it goes, in seconds since 1970.
    pub expires_s: u64,
    /// The job that was asked for last.
    pub asked: Option<JobId>,
}

impl Music {
    /// Version that is written.
    pub const VERSION: u32 = 1;

    /// The same after its tracks were asked for: it stays as long as they do.
    #[must_use]
    pub fn asking(self, record: &Record) -> Self {
        Self { asked: Some(record.id), expires_s: self.expires_s.max(record.expires_s), ..self }
    }
}
