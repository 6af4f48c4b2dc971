//! What lies in the server: its keys, and records that a later release wrote.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use common::queue::redis::{RedisQueue, Settings};
use common::queue::{
    Claimant, Depth, Fence, First, NewJob, Outcome, Queue, QueueError, Room, Rules, State, Submitted,
    TaskKind, Token,
};
use common::testing::valkey::Server;
use common::{Epoch, JobId, SongHash};
use tokio::time::Instant;

const WIDE: Room = Room { jobs: 1000, jobs_of_tenant: 1000 };

fn job(n: u32) -> NewJob {
    NewJob {
        id: JobId::from_parts(Epoch(0), u128::from(n) + 1),
        tenant: "default".parse().unwrap(),
        song: SongHash::new([n as u8; 32]),
        first: First::Plan,
        cost_ms: 1000,
        notify: true,
        payload: String::new(),
    }
}

fn claimant() -> Claimant {
    Claimant { worker: "w".to_owned(), fingerprint: "f".to_owned(), kinds: TaskKind::ALL.to_vec() }
}

fn opened(server: &Server) -> (Settings, RedisQueue) {
    let settings = server.settings();
    let queue = RedisQueue::open(settings.clone(), Rules::default()).unwrap();
    (settings, queue)
}

fn keys(server: &Server, pattern: &str) -> BTreeSet<String> {
    redis::cmd("KEYS").arg(pattern).query(&mut server.connection()).unwrap()
}

fn set_version(server: &Server, key: &str, version: u32) {
    redis::cmd("HSET").arg(key).arg("v").arg(version).exec(&mut server.connection()).unwrap();
}

#[tokio::test]
async fn i7_ended_and_forgotten_jobs_leave_no_keys() {
    let server = Server::shared();
    let (settings, queue) = opened(&server);
    for n in 0..3 {
        queue.submit(&job(n), WIDE).await.unwrap();
    }
    queue.cancel(job(1).id).await.unwrap();
    while queue.depth().await.unwrap() != Depth::default() {
        let token = Token::draw();
        let claim = queue.claim(&claimant(), token).await.unwrap().unwrap();
        assert_eq!(queue.complete(claim.task, token, &Outcome::Done).await.unwrap(), Fence::Held);
    }
    for n in 0..3 {
        queue.forget(job(n).id).await.unwrap();
    }
    let prefix = &settings.prefix;
    let left = ["bell", "0:meta", "0:tenant_time"].map(|name| format!("{prefix}{name}"));
    assert_eq!(keys(&server, &format!("{prefix}*")), BTreeSet::from(left));
}

#[tokio::test]
async fn a_reset_sweeps_its_epoch_away_and_nothing_else() {
    let server = Server::shared();
    let ((settings, queue), (others, other)) = (opened(&server), opened(&server));
    for queue in [&queue, &other] {
        for n in 0..20 {
            queue.submit(&job(n), WIDE).await.unwrap();
        }
    }
    let before = keys(&server, &format!("{}*", others.prefix));
    assert_eq!(queue.reset(Epoch(1)).await.unwrap(), Epoch(1));
    let end = Instant::now() + Duration::from_secs(20);
    while !keys(&server, &format!("{}0:*", settings.prefix)).is_empty() {
        assert!(Instant::now() < end, "the earlier epoch is still there");
        tokio::task::yield_now().await;
    }
    assert_eq!(keys(&server, &format!("{}*", others.prefix)), before);
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
}

#[tokio::test]
async fn an_entrance_that_was_emptied_by_hand_is_mended_by_the_next_submission() {
    let server = Server::shared();
    let (settings, queue) = opened(&server);
    queue.submit(&job(1), WIDE).await.unwrap();
    redis::cmd("DEL").arg(&settings.entrance).exec(&mut server.connection()).unwrap();
    assert_eq!(queue.claim(&claimant(), Token::draw()).await.unwrap(), None);
    assert_eq!(queue.submit(&job(1), WIDE).await.unwrap(), Submitted::Known(State::Queued));
    assert_eq!(queue.claim(&claimant(), Token::draw()).await.unwrap().unwrap().task.job, job(1).id);
}

