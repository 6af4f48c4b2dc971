//! The older contract, to the letter.

use axum::body::Body;
use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::Bucket;
use serde_json::json;

use crate::place::Place;
use crate::support::{Server, hex, song};

crate::place::scenarios! {
    a_song_goes_in_and_its_tracks_come_out
    removed_tracks_are_gone_and_the_same_upload_is_separated_again
    the_last_model_asked_for_wins
    faults_are_400_with_a_sentence
    a_full_queue_says_when_to_come_again
    a_song_whose_time_is_over_is_410
}

async fn a_song_goes_in_and_its_tracks_come_out(place: Place) {
    let server = place.server(&[]).await;
    let (mp3, hash) = (song(1), hex(&song(1)));
    let answer = server.separate(&json!({ "mp3": STANDARD.encode(&mp3), "callback": null })).await.is(200);
    assert_eq!(answer.json(), json!({ "hash": hash, "reason": "Song enqueued for separation" }));
    assert_eq!(server.paths(Bucket::Queue, &hash).await, [format!("{hash}.mp3")]);
    for path in ["/apiv1/queue", "/apiv1/queue/"] {
        let headers = [("content-type", "application/json")];
        let queue = server.call(Method::GET, path, &headers, "null").await.is(200);
        assert_eq!(queue.json()["queue"], json!([hash]), "{path}");
    }
    let early = server.get(&format!("/apiv1/track/{hash}/bass")).await.is(404);
    assert!(early.json()["error"].is_string());
    assert_eq!(server.work().await, 1);
    for (asked, track) in [("drums", "drums"), ("bass.mp3", "bass"), ("base", "bass"), ("vocals", "vocals")] {
        let answer = server.get(&format!("/apiv1/track/{hash}/{asked}")).await.is(200);
        assert_eq!(answer.header("content-type"), "audio/mpeg");
        let name = format!("attachment; filename=\"{hash}-{track}.mp3\"");
        assert_eq!(answer.header("content-disposition"), name);
        assert!(answer.body.starts_with(format!("{track} of {hash}").as_bytes()));
    }
    assert_eq!(server.get("/apiv1/queue").await.json()["queue"], json!([]));
}

async fn removed_tracks_are_gone_and_the_same_upload_is_separated_again(place: Place) {
    let server = place.server(&[]).await;
    let hash = hex(&song(1));
    let body = json!({ "mp3": STANDARD.encode(song(1)) });
    server.separate(&body).await.is(200);
    server.work().await;
    let removed = json!({ "status": "deleted", "removed": format!("{hash}-drums.mp3") });
    for method in [Method::GET, Method::DELETE, Method::GET] {
        let answer =
            server.call(method, &format!("/apiv1/remove/{hash}/drums"), &[], Body::empty()).await.is(200);
        assert_eq!(answer.json(), removed);
    }
    server.get(&format!("/apiv1/track/{hash}/drums")).await.is(404);
    server.get(&format!("/apiv1/track/{hash}/bass")).await.is(200);
    server.separate(&body).await.is(200);
    assert_eq!(server.work().await, 1, "it is separated again");
    server.get(&format!("/apiv1/track/{hash}/drums")).await.is(200);
    for track in ["drums", "base", "other", "vocals"] {
        server.get(&format!("/apiv1/remove/{hash}/{track}")).await.is(200);
    }
    // Marks stay until nobody can be writing for these jobs any more.
    let mut left = server.all_paths().await;
    left.retain(|path| !path.starts_with("pending/"));
    assert!(left.is_empty(), "{left:?}");
    server.separate(&body).await.is(200);
    assert_eq!(server.work().await, 1);
}

async fn the_last_model_asked_for_wins(place: Place) {
    let server = place.server(&[]).await;
    let hash = hex(&song(1));
    let ask = |model: &str| json!({ "model": model, "mp3": STANDARD.encode(song(1)) });
    let made_by = async || {
        let body = server.get(&format!("/apiv1/track/{hash}/vocals")).await.is(200).body;
        String::from_utf8(body.to_vec())
            .unwrap()
            .lines()
            .next()
            .unwrap()
            .rsplit(' ')
            .next()
            .unwrap()
            .to_owned()
    };
    for model in ["htdemucs", "htdemucs_6s"] {
        server.separate(&ask(model)).await.is(200);
        server.work().await;
        assert_eq!(made_by().await, model);
    }
    server.get(&format!("/apiv1/track/{hash}/piano")).await.is(200);
    server.separate(&ask("htdemucs")).await.is(200);
    assert_eq!(server.work().await, 0, "nothing is separated twice");
    assert_eq!(made_by().await, "htdemucs");
}

