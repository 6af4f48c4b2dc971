//! Jobs of the native interface: made, looked at, listed, canceled, deleted.

use axum::body::Body;
use axum::http::Method;
use common::Bucket;
use serde_json::{Value, json};

use crate::place::Place;
use crate::support::{Server, hex, song, tagged};

crate::place::scenarios! {
    a_plain_body_becomes_a_job
    a_form_becomes_a_job_in_any_order
    the_same_work_is_done_once
    whoever_prefers_to_wait_waits
    a_job_has_an_entity_tag
    a_list_is_walked_by_its_cursor_without_gap_or_repetition
    canceling_is_idempotent_and_leaves_no_stems
    a_deleted_job_takes_everything_along
    what_is_over_is_410
}

fn form(parts: &[(&str, Option<&str>, &[u8])]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (name, file, bytes) in parts {
        let file = file.map_or_else(String::new, |file| format!("; filename=\"{file}\""));
        body.extend(format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").bytes());
        body.extend_from_slice(bytes);
        body.extend(b"\r\n");
    }
    body.extend(b"--x--\r\n");
    ("multipart/form-data; boundary=x".to_owned(), body)
}

async fn a_plain_body_becomes_a_job(place: Place) {
    let server = place.server(&[]).await;
    let answer = server.submit("?stems=vocals&format=wav", tagged("Under Water", "The Fish")).await.is(202);
    let job = answer.json();
    assert_eq!(answer.header("location"), format!("/v2/jobs/{}", job["id"].as_str().unwrap()));
    assert!(!answer.header("retry-after").is_empty() && !answer.header("x-request-id").is_empty());
    assert_eq!(job["state"], "queued");
    assert_eq!((&job["title"], &job["artist"]), (&json!("Under Water"), &json!("The Fish")));
    assert_eq!(job["song"], hex(&tagged("Under Water", "The Fish")));
    assert_eq!(job["options"]["format"], json!({ "wav": { "bits": 16 } }));
    assert!(job.get("deduplicated").is_none());
    server.work().await;
    let job = server.get(answer.header("location")).await.is(200).json();
    assert_eq!(job["state"], "succeeded");
    assert_eq!(job["progress"]["percent"], 100);
    assert_eq!(job["stems"].as_array().unwrap().len(), 1);
    assert!(server.paths(Bucket::Queue, "incoming/").await.is_empty());
}

async fn a_form_becomes_a_job_in_any_order(place: Place) {
    let server = place.server(&[]).await;
    let options = br#"{"two_stems": "vocals"}"#;
    let first = form(&[("options", None, options), ("file", Some("../../etc/passwd"), &song(1))]);
    let second = form(&[("music_file", Some("a.mp3"), &song(1)), ("two_stems", None, b"vocals")]);
    let mut jobs = Vec::new();
    for (status, (kind, body)) in [(202, first), (200, second)] {
        let answer = server.call(Method::POST, "/v2/jobs", &[("content-type", &kind)], body).await.is(status);
        jobs.push(answer.json()["id"].clone());
    }
    assert_eq!(jobs[0], jobs[1]);
    for parts in [
        form(&[("model", None, b"htdemucs")]),
        form(&[("file", Some("a"), &song(1)), ("file", Some("b"), &song(2))]),
        form(&[("file", Some("a"), &song(1)), ("model", None, b"x"), ("what", None, b"")]),
        ("multipart/form-data".to_owned(), Vec::new()),
        ("multipart/form-data; boundary=x".to_owned(), b"--x\r\nnonsense".to_vec()),
    ] {
        server.call(Method::POST, "/v2/jobs", &[("content-type", &parts.0)], parts.1).await.is(400);
    }
    server.settle().await;
    assert!(server.paths(Bucket::Queue, "incoming/").await.is_empty());
}

async fn the_same_work_is_done_once(place: Place) {
    let server = place.server(&[]).await;
    let first = server.submit("", song(1)).await.is(202).json();
    let second = server.submit("?stems=vocals,other,bass,drums", song(1)).await.is(200).json();
    assert_eq!((&second["id"], &second["deduplicated"]), (&first["id"], &json!(true)));
    assert_ne!(server.submit("?shifts=1", song(1)).await.is(202).json()["id"], first["id"]);
    assert_eq!(server.work().await, 2);
    assert_eq!(server.submit("", song(1)).await.is(200).json()["state"], "succeeded");
}

async fn whoever_prefers_to_wait_waits(place: Place) {
    let server = place.server(&[]).await;
    let (answer, ()) = tokio::join!(
        server.call(Method::POST, "/v2/jobs", &[("prefer", "respond-async, wait=20")], song(1)),
        async {
            while server.work().await == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    );
    let answer = answer.is(200);
    assert_eq!(answer.json()["state"], "succeeded");
    assert_eq!(answer.header("preference-applied"), "wait=20");
    let answer = server.call(Method::POST, "/v2/jobs", &[("prefer", "wait=0")], song(2)).await.is(202);
    assert_eq!(answer.json()["state"], "queued");
}

async fn a_job_has_an_entity_tag(place: Place) {
    let server = place.server(&[]).await;
    let path = server.submit("", song(1)).await.is(202).header("location").to_owned();
    let etag = server.get(&path).await.is(200).header("etag").to_owned();
    let headers = [("if-none-match", etag.as_str())];
    let same = server.call(Method::GET, &path, &headers, Body::empty()).await.is(304);
    assert!(same.body.is_empty() && same.header("etag") == etag);
    server.work().await;
    server.call(Method::GET, &path, &headers, Body::empty()).await.is(200);
}

async fn a_list_is_walked_by_its_cursor_without_gap_or_repetition(place: Place) {
    let server = place.server(&[]).await;
    let mut made = Vec::new();
    for seed in 0..7 {
        made.insert(0, server.submit("", song(seed)).await.is(202).json()["id"].clone());
        if seed == 3 {
            server.work().await;
        }
    }
    let walk = async |query: &str| {
        let (mut ids, mut cursor) = (Vec::<Value>::new(), String::new());
        loop {
            let page = server.get(&format!("/v2/jobs?limit=2{query}&cursor={cursor}")).await.is(200).json();
            let jobs = page["jobs"].as_array().unwrap();
            assert!(jobs.len() <= 2);
            ids.extend(jobs.iter().map(|job| job["id"].clone()));
            match page["next_cursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => return ids,
            }
        }
    };
    assert_eq!(walk("").await, made);
    assert_eq!(walk("&state=succeeded").await, made[3..]);
    let mut queued = made[..3].to_vec();
    queued.reverse();
    assert_eq!(walk("&state=queued").await, queued);
    assert!(walk("&state=failed").await.is_empty());
    for bad in ["state=done", "cursor=x", "limit=x", "state=queued&cursor=czA"] {
        server.get(&format!("/v2/jobs?{bad}")).await.is(400);
    }
}

async fn canceling_is_idempotent_and_leaves_no_stems(place: Place) {
    let server = place.server(&[]).await;
    let path = server.submit("", song(1)).await.is(202).header("location").to_owned();
    for _ in 0..2 {
        let job = server.post(&format!("{path}/cancel")).await.is(200).json();
        assert_eq!((&job["state"], &job["stems"]), (&json!("canceled"), &json!([])));
    }
    assert_eq!(server.work().await, 0);
    server.get(&format!("{path}/stems/vocals")).await.is(404);
    let again = server.submit("", song(1)).await.is(202);
    assert_ne!(again.header("location"), path, "a canceled job does not stand in for new work");
    server.work().await;
    let done = server.post(&format!("{}/cancel", again.header("location"))).await.is(200).json();
    assert_eq!(done["state"], "succeeded", "an end is an end");
}

async fn a_deleted_job_takes_everything_along(place: Place) {
    let server = place.server(&[]).await;
    let path = server.submit("", song(1)).await.is(202).header("location").to_owned();
    let other = server.submit("?shifts=1", song(1)).await.is(202).header("location").to_owned();
    server.work().await;
    server.call(Method::DELETE, &path, &[], Body::empty()).await.is(204);
    server.get(&path).await.is(404);
    server.call(Method::DELETE, &path, &[], Body::empty()).await.is(404);
    assert!(!server.paths(Bucket::Queue, &hex(&song(1))).await.is_empty(), "the other job needs the song");
    server.get(&format!("/apiv1/track/{}/bass", hex(&song(1)))).await.is(200);
    server.call(Method::DELETE, &other, &[], Body::empty()).await.is(204);
    // Marks stay until nobody can be writing for these jobs any more.
    let mut left = server.all_paths().await;
    left.retain(|path| !path.starts_with("pending/"));
    assert!(left.is_empty(), "{left:?}");
}

async fn what_is_over_is_410(place: Place) {
    let server = place.server(&["--keep-results", "0"]).await;
    let path = server.submit("", song(1)).await.is(202).header("location").to_owned();
    for suffix in ["", "/stems/vocals", "/stems.zip", "/events"] {
        let answer = server.get(&format!("{path}{suffix}")).await.is(410);
        assert_eq!(answer.json()["code"], "gone");
    }
    let long_ago = common::JobId::from_parts(common::Epoch(0), 0x0180_0000_0000_7000_8000_0000_0000_0000);
    server.get(&format!("/v2/jobs/{long_ago}")).await.is(410);
}

#[tokio::test]
async fn a_mix_has_no_name_that_means_a_stem_of_any_network() {
    let server = Server::with(&["--models", "htdemucs,mine=lead+rest"]);
    for name in ["vocals", "no_vocals", "piano", "no_drums", "lead", "no_rest"] {
        let query = format!("?stems=drums&mix={name}%3Ddrums:1");
        let problem = server.submit(&query, song(1)).await.is(400).json();
        assert_eq!((&problem["code"], &problem["param"]), (&json!("invalid_option"), &json!("mixes")));
        assert!(problem["detail"].as_str().unwrap().contains(name), "{problem}");
    }
    server.submit("?stems=drums&mix=no_lyrics%3Ddrums:1", song(1)).await.is(202);
}

#[tokio::test]
async fn faults_are_problem_documents() {
    let server = Server::new();
    for (query, kind, body, status, code, param) in [
        ("?model=x", "audio/mpeg", song(1), 400, "unknown_model", json!("model")),
        ("?stems=flute", "audio/mpeg", song(1), 400, "invalid_option", json!("stems")),
        ("?overlap=2", "audio/mpeg", song(1), 400, "invalid_option", json!("overlap")),
        ("?format=mp3&bits=3", "audio/mpeg", song(1), 400, "invalid_option", json!("format")),
        ("?callback=ftp://x/", "audio/mpeg", song(1), 422, "invalid_callback", json!("callback")),
        ("", "audio/mpeg", b"no song".to_vec(), 422, "not_audio", Value::Null),
        ("", "audio/mpeg", Vec::new(), 400, "empty", Value::Null),
        ("", "text/plain", song(1), 415, "unsupported_media_type", Value::Null),
        ("", "application/json", b"{".to_vec(), 400, "invalid_request", Value::Null),
        ("", "application/json", b"{}".to_vec(), 400, "invalid_request", json!("upload")),
        ("", "application/json", br#"{"upload": "../x"}"#.to_vec(), 404, "not_found", json!("upload")),
    ] {
        let path = format!("/v2/jobs{query}");
        let headers = [("content-type", kind), ("x-request-id", "my id\t7")];
        let answer = server.call(Method::POST, &path, &headers, body).await.is(status);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let problem = answer.json();
        assert_eq!((&problem["code"], &problem["param"]), (&json!(code), &param), "{problem}");
        assert_eq!((&problem["status"], &problem["request_id"]), (&json!(status), &json!("myid7")));
        assert_eq!(answer.header("x-request-id"), "myid7");
    }
    let answer = server.call(Method::PATCH, "/v2/jobs", &[], "").await.is(405);
    assert_eq!(answer.json()["code"], "method_not_allowed");
    assert!(answer.header("allow").contains("POST"));
    server.get("/v2/nothing").await.is(404);
    server.memory().down.store(true, std::sync::atomic::Ordering::SeqCst);
    let answer = server.submit("", song(1)).await.is(503);
    assert!(!answer.header("retry-after").is_empty());
    assert!(!answer.json()["detail"].as_str().unwrap().contains("down"), "causes are not sent");
}
