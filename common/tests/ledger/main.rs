//! Promises of the ledger where calls meet: a hook lets the other one happen at the worst moment.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod between;
mod records;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use common::job::{Callback, Commit, Ending, Make, Manifest, Options, Record, ResultFile, Title};
use common::keys::{Bucket, ObjectKey};
use common::ledger::{IN_FLIGHT, Keep, Kept, Ledger, NewWork, Reserved};
use common::queue::memory::MemoryQueue;
use common::queue::{Claimant, Clock, Failure, Outcome, Room, Rules, State, TaskId, TaskKind, Token};
use common::storage::{Store, Write};
use common::{SongHash, Tenant};
use futures_util::FutureExt as _;

use crate::between::Between;

const ROOM: Room = Room { jobs: 100, jobs_of_tenant: 100 };
const SONG: SongHash = SongHash::new([7; 32]);

struct Bench {
    store: Between,
    ledger: Ledger,
}

impl Bench {
    async fn new(keep: Keep) -> Self {
        let store = Between::new().await;
        let queue = Arc::new(MemoryQueue::new(Rules::default(), Clock::Own));
        let ledger = Ledger::new(Arc::new(store.clone()), queue, keep);
        Self { store, ledger }
    }

    async fn keys(&self, bucket: Bucket) -> Vec<ObjectKey> {
        let page = self.store.list(bucket, "", None, 1000).await.unwrap();
        page.objects.into_iter().map(|(key, _)| key).collect()
    }
}

/// Stores the song and has it separated with `overlap`, which makes one work differ from another.
async fn submit(ledger: &Ledger, overlap: f64) -> Record {
    submit_for(ledger, overlap, None).await
}

/// [`submit`], of someone who wants to be told of the end.
async fn submit_for(ledger: &Ledger, overlap: f64, callback: Option<Callback>) -> Record {
    let tenant = Tenant::default_tenant();
    let song = ObjectKey::song(&tenant, &SONG);
    ledger.store().put(&song, Bytes::from_static(b"a song"), Write::Once).await.unwrap();
    let work = NewWork {
        tenant,
        song: SONG,
        options: Options { overlap, ..Options::default() },
        title: Title::default(),
        size_bytes: 6,
        cost_ms: 1000,
        callback,
        request_id: String::new(),
    };
    ledger.accept(&work, ROOM).await.unwrap().unwrap().record
}

/// What a worker does first.
async fn begin(ledger: &Ledger) -> (TaskId, Token) {
    let claimant =
        Claimant { worker: "one".to_owned(), fingerprint: String::new(), kinds: vec![TaskKind::Plan] };
    let token = Token::draw();
    (ledger.queue().claim(&claimant, token).await.unwrap().unwrap().task, token)
}

/// What a worker does that has separated the song.
async fn store_bass(ledger: &Ledger, record: &Record, engine: &str) -> ResultFile {
    let result = ResultFile {
        stem: "bass".parse().unwrap(),
        make: Make { plan: 0, engine: engine.to_owned() },
        frames: 1,
        rate_hz: 44_100,
        size_bytes: 4,
        sha256: String::new(),
        gain: 1.0,
    };
    let key = Ledger::result_key(record, &result);
    ledger.store().put(&key, Bytes::from_static(b"bass"), Write::Once).await.unwrap();
    ledger.commit(record, Commit { result, peaks: Vec::new() }).await.unwrap()
}

async fn succeed(ledger: &Ledger, record: &Record) {
    let results = vec![store_bass(ledger, record, "one").await];
    ledger.finish(record, Ending::Succeeded { results }).await.unwrap();
}

