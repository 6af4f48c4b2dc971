//! A store in memory, with faults on demand.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use common::storage::{ByteStream, Meta, Object, Page, Result, Signed, Store, StoreError, Write, Written};
use common::{Bucket, ObjectKey};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    objects: Mutex<BTreeMap<ObjectKey, (Bytes, Meta)>>,
    count: AtomicU64,
    /// Whether addresses are signed.
    pub(crate) signs: AtomicBool,
    /// Whether uploads are only counted.
    pub(crate) forgets: AtomicBool,
    /// Whether every call fails.
    pub(crate) down: AtomicBool,
    /// Bytes that came through streams.
    pub(crate) streamed: AtomicU64,
}

impl MemoryStore {
    fn up(&self) -> Result<()> {
        if self.down.load(Ordering::SeqCst) {
            Err(StoreError::Unavailable("down".to_owned()))
        } else {
            Ok(())
        }
    }

    fn write(&self, key: &ObjectKey, body: Bytes, write: Write) -> Written {
        let mut objects = self.objects.lock().unwrap();
        if write == Write::Once && objects.contains_key(key) {
            return Written::Exists;
        }
        let etag = format!("e{}", self.count.fetch_add(1, Ordering::SeqCst));
        let meta = Meta { size_bytes: body.len() as u64, etag, modified: SystemTime::now() };
        objects.insert(key.clone(), (body, meta));
        Written::Stored
    }
}

#[async_trait::async_trait]
impl Store for MemoryStore {
    async fn put(&self, key: &ObjectKey, body: Bytes, write: Write) -> Result<Written> {
        self.up()?;
        Ok(self.write(key, body, write))
    }

    async fn put_stream(&self, key: &ObjectKey, mut body: ByteStream, write: Write) -> Result<Written> {
        self.up()?;
        let mut all = Vec::new();
        while let Some(piece) = body.try_next().await.map_err(StoreError::Source)? {
            self.streamed.fetch_add(piece.len() as u64, Ordering::SeqCst);
            if !self.forgets.load(Ordering::SeqCst) {
                all.extend_from_slice(&piece);
            }
        }
        Ok(self.write(key, all.into(), write))
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Object> {
        self.up()?;
        let found = self.objects.lock().unwrap().get(key).cloned();
        let (bytes, meta) = found.ok_or_else(|| StoreError::NotFound(key.clone()))?;
        let len = bytes.len() as u64;
        let range = range.map_or(0..len, |range| range.start.min(len)..range.end.min(len));
        let part = bytes.slice(range.start as usize..range.end.max(range.start) as usize);
        let pieces: Vec<_> = part.chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Ok(Object { meta, range, body: stream::iter(pieces).boxed() })
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<Meta>> {
        self.up()?;
        Ok(self.objects.lock().unwrap().get(key).map(|(_, meta)| meta.clone()))
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.up()?;
        self.objects.lock().unwrap().remove(key);
        Ok(())
    }

    async fn list(&self, bucket: Bucket, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page> {
        self.up()?;
        let objects = self.objects.lock().unwrap();
        let mut found: Vec<_> = objects
            .iter()
            .filter(|(key, _)| key.bucket() == bucket && key.path().starts_with(prefix))
            .filter(|(key, _)| after.is_none_or(|after| key.path() > after))
            .map(|(key, (_, meta))| (key.clone(), meta.clone()))
            .take(limit + 1)
            .collect();
        let more = found.len() > limit;
        found.truncate(limit);
        Ok(Page { objects: found, more })
    }

    async fn copy(&self, from: &ObjectKey, to: &ObjectKey, write: Write) -> Result<Written> {
        self.up()?;
        let found = self.objects.lock().unwrap().get(from).cloned();
        let (bytes, _) = found.ok_or_else(|| StoreError::NotFound(from.clone()))?;
        Ok(self.write(to, bytes, write))
    }

    async fn sign(
        &self,
        key: &ObjectKey,
        what: Signed,
        _: Duration,
        name: Option<&str>,
    ) -> Result<Option<String>> {
        let url = format!("http://store.test/{}?{what:?}&{}", key.path(), name.unwrap_or_default());
        Ok(self.signs.load(Ordering::SeqCst).then_some(url))
    }

    async fn prepare(&self) -> Result<()> {
        Ok(())
    }
}
