//! Single objects.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::Subject;
use super::sample::{bytes, read, stored};
use crate::keys::{Bucket, ObjectKey};
use crate::storage::{Result, StoreError, Write, Written};

pub(super) async fn round_trip(subject: Arc<Subject>) -> Result<()> {
    for bucket in [Bucket::Queue, Bucket::Output] {
        let key = ObjectKey::listed(bucket, "conformance/round_trip/song.mp3".to_owned());
        let body = bytes(1, 100_000);
        assert_eq!(subject.store.head(&key).await?, None);
        assert!(
            matches!(subject.store.get(&key, None).await, Err(StoreError::NotFound(missing)) if missing == key)
        );
        let written = stored(&subject, &key, subject.store.put(&key, body.clone(), Write::Replace)).await?;
        assert_eq!(written.size_bytes, 100_000);
        assert!(!written.etag.is_empty() && !written.etag.contains('"'), "{}", written.etag);
        let age = SystemTime::now().duration_since(written.modified).unwrap_or_default();
        assert!(age < Duration::from_mins(1), "{age:?}");
        let object = subject.store.get(&key, None).await?;
        assert_eq!((object.meta, object.range), (written, 0..100_000));
        assert_eq!(read(&*subject.store, &key, None).await?, body);
        subject.store.delete(&key).await?;
        assert_eq!(subject.store.head(&key).await?, None);
    }
    Ok(())
}

pub(super) async fn empty_object(subject: Arc<Subject>) -> Result<()> {
    let key = Subject::key("empty_object", "mark");
    assert_eq!(
        stored(&subject, &key, subject.store.put(&key, Bytes::new(), Write::Once)).await?.size_bytes,
        0
    );
    assert_eq!(subject.store.head(&key).await?.map(|meta| meta.size_bytes), Some(0));
    for range in [None, Some(0..10), Some(5..6)] {
        let object = subject.store.get(&key, range).await?;
        assert_eq!(object.range, 0..0);
        assert!(super::sample::collect(object.body).await?.is_empty());
    }
    assert_eq!(subject.store.put(&key, bytes(1, 3), Write::Once).await?, Written::Exists);
    Ok(())
}

pub(super) async fn ranges(subject: Arc<Subject>) -> Result<()> {
    let key = Subject::key("ranges", "song");
    let body = bytes(2, 1_000_003);
    let size = body.len() as u64;
    subject.store.put(&key, body.clone(), Write::Replace).await?;
    for (asked, given) in [
        (0..size, 0..size),
        (0..1, 0..1),
        (size - 1..size, size - 1..size),
        (300_000..700_001, 300_000..700_001),
        (999_999..2_000_000, 999_999..size),
        (7..u64::MAX, 7..size),
        (0..0, 0..0),
        (5..5, 5..5),
        (size..size + 1, size..size),
        (size + 9..size + 99, size..size),
    ] {
        let object = subject.store.get(&key, Some(asked.clone())).await?;
        assert_eq!((object.range, object.meta.size_bytes), (given.clone(), size), "{asked:?}");
        let got = super::sample::collect(object.body).await?;
        assert_eq!(got, body.slice(given.start as usize..given.end as usize), "{asked:?}");
    }
    let missing = Subject::key("ranges", "nothing");
    for range in [0..0, 0..9, 9..10] {
        let got = subject.store.get(&missing, Some(range)).await;
        assert!(matches!(got, Err(StoreError::NotFound(_))), "{got:?}");
    }
    Ok(())
}

pub(super) async fn once_keeps_the_first(subject: Arc<Subject>) -> Result<()> {
    let key = Subject::key("once_keeps_the_first", "manifest.json");
    let first = stored(&subject, &key, subject.store.put(&key, bytes(1, 10), Write::Once)).await?;
    assert_eq!(subject.store.put(&key, bytes(2, 10), Write::Once).await?, Written::Exists);
    let streamed = super::sample::stream(3, 7, 1 << 20);
    assert_eq!(subject.store.put_stream(&key, streamed, Write::Once).await?, Written::Exists);
    assert_eq!(subject.store.head(&key).await?, Some(first));
    assert_eq!(read(&*subject.store, &key, None).await?, bytes(1, 10));
    subject.store.delete(&key).await?;
    stored(&subject, &key, subject.store.put(&key, bytes(2, 10), Write::Once)).await?;
    assert_eq!((subject.leftovers)().await, 0);
    Ok(())
}

