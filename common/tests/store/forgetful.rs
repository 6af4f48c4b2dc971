//! What start-up says of servers and folders that do not keep their promises.

use std::time::Duration;

use common::storage::fs::Folder;
use common::storage::s3::{AccessKeys, S3, S3Config};
use common::storage::{Retry, Signed, Store, StoreError, Write};
use common::{Bucket, Epoch, ObjectKey};

use crate::s3s_server::{Forgets, Server};
use crate::{ACCESS_KEY, client};

async fn sentence(forgets: Forgets) -> String {
    let server = Server::start(forgets).await;
    let store = client(server.port()).await;
    let sentence = match store.prepare().await {
        Err(StoreError::Refused(sentence)) => sentence,
        other => panic!("{other:?}"),
    };
    let left = store.list(Bucket::Queue, "", None, 10).await.unwrap();
    assert!(left.objects.is_empty(), "the probe left {left:?}");
    sentence
}

#[tokio::test]
async fn a_server_that_ignores_the_condition_of_a_put_is_refused() {
    let sentence = sentence(Forgets::OnPut).await;
    assert!(sentence.contains("does not honour If-None-Match on PutObject"), "{sentence}");
}

#[tokio::test]
async fn a_server_that_ignores_the_condition_of_a_completion_is_refused() {
    let sentence = sentence(Forgets::OnComplete).await;
    assert!(sentence.contains("does not honour If-None-Match on CompleteMultipartUpload"), "{sentence}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_worth_another_try() {
    let keys = AccessKeys { access_key: ACCESS_KEY.into(), secret_key: "x".into() };
    // Port 1 is nobody's.
    let endpoint = Some("http://127.0.0.1:1".to_owned());
    let store =
        S3::new(S3Config { endpoint, keys: Some(keys), tries: 1, ..S3Config::default() }).await.unwrap();
    let error = store.prepare().await.unwrap_err();
    assert_eq!(error.retry(), Retry::Soon, "{error}");
    assert!(error.to_string().starts_with("the store cannot be used: "), "{error}");
}

#[tokio::test]
async fn wrong_keys_and_addresses_are_refused_and_not_shown() {
    let server = Server::start(Forgets::Nothing).await;
    let keys = AccessKeys { access_key: ACCESS_KEY.into(), secret_key: "not-the-secret".into() };
    let endpoint = Some(format!("http://127.0.0.1:{}", server.port()));
    let store = S3::new(S3Config { endpoint, keys: Some(keys), ..S3Config::default() }).await.unwrap();
    assert!(!format!("{store:?}").contains("not-the-secret"));
    let error = store.put(&ObjectKey::epoch(Epoch(1)), "x".into(), Write::Once).await.unwrap_err();
    assert_eq!(error.retry(), Retry::Never, "{error}");
    assert!(!error.to_string().contains("not-the-secret"), "{error}");
    let endpoint = Some("minio:9000".to_owned());
    let refused = S3::new(S3Config { endpoint, ..S3Config::default() }).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
}

#[tokio::test]
async fn links_lead_to_the_public_address() {
    let keys = AccessKeys { access_key: ACCESS_KEY.into(), secret_key: "x".into() };
    let config = S3Config {
        endpoint: Some("http://minio:9000".to_owned()),
        public_endpoint: Some("https://files.example.org".to_owned()),
        keys: Some(keys),
        output_bucket: "stems".to_owned(),
        ..S3Config::default()
    };
    let store = S3::new(config).await.unwrap();
    let key = ObjectKey::listed(Bucket::Output, "a b.mp3".to_owned());
    let link = store.sign(&key, Signed::Get, Duration::from_mins(1), None).await.unwrap().unwrap();
    assert!(link.starts_with("https://files.example.org/stems/a%20b.mp3?"), "{link}");
    assert!(link.contains("X-Amz-Expires=60"), "{link}");
}

#[tokio::test]
async fn a_folder_forgets_what_a_crash_left_and_keeps_what_is_being_written() {
    let root = tempfile::tempdir().unwrap();
    let store = Folder::new(root.path().join("deep/store"));
    store.prepare().await.unwrap();
    let partial = root.path().join("deep/store/.partial");
    std::fs::write(partial.join("dead"), "x").unwrap();
    let alive = std::fs::File::create(partial.join("alive")).unwrap();
    alive.lock().unwrap();
    store.prepare().await.unwrap();
    let names: Vec<_> = std::fs::read_dir(partial).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["alive"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_starts_takes_nothing_from_those_that_write() {
    let root = tempfile::tempdir().unwrap();
    let store = Folder::new(root.path());
    store.prepare().await.unwrap();
    let others: Vec<_> = (0..2)
        .map(|_| {
            let other = Folder::new(root.path());
            tokio::spawn(async move {
                for _ in 0..100 {
                    other.prepare().await.unwrap();
                }
            })
        })
        .collect();
    let mut number = 0;
    while !others.iter().all(tokio::task::JoinHandle::is_finished) {
        number += 1;
        let key = ObjectKey::listed(Bucket::Queue, number.to_string());
        store.put(&key, "x".into(), Write::Once).await.unwrap();
    }
    for other in others {
        other.await.unwrap();
    }
}

#[tokio::test]
async fn a_folder_keeps_no_empty_folders_and_refuses_names_of_folders() {
    let root = tempfile::tempdir().unwrap();
    let store = Folder::new(root.path());
    store.prepare().await.unwrap();
    let key = |path: &str| ObjectKey::listed(Bucket::Queue, path.to_owned());
    store.put(&key("a/b/c"), "x".into(), Write::Once).await.unwrap();
    for (path, write) in [("a/b", Write::Once), ("a/b", Write::Replace), ("a/b/c/d", Write::Once)] {
        let refused = store.put(&key(path), "x".into(), write).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{path}: {refused:?}");
    }
    assert_eq!(store.head(&key("a/b")).await.unwrap(), None);
    store.delete(&key("a/b")).await.unwrap();
    store.delete(&key("a/b/c")).await.unwrap();
    assert_eq!(std::fs::read_dir(root.path().join("queue")).unwrap().count(), 0);
    let unprepared = Folder::new(root.path().join("elsewhere"));
    let refused = unprepared.put(&key("a"), "x".into(), Write::Once).await;
    assert!(
        matches!(&refused, Err(StoreError::Refused(text)) if text.contains("not prepared")),
        "{refused:?}"
    );
    let nowhere = Folder::new("/proc/nowhere");
    assert!(matches!(nowhere.prepare().await, Err(StoreError::Refused(_))));
}
