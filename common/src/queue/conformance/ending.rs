//! Ends of jobs and of epochs.

use std::time::Duration;

use super::{Bench, LEASE, Verdict, WIDE, job, same, worker};
use crate::ids::{Epoch, JobId};
use crate::queue::{Depth, Failure, Fence, NewJob, Outcome, State, Submitted, TaskKind};

const REMEMBER: Duration = Duration::from_mins(10);

pub(super) async fn i7_at_rest_nothing_is_left(bench: &Bench) -> Verdict {
    for n in 0..6 {
        bench.enter(&NewJob { notify: n % 2 == 0, ..job("default", n) }).await?;
    }
    let mut rounds = 0;
    loop {
        let depth = bench.queue.depth().await?;
        if depth.jobs + depth.ready + depth.active + depth.delayed == 0 {
            break;
        }
        rounds += 1;
        same!(rounds < 100, true);
        if rounds == 8 {
            bench.queue.cancel(job("default", 5).id).await?;
        }
        match bench.take(&worker("f")).await {
            Ok((claim, token)) if claim.task.kind == TaskKind::Plan && rounds % 3 == 0 => {
                bench.queue.complete(claim.task, token, &super::spans("f", 2)).await?;
            }
            Ok((claim, token)) if rounds % 4 == 1 => {
                bench.queue.fail(claim.task, token, Failure::Transient, "no").await?;
            }
            Ok((_, _)) if rounds % 4 == 2 => {}
            Ok((claim, token)) => {
                bench.queue.complete(claim.task, token, &Outcome::Done).await?;
            }
            Err(_) => {}
        }
        bench.pass(LEASE / 3).await?;
    }
    let dead = bench.queue.depth().await?.dead;
    same!(bench.queue.depth().await?, Depth { dead, ..Depth::default() });
    for n in 0..6 {
        same!(bench.status(job("default", n).id).await?.state.is_terminal(), true);
    }
    same!(bench.queue.unfinished(None, 10).await?, []);
    Ok(())
}

pub(super) async fn i10_a_canceled_job_leaves_nothing_and_its_workers_hear_of_it(bench: &Bench) -> Verdict {
    let id = job("default", 1).id;
    bench.plan(&job("default", 1), "f", 4).await?;
    let (held, token) = bench.take(&worker("f")).await?;
    let (failed, failed_token) = bench.take(&worker("f")).await?;
    same!(bench.queue.fail(failed.task, failed_token, Failure::Transient, "no").await?, Fence::Held);
    same!(bench.queue.cancel(id).await?, Some(State::Canceled));
    same!(bench.queue.cancel(id).await?, Some(State::Canceled));
    same!(bench.queue.depth().await?, Depth::default());
    bench.take_nothing(&worker("f")).await?;
    same!(bench.queue.progress(held.task, token, 1, 0).await?, Fence::Canceled);
    same!(bench.queue.complete(held.task, token, &Outcome::Done).await?, Fence::Canceled);
    same!(bench.queue.fail(held.task, token, Failure::Permanent, "no").await?, Fence::Canceled);
    same!(bench.queue.release(held.task, token).await?, Fence::Canceled);
    bench.pass(LEASE).await?;
    bench.take_nothing(&worker("f")).await?;
    bench.state_is(id, State::Canceled).await?;
    // Before anybody took it in, too.
    bench.enter(&job("default", 2)).await?;
    same!(bench.queue.cancel(job("default", 2).id).await?, Some(State::Canceled));
    same!(bench.queue.depth().await?, Depth::default());
    same!(bench.queue.cancel(job("default", 3).id).await?, None);
    Ok(())
}

