//! Workers that die, tasks that fail, fleets that vanish.

use std::time::Duration;

use super::{Bench, LEASE, Verdict, holds, job, same, spans, worker, worker_of};
use crate::queue::{Failure, Fence, NewJob, Outcome, State, TaskKind};

const SECOND: Duration = Duration::from_secs(1);
const ALMOST_A_LEASE: Duration = Duration::from_secs(59);
const ORPHANED: Duration = Duration::from_mins(3);

pub(super) async fn i6_attempts_are_bounded_when_workers_die(bench: &Bench) -> Verdict {
    bench.plan(&job("default", 1), "f", 2).await?;
    for attempt in 1..=3 {
        let (span, _) = bench.take(&worker("f")).await?;
        same!((span.task.index, span.attempt), (0, attempt));
        same!(bench.pass(LEASE).await?, 1);
    }
    let status = bench.status(job("default", 1).id).await?;
    same!(status.state, State::Failed);
    holds!(status.reason.contains("3 attempts"), "the reason is {:?}", status.reason);
    bench.take_nothing(&worker("f")).await?;
    same!(bench.queue.dead(10).await?.len(), 1);
    Ok(())
}

pub(super) async fn i6_attempts_are_bounded_when_tasks_fail(bench: &Bench) -> Verdict {
    bench.enter(&job("default", 1)).await?;
    for attempt in 1..=3 {
        let (plan, token) = bench.take(&worker("f")).await?;
        same!(plan.attempt, attempt);
        same!(bench.queue.fail(plan.task, token, Failure::Transient, "no disk").await?, Fence::Held);
        bench.pass(LEASE).await?;
    }
    let status = bench.status(job("default", 1).id).await?;
    same!((status.state, status.reason.as_str()), (State::Failed, "no disk"));
    bench.take_nothing(&worker("f")).await
}

pub(super) async fn i6_a_poison_song_does_not_stop_the_others(bench: &Bench) -> Verdict {
    for n in 0..4 {
        bench.enter(&job("default", n)).await?;
    }
    let poison = job("default", 0).id;
    for _ in 0..6 {
        let (claim, token) = bench.take(&worker("f")).await?;
        if claim.task.job != poison {
            same!(bench.queue.complete(claim.task, token, &Outcome::Done).await?, Fence::Held);
        }
        bench.pass(LEASE).await?;
    }
    bench.state_is(poison, State::Failed).await?;
    for n in 1..4 {
        bench.state_is(job("default", n).id, State::Succeeded).await?;
    }
    Ok(())
}

pub(super) async fn a_permanent_failure_ends_the_job_at_once(bench: &Bench) -> Verdict {
    bench.plan(&job("default", 1), "f", 3).await?;
    let (span, token) = bench.take(&worker("f")).await?;
    let (other, others_token) = bench.take(&worker("f")).await?;
    for _ in 0..2 {
        same!(bench.queue.fail(span.task, token, Failure::Permanent, "no audio").await?, Fence::Held);
    }
    same!(bench.status(job("default", 1).id).await?.reason, "no audio");
    same!(bench.queue.progress(other.task, others_token, 1, 0).await?, Fence::Canceled);
    bench.take_nothing(&worker("f")).await?;
    let depth = bench.queue.depth().await?;
    same!((depth.jobs, depth.ready, depth.active, depth.delayed, depth.dead), (0, 0, 0, 0, 1));
    Ok(())
}

pub(super) async fn a_released_task_is_first_again_and_not_counted(bench: &Bench) -> Verdict {
    for n in 0..2 {
        bench.enter(&job("default", n)).await?;
    }
    for _ in 0..5 {
        let (plan, token) = bench.take(&worker("f")).await?;
        same!((plan.task.job, plan.attempt), (job("default", 0).id, 1));
        same!(bench.queue.release(plan.task, token).await?, Fence::Held);
    }
    Ok(())
}

pub(super) async fn a_failed_task_waits_longer_each_time(bench: &Bench) -> Verdict {
    bench.enter(&job("default", 1)).await?;
    // 2 s, then 4 s capped at 3 s.
    for wait in [2, 3] {
        let (plan, token) = bench.take(&worker("f")).await?;
        same!(bench.queue.fail(plan.task, token, Failure::Transient, "no").await?, Fence::Held);
        for _ in 1..wait {
            same!(bench.pass(SECOND).await?, 0);
        }
        bench.take_nothing(&worker("f")).await?;
        same!(bench.pass(SECOND).await?, 1);
    }
    bench.take(&worker("f")).await?;
    Ok(())
}

