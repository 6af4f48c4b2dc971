//! Where everything lies in the object store. No key is made anywhere else, and none from unparsed text.
//!
//! | bucket | path | what |
//! | --- | --- | --- |
//! | queue | `incoming/<uuid>` | an upload whose hash is not known yet |
//! | queue | `uploads/<tenant>/<uuid>` | an upload that a tenant has announced or sent, and that is no job yet |
//! | queue | `<songhash>.mp3`, other tenants `songs/<tenant>/<songhash>` | a song as it was uploaded |
//! | queue | `jobs/<job>.json` | the record of an accepted job; never changes |
//! | queue | `pending/<job>` | the record of a job without a manifest: what a sweep submits again, or cleans up after |
//! | queue | `untold/<job>` | a job whose caller is to be told of its end |
//! | queue | `identity/<tenant>/<jobkey>/<n>` | the n-th job that does this work; the last one counts |
//! | queue | `uses/<tenant>/<songhash>/<job>` | a job that needs a song |
//! | queue | `expiry/<hour>/<job>` | when a job's results go, by hours since 1970 |
//! | queue | `tenants/<tenant>/<inverted job>` | a tenant's jobs, the latest first |
//! | queue | `music/<tenant>/<songhash>/<hold>` | a song that the editor keeps for later; `hold` is what `uses/` names beside jobs |
//! | queue | `units/<tenant>/<songhash>/<job>/<number>` | what a worker did of a job in one go, with its figures |
//! | queue | `gone/<tenant>/<songhash>` | a song whose results' time was over |
//! | queue | `idempotency/<tenant>/<digest>.json` | the first answer to an idempotency key |
//! | queue | `canceled/<job>`, `epoch/<n>` | cancellations and resets, durable before they are answered |
//! | queue | `resetting/<n>` | a reset whose removals go on |
//! | both | `probe/<uuid>` | written at start-up to see that the store keeps its promises |
//! | queue | `work/<job>/<plan>/...` | what passes between plan, spans and merge |
//! | queue | `kept-until/<hour>/<tenant>/<separationkey>` | when the kept sources of a separation go |
//! | output | `kept/<tenant>/<separationkey>/<job>/<source>.flac` and `.../record.json` | sources, losslessly, for formats and mixes that are asked for later |
//! | output | `<songhash>-<stem>.mp3` | the default tenant's MP3 results, the last model asked for |
//! | output | `results/<tenant>/<jobkey>/<job>/<plan>-<engine>/<stem>.<ext>` and `....json` | a result and its commit record |
//! | output | `results/<tenant>/<jobkey>/<job>/removed/<stem>` | a result that the older contract does not show any more |
//! | output | `results/<tenant>/<jobkey>/<job>/manifest.json` | what a job ended with; written last |
//!
//! Results have their job, plan and engine in the key: two engines that differ by a bit can then never share a song.

mod music;
mod uploads;

use std::fmt;

use uuid::Uuid;

use crate::ids::{Epoch, JobId, JobKey, SongHash, StemName, Tenant};
use crate::job::Make;

pub use self::music::MUSIC;
pub use self::uploads::UPLOADS;

/// The two buckets; their real names are configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bucket {
    /// Uploads, job records and intermediates.
    Queue,
    /// Results.
    Output,
}

/// The place of one object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    bucket: Bucket,
    path: String,
}

/// Prefix of the marks of jobs whose caller is to be told of their end.
pub const UNTOLD: &str = "untold/";
/// Prefix of the marks of cancellations.
pub const CANCELED: &str = "canceled/";
/// Prefix of all identities.
pub const IDENTITIES: &str = "identity/";
/// Prefix of pending jobs.
pub const PENDING: &str = "pending/";
/// Prefix of the resets.
pub const EPOCHS: &str = "epoch/";
/// Prefix of the marks of resets that go on.
pub const RESETTING: &str = "resetting/";
/// Prefix of uploads that were not accepted yet.
pub const INCOMING: &str = "incoming/";
/// Prefix of the marks of when results go.
pub const EXPIRY: &str = "expiry/";
/// Prefix of the first answers to idempotency keys.
pub const IDEMPOTENCY: &str = "idempotency/";
/// Prefix of the marks of songs whose results' time was over.
pub const GONE: &str = "gone/";
/// Prefix of the marks of when kept sources go.
pub const KEPT_UNTIL: &str = "kept-until/";
/// Prefix of what start-ups write and remove.
pub const PROBE: &str = "probe/";
/// Name of the store.
pub const STORE_ID: &str = "store-id.json";
/// Prefix of all intermediates.
pub const WORK: &str = "work/";

