//! How jobs end: by their results, by failure, by cancellation, by a reset, by deletion.

use std::time::SystemTime;

use bytes::Bytes;
use futures_util::TryStreamExt;

use super::{Ledger, Result, now_ms};
use crate::failpoint;
use crate::ids::{Epoch, Tenant};
use crate::job::{Ending, Format, Manifest, Record, ResultFile};
use crate::keys::{Bucket, EPOCHS, IDENTITIES, ObjectKey, PENDING};
use crate::queue::State;
use crate::storage::{Write, Written};

impl Ledger {
    /// Makes a result visible whose bytes are in the store. A result that was committed before stays; what is
    /// given back is the one that counts.
    pub async fn commit(&self, record: &Record, result: &ResultFile) -> Result<ResultFile> {
        let extension = record.options.format.extension();
        let key = ObjectKey::commit(&record.work(), &result.make, &result.stem, extension);
        let written = self.write(&key, result, Write::Once).await?;
        failpoint::reach("result.committed");
        match written {
            Written::Stored(_) => Ok(result.clone()),
            Written::Exists => Ok(self.read(&key).await?.unwrap_or_else(|| result.clone())),
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
            started_ms: status.map_or(0, |status| status.times_ms[1]),
            completed_ms: now_ms(),
        };
        let manifest = match self.write(&key, &manifest, Write::Once).await? {
            Written::Stored(_) => manifest,
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
        for result in results {
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
                self.publish(record, results).await?;
                self.remove_surplus(record, results).await?;
                self.store.delete_prefix(Bucket::Queue, &ObjectKey::work_of(&record.id)).await?;
                // Where someone wants to be told of the end, the mark goes when that has happened.
                if record.callback.is_none() {
                    self.store.delete(&ObjectKey::pending(&record.id)).await?;
                }
            }
            // The mark stays for a while: what a slow worker writes late is swept with it.
            Ending::Failed { .. } | Ending::Canceled => self.remove_traces(record).await?,
        }
        Ok(())
    }

