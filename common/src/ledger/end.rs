//! How jobs end: by their results, by failure, by cancellation, by deletion.

use super::{Ledger, Result, now_ms};
use crate::failpoint;
use crate::ids::Tenant;
use crate::job::{Commit, Ending, Format, Manifest, Record, ResultFile};
use crate::keys::{Bucket, ObjectKey};
use crate::queue::State;
use crate::storage::{Write, Written};
use crate::telemetry::figures;

impl Ledger {
    /// Makes a result visible whose bytes are in the store. A result that was committed before stays; what is
    /// given back is the one that counts.
    pub async fn commit(&self, record: &Record, commit: Commit) -> Result<ResultFile> {
        let result = &commit.result;
        let extension = record.options.format.extension();
        let key = ObjectKey::commit(&record.work(), &result.make, &result.stem, extension);
        let written = self.write(&key, &commit, Write::Once).await?;
        failpoint::reach("result.committed");
        match written {
            Written::Stored => Ok(commit.result),
            Written::Exists => Ok(self.read(&key).await?.unwrap_or(commit.result)),
        }
    }

    /// Ends a job, unless it has ended already: gives the ending that counts.
    pub async fn finish(&self, record: &Record, ending: Ending) -> Result<Manifest> {
        let key = ObjectKey::manifest(&record.work());
        let status = self.queue.status(record.id).await?;
        let manifest = Manifest {
            v: Record::VERSION,
            job: record.id,
            ending,
            permille: status.as_ref().map_or(0, |status| status.permille),
            started_ms: status.map_or(0, |status| status.times_ms[1]),
            completed_ms: now_ms(),
        };
        let manifest = match self.write(&key, &manifest, Write::Once).await? {
            Written::Stored => {
                count(record, &manifest);
                manifest
            }
            Written::Exists => self.read(&key).await?.unwrap_or(manifest),
        };
        failpoint::reach("finish.manifest_written");
        self.clean(record, &manifest).await?;
        failpoint::reach("finish.cleaned");
        Ok(manifest)
    }

    /// Publishes MP3 results under the names of the older contract. Of a job that has succeeded, so that no
    /// reader finds a stem of a job that is canceled later.
    pub(super) async fn publish(&self, record: &Record, results: &[ResultFile]) -> Result<()> {
        if record.tenant != Tenant::default_tenant() || !matches!(record.options.format, Format::Mp3 { .. }) {
            return Ok(());
        }
        let jobs = self.published_jobs(&record.tenant, &record.song).await?;
        for result in results {
            let asked_last = with_stem(&jobs, result).is_none_or(|(job, _)| job.id == record.id);
            if !asked_last || self.is_removed(record, result).await? {
                continue;
            }
            let to = ObjectKey::published(&record.song, &result.stem);
            self.store.copy(&Self::result_key(record, result), &to, Write::Replace).await?;
            failpoint::reach("finish.midway_published");
        }
        Ok(())
    }

    /// What follows from an ending; may be repeated.
    async fn clean(&self, record: &Record, manifest: &Manifest) -> Result<()> {
        match &manifest.ending {
            Ending::Succeeded { results } => {
                if self.record(&record.id).await?.is_none() {
                    // Deleted or reset since; the mark stays, for what others may write.
                    return self.erase(record).await;
                }
                let published = self.publish(record, results).await;
                if self.record(&record.id).await?.is_none() {
                    // Deleted or reset while they were published.
                    self.unpublish(record, results).await?;
                    return self.erase(record).await;
                }
                published?;
                self.remove_surplus(record, results).await?;
                self.store.delete_prefix(Bucket::Queue, &ObjectKey::work_of(&record.id)).await?;
                let mark = ObjectKey::pending(&record.id);
                self.store.delete(&mark).await?;
                if self.record(&record.id).await?.is_none() {
                    // Deleted meanwhile: where that broke off, a sweep needs the mark that has just gone.
                    self.write(&mark, record, Write::Replace).await?;
                }
            }
            // The mark stays for a while: what a slow worker writes late is swept with it.
            Ending::Failed { .. } | Ending::Canceled => self.remove_traces(record).await?,
        }
        Ok(())
    }

