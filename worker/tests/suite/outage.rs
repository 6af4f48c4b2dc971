//! What becomes of songs while the store is away, or another one is in its place.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::job::{Ending, Record};
use common::keys::{Bucket, ObjectKey};
use common::storage::fs::Folder;
use common::storage::{ByteStream, Meta, Object, Page, Result, Signed, Store, StoreError, Write, Written};

use crate::bench::{Bench, Running, song};

/// A folder that can be away.
#[derive(Debug)]
struct Reachable {
    folder: Folder,
    away: AtomicBool,
}

impl Reachable {
    fn ask(&self) -> Result<&Folder> {
        if self.away.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("it is away".to_owned()));
        }
        Ok(&self.folder)
    }
}

#[async_trait::async_trait]
impl Store for Reachable {
    async fn put(&self, key: &ObjectKey, body: Bytes, write: Write) -> Result<Written> {
        self.ask()?.put(key, body, write).await
    }

    async fn put_stream(&self, key: &ObjectKey, body: ByteStream, write: Write) -> Result<Written> {
        self.ask()?.put_stream(key, body, write).await
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Object> {
        self.ask()?.get(key, range).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<Meta>> {
        self.ask()?.head(key).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.ask()?.delete(key).await
    }

    async fn list(&self, bucket: Bucket, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page> {
        self.ask()?.list(bucket, prefix, after, limit).await
    }

    async fn copy(&self, from: &ObjectKey, to: &ObjectKey, write: Write) -> Result<Written> {
        self.ask()?.copy(from, to, write).await
    }

    async fn sign(
        &self,
        key: &ObjectKey,
        what: Signed,
        valid: Duration,
        file_name: Option<&str>,
    ) -> Result<Option<String>> {
        self.ask()?.sign(key, what, valid, file_name).await
    }

    async fn prepare(&self) -> Result<()> {
        self.ask()?.prepare().await
    }
}

/// Longer than all attempts of a task take in these tests.
const OUTAGE: Duration = Duration::from_secs(3);

/// Three songs, of which a worker has one in work.
async fn songs_in_work(bench: &Bench) -> (Vec<Record>, Running) {
    let mut records = Vec::new();
    for i in 0..3 {
        let hash = bench.store_song(song(30_000 + i)).await;
        records.push(bench.submit(hash).await);
    }
    let worker = bench.worker(Some(4));
    bench.in_work(&records).await;
    (records, worker)
}

async fn all_succeed(bench: &Bench, records: &[Record], worker: Running) {
    for record in records {
        let ending = bench.end_of(record).await.ending;
        assert!(matches!(ending, Ending::Succeeded { .. }), "{ending:?}");
    }
    bench.rest().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_costs_time_and_no_song() {
    let store = |root: &std::path::Path| {
        Arc::new(Reachable { folder: Folder::new(root.join("store")), away: AtomicBool::new(false) })
    };
    let (bench, store) = Bench::over(Duration::from_secs(1), store).await;
    let (records, worker) = songs_in_work(&bench).await;
    store.away.store(true, Ordering::Relaxed);
    tokio::time::sleep(OUTAGE).await;
    assert_eq!(bench.ledger.queue().depth().await.unwrap().dead, 0);
    store.away.store(false, Ordering::Relaxed);
    all_succeed(&bench, &records, worker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_store_in_the_place_of_the_right_one_ends_no_job() {
    let bench = Bench::new().await;
    let (records, worker) = songs_in_work(&bench).await;
    let (right, aside) = (bench.root.path().join("store"), bench.root.path().join("aside"));
    std::fs::rename(&right, &aside).unwrap();
    Folder::new(&right).prepare().await.unwrap();
    tokio::time::sleep(OUTAGE).await;
    std::fs::remove_dir_all(&right).unwrap();
    std::fs::rename(&aside, &right).unwrap();
    all_succeed(&bench, &records, worker).await;
}
