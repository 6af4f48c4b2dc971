//! What has to be done from time to time: nothing that was accepted is forgotten, nothing stays for ever.

use std::collections::HashSet;
use std::time::SystemTime;

use futures_util::TryStreamExt;

use super::{Ledger, LedgerError, Result, now_ms};
use crate::failpoint;
use crate::ids::JobId;
use crate::job::{Ending, Record};
use crate::keys::{
    Bucket, CANCELED, EXPIRY, GONE, IDEMPOTENCY, INCOMING, ObjectKey, PENDING, PROBE, UNTOLD, WORK,
};
use crate::queue::{Room, State, Submitted};

/// How long after its end a caller is told of a job.
const TELL_FOR: std::time::Duration = std::time::Duration::from_hours(24);

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Jobs that were submitted to the queue again.
    pub submitted: u64,
    /// Jobs whose end was written down or cleaned up.
    pub settled: u64,
    /// Jobs whose time was over.
    pub expired: u64,
    /// Uploads that never became a job.
    pub uploads: u64,
}

impl Ledger {
    /// Goes through everything that is pending: submits again what the queue has lost, writes down what ended
    /// without a manifest, removes what is left of what did not succeed.
    pub async fn sweep_pending(&self) -> Result<Swept> {
        self.restore_epoch().await?;
        let mut swept = Swept::default();
        let canceled = self.keys(Bucket::Queue, CANCELED).await?;
        let canceled: HashSet<JobId> = canceled.iter().filter_map(ObjectKey::job_id).collect();
        let mut pending = self.walk(Bucket::Queue, PENDING);
        while let Some((key, meta)) = pending.try_next().await? {
            // Most of those that wait: thousands of them must not cost the store thousands of requests each time.
            if let Some(id) = key.job_id()
                && !canceled.contains(&id)
                && self.only_waits(id).await?
            {
                continue;
            }
            passed_by(&key, self.sweep_one(&key, age(meta.modified), &mut swept).await)?;
            failpoint::reach("sweep.midway");
        }
        self.sweep_untold(&mut swept).await?;
        Ok(swept)
    }

    /// Whether no worker has begun with a job that the queue knows: it cannot have ended but by a cancellation.
    async fn only_waits(&self, id: JobId) -> Result<bool> {
        let status = self.queue.status(id).await?;
        Ok(status.is_some_and(|status| status.state == State::Queued && status.times_ms[1] == 0))
    }

    async fn sweep_one(
        &self,
        pending: &ObjectKey,
        age: std::time::Duration,
        swept: &mut Swept,
    ) -> Result<()> {
        let Some(id) = pending.job_id() else { return Ok(()) };
        let Some(record) = self.record(&id).await? else {
            // Of an earlier epoch, or deleted: what slow workers have written since goes with the mark.
            if age > self.keep.late {
                // Without a record in it where an earlier release wrote it.
                if let Ok(Some(record)) = self.read::<Record>(pending).await {
                    self.erase(&record).await?;
                }
                self.store.delete(pending).await?;
            }
            return Ok(());
        };
        let manifest = match self.manifest(&record).await? {
            Some(manifest) => Some(manifest),
            None => self.settle(&record).await?,
        };
        match manifest.map(|manifest| manifest.ending) {
            Some(Ending::Succeeded { results }) => {
                self.finish(&record, Ending::Succeeded { results }).await?;
                swept.settled += 1;
            }
            Some(Ending::Failed { .. } | Ending::Canceled) => {
                self.remove_traces(&record).await?;
                if age > self.keep.late {
                    self.store.delete(pending).await?;
                }
                swept.settled += 1;
            }
            None => swept.submitted += self.submit_again(&record).await?,
        }
        Ok(())
    }

    /// Tells the caller of a job that has ended once more.
    pub async fn tell_again(&self, record: &Record) -> Result<()> {
        if record.callback.is_some() && self.manifest(record).await?.is_some() {
            self.mark(&ObjectKey::untold(&record.id)).await?;
            self.queue.forget(record.id).await?;
            self.submit_again(record).await?;
        }
        Ok(())
    }

    async fn submit_again(&self, record: &Record) -> Result<u64> {
        let everyone = Room { jobs: u64::MAX, jobs_of_tenant: u64::MAX };
        Ok(u64::from(self.queue.submit(&record.to_queue(), everyone).await? == Submitted::Accepted))
    }

