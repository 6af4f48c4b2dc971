//! Who may use the editor's routes: pages of which origins, which keys; and where their links lead.

use axum::body::Body;
use axum::http::Method;
use serde_json::json;

use super::{process, submit};
use crate::place::Place;
use crate::support::{Server, hex, song};

/// Where a page that was opened as a file comes from.
const FILE: (&str, &str) = ("origin", "null");

async fn allowed(server: &Server, method: Method, path: &str) -> String {
    let asked =
        [FILE, ("access-control-request-method", "POST"), ("access-control-request-headers", "content-type")];
    let headers = if method == Method::OPTIONS { &asked[..] } else { &asked[..1] };
    server.call(method, path, headers, Body::empty()).await.header("access-control-allow-origin").to_owned()
}

#[tokio::test]
async fn pages_opened_as_files_may_call_where_the_switch_is_on_and_nowhere_else() {
    let (closed, open) = (Server::new(), Server::with(&["--editor-cors"]));
    for path in ["/music", "/music/7", "/job", "/jobs/7", "/music/7/x/final.mp3"] {
        for method in [Method::GET, Method::OPTIONS] {
            assert_eq!(allowed(&closed, method.clone(), path).await, "", "{path}");
            assert_eq!(allowed(&open, method, path).await, "null", "{path}");
        }
    }
    for path in ["/v2/jobs", "/apiv1/queue", "/reset", "/"] {
        assert_eq!(allowed(&open, Method::OPTIONS, path).await, "", "{path}");
    }
    let named = Server::with(&["--cors", "https://editor.example"]);
    let headers = [("origin", "https://editor.example")];
    let answer = named.call(Method::GET, "/music", &headers, Body::empty()).await.is(200);
    assert_eq!(answer.header("access-control-allow-origin"), "https://editor.example");
}

#[tokio::test]
async fn a_page_of_another_origin_resets_only_where_that_is_switched_on() {
    for (args, status) in [(&[][..], 403), (&["--editor-cors"], 403), (&["--editor-cors-reset"], 200)] {
        let server = Server::with(args);
        submit(&server, song(1)).await;
        for origin in ["null", "https://evil.example"] {
            let answer = server.call(Method::POST, "/reset", &[("origin", origin), ("host", "a")], "").await;
            assert!(answer.is(status).json().is_string() == (status == 403));
        }
        let songs = server.get("/music").await.json();
        assert_eq!(songs.as_array().unwrap().len(), usize::from(status == 403));
        server.call(Method::POST, "/reset", &[("origin", "http://a"), ("host", "a")], "").await.is(200);
    }
}

#[tokio::test]
async fn keys_are_asked_for_by_the_switch_of_the_older_contracts() {
    let keys = format!("{} one operator\n{} two\n", hex(b"key-one"), hex(b"key-two"));
    let server = Place::Memory.with_keys(&["--auth-old", "key"], &keys).await;
    for (method, path) in
        [(Method::GET, "/music"), (Method::POST, "/music"), (Method::GET, "/job"), (Method::POST, "/reset")]
    {
        let answer = server.call(method, path, &[], song(1)).await.is(401);
        assert!(answer.json().is_string() && answer.header("www-authenticate") == "Bearer");
    }
    let (one, two) = ([("x-api-key", "key-one")], [("x-api-key", "key-two")]);
    let sent = server.call(Method::POST, "/music", &one, song(1)).await.is(200).json();
    let path = format!("/music/{}", sent["music_id"]);
    server.call(Method::GET, &path, &one, Body::empty()).await.is(200);
    server.call(Method::GET, &path, &two, Body::empty()).await.is(404);
    server.call(Method::POST, &path, &two, "[1]").await.is(404);
    let theirs = server.call(Method::GET, "/music", &two, Body::empty()).await.json();
    assert_eq!(theirs, json!([]), "what is another tenant's does not exist");
    server.call(Method::POST, "/reset", &two, "").await.is(403);
    server.call(Method::POST, "/reset", &one, "").await.is(200);
    let open = Place::Memory.with_keys(&["--auth", "key"], &keys).await;
    open.get("/music").await.is(200);
}

#[tokio::test]
async fn links_lead_to_where_clients_reach_the_server() {
    for (args, headers, begin) in [
        (&[][..], &[("host", "10.0.0.7:5000")][..], "http://10.0.0.7:5000/music/"),
        (
            &[],
            &[("host", "inner"), ("x-forwarded-host", "m.example"), ("x-forwarded-proto", "https")],
            "https://m.example/music/",
        ),
        (
            &["--public-url", "https://a.example/stems/"],
            &[("host", "inner")],
            "https://a.example/stems/music/",
        ),
    ] {
        let server = Server::with(args);
        let id = submit(&server, song(1)).await;
        process(&server, id, &json!([1])).await.is(200);
        server.work().await;
        let done = server.call(Method::GET, &format!("/music/{id}"), headers, Body::empty()).await.json();
        for link in [&done["final"], &done["instruments"][0]["track"]] {
            assert!(link.as_str().unwrap().starts_with(begin), "{link}");
        }
    }
}