#[tokio::test]
async fn a_job_that_is_accepted_in_the_second_of_a_reset_stays_whole() {
    let bench = Bench::new(Keep::default()).await;
    let old = submit(&bench.ledger, 0.25).await;
    succeed(&bench.ledger, &old).await;
    // The first listing of everything comes when the reset is durable already.
    let (ledger, (tell, new)) = (bench.ledger.clone(), tokio::sync::oneshot::channel());
    bench.store.before("list", "", || {
        Box::pin(async move {
            let record = submit(&ledger, 0.25).await;
            succeed(&ledger, &record).await;
            tell.send(record).unwrap();
        })
    });
    bench.ledger.reset().await.unwrap();
    let new = new.await.unwrap();
    assert!(bench.ledger.record(&new.id).await.unwrap().is_some());
    let bass = "bass".parse().unwrap();
    for needed in [
        ObjectKey::song(&new.tenant, &SONG),
        ObjectKey::job(&new.id),
        ObjectKey::song_use(&new.tenant, &SONG, &new.id),
        ObjectKey::expiry(new.expires_s, &new.id),
        ObjectKey::of_tenant(&new.tenant, &new.id),
        ObjectKey::manifest(&new.work()),
        ObjectKey::published(&SONG, &bass),
    ] {
        assert!(bench.store.head(&needed).await.unwrap().is_some(), "{needed}");
    }
    assert!(submit(&bench.ledger, 0.25).await.id == new.id, "its identity stays too");
    let of_old = |key: &ObjectKey| key.job_id().is_some_and(|job| job == old.id);
    for bucket in [Bucket::Queue, Bucket::Output] {
        assert!(!bench.keys(bucket).await.iter().any(of_old), "{bucket:?}");
    }
}

#[tokio::test]
async fn a_reset_takes_what_the_older_contract_finds() {
    let bench = Bench::new(Keep::default()).await;
    let old = submit(&bench.ledger, 0.25).await;
    succeed(&bench.ledger, &old).await;
    bench.ledger.reset().await.unwrap();
    // The same song again, not yet separated: its old stems must not show.
    submit(&bench.ledger, 0.25).await;
    assert_eq!(bench.keys(Bucket::Output).await, []);
}

#[tokio::test]
async fn a_song_that_is_asked_for_while_its_last_job_is_deleted_stays() {
    let bench = Bench::new(Keep::default()).await;
    let one = submit(&bench.ledger, 0.25).await;
    succeed(&bench.ledger, &one).await;
    // After it was seen that no job needs the song.
    let (ledger, (tell, other)) = (bench.ledger.clone(), tokio::sync::oneshot::channel());
    let song = ObjectKey::song(&one.tenant, &SONG);
    bench.store.before("delete", song.path(), || {
        Box::pin(async move { tell.send(submit(&ledger, 0.5).await).unwrap() })
    });
    bench.ledger.delete(&one).await.unwrap();
    assert_ne!(other.await.unwrap().id, one.id);
    assert!(bench.store.head(&song).await.unwrap().is_some());
}

#[tokio::test]
async fn a_caller_is_told_though_the_queue_was_lost_after_the_end() {
    let callback = || Some(Callback { url: "http://localhost/".to_owned(), data: None });
    for ending in [Ending::Canceled, Ending::Succeeded { results: Vec::new() }] {
        let keep = Keep { late: Duration::ZERO, ..Keep::default() };
        let bench = Bench::new(keep).await;
        let record = submit_for(&bench.ledger, 0.25, callback()).await;
        bench.ledger.finish(&record, ending).await.unwrap();
        let queue = Arc::new(MemoryQueue::new(Rules::default(), Clock::Own));
        let ledger = Ledger::new(Arc::new(bench.store.clone()), queue, keep);
        assert_eq!(ledger.sweep_pending().await.unwrap().submitted, 1);
        assert_eq!(ledger.sweep_pending().await.unwrap().submitted, 0, "it is in the queue by now");
        ledger.told(&record).await.unwrap();
        let queue = Arc::new(MemoryQueue::new(Rules::default(), Clock::Own));
        let ledger = Ledger::new(Arc::new(bench.store.clone()), queue, keep);
        assert_eq!(ledger.sweep_pending().await.unwrap().submitted, 0, "the caller was told");
    }
}