/// Whose results: a tenant's job, and the work that it does.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    /// The tenant.
    pub tenant: &'a Tenant,
    /// The work.
    pub key: &'a JobKey,
    /// The job.
    pub job: &'a JobId,
}

impl Work<'_> {
    /// Prefix of everything that the job puts into the output bucket under a name of its own.
    #[must_use]
    pub fn prefix(&self) -> String {
        let Self { tenant, key, job } = self;
        format!("results/{tenant}/{key}/{job}/")
    }
}

impl ObjectKey {
    /// A key that a listing brought.
    #[must_use]
    pub fn listed(bucket: Bucket, path: String) -> Self {
        Self { bucket, path }
    }

    /// Its bucket.
    #[must_use]
    pub fn bucket(&self) -> Bucket {
        self.bucket
    }

    /// Its path inside the bucket.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The job in its path, of all objects that belong to one job.
    #[must_use]
    pub fn job_id(&self) -> Option<JobId> {
        let mut parts = self.path.split('/');
        let job = match parts.next()? {
            "jobs" => parts.next()?.strip_suffix(".json")?,
            "pending" | "untold" | "canceled" | "work" => parts.next()?,
            "expiry" => parts.nth(1)?,
            "uses" | "results" | "kept" | "music" | "units" | "asked" => parts.nth(2)?,
            "tenants" => return self.as_job_of_tenant(),
            _ => return None,
        };
        job.parse().ok()
    }

    /// An upload whose hash is not known yet.
    #[must_use]
    pub fn incoming(upload: Uuid) -> Self {
        Self::queue(format!("{INCOMING}{}", upload.simple()))
    }

    /// How an upload is cut that is sent in parts.
    #[must_use]
    pub fn incoming_cut(upload: Uuid) -> Self {
        Self::queue(format!("{INCOMING}{}.json", upload.simple()))
    }

    /// What is written at start-up to see that the store keeps its promises.
    #[must_use]
    pub fn probe(bucket: Bucket, unique: Uuid) -> Self {
        Self { bucket, path: format!("{PROBE}{}", unique.simple()) }
    }

    /// What the store is called: it was drawn when it was new.
    #[must_use]
    pub fn store_id() -> Self {
        Self::queue(STORE_ID.to_owned())
    }

    /// A song as it was uploaded.
    #[must_use]
    pub fn song(tenant: &Tenant, song: &SongHash) -> Self {
        if *tenant == Tenant::default_tenant() {
            Self::queue(format!("{song}.mp3"))
        } else {
            Self::queue(format!("songs/{tenant}/{song}"))
        }
    }

    /// Whose song this is, if it is one.
    #[must_use]
    pub fn as_song(&self) -> Option<(Tenant, SongHash)> {
        let (tenant, song) = match self.path.strip_prefix("songs/") {
            Some(rest) => {
                rest.split_once('/').and_then(|(tenant, song)| Some((tenant.parse().ok()?, song)))?
            }
            None => (Tenant::default_tenant(), self.path.strip_suffix(".mp3")?),
        };
        (self.bucket == Bucket::Queue).then_some((tenant, song.parse().ok()?))
    }

    /// The mark that a job was asked for again, at that time in milliseconds since 1970.
    #[must_use]
    pub fn asked(tenant: &Tenant, song: &SongHash, job: &JobId, at_ms: u64) -> Self {
        Self::queue(format!("{}{at_ms:015}", Self::asked_for(tenant, song, Some(job))))
    }

