//! Every promise that outlives a process: accepted jobs, results, endings, resets; all of it in the object store.
//!
//! | step | what makes it hold |
//! | --- | --- |
//! | accepted | the identity of the work, written once, with the whole record in it; then record, use, expiry, pending |
//! | a result is visible | its commit record, written once after the result |
//! | ended | the manifest, written once: a cancellation and a last result race for it, one wins |
//! | lost queue | [`Ledger::sweep_pending`] submits again what is pending and has no manifest |
//!
//! The queue schedules; nothing here depends on what it remembers.

mod accept;
mod end;
mod health;
mod idempotency;
mod kept;
mod list;
mod music;
mod read;
mod reset;
mod sweep;
mod units;
mod uploads;
mod walk;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::TryStreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

pub use accept::{Accepted, NewWork, Refused};
pub use idempotency::{Answer, IN_FLIGHT, Reserved};
pub use kept::Kept;
pub use list::Listed;
pub use music::NewMusic;

use crate::ids::Epoch;
use crate::keys::ObjectKey;
use crate::queue::{Queue, QueueError};
use crate::storage::{Store, StoreError, Write, Written};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue failed; what was durable by then is taken up again by a sweep.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A record cannot be read: damaged, or of a version that this program does not know.
    #[error("the record {key} cannot be read: {why}")]
    Record {
        /// Its key.
        key: ObjectKey,
        /// What is wrong.
        why: String,
    },
}

/// Result of a call to the ledger.
pub type Result<T> = std::result::Result<T, LedgerError>;

/// Store and queue together, and how long things are kept.
#[derive(Debug, Clone)]
pub struct Ledger {
    store: Arc<dyn Store>,
    queue: Arc<dyn Queue>,
    keep: Keep,
    /// The latest epoch that was heard of: a queue that has lost everything tells of an earlier one.
    known_epoch: Arc<AtomicU32>,
    /// What the store was called when it was first looked at.
    store_id: Arc<Mutex<Option<Uuid>>>,
}

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Results, from the time when a job was accepted.
    pub results: Duration,
    /// The mark of a failed or canceled job, so that what a slow worker writes late is removed too.
    pub late: Duration,
    /// Uploads that never became a job.
    pub uploads: Duration,
    /// First answers to idempotency keys.
    pub answers: Duration,
    /// Sources, losslessly, for formats and mixes that are asked for later; zero keeps none.
    pub sources: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            results: Duration::from_hours(7 * 24),
            late: Duration::from_mins(10),
            uploads: Duration::from_hours(24),
            answers: Duration::from_hours(24),
            sources: Duration::from_hours(24),
        }
    }
}

impl Ledger {
    /// A ledger over a store that was prepared and a queue.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, queue: Arc<dyn Queue>, keep: Keep) -> Self {
        Self { store, queue, keep, known_epoch: Arc::default(), store_id: Arc::default() }
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The queue.
    #[must_use]
    pub fn queue(&self) -> &Arc<dyn Queue> {
        &self.queue
    }

    /// The epoch that holds, as far as this process knows.
    async fn epoch(&self) -> Result<Epoch> {
        let told = self.queue.epoch().await?;
        Ok(told.max(Epoch(self.known_epoch.fetch_max(told.0, Ordering::Relaxed))))
    }

    async fn write<T: Serialize>(&self, key: &ObjectKey, record: &T, write: Write) -> Result<Written> {
        let bytes = serde_json::to_vec(record).map_err(|error| unreadable(key, &error))?;
        Ok(self.store.put(key, Bytes::from(bytes), write).await?)
    }

    async fn read<T: DeserializeOwned>(&self, key: &ObjectKey) -> Result<Option<T>> {
        let object = match self.store.get(key, None).await {
            Ok(object) => object,
            Err(StoreError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let pieces: Vec<Bytes> =
            object.body.try_collect().await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        serde_json::from_slice(&pieces.concat()).map(Some).map_err(|error| unreadable(key, &error))
    }

    async fn mark(&self, key: &ObjectKey) -> Result<()> {
        self.store.put(key, Bytes::new(), Write::Replace).await?;
        Ok(())
    }
}

fn unreadable(key: &ObjectKey, error: &serde_json::Error) -> LedgerError {
    LedgerError::Record { key: key.clone(), why: error.to_string() }
}

/// Milliseconds since 1970 by this machine's clock; for records, never for leases.
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}
