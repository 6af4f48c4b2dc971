//! Writing objects: one request for small ones, parts for streams.

use aws_sdk_s3::types::CompletedPart;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::upload::{Upload, part_bytes};
use super::{Fault, S3, moved};
use crate::keys::ObjectKey;
use crate::storage::pieces::Pieces;
use crate::storage::{ByteStream, Result, Store, StoreError, Write, Written, media, name};

/// Parts of one upload that are under way.
const PARTS_OF_ONE: usize = 3;

impl S3 {
    /// Writes an object with one request.
    pub(super) async fn put_whole(&self, key: &ObjectKey, body: Bytes, write: Write) -> Result<Written> {
        let path = name::checked(key)?;
        moved("written", body.len() as u64);
        let sent = self
            .client
            .put_object()
            .bucket(self.bucket(key))
            .key(path)
            .content_type(media::type_of(path))
            .content_length(body.len() as i64)
            .set_if_none_match(condition(write))
            .body(body.into())
            .send()
            .await;
        match sent {
            Ok(_) => Ok(Written::Stored),
            Err(error) => self.exists_or(key, write, Fault::of(&error)).await,
        }
    }

    /// Writes an object from a stream; one that fits into a part is a single request.
    pub(super) async fn put_parts(&self, key: &ObjectKey, body: ByteStream, write: Write) -> Result<Written> {
        name::checked(key)?;
        let mut pieces = Pieces::new(body);
        let first = pieces.next(part_bytes(1)).await.map_err(StoreError::Source)?.unwrap_or_default();
        if first.len() < part_bytes(1) || pieces.is_done() {
            return self.put_whole(key, first, write).await;
        }
        let upload = Upload::begin(self, key).await?;
        let sent = self.send_parts(&upload, first, pieces).await;
        match sent {
            Ok(parts) => upload.complete(parts, write).await,
            Err(error) => {
                upload.abort().await;
                Err(error)
            }
        }
    }

    /// Sends the parts, a few at a time; gives them in order.
    async fn send_parts(&self, upload: &Upload, first: Bytes, pieces: Pieces) -> Result<Vec<CompletedPart>> {
        let parts = stream::try_unfold((1, Some(first), pieces), |(number, ready, mut pieces)| async move {
            let piece = match ready {
                Some(piece) => Some(piece),
                None => pieces.next(part_bytes(number)).await.map_err(StoreError::Source)?,
            };
            let Some(piece) = piece else { return Ok(None) };
            // Waited for before the next part is gathered, so that only parts with a turn pile up.
            let turn =
                self.turns.acquire().await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
            Ok::<_, StoreError>(Some(((number, piece, turn), (number + 1, None, pieces))))
        });
        let sent = parts
            .map_ok(|(number, piece, turn)| async move {
                let part = upload.send(number, piece).await;
                drop(turn);
                part
            })
            .try_buffered(PARTS_OF_ONE)
            .boxed();
        sent.try_collect().await
    }

    /// What became of a write that failed.
    pub(super) async fn exists_or(&self, key: &ObjectKey, write: Write, fault: Fault) -> Result<Written> {
        match (write, &fault) {
            (Write::Once, Fault::Precondition) => Ok(Written::Exists),
            // The other write may have been a removal; and an upload is gone once an answer to it was lost.
            (Write::Once, Fault::Conflict | Fault::NoUpload) if self.head(key).await?.is_some() => {
                Ok(Written::Exists)
            }
            // Missing is the bucket here.
            (_, Fault::Missing) => Err(fault.about_bucket(self.bucket(key))),
            _ => Err(fault.about(key)),
        }
    }
}

/// Value of `If-None-Match`.
pub(super) fn condition(write: Write) -> Option<String> {
    match write {
        Write::Replace => None,
        Write::Once => Some("*".to_owned()),
    }
}
