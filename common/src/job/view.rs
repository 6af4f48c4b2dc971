//! The one shape of a job for every client: interface, events, webhooks.

use serde::{Deserialize, Serialize};

use super::{Manifest, Options, Record, ResultFile};
use crate::ids::{JobId, SongHash, StemName};
use crate::job::Ending;
use crate::queue::{State, Status};

/// A job as clients see it. Times are RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Its name.
    pub id: JobId,
    /// Its state.
    pub state: State,
    /// SHA-256 of the song.
    pub song: SongHash,
    /// Title of the song.
    pub title: Option<String>,
    /// Artist of the song.
    pub artist: Option<String>,
    /// Length of the upload in bytes.
    pub size_bytes: u64,
    /// What was asked for.
    pub options: Options,
    /// How far it is.
    pub progress: Progress,
    /// Results that can be fetched now.
    pub stems: Vec<Stem>,
    /// Why it failed.
    pub error: Option<JobError>,
    /// When it was accepted.
    pub created_at: String,
    /// When a worker began.
    pub started_at: Option<String>,
    /// When it ended.
    pub completed_at: Option<String>,
    /// When its results go.
    pub expires_at: String,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// 0 to 100; 100 only when it succeeded.
    pub percent: u32,
    /// Segments that are done.
    pub segments_done: u32,
    /// Segments in all; 0 before that is known.
    pub segments_total: u32,
    /// Seconds of audio for each second of time, once segments are done.
    pub speed: Option<f64>,
    /// Seconds until it ends, as far as one can tell.
    pub eta_s: Option<f64>,
    /// Jobs before it in the queue, while it waits.
    pub queue_position: Option<u64>,
}

/// A result that can be fetched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stem {
    /// Its name.
    pub name: StemName,
    /// Where it can be fetched, below the server's address.
    pub url: String,
    /// Samples per channel.
    pub frames: u64,
    /// Sample rate in Hz.
    pub rate_hz: u32,
    /// Length in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// A stable word.
    pub code: String,
    /// A sentence for people.
    pub detail: String,
}

impl View {
    /// What clients see, from what the ledger and the queue know at `now_ms`.
    ///
    /// A manifest decides; without one a job is at most running, whatever the queue thinks.
    #[must_use]
    pub fn of(
        record: &Record,
        manifest: Option<&Manifest>,
        status: Option<&Status>,
        committed: &[ResultFile],
        now_ms: u64,
    ) -> Self {
        let state = match (manifest, status) {
            (Some(manifest), _) => manifest.ending.state(),
            (None, Some(status)) if status.state.is_terminal() => State::Running,
            (None, Some(status)) => status.state,
            (None, None) => State::Queued,
        };
        let results = match manifest.map(|manifest| &manifest.ending) {
            Some(Ending::Succeeded { results }) => results,
            Some(_) => &[][..],
            None => committed,
        };
        let error = match manifest.map(|manifest| &manifest.ending) {
            Some(Ending::Failed { reason }) => {
                Some(JobError { code: "separation_failed".to_owned(), detail: reason.clone() })
            }
            _ => None,
        };
        let started_ms = manifest.map_or_else(|| status.map_or(0, |s| s.times_ms[1]), |m| m.started_ms);
        Self {
            id: record.id,
            state,
            song: record.song,
            title: record.title.title.clone(),
            artist: record.title.artist.clone(),
            size_bytes: record.size_bytes,
            options: record.options.clone(),
            progress: Progress::of(
                state,
                status,
                manifest.map_or(0, |manifest| manifest.permille),
                record.cost_ms,
                now_ms,
            ),
            stems: results.iter().map(|result| Stem::of(record, result)).collect(),
            error,
            created_at: rfc3339(record.created_ms),
            started_at: (started_ms > 0).then(|| rfc3339(started_ms)),
            completed_at: manifest.map(|manifest| rfc3339(manifest.completed_ms)),
            expires_at: rfc3339(record.expires_s * 1000),
        }
    }
}

impl Progress {
    /// `reached` is what the end of a job that has ended says.
    fn of(state: State, status: Option<&Status>, reached: u32, cost_ms: u64, now_ms: u64) -> Self {
        let (done, total) = status.map_or((0, 0), |status| status.units);
        let permille = status.map_or(0, |status| status.permille).max(reached);
        let percent = if state == State::Succeeded { 100 } else { (permille / 10).min(99) };
        let mut progress = Self {
            percent,
            segments_done: done,
            segments_total: total,
            speed: None,
            eta_s: None,
            queue_position: (state == State::Queued).then(|| status.map_or(0, |status| status.ahead)),
        };
        if let (State::Running, Some(status)) = (state, status)
            && done > 0
            && now_ms > status.times_ms[1]
        {
            let (part, wall_s) =
                (f64::from(done) / f64::from(total.max(1)), (now_ms - status.times_ms[1]) as f64 / 1e3);
            progress.speed = Some(part * cost_ms as f64 / 1e3 / wall_s);
            progress.eta_s = Some((wall_s / part - wall_s).max(0.0));
        }
        progress
    }
}

impl Stem {
    fn of(record: &Record, result: &ResultFile) -> Self {
        Self {
            name: result.stem.clone(),
            url: format!("/v2/jobs/{}/stems/{}", record.id, result.stem),
            frames: result.frames,
            rate_hz: result.rate_hz,
            size_bytes: result.size_bytes,
            sha256: result.sha256.clone(),
        }
    }
}

/// Milliseconds since 1970 as RFC 3339 in UTC.
fn rfc3339(ms: u64) -> String {
    i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(String::new, |time| format!("{time:.3}"))
}