    /// Prefix of such marks of a song, or of one of its jobs.
    #[must_use]
    pub fn asked_for(tenant: &Tenant, song: &SongHash, job: Option<&JobId>) -> String {
        let job = job.map_or_else(String::new, |job| format!("{job}/"));
        format!("asked/{tenant}/{song}/{job}")
    }

    /// Which job was asked for, and when, if it is such a mark.
    #[must_use]
    pub fn as_asked(&self) -> Option<(JobId, u64)> {
        let at_ms = self.path.strip_prefix("asked/")?.split('/').nth(3)?.parse().ok()?;
        Some((self.job_id()?, at_ms))
    }

    /// The record of an accepted job.
    #[must_use]
    pub fn job(job: &JobId) -> Self {
        Self::queue(format!("jobs/{job}.json"))
    }

    /// The mark of a job that has not ended.
    #[must_use]
    pub fn pending(job: &JobId) -> Self {
        Self::queue(format!("{PENDING}{job}"))
    }

    /// The `n`-th job that does this work; padded, so that the last one listed is the highest.
    #[must_use]
    pub fn identity(tenant: &Tenant, key: &JobKey, n: u32) -> Self {
        Self::queue(format!("{}{n:06}", Self::identities_of(tenant, key)))
    }

    /// Prefix of all jobs that do or did this work.
    #[must_use]
    pub fn identities_of(tenant: &Tenant, key: &JobKey) -> String {
        format!("{IDENTITIES}{tenant}/{key}/")
    }

    /// The mark of a job whose caller is to be told of its end.
    #[must_use]
    pub fn untold(job: &JobId) -> Self {
        Self::queue(format!("{UNTOLD}{job}"))
    }

    /// The mark of a job that needs a song.
    #[must_use]
    pub fn song_use(tenant: &Tenant, song: &SongHash, job: &JobId) -> Self {
        Self::queue(format!("{}{job}", Self::uses_of(tenant, song)))
    }

    /// Prefix of the marks of all jobs that need a song.
    #[must_use]
    pub fn uses_of(tenant: &Tenant, song: &SongHash) -> String {
        format!("uses/{tenant}/{song}/")
    }

    /// The mark of a tenant's job; its name is inverted, so that a listing brings the latest first.
    #[must_use]
    pub fn of_tenant(tenant: &Tenant, job: &JobId) -> Self {
        let (epoch, unique) = (!job.epoch().0, !job.unique());
        Self::queue(format!("{}{epoch:010}-{unique:032x}", Self::jobs_of(tenant)))
    }

    /// Prefix of the marks of all jobs of a tenant.
    #[must_use]
    pub fn jobs_of(tenant: &Tenant) -> String {
        format!("tenants/{tenant}/")
    }

    /// Which job this is the mark of, if it is one of [`ObjectKey::of_tenant`].
    #[must_use]
    pub fn as_job_of_tenant(&self) -> Option<JobId> {
        let (epoch, unique) = self.path.strip_prefix("tenants/")?.split_once('/')?.1.split_once('-')?;
        Some(JobId::from_parts(Epoch(!epoch.parse().ok()?), !u128::from_str_radix(unique, 16).ok()?))
    }

    /// The song and the stem of [`ObjectKey::published`], if it is one.
    #[must_use]
    pub fn as_published(&self) -> Option<(SongHash, StemName)> {
        let (song, stem) = self.path.strip_suffix(".mp3")?.split_once('-')?;
        (self.bucket == Bucket::Output).then_some((song.parse().ok()?, stem.parse().ok()?))
    }

    /// The mark of a song whose results' time was over.
    #[must_use]
    pub fn gone(tenant: &Tenant, song: &SongHash) -> Self {
        Self::queue(format!("{GONE}{tenant}/{song}"))
    }

    /// The mark of when a job's results go; padded, so that a listing is in order of time.
    #[must_use]
    pub fn expiry(at_s: u64, job: &JobId) -> Self {
        Self::queue(format!("{EXPIRY}{:09}/{job}", at_s / 3600))
    }

    /// The first answer to an idempotency key, by the digest of that key.
    #[must_use]
    pub fn idempotency(tenant: &Tenant, digest: &[u8; 32]) -> Self {
        Self::queue(format!("{IDEMPOTENCY}{tenant}/{}.json", SongHash::new(*digest)))
    }

