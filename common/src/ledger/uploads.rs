//! Whose uploads lie in the store without a job, and how many songs a tenant has there for later.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use uuid::Uuid;

use super::sweep::age;
use super::{Ledger, Result};
use crate::ids::Tenant;
use crate::keys::{Bucket, ObjectKey, UPLOADS};

/// How long an upload is counted that was announced and has not come: its address is good for an hour.
const ANNOUNCED: Duration = Duration::from_hours(2);

impl Ledger {
    /// Counts an upload among a tenant's, from its announcement on. Said again, it counts once.
    pub async fn hold_upload(&self, tenant: &Tenant, upload: Uuid) -> Result<()> {
        self.mark(&ObjectKey::upload_of(tenant, upload)).await
    }

    /// Whether an upload is counted among a tenant's.
    pub async fn holds_upload(&self, tenant: &Tenant, upload: Uuid) -> Result<bool> {
        Ok(self.store.head(&ObjectKey::upload_of(tenant, upload)).await?.is_some())
    }

    /// Counts it no more: it became a job. What never does goes with the upload.
    pub async fn release_upload(&self, tenant: &Tenant, upload: Uuid) -> Result<()> {
        Ok(self.store.delete(&ObjectKey::upload_of(tenant, upload)).await?)
    }

    /// Whether a tenant has `most` songs or more in the store for later: the editor's, and uploads without a job.
    pub async fn has_songs(&self, tenant: &Tenant, most: usize) -> Result<bool> {
        let (music, uploads) = (ObjectKey::music_of(tenant), ObjectKey::uploads_of(tenant));
        let mut all = self.walk(Bucket::Queue, &music).chain(self.walk(Bucket::Queue, &uploads));
        let mut count = 0;
        while count < most && all.try_next().await?.is_some() {
            count += 1;
        }
        Ok(count >= most)
    }

    /// Counts uploads no more whose time is over, or that never came.
    pub(super) async fn sweep_uploads(&self) -> Result<()> {
        let mut marks = self.walk(Bucket::Queue, UPLOADS);
        while let Some((mark, meta)) = marks.try_next().await? {
            let age = age(meta.modified);
            if age > self.keep.uploads || age > ANNOUNCED && !self.has_come(&mark).await? {
                self.store.delete(&mark).await?;
            }
        }
        Ok(())
    }

    async fn has_come(&self, mark: &ObjectKey) -> Result<bool> {
        let Some(upload) = mark.as_upload() else { return Ok(false) };
        Ok(self.store.head(&ObjectKey::incoming(upload)).await?.is_some())
    }
}
