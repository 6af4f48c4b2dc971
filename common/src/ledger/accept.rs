//! From a stored song to an accepted job.

use std::sync::atomic::Ordering;

use futures_util::future::try_join;

use super::{Ledger, Result, now_ms};
use crate::failpoint;
use crate::ids::{Epoch, JobId, SongHash, Tenant};
use crate::job::{Callback, Ending, Options, Record, Title};
use crate::keys::{Bucket, EPOCHS, ObjectKey};
use crate::queue::{First, Room, State, Submitted};
use crate::storage::{Write, Written};
use crate::telemetry::TraceParent;

/// What a client asks for; its song is in the store already.
#[derive(Debug, Clone)]
pub struct NewWork {
    /// Whose it is.
    pub tenant: Tenant,
    /// The song.
    pub song: SongHash,
    /// Options that went through [`Options::checked`].
    pub options: Options,
    /// Of the song's tags.
    pub title: Title,
    /// Length of the upload in bytes.
    pub size_bytes: u64,
    /// Length of the song in milliseconds as its bytes suggest.
    pub cost_ms: u64,
    /// Who is told of the end.
    pub callback: Option<Callback>,
    /// Of the request.
    pub request_id: String,
}

/// A job that will be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// Its record.
    pub record: Record,
    /// Whether it was there before.
    pub deduplicated: bool,
}

/// Work that is not taken now; nothing of it remains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The tenant has too many jobs.
    TenantFull,
    /// All tenants together have too many.
    Full,
    /// A reset took the song away meanwhile; it has to be sent again.
    SongGone,
}

impl Ledger {
    /// Accepts work, or finds the job that does it already. When this returns a job, it reaches one terminal state,
    /// whatever crashes.
    #[tracing::instrument(name = "accept", skip_all)]
    pub async fn accept(&self, work: &NewWork, room: Room) -> Result<std::result::Result<Accepted, Refused>> {
        failpoint::reach("accept.song_stored");
        let key = work.options.key(&work.song);
        loop {
            let (number, last) = self.last_identity(&work.tenant, &key).await?;
            if let Some(record) = last
                && self.is_live(&record).await?
            {
                match self.enter(&record, room).await? {
                    Submitted::Stale => {
                        self.take_back(&record, number).await?;
                        continue;
                    }
                    // Whoever made it is being refused at this moment, and takes it away.
                    Submitted::TenantFull => return Ok(Err(Refused::TenantFull)),
                    Submitted::Full => return Ok(Err(Refused::Full)),
                    // The queue has given it up, and nobody has written that down yet.
                    Submitted::Known(State::Failed | State::Canceled) => {
                        self.settle(&record).await?;
                        continue;
                    }
                    Submitted::Known(State::Succeeded) => {
                        return Ok(Ok(Accepted { record, deduplicated: true }));
                    }
                    Submitted::Accepted | Submitted::Known(_) => {
                        if !self.has_song(&record).await? {
                            // The job was deleted at this moment, and the song with it.
                            self.queue.cancel(record.id).await?;
                            self.take_back(&record, number).await?;
                            return Ok(Err(Refused::SongGone));
                        }
                        self.hold_on(&record, number, room).await?;
                        return Ok(Ok(Accepted { record, deduplicated: true }));
                    }
                }
            }
            let now_ms = now_ms();
            let separation = work.options.separation(&work.song);
            // The store's epoch: a queue that has just lost everything knows of no reset, and would lose this job.
            let (kept, epoch) =
                try_join(self.kept_at(&work.tenant, &separation), self.restore_epoch()).await?;
            let record = Record {
                v: Record::VERSION,
                id: JobId::new(epoch),
                tenant: work.tenant.clone(),
                song: work.song,
                key,
                first: if kept.is_some() { First::Derive } else { First::Plan },
                options: work.options.clone(),
                title: work.title.clone(),
                size_bytes: work.size_bytes,
                cost_ms: work.cost_ms,
                callback: work.callback.clone(),
                created_ms: now_ms,
                expires_s: now_ms / 1000 + self.keep.results.as_secs(),
                request_id: work.request_id.clone(),
                trace: TraceParent::current(),
            };
            let identity = ObjectKey::identity(&work.tenant, &key, number + 1);
            if self.write(&identity, &record, Write::Once).await? == Written::Exists {
                // Someone else asked for the same at the same moment: theirs is found in the next round.
                continue;
            }
            failpoint::reach("accept.identity_written");
            let refused = match self.enter_new(&record, room).await? {
                // A reset came between: the work is asked for after it.
                Submitted::Stale => {
                    self.take_back(&record, number + 1).await?;
                    continue;
                }
                Submitted::TenantFull => Refused::TenantFull,
                Submitted::Full => Refused::Full,
                Submitted::Accepted | Submitted::Known(_) => {
                    if self.has_song(&record).await? {
                        return Ok(Ok(Accepted { record, deduplicated: false }));
                    }
                    self.queue.cancel(record.id).await?;
                    Refused::SongGone
                }
            };
            self.take_back(&record, number + 1).await?;
            if refused != Refused::SongGone && self.queue.status(record.id).await?.is_some() {
                // Someone who asked for the same had room by now: the job is theirs, and stays.
                self.hold_on(&record, number + 1, room).await?;
                return Ok(Ok(Accepted { record, deduplicated: true }));
            }
            return Ok(Err(refused));
        }
    }

