//! Who works on what.

use std::time::Duration;

use super::{Bench, LEASE, Verdict, holds, job, same, worker, worker_of};
use crate::queue::{Claimant, Failure, Fence, NewJob, Outcome, Seen, TaskKind};

const SECOND: Duration = Duration::from_secs(1);
const ALMOST_A_LEASE: Duration = Duration::from_secs(59);

/// A worker with a name.
fn called(name: &str) -> Claimant {
    Claimant { worker: name.to_owned(), ..worker("f") }
}

/// Who is seen, each with the task in its hands.
async fn seen(bench: &Bench) -> Verdict<Vec<(String, Option<TaskKind>)>> {
    let row = |seen: Seen| (seen.worker, seen.task.map(|task| task.kind));
    Ok(bench.queue.workers(10).await?.into_iter().map(row).collect())
}

pub(super) async fn workers_are_seen_at_work_and_waiting(bench: &Bench) -> Verdict {
    bench.enter(&job("default", 1)).await?;
    same!(bench.queue.workers(10).await?, []);
    let (plan, token) = bench.take(&called("anna")).await?;
    bench.take_nothing(&called("bert")).await?;
    bench.clock.advance(SECOND);
    bench.take_nothing(&called("carl")).await?;
    let rows = bench.queue.workers(10).await?;
    let names: Vec<_> = rows.iter().map(|seen| (&*seen.worker, seen.silent_ms)).collect();
    same!(names, [("anna", 1000), ("bert", 1000), ("carl", 0)]);
    same!(rows[1].task, None);
    let Some(held) = &rows[0].task else { return Err(super::Broken("anna holds nothing".to_owned())) };
    same!((&*held.id, held.job, held.kind), (&*plan.task.to_string(), plan.task.job, TaskKind::Plan));
    same!((&held.tenant, held.song, held.attempt), (&plan.tenant, plan.song, 1));
    same!((held.held_ms, held.left_ms, &held.before), (1000, 59_000, &None));
    // A word renews the lease, and does not make the claim a new one.
    same!(bench.queue.progress(plan.task, token, 1, 2).await?, Fence::Held);
    let rows = bench.queue.workers(1).await?;
    same!(rows.len(), 2);
    same!(rows[0].silent_ms, 0);
    same!(rows[0].task.as_ref().map(|held| (held.held_ms, held.left_ms)), Some((1000, 60_000)));
    same!(bench.queue.workers(0).await?, []);
    same!(bench.queue.complete(plan.task, token, &Outcome::Done).await?, Fence::Held);
    same!(seen(bench).await?, [("bert".to_owned(), None), ("carl".to_owned(), None)]);
    // Who has not asked for a lease is gone, whether that was noticed or not.
    bench.clock.advance(ALMOST_A_LEASE);
    same!(seen(bench).await?, [("carl".to_owned(), None)]);
    same!(bench.pass(SECOND).await?, 0);
    same!(seen(bench).await?, []);
    Ok(())
}

pub(super) async fn a_silent_worker_is_seen_until_its_task_is_taken_back(bench: &Bench) -> Verdict {
    bench.enter(&job("default", 1)).await?;
    bench.take(&called("anna")).await?;
    bench.clock.advance(LEASE + SECOND);
    let rows = bench.queue.workers(10).await?;
    same!(rows.len(), 1);
    same!(rows[0].silent_ms, 61_000);
    same!(rows[0].task.as_ref().map(|held| (held.held_ms, held.left_ms)), Some((61_000, 0)));
    same!(bench.queue.reap().await?.moved(), 1);
    same!(seen(bench).await?, []);
    let (plan, token) = bench.take(&called("bert")).await?;
    let rows = bench.queue.workers(10).await?;
    let told = rows[0].task.as_ref().map(|held| (held.attempt, held.held_ms, held.before.as_deref()));
    same!((&*rows[0].worker, told), ("bert", Some((2, 0, Some("anna")))));
    same!(bench.queue.fail(plan.task, token, Failure::Transient, "no").await?, Fence::Held);
    same!(seen(bench).await?, []);
    Ok(())
}

pub(super) async fn who_only_tells_callers_is_no_worker(bench: &Bench) -> Verdict {
    let teller = Claimant { kinds: vec![TaskKind::Notify], ..called("rest") };
    bench.take_nothing(&teller).await?;
    bench.enter(&NewJob { notify: true, ..job("default", 1) }).await?;
    bench.queue.cancel(job("default", 1).id).await?;
    bench.take(&teller).await?;
    same!(bench.queue.workers(10).await?, []);
    bench.take_nothing(&worker_of(TaskKind::Span, "f")).await?;
    holds!(seen(bench).await? == [("w".to_owned(), None)], "who takes one kind is a worker");
    Ok(())
}
