//! Running the service.

use axum::body::Body;
use axum::http::Method;
use common::Bucket;
use common::queue::Failure;
use serde_json::json;

use crate::place::Place;
use crate::support::{Server, song};

crate::place::scenarios! {
    the_work_of_a_dead_job_is_done_anew
    a_reset_leaves_nothing_and_new_songs_are_taken
    depth_and_limits_are_told
    who_works_on_what_is_told
}

async fn the_work_of_a_dead_job_is_done_anew(place: Place) {
    let server = place.server(&[]).await;
    let path = server.submit("", song(1)).await.is(202).header("location").to_owned();
    let (claim, token) = server.claim_plan().await;
    server.queue.fail(claim.task, token, Failure::Permanent, "no disk").await.unwrap();
    let dead = server.get("/v2/operations/dead").await.is(200).json();
    assert_eq!(dead["dead"][0]["reason"], "no disk");
    let id = dead["dead"][0]["job"].as_str().unwrap().to_owned();
    let answer = server.post(&format!("/v2/operations/dead/{id}/redrive")).await.is(202);
    assert_ne!(answer.header("location"), path);
    assert_eq!(server.get("/v2/operations/dead").await.json()["dead"], json!([]));
    assert_eq!(server.work().await, 1);
    assert_eq!(server.get(answer.header("location")).await.json()["state"], "succeeded");
    assert_eq!(server.get(&path).await.json()["state"], "failed");
    server.post("/v2/operations/dead/x/redrive").await.is(404);
}

async fn a_reset_leaves_nothing_and_new_songs_are_taken(place: Place) {
    let server = place.server(&[]).await;
    let path = server.submit("", song(1)).await.is(202).header("location").to_owned();
    server.work().await;
    let waiting = server.submit("", song(2)).await.is(202).json()["id"].as_str().unwrap().to_owned();
    for headers in [[("origin", "https://evil.example")], [("sec-fetch-site", "cross-site")]] {
        server.call(Method::POST, "/v2/reset", &headers, Body::empty()).await.is(403);
    }
    assert_eq!(server.post("/v2/reset").await.is(200).json()["epoch"], 1);
    server.settle().await;
    server.get(&path).await.is(404);
    assert_eq!(server.get("/v2/jobs").await.json()["jobs"], json!([]));
    assert_eq!(server.work().await, 0);
    // The mark of the job that had not ended stays until nobody can be writing for it.
    assert_eq!(
        server.paths(Bucket::Queue, "").await,
        ["epoch/0000000001".to_owned(), format!("pending/{waiting}")]
    );
    server.submit("", song(1)).await.is(202);
    assert_eq!(server.work().await, 1);
}

async fn depth_and_limits_are_told(place: Place) {
    let server = place.server(&[]).await;
    server.submit("", song(1)).await.is(202);
    let depth = server.get("/v2/operations/depth").await.is(200).json();
    assert_eq!((&depth["jobs"], &depth["ready"]), (&json!(1), &json!(1)));
    assert!(depth["cost_ms"].as_u64().unwrap() > 2000);
    assert_eq!(server.get("/v2/limits").await.is(200).json()["upload_bytes"], 200 << 20);
    let models = server.get("/v2/models").await.is(200).json();
    assert_eq!(models["models"][2]["stems"].as_array().unwrap().len(), 6);
}

async fn who_works_on_what_is_told(place: Place) {
    let server = place.server(&[]).await;
    let job = server.submit("", song(1)).await.is(202).json();
    let (claim, _) = server.claim_plan().await;
    let told = server.get("/v2/operations/workers").await.is(200).json();
    let [worker] = told["workers"].as_array().unwrap().as_slice() else { panic!("{told}") };
    let task = &worker["task"];
    assert_eq!((&worker["worker"], &task["attempt"]), (&json!("w"), &json!(1)));
    assert_eq!((&task["job"], &task["song"], &task["kind"]), (&job["id"], &job["song"], &json!("plan")));
    assert_eq!((&task["id"], &task["before"]), (&json!(claim.task.to_string()), &json!(null)));
    assert!(
        worker["silent_ms"].as_u64().unwrap() < 60_000 && task["left_ms"].as_u64().unwrap() > 0,
        "{told}"
    );
    server.get("/v2/operations/workers?limit=x").await.is(400);
}

#[tokio::test]
async fn the_networks_are_those_of_the_setting_and_the_first_one_is_the_usual_one() {
    let server = Server::with(&["--models", "mine=lead+rest,htdemucs_6s"]);
    let models = server.get("/v2/models").await.is(200).json();
    assert_eq!(
        (&models["default"], &models["models"][0]["stems"]),
        (&json!("mine"), &json!(["lead", "rest"]))
    );
    assert_eq!(models["models"].as_array().unwrap().len(), 2);
    for (query, model) in [("", "mine"), ("?shifts=1", "mine"), ("?options=%7B%22shifts%22:2%7D", "mine")] {
        assert_eq!(server.submit(query, song(1)).await.is(202).json()["options"]["model"], model, "{query}");
    }
    let named = "?options=%7B%22model%22:%22htdemucs_6s%22%7D";
    assert_eq!(server.submit(named, song(1)).await.is(202).json()["options"]["model"], "htdemucs_6s");
    let unknown = server.submit("?model=htdemucs", song(1)).await.is(400).json();
    assert_eq!(unknown["detail"], "the model htdemucs is not known, only mine, htdemucs_6s");
    assert_eq!(server.submit("?model=No/Model", song(1)).await.is(400).json()["code"], "unknown_model");
    assert_eq!(
        server.submit("?stems=lead", song(1)).await.is(202).json()["options"]["stems"],
        json!(["lead"])
    );
    // The older contracts know the usual one too.
    let music = server.call(Method::POST, "/music", &[], song(1)).await.is(200).json();
    assert_eq!(music["tracks"][1], json!({ "name": "rest", "track_id": 2 }));
    assert_eq!(server.work().await, 5);
    let hash = crate::support::hex(&song(1));
    server.get(&format!("/apiv1/track/{hash}/lead")).await.is(200);
    server.get(&format!("/apiv1/track/{hash}/accordion")).await.is(404);
}

#[tokio::test]
async fn health_is_told_on_its_own_port() {
    use common::admin::{Health as _, router};
    use tower::ServiceExt as _;
    let server = Server::new();
    let ready = rest::background::Ready(server.app.clone());
    ready.ready().await.unwrap();
    server.memory().down.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(ready.ready().await.is_err());
    let routes = router(std::sync::Arc::new(ready), None);
    for (path, status) in [("/healthz", 200), ("/readyz", 503), ("/metrics", 200)] {
        let request = axum::http::Request::get(path).body(Body::empty()).unwrap();
        assert_eq!(routes.clone().oneshot(request).await.unwrap().status().as_u16(), status, "{path}");
    }
}
