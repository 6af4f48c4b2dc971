//! What becomes of songs where a card fails or hangs.

use std::time::Duration;

use common::job::{Ending, Record};
use demucs::cuda::Card;
use worker::{Settings, WorkerError};

use crate::bench::{Bench, Running, song};

/// Longest wait for a worker's end.
const PATIENCE: Duration = Duration::from_secs(100);

async fn submit(bench: &Bench, songs: usize, frames: usize) -> Vec<Record> {
    let mut records = Vec::new();
    for i in 0..songs {
        let hash = bench.store_song(song(frames + i)).await;
        records.push(bench.submit(hash).await);
    }
    records
}

/// Settings by which no song is divided, however slow the card is.
fn whole(bench: &Bench) -> Settings {
    Settings { span_segments: Some(1000), ..bench.settings() }
}

/// How a worker ends by itself; then nobody holds a song, and one song at most has lost an attempt.
async fn end_of(bench: &Bench, worker: Running, card: &Card, songs: usize) -> WorkerError {
    let end = tokio::time::timeout(PATIENCE, worker.end()).await;
    let depth = bench.ledger.queue().depth().await.unwrap();
    // Else the threads that it holds would not end either.
    card.hang(false);
    assert_eq!((depth.active, depth.dead), (0, 0), "{depth:?}");
    let attempts = bench.attempts().await;
    assert!(attempts.len() == songs && attempts.iter().sum::<u32>() <= songs as u32 + 1, "{attempts:?}");
    end.unwrap().unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_card_fails_gives_its_songs_back_at_once_and_ends() {
    let bench = Bench::patient().await;
    let records = submit(&bench, 5, 20_000).await;
    let card = Card::emulated();
    let finish_within = Duration::from_secs(10);
    let settings = Settings { songs_at_once: 5, finish_within, ..whole(&bench) };
    let worker = bench.worker_on(&card, settings);
    bench.in_work(&records).await;
    card.fail();
    let error = end_of(&bench, worker, &card, 5).await;
    let WorkerError::Broken { reason } = error else { panic!("{error:?}") };
    assert!(reason.contains("the card failed"), "{reason}");

    let worker = bench.worker(None);
    for record in &records {
        assert!(matches!(bench.end_of(record).await.ending, Ending::Succeeded { .. }));
    }
    bench.rest().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_card_hangs_gives_its_songs_back_and_ends() {
    let bench = Bench::patient().await;
    let records = submit(&bench, 3, 60_000).await;
    let card = Card::emulated();
    let hung_after = Duration::from_secs(8);
    let worker = bench.worker_on(&card, Settings { songs_at_once: 3, hung_after, ..whole(&bench) });
    bench.in_work(&records).await;
    card.hang(true);
    let error = end_of(&bench, worker, &card, 3).await;
    assert!(matches!(error, WorkerError::Hung { seconds: 8.. }), "{error:?}");
}
