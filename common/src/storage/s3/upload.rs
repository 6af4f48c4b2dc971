//! A multipart upload that never stays open.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use tokio::runtime::Handle;

use super::put::condition;
use super::{Fault, S3, moved};
use crate::failpoint;
use crate::keys::ObjectKey;
use crate::storage::{Result, StoreError, Write, Written, media, name};

/// Smallest part of S3 other than the last one: small, since each upload holds one in memory.
const PART_BYTES: usize = 5 << 20;

/// Parts of one size, the next ones being twice as large: 10,000 parts are allowed, which makes 5 TiB.
const PARTS_OF_ONE_SIZE: i32 = 1000;

/// Pauses before each look whether an aborted upload is gone: a part that was under way can outlive it.
const ABORT_PAUSES_S: [u64; 3] = [0, 1, 10];

/// Length of part `number` (from 1) in bytes.
pub(super) fn part_bytes(number: i32) -> usize {
    PART_BYTES << ((number - 1) / PARTS_OF_ONE_SIZE).clamp(0, 9)
}

/// An open upload; dropped, it is removed by a task of its own.
pub(super) struct Upload {
    store: S3,
    key: ObjectKey,
    /// Where it is open; none once it is completed or removed.
    open: Option<Place>,
}

/// Names an upload to the server.
#[derive(Clone)]
struct Place {
    client: Client,
    bucket: String,
    path: String,
    id: String,
}

impl Upload {
    /// Opens an upload. If this future is dropped meanwhile, the upload is removed once its name is known.
    pub(super) async fn begin(store: &S3, key: &ObjectKey) -> Result<Self> {
        let (store, key) = (store.clone(), key.clone());
        let opening = tokio::spawn(async move {
            let (bucket, path) = (store.bucket(&key).to_owned(), name::checked(&key)?.to_owned());
            let request = store.client.create_multipart_upload().bucket(&bucket).key(&path);
            let opened = request.content_type(media::type_of(&path)).send().await;
            let id = match opened {
                Ok(answer) => answer.upload_id.unwrap_or_default(),
                Err(error) => match Fault::of(&error) {
                    Fault::Missing => return Err(Fault::Missing.about_bucket(&bucket)),
                    fault => return Err(fault.about(&key)),
                },
            };
            let open = Some(Place { client: store.client.clone(), bucket, path, id });
            Ok(Self { store, key, open })
        });
        opening.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
    }

    /// What names it to the server.
    pub(super) fn id(&self) -> Result<&str> {
        Ok(&self.place()?.id)
    }

    /// Leaves it to someone else.
    pub(super) fn leave_open(mut self) {
        self.open = None;
    }

    /// Sends part `number` (from 1).
    pub(super) async fn send(&self, number: i32, body: Bytes) -> Result<CompletedPart> {
        let Place { client, bucket, path, id } = self.place()?;
        moved("written", body.len() as u64);
        let sent = client
            .upload_part()
            .bucket(bucket)
            .key(path)
            .upload_id(id)
            .part_number(number)
            .content_length(body.len() as i64)
            .body(body.into())
            .send()
            .await
            .map_err(|error| Fault::of(&error).about(&self.key))?;
        failpoint::reach("upload.part_sent");
        Ok(CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build())
    }

    /// Makes part `number` (from 1) of `range`, as S3 writes it, of another object as it was at `etag`.
    pub(super) async fn copy(
        &self,
        number: i32,
        from: &str,
        etag: &str,
        range: &str,
    ) -> Result<CompletedPart> {
        let Place { client, bucket, path, id } = self.place()?;
        let copied = client
            .upload_part_copy()
            .bucket(bucket)
            .key(path)
            .upload_id(id)
            .part_number(number)
            .copy_source(from)
            .copy_source_if_match(etag)
            .copy_source_range(range)
            .send()
            .await
            .map_err(|error| Fault::of(&error).about(&self.key))?;
        let etag = copied.copy_part_result.and_then(|part| part.e_tag);
        Ok(CompletedPart::builder().part_number(number).set_e_tag(etag).build())
    }

    /// Makes the parts an object; if that cannot be, removes them.
    pub(super) async fn complete(mut self, parts: Vec<CompletedPart>, write: Write) -> Result<Written> {
        let Place { client, bucket, path, id } = self.place()?;
        let completed = client
            .complete_multipart_upload()
            .bucket(bucket)
            .key(path)
            .upload_id(id)
            .set_if_none_match(condition(write))
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .send()
            .await;
        match completed {
            Ok(_) => {
                self.open = None;
                Ok(Written::Stored)
            }
            Err(error) => {
                let written = self.store.exists_or(&self.key, write, Fault::of(&error)).await;
                self.abort().await;
                written
            }
        }
    }

    /// Removes the upload and its parts, as well as can be.
    pub(super) async fn abort(mut self) {
        if let Some(place) = self.open.take() {
            place.abort().await;
        }
    }

    fn place(&self) -> Result<&Place> {
        self.open.as_ref().ok_or_else(|| StoreError::Unavailable("the upload is closed".to_owned()))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let (Some(place), Ok(runtime)) = (self.open.take(), Handle::try_current()) {
            runtime.spawn(async move { place.abort().await });
        }
    }
}

impl Place {
    async fn abort(&self) {
        let Self { client, bucket, path, id } = self;
        for pause_s in ABORT_PAUSES_S {
            if pause_s > 0 {
                tokio::time::sleep(Duration::from_secs(pause_s)).await;
            }
            let request = client.abort_multipart_upload().bucket(bucket).key(path).upload_id(id);
            if let Err(error) = request.send().await {
                match Fault::of(&error) {
                    Fault::NoUpload | Fault::Missing => return,
                    fault => tracing::warn!(key = path, ?fault, "an upload could not be removed"),
                }
            }
            match client.list_parts().bucket(bucket).key(path).upload_id(id).max_parts(1).send().await {
                Ok(left) if left.parts().is_empty() => return,
                Ok(_) => {}
                Err(error) if matches!(Fault::of(&error), Fault::NoUpload | Fault::Missing) => return,
                Err(error) => {
                    tracing::warn!(key = path, fault = ?Fault::of(&error), "parts cannot be listed");
                }
            }
        }
        tracing::warn!(key = path, "an upload may have stayed open; prepare() removes it after a day");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_parts_hold_the_largest_object() {
        let all: usize = (1..=10_000).map(part_bytes).sum();
        assert!(all >= 4_990 << 30, "{all}");
        assert_eq!(part_bytes(1), 5 << 20);
        assert_eq!(part_bytes(1000), 5 << 20);
        assert_eq!(part_bytes(1001), 10 << 20);
    }
}