async fn faults_are_400_with_a_sentence(place: Place) {
    let server = place.server(&[]).await;
    let good = STANDARD.encode(song(1));
    for (body, part) in [
        (json!({}), "mp3 is missing"),
        (json!({ "mp3": "" }), "empty"),
        (json!({ "mp3": "!" }), "base64"),
        (json!({ "mp3": 1 }), "not a text"),
        (json!({ "mp3": STANDARD.encode("just text, no song") }), "not audio"),
        (json!({ "mp3": good, "model": "demucs_x" }), "htdemucs, htdemucs_ft, htdemucs_6s"),
        (json!({ "mp3": good, "model": "../../x" }), "not known"),
        (json!({ "mp3": good, "callback": "x" }), "JSON"),
    ] {
        let answer = server.separate(&body).await.is(400);
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(part), "{error}");
        assert_eq!(answer.json().as_object().unwrap().len(), 1);
    }
    server.call(Method::POST, "/apiv1/separate", &[], "").await.is(400);
    server.settle().await;
    assert!(server.paths(Bucket::Queue, "").await.is_empty(), "nothing remains");
}

#[tokio::test]
async fn too_large_is_413_long_before_the_end() {
    let server = Server::with(&["--base64-bytes", "1M"]);
    let mut pushed = 0usize;
    let text = STANDARD.encode(song(1).repeat(3)).trim_end_matches('=').to_owned();
    let text = text[..text.len() / 4 * 4].to_owned();
    let pieces = std::iter::once("{\"mp3\": \"".to_owned()).chain(std::iter::repeat_n(text, 1000)).inspect(
        move |_| {
            pushed += 1;
            assert!(pushed < 100, "it is read to its end");
        },
    );
    let body = Body::from_stream(futures_util::stream::iter(pieces.map(Ok::<_, std::io::Error>)));
    let answer = server.call(Method::POST, "/apiv1/separate", &[], body).await.is(413);
    assert!(answer.json()["error"].as_str().unwrap().contains("1048576"));
}

async fn a_full_queue_says_when_to_come_again(place: Place) {
    let server = place.server(&["--jobs", "1"]).await;
    server.separate(&json!({ "mp3": STANDARD.encode(song(1)) })).await.is(200);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let answer = server.separate(&json!({ "mp3": STANDARD.encode(song(2)) })).await.is(503);
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(server.queue.depth().await.unwrap().jobs, 1);
    server.settle().await;
    let songs =
        server.paths(Bucket::Queue, "").await.into_iter().filter(|path| path.strip_suffix(".mp3").is_some());
    assert_eq!(songs.count(), 1);
}

#[tokio::test]
async fn the_home_page_answers_load_balancers_and_callbacks() {
    let server = Server::new();
    let page = server.get("/").await.is(200);
    assert!(page.header("content-type").starts_with("text/html"));
    server.call(Method::POST, "/", &[("content-type", "application/json")], r#"{"mp3": "x"}"#).await.is(200);
}

#[tokio::test]
async fn the_page_is_packed_where_that_is_understood_and_sent_once() {
    let server = Server::new();
    let plain = server.get("/web/app.js").await.is(200);
    assert_eq!(plain.header("content-type"), "text/javascript; charset=utf-8");
    let packed =
        server.call(Method::GET, "/web/app.js", &[("accept-encoding", "br, gzip")], Body::empty()).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.body.starts_with(&[0x1f, 0x8b]) && packed.body.len() < plain.body.len());
    let known = [("if-none-match", plain.header("etag"))];
    assert!(server.call(Method::GET, "/web/app.js", &known, Body::empty()).await.is(304).body.is_empty());
    server.get("/web/none.js").await.is(404);
    server.get("/web/..%2fREADME.md").await.is(404);
}

async fn a_song_whose_time_is_over_is_410(place: Place) {
    let server = place.server(&["--keep-results", "0"]).await;
    let hash = hex(&song(1));
    server.separate(&json!({ "mp3": STANDARD.encode(song(1)) })).await.is(200);
    server.work().await;
    server.get(&format!("/apiv1/track/{hash}/bass")).await.is(200);
    // Marks of expiry are by the hour: the sweep is told that the hour has passed.
    for path in server.paths(Bucket::Queue, "expiry/").await {
        let early = path.replacen(path.split('/').nth(1).unwrap(), "000000001", 1);
        let key = common::ObjectKey::listed(Bucket::Queue, early);
        let store = server.app.ledger.store();
        store.put(&key, bytes::Bytes::new(), common::storage::Write::Replace).await.unwrap();
    }
    server.app.ledger.sweep_expired().await.unwrap();
    server.get(&format!("/apiv1/track/{hash}/bass")).await.is(410);
    server.get(&format!("/apiv1/track/{}/bass", hex(b"never"))).await.is(404);
}