    /// The caller was told of the end, or never will be: a queue that is lost from now on loses nothing of the job.
    pub async fn told(&self, record: &Record) -> Result<()> {
        Ok(self.store.delete(&ObjectKey::untold(&record.id)).await?)
    }

    /// Removes what a job that did not succeed has written, all but its manifest.
    pub(super) async fn remove_traces(&self, record: &Record) -> Result<()> {
        self.store.delete_prefix(Bucket::Queue, &ObjectKey::work_of(&record.id)).await?;
        self.remove_surplus(record, &[]).await
    }

    /// Removes what a job has written beside its manifest and `results`: of plans and engines that did not end it.
    async fn remove_surplus(&self, record: &Record, results: &[ResultFile]) -> Result<()> {
        let (work, extension) = (record.work(), record.options.format.extension());
        let mut stay = vec![ObjectKey::manifest(&work)];
        for result in results {
            stay.push(Self::result_key(record, result));
            stay.push(ObjectKey::commit(&work, &result.make, &result.stem, extension));
            stay.push(ObjectKey::removed(&work, &result.stem));
        }
        for key in self.keys(Bucket::Output, &work.prefix()).await? {
            if !stay.contains(&key) {
                self.store.delete(&key).await?;
            }
        }
        Ok(())
    }

    /// Ends a job that the queue has ended: of a failed or canceled one the manifest is written here. None while
    /// the job goes on.
    pub async fn settle(&self, record: &Record) -> Result<Option<Manifest>> {
        // First this: who cancels a job marks it before the queue hears of it.
        let status = self.queue.status(record.id).await?;
        if self.store.head(&ObjectKey::canceled(&record.id)).await?.is_some() {
            // Whoever marked it may have died before this.
            self.queue.cancel(record.id).await?;
            return Ok(Some(self.finish(record, Ending::Canceled).await?));
        }
        let Some(status) = status else { return Ok(None) };
        match status.state {
            State::Queued | State::Running => Ok(None),
            State::Failed => {
                // What is a fault of the song was written by the worker that found it. The rest is for operators.
                tracing::error!(job.id = %record.id, reason = status.reason, "a job was given up");
                let reason = "the song could not be separated, in several attempts".to_owned();
                Ok(Some(self.finish(record, Ending::Failed { reason }).await?))
            }
            // Canceled without a mark, or done without the manifest that is written before: whoever said so did not see
            // what is in the store, or it has been lost since.
            State::Canceled | State::Succeeded => {
                let manifest = self.manifest(record).await?;
                if manifest.is_none() {
                    tracing::warn!(job.id = %record.id, state = ?status.state, "the queue knows an end that the store does not: the job begins again");
                    self.queue.forget(record.id).await?;
                }
                Ok(manifest)
            }
        }
    }

    /// Stops a job; gives the ending that counts, which is another one where it had ended before.
    pub async fn cancel(&self, record: &Record) -> Result<Manifest> {
        if let Some(manifest) = self.manifest(record).await? {
            return Ok(manifest);
        }
        self.mark(&ObjectKey::canceled(&record.id)).await?;
        failpoint::reach("cancel.marked");
        self.queue.cancel(record.id).await?;
        self.finish(record, Ending::Canceled).await
    }

    /// Removes a job, its results, and its song where no other job needs it. One that has not ended is stopped.
    pub async fn delete(&self, record: &Record) -> Result<()> {
        let manifest = self.cancel(record).await?;
        // With the mark, which has the record, a sweep ends what breaks off here.
        let mark = ObjectKey::pending(&record.id);
        self.write(&mark, record, Write::Replace).await?;
        self.store.delete(&ObjectKey::job(&record.id)).await?;
        // Again: whoever ended the job while its record was there may have taken the first one.
        self.write(&mark, record, Write::Replace).await?;
        self.erase(record).await?;
        if manifest.ending.state() == State::Succeeded {
            self.store.delete(&mark).await?;
        }
        // Otherwise a worker may be writing still: the mark goes later, with what was written.
        self.queue.forget(record.id).await?;
        Ok(())
    }

