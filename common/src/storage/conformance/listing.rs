//! Listings.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, TryStreamExt};

use super::Subject;
use super::sample::bytes;
use crate::keys::{Bucket, ObjectKey};
use crate::storage::{Result, Store, Write};

/// Writes under way at once.
const WRITES: usize = 16;

async fn fill(store: &dyn Store, keys: &[ObjectKey]) -> Result<()> {
    stream::iter(keys.iter().map(Ok))
        .try_for_each_concurrent(WRITES, |key| async move {
            store.put(key, Bytes::copy_from_slice(key.path().as_bytes()), Write::Once).await.map(|_| ())
        })
        .await
}

/// All keys under a prefix, in pages of `limit`.
async fn paged(store: &dyn Store, prefix: &str, limit: usize) -> Result<Vec<ObjectKey>> {
    let mut keys: Vec<ObjectKey> = Vec::new();
    loop {
        let page = store.list(Bucket::Queue, prefix, keys.last().map(ObjectKey::path), limit).await?;
        assert!(
            page.objects.len() <= limit && (!page.more || page.objects.len() == limit),
            "{}",
            page.objects.len()
        );
        for (key, meta) in page.objects {
            assert_eq!(meta.size_bytes, key.path().len() as u64, "{key}");
            keys.push(key);
        }
        if !page.more {
            return Ok(keys);
        }
    }
}

pub(super) async fn pages_of_1205_keys(subject: Arc<Subject>) -> Result<()> {
    let keys: Vec<ObjectKey> = (0..1205)
        .map(|i| Subject::key("pages_of_1205_keys", &format!("{:02}/{:02}/{i:04}", i / 500, i / 50)))
        .collect();
    fill(&*subject.store, &keys).await?;
    let prefix = "conformance/pages_of_1205_keys/";
    for limit in [1000, 1, 301, 100] {
        if limit == 1 {
            assert_eq!(paged(&*subject.store, &format!("{prefix}02/24/"), 1).await?, keys[1200..]);
        } else {
            assert_eq!(paged(&*subject.store, prefix, limit).await?, keys, "pages of {limit}");
        }
    }
    let page = subject.store.list(Bucket::Queue, prefix, None, 1205).await?;
    assert_eq!((page.objects.len(), page.more), (1000, true));
    let page = subject.store.list(Bucket::Queue, prefix, None, 0).await?;
    assert_eq!((page.objects.len(), page.more), (1, true));
    let beyond = subject.store.list(Bucket::Queue, prefix, Some(keys[1204].path()), 10).await?;
    assert!(beyond.objects.is_empty() && !beyond.more, "{beyond:?}");
    Ok(())
}

pub(super) async fn a_listing_may_begin_anywhere(subject: Arc<Subject>) -> Result<()> {
    let names = ["00/00/0", "00/00/1", "00/01/2", "00/01/3", "01/00/4"];
    let keys = names.map(|name| Subject::key("a_listing_may_begin_anywhere", name));
    fill(&*subject.store, &keys).await?;
    let top = "conformance/a_listing_may_begin_anywhere/";
    for (after, next) in
        [("00/00/0", 1), ("00/00/00", 1), ("00/01", 2), ("00/01/", 2), ("", 0), ("01", 4), ("00/0", 0)]
    {
        let page = subject.store.list(Bucket::Queue, top, Some(&format!("{top}{after}")), 1).await?;
        assert_eq!(page.objects[0].0, keys[next], "after {after}");
    }
    Ok(())
}

pub(super) async fn listed_etags_are_those_of_the_objects(subject: Arc<Subject>) -> Result<()> {
    let key = Subject::key("listed_etags", "song");
    subject.store.put(&key, bytes(1, 10), Write::Replace).await?;
    let page = subject.store.list(Bucket::Queue, key.path(), None, 10).await?;
    let [(listed, meta)] = &page.objects[..] else { panic!("{page:?}") };
    let head = subject.store.head(&key).await?.map(|meta| meta.etag);
    assert_eq!((listed, Some(&meta.etag)), (&key, head.as_ref()));
    Ok(())
}

pub(super) async fn order_is_that_of_bytes(subject: Arc<Subject>) -> Result<()> {
    let names = ["a!b", "a-b", "a-b/c", "a.b", "a/b", "a/b!", "a/c/d", "a0", "aa/b", "B", "b", "é", "~"];
    let mut keys = names.map(|name| Subject::key("order_is_that_of_bytes", name));
    // Of a file and a folder of one name, a folder store keeps one.
    keys[2] = Subject::key("order_is_that_of_bytes", "a-c/c");
    fill(&*subject.store, &keys).await?;
    keys.sort_unstable();
    for limit in [1, 2, 3, 100] {
        let got = paged(&*subject.store, "conformance/order_is_that_of_bytes/", limit).await?;
        assert_eq!(got, keys, "pages of {limit}");
    }
    Ok(())
}

pub(super) async fn prefix_is_any_text(subject: Arc<Subject>) -> Result<()> {
    let names = ["pending/1", "pending/12", "pending/2/x", "pendinge", "other/pending/1"];
    let keys = names.map(|name| Subject::key("prefix_is_any_text", name));
    fill(&*subject.store, &keys).await?;
    let top = "conformance/prefix_is_any_text/";
    for (prefix, count) in
        [("pending/", 3), ("pending", 4), ("pending/1", 2), ("pending/2/", 1), ("p", 4), ("x", 0)]
    {
        let found = paged(&*subject.store, &format!("{top}{prefix}"), 2).await?;
        assert_eq!(found.len(), count, "{prefix}: {found:?}");
        assert!(found.iter().all(|key| key.path()[top.len()..].starts_with(prefix)), "{found:?}");
    }
    let up = subject.store.list(Bucket::Queue, "conformance/prefix_is_any_text/../", None, 10).await?;
    assert!(up.objects.is_empty(), "{up:?}");
    Ok(())
}

pub(super) async fn delete_prefix_takes_all_below(subject: Arc<Subject>) -> Result<()> {
    let gone: Vec<ObjectKey> =
        (0..1205).map(|i| Subject::key("delete_prefix", &format!("work/7/{}/{i}", i % 3))).collect();
    let kept = [Subject::key("delete_prefix", "work/77/1"), Subject::key("delete_prefix", "work/6")];
    fill(&*subject.store, &gone).await?;
    fill(&*subject.store, &kept).await?;
    let other = ObjectKey::listed(Bucket::Output, gone[0].path().to_owned());
    subject.store.put(&other, bytes(1, 1), Write::Replace).await?;
    let prefix = "conformance/delete_prefix/work/7/";
    assert_eq!(subject.store.delete_prefix(Bucket::Queue, prefix).await?, 1205);
    assert_eq!(subject.store.delete_prefix(Bucket::Queue, prefix).await?, 0);
    assert!(subject.store.list(Bucket::Queue, prefix, None, 1).await?.objects.is_empty());
    for key in kept.iter().chain([&other]) {
        assert!(subject.store.head(key).await?.is_some(), "{key}");
    }
    Ok(())
}
