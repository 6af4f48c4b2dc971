//! Other mixes of a song that was separated need no second separation.

use std::io::Cursor;

use audio::measure::Waveform;
use audio::{Block, DecodeLimits, Decoder};
use common::job::{Ending, Mix, Options, Record};
use common::keys::{Bucket, ObjectKey};
use common::queue::First;

use crate::bench::{Bench, STEMS, song};

fn decoded(bytes: Vec<u8>) -> Block {
    Decoder::open(Box::new(Cursor::new(bytes)), &DecodeLimits::default(), None).unwrap().read_all().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_drawn_of_a_result_are_its_own_samples() {
    let bench = Bench::new().await;
    let record = separated(&bench, Some(2)).await;
    for stem in STEMS {
        let result = bench.ledger.result(&record, &stem.parse().unwrap()).await.unwrap().unwrap();
        let peaks = bench.ledger.peaks(&record, &result).await.unwrap();
        let mut expected = Waveform::new(6000, 2000);
        expected.add(&decoded(bench.result(&record, stem).await.unwrap()));
        assert_eq!(peaks.len(), 2000, "{stem}");
        assert!(peaks.iter().any(|[low, high]| *low < -100 && *high > 100), "{stem}");
        for (drawn, part) in peaks.iter().flatten().zip(expected.parts().iter().flatten()) {
            assert!((f32::from(*drawn) - part * 32_768.0).abs() <= 1.0, "{stem}: {drawn} for {part}");
        }
    }
}

/// What a karaoke singer asks for: everything without the vocals, the bass at half its level.
fn karaoke() -> Options {
    let gains = [("drums", 1.0), ("bass", 0.5), ("other", 1.0)];
    let gains = gains.into_iter().map(|(stem, gain)| (stem.parse().unwrap(), gain)).collect();
    let mixes = vec![Mix { name: "karaoke".parse().unwrap(), gains }];
    Options { mixes, only_mixes: true, ..Options::default() }
}

async fn separated(bench: &Bench, segments: Option<usize>) -> Record {
    let record = bench.submit(bench.store_song(song(6000)).await).await;
    assert_eq!(record.first, First::Plan);
    let worker = bench.worker(segments);
    bench.end_of(&record).await;
    bench.rest().await;
    worker.stop().await;
    record
}

/// Largest difference between the derived mix and the same sum of the stems of the job before it.
async fn difference(bench: &Bench, stems: &Record, mix: &Record) -> f32 {
    let mut expected = vec![vec![0.0f32; 6000]; 2];
    for (stem, gain) in [("drums", 1.0), ("bass", 0.5), ("other", 1.0)] {
        let block = decoded(bench.result(stems, stem).await.unwrap());
        for (sum, plane) in expected.iter_mut().flatten().zip(block.iter().flatten()) {
            *sum += gain * plane;
        }
    }
    let got = decoded(bench.result(mix, "karaoke").await.unwrap());
    assert_eq!(got[0].len(), 6000);
    let differences = expected.iter().flatten().zip(got.iter().flatten()).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mix_that_is_asked_for_later_is_made_without_the_network() {
    for segments in [None, Some(2)] {
        let bench = Bench::new().await;
        let stems = separated(&bench, segments).await;
        // Whoever needed the network now could not have it.
        std::fs::remove_dir_all(bench.root.path().join("models")).unwrap();
        let mix = bench.submit_with(stems.song, karaoke()).await;
        assert_eq!(mix.first, First::Derive);
        let worker = bench.worker(segments);
        let manifest = bench.end_of(&mix).await;
        let Ending::Succeeded { results } = &manifest.ending else { panic!("{manifest:?}") };
        assert_eq!(results.len(), 1, "its stems are there already");
        // Half a step of 22 bits for each kept source with its gain, and half a step of 24 for what is compared.
        let largest = difference(&bench, &stems, &mix).await;
        assert!(largest < 1e-6, "{largest}");
        bench.rest().await;
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mix_that_is_asked_for_while_the_sources_are_stored_needs_no_separation_either() {
    let bench = Bench::new().await;
    let stems = separated(&bench, None).await;
    let key = ObjectKey::kept(&stems.tenant, &stems.options.separation(&stems.song));
    let kept = bench.ledger.kept(&stems).await.unwrap().unwrap();
    bench.ledger.store().delete(&key).await.unwrap();
    let mix = bench.submit_with(stems.song, karaoke()).await;
    assert_eq!(mix.first, First::Plan);
    bench.ledger.keep(&stems, &kept).await.unwrap();
    let worker = bench.worker(None);
    let manifest = bench.end_of(&mix).await;
    let Ending::Succeeded { results } = &manifest.ending else { panic!("{manifest:?}") };
    assert!(results[0].make.engine.ends_with(&format!("-of-{}", stems.id)), "{results:?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_that_are_gone_cost_a_separation_and_no_song() {
    let bench = Bench::new().await;
    let stems = separated(&bench, None).await;
    let mix = bench.submit_with(stems.song, karaoke()).await;
    assert_eq!(mix.first, First::Derive);
    let separation = ObjectKey::kept_of(&mix.tenant, &mix.options.separation(&mix.song));
    assert!(bench.ledger.store().delete_prefix(Bucket::Output, &separation).await.unwrap() > STEMS.len());
    let worker = bench.worker(None);
    let manifest = bench.end_of(&mix).await;
    assert!(matches!(manifest.ending, Ending::Succeeded { .. }), "{manifest:?}");
    let largest = difference(&bench, &stems, &mix).await;
    assert!(largest < 1e-6, "{largest}");
    worker.stop().await;
}
