//! Objects that someone else sends in parts, under links that carry their own permission.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, Part};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::sign::{signed_for, valid_for};
use super::upload::Upload;
use super::{Fault, S3};
use crate::keys::ObjectKey;
use crate::storage::{Cut, Joined, Result, SignedParts};

impl S3 {
    /// Opens an upload and signs a link for each of its parts.
    pub(super) async fn links_of_parts(
        &self,
        key: &ObjectKey,
        cut: Cut,
        valid: Duration,
    ) -> Result<SignedParts> {
        let valid = valid_for(valid)?;
        let upload = Upload::begin(self, key).await?;
        let id = upload.id()?.to_owned();
        let link = |(number, size_bytes): (u32, u64)| {
            let request = self.public.upload_part().bucket(self.bucket(key)).key(key.path()).upload_id(&id);
            let bound = request.part_number(number as i32).content_length(size_bytes as i64);
            let valid = valid.clone();
            async move { signed_for(bound.presigned(valid).await) }
        };
        let addresses = stream::iter(cut.parts()).then(link).try_collect().await?;
        // Open from now on until it is joined, or a day is over.
        upload.leave_open();
        Ok(SignedParts { upload: id, addresses })
    }

    /// Makes an object of the parts, if all of them are there.
    pub(super) async fn join_parts(&self, key: &ObjectKey, id: &str, cut: Cut) -> Result<Joined> {
        let Some(sent) = self.parts_of(key, id).await? else { return Ok(Joined::Unknown) };
        let mut parts = Vec::new();
        for (number, size_bytes) in cut.parts() {
            let part = sent.get(&(number as i32)).filter(|part| part.size() == Some(size_bytes as i64));
            let Some(part) = part else { return Ok(Joined::Missing(number)) };
            let whole = CompletedPart::builder().part_number(number as i32);
            parts.push(whole.set_e_tag(part.e_tag.clone()).build());
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = self.client.complete_multipart_upload().bucket(self.bucket(key)).key(key.path());
        match request.upload_id(id).multipart_upload(parts).send().await {
            Ok(_) => Ok(Joined::Whole),
            Err(error) => match Fault::of(&error) {
                // Joined by someone else at this moment, or by this request, whose answer was lost.
                Fault::NoUpload | Fault::Missing => Ok(Joined::Unknown),
                fault => Err(fault.about(key)),
            },
        }
    }

    /// What was sent of an upload, by number; none where there is no such upload.
    async fn parts_of(&self, key: &ObjectKey, id: &str) -> Result<Option<HashMap<i32, Part>>> {
        let request = self.client.list_parts().bucket(self.bucket(key)).key(key.path()).upload_id(id);
        let mut pages = request.into_paginator().items().send();
        let mut parts = HashMap::new();
        while let Some(part) = pages.next().await {
            match part {
                Ok(part) => parts.extend(part.part_number().map(|number| (number, part))),
                Err(error) => match Fault::of(&error) {
                    Fault::NoUpload | Fault::Missing => return Ok(None),
                    fault => return Err(fault.about(key)),
                },
            }
        }
        Ok(Some(parts))
    }
}
