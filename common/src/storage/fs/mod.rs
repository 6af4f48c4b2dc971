//! A store in a folder: `queue/` and `output/` with an object per file, `.partial/` with what is being written.
//!
//! A file is written in `.partial/`, brought to the disk and only then given its name: by link(2) when it must
//! not replace another, else by rename(2). So nobody sees a part of one, and what was answered survives the loss
//! of power. Processes may share a folder.

mod layout;
mod partial;
mod read;
mod walk;

use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use self::layout::Layout;
use self::partial::Partial;
use super::pieces::Pieces;
use super::{ByteStream, Meta, Object, Page, Result, Signed, Store, StoreError, Write, Written};
use crate::keys::{Bucket, ObjectKey};

/// Bytes that a stream gathers before a thread is asked to write them.
const WRITE_BYTES: usize = 1 << 20;

/// A store in a folder; cheap to clone.
#[derive(Debug, Clone)]
pub struct Folder {
    layout: Arc<Layout>,
}

impl Folder {
    /// A store in `root`, which [`Store::prepare`] makes.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { layout: Arc::new(Layout::new(root.into())) }
    }

    /// Begins a file for `key`, refusing a bad key before anything is written.
    async fn begin(&self, key: &ObjectKey) -> Result<Partial> {
        self.layout.file(key)?;
        let (layout, key) = (Arc::clone(&self.layout), key.clone());
        blocking(move || {
            Partial::create(&layout).map_err(|error| {
                if is_absent(&error) {
                    StoreError::Refused(format!(
                        "{} is no store: it was not prepared",
                        layout.root().display()
                    ))
                } else {
                    fault(&error, &key)
                }
            })
        })
        .await
    }

    /// Gives a file the name of `key`.
    async fn finish(&self, partial: Partial, key: &ObjectKey, write: Write) -> Result<Written> {
        let (layout, key) = (Arc::clone(&self.layout), key.clone());
        blocking(move || partial.publish(&layout, &key, write)).await
    }
}

#[async_trait::async_trait]
impl Store for Folder {
    async fn put(&self, key: &ObjectKey, body: Bytes, write: Write) -> Result<Written> {
        let partial = self.begin(key).await?.append(body, key).await?;
        self.finish(partial, key, write).await
    }

    async fn put_stream(&self, key: &ObjectKey, body: ByteStream, write: Write) -> Result<Written> {
        let mut partial = self.begin(key).await?;
        let mut pieces = Pieces::new(body);
        while let Some(piece) = pieces.next(WRITE_BYTES).await.map_err(StoreError::Source)? {
            partial = partial.append(piece, key).await?;
        }
        self.finish(partial, key, write).await
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Object> {
        let path = self.layout.file(key)?;
        let key = key.clone();
        blocking(move || read::open(&path, range).map_err(|error| fault(&error, &key))).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<Meta>> {
        let path = self.layout.file(key)?;
        let key = key.clone();
        blocking(move || match std::fs::metadata(path) {
            Ok(found) => Ok(found.is_file().then(|| meta(&found))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(fault(&error, &key)),
        })
        .await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.layout.file(key)?;
        let (layout, key) = (Arc::clone(&self.layout), key.clone());
        blocking(move || match layout.remove(&key) {
            Err(error) if !is_absent(&error) => Err(fault(&error, &key)),
            _ => Ok(()),
        })
        .await
    }

    async fn list(&self, bucket: Bucket, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page> {
        let root = self.layout.bucket(bucket);
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        blocking(move || {
            let mut listing = walk::Listing::new(bucket, &prefix, after.as_deref(), limit.clamp(1, 1000));
            listing.walk(&root).map_err(|error| StoreError::Unavailable(error.to_string()))?;
            Ok(listing.page())
        })
        .await
    }

    async fn copy(&self, from: &ObjectKey, to: &ObjectKey, write: Write) -> Result<Written> {
        let source = self.layout.file(from)?;
        let from = from.clone();
        let partial = self.begin(to).await?;
        let partial =
            blocking(move || partial.fill_from(&source).map_err(|error| fault(&error, &from))).await?;
        self.finish(partial, to, write).await
    }

    async fn sign(&self, _: &ObjectKey, _: Signed, _: Duration, _: Option<&str>) -> Result<Option<String>> {
        Ok(None)
    }

    async fn prepare(&self) -> Result<()> {
        let layout = Arc::clone(&self.layout);
        blocking(move || {
            layout.make().map_err(|error| {
                let root = layout.root().display();
                match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
                    _ => StoreError::Refused(format!("the folder {root} cannot be used: {error}")),
                }
            })
        })
        .await?;
        for bucket in [Bucket::Queue, Bucket::Output] {
            self.probe(bucket).await?;
        }
        Ok(())
    }
}

impl Folder {
    /// Writes an object twice and sees that the first one stays: some file systems know no links.
    async fn probe(&self, bucket: Bucket) -> Result<()> {
        let key = ObjectKey::probe(bucket, uuid::Uuid::new_v4());
        let first = self.put(&key, Bytes::from_static(b"first"), Write::Once).await;
        let second = self.put(&key, Bytes::from_static(b"second"), Write::Once).await;
        self.delete(&key).await?;
        match (first, second) {
            (Ok(Written::Stored), Ok(Written::Exists)) => Ok(()),
            (Err(StoreError::Full), _) => Err(StoreError::Full),
            (first, _) => Err(StoreError::Refused(format!(
                "the file system of {} cannot write a file once, which takes hard links: {}",
                self.layout.root().display(),
                first.err().map_or_else(|| "the second write won".to_owned(), |error| error.to_string()),
            ))),
        }
    }
}

/// What is known of a file. The inode differs from that of the file that it replaced, the time from that of
/// an earlier file with the same inode.
fn meta(found: &std::fs::Metadata) -> Meta {
    let modified = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Meta {
        size_bytes: found.len(),
        etag: format!("{:x}-{:x}-{:x}", found.ino(), since.as_nanos(), found.len()),
        modified,
    }
}

/// Whether an error says that there is nothing under a path.
fn is_absent(error: &io::Error) -> bool {
    // A part of the path may be an object.
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// What the caller learns of an error of the file system.
fn fault(error: &io::Error, key: &ObjectKey) -> StoreError {
    use io::ErrorKind as Kind;
    match error.kind() {
        _ if is_absent(error) => StoreError::NotFound(key.clone()),
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => StoreError::Full,
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem => StoreError::Refused(format!("{key}: {error}")),
        _ => StoreError::Unavailable(format!("{key}: {error}")),
    }
}

/// Runs what waits for a disk on a thread of its own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
}
