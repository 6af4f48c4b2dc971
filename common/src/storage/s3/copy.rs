//! Copies inside the store.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use aws_sdk_s3::operation::copy_object::builders::CopyObjectFluentBuilder;
use aws_sdk_s3::types::MetadataDirective;
use bytes::Bytes;

use super::put::condition;
use super::upload::Upload;
use super::{Fault, S3};
use crate::keys::ObjectKey;
use crate::storage::{Result, Store, StoreError, Write, Written, media, name};

/// Largest object that one request copies, in bytes.
const MAX_COPY_BYTES: u64 = 5 << 30;

/// Length of the parts that a larger one is copied in, in bytes: 10,000 of them hold the largest object.
const COPY_PART_BYTES: u64 = 1 << 30;

impl S3 {
    /// Copies an object. Where the server is not known to honour a condition on a copy, which is a young promise,
    /// one that must not replace goes by parts: the condition on their completion is an older one.
    pub(super) async fn copy_inside(
        &self,
        from: &ObjectKey,
        to: &ObjectKey,
        write: Write,
    ) -> Result<Written> {
        name::checked(to)?;
        let source = Source::of(self, from).await?;
        if source.size_bytes == 0 {
            return self.put_whole(to, Bytes::new(), write).await;
        }
        let in_one = write == Write::Replace || self.copies_once.load(Ordering::Relaxed);
        if !in_one || source.size_bytes > MAX_COPY_BYTES {
            return self.copy_parts(&source, to, write).await;
        }
        match self.copy_request(&source, to, write).send().await {
            Ok(_) => Ok(Written::Stored),
            Err(error) => match (write, Fault::of(&error)) {
                // One of two conditions does not hold.
                (Write::Once, Fault::Precondition) if self.head(to).await?.is_some() => Ok(Written::Exists),
                (Write::Once, fault @ Fault::Conflict) => self.exists_or(to, write, fault).await,
                (_, fault) => Err(fault.about(from)),
            },
        }
    }

    /// Whether the server honours the condition on a copy: `key`, which exists, is not copied onto itself.
    pub(super) async fn refuses_copy_onto(&self, key: &ObjectKey) -> Result<bool> {
        let copied = self.copy_request(&Source::of(self, key).await?, key, Write::Once).send().await;
        Ok(copied.is_err_and(|error| Fault::of(&error) == Fault::Precondition))
    }

    fn copy_request(&self, source: &Source, to: &ObjectKey, write: Write) -> CopyObjectFluentBuilder {
        self.client
            .copy_object()
            .bucket(self.bucket(to))
            .key(to.path())
            .set_if_none_match(condition(write))
            .copy_source(&source.place)
            .copy_source_if_match(&source.etag)
            .content_type(media::type_of(to.path()))
            .metadata_directive(MetadataDirective::Replace)
    }

    async fn copy_parts(&self, source: &Source, to: &ObjectKey, write: Write) -> Result<Written> {
        let upload = Upload::begin(self, to).await?;
        let mut parts = Vec::new();
        for (number, range) in (1..).zip(ranges(source.size_bytes)) {
            match upload.copy(number, &source.place, &source.etag, &range).await {
                Ok(part) => parts.push(part),
                Err(error) => {
                    upload.abort().await;
                    return Err(error);
                }
            }
        }
        upload.complete(parts, write).await
    }
}

/// What is copied, as it was at first sight.
struct Source {
    /// Bucket and key, for the header.
    place: String,
    /// With quotes.
    etag: String,
    size_bytes: u64,
}

impl Source {
    async fn of(store: &S3, key: &ObjectKey) -> Result<Self> {
        let place = format!("{}/{}", store.bucket(key), percent(name::checked(key)?));
        let meta = store.head(key).await?.ok_or_else(|| StoreError::NotFound(key.clone()))?;
        Ok(Self { place, etag: format!("\"{}\"", meta.etag), size_bytes: meta.size_bytes })
    }
}

/// The ranges of the parts of an object, as S3 writes them.
fn ranges(size_bytes: u64) -> impl Iterator<Item = String> {
    (0..size_bytes).step_by(COPY_PART_BYTES as usize).map(move |start| {
        let end = size_bytes.min(start + COPY_PART_BYTES);
        format!("bytes={start}-{}", end - 1)
    })
}

/// A text for an address or a header: all but letters, digits, `-._~/` as `%xx` of its UTF-8 bytes.
pub(crate) fn percent(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            safe.push(char::from(byte));
        } else {
            let _ = write!(safe, "%{byte:02X}");
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_an_object_once() {
        assert_eq!(ranges(1).collect::<Vec<_>>(), ["bytes=0-0"]);
        let two: Vec<_> = ranges(COPY_PART_BYTES + 1).collect();
        assert_eq!(two, ["bytes=0-1073741823", "bytes=1073741824-1073741824"]);
        assert_eq!(ranges(5 << 40).count(), 5 * 1024);
    }

    #[test]
    fn awkward_characters_are_escaped() {
        assert_eq!(percent("a b/ü+%.mp3"), "a%20b/%C3%BC%2B%25.mp3");
    }
}
