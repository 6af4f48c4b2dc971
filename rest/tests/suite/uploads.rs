//! Songs on their way in: large, slow, broken off, sent before their job.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use bytes::Bytes;
use common::Bucket;
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::place::Place;
use crate::support::{Server, song};

crate::place::scenarios! {
    an_upload_before_its_job_is_read_back
    an_upload_at_the_store_is_signed
    too_large_is_413_in_every_form
    a_client_that_leaves_or_stands_still_leaves_nothing
    more_uploads_than_places_are_told_to_come_again
}

const RAW: [(&str, &str); 1] = [("content-type", "application/octet-stream")];

async fn an_upload_before_its_job_is_read_back(place: Place) {
    let server = place.server(&[]).await;
    let upload = server.post("/v2/uploads").await.is(201).json();
    let url = upload["url"].as_str().unwrap();
    assert_eq!(url, format!("/v2/uploads/{}", upload["id"].as_str().unwrap()));
    server.call(Method::PUT, url, &RAW, b"no song".to_vec()).await.is(422);
    server.call(Method::PUT, url, &RAW, song(1)).await.is(204);
    server.call(Method::PUT, url, &RAW, song(2)).await.is(409);
    let body = json!({ "upload": upload["id"], "options": { "shifts": 1 } }).to_string();
    let headers = [("content-type", "application/json"), ("idempotency-key", "k")];
    let answer = server.call(Method::POST, "/v2/jobs", &headers, body.clone()).await.is(202);
    assert_eq!(answer.json()["song"], crate::support::hex(&song(1)));
    server.settle().await;
    assert!(server.paths(Bucket::Queue, "incoming/").await.is_empty());
    let again = server.call(Method::POST, "/v2/jobs", &headers, body.clone()).await.is(202);
    assert_eq!(again.header("idempotent-replayed"), "true", "although the upload is gone");
    server.call(Method::POST, "/v2/jobs", &headers[..1], body).await.is(404);
    let known = json!({ "song": answer.json()["song"] }).to_string();
    server.call(Method::POST, "/v2/jobs", &headers[..1], known).await.is(202);
    let unknown = json!({ "song": crate::support::hex(b"x") }).to_string();
    server.call(Method::POST, "/v2/jobs", &headers[..1], unknown).await.is(404);
}

async fn an_upload_at_the_store_is_signed(place: Place) {
    let server = place.server(&["--upload-bytes", "100k", "--s3-public-endpoint", "http://store.test"]).await;
    let ask = async |bytes: Vec<u8>| {
        let upload = server.post("/v2/uploads").await.is(201).json();
        let (id, url) = (upload["id"].as_str().unwrap(), upload["url"].as_str().unwrap());
        assert!(url.starts_with("http://") && url.contains(&format!("incoming/{id}?")), "{url}");
        server.at_store(Method::PUT, url, bytes).await.is(200);
        let body = json!({ "upload": id }).to_string();
        server.call(Method::POST, "/v2/jobs", &[("content-type", "application/json")], body).await
    };
    ask(song(1)).await.is(202);
    ask(b"no song".to_vec()).await.is(422);
    ask(song(1).repeat(5)).await.is(413);
}

#[tokio::test]
async fn a_large_upload_is_sent_to_the_store_in_parts() {
    let place = Place::real();
    let server = place.server(&["--s3-public-endpoint", "http://as-configured.test"]).await;
    let large = song(1).repeat((65 << 20) / song(1).len() + 1);
    let announce = async |size: usize| {
        let body = json!({ "size_bytes": size }).to_string();
        server.call(Method::POST, "/v2/uploads", &[("content-type", "application/json")], body).await
    };
    announce(201 << 20).await.is(413);
    assert!(announce(1 << 20).await.is(201).json().get("parts").is_none(), "it is small");
    let upload = announce(large.len()).await.is(201).json();
    let links = upload["parts"].as_array().unwrap();
    let pieces: Vec<&[u8]> = large.chunks(upload["part_bytes"].as_u64().unwrap() as usize).collect();
    assert_eq!((links.len(), pieces.len()), (5, 5));
    let send = async |number: usize, bytes: &[u8]| {
        server.at_store(Method::PUT, links[number].as_str().unwrap(), bytes.to_vec()).await
    };
    let ask = async || {
        let body = json!({ "upload": upload["id"] }).to_string();
        server.call(Method::POST, "/v2/jobs", &[("content-type", "application/json")], body).await
    };
    for number in [4, 0, 1, 3] {
        send(number, pieces[number]).await.is(200);
    }
    let missing = ask().await.is(409).json();
    assert_eq!(
        (missing["code"].as_str(), missing["param"].as_str()),
        (Some("upload_incomplete"), Some("upload"))
    );
    assert!(missing["detail"].as_str().unwrap().starts_with("part 3 "), "{missing}");
    assert!(!send(2, b"too short").await.status.is_success());
    send(2, pieces[2]).await.is(200);
    assert_eq!(ask().await.is(202).json()["song"], crate::support::hex(&large));
    server.settle().await;
    assert!(server.paths(Bucket::Queue, "incoming/").await.is_empty());
    ask().await.is(404);
}

