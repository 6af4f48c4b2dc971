//! Reading objects.

use std::io;
use std::ops::Range;

use aws_sdk_s3::primitives::ByteStream as Answer;
use futures_util::stream::{self, StreamExt};

use super::{Fault, S3, meta, moved};
use crate::keys::ObjectKey;
use crate::storage::{ByteStream, Object, Result, Store, StoreError, name};

impl S3 {
    /// Opens an object for reading, see [`Store::get`].
    pub(super) async fn open(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Object> {
        let path = name::checked(key)?;
        let wanted = range.clone().unwrap_or(0..u64::MAX);
        if wanted.is_empty() {
            return self.nothing_of(key, wanted.start).await;
        }
        // Servers count in signed numbers.
        let header = range.map(|range| match i64::try_from(range.end) {
            Ok(end) => format!("bytes={}-{}", range.start, end - 1),
            Err(_) => format!("bytes={}-", range.start),
        });
        let request = self.client.get_object().bucket(self.bucket(key)).key(path).set_range(header);
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                return match Fault::of(&error) {
                    // Begins at or behind the end.
                    Fault::Range => self.nothing_of(key, wanted.start).await,
                    fault => Err(fault.about(key)),
                };
            }
        };
        let length = answer.content_length().unwrap_or(0).max(0) as u64;
        let (start, size) = match answer.content_range() {
            Some(text) => start_and_size(text).ok_or_else(|| strange(key, text))?,
            None if wanted.start == 0 && wanted.end >= length => (0, length),
            None => return Err(StoreError::Refused(format!("the range of {key} was ignored"))),
        };
        let range = start..start + length;
        let mut meta = meta(Some(0), answer.e_tag(), answer.last_modified());
        meta.size_bytes = size;
        if range != (wanted.start..wanted.end.min(size)) {
            return Err(strange(key, &format!("{range:?} of {size}")));
        }
        moved("read", length);
        Ok(Object { meta, range, body: complete(answer.body, length) })
    }

    /// An empty range of an object.
    async fn nothing_of(&self, key: &ObjectKey, start: u64) -> Result<Object> {
        let meta = self.head(key).await?.ok_or_else(|| StoreError::NotFound(key.clone()))?;
        let start = start.min(meta.size_bytes);
        Ok(Object { meta, range: start..start, body: stream::empty().boxed() })
    }
}

fn strange(key: &ObjectKey, what: &str) -> StoreError {
    StoreError::Refused(format!("another range of {key} came than was asked for: {what}"))
}

/// Start of the range and size of the whole in `bytes 0-9/100`.
fn start_and_size(text: &str) -> Option<(u64, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, size.parse().ok()?))
}

/// The bytes of an answer, with an error when there are not exactly `length` of them.
fn complete(answer: Answer, length: u64) -> ByteStream {
    stream::try_unfold((answer, length), |(mut answer, missing)| async move {
        match answer.try_next().await.map_err(io::Error::other)? {
            Some(bytes) => match missing.checked_sub(bytes.len() as u64) {
                Some(missing) => Ok(Some((bytes, (answer, missing)))),
                None => Err(io::Error::other("the store sent more bytes than it said")),
            },
            None if missing == 0 => Ok(None),
            None => {
                let text = format!("the store broke off {missing} bytes before the end");
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, text))
            }
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_read() {
        assert_eq!(start_and_size("bytes 5-9/100"), Some((5, 100)));
        for bad in ["", "bytes */100", "bytes 5-9/*", "5-9/100", "bytes 5/100"] {
            assert_eq!(start_and_size(bad), None, "{bad}");
        }
    }
}
