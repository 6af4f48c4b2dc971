//! However a song is divided, its results are the same bytes.

use common::job::Ending;
use common::keys::Bucket;

use crate::bench::{Bench, STEMS, held, small, song};
use crate::reference::in_one_pass;

/// The files that one engine makes of a song in one pass.
async fn one_pass(bench: &Bench, bytes: &[u8]) -> Vec<Vec<u8>> {
    let loaded = held(&bench.engines(), &small()).await;
    in_one_pass(&loaded, bytes, audio::Format::Flac(audio::FlacDepth::Bits24), &[])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_two_and_five_workers_make_the_same_files_as_one_pass() {
    let bytes = song(6000);
    let expected = one_pass(&Bench::new().await, &bytes).await;
    for (workers, span_segments) in [(1, None), (1, Some(1)), (2, Some(3)), (5, Some(2)), (1, Some(1000))] {
        let bench = Bench::new().await;
        let hash = bench.store_song(bytes.clone()).await;
        let record = bench.submit(hash).await;
        let running: Vec<_> = (0..workers).map(|_| bench.worker(span_segments)).collect();
        let manifest = bench.end_of(&record).await;
        let Ending::Succeeded { results } = &manifest.ending else { panic!("{manifest:?}") };
        assert_eq!(results.len(), 4);
        assert!(results.iter().all(|result| (result.frames, result.rate_hz) == (6000, 8000)));
        for (stem, expected) in STEMS.iter().zip(&expected) {
            let got = bench.result(&record, stem).await.unwrap();
            assert!(got == *expected, "{stem} by {workers} workers with spans of {span_segments:?}");
        }
        bench.rest().await;
        for worker in running {
            worker.stop().await;
        }
        assert_eq!(bench.paths(Bucket::Queue, "pending/").await, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_die_and_stop_change_no_byte() {
    let bytes = song(9000);
    let bench = Bench::new().await;
    let expected = one_pass(&bench, &bytes).await;
    let hash = bench.store_song(bytes).await;
    let record = bench.submit(hash).await;
    for round in 0..8 {
        let worker = bench.worker(Some(2));
        tokio::time::sleep(std::time::Duration::from_millis(60 + 40 * round)).await;
        if round % 2 == 0 { worker.kill() } else { worker.stop().await }
    }
    let last = bench.worker(Some(2));
    assert!(matches!(bench.end_of(&record).await.ending, Ending::Succeeded { .. }));
    for (stem, expected) in STEMS.iter().zip(&expected) {
        assert!(bench.result(&record, stem).await.unwrap() == *expected, "{stem}");
    }
    bench.rest().await;
    last.stop().await;
}
