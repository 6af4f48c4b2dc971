//! The server fails in the middle, or forgets everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::queue::redis::RedisQueue;
use common::queue::{
    Claim, Claimant, Depth, Failure, Fence, First, Happening, NewJob, Outcome, Queue, QueueError, Room,
    Rules, Span, Spans, State, Submitted, TaskId, TaskKind, Token,
};
use common::testing::valkey::{Kept, Server};
use common::{Epoch, JobId, SongHash};
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{Instant, sleep};

const WIDE: Room = Room { jobs: 1000, jobs_of_tenant: 1000 };
const LEASE: Duration = Duration::from_millis(400);

fn rules() -> Rules {
    Rules { lease: LEASE, max_attempts: 50, retry_base: Duration::from_millis(20), ..Rules::default() }
}

fn job(epoch: u32, n: u32) -> NewJob {
    NewJob {
        id: JobId::from_parts(Epoch(epoch), u128::from(n) + 1),
        tenant: format!("tenant{}", n % 3).parse().unwrap(),
        song: SongHash::new([n as u8; 32]),
        first: First::Plan,
        cost_ms: 1000,
        notify: n.is_multiple_of(2),
        payload: String::new(),
    }
}

fn claimant() -> Claimant {
    Claimant { worker: "w".to_owned(), fingerprint: "f".to_owned(), kinds: TaskKind::ALL.to_vec() }
}

fn outcome(claim: &Claim) -> Outcome {
    if claim.task.kind != TaskKind::Plan {
        return Outcome::Done;
    }
    let span = Span { units: 5, part: String::new() };
    Outcome::Planned(Spans { fingerprint: "f".to_owned(), merge: String::new(), spans: vec![span; 3] })
}

/// Says the same until there is an answer.
async fn until_answered<T, F: Future<Output = Result<T, QueueError>>>(call: impl Fn() -> F) -> T {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(QueueError::Unavailable(error)) => assert!(Instant::now() < end, "for a minute: {error}"),
            Err(strange) => panic!("{strange}"),
        }
        tokio::task::yield_now().await;
    }
}

/// What the workers of a run have seen.
#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    claims: AtomicU32,
    stale: AtomicU32,
    /// Tokens whose completion was accepted, by task.
    done: Mutex<BTreeMap<TaskId, BTreeSet<Token>>>,
}

async fn work(queue: Arc<RedisQueue>, seen: Arc<Seen>) {
    while !seen.stop.load(Ordering::Relaxed) {
        until_answered(|| queue.reap()).await;
        let (token, claimant) = (Token::draw(), claimant());
        let Some(claim) = until_answered(|| queue.claim(&claimant, token)).await else {
            until_answered(|| queue.ready(LEASE / 4)).await;
            continue;
        };
        // Some are silent until their lease is over, then speak again.
        if seen.claims.fetch_add(1, Ordering::Relaxed) % 9 == 4 {
            sleep(LEASE * 2).await;
        }
        if until_answered(|| queue.progress(claim.task, token, 2, 5)).await != Fence::Held {
            seen.stale.fetch_add(1, Ordering::Relaxed);
        }
        let outcome = outcome(&claim);
        if until_answered(|| queue.complete(claim.task, token, &outcome)).await == Fence::Held {
            seen.done.lock().unwrap().entry(claim.task).or_default().insert(token);
        }
    }
}

/// Forty songs, four workers, the server killed after every tenth submission. As the service does, a sweep submits
/// again what has not ended and is not known.
async fn separate_through_kills(server: &Server) -> (Arc<RedisQueue>, Vec<NewJob>, Arc<Seen>) {
    let queue = Arc::new(RedisQueue::open(server.settings(), rules()).unwrap());
    let seen = Arc::new(Seen::default());
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        workers.spawn(work(queue.clone(), seen.clone()));
    }
    let jobs: Vec<_> = (0..40).map(|n| job(0, n)).collect();
    for (job, n) in jobs.iter().zip(1..) {
        until_answered(|| queue.submit(job, WIDE)).await;
        if n % 10 == 0 {
            block_in_place(|| server.restart());
        }
    }
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        let mut ended = 0;
        for job in &jobs {
            let submitted = until_answered(|| queue.submit(job, WIDE)).await;
            ended += usize::from(submitted == Submitted::Known(State::Succeeded));
        }
        let depth = until_answered(|| queue.depth()).await;
        if ended == jobs.len() && depth == Depth::default() {
            break;
        }
        assert!(Instant::now() < end, "after a minute {ended} have ended, and there is left {depth:?}");
        until_answered(|| queue.ready(LEASE)).await;
    }
    seen.stop.store(true, Ordering::Relaxed);
    workers.join_all().await;
    (queue, jobs, seen)
}