async fn too_large_is_413_in_every_form(place: Place) {
    let server = place.server(&["--upload-bytes", "100k"]).await;
    let endless =
        || Body::from_stream(stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(song(1)))).take(500));
    let answer = server.call(Method::POST, "/v2/jobs", &RAW, endless()).await.is(413);
    assert!(answer.json()["detail"].as_str().unwrap().contains("102400 bytes"));
    server.call(Method::PUT, &format!("/v2/uploads/{}", "a".repeat(32)), &RAW, endless()).await.is(413);
    server.settle().await;
    assert!(server.paths(Bucket::Queue, "").await.is_empty());
}

#[tokio::test]
async fn what_is_no_song_is_refused_before_its_end() {
    let server = Server::new();
    let text =
        stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from("no song ".repeat(8192)))).take(10_000);
    server.call(Method::POST, "/v2/jobs", &RAW, Body::from_stream(text)).await.is(422);
    assert!(server.memory().streamed.load(Ordering::SeqCst) < 4 << 20);
}

async fn a_client_that_leaves_or_stands_still_leaves_nothing(place: Place) {
    let server = place.server(&["--idle-time", "1", "--header-time", "1"]).await;
    let address = server.listen().await;
    let head =
        "POST /v2/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: audio/mpeg\r\nContent-Length: 9999999\r\n\r\n";
    let mut leaves = tokio::net::TcpStream::connect(address).await.unwrap();
    leaves.write_all(&[head.as_bytes(), &song(1)].concat()).await.unwrap();
    let mut stands = tokio::net::TcpStream::connect(address).await.unwrap();
    stands.write_all(&[head.as_bytes(), &song(2)].concat()).await.unwrap();
    let mut silent = tokio::net::TcpStream::connect(address).await.unwrap();
    silent.write_all(b"GET / HT").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(leaves);
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stands.read_to_end(&mut answer)).await;
    read.expect("it is never answered").unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 408"), "{:?}", String::from_utf8_lossy(&answer));
    let mut none = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), silent.read_to_end(&mut none)).await;
    read.expect("it is never closed").ok();
    server.settle().await;
    assert!(server.paths(Bucket::Queue, "").await.is_empty());
}

#[tokio::test]
async fn a_body_that_comes_late_with_a_get_does_not_break_the_answer() {
    let server = Server::new();
    let address = server.listen().await;
    let head = "GET /apiv1/queue HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
                Content-Length: 4\r\n\r\n";
    for _ in 0..20 {
        let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
        client.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        client.write_all(b"null").await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&answer));
    }
}

async fn more_uploads_than_places_are_told_to_come_again(place: Place) {
    let server = place.server(&["--uploads", "1"]).await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<std::io::Result<Bytes>>(1);
    let body = Body::from_stream(stream::unfold(receiver, async |mut receiver| {
        Some((receiver.recv().await?, receiver))
    }));
    let first = server.call(Method::POST, "/v2/jobs", &RAW, body);
    let second = async {
        // The second piece has room once the first one was read: the place is taken then.
        sender.send(Ok(song(1).into())).await.unwrap();
        sender.send(Ok(song(1).into())).await.unwrap();
        let answer = server.submit("", song(2)).await.is(503);
        assert!(!answer.header("retry-after").is_empty());
        drop(sender);
    };
    let (first, ()) = tokio::join!(first, second);
    first.is(202);
    server.submit("", song(2)).await.is(202);
}

/// Memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_uploads_at_once_need_little_memory() {
    const SIZE: usize = 20 << 20;
    let server = std::sync::Arc::new(Server::new());
    server.memory().forgets.store(true, Ordering::SeqCst);
    let before = resident();
    let uploads = (0..64u8).map(|seed| {
        let server = server.clone();
        tokio::spawn(async move {
            let piece = Bytes::from(song(seed));
            let pieces =
                stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone())).take(SIZE / 41_700);
            server.call(Method::POST, "/v2/jobs", &RAW, Body::from_stream(pieces)).await.status
        })
    });
    let all = futures_util::future::join_all(uploads.collect::<Vec<_>>());
    let mut highest = before;
    tokio::pin!(all);
    let statuses = loop {
        tokio::select! {
            statuses = &mut all => break statuses,
            () = tokio::time::sleep(Duration::from_millis(20)) => highest = highest.max(resident()),
        }
    };
    assert!(statuses.iter().all(|status| status.as_ref().unwrap().as_u16() == 202));
    assert!(highest - before < 256 << 20, "{} MiB", (highest - before) >> 20);
}
