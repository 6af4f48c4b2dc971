//! Bytes to store, and what to do with them.

use std::future::Future;
use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::Subject;
use crate::keys::ObjectKey;
use crate::storage::{ByteStream, Meta, Result, Store, StoreError, Written};

/// Time that anything may take to come true.
const PATIENCE: Duration = Duration::from_secs(30);

/// `size` bytes that differ from those of another `seed`, and from themselves a little later.
pub(super) fn bytes(seed: u64, size: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let mut bytes = BytesMut::with_capacity(size + 8);
    words.take(size.div_ceil(8)).for_each(|word| bytes.extend_from_slice(&word));
    bytes.truncate(size);
    bytes.freeze()
}

/// `pieces` pieces of `size` bytes, each made when it is asked for.
pub(super) fn stream(seed: u64, pieces: u64, size: usize) -> ByteStream {
    stream::iter(0..pieces).map(move |piece| Ok(bytes(seed + piece, size))).boxed()
}

/// What [`stream`] brings.
pub(super) fn whole(seed: u64, pieces: u64, size: usize) -> Bytes {
    let mut all = BytesMut::new();
    (0..pieces).for_each(|piece| all.extend_from_slice(&bytes(seed + piece, size)));
    all.freeze()
}

/// All that a stream brings.
pub(super) async fn collect(body: ByteStream) -> Result<Bytes> {
    let all = body.try_fold(BytesMut::new(), |mut all, piece| async move {
        all.extend_from_slice(&piece);
        Ok::<_, io::Error>(all)
    });
    all.await.map(BytesMut::freeze).map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// A range of an object, or all of it.
pub(super) async fn read(store: &dyn Store, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Bytes> {
    collect(store.get(key, range).await?.body).await
}

/// What is known of an object once it is stored, which it must not have been before.
pub(super) async fn stored(
    subject: &Subject,
    key: &ObjectKey,
    write: impl Future<Output = Result<Written>>,
) -> Result<Meta> {
    assert_eq!(write.await?, Written::Stored, "there was an object at {key} already");
    subject.store.head(key).await?.ok_or_else(|| StoreError::NotFound(key.clone()))
}

/// Asks until the answer is yes, and gives up after a while.
pub(super) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "{what}: not after {PATIENCE:?}");
        tokio::task::yield_now().await;
    }
}
