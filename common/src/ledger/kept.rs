//! Sources that are kept for a while after a separation: other formats and mixes of the song need no second one.

use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::{Ledger, LedgerError, Result, now_ms};
use crate::ids::{JobId, JobKey, StemName, Tenant};
use crate::job::Record;
use crate::keys::{Bucket, KEPT_UNTIL, ObjectKey};
use crate::storage::Write;

/// What is kept of one separation: its sources as FLAC of 24 bits, with headroom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Version of this record.
    pub v: u32,
    /// The job that separated the song.
    pub job: JobId,
    /// The sources in the network's order.
    pub sources: Vec<StemName>,
    /// Sample rate of the song in Hz.
    pub song_rate_hz: u32,
    /// Samples per channel of the song at that rate.
    pub song_frames: u64,
    /// When they go, in seconds since 1970.
    pub until_s: u64,
}

impl Kept {
    /// Version that is written.
    pub const VERSION: u32 = 1;
}

impl Ledger {
    /// Whether sources are kept at all.
    #[must_use]
    pub fn keeps_sources(&self) -> bool {
        !self.keep.sources.is_zero()
    }

    /// Where a job that separates a song puts a source.
    #[must_use]
    pub fn source_key(record: &Record, job: &JobId, source: &StemName) -> ObjectKey {
        ObjectKey::kept_source(&record.tenant, &record.options.separation(&record.song), job, source)
    }

    /// Says, before anything of it is stored, until when the sources that a job leaves are kept, in seconds since
    /// 1970: what is half stored goes then too.
    pub async fn begin_keeping(&self, record: &Record) -> Result<u64> {
        let until_s = now_ms() / 1000 + self.keep.sources.as_secs();
        let separation = record.options.separation(&record.song);
        self.mark(&ObjectKey::kept_until(until_s, &record.tenant, &separation)).await?;
        Ok(until_s)
    }

    /// Lets others know of sources whose bytes are in the store. Those of earlier jobs go.
    pub async fn keep(&self, record: &Record, kept: &Kept) -> Result<()> {
        let separation = record.options.separation(&record.song);
        self.write(&ObjectKey::kept(&record.tenant, &separation), kept, Write::Replace).await?;
        if self.record(&record.id).await?.is_none() {
            // Deleted meanwhile, with what was kept until then.
            return self.forget_kept(record).await;
        }
        self.remove_sources(record, |job| job != record.id).await
    }

    /// Removes what a job has left of its sources: they are made again when they are needed.
    pub async fn forget_kept(&self, record: &Record) -> Result<()> {
        let separation = record.options.separation(&record.song);
        if self.kept_at(&record.tenant, &separation).await?.is_some_and(|kept| kept.job == record.id) {
            self.store.delete(&ObjectKey::kept(&record.tenant, &separation)).await?;
        }
        self.remove_sources(record, |job| job == record.id).await
    }

    /// Removes sources of the separation that a job needs, by the jobs that left them.
    async fn remove_sources(&self, record: &Record, goes: impl Fn(JobId) -> bool) -> Result<()> {
        let prefix = ObjectKey::kept_of(&record.tenant, &record.options.separation(&record.song));
        for key in self.keys(Bucket::Output, &prefix).await? {
            if key.job_id().is_some_and(&goes) {
                self.store.delete(&key).await?;
            }
        }
        Ok(())
    }

    /// Lets go of kept sources that turned out to be of no use, whoever left them.
    pub async fn discard_kept(&self, record: &Record) -> Result<()> {
        self.drop_kept(&record.tenant, &record.options.separation(&record.song)).await
    }

    /// What is kept of the separation that a job needs.
    pub async fn kept(&self, record: &Record) -> Result<Option<Kept>> {
        self.kept_at(&record.tenant, &record.options.separation(&record.song)).await
    }

    pub(super) async fn kept_at(&self, tenant: &Tenant, separation: &JobKey) -> Result<Option<Kept>> {
        let kept = match self.read::<Kept>(&ObjectKey::kept(tenant, separation)).await {
            // Of a later release: the song is separated again.
            Err(LedgerError::Record { .. }) => return Ok(None),
            kept => kept?,
        };
        let epoch = self.epoch().await?;
        Ok(kept.filter(|kept| {
            kept.v == Kept::VERSION && kept.until_s > now_ms() / 1000 && kept.job.epoch() >= epoch
        }))
    }

    /// Removes what is kept of a separation: it is made again when it is needed.
    pub(super) async fn drop_kept(&self, tenant: &Tenant, separation: &JobKey) -> Result<()> {
        self.store.delete(&ObjectKey::kept(tenant, separation)).await?;
        self.store.delete_prefix(Bucket::Output, &ObjectKey::kept_of(tenant, separation)).await?;
        Ok(())
    }

    /// Removes kept sources whose time is over.
    pub(super) async fn sweep_kept(&self) -> Result<()> {
        let hour_now = now_ms() / 1000 / 3600;
        let mut marks = self.walk(Bucket::Queue, KEPT_UNTIL);
        while let Some((mark, _)) = marks.try_next().await? {
            let Some((hour, tenant, separation)) = mark.as_kept_until() else { continue };
            if hour >= hour_now {
                break;
            }
            // What was kept again since has a later mark of its own.
            if self.kept_at(&tenant, &separation).await?.is_none() {
                self.drop_kept(&tenant, &separation).await?;
            }
            self.store.delete(&mark).await?;
        }
        Ok(())
    }
}
