//! A store on any server that speaks S3.

mod body;
mod config;
mod copy;
mod fault;
mod parts;
mod probe;
mod put;
mod sign;
mod upload;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::DateTime;
use bytes::Bytes;
use tokio::sync::Semaphore;

pub use config::{AccessKeys, S3Config};
pub(crate) use copy::percent;

use crate::keys::{Bucket, ObjectKey};
use crate::storage::{
    ByteStream, Cut, Joined, Meta, Object, Page, Result, Signed, SignedParts, Store, Write, Written, name,
};
use fault::Fault;

/// Parts that all uploads of a store together have under way. With a part that each upload gathers meanwhile,
/// 64 uploads at once take at most 64 * 5 + 8 * 5 = 360 MiB and what connections need.
const PARTS_AT_ONCE: usize = 8;

/// A store on a server that speaks S3. Addresses are path-style; cheap to clone.
#[derive(Clone)]
pub struct S3 {
    client: Client,
    /// Signs links for outside.
    public: Client,
    config: Arc<S3Config>,
    /// Whose turn it is to send a part.
    turns: Arc<Semaphore>,
    /// Whether the server honours a condition on a copy, as far as [`Store::prepare`] found out.
    copies_once: Arc<AtomicBool>,
}

impl S3 {
    /// A store as `config` has it. Nothing is sent; [`Store::prepare`] does that.
    ///
    /// # Errors
    /// [`crate::storage::StoreError::Refused`] for an address without `http://` or `https://`.
    pub async fn new(config: S3Config) -> Result<Self> {
        let (client, public) = config.clients().await?;
        let turns = Arc::new(Semaphore::new(PARTS_AT_ONCE));
        Ok(Self { client, public, config: Arc::new(config), turns, copies_once: Arc::default() })
    }

    /// Real name of the bucket of a key.
    fn bucket(&self, key: &ObjectKey) -> &str {
        self.config.name_of(key.bucket())
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").field("config", &self.config).finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl Store for S3 {
    async fn put(&self, key: &ObjectKey, body: Bytes, write: Write) -> Result<Written> {
        self.put_whole(key, body, write).await
    }

    async fn put_stream(&self, key: &ObjectKey, body: ByteStream, write: Write) -> Result<Written> {
        self.put_parts(key, body, write).await
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Object> {
        self.open(key, range).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<Meta>> {
        let path = name::checked(key)?;
        match self.client.head_object().bucket(self.bucket(key)).key(path).send().await {
            Ok(found) => Ok(Some(meta_of_head(&found))),
            Err(error) => match Fault::of(&error) {
                Fault::Missing => Ok(None),
                fault => Err(fault.about(key)),
            },
        }
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        let path = name::checked(key)?;
        match self.client.delete_object().bucket(self.bucket(key)).key(path).send().await {
            Ok(_) => Ok(()),
            Err(error) => match Fault::of(&error) {
                Fault::Missing => Ok(()),
                fault => Err(fault.about(key)),
            },
        }
    }

    async fn list(&self, bucket: Bucket, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page> {
        let real = self.config.name_of(bucket);
        let mut after = after.map(str::to_owned);
        loop {
            let request = self.client.list_objects_v2().bucket(real).prefix(prefix).set_start_after(after);
            let answer = request.max_keys(limit.clamp(1, 1000) as i32).send().await;
            let answer = answer.map_err(|error| Fault::of(&error).about_bucket(real))?;
            let more = answer.is_truncated().unwrap_or(false);
            let objects: Vec<_> =
                answer.contents().iter().filter_map(|found| listed(bucket, found)).collect();
            let last = answer.contents().last().and_then(|found| found.key());
            match last {
                // A whole page of what is not ours; an empty one would look like the end.
                Some(last) if more && objects.is_empty() => after = Some(last.to_owned()),
                _ => return Ok(Page { objects, more }),
            }
        }
    }

    async fn copy(&self, from: &ObjectKey, to: &ObjectKey, write: Write) -> Result<Written> {
        self.copy_inside(from, to, write).await
    }

    async fn sign(
        &self,
        key: &ObjectKey,
        what: Signed,
        valid: Duration,
        file_name: Option<&str>,
    ) -> Result<Option<String>> {
        self.link(key, what, valid, file_name).await.map(Some)
    }

    async fn sign_parts(&self, key: &ObjectKey, cut: Cut, valid: Duration) -> Result<Option<SignedParts>> {
        self.links_of_parts(key, cut, valid).await.map(Some)
    }

    async fn join(&self, key: &ObjectKey, upload: &str, cut: Cut) -> Result<Joined> {
        self.join_parts(key, upload, cut).await
    }

    async fn tidy(&self) {
        for bucket in [Bucket::Queue, Bucket::Output] {
            self.remove_old_uploads(bucket).await;
        }
    }

    async fn prepare(&self) -> Result<()> {
        for bucket in [Bucket::Queue, Bucket::Output] {
            self.ensure_bucket(bucket).await?;
            self.probe(bucket).await?;
        }
        self.tidy().await;
        Ok(())
    }
}

/// An object of a listing; none for what other programs keep in the bucket under names that cannot be ours.
/// Counts what goes to the store and comes from it.
fn moved(direction: &'static str, bytes: u64) {
    metrics::counter!("msaas_store_bytes_total", "direction" => direction).increment(bytes);
}

fn listed(bucket: Bucket, found: &aws_sdk_s3::types::Object) -> Option<(ObjectKey, Meta)> {
    let path = found.key().filter(|path| name::is_good(path))?;
    let meta = meta(found.size(), found.e_tag(), found.last_modified());
    Some((ObjectKey::listed(bucket, path.to_owned()), meta))
}

fn meta_of_head(found: &HeadObjectOutput) -> Meta {
    meta(found.content_length(), found.e_tag(), found.last_modified())
}

fn meta(size: Option<i64>, etag: Option<&str>, modified: Option<&DateTime>) -> Meta {
    let modified = modified.and_then(|&time| SystemTime::try_from(time).ok());
    Meta {
        size_bytes: size.map_or(0, |size| size.max(0) as u64),
        etag: unquoted(etag),
        modified: modified.unwrap_or(SystemTime::UNIX_EPOCH),
    }
}

fn unquoted(etag: Option<&str>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}
