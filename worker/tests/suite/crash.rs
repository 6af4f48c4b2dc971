//! Workers that are told to die.

use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde_json::Value;

use crate::bench::song;
use crate::processes::{MODEL, STEMS, Servers};

/// Until a song is done: longer than a lease and a reaping.
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_told_to_die_dies_as_if_killed_and_another_one_ends_its_song() {
    let site = Arc::new(Servers::start().await).site().await;
    let _rest = site.rest(1, "").await;
    let path = format!("/v2/jobs?model={MODEL}&format=wav");
    let sent =
        site.http.send(Method::POST, &path, &[("content-type", "audio/wav")], Bytes::from(song(40_000)));
    let job = sent.await.unwrap().header("location").to_owned();
    let mut doomed = site.worker_with("doomed", "", &["--simulate-crash-after=0.05"]);
    let status = doomed.ended().await.unwrap();
    assert_eq!(status.signal(), Some(9), "{status}");
    let _healthy = site.worker("healthy", "");
    let done = tokio::time::timeout(PATIENCE, async {
        loop {
            let job: Value = serde_json::from_slice(&site.http.get(&job).await.unwrap().body).unwrap();
            if job["state"] != "queued" && job["state"] != "running" {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let done = done.await.unwrap();
    assert_eq!(done["state"], "succeeded", "{done}");
    assert_eq!(done["stems"].as_array().unwrap().len(), STEMS.len());
}