    /// The caller was told of the end, or never will be: a queue that is lost from now on loses nothing of the job.
    pub async fn told(&self, record: &Record) -> Result<()> {
        let mark = ObjectKey::pending(&record.id);
        match self.manifest(record).await?.map(|manifest| manifest.ending) {
            Some(Ending::Succeeded { .. }) => self.store.delete(&mark).await?,
            // This one stays for a while, with nobody to be told in it.
            Some(_) if self.record(&record.id).await?.is_some() => {
                self.write(&mark, &Record { callback: None, ..record.clone() }, Write::Replace).await?;
            }
            _ => {}
        }
        Ok(())
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
        if self.store.head(&ObjectKey::canceled(&record.id)).await?.is_some() {
            return Ok(Some(self.finish(record, Ending::Canceled).await?));
        }
        let Some(status) = self.queue.status(record.id).await? else { return Ok(None) };
        match status.state {
            State::Queued | State::Running => Ok(None),
            State::Failed => {
                // What is a fault of the song was written by the worker that found it. The rest is for operators.
                tracing::error!(job.id = %record.id, reason = status.reason, "a job was given up");
                let reason = "the song could not be separated, in several attempts".to_owned();
                Ok(Some(self.finish(record, Ending::Failed { reason }).await?))
            }
            State::Canceled => Ok(Some(self.finish(record, Ending::Canceled).await?)),
            // Workers write the manifest before they tell the queue.
            State::Succeeded => self.manifest(record).await,
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
        self.cancel(record).await?;
        // The mark has the record from now on: it goes when nobody can be writing for the job any more, and a sweep
        // ends what breaks off here.
        self.write(&ObjectKey::pending(&record.id), record, Write::Replace).await?;
        self.store.delete(&ObjectKey::job(&record.id)).await?;
        self.erase(record).await?;
        self.queue.forget(record.id).await?;
        Ok(())
    }

    /// Removes everything of a job but its mark; may be repeated.
    pub(super) async fn erase(&self, record: &Record) -> Result<()> {
        self.withdraw(record).await?;
        self.store.delete_prefix(Bucket::Queue, &ObjectKey::work_of(&record.id)).await?;
        if record.tenant == Tenant::default_tenant() {
            self.unpublish(record).await?;
        }
        self.store.delete_prefix(Bucket::Output, &record.work().prefix()).await?;
        failpoint::reach("delete.midway");
        self.store.delete(&ObjectKey::song_use(&record.tenant, &record.song, &record.id)).await?;
        self.drop_kept(&record.tenant, &record.options.separation(&record.song)).await?;
        self.release_song(&record.tenant, &record.song).await?;
        self.store.delete(&ObjectKey::of_tenant(&record.tenant, &record.id)).await?;
        self.store.delete(&ObjectKey::expiry(record.expires_s, &record.id)).await?;
        self.store.delete(&ObjectKey::canceled(&record.id)).await?;
        Ok(self.store.delete(&ObjectKey::job(&record.id)).await?)
    }

    /// Takes this job's results from where the older contract finds them. Where another job has the same stem of
    /// the song, that one is found there from now on: a length says nothing of whose a file of constant bit rate is.
    async fn unpublish(&self, record: &Record) -> Result<()> {
        let Some(Manifest { ending: Ending::Succeeded { results }, .. }) = self.manifest(record).await?
        else {
            return Ok(());
        };
        let others = self.published_jobs(&record.tenant, &record.song).await?;
        for result in &results {
            let key = ObjectKey::published(&record.song, &result.stem);
            if self.store.head(&key).await?.is_none() {
                continue;
            }
            let other =
                others.iter().filter(|(other, _)| other.id != record.id).find_map(|(other, results)| {
                    Some((other, results.iter().find(|other| other.stem == result.stem)?))
                });
            match other {
                Some((other, result)) => {
                    self.store.copy(&Self::result_key(other, result), &key, Write::Replace).await?;
                }
                None => self.store.delete(&key).await?,
            }
        }
        Ok(())
    }

    /// Forgets everything: all jobs stop, all songs and results go. Durable before anything is removed, so that
    /// nothing comes back.
    pub async fn reset(&self) -> Result<Epoch> {
        let mut epoch = Epoch(self.restore_epoch().await?.0 + 1);
        // By the store's own clock, which may differ from this machine's.
        let began = loop {
            match self.store.put(&ObjectKey::epoch(epoch), Bytes::new(), Write::Once).await? {
                Written::Stored(meta) => break meta.modified,
                Written::Exists => epoch.0 += 1,
            }
        };
        failpoint::reach("reset.durable");
        let epoch = self.queue.reset(epoch).await?;
        for bucket in [Bucket::Queue, Bucket::Output] {
            self.remove_older(bucket, began, epoch).await?;
        }
        Ok(epoch)
    }

    /// Removes everything of jobs before `epoch`, all but the marks of those that workers may still be writing for:
    /// sweeps remove these later, with what was written. What has no job in its name goes if it was written until
    /// `began`.
    async fn remove_older(&self, bucket: Bucket, began: SystemTime, epoch: Epoch) -> Result<()> {
        let mut objects = self.walk(bucket, "");
        while let Some((key, _)) = objects.try_next().await? {
            let stays = [EPOCHS, PENDING].iter().any(|prefix| key.path().starts_with(prefix));
            if bucket == Bucket::Queue && stays {
                continue;
            }
            let goes = match self.epoch_of(&key).await? {
                Some(made) => made < epoch,
                // Looked at again at the last moment: the same song may have come in again since.
                None => self.store.head(&key).await?.is_some_and(|meta| meta.modified <= began),
            };
            if goes {
                self.store.delete(&key).await?;
                failpoint::reach("reset.midway");
            }
        }
        Ok(())
    }

    /// The reset after which what an object belongs to was made, as far as its name or content tells: times of an
    /// object store are whole seconds, in which much can be accepted. A song belongs to the last job that needs it.
    async fn epoch_of(&self, key: &ObjectKey) -> Result<Option<Epoch>> {
        if let Some(job) = key.job_id() {
            return Ok(Some(job.epoch()));
        }
        if key.bucket() == Bucket::Queue && key.path().starts_with(IDENTITIES) {
            return Ok(self.read::<Record>(key).await?.map(|record| record.id.epoch()));
        }
        let Some((tenant, song)) = key.of_song() else { return Ok(None) };
        let uses = self.keys(Bucket::Queue, &ObjectKey::uses_of(&tenant, &song)).await?;
        let last = uses.iter().filter_map(ObjectKey::job_id).map(|job| job.epoch()).max();
        match key.bucket() {
            // What the older contract finds is of the present epoch only if a job of it has succeeded.
            Bucket::Output if self.published_jobs(&tenant, &song).await?.is_empty() => Ok(None),
            Bucket::Queue | Bucket::Output => Ok(last),
        }
    }
}
