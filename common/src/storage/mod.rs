//! The object store: the ledger of the service.
//!
//! Two kinds behind one trait, one conformance suite for both: S3 ([`s3`]) and the local file system ([`fs`]).
//! An object is visible completely or not at all; a reader never sees a part of one.
//!
//! ```
//! use bytes::Bytes;
//! use common::storage::{Store, Write, Written, fs::Folder};
//! use common::{Epoch, ObjectKey};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let root = std::env::temp_dir().join(format!("store-{}", uuid::Uuid::new_v4()));
//! let store = Folder::new(&root);
//! store.prepare().await?;
//! let key = ObjectKey::epoch(Epoch(1));
//! assert_eq!(store.put(&key, Bytes::new(), Write::Once).await?, Written::Stored);
//! assert_eq!(store.put(&key, Bytes::new(), Write::Once).await?, Written::Exists);
//! # std::fs::remove_dir_all(root)?;
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod fs;
mod media;
mod name;
mod pieces;
pub mod s3;

use std::ops::Range;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream::{BoxStream, TryStreamExt, iter};
use serde::{Deserialize, Serialize};

use crate::keys::{Bucket, ObjectKey};

/// Bytes on their way in or out, in pieces of any size.
pub type ByteStream = BoxStream<'static, std::io::Result<Bytes>>;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such object.
    #[error("{0} is not in the store")]
    NotFound(ObjectKey),
    /// The store is full or the quota is used up.
    #[error("the store has no space left")]
    Full,
    /// The store cannot be reached or answers with a fault of its own; worth another try.
    #[error("the store cannot be used: {0}")]
    Unavailable(String),
    /// The store refuses: wrong credentials, missing bucket, a request that it does not understand.
    #[error("the store refuses: {0}")]
    Refused(String),
    /// The bytes that were to be stored ended with an error; nothing was stored.
    #[error("the upload broke off: {0}")]
    Source(std::io::Error),
}

/// What a caller that wants the thing done does about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call again, after a pause that grows.
    Soon,
    /// The same call again, once an operator has made room; until then nothing new is accepted.
    WhenThereIsRoom,
    /// Nothing: the same call gives the same answer.
    Never,
}

impl StoreError {
    /// What to do about it. The store has tried a few times already.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Unavailable(_) => Retry::Soon,
            Self::Full => Retry::WhenThereIsRoom,
            // What fed the upload decides whether there is anything to send again.
            Self::NotFound(_) | Self::Refused(_) | Self::Source(_) => Retry::Never,
        }
    }
}

/// Result of a call to the store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// What happens when there is an object under the key already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// It is replaced.
    Replace,
    /// It stays, and the caller learns of it.
    Once,
}

/// What became of a write. Answers of S3 to writes do not say when: who wants to know asks [`Store::head`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The object is there now.
    Stored,
    /// There was one already ([`Write::Once`]); it is as it was. It may be this very write: when an answer is
    /// lost, the repeated request is refused. Who must know reads it back.
    Exists,
}

/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Length in bytes.
    pub size_bytes: u64,
    /// Changes whenever the content does, and when the same content is written again it may; opaque, without
    /// quotes.
    pub etag: String,
    /// When it was written, to the precision of the store (S3: a second).
    pub modified: SystemTime,
}

/// An object that is being read.
pub struct Object {
    /// Of the whole object, whatever range is read.
    pub meta: Meta,
    /// The bytes that this stream brings, as a range of the object.
    pub range: Range<u64>,
    /// The bytes. It ends with an error when the store breaks off, never early in silence.
    pub body: ByteStream,
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Keys in ascending order of their bytes.
    pub objects: Vec<(ObjectKey, Meta)>,
    /// Whether there are more after the last one.
    pub more: bool,
}

/// Who may do what with a signed address, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// Read the object.
    Get,
    /// Write the object, of any length, over what may be there.
    Put,
    /// The same, but the store takes exactly as many bytes.
    PutExactly {
        /// The length that the address is bound to, in bytes.
        size_bytes: u64,
    },
}

/// How an object is cut into parts that are sent one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// Length of the whole in bytes.
    pub size_bytes: u64,
    /// Length of each part but the last one, in bytes.
    pub part_bytes: u64,
}

impl Cut {
    /// The parts by their numbers, which begin at 1, and their lengths in bytes.
    pub fn parts(self) -> impl Iterator<Item = (u32, u64)> {
        let Self { size_bytes, part_bytes } = self;
        let count = size_bytes.div_ceil(part_bytes) as u32;
        (1..=count).map(move |number| {
            let before = u64::from(number - 1) * part_bytes;
            (number, part_bytes.min(size_bytes - before))
        })
    }
}

