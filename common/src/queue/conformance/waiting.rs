//! How much there is of what, and since when.

use std::time::Duration;

use super::{Bench, LEASE, Verdict, job, same, spans, worker, worker_of};
use crate::queue::{Failure, Fence, NewJob, Outcome, Reaped, TaskKind};

const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn the_longest_wait_is_known(bench: &Bench) -> Verdict {
    let oldest_ms = async || Ok::<_, super::Broken>(bench.queue.depth().await?.oldest_ready_ms);
    same!(oldest_ms().await?, 0);
    bench.enter(&job("default", 1)).await?;
    bench.clock.advance(SECOND * 5);
    bench.enter(&job("default", 2)).await?;
    bench.clock.advance(SECOND);
    same!(oldest_ms().await?, 6000);
    let (plan, token) = bench.take(&worker("f")).await?;
    same!(oldest_ms().await?, 1000);
    // What comes back is first again, but waits from now on.
    same!(bench.queue.release(plan.task, token).await?, Fence::Held);
    bench.clock.advance(SECOND);
    same!(oldest_ms().await?, 2000);
    for _ in 0..2 {
        let (plan, token) = bench.take(&worker_of(TaskKind::Plan, "f")).await?;
        same!(bench.queue.complete(plan.task, token, &spans("f", 2)).await?, Fence::Held);
        bench.clock.advance(SECOND);
    }
    same!(oldest_ms().await?, 2000);
    bench.take_kind(&worker("f"), TaskKind::Span).await?;
    same!(bench.pass(LEASE).await?, 1);
    bench.clock.advance(SECOND);
    // Its neighbour has waited since the plan, it itself since its lease ended.
    let waited_ms = LEASE.as_millis() as u64 + 3000;
    same!(oldest_ms().await?, waited_ms);
    Ok(())
}

pub(super) async fn notifications_are_told_apart(bench: &Bench) -> Verdict {
    let counts = async || {
        let depth = bench.queue.depth().await?;
        Ok::<_, super::Broken>((depth.ready, depth.ready_notices, depth.active, depth.active_notices))
    };
    bench.enter(&NewJob { notify: true, ..job("default", 1) }).await?;
    bench.enter(&job("default", 2)).await?;
    same!(counts().await?, (2, 0, 0, 0));
    let (plan, token) = bench.take(&worker("f")).await?;
    same!(bench.queue.complete(plan.task, token, &Outcome::Done).await?, Fence::Held);
    bench.take_kind(&worker_of(TaskKind::Plan, "f"), TaskKind::Plan).await?;
    bench.clock.advance(SECOND);
    same!(counts().await?, (1, 1, 1, 0));
    // No worker is missing where only callers have to be told.
    same!(bench.queue.depth().await?.oldest_ready_ms, 0);
    bench.take_kind(&worker("f"), TaskKind::Notify).await?;
    same!(counts().await?, (0, 0, 2, 1));
    Ok(())
}

pub(super) async fn a_reaping_says_what_it_found(bench: &Bench) -> Verdict {
    bench.plan(&job("default", 1), "f", 2).await?;
    bench.take(&worker("f")).await?;
    bench.clock.advance(LEASE);
    same!(bench.queue.reap().await?, Reaped { expired: 1, ..Reaped::default() });
    let (span, token) = bench.take(&worker("f")).await?;
    same!(bench.queue.fail(span.task, token, Failure::Transient, "no").await?, Fence::Held);
    bench.clock.advance(SECOND * 3);
    same!(bench.queue.reap().await?, Reaped { woken: 1, ..Reaped::default() });
    let (span, _) = bench.take(&worker("f")).await?;
    same!((span.attempt, span.last), (3, true));
    bench.clock.advance(LEASE);
    same!(bench.queue.reap().await?, Reaped { expired: 1, dead: 1, ..Reaped::default() });
    bench.plan(&job("default", 2), "f", 2).await?;
    bench.clock.advance(LEASE * 3);
    same!(bench.queue.reap().await?, Reaped { replanned: 1, ..Reaped::default() });
    same!(bench.queue.reap().await?.moved(), 0);
    Ok(())
}
