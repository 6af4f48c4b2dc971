//! How jobs end.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::job::{Ending, Make};
use common::keys::Bucket;
use common::ledger::{Keep, Ledger};
use common::queue::State;
use common::storage::Write;
use common::{Epoch, JobId, ObjectKey};

use crate::bench::{Bench, song};

/// What a worker that died might have written with.
fn make() -> Make {
    Make { plan: 0, engine: "another".to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_no_song_fails_once_with_a_sentence() {
    let bench = Bench::new().await;
    let hash = bench.store_song(b"this is no song, whatever its name says".repeat(50)).await;
    let record = bench.submit(hash).await;
    let worker = bench.worker(None);
    let manifest = bench.end_of(&record).await;
    let Ending::Failed { reason } = manifest.ending else { panic!("{manifest:?}") };
    assert!(reason.len() > 10 && !reason.contains('/'), "{reason}");
    bench.rest().await;
    worker.stop().await;
    let status = bench.ledger.queue().status(record.id).await.unwrap().unwrap();
    assert_eq!(status.state, State::Failed);
    assert_eq!(bench.result(&record, "bass").await, None);
    let view = bench.ledger.view(&record).await.unwrap();
    assert_eq!(view.error.unwrap().detail, reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canceled_job_leaves_no_stems() {
    let bench = Bench::new().await;
    let hash = bench.store_song(song(40_000)).await;
    let record = bench.submit(hash).await;
    let worker = bench.worker(Some(4));
    while bench.ledger.view(&record).await.unwrap().progress.segments_done == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let manifest = bench.ledger.cancel(&record).await.unwrap();
    assert_eq!(manifest.ending, Ending::Canceled);
    bench.rest().await;
    worker.stop().await;
    let results = bench.paths(Bucket::Output, "").await;
    assert!(results.iter().all(|path| path.ends_with("/manifest.json")), "{results:?}");
    assert_eq!(bench.ledger.view(&record).await.unwrap().state, State::Canceled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_queue_costs_time_and_no_song() {
    let mut bench = Bench::new().await;
    let hash = bench.store_song(song(20_000)).await;
    let record = bench.submit(hash).await;
    let worker = bench.worker(Some(2));
    while bench.ledger.view(&record).await.unwrap().progress.segments_done == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    worker.kill();
    bench.lose_the_queue();
    assert_eq!(bench.ledger.queue().status(record.id).await.unwrap(), None);
    let worker = bench.worker(Some(2));
    assert!(matches!(bench.end_of(&record).await.ending, Ending::Succeeded { .. }));
    bench.rest().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_pushed_by_hand_is_separated_once_its_song_is_there() {
    let bench = Bench::new().await;
    let bytes = song(3000);
    let hash = common::SongHash::new(
        sha2::Digest::finalize(sha2::Digest::chain_update(<sha2::Sha256 as sha2::Digest>::new(), &bytes))
            .into(),
    );
    bench.queue.push_by_hand(&format!(r#"{{"hash": "{hash}", "model": "small"}}"#));
    bench.queue.push_by_hand("this is no job");
    let worker = bench.worker(None);
    tokio::time::sleep(Duration::from_millis(600)).await;
    bench.store_song(bytes).await;
    let record = tokio::time::timeout(Duration::from_mins(1), async {
        loop {
            let tenant = common::Tenant::default_tenant();
            if let Some(record) = bench.ledger.jobs_with_song(&tenant, &hash).await.unwrap().pop() {
                return record;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
    // The usual format does not have the network's rate of 8 kHz at 320 kbit/s; what counts is that it ends.
    bench.end_of(&record).await;
    bench.rest().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_song_twice_is_one_separation() {
    let bench = Bench::new().await;
    let hash = bench.store_song(song(3000)).await;
    let (one, two) = tokio::join!(bench.submit(hash), bench.submit(hash));
    assert_eq!(one.id, two.id);
    let worker = bench.worker(None);
    bench.end_of(&one).await;
    assert_eq!(bench.submit(hash).await.id, one.id);
    bench.ledger.delete(&one).await.unwrap();
    let other = bench.submit(bench.store_song(song(3000)).await).await;
    assert_ne!(other.id, one.id);
    assert!(matches!(bench.end_of(&other).await.ending, Ending::Succeeded { .. }));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_cannot_be_read_does_not_keep_others_from_being_found_again() {
    let mut bench = Bench::new().await;
    // Listed before all others.
    let damaged = JobId::from_parts(Epoch(0), 1);
    let store = bench.ledger.store();
    store.put(&ObjectKey::job(&damaged), "{".into(), Write::Replace).await.unwrap();
    store.put(&ObjectKey::pending(&damaged), "".into(), Write::Replace).await.unwrap();
    let hash = bench.store_song(song(3000)).await;
    let record = bench.submit(hash).await;
    bench.lose_the_queue();
    assert_eq!(bench.ledger.sweep_pending().await.unwrap().submitted, 1);
    let worker = bench.worker(None);
    assert!(matches!(bench.end_of(&record).await.ending, Ending::Succeeded { .. }));
    worker.stop().await;
    assert_eq!(bench.paths(Bucket::Queue, "jobs/").await.len(), 2, "what cannot be read is not removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_song_accepted_after_a_reset_outlives_the_loss_of_the_queue() {
    let mut bench = Bench::new().await;
    bench.ledger.reset().await.unwrap();
    // The queue knows of no reset any more, the store does.
    bench.lose_the_queue();
    let hash = bench.store_song(song(3000)).await;
    let record = bench.submit(hash).await;
    bench.ledger.sweep_pending().await.unwrap();
    assert_eq!(bench.ledger.record(&record.id).await.unwrap(), Some(record.clone()));
    let worker = bench.worker(None);
    assert!(matches!(bench.end_of(&record).await.ending, Ending::Succeeded { .. }));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_slow_worker_writes_for_a_job_that_is_gone_goes_too() {
    let bench = Bench::new().await;
    let no_longer = Keep { late: Duration::ZERO, ..Keep::default() };
    let later = Ledger::new(Arc::clone(bench.ledger.store()), bench.queue.clone(), no_longer);
    for reset in [false, true] {
        let hash = bench.store_song(song(3000 + usize::from(reset))).await;
        let record = bench.submit(hash).await;
        if reset {
            bench.ledger.reset().await.unwrap();
        } else {
            bench.ledger.delete(&record).await.unwrap();
        }
        let store = bench.ledger.store();
        let result = ObjectKey::result(&record.work(), &make(), &"bass".parse().unwrap(), "flac");
        for key in [ObjectKey::span(&record.id, 0, 3), result] {
            store.put(&key, "late".into(), Write::Once).await.unwrap();
        }
        bench.ledger.finish(&record, Ending::Succeeded { results: Vec::new() }).await.unwrap();
        store.put(&ObjectKey::span(&record.id, 0, 4), "later".into(), Write::Once).await.unwrap();
        later.sweep_pending().await.unwrap();
        assert_eq!(bench.paths(Bucket::Output, "").await, [""; 0]);
        assert_eq!(bench.paths(Bucket::Queue, "work/").await, [""; 0]);
        assert_eq!(bench.paths(Bucket::Queue, "pending/").await, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_span_that_is_written_after_the_end_goes_and_one_before_it_stays() {
    let bench = Bench::new().await;
    let no_longer = Keep { late: Duration::ZERO, ..Keep::default() };
    let later = Ledger::new(Arc::clone(bench.ledger.store()), bench.queue.clone(), no_longer);
    let record = bench.submit(bench.store_song(song(3000)).await).await;
    let span = ObjectKey::span(&record.id, 0, 3);
    bench.ledger.store().put(&span, "early".into(), Write::Once).await.unwrap();
    later.sweep_expired().await.unwrap();
    assert_eq!(bench.paths(Bucket::Queue, "work/").await, [span.path()]);
    bench.ledger.finish(&record, Ending::Succeeded { results: Vec::new() }).await.unwrap();
    bench.ledger.store().put(&span, "late".into(), Write::Once).await.unwrap();
    later.sweep_expired().await.unwrap();
    assert_eq!(bench.paths(Bucket::Queue, "work/").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_leaves_alone_what_new_jobs_write_meanwhile() {
    let bench = Bench::new().await;
    let old = bench.submit(bench.store_song(song(3000)).await).await;
    // As if the reset had begun a moment ago, and has not removed anything yet.
    let store = bench.ledger.store();
    store.put(&ObjectKey::epoch(Epoch(1)), "".into(), Write::Once).await.unwrap();
    bench.ledger.restore_epoch().await.unwrap();
    let new = bench.submit(bench.store_song(song(3000)).await).await;
    assert_ne!(new.id, old.id);
    let written = ObjectKey::result(&new.work(), &make(), &"bass".parse().unwrap(), "flac");
    store.put(&written, "new".into(), Write::Once).await.unwrap();
    bench.ledger.remove_before(Epoch(1), SystemTime::now() + Duration::from_secs(1)).await.unwrap();
    assert_eq!(bench.paths(Bucket::Output, "").await, [written.path()]);
    assert_eq!(bench.paths(Bucket::Queue, "jobs/").await, [ObjectKey::job(&new.id).path()]);
    assert_eq!(bench.paths(Bucket::Queue, "identity/").await.len(), 1);
    let worker = bench.worker(None);
    store.delete(&written).await.unwrap();
    assert!(matches!(bench.end_of(&new).await.ending, Ending::Succeeded { .. }));
    worker.stop().await;
}