    async fn has_song(&self, record: &Record) -> Result<bool> {
        Ok(self.store.head(&ObjectKey::song(&record.tenant, &record.song)).await?.is_some())
    }

    /// Writes again what someone may have taken back who was refused the same work at this moment. They look at the
    /// queue after they took it back, and this looks at the record after it was let into the queue: one of both sees.
    async fn hold_on(&self, record: &Record, number: u32, room: Room) -> Result<()> {
        for _ in 0..5 {
            if self.store.head(&ObjectKey::job(&record.id)).await?.is_some() {
                break;
            }
            let identity = ObjectKey::identity(&record.tenant, &record.key, number);
            self.write(&identity, record, Write::Once).await?;
            self.enter(record, room).await?;
        }
        Ok(())
    }

    /// Removes what [`Ledger::enter`] wrote of the `number`-th job of its work, which nobody was told of.
    async fn take_back(&self, record: &Record, number: u32) -> Result<()> {
        for key in [
            ObjectKey::identity(&record.tenant, &record.key, number),
            ObjectKey::pending(&record.id),
            ObjectKey::untold(&record.id),
            ObjectKey::job(&record.id),
            ObjectKey::song_use(&record.tenant, &record.song, &record.id),
            ObjectKey::expiry(record.expires_s, &record.id),
            ObjectKey::of_tenant(&record.tenant, &record.id),
        ] {
            self.store.delete(&key).await?;
        }
        Ok(())
    }

    /// Everything after the identity: may be repeated at any time, by whoever finds the identity.
    pub(super) async fn enter(&self, record: &Record, room: Room) -> Result<Submitted> {
        if let Some(manifest) = self.manifest(record).await? {
            return Ok(Submitted::Known(manifest.ending.state()));
        }
        self.enter_new(record, room).await
    }

    /// The same for a job that cannot have ended: nobody has heard of it.
    async fn enter_new(&self, record: &Record, room: Room) -> Result<Submitted> {
        let (song_use, expiry) = (
            ObjectKey::song_use(&record.tenant, &record.song, &record.id),
            ObjectKey::expiry(record.expires_s, &record.id),
        );
        try_join(self.mark(&song_use), self.mark(&expiry)).await?;
        self.write(&ObjectKey::job(&record.id), record, Write::Replace).await?;
        failpoint::reach("accept.record_written");
        self.mark(&ObjectKey::of_tenant(&record.tenant, &record.id)).await?;
        if record.callback.is_some() {
            self.mark(&ObjectKey::untold(&record.id)).await?;
        }
        // With the record in it, so that what a slow worker writes is found when the record is gone.
        self.write(&ObjectKey::pending(&record.id), record, Write::Replace).await?;
        failpoint::reach("accept.marked");
        let submitted = self.queue.submit(&record.to_queue(), room).await?;
        failpoint::reach("accept.submitted");
        Ok(submitted)
    }

    /// The highest number of an identity and the record in it; 0 where there is none.
    async fn last_identity(
        &self,
        tenant: &Tenant,
        key: &crate::ids::JobKey,
    ) -> Result<(u32, Option<Record>)> {
        let prefix = ObjectKey::identities_of(tenant, key);
        let Some(last) = self.keys(Bucket::Queue, &prefix).await?.pop() else { return Ok((0, None)) };
        let number = last.path()[prefix.len()..].parse().unwrap_or(0);
        Ok((number, self.read(&last).await?))
    }

    /// Whether a job still does its work or has done it, and its results are there.
    async fn is_live(&self, record: &Record) -> Result<bool> {
        if record.expires_s <= now_ms() / 1000 || record.id.epoch() < self.epoch().await? {
            return Ok(false);
        }
        if self.store.head(&ObjectKey::canceled(&record.id)).await?.is_some() {
            return Ok(false);
        }
        let manifest = self.manifest(record).await?;
        Ok(manifest.is_none_or(|manifest| matches!(manifest.ending, Ending::Succeeded { .. })))
    }

    /// Tells the queue of the last reset that the store knows; called at start-up and by every sweep.
    pub async fn restore_epoch(&self) -> Result<Epoch> {
        let last = self.keys(Bucket::Queue, EPOCHS).await?.pop();
        let epoch = last.and_then(|key| key.path()[EPOCHS.len()..].parse().ok()).unwrap_or(0);
        let holds = self.queue.reset(Epoch(epoch)).await?;
        self.known_epoch.fetch_max(holds.0, Ordering::Relaxed);
        Ok(holds)
    }
}