pub(super) async fn a_notification_fails_without_changing_its_job(bench: &Bench) -> Verdict {
    let job = NewJob { notify: true, ..job("default", 1) };
    bench.enter(&job).await?;
    let (plan, token) = bench.take(&worker("f")).await?;
    same!(bench.queue.complete(plan.task, token, &Outcome::Done).await?, Fence::Held);
    let before = bench.status(job.id).await?;
    for attempt in 1..=3 {
        let (notify, token) = bench.take_kind(&worker("f"), TaskKind::Notify).await?;
        same!(notify.attempt, attempt);
        same!(bench.queue.fail(notify.task, token, Failure::Transient, "refused").await?, Fence::Held);
        bench.pass(LEASE).await?;
    }
    bench.take_nothing(&worker("f")).await?;
    same!(bench.status(job.id).await?, before);
    same!(bench.queue.dead(10).await?.len(), 1);
    Ok(())
}

pub(super) async fn i12_a_silent_workers_task_is_handed_out_again(bench: &Bench) -> Verdict {
    bench.plan(&job("default", 1), "f", 3).await?;
    let (first, _) = bench.take(&worker("f")).await?;
    let (second, _) = bench.take(&worker("f")).await?;
    same!(bench.pass(ALMOST_A_LEASE).await?, 0);
    same!(bench.pass(SECOND).await?, 2);
    // Before what has not been tried, in their own order.
    for (task, attempt) in [(first.task, 2), (second.task, 2)] {
        let (claim, _) = bench.take(&worker("f")).await?;
        same!((claim.task, claim.attempt), (task, attempt));
    }
    Ok(())
}

pub(super) async fn progress_keeps_the_lease(bench: &Bench) -> Verdict {
    bench.plan(&job("default", 1), "f", 1).await?;
    let (span, token) = bench.take(&worker("f")).await?;
    for _ in 0..5 {
        same!(bench.pass(LEASE / 2).await?, 0);
        same!(bench.queue.progress(span.task, token, 1, 0).await?, Fence::Held);
    }
    same!(bench.pass(LEASE).await?, 1);
    same!(bench.queue.progress(span.task, token, 2, 0).await?, Fence::Lost);
    Ok(())
}

pub(super) async fn orphaned_spans_are_planned_again(bench: &Bench) -> Verdict {
    let id = job("default", 1).id;
    bench.plan(&job("default", 1), "f", 3).await?;
    let (span, token) = bench.take(&worker("f")).await?;
    // As long as a worker of the kind is seen, even if only busy with its like, they wait.
    for _ in 0..5 {
        bench.clock.advance(ALMOST_A_LEASE);
        same!(bench.queue.progress(span.task, token, 1, 0).await?, Fence::Held);
        same!(bench.queue.reap().await?.moved(), 0);
    }
    bench.pass(ORPHANED).await?;
    same!(bench.queue.complete(span.task, token, &Outcome::Done).await?, Fence::Lost);
    bench.take_nothing(&worker_of(TaskKind::Span, "f")).await?;
    let (plan, token) = bench.take_kind(&worker("g"), TaskKind::Plan).await?;
    same!((plan.task.plan, plan.attempt), (1, 1));
    same!(bench.queue.complete(plan.task, token, &spans("g", 1)).await?, Fence::Held);
    let (span, token) = bench.take_kind(&worker("g"), TaskKind::Span).await?;
    same!(span.task.plan, 1);
    same!(bench.queue.complete(span.task, token, &Outcome::Done).await?, Fence::Held);
    let (merge, token) = bench.take_kind(&worker("g"), TaskKind::Merge).await?;
    same!(merge.spans, 1);
    same!(bench.queue.complete(merge.task, token, &Outcome::Done).await?, Fence::Held);
    bench.state_is(id, State::Succeeded).await
}

pub(super) async fn an_orphaned_merge_is_planned_again(bench: &Bench) -> Verdict {
    bench.plan(&job("default", 1), "f", 1).await?;
    let (span, token) = bench.take(&worker("f")).await?;
    bench.clock.advance(LEASE);
    same!(bench.queue.complete(span.task, token, &Outcome::Done).await?, Fence::Held);
    same!(bench.pass(LEASE * 2 + ALMOST_A_LEASE).await?, 0);
    same!(bench.pass(SECOND).await?, 1);
    same!(bench.take_kind(&worker("g"), TaskKind::Plan).await?.0.task.plan, 1);
    Ok(())
}

pub(super) async fn a_song_is_not_planned_again_for_ever(bench: &Bench) -> Verdict {
    bench.plan(&job("default", 1), "f", 1).await?;
    for _ in 0..2 {
        same!(bench.pass(ORPHANED).await?, 1);
        let (plan, token) = bench.take_kind(&worker("g"), TaskKind::Plan).await?;
        same!(bench.queue.complete(plan.task, token, &spans("g", 1)).await?, Fence::Held);
    }
    same!(bench.pass(ORPHANED).await?, 1);
    bench.state_is(job("default", 1).id, State::Failed).await
}
