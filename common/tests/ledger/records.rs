//! Records as release 0.1 wrote them: whatever comes later reads them.

use bytes::Bytes;
use common::job::{Ending, Record, Verbatim};
use common::keys::{Bucket, ObjectKey};
use common::ledger::Keep;
use common::queue::State;
use common::storage::{Store, Write};

use crate::Bench;

const RECORD: &str = r#"{
    "v": 1, "id": "0-019a8a00000070008000000000000001", "tenant": "default",
    "song": "0707070707070707070707070707070707070707070707070707070707070707",
    "key": "0909090909090909090909090909090909090909090909090909090909090909", "first": "plan",
    "options": {
        "model": "htdemucs", "stems": ["vocals"], "two_stems": null,
        "mixes": [{"name": "karaoke", "gains": {"bass": 0.5, "drums": 1.0}}],
        "format": {"mp3": {"bitrate_kbps": 320}}, "rate_hz": null, "shifts": 0, "overlap": 0.25, "clip": "common"
    },
    "title": {"title": "Another One", "artist": "Queen"}, "size_bytes": 6, "cost_ms": 1000,
    "callback": {"url": "https://example.org/", "data": null}, "created_ms": 1763700000000,
    "expires_s": 4102444800, "request_id": "r"
}"#;

const MANIFEST: &str = r#"{
    "v": 1, "job": "0-019a8a00000070008000000000000001", "state": "succeeded", "results": [{
        "stem": "vocals", "plan": 0, "engine": "0123456789abcdef", "frames": 1, "rate_hz": 44100, "size_bytes": 4,
        "sha256": "00", "gain": 1.0
    }], "started_ms": 1763700001000, "completed_ms": 1763700002000
}"#;

const KEPT: &str = r#"{
    "v": 1, "job": "0-019a8a00000070008000000000000001", "sources": ["drums", "bass", "other", "vocals"],
    "song_rate_hz": 44100, "song_frames": 1, "until_s": 4102444800
}"#;

async fn put(bench: &Bench, key: &ObjectKey, text: &'static str) {
    bench.store.put(key, Bytes::from_static(text.as_bytes()), Write::Once).await.unwrap();
}

#[tokio::test]
async fn a_job_that_has_ended_is_shown_with_its_results() {
    let bench = Bench::new(Keep::default()).await;
    let record: Record = serde_json::from_str(RECORD).unwrap();
    put(&bench, &ObjectKey::job(&record.id), RECORD).await;
    put(&bench, &ObjectKey::manifest(&record.work()), MANIFEST).await;
    let read = bench.ledger.record(&record.id).await.unwrap().unwrap();
    assert_eq!(read, record);
    let Ending::Succeeded { results } = bench.ledger.manifest(&read).await.unwrap().unwrap().ending else {
        panic!("it has succeeded");
    };
    let key = common::ledger::Ledger::result_key(&read, &results[0]);
    put(&bench, &key, "song").await;
    let view = bench.ledger.view(&read).await.unwrap();
    assert_eq!((view.state, view.stems.len()), (State::Succeeded, 1));
    assert!(bench.ledger.open(&read, &results[0], None).await.is_ok());
    assert_eq!(read.callback.unwrap().data, Some(Verbatim::default()), "null is something to send");
}

#[tokio::test]
async fn what_a_caller_is_told_is_kept_to_the_byte() {
    let bench = Bench::new(Keep::default()).await;
    let told = r#"{"b": 1,"a":123456789012345678901234567890, "f":1.10,"e":1e2}"#;
    let text = RECORD.replace("\"data\": null", &format!("\"data\": {told}"));
    let record: Record = serde_json::from_str(&text).unwrap();
    bench.store.put(&ObjectKey::job(&record.id), text.into(), Write::Once).await.unwrap();
    for key in [ObjectKey::job(&record.id), ObjectKey::pending(&record.id)] {
        let again = serde_json::to_vec(&bench.ledger.record(&record.id).await.unwrap().unwrap()).unwrap();
        bench.store.put(&key, again.into(), Write::Replace).await.unwrap();
    }
    let read = bench.ledger.record(&record.id).await.unwrap().unwrap();
    assert_eq!(read.callback.unwrap().data.unwrap().as_str(), told);
}

#[tokio::test]
async fn a_job_that_waits_is_taken_up() {
    let bench = Bench::new(Keep::default()).await;
    let record: Record = serde_json::from_str(RECORD).unwrap();
    put(&bench, &ObjectKey::job(&record.id), RECORD).await;
    put(&bench, &ObjectKey::pending(&record.id), RECORD).await;
    assert_eq!(bench.ledger.sweep_pending().await.unwrap().submitted, 1);
    assert_eq!(bench.ledger.queue().status(record.id).await.unwrap().unwrap().state, State::Queued);
}

#[tokio::test]
async fn sources_that_were_kept_are_found() {
    let bench = Bench::new(Keep::default()).await;
    let record: Record = serde_json::from_str(RECORD).unwrap();
    let separation = record.options.separation(&record.song);
    let kept = ObjectKey::kept(&record.tenant, &separation);
    assert_eq!(kept.bucket(), Bucket::Output);
    put(&bench, &kept, KEPT).await;
    assert_eq!(bench.ledger.kept(&record).await.unwrap().unwrap().sources.len(), 4);
}
