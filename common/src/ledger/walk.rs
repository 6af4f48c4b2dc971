//! Listings of any length, page by page.

use futures_util::{Stream, TryStreamExt, stream};

use super::{Ledger, LedgerError, Result};
use crate::keys::{Bucket, ObjectKey};
use crate::storage::Meta;

/// Objects that are asked for at a time.
const PAGE: usize = 1000;

impl Ledger {
    /// Everything below `prefix`, in order; the next page is asked for when the one before it is used up.
    pub(super) fn walk<'a>(
        &'a self,
        bucket: Bucket,
        prefix: &'a str,
    ) -> impl Stream<Item = Result<(ObjectKey, Meta)>> + Send + Unpin + 'a {
        let pages = stream::try_unfold(Some(String::new()), move |after| async move {
            let Some(after) = after else { return Ok::<_, LedgerError>(None) };
            let after = (!after.is_empty()).then_some(after);
            let page = self.store.list(bucket, prefix, after.as_deref(), PAGE).await?;
            let last = page.objects.last().map(|(key, _)| key.path().to_owned());
            let objects = stream::iter(page.objects.into_iter().map(Ok));
            Ok(Some((objects, last.filter(|_| page.more))))
        });
        Box::pin(pages.try_flatten())
    }

    /// Keys of everything below a prefix that never has many.
    pub(super) async fn keys(&self, bucket: Bucket, prefix: &str) -> Result<Vec<ObjectKey>> {
        self.walk(bucket, prefix).map_ok(|(key, _)| key).try_collect().await
    }

    /// Whether there is anything below `prefix`.
    pub(super) async fn has_any(&self, bucket: Bucket, prefix: &str) -> Result<bool> {
        Ok(!self.store.list(bucket, prefix, None, 1).await?.objects.is_empty())
    }
}