    /// Submits jobs again that have ended and whose caller the queue has forgotten: whoever takes one finds that it
    /// has ended and says so, and the caller is told.
    async fn sweep_untold(&self, swept: &mut Swept) -> Result<()> {
        let mut marks = self.walk(Bucket::Queue, UNTOLD);
        while let Some((mark, _)) = marks.try_next().await? {
            passed_by(&mark, self.sweep_untold_one(&mark, swept).await)?;
        }
        Ok(())
    }

    async fn sweep_untold_one(&self, mark: &ObjectKey, swept: &mut Swept) -> Result<()> {
        let Some(id) = mark.job_id() else { return Ok(()) };
        if self.queue.status(id).await?.is_some() {
            return Ok(());
        }
        let Some(record) = self.record(&id).await? else { return Ok(self.store.delete(mark).await?) };
        // One that has not ended is pending.
        let Some(manifest) = self.manifest(&record).await? else { return Ok(()) };
        if now_ms().saturating_sub(manifest.completed_ms) > TELL_FOR.as_millis() as u64 {
            return Ok(self.store.delete(mark).await?);
        }
        swept.submitted += self.submit_again(&record).await?;
        Ok(())
    }

    /// Removes the job of an expiry mark.
    async fn expire(&self, mark: &ObjectKey) -> Result<()> {
        if let Some(id) = mark.job_id()
            && let Some(record) = self.read::<Record>(&ObjectKey::job(&id)).await?
        {
            self.mark(&ObjectKey::gone(&record.tenant, &record.song)).await?;
            return self.delete(&record).await;
        }
        Ok(self.store.delete(mark).await?)
    }

    /// Removes jobs whose time is over, and uploads that never became a job.
    pub async fn sweep_expired(&self) -> Result<Swept> {
        let mut swept = Swept::default();
        let now_s = now_ms() / 1000;
        let mut marks = self.walk(Bucket::Queue, EXPIRY);
        while let Some((key, _)) = marks.try_next().await? {
            let hour = key.path()[EXPIRY.len()..].split('/').next().and_then(|hour| hour.parse::<u64>().ok());
            if hour.map_or(0, |hour| (hour + 1) * 3600) > now_s {
                break;
            }
            passed_by(&key, self.expire(&key).await)?;
            swept.expired += 1;
        }
        self.sweep_resets().await?;
        self.sweep_kept().await?;
        self.sweep_music().await?;
        swept.uploads = self.remove_old(Bucket::Queue, INCOMING, self.keep.uploads).await?;
        self.sweep_uploads().await?;
        self.remove_old(Bucket::Queue, IDEMPOTENCY, self.keep.answers).await?;
        let gone = (self.keep.results * 4).max(std::time::Duration::from_hours(24));
        self.remove_old(Bucket::Queue, GONE, gone).await?;
        self.sweep_work().await?;
        self.store.tidy().await;
        // Of start-ups that were killed.
        for bucket in [Bucket::Queue, Bucket::Output] {
            self.remove_old(bucket, PROBE, self.keep.uploads).await?;
        }
        Ok(swept)
    }

    /// Removes intermediates of jobs that have ended or are gone: a worker that stood still wrote them too late.
    async fn sweep_work(&self) -> Result<()> {
        let mut looked_at: Option<(JobId, bool)> = None;
        let mut objects = self.walk(Bucket::Queue, WORK);
        while let Some((key, meta)) = objects.try_next().await? {
            let Some(job) = key.job_id().filter(|_| age(meta.modified) > self.keep.late) else { continue };
            let is_over = match looked_at {
                Some((last, is_over)) if last == job => is_over,
                _ => match self.record(&job).await? {
                    Some(record) => self.manifest(&record).await?.is_some(),
                    None => true,
                },
            };
            looked_at = Some((job, is_over));
            if is_over {
                self.store.delete(&key).await?;
            }
        }
        Ok(())
    }

    /// Removes what lies under `prefix` for longer than `keep`; gives how many.
    async fn remove_old(&self, bucket: Bucket, prefix: &str, keep: std::time::Duration) -> Result<u64> {
        let mut removed = 0;
        let mut objects = self.walk(bucket, prefix);
        while let Some((key, meta)) = objects.try_next().await? {
            if age(meta.modified) > keep {
                self.store.delete(&key).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

pub(super) fn age(modified: SystemTime) -> std::time::Duration {
    SystemTime::now().duration_since(modified).unwrap_or_default()
}

/// A record that cannot be read, or is of a later release, must not keep the others from being looked at.
pub(super) fn passed_by(key: &ObjectKey, swept: Result<()>) -> Result<()> {
    match swept {
        Err(LedgerError::Record { key: record, why }) => {
            tracing::error!(%key, %record, why, "a sweep passes by what it cannot read");
            Ok(())
        }
        swept => swept,
    }
}
