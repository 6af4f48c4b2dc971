//! What clients hear while a job goes on.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use common::job::Ending;
use common::queue::Failure;
use serde_json::json;

use crate::place::Place;
use crate::support::{Server, sent, song};

crate::place::scenarios! {
    a_stream_tells_everything_and_ends_with_the_end
    a_broken_stream_goes_on_where_it_broke
    after_a_loss_of_the_queue_there_is_a_snapshot
    a_job_that_the_queue_has_forgotten_is_told_from_its_manifest
    a_failed_job_says_why
}

async fn events(server: &Server, path: &str, after: &str) -> crate::support::Answer {
    let headers = [("last-event-id", after)];
    let call = server.call(Method::GET, path, &headers, Body::empty());
    tokio::time::timeout(Duration::from_secs(20), call).await.expect("the stream does not end")
}

async fn a_stream_tells_everything_and_ends_with_the_end(place: Place) {
    let server = place.server(&[]).await;
    let path = format!("{}/events", server.submit("", song(1)).await.is(202).header("location"));
    let (answer, _) = tokio::join!(events(&server, &path, ""), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.work().await
    });
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let all = sent(&answer.body);
    let stems = all.iter().filter(|event| event.name == "stem").count();
    assert_eq!(stems, 4, "{all:?}");
    assert!(all.iter().any(|event| event.name == "progress"));
    let last = all.last().unwrap();
    assert_eq!((last.name.as_str(), &last.job["state"]), ("state", &json!("succeeded")));
    let ids: Vec<u64> = all.iter().filter_map(|event| event.id).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    assert!(all.iter().all(|event| event.job["id"] == last.job["id"]), "every event has the job");
}

async fn a_broken_stream_goes_on_where_it_broke(place: Place) {
    let server = place.server(&[]).await;
    let path = format!("{}/events", server.submit("", song(1)).await.is(202).header("location"));
    server.work().await;
    let all = sent(&events(&server, &path, "").await.is(200).body);
    let last = all.last().unwrap().id.unwrap();
    let middle = all[all.len() / 2].id.unwrap();
    let rest = sent(&events(&server, &path, &middle.to_string()).await.is(200).body);
    assert_eq!(rest.iter().map(|event| event.id).collect::<Vec<_>>(), {
        all.iter().filter(|event| event.id > Some(middle)).map(|event| event.id).collect::<Vec<_>>()
    });
    assert!(events(&server, &path, &last.to_string()).await.is(204).body.is_empty());
}

async fn after_a_loss_of_the_queue_there_is_a_snapshot(place: Place) {
    let server = place.server(&[]).await;
    let answer = server.submit("", song(1)).await.is(202);
    let path = format!("{}/events", answer.header("location"));
    let (answer, ()) = tokio::join!(events(&server, &path, "57"), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.work().await;
    });
    let all = sent(&answer.is(200).body);
    assert_eq!(all[0].name, "snapshot");
    assert_eq!(all.last().unwrap().job["state"], "succeeded");
}

async fn a_job_that_the_queue_has_forgotten_is_told_from_its_manifest(place: Place) {
    let server = place.server(&[]).await;
    let answer = server.submit("", song(1)).await.is(202);
    let id = answer.json()["id"].as_str().unwrap().parse().unwrap();
    server.work().await;
    server.queue.forget(id).await.unwrap();
    let all = sent(&events(&server, &format!("{}/events", answer.header("location")), "").await.is(200).body);
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].name.as_str(), &all[0].job["state"]), ("snapshot", &json!("succeeded")));
}

#[tokio::test]
async fn what_failed_again_and_again_is_not_told_in_the_words_of_operators() {
    let server = Server::new();
    let path = server.submit("", song(1)).await.is(202).header("location").to_owned();
    let (claim, token) = server.claim_plan().await;
    let said = "s3://10.0.0.7 refused the secret of /var/tmp";
    server.queue.fail(claim.task, token, Failure::Permanent, said).await.unwrap();
    let all = sent(&events(&server, &format!("{path}/events"), "").await.is(200).body);
    let detail = all.last().unwrap().job["error"]["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("several attempts") && !detail.contains("10.0.0.7"), "{detail}");
}

async fn a_failed_job_says_why(place: Place) {
    let server = place.server(&[]).await;
    let path = server.submit("", song(1)).await.is(202).header("location").to_owned();
    let (claim, token) = server.claim_plan().await;
    // As a worker does: what is a fault of the song is written down before the queue hears of it.
    let reason = "the song has no audio".to_owned();
    let record = server.app.ledger.record(&claim.task.job).await.unwrap().unwrap();
    server.app.ledger.finish(&record, Ending::Failed { reason: reason.clone() }).await.unwrap();
    server.queue.fail(claim.task, token, Failure::Permanent, &reason).await.unwrap();
    let all = sent(&events(&server, &format!("{path}/events"), "").await.is(200).body);
    let last = &all.last().unwrap().job;
    assert_eq!(last["state"], "failed");
    assert_eq!(last["error"], json!({ "code": "separation_failed", "detail": "the song has no audio" }));
}

#[tokio::test]
async fn a_stopping_server_ends_its_streams() {
    let server = Server::new();
    let path = server.submit("", song(1)).await.is(202).header("location").to_owned();
    let request = Request::get(format!("{path}/events")).body(Body::empty()).unwrap();
    let body = server.open(request).await.into_body();
    let stop = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.app.stop.cancel();
    };
    let all = axum::body::to_bytes(body, usize::MAX);
    let (all, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(10), all), stop);
    assert!(!all.expect("it does not end").unwrap().is_empty());
}
