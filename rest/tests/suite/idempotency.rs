//! Requests that are made again under the same key.

use axum::body::Body;
use axum::http::Method;
use common::Bucket;
use serde_json::json;

use crate::place::Place;
use crate::support::{Server, song};

crate::place::scenarios! {
    the_first_answer_is_given_again
    other_parameters_or_bytes_under_the_same_key_are_422
    a_request_that_is_worked_on_is_409_and_one_that_failed_may_be_made_again
    ten_requests_at_once_make_one_job
}

async fn submit(server: &Server, key: &str, query: &str, body: Vec<u8>) -> crate::support::Answer {
    let headers = [("idempotency-key", key), ("content-type", "audio/mpeg")];
    server.call(Method::POST, &format!("/v2/jobs{query}"), &headers, body).await
}

async fn the_first_answer_is_given_again(place: Place) {
    let server = place.server(&[]).await;
    let first = submit(&server, "a", "", song(1)).await.is(202);
    assert!(first.headers.get("idempotent-replayed").is_none());
    server.work().await;
    let again = submit(&server, "a", "", song(1)).await.is(202);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!((again.header("location"), &again.body), (first.header("location"), &first.body));
    assert_eq!(submit(&server, "b", "", song(1)).await.is(200).json()["deduplicated"], json!(true));
    server.settle().await;
    assert!(server.paths(Bucket::Queue, "incoming/").await.is_empty());
    assert_eq!(server.paths(Bucket::Queue, "idempotency/").await.len(), 2);
}

async fn other_parameters_or_bytes_under_the_same_key_are_422(place: Place) {
    let server = place.server(&[]).await;
    submit(&server, "a", "", song(1)).await.is(202);
    for (query, body) in [("?shifts=1", song(1)), ("", song(2)), ("?callback=https://example.com/", song(1))]
    {
        assert_eq!(submit(&server, "a", query, body).await.is(422).json()["code"], "idempotency_mismatch");
    }
    submit(&server, "a", "?format=mp3", song(1)).await.is(202);
    assert_eq!(server.queue.depth().await.unwrap().jobs, 1);
    submit(&server, "", "", song(1)).await.is(400);
    submit(&server, &"k".repeat(256), "", song(1)).await.is(400);
}

async fn a_request_that_is_worked_on_is_409_and_one_that_failed_may_be_made_again(place: Place) {
    let server = place.server(&[]).await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<std::io::Result<Vec<u8>>>(1);
    let body = Body::from_stream(futures_util::stream::unfold(receiver, async |mut receiver| {
        Some((receiver.recv().await?, receiver))
    }));
    let headers = [("idempotency-key", "a"), ("content-type", "audio/mpeg")];
    let slow = server.call(Method::POST, "/v2/jobs", &headers, body);
    let meanwhile = async {
        // The second piece has room once the first one was read: the key is taken then.
        sender.send(Ok(song(1))).await.unwrap();
        sender.send(Ok(song(1))).await.unwrap();
        let answer = submit(&server, "a", "", song(1)).await.is(409);
        assert_eq!(answer.json()["code"], "idempotency_in_flight");
        sender.send(Err(std::io::Error::other("gone"))).await.unwrap();
    };
    let (slow, ()) = tokio::join!(slow, meanwhile);
    slow.is(400);
    server.settle().await;
    submit(&server, "a", "", song(1)).await.is(202);
}

async fn ten_requests_at_once_make_one_job(place: Place) {
    let server = place.server(&[]).await;
    let all = (0..10).map(|_| submit(&server, "a", "", song(1)));
    let answers = futures_util::future::join_all(all).await;
    assert!(answers.iter().any(|answer| answer.status == 202));
    assert!(answers.iter().all(|answer| matches!(answer.status.as_u16(), 202 | 409)));
    assert_eq!(server.queue.depth().await.unwrap().jobs, 1);
}
