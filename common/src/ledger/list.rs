//! Which jobs there are: of a tenant, and of a song.

use super::{Ledger, Result, now_ms};
use crate::ids::{JobId, SongHash, Tenant};
use crate::job::{Ending, Format, Record, ResultFile};
use crate::keys::{Bucket, ObjectKey};
use crate::storage::{StoreError, Write};

/// One page of a tenant's jobs, the latest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listed {
    /// Their names.
    pub jobs: Vec<JobId>,
    /// Whether there are more after the last one.
    pub more: bool,
}

impl Ledger {
    /// A tenant's jobs that were made before `after`, the latest first.
    pub async fn jobs(&self, tenant: &Tenant, after: Option<&JobId>, limit: usize) -> Result<Listed> {
        let after = after.map(|job| ObjectKey::of_tenant(tenant, job));
        let after = after.as_ref().map(ObjectKey::path);
        let page = self.store.list(Bucket::Queue, &ObjectKey::jobs_of(tenant), after, limit).await?;
        let jobs = page.objects.iter().filter_map(|(key, _)| key.as_job_of_tenant()).collect();
        Ok(Listed { jobs, more: page.more })
    }

    /// A tenant's jobs that need a song, the latest first.
    pub async fn jobs_with_song(&self, tenant: &Tenant, song: &SongHash) -> Result<Vec<Record>> {
        let uses = ObjectKey::uses_of(tenant, song);
        let uses = self.keys(Bucket::Queue, &uses).await?;
        let mut jobs: Vec<JobId> = uses.iter().filter_map(ObjectKey::job_id).collect();
        jobs.sort_by_key(|job| std::cmp::Reverse((job.epoch(), job.unique())));
        let mut records = Vec::new();
        for job in &jobs {
            records.extend(self.record(job).await?);
        }
        Ok(records)
    }

    /// Jobs that succeeded with MP3 results of a song, the one that was asked for last first: what the older contract
    /// can show.
    pub async fn published_jobs(
        &self,
        tenant: &Tenant,
        song: &SongHash,
    ) -> Result<Vec<(Record, Vec<ResultFile>)>> {
        let mut jobs = Vec::new();
        for record in self.jobs_with_song(tenant, song).await? {
            if matches!(record.options.format, Format::Mp3 { .. })
                && let Some(manifest) = self.manifest(&record).await?
                && let Ending::Succeeded { results } = manifest.ending
            {
                jobs.push((record, results));
            }
        }
        if jobs.len() > 1 {
            let asked = ObjectKey::asked_for(tenant, song, None);
            let asked = self.keys(Bucket::Queue, &asked).await?;
            let times: Vec<_> = asked.iter().filter_map(ObjectKey::as_asked).collect();
            // Of two of one moment, the one that was there already was asked for last.
            let last = |record: &Record| {
                let again = times.iter().filter(|(job, _)| *job == record.id).map(|(_, ms)| (*ms, true));
                again.fold((record.created_ms, false), Ord::max)
            };
            jobs.sort_by_key(|(record, _)| std::cmp::Reverse(last(record)));
        }
        Ok(jobs)
    }

    /// From now on the same work is done anew for whoever asks for it; the job and its results stay.
    pub async fn withdraw(&self, record: &Record) -> Result<()> {
        let identities = ObjectKey::identities_of(&record.tenant, &record.key);
        for key in self.keys(Bucket::Queue, &identities).await? {
            if self.read::<Record>(&key).await?.is_some_and(|other| other.id == record.id) {
                self.store.delete(&key).await?;
            }
        }
        Ok(())
    }

    /// Puts the results of a job where the older contract finds them, now or when it has succeeded: it was asked for
    /// last.
    pub async fn republish(&self, record: &Record) -> Result<()> {
        self.mark(&ObjectKey::asked(&record.tenant, &record.song, &record.id, now_ms())).await?;
        if let Some(Ending::Succeeded { results }) =
            self.manifest(record).await?.map(|manifest| manifest.ending)
        {
            self.publish(record, &results).await?;
        }
        Ok(())
    }

    /// Removes a song that no job needs, of work that was not taken. Gives whether a job began to need it meanwhile: the
    /// caller, who still has its bytes, puts it back then.
    #[must_use = "the song may have to be put back"]
    pub async fn drop_song(&self, tenant: &Tenant, song: &SongHash) -> Result<bool> {
        let uses = ObjectKey::uses_of(tenant, song);
        if self.has_any(Bucket::Queue, &uses).await? {
            return Ok(false);
        }
        self.store.delete(&ObjectKey::song(tenant, song)).await?;
        self.has_any(Bucket::Queue, &uses).await
    }

    /// Removes a song of which a job was deleted, where no other job needs it.
    pub(super) async fn release_song(&self, tenant: &Tenant, song: &SongHash) -> Result<()> {
        if self.has_any(Bucket::Queue, &ObjectKey::uses_of(tenant, song)).await? {
            return Ok(());
        }
        let (key, aside) = (ObjectKey::song(tenant, song), ObjectKey::incoming(uuid::Uuid::new_v4()));
        match self.store.copy(&key, &aside, Write::Once).await {
            Ok(_) => {}
            Err(StoreError::NotFound(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        if self.drop_song(tenant, song).await? {
            self.store.copy(&aside, &key, Write::Once).await?;
        }
        Ok(self.store.delete(&aside).await?)
    }

    /// Whether the results' time is over.
    #[must_use]
    pub fn is_over(record: &Record) -> bool {
        record.expires_s <= now_ms() / 1000
    }

    /// Whether a job of this name, if there was one, is over by now: by the time in its name.
    #[must_use]
    pub fn would_be_over(&self, job: &JobId) -> bool {
        let made_ms = job.made_ms();
        made_ms > 0 && made_ms / 1000 + self.keep.results.as_secs() <= now_ms() / 1000
    }
}