    /// Prefix of what is kept of a separation.
    #[must_use]
    pub fn kept_of(tenant: &Tenant, separation: &JobKey) -> String {
        format!("kept/{tenant}/{separation}/")
    }

    /// The record of what is kept of a separation; written last.
    #[must_use]
    pub fn kept(tenant: &Tenant, separation: &JobKey) -> Self {
        Self::output(format!("{}record.json", Self::kept_of(tenant, separation)))
    }

    /// A kept source, as `job` made it.
    #[must_use]
    pub fn kept_source(tenant: &Tenant, separation: &JobKey, job: &JobId, source: &StemName) -> Self {
        Self::output(format!("{}{job}/{source}.flac", Self::kept_of(tenant, separation)))
    }

    /// The mark of when kept sources go; padded, so that a listing is in order of time.
    #[must_use]
    pub fn kept_until(at_s: u64, tenant: &Tenant, separation: &JobKey) -> Self {
        Self::queue(format!("{KEPT_UNTIL}{:09}/{tenant}/{separation}", at_s / 3600))
    }

    /// The hour, since 1970, and the separation of a mark of [`ObjectKey::kept_until`].
    #[must_use]
    pub fn as_kept_until(&self) -> Option<(u64, Tenant, JobKey)> {
        let mut parts = self.path.strip_prefix(KEPT_UNTIL)?.split('/');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }

    /// The mark of a cancellation.
    #[must_use]
    pub fn canceled(job: &JobId) -> Self {
        Self::queue(format!("{CANCELED}{job}"))
    }

    /// The mark of a reset; padded, so that the last one listed is the highest.
    #[must_use]
    pub fn epoch(epoch: Epoch) -> Self {
        Self::queue(format!("{EPOCHS}{:010}", epoch.0))
    }

    /// The mark of a reset that goes on.
    #[must_use]
    pub fn resetting(epoch: Epoch) -> Self {
        Self::queue(format!("{RESETTING}{:010}", epoch.0))
    }

    /// What span `span` of a job's plan number `plan` hands to the merge.
    #[must_use]
    pub fn span(job: &JobId, plan: u32, span: u32) -> Self {
        Self::queue(format!("{}span-{span:05}", Self::work_of_plan(job, plan)))
    }

    /// Prefix of all intermediates of a job.
    #[must_use]
    pub fn work_of(job: &JobId) -> String {
        format!("{WORK}{job}/")
    }

    fn work_of_plan(job: &JobId, plan: u32) -> String {
        format!("{}{plan}/", Self::work_of(job))
    }

    /// A result with its file name extension.
    #[must_use]
    pub fn result(work: &Work<'_>, make: &Make, stem: &StemName, extension: &'static str) -> Self {
        Self::output(format!("{}{}-{}/{stem}.{extension}", work.prefix(), make.plan, make.engine))
    }

    /// The record that makes a result visible.
    #[must_use]
    pub fn commit(work: &Work<'_>, make: &Make, stem: &StemName, extension: &'static str) -> Self {
        let result = Self::result(work, make, stem, extension);
        Self::output(format!("{}.json", result.path))
    }

    /// The mark of a result that the older contract does not show any more.
    #[must_use]
    pub fn removed(work: &Work<'_>, stem: &StemName) -> Self {
        Self::output(format!("{}removed/{stem}", work.prefix()))
    }

    /// What a job ended with.
    #[must_use]
    pub fn manifest(work: &Work<'_>) -> Self {
        Self::output(format!("{}manifest.json", work.prefix()))
    }

    /// Where the older contract looks for an MP3 result of the default tenant.
    #[must_use]
    pub fn published(song: &SongHash, stem: &StemName) -> Self {
        Self::output(format!("{song}-{stem}.mp3"))
    }

    fn queue(path: String) -> Self {
        Self { bucket: Bucket::Queue, path }
    }

