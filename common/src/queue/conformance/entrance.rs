//! Entries that were pushed onto the entrance list by hand.

use super::{Bench, LEASE, Verdict, job, same, worker};

const ENTRY: &str = r#"{"songhash": "ab", "model": "htdemucs"}"#;

pub(super) async fn foreign_entries_are_never_dropped(bench: &Bench) -> Verdict {
    (bench.by_hand)(ENTRY.to_owned()).await;
    (bench.by_hand)("not even JSON".to_owned()).await;
    bench.enter(&job("default", 1)).await?;
    same!(bench.queue.depth().await?.ready, 3);
    // A claim meets them on its way to the task behind them.
    same!(bench.take(&worker("f")).await?.0.task.job, job("default", 1).id);
    same!(bench.queue.depth().await?.ready, 2);
    same!(bench.queue.next_foreign().await?.as_deref(), Some(ENTRY));
    same!(bench.queue.next_foreign().await?.as_deref(), Some("not even JSON"));
    same!(bench.queue.next_foreign().await?, None);
    same!(bench.queue.depth().await?.ready, 2);
    bench.queue.settle_foreign("not even JSON").await?;
    bench.clock.advance(LEASE);
    same!(bench.queue.next_foreign().await?.as_deref(), Some(ENTRY));
    bench.queue.settle_foreign(ENTRY).await?;
    bench.queue.settle_foreign(ENTRY).await?;
    bench.clock.advance(LEASE);
    same!(bench.queue.next_foreign().await?, None);
    same!(bench.queue.depth().await?.ready, 0);
    Ok(())
}

pub(super) async fn equal_foreign_entries_come_one_after_the_other(bench: &Bench) -> Verdict {
    for _ in 0..2 {
        (bench.by_hand)(ENTRY.to_owned()).await;
    }
    for _ in 0..2 {
        same!(bench.queue.next_foreign().await?.as_deref(), Some(ENTRY));
        same!(bench.queue.next_foreign().await?, None);
        bench.queue.settle_foreign(ENTRY).await?;
    }
    same!(bench.queue.next_foreign().await?, None);
    Ok(())
}