    /// Removes everything of a job but its mark; may be repeated.
    pub(super) async fn erase(&self, record: &Record) -> Result<()> {
        self.withdraw(record).await?;
        self.store.delete_prefix(Bucket::Queue, &ObjectKey::work_of(&record.id)).await?;
        if let Some(Manifest { ending: Ending::Succeeded { results }, .. }) = self.manifest(record).await? {
            self.unpublish(record, &results).await?;
        }
        self.store.delete_prefix(Bucket::Output, &record.work().prefix()).await?;
        let units = ObjectKey::units_of_job(&record.tenant, &record.song, &record.id);
        self.store.delete_prefix(Bucket::Queue, &units).await?;
        failpoint::reach("delete.midway");
        self.store.delete(&ObjectKey::song_use(&record.tenant, &record.song, &record.id)).await?;
        let asked = ObjectKey::asked_for(&record.tenant, &record.song, Some(&record.id));
        self.store.delete_prefix(Bucket::Queue, &asked).await?;
        self.forget_kept(record).await?;
        self.release_song(&record.tenant, &record.song).await?;
        self.store.delete(&ObjectKey::of_tenant(&record.tenant, &record.id)).await?;
        self.store.delete(&ObjectKey::expiry(record.expires_s, &record.id)).await?;
        self.store.delete(&ObjectKey::canceled(&record.id)).await?;
        self.store.delete(&ObjectKey::untold(&record.id)).await?;
        Ok(self.store.delete(&ObjectKey::job(&record.id)).await?)
    }

    /// Takes this job's results from where the older contract finds them. Where another job has the same stem of
    /// the song, that one is found there from now on: a length says nothing of whose a file of constant bit rate is.
    async fn unpublish(&self, record: &Record, results: &[ResultFile]) -> Result<()> {
        if record.tenant != Tenant::default_tenant() {
            return Ok(());
        }
        let mut others = self.published_jobs(&record.tenant, &record.song).await?;
        others.retain(|(other, _)| other.id != record.id);
        for result in results {
            let key = ObjectKey::published(&record.song, &result.stem);
            if self.store.head(&key).await?.is_none() {
                continue;
            }
            match with_stem(&others, result) {
                Some((other, result)) if !self.is_removed(other, result).await? => {
                    self.store.copy(&Self::result_key(other, result), &key, Write::Replace).await?;
                }
                _ => self.store.delete(&key).await?,
            }
        }
        Ok(())
    }

    /// Whether somebody has taken a result from the older contract.
    async fn is_removed(&self, record: &Record, result: &ResultFile) -> Result<bool> {
        Ok(self.store.head(&ObjectKey::removed(&record.work(), &result.stem)).await?.is_some())
    }
}

/// The first of these jobs that has a stem of this name, and that one.
fn with_stem<'a>(
    jobs: &'a [(Record, Vec<ResultFile>)],
    result: &ResultFile,
) -> Option<(&'a Record, &'a ResultFile)> {
    let has = |(job, results): &'a (Record, Vec<ResultFile>)| {
        Some((job, results.iter().find(|other| other.stem == result.stem)?))
    };
    jobs.iter().find_map(has)
}

/// Counts an end, by whoever wrote it down: once.
fn count(record: &Record, manifest: &Manifest) {
    let state = match manifest.ending {
        Ending::Succeeded { .. } => "succeeded",
        Ending::Failed { .. } => "failed",
        Ending::Canceled => "canceled",
    };
    metrics::counter!("msaas_jobs_ended_total", "state" => state).increment(1);
    if state == "succeeded" {
        figures::stage("whole", manifest.completed_ms.saturating_sub(record.created_ms) as f64 / 1e3);
    }
}