pub(super) async fn i10_after_a_reset_nothing_comes_back(bench: &Bench) -> Verdict {
    bench.plan(&job("default", 1), "f", 2).await?;
    bench.enter(&job("default", 2)).await?;
    let (held, token) = bench.take(&worker("f")).await?;
    same!(bench.queue.reset(Epoch(3)).await?, Epoch(3));
    same!(bench.queue.reset(Epoch(2)).await?, Epoch(3));
    same!(bench.queue.epoch().await?, Epoch(3));
    same!(bench.queue.complete(held.task, token, &Outcome::Done).await?, Fence::Canceled);
    same!(bench.queue.submit(&job("default", 4), WIDE).await?, Submitted::Stale);
    same!(bench.queue.status(job("default", 1).id).await?, None);
    same!(bench.queue.cancel(job("default", 1).id).await?, None);
    same!(bench.queue.depth().await?, Depth::default());
    bench.pass(LEASE).await?;
    bench.take_nothing(&worker("f")).await?;
    // The same unique part in another epoch is another job.
    let later = NewJob { id: JobId::from_parts(Epoch(3), 2), ..job("default", 1) };
    bench.enter(&later).await?;
    same!(bench.take(&worker("f")).await?.0.task.job, later.id);
    Ok(())
}

pub(super) async fn a_later_epoch_enters_with_its_first_job(bench: &Bench) -> Verdict {
    bench.enter(&job("default", 1)).await?;
    let (plan, token) = bench.take(&worker("f")).await?;
    let later = NewJob { id: JobId::from_parts(Epoch(7), 1), ..job("default", 1) };
    bench.enter(&later).await?;
    same!(bench.queue.epoch().await?, Epoch(7));
    same!(bench.queue.complete(plan.task, token, &Outcome::Done).await?, Fence::Canceled);
    same!(bench.queue.depth().await?.jobs, 1);
    Ok(())
}

pub(super) async fn a_job_that_has_ended_can_be_forgotten(bench: &Bench) -> Verdict {
    let job = NewJob { notify: true, ..job("default", 1) };
    bench.enter(&job).await?;
    bench.queue.forget(job.id).await?;
    bench.state_is(job.id, State::Queued).await?;
    bench.queue.cancel(job.id).await?;
    bench.queue.forget(job.id).await?;
    same!(bench.queue.status(job.id).await?, None);
    same!(bench.queue.events(job.id, 0, 10).await?, []);
    bench.take_nothing(&worker("f")).await?;
    bench.enter(&job).await
}

pub(super) async fn an_ended_job_is_remembered_for_a_while(bench: &Bench) -> Verdict {
    let (quiet, told) = (job("default", 1), NewJob { notify: true, ..job("default", 2) });
    for job in [&quiet, &told] {
        bench.enter(job).await?;
        bench.queue.cancel(job.id).await?;
    }
    bench.pass(LEASE * 9).await?;
    bench.state_is(quiet.id, State::Canceled).await?;
    bench.pass(LEASE).await?;
    same!(bench.queue.status(quiet.id).await?, None);
    // Whoever is to be told has to be told first.
    bench.state_is(told.id, State::Canceled).await?;
    let (notify, token) = bench.take_kind(&worker("f"), TaskKind::Notify).await?;
    same!(bench.queue.complete(notify.task, token, &Outcome::Done).await?, Fence::Held);
    bench.pass(REMEMBER).await?;
    same!(bench.queue.status(told.id).await?, None);
    Ok(())
}

pub(super) async fn what_was_given_up_is_listed_until_it_is_buried(bench: &Bench) -> Verdict {
    for n in 0..3 {
        bench.enter(&job("default", n)).await?;
        let (plan, token) = bench.take(&worker("f")).await?;
        let reason = format!("reason {n}: \"quoted\" \u{e4}\n");
        same!(bench.queue.fail(plan.task, token, Failure::Permanent, &reason).await?, Fence::Held);
    }
    let dead = bench.queue.dead(2).await?;
    same!(dead.len(), 2);
    same!((dead[0].job, dead[0].reason.as_str()), (job("default", 2).id, "reason 2: \"quoted\" \u{e4}\n"));
    same!(Some(dead[0].at_ms), bench.clock.shown_ms());
    bench.queue.bury(dead[0].job).await?;
    bench.queue.bury(dead[0].job).await?;
    same!(bench.queue.depth().await?.dead, 2);
    same!(bench.queue.dead(10).await?[0].job, job("default", 1).id);
    Ok(())
}
