//! Whether store and queue do their work, and the store is the one that this process began with.

use std::sync::PoisonError;

use uuid::Uuid;

use super::{Ledger, Result};
use crate::keys::{Bucket, ObjectKey};
use crate::storage::{StoreError, Write};

impl Ledger {
    /// Asks store and queue for a little work: what fails at the same moment fails for its own reasons.
    ///
    /// # Errors
    /// Why nothing can be done at present.
    pub async fn works(&self) -> Result<()> {
        for bucket in [Bucket::Queue, Bucket::Output] {
            let key = ObjectKey::probe(bucket, Uuid::new_v4());
            self.mark(&key).await?;
            self.store.delete(&key).await?;
        }
        self.queue.epoch().await?;
        if self.is_same_store().await? {
            return Ok(());
        }
        Err(StoreError::Unavailable("it is another one than before".to_owned()).into())
    }

    /// Whether the store is still the one that this was first asked of. An empty folder where a file system is not
    /// mounted has no jobs, but does not say that they were deleted.
    pub async fn is_same_store(&self) -> Result<bool> {
        let key = ObjectKey::store_id();
        let mut there: Option<Uuid> = self.read(&key).await?;
        let known = || *self.store_id.lock().unwrap_or_else(PoisonError::into_inner);
        if there.is_none() && known().is_none() {
            self.write(&key, &Uuid::new_v4(), Write::Once).await?;
            there = self.read(&key).await?;
        }
        let mut known = self.store_id.lock().unwrap_or_else(PoisonError::into_inner);
        *known = known.or(there);
        Ok(there.is_some() && there == *known)
    }
}
