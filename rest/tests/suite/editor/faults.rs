//! What is wrong with a request of the editor's, in the words of its contract.

use axum::http::Method;
use common::Bucket;
use serde_json::json;

use super::{FORM, call, form, process, submit};
use crate::support::{Server, song};

#[tokio::test]
async fn an_upload_that_is_no_song_is_405_with_the_methods_that_there_are() {
    let server = Server::new();
    let unended = form(&[("file", Some("a"), &song(1))]);
    for (headers, body) in [
        (vec![], Vec::new()),
        (vec![], b"no song at all".to_vec()),
        (vec![("content-type", "application/json")], b"{\"music\": 1}".to_vec()),
        (vec![FORM], form(&[])),
        (vec![FORM], form(&[("title", None, b"x")])),
        (vec![FORM], form(&[("file", Some("a"), b"no song")])),
        (vec![FORM], form(&[("file", Some("a"), &song(1)), ("body", Some("b"), &song(2))])),
        (vec![FORM], unended[..unended.len() - 8].to_vec()),
        (vec![("content-type", "multipart/form-data")], unended.clone()),
    ] {
        let answer = call(&server, "POST", "/music", &headers, body).await.is(405);
        assert_eq!((answer.header("allow"), answer.json()), ("GET, HEAD, POST", json!("Invalid input.")));
    }
    server.settle().await;
    assert!(server.all_paths().await.is_empty(), "nothing remains");
}

#[tokio::test]
async fn what_is_not_there_is_404_and_unknown_tracks_are_405() {
    let server = Server::new();
    let id = submit(&server, song(1)).await;
    for path in ["/music/7", "/music/x", "/music/-1", "/music/99999999999999999999999", "/music/1.5"] {
        assert_eq!(call(&server, "GET", path, &[], "").await.is(404).json(), "Music not found.");
        // What is asked for does not matter then.
        assert_eq!(call(&server, "POST", path, &[], "nonsense").await.is(404).json(), "Music not found.");
    }
    for tracks in ["[]", "[9]", "[\"flute\"]", "{}", "{\"tracks\": []}", "", "{", "[1, 9]", "null", "\u{0}"] {
        let answer = call(&server, "POST", &format!("/music/{id}"), &[], tracks).await.is(405);
        assert_eq!((answer.header("allow"), answer.json()), ("GET, HEAD, POST", json!("Track not found.")));
    }
    for path in ["/job/x", "/jobs/7"] {
        assert_eq!(call(&server, "GET", path, &[], "").await.is(404).json(), "Job not found.");
    }
    for path in
        [format!("/music/{id}/x/bass"), format!("/music/{id}/0-00000000000070008000000000000000/bass.mp3")]
    {
        assert_eq!(server.get(&path).await.is(404).json(), "Track not found.");
    }
    assert_eq!(server.work().await, 0);
}

#[tokio::test]
async fn other_methods_are_405_with_those_that_there_are() {
    let server = Server::new();
    for (path, methods) in [
        ("/music", "GET,HEAD,POST"),
        ("/music/7", "GET,HEAD,POST"),
        ("/job", "GET,HEAD"),
        ("/jobs/7", "GET,HEAD"),
        ("/reset", "POST"),
    ] {
        let answer = server.call(Method::DELETE, path, &[], "").await.is(405);
        let mut allowed: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
        allowed.sort_unstable();
        assert_eq!(allowed.join(","), methods, "{path}");
        assert!(answer.json().is_string());
    }
    assert_eq!(server.get("/reset").await.is(405).header("allow"), "POST");
}

#[tokio::test]
async fn too_large_is_413_and_a_store_that_is_down_503_each_with_a_sentence() {
    let server = Server::with(&["--upload-bytes", "20k"]);
    let answer = server.call(Method::POST, "/music", &[], song(1)).await.is(413);
    assert!(answer.json().as_str().unwrap().contains("20480"));
    let server = Server::new();
    let id = submit(&server, song(1)).await;
    server.memory().down.store(true, std::sync::atomic::Ordering::SeqCst);
    for (method, path) in [
        (Method::POST, "/music".to_owned()),
        (Method::GET, "/music".to_owned()),
        (Method::GET, format!("/music/{id}")),
    ] {
        let answer = server.call(method, &path, &[], song(1)).await.is(503);
        assert!(answer.json().is_string() && !answer.header("retry-after").is_empty());
    }
}

#[tokio::test]
async fn a_queue_that_is_full_says_when_to_come_again() {
    let server = Server::with(&["--jobs-of-tenant", "1"]);
    let (one, two) = (submit(&server, song(1)).await, submit(&server, song(2)).await);
    process(&server, one, &json!([1])).await.is(200);
    let full = server.call(Method::POST, &format!("/music/{two}"), &[], "[1]").await.is(429);
    assert!(full.json().is_string() && !full.header("retry-after").is_empty());
    assert_eq!(server.work().await, 1);
    process(&server, two, &json!([1])).await.is(200);
    assert_eq!(server.work().await, 1, "the song has stayed meanwhile");
    assert!(server.paths(Bucket::Queue, "music/").await.len() == 2);
}