pub(super) async fn replace_changes_the_etag(subject: Arc<Subject>) -> Result<()> {
    let key = Subject::key("replace_changes_the_etag", "song");
    let mut seen = Vec::new();
    for seed in 1..=20 {
        let written =
            stored(&subject, &key, subject.store.put(&key, bytes(seed, 64), Write::Replace)).await?;
        assert!(!seen.contains(&written.etag), "etag {} came twice", written.etag);
        seen.push(written.etag);
    }
    Ok(())
}

pub(super) async fn delete_twice(subject: Arc<Subject>) -> Result<()> {
    let key = Subject::key("delete_twice", "a/b/c");
    subject.store.delete(&key).await?;
    subject.store.put(&key, bytes(1, 1), Write::Replace).await?;
    subject.store.delete(&key).await?;
    subject.store.delete(&key).await?;
    assert_eq!(subject.store.head(&key).await?, None);
    Ok(())
}

pub(super) async fn awkward_keys(subject: Arc<Subject>) -> Result<()> {
    let names = [
        "a b",
        "a+b",
        "a%20b",
        "a%2Fb",
        "a&b=c",
        "a?b",
        "a#b",
        "ü/日本語",
        "~!*'()@$;:,",
        "...",
        ".hidden",
        "..a",
        "a..",
        "\"quoted\"",
        "<xml>&amp;",
        "emoji 🎸",
        "UPPER",
        "upper",
    ];
    for (seed, name) in (0..).zip(names) {
        let key = Subject::key("awkward_keys", name);
        assert_ne!(subject.store.put(&key, bytes(seed, 9), Write::Once).await?, Written::Exists, "{name:?}");
    }
    for (seed, name) in (0..).zip(names) {
        let key = Subject::key("awkward_keys", name);
        assert_eq!(read(&*subject.store, &key, None).await?, bytes(seed, 9), "{name:?}");
    }
    let page = subject.store.list(Bucket::Queue, "conformance/awkward_keys/", None, 1000).await?;
    let mut wanted = names.map(|name| Subject::key("awkward_keys", name));
    wanted.sort_unstable();
    assert_eq!(page.objects.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), wanted);
    for name in names {
        let (key, to) = (Subject::key("awkward_keys", name), Subject::key("awkward_copies", name));
        stored(&subject, &to, subject.store.copy(&key, &to, Write::Once)).await?;
        subject.store.delete(&key).await?;
        assert_eq!(subject.store.head(&key).await?, None, "{name:?}");
    }
    Ok(())
}

pub(super) async fn long_keys(subject: Arc<Subject>) -> Result<()> {
    for name in ["f".repeat(255), format!("{}/{}/{}/x", "a".repeat(255), "b".repeat(255), "c".repeat(255))] {
        let key = Subject::key("long_keys", &name);
        stored(&subject, &key, subject.store.put(&key, bytes(1, 9), Write::Once)).await?;
        assert_eq!(read(&*subject.store, &key, None).await?, bytes(1, 9));
    }
    Ok(())
}

pub(super) async fn bad_keys_are_refused(subject: Arc<Subject>) -> Result<()> {
    let long = "a".repeat(256);
    let good = Subject::key("bad_keys_are_refused", "good");
    for path in
        ["", "/", "/etc/passwd", "../up", "a/../../up", "a//b", "a/", "./a", "a\0b", "a\nb", "a\\b", &long]
    {
        let key = ObjectKey::listed(Bucket::Output, path.to_owned());
        let refused = |error: Option<StoreError>| {
            assert!(matches!(error, Some(StoreError::Refused(_))), "{path:?}: {error:?}");
        };
        refused(subject.store.put(&key, Bytes::new(), Write::Replace).await.err());
        refused(subject.store.put_stream(&key, super::sample::stream(1, 1, 1), Write::Once).await.err());
        refused(subject.store.get(&key, None).await.err());
        refused(subject.store.head(&key).await.err());
        refused(subject.store.delete(&key).await.err());
        refused(subject.store.copy(&good, &key, Write::Once).await.err());
        refused(subject.store.copy(&key, &good, Write::Once).await.err());
    }
    Ok(())
}
