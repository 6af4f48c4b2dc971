//! The document says what is served.

use axum::body::Body;
use axum::http::Method;

use crate::support::Server;

#[tokio::test]
async fn every_operation_of_the_document_is_served_and_declares_its_answers() {
    let server = Server::new();
    let document = server.get("/openapi.json").await.is(200).json();
    let mut operations = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let url = path
                .replace("{id}", "0-00000000000070008000000000000000")
                .replace("{song}", &"ab".repeat(32))
                .replace("{track}", "bass")
                .replace("{music}", "7")
                .replace("{unit}", "7")
                .replace("{job}", "0-00000000000070008000000000000000")
                .replace("{stem}", "bass")
                .replace("{file}", "app.js")
                .replace("{upload}", &"a".repeat(32));
            let method: Method = method.to_uppercase().parse().unwrap();
            let answer = server.call(method.clone(), &url, &[], Body::empty()).await;
            let status = answer.status.as_u16();
            let kind = answer.header("content-type").split(';').next().unwrap().to_owned();
            let declared = &operation["responses"];
            // A 405 that is not declared is the router's.
            let routed = status != 405 || declared.get("405").is_some();
            assert!(routed && status < 500, "{method} {path}: {status}");
            let response = declared.get(status.to_string()).unwrap_or(&declared["default"]);
            let family = format!("{}/*", kind.split('/').next().unwrap());
            let named = |kind: &str| response["content"].get(kind).is_some();
            assert!(kind.is_empty() || named(&kind) || named(&family), "{method} {path}: {status} is {kind}");
            operations += 1;
        }
    }
    assert!(operations > 25, "{operations}");
    let page = server.get("/docs").await.is(200);
    assert!(page.header("content-type").starts_with("text/html"));
}

#[tokio::test]
async fn a_job_has_the_members_that_the_document_names() {
    let server = Server::new();
    let document = server.get("/openapi.json").await.json();
    let path = server.submit("", crate::support::song(1)).await.is(202).header("location").to_owned();
    server.work().await;
    let job = server.get(&path).await.json();
    server.submit("", crate::support::song(2)).await.is(202);
    server.claim_plan().await;
    let schemas = &document["components"]["schemas"];
    for (value, schema) in [
        (&job, "Job"),
        (&job["options"], "Options"),
        (&job["progress"], "Progress"),
        (&job["stems"][0], "Stem"),
        (&server.get("/v2/operations/depth").await.json(), "Depth"),
        (&server.get("/v2/operations/workers").await.json(), "Workers"),
        (&server.get("/v2/operations/workers").await.json()["workers"][0], "Worker"),
        (&server.get("/v2/operations/workers").await.json()["workers"][0]["task"], "HeldTask"),
        (&server.get("/v2/jobs/x").await.json(), "Problem"),
        (&server.get("/v2/models").await.json(), "Models"),
    ] {
        let properties = schemas[schema]["properties"].as_object().unwrap();
        for name in value.as_object().unwrap().keys() {
            assert!(properties.contains_key(name), "{schema} has no {name}");
        }
        for name in schemas[schema]["required"].as_array().unwrap() {
            assert!(value.get(name.as_str().unwrap()).is_some(), "{name} of {schema} is missing");
        }
    }
}