async fn events_are_in_order(queue: &RedisQueue, job: &NewJob) {
    let status = queue.status(job.id).await.unwrap().unwrap();
    assert_eq!((status.state, status.permille), (State::Succeeded, 1000));
    let events = queue.events(job.id, 0, 1000).await.unwrap();
    let mut highest = 0;
    for (event, number) in events.iter().zip(1..) {
        assert_eq!(event.number, number);
        if let Happening::Progress { permille, .. } = event.what {
            assert!(permille > highest);
            highest = permille;
        }
    }
    let ends =
        events.iter().filter(|event| matches!(event.what, Happening::State { state } if state.is_terminal()));
    assert_eq!(ends.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i2_i3_a_killed_server_that_kept_all_does_nothing_twice() {
    let server = Server::start(Kept::All);
    let (queue, jobs, seen) = separate_through_kills(&server).await;
    for job in &jobs {
        events_are_in_order(&queue, job).await;
    }
    let done = seen.done.lock().unwrap().clone();
    assert!(done.values().all(|tokens| tokens.len() == 1), "a task was completed with two tokens: {done:?}");
    // A plan, three spans and a merge of each song, and a notification of every other one.
    assert_eq!(done.len(), 40 * 5 + 20);
    assert!(seen.stale.load(Ordering::Relaxed) > 0, "no worker was silent for too long");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i1_a_killed_server_that_kept_almost_all_loses_no_song() {
    let server = Server::start(Kept::AlmostAll);
    let (queue, jobs, _) = separate_through_kills(&server).await;
    for job in &jobs {
        events_are_in_order(&queue, job).await;
    }
}

#[tokio::test]
async fn i5_i10_after_a_wipe_old_tokens_are_stale_and_old_epochs_gone() {
    let server = Server::start(Kept::Nothing);
    let queue = RedisQueue::open(server.settings(), rules()).unwrap();
    assert_eq!(queue.reset(Epoch(2)).await.unwrap(), Epoch(2));
    let jobs: Vec<_> = (0..4).map(|n| job(2, n)).collect();
    let mut held = Vec::new();
    for job in &jobs {
        assert_eq!(queue.submit(job, WIDE).await.unwrap(), Submitted::Accepted);
        let token = Token::draw();
        held.push((queue.claim(&claimant(), token).await.unwrap().unwrap(), token));
    }
    redis::cmd("FLUSHALL").exec(&mut server.connection()).unwrap();
    redis::cmd("SCRIPT").arg("FLUSH").exec(&mut server.connection()).unwrap();

    let all_are = async |fence: Fence| {
        for (claim, token) in &held {
            assert_eq!(queue.progress(claim.task, *token, 1, 5).await.unwrap(), fence);
            assert_eq!(queue.complete(claim.task, *token, &outcome(claim)).await.unwrap(), fence);
            assert_eq!(queue.fail(claim.task, *token, Failure::Permanent, "no").await.unwrap(), fence);
            assert_eq!(queue.release(claim.task, *token).await.unwrap(), fence);
        }
    };
    all_are(Fence::Lost).await;
    // The sweep finds them in the store, the epoch is in their names.
    for job in &jobs {
        assert_eq!(queue.submit(job, WIDE).await.unwrap(), Submitted::Accepted);
    }
    assert_eq!(queue.epoch().await.unwrap(), Epoch(2));
    assert_eq!(queue.submit(&job(1, 9), WIDE).await.unwrap(), Submitted::Stale);
    all_are(Fence::Lost).await;
    while queue.depth().await.unwrap() != Depth::default() {
        let token = Token::draw();
        let claim = queue.claim(&claimant(), token).await.unwrap().unwrap();
        all_are(Fence::Lost).await;
        assert_eq!(queue.complete(claim.task, token, &outcome(&claim)).await.unwrap(), Fence::Held);
    }
    for job in &jobs {
        assert_eq!(queue.status(job.id).await.unwrap().unwrap().state, State::Succeeded);
    }
}

#[tokio::test]
async fn a_server_that_is_gone_is_an_error_and_comes_back() {
    let server = Server::start(Kept::All);
    let queue = RedisQueue::open(server.settings(), rules()).unwrap();
    assert_eq!(queue.submit(&job(0, 1), WIDE).await.unwrap(), Submitted::Accepted);
    server.kill();
    assert!(matches!(queue.depth().await, Err(QueueError::Unavailable(_))));
    assert!(matches!(queue.ready(LEASE).await, Err(QueueError::Unavailable(_))));
    server.restart();
    assert_eq!(until_answered(|| queue.depth()).await.ready, 1);
    until_answered(|| queue.ready(LEASE)).await;
}
