//! What clients ask of a job.

use std::ops::Range;

use super::{Ledger, Result, now_ms};
use crate::ids::{JobId, StemName};
use crate::job::{Commit, Ending, Manifest, Record, ResultFile, View};
use crate::keys::{Bucket, ObjectKey};
use crate::queue::State;
use crate::storage::Object;

impl Ledger {
    /// The record of a job; none where there is no such job, or not any more.
    pub async fn record(&self, job: &JobId) -> Result<Option<Record>> {
        if job.epoch() < self.epoch().await? {
            return Ok(None);
        }
        self.read(&ObjectKey::job(job)).await
    }

    /// What a job ended with; none before its end.
    pub async fn manifest(&self, record: &Record) -> Result<Option<Manifest>> {
        self.read(&ObjectKey::manifest(&record.work())).await
    }

    /// Whether the caller that a record names has still to be told of the job's end.
    pub async fn owes(&self, record: &Record) -> Result<bool> {
        Ok(self.store.head(&ObjectKey::untold(&record.id)).await?.is_some())
    }

    /// What clients see of a job.
    pub async fn view(&self, record: &Record) -> Result<View> {
        let mut manifest = self.manifest(record).await?;
        let status = self.queue.status(record.id).await?;
        if manifest.is_none() && status.as_ref().is_some_and(|status| status.state.is_terminal()) {
            manifest = self.settle(record).await?;
        }
        let committed = if manifest.is_none() { self.committed(record).await? } else { Vec::new() };
        Ok(View::of(record, manifest.as_ref(), status.as_ref(), &committed, now_ms()))
    }

    /// What clients see of a job that was accepted a moment ago: only the queue has to be asked.
    pub async fn view_of_new(&self, record: &Record) -> Result<View> {
        let status = self.queue.status(record.id).await?;
        if status.as_ref().is_none_or(|status| status.state != State::Queued) {
            return self.view(record).await;
        }
        Ok(View::of(record, None, status.as_ref(), &[], now_ms()))
    }

    /// Results that are visible before the end, one for each name.
    pub async fn committed(&self, record: &Record) -> Result<Vec<ResultFile>> {
        let mut results: Vec<ResultFile> = Vec::new();
        for key in &self.keys(Bucket::Output, &record.work().prefix()).await? {
            if key.path().strip_suffix(".json").is_none() || *key == ObjectKey::manifest(&record.work()) {
                continue;
            }
            let Some(result) = self.read::<ResultFile>(key).await? else { continue };
            // Of two plans the later one's counts.
            results.retain(|other| other.stem != result.stem || other.make.plan > result.make.plan);
            if results.iter().all(|other| other.stem != result.stem) {
                results.push(result);
            }
        }
        Ok(results)
    }

    /// A visible result of a job: of its manifest, or before the end of its commit record.
    pub async fn result(&self, record: &Record, stem: &StemName) -> Result<Option<ResultFile>> {
        let results = match self.manifest(record).await?.map(|manifest| manifest.ending) {
            Some(Ending::Succeeded { results }) => results,
            Some(_) => Vec::new(),
            None => self.committed(record).await?,
        };
        Ok(results.into_iter().find(|result| result.stem == *stem))
    }

    /// What is drawn of a result: see [`Commit::peaks`].
    pub async fn peaks(&self, record: &Record, result: &ResultFile) -> Result<Vec<[i16; 2]>> {
        let extension = record.options.format.extension();
        let key = ObjectKey::commit(&record.work(), &result.make, &result.stem, extension);
        Ok(self.read::<Commit>(&key).await?.map_or_else(Vec::new, |commit| commit.peaks))
    }

    /// Where a result lies.
    #[must_use]
    pub fn result_key(record: &Record, result: &ResultFile) -> ObjectKey {
        ObjectKey::result(&record.work(), &result.make, &result.stem, record.options.format.extension())
    }

    /// Reads a result, or a range of it in bytes.
    pub async fn open(
        &self,
        record: &Record,
        result: &ResultFile,
        range: Option<Range<u64>>,
    ) -> Result<Object> {
        Ok(self.store.get(&Self::result_key(record, result), range).await?)
    }
}
