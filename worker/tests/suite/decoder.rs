//! What a decoder does to its process it does not do to the worker.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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

/// A decoder at work on two hours of silence, as the child of a shell that tells its number.
fn at_work(dir: &Path) -> (Child, PathBuf) {
    let song = dir.join("long.wav");
    let size: u32 = 1 << 30;
    let mut header =
        b"RIFF....WAVEfmt \x10\0\0\0\x01\0\x02\0\x44\xac\0\0\x10\xb1\x02\0\x04\0\x10\0data....".to_vec();
    header[4..8].copy_from_slice(&(size - 8).to_le_bytes());
    header[40..44].copy_from_slice(&(size - 44).to_le_bytes());
    std::fs::write(&song, header).unwrap();
    std::fs::File::options().write(true).open(&song).unwrap().set_len(size.into()).unwrap();
    let order = r#"{"max_seconds": 7200, "rate": 44100}"#;
    let script = format!(
        "{} decode-song '{order}' <{} >{} & echo $!; wait",
        env!("CARGO_BIN_EXE_worker"),
        song.display(),
        dir.join("samples").display(),
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut shell = shell.spawn().unwrap();
    let mut pid = String::new();
    BufReader::new(shell.stdout.as_mut().unwrap()).read_line(&mut pid).unwrap();
    (shell, Path::new("/proc").join(pid.trim()))
}

/// Looks again and again until it is so.
fn soon(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_decoder_has_bounds_and_ends_with_its_worker() {
    let dir = tempfile::tempdir().unwrap();
    let (mut shell, process) = at_work(dir.path());
    let limit = |name: &str| {
        let limits = std::fs::read_to_string(process.join("limits")).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        line.split_whitespace().next().unwrap().parse::<u64>().ok()
    };
    let samples = || std::fs::metadata(dir.path().join("samples")).is_ok_and(|samples| samples.len() > 0);
    soon("it decodes", samples);
    assert_eq!(limit("Max address space"), Some(2 << 30));
    assert_eq!(limit("Max core file size"), Some(0));
    assert_eq!(limit("Max cpu time"), Some(60 + 7200 / 4));
    assert_eq!(limit("Max file size"), Some(7200 * 44_100 * 8 + (64 << 20)));
    let status = std::fs::read_to_string(process.join("status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().split(' ').next().unwrap().parse().unwrap();
    assert!(peak_kib < 64 << 10, "{peak_kib} KiB for a song of a gigabyte");
    shell.kill().unwrap();
    shell.wait().unwrap();
    let gone = || {
        std::fs::read_to_string(process.join("stat")).is_ok_and(|stat| stat.contains(") Z "))
            || !process.exists()
    };
    soon("it ends with who started it", gone);
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
