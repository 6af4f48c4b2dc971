//! Paths and bodies of people who mean no good.

use axum::body::Body;
use axum::http::{Method, Request};
use futures_util::stream;

use crate::support::{Server, song};

/// A thousand ways out of a folder.
fn traversals() -> Vec<String> {
    let up = [
        "..",
        "%2e%2e",
        "%2E.",
        ".%2e",
        "%252e%252e",
        "..%00",
        "..;",
        "%c0%ae%c0%ae",
        "....",
        "%ff",
        "..%5c",
        "\u{2025}",
    ];
    let slash = ["/", "%2f", "%2F", "%5c", "%252f", "//", "/./", "%c0%af"];
    let end = [
        "etc/passwd",
        "queue",
        "jobs",
        "",
        "%00",
        ".mp3",
        "pending/x",
        "manifest.json",
        "a%0d%0ab",
        "vocals.json",
    ];
    let mut all = Vec::new();
    for up in up {
        for slash in slash {
            for end in end {
                all.push(format!("{up}{slash}{end}"));
                all.push(format!("{up}{slash}{up}{slash}{end}"));
            }
        }
    }
    all
}

#[tokio::test]
async fn no_path_leads_out() {
    let server = Server::new();
    let path = server.submit("", song(1)).await.is(202).header("location").to_owned();
    server.work().await;
    let before = server.all_paths().await;
    let mut tried = 0;
    for text in traversals() {
        for base in
            ["/v2/jobs/".to_owned(), format!("{path}/stems/"), "/apiv1/track/".to_owned(), "/".to_owned()]
        {
            for method in [Method::GET, Method::DELETE] {
                let uri: String = format!("{base}{text}")
                    .chars()
                    .map(|c| if c.is_ascii() { c.to_string() } else { "%E2%80%A5".to_owned() })
                    .collect();
                let Ok(request) = Request::builder().method(method).uri(&uri).body(Body::empty()) else {
                    continue;
                };
                let answer = server.send(request).await;
                tried += 1;
                assert!(matches!(answer.status.as_u16(), 404 | 405), "{uri}: {}", answer.status);
            }
        }
    }
    assert!(tried > 10_000, "{tried}");
    assert_eq!(before, server.all_paths().await);
}

#[tokio::test]
async fn forms_that_never_come_to_the_point_are_refused() {
    let server = Server::new();
    for (begin, again, status) in [
        ("", "no boundary anywhere", 400),
        ("--x\r\n", "X: endless headers ", 400),
        ("--x\r\nContent-Disposition: form-data; name=\"", "endless", 400),
        ("", "--x\r\nContent-Disposition: form-data; name=\"mix\"\r\n\r\na=bass\r\n", 413),
        ("--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n", "h", 413),
    ] {
        let mut read_bytes = 0;
        let pieces = std::iter::once(begin.to_owned()).chain(std::iter::repeat(again.repeat(100)));
        let pieces = pieces.inspect(move |piece| {
            read_bytes += piece.len();
            assert!(read_bytes < 20 << 20, "it is read for ever: {piece:.80}");
        });
        let body = Body::from_stream(stream::iter(pieces.map(Ok::<_, std::io::Error>)));
        let headers = [("content-type", "multipart/form-data; boundary=x")];
        server.call(Method::POST, "/v2/jobs", &headers, body).await.is(status);
    }
    server.settle().await;
    assert!(server.all_paths().await.is_empty());
}

/// A body that says how long it is and must not be read.
struct Declared(u64);

impl hyper::body::Body for Declared {
    type Data = bytes::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        panic!("it is read");
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.0)
    }
}

#[tokio::test]
async fn what_says_that_it_is_too_large_is_refused_unread() {
    let server = Server::with(&["--upload-bytes", "1M", "--base64-bytes", "2M"]);
    let upload = server.post("/v2/uploads").await.is(201).json();
    let (audio, json, form) = ("audio/mpeg", "application/json", "multipart/form-data; boundary=x");
    for (method, path, kind, bytes) in [
        (Method::POST, "/v2/jobs", audio, (1 << 20) + 1),
        (Method::POST, "/v2/jobs", form, 10 << 20),
        (Method::POST, "/music", "application/octet-stream", (1 << 20) + 1),
        (Method::POST, "/music", form, 10 << 20),
        (Method::POST, "/apiv1/separate", json, (2 << 20) + 1),
        (Method::PUT, upload["url"].as_str().unwrap(), audio, (1 << 20) + 1),
    ] {
        let body = Body::new(Declared(bytes));
        server.call(method, path, &[("content-type", kind)], body).await.is(413);
    }
}

#[tokio::test]
async fn strange_names_are_404() {
    let server = Server::new();
    let hash = "ab".repeat(32);
    let upper = hash.to_uppercase();
    for path in [
        format!("/apiv1/track/{upper}/bass"),
        format!("/apiv1/track/{hash}/manifest"),
        format!("/apiv1/track/{hash}/bass.mp3.mp3"),
        format!("/apiv1/track/{hash}/BASS"),
        format!("/apiv1/track/{}/bass", &hash[1..]),
        "/v2/jobs/0-x".to_owned(),
        format!("/v2/jobs/00-{}", &hash[..32]),
        format!("/v2/jobs/0-{}", &upper[..32]),
        "/v2/jobs/%20".to_owned(),
        "/v2/jobs/".to_owned(),
        format!("/v2/uploads/{}", &hash[..32]),
    ] {
        let status = server.get(&path).await.status.as_u16();
        assert!(matches!(status, 404 | 405), "{path}: {status}");
    }
}

#[tokio::test]
async fn every_answer_has_the_headers_that_protect() {
    let server = Server::new();
    for path in ["/", "/web/app.js", "/docs", "/v2/models", "/v2/jobs/x", "/apiv1/queue"] {
        let answer = server.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'"), "{path}");
        assert!(answer.headers.get("access-control-allow-origin").is_none(), "{path}");
    }
    let open = Server::with(&["--cors", "https://a.example"]);
    for (origin, allowed) in [("https://a.example", "https://a.example"), ("https://b.example", "")] {
        let answer = open.call(Method::GET, "/v2/models", &[("origin", origin)], Body::empty()).await;
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
    }
}
