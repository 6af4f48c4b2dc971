//! Copies.

use std::sync::Arc;

use bytes::Bytes;

use super::Subject;
use super::sample::{bytes, read, stored, stream, whole};
use crate::keys::{Bucket, ObjectKey};
use crate::storage::{Result, StoreError, Write, Written};

pub(super) async fn copy_replaces(subject: Arc<Subject>) -> Result<()> {
    let from = Subject::key("copy_replaces", "incoming/1");
    let to = ObjectKey::listed(Bucket::Output, "conformance/copy_replaces/song.mp3".to_owned());
    subject.store.put(&from, bytes(1, 100_000), Write::Replace).await?;
    subject.store.put(&to, bytes(2, 10), Write::Replace).await?;
    let copied = stored(&subject, &to, subject.store.copy(&from, &to, Write::Replace)).await?;
    assert_eq!(copied.size_bytes, 100_000);
    subject.store.delete(&from).await?;
    assert_eq!(read(&*subject.store, &to, None).await?, bytes(1, 100_000));
    Ok(())
}

pub(super) async fn copy_once_keeps_the_first(subject: Arc<Subject>) -> Result<()> {
    let key = |name: &str| Subject::key("copy_once_keeps_the_first", name);
    for (name, body) in [("small", bytes(1, 9)), ("empty", Bytes::new())] {
        let (from, to) = (key(&format!("from-{name}")), key(&format!("to-{name}")));
        subject.store.put(&from, body.clone(), Write::Replace).await?;
        let copied = stored(&subject, &to, subject.store.copy(&from, &to, Write::Once)).await?;
        assert_eq!(read(&*subject.store, &to, None).await?, body);
        subject.store.put(&from, bytes(2, 50), Write::Replace).await?;
        assert_eq!(subject.store.copy(&from, &to, Write::Once).await?, Written::Exists);
        assert_eq!(subject.store.head(&to).await?, Some(copied));
    }
    assert_eq!((subject.leftovers)().await, 0);
    Ok(())
}

pub(super) async fn copy_of_nothing(subject: Arc<Subject>) -> Result<()> {
    let (from, to) = (Subject::key("copy_of_nothing", "from"), Subject::key("copy_of_nothing", "to"));
    for write in [Write::Once, Write::Replace] {
        let failed = subject.store.copy(&from, &to, write).await;
        assert!(matches!(&failed, Err(StoreError::NotFound(key)) if *key == from), "{failed:?}");
    }
    assert_eq!(subject.store.head(&to).await?, None);
    assert_eq!((subject.leftovers)().await, 0);
    Ok(())
}

pub(super) async fn copy_of_many_parts(subject: Arc<Subject>) -> Result<()> {
    let (from, to) = (Subject::key("copy_of_many_parts", "from"), Subject::key("copy_of_many_parts", "to"));
    subject.store.put_stream(&from, stream(8, 12, 1 << 20), Write::Replace).await?;
    for write in [Write::Once, Write::Replace] {
        stored(&subject, &to, subject.store.copy(&from, &to, write)).await?;
        assert!(read(&*subject.store, &to, None).await? == whole(8, 12, 1 << 20), "the copy differs");
    }
    Ok(())
}