    fn output(path: String) -> Self {
        Self { bucket: Bucket::Output, path }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bucket = match self.bucket {
            Bucket::Queue => "queue",
            Bucket::Output => "output",
        };
        write!(f, "{bucket}:{}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_contract_finds_its_names() {
        let song = SongHash::new([0xab; 32]);
        let hex = "ab".repeat(32);
        assert_eq!(ObjectKey::song(&Tenant::default_tenant(), &song).path(), format!("{hex}.mp3"));
        let bass = "bass".parse().unwrap();
        let default = ObjectKey::song(&Tenant::default_tenant(), &song);
        assert_eq!(default.as_song(), Some((Tenant::default_tenant(), song)));
        assert_eq!(ObjectKey::published(&song, &bass).as_song(), None);
        assert_eq!(ObjectKey::published(&song, &bass).path(), format!("{hex}-bass.mp3"));
    }

    #[test]
    fn a_listing_of_a_tenant_brings_the_latest_job_first() {
        let tenant = Tenant::default_tenant();
        let jobs =
            [(0, 7), (0, 8), (9, 1), (10, 0)].map(|(epoch, unique)| JobId::from_parts(Epoch(epoch), unique));
        let mut keys = jobs.map(|job| ObjectKey::of_tenant(&tenant, &job));
        keys.sort();
        let listed: Vec<_> = keys.iter().rev().map(|key| key.as_job_of_tenant().unwrap()).collect();
        assert_eq!(listed, jobs);
    }

    #[test]
    fn what_belongs_to_a_job_tells_which() {
        let (tenant, job) = (Tenant::default_tenant(), JobId::from_parts(Epoch(7), 3));
        let (song, key) = (SongHash::new([1; 32]), JobKey::new([2; 32]));
        let work = Work { tenant: &tenant, key: &key, job: &job };
        let make = Make { plan: 1, engine: "ab".to_owned() };
        let bass = "bass".parse().unwrap();
        for of_job in [
            ObjectKey::job(&job),
            ObjectKey::pending(&job),
            ObjectKey::canceled(&job),
            ObjectKey::untold(&job),
            ObjectKey::span(&job, 1, 2),
            ObjectKey::expiry(7200, &job),
            ObjectKey::song_use(&tenant, &song, &job),
            ObjectKey::of_tenant(&tenant, &job),
            ObjectKey::result(&work, &make, &bass, "mp3"),
            ObjectKey::commit(&work, &make, &bass, "mp3"),
            ObjectKey::removed(&work, &bass),
            ObjectKey::manifest(&work),
            ObjectKey::kept_source(&tenant, &key, &job, &bass),
            ObjectKey::music(&tenant, &song, &job),
            ObjectKey::unit(&tenant, &song, &job, 7),
            ObjectKey::asked(&tenant, &song, &job, 7),
        ] {
            assert_eq!(of_job.job_id(), Some(job), "{of_job}");
        }
        for of_none in [
            ObjectKey::song(&tenant, &song),
            ObjectKey::identity(&tenant, &key, 1),
            ObjectKey::published(&song, &bass),
            ObjectKey::epoch(Epoch(7)),
            ObjectKey::gone(&tenant, &song),
            ObjectKey::incoming(Uuid::nil()),
            ObjectKey::incoming_cut(Uuid::nil()),
            ObjectKey::kept(&tenant, &key),
        ] {
            assert_eq!(of_none.job_id(), None, "{of_none}");
        }
        assert_eq!(ObjectKey::published(&song, &bass).as_published(), Some((song, bass)));
        assert_eq!(ObjectKey::kept_until(7205, &tenant, &key).as_kept_until(), Some((2, tenant, key)));
    }

    #[test]
    fn tenants_have_separate_songs_and_results() {
        let (a, b): (Tenant, Tenant) = ("a".parse().unwrap(), "b".parse().unwrap());
        let (song, key, job) = (SongHash::new([1; 32]), JobKey::new([2; 32]), JobId::from_parts(Epoch(0), 3));
        assert_ne!(ObjectKey::song(&a, &song), ObjectKey::song(&b, &song));
        let manifest = |tenant| ObjectKey::manifest(&Work { tenant, key: &key, job: &job });
        assert_ne!(manifest(&a), manifest(&b));
    }
}
