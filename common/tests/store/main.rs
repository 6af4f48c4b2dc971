//! Every store against the same checks: a folder, `SeaweedFS`, and an S3 server in this process.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod forgetful;
mod s3s_server;

use std::sync::Arc;

use common::storage::Store;
use common::storage::conformance::{Subject, names, run};
use common::storage::fs::Folder;
use common::storage::s3::{AccessKeys, S3, S3Config};
use common::testing::seaweed::Server;

/// Keys of the servers of these tests.
const ACCESS_KEY: &str = "test-access";
const SECRET_KEY: &str = "test-secret-0123456789";

/// A client of a server on this machine.
async fn client(port: u16) -> S3 {
    let keys = AccessKeys { access_key: ACCESS_KEY.into(), secret_key: SECRET_KEY.into() };
    let endpoint = Some(format!("http://127.0.0.1:{port}"));
    S3::new(S3Config { endpoint, keys: Some(keys), ..S3Config::default() }).await.unwrap()
}

/// Checks that `SeaweedFS` 4.48 does not pass.
const SEAWEED_LEAVES_OUT: &[&str] = &[
    // Two completions at the same moment both succeed, though a later one is refused as it should be; the object
    // is then that of the last one, whole. Single writes and copies are decided properly.
    "one_of_eight_streams_wins",
    // It lists folders: `a/b` before `a-b`, and nothing of the folder `a` after `a`.
    "order_is_that_of_bytes",
    "a_listing_may_begin_anywhere",
];

/// Runs all checks but those that a store is known not to pass.
#[expect(clippy::print_stdout, reason = "what each check took is of interest where a test prints")]
async fn conforms(subject: Subject, left_out: &[&str]) {
    for name in left_out {
        assert!(names().any(|known| known == *name), "there is no check {name}");
    }
    // For one check: MSAAS_TEST_CHECK=signed_get cargo nextest run -p common store
    let only = std::env::var("MSAAS_TEST_CHECK").ok();
    let report = run(&Arc::new(subject), |name| {
        !left_out.contains(&name) && only.as_ref().is_none_or(|only| name.contains(only))
    })
    .await;
    println!("{report}");
    assert!(report.passed(), "\n{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_conforms() {
    let root = tempfile::tempdir().unwrap();
    let store = Folder::new(root.path());
    store.prepare().await.unwrap();
    let partial = root.path().join(".partial");
    let leftovers = move || {
        let count = std::fs::read_dir(&partial).unwrap().count();
        async move { count }
    };
    conforms(Subject::new(Arc::new(store), leftovers), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seaweed_conforms() {
    let server = Server::start();
    let store = S3::new(server.config()).await.unwrap();
    server.prepared(&store).await;
    let watched = store.clone();
    let leftovers = move || {
        let store = watched.clone();
        async move { store.open_uploads().await.unwrap() }
    };
    conforms(Subject::new(Arc::new(store), leftovers), SEAWEED_LEAVES_OUT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3s_conforms() {
    let server = s3s_server::Server::start(s3s_server::Forgets::Nothing).await;
    let store = client(server.port()).await;
    store.prepare().await.unwrap();
    let root = server.root().to_owned();
    let leftovers = move || {
        let open = s3s_server::open_uploads(&root);
        async move { open }
    };
    conforms(Subject::new(Arc::new(store), leftovers), s3s_server::LEFT_OUT).await;
}