/// An object that someone may send in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedParts {
    /// Names it to the store until [`Store::join`].
    pub upload: String,
    /// Addresses of the parts in their order; each takes exactly as many bytes as the part has.
    pub addresses: Vec<String>,
}

/// What became of parts that were to be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// They are an object now.
    Whole,
    /// The first part that has not been sent, or has another length.
    Missing(u32),
    /// There are no such parts: they were joined before, or are gone.
    Unknown,
}

/// A store of objects.
///
/// Every call refuses a key that is no good in all stores alike: 1 to 1024 bytes, parts between `/` of 1 to 255
/// bytes and other than `.` and `..`, no control characters, no backslash. No key may be another one followed by `/`: in a
/// folder that would be a file and a directory of one name.
#[async_trait::async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Writes an object whose bytes are at hand.
    async fn put(&self, key: &ObjectKey, body: Bytes, write: Write) -> Result<Written>;

    /// Writes an object from a stream, in memory bounded by a few parts, whatever its length. If the stream
    /// fails, or this future is dropped before the stream has ended, nothing becomes visible and nothing remains
    /// (S3: the parts are removed, after a drop by a task of their own). Dropped later, the object is there or not.
    async fn put_stream(&self, key: &ObjectKey, body: ByteStream, write: Write) -> Result<Written>;

    /// Reads an object, or a part of it. A range that begins at or beyond the end gives an empty one;
    /// one that ends beyond the end is cut.
    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Object>;

    /// What is known of an object; none where there is none.
    async fn head(&self, key: &ObjectKey) -> Result<Option<Meta>>;

    /// Removes an object. That it is not there is no error.
    async fn delete(&self, key: &ObjectKey) -> Result<()>;

    /// Objects of `bucket` whose path begins with `prefix`, after the path `after`, at most `limit` (1 to 1000;
    /// other numbers are cut to that). What is written or removed meanwhile may be on a page or not.
    async fn list(&self, bucket: Bucket, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page>;

    /// Copies an object inside the store, of any size, without its bytes passing through here where the store can.
    /// [`StoreError::NotFound`] names `from`.
    async fn copy(&self, from: &ObjectKey, to: &ObjectKey, write: Write) -> Result<Written>;

    /// An address under which anyone may do `what` for a while, with `file_name` as the name of the download;
    /// none where the store has no such thing. S3 refuses more than seven days.
    async fn sign(
        &self,
        key: &ObjectKey,
        what: Signed,
        valid: Duration,
        file_name: Option<&str>,
    ) -> Result<Option<String>>;

    /// Addresses under which anyone may send the parts of an object for a while; none where the store has no such thing.
    async fn sign_parts(&self, _: &ObjectKey, _: Cut, _valid: Duration) -> Result<Option<SignedParts>> {
        Ok(None)
    }

    /// Makes one object of parts that were sent to addresses of [`Store::sign_parts`], over what may be there.
    async fn join(&self, _: &ObjectKey, _upload: &str, _: Cut) -> Result<Joined> {
        Ok(Joined::Unknown)
    }

    /// Removes what writers that died, or senders of parts that gave up, have left open for a day.
    async fn tidy(&self) {}

    /// Makes what is missing (buckets, folders) and checks that the store keeps its promises, above all that
    /// [`Write::Once`] is honoured. Called at start-up.
    ///
    /// # Errors
    /// [`StoreError::Refused`] with a sentence that names the promise that is not kept.
    async fn prepare(&self) -> Result<()>;

    /// Removes every object whose path begins with `prefix`, some at a time; gives how many. What is written
    /// there meanwhile may stay.
    async fn delete_prefix(&self, bucket: Bucket, prefix: &str) -> Result<usize> {
        let (mut removed, mut after) = (0, None);
        loop {
            let page = self.list(bucket, prefix, after.as_deref(), 1000).await?;
            iter(page.objects.iter().map(|(key, _)| Ok(key)))
                .try_for_each_concurrent(DELETES_AT_ONCE, |key| self.delete(key))
                .await?;
            removed += page.objects.len();
            match page.objects.last() {
                Some((key, _)) if page.more => after = Some(key.path().to_owned()),
                _ => return Ok(removed),
            }
        }
    }
}

/// Requests that [`Store::delete_prefix`] keeps under way: one at a time takes 30 s for a page of a far store.
const DELETES_AT_ONCE: usize = 16;

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object").field("meta", &self.meta).field("range", &self.range).finish_non_exhaustive()
    }
}
