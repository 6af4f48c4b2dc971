//! What is checked at start-up: buckets, and that the server keeps its promises.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration, MultipartUpload};
use bytes::Bytes;
use uuid::Uuid;

use super::upload::Upload;
use super::{Fault, S3};
use crate::keys::{Bucket, ObjectKey};
use crate::storage::{Result, Store, StoreError, Write, Written};

/// Age of an open upload that nobody works on any more.
const OLD: Duration = Duration::from_hours(24);

impl S3 {
    /// Makes a bucket unless there is one.
    pub(super) async fn ensure_bucket(&self, bucket: Bucket) -> Result<()> {
        let name = self.config.name_of(bucket);
        let Err(error) = self.client.head_bucket().bucket(name).send().await else { return Ok(()) };
        match Fault::of(&error) {
            Fault::Missing => {}
            fault => return Err(fault.about_bucket(name)),
        }
        // Amazon's oldest region is the one that must not be named.
        let place = (self.config.region != "us-east-1").then(|| {
            let region = BucketLocationConstraint::from(self.config.region.as_str());
            CreateBucketConfiguration::builder().location_constraint(region).build()
        });
        match self.client.create_bucket().bucket(name).set_create_bucket_configuration(place).send().await {
            Ok(_) => tracing::info!(bucket = name, "made a bucket"),
            Err(error) => match Fault::of(&error) {
                // Another process of ours was faster; if it is a stranger's, the probe is refused.
                Fault::Conflict => {}
                fault => return Err(fault.about_bucket(name)),
            },
        }
        Ok(())
    }

    /// Writes an object twice, whole and by parts, and sees that the first one stays.
    pub(super) async fn probe(&self, bucket: Bucket) -> Result<()> {
        let key = ObjectKey::probe(bucket, Uuid::new_v4());
        let promises = self.promises(&key).await;
        let removed = self.delete(&key).await;
        promises.and(removed)
    }

    async fn promises(&self, key: &ObjectKey) -> Result<()> {
        let (first, second) = (Bytes::from_static(b"first"), Bytes::from_static(b"second"));
        if self.put(key, first.clone(), Write::Once).await? == Written::Exists {
            return Err(StoreError::Refused(format!("{key} exists before it is written")));
        }
        if self.put(key, second.clone(), Write::Once).await? != Written::Exists {
            return Err(broken("PutObject", self.config.name_of(key.bucket())));
        }
        let upload = Upload::begin(self, key).await?;
        let part = match upload.send(1, second).await {
            Ok(part) => part,
            Err(error) => {
                upload.abort().await;
                return Err(error);
            }
        };
        if upload.complete(vec![part], Write::Once).await? != Written::Exists {
            return Err(broken("CompleteMultipartUpload", self.config.name_of(key.bucket())));
        }
        self.copies_once.store(self.refuses_copy_onto(key).await?, Ordering::Relaxed);
        match self.head(key).await? {
            Some(meta) if meta.size_bytes == first.len() as u64 => Ok(()),
            _ => Err(broken("PutObject", self.config.name_of(key.bucket()))),
        }
    }

    /// Counts the multipart uploads that are open in both buckets, at most 1000 of each: those under way and,
    /// until [`Store::prepare`] finds them a day later, those whose process died.
    pub async fn open_uploads(&self) -> Result<usize> {
        let mut open = 0;
        for bucket in [Bucket::Queue, Bucket::Output] {
            open += self.uploads(bucket).await?.len();
        }
        Ok(open)
    }

    async fn uploads(&self, bucket: Bucket) -> Result<Vec<MultipartUpload>> {
        let name = self.config.name_of(bucket);
        let listed = self.client.list_multipart_uploads().bucket(name).send().await;
        let listed = listed.map_err(|error| Fault::of(&error).about_bucket(name))?;
        Ok(listed.uploads.unwrap_or_default())
    }

    /// Removes uploads that were begun more than a day ago: their process died. A failure is no reason not to start.
    pub(super) async fn remove_old_uploads(&self, bucket: Bucket) {
        let name = self.config.name_of(bucket);
        let uploads = match self.uploads(bucket).await {
            Ok(uploads) => uploads,
            Err(error) => {
                tracing::debug!(bucket = name, %error, "open uploads cannot be listed");
                return;
            }
        };
        for upload in uploads {
            let begun = upload.initiated().and_then(|&time| SystemTime::try_from(time).ok());
            let age = begun.and_then(|begun| begun.elapsed().ok());
            if let (Some(path), Some(id), true) = (upload.key(), upload.upload_id(), age > Some(OLD)) {
                let request = self.client.abort_multipart_upload().bucket(name).key(path).upload_id(id);
                let removed = request.send().await.is_ok();
                tracing::info!(bucket = name, key = path, removed, "an upload was left open");
            }
        }
    }
}

fn broken(request: &str, bucket: &str) -> StoreError {
    StoreError::Refused(format!(
        "the server does not honour If-None-Match on {request} in the bucket {bucket}: it replaced an object that \
         was to be written once; songs could be mixed up, so another server or a newer version is needed"
    ))
}
