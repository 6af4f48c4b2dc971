//! Workers that are taken away while they work, as an autoscaler and a rolling update do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::job::View;
use common::queue::{Claimant, State, TaskKind, Token};
use demucs::{Compute, Settings};
use hyper::Method;
use worker::Engines;

use crate::bench::song;
use crate::processes::{MODEL, SPAN_SEGMENTS, Servers, Site};

/// Segments of a span that takes seconds.
const LONG: usize = 15_000;
/// Until a song has come as far as wanted.
const PATIENCE: Duration = Duration::from_mins(1);

async fn send(site: &Site, frames: usize) -> View {
    let path = format!("/v2/jobs?model={MODEL}&format=flac");
    let headers = [("content-type", "audio/wav"), ("x-request-id", "request-of-a-song")];
    let answer = site.http.send(Method::POST, &path, &headers, song(frames).into()).await.unwrap();
    serde_json::from_slice(&answer.body).unwrap()
}

async fn view(site: &Site, job: &View) -> View {
    let answer = site.http.get(&format!("/v2/jobs/{}", job.id)).await.unwrap();
    serde_json::from_slice(&answer.body).unwrap()
}

async fn until(site: &Site, job: &View, holds: impl Fn(&View) -> bool) -> View {
    let began = Instant::now();
    loop {
        let view = view(site, job).await;
        if holds(&view) {
            return view;
        }
        assert!(began.elapsed() < PATIENCE, "{view:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Numbers after a word in lines that have another one, as `attempt=1`.
fn numbers(log: &str, line: &str, word: &str) -> Vec<u32> {
    let lines = log.lines().filter(|text| text.contains(line));
    let number = |text: &str| {
        let text = text.split(word).nth(1)?;
        text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    lines.filter_map(number).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_worker_that_is_asked_to_end_gives_its_task_back_and_no_attempt_is_counted() {
    let site = Arc::new(Servers::start().await).site().await;
    let _rest = site.rest(1, "").await;
    let mut first = site.worker_of_spans("first", LONG, &[]);
    let job = send(&site, 4_800_000).await;
    // In the first of two spans.
    let before = until(&site, &job, |view| view.progress.segments_done > 0).await;
    assert!(first.stop().await.unwrap().success());

    let depth = site.ledger().queue().depth().await.unwrap();
    assert_eq!((depth.active, depth.delayed), (0, 0), "it is held by nobody, and is not delayed");
    let held = numbers(&site.logged("first"), "gave a task back", ":span:");
    assert_eq!(held.len(), 1, "a span went back: {}", site.logged("first"));
    // Whoever asks next has it, for the first time as far as attempts go.
    let engines =
        Engines::new(site.models(), vec![Compute::cpu()], Settings { threads: 1, ..Settings::default() });
    let claimant = Claimant {
        worker: "test".to_owned(),
        fingerprint: engines.fingerprint(),
        kinds: vec![TaskKind::Span],
    };
    let (ledger, token) = (site.ledger(), Token::draw());
    let claim = ledger.queue().claim(&claimant, token).await.unwrap().unwrap();
    assert_eq!((claim.task.index, claim.attempt, claim.last), (held[0], 1, false));
    ledger.queue().release(claim.task, token).await.unwrap();
    // What is computed again is of that one span.
    let after = view(&site, &job).await;
    let lost = before.progress.segments_done.saturating_sub(after.progress.segments_done);
    assert!(lost < LONG as u32, "{before:?} {after:?}");

    let attempts = numbers(&site.logged("first"), "took a task", "attempt=");
    assert!(attempts.len() == 2 && attempts.iter().all(|attempt| *attempt == 1), "{attempts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_may_finish_its_task_computes_nothing_in_vain() {
    let site = Arc::new(Servers::start().await).site().await;
    let _rest = site.rest(1, "").await;
    let mut first = site.worker_with("first", "", &["--finish-within=30"]);
    let job = send(&site, 480_000).await;
    until(&site, &job, |view| view.progress.segments_done > SPAN_SEGMENTS as u32).await;
    assert!(first.stop().await.unwrap().success());
    let log = site.logged("first");
    let (took, finished) = (log.matches("took a task").count(), log.matches("finished a task").count());
    assert!(took > 1 && took == finished, "{log}");
    let depth = site.ledger().queue().depth().await.unwrap();
    assert!(depth.active == 0 && depth.ready > 0, "it took no other one: {depth:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_cannot_finish_its_task_in_time_gives_it_back_at_once() {
    let site = Arc::new(Servers::start().await).site().await;
    let _rest = site.rest(1, "").await;
    // One span of the whole song.
    let mut worker = site.worker_of_spans("one", 1_000_000, &["--finish-within=1"]);
    let job = send(&site, 4_800_000).await;
    until(&site, &job, |view| view.progress.segments_done > 0).await;
    assert!(worker.stop().await.unwrap().success());
    let log = site.logged("one");
    assert_eq!(log.matches("gave a task back").count(), 1, "{log}");
    let claimant =
        Claimant { worker: "test".to_owned(), fingerprint: String::new(), kinds: vec![TaskKind::Plan] };
    let claim = site.ledger().queue().claim(&claimant, Token::draw()).await.unwrap().unwrap();
    assert_eq!((claim.task.job, claim.attempt), (job.id, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_about_a_task_names_the_request() {
    let site = Arc::new(Servers::start().await).site().await;
    let mut rest = site.rest(1, "").await;
    let mut worker = site.worker("one", "");
    let job = send(&site, 40_000).await;
    until(&site, &job, |view| view.state == State::Succeeded).await;
    assert!(worker.stop().await.unwrap().success() && rest.stop().await.unwrap().success());
    let of_task = |line: &&str| line.contains("a task") || line.contains("accepted a job");
    // In the list that a fleet shares, and on standard error.
    let list = site.servers.valkey.lines(site.number, "logging").join("\n");
    for (place, text) in [("list", list), ("worker", site.logged("one")), ("rest", site.logged("rest"))] {
        let lines: Vec<&str> = text.lines().filter(of_task).collect();
        assert!(!lines.is_empty(), "{place}: {text}");
        for line in lines {
            assert!(
                line.contains("request-of-a-song") && line.contains(&job.id.to_string()),
                "{place}: {line}"
            );
        }
    }
}
