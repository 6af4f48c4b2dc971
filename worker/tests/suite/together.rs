//! Songs that are in work at the same time get the bytes that each gets alone.

use std::time::Duration;

use common::job::Ending;
use worker::Settings;

use crate::bench::{Bench, STEMS, held, small, song};
use crate::reference::in_one_pass;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn songs_that_share_batches_and_devices_get_the_files_of_one_pass() {
    let bench = Bench::new().await;
    let mut songs: Vec<Vec<u8>> = (0..10).map(|i| song(150 + 950 * i)).collect();
    songs.insert(3, b"no song".to_vec());
    let mut records = Vec::new();
    for bytes in &songs {
        let hash = bench.store_song(bytes.clone()).await;
        records.push(bench.submit(hash).await);
    }
    // Whole songs, and one with spans of three segments.
    let workers = [bench.wide_worker(Some(1000)), bench.wide_worker(Some(3))];
    let engines = bench.engines();
    for (index, (bytes, record)) in songs.iter().zip(&records).enumerate() {
        let ending = bench.end_of(record).await.ending;
        if index == 3 {
            assert!(matches!(ending, Ending::Failed { .. }), "{ending:?}");
            continue;
        }
        assert!(matches!(ending, Ending::Succeeded { .. }), "{ending:?}");
        let loaded = held(&engines, &small()).await;
        let flac = audio::Format::Flac(audio::FlacDepth::Bits24);
        for (stem, expected) in STEMS.iter().zip(in_one_pass(&loaded, bytes, flac, &[])) {
            assert!(bench.result(record, stem).await.unwrap() == expected, "{stem} of song {index}");
        }
    }
    bench.rest().await;
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_ends_gives_back_all_that_it_has_in_hand() {
    let bench = Bench::new().await;
    let mut records = Vec::new();
    for i in 0..8 {
        let hash = bench.store_song(song(20_000 + i)).await;
        records.push(bench.submit(hash).await);
    }
    for round in 0..5 {
        let worker = bench.wide_worker(None);
        tokio::time::sleep(Duration::from_millis(50 + 60 * round)).await;
        worker.stop().await;
        let depth = bench.ledger.queue().depth().await.unwrap();
        assert_eq!(depth.active, 0, "{depth:?}");
    }
    let worker = bench.wide_worker(None);
    for record in &records {
        assert!(matches!(bench.end_of(record).await.ending, Ending::Succeeded { .. }));
    }
    bench.rest().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_song_whose_results_have_no_room_waits_for_those_of_another_one() {
    let bench = Bench::patient().await;
    let mut records = Vec::new();
    for i in 0..2 {
        let hash = bench.store_song(song(400_000 + i)).await;
        records.push(bench.submit(hash).await);
    }
    // The files of four stems take 6 bytes a frame each, and are kept too; a song takes 16 with its upload.
    let temp_bytes = Some(30_000_000);
    let worker = bench.worker_of_songs(Settings { songs_at_once: 4, temp_bytes, ..bench.settings() });
    loop {
        let mut views = Vec::new();
        for record in &records {
            views.push(bench.ledger.view(record).await.unwrap());
        }
        if views.iter().all(|view| view.state.is_terminal()) {
            break;
        }
        let begun = |view: &&common::job::View| view.progress.segments_done > 0 && !view.state.is_terminal();
        assert!(views.iter().filter(begun).count() < 2, "{views:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for record in &records {
        assert!(matches!(bench.end_of(record).await.ending, Ending::Succeeded { .. }));
    }
    worker.stop().await;
}
