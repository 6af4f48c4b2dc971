//! What becomes of songs where a card fails.

use std::time::Duration;

use common::job::Ending;
use demucs::cuda::Card;
use worker::{Settings, WorkerError};

use crate::bench::{Bench, song};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_card_fails_gives_its_songs_back_and_ends() {
    let bench = Bench::new().await;
    let mut records = Vec::new();
    for i in 0..5 {
        let hash = bench.store_song(song(20_000 + i)).await;
        records.push(bench.submit(hash).await);
    }
    let card = Card::emulated();
    let worker = bench.worker_on(&card, Settings { songs_at_once: 3, ..bench.settings() });
    tokio::time::timeout(Duration::from_secs(100), async {
        while bench.ledger.view(&records[0]).await.unwrap().progress.segments_done == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    card.fail();
    let end = tokio::time::timeout(Duration::from_secs(100), worker.end()).await.unwrap();
    let Err(WorkerError::Broken { reason }) = end else { panic!("{end:?}") };
    assert!(reason.contains("the card failed"), "{reason}");
    let depth = bench.ledger.queue().depth().await.unwrap();
    assert_eq!((depth.active, depth.dead), (0, 0), "{depth:?}");

    let worker = bench.worker(None);
    for record in &records {
        assert!(matches!(bench.end_of(record).await.ending, Ending::Succeeded { .. }));
    }
    bench.rest().await;
    worker.stop().await;
}
