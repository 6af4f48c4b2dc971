//! Several writers and readers of one object.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::future::join_all;

use super::Subject;
use super::sample::{bytes, read, stream, whole};
use crate::keys::ObjectKey;
use crate::storage::{Result, StoreError, Write, Written};

pub(super) async fn one_of_sixteen_writers_wins(subject: Arc<Subject>) -> Result<()> {
    for round in 0..2 {
        let key = Subject::key("one_of_sixteen_writers_wins", &round.to_string());
        let candidates: Vec<Bytes> = (0..16).map(|seed| bytes(seed, 50_000)).collect();
        let writes = candidates.iter().cloned().map(|body| {
            let (subject, key) = (Arc::clone(&subject), key.clone());
            tokio::spawn(async move { subject.store.put(&key, body, Write::Once).await })
        });
        one_wins(&subject, &key, join_all(writes), &candidates, true).await?;
    }
    Ok(())
}

pub(super) async fn one_of_eight_streams_wins(subject: Arc<Subject>) -> Result<()> {
    eight_streams(&subject, &Subject::key("one_of_eight_streams_wins", "song"), true).await
}

/// What must hold even where the last of two writers wins.
pub(super) async fn racing_streams_never_mix(subject: Arc<Subject>) -> Result<()> {
    eight_streams(&subject, &Subject::key("racing_streams_never_mix", "song"), false).await
}

async fn eight_streams(subject: &Arc<Subject>, key: &ObjectKey, strict: bool) -> Result<()> {
    let candidates: Vec<Bytes> = (0..8).map(|seed| whole(100 * seed, 6, 1 << 20)).collect();
    let writes = (0..8).map(|seed| {
        let (subject, key) = (Arc::clone(subject), key.clone());
        let body = stream(100 * seed, 6, 1 << 20);
        tokio::spawn(async move { subject.store.put_stream(&key, body, Write::Once).await })
    });
    one_wins(subject, key, join_all(writes), &candidates, strict).await?;
    assert_eq!((subject.leftovers)().await, 0);
    Ok(())
}

pub(super) async fn one_of_eight_copies_wins(subject: Arc<Subject>) -> Result<()> {
    let key = |name: String| Subject::key("one_of_eight_copies_wins", &name);
    let candidates: Vec<Bytes> = (0..8).map(|seed| bytes(seed, 70_000)).collect();
    let sources: Vec<ObjectKey> = (0..8).map(|seed| key(format!("from-{seed}"))).collect();
    for (source, body) in sources.iter().zip(&candidates) {
        subject.store.put(source, body.clone(), Write::Replace).await?;
    }
    for round in 0..2 {
        let to = key(format!("to-{round}"));
        let writes = sources.iter().cloned().map(|source| {
            let (subject, to) = (Arc::clone(&subject), to.clone());
            tokio::spawn(async move { subject.store.copy(&source, &to, Write::Once).await })
        });
        one_wins(&subject, &to, join_all(writes), &candidates, true).await?;
    }
    assert_eq!((subject.leftovers)().await, 0);
    Ok(())
}

type Writes = Vec<std::result::Result<Result<Written>, tokio::task::JoinError>>;

/// Reads while `writes` run: whatever is there, first or last, is whole, and if `strict` that of the only winner.
async fn one_wins(
    subject: &Subject,
    key: &ObjectKey,
    writes: impl Future<Output = Writes>,
    candidates: &[Bytes],
    strict: bool,
) -> Result<()> {
    let ended = AtomicBool::new(false);
    let watch = async {
        let mut seen: Vec<Bytes> = Vec::new();
        while !ended.load(Ordering::SeqCst) {
            match read(&*subject.store, key, None).await {
                Ok(body) if seen.contains(&body) => {}
                Ok(body) => seen.push(body),
                Err(StoreError::NotFound(_)) => assert!(seen.is_empty(), "the object vanished"),
                Err(error) => return Err(error),
            }
        }
        Ok(seen)
    };
    let write = async {
        let writes = writes.await;
        ended.store(true, Ordering::SeqCst);
        writes
    };
    let (seen, writes) = tokio::join!(watch, write);
    let last = read(&*subject.store, key, None).await?;
    let seen = seen?;
    assert!(candidates.contains(&last), "a mixture is stored");
    assert!(seen.iter().all(|body| candidates.contains(body)), "a mixture was visible");
    let mut winners = Vec::new();
    for (written, body) in writes.into_iter().zip(candidates) {
        match written.map_err(|error| StoreError::Unavailable(error.to_string()))?? {
            Written::Stored => winners.push(body),
            Written::Exists => {}
        }
    }
    assert!(winners.contains(&&last), "what is stored is not what a winner wrote");
    if strict {
        assert_eq!(winners.len(), 1, "writers that won");
        assert!(seen.iter().all(|body| *body == last), "bytes of a loser were visible");
    }
    Ok(())
}

pub(super) async fn readers_see_old_or_new(subject: Arc<Subject>) -> Result<()> {
    let key = Subject::key("readers_see_old_or_new", "song");
    let versions = [bytes(1, 2_000_000), bytes(2, 1_500_000)];
    subject.store.put(&key, versions[0].clone(), Write::Replace).await?;
    let ended = Arc::new(AtomicBool::new(false));
    let readers = (0..4).map(|_| {
        let (subject, key, versions, ended) =
            (Arc::clone(&subject), key.clone(), versions.clone(), Arc::clone(&ended));
        tokio::spawn(async move {
            let mut reads = 0;
            while !ended.load(Ordering::SeqCst) {
                let body = read(&*subject.store, &key, None).await?;
                assert!(versions.contains(&body), "a mixture of {} bytes", body.len());
                reads += 1;
            }
            Ok::<usize, StoreError>(reads)
        })
    });
    let readers: Vec<_> = readers.collect();
    for round in 1..=20 {
        let body = versions[round % 2].clone();
        if round % 3 == 0 {
            let pieces: Vec<_> = body.chunks(99_999).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            let body = Box::pin(futures_util::stream::iter(pieces));
            subject.store.put_stream(&key, body, Write::Replace).await?;
        } else {
            subject.store.put(&key, body, Write::Replace).await?;
        }
    }
    ended.store(true, Ordering::SeqCst);
    for reader in readers {
        let reads = reader.await.map_err(|error| StoreError::Unavailable(error.to_string()))??;
        assert!(reads > 0, "a reader that read nothing");
    }
    Ok(())
}
