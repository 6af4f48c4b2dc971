//! Objects of unknown length.

use std::io;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::Notify;

use super::Subject;
use super::sample::{bytes, eventually, read, stored, stream, whole};
use crate::keys::{Bucket, ObjectKey};
use crate::storage::{ByteStream, Result, Store, StoreError, Write};

const MIB: usize = 1 << 20;

/// Memory that an upload of any length may take in KiB: a part that is gathered, three under way, and the
/// growth of buffers.
const MEMORY_KIB: u64 = 32 << 10;

pub(super) async fn short_stream(subject: Arc<Subject>) -> Result<()> {
    for (pieces, size) in [(0, 1), (1, 0), (3, 7), (1, 5 * MIB), (5, MIB), (11, MIB / 2 - 1)] {
        let key = Subject::key("short_stream", &format!("{pieces}-{size}"));
        let written =
            stored(&subject, &key, subject.store.put_stream(&key, stream(4, pieces, size), Write::Once))
                .await?;
        assert_eq!(written.size_bytes, pieces * size as u64);
        assert_eq!(read(&*subject.store, &key, None).await?, whole(4, pieces, size));
    }
    Ok(())
}

pub(super) async fn long_stream_in_bounded_memory(subject: Arc<Subject>) -> Result<()> {
    let key = Subject::key("long_stream_in_bounded_memory", "song");
    let (pieces, size) = (160, MIB / 4 + 1);
    let before = Memory::watch();
    let written =
        stored(&subject, &key, subject.store.put_stream(&key, stream(5, pieces, size), Write::Once)).await?;
    let object = subject.store.get(&key, None).await?;
    assert_eq!(written.size_bytes, pieces * size as u64);
    assert_eq!(object.meta, written);
    let (mut body, mut at, mut piece) = (object.body, 0, bytes(5, size));
    while let Some(got) = body.try_next().await.map_err(StoreError::Source)? {
        for byte in got {
            if at % size == 0 {
                piece = bytes(5 + (at / size) as u64, size);
            }
            assert!(byte == piece[at % size], "byte {at} differs");
            at += 1;
        }
    }
    assert_eq!(at as u64, written.size_bytes);
    if let Some(grown_kib) = before.grown_kib() {
        assert!(grown_kib < MEMORY_KIB, "{grown_kib} KiB more memory for {} KiB", written.size_bytes >> 10);
    }
    Ok(())
}

pub(super) async fn failing_stream_leaves_nothing(subject: Arc<Subject>) -> Result<()> {
    for (pieces, write) in [(0, Write::Once), (1, Write::Once), (12, Write::Once), (12, Write::Replace)] {
        let key = Subject::key("failing_stream_leaves_nothing", &format!("{pieces}-{write:?}"));
        if write == Write::Replace {
            subject.store.put(&key, bytes(1, 9), write).await?;
        }
        let before = subject.store.head(&key).await?;
        let broken = stream(6, pieces, MIB)
            .chain(stream::once(async { Err(io::Error::other("the client went away")) }))
            .chain(stream(6, 9, MIB));
        let failed = subject.store.put_stream(&key, broken.boxed(), write).await;
        assert!(
            matches!(&failed, Err(StoreError::Source(cause)) if cause.to_string() == "the client went away"),
            "{failed:?}"
        );
        assert_eq!(subject.store.head(&key).await?, before);
        assert_eq!((subject.leftovers)().await, 0);
    }
    Ok(())
}

pub(super) async fn dropped_write_leaves_nothing(subject: Arc<Subject>) -> Result<()> {
    for pieces in [0, 1, 12] {
        let key = Subject::key("dropped_write_leaves_nothing", &pieces.to_string());
        dropped(&*subject.store, &key, pieces).await;
        let leftovers = || (subject.leftovers)();
        eventually("what a dropped write leaves is removed", || async { leftovers().await == 0 }).await;
        assert_eq!(subject.store.head(&key).await?, None);
    }
    let page = subject.store.list(Bucket::Queue, "conformance/dropped_write", None, 10).await?;
    assert!(page.objects.is_empty(), "{page:?}");
    Ok(())
}

/// Begins a write whose stream stops in the middle, and drops it there.
async fn dropped(store: &dyn Store, key: &ObjectKey, pieces: u64) {
    let reached = Arc::new(Notify::new());
    let signal = Arc::clone(&reached);
    let stuck: ByteStream = stream(7, pieces, MIB)
        .chain(stream::once(async move {
            signal.notify_one();
            std::future::pending().await
        }))
        .boxed();
    tokio::select! {
        done = store.put_stream(key, stuck, Write::Once) => panic!("a write ended before its stream: {done:?}"),
        () = reached.notified() => {}
    }
}

/// The most memory that this process held since a moment.
struct Memory {
    before_kib: Option<u64>,
}

impl Memory {
    /// Begins to watch; none where the system does not say.
    fn watch() -> Self {
        let reset = std::fs::write("/proc/self/clear_refs", "5").is_ok();
        Self { before_kib: peak_kib().filter(|_| reset) }
    }

    fn grown_kib(&self) -> Option<u64> {
        Some(peak_kib()?.saturating_sub(self.before_kib?))
    }
}

fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
