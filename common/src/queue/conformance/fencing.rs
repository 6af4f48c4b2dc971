//! Whose word counts.

use super::{Bench, Broken, LEASE, Verdict, job, same, spans, worker};
use crate::ids::{Epoch, JobId};
use crate::queue::{Failure, Fence, Outcome, Spans, State, TaskId, TaskKind, Token};

pub(super) async fn i5_a_stale_token_changes_nothing(bench: &Bench) -> Verdict {
    bench.plan(&job("default", 1), "f", 2).await?;
    let id = job("default", 1).id;
    let (span, stale) = bench.take_kind(&worker("f"), TaskKind::Span).await?;
    bench.pass(LEASE).await?;
    let (again, token) = bench.take(&worker("f")).await?;
    same!((again.task, again.attempt), (span.task, 2));
    let before = (bench.status(id).await?, bench.queue.depth().await?);
    let stem = "vocals".parse().map_err(|_| Broken("vocals is a stem".to_owned()))?;
    same!(bench.queue.progress(span.task, stale, 5, 0).await?, Fence::Lost);
    same!(bench.queue.stem_ready(span.task, stale, &stem).await?, Fence::Lost);
    same!(bench.queue.complete(span.task, stale, &Outcome::Done).await?, Fence::Lost);
    same!(bench.queue.fail(span.task, stale, Failure::Permanent, "no").await?, Fence::Lost);
    same!(bench.queue.release(span.task, stale).await?, Fence::Lost);
    same!((bench.status(id).await?, bench.queue.depth().await?), before);
    same!(bench.queue.complete(span.task, token, &Outcome::Done).await?, Fence::Held);
    same!(bench.queue.complete(span.task, stale, &Outcome::Done).await?, Fence::Lost);
    bench.state_is(id, State::Running).await
}

pub(super) async fn a_claim_repeated_is_the_same_claim(bench: &Bench) -> Verdict {
    bench.plan(&job("default", 1), "f", 2).await?;
    let (first, token) = bench.take(&worker("f")).await?;
    same!(bench.queue.claim(&worker("f"), token).await?.as_ref(), Some(&first));
    let (second, _) = bench.take(&worker("f")).await?;
    same!(second.task.index, 1);
    same!(bench.queue.claim(&worker("f"), token).await?.as_ref(), Some(&first));
    same!(bench.queue.depth().await?.active, 2);
    same!(bench.queue.complete(first.task, token, &Outcome::Done).await?, Fence::Held);
    same!(bench.queue.claim(&worker("f"), token).await?, None);
    Ok(())
}

pub(super) async fn a_word_repeated_is_not_said_again(bench: &Bench) -> Verdict {
    let id = job("default", 1).id;
    bench.enter(&job("default", 1)).await?;
    let (plan, token) = bench.take(&worker("f")).await?;
    for _ in 0..2 {
        same!(bench.queue.release(plan.task, token).await?, Fence::Held);
    }
    same!(bench.queue.complete(plan.task, token, &Outcome::Done).await?, Fence::Lost);
    let (plan, token) = bench.take(&worker("f")).await?;
    same!(plan.attempt, 1);
    for _ in 0..2 {
        same!(bench.queue.fail(plan.task, token, Failure::Transient, "no").await?, Fence::Held);
    }
    same!(bench.queue.depth().await?.delayed, 1);
    bench.pass(LEASE).await?;
    let (plan, token) = bench.take(&worker("f")).await?;
    same!(plan.attempt, 2);
    for _ in 0..2 {
        same!(bench.queue.complete(plan.task, token, &spans("f", 1)).await?, Fence::Held);
    }
    let (span, token) = bench.take(&worker("f")).await?;
    same!(bench.queue.complete(span.task, token, &Outcome::Done).await?, Fence::Held);
    let (merge, token) = bench.take(&worker("f")).await?;
    for _ in 0..2 {
        same!(bench.queue.complete(merge.task, token, &Outcome::Done).await?, Fence::Held);
    }
    bench.state_is(id, State::Succeeded).await
}

pub(super) async fn a_word_of_an_unknown_job_is_lost(bench: &Bench) -> Verdict {
    let task = |epoch| TaskId { job: JobId::from_parts(epoch, 9), plan: 0, kind: TaskKind::Plan, index: 0 };
    let token = Token::draw();
    same!(bench.queue.complete(task(Epoch(0)), token, &Outcome::Done).await?, Fence::Lost);
    same!(bench.queue.complete(task(Epoch(1)), token, &Outcome::Done).await?, Fence::Lost);
    same!(bench.queue.reset(Epoch(1)).await?, Epoch(1));
    same!(bench.queue.complete(task(Epoch(0)), token, &Outcome::Done).await?, Fence::Canceled);
    Ok(())
}

pub(super) async fn a_plan_without_spans_is_refused(bench: &Bench) -> Verdict {
    bench.enter(&job("default", 1)).await?;
    let (plan, token) = bench.take(&worker("f")).await?;
    let none =
        Outcome::Planned(Spans { fingerprint: "f".to_owned(), merge: String::new(), spans: Vec::new() });
    same!(bench.queue.complete(plan.task, token, &none).await.is_err(), true);
    same!(bench.queue.complete(plan.task, token, &spans("f", 1)).await?, Fence::Held);
    let (span, token) = bench.take_kind(&worker("f"), TaskKind::Span).await?;
    same!(bench.queue.complete(span.task, token, &spans("f", 1)).await.is_err(), true);
    same!(bench.queue.complete(span.task, token, &Outcome::Done).await?, Fence::Held);
    Ok(())
}
