//! Forgetting everything, while new songs come in already.

use std::time::SystemTime;

use bytes::Bytes;
use futures_util::TryStreamExt;

use super::{Ledger, LedgerError, Result};
use crate::failpoint;
use crate::ids::{Epoch, Tenant};
use crate::job::Record;
use crate::keys::{Bucket, EPOCHS, IDENTITIES, ObjectKey, PENDING, RESETTING, STORE_ID};
use crate::storage::{Write, Written};

/// What decides whether an object outlives a reset.
enum Fate {
    /// It stays.
    Stays,
    /// It goes.
    Goes,
    /// It goes if it was written before the reset began.
    ByTime,
}

impl Ledger {
    /// Forgets everything: all jobs stop, all songs and results go.
    pub async fn reset(&self) -> Result<Epoch> {
        let (epoch, began) = self.begin_reset().await?;
        self.remove_before(epoch, began).await?;
        Ok(epoch)
    }

    /// Begins a reset: durable before anything is removed, so that nothing comes back. [`Ledger::remove_before`] does
    /// the rest, which may take long.
    pub async fn begin_reset(&self) -> Result<(Epoch, SystemTime)> {
        let mut epoch = Epoch(self.restore_epoch().await?.0 + 1);
        while self.store.put(&ObjectKey::epoch(epoch), Bytes::new(), Write::Once).await? == Written::Exists {
            epoch.0 += 1;
        }
        self.mark(&ObjectKey::resetting(epoch)).await?;
        failpoint::reach("reset.durable");
        // By the store's own clock, which may differ from this machine's.
        let began = self.store.head(&ObjectKey::epoch(epoch)).await?;
        let began = began.map_or_else(SystemTime::now, |meta| meta.modified);
        Ok((self.queue.reset(epoch).await?, began))
    }

    /// Removes what is of jobs of before `epoch`, and of what is of no job what was written until `began`. Said again,
    /// it ends a reset that broke off.
    pub async fn remove_before(&self, epoch: Epoch, began: SystemTime) -> Result<()> {
        // Results first: what is left of them when this breaks off, the marks of when they go still lead to.
        for bucket in [Bucket::Output, Bucket::Queue] {
            self.remove_of(bucket, epoch, began).await?;
        }
        Ok(self.store.delete(&ObjectKey::resetting(epoch)).await?)
    }

    /// Ends resets that broke off.
    pub(super) async fn sweep_resets(&self) -> Result<()> {
        for mark in self.keys(Bucket::Queue, RESETTING).await? {
            let Ok(epoch) = mark.path()[RESETTING.len()..].parse().map(Epoch) else { continue };
            if let Some(began) = self.store.head(&ObjectKey::epoch(epoch)).await? {
                self.remove_before(epoch, began.modified).await?;
            }
        }
        Ok(())
    }

    async fn remove_of(&self, bucket: Bucket, epoch: Epoch, began: SystemTime) -> Result<()> {
        let mut objects = self.walk(bucket, "");
        while let Some((key, _)) = objects.try_next().await? {
            let fate = match self.fate(&key, epoch).await {
                // Damaged, or of a later release.
                Err(LedgerError::Record { .. }) => Fate::ByTime,
                fate => fate?,
            };
            let goes = match fate {
                Fate::Stays => false,
                Fate::Goes => true,
                // Looked at again at the last moment: the same song may have come in again since.
                Fate::ByTime => self.store.head(&key).await?.is_some_and(|meta| meta.modified <= began),
            };
            if goes {
                self.store.delete(&key).await?;
                failpoint::reach("reset.midway");
            }
        }
        Ok(())
    }

    /// By its job, where it is of one: times are whole seconds in S3, and a job of the new epoch may be as old as that.
    async fn fate(&self, key: &ObjectKey, epoch: Epoch) -> Result<Fate> {
        // Sweeps remove the marks later, with what workers of the old epoch are still writing.
        if key.bucket() == Bucket::Queue
            && [EPOCHS, PENDING, RESETTING, STORE_ID].iter().any(|prefix| key.path().starts_with(prefix))
        {
            return Ok(Fate::Stays);
        }
        if let Some(job) = key.job_id() {
            return Ok(if job.epoch() < epoch { Fate::Goes } else { Fate::Stays });
        }
        let stays = if key.path().starts_with(IDENTITIES) {
            self.read::<Record>(key).await?.is_some_and(|record| record.id.epoch() >= epoch)
        } else if let Some((song, stem)) = key.as_published() {
            let jobs = self.published_jobs(&Tenant::default_tenant(), &song).await?;
            jobs.iter().any(|(_, results)| results.iter().any(|result| result.stem == stem))
        } else {
            self.is_used(key, epoch).await?
        };
        Ok(if stays { Fate::Stays } else { Fate::ByTime })
    }

    /// Whether this is a song that a job of `epoch` or later needs.
    async fn is_used(&self, key: &ObjectKey, epoch: Epoch) -> Result<bool> {
        let Some((tenant, song)) = key.as_song() else { return Ok(false) };
        let uses = self.keys(Bucket::Queue, &ObjectKey::uses_of(&tenant, &song)).await?;
        Ok(uses.iter().filter_map(ObjectKey::job_id).any(|job| job.epoch() >= epoch))
    }
}
