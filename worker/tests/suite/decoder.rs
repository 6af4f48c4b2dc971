//! What a decoder does to its process it does not do to the worker.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::job::Ending;
use common::queue::State;

use crate::bench::{Bench, song};

/// A decoder that does `what` first where the song says `spell`, and else decodes.
fn cursed(dir: &Path, spell: &str, what: &str) -> PathBuf {
    let path = dir.join("decoder.sh");
    let worker = env!("CARGO_BIN_EXE_worker");
    let script = format!("#!/bin/sh\nif grep -q {spell} /dev/stdin; then {what}; fi\nexec {worker} \"$@\"\n");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_song_that_brings_its_decoder_down_is_given_up_and_the_next_one_separated() {
    let bench = Bench::new().await;
    let bad = bench.submit(bench.store_song(b"abracadabra".repeat(99)).await).await;
    let worker = bench.worker_with_decoder(None, cursed(bench.root.path(), "abracadabra", "kill -SEGV $$"));
    let manifest = bench.end_of(&bad).await;
    assert!(matches!(manifest.ending, Ending::Failed { .. }), "{manifest:?}");
    let dead = bench.ledger.queue().dead(10).await.unwrap();
    assert!(dead[0].reason.contains("the decoder died"), "{dead:?}");
    let good = bench.submit(bench.store_song(song(3000)).await).await;
    assert!(matches!(bench.end_of(&good).await.ending, Ending::Succeeded { .. }));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decoder_that_hangs_is_ended_and_the_worker_goes_on() {
    let bench = Bench::new().await;
    let bad = bench.submit(bench.store_song(b"abracadabra".repeat(99)).await).await;
    let pids = bench.root.path().join("pids");
    let hang = format!("echo $$ >> {}; exec sleep 1000", pids.display());
    let worker = bench.worker_with_decoder(None, cursed(bench.root.path(), "abracadabra", &hang));
    let of_two = || std::fs::read_to_string(&pids).is_ok_and(|pids| pids.lines().count() >= 2);
    tokio::time::timeout(Duration::from_mins(1), async {
        while !of_two() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
    let first = std::fs::read_to_string(&pids).unwrap().lines().next().unwrap().to_owned();
    assert!(!Path::new("/proc").join(first).exists(), "the first attempt's process is gone");
    bench.ledger.cancel(&bad).await.unwrap();
    assert_eq!(bench.ledger.view(&bad).await.unwrap().state, State::Canceled);
    let good = bench.submit(bench.store_song(song(3000)).await).await;
    assert!(matches!(bench.end_of(&good).await.ending, Ending::Succeeded { .. }));
    worker.stop().await;
    let last = std::fs::read_to_string(&pids).unwrap().lines().last().unwrap().to_owned();
    assert!(!Path::new("/proc").join(last).exists(), "the last attempt's process is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_file_with_a_name_is_left_in_work() {
    let bench = Bench::new().await;
    let one = bench.submit(bench.store_song(song(20_000)).await).await;
    let worker = bench.worker(Some(4));
    while bench.ledger.view(&one).await.unwrap().progress.segments_done == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut names: Vec<_> =
        std::fs::read_dir(bench.root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["models", "small.safetensors", "store"]);
    bench.end_of(&one).await;
    worker.stop().await;
}
