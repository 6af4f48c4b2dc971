//! A folder with the clock of an object store, in which something happens just before chosen calls.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use common::keys::{Bucket, ObjectKey};
use common::storage::fs::Folder;
use common::storage::{ByteStream, Meta, Object, Page, Result, Signed, Store, Write, Written};
use futures_util::future::BoxFuture;
use tempfile::TempDir;

/// What happens before a call: of `get`, `delete` or `list`, and a path or prefix.
type Hook = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

/// The store; times that it tells are whole seconds, as those of S3.
#[derive(Debug, Clone)]
pub(crate) struct Between {
    folder: Folder,
    hooks: Arc<Mutex<Vec<Planned>>>,
    _root: Arc<TempDir>,
}

struct Planned {
    call: &'static str,
    path: String,
    hook: Hook,
}

impl std::fmt::Debug for Planned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "before {} of {}", self.call, self.path)
    }
}

impl Between {
    pub(crate) async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path());
        folder.prepare().await.unwrap();
        Self { folder, hooks: Arc::default(), _root: Arc::new(root) }
    }

    /// `hook` runs once, before the first `call` of exactly `path`.
    pub(crate) fn before<F>(&self, call: &'static str, path: &str, hook: F)
    where
        F: FnOnce() -> BoxFuture<'static, ()> + Send + 'static,
    {
        let hook = Box::new(hook);
        self.hooks.lock().unwrap().push(Planned { call, path: path.to_owned(), hook });
    }

    async fn reach(&self, call: &str, path: &str) {
        let planned = {
            let mut hooks = self.hooks.lock().unwrap();
            let at = hooks.iter().position(|planned| planned.call == call && planned.path == path);
            at.map(|at| hooks.remove(at))
        };
        if let Some(planned) = planned {
            (planned.hook)().await;
        }
    }
}

fn whole_seconds(meta: Meta) -> Meta {
    let since = meta.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    let modified: SystemTime = UNIX_EPOCH + Duration::from_secs(since.as_secs());
    Meta { modified, ..meta }
}

#[async_trait::async_trait]
impl Store for Between {
    async fn put(&self, key: &ObjectKey, body: Bytes, write: Write) -> Result<Written> {
        self.folder.put(key, body, write).await
    }

    async fn put_stream(&self, key: &ObjectKey, body: ByteStream, write: Write) -> Result<Written> {
        self.folder.put_stream(key, body, write).await
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Object> {
        self.reach("get", key.path()).await;
        self.folder.get(key, range).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<Meta>> {
        Ok(self.folder.head(key).await?.map(whole_seconds))
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.reach("delete", key.path()).await;
        self.folder.delete(key).await
    }

    async fn list(&self, bucket: Bucket, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page> {
        self.reach("list", prefix).await;
        let mut page = self.folder.list(bucket, prefix, after, limit).await?;
        page.objects = page.objects.into_iter().map(|(key, meta)| (key, whole_seconds(meta))).collect();
        Ok(page)
    }

    async fn copy(&self, from: &ObjectKey, to: &ObjectKey, write: Write) -> Result<Written> {
        self.folder.copy(from, to, write).await
    }

    async fn sign(
        &self,
        key: &ObjectKey,
        what: Signed,
        valid: Duration,
        file_name: Option<&str>,
    ) -> Result<Option<String>> {
        self.folder.sign(key, what, valid, file_name).await
    }

    async fn prepare(&self) -> Result<()> {
        self.folder.prepare().await
    }
}