#[tokio::test]
async fn a_canceled_job_stays_as_far_as_it_was_when_the_queue_forgets_it() {
    let bench = Bench::new(Keep::default()).await;
    let record = submit(&bench.ledger, 0.25).await;
    let (task, token) = begin(&bench.ledger).await;
    bench.ledger.queue().progress(task, token, 3, 10).await.unwrap();
    // Whoever canceled it died behind the mark; someone else ends it.
    bench.store.put(&ObjectKey::canceled(&record.id), Bytes::new(), Write::Once).await.unwrap();
    bench.ledger.sweep_pending().await.unwrap();
    let percent = || async { bench.ledger.view(&record).await.unwrap().progress.percent };
    assert_eq!(percent().await, 30);
    bench.ledger.queue().forget(record.id).await.unwrap();
    assert_eq!(percent().await, 30);
}

#[tokio::test]
async fn tracks_of_a_job_whose_worker_died_after_its_end_are_published() {
    let bench = Bench::new(Keep::default()).await;
    let callback = Some(Callback { url: "http://localhost/".to_owned(), data: None });
    let record = submit_for(&bench.ledger, 0.25, callback).await;
    begin(&bench.ledger).await;
    let results = vec![store_bass(&bench.ledger, &record, "one").await];
    let manifest = Manifest {
        v: 1,
        job: record.id,
        ending: Ending::Succeeded { results },
        started_ms: 1,
        completed_ms: 2,
        permille: 1000,
    };
    let (key, text) = (ObjectKey::manifest(&record.work()), serde_json::to_vec(&manifest).unwrap());
    bench.store.put(&key, Bytes::from(text), Write::Once).await.unwrap();
    bench.ledger.sweep_pending().await.unwrap();
    let track = ObjectKey::published(&SONG, &"bass".parse().unwrap());
    assert!(bench.store.head(&track).await.unwrap().is_some());
    assert!(bench.store.head(&ObjectKey::pending(&record.id)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_sweep_reads_nothing_of_jobs_that_only_wait() {
    let bench = Bench::new(Keep::default()).await;
    let record = submit(&bench.ledger, 0.25).await;
    let is_read = Arc::new(AtomicBool::new(false));
    for key in [ObjectKey::job(&record.id), ObjectKey::manifest(&record.work())] {
        let is_read = Arc::clone(&is_read);
        bench
            .store
            .before("get", key.path(), || async move { is_read.store(true, Ordering::SeqCst) }.boxed());
    }
    bench.ledger.sweep_pending().await.unwrap();
    assert!(!is_read.load(Ordering::SeqCst), "there may be thousands of them");
    begin(&bench.ledger).await;
    bench.ledger.sweep_pending().await.unwrap();
    assert!(is_read.load(Ordering::SeqCst), "its worker may have ended it and died");
}

#[tokio::test]
async fn work_that_the_queue_has_just_given_up_is_done_anew_for_who_asks_again() {
    let bench = Bench::new(Keep::default()).await;
    let one = submit(&bench.ledger, 0.25).await;
    let (task, token) = begin(&bench.ledger).await;
    let queue = bench.ledger.queue();
    queue.fail(task, token, Failure::Permanent, "no audio").await.unwrap();
    let other = submit(&bench.ledger, 0.25).await;
    assert_ne!(other.id, one.id);
    assert!(matches!(bench.ledger.manifest(&one).await.unwrap().unwrap().ending, Ending::Failed { .. }));
}

#[tokio::test]
async fn a_key_of_a_dead_server_is_free_after_a_minute_and_one_in_use_is_not() {
    let bench = Bench::new(Keep::default()).await;
    let (tenant, digest) = (Tenant::default_tenant(), [9; 32]);
    let reserve = async || bench.ledger.reserve(&tenant, &digest).await.unwrap();
    assert_eq!(reserve().await, Reserved::Yours);
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let old = format!(r#"{{"v":1,"since_ms":{},"answer":null}}"#, now_ms - IN_FLIGHT.as_millis() - 1);
    let key = ObjectKey::idempotency(&tenant, &digest);
    bench.store.put(&key, Bytes::from(old.clone()), Write::Replace).await.unwrap();
    bench.ledger.still_in_flight(&tenant, &digest).await.unwrap();
    assert_eq!(reserve().await, Reserved::InFlight);
    bench.store.put(&key, Bytes::from(old), Write::Replace).await.unwrap();
    assert_eq!(reserve().await, Reserved::Yours);
}

#[tokio::test]
async fn kept_sources_go_with_their_time_with_their_job_and_with_a_reset() {
    let bench = Bench::new(Keep::default()).await;
    let keep = async |ledger: &Ledger| {
        let record = submit(ledger, 0.25).await;
        let bass = "bass".parse().unwrap();
        let key = Ledger::source_key(&record, &record.id, &bass);
        ledger.store().put(&key, Bytes::from_static(b"fLaC"), Write::Replace).await.unwrap();
        let until_s = ledger.begin_keeping(&record).await.unwrap();
        let (v, job, sources) = (Kept::VERSION, record.id, vec![bass]);
        let kept = Kept { v, job, sources, song_rate_hz: 44_100, song_frames: 1, until_s };
        ledger.keep(&record, &kept).await.unwrap();
        record
    };
    let kept = async || {
        let keys = bench.keys(Bucket::Output).await;
        keys.iter().filter(|key| key.path().starts_with("kept/")).count()
    };
    let record = keep(&bench.ledger).await;
    assert_eq!(bench.ledger.kept(&record).await.unwrap().unwrap().job, record.id);
    bench.ledger.sweep_expired().await.unwrap();
    assert_eq!(kept().await, 2);
    bench.ledger.delete(&record).await.unwrap();
    assert_eq!(kept().await, 0);

    let record = keep(&bench.ledger).await;
    bench.ledger.reset().await.unwrap();
    assert_eq!(bench.ledger.kept(&record).await.unwrap(), None);
    assert_eq!(kept().await, 0);

    let record = keep(&bench.ledger).await;
    let separation = record.options.separation(&record.song);
    let mark = ObjectKey::kept_until(0, &record.tenant, &separation);
    bench.store.put(&mark, Bytes::new(), Write::Replace).await.unwrap();
    bench.ledger.sweep_expired().await.unwrap();
    assert_eq!(kept().await, 2, "an older mark does not take what was kept again since");
    assert!(bench.store.head(&mark).await.unwrap().is_none());
}

#[tokio::test]
async fn results_of_an_engine_that_did_not_end_the_job_go() {
    let bench = Bench::new(Keep::default()).await;
    let record = submit(&bench.ledger, 0.25).await;
    store_bass(&bench.ledger, &record, "another").await;
    succeed(&bench.ledger, &record).await;
    let left: Vec<String> =
        bench.keys(Bucket::Output).await.iter().map(|key| key.path().to_owned()).collect();
    assert!(!left.iter().any(|path| path.contains("0-another")), "{left:?}");
    assert!(left.iter().any(|path| path.contains("0-one/bass.mp3.json")), "{left:?}");
}

#[tokio::test]
async fn a_job_that_the_queue_calls_done_without_a_manifest_begins_again() {
    let bench = Bench::new(Keep::default()).await;
    let ledger = &bench.ledger;
    let record = submit(ledger, 0.25).await;
    let (task, token) = begin(ledger).await;
    ledger.queue().complete(task, token, &Outcome::Done).await.unwrap();
    ledger.sweep_pending().await.unwrap();
    let (task, token) = begin(ledger).await;
    assert_eq!(task.job, record.id);
    succeed(ledger, &record).await;
    ledger.queue().complete(task, token, &Outcome::Done).await.unwrap();
    assert_eq!(ledger.view(&record).await.unwrap().state, State::Succeeded);
}

#[tokio::test]
async fn a_job_that_nobody_canceled_but_the_queue_begins_again() {
    let bench = Bench::new(Keep::default()).await;
    let ledger = &bench.ledger;
    let record = submit(ledger, 0.25).await;
    begin(ledger).await;
    ledger.queue().cancel(record.id).await.unwrap();
    assert_eq!(ledger.settle(&record).await.unwrap(), None);
    ledger.sweep_pending().await.unwrap();
    assert_eq!(begin(ledger).await.0.job, record.id);
    ledger.cancel(&record).await.unwrap();
    assert_eq!(ledger.view(&record).await.unwrap().state, State::Canceled);
}

/// Takes the bass of a song from the older contract, as its `remove` does.
async fn remove_bass(ledger: &Ledger, records: &[&Record]) {
    let bass = "bass".parse().unwrap();
    for record in records {
        let mark = ObjectKey::removed(&record.work(), &bass);
        ledger.store().put(&mark, Bytes::new(), Write::Replace).await.unwrap();
    }
    ledger.store().delete(&ObjectKey::published(&SONG, &bass)).await.unwrap();
}

/// Who made the bass that the older contract finds.
async fn published(bench: &Bench) -> Option<String> {
    let key = ObjectKey::published(&SONG, &"bass".parse().unwrap());
    let object = bench.store.get(&key, None).await.ok()?;
    let pieces: Vec<Bytes> = futures_util::TryStreamExt::try_collect(object.body).await.unwrap();
    Some(String::from_utf8(pieces.concat()).unwrap())
}

/// [`succeed`], with a bass that says whose it is.
async fn succeed_as(ledger: &Ledger, record: &Record, engine: &'static str) {
    let result = store_bass(ledger, record, engine).await;
    let key = Ledger::result_key(record, &result);
    ledger.store().put(&key, Bytes::from_static(engine.as_bytes()), Write::Replace).await.unwrap();
    ledger.finish(record, Ending::Succeeded { results: vec![result] }).await.unwrap();
}

#[tokio::test]
async fn a_track_that_was_removed_does_not_come_back() {
    let bench = Bench::new(Keep::default()).await;
    let ledger = &bench.ledger;
    let first = submit(ledger, 0.25).await;
    succeed_as(ledger, &first, "first").await;
    remove_bass(ledger, &[&first]).await;
    // A worker that died between publishing and cleaning leaves the mark of a job that has not ended.
    bench.store.put(&ObjectKey::pending(&first.id), Bytes::new(), Write::Replace).await.unwrap();
    ledger.sweep_pending().await.unwrap();
    assert_eq!(published(&bench).await, None);
    // Nor when another job's goes, which stood there meanwhile.
    let second = submit(ledger, 0.5).await;
    succeed_as(ledger, &second, "second").await;
    assert_eq!(published(&bench).await.as_deref(), Some("second"));
    ledger.delete(&second).await.unwrap();
    assert_eq!(published(&bench).await, None);
}

#[tokio::test]
async fn the_older_contract_finds_what_was_asked_for_last_whatever_ends_last() {
    let bench = Bench::new(Keep::default()).await;
    let ledger = &bench.ledger;
    let first = submit(ledger, 0.25).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    let second = submit(ledger, 0.5).await;
    succeed_as(ledger, &second, "second").await;
    succeed_as(ledger, &first, "first").await;
    assert_eq!(published(&bench).await.as_deref(), Some("second"));
    // Asked for once more.
    ledger.republish(&first).await.unwrap();
    assert_eq!(published(&bench).await.as_deref(), Some("first"));
    // Also before it has ended.
    let third = submit(ledger, 0.75).await;
    ledger.republish(&second).await.unwrap();
    succeed_as(ledger, &third, "third").await;
    assert_eq!(published(&bench).await.as_deref(), Some("second"));
    ledger.delete(&second).await.unwrap();
    assert_eq!(published(&bench).await.as_deref(), Some("third"));
    let left = bench.keys(Bucket::Queue).await;
    let asked: Vec<_> = left.iter().filter_map(ObjectKey::as_asked).map(|(job, _)| job).collect();
    assert_eq!(asked, [first.id]);
}
