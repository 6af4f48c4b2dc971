//! A song's way, and the order in which tasks are handed out.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::{Bench, Verdict, WIDE, holds, job, same, spans, worker, worker_of};
use crate::queue::{Fence, First, Happening, NewJob, Outcome, Room, State, Submitted, TaskKind, Token};

pub(super) async fn i1_a_song_goes_through_plan_spans_and_merge_to_its_end(bench: &Bench) -> Verdict {
    let job = job("default", 1);
    bench.enter(&job).await?;
    bench.state_is(job.id, State::Queued).await?;
    let (plan, token) = bench.take_kind(&worker("f"), TaskKind::Plan).await?;
    same!((plan.attempt, &plan.payload, plan.song), (1, &job.payload, job.song));
    bench.state_is(job.id, State::Running).await?;
    same!(bench.queue.complete(plan.task, token, &spans("f", 3)).await?, Fence::Held);
    for index in 0..3 {
        let (span, token) = bench.take_kind(&worker("f"), TaskKind::Span).await?;
        same!((span.task.index, span.part.clone()), (index, format!("part {index}")));
        same!(bench.queue.complete(span.task, token, &Outcome::Done).await?, Fence::Held);
    }
    let (merge, token) = bench.take_kind(&worker("f"), TaskKind::Merge).await?;
    same!((merge.part.as_str(), merge.spans), ("the whole", 3));
    bench.state_is(job.id, State::Running).await?;
    same!(bench.queue.complete(merge.task, token, &Outcome::Done).await?, Fence::Held);
    let status = bench.status(job.id).await?;
    same!((status.state, status.permille, status.units), (State::Succeeded, 1000, (30, 30)));
    bench.take_nothing(&worker("f")).await
}

pub(super) async fn i1_a_song_can_be_separated_by_its_plan_alone(bench: &Bench) -> Verdict {
    let job = job("default", 1);
    bench.enter(&job).await?;
    let (plan, token) = bench.take_kind(&worker("f"), TaskKind::Plan).await?;
    same!(bench.queue.progress(plan.task, token, 3, 8).await?, Fence::Held);
    same!(bench.status(job.id).await?.units, (3, 8));
    same!(bench.queue.complete(plan.task, token, &Outcome::Done).await?, Fence::Held);
    let status = bench.status(job.id).await?;
    same!((status.state, status.permille, status.units), (State::Succeeded, 1000, (8, 8)));
    bench.take_nothing(&worker("f")).await
}

pub(super) async fn i1_a_derivation_is_one_task(bench: &Bench) -> Verdict {
    let job = NewJob { first: First::Derive, ..job("default", 1) };
    bench.enter(&job).await?;
    let (derivation, token) = bench.take_kind(&worker("f"), TaskKind::Derive).await?;
    same!(bench.queue.complete(derivation.task, token, &Outcome::Done).await?, Fence::Held);
    bench.state_is(job.id, State::Succeeded).await
}

pub(super) async fn i2_a_job_ends_once_and_is_told_of_once(bench: &Bench) -> Verdict {
    let job = NewJob { notify: true, ..job("default", 1) };
    bench.enter(&job).await?;
    let (plan, token) = bench.take_kind(&worker("f"), TaskKind::Plan).await?;
    same!(bench.queue.complete(plan.task, token, &Outcome::Done).await?, Fence::Held);
    same!(bench.queue.complete(plan.task, token, &Outcome::Done).await?, Fence::Held);
    same!(bench.queue.cancel(job.id).await?, Some(State::Succeeded));
    let (notify, token) = bench.take_kind(&worker("f"), TaskKind::Notify).await?;
    bench.take_nothing(&worker("f")).await?;
    same!(bench.queue.complete(notify.task, token, &Outcome::Done).await?, Fence::Held);
    bench.take_nothing(&worker("f")).await?;
    let events = bench.queue.events(job.id, 0, 100).await?;
    let ends =
        events.iter().filter(|event| matches!(event.what, Happening::State { state } if state.is_terminal()));
    same!(ends.count(), 1);
    Ok(())
}

pub(super) async fn i3_the_merge_is_made_once_after_all_spans(bench: &Bench) -> Verdict {
    let job = job("default", 1);
    bench.plan(&job, "f", 3).await?;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(bench.take_kind(&worker("f"), TaskKind::Span).await?);
    }
    for (span, token) in &held {
        bench.take_nothing(&worker("f")).await?;
        // Each is said twice, as after a lost answer: a count of answers would come to three too soon.
        for _ in 0..2 {
            same!(bench.queue.complete(span.task, *token, &Outcome::Done).await?, Fence::Held);
        }
    }
    let (merge, token) = bench.take_kind(&worker("f"), TaskKind::Merge).await?;
    same!(bench.queue.complete(held[2].0.task, held[2].1, &Outcome::Done).await?, Fence::Held);
    bench.take_nothing(&worker("f")).await?;
    same!(bench.queue.complete(merge.task, token, &Outcome::Done).await?, Fence::Held);
    same!(bench.queue.complete(held[0].0.task, held[0].1, &Outcome::Done).await?, Fence::Held);
    bench.take_nothing(&worker("f")).await
}