#[tokio::test]
async fn a_held_task_without_a_lease_gets_one() {
    let server = Server::shared();
    let (settings, queue) = opened(&server);
    queue.submit(&job(1), WIDE).await.unwrap();
    queue.claim(&claimant(), Token::draw()).await.unwrap().unwrap();
    redis::cmd("DEL").arg(format!("{}0:leases", settings.prefix)).exec(&mut server.connection()).unwrap();
    assert_eq!(queue.depth().await.unwrap().active, 0);
    assert_eq!(queue.reap().await.unwrap().moved(), 0);
    assert_eq!(queue.depth().await.unwrap().active, 1);
}

#[tokio::test]
async fn tasks_of_a_later_release_are_left_to_it() {
    let server = Server::shared();
    let (settings, queue) = opened(&server);
    queue.submit(&job(1), WIDE).await.unwrap();
    let token = Token::draw();
    let claim = queue.claim(&claimant(), token).await.unwrap().unwrap();
    assert_eq!(queue.release(claim.task, token).await.unwrap(), Fence::Held);
    // It waits on.
    let depth = async || Depth { oldest_ready_ms: 0, ..queue.depth().await.unwrap() };
    let before = depth().await;
    for record in [format!("task:{}", claim.task), format!("job:{}", claim.task.job)] {
        let key = format!("{}0:{record}", settings.prefix);
        set_version(&server, &key, 2);
        assert_eq!(queue.claim(&claimant(), Token::draw()).await.unwrap(), None);
        assert_eq!(queue.reap().await.unwrap().moved(), 0);
        let word = queue.complete(claim.task, token, &Outcome::Done).await;
        assert!(matches!(word, Err(QueueError::Strange(_))), "{record}: {word:?}");
        assert_eq!(depth().await, before);
        set_version(&server, &key, 1);
    }
    assert_eq!(queue.claim(&claimant(), token).await.unwrap(), Some(claim));
}

#[tokio::test]
async fn a_queue_of_a_later_release_is_refused_whole() {
    let server = Server::shared();
    let (settings, queue) = opened(&server);
    queue.submit(&job(1), WIDE).await.unwrap();
    set_version(&server, &format!("{}0:meta", settings.prefix), 2);
    let before = keys(&server, &format!("{}*", settings.prefix));
    let refused = |error: QueueError| assert!(error.to_string().contains("version 2"), "{error}");
    refused(queue.submit(&job(2), WIDE).await.unwrap_err());
    refused(queue.claim(&claimant(), Token::draw()).await.unwrap_err());
    refused(queue.reap().await.unwrap_err());
    refused(queue.cancel(job(1).id).await.unwrap_err());
    refused(queue.depth().await.unwrap_err());
    assert_eq!(keys(&server, &format!("{}*", settings.prefix)), before);
}

#[tokio::test]
async fn log_lines_are_printed_in_their_order() {
    let server = Server::shared();
    let (settings, queue) = opened(&server);
    for line in ["one", "two"] {
        queue.log(line).await.unwrap();
    }
    let lines: Vec<String> =
        redis::cmd("LRANGE").arg(&settings.logging).arg(0).arg(-1).query(&mut server.connection()).unwrap();
    assert_eq!(lines, ["one", "two"]);
}

#[tokio::test]
async fn an_entry_that_is_no_text_is_put_aside() {
    let server = Server::shared();
    let (settings, queue) = opened(&server);
    for entry in [&b"\xff\xfe"[..], b"{}"] {
        redis::cmd("RPUSH").arg(&settings.entrance).arg(entry).exec(&mut server.connection()).unwrap();
    }
    assert_eq!(queue.next_foreign().await.unwrap().as_deref(), Some("{}"));
    assert_eq!(queue.depth().await.unwrap().ready, 1);
}

#[tokio::test]
async fn a_sleeper_wakes_for_what_was_pushed_by_hand_within_a_second() {
    let server = Server::shared();
    let (settings, queue) = opened(&server);
    let queue = Arc::new(queue);
    let begun = Instant::now();
    let sleeper = tokio::spawn({
        let queue = queue.clone();
        async move { queue.ready(Duration::from_secs(30)).await }
    });
    redis::cmd("RPUSH").arg(&settings.entrance).arg("{}").exec(&mut server.connection()).unwrap();
    sleeper.await.unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "it slept for {:?}", begun.elapsed());
    assert_eq!(queue.next_foreign().await.unwrap().as_deref(), Some("{}"));
}
