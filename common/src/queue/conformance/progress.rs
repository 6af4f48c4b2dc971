//! What is told of a job.

use std::time::Duration;

use super::{Bench, Broken, LEASE, Verdict, holds, job, same, spans, worker};
use crate::ids::JobId;
use crate::queue::{Event, Fence, Happening, Outcome, State, TaskKind};

/// All events: numbered from 1, their progress only rising, 1000 only right before success.
async fn told(bench: &Bench, job: JobId) -> Verdict<Vec<Event>> {
    let events = bench.queue.events(job, 0, 1000).await?;
    let mut highest = 0;
    for (event, number) in events.iter().zip(1..) {
        same!(event.number, number);
        if let Happening::Progress { permille, .. } = event.what {
            holds!(permille > highest, "progress went from {highest} to {permille}");
            highest = permille;
            let after = events.get(number as usize).map(|event| &event.what);
            let success = after == Some(&Happening::State { state: State::Succeeded });
            same!(permille == 1000, success);
        }
    }
    same!(bench.status(job).await?.last_event, events.len() as u64);
    same!(bench.status(job).await?.permille, highest);
    Ok(events)
}

pub(super) async fn i8_progress_never_goes_back(bench: &Bench) -> Verdict {
    let id = job("default", 1).id;
    bench.plan(&job("default", 1), "f", 2).await?;
    let (span, token) = bench.take(&worker("f")).await?;
    for (done, permille) in [(3, 150), (8, 400), (5, 400), (99, 500)] {
        same!(bench.queue.progress(span.task, token, done, 0).await?, Fence::Held);
        same!(bench.status(id).await?.permille, permille);
    }
    // What the dead worker had in hand is not done, but it was told.
    bench.pass(LEASE).await?;
    let (span, token) = bench.take(&worker("f")).await?;
    same!(bench.status(id).await?.units, (0, 20));
    same!(bench.queue.progress(span.task, token, 2, 0).await?, Fence::Held);
    same!(bench.status(id).await?.permille, 500);
    same!(bench.queue.complete(span.task, token, &Outcome::Done).await?, Fence::Held);
    let (other, token) = bench.take(&worker("f")).await?;
    same!(bench.queue.complete(other.task, token, &Outcome::Done).await?, Fence::Held);
    let status = bench.status(id).await?;
    same!((status.permille, status.units), (999, (20, 20)));
    told(bench, id).await?;
    let (merge, token) = bench.take_kind(&worker("f"), TaskKind::Merge).await?;
    same!(bench.queue.complete(merge.task, token, &Outcome::Done).await?, Fence::Held);
    told(bench, id).await?;
    Ok(())
}

pub(super) async fn i8_progress_never_goes_back_over_plans(bench: &Bench) -> Verdict {
    let id = job("default", 1).id;
    bench.plan(&job("default", 1), "f", 2).await?;
    let (span, token) = bench.take(&worker("f")).await?;
    same!(bench.queue.complete(span.task, token, &Outcome::Done).await?, Fence::Held);
    bench.pass(Duration::from_mins(3)).await?;
    let status = bench.status(id).await?;
    same!((status.permille, status.units), (500, (0, 0)));
    let (plan, token) = bench.take_kind(&worker("g"), TaskKind::Plan).await?;
    same!(bench.queue.complete(plan.task, token, &spans("g", 5)).await?, Fence::Held);
    for permille in [500, 500, 600] {
        let (span, token) = bench.take_kind(&worker("g"), TaskKind::Span).await?;
        same!(bench.queue.complete(span.task, token, &Outcome::Done).await?, Fence::Held);
        same!(bench.status(id).await?.permille, permille);
    }
    told(bench, id).await?;
    Ok(())
}

pub(super) async fn events_are_numbered_and_told_once(bench: &Bench) -> Verdict {
    let id = job("default", 1).id;
    bench.enter(&job("default", 1)).await?;
    let (plan, token) = bench.take(&worker("f")).await?;
    for stem in ["vocals", "drums", "vocals"] {
        let stem = stem.parse().map_err(|_| Broken(format!("{stem} is a stem")))?;
        same!(bench.queue.progress(plan.task, token, 1, 2).await?, Fence::Held);
        same!(bench.queue.stem_ready(plan.task, token, &stem).await?, Fence::Held);
    }
    same!(bench.queue.complete(plan.task, token, &Outcome::Done).await?, Fence::Held);
    let events = told(bench, id).await?;
    same!(events.len(), 7);
    same!(bench.queue.events(id, 2, 3).await?, events[2..5]);
    same!(bench.queue.events(id, 7, 3).await?, []);
    Ok(())
}

pub(super) async fn waiting_for_news_ends_with_news(bench: &Bench) -> Verdict {
    let id = job("default", 1).id;
    let long = Duration::from_secs(20);
    bench.enter(&job("default", 1)).await?;
    same!(bench.queue.changed(id, 0, long).await?, true);
    same!(bench.queue.changed(id, 1, Duration::ZERO).await?, false);
    let (news, claim) =
        futures_util::future::join(bench.queue.changed(id, 1, long), bench.take(&worker("f"))).await;
    claim?;
    same!(news?, true);
    // A bell may have rung for what is there no more.
    let (woken, entered) =
        futures_util::future::join(bench.queue.ready(long), bench.enter(&job("default", 2))).await;
    woken?;
    entered
}