pub(super) async fn i9_the_same_submission_is_one_job(bench: &Bench) -> Verdict {
    let job = job("default", 1);
    bench.enter(&job).await?;
    same!(bench.queue.submit(&job, WIDE).await?, Submitted::Known(State::Queued));
    let (plan, token) = bench.take(&worker("f")).await?;
    same!(bench.queue.submit(&job, WIDE).await?, Submitted::Known(State::Running));
    bench.take_nothing(&worker("f")).await?;
    same!(bench.queue.complete(plan.task, token, &Outcome::Done).await?, Fence::Held);
    same!(bench.queue.submit(&job, WIDE).await?, Submitted::Known(State::Succeeded));
    bench.take_nothing(&worker("f")).await?;
    same!(bench.queue.depth().await?.jobs, 0);
    Ok(())
}

pub(super) async fn tasks_are_handed_out_by_kind(bench: &Bench) -> Verdict {
    bench.plan(&job("default", 1), "f", 1).await?;
    let (span, token) = bench.take_kind(&worker("f"), TaskKind::Span).await?;
    bench.plan(&job("default", 2), "f", 1).await?;
    bench.enter(&job("default", 3)).await?;
    bench.enter(&NewJob { first: First::Derive, ..job("default", 4) }).await?;
    bench.enter(&NewJob { notify: true, ..job("default", 5) }).await?;
    bench.queue.cancel(job("default", 5).id).await?;
    same!(bench.queue.complete(span.task, token, &Outcome::Done).await?, Fence::Held);
    for kind in TaskKind::ALL {
        bench.take_kind(&worker("f"), kind).await?;
    }
    bench.take_nothing(&worker("f")).await
}

pub(super) async fn spans_and_merges_are_for_workers_of_the_plans_fingerprint(bench: &Bench) -> Verdict {
    bench.plan(&job("default", 1), "f", 1).await?;
    bench.take_nothing(&worker("g")).await?;
    bench.take_nothing(&worker_of(TaskKind::Plan, "f")).await?;
    let (span, token) = bench.take_kind(&worker("f"), TaskKind::Span).await?;
    same!(bench.queue.complete(span.task, token, &Outcome::Done).await?, Fence::Held);
    bench.take_nothing(&worker("g")).await?;
    bench.take_kind(&worker("f"), TaskKind::Merge).await?;
    Ok(())
}

pub(super) async fn inside_a_tenant_the_first_comes_first(bench: &Bench) -> Verdict {
    for n in 0..20 {
        bench.enter(&job("default", n)).await?;
    }
    same!(bench.status(job("default", 19).id).await?.ahead, 19);
    for n in 0..20 {
        same!(bench.take(&worker("f")).await?.0.task.job, job("default", n).id);
    }
    Ok(())
}

pub(super) async fn a_full_queue_says_so(bench: &Bench) -> Verdict {
    let room = Room { jobs: 3, jobs_of_tenant: 2 };
    for n in 0..2 {
        same!(bench.queue.submit(&job("one", n), room).await?, Submitted::Accepted);
    }
    same!(bench.queue.submit(&job("one", 2), room).await?, Submitted::TenantFull);
    same!(bench.queue.submit(&job("two", 3), room).await?, Submitted::Accepted);
    same!(bench.queue.submit(&job("two", 4), room).await?, Submitted::Full);
    same!(bench.queue.depth().await?.cost_ms, 3000);
    bench.queue.cancel(job("one", 0).id).await?;
    same!(bench.queue.submit(&job("two", 4), room).await?, Submitted::Accepted);
    same!(bench.queue.depth().await?.jobs, 3);
    Ok(())
}

pub(super) async fn unfinished_jobs_are_listed_page_by_page(bench: &Bench) -> Verdict {
    let all: Vec<_> = (0..5).map(|n| (job("default", n).id, job("default", n).song)).collect();
    for n in 0..5 {
        bench.enter(&job("default", n)).await?;
    }
    same!(bench.queue.unfinished(None, 2).await?, all[..2]);
    // The next page begins after its place, even where it has ended in between.
    bench.queue.cancel(all[1].0).await?;
    same!(bench.queue.unfinished(Some(all[1].0), 2).await?, all[2..4]);
    same!(bench.queue.unfinished(Some(all[4].0), 2).await?, []);
    Ok(())
}

pub(super) async fn claims_at_the_same_time_never_share_a_task(bench: &Bench) -> Verdict {
    bench.plan(&job("default", 1), "f", 50).await?;
    let claimant = worker("f");
    let claims = join_all((0..60).map(|_| bench.queue.claim(&claimant, Token::draw()))).await;
    let mut tasks = BTreeSet::new();
    for claim in claims {
        if let Some(claim) = claim? {
            holds!(tasks.insert(claim.task), "{} was handed out twice", claim.task);
        }
    }
    same!(tasks.len(), 50);
    Ok(())
}
